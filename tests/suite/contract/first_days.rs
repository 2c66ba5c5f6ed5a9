//! Whom a month's first days tell what: money above a ceiling at once, what is made of a few days
//! not before there are five.

use std::sync::Arc;

use costband::app::alerts::{self, AlertInput, AlertRoom};
use costband::domain::alert::{AlertRule, Severity, Subject};
use costband::domain::alerting::Alerting;
use costband::domain::band::{BandStatus, BandView, PeriodLabel};
use costband::domain::identity::Provider;
use costband::domain::notice::{Notice, NoticeKind, Recipient, Takes};
use costband::domain::ports::Clock;
use costband::simulate::charge::Charge;
use jiff::civil::{Date, date};
use jiff::{SignedDuration, ToSpan};
use serde_json::json;

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

/// Judges, queues what is to be told, and hands it over: rule and band of every alert that fires.
async fn told(bench: &Bench) -> Vec<(AlertRule, String)> {
    let reading = bench.read().await;
    let history = bench.history().await;
    let now = bench.clock.now();
    let gpu = bench.gpu(&reading).await;
    let input = AlertInput {
        bands: Arc::new(bench.reader.judge(&reading, &history, &gpu, now)),
        spend: Arc::new(reading.spend.into_iter().flatten().collect()),
        sources: Arc::new(reading.sources),
        gpu_sources: Arc::default(),
        gpu: Arc::new(gpu),
        gpu_window: None,
        trends: None,
    };
    let ops = Recipient {
        name: "ops".to_owned(),
        takes: Takes::Groups,
        minimum_severity: Severity::Info,
        resolved: true,
    };
    let room = AlertRoom {
        policies: Arc::default(),
        alerting: Alerting::Agent,
        recipients: Arc::new(vec![ops]),
        group_wait: SignedDuration::ZERO,
    };
    let messages = bench
        .polling
        .handle
        .call(move |ledger| {
            alerts::judge(ledger, &room, &input, now)?;
            let due = ledger.outbox_due(now)?;
            for message in &due {
                ledger.outbox_sent(message.id, now)?;
            }
            Ok::<_, costband::store::LedgerError>(due)
        })
        .await;
    let mut told = Vec::new();
    for message in messages.unwrap().unwrap() {
        let notice: Notice = serde_json::from_str(&message.entry.payload).unwrap();
        if notice.kind == NoticeKind::Reminder {
            continue;
        }
        assert_eq!(notice.kind, NoticeKind::Firing);
        for alert in notice.alerts {
            told.push((alert.key.rule, alert.key.about(Subject::Band).unwrap().to_owned()));
        }
    }
    told
}

fn alert(rule: AlertRule, band: &str) -> (AlertRule, String) {
    (rule, band.to_owned())
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
    assert_eq!(told(&bench).await, [alert(AlertRule::CeilingExceeded, "spent")]);

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
        // The fifth complete day is the first that counts, and the next one confirms it.
        if judged.complete_days < 6 {
            assert_eq!(messages, [], "{} complete days", judged.complete_days);
            continue;
        }
        assert_eq!(messages, [alert(AlertRule::CeilingForecast, "paced")]);
        break;
    }
    known.dedup();
    assert_eq!(known, [0, 1, 2, 3, 4, 5, 6]);
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
        assert!(judged.complete_days < 3, "told too late: {judged:?}");
        messages = told(&bench).await;
        bench.advance(12);
    }
    assert_eq!(messages, [alert(AlertRule::CeilingForecast, "paced")]);
}
