//! Parameters and columns in PostgreSQL's words.

use std::error::Error;

use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::store::engine::{Parameter, Value};
use crate::store::error::{Fault, PostgresError};

/// A statement with its parameters written as PostgreSQL wants them.
pub(super) fn numbered(sql: &str) -> String {
    sql.replace('?', "$")
}

/// PostgreSQL's text holds every character but this one.
const NUL: char = '\0';

impl ToSql for Parameter<'_> {
    fn to_sql(
        &self,
        wanted: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let unfit = || format!("a value does not fit a parameter of type {wanted}");
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(value) if *wanted == Type::INT8 => value.to_sql(wanted, out),
            Self::Integer(value) if *wanted == Type::INT4 => {
                i32::try_from(*value)?.to_sql(wanted, out)
            }
            Self::Text(text) if <&str as ToSql>::accepts(wanted) => {
                if text.contains(NUL) {
                    text.replace(NUL, "\u{fffd}").to_sql(wanted, out)
                } else {
                    text.to_sql(wanted, out)
                }
            }
            Self::Blob(bytes) if *wanted == Type::BYTEA => bytes.as_ref().to_sql(wanted, out),
            Self::Integer(_) | Self::Text(_) | Self::Blob(_) => Err(unfit().into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

struct Column<'a>(Value<'a>);

impl<'a> FromSql<'a> for Column<'a> {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(match *of {
            Type::INT8 => Value::Integer(i64::from_sql(of, raw)?),
            Type::INT4 => Value::Integer(i32::from_sql(of, raw)?.into()),
            Type::BOOL => Value::Integer(bool::from_sql(of, raw)?.into()),
            Type::BYTEA => Value::Blob(raw),
            _ if <&str as FromSql>::accepts(of) => Value::Text(<&str>::from_sql(of, raw)?),
            _ => return Err(format!("no column of type {of} is kept").into()),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// What stands in a column.
pub(in crate::store) fn value(
    row: &tokio_postgres::Row,
    column: usize,
) -> Result<Value<'_>, Fault> {
    let Column(value) = row.try_get(column).map_err(PostgresError::from)?;
    Ok(value)
}
