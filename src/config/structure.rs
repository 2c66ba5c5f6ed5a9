//! Holds a whole configuration against its schema: every fault at once, each with its path.
//!
//! What is unsound is taken out of the value, so that the rest can be looked at further; the paths
//! of what was taken out are kept, so that nothing is reported twice.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::config::problems::Problems;
use crate::config::schema::{Document, Shape};
use crate::config::values::check_text;
use crate::domain::identity::Provider;

/// Keys that had another name: the old one's path, with `[]` for any index, and the new key.
pub(super) type Renamed<'a> = &'a [(&'a str, &'a str)];

/// Keys that had another name in a released version.
pub(super) const RENAMED: Renamed<'static> = &[("notify.webhooks", "webhook")];

/// What was found wrong, and where nothing more needs to be said.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The faults so far.
    pub(super) problems: Problems,
    excused: BTreeSet<String>,
}

impl Findings {
    /// Notes a fault, unless the place or what holds it is already faulty.
    pub(super) fn add(&mut self, path: &str, message: impl Into<String>) {
        if !self.is_excused(path) {
            self.problems.add(path, message);
        }
    }

    /// Whether a place or what holds it is faulty, or is what a misspelt key was meant to be.
    pub(super) fn is_excused(&self, path: &str) -> bool {
        let ends = path.char_indices().filter(|(_, c)| matches!(c, '.' | '[')).map(|(at, _)| at);
        ends.chain([path.len()])
            .any(|end| path.get(..end).is_some_and(|part| self.excused.contains(part)))
    }

    /// Whether nothing at a place or below it is faulty.
    pub(super) fn is_sound(&self, path: &str) -> bool {
        let below = |start: &str| {
            let next = self.excused.range(start.to_owned()..).next();
            next.is_some_and(|fault| fault.starts_with(start))
        };
        !self.is_excused(path) && !below(&format!("{path}.")) && !below(&format!("{path}["))
    }

    fn fault(&mut self, path: &str, message: impl Into<String>) {
        self.problems.add(path, message);
        self.excused.insert(path.to_owned());
    }
}

/// Holds `value` against the schema, takes out what is unsound and notes why.
pub(super) fn check(
    document: &Document<'_>,
    renamed: Renamed<'_>,
    value: &mut Value,
    findings: &mut Findings,
) {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    let mut checker = Checker { document, renamed, findings: std::mem::take(findings) };
    if !checker.check(document.0, value, "") {
        *value = Value::Object(Map::new());
    }
    *findings = checker.findings;
}

/// The path of a key below a path.
pub(super) fn join(path: &str, key: &str) -> String {
    let plain = !key.is_empty()
        && key.len() <= 64
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    match (plain, path) {
        (true, "") => key.to_owned(),
        (true, _) => format!("{path}.{key}"),
        (false, _) => format!("{path}[{:?}]", shorten(key)),
    }
}

/// The nearest of some words, where one is near enough to have been meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let allowed = (lower.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&lower, &known.to_lowercase()), known))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, known)| known)
}

/// Words in backticks, with commas.
pub(super) fn quoted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

struct Checker<'a> {
    document: &'a Document<'a>,
    renamed: Renamed<'a>,
    findings: Findings,
}

impl Checker<'_> {
    /// Whether the value may stay.
    fn check(&mut self, schema: &Value, value: &mut Value, path: &str) -> bool {
        let shapes = self.document.shapes(schema);
        if shapes.iter().any(|shape| shape.schema.is_empty()) {
            return true;
        }
        if let Some(words) = shapes.iter().map(Shape::words).collect::<Option<Vec<_>>>() {
            return self.check_word(&words.concat(), value, path);
        }
        if let [shape] = shapes.as_slice() {
            return self.check_shape(shape, value, path);
        }
        let fitting: Vec<&Shape> =
            shapes.iter().filter(|shape| shape.admits(kind_of(value))).collect();
        match fitting.as_slice() {
            [] => self.refuse_type(&shapes.iter().collect::<Vec<_>>(), value, path),
            [shape] => self.check_shape(shape, value, path),
            several => {
                let faults = |shape: &&&Shape| {
                    let mut trial = Checker {
                        document: self.document,
                        renamed: self.renamed,
                        findings: Findings::default(),
                    };
                    trial.check_shape(shape, &mut value.clone(), path);
                    trial.findings.problems.len()
                };
                match several.iter().min_by_key(faults) {
                    Some(best) => self.check_shape(best, value, path),
                    None => true,
                }
            }
        }
    }

    fn check_shape(&mut self, shape: &Shape, value: &mut Value, path: &str) -> bool {
        if shape.is_secret() {
            return self.check_secret(value, path);
        }
        if let (Some(name), Value::String(_) | Value::Number(_)) = (&shape.name, &*value)
            && let Some(outcome) = check_text(name, &text_of(value))
        {
            return match outcome {
                Ok(()) if shape.admits(kind_of(value)) => true,
                Ok(()) => self.refuse_type(&[shape], value, path),
                Err(message) => self.fault(path, message),
            };
        }
        if let Some(words) = shape.words() {
            return self.check_word(&words, value, path);
        }
        let kind = kind_of(value);
        if !shape.admits(kind) {
            return self.refuse_type(&[shape], value, path);
        }
        match value {
            Value::Object(entries) => self.check_object(shape, entries, path),
            Value::Array(items) => self.check_list(shape, items, path),
            Value::String(text) => self.check_string(shape, text, path),
            Value::Number(number) => self.check_number(shape, number, path),
            Value::Null | Value::Bool(_) => true,
        }
    }

    fn check_object(
        &mut self,
        shape: &Shape,
        entries: &mut Map<String, Value>,
        path: &str,
    ) -> bool {
        let written: BTreeSet<String> = entries
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, _)| key.clone())
            .collect();
        entries.retain(|key, value| {
            let place = join(path, key);
            match shape.property(key) {
                None => {
                    self.refuse_key(shape, &written, key, path);
                    false
                }
                // A key without a value is a key that was not written.
                Some(_) if value.is_null() => false,
                Some(schema) => self.check(schema, value, &place),
            }
        });
        for key in shape.required() {
            let place = join(path, key);
            if !written.contains(key) && !self.findings.is_excused(&place) {
                self.fault(&place, "is missing");
            }
        }
        true
    }

    fn refuse_key(&mut self, shape: &Shape, written: &BTreeSet<String>, key: &str, path: &str) {
        let place = join(path, key);
        let pattern = without_indexes(&place);
        if let Some((_, new)) = self.renamed.iter().find(|(old, _)| *old == pattern) {
            self.findings.excused.insert(join(path, new));
            self.fault(&place, format!("was renamed: write `{new}`"));
            return;
        }
        let keys = shape.keys();
        if path == "sources" && Provider::ALL.iter().any(|provider| provider.as_str() == key) {
            let message = format!("this build has no such sources, only {}", quoted(keys));
            self.fault(&place, message);
            return;
        }
        let free = keys.iter().copied().filter(|known| !written.contains(*known));
        match nearest(key, free) {
            Some(meant) => {
                self.findings.excused.insert(join(path, meant));
                self.fault(&place, format!("is not a known key: did you mean `{meant}`?"));
            }
            None => {
                let message = format!("is not a known key: want one of {}", quoted(keys));
                self.fault(&place, message);
            }
        }
    }

    fn check_list(&mut self, shape: &Shape, items: &mut Vec<Value>, path: &str) -> bool {
        let least = shape.schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        if u64::try_from(items.len()).is_ok_and(|count| count < least) {
            return self.fault(path, format!("has {} entries: want at least {least}", items.len()));
        }
        let Some(schema) = shape.schema.get("items") else { return true };
        let holds_objects = self.document.shapes(schema).iter().all(|shape| shape.admits("object"));
        let mut index = 0_usize;
        items.retain_mut(|item| {
            let place = format!("{path}[{index}]");
            index += 1;
            let sound = self.check(schema, item, &place);
            // A place is kept for a faulty entry, so that the others keep their index.
            if !sound && holds_objects {
                *item = Value::Object(Map::new());
            }
            sound || holds_objects
        });
        true
    }

    fn check_string(&mut self, shape: &Shape, text: &str, path: &str) -> bool {
        let least = shape.schema.get("minLength").and_then(Value::as_u64).unwrap_or(0);
        if least > 0 && text.is_empty() {
            return self.fault(path, "is empty");
        }
        let pattern = shape.schema.get("pattern").and_then(Value::as_str);
        let Some(pattern) = pattern else { return true };
        // A pattern that this engine cannot read is for the type's own reader to judge.
        match regex_lite::Regex::new(pattern) {
            Ok(regex) if !regex.is_match(text) => {
                self.fault(path, format!("`{}` does not match `{pattern}`", shorten(text)))
            }
            _ => true,
        }
    }

    fn check_number(&mut self, shape: &Shape, number: &serde_json::Number, path: &str) -> bool {
        let bound = |key: &str| shape.schema.get(key).and_then(Value::as_f64);
        let (Some(told), least, most) = (number.as_f64(), bound("minimum"), bound("maximum"))
        else {
            return true;
        };
        if least.is_some_and(|least| told < least) || most.is_some_and(|most| told > most) {
            let side = |key: &str| shape.schema.get(key).map(Value::to_string);
            let range = match (side("minimum"), side("maximum")) {
                (Some(least), Some(most)) => format!("from {least} to {most}"),
                (Some(least), None) => format!("of at least {least}"),
                (None, most) => format!("of at most {}", most.unwrap_or_default()),
            };
            return self.fault(path, format!("`{number}` is out of range: want a number {range}"));
        }
        true
    }

    fn check_word(&mut self, words: &[&str], value: &Value, path: &str) -> bool {
        let list = quoted(words.iter().copied());
        let Value::String(word) = value else {
            return self.fault(path, format!("want one of {list}, found {}", found(value)));
        };
        if words.contains(&word.as_str()) {
            return true;
        }
        let shown = shorten(word);
        let message = match nearest(word, words.iter().copied()) {
            Some(meant) => format!("`{shown}` is not one of {list}: did you mean `{meant}`?"),
            None => format!("`{shown}` is not one of {list}"),
        };
        self.fault(path, message)
    }

    /// Checks a reference to a secret. No message repeats anything that was written: whatever
    /// stands here instead of a reference may be the secret itself.
    fn check_secret(&mut self, value: &mut Value, path: &str) -> bool {
        const WANT: &str = "want `file: PATH` or `env: VARIABLE`";
        let Value::Object(entries) = value else {
            return self
                .fault(path, format!("a secret is never written in the configuration: {WANT}"));
        };
        entries.retain(|_, value| !value.is_null());
        if entries.keys().any(|key| key != "file" && key != "env") {
            return self.fault(path, format!("has a key besides `file` and `env`: {WANT}"));
        }
        let variable = |text: &str| {
            !text.starts_with(|c: char| c.is_ascii_digit())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        match (entries.get("file"), entries.get("env")) {
            (Some(Value::String(file)), None) if !file.is_empty() => true,
            (None, Some(Value::String(name))) if !name.is_empty() && variable(name) => true,
            (None, Some(_)) => self.fault(path, "`env` is not the name of an environment variable"),
            (Some(_), None) => self.fault(path, "`file` is not the path of a file"),
            _ => self.fault(path, format!("{WANT}, exactly one of the two")),
        }
    }

    fn refuse_type(&mut self, shapes: &[&Shape], value: &Value, path: &str) -> bool {
        let mut wanted: Vec<&str> = Vec::new();
        for kind in shapes.iter().flat_map(|shape| shape.types()) {
            let words = match kind {
                "object" => "a mapping",
                "array" => "a list",
                "string" => "text",
                "integer" => "a whole number",
                "number" => "a number",
                "boolean" => "`true` or `false`",
                _ => "nothing",
            };
            if !wanted.contains(&words) {
                wanted.push(words);
            }
        }
        // Where no text is wanted, text may be a secret at the wrong place.
        let unsafe_to_show = shapes.iter().any(|shape| shape.is_secret())
            || shapes.iter().all(|shape| shape.admits("object") || shape.admits("array"));
        let found = match value {
            Value::String(_) if unsafe_to_show => "text".to_owned(),
            other => found(other),
        };
        let hint = match value {
            Value::Number(_) | Value::Bool(_) if wanted.contains(&"text") => "; put it in quotes",
            _ => "",
        };
        self.fault(path, format!("want {}, found {found}{hint}", wanted.join(" or ")))
    }

    fn fault(&mut self, path: &str, message: impl Into<String>) -> bool {
        self.findings.fault(path, message);
        false
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(number) => format!("the number `{number}`"),
        Value::String(text) => format!("the text `{}`", shorten(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

/// A text on one line, at most 60 characters of it.
fn shorten(text: &str) -> String {
    let mut short: String =
        text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(60).is_some() {
        short.push_str("...");
    }
    short
}

fn without_indexes(path: &str) -> String {
    let mut pattern = String::new();
    let mut inside = false;
    for c in path.chars() {
        inside = inside && c != ']';
        if !inside {
            pattern.push(c);
        }
        inside = inside || c == '[';
    }
    pattern
}

#[cfg(test)]
mod tests;
