//! Nodes that hold GPUs, and the machine types behind them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::identity::{Provider, SourceId};
use crate::domain::money::Money;
use crate::domain::price::CapacityType;

/// A node as Kubernetes labels or the configuration tell it. What is not told is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name, as telemetry tells it too.
    pub name: String,
    /// The cloud that it is in; none on premises.
    pub provider: Option<Provider>,
    /// The cluster.
    pub cluster: String,
    /// The machine type: `p5.48xlarge`, `a3-highgpu-8g`, `Standard_ND96isr_H100_v5`.
    pub instance_type: Option<String>,
    /// The region.
    pub region_id: Option<String>,
    /// The zone within it.
    pub zone: Option<String>,
    /// How it was bought.
    pub capacity_type: CapacityType,
    /// How many GPUs it should have.
    pub gpus: Option<u32>,
    /// What an hour of it costs, where somebody declared it.
    pub hourly_cost: Option<Money>,
}

/// All nodes that are known of, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeInventory {
    /// The nodes.
    pub nodes: BTreeMap<String, Node>,
    /// Clusters of which every node is known, so that one that is not listed is not there. They may
    /// have no node at all.
    pub whole: BTreeSet<(Option<Provider>, String)>,
    /// What is configured of the nodes of a telemetry source, where no node of that name is known.
    pub defaults: BTreeMap<SourceId, NodeDefaults>,
}

/// What a telemetry source's configuration says of all its nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeDefaults {
    /// The machine type.
    pub instance_type: Option<String>,
    /// The region.
    pub region_id: Option<String>,
}

impl NodeInventory {
    /// Whether every node of a cluster is known.
    pub fn knows(&self, provider: Option<Provider>, cluster: &str) -> bool {
        self.whole.contains(&(provider, cluster.to_owned()))
    }

    /// The node of a host name: the same text, or the same up to the first dot.
    pub fn find(&self, hostname: &str) -> Option<&Node> {
        let short = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        self.nodes.get(hostname).or_else(|| {
            let wanted = short(hostname);
            let mut same = self.nodes.values().filter(|node| short(&node.name) == wanted);
            same.next().filter(|_| same.next().is_none())
        })
    }
}

/// GPUs that are counted and priced together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fleet {
    /// The cloud; none on premises.
    pub provider: Option<Provider>,
    /// The cluster.
    pub cluster: String,
    /// The machine type; none where nobody tells it.
    pub instance_type: Option<String>,
    /// The region; none where nobody tells it.
    pub region_id: Option<String>,
    /// How the machines were bought.
    pub capacity_type: CapacityType,
    /// The GPU's model: `H100 80GB`, or as its driver tells it where it is not known.
    pub model: String,
}
