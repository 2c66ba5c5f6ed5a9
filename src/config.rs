//! Configuration: what a user writes becomes what the program uses, or a list of problems.
//!
//! YAML -> overrides from the environment -> structure against the JSON Schema -> types -> meaning.
//! Each stage goes on with what is sound, so that all faults are told at once.

pub mod address;
mod environment;
pub mod file;
pub mod problems;
mod schema;
pub mod secret;
mod structure;
mod validate;
pub mod values;
mod yaml;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use crate::config::address::Address;
use crate::config::file::{FileConfig, Language, LogFormat};
use crate::config::problems::{Problem, Problems};
pub use crate::config::schema::{SourceSchema, schema};
use crate::config::secret::SecretRef;
use crate::config::structure::{Findings, RENAMED};
use crate::domain::alert_policy::AlertPolicies;
use crate::domain::alerting::Alerting;
use crate::domain::band::Band;
use crate::domain::exchange::ExchangeRates;
use crate::domain::gpu_time::StateRules;
use crate::domain::identity::{Provider, SourceId};
use crate::domain::lease::LeaseRules;
use crate::domain::money::Money;
use crate::domain::node::Node;
use crate::domain::pods::{PodLabels, PodPages};
use crate::domain::price::CapacityType;
use crate::domain::role::Role;

/// A whole, valid configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the HTTP face listens.
    pub listen: SocketAddr,
    /// What the agent is for.
    pub role: Role,
    /// The own node's name, where it is configured.
    pub node: Option<String>,
    /// The central agent that is asked of the own node; none for a central agent.
    pub central: Option<CentralConfig>,
    /// The token that requests must bear; none asks for none.
    pub bearer_token: Option<SecretRef>,
    /// The token that a change must bear; none for `bearer_token`.
    pub operator_token: Option<SecretRef>,
    /// The language of the page and of messages.
    pub language: Language,
    /// What the agent says about itself.
    pub log: LogConfig,
    /// The ledger.
    pub store: StoreConfig,
    /// The billing sources, by kind and then in the order of the file; names are unique, among
    /// `gpu` too.
    pub sources: Vec<SourceEntry>,
    /// The pages of GPU telemetry.
    pub gpu: Vec<GpuSource>,
    /// The Kubernetes clusters whose API is asked; names are unique.
    pub kubernetes: Vec<KubernetesConfig>,
    /// The Lease that several replicas share; none for an agent that is alone.
    pub lease: Option<LeaseConfig>,
    /// Nodes that are configured, by name.
    pub nodes: Vec<Node>,
    /// What an hour of a GPU costs, by machine type or cluster.
    pub gpu_hour_prices: BTreeMap<String, Money>,
    /// When a GPU is in which state.
    pub gpu_states: StateRules,
    /// The bands; each has limits and a unique name.
    pub bands: Vec<Band>,
    /// The dated table of exchange rates.
    pub exchange_rates: ExchangeRates,
    /// What is alerted, at which thresholds, and who is told.
    pub alerts: Arc<AlertPolicies>,
    /// Who tells of money.
    pub alerting: Alerting,
    /// How long an alert waits for others that come up with it.
    pub group_wait: SignedDuration,
    /// Who is told, by kind and then in the order of the file; names are unique.
    pub receivers: Vec<ReceiverEntry>,
    /// The sign of life; none is sent without it.
    pub heartbeat: Option<HeartbeatConfig>,
    /// Where people open the page.
    pub external_url: Option<Url>,
    /// A dashboard that messages link to.
    pub dashboard_url: Option<Url>,
    /// How many values of one dimension become series.
    pub series_limit_per_dimension: u32,
}

/// A central agent to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CentralConfig {
    /// Its page's address, before `/api/v1`.
    pub url: Address,
    /// Its bearer token.
    pub bearer: Option<SecretRef>,
    /// How often it is asked.
    pub every: Duration,
    /// How long it may take to answer.
    pub timeout: Duration,
}

/// What the agent says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// How lines look.
    pub format: LogFormat,
    /// Which lines, in the words of `RUST_LOG`.
    pub filter: Option<String>,
}

impl LogConfig {
    /// Which lines, by default too.
    pub fn filter(&self) -> &str {
        self.filter.as_deref().unwrap_or("info")
    }
}

/// The ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// Where it is.
    pub place: StorePlace,
    /// How long days are kept.
    pub retention: SignedDuration,
}

/// Where the ledger is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePlace {
    /// A SQLite file, or `:memory:`.
    Path(PathBuf),
    /// A PostgreSQL database.
    Postgres(PostgresConfig),
}

/// A PostgreSQL database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresConfig {
    /// The host's name or address, or the folder of its Unix socket.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role.
    pub user: String,
    /// Its password.
    pub password: Option<SecretRef>,
    /// How far the server is trusted.
    pub ssl_mode: SslMode,
    /// The roots that sign its certificate; the system's where none are named.
    pub root_certificate: Option<PathBuf>,
}

/// How far a PostgreSQL server is trusted, in libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS where the server has it.
    Prefer,
    /// TLS, with any certificate; with roots as `VerifyCa`.
    Require,
    /// TLS, with a certificate that a root has signed.
    VerifyCa,
    /// TLS, with a certificate that a root has signed for the server's name.
    VerifyFull,
}

/// One entry under `sources`, to be built by its kind. Its structure is that of the kind's schema;
/// keys without a value are left out.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceEntry {
    /// The kind: the key under `sources`.
    pub kind: String,
    /// Its unique name.
    pub name: SourceId,
    /// The provider, where the kind is named after one.
    pub provider: Option<Provider>,
    /// `sources.aws[0]`, for problems.
    pub path: String,
    /// The entry.
    pub value: Value,
}

/// A page of GPU telemetry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuSource {
    /// Its unique name.
    pub name: SourceId,
    /// What is read.
    pub from: GpuFrom,
    /// The cluster that the GPUs belong to.
    pub cluster: String,
    /// The cloud that the GPUs are in; none on premises.
    pub provider: Option<Provider>,
    /// How the capacity was bought.
    pub capacity_type: CapacityType,
    /// The machine type of its nodes.
    pub instance_type: Option<String>,
    /// The region of its nodes.
    pub region_id: Option<String>,
    /// How often it is read.
    pub every: Duration,
    /// How long one reading may take; never longer than `every`.
    pub timeout: Duration,
}

impl GpuSource {
    /// Whether what was missed can be read later.
    pub fn has_past(&self) -> bool {
        matches!(self.from, GpuFrom::Prometheus(_))
    }
}

/// Where GPU telemetry comes from. Addresses are http or https, variables replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GpuFrom {
    /// An exporter's page.
    Page(Address),
    /// The pages of pods.
    Pods(PodsConfig),
    /// A Prometheus that scrapes the exporters.
    Prometheus(Box<PrometheusConfig>),
    /// NVIDIA's driver library.
    Nvml {
        /// The library's file, where it is not found by its name.
        library: Option<PathBuf>,
        /// The node's name.
        hostname: Option<String>,
    },
}

impl fmt::Display for GpuFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page(url) => write!(f, "{url}"),
            Self::Pods(of) => {
                let (namespace, cluster) = (&of.pages.namespace, &of.kubernetes.cluster);
                write!(f, "pods in the namespace `{namespace}` of the cluster `{cluster}`")
            }
            Self::Prometheus(of) => write!(f, "PromQL at {}", of.url),
            Self::Nvml { .. } => f.write_str("NVIDIA's driver library"),
        }
    }
}

/// A Kubernetes cluster whose API is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesConfig {
    /// Its name.
    pub cluster: String,
    /// The kubeconfig, where it is not the usual one or the pod's own identity.
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context.
    pub context: Option<String>,
    /// Whether its nodes are watched.
    pub nodes: bool,
    /// The cloud of nodes that do not tell theirs.
    pub provider: Option<Provider>,
}

/// The Lease that several replicas share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseConfig {
    /// Its name.
    pub name: String,
    /// Its namespace, where it is not the pod's own.
    pub namespace: Option<String>,
    /// The kubeconfig, where it is not the usual one or the pod's own identity.
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context.
    pub context: Option<String>,
    /// What the replica is called, where it is not the host's name.
    pub identity: Option<String>,
    /// Where the replica's page is. It holds no secret.
    pub address: Option<Address>,
    /// Its times.
    pub rules: LeaseRules,
}

/// Pods that serve GPU telemetry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodsConfig {
    /// Their cluster.
    pub kubernetes: KubernetesConfig,
    /// Which, and where their pages are.
    pub pages: PodPages,
}

/// A Prometheus to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrometheusConfig {
    /// The API's base, before `/api/v1`.
    pub url: Address,
    /// A bearer token.
    pub bearer: Option<SecretRef>,
    /// A user and a password.
    pub basic: Option<(String, SecretRef)>,
    /// The tenant.
    pub tenant: Option<String>,
    /// Further label matchers.
    pub selector: String,
    /// The label that tells a series' cluster.
    pub cluster_label: Option<String>,
    /// The label that tells a series' node.
    pub node_label: Option<String>,
    /// Which labels name the pod that holds a GPU.
    pub pod_labels: PodLabels,
    /// The time between two readings of a GPU.
    pub step: Duration,
    /// How late samples may come.
    pub delay: Duration,
}

/// One entry under `notify`, to be built by its kind. Its structure is that of the kind's schema;
/// variables in its addresses are replaced.
#[derive(Clone, PartialEq)]
pub struct ReceiverEntry {
    /// The kind: the key under `notify`.
    pub kind: String,
    /// Its unique name.
    pub name: String,
    /// `notify.slack[0]`, for problems.
    pub path: String,
    /// The entry. An address in it may hold a token.
    pub value: Value,
}

impl fmt::Debug for ReceiverEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind, self.name)
    }
}

/// The sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatConfig {
    /// How often it is sent.
    pub every: Duration,
    /// The receivers that are sent it.
    pub receivers: Vec<String>,
}

/// The kinds of entries that a configuration may hold.
#[derive(Clone, Copy, Default)]
pub struct Kinds<'a> {
    /// Under `sources`.
    pub sources: &'a [SourceSchema],
    /// Under `notify`.
    pub receivers: &'a [SourceSchema],
}

/// An entry whose structure is sound, to be built by its kind.
#[derive(Debug, Clone, Copy)]
pub enum Entry<'a> {
    /// Of `sources`.
    Source(&'a SourceEntry),
    /// Of `notify`.
    Receiver(&'a ReceiverEntry),
}

/// Reads a configuration: its text, the environment as it is, and the kinds of entries in this
/// build.
///
/// # Errors
/// Every fault at once, in the order of their paths.
pub fn load(
    text: &str,
    environment: impl Iterator<Item = (String, String)>,
    kinds: Kinds<'_>,
) -> Result<Config, Problems> {
    load_and_build(text, environment, kinds, |_, _, _| {})
}

/// Reads a configuration as [`load`] does, and hands each entry under `sources` and `notify` whose
/// structure is sound to `build`, which makes something of it or notes what is wrong, so that these
/// faults are told together with all others.
///
/// # Errors
/// Every fault at once, in the order of their paths.
pub fn load_and_build(
    text: &str,
    environment: impl Iterator<Item = (String, String)>,
    kinds: Kinds<'_>,
    mut build: impl FnMut(Entry<'_>, &Config, &mut Problems),
) -> Result<Config, Problems> {
    let environment: BTreeMap<String, String> = environment.collect();
    let schema = schema(kinds);
    let document = schema::Document(&schema);
    let mut findings = Findings::default();
    let mut value = yaml::read(text).map_err(|message| {
        let mut problems = Problems::new();
        problems.add("", message);
        problems
    })?;
    let set = environment::apply(&document, &environment, &mut value, &mut findings.problems);
    structure::check(&document, RENAMED, &mut value, &mut findings);
    let config = match FileConfig::deserialize(value) {
        Ok(file) => Some(validate::validate(file, &environment, &mut findings)),
        Err(_) => {
            // The error's text may hold a value that is a secret.
            findings.add("", "its types and its schema disagree, which is a fault of costband");
            None
        }
    };
    let entries = config.iter().flat_map(|config| {
        let sources = config.sources.iter().map(|one| (&one.path, Entry::Source(one)));
        let receivers = config.receivers.iter().map(|one| (&one.path, Entry::Receiver(one)));
        sources.chain(receivers).map(move |(path, entry)| (path, entry, config))
    });
    for (path, entry, config) in entries {
        if !findings.is_sound(path) {
            continue;
        }
        let mut found = Problems::new();
        build(entry, config, &mut found);
        for problem in found.iter() {
            if findings.problems.iter().all(|known| known.path != problem.path) {
                findings.problems.add(&problem.path, &problem.message);
            }
        }
    }
    match config {
        Some(config) if findings.problems.is_empty() => Ok(config),
        _ => Err(told(&findings.problems, &set)),
    }
}

/// The problems by path, each once, with the variable that set what is wrong.
fn told(found: &Problems, set: &BTreeMap<String, String>) -> Problems {
    let mut sorted: Vec<Problem> = found.iter().cloned().collect();
    sorted.sort_by_cached_key(|problem| (natural(&problem.path), problem.message.clone()));
    sorted.dedup();
    let mut problems = Problems::new();
    for problem in sorted {
        let variable = set.iter().find(|(path, variable)| {
            let rest = problem.path.strip_prefix(path.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                && !problem.message.contains(variable.as_str())
        });
        match variable {
            Some((_, variable)) => problems.add(
                problem.path,
                format!("{} (from the environment variable `{variable}`)", problem.message),
            ),
            None => problems.add(problem.path, problem.message),
        }
    }
    problems
}

/// A key by which `bands[10]` comes after `bands[2]`.
fn natural(path: &str) -> Vec<(u64, String)> {
    path.split(['.', '[', ']'])
        .map(|part| match part.parse() {
            Ok(index) => (index, String::new()),
            Err(_) => (u64::MAX, part.to_owned()),
        })
        .collect()
}
