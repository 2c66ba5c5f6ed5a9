//! The document of forecasts.

use jiff::civil::Date;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::band::BandJudgement;
use crate::domain::forecast::{BandOutlook, ExpectedCharge};
use crate::snapshot::Snapshot;

/// `/api/v1/forecast`: where every band's month will end.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Forecasts {
    /// When the snapshot was made, RFC 3339.
    pub as_of: String,
    /// Each band and period that can be forecast; a final period is not.
    pub bands: Vec<BandForecastView>,
}

/// Where a band's month will end.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BandForecastView {
    /// The band.
    pub band: String,
    /// The billing period.
    pub period: String,
    /// `current` or `previous`.
    pub period_label: String,
    /// The currency of every amount.
    pub currency: String,
    /// The floor of the whole month.
    pub floor: String,
    /// The ceiling of the whole month.
    pub ceiling: String,
    /// How it was made; may change from day to day.
    pub method: String,
    /// The newest complete day that it was made from.
    pub made_from: String,
    /// Booked up to now, provisional days among it.
    pub booked: String,
    /// Days of the month after the newest complete one.
    pub days_left: usize,
    /// Amounts that the month's end stays under with a probability, rising.
    pub quantiles: Vec<QuantileView>,
    /// The bounds of the central 80 %.
    pub interval_80: [String; 2],
    /// The bounds of the central 95 %.
    pub interval_95: [String; 2],
    /// The probability of ending above the ceiling.
    pub probability_above_ceiling: f64,
    /// The probability of ending below the floor.
    pub probability_below_floor: f64,
    /// The first day at whose end the ceiling is reached in the median; absent within the month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crossing_p50: Option<String>,
    /// The same for the 0.8 quantile: the earlier, cautious day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crossing_p80: Option<String>,
    /// What each day that is left may cost so that the month ends at the ceiling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_per_day: Option<String>,
    /// What the forecast used.
    pub used: UsedView,
}

/// An amount at a probability.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct QuantileView {
    /// Between 0 and 1.
    pub probability: f64,
    /// The amount.
    pub amount: String,
}

/// What a forecast used.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct UsedView {
    /// Days with a complete figure.
    pub days: usize,
    /// Days without one before the newest of them.
    pub gaps: usize,
    /// Past forecasts over as many days that the choice and the intervals come from.
    pub past_forecasts: usize,
    /// Their mean absolute error as a share of what they said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub past_error: Option<f64>,
    /// The newest day on which the level was found to have shifted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shifted_on: Option<String>,
    /// Charges that come on their day of the month and are still to come.
    pub expected_charges: Vec<ExpectedChargeView>,
}

/// A charge that is expected on a day.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ExpectedChargeView {
    /// The day.
    pub day: String,
    /// The amount.
    pub amount: String,
}

fn text(amount: Decimal) -> String {
    amount.round_dp(6).normalize().to_string()
}

/// The forecasts of a snapshot.
pub fn forecasts(snapshot: &Snapshot) -> Forecasts {
    let told = snapshot.bands.iter().filter_map(|band| Some((band, band.outlook.as_ref()?)));
    Forecasts {
        as_of: snapshot.at.to_string(),
        bands: told.map(|(band, outlook)| view(band, outlook)).collect(),
    }
}

fn view(band: &BandJudgement, outlook: &BandOutlook) -> BandForecastView {
    let BandOutlook { forecast, against } = outlook;
    let day = |day: Option<Date>| day.map(|day| day.to_string());
    let charge = |charge: &ExpectedCharge| ExpectedChargeView {
        day: charge.day.to_string(),
        amount: text(charge.amount),
    };
    BandForecastView {
        band: band.band.clone(),
        period: band.period.to_string(),
        period_label: band.label.as_str().to_owned(),
        currency: forecast.currency.to_string(),
        floor: text(band.floor.amount),
        ceiling: text(band.ceiling.amount),
        method: forecast.method.as_str().to_owned(),
        made_from: forecast.made_from.to_string(),
        booked: text(forecast.booked),
        days_left: forecast.days_left,
        quantiles: forecast
            .quantiles
            .iter()
            .map(|one| QuantileView { probability: one.probability, amount: text(one.amount) })
            .collect(),
        interval_80: forecast.interval_80.map(text),
        interval_95: forecast.interval_95.map(text),
        probability_above_ceiling: against.above_ceiling,
        probability_below_floor: against.below_floor,
        crossing_p50: day(against.crossing_p50),
        crossing_p80: day(against.crossing_p80),
        allowed_per_day: against.allowed_per_day.map(text),
        used: UsedView {
            days: forecast.used.days,
            gaps: forecast.used.gaps,
            past_forecasts: forecast.used.past_forecasts,
            past_error: forecast.used.past_error,
            shifted_on: day(forecast.used.shifted_on),
            expected_charges: forecast.used.expected_charges.iter().map(charge).collect(),
        },
    }
}
