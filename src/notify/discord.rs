//! Discord, by a channel's webhook: one embed for each alert. Names mention nobody and read as text.

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

/// Discord.
pub const KIND: ReceiverKind = ReceiverKind {
    name: "discord",
    schema: |generator| generator.subschema_for::<DiscordEntry>(),
    takes: Takes::Groups,
    beats: false,
    build: |entry, path, links, problems| {
        Some(Arc::new(Discord::build(entry, path, links, problems)?))
    },
};

/// Discord refuses more than ten embeds, longer parts of one,
const MOST_EMBEDS: usize = 10;
const LONGEST_TITLE: usize = 256;
const LONGEST_DESCRIPTION: usize = 4_096;
/// and more than 6,000 characters in all of them.
const BUDGET: usize = 5_900;

/// A channel of Discord.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
struct DiscordEntry {
    #[serde(flatten)]
    common: Common,
    /// The webhook's address, which is a secret.
    url_from: SecretRef,
}

struct Discord {
    entry: DiscordEntry,
    links: Links,
    client: Client,
}

impl Discord {
    fn build(entry: &Value, path: &str, links: &Links, problems: &mut Problems) -> Option<Self> {
        let entry: DiscordEntry = read(entry, path, problems)?;
        let client = Client::new(entry.common.timeout());
        Some(Self { client, links: links.clone(), entry })
    }
}

#[async_trait]
impl Receiver for Discord {
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
    let embeds: Vec<(usize, Value)> =
        text.alerts.iter().map(|alert| embed(alert, &text.words)).collect();
    let shown = text::fitting(&embeds, MOST_EMBEDS, BUDGET, |(size, _)| *size);
    let left_out = embeds.len().saturating_sub(shown);
    let mut content = vec![escaped(&values::shorten(&text.title, LONGEST_TITLE))];
    if left_out > 0 {
        content.push(text.words.left_out(left_out));
    }
    content.extend(text.dashboard.iter().map(|url| format!("[{}](<{url}>)", text.words.dashboard)));
    json!({
        "content": content.join("\n"),
        "embeds": embeds.into_iter().take(shown).map(|(_, embed)| embed).collect::<Vec<_>>(),
        "allowed_mentions": {"parse": []},
    })
}

/// An embed, and how many characters of it count.
fn embed(alert: &AlertText, words: &Words) -> (usize, Value) {
    let mut lines = vec![escaped(&alert.summary)];
    lines.extend(alert.lines.iter().map(|line| escaped(line)));
    lines.extend(alert.cause_lines(words).iter().map(|line| escaped(line)));
    if let Some(runbook) = &alert.runbook {
        lines.push(format!("[{}](<{runbook}>)", words.runbook));
    }
    let title = values::shorten(&escaped(&alert.title), LONGEST_TITLE);
    let description = values::shorten(&lines.join("\n"), LONGEST_DESCRIPTION);
    let color = match alert.tone {
        Tone::Good => 0x2e_b6_7d,
        Tone::Plain => 0x8a_8f_98,
        Tone::Critical => 0xd0_1f_2e,
        Tone::Warning => 0xe8_a3_17,
        Tone::Info => 0x4a_77_c4,
    };
    let size = title.chars().count() + description.chars().count();
    let mut embed = json!({"title": title, "description": description, "color": color});
    if let (Some(url), Value::Object(embed)) = (&alert.link, &mut embed) {
        embed.insert("url".to_owned(), json!(url));
    }
    (size, embed)
}

/// A text whose markup, mentions and links are read as they are written.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if matches!(c, '\\' | '*' | '_' | '~' | '`' | '|' | '[' | ']' | '<' | '>' | '#' | '@') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
