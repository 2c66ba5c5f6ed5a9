//! A server that answers as it is told, and remembers what it was asked.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use costband::domain::report::{SourceError, SourceErrorKind};
use futures_util::StreamExt;

use super::*;

#[derive(Debug, Clone)]
struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Value,
}

#[derive(Debug, Clone)]
enum Reply {
    Json(u16, Value),
    Header(u16, &'static str, &'static str),
    Bytes(&'static str),
    Truncated,
    Slow(Duration),
}

/// Which answer is replaced: the part of `METHOD path` that names it, and how often.
struct Order {
    what: &'static str,
    after: usize,
    times: usize,
    reply: Reply,
}

/// A BigQuery with one export table whose queries answer from their text.
#[derive(Default)]
struct World {
    asked: Mutex<Vec<Asked>>,
    orders: Mutex<Vec<Order>>,
    table: Value,
    changed: Value,
    dry_bytes: Option<&'static str>,
}

struct Server {
    url: String,
    world: Arc<World>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start(mut world: World) -> Self {
        if world.table.is_null() {
            world.table = json!({
                "kind": "bigquery#table", "type": "TABLE", "location": "EU",
                "timePartitioning": {"type": "DAY"}, "creationTime": "1735689600000",
            });
        }
        if world.changed.is_null() {
            world.changed = json!([["2025-11-04", ACCOUNT, "1762372800123456"]]);
        }
        let world = Arc::new(world);
        let app = Router::new().fallback(answer).with_state(world.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, world, task }
    }

    /// Orders a reply for `times` requests of one sort, after `after` good ones.
    fn order(&self, what: &'static str, after: usize, times: usize, reply: Reply) {
        self.world.orders.lock().unwrap().push(Order { what, after, times, reply });
    }

    fn asked(&self, what: &str) -> Vec<Asked> {
        let asked = self.world.asked.lock().unwrap();
        asked.iter().filter(|asked| name(asked).contains(what)).cloned().collect()
    }

    async fn poll(&self, change: Value) -> Result<SourceReport, SourceError> {
        self.poll_with(change, &Purse::default(), None).await
    }

    async fn poll_with(
        &self,
        change: Value,
        purse: &Purse,
        cursor: Option<String>,
    ) -> Result<SourceReport, SourceError> {
        source(&entry(&self.url, change)).poll(&request(cursor), purse).await
    }
}

fn name(asked: &Asked) -> String {
    format!("{} {}", asked.method, asked.uri)
}

async fn answer(State(world): State<Arc<World>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let asked = Asked {
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    };
    world.asked.lock().unwrap().push(asked.clone());
    let ordered = {
        let mut orders = world.orders.lock().unwrap();
        orders.iter_mut().find(|order| name(&asked).contains(order.what)).and_then(|order| {
            if order.after > 0 {
                order.after -= 1;
                return None;
            }
            order.times = order.times.checked_sub(1)?;
            Some(order.reply.clone())
        })
    };
    match ordered {
        Some(reply) => spoilt(reply).await,
        None => axum::Json(good(&world, &asked)).into_response(),
    }
}

async fn spoilt(reply: Reply) -> Response {
    match reply {
        Reply::Json(status, body) => {
            (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
        }
        Reply::Header(status, header, value) => {
            (StatusCode::from_u16(status).unwrap(), [(header, value)], "{}").into_response()
        }
        Reply::Bytes(text) => text.into_response(),
        Reply::Truncated => {
            let part = futures_util::stream::iter([Ok(Bytes::from_static(b"{\"kind\":"))]);
            let broken =
                part.chain(futures_util::stream::iter([Err(std::io::Error::other("cut"))]));
            Body::from_stream(broken).into_response()
        }
        Reply::Slow(wait) => {
            tokio::time::sleep(wait).await;
            "{}".into_response()
        }
    }
}

/// A good answer: tables.get, a dry run, jobs.get, a query or a page of it.
fn good(world: &World, asked: &Asked) -> Value {
    let path = asked.uri.path();
    let reference = json!({"projectId": "billing-proj", "jobId": "job_1", "location": "EU"});
    if path.starts_with("/v1/billingAccounts/") {
        return json!({"name": &path[4..], "open": true, "displayName": "Example Ltd"});
    }
    if path.contains("/tables/") {
        return world.table.clone();
    }
    if path.ends_with("/jobs") {
        return json!({
            "jobReference": {"projectId": "billing-proj", "location": "EU"},
            "configuration": {"dryRun": true, "query": {}}, "status": {"state": "DONE"},
            "statistics": {"query": {"totalBytesProcessed": world.dry_bytes.unwrap_or("1048576")}},
        });
    }
    if path.ends_with("/jobs/job_1") {
        return json!({
            "jobReference": reference, "configuration": {"query": {}},
            "status": {"state": "RUNNING"},
        });
    }
    if path.ends_with("/queries/job_1") {
        let page = asked.uri.query().unwrap_or_default().contains("pageToken=P");
        let mut answer = complete(&["day", "account", "exported"], &world.changed);
        if !page {
            answer["rows"] = json!([]);
            answer["pageToken"] = json!("P");
        }
        return answer;
    }
    let sql = asked.body["query"].as_str().unwrap();
    if sql.contains("AS account") {
        return complete(&["day", "account", "exported"], &world.changed);
    }
    let columns: Vec<&str> = sql
        .lines()
        .filter_map(|line| line.rsplit_once(" AS ").map(|(_, name)| name.trim_end_matches(',')))
        .collect();
    let cells: Vec<Value> = columns
        .iter()
        .map(|column| match *column {
            "day" => json!("2025-11-04"),
            "currency" => json!("USD"),
            "invoice_month" => json!("202511"),
            "category" => json!("usage"),
            "unlisted" | "unrated" => json!("0"),
            name if name.starts_with("key") => json!("a"),
            name if name.starts_with("credit") => json!("0"),
            "unit" | "other_unit" => json!("hour"),
            "sub_account_name" => Value::Null,
            _ => json!("12.5"),
        })
        .collect();
    complete(&columns, &json!([cells]))
}

fn complete(columns: &[&str], rows: &Value) -> Value {
    let fields: Vec<Value> = columns
        .iter()
        .map(|name| json!({"name": name, "type": "STRING", "mode": "NULLABLE"}))
        .collect();
    let rows: Vec<Value> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| json!({"f": row.as_array().unwrap().iter().map(|v| json!({"v": v})).collect::<Vec<_>>()}))
        .collect();
    json!({
        "kind": "bigquery#queryResponse", "schema": {"fields": fields}, "jobComplete": true,
        "jobReference": {"projectId": "billing-proj", "jobId": "job_1", "location": "EU"},
        "totalRows": rows.len().to_string(), "rows": rows, "totalBytesProcessed": "1048576",
    })
}

fn error(status: u16, reason: &str, message: &str) -> Reply {
    Reply::Json(
        status,
        json!({"error": {"code": status, "message": message,
            "errors": [{"message": message, "domain": "global", "reason": reason}]}}),
    )
}

const TABLE: &str = "GET /bigquery/v2/projects/billing-proj/datasets/billing/tables/";
const DRY: &str = "POST /bigquery/v2/projects/billing-proj/jobs";
const QUERY: &str = "POST /bigquery/v2/projects/billing-proj/queries";

#[tokio::test]
async fn query_carries_its_limits_labels_and_parameters() {
    let server = Server::start(World::default()).await;
    let purse = Purse::default();
    let report = server.poll_with(json!({}), &purse, None).await.unwrap();
    assert_eq!(report.days.len(), 36);
    assert_eq!(report.control_totals[0].amounts.billed, decimal("12.5"));
    assert_eq!(report.data_through, Some(at("2025-11-05T20:00:00.123456Z")));
    let queries = server.asked(QUERY);
    assert_eq!(queries.len(), 6);
    let mut ids: Vec<&str> =
        queries.iter().map(|asked| asked.body["requestId"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 6);
    for asked in &queries {
        assert_eq!(asked.body["maximumBytesBilled"], "10000000000");
        assert_eq!(asked.body["labels"], json!({"app": "costband"}));
        assert_eq!(asked.body["location"], "EU");
        assert_eq!(asked.body["useLegacySql"], false);
        assert_eq!(asked.body["parameterMode"], "NAMED");
        assert_eq!(asked.headers["x-goog-user-project"], "billing-proj");
        assert!(!asked.headers.contains_key("authorization"));
    }
    let days = &queries[1].body["queryParameters"]
        .as_array()
        .unwrap()
        .iter()
        .find(|parameter| parameter["name"] == "days")
        .unwrap()["parameterValue"]["arrayValues"];
    assert_eq!(days[0]["value"], "2025-10-01");
    // Each query is sized for free and then reserved: 10 MiB at 6.25 USD a TiB.
    let free = purse.operations().iter().filter(|name| **name == "jobs.insert").count();
    assert_eq!(free, 6);
    assert_eq!(purse.paid(), vec!["0.000059604645".parse::<Decimal>().unwrap(); 6]);
}

#[tokio::test]
async fn configured_location_and_limit_go_before_the_tables_own() {
    let server = Server::start(World::default()).await;
    let change = json!({"location": "europe-west1", "maximum_bytes_billed": "20MiB"});
    server.poll(change).await.unwrap();
    let asked = &server.asked(QUERY)[0];
    assert_eq!(asked.body["location"], "europe-west1");
    assert_eq!(asked.body["maximumBytesBilled"], "20971520");
}

#[tokio::test]
async fn accepted_job_is_waited_for_and_never_started_again() {
    let server = Server::start(World::default()).await;
    let pending = json!({
        "kind": "bigquery#queryResponse", "jobComplete": false,
        "jobReference": {"projectId": "billing-proj", "jobId": "job_1", "location": "EU"},
    });
    server.order(QUERY, 0, 1, Reply::Json(200, pending.clone()));
    let report = server.poll(json!({})).await.unwrap();
    assert_eq!(report.control_totals.len(), 1);
    assert_eq!(server.asked(QUERY).len(), 6);

    let server = Server::start(World::default()).await;
    server.order(QUERY, 0, 1, Reply::Json(200, pending));
    server.order("/queries/job_1", 0, 9, error(503, "backendError", "try again"));
    let error = server.poll(json!({})).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Unavailable, "{error}");
    assert_eq!(server.asked(QUERY).len(), 1);
}

#[tokio::test]
async fn errors_have_their_kinds() {
    use SourceErrorKind::*;
    let cases = [
        (TABLE, error(401, "authError", "Invalid Credentials"), Auth),
        (TABLE, error(403, "accessDenied", "Access Denied: Table"), Forbidden),
        (TABLE, error(404, "notFound", "Not found: Dataset billing-proj:billing"), Config),
        (TABLE, Reply::Header(429, "retry-after", "30"), RateLimited),
        (TABLE, error(500, "internalError", "oops"), Unavailable),
        (TABLE, Reply::Bytes("<html>"), Malformed),
        (TABLE, Reply::Truncated, Unavailable),
        (DRY, error(400, "invalidQuery", "Unrecognized name: cost at [3:9]"), Config),
        (DRY, error(403, "accessDenied", "Access Denied: Project"), Forbidden),
        (QUERY, error(403, "quotaExceeded", "Quota exceeded"), RateLimited),
        (QUERY, error(400, "bytesBilledLimitExceeded", "limit"), Config),
        (QUERY, Reply::Bytes("{\"rows\": [1,"), Malformed),
        (QUERY, Reply::Bytes("{}"), Malformed),
        (QUERY, Reply::Truncated, Unavailable),
    ];
    for (what, reply, kind) in cases {
        let server = Server::start(World::default()).await;
        let told = format!("{what} {reply:?}");
        server.order(what, 0, 9, reply);
        let error = server.poll(json!({})).await.unwrap_err();
        assert_eq!(error.kind, kind, "{told}: {error}");
        if kind == RateLimited && what == TABLE {
            assert_eq!(error.retry_after, Some(Duration::from_secs(30)));
        }
    }
}

#[tokio::test]
async fn throttle_that_lasts_is_told_and_one_that_passes_is_not() {
    let server = Server::start(World::default()).await;
    server.order(QUERY, 0, 1, error(403, "rateLimitExceeded", "Exceeded rate limits"));
    server.poll(json!({})).await.unwrap();
    let server = Server::start(World::default()).await;
    server.order(QUERY, 0, 99, error(403, "rateLimitExceeded", "Exceeded rate limits"));
    let error = server.poll(json!({})).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::RateLimited);
    assert_eq!(server.asked(QUERY).len(), 3);
}

#[tokio::test]
async fn failure_in_a_later_breakdown_fails_the_whole_poll() {
    let server = Server::start(World::default()).await;
    server.order(QUERY, 5, 9, error(403, "accessDenied", "Access Denied"));
    let error = server.poll(json!({})).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Forbidden);
    assert_eq!(server.asked(QUERY).len(), 6);
}

#[tokio::test]
async fn answer_that_lies_about_its_rows_is_malformed() {
    let good = complete(
        &["day", "account", "exported"],
        &json!([["2025-11-04", ACCOUNT, "1762372800123456"]]),
    );
    for (total, spoil) in [("2", "more"), ("0", "fewer"), ("", "none")] {
        let mut lie = good.clone();
        if total.is_empty() {
            lie.as_object_mut().unwrap().remove("totalRows");
        } else {
            lie["totalRows"] = json!(total);
        }
        let server = Server::start(World::default()).await;
        server.order(QUERY, 0, 1, Reply::Json(200, lie));
        let error = server.poll(json!({})).await.unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Malformed, "{spoil}: {error}");
    }
    let mut unbounded = good;
    unbounded["totalRows"] = json!("5000000");
    let server = Server::start(World::default()).await;
    server.order(QUERY, 0, 1, Reply::Json(200, unbounded));
    assert_eq!(server.poll(json!({})).await.unwrap_err().kind, SourceErrorKind::Config);
}

#[tokio::test]
async fn slow_answer_is_a_timeout_at_the_deadline() {
    for what in [TABLE, DRY, QUERY] {
        let server = Server::start(World::default()).await;
        server.order(what, 0, 9, Reply::Slow(Duration::from_secs(3600)));
        let error = server.poll(json!({"deadline": "300ms"})).await.unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Timeout, "{what}: {error}");
    }
}

#[tokio::test]
async fn query_that_the_cap_does_not_allow_does_not_leave() {
    let server = Server::start(World::default()).await;
    let purse = Purse { cap: decimal("0.0001"), ..Purse::default() };
    let error = server.poll_with(json!({}), &purse, None).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::RateLimited);
    // From the 6th of November at noon to the 1st of December.
    assert_eq!(error.retry_after, Some(Duration::from_secs(24 * 86_400 + 12 * 3600)));
    assert_eq!(server.asked(QUERY).len(), 1);
    assert_eq!(purse.paid().len(), 1);
}

#[tokio::test]
async fn query_that_is_too_large_is_found_out_for_free() {
    let world = World { dry_bytes: Some("20000000000"), ..World::default() };
    let server = Server::start(world).await;
    let purse = Purse::default();
    let error = server.poll_with(json!({}), &purse, None).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Config);
    assert!(error.to_string().contains("raise `maximum_bytes_billed`"), "{error}");
    assert!(server.asked(QUERY).is_empty());
    assert!(purse.paid().is_empty());
}

#[tokio::test]
async fn export_of_another_account_is_refused_before_its_costs_are_read() {
    let changed = json!([["2025-11-04", "FFFFFF-FFFFFF-FFFFFF", "1762372800123456"]]);
    let server = Server::start(World { changed, ..World::default() }).await;
    let error = server.poll(json!({})).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Auth);
    assert!(error.message.contains("identity"), "{error}");
    assert_eq!(server.asked(QUERY).len(), 1);
}

#[tokio::test]
async fn export_that_is_still_filling_is_a_state_and_not_an_empty_bill() {
    let empty = World { changed: json!([]), ..World::default() };
    let error = Server::start(empty).await.poll(json!({})).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::NotReady);
    assert!(error.to_string().contains("bq query"), "{error}");

    // Made on the 4th of November, filled up to the 10th of October.
    let young = World {
        table: json!({"creationTime": "1762214400000", "timePartitioning": {"type": "DAY"}}),
        changed: json!([["2025-10-10", ACCOUNT, "1762372800123456"]]),
        ..World::default()
    };
    let error = Server::start(young).await.poll(json!({})).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::NotReady);
    assert!(error.message.contains("is still filling: its newest day is 2025-10-10"), "{error}");

    let old =
        World { changed: json!([["2025-10-10", ACCOUNT, "1762372800123456"]]), ..World::default() };
    let server = Server::start(old).await;
    let error = server.poll(json!({})).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::NotReady);
    assert!(error.message.contains("or has stopped"), "{error}");
    // Days long past are read as they are.
    let past =
        PollRequest { window: Window::new(day("2025-10-01"), day("2025-11-01")), ..request(None) };
    let polled = source(&entry(&server.url, json!({}))).poll(&past, &Purse::default()).await;
    assert!(polled.unwrap_err().message.contains("without being asked for"));
}

#[tokio::test]
async fn export_that_has_stopped_is_told() {
    let server = Server::start(World { changed: json!([]), ..World::default() }).await;
    let cursor = |exported: &str| Some(format!("{exported} 2025-10-01..2025-11-06"));
    let purse = Purse::default();
    let fresh = server.poll_with(json!({}), &purse, cursor("2025-11-05T00:00:00.000001Z")).await;
    let report = fresh.unwrap();
    assert!(report.days.is_empty());
    assert!(report.breakdowns.iter().all(|reading| reading.rows.is_empty()));
    assert_eq!(report.cursor, cursor("2025-11-05T00:00:00.000001Z"));
    assert_eq!(server.asked(QUERY).len(), 1);
    let stale = server.poll_with(json!({}), &purse, cursor("2025-10-30T00:00:00Z")).await;
    let error = stale.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::NotReady);
    assert!(error.message.contains("nothing since 2025-10-30"), "{error}");
}

#[tokio::test]
async fn table_that_is_no_export_is_told_by_its_columns() {
    let table = json!({"schema": {"fields": [{"name": "cost", "type": "FLOAT"}]}});
    let server = Server::start(World { table, ..World::default() }).await;
    let error = server.poll(json!({})).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Config);
    assert!(error.message.contains("`export_time`"), "{error}");
    assert!(server.asked(DRY).is_empty());
}

#[tokio::test]
async fn billing_account_has_its_name_and_the_poll_goes_on_without_it() {
    let server = Server::start(World::default()).await;
    let endpoints = json!({"endpoints": {"bigquery": server.url, "billing": server.url}});
    let report = server.poll(endpoints.clone()).await.unwrap();
    let name = report.names.iter().find(|name| name.key == ACCOUNT).unwrap();
    assert_eq!(name.name, "Example Ltd");
    server.order("GET /v1/billingAccounts/", 0, 1, error(403, "forbidden", "no"));
    assert!(server.poll(endpoints).await.unwrap().names.is_empty());
    assert_eq!(server.asked("GET /v1/billingAccounts/").len(), 2);
}

#[tokio::test]
async fn plan_is_never_below_what_is_reserved() {
    let server = Server::start(World { dry_bytes: Some("9999999999"), ..World::default() }).await;
    let endpoints = json!({"endpoints": {"bigquery": server.url, "billing": server.url}});
    let purse = Purse::default();
    let source = source(&entry(&server.url, endpoints));
    source.poll(&request(None), &purse).await.unwrap();
    let mut planned: BTreeMap<&str, (u32, Decimal)> = BTreeMap::new();
    for one in source.plan(&request(None).window) {
        let sum = planned.entry(one.operation).or_default();
        sum.0 += one.at_most;
        sum.1 += one.price.map_or(Decimal::ZERO, |price| price.amount) * Decimal::from(one.at_most);
    }
    let mut reserved: BTreeMap<&str, (u32, Decimal)> = BTreeMap::new();
    for (operation, price) in purse.reserved.lock().unwrap().iter() {
        let sum = reserved.entry(operation).or_default();
        sum.0 += 1;
        sum.1 += price.amount;
    }
    for (operation, (count, price)) in reserved {
        let (at_most, most) = planned[operation];
        assert!(count <= at_most && price <= most, "{operation}: {count} {price}");
    }
}

#[tokio::test]
async fn credentials_that_cannot_be_used_leak_nothing() {
    let server = Server::start(World::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    let key = json!({
        "type": "service_account", "project_id": "p", "private_key_id": "id-of-the-key",
        "private_key": "-----BEGIN PRIVATE KEY-----\nTOPSECRETMATERIAL\n-----END PRIVATE KEY-----\n",
        "client_email": "a@b.example", "client_id": "1", "token_uri": "https://oauth2.googleapis.com/token",
    });
    for text in [
        key.to_string(),
        key.to_string().replace("service_account", "TOPSECRETMATERIAL"),
        key.to_string()
            .replace("\"private_key\":\"", "\"private_key\":[\"TOPSECRETMATERIAL\"],\"x\":\""),
        "TOPSECRETMATERIAL".to_owned(),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = server.poll(json!({"credentials": {"file": path}})).await.unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Auth, "{error}");
        assert!(error.to_string().contains("key.json"), "{error}");
        assert!(!format!("{error} {error:?}").contains("TOPSECRET"), "{error:?}");
    }
    let missing = json!({"credentials": {"file": folder.path().join("none.json")}});
    assert_eq!(server.poll(missing).await.unwrap_err().kind, SourceErrorKind::Auth);
    assert!(server.world.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn nobody_at_the_address_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let polled = source(&entry(&url, json!({}))).poll(&request(None), &Purse::default()).await;
    assert_eq!(polled.unwrap_err().kind, SourceErrorKind::Unavailable);
}
