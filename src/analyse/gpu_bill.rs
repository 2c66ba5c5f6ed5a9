//! What was billed for GPUs: the ledger's breakdowns of machines, brought to money and GPU-hours by
//! day, region and kind of machine.
//!
//! - AWS bills machine types: hours of the type, times its GPUs.
//! - Azure bills meters, one for each size.
//! - Google Cloud bills GPUs, cores and memory apart. Cores and memory of a family (A2, A3) are
//!   shared between its kinds of GPU by their hours. A commitment's fee is money without hours: the
//!   hours that it covers are billed at zero.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::domain::breakdown::{CostRow, Dimension};
use crate::domain::gpu_family::{GpuFamily, is_commitment, is_spot};
use crate::domain::gpu_money::PriceGroup;
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
    /// Hours of GPUs that were paid for.
    pub gpu_hours: Decimal,
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

/// The price group of a fleet in a region that is known.
pub fn group_of(fleet: &Fleet) -> Option<PriceGroup> {
    let provider = fleet.provider?;
    let machine = match provider {
        Provider::Aws | Provider::Azure => fleet.instance_type.clone()?,
        Provider::Gcp => GpuModel::of(&fleet.model)?.name.to_owned(),
    };
    let spot = provider != Provider::Aws && fleet.capacity_type == CapacityType::Spot;
    Some(PriceGroup {
        provider,
        region_id: fleet.region_id.clone().unwrap_or_default(),
        machine,
        spot,
    })
}

/// Gathers a provider's rows.
#[derive(Debug)]
pub struct Bill {
    provider: Provider,
    days: BTreeMap<(Date, PriceGroup, Currency), (Decimal, Decimal)>,
    /// Google Cloud's cores and memory, by family.
    parts: BTreeMap<(Date, String, &'static str, bool, Currency), Decimal>,
    /// Machines that are billed and not in the table: their money has no GPU-hours.
    unknown: BTreeMap<(Date, Currency), Decimal>,
}

impl Bill {
    /// An empty bill.
    pub fn new(provider: Provider) -> Self {
        Self { provider, days: BTreeMap::new(), parts: BTreeMap::new(), unknown: BTreeMap::new() }
    }

    /// Adds a row of the provider's breakdown of machines.
    pub fn add(&mut self, dimensions: &[Dimension], row: &CostRow) {
        let key = |wanted: Dimension| {
            let place = dimensions.iter().position(|dimension| *dimension == wanted)?;
            row.keys.get(place).map(String::as_str)
        };
        let Some(cost) = row.amounts.effective.or(row.amounts.billed) else { return };
        let region = key(Dimension::RegionId).unwrap_or_default();
        let quantity = row.quantity.as_ref().map_or(Decimal::ZERO, |quantity| quantity.amount);
        let group = |machine: &str, spot| PriceGroup {
            provider: self.provider,
            region_id: region.to_owned(),
            machine: machine.to_owned(),
            spot,
        };
        let billed = match self.provider {
            Provider::Aws => key(Dimension::InstanceType).and_then(|name| {
                let machine = Machine::of(Provider::Aws, name)?;
                Some((group(machine.instance_type, false), quantity * Decimal::from(machine.gpus)))
            }),
            Provider::Azure => key(Dimension::Sku).and_then(|meter| {
                let machine = Machine::of_azure_meter(meter)?;
                let spot = meter.ends_with(" Spot") || meter.ends_with(" Low Priority");
                Some((group(machine.instance_type, spot), quantity * Decimal::from(machine.gpus)))
            }),
            Provider::Gcp => {
                let sku = key(Dimension::Sku).unwrap_or_default();
                let spot = is_spot(sku);
                match (GpuModel::of(sku), family(sku)) {
                    (Some(model), _) => {
                        let hours = if is_commitment(sku) { Decimal::ZERO } else { quantity };
                        Some((group(model.name, spot), hours))
                    }
                    (None, Some(family)) => {
                        let key = (row.day, region.to_owned(), family, spot, row.currency);
                        *self.parts.entry(key).or_default() += cost;
                        return;
                    }
                    (None, None) => None,
                }
            }
        };
        match billed {
            Some((group, gpu_hours)) => {
                let sums = self.days.entry((row.day, group, row.currency)).or_default();
                sums.0 += cost;
                sums.1 += gpu_hours;
            }
            None => *self.unknown.entry((row.day, row.currency)).or_default() += cost,
        }
    }

    /// The days of the bill; `is_complete` says which of them are.
    pub fn finish(mut self, is_complete: impl Fn(Date, Currency) -> bool) -> Vec<BilledDay> {
        for ((day, region, family, spot, currency), cost) in std::mem::take(&mut self.parts) {
            self.share(day, &region, family, spot, currency, cost);
        }
        self.days
            .into_iter()
            .map(|((day, group, currency), (cost, gpu_hours))| BilledDay {
                group,
                day,
                currency,
                cost,
                gpu_hours,
                is_complete: is_complete(day, currency),
            })
            .collect()
    }

    /// Shares the cost of a family's cores and memory between its kinds of GPU by their hours.
    fn share(
        &mut self,
        day: Date,
        region: &str,
        family: &str,
        spot: bool,
        currency: Currency,
        cost: Decimal,
    ) {
        let mut same: Vec<(&mut (Decimal, Decimal), Decimal)> = self
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
                let hours = sums.1;
                (sums, hours)
            })
            .collect();
        let hours: Decimal = same.iter().map(|(_, hours)| *hours).sum();
        if hours.is_zero() {
            *self.unknown.entry((day, currency)).or_default() += cost;
            return;
        }
        let mut rest = cost;
        let last = same.len() - 1;
        for (index, (sums, own)) in same.iter_mut().enumerate() {
            let part = if index == last { rest } else { cost * *own / hours };
            sums.0 += part;
            rest -= part;
        }
    }
}

/// The family of GPU machines that a SKU of cores or memory belongs to.
fn family(sku: &str) -> Option<&'static str> {
    GpuFamily::of_sku(sku).map(|family| family.name)
}

/// The kinds of GPU in a family of Google Cloud's machines.
fn of_family(family: &str) -> &'static [&'static str] {
    GpuFamily::named(family).map_or(&[], |family| family.gpus)
}
