//! The scalar functions that are served, with their signatures.
//!
//! Source: <https://cloud.google.com/bigquery/docs/reference/standard-sql/functions-all>. A function
//! that is not here is answered with `Function not found`.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use rust_decimal::{Decimal, RoundingStrategy};
use sqlparser::tokenizer::Location;

use super::plan::{Function, Node, Typed};
use super::value::{Float, Type, Value, to_numeric_scale};
use super::{SqlError, cast, time};

use Type::{
    Bool, Date as DateType, Datetime, Float64, Int64, Numeric, String as Text, Timestamp as Instant,
};

type Apply = fn(&[Value]) -> Result<Value, SqlError>;

struct Overload(&'static str, &'static [Type], Type, Apply);

/// The call of a named function.
///
/// # Errors
/// `Function not found`, or `No matching signature` for the arguments' types.
pub fn call(name: &str, arguments: Vec<Typed>, place: Location) -> Result<Typed, SqlError> {
    if matches!(name, "GREATEST" | "LEAST") {
        return extreme(name, arguments, place);
    }
    let named: Vec<&Overload> = OVERLOADS.iter().filter(|overload| overload.0 == name).collect();
    if named.is_empty() {
        return Err(SqlError::at(format!("Function not found: {name}"), place));
    }
    let best = named
        .into_iter()
        .filter(|overload| overload.1.len() == arguments.len())
        .filter_map(|overload| {
            let pairs = arguments.iter().zip(overload.1);
            let far: Option<u8> = pairs.map(|(from, to)| cast::distance(from, to)).sum();
            far.map(|far| (far, overload))
        })
        .min_by_key(|(far, _)| *far);
    let Some((_, Overload(name, types, result, apply))) = best else {
        return Err(no_signature("function", name, &arguments, place));
    };
    let nodes = arguments
        .into_iter()
        .zip(*types)
        .map(|(from, to)| cast::coerce(from, to).map(|typed| typed.node))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| SqlError::at(error.message, place))?;
    let function = Function { name, strict: true, apply: *apply };
    Ok(Typed::new(Node::Call(function, nodes), result.clone()))
}

/// BigQuery's error for arguments of wrong types.
pub fn no_signature(what: &str, name: &str, arguments: &[Typed], place: Location) -> SqlError {
    let types: Vec<String> = arguments.iter().map(|typed| typed.ty.to_string()).collect();
    SqlError::at(
        format!("No matching signature for {what} {name} for argument types: {}", types.join(", ")),
        place,
    )
}

fn extreme(name: &str, arguments: Vec<Typed>, place: Location) -> Result<Typed, SqlError> {
    let common = cast::common_type(&arguments.iter().collect::<Vec<_>>())
        .filter(Type::is_orderable)
        .ok_or_else(|| no_signature("function", name, &arguments, place))?;
    let nodes = arguments
        .into_iter()
        .map(|typed| cast::coerce(typed, &common).map(|typed| typed.node))
        .collect::<Result<Vec<_>, _>>()?;
    let function = if name == "LEAST" {
        Function {
            name: "LEAST",
            strict: true,
            apply: |values| {
                Ok(values.iter().min_by(|a, b| a.order(b)).cloned().unwrap_or(Value::Null))
            },
        }
    } else {
        Function {
            name: "GREATEST",
            strict: true,
            apply: |values| {
                Ok(values.iter().max_by(|a, b| a.order(b)).cloned().unwrap_or(Value::Null))
            },
        }
    };
    Ok(Typed::new(Node::Call(function, nodes), common))
}

static OVERLOADS: &[Overload] = &[
    Overload("LOWER", &[Text], Text, |a| Ok(Value::text(&text(a, 0).to_lowercase()))),
    Overload("UPPER", &[Text], Text, |a| Ok(Value::text(&text(a, 0).to_uppercase()))),
    Overload("TRIM", &[Text], Text, |a| Ok(Value::text(text(a, 0).trim()))),
    Overload("LENGTH", &[Text], Int64, |a| Ok(count(text(a, 0).chars().count()))),
    Overload("CHAR_LENGTH", &[Text], Int64, |a| Ok(count(text(a, 0).chars().count()))),
    Overload("STARTS_WITH", &[Text, Text], Bool, |a| {
        Ok(Value::Bool(text(a, 0).starts_with(text(a, 1))))
    }),
    Overload("ENDS_WITH", &[Text, Text], Bool, |a| {
        Ok(Value::Bool(text(a, 0).ends_with(text(a, 1))))
    }),
    Overload("REPLACE", &[Text, Text, Text], Text, |a| {
        Ok(Value::text(&replaced(text(a, 0), text(a, 1), text(a, 2))))
    }),
    Overload("SUBSTR", &[Text, Int64], Text, |a| Ok(substring(text(a, 0), int(a, 1), None))),
    Overload("SUBSTR", &[Text, Int64, Int64], Text, substring_of),
    Overload("STRPOS", &[Text, Text], Int64, |a| Ok(position(text(a, 0), text(a, 1)))),
    Overload("CONCAT_2", &[Text, Text], Text, |a| {
        Ok(Value::text(&format!("{}{}", text(a, 0), text(a, 1))))
    }),
    Overload("ABS", &[Int64], Int64, |a| {
        int(a, 0).checked_abs().map(Value::Int).ok_or_else(overflow)
    }),
    Overload("ABS", &[Numeric], Numeric, |a| Ok(Value::Numeric(numeric(a, 0).abs()))),
    Overload("ABS", &[Float64], Float64, |a| Ok(computed(float(a, 0).abs()))),
    Overload("ROUND", &[Int64], Float64, |a| Ok(computed(int(a, 0) as f64))),
    Overload("ROUND", &[Numeric], Numeric, |a| Ok(round(numeric(a, 0), 0))),
    Overload("ROUND", &[Numeric, Int64], Numeric, round_to),
    Overload("ROUND", &[Float64], Float64, |a| Ok(computed(float(a, 0).round()))),
    Overload("ROUND", &[Float64, Int64], Float64, round_float),
    Overload("FLOOR", &[Int64], Float64, |a| Ok(computed(int(a, 0) as f64))),
    Overload("CEIL", &[Int64], Float64, |a| Ok(computed(int(a, 0) as f64))),
    Overload("FLOOR", &[Numeric], Numeric, |a| Ok(Value::Numeric(numeric(a, 0).floor()))),
    Overload("FLOOR", &[Float64], Float64, |a| Ok(computed(float(a, 0).floor()))),
    Overload("CEIL", &[Numeric], Numeric, |a| Ok(Value::Numeric(numeric(a, 0).ceil()))),
    Overload("CEIL", &[Float64], Float64, |a| Ok(computed(float(a, 0).ceil()))),
    Overload("MOD", &[Int64, Int64], Int64, |a| {
        int(a, 0).checked_rem(int(a, 1)).map(Value::Int).ok_or_else(by_zero)
    }),
    Overload("DIV", &[Int64, Int64], Int64, |a| {
        int(a, 0).checked_div(int(a, 1)).map(Value::Int).ok_or_else(by_zero)
    }),
    Overload("SAFE_DIVIDE", &[Int64, Int64], Float64, |a| {
        Ok(safe_divide_float(int(a, 0) as f64, int(a, 1) as f64))
    }),
    Overload("SAFE_DIVIDE", &[Numeric, Numeric], Numeric, |a| {
        Ok(safe_divide(numeric(a, 0), numeric(a, 1)))
    }),
    Overload("SAFE_DIVIDE", &[Float64, Float64], Float64, |a| {
        Ok(safe_divide_float(float(a, 0), float(a, 1)))
    }),
    Overload("DATE", &[DateType], DateType, |a| Ok(Value::Date(date(a, 0)))),
    Overload("DATE", &[Datetime], DateType, |a| Ok(Value::Date(civil(a, 0).date()))),
    Overload("DATE", &[Instant], DateType, |a| {
        Ok(Value::Date(time::civil(instant(a, 0), &TimeZone::UTC).date()))
    }),
    Overload("DATE", &[Instant, Text], DateType, |a| Ok(Value::Date(zoned(a)?.date()))),
    Overload("DATE", &[Int64, Int64, Int64], DateType, date_of_parts),
    Overload("TIMESTAMP", &[Text], Instant, |a| parsed(text(a, 0), &TimeZone::UTC)),
    Overload("TIMESTAMP", &[Text, Text], Instant, |a| parsed(text(a, 0), &time::zone(text(a, 1))?)),
    Overload("TIMESTAMP", &[DateType], Instant, |a| at(midnight(date(a, 0)), &TimeZone::UTC)),
    Overload("TIMESTAMP", &[DateType, Text], Instant, |a| {
        at(midnight(date(a, 0)), &time::zone(text(a, 1))?)
    }),
    Overload("TIMESTAMP", &[Datetime], Instant, |a| at(civil(a, 0), &TimeZone::UTC)),
    Overload("TIMESTAMP", &[Datetime, Text], Instant, |a| {
        at(civil(a, 0), &time::zone(text(a, 1))?)
    }),
    Overload("TIMESTAMP", &[Instant], Instant, |a| Ok(Value::Timestamp(instant(a, 0)))),
    Overload("DATETIME", &[DateType], Datetime, |a| Ok(Value::Datetime(midnight(date(a, 0))))),
    Overload("DATETIME", &[Instant], Datetime, |a| {
        Ok(Value::Datetime(time::civil(instant(a, 0), &TimeZone::UTC)))
    }),
    Overload("DATETIME", &[Instant, Text], Datetime, |a| zoned(a).map(Value::Datetime)),
    Overload("STRING", &[Instant], Text, |a| {
        Ok(Value::text(&time::timestamp_text(instant(a, 0), &TimeZone::UTC)))
    }),
    Overload("STRING", &[Instant, Text], Text, |a| {
        Ok(Value::text(&time::timestamp_text(instant(a, 0), &time::zone(text(a, 1))?)))
    }),
    Overload("UNIX_SECONDS", &[Instant], Int64, |a| {
        Ok(Value::Int(instant(a, 0).as_microsecond().div_euclid(1_000_000)))
    }),
    Overload("UNIX_MILLIS", &[Instant], Int64, |a| {
        Ok(Value::Int(instant(a, 0).as_microsecond().div_euclid(1_000)))
    }),
    Overload("UNIX_MICROS", &[Instant], Int64, |a| Ok(Value::Int(instant(a, 0).as_microsecond()))),
    Overload("TIMESTAMP_SECONDS", &[Int64], Instant, |a| {
        from_unix(Timestamp::from_second(int(a, 0)))
    }),
    Overload("TIMESTAMP_MILLIS", &[Int64], Instant, |a| {
        from_unix(Timestamp::from_millisecond(int(a, 0)))
    }),
    Overload("TIMESTAMP_MICROS", &[Int64], Instant, |a| {
        from_unix(Timestamp::from_microsecond(int(a, 0)))
    }),
    Overload("FORMAT_DATE", &[Text, DateType], Text, |a| {
        time::format(midnight(date(a, 1)), text(a, 0)).map(Value::String)
    }),
    Overload("FORMAT_DATETIME", &[Text, Datetime], Text, |a| {
        time::format(civil(a, 1), text(a, 0)).map(Value::String)
    }),
    Overload("FORMAT_TIMESTAMP", &[Text, Instant], Text, |a| {
        time::format(time::civil(instant(a, 1), &TimeZone::UTC), text(a, 0)).map(Value::String)
    }),
    Overload("FORMAT_TIMESTAMP", &[Text, Instant, Text], Text, |a| {
        time::format(time::civil(instant(a, 1), &time::zone(text(a, 2))?), text(a, 0))
            .map(Value::String)
    }),
    Overload("PARSE_DATE", &[Text, Text], DateType, |a| {
        time::parse_date_as(text(a, 0), text(a, 1)).map(Value::Date)
    }),
    Overload("DATE_TRUNC", &[DateType, Text], DateType, |a| {
        time::truncate_date(date(a, 0), text(a, 1)).map(Value::Date)
    }),
    Overload("DATETIME_TRUNC", &[Datetime, Text], Datetime, |a| {
        time::truncate(civil(a, 0), text(a, 1)).map(Value::Datetime)
    }),
    Overload("TIMESTAMP_TRUNC", &[Instant, Text], Instant, |a| {
        truncated(instant(a, 0), text(a, 1), &TimeZone::UTC)
    }),
    Overload("TIMESTAMP_TRUNC", &[Instant, Text, Text], Instant, |a| {
        truncated(instant(a, 0), text(a, 1), &time::zone(text(a, 2))?)
    }),
    Overload("LAST_DAY", &[DateType], DateType, |a| Ok(Value::Date(date(a, 0).last_of_month()))),
    Overload("DATE_ADD", &[DateType, Int64, Text], DateType, |a| moved(a, 1)),
    Overload("DATE_SUB", &[DateType, Int64, Text], DateType, |a| moved(a, -1)),
    Overload("TIMESTAMP_ADD", &[Instant, Int64, Text], Instant, |a| shifted(a, 1)),
    Overload("TIMESTAMP_SUB", &[Instant, Int64, Text], Instant, |a| shifted(a, -1)),
    Overload("DATE_DIFF", &[DateType, DateType, Text], Int64, |a| {
        time::date_difference(date(a, 0), date(a, 1), text(a, 2)).map(Value::Int)
    }),
    Overload("TIMESTAMP_DIFF", &[Instant, Instant, Text], Int64, elapsed),
    Overload("EXTRACT", &[Text, DateType], Int64, |a| {
        time::extract(midnight(date(a, 1)), text(a, 0))
    }),
    Overload("EXTRACT", &[Text, Datetime], Int64, |a| time::extract(civil(a, 1), text(a, 0))),
    Overload("EXTRACT", &[Text, Instant], Int64, |a| {
        time::extract(time::civil(instant(a, 1), &TimeZone::UTC), text(a, 0))
    }),
    Overload("EXTRACT", &[Text, Instant, Text], Int64, |a| {
        time::extract(time::civil(instant(a, 1), &time::zone(text(a, 2))?), text(a, 0))
    }),
];

// The arguments have the overload's types and are not NULL: `call` coerced them and the executor
// skips strict functions over NULL. What a reader below gives for another value is never seen.

fn text(values: &[Value], index: usize) -> &str {
    match values.get(index) {
        Some(Value::String(text)) => text,
        _ => "",
    }
}

fn int(values: &[Value], index: usize) -> i64 {
    match values.get(index) {
        Some(Value::Int(value)) => *value,
        _ => 0,
    }
}

fn numeric(values: &[Value], index: usize) -> Decimal {
    match values.get(index) {
        Some(Value::Numeric(value)) => *value,
        _ => Decimal::ZERO,
    }
}

fn float(values: &[Value], index: usize) -> f64 {
    match values.get(index) {
        Some(Value::Float(value)) => value.approximate,
        _ => f64::NAN,
    }
}

fn date(values: &[Value], index: usize) -> Date {
    match values.get(index) {
        Some(Value::Date(value)) => *value,
        _ => Date::MIN,
    }
}

fn civil(values: &[Value], index: usize) -> DateTime {
    match values.get(index) {
        Some(Value::Datetime(value)) => *value,
        _ => DateTime::MIN,
    }
}

fn instant(values: &[Value], index: usize) -> Timestamp {
    match values.get(index) {
        Some(Value::Timestamp(value)) => *value,
        _ => Timestamp::MIN,
    }
}

fn count(value: usize) -> Value {
    Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

fn computed(value: f64) -> Value {
    Value::Float(Float::computed(value))
}

fn overflow() -> SqlError {
    SqlError::invalid("int64 overflow")
}

fn by_zero() -> SqlError {
    SqlError::invalid("division by zero")
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    if from.is_empty() { text.to_owned() } else { text.replace(from, to) }
}

fn substring(text: &str, start: i64, length: Option<usize>) -> Value {
    let letters = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    // Counted from 1, or from the end; 0 is 1, before the start is the start.
    let skipped = if start > 0 {
        start - 1
    } else if start == 0 {
        0
    } else {
        (letters + start).max(0)
    };
    let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
    let found: String = text.chars().skip(skipped).take(length.unwrap_or(usize::MAX)).collect();
    Value::text(&found)
}

fn substring_of(values: &[Value]) -> Result<Value, SqlError> {
    let length = usize::try_from(int(values, 2))
        .map_err(|_| SqlError::invalid("Third argument in SUBSTR() cannot be negative"))?;
    Ok(substring(text(values, 0), int(values, 1), Some(length)))
}

fn position(text: &str, part: &str) -> Value {
    match text.find(part) {
        Some(bytes) => count(text.get(..bytes).map_or(0, |before| before.chars().count()) + 1),
        None => Value::Int(0),
    }
}

fn round(amount: Decimal, places: u32) -> Value {
    Value::Numeric(amount.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero))
}

fn round_to(values: &[Value]) -> Result<Value, SqlError> {
    match u32::try_from(int(values, 1)) {
        Ok(places) => Ok(round(numeric(values, 0), places.min(9))),
        Err(_) => Err(SqlError::invalid(
            "ROUND to a negative number of places is not served by the simulated BigQuery",
        )),
    }
}

fn round_float(values: &[Value]) -> Result<Value, SqlError> {
    let places = i32::try_from(int(values, 1)).map_err(|_| overflow())?;
    let factor = 10f64.powi(places);
    Ok(computed((float(values, 0) * factor).round() / factor))
}

fn safe_divide(a: Decimal, b: Decimal) -> Value {
    a.checked_div(b).map_or(Value::Null, |quotient| Value::Numeric(to_numeric_scale(quotient)))
}

fn safe_divide_float(a: f64, b: f64) -> Value {
    if b == 0.0 { Value::Null } else { computed(a / b) }
}

fn midnight(date: Date) -> DateTime {
    date.to_datetime(Time::midnight())
}

fn zoned(values: &[Value]) -> Result<DateTime, SqlError> {
    Ok(time::civil(instant(values, 0), &time::zone(text(values, 1))?))
}

fn date_of_parts(values: &[Value]) -> Result<Value, SqlError> {
    let (year, month, day) = (int(values, 0), int(values, 1), int(values, 2));
    let date = i16::try_from(year)
        .ok()
        .and_then(|year| Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok());
    date.map(Value::Date).ok_or_else(|| {
        SqlError::invalid(format!("Input calculates to invalid date: {year}-{month:02}-{day:02}"))
    })
}

fn parsed(text: &str, zone: &TimeZone) -> Result<Value, SqlError> {
    time::parse_timestamp(text, zone).map(Value::Timestamp)
}

fn at(civil: DateTime, zone: &TimeZone) -> Result<Value, SqlError> {
    time::instant(civil, zone).map(Value::Timestamp)
}

fn from_unix(at: Result<Timestamp, jiff::Error>) -> Result<Value, SqlError> {
    at.map(Value::Timestamp).map_err(|_| SqlError::invalid("TIMESTAMP value is out of range"))
}

fn truncated(at: Timestamp, part: &str, zone: &TimeZone) -> Result<Value, SqlError> {
    let start = time::truncate(time::civil(at, zone), part)?;
    time::instant(start, zone).map(Value::Timestamp)
}

fn moved(values: &[Value], sign: i64) -> Result<Value, SqlError> {
    let span = time::span(int(values, 1).saturating_mul(sign), text(values, 2))?;
    date(values, 0)
        .checked_add(span)
        .map(Value::Date)
        .map_err(|_| SqlError::invalid("Adding an interval to a DATE overflows"))
}

fn shifted(values: &[Value], sign: i64) -> Result<Value, SqlError> {
    let amount = int(values, 1).saturating_mul(sign);
    let hours = match text(values, 2) {
        // A day of a TIMESTAMP has 24 hours.
        "DAY" => time::span(amount.saturating_mul(24), "HOUR")?,
        part @ ("HOUR" | "MINUTE" | "SECOND" | "MILLISECOND" | "MICROSECOND") => {
            time::span(amount, part)?
        }
        part => {
            return Err(SqlError::invalid(format!(
                "TIMESTAMP_ADD and TIMESTAMP_SUB do not support the {part} date part"
            )));
        }
    };
    instant(values, 0)
        .checked_add(hours)
        .map(Value::Timestamp)
        .map_err(|_| SqlError::invalid("Adding an interval to a TIMESTAMP overflows"))
}

fn elapsed(values: &[Value]) -> Result<Value, SqlError> {
    let micros = instant(values, 0).as_microsecond() - instant(values, 1).as_microsecond();
    let unit = match text(values, 2) {
        "MICROSECOND" => 1,
        "MILLISECOND" => 1_000,
        "SECOND" => 1_000_000,
        "MINUTE" => 60_000_000,
        "HOUR" => 3_600_000_000,
        "DAY" => 86_400_000_000,
        part => {
            return Err(SqlError::invalid(format!(
                "TIMESTAMP_DIFF does not support the {part} date part"
            )));
        }
    };
    Ok(Value::Int(micros / unit))
}
