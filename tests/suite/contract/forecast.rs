//! Forecasts of bands, from a simulated history that was read through real sockets, held against
//! what the month came to.

use std::collections::BTreeMap;
use std::sync::Arc;

use costband::domain::band::{BandJudgement, BandStatus, BandView, PeriodLabel};
use costband::domain::forecast::BandOutlook;
use costband::domain::gpu_money::GpuPicture;
use costband::domain::gpu_time::GpuTime;
use costband::domain::identity::Provider;
use costband::domain::node::Fleet;
use costband::domain::period::{BillingZone, Window, next_day};
use costband::domain::ports::Clock;
use costband::simulate::scenario::{GpuTruth, Scenario, ScenarioOptions};
use costband::store::Ledger;
use jiff::civil::{Date, date};
use rust_decimal::Decimal;
use serde_json::json;

use super::gpu_money::group;
use super::harness::*;
use crate::clock::SetClock;

#[tokio::test(flavor = "multi_thread")]
async fn a_month_ends_where_its_forecast_said() {
    let clock = SetClock::at("2026-10-16T12:00:00Z");
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
    let whole =
        bench.reader.judge(&bench.read().await, &anew, &GpuPicture::default(), bench.clock.now());
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

/// The GPU time of AWS from September on, up to a day; the days from another one on tripled.
fn telemetry(world: &Scenario, until: Date, tripled: Date) -> Vec<GpuTime> {
    let days = Window::new(date(2026, 9, 1), until);
    let counted = |day: Date, gpu: GpuTruth| {
        let mut time = gpu.times.observable;
        if day >= tripled {
            time.merge(&gpu.times.observable);
            time.merge(&gpu.times.observable);
        }
        let of = group(Provider::Aws, &gpu);
        let fleet = Fleet {
            provider: Some(Provider::Aws),
            cluster: "video".to_owned(),
            instance_type: Some(of.machine),
            region_id: Some(of.region_id),
            capacity_type: gpu.capacity_type,
            model: gpu.model.to_owned(),
        };
        GpuTime { day, fleet, node: gpu.node, held_by: None, time }
    };
    let of_day = |day: Date| {
        let truth = world.gpu_truth(Provider::Aws, day, BillingZone::Utc.end_of(day));
        truth.into_iter().map(move |gpu| counted(day, gpu)).filter(|of| of.time.total() > 0)
    };
    days.days().flat_map(of_day).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_of_days_that_are_not_billed_enters_the_forecast_of_a_whole_cloud() {
    let now = "2026-10-16T12:00:00Z";
    let clock = SetClock::at(now);
    let world = Arc::new(Scenario::with_options(ScenarioOptions::default(), clock.clone()));
    let limits = json!({"floor": 50_000, "ceiling": 100_000});
    let mut narrow = limits.clone();
    narrow["name"] = "service".into();
    narrow["provider"] = "aws".into();
    narrow["scope"] = json!({"service_name": ["Amazon Elastic Compute Cloud - Compute"]});
    let bands = json!([{"preset": "aws"}, narrow]);
    let bench =
        Bench::start(&[Provider::Aws], world.clone(), clock, Options::default(), bands).await;
    bench.poll_well(Provider::Aws).await;
    bench.advance(7);
    bench.poll_well(Provider::Aws).await;
    let judged = |bands: Vec<BandJudgement>, name: &str| {
        let mut open = bands.into_iter().filter(|of| of.label == PeriodLabel::Current);
        open.find(|of| of.band == name).unwrap_or_else(|| panic!("no {name}"))
    };
    let used = |of: &BandJudgement| of.outlook.as_ref().unwrap().forecast.used.nowcast_days;
    let plain = bench.judge().await;
    assert_eq!(used(&judged(plain.clone(), "aws")), 0);

    let made_from = judged(plain.clone(), "aws").outlook.unwrap().forecast.made_from;
    let first = next_day(made_from);
    let today = BillingZone::Utc.day_of(bench.clock.now());
    let not_billed = usize::try_from((today - first).get_days()).unwrap();
    assert!(not_billed >= 1, "{made_from} is the day before {today}");
    let times = telemetry(&world, next_day(today), first);
    let keep = move |ledger: &mut Ledger| ledger.keep_gpu_time(&times, &[], &[]);
    bench.polling.handle.call(keep).await.unwrap().unwrap();
    let told = bench.judge().await;
    let (aws, before) = (judged(told.clone(), "aws"), judged(plain.clone(), "aws"));
    assert_eq!(used(&aws), not_billed, "today is not whole");
    let more = aws.month_end().unwrap().amount - before.month_end().unwrap().amount;
    let per_day = before.run_rate.unwrap().amount / Decimal::from(31);
    assert!(more > per_day * Decimal::from(not_billed), "{more} more, of {per_day} a day");
    let view = aws.views.iter().find(|of| of.view == BandView::Forecast).unwrap();
    assert!(view.reason.to_string().contains("GPU telemetry of"), "{}", view.reason);
    // A band that is a part of the cloud is no measure's.
    assert_eq!(judged(told, "service"), judged(plain, "service"));
}
