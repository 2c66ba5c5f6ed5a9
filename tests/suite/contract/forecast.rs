//! Forecasts of bands, from a simulated history that was read through real sockets, held against
//! what the month came to.

use std::collections::BTreeMap;
use std::sync::Arc;

use costband::domain::band::{BandStatus, BandView, PeriodLabel};
use costband::domain::forecast::BandOutlook;
use costband::domain::identity::Provider;
use costband::domain::ports::Clock;
use costband::runtime::clock::ShiftedClock;
use costband::simulate::scenario::{Scenario, ScenarioOptions};
use jiff::civil::date;
use rust_decimal::Decimal;
use serde_json::json;

use super::harness::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_month_ends_where_its_forecast_said() {
    let clock = Arc::new(ShiftedClock::standing_at(at("2026-10-16T12:00:00Z")));
    let world = Arc::new(Scenario::with_options(ScenarioOptions::default(), clock.clone()));
    let bands = json!([{"preset": "aws"}, {"preset": "gcp"}, {"preset": "azure"}]);
    let bench = Bench::start(&Provider::ALL, world, clock, Options::default(), bands).await;
    assert!(bench.judge().await.iter().all(|of| of.outlook.is_none()), "nothing was read yet");
    let poll = || async {
        for provider in Provider::ALL {
            bench.poll_well(provider).await;
        }
    };
    poll().await;
    // No day of October is complete yet, and a September that is final (AWS) says where it may end.
    for band in bench.judge().await.into_iter().filter(|of| of.label == PeriodLabel::Current) {
        let made_from = band.outlook.map(|outlook| outlook.forecast.made_from);
        let wanted = (band.band == "aws").then(|| date(2026, 9, 30));
        assert_eq!((band.complete_days, made_from), (0, wanted), "{}", band.band);
    }
    bench.advance(7);
    poll().await;

    let mut said: BTreeMap<String, BandOutlook> = BTreeMap::new();
    for band in bench.judge().await.into_iter().filter(|of| of.label == PeriodLabel::Current) {
        let outlook = band.outlook.clone().unwrap_or_else(|| panic!("{} has none", band.band));
        let amounts: Vec<Decimal> =
            outlook.forecast.quantiles.iter().map(|quantile| quantile.amount).collect();
        assert!(amounts.is_sorted(), "{}: {amounts:?}", band.band);
        assert!(amounts[0] >= band.complete_spend.unwrap().amount, "{}", band.band);
        let median = band.month_end().unwrap().amount;
        let place = match median {
            median if median > band.ceiling.amount => BandStatus::Above,
            median if median < band.floor.amount => BandStatus::Below,
            _ => BandStatus::Within,
        };
        assert_eq!(band.status(BandView::Forecast), place, "{}", band.band);
        assert!(
            outlook.forecast.used.days > 30,
            "months before count: {:?}",
            outlook.forecast.used
        );
        said.insert(band.band, outlook);
    }
    assert_eq!(said.len(), 3);
    let page = bench.page().await;
    for series in [
        "costband_band_forecast{band=\"aws\",currency=\"USD\",period=\"current\",probability=\"0.5\"}",
        "costband_band_breach_probability{band=\"gcp\",currency=\"USD\",period=\"current\",side=\"above\"}",
    ] {
        assert!(page.contains(series), "{series} is not on the page");
    }

    // What changed since the ledger was empty was read, and nothing is missing.
    let anew = bench.history_after(None).await;
    let whole = bench.reader.judge(&bench.read().await, &anew, bench.clock.now());
    assert_eq!(bench.judge().await, whole);

    // A month later it is over.
    bench.advance(24 * 30);
    poll().await;
    bench.advance(7);
    poll().await;
    for band in bench.judge().await.into_iter().filter(|of| of.label == PeriodLabel::Previous) {
        let [low, high] = said[&band.band].forecast.interval_95;
        let spend = band.spend.unwrap().amount;
        assert!((low..=high).contains(&spend), "{}: {spend} not in {low} to {high}", band.band);
    }
}
