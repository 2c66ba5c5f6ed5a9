//! Grafana's boards, held against the registry of metrics, against each other, and against a real
//! Prometheus that holds days of a demo.

pub(crate) mod boards;
pub(crate) mod history;
mod recording;
mod replicas;
mod shapes;
