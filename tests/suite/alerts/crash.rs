//! `kill -9` at random instants under a load of state changes. A child process, this test binary
//! started anew, folds what a script says step by step and delivers what came of it; the parent
//! kills it again and again and holds what the receiver heard against an undisturbed run.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use costband::app::alerts::{AlertRoom, keep};
use costband::app::ledger::OutboxPort;
use costband::domain::alert::{
    AlertDetails, AlertEnd, AlertKey, AlertRule, AlertState, Figure, FigureName, Observation,
    Patience, Severity, Subject, Verdict,
};
use costband::domain::alerting::Alerting;
use costband::domain::notice::{AlertNotice, Notice, Recipient, Takes};
use costband::domain::ports::Clock;
use costband::notify::{DeliveryError, Receiver};
use costband::outbox::Outbox;
use costband::store::{Ledger, LedgerHandle};
use costband::telemetry::self_metrics::SelfMetrics;
use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp, ToSpan};
use tokio::sync::watch;

use crate::clock::SetClock;

const PLACE: &str = "COSTBAND_TEST_ALERTS_LEDGER";
const URL: &str = "COSTBAND_TEST_ALERTS_SINK";
/// The step that the child ends after; without it there is no end.
const LAST: &str = "COSTBAND_TEST_ALERTS_LAST";
const BANDS: u32 = 12;
const KILLS: usize = 200;
const BEGIN: &str = "2026-01-01T00:00:00Z";

fn day(step: u32) -> Date {
    date(2026, 1, 1).saturating_add(i32::try_from(step).unwrap().days())
}

fn now(step: u32) -> Timestamp {
    let begin: Timestamp = BEGIN.parse().unwrap();
    begin + SignedDuration::from_hours(24 * i64::from(step))
}

/// A number that is always the same for a band and a step, and looks like none.
fn drawn(band: u32, step: u32) -> u32 {
    let mut x = (band + 1).wrapping_mul(0x9E37_79B9) ^ step.wrapping_mul(0x85EB_CA6B);
    x ^= x >> 15;
    x = x.wrapping_mul(0xC2B2_AE35);
    x ^ (x >> 13)
}

/// What is observed in a step. The first band turns with every step, so that each leaves its mark.
fn script(step: u32) -> Vec<Observation> {
    (0..BANDS)
        .map(|band| {
            let verdict = match (band, drawn(band, step) % 8) {
                (0, _) if step.is_multiple_of(2) => Verdict::Met,
                (0, _) => Verdict::Clear,
                (_, 0..=3) => Verdict::Met,
                (_, 4..=5) => Verdict::Clear,
                (_, 6) => Verdict::Between,
                _ => Verdict::Unknown,
            };
            let patience = Patience::Days(if band == 0 { 1 } else { 2 });
            Observation {
                key: AlertKey::new(AlertRule::CeilingForecast)
                    .of(Subject::Band, format!("b{band}")),
                verdict,
                day: Some(day(step)),
                fires_after: patience,
                clears_after: patience,
                details: AlertDetails::new(Severity::Warning)
                    .with(FigureName::Count, Figure::Count(i64::from(step))),
            }
        })
        .collect()
}

fn room() -> AlertRoom {
    let recipient = |name: &str, takes| Recipient {
        name: name.to_owned(),
        takes,
        minimum_severity: Severity::Info,
        resolved: true,
    };
    AlertRoom {
        policies: Arc::default(),
        alerting: Alerting::Agent,
        recipients: Arc::new(vec![
            recipient("chat", Takes::Groups),
            recipient("pager", Takes::Alerts),
        ]),
        group_wait: SignedDuration::ZERO,
    }
}

fn step_in(ledger: &mut Ledger, step: u32) {
    let unknown = |_: &AlertKey| (Verdict::Unknown, AlertEnd::Cleared);
    keep(ledger, &room(), script(step), unknown, now(step)).unwrap();
}

/// The first step that left no mark yet.
fn next_step(ledger: &Ledger) -> u32 {
    let newest = ledger.alert_events(None, 1).unwrap();
    let Some(event) = newest.first() else { return 0 };
    let begin: Timestamp = BEGIN.parse().unwrap();
    u32::try_from(event.at.duration_since(begin).as_hours() / 24).unwrap() + 1
}

/// A receiver that hands messages to the parent.
struct Post {
    name: &'static str,
    url: String,
    client: reqwest::Client,
}

#[async_trait]
impl Receiver for Post {
    fn name(&self) -> &str {
        self.name
    }

    async fn deliver(&self, id: &str, notice: &Notice, _: Timestamp) -> Result<(), DeliveryError> {
        let sent =
            self.client.post(&self.url).header("id", id).header("to", self.name).json(notice);
        sent.send().await.and_then(reqwest::Response::error_for_status).map(|_| ()).map_err(
            |error| DeliveryError {
                reason: error.to_string(),
                is_temporary: true,
                may_have_arrived: true,
                retry_after: None,
            },
        )
    }
}

/// What the child does; without the variable it is a test that has nothing to do.
#[test]
fn alerts_child() {
    let Ok(place) = std::env::var(PLACE) else { return };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let url = std::env::var(URL).unwrap();
    let last: Option<u32> = std::env::var(LAST).ok().map(|last| last.parse().unwrap());
    let ledger = Ledger::open(place.as_str()).unwrap();
    let first = next_step(&ledger);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let handle = LedgerHandle::spawn(ledger).unwrap();
        let clock = SetClock::at(&now(first).to_string());
        let (bell, rung) = watch::channel(0);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let post = |name: &'static str| -> (String, Arc<dyn Receiver>) {
            (name.to_owned(), Arc::new(Post { name, url: url.clone(), client: client.clone() }))
        };
        let outbox = |bell| Outbox {
            ledger: Arc::new(OutboxPort { ledger: handle.clone(), alerting: Alerting::Agent }),
            receivers: [post("chat"), post("pager")].into_iter().collect(),
            clock: clock.clone() as Arc<dyn Clock>,
            metrics: SelfMetrics::new(),
            bell,
        };
        let delivering = tokio::spawn(outbox(rung).run_until(std::future::pending()));
        let mut step = first;
        while last.is_none_or(|last| step <= last) {
            clock.set(now(step));
            handle.call(move |ledger| step_in(ledger, step)).await.unwrap();
            bell.send_modify(|rung| *rung += 1);
            step += 1;
            tokio::task::yield_now().await;
        }
        delivering.abort();
        let _ = delivering.await;
        let outbox = outbox(bell.subscribe());
        while !handle.call(|ledger| ledger.outbox_receivers().unwrap()).await.unwrap().is_empty() {
            clock.set(clock.now() + SignedDuration::from_hours(1));
            outbox.deliver_due().await;
        }
        handle.close().await.unwrap();
    });
}

/// What was heard, in order: to whom, under which key, and what.
type Heard = Arc<Mutex<Vec<(String, String, String)>>>;

async fn listen(heard: Heard) -> String {
    async fn hear(State(heard): State<Heard>, headers: HeaderMap, body: String) {
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        heard.lock().unwrap().push((header("to"), header("id"), body));
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(hear)).with_state(heard);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn child(place: &str, url: &str, last: Option<u32>) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "alerts::crash::alerts_child", "--nocapture", "--test-threads=1"])
        .env(PLACE, place)
        .env(URL, url)
        .envs(last.map(|last| (LAST, last.to_string())))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transition_is_heard_whenever_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("alerts.db").to_str().unwrap().to_owned();
    let heard: Heard = Arc::default();
    let url = listen(heard.clone()).await;
    let mut steps_seen = BTreeSet::new();
    for kill in 0..KILLS {
        let mut running = child(&place, &url, None);
        // Some die before they have opened the ledger, most under way.
        let wait = 20 + drawn(7, u32::try_from(kill).unwrap()) % 180;
        tokio::time::sleep(Duration::from_millis(wait.into())).await;
        // `Child::kill` is SIGKILL.
        running.kill().unwrap();
        running.wait().unwrap();
        match Ledger::open_read_only(place.as_str()) {
            Ok(ledger) => steps_seen.insert(next_step(&ledger)),
            // It was killed while it made the ledger.
            Err(_) => steps_seen.insert(0),
        };
    }
    let last = steps_seen.last().copied().unwrap();
    assert!(steps_seen.len() > KILLS / 4, "too few kills hit anything: {steps_seen:?}");
    assert!(child(&place, &url, Some(last)).wait().unwrap().success());

    // An undisturbed run of the same script.
    let quiet = folder.path().join("quiet.db");
    let mut ledger = Ledger::open(quiet.as_path()).unwrap();
    (0..=last).for_each(|step| step_in(&mut ledger, step));
    let wanted = ledger.outbox_due(Timestamp::MAX).unwrap();
    assert!(wanted.len() > KILLS, "{} messages", wanted.len());

    let heard = heard.lock().unwrap().clone();
    let mut first_heard: Vec<(&str, &str, &str)> = Vec::new();
    let mut bodies: BTreeMap<&str, &str> = BTreeMap::new();
    for (to, id, body) in &heard {
        match bodies.insert(id, body) {
            None => first_heard.push((to, id, body)),
            Some(known) => assert_eq!(known, body, "{id} came with another body"),
        }
    }
    for receiver in ["chat", "pager"] {
        let wanted: Vec<(&str, &str)> = wanted
            .iter()
            .filter(|queued| queued.entry.receiver == receiver)
            .map(|queued| (queued.entry.dedupe_key.as_str(), queued.entry.payload.as_str()))
            .collect();
        let told: Vec<(&str, &str)> = first_heard
            .iter()
            .filter(|(to, ..)| *to == receiver)
            .map(|(_, id, body)| (*id, *body))
            .collect();
        assert_eq!(told, wanted, "each transition, in order, for {receiver}");
    }
    let states = |ledger: &Ledger| -> Vec<AlertState> { ledger.alerts().unwrap() };
    assert_eq!(states(&Ledger::open_read_only(place.as_str()).unwrap()), states(&ledger));
    let repeats = heard.len() - first_heard.len();
    println!("{KILLS} kills, {last} steps, {} messages, {repeats} repeated", wanted.len());
    let of = |body: &str| serde_json::from_str::<Notice>(body).unwrap().alerts;
    assert!(heard.iter().all(|(_, _, body)| !Vec::<AlertNotice>::is_empty(&of(body))));
}
