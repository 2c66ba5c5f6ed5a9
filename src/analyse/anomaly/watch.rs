//! A series held day by day against what was expected of it. A fold: it opens what stands out, joins
//! what belongs together, and closes what is over.

use crate::analyse::forecast::learned::Day;
use crate::analyse::forecast::line::Line;
use crate::analyse::forecast::statistics::median;
use crate::domain::anomaly::AnomalyKind;

/// Days that must be known before one is judged: two of each weekday.
const WARM: usize = 21;
/// Days that must be known before a shift is looked for.
const WARM_SHIFT: usize = 35;
/// A day this many sigmas off stands out.
const SPIKE_SIGMAS: f64 = 4.0;
/// The mean of a week this many standard errors off is a shift.
const SHIFT_ERRORS: f64 = 4.0;
/// The same of fewer days: a larger shift that is seen sooner.
const EARLY_SHIFT_ERRORS: f64 = 5.5;
/// The shortest and longest window that a shift is looked for in.
const SHORTEST: usize = 3;
const LONGEST: usize = 7;
/// A day counts for at most so many sigmas in a window: one spike makes no shift.
const MOST_SIGMAS: f64 = 3.5;
/// The share of a new day in how alike neighbours are.
const ALIKE: f64 = 0.015;
/// Days whose median difference bounds what sigma may be,
const RECENT: usize = 21;
/// which is this many times the sigma of that median: an incident among the first days is forgotten
/// once most of the recent days are quiet.
const MOST_OF_RECENT: f64 = 3.5;
/// A level this close to the one before a shift, as a share of the shift, is that one again.
const BACK: f64 = 0.25;
/// A shift of so many sigmas is no noise, and neither is the way back.
const CLEAR: f64 = 6.0;
/// Days after which a shift that held is the level.
const SETTLED: usize = 7;

/// Something that stood out, in the series' own unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// What it is.
    pub kind: AnomalyKind,
    /// The index of the first day.
    pub first: usize,
    /// The index of the newest day.
    pub last: usize,
    /// The index of the day on which it was found.
    pub found: usize,
    /// The index of the day on which it ended.
    pub ended: Option<usize>,
    /// The sum of the days from `first` to `last`.
    pub actual: f64,
    /// What they were expected to cost.
    pub expected: f64,
    /// How many days with a figure these are.
    pub days: usize,
    /// The greatest difference in sigmas; of a shift, the mean.
    pub sigmas: f64,
}

/// The least difference that is told.
#[derive(Debug, Clone, Copy)]
pub struct Least {
    /// Of a day, in the series' unit.
    pub amount: f64,
    /// Relative to what was expected.
    pub share: f64,
}

impl Least {
    fn allows(self, difference: f64, expected: f64) -> bool {
        difference.abs() >= self.amount && difference.abs() >= self.share * expected.abs()
    }
}

/// One day as the window of a shift keeps it.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    at: usize,
    /// Over the weekday's factor.
    level: f64,
    factor: f64,
    value: f64,
    /// From the slow level, in sigmas.
    sigmas: f64,
}

/// What a day is held against a week later.
#[derive(Debug, Clone, Copy, Default)]
struct Lagged {
    /// Where the line of that day says that this day would be.
    level: f64,
    sigma: f64,
    /// How alike neighbours are.
    alike: f64,
}

/// A shift that may still turn out to have been an incident.
#[derive(Debug, Clone, Copy)]
struct Shifted {
    /// The level before, over the weekday's factor.
    before: f64,
    /// By how much it moved.
    size: f64,
    /// Up to when what is expected has not followed the return yet; none before it.
    until: Option<usize>,
}

/// The state after so many days.
#[derive(Debug, Clone)]
pub struct Watch {
    least: Least,
    at: usize,
    seen: usize,
    /// A robust sigma around the median level.
    near: f64,
    /// The line that shifts are held against.
    line: Line,
    /// A robust sigma around the line of a week ago.
    far: f64,
    /// How far the last days were off, by both.
    recent: [(f64, f64); RECENT],
    /// What was known on each of the last days, the newest first: a shift must not hide behind the
    /// level and the noise that it makes itself.
    lagged: [Lagged; LONGEST + 1],
    /// Running products of neighbouring differences, and squares: how alike neighbours are.
    products: f64,
    squares: f64,
    window: [Held; LONGEST],
    held: usize,
    shifted: Option<Shifted>,
    /// What was found, oldest first.
    pub events: Vec<Event>,
}

impl Watch {
    /// Begins.
    pub fn new(least: Least) -> Self {
        Self {
            least,
            at: 0,
            seen: 0,
            near: 0.0,
            line: Line::default(),
            far: 0.0,
            recent: [(0.0, 0.0); RECENT],
            lagged: [Lagged::default(); LONGEST + 1],
            products: 0.0,
            squares: 0.0,
            window: [Held::default(); LONGEST],
            held: 0,
            shifted: None,
            events: Vec::new(),
        }
    }

    /// Reads the next day.
    ///
    /// - *Spike*: the residual from the weekday's median level is beyond 4 robust sigmas (a mean
    ///   absolute deviation cut at three sigmas, times 1.25) and both floors. Three of them in a
    ///   row on one side are a level shift.
    /// - *Level shift*: the mean difference of the last week from where the line of a week before
    ///   puts it is beyond 4 standard errors, or that of its last 3 to 6 days beyond 5.5; a day
    ///   counts for at most 3.5 sigmas, and at most one of more than four lies on the other side.
    ///   Neighbours are alike by `r`, so that the variance of a sum of `w` days is
    ///   `w (1 + 2 sum (1 - k / w) r^k)` (Bayley and Hammersley 1946). The line is lifted to the
    ///   window's median. A spike that the window holds was the beginning of it. A day back at the
    ///   level before a clear one (6 sigmas) ends it, and is nothing new.
    pub fn read(&mut self, day: &Day) {
        let at = self.at;
        self.at += 1;
        if !day.value.is_finite() {
            return;
        }
        let level = day.value / day.factor;
        if self.seen == 0 {
            self.lagged = [Lagged { level, ..Lagged::default() }; LONGEST + 1];
        }
        let residual = level - day.expected / day.factor;
        let judged = self.seen >= WARM;
        let sigmas = if self.near > 0.0 { residual / self.near } else { residual.signum() * 9.0 };
        let sigmas = if residual == 0.0 { 0.0 } else { sigmas };
        let is_back = self.is_back(at, level);
        let stands_out = judged
            && !is_back
            && sigmas.abs() > SPIKE_SIGMAS
            && self.least.allows(day.value - day.expected, day.expected);
        let stays = self.spike(at, day, sigmas, stands_out);
        let [.., Lagged { level: lagged, sigma, .. }] = self.lagged;
        let difference = level - lagged;
        let far = if sigma > 0.0 { difference / sigma } else { difference.signum() * 9.0 };
        let far = if difference == 0.0 { 0.0 } else { far.clamp(-MOST_SIGMAS, MOST_SIGMAS) };
        let before = self.window.first().filter(|_| self.held > 0).map_or(0.0, |held| held.sigmas);
        self.window.rotate_right(1);
        self.window[0] = Held { at, level, factor: day.factor, value: day.value, sigmas: far };
        self.held = (self.held + 1).min(LONGEST);
        self.learn(residual, difference, (before, far), level);
        if is_back {
            self.held = 0;
        } else if stays {
            let days = self.window.iter().take(SHORTEST.min(self.held));
            let now = median::<SHORTEST>(days.map(|held| held.level));
            self.moved_to(day.expected / day.factor, now);
        } else if self.seen >= WARM_SHIFT {
            self.shift(at);
        }
        self.settle(at);
        self.seen += 1;
    }

    /// Whether a day is of the level before a shift. The first such day ends the shift.
    fn is_back(&mut self, at: usize, level: f64) -> bool {
        let Some(shifted) = self.shifted else { return false };
        if (level - shifted.before).abs() > BACK * shifted.size.abs() {
            return false;
        }
        if let Some(until) = shifted.until {
            return at <= until;
        }
        if let Some(event) = self.open_shift() {
            event.last = at.saturating_sub(1);
            event.ended = Some(at);
        }
        self.shifted = Some(Shifted { until: Some(at + SHORTEST), ..shifted });
        self.lift(shifted.before);
        true
    }

    fn learn(&mut self, residual: f64, difference: f64, (before, far): (f64, f64), level: f64) {
        let rate = if self.seen < WARM { 0.1 } else { 0.02 };
        let seen = self.seen;
        let most = |sigma: f64| if seen < 7 { f64::INFINITY } else { 3.0 * sigma };
        let near = residual.abs().min(most(self.near));
        let further = difference.abs().min(most(self.far));
        if self.seen > 0 {
            self.near += rate * (1.25 * near - self.near);
            self.far += rate * (1.25 * further - self.far);
            self.recent[self.seen % RECENT] = (residual.abs(), difference.abs());
            self.bound();
            self.products += ALIKE * (before * far - self.products);
            self.squares += ALIKE * (far * far - self.squares);
        }
        let alike = if self.squares > 0.0 { self.products / self.squares } else { 0.0 };
        let cut = most(self.near.max(self.far));
        let usual = if self.seen == 0 { level } else { self.line.at(1.0) };
        self.line.read(usual + (level - usual).clamp(-cut, cut));
        self.lagged.rotate_right(1);
        self.lagged[0] = Lagged {
            level: self.line.at(LONGEST as f64 + 1.0),
            sigma: self.far,
            alike: alike.clamp(0.0, 0.8),
        };
    }

    /// Holds both sigmas against the median of the recent days, once a week.
    fn bound(&mut self) {
        if self.seen >= WARM && self.seen.is_multiple_of(LONGEST) {
            let most =
                |of: f64| if of > 0.0 { MOST_OF_RECENT * 1.4826 * of } else { f64::INFINITY };
            let near = median::<RECENT>(self.recent.iter().map(|(near, _)| *near));
            let far = median::<RECENT>(self.recent.iter().map(|(_, far)| *far));
            self.near = self.near.min(most(near));
            self.far = self.far.min(most(far));
        }
    }

    /// Opens, goes on with or ends a spike. Returns whether today made it a shift: the third day.
    fn spike(&mut self, at: usize, day: &Day, sigmas: f64, stands_out: bool) -> bool {
        let open = self.events.last_mut().filter(|event| event.ended.is_none());
        let up = sigmas > 0.0;
        match open {
            Some(event) if event.kind == AnomalyKind::Spike => {
                if stands_out && (event.actual > event.expected) == up {
                    event.last = at;
                    event.actual += day.value;
                    event.expected += day.expected;
                    event.days += 1;
                    if sigmas.abs() > event.sigmas.abs() {
                        event.sigmas = sigmas;
                    }
                    if event.days < SHORTEST {
                        return false;
                    }
                    event.kind = AnomalyKind::LevelShift;
                    return true;
                }
                event.ended = Some(at);
                // Days that came alone are no part of a shift.
                let first = event.first;
                for held in self.window.iter_mut().filter(|held| held.at >= first) {
                    held.sigmas = 0.0;
                }
            }
            // The first days of a shift that the median level has not followed yet.
            Some(event) if (event.sigmas > 0.0) == up && at <= event.last + SHORTEST => {
                return false;
            }
            _ => {}
        }
        if stands_out {
            self.events.push(Event {
                kind: AnomalyKind::Spike,
                first: at,
                last: at,
                found: at,
                ended: None,
                actual: day.value,
                expected: day.expected,
                days: 1,
                sigmas,
            });
        }
        false
    }

    fn shift(&mut self, at: usize) {
        let [.., Lagged { alike, .. }] = self.lagged;
        let mut sum = 0.0;
        let (mut above, mut below) = (0, 0);
        let mut best: Option<(f64, usize)> = None;
        for (place, held) in self.window.iter().take(self.held).enumerate() {
            sum += held.sigmas;
            above += usize::from(held.sigmas > 0.0);
            below += usize::from(held.sigmas < 0.0);
            let days = place + 1;
            if days < SHORTEST || above.min(below) > usize::from(days > 4) {
                continue;
            }
            let score = sum.abs() / (days as f64 * variance_of_sum(alike, days)).sqrt();
            let wanted = if days < LONGEST { EARLY_SHIFT_ERRORS } else { SHIFT_ERRORS };
            if score > wanted && best.is_none_or(|(held, _)| score > held) {
                best = Some((score, days));
            }
        }
        if let Some((_, days)) = best {
            self.moved(at, days);
        }
    }

    fn moved(&mut self, at: usize, days: usize) {
        let [.., Lagged { level: lagged, .. }] = self.lagged;
        let window = self.window.get(..days).unwrap_or(&self.window);
        let actual: f64 = window.iter().map(|held| held.value).sum();
        let expected: f64 = window.iter().map(|held| lagged * held.factor).sum();
        let count = days as f64;
        if !self.least.allows((actual - expected) / count, expected / count) {
            return;
        }
        let sigmas = window.iter().map(|held| held.sigmas).sum::<f64>() / count;
        let first = window.last().map_or(at, |held| held.at);
        let levels = median::<LONGEST>(window.iter().map(|held| held.level));
        // What began within the window was this.
        let mut found = at;
        while let Some(event) = self.events.last()
            && event.kind == AnomalyKind::Spike
            && event.last + 1 >= first
            && (event.sigmas > 0.0) == (sigmas > 0.0)
        {
            found = event.found;
            self.events.pop();
        }
        if let Some(open) = self.open_shift() {
            open.ended = Some(at);
        }
        self.events.push(Event {
            kind: AnomalyKind::LevelShift,
            first,
            last: at,
            found: found.max(first),
            ended: None,
            actual,
            expected,
            days,
            sigmas,
        });
        self.moved_to(lagged, levels);
    }

    fn moved_to(&mut self, before: f64, now: f64) {
        let shifted = Shifted { before, size: now - before, until: None };
        self.shifted = (shifted.size.abs() >= CLEAR * self.near).then_some(shifted);
        self.lift(now);
    }

    /// Begins anew at a level: what was held against the one before is forgotten.
    fn lift(&mut self, level: f64) {
        self.line.lift(level - self.line.at(0.0));
        let sigma = self.lagged.last().map_or(self.far, |lagged| lagged.sigma);
        self.far = sigma;
        for (back, lagged) in self.lagged.iter_mut().enumerate() {
            lagged.level = self.line.at(LONGEST as f64 + 1.0 - back as f64);
            lagged.sigma = sigma;
        }
        self.held = 0;
    }

    /// Ends a shift whose level has held for a week.
    fn settle(&mut self, at: usize) {
        if let Some(event) = self.open_shift().filter(|event| at >= event.last + SETTLED) {
            event.ended = Some(at);
            self.shifted = None;
        }
    }

    /// The shift that has not ended; spikes may have come since.
    fn open_shift(&mut self) -> Option<&mut Event> {
        let is_open =
            |event: &&mut Event| event.kind == AnomalyKind::LevelShift && event.ended.is_none();
        self.events.iter_mut().rev().find(is_open)
    }
}

/// The variance of a mean of so many neighbours over that of independent ones.
fn variance_of_sum(alike: f64, days: usize) -> f64 {
    let mut power = 1.0;
    let mut sum = 1.0;
    for back in 1..days {
        power *= alike;
        sum += 2.0 * (1.0 - back as f64 / days as f64) * power;
    }
    sum
}
