//! Overrides from the environment: `COSTBAND__STORE__PATH=/x` sets `store.path`.
//!
//! Keys are matched against the schema whatever their case, list entries by their index. A value
//! is read as YAML, or taken as it is where only text is wanted; an empty one unsets its key.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::config::problems::Problems;
use crate::config::schema::{Document, Shape};
use crate::config::structure::{join, nearest};
use crate::config::yaml;

/// What every override begins with. One more underscore than the program's own variables have.
const PREFIX: &str = "COSTBAND__";

enum Step {
    Key(String),
    Index(usize),
}

/// Sets what the environment overrides. Returns which variable set which path.
pub(super) fn apply(
    document: &Document<'_>,
    environment: &BTreeMap<String, String>,
    value: &mut Value,
    problems: &mut Problems,
) -> BTreeMap<String, String> {
    let mut set: BTreeMap<String, String> = BTreeMap::new();
    for (variable, text) in environment {
        let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
        let (steps, shapes) = match walk(document, rest) {
            Ok(found) => found,
            Err(meant) => {
                let hint = meant.map(|meant| format!(": did you mean `{meant}`?"));
                problems.add(
                    "",
                    format!(
                        "the environment variable `{variable}` matches no key{}",
                        hint.unwrap_or_default()
                    ),
                );
                continue;
            }
        };
        let path = path_of(&steps);
        if let Some(other) = set.get(&path) {
            problems.add(
                path,
                format!("is set by two environment variables, `{other}` and `{variable}`"),
            );
            continue;
        }
        let text_only = !shapes.is_empty()
            && shapes.iter().all(|shape| shape.words().is_some() || shape.types() == ["string"]);
        let parsed = match (text.is_empty(), text_only) {
            (true, _) => Ok(Value::Null),
            (false, true) => Ok(Value::String(text.clone())),
            (false, false) => yaml::read(text),
        };
        let outcome = parsed.and_then(|parsed| put(value, &steps, parsed));
        set.insert(path.clone(), variable.clone());
        if let Err(reason) = outcome {
            problems.add(path, format!("{reason}, from the environment variable `{variable}`"));
        }
    }
    set
}

/// The way to what a variable names, with the shapes that may stand there; else the variable that
/// was perhaps meant.
fn walk(document: &Document<'_>, rest: &str) -> Result<(Vec<Step>, Vec<Shape>), Option<String>> {
    let segments: Vec<&str> = rest.split("__").collect();
    let mut steps = Vec::new();
    let mut shapes = document.shapes(document.0);
    for (place, segment) in segments.iter().enumerate() {
        let items: Vec<&Value> =
            shapes.iter().filter_map(|shape| shape.schema.get("items")).collect();
        let index = segment.parse::<usize>().ok().filter(|_| !items.is_empty());
        let (step, next) = match index {
            Some(index) => (Step::Index(index), items),
            None => match key(&shapes, segment) {
                Ok((key, schemas)) => (Step::Key(key), schemas),
                Err(meant) => {
                    return Err(meant.map(|meant| {
                        let mut segments: Vec<String> =
                            segments.iter().map(|segment| (*segment).to_owned()).collect();
                        if let Some(wrong) = segments.get_mut(place) {
                            *wrong = meant.to_uppercase();
                        }
                        format!("{PREFIX}{}", segments.join("__"))
                    }));
                }
            },
        };
        steps.push(step);
        shapes = next.into_iter().flat_map(|schema| document.shapes(schema)).collect();
    }
    Ok((steps, shapes))
}

fn key<'a>(shapes: &'a [Shape], segment: &str) -> Result<(String, Vec<&'a Value>), Option<String>> {
    let keyed: Vec<&Shape> = shapes.iter().filter(|shape| shape.admits("object")).collect();
    let listed = keyed.iter().flat_map(|shape| shape.keys());
    let name = listed
        .clone()
        .find(|key| key.eq_ignore_ascii_case(segment))
        .map_or_else(|| segment.to_ascii_lowercase(), str::to_owned);
    let schemas: Vec<&Value> = keyed.iter().filter_map(|shape| shape.property(&name)).collect();
    if segment.is_empty() || schemas.is_empty() {
        return Err(nearest(segment, listed).map(str::to_owned));
    }
    Ok((name, schemas))
}

fn path_of(steps: &[Step]) -> String {
    steps.iter().fold(String::new(), |path, step| match step {
        Step::Key(key) => join(&path, key),
        Step::Index(index) => format!("{path}[{index}]"),
    })
}

/// Puts a value at the end of a way, and what is missing on the way.
fn put(mut at: &mut Value, steps: &[Step], value: Value) -> Result<(), String> {
    for step in steps {
        match step {
            Step::Key(key) => {
                if at.is_null() {
                    *at = Value::Object(Map::new());
                }
                // Whatever else stands here is a fault of the file, which is told as such.
                let Value::Object(entries) = at else { return Ok(()) };
                at = entries.entry(key.clone()).or_insert(Value::Null);
            }
            Step::Index(index) => {
                if at.is_null() {
                    *at = Value::Array(Vec::new());
                }
                let Value::Array(items) = at else { return Ok(()) };
                if *index == items.len() {
                    items.push(Value::Null);
                }
                let count = items.len();
                at = items.get_mut(*index).ok_or_else(|| {
                    format!("the list has {count} entries, the next one has the index {count}")
                })?;
            }
        }
    }
    *at = value;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        let sources = &[crate::config::schema::SourceSchema {
            name: "aws",
            schema: |_| schemars::json_schema!({"type": "object"}),
        }];
        crate::config::schema::schema(crate::config::Kinds { sources, ..Default::default() })
    }

    fn apply_to(mut value: Value, variables: &[(&str, &str)]) -> (Value, Vec<String>) {
        let schema = schema();
        let mut problems = Problems::new();
        let environment =
            variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        apply(&Document(&schema), &environment, &mut value, &mut problems);
        (value, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_variable_sets_what_it_names_and_makes_the_way() {
        let (value, problems) = apply_to(
            json!({"bands": [{"name": "a", "ceiling": 5}]}),
            &[
                ("COSTBAND__STORE__PATH", "/x"),
                ("costband__ignored", "lower case"),
                ("COSTBAND_CONFIG", "not an override"),
                ("COSTBAND__BANDS__0__CEILING", "50000.10"),
                ("COSTBAND__BANDS__1__NAME", "007"),
                ("COSTBAND__BANDS__1__sources", "[x, y]"),
                ("COSTBAND__SOURCES__AWS__0__ACCOUNT_ID", "\"012345678901\""),
                ("COSTBAND__SERIES__LIMIT_PER_DIMENSION", "50"),
            ],
        );
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(
            value,
            json!({
                "store": {"path": "/x"},
                "bands": [{"name": "a", "ceiling": 50000.10}, {"name": "007", "sources": ["x", "y"]}],
                "sources": {"aws": [{"account_id": "012345678901"}]},
                "series": {"limit_per_dimension": 50},
            })
        );
    }

    #[test]
    fn an_empty_variable_unsets_its_key() {
        let (value, _) =
            apply_to(json!({"store": {"path": "/x"}}), &[("COSTBAND__STORE__PATH", "")]);
        assert_eq!(value, json!({"store": {"path": null}}));
    }

    #[test]
    fn a_variable_that_matches_nothing_is_named_with_the_one_that_was_meant() {
        let (_, problems) = apply_to(
            json!({}),
            &[
                ("COSTBAND__STORE__PAHT", "hunter2"),
                ("COSTBAND__NOTIFY__WEBHOOK__FIRST__NAME", "hunter2"),
                ("COSTBAND__", "hunter2"),
                ("COSTBAND__BANDS__3__NAME", "hunter2"),
                ("COSTBAND__LISTEN__0", "hunter2"),
                ("COSTBAND__SERIES", "[hunter2"),
                ("COSTBAND__STORE__PATH", "a"),
                ("COSTBAND__store__path", "b"),
            ],
        );
        assert_eq!(
            problems,
            [
                "the environment variable `COSTBAND__` matches no key",
                "`bands[3].name`: the list has 0 entries, the next one has the index 0, from the environment variable `COSTBAND__BANDS__3__NAME`",
                "the environment variable `COSTBAND__LISTEN__0` matches no key",
                "the environment variable `COSTBAND__NOTIFY__WEBHOOK__FIRST__NAME` matches no key",
                "`series`: failed to read YAML: unclosed bracket '[' at line 1, column 1, from the environment variable `COSTBAND__SERIES`",
                "the environment variable `COSTBAND__STORE__PAHT` matches no key: did you mean `COSTBAND__STORE__PATH`?",
                "`store.path`: is set by two environment variables, `COSTBAND__STORE__PATH` and `COSTBAND__store__path`",
            ]
        );
    }
}
