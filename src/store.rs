//! The ledger: one SQLite file that keeps every reading, schedule, reservation, band status and
//! waiting message across restarts and `kill -9`. One process writes; others may read.

mod commit;
mod days;
mod dictionary;
mod empty;
pub mod error;
mod fence;
mod gpu;
pub mod handle;
pub mod ledger;
pub mod meter;
mod outbox;
mod read;
mod readings;
mod retention;
mod rows;
mod schema;
mod spent;
mod sql;
#[cfg(test)]
mod tests;

pub use commit::Committed;
pub use error::{LedgerError, Operation};
pub use handle::{CloseError, LedgerGone, LedgerHandle};
pub use ledger::Ledger;
pub use meter::{LedgerMeter, QuotaReading};
pub use retention::Pruned;
