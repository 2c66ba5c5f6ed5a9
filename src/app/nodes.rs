//! One inventory of nodes: what the configuration declares, joined with what Kubernetes tells.
//!
//! Rules:
//! - A declared node and a watched one are the same where name and cluster are. What the declared
//!   one says stands; what it leaves out the watched one tells.
//! - A cluster is known as a whole, so that a node that is not listed is gone, while its API is
//!   watched. A cluster of declared nodes alone always is.
//! - While an API is out of reach, what it told last stands.

use std::collections::BTreeMap;

use crate::config::{Config, GpuSource};
use crate::domain::identity::Provider;
use crate::domain::node::{Node, NodeDefaults, NodeInventory};
use crate::domain::price::CapacityType;

/// A cluster's nodes as Kubernetes told them last.
pub struct Told<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// The nodes.
    pub nodes: Vec<&'a Node>,
    /// Whether there are no others.
    pub is_whole: bool,
}

/// The inventory of what is configured and what Kubernetes told.
pub fn joined(config: &Config, told: &[Told<'_>]) -> NodeInventory {
    let mut nodes: BTreeMap<(&str, &str), Node> = BTreeMap::new();
    for node in told.iter().flat_map(|told| &told.nodes) {
        nodes.insert((&node.cluster, &node.name), (*node).clone());
    }
    for declared in &config.nodes {
        let key = (declared.cluster.as_str(), declared.name.as_str());
        let node = match nodes.remove(&key) {
            Some(watched) => filled(declared, watched),
            None => declared.clone(),
        };
        nodes.insert(key, node);
    }
    let watched = |cluster: &str| {
        config.kubernetes.iter().any(|known| known.nodes && known.cluster == cluster)
    };
    let declared = config.nodes.iter().filter(|node| !watched(&node.cluster));
    let declared = declared.map(|node| (node.provider, node.cluster.clone()));
    // Whichever cloud a GPU of a watched cluster is taken to be in.
    let clouds = || Provider::ALL.map(Some).into_iter().chain([None]);
    let whole = told.iter().filter(|told| told.is_whole);
    let whole = whole.flat_map(|told| clouds().map(|cloud| (cloud, told.cluster.to_owned())));
    let defaults = |source: &GpuSource| {
        let defaults = NodeDefaults {
            instance_type: source.instance_type.clone(),
            region_id: source.region_id.clone(),
        };
        (source.name.clone(), defaults)
    };
    NodeInventory::new(
        nodes.into_values(),
        declared.chain(whole).collect(),
        config.gpu.iter().map(defaults).collect(),
    )
}

fn filled(declared: &Node, watched: Node) -> Node {
    let Node { name, cluster, .. } = watched;
    Node {
        name,
        cluster,
        provider: declared.provider.or(watched.provider),
        instance_type: declared.instance_type.clone().or(watched.instance_type),
        region_id: declared.region_id.clone().or(watched.region_id),
        zone: declared.zone.clone().or(watched.zone),
        capacity_type: match declared.capacity_type {
            CapacityType::Unknown => watched.capacity_type,
            told => told,
        },
        gpus: declared.gpus.or(watched.gpus),
        hourly_cost: declared.hourly_cost,
    }
}

#[cfg(test)]
mod tests;
