//! The configuration's JSON Schema as tables for people: every key with what it takes.

use std::fmt::Write;

use serde_json::Value;

/// One table for everything but the sources, and one for each kind of source.
pub fn tables(schema: &Value) -> String {
    let mut out = String::new();
    let mut rest = schema.clone();
    let sources = rest["properties"].as_object_mut().unwrap().remove("sources").unwrap();
    let alerts = rest["properties"].as_object_mut().unwrap().remove("alerts").unwrap();
    table(&mut out, "Everything but sources and alerts", schema, &rest);
    alert_tables(&mut out, schema, &alerts);
    for (kind, list) in sources["properties"].as_object().unwrap() {
        let title = format!("One entry of `sources.{kind}`");
        let (entry, _) = resolve(schema, &list["items"]);
        table(&mut out, &title, schema, entry);
    }
    out.trim_end().to_owned() + "\n"
}

/// The rules, and every key of their entries once: most rules take the same ones.
fn alert_tables(out: &mut String, schema: &Value, alerts: &Value) {
    let (alerts, _) = resolve(schema, alerts);
    let rules = alerts["properties"].as_object().unwrap();
    out.push_str("### Rules of `alerts`\n\n| key | takes | meaning |\n|---|---|---|\n");
    let mut keys: Vec<(String, Vec<&str>)> = Vec::new();
    for (rule, list) in rules {
        let meaning = list["description"].as_str().unwrap().replace('\n', " ");
        let _ = writeln!(out, "| `alerts.{rule}[]` | entries | {meaning} |");
        let (list, _) = resolve(schema, list);
        let (entry, _) = resolve(schema, &list["items"]);
        let mut own = String::new();
        rows(&mut own, schema, entry, "");
        for line in own.lines() {
            match keys.iter_mut().find(|(known, _)| known == line) {
                Some((_, of)) => of.push(rule),
                None => keys.push((line.to_owned(), vec![rule])),
            }
        }
    }
    out.push_str("\n### Keys of an entry of `alerts`\n\n");
    out.push_str("| key | takes | meaning | rules |\n|---|---|---|---|\n");
    for (line, of) in keys {
        let of = if of.len() == rules.len() {
            "all".to_owned()
        } else {
            of.iter().map(|rule| format!("`{rule}`")).collect::<Vec<_>>().join(", ")
        };
        let _ = writeln!(out, "{line} {of} |");
    }
    out.push('\n');
}

fn table(out: &mut String, title: &str, schema: &Value, object: &Value) {
    let _ = writeln!(out, "### {title}\n\n| key | takes | meaning |\n|---|---|---|");
    rows(out, schema, object, "");
    out.push('\n');
}

/// One row for each key, an object's own keys below it.
fn rows(out: &mut String, schema: &Value, object: &Value, prefix: &str) {
    let required = object["required"].as_array().cloned().unwrap_or_default();
    let Some(properties) = object["properties"].as_object() else { return };
    for (name, property) in properties {
        let (resolved, kind) = resolve(schema, property);
        let is_list = resolved["type"] == "array"
            || resolved["type"].as_array().is_some_and(|types| types.contains(&"array".into()));
        let (item, item_kind) = match is_list {
            true => resolve(schema, &resolved["items"]),
            false => (resolved, kind.clone()),
        };
        let path = format!("{prefix}{name}{}", if is_list { "[]" } else { "" });
        let nested = item["properties"].is_object() && item_kind.as_deref() != Some("SecretRef");
        let takes = match (is_list, nested) {
            (true, true) => "entries".to_owned(),
            (false, true) => "keys".to_owned(),
            (true, false) => format!("list of {}", words(schema, item, item_kind.as_deref())),
            (false, false) => words(schema, item, item_kind.as_deref()),
        };
        let needed = if required.contains(&Value::from(name.as_str())) { ", required" } else { "" };
        let meaning = property["description"]
            .as_str()
            .or_else(|| resolved["description"].as_str())
            .unwrap_or_else(|| panic!("`{path}` has no description"));
        let meaning = meaning.replace('\n', " ").replace('|', "\\|");
        let _ = writeln!(out, "| `{path}` | {takes}{needed} | {meaning} |");
        if nested {
            rows(out, schema, item, &format!("{path}."));
        }
    }
}

/// Follows references and leaves out `null`; with the name of the definition.
fn resolve<'a>(schema: &'a Value, part: &'a Value) -> (&'a Value, Option<String>) {
    if let Some(reference) = part["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        let definition = &schema["$defs"][name];
        assert!(definition.is_object(), "`{reference}` is not defined");
        let (resolved, deeper) = resolve(schema, definition);
        return (resolved, deeper.or_else(|| Some(name.to_owned())));
    }
    let branches: Vec<&Value> = part["anyOf"]
        .as_array()
        .map(|branches| branches.iter().filter(|branch| branch["type"] != "null").collect())
        .unwrap_or_default();
    match branches.as_slice() {
        [one] => resolve(schema, one),
        _ => (part, None),
    }
}

/// What a value looks like.
fn words(schema: &Value, part: &Value, name: Option<&str>) -> String {
    let known = match name {
        Some("Span") => "span",
        Some("ByteSize") => "size",
        Some("Amount") => "amount",
        Some("Figure") => "number",
        Some("Day") => "day",
        Some("CurrencyCode") => "currency",
        Some("SecretRef") => "secret",
        _ => "",
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    let branches = part["oneOf"].as_array().or_else(|| part["anyOf"].as_array());
    if let Some(branches) = branches {
        let each: Vec<String> = branches
            .iter()
            .map(|branch| {
                let (resolved, name) = resolve(schema, branch);
                words(schema, resolved, name.as_deref())
            })
            .collect();
        return each.join(", ");
    }
    if let Some(constant) = part["const"].as_str() {
        return format!("`{constant}`");
    }
    if let Some(values) = part["enum"].as_array() {
        let each: Vec<String> =
            values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
        return each.join(", ");
    }
    let types: Vec<&str> = match &part["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    match types.iter().find(|kind| **kind != "null") {
        Some(&"string") => "text",
        Some(&"integer" | &"number") => "number",
        Some(&"boolean") => "`true`, `false`",
        Some(&"object") => "amount by name",
        other => panic!("a key takes {other:?}: {part}"),
    }
    .to_owned()
}
