//! What a user writes of Kubernetes clusters.

use std::borrow::Cow;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::GpuProvider;

/// A Kubernetes cluster whose API is asked.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesFile {
    /// The cluster's name: the `cluster` label, and what `gpu` entries name as theirs.
    #[schemars(with = "String")]
    pub cluster: Option<String>,
    /// The kubeconfig. By default the service account of the pod that this runs in; outside of a
    /// cluster what `kubectl` would take.
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context; its current one by default.
    pub context: Option<String>,
    /// Whether nodes are watched for what they are: machine type, region, zone, how they were
    /// bought, how many GPUs they should have; `true` by default.
    pub nodes: Option<bool>,
    /// The cloud of nodes whose `spec.providerID` names none; `none` by default, for one's own
    /// hardware.
    pub provider: Option<GpuProvider>,
}

/// Pods that serve GPU telemetry.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PodsFile {
    /// Their namespace, such as `gpu-operator`.
    #[schemars(with = "String")]
    pub namespace: Option<String>,
    /// A label selector; by default the labels of dcgm-exporter as its own chart, NVIDIA's GPU
    /// Operator and GKE put them.
    pub selector: Option<String>,
    /// The port of their page, a number or a name among the containers' ports; `9400` by default.
    pub port: Option<PodPortWord>,
    /// How their page is served; `http` by default.
    pub scheme: Option<SchemeWord>,
    /// The page's path; `/metrics` by default.
    pub path: Option<String>,
}

/// How a page is served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SchemeWord {
    /// In the clear.
    #[default]
    Http,
    /// Over TLS.
    Https,
}

/// A port, by its number or its name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum PodPortWord {
    /// Its number.
    Number(u16),
    /// Its name.
    Name(String),
}

impl JsonSchema for PodPortWord {
    fn schema_name() -> Cow<'static, str> {
        "PodPort".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "minimum": 1,
            "maximum": 65_535,
            "description": "A port, by its number or its name.",
        })
    }
}
