//! Composition: the only place that names every part. Each wiring is a small file.

pub mod agent;
pub mod backfill;
#[cfg(feature = "simulate")]
pub mod demo;
pub mod gpu;
pub mod gpu_bill;
pub mod gpu_history;
pub mod gpu_time;
pub mod ledger;
pub mod notices;
pub mod publish;
pub mod setup;
pub mod spend;
