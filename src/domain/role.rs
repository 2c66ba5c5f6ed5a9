//! What an agent is for. One role exports a GPU, so that none is counted twice.

use crate::domain::gpu::Pod;

/// What an agent reads and exports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Role {
    /// Bills, bands, and what telemetry of GPUs it is given.
    #[default]
    Central,
    /// The GPUs of its own node.
    Node,
    /// The GPUs that its own pod holds.
    Sidecar(Pod),
}

impl Role {
    /// The word in the configuration.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Central => "central",
            Self::Node => "node",
            Self::Sidecar(_) => "sidecar",
        }
    }

    /// The pod whose GPUs alone are told of; none where all are.
    pub fn own_pod(&self) -> Option<&Pod> {
        match self {
            Self::Sidecar(pod) => Some(pod),
            Self::Central | Self::Node => None,
        }
    }
}
