//! What an hour of a GPU costs: as it was billed, else as it is listed, else as it is configured.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::analyse::gpu_bill::{BilledDay, may_be};
use crate::domain::gpu_money::{GpuHourPrice, PriceGroup, PriceSource};
use crate::domain::identity::Provider;
use crate::domain::machine::{GpuModel, LISTED, Machine};
use crate::domain::money::{Currency, Money};
use crate::domain::node::Fleet;
use crate::domain::price::{CapacityType, SkuPrice};

/// Over how many days before a day a billed price is averaged.
const BILLED_DAYS: i64 = 14;

/// Cost and GPU-hours of complete days.
type BilledDays = BTreeMap<(Date, Currency), (Decimal, Decimal)>;

/// Everything that prices are made from.
#[derive(Debug, Default)]
pub struct PriceBook {
    billed: BTreeMap<PriceGroup, BilledDays>,
    listed: Vec<SkuPrice>,
    configured: BTreeMap<String, Money>,
}

impl PriceBook {
    /// A book of billed days, of a provider's list, and of what was configured for an hour of a
    /// machine type.
    pub fn new(
        billed: &[BilledDay],
        listed: Vec<SkuPrice>,
        configured: BTreeMap<String, Money>,
    ) -> Self {
        let mut groups: BTreeMap<_, BilledDays> = BTreeMap::new();
        for day in billed.iter().filter(|day| day.is_complete) {
            let Some(hours) = day.gpu_hours else { continue };
            let days = groups.entry(day.group.clone()).or_default();
            days.insert((day.day, day.currency), (day.cost, hours));
        }
        Self { billed: groups, listed, configured }
    }

    /// Every price of a fleet's GPU-hour, the best first; billed ones of the days before `before`.
    pub fn prices(&self, fleet: &Fleet, before: Date) -> Vec<GpuHourPrice> {
        [self.billed(fleet, before), self.listed(fleet), self.configured(fleet)]
            .into_iter()
            .flatten()
            .filter(|price| price.price.amount > Decimal::ZERO)
            .collect()
    }

    /// The best price.
    pub fn selected(&self, fleet: &Fleet, before: Date) -> Option<GpuHourPrice> {
        self.prices(fleet, before).into_iter().next()
    }

    /// Over everything that the fleet may be billed under, in the currency of most of its hours.
    fn billed(&self, fleet: &Fleet, before: Date) -> Option<GpuHourPrice> {
        let first = before.saturating_sub(jiff::Span::new().days(BILLED_DAYS));
        let mut sums: BTreeMap<Currency, (Decimal, Decimal, BTreeSet<Date>)> = BTreeMap::new();
        for group in may_be(fleet, self.billed.keys()) {
            let days = self.billed.get(group).into_iter().flatten();
            for ((day, currency), (cost, hours)) in days {
                if (first..before).contains(day) {
                    let sum = sums.entry(*currency).or_default();
                    (sum.0, sum.1) = (sum.0.checked_add(*cost)?, sum.1.checked_add(*hours)?);
                    sum.2.insert(*day);
                }
            }
        }
        let (currency, (cost, hours, days)) = sums.into_iter().max_by_key(|(_, sum)| sum.1)?;
        let price = cost.checked_div(hours)?;
        Some(GpuHourPrice {
            source: PriceSource::Billed,
            price: Money::new(price, currency),
            note: format!("effective cost over GPU-hours of {} complete days", days.len()),
        })
    }

    fn listed(&self, fleet: &Fleet) -> Option<GpuHourPrice> {
        if fleet.capacity_type == CapacityType::Spot {
            return None;
        }
        let provider = fleet.provider?;
        let machine = Machine::of(provider, fleet.instance_type.as_deref()?)?;
        if let Some(price) = self.of_catalogue(provider, machine, fleet.region_id.as_deref()) {
            return Some(price);
        }
        let (price, own) = machine.list_price(fleet.region_id.as_deref())?;
        let price = price.checked_div(Decimal::from(machine.gpus))?;
        let where_from = if own { "" } else { ", of its usual region" };
        Some(GpuHourPrice {
            source: PriceSource::List,
            price: Money::new(price, Currency::USD),
            note: format!("on demand, table of {LISTED}{where_from}"),
        })
    }

    /// Google Cloud's catalogue: the GPU's own SKU, with cores and memory added in the proportion
    /// that the table's machine has.
    fn of_catalogue(
        &self,
        provider: Provider,
        machine: &'static Machine,
        region: Option<&str>,
    ) -> Option<GpuHourPrice> {
        if provider != Provider::Gcp {
            return None;
        }
        let region = region?;
        let on_demand = |price: &&SkuPrice| {
            price.region_id == region
                && price.capacity_type == CapacityType::OnDemand
                && price.unit == "h"
        };
        let gpu = self.listed.iter().filter(on_demand).find(|price| {
            price.description.contains(" GPU running in ")
                && GpuModel::of(&price.description)
                    .is_some_and(|gpu| std::ptr::eq(gpu, machine.gpu))
        })?;
        let shape = machine.shape?;
        let family = machine.instance_type.split('-').next().unwrap_or_default().to_uppercase();
        let part = |name: &str, unit: &str| {
            self.listed.iter().find(|price| {
                price.region_id == region
                    && price.capacity_type == CapacityType::OnDemand
                    && price.unit == unit
                    && price.description.starts_with(&format!("{family} Instance {name} running"))
            })
        };
        let (core, memory) = (part("Core", "h")?, part("Ram", "GiBy.h")?);
        let per_gpu = |units: u32| Decimal::from(units).checked_div(Decimal::from(machine.gpus));
        let cores = core.price.amount.checked_mul(per_gpu(shape.cores)?)?;
        let memory = memory.price.amount.checked_mul(per_gpu(shape.memory_gib)?)?;
        let price = gpu.price.amount.checked_add(cores)?.checked_add(memory)?;
        Some(GpuHourPrice {
            source: PriceSource::List,
            price: Money::new(price, gpu.price.currency),
            note: "on demand, Cloud Billing catalogue: GPU, cores and memory".to_owned(),
        })
    }

    fn configured(&self, fleet: &Fleet) -> Option<GpuHourPrice> {
        let price = fleet
            .instance_type
            .as_ref()
            .and_then(|name| self.configured.get(name))
            .or_else(|| self.configured.get(&fleet.cluster))?;
        Some(GpuHourPrice {
            source: PriceSource::Configured,
            price: *price,
            note: "as configured".to_owned(),
        })
    }
}
