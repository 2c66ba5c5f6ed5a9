//! Every test that goes through real sockets or processes, in one binary so that it links once.
#![allow(clippy::unwrap_used, missing_docs)]

mod agent;
mod alert_rules;
mod alerts;
mod architecture;
mod aws;
mod azure;
mod clock;
mod config;
mod contract;
mod dashboards;
mod dcgm;
mod docs;
mod faces;
mod gcp;
mod gpu_ledger;
#[cfg(feature = "nvml")]
mod gpu_nvml;
mod gpu_pages;
mod gpu_promql;
mod image;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod notify;
mod online;
mod replay;
mod roles;
mod simulate_aws;
mod simulate_azure;
mod simulate_gcp;
mod simulate_gpu;
mod store;
