//! Watches the nodes of every configured cluster and keeps the one inventory up to date.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;

use crate::app::nodes::{Told, joined};
use crate::config::{Config, KubernetesConfig};
use crate::domain::node::{Node, NodeInventory};
use crate::domain::ports::Clock;
use crate::kubernetes::watch::Seen;
use crate::kubernetes::{Cluster, nodes};
use crate::telemetry::self_metrics::SelfMetrics;

/// For how long GPU telemetry waits for the nodes behind it. Without them its first readings would
/// be taken to be of machines that nobody knows.
const WAIT_FOR_NODES: Duration = Duration::from_secs(10);
/// How often the age of what is known is told.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// The configured clusters' nodes.
pub struct WatchedNodes {
    clusters: Vec<(String, watch::Receiver<Seen<Node>>)>,
}

/// How a configured cluster is reached.
pub fn cluster(of: &KubernetesConfig) -> Cluster {
    Cluster {
        name: of.cluster.clone(),
        kubeconfig: of.kubeconfig.clone(),
        context: of.context.clone(),
    }
}

/// The nodes, and a named task for each cluster that keeps them up to date for ever.
pub fn watch_nodes(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> (WatchedNodes, Vec<(String, impl Future<Output = ()> + Send + use<>)>) {
    let mut clusters = Vec::new();
    let mut tasks = Vec::new();
    for of in config.kubernetes.iter().filter(|of| of.nodes) {
        let (sender, receiver) = watch::channel(Seen::default());
        clusters.push((of.cluster.clone(), receiver));
        let task = nodes::watch(cluster(of), of.provider, clock.clone(), sender);
        tasks.push((format!("nodes:{}", of.cluster), task));
    }
    (WatchedNodes { clusters }, tasks)
}

impl WatchedNodes {
    /// Whether no cluster's nodes are watched.
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty()
    }

    /// Joins what is told with what is configured, for ever.
    pub async fn join(
        mut self,
        config: Config,
        inventory: watch::Sender<Arc<NodeInventory>>,
        metrics: SelfMetrics,
    ) {
        let mut ticks = tokio::time::interval(TELL_EVERY);
        loop {
            self.tell(&metrics);
            let mut changes: FuturesUnordered<_> =
                self.clusters.iter_mut().map(|(_, seen)| seen.changed()).collect();
            tokio::select! {
                changed = changes.next(), if !changes.is_empty() => {
                    if !matches!(changed, Some(Ok(()))) { return; }
                }
                _ = ticks.tick() => continue,
            }
            drop(changes);
            let seen: Vec<_> = self
                .clusters
                .iter_mut()
                .map(|(name, seen)| (name.as_str(), seen.borrow_and_update()))
                .collect();
            let told: Vec<Told<'_>> = seen
                .iter()
                .map(|(cluster, seen)| Told {
                    cluster,
                    nodes: seen.objects.values().collect(),
                    is_whole: seen.is_listed && seen.is_current,
                })
                .collect();
            let joined = joined(&config, &told);
            drop(told);
            drop(seen);
            inventory.send_if_modified(|known| {
                let changed = **known != joined;
                *known = Arc::new(joined);
                changed
            });
        }
    }

    fn tell(&self, metrics: &SelfMetrics) {
        for (cluster, seen) in &self.clusters {
            if let Some(heard_at) = seen.borrow().heard_at {
                metrics.nodes_heard(cluster, heard_at);
            }
        }
    }

    /// What waits until every cluster has told of its nodes, or for as long as is worth it.
    pub fn known(&self) -> impl Future<Output = ()> + Send + use<> {
        let seen: Vec<_> = self.clusters.iter().map(|(_, seen)| seen.clone()).collect();
        async move {
            let all = async move {
                for mut seen in seen {
                    // A sender that is gone tells no more.
                    let _ = seen.wait_for(|seen| seen.is_listed).await;
                }
            };
            let _ = tokio::time::timeout(WAIT_FOR_NODES, all).await;
        }
    }
}
