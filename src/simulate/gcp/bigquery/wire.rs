//! Values, schemas and parameters in BigQuery's JSON.
//!
//! Source: <https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/query>. Every value is a
//! string; a RECORD is `{"f":[..]}`, a REPEATED field a list of `{"v":..}`.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};

use crate::simulate::gcp::error::ApiError;
use crate::simulate::gcp::sql::value::{Field, Type, Value};
use crate::simulate::gcp::sql::{Parameter, Parameters, cast, time};

/// How instants are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimestampFormat {
    /// Seconds with a fraction, as a floating point text: `1.7963424E9`.
    Seconds,
    /// Microseconds.
    Microseconds,
    /// `2026-12-04T00:00:00.000000Z`.
    Iso8601,
}

impl TimestampFormat {
    /// What `formatOptions` ask for; `get` reads one of its fields. Google reads `True` (what
    /// Python's client writes) as true.
    pub(super) fn of(get: impl Fn(&str) -> Option<String>) -> Self {
        match get("timestampOutputFormat").as_deref() {
            Some("ISO8601_STRING") => Self::Iso8601,
            Some("INT64") => Self::Microseconds,
            _ if get("useInt64Timestamp").is_some_and(|text| text.eq_ignore_ascii_case("true")) => {
                Self::Microseconds
            }
            _ => Self::Seconds,
        }
    }
}

/// The schema of columns.
pub(super) fn schema(columns: &[Field]) -> Json {
    json!({"fields": columns.iter().map(field).collect::<Vec<_>>()})
}

fn field(column: &Field) -> Json {
    let (ty, mode) = match &column.ty {
        Type::Array(element) => (element.as_ref(), "REPEATED"),
        ty => (ty, "NULLABLE"),
    };
    let mut field = json!({"name": *column.name, "type": type_name(ty), "mode": mode});
    if let (Type::Struct(fields), Some(field)) = (ty, field.as_object_mut()) {
        let fields = fields.iter().map(self::field).collect();
        field.insert("fields".to_owned(), Json::Array(fields));
    }
    field
}

fn type_name(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "BOOLEAN",
        Type::Int64 => "INTEGER",
        Type::Float64 => "FLOAT",
        Type::Numeric => "NUMERIC",
        Type::String => "STRING",
        Type::Date => "DATE",
        Type::Datetime => "DATETIME",
        Type::Timestamp => "TIMESTAMP",
        Type::Array(_) | Type::Struct(_) => "RECORD",
    }
}

/// One row.
pub(super) fn row(values: &[Value], format: TimestampFormat) -> Json {
    let cells: Vec<Json> = values.iter().map(|value| json!({"v": cell(value, format)})).collect();
    json!({"f": cells})
}

fn cell(value: &Value, format: TimestampFormat) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Float(value) => Json::from(float(value.approximate)),
        Value::Timestamp(at) => Json::from(instant(*at, format)),
        Value::Datetime(civil) => Json::from(time::datetime_text(*civil, 'T')),
        Value::Array(values) => {
            values.iter().map(|value| json!({"v": cell(value, format)})).collect()
        }
        Value::Struct(values) => row(values, format),
        other => Json::from(cast::text(other)),
    }
}

fn instant(at: Timestamp, format: TimestampFormat) -> String {
    let micros = at.as_microsecond();
    match format {
        TimestampFormat::Microseconds => micros.to_string(),
        TimestampFormat::Iso8601 => {
            TimeZone::UTC.to_datetime(at).strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
        }
        // An f64 holds the microseconds of every year that a bill can have.
        TimestampFormat::Seconds => float(micros as f64 / 1e6),
    }
}

/// A FLOAT64 as the service writes it: `12.5`, `3.0`, `1.7963424E9`, `1.0E-5`.
fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let size = value.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

/// The parameters of a query request.
///
/// # Errors
/// `invalid` for a value that is not of its type, `invalidQuery` for a type that is not served.
pub(super) fn parameters(request: &Json) -> Result<Parameters, ApiError> {
    let mut parameters = Parameters::default();
    let positional = request.get("parameterMode").and_then(Json::as_str) == Some("POSITIONAL");
    let list = request.get("queryParameters").and_then(Json::as_array);
    for parameter in list.into_iter().flatten() {
        let name = parameter.get("name").and_then(Json::as_str).unwrap_or_default();
        let nothing = Json::Null;
        let ty = parameter_type(parameter.get("parameterType").unwrap_or(&nothing))?;
        let value = parameter.get("parameterValue").unwrap_or(&nothing);
        let value = parameter_value(name, &ty, value)?;
        let parameter = Parameter { ty, value };
        if positional || name.is_empty() {
            parameters.positional.push(parameter);
        } else {
            parameters.named.insert(name.to_ascii_lowercase(), parameter);
        }
    }
    Ok(parameters)
}

fn parameter_type(ty: &Json) -> Result<Type, ApiError> {
    let name = ty.get("type").and_then(Json::as_str).unwrap_or_default().to_ascii_uppercase();
    Ok(match name.as_str() {
        "BOOL" | "BOOLEAN" => Type::Bool,
        "INT64" | "INTEGER" => Type::Int64,
        "FLOAT64" | "FLOAT" => Type::Float64,
        "NUMERIC" => Type::Numeric,
        "STRING" => Type::String,
        "DATE" => Type::Date,
        "DATETIME" => Type::Datetime,
        "TIMESTAMP" => Type::Timestamp,
        "ARRAY" => {
            let element = ty.get("arrayType").ok_or_else(|| {
                ApiError::bigquery("invalid", "Query parameter of type ARRAY has no arrayType")
            })?;
            Type::Array(Arc::new(parameter_type(element)?))
        }
        _ => {
            return Err(ApiError::bigquery(
                "invalidQuery",
                format!(
                    "a query parameter of type `{name}` is not served by the simulated BigQuery"
                ),
            ));
        }
    })
}

fn parameter_value(name: &str, ty: &Type, value: &Json) -> Result<Value, ApiError> {
    if let Type::Array(element) = ty {
        let values = value.get("arrayValues").and_then(Json::as_array);
        let values = values.into_iter().flatten();
        return values
            .map(|value| parameter_value(name, element, value))
            .collect::<Result<_, _>>()
            .map(Value::Array);
    }
    let text = match value.get("value") {
        None | Some(Json::Null) => return Ok(Value::Null),
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    cast::cast(&Value::text(&text), ty).map_err(|_| {
        ApiError::bigquery(
            "invalid",
            format!("Invalid value for type {ty} of query parameter '{name}': {text}"),
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn floats_are_written_as_the_service_does() {
        for (value, text) in [
            (12.5, "12.5"),
            (3.0, "3.0"),
            (0.0, "0.0"),
            (-0.001, "-0.001"),
            (0.0001, "1.0E-4"),
            (1_796_342_400.0, "1.7963424E9"),
            (1e20, "1.0E20"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn instants_have_three_forms() {
        let at: Timestamp = "2026-12-04T00:00:00.25Z".parse().unwrap();
        assert_eq!(instant(at, TimestampFormat::Microseconds), "1796342400250000");
        assert_eq!(instant(at, TimestampFormat::Seconds), "1.79634240025E9");
        assert_eq!(instant(at, TimestampFormat::Iso8601), "2026-12-04T00:00:00.250000Z");
    }

    #[test]
    fn parameters_of_every_kind_are_read() {
        let request = json!({"parameterMode": "NAMED", "queryParameters": [
            {"name": "Since", "parameterType": {"type": "TIMESTAMP"}, "parameterValue": {"value": "2026-11-01 00:00:00+00:00"}},
            {"name": "types", "parameterType": {"type": "ARRAY", "arrayType": {"type": "STRING"}}, "parameterValue": {"arrayValues": [{"value": "A"}]}},
            {"name": "none", "parameterType": {"type": "NUMERIC"}, "parameterValue": {}},
        ]});
        let parameters = parameters(&request).unwrap().named;
        assert_eq!(
            parameters["since"].value,
            Value::Timestamp("2026-11-01T00:00:00Z".parse().unwrap())
        );
        assert_eq!(
            parameters["types"].value,
            Value::Array([Value::text("A")].into_iter().collect())
        );
        assert_eq!(parameters["none"].value, Value::Null);
        let wrong = json!({"queryParameters": [{"name": "n", "parameterType": {"type": "INT64"}, "parameterValue": {"value": "x"}}]});
        assert!(super::parameters(&wrong).is_err());
    }
}
