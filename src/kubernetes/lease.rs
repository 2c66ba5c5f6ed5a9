//! One poller among many replicas: who of them holds a Lease.
//!
//! The manner is that of client-go's leader election, whose records these are: any tool shows them.
//! Two things differ. Who resigns or takes the Lease anew takes a new term, since the ledger refuses
//! writes of older ones. And a Lease that is deleted does not free what its holder does.
//!
//! Holder and followers ask once in a retry period, so a watch would save nothing.

pub mod elector;
pub mod keeper;
pub mod ledger_watch;
pub mod record;
