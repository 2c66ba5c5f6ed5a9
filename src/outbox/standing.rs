//! How a receiver stands: one that refuses a message is asked for the others, one that fails as a
//! whole is left alone for a while and then asked for one.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::domain::alert::AlertId;
use crate::domain::notice::{Notice, QueuedNotice};

/// So many messages that fail in a row are no fault of the messages.
const SEVERAL: usize = 3;

/// What its last messages came to.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// The messages that failed since one was taken.
    failed: BTreeSet<i64>,
    /// How often it was left alone since then.
    rests: u32,
    /// It is left alone until then.
    rests_until: Option<Timestamp>,
}

impl Standing {
    /// Whether it is left alone.
    pub(super) fn rests(&self, now: Timestamp) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    /// Whether it is asked for one message, before it is asked for more.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.rests_until.is_some()
    }

    /// It took a message.
    pub(super) fn took(&mut self) {
        *self = Self::default();
    }

    /// It did not take this one. Gives how many times it was left alone before, where it is to be
    /// now: by its own word, or because several messages failed; one that is refused again and again
    /// is one.
    pub(super) fn failed(&mut self, message: i64, asks_for_rest: bool) -> Option<u32> {
        self.failed.insert(message);
        let is_whole = asks_for_rest || self.is_in_doubt() || self.failed.len() >= SEVERAL;
        is_whole.then(|| {
            self.rests = self.rests.saturating_add(1);
            self.rests - 1
        })
    }

    /// It is left alone until an instant.
    pub(super) fn rest(&mut self, until: Timestamp) {
        self.rests_until = Some(until);
    }
}

/// The alerts of messages that were not taken: what tells of one of them waits its turn.
#[derive(Debug, Default)]
pub(super) struct Held(BTreeSet<AlertId>);

impl Held {
    /// Holds the alerts of a message.
    pub(super) fn hold(&mut self, notice: &Notice) {
        self.0.extend(notice.alerts.iter().map(|alert| alert.id.clone()));
    }

    /// Whether a message tells of one of them.
    pub(super) fn holds(&self, notice: &Notice) -> bool {
        notice.alerts.iter().any(|alert| self.0.contains(&alert.id))
    }
}

/// The message that was tried least among those that wait for none before them: of a receiver in
/// doubt, one that it always refuses is not asked about again and again.
pub(super) fn probe(due: Vec<(QueuedNotice, Notice)>) -> Option<(QueuedNotice, Notice)> {
    let mut before = Held::default();
    let mut first = Vec::new();
    for (queued, notice) in due {
        let waits = before.holds(&notice);
        before.hold(&notice);
        if !waits {
            first.push((queued, notice));
        }
    }
    first.into_iter().min_by_key(|(queued, _)| queued.attempts)
}

#[cfg(test)]
mod tests;
