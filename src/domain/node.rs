//! Nodes that hold GPUs, and the machine types behind them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::domain::gpu_money::GpuHourPrice;
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

/// All nodes that are known of, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeInventory {
    nodes: Vec<Node>,
    /// Places in `nodes`, by name.
    by_name: HashMap<String, Vec<usize>>,
    /// Places in `nodes`, by the name up to its first dot.
    by_short_name: HashMap<String, Vec<usize>>,
    /// Clusters of which every node is known, so that one that is not listed is not there. They may
    /// have no node at all.
    pub whole: BTreeSet<(Option<Provider>, String)>,
    /// What is configured of the nodes of a telemetry source, where no node of that name is known.
    pub defaults: BTreeMap<SourceId, NodeDefaults>,
    /// What the central agent tells of prices; nothing where this is one.
    pub told: Option<ToldPrices>,
}

/// What the central agent tells an agent beside its GPUs of their prices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToldPrices {
    /// The cloud of the node; none on premises.
    pub provider: Option<Provider>,
    /// The node's machine type.
    pub instance_type: Option<String>,
    /// Prices of one GPU for an hour, the one that is used first. None while it tells nothing.
    pub prices: Vec<GpuHourPrice>,
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
    /// An inventory of nodes that differ in name or cluster.
    pub fn new(
        nodes: impl IntoIterator<Item = Node>,
        whole: BTreeSet<(Option<Provider>, String)>,
        defaults: BTreeMap<SourceId, NodeDefaults>,
    ) -> Self {
        let mut nodes: Vec<Node> = nodes.into_iter().collect();
        nodes.sort_by(|one, other| (&one.name, &one.cluster).cmp(&(&other.name, &other.cluster)));
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::with_capacity(nodes.len());
        let mut by_short_name: HashMap<String, Vec<usize>> = HashMap::with_capacity(nodes.len());
        for (place, node) in nodes.iter().enumerate() {
            by_name.entry(node.name.clone()).or_default().push(place);
            by_short_name.entry(short(&node.name).to_owned()).or_default().push(place);
        }
        Self { nodes, by_name, by_short_name, whole, defaults, told: None }
    }

    /// The nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Whether every node of a cluster is known.
    pub fn knows(&self, provider: Option<Provider>, cluster: &str) -> bool {
        self.whole.contains(&(provider, cluster.to_owned()))
    }

    /// The node of a host name that telemetry of a cluster tells: the same text, or the same up to
    /// the first dot; of several nodes the one in that cluster, and none where that is not one.
    pub fn find(&self, cluster: &str, hostname: &str) -> Option<&Node> {
        self.only(self.by_name.get(hostname), cluster)
            .or_else(|| self.only(self.by_short_name.get(short(hostname)), cluster))
    }

    fn only(&self, places: Option<&Vec<usize>>, cluster: &str) -> Option<&Node> {
        let nodes = || places.into_iter().flatten().filter_map(|place| self.nodes.get(*place));
        let mut own = nodes().filter(|node| node.cluster == cluster);
        match (own.next(), own.next()) {
            (Some(node), None) => Some(node),
            (Some(_), Some(_)) => None,
            (None, _) => nodes().next().filter(|_| nodes().count() == 1),
        }
    }
}

/// A host name up to its first dot.
fn short(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, cluster: &str) -> Node {
        Node {
            name: name.to_owned(),
            provider: None,
            cluster: cluster.to_owned(),
            instance_type: None,
            region_id: None,
            zone: None,
            capacity_type: CapacityType::Unknown,
            gpus: None,
            hourly_cost: None,
        }
    }

    fn found<'a>(inventory: &'a NodeInventory, cluster: &str, name: &str) -> Option<&'a str> {
        inventory.find(cluster, name).map(|node| &*node.cluster)
    }

    #[test]
    fn a_node_is_found_by_its_name_or_the_start_of_it() {
        let nodes = [node("gpu-1.eu.example.com", "eu"), node("gpu-10", "eu"), node("1.2", "eu")];
        let inventory = NodeInventory::new(nodes, BTreeSet::new(), BTreeMap::new());
        for known in ["gpu-1.eu.example.com", "gpu-1", "gpu-1.other", "gpu-10.eu.example.com"] {
            assert_eq!(found(&inventory, "eu", known), Some("eu"), "{known}");
            assert_eq!(found(&inventory, "us", known), Some("eu"), "{known}, of no known cluster");
        }
        assert_eq!(found(&inventory, "eu", "gpu-2"), None);
    }

    #[test]
    fn of_two_nodes_of_one_name_the_cluster_decides() {
        let nodes = [node("gpu-1", "eu"), node("gpu-1", "us"), node("gpu-1.us", "us")];
        let inventory = NodeInventory::new(nodes, BTreeSet::new(), BTreeMap::new());
        assert_eq!(found(&inventory, "eu", "gpu-1"), Some("eu"));
        assert_eq!(found(&inventory, "us", "gpu-1"), Some("us"));
        assert_eq!(found(&inventory, "asia", "gpu-1"), None, "it could be either");
        assert_eq!(found(&inventory, "us", "gpu-1.example.com"), None, "it could be either");
    }
}
