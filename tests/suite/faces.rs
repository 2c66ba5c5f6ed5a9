//! The faces over real sockets: a snapshot made by hand in, what machines and people meet out.

mod alerts;
mod answers;
mod browser;
mod desk;
mod hostile;
mod metrics;
mod page;
pub(crate) mod peers;
pub(crate) mod series;
mod sign_in;
mod view_gpu;
mod view_spend;
mod views;
mod world;
