//! What the Kubernetes API tells: which nodes there are and what they are, which pods serve GPU
//! telemetry, and which of several replicas holds a Lease. Nodes and pods are watched, and of each
//! object only what is needed is kept.

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

/// What is asked of an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// All nodes.
    Nodes,
    /// The pods of a namespace.
    Pods {
        /// Which.
        namespace: String,
    },
    /// One Lease.
    Lease {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl Resource {
    /// What the agent does with it.
    pub fn verbs(&self) -> &'static [&'static str] {
        match self {
            Self::Nodes | Self::Pods { .. } => &["list", "watch"],
            Self::Lease { .. } => &["get", "create", "update"],
        }
    }

    /// Its name in the API.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Pods { .. } => "pods",
            Self::Lease { .. } => "leases",
        }
    }

    /// Its group in the API.
    pub fn group(&self) -> &'static str {
        match self {
            Self::Nodes | Self::Pods { .. } => "",
            Self::Lease { .. } => "coordination.k8s.io",
        }
    }

    /// The one object that a verb is for; none where it is for all. What is created has no name
    /// yet.
    fn object(&self, verb: &str) -> Option<&str> {
        match self {
            Self::Lease { name, .. } if verb != "create" => Some(name),
            Self::Nodes | Self::Pods { .. } | Self::Lease { .. } => None,
        }
    }

    /// Its namespace; none for what has none.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Nodes => None,
            Self::Pods { namespace } | Self::Lease { namespace, .. } => Some(namespace),
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
            Self::Lease { namespace, name } => {
                let of = "apiGroups: [coordination.k8s.io], resources: [leases]";
                format!(
                    "give the agent's identity a Role in the namespace `{namespace}` with the rules `{{{of}, verbs: [create]}}` and `{{{of}, resourceNames: [{name}], verbs: [get, update]}}` (chart: `central.lease.enabled: true`)"
                )
            }
        }
    }

    fn path(&self) -> String {
        match self {
            Self::Nodes => "/api/v1/nodes".to_owned(),
            Self::Pods { namespace } => format!("/api/v1/namespaces/{namespace}/pods"),
            Self::Lease { namespace, .. } => {
                format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases")
            }
        }
    }
}
