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
            let (line, holds) = match &connection {
                Ok(connection) => match prove(connection, &resource).await {
                    Ok(None) => (format!("may list and watch {}", told(&resource)), true),
                    Ok(Some(verb)) => {
                        let told = told(&resource);
                        (format!("may not {verb} {told}: {}", resource.rule()), false)
                    }
                    Err(error) => (error.to_string(), false),
                },
                Err(error) => (error.to_string(), false),
            };
            proofs.push(Proof { of: of.cluster.clone(), line, holds });
        }
    }
    proofs
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
    match resource.namespace() {
        Some(namespace) => format!("{} in `{namespace}`", resource.name()),
        None => resource.name().to_owned(),
    }
}
