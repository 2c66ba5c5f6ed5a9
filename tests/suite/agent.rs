//! The whole agent over simulated clouds and independent servers, and the programs that read it.

mod clients;
mod equal;
pub(crate) mod house;
mod peers;
mod prometheus;
mod record;
mod redirect;
mod reload;
mod report;
mod scrape;
mod telemetry;
mod webhook;
