//! Configuration: what a user writes becomes what the program uses, or a list of problems.

pub mod problems;
pub mod secret;
pub mod values;
