//! GPU telemetry, the nodes behind it, their prices and states.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Url;
use rust_decimal::Decimal;

use super::{Names, kubernetes, label_safe};
use crate::config::file::{FileConfig, GpuFile, GpuProvider, GpuStatesFile, NodeFile};
use crate::config::structure::Findings;
use crate::config::values::{Figure, Span};
use crate::config::{GpuFrom, GpuSource, KubernetesConfig, PrometheusConfig};
use crate::domain::gpu_time::StateRules;
use crate::domain::identity::{Provider, SourceId};
use crate::domain::machine::Machine;
use crate::domain::money::Money;
use crate::domain::node::Node;

pub(super) fn sources(
    entries: &[GpuFile],
    clusters: &[KubernetesConfig],
    names: &mut Names,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings,
) -> Vec<GpuSource> {
    let mut sources = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("gpu[{index}]");
        let every = entry.every.unwrap_or(Span::seconds(30)).duration();
        let usual = Duration::from_secs(10).min(every);
        let timeout = entry.timeout.map_or(usual, Span::duration);
        if every < Duration::from_secs(1) {
            findings.add(&format!("{path}.every"), "is too often: want at least `1s`");
        } else if timeout > every {
            findings.add(
                &format!("{path}.timeout"),
                format!("{timeout:?} is longer than `every`, {every:?}"),
            );
        } else if timeout.is_zero() {
            findings.add(&format!("{path}.timeout"), "leaves no time: want one such as `10s`");
        }
        let kubernetes = match &entry.kubernetes {
            Some(_) => kubernetes::cluster_of(entry, &path, clusters, findings),
            None => None,
        };
        let from = from(entry, &path, kubernetes, environment, findings);
        let name = entry
            .name
            .as_deref()
            .filter(|name| names.take(name, &format!("{path}.name"), findings));
        if let (Some(name), Some(from)) = (name, from) {
            sources.push(GpuSource {
                name: SourceId::new(name),
                from,
                cluster: match (&entry.cluster, kubernetes) {
                    (Some(cluster), _) => cluster.clone(),
                    (None, Some(kubernetes)) => kubernetes.cluster.clone(),
                    (None, None) => name.to_owned(),
                },
                provider: match (entry.provider, kubernetes) {
                    (None, Some(kubernetes)) => kubernetes.provider,
                    (written, _) => provider(written),
                },
                capacity_type: entry.capacity_type.unwrap_or_default().into(),
                instance_type: entry.instance_type.clone(),
                region_id: entry.region_id.clone(),
                every,
                timeout,
            });
        }
    }
    sources
}

/// Where an entry's telemetry comes from.
fn from(
    entry: &GpuFile,
    path: &str,
    kubernetes: Option<&KubernetesConfig>,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings,
) -> Option<GpuFrom> {
    let ways = [
        entry.url.is_some(),
        entry.kubernetes.is_some(),
        entry.prometheus.is_some(),
        entry.nvml.is_some(),
    ];
    match ways.iter().filter(|way| **way).count() {
        1 => {}
        0 => {
            let message = "says not what is read: want `url`, `kubernetes`, `prometheus` or `nvml`";
            findings.add(path, message);
            return None;
        }
        _ => {
            let message =
                "wants one of `url`, `kubernetes`, `prometheus` and `nvml`, and has several";
            findings.add(path, message);
            return None;
        }
    }
    if let Some(url) = &entry.url {
        let page = address(url, &format!("{path}.url"), environment, findings)?;
        return Some(GpuFrom::Page(page.into()));
    }
    if let Some(pods) = &entry.kubernetes {
        return kubernetes::pods(pods, &format!("{path}.kubernetes"), kubernetes?, findings);
    }
    if let Some(nvml) = &entry.nvml {
        check_nvml(cfg!(feature = "nvml"), &format!("{path}.nvml"), findings);
        let path = format!("{path}.nvml.hostname");
        let hostname = nvml.hostname.as_deref();
        return Some(GpuFrom::Nvml {
            library: nvml.library.clone(),
            hostname: match hostname {
                Some(text) => Some(replaced(text, &path, environment, findings)?),
                None => entry.name.clone(),
            },
        });
    }
    let of = entry.prometheus.clone()?;
    let path = format!("{path}.prometheus");
    if of.user.is_some() != of.password.is_some() {
        findings.add(&path, "has one of `user` and `password`: want both or none");
    }
    let step = of.step.unwrap_or(Span::seconds(30)).duration();
    if step < Duration::from_secs(1) {
        findings.add(&format!("{path}.step"), "is too short: want at least `1s`");
    }
    let url = of.url.as_deref()?;
    Some(GpuFrom::Prometheus(Box::new(PrometheusConfig {
        url: address(url, &format!("{path}.url"), environment, findings)?.into(),
        bearer: of.bearer_token,
        basic: of.user.zip(of.password),
        tenant: of.tenant,
        selector: of.selector.unwrap_or_default(),
        cluster_label: of.cluster_label,
        node_label: of.node_label,
        pod_labels: of.pod_labels.unwrap_or_default(),
        step,
        delay: of.delay.map_or(Duration::ZERO, Span::duration),
    })))
}

/// Refuses NVML where the program was built without it.
fn check_nvml(is_built_in: bool, path: &str, findings: &mut Findings) {
    if !is_built_in {
        let message = "is not in this build: read an exporter, or build with the feature `nvml`";
        findings.add(path, message);
    }
}

/// An address with its variables replaced. Messages never repeat it: it may hold a token.
pub(super) fn address(
    text: &str,
    path: &str,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings,
) -> Option<Url> {
    let address = replaced(text, path, environment, findings)?;
    let url = Url::parse(&address)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if url.is_none() {
        findings.add(path, "is not an address: want one that begins with `http://` or `https://`");
    }
    url
}

/// A text with its `$(VARIABLE)`s replaced.
pub(super) fn replaced(
    text: &str,
    path: &str,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings,
) -> Option<String> {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("$(") {
        let Some((variable, behind)) = after.split_once(')') else {
            findings.add(path, "has a `$(` without its `)`");
            return None;
        };
        let Some(value) = environment.get(variable) else {
            findings.add(path, format!("the environment variable `{variable}` is not set"));
            return None;
        };
        whole.push_str(before);
        whole.push_str(value);
        rest = behind;
    }
    whole.push_str(rest);
    Some(whole)
}

pub(super) fn provider(written: Option<GpuProvider>) -> Option<Provider> {
    match written.unwrap_or_default() {
        GpuProvider::Aws => Some(Provider::Aws),
        GpuProvider::Gcp => Some(Provider::Gcp),
        GpuProvider::Azure => Some(Provider::Azure),
        GpuProvider::None => None,
    }
}

/// The configured nodes.
pub(super) fn nodes(entries: &[NodeFile], findings: &mut Findings) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("nodes[{index}]");
        let provider = provider(entry.provider);
        let (Some(name), Some(cluster)) = (&entry.name, &entry.cluster) else { continue };
        let same = |node: &Node| node.name == *name && node.cluster == *cluster;
        if let Some(other) = nodes.iter().position(same) {
            let message = format!("`{name}` is already the name at `nodes[{other}].name`");
            findings.add(&format!("{path}.name"), message);
        }
        if let Err(message) = label_safe(cluster) {
            findings.add(&format!("{path}.cluster"), message);
        }
        let hourly_cost = entry.hourly_cost.map(|cost| cost.0);
        if hourly_cost.is_some_and(|cost| cost.amount <= Decimal::ZERO) {
            findings.add(&format!("{path}.hourly_cost"), "is not a price: want more than nothing");
        }
        let machine = provider.zip(entry.instance_type.as_deref());
        let machine = machine.and_then(|(provider, name)| Machine::of(provider, name));
        let gpus = entry.gpus.or_else(|| machine.map(|machine| machine.gpus));
        if gpus == Some(0) {
            findings.add(&format!("{path}.gpus"), "is 0: a node without GPUs need not be named");
        }
        if hourly_cost.is_some() && gpus.is_none() {
            let message = "is missing: it divides `hourly_cost` into the price of a GPU";
            findings.add(&format!("{path}.gpus"), message);
        }
        nodes.push(Node {
            name: name.clone(),
            provider,
            cluster: cluster.clone(),
            instance_type: entry.instance_type.clone(),
            region_id: entry.region_id.clone(),
            zone: entry.zone.clone(),
            capacity_type: entry.capacity_type.unwrap_or_default().into(),
            gpus,
            hourly_cost,
        });
    }
    nodes
}

/// Prices of GPU-hours: those that are written, and those that follow from nodes' hourly costs,
/// under the machine type, else the cluster. Where nodes of one kind differ, the mean by GPU.
pub(super) fn hour_prices(
    file: &FileConfig,
    nodes: &[Node],
    findings: &mut Findings,
) -> BTreeMap<String, Money> {
    let mut sums: BTreeMap<String, (Money, u32)> = BTreeMap::new();
    for node in nodes {
        let (Some(cost), Some(gpus)) = (node.hourly_cost, node.gpus) else { continue };
        let key = node.instance_type.clone().unwrap_or_else(|| node.cluster.clone());
        let sum = sums.entry(key.clone()).or_insert((Money::zero(cost.currency), 0));
        match sum.0.checked_add(cost) {
            Ok(money) => *sum = (money, sum.1.saturating_add(gpus)),
            Err(_) => findings.add(
                "nodes",
                format!("nodes of `{key}` have an `hourly_cost` in several currencies"),
            ),
        }
    }
    let mut prices: BTreeMap<String, Money> = sums
        .into_iter()
        .filter_map(|(key, (cost, gpus))| {
            let price = cost.amount.checked_div(Decimal::from(gpus))?;
            Some((key, Money::new(price, cost.currency)))
        })
        .collect();
    for (key, price) in file.gpu_hour_prices.iter().flatten() {
        if price.0.amount <= Decimal::ZERO {
            let message = "is not a price: want more than nothing";
            findings.add(&format!("gpu_hour_prices.{key}"), message);
        }
        prices.insert(key.clone(), price.0);
    }
    prices
}

/// The thresholds between states.
pub(super) fn states(
    file: Option<&GpuStatesFile>,
    sources: &[GpuSource],
    findings: &mut Findings,
) -> StateRules {
    let mut share = |key: &str, written: Option<Figure>, usual: f64| {
        let Some(Figure(written)) = written else { return usual };
        let share = f64::try_from(written).unwrap_or(-1.0);
        if !(0.0..=1.0).contains(&share) {
            findings
                .add(&format!("gpu_states.{key}"), format!("`{written}` is not a share, 0 to 1"));
        }
        share
    };
    let written = file.cloned().unwrap_or_default();
    let usual = StateRules::default();
    let busy_from = share("busy_from", written.busy_from, usual.busy_from);
    let idle_below = share("idle_below", written.idle_below, usual.idle_below);
    let empty_below = share("empty_below", written.empty_below, usual.empty_below);
    let margin = share("margin", written.margin, usual.margin);
    if idle_below > busy_from {
        let message = format!("is above `busy_from`, {busy_from}");
        findings.add("gpu_states.idle_below", message);
    }
    // Between two readings of a Prometheus is a step.
    let between = |source: &GpuSource| match &source.from {
        GpuFrom::Prometheus(of) => of.step,
        GpuFrom::Page(_) | GpuFrom::Pods(_) | GpuFrom::Nvml { .. } => source.every,
    };
    let longest = sources.iter().map(between).max().unwrap_or_default();
    let least = Span::seconds(longest.as_secs().saturating_mul(3)).signed();
    let gap = written.gap.map_or(usual.gap, Span::signed).max(least);
    StateRules {
        busy_from,
        idle_below,
        empty_below,
        margin,
        window: written.window.map_or(usual.window, Span::signed),
        gap,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_nvml_says_so_before_anything_starts() {
        for (is_built_in, problems) in [(true, 0), (false, 1)] {
            let mut findings = Findings::default();
            check_nvml(is_built_in, "gpu[0].nvml", &mut findings);
            assert_eq!(findings.problems.len(), problems);
        }
    }
}
