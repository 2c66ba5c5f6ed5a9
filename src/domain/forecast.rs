//! A cost by day as forecasts read it, and what they say: the month's end as a distribution, bands
//! held against it, and what moved.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::domain::breakdown::ChargeCategory;
use crate::domain::money::{Currency, Money, MoneyError};
use crate::domain::period::{BillingPeriod, Window, next_day};

/// The most days that a series may span: what a provider keeps is far less.
pub const MOST_DAYS: usize = 20 * 366;

/// The cost of one dimension value, or of a band, day by day in one currency. Days of the billing
/// calendar, one after the other, no day twice.
#[derive(Debug, Clone, PartialEq)]
pub struct CostSeries {
    /// The currency of every amount.
    pub currency: Currency,
    /// The first day.
    pub first: Date,
    /// One entry for each day from the first.
    pub days: Vec<CostDay>,
    /// Charges told apart from the days' amounts: those whose category says that they are no daily
    /// use. Booked ones, and scheduled ones that are known to come.
    pub charges: Vec<KnownCharge>,
}

/// One day of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CostDay {
    /// The amount, without the known charges; none where the day was not read.
    pub amount: Option<Decimal>,
    /// How much was used, where it is known in one unit.
    pub quantity: Option<Decimal>,
    /// Whether the amount will hardly change. A provisional day counts as booked, never as a
    /// reading of the level.
    pub complete: bool,
}

/// A charge that is known as such: a purchase, a credit, a fee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownCharge {
    /// The day.
    pub day: Date,
    /// The amount; negative for money given.
    pub amount: Decimal,
    /// What kind.
    pub category: ChargeCategory,
}

/// One row that a series is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesRow {
    /// The usage day.
    pub day: Date,
    /// The amount.
    pub cost: Money,
    /// What kind of charge.
    pub category: ChargeCategory,
    /// How much was used; none where the rows' units differ.
    pub quantity: Option<Decimal>,
}

/// Why no series can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeriesError {
    /// The window holds no day.
    #[error("failed to make a series of `{0}`: the window holds no day")]
    Empty(String),
    /// More days than anything keeps.
    #[error("failed to make a series of {0} days: at most {MOST_DAYS} are read; ask for fewer")]
    TooLong(usize),
    /// Two currencies, or a sum past 28 digits.
    #[error("failed to sum {day}: {problem}; convert to one currency first")]
    Money {
        /// The day.
        day: Date,
        /// What is wrong.
        problem: MoneyError,
    },
}

impl CostSeries {
    /// Adds rows up from the first of them to the last, or to the newest complete day: a cost that
    /// stopped is known to be nothing since.
    ///
    /// # Errors
    /// As [`Self::gather`].
    pub fn of(
        currency: Currency,
        rows: &[SeriesRow],
        complete: &BTreeSet<Date>,
    ) -> Result<Self, SeriesError> {
        let days = || rows.iter().map(|row| row.day);
        let first = days().min().unwrap_or_default();
        let last = days().max().max(complete.last().copied());
        let window = Window::new(first, last.map_or(first, next_day));
        Self::gather(window, currency, rows, complete)
    }

    /// Adds rows up by day. A complete day without a row cost nothing; a day that is neither
    /// complete nor in a row is absent. Rows outside of the window are left out, charges after it
    /// excepted: they are scheduled.
    ///
    /// Rows that are not usage become known charges, unless their category comes on more than a
    /// quarter of the window's days: then it is a daily cost as any other.
    ///
    /// # Errors
    /// [`SeriesError`] for no day, too many, or rows of two currencies.
    pub fn gather(
        window: Window,
        currency: Currency,
        rows: &[SeriesRow],
        complete: &BTreeSet<Date>,
    ) -> Result<Self, SeriesError> {
        let length = days_between(window.start, window.end).unwrap_or(0);
        if length == 0 {
            return Err(SeriesError::Empty(window.to_string()));
        }
        if length > MOST_DAYS {
            return Err(SeriesError::TooLong(length));
        }
        let lumps = rare_categories(rows, window, length);
        let mut charges = BTreeMap::new();
        let mut sums: BTreeMap<Date, (Money, Option<Decimal>)> = BTreeMap::new();
        for row in rows {
            let wrong = |problem| SeriesError::Money { day: row.day, problem };
            let zero = Money::zero(currency);
            if lumps.contains(&row.category) && row.day >= window.start {
                let sum = charges.entry((row.day, row.category)).or_insert(zero);
                *sum = sum.checked_add(row.cost).map_err(wrong)?;
            } else if window.contains(row.day) {
                let sum = sums.entry(row.day).or_insert((zero, Some(Decimal::ZERO)));
                sum.0 = sum.0.checked_add(row.cost).map_err(wrong)?;
                sum.1 = sum.1.zip(row.quantity).and_then(|(held, more)| held.checked_add(more));
            }
        }
        let days = window
            .days()
            .map(|day| {
                let found = sums.get(&day);
                let complete = complete.contains(&day);
                let amount = found.map(|(cost, _)| cost.amount);
                CostDay {
                    amount: amount.or(complete.then_some(Decimal::ZERO)),
                    quantity: found.and_then(|(_, quantity)| *quantity),
                    complete,
                }
            })
            .collect();
        let charges = charges
            .into_iter()
            .map(|((day, category), cost)| KnownCharge { day, category, amount: cost.amount })
            .collect();
        Ok(Self { currency, first: window.start, days, charges })
    }

    /// The day at an index; the calendar's last day past its end.
    pub fn date(&self, index: usize) -> Date {
        day_after(self.first, index)
    }

    /// The index of a day that the series holds.
    pub fn index(&self, day: Date) -> Option<usize> {
        days_between(self.first, day).filter(|index| *index < self.days.len())
    }

    /// The newest complete day.
    pub fn newest_complete(&self) -> Option<usize> {
        self.days.iter().rposition(|day| day.complete && day.amount.is_some())
    }
}

/// Categories other than usage that come on at most a quarter of the days.
fn rare_categories(rows: &[SeriesRow], window: Window, length: usize) -> BTreeSet<ChargeCategory> {
    let mut days: BTreeMap<ChargeCategory, BTreeSet<Date>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.category != ChargeCategory::Usage) {
        let days = days.entry(row.category).or_default();
        if window.contains(row.day) {
            days.insert(row.day);
        }
    }
    days.into_iter().filter(|(_, days)| days.len() * 4 <= length).map(|(rare, _)| rare).collect()
}

/// How many days lie from one day to a later one.
pub fn days_between(from: Date, to: Date) -> Option<usize> {
    usize::try_from((to - from).get_days()).ok()
}

/// The day so many days later.
pub fn day_after(day: Date, count: usize) -> Date {
    day.saturating_add(i32::try_from(count).unwrap_or(i32::MAX).days())
}

/// How a forecast was made. A property of the document, never a label: it changes from day to day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ForecastMethod {
    /// The median of the last 7 days over their weekday's factor.
    WeekdayLevel,
    /// The same over 28 days.
    LongWeekdayLevel,
    /// Exponential smoothing, 0.3 for a new day.
    SlowSmoothing,
    /// Exponential smoothing, 0.6 for a new day.
    QuickSmoothing,
    /// The newest day over its weekday's factor.
    LastDay,
    /// Exponential smoothing with half of the slope (Theta).
    Theta,
    /// The last seven days again.
    SeasonalNaive,
    /// Several of these, none with more than 60 % of the weight.
    Combination,
    /// Too little history to score anything: the weekday level and slow smoothing in equal parts.
    ShortHistory,
    /// Fewer than 7 days: the days there are, beside what the known fleet costs.
    Prior,
    /// The period is over and complete: its actual.
    Actual,
}

impl ForecastMethod {
    /// The candidates that compete, in the order of their forecasts.
    pub const CANDIDATES: [Self; 7] = [
        Self::WeekdayLevel,
        Self::LongWeekdayLevel,
        Self::SlowSmoothing,
        Self::QuickSmoothing,
        Self::LastDay,
        Self::Theta,
        Self::SeasonalNaive,
    ];

    /// The word in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WeekdayLevel => "weekday_level",
            Self::LongWeekdayLevel => "long_weekday_level",
            Self::SlowSmoothing => "slow_smoothing",
            Self::QuickSmoothing => "quick_smoothing",
            Self::LastDay => "last_day",
            Self::Theta => "theta",
            Self::SeasonalNaive => "seasonal_naive",
            Self::Combination => "combination",
            Self::ShortHistory => "short_history",
            Self::Prior => "prior",
            Self::Actual => "actual",
        }
    }
}

/// The probabilities at which a month's end is told.
pub const PROBABILITIES: [f64; 7] = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95];

/// An amount that the month's end stays under with a probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantile {
    /// The probability, between 0 and 1.
    pub probability: f64,
    /// The amount.
    pub amount: Decimal,
}

/// Where a month will end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// The month.
    pub period: BillingPeriod,
    /// The currency of every amount.
    pub currency: Currency,
    /// How it was made.
    pub method: ForecastMethod,
    /// What the days and charges of the month up to now sum to, provisional ones among them.
    pub booked: Decimal,
    /// The newest complete day: what the forecast was made from.
    pub made_from: Date,
    /// Days of the month after that one.
    pub days_left: usize,
    /// One amount for each of [`PROBABILITIES`], never falling.
    pub quantiles: Vec<Quantile>,
    /// The bounds of the central 80 %.
    pub interval_80: [Decimal; 2],
    /// The bounds of the central 95 %.
    pub interval_95: [Decimal; 2],
    /// What it used.
    pub used: ForecastInputs,
}

impl Forecast {
    /// The amount at one of [`PROBABILITIES`].
    pub fn at(&self, probability: f64) -> Option<Decimal> {
        self.quantiles
            .iter()
            .find(|quantile| (quantile.probability - probability).abs() < 1e-9)
            .map(|quantile| quantile.amount)
    }
}

/// What a forecast used, so that a reader can judge it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ForecastInputs {
    /// Days with a complete figure.
    pub days: usize,
    /// Days before the newest complete one without a complete figure, filled with what is expected.
    pub gaps: usize,
    /// Past forecasts over as many days that the choice and the interval come from.
    pub past_forecasts: usize,
    /// The mean absolute error of those, as a share of what they said.
    pub past_error: Option<f64>,
    /// The newest day on which the level was found to have shifted.
    pub shifted_on: Option<Date>,
    /// Charges that come on their day of the month, found or known, still to come.
    pub expected_charges: Vec<ExpectedCharge>,
    /// Days told by a nowcast.
    pub nowcast_days: usize,
    /// Whether the cost of the known fleet entered.
    pub prior: bool,
}

/// A charge that is expected on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ExpectedCharge {
    /// The day.
    pub day: Date,
    /// The amount.
    pub amount: Decimal,
    /// The category where it is known as a charge; none where its day of the month gave it away.
    pub category: Option<ChargeCategory>,
}

/// What a forecast says of a band.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BandForecast {
    /// The probability of ending above the ceiling.
    pub above_ceiling: f64,
    /// The probability of ending below the floor.
    pub below_floor: f64,
    /// The first day at whose end the median of the sum is at or over the ceiling, as
    /// [`BandOutlook::path`] has it; none where that is not within the month.
    pub crossing_p50: Option<Date>,
    /// The same for the 0.8 quantile: the earlier, cautious day.
    pub crossing_p80: Option<Date>,
    /// What each day that is left may cost so that the month ends at the ceiling, expected charges
    /// taken off; negative when it is too late. None when no day is left.
    pub allowed_per_day: Option<Decimal>,
}

/// Where a band's month will end, and what that says of its limits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BandOutlook {
    /// The month's end.
    pub forecast: Forecast,
    /// Held against floor and ceiling.
    pub against: BandForecast,
    /// The way there: one entry for each day of the month after the newest complete one; empty where
    /// none is left. The last one has the amounts of `forecast.quantiles`.
    pub path: Vec<PathDay>,
}

/// What a month will have cost by the end of one day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PathDay {
    /// The day.
    pub day: Date,
    /// What the month's sum up to then stays under: one amount for each of [`PROBABILITIES`], never
    /// falling.
    pub quantiles: Vec<Decimal>,
}

impl PathDay {
    /// The amount at one of [`PROBABILITIES`].
    pub fn at(&self, probability: f64) -> Option<Decimal> {
        let place = PROBABILITIES.iter().position(|held| (held - probability).abs() < 1e-9)?;
        self.quantiles.get(place).copied()
    }
}

/// Why no forecast can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForecastError {
    /// Fewer complete days than a level needs.
    #[error("failed to forecast from {0} complete days: want 3, or what the known fleet costs")]
    TooShort(usize),
    /// Every complete day lies after the month.
    #[error("failed to forecast {0}: no complete day lies in or before it")]
    NothingBefore(BillingPeriod),
    /// The newest complete day is so old that the month would be a guess.
    #[error("failed to forecast {period}: the newest complete day is {newest}")]
    TooOld {
        /// The month.
        period: BillingPeriod,
        /// The newest complete day in or before it.
        newest: Date,
    },
    /// The sum has more than 28 digits.
    #[error("failed to sum {0}: more than 28 digits")]
    Overflow(BillingPeriod),
}
