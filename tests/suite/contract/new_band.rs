//! A band whose scope needs a query of its own is added to an agent that has been at work: it is
//! unknown until every source was asked, and the sources are asked soon.

use std::sync::Arc;

use costband::app::polling::Polling;
use costband::app::setup::Setup;
use costband::app::spend::SpendReader;
use costband::domain::band::{BandStatus, BandView, PeriodLabel};
use costband::domain::identity::Provider;
use costband::domain::ports::Clock;
use costband::simulate::charge::Charge;
use costband::simulate::faults::{Fault, Faults};
use costband::store::Ledger;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::harness::{Bench, Options, WrittenWorld, around, at, fleet, id};
use super::truth::{periods, spend_of};
use crate::clock::SetClock;
use crate::faces::peers::until;

/// Late enough in a month that a final month before it is not read again of itself.
const NOW: &str = "2026-11-20T12:30:00Z";
const PROVIDERS: [Provider; 2] = [Provider::Aws, Provider::Gcp];
const SERVICES: [&str; 2] = ["Amazon Elastic Compute Cloud - Compute", "Compute Engine"];
const REGIONS: [&str; 2] = ["us-east-1", "us-central1"];

fn east() -> Value {
    json!([{
        "name": "east",
        "scope": {"service_name": SERVICES, "region_id": REGIONS},
        "floor": 1,
        "ceiling": 1_000_000_000,
    }])
}

fn is_east(charge: &Charge) -> bool {
    SERVICES.contains(&charge.service_name.as_str()) && REGIONS.contains(&charge.region_id.as_str())
}

/// An agent that has read everything before the band was configured, and its world.
async fn before_the_band() -> (Arc<WrittenWorld>, Bench) {
    let clock = SetClock::at(NOW);
    let world = WrittenWorld::new(clock.clone(), fleet(around(at(NOW)), 1));
    let bench = Bench::start(&PROVIDERS, world.clone(), clock, Options::default(), json!([])).await;
    for provider in PROVIDERS {
        bench.poll_well(provider).await;
    }
    (world, bench)
}

/// The agent over the same ledger and clouds with other bands.
async fn restarted(bench: Bench, bands: Value) -> Bench {
    bench.polling.handle.close().await.unwrap();
    let text = bench.clouds.configuration(&PROVIDERS, bench.folder.path(), bands).to_string();
    let setup = Setup::from_text(&text, std::iter::empty()).unwrap_or_else(|p| panic!("{p}"));
    let ledger = Ledger::open(&setup.ledger).unwrap();
    let polling = Polling::new(&setup, ledger, bench.clock.clone()).unwrap();
    let reader = SpendReader::new(&setup);
    Bench { setup, polling, reader, ..bench }
}

async fn assert_unknown(bench: &Bench, unread: Provider) {
    for label in PeriodLabel::ALL {
        let judged = bench.judged("east", label).await;
        assert_eq!(judged.spend, None, "{}", label.as_str());
        assert_eq!(judged.as_of, None, "{}", label.as_str());
        for view in &judged.views {
            assert_eq!(view.status, BandStatus::Unknown, "{view:?}");
            assert_eq!(view.reason.to_string(), format!("`{}` was not read yet", id(unread)));
        }
    }
    assert!(!bench.page().await.contains("costband_band_spend{"));
}

#[tokio::test]
async fn a_bands_own_query_is_unknown_until_every_source_was_asked_it() {
    let (world, bench) = before_the_band().await;
    let bench = restarted(bench, east()).await;
    assert_unknown(&bench, Provider::Gcp).await;
    bench.advance(1);
    bench.poll_well(Provider::Aws).await;
    assert_unknown(&bench, Provider::Gcp).await;
    bench.poll_well(Provider::Gcp).await;
    // Both months, though the one before is final at AWS and was not to be read any more.
    let now = bench.clock.now();
    for (label, period) in periods(Provider::Aws, now) {
        let of = |provider| spend_of(&*world, provider, period, now, is_east).effective;
        let truth: Decimal = PROVIDERS.into_iter().map(of).sum();
        let judged = bench.judged("east", label).await;
        assert_eq!(judged.spend.unwrap().amount, truth, "{period}");
        assert_eq!(judged.status(BandView::Actual), BandStatus::Within, "{period}");
    }
}

async fn due(bench: &Bench, provider: Provider) -> Timestamp {
    bench.poller(provider).ledger.schedule(&id(provider)).await.unwrap().next_poll.unwrap()
}

#[tokio::test]
async fn a_query_that_was_never_asked_waits_an_hour_and_not_for_its_turn() {
    let hour = SignedDuration::from_hours(1);
    let (_, bench) = before_the_band().await;
    let turn = |provider: Provider| {
        let every = bench.poller(provider).source.descriptor().poll_every;
        SignedDuration::try_from(every).unwrap()
    };
    let turns = PROVIDERS.map(turn);
    for (provider, turn) in PROVIDERS.into_iter().zip(turns) {
        assert!(turn > hour * 2, "{provider}");
        assert!(due(&bench, provider).await >= at(NOW) + turn, "{provider}");
    }
    let bench = restarted(bench, east()).await;
    for provider in PROVIDERS {
        let read = bench.schedule(provider).await.last_success.unwrap();
        assert_eq!(due(&bench, provider).await, read + hour, "{provider}");
    }
    bench.advance(1);

    // A source that fails goes by its retries: it is not asked again at once for the new query.
    let faults: &Faults = &bench.clouds.aws.faults;
    faults.order(Fault::Unauthorized, 1);
    bench.poll(Provider::Aws).await.unwrap_err();
    assert!(due(&bench, Provider::Aws).await > bench.clock.now());
    faults.clear();

    let pollers = PROVIDERS.map(|provider| bench.poller(provider).clone().run());
    bench.advance(1);
    let running = pollers.map(tokio::spawn);
    for (provider, turn) in PROVIDERS.into_iter().zip(turns) {
        until("the new query", async || {
            let source = id(provider);
            let held = bench.polling.handle.call(move |ledger| ledger.breakdowns(&source)).await;
            held.unwrap().unwrap().iter().any(|b| b.query == "band:east").then_some(())
        })
        .await;
        assert!(due(&bench, provider).await >= bench.clock.now() + turn, "{provider}");
    }
    for poller in running {
        poller.abort();
    }
}
