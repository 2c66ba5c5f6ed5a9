//! Pods that serve GPU telemetry: found by label, each with its node and the address of its page.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::join_all;
use reqwest::Url;
use serde::Deserialize;
use tokio::sync::watch;

use crate::domain::pods::{PodPages, PodPort};
use crate::domain::ports::Clock;
use crate::domain::report::{SourceError, SourceErrorKind};
use crate::kubernetes::watch::{Meta, Object, Seen, Watch};
use crate::kubernetes::{Cluster, Resource};

/// A ready pod that serves telemetry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exporter {
    /// The node that the pod runs on.
    pub node: String,
    /// The page.
    pub url: Url,
}

/// `core/v1` Pod, what is needed of it.
#[derive(Debug, Deserialize)]
struct PodObject {
    #[serde(default)]
    metadata: Meta,
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
    containers: Option<Vec<Container>>,
}

#[derive(Debug, Deserialize)]
struct Container {
    ports: Option<Vec<Port>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    name: Option<String>,
    container_port: u16,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    conditions: Option<Vec<Condition>>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Object for PodObject {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

/// The pods that serve telemetry, as they are now.
#[derive(Debug, Clone)]
pub struct Exporters {
    pages: PodPages,
    seen: Vec<watch::Receiver<Seen<Exporter>>>,
}

impl Exporters {
    /// The ready pods by `namespace/name`. While the API is out of reach: those of the last time.
    ///
    /// # Errors
    /// [`SourceError`] where the API has not told of any pod yet, or no pod is ready.
    pub fn ready(&self) -> Result<BTreeMap<String, Exporter>, SourceError> {
        let mut ready = BTreeMap::new();
        let mut error = None;
        for seen in &self.seen {
            let seen = seen.borrow();
            error = error.or_else(|| seen.error.clone());
            if !seen.is_listed {
                let reason = "the Kubernetes API has not told yet of the pods that serve telemetry";
                return Err(
                    error.unwrap_or_else(|| SourceError::new(SourceErrorKind::NotReady, reason))
                );
            }
            ready.extend(seen.objects.iter().map(|(name, one)| (name.clone(), one.clone())));
        }
        if ready.is_empty() {
            let PodPages { namespace, selectors, .. } = &self.pages;
            let message = format!(
                "no ready pod in the namespace `{namespace}` serves telemetry: none matches `{}`",
                selectors.join("` or `")
            );
            let hint = "look for the exporters with `kubectl get pods -A --show-labels`";
            return Err(SourceError::new(SourceErrorKind::NotReady, message).hint(hint));
        }
        Ok(ready)
    }
}

/// The exporters, and the task that keeps them up to date for ever.
pub fn discover(
    cluster: &Cluster,
    pages: PodPages,
    clock: Arc<dyn Clock>,
) -> (Exporters, impl Future<Output = ()> + Send + use<>) {
    let mut receivers = Vec::new();
    let mut watches = Vec::new();
    for selector in &pages.selectors {
        let (sender, receiver) = watch::channel(Seen::default());
        receivers.push(receiver);
        let page = pages.clone();
        let watch = Watch {
            cluster: cluster.clone(),
            resource: Resource::Pods { namespace: pages.namespace.clone() },
            label_selector: Some(selector.clone()),
            field_selector: Some("status.phase=Running"),
            clock: clock.clone(),
            keep: Box::new(move |pod| exporter(pod, &page)),
        };
        watches.push(watch.run(sender));
    }
    let exporters = Exporters { pages, seen: receivers };
    (exporters, async move {
        join_all(watches).await;
    })
}

/// What a pod serves; none while it is not ready.
fn exporter(pod: PodObject, pages: &PodPages) -> Option<Exporter> {
    let (spec, status) = (pod.spec?, pod.status?);
    let ready = status.conditions.iter().flatten();
    let ready = ready.into_iter().any(|one| one.kind == "Ready" && one.status == "True");
    if !ready || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let port = match &pages.port {
        PodPort::Number(port) => *port,
        PodPort::Named(name) => {
            let containers = spec.containers.iter().flatten();
            let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
            ports.find(|port| port.name.as_ref() == Some(name))?.container_port
        }
    };
    let address: IpAddr = status.pod_ip?.parse().ok()?;
    let address = SocketAddr::new(address, port);
    let scheme = if pages.tls { "https" } else { "http" };
    let url = Url::parse(&format!("{scheme}://{address}{}", pages.path)).ok()?;
    Some(Exporter { node: spec.node_name?, url })
}
