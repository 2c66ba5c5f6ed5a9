//! What is needed of the Kubernetes API of each configured cluster.

use crate::app::kubernetes::cluster;
use crate::app::lease;
use crate::app::online::Found;
use crate::collect::proof::Proof;
use crate::config::{Config, GpuFrom, KubernetesConfig};
use crate::domain::report::SourceError;
use crate::kubernetes::Resource;
use crate::kubernetes::client::Connection;

/// Proves every permission that is needed.
pub(super) async fn prove(config: &Config) -> Vec<Found> {
    let mut found = Vec::new();
    for of in &config.kubernetes {
        let connection = Connection::new(&cluster(of)).await;
        for resource in needed(config, of) {
            found.push(proved(&of.cluster, &connection, &resource).await);
        }
    }
    if let Some(lease) = &config.lease {
        let cluster = lease::cluster(lease);
        let connection = Connection::new(&cluster).await;
        let own = connection.as_ref().map_or("", |connection| connection.namespace());
        let namespace = lease.namespace.clone().unwrap_or_else(|| own.to_owned());
        let resource = Resource::Lease { namespace, name: lease.name.clone() };
        found.push(proved(&cluster.name, &connection, &resource).await);
    }
    found
}

async fn proved(
    cluster: &str,
    connection: &Result<Connection, SourceError>,
    resource: &Resource,
) -> Found {
    let told = told(resource);
    let proof = match connection {
        Ok(connection) => match may(connection, resource).await {
            Ok(None) => Proof::holds(format!("may {} {told}", and(resource.verbs()))),
            Ok(Some(verb)) => Proof::fails(format!("may not {verb} {told}: {}", resource.rule())),
            Err(error) => Proof::fails(error.to_string()),
        },
        Err(error) => Proof::fails(error.to_string()),
    };
    Found { of: format!("Kubernetes cluster `{cluster}`"), proof }
}

fn and(verbs: &[&str]) -> String {
    match verbs {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        verbs => verbs.join(", "),
    }
}

fn needed(config: &Config, of: &KubernetesConfig) -> Vec<Resource> {
    let mut needed = Vec::new();
    if of.nodes {
        needed.push(Resource::Nodes);
    }
    for source in &config.gpu {
        if let GpuFrom::Pods(pods) = &source.from
            && pods.kubernetes.cluster == of.cluster
        {
            let resource = Resource::Pods { namespace: pods.pages.namespace.clone() };
            if !needed.contains(&resource) {
                needed.push(resource);
            }
        }
    }
    needed
}

/// The first verb that is not allowed.
async fn may(
    connection: &Connection,
    resource: &Resource,
) -> Result<Option<&'static str>, SourceError> {
    for verb in resource.verbs() {
        if !connection.may(resource, verb).await? {
            return Ok(Some(verb));
        }
    }
    Ok(None)
}

fn told(resource: &Resource) -> String {
    match resource {
        Resource::Nodes => "nodes".to_owned(),
        Resource::Pods { namespace } => format!("pods in `{namespace}`"),
        Resource::Lease { namespace, name } => format!("the Lease `{name}` in `{namespace}`"),
    }
}
