//! Rules of GPUs: money that does nothing, engines that wait, clusters that are too small, machines
//! that are paid for and not seen. Money is looked at over the last whole days.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::causes::workloads;
use super::{Eye, either, limit, money, provider_word, ratio, verdict};
use crate::domain::alert::{
    AlertDetails, AlertKey, AlertRule, Figure, FigureName, Subject, Verdict,
};
use crate::domain::gpu_money::{FleetMoney, GpuPicture, GpuRange, Residual, WorkloadMoney, hours};
use crate::domain::gpu_time::{GpuState, StateTime};
use crate::domain::identity::Provider;
use crate::domain::money::Currency;
use crate::domain::node::Fleet;

/// Where more of the time than this is unknown, or more of the GPUs silent, nothing can be told.
const MOST_UNKNOWN: f64 = 0.5;
/// A figure below this part of what alerts ends the alert.
const CLEARS_AT: f64 = 0.8;

pub(super) fn look(eye: &mut Eye<'_>) {
    if let Some(range) = eye.facts.gpu_window {
        idle_money(eye, range);
        under_fed_fleets(eye, range);
        under_fed_workloads(eye, range);
        not_running(eye, range);
    }
    tiers(eye);
}

fn newest(range: &GpuRange) -> Option<Date> {
    range.window.end.yesterday().ok()
}

/// Time and money of several fleets.
#[derive(Default)]
struct Sum {
    time: StateTime,
    all: Decimal,
    wasted: Decimal,
}

impl Sum {
    fn add(
        &mut self,
        time: &StateTime,
        states: &BTreeMap<GpuState, Decimal>,
        wasted: fn(GpuState) -> bool,
    ) {
        self.time.merge(time);
        for (state, cost) in states {
            self.all = self.all.saturating_add(*cost);
            if wasted(*state) {
                self.wasted = self.wasted.saturating_add(*cost);
            }
        }
    }
}

fn is_known(time: &StateTime) -> bool {
    let unknown = ratio(hours(time.milliseconds(GpuState::Unknown)), hours(time.total()));
    unknown.is_some_and(|unknown| unknown <= MOST_UNKNOWN)
}

/// What cannot be seen of a window hides what was: where it may, nothing is called clear.
fn unless_hidden(verdict: Verdict, hides: bool) -> Verdict {
    if verdict == Verdict::Clear && hides { Verdict::Unknown } else { verdict }
}

/// Whether the window may hold more of what an alert tells of than is seen: days on which no GPU of
/// the cloud was seen though they were billed, a cluster most of whose GPUs are there and silent, GPUs
/// that have no price and do not work.
pub(super) fn may_hide(key: &AlertKey, range: &GpuRange, now: &GpuPicture) -> bool {
    let is_of = |subject, value: &str| key.about(subject).is_none_or(|wanted| wanted == value);
    let is_here = |provider: Option<Provider>| is_of(Subject::Provider, provider_word(provider));
    let unobserved = range.money.by_provider.iter().any(|((provider, currency), money)| {
        is_here(*provider)
            && is_of(Subject::Currency, currency.as_str())
            && money.residuals.get(&Residual::UnobservedDay).is_some_and(|cost| !cost.is_zero())
    });
    if unobserved || key.rule == AlertRule::ReservationNotRunning {
        return unobserved;
    }
    let silent = now.coverage.iter().any(|of| {
        let of_cluster = is_here(of.provider) && is_of(Subject::Cluster, &of.cluster);
        let unseen = of.expected.saturating_sub(of.seen);
        of_cluster && f64::from(unseen) > f64::from(of.expected) * MOST_UNKNOWN
    });
    let is_wasted = match key.rule {
        AlertRule::GpuIdleMoney => GpuState::is_idle,
        _ => waits,
    };
    let unpriced = |of: &FleetMoney| {
        let wasted = |(state, spent): (GpuState, u64)| {
            spent > 0 && (is_wasted(state) || state == GpuState::Unknown)
        };
        of.money.is_none()
            && is_here(of.fleet.provider)
            && is_of(Subject::Cluster, &of.fleet.cluster)
            && is_of(Subject::Model, &of.fleet.model)
            && of.time.iter().any(wasted)
    };
    silent || range.money.fleets.iter().any(unpriced)
}

/// Whether all GPUs of the window are one, by what tells them apart: a workload is not told by its
/// cluster or model, and where there are several nobody knows in which of them it wastes.
fn is_one<T: PartialEq>(range: &GpuRange, of: impl Fn(&Fleet) -> T) -> bool {
    let mut all = range.money.fleets.iter().map(|fleet| of(&fleet.fleet));
    let first = all.next();
    all.all(|other| Some(other) == first)
}

/// Met from both limits on, clear once either is clearly missed.
fn wasted(share: Option<f64>, cost: Decimal, (least_share, least): (f64, Decimal)) -> Verdict {
    let Some(share) = share else { return Verdict::Unknown };
    let is_missed = || {
        let cost_share = ratio(cost, least).unwrap_or(f64::INFINITY);
        share < least_share * CLEARS_AT || cost_share < CLEARS_AT
    };
    verdict(share >= least_share && cost >= least, is_missed)
}

fn idle_money(eye: &mut Eye<'_>, range: &GpuRange) {
    let mut sums: BTreeMap<(Option<Provider>, &str, Currency), Sum> = BTreeMap::new();
    for of in &range.money.fleets {
        if let Some((currency, states)) = &of.money {
            let place = (of.fleet.provider, of.fleet.cluster.as_str(), *currency);
            sums.entry(place).or_default().add(&of.time, states, GpuState::is_idle);
        }
    }
    let is_one = is_one(range, |fleet| (fleet.provider, fleet.cluster.clone()));
    for ((provider, cluster, currency), sum) in sums {
        let key = AlertKey::new(AlertRule::GpuIdleMoney)
            .of(Subject::Provider, provider_word(provider))
            .of(Subject::Cluster, cluster)
            .of(Subject::Currency, currency.as_str());
        let Some(policy) = eye.policies.gpu_idle_money.on(&key) else { continue };
        let of = &policy.thresholds;
        let share = ratio(sum.wasted, sum.all).filter(|_| is_known(&sum.time));
        let verdict = wasted(share, sum.wasted, (of.share, of.least_cost));
        let verdict = unless_hidden(verdict, may_hide(&key, range, eye.facts.gpu));
        let mut details = waste(AlertDetails::new(policy.severity), share, sum.wasted, currency);
        details = limit(details, Figure::Ratio(of.share))
            .with(FigureName::GpuHours, hour_count(&sum.time));
        if verdict == Verdict::Met && is_one {
            details.causes = workloads(&range.workloads, currency);
        }
        eye.tell(key, policy, verdict, newest(range), details);
    }
}

fn waste(
    details: AlertDetails,
    share: Option<f64>,
    cost: Decimal,
    currency: Currency,
) -> AlertDetails {
    details
        .with(FigureName::Cost, money(cost, currency))
        .with_known(FigureName::Share, share.map(Figure::Ratio))
}

fn hour_count(time: &StateTime) -> Figure {
    Figure::Count(hours(time.total()).trunc().try_into().unwrap_or(i64::MAX))
}

/// Held, and its engines wait or hardly work.
fn waits(state: GpuState) -> bool {
    matches!(state, GpuState::HeldIdle | GpuState::Low)
}

/// The share of waiting in the time that is known.
fn waiting(time: &StateTime) -> Option<f64> {
    let waiting: u64 = time.iter().filter(|(state, _)| waits(*state)).map(|(_, spent)| spent).sum();
    let known = time.total().saturating_sub(time.milliseconds(GpuState::Unknown));
    ratio(hours(waiting), hours(known)).filter(|_| is_known(time))
}

fn under_fed_fleets(eye: &mut Eye<'_>, range: &GpuRange) {
    let mut sums: BTreeMap<(Option<Provider>, &str, &str, Currency), Sum> = BTreeMap::new();
    for of in &range.money.fleets {
        if let Some((currency, states)) = &of.money {
            let fleet = &of.fleet;
            let place = (fleet.provider, fleet.cluster.as_str(), fleet.model.as_str(), *currency);
            sums.entry(place).or_default().add(&of.time, states, waits);
        }
    }
    let is_one =
        is_one(range, |fleet| (fleet.provider, fleet.cluster.clone(), fleet.model.clone()));
    for ((provider, cluster, model, currency), sum) in sums {
        let key = AlertKey::new(AlertRule::GpuUnderFed)
            .of(Subject::Provider, provider_word(provider))
            .of(Subject::Cluster, cluster)
            .of(Subject::Model, model)
            .of(Subject::Currency, currency.as_str());
        let Some(policy) = eye.policies.gpu_under_fed.on(&key) else { continue };
        let of = &policy.thresholds;
        let share = waiting(&sum.time);
        let verdict = wasted(share, sum.wasted, (of.share, of.least_cost));
        let verdict = unless_hidden(verdict, may_hide(&key, range, eye.facts.gpu));
        let mut details = waste(AlertDetails::new(policy.severity), share, sum.wasted, currency);
        details = limit(details, Figure::Ratio(of.share))
            .with(FigureName::GpuHours, hour_count(&sum.time));
        if verdict == Verdict::Met && is_one {
            details.causes = workloads(&range.workloads, currency);
        }
        eye.tell(key, policy, verdict, newest(range), details);
    }
}

/// Workloads are looked at where the configuration names them: each of them is a part of a fleet.
fn under_fed_workloads(eye: &mut Eye<'_>, range: &GpuRange) {
    if !eye.policies.gpu_under_fed.names_workloads() {
        return;
    }
    for of in &range.workloads {
        let key = workload_key(of);
        let policies = &eye.policies.gpu_under_fed;
        let named = policies.entries.iter().find(|(scope, policy)| {
            !scope.workloads.is_empty() && scope.admits(&key) && policy.enabled
        });
        let Some((_, policy)) = named else { continue };
        let wanted = &policy.thresholds;
        let share = waiting(&of.time);
        // A workload's money is told for idle states alone; its time is told for all.
        let all: u64 = of.time.total();
        let waits: u64 =
            of.time.iter().filter(|(state, _)| waits(*state)).map(|(_, spent)| spent).sum();
        let cost = of
            .cost
            .checked_mul(hours(waits))
            .and_then(|product| product.checked_div(hours(all)))
            .unwrap_or_default();
        let verdict = wasted(share, cost, (wanted.share, wanted.least_cost));
        let verdict = unless_hidden(verdict, may_hide(&key, range, eye.facts.gpu));
        let details = waste(AlertDetails::new(policy.severity), share, cost, of.currency);
        let details = limit(details, Figure::Ratio(wanted.share))
            .with(FigureName::GpuHours, hour_count(&of.time));
        eye.tell(key, policy, verdict, newest(range), details);
    }
}

fn workload_key(of: &WorkloadMoney) -> AlertKey {
    AlertKey::new(AlertRule::GpuUnderFed)
        .of(Subject::WorkloadNamespace, of.of.namespace.as_str())
        .of(Subject::WorkloadName, of.of.name.as_str())
        .of(Subject::Currency, of.currency.as_str())
}

fn not_running(eye: &mut Eye<'_>, range: &GpuRange) {
    for of in &range.money.paid_not_running {
        let key = AlertKey::new(AlertRule::ReservationNotRunning)
            .of(Subject::Provider, of.group.provider.as_str())
            .of(Subject::RegionId, of.group.region_id.as_str())
            .of(Subject::Machine, of.group.machine.as_str())
            .of(Subject::CapacityType, if of.group.spot { "spot" } else { "on_demand" })
            .of(Subject::Currency, of.currency.as_str());
        let Some(policy) = eye.policies.reservation_not_running.on(&key) else { continue };
        let least = policy.thresholds.least_cost;
        let share = ratio(of.cost, least).unwrap_or(f64::INFINITY);
        let verdict = verdict(of.cost >= least, || share < CLEARS_AT);
        let verdict = unless_hidden(verdict, may_hide(&key, range, eye.facts.gpu));
        let gpu_hours = of.gpu_hours.and_then(|hours| hours.trunc().try_into().ok());
        let details = AlertDetails::new(policy.severity)
            .with(FigureName::Cost, money(of.cost, of.currency))
            .with(FigureName::Limit, money(least, of.currency))
            .with_known(FigureName::GpuHours, gpu_hours.map(Figure::Count));
        eye.tell(key, policy, verdict, newest(range), details);
    }
}

fn tiers(eye: &mut Eye<'_>) {
    for of in &eye.facts.gpu.clusters {
        let key = AlertKey::new(AlertRule::ClusterBelowTier)
            .of(Subject::Provider, provider_word(of.provider))
            .of(Subject::Cluster, of.cluster.as_str());
        let Some(policy) = eye.policies.cluster_below_tier.on(&key) else { continue };
        let wanted = policy.thresholds.tier;
        let below = of.tier < wanted;
        let mut details = AlertDetails::new(policy.severity)
            .with(FigureName::Tier, Figure::Text(of.tier.as_str().to_owned()))
            .with(FigureName::Limit, Figure::Text(wanted.as_str().to_owned()))
            .with(FigureName::Gpus, Figure::Count(of.gpus.into()));
        if !of.missing.is_empty() {
            let missing: Vec<String> = of.missing.iter().map(ToString::to_string).collect();
            let missing = Figure::Text(missing.join("; "));
            details = details.with(FigureName::Missing, missing);
        }
        eye.tell(key, policy, either(below), None, details);
    }
}
