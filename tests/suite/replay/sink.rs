//! Who is told: a webhook that verifies every signature as Standard Webhooks says.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use costband::domain::ports::Clock;
use jiff::Timestamp;
use serde_json::Value;

use crate::clock::SetClock;

/// Without the prefix of its form.
pub(super) const KEY: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

struct Message {
    at: Timestamp,
    id: String,
    body: String,
}

/// A webhook, and what it took.
pub(super) struct Sink {
    pub(super) url: String,
    heard: Arc<Mutex<Vec<Message>>>,
    refused: Arc<Mutex<Vec<String>>>,
}

type Shared<T> = Arc<Mutex<Vec<T>>>;

impl Sink {
    pub(super) async fn listen(clock: Arc<SetClock>) -> Self {
        let (heard, refused): (Shared<Message>, Shared<String>) = Default::default();
        let (messages, wrong) = (heard.clone(), refused.clone());
        let answer = async move |headers: HeaderMap, body: String| {
            if let Err(reason) = verify(&headers, &body) {
                wrong.lock().unwrap().push(reason);
                return StatusCode::UNAUTHORIZED;
            }
            let id = headers["webhook-id"].to_str().unwrap().to_owned();
            messages.lock().unwrap().push(Message { at: clock.now(), id, body });
            StatusCode::NO_CONTENT
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, heard, refused }
    }

    pub(super) fn messages(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    /// How many messages came again under their key. Whatever comes again is the same.
    pub(super) fn repeats(&self) -> u64 {
        let heard = self.heard.lock().unwrap();
        let mut first: BTreeMap<&str, &str> = BTreeMap::new();
        let mut repeats = 0;
        for message in heard.iter() {
            if let Some(known) = first.insert(&message.id, &message.body) {
                assert_eq!(known, message.body, "{} came with another body", message.id);
                repeats += 1;
            }
        }
        repeats
    }

    /// Every message that came first under its key: when, why, and each of its alerts.
    pub(super) fn told(&self) -> String {
        assert_eq!(*self.refused.lock().unwrap(), Vec::<String>::new());
        let heard = self.heard.lock().unwrap();
        let (mut told, mut ids) = (String::new(), std::collections::BTreeSet::new());
        for Message { at, id, body } in heard.iter() {
            if !ids.insert(id) {
                continue;
            }
            let body: Value = serde_json::from_str(body).unwrap();
            let kind = body["type"].as_str().unwrap().trim_start_matches("alert.");
            for (place, alert) in body["data"]["alerts"].as_array().unwrap().iter().enumerate() {
                let word = |key: &str| alert[key].as_str().unwrap_or("-").to_owned();
                let subject = alert["subject"].as_object().unwrap();
                let subject: Vec<&str> = subject.values().map(|v| v.as_str().unwrap()).collect();
                // What came in one message stands below its first line.
                let at = if place == 0 { at.to_string() } else { format!("{:>20}", "") };
                let at = at.replace(' ', ".");
                let (rule, period, severity) = (word("rule"), word("period"), word("severity"));
                let end = match alert["end"].as_str() {
                    Some(end) => format!(" {end}"),
                    None => String::new(),
                };
                let summary = alert["text"]["summary"].as_str().unwrap().replace('\n', " ");
                let of = subject.join(",");
                let _ =
                    writeln!(told, "{at} {kind} {rule} {of} {period} {severity}{end}: {summary}");
            }
        }
        told
    }
}

fn verify(headers: &HeaderMap, body: &str) -> Result<(), String> {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.map(str::to_owned).ok_or_else(|| format!("no `{name}`"))
    };
    let (id, at) = (header("webhook-id")?, header("webhook-timestamp")?);
    let sent: i64 = at.parse().map_err(|_| format!("`{at}` is no time"))?;
    if (Timestamp::now().as_second() - sent).abs() > 300 {
        return Err(format!("{id} is of {at}"));
    }
    let signatures = header("webhook-signature")?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(KEY).unwrap());
    let is_right = signatures.split(' ').filter_map(|one| one.strip_prefix("v1,")).any(|one| {
        let signature = STANDARD.decode(one).unwrap_or_default();
        hmac::verify(&key, format!("{id}.{at}.{body}").as_bytes(), &signature).is_ok()
    });
    if is_right { Ok(()) } else { Err(format!("{id} is signed by somebody else")) }
}
