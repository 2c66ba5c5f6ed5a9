//! What a page of spend shows in one currency, whether the newest picture tells it or the ledger.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::ToSpan;
use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::domain::band::PeriodLabel;
use crate::domain::breakdown::{Amounts, Dimension};
use crate::domain::change::ChangePart;
use crate::domain::forecast::Forecast;
use crate::domain::money::{CostBasis, Currency};
use crate::domain::period::{BillingPeriod, Window};
use crate::domain::report::Completeness;
use crate::domain::spend::{PeriodSpend, SourceSpend};
use crate::domain::spend_range::{PartKey, SpendPart, SpendRange};
use crate::domain::trend::SourceTrends;
use crate::web::chart::days::Day;

/// A day is held against so many before it, a week against the one before.
pub(super) const WEEK: i32 = 7;

/// The money of one currency.
pub(super) struct Told {
    /// The currency.
    pub currency: Currency,
    /// The basis of every amount but `totals`.
    pub basis: CostBasis,
    /// The sum on every basis; nothing of it is known where no row is booked on days that may grow.
    pub totals: Amounts,
    /// The days of the drawing.
    pub days: Vec<Day>,
    /// Days of other months that the same invoice carries.
    pub others: Vec<Day>,
    /// What the whole month before cost.
    pub month_before: Option<Decimal>,
    /// Values of the dimension that is listed, the dearest first.
    pub rows: Vec<Row>,
}

/// One value of a dimension.
pub(super) struct Row {
    /// The value; none for all that are not told apart.
    pub key: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// What it cost; none where that is not known.
    pub cost: Option<Decimal>,
    /// What it cost lately and before that.
    pub moved: Option<Moved>,
    /// Where its month will end.
    pub end: Option<End>,
}

/// A cost against an earlier one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Moved {
    /// The earlier cost.
    pub before: Decimal,
    /// The later one.
    pub after: Decimal,
}

impl Moved {
    /// The difference.
    pub(super) fn difference(&self) -> Decimal {
        self.after.saturating_sub(self.before)
    }

    /// The difference as a share of the earlier cost; none where that is not more than nothing.
    pub(super) fn ratio(&self) -> Option<Decimal> {
        let base = (self.before > Decimal::ZERO).then_some(self.before)?;
        self.difference().checked_div(base)
    }
}

/// A month's end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct End {
    /// The median.
    pub middle: Decimal,
    /// The bounds of the central 80 %.
    pub interval: [Decimal; 2],
}

impl End {
    pub(super) fn of(forecast: &Forecast) -> Option<Self> {
        Some(Self { middle: forecast.at(0.5)?, interval: forecast.interval_80 })
    }
}

/// The basis that is wanted; the usual one is the effective cost where it is told.
fn chosen(wanted: Option<CostBasis>, totals: &Amounts) -> CostBasis {
    let usual = if totals.effective.is_some() { CostBasis::Effective } else { CostBasis::Billed };
    wanted.unwrap_or(usual)
}

impl Told {
    /// This month against the last one, both up to the newest complete day that both have, and that
    /// day; none where a day of either is not known.
    pub(super) fn to_day(&self) -> Option<(Date, Moved)> {
        let sure = |day: &Day| {
            matches!(day.completeness, Some(Completeness::Complete | Completeness::Final))
        };
        // Days that a shorter month lacks are left out of both sums.
        let has_both = |day: &Day| sure(day) && same_day_before(day.day).is_some();
        let last = self.days.iter().rposition(has_both)?;
        let mut sums = Moved { before: Decimal::ZERO, after: Decimal::ZERO };
        for day in self.days.get(..=last)? {
            sums.after = sums.after.checked_add(day.amount?)?;
            sums.before = sums.before.checked_add(day.before?)?;
        }
        Some((self.days.get(last)?.day, sums))
    }

    /// A period of a source's newest picture.
    pub(super) fn of_period(
        spend: &SourceSpend,
        period: &PeriodSpend,
        trends: Option<&SourceTrends>,
        by: Dimension,
        basis: Option<CostBasis>,
    ) -> Vec<Self> {
        let previous = spend.periods.iter().find(|of| of.period == period.period.previous());
        let told = period.totals.iter().map(|(currency, totals)| {
            let basis = chosen(basis, totals);
            let booked = |of: &PeriodSpend| -> BTreeMap<Date, (Option<Decimal>, Completeness)> {
                let days = of.days.iter().filter(|day| day.currency == *currency);
                days.map(|day| (day.day, (day.amounts.on(basis), day.completeness))).collect()
            };
            let now = booked(period);
            let before = previous.map(booked).filter(|days| !days.is_empty());
            let nothing = |day: &Date| {
                spend
                    .complete_days
                    .contains(day)
                    .then_some((Some(Decimal::ZERO), Completeness::Complete))
            };
            let day = |day: Date| {
                let found = now.get(&day).copied().or_else(|| nothing(&day));
                let earlier = before.as_ref().zip(same_day_before(day));
                let earlier = earlier.and_then(|(days, day)| {
                    days.get(&day).copied().or_else(|| nothing(&day)).and_then(|(amount, _)| amount)
                });
                Day {
                    day,
                    amount: found.and_then(|(amount, _)| amount),
                    completeness: found.map(|(_, completeness)| completeness),
                    before: earlier,
                }
            };
            let window = period.period.window();
            let others = now.keys().copied().filter(|day| !window.contains(*day)).map(day);
            Self {
                currency: *currency,
                basis,
                totals: *totals,
                days: window.days().map(day).collect(),
                others: others.collect(),
                month_before: previous
                    .and_then(|of| of.totals.get(currency))
                    .and_then(|totals| totals.on(basis)),
                rows: rows(spend, period, trends, by, (*currency, basis)),
            }
        });
        told.collect()
    }

    /// A month of the ledger, or a day of it with the week before.
    pub(super) fn of_range(
        range: &SpendRange,
        month: BillingPeriod,
        day: Option<Date>,
        basis: Option<CostBasis>,
    ) -> Vec<Self> {
        let currencies: BTreeSet<Currency> = range.parts.iter().map(|of| of.currency).collect();
        let shown = match day {
            Some(day) => Window::new(day.saturating_sub(WEEK.days()), day.saturating_add(1.day())),
            None => month.window(),
        };
        let counted = match day {
            Some(day) => Window::new(day, day.saturating_add(1.day())),
            None => shown,
        };
        let known: BTreeMap<Date, Completeness> =
            range.days.iter().map(|day| (day.day, day.completeness)).collect();
        let told = currencies.into_iter().map(|currency| {
            let parts: Vec<&SpendPart> =
                range.parts.iter().filter(|part| part.currency == currency).collect();
            let booked: Vec<&Amounts> =
                parts.iter().flat_map(|part| within(part, counted)).collect();
            // Where nothing is counted, the days around tell which basis is the usual one.
            let usual = match booked.as_slice() {
                [] => sum(parts.iter().flat_map(|part| part.days.values())),
                booked => sum(booked.iter().copied()),
            };
            let basis = chosen(basis, &usual);
            let ledger = Ledger { parts: &parts, known: &known, basis };
            let is_told = !booked.is_empty() || counted.days().all(|day| ledger.is_complete(day));
            let totals = if is_told { sum(booked) } else { Amounts::default() };
            let one = |at: Date| Day {
                day: at,
                amount: ledger.amount(at),
                completeness: known.get(&at).copied(),
                before: same_day_before(at)
                    .filter(|_| day.is_none())
                    .and_then(|before| ledger.amount(before)),
            };
            let before: Option<Vec<Decimal>> =
                month.previous().window().days().map(|day| ledger.amount(day)).collect();
            Self {
                currency,
                basis,
                totals,
                days: shown.days().map(one).collect(),
                others: Vec::new(),
                month_before: before.filter(|_| day.is_none()).and_then(checked_sum),
                rows: ledger.rows(range.folded, counted, day),
            }
        });
        told.collect()
    }
}

/// The same day of the month before, where it has one.
fn same_day_before(day: Date) -> Option<Date> {
    let before = BillingPeriod::containing(day).previous().first_day();
    Date::new(before.year(), before.month(), day.day()).ok()
}

fn checked_sum(amounts: Vec<Decimal>) -> Option<Decimal> {
    amounts.into_iter().try_fold(Decimal::ZERO, |sum, amount| sum.checked_add(amount))
}

/// A sum on each basis; none where one of the amounts is not known.
fn sum<'a>(amounts: impl IntoIterator<Item = &'a Amounts>) -> Amounts {
    let zero = Amounts {
        billed: Some(Decimal::ZERO),
        effective: Some(Decimal::ZERO),
        list: Some(Decimal::ZERO),
    };
    let add = |sum: Option<Decimal>, more: Option<Decimal>| {
        sum.zip(more).and_then(|(sum, more)| sum.checked_add(more))
    };
    amounts.into_iter().fold(zero, |sum, more| Amounts {
        billed: add(sum.billed, more.billed),
        effective: add(sum.effective, more.effective),
        list: add(sum.list, more.list),
    })
}

fn within(part: &SpendPart, window: Window) -> impl Iterator<Item = &Amounts> {
    part.days.iter().filter(move |(day, _)| window.contains(**day)).map(|(_, amounts)| amounts)
}

/// The dearest first, what is not known after it, what is not told apart last.
fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|one, other| {
        let rank = |row: &Row| (row.key.is_none(), row.cost.is_none());
        rank(one)
            .cmp(&rank(other))
            .then_with(|| other.cost.cmp(&one.cost))
            .then_with(|| one.key.cmp(&other.key))
    });
    rows
}

fn rows(
    spend: &SourceSpend,
    period: &PeriodSpend,
    trends: Option<&SourceTrends>,
    by: Dimension,
    (currency, basis): (Currency, CostBasis),
) -> Vec<Row> {
    let trends = trends.filter(|_| period.label == PeriodLabel::Current);
    let same_basis = |of: &SourceTrends| of.trends.first().is_none_or(|of| of.basis == basis);
    let change = trends
        .filter(|of| same_basis(of))
        .and_then(|of| of.change.as_ref())
        .filter(|change| change.currency == currency);
    let along = change.and_then(|change| change.along.iter().find(|of| of.dimension == by));
    let parts: HashMap<&str, &ChangePart> =
        along.into_iter().flat_map(|of| &of.parts).map(|part| (part.key.as_str(), part)).collect();
    let mut ends: HashMap<&str, End> = HashMap::new();
    for trend in trends.into_iter().flat_map(|of| &of.trends).filter(|of| of.basis == basis) {
        if let (Some((dimension, key)), Ok(forecast)) = (&trend.of, &trend.forecast) {
            let is_of = *dimension == by
                && forecast.currency == currency
                && forecast.period == period.period;
            if let Some(end) = End::of(forecast).filter(|_| is_of) {
                ends.insert(key, end);
            }
        }
    }
    let told = period.by.get(&by).into_iter().flatten();
    let told = told.filter(|((_, of), _)| *of == currency).map(|((key, _), amounts)| Row {
        name: spend.names.get(&(by, key.clone())).cloned(),
        cost: amounts.on(basis),
        moved: parts.get(key.as_str()).map(|part| Moved { before: part.before, after: part.after }),
        end: ends.get(key.as_str()).copied(),
        key: Some(key.clone()),
    });
    sorted(told.collect())
}

/// The parts of a range in one currency and on one basis.
struct Ledger<'a> {
    parts: &'a [&'a SpendPart],
    known: &'a BTreeMap<Date, Completeness>,
    basis: CostBasis,
}

impl Ledger<'_> {
    fn is_complete(&self, day: Date) -> bool {
        self.known.get(&day).is_some_and(|of| *of != Completeness::Provisional)
    }

    /// What a part cost on a complete day: nothing without a row; none on a day that may grow.
    fn sure_amount(&self, part: &SpendPart, day: Date) -> Option<Decimal> {
        if !self.is_complete(day) {
            return None;
        }
        part.days.get(&day).map_or(Some(Decimal::ZERO), |amounts| amounts.on(self.basis))
    }

    /// What a day cost; none where nobody knows.
    fn amount(&self, day: Date) -> Option<Decimal> {
        let booked: Vec<&Amounts> =
            self.parts.iter().filter_map(|part| part.days.get(&day)).collect();
        match booked.as_slice() {
            [] => self.is_complete(day).then_some(Decimal::ZERO),
            booked => sum(booked.iter().copied()).on(self.basis),
        }
    }

    fn rows(&self, folded: usize, counted: Window, day: Option<Date>) -> Vec<Row> {
        let newest = counted.days().filter(|day| self.is_complete(*day)).last();
        let moved = |part: &SpendPart| match day {
            Some(day) => self.against_the_week(part, day),
            None => self.week(part, newest?),
        };
        let row = |part: &&SpendPart| {
            within(part, counted).next()?;
            let (key, name) = match &part.key {
                PartKey::Value(key) => (Some(key.clone()), part.name.clone()),
                PartKey::Others => (None, Some(folded.to_string())),
                PartKey::Whole => return None,
            };
            let cost = sum(within(part, counted)).on(self.basis);
            Some(Row { key, name, cost, moved: moved(part), end: None })
        };
        sorted(self.parts.iter().filter_map(row).collect())
    }

    /// The seven days up to one against the seven before.
    fn week(&self, part: &SpendPart, last: Date) -> Option<Moved> {
        let sum = |from: i32, to: i32| {
            let days = (from..=to).map(|back| last.saturating_sub(back.days()));
            let amounts: Option<Vec<Decimal>> =
                days.map(|day| self.sure_amount(part, day)).collect();
            amounts.and_then(checked_sum)
        };
        Some(Moved { after: sum(0, WEEK - 1)?, before: sum(WEEK, 2 * WEEK - 1)? })
    }

    /// A day against the mean of the seven before; none where one of the eight may still grow.
    fn against_the_week(&self, part: &SpendPart, day: Date) -> Option<Moved> {
        let days = (1..=WEEK).map(|back| day.saturating_sub(back.days()));
        let amounts: Option<Vec<Decimal>> = days.map(|day| self.sure_amount(part, day)).collect();
        let before = amounts.and_then(checked_sum)?.checked_div(Decimal::from(WEEK))?;
        Some(Moved { before, after: self.sure_amount(part, day)? })
    }
}

#[cfg(test)]
mod tests;
