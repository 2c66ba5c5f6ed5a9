//! Values with units as a user writes them: spans of time, sizes, amounts of money.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::Date;
use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::domain::money::{Currency, Money};

/// A span of time with its unit: `30s`, `15m`, `8h`, `2d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(Duration);

impl Span {
    /// A span of seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// A span of hours.
    pub const fn hours(hours: u64) -> Self {
        Self(Duration::from_secs(hours * 3600))
    }

    /// As the standard library's type.
    pub fn duration(self) -> Duration {
        self.0
    }

    /// As the calendar library's type.
    pub fn signed(self) -> SignedDuration {
        SignedDuration::try_from(self.0).expect("a span is at most 10,000 days long")
    }
}

const SPAN_PATTERN: &str = "^[0-9]+(ms|s|m|h|d)$";
const LONGEST_SPAN_SECONDS: u64 = 10_000 * 86_400;

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a span of time: want a whole number with a unit, such as `30s`, `15m`, `8h` or `2d`"
            )
        };
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(split);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let total = number.checked_mul(milliseconds).ok_or_else(wrong)?;
        if total > LONGEST_SPAN_SECONDS * 1_000 {
            return Err(format!("`{text}` is longer than 10,000 days"));
        }
        Ok(Self(Duration::from_millis(total)))
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": SPAN_PATTERN,
            "description": "A span of time with its unit: `30s`, `15m`, `8h`, `2d`.",
        })
    }
}

/// A size in bytes with its unit: `10GB`, `512MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct ByteSize(u64);

impl ByteSize {
    /// A number of bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    pub fn get(self) -> u64 {
        self.0
    }
}

const BYTE_SIZE_PATTERN: &str = "^[0-9]+(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$";

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a size: want a whole number with a unit, such as `10GB` or `512MiB`"
            )
        };
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(split);
        let factor: u64 = match unit {
            "B" => 1,
            "kB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number.checked_mul(factor).map(Self).ok_or_else(wrong)
    }
}

impl TryFrom<String> for ByteSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": BYTE_SIZE_PATTERN,
            "description": "A size in bytes with its unit: `10GB`, `512MiB`.",
        })
    }
}

/// An amount of money with its currency: `30 USD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Amount(pub Money);

impl TryFrom<String> for Amount {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!("`{text}` is not an amount: want a number and a currency such as `30 USD`")
        })
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^-?[0-9][0-9_,]*(\\.[0-9]+)? [A-Za-z]{3}$",
            "description": "An amount of money with its currency: `30 USD`.",
        })
    }
}

/// An exact decimal: `50000.10`, `50_000` or the same as text. Never a binary fraction: what a
/// number of the file could not hold exactly comes as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Figure(pub Decimal);

const FIGURE_PATTERN: &str = "^-?[0-9][0-9_]*(\\.[0-9_]+)?$";

impl FromStr for Figure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.replace('_', "");
        let sign_and_digits = digits.strip_prefix('-').unwrap_or(&digits);
        let sound = sign_and_digits.starts_with(|c: char| c.is_ascii_digit())
            && sign_and_digits.chars().all(|c| c.is_ascii_digit() || c == '.');
        sound.then(|| digits.parse().ok()).flatten().map(Self).ok_or_else(|| {
            format!(
                "`{text}` is not a decimal number: want at most 28 digits such as `50000` or `50_000.10`"
            )
        })
    }
}

impl<'de> Deserialize<'de> for Figure {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => text,
            serde_json::Value::Number(number) => number.to_string(),
            _ => return Err(serde::de::Error::custom("want a decimal number")),
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Figure {
    fn schema_name() -> Cow<'static, str> {
        "Figure".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["number", "string"],
            "pattern": FIGURE_PATTERN,
            "description": "An exact decimal number: `50000.10`, `50_000`.",
        })
    }
}

/// A calendar day: `2026-11-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Day(pub Date);

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a day: want one such as `2026-11-01`");
        if text.len() != "2026-11-01".len() {
            return Err(wrong());
        }
        text.parse().map(Self).map_err(|_| wrong())
    }
}

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl JsonSchema for Day {
    fn schema_name() -> Cow<'static, str> {
        "Day".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
            "description": "A calendar day: `2026-11-01`.",
        })
    }
}

/// A currency's ISO 4217 code: `USD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct CurrencyCode(pub Currency);

impl FromStr for CurrencyCode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("`{text}` is not a currency: want three letters such as `USD`"))
    }
}

impl TryFrom<String> for CurrencyCode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl JsonSchema for CurrencyCode {
    fn schema_name() -> Cow<'static, str> {
        "CurrencyCode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[A-Za-z]{3}$",
            "description": "A currency's ISO 4217 code: `USD`.",
        })
    }
}

/// Whether a text satisfies one of the types above, told by the type's name in the schema. None
/// for a name that is not one of them.
pub(super) fn check_text(schema_name: &str, text: &str) -> Option<Result<(), String>> {
    Some(match schema_name {
        "Span" => text.parse::<Span>().map(drop),
        "ByteSize" => text.parse::<ByteSize>().map(drop),
        "Amount" => Amount::try_from(text.to_owned()).map(drop),
        "Figure" => text.parse::<Figure>().map(drop),
        "Day" => text.parse::<Day>().map(drop),
        "CurrencyCode" => text.parse::<CurrencyCode>().map(drop),
        _ => return None,
    })
}
