//! The ledger: one SQLite file, or one PostgreSQL database that replicas share. It keeps every
//! reading, schedule, reservation, alert and waiting message across restarts and `kill -9`.
//! One process writes; others may read.

mod alerts;
mod commit;
mod days;
mod dictionary;
mod empty;
mod engine;
pub mod error;
mod fence;
mod gpu;
pub mod handle;
pub mod ledger;
pub mod location;
pub mod meter;
mod outbox;
mod read;
mod readings;
mod record;
mod retention;
mod rows;
mod schema;
mod spent;
mod sql;
#[cfg(test)]
mod tests;
mod transfer;

pub use commit::Committed;
pub use error::{DatabaseError, LedgerError, Operation};
pub use handle::{CloseError, LedgerGone, LedgerHandle};
pub use ledger::Ledger;
pub use location::{Encryption, Location, Server};
pub use meter::{LedgerMeter, QuotaReading};
pub use outbox::Backlog;
pub use retention::Pruned;
pub use transfer::Copied;
