//! Days on which a source costs nothing: two readings of nothing make them complete, so that an
//! idle cloud does not hold up the pace of a band over several; one reading does not.

use costband::domain::band::{BandStatus, BandView, PeriodLabel};
use costband::domain::identity::Provider;
use costband::simulate::charge::Charge;
use jiff::civil::{Date, date};
use jiff::{SignedDuration, ToSpan};
use serde_json::json;

use super::harness::{Bench, Options, WrittenWorld, at, charge, decimal};
use crate::clock::SetClock;

const NOW: &str = "2026-11-11T12:30:00Z";
const PROVIDERS: [Provider; 2] = [Provider::Aws, Provider::Azure];

fn day(number: i8) -> Date {
    date(2026, 11, number)
}

fn aws(of: Date) -> Charge {
    let place = ["222233334444", "AWS Lambda", "us-east-1"];
    charge(Provider::Aws, of, place, decimal("1000"), decimal("1000"))
}

fn azure(of: Date) -> Charge {
    let place = ["0a7c2e58-91f4-4d36-8b0e-5d1f6a2c3b01", "Storage", "eastus"];
    charge(Provider::Azure, of, place, decimal("70"), decimal("70"))
}

/// AWS costs 1,000 every day; Azure costs something on the 1st only.
fn charges() -> Vec<Charge> {
    let mut charges: Vec<Charge> =
        day(1).series(1.day()).take_while(|of| *of <= day(20)).map(aws).collect();
    charges.push(azure(day(1)));
    charges
}

async fn poll(bench: &Bench) {
    for provider in PROVIDERS {
        bench.poll_well(provider).await;
    }
}

async fn complete_days(bench: &Bench, band: &str) -> i64 {
    bench.judged(band, PeriodLabel::Current).await.complete_days
}

#[tokio::test]
async fn an_idle_cloud_holds_the_pace_up_for_two_readings_and_not_for_ever() {
    let clock = SetClock::at(NOW);
    let world = WrittenWorld::new(clock.clone(), charges());
    let idle = json!({"name": "idle", "provider": "azure", "floor": 1, "ceiling": 90_000});
    let both = json!({"name": "both", "floor": 1, "ceiling": 90_000});
    let bench =
        Bench::start(&PROVIDERS, world.clone(), clock, Options::default(), json!([both, idle]))
            .await;
    poll(&bench).await;
    let first = bench.judged("both", PeriodLabel::Current).await;
    assert_eq!((first.complete_days, first.run_rate), (0, None), "one reading");
    assert_eq!(first.status(BandView::Pace), BandStatus::Unknown);

    bench.clock.advance(SignedDuration::from_hours(5));
    poll(&bench).await;
    assert_eq!(complete_days(&bench, "both").await, 0, "two readings five hours apart");
    bench.advance(1);
    // Azure is not read again: what AWS tells of its own days decides nothing for both.
    bench.poll_well(Provider::Aws).await;
    assert_eq!(complete_days(&bench, "both").await, 0);
    bench.poll_well(Provider::Azure).await;
    let complete = bench.judged("both", PeriodLabel::Current).await;
    assert_eq!(complete.complete_days, 8, "the 9th is too young");
    assert_eq!(complete.complete_spend.unwrap().amount, decimal("8070"));
    assert_eq!(complete.status(BandView::Pace), BandStatus::Within);
    assert_eq!(complete_days(&bench, "idle").await, 8);

    // A cost of a day that was complete without one is a restatement, and the day is not steady.
    let mut late = charges();
    late.push(Charge { published_at: at("2026-11-11T18:45:00Z"), ..azure(day(5)) });
    world.rewrite(late);
    bench.advance(1);
    poll(&bench).await;
    assert_eq!(bench.spend(Provider::Azure).await.unwrap().restatements_total, 1);
    assert_eq!(complete_days(&bench, "idle").await, 7);
    bench.advance(8);
    poll(&bench).await;
    assert_eq!(complete_days(&bench, "idle").await, 9, "the 5th again, and the 9th");
    assert_eq!(bench.spend(Provider::Azure).await.unwrap().restatements_total, 1);
}
