//! A series and everything that forecasts need to know of it. It is made by reading days one after
//! the other; one more day costs microseconds, and gives what reading them all anew would.

use std::collections::VecDeque;

use jiff::civil::Date;

use crate::analyse::forecast::level::{LEVELS, Level, Origin};
use crate::analyse::forecast::lumps::{self, Lump, Mark};
use crate::domain::forecast::{day_after, days_between};

/// How many forecasts compete.
pub const CANDIDATES: usize = LEVELS + 1;
/// Every third day is kept as the origin of a past forecast. Three and seven share no factor, so
/// that every weekday is among them.
pub const STRIDE: usize = 3;
/// How many days of past forecasts are scored.
pub const REACH: usize = 250;
/// The longest horizon: a whole month.
pub const LONGEST: usize = 31;
/// Days that are read before the first forecast is kept.
const WARM: usize = 14;
/// How many days are read at most; older ones are let go.
pub const MOST_READ: usize = 800;

/// Whether a figure is one: finite, and no more than an exact amount can hold.
fn is_figure(value: f64) -> bool {
    value.abs() <= 1e29
}

/// One complete day: what it cost without charges of its day of the month, what was expected, and
/// its weekday's factor.
#[derive(Debug, Clone, Copy)]
pub struct Day {
    /// The figure; not a number for a gap.
    pub value: f64,
    /// What was expected.
    pub expected: f64,
    /// The weekday's factor.
    pub factor: f64,
}

/// What forecasts and judgement look back on.
#[derive(Debug, Clone)]
struct Kept {
    /// The first day's number, from which the stride is counted: the same days are kept whatever
    /// day a series begins on.
    number: usize,
    /// Running sums of the figures without lumps, gaps filled with what was expected. One more than
    /// there are days.
    sums: Vec<f64>,
    origins: VecDeque<(usize, Origin)>,
    /// What was expected of each day before it was known, and its weekday's factor.
    judged: Vec<(f32, f32)>,
    shifts: Vec<usize>,
}

impl Kept {
    fn begin_again(&mut self) {
        self.sums.truncate(1);
        self.origins.clear();
        self.judged.clear();
        self.shifts.clear();
    }

    /// Takes a day into a state. Returns by how much it stands out, where it does.
    fn step(&mut self, level: &mut Level, at: usize, weekday: usize, value: f64) -> Option<f64> {
        let before = self.sums.last().copied().unwrap_or(0.0);
        let mut marked = None;
        if is_figure(value) {
            let seen = level.read(value, weekday);
            if seen.shifted {
                self.shifts.push(at);
            }
            marked = seen.expected.filter(|_| seen.stands_out).map(|expected| value - expected);
            self.sums.push(before + value);
            self.judged.push((seen.expected.unwrap_or(value) as f32, seen.factor as f32));
        } else {
            let expected = level.expected(weekday);
            self.sums.push(before + expected);
            self.judged.push((expected as f32, 1.0));
        }
        if level.days() > WARM && (self.number + at).is_multiple_of(STRIDE) {
            self.origins.push_back((at, level.origin(weekday + 1)));
            if self.origins.front().is_some_and(|(old, _)| old + REACH + LONGEST < at) {
                self.origins.pop_front();
            }
        }
        marked
    }
}

/// A series as it was read.
#[derive(Debug, Clone)]
pub struct Learned {
    first: Date,
    /// The weekday of the first day, Monday 0.
    weekday: usize,
    /// The figures as they came; not a number for a gap.
    values: Vec<f64>,
    marks: Vec<Mark>,
    lumps: Vec<Lump>,
    /// The state of the figures as they came.
    raw: Level,
    /// The state of the figures without their lumps, where there are any.
    smooth: Option<Box<Level>>,
    kept: Kept,
    /// How many days have no figure.
    pub gaps: usize,
    /// Whether any figure is below zero.
    pub any_negative: bool,
}

impl Learned {
    /// Reads a series from its first day. A figure that is not finite, or larger than an exact amount
    /// can be, is a gap.
    pub fn read(first: Date, values: &[f64]) -> Self {
        let skipped = values.len().saturating_sub(MOST_READ);
        let first = day_after(first, skipped);
        let mut learned = Self::empty(first);
        learned.values.reserve(values.len() - skipped + LONGEST);
        learned.kept.sums.reserve(values.len() - skipped + LONGEST);
        learned.kept.judged.reserve(values.len() - skipped + LONGEST);
        for value in values.iter().skip(skipped) {
            learned.read_raw(*value);
        }
        learned.lumps = lumps::find(&learned.marks, first, learned.values.len());
        if !learned.lumps.is_empty() {
            learned.read_without_lumps();
        }
        learned
    }

    fn empty(first: Date) -> Self {
        Self {
            first,
            weekday: usize::from(first.weekday().to_monday_zero_offset().unsigned_abs()),
            values: Vec::new(),
            marks: Vec::new(),
            lumps: Vec::new(),
            raw: Level::default(),
            smooth: None,
            kept: Kept {
                number: days_between(Date::constant(1, 1, 1), first).unwrap_or(0),
                sums: vec![0.0],
                origins: VecDeque::new(),
                judged: Vec::new(),
                shifts: Vec::new(),
            },
            gaps: 0,
            any_negative: false,
        }
    }

    /// Reads one more day. A series at its longest is read anew once a month.
    pub fn push(&mut self, value: f64) {
        let day = self.date(self.values.len());
        let due = self.lumps.iter().any(|lump| lump.is_due(day));
        let marked = self.marks.len();
        let too_long = self.values.len() >= MOST_READ + LONGEST;
        if self.smooth.is_some() {
            self.read_both(value);
        } else {
            self.read_raw(value);
        }
        if due || self.marks.len() > marked || too_long {
            *self = Self::read(self.first, &self.values);
        }
    }

    fn hold(&mut self, value: f64) {
        self.values.push(value);
        self.gaps += usize::from(!is_figure(value));
        self.any_negative |= value < 0.0;
    }

    /// Reads a day as it came, as the only state.
    fn read_raw(&mut self, value: f64) {
        let at = self.values.len();
        self.hold(value);
        let weekday = (self.weekday + at) % 7;
        if let Some(excess) = self.kept.step(&mut self.raw, at, weekday, value) {
            self.marks.push(Mark { at, excess });
        }
    }

    /// Reads a day as it came beside the state without lumps.
    fn read_both(&mut self, value: f64) {
        let at = self.values.len();
        self.hold(value);
        let weekday = (self.weekday + at) % 7;
        if is_figure(value) {
            let seen = self.raw.read(value, weekday);
            if let Some(expected) = seen.expected.filter(|_| seen.stands_out) {
                self.marks.push(Mark { at, excess: value - expected });
            }
        }
        if let Some(smooth) = &mut self.smooth {
            self.kept.step(smooth, at, weekday, value);
        }
    }

    fn read_without_lumps(&mut self) {
        let mut values = self.values.clone();
        for mark in self.lumps.iter().flat_map(|lump| &lump.marks) {
            if let Some(value) = values.get_mut(mark.at) {
                *value -= mark.excess;
            }
        }
        self.kept.begin_again();
        let mut smooth = Box::<Level>::default();
        for (at, value) in values.into_iter().enumerate() {
            self.kept.step(&mut smooth, at, (self.weekday + at) % 7, value);
        }
        self.smooth = Some(smooth);
    }

    /// The day at an index.
    pub fn date(&self, at: usize) -> Date {
        day_after(self.first, at)
    }

    /// How many days were read, gaps among them.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether no day was read.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many days have a figure.
    pub fn days(&self) -> usize {
        self.level().days()
    }

    /// The state that forecasts are made from.
    pub fn level(&self) -> &Level {
        self.smooth.as_deref().unwrap_or(&self.raw)
    }

    /// The newest day on which the level had shifted.
    pub fn newest_shift(&self) -> Option<usize> {
        self.kept.shifts.last().copied()
    }

    /// The charges that come on their day of the month.
    pub fn lumps(&self) -> &[Lump] {
        &self.lumps
    }

    /// Whether a day has no figure.
    pub fn is_gap(&self, at: usize) -> bool {
        self.values.get(at).is_some_and(|value| !is_figure(*value))
    }

    /// The figure of a day without its lumps, a gap filled.
    pub fn value(&self, at: usize) -> f64 {
        self.sum(at, 1)
    }

    /// Every day as anomalies are found in it: without lumps, not a number for a gap.
    pub fn judged(&self) -> impl Iterator<Item = Day> {
        self.kept.judged.iter().enumerate().map(|(at, (expected, factor))| {
            let known = self.values.get(at).is_some_and(|value| is_figure(*value));
            Day {
                value: if known { self.value(at) } else { f64::NAN },
                expected: f64::from(*expected),
                factor: f64::from(*factor),
            }
        })
    }

    /// The sum of so many days from an index, without lumps, gaps filled.
    pub fn sum(&self, from: usize, days: usize) -> f64 {
        let at = |index: usize| {
            self.kept.sums.get(index).or(self.kept.sums.last()).copied().unwrap_or(0.0)
        };
        at(from.saturating_add(days)) - at(from)
    }

    /// The mean absolute figure of the last eight weeks, without lumps.
    pub fn size(&self) -> f64 {
        let days = self.len().min(56);
        let sum: f64 = (self.len() - days..self.len()).map(|at| self.value(at).abs()).sum();
        sum / days.max(1) as f64
    }

    /// The past forecasts over so many days whose end is known: the index of the day that each was
    /// made after, and what it knew.
    pub fn past(&self, horizon: usize) -> impl Iterator<Item = (usize, &Origin)> {
        let newest = self.len().saturating_sub(horizon + 1);
        let oldest = newest.saturating_sub(REACH);
        self.kept
            .origins
            .iter()
            .map(|(at, origin)| (*at, origin))
            .filter(move |(at, _)| (oldest..=newest).contains(at) && at + horizon < self.len())
    }

    /// What each candidate says of the sum of the next days.
    pub fn ahead(&self, horizon: usize) -> [f64; CANDIDATES] {
        let next_weekday = self.weekday + self.len();
        let origin = self.level().origin(next_weekday);
        self.candidates(self.len().saturating_sub(1), &origin, horizon)
    }

    /// What each candidate said after a day of the sum of the days that followed: each level times
    /// the sum of the weekday factors, the drift times `h (h + 1) / 2`, and the week before again.
    pub fn candidates(&self, at: usize, origin: &Origin, horizon: usize) -> [f64; CANDIDATES] {
        let (weeks, rest) = (horizon / 7, horizon % 7);
        let [.., whole] = origin.factors;
        let begun = rest.checked_sub(1).and_then(|last| origin.factors.get(last)).copied();
        let factors = whole * weeks as f32 + begun.unwrap_or(0.0);
        let mut said = [0.0; CANDIDATES];
        for (said, level) in said.iter_mut().zip(origin.levels) {
            *said = f64::from(level * factors);
        }
        let steps = (horizon * (horizon + 1) / 2) as f32;
        said[LEVELS - 1] += f64::from(origin.drift * steps);
        let week = (at + 1).saturating_sub(7);
        let days = at + 1 - week;
        if !origin.week_is_even {
            // The week before is of another level: its rhythm at the new one.
            said[LEVELS] = said[0];
            return said;
        }
        said[LEVELS] = self.sum(week, days) * weeks as f64 + self.sum(week, rest.min(days));
        said
    }
}
