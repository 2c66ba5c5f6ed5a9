//! One poller among many replicas: the election under faults on a simulated clock, and real agents
//! over a simulated API server.

mod election;
mod replicas;
pub(super) mod store;
