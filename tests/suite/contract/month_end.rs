//! The costs of a month's last days arrive in the next month: they change the old period's
//! judgement, and no figure of the new period hides it.

use std::sync::Arc;

use costband::domain::band::{BandStatus, BandView, PeriodLabel};
use costband::domain::identity::Provider;
use costband::domain::period::BillingPeriod;
use costband::domain::ports::Clock;
use costband::simulate::scenario::{Scenario, ScenarioOptions};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde_json::json;

use super::harness::{Bench, Options, at, id};
use crate::clock::SetClock;

/// The 1st in every zone: half of the 30th and little of the 31st is told.
const FIRST_LOOK: &str = "2026-11-01T09:30:00Z";
const HOURS_LATER: i64 = 30;

fn october() -> BillingPeriod {
    "2026-10".parse().unwrap()
}

#[tokio::test]
async fn what_arrives_on_the_2nd_changes_the_old_months_judgement() {
    let clock = SetClock::at(FIRST_LOOK);
    let options = ScenarioOptions { seed: 11, history_months: 3, ..ScenarioOptions::default() };
    let scenario = Arc::new(Scenario::with_options(options, clock.clone()));
    let later = at(FIRST_LOOK) + SignedDuration::from_hours(HOURS_LATER);
    let spent =
        |provider, period, at: Timestamp| scenario.truth(provider, period, at).spend_effective;
    let bands: Vec<_> = Provider::ALL
        .into_iter()
        .map(|provider| {
            let early = spent(provider, october(), at(FIRST_LOOK));
            let late = spent(provider, october(), later);
            assert!(late > early + Decimal::from(50), "{provider}: {early} became {late}");
            let ceiling = ((early + late) / Decimal::TWO).round_dp(2).to_string();
            json!({"name": provider.as_str(), "sources": [id(provider).as_str()], "floor": 100, "ceiling": ceiling})
        })
        .collect();
    let bench =
        Bench::start(&Provider::ALL, scenario.clone(), clock, Options::default(), json!(bands))
            .await;
    for provider in Provider::ALL {
        bench.poll_well(provider).await;
    }
    for (advance, wanted) in [(0, BandStatus::Within), (HOURS_LATER, BandStatus::Above)] {
        bench.advance(advance);
        let now = bench.clock.now();
        if advance > 0 {
            for provider in Provider::ALL {
                // Before the poll the late costs are not known, and the judgement stands.
                let stale = bench.judged(provider.as_str(), PeriodLabel::Previous).await;
                assert_eq!(stale.status(BandView::Actual), BandStatus::Within, "{provider}");
                bench.poll_well(provider).await;
            }
        }
        for provider in Provider::ALL {
            let name = provider.as_str();
            let current = BillingPeriod::at(now, provider.billing_zone());
            assert_eq!(current, october().next(), "{provider}");
            let old = bench.judged(name, PeriodLabel::Previous).await;
            assert_eq!((old.period, old.is_final), (october(), false), "{provider}");
            let truth = spent(provider, october(), now);
            assert_eq!(old.spend.unwrap().amount, truth, "{provider} at {now}");
            assert_eq!(old.status(BandView::Actual), wanted, "{provider} at {now}");
            // The new period is judged beside it, on its own money.
            let new = bench.judged(name, PeriodLabel::Current).await;
            assert_eq!(new.period, current, "{provider}");
            let truth = spent(provider, current, now);
            let told = new.spend.map_or(Decimal::ZERO, |spend| spend.amount);
            assert_eq!(told, truth, "{provider} at {now}");
            assert_ne!(new.status(BandView::Actual), BandStatus::Above, "{provider}");
            let page = bench.page().await;
            for status in BandStatus::ALL {
                let line = format!(
                    "costband_band_status{{band=\"{name}\",currency=\"USD\",period=\"previous\",view=\"actual\",status=\"{}\"}} {}\n",
                    status.as_str(),
                    u8::from(status == wanted)
                );
                assert!(page.contains(&line), "{line}{page}");
            }
        }
    }
    // A moved day of a month that is over is told as a restatement.
    for provider in Provider::ALL {
        let spend = bench.spend(provider).await.unwrap();
        assert!(spend.restatements_total > 0, "{provider}: an ended month moved silently");
    }
}
