//! A webhook signed as the Standard Webhooks specification says: `webhook-id`,
//! `webhook-timestamp` and `webhook-signature: v1,<base64 HMAC-SHA256>` over id, time and body.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::problems::Problems;
use crate::config::secret::{Secret, SecretRef};
use crate::domain::notice::{Notice, NoticeKind, Takes};
use crate::notify::http::{Client, secret, send};
use crate::notify::{Common, DeliveryError, Links, Receiver, ReceiverKind, read, text};

/// Signed webhooks.
pub const KIND: ReceiverKind = ReceiverKind {
    name: "webhook",
    schema: |generator| generator.subschema_for::<WebhookEntry>(),
    takes: Takes::Groups,
    beats: true,
    build: |entry, path, links, problems| {
        Some(Arc::new(Webhook::build(entry, path, links, problems)?))
    },
};

/// A receiver of signed webhooks (Standard Webhooks).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
struct WebhookEntry {
    #[serde(flatten)]
    common: Common,
    /// Where messages go; `$(VARIABLE)` is replaced from the environment. An address that holds a
    /// token belongs into `url_from`.
    #[serde(default)]
    url: Option<String>,
    /// Where messages go, kept as a secret, instead of `url`.
    #[serde(default)]
    url_from: Option<SecretRef>,
    /// The signing key: `whsec_` and base64, as in the Standard Webhooks specification.
    secret: SecretRef,
}

struct Webhook {
    entry: WebhookEntry,
    links: Links,
    client: Client,
}

impl Webhook {
    fn build(entry: &Value, path: &str, links: &Links, problems: &mut Problems) -> Option<Self> {
        let entry: WebhookEntry = read(entry, path, problems)?;
        match (&entry.url, &entry.url_from) {
            (Some(_), Some(_)) => {
                let message = "stands beside `url_from`: want one of the two";
                problems.add(format!("{path}.url"), message);
            }
            (None, None) => {
                problems.add(format!("{path}.url"), "is missing: want `url` or `url_from`");
            }
            _ => {}
        }
        let client = Client::new(entry.common.timeout());
        Some(Self { client, links: links.clone(), entry })
    }

    async fn post(&self, id: &str, body: String, now: Timestamp) -> Result<(), DeliveryError> {
        let address = match (&self.entry.url, &self.entry.url_from) {
            (Some(url), _) => Secret::new(url.as_str()),
            (None, Some(from)) => secret(from)?,
            (None, None) => return Err(DeliveryError::lasting("there is no address")),
        };
        let key = secret(&self.entry.secret)?;
        let key = signing_key(&key).map_err(DeliveryError::passing)?;
        let timestamp = now.as_second();
        let request = self
            .client
            .post(address.expose())?
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature(&key, id, timestamp, &body))
            .body(body);
        send(request).await.map(drop)
    }

    /// The documented body of a message: figures with their types, and the words of people.
    fn body(&self, notice: &Notice, now: Timestamp) -> Value {
        let language = self.entry.common.language(&self.links);
        let words = text::notice(notice, &self.links, language, now);
        let alerts = notice.alerts.iter().zip(&words.alerts).map(|(alert, text)| {
            json!({
                "id": alert.id,
                "rule": alert.key.rule,
                "severity": alert.details.severity,
                "subject": alert.key.subject,
                "period": alert.key.period.map(|period| period.to_string()),
                "phase": alert.phase,
                "since": alert.since.to_string(),
                "fired_at": alert.fired_at.map(|at| at.to_string()),
                "ended_at": alert.ended_at.map(|at| at.to_string()),
                "end": alert.end,
                "acknowledged": alert.acknowledged,
                "figures": alert.details.figures,
                "causes": alert.details.causes,
                "owner": alert.details.owner,
                "runbook_url": alert.details.runbook_url,
                "url": text.link,
                "text": {
                    "title": text.title,
                    "summary": text.summary,
                    "lines": text.lines,
                    "causes": text.causes,
                },
            })
        });
        let kind = match notice.kind {
            NoticeKind::Firing => "alert.firing",
            NoticeKind::Reminder => "alert.reminder",
            NoticeKind::Resolved => "alert.resolved",
            NoticeKind::Test => "test",
        };
        json!({
            "type": kind,
            "timestamp": notice.at.to_string(),
            "data": {
                "title": words.title,
                "alerts": alerts.collect::<Vec<_>>(),
                "dashboard_url": words.dashboard,
            },
        })
    }
}

#[async_trait]
impl Receiver for Webhook {
    fn name(&self) -> &str {
        &self.entry.common.name
    }

    async fn deliver(
        &self,
        id: &str,
        notice: &Notice,
        now: Timestamp,
    ) -> Result<(), DeliveryError> {
        self.post(id, self.body(notice, now).to_string(), now).await
    }

    async fn beat(&self, every: Duration, now: Timestamp) -> Result<(), DeliveryError> {
        let body = json!({
            "type": "heartbeat",
            "timestamp": now.to_string(),
            "data": {"every_seconds": every.as_secs()},
        });
        self.post(&format!("heartbeat-{}", now.as_second()), body.to_string(), now).await
    }
}

/// Reads a signing key of the form `whsec_<base64>`.
///
/// # Errors
/// What is wrong with it, without showing it.
pub fn signing_key(secret: &Secret) -> Result<hmac::Key, &'static str> {
    let encoded = secret
        .expose()
        .strip_prefix("whsec_")
        .ok_or("the webhook's secret does not begin with `whsec_`")?;
    let bytes = STANDARD
        .decode(encoded)
        .map_err(|_| "the webhook's secret is not base64 after `whsec_`")?;
    if bytes.len() < 24 {
        return Err("the webhook's secret is shorter than 24 bytes");
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

fn signature(key: &hmac::Key, id: &str, timestamp: i64, payload: &str) -> String {
    let signed = format!("{id}.{timestamp}.{payload}");
    format!("v1,{}", STANDARD.encode(hmac::sign(key, signed.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification's reference libraries.
    #[test]
    fn a_message_is_signed_as_the_specification_says() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let key = signing_key(&secret).expect("well formed");
        let signature = signature(
            &key,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_key_that_cannot_be_read_is_not_shown() {
        for wrong in ["plain", "whsec_###", "whsec_c2hvcnQ="] {
            let reason = signing_key(&Secret::new(wrong)).expect_err("it is wrong");
            assert!(!reason.contains(wrong), "{reason}");
        }
    }
}
