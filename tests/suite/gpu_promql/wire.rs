//! The wire as it is documented and as it goes wrong, from a server that answers as ordered.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use costband::app::gpu::Reading;
use costband::app::gpu_now::GpuNow;
use costband::app::setup::Setup;
use costband::collect::gpu::promql::{self, Pace, PromqlTarget};
use costband::config::secret::SecretRef;
use costband::domain::ports::Clock;
use costband::domain::report::{SourceError, SourceErrorKind};
use costband::telemetry::self_metrics::SelfMetrics;
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::{at, client, read, target};

const EMPTY: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
const STEP: Duration = Duration::from_secs(30);
/// What must never come out.
const TOKEN: &str = "tok-3c9f71aa";

type Answer = Box<dyn FnOnce(&Asked) -> Response + Send>;

/// One request as it arrived.
#[derive(Debug, Clone)]
struct Asked {
    path: String,
    headers: HeaderMap,
    form: HashMap<String, String>,
}

impl Asked {
    fn milliseconds(&self, name: &str) -> i64 {
        let text = self.form[name].replace('.', "");
        text.parse().unwrap()
    }

    fn points(&self) -> i64 {
        (self.milliseconds("end") - self.milliseconds("start")) / self.milliseconds("step") + 1
    }
}

#[derive(Default)]
struct Orders {
    asked: Mutex<Vec<Asked>>,
    answers: Mutex<VecDeque<Answer>>,
}

struct Server {
    url: String,
    orders: Arc<Orders>,
    _task: JoinSet<()>,
}

impl Server {
    async fn start() -> Self {
        let orders = Arc::<Orders>::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&orders));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, orders, _task: task }
    }

    /// Orders the next answer; without one it is empty and well.
    fn next(&self, answer: impl FnOnce(&Asked) -> Response + Send + 'static) {
        self.orders.answers.lock().unwrap().push_back(Box::new(answer));
    }

    fn asked(&self) -> Vec<Asked> {
        self.orders.asked.lock().unwrap().clone()
    }

    fn target(&self) -> PromqlTarget {
        target(&self.url, STEP)
    }
}

async fn answer(State(orders): State<Arc<Orders>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let query = format!("http://form/?{}", std::str::from_utf8(&body).unwrap());
    let asked = Asked {
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        form: query.parse::<reqwest::Url>().unwrap().query_pairs().into_owned().collect(),
    };
    orders.asked.lock().unwrap().push(asked.clone());
    let ordered = orders.answers.lock().unwrap().pop_front();
    match ordered {
        Some(answer) => answer(&asked),
        None => EMPTY.into_response(),
    }
}

/// An answer with a point of one GPU at every step that was asked for.
fn busy(asked: &Asked) -> String {
    let points: Vec<String> = (0..asked.points())
        .map(|number| {
            let at = asked.milliseconds("start") + number * asked.milliseconds("step");
            format!("[{}.{:03},\"0.5\"]", at / 1000, at % 1000)
        })
        .collect();
    format!(
        r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{"__name__":"DCGM_FI_PROF_GR_ENGINE_ACTIVE","UUID":"GPU-a"}},"values":[{}]}}]}},"warnings":["store 7 is down"]}}"#,
        points.join(",")
    )
}

/// One step's reading.
async fn one(target: &PromqlTarget) -> Result<usize, SourceError> {
    let (from, to) = (at("2026-11-16T10:00:00Z"), at("2026-11-16T10:00:30Z"));
    read(&client(), target, from, to).await.map(|reading| reading.reports.len())
}

async fn refused(answer: impl FnOnce(&Asked) -> Response + Send + 'static) -> SourceError {
    let server = Server::start().await;
    server.next(answer);
    one(&server.target()).await.unwrap_err()
}

fn envelope(kind: &str, error: &str) -> String {
    format!(r#"{{"status":"error","errorType":"{kind}","error":"{error}"}}"#)
}

#[tokio::test]
async fn steps_stand_on_whole_multiples_and_neither_overlap_nor_leave_a_gap() {
    let server = Server::start().await;
    let mut target = server.target();
    target.url = format!("{}/prometheus/", server.url).parse().unwrap();
    let mut told = Vec::new();
    for (from, to) in [("10:00:07", "10:01:40"), ("10:01:40", "10:02:00"), ("10:02:00", "10:02:29")]
    {
        for _ in 0..2 {
            server.next(|asked| busy(asked).into_response());
        }
        let of = |time: &str| at(&format!("2026-11-16T{time}Z"));
        let reading = read(&client(), &target, of(from), of(to)).await.unwrap();
        told.extend(reading.reports.iter().map(|report| report.observed_at.to_string()));
        server.orders.answers.lock().unwrap().clear();
    }
    assert_eq!(
        told,
        ["10:00:30", "10:01:00", "10:01:30", "10:02:00"].map(|at| format!("2026-11-16T{at}Z"))
    );
    let asked = server.asked();
    assert_eq!(asked.len(), 3, "one step, two, one; nothing for a stretch without a step");
    assert_eq!(asked[0].path, "/prometheus/api/v1/query_range");
    assert_eq!(asked[0].headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(asked[0].form["step"], "30.000");
}

#[tokio::test]
async fn a_long_stretch_is_asked_in_pieces_that_prometheus_answers() {
    let server = Server::start().await;
    for _ in 0..10 {
        server.next(|asked| busy(asked).into_response());
    }
    let (from, to) = (at("2026-11-01T00:00:00Z"), at("2026-11-10T00:00:00Z"));
    let reading = read(&client(), &server.target(), from, to).await.unwrap();
    assert_eq!(reading.reports.len(), 9 * 24 * 120);
    assert!(reading.reports.is_sorted_by_key(|report| report.observed_at));
    assert_eq!(reading.warnings, ["store 7 is down"], "each text once");
    let asked = server.asked();
    let points: Vec<i64> = asked.iter().map(Asked::points).collect();
    assert_eq!(points, [1, 11_000, 11_000, 3_919]);
}

#[tokio::test]
async fn an_answer_that_a_server_calls_too_large_is_asked_for_in_halves() {
    let server = Server::start().await;
    let too_many =
        envelope("execution", "query processing would load too many samples into memory");
    server.next(|asked| busy(asked).into_response());
    for _ in 0..2 {
        let body = too_many.clone();
        server.next(|_| (StatusCode::UNPROCESSABLE_ENTITY, body).into_response());
    }
    for _ in 0..4 {
        server.next(|asked| busy(asked).into_response());
    }
    let (from, to) = (at("2026-11-16T10:00:00Z"), at("2026-11-16T10:04:30Z"));
    let reading = read(&client(), &server.target(), from, to).await.unwrap();
    assert_eq!(reading.reports.len(), 9);
    let points: Vec<i64> = server.asked().iter().map(Asked::points).collect();
    assert_eq!(points, [1, 8, 4, 2, 2, 2, 2], "what was refused once is not asked for again");

    server.next(move |_| (StatusCode::UNPROCESSABLE_ENTITY, too_many).into_response());
    let error = one(&server.target()).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Config, "one step cannot be halved: {error}");
    assert!(error.hint.unwrap().contains("selector"));
}

#[tokio::test]
async fn a_server_that_is_late_with_a_long_stretch_is_asked_for_less_and_read_to_the_end() {
    let server = Server::start().await;
    let slow = |asked: &Asked| match asked.points() {
        1..=3 => busy(asked).into_response(),
        _ => StatusCode::GATEWAY_TIMEOUT.into_response(),
    };
    let (mut from, to) = (at("2026-11-16T10:00:00Z"), at("2026-11-16T11:00:00Z"));
    let mut pace = Pace::default();
    let (mut told, mut late) = (Vec::new(), 0);
    for _ in 0..100 {
        for _ in 0..10 {
            server.next(slow);
        }
        match promql::read(&client(), &server.target(), &mut pace, from, to).await {
            Ok(reading) => {
                from = reading.until;
                told.extend(reading.reports.iter().map(|report| report.observed_at));
                late = 0;
            }
            Err(error) => {
                assert_eq!(error.kind, SourceErrorKind::Timeout, "{error}");
                late += 1;
                assert!(late < 8, "it is wedged");
            }
        }
        server.orders.answers.lock().unwrap().clear();
        if from == to {
            break;
        }
    }
    let wanted: Vec<_> = (1..=120)
        .map(|step| at("2026-11-16T10:00:00Z") + SignedDuration::from_secs(30 * step))
        .collect();
    assert_eq!(told, wanted, "each step once");
    // A server that is well again is asked for more.
    for _ in 0..20 {
        server.next(|asked| busy(asked).into_response());
    }
    let later = at("2026-11-16T12:00:00Z");
    promql::read(&client(), &server.target(), &mut pace, to, later).await.unwrap();
    assert!(server.asked().last().unwrap().points() > 32);
}

/// An answer of so many GPUs at every step that was asked for.
fn large(asked: &Asked, gpus: usize) -> String {
    let of = busy(asked);
    let (head, series) = of.split_once("\"result\":[").unwrap();
    let (series, tail) = series.split_once("]}]},").unwrap();
    let series = format!("{series}]}}");
    let all: Vec<String> =
        (0..gpus).map(|gpu| series.replace("GPU-a", &format!("GPU-{gpu}"))).collect();
    format!("{head}\"result\":[{}]}},{tail}", all.join(","))
}

#[tokio::test]
async fn a_past_of_a_large_fleet_is_handed_out_in_bounded_stretches() {
    const GPUS: usize = 12_000;
    let server = Server::start().await;
    for _ in 0..8 {
        server.next(|asked| large(asked, GPUS).into_response());
    }
    let (mut from, to) = (at("2026-11-16T10:00:00Z"), at("2026-11-16T10:04:00Z"));
    let mut pace = Pace::default();
    let mut told = Vec::new();
    while from < to {
        let target = server.target();
        let reading = promql::read(&client(), &target, &mut pace, from, to).await.unwrap();
        let readings: usize = reading.reports.iter().map(|report| report.gpus.len()).sum();
        assert!(readings <= 50_000, "{readings} readings are held at once");
        assert!(reading.reports.iter().all(|report| report.gpus.len() == GPUS));
        assert!(reading.until > from, "it goes on");
        from = reading.until;
        told.extend(reading.reports.iter().map(|report| report.observed_at));
        assert_eq!(told.last(), Some(&from), "nothing is left out");
    }
    assert_eq!(told.len(), 8, "each step once: {told:?}");
    assert!(told.is_sorted());
    let points: Vec<i64> = server.asked().iter().map(Asked::points).collect();
    assert_eq!(points, [1, 3, 4], "five steps are more than is held");
}

/// Looks at a clock are a second apart.
struct Seconds(Mutex<Timestamp>);

impl Clock for Seconds {
    fn now(&self) -> Timestamp {
        let mut now = self.0.lock().unwrap();
        *now += SignedDuration::from_secs(1);
        *now
    }
}

#[tokio::test]
async fn a_step_that_is_longer_than_the_time_between_two_looks_makes_no_gpu_vanish() {
    let server = Server::start().await;
    for _ in 0..10 {
        server.next(|asked| busy(asked).into_response());
    }
    let text = format!(
        "gpu:\n- name: fleet\n  every: 1s\n  timeout: 1s\n  prometheus: {{url: '{}', step: 6s}}\n",
        server.url
    );
    let setup = Setup::from_text(&text, std::iter::empty()).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(Seconds(Mutex::new(at("2026-11-16T10:00:00Z"))));
    let (reading, _) = Reading::new(&setup.config.gpu[0], None, &clock).unwrap();
    let (now, mut seen) = watch::channel(GpuNow::new(&setup.config.gpu));
    let (heard, mut hearing) = mpsc::channel(100);
    let task = tokio::spawn(reading.run(client(), clock, now, heard, SelfMetrics::new()));
    tokio::spawn(async move { while hearing.recv().await.is_some() {} });
    let twice = async {
        while server.asked().len() < 2 {
            seen.changed().await.unwrap();
            assert!(seen.borrow_and_update().reports().next().is_some(), "its GPUs are forgotten");
        }
    };
    tokio::time::timeout(Duration::from_secs(120), twice).await.unwrap();
    task.abort();
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off_and_named() {
    let error = refused(|_| {
        let piece = Bytes::from(vec![b' '; 1 << 20]);
        let pieces = stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
        Body::from_stream(pieces).into_response()
    })
    .await;
    assert!(error.message.ends_with("the answer is larger than 128 MiB"), "{error}");
}

#[tokio::test]
async fn each_refusal_is_named_with_what_to_do() {
    use SourceErrorKind as Kind;
    let bad = envelope("bad_data", "parse error");
    for (status, body, kind) in [
        (400, bad.as_str(), Kind::Config),
        (401, "", Kind::Auth),
        (403, "no such tenant", Kind::Forbidden),
        (404, "404 page not found", Kind::Config),
        (302, "", Kind::Config),
        (422, &envelope("execution", "vector cannot contain metrics"), Kind::Malformed),
        (422, &envelope("execution", "expanding series: context deadline exceeded"), Kind::Timeout),
        (422, &envelope("timeout", "query timed out"), Kind::Timeout),
        (400, &envelope("bad_data", "parse error: unknown function limitk"), Kind::Config),
        (429, "", Kind::RateLimited),
        (500, &envelope("internal", "no disk"), Kind::Unavailable),
        (502, "<html>", Kind::Unavailable),
        (503, &envelope("timeout", "query timed out"), Kind::Timeout),
        (503, &envelope("unavailable", "starting"), Kind::Unavailable),
        (504, "", Kind::Timeout),
    ] {
        let (code, body) = (StatusCode::from_u16(status).unwrap(), body.to_owned());
        let error = refused(move |_| (code, body).into_response()).await;
        assert_eq!(error.kind, kind, "{status}: {error}");
        assert!(error.message.contains(&format!("it answers {status}")), "{error}");
        let actionable = matches!(kind, Kind::Config | Kind::Auth | Kind::Forbidden);
        assert!(error.hint.is_some() || !actionable, "{status}: {error}");
    }
    let error =
        refused(|_| (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "17")]).into_response());
    assert_eq!(error.await.retry_after, Some(Duration::from_secs(17)));
    let error = refused(move |_| (StatusCode::BAD_REQUEST, bad).into_response()).await;
    assert!(error.message.ends_with("parse error"), "the server's words are kept: {error}");
}

#[tokio::test]
async fn what_is_not_the_api_is_malformed() {
    let matrix = |result: &str| {
        format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":{result}}}}}"#)
    };
    let elsewhen =
        matrix(r#"[{"metric":{"__name__":"DCGM_FI_DEV_GPU_UTIL","UUID":"a"},"values":[[1,"1"]]}]"#);
    for body in [
        "<html>a login page</html>".to_owned(),
        String::new(),
        EMPTY.chars().take(40).collect(),
        envelope("internal", "well"),
        r#"{"status":"success"}"#.to_owned(),
        r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#.to_owned(),
        matrix("{}"),
        matrix(r#"[{"metric":{},"values":[["1"]]}]"#),
        elsewhen,
    ] {
        let sent = body.clone();
        let error = refused(move |_| sent.into_response()).await;
        assert_eq!(error.kind, SourceErrorKind::Malformed, "{body}: {error}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (server, other) = (Server::start().await, Server::start().await);
    let location = format!("{}/api/v1/query_range", other.url);
    server
        .next(move |_| (StatusCode::TEMPORARY_REDIRECT, [("location", location)]).into_response());
    assert_eq!(one(&server.target()).await.unwrap_err().kind, SourceErrorKind::Config);
    assert!(other.asked().is_empty());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let port = crate::faces::peers::free_port();
    let target = target(&format!("http://user:{TOKEN}@127.0.0.1:{port}"), STEP);
    let error = one(&target).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Unavailable);
    assert!(!error.to_string().contains(TOKEN), "{error}");
}

#[tokio::test]
async fn credentials_arrive_and_never_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let secret = SecretRef { file: Some(file.clone()), env: None };
    let basic = "Basic Z3JhZmFuYTp0b2stM2M5ZjcxYWE="; // grafana and the token

    let server = Server::start().await;
    let mut target = server.target();
    target.headers = vec![("X-Scope-OrgID".to_owned(), "tenant-a".to_owned())];
    target.bearer = Some(secret.clone());
    let mut other = target.clone();
    (other.bearer, other.basic) = (None, Some(("grafana".to_owned(), secret)));
    for (target, sent) in [(&target, &*format!("Bearer {TOKEN}")), (&other, basic)] {
        // A proxy that repeats what it was sent, in an error and in what should be JSON.
        for status in [StatusCode::FORBIDDEN, StatusCode::OK] {
            server.next(move |asked| {
                let told = asked.headers["authorization"].to_str().unwrap();
                let tenant = asked.headers["x-scope-orgid"].to_str().unwrap();
                (status, envelope("forbidden", &format!("{told} of {tenant}"))).into_response()
            });
            let error = one(target).await.unwrap_err();
            let shown = format!("{error} {error:?} {target:?}");
            for secret in [TOKEN, "Z3JhZmFuYTp0b2stM2M5ZjcxYWE", "tenant-a"] {
                assert!(!shown.contains(secret), "{shown}");
            }
            assert!(error.message.contains("[secret]"), "{error}");
            assert_eq!(server.asked().last().unwrap().headers["authorization"], sent);
        }
        server.next(|asked| {
            let told = asked.headers["authorization"].to_str().unwrap();
            busy(asked).replace("store 7", told).into_response()
        });
        let (from, to) = (at("2026-11-16T10:00:00Z"), at("2026-11-16T10:00:30Z"));
        let warnings = read(&client(), target, from, to).await.unwrap().warnings;
        assert!(warnings[0].contains("[secret]") && !warnings[0].contains(TOKEN), "{warnings:?}");
    }
    std::fs::remove_file(&file).unwrap();
    let error = one(&target).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Auth, "{error}");
}
