//! What is known of a node beside its telemetry: its machine, where it is, how it was bought.

use crate::domain::gpu::{GpuReport, GpuSample};
use crate::domain::machine::{Machine, model_name};
use crate::domain::node::{Fleet, Node, NodeDefaults};

/// What is known of a node beside its telemetry.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NodeFacts {
    /// The node's fleet, its GPUs' model left out.
    pub(super) fleet: Fleet,
    /// Whether the machine type was guessed from the GPUs, since nobody told it.
    pub(super) guessed: bool,
}

/// The node of a sample: its own word, else the source stands for it.
pub(super) fn node_name<'a>(report: &'a GpuReport, sample: &'a GpuSample) -> &'a str {
    sample.hostname.as_deref().unwrap_or(report.source.as_str())
}

/// What is known of a node: the inventory first, then the source's configuration, then a guess from
/// how many GPUs of which model it has.
pub(super) fn facts(
    report: &GpuReport,
    node: Option<&Node>,
    defaults: Option<&NodeDefaults>,
    model: &str,
    count: u32,
) -> NodeFacts {
    let provider = node.map_or(report.provider, |node| node.provider);
    let told = node
        .and_then(|node| node.instance_type.clone())
        .or_else(|| defaults?.instance_type.clone());
    let guess = || {
        let machine = Machine::guess(provider?, model, count)?;
        Some(machine.instance_type.to_owned())
    };
    let guessed = told.is_none();
    NodeFacts {
        fleet: Fleet {
            provider,
            cluster: node.map_or(&report.cluster, |node| &node.cluster).clone(),
            instance_type: told.or_else(guess),
            region_id: node
                .and_then(|node| node.region_id.clone())
                .or_else(|| defaults?.region_id.clone()),
            capacity_type: node.map_or(report.capacity_type, |node| node.capacity_type),
            model: model_name(model).to_owned(),
        },
        guessed,
    }
}
