//! Three simulated months with an incident that is mended, one that breaks the ceiling, an outage, a
//! restatement of a closed month and three month ends: what people are told, in order.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use costband::app::alerts::{AlertInput, AlertRoom, GROUP_WAIT, judge};
use costband::app::ledger::OutboxPort;
use costband::app::trends;
use costband::config::WebhookAddress;
use costband::config::secret::SecretRef;
use costband::domain::alert::Severity;
use costband::domain::alerting::Alerting;
use costband::domain::identity::Provider;
use costband::domain::notice::{Recipient, Takes};
use costband::domain::period::Window;
use costband::domain::ports::Clock;
use costband::notify::webhook::Webhook;
use costband::outbox::{Outbox, Receivers};
use costband::simulate::charge::Charge;
use costband::simulate::faults::Fault;
use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::clock::SetClock;
use crate::contract::harness::{Bench, Options, WrittenWorld, at, charge};
use crate::faces::peers::golden;

const BEGINS: &str = "2026-08-01T12:00:00Z";
const ENDS: &str = "2026-11-04T12:00:00Z";
/// The bill cannot be read in between.
const OUTAGE: [&str; 2] = ["2026-10-05T00:00:00Z", "2026-10-11T00:00:00Z"];
const PLACE: [&str; 3] = ["222233334444", "Amazon Elastic Compute Cloud - Compute", "us-east-1"];

/// What a day costs: a steady fleet, two runaway days in August that are mended, and growth in the
/// middle of September that nobody mends before the month is over.
fn cost(day: Date) -> Decimal {
    let wave = i64::from(day.day() % 5) * 10;
    let more = if (date(2026, 8, 8)..=date(2026, 8, 9)).contains(&day) {
        3_000
    } else if (date(2026, 9, 12)..=date(2026, 9, 30)).contains(&day) {
        1_000
    } else {
        0
    };
    Decimal::from(2_000 + wave + more)
}

fn world() -> Vec<Charge> {
    let days = Window::new(date(2026, 5, 1), date(2026, 11, 5));
    let of = |day, cost| charge(Provider::Aws, day, PLACE, cost, cost);
    let mut charges: Vec<Charge> = days.days().map(|day| of(day, cost(day))).collect();
    // A closed month moves.
    let moved = Decimal::from(4_000);
    let published_at = at("2026-10-20T00:00:00Z");
    charges.push(Charge { published_at, ..of(date(2026, 9, 15), moved) });
    charges
}

/// Who is told, and what it was told.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<(String, Value)>>>);

impl Sink {
    async fn listen(&self) -> String {
        let heard = self.0.clone();
        let answer = async move |headers: HeaderMap, body: String| {
            let id = headers["webhook-id"].to_str().unwrap().to_owned();
            heard.lock().unwrap().push((id, serde_json::from_str(&body).unwrap()));
            StatusCode::NO_CONTENT
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn take(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// The parts of an agent that judge and tell.
struct Agent {
    bench: Bench,
    room: AlertRoom,
    outbox: Outbox,
}

impl Agent {
    async fn start(clock: Arc<SetClock>, url: &str) -> Self {
        let world = WrittenWorld::new(clock.clone(), world());
        let bands = json!([{"name": "aws", "provider": "aws", "floor": 40_000, "ceiling": 70_000}]);
        let bench =
            Bench::start(&[Provider::Aws], world, clock.clone(), Options::default(), bands).await;
        let secret = bench.folder.path().join("key");
        std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let webhook = Webhook {
            name: "ops".to_owned(),
            address: WebhookAddress::Url(url.parse().unwrap()),
            secret: SecretRef { file: Some(secret), env: None },
            timeout: Duration::from_secs(10),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        };
        let recipient = Recipient {
            name: "ops".to_owned(),
            takes: Takes::Groups,
            minimum_severity: Severity::Info,
            resolved: true,
        };
        let room = AlertRoom {
            policies: Arc::default(),
            alerting: Alerting::Agent,
            recipients: Arc::new(vec![recipient]),
            group_wait: GROUP_WAIT,
        };
        let receivers: Receivers = Receivers::from([("ops".to_owned(), Arc::new(webhook) as _)]);
        let (_, bell) = watch::channel(0);
        let outbox = Outbox {
            ledger: Arc::new(OutboxPort(bench.polling.handle.clone())),
            receivers,
            clock,
            metrics: bench.polling.metrics.clone(),
            bell,
        };
        Self { bench, room, outbox }
    }

    async fn judge(&self) {
        let (reading, history) = (self.bench.read().await, self.bench.history_after(None).await);
        let gpu = Arc::new(self.bench.gpu(&reading).await);
        let now = self.bench.clock.now();
        let reader = self.bench.reader.clone();
        let bands = Arc::new(reader.judge(&reading, &history, &gpu, now));
        let room = self.room.clone();
        let judged = self.bench.polling.handle.call(move |ledger| {
            let trends = Arc::new(trends::read(&reader, ledger, now)?);
            let input = AlertInput {
                bands,
                spend: Arc::new(reading.spend.iter().flatten().cloned().collect()),
                sources: Arc::new(reading.sources.clone()),
                gpu,
                gpu_window: None,
                trends: Some(trends).filter(|told| !told.is_empty()),
            };
            judge(ledger, &room, &input, now)
        });
        judged.await.unwrap().unwrap();
    }
}

/// One line for each alert of a message.
fn lines(at: Timestamp, body: &Value, out: &mut String) {
    let data = body.get("data").unwrap_or(body);
    let kind = body.get("type").or(body.get("kind")).and_then(Value::as_str);
    let _ = writeln!(out, "{at} {}", kind.unwrap_or("?"));
    for alert in data["alerts"].as_array().into_iter().flatten() {
        let word = |key: &str| alert[key].as_str().unwrap_or("-").to_owned();
        let (rule, period) = (word("rule"), word("period"));
        let (subject, severity) = (&alert["subject"], &alert["details"]["severity"]);
        let _ = writeln!(out, "    {rule} {subject} {period} {severity} end {}", word("end"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_months_are_told_in_the_expected_order() {
    let clock = SetClock::at(BEGINS);
    let sink = Sink::default();
    let agent = Agent::start(clock.clone(), &sink.listen().await).await;
    let faults = &agent.bench.clouds.aws.faults;
    let [from, until] = OUTAGE.map(at);
    let (mut told, mut ids) = (String::new(), BTreeSet::new());
    while clock.now() < at(ENDS) {
        faults.clear();
        if (from..until).contains(&clock.now()) {
            faults.order(Fault::ServerError, 100);
        }
        let read = agent.bench.poll(Provider::Aws).await;
        assert_eq!(read.is_err(), (from..until).contains(&clock.now()), "{}", clock.now());
        // The second time what came up together has waited for its like.
        for _ in 0..2 {
            agent.judge().await;
            clock.advance(SignedDuration::from_mins(1));
        }
        agent.outbox.deliver_due().await;
        for (id, body) in sink.take() {
            assert!(ids.insert(id.clone()), "{id} twice");
            lines(clock.now(), &body, &mut told);
        }
        clock.advance(SignedDuration::from_mins(8 * 60 - 2));
    }
    golden("replay/months.txt", &told);
}
