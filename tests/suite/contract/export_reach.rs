//! An export of Google Cloud that is behind: what it brought of a day may be old and steady, and
//! what it brought of the days behind is nothing, and neither is what those days cost.

use costband::domain::band::{BandJudgement, PeriodLabel};
use costband::domain::identity::Provider;
use costband::domain::report::Completeness;
use costband::simulate::charge::Charge;
use jiff::civil::{Date, date};
use jiff::{Timestamp, ToSpan};
use rust_decimal::Decimal;
use serde_json::json;

use super::harness::{Bench, Options, WrittenWorld, at, charge, decimal};
use crate::clock::SetClock;

/// Two looks at an export that stood still on the 10th, at noon in California.
const FIRST_LOOK: &str = "2026-11-14T06:30:00Z";
const STANDS_SINCE: &str = "2026-11-10T20:00:00Z";
/// When it goes on.
const GOES_ON: &str = "2026-11-14T20:00:00Z";

fn day(number: i8) -> Date {
    date(2026, 11, number)
}

fn daily(day: Date, amount: &str) -> Charge {
    let place = ["training", "Compute Engine", "us-central1"];
    charge(Provider::Gcp, day, place, decimal(amount), decimal(amount))
}

/// 1,000 on every day but the 4th, which costs nothing. The 10th is told in two halves.
fn charges() -> Vec<Charge> {
    let told = |charge: Charge, at: Timestamp| Charge { published_at: at, ..charge };
    let mut charges: Vec<Charge> = date(2026, 9, 20)
        .series(1.day())
        .take_while(|of| *of < day(10))
        .filter(|of| *of != day(4))
        .map(|of| daily(of, "1000"))
        .collect();
    charges.push(told(daily(day(10), "400"), at(STANDS_SINCE)));
    let mut rest = daily(day(10), "600");
    rest.service_name = "Cloud Storage".to_owned();
    charges.push(told(rest, at(GOES_ON)));
    charges.push(told(daily(day(11), "1000"), at(GOES_ON)));
    charges.push(told(daily(day(12), "1000"), at(GOES_ON)));
    charges
}

async fn look(bench: &Bench) -> BandJudgement {
    bench.poll_well(Provider::Gcp).await;
    bench.judged("month", PeriodLabel::Current).await
}

async fn completeness(bench: &Bench, of: Date) -> Completeness {
    let spend = bench.spend(Provider::Gcp).await.unwrap();
    spend.periods[0].days.iter().find(|told| told.day == of).unwrap().completeness
}

#[tokio::test]
async fn days_that_an_export_does_not_reach_do_not_feed_the_pace() {
    let clock = SetClock::at(FIRST_LOOK);
    let world = WrittenWorld::new(clock.clone(), charges());
    let bands = json!([{"name": "month", "floor": 1, "ceiling": 1_000_000}]);
    let bench = Bench::start(&[Provider::Gcp], world, clock, Options::default(), bands).await;
    assert_eq!(look(&bench).await.complete_days, 0, "one reading");

    bench.advance(8);
    let behind = look(&bench).await;
    assert_eq!(behind.spend.unwrap().amount, decimal("8400"));
    assert_eq!((behind.complete_days, behind.complete_spend.unwrap().amount), (9, decimal("8000")));
    // Nine Pacific days of which the first is an hour longer, of 721 hours.
    let rate = decimal("8000") * Decimal::from(721) / Decimal::from(9 * 24 + 1);
    assert_eq!(behind.run_rate.unwrap().amount.round_dp(6), rate.round_dp(6));
    // The 10th is older than the lag and steady, as the 9th is; the 11th is as old and was read twice.
    assert_eq!(completeness(&bench, day(9)).await, Completeness::Complete);
    assert_eq!(completeness(&bench, day(10)).await, Completeness::Provisional);

    bench.advance(8);
    assert_eq!(look(&bench).await.complete_days, 9, "the rest has just come");
    bench.advance(8);
    let whole = look(&bench).await;
    assert_eq!((whole.complete_days, whole.complete_spend.unwrap().amount), (11, decimal("10000")));
    assert_eq!(completeness(&bench, day(10)).await, Completeness::Complete);
}
