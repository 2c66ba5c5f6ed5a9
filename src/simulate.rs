//! The simulated clouds: one seeded world and a faithful server for each protocol.
//!
//! Servers answer from [`charge::Charge`]s that the scenario made; they know the documented wire
//! and nothing of the collectors. This room imports the domain only.

pub mod charge;
pub mod faults;
pub mod gcp;
pub mod spoil;
