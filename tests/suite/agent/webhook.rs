//! Signed webhooks: each change once to each receiver, signed, repeated until taken, and never lost.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use costband::domain::alert::{AlertRule, AlertState, Subject};
use costband::domain::band::BandStatus;
use costband::runtime::clock::{ShiftedClock, SystemClock};
use costband::web::Published;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::house::{House, get};
use crate::faces::peers::{Running, costband, free_port, peer, script, until};
use crate::faces::series::value;

const KEY: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// One message as it came in.
#[derive(Debug, Clone)]
struct Delivery {
    id: String,
    timestamp: String,
    signature: String,
    body: String,
}

impl Delivery {
    fn data(&self) -> Value {
        serde_json::from_str::<Value>(&self.body).unwrap()["data"].clone()
    }

    /// What kind of message it is and each alert that it tells.
    fn told(&self) -> Vec<(String, String)> {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        let kind = body["type"].as_str().unwrap();
        let alerts = body["data"]["alerts"].as_array().unwrap();
        alerts.iter().map(|one| (kind.to_owned(), one["id"].as_str().unwrap().to_owned())).collect()
    }
}

/// What a receiver does with the next message.
#[derive(Debug, Clone, Copy)]
enum Mood {
    Takes,
    FailsOnce,
    NeverAnswers,
}

#[derive(Clone)]
struct Receiver {
    deliveries: Arc<Mutex<Vec<(Delivery, bool)>>>,
    mood: Arc<Mutex<Mood>>,
}

impl Receiver {
    fn in_mood(mood: Mood) -> Self {
        Self { deliveries: Arc::default(), mood: Arc::new(Mutex::new(mood)) }
    }

    /// Listens and gives the URL.
    async fn listen(&self, port: u16) -> String {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(receive)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn all(&self) -> Vec<Delivery> {
        self.deliveries.lock().unwrap().iter().map(|(delivery, _)| delivery.clone()).collect()
    }

    fn taken(&self) -> Vec<Delivery> {
        let all = self.deliveries.lock().unwrap();
        all.iter().filter(|(_, taken)| *taken).map(|(delivery, _)| delivery.clone()).collect()
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> StatusCode {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let delivery = Delivery {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body,
    };
    let mood = {
        let mut mood = receiver.mood.lock().unwrap();
        let now = *mood;
        if matches!(now, Mood::FailsOnce) {
            *mood = Mood::Takes;
        }
        now
    };
    let takes = matches!(mood, Mood::Takes);
    receiver.deliveries.lock().unwrap().push((delivery, takes));
    match mood {
        Mood::Takes => StatusCode::NO_CONTENT,
        Mood::FailsOnce => StatusCode::INTERNAL_SERVER_ERROR,
        Mood::NeverAnswers => std::future::pending().await,
    }
}

/// Holds every signature against the reference library of the specification.
async fn verify(deliveries: &[Delivery]) {
    let Some(python) = peer("COSTBAND_PEERS_PYTHON") else { return };
    let lines: Vec<Value> = deliveries
        .iter()
        .map(|delivery| {
            json!({"secret": format!("whsec_{KEY}"), "body": delivery.body, "headers": {
                "webhook-id": delivery.id,
                "webhook-timestamp": delivery.timestamp,
                "webhook-signature": delivery.signature,
            }})
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deliveries.json");
    std::fs::write(&path, serde_json::to_vec(&lines).unwrap()).unwrap();
    let told = script(&python, "webhook.py", &[path.to_str().unwrap()]).await;
    assert_eq!(told.trim(), format!("{} verified", deliveries.len()));
}

/// Bands that are above at once, below for ever, and unknown for ever.
const BANDS: &str = "
bands:
  - {name: hot.1, provider: aws, floor: 0, ceiling: 1, owner: ops@example.com}
  - {name: cold, provider: gcp, floor: 900000000, ceiling: 999000000}
  - {name: dark, provider: azure, floor: 0, ceiling: 1}
";

pub(super) fn notify(house: &House, urls: &[(&str, &str)]) -> String {
    let key = house.file("webhook-key", &format!("whsec_{KEY}\n"));
    let entry = |(name, url): &(&str, &str)| {
        format!("    - {{name: {name}, url: \"{url}\", secret: {{file: \"{}\"}}}}\n", key.display())
    };
    let entries: String = urls.iter().map(entry).collect();
    format!("group_wait: 1s\nnotify:\n  webhook:\n{entries}")
}

/// How often each alert was told to fire.
fn firing(deliveries: &[Delivery]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (kind, id) in deliveries.iter().flat_map(Delivery::told) {
        if kind == "alert.firing" {
            *counts.entry(id).or_default() += 1;
        }
    }
    counts
}

/// Every alert that fires and that all of these receivers were told of, once.
fn told_to(now: &Published, receivers: &[&str]) -> BTreeMap<String, usize> {
    let told = |alert: &&AlertState| {
        alert.fires() && receivers.iter().all(|name| alert.told.contains_key(*name))
    };
    let alerts = now.snapshot.alerts.iter().filter(told);
    alerts.map(|alert| (alert.key.id().to_string(), 1)).collect()
}

/// The alerts of money above a ceiling, by band.
fn exceeded(now: &Published) -> BTreeSet<(&str, bool)> {
    let alerts = now.snapshot.alerts.iter();
    alerts
        .filter(|alert| alert.key.rule == AlertRule::CeilingExceeded)
        .map(|alert| (alert.key.about(Subject::Band).unwrap(), alert.fires()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_alert_reaches_each_receiver_once_signed_and_with_one_id() {
    let clock = Arc::new(ShiftedClock::starting_at("2025-10-16T04:00:00Z".parse().unwrap()));
    let mut house = House::at(clock.clone()).await;
    // Azure is never reached: nothing is known of its band.
    house.text = house.text.replace(&house.world.servers.azure.url(), "http://127.0.0.1:9");
    let flaky = Receiver::in_mood(Mood::FailsOnce);
    let late = Receiver::in_mood(Mood::Takes);
    let late_port = free_port();
    let flaky_url = flaky.listen(0).await;
    let late_url = format!("http://127.0.0.1:{late_port}/hook");
    let receivers = notify(&house, &[("flaky", &flaky_url), ("late", &late_url)]);
    house.configure(BANDS);
    house.configure(&receivers);

    let mut agent = house.start().await;
    let both = ["flaky", "late"];
    let now = agent
        .when("the alert to be told", |now| {
            let read = now.snapshot.sources.iter().all(|source| source.up.is_some());
            read && !told_to(now, &both).is_empty()
        })
        .await;
    assert_eq!(exceeded(&now), BTreeSet::from([("hot.1", true)]));
    let status =
        |band: &str| now.snapshot.bands.iter().find(|b| b.band == band).unwrap().views[0].status;
    assert_eq!((status("cold"), status("dark")), (BandStatus::Below, BandStatus::Unknown));

    until("a failed attempt at both receivers", async || {
        let page = agent.text("/metrics").await;
        let failed = |receiver: &str| {
            let labels = [("receiver", receiver), ("outcome", "failed")];
            value(&page, "costband_notifications_total", &labels)
        };
        failed("flaky").and(failed("late"))
    })
    .await;
    late.listen(late_port).await;
    let wanted = told_to(&now, &both);
    until("every alert at both receivers", async || {
        let taken = [&flaky, &late].map(|receiver| firing(&receiver.taken()));
        let has_all =
            |told: &BTreeMap<String, usize>| wanted.keys().all(|id| told.contains_key(id));
        taken.iter().all(has_all).then_some(())
    })
    .await;
    for receiver in [&flaky, &late] {
        assert!(firing(&receiver.taken()).values().all(|times| *times == 1));
    }

    // The one that was refused came again as the same message.
    let all = flaky.all();
    let again: Vec<_> = all.iter().filter(|delivery| delivery.id == all[0].id).collect();
    assert_eq!(again.len(), 2, "{all:#?}");
    assert_eq!(again[0].body, again[1].body);
    let every: Vec<Delivery> = all.into_iter().chain(late.all()).collect();
    let ids: BTreeSet<&str> = every.iter().map(|delivery| delivery.id.as_str()).collect();
    assert!(ids.iter().all(|id| id.is_ascii() && !id.contains('.')), "{ids:?}");
    verify(&every).await;
    let data = every[0].data();
    let alert = &data["alerts"][0];
    assert_eq!(alert["rule"], "ceiling_exceeded", "the gravest first: {data}");
    assert_eq!(alert["owner"], "ops@example.com");
    let summary = alert["text"]["summary"].as_str().unwrap();
    assert!(summary.contains("1.00 USD"), "{summary}");

    for path in ["/metrics", "/", "/api/v1/bands", "/api/v1/sources", "/api/v1/alerts"] {
        let text = agent.text(path).await;
        assert!(!text.contains(KEY) && !text.contains(late_url.as_str()), "{path}");
    }
    assert!(
        agent.text("/alerts").await.contains(&format!("alert-{}", wanted.keys().next().unwrap()))
    );
    agent.end().await;

    // What was told is not told again after a restart.
    clock.advance(SignedDuration::from_hours(9));
    let before = firing(&flaky.taken());
    let mut agent = house.start().await;
    agent
        .when("a second reading", |now| {
            let read = now.snapshot.sources.iter().filter(|source| source.up == Some(true));
            let hot = now.snapshot.bands.iter().find(|band| band.band == "hot.1");
            read.count() == 2 && hot.is_some_and(|band| band.complete_days > 0)
        })
        .await;
    agent.end().await;
    for receiver in [&flaky, &late] {
        let told = firing(&receiver.taken());
        assert!(before.keys().all(|id| told.get(id) == Some(&1)), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn message_survives_kill_9_between_commit_and_delivery() {
    let mut house = House::at(Arc::new(SystemClock)).await;
    let receiver = Receiver::in_mood(Mood::NeverAnswers);
    let url = receiver.listen(0).await;
    // One cloud is enough.
    let from = house.text.find("  gcp:").unwrap();
    house.text.truncate(from);
    let bands = "bands:\n  - {name: hot, provider: aws, floor: 0, ceiling: 1}\n";
    let more = format!("{bands}{}", notify(&house, &[("ops", &url)]));
    let path = house.configure(&more);
    let log = house.folder.path().join("log");
    let run = || {
        let log = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let mut command = costband();
        command.args(["run", "-c"]).arg(&path).stdout(Stdio::null()).stderr(log);
        Running(command.spawn().unwrap())
    };

    let mut first = run();
    until("the first message", async || receiver.all().into_iter().next()).await;
    // `Child::kill` is SIGKILL.
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    let held: BTreeSet<String> = receiver.all().into_iter().map(|delivery| delivery.id).collect();
    assert!(receiver.taken().is_empty());

    *receiver.mood.lock().unwrap() = Mood::Takes;
    let second = run();
    let address = until("the address", async || {
        let text = std::fs::read_to_string(&log).unwrap();
        let lines: Vec<Value> =
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let listening = lines.iter().filter(|line| line["message"] == "costband is listening");
        let addresses: Vec<String> =
            listening.filter_map(|line| Some(line["address"].as_str()?.to_owned())).collect();
        (addresses.len() == 2).then(|| addresses[1].clone())
    })
    .await;
    until("the message that was held", async || {
        let taken: BTreeSet<String> = receiver.taken().into_iter().map(|taken| taken.id).collect();
        held.is_subset(&taken).then_some(())
    })
    .await;
    until("every outcome", async || {
        let page = get(&format!("http://{address}/metrics")).await;
        assert!(!page.contains(KEY));
        let count = |outcome| {
            let labels = [("receiver", "ops"), ("outcome", outcome)];
            value(&page, "costband_notifications_total", &labels)
        };
        // Nobody lived to note what came of the first attempts.
        let repeated: usize = count("repeated")?.parse().unwrap();
        let sent: usize = count("sent")?.parse().unwrap();
        (repeated == held.len() && sent == receiver.taken().len()).then_some(())
    })
    .await;
    assert!(firing(&receiver.taken()).values().all(|times| *times == 1));
    verify(&receiver.all()).await;
    drop(second);
    let log = std::fs::read_to_string(&log).unwrap();
    for secret in [KEY, "whsec_", "simulated-secret-access-key", url.as_str()] {
        assert!(!log.contains(secret), "`{secret}` is in the log:\n{log}");
    }
}
