//! A receiver that points elsewhere has taken nothing, and elsewhere nothing arrives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use costband::runtime::clock::ShiftedClock;
use jiff::SignedDuration;
use tokio::net::TcpListener;

use super::house::House;
use super::webhook::notify;
use crate::faces::peers::until;
use crate::faces::series::value;

/// A host that nobody configured: it takes whatever comes, and tells.
#[derive(Clone, Default)]
struct Elsewhere(Arc<Mutex<Vec<String>>>);

impl Elsewhere {
    async fn listen(&self) -> String {
        serve(Router::new().fallback(arrive).with_state(self.clone())).await
    }

    fn arrived(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

async fn arrive(State(here): State<Elsewhere>, method: Method, uri: Uri, body: String) {
    here.0.lock().unwrap().push(format!("{method} {uri} {body}"));
}

/// A configured receiver: points elsewhere until it takes what comes.
#[derive(Clone)]
struct Pointing {
    target: String,
    status: Arc<Mutex<StatusCode>>,
    /// Identifier, body and answer of each message.
    messages: Arc<Mutex<Vec<(String, String, StatusCode)>>>,
}

impl Pointing {
    fn new(status: u16, target: &str) -> Self {
        let status = StatusCode::from_u16(status).unwrap();
        Self {
            target: target.to_owned(),
            status: Arc::new(Mutex::new(status)),
            messages: Arc::default(),
        }
    }

    async fn listen(&self) -> String {
        serve(Router::new().fallback(point).with_state(self.clone())).await
    }

    /// The messages that were taken or were not, by identifier.
    fn messages(&self, taken: bool) -> BTreeMap<String, Vec<String>> {
        let mut found = BTreeMap::<String, Vec<String>>::new();
        for (id, body, status) in self.messages.lock().unwrap().iter() {
            if status.is_success() == taken {
                found.entry(id.clone()).or_default().push(body.clone());
            }
        }
        found
    }
}

async fn point(State(receiver): State<Pointing>, headers: HeaderMap, body: String) -> Response {
    let id = headers["webhook-id"].to_str().unwrap().to_owned();
    let status = *receiver.status.lock().unwrap();
    receiver.messages.lock().unwrap().push((id, body, status));
    (status, [("location", receiver.target)]).into_response()
}

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

#[tokio::test(flavor = "multi_thread")]
async fn a_redirected_message_waits_for_its_receiver_and_reaches_nobody_else() {
    let clock = Arc::new(ShiftedClock::starting_at("2025-10-16T04:00:00Z".parse().unwrap()));
    let mut house = House::at(clock.clone()).await;
    // One cloud is enough.
    let from = house.text.find("  gcp:").unwrap();
    house.text.truncate(from);
    let elsewhere = Elsewhere::default();
    let target = elsewhere.listen().await;
    let mut receivers = Vec::new();
    for status in STATUSES {
        let receiver = Pointing::new(status, &target);
        let url = receiver.listen().await;
        receivers.push((format!("answers-{status}"), url, receiver));
    }
    let urls: Vec<_> =
        receivers.iter().map(|(name, url, _)| (name.as_str(), url.as_str())).collect();
    let bands = "bands:\n  - {name: hot, provider: aws, floor: 0, ceiling: 1}\n";
    let more = format!("{bands}{}", notify(&house, &urls));
    house.configure(&more);

    let agent = house.start().await;
    let outcome = |page: &str, name: &str, outcome: &str| {
        let labels = [("receiver", name), ("outcome", outcome)];
        value(page, "costband_notifications_total", &labels).filter(|count| count != "0")
    };
    let page = until("an outcome at every receiver", async || {
        let page = agent.text("/metrics").await;
        let told = |name: &str| {
            ["sent", "failed", "dropped"].iter().any(|word| outcome(&page, name, word).is_some())
        };
        receivers.iter().all(|(name, _, _)| told(name)).then_some(page)
    })
    .await;
    assert_eq!(elsewhere.arrived(), Vec::<String>::new());
    for (name, _, receiver) in &receivers {
        assert!(outcome(&page, name, "failed").is_some(), "{name}");
        assert_eq!(outcome(&page, name, "sent"), None, "{name}");
        assert_eq!(outcome(&page, name, "dropped"), None, "{name}");
        assert!(!receiver.messages(false).is_empty(), "{name}");
    }

    // They come again as they were, once the receiver takes them.
    for (_, _, receiver) in &receivers {
        *receiver.status.lock().unwrap() = StatusCode::NO_CONTENT;
    }
    clock.advance(SignedDuration::from_mins(15));
    for (name, _, receiver) in &receivers {
        let refused = receiver.messages(false);
        let taken = until("the redirected messages", async || {
            let taken = receiver.messages(true);
            refused.keys().all(|id| taken.contains_key(id)).then_some(taken)
        })
        .await;
        for (id, bodies) in &refused {
            assert_eq!(taken[id], bodies[..1], "{name}: {id} came more than once or changed");
        }
        until("the outcome", async || outcome(&agent.text("/metrics").await, name, "sent")).await;
    }
    assert_eq!(elsewhere.arrived(), Vec::<String>::new());
    agent.end().await;
}
