//! What a GPU does in a minute: a pure function of dice, which GPU, and which minute.
//!
//! Days are those of UTC; a state lasts from ten minutes to a day. Which answer a die gives to
//! which question is fixed by the numbers below, so that no minute allocates.

use std::ops::Range;

use super::roll::Roll;
use crate::domain::gpu_time::GpuState;

/// Minutes of a day.
pub(super) const DAY: i64 = 1440;

/// What a GPU is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Busy day and night; jobs end, and the node waits for the next.
    Training,
    /// Follows the day and the week.
    Serving,
    /// Held by somebody who computes now and then.
    Notebook,
    /// Serves several pods in turns (time-slicing).
    Shared,
    /// Split into MIG slices that serve.
    Split,
    /// Allocated by a runaway sweep that loads nothing.
    Runaway,
}

/// The pods of one run of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) work: Work,
    /// Tells this run from the next.
    pub(super) run: i64,
}

/// A GPU, or a MIG slice of one, in a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) state: GpuState,
    /// Who holds it.
    pub(super) job: Option<Job>,
    /// The last XID error that its driver told; 0 for none.
    pub(super) xid: u32,
    /// Whether it is gone from its node.
    pub(super) lost: bool,
}

impl Moment {
    fn free() -> Self {
        Self { state: GpuState::Unallocated, job: None, xid: 0, lost: false }
    }

    fn held(state: GpuState, work: Work, run: i64) -> Self {
        Self { state, job: Some(Job { work, run }), ..Self::free() }
    }

    /// Whether something is loaded into its memory.
    pub(super) fn is_loaded(&self) -> bool {
        matches!(self.state, GpuState::Busy | GpuState::Low | GpuState::HeldIdle)
    }
}

// Questions to the dice.
const OFFSET: i64 = 1;
const RUN: i64 = 2;
const START: i64 = 3;
const END: i64 = 4;
const NARROW: i64 = 5;
const LULL: i64 = 6;
const PAUSE: i64 = 7;
const UP: i64 = 8;
const DOWN: i64 = 9;
const NIGHT: i64 = 10;
const AWAY: i64 = 11;
const BURST: i64 = 12;
const RESTART: i64 = 13;
const REST: i64 = 14;
const FATAL: i64 = 15;
const LOST: i64 = 16;
const HARMLESS: i64 = 17;
const CODE: i64 = 18;
const SILENT: i64 = 19;
const LEVEL: i64 = 20;

/// The XID errors after which a GPU works only when it was repaired: fallen off the bus, NVLink
/// error, double-bit ECC error (NVIDIA, XID catalogue).
pub(super) const FATAL_XIDS: [u32; 3] = [79, 74, 48];
/// The XID errors that a program makes and that change nothing for the GPU: engine exception, page
/// fault, stopped processing (NVIDIA, XID catalogue).
pub(super) const HARMLESS_XIDS: [u32; 3] = [13, 31, 43];

/// Something that happens on one day of so many, at a minute of the first ones of its day, for a
/// while that ends with the day at the latest.
struct Happening {
    question: i64,
    one_day_in: u32,
    before: u32,
    least: u32,
    more: u32,
}

impl Happening {
    fn on(&self, roll: Roll, day: i64) -> Option<(Roll, Range<i64>)> {
        let roll = roll.number(self.question).number(day);
        if roll.below(self.one_day_in) != 0 {
            return None;
        }
        let start = i64::from(roll.number(START).below(self.before));
        let long = i64::from(self.least + roll.number(END).below(self.more));
        Some((roll, start..start + long))
    }

    fn at(&self, roll: Roll, minute: i64) -> Option<Roll> {
        let (roll, minutes) = self.on(roll, minute.div_euclid(DAY))?;
        minutes.contains(&minute.rem_euclid(DAY)).then_some(roll)
    }
}

#[rustfmt::skip] // A table is read in rows.
mod happenings {
    use super::*;

    /// A training job waits for data or a checkpoint.
    pub(super) const NIGHT_PAUSE: Happening = Happening { question: PAUSE, one_day_in: 3, before: 270, least: 30, more: 60 };
    /// A service has little to do for a while.
    pub(super) const QUIET_WHILE: Happening = Happening { question: LULL, one_day_in: 3, before: 780, least: 40, more: 40 };
    pub(super) const FATAL_ERROR: Happening = Happening { question: FATAL, one_day_in: 40, before: 1_100, least: 90, more: 150 };
    pub(super) const LOST_GPU: Happening = Happening { question: LOST, one_day_in: 90, before: 1_200, least: 60, more: 120 };
    pub(super) const HARMLESS_ERROR: Happening = Happening { question: HARMLESS, one_day_in: 25, before: 1_100, least: 60, more: 240 };
    pub(super) const DEAD_EXPORTER: Happening = Happening { question: SILENT, one_day_in: 24, before: 1_100, least: 60, more: 240 };
}
use happenings::{DEAD_EXPORTER, FATAL_ERROR, HARMLESS_ERROR, LOST_GPU, NIGHT_PAUSE, QUIET_WHILE};

/// Whether a node's exporter answers in a minute.
pub(super) fn exporter_is_up(node: Roll, minute: i64) -> bool {
    DEAD_EXPORTER.at(node, minute).is_none()
}

/// What a GPU, or a slice of one, does in a minute (since 1970).
pub(super) fn moment(part: &Part, minute: i64) -> Moment {
    let Part { node, own, .. } = *part;
    let day = minute.div_euclid(DAY);
    let rests = part.work != Work::Runaway && node.number(REST).number(day).below(14) == 0;
    let base = if rests { Moment::free() } else { at_work(part, minute) };
    if part.sevenths < 7 || part.work == Work::Runaway {
        return base;
    }
    if let Some(roll) = FATAL_ERROR.at(own, minute) {
        return Moment { state: GpuState::Unhealthy, xid: one_of(roll, FATAL_XIDS), ..base };
    }
    if LOST_GPU.at(own, minute).is_some() {
        return Moment { state: GpuState::Unhealthy, lost: true, ..Moment::free() };
    }
    match HARMLESS_ERROR.at(own, minute) {
        Some(roll) => Moment { xid: one_of(roll, HARMLESS_XIDS), ..base },
        None => base,
    }
}

fn one_of(roll: Roll, [first, second, third]: [u32; 3]) -> u32 {
    match roll.number(CODE).below(3) {
        0 => first,
        1 => second,
        _ => third,
    }
}

/// A GPU, or a MIG slice of one, with its dice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// Falls the same for every GPU of a node.
    pub(super) node: Roll,
    /// Falls the same for nothing else.
    pub(super) own: Roll,
    /// The index of the GPU on its node.
    pub(super) index: u32,
    pub(super) work: Work,
    /// How much of its GPU it is: 7 for a whole one.
    pub(super) sevenths: u32,
    /// Whether its exporter tells its memory.
    pub(super) tells_memory: bool,
}

fn at_work(part: &Part, minute: i64) -> Moment {
    match part.work {
        Work::Training => training(part, minute),
        Work::Notebook => notebook(part, minute),
        Work::Runaway => Moment::held(GpuState::Empty, Work::Runaway, 0),
        Work::Serving | Work::Shared | Work::Split => {
            let moment = serving(part, minute);
            // Without memory nobody could tell held from empty; such a slice is let go at night.
            let hides = !part.tells_memory && moment.state == GpuState::HeldIdle;
            if hides { Moment::free() } else { moment }
        }
    }
}

fn training(part: &Part, minute: i64) -> Moment {
    const EPOCH: i64 = 540;
    let shifted = minute + i64::from(part.node.number(OFFSET).below(540));
    let (run, at) = (shifted.div_euclid(EPOCH), shifted.rem_euclid(EPOCH));
    let roll = part.node.number(RUN).number(run);
    let end = EPOCH - 12 - i64::from(roll.number(END).below(40));
    // Some jobs ask for six of the eight.
    let is_left_over = part.index >= 6 && roll.number(NARROW).below(5) == 0;
    if at >= end || is_left_over {
        return Moment::free();
    }
    let start = 10 + i64::from(roll.number(START).below(15));
    let lull = 60 + i64::from(roll.number(LULL).below(280));
    let has_lull = roll.number(AWAY).below(4) == 0;
    let state = if at < start {
        GpuState::Empty
    } else if NIGHT_PAUSE.at(part.node, minute).is_some() {
        GpuState::HeldIdle
    } else if has_lull && (lull..lull + 45).contains(&at) {
        GpuState::Low
    } else {
        GpuState::Busy
    };
    Moment::held(state, Work::Training, run)
}

fn serving(part: &Part, minute: i64) -> Moment {
    let (day, at) = (minute.div_euclid(DAY), minute.rem_euclid(DAY));
    let roll = part.own.number(RUN);
    let today = roll.number(day);
    let up = 420 + i64::from(today.number(UP).below(90));
    let down = 1_140 + i64::from(today.number(DOWN).below(120));
    let night = 1_320 + i64::from(today.number(NIGHT).below(90));
    // A day's pods live until they are replaced in the next morning.
    let run = if at < up { day - 1 } else { day };
    // 1970 began on a Thursday.
    let is_weekend = (day + 3).rem_euclid(7) >= 5;
    let state = if (up..night).contains(&at) {
        let is_peak = !is_weekend && at < down && QUIET_WHILE.at(part.own, minute).is_none();
        if is_peak { GpuState::Busy } else { GpuState::Low }
    } else if roll.number(run).number(AWAY).below(4) == 0 {
        return Moment::free();
    } else {
        GpuState::HeldIdle
    };
    Moment::held(state, part.work, run)
}

fn notebook(part: &Part, minute: i64) -> Moment {
    const EPOCH: i64 = 660;
    let shifted = minute + i64::from(part.own.number(OFFSET).below(660));
    let (run, at) = (shifted.div_euclid(EPOCH), shifted.rem_euclid(EPOCH));
    let roll = part.own.number(RUN).number(run);
    let after = |question: i64, from: i64, within: u32| {
        from + i64::from(roll.number(question).below(within))
    };
    let taken = after(UP, 30, 90);
    let loaded = taken + after(START, 10, 20);
    let burst = after(BURST, 180, 60);
    let lull = after(LULL, 340, 50);
    let restart = after(RESTART, 480, 60);
    let has_restart = roll.number(AWAY).below(2) == 0;
    let state = if at < taken {
        return Moment::free();
    } else if at < loaded || has_restart && (restart..restart + 25).contains(&at) {
        GpuState::Empty
    } else if (burst..burst + 35).contains(&at) {
        GpuState::Busy
    } else if (lull..lull + 30).contains(&at) {
        GpuState::Low
    } else {
        GpuState::HeldIdle
    };
    Moment::held(state, Work::Notebook, run)
}

/// The share of time in which the engines are active, 0 to 1, as the exporter collects it at a
/// second: new every 30 seconds, and well within what its state means.
pub(super) fn engine_active(part: &Part, moment: &Moment, second: i64) -> f64 {
    let tick = part.own.number(LEVEL).number(second.div_euclid(30));
    let jitter = f64::from(tick.below(1_000)) / 1_000.0;
    match moment.state {
        GpuState::Busy if part.work == Work::Training => 0.86 + 0.12 * jitter,
        GpuState::Busy => 0.42 + 0.36 * jitter,
        GpuState::Low => 0.1 + 0.1 * jitter,
        GpuState::HeldIdle => 0.02 * jitter,
        _ => 0.0,
    }
}

/// The share of the frame buffer in use, in thousandths.
pub(super) fn memory_per_mille(part: &Part, moment: &Moment) -> u64 {
    match moment.job {
        Some(job) if moment.is_loaded() => {
            600 + u64::from(part.own.number(RUN).number(job.run).number(LEVEL).below(320))
        }
        _ => 5,
    }
}
