//! The SQL, run by local-bigquery 0.3.2 over the export's own nested schemas.
//!
//! `COSTBAND_PEERS_LOCAL_BIGQUERY` names its executable, in a virtual environment that also has
//! `duckdb-extension-{icu,ducklake,spatial,json}`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::*;

const PROJECT: &str = "billing-proj";
const NOVEMBER: &str = "2025-11";

/// One at a time: each takes a core and a second or two to start.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

pub(crate) struct Peer {
    pub(crate) url: String,
    process: Child,
    _home: tempfile::TempDir,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts the peer; none, said aloud, where there is none on a person's machine.
pub(crate) async fn start() -> Option<Peer> {
    let Some(executable) = std::env::var_os("COSTBAND_PEERS_LOCAL_BIGQUERY").map(PathBuf::from)
    else {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "COSTBAND_PEERS_LOCAL_BIGQUERY must name local-bigquery under CI"
        );
        eprintln!("skipped: COSTBAND_PEERS_LOCAL_BIGQUERY is not set");
        return None;
    };
    let turn = TURN.lock().await;
    let home = tempfile::tempdir().unwrap();
    link_extensions(&executable, home.path());
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (http, grpc) = (free(), free());
    let (port, grpc_port) = (http.local_addr().unwrap().port(), grpc.local_addr().unwrap().port());
    drop((http, grpc));
    let process = Command::new(&executable)
        .args(["serve", "--host", "127.0.0.1", "--project", PROJECT])
        .args(["--port", &port.to_string(), "--grpc-port", &grpc_port.to_string()])
        .arg("--data-dir")
        .arg(home.path().join("data"))
        .env("HOME", home.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let peer = Peer { url: format!("http://127.0.0.1:{port}"), process, _home: home, _turn: turn };
    let list = format!("{}/bigquery/v2/projects/{PROJECT}/datasets", peer.url);
    for _ in 0..720 {
        if reqwest::get(&list).await.is_ok_and(|answer| answer.status().is_success()) {
            return Some(peer);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    panic!("local-bigquery did not answer within three minutes");
}

/// DuckDB finds its extensions in the home folder; their packages lay them beside the executable.
fn link_extensions(executable: &Path, home: &Path) {
    let lib = executable.parent().unwrap().parent().unwrap().join("lib");
    let target = home.join(".duckdb/extensions/v1.5.5/linux_amd64");
    std::fs::create_dir_all(&target).unwrap();
    for python in std::fs::read_dir(lib).unwrap() {
        let packages = python.unwrap().path().join("site-packages");
        for name in ["icu", "ducklake", "spatial", "json"] {
            let file = format!("{name}.duckdb_extension");
            let built = packages.join(format!("duckdb_extension_{name}/extensions/v1.5.5/{file}"));
            if built.exists() {
                std::os::unix::fs::symlink(built, target.join(file)).unwrap();
            }
        }
    }
}

impl Peer {
    async fn call(&self, path: &str, body: Value) -> Value {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let url = format!("{}/bigquery/v2/projects/{PROJECT}{path}", self.url);
        let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{path}: {body}");
        body
    }

    pub(crate) async fn make(&self, table: &str, columns: &str, partition: &str) {
        let dataset = json!({"datasetReference": {"projectId": PROJECT, "datasetId": "billing"}});
        let url = format!("{}/bigquery/v2/projects/{PROJECT}/datasets", self.url);
        let _ = reqwest::Client::new().post(url).json(&dataset).send().await.unwrap();
        let ddl = format!("CREATE TABLE billing.{table} ({columns}) {partition}");
        self.call("/queries", json!({"query": ddl, "useLegacySql": false})).await;
    }

    pub(crate) async fn insert(&self, table: &str, rows: &[Value]) {
        let rows: Vec<Value> = rows.iter().map(|row| json!({"json": row})).collect();
        for part in rows.chunks(4_000) {
            let path = format!("/datasets/billing/tables/{table}/insertAll");
            let answer = self.call(&path, json!({"rows": part})).await;
            assert!(answer.get("insertErrors").is_none_or(Value::is_null), "{answer}");
        }
    }
}

/// The standard export's columns, in the types that Google gives them.
pub(crate) const STANDARD: &str = "billing_account_id STRING, \
    service STRUCT<id STRING, description STRING>, sku STRUCT<id STRING, description STRING>, \
    usage_start_time TIMESTAMP, usage_end_time TIMESTAMP, \
    project STRUCT<id STRING, number STRING, name STRING, ancestry_numbers STRING, \
      labels ARRAY<STRUCT<key STRING, value STRING>>>, \
    labels ARRAY<STRUCT<key STRING, value STRING>>, \
    system_labels ARRAY<STRUCT<key STRING, value STRING>>, \
    location STRUCT<location STRING, country STRING, region STRING, zone STRING>, \
    cost FLOAT64, currency STRING, currency_conversion_rate FLOAT64, \
    usage STRUCT<amount FLOAT64, unit STRING, amount_in_pricing_units FLOAT64, pricing_unit STRING>, \
    credits ARRAY<STRUCT<name STRING, amount FLOAT64, full_name STRING, id STRING, type STRING>>, \
    invoice STRUCT<month STRING, publisher_type STRING>, cost_type STRING, \
    adjustment_info STRUCT<id STRING, description STRING, mode STRING, type STRING>, \
    export_time TIMESTAMP, cost_at_list FLOAT64, transaction_type STRING, seller_name STRING";

pub(crate) const STANDARD_TABLE: &str = "gcp_billing_export_v1_01ABCD_2EF345_6789AB";

/// One hour of eight GPUs in euros, changed as a test wants it.
fn line(change: Value) -> Value {
    let mut line = json!({
        "billing_account_id": ACCOUNT,
        "service": {"id": "6F81-5844-456A", "description": "Compute Engine"},
        "sku": {"id": "0000-0000-0001", "description": "Nvidia H100 80GB GPU running in Iowa"},
        "usage_start_time": "2025-11-03T20:00:00Z", "usage_end_time": "2025-11-03T21:00:00Z",
        "project": {"id": "train", "number": "1", "name": "Training"},
        "location": {"location": "us-central1", "country": "US", "region": "us-central1"},
        "cost": 90.0, "cost_at_list": 98.32, "currency": "EUR", "currency_conversion_rate": 0.9,
        "usage": {"amount": 28800.0, "unit": "seconds", "amount_in_pricing_units": 8.0, "pricing_unit": "hour"},
        "credits": [], "invoice": {"month": "202511"}, "cost_type": "regular",
        "export_time": "2025-11-04T10:00:00.000001Z",
    });
    for (key, value) in change.as_object().unwrap() {
        line[key] = value.clone();
    }
    line
}

pub(crate) fn bill() -> Vec<Value> {
    let credit = |kind: &str, amount: f64| json!({"name": kind, "type": kind, "amount": amount});
    vec![
        line(json!({"credits": [
            credit("COMMITTED_USAGE_DISCOUNT", -10.5), credit("PROMOTION", -5.0),
            credit("FREE_TIER", -1.25), credit("A_LATER_KIND", -0.25),
            {"name": "without a type", "amount": -0.125},
        ]})),
        // The last second of the Pacific 3rd, and the first of the 4th.
        line(json!({"usage_start_time": "2025-11-04T07:59:59Z", "cost": 0.1, "cost_at_list": 0.1})),
        line(json!({"usage_start_time": "2025-11-04T08:00:00Z", "cost": 0.2, "cost_at_list": 0.2})),
        line(
            json!({"project": {"id": "serve", "name": "Serving"}, "location": {"region": "europe-west4"},
            "sku": {"description": "N2 Instance Core running in Netherlands"}, "cost": 0.3,
            "cost_at_list": null}),
        ),
        line(
            json!({"project": null, "location": null, "sku": {"description": "Commitment v1: A2 Cpu in Americas for 1 Year"},
            "cost": 100.0, "cost_at_list": 100.0, "usage": null}),
        ),
        line(json!({"project": null, "location": null, "service": {"description": "Invoice"},
            "sku": {"description": "Tax"}, "cost_type": "tax", "cost": 19.99, "cost_at_list": null})),
        line(json!({"cost_type": "adjustment", "cost": -7.0, "cost_at_list": null})),
        line(
            json!({"project": null, "service": {"description": "Invoice"}, "sku": {"description": "Rounding error"},
            "location": null, "cost_type": "rounding_error", "cost": 1e-9, "cost_at_list": 0.0}),
        ),
        // Use of October that November's invoice carries.
        line(json!({"usage_start_time": "2025-11-01T06:59:59Z", "cost": 2.5, "cost_at_list": 2.5})),
        line(json!({"usage_start_time": "2025-10-31T12:00:00Z", "cost": 4.0, "cost_at_list": 4.0,
            "invoice": {"month": "202510"}})),
        // Another currency, and use outside the window.
        line(
            json!({"currency": "USD", "currency_conversion_rate": 1.0, "cost": 3.0, "cost_at_list": 3.0}),
        ),
        line(json!({"usage_start_time": "2025-09-30T12:00:00Z", "cost": 1000.0})),
    ]
}

#[tokio::test]
async fn standard_export_gives_exact_sums_and_only_changed_days() {
    let Some(peer) = start().await else { return };
    peer.make(STANDARD_TABLE, STANDARD, "PARTITION BY _PARTITIONDATE").await;
    peer.insert(STANDARD_TABLE, &bill()).await;
    let purse = Purse::default();
    let mut source = source(&entry(&peer.url, json!({})));
    let europe =
        [(costband::domain::breakdown::Dimension::RegionId, vec!["europe-west4".to_owned()])];
    source.add_filtered("band:europe", &europe).unwrap();
    let report = source.poll(&request(None), &purse).await.unwrap();
    assert_eq!(report.days.len(), 36);
    assert_eq!(
        report.cursor.as_deref(),
        Some("2025-11-04T10:00:00.000001Z 2025-10-01..2025-11-06")
    );

    // Discounts lower spend; promotions and free tiers, tax and adjustments are apart.
    let primary = rows(&report, "service_sub_account");
    assert_eq!(billed(primary, "USD"), "3".parse().unwrap());
    assert_eq!(billed(primary, "EUR"), "186.225000001".parse().unwrap());
    assert_eq!(billed(rows(&report, "region"), "EUR"), billed(primary, "EUR"));
    assert_eq!(billed(rows(&report, "band:europe"), "EUR"), "0.3".parse().unwrap());
    let control: Decimal = report
        .control_totals
        .iter()
        .filter(|total| total.currency.as_str() == "EUR")
        .map(|total| total.amounts.billed.unwrap())
        .sum();
    assert_eq!(control, billed(primary, "EUR"));

    let train = |from: &str| -> Vec<&CostRow> {
        let wanted = |row: &&CostRow| {
            row.keys == ["Compute Engine", "train"]
                && row.day == day(from)
                && row.currency.as_str() == "EUR"
        };
        primary.iter().filter(wanted).collect()
    };
    let third = train("2025-11-03")[0];
    assert_eq!(third.amounts.billed, decimal("79.225"));
    assert_eq!(third.amounts.effective, third.amounts.billed);
    assert_eq!(third.amounts.list, decimal("98.42"));
    // Each row by its own rate, rounded to the nano: 79.125 / 0.9 and 0.1 / 0.9.
    assert_eq!(third.usd.unwrap().billed, decimal("88.027777778"));
    assert_eq!(train("2025-11-04")[0].amounts.billed, decimal("0.2"));
    let dollars = primary.iter().find(|row| row.currency.as_str() == "USD").unwrap();
    assert_eq!(dollars.usd, None);
    let unlisted = primary.iter().find(|row| row.keys[1] == "serve").unwrap();
    assert_eq!(unlisted.amounts.list, None);

    // One usage day on two invoices.
    let halloween: Vec<_> = train("2025-10-31")
        .iter()
        .map(|row| (row.invoice_period.unwrap().to_string(), row.amounts.billed))
        .collect();
    assert_eq!(
        halloween,
        [("2025-10".to_owned(), decimal("4")), (NOVEMBER.to_owned(), decimal("2.5"))]
    );

    let categories = rows(&report, "charge_category");
    let category = |key: &str, category| {
        let row = categories.iter().find(|row| {
            row.keys == [key]
                && row.category == category
                && row.day == day("2025-11-03")
                && row.currency.as_str() == "EUR"
        });
        row.map(|row| row.amounts.billed.unwrap().normalize().to_string())
    };
    let told = |text: &str| Some(text.to_owned());
    assert_eq!(category("regular", ChargeCategory::Usage), told("79.525"));
    assert_eq!(category("regular", ChargeCategory::Purchase), told("100"));
    assert_eq!(category("tax", ChargeCategory::Tax), told("19.99"));
    assert_eq!(category("adjustment", ChargeCategory::Adjustment), told("-7"));
    assert_eq!(category("rounding_error", ChargeCategory::Usage), told("0.000000001"));
    assert_eq!(category("PROMOTION", ChargeCategory::Credit), told("-5"));
    assert_eq!(category("FREE_TIER", ChargeCategory::Credit), told("-1.25"));
    let spend: Vec<CostRow> =
        categories.iter().filter(|row| row.category.in_spend()).cloned().collect();
    assert_eq!(billed(&spend, "EUR"), billed(primary, "EUR"));

    let gpus: Vec<&CostRow> = rows(&report, "gpu_sku")
        .iter()
        .filter(|row| row.day == day("2025-11-03") && row.currency.as_str() == "EUR")
        .collect();
    let commitment = "Commitment v1: A2 Cpu in Americas for 1 Year";
    assert!(gpus.iter().any(|row| row.keys[0] == commitment), "it pays for GPU machines");
    let gpu = gpus.iter().find(|row| row.keys[0] != commitment).unwrap();
    assert_eq!(gpu.keys, ["Nvidia H100 80GB GPU running in Iowa", "us-central1"]);
    assert_eq!(gpu.quantity.as_ref().unwrap().amount, "16".parse().unwrap());
    assert_eq!(gpu.quantity.as_ref().unwrap().unit, "hour");
    let mut names: Vec<_> =
        report.names.iter().map(|name| (name.key.as_str(), name.name.as_str())).collect();
    names.sort_unstable();
    assert_eq!(names, [("serve", "Serving"), ("train", "Training")]);

    // Nothing new: one cheap query, no days, the same cursor.
    let before = purse.paid().len();
    let quiet = source.poll(&request(report.cursor.clone()), &purse).await.unwrap();
    assert!(quiet.days.is_empty());
    assert_eq!(quiet.cursor, report.cursor);
    assert_eq!(purse.paid().len(), before + 1);

    // A late row of the 31st: that day comes again, whole.
    let late = line(json!({"usage_start_time": "2025-10-31T13:00:00Z", "cost": 0.75,
        "cost_at_list": 0.75, "export_time": "2025-11-05T09:00:00Z"}));
    peer.insert(STANDARD_TABLE, &[late]).await;
    let news = source.poll(&request(report.cursor.clone()), &purse).await.unwrap();
    assert_eq!(news.days, [day("2025-10-31")]);
    assert_eq!(billed(rows(&news, "service_sub_account"), "EUR"), "7.25".parse().unwrap());
    assert_eq!(news.control_totals[0].amounts.billed, decimal("7.25"));
    assert_eq!(news.cursor.as_deref(), Some("2025-11-05T09:00:00.000000Z 2025-10-01..2025-11-06"));
}

#[tokio::test]
async fn every_page_of_a_long_answer_is_read() {
    let Some(peer) = start().await else { return };
    peer.make(STANDARD_TABLE, STANDARD, "PARTITION BY _PARTITIONDATE").await;
    let many: Vec<Value> = (0..12_345)
        .map(|number| line(json!({"project": {"id": format!("p-{number:05}")}, "cost": 0.01})))
        .collect();
    peer.insert(STANDARD_TABLE, &many).await;
    let purse = Purse::default();
    let report = source(&entry(&peer.url, json!({}))).poll(&request(None), &purse).await.unwrap();
    let primary = rows(&report, "service_sub_account");
    assert_eq!(primary.len(), 12_345);
    assert_eq!(billed(primary, "EUR"), "123.45".parse().unwrap());
    assert_eq!(report.control_totals[0].amounts.billed, decimal("123.45"));
    let pages = purse.operations().iter().filter(|name| **name == "jobs.getQueryResults").count();
    assert_eq!(pages, 1);
}

#[tokio::test]
async fn detailed_export_is_read_like_the_standard_one() {
    let Some(peer) = start().await else { return };
    let table = "gcp_billing_export_resource_v1_01ABCD_2EF345_6789AB";
    let columns = format!("{STANDARD}, resource STRUCT<name STRING, global_name STRING>");
    peer.make(table, &columns, "PARTITION BY TIMESTAMP_TRUNC(export_time, DAY)").await;
    peer.insert(table, &bill()).await;
    let entry = entry(&peer.url, json!({"table_kind": "detailed"}));
    let report = source(&entry).poll(&request(None), &Purse::default()).await.unwrap();
    let primary = rows(&report, "service_sub_account");
    assert_eq!(billed(primary, "EUR"), "186.225000001".parse().unwrap());
}

#[tokio::test]
async fn old_export_without_list_and_rate_has_them_unknown() {
    let Some(peer) = start().await else { return };
    let columns = STANDARD
        .replace("cost_at_list FLOAT64, ", "")
        .replace("currency_conversion_rate FLOAT64, ", "");
    peer.make(STANDARD_TABLE, &columns, "").await;
    let mut row = line(json!({}));
    row.as_object_mut().unwrap().retain(|key, _| !key.contains("list") && !key.contains("rate"));
    peer.insert(STANDARD_TABLE, &[row]).await;
    let report =
        source(&entry(&peer.url, json!({}))).poll(&request(None), &Purse::default()).await.unwrap();
    let row = &rows(&report, "service_sub_account")[0];
    assert_eq!((row.amounts.billed, row.amounts.list, row.usd), (decimal("90"), None, None));
}

const FOCUS: &str = "BillingAccountId STRING, BillingCurrency STRING, BillingPeriodStart TIMESTAMP, \
    BillingPeriodEnd TIMESTAMP, ChargeCategory STRING, ChargeDescription STRING, \
    ChargePeriodStart TIMESTAMP, ChargePeriodEnd TIMESTAMP, BilledCost NUMERIC, \
    EffectiveCost NUMERIC, ListCost NUMERIC, ContractedCost NUMERIC, PricingQuantity NUMERIC, \
    PricingUnit STRING, RegionId STRING, ServiceName STRING, SkuId STRING, SubAccountId STRING, \
    SubAccountName STRING, x_CostType STRING, x_CurrencyConversionRate FLOAT64, \
    x_ExportTime TIMESTAMP, \
    x_Credits ARRAY<STRUCT<Name STRING, Amount NUMERIC, FullName STRING, Id STRING, Type STRING>>";

#[tokio::test]
async fn focus_export_has_its_credits_in_the_cost_already() {
    let Some(peer) = start().await else { return };
    let table = "gcp_billing_export_focus_01ABCD_2EF345_6789AB";
    peer.make(table, FOCUS, "").await;
    let charge = |category: &str, billed: &str, effective: &str, promotion: &str| {
        json!({
            "BillingAccountId": format!("billingAccounts/{ACCOUNT}"), "BillingCurrency": "EUR",
            "BillingPeriodStart": "2025-11-01T07:00:00Z", "ChargeCategory": category,
            "ChargeDescription": "Nvidia H100 80GB GPU running in Iowa",
            "ChargePeriodStart": "2025-11-03T20:00:00Z", "BilledCost": billed,
            "EffectiveCost": effective, "ListCost": "98.32", "PricingQuantity": "8",
            "PricingUnit": "hour", "RegionId": "us-central1", "ServiceName": "Compute Engine",
            "SubAccountId": "train", "SubAccountName": "Training", "x_CostType": "regular",
            "x_CurrencyConversionRate": 0.8, "x_ExportTime": "2025-11-04T10:00:00Z",
            "x_Credits": [{"Name": "a", "Amount": promotion, "Type": "PROMOTION"},
                {"Name": "b", "Amount": "-3", "Type": "COMMITTED_USAGE_DISCOUNT"}],
        })
    };
    let charges = [charge("Usage", "80", "70", "-5"), charge("Tax", "9", "9", "0")];
    peer.insert(table, &charges).await;
    let entry = entry(&peer.url, json!({"table": table}));
    let report = source(&entry).poll(&request(None), &Purse::default()).await.unwrap();
    let primary = rows(&report, "service_sub_account");
    assert_eq!(primary.len(), 1);
    assert_eq!(primary[0].amounts.billed, decimal("85"));
    assert_eq!(primary[0].amounts.effective, decimal("75"));
    assert_eq!(primary[0].usd.unwrap().billed, decimal("106.25"));
    assert_eq!(primary[0].invoice_period, Some(NOVEMBER.parse().unwrap()));
    let categories: Vec<_> = rows(&report, "charge_category")
        .iter()
        .map(|row| (row.keys[0].as_str(), row.category, row.amounts.billed))
        .collect();
    assert_eq!(
        categories,
        [
            ("PROMOTION", ChargeCategory::Credit, decimal("-5")),
            ("regular", ChargeCategory::Usage, decimal("85")),
            ("regular", ChargeCategory::Tax, decimal("9")),
        ]
    );
    assert_eq!(rows(&report, "gpu_sku")[0].quantity.as_ref().unwrap().amount, "8".parse().unwrap());
}

#[tokio::test]
async fn missing_table_and_wrong_kind_are_named() {
    use costband::domain::report::SourceErrorKind::Config;
    let Some(peer) = start().await else { return };
    let poll = async |change: Value| {
        source(&entry(&peer.url, change)).poll(&request(None), &Purse::default()).await.unwrap_err()
    };
    let missing = poll(json!({})).await;
    assert_eq!(missing.kind, Config);
    assert!(missing.to_string().contains("bq ls billing-proj:billing"), "{missing}");
    peer.make("mine", FOCUS, "").await;
    let wrong = poll(json!({"table": "mine", "table_kind": "standard"})).await;
    assert_eq!(wrong.kind, Config);
    assert!(wrong.message.contains("no column `billing_account_id`"), "{wrong}");
}

#[test]
fn one_breakdown_makes_the_totals_and_one_the_categories() {
    let source = source(&entry("http://127.0.0.1:1", json!({})));
    let roles: Vec<_> =
        source.descriptor().breakdowns.iter().map(|breakdown| breakdown.role).collect();
    assert_eq!(
        roles,
        [
            BreakdownRole::Primary,
            BreakdownRole::Categories,
            BreakdownRole::Secondary,
            BreakdownRole::Filtered
        ]
    );
}
