//! Who of several replicas polls paid APIs and notifies: the holder of a Lease.

use std::sync::Arc;
use std::time::Duration;

/// A replica, as the others know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaseHolder {
    /// Its name, unlike that of any other process.
    pub identity: String,
    /// Where its page is, if it tells that.
    pub address: Option<String>,
}

/// What this process may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leadership {
    /// There is no Lease: it always may do everything.
    Alone,
    /// It holds the Lease: it polls, writes and notifies.
    Holder {
        /// Grows with every change of the holder: the ledger refuses writes of an older one.
        term: u64,
    },
    /// Another one may hold it: it does nothing that costs, tells or writes.
    Follower {
        /// Who held it when that was last seen.
        holder: Option<LeaseHolder>,
    },
}

impl Leadership {
    /// Whether this process polls, writes and notifies.
    pub fn acts(&self) -> bool {
        match self {
            Self::Alone | Self::Holder { .. } => true,
            Self::Follower { .. } => false,
        }
    }
}

/// The times of a Lease, each by one's own clock: clocks of different machines are never compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRules {
    /// For how long a record must stand unchanged before another one may take it, in whole seconds.
    pub duration: Duration,
    /// After how long without a renewal the holder stops, counted from before its last good renewal
    /// was sent. What is between this and `duration` is for stopping and for clocks that run apart.
    pub renew_deadline: Duration,
    /// How often the holder renews and the others look.
    pub retry_period: Duration,
}

impl Default for LeaseRules {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// Tells what this process may do at the instant of the call.
pub type LeadershipNow = Arc<dyn Fn() -> Leadership + Send + Sync>;
