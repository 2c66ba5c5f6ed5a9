//! One poller among many replicas: who of them holds a Lease.

pub mod elector;
pub mod record;
