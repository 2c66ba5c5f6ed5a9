//! What the money of the GPUs does: their time by state, at what they cost.
//!
//! On a day whose bill is complete, an hour of a GPU costs what the bill says: the states and the
//! residuals add up to the billed money. On any other day the selected price stands in, which is an
//! estimate. Time that has no price is told as time, never as zero.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::analyse::gpu_bill::BilledDay;
use crate::analyse::gpu_price::PriceBook;
use crate::domain::gpu_money::{
    FleetMoney, GpuHourPrice, NowcastScore, PaidNotRunning, PeriodGpuMoney, PriceGroup,
    ProviderMoney, Residual, StateMoney, WorkloadMoney, hours,
};
use crate::domain::gpu_time::{FleetDay, StateTime, Workload};
use crate::domain::identity::Provider;
use crate::domain::money::Currency;
use crate::domain::node::Fleet;
use crate::domain::period::{BillingPeriod, next_day};

/// Over how many complete days estimates are held against the bill.
const SCORED_DAYS: usize = 7;

/// The GPU money of a period.
pub fn period_money(
    period: BillingPeriod,
    days: &[FleetDay],
    billed: &[BilledDay],
    book: &PriceBook,
    today: Date,
) -> PeriodGpuMoney {
    let mut sums = Sums::default();
    let mut bills: BTreeMap<(Date, PriceGroup), Vec<&BilledDay>> = BTreeMap::new();
    for day in billed.iter().filter(|day| day.is_complete && period.contains(day.day)) {
        bills.entry((day.day, day.group.clone())).or_default().push(day);
    }
    let mut groups: BTreeMap<(Date, PriceGroup), Vec<&FleetDay>> = BTreeMap::new();
    for day in days.iter().filter(|day| period.contains(day.day)) {
        let key = book.group(&day.fleet).map(|group| (day.day, group));
        match key.filter(|key| bills.contains_key(key)) {
            Some(key) => groups.entry(key).or_default().push(day),
            None => sums.estimate(day, book.selected(&day.fleet, today)),
        }
    }
    let observed: BTreeSet<(Date, Provider)> =
        days.iter().filter_map(|day| Some((day.day, day.fleet.provider?))).collect();
    for (key, mut bills) in bills {
        let is_observed = observed.contains(&(key.0, key.1.provider));
        // Accounts that are billed in another currency run machines that cannot be told apart: the
        // greatest bill is taken for the one that telemetry sees.
        bills.sort_by_key(|bill| Reverse(bill.gpu_hours));
        let mut seen = groups.remove(&key).unwrap_or_default();
        for bill in bills {
            sums.bill(bill, &std::mem::take(&mut seen), book, is_observed);
        }
    }
    sums.finish(period)
}

#[derive(Default)]
struct Sums {
    by_provider: BTreeMap<(Option<Provider>, Currency), ProviderMoney>,
    /// A fleet that is paid in two currencies is two; time without a price has none.
    fleets: BTreeMap<(Fleet, Option<Currency>), FleetMoney>,
    paid: BTreeMap<(PriceGroup, Currency), (Decimal, Decimal)>,
}

impl Sums {
    fn add(
        &mut self,
        day: &FleetDay,
        currency: Currency,
        price: Decimal,
        is_estimate: bool,
    ) -> Decimal {
        let fleet = self.fleet(day, Some(currency));
        fleet.time.merge(&day.time);
        let (_, states) = fleet.money.get_or_insert_with(|| (currency, StateMoney::new()));
        let mut total = Decimal::ZERO;
        for (state, milliseconds) in day.time.iter().filter(|(_, milliseconds)| *milliseconds > 0) {
            let money = hours(milliseconds) * price;
            *states.entry(state).or_default() += money;
            total += money;
        }
        let provider = self.by_provider.entry((day.fleet.provider, currency)).or_default();
        for (state, milliseconds) in day.time.iter().filter(|(_, milliseconds)| *milliseconds > 0) {
            *provider.states.entry(state).or_default() += hours(milliseconds) * price;
        }
        if is_estimate {
            provider.estimated += total;
        }
        total
    }

    fn estimate(&mut self, day: &FleetDay, price: Option<GpuHourPrice>) {
        if let Some(price) = price {
            self.add(day, price.price.currency, price.price.amount, true);
            return;
        }
        self.fleet(day, None).time.merge(&day.time);
    }

    fn fleet(&mut self, day: &FleetDay, currency: Option<Currency>) -> &mut FleetMoney {
        self.fleets.entry((day.fleet.clone(), currency)).or_insert_with(|| FleetMoney {
            fleet: day.fleet.clone(),
            time: StateTime::default(),
            money: None,
        })
    }

    /// A complete day of a group: its GPU-hours at what they were billed, and what is left.
    fn bill(&mut self, bill: &BilledDay, seen: &[&FleetDay], book: &PriceBook, is_observed: bool) {
        let own = bill.cost.checked_div(bill.gpu_hours).filter(|price| *price > Decimal::ZERO);
        let mut told = Decimal::ZERO;
        let mut seen_hours = Decimal::ZERO;
        for day in seen {
            let price = own.or_else(|| {
                let price = book.selected(&day.fleet, next_day(bill.day))?.price;
                (price.currency == bill.currency).then_some(price.amount)
            });
            match price {
                Some(price) => told += self.add(day, bill.currency, price, false),
                None => self.estimate(day, None),
            }
            seen_hours += hours(day.time.total());
        }
        let provider =
            self.by_provider.entry((Some(bill.group.provider), bill.currency)).or_default();
        provider.billed += bill.cost;
        let rest = bill.cost - told;
        let kind = if rest.is_sign_negative() {
            Residual::MoreThanBilled
        } else if !is_observed {
            Residual::UnobservedDay
        } else {
            Residual::WithoutTelemetry
        };
        if !rest.is_zero() {
            *provider.residuals.entry(kind).or_default() += rest;
        }
        if kind == Residual::WithoutTelemetry && !rest.is_zero() {
            let key = (bill.group.clone(), bill.currency);
            let paid = self.paid.entry(key).or_default();
            paid.0 += rest;
            paid.1 += (bill.gpu_hours - seen_hours).max(Decimal::ZERO);
        }
    }

    fn finish(self, period: BillingPeriod) -> PeriodGpuMoney {
        let mut paid_not_running: Vec<PaidNotRunning> = self
            .paid
            .into_iter()
            .map(|((group, currency), (cost, gpu_hours))| PaidNotRunning {
                group,
                currency,
                cost,
                gpu_hours,
            })
            .collect();
        paid_not_running.sort_by_key(|paid| Reverse(paid.cost));
        PeriodGpuMoney {
            period,
            by_provider: self.by_provider,
            fleets: self.fleets.into_values().collect(),
            paid_not_running,
        }
    }
}

/// Prices the time of workloads at what their fleets cost in the period; the most wasteful first.
pub fn workload_money(
    times: &[(Workload, Fleet, StateTime)],
    money: &PeriodGpuMoney,
) -> Vec<WorkloadMoney> {
    // A fleet with two prices has the one of most of its time.
    let mut by_time: Vec<_> = money.fleets.iter().collect();
    by_time.sort_by_key(|fleet| fleet.time.total());
    let prices: BTreeMap<&Fleet, (Currency, Decimal)> =
        by_time.into_iter().filter_map(|fleet| Some((&fleet.fleet, fleet.hour_price()?))).collect();
    let mut sums: BTreeMap<(&Workload, Currency), WorkloadMoney> = BTreeMap::new();
    for (workload, fleet, time) in times {
        let Some((currency, price)) = prices.get(fleet).copied() else { continue };
        let sum = sums.entry((workload, currency)).or_insert_with(|| WorkloadMoney {
            workload: workload.clone(),
            currency,
            cost: Decimal::ZERO,
            idle_cost: Decimal::ZERO,
            time: StateTime::default(),
        });
        sum.time.merge(time);
        for (state, milliseconds) in time.iter() {
            let cost = hours(milliseconds) * price;
            sum.cost += cost;
            if state.is_idle() {
                sum.idle_cost += cost;
            }
        }
    }
    let mut workloads: Vec<WorkloadMoney> = sums.into_values().collect();
    workloads.sort_by_key(|one| Reverse(one.idle_cost));
    workloads
}

/// Holds what complete days would have been estimated at, with the prices of the days before them,
/// against their bills.
pub fn nowcast_scores(
    days: &[FleetDay],
    billed: &[BilledDay],
    book: &PriceBook,
) -> Vec<NowcastScore> {
    Provider::ALL
        .into_iter()
        .filter_map(|provider| {
            let mut bills: BTreeMap<Date, BTreeMap<Currency, Decimal>> = BTreeMap::new();
            for day in billed.iter().filter(|day| day.is_complete && day.group.provider == provider)
            {
                *bills.entry(day.day).or_default().entry(day.currency).or_default() += day.cost;
            }
            let (mut estimate, mut bill, mut count) = (Decimal::ZERO, Decimal::ZERO, 0);
            for (day, costs) in bills.iter().rev() {
                // Days in several currencies are not scored.
                let Some((currency, cost)) = costs.first_key_value().filter(|_| costs.len() == 1)
                else {
                    continue;
                };
                let Some(expected) = estimated(days, provider, *day, *currency, book) else {
                    continue;
                };
                (estimate, bill, count) = (estimate + expected, bill + cost, count + 1);
                if count == SCORED_DAYS {
                    break;
                }
            }
            let ratio = estimate.checked_div(bill)? - Decimal::ONE;
            let error_ratio = ratio.try_into().ok()?;
            Some(NowcastScore { provider, days: count, error_ratio })
        })
        .collect()
}

/// What a day would have been estimated at before its bill came; none where a fleet had no price.
fn estimated(
    days: &[FleetDay],
    provider: Provider,
    day: Date,
    currency: Currency,
    book: &PriceBook,
) -> Option<Decimal> {
    let mut seen = days
        .iter()
        .filter(|fleet| fleet.day == day && fleet.fleet.provider == Some(provider))
        .peekable();
    seen.peek()?;
    seen.try_fold(Decimal::ZERO, |sum, fleet| {
        let price = book.selected(&fleet.fleet, day)?.price;
        (price.currency == currency).then(|| sum + hours(fleet.time.total()) * price.amount)
    })
}

#[cfg(test)]
mod tests;
