//! Alerts over HTTP: what fires, what became of it, who has taken it, and silences. The only part of
//! the face that changes anything, and only where a token is asked for.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::access::{Barred, may_change};
use super::{Face, json};
use crate::domain::alert::{
    Acknowledgement, AlertId, AlertRule, Silence, SilenceMatchers, Subject,
};
use crate::export::api::{self, AcknowledgementRequest, MatchersView, SilenceRequest};

/// So many events are told at once, by default and at most.
const EVENTS: u32 = 100;
const MOST_EVENTS: u32 = 1_000;
pub(super) const LONGEST_NAME: usize = 100;
pub(super) const LONGEST_COMMENT: usize = 1_000;
/// What shall be quiet for longer is to be configured so.
const LONGEST_SILENCE: SignedDuration = SignedDuration::from_hours(366 * 24);

pub(super) type Refusal = (StatusCode, String);

/// Every alert that is pending or fires.
pub(super) async fn alerts(State(face): State<Face>) -> Response {
    let published = face.published.borrow().clone();
    let Some(published) = published else {
        return super::document(State(face), |_| ()).await;
    };
    let silences = match face.alerts.silences().await {
        Ok(silences) => silences,
        Err(error) => return unreadable(&error),
    };
    let muted = face.alerts.mutes(&published.snapshot.alerts, &silences);
    let reason = |id: &AlertId| muted.get(id).copied();
    json(StatusCode::OK, &api::alerts(&published.snapshot, reason))
}

/// Whose history is asked for, and how much of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    alert: Option<String>,
    limit: Option<u32>,
}

/// What became of alerts.
pub(super) async fn history(
    State(face): State<Face>,
    query: Result<Query<HistoryQuery>, QueryRejection>,
) -> Response {
    let Ok(Query(HistoryQuery { alert, limit })) = query else {
        let wanted =
            format!("want `?alert=ID&limit=N`, each of them optional, N up to {MOST_EVENTS}");
        return refuse((StatusCode::BAD_REQUEST, wanted));
    };
    let alert = alert.map(|id| AlertId::known_as(&id));
    match face.alerts.history(alert, limit.unwrap_or(EVENTS).min(MOST_EVENTS)).await {
        Ok(events) => json(StatusCode::OK, &api::alert_history(&events, face.alerts.now())),
        Err(error) => unreadable(&error),
    }
}

/// Silences that hold or are to come.
pub(super) async fn silences(State(face): State<Face>) -> Response {
    match face.alerts.silences().await {
        Ok(silences) => json(StatusCode::OK, &api::silences(&silences, face.alerts.now())),
        Err(error) => unreadable(&error),
    }
}

/// Takes an alert.
pub(super) async fn acknowledge(
    State(face): State<Face>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let taken = may_write(&face).and_then(|()| {
        let AcknowledgementRequest { by, comment } = read(&body)?;
        let by = words("by", by, LONGEST_NAME)?;
        let comment = match comment {
            Some(comment) => Some(words("comment", comment, LONGEST_COMMENT)?),
            None => None,
        };
        Ok(Acknowledgement { by, comment, at: face.alerts.now() })
    });
    match taken {
        Ok(taken) => note(&face, &id, Some(taken)).await,
        Err(refusal) => refuse(refusal),
    }
}

/// Gives an alert back.
pub(super) async fn give_back(State(face): State<Face>, Path(id): Path<String>) -> Response {
    match may_write(&face) {
        Ok(()) => note(&face, &id, None).await,
        Err(refusal) => refuse(refusal),
    }
}

async fn note(face: &Face, id: &str, taken: Option<Acknowledgement>) -> Response {
    match face.alerts.acknowledge(AlertId::known_as(id), taken).await {
        Ok(Some(state)) => json(StatusCode::OK, &api::alert(&state)),
        Ok(None) => {
            let why = "no alert of that identity is pending or fires; see /api/v1/alerts";
            refuse((StatusCode::NOT_FOUND, why.to_owned()))
        }
        Err(error) => unwritable(&error),
    }
}

/// Makes a silence.
pub(super) async fn add_silence(State(face): State<Face>, body: Bytes) -> Response {
    let made = may_write(&face)
        .and_then(|()| read(&body))
        .and_then(|request| made(request, face.alerts.now()));
    let silence = match made {
        Ok(silence) => silence,
        Err(refusal) => return refuse(refusal),
    };
    match face.alerts.add_silence(silence.clone()).await {
        Ok(()) => json(StatusCode::CREATED, &api::silence(&silence)),
        Err(error) => unwritable(&error),
    }
}

/// Ends a silence.
pub(super) async fn end_silence(State(face): State<Face>, Path(id): Path<String>) -> Response {
    if let Err(refusal) = may_write(&face) {
        return refuse(refusal);
    }
    match face.alerts.end_silence(id).await {
        Ok(true) => StatusCode::NO_CONTENT.into_response(),
        Ok(false) => {
            let why = "no silence of that name holds or is to come; see /api/v1/silences";
            refuse((StatusCode::NOT_FOUND, why.to_owned()))
        }
        Err(error) => unwritable(&error),
    }
}

/// Only whoever bore a token may change anything, and only where it is kept.
fn may_write(face: &Face) -> Result<(), Refusal> {
    may_change(face).map_err(|barred| match barred {
        Barred::NoToken => {
            let why = "alerts are acknowledged and silenced only where a token is asked for: set \
                       `web.bearer_token`";
            (StatusCode::FORBIDDEN, why.to_owned())
        }
        Barred::Follows(address) => {
            let at = address.map_or_else(String::new, |address| format!(" at {address}"));
            let why = format!(
                "this replica follows and changes nothing: ask the holder of the Lease{at}"
            );
            (StatusCode::SERVICE_UNAVAILABLE, why)
        }
    })
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("failed to read the body: {error}")))
}

pub(super) fn words(field: &str, text: String, most: usize) -> Result<String, Refusal> {
    let text = text.trim().to_owned();
    if text.is_empty() || text.chars().count() > most || text.chars().any(char::is_control) {
        let why = format!("`{field}` is not 1 to {most} characters of one line");
        return Err((StatusCode::BAD_REQUEST, why));
    }
    Ok(text)
}

fn made(request: SilenceRequest, now: Timestamp) -> Result<Silence, Refusal> {
    let wrong = |why: String| (StatusCode::BAD_REQUEST, why);
    let instant = |field: &str, text: &str| -> Result<Timestamp, Refusal> {
        text.parse().map_err(|_| {
            wrong(format!("`{field}` is no instant: want one such as `2026-11-28T18:00:00Z`"))
        })
    };
    let starts_at = match &request.starts_at {
        Some(text) => instant("starts_at", text)?,
        None => now,
    };
    let ends_at = match (&request.ends_at, &request.duration) {
        (Some(text), None) => instant("ends_at", text)?,
        (None, Some(text)) => starts_at
            .saturating_add(duration(text).ok_or_else(|| {
                wrong(format!("`duration` of `{text}` is no time: want one such as `2h` or `3d`"))
            })?)
            .unwrap_or(Timestamp::MAX),
        _ => return Err(wrong("want one of `ends_at` and `duration`".to_owned())),
    };
    let length = ends_at.duration_since(starts_at);
    if ends_at <= now || length <= SignedDuration::ZERO || length > LONGEST_SILENCE {
        let why = "a silence ends after it begins and after now, and holds for 366 days at most";
        return Err(wrong(why.to_owned()));
    }
    Ok(Silence {
        id: name()?,
        matchers: matchers(request.matchers)?,
        starts_at,
        ends_at,
        created_by: words("created_by", request.created_by, LONGEST_NAME)?,
        comment: words("comment", request.comment, LONGEST_COMMENT)?,
    })
}

/// A whole number of minutes, hours or days.
fn duration(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().last()?;
    let number: i64 = text.strip_suffix(unit)?.parse().ok().filter(|number| *number > 0)?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(SignedDuration::from_secs)
}

fn matchers(view: MatchersView) -> Result<SilenceMatchers, Refusal> {
    let wrong = |why: String| (StatusCode::BAD_REQUEST, why);
    let rule = match &view.rule {
        Some(word) => {
            let found = AlertRule::ALL.iter().find(|rule| rule.as_str() == word);
            Some(*found.ok_or_else(|| wrong(format!("`{word}` is no rule")))?)
        }
        None => None,
    };
    let mut subject = BTreeMap::new();
    for (word, value) in view.subject {
        let found = Subject::ALL.iter().find(|subject| subject.as_str() == word);
        let label =
            *found.ok_or_else(|| wrong(format!("`{word}` is nothing that alerts are about")))?;
        subject.insert(label, value);
    }
    let alert = view.alert.map(|id| AlertId::known_as(&id));
    if alert.is_none() && rule.is_none() && subject.is_empty() {
        return Err(wrong(
            "a silence without matchers would silence everything: want one".to_owned(),
        ));
    }
    Ok(SilenceMatchers { alert, rule, subject })
}

pub(super) fn name() -> Result<String, Refusal> {
    let mut bytes = [0_u8; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| {
        (StatusCode::INTERNAL_SERVER_ERROR, "the system gives no random numbers".to_owned())
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn refuse((status, why): Refusal) -> Response {
    json(status, &json!({"error": why}))
}

fn unreadable(error: &str) -> Response {
    tracing::error!(error, "failed to read alerts");
    refuse((StatusCode::INTERNAL_SERVER_ERROR, "the ledger cannot be read; see the log".to_owned()))
}

fn unwritable(error: &str) -> Response {
    tracing::error!(error, "failed to keep what was asked of an alert");
    refuse((StatusCode::SERVICE_UNAVAILABLE, "the ledger keeps nothing; see the log".to_owned()))
}
