//! The JSON Schema of the configuration, generated from the types, and how it is read.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::config::Kinds;
use crate::config::file::FileConfig;

/// One kind of billing source or receiver as the configuration sees it.
#[derive(Clone, Copy)]
pub struct SourceSchema {
    /// The key under `sources` or `notify`.
    pub name: &'static str,
    /// The JSON Schema of one entry.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

/// The JSON Schema (draft 2020-12) of a configuration with these kinds of entries.
pub fn schema(kinds: Kinds<'_>) -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut root = FileConfig::json_schema(&mut generator).to_value();
    for (key, kinds, what) in [
        ("sources", kinds.sources, "The billing sources of the kind"),
        ("notify", kinds.receivers, "The receivers of the kind"),
    ] {
        let mut properties = Map::new();
        for kind in kinds {
            let items = (kind.schema)(&mut generator).to_value();
            let description = format!("{what} `{}`.", kind.name);
            let list = json!({"type": "array", "items": items, "description": description});
            properties.insert(kind.name.to_owned(), list);
        }
        if let Some(entries) = root.pointer_mut(&format!("/properties/{key}")) {
            let description = entries.get("description").cloned().unwrap_or_default();
            *entries = json!({
                "type": "object",
                "description": description,
                "properties": properties,
                "additionalProperties": false,
            });
        }
    }
    if let Value::Object(root) = &mut root {
        root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        root.insert("title".to_owned(), json!("costband configuration"));
        root.insert("$defs".to_owned(), Value::Object(generator.take_definitions(true)));
    }
    close(&mut root);
    root
}

/// Refuses unknown keys wherever keys are listed: a type that flattens another one cannot say so
/// itself.
fn close(schema: &mut Value) {
    let Value::Object(object) = schema else { return };
    let listed = object.contains_key("properties");
    let said = object.contains_key("additionalProperties");
    for key in ["properties", "$defs"] {
        if let Some(Value::Object(entries)) = object.get_mut(key) {
            entries.values_mut().for_each(close);
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(part) = object.get_mut(key) {
            close(part);
        }
    }
    let mut composed = object.contains_key("allOf");
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(branches)) = object.get_mut(key) {
            composed = true;
            // Branches beside listed keys are closed together with them.
            if !listed {
                branches.iter_mut().for_each(close);
            }
        }
    }
    if listed && !said {
        let key = if composed { "unevaluatedProperties" } else { "additionalProperties" };
        object.entry(key).or_insert(json!(false));
    }
}

/// One way in which a value may be, with references followed and parts merged.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// The merged schema object; empty for anything.
    pub(super) schema: Map<String, Value>,
    /// The name of the definition it came from, such as `Span`.
    pub(super) name: Option<String>,
}

impl Shape {
    /// The JSON Schema types that it admits; empty for all.
    pub(super) fn types(&self) -> Vec<&str> {
        match self.schema.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ if self.schema.contains_key("const") || self.schema.contains_key("enum") => {
                vec!["string"]
            }
            _ if self.schema.contains_key("properties") => vec!["object"],
            _ => Vec::new(),
        }
    }

    /// Whether it admits a JSON Schema type.
    pub(super) fn admits(&self, kind: &str) -> bool {
        let types = self.types();
        types.is_empty() || types.contains(&kind) || kind == "integer" && types.contains(&"number")
    }

    /// Whether it is nothing but null.
    fn is_null(&self) -> bool {
        self.types() == ["null"]
    }

    /// Whether it is a reference to a secret, by name or written out in place.
    pub(super) fn is_secret(&self) -> bool {
        self.name.as_deref() == Some("SecretRef") || self.keys() == ["env", "file"]
    }

    /// The words that it admits, where it is a closed list of words.
    pub(super) fn words(&self) -> Option<Vec<&str>> {
        match (self.schema.get("const"), self.schema.get("enum")) {
            (Some(Value::String(word)), _) => Some(vec![word]),
            (None, Some(Value::Array(words))) => {
                Some(words.iter().filter_map(Value::as_str).collect())
            }
            _ => None,
        }
    }

    /// The schema of a key; the second part is none for a key that is not known here.
    pub(super) fn property(&self, key: &str) -> Option<&Value> {
        let listed = self.schema.get("properties").and_then(|properties| properties.get(key));
        listed.or_else(|| match self.schema.get("additionalProperties") {
            Some(Value::Bool(false)) => None,
            Some(open) => Some(open),
            None if self.schema.contains_key("properties") => None,
            None => Some(&Value::Bool(true)),
        })
    }

    /// The keys that are listed.
    pub(super) fn keys(&self) -> Vec<&str> {
        let properties = self.schema.get("properties").and_then(Value::as_object);
        properties
            .map(|properties| properties.keys().map(String::as_str).collect())
            .unwrap_or_default()
    }

    /// The keys that must be there.
    pub(super) fn required(&self) -> Vec<&str> {
        let required = self.schema.get("required").and_then(Value::as_array);
        required.map(|keys| keys.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }
}

/// A whole schema, for following references.
pub(super) struct Document<'a>(pub(super) &'a Value);

/// How many references may be followed to reach one shape.
const DEEPEST: usize = 16;

impl Document<'_> {
    /// The ways in which a value under a schema may be, without null: a missing key is told apart
    /// from a wrong one elsewhere.
    pub(super) fn shapes(&self, schema: &Value) -> Vec<Shape> {
        let mut shapes = self.expand(schema, DEEPEST);
        shapes.retain(|shape| !shape.is_null());
        shapes
    }

    fn expand(&self, schema: &Value, depth: usize) -> Vec<Shape> {
        let Value::Object(object) = schema else {
            return vec![Shape { schema: Map::new(), name: None }];
        };
        let Some(depth) = depth.checked_sub(1) else { return Vec::new() };
        let mut own = object.clone();
        let mut shapes = vec![Shape { schema: Map::new(), name: None }];
        if let Some(Value::String(reference)) = own.remove("$ref") {
            let target = reference.strip_prefix('#').and_then(|pointer| self.0.pointer(pointer));
            shapes = target.map(|target| self.expand(target, depth)).unwrap_or_default();
            let name = reference.rsplit('/').next().map(str::to_owned);
            for shape in &mut shapes {
                shape.name = name.clone();
            }
        }
        if let Some(Value::Array(parts)) = own.remove("allOf") {
            for part in &parts {
                shapes = product(&shapes, &self.expand(part, depth));
            }
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(Value::Array(branches)) = own.remove(key) {
                let branches: Vec<Shape> =
                    branches.iter().flat_map(|branch| self.expand(branch, depth)).collect();
                shapes = product(&shapes, &branches);
            }
        }
        if let Some(Value::Array(types)) = own.get_mut("type")
            && types.len() > 1
        {
            types.retain(|kind| kind != "null");
        }
        product(&shapes, &[Shape { schema: own, name: None }])
    }
}

fn product(left: &[Shape], right: &[Shape]) -> Vec<Shape> {
    left.iter()
        .flat_map(|one| {
            right.iter().map(|other| Shape {
                schema: merge(&one.schema, &other.schema),
                name: one.name.clone().or_else(|| other.name.clone()),
            })
        })
        .collect()
}

fn merge(left: &Map<String, Value>, right: &Map<String, Value>) -> Map<String, Value> {
    let mut merged = left.clone();
    for (key, value) in right {
        match (key.as_str(), merged.get_mut(key), value) {
            ("properties", Some(Value::Object(mine)), Value::Object(theirs)) => {
                mine.extend(theirs.clone());
            }
            ("required", Some(Value::Array(mine)), Value::Array(theirs)) => {
                mine.extend(theirs.clone());
            }
            _ => {
                merged.insert(key.clone(), value.clone());
            }
        }
    }
    merged
}
