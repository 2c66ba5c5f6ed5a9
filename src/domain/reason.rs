//! Why a band is judged as it is. A type, so that each face tells it in its reader's language; its
//! text is the English sentence.

use std::fmt;

use jiff::civil::Date;
use serde::{Serialize, Serializer};

use crate::domain::identity::SourceId;
use crate::domain::money::{CostBasis, Currency, Money};
use crate::domain::period::BillingPeriod;

/// Why a view of a band has its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BandReason {
    /// The booked money against the whole band.
    Booked {
        /// What is booked.
        spend: Money,
        /// The band.
        limits: [Money; 2],
        /// Whether the month goes on.
        so_far: bool,
    },
    /// Not everything is known, and what is decides it.
    AtLeast {
        /// What is booked at least.
        least: Money,
        /// What is not known.
        problem: Box<Self>,
    },
    /// The complete days against the same share of the band.
    Pace {
        /// What they cost.
        spend: Money,
        /// How many they are.
        days: i64,
        /// The band's share of them.
        limits: [Money; 2],
    },
    /// The ceiling is passed already.
    BookedAlready(Money),
    /// The provider will not change the month any more.
    Final(Money),
    /// Every day is complete; the provider may still restate them.
    AllComplete(Money),
    /// The forecast.
    Expected {
        /// Its median.
        median: Money,
        /// The bounds of the central 80 %.
        likely: [Money; 2],
        /// From so many complete days.
        days: usize,
        /// Up to this one.
        made_from: Date,
        /// Whether the cost of the GPUs that run now entered.
        prior: bool,
        /// So many days were told by GPU telemetry.
        nowcast_days: usize,
    },
    /// Too little for a forecast.
    RunRate {
        /// The month end at the pace of the complete days.
        end: Money,
        /// How many they are.
        days: i64,
    },
    /// The run-rate has more than 28 digits.
    RunRateTooLarge,
    /// No day of the month is complete.
    NoCompleteDay,
    /// A source of the band was never read.
    NeverRead(SourceId),
    /// A source of the band was not read since the start.
    NotReadYet(SourceId),
    /// A source's newest reading is too old.
    TooOld {
        /// The source.
        source: SourceId,
        /// Its age in hours.
        hours: i64,
        /// The most that is allowed.
        most: i64,
    },
    /// Nothing of the month is known.
    NothingKnown(BillingPeriod),
    /// The source does not tell the band's basis.
    NoBasis {
        /// The source.
        source: SourceId,
        /// The basis.
        basis: CostBasis,
        /// The one that may be known.
        other: CostBasis,
    },
    /// No exchange rate is known.
    NoRate {
        /// From which currency.
        from: Currency,
        /// To which one.
        to: Currency,
        /// For which day.
        day: Date,
    },
    /// A sum has more than 28 digits.
    TooLarge,
}

impl fmt::Display for BandReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = |money: &Money| money.grouped(2);
        match self {
            Self::Booked { spend, limits: [floor, ceiling], so_far } => {
                let so_far = if *so_far { " so far" } else { "" };
                write!(f, "{}{so_far} against {} to {}", cents(spend), cents(floor), cents(ceiling))
            }
            Self::AtLeast { least, problem } => {
                write!(f, "at least {} are booked; {problem}", cents(least))
            }
            Self::Pace { spend, days, limits: [floor, ceiling] } => write!(
                f,
                "{} on {days} complete days against {} to {} for so many",
                cents(spend),
                cents(floor),
                cents(ceiling)
            ),
            Self::BookedAlready(spend) => write!(f, "{} are booked already", cents(spend)),
            Self::Final(spend) => write!(f, "the month is final at {}", cents(spend)),
            Self::AllComplete(spend) => {
                write!(f, "{}: every day is complete, and may still be restated", cents(spend))
            }
            Self::Expected { median, likely: [low, high], days, made_from, .. } => write!(
                f,
                "{} expected, {} to {} with a probability of 80 %, from {days} complete days up to \
                 {made_from}{}",
                cents(median),
                cents(low),
                cents(high),
                self.besides()
            ),
            Self::RunRate { end, days } => write!(
                f,
                "{} at the run-rate of {days} complete days, which stands in for a forecast",
                cents(end)
            ),
            Self::RunRateTooLarge => f.write_str("the run-rate is too large"),
            Self::NoCompleteDay => f.write_str(
                "no day is complete yet: a day counts once it is older than the provider's lag and \
                 two readings at least 6 h apart agree",
            ),
            Self::NeverRead(source) => write!(f, "`{source}` was never read"),
            Self::NotReadYet(source) => write!(f, "`{source}` was not read yet"),
            Self::TooOld { source, hours, most } => write!(
                f,
                "the newest reading of `{source}` is {hours} h old, its maximum age is {most} h"
            ),
            Self::NothingKnown(period) => write!(f, "no cost of {period} is known yet"),
            Self::NoBasis { source, basis, other } => write!(
                f,
                "`{source}` does not tell the {} cost; `basis: {}` may be known",
                basis.as_str(),
                other.as_str()
            ),
            Self::NoRate { from, to, day } => {
                write!(f, "no rate from {from} to {to} for {day}; add one to `exchange_rates`")
            }
            Self::TooLarge => f.write_str("the sum has more than 28 digits"),
        }
    }
}

impl BandReason {
    /// What a forecast is made of besides its complete days.
    fn besides(&self) -> String {
        match self {
            Self::Expected { prior: true, .. } => {
                ", with what the GPUs that run now cost".to_owned()
            }
            Self::Expected { nowcast_days: 1, .. } => {
                ", and from GPU telemetry of 1 day that is not complete".to_owned()
            }
            Self::Expected { nowcast_days: days @ 2.., .. } => {
                format!(", and from GPU telemetry of {days} days that are not complete")
            }
            _ => String::new(),
        }
    }
}

impl Serialize for BandReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
