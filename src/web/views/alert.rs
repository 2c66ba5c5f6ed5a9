//! One alert: what happened, how much, why, who was told, who has taken it; and the forms that take
//! or silence it.

use axum::extract::Path;
use axum::http::StatusCode;
use maud::{Markup, html};
use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;

use super::alerts::{became, problem, severity};
use crate::domain::alert::{
    Acknowledgement, AlertId, AlertPhase, AlertRule, AlertState, Figure, FigureName, Subject,
};
use crate::domain::notice::{AlertEvent, AlertEventKind};
use crate::web::access::may_change;
use crate::web::forms::{self, HOURS};
use crate::web::page::{Shown, View, Visit};
use crate::web::reader::Reader;

/// So many events of one alert are shown.
const EVENTS: u32 = 100;

/// The view.
pub(in crate::web) async fn show(visit: Visit, Path(id): Path<String>) -> axum::response::Response {
    let events = visit.face.alerts.history(Some(AlertId::known_as(&id)), EVENTS).await;
    let silences = visit.face.alerts.silences().await.unwrap_or_default();
    visit.answer(View::Alerts, |snapshot| {
        let held = snapshot.alerts.iter().find(|state| state.key.id().as_str() == id);
        let newest = events.as_ref().ok().and_then(|events| events.first());
        let Some(state) = held.or(newest.map(|event| &event.state)) else {
            if events.is_err() {
                let why = visit.reader.word(
                    "The history of alerts cannot be read now; see the agent's log.",
                    "지금은 알림 기록을 읽을 수 없습니다. 에이전트 로그를 확인하세요.",
                );
                return Shown::failed(&visit, StatusCode::INTERNAL_SERVER_ERROR, why);
            }
            return Shown::missing(&visit, &id);
        };
        let muted = visit.face.alerts.mutes(&snapshot.alerts, &silences);
        let muted = muted.get(&state.key.id()).copied();
        let words = (visit.face.wording)(state, visit.reader.language, visit.reader.now);
        let told = Told { state, taken: taken(state, newest), events: &events, muted };
        Shown::one(words.title.clone(), body(&told, &words, &visit))
    })
}

/// What is known of an alert.
struct Told<'a> {
    state: &'a AlertState,
    taken: Option<&'a Acknowledgement>,
    events: &'a Result<Vec<AlertEvent>, String>,
    muted: Option<&'static str>,
}

/// Who has taken it: a snapshot may be older than what somebody has just said.
fn taken<'a>(state: &'a AlertState, newest: Option<&'a AlertEvent>) -> Option<&'a Acknowledgement> {
    match newest {
        Some(event) if event.kind == AlertEventKind::Acknowledged => {
            event.state.acknowledged.as_ref()
        }
        Some(event) if event.kind == AlertEventKind::Unacknowledged => None,
        _ => state.acknowledged.as_ref(),
    }
}

fn body(told: &Told<'_>, words: &crate::web::AlertWords, visit: &Visit) -> Markup {
    let (place, reader) = (&visit.place, &visit.reader);
    let state = told.state;
    html! {
        nav.crumbs aria-label=(reader.word("Where you are", "현재 위치")) {
            ol {
                li { a href=(place.to(&["alerts"], &[])) { (reader.word("Alerts", "알림")) } }
                li { (reader.language.alert_rule(state.key.rule)) }
            }
        }
        h1 { bdi { (words.title) } " " (severity(state.details.severity, reader)) }
        (problem(visit))
        div.card.alert.(state.details.severity.as_str()) {
            p.lead { bdi { (words.summary) } }
            ul.said { @for line in &words.lines { li { bdi { (line) } } } }
            (standing(told, visit))
        }
        (causes(state, reader))
        (changes(told, visit))
        h2 { (reader.word("Figures", "수치")) }
        dl.pairs {
            @for (name, figure) in state.details.figures.iter() {
                dt { (reader.language.figure(name)) }
                dd { (shown(name, figure, reader)) }
            }
        }
        @if state.details.figures.iter().next().is_none() {
            p.note { (reader.word("It has none.", "없습니다.")) }
        }
        (receivers(told, reader))
        (history(told.events, reader))
    }
}

/// How far it has come and what it is about.
fn standing(told: &Told<'_>, visit: &Visit) -> Markup {
    let (place, reader) = (&visit.place, &visit.reader);
    let state = told.state;
    let phase = match state.phase {
        AlertPhase::Pending => reader.word("pending", "대기 중"),
        AlertPhase::Firing => reader.word("firing", "발생 중"),
        AlertPhase::Resolved => reader.word("over", "종료됨"),
    };
    html! {
        dl.pairs {
            dt { (reader.word("State", "상태")) }
            dd {
                (phase)
                @if let Some(end) = state.end { ": " (reader.language.alert_end(end)) }
                @if let Some(reason) = told.muted { " · " (reader.language.mute(reason)) }
            }
            dt { (reader.word("Since", "시작")) }
            dd { (reader.time(state.since)) " (" (reader.ago(state.since)) ")" }
            @if let Some(at) = state.ended_at {
                dt { (reader.word("Until", "종료")) }
                dd { (reader.time(at)) }
            }
            @if let Some(period) = state.key.period {
                dt { (reader.word("Month", "청구 월")) }
                dd { (reader.month(period)) }
            }
            @for (subject, value) in state.key.subject.iter() {
                dt { (reader.language.subject(subject)) }
                dd {
                    @match subject {
                        Subject::Band => a href=(place.to(&["bands", value], &[])) { bdi { (value) } },
                        Subject::Source => a href=(place.to(&["sources", value], &[])) { bdi { (value) } },
                        _ => bdi { (value) },
                    }
                }
            }
            dt { (reader.word("Taken", "확인")) }
            dd {
                @match told.taken {
                    Some(taken) => {
                        bdi { (taken.by) } ", " (reader.ago(taken.at))
                        @if let Some(comment) = &taken.comment { ": " bdi { (comment) } }
                    }
                    None => (reader.word("by nobody", "없음")),
                }
            }
            @if let Some(url) = &state.details.runbook_url {
                dt { (reader.word("Runbook", "대응 절차")) }
                dd { a href=(url) rel="noreferrer" { (url) } }
            }
        }
    }
}

fn causes(state: &AlertState, reader: &Reader) -> Markup {
    let causes = &state.details.causes;
    // Of a band they are what grew since the week before; of others the parts of what is told.
    use AlertRule::{CeilingExceeded, CeilingForecast, PaceFast, PaceSlow};
    let of_bands = [CeilingExceeded, CeilingForecast, PaceFast, PaceSlow];
    let grew = of_bands.contains(&state.key.rule);
    let (title, amount, share) = if grew {
        (
            reader.word("What grew most since the week before", "이전 주보다 가장 많이 늘어난 것"),
            reader.word("Growth", "증가액"),
            reader.word("Of all growth", "전체 증가 중 비율"),
        )
    } else {
        (
            reader.word("Top causes", "주요 원인"),
            reader.word("Amount", "금액"),
            reader.word("Share", "비율"),
        )
    };
    html! {
        @if !causes.is_empty() {
            h2 { (title) }
            div.scroll tabindex="0" role="region" aria-label=(title) {
                table {
                    thead { tr {
                        th scope="col" { (reader.word("What", "내용")) }
                        th.number scope="col" { (amount) }
                        th.number scope="col" { (share) }
                        th scope="col" { span.hidden { (reader.word("Share as a bar", "비율 막대")) } }
                    } }
                    tbody {
                        @for cause in causes {
                            tr {
                                th scope="row" {
                                    bdi { (cause.name) }
                                    @if let Some(dimension) = cause.dimension {
                                        " " small { (reader.language.dimension(dimension)) }
                                    }
                                }
                                td.number { (reader.small_money(cause.amount)) }
                                td.number { @if let Some(share) = cause.share { (reader.percent(share, 0)) } }
                                td.bar { @if let Some(share) = cause.share { (bar(share)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A share as a bar as wide as its cell.
pub(super) fn bar(share: f64) -> Markup {
    let width = format!("{:.1}%", (share * 100.0).clamp(0.0, 100.0));
    html! {
        svg.meter width="100%" height="10" aria-hidden="true" {
            rect.rail x="0" y="0" width="100%" height="10" rx="3" {}
            rect.share x="0" y="0" width=(width) height="10" rx="3" {}
        }
    }
}

/// A figure as the reader writes it.
fn shown(name: FigureName, figure: &Figure, reader: &Reader) -> Markup {
    let number = |number: f64, decimals| match Decimal::from_f64(number) {
        Some(number) => reader.number(number, decimals),
        None => reader.word("unknown", "알 수 없음").to_owned(),
    };
    let is_share = !matches!(
        name,
        FigureName::BurnOneDay
            | FigureName::BurnThreeDays
            | FigureName::BurnSevenDays
            | FigureName::Sigmas
    );
    html! {
        @match figure {
            Figure::Money(amount) => (reader.small_money(*amount)),
            Figure::Ratio(ratio) if is_share => (reader.percent(*ratio, if ratio.abs() < 0.1 { 1 } else { 0 })),
            Figure::Ratio(factor) => { (number(*factor, 1)) @if name != FigureName::Sigmas { "×" } }
            Figure::Count(count) => (reader.number(Decimal::from(*count), 0)),
            Figure::Hours(hours) => { (number(*hours, 0)) " " (reader.word("h", "시간")) }
            Figure::Day(day) => (reader.day(*day)),
            Figure::At(at) => (reader.time(*at)),
            Figure::Text(text) => bdi { (text) },
        }
    }
}

fn receivers(told: &Told<'_>, reader: &Reader) -> Markup {
    let state = told.state;
    html! {
        h2 { (reader.word("Who was told", "알림을 받은 곳")) }
        @if state.told.is_empty() {
            p.note {
                @match (state.phase, told.muted) {
                    (AlertPhase::Pending, _) => (reader.word("Nobody: it does not fire yet.", "없습니다. 아직 발생하지 않았습니다.")),
                    (_, Some(reason)) => { (reader.word("Nobody: ", "없습니다. ")) (reader.language.mute(reason)) "." }
                    (AlertPhase::Firing, None) => {
                        (reader.word("Nobody yet: it was not handed out, or no receiver is configured for it.",
                                     "아직 없습니다. 전송 전이거나 설정된 수신처가 없습니다."))
                    }
                    (AlertPhase::Resolved, None) => (reader.word("Nobody.", "없습니다.")),
                }
            }
        } @else {
            div.scroll tabindex="0" role="region" aria-label=(reader.word("Who was told", "알림을 받은 곳")) {
                table {
                    thead { tr {
                        th scope="col" { (reader.word("Receiver", "수신처")) }
                        th scope="col" { (reader.word("Last", "마지막")) }
                        th.number scope="col" { (reader.word("Times", "횟수")) }
                        th scope="col" { (reader.word("As", "심각도")) }
                        th scope="col" { (reader.word("Came through", "전달")) }
                    } }
                    tbody {
                        @for (receiver, told) in &state.told {
                            tr {
                                th scope="row" { bdi { (receiver) } }
                                td { (reader.time(told.at)) }
                                td.number { (reader.number(Decimal::from(told.times), 0)) }
                                td { (severity(told.severity, reader)) }
                                td {
                                    @if told.dropped { (reader.word("no: given up, told again", "실패: 다시 보냄")) }
                                    @else { (reader.word("sent, or in the outbox", "전송됨 또는 대기열")) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn history(events: &Result<Vec<AlertEvent>, String>, reader: &Reader) -> Markup {
    html! {
        h2 { (reader.word("What became of it", "변화 기록")) }
        @match events {
            Ok(events) if events.is_empty() => p.note { (reader.word("Nothing yet.", "아직 없습니다.")) },
            Ok(events) => ol.events {
                @for event in events { li { (reader.time(event.at)) " · " (became(event, reader)) } }
            },
            Err(error) => p.notice.problem role="alert" {
                (reader.word("The ledger cannot be read now.", "지금 원장을 읽을 수 없습니다.")) " "
                span lang="en" { (error) }
            },
        }
    }
}

/// The forms that take, give back and silence an alert, or why there are none.
fn changes(told: &Told<'_>, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    if told.state.phase == AlertPhase::Resolved {
        return html! {};
    }
    html! {
        h2 { (reader.word("Take or silence it", "확인하거나 중지하기")) }
        @match may_change(&visit.face) {
            Ok(()) => {
                @if visit.signed_in.as_ref().is_some_and(|signed| signed.only_reads) {
                    p.note {
                        (reader.word("You signed in with the token that reads. The browser asks for the other one, web.operator_token, when you send a form.",
                                     "읽기용 토큰으로 로그인했습니다. 양식을 보낼 때 브라우저가 변경용 토큰(web.operator_token)을 묻습니다."))
                    }
                }
                div.columns { (taking(told, visit)) (silencing(told.state, visit)) }
            },
            Err(barred) => p.note { (forms::why(&barred, reader)) },
        }
    }
}

fn taking(told: &Told<'_>, visit: &Visit) -> Markup {
    let (place, reader) = (&visit.place, &visit.reader);
    let id = told.state.key.id();
    let to = |what: &str| place.to(&["alerts", id.as_str(), what], &[]);
    html! {
        section.card {
            @match told.taken {
                Some(taken) => {
                    h3 { (reader.word("Give it back", "확인 해제")) }
                    p {
                        bdi { (taken.by) }
                        (reader.word(" has taken it: it is not repeated while it fires.",
                                     " 님이 확인했습니다. 발생 중에는 다시 알리지 않습니다."))
                    }
                    form method="post" action=(to("give-back")) {
                        button type="submit" { (reader.word("Give back", "확인 해제")) }
                    }
                }
                None => {
                    h3 { (reader.word("Take it", "확인하기")) }
                    p.note { (reader.word("Whoever takes it is named in messages, which are not repeated then.",
                                          "확인한 사람이 메시지에 표시되며, 더 이상 반복해서 알리지 않습니다.")) }
                    form.fields method="post" action=(to("acknowledgement")) {
                        (who("take", visit))
                        label for="take-comment" { (reader.word("Comment (may be empty)", "설명 (선택)")) }
                        input id="take-comment" name="comment" maxlength="1000" autocomplete="off";
                        button type="submit" { (reader.word("Take it", "확인하기")) }
                    }
                }
            }
        }
    }
}

/// The field for a name; a browser's user name stands in it.
fn who(form: &str, visit: &Visit) -> Markup {
    let id = format!("{form}-by");
    let name = visit.signed_in.as_ref().and_then(|signed| signed.name.as_deref());
    html! {
        label for=(id) { (visit.reader.word("Your name", "이름")) }
        input id=(id) name="by" required maxlength="100" autocomplete="name" value=[name];
    }
}

fn silencing(state: &AlertState, visit: &Visit) -> Markup {
    let (place, reader) = (&visit.place, &visit.reader);
    let id = state.key.id();
    let about = super::alerts::about(&state.key);
    html! {
        section.card {
            h3 { (reader.word("Silence it", "중지하기")) }
            p.note { (reader.word("It goes on being judged and shown; nobody is sent a message.",
                                  "판정과 표시는 계속되며 메시지만 보내지 않습니다.")) }
            form.fields method="post" action=(place.to(&["alerts", id.as_str(), "silence"], &[])) {
                (who("silence", visit))
                label for="silence-comment" { (reader.word("Why", "이유")) }
                input id="silence-comment" name="comment" required maxlength="1000" autocomplete="off";
                label for="silence-hours" { (reader.word("For", "기간")) }
                select id="silence-hours" name="hours" {
                    @for hours in HOURS { option value=(hours) selected[hours == 24] { (length(hours, reader)) } }
                }
                label for="silence-of" { (reader.word("What is silenced", "중지 대상")) }
                select id="silence-of" name="of" {
                    option value="alert" { (reader.word("this alert", "이 알림")) }
                    option value="rule" { (reader.word("this rule of the same, in every month", "같은 대상의 같은 규칙 (모든 월)")) }
                    @if !about.is_empty() {
                        option value="subject" { (reader.word("every alert of the same", "같은 대상의 모든 알림")) }
                    }
                }
                button type="submit" { (reader.word("Silence", "중지")) }
            }
        }
    }
}

fn length(hours: i64, reader: &Reader) -> String {
    let (count, english, korean) = match hours {
        24.. => (hours / 24, if hours == 24 { "day" } else { "days" }, "일"),
        1 => (1, "hour", "시간"),
        _ => (hours, "hours", "시간"),
    };
    let space = reader.word(" ", "");
    format!("{count}{space}{}", reader.word(english, korean))
}
