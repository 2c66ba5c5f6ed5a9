//! The answer of `/api/v1/query_range`, read series by series: texts are borrowed from the body
//! and no tree of it is ever held.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::fleet::Fleet;

/// A text that is borrowed where it has no escape.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(rename = "resultType", borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    result: &'a RawValue,
}

/// A series with its points: seconds since 1970 and a value in quotes.
#[derive(Deserialize)]
pub(super) struct Series<'a> {
    /// Its labels, its name among them.
    #[serde(borrow)]
    pub metric: Labels<'a>,
    /// Its points.
    #[serde(borrow)]
    pub values: Vec<Point<'a>>,
}

/// One point.
#[derive(Deserialize)]
pub(super) struct Point<'a>(pub f64, #[serde(borrow)] Cow<'a, str>);

impl Point<'_> {
    /// Its value; may be infinite or not a number. None where it is no number's text.
    pub(super) fn value(&self) -> Option<f64> {
        self.1.parse().ok()
    }
}

/// A series' labels.
pub(super) struct Labels<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl Labels<'_> {
    /// A label's value, whatever the case of its name; the empty value counts as missing.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(label, value)| label.eq_ignore_ascii_case(name) && !value.is_empty())
            .map(|(_, value)| value.as_ref())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Labels<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Labels<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels<'de>, A::Error> {
                let mut labels = Vec::with_capacity(12);
                while let Some((name, value)) = map.next_entry::<Text<'de>, Text<'de>>()? {
                    labels.push((name.0, value.0));
                }
                Ok(Labels(labels))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// Reads an answer into a fleet.
///
/// # Errors
/// What is not as the API's documentation says.
pub(super) fn parse(body: &[u8], fleet: &mut Fleet) -> Result<(), String> {
    let not_json = |error: serde_json::Error| format!("the answer is not the API's JSON: {error}");
    let envelope: Envelope<'_> = serde_json::from_slice(body).map_err(not_json)?;
    if envelope.status.0 != "success" {
        let reason = envelope.error.unwrap_or_default();
        return Err(format!("it answers `{}`: {reason}", envelope.status.0));
    }
    let data = envelope.data.ok_or("the answer has no `data`")?;
    let data: Data<'_> = serde_json::from_str(data.get()).map_err(not_json)?;
    if data.kind.0 != "matrix" {
        return Err(format!("the answer is a `{}`, not a `matrix`", data.kind.0));
    }
    fleet.warn(envelope.warnings.unwrap_or_default());
    serde_json::Deserializer::from_str(data.result.get())
        .deserialize_seq(Each(fleet))
        .map_err(not_json)
}

/// Hands each series on and forgets it.
struct Each<'f>(&'f mut Fleet);

impl<'de> Visitor<'de> for Each<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("series")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut series: A) -> Result<(), A::Error> {
        while let Some(one) = series.next_element::<Series<'de>>()? {
            self.0.add(&one).map_err(serde::de::Error::custom)?;
        }
        Ok(())
    }
}
