//! Promises of what telemetry says beside a bill.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use jiff::civil::date;

use super::*;
use crate::domain::band::{BandLimits, Scope};
use crate::domain::gpu_money::{Beside, Expected};
use crate::domain::gpu_time::{GpuState, StateTime};
use crate::domain::identity::SourceId;
use crate::domain::money::{CostBasis, Money};
use crate::domain::node::Fleet;
use crate::domain::price::CapacityType;

const NOW: &str = "2026-11-20T12:00:00Z";

fn day(day: i8, provider: Provider, machine: &str, gpu_hours: u64) -> FleetDay {
    let mut time = StateTime::default();
    time.add(GpuState::Busy, gpu_hours * 3_600_000);
    let fleet = Fleet {
        provider: Some(provider),
        cluster: "video".to_owned(),
        instance_type: Some(machine.to_owned()),
        region_id: None,
        capacity_type: CapacityType::OnDemand,
        model: "a GPU".to_owned(),
    };
    FleetDay { day: date(2026, 11, day), fleet, time }
}

/// A GPU of one machine costs 10 dollars an hour, of another 4 euros.
fn book() -> PriceBook {
    let prices = [("one.machine", "10 USD"), ("other.machine", "4 EUR")];
    let prices =
        prices.map(|(machine, price)| (machine.to_owned(), price.parse::<Money>().unwrap()));
    PriceBook::new(&[], Vec::new(), prices.into())
}

fn scored(days: usize, error_ratio: f64) -> NowcastScore {
    NowcastScore { provider: Provider::Aws, days, error_ratio }
}

fn told(days: &[FleetDay], scores: &[NowcastScore], now: &str) -> Vec<(i8, String)> {
    let told = telemetry_days(days, scores, &book(), now.parse().unwrap());
    let costs = told.into_iter().flat_map(|of| of.costs);
    costs.map(|(day, cost)| (day.day(), cost.round_dp(4).normalize().to_string())).collect()
}

#[test]
fn whole_days_are_told_at_their_price_less_what_estimates_were_too_high() {
    let days: Vec<FleetDay> =
        (16..=20).map(|of| day(of, Provider::Aws, "one.machine", 22)).collect();
    let wanted = |days: &[i8]| -> Vec<(i8, String)> {
        days.iter().map(|day| (*day, "200".to_owned())).collect()
    };
    let scores = [scored(3, 0.1)];
    assert_eq!(told(&days, &scores, NOW), wanted(&[17, 18, 19]), "from the second to yesterday");
    let midnight = "2026-11-20T00:30:00Z";
    assert_eq!(told(&days, &scores, midnight), wanted(&[17, 18]), "yesterday is still counted");
}

#[test]
fn a_day_on_which_telemetry_fell_silent_is_left_out() {
    let hours = [(14, 22), (15, 22), (16, 5), (18, 22), (19, 22), (20, 11)];
    let days = hours.map(|(of, hours)| day(of, Provider::Aws, "one.machine", hours));
    let told: Vec<i8> =
        told(&days, &[scored(3, 0.1)], NOW).into_iter().map(|(day, _)| day).collect();
    assert_eq!(told, [15, 18, 19], "the 17th is not told: the 16th is a part of a day");
}

#[test]
fn days_of_which_a_part_is_told_are_left_out() {
    // Silent from noon of the 14th to noon of the 16th: the last day of it is counted as unknown.
    let other = |of, hours| {
        let mut told = day(of, Provider::Aws, "one.machine", hours);
        told.fleet.cluster = "other".to_owned();
        told
    };
    let mut days: Vec<FleetDay> = (12..=20).map(|of| other(of, 22)).collect();
    days.extend([12, 13, 17, 18, 19, 20].map(|of| day(of, Provider::Aws, "one.machine", 22)));
    days.push(day(14, Provider::Aws, "one.machine", 11));
    for of in [15, 16] {
        let mut part = day(of, Provider::Aws, "one.machine", 0);
        part.time.add(GpuState::Unknown, 11 * 3_600_000);
        days.push(part);
    }
    let told: Vec<i8> =
        told(&days, &[scored(3, 0.1)], NOW).into_iter().map(|(day, _)| day).collect();
    assert_eq!(told, [13, 17, 18, 19]);
}

#[test]
fn estimates_that_are_far_off_or_hardly_scored_are_not_believed() {
    let days: Vec<FleetDay> =
        (10..=20).map(|of| day(of, Provider::Aws, "one.machine", 24)).collect();
    assert_eq!(told(&days, &[scored(3, -0.15)], NOW).len(), 9);
    assert!(told(&days, &[scored(3, -0.16)], NOW).is_empty());
    assert!(told(&days, &[scored(2, 0.0)], NOW).is_empty());
    assert!(told(&days, &[], NOW).is_empty());
}

#[test]
fn a_day_with_a_gpu_without_a_price_in_the_currency_is_left_out() {
    let one = "one.machine";
    let mut days: Vec<FleetDay> = (10..=15).map(|of| day(of, Provider::Aws, one, 10)).collect();
    days.push(day(12, Provider::Aws, "other.machine", 1));
    days.push(day(13, Provider::Aws, "p9.new", 1));
    days.push(day(15, Provider::Aws, "p9.new", 1));
    days.push(day(16, Provider::Aws, one, 10));
    let told = told(&days, &[scored(7, 0.0)], NOW);
    assert_eq!(told, [(11, "100"), (14, "100")].map(|(day, cost)| (day, cost.to_owned())));
}

fn band(provider: Option<Provider>) -> Band {
    Band {
        name: "all".to_owned(),
        scope: Scope { provider, ..Scope::default() },
        basis: CostBasis::Effective,
        currency: Currency::USD,
        counts: Vec::new(),
        limits: vec![BandLimits {
            effective_from: None,
            floor: Decimal::ONE,
            ceiling: Decimal::TEN,
        }],
        owner: None,
        runbook_url: None,
        receiver: None,
    }
}

fn of(provider: Provider, currency: &str, costs: &[(i8, i64)]) -> TelemetryDays {
    let costs = costs.iter().map(|(day, cost)| (date(2026, 11, *day), Decimal::from(*cost)));
    TelemetryDays { provider, currency: currency.parse().unwrap(), costs: costs.collect() }
}

#[test]
fn a_band_is_told_the_days_that_all_of_its_clouds_have() {
    let period: BillingPeriod = "2026-11".parse().unwrap();
    let expected = Expected {
        band: "all".to_owned(),
        period,
        cost: "3000 USD".parse().unwrap(),
        fleets: Vec::new(),
        beside: Beside::Floor("5000 USD".parse().unwrap()),
    };
    let picture = GpuPicture {
        telemetry_days: vec![
            of(Provider::Aws, "USD", &[(3, 10), (4, 20), (5, 30)]),
            of(Provider::Gcp, "USD", &[(3, 1), (4, 2)]),
            of(Provider::Azure, "EUR", &[(3, 500)]),
        ],
        expected: vec![expected],
        ..GpuPicture::default()
    };
    let days = |band: &Band| -> BTreeMap<i8, i64> {
        let told = aid(band, &picture, period).gpu_days.into_iter();
        told.map(|(day, cost)| (day.day(), cost.try_into().unwrap())).collect()
    };
    assert_eq!(days(&band(None)), [(3, 11), (4, 22)].into());
    assert_eq!(days(&band(Some(Provider::Aws))), [(3, 10), (4, 20), (5, 30)].into());
    assert_eq!(days(&band(Some(Provider::Azure))), BTreeMap::new(), "in another currency");
    let fleet = |period| aid(&band(None), &picture, period).fleet_per_day;
    assert_eq!(fleet(period), Some(Decimal::ONE_HUNDRED));
    assert_eq!(fleet(period.previous()), None);
    let mut part = band(None);
    part.scope.sources = vec![SourceId::new("aws-main")];
    assert_eq!(aid(&part, &picture, period), Aid::default());
}
