//! How well forecasts did on the stored history, beside what anyone could have said.

use serde::Serialize;

/// The days of the month on which forecasts are scored.
pub const SCORED_DAYS: [u8; 4] = [3, 7, 15, 22];

/// What is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoredMethod {
    /// The forecast as it is exported.
    Costband,
    /// The month so far over its days, times the days of the month.
    RunRate,
    /// The last seven days again and again.
    SeasonalNaive,
}

impl ScoredMethod {
    /// Every method, in table order.
    pub const ALL: [Self; 3] = [Self::Costband, Self::RunRate, Self::SeasonalNaive];

    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Costband => "costband",
            Self::RunRate => "run_rate",
            Self::SeasonalNaive => "seasonal_naive",
        }
    }
}

/// The score of one method on one day of the month.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DayScore {
    /// What was scored.
    pub method: ScoredMethod,
    /// The day of the month on which the forecasts were made.
    pub day: u8,
    /// How many.
    pub forecasts: usize,
    /// The sum of absolute errors of the month's total over the sum of the totals.
    pub wape: Option<f64>,
    /// The mean pinball loss of the seven quantiles over the mean total; none without quantiles.
    pub pinball: Option<f64>,
    /// The share of months that ended within the central 80 %.
    pub coverage_80: Option<f64>,
    /// The share of months that ended within the central 95 %.
    pub coverage_95: Option<f64>,
}

/// The scores of one series, or of all together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scores {
    /// The series; none for all.
    pub series: Option<String>,
    /// How many days before the day of a forecast the newest complete one lay; none for all.
    pub lag_days: Option<usize>,
    /// Months that were scored.
    pub months: usize,
    /// One entry for each method and day.
    pub scores: Vec<DayScore>,
}

/// A whole backtest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Backtest {
    /// Each series, in the order given.
    pub series: Vec<Scores>,
    /// All together: each series weighs as much as its cost.
    pub overall: Scores,
}
