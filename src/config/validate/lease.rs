//! The Lease that several replicas share.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::gpu::{address, replaced};
use crate::config::LeaseConfig;
use crate::config::file::LeaseFile;
use crate::config::structure::Findings;
use crate::domain::lease::LeaseRules;

/// Of a Lease's duration, what its holder may use at most, in tenths: the rest is for ending what
/// runs and for clocks that run apart.
const MOST_TENTHS: u32 = 8;
/// So many tries to renew fit into the deadline at least.
const LEAST_TRIES: u32 = 2;

pub(super) fn lease(
    file: Option<&LeaseFile>,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings,
) -> Option<LeaseConfig> {
    let file = file?;
    let rules = rules(file, findings);
    let name = file.name.clone().unwrap_or_else(|| "costband".to_owned());
    if !is_name(&name, 253, true) {
        findings.add("lease.name", format!("`{name}` is not the name of a Lease"));
    }
    if let Some(namespace) = file.namespace.as_ref().filter(|text| !is_name(text, 63, false)) {
        findings.add("lease.namespace", format!("`{namespace}` is not a namespace"));
    }
    for (key, empty) in [
        ("kubeconfig", file.kubeconfig.as_deref().is_some_and(|path| path == Path::new(""))),
        ("context", file.context.as_ref().is_some_and(String::is_empty)),
    ] {
        if empty {
            findings.add(&format!("lease.{key}"), "is empty");
        }
    }
    let identity = file.identity.as_deref();
    let identity =
        identity.and_then(|text| replaced(text, "lease.identity", environment, findings));
    if identity.as_ref().is_some_and(|text| text.trim().is_empty()) {
        findings.add("lease.identity", "is empty: want a name");
    }
    let url = file.address.as_deref();
    let url = url.and_then(|text| address(text, "lease.address", environment, findings));
    let is_secret = |url: &reqwest::Url| !url.username().is_empty() || url.password().is_some();
    if url.as_ref().is_some_and(is_secret) {
        let message = "holds a user or a password, which everyone could read in the Lease";
        findings.add("lease.address", message);
    }
    Some(LeaseConfig {
        name,
        namespace: file.namespace.clone(),
        kubeconfig: file.kubeconfig.clone(),
        context: file.context.clone(),
        identity,
        address: url.map(Into::into),
        rules,
    })
}

fn rules(file: &LeaseFile, findings: &mut Findings) -> LeaseRules {
    let usual = LeaseRules::default();
    let rules = LeaseRules {
        duration: file.duration.map_or(usual.duration, |span| span.duration()),
        renew_deadline: file.renew_deadline.map_or(usual.renew_deadline, |span| span.duration()),
        retry_period: file.retry_period.map_or(usual.retry_period, |span| span.duration()),
    };
    let LeaseRules { duration, renew_deadline, retry_period } = rules;
    if duration.is_zero() || duration.subsec_nanos() != 0 {
        findings.add("lease.duration", "is not in whole seconds: want such as `15s`");
    } else if duration > Duration::from_secs(3600) {
        findings.add("lease.duration", "is longer than an hour, in which nobody would poll");
    }
    if renew_deadline > duration * MOST_TENTHS / 10 {
        let most = duration * MOST_TENTHS / 10;
        let message = format!(
            "leaves no time to stop before another replica may start: want at most {} ms, four \
             fifths of `lease.duration`",
            most.as_millis()
        );
        findings.add("lease.renew_deadline", message);
    }
    if retry_period.is_zero() {
        findings.add("lease.retry_period", "is nothing: want one such as `2s`");
    } else if retry_period * LEAST_TRIES > renew_deadline {
        let message = "leaves no second try: want at most half of `lease.renew_deadline`";
        findings.add("lease.retry_period", message);
    }
    rules
}

/// Whether a text is a name of Kubernetes: a DNS label, or a subdomain of them.
fn is_name(text: &str, longest: usize, is_subdomain: bool) -> bool {
    let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_label = |label: &str| {
        label.starts_with(is_end)
            && label.ends_with(is_end)
            && label.chars().all(|c| is_end(c) || c == '-')
    };
    text.len() <= longest
        && if is_subdomain { text.split('.').all(is_label) } else { is_label(text) }
}
