//! What a structure cannot say: meanings, references and limits. All faults at once, each with its
//! path; what a structural fault already tells is not told again.

mod alerts;
mod bands;
mod gpu;
mod kubernetes;
mod lease;
mod notify;
mod role;
mod store;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use rust_decimal::Decimal;

use crate::config::file::{AlertingWord, ExchangeRateFile, FileConfig, LogFile, RoleWord};
use crate::config::structure::Findings;
use crate::config::values::Span;
use crate::config::{Config, LogConfig, SourceEntry};
use crate::domain::alerting::Alerting;
use crate::domain::exchange::ExchangeRates;
use crate::domain::identity::{Provider, SourceId};

const DEFAULT_SERIES_LIMIT: u32 = 200;
const LONGEST_GROUP_WAIT: Duration = Duration::from_secs(600);

/// Makes what the program uses of what is sound, and notes what is not.
pub(super) fn validate(
    file: FileConfig,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings,
) -> Config {
    let (role, node, central) = role::role(&file, environment, findings);
    let mut names = Names::default();
    let sources = sources(&file, &mut names, findings);
    let entries = file.gpu.as_deref().unwrap_or_default();
    let written = file.kubernetes.as_deref().unwrap_or_default();
    let kubernetes = kubernetes::clusters(written, findings);
    let gpu = gpu::sources(entries, &kubernetes, &mut names, environment, findings);
    let lease = lease::lease(file.lease.as_ref(), environment, findings);
    let nodes = gpu::nodes(file.nodes.as_deref().unwrap_or_default(), findings);
    let gpu_hour_prices = gpu::hour_prices(&file, &nodes, findings);
    let gpu_states = gpu::states(file.gpu_states.as_ref(), &gpu, findings);
    let written = ["sources", "gpu"].iter().any(|key| !findings.is_sound(key));
    if sources.is_empty() && file.gpu.iter().flatten().next().is_none() && !written {
        let message = match file.role.unwrap_or_default() {
            RoleWord::Central => {
                "there is nothing to read: want a bill under `sources` or a page under `gpu`"
            }
            RoleWord::Node | RoleWord::Sidecar => {
                "there is nothing to read: want the own node's exporter under `gpu`"
            }
        };
        findings.add("", message);
    }
    let receivers = notify::receivers(&file, environment, findings);
    let known = Known {
        names: receivers.iter().map(|receiver| receiver.name.as_str()).collect(),
        complete: findings.is_sound("notify"),
    };
    let heartbeat = notify::heartbeat(file.heartbeat.as_ref(), &known, findings);
    let link = |text: Option<&str>, path: &str, findings: &mut Findings| {
        text.and_then(|text| gpu::address(text, path, environment, findings))
    };
    let external_url = link(file.external_url.as_deref(), "external_url", findings);
    let dashboard_url = link(file.dashboard_url.as_deref(), "dashboard_url", findings);
    let bands = bands::bands(file.bands.as_deref(), &sources, &known, findings);
    let names = alerts::Names { bands: &bands, sources: &sources, gpu: &gpu, receivers: &known };
    let alerts = Arc::new(alerts::alerts(file.alerts.as_ref(), &names, findings));
    let log = file.log.unwrap_or_default();
    Config {
        listen: listen(file.listen.as_deref(), findings),
        role,
        node,
        central,
        operator_token: file.web.as_ref().and_then(|web| web.operator_token.clone()),
        bearer_token: file.web.and_then(|web| web.bearer_token),
        language: file.language.unwrap_or_default(),
        log: log_config(log),
        store: store::store(file.store.unwrap_or_default(), environment, findings),
        gpu,
        kubernetes,
        lease,
        nodes,
        gpu_hour_prices,
        gpu_states,
        bands,
        exchange_rates: exchange_rates(
            file.exchange_rates.as_deref().unwrap_or_default(),
            findings,
        ),
        alerts,
        alerting: match file.alerting.unwrap_or_default() {
            AlertingWord::Agent => Alerting::Agent,
            AlertingWord::Prometheus => Alerting::Prometheus,
        },
        group_wait: group_wait(file.group_wait, findings),
        receivers,
        heartbeat,
        external_url,
        dashboard_url,
        series_limit_per_dimension: file
            .series
            .and_then(|series| series.limit_per_dimension)
            .unwrap_or(DEFAULT_SERIES_LIMIT),
        sources,
    }
}

/// Names that may be referred to. Where an entry is faulty, not all of them are known.
struct Known<'a> {
    names: Vec<&'a str>,
    complete: bool,
}

/// Where each name was given, to keep them apart.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    /// Notes a name that must be unique and fit into a label; whether it is and does.
    fn take(&mut self, name: &str, path: &str, findings: &mut Findings) -> bool {
        if let Err(message) = label_safe(name) {
            findings.add(path, message);
            return false;
        }
        if let Some(other) = self.0.get(name) {
            findings.add(path, format!("`{name}` is already the name at `{other}`"));
            return false;
        }
        self.0.insert(name.to_owned(), path.to_owned());
        true
    }
}

/// Names become label values, file names and parts of addresses.
fn label_safe(name: &str) -> Result<(), String> {
    let fits = name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if fits {
        Ok(())
    } else {
        Err("is not a name: want 1 to 63 letters, digits, `-`, `_` and `.`, a letter or digit first"
            .to_owned())
    }
}

fn sources(file: &FileConfig, names: &mut Names, findings: &mut Findings) -> Vec<SourceEntry> {
    let mut sources = Vec::new();
    for (kind, entries) in file.sources.iter().flatten() {
        for (index, value) in entries.iter().enumerate() {
            let path = format!("sources.{kind}[{index}]");
            let name_path = format!("{path}.name");
            let Some(name) = value.get("name").and_then(serde_json::Value::as_str) else {
                findings.add(&name_path, "is missing");
                continue;
            };
            names.take(name, &name_path, findings);
            sources.push(SourceEntry {
                kind: kind.clone(),
                name: SourceId::new(name),
                provider: Provider::ALL.into_iter().find(|provider| provider.as_str() == kind),
                path,
                value: value.clone(),
            });
        }
    }
    sources
}

fn group_wait(written: Option<Span>, findings: &mut Findings) -> SignedDuration {
    let wait = written.unwrap_or(Span::seconds(30)).duration();
    if wait > LONGEST_GROUP_WAIT {
        findings.add("group_wait", "keeps people waiting: want `10m` at most");
    }
    SignedDuration::try_from(wait).unwrap_or_default()
}

fn listen(text: Option<&str>, findings: &mut Findings) -> SocketAddr {
    let usual = SocketAddr::from(([127, 0, 0, 1], 9750));
    let Some(text) = text else { return usual };
    text.parse().unwrap_or_else(|_| {
        findings.add(
            "listen",
            format!("`{text}` is not an address and a port: want such as `127.0.0.1:9750` or `[::]:9750`"),
        );
        usual
    })
}

fn log_config(log: LogFile) -> LogConfig {
    LogConfig { format: log.format.unwrap_or_default(), filter: log.filter }
}

fn exchange_rates(lines: &[ExchangeRateFile], findings: &mut Findings) -> ExchangeRates {
    let mut table = ExchangeRates::new();
    for (index, line) in lines.iter().enumerate() {
        let path = format!("exchange_rates[{index}]");
        if line.rate.is_some_and(|rate| rate.0 <= Decimal::ZERO) {
            findings.add(&format!("{path}.rate"), "is not above zero");
            continue;
        }
        let (Some(from), Some(to), Some(date), Some(rate)) =
            (line.from, line.to, line.date, line.rate)
        else {
            continue;
        };
        if from == to {
            findings.add(&format!("{path}.to"), format!("`{}` is worth itself", to.0));
        } else if table.insert(from.0, to.0, date.0, rate.0).is_some() {
            findings.add(
                &format!("{path}.date"),
                format!("`{}` has a rate from {} to {} already", date.0, from.0, to.0),
            );
        }
    }
    table
}
