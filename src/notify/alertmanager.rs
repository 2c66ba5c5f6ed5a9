//! Prometheus Alertmanager, API v2: each alert under labels that are the same from its first firing
//! to its end. Alertmanager forgets what is not told again, so what fires is told once a minute.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::file::Language;
use crate::config::problems::Problems;
use crate::config::secret::SecretRef;
use crate::config::values::Span;
use crate::domain::alert::{AlertEnd, AlertId, Severity};
use crate::domain::notice::{AlertNotice, Notice, NoticeKind, Takes};
use crate::notify::http::{Client, secret, send};
use crate::notify::{Common, DeliveryError, Links, Receiver, ReceiverKind, read, text, values};

/// Alertmanager.
pub const KIND: ReceiverKind = ReceiverKind {
    name: "alertmanager",
    schema: |generator| generator.subschema_for::<AlertmanagerEntry>(),
    takes: Takes::Alerts,
    beats: true,
    build: |entry, path, links, problems| {
        let receiver = Alertmanager::build(entry, path, links, problems)?;
        Some(Arc::new(receiver))
    },
};

/// What is not told again for so many intervals is over.
const INTERVALS: i32 = 3;
/// The `end` of an alert that goes on with another severity.
const SEVERITY_CHANGED: &str = "severity_changed";
/// So many alerts go into one request.
const AT_ONCE: usize = 500;

/// A Prometheus Alertmanager, or several of one cluster.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
struct AlertmanagerEntry {
    #[serde(flatten)]
    common: Common,
    /// Its address, before `/api/v2`, or those of all members of a cluster, each of which is told.
    /// `$(VARIABLE)` is replaced from the environment.
    #[schemars(length(min = 1))]
    urls: Vec<String>,
    /// How often what fires is told again; `1m` by default. What is not told for three times as
    /// long is over.
    #[serde(default)]
    refresh: Option<Span>,
    /// The user of basic authentication.
    #[serde(default)]
    user: Option<String>,
    /// The user's password.
    #[serde(default)]
    password: Option<SecretRef>,
    /// A bearer token, instead of a user.
    #[serde(default)]
    bearer_token: Option<SecretRef>,
}

struct Alertmanager {
    entry: AlertmanagerEntry,
    addresses: Vec<Url>,
    language: Language,
    refresh: Duration,
    links: Links,
    client: Client,
    /// How grave each alert was when it was told last, and when. `severity` is a label, so an alert
    /// that has become graver is another one to Alertmanager, and the one before must be ended.
    known: Mutex<BTreeMap<AlertId, (Severity, Timestamp)>>,
}

/// One alert as the API takes it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<&'static str, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<String>,
}

impl Alertmanager {
    fn build(
        entry: &serde_json::Value,
        path: &str,
        links: &Links,
        problems: &mut Problems,
    ) -> Option<Self> {
        let entry: AlertmanagerEntry = read(entry, path, problems)?;
        let refresh = entry.refresh.unwrap_or(Span::seconds(60)).duration();
        if refresh < Duration::from_secs(1) {
            problems.add(format!("{path}.refresh"), "is too often: want at least `1s`");
        }
        if entry.user.is_some() != entry.password.is_some() {
            problems.add(format!("{path}.user"), "and `password` stand together: want both");
        }
        if entry.user.is_some() && entry.bearer_token.is_some() {
            let message = "stands beside `user`: want one of the two";
            problems.add(format!("{path}.bearer_token"), message);
        }
        let mut addresses = Vec::new();
        for (index, text) in entry.urls.iter().enumerate() {
            let base = text.trim_end_matches('/');
            match Url::parse(&format!("{base}/api/v2/alerts")) {
                Ok(url) if url.username().is_empty() && url.password().is_none() => {
                    addresses.push(url);
                }
                Ok(_) => {
                    let message = "holds a user or a password: want `user` and `password`";
                    problems.add(format!("{path}.urls[{index}]"), message);
                }
                Err(_) => problems.add(format!("{path}.urls[{index}]"), "is not an address"),
            }
        }
        Some(Self {
            language: entry.common.language(links),
            client: Client::new(entry.common.timeout()),
            links: links.clone(),
            refresh,
            addresses,
            entry,
            known: Mutex::default(),
        })
    }

    /// An alert as it fires until the next telling is overdue, or as it ended.
    fn told(&self, kind: NoticeKind, alert: &AlertNotice, now: Timestamp) -> Told {
        let mut labels: BTreeMap<String, String> = alert
            .key
            .subject
            .iter()
            .map(|(subject, value)| (subject.as_str().to_owned(), value.clone()))
            .collect();
        let name = match kind {
            NoticeKind::Test => "CostbandTest".to_owned(),
            _ => values::alert_name(alert.key.rule),
        };
        labels.insert("alertname".to_owned(), name);
        labels.insert("severity".to_owned(), alert.details.severity.as_str().to_owned());
        if let Some(period) = alert.key.period {
            labels.insert("billing_period".to_owned(), period.to_string());
        }
        let text = text::alert(kind, alert, &self.links, self.language, now);
        let mut annotations = BTreeMap::from([
            ("summary", text.title.clone()),
            (
                "description",
                [&text.summary]
                    .into_iter()
                    .chain(&text.lines)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join("\n"),
            ),
        ]);
        if !text.causes.is_empty() {
            annotations.insert("causes", text.causes.join("\n"));
        }
        if let Some(runbook) = &text.runbook {
            annotations.insert("runbook_url", runbook.clone());
        }
        if let Some(dashboard) = &self.links.dashboard {
            annotations.insert("dashboard_url", dashboard.clone());
        }
        if let Some(end) = alert.end {
            annotations.insert("end", AlertEnd::as_str(end).to_owned());
        }
        let starts_at = alert.fired_at.unwrap_or(alert.since);
        let ends_at = match kind {
            // Never before the start: that would be refused.
            NoticeKind::Resolved => alert.ended_at.unwrap_or(now).max(starts_at),
            _ => after(now, self.refresh),
        };
        Told {
            labels,
            annotations,
            starts_at: starts_at.to_string(),
            ends_at: ends_at.to_string(),
            generator_url: text.link,
        }
    }

    /// Tells alerts, and the end of those of them that were told with another severity.
    async fn tell_as(
        &self,
        kind: NoticeKind,
        alerts: &[AlertNotice],
        now: Timestamp,
    ) -> Result<(), DeliveryError> {
        let mut told = Vec::new();
        for alert in alerts {
            let before = self.known_severity(&alert.id, now).filter(|_| kind != NoticeKind::Test);
            let changed = before.filter(|before| *before != alert.details.severity);
            match (kind, changed) {
                // Nobody was told of it with the severity that it ends with.
                (NoticeKind::Resolved, Some(before)) => {
                    told.push(self.told(kind, &of_severity(alert, before), now));
                }
                (_, Some(before)) => {
                    let mut ended = self.told(kind, &of_severity(alert, before), now);
                    ended.ends_at = alert.fired_at.unwrap_or(alert.since).max(now).to_string();
                    ended.annotations.insert("end", SEVERITY_CHANGED.to_owned());
                    told.push(ended);
                    told.push(self.told(kind, alert, now));
                }
                (_, None) => told.push(self.told(kind, alert, now)),
            }
        }
        self.tell(&told).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for alert in alerts {
            match kind {
                NoticeKind::Resolved => drop(known.remove(&alert.id)),
                NoticeKind::Test => {}
                NoticeKind::Firing | NoticeKind::Reminder => {
                    known.insert(alert.id.clone(), (alert.details.severity, now));
                }
            }
        }
        known.retain(|_, (_, at)| after(*at, self.refresh) > now);
        Ok(())
    }

    /// How grave it was told, unless Alertmanager has forgotten it by now.
    fn known_severity(&self, id: &AlertId, now: Timestamp) -> Option<Severity> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (severity, at) = known.get(id)?;
        (after(*at, self.refresh) > now).then_some(*severity)
    }

    /// Tells every member of the cluster; one that took it is enough, for what fires is told again.
    async fn tell(&self, alerts: &[Told]) -> Result<(), DeliveryError> {
        let mut told = Err(DeliveryError::lasting("failed to deliver: there is no address"));
        for address in &self.addresses {
            let one = self.tell_one(address, alerts).await;
            if told.is_err() {
                told = one;
            }
        }
        told
    }

    async fn tell_one(&self, address: &Url, alerts: &[Told]) -> Result<(), DeliveryError> {
        for alerts in alerts.chunks(AT_ONCE) {
            let mut request = self.client.post(address.as_str())?.json(alerts);
            if let (Some(user), Some(password)) = (&self.entry.user, &self.entry.password) {
                request = request.basic_auth(user, Some(secret(password)?.expose()));
            } else if let Some(token) = &self.entry.bearer_token {
                request = request.bearer_auth(secret(token)?.expose());
            }
            send(request).await?;
        }
        Ok(())
    }
}

fn of_severity(alert: &AlertNotice, severity: Severity) -> AlertNotice {
    let mut alert = alert.clone();
    alert.details.severity = severity;
    alert
}

fn after(now: Timestamp, interval: Duration) -> Timestamp {
    let interval = SignedDuration::try_from(interval).unwrap_or(SignedDuration::from_mins(1));
    now.saturating_add(interval.saturating_mul(INTERVALS)).unwrap_or(Timestamp::MAX)
}

#[async_trait]
impl Receiver for Alertmanager {
    fn name(&self) -> &str {
        &self.entry.common.name
    }

    async fn deliver(
        &self,
        _id: &str,
        notice: &Notice,
        now: Timestamp,
    ) -> Result<(), DeliveryError> {
        self.tell_as(notice.kind, &notice.alerts, now).await
    }

    fn refresh_every(&self) -> Option<Duration> {
        Some(self.refresh)
    }

    async fn refresh(&self, firing: &[AlertNotice], now: Timestamp) -> Result<(), DeliveryError> {
        if firing.is_empty() {
            return Ok(());
        }
        self.tell_as(NoticeKind::Firing, firing, now).await
    }

    async fn beat(&self, every: Duration, now: Timestamp) -> Result<(), DeliveryError> {
        let words = match self.language {
            Language::En => "costband is alive; it sends this again and again",
            Language::Ko => "costband가 동작 중임을 알리는 주기적인 신호입니다",
        };
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let beat = Told {
            labels: [label("alertname", "CostbandHeartbeat"), label("severity", "none")].into(),
            annotations: [("summary", words.to_owned())].into(),
            starts_at: now.to_string(),
            ends_at: after(now, every).to_string(),
            generator_url: self.links.page.clone(),
        };
        self.tell(&[beat]).await
    }
}
