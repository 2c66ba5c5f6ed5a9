//! Scrapes each GPU telemetry source on its own schedule. A source that fails is forgotten after
//! a while: its GPUs become unknown, never idle.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::app::publish::GpuReports;
use crate::collect::gpu::{GpuTarget, scrape};
use crate::config::GpuSource;
use crate::domain::ports::Clock;
use crate::domain::report::SourceErrorKind;

/// After so many missed scrapes the last report no longer tells the present.
const FORGOTTEN_AFTER: u32 = 3;

/// The target of a configured source.
pub fn target(source: &GpuSource) -> GpuTarget {
    GpuTarget {
        id: source.name.clone(),
        url: source.url.to_string(),
        provider: source.provider,
        cluster: source.cluster.clone(),
        capacity_type: source.capacity_type,
        every: source.every,
        timeout: source.timeout,
    }
}

/// Scrapes a target for ever.
pub async fn run(
    client: reqwest::Client,
    target: GpuTarget,
    clock: Arc<dyn Clock>,
    reports: watch::Sender<GpuReports>,
) {
    let mut ticks = tokio::time::interval(target.every.max(Duration::from_secs(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut missed = 0_u32;
    let mut last_error: Option<SourceErrorKind> = None;
    loop {
        ticks.tick().await;
        match scrape(&client, &target, clock.now()).await {
            Ok(report) => {
                if last_error.take().is_some() {
                    tracing::info!(source = %target.id, "GPU telemetry recovered");
                }
                missed = 0;
                reports.send_modify(|held| {
                    held.insert(target.id.clone(), report);
                });
            }
            Err(error) => {
                missed = missed.saturating_add(1);
                if last_error != Some(error.kind) {
                    tracing::warn!(source = %target.id, %error, "failed to read GPU telemetry");
                }
                last_error = Some(error.kind);
                if missed == FORGOTTEN_AFTER {
                    reports.send_modify(|held| {
                        held.remove(&target.id);
                    });
                }
            }
        }
    }
}
