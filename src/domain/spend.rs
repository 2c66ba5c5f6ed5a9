//! Spend as it is shown: one source's money in its open and its previous billing period.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde::Serialize;

use crate::domain::band::PeriodLabel;
use crate::domain::breakdown::{Amounts, ChargeCategory, Dimension};
use crate::domain::identity::{Provider, SourceId};
use crate::domain::money::{Currency, Money};
use crate::domain::period::BillingPeriod;
use crate::domain::price::SkuPrice;
use crate::domain::report::{Completeness, NativeBudget, SourceErrorKind};

/// One source's money.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceSpend {
    /// The source.
    pub source: SourceId,
    /// Its provider.
    pub provider: Provider,
    /// The open period first, then the previous one. A period that was never read is missing.
    pub periods: Vec<PeriodSpend>,
    /// Up to when the provider's data reaches.
    pub data_through: Option<Timestamp>,
    /// The usage days that are complete in every currency, those without any cost among them.
    pub complete_days: BTreeSet<Date>,
    /// The newest complete day that has a cost, with its totals.
    pub last_complete_day: Option<(Date, BTreeMap<Currency, Amounts>)>,
    /// What people call sub-accounts and the like.
    pub names: BTreeMap<(Dimension, String), String>,
    /// Budgets kept at the provider.
    pub budgets: Vec<NativeBudget>,
    /// The provider's list prices of GPU machines and their parts, where they are read.
    pub list_prices: Vec<SkuPrice>,
    /// How often a day moved after it had been complete, since the ledger began.
    pub restatements_total: u64,
    /// What moved of late, by billing period and currency.
    pub restated: Vec<RestatedPeriod>,
}

/// What moved of a billing period after it had been complete.
#[derive(Debug, Clone, PartialEq)]
pub struct RestatedPeriod {
    /// The period.
    pub period: BillingPeriod,
    /// The currency.
    pub currency: Currency,
    /// The period's total before it moved after it was closed.
    pub before: Decimal,
    /// The period's total now; the same as before where nothing moved after it was closed.
    pub after: Decimal,
    /// When it moved after it was closed and by how much, each reading once, oldest first.
    pub steps: Vec<(Timestamp, Decimal)>,
    /// Days whose total fell, whether the period was closed or not.
    pub falls: Vec<FallenDay>,
}

/// A day whose total fell after it had been complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FallenDay {
    /// The usage day.
    pub day: Date,
    /// Its total before, more than zero.
    pub before: Decimal,
    /// Its total after.
    pub after: Decimal,
    /// When that was read.
    pub observed_at: Timestamp,
}

impl FallenDay {
    /// The part that is left.
    pub fn left(&self) -> Option<Decimal> {
        self.after.checked_div(self.before)
    }
}

/// One source's money in one billing period.
#[derive(Debug, Clone, PartialEq)]
pub struct PeriodSpend {
    /// The open one or the one before.
    pub label: PeriodLabel,
    /// The period.
    pub period: BillingPeriod,
    /// Whether the provider will not change it any more.
    pub is_final: bool,
    /// The period's first instant.
    pub start: Timestamp,
    /// Spend: the primary breakdown's sums.
    pub totals: BTreeMap<Currency, Amounts>,
    /// What spend leaves out, by category.
    pub excluded: BTreeMap<(Currency, ChargeCategory), Amounts>,
    /// Spend told along one dimension, from one breakdown each.
    pub by: BTreeMap<Dimension, BTreeMap<(String, Currency), Amounts>>,
    /// Spend by usage day, ascending.
    pub days: Vec<DaySpend>,
    /// The provider's own ungrouped total less the primary's sum, over days that have both.
    pub reconciliation_difference: BTreeMap<Currency, Decimal>,
}

/// One day's spend.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DaySpend {
    /// The usage day.
    pub day: Date,
    /// The billing currency.
    pub currency: Currency,
    /// The amounts.
    pub amounts: Amounts,
    /// How sure they are.
    pub completeness: Completeness,
}

/// How a source's polling goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceStatus {
    /// The source.
    pub source: SourceId,
    /// Its provider.
    pub provider: Provider,
    /// Whether the newest poll did well; none before the first one ended.
    pub up: Option<bool>,
    /// The newest committed poll.
    pub last_success: Option<Timestamp>,
    /// Why the newest poll failed: kind and text.
    pub last_error: Option<(SourceErrorKind, String)>,
    /// When the next poll is due.
    pub next_poll: Option<Timestamp>,
    /// Reserved for requests in this calendar month (UTC).
    pub spent: Vec<Money>,
    /// The monthly cap.
    pub monthly_cap: Option<Money>,
    /// How long after a day's end its costs may still arrive.
    #[serde(skip)]
    pub lag: SignedDuration,
}
