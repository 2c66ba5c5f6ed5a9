//! What there is to tell of an alert: figures by name, and what moved them.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Severity;
use crate::domain::breakdown::Dimension;
use crate::domain::money::Money;

/// One figure of an alert; templates write it in the reader's language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum Figure {
    /// An amount.
    Money(Money),
    /// A share: 0.97 is 97 %.
    Ratio(f64),
    /// A number of things.
    Count(i64),
    /// A number of hours.
    Hours(f64),
    /// A billing day.
    Day(Date),
    /// An instant.
    At(Timestamp),
    /// Words that are the same in every language: a name, a provider's own text.
    Text(String),
}

words! {
    /// What a figure tells.
    FigureName {
        /// Money booked in the period.
        Spend = "spend",
        /// The ceiling.
        Ceiling = "ceiling",
        /// The floor.
        Floor = "floor",
        /// The median of the month's end.
        MonthEnd = "month_end",
        /// The 0.8 quantile, or the bound that the rule looked at.
        MonthEndHigh = "month_end_high",
        /// The probability that the rule looked at.
        Probability = "probability",
        /// The expected day of crossing, by the median.
        Crossing = "crossing",
        /// The cautious day of crossing, by the 0.8 quantile.
        CrossingEarly = "crossing_early",
        /// What a day may cost from now on.
        AllowedPerDay = "allowed_per_day",
        /// What the newest day cost.
        LastDay = "last_day",
        /// Burn rate over one complete day: 1 ends the month at its ceiling.
        BurnOneDay = "burn_1d",
        /// Burn rate over three complete days.
        BurnThreeDays = "burn_3d",
        /// Burn rate over seven complete days.
        BurnSevenDays = "burn_7d",
        /// What a day cost.
        ActualPerDay = "actual_per_day",
        /// What a day should have cost.
        ExpectedPerDay = "expected_per_day",
        /// The difference.
        Excess = "excess",
        /// The difference in sigmas.
        Sigmas = "sigmas",
        /// Since which day.
        FirstDay = "first_day",
        /// Up to which day.
        LastSeen = "last_seen",
        /// What something cost.
        Cost = "cost",
        /// A share of it.
        Share = "share",
        /// What the rule asks for.
        Limit = "limit",
        /// How many GPUs.
        Gpus = "gpus",
        /// How many GPU-hours.
        GpuHours = "gpu_hours",
        /// A tier.
        Tier = "tier",
        /// What is missing.
        Missing = "missing",
        /// How old, in hours.
        Age = "age",
        /// The newest complete day.
        NewestDay = "newest_day",
        /// Since when.
        Since = "since",
        /// The newest good reading.
        LastSuccess = "last_success",
        /// The kind of an error.
        ErrorKind = "error_kind",
        /// An error in its source's words.
        Error = "error",
        /// The figure before.
        Before = "before",
        /// The figure after.
        After = "after",
        /// How many.
        Count = "count",
        /// A cap.
        Cap = "cap",
        /// Spent of it.
        Spent = "spent",
    }
}

/// Figures by name. In one piece of memory: every alert has a dozen, and each evaluation makes them
/// anew.
#[derive(Debug, Default, PartialEq)]
pub struct Figures(Vec<(FigureName, Figure)>);

/// There is room for so many before memory is asked for again.
const ROOM: usize = 16;

/// What is copied is added to: a band's figures are told by each of its rules with its own.
impl Clone for Figures {
    fn clone(&self) -> Self {
        let mut copy = Vec::with_capacity(self.0.len().max(ROOM));
        copy.extend_from_slice(&self.0);
        Self(copy)
    }
}

impl Figures {
    /// Puts a figure in, in the place of one of its name.
    pub fn insert(&mut self, name: FigureName, figure: Figure) {
        if self.0.capacity() == 0 {
            self.0.reserve_exact(ROOM);
        }
        match self.0.binary_search_by_key(&name, |(held, _)| *held) {
            Ok(at) => {
                if let Some(held) = self.0.get_mut(at) {
                    held.1 = figure;
                }
            }
            Err(at) => self.0.insert(at, (name, figure)),
        }
    }

    /// The figure of a name.
    pub fn get(&self, name: FigureName) -> Option<&Figure> {
        self.0.iter().find(|(held, _)| *held == name).map(|(_, figure)| figure)
    }

    /// Every figure, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (FigureName, &Figure)> {
        self.0.iter().map(|(name, figure)| (*name, figure))
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Figures {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let held = BTreeMap::<FigureName, Figure>::deserialize(deserializer)?;
        Ok(Self(held.into_iter().collect()))
    }
}

/// What moved a figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertCause {
    /// Along which dimension of the bill; none for GPU workloads.
    pub dimension: Option<Dimension>,
    /// The value as people know it.
    pub name: String,
    /// Its money.
    pub amount: Money,
    /// Its share of what moved, 0 to 1, where that is known.
    pub share: Option<f64>,
}

/// What an evaluation says of one alert, for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertDetails {
    /// How much it matters.
    pub severity: Severity,
    /// How much, since when, by when.
    pub figures: Figures,
    /// What moved it, the largest first; three at most.
    pub causes: Vec<AlertCause>,
    /// Who is asked.
    pub owner: Option<String>,
    /// What to do: a link.
    pub runbook_url: Option<String>,
}

impl AlertDetails {
    /// Of a severity, with nothing to tell yet.
    pub fn new(severity: Severity) -> Self {
        let (figures, causes) = (Figures::default(), Vec::new());
        Self { severity, figures, causes, owner: None, runbook_url: None }
    }

    /// With one more figure.
    #[must_use]
    pub fn with(mut self, name: FigureName, figure: Figure) -> Self {
        self.figures.insert(name, figure);
        self
    }

    /// With one more figure, where it is known.
    #[must_use]
    pub fn with_known(self, name: FigureName, figure: Option<Figure>) -> Self {
        match figure {
            Some(figure) => self.with(name, figure),
            None => self,
        }
    }
}
