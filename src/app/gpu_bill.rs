//! What a source billed for GPUs, and what the rest of its bill was for: gathered while its rows are
//! read for spend, so that no row is unpacked twice.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;

use crate::analyse::gpu_bill::{Bill, SourceBill, query_of};
use crate::analyse::spend::AmountSum;
use crate::domain::breakdown::{Breakdown, BreakdownRole, CostRow, Dimension};
use crate::domain::gpu_money::NotGpu;
use crate::domain::identity::Provider;
use crate::domain::money::Currency;

/// Gathers a source's rows.
#[derive(Debug)]
pub struct Gatherer {
    provider: Provider,
    machines: Bill,
    services: HashMap<(Date, Currency), BTreeMap<NotGpu, AmountSum>>,
    /// What each service is for: its name is looked at once.
    kinds: HashMap<String, NotGpu>,
}

impl Gatherer {
    /// Of a provider's rows.
    pub fn new(provider: Provider) -> Self {
        let machines = Bill::new(provider);
        Self { provider, machines, services: HashMap::new(), kinds: HashMap::new() }
    }

    /// Whether a breakdown tells something of GPUs or of everything else.
    pub fn wants(&self, breakdown: &Breakdown) -> bool {
        breakdown.role == BreakdownRole::Primary || self.is_of_machines(breakdown)
    }

    /// Whether a breakdown tells of GPU machines.
    pub fn is_of_machines(&self, breakdown: &Breakdown) -> bool {
        breakdown.query == query_of(self.provider)
    }

    /// Takes a row of a breakdown that is wanted.
    pub fn row(&mut self, breakdown: &Breakdown, row: &CostRow) {
        if self.is_of_machines(breakdown) {
            self.machines.add(&breakdown.dimensions, row);
        }
        if breakdown.role != BreakdownRole::Primary {
            return;
        }
        let place = breakdown.dimensions.iter().position(|key| *key == Dimension::ServiceName);
        let name = place.and_then(|place| row.keys.get(place));
        let Some(name) = name else { return };
        let kind = match self.kinds.get(name) {
            Some(kind) => *kind,
            None => {
                let kind = NotGpu::of_service(name);
                self.kinds.insert(name.clone(), kind);
                kind
            }
        };
        let sums = self.services.entry((row.day, row.currency)).or_default();
        sums.entry(kind).or_default().add(&row.amounts);
    }

    /// The bill; `complete_days` are the source's days that are complete in every currency.
    pub fn finish(self, complete_days: BTreeSet<Date>) -> SourceBill {
        let Self { provider, machines, services, .. } = self;
        SourceBill { provider, machines, services, complete_days }
    }
}
