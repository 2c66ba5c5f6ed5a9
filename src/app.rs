//! Composition: the only place that names every part. Each wiring is a small file.

pub mod agent;
pub mod backfill;
pub mod backtest;
pub mod central;
#[cfg(feature = "simulate")]
pub mod demo;
pub mod gpu;
pub mod gpu_bill;
pub mod gpu_history;
#[cfg(feature = "kubernetes")]
pub mod gpu_pods;
pub mod gpu_time;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod ledger;
pub mod nodes;
pub mod notices;
#[cfg(feature = "kubernetes")]
pub mod online;
pub mod publish;
pub mod series;
pub mod setup;
pub mod spend;
pub mod trends;
