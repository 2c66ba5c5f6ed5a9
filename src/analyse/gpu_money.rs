//! What the money of the GPUs does: their time by state, at what they cost.
//!
//! On a day whose bill is complete, an hour of a GPU costs what the bill says: the states and the
//! residuals add up to the billed money. On any other day the selected price stands in, which is an
//! estimate. Time that has no price is told as time, never as zero.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::analyse::gpu_bill::{self, BilledDay, may_be};
use crate::analyse::gpu_price::PriceBook;
use crate::domain::gpu_money::{
    FleetMoney, GpuHourPrice, GpuMoney, NowcastScore, PaidNotRunning, PartMoney, PriceGroup,
    PriceSource, ProviderMoney, Residual, StateMoney, hours, milliseconds, zone_of,
};
use crate::domain::gpu_time::{FleetDay, StateTime};
use crate::domain::identity::Provider;
use crate::domain::money::{Currency, Money};
use crate::domain::node::Fleet;
use crate::domain::period::next_day;
use crate::domain::price::CapacityType;

/// Over how many complete days estimates are held against the bill.
const SCORED_DAYS: usize = 7;

/// The GPU money of the days that are wanted of each cloud, which are its own billing days.
pub fn gpu_money(
    days: &[FleetDay],
    billed: &[BilledDay],
    book: &PriceBook,
    now: Timestamp,
    within: impl Fn(Option<Provider>, Date) -> bool,
) -> GpuMoney {
    let mut sums = Sums::default();
    let mut bills: BTreeMap<Date, DayBills> = BTreeMap::new();
    for day in billed.iter().filter(|day| day.is_complete) {
        if within(Some(day.group.provider), day.day) {
            bills.entry(day.day).or_default().groups.entry(&day.group).or_default().push(day);
        }
    }
    for day in days.iter().filter(|day| within(day.fleet.provider, day.day)) {
        if let Some(bills) = bills.get_mut(&day.day) {
            bills.days.push(day);
        } else {
            sums.estimate(&day.fleet, &day.time, price_on(day, book, now));
        }
    }
    for (day, bills) in bills {
        bills.settle(day, &mut sums, book, now);
    }
    sums.finish()
}

/// The price of a day that is not billed: as bills had it then, else as it is known today.
pub(super) fn price_on(day: &FleetDay, book: &PriceBook, now: Timestamp) -> Option<GpuHourPrice> {
    let today = zone_of(day.fleet.provider).day_of(now);
    let then = book.selected(&day.fleet, next_day(day.day).min(today));
    then.filter(|then| then.source == PriceSource::Billed)
        .or_else(|| book.selected(&day.fleet, today))
}

/// What was billed on a day, and what telemetry saw on it.
#[derive(Default)]
struct DayBills<'a> {
    groups: BTreeMap<&'a PriceGroup, Vec<&'a BilledDay>>,
    days: Vec<&'a FleetDay>,
}

impl DayBills<'_> {
    fn settle(self, day: Date, sums: &mut Sums, book: &PriceBook, now: Timestamp) {
        let mut seen: BTreeMap<&PriceGroup, Vec<(&Fleet, StateTime)>> = BTreeMap::new();
        let mut open = Vec::new();
        for of in &self.days {
            let mut may_be = may_be(&of.fleet, self.groups.keys().copied());
            if may_be.is_empty() {
                // The whole bill is there and knows no machine of that kind but one that was
                // bought otherwise: the bill is right.
                let any = Fleet { capacity_type: CapacityType::Unknown, ..of.fleet.clone() };
                may_be = gpu_bill::may_be(&any, self.groups.keys().copied());
            }
            match may_be[..] {
                [] => {
                    let price = price_on(of, book, now);
                    let provider = of.fleet.provider;
                    if self.groups.keys().any(|group| Some(group.provider) == provider) {
                        sums.not_billed(of, price);
                    } else {
                        sums.estimate(&of.fleet, &of.time, price);
                    }
                }
                [group] => seen.entry(group).or_default().push((&of.fleet, of.time)),
                _ => open.push((of, may_be)),
            }
        }
        for (of, groups) in open {
            for (group, time) in self.spread(&of.time, &groups, &seen) {
                seen.entry(group).or_default().push((&of.fleet, time));
            }
        }
        let observed: BTreeSet<Provider> =
            self.days.iter().filter_map(|of| of.fleet.provider).collect();
        for (group, mut bills) in self.groups {
            // Accounts that are billed in another currency run machines that cannot be told apart:
            // the greatest bill is taken for the one that telemetry sees.
            bills.sort_by_key(|bill| Reverse(bill.gpu_hours));
            let mut seen = seen.remove(group).unwrap_or_default();
            for bill in bills {
                let is_observed = observed.contains(&group.provider);
                sums.bill(day, bill, &std::mem::take(&mut seen), book, is_observed);
            }
        }
    }

    /// Spreads the time of a fleet over the groups that it may be billed under, by the hours of
    /// each that nothing was seen of yet; by all their hours where there are no such.
    fn spread<'g>(
        &self,
        time: &StateTime,
        groups: &[&'g PriceGroup],
        seen: &BTreeMap<&PriceGroup, Vec<(&Fleet, StateTime)>>,
    ) -> Vec<(&'g PriceGroup, StateTime)> {
        let billed = |group: &&PriceGroup| {
            let bills = self.groups.get(*group).into_iter().flatten();
            bills.filter_map(|bill| bill.gpu_hours).map(milliseconds).sum::<u64>()
        };
        let left = |group: &&PriceGroup| {
            let seen = seen.get(*group).into_iter().flatten();
            billed(group).saturating_sub(seen.map(|(_, time)| time.total()).sum())
        };
        let mut weights: Vec<u64> = groups.iter().map(left).collect();
        if weights.iter().all(|weight| *weight == 0) {
            weights = groups.iter().map(billed).collect();
        }
        let mut rest = *time;
        let mut open: u64 = weights.iter().sum();
        let mut spread = Vec::new();
        for (index, (group, weight)) in groups.iter().zip(weights).enumerate() {
            let is_last = index + 1 == groups.len();
            let part = if is_last { rest } else { rest.part(weight, open) };
            rest = rest.without(&part);
            open -= weight;
            spread.push((*group, part));
        }
        spread
    }
}

#[derive(Default)]
struct Sums {
    by_provider: BTreeMap<(Option<Provider>, Currency), ProviderMoney>,
    /// A fleet that is paid in two currencies is two; time without a price has none.
    fleets: BTreeMap<(Fleet, Option<Currency>), FleetMoney>,
    paid: BTreeMap<(PriceGroup, Currency), (Decimal, Option<Decimal>)>,
}

impl Sums {
    /// Adds time at a price; what it cost.
    fn add(&mut self, fleet: &Fleet, time: &StateTime, price: Money) -> Decimal {
        let currency = price.currency;
        let of = self.fleet(fleet, Some(currency));
        of.time.merge(time);
        let (_, states) = of.money.get_or_insert_with(|| (currency, StateMoney::new()));
        let costs = || {
            let spent = time.iter().filter(|(_, milliseconds)| *milliseconds > 0);
            spent.map(|(state, milliseconds)| (state, hours(milliseconds) * price.amount))
        };
        for (state, cost) in costs() {
            *states.entry(state).or_default() += cost;
        }
        let provider = self.by_provider.entry((fleet.provider, currency)).or_default();
        for (state, cost) in costs() {
            *provider.states.entry(state).or_default() += cost;
        }
        costs().map(|(_, cost)| cost).sum()
    }

    fn estimate(&mut self, fleet: &Fleet, time: &StateTime, price: Option<GpuHourPrice>) {
        let Some(GpuHourPrice { price, .. }) = price else {
            self.fleet(fleet, None).time.merge(time);
            return;
        };
        let cost = self.add(fleet, time, price);
        let provider = self.by_provider.entry((fleet.provider, price.currency)).or_default();
        provider.estimated += cost;
    }

    /// A day whose bill is there and does not know the machines: what they cost is more than was
    /// billed.
    fn not_billed(&mut self, day: &FleetDay, price: Option<GpuHourPrice>) {
        let Some(GpuHourPrice { price, .. }) = price else {
            self.fleet(&day.fleet, None).time.merge(&day.time);
            return;
        };
        let cost = self.add(&day.fleet, &day.time, price);
        let provider = self.by_provider.entry((day.fleet.provider, price.currency)).or_default();
        *provider.residuals.entry(Residual::MoreThanBilled).or_default() -= cost;
    }

    fn fleet(&mut self, fleet: &Fleet, currency: Option<Currency>) -> &mut FleetMoney {
        self.fleets.entry((fleet.clone(), currency)).or_insert_with(|| FleetMoney {
            fleet: fleet.clone(),
            time: StateTime::default(),
            money: None,
        })
    }

    /// A complete day of a group: its GPU-hours at what they were billed, and what is left.
    fn bill(
        &mut self,
        day: Date,
        bill: &BilledDay,
        seen: &[(&Fleet, StateTime)],
        book: &PriceBook,
        is_observed: bool,
    ) {
        let own = bill.gpu_hours.and_then(|hours| bill.cost.checked_div(hours));
        let own = own.filter(|price| *price > Decimal::ZERO);
        let mut told = Decimal::ZERO;
        let mut seen_hours = Decimal::ZERO;
        for (fleet, time) in seen {
            let price = own.map(|price| Money::new(price, bill.currency)).or_else(|| {
                let price = book.selected(fleet, next_day(day))?.price;
                (price.currency == bill.currency).then_some(price)
            });
            match price {
                Some(price) => told += self.add(fleet, time, price),
                None => self.estimate(fleet, time, None),
            }
            seen_hours += hours(time.total());
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
            let paid = self.paid.entry(key).or_insert((Decimal::ZERO, Some(Decimal::ZERO)));
            paid.0 += rest;
            let unseen = bill.gpu_hours.map(|billed| (billed - seen_hours).max(Decimal::ZERO));
            paid.1 = paid.1.and_then(|hours| Some(hours + unseen?));
        }
    }

    fn finish(self) -> GpuMoney {
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
        GpuMoney {
            by_provider: self.by_provider,
            fleets: self.fleets.into_values().collect(),
            paid_not_running,
        }
    }
}

/// Prices the time of workloads, pods or nodes at what their fleets cost in the same days; the most
/// wasteful first. Time of a fleet without a price is left out.
pub fn part_money<T: Ord + Clone>(
    times: &[(T, Fleet, StateTime)],
    money: &GpuMoney,
) -> Vec<PartMoney<T>> {
    // A fleet with two prices has the one of most of its time.
    let mut by_time: Vec<_> = money.fleets.iter().collect();
    by_time.sort_by_key(|fleet| fleet.time.total());
    let prices: BTreeMap<&Fleet, (Currency, Decimal)> =
        by_time.into_iter().filter_map(|fleet| Some((&fleet.fleet, fleet.hour_price()?))).collect();
    let mut sums: BTreeMap<(&T, Currency), PartMoney<T>> = BTreeMap::new();
    for (of, fleet, time) in times {
        let Some((currency, price)) = prices.get(fleet).copied() else { continue };
        let sum = sums.entry((of, currency)).or_insert_with(|| PartMoney {
            of: of.clone(),
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
    let mut parts: Vec<PartMoney<T>> = sums.into_values().collect();
    parts.sort_by_key(|one| Reverse(one.idle_cost));
    parts
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
