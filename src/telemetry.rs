//! What the agent says of itself: log lines, and the names of every metric.

pub mod log;
pub mod names;
pub mod self_metrics;
