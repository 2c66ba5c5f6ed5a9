//! Receivers: their names, and the addresses that may hold variables. The rest is each kind's.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{Known, Names, gpu};
use crate::config::file::{FileConfig, HeartbeatFile};
use crate::config::structure::{Findings, nearest, quoted};
use crate::config::values::Span;
use crate::config::{HeartbeatConfig, ReceiverEntry};

/// Keys whose texts are addresses with variables.
const ADDRESSES: [&str; 2] = ["url", "urls"];

pub(super) fn receivers(
    file: &FileConfig,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings,
) -> Vec<ReceiverEntry> {
    let mut names = Names::default();
    let mut receivers = Vec::new();
    for (kind, entries) in file.notify.iter().flatten() {
        for (index, value) in entries.iter().enumerate() {
            let path = format!("notify.{kind}[{index}]");
            let name_path = format!("{path}.name");
            let Some(name) = value.get("name").and_then(Value::as_str) else {
                findings.add(&name_path, "is missing");
                continue;
            };
            names.take(name, &name_path, findings);
            let mut value = value.clone();
            for key in ADDRESSES {
                if let Some(written) = value.get_mut(key) {
                    replace(written, &format!("{path}.{key}"), environment, findings);
                }
            }
            receivers.push(ReceiverEntry {
                kind: kind.clone(),
                name: name.to_owned(),
                path,
                value,
            });
        }
    }
    receivers
}

fn replace(
    written: &mut Value,
    path: &str,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings,
) {
    match written {
        Value::String(text) => {
            if let Some(url) = gpu::address(text, path, environment, findings) {
                *text = url.into();
            }
        }
        Value::Array(many) => {
            for (index, one) in many.iter_mut().enumerate() {
                replace(one, &format!("{path}[{index}]"), environment, findings);
            }
        }
        _ => {}
    }
}

pub(super) fn heartbeat(
    file: Option<&HeartbeatFile>,
    receivers: &Known<'_>,
    findings: &mut Findings,
) -> Option<HeartbeatConfig> {
    let file = file?;
    let every = file.every.unwrap_or(Span::seconds(60)).duration();
    if every < Duration::from_secs(1) {
        findings.add("heartbeat.every", "is too often: want at least `1s`");
    }
    let names = file.receivers.clone().unwrap_or_default();
    if names.is_empty() {
        findings.add("heartbeat.receivers", "names nobody: want the receivers that are sent it");
    }
    for (index, name) in names.iter().enumerate() {
        if receivers.complete && !receivers.names.contains(&name.as_str()) {
            let known = receivers.names.iter().copied();
            let hint = match nearest(name, known.clone()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("want one of {}", quoted(known)),
            };
            let path = format!("heartbeat.receivers[{index}]");
            findings.add(&path, format!("there is no receiver `{name}`: {hint}"));
        }
    }
    Some(HeartbeatConfig { every, receivers: names })
}
