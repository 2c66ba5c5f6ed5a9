//! Reads each GPU telemetry source on its own schedule. A source that fails is forgotten after a
//! while: its GPUs become unknown, never idle.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::analyse::gpu_state::StateRules;
use crate::app::gpu_time::Heard;
use crate::app::publish::GpuReports;
use crate::collect::gpu::{GpuTarget, scrape};
use crate::config::{Config, GpuSource};
use crate::domain::node::{NodeDefaults, NodeInventory};
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

/// What the configuration tells of nodes.
pub fn inventory(config: &Config) -> NodeInventory {
    let named = |node: &crate::domain::node::Node| (node.name.clone(), node.clone());
    let defaults = |source: &GpuSource| {
        let defaults = NodeDefaults {
            instance_type: source.instance_type.clone(),
            region_id: source.region_id.clone(),
        };
        (source.name.clone(), defaults)
    };
    NodeInventory {
        nodes: config.nodes.iter().map(named).collect(),
        defaults: config.gpu.iter().map(defaults).collect(),
    }
}

/// When a GPU is in which state, as configured.
pub fn state_rules(config: &Config) -> StateRules {
    let states = config.gpu_states;
    StateRules {
        busy_from: states.busy_from,
        idle_below: states.idle_below,
        empty_below: states.empty_below,
        margin: states.margin,
        window: states.window,
        gap: states.gap,
    }
}

/// Scrapes a target for ever.
pub async fn run(
    client: reqwest::Client,
    target: GpuTarget,
    clock: Arc<dyn Clock>,
    reports: watch::Sender<GpuReports>,
    heard: mpsc::Sender<Heard>,
) {
    let mut ticks = tokio::time::interval(target.every.max(Duration::from_secs(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut missed = 0_u32;
    let mut last_error: Option<SourceErrorKind> = None;
    loop {
        ticks.tick().await;
        let said = match scrape(&client, &target, clock.now()).await {
            Ok(report) => {
                if last_error.take().is_some() {
                    tracing::info!(source = %target.id, "GPU telemetry recovered");
                }
                missed = 0;
                reports.send_modify(|held| {
                    held.insert(target.id.clone(), report.clone());
                });
                Heard::Report(report)
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
                Heard::Failed(target.id.clone())
            }
        };
        if heard.send(said).await.is_err() {
            return;
        }
    }
}
