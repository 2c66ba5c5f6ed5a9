//! Nodes: what their labels and their capacity say of machine type, place, purchase and GPUs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use tokio::sync::watch;

use crate::domain::identity::Provider;
use crate::domain::machine::Machine;
use crate::domain::node::Node;
use crate::domain::ports::Clock;
use crate::domain::price::CapacityType;
use crate::kubernetes::watch::{Meta, Object, Seen, Watch};
use crate::kubernetes::{Cluster, Resource};

/// `core/v1` Node, what is needed of it.
#[derive(Debug, Deserialize)]
struct NodeObject {
    #[serde(default)]
    metadata: Meta,
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Debug, Default, Deserialize)]
struct Spec {
    #[serde(rename = "providerID")]
    provider_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Status {
    capacity: Option<BTreeMap<String, String>>,
    allocatable: Option<BTreeMap<String, String>>,
}

impl Object for NodeObject {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

/// Watches a cluster's nodes for ever. `provider` is the cloud of nodes whose `spec.providerID`
/// names none.
pub async fn watch(
    cluster: Cluster,
    provider: Option<Provider>,
    clock: Arc<dyn Clock>,
    seen: watch::Sender<Seen<Node>>,
) {
    let name = cluster.name.clone();
    let watch = Watch {
        cluster,
        resource: Resource::Nodes,
        label_selector: None,
        field_selector: None,
        clock,
        keep: Box::new(move |object| Some(node(object, &name, provider))),
    };
    watch.run(seen).await;
}

fn node(object: NodeObject, cluster: &str, usual: Option<Provider>) -> Node {
    let labels = Labels(object.metadata.labels.unwrap_or_default());
    let provider = object.spec.and_then(|spec| provider(&spec.provider_id?)).or(usual);
    let instance_type = labels
        .text("node.kubernetes.io/instance-type")
        .or_else(|| labels.text("beta.kubernetes.io/instance-type"));
    let status = object.status.unwrap_or_default();
    // What the kubelet has is in `capacity`; `allocatable` leaves out devices that are ill.
    let resources = status.capacity.or(status.allocatable).unwrap_or_default();
    let machine = provider.zip(instance_type.as_deref());
    let machine = machine.and_then(|(provider, name)| Machine::of(provider, name));
    Node {
        provider,
        cluster: cluster.to_owned(),
        region_id: labels
            .text("topology.kubernetes.io/region")
            .or_else(|| labels.text("failure-domain.beta.kubernetes.io/region")),
        zone: labels
            .text("topology.kubernetes.io/zone")
            .or_else(|| labels.text("failure-domain.beta.kubernetes.io/zone")),
        capacity_type: capacity_type(&labels, provider),
        // A machine type's GPUs are known even while one of them is lost or the driver is not there.
        gpus: machine.map(|machine| machine.gpus).or_else(|| gpus(&labels, &resources)),
        hourly_cost: None,
        name: object.metadata.name,
        instance_type,
    }
}

/// The cloud of a `spec.providerID`: `aws:///us-east-1a/i-0a`, `gce://project/zone/name`,
/// `azure:///subscriptions/...`.
fn provider(id: &str) -> Option<Provider> {
    match id.split_once("://")?.0 {
        "aws" => Some(Provider::Aws),
        "gce" => Some(Provider::Gcp),
        "azure" => Some(Provider::Azure),
        _ => None,
    }
}

struct Labels(BTreeMap<String, String>);

impl Labels {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    fn is(&self, name: &str, wanted: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case(wanted))
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.get(name)?.parse().ok().filter(|number| *number > 0)
    }
}

/// How a node was bought, as EKS, Karpenter, GKE and AKS label it. GKE and AKS label what is not
/// on demand, so that their nodes without such a label are on demand.
fn capacity_type(labels: &Labels, provider: Option<Provider>) -> CapacityType {
    let told =
        labels.get("karpenter.sh/capacity-type").or(labels.get("eks.amazonaws.com/capacityType"));
    if let Some(told) = told {
        return match told.to_ascii_lowercase().replace('_', "-").as_str() {
            "on-demand" => CapacityType::OnDemand,
            "spot" => CapacityType::Spot,
            "reserved" | "capacity-block" => CapacityType::Reserved,
            _ => CapacityType::Unknown,
        };
    }
    if ["cloud.google.com/gke-spot", "cloud.google.com/gke-preemptible"]
        .iter()
        .any(|label| labels.is(label, "true"))
        || labels.is("kubernetes.azure.com/scalesetpriority", "spot")
    {
        return CapacityType::Spot;
    }
    if labels.get("cloud.google.com/reservation-name").is_some() {
        return CapacityType::Reserved;
    }
    match labels.get("cloud.google.com/gke-provisioning") {
        Some("spot" | "preemptible") => return CapacityType::Spot,
        Some("standard") => return CapacityType::OnDemand,
        _ => {}
    }
    let managed = match provider {
        Some(Provider::Gcp) => labels.get("cloud.google.com/gke-nodepool"),
        Some(Provider::Azure) => labels
            .get("kubernetes.azure.com/agentpool")
            .or(labels.get("kubernetes.azure.com/cluster")),
        _ => None,
    };
    if managed.is_some() { CapacityType::OnDemand } else { CapacityType::Unknown }
}

/// How many GPUs a node has; none where nothing tells of any.
///
/// GPU feature discovery's `nvidia.com/gpu.count` counts devices, but MIG slices under the strategy
/// `single`. `nvidia.com/gpu` counts what pods can ask for: devices, slices, or shares of devices
/// under time-slicing (`nvidia.com/gpu.replicas`).
fn gpus(labels: &Labels, resources: &BTreeMap<String, String>) -> Option<u32> {
    let has = |name: &str| resources.get(name).and_then(|count| count.parse().ok()).unwrap_or(0);
    let replicas = labels.number("nvidia.com/gpu.replicas").unwrap_or(1);
    let shares: u32 =
        [has("nvidia.com/gpu.shared"), has("nvidia.com/gpu")].into_iter().max().unwrap_or(0);
    let single = labels.is("nvidia.com/mig.strategy", "single");
    let slice = labels
        .get("nvidia.com/gpu.product")
        .filter(|_| single)
        .and_then(|product| slices_of_a_device(product.split_once("-MIG-")?.1));
    let counted = labels.number("nvidia.com/gpu.count");
    let nvidia = match (slice, counted) {
        (Some(slices), counted) => counted.unwrap_or(shares / replicas).div_ceil(slices),
        (None, Some(counted)) => counted,
        (None, None) => {
            // The strategy `mixed`: whole devices beside resources of each kind of slice.
            let sevenths: u32 = resources
                .iter()
                .filter_map(|(name, count)| {
                    let profile = name.strip_prefix("nvidia.com/mig-")?;
                    let slices = slices_of_a_device(profile)?;
                    let count: u32 = count.parse().ok()?;
                    Some(count.saturating_mul(7) / slices)
                })
                .fold(0, u32::saturating_add);
            shares.div_ceil(replicas).saturating_add(sevenths.div_ceil(7))
        }
    };
    Some(nvidia.saturating_add(has("amd.com/gpu"))).filter(|gpus| *gpus > 0)
}

/// How many slices of a profile `Ng.Mgb` a device holds; memory lets a device hold three of 2g and
/// two of 3g.
fn slices_of_a_device(profile: &str) -> Option<u32> {
    let sevenths: u32 = profile.split_once("g.")?.0.parse().ok()?;
    (1..=7).contains(&sevenths).then(|| 7 / sevenths)
}

#[cfg(test)]
mod tests;
