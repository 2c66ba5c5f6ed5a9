//! What is needed of the Kubernetes API of each configured cluster.

use crate::app::kubernetes::cluster;
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
            let proof = match &connection {
                Ok(connection) => match may(connection, &resource).await {
                    Ok(None) => Proof::holds(format!("may list and watch {}", told(&resource))),
                    Ok(Some(verb)) => {
                        let told = told(&resource);
                        Proof::fails(format!("may not {verb} {told}: {}", resource.rule()))
                    }
                    Err(error) => Proof::fails(error.to_string()),
                },
                Err(error) => Proof::fails(error.to_string()),
            };
            let of = format!("Kubernetes cluster `{}`", of.cluster);
            found.push(Found { of, proof });
        }
    }
    found
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
    for verb in Resource::VERBS {
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
