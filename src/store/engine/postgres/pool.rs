//! The few connections that readers share.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::store::engine::postgres::lost;
use crate::store::error::Fault;

/// How many readers may read at once; more wait.
const MOST: usize = 4;
/// How long a reader waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(60);
/// An older connection that nobody used is closed.
const IDLE_FOR: Duration = Duration::from_secs(300);

/// Connections that wait for the next reader, and how many readers there are.
#[derive(Clone, Default)]
pub(in crate::store) struct Pool(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    readers: usize,
    idle: Vec<(Arc<Client>, Instant)>,
}

impl Pool {
    /// Waits for a turn to read.
    pub(super) fn place(&self) -> Result<Place, Fault> {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut state, waited) = self
            .0
            .freed
            .wait_timeout_while(state, TURN_WITHIN, |state| state.readers >= MOST)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(lost(&format!("{MOST} readers are at it for {} s", TURN_WITHIN.as_secs())));
        }
        state.readers += 1;
        state.idle.retain(|(client, since)| !client.is_closed() && since.elapsed() < IDLE_FOR);
        let client = state.idle.pop().map(|(client, _)| client);
        Ok(Place { pool: self.clone(), client })
    }
}

/// A reader's turn, with the connection of one before where there is one.
pub(super) struct Place {
    pool: Pool,
    client: Option<Arc<Client>>,
}

impl Place {
    pub(super) fn client(&self) -> Option<Arc<Client>> {
        self.client.clone()
    }

    /// Leaves a connection to the next reader.
    pub(super) fn give_back(self, client: Arc<Client>) {
        let mut state = self.pool.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.idle.push((client, Instant::now()));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.pool.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.readers = state.readers.saturating_sub(1);
        self.pool.0.freed.notify_one();
    }
}
