//! What the money of GPUs does: figures by state, fleet, workload and price, as they are shown.

mod expected;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

pub use self::expected::{Beside, Expected, FleetCost};
use crate::domain::band::PeriodLabel;
use crate::domain::gpu_time::{GpuState, HeldBy, StateTime, Workload};
use crate::domain::identity::Provider;
use crate::domain::machine::Tier;
use crate::domain::money::{Currency, Money};
use crate::domain::node::Fleet;
use crate::domain::period::{BillingPeriod, BillingZone, Window};
use crate::domain::price::PriceNote;

/// Milliseconds in an hour.
const HOUR: Decimal = Decimal::from_parts(3_600_000, 0, 0, false, 0);

/// Milliseconds as hours.
pub fn hours(milliseconds: u64) -> Decimal {
    Decimal::from(milliseconds) / HOUR
}

/// Hours as whole milliseconds; less than none is none.
pub fn milliseconds(hours: Decimal) -> u64 {
    hours.checked_mul(HOUR).and_then(|all| all.trunc().try_into().ok()).unwrap_or(0)
}

/// The zone of the billing days that GPU time is counted in: its cloud's; UTC on premises.
pub fn zone_of(provider: Option<Provider>) -> BillingZone {
    provider.map_or(BillingZone::Utc, Provider::billing_zone)
}

/// Money that is billed for GPUs and is no state's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Residual {
    /// Hours were billed that no telemetry saw, on a day on which it saw others of that cloud: a
    /// node without an exporter, an unused reservation.
    WithoutTelemetry,
    /// Hours were billed on a day on which no GPU of that cloud was seen at all.
    UnobservedDay,
    /// Telemetry saw more hours than were billed, or machines that the bill does not know; less than
    /// zero.
    MoreThanBilled,
}

impl Residual {
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WithoutTelemetry => "without_telemetry",
            Self::UnobservedDay => "unobserved_day",
            Self::MoreThanBilled => "more_than_billed",
        }
    }
}

/// Money by state.
pub type StateMoney = BTreeMap<GpuState, Decimal>;

/// The GPU money of a cloud, or of one's own hardware.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderMoney {
    /// What each state cost.
    pub states: StateMoney,
    /// How much of it no complete bill stands behind yet.
    pub estimated: Decimal,
    /// Billed money that is no state's.
    pub residuals: BTreeMap<Residual, Decimal>,
    /// What the complete days of the period were billed at.
    pub billed: Decimal,
}

impl ProviderMoney {
    /// What all states cost.
    pub fn total(&self) -> Decimal {
        self.states.values().fold(Decimal::ZERO, |sum, money| sum.saturating_add(*money))
    }

    /// What the idle states cost.
    pub fn idle(&self) -> Decimal {
        let idle = self.states.iter().filter(|(state, _)| state.is_idle());
        idle.fold(Decimal::ZERO, |sum, (_, money)| sum.saturating_add(*money))
    }
}

/// One fleet over some days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetMoney {
    /// Which GPUs.
    pub fleet: Fleet,
    /// How long in which state.
    pub time: StateTime,
    /// What each state cost, and in which currency; none for time that has no price.
    pub money: Option<(Currency, StateMoney)>,
}

/// Machines that are paid for while no GPU of them is seen, though others of their cloud are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaidNotRunning {
    /// Which machines.
    pub group: PriceGroup,
    /// The currency.
    pub currency: Currency,
    /// What was billed for hours that no telemetry saw, on complete days.
    pub cost: Decimal,
    /// How many GPU-hours these are; none where the bill does not tell hours.
    pub gpu_hours: Option<Decimal>,
}

/// GPU money of some days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuMoney {
    /// By cloud and currency; no cloud is one's own hardware.
    pub by_provider: BTreeMap<(Option<Provider>, Currency), ProviderMoney>,
    /// By fleet.
    pub fleets: Vec<FleetMoney>,
    /// Paid and not running, the dearest first.
    pub paid_not_running: Vec<PaidNotRunning>,
}

/// How good estimates were: what the newest complete days were estimated at before their bill came,
/// over what they were billed at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NowcastScore {
    /// The cloud.
    pub provider: Provider,
    /// How many days.
    pub days: usize,
    /// Estimate over bill, less 1: 0.02 is 2 % too high.
    pub error_ratio: f64,
}

/// What telemetry says the GPUs of a cloud cost on whole days, billed or not: estimates that have
/// come near the bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetryDays {
    /// The cloud.
    pub provider: Provider,
    /// The currency.
    pub currency: Currency,
    /// By the cloud's billing day.
    pub costs: BTreeMap<Date, Decimal>,
}

/// What the GPUs of something cost: of a workload, a pod, a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartMoney<T> {
    /// Of what.
    pub of: T,
    /// The currency.
    pub currency: Currency,
    /// What its GPUs cost.
    pub cost: Decimal,
    /// What of it went to idle states.
    pub idle_cost: Decimal,
    /// How long in which state.
    pub time: StateTime,
}

/// What a workload's GPUs cost.
pub type WorkloadMoney = PartMoney<Workload>;

/// GPU money of some days, told apart in every way that the ledger knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuRange {
    /// When it was read.
    pub as_of: Timestamp,
    /// The days, in each cloud's own billing zone.
    pub window: Window,
    /// The money.
    pub money: GpuMoney,
    /// By workload, the most wasteful first.
    pub workloads: Vec<WorkloadMoney>,
    /// By pod, the most wasteful first.
    pub pods: Vec<PartMoney<HeldBy>>,
    /// By node and fleet, the most wasteful first.
    pub nodes: Vec<PartMoney<(String, Fleet)>>,
}

impl FleetMoney {
    /// What an hour of a GPU of the fleet cost in the period.
    pub fn hour_price(&self) -> Option<(Currency, Decimal)> {
        let (currency, states) = self.money.as_ref()?;
        let mut money = states.values();
        let total = money.try_fold(Decimal::ZERO, |sum, money| sum.checked_add(*money))?;
        Some((*currency, total.checked_div(hours(self.time.total()))?))
    }

    /// What an hour of a busy GPU of the fleet cost: all its money over its busy hours.
    pub fn busy_hour_price(&self) -> Option<(Currency, Decimal)> {
        let (currency, states) = self.money.as_ref()?;
        let mut money = states.values();
        let total = money.try_fold(Decimal::ZERO, |sum, money| sum.checked_add(*money))?;
        Some((*currency, total.checked_div(hours(self.time.milliseconds(GpuState::Busy)))?))
    }
}

/// Where a price comes from, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceSource {
    /// Money and hours of the same machines in the ledger, on complete days, amortised.
    Billed,
    /// The provider's price list, before any discount.
    List,
    /// The configuration.
    Configured,
}

impl PriceSource {
    /// Every source, the best first.
    pub const ALL: [Self; 3] = [Self::Billed, Self::List, Self::Configured];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Billed => "billed",
            Self::List => "list",
            Self::Configured => "configured",
        }
    }
}

/// A price of one GPU for one hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuHourPrice {
    /// Where it comes from.
    pub source: PriceSource,
    /// The price; always more than zero.
    pub price: Money,
    /// How it was made, for people.
    pub note: PriceNote,
}

/// Machines that cost the same: what one price is made from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PriceGroup {
    /// The cloud.
    pub provider: Provider,
    /// The region.
    pub region_id: String,
    /// The machine type; on Google Cloud the kind of GPU.
    pub machine: String,
    /// Whether it is spot capacity, where the bill tells it apart (Google Cloud, Azure).
    pub spot: bool,
}

/// Money that is no GPU's: the rest of a cloud's bill on complete days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotGpu {
    /// Disks, files, objects.
    Storage,
    /// Traffic, addresses, load balancing, content delivery.
    Network,
    /// Everything else.
    Other,
}

impl NotGpu {
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Storage => "storage",
            Self::Network => "network",
            Self::Other => "other",
        }
    }

    /// What a service of a cloud is for, by its name.
    pub fn of_service(name: &str) -> Self {
        let holds = |words: &[&str]| words.iter().any(|word| name.contains(word));
        if holds(&["Storage", "FSx", "Elastic File", "Filestore", "Backup", "NetApp", "Glacier"]) {
            Self::Storage
        } else if holds(&[
            "CloudFront",
            "Data Transfer",
            "Network",
            "Bandwidth",
            "Load Balanc",
            "Content Delivery",
            "Virtual Private Cloud",
            "Route 53",
            "VPN",
            "Direct Connect",
            "ExpressRoute",
            "Gateway",
        ]) {
            Self::Network
        } else {
            Self::Other
        }
    }
}

/// One node as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeNow {
    /// Its name.
    pub name: String,
    /// Its fleet.
    pub fleet: Fleet,
    /// How many GPUs telemetry tells.
    pub gpus: u32,
    /// Whether the machine type was guessed from its GPUs.
    pub guessed: bool,
    /// GPUs by state; parts of a GPU where it is split.
    pub states: BTreeMap<GpuState, f64>,
}

/// One fleet as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetNow {
    /// Which GPUs.
    pub fleet: Fleet,
    /// How many.
    pub gpus: u32,
    /// How busy they are on average, 0 to 1; none where none of them tells it.
    pub utilization: Option<f64>,
    /// Memory in use, bytes.
    pub memory_used_bytes: Option<u64>,
    /// Memory in all, bytes.
    pub memory_total_bytes: Option<u64>,
    /// What an hour of a GPU costs, the price that is used first.
    pub prices: Vec<GpuHourPrice>,
    /// Where its GPUs stand; none for a model that is not known.
    pub tier: Option<Tier>,
}

/// Where a cluster stands against the guide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterTier {
    /// The cloud; none on premises.
    pub provider: Option<Provider>,
    /// The cluster.
    pub cluster: String,
    /// Its tier.
    pub tier: Tier,
    /// GPUs of the minimum's kind or better.
    pub gpus: u32,
    /// Their memory in decimal gigabytes.
    pub memory_gb: u64,
    /// Fast local storage in decimal gigabytes, as far as it is known.
    pub storage_gb: u64,
    /// What is missing to the next tier.
    pub missing: Vec<Lacking>,
}

/// How much of a cluster telemetry sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// The cloud; none on premises.
    pub provider: Option<Provider>,
    /// The cluster.
    pub cluster: String,
    /// GPUs that told something lately.
    pub seen: u32,
    /// GPUs that its nodes should have.
    pub expected: u32,
}

/// What a cluster lacks for a tier; its text is the English sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacking {
    /// GPUs of the tier's class.
    Gpus {
        /// How many.
        count: u32,
        /// The tier.
        of: Tier,
    },
    /// Decimal gigabytes of GPU memory.
    MemoryGb(u64),
    /// Decimal gigabytes of fast storage.
    StorageGb(u64),
}

impl Lacking {
    /// The least GPU of a tier's class.
    pub fn class(tier: Tier) -> &'static str {
        match tier {
            Tier::Optimal => "H100",
            Tier::Recommended => "A100-80GB",
            Tier::Minimum | Tier::BelowMinimum => "A100",
        }
    }
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpus { count, of } => write!(f, "{count} more {}-class GPUs", Self::class(*of)),
            Self::MemoryGb(lacking) => write!(f, "{lacking} GB more GPU memory"),
            Self::StorageGb(lacking) => {
                write!(f, "{lacking} GB more fast storage on the nodes or beside them")
            }
        }
    }
}

/// GPU money of one period, with everything that it was told apart by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeriodPicture {
    /// The open period or the one before.
    pub label: PeriodLabel,
    /// The period by UTC. A cloud whose month ends later stays in its own until then.
    pub period: BillingPeriod,
    /// The money.
    pub money: GpuMoney,
    /// By workload, the most wasteful first.
    pub workloads: Vec<WorkloadMoney>,
    /// What a cloud billed on complete days that is no GPU's.
    pub not_gpu: BTreeMap<(Provider, Currency, NotGpu), Decimal>,
}

/// Everything that is known of GPUs at an instant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GpuPicture {
    /// Nodes, by name.
    pub nodes: Vec<NodeNow>,
    /// Nodes that are known of and that no telemetry here tells of: how many GPUs each should have,
    /// and no state.
    pub silent_nodes: Vec<NodeNow>,
    /// Prices of their GPUs, the one that is used first.
    pub silent_prices: BTreeMap<Fleet, Vec<GpuHourPrice>>,
    /// Time by node and fleet, of the open period.
    pub node_times: Arc<BTreeMap<(String, Fleet), StateTime>>,
    /// Fleets.
    pub fleets: Vec<FleetNow>,
    /// Clusters against the guide.
    pub clusters: Vec<ClusterTier>,
    /// How much telemetry sees.
    pub coverage: Vec<Coverage>,
    /// Time since the ledger began.
    pub totals: Vec<(Fleet, StateTime)>,
    /// The open period first.
    pub periods: Vec<PeriodPicture>,
    /// How good estimates were.
    pub scores: Vec<NowcastScore>,
    /// What days cost by telemetry, of clouds whose estimates are good.
    pub telemetry_days: Vec<TelemetryDays>,
    /// Beside bands.
    pub expected: Vec<Expected>,
}
