//! `GetCostForecast`: the mean of four whole weeks, with a band around it.
//!
//! The real method is undisclosed; only the wire and the checks are faithful.

use jiff::ToSpan;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::error::AwsError;
use super::request::{self, CostForecast};
use super::select::Filter;
use super::{Answer, Server};
use crate::domain::identity::Provider;
use crate::domain::period::{BillingZone, Window};

const METRICS: [&str; 5] = [
    "UNBLENDED_COST",
    "AMORTIZED_COST",
    "BLENDED_COST",
    "NET_AMORTIZED_COST",
    "NET_UNBLENDED_COST",
];

pub(super) fn cost_forecast(server: &Server, body: &[u8]) -> Result<Answer, AwsError> {
    let request: CostForecast = request::read(body)?;
    let now = server.world.clock().now();
    let today = BillingZone::Utc.day_of(now);
    let window = request.time_period.days()?;
    if window.start > today {
        return Err(AwsError::validation(
            "Start date must be equal to or no later than the current date",
        ));
    }
    let months = if request.granularity == "DAILY" { 3.months() } else { 18.months() };
    if window.end > today.saturating_add(months) {
        return Err(AwsError::validation("End date is too far in the future for this granularity"));
    }
    if !METRICS.contains(&request.metric.as_str()) {
        return Err(AwsError::validation(format!("Metric {} is invalid", request.metric)));
    }
    let level = request.prediction_interval_level.unwrap_or(80);
    if !(51..=99).contains(&level) {
        return Err(AwsError::validation("PredictionIntervalLevel must be between 51 and 99"));
    }
    let filter = Filter::new(request.filter.as_ref())?;
    let charges = server.world.charges(Provider::Aws, now);
    let end = today.saturating_sub(2.days());
    let known = Window::new(end.saturating_sub(28.days()), end);
    if !charges.iter().any(|charge| charge.day < known.start) {
        return Err(AwsError::modelled(
            "DataUnavailableException",
            "Insufficient amount of historical data to generate forecast.",
        ));
    }
    let amortised = request.metric.contains("AMORTIZED");
    let sum: Decimal = charges
        .iter()
        .filter(|charge| known.contains(charge.day) && filter.admits(charge))
        .map(|charge| if amortised { charge.effective } else { charge.billed })
        .sum();
    let daily = (sum / Decimal::from(28)).round_dp(10);
    let width = Decimal::new(i64::from(level), 3);
    let mut total = Decimal::ZERO;
    let mut results = Vec::new();
    for bucket in request::buckets(&request.granularity, window)? {
        let mean = daily * Decimal::from(bucket.days().count());
        total += mean;
        results.push(json!({
            "TimePeriod": { "Start": bucket.start.to_string(), "End": bucket.end.to_string() },
            "MeanValue": text(mean),
            "PredictionIntervalLowerBound": text(mean * (Decimal::ONE - width)),
            "PredictionIntervalUpperBound": text(mean * (Decimal::ONE + width)),
        }));
    }
    let answer = json!({
        "Total": { "Amount": text(total), "Unit": "USD" },
        "ForecastResultsByTime": results,
    });
    Ok(Answer { body: answer.to_string(), more_follow: false, is_total: false })
}

fn text(amount: Decimal) -> Value {
    json!(amount.normalize().to_string())
}
