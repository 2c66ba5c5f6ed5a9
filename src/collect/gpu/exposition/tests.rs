#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

type Read = (String, Vec<(String, String)>, f64);

/// Reads a page in pieces of a size.
fn read(page: &[u8], piece: usize) -> Result<Vec<Read>, NotAPage> {
    let mut reader = Reader::new();
    let mut samples = Vec::new();
    for piece in page.chunks(piece) {
        reader.feed(piece, |line| {
            let mut labels = Vec::new();
            let (_, value) =
                line.read(|name, value| labels.push((name.to_owned(), value.text().into())))?;
            samples.push((line.name.to_owned(), labels, value));
            Ok(())
        })?;
    }
    reader.finish()?;
    Ok(samples)
}

fn value(line: &str) -> Result<f64, NotAPage> {
    read(format!("{line}\n").as_bytes(), 7).map(|samples| samples.last().unwrap().2)
}

fn wrong(line: &str) -> &'static str {
    match value(line) {
        Err(NotAPage::Line { line: 1, reason }) => reason,
        other => panic!("`{line}` is read as {other:?}"),
    }
}

#[test]
fn labels_are_unescaped_and_comments_passed_over() {
    let page = "# HELP x y\n\n# TYPE x gauge\r\nx{a=\"b\\\"c\\\\d\\ne\\t\", B=\"\",} 1.5\r\n";
    let read = read(page.as_bytes(), 1000).unwrap();
    let labels = [("a", "b\"c\\d\ne\\t"), ("B", "")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    assert_eq!(read, [("x".to_owned(), labels.to_vec(), 1.5)]);
}

#[test]
fn a_value_is_copied_only_where_it_is_escaped() {
    let text = |raw, escaped| Value { raw, escaped }.text();
    assert!(matches!(text("plain", false), Cow::Borrowed("plain")));
    assert!(matches!(text(r"a\\b", true), Cow::Owned(text) if text == r"a\b"));
}

#[test]
fn timestamps_and_exemplars_are_passed_over() {
    for line in [
        "x 3",
        "x\t3",
        "x{} 3 1700000000000",
        "x 3 1700000000.5",
        "x{a=\"}\"}3 # {trace_id=\"b\"} 0.5",
        "x 3 1700000000.5 # {trace_id=\"b\"} 0.5 1700000000",
    ] {
        assert_eq!(value(line), Ok(3.0), "{line}");
    }
    assert_eq!(value("x +Inf"), Ok(f64::INFINITY));
    assert!(value("x NaN").unwrap().is_nan());
}

#[test]
fn a_line_that_is_no_sample_is_named_with_what_is_wrong() {
    for (line, reason) in [
        ("404 page not found", "there is no metric name"),
        ("{\"error\":\"no\"}", "there is no metric name"),
        ("OK", "there is no value"),
        ("x{a=\"b\"}", "there is no value"),
        ("x-y 1", "the metric name is not well formed"),
        ("x{a=\"b\"} one", "the value is not a number"),
        ("x{a} 1", "a label has no value"),
        ("x{a", "a label has no value"),
        ("x{=\"b\"} 1", "a label's name is not well formed"),
        ("x{a=b} 1", "a label is not quoted"),
        ("x{a=\"b} 1", "a label's value has no end"),
        ("x{a=\"b\\", "a label's value has no end"),
        ("x{a=\"b\"c=\"d\"} 1", "labels are not separated by commas"),
        ("x 1 two", "there is more behind the value than a timestamp"),
        ("x 1 2 3", "there is more behind the value than a timestamp"),
    ] {
        assert_eq!(wrong(line), reason, "{line}");
    }
    let glued = read(b"x 1\n# EOF\ny 1\n", 100).unwrap_err();
    assert_eq!(glued.to_string(), "line 3 is not a metric sample: there is more behind `# EOF`");
}

#[test]
fn labels_that_are_known_need_no_second_reading() {
    let line = |text| Line::new(text).unwrap();
    let (labels, value) = line("x {a=\"}\",b=\"c\"} 1 1700000000000").read(|_, _| {}).unwrap();
    assert_eq!((labels, value), ("{a=\"}\",b=\"c\"}", 1.0));
    assert_eq!(line("y{a=\"}\",b=\"c\"} 2").value_after(labels), Some(Ok(2.0)));
    assert_eq!(line("y{a=\"}\",b=\"d\"} 2").value_after(labels), None);
    let broken = line("y{a=\"}\",b=\"c\"} two").value_after(labels);
    assert_eq!(broken, Some(Err("the value is not a number")));
    assert_eq!(line("x 1").read(|_, _| {}), Ok(("", 1.0)));
}

#[test]
fn a_page_that_ends_within_a_line_was_cut() {
    for (page, line) in [("x{a=\"b\"} 1\nx{a=\"b", 2), ("x 1\nx 2\n# HELP x y", 3), ("x 12", 1)] {
        assert_eq!(read(page.as_bytes(), 5), Err(NotAPage::Cut { line }), "{page}");
    }
    assert_eq!(read(b"x 1\n# EOF", 100).unwrap().len(), 1, "OpenMetrics needs no last line feed");
    assert_eq!(read(b"x 1\n  ", 100).unwrap().len(), 1);
}

#[test]
fn html_is_told_from_a_broken_page() {
    for page in ["<!DOCTYPE html>\n<html>\n", "\n  <html></html>"] {
        assert_eq!(read(page.as_bytes(), 100), Err(NotAPage::Html));
    }
    let later = read(b"x 1\n<b>\n", 100);
    assert_eq!(later, Err(NotAPage::Line { line: 2, reason: "there is no metric name" }));
}

#[test]
fn bytes_that_are_no_text_are_named_by_their_line() {
    assert_eq!(read(b"x 1\ny 2\nz{a=\"\xff\"} 1\n", 100), Err(NotAPage::NotUtf8 { line: 3 }));
    let earlier = read(b"x 1\ny two\nz{a=\"\xff\"} 1\n", 100);
    assert_eq!(earlier, Err(NotAPage::Line { line: 2, reason: "the value is not a number" }));
}

#[test]
fn no_more_than_a_line_is_held_and_no_more_than_a_page_is_read() {
    let long = format!("x{{a=\"{}\"}} 1\n", "b".repeat(LONGEST_LINE));
    for piece in [10, 1000, 1 << 20] {
        assert_eq!(read(long.as_bytes(), piece), Err(NotAPage::LongLine { line: 1 }));
    }
    let mut reader = Reader::new();
    let megabyte = "x 1\n".repeat(1 << 18);
    let mut count = 0_usize;
    let error = loop {
        let fed = reader.feed(megabyte.as_bytes(), |_| {
            count += 1;
            Ok(())
        });
        assert!(reader.unfinished.capacity() <= 2 * LONGEST_LINE);
        match fed {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    assert_eq!((error, count), (NotAPage::TooLarge, LARGEST_PAGE / 4));
}

proptest! {
    #[test]
    fn a_page_means_the_same_however_it_was_cut(
        page in "([ -~]|[\u{e9}\u{4e00}]|x 1\n|y\\{a=\"b\"\\} 2\n|# EOF|\n){0,40}",
        piece in 1_usize..40,
    ) {
        // Values are compared as text, since no number equals NaN.
        let text = |page: Result<Vec<Read>, NotAPage>| format!("{page:?}");
        prop_assert_eq!(text(read(page.as_bytes(), piece)), text(read(page.as_bytes(), 1 << 20)));
    }
}
