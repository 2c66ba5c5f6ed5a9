//! costband

pub mod analyse;
pub mod app;
pub mod cli;
pub mod collect;
pub mod config;
pub mod domain;
pub mod export;
pub mod notify;
pub mod outbox;
pub mod runtime;
#[cfg(feature = "simulate")]
pub mod simulate;
pub mod snapshot;
pub mod store;
pub mod telemetry;
pub mod web;
