//! What moved a cost since last week: which value of which dimension; price against quantity
//! against mix. Exact: decimals only.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::domain::breakdown::Dimension;
use crate::domain::change::{Change, ChangeAlong, ChangeEffects, ChangePart};
use crate::domain::forecast::{CostSeries, day_after};

/// How many days each side has.
pub const DAYS: usize = 7;

/// One value of a dimension with its series.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    /// The dimension.
    pub dimension: Dimension,
    /// The value.
    pub key: &'a str,
    /// The unit of its quantities, as the provider writes it; quantities of two units are not
    /// compared with one another.
    pub unit: Option<&'a str>,
    /// Its series.
    pub series: &'a CostSeries,
}

/// The cost and the quantity of some days.
#[derive(Debug, Clone, Copy, Default)]
struct Side {
    cost: Decimal,
    quantity: Option<Decimal>,
}

/// Holds the newest seven complete days in a row against the seven before. None where those
/// fourteen days are not all complete, or a sum has more than 28 digits.
///
/// For values with a quantity `q` and a unit price `p = cost / q` on both sides, by unit of use:
/// price is `sum q1 (p1 - p0)`, quantity `(Q1 - Q0) C0 / Q0`, and mix the rest,
/// `sum q1 p0 - Q1 C0 / Q0` (a three-way variance analysis; Horngren, Cost Accounting, chapter 14).
pub fn since_last_week(whole: &CostSeries, values: &[Value<'_>]) -> Option<Change> {
    let newest = whole.newest_complete()?;
    let begin = (newest + 1).checked_sub(2 * DAYS)?;
    if !whole.days.get(begin..=newest)?.iter().all(|day| day.complete && day.amount.is_some()) {
        return None;
    }
    let first = day_after(whole.first, begin + DAYS);
    let sides = |series: &CostSeries| {
        let of = |from: usize| side(series, whole, from);
        Some((of(begin)?, of(begin + DAYS)?))
    };
    let (before, after) = sides(whole)?;
    let mut along: BTreeMap<Dimension, Vec<(&Value<'_>, Side, Side)>> = BTreeMap::new();
    for value in values.iter().filter(|value| value.series.currency == whole.currency) {
        let (before, after) = sides(value.series)?;
        along.entry(value.dimension).or_default().push((value, before, after));
    }
    let along = along
        .into_iter()
        .map(|(dimension, mut found)| {
            found.sort_by(|(one, ..), (other, ..)| one.key.cmp(other.key));
            let effects = effects(&found)?;
            let mut parts = found.iter().map(part).collect::<Option<Vec<_>>>()?;
            parts.sort_by(|one, other| {
                other.change.abs().cmp(&one.change.abs()).then_with(|| one.key.cmp(&other.key))
            });
            Some(ChangeAlong { dimension, parts, effects })
        })
        .collect::<Option<_>>()?;
    Some(Change {
        from: first,
        to: whole.date(newest),
        days: DAYS,
        currency: whole.currency,
        before: before.cost,
        after: after.cost,
        along,
    })
}

/// Seven days of a series from an index of the whole's. A day that it has not costs nothing.
fn side(series: &CostSeries, whole: &CostSeries, from: usize) -> Option<Side> {
    let mut sum = Side { cost: Decimal::ZERO, quantity: Some(Decimal::ZERO) };
    let mut seen = false;
    for at in from..from + DAYS {
        let day = series.index(whole.date(at)).and_then(|at| series.days.get(at));
        let Some((day, amount)) = day.and_then(|day| Some((day, day.amount?))) else { continue };
        seen = true;
        sum.cost = sum.cost.checked_add(amount)?;
        // A day that cost nothing used nothing.
        let used =
            if amount.is_zero() { Some(day.quantity.unwrap_or_default()) } else { day.quantity };
        sum.quantity = sum.quantity.zip(used).and_then(|(held, more)| held.checked_add(more));
    }
    sum.quantity = sum.quantity.filter(|quantity| seen && *quantity > Decimal::ZERO);
    Some(sum)
}

fn part((value, before, after): &(&Value<'_>, Side, Side)) -> Option<ChangePart> {
    let change = after.cost.checked_sub(before.cost)?;
    let quantity = match (value.unit, before.quantity, after.quantity) {
        (Some(_), Some(q0), Some(q1)) => {
            Some(q1.checked_sub(q0)?.checked_mul(before.cost.checked_div(q0)?)?)
        }
        _ => None,
    };
    Some(ChangePart {
        key: value.key.to_owned(),
        before: before.cost,
        after: after.cost,
        change,
        price: match quantity {
            Some(quantity) => Some(change.checked_sub(quantity)?),
            None => None,
        },
        quantity,
    })
}

fn effects(found: &[(&Value<'_>, Side, Side)]) -> Option<ChangeEffects> {
    let mut effects = ChangeEffects::default();
    // Of each unit: both quantities, the earlier cost, the later cost, and the later quantities at
    // the earlier prices.
    let mut units: BTreeMap<&str, [Decimal; 5]> = BTreeMap::new();
    for (value, before, after) in found {
        let (Some(unit), Some(q0), Some(q1)) = (value.unit, before.quantity, after.quantity) else {
            effects.untold = effects.untold.checked_add(after.cost.checked_sub(before.cost)?)?;
            continue;
        };
        let later = q1.checked_mul(before.cost.checked_div(q0)?)?;
        let sums = units.entry(unit).or_default();
        for (sum, more) in sums.iter_mut().zip([q0, q1, before.cost, after.cost, later]) {
            *sum = sum.checked_add(more)?;
        }
    }
    for [q0, q1, before, after, later] in units.into_values() {
        let even = q1.checked_mul(before.checked_div(q0)?)?;
        effects.price = effects.price.checked_add(after.checked_sub(later)?)?;
        effects.quantity = effects.quantity.checked_add(even.checked_sub(before)?)?;
        effects.mix = effects.mix.checked_add(later.checked_sub(even)?)?;
    }
    Some(effects)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::domain::forecast::CostDay;
    use crate::domain::money::Currency;

    /// A week at one cost and quantity a day, and a week at another.
    fn series(before: (i64, i64), after: (i64, i64)) -> CostSeries {
        let week = |(cost, quantity): (i64, i64)| CostDay {
            amount: Some(cost.into()),
            quantity: (quantity > 0).then(|| quantity.into()),
            complete: true,
        };
        let days = (0..14).map(|at| week(if at < 7 { before } else { after })).collect();
        let first = date(2026, 3, 1);
        CostSeries { currency: Currency::USD, first, days, charges: Vec::new() }
    }

    fn value<'a>(key: &'a str, series: &'a CostSeries) -> Value<'a> {
        Value { dimension: Dimension::ServiceName, key, unit: Some("Hrs"), series }
    }

    #[test]
    fn price_quantity_and_mix_sum_to_the_change() {
        let whole = series((130, 0), (280, 0));
        // 10 h at 10 become 20 h at 12; 30 h at 1 become 40 h at 1.
        let (gpu, disk) = (series((100, 10), (240, 20)), series((30, 30), (40, 40)));
        let change = since_last_week(&whole, &[value("disk", &disk), value("gpu", &gpu)]).unwrap();
        assert_eq!((change.before, change.after), (910.into(), 1960.into()));
        let along = &change.along[0];
        let keys: Vec<&str> = along.parts.iter().map(|part| part.key.as_str()).collect();
        assert_eq!(keys, ["gpu", "disk"], "the largest first");
        assert_eq!(along.parts[0].price, Some(280.into()), "140 h at 2 more");
        assert_eq!(along.parts[0].quantity, Some(700.into()), "70 h more at 10");
        let effects = along.effects;
        assert_eq!(effects.price, 280.into());
        assert_eq!(effects.quantity, 455.into(), "140 h more at 3.25");
        assert_eq!(effects.mix, 315.into());
        let sum = effects.price + effects.quantity + effects.mix + effects.untold;
        assert_eq!(sum, change.after - change.before);
    }

    #[test]
    fn what_is_new_or_without_a_quantity_is_untold_and_not_lost() {
        let whole = series((100, 0), (150, 0));
        let (old, new) = (series((100, 0), (120, 0)), series((0, 0), (30, 3)));
        let change = since_last_week(&whole, &[value("new", &new), value("old", &old)]).unwrap();
        let along = &change.along[0];
        assert_eq!(along.effects, ChangeEffects { untold: 350.into(), ..Default::default() });
        assert!(along.parts.iter().all(|part| part.price.is_none()));
    }

    #[test]
    fn two_weeks_with_a_day_missing_are_not_compared() {
        let mut whole = series((100, 0), (150, 0));
        whole.days[3].complete = false;
        assert_eq!(since_last_week(&whole, &[]), None);
        whole.days.truncate(2);
        assert_eq!(since_last_week(&whole, &[]), None);
    }
}
