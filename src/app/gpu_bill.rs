//! What a source billed for GPUs, and what the rest of its bill was for: gathered while its rows are
//! read for spend, so that no row is unpacked twice.

use std::collections::{BTreeSet, HashMap};

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::analyse::gpu_bill::{Bill, query_of};
use crate::analyse::gpu_picture::GpuBill;
use crate::domain::breakdown::{Breakdown, BreakdownRole, CostRow, Dimension};
use crate::domain::gpu_money::NotGpu;
use crate::domain::identity::Provider;
use crate::domain::money::Currency;
use crate::domain::period::BillingPeriod;
use crate::domain::report::Completeness;
use crate::domain::spend::SourceSpend;

/// Sums by storage, network and the rest.
type Sums = [Decimal; 3];

const KINDS: [NotGpu; 3] = [NotGpu::Storage, NotGpu::Network, NotGpu::Other];

/// Gathers a source's rows.
#[derive(Debug)]
pub struct Gatherer {
    provider: Provider,
    bill: Bill,
    services: HashMap<(Date, Currency), Sums>,
    /// What each service is for: its name is looked at once.
    kinds: HashMap<String, usize>,
}

impl Gatherer {
    /// Of a provider's rows.
    pub fn new(provider: Provider) -> Self {
        let bill = Bill::new(provider);
        Self { provider, bill, services: HashMap::new(), kinds: HashMap::new() }
    }

    /// Whether a breakdown tells something of GPUs or of everything else.
    pub fn wants(&self, breakdown: &Breakdown) -> bool {
        breakdown.role == BreakdownRole::Primary || self.is_of_machines(breakdown)
    }

    fn is_of_machines(&self, breakdown: &Breakdown) -> bool {
        breakdown.query == query_of(self.provider)
    }

    /// Takes a row of a breakdown that is wanted.
    pub fn row(&mut self, breakdown: &Breakdown, row: &CostRow) {
        if self.is_of_machines(breakdown) {
            self.bill.add(&breakdown.dimensions, row);
        }
        if breakdown.role != BreakdownRole::Primary {
            return;
        }
        let place = breakdown.dimensions.iter().position(|key| *key == Dimension::ServiceName);
        let name = place.and_then(|place| row.keys.get(place));
        let (Some(name), Some(amount)) = (name, row.amounts.effective.or(row.amounts.billed))
        else {
            return;
        };
        let kind = match self.kinds.get(name) {
            Some(kind) => *kind,
            None => {
                let kind = NotGpu::of_service(name);
                let kind = KINDS.iter().position(|known| *known == kind).unwrap_or(2);
                self.kinds.insert(name.clone(), kind);
                kind
            }
        };
        let sums = self.services.entry((row.day, row.currency)).or_default();
        if let Some(sum) = sums.get_mut(kind) {
            *sum += amount;
        }
    }

    /// The bill, once it is known which of the days are complete.
    pub fn finish(self, spend: &SourceSpend) -> GpuBill {
        let days = spend.periods.iter().flat_map(|period| &period.days);
        let complete: BTreeSet<(Date, Currency)> = days
            .filter(|day| day.completeness >= Completeness::Complete)
            .map(|day| (day.day, day.currency))
            .collect();
        let mut told = GpuBill {
            days: self.bill.finish(|day, currency| complete.contains(&(day, currency))),
            ..GpuBill::default()
        };
        for ((day, currency), sums) in self.services {
            if !complete.contains(&(day, currency)) {
                continue;
            }
            let period = BillingPeriod::containing(day);
            for (kind, amount) in KINDS.into_iter().zip(sums).filter(|(_, sum)| !sum.is_zero()) {
                let key = (period, self.provider, currency, kind);
                *told.services.entry(key).or_default() += amount;
            }
        }
        told
    }
}
