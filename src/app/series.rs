//! Costs by day of a source or of the part that a band holds, of its services, sub-accounts and
//! regions, as the ledger holds them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use rust_decimal::Decimal;

use crate::analyse::spend::{AmountSum, Selection, SourceRules, complete_days};
use crate::analyse::trend::NamedSeries;
use crate::app::spend::known_days;
use crate::domain::breakdown::{Breakdown, BreakdownRole, ChargeCategory, CostRow, Dimension};
use crate::domain::forecast::{CostSeries, SeriesRow};
use crate::domain::money::{CostBasis, Currency, Money};
use crate::domain::period::Window;
use crate::store::{Ledger, LedgerError};

/// Along which dimensions a source's cost is told.
const DIMENSIONS: [Dimension; 3] =
    [Dimension::ServiceName, Dimension::SubAccountId, Dimension::RegionId];

/// Over so many of the newest days the currency is looked for.
const CURRENCY_DAYS: i32 = 13;

/// The whole, or a value of a dimension.
type Name = Option<(Dimension, String)>;

/// The series of a source in the currency of most rows of late, its whole cost first: of each dimension
/// the values that cost most, at most `most` of them. With a scope the same of its part only, along
/// the dimensions of the breakdowns that can be narrowed to it. Effective cost; the billed one where
/// no effective cost is told. None without rows.
///
/// # Errors
/// When the ledger cannot be read.
pub fn read(
    ledger: &Ledger,
    rules: &SourceRules,
    scope: Option<&Selection>,
    window: &Window,
    most: usize,
    now: Timestamp,
) -> Result<Vec<NamedSeries>, LedgerError> {
    let tellers = tellers(&ledger.breakdowns(&rules.id)?, scope);
    let mut sizes = Sizes::default();
    for teller in &tellers {
        ledger.for_each_row_in_days(&teller.breakdown, window, |row| sizes.add(teller, row))?;
    }
    let Some(currency) = sizes.currency() else { return Ok(Vec::new()) };
    let wanted = sizes.largest(most);
    let mut folds: BTreeMap<Name, Fold> = BTreeMap::new();
    for teller in &tellers {
        ledger.for_each_row_in_days(&teller.breakdown, window, |row| {
            for name in teller.names(row).filter(|_| row.currency == currency) {
                if name.as_ref().is_none_or(|name| wanted.contains(name)) {
                    folds.entry(name).or_default().add(row);
                }
            }
        })?;
    }
    let mut complete = complete_days(rules, &known_days(ledger, rules, window)?, now);
    // What a day costs in another currency is not known in this one.
    complete.retain(|day| sizes.is_in(*day, currency));
    let told = folds.into_iter().filter_map(|(name, fold)| fold.finish(name, currency, &complete));
    Ok(told.collect())
}

/// A breakdown, with what it tells: no cost is told by two of them.
struct Teller<'a> {
    breakdown: Breakdown,
    scope: Option<&'a Selection>,
    tells_whole: bool,
    places: Vec<(Dimension, usize)>,
}

fn tellers<'a>(breakdowns: &[Breakdown], scope: Option<&'a Selection>) -> Vec<Teller<'a>> {
    let can_tell = |breakdown: &&Breakdown| match (scope, breakdown.role) {
        (_, BreakdownRole::Categories) | (None, BreakdownRole::Filtered) => false,
        (Some(scope), _) if breakdown.query == scope.query => true,
        // The part of a query of the band's own is a part of no other breakdown's rows.
        (Some(scope), role) => {
            role != BreakdownRole::Filtered
                && !scope.filters.is_empty()
                && scope.filters.iter().all(|(of, _)| breakdown.dimensions.contains(of))
        }
        (None, _) => true,
    };
    let tells_whole = |breakdown: &Breakdown| match scope {
        Some(scope) => breakdown.query == scope.query,
        None => breakdown.role == BreakdownRole::Primary,
    };
    let mut able: Vec<&Breakdown> = breakdowns.iter().filter(can_tell).collect();
    able.sort_by_key(|breakdown| !tells_whole(breakdown));
    let mut told = BTreeSet::new();
    let mut tellers = Vec::new();
    for breakdown in able {
        let place = |of| Some((of, breakdown.dimensions.iter().position(|held| *held == of)?));
        let places: Vec<_> = DIMENSIONS
            .into_iter()
            .filter_map(place)
            .filter(|(dimension, _)| told.insert(*dimension))
            .collect();
        let tells_whole = tells_whole(breakdown);
        if tells_whole || !places.is_empty() {
            tellers.push(Teller { breakdown: breakdown.clone(), scope, tells_whole, places });
        }
    }
    tellers
}

impl Teller<'_> {
    fn names<'a>(&'a self, row: &'a CostRow) -> impl Iterator<Item = Name> + 'a {
        let is_in = self.scope.is_none_or(|scope| scope.narrows_to(&self.breakdown, row));
        let keys = self.places.iter();
        let values = keys.filter_map(|(of, place)| Some((*of, row.keys.get(*place)?.clone())));
        let names = self.tells_whole.then_some(None).into_iter().chain(values.map(Some));
        names.filter(move |_| is_in)
    }
}

/// How large every value is, and how many rows are in which currency.
#[derive(Default)]
struct Sizes {
    rows: BTreeMap<Date, BTreeMap<Currency, usize>>,
    values: BTreeMap<(Dimension, String), Decimal>,
}

impl Sizes {
    fn add(&mut self, teller: &Teller<'_>, row: &CostRow) {
        *self.rows.entry(row.day).or_default().entry(row.currency).or_default() += 1;
        let cost = row.amounts.effective.or(row.amounts.billed).unwrap_or_default().abs();
        for name in teller.names(row).flatten() {
            let sum = self.values.entry(name).or_default();
            *sum = sum.saturating_add(cost);
        }
    }

    fn currency(&self) -> Option<Currency> {
        let (newest, _) = self.rows.last_key_value()?;
        let since = newest.saturating_sub(CURRENCY_DAYS.days());
        let mut rows: BTreeMap<Currency, usize> = BTreeMap::new();
        for (currency, more) in self.rows.range(since..).flat_map(|(_, of)| of) {
            *rows.entry(*currency).or_default() += more;
        }
        rows.into_iter().max_by_key(|(_, rows)| *rows).map(|(currency, _)| currency)
    }

    /// Whether a day has rows in a currency, or none at all.
    fn is_in(&self, day: Date, currency: Currency) -> bool {
        self.rows.get(&day).is_none_or(|of| of.contains_key(&currency))
    }

    fn largest(&self, most: usize) -> BTreeSet<(Dimension, String)> {
        let mut by: BTreeMap<Dimension, Vec<(Decimal, String)>> = BTreeMap::new();
        for ((dimension, key), size) in &self.values {
            by.entry(*dimension).or_default().push((*size, key.clone()));
        }
        let mut largest = BTreeSet::new();
        for (dimension, mut values) in by {
            values.sort_by(|(one, a), (other, b)| other.cmp(one).then_with(|| a.cmp(b)));
            largest.extend(values.into_iter().take(most).map(|(_, key)| (dimension, key)));
        }
        largest
    }
}

/// One series while its rows are read.
#[derive(Default)]
struct Fold {
    days: BTreeMap<(Date, ChargeCategory), (AmountSum, Option<Decimal>)>,
    /// The units of its quantities; none in it for a row without any.
    units: BTreeSet<Option<String>>,
}

impl Fold {
    fn add(&mut self, row: &CostRow) {
        let unit = row.quantity.as_ref().map(|quantity| quantity.unit.clone());
        // Two units are as good as many.
        if self.units.len() < 2 {
            self.units.insert(unit);
        }
        let used = row.quantity.as_ref().map(|quantity| quantity.amount);
        let zero = || (AmountSum::default(), Some(Decimal::ZERO));
        let day = self.days.entry((row.day, row.category)).or_insert_with(zero);
        day.0.add(&row.amounts);
        day.1 = day.1.zip(used).and_then(|(held, more)| held.checked_add(more));
    }

    fn finish(
        self,
        name: Name,
        currency: Currency,
        complete: &BTreeSet<Date>,
    ) -> Option<NamedSeries> {
        let effective = self.days.values().all(|(sum, _)| sum.amounts().effective.is_some());
        let basis = if effective { CostBasis::Effective } else { CostBasis::Billed };
        let unit = match Vec::from_iter(self.units).as_slice() {
            [Some(unit)] => Some(unit.clone()),
            _ => None,
        };
        let rows: Vec<SeriesRow> = self
            .days
            .into_iter()
            .map(|((day, category), (sum, used))| {
                let cost = Money::new(sum.amounts().on(basis)?, currency);
                let quantity = used.filter(|_| unit.is_some());
                Some(SeriesRow { day, cost, category, quantity })
            })
            .collect::<Option<_>>()?;
        let series = CostSeries::of(currency, &rows, complete).ok()?;
        Some(NamedSeries { of: name, basis, unit, series })
    }
}
