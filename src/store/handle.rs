//! The ledger on a thread of its own, and how asynchronous code reaches it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Notify, mpsc, oneshot};

use crate::store::error::LedgerError;
use crate::store::ledger::Ledger;

/// How many calls may wait; more wait for room.
const WAITING_CALLS: usize = 64;

/// A way to the ledger's thread. Clones reach the same one.
#[derive(Clone)]
pub struct LedgerHandle {
    calls: mpsc::Sender<Call>,
    ousted: Arc<Notify>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

enum Call {
    Work(Box<dyn FnOnce(&mut Ledger) + Send>),
    Close(oneshot::Sender<Result<(), LedgerError>>),
}

/// The ledger's thread has ended: it was closed, or a call panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("failed to reach the ledger: its thread has ended")]
pub struct LedgerGone;

impl LedgerHandle {
    /// Starts the thread, named `ledger`, which owns the ledger from now on. It ends when it is
    /// closed, when the last handle is dropped, or with a call that panics.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(ledger: Ledger) -> io::Result<Self> {
        let (calls, incoming) = mpsc::channel(WAITING_CALLS);
        let ousted = Arc::new(Notify::new());
        let told = ousted.clone();
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || serve(ledger, incoming, &told))?;
        Ok(Self { calls, ousted, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Does something with the ledger and gives what came of it. Calls are done one after another.
    /// A call whose future is dropped once it was handed over is done all the same.
    ///
    /// # Errors
    /// [`LedgerGone`] when the thread has ended, before or during the call. Whether the ledger did
    /// it is not known then.
    pub async fn call<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Ledger) -> R + Send + 'static,
    ) -> Result<R, LedgerGone> {
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move |ledger: &mut Ledger| {
            // Nobody waits any more when this fails.
            let _ = answer.send(work(ledger));
        });
        self.calls.send(Call::Work(work)).await.map_err(|_| LedgerGone)?;
        answered.await.map_err(|_| LedgerGone)
    }

    /// Waits until a write was refused because another process leads in a newer term.
    pub async fn ousted(&self) {
        self.ousted.notified().await;
    }

    /// Waits until the thread has ended, for whoever supervises it.
    pub async fn ended(&self) {
        self.calls.closed().await;
    }

    /// Ends the thread after the calls that wait already, and closes the ledger.
    ///
    /// # Errors
    /// [`CloseError::Gone`] when the thread has ended before, [`CloseError::Ledger`] when the disk
    /// refuses.
    pub async fn close(&self) -> Result<(), CloseError> {
        let (answer, answered) = oneshot::channel();
        self.calls.send(Call::Close(answer)).await.map_err(|_| LedgerGone)?;
        let closed = answered.await.map_err(|_| LedgerGone)?;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It has answered and has nothing left to do.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        Ok(closed?)
    }
}

/// Why the ledger was not closed well.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// Its thread had ended before.
    #[error(transparent)]
    Gone(#[from] LedgerGone),
    /// The disk refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

fn serve(mut ledger: Ledger, mut incoming: mpsc::Receiver<Call>, ousted: &Notify) {
    let mut waiting = None;
    while let Some(call) = incoming.blocking_recv() {
        match call {
            Call::Work(work) => {
                work(&mut ledger);
                if ledger.take_ousted() {
                    ousted.notify_one();
                }
            }
            Call::Close(answer) => {
                // From here on no call is taken any more, and those that were are done.
                incoming.close();
                waiting.get_or_insert(answer);
            }
        }
    }
    let closed = ledger.close();
    match waiting {
        Some(answer) => drop(answer.send(closed)),
        None => {
            if let Err(error) = closed {
                tracing::error!(%error, "the ledger was not closed well");
            }
        }
    }
}
