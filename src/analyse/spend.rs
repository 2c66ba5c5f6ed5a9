//! Rows become spend: totals from the primary breakdown, views from the others, and one daily
//! series for each band. Every sum is made from exactly one breakdown.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use crate::analyse::period::{self, PeriodReadings};
use crate::domain::band::PeriodLabel;
use crate::domain::breakdown::{
    Amounts, Breakdown, BreakdownRole, ChargeCategory, CostRow, Dimension,
};
use crate::domain::identity::{Provider, SourceId};
use crate::domain::money::{CostBasis, Currency};
use crate::domain::period::BillingPeriod;
use crate::domain::price::SkuPrice;
use crate::domain::report::{Completeness, DayReading, EmptyDay, NativeBudget};
use crate::domain::spend::{DaySpend, PeriodSpend, SourceSpend};

/// What judging needs to know of a source.
#[derive(Debug, Clone)]
pub struct SourceRules {
    /// The source.
    pub id: SourceId,
    /// Its provider.
    pub provider: Provider,
    /// How long after a day's end its costs may still arrive.
    pub lag: SignedDuration,
    /// How long GCP must bring nothing new before a past period is final.
    pub quiet: SignedDuration,
    /// How old the newest good reading may grow before statuses become unknown.
    pub maximum_age: SignedDuration,
}

/// The rows of one source that a band holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The name of the breakdown that answers the band's scope.
    pub query: String,
    /// What narrows it further: a row is in when each dimension has one of the values.
    pub filters: Vec<(Dimension, Vec<String>)>,
    /// Categories that count besides spend, read from the source's category breakdown.
    pub counts: Vec<ChargeCategory>,
}

impl Selection {
    /// Whether rows of a breakdown may belong to it.
    pub fn reads(&self, breakdown: &Breakdown) -> bool {
        breakdown.query == self.query
            || (breakdown.role == BreakdownRole::Categories && !self.counts.is_empty())
    }

    /// Whether a row of a breakdown has one of the wanted values in every dimension that is narrowed.
    pub fn narrows_to(&self, breakdown: &Breakdown, row: &CostRow) -> bool {
        self.filters.iter().all(|(dimension, values)| {
            let place = breakdown.dimensions.iter().position(|held| held == dimension);
            place.and_then(|place| row.keys.get(place)).is_some_and(|key| values.contains(key))
        })
    }
}

/// A sum in which one unknown amount makes the sum of that basis unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AmountSum {
    amounts: Amounts,
    rows: u64,
}

impl AmountSum {
    /// Adds the amounts of a row.
    pub fn add(&mut self, other: &Amounts) {
        if self.rows == 0 {
            self.amounts = *other;
        } else {
            let sum = |a: Option<Decimal>, b: Option<Decimal>| a?.checked_add(b?);
            self.amounts = Amounts {
                billed: sum(self.amounts.billed, other.billed),
                effective: sum(self.amounts.effective, other.effective),
                list: sum(self.amounts.list, other.list),
            };
        }
        self.rows += 1;
    }

    /// The sums.
    pub fn amounts(&self) -> Amounts {
        self.amounts
    }
}

/// One day's money of a band in one currency, with the provider's own figure in US dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DayMoney {
    /// In the billing currency.
    pub own: AmountSum,
    /// In US dollars, where every row told it.
    pub usd: Option<AmountSum>,
}

impl DayMoney {
    fn add(&mut self, row: &CostRow) {
        let first = self.own.rows == 0;
        self.own.add(&row.amounts);
        self.usd = match (&row.usd, self.usd) {
            (Some(usd), before) if first || before.is_some() => {
                let mut sum = before.unwrap_or_default();
                sum.add(usd);
                Some(sum)
            }
            _ => None,
        };
    }
}

/// What a sum of a band's money is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesKey {
    /// The billing period that it is on the bill of.
    pub period: BillingPeriod,
    /// The usage day.
    pub day: Date,
    /// The billing currency.
    pub currency: Currency,
    /// What kind of charge.
    pub category: ChargeCategory,
}

/// A band's money of one source.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DailySeries(pub BTreeMap<SeriesKey, DayMoney>);

impl DailySeries {
    fn add(&mut self, row: &CostRow) {
        let CostRow { day, currency, category, .. } = *row;
        let key = SeriesKey { period: row.period(), day, currency, category };
        self.0.entry(key).or_default().add(row);
    }

    /// The sums of a period.
    pub fn period(&self, period: BillingPeriod) -> impl Iterator<Item = (&SeriesKey, &DayMoney)> {
        self.0.iter().filter(move |(key, _)| key.period == period)
    }
}

/// Takes a source's rows one by one and makes a series of what each of its bands selects.
pub struct SeriesFold<'a> {
    breakdowns: &'a [Breakdown],
    selections: &'a [Selection],
    series: Vec<DailySeries>,
}

impl<'a> SeriesFold<'a> {
    /// Begins with the source's live breakdowns and what its bands select.
    pub fn new(breakdowns: &'a [Breakdown], selections: &'a [Selection]) -> Self {
        Self { breakdowns, selections, series: vec![DailySeries::default(); selections.len()] }
    }

    /// Takes a row of the breakdown at an index of the list given to [`SeriesFold::new`].
    pub fn row(&mut self, index: usize, row: &CostRow) {
        let Some(breakdown) = self.breakdowns.get(index) else { return };
        for (selection, series) in self.selections.iter().zip(&mut self.series) {
            if selects(selection, breakdown, row) {
                series.add(row);
            }
        }
    }

    /// One series for each selection.
    pub fn finish(self) -> Vec<DailySeries> {
        self.series
    }
}

#[derive(Default)]
struct PeriodFold {
    totals: BTreeMap<Currency, AmountSum>,
    excluded: BTreeMap<(Currency, ChargeCategory), AmountSum>,
    by: BTreeMap<(Dimension, Currency), BTreeMap<String, AmountSum>>,
    days: BTreeMap<(Date, Currency), AmountSum>,
}

/// Takes a source's rows one by one and makes its spend and its bands' series of them.
pub struct SpendFold<'a> {
    rules: &'a SourceRules,
    breakdowns: &'a [Breakdown],
    /// The one breakdown that each dimension is told from, with the key's place in it.
    views: Vec<(Dimension, usize, usize)>,
    periods: BTreeMap<BillingPeriod, PeriodFold>,
    series: SeriesFold<'a>,
}

impl<'a> SpendFold<'a> {
    /// Begins with the source's live breakdowns and what its bands select.
    pub fn new(
        rules: &'a SourceRules,
        breakdowns: &'a [Breakdown],
        selections: &'a [Selection],
    ) -> Self {
        let whole = |role| matches!(role, BreakdownRole::Primary | BreakdownRole::Secondary);
        let views = Dimension::ALL
            .into_iter()
            .filter_map(|dimension| {
                breakdowns.iter().enumerate().filter(|(_, b)| whole(b.role)).find_map(
                    |(index, breakdown)| {
                        let key = breakdown.dimensions.iter().position(|d| *d == dimension)?;
                        Some((dimension, index, key))
                    },
                )
            })
            .collect();
        Self {
            rules,
            breakdowns,
            views,
            periods: BTreeMap::new(),
            series: SeriesFold::new(breakdowns, selections),
        }
    }

    /// Takes a row of the breakdown at an index of the list given to [`SpendFold::new`].
    pub fn row(&mut self, index: usize, row: &CostRow) {
        let Some(breakdown) = self.breakdowns.get(index) else { return };
        let period = self.periods.entry(row.period()).or_default();
        if breakdown.role == BreakdownRole::Primary {
            period.totals.entry(row.currency).or_default().add(&row.amounts);
            period.days.entry((row.day, row.currency)).or_default().add(&row.amounts);
        }
        if breakdown.role == BreakdownRole::Categories && !row.category.in_spend() {
            let key = (row.currency, row.category);
            period.excluded.entry(key).or_default().add(&row.amounts);
        }
        for (dimension, _, key) in self.views.iter().filter(|(_, at, _)| *at == index) {
            let key = row.keys.get(*key).map_or("", String::as_str);
            let view = period.by.entry((*dimension, row.currency)).or_default();
            match view.get_mut(key) {
                Some(sum) => sum.add(&row.amounts),
                None => view.entry(key.to_owned()).or_default().add(&row.amounts),
            }
        }
        self.series.row(index, row);
    }

    /// Ends with what the ledger knows of the days: the spend of the open and the previous period,
    /// and one series for each selection.
    pub fn finish(self, known: &KnownDays, now: Timestamp) -> (Spend, Vec<DailySeries>) {
        let zone = self.rules.provider.billing_zone();
        let current = BillingPeriod::at(now, zone);
        let final_period =
            Some(current.previous()).filter(|previous| is_final(self.rules, known, *previous));
        let mut periods = Vec::new();
        for (label, wanted) in
            [(PeriodLabel::Current, current), (PeriodLabel::Previous, current.previous())]
        {
            if let Some(fold) = self.periods.get(&wanted) {
                let is_final = final_period == Some(wanted);
                let place = (label, wanted, is_final);
                periods.push(finish_period(self.rules, place, fold, known, now));
            }
        }
        let last_complete_day = last_complete_day(&periods);
        let complete_days = complete_days(self.rules, known, now);
        (Spend { periods, complete_days, last_complete_day }, self.series.finish())
    }
}

/// What the ledger knows of a source's days besides their rows.
#[derive(Debug, Clone, Default)]
pub struct KnownDays {
    /// The days that have a cost or had one.
    pub readings: Vec<DayReading>,
    /// The days that were read and cost nothing.
    pub empty: Vec<EmptyDay>,
    /// Up to when the provider's data reaches.
    pub data_through: Option<Timestamp>,
}

impl KnownDays {
    /// How sure a reading's figures are. What is there of a day that was not read to its end, or
    /// that an export of Google Cloud does not reach to its end, may be old and steady and is not
    /// the whole day. AWS and Azure do not tell how far their data reaches: what stands for it there
    /// is the newest day that has a cost, which says nothing of the days behind it.
    fn completeness(
        &self,
        rules: &SourceRules,
        reading: &DayReading,
        period_is_final: bool,
        now: Timestamp,
    ) -> Completeness {
        let zone = rules.provider.billing_zone();
        let end = zone.end_of(reading.day);
        let reaches = match rules.provider {
            Provider::Gcp => self.data_through.is_none_or(|through| through >= end),
            Provider::Aws | Provider::Azure => true,
        };
        if !reaches || reading.observed_at < end {
            return Completeness::Provisional;
        }
        period::completeness(reading, zone, rules.lag, period_is_final, now)
    }
}

/// A source's spend as far as its rows tell it; the ledger adds names and the like.
#[derive(Debug, Clone, PartialEq)]
pub struct Spend {
    /// The open period first.
    pub periods: Vec<PeriodSpend>,
    /// The days that are complete in every currency, those without any cost among them.
    pub complete_days: BTreeSet<Date>,
    /// The newest day with a cost that is complete in every currency.
    pub last_complete_day: Option<(Date, BTreeMap<Currency, Amounts>)>,
}

impl Spend {
    /// With what the ledger knows besides.
    pub fn into_source(
        self,
        rules: &SourceRules,
        data_through: Option<Timestamp>,
        names: BTreeMap<(Dimension, String), String>,
        budgets: Vec<NativeBudget>,
        list_prices: Vec<SkuPrice>,
        restatements_total: u64,
    ) -> SourceSpend {
        SourceSpend {
            source: rules.id.clone(),
            provider: rules.provider,
            periods: self.periods,
            data_through,
            complete_days: self.complete_days,
            last_complete_day: self.last_complete_day,
            names,
            budgets,
            list_prices,
            restatements_total,
            restated: Vec::new(),
        }
    }
}

fn selects(selection: &Selection, breakdown: &Breakdown, row: &CostRow) -> bool {
    if breakdown.role == BreakdownRole::Categories {
        let wanted = selection.counts.contains(&row.category) && !row.category.in_spend();
        if wanted {
            return true;
        }
    }
    breakdown.query == selection.query && selection.narrows_to(breakdown, row)
}

/// Whether the provider will not change a period that is over any more.
fn is_final(rules: &SourceRules, known: &KnownDays, wanted: BillingPeriod) -> bool {
    let mut all = PeriodReadings::default();
    for reading in known.readings.iter().filter(|reading| wanted.contains(reading.day)) {
        all.add(reading);
    }
    period::is_final(rules.provider, wanted, &all, rules.quiet)
}

/// The days of which every reading is complete, whether it found a cost or none.
pub fn complete_days(rules: &SourceRules, known: &KnownDays, now: Timestamp) -> BTreeSet<Date> {
    let zone = rules.provider.billing_zone();
    let open = BillingPeriod::at(now, zone);
    let days = known.readings.iter().map(|reading| reading.day);
    let over: BTreeSet<BillingPeriod> = days
        .chain(known.empty.iter().map(|empty| empty.day))
        .map(BillingPeriod::containing)
        .filter(|period| *period < open)
        .collect();
    let finals: BTreeSet<BillingPeriod> =
        over.into_iter().filter(|period| is_final(rules, known, *period)).collect();
    let is_final = |day: Date| finals.contains(&BillingPeriod::containing(day));
    let mut days = BTreeMap::new();
    for reading in &known.readings {
        let found = known.completeness(rules, reading, is_final(reading.day), now);
        *days.entry(reading.day).or_insert(true) &= found >= Completeness::Complete;
    }
    for empty in &known.empty {
        let stays = period::stays_empty(empty, zone, rules.lag, is_final(empty.day));
        *days.entry(empty.day).or_insert(true) &= stays;
    }
    days.into_iter().filter_map(|(day, complete)| complete.then_some(day)).collect()
}

fn finish_period(
    rules: &SourceRules,
    (label, wanted, is_final): (PeriodLabel, BillingPeriod, bool),
    fold: &PeriodFold,
    known: &KnownDays,
    now: Timestamp,
) -> PeriodSpend {
    let readings = known.readings.as_slice();
    let of = |day: Date, currency: Currency| {
        readings.iter().find(move |reading| reading.day == day && reading.currency == currency)
    };
    let days = fold
        .days
        .iter()
        .map(|((day, currency), sum)| DaySpend {
            day: *day,
            currency: *currency,
            amounts: sum.amounts(),
            completeness: of(*day, *currency).map_or(Completeness::Provisional, |reading| {
                known.completeness(rules, reading, is_final, now)
            }),
        })
        .collect();
    let mut by: BTreeMap<Dimension, BTreeMap<(String, Currency), Amounts>> = BTreeMap::new();
    for ((dimension, currency), sums) in &fold.by {
        let sums = sums.iter().map(|(key, sum)| ((key.clone(), *currency), sum.amounts()));
        by.entry(*dimension).or_default().extend(sums);
    }
    PeriodSpend {
        label,
        period: wanted,
        is_final,
        start: wanted.start(rules.provider.billing_zone()),
        totals: fold.totals.iter().map(|(key, sum)| (*key, sum.amounts())).collect(),
        excluded: fold.excluded.iter().map(|(key, sum)| (*key, sum.amounts())).collect(),
        by,
        days,
        reconciliation_difference: reconciliation_difference(readings, wanted),
    }
}

/// The provider's ungrouped total less the primary's sum on the basis that both know, over the
/// days of a period.
fn reconciliation_difference(
    readings: &[DayReading],
    wanted: BillingPeriod,
) -> BTreeMap<Currency, Decimal> {
    let mut differences = BTreeMap::new();
    for reading in readings.iter().filter(|reading| wanted.contains(reading.day)) {
        let Some(control) = reading.control else { continue };
        let difference = [CostBasis::Effective, CostBasis::Billed]
            .into_iter()
            .find_map(|basis| control.on(basis)?.checked_sub(reading.primary.on(basis)?));
        if let Some(difference) = difference {
            let sum = differences.entry(reading.currency).or_insert(Decimal::ZERO);
            *sum = sum.checked_add(difference).unwrap_or(Decimal::MAX);
        }
    }
    differences
}

fn last_complete_day(periods: &[PeriodSpend]) -> Option<(Date, BTreeMap<Currency, Amounts>)> {
    let days = || periods.iter().flat_map(|period| &period.days);
    let complete = |day: Date| {
        days().filter(|d| d.day == day).all(|d| d.completeness >= Completeness::Complete)
    };
    let newest = days().map(|d| d.day).filter(|day| complete(*day)).max()?;
    let mut sums: BTreeMap<Currency, AmountSum> = BTreeMap::new();
    for day in days().filter(|d| d.day == newest) {
        sums.entry(day.currency).or_default().add(&day.amounts);
    }
    Some((newest, sums.into_iter().map(|(key, sum)| (key, sum.amounts())).collect()))
}
