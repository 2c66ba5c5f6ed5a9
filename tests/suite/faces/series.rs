//! A reader of the Prometheus text format, apart from the one that writes it.

use std::collections::BTreeMap;

/// One line of a page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// The series' name.
    pub(crate) name: String,
    /// Its labels, unescaped.
    pub(crate) labels: BTreeMap<String, String>,
    /// Its value as it is written.
    pub(crate) value: String,
}

/// Every sample of a page; panics on a line that is none.
pub(crate) fn samples(page: &str) -> Vec<Sample> {
    assert!(page.ends_with('\n'), "the page ends in the middle of a line");
    page.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

/// The value of the one series with these labels.
pub(crate) fn value(page: &str, name: &str, labels: &[(&str, &str)]) -> Option<String> {
    let mut found = samples(page).into_iter().filter(|sample| {
        sample.name == name
            && labels
                .iter()
                .all(|(label, value)| sample.labels.get(*label).is_some_and(|v| v == value))
    });
    let first = found.next()?;
    assert_eq!(found.next(), None, "{name} {labels:?} is more than one series");
    Some(first.value)
}

fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no sample: {line}"));
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) =
                rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
            let (value, after) = quoted(after).unwrap_or_else(|| panic!("no value: {line}"));
            assert_eq!(labels.insert(label.to_owned(), value), None, "{line}");
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("no value: {line}"));
    assert!(value.parse::<f64>().is_ok(), "no number: {line}");
    Sample { name: name.to_owned(), labels, value: value.to_owned() }
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                escaped @ ('\\' | '"') => value.push(escaped),
                _ => return None,
            },
            _ => value.push(c),
        }
    }
    None
}
