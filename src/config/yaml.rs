//! YAML text becomes a JSON value without losing a digit, or one problem with its line.
//!
//! Aliases, depth, nodes and documents are bounded, keys are unique, and only `true` and `false`
//! are booleans (`no` is Norway).

use std::fmt;

use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::{Error, Options, Spanned};

/// The longest text that is read, bytes.
const LONGEST_TEXT: usize = 4 * 1024 * 1024;

/// Reads one YAML document. An empty one is null.
///
/// # Errors
/// What is wrong and in which line, without the line's text: it may hold a secret.
pub(super) fn read(text: &str) -> Result<Value, String> {
    if text.len() > LONGEST_TEXT {
        return Err(format!(
            "failed to read the configuration: it has {} bytes, more than the {LONGEST_TEXT} of any sensible one",
            text.len()
        ));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root: Spanned<Node> = serde_saphyr::from_str_with_options(text, options())
        .map_err(|error| explain(&error, text))?;
    Ok(value(root, text))
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 400_000,
            max_nodes: 100_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_depth: 64,
            max_documents: 2,
            max_total_scalar_bytes: LONGEST_TEXT,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 20_000 },
        leading_zero_numbers_as_strings: true,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

fn explain(error: &Error, text: &str) -> String {
    let plain = error.without_snippet();
    let whole = match plain {
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the key `{key}` is written twice")
        }
        Error::MultipleDocuments { .. } => "want one document, found a second one".to_owned(),
        other => other.render_with_formatter(&serde_saphyr::UserMessageFormatter),
    };
    let reason = whole.lines().next().unwrap_or("no reason given").trim();
    let mut message = match error.location() {
        Some(at) if !reason.contains("line ") => {
            format!("failed to read YAML at line {}, column {}: {reason}", at.line(), at.column())
        }
        _ => format!("failed to read YAML: {reason}"),
    };
    let tab = text.lines().position(|line| {
        line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t') && !line.trim().is_empty()
    });
    if let Some(index) = tab {
        message.push_str(&format!("; line {} is indented with a tab, use spaces", index + 1));
    }
    message
}

/// What stands in the text, with the place of each part: a number's own digits are there.
enum Node {
    Null,
    Bool(bool),
    Integer(serde_json::Number),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Node>>),
    Mapping(Vec<(String, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut mapping: Vec<(String, Spanned<Node>)> = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<Node>>()? {
            let key = match key.value {
                Node::Text(key) => key,
                Node::Integer(number) => number.to_string(),
                Node::Bool(value) => value.to_string(),
                _ => {
                    let line = key.referenced.line();
                    return Err(A::Error::custom(format!("a key must be a word at line {line}")));
                }
            };
            mapping.push((key, entries.next_value()?));
        }
        Ok(Node::Mapping(mapping))
    }
}

fn value(node: Spanned<Node>, text: &str) -> Value {
    match node.value {
        Node::Null => Value::Null,
        Node::Bool(value) => Value::Bool(value),
        Node::Integer(number) => Value::Number(number),
        Node::Float(float) => number(float, written(node.defined, text)),
        Node::Text(value) => Value::String(value),
        Node::List(items) => items.into_iter().map(|item| value(item, text)).collect(),
        Node::Mapping(entries) => Value::Object(
            entries.into_iter().map(|(key, item)| (key, value(item, text))).collect::<Map<_, _>>(),
        ),
    }
}

fn written(at: serde_saphyr::Location, text: &str) -> Option<&str> {
    let span = at.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let length = usize::try_from(span.byte_len()?).ok()?;
    text.get(start..start.checked_add(length)?).map(str::trim)
}

/// A number where binary floating point tells exactly what is written; else the written digits as
/// text, which every decimal of the configuration reads as well.
fn number(float: f64, written: Option<&str>) -> Value {
    let exact = written.and_then(|digits| {
        digits.parse::<Decimal>().or_else(|_| Decimal::from_scientific(digits)).ok()
    });
    let told = serde_json::Number::from_f64(float);
    match (written, told) {
        (_, Some(told)) if exact.is_some() && told.to_string().parse().ok() == exact => {
            Value::Number(told)
        }
        (Some(digits), _) => Value::String(digits.to_owned()),
        (None, Some(told)) => Value::Number(told),
        (None, None) => Value::Null,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn digits_that_binary_cannot_hold_stay_as_they_are_written() {
        let text =
            "a: 50000.10\nb: 50_000\nc: 12345678901234567.89\nd: [0.1, 1e3]\ne: -2.50 # note\n";
        assert_eq!(
            read(text).unwrap(),
            json!({
                "a": 50000.10, "b": 50000, "c": "12345678901234567.89", "d": [0.1, 1000.0],
                "e": -2.5,
            })
        );
    }

    #[test]
    fn digits_behind_an_alias_stay_as_they_are_written() {
        let text = "é: &x 12345678901234567.89\nb: *x\nc: {d: *x}\n";
        let exact = "12345678901234567.89";
        assert_eq!(read(text).unwrap(), json!({"é": exact, "b": exact, "c": {"d": exact}}));
    }

    #[test]
    fn a_number_past_every_decimal_stays_as_it_is_written() {
        let long = "1234567890123456789012345678901234567890";
        assert_eq!(read(&format!("a: {long}")).unwrap(), json!({ "a": long }));
    }

    #[test]
    fn account_numbers_keep_their_leading_zero() {
        assert_eq!(read("id: 012345678901").unwrap(), json!({"id": "012345678901"}));
    }

    #[test]
    fn norway_is_not_false() {
        assert_eq!(read("country: no\non: yes").unwrap(), json!({"country": "no", "on": "yes"}));
    }

    #[test]
    fn a_byte_order_mark_and_windows_lines_are_read() {
        assert_eq!(read("\u{feff}a: 1.5\r\nb: 2\r\n").unwrap(), json!({"a": 1.5, "b": 2}));
    }

    #[test]
    fn nothing_is_null() {
        for text in ["", "\n", "# only a comment\n", "---\n", "\u{feff}"] {
            assert_eq!(read(text).unwrap(), Value::Null, "{text:?}");
        }
    }

    #[test]
    fn syntax_errors_name_the_line_and_show_no_text() {
        for (text, line) in [
            ("a: 1\n\tb: hunter2\n", "line 2"),
            ("a: 1\nb: hunter2\na: hunter2\n", "line 3"),
            ("a: [1, hunter2\nb: 2\n", "line 2"),
            ("a: *hunter2\n", "line 1"),
            ("a: 1\n---\nb: hunter2\n", "line 3"),
            ("a: \"hunter2\n", "line "),
            ("a: .nan", "line 1"),
            ("a: !secret hunter2", "line 1"),
            ("? [a, b]\n: hunter2", "line 1"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(line), "{text:?}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
            assert!(!error.contains("hunter2") || text.contains("*hunter2"), "{error}");
        }
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a: &a [x, x, x, x, x, x, x, x, x]\n");
        for (before, name) in "abcdefgh".chars().zip("bcdefghi".chars()) {
            let items = vec![format!("*{before}"); 9].join(", ");
            text.push_str(&format!("{name}: &{name} [{items}]\n"));
        }
        let error = read(&text).unwrap_err();
        assert!(error.contains("too complex"), "{error}");
    }

    #[test]
    fn depth_and_length_are_bounded() {
        assert!(read(&format!("a: {}{}", "[".repeat(5_000), "]".repeat(5_000))).is_err());
        assert!(read(&"x".repeat(LONGEST_TEXT + 1)).unwrap_err().contains("bytes"));
    }

    #[test]
    fn a_megabyte_of_garbage_is_refused_or_read_as_text() {
        let mut seed = 88_172_645_463_325_252_u64;
        let garbage: String = (0..1_048_576)
            .map(|_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                char::from(u8::try_from(seed % 128).unwrap())
            })
            .collect();
        assert!(read(&garbage).is_err());
        assert!(read(&"- \n".repeat(350_000)).unwrap_err().contains("failed to read YAML"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}|[-a-c:\\[\\]{}&*!|>'\"%@`#,? \\n\\t0-9.]{0,200}") {
            let _ = read(&text);
        }

        #[test]
        fn every_decimal_is_read_as_it_is_written(mantissa in any::<i64>(), scale in 0_u32..18) {
            let decimal = Decimal::new(mantissa, scale);
            let read = match read(&format!("a: {decimal}")).unwrap().get("a").unwrap() {
                Value::String(text) => text.clone(),
                number => number.to_string(),
            };
            let back = read.parse::<Decimal>().or_else(|_| Decimal::from_scientific(&read)).unwrap();
            prop_assert_eq!(back, decimal);
        }
    }
}
