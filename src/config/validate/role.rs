//! An agent's role: what it may read, and whom it asks.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::gpu::{address, replaced};
use crate::config::CentralConfig;
use crate::config::file::{CentralFile, FileConfig, PodFile, RoleWord};
use crate::config::structure::Findings;
use crate::config::values::Span;
use crate::domain::gpu::Pod;
use crate::domain::role::Role;

/// A ledger that ends with its process.
const IN_MEMORY: &str = ":memory:";

/// The role, with what only some roles have. Notes what the role may not have.
pub(super) fn role(
    file: &FileConfig,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings,
) -> (Role, Option<String>, Option<CentralConfig>) {
    let word = file.role.unwrap_or_default();
    if word == RoleWord::Central {
        central_only(file, findings);
        return (Role::Central, None, None);
    }
    refuse(file, word, findings);
    let role = match (word, &file.pod) {
        (RoleWord::Sidecar, Some(pod)) => own_pod(pod, environment, findings),
        (RoleWord::Sidecar, None) => {
            if findings.is_sound("pod") {
                let message = "is missing: a sidecar tells of its own pod alone; want such as \
                               `{namespace: $(POD_NAMESPACE), name: $(POD_NAME)}`";
                findings.add("pod", message);
            }
            None
        }
        (RoleWord::Central | RoleWord::Node, _) => None,
    };
    let node = file.node.as_deref();
    let node = node.and_then(|text| named(text, "node", environment, findings));
    let central = file.central.as_ref();
    let central = central.and_then(|central| asked(central, environment, findings));
    (role.map_or(Role::Node, Role::Sidecar), node, central)
}

/// What a central agent has not.
fn central_only(file: &FileConfig, findings: &mut Findings) {
    for (key, is_there) in [
        ("node", file.node.is_some()),
        ("pod", file.pod.is_some()),
        ("central", file.central.is_some()),
    ] {
        if is_there {
            let roles = if key == "pod" { "`role: sidecar`" } else { "`role: node` or `sidecar`" };
            findings.add(key, format!("is for {roles}, and this is a central agent"));
        }
    }
    let path = file.store.as_ref().and_then(|store| store.path.as_deref());
    if path == Some(Path::new(IN_MEMORY)) {
        let message = "`:memory:` is for node agents and sidecars: a central agent would forget \
                       what it paid for; want a file";
        findings.add("store.path", message);
    }
}

/// What an agent beside its GPUs may not have: it is the central agent's, or it is told twice.
fn refuse(file: &FileConfig, word: RoleWord, findings: &mut Findings) {
    let (role, own) = match word {
        RoleWord::Sidecar => ("sidecar", "pod"),
        RoleWord::Central | RoleWord::Node => ("node", "node"),
    };
    for (key, is_there, what) in [
        (
            "sources",
            file.sources.as_ref().is_some_and(|kinds| kinds.values().any(|of| !of.is_empty())),
            "no bill is read",
        ),
        ("bands", file.bands.as_ref().is_some_and(|of| !of.is_empty()), "no band is judged"),
        ("alerts", file.alerts.is_some(), "there is nothing to tell"),
        ("alerting", file.alerting.is_some(), "there is nothing to tell"),
        ("group_wait", file.group_wait.is_some(), "there is nothing to tell"),
        (
            "notify",
            file.notify.as_ref().is_some_and(|kinds| kinds.values().any(|of| !of.is_empty())),
            "there is nothing to notify of",
        ),
        (
            "store.url",
            file.store.as_ref().is_some_and(|store| store.url.is_some()),
            "GPU time is kept on the own node",
        ),
        (
            "kubernetes",
            file.kubernetes.as_ref().is_some_and(|of| !of.is_empty()),
            "the Kubernetes API is not asked",
        ),
        ("heartbeat", file.heartbeat.is_some(), "there is nobody to send it to"),
        ("lease", file.lease.is_some(), "there is one agent for each node or pod"),
    ] {
        if is_there {
            let message =
                format!("is the central agent's: with `role: {role}` {what}; want it there");
            findings.add(key, message);
        }
    }
    if word == RoleWord::Node && file.pod.is_some() {
        findings.add("pod", "is for `role: sidecar`, and this is a node agent");
    }
    for (index, entry) in file.gpu.iter().flatten().enumerate() {
        let path = format!("gpu[{index}]");
        for (key, is_there) in
            [("kubernetes", entry.kubernetes.is_some()), ("prometheus", entry.prometheus.is_some())]
        {
            if is_there {
                let message = format!(
                    "tells of other nodes, whose GPUs would be counted twice: with `role: {role}` \
                     want the `url` of the own node's exporter"
                );
                findings.add(&format!("{path}.{key}"), message);
            }
        }
        if word == RoleWord::Sidecar && entry.nvml.is_some() {
            let message = format!(
                "tells of no pod, so that the own {own}'s GPUs are not known: want the `url` of the \
                 node's exporter"
            );
            findings.add(&format!("{path}.nvml"), message);
        }
    }
}

fn own_pod(
    pod: &PodFile,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings,
) -> Option<Pod> {
    let namespace = pod.namespace.as_deref();
    let namespace = namespace.and_then(|text| named(text, "pod.namespace", environment, findings));
    let name = pod.name.as_deref();
    let name = name.and_then(|text| named(text, "pod.name", environment, findings));
    Some(Pod { namespace: namespace?, name: name? })
}

/// A name with its variables replaced, which must not be empty.
fn named(
    text: &str,
    path: &str,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings,
) -> Option<String> {
    let name = replaced(text, path, environment, findings)?;
    if name.trim().is_empty() {
        findings.add(path, "is empty: want a name");
        return None;
    }
    Some(name)
}

fn asked(
    central: &CentralFile,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings,
) -> Option<CentralConfig> {
    let every = central.every.unwrap_or(Span::seconds(300)).duration();
    if every < Duration::from_secs(1) {
        findings.add("central.every", "is too often: want at least `1s`");
    }
    let timeout = central.timeout.unwrap_or(Span::seconds(5)).duration();
    if timeout.is_zero() {
        findings.add("central.timeout", "leaves no time: want one such as `5s`");
    }
    let url = address(central.url.as_deref()?, "central.url", environment, findings)?;
    let bearer = central.bearer_token.clone();
    Some(CentralConfig { url: url.into(), bearer, every, timeout })
}
