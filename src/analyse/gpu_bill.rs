//! What was billed for GPUs: the ledger's breakdowns of machines, brought to money and GPU-hours by
//! day, region and kind of machine.
//!
//! - AWS bills machine types: hours of the type, times its GPUs.
//! - Azure bills meters, one for each size.
//! - Google Cloud bills GPUs, cores and memory apart. Cores and memory of a family (A2, A3) are
//!   shared between its kinds of GPU by their hours. A commitment's fee is money without hours: the
//!   hours that it covers are billed at zero.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::analyse::spend::AmountSum;
use crate::domain::breakdown::{Amounts, CostRow, Dimension};
use crate::domain::gpu_money::{NotGpu, PriceGroup};
use crate::domain::identity::Provider;
use crate::domain::machine::{GpuModel, Machine};
use crate::domain::money::Currency;
use crate::domain::node::Fleet;
use crate::domain::price::CapacityType;

/// What a group cost on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BilledDay {
    /// Which machines.
    pub group: PriceGroup,
    /// The usage day.
    pub day: Date,
    /// The billing currency.
    pub currency: Currency,
    /// Effective cost.
    pub cost: Decimal,
    /// Hours of GPUs that were paid for; none where the bill does not tell them.
    pub gpu_hours: Option<Decimal>,
    /// Whether the day is complete.
    pub is_complete: bool,
}

/// The breakdowns that tell of GPU machines, by provider: its name in the source.
pub fn query_of(provider: Provider) -> &'static str {
    match provider {
        Provider::Aws => "gpu_instance_type",
        Provider::Gcp => "gpu_sku",
        Provider::Azure => "gpu_meter",
    }
}

/// The machine under which a fleet is billed: its type; on Google Cloud the kind of GPU.
fn billed_as(fleet: &Fleet) -> Option<&str> {
    match fleet.provider? {
        Provider::Aws | Provider::Azure => fleet.instance_type.as_deref(),
        Provider::Gcp => Some(GpuModel::of(&fleet.model)?.name),
    }
}

/// Which of some groups a fleet may be billed under. A region or a way of buying that nobody tells
/// may be any; AWS's machine types do not tell spot apart.
pub fn may_be<'a>(
    fleet: &Fleet,
    groups: impl Iterator<Item = &'a PriceGroup>,
) -> Vec<&'a PriceGroup> {
    let (Some(provider), Some(machine)) = (fleet.provider, billed_as(fleet)) else {
        return Vec::new();
    };
    let spot = match fleet.capacity_type {
        _ if provider == Provider::Aws => None,
        CapacityType::Unknown => None,
        bought => Some(bought == CapacityType::Spot),
    };
    groups
        .filter(|group| {
            group.provider == provider
                && group.machine.eq_ignore_ascii_case(machine)
                && fleet.region_id.as_ref().is_none_or(|region| *region == group.region_id)
                && spot.is_none_or(|spot| spot == group.spot)
        })
        .collect()
}

/// Money and GPU-hours of a group on a day. Hours that a row does not tell make them unknown.
#[derive(Debug, Clone, Copy)]
struct Sums {
    cost: AmountSum,
    gpu_hours: Option<Decimal>,
}

/// The effective cost; the billed one where the source tells no effective cost of a row, never both
/// in one sum.
fn cost(sum: &AmountSum) -> Option<Decimal> {
    let amounts = sum.amounts();
    amounts.effective.or(amounts.billed)
}

/// Gathers a provider's rows. Machines that are not in the table of machine types are left out:
/// their money stays with the rest of the bill.
#[derive(Debug)]
pub struct Bill {
    provider: Provider,
    days: BTreeMap<(Date, PriceGroup, Currency), Sums>,
    /// Google Cloud's cores and memory, by family.
    parts: BTreeMap<(Date, String, &'static str, bool, Currency), AmountSum>,
}

impl Bill {
    /// An empty bill.
    pub fn new(provider: Provider) -> Self {
        Self { provider, days: BTreeMap::new(), parts: BTreeMap::new() }
    }

    /// Adds a row of the provider's breakdown of machines.
    pub fn add(&mut self, dimensions: &[Dimension], row: &CostRow) {
        let key = |wanted: Dimension| {
            let place = dimensions.iter().position(|dimension| *dimension == wanted)?;
            row.keys.get(place).map(String::as_str)
        };
        let region = key(Dimension::RegionId).unwrap_or_default();
        let hours = row.quantity.as_ref().filter(|quantity| is_hours(&quantity.unit));
        let hours = hours.map(|quantity| quantity.amount);
        let group = |machine: &str, spot| PriceGroup {
            provider: self.provider,
            region_id: region.to_owned(),
            machine: machine.to_owned(),
            spot,
        };
        let billed = match self.provider {
            Provider::Aws => key(Dimension::InstanceType).and_then(|name| {
                let machine = Machine::of(Provider::Aws, name)?;
                Some((group(machine.instance_type, false), gpu_hours(hours, machine)))
            }),
            Provider::Azure => key(Dimension::Sku).and_then(|meter| {
                let machine = Machine::of_azure_meter(meter)?;
                let spot = meter.ends_with(" Spot") || meter.ends_with(" Low Priority");
                Some((group(machine.instance_type, spot), gpu_hours(hours, machine)))
            }),
            Provider::Gcp => {
                let sku = key(Dimension::Sku).unwrap_or_default();
                let spot = sku.contains("Preemptible");
                match (GpuModel::of(sku), family(sku)) {
                    (Some(model), _) => {
                        let hours = if is_commitment(sku) { Some(Decimal::ZERO) } else { hours };
                        Some((group(model.name, spot), hours))
                    }
                    (None, Some(family)) => {
                        let key = (row.day, region.to_owned(), family, spot, row.currency);
                        self.parts.entry(key).or_default().add(&row.amounts);
                        return;
                    }
                    (None, None) => None,
                }
            }
        };
        if let Some((group, gpu_hours)) = billed {
            let nothing = Sums { cost: AmountSum::default(), gpu_hours: Some(Decimal::ZERO) };
            let sums = self.days.entry((row.day, group, row.currency)).or_insert(nothing);
            sums.cost.add(&row.amounts);
            sums.gpu_hours = add(sums.gpu_hours, gpu_hours);
        }
    }

    /// The machines of the bill by day, the days on which a cost is not told left out; none of them
    /// is complete yet.
    fn finish(mut self) -> Vec<BilledDay> {
        for ((day, region, family, spot, currency), cost) in std::mem::take(&mut self.parts) {
            self.share(day, &region, family, spot, currency, cost.amounts());
        }
        let day = |((day, group, currency), sums): (_, Sums)| {
            let (cost, gpu_hours) = (cost(&sums.cost)?, sums.gpu_hours);
            Some(BilledDay { group, day, currency, cost, gpu_hours, is_complete: false })
        };
        self.days.into_iter().filter_map(day).collect()
    }

    /// Shares the cost of a family's cores and memory between its kinds of GPU by their hours. Where
    /// no hours are told it stays with the rest of the bill.
    fn share(
        &mut self,
        day: Date,
        region: &str,
        family: &str,
        spot: bool,
        currency: Currency,
        parts: Amounts,
    ) {
        let mut same: Vec<(&mut Sums, Decimal)> = self
            .days
            .iter_mut()
            .filter(|((on, group, held), _)| {
                *on == day
                    && *held == currency
                    && group.region_id == region
                    && group.spot == spot
                    && of_family(family).contains(&group.machine.as_str())
            })
            .map(|(_, sums)| {
                let hours = sums.gpu_hours.unwrap_or_default();
                (sums, hours)
            })
            .collect();
        let hours: Decimal = same.iter().map(|(_, hours)| *hours).sum();
        if hours.is_zero() {
            return;
        }
        let mut rest = parts;
        let last = same.len() - 1;
        for (index, (sums, own)) in same.iter_mut().enumerate() {
            let share = |whole: Option<Decimal>| Some(whole? * *own / hours);
            let part = Amounts {
                billed: share(parts.billed),
                effective: share(parts.effective),
                list: share(parts.list),
            };
            let less = |rest: Option<Decimal>, part: Option<Decimal>| Some(rest? - part?);
            sums.cost.add(if index == last { &rest } else { &part });
            rest = Amounts {
                billed: less(rest.billed, part.billed),
                effective: less(rest.effective, part.effective),
                list: less(rest.list, part.list),
            };
        }
    }
}

fn add(sum: Option<Decimal>, more: Option<Decimal>) -> Option<Decimal> {
    sum?.checked_add(more?)
}

/// Whether a unit is hours, as the clouds write them: `Hrs` (Cost Explorer), `1 Hour` (Azure), `h`
/// and `hour` (Google Cloud).
fn is_hours(unit: &str) -> bool {
    ["hrs", "h", "hour", "hours", "1 hour"].iter().any(|known| unit.eq_ignore_ascii_case(known))
}

fn gpu_hours(hours: Option<Decimal>, machine: &Machine) -> Option<Decimal> {
    hours?.checked_mul(Decimal::from(machine.gpus))
}

/// What one source billed.
#[derive(Debug)]
pub struct SourceBill {
    /// The cloud.
    pub provider: Provider,
    /// Its machines.
    pub machines: Bill,
    /// All its spend, by what it is for.
    pub services: HashMap<(Date, Currency), BTreeMap<NotGpu, AmountSum>>,
    /// The days that are complete in every currency, those without any cost among them.
    pub complete_days: BTreeSet<Date>,
}

/// What the bills say of GPUs and of everything else.
#[derive(Debug, Clone, Default)]
pub struct GpuBill {
    /// Machines with GPUs, by day.
    pub days: Vec<BilledDay>,
    /// All spend on complete days, by what it is for.
    pub services: BTreeMap<(Date, Provider, Currency, NotGpu), Decimal>,
}

impl GpuBill {
    /// Brings the bills of all sources together: accounts of one cloud share their machines'
    /// prices. A day is complete where it is in every source of its cloud, since telemetry does not
    /// tell whose account a machine is in.
    pub fn of(sources: Vec<SourceBill>) -> Self {
        let mut complete: BTreeMap<Provider, BTreeSet<Date>> = BTreeMap::new();
        for source in &sources {
            complete
                .entry(source.provider)
                .and_modify(|days| days.retain(|day| source.complete_days.contains(day)))
                .or_insert_with(|| source.complete_days.clone());
        }
        let is_complete = |provider: Provider, day: Date| {
            complete.get(&provider).is_some_and(|days| days.contains(&day))
        };
        let mut days: BTreeMap<(Date, PriceGroup, Currency), BilledDay> = BTreeMap::new();
        let mut services = BTreeMap::new();
        for source in sources {
            let provider = source.provider;
            for ((day, currency), sums) in source.services {
                for (kind, sum) in sums.into_iter().filter(|_| is_complete(provider, day)) {
                    let Some(amount) = cost(&sum) else { continue };
                    let sum = services.entry((day, provider, currency, kind));
                    *sum.or_insert(Decimal::ZERO) += amount;
                }
            }
            for mut day in source.machines.finish() {
                day.is_complete = is_complete(provider, day.day);
                days.entry((day.day, day.group.clone(), day.currency))
                    .and_modify(|held| {
                        held.cost += day.cost;
                        held.gpu_hours = add(held.gpu_hours, day.gpu_hours);
                    })
                    .or_insert(day);
            }
        }
        Self { days: days.into_values().collect(), services }
    }
}

fn is_commitment(sku: &str) -> bool {
    sku.starts_with("Commitment")
}

/// The family of GPU machines that a SKU of cores or memory belongs to.
fn family(sku: &str) -> Option<&'static str> {
    let name = sku
        .trim_start_matches("Commitment v1: ")
        .trim_start_matches("Spot ")
        .trim_start_matches("Preemptible ");
    let part = name.contains(" Instance ") || is_commitment(sku);
    ["A2", "A3", "A4", "G2"].into_iter().find(|family| part && name.starts_with(family))
}

/// The kinds of GPU in a family of Google Cloud's machines.
fn of_family(family: &str) -> &'static [&'static str] {
    match family {
        "A2" => &["A100 40GB", "A100 80GB"],
        "A3" => &["H100 80GB", "H200 141GB"],
        "A4" => &["B200", "GB200"],
        "G2" => &["L4"],
        _ => &[],
    }
}
