//! Bands: the floor and the ceiling that a month's spend is held against.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::breakdown::{ChargeCategory, Dimension};
use crate::domain::exchange::UsedRate;
use crate::domain::forecast::BandOutlook;
use crate::domain::identity::{Provider, SourceId};
use crate::domain::money::{CostBasis, Currency, Money};
use crate::domain::period::{BillingPeriod, BillingZone};
use crate::domain::reason::BandReason;
use crate::domain::report::Completeness;

/// A band as configured: which money, on which basis, between which limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    /// A unique name: the `band` label.
    pub name: String,
    /// Which money.
    pub scope: Scope,
    /// On which basis.
    pub basis: CostBasis,
    /// Categories that count besides usage and purchases.
    pub counts: Vec<ChargeCategory>,
    /// The currency of floor and ceiling.
    pub currency: Currency,
    /// Floor and ceiling with the day from which they hold, ascending, at least one.
    pub limits: Vec<BandLimits>,
    /// Who is asked when it breaks.
    pub owner: Option<String>,
    /// What to do when it breaks.
    pub runbook_url: Option<String>,
    /// Which receiver is told; all of them where none is named.
    pub receiver: Option<String>,
}

impl Band {
    /// The limits in force on a period's first day; none before the first of them.
    pub fn limits_in(&self, period: BillingPeriod) -> Option<&BandLimits> {
        self.limits
            .iter()
            .rev()
            .find(|limits| limits.effective_from.is_none_or(|from| from <= period.first_day()))
    }
}

/// A floor and a ceiling for a whole month, in the band's currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BandLimits {
    /// The first day; none for always.
    pub effective_from: Option<Date>,
    /// The least that is expected.
    pub floor: Decimal,
    /// The most that is allowed.
    pub ceiling: Decimal,
}

/// Which money a band holds: sources, narrowed by dimension values (all dimensions must match, any
/// value of each).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// All sources of a provider.
    pub provider: Option<Provider>,
    /// Named sources. With neither, every source.
    pub sources: Vec<SourceId>,
    /// Dimension and the values that are in, sorted by dimension.
    pub filters: Vec<(Dimension, Vec<String>)>,
}

impl Scope {
    /// Whether a source's money can be in the scope.
    pub fn includes(&self, source: &SourceId, provider: Provider) -> bool {
        self.provider.is_none_or(|wanted| wanted == provider)
            && (self.sources.is_empty() || self.sources.contains(source))
    }
}

/// Where a band's spend stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BandStatus {
    /// Under the floor.
    Below,
    /// Between floor and ceiling, both inclusive.
    Within,
    /// Over the ceiling.
    Above,
    /// Not known; the judgement says why.
    Unknown,
}

impl BandStatus {
    /// Every status, in label order.
    pub const ALL: [Self; 4] = [Self::Below, Self::Within, Self::Above, Self::Unknown];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Below => "below",
            Self::Within => "within",
            Self::Above => "above",
            Self::Unknown => "unknown",
        }
    }
}

/// What is compared with the band.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BandView {
    /// The money booked so far, held against the band of the whole month.
    Actual,
    /// The complete days so far, held against the share of the band for so much of the month.
    Pace,
    /// The expected month end, held against the band of the whole month.
    Forecast,
}

impl BandView {
    /// Every view, in label order.
    pub const ALL: [Self; 3] = [Self::Actual, Self::Pace, Self::Forecast];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Actual => "actual",
            Self::Pace => "pace",
            Self::Forecast => "forecast",
        }
    }
}

/// Which period, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeriodLabel {
    /// The open one.
    Current,
    /// The one before it.
    Previous,
}

impl PeriodLabel {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Current, Self::Previous];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Previous => "previous",
        }
    }

    /// The billing period that it names at an instant, in a provider's zone.
    pub fn period(self, now: Timestamp, zone: BillingZone) -> BillingPeriod {
        let current = BillingPeriod::at(now, zone);
        match self {
            Self::Current => current,
            Self::Previous => current.previous(),
        }
    }
}

/// One view of a judged band: the status and, where it is unknown or surprising, the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ViewJudgement {
    /// Which view.
    pub view: BandView,
    /// Where it stands.
    pub status: BandStatus,
    /// Why it is unknown, or what was compared with what.
    pub reason: BandReason,
}

/// How fast the last complete days of a period burn the ceiling: what a day of them cost over what a
/// day may cost. At 1 the month ends at its ceiling. Charges that are known as such are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct BurnRates {
    /// Over the newest complete day.
    pub one_day: Option<f64>,
    /// Over the newest three; none where the period has fewer.
    pub three_days: Option<f64>,
    /// Over the newest seven; none where the period has fewer.
    pub seven_days: Option<f64>,
}

/// What a band cost on one day of a period, in the band's currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BandDay {
    /// The usage day.
    pub day: Date,
    /// What it cost.
    pub spend: Decimal,
    /// What is booked of the period up to this day's end; what its invoice carries of days outside of
    /// it counts from the first day. The last one is the band's spend.
    pub total: Decimal,
    /// [`Completeness::Complete`] where the day is so in every source of the band, else
    /// [`Completeness::Provisional`].
    pub completeness: Completeness,
}

/// A band held against one billing period.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BandJudgement {
    /// The band's name.
    pub band: String,
    /// The period.
    pub period: BillingPeriod,
    /// The open one or the one before.
    pub label: PeriodLabel,
    /// The zone of its days.
    pub zone: BillingZone,
    /// Whether every source of the scope calls the period final.
    pub is_final: bool,
    /// The sources of its scope.
    pub sources: Vec<SourceId>,
    /// The basis.
    pub basis: CostBasis,
    /// The least that is expected.
    pub floor: Money,
    /// The most that is allowed.
    pub ceiling: Money,
    /// The money booked so far, the last good figure whatever its age; none if never known.
    pub spend: Option<Money>,
    /// The days of the period that are booked or complete, ascending; empty where `spend` is none.
    pub days: Vec<BandDay>,
    /// The part of `spend` on complete days.
    pub complete_spend: Option<Money>,
    /// Complete days of the period counted.
    pub complete_days: i64,
    /// The newest of them.
    pub newest_complete_day: Option<Date>,
    /// What that day cost, known charges left out; none for a final period or a reading that is too
    /// old.
    pub last_day: Option<Money>,
    /// How fast the last of them burn the ceiling; unknown as `last_day` is.
    pub burn: BurnRates,
    /// The month end at the pace of the complete days. None without a complete day.
    pub run_rate: Option<Money>,
    /// Where the month will end, as a distribution; none for a final period, a reading that is too
    /// old, or too little to tell.
    pub outlook: Option<BandOutlook>,
    /// `spend / ceiling`.
    pub ceiling_used_ratio: Option<f64>,
    /// The views, in the order of [`BandView::ALL`].
    pub views: Vec<ViewJudgement>,
    /// When the oldest source of the scope was last read well.
    pub as_of: Option<Timestamp>,
    /// Exchange rates that were used.
    pub exchange_rates: Vec<UsedRate>,
    /// Who is asked.
    pub owner: Option<String>,
    /// What to do.
    pub runbook_url: Option<String>,
}

impl BandJudgement {
    /// The expected end of the month: the forecast's median, or the run-rate where there is none.
    pub fn month_end(&self) -> Option<Money> {
        let median = |outlook: &BandOutlook| {
            Some(Money::new(outlook.forecast.at(0.5)?, outlook.forecast.currency))
        };
        self.outlook.as_ref().and_then(median).or(self.run_rate)
    }

    /// The status under a view.
    pub fn status(&self, view: BandView) -> BandStatus {
        self.views
            .iter()
            .find(|judged| judged.view == view)
            .map_or(BandStatus::Unknown, |judged| judged.status)
    }
}
