//! PagerDuty, Events API v2: an incident for each alert, opened and resolved under its identity.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::problems::Problems;
use crate::config::secret::SecretRef;
use crate::domain::alert::AlertEnd;
use crate::domain::notice::{AlertNotice, Notice, NoticeKind, Takes};
use crate::notify::http::{Client, is_temporary, secret, send_judged};
use crate::notify::{Common, DeliveryError, Links, Receiver, ReceiverKind, read, text, values};

/// PagerDuty.
pub const KIND: ReceiverKind = ReceiverKind {
    name: "pagerduty",
    schema: |generator| generator.subschema_for::<PagerDutyEntry>(),
    takes: Takes::Alerts,
    beats: false,
    build: |entry, path, links, problems| {
        Some(Arc::new(PagerDuty::build(entry, path, links, problems)?))
    },
};

const USUAL_URL: &str = "https://events.pagerduty.com/v2/enqueue";
/// PagerDuty refuses a longer summary.
const LONGEST_SUMMARY: usize = 1024;

/// A service of PagerDuty.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
struct PagerDutyEntry {
    #[serde(flatten)]
    common: Common,
    /// The integration key of a service (Events API v2).
    routing_key: SecretRef,
    /// Where events go; `https://events.pagerduty.com/v2/enqueue` by default. Accounts of the
    /// European region want `https://events.eu.pagerduty.com/v2/enqueue`.
    #[serde(default)]
    url: Option<String>,
}

struct PagerDuty {
    entry: PagerDutyEntry,
    links: Links,
    client: Client,
}

impl PagerDuty {
    fn build(entry: &Value, path: &str, links: &Links, problems: &mut Problems) -> Option<Self> {
        let entry: PagerDutyEntry = read(entry, path, problems)?;
        let client = Client::new(entry.common.timeout());
        Some(Self { client, links: links.clone(), entry })
    }

    fn event(&self, kind: NoticeKind, alert: &AlertNotice, key: &str, now: Timestamp) -> Value {
        let language = self.entry.common.language(&self.links);
        let text = text::alert(kind, alert, &self.links, language, now);
        let dedup_key = match kind {
            NoticeKind::Test => format!("costband-test-{key}"),
            _ => alert.id.to_string(),
        };
        let about = alert.key.subject.values().next().map(|value| values::name(value));
        let mut details = json!({
            "summary": text.summary,
            "details": text.lines,
            "rule": alert.key.rule.as_str(),
        });
        if let Value::Object(details) = &mut details {
            if !text.causes.is_empty() {
                details.insert("causes".to_owned(), json!(text.causes));
            }
            if let Some(end) = alert.end {
                details.insert("end".to_owned(), json!(AlertEnd::as_str(end)));
            }
        }
        let words = text::Words::of(language);
        let mut links: Vec<Value> =
            text.links(&words).map(|(word, url)| json!({"href": url, "text": word})).collect();
        links.extend(
            self.links.dashboard.iter().map(|url| json!({"href": url, "text": words.dashboard})),
        );
        let action = if kind == NoticeKind::Resolved { "resolve" } else { "trigger" };
        let mut event = json!({
            "event_action": action,
            "dedup_key": dedup_key,
            "payload": {
                "summary": values::shorten(
                    &format!("{}. {}", text.title, text.summary),
                    LONGEST_SUMMARY,
                ),
                "source": about.unwrap_or_else(|| "costband".to_owned()),
                "severity": alert.details.severity.as_str(),
                "timestamp": alert.fired_at.unwrap_or(alert.since).to_string(),
                "component": "costband",
                "class": alert.key.rule.as_str(),
                "custom_details": details,
            },
            "client": "costband",
            "links": links,
        });
        if let (Some(url), Value::Object(event)) = (&text.link, &mut event) {
            event.insert("client_url".to_owned(), json!(url));
        }
        event
    }

    async fn post(&self, mut event: Value) -> Result<(), DeliveryError> {
        let key = secret(&self.entry.routing_key)?;
        if let Value::Object(event) = &mut event {
            event.insert("routing_key".to_owned(), json!(key.expose()));
        }
        let url = self.entry.url.as_deref().unwrap_or(USUAL_URL);
        let request = self.client.post(url)?.json(&event);
        send_judged(request, is_temporary_answer).await.map(drop)
    }
}

/// A wrong routing key is a 400 as well, and can be mended; PagerDuty's `errors` say what is wrong.
fn is_temporary_answer(status: StatusCode, body: &[u8]) -> bool {
    if status != StatusCode::BAD_REQUEST {
        return is_temporary(status);
    }
    let told: Option<Value> = serde_json::from_slice(body).ok();
    let errors = told.as_ref().and_then(|told| told.get("errors")?.as_array());
    let of_key =
        |error: &Value| error.as_str().is_none_or(|error| error.to_lowercase().contains("routing"));
    errors.is_none_or(|errors| errors.iter().all(of_key))
}

#[async_trait]
impl Receiver for PagerDuty {
    fn name(&self) -> &str {
        &self.entry.common.name
    }

    async fn deliver(
        &self,
        id: &str,
        notice: &Notice,
        now: Timestamp,
    ) -> Result<(), DeliveryError> {
        for alert in &notice.alerts {
            let event = self.event(notice.kind, alert, id, now);
            let dedup_key = event.get("dedup_key").cloned();
            self.post(event).await?;
            if notice.kind == NoticeKind::Test {
                // Nobody is to be woken twice by a test.
                self.post(json!({"event_action": "resolve", "dedup_key": dedup_key})).await?;
            }
        }
        Ok(())
    }
}
