//! Errors, order and money: a server that answers each request as the test says.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, Uri};
use costband::collect::PollRequest;
use costband::domain::breakdown::{BreakdownRole, Dimension};
use costband::domain::period::Window;
use costband::domain::report::SourceErrorKind as Kind;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{CountingMeter, SECRET_KEY, SESSION_TOKEN, build, effective, entry, october, rows};

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) operation: String,
    pub(super) host: String,
    pub(super) authorization: String,
    pub(super) attempt: String,
    pub(super) body: Value,
}

impl Seen {
    /// The dimensions that it groups by, joined by `x`.
    fn grouped_by(&self) -> String {
        let groups = self.body["GroupBy"].as_array().cloned().unwrap_or_default();
        groups.iter().map(|group| group["Key"].as_str().unwrap()).collect::<Vec<_>>().join("x")
    }
}

/// What is sent back.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Whole(u16, String),
    WithHeader(u16, &'static str, &'static str, String),
    Never,
}

type Log = Arc<Mutex<Vec<Seen>>>;
type Script = dyn Fn(&Seen, usize) -> Answer + Send + Sync;

pub(super) struct Fake {
    pub(super) endpoint: String,
    seen: Log,
}

impl Fake {
    /// Serves a script, which is given each request of Cost Explorer with the number of those
    /// before it. STS answers for the test's account.
    pub(super) async fn start(
        script: impl Fn(&Seen, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen = Log::default();
        let script: Arc<Script> = Arc::new(script);
        let router = Router::new().fallback(answer).with_state((Arc::clone(&seen), script));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { endpoint, seen }
    }

    pub(super) fn seen(&self, operation: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|request| request.operation == operation).cloned().collect()
    }
}

async fn answer(
    State((seen, script)): State<(Log, Arc<Script>)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let text = |name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let operation = match text("x-amz-target").rsplit_once('.') {
        Some((_, operation)) => operation.to_owned(),
        None => String::from_utf8_lossy(&body)
            .split('&')
            .find_map(|pair| pair.strip_prefix("Action=").map(str::to_owned))
            .unwrap_or_default(),
    };
    let request = Seen {
        host: uri.host().map_or_else(|| text("host"), str::to_owned),
        authorization: text("authorization"),
        attempt: text("amz-sdk-request"),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        operation,
    };
    let paid = request.operation == "GetCostAndUsage";
    let before = {
        let mut seen = seen.lock().unwrap();
        let before = seen.iter().filter(|other: &&Seen| other.operation == request.operation);
        let before = before.count();
        seen.push(request.clone());
        before
    };
    let answer = if paid { script(&request, before) } else { Answer::Whole(200, identity()) };
    match answer {
        Answer::Whole(status, body) => {
            Response::builder().status(status).body(Body::from(body)).unwrap()
        }
        Answer::WithHeader(status, name, value, body) => {
            Response::builder().status(status).header(name, value).body(Body::from(body)).unwrap()
        }
        Answer::Never => std::future::pending().await,
    }
}

fn identity() -> String {
    "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
     <GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/costband</Arn>\
     <UserId>AIDA</UserId><Account>123456789012</Account></GetCallerIdentityResult>\
     <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
        .to_owned()
}

fn metrics(amount: &str) -> Value {
    json!({
        "UnblendedCost": {"Amount": amount, "Unit": "USD"},
        "AmortizedCost": {"Amount": amount, "Unit": "USD"},
        "UsageQuantity": {"Amount": "24", "Unit": "Hrs"},
    })
}

/// A page of one day with the given groups, or with a total where there are none.
pub(super) fn page(groups: &[(&[&str], &str)], next: Option<&str>) -> Answer {
    let told: Vec<Value> = groups
        .iter()
        .map(|(keys, amount)| json!({"Keys": keys, "Metrics": metrics(amount)}))
        .collect();
    let total = if told.is_empty() { metrics("7") } else { json!({}) };
    let mut body = json!({
        "ResultsByTime": [{
            "TimePeriod": {"Start": "2026-10-01", "End": "2026-10-02"},
            "Total": total,
            "Groups": told,
            "Estimated": true,
        }],
        "DimensionValueAttributes": [],
    });
    if let Some(next) = next {
        body["NextPageToken"] = json!(next);
    }
    Answer::Whole(200, body.to_string())
}

/// A good answer to each of the standard questions.
pub(super) fn good(request: &Seen) -> Answer {
    match request.grouped_by().as_str() {
        "SERVICExLINKED_ACCOUNT" => page(&[(&["EC2", "1"], "4"), (&["S3", "1"], "3")], None),
        "RECORD_TYPE" => page(&[(&["Usage"], "7"), (&["Tax"], "1")], None),
        "REGION" => page(&[(&["us-east-1"], "7")], None),
        "INSTANCE_TYPExREGION" => page(&[(&["p5.48xlarge", "us-east-1"], "4")], None),
        _ => page(&[], None),
    }
}

fn error(code: &str, message: &str) -> String {
    json!({"__type": format!("com.amazonaws.ce#{code}"), "Message": message}).to_string()
}

#[tokio::test]
async fn one_poll_asks_each_question_once_and_pays_for_each() {
    let fake = Fake::start(|request, _| good(request)).await;
    let source = build(&entry(&fake.endpoint));
    let meter = CountingMeter::new();
    let report = source.poll(&october(), &meter).await.unwrap();

    let asked: Vec<String> = fake.seen("GetCostAndUsage").iter().map(Seen::grouped_by).collect();
    assert_eq!(
        asked,
        ["SERVICExLINKED_ACCOUNT", "", "RECORD_TYPE", "REGION", "INSTANCE_TYPExREGION"]
    );
    assert_eq!(meter.spent(), "0.05".parse().unwrap());
    assert_eq!(meter.count("GetCallerIdentity"), 1);
    assert_eq!(
        report.breakdowns.iter().map(|reading| &reading.breakdown).collect::<Vec<_>>(),
        source.descriptor().breakdowns.iter().collect::<Vec<_>>()
    );
    let primary = rows(&report, "service_sub_account");
    assert_eq!(effective(primary), "7".parse().unwrap());
    assert_eq!(report.control_totals.len(), 1);
    assert_eq!(report.control_totals[0].amounts.effective, Some("7".parse().unwrap()));
    let spend = rows(&report, "record_type").iter().filter(|row| row.category.in_spend());
    assert_eq!(effective(spend), "7".parse().unwrap());
    assert!(primary.iter().all(|row| row.estimated));
    assert_eq!(report.data_through, Some("2026-10-02T00:00:00Z".parse().unwrap()));
}

#[tokio::test]
async fn request_is_what_cost_explorer_documents() {
    let fake = Fake::start(|request, _| good(request)).await;
    let mut entry = entry(&fake.endpoint);
    entry["region"] = json!("eu-west-1");
    build(&entry).poll(&october(), &CountingMeter::new()).await.unwrap();

    let seen = fake.seen("GetCostAndUsage");
    assert_eq!(
        seen[0].body,
        json!({
            "TimePeriod": {"Start": "2026-10-01", "End": "2026-10-21"},
            "Granularity": "DAILY",
            "Filter": {"Not": {"Dimensions": {
                "Key": "RECORD_TYPE", "Values": ["Credit", "Refund", "Tax"],
            }}},
            "Metrics": ["UnblendedCost", "AmortizedCost", "UsageQuantity"],
            "GroupBy": [
                {"Type": "DIMENSION", "Key": "SERVICE"},
                {"Type": "DIMENSION", "Key": "LINKED_ACCOUNT"},
            ],
        })
    );
    assert!(seen[2].body.get("Filter").is_none(), "{}", seen[2].body);
    assert_eq!(
        seen[4].body["Filter"]["And"][1],
        json!({"Dimensions": {
            "Key": "SERVICE", "Values": ["Amazon Elastic Compute Cloud - Compute"],
        }})
    );
    for request in &seen {
        assert!(request.authorization.contains("/us-east-1/ce/aws4_request"), "{request:?}");
        assert!(request.attempt.contains("max=1"), "the SDK repeats by itself: {request:?}");
    }
    let identity = fake.seen("GetCallerIdentity");
    assert!(identity[0].authorization.contains("/eu-west-1/sts/aws4_request"), "{identity:?}");
}

#[tokio::test]
async fn window_ends_with_today_and_a_future_one_asks_nothing() {
    let fake = Fake::start(|request, _| good(request)).await;
    let source = build(&entry(&fake.endpoint));
    let report = source.poll(&october(), &CountingMeter::new()).await.unwrap();
    assert_eq!(report.window.end, "2026-10-21".parse().unwrap());
    assert_eq!(report.days.len(), 20);

    let before = fake.seen("GetCostAndUsage").len();
    let future = PollRequest {
        window: Window::new("2026-10-21".parse().unwrap(), "2026-11-01".parse().unwrap()),
        ..october()
    };
    let report = source.poll(&future, &CountingMeter::new()).await.unwrap();
    assert!(report.days.is_empty() && report.breakdowns.is_empty());
    assert_eq!(fake.seen("GetCostAndUsage").len(), before);
}

#[tokio::test]
async fn foreign_identity_is_refused_before_any_paid_request() {
    let fake = Fake::start(|request, _| good(request)).await;
    let mut entry = entry(&fake.endpoint);
    entry["account"] = json!("999999999999");
    let meter = CountingMeter::new();
    let error = build(&entry).poll(&october(), &meter).await.unwrap_err();
    assert_eq!(error.kind, Kind::Auth);
    assert!(error.message.contains("is account `123456789012`"), "{error}");
    assert!(error.message.contains("configured is `999999999999`"), "{error}");
    assert!(fake.seen("GetCostAndUsage").is_empty());
    assert!(meter.spent().is_zero());
}

#[tokio::test]
async fn identity_is_checked_once_an_hour_and_after_a_refusal() {
    let fake = Fake::start(|request, before| {
        if before == 10 {
            return Answer::Whole(400, error("ExpiredTokenException", "expired"));
        }
        good(request)
    })
    .await;
    let source = build(&entry(&fake.endpoint));
    let meter = CountingMeter::new();
    let at = |now: &str| PollRequest { now: now.parse().unwrap(), ..october() };
    source.poll(&at("2026-10-20T09:00:00Z"), &meter).await.unwrap();
    source.poll(&at("2026-10-20T09:59:00Z"), &meter).await.unwrap();
    assert_eq!(meter.count("GetCallerIdentity"), 1);
    let refused = source.poll(&at("2026-10-20T09:59:10Z"), &meter).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Auth);
    source.poll(&at("2026-10-20T09:59:20Z"), &meter).await.unwrap();
    assert_eq!(meter.count("GetCallerIdentity"), 2);
    source.poll(&at("2026-10-20T10:59:20Z"), &meter).await.unwrap();
    assert_eq!(meter.count("GetCallerIdentity"), 3);
}

#[tokio::test]
async fn cap_stops_the_request_that_would_pass_it() {
    let fake = Fake::start(|request, _| good(request)).await;
    let source = build(&entry(&fake.endpoint));
    let error = source.poll(&october(), &CountingMeter::allowing(2)).await.unwrap_err();
    assert_eq!(error.kind, Kind::RateLimited);
    assert!(error.message.contains("monthly cap of 30 USD"), "{error}");
    let until_november = std::time::Duration::from_secs((11 * 24 + 14) * 3600 + 30 * 60);
    assert_eq!(error.retry_after, Some(until_november));
    assert_eq!(fake.seen("GetCostAndUsage").len(), 2);
}

#[tokio::test]
async fn throttled_request_is_repeated_twice_and_paid_each_time() {
    let fake = Fake::start(|request, before| {
        if before < 2 {
            return Answer::Whole(400, error("ThrottlingException", "Rate exceeded"));
        }
        good(request)
    })
    .await;
    let meter = CountingMeter::new();
    build(&entry(&fake.endpoint)).poll(&october(), &meter).await.unwrap();
    assert_eq!(meter.count("GetCostAndUsage"), 7);
    assert_eq!(fake.seen("GetCostAndUsage").len(), 7);
}

#[tokio::test]
async fn standing_throttle_is_left_to_the_poller() {
    let fake = Fake::start(|_, _| {
        Answer::Whole(400, error("LimitExceededException", "You made too many calls."))
    })
    .await;
    let meter = CountingMeter::new();
    let error = build(&entry(&fake.endpoint)).poll(&october(), &meter).await.unwrap_err();
    assert_eq!(error.kind, Kind::RateLimited);
    assert!(error.kind.is_temporary());
    assert_eq!(meter.count("GetCostAndUsage"), 3);
}

#[tokio::test]
async fn wait_that_the_provider_asks_for_is_not_shortened() {
    let body = error("ThrottlingException", "Rate exceeded");
    let fake =
        Fake::start(move |_, _| Answer::WithHeader(429, "retry-after", "90", body.clone())).await;
    let meter = CountingMeter::new();
    let error = build(&entry(&fake.endpoint)).poll(&october(), &meter).await.unwrap_err();
    assert_eq!(error.retry_after, Some(std::time::Duration::from_secs(90)));
    assert_eq!(meter.count("GetCostAndUsage"), 1);
}

#[tokio::test]
async fn page_token_that_comes_twice_ends_the_poll() {
    let fake = Fake::start(|_, before| {
        let service = format!("service {before}");
        page(&[(&[&service, "1"], "1")], Some(if before % 2 == 0 { "a" } else { "b" }))
    })
    .await;
    let meter = CountingMeter::new();
    let error = build(&entry(&fake.endpoint)).poll(&october(), &meter).await.unwrap_err();
    assert_eq!(error.kind, Kind::Malformed);
    assert!(error.message.contains("page token `a`"), "{error}");
    assert_eq!(meter.count("GetCostAndUsage"), 3);
}

#[tokio::test]
async fn lost_second_page_loses_the_window() {
    let fake = Fake::start(|request, before| match before {
        0 => page(&[(&["EC2", "1"], "4")], Some("2")),
        1 => Answer::Whole(400, error("AccessDeniedException", "no")),
        _ => good(request),
    })
    .await;
    let source = build(&entry(&fake.endpoint));
    let error = source.poll(&october(), &CountingMeter::new()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Forbidden);
    let seen = fake.seen("GetCostAndUsage");
    assert_eq!(seen[1].body["NextPageToken"], json!("2"));
    assert_eq!(seen[1].body["GroupBy"], seen[0].body["GroupBy"]);
    assert_eq!(seen[1].body["Filter"], seen[0].body["Filter"]);
}

#[tokio::test]
async fn every_failure_has_its_kind_and_names_what_was_tried() {
    let denied = "User: arn:aws:iam::123456789012:user/x is not authorized to perform: \
                  ce:GetCostAndUsage";
    let half = r#"{"ResultsByTime":[{"TimePeriod":{"Start":"2026-10-01""#.to_owned();
    for (answer, kind) in [
        (Answer::Whole(400, error("AccessDeniedException", denied)), Kind::Forbidden),
        (Answer::Whole(400, error("UnrecognizedClientException", "invalid")), Kind::Auth),
        (Answer::Whole(400, error("DataUnavailableException", "unavailable")), Kind::NotReady),
        (Answer::Whole(400, error("ValidationException", "Start date")), Kind::Config),
        (Answer::Whole(500, error("InternalServerException", "")), Kind::Unavailable),
        (Answer::Whole(502, "<html>Bad Gateway</html>".to_owned()), Kind::Unavailable),
        (Answer::Whole(401, String::new()), Kind::Auth),
        (Answer::Whole(403, "<html>".to_owned()), Kind::Forbidden),
        (Answer::Whole(200, "<html>login</html>".to_owned()), Kind::Malformed),
        (Answer::Whole(200, half), Kind::Malformed),
        (
            Answer::WithHeader(400, "x-amzn-errortype", "LimitExceededException:", "{}".into()),
            Kind::RateLimited,
        ),
    ] {
        let ordered = answer.clone();
        let fake = Fake::start(move |_, _| ordered.clone()).await;
        let source = build(&entry(&fake.endpoint));
        let error = source.poll(&october(), &CountingMeter::new()).await.unwrap_err();
        assert_eq!(error.kind, kind, "{answer:?} became {error}");
        assert!(error.message.contains("GetCostAndUsage"), "{error}");
    }
}

/// Takes one request on each connection, sends these bytes and closes it.
async fn start_raw(answer: &'static [u8]) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            // The body of a request of Cost Explorer is JSON and nothing follows it.
            while !request.ends_with(b"}") {
                if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let _ = stream.write_all(answer).await;
        }
    });
    endpoint
}

#[tokio::test]
async fn body_that_stops_half_way_is_malformed_and_no_body_at_all_unavailable() {
    let sts = Fake::start(|request, _| good(request)).await;
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"ResultsByTime\":[{";
    for (answer, kind) in [(half.as_slice(), Kind::Malformed), (b"", Kind::Unavailable)] {
        let mut entry = entry(&sts.endpoint);
        entry["endpoints"]["cost_explorer"] = json!(start_raw(answer).await);
        let error = build(&entry).poll(&october(), &CountingMeter::new()).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
    }
}

#[tokio::test]
async fn silence_ends_with_the_deadline() {
    let fake = Fake::start(|_, _| Answer::Never).await;
    let mut entry = entry(&fake.endpoint);
    entry["deadline"] = json!("300ms");
    let error = build(&entry).poll(&october(), &CountingMeter::new()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Timeout);
}

#[tokio::test]
async fn closed_port_is_unavailable() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = build(&entry(&endpoint)).poll(&october(), &CountingMeter::new()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable, "{error}");
}

#[tokio::test]
async fn no_error_repeats_a_secret() {
    let echo = format!("token {SESSION_TOKEN} key {SECRET_KEY}");
    let canonical = format!("does not match.\n\nx-amz-security-token:{SESSION_TOKEN}");
    for body in [
        error("SignatureDoesNotMatch", &canonical),
        error("UnrecognizedClientException", &echo),
        error(&echo, "a code that is none"),
        json!({"ResultsByTime": [{"TimePeriod": {"Start": &echo, "End": "2026-10-02"}}]})
            .to_string(),
        echo.clone(),
    ] {
        for status in [200, 400] {
            let body = body.clone();
            let fake = Fake::start(move |_, _| Answer::Whole(status, body.clone())).await;
            let source = build(&entry(&fake.endpoint));
            let poll = source.poll(&october(), &CountingMeter::new()).await;
            let Err(error) = poll else { continue };
            let told = format!("{error} {error:?}");
            assert!(!told.contains(SESSION_TOKEN) && !told.contains(SECRET_KEY), "{told}");
        }
    }
}

#[tokio::test]
async fn missing_secret_file_is_named_and_nothing_is_sent() {
    let fake = Fake::start(|request, _| good(request)).await;
    let mut entry = entry(&fake.endpoint);
    entry["credentials"]["static"]["secret_access_key"] = json!({"file": "/nonexistent/key"});
    let error = build(&entry).poll(&october(), &CountingMeter::new()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Auth);
    assert!(error.message.contains("`/nonexistent/key`"), "{error}");
    assert!(fake.seen("GetCallerIdentity").is_empty());
}

#[tokio::test]
async fn scope_of_a_band_is_asked_as_its_own_total() {
    let fake = Fake::start(|request, _| good(request)).await;
    let mut source = build(&entry(&fake.endpoint));
    let filters = [
        (Dimension::RegionId, vec!["us-east-1".to_owned()]),
        (Dimension::SubAccountId, vec!["111111111111".to_owned(), "222222222222".to_owned()]),
    ];
    source.add_filtered("band:training", &filters).unwrap();
    assert!(source.add_filtered("band:training", &filters).is_err());
    let sku = [(Dimension::Sku, vec!["x".to_owned()])];
    assert!(source.add_filtered("band:sku", &sku).unwrap_err().contains("`sku`"));

    let report = source.poll(&october(), &CountingMeter::new()).await.unwrap();
    let reading = report.breakdowns.last().unwrap();
    assert_eq!(reading.breakdown.role, BreakdownRole::Filtered);
    assert_eq!(reading.breakdown.query, "band:training");
    assert_eq!(effective(&reading.rows), "7".parse().unwrap());
    assert!(reading.rows[0].keys.is_empty());

    let seen = fake.seen("GetCostAndUsage");
    let body = &seen.last().unwrap().body;
    assert!(body.get("GroupBy").is_none());
    assert_eq!(
        body["Filter"],
        json!({"And": [
            {"Not": {"Dimensions": {"Key": "RECORD_TYPE", "Values": ["Credit", "Refund", "Tax"]}}},
            {"Dimensions": {"Key": "REGION", "Values": ["us-east-1"]}},
            {"Dimensions": {"Key": "LINKED_ACCOUNT", "Values": ["111111111111", "222222222222"]}},
        ]})
    );
    let plan = source.plan(&october().window);
    assert!(plan.iter().any(|request| request.purpose.starts_with("band:training")));
}
