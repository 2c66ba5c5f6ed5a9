//! What people change of alerts from the page, without script: each form is answered by a way back to
//! the page, which says what came of it.

use std::collections::BTreeMap;

use axum::Form;
use axum::extract::Path;
use axum::extract::rejection::FormRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::SignedDuration;
use serde::Deserialize;

use super::access::{Barred, may_change};
use super::alerts::{LONGEST_COMMENT, LONGEST_NAME, name, words};
use super::page::Visit;
use super::reader::Reader;
use crate::domain::alert::{
    Acknowledgement, AlertId, AlertState, Silence, SilenceMatchers, Subject,
};

/// How long a silence of the page may hold, in hours.
pub(super) const HOURS: [i64; 6] = [1, 4, 12, 24, 72, 168];

/// What went wrong with a form, as a word of the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// The name is missing, too long or has several lines.
    Name,
    /// So is the comment.
    Comment,
    /// The form is not one of the page's.
    Form,
    /// The alert or the silence is over.
    Gone,
    /// The ledger keeps nothing now.
    Ledger,
    /// Nothing can be changed where no token is asked for.
    NoToken,
    /// Nor by a replica that follows.
    Follows,
}

impl From<Barred> for Problem {
    fn from(barred: Barred) -> Self {
        match barred {
            Barred::NoToken => Self::NoToken,
            Barred::Follows(_) => Self::Follows,
        }
    }
}

impl Problem {
    const ALL: [Self; 7] = [
        Self::Name,
        Self::Comment,
        Self::Form,
        Self::Gone,
        Self::Ledger,
        Self::NoToken,
        Self::Follows,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Comment => "comment",
            Self::Form => "form",
            Self::Gone => "gone",
            Self::Ledger => "ledger",
            Self::NoToken => "no_token",
            Self::Follows => "follows",
        }
    }

    /// The one that an address tells of.
    pub(super) fn told(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|problem| problem.as_str() == word)
    }

    /// For people.
    pub(super) fn said(self, reader: &Reader) -> &'static str {
        match self {
            Self::Name => reader.word(
                "Nothing was changed: the name must be 1 to 100 characters on one line.",
                "변경되지 않았습니다. 이름은 한 줄로 1~100자여야 합니다.",
            ),
            Self::Comment => reader.word(
                "Nothing was changed: the comment must be on one line and have at most 1,000 characters; a silence wants one.",
                "변경되지 않았습니다. 설명은 한 줄로 1,000자 이하여야 하며, 알림 중지에는 반드시 필요합니다.",
            ),
            Self::Form => reader.word(
                "Nothing was changed: the form was not understood. Load the page anew.",
                "변경되지 않았습니다. 양식을 이해할 수 없으니 페이지를 새로 고치세요.",
            ),
            Self::Gone => reader.word(
                "Nothing was changed: it is over already.",
                "변경되지 않았습니다. 이미 종료되었습니다.",
            ),
            Self::Ledger => reader.word(
                "Nothing was changed: the ledger cannot be written now; see the agent's log.",
                "변경되지 않았습니다. 지금 원장에 기록할 수 없습니다. 에이전트 로그를 확인하세요.",
            ),
            Self::NoToken => why(&Barred::NoToken, reader),
            Self::Follows => why(&Barred::Follows(None), reader),
        }
    }
}

/// Who takes an alert.
#[derive(Deserialize)]
pub(super) struct Taking {
    by: String,
    #[serde(default)]
    comment: String,
}

/// What shall be quiet, for how long, and who says so.
#[derive(Deserialize)]
pub(super) struct Silencing {
    by: String,
    comment: String,
    hours: i64,
    of: Extent,
}

/// How much a silence is about.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Extent {
    /// This alert alone.
    Alert,
    /// Every alert of its rule about the same thing, in any month.
    Rule,
    /// Every alert about the same thing.
    Subject,
}

/// Takes an alert.
pub(super) async fn acknowledge(
    visit: Visit,
    Path(id): Path<String>,
    form: Result<Form<Taking>, FormRejection>,
) -> Response {
    let come = |form: Result<Form<Taking>, FormRejection>| {
        let Form(Taking { by, comment }) = form.map_err(|_| Problem::Form)?;
        let by = words("by", by, LONGEST_NAME).map_err(|_| Problem::Name)?;
        let comment = match comment.trim() {
            "" => None,
            _ => Some(words("comment", comment, LONGEST_COMMENT).map_err(|_| Problem::Comment)?),
        };
        Ok(Acknowledgement { by, comment, at: visit.face.alerts.now() })
    };
    if let Err(barred) = may_change(&visit.face) {
        return back(&visit, &["alerts", &id], Err(barred.into()));
    }
    let outcome = match come(form) {
        Ok(taken) => note(&visit, &id, Some(taken)).await,
        Err(problem) => Err(problem),
    };
    back(&visit, &["alerts", &id], outcome)
}

/// Gives an alert back.
pub(super) async fn give_back(visit: Visit, Path(id): Path<String>) -> Response {
    if let Err(barred) = may_change(&visit.face) {
        return back(&visit, &["alerts", &id], Err(barred.into()));
    }
    let outcome = note(&visit, &id, None).await;
    back(&visit, &["alerts", &id], outcome)
}

async fn note(visit: &Visit, id: &str, taken: Option<Acknowledgement>) -> Result<(), Problem> {
    match visit.face.alerts.acknowledge(AlertId::known_as(id), taken).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(Problem::Gone),
        Err(error) => Err(unkept(&error)),
    }
}

/// Silences an alert, or alerts like it.
pub(super) async fn silence(
    visit: Visit,
    Path(id): Path<String>,
    form: Result<Form<Silencing>, FormRejection>,
) -> Response {
    if let Err(barred) = may_change(&visit.face) {
        return back(&visit, &["alerts", &id], Err(barred.into()));
    }
    let held = visit.snapshot().map(|snapshot| snapshot.alerts.clone()).unwrap_or_default();
    let alert = held.iter().find(|state| state.key.id().as_str() == id);
    let made = match (form, alert) {
        (Err(_), _) => Err(Problem::Form),
        (_, None) => Err(Problem::Gone),
        (Ok(Form(asked)), Some(alert)) => made(asked, alert, &visit),
    };
    let outcome = match made {
        Ok(silence) => visit.face.alerts.add_silence(silence).await.map_err(|error| unkept(&error)),
        Err(problem) => Err(problem),
    };
    back(&visit, &["alerts", &id], outcome)
}

fn made(asked: Silencing, alert: &AlertState, visit: &Visit) -> Result<Silence, Problem> {
    let Silencing { by, comment, hours, of } = asked;
    let key = &alert.key;
    let subject: BTreeMap<Subject, String> =
        key.subject.iter().map(|(label, value)| (label, value.clone())).collect();
    let matchers = match of {
        Extent::Alert => SilenceMatchers { alert: Some(key.id()), ..SilenceMatchers::default() },
        Extent::Rule => SilenceMatchers { alert: None, rule: Some(key.rule), subject },
        Extent::Subject if subject.is_empty() => return Err(Problem::Form),
        Extent::Subject => SilenceMatchers { alert: None, rule: None, subject },
    };
    let starts_at = visit.face.alerts.now();
    let length = HOURS.contains(&hours).then(|| SignedDuration::from_hours(hours));
    let ends_at = length.and_then(|length| starts_at.saturating_add(length).ok());
    Ok(Silence {
        id: name().map_err(|_| Problem::Ledger)?,
        matchers,
        starts_at,
        ends_at: ends_at.ok_or(Problem::Form)?,
        created_by: words("by", by, LONGEST_NAME).map_err(|_| Problem::Name)?,
        comment: words("comment", comment, LONGEST_COMMENT).map_err(|_| Problem::Comment)?,
    })
}

/// Ends a silence.
pub(super) async fn end_silence(visit: Visit, Path(id): Path<String>) -> Response {
    if let Err(barred) = may_change(&visit.face) {
        return back(&visit, &["alerts"], Err(barred.into()));
    }
    let outcome = match visit.face.alerts.end_silence(id).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Problem::Gone),
        Err(error) => Err(unkept(&error)),
    };
    back(&visit, &["alerts"], outcome)
}

fn unkept(error: &str) -> Problem {
    tracing::error!(error, "failed to keep what was asked of an alert");
    Problem::Ledger
}

/// The way back to a page that says what came of a form.
fn back(visit: &Visit, segments: &[&str], outcome: Result<(), Problem>) -> Response {
    let said: &[(&str, &str)] = match outcome {
        Ok(()) => &[],
        Err(problem) => &[("problem", problem.as_str())],
    };
    let address = visit.place.to(segments, said);
    (StatusCode::SEE_OTHER, [(header::LOCATION, address)]).into_response()
}

/// Why nothing can be changed here.
pub(super) fn why(barred: &Barred, reader: &Reader) -> &'static str {
    match barred {
        Barred::NoToken => reader.word(
            "Alerts are taken and silenced only where a token is asked for: set `web.bearer_token`.",
            "알림 확인과 중지는 토큰을 요구하는 경우에만 가능합니다. `web.bearer_token`을 설정하세요.",
        ),
        Barred::Follows(_) => reader.word(
            "This replica follows and changes nothing; ask the one that holds the Lease.",
            "대기 중인 복제본이라 변경할 수 없습니다. Lease를 보유한 복제본을 이용하세요.",
        ),
    }
}
