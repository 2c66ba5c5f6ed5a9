//! Microsoft Teams, by a Workflows webhook: an adaptive card. Names stand in text runs, which read
//! no markup.

use std::sync::Arc;

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

/// Microsoft Teams.
pub const KIND: ReceiverKind = ReceiverKind {
    name: "teams",
    schema: |generator| generator.subschema_for::<TeamsEntry>(),
    takes: Takes::Groups,
    beats: false,
    build: |entry, path, links, problems| {
        Some(Arc::new(Teams::build(entry, path, links, problems)?))
    },
};

/// Teams refuses a message of more than 28 KB; the frame around the alerts needs some of it.
const BUDGET: usize = 22_000;
const MOST_ALERTS: usize = 20;
const LONGEST_TITLE: usize = 250;

/// A channel or chat of Microsoft Teams.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
struct TeamsEntry {
    #[serde(flatten)]
    common: Common,
    /// The address of the workflow, which is a secret.
    url_from: SecretRef,
}

struct Teams {
    entry: TeamsEntry,
    links: Links,
    client: Client,
}

impl Teams {
    fn build(entry: &Value, path: &str, links: &Links, problems: &mut Problems) -> Option<Self> {
        let entry: TeamsEntry = read(entry, path, problems)?;
        let client = Client::new(entry.common.timeout());
        Some(Self { client, links: links.clone(), entry })
    }
}

#[async_trait]
impl Receiver for Teams {
    fn name(&self) -> &str {
        &self.entry.common.name
    }

    async fn deliver(&self, _: &str, notice: &Notice, now: Timestamp) -> Result<(), DeliveryError> {
        let language = self.entry.common.language(&self.links);
        let payload = payload(&text::notice(notice, &self.links, language, now));
        let url = secret(&self.entry.url_from)?;
        send(self.client.post(url.expose())?.json(&payload)).await.map(drop)
    }
}

fn payload(text: &NoticeText) -> Value {
    let containers: Vec<Value> =
        text.alerts.iter().map(|alert| container(alert, &text.words)).collect();
    let size = |one: &Value| one.to_string().len();
    let shown = text::fitting(&containers, MOST_ALERTS, BUDGET, size);
    let left_out = containers.len().saturating_sub(shown);
    let title = values::shorten(&text.title, LONGEST_TITLE);
    let mut body = vec![block(&title, &json!({"weight": "Bolder", "size": "Medium"}))];
    body.extend(containers.into_iter().take(shown));
    if left_out > 0 {
        body.push(block(&text.words.left_out(left_out), &json!({"isSubtle": true})));
    }
    let mut actions: Vec<Value> = Vec::new();
    if let [one] = text.alerts.as_slice() {
        actions.extend(one.links(&text.words).map(open));
    }
    actions.extend(text.dashboard.iter().map(|url| open((text.words.dashboard, url.as_str()))));
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.2",
                "body": body,
                "actions": actions,
                "msteams": {"width": "full"},
            },
        }],
    })
}

fn container(alert: &AlertText, words: &Words) -> Value {
    let mut items =
        vec![block(&alert.title, &json!({"weight": "Bolder"})), block(&alert.summary, &json!({}))];
    items.extend(alert.lines.iter().map(|line| block(line, &json!({}))));
    items.extend(alert.cause_lines(words).iter().map(|line| block(line, &json!({}))));
    let style = match alert.tone {
        Tone::Good => "good",
        Tone::Plain => "emphasis",
        Tone::Critical => "attention",
        Tone::Warning => "warning",
        Tone::Info => "accent",
    };
    let mut container = json!({"type": "Container", "style": style, "items": items});
    if let (Some(url), Value::Object(container)) = (&alert.link, &mut container) {
        container.insert("selectAction".to_owned(), open((words.open, url.as_str())));
    }
    container
}

/// One line; a text run, other than a text block, reads no markup.
fn block(text: &str, look: &Value) -> Value {
    let mut run = json!({"type": "TextRun", "text": text});
    if let (Value::Object(run), Value::Object(look)) = (&mut run, look) {
        run.extend(look.clone());
    }
    json!({"type": "RichTextBlock", "spacing": "Small", "inlines": [run]})
}

fn open((word, url): (&str, &str)) -> Value {
    json!({"type": "Action.OpenUrl", "title": word, "url": url})
}
