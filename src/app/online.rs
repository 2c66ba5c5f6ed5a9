//! Proves one by one that the agent's identities may do what the configuration needs of them.

use crate::app::kubernetes::cluster;
use crate::config::{Config, GpuFrom, KubernetesConfig};
use crate::domain::report::SourceError;
use crate::kubernetes::Resource;
use crate::kubernetes::client::Connection;

/// What was found of one permission.
pub struct Proof {
    /// What was looked at: a cluster's name.
    pub of: String,
    /// One line for a person, with what mends it where it does not hold.
    pub line: String,
    /// Whether it holds.
    pub holds: bool,
}

/// Proves every permission that is needed of a Kubernetes API.
pub async fn kubernetes(config: &Config) -> Vec<Proof> {
    let mut proofs = Vec::new();
    for of in &config.kubernetes {
        let connection = Connection::new(&cluster(of)).await;
        for resource in needed(config, of) {
            proofs.push(proof(&of.cluster, &connection, &resource).await);
        }
    }
    if let Some(lease) = &config.lease {
        let cluster = crate::app::lease::cluster(lease);
        let connection = Connection::new(&cluster).await;
        let own = connection.as_ref().map_or("", |connection| connection.namespace());
        let namespace = lease.namespace.clone().unwrap_or_else(|| own.to_owned());
        let resource = Resource::Lease { namespace, name: lease.name.clone() };
        proofs.push(proof(&cluster.name, &connection, &resource).await);
    }
    proofs
}

async fn proof(
    of: &str,
    connection: &Result<Connection, SourceError>,
    resource: &Resource,
) -> Proof {
    let told = told(resource);
    let (line, holds) = match connection {
        Ok(connection) => match prove(connection, resource).await {
            Ok(None) => (format!("may {} {told}", and(resource.verbs())), true),
            Ok(Some(verb)) => (format!("may not {verb} {told}: {}", resource.rule()), false),
            Err(error) => (error.to_string(), false),
        },
        Err(error) => (error.to_string(), false),
    };
    Proof { of: of.to_owned(), line, holds }
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
async fn prove(
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
