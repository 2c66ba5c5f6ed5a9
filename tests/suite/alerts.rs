//! Alerts from what rules say to what receivers hear.

mod alarm;
mod crash;
mod refresh;
mod refused;
