//! Charges that come on their day of the month: support fees, commitments, subscriptions, credits.

use std::cmp::Reverse;

use jiff::civil::Date;

use crate::analyse::forecast::statistics::median;
use crate::domain::forecast::day_after;

/// How many of the newest months are looked at.
const MONTHS: usize = 3;
/// How far, as a share, a charge may lie from its median.
const ALIKE: f64 = 0.35;
/// The last day of a month, whichever it is.
const LAST_DAY: i8 = 32;

/// A day that stands out from its level, by how much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    /// The index of the day.
    pub at: usize,
    /// The figure less what was expected.
    pub excess: f64,
}

/// A charge of a day of the month.
#[derive(Debug, Clone, PartialEq)]
pub struct Lump {
    /// 1 to 31, or 32 for the last day of a month.
    month_day: i8,
    /// The median of the newest occurrences.
    pub amount: f64,
    /// How far, in the same unit, the next one may lie from it: a robust sigma.
    pub sigma: f64,
    /// The days that it was found on.
    pub marks: Vec<Mark>,
}

impl Lump {
    /// Whether the charge is due on a day.
    pub fn is_due(&self, day: Date) -> bool {
        falls_on(self.month_day, day)
    }

    /// Whether an amount is about the charge's.
    pub fn is_alike(&self, amount: f64) -> bool {
        are_alike(amount, self.amount)
    }
}

/// The days of the month that a day may stand for: its own, and the last one.
fn month_days(day: Date) -> impl Iterator<Item = i8> {
    let last = (day.day() == day.days_in_month()).then_some(LAST_DAY);
    [day.day()].into_iter().chain(last)
}

fn are_alike(one: f64, other: f64) -> bool {
    (one - other).abs() <= ALIKE * other.abs()
}

fn falls_on(month_day: i8, day: Date) -> bool {
    month_days(day).any(|of| of == month_day)
}

/// Finds the days of the month that stood out in two consecutive ones of their newest three months on
/// the same side and by alike amounts (within 35 % of their median); in a series that stands out
/// often, where two such days would meet by chance more than once in twenty, and of days with an
/// alike neighbour, which an incident has and a fee has not, three of three are wanted.
pub fn find(all: &[Mark], first: Date, length: usize) -> Vec<Lump> {
    let days = |mark: &Mark| month_days(day_after(first, mark.at));
    let mut by_day: Vec<(i8, Mark)> =
        all.iter().flat_map(|mark| days(mark).map(|day| (day, *mark))).collect();
    by_day.sort_by_key(|(day, mark)| (*day, mark.at));
    let share = all.len() as f64 / length.max(1) as f64;
    let wanted = if 31.0 * share * share * 0.3 > 0.05 { 3 } else { 2 };
    let mut lumps: Vec<Lump> = by_day
        .chunk_by(|(one, _), (other, _)| one == other)
        .filter(|found| found.len() >= 2)
        .filter_map(|found| {
            let month_day = found.first()?.0;
            let marks: Vec<Mark> = found.iter().map(|(_, mark)| *mark).collect();
            let in_a_run = found.iter().any(|(_, mark)| has_alike_neighbour(mark, all));
            lump(month_day, marks, first, length, if in_a_run { MONTHS } else { wanted })
        })
        .collect();
    // A charge of the 31st that came on the last of every month is one of the last.
    lumps.sort_by_key(|lump| (Reverse(lump.marks.len()), Reverse(lump.month_day)));
    let mut told: Vec<Lump> = Vec::new();
    for lump in lumps {
        let is_told = |mark: &Mark| told.iter().any(|of| of.marks.iter().any(|m| m.at == mark.at));
        if !lump.marks.iter().any(is_told) {
            told.push(lump);
        }
    }
    told.sort_by_key(|lump| lump.month_day);
    told
}

/// Whether the day before or after stands out by alike as much. Marks are in the order of days.
fn has_alike_neighbour(mark: &Mark, all: &[Mark]) -> bool {
    let at = all.partition_point(|other| other.at < mark.at);
    let near = all.get(at.saturating_sub(1)..).unwrap_or_default().iter().take(3);
    near.filter(|other| other.at.abs_diff(mark.at) == 1)
        .any(|other| are_alike(other.excess, mark.excess))
}

fn lump(
    wanted_day: i8,
    marks: Vec<Mark>,
    first: Date,
    length: usize,
    wanted: usize,
) -> Option<Lump> {
    let mut newest = [0.0; MONTHS];
    let mut held = 0;
    let mut at = length;
    while held < MONTHS && at > 0 {
        at -= 1;
        let day = day_after(first, at);
        if !falls_on(wanted_day, day) {
            // Two such days are at least 27 days apart.
            at = at.saturating_sub(skip(day, wanted_day));
            continue;
        }
        let excess = marks.iter().find(|mark| mark.at == at).map_or(0.0, |mark| mark.excess);
        newest[held] = excess;
        held += 1;
    }
    let newest = &newest[..held];
    let amount = median::<MONTHS>(newest.iter().copied());
    let alike = |excess: &f64| are_alike(*excess, amount);
    let in_a_row = newest.windows(2).any(|months| months.iter().all(alike));
    if amount == 0.0 || !in_a_row || newest.iter().filter(|excess| alike(excess)).count() < wanted {
        return None;
    }
    let spread = median::<MONTHS>(newest.iter().map(|excess| (excess - amount).abs()));
    let marks = charged(marks, amount);
    let sigma = (1.4826 * spread).max(0.02 * amount.abs());
    Some(Lump { month_day: wanted_day, amount, sigma, marks })
}

/// What of each mark the charge was: all of one that is alike the charge or its neighbour in time,
/// of any other no more than the charge, so that what came on the same day is still seen.
fn charged(mut marks: Vec<Mark>, amount: f64) -> Vec<Mark> {
    marks.retain(|mark| mark.excess * amount > 0.0);
    let excesses: Vec<f64> = marks.iter().map(|mark| mark.excess).collect();
    for (index, mark) in marks.iter_mut().enumerate() {
        let before = index.checked_sub(1).and_then(|before| excesses.get(before));
        let near = [Some(&amount), before, excesses.get(index + 1)];
        let is_charge = near.into_iter().flatten().any(|other| are_alike(mark.excess, *other));
        if !is_charge && mark.excess.abs() > amount.abs() {
            mark.excess = amount;
        }
    }
    marks
}

/// How many days before `day` can surely be passed over on the way back to a day of the month.
fn skip(day: Date, wanted: i8) -> usize {
    let back = i32::from(day.day()) - i32::from(wanted);
    // Behind it in this month: go straight there. Else the month before ends `day.day()` days ago.
    let days = match (wanted == LAST_DAY, back > 0) {
        (true, _) => i32::from(day.day()) - 1,
        (false, true) => back - 1,
        (false, false) => i32::from(day.day()) - 1,
    };
    usize::try_from(days).unwrap_or(0)
}
