//! A reader of the Prometheus text format (exposition format 0.0.4), line by line.

use std::borrow::Cow;

/// One sample line.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample<'a> {
    /// The metric's name.
    pub name: &'a str,
    /// Labels in their order.
    pub labels: Vec<(&'a str, Cow<'a, str>)>,
    /// The value; may be infinite or not a number.
    pub value: f64,
}

impl Sample<'_> {
    /// A label's value, whatever the case of its name; the empty value counts as missing.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|(label, _)| label.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_ref())
            .filter(|value| !value.is_empty())
    }
}

/// A line that is not the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not a metric sample: {reason}")]
pub struct NotASample {
    /// Its number, from 1.
    pub line: usize,
    /// What was wrong.
    pub reason: &'static str,
}

/// Reads the samples of a page; comments and blank lines are passed over.
pub fn samples(page: &str) -> impl Iterator<Item = Result<Sample<'_>, NotASample>> {
    page.lines().enumerate().filter_map(|(index, line)| {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        Some(sample(line).map_err(|reason| NotASample { line: index + 1, reason }))
    })
}

fn sample(line: &str) -> Result<Sample<'_>, &'static str> {
    let end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .ok_or("there is no value")?;
    let (name, mut rest) = line.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("there is no metric name");
    }
    let mut labels = Vec::new();
    rest = rest.trim_start();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside.trim_start();
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once('=').ok_or("a label has no value")?;
            let label = label.trim();
            let well_formed =
                !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !well_formed {
                return Err("a label's name is not well formed");
            }
            let after = after.trim_start().strip_prefix('"').ok_or("a label is not quoted")?;
            let (value, after) = quoted(after)?;
            labels.push((label, value));
            rest = after.trim_start();
            match rest.strip_prefix(',') {
                Some(after) => rest = after.trim_start(),
                None if rest.starts_with('}') => {}
                None => return Err("labels are not separated by commas"),
            }
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    let mut fields = rest.split_ascii_whitespace();
    let value = fields.next().ok_or("there is no value")?;
    let value = value.parse().map_err(|_| "the value is not a number")?;
    if fields.next().is_some_and(|timestamp| timestamp.parse::<i64>().is_err())
        || fields.next().is_some()
    {
        return Err("there is more behind the value than a timestamp");
    }
    Ok(Sample { name, labels, value })
}

/// The text up to the closing quote, unescaped, and what follows it.
fn quoted(text: &str) -> Result<(Cow<'_, str>, &str), &'static str> {
    let mut plain: Option<String> = None;
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => {
                let rest = text.get(at + 1..).unwrap_or_default();
                let value = match plain {
                    Some(value) => Cow::Owned(value),
                    None => Cow::Borrowed(text.get(..at).unwrap_or_default()),
                };
                return Ok((value, rest));
            }
            '\\' => {
                let so_far = text.get(..at).unwrap_or_default();
                let plain = plain.get_or_insert_with(|| so_far.to_owned());
                match characters.next() {
                    Some((_, 'n')) => plain.push('\n'),
                    Some((_, escaped @ ('\\' | '"'))) => plain.push(escaped),
                    Some((_, other)) => {
                        plain.push('\\');
                        plain.push(other);
                    }
                    None => break,
                }
            }
            _ => {
                if let Some(plain) = &mut plain {
                    plain.push(c);
                }
            }
        }
    }
    Err("a label's value has no end")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_are_unescaped_and_timestamps_passed_over() {
        let page = "# HELP x y\nx{a=\"b\\\"c\\\\d\\ne\", B=\"\"} 1.5 1700000000000\n";
        let read: Vec<_> = samples(page).collect::<Result<_, _>>().expect("well formed");
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].label("A"), Some("b\"c\\d\ne"));
        assert_eq!(read[0].label("b"), None);
        assert_eq!(read[0].value, 1.5);
    }

    #[test]
    fn a_page_cut_in_half_is_a_named_error() {
        let cut = "x{a=\"b\"} 1\nx{a=\"b";
        let error = samples(cut).last().expect("two lines").expect_err("the second is cut");
        assert_eq!(error, NotASample { line: 2, reason: "a label's value has no end" });
        let html = samples("<html><body>").next().expect("one line");
        assert!(html.is_err());
    }

    proptest! {
        #[test]
        fn no_page_makes_it_panic(page in "[ -~\n\u{e9}\u{4e00}]{0,200}") {
            for _ in samples(&page) {}
        }
    }
}
