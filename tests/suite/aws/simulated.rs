//! The source against the simulated Cost Explorer, whose totals the scenario adds up by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use costband::collect::PollRequest;
use costband::domain::breakdown::{ChargeCategory, CostRow, Dimension};
use costband::domain::identity::Provider;
use costband::domain::period::{BillingPeriod, Window};
use costband::domain::ports::Clock;
use costband::domain::report::{SourceErrorKind as Kind, SourceReport};
use costband::simulate::aws::{AwsOptions, router};
use costband::simulate::charge::World;
use costband::simulate::faults::{Fault, Faults};
use costband::simulate::scenario::{AWS_PAYER_ACCOUNT, Scenario, Spend, Truth};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{CountingMeter, build, effective, entry, rows};

const NOW: &str = "2026-11-16T10:00:00Z";

struct Fixed(Timestamp);

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        self.0
    }
}

struct Simulated {
    entry: Value,
    world: Arc<Scenario>,
    faults: Arc<Faults>,
    options: AwsOptions,
}

impl Simulated {
    async fn start(options: AwsOptions) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let world = Arc::new(Scenario::new(5, Arc::new(Fixed(NOW.parse().unwrap()))));
        let faults = Arc::<Faults>::default();
        let shared = Arc::clone(&world) as Arc<dyn World>;
        let router = router(shared, Arc::clone(&faults), options.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut entry = entry(&format!("http://{}", listener.local_addr().unwrap()));
        entry["account"] = json!(AWS_PAYER_ACCOUNT);
        entry["credentials"]["static"]["session_token"] = Value::Null;
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { entry, world, faults, options }
    }

    async fn default() -> Self {
        Self::start(AwsOptions::default()).await
    }

    fn truth(&self, period: &str) -> Truth {
        self.world.truth(Provider::Aws, period.parse().unwrap(), NOW.parse().unwrap())
    }
}

/// The previous and the open period.
fn request() -> PollRequest {
    PollRequest {
        window: Window::new("2026-10-01".parse().unwrap(), "2026-12-01".parse().unwrap()),
        now: NOW.parse().unwrap(),
        cursor: None,
    }
}

fn within<'a>(rows: &'a [CostRow], period: &'a str) -> impl Iterator<Item = &'a CostRow> {
    let period: BillingPeriod = period.parse().unwrap();
    rows.iter().filter(move |row| period.contains(row.day))
}

fn spend<'a>(rows: impl Iterator<Item = &'a CostRow>) -> Spend {
    rows.fold(Spend::default(), |sum, row| Spend {
        billed: sum.billed + row.amounts.billed.unwrap(),
        effective: sum.effective + row.amounts.effective.unwrap(),
    })
}

/// Spend by one key, without what costs nothing.
fn by_key(rows: &[CostRow], period: &str, position: usize) -> BTreeMap<String, Spend> {
    let mut sums: BTreeMap<String, Vec<&CostRow>> = BTreeMap::new();
    for row in within(rows, period) {
        sums.entry(row.keys[position].clone()).or_default().push(row);
    }
    let sums = sums.into_iter().map(|(key, rows)| (key, spend(rows.into_iter())));
    sums.filter(|(_, sum)| *sum != Spend::default()).collect()
}

fn costing(sums: &BTreeMap<String, Spend>) -> BTreeMap<String, Spend> {
    let costing = sums.iter().filter(|(_, sum)| **sum != Spend::default());
    costing.map(|(key, sum)| (key.clone(), *sum)).collect()
}

fn control(report: &SourceReport) -> Decimal {
    report.control_totals.iter().map(|total| total.amounts.effective.unwrap()).sum()
}

#[tokio::test]
async fn every_breakdown_tells_the_truth_of_the_scenario() {
    for page_size in [37, 5_000] {
        let server = Simulated::start(AwsOptions { page_size, ..AwsOptions::default() }).await;
        let meter = CountingMeter::new();
        let report = build(&server.entry).poll(&request(), &meter).await.unwrap();
        for period in ["2026-10", "2026-11"] {
            let truth = server.truth(period);
            let whole = Spend { billed: truth.spend_billed, effective: truth.spend_effective };
            let primary = rows(&report, "service_sub_account");
            assert_eq!(spend(within(primary, period)), whole, "{period}");
            assert_eq!(by_key(primary, period, 0), costing(&truth.by_service), "{period}");
            assert_eq!(by_key(primary, period, 1), costing(&truth.by_sub_account), "{period}");
            let regions = rows(&report, "region");
            assert_eq!(by_key(regions, period, 0), costing(&truth.by_region), "{period}");

            let categories: Vec<&CostRow> = within(rows(&report, "record_type"), period).collect();
            let of = |wanted: fn(ChargeCategory) -> bool| {
                spend(categories.iter().copied().filter(|row| wanted(row.category)))
            };
            assert_eq!(of(ChargeCategory::in_spend), whole, "{period}");
            assert_eq!(of(|category| category == ChargeCategory::Tax).billed, truth.tax);
            assert_eq!(of(|category| category == ChargeCategory::Credit).billed, truth.credit);
            assert_eq!(of(|category| category == ChargeCategory::Adjustment).billed, truth.refund);

            let period: BillingPeriod = period.parse().unwrap();
            for total in report.control_totals.iter().filter(|total| period.contains(total.day)) {
                let truth = truth.by_day.get(&total.day).unwrap();
                assert_eq!(total.amounts.billed, Some(truth.billed), "{}", total.day);
                assert_eq!(total.amounts.effective, Some(truth.effective), "{}", total.day);
            }
        }
        assert_eq!(control(&report), effective(rows(&report, "service_sub_account")));
        assert_eq!(server.options.requests.paid(), meter.count("GetCostAndUsage") as u64);
        assert_eq!(meter.count("GetCostAndUsage") > 5, page_size == 37);
    }
}

#[tokio::test]
async fn gpu_machines_are_a_part_of_the_money_and_accounts_have_names() {
    let server = Simulated::default().await;
    let report = build(&server.entry).poll(&request(), &CountingMeter::new()).await.unwrap();
    let gpu = rows(&report, "gpu_instance_type");
    assert!(gpu.iter().any(|row| row.keys[0] == "p5.48xlarge"));
    assert!(
        gpu.iter().all(|row| row.keys[0].starts_with("p5.") || row.keys[0].starts_with("p4d."))
    );
    let (part, whole) = (effective(gpu), effective(rows(&report, "service_sub_account")));
    assert!(part > Decimal::ZERO && part < whole, "{part} of {whole}");
    let named: BTreeMap<&str, &str> =
        report.names.iter().map(|name| (name.key.as_str(), name.name.as_str())).collect();
    assert_eq!(named.get(AWS_PAYER_ACCOUNT), Some(&"management"));
    assert!(report.names.iter().all(|name| name.dimension == Dimension::SubAccountId));
}

#[tokio::test]
async fn bands_own_question_equals_the_same_part_of_the_primary() {
    let server = Simulated::default().await;
    let mut source = build(&server.entry);
    let accounts = ["222233334444".to_owned(), "444455556666".to_owned()];
    let scope = [(Dimension::SubAccountId, accounts.to_vec())];
    source.add_filtered("band:research", &scope).unwrap();
    let purchases = [(Dimension::ChargeCategory, vec!["purchase".to_owned()])];
    source.add_filtered("band:purchases", &purchases).unwrap();
    let usage = [(Dimension::ChargeCategory, vec!["usage".to_owned()])];
    source.add_filtered("band:usage", &usage).unwrap();
    let report = source.poll(&request(), &CountingMeter::new()).await.unwrap();

    let primary = rows(&report, "service_sub_account");
    let part = spend(primary.iter().filter(|row| accounts.contains(&row.keys[1])));
    assert_eq!(spend(rows(&report, "band:research").iter()), part);
    let bought = spend(rows(&report, "band:purchases").iter());
    let used = spend(rows(&report, "band:usage").iter());
    assert_ne!(bought, Spend::default());
    assert_eq!(bought.effective + used.effective, effective(primary));
}

#[tokio::test]
async fn each_fault_of_the_service_has_its_kind() {
    let server = Simulated::default().await;
    let throttle = Fault::RateLimited { retry_after: Duration::from_secs(1) };
    for (fault, kind) in [
        (Fault::Unauthorized, Kind::Auth),
        (Fault::Forbidden, Kind::Forbidden),
        (throttle, Kind::RateLimited),
        (Fault::ServerError, Kind::Unavailable),
        (Fault::SkewedClock, Kind::Auth),
        (Fault::Truncated, Kind::Malformed),
        (Fault::Malformed, Kind::Malformed),
    ] {
        let source = build(&server.entry);
        server.faults.order(fault.clone(), 3);
        let error = source.poll(&request(), &CountingMeter::new()).await.unwrap_err();
        assert_eq!(error.kind, kind, "{fault:?} became {error}");
        if fault == Fault::SkewedClock {
            assert!(error.hint.as_deref().unwrap_or_default().contains("clock"), "{error}");
        }
        server.faults.clear();
        source.poll(&request(), &CountingMeter::new()).await.unwrap();
    }
}

#[tokio::test]
async fn slow_answer_is_a_timeout() {
    let mut server = Simulated::default().await;
    server.entry["deadline"] = json!("500ms");
    server.faults.order(Fault::Slow(Duration::from_secs(3600)), 1);
    let poll = build(&server.entry).poll(&request(), &CountingMeter::new()).await;
    assert_eq!(poll.unwrap_err().kind, Kind::Timeout);
}

#[tokio::test]
async fn connection_lost_in_the_second_page_keeps_nothing() {
    let server = Simulated::start(AwsOptions { page_size: 50, ..AwsOptions::default() }).await;
    server.faults.order(Fault::ResetMidPage, 3);
    let source = build(&server.entry);
    let error = source.poll(&request(), &CountingMeter::new()).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Malformed | Kind::Unavailable), "{error}");
}

#[tokio::test]
async fn total_that_is_wrong_stands_beside_the_sum() {
    let server = Simulated::default().await;
    server.faults.order(Fault::WrongTotal, 1);
    let report = build(&server.entry).poll(&request(), &CountingMeter::new()).await.unwrap();
    let sum = effective(rows(&report, "service_sub_account"));
    assert!(control(&report) > sum, "{} is not above {sum}", control(&report));
}

#[tokio::test]
async fn role_is_assumed_with_its_external_id_and_refused_without() {
    let options = AwsOptions { external_id: Some("agreed".to_owned()), ..AwsOptions::default() };
    let mut server = Simulated::start(options).await;
    server.entry["credentials"]["assume_role"] = json!({
        "role_arn": format!("arn:aws:iam::{AWS_PAYER_ACCOUNT}:role/costband"),
        "external_id": "agreed",
    });
    build(&server.entry).poll(&request(), &CountingMeter::new()).await.unwrap();

    server.entry["credentials"]["assume_role"]["external_id"] = json!("guessed");
    let meter = CountingMeter::new();
    let error = build(&server.entry).poll(&request(), &meter).await.unwrap_err();
    assert_eq!(error.kind, Kind::Forbidden, "{error}");
    assert!(error.hint.as_deref().unwrap_or_default().contains("external id"), "{error}");
    assert!(meter.spent().is_zero());
}

#[tokio::test]
async fn wrong_secret_key_is_an_auth_error() {
    let known = ("AKIAIOSFODNN7EXAMPLE".to_owned(), "another-secret".to_owned());
    let options = AwsOptions { credentials: Some(known), ..AwsOptions::default() };
    let server = Simulated::start(options).await;
    let error = build(&server.entry).poll(&request(), &CountingMeter::new()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Auth);
    assert!(error.hint.as_deref().unwrap_or_default().contains("secret access key"), "{error}");
}
