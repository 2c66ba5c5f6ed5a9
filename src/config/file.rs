//! What a user writes: the types behind the configuration file, and their defaults in words.
//!
//! Doc comments become the descriptions of the JSON Schema. Every field may be missing here, so
//! that what is sound of a faulty file can still be looked at; `required` stands in the schema.

mod alerts;
mod kubernetes;
mod lease;
mod role;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::config::secret::SecretRef;
use crate::config::values::{Amount, CurrencyCode, Day, Figure, Span};
use crate::domain::pods::PodLabels;
use crate::domain::price;
pub use alerts::*;
pub use kubernetes::{KubernetesFile, PodPortWord, PodsFile, SchemeWord};
pub use lease::LeaseFile;
pub use role::{CentralFile, PodFile, RoleWord};

/// The configuration of costband. Durations and sizes carry a unit, secrets are named by file or
/// environment variable, and any key can be overridden by a variable such as
/// `COSTBAND__STORE__PATH`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// The address of metrics, JSON and the page; `127.0.0.1:9750` by default.
    pub listen: Option<String>,
    /// What the agent is for, so that one role exports a GPU; `central` by default.
    pub role: Option<RoleWord>,
    /// The own node's name, for `role: node` and `role: sidecar`. `$(VARIABLE)` is replaced from the
    /// environment, as in `$(NODE_NAME)`; by default what the exporter's page calls it.
    pub node: Option<String>,
    /// The own pod, for `role: sidecar`.
    pub pod: Option<PodFile>,
    /// The central agent that knows the own node's machine and prices, for `role: node` and
    /// `role: sidecar`; without it both are inferred.
    pub central: Option<CentralFile>,
    /// The HTTP face.
    pub web: Option<WebFile>,
    /// The language of the page and of messages; `en` by default.
    pub language: Option<Language>,
    /// What the agent says about itself on stderr.
    pub log: Option<LogFile>,
    /// The ledger.
    pub store: Option<StoreFile>,
    /// The bills that are read: for each kind of source a list of entries.
    pub sources: Option<BTreeMap<String, Vec<Value>>>,
    /// The GPU telemetry that is read: exporters' pages, a Prometheus, the driver's library.
    pub gpu: Option<Vec<GpuFile>>,
    /// Kubernetes clusters whose API is asked: what their nodes are, and which pods serve GPU
    /// telemetry.
    pub kubernetes: Option<Vec<KubernetesFile>>,
    /// The Kubernetes Lease that decides which of several replicas polls and notifies; the others
    /// follow. Without this key the agent is alone.
    pub lease: Option<LeaseFile>,
    /// Nodes with GPUs that Kubernetes does not tell of, and what it does not tell of its nodes:
    /// what they are and what they cost.
    pub nodes: Option<Vec<NodeFile>>,
    /// What an hour of one GPU costs where neither a bill nor a list tells it, by machine type or
    /// cluster.
    pub gpu_hour_prices: Option<BTreeMap<String, Amount>>,
    /// When a GPU counts as busy, idle or empty.
    pub gpu_states: Option<GpuStatesFile>,
    /// The bands that spend is held against. Without this key: the preset of each cloud that
    /// `sources` names. An empty list: none.
    pub bands: Option<Vec<BandFile>>,
    /// Rates for bills that are not in their band's currency and whose provider tells no figure in
    /// it.
    pub exchange_rates: Option<Vec<ExchangeRateFile>>,
    /// What is alerted: for each rule a list of entries. Without this key every rule holds with its
    /// defaults.
    pub alerts: Option<AlertsFile>,
    /// Who tells of money, so that nothing is told twice; `agent` by default.
    pub alerting: Option<AlertingWord>,
    /// How long an alert waits for others that come up with it, so that people get one message; `30s`
    /// by default, `10m` at most.
    pub group_wait: Option<Span>,
    /// Who is told: for each kind of receiver a list of entries.
    pub notify: Option<BTreeMap<String, Vec<Value>>>,
    /// A sign of life, sent again and again, so that its absence is noticed.
    pub heartbeat: Option<HeartbeatFile>,
    /// Where people open the page, for the links of messages; messages have none without it.
    /// `$(VARIABLE)` is replaced from the environment.
    pub external_url: Option<String>,
    /// A dashboard that messages link to. `$(VARIABLE)` is replaced from the environment.
    pub dashboard_url: Option<String>,
    /// Limits on the number of exported series.
    pub series: Option<SeriesFile>,
}

/// The HTTP face.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebFile {
    /// The token that every request but the health checks must bear; none is asked by default. A
    /// browser takes it as the password of any name.
    pub bearer_token: Option<SecretRef>,
}

/// A language that people read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Korean.
    Ko,
}

/// Who tells of money.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertingWord {
    /// The agent, to the receivers under `notify`.
    #[default]
    Agent,
    /// Prometheus, by its rules; the receivers hear of the agent's own health alone.
    Prometheus,
}

/// What the agent says about itself on stderr.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogFile {
    /// How lines look; `auto` by default.
    pub format: Option<LogFormat>,
    /// Which lines, in the words of `RUST_LOG`; `info` by default.
    pub filter: Option<String>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// Text for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The ledger.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreFile {
    /// The ledger's file; `costband.db` in the working directory by default. `:memory:` keeps it
    /// in memory, for node agents and sidecars without a disk: counters then begin anew with the
    /// process.
    pub path: Option<PathBuf>,
    /// A PostgreSQL database in place of a file, for several replicas:
    /// `postgres://user@host:5432/database`. `?sslmode=` takes the words of libpq and is
    /// `verify-full` by default, `prefer` for a server on the same machine without
    /// `root_certificate`. `$(VARIABLE)` is replaced from the environment.
    pub url: Option<String>,
    /// The password of the database's user.
    pub password: Option<SecretRef>,
    /// The file of the certificates that sign the database server's; the system's or those of
    /// `SSL_CERT_FILE` by default. Not with `sslmode=disable` or `prefer`, nor over a Unix socket.
    pub root_certificate: Option<PathBuf>,
    /// How long days are kept; `800d` by default, `93d` at least.
    pub retention: Option<Span>,
}

/// A page of GPU telemetry.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GpuFile {
    /// A unique name: the `source` label.
    #[schemars(with = "String")]
    pub name: Option<String>,
    /// An exporter's page (dcgm-exporter, AMD's device-metrics-exporter). `$(VARIABLE)` is replaced
    /// from the environment, as in `http://$(HOST_IP):9400/metrics`. One of `url`, `kubernetes`,
    /// `prometheus` and `nvml` is wanted.
    pub url: Option<String>,
    /// The exporters' pods, found by their labels and read one by one.
    pub kubernetes: Option<PodsFile>,
    /// The Prometheus that scrapes the exporters already, for fleets of any size.
    pub prometheus: Option<PrometheusFile>,
    /// NVIDIA's driver library, on a node without an exporter.
    pub nvml: Option<NvmlFile>,
    /// The cluster that the GPUs belong to; the entry's name by default, and beside `kubernetes` the
    /// only cluster there.
    pub cluster: Option<String>,
    /// The cloud that the GPUs are in; `none` by default, for one's own hardware. What is known of a
    /// node goes before it.
    pub provider: Option<GpuProvider>,
    /// How the capacity was bought; `unknown` by default.
    pub capacity_type: Option<CapacityType>,
    /// The machine type of its nodes, such as `p5.48xlarge`, where `nodes` does not name them;
    /// guessed from the GPUs by default.
    pub instance_type: Option<String>,
    /// The region of its nodes, where `nodes` does not name them.
    pub region_id: Option<String>,
    /// How often the page is read; `30s` by default.
    pub every: Option<Span>,
    /// How long one reading may take; `10s` by default, and never longer than `every`.
    pub timeout: Option<Span>,
}

/// A Prometheus, or what speaks its API: Thanos, Mimir, VictoriaMetrics.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrometheusFile {
    /// The API's base, before `/api/v1`. `$(VARIABLE)` is replaced from the environment.
    #[schemars(with = "String")]
    pub url: Option<String>,
    /// A bearer token.
    pub bearer_token: Option<SecretRef>,
    /// The user of basic authentication.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<SecretRef>,
    /// The tenant, sent as `X-Scope-OrgID` (Mimir, Cortex).
    pub tenant: Option<String>,
    /// Further label matchers in PromQL's words, such as `cluster="train",env=~"prod.*"`.
    pub selector: Option<String>,
    /// The label that tells a series' cluster, where one Prometheus has several.
    pub cluster_label: Option<String>,
    /// The label that tells a series' node, where it is not the exporter's `Hostname`.
    pub node_label: Option<String>,
    /// Which labels name the pod that holds a GPU; `detect` by default.
    pub pod_labels: Option<PodLabels>,
    /// The time between two readings of a GPU, the scrape interval or longer; `30s` by default.
    pub step: Option<Span>,
    /// How late samples may come; none by default.
    pub delay: Option<Span>,
}

/// NVIDIA's driver library.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NvmlFile {
    /// The library's file, where it is not found as `libnvidia-ml.so.1`.
    pub library: Option<PathBuf>,
    /// The node's name. `$(VARIABLE)` is replaced from the environment, as in `$(NODE_NAME)`; the
    /// entry's name by default.
    pub hostname: Option<String>,
}

/// A node with GPUs.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeFile {
    /// Its name, as telemetry tells it.
    #[schemars(with = "String")]
    pub name: Option<String>,
    /// The cluster that it belongs to.
    #[schemars(with = "String")]
    pub cluster: Option<String>,
    /// The cloud that it is in; `none` by default, for one's own hardware.
    pub provider: Option<GpuProvider>,
    /// Its machine type.
    pub instance_type: Option<String>,
    /// Its region.
    pub region_id: Option<String>,
    /// The zone within the region.
    pub zone: Option<String>,
    /// How it was bought; `unknown` by default.
    pub capacity_type: Option<CapacityType>,
    /// How many GPUs it should have; those of its machine type by default.
    pub gpus: Option<u32>,
    /// What an hour of it costs: for one's own hardware amortisation, power and staff.
    pub hourly_cost: Option<Amount>,
}

/// When a GPU counts as busy, idle or empty. Shares are 0 to 1.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GpuStatesFile {
    /// From this share of engine time on it is busy; `0.3` by default.
    pub busy_from: Option<Figure>,
    /// Below this share of engine time its engines are idle; `0.05` by default.
    pub idle_below: Option<Figure>,
    /// Below this share of its memory nothing is loaded; `0.02` by default.
    pub empty_below: Option<Figure>,
    /// A state is left so far below its threshold, as a share of it; `0.2` by default.
    pub margin: Option<Figure>,
    /// Over how long engine time is averaged; `1m` by default.
    pub window: Option<Span>,
    /// A longer silence is unknown; `3m` by default, and three readings at least.
    pub gap: Option<Span>,
}

/// Where GPUs are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GpuProvider {
    /// Amazon Web Services.
    Aws,
    /// Google Cloud.
    Gcp,
    /// Azure.
    Azure,
    /// In no cloud.
    #[default]
    None,
}

/// How GPU capacity was bought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CapacityType {
    /// By the hour, for as long as wanted.
    OnDemand,
    /// By the hour, until the provider wants it back.
    Spot,
    /// For a term.
    Reserved,
    /// Not known.
    #[default]
    Unknown,
}

impl From<CapacityType> for price::CapacityType {
    fn from(written: CapacityType) -> Self {
        match written {
            CapacityType::OnDemand => Self::OnDemand,
            CapacityType::Spot => Self::Spot,
            CapacityType::Reserved => Self::Reserved,
            CapacityType::Unknown => Self::Unknown,
        }
    }
}

/// A band: which money, between which limits, for a month.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BandFile {
    /// A unique name: the `band` label. A preset's name by default.
    pub name: Option<String>,
    /// Provider, floor and ceiling of a cloud's usual month with one GPU cluster: `aws`
    /// 50,000-100,000, `gcp` 45,000-90,000, `azure` 48,000-95,000 USD. Each can be overridden.
    pub preset: Option<CloudName>,
    /// All sources of one cloud. With neither this nor `sources`: every source.
    pub provider: Option<CloudName>,
    /// The named sources.
    pub sources: Option<Vec<String>>,
    /// What narrows the money further: all dimensions must match, any value of each.
    pub scope: Option<ScopeFile>,
    /// Whether invoiced or amortised cost is held against the band; `effective` by default.
    pub basis: Option<Basis>,
    /// What counts besides usage and purchases; nothing by default.
    pub counts: Option<Vec<ExtraCategory>>,
    /// The currency of floor and ceiling; `USD` by default.
    pub currency: Option<CurrencyCode>,
    /// The least that a month is expected to cost.
    pub floor: Option<Figure>,
    /// The most that a month may cost.
    pub ceiling: Option<Figure>,
    /// Floors and ceilings with the day from which they hold, instead of `floor` and `ceiling`.
    pub limits: Option<Vec<LimitsFile>>,
    /// Who is asked when the band breaks.
    pub owner: Option<String>,
    /// What to do when the band breaks: a link.
    pub runbook_url: Option<String>,
    /// The receiver that is told; all of them by default.
    pub receiver: Option<String>,
}

/// A cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CloudName {
    /// Amazon Web Services.
    Aws,
    /// Google Cloud.
    Gcp,
    /// Azure.
    Azure,
}

/// Values that are in, for each dimension.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScopeFile {
    /// Service names as the bill writes them.
    pub service_name: Option<Vec<String>>,
    /// AWS accounts, Google Cloud projects, Azure subscriptions.
    pub sub_account_id: Option<Vec<String>>,
    /// Regions as the bill writes them.
    pub region_id: Option<Vec<String>>,
    /// Machine types.
    pub instance_type: Option<Vec<String>>,
    /// Google Cloud SKU descriptions, Azure meters.
    pub sku: Option<Vec<String>>,
}

/// The basis on which cost is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// What is invoiced.
    Billed,
    /// Amortised: prepaid blocks and commitments spread over their term.
    #[default]
    Effective,
}

/// A category of charges that spend leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExtraCategory {
    /// Tax.
    Tax,
    /// Promotional credits.
    Credit,
    /// Refunds and corrections of earlier periods.
    Adjustment,
}

/// A floor and a ceiling from a day on.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsFile {
    /// The first day; only the first entry may do without, for always. A period is judged by the
    /// limits of its first day.
    pub effective_from: Option<Day>,
    /// The least that a month is expected to cost.
    #[schemars(with = "Figure")]
    pub floor: Option<Figure>,
    /// The most that a month may cost.
    #[schemars(with = "Figure")]
    pub ceiling: Option<Figure>,
}

/// One line of the table of exchange rates.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExchangeRateFile {
    /// The currency of a bill.
    #[schemars(with = "CurrencyCode")]
    pub from: Option<CurrencyCode>,
    /// The currency of a band.
    #[schemars(with = "CurrencyCode")]
    pub to: Option<CurrencyCode>,
    /// The day from which the rate holds, until the next line.
    #[schemars(with = "Day")]
    pub date: Option<Day>,
    /// How much of `to` one unit of `from` is worth.
    #[schemars(with = "Figure")]
    pub rate: Option<Figure>,
}

/// A sign of life.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatFile {
    /// How often it is sent; `1m` by default.
    pub every: Option<Span>,
    /// The receivers that are sent it, by name: of the kinds `alertmanager` and `webhook`.
    #[schemars(with = "Vec<String>")]
    pub receivers: Option<Vec<String>>,
}

/// Limits on the number of exported series.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeriesFile {
    /// How many values of one dimension become series, 1 to 10,000; the others are added up in
    /// `__other__`. `200` by default.
    #[schemars(range(min = 1, max = 10_000))]
    pub limit_per_dimension: Option<u32>,
}
