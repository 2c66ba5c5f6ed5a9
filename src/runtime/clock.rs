//! The clocks behind [`domain::ports::Clock`](crate::domain::ports::Clock).

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

use crate::domain::ports::Clock;

/// The system's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The system's clock moved by an offset, for a world that stands in mid-month whatever the
/// calendar says. It runs at the system's pace and can be set forward.
#[derive(Debug)]
pub struct ShiftedClock {
    offset_seconds: AtomicI64,
}

impl ShiftedClock {
    /// A clock that shows `instant` now.
    pub fn starting_at(instant: Timestamp) -> Self {
        let offset = instant.as_second() - Timestamp::now().as_second();
        Self { offset_seconds: AtomicI64::new(offset) }
    }

    /// Sets the clock forward.
    pub fn advance(&self, by: SignedDuration) {
        self.offset_seconds.fetch_add(by.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        let offset = SignedDuration::from_secs(self.offset_seconds.load(Ordering::SeqCst));
        Timestamp::now().saturating_add(offset).unwrap_or(Timestamp::MAX)
    }
}
