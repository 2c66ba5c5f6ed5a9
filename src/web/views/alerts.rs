//! What fires, the gravest first; what waits to fire, what is silenced, and what became of alerts.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::cut::Cut;
use crate::domain::alert::{AlertId, AlertKey, AlertState, Severity, Silence, Subject};
use crate::domain::notice::{AlertEvent, AlertEventKind};
use crate::web::Wording;
use crate::web::access::may_change;
use crate::web::forms::{self, Problem};
use crate::web::link::Place;
use crate::web::page::{Shown, View, Visit};
use crate::web::reader::Reader;

/// The newest events that the view knows of.
const EVENTS: u32 = 1_000;

/// What the ledger says beside the snapshot.
struct Kept {
    silences: Vec<Silence>,
    events: Vec<AlertEvent>,
}

/// The view.
pub(in crate::web) async fn show(visit: Visit) -> axum::response::Response {
    let kept = kept(&visit).await;
    visit.answer(View::Alerts, |snapshot| Shown::view(body(&snapshot.alerts, &kept, &visit)))
}

async fn kept(visit: &Visit) -> Result<Kept, String> {
    let silences = visit.face.alerts.silences().await?;
    let events = visit.face.alerts.history(None, EVENTS).await?;
    Ok(Kept { silences, events })
}

fn body(alerts: &[AlertState], kept: &Result<Kept, String>, visit: &Visit) -> Markup {
    let (place, reader) = (&visit.place, &visit.reader);
    let mut firing: Vec<&AlertState> = alerts.iter().filter(|state| state.fires()).collect();
    firing.sort_by_key(|state| {
        (state.details.severity, state.acknowledged.is_some(), state.fired_at)
    });
    let mut pending: Vec<&AlertState> = alerts.iter().filter(|state| !state.fires()).collect();
    pending.sort_by_key(|state| (state.details.severity, state.since));
    let silences = kept.as_ref().map(|kept| kept.silences.as_slice()).unwrap_or_default();
    let muted = visit.face.alerts.mutes(alerts, silences);
    html! {
        h1 { (reader.word("Alerts", "알림")) }
        (problem(visit))
        h2 { (reader.word("Firing", "발생 중")) " · " (reader.count(firing.len())) }
        (cards(&firing, &muted, visit))
        @if !pending.is_empty() {
            h2 { (reader.word("Pending", "대기 중")) " · " (reader.count(pending.len())) }
            p.note {
                (reader.word("What is so, and not for long enough yet to tell anybody.",
                             "조건은 충족되었으나 알리기에는 아직 이른 것들입니다."))
            }
            (waiting(&pending, place, reader))
        }
        @match kept {
            Ok(kept) => {
                (silenced(&kept.silences, visit))
                h2 { (reader.word("What became of alerts", "알림 기록")) }
                (history(&kept.events, place, reader))
            }
            Err(error) => {
                p.notice.problem role="alert" {
                    (reader.word("Silences and history cannot be shown: the ledger cannot be read now.",
                                 "지금 원장을 읽을 수 없어 알림 중지와 기록을 표시할 수 없습니다."))
                    " " span lang="en" { (error) }
                }
            }
        }
    }
}

/// What came of a form, where it came to nothing.
pub(super) fn problem(visit: &Visit) -> Markup {
    let told = visit.place.asked("problem").and_then(Problem::told);
    html! {
        @if let Some(problem) = told {
            p.notice.problem role="alert" { (problem.said(&visit.reader)) }
        }
    }
}

/// How much it matters, with a sign of its own.
pub(super) fn severity(severity: Severity, reader: &Reader) -> Markup {
    let sign = match severity {
        Severity::Critical => "M4 1 H8 L11 4 V8 L8 11 H4 L1 8 V4 Z",
        Severity::Warning => "M6 1 L11.5 11 H.5 Z",
        Severity::Info => "M6 1 A5 5 0 1 0 6 11 A5 5 0 1 0 6 1 Z",
    };
    html! {
        span.status.severity.(severity.as_str()) {
            svg viewBox="0 0 12 12" aria-hidden="true" { path d=(sign) {} }
            (reader.language.severity(severity))
        }
    }
}

fn cards(firing: &[&AlertState], muted: &BTreeMap<AlertId, &'static str>, visit: &Visit) -> Markup {
    let (place, reader) = (&visit.place, &visit.reader);
    let cut = Cut::of(firing, "firing", place);
    html! {
        @if firing.is_empty() {
            p.empty {
                (reader.word("Nothing fires. Every rule is judged after each reading; docs/alerts.md lists them.",
                             "발생한 알림이 없습니다. 읽을 때마다 모든 규칙을 판정하며, 목록은 docs/alerts.md에 있습니다."))
            }
        }
        ul.alerts {
            @for state in cut.shown {
                (card(state, muted.get(&state.key.id()).copied(), visit.face.wording, place, reader))
            }
        }
        (cut.links(place, reader))
    }
}

fn card(
    state: &AlertState,
    muted: Option<&'static str>,
    wording: Wording,
    place: &Place,
    reader: &Reader,
) -> Markup {
    let words = wording(state, reader.language, reader.now);
    let id = state.key.id();
    html! {
        li.card.(state.details.severity.as_str()) id={ "alert-" (id) } {
            h3 {
                a href=(place.to(&["alerts", id.as_str()], &[])) { bdi { (words.title) } }
                (severity(state.details.severity, reader))
            }
            p { bdi { (words.summary) } }
            p.note {
                (reader.word("Firing since ", "발생: ")) (reader.ago(state.fired_at.unwrap_or(state.since)))
                " · "
                @match &state.acknowledged {
                    Some(taken) => { (reader.word("taken by ", "확인: ")) bdi { (taken.by) } }
                    None => (reader.word("nobody has taken it", "확인한 사람 없음")),
                }
                @if let Some(reason) = muted { " · " (reader.language.mute(reason)) }
            }
        }
    }
}

/// What an alert is about, in few words.
pub(super) fn about(key: &AlertKey) -> String {
    let told = |subject: &Subject| !matches!(subject, Subject::Currency | Subject::FirstDay);
    let about = key.subject.iter().filter(|(subject, _)| told(subject));
    about.map(|(_, value)| value.to_string()).collect::<Vec<_>>().join(" · ")
}

fn waiting(pending: &[&AlertState], place: &Place, reader: &Reader) -> Markup {
    let cut = Cut::of(pending, "pending", place);
    html! {
        div.scroll tabindex="0" role="region" aria-label=(reader.word("Pending alerts", "대기 중인 알림")) {
            table {
                thead { tr {
                    th scope="col" { (reader.word("What", "내용")) }
                    th scope="col" { (reader.word("Of what", "대상")) }
                    th scope="col" { (reader.word("Month", "청구 월")) }
                    th scope="col" { (reader.word("Severity", "심각도")) }
                    th scope="col" { (reader.word("Since", "시작")) }
                } }
                tbody {
                    @for state in cut.shown {
                        tr id={ "alert-" (state.key.id()) } {
                            th scope="row" {
                                a href=(place.to(&["alerts", state.key.id().as_str()], &[])) {
                                    (reader.language.alert_rule(state.key.rule))
                                }
                            }
                            td { bdi { (about(&state.key)) } }
                            td { @if let Some(period) = state.key.period { (reader.month(period)) } }
                            td { (severity(state.details.severity, reader)) }
                            td { (reader.ago(state.since)) }
                        }
                    }
                }
            }
        }
        (cut.links(place, reader))
    }
}

fn silenced(silences: &[Silence], visit: &Visit) -> Markup {
    let (place, reader) = (&visit.place, &visit.reader);
    let cut = Cut::of(silences, "silences", place);
    let may = may_change(&visit.face);
    html! {
        h2 { (reader.word("Silences", "알림 중지")) " · " (reader.count(silences.len())) }
        @if silences.is_empty() {
            p.note {
                (reader.word("Nothing is silenced. An alert is silenced from its own page.",
                             "중지된 알림이 없습니다. 각 알림의 페이지에서 중지할 수 있습니다."))
            }
        } @else {
            div.scroll tabindex="0" role="region" aria-label=(reader.word("Silences", "알림 중지")) {
                table {
                    thead { tr {
                        th scope="col" { (reader.word("Of what", "대상")) }
                        th scope="col" { (reader.word("Until", "종료 시각")) }
                        th scope="col" { (reader.word("By", "설정한 사람")) }
                        th scope="col" { (reader.word("Because", "이유")) }
                        @if may.is_ok() { th scope="col" { (reader.word("End", "해제")) } }
                    } }
                    tbody {
                        @for silence in cut.shown {
                            tr {
                                th scope="row" { (matched(silence, place, reader)) }
                                td {
                                    (reader.time(silence.ends_at))
                                    @if !silence.holds(reader.now) {
                                        br; span.note { (reader.word("from ", "시작: ")) (reader.time(silence.starts_at)) }
                                    }
                                }
                                td { bdi { (silence.created_by) } }
                                td { bdi { (silence.comment) } }
                                @if may.is_ok() {
                                    td {
                                        form method="post" action=(place.to(&["silences", &silence.id, "end"], &[])) {
                                            button type="submit" { (reader.word("End now", "지금 해제")) }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            (cut.links(place, reader))
        }
        @if let Err(barred) = may { p.note { (forms::why(&barred, reader)) } }
    }
}

fn matched(silence: &Silence, place: &Place, reader: &Reader) -> Markup {
    let matchers = &silence.matchers;
    html! {
        @if let Some(id) = &matchers.alert {
            a href=(place.to(&["alerts", id.as_str()], &[])) { (reader.word("one alert", "알림 하나")) }
        }
        @if let Some(rule) = matchers.rule { (reader.language.alert_rule(rule)) " " }
        @for (subject, value) in &matchers.subject {
            span.pair { (reader.language.subject(*subject)) " " bdi { (value) } } " "
        }
    }
}

/// What became of alerts, the newest first.
fn history(events: &[AlertEvent], place: &Place, reader: &Reader) -> Markup {
    let cut = Cut::of(events, "history", place);
    html! {
        @if events.is_empty() {
            p.note { (reader.word("Nothing yet.", "아직 없습니다.")) }
        } @else {
            div.scroll tabindex="0" role="region" aria-label=(reader.word("What became of alerts", "알림 기록")) {
                table {
                    thead { tr {
                        th scope="col" { (reader.word("When", "시각")) }
                        th scope="col" { (reader.word("What became of it", "변화")) }
                        th scope="col" { (reader.word("Alert", "알림")) }
                        th scope="col" { (reader.word("Of what", "대상")) }
                        th scope="col" { (reader.word("Month", "청구 월")) }
                    } }
                    tbody {
                        @for event in cut.shown {
                            tr {
                                td { (reader.time(event.at)) }
                                td { (became(event, reader)) }
                                th scope="row" {
                                    a href=(place.to(&["alerts", event.state.key.id().as_str()], &[])) {
                                        (reader.language.alert_rule(event.state.key.rule))
                                    }
                                }
                                td { bdi { (about(&event.state.key)) } }
                                td { @if let Some(period) = event.state.key.period { (reader.month(period)) } }
                            }
                        }
                    }
                }
            }
            (cut.links(place, reader))
        }
    }
}

/// What became of an alert, with why or by whom.
pub(super) fn became(event: &AlertEvent, reader: &Reader) -> Markup {
    let ended = event.state.end.filter(|_| event.kind == AlertEventKind::Ended);
    let taken = event.state.acknowledged.as_ref();
    let taken = taken.filter(|_| event.kind == AlertEventKind::Acknowledged);
    html! {
        (reader.language.alert_event(event.kind))
        @if let Some(end) = ended { ": " (reader.language.alert_end(end)) }
        @if let Some(taken) = taken {
            ": " bdi { (taken.by) }
            @if let Some(comment) = &taken.comment { " · " bdi { (comment) } }
        }
    }
}
