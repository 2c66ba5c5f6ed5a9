//! A discounted least-squares line (Brown 1963), by sums that are carried from day to day.

/// The discount of a day: half after 46 days.
const DISCOUNT: f64 = 0.985;
/// Days below which the line is level.
const FEWEST: usize = 15;

/// The sums. The newest day is time 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line {
    weight: f64,
    time: f64,
    value: f64,
    time_time: f64,
    time_value: f64,
    days: usize,
}

impl Line {
    /// Reads the next day.
    pub fn read(&mut self, value: f64) {
        // Every earlier day moves back by 1.
        let before = *self;
        self.time_time = DISCOUNT * (before.time_time - 2.0 * before.time + before.weight);
        self.time_value = DISCOUNT * (before.time_value - before.value);
        self.time = DISCOUNT * (before.time - before.weight);
        self.value = DISCOUNT * before.value + value;
        self.weight = DISCOUNT * before.weight + 1.0;
        self.days += 1;
    }

    /// What the line gains a day.
    pub fn per_day(&self) -> f64 {
        let spread = self.weight * self.time_time - self.time * self.time;
        if self.days >= FEWEST && spread > 1e-9 {
            (self.weight * self.time_value - self.time * self.value) / spread
        } else {
            0.0
        }
    }

    /// Where the line is so many days after the newest one. Zero before the first day.
    pub fn at(&self, days: f64) -> f64 {
        if self.weight == 0.0 {
            return 0.0;
        }
        let slope = self.per_day();
        (self.value - slope * self.time) / self.weight + slope * days
    }

    /// Moves every day read so far by an amount.
    pub fn lift(&mut self, by: f64) {
        self.value += by * self.weight;
        self.time_value += by * self.time;
    }
}
