//! The simulated Google Cloud.
pub mod sql;
