//! How the process lives and ends: its clock, its named tasks, its shutdown and its readiness.

pub mod clock;
pub mod readiness;
pub mod supervisor;
