//! Slack, by an incoming webhook: a header, and one coloured attachment for each alert. Names stand
//! in plain text, where Slack reads no markup.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::problems::Problems;
use crate::config::secret::SecretRef;
use crate::domain::notice::{Notice, Takes};
use crate::notify::http::{Client, secret, send};
use crate::notify::text::{AlertText, NoticeText, Tone, Words};
use crate::notify::{Common, DeliveryError, Links, Receiver, ReceiverKind, read, text, values};

/// Slack.
pub const KIND: ReceiverKind = ReceiverKind {
    name: "slack",
    schema: |generator| generator.subschema_for::<SlackEntry>(),
    takes: Takes::Groups,
    beats: false,
    build: |entry, path, links, problems| {
        Some(Arc::new(Slack::build(entry, path, links, problems)?))
    },
};

/// Slack refuses a longer header,
const LONGEST_HEADER: usize = 150;
/// a longer section,
const LONGEST_SECTION: usize = 3_000;
/// and more than 50 blocks or, which it does not document, some 13,000 characters.
const MOST_ALERTS: usize = 15;
const BUDGET: usize = 11_000;

/// A channel of Slack.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
struct SlackEntry {
    #[serde(flatten)]
    common: Common,
    /// The incoming webhook's address, which is a secret.
    url_from: SecretRef,
}

struct Slack {
    entry: SlackEntry,
    links: Links,
    client: Client,
}

impl Slack {
    fn build(entry: &Value, path: &str, links: &Links, problems: &mut Problems) -> Option<Self> {
        let entry: SlackEntry = read(entry, path, problems)?;
        let client = Client::new(entry.common.timeout());
        Some(Self { client, links: links.clone(), entry })
    }
}

#[async_trait]
impl Receiver for Slack {
    fn name(&self) -> &str {
        &self.entry.common.name
    }

    fn least_interval(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn deliver(&self, _: &str, notice: &Notice, now: Timestamp) -> Result<(), DeliveryError> {
        let language = self.entry.common.language(&self.links);
        let payload = payload(&text::notice(notice, &self.links, language, now));
        let url = secret(&self.entry.url_from)?;
        send(self.client.post(url.expose())?.json(&payload)).await.map(drop)
    }
}

fn payload(text: &NoticeText) -> Value {
    let attachments: Vec<Value> =
        text.alerts.iter().map(|alert| attachment(alert, &text.words)).collect();
    let size = |one: &Value| one.to_string().chars().count();
    let shown = text::fitting(&attachments, MOST_ALERTS, BUDGET, size);
    let left_out = attachments.len().saturating_sub(shown);
    let title = values::shorten(&text.title, LONGEST_HEADER);
    let mut blocks = vec![json!({"type": "header", "text": plain(&title)})];
    if left_out > 0 {
        let words = plain(&text.words.left_out(left_out));
        blocks.push(json!({"type": "section", "text": words}));
    }
    if let Some(url) = &text.dashboard {
        blocks.push(links([(text.words.dashboard, url.as_str())].into_iter()));
    }
    json!({
        // Without blocks, as in a notification; markup is read here.
        "text": escaped(&title),
        "blocks": blocks,
        "attachments": attachments.into_iter().take(shown).collect::<Vec<_>>(),
    })
}

fn attachment(alert: &AlertText, words: &Words) -> Value {
    let mut lines = vec![alert.title.clone(), alert.summary.clone()];
    lines.extend(alert.lines.iter().cloned());
    lines.extend(alert.cause_lines(words));
    let body = values::shorten(&lines.join("\n"), LONGEST_SECTION);
    let mut blocks = vec![json!({"type": "section", "text": plain(&body)})];
    if alert.links(words).next().is_some() {
        blocks.push(links(alert.links(words)));
    }
    let color = match alert.tone {
        Tone::Good => "#2eb67d",
        Tone::Plain => "#8a8f98",
        Tone::Critical => "#d01f2e",
        Tone::Warning => "#e8a317",
        Tone::Info => "#4a77c4",
    };
    json!({"color": color, "fallback": escaped(&alert.title), "blocks": blocks})
}

fn plain(text: &str) -> Value {
    json!({"type": "plain_text", "text": text, "emoji": false})
}

fn links<'a>(links: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    let link = |(word, url): (&str, &str)| {
        let url = escaped(url).replace('|', "%7C");
        format!("<{url}|{word}>")
    };
    let text = links.map(link).collect::<Vec<_>>().join(" · ");
    json!({"type": "context", "elements": [{"type": "mrkdwn", "text": text}]})
}

/// Slack reads these three alone as control characters.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
