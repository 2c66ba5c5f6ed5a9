//! What the Kubernetes API tells: which nodes there are and what they are, and which pods serve GPU
//! telemetry. Both are watched, and of each object only what is needed is kept.

use std::path::PathBuf;

pub mod client;
mod exec;
mod kubeconfig;
pub mod lease;
pub mod nodes;
pub mod pods;
pub mod watch;

/// A cluster, and how its API is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its name in figures.
    pub name: String,
    /// The kubeconfig; none for the service account of the pod that this runs in, else the
    /// kubeconfig that `kubectl` would take.
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context; its current one by default.
    pub context: Option<String>,
}

/// What is read of an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// All nodes.
    Nodes,
    /// The pods of a namespace.
    Pods {
        /// Which.
        namespace: String,
    },
}

impl Resource {
    /// What reading it needs.
    pub const VERBS: [&'static str; 2] = ["list", "watch"];

    /// Its name in the API.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Pods { .. } => "pods",
        }
    }

    /// Its namespace; none for what has none.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Nodes => None,
            Self::Pods { namespace } => Some(namespace),
        }
    }

    /// The least that lets it be read, as a person writes it into a manifest.
    pub fn rule(&self) -> String {
        let rule =
            format!("{{apiGroups: [\"\"], resources: [{}], verbs: [list, watch]}}", self.name());
        match self {
            Self::Nodes => format!(
                "give the agent's identity a ClusterRole with the rule `{rule}` (chart: `rbac.nodes: true`)"
            ),
            Self::Pods { namespace } => format!(
                "give the agent's identity a Role in the namespace `{namespace}` with the rule `{rule}` (chart: `rbac.podNamespaces: [{namespace}]`)"
            ),
        }
    }

    fn path(&self) -> String {
        match self {
            Self::Nodes => "/api/v1/nodes".to_owned(),
            Self::Pods { namespace } => format!("/api/v1/namespaces/{namespace}/pods"),
        }
    }
}
