//! The simulated Google Cloud, read by the official clients for Rust and Python.

use std::collections::BTreeMap;
use std::process::Command;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use costband::domain::breakdown::ChargeCategory;
use costband::domain::identity::Provider;
use costband::domain::money::Currency;
use costband::domain::period::{BillingPeriod, Window};
use costband::domain::ports::Clock;
use costband::simulate::charge::{Charge, World};
use costband::simulate::faults::{Fault, Faults};
use costband::simulate::gcp::{Export, GcpOptions, Requests, router};
use google_cloud_auth::credentials::anonymous;
use google_cloud_auth::credentials::mds;
use google_cloud_bigquery::client::BigQuery;
use google_cloud_bigquery::error::QueryError;
use google_cloud_bigquery_v2::model::{QueryParameter, QueryParameterType, QueryParameterValue};
use google_cloud_billing_v1::client::{CloudBilling, CloudCatalog};
use google_cloud_gax::paginator::ItemPaginator;
use google_cloud_gax::retry_policy::NeverRetry;
use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const NOW: &str = "2026-11-14T18:00:00Z";
const PROJECTS: [(&str, &str); 3] = [
    ("vision-training", "Vision training"),
    ("vision-serving", "Vision serving"),
    ("data", "Data"),
];

struct Fixed(Timestamp);

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// Twelve days of three projects and three services, with credits, a tax row and a correction.
struct Small(Vec<Charge>);

impl World for Small {
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(Fixed(NOW.parse().unwrap()))
    }

    fn charges(&self, provider: Provider, at: Timestamp) -> Arc<Vec<Charge>> {
        let charges = self.0.iter();
        let known =
            charges.filter(|charge| charge.provider == provider && charge.published_at <= at);
        Arc::new(known.cloned().collect())
    }
}

fn charge(day: Date, (project, name): (&str, &str), sku: &str, cost: &str) -> Charge {
    let cost: Decimal = cost.parse().unwrap();
    let start = Provider::Gcp.billing_zone().start_of(day);
    Charge {
        provider: Provider::Gcp,
        day,
        invoice_period: BillingPeriod::containing(day),
        sub_account_id: project.to_owned(),
        sub_account_name: name.to_owned(),
        service_name: "Compute Engine".to_owned(),
        service_id: "6F81-5844-456A".to_owned(),
        region_id: "us-central1".to_owned(),
        instance_type: Some("a3-highgpu-8g".to_owned()),
        sku: sku.to_owned(),
        sku_id: format!("{:04X}-0000-0001", sku.len()),
        category: ChargeCategory::Usage,
        record_type: "regular".to_owned(),
        billed: cost,
        effective: cost,
        list: cost,
        currency: Currency::USD,
        per_usd: None,
        quantity: Decimal::from(24),
        unit: "hour".to_owned(),
        credits: Vec::new(),
        published_at: start + SignedDuration::from_hours(30),
        estimated: false,
    }
}

fn small() -> Arc<Small> {
    let mut charges = Vec::new();
    let window = Window::new(date(2026, 10, 28), date(2026, 11, 12));
    for (index, day) in window.days().enumerate() {
        for (number, project) in PROJECTS.into_iter().enumerate() {
            let noise =
                format!("{}.{:09}", 100 * number + index, 123_456_789 + index * 31 + number);
            let mut gpu = charge(day, project, "Nvidia H100 80GB GPU running in Americas", &noise);
            gpu.credits = vec![
                (
                    "COMMITTED_USAGE_DISCOUNT".to_owned(),
                    "CUD".to_owned(),
                    Decimal::new(-1_000_000_001, 9),
                ),
                ("PROMOTION".to_owned(), "Startup".to_owned(), Decimal::new(-25, 2)),
            ];
            charges.push(gpu);
            let mut storage = charge(day, project, "Standard Storage", "0.000000004");
            storage.service_name = "Cloud Storage".to_owned();
            storage.service_id = "95FF-2EF5-5EA1".to_owned();
            storage.instance_type = None;
            storage.region_id = "us".to_owned();
            charges.push(storage);
        }
    }
    let mut tax = charge(date(2026, 11, 1), ("", ""), "Tax", "77.77");
    tax.service_name = "Invoice".to_owned();
    tax.service_id = String::new();
    tax.record_type = "tax".to_owned();
    tax.category = ChargeCategory::Tax;
    charges.push(tax);
    let mut late =
        charge(date(2026, 10, 30), PROJECTS[0], "Nvidia H100 80GB GPU running in Americas", "-3.5");
    late.published_at = "2026-11-06T09:00:00Z".parse().unwrap();
    late.invoice_period = BillingPeriod::from_str("2026-11").unwrap();
    charges.push(late);
    Arc::new(Small(charges))
}

struct Server {
    url: String,
    options: GcpOptions,
    faults: Arc<Faults>,
    requests: Arc<Requests>,
    charges: Arc<Vec<Charge>>,
    _task: JoinSet<()>,
}

async fn start(options: GcpOptions) -> Server {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let world = small();
    let charges = world.charges(Provider::Gcp, NOW.parse().unwrap());
    let (faults, requests) = (Arc::<Faults>::default(), Arc::clone(&options.requests));
    let router = router(world, Arc::clone(&faults), options.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut task = JoinSet::new();
    task.spawn(async move { axum::serve(listener, router).await.unwrap() });
    Server { url, options, faults, requests, charges, _task: task }
}

impl Server {
    async fn bigquery(&self) -> BigQuery {
        BigQuery::builder()
            .with_endpoint(&self.url)
            .with_credentials(anonymous::Builder::new().build())
            .with_project_id(&self.options.project)
            .with_retry_policy(NeverRetry)
            .build()
            .await
            .unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value, reqwest::header::HeaderMap) {
        let request = reqwest::Client::new().post(format!("{}{path}", self.url)).json(&body);
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, response.json().await.unwrap(), headers)
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let response = reqwest::get(format!("{}{path}", self.url)).await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn query(&self, sql: &str) -> (u16, Value) {
        let path = format!("/bigquery/v2/projects/{}/queries", self.options.project);
        let (status, body, _) =
            self.post(&path, json!({"query": sql, "useLegacySql": false})).await;
        (status, body)
    }
}

const NET_COST: &str = "SELECT DATE(usage_start_time, 'America/Los_Angeles') d, project.id project,
  service.description service, currency, cost_type, invoice.month,
  SUM(CAST(cost AS NUMERIC)) gross,
  SUM(IFNULL((SELECT SUM(CAST(c.amount AS NUMERIC)) FROM UNNEST(credits) c), 0)) credits,
  SUM(CAST(cost AS NUMERIC)) + SUM(IFNULL((SELECT SUM(CAST(c.amount AS NUMERIC)) FROM UNNEST(credits) c), 0)) net,
  SUM(IFNULL((SELECT SUM(CAST(c.amount AS NUMERIC)) FROM UNNEST(credits) c WHERE c.type IN UNNEST(@promotions)), 0)) promotions,
  MAX(export_time) fresh
FROM `TABLE`
WHERE _PARTITIONTIME >= TIMESTAMP(@since) AND usage_start_time >= TIMESTAMP(@since, 'America/Los_Angeles')
GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 6";
const SINCE: &str = "2026-10-30";

type Key = (String, Option<String>, String, String);
type Sums = BTreeMap<Key, (Decimal, Decimal, Decimal, Timestamp)>;

/// Day, project, service, invoice month -> gross, credits, promotions, newest publication: added up
/// from the charges.
fn truth(charges: &[Charge]) -> Sums {
    let since: Date = SINCE.parse().unwrap();
    let mut sums = Sums::new();
    for charge in charges.iter().filter(|charge| charge.day >= since) {
        let project = Some(charge.sub_account_id.clone()).filter(|project| !project.is_empty());
        let month = charge.invoice_period.to_string().replace('-', "");
        let key = (charge.day.to_string(), project, charge.service_name.clone(), month);
        let sum = sums.entry(key).or_default();
        sum.0 += charge.billed;
        for (kind, _, amount) in &charge.credits {
            sum.1 += amount;
            if kind == "PROMOTION" {
                sum.2 += amount;
            }
        }
        sum.3 = sum.3.max(charge.published_at);
    }
    sums
}

fn parameters() -> [QueryParameter; 2] {
    let text = |value: &str| QueryParameterValue::new().set_value(value.to_owned());
    let ty = |name: &str| QueryParameterType::new().set_type(name);
    [
        QueryParameter::new()
            .set_name("since")
            .set_parameter_type(ty("STRING"))
            .set_parameter_value(text(SINCE)),
        QueryParameter::new()
            .set_name("promotions")
            .set_parameter_type(ty("ARRAY").set_array_type(ty("STRING")))
            .set_parameter_value(
                QueryParameterValue::new().set_array_values([text("PROMOTION"), text("FREE_TIER")]),
            ),
    ]
}

async fn read_net_cost(server: &Server) -> Sums {
    let sql = NET_COST.replace("TABLE", &server.options.standard_table());
    let done = server
        .bigquery()
        .await
        .query(sql)
        .set_location("US")
        .set_parameter_mode("NAMED")
        .set_query_parameters(parameters())
        .set_page_size(30_u32)
        .until_done()
        .await
        .unwrap();
    let total = done.metadata().total_rows.unwrap();
    let mut rows = done.read();
    let mut sums = Sums::new();
    while let Some(row) = rows.next().await {
        let row = row.unwrap();
        let text = |name: &str| row.get::<String>(name).unwrap();
        assert_eq!(text("currency"), "USD");
        let key = (
            text("d"),
            row.get::<Option<String>>("project").unwrap(),
            text("service"),
            text("month"),
        );
        let money = |name: &str| row.get::<Decimal>(name).unwrap();
        assert_eq!(money("net"), money("gross") + money("credits"));
        let fresh = Timestamp::from_microsecond(text("fresh").parse().unwrap()).unwrap();
        let before =
            sums.insert(key, (money("gross"), money("credits"), money("promotions"), fresh));
        assert_eq!(before, None);
    }
    assert_eq!(u64::try_from(sums.len()).unwrap(), total);
    sums
}

#[tokio::test]
async fn rust_client_reads_net_cost_over_three_pages_to_the_last_digit() {
    let server = start(GcpOptions::default()).await;
    let sums = read_net_cost(&server).await;
    assert_eq!(sums, truth(&server.charges));
    assert_eq!(sums.len(), 80);
    assert_eq!(server.requests.count("jobs.query"), 1);
    assert_eq!(server.requests.count("jobs.getQueryResults"), 2);
    assert_eq!(server.requests.bytes_billed(), 10 << 20);
}

#[tokio::test]
async fn rust_client_waits_for_a_slow_job_and_reads_every_page() {
    let server = start(GcpOptions { slow_polls: 1, ..GcpOptions::default() }).await;
    assert_eq!(read_net_cost(&server).await, truth(&server.charges));
    assert_eq!(server.requests.count("jobs.query"), 1);
}

#[tokio::test]
async fn detailed_and_focus_tables_tell_the_same_money() {
    let server = start(GcpOptions::default()).await;
    let credits = "SUM(IFNULL((SELECT SUM(CAST(amount AS NUMERIC)) FROM UNNEST(credits)), 0))";
    let sum =
        |rows: &Value| rows["rows"][0]["f"][0]["v"].as_str().unwrap().parse::<Decimal>().unwrap();
    let mut totals = Vec::new();
    for table in [server.options.standard_table(), server.options.detailed_table()] {
        let sql = format!("SELECT SUM(CAST(cost AS NUMERIC)) + {credits} FROM {table}");
        totals.push(sum(&server.query(&sql).await.1));
    }
    let focus = server.options.focus_table();
    totals.push(sum(&server.query(&format!("SELECT SUM(BilledCost) FROM {focus}")).await.1));
    let net = server.charges.iter().map(|charge| {
        charge.billed + charge.credits.iter().map(|(_, _, amount)| *amount).sum::<Decimal>()
    });
    assert_eq!(totals, [net.sum::<Decimal>(); 3]);
    let (_, machines) = server
        .query(&format!(
            "SELECT DISTINCT (SELECT value FROM UNNEST(system_labels) WHERE key = 'compute.googleapis.com/machine_spec') m,
             resource.name, location.region FROM {} WHERE project.id = 'data' ORDER BY m", server.options.detailed_table()
        ))
        .await;
    assert_eq!(
        machines["rows"],
        json!([
            {"f": [{"v": null}, {"v": null}, {"v": null}]},
            {"f": [{"v": "a3-highgpu-8g"}, {"v": "a3-highgpu-8g-pool-0"}, {"v": "us-central1"}]},
        ])
    );
    let (_, focus) = server
        .query(&format!(
            "SELECT ChargeCategory, FORMAT_TIMESTAMP('%F %T', MIN(BillingPeriodStart)), SUM(ListCost)
             FROM {focus} WHERE ChargePeriodStart >= TIMESTAMP('2026-11-01', 'America/Los_Angeles') AND SubAccountId IS NULL GROUP BY 1"
        ))
        .await;
    assert_eq!(
        focus["rows"],
        json!([{"f": [{"v": "Tax"}, {"v": "2026-11-01 07:00:00"}, {"v": "77.77"}]}])
    );
}

#[tokio::test]
async fn late_correction_is_a_row_of_its_own_that_its_export_time_finds() {
    let server = start(GcpOptions::default()).await;
    let sql = format!(
        "SELECT DISTINCT DATE(usage_start_time, 'America/Los_Angeles') d, invoice.month, _PARTITIONDATE p
         FROM {} WHERE export_time > TIMESTAMP '2026-11-06 08:30:00+00' AND _PARTITIONTIME >= TIMESTAMP('2026-11-06')
         AND usage_start_time < TIMESTAMP('2026-11-01', 'America/Los_Angeles')",
        server.options.standard_table()
    );
    let (status, body) = server.query(&sql).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        body["rows"],
        json!([{"f": [{"v": "2026-10-30"}, {"v": "202611"}, {"v": "2026-11-06"}]}])
    );
}

#[tokio::test]
async fn values_and_schemas_have_the_documented_form() {
    let server = start(GcpOptions::default()).await;
    let sql = "SELECT 1 AS i, 1.5 AS f, 1e7 AS big, CAST('1.50' AS NUMERIC) AS n, TRUE AS b, 'x' AS s, \
               DATE '2026-11-01' AS d, TIMESTAMP '2026-11-01 00:00:00.25' AS t, DATETIME '2026-11-01 10:00:00' AS c, \
               NULL AS z, [1, 2] AS a, STRUCT(1 AS k, 'v' AS v) AS r, 7";
    let (_, body) = server.query(sql).await;
    assert_eq!(
        body["rows"][0]["f"],
        json!([
            {"v": "1"}, {"v": "1.5"}, {"v": "1.0E7"}, {"v": "1.5"}, {"v": "true"}, {"v": "x"}, {"v": "2026-11-01"},
            {"v": "1.79349120025E9"}, {"v": "2026-11-01T10:00:00"}, {"v": null},
            {"v": [{"v": "1"}, {"v": "2"}]}, {"v": {"f": [{"v": "1"}, {"v": "v"}]}}, {"v": "7"},
        ])
    );
    let types: Vec<&str> = body["schema"]["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        types,
        [
            "INTEGER",
            "FLOAT",
            "FLOAT",
            "NUMERIC",
            "BOOLEAN",
            "STRING",
            "DATE",
            "TIMESTAMP",
            "DATETIME",
            "INTEGER",
            "INTEGER",
            "RECORD",
            "INTEGER"
        ]
    );
    assert_eq!(body["schema"]["fields"][10]["mode"], "REPEATED");
    assert_eq!(body["schema"]["fields"][12]["name"], "f0_");
    assert_eq!(
        (&body["jobComplete"], &body["totalRows"], &body["totalBytesBilled"]),
        (&json!(true), &json!("1"), &json!("0"))
    );
}

#[tokio::test]
async fn errors_have_the_reasons_and_words_of_the_service() {
    let server = start(GcpOptions::default()).await;
    let table = server.options.standard_table();
    for (sql, status, reason, message) in [
        (
            "SELEC 1",
            400,
            "invalidQuery",
            "Syntax error: Expected: an SQL statement, found: SELEC at [1:1]",
        ),
        (
            &format!("SELECT nothing FROM {table}"),
            400,
            "invalidQuery",
            "Unrecognized name: nothing at [1:8]",
        ),
        (
            "SELECT 1 FROM billing_export.missing",
            404,
            "notFound",
            "Not found: Table billing-admin:billing_export.missing was not found in location US",
        ),
        (
            "SELECT 1 FROM nowhere.missing",
            404,
            "notFound",
            "Not found: Dataset billing-admin:nowhere was not found in location US",
        ),
    ] {
        let (code, body) = server.query(sql).await;
        let error = &body["error"];
        assert_eq!(
            (code, &error["errors"][0]["reason"], &error["message"]),
            (status, &json!(reason), &json!(message))
        );
        assert_eq!(
            (&error["code"], &error["errors"][0]["message"]),
            (&json!(status), &json!(message))
        );
    }
    let queries = "/bigquery/v2/projects/billing-admin/queries";
    let sql = format!("SELECT COUNT(*) FROM {table}");
    for (body, status, reason) in [
        (
            json!({"query": sql, "useLegacySql": false, "maximumBytesBilled": "10485759"}),
            400,
            "bytesBilledLimitExceeded",
        ),
        (json!({"query": sql, "useLegacySql": false, "location": "EU"}), 404, "notFound"),
        (json!({"query": sql}), 400, "invalidQuery"),
        (json!({"useLegacySql": false}), 400, "required"),
    ] {
        let (code, body, _) = server.post(queries, body).await;
        assert_eq!(
            (code, &body["error"]["errors"][0]["reason"]),
            (status, &json!(reason)),
            "{body}"
        );
    }
    let (code, body, _) = server
        .post("/projects/strange/queries", json!({"query": "SELECT 1", "useLegacySql": false}))
        .await;
    assert_eq!((code, &body["error"]["status"]), (403, &json!("PERMISSION_DENIED")));
    assert_eq!(server.get("/bigquery/v2/projects/billing-admin/queries/none").await.0, 404);
    assert_eq!(server.requests.bytes_billed(), 0);
}

#[tokio::test]
async fn rust_client_meets_errors_as_their_kinds() {
    let server = start(GcpOptions::default()).await;
    let wrong = server.bigquery().await.query("SELECT x").until_done().await.unwrap_err();
    let QueryError::Rpc { source, .. } = wrong else { panic!("{wrong}") };
    assert_eq!(source.http_status_code(), Some(400));
    let text = format!("{:?}", source.status().unwrap());
    assert!(
        text.contains("invalidQuery") && text.contains("Unrecognized name: x at [1:8]"),
        "{text}"
    );
}

#[tokio::test]
async fn faults_are_told_as_google_tells_them() {
    let server = start(GcpOptions::default()).await;
    let wait = Duration::from_secs(17);
    for (fault, status, reason, word) in [
        (Fault::Unauthorized, 401, "authError", "UNAUTHENTICATED"),
        (Fault::SkewedClock, 401, "authError", "UNAUTHENTICATED"),
        (Fault::Forbidden, 403, "accessDenied", "PERMISSION_DENIED"),
        (Fault::RateLimited { retry_after: wait }, 403, "rateLimitExceeded", "PERMISSION_DENIED"),
        (Fault::ServerError, 500, "backendError", "INTERNAL"),
    ] {
        server.faults.order(fault.clone(), 1);
        let (code, body) = server.query("SELECT 1").await;
        let error = &body["error"];
        assert_eq!(
            (code, &error["errors"][0]["reason"], &error["status"]),
            (status, &json!(reason), &json!(word)),
            "{fault:?}"
        );
        assert_eq!(server.query("SELECT 1").await.0, 200);
    }
    server.faults.order(Fault::RateLimited { retry_after: wait }, 1);
    let (code, body) = server.get("/v1/services").await;
    assert_eq!((code, &body["error"]["status"]), (429, &json!("RESOURCE_EXHAUSTED")));

    let sql = format!("SELECT service.id FROM {}", server.options.standard_table());
    let (_, good) = server.query(&sql).await;
    server.faults.order(Fault::Empty, 1);
    let (_, empty) = server.query(&sql).await;
    assert_eq!((&empty["totalRows"], &empty["rows"]), (&json!("0"), &json!([])));
    server.faults.order(Fault::WrongTotal, 1);
    let (_, wrong) = server.query(&sql).await;
    assert_eq!(wrong["rows"], good["rows"]);
    assert_ne!(wrong["totalRows"], good["totalRows"]);

    for fault in [Fault::Truncated, Fault::Malformed] {
        server.faults.order(fault, 1);
        let request = reqwest::Client::new()
            .post(format!("{}/projects/billing-admin/queries", server.url))
            .json(&json!({"query": sql, "useLegacySql": false}));
        assert!(request.send().await.unwrap().json::<Value>().await.is_err());
    }
}

#[tokio::test]
async fn reset_waits_for_the_second_page() {
    let server = start(GcpOptions { rows_per_page: 50, ..GcpOptions::default() }).await;
    server.faults.order(Fault::ResetMidPage, 1);
    let sql = format!("SELECT service.id FROM {}", server.options.standard_table());
    let (status, first) = server.query(&sql).await;
    assert_eq!((status, first["rows"].as_array().unwrap().len()), (200, 50));
    let path = format!(
        "{}/bigquery/v2/projects/billing-admin/queries/{}?pageToken={}",
        server.url,
        first["jobReference"]["jobId"].as_str().unwrap(),
        first["pageToken"].as_str().unwrap()
    );
    assert!(reqwest::get(&path).await.unwrap().bytes().await.is_err());
    let second: Value = reqwest::get(&path).await.unwrap().json().await.unwrap();
    assert_eq!(second["rows"].as_array().unwrap().len(), 42);
    assert_eq!(second.get("pageToken"), None);
}

#[tokio::test]
async fn repeated_request_finds_the_job_of_its_first_attempt() {
    let server = start(GcpOptions::default()).await;
    let sql = format!("SELECT COUNT(*) FROM {}", server.options.standard_table());
    let body = json!({"query": sql, "useLegacySql": false, "requestId": "req_1"});
    let first = server.post("/bigquery/v2/projects/data/queries", body.clone()).await.1;
    let again = server.post("/bigquery/v2/projects/data/queries", body).await.1;
    assert_eq!(first, again);
    assert_eq!(server.requests.bytes_billed(), 10 << 20);
}

#[tokio::test]
async fn inserted_job_tells_its_bytes_before_and_after_it_ran() {
    let server = start(GcpOptions::default()).await;
    let sql = format!(
        "SELECT cost, currency FROM {} WHERE _PARTITIONDATE >= '2026-11-01'",
        server.options.standard_table()
    );
    let rows = server
        .charges
        .iter()
        .filter(|charge| charge.published_at >= "2026-11-01T00:00:00Z".parse().unwrap());
    let bytes = (rows.count() * 200).to_string();
    let jobs = "/bigquery/v2/projects/billing-admin/jobs";
    let configuration =
        |dry_run: bool| json!({"dryRun": dry_run, "query": {"query": sql, "useLegacySql": false}});
    let (status, dry, _) = server.post(jobs, json!({"configuration": configuration(true)})).await;
    assert_eq!((status, &dry["statistics"]["totalBytesProcessed"]), (200, &json!(bytes)));
    assert_eq!(dry["statistics"]["query"]["schema"]["fields"][0]["name"], "cost");
    assert_eq!(dry["jobReference"].get("jobId"), None);
    assert_eq!(server.requests.bytes_billed(), 0);

    let reference = json!({"projectId": "billing-admin", "jobId": "mine", "location": "US"});
    let body = json!({"configuration": configuration(false), "jobReference": reference});
    let (_, job, _) = server.post(jobs, body.clone()).await;
    assert_eq!(
        (&job["status"]["state"], &job["statistics"]["query"]["totalBytesBilled"]),
        (&json!("DONE"), &json!("10485760"))
    );
    let (status, twice, _) = server.post(jobs, body).await;
    assert_eq!(
        (status, &twice["error"]["message"]),
        (409, &json!("Already Exists: Job billing-admin:US.mine"))
    );
    let (_, none) = server
        .get("/bigquery/v2/projects/billing-admin/queries/mine?maxResults=0&pageToken=")
        .await;
    assert_eq!((none.get("rows"), &none["jobComplete"]), (None, &json!(true)));
    let token = none["pageToken"].as_str().unwrap();
    let page = format!("/bigquery/v2/projects/billing-admin/queries/mine?pageToken={token}");
    assert!(!server.get(&page).await.1["rows"].as_array().unwrap().is_empty());

    let wrong = json!({"configuration": {"query": {"query": "SELECT x", "useLegacySql": false}}});
    let (status, failed, _) = server.post(jobs, wrong).await;
    assert_eq!((status, &failed["status"]["errorResult"]["reason"]), (200, &json!("invalidQuery")));
    let id = failed["jobReference"]["jobId"].as_str().unwrap();
    let (status, body) =
        server.get(&format!("/bigquery/v2/projects/billing-admin/queries/{id}")).await;
    assert_eq!((status, &body["error"]["message"]), (400, &json!("Unrecognized name: x at [1:8]")));
}

#[tokio::test]
async fn tables_are_described_and_listed() {
    let server = start(GcpOptions::default()).await;
    let tables = "/bigquery/v2/projects/billing-admin/datasets/billing_export/tables";
    let (_, list) = server.get(tables).await;
    let names: Vec<&str> = list["tables"]
        .as_array()
        .unwrap()
        .iter()
        .map(|table| table["tableReference"]["tableId"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "gcp_billing_export_v1_012345_6789AB_CDEF01",
            "gcp_billing_export_resource_v1_012345_6789AB_CDEF01"
        ]
    );
    let (_, table) = server.get(&format!("{tables}/{}", names[0])).await;
    assert_eq!(
        (&table["timePartitioning"], &table["numRows"]),
        (&json!({"type": "DAY"}), &json!("92"))
    );
    let fields = table["schema"]["fields"].as_array().unwrap();
    let field = |name: &str| fields.iter().find(|field| field["name"] == name).unwrap();
    assert_eq!(field("cost")["type"], "FLOAT");
    assert_eq!(
        (&field("credits")["mode"], &field("credits")["type"]),
        (&json!("REPEATED"), &json!("RECORD"))
    );
    let (_, data) = server
        .get(&format!("{tables}/{}/data?maxResults=2&selectedFields=currency", names[0]))
        .await;
    assert_eq!(
        (&data["rows"][1], &data["totalRows"]),
        (&json!({"f": [{"v": "USD"}]}), &json!("92"))
    );
    assert_eq!(
        server.get("/bigquery/v2/projects/billing-admin/datasets/billing_export").await.1["location"],
        "US"
    );
    let (status, missing) = server.get(&format!("{tables}/none")).await;
    assert_eq!(
        (status, &missing["error"]["message"]),
        (404, &json!("Not found: Table billing-admin:billing_export.none"))
    );
}

#[tokio::test]
async fn export_that_is_off_or_filling_looks_so() {
    let off = start(GcpOptions { export: Export::NotEnabled, ..GcpOptions::default() }).await;
    let count =
        |server: &Server| format!("SELECT COUNT(*) FROM {}", server.options.standard_table());
    let (status, body) = off.query(&count(&off)).await;
    assert_eq!((status, &body["error"]["errors"][0]["reason"]), (404, &json!("notFound")));
    assert_eq!(
        off.get("/projects/billing-admin/datasets/billing_export/tables").await.1["tables"],
        json!([])
    );
    let filling =
        start(GcpOptions { export: Export::Filling { days: 2 }, ..GcpOptions::default() }).await;
    let (_, body) = filling.query(&count(&filling)).await;
    assert_eq!(body["rows"][0]["f"][0]["v"], "12");
}

#[tokio::test]
async fn billing_client_reads_prices_and_links() {
    let server = start(GcpOptions::default()).await;
    let catalogue = CloudCatalog::builder()
        .with_endpoint(&server.url)
        .with_credentials(anonymous::Builder::new().build())
        .build()
        .await
        .unwrap();
    let mut services = catalogue.list_services().by_item();
    let mut names = Vec::new();
    while let Some(service) = services.next().await {
        names.push(service.unwrap().display_name);
    }
    assert_eq!(names, ["Compute Engine", "Cloud Storage"]);
    let mut skus =
        catalogue.list_skus().set_parent("services/6F81-5844-456A").set_page_size(3).by_item();
    let mut prices = BTreeMap::new();
    while let Some(sku) = skus.next().await {
        let sku = sku.unwrap();
        let rate = &sku.pricing_info[0].pricing_expression.as_ref().unwrap().tiered_rates[0];
        let price = rate.unit_price.clone().unwrap();
        prices.insert(
            sku.description,
            (sku.category.unwrap().resource_group, price.units, price.nanos),
        );
    }
    assert!(server.requests.count("skus.list") >= 3);
    assert_eq!(
        prices["Nvidia Tesla A100 GPU running in Americas"],
        ("GPU".to_owned(), 2, 933_908_000)
    );
    assert_eq!(prices["A3 Instance Ram running in Americas"], ("RAM".to_owned(), 0, 1_995_468));
    assert_eq!(prices["SSD backed Local Storage attached to A3 in Americas"].0, "LocalSSD");

    let billing = CloudBilling::builder()
        .with_endpoint(&server.url)
        .with_credentials(anonymous::Builder::new().build())
        .build()
        .await
        .unwrap();
    let info = billing
        .get_project_billing_info()
        .set_name("projects/vision-training")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (info.billing_account_name.as_str(), info.billing_enabled),
        ("billingAccounts/012345-6789AB-CDEF01", true)
    );
    let account = billing
        .get_billing_account()
        .set_name("billingAccounts/012345-6789AB-CDEF01")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (account.display_name.as_str(), account.currency_code.as_str()),
        ("Example billing account", "USD")
    );
    let mut projects = billing
        .list_project_billing_info()
        .set_name("billingAccounts/012345-6789AB-CDEF01")
        .by_item();
    let mut ids = Vec::new();
    while let Some(project) = projects.next().await {
        ids.push(project.unwrap().project_id);
    }
    assert_eq!(ids, ["billing-admin", "data", "vision-serving", "vision-training"]);
    assert_eq!(server.get("/v3/projects/data").await.1["displayName"], "Data");
    assert_eq!(server.get("/v1/billingAccounts/000000-000000-000000").await.0, 404);
}

#[tokio::test]
async fn token_of_the_metadata_server_opens_the_api() {
    let options =
        GcpOptions { bearer_token: Some("ya29.right".to_owned()), ..GcpOptions::default() };
    let server = start(options).await;
    let (status, body) = server.query("SELECT 1").await;
    assert_eq!((status, &body["error"]["errors"][0]["reason"]), (401, &json!("authError")));
    let credentials = mds::Builder::default().with_endpoint(&server.url).build().unwrap();
    let client = BigQuery::builder()
        .with_endpoint(&server.url)
        .with_credentials(credentials)
        .with_project_id("billing-admin")
        .with_retry_policy(NeverRetry)
        .build()
        .await
        .unwrap();
    let mut rows = client.query("SELECT 7 AS seven").until_done().await.unwrap().read();
    assert_eq!(rows.next().await.unwrap().unwrap().get::<i64>("seven").unwrap(), 7);
    assert!(server.requests.count("metadata.token") >= 1);
    let path = "/computeMetadata/v1/instance/service-accounts/default/token";
    let bare = reqwest::get(format!("{}{path}", server.url)).await.unwrap();
    assert_eq!(bare.status(), 403);
    let oauth = reqwest::Client::new().post(format!("{}/token", server.url));
    let oauth = oauth.form(&[
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", "a.b.c"),
    ]);
    let token: Value = oauth.send().await.unwrap().json().await.unwrap();
    assert_eq!(token["access_token"], "ya29.right");
}

#[tokio::test]
async fn python_client_reads_the_same_money() {
    let Ok(python) = std::env::var("COSTBAND_PEERS_PYTHON") else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "COSTBAND_PEERS_PYTHON names no interpreter with tests/peers/requirements.txt"
        );
        eprintln!(
            "skipped: COSTBAND_PEERS_PYTHON names no interpreter, google-cloud-bigquery was not asked"
        );
        return;
    };
    let server = start(GcpOptions::default()).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/simulate_gcp.py");
    let (url, table) = (server.url.clone(), server.options.standard_table());
    let project = server.options.project.clone();
    let output = tokio::task::spawn_blocking(move || {
        Command::new(python)
            .args([script, &url, &project, &table, SINCE])
            .env("NO_GCE_CHECK", "true")
            .output()
    })
    .await
    .unwrap()
    .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let figure = |name: &str| -> Decimal {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let truth = truth(&server.charges);
    assert_eq!(figure("rows"), Decimal::from(truth.len()));
    assert_eq!(figure("gross"), truth.values().map(|sums| sums.0).sum::<Decimal>());
    assert_eq!(figure("credits"), truth.values().map(|sums| sums.1).sum::<Decimal>());
    assert_eq!(figure("promotions"), truth.values().map(|sums| sums.2).sum::<Decimal>());
}
