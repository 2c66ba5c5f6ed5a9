//! Asks the central agent what the own node is and what its GPUs cost, at the start and again every
//! few minutes.
//!
//! Rules:
//! - What it told last stands while it is out of reach: the machine for as long as this agent lives,
//!   its price for a day.
//! - Until it has told anything, the machine is guessed from its GPUs and priced by list.
//! - What is configured under `nodes` goes before what it tells, as before Kubernetes.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use crate::app::gpu_now::GpuNow;
use crate::app::nodes::{Told, joined};
use crate::collect::central::{CentralTarget, NodeFacts, ask};
use crate::collect::poller::jittered;
use crate::config::{CentralConfig, Config};
use crate::domain::node::{NodeInventory, ToldPrices};
use crate::domain::ports::Clock;
use crate::domain::report::SourceErrorKind;

/// How long a price that was told stands by itself.
const PRICE_STANDS: SignedDuration = SignedDuration::from_hours(24);
/// How soon it is asked again after a failure, at first.
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// How long readers wait for its first word: longer, and time is counted on what is inferred.
const WAIT: Duration = Duration::from_secs(10);

/// What waits until the central agent has answered once or has failed to, or for as long as is
/// worth it.
pub async fn answered(mut once: watch::Receiver<bool>) {
    // A sender that is gone tells no more.
    let _ = tokio::time::timeout(WAIT, once.wait_for(|once| *once)).await;
}

/// The task that asks.
pub struct CentralAsker {
    /// Whom, and how often.
    pub central: CentralConfig,
    /// What is configured.
    pub config: Config,
    /// Its client follows no redirect.
    pub client: reqwest::Client,
    /// The agent's clock.
    pub clock: Arc<dyn Clock>,
    /// Where the own node's name stands if it is not configured.
    pub gpus: watch::Receiver<GpuNow>,
    /// What is known of nodes.
    pub inventory: watch::Sender<Arc<NodeInventory>>,
    /// Told once there was an answer or none.
    pub once: watch::Sender<bool>,
}

/// What the central agent told last, and when.
#[derive(Default)]
struct Last(Option<(NodeFacts, Timestamp)>);

impl Last {
    fn prices(&self, now: Timestamp) -> ToldPrices {
        let Some((facts, at)) = &self.0 else { return ToldPrices::default() };
        let stands = now.duration_since(*at) <= PRICE_STANDS;
        ToldPrices {
            provider: facts.node.provider,
            instance_type: facts.node.instance_type.clone(),
            prices: if stands { facts.prices.clone() } else { Vec::new() },
        }
    }
}

impl CentralAsker {
    /// Asks for ever.
    pub async fn run(mut self) {
        if self.config.node.is_none() {
            // Its name comes with the first page, which must not wait for it.
            self.once.send_replace(true);
        }
        let Some(name) = self.name().await else { return };
        let target = CentralTarget {
            url: self.central.url.clone(),
            bearer: self.central.bearer.clone(),
            timeout: self.central.timeout,
        };
        let mut last = Last::default();
        let mut last_error: Option<SourceErrorKind> = None;
        let mut retry = FIRST_RETRY;
        loop {
            let answer = ask(&self.client, &target, &name).await;
            let now = self.clock.now();
            let wait = match answer {
                Ok(facts) => {
                    if last_error.take().is_some() || last.0.is_none() {
                        let machine = facts.node.instance_type.as_deref().unwrap_or("unknown");
                        tracing::info!(node = name, machine, "the central agent told of the node");
                    }
                    last = Last(Some((facts, now)));
                    retry = FIRST_RETRY;
                    self.central.every
                }
                Err(error) => {
                    if last_error != Some(error.kind) {
                        tracing::warn!(node = name, kind = error.kind.as_str(), %error,
                            "the node's machine and price are those told before, else inferred");
                    }
                    last_error = Some(error.kind);
                    let wait = retry.min(self.central.every);
                    retry = retry.saturating_mul(2);
                    wait
                }
            };
            self.tell(&last, now);
            self.once.send_replace(true);
            tokio::time::sleep(jittered(wait)).await;
        }
    }

    /// The own node's name; none when the agent ends.
    async fn name(&mut self) -> Option<String> {
        if let Some(name) = &self.config.node {
            return Some(name.clone());
        }
        let told = |now: &GpuNow| {
            let mut samples = now.reports().flat_map(|report| &report.gpus);
            samples.find_map(|sample| sample.hostname.clone())
        };
        let found = self.gpus.wait_for(|now| told(now).is_some()).await.ok()?;
        told(&found)
    }

    fn tell(&self, last: &Last, now: Timestamp) {
        let node = last.0.as_ref().map(|(facts, _)| &facts.node);
        let told =
            node.map(|node| Told { cluster: &node.cluster, nodes: vec![node], is_whole: false });
        let mut known = joined(&self.config, told.as_slice());
        known.told = Some(last.prices(now));
        self.inventory.send_if_modified(|held| {
            let changed = **held != known;
            *held = Arc::new(known);
            changed
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::gpu_money::{GpuHourPrice, PriceSource};
    use crate::domain::node::Node;
    use crate::domain::price::{CapacityType, PriceNote};

    #[test]
    fn a_told_price_stands_for_a_day_and_the_machine_for_ever() {
        let at: Timestamp = "2026-11-23T00:00:00Z".parse().unwrap();
        let price = GpuHourPrice {
            source: PriceSource::Billed,
            price: "4 USD".parse().unwrap(),
            note: PriceNote::Told(String::new()),
        };
        let node = Node {
            name: "gpu-1".to_owned(),
            provider: None,
            cluster: "train".to_owned(),
            instance_type: Some("p5.48xlarge".to_owned()),
            region_id: None,
            zone: None,
            capacity_type: CapacityType::Spot,
            gpus: None,
            hourly_cost: None,
        };
        let last = Last(Some((NodeFacts { node, prices: vec![price] }, at)));
        for (hours, prices) in [(0, 1), (24, 1), (25, 0)] {
            let told = last.prices(at + SignedDuration::from_hours(hours));
            assert_eq!(told.prices.len(), prices, "after {hours} hours");
            assert_eq!(told.instance_type.as_deref(), Some("p5.48xlarge"));
        }
        assert_eq!(Last::default().prices(at), ToldPrices::default());
    }
}
