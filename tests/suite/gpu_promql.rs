//! GPU telemetry through PromQL: a server that answers as ordered, and a real Prometheus that
//! scrapes the simulated exporters.

mod mutations;
mod prometheus;
mod wire;

use std::time::Duration;

use costband::collect::gpu::promql::{self, Pace, PromqlReading, PromqlTarget};
use costband::collect::http;
use costband::domain::identity::SourceId;
use costband::domain::pods::PodLabels;
use costband::domain::report::SourceError;
use jiff::Timestamp;

fn client() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    http::builder(Duration::from_secs(60)).build().unwrap()
}

fn target(url: &str, step: Duration) -> PromqlTarget {
    PromqlTarget {
        id: SourceId::new("fleet"),
        url: url.parse().unwrap(),
        bearer: None,
        basic: None,
        headers: Vec::new(),
        selector: String::new(),
        provider: None,
        cluster: "train".to_owned(),
        cluster_label: None,
        node_label: None,
        pod_labels: PodLabels::Detect,
        capacity_type: costband::domain::price::CapacityType::OnDemand,
        every: Duration::from_secs(60),
        timeout: Duration::from_secs(30),
        step,
        delay: Duration::ZERO,
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A reading that follows on no other.
async fn read(
    client: &reqwest::Client,
    target: &PromqlTarget,
    from: Timestamp,
    to: Timestamp,
) -> Result<PromqlReading, SourceError> {
    promql::read(client, target, &mut Pace::default(), from, to).await
}
