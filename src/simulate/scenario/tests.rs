#![allow(clippy::unwrap_used)]

use jiff::SignedDuration;
use jiff::civil::Date;

use super::*;
use crate::domain::breakdown::ChargeCategory;

struct Fixed(Timestamp);

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        self.0
    }
}

fn world(seed: u64, history_months: u8) -> Scenario {
    let options = ScenarioOptions { seed, history_months, ..ScenarioOptions::default() };
    Scenario::with_options(options, Arc::new(Fixed(Timestamp::UNIX_EPOCH)))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn period(text: &str) -> BillingPeriod {
    text.parse().unwrap()
}

#[test]
fn same_seed_tells_the_same_world_and_another_seed_another() {
    let now = at("2026-11-16T10:00:00Z");
    for provider in Provider::ALL {
        let first = world(7, 1).charges(provider, now);
        assert_eq!(first, world(7, 1).charges(provider, now));
        assert_ne!(first, world(8, 1).charges(provider, now));
        assert!(first.len() > 500, "{provider}: {}", first.len());
    }
}

#[test]
fn charges_are_cached_within_the_hour_and_exact_at_its_end() {
    let world = world(1, 1);
    let first = world.charges(Provider::Aws, at("2026-11-16T10:00:00Z"));
    let later = world.charges(Provider::Aws, at("2026-11-16T10:59:59Z"));
    assert!(Arc::ptr_eq(&first, &later));
    let computed = world.compute(Provider::Aws, at("2026-11-16T10:59:59Z"));
    assert_eq!(*first, computed);
}

#[test]
fn old_days_stay_as_they_are_when_the_clock_moves_on() {
    let world = world(3, 4);
    for provider in Provider::ALL {
        let closed = period("2026-08");
        let sooner = world.truth(provider, closed, at("2026-11-02T00:00:00Z"));
        let later = world.truth(provider, closed, at("2026-12-20T13:00:00Z"));
        assert_eq!(sooner, later);
        assert!(sooner.spend_billed > Decimal::ZERO);
    }
}

/// Where a provider stands on pace: its complete days' effective spend against the same share of
/// floor and ceiling.
fn pace(world: &Scenario, provider: Provider, now: Timestamp, band: (i64, i64)) -> i32 {
    let zone = provider.billing_zone();
    let period = BillingPeriod::at(now, zone);
    let truth = world.truth(provider, period, now);
    let complete = now - SignedDuration::from_hours(48);
    let days = truth
        .by_day
        .iter()
        .filter(|(day, _)| period.contains(**day) && zone.end_of(**day) <= complete);
    let (count, spend) = days.fold((Decimal::ZERO, Decimal::ZERO), |(count, sum), (_, spend)| {
        (count + Decimal::ONE, sum + spend.effective)
    });
    let month = Decimal::from(period.days());
    let share = |limit: i64| Decimal::from(limit) * count / month;
    i32::from(spend > share(band.1)) - i32::from(spend < share(band.0))
}

#[test]
fn in_mid_month_one_heads_above_one_is_within_one_is_below() {
    for (seed, months) in [(1, 1..=12), (2, 2..=3), (40, 9..=10)] {
        let world = world(seed, 0);
        for month in months {
            for day in [10, 16] {
                let day = Date::new(2026 + i16::from(month == 2) * 2, month, day).unwrap();
                let now =
                    Provider::Gcp.billing_zone().start_of(day) + SignedDuration::from_hours(9);
                assert_eq!(pace(&world, Provider::Aws, now, (50_000, 100_000)), 1, "{seed} {day}");
                assert_eq!(pace(&world, Provider::Gcp, now, (45_000, 90_000)), 0, "{seed} {day}");
                assert_eq!(
                    pace(&world, Provider::Azure, now, (48_000, 95_000)),
                    -1,
                    "{seed} {day}"
                );
            }
        }
    }
}

#[test]
fn newest_days_grow_in_steps_and_rest_within_two_days() {
    let world = world(1, 1);
    let day: Date = "2026-11-10".parse().unwrap();
    for provider in Provider::ALL {
        let end = provider.billing_zone().end_of(day);
        let spend = |hours: i64| {
            let known = world.charges(provider, end + SignedDuration::from_hours(hours));
            let rows = known.iter().filter(|row| row.day == day && row.record_type != "Credit");
            rows.map(|row| row.list).sum::<Decimal>()
        };
        let seen = [spend(-12), spend(-2), spend(14), spend(33), spend(47)];
        let [none, part, most, whole, rested] = seen;
        assert_eq!(none, Decimal::ZERO, "{provider}");
        assert!(part > none && most > part && whole > most, "{provider} {seen:?}");
        assert_eq!(whole, rested, "{provider}");
    }
}

#[test]
fn google_increments_add_up_to_the_whole_day() {
    let world = world(1, 1);
    let known = world.charges(Provider::Gcp, at("2026-11-16T10:00:00Z"));
    for (day, hours) in [("2026-10-31", 24), ("2026-11-01", 25), ("2026-11-02", 24)] {
        let day: Date = day.parse().unwrap();
        let gpu = "Nvidia H100 80GB GPU running in Americas";
        let rows = || known.iter().filter(|row| row.day == day && row.sku == gpu);
        assert_eq!(rows().count(), 3, "{day}");
        assert_eq!(rows().map(|row| row.quantity).sum::<Decimal>(), Decimal::from(8 * hours));
        let cost = (line::decimal("9.796550569") * Decimal::from(8 * hours)).round_dp(6);
        assert_eq!(rows().map(|row| row.billed).sum::<Decimal>(), cost);
        let credits = rows().flat_map(|row| &row.credits).map(|(_, _, amount)| amount);
        assert_eq!(credits.sum::<Decimal>(), -cost, "the commitment covers all of it");
    }
}

#[test]
fn truth_tells_discounts_from_promotions() {
    let world = world(1, 0);
    let now = at("2026-11-16T10:00:00Z");
    let known = world.charges(Provider::Gcp, now);
    let mut charge = known.iter().find(|row| row.service_name == "Cloud Run").unwrap().clone();
    charge.billed = Decimal::from(100);
    charge.effective = Decimal::from(100);
    charge.credits = [
        ("SUSTAINED_USAGE_DISCOUNT", -20),
        ("COMMITTED_USAGE_DISCOUNT", -10),
        ("PROMOTION", -5),
        ("FREE_TIER", -1),
    ]
    .map(|(kind, amount)| (kind.to_owned(), kind.to_lowercase(), Decimal::from(amount)))
    .to_vec();
    let tax = Charge {
        category: ChargeCategory::Tax,
        billed: Decimal::from(7),
        credits: Vec::new(),
        ..charge.clone()
    };
    let other_invoice = Charge { invoice_period: period("2026-12"), ..charge.clone() };
    let truth = Truth::of(&[charge, tax, other_invoice], period("2026-11"), Currency::USD);
    assert_eq!(truth.spend_billed, Decimal::from(70));
    assert_eq!(truth.by_service["Cloud Run"].effective, Decimal::from(70));
    assert_eq!((truth.credit, truth.tax), (Decimal::from(-6), Decimal::from(7)));
}

#[test]
fn some_old_day_is_restated_after_it_rested() {
    let world = world(1, 2);
    for provider in Provider::ALL {
        let moved = world
            .window(provider, at("2026-11-16T10:00:00Z"))
            .days()
            .take(60)
            .filter(|day| {
                let end = provider.billing_zone().end_of(*day);
                let spend = |hours: i64| {
                    let mut known = Vec::new();
                    let at = end + SignedDuration::from_hours(hours);
                    world.publish_day(provider, *day, at, &mut known);
                    known.iter().map(|row| row.effective).sum::<Decimal>()
                };
                let (rested, late) = (spend(40), spend(10 * 24));
                (rested - late).abs() > rested * Decimal::new(5, 3)
            })
            .count();
        assert!((1..30).contains(&moved), "{provider}: {moved}");
    }
}

#[test]
fn day_one_lump_is_billed_at_once_and_effective_over_the_month() {
    let world = world(1, 2);
    let now = at("2026-11-16T10:00:00Z");
    for (provider, lump) in [(Provider::Aws, 10_000), (Provider::Azure, 9_000)] {
        let truth = world.truth(provider, period("2026-10"), now);
        let first = truth.by_day.get(&"2026-10-01".parse().unwrap()).unwrap();
        assert!(first.billed > first.effective + Decimal::from(lump), "{provider} {first:?}");
        let difference = (truth.spend_billed - truth.spend_effective).abs();
        assert!(difference < Decimal::new(1, 4), "{provider} {difference}");
    }
}

#[test]
fn late_google_rows_go_on_the_next_invoice() {
    let world = world(1, 2);
    let known = world.charges(Provider::Gcp, at("2026-11-16T10:00:00Z"));
    let late = |row: &&Charge| row.invoice_period != BillingPeriod::containing(row.day);
    assert!(known.iter().filter(late).count() > 5);
    let last: Date = "2026-10-31".parse().unwrap();
    let of_last: Vec<_> = known.iter().filter(|row| row.day == last).collect();
    assert!(of_last.iter().any(late) && !of_last.iter().all(late));
    assert!(
        known
            .iter()
            .filter(late)
            .all(|row| row.invoice_period > BillingPeriod::containing(row.day))
    );
}

#[test]
fn machines_cost_their_list_price() {
    let hourly = |lines: &[line::Line], machine: &str| {
        let parts = lines.iter().filter(|line| line.instance_type == Some(machine));
        parts
            .map(|line| match line.usage {
                line::Usage::AlwaysOn(units) => line.price * Decimal::from(units),
                line::Usage::PerDay { units, .. } => line.price * units / line::decimal("13.2"),
            })
            .sum::<Decimal>()
            .round_dp(5)
    };
    let lines = gcp::lines();
    assert_eq!(hourly(&lines, "a3-highgpu-8g").to_string(), "88.49000");
    assert_eq!(hourly(&lines, "a2-highgpu-8g").normalize().to_string(), "29.38708");
}

#[test]
fn every_kind_of_money_is_in_the_world() {
    let world = world(1, 2);
    let now = at("2026-11-16T10:00:00Z");
    let aws = world.truth(Provider::Aws, period("2026-10"), now);
    assert!(
        aws.tax > Decimal::ONE_THOUSAND && aws.credit < Decimal::ZERO && aws.refund < Decimal::ZERO
    );
    let gcp = world.truth(Provider::Gcp, period("2026-10"), now);
    assert!(
        gcp.tax > Decimal::ONE_THOUSAND && gcp.credit < Decimal::ZERO && gcp.refund < Decimal::ZERO
    );
    assert_eq!(gcp.spend_billed, gcp.spend_effective);
    let azure = world.truth(Provider::Azure, period("2026-10"), now);
    assert_eq!((azure.tax, azure.credit), (Decimal::ZERO, Decimal::ZERO));
    assert!(azure.refund < Decimal::ZERO);
    for truth in [&aws, &gcp, &azure] {
        assert!(truth.by_service.len() >= 13, "{:?}", truth.by_service.keys());
        assert!(truth.by_sub_account.len() >= 3 && truth.by_region.len() >= 2);
        for whole in [&truth.by_service, &truth.by_sub_account, &truth.by_region] {
            assert_eq!(
                whole.values().map(|spend| spend.billed).sum::<Decimal>(),
                truth.spend_billed
            );
        }
    }
    let kinds: std::collections::BTreeSet<_> = world
        .charges(Provider::Gcp, now)
        .iter()
        .flat_map(|row| row.credits.iter().map(|credit| credit.0.clone()))
        .collect();
    let wanted = ["COMMITTED_USAGE_DISCOUNT", "FREE_TIER", "PROMOTION", "SUSTAINED_USAGE_DISCOUNT"];
    assert!(kinds.iter().eq(wanted.iter()), "{kinds:?}");
}

#[test]
fn incident_lifts_its_account_for_some_days_of_every_month() {
    let world = world(1, 1);
    let now = at("2026-11-16T10:00:00Z");
    let window = world.incident(period("2026-11"));
    assert!((3..=4).contains(&window.days().count()));
    let on = |day: Date| {
        let known = world.charges(Provider::Aws, now);
        let rows =
            known.iter().filter(|row| row.day == day && row.sub_account_id == "444455556666");
        rows.filter(|row| row.category == ChargeCategory::Usage)
            .map(|row| row.effective)
            .sum::<Decimal>()
    };
    let before = on(window.start.yesterday().unwrap());
    assert!(on(window.start) > before + Decimal::from(2_000));
    assert!(on(window.end) < before + Decimal::from(500));
}

#[test]
fn azure_may_bill_in_another_currency() {
    let euro: Currency = "EUR".parse().unwrap();
    let per_usd = Decimal::new(92, 2);
    let now = at("2026-11-16T10:00:00Z");
    let options = ScenarioOptions {
        history_months: 1,
        azure_currency: Some((euro, per_usd)),
        ..ScenarioOptions::default()
    };
    let world = Scenario::with_options(options, Arc::new(Fixed(now)));
    let truth = world.truth(Provider::Azure, period("2026-11"), now);
    let dollars = self::world(1, 1).truth(Provider::Azure, period("2026-11"), now);
    assert_eq!(truth.currency, euro);
    let difference = (truth.spend_billed - dollars.spend_billed * per_usd).abs();
    assert!(difference < Decimal::new(1, 4), "{difference}");
    assert!(world.charges(Provider::Azure, now).iter().all(|row| row.per_usd == Some(per_usd)));
}
