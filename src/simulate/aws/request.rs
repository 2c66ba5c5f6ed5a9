//! Cost Explorer's request bodies and what the service checks of them.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::AwsError;
use crate::domain::period::{BillingPeriod, BillingZone, Window};

/// `GetCostAndUsage`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CostAndUsage {
    pub(crate) time_period: TimePeriod,
    pub(crate) granularity: String,
    #[serde(default)]
    pub(crate) metrics: Vec<String>,
    #[serde(default)]
    pub(crate) group_by: Vec<GroupBy>,
    pub(crate) filter: Option<Expression>,
    pub(crate) next_page_token: Option<String>,
}

/// `GetDimensionValues`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DimensionValuesOf {
    pub(crate) time_period: TimePeriod,
    pub(crate) dimension: String,
    pub(crate) search_string: Option<String>,
    pub(crate) filter: Option<Expression>,
    pub(crate) max_results: Option<usize>,
    pub(crate) next_page_token: Option<String>,
}

/// `GetCostForecast`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CostForecast {
    pub(crate) time_period: TimePeriod,
    pub(crate) metric: String,
    pub(crate) granularity: String,
    pub(crate) filter: Option<Expression>,
    pub(crate) prediction_interval_level: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TimePeriod {
    pub(crate) start: String,
    pub(crate) end: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GroupBy {
    #[serde(rename = "Type")]
    pub(crate) kind: String,
    pub(crate) key: String,
}

/// A filter: exactly one of its members.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Expression {
    pub(crate) and: Option<Vec<Expression>>,
    pub(crate) or: Option<Vec<Expression>>,
    pub(crate) not: Option<Box<Expression>>,
    pub(crate) dimensions: Option<Values>,
    pub(crate) tags: Option<Values>,
    pub(crate) cost_categories: Option<Values>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Values {
    pub(crate) key: Option<String>,
    #[serde(default)]
    pub(crate) values: Vec<String>,
    #[serde(default)]
    pub(crate) match_options: Vec<String>,
}

/// Reads a body of Cost Explorer or the Price List.
///
/// # Errors
/// `SerializationException` for a body that is not JSON, `ValidationException` for one that lacks a
/// member.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, AwsError> {
    serde_json::from_slice(body).map_err(|error| {
        if error.is_data() {
            AwsError::validation(format!("1 validation error detected: {error}"))
        } else {
            AwsError::new("SerializationException", "")
        }
    })
}

impl TimePeriod {
    /// The days that are asked for, as the service allows them.
    pub(crate) fn window(&self, now: Timestamp) -> Result<Window, AwsError> {
        let window = self.days()?;
        let today = BillingZone::Utc.day_of(now);
        if window.start < today.saturating_sub(14.months()) {
            return Err(AwsError::validation(
                "You haven't enabled historical data beyond 14 months.",
            ));
        }
        if window.end > BillingPeriod::containing(today).end_day() {
            return Err(AwsError::validation("end date past the beginning of next month"));
        }
        Ok(window)
    }

    /// The days that are named, in order.
    pub(crate) fn days(&self) -> Result<Window, AwsError> {
        let window = Window::new(day(&self.start)?, day(&self.end)?);
        if window.is_empty() {
            return Err(AwsError::validation(
                "Start date (and hour) should be before end date (and hour)",
            ));
        }
        Ok(window)
    }
}

fn day(text: &str) -> Result<Date, AwsError> {
    let wrong =
        || AwsError::validation(format!("time period {text} is not in the format yyyy-MM-dd"));
    if text.len() == 10 { text.parse().map_err(|_| wrong()) } else { Err(wrong()) }
}

/// The buckets of a granularity, in order.
pub(crate) fn buckets(granularity: &str, window: Window) -> Result<Vec<Window>, AwsError> {
    match granularity {
        "DAILY" => {
            Ok(window.days().map(|day| Window::new(day, day.saturating_add(1.day()))).collect())
        }
        "MONTHLY" => Ok(window.months()),
        "HOURLY" => Err(AwsError::validation(
            "Hourly granularity is not enabled for this account, enable it in the settings of Cost \
             Explorer.",
        )),
        other => Err(AwsError::validation(format!(
            "1 validation error detected: Value '{other}' at 'granularity' failed to satisfy \
             constraint: Member must satisfy enum value set: [DAILY, MONTHLY, HOURLY]"
        ))),
    }
}
