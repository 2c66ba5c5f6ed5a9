//! Faults that a test or a person orders from a simulated server.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

/// What goes wrong with one answer. The first group is shaped by each server as its provider does;
/// the second spoils the bytes of a good answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// 401 or the provider's expired-token error.
    Unauthorized,
    /// 403 or the provider's access-denied error.
    Forbidden,
    /// The provider's throttle with its own headers.
    RateLimited {
        /// How long it asks to wait.
        retry_after: Duration,
    },
    /// 500 in the provider's shape.
    ServerError,
    /// A good answer without any row.
    Empty,
    /// A good answer whose own total or row count is wrong.
    WrongTotal,
    /// The provider's error for a client whose clock is wrong.
    SkewedClock,
    /// The body stops half way, the connection closes.
    Truncated,
    /// The whole answer comes after this long.
    Slow(Duration),
    /// Bytes that are not the format.
    Malformed,
    /// The connection is reset in the middle of the second page.
    ResetMidPage,
}

/// The faults that are ordered from one server: the next answers take them in turn. None stands
/// for an answer that is to be good.
#[derive(Debug, Default)]
pub struct Faults(Mutex<VecDeque<Option<Fault>>>);

impl Faults {
    /// Orders a fault for the next `times` answers, behind what is ordered already.
    pub fn order(&self, fault: Fault, times: usize) {
        let mut queue = self.0.lock().expect("no holder of the lock panics");
        queue.extend(std::iter::repeat_n(Some(fault), times));
    }

    /// Lets the next `answers` be good, behind what is ordered already.
    pub fn spare(&self, answers: usize) {
        let mut queue = self.0.lock().expect("no holder of the lock panics");
        queue.extend(std::iter::repeat_n(None, answers));
    }

    /// Takes the fault of the next answer.
    pub fn take(&self) -> Option<Fault> {
        self.0.lock().expect("no holder of the lock panics").pop_front().flatten()
    }

    /// Takes the fault of the next answer of a paged operation. A [`Fault::ResetMidPage`] at the
    /// head of the queue waits while `more_follow` says that this is the first of several pages.
    pub fn take_for(&self, more_follow: bool) -> Option<Fault> {
        let mut queue = self.0.lock().expect("no holder of the lock panics");
        if more_follow && queue.front() == Some(&Some(Fault::ResetMidPage)) {
            return None;
        }
        queue.pop_front().flatten()
    }

    /// Takes the fault of the next answer where it applies to it. The head of the queue waits while
    /// `applies` says that this answer is not the one that it spoils.
    pub fn take_if(&self, applies: impl FnOnce(&Fault) -> bool) -> Option<Fault> {
        let mut queue = self.0.lock().expect("no holder of the lock panics");
        let waits = queue.front().is_some_and(|head| head.as_ref().is_some_and(|f| !applies(f)));
        if waits { None } else { queue.pop_front().flatten() }
    }

    /// Forgets all orders.
    pub fn clear(&self) {
        self.0.lock().expect("no holder of the lock panics").clear();
    }
}
