//! Time that passes only where a test says so: how long a test takes changes nothing that it tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use costband::domain::ports::Clock;
use jiff::{SignedDuration, Timestamp};

/// A clock that stands until it is set.
#[derive(Debug)]
pub(crate) struct SetClock(AtomicI64);

impl SetClock {
    pub(crate) fn at(instant: &str) -> Arc<Self> {
        Self::standing_at(instant.parse().unwrap())
    }

    pub(crate) fn standing_at(instant: Timestamp) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(instant.as_second())))
    }

    pub(crate) fn set(&self, instant: Timestamp) {
        self.0.store(instant.as_second(), Ordering::SeqCst);
    }

    pub(crate) fn advance(&self, by: SignedDuration) {
        self.0.fetch_add(by.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }
}
