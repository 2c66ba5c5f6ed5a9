//! The answer of `/api/v1/query_range`, read series by series: texts are borrowed from the body
//! and no tree of it is ever held.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

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

/// A series with its points.
#[derive(Deserialize)]
pub struct Series<'a> {
    #[serde(borrow)]
    metric: Labels<'a>,
    #[serde(borrow)]
    values: Vec<Point<'a>>,
}

impl<'a> Series<'a> {
    /// Its labels, its name among them.
    pub fn labels(&self) -> &[(Cow<'a, str>, Cow<'a, str>)] {
        &self.metric.0
    }

    /// Its points: seconds since 1970 and the value, which may be infinite; not a number where it
    /// is no number's text.
    pub fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.values.iter().map(|Point(at, value)| (*at, value.parse().unwrap_or(f64::NAN)))
    }
}

/// Seconds since 1970 and a value in quotes.
#[derive(Deserialize)]
struct Point<'a>(f64, #[serde(borrow)] Cow<'a, str>);

/// A series' labels.
struct Labels<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

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

/// Reads an answer: hands each series on and forgets it, then gives what the server warned of.
///
/// # Errors
/// What is not as the API's documentation says, or what a series was refused for.
pub fn parse(
    body: &[u8],
    each: impl FnMut(&Series<'_>) -> Result<(), &'static str>,
) -> Result<Vec<String>, String> {
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
    serde_json::Deserializer::from_str(data.result.get())
        .deserialize_seq(Each(each))
        .map_err(not_json)?;
    Ok(envelope.warnings.unwrap_or_default())
}

struct Each<F>(F);

impl<'de, F: FnMut(&Series<'_>) -> Result<(), &'static str>> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("series")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut series: A) -> Result<(), A::Error> {
        while let Some(one) = series.next_element::<Series<'de>>()? {
            (self.0)(&one).map_err(serde::de::Error::custom)?;
        }
        Ok(())
    }
}
