//! A series read day by day: its weekly rhythm, its level by several memories, its noise, and the
//! days on which it jumped. The fold takes about a tenth of a microsecond a day.

use crate::analyse::forecast::line::Line;
use crate::analyse::forecast::statistics::{median, middle};

/// How many weeks the weekly rhythm remembers.
const WEEKS: usize = 8;
/// How many days the longest level remembers.
const LONG: usize = 28;
/// The memories of exponential smoothing (Brown 1959; the share of a new day in the level).
const SMOOTHING: [f64; 3] = [0.3, 0.6, 1.0];
/// A day this many sigmas off, three times on one side, moves the level.
const SHIFT_SIGMAS: f64 = 2.5;
/// How many days on one side make a shift.
const SHIFT_DAYS: i32 = 3;
/// How many levels compete; the seasonal naive forecast competes beside them and needs no state.
pub const LEVELS: usize = 6;

/// What a forecast made on a day needs to know: the levels, the drift of the last of them, and the
/// factors of the days that follow. In single precision, since many are kept.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin {
    /// Weekday median of 7 and 28 days, smoothing by 0.3, 0.6 and 1, and by 0.6 with drift.
    pub levels: [f32; LEVELS],
    /// What the last level gains a day.
    pub drift: f32,
    /// The sum of the weekday factors of the next 1 to 7 days.
    pub factors: [f32; 7],
    /// Whether the last seven days are of one level: no shift lies among them.
    pub week_is_even: bool,
}

/// What a day was held against.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// What was expected of it before it was known; none on the first day.
    pub expected: Option<f64>,
    /// The weekday's factor.
    pub factor: f64,
    /// Whether the day completed a shift of the level.
    pub shifted: bool,
    /// Whether the day stands out so far that it may be a charge of this day of the month.
    pub stands_out: bool,
}

/// The state after so many days.
#[derive(Debug, Clone)]
pub struct Level {
    rhythm: Rhythm,
    /// The last days over their weekday's factor, since the last shift.
    recent: Recent<7>,
    /// The same with a longer memory.
    longer: Recent<LONG>,
    /// The last days as they are.
    raw: Recent<7>,
    smoothed: [f64; 3],
    /// A robust sigma of the days over their factor around the level.
    sigma: f64,
    run: i32,
    /// Days since the newest shift, its own days among them.
    since_shift: usize,
    seen: usize,
    /// The median of the last 7 days over their factor.
    level: f64,
    slope: Line,
}

impl Default for Level {
    fn default() -> Self {
        Self {
            rhythm: Rhythm::default(),
            recent: Recent::default(),
            longer: Recent::default(),
            raw: Recent::default(),
            smoothed: [0.0; 3],
            sigma: 0.0,
            run: 0,
            since_shift: 7,
            seen: 0,
            level: 0.0,
            slope: Line::default(),
        }
    }
}

impl Level {
    /// How many days with a figure were read.
    pub fn days(&self) -> usize {
        self.seen
    }

    /// What a weekday is expected to cost: the median of the last 7 days over their factors, times
    /// the weekday's own. Zero before the first day.
    pub fn expected(&self, weekday: usize) -> f64 {
        self.level * self.rhythm.factor(weekday)
    }

    /// The robust sigma around the level, relative to it.
    pub fn relative_sigma(&self) -> f64 {
        let level = self.level.abs();
        if level > 0.0 { self.sigma / level } else { 0.0 }
    }

    /// What a forecast made now needs to know.
    pub fn origin(&self, next_weekday: usize) -> Origin {
        let [slow, quick, last] = self.smoothed;
        let levels = [self.level, self.longer.median(), slow, quick, last, quick];
        let mut sum = 0.0;
        let mut factors = [0.0; 7];
        for (step, held) in factors.iter_mut().enumerate() {
            sum += self.rhythm.factor(next_weekday + step);
            *held = sum as f32;
        }
        Origin {
            levels: levels.map(|level| level as f32),
            drift: (0.5 * self.slope.per_day()) as f32,
            factors,
            week_is_even: self.since_shift >= 7,
        }
    }

    /// Reads a day with a finite figure.
    ///
    /// The residual is the figure over its weekday's factor less the median level. Smoothing takes
    /// at most three sigmas of it, so that a spike hardly moves a level; three days in a row beyond
    /// 2.5 sigmas on one side are a shift, after which every level begins again at their median.
    pub fn read(&mut self, value: f64, weekday: usize) -> Seen {
        let factor = self.rhythm.factor(weekday);
        let day = value / factor;
        let mut seen = Seen { expected: None, factor, ..Seen::default() };
        if self.seen == 0 {
            self.smoothed = [day; 3];
        } else {
            let level = self.level;
            let residual = day - level;
            seen.expected = Some(level * factor);
            let known = self.recent.len() >= 7;
            let beyond = |sigmas: f64, share: f64| {
                known
                    && residual.abs() > sigmas * self.sigma
                    && residual.abs() > share * level.abs()
            };
            seen.stands_out = beyond(3.5, 0.2);
            self.run = match (beyond(SHIFT_SIGMAS, 0.03), residual > 0.0) {
                (false, _) => 0,
                (true, true) => self.run.max(0) + 1,
                (true, false) => self.run.min(0) - 1,
            };
            let most = if known { 3.0 * self.sigma } else { f64::INFINITY };
            let rate = if self.seen < 14 { 0.2 } else { 0.05 };
            // The mean absolute deviation of a normal variable is sigma / 1.25.
            self.sigma += rate * (1.25 * residual.abs().min(most) - self.sigma);
            if self.run.abs() >= SHIFT_DAYS {
                // With today these are the days of the shift.
                let earlier = SHIFT_DAYS.unsigned_abs() as usize - 1;
                self.recent.keep_last(earlier);
                self.longer.keep_last(earlier);
                let days = self.recent.newest(earlier);
                let begun = median::<4>(days.chain([day]));
                self.smoothed = [begun; 3];
                self.run = 0;
                self.since_shift = earlier + 1;
                seen.shifted = true;
            } else {
                self.since_shift = (self.since_shift + 1).min(7);
                for (smoothed, share) in self.smoothed.iter_mut().zip(SMOOTHING) {
                    *smoothed += share * (day - *smoothed).clamp(-most, most);
                }
            }
        }
        self.recent.push(day);
        self.longer.push(day);
        self.level = self.recent.median();
        self.raw.push(value);
        self.seen += 1;
        if self.raw.len() >= 7 {
            self.rhythm.read(value, self.raw.median(), weekday);
        }
        self.slope.read(self.smoothed[1]);
        seen
    }
}

/// The last `N` figures, in turn and in ascending order: a window that moves by one day has its
/// median without sorting.
#[derive(Debug, Clone)]
struct Recent<const N: usize> {
    values: [f64; N],
    sorted: [f64; N],
    /// Where the next figure goes; the oldest one stands there when the window is full.
    next: usize,
    held: usize,
}

impl<const N: usize> Default for Recent<N> {
    fn default() -> Self {
        Self { values: [0.0; N], sorted: [0.0; N], next: 0, held: 0 }
    }
}

impl<const N: usize> Recent<N> {
    fn push(&mut self, value: f64) {
        let below = self.below(value);
        if self.held == N {
            let oldest = self.values[self.next];
            let from = self.below(oldest).min(N - 1);
            let place = below - usize::from(oldest < value);
            if from < place {
                self.sorted.copy_within(from + 1..=place, from);
            } else {
                self.sorted.copy_within(place..from, place + 1);
            }
            self.sorted[place] = value;
        } else {
            self.sorted.copy_within(below..self.held, below + 1);
            self.sorted[below] = value;
            self.held += 1;
        }
        self.values[self.next] = value;
        self.next = if self.next + 1 == N { 0 } else { self.next + 1 };
    }

    /// How many figures lie below one.
    fn below(&self, value: f64) -> usize {
        self.sorted.iter().take(self.held).map(|held| usize::from(*held < value)).sum()
    }

    fn len(&self) -> usize {
        self.held
    }

    /// The newest figures, the newest first.
    fn newest(&self, count: usize) -> impl Iterator<Item = f64> + '_ {
        (1..=count.min(self.held)).map(|back| self.values[(self.next + N - back) % N])
    }

    fn keep_last(&mut self, count: usize) {
        let before = self.clone();
        let kept = self.held.min(count);
        *self = Self::default();
        for value in (0..kept).rev().filter_map(|back| before.newest(back + 1).last()) {
            self.push(value);
        }
    }

    fn median(&self) -> f64 {
        middle(&self.sorted[..self.held])
    }
}

/// The weekday factors: medians of the ratio of a day to the median of its last seven days over
/// eight weeks, drawn towards 1 by as much of their spread as noise explains (the positive-part
/// estimator of James and Stein 1961).
#[derive(Debug, Clone)]
struct Rhythm {
    ratios: [Recent<WEEKS>; 7],
    medians: [f64; 7],
    /// The variance of each median.
    noise: [f64; 7],
    factors: [f64; 7],
}

impl Default for Rhythm {
    fn default() -> Self {
        Self { ratios: Default::default(), medians: [1.0; 7], noise: [0.0; 7], factors: [1.0; 7] }
    }
}

impl Rhythm {
    fn factor(&self, weekday: usize) -> f64 {
        self.factors[weekday % 7]
    }

    fn read(&mut self, value: f64, level: f64, weekday: usize) {
        let ratio = value / level;
        if !ratio.is_finite() {
            return;
        }
        let weekday = weekday % 7;
        let ratios = &mut self.ratios[weekday];
        ratios.push(ratio.clamp(0.0, 5.0));
        let centre = ratios.median();
        let count = ratios.len();
        let deviations = ratios.sorted.iter().take(count).map(|ratio| (ratio - centre).abs());
        let sigma = 1.4826 * median::<WEEKS>(deviations);
        self.medians[weekday] = centre;
        // The variance of a median is pi / 2 of that of a mean.
        self.noise[weekday] = 1.57 * sigma * sigma / count as f64;
        if self.ratios.iter().any(|ratios| ratios.len() < 2) {
            return;
        }
        let mean = self.medians.iter().sum::<f64>() / 7.0;
        if mean <= 0.05 {
            self.factors = [1.0; 7];
            return;
        }
        let noise = self.noise.iter().sum::<f64>() / 7.0;
        let scale = mean.recip();
        let spread =
            self.medians.iter().map(|held| (held * scale - 1.0).powi(2)).sum::<f64>() / 6.0;
        let kept = (1.0 - noise / spread.max(1e-12)).clamp(0.0, 1.0);
        for (factor, centre) in self.factors.iter_mut().zip(self.medians) {
            *factor = (1.0 + kept * (centre * scale - 1.0)).clamp(0.02, 7.0);
        }
    }
}
