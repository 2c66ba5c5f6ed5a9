//! The documents of alerts: what is pending and fires, what became of each, and silences.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::alert::{
    AlertCause, AlertEnd, AlertId, AlertState, Figure, Silence, SilenceMatchers,
};
use crate::domain::notice::AlertEvent;
use crate::snapshot::Snapshot;

/// `/api/v1/alerts`: every alert that is pending or fires, the gravest first.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Alerts {
    /// When the snapshot was made, RFC 3339.
    pub as_of: String,
    /// The alerts.
    pub alerts: Vec<AlertView>,
}

/// An alert.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AlertView {
    /// Its identity: the same from its first firing to its end, in every message.
    pub id: String,
    /// What is wrong, as `ceiling_forecast`.
    pub rule: String,
    /// `critical`, `warning` or `info`.
    pub severity: String,
    /// `pending`, `firing` or `resolved`.
    pub phase: String,
    /// What it is about: `band`, `source`, `cluster` and the like, with their values.
    pub subject: BTreeMap<String, String>,
    /// The billing period; absent for the agent's own health.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<String>,
    /// Since when it is met.
    pub since: String,
    /// When it fired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fired_at: Option<String>,
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// Why it is over: `cleared`, `period_final` or `not_configured`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Why nobody is told of it: `silenced`, or `inhibited` by a graver alert of the same thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muted: Option<String>,
    /// Who has taken it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<AcknowledgementView>,
    /// How much, since when, by when.
    pub figures: BTreeMap<String, FigureView>,
    /// What moved it, the largest first.
    pub causes: Vec<AlertCauseView>,
    /// Who is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runbook_url: Option<String>,
    /// When each receiver was told last.
    pub told: BTreeMap<String, String>,
}

/// One figure of an alert.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FigureView {
    /// `money`, `ratio`, `count`, `hours`, `day`, `at` or `text`.
    pub kind: &'static str,
    /// The figure; numbers exact, a ratio as 0.97.
    pub value: String,
    /// The currency of money.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

/// Who has taken an alert.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AcknowledgementView {
    /// Who, in their own words.
    pub by: String,
    /// What they say of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// When.
    pub at: String,
}

/// What moved an alert's figure.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AlertCauseView {
    /// Its dimension of the bill; absent for GPU workloads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimension: Option<String>,
    /// The value.
    pub name: String,
    /// Its money.
    pub amount: String,
    /// The currency.
    pub currency: String,
    /// Its share of what moved, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

/// `/api/v1/alerts/history`: what became of alerts, the newest first.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AlertHistory {
    /// When it was read, RFC 3339.
    pub as_of: String,
    /// What happened.
    pub events: Vec<AlertEventView>,
}

/// What became of an alert.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AlertEventView {
    /// When.
    pub at: String,
    /// `fired`, `ended`, `acknowledged` or `unacknowledged`.
    pub kind: String,
    /// The alert as it was then.
    pub alert: AlertView,
}

/// `/api/v1/silences`: silences that hold or are to come.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Silences {
    /// When they were read, RFC 3339.
    pub as_of: String,
    /// The silences, the first to end first.
    pub silences: Vec<SilenceView>,
}

/// A silence.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SilenceView {
    /// Its name.
    pub id: String,
    /// What it matches; every one of them must.
    pub matchers: MatchersView,
    /// From when.
    pub starts_at: String,
    /// Until when, exclusive.
    pub ends_at: String,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// What a silence matches; at least one is wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatchersView {
    /// One alert alone, by its identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// A rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What alerts are about, as exact values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub subject: BTreeMap<String, String>,
}

/// What is sent to take an alert.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcknowledgementRequest {
    /// Who takes it, 1 to 100 characters.
    pub by: String,
    /// What there is to say of it, at most 1,000 characters.
    #[serde(default)]
    pub comment: Option<String>,
}

/// What is sent to make a silence.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SilenceRequest {
    /// What it matches.
    pub matchers: MatchersView,
    /// From when, RFC 3339; now by default.
    #[serde(default)]
    pub starts_at: Option<String>,
    /// Until when, RFC 3339. Either this or `duration`.
    #[serde(default)]
    pub ends_at: Option<String>,
    /// How long, as `2h` or `3d`. A year at most.
    #[serde(default)]
    pub duration: Option<String>,
    /// Who makes it, 1 to 100 characters.
    pub created_by: String,
    /// Why, 1 to 1,000 characters.
    pub comment: String,
}

/// The alerts of a snapshot. `muted` says why nobody is told of one.
pub fn alerts(snapshot: &Snapshot, muted: impl Fn(&AlertId) -> Option<&'static str>) -> Alerts {
    let mut alerts: Vec<&AlertState> = snapshot.alerts.iter().collect();
    alerts.sort_by(|a, b| {
        let rank = |state: &AlertState| (!state.fires(), state.details.severity);
        (rank(a), &a.key).cmp(&(rank(b), &b.key))
    });
    let view = |state: &AlertState| {
        let reason = muted(&state.key.id()).map(str::to_owned);
        AlertView { muted: reason, ..alert(state) }
    };
    Alerts { as_of: snapshot.at.to_string(), alerts: alerts.into_iter().map(view).collect() }
}

/// An alert as it is kept.
pub fn alert(state: &AlertState) -> AlertView {
    let details = &state.details;
    let key = &state.key;
    AlertView {
        id: key.id().to_string(),
        rule: key.rule.to_string(),
        severity: details.severity.to_string(),
        phase: state.phase.to_string(),
        subject: key.subject.iter().map(|(of, value)| (of.to_string(), value.clone())).collect(),
        period: key.period.map(|period| period.to_string()),
        since: state.since.to_string(),
        fired_at: state.fired_at.map(|at| at.to_string()),
        ended_at: state.ended_at.map(|at| at.to_string()),
        end: state.end.map(|end: AlertEnd| end.to_string()),
        muted: None,
        acknowledged: state.acknowledged.as_ref().map(|taken| AcknowledgementView {
            by: taken.by.clone(),
            comment: taken.comment.clone(),
            at: taken.at.to_string(),
        }),
        figures: details.figures.iter().map(|(name, of)| (name.to_string(), figure(of))).collect(),
        causes: details.causes.iter().map(cause).collect(),
        owner: details.owner.clone(),
        runbook_url: details.runbook_url.clone(),
        told: state.told.iter().map(|(name, told)| (name.clone(), told.at.to_string())).collect(),
    }
}

fn figure(figure: &Figure) -> FigureView {
    let of = |kind, value| FigureView { kind, value, currency: None };
    match figure {
        Figure::Money(money) => FigureView {
            currency: Some(money.currency.to_string()),
            ..of("money", super::text(money.amount))
        },
        Figure::Ratio(ratio) => of("ratio", ratio.to_string()),
        Figure::Count(count) => of("count", count.to_string()),
        Figure::Hours(hours) => of("hours", hours.to_string()),
        Figure::Day(day) => of("day", day.to_string()),
        Figure::At(at) => of("at", at.to_string()),
        Figure::Text(text) => of("text", text.clone()),
    }
}

fn cause(cause: &AlertCause) -> AlertCauseView {
    AlertCauseView {
        dimension: cause.dimension.map(|dimension| dimension.as_str().to_owned()),
        name: cause.name.clone(),
        amount: super::text(cause.amount.amount),
        currency: cause.amount.currency.to_string(),
        share: cause.share,
    }
}

/// What became of alerts.
pub fn alert_history(events: &[AlertEvent], now: Timestamp) -> AlertHistory {
    let events = events.iter().map(|event| AlertEventView {
        at: event.at.to_string(),
        kind: event.kind.as_str().to_owned(),
        alert: alert(&event.state),
    });
    AlertHistory { as_of: now.to_string(), events: events.collect() }
}

/// Silences as they are kept.
pub fn silences(held: &[Silence], now: Timestamp) -> Silences {
    Silences { as_of: now.to_string(), silences: held.iter().map(silence).collect() }
}

/// One silence.
pub fn silence(held: &Silence) -> SilenceView {
    let SilenceMatchers { alert, rule, subject } = &held.matchers;
    SilenceView {
        id: held.id.clone(),
        matchers: MatchersView {
            alert: alert.as_ref().map(ToString::to_string),
            rule: rule.map(|rule| rule.to_string()),
            subject: subject.iter().map(|(of, value)| (of.to_string(), value.clone())).collect(),
        },
        starts_at: held.starts_at.to_string(),
        ends_at: held.ends_at.to_string(),
        created_by: held.created_by.clone(),
        comment: held.comment.clone(),
    }
}
