//! What a user writes of the Lease that several replicas share.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::values::Span;

/// A Kubernetes Lease.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseFile {
    /// Its name, the same for all replicas; `costband` by default.
    pub name: Option<String>,
    /// Its namespace; by default the one of the pod that this runs in, else the kubeconfig's.
    pub namespace: Option<String>,
    /// The kubeconfig, for replicas outside of the cluster. By default the service account of the pod
    /// that this runs in, else what `kubectl` would take.
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context; its current one by default.
    pub context: Option<String>,
    /// What the replica is called, the host's name by default; something random is put behind it.
    /// `$(VARIABLE)` is replaced from the environment, as in `$(POD_NAME)`.
    pub identity: Option<String>,
    /// The address of the replica's page, which the others point to while it holds the Lease.
    /// `$(VARIABLE)` is replaced from the environment, as in `http://$(POD_IP):9750`.
    pub address: Option<String>,
    /// For how long the others wait for a holder that is silent, in whole seconds; `15s` by default.
    pub duration: Option<Span>,
    /// After how long without a renewal the holder stops, shorter than `duration`; `10s` by default.
    pub renew_deadline: Option<Span>,
    /// How often the holder renews and the others look; `2s` by default.
    pub retry_period: Option<Span>,
}
