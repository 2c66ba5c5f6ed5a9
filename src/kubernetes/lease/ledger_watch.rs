//! Gives the Lease up when the holder's ledger is out of reach: who can keep nothing asks nobody, and
//! another replica may reach it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::keeper::Post;
use crate::domain::lease::{Leadership, LeaseRules};
use crate::domain::ports::LeaseTerms;

/// How often a holder asks its ledger.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// For how long a holder waits for its ledger, which a database that restarts never takes.
const OUT_OF_REACH: Duration = Duration::from_secs(30);

/// A ledger that a holder asks again and again, without a clock.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    longest: Duration,
    answered_at: Duration,
}

impl Reach {
    /// A term begins at an instant: the ledger answered just before.
    pub fn new(rules: &LeaseRules, now: Duration) -> Self {
        Self { longest: OUT_OF_REACH.max(rules.renew_deadline), answered_at: now }
    }

    /// The ledger answered.
    pub fn answered(&mut self, now: Duration) {
        self.answered_at = now;
    }

    /// Until when an answer is waited for. The Lease is given up then.
    pub fn deadline(&self) -> Duration {
        self.answered_at.saturating_add(self.longest)
    }

    /// When the ledger is asked next.
    pub fn ask_at(&self, now: Duration) -> Duration {
        now.saturating_add(ASK_EVERY).min(self.deadline())
    }
}

/// Watches the ledger for as long as the process lives, and asks it only while it holds.
pub async fn watch(terms: Arc<dyn LeaseTerms>, post: Post, rules: LeaseRules) {
    let (mut leadership, mut other) = (post.leadership(), post.leadership());
    loop {
        let Ok(held) = leadership.wait_for(Leadership::acts).await.map(|held| held.clone()) else {
            return std::future::pending().await;
        };
        let mut ended = pin!(async {
            let _ = other.wait_for(|now| *now != held).await;
        });
        tokio::select! {
            error = out_of_reach(&*terms, &rules) => {
                tracing::error!(error, "failed to reach the ledger for too long; holds the Lease no more");
                post.let_lapse();
                ended.await;
            }
            () = &mut ended => {}
        }
    }
}

/// Waits until the ledger was out of reach for too long, and gives what it said last.
async fn out_of_reach(terms: &dyn LeaseTerms, rules: &LeaseRules) -> String {
    let start = Instant::now();
    let mut reach = Reach::new(rules, Duration::ZERO);
    let mut told = "it does not answer".to_owned();
    loop {
        match timeout_at(start + reach.deadline(), terms.newest()).await {
            Ok(Ok(_)) => reach.answered(start.elapsed()),
            Ok(Err(error)) => told = error,
            Err(_) => return told,
        }
        sleep_until(start + reach.ask_at(start.elapsed())).await;
    }
}
