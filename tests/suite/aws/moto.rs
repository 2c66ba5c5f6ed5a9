//! The source against moto, an independent server of the AWS interfaces.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use costband::domain::breakdown::{ChargeCategory, Dimension};
use costband::domain::report::{EntityName, SourceErrorKind};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{ACCOUNT, CountingMeter, build, effective, entry, october, rows};

/// A running moto server, ended with the test.
pub(crate) struct Moto {
    process: Child,
    pub(crate) endpoint: String,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Moto {
    /// Starts the server of the interpreter that `COSTBAND_PEERS_PYTHON` names. Without one the
    /// test is skipped, and fails where `CI` is `true`.
    pub(crate) async fn start() -> Option<Self> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let Ok(python) = std::env::var("COSTBAND_PEERS_PYTHON") else {
            let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!in_ci, "`COSTBAND_PEERS_PYTHON` names no interpreter");
            eprintln!("skipped: `COSTBAND_PEERS_PYTHON` names no interpreter with moto");
            return None;
        };
        let port = {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().port()
        };
        let process = Command::new(Path::new(&python).with_file_name("moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("failed to start moto_server: {error}"));
        let moto = Self { process, endpoint: format!("http://127.0.0.1:{port}") };
        for _ in 0..600 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Some(moto);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("moto_server does not listen");
    }

    /// Puts replies into an account's queue: each new request takes the next one.
    pub(crate) async fn seed(&self, account: &str, replies: Vec<Value>) {
        let answer = reqwest::Client::new()
            .post(format!("{}/moto-api/static/ce/cost-and-usage-results", self.endpoint))
            .json(&json!({"account_id": account, "results": replies}))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), 201);
    }
}

fn metrics(billed: &str, effective: &str) -> Value {
    json!({
        "UnblendedCost": {"Amount": billed, "Unit": "USD"},
        "AmortizedCost": {"Amount": effective, "Unit": "USD"},
        "UsageQuantity": {"Amount": "24.000000001", "Unit": "N/A"},
    })
}

fn day(number: u8, groups: &[(&[&str], &str, &str)]) -> Value {
    let groups: Vec<Value> = groups
        .iter()
        .map(|(keys, billed, effective)| json!({"Keys": keys, "Metrics": metrics(billed, effective)}))
        .collect();
    json!({
        "TimePeriod": {
            "Start": format!("2026-10-{number:02}"),
            "End": format!("2026-10-{:02}", number + 1),
        },
        "Total": {},
        "Groups": groups,
        "Estimated": number > 1,
    })
}

fn total(number: u8, billed: &str, effective: &str) -> Value {
    let mut result = day(number, &[]);
    result["Total"] = metrics(billed, effective);
    result
}

/// Replies to the five questions in the order in which they are asked, the first on two pages.
pub(crate) fn replies() -> Vec<Value> {
    let names = json!([
        {"Value": "111111111111", "Attributes": {"description": "training"}},
        {"Value": "222222222222", "Attributes": {"description": "serving"}},
    ]);
    let ec2 = "Amazon Elastic Compute Cloud - Compute";
    vec![
        json!({
            "ResultsByTime": [day(1, &[
                (&[ec2, "111111111111"], "1000.1234567891", "900.0000000001"),
                (&["Amazon Simple Storage Service", "111111111111"], "0.0000000001", "0.0000000001"),
            ])],
            "DimensionValueAttributes": [names[0]],
            "NextPageToken": "page-2",
        }),
        json!({
            "ResultsByTime": [
                day(1, &[(&[ec2, "222222222222"], "500.5", "450.25")]),
                day(2, &[(&[ec2, "222222222222"], "0.1", "0.2")]),
            ],
            "DimensionValueAttributes": [names[1]],
        }),
        json!({"ResultsByTime": [
            total(1, "1500.6234567892", "1350.2500000002"),
            total(2, "0.1", "0.2"),
        ]}),
        json!({"ResultsByTime": [
            day(1, &[
                (&["Usage"], "1600.6234567892", "1450.2500000002"),
                (&["Enterprise Discount Program Discount"], "-100", "-100"),
                (&["Tax"], "150.06", "150.06"),
                (&["Credit"], "-25", "-25"),
                (&["Refund"], "-5", "-5"),
            ]),
            day(2, &[(&["Usage"], "0.1", "0.2")]),
        ]}),
        json!({"ResultsByTime": [
            day(1, &[(&["us-east-1"], "1500.6234567892", "1350.2500000002")]),
            day(2, &[(&["NoRegion"], "0.1", "0.2")]),
        ]}),
        json!({"ResultsByTime": [day(1, &[
            (&["p5.48xlarge", "us-east-1"], "1400", "1300"),
            (&["m7i.large", "us-east-1"], "100", "50"),
        ])]}),
    ]
}

#[tokio::test]
async fn moto_is_read_to_the_last_digit_over_two_pages() {
    let Some(moto) = Moto::start().await else { return };
    moto.seed(ACCOUNT, replies()).await;
    let source = build(&entry(&moto.endpoint));
    let meter = CountingMeter::new();
    let report = source.poll(&october(), &meter).await.unwrap();

    let billed: Decimal =
        rows(&report, "service_sub_account").iter().map(|row| row.amounts.billed.unwrap()).sum();
    assert_eq!(billed, "1500.7234567892".parse().unwrap());
    let primary = effective(rows(&report, "service_sub_account"));
    assert_eq!(primary, "1350.4500000002".parse().unwrap());
    let control: Decimal =
        report.control_totals.iter().map(|total| total.amounts.effective.unwrap()).sum();
    assert_eq!(control, primary);
    assert_eq!(effective(rows(&report, "region")), primary);
    let categories = rows(&report, "record_type");
    assert_eq!(effective(categories.iter().filter(|row| row.category.in_spend())), primary);
    let of = |category| effective(categories.iter().filter(|row| row.category == category));
    assert_eq!(of(ChargeCategory::Tax), "150.06".parse().unwrap());
    assert_eq!(of(ChargeCategory::Credit), "-25".parse().unwrap());
    assert_eq!(of(ChargeCategory::Adjustment), "-5".parse().unwrap());
    assert_eq!(effective(rows(&report, "gpu_instance_type")), "1300".parse().unwrap());

    let name = |key: &str, name: &str| EntityName {
        dimension: Dimension::SubAccountId,
        key: key.to_owned(),
        name: name.to_owned(),
    };
    assert_eq!(report.names, [name("111111111111", "training"), name("222222222222", "serving")]);
    let estimated: Vec<bool> = rows(&report, "region").iter().map(|row| row.estimated).collect();
    assert_eq!(estimated, [false, true]);
    assert_eq!(meter.count("GetCostAndUsage"), 6);
    assert_eq!(meter.spent(), "0.06".parse().unwrap());
}

#[tokio::test]
async fn moto_reads_the_account_of_the_assumed_role() {
    let Some(moto) = Moto::start().await else { return };
    let other = "222222222222";
    moto.seed(other, replies()).await;
    let mut entry = entry(&moto.endpoint);
    entry["account"] = json!(other);
    entry["credentials"]["assume_role"] = json!({
        "role_arn": format!("arn:aws:iam::{other}:role/costband"),
        "external_id": "agreed",
    });
    let report = build(&entry).poll(&october(), &CountingMeter::new()).await.unwrap();
    let primary = effective(rows(&report, "service_sub_account"));
    assert_eq!(primary, "1350.4500000002".parse().unwrap());
}

#[tokio::test]
async fn moto_of_another_account_is_refused_unread() {
    let Some(moto) = Moto::start().await else { return };
    let mut entry = entry(&moto.endpoint);
    entry["account"] = json!("999999999999");
    let meter = CountingMeter::new();
    let error = build(&entry).poll(&october(), &meter).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Auth);
    assert!(error.message.contains(ACCOUNT), "{error}");
    assert!(meter.spent().is_zero());
}

#[tokio::test]
async fn bill_without_any_cost_is_an_empty_report() {
    let Some(moto) = Moto::start().await else { return };
    let report =
        build(&entry(&moto.endpoint)).poll(&october(), &CountingMeter::new()).await.unwrap();
    assert!(report.breakdowns.iter().all(|reading| reading.rows.is_empty()));
    assert!(report.control_totals.is_empty());
    assert_eq!(report.data_through, None);
    assert_eq!(report.days.len(), 20);
}
