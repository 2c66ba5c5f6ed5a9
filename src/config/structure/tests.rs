//! What a structural fault says, and what it keeps quiet about.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

const SCHEMA_TEXT: &str = r##"{
    "type": "object",
    "additionalProperties": false,
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "account": {"type": "string", "pattern": "^[0-9]{12}$"},
        "size": {"type": "integer", "minimum": 1, "maximum": 9},
        "ratio": {"type": ["number", "null"]},
        "on": {"type": "boolean"},
        "every": {"anyOf": [{"$ref": "#/$defs/Span"}, {"type": "null"}], "description": "x"},
        "most": {"$ref": "#/$defs/ByteSize"},
        "cap": {"$ref": "#/$defs/Amount"},
        "figure": {"$ref": "#/$defs/Figure"},
        "basis": {"oneOf": [{"const": "billed", "type": "string"}, {"const": "effective"}]},
        "key": {"anyOf": [{"$ref": "#/$defs/SecretRef"}, {"type": "null"}]},
        "either": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/SecretRef"}]},
        "words": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "list": {"type": "array", "items": {"$ref": "#/$defs/Entry"}},
        "how": {"$ref": "#/$defs/How"},
        "open": {"type": "object"},
        "any": true
    },
    "$defs": {
        "Span": {"type": "string"},
        "ByteSize": {"type": "string"},
        "Amount": {"type": "string"},
        "Figure": {"type": ["number", "string"]},
        "SecretRef": {"type": "object", "properties": {"file": {}, "env": {}}},
        "Entry": {
            "type": "object", "properties": {"floor": {"type": "integer"}, "name": {"type": "string"}},
            "required": ["floor"], "additionalProperties": false
        },
        "How": {
            "properties": {"tenant": {"type": "string"}},
            "oneOf": [
                {"type": "object", "properties": {"method": {"const": "profile"}, "profile": {"type": "string"}}, "required": ["method", "profile"]},
                {"type": "object", "properties": {"method": {"const": "static"}, "id": {"type": "string"}}, "required": ["method", "id"]}
            ]
        }
    }
}"##;

fn faults_with(mut value: Value, renamed: Renamed<'_>) -> (Value, Vec<String>) {
    let schema: Value = serde_json::from_str(SCHEMA_TEXT).unwrap();
    let mut findings = Findings::default();
    check(&Document(&schema), renamed, &mut value, &mut findings);
    (value, findings.problems.iter().map(ToString::to_string).collect())
}

fn faults(mut value: Value) -> Vec<String> {
    if let Value::Object(entries) = &mut value {
        entries.entry("name").or_insert(json!("x"));
    }
    faults_with(value, &[]).1
}

fn fault(value: Value) -> String {
    let faults = faults(value.clone());
    assert_eq!(faults.len(), 1, "{value}: {faults:#?}");
    faults.into_iter().next().unwrap()
}

#[test]
fn sound_values_pass_and_stay() {
    let value = json!({
        "name": "x", "account": "012345678901", "size": 3, "ratio": 5, "on": true, "every": "30s",
        "most": "10GB", "cap": "30 USD", "figure": 1.5, "basis": "billed", "key": {"env": "A_B"},
        "either": "x", "words": ["a"], "list": [{"floor": 1}], "open": {"a": [1]}, "any": [null],
        "how": {"method": "static", "id": "x", "tenant": "t"},
    });
    assert_eq!(faults_with(value.clone(), &[]), (value, Vec::new()));
}

#[test]
fn a_misspelt_key_is_told_with_the_one_that_was_meant_and_nothing_is_called_missing() {
    let (_, faults) = faults_with(json!({"nmae": "x"}), &[]);
    assert_eq!(faults, ["`nmae`: is not a known key: did you mean `name`?"]);
    assert!(fault(json!({"zzzzzz": 1})).starts_with("`zzzzzz`: is not a known key: want one of `"));
    // A key that is there already was not meant.
    assert!(!fault(json!({"nmae": "x"})).contains("did you mean `name`"));
}

#[test]
fn a_renamed_key_is_told_with_its_new_name() {
    let value = json!({"name": "x", "list": [{"floor": 1}, {"min": 5}]});
    let (_, faults) = faults_with(value, &[("list[].min", "floor")]);
    assert_eq!(faults, ["`list[1].min`: was renamed: write `floor`"]);
}

#[test]
fn a_missing_key_is_told_once_with_its_path() {
    assert_eq!(faults_with(Value::Null, &[]).1, ["`name`: is missing"]);
    assert_eq!(faults_with(json!({"name": null}), &[]).1, ["`name`: is missing"]);
    assert_eq!(fault(json!({"list": [{"name": "a"}]})), "`list[0].floor`: is missing");
}

#[test]
fn a_wrong_type_is_told_with_what_was_found() {
    for (value, told) in [
        (json!({"on": "yes"}), "`on`: want `true` or `false`, found the text `yes`"),
        (json!({"size": 1.5}), "`size`: want a whole number, found the number `1.5`"),
        (json!({"size": 10}), "`size`: `10` is out of range: want a number from 1 to 9"),
        (json!({"words": "a"}), "`words`: want a list, found text"),
        (json!({"words": []}), "`words`: has 0 entries: want at least 1"),
        (
            json!({"words": ["a", 5]}),
            "`words[1]`: want text, found the number `5`; put it in quotes",
        ),
        (json!({"words": ["a", null]}), "`words[1]`: want text, found nothing"),
        (json!({"list": ["a", {"floor": 1}]}), "`list[0]`: want a mapping, found text"),
        (json!({"open": 5}), "`open`: want a mapping, found the number `5`"),
        (json!({"account": "12"}), "`account`: `12` does not match `^[0-9]{12}$`"),
        (
            json!({"account": 123_456_789_012_u64}),
            "`account`: want text, found the number `123456789012`; put it in quotes",
        ),
        (json!({"name": ""}), "`name`: is empty"),
        (
            json!({"basis": "Billed"}),
            "`basis`: `Billed` is not one of `billed`, `effective`: did you mean `billed`?",
        ),
        (json!({"basis": true}), "`basis`: want one of `billed`, `effective`, found `true`"),
        (
            json!({"either": 5}),
            "`either`: want text or a mapping, found the number `5`; put it in quotes",
        ),
        (
            json!({"how": {"method": "static", "di": "x"}}),
            "`how.di`: is not a known key: did you mean `id`?",
        ),
        (json!({"how": {"method": "profile"}}), "`how.profile`: is missing"),
    ] {
        assert_eq!(fault(value), told);
    }
    assert_eq!(faults_with(json!([1]), &[]).1, ["want a mapping, found a list"]);
}

#[test]
fn a_bare_number_is_refused_with_the_unit_that_is_wanted() {
    for (key, hint) in [("every", "`30s`"), ("most", "`10GB`"), ("cap", "`30 USD`")] {
        for value in [json!(30), json!("30"), json!(1.5)] {
            let told = fault(json!({ key: value }));
            assert!(told.starts_with(&format!("`{key}`: `")) && told.contains(hint), "{told}");
        }
        assert!(fault(json!({ key: ["30s"] })).ends_with("want text, found a list"));
    }
    assert!(fault(json!({"figure": "fifty"})).contains("is not a decimal number"));
}

#[test]
fn no_message_repeats_what_stands_in_a_secrets_place() {
    for value in [
        json!("hunter2"),
        json!(["hunter2"]),
        json!({"hunter2": null, "value": "hunter2"}),
        json!({"hunter2": "hunter2"}),
        json!({"env": "hunter2-"}),
        json!({"file": {"hunter2": 1}}),
        json!({"file": "hunter2", "env": "hunter2"}),
        json!({}),
    ] {
        let told = fault(json!({ "key": value }));
        assert!(told.starts_with("`key`: ") && !told.contains("hunter2"), "{told}");
    }
    assert_eq!(
        fault(json!({"key": "hunter2"})),
        "`key`: a secret is never written in the configuration: want `file: PATH` or `env: VARIABLE`"
    );
    assert!(!fault(json!({"list": "hunter2"})).contains("hunter2"));
}

#[test]
fn what_is_sound_of_a_faulty_value_stays_at_its_index() {
    let (value, faults) = faults_with(
        json!({"name": "x", "list": ["a", {"floor": 1, "nmae": "b"}, {"floor": 2}], "on": 5}),
        &[],
    );
    assert_eq!(faults.len(), 3);
    assert_eq!(value, json!({"name": "x", "list": [{}, {"floor": 1}, {"floor": 2}]}));
}

#[test]
fn odd_keys_do_not_break_a_line() {
    let told = fault(json!({"a\nb.c": 1}));
    assert!(told.starts_with("`[\"a b.c\"]`: is not a known key"), "{told}");
}

fn arbitrary_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        prop::sample::select(vec![
            "name", "account", "every", "key", "env", "file", "list", "floor", "how", "method",
            "either", "words",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,8}",
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|entries| entries.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_left_of_any_value_has_no_fault_but_what_is_missing(value in arbitrary_value()) {
        // A list that loses its only entry is a fault the next time.
        let (left, _) = faults_with(value, &[]);
        let (left, _) = faults_with(left, &[]);
        let (again, faults) = faults_with(left.clone(), &[]);
        prop_assert_eq!(left, again);
        for told in faults {
            prop_assert!(told.ends_with("is missing"), "{}", told);
        }
    }
}
