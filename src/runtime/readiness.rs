//! What `/readyz` says: configuration valid, ledger open, first snapshot published. Never the age
//! of a bill.

use std::sync::atomic::{AtomicBool, Ordering};

/// The conditions of readiness. Configuration and ledger hold before this exists.
#[derive(Debug, Default)]
pub struct Readiness {
    snapshot: AtomicBool,
    stopping: AtomicBool,
}

impl Readiness {
    /// The first snapshot is published.
    pub fn snapshot_published(&self) {
        self.snapshot.store(true, Ordering::Release);
    }

    /// The process is going to end.
    pub fn stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Ready, or why not.
    ///
    /// # Errors
    /// The reason, a fixed sentence.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.stopping.load(Ordering::Acquire) {
            Err("stopping")
        } else if self.snapshot.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err("the first snapshot is not published yet")
        }
    }
}
