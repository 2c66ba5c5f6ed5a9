//! Signed webhooks: each change once to each receiver, signed, repeated until taken, and never lost.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
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

    /// Band, period and view.
    fn subject(&self) -> (String, String, String) {
        let data = self.data();
        let word = |key: &str| data[key].as_str().unwrap().to_owned();
        (word("band"), word("period"), word("view"))
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
    format!("notify:\n  webhook:\n{}", urls.iter().map(entry).collect::<String>())
}

fn by_subject(deliveries: &[Delivery]) -> BTreeMap<(String, String, String), usize> {
    let mut counts = BTreeMap::new();
    for delivery in deliveries {
        *counts.entry(delivery.subject()).or_default() += 1;
    }
    counts
}

/// Every view that is above, once.
fn above(now: &Published) -> BTreeMap<(String, String, String), usize> {
    let bands = now.snapshot.bands.iter();
    bands
        .flat_map(|band| band.views.iter().map(move |view| (band, view)))
        .filter(|(_, view)| view.status == BandStatus::Above)
        .map(|(band, view)| {
            ((band.band.clone(), band.period.to_string(), view.view.as_str().to_owned()), 1)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_reaches_each_receiver_once_signed_and_with_one_id() {
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
    let now = agent
        .when("every source's first poll to end", |now| {
            now.snapshot.sources.iter().all(|source| source.up.is_some())
        })
        .await;
    let wanted = above(&now);
    assert!(wanted.keys().any(|(band, _, view)| band == "hot.1" && view == "actual"), "{wanted:?}");
    assert!(wanted.keys().all(|(band, _, _)| band == "hot.1"), "{wanted:?}");
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
    until("every message at both receivers", async || {
        let taken = [&flaky, &late].map(|receiver| receiver.taken().len());
        taken.iter().all(|taken| *taken >= wanted.len()).then_some(())
    })
    .await;
    assert_eq!(by_subject(&flaky.taken()), wanted);
    assert_eq!(by_subject(&late.taken()), wanted);

    // The one that was refused came again as the same message.
    let all = flaky.all();
    assert_eq!(all.len(), wanted.len() + 1);
    let again: Vec<_> = all.iter().filter(|delivery| delivery.id == all[0].id).collect();
    assert_eq!(again.len(), 2, "{all:#?}");
    assert_eq!(again[0].body, again[1].body);
    let both: Vec<Delivery> = all.into_iter().chain(late.all()).collect();
    let ids: BTreeSet<&str> = both.iter().map(|delivery| delivery.id.as_str()).collect();
    assert_eq!(ids.len(), 2 * wanted.len());
    assert!(ids.iter().all(|id| id.is_ascii() && !id.contains('.')), "{ids:?}");
    verify(&both).await;
    let data = both[0].data();
    assert_eq!((&data["owner"], &data["ceiling"]), (&"ops@example.com".into(), &"1".into()));
    assert!(data["summary"].as_str().unwrap().contains("the ceiling of 1.00 USD"), "{data}");

    for path in ["/metrics", "/", "/api/v1/bands", "/api/v1/sources"] {
        let text = agent.text(path).await;
        assert!(!text.contains(KEY) && !text.contains(late_url.as_str()), "{path}");
    }
    agent.end().await;

    // What was told is not told again; the pace, known since the second reading, is.
    clock.advance(SignedDuration::from_hours(9));
    let mut agent = house.start().await;
    let earlier = wanted;
    let now = agent
        .when("a second reading", |now| {
            let read = now.snapshot.sources.iter().filter(|source| source.up == Some(true));
            let pace = now.snapshot.bands.iter().find(|band| band.band == "hot.1");
            read.count() == 2 && pace.is_some_and(|band| band.complete_days > 0)
        })
        .await;
    let period = now.snapshot.bands[0].period.to_string();
    let pace = ("hot.1".to_owned(), period, "pace".to_owned());
    assert!(!earlier.contains_key(&pace));
    until("the pace at both receivers", async || {
        let told =
            [&flaky, &late].map(|receiver| by_subject(&receiver.taken()).contains_key(&pace));
        told.iter().all(|told| *told).then_some(())
    })
    .await;
    let mut wanted = earlier;
    wanted.extend(above(&now));
    assert_eq!(by_subject(&flaky.taken()), wanted);
    assert_eq!(by_subject(&late.taken()), wanted);
    agent.end().await;
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
    let bands: Value =
        serde_json::from_str(&get(&format!("http://{address}/api/v1/bands")).await).unwrap();
    let views = bands["bands"].as_array().unwrap().iter().flat_map(|band| {
        band["views"].as_object().unwrap().values().map(|view| view["status"].clone())
    });
    let above = views.filter(|status| status == "above").count();
    until("every message", async || (receiver.taken().len() >= above).then_some(())).await;
    until("every outcome", async || {
        let page = get(&format!("http://{address}/metrics")).await;
        assert!(!page.contains(KEY));
        let labels = [("receiver", "ops"), ("outcome", "sent")];
        let sent = value(&page, "costband_notifications_total", &labels)?;
        (sent == above.to_string()).then_some(())
    })
    .await;
    let subjects = by_subject(&receiver.taken());
    assert_eq!(subjects.len(), above);
    assert!(subjects.values().all(|count| *count == 1), "{subjects:?}");
    verify(&receiver.all()).await;
    drop(second);
    let log = std::fs::read_to_string(&log).unwrap();
    for secret in [KEY, "whsec_", "simulated-secret-access-key", url.as_str()] {
        assert!(!log.contains(secret), "`{secret}` is in the log:\n{log}");
    }
}
