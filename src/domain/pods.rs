//! Pods that serve GPU telemetry, and how a Prometheus that scrapes them names those that use it.

use schemars::JsonSchema;
use serde::Deserialize;

/// The pages of pods: which pods, and where on each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodPages {
    /// The pods' namespace.
    pub namespace: String,
    /// Label selectors: a pod is taken where any of them matches.
    pub selectors: Vec<String>,
    /// The port.
    pub port: PodPort,
    /// Whether the page is served over TLS.
    pub tls: bool,
    /// The page's path, with its slash.
    pub path: String,
}

/// A port of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodPort {
    /// Its number.
    Number(u16),
    /// Its name among the containers' ports.
    Named(String),
}

/// Which labels name the pod that holds a GPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PodLabels {
    /// `exported_pod` where there is one, else `pod`, unless it is the exporter's own.
    #[default]
    Detect,
    /// `pod`: it scrapes with `honor_labels: true`.
    Plain,
    /// `exported_pod` only: it scrapes with `honor_labels: false`.
    Exported,
}
