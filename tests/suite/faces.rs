//! The faces over real sockets: a snapshot made by hand in, what machines and people meet out.

mod answers;
mod metrics;
pub(crate) mod peers;
pub(crate) mod series;
mod world;
