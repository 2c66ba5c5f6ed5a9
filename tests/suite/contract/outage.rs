//! A source that was away for months: the ledger is whole again after the first good reading.

use std::collections::BTreeMap;
use std::sync::Arc;

use costband::domain::identity::Provider;
use costband::domain::period::{Window, next_day};
use costband::domain::ports::Clock;
use costband::simulate::charge::World;
use costband::simulate::faults::Fault;
use costband::simulate::scenario::Spend;
use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::harness::{Bench, Options, WrittenWorld, around, at, fleet, id};
use super::truth::{assert_true, net};
use crate::clock::SetClock;

/// A world that a test wrote, polled by the agent.
struct House {
    bench: Bench,
    world: Arc<WrittenWorld>,
}

impl House {
    async fn start(now: &str, days: Window) -> Self {
        let clock = SetClock::at(now);
        let world = WrittenWorld::new(clock.clone(), fleet(days, 1));
        let bench =
            Bench::start(&Provider::ALL, world.clone(), clock, Options::default(), json!([])).await;
        Self { bench, world }
    }

    fn set(&self, now: &str) {
        let ahead = at(now).duration_since(self.bench.clock.now());
        self.bench.clock.advance(ahead + SignedDuration::from_secs(1));
    }

    /// What the ledger knows of every day from one on.
    async fn known(&self, provider: Provider, first: Date) -> BTreeMap<Date, Spend> {
        let (source, window) = (id(provider), Window::new(first, Date::MAX));
        let told =
            self.bench.polling.handle.call(move |ledger| ledger.day_readings(&source, &window));
        let spend = |amounts: costband::domain::breakdown::Amounts| Spend {
            billed: amounts.billed.unwrap(),
            effective: amounts.effective.unwrap(),
        };
        let readings = told.await.unwrap().unwrap();
        readings.iter().map(|reading| (reading.day, spend(reading.primary))).collect()
    }

    /// What is true of every day from one on.
    fn truth(&self, provider: Provider, first: Date, now: Timestamp) -> BTreeMap<Date, Spend> {
        let mut days: BTreeMap<Date, Spend> = BTreeMap::new();
        for charge in self.world.charges(provider, now).iter().filter(|c| c.day >= first) {
            let (spend, _) = net(charge);
            let day = days.entry(charge.day).or_default();
            day.billed += spend.billed;
            day.effective += spend.effective;
        }
        days
    }
}

#[tokio::test]
async fn every_day_of_a_long_outage_is_known_after_the_first_good_reading() {
    const LAST: &str = "2026-05-20T18:00:00Z";
    const FAILED: &str = "2026-07-11T18:00:00Z";
    const BACK: &str = "2026-09-15T18:00:00Z";
    let days = Window::new(date(2026, 2, 20), date(2026, 9, 20));
    let house = House::start(LAST, days).await;
    let bench = &house.bench;
    for provider in Provider::ALL {
        bench.poll_well(provider).await;
    }
    // A part of it was no silence but refusals.
    house.set(FAILED);
    for provider in Provider::ALL {
        let faults = &bench.clouds.of(provider).faults;
        faults.order(Fault::Forbidden, 100);
        bench.poll(provider).await.unwrap_err();
        faults.clear();
    }
    house.set(BACK);
    for provider in Provider::ALL {
        let before = house.known(provider, date(2026, 6, 1)).await;
        assert!(before.is_empty(), "{provider} knew of {:?}", before.keys());
        bench.poll_well(provider).await;
        let now = bench.clock.now();
        let (known, truth) = (
            house.known(provider, date(2026, 5, 1)).await,
            house.truth(provider, date(2026, 5, 1), now),
        );
        assert!(truth.len() > 130, "{provider}: {} days", truth.len());
        assert_eq!(
            known.keys().collect::<Vec<_>>(),
            truth.keys().collect::<Vec<_>>(),
            "{provider}"
        );
        assert_eq!(known, truth, "{provider}");
        assert_true(&bench.spend(provider).await.unwrap(), &*house.world, now);
    }
}

#[tokio::test]
async fn a_source_that_was_away_for_longer_than_its_provider_remembers_is_read_again() {
    const LAST: &str = "2024-10-12T18:00:00Z";
    const BACK: &str = "2026-09-15T18:00:00Z";
    let house = House::start(LAST, around(at(LAST))).await;
    let bench = &house.bench;
    for provider in Provider::ALL {
        bench.poll_well(provider).await;
    }
    // A year is what every provider remembers.
    let oldest = Window::new(date(2025, 9, 1), date(2025, 9, 10));
    let mut charges = fleet(oldest, 1);
    charges.extend(fleet(around(at(BACK)), 1));
    house.world.rewrite(charges);
    house.set(BACK);
    for provider in Provider::ALL {
        bench.poll_well(provider).await;
        let now = bench.clock.now();
        let first = oldest.start;
        let known = house.known(provider, first).await;
        assert!(oldest.days().all(|day| known.contains_key(&day)), "{provider}");
        assert_eq!(known, house.truth(provider, first, now), "{provider}");
        assert!(known.contains_key(&next_day(date(2026, 9, 12))), "{provider}");
        assert_true(&bench.spend(provider).await.unwrap(), &*house.world, now);
    }
}
