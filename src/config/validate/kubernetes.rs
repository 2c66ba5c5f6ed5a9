//! Kubernetes clusters, and pods that serve GPU telemetry.

use super::{gpu, label_safe};
use crate::config::file::{GpuFile, KubernetesFile, PodPortWord, PodsFile, SchemeWord};
use crate::config::structure::Findings;
use crate::config::{GpuFrom, KubernetesConfig, PodsConfig};
use crate::domain::pods::{PodPages, PodPort};

/// The labels of dcgm-exporter: its own chart's and GKE's, and the GPU Operator's.
const USUAL_SELECTORS: [&str; 2] = [
    "app.kubernetes.io/name in (dcgm-exporter,gke-managed-dcgm-exporter)",
    "app=nvidia-dcgm-exporter",
];

pub(super) fn clusters(
    entries: &[KubernetesFile],
    findings: &mut Findings,
) -> Vec<KubernetesConfig> {
    let mut clusters: Vec<KubernetesConfig> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("kubernetes[{index}]");
        let Some(cluster) = &entry.cluster else { continue };
        let name_path = format!("{path}.cluster");
        if let Err(message) = label_safe(cluster) {
            findings.add(&name_path, message);
        }
        if clusters.iter().any(|known| known.cluster == *cluster) {
            findings.add(&name_path, format!("`{cluster}` stands here already"));
        }
        for (key, empty) in [
            (
                "kubeconfig",
                entry.kubeconfig.as_ref().is_some_and(|path| path.as_os_str().is_empty()),
            ),
            ("context", entry.context.as_ref().is_some_and(String::is_empty)),
        ] {
            if empty {
                findings.add(&format!("{path}.{key}"), "is empty");
            }
        }
        clusters.push(KubernetesConfig {
            cluster: cluster.clone(),
            kubeconfig: entry.kubeconfig.clone(),
            context: entry.context.clone(),
            nodes: entry.nodes.unwrap_or(true),
            provider: gpu::provider(entry.provider),
        });
    }
    clusters
}

/// The cluster of an entry that reads pods: the one that it names, or the only one there is.
pub(super) fn cluster_of<'a>(
    entry: &GpuFile,
    path: &str,
    clusters: &'a [KubernetesConfig],
    findings: &mut Findings,
) -> Option<&'a KubernetesConfig> {
    let path = format!("{path}.cluster");
    let found = match (&entry.cluster, clusters) {
        (Some(name), _) => clusters.iter().find(|known| known.cluster == *name),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    if found.is_none() && findings.is_sound("kubernetes") {
        let message = match (&entry.cluster, clusters) {
            (_, []) => {
                "is read through a Kubernetes API: want its cluster under `kubernetes`".to_owned()
            }
            (Some(name), _) => format!("`{name}` is no cluster under `kubernetes`"),
            (None, _) => "is missing: want one of the clusters under `kubernetes`".to_owned(),
        };
        findings.add(&path, message);
    }
    found
}

pub(super) fn pods(
    pods: &PodsFile,
    path: &str,
    cluster: &KubernetesConfig,
    findings: &mut Findings,
) -> Option<GpuFrom> {
    let selector_path = format!("{path}.selector");
    if pods.selector.as_ref().is_some_and(|selector| selector.trim().is_empty()) {
        findings.add(&selector_path, "is empty: it would match every pod");
    }
    let page = pods.path.as_deref().unwrap_or("/metrics");
    if !page.starts_with('/') {
        findings.add(&format!("{path}.path"), format!("`{page}` does not begin with `/`"));
    }
    let namespace = pods.namespace.clone()?;
    let namespaced = !namespace.is_empty()
        && namespace.len() <= 63
        && namespace.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !namespaced {
        findings.add(&format!("{path}.namespace"), format!("`{namespace}` is not a namespace"));
    }
    let port = match &pods.port {
        None => PodPort::Number(9400),
        Some(PodPortWord::Number(number)) => PodPort::Number(*number),
        Some(PodPortWord::Name(name)) => PodPort::Named(name.clone()),
    };
    if port == PodPort::Named(String::new()) {
        findings.add(&format!("{path}.port"), "is empty: want a number or a name");
    }
    Some(GpuFrom::Pods(PodsConfig {
        kubernetes: cluster.clone(),
        pages: PodPages {
            namespace,
            selectors: match &pods.selector {
                Some(selector) => vec![selector.clone()],
                None => USUAL_SELECTORS.map(str::to_owned).to_vec(),
            },
            port,
            tls: pods.scheme == Some(SchemeWord::Https),
            path: page.to_owned(),
        },
    }))
}
