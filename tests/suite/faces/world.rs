//! A snapshot made by hand that has something in every corner, and a face that shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use costband::analyse;
use costband::analyse::trend::NamedSeries;
use costband::config::file::Language;
use costband::config::secret::SecretRef;
use costband::domain::band::{
    BandDay, BandJudgement, BandStatus, BandView, BurnRates, PeriodLabel, ViewJudgement,
};
use costband::domain::breakdown::{Amounts, ChargeCategory, Dimension};
use costband::domain::exchange::UsedRate;
use costband::domain::forecast::{
    BandForecast, BandOutlook, CostDay, CostSeries, Forecast, ForecastInputs, ForecastMethod,
    PROBABILITIES, PathDay, Quantile,
};
use costband::domain::gpu::{
    DropReason, DroppedSamples, GpuKey, GpuReport, GpuSample, GpuSourceFailure, GpuSourceStatus,
    Utilization,
};
use costband::domain::gpu_money::{
    Beside, ClusterTier, Coverage, Expected, FleetCost, FleetMoney, FleetNow, GpuHourPrice,
    GpuMoney, GpuPicture, GpuRange, Lacking, NodeNow, NotGpu, NowcastScore, PaidNotRunning,
    PartMoney, PeriodPicture, PriceGroup, PriceSource, ProviderMoney, Residual, WorkloadMoney,
};
use costband::domain::gpu_time::{GpuState, HeldBy, StateTime, Workload};
use costband::domain::identity::{Provider, SourceId};
use costband::domain::lease::Leadership;
use costband::domain::machine::Tier;
use costband::domain::money::{CostBasis, Currency, Money};
use costband::domain::node::Fleet;
use costband::domain::period::{BillingPeriod, BillingZone, Window, next_day};
use costband::domain::ports::{
    GpuHistory, HistoryError, PollObserver, SpendHistory, SpendHistoryError,
};
use costband::domain::price::{CapacityType, PriceNote, SkuPrice};
use costband::domain::reason::BandReason;
use costband::domain::record::{BandRecord, PastForecast};
use costband::domain::report::{Completeness, NativeBudget, SourceErrorKind};
use costband::domain::spend::{DaySpend, PeriodSpend, SourceSpend, SourceStatus};
use costband::domain::spend_range::{
    NotTold, PartKey, SpendDay, SpendPart, SpendQuestion, SpendRange,
};
use costband::domain::trend::{BandChange, SourceTrends};
use costband::export::metrics::Renderer;
use costband::export::page::Page;
use costband::runtime::readiness::Readiness;
use costband::snapshot::Snapshot;
use costband::telemetry::self_metrics::SelfMetrics;
use costband::web::{Face, Published, router};
use jiff::ToSpan;
use jiff::civil::Date;
use rust_decimal::Decimal;
use tokio::sync::watch;

use super::desk::{Desk, alerts};

/// How many values of one dimension have a series of their own.
pub(crate) const LIMIT: usize = 3;
/// A name that means harm to pages, lines and labels.
pub(crate) const HOSTILE: &str = "<script>alert('1')</script> \"q\" \\ back\nnext 한국어 ü";

pub(crate) fn money(text: &str) -> Money {
    text.parse().unwrap()
}

pub(crate) fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn amounts(billed: Option<&str>, effective: Option<&str>) -> Amounts {
    Amounts { billed: billed.map(decimal), effective: effective.map(decimal), list: None }
}

fn both(billed: &str, effective: &str) -> Amounts {
    amounts(Some(billed), Some(effective))
}

fn euro() -> Currency {
    "EUR".parse().unwrap()
}

fn sums(entries: &[(&str, &str, &str)]) -> BTreeMap<(String, Currency), Amounts> {
    let one = |(key, billed, effective): &(&str, &str, &str)| {
        (((*key).to_owned(), Currency::USD), both(billed, effective))
    };
    entries.iter().map(one).collect()
}

fn aws() -> SourceSpend {
    let services = sums(&[
        ("Amazon Elastic Compute Cloud - Compute", "41000.5", "40000.25"),
        (HOSTILE, "900", "800.125"),
        ("Amazon Simple Storage Service", "300.1", "300.1"),
        ("AWS Lambda", "0.0000000001", "0.0000000001"),
        ("Savings Plans", "-12.3", "20"),
    ]);
    let accounts = sums(&[
        ("111122223333", "30000", "29000.2375000001"),
        ("444455556666", "12188.2", "12120.2375"),
    ]);
    let accounts = accounts.into_iter().map(|((key, currency), mut amounts)| {
        if key == "444455556666" {
            amounts.billed = amounts.billed.map(|billed| billed + decimal("0.1000000001"));
        }
        ((key, currency), amounts)
    });
    let regions = sums(&[
        ("us-east-1", "42000", "41000"),
        ("us-west-2", "180", "115"),
        ("", "5", "3"),
        ("eu-north-1", "2", "1.475"),
        ("ap-northeast-2", "1.3000000001", "1.0000000001"),
    ]);
    let current = PeriodSpend {
        label: PeriodLabel::Current,
        period: "2025-10".parse().unwrap(),
        is_final: false,
        start: "2025-10-01T00:00:00Z".parse().unwrap(),
        totals: BTreeMap::from([(Currency::USD, both("42188.3000000001", "41120.4750000001"))]),
        excluded: BTreeMap::from([
            ((Currency::USD, ChargeCategory::Tax), amounts(Some("4218.83"), None)),
            ((Currency::USD, ChargeCategory::Credit), amounts(Some("-500"), Some("-500"))),
            ((Currency::USD, ChargeCategory::Adjustment), amounts(Some("-7.5"), None)),
        ]),
        by: BTreeMap::from([
            (Dimension::ServiceName, services),
            (Dimension::SubAccountId, accounts.collect()),
            (Dimension::RegionId, regions),
        ]),
        days: vec![DaySpend {
            day: "2025-10-14".parse().unwrap(),
            currency: Currency::USD,
            amounts: both("2700", "2650.5"),
            completeness: Completeness::Complete,
        }],
        reconciliation_difference: BTreeMap::from([(Currency::USD, decimal("-0.01"))]),
    };
    let previous = PeriodSpend {
        label: PeriodLabel::Previous,
        period: "2025-09".parse().unwrap(),
        is_final: true,
        start: "2025-09-01T00:00:00Z".parse().unwrap(),
        totals: BTreeMap::from([(Currency::USD, both("104250.5", "103999.999"))]),
        excluded: BTreeMap::new(),
        by: BTreeMap::new(),
        days: Vec::new(),
        reconciliation_difference: BTreeMap::from([(Currency::USD, Decimal::ZERO)]),
    };
    SourceSpend {
        source: SourceId::new("aws-main"),
        provider: Provider::Aws,
        periods: vec![current, previous],
        data_through: Some("2025-10-16T00:00:00Z".parse().unwrap()),
        complete_days: BTreeSet::from(["2025-10-13", "2025-10-14"].map(|day| day.parse().unwrap())),
        last_complete_day: Some((
            "2025-10-14".parse().unwrap(),
            BTreeMap::from([(Currency::USD, both("2700", "2650.5"))]),
        )),
        names: BTreeMap::from([
            ((Dimension::SubAccountId, "111122223333".to_owned()), "training".to_owned()),
            ((Dimension::SubAccountId, "444455556666".to_owned()), HOSTILE.to_owned()),
            ((Dimension::SubAccountId, "999999999999".to_owned()), "costs nothing".to_owned()),
        ]),
        budgets: vec![NativeBudget {
            name: "fleet".to_owned(),
            amount: money("90000 USD"),
            current_spend: Some(money("42188.3 USD")),
            forecast_spend: None,
            time_grain: "Monthly".to_owned(),
        }],
        list_prices: Vec::new(),
        restatements_total: 2,
        restated: Vec::new(),
    }
}

/// Two currencies, one of them without an effective cost; never reconciled, nothing complete.
fn gcp() -> SourceSpend {
    let period = PeriodSpend {
        label: PeriodLabel::Current,
        period: "2025-10".parse().unwrap(),
        is_final: false,
        start: "2025-10-01T07:00:00Z".parse().unwrap(),
        totals: BTreeMap::from([
            (euro(), amounts(Some("182.225000001"), None)),
            (Currency::USD, both("3", "3")),
        ]),
        excluded: BTreeMap::from([((euro(), ChargeCategory::Tax), Amounts::default())]),
        by: BTreeMap::from([(
            Dimension::ServiceName,
            BTreeMap::from([
                (("Compute Engine".to_owned(), euro()), amounts(Some("182.225000001"), None)),
                (("Compute Engine".to_owned(), Currency::USD), both("3", "3")),
            ]),
        )]),
        days: Vec::new(),
        reconciliation_difference: BTreeMap::new(),
    };
    SourceSpend {
        source: SourceId::new("gcp-main"),
        provider: Provider::Gcp,
        periods: vec![period],
        data_through: None,
        complete_days: BTreeSet::new(),
        last_complete_day: None,
        names: BTreeMap::new(),
        budgets: Vec::new(),
        list_prices: vec![SkuPrice {
            sku_id: "A001-0001-0001".to_owned(),
            description: "Nvidia H100 80GB GPU running in Americas".to_owned(),
            region_id: "us-central1".to_owned(),
            capacity_type: CapacityType::OnDemand,
            instance_type: None,
            unit: "h".to_owned(),
            price: money("9.796550569 USD"),
            effective_at: Some("2026-08-01T00:00:00Z".parse().unwrap()),
            read_at: Some("2026-11-15T08:00:00Z".parse().unwrap()),
        }],
        restatements_total: 0,
        restated: Vec::new(),
    }
}

fn views(statuses: [BandStatus; 3], reason: &BandReason) -> Vec<ViewJudgement> {
    BandView::ALL
        .into_iter()
        .zip(statuses)
        .map(|(view, status)| ViewJudgement { view, status, reason: reason.clone() })
        .collect()
}

/// Complete days from the first of a month on, and provisional ones after them.
fn days(first: &str, complete: &[&str], provisional: &[&str]) -> Vec<BandDay> {
    let mut total = Decimal::ZERO;
    let mut day: Date = first.parse().unwrap();
    let complete = complete.iter().map(|spend| (spend, Completeness::Complete));
    let provisional = provisional.iter().map(|spend| (spend, Completeness::Provisional));
    let held = complete.chain(provisional).map(|(spend, completeness)| {
        let spend = decimal(spend);
        total += spend;
        let held = BandDay { day, spend, total, completeness };
        day = next_day(day);
        held
    });
    held.collect()
}

fn bands() -> Vec<BandJudgement> {
    let period = |text: &str| text.parse::<BillingPeriod>().unwrap();
    let known = BandJudgement {
        band: "aws".to_owned(),
        period: period("2025-10"),
        label: PeriodLabel::Current,
        zone: BillingZone::Utc,
        is_final: false,
        sources: vec![SourceId::new("aws-main")],
        basis: CostBasis::Effective,
        floor: money("50000 USD"),
        ceiling: money("100000 USD"),
        spend: Some(money("41120.4750000001 USD")),
        days: days(
            "2025-10-01",
            &[vec!["2700"; 12], vec!["2789.75", "2810.5"]].concat(),
            &["3120.2250000001"],
        ),
        complete_spend: Some(money("38000.25 USD")),
        complete_days: 14,
        newest_complete_day: Some("2025-10-14".parse().unwrap()),
        last_day: Some(money("2810.5 USD")),
        burn: BurnRates { one_day: Some(0.87), three_days: Some(0.85), seven_days: Some(0.84) },
        run_rate: Some(money("84143.4107142857142857 USD")),
        outlook: Some(outlook()),
        ceiling_used_ratio: Some(0.411_204_75),
        views: views(
            [BandStatus::Below, BandStatus::Within, BandStatus::Within],
            &BandReason::Booked {
                spend: money("41120.4750000001 USD"),
                limits: [money("50000 USD"), money("100000 USD")],
                so_far: true,
            },
        ),
        as_of: Some("2025-10-16T12:00:00Z".parse().unwrap()),
        exchange_rates: vec![UsedRate::Configured {
            from: "EUR".parse().unwrap(),
            to: Currency::USD,
            rate: "1.08".parse().unwrap(),
            date: "2025-10-01".parse().unwrap(),
        }],
        owner: Some("platform@example.com".to_owned()),
        runbook_url: Some("https://wiki.example.com/costband?band=aws&view=all".to_owned()),
    };
    let unknown = BandJudgement {
        band: HOSTILE.to_owned(),
        spend: None,
        days: Vec::new(),
        complete_spend: None,
        complete_days: 0,
        newest_complete_day: None,
        last_day: None,
        burn: BurnRates::default(),
        run_rate: None,
        outlook: None,
        ceiling_used_ratio: None,
        views: views([BandStatus::Unknown; 3], &BandReason::NeverRead(SourceId::new("azure-main"))),
        as_of: None,
        exchange_rates: Vec::new(),
        owner: Some(HOSTILE.to_owned()),
        runbook_url: None,
        ..known.clone()
    };
    let previous = BandJudgement {
        period: period("2025-09"),
        label: PeriodLabel::Previous,
        is_final: true,
        spend: Some(money("103999.999 USD")),
        days: days("2025-09-01", &[vec!["3400"; 29], vec!["5399.999"]].concat(), &[]),
        ceiling_used_ratio: Some(1.039_999_99),
        newest_complete_day: Some("2025-09-30".parse().unwrap()),
        last_day: None,
        burn: BurnRates::default(),
        outlook: None,
        views: views([BandStatus::Above; 3], &BandReason::Final(money("104000 USD"))),
        exchange_rates: Vec::new(),
        ..known.clone()
    };
    vec![known, unknown, previous]
}

/// Ten weeks of a source at 100 a day, 60 of them one service's, which costs 340 more on a day and
/// has a hostile name.
fn trends() -> SourceTrends {
    let first = "2025-08-06".parse().unwrap();
    let series = |usual: i64, extra: i64| {
        let day = |at: i64| CostDay {
            amount: Some(Decimal::from(usual + at % 3 + if at == 66 { extra } else { 0 })),
            quantity: None,
            complete: true,
        };
        CostSeries {
            currency: Currency::USD,
            first,
            days: (0..70).map(day).collect(),
            charges: Vec::new(),
        }
    };
    let named = |of: Option<&str>, usual, extra| NamedSeries {
        of: of.map(|key| (Dimension::ServiceName, key.to_owned())),
        basis: CostBasis::Effective,
        unit: None,
        series: series(usual, extra),
    };
    let mut new = named(Some("new"), 1, 0);
    new.series.days.truncate(2);
    let all =
        [named(None, 100, 340), named(Some(HOSTILE), 60, 340), named(Some("other"), 40, 0), new];
    let mut of =
        analyse::trend::trends(SourceId::new("aws-main"), &all, "2025-10".parse().unwrap());
    let change = of.change.clone().unwrap();
    of.bands.push(BandChange { band: HOSTILE.to_owned(), change });
    of
}

/// A month's end that probably passes the ceiling.
fn outlook() -> BandOutlook {
    let amounts = ["70000", "75000.5", "80000", "90000", "100001", "110000", "120000"];
    let quantile =
        |(probability, amount): (f64, &str)| Quantile { probability, amount: decimal(amount) };
    BandOutlook {
        forecast: Forecast {
            period: "2025-10".parse().unwrap(),
            currency: Currency::USD,
            method: ForecastMethod::Combination,
            booked: decimal("41120.4750000001"),
            made_from: "2025-10-14".parse().unwrap(),
            days_left: 17,
            quantiles: PROBABILITIES.into_iter().zip(amounts).map(quantile).collect(),
            interval_80: [decimal("75000.5"), decimal("110000")],
            interval_95: [decimal("65000"), decimal("130000")],
            used: ForecastInputs {
                days: 100,
                past_error: Some(0.05),
                past_forecasts: 12,
                ..ForecastInputs::default()
            },
        },
        against: BandForecast {
            above_ceiling: 0.25,
            below_floor: 0.001,
            crossing_p50: None,
            crossing_p80: Some("2025-10-30".parse().unwrap()),
            allowed_per_day: Some(decimal("3463.5")),
        },
        path: path(amounts.map(decimal)),
    }
}

/// A straight way from what is booked to the month's end, in steps of its 17 days.
fn path(end: [Decimal; 7]) -> Vec<PathDay> {
    let booked = decimal("38000.25");
    let on = |step: i64| PathDay {
        day: "2025-10-14".parse::<Date>().unwrap().saturating_add(step.days()),
        quantiles: end
            .map(|end| match step {
                17 => end,
                _ => booked + ((end - booked) * Decimal::from(step) / decimal("17")).round_dp(2),
            })
            .to_vec(),
    };
    (1..=17).map(on).collect()
}

/// One fleet of which half is idle, with a workload that wastes.
fn picture() -> GpuPicture {
    let fleet = Fleet {
        provider: Some(Provider::Aws),
        cluster: "video".to_owned(),
        instance_type: Some("p5.48xlarge".to_owned()),
        region_id: Some("us-east-1".to_owned()),
        capacity_type: CapacityType::OnDemand,
        model: "NVIDIA H100 80GB HBM3".to_owned(),
    };
    let hours = |busy: u64, held: u64| {
        StateTime::from_milliseconds([busy * 3_600_000, 0, held * 3_600_000, 0, 0, 0, 500])
    };
    let states = |busy: &str, held: &str| {
        BTreeMap::from([(GpuState::Busy, amount(busy)), (GpuState::HeldIdle, amount(held))])
    };
    let price = |source, price: &str| GpuHourPrice {
        source,
        price: money(price),
        note: PriceNote::Told("as told".to_owned()),
    };
    let workload = |name: &str, cost: &str, idle: &str| WorkloadMoney {
        of: Workload { namespace: "ml".to_owned(), name: name.to_owned() },
        currency: Currency::USD,
        cost: amount(cost),
        idle_cost: amount(idle),
        time: hours(1, 1),
    };
    let period = PeriodPicture {
        label: PeriodLabel::Current,
        period: "2025-10".parse().unwrap(),
        money: GpuMoney {
            by_provider: BTreeMap::from([(
                (Some(Provider::Aws), Currency::USD),
                ProviderMoney {
                    states: states("688.0000000001", "344"),
                    estimated: amount("55.04"),
                    residuals: BTreeMap::from([(Residual::WithoutTelemetry, amount("12.5"))]),
                    billed: amount("989.46"),
                },
            )]),
            fleets: vec![FleetMoney {
                fleet: fleet.clone(),
                time: hours(100, 50),
                money: Some((Currency::USD, states("688.0000000001", "344"))),
            }],
            paid_not_running: vec![PaidNotRunning {
                group: PriceGroup {
                    provider: Provider::Aws,
                    region_id: "us-east-1".to_owned(),
                    machine: "p5.48xlarge".to_owned(),
                    spot: false,
                },
                currency: Currency::USD,
                cost: amount("12.5"),
                gpu_hours: Some(amount("1.8")),
            }],
        },
        workloads: vec![workload(HOSTILE, "500", "300"), workload("train", "532", "44")],
        not_gpu: BTreeMap::from([((Provider::Aws, Currency::USD, NotGpu::Storage), amount("99"))]),
    };
    GpuPicture {
        telemetry_days: Vec::new(),
        nodes: vec![NodeNow {
            name: "node-1".to_owned(),
            fleet: fleet.clone(),
            gpus: 8,
            guessed: true,
            states: BTreeMap::from([(GpuState::Busy, 6.0), (GpuState::HeldIdle, 2.0)]),
        }],
        silent_nodes: vec![NodeNow {
            name: "node-2".to_owned(),
            fleet: fleet.clone(),
            gpus: 8,
            guessed: false,
            states: BTreeMap::new(),
        }],
        silent_prices: BTreeMap::new(),
        node_times: Arc::new(BTreeMap::from([(
            ("node-1".to_owned(), fleet.clone()),
            hours(20, 5),
        )])),
        fleets: vec![
            FleetNow {
                fleet: fleet.clone(),
                gpus: 8,
                utilization: Some(0.5),
                memory_used_bytes: Some(65_000_000_000),
                memory_total_bytes: Some(171_798_691_840),
                prices: vec![
                    price(PriceSource::Billed, "6.4672 USD"),
                    price(PriceSource::List, "6.88 USD"),
                ],
                tier: Some(Tier::Optimal),
            },
            FleetNow {
                fleet: Fleet {
                    provider: None,
                    cluster: "cellar".to_owned(),
                    instance_type: None,
                    region_id: None,
                    capacity_type: CapacityType::Unknown,
                    model: "Tesla K80".to_owned(),
                },
                gpus: 1,
                utilization: None,
                memory_used_bytes: None,
                memory_total_bytes: None,
                prices: Vec::new(),
                tier: None,
            },
        ],
        clusters: vec![ClusterTier {
            provider: Some(Provider::Aws),
            cluster: "video".to_owned(),
            tier: Tier::Minimum,
            gpus: 8,
            memory_gb: 640,
            storage_gb: 30_400,
            missing: vec![Lacking::Gpus { count: 8, of: Tier::Recommended }],
        }],
        coverage: vec![Coverage {
            provider: Some(Provider::Aws),
            cluster: "video".to_owned(),
            seen: 6,
            expected: 8,
        }],
        totals: vec![(fleet, hours(200, 70))],
        periods: vec![period],
        scores: vec![NowcastScore { provider: Provider::Aws, days: 7, error_ratio: -0.0125 }],
        expected: vec![Expected {
            band: "aws".to_owned(),
            period: "2025-10".parse().unwrap(),
            cost: money("38493.8 USD"),
            fleets: vec![FleetCost {
                gpus: 8,
                model: "H100 80GB".to_owned(),
                source: PriceSource::Billed,
                cost: money("38494 USD"),
            }],
            beside: Beside::Floor(money("50000 USD")),
        }],
    }
}

fn amount(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn gpus() -> Vec<GpuReport> {
    let mut dropped = DroppedSamples::default();
    dropped.add(DropReason::Sentinel);
    let gpu =
        |uuid: &str, slice: Option<&str>, percent: Option<f64>, used: Option<u64>| GpuSample {
            key: GpuKey { uuid: uuid.to_owned(), mig_instance: slice.map(str::to_owned) },
            mig_profile: None,
            holders: Vec::new(),
            xid: None,
            healthy: None,
            model: "NVIDIA H100 80GB HBM3".to_owned(),
            hostname: Some("node-1".to_owned()),
            utilization: percent.and_then(Utilization::from_percent),
            signal: None,
            memory_used_bytes: used,
            memory_total_bytes: used.map(|_| 85_899_345_920),
        };
    let report = |source: &str, provider, gpus| GpuReport {
        source: SourceId::new(source),
        provider,
        cluster: "video".to_owned(),
        capacity_type: CapacityType::OnDemand,
        gpus,
        dropped_samples: dropped,
        observed_at: "2025-10-16T11:59:45Z".parse().unwrap(),
    };
    vec![
        report(
            "gpu-aws",
            Some(Provider::Aws),
            vec![
                gpu("GPU-1", None, Some(95.0), Some(64_000_000_000)),
                gpu("GPU-2", None, Some(5.0), Some(1_000_000_000)),
                gpu("GPU-3", Some("7"), None, None),
            ],
        ),
        report("gpu-cellar", None, vec![gpu("GPU-9", None, None, None)]),
    ]
}

fn gpu_sources() -> Vec<GpuSourceStatus> {
    let status = |source: &str, provider, up| GpuSourceStatus {
        source: SourceId::new(source),
        provider,
        cluster: "video".to_owned(),
        up,
        last_success: up.map(|_| "2025-10-16T11:59:45Z".parse().unwrap()),
        failure: None,
    };
    let failure = GpuSourceFailure {
        kind: SourceErrorKind::Timeout,
        text: format!("failed to read {HOSTILE}"),
        since: "2025-10-16T09:30:00Z".parse().unwrap(),
    };
    let lost = GpuSourceStatus {
        failure: Some(failure),
        last_success: None,
        ..status("gpu-lost", Some(Provider::Gcp), Some(false))
    };
    vec![
        status("gpu-aws", Some(Provider::Aws), Some(true)),
        status("gpu-cellar", None, Some(true)),
        lost,
        status("gpu-new", Some(Provider::Azure), None),
    ]
}

fn sources() -> Vec<SourceStatus> {
    let status = |source: &str, provider, up| SourceStatus {
        source: SourceId::new(source),
        provider,
        up,
        last_success: Some("2025-10-16T12:00:00Z".parse().unwrap()),
        last_error: None,
        next_poll: Some("2025-10-16T20:11:00Z".parse().unwrap()),
        spent: vec![money("0.24 USD")],
        monthly_cap: Some(money("30 USD")),
        lag: jiff::SignedDuration::from_hours(48),
    };
    let failed = SourceStatus {
        last_error: Some((SourceErrorKind::Forbidden, format!("failed to read {HOSTILE}"))),
        ..status("gcp-main", Provider::Gcp, Some(false))
    };
    let waiting = SourceStatus {
        last_success: None,
        next_poll: None,
        spent: Vec::new(),
        monthly_cap: None,
        ..status("azure-main", Provider::Azure, None)
    };
    vec![status("aws-main", Provider::Aws, Some(true)), failed, waiting]
}

/// What was forecast: one band with days that were told and days made again, one without a day.
fn records() -> Vec<BandRecord> {
    let said = |day: &str, told_at: Option<&str>, expected: &str| {
        let expected: Decimal = expected.parse().unwrap();
        let away = Decimal::from(4_000);
        PastForecast {
            made_from: day.parse().unwrap(),
            told_at: told_at.map(|at| at.parse().unwrap()),
            currency: Currency::USD,
            expected,
            interval_80: [expected - away, expected + away],
            above_ceiling: 0.25,
            below_floor: 0.0,
        }
    };
    let record = |band: &str, period: &str, label, forecasts| BandRecord {
        band: band.to_owned(),
        period: period.parse().unwrap(),
        label,
        forecasts,
    };
    let before = vec![
        said("2025-08-31", None, "98000"),
        said("2025-09-10", Some("2025-09-12T09:30:00Z"), "101000.5"),
        said("2025-09-29", Some("2025-10-01T09:30:00Z"), "103500"),
    ];
    let open = vec![
        said("2025-10-12", None, "85000"),
        said("2025-10-14", Some("2025-10-16T12:00:00Z"), "86000.123456"),
    ];
    vec![
        record("aws", "2025-10", PeriodLabel::Current, open),
        record(HOSTILE, "2025-10", PeriodLabel::Current, Vec::new()),
        record("aws", "2025-09", PeriodLabel::Previous, before),
        record(HOSTILE, "2025-09", PeriodLabel::Previous, Vec::new()),
    ]
}

/// The snapshot: a source that is well, one that fails, one that was never read.
pub(crate) fn snapshot() -> Snapshot {
    Snapshot {
        at: "2025-10-16T12:00:00Z".parse().unwrap(),
        alerts: Arc::new(alerts()),
        spend: Arc::new(vec![aws(), gcp()]),
        bands: Arc::new(bands()),
        records: Arc::new(records()),
        gpus: Arc::new(gpus().into_iter().map(Arc::new).collect()),
        gpu: Arc::new(picture()),
        trends: Arc::new(vec![trends()]),
        gpu_sources: Arc::new(gpu_sources().into_iter().map(Arc::new).collect()),
        sources: Arc::new(sources()),
    }
}

/// Self metrics in which every family has a value.
pub(crate) fn self_metrics() -> SelfMetrics {
    let metrics = SelfMetrics::new();
    let source = SourceId::new("aws-main");
    metrics.poll_ended(&source, Ok(()), Duration::from_secs(2));
    metrics.poll_ended(&source, Err(SourceErrorKind::Forbidden), Duration::from_millis(90));
    metrics.request_reserved(&source, "GetCostAndUsage", money("0.01 USD"));
    metrics.quota_remaining(&source, "qpu", "1h", 580.0);
    metrics.nodes_heard("train", "2025-10-16T11:59:00Z".parse().unwrap());
    metrics.notified("ops", "sent");
    metrics.ledger_failed("commit");
    let mut dropped = DroppedSamples::default();
    dropped.add(DropReason::Sentinel);
    metrics.gpu_samples_dropped(&SourceId::new("gpu-aws"), &dropped);
    metrics
}

/// A ledger that tells the same of every range.
struct Past;

#[async_trait::async_trait]
impl GpuHistory for Past {
    async fn money(&self, window: Window) -> Result<GpuRange, HistoryError> {
        match window.start.year() {
            2001 => return Err(HistoryError::Busy),
            2002 => return Err(HistoryError::Ledger("/var/lib/costband".to_owned())),
            _ => {}
        }
        let period = picture().periods.remove(0);
        let part = |idle: i64| PartMoney {
            of: HeldBy {
                workload: Workload { namespace: "ml".to_owned(), name: HOSTILE.to_owned() },
                pod: format!("{HOSTILE}-{idle}"),
            },
            currency: Currency::USD,
            cost: Decimal::from(idle),
            idle_cost: Decimal::from(idle),
            time: StateTime::from_milliseconds([0, 0, 3_600_000, 0, 0, 0, 0]),
        };
        let fleet = period.money.fleets[0].fleet.clone();
        let like = part(1);
        Ok(GpuRange {
            as_of: "2025-10-16T12:00:00Z".parse().unwrap(),
            window,
            money: period.money,
            workloads: period.workloads,
            pods: (1..=1_002).rev().map(part).collect(),
            nodes: vec![PartMoney {
                of: ("node-1".to_owned(), fleet),
                currency: like.currency,
                cost: like.cost,
                idle_cost: like.idle_cost,
                time: like.time,
            }],
        })
    }
}

#[async_trait::async_trait]
impl SpendHistory for Past {
    async fn spend(&self, question: SpendQuestion) -> Result<SpendRange, SpendHistoryError> {
        let tells =
            vec![vec![Dimension::ServiceName, Dimension::SubAccountId], vec![Dimension::RegionId]];
        let known = vec![SourceId::new("aws-main")];
        match question.source.as_str() {
            "aws-main" => {}
            "azure-main" => {
                let reason = "`azure-main` tells nothing".to_owned();
                return Err(NotTold { reason, tells: Vec::new() }.into());
            }
            "busy" => return Err(HistoryError::Busy.into()),
            "broken" => return Err(HistoryError::Ledger("/var/lib/costband".to_owned()).into()),
            _ => return Err(SpendHistoryError::NoSource { wanted: question.source, known }),
        }
        if question.window.end < "2020-01-01".parse().unwrap() {
            // Before the ledger began.
            return Ok(SpendRange {
                as_of: "2025-10-16T12:00:00Z".parse().unwrap(),
                provider: Provider::Aws,
                filter_names: BTreeMap::new(),
                days: Vec::new(),
                totals: BTreeMap::new(),
                parts: Vec::new(),
                folded: 0,
                tells,
                question,
            });
        }
        if question.by == Some(Dimension::RegionId) && !question.filters.is_empty() {
            let reason = "`aws-main` does not tell them together".to_owned();
            return Err(NotTold { reason, tells }.into());
        }
        let amounts = |billed: &str, effective: Option<&str>| Amounts {
            billed: Some(decimal(billed)),
            effective: effective.map(decimal),
            list: None,
        };
        let day = |day: &str| day.parse::<Date>().unwrap();
        let part = |key, name: Option<&str>, total, days: &[(&str, Amounts)]| SpendPart {
            key,
            name: name.map(str::to_owned),
            currency: Currency::USD,
            total,
            days: days.iter().map(|(on, amounts)| (day(on), *amounts)).collect(),
        };
        let (one, two) = (amounts("1.50", Some("1.25")), amounts("3", None));
        let parts = match question.by {
            None => vec![part(PartKey::Whole, None, one, &[("2025-10-14", one)])],
            Some(_) => vec![
                part(
                    PartKey::Value("111122223333".to_owned()),
                    Some(HOSTILE),
                    amounts("4.50", None),
                    &[("2025-10-14", one), ("2025-10-15", two)],
                ),
                part(PartKey::Value(String::new()), None, one, &[("2025-10-14", one)]),
                part(PartKey::Others, None, two, &[("2025-10-15", two)]),
            ],
        };
        let on = |on: &str, completeness| SpendDay { day: day(on), completeness };
        Ok(SpendRange {
            as_of: "2025-10-16T12:00:00Z".parse().unwrap(),
            provider: Provider::Aws,
            filter_names: BTreeMap::new(),
            days: vec![
                on("2025-10-14", Completeness::Complete),
                on("2025-10-15", Completeness::Provisional),
            ],
            totals: BTreeMap::from([(Currency::USD, amounts("9", None))]),
            parts,
            folded: 3,
            tells,
            question,
        })
    }
}

/// A face that listens on a free port.
pub(crate) struct Shown {
    pub(crate) url: String,
    pub(crate) published: watch::Sender<Option<Arc<Published>>>,
    pub(crate) readiness: Arc<Readiness>,
    client: reqwest::Client,
}

impl Shown {
    /// Starts a face before its first snapshot.
    pub(crate) async fn empty(bearer_token: Option<SecretRef>) -> Self {
        Self::guarded(bearer_token, None).await
    }

    /// The same with a token of its own for changes.
    pub(crate) async fn guarded(
        bearer_token: Option<SecretRef>,
        operator_token: Option<SecretRef>,
    ) -> Self {
        Self::made(|face| {
            face.bearer_token = bearer_token;
            face.operator_token = operator_token;
        })
        .await
    }

    /// A face that differs in something, before its first snapshot.
    pub(crate) async fn made(change: impl FnOnce(&mut Face)) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (published, snapshots) = watch::channel(None);
        let readiness = Arc::new(Readiness::default());
        let desk = Desk::default();
        let mut face = Face {
            published: snapshots,
            readiness: readiness.clone(),
            self_metrics: self_metrics(),
            bearer_token: None,
            operator_token: None,
            language: Language::En,
            alerts: Arc::new(desk),
            wording: costband::app::alerts::wording,
            gpu_history: Arc::new(Past),
            spend_history: Arc::new(Past),
            demo: false,
            leadership: Arc::new(|| Leadership::Alone),
            shares_ledger: false,
        };
        change(&mut face);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router(watch::channel(face).1)).await });
        let client = reqwest::Client::builder().no_gzip().build().unwrap();
        Self { url, published, readiness, client }
    }

    /// Starts a face that shows the snapshot.
    pub(crate) async fn start() -> Self {
        let shown = Self::empty(None).await;
        shown.publish(snapshot());
        shown
    }

    /// Publishes a snapshot as the agent does.
    pub(crate) fn publish(&self, snapshot: Snapshot) {
        let page = Page::new(Renderer::new(LIMIT).render(&snapshot));
        self.published.send_replace(Some(Arc::new(Published { snapshot, page })));
        self.readiness.snapshot_published();
    }

    /// Asks for a path with headers.
    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        let mut request = self.client.get(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    /// The text at a path.
    pub(crate) async fn text(&self, path: &str) -> String {
        self.get(path, &[]).await.text().await.unwrap()
    }
}
