//! Days that are not billed yet, as another measure tells them: what GPUs cost by their telemetry.
//!
//! The measure's level is not the bill's: there are discounts, disks, traffic, services without
//! GPUs. What it tells is how far a day departs from what was expected of it. That departure, as
//! far as such departures were the bill's too, is added to what is expected of the bill's day, and
//! the bill's level is read on with it.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::analyse::forecast::learned::{LONGEST, Learned};
use crate::analyse::forecast::outlook::Choice;
use crate::domain::forecast::{day_after, days_between};

/// Days that the measure must tell up to the newest complete one, to expect anything of it,
const FEWEST_TOLD: usize = 7;
/// and of the last week of them.
const FEWEST_LATELY: usize = 5;
/// Changes are the bill's too, as if so many days of this size had shown it.
const TRUSTED_DAYS: f64 = 3.0;
/// That size, as a share of the measure's level.
const TRUSTED_SIZE: f64 = 0.05;

/// The days after the newest complete one, as a measure tells them.
#[derive(Debug, Clone)]
pub(super) struct Nowcast {
    /// What each of them is taken to cost, without charges of its day of the month.
    values: Vec<f64>,
    /// What is known with those days.
    beyond: Learned,
}

impl Nowcast {
    /// Reads what a measure tells after the newest day that is known of a series. None where it
    /// tells no day after it, or too few before it.
    pub(super) fn of(
        own: &Learned,
        choice: &Choice,
        told: &BTreeMap<Date, Decimal>,
    ) -> Option<Self> {
        let newest = own.date(own.len().checked_sub(1)?);
        let first = *told.keys().next()?;
        let days = days_between(first, newest)? + 1;
        let figure = |day: Date| told.get(&day).and_then(|amount| amount.to_f64());
        let figures: Vec<f64> =
            (0..days).map(|at| figure(day_after(first, at)).unwrap_or(f64::NAN)).collect();
        let lately = figures.iter().rev().take(7).filter(|figure| !figure.is_nan()).count();
        let mut measure = Learned::read(first, &figures);
        if measure.days() < FEWEST_TOLD || lately < FEWEST_LATELY {
            return None;
        }
        let share = share_of(own, &measure);
        let mut beyond = own.clone();
        let mut values = Vec::new();
        for day in (1..=LONGEST * 2).map(|steps| day_after(newest, steps)) {
            let Some(amount) = figure(day) else { break };
            let departs = amount - choice.combine(&measure.ahead(1));
            measure.push(amount);
            let value = choice.combine(&beyond.ahead(1)) + share * departs;
            values.push(value);
            let due = own.lumps().iter().filter(|lump| lump.is_due(day));
            beyond.push(value + due.map(|lump| lump.amount).sum::<f64>());
        }
        (!values.is_empty()).then_some(Self { values, beyond })
    }

    /// How many days it tells.
    pub(super) fn days(&self) -> usize {
        self.values.len()
    }

    /// What is expected of so many days after the newest complete one: those that are told, and
    /// the days after them from the level that they have led to.
    pub(super) fn sum(&self, choice: &Choice, steps: usize) -> f64 {
        let told: f64 = self.values.iter().take(steps).sum();
        match steps.checked_sub(self.values.len()) {
            Some(more) if more > 0 => told + choice.combine(&self.beyond.ahead(more)),
            _ => told,
        }
    }
}

/// How much of the measure's changes the series shares, 0 to 1.
///
/// The slope of a regression through zero of changes since a week before, over the days that both
/// know, drawn towards 1 (ridge, Hoerl and Kennard 1970): `(sum of m s + k) / (sum of m m + k)`,
/// where `m` and `s` are the changes of the measure and of the series, and `k` is [`TRUSTED_DAYS`]
/// days of [`TRUSTED_SIZE`] of the measure's level. What a reservation pays changes in telemetry
/// and never in the bill: the share falls to nothing.
fn share_of(own: &Learned, measure: &Learned) -> f64 {
    let change = |learned: &Learned, day: Date| {
        let at = days_between(learned.date(0), day)?;
        let before = at.checked_sub(7)?;
        let known = at < learned.len() && !learned.is_gap(at) && !learned.is_gap(before);
        known.then(|| learned.value(at) - learned.value(before))
    };
    let unit = TRUSTED_SIZE * measure.size();
    let trust = TRUSTED_DAYS * unit * unit;
    let (mut product, mut square) = (trust, trust);
    for day in (0..measure.len()).map(|at| measure.date(at)) {
        if let (Some(measured), Some(own)) = (change(measure, day), change(own, day)) {
            product += measured * own;
            square += measured * measured;
        }
    }
    if square > 0.0 { (product / square).clamp(0.0, 1.0) } else { 1.0 }
}

#[cfg(test)]
mod tests;
