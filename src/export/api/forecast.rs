//! The documents of forecasts, and of what was forecast before.

use jiff::civil::Date;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::band::BandJudgement;
use crate::domain::forecast::{BandOutlook, ExpectedCharge, Forecast};
use crate::domain::record::PastForecast;
use crate::snapshot::Snapshot;

/// `/api/v1/forecast`: where every band's month will end, and that of what they are made of.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Forecasts {
    /// When the snapshot was made, RFC 3339.
    pub as_of: String,
    /// Each band and period that can be forecast; a final period is not.
    pub bands: Vec<BandForecastView>,
    /// The open period of each source and of the services, sub-accounts and regions that cost most
    /// in it. They tell the same money again and are never added.
    pub series: Vec<SeriesForecastView>,
}

/// Where a band's month will end.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BandForecastView {
    /// The band.
    pub band: String,
    /// `current` or `previous`.
    pub period_label: String,
    /// The floor of the whole month.
    pub floor: String,
    /// The ceiling of the whole month.
    pub ceiling: String,
    /// The month's end.
    #[serde(flatten)]
    pub forecast: ForecastView,
    /// The probability of ending above the ceiling.
    pub probability_above_ceiling: f64,
    /// The probability of ending below the floor.
    pub probability_below_floor: f64,
    /// The first day at whose end the ceiling is reached in the median; absent where that is not
    /// within the month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crossing_p50: Option<String>,
    /// The same for the 0.8 quantile: the earlier, cautious day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crossing_p80: Option<String>,
    /// What each day that is left may cost so that the month ends at the ceiling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_per_day: Option<String>,
    /// The way there: each day of the month after the newest complete one.
    pub path: Vec<PathDayView>,
}

/// What a month will have cost by the end of a day.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PathDayView {
    /// The day.
    pub day: String,
    /// What the sum up to then stays under, one amount for each entry of `quantiles` and in its
    /// order; those of the last day are the same.
    pub amounts: Vec<String>,
}

/// `/api/v1/forecast/history`: what was forecast of each band's open and previous month from day to
/// day.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ForecastHistory {
    /// When the snapshot was made, RFC 3339.
    pub as_of: String,
    /// One entry for each band and period.
    pub bands: Vec<BandRecordView>,
}

/// What was forecast of a month of a band.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BandRecordView {
    /// The band.
    pub band: String,
    /// The billing period.
    pub period: String,
    /// `current` or `previous`.
    pub period_label: String,
    /// One entry for each day that a forecast was made from, ascending, from the last day before the
    /// month to its last but one.
    pub forecasts: Vec<PastForecastView>,
}

/// What was forecast from the days that were complete then.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PastForecastView {
    /// The newest complete day that it was made from.
    pub made_from: String,
    /// When it was told first, RFC 3339; absent where nothing was told then, and it was made again
    /// later from the same days as they are known now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told_at: Option<String>,
    /// The currency of every amount.
    pub currency: String,
    /// The median of the month's end.
    pub expected: String,
    /// The bounds of the central 80 %.
    pub interval_80: [String; 2],
    /// The probability of ending above the ceiling that was in force.
    pub probability_above_ceiling: f64,
    /// The probability of ending below the floor that was in force.
    pub probability_below_floor: f64,
}

/// Where the month of a source will end, or of one value of a dimension of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SeriesForecastView {
    /// The source.
    pub source: String,
    /// `service_name`, `sub_account_id` or `region_id`; absent for the whole source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimension: Option<String>,
    /// The value; absent for the whole source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `billed` or `effective`.
    pub basis: String,
    /// The month's end.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<ForecastView>,
    /// Why it cannot be told; absent where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Where a month will end, as a distribution.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ForecastView {
    /// The billing period.
    pub period: String,
    /// The currency of every amount.
    pub currency: String,
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
    /// Days after the newest complete one that GPU telemetry tells of.
    pub nowcast_days: usize,
    /// Whether the days were too few to stand alone, and what the GPUs that run now cost entered.
    pub fleet_cost: bool,
}

/// A charge that is expected on a day.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ExpectedChargeView {
    /// The day.
    pub day: String,
    /// The amount.
    pub amount: String,
}

pub(super) fn text(amount: Decimal) -> String {
    amount.round_dp(6).normalize().to_string()
}

/// The forecasts of a snapshot.
pub fn forecasts(snapshot: &Snapshot) -> Forecasts {
    let told = snapshot.bands.iter().filter_map(|band| Some((band, band.outlook.as_ref()?)));
    let series = snapshot.trends.iter().flat_map(|of| {
        of.trends.iter().map(|trend| SeriesForecastView {
            source: of.source.to_string(),
            dimension: trend.of.as_ref().map(|(dimension, _)| dimension.as_str().to_owned()),
            key: trend.of.as_ref().map(|(_, key)| key.clone()),
            basis: trend.basis.as_str().to_owned(),
            forecast: trend.forecast.as_ref().ok().map(view),
            reason: trend.forecast.as_ref().err().map(ToString::to_string),
        })
    });
    Forecasts {
        as_of: snapshot.at.to_string(),
        bands: told.map(|(band, outlook)| of_band(band, outlook)).collect(),
        series: series.collect(),
    }
}

/// The record of a snapshot.
pub fn forecast_history(snapshot: &Snapshot) -> ForecastHistory {
    let bands = snapshot.records.iter().map(|record| BandRecordView {
        band: record.band.clone(),
        period: record.period.to_string(),
        period_label: record.label.as_str().to_owned(),
        forecasts: record.forecasts.iter().map(past).collect(),
    });
    ForecastHistory { as_of: snapshot.at.to_string(), bands: bands.collect() }
}

fn past(said: &PastForecast) -> PastForecastView {
    PastForecastView {
        made_from: said.made_from.to_string(),
        told_at: said.told_at.map(|at| at.to_string()),
        currency: said.currency.to_string(),
        expected: text(said.expected),
        interval_80: said.interval_80.map(text),
        probability_above_ceiling: said.above_ceiling,
        probability_below_floor: said.below_floor,
    }
}

fn of_band(band: &BandJudgement, outlook: &BandOutlook) -> BandForecastView {
    let BandOutlook { forecast, against, path } = outlook;
    BandForecastView {
        band: band.band.clone(),
        period_label: band.label.as_str().to_owned(),
        floor: text(band.floor.amount),
        ceiling: text(band.ceiling.amount),
        forecast: view(forecast),
        probability_above_ceiling: against.above_ceiling,
        probability_below_floor: against.below_floor,
        crossing_p50: day(against.crossing_p50),
        crossing_p80: day(against.crossing_p80),
        allowed_per_day: against.allowed_per_day.map(text),
        path: path
            .iter()
            .map(|on| PathDayView {
                day: on.day.to_string(),
                amounts: on.quantiles.iter().copied().map(text).collect(),
            })
            .collect(),
    }
}

fn day(day: Option<Date>) -> Option<String> {
    day.map(|day| day.to_string())
}

fn view(forecast: &Forecast) -> ForecastView {
    let charge = |charge: &ExpectedCharge| ExpectedChargeView {
        day: charge.day.to_string(),
        amount: text(charge.amount),
    };
    ForecastView {
        period: forecast.period.to_string(),
        currency: forecast.currency.to_string(),
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
        used: UsedView {
            days: forecast.used.days,
            gaps: forecast.used.gaps,
            past_forecasts: forecast.used.past_forecasts,
            past_error: forecast.used.past_error,
            shifted_on: day(forecast.used.shifted_on),
            expected_charges: forecast.used.expected_charges.iter().map(charge).collect(),
            nowcast_days: forecast.used.nowcast_days,
            fleet_cost: forecast.used.prior,
        },
    }
}
