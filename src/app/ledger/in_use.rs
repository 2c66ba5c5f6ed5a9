//! Which GPU machines are in use, by the bills of the open and the previous period and by the nodes
//! that were seen in that time.

use jiff::Timestamp;

use crate::analyse::gpu_bill::query_of;
use crate::analyse::spend::SourceRules;
use crate::domain::breakdown::Dimension;
use crate::domain::identity::Provider;
use crate::domain::machine::Machine;
use crate::domain::period::{BillingPeriod, BillingZone, Window, next_day};
use crate::domain::price::InUse;
use crate::store::{Ledger, LedgerError};

/// What is in use of a source's provider, machines that the table of machines knows.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) fn in_use(
    ledger: &Ledger,
    rules: &SourceRules,
    now: Timestamp,
) -> Result<InUse, LedgerError> {
    let (provider, id) = (rules.provider, &rules.id);
    let current = BillingPeriod::at(now, provider.billing_zone());
    let mut in_use = InUse::default();
    let mut add = |machine: Option<&str>, region: &str| {
        if region.is_empty() {
            return;
        }
        in_use.regions.insert(region.to_owned());
        if let Some(machine) = machine {
            in_use.machines.insert((machine.to_owned(), region.to_owned()));
        }
    };
    let machines = ledger.breakdowns(id)?.into_iter().find(|held| held.query == query_of(provider));
    if let Some(breakdown) = machines {
        let place = |wanted| breakdown.dimensions.iter().position(|held| *held == wanted);
        let region = place(Dimension::RegionId);
        let name = place(Dimension::InstanceType).or(place(Dimension::Sku));
        ledger.for_each_row(&breakdown, &[current.previous(), current], |row| {
            let key = |place: Option<usize>| {
                place.and_then(|place| row.keys.get(place)).map_or("", String::as_str)
            };
            let machine = match provider {
                Provider::Aws => Machine::of(provider, key(name)),
                Provider::Azure => Machine::of_azure_meter(key(name)),
                // Google bills parts, and lists their prices by region.
                Provider::Gcp => None,
            };
            if machine.is_some() || provider == Provider::Gcp {
                add(machine.map(|machine| machine.instance_type), key(region));
            }
        })?;
    }
    let today = BillingZone::Utc.day_of(now);
    let seen = Window::new(current.previous().first_day(), next_day(today));
    for day in ledger.gpu_days(&seen)? {
        let fleet = day.fleet;
        let known = fleet.instance_type.and_then(|name| Machine::of(provider, &name));
        if let (true, Some(machine), Some(region)) =
            (fleet.provider == Some(provider), known, fleet.region_id)
        {
            add(Some(machine.instance_type), &region);
        }
    }
    let readings = ledger.day_readings(id, &seen)?;
    in_use.currencies = readings.iter().map(|reading| reading.currency).collect();
    Ok(in_use)
}
