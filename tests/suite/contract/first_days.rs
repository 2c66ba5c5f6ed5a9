//! Whom a month's first days tell what: money above a ceiling at once, what is made of a few days
//! not before there are five.

use costband::app::notices;
use costband::domain::band::{BandStatus, BandView, PeriodLabel};
use costband::domain::identity::Provider;
use costband::domain::ports::Clock;
use costband::simulate::charge::Charge;
use jiff::ToSpan;
use jiff::civil::{Date, date};
use serde_json::{Value, json};

use super::harness::{Bench, Options, WrittenWorld, charge, decimal};
use crate::clock::SetClock;

const NOW: &str = "2026-11-02T12:30:00Z";

/// 1,000 a day: 30,000 in a month of 30 days.
fn charges(first: Date) -> Vec<Charge> {
    let place = ["222233334444", "AWS Lambda", "us-east-1"];
    first
        .series(1.day())
        .take_while(|day| *day <= date(2026, 11, 20))
        .map(|day| charge(Provider::Aws, day, place, decimal("1000"), decimal("1000")))
        .collect()
}

/// Judges, queues what is to be told, and hands it over: band, view and status of every message.
async fn told(bench: &Bench) -> Vec<(String, String, String)> {
    let (judged, now) = (bench.judge().await, bench.clock.now());
    let reader = bench.reader.clone();
    let messages = bench
        .polling
        .handle
        .call(move |ledger| {
            notices::queue(ledger, &reader, &["ops".to_owned()], &judged, now)?;
            let due = ledger.outbox_due(now)?;
            for message in &due {
                ledger.outbox_sent(message.id, now)?;
            }
            Ok::<_, costband::store::LedgerError>(due)
        })
        .await;
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let mut told = Vec::new();
    for message in messages.unwrap().unwrap() {
        let payload: Value = serde_json::from_str(&message.entry.payload).unwrap();
        let data = &payload["data"];
        told.push((word(&data["band"]), word(&data["view"]), word(&data["status"])));
    }
    told
}

fn above(band: &str, view: &str) -> (String, String, String) {
    (band.to_owned(), view.to_owned(), "above".to_owned())
}

#[tokio::test]
async fn a_pace_tells_people_from_five_complete_days_on_and_money_at_once() {
    let clock = SetClock::at(NOW);
    let world = WrittenWorld::new(clock.clone(), charges(date(2026, 11, 1)));
    let bands = json!([
        {"name": "paced", "floor": 1, "ceiling": 20_000},
        {"name": "spent", "floor": 1, "ceiling": 900},
    ]);
    let bench = Bench::start(&[Provider::Aws], world, clock, Options::default(), bands).await;
    bench.poll_well(Provider::Aws).await;
    // On the first reading: no day is complete, and the money is there.
    assert_eq!(told(&bench).await, [above("spent", "actual"), above("spent", "forecast")]);

    let mut known = Vec::new();
    loop {
        bench.advance(12);
        bench.poll_well(Provider::Aws).await;
        let judged = bench.judged("paced", PeriodLabel::Current).await;
        let messages = told(&bench).await;
        known.push(judged.complete_days);
        if judged.complete_days > 0 {
            assert_eq!(judged.status(BandView::Pace), BandStatus::Above);
            assert_eq!(judged.status(BandView::Forecast), BandStatus::Above);
        }
        assert_eq!(judged.status(BandView::Actual), BandStatus::Within);
        let of_paced: Vec<_> = messages.into_iter().filter(|(band, ..)| band == "paced").collect();
        if judged.complete_days < 5 {
            assert_eq!(of_paced, [], "{} complete days", judged.complete_days);
            continue;
        }
        assert_eq!(of_paced, [above("paced", "pace"), above("paced", "forecast")]);
        break;
    }
    known.dedup();
    assert_eq!(known, [0, 1, 2, 3, 4, 5]);
    bench.advance(12);
    bench.poll_well(Provider::Aws).await;
    assert_eq!(told(&bench).await, [], "told once");
}

#[tokio::test]
async fn a_forecast_that_knows_earlier_months_waits_for_no_day() {
    let clock = SetClock::at(NOW);
    let world = WrittenWorld::new(clock.clone(), charges(date(2026, 9, 1)));
    let limits = json!([{"effective_from": "2026-11-01", "floor": 1, "ceiling": 20_000}]);
    let bands = json!([{"name": "paced", "limits": limits}]);
    let bench = Bench::start(&[Provider::Aws], world, clock, Options::default(), bands).await;
    let mut messages = Vec::new();
    while messages.is_empty() {
        bench.poll_well(Provider::Aws).await;
        let judged = bench.judged("paced", PeriodLabel::Current).await;
        assert!(judged.complete_days < 2, "told too late: {judged:?}");
        messages = told(&bench).await;
        bench.advance(12);
    }
    assert_eq!(messages, [above("paced", "forecast")]);
}
