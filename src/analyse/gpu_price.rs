//! What an hour of a GPU costs: as it was billed, else as it is listed, else as it is configured.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::analyse::gpu_bill::{BilledDay, may_be};
use crate::domain::gpu_family::GpuFamily;
use crate::domain::gpu_money::{GpuHourPrice, PriceGroup, PriceSource};
use crate::domain::identity::Provider;
use crate::domain::machine::{Machine, listed_on};
use crate::domain::money::{Currency, Money};
use crate::domain::node::{Fleet, ToldPrices};
use crate::domain::period::BillingZone;
use crate::domain::price::{CapacityType, ListedParts, PriceNote, SkuPrice};

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
    told: Option<ToldPrices>,
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
        Self { billed: groups, listed, configured, told: None }
    }

    /// With what the central agent tells of the own node's GPUs: it goes before what is known here.
    #[must_use]
    pub fn with_told(self, told: Option<ToldPrices>) -> Self {
        Self { told, ..self }
    }

    /// Every price of a fleet's GPU-hour, the best first; billed ones of the days before `before`.
    pub fn prices(&self, fleet: &Fleet, before: Date) -> Vec<GpuHourPrice> {
        let told = self.told(fleet);
        let own = [self.billed(fleet, before), self.listed(fleet), self.configured(fleet)];
        let own = own.into_iter().flatten().filter(|price| {
            price.price.amount > Decimal::ZERO
                && told.iter().all(|told| told.source != price.source)
        });
        let is_untold = self.told.is_some() && told.is_empty();
        let own = own.map(|price| match is_untold {
            true => GpuHourPrice { note: PriceNote::Untold(Box::new(price.note)), ..price },
            false => price,
        });
        told.iter().cloned().chain(own).collect()
    }

    /// What the central agent tells: all GPUs of an agent beside them are of one node.
    fn told(&self, fleet: &Fleet) -> &[GpuHourPrice] {
        let told = self.told.as_ref().filter(|told| {
            told.provider == fleet.provider
                && (told.instance_type.is_none() || told.instance_type == fleet.instance_type)
        });
        told.map_or(&[], |told| &told.prices)
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
            note: PriceNote::Billed { days: days.len() },
        })
    }

    /// The provider's own list where it was read, else the embedded table. Where the table of a
    /// newer program is younger than what was read of this very region, the table stands.
    fn listed(&self, fleet: &Fleet) -> Option<GpuHourPrice> {
        let provider = fleet.provider?;
        let machine = Machine::of(provider, fleet.instance_type.as_deref()?)?;
        let region = self.region(fleet);
        let read = region.and_then(|region| match provider {
            Provider::Gcp => self.of_parts(machine, fleet.capacity_type, region),
            Provider::Aws | Provider::Azure => {
                self.of_machine(machine, fleet.capacity_type, region)
            }
        });
        if fleet.capacity_type == CapacityType::Spot {
            return read.map(|(price, _)| price);
        }
        let embedded = embedded(machine, region);
        match (read, embedded) {
            (Some((read, on)), Some((embedded, true)))
                if is_older(on, provider) && read.price.currency == embedded.price.currency =>
            {
                Some(embedded)
            }
            (Some((read, _)), _) => Some(read),
            (None, embedded) => embedded.map(|(price, _)| price),
        }
    }

    /// The region of a fleet; where nobody tells it, the only one in which it may be billed.
    fn region<'a>(&'a self, fleet: &'a Fleet) -> Option<&'a str> {
        if let Some(region) = &fleet.region_id {
            return Some(region);
        }
        let groups = may_be(fleet, self.billed.keys());
        let regions: BTreeSet<&str> =
            groups.into_iter().map(|group| group.region_id.as_str()).collect();
        let mut regions = regions.into_iter();
        regions.next().filter(|_| regions.next().is_none())
    }

    /// The list price of a whole machine as it was read last, and when.
    fn of_machine(
        &self,
        machine: &Machine,
        capacity_type: CapacityType,
        region: &str,
    ) -> Option<(GpuHourPrice, Option<Timestamp>)> {
        let is_spot = capacity_type == CapacityType::Spot;
        let of_machine = self.listed.iter().filter(|price| {
            let name = price.instance_type.as_deref().unwrap_or_default();
            name.eq_ignore_ascii_case(machine.instance_type)
                && price.region_id == region
                && (price.capacity_type == CapacityType::Spot) == is_spot
                && price.unit == "h"
        });
        let listed = freshest_first(of_machine).into_iter().next()?;
        let price = listed.price.amount.checked_div(Decimal::from(machine.gpus))?;
        let price = GpuHourPrice {
            source: PriceSource::List,
            price: Money::new(price, listed.price.currency),
            note: PriceNote::Listed { spot: is_spot, read_on: read_on(listed), parts: None },
        };
        Some((price, listed.read_at))
    }

    /// Google Cloud's list: the GPU's own SKU, with cores and memory added in the proportion that
    /// the table's machine has; all in one currency, that of the GPU that was read last.
    fn of_parts(
        &self,
        machine: &Machine,
        capacity_type: CapacityType,
        region: &str,
    ) -> Option<(GpuHourPrice, Option<Timestamp>)> {
        if capacity_type == CapacityType::Spot {
            return None;
        }
        let family = GpuFamily::of_machine(machine.instance_type)?;
        let gpus = self.on_demand(region, "h", |name| family.is_gpu_on_demand(machine, name));
        gpus.into_iter().find_map(|gpu| self.with_its_parts(family, machine, gpu))
    }

    /// What an hour of a GPU costs with its share of the machine.
    fn with_its_parts(
        &self,
        family: &GpuFamily,
        machine: &Machine,
        gpu: &SkuPrice,
    ) -> Option<(GpuHourPrice, Option<Timestamp>)> {
        let mut price = gpu.price.amount;
        let mut parts = ListedParts::Whole;
        if !family.is_whole {
            parts = ListedParts::WithCoresAndMemory;
            let shape = machine.shape?;
            for (name, unit, units) in
                [("Core", "h", shape.cores), ("Ram", "GiBy.h", shape.memory_gib)]
            {
                let beginning = format!("{} Instance {name} running", family.name);
                let listed =
                    self.on_demand(&gpu.region_id, unit, |name| name.starts_with(&beginning));
                let part =
                    listed.into_iter().find(|part| part.price.currency == gpu.price.currency)?;
                let per_gpu = Decimal::from(units).checked_div(Decimal::from(machine.gpus))?;
                price = price.checked_add(part.price.amount.checked_mul(per_gpu)?)?;
            }
        }
        let price = GpuHourPrice {
            source: PriceSource::List,
            price: Money::new(price, gpu.price.currency),
            note: PriceNote::Listed { spot: false, read_on: read_on(gpu), parts: Some(parts) },
        };
        Some((price, gpu.read_at))
    }

    /// What is listed on demand in a region by a unit under a name, what was read last first.
    fn on_demand(
        &self,
        region: &str,
        unit: &str,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Vec<&SkuPrice> {
        freshest_first(self.listed.iter().filter(|price| {
            price.region_id == region
                && price.capacity_type == CapacityType::OnDemand
                && price.unit == unit
                && is_wanted(&price.description)
        }))
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
            note: PriceNote::Configured,
        })
    }
}

/// Prices by the time at which they were read, the last first; those of one time as they stand.
fn freshest_first<'a>(prices: impl Iterator<Item = &'a SkuPrice>) -> Vec<&'a SkuPrice> {
    let mut prices: Vec<_> = prices.collect();
    prices.sort_by_key(|price| std::cmp::Reverse(price.read_at));
    prices
}

/// The price of the program's own table, and whether it is that region's own.
fn embedded(machine: &Machine, region: Option<&str>) -> Option<(GpuHourPrice, bool)> {
    let (price, own) = machine.list_price(region)?;
    let price = price.checked_div(Decimal::from(machine.gpus))?;
    let price = GpuHourPrice {
        source: PriceSource::List,
        price: Money::new(price, Currency::USD),
        note: PriceNote::Embedded {
            listed_on: listed_on(machine.provider).parse().ok(),
            own_region: own,
        },
    };
    Some((price, own))
}

/// Whether a price was read before the day of the table.
fn is_older(read_at: Option<Timestamp>, provider: Provider) -> bool {
    let day = read_at.map(|at| BillingZone::Utc.day_of(at));
    let listed_on: Option<Date> = listed_on(provider).parse().ok();
    day < listed_on
}

/// The day on which a listed price was read.
fn read_on(price: &SkuPrice) -> Option<Date> {
    price.read_at.map(|at| BillingZone::Utc.day_of(at))
}

#[cfg(test)]
mod tests;
