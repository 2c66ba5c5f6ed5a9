//! Messages out: one line for each kind of receiver, one trait that all of them have, and what went
//! wrong with a delivery. A receiver turns a [`Notice`] into its service's own shape when it is
//! delivered, so that text follows the configuration.

pub mod alertmanager;
pub mod discord;
pub mod email;
pub mod http;
pub mod pagerduty;
pub mod slack;
pub mod teams;
pub mod text;
pub mod trial;
mod values;
pub mod webhook;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use crate::config::file::Language;
use crate::config::problems::Problems;
use crate::config::values::Span;
use crate::config::{Config, ReceiverEntry};
use crate::domain::alert::Severity;
use crate::domain::notice::{AlertNotice, Notice, Recipient, Takes};

/// Somebody who is told.
#[async_trait]
pub trait Receiver: Send + Sync {
    /// The configured name.
    fn name(&self) -> &str;

    /// The least time between two messages; none by default.
    fn least_interval(&self) -> Duration {
        Duration::ZERO
    }

    /// Delivers a message. `id` is the same for every copy of it; `now` is the calendar's clock.
    ///
    /// # Errors
    /// A [`DeliveryError`] that holds no secret and no address.
    async fn deliver(&self, id: &str, notice: &Notice, now: Timestamp)
    -> Result<(), DeliveryError>;

    /// How often what fires is told again, for receivers that forget (Alertmanager).
    fn refresh_every(&self) -> Option<Duration> {
        None
    }

    /// Tells again what fires, for receivers that forget.
    ///
    /// # Errors
    /// As [`Receiver::deliver`].
    async fn refresh(&self, _firing: &[AlertNotice], _now: Timestamp) -> Result<(), DeliveryError> {
        Ok(())
    }

    /// A sign of life: the next one comes after `every`.
    ///
    /// # Errors
    /// As [`Receiver::deliver`]; a kind that takes none says so, which the configuration prevents.
    async fn beat(&self, _every: Duration, _now: Timestamp) -> Result<(), DeliveryError> {
        Err(DeliveryError::lasting("the receiver takes no heartbeat"))
    }
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct DeliveryError {
    /// What came back; never a secret.
    pub reason: String,
    /// Whether a later attempt may do well.
    pub is_temporary: bool,
    /// Whether it may have arrived all the same: the answer was lost, not the message.
    pub may_have_arrived: bool,
    /// How long the receiver asks to wait.
    pub retry_after: Option<Duration>,
}

impl DeliveryError {
    /// One that a later attempt may mend.
    pub fn passing(reason: impl Into<String>) -> Self {
        Self { is_temporary: true, ..Self::lasting(reason) }
    }

    /// The same, of a message that may have arrived.
    #[must_use]
    pub fn perhaps_arrived(self, may_have_arrived: bool) -> Self {
        Self { may_have_arrived, ..self }
    }

    /// One that the same message meets again.
    pub fn lasting(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            is_temporary: false,
            may_have_arrived: false,
            retry_after: None,
        }
    }
}

/// Makes a receiver of an entry, its path, what messages link to, and where problems are noted.
type Build = fn(&serde_json::Value, &str, &Links, &mut Problems) -> Option<Arc<dyn Receiver>>;

/// One kind of receiver: how its configuration is described and how it is made.
pub struct ReceiverKind {
    /// The key under `notify` in the configuration.
    pub name: &'static str,
    /// The JSON Schema of one entry.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// How messages for it are put together.
    pub takes: Takes,
    /// Whether it takes a heartbeat.
    pub beats: bool,
    /// Makes a receiver of one entry whose structure was checked against the schema. Notes what is
    /// wrong under `path` (`notify.slack[0]`) and returns none then. Reads no network.
    pub build: Build,
}

/// Every kind of receiver.
pub const RECEIVERS: &[ReceiverKind] = &[
    alertmanager::KIND,
    slack::KIND,
    teams::KIND,
    pagerduty::KIND,
    discord::KIND,
    email::KIND,
    webhook::KIND,
];

/// The settings that every receiver has, flattened into its entry.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct Common {
    /// A unique name: the `receiver` label.
    pub name: String,
    /// Alerts that matter less are not told; `info` by default, which is all.
    #[serde(default)]
    pub minimum_severity: Option<SeverityWord>,
    /// Whether it is told when alerts are over; `true` by default.
    #[serde(default)]
    pub send_resolved: Option<bool>,
    /// The language of its messages; the top-level `language` by default.
    #[serde(default)]
    pub language: Option<Language>,
    /// How long one delivery may take; `10s` by default.
    #[serde(default)]
    pub timeout: Option<Span>,
}

/// How much an alert matters.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SeverityWord {
    /// Somebody is woken.
    Critical,
    /// Somebody looks within the day.
    Warning,
    /// Nobody need do anything.
    Info,
}

impl Common {
    /// The language of its messages.
    pub fn language(&self, links: &Links) -> Language {
        self.language.unwrap_or(links.language)
    }

    /// How long one delivery may take.
    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(Span::seconds(10)).duration()
    }
}

/// What every receiver's messages share.
#[derive(Debug, Clone, Default)]
pub struct Links {
    /// The language where an entry names none.
    pub language: Language,
    /// Where people open the page, without a slash at its end.
    pub page: Option<String>,
    /// A dashboard.
    pub dashboard: Option<String>,
}

impl Links {
    /// Those of a configuration.
    pub fn of(config: &Config) -> Self {
        let page = config.external_url.as_ref();
        Self {
            language: config.language,
            page: page.map(|url| url.as_str().trim_end_matches('/').to_owned()),
            dashboard: config.dashboard_url.as_ref().map(|url| url.as_str().to_owned()),
        }
    }

    /// The page of an alert.
    pub fn alert(&self, alert: &AlertNotice) -> Option<String> {
        self.page.as_ref().map(|page| format!("{page}/alerts/{}", alert.id))
    }
}

/// Makes a receiver and what the choice of who is told needs to know of it.
pub fn build(
    entry: &ReceiverEntry,
    config: &Config,
    problems: &mut Problems,
) -> Option<(Arc<dyn Receiver>, Recipient)> {
    let kind = RECEIVERS.iter().find(|kind| kind.name == entry.kind)?;
    let common: Common = read(&entry.value, &entry.path, problems)?;
    if common.timeout().is_zero() {
        let path = format!("{}.timeout", entry.path);
        problems.add(path, "leaves no time: want one such as `10s`");
    }
    let receiver = (kind.build)(&entry.value, &entry.path, &Links::of(config), problems)?;
    let recipient = Recipient {
        name: entry.name.clone(),
        takes: kind.takes,
        minimum_severity: match common.minimum_severity.unwrap_or(SeverityWord::Info) {
            SeverityWord::Critical => Severity::Critical,
            SeverityWord::Warning => Severity::Warning,
            SeverityWord::Info => Severity::Info,
        },
        resolved: common.send_resolved.unwrap_or(true),
    };
    Some((receiver, recipient))
}

/// An entry as its kind's type. What serde says of a value that the schema let through is left out:
/// it may repeat a secret.
pub(crate) fn read<T: serde::de::DeserializeOwned>(
    value: &serde_json::Value,
    path: &str,
    problems: &mut Problems,
) -> Option<T> {
    let read = serde_json::from_value(value.clone()).ok();
    if read.is_none() {
        problems.add(path, "cannot be read as its kind's schema says");
    }
    read
}

/// Refuses a heartbeat to a kind that takes none.
pub fn check_heartbeat(config: &Config, problems: &mut Problems) {
    let Some(heartbeat) = &config.heartbeat else { return };
    for (index, name) in heartbeat.receivers.iter().enumerate() {
        let entry = config.receivers.iter().find(|entry| entry.name == *name);
        let beats = |entry: &ReceiverEntry| {
            RECEIVERS.iter().any(|kind| kind.name == entry.kind && kind.beats)
        };
        if entry.is_some_and(|entry| !beats(entry)) {
            problems.add(
                format!("heartbeat.receivers[{index}]"),
                format!(
                    "`{name}` takes no heartbeat: want a receiver of the kind `alertmanager` or \
                     `webhook`"
                ),
            );
        }
    }
}
