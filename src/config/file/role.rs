//! What a user writes of an agent's role, and of the central agent that it asks.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::secret::SecretRef;
use crate::config::values::Span;

/// What an agent is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoleWord {
    /// Bills and bands, and GPU telemetry unless node agents read it.
    #[default]
    Central,
    /// The GPUs of its own node, as a DaemonSet.
    Node,
    /// The GPUs of its own pod, beside a workload.
    Sidecar,
}

/// The pod that a sidecar stands in, from the downward API.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PodFile {
    /// Its namespace. `$(VARIABLE)` is replaced from the environment, as in `$(POD_NAMESPACE)`.
    #[schemars(with = "String")]
    pub namespace: Option<String>,
    /// Its name, as in `$(POD_NAME)`.
    #[schemars(with = "String")]
    pub name: Option<String>,
}

/// The central agent.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CentralFile {
    /// The address of its page, before `/api/v1`. `$(VARIABLE)` is replaced from the environment.
    #[schemars(with = "String")]
    pub url: Option<String>,
    /// Its `web.bearer_token`.
    pub bearer_token: Option<SecretRef>,
    /// How often it is asked; `5m` by default.
    pub every: Option<Span>,
    /// How long it may take to answer; `5s` by default.
    pub timeout: Option<Span>,
}
