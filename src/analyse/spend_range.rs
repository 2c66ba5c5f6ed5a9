//! Rows of some days become the answer to a question: which one breakdown tells it, and the sums of
//! its largest values by day.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::analyse::spend::AmountSum;
use crate::domain::breakdown::{Amounts, Breakdown, BreakdownRole, CostRow, Dimension};
use crate::domain::money::Currency;
use crate::domain::spend_range::{NotTold, PartKey, SpendPart, SpendQuestion};

/// So many values of a dimension are told apart in each currency.
pub const MOST_PARTS: usize = 200;

/// The breakdowns that tell the whole of a source's money.
fn whole(breakdowns: &[Breakdown]) -> impl Iterator<Item = &Breakdown> {
    let is_whole = |role| matches!(role, BreakdownRole::Primary | BreakdownRole::Secondary);
    breakdowns.iter().filter(move |breakdown| is_whole(breakdown.role))
}

/// The dimensions that a source tells together, one list for each of its breakdowns.
pub fn tells(breakdowns: &[Breakdown]) -> Vec<Vec<Dimension>> {
    whole(breakdowns).map(|breakdown| breakdown.dimensions.clone()).collect()
}

/// The one breakdown that answers a question, and how it does: of those that have all of its
/// dimensions the primary, else the one with the fewest, by name among equals.
///
/// # Errors
/// [`NotTold`] where none has them: sums of two breakdowns are never put together.
pub fn telling<'a>(
    breakdowns: &'a [Breakdown],
    question: &SpendQuestion,
) -> Result<(&'a Breakdown, Cut), NotTold> {
    let is_total = question.by.is_none() && question.filters.is_empty();
    let able = whole(breakdowns)
        .filter(|breakdown| breakdown.role == BreakdownRole::Primary || !is_total)
        .filter_map(|breakdown| Some((breakdown, Cut::of(breakdown, question)?)));
    able.min_by_key(|(breakdown, _)| (breakdown.role, breakdown.dimensions.len(), &breakdown.query))
        .ok_or_else(|| not_told(breakdowns, question))
}

fn not_told(breakdowns: &[Breakdown], question: &SpendQuestion) -> NotTold {
    let (source, tells) = (&question.source, tells(breakdowns));
    if tells.is_empty() {
        return NotTold { reason: format!("`{source}` was not read yet"), tells };
    }
    let words = |dimensions: &[Dimension]| -> String {
        let words: Vec<&str> = dimensions.iter().map(|of| of.as_str()).collect();
        words.join(" x ")
    };
    let wanted: BTreeSet<Dimension> = question.filters.keys().copied().chain(question.by).collect();
    let wanted = words(&Vec::from_iter(wanted));
    let told: Vec<String> =
        tells.iter().filter(|told| !told.is_empty()).map(|told| words(told)).collect();
    let told = if told.is_empty() { "its total alone".to_owned() } else { told.join(", ") };
    NotTold {
        reason: format!("`{source}` does not tell {wanted} together; it tells {told}"),
        tells,
    }
}

/// Where the question's dimensions stand in the keys of a breakdown's rows.
#[derive(Debug)]
pub struct Cut {
    by: Option<usize>,
    filters: Vec<(usize, String)>,
}

impl Cut {
    /// None where the breakdown does not have all of the dimensions.
    fn of(breakdown: &Breakdown, question: &SpendQuestion) -> Option<Self> {
        let place = |of: Dimension| breakdown.dimensions.iter().position(|held| *held == of);
        let filters = question.filters.iter();
        let filters = filters.map(|(of, value)| Some((place(*of)?, value.clone())));
        let by = match question.by {
            Some(by) => Some(place(by)?),
            None => None,
        };
        Some(Self { by, filters: filters.collect::<Option<_>>()? })
    }

    /// The value that a row is of, empty text for the whole; none where the row is not asked for.
    fn key<'a>(&self, row: &'a CostRow) -> Option<&'a str> {
        let is = |(place, value): &(usize, String)| row.keys.get(*place) == Some(value);
        if !self.filters.iter().all(is) {
            return None;
        }
        Some(self.by.map_or("", |place| row.keys.get(place).map_or("", String::as_str)))
    }
}

/// How large every value is over the days: the first of two readings of the rows.
#[derive(Debug, Default)]
pub struct Sizes(BTreeMap<Currency, HashMap<String, Decimal>>);

impl Sizes {
    /// Takes a row.
    pub fn row(&mut self, cut: &Cut, row: &CostRow) {
        let Some(key) = cut.key(row) else { return };
        let cost = row.amounts.effective.or(row.amounts.billed).unwrap_or_default();
        let sizes = self.0.entry(row.currency).or_default();
        match sizes.get_mut(key) {
            Some(size) => *size = size.saturating_add(cost),
            None => {
                sizes.insert(key.to_owned(), cost);
            }
        }
    }

    /// The values that are told apart, the largest ones of each currency.
    pub fn largest(self, most: usize) -> Largest {
        let mut largest = Largest::default();
        for (currency, sizes) in self.0 {
            let mut sizes: Vec<(String, Decimal)> = sizes.into_iter().collect();
            sizes
                .sort_by(|(a, one), (b, other)| other.abs().cmp(&one.abs()).then_with(|| a.cmp(b)));
            largest.folded += sizes.len().saturating_sub(most);
            let kept = sizes.into_iter().take(most).enumerate();
            largest.places.insert(currency, kept.map(|(at, (key, _))| (key, at)).collect());
        }
        largest
    }
}

/// The values that are told apart, each with its place.
#[derive(Debug, Default)]
pub struct Largest {
    places: BTreeMap<Currency, HashMap<String, usize>>,
    /// How many values are not.
    pub folded: usize,
}

/// The sums by value and day: the second reading.
#[derive(Debug)]
pub struct RangeFold {
    cut: Cut,
    largest: Largest,
    /// By currency and place; those that are not told apart stand last.
    parts: BTreeMap<(Currency, usize), Part>,
    totals: BTreeMap<Currency, AmountSum>,
}

#[derive(Debug)]
struct Part {
    key: PartKey,
    total: AmountSum,
    days: BTreeMap<Date, AmountSum>,
}

impl RangeFold {
    /// Begins with the values that are told apart.
    pub fn new(cut: Cut, largest: Largest) -> Self {
        Self { cut, largest, parts: BTreeMap::new(), totals: BTreeMap::new() }
    }

    /// Takes a row.
    pub fn row(&mut self, row: &CostRow) {
        let Some(key) = self.cut.key(row) else { return };
        let known = self.largest.places.get(&row.currency).and_then(|places| places.get(key));
        let place = known.copied().unwrap_or(usize::MAX);
        let part = self.parts.entry((row.currency, place)).or_insert_with(|| Part {
            key: match (self.cut.by, known) {
                (None, _) => PartKey::Whole,
                (Some(_), Some(_)) => PartKey::Value(key.to_owned()),
                (Some(_), None) => PartKey::Others,
            },
            total: AmountSum::default(),
            days: BTreeMap::new(),
        });
        part.total.add(&row.amounts);
        part.days.entry(row.day).or_default().add(&row.amounts);
        self.totals.entry(row.currency).or_default().add(&row.amounts);
    }

    /// The totals, the parts without their names, and how many values are not told apart.
    pub fn finish(self) -> (BTreeMap<Currency, Amounts>, Vec<SpendPart>, usize) {
        let totals = self.totals.into_iter().map(|(of, sum)| (of, sum.amounts())).collect();
        let part = |((currency, _), part): ((Currency, usize), Part)| SpendPart {
            key: part.key,
            name: None,
            currency,
            total: part.total.amounts(),
            days: part.days.into_iter().map(|(day, sum)| (day, sum.amounts())).collect(),
        };
        (totals, self.parts.into_iter().map(part).collect(), self.largest.folded)
    }
}

#[cfg(test)]
mod tests;
