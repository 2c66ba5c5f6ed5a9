//! One band: its month as a chart, what each view says and why, what moved it, whom to ask.

use axum::extract::Path;
use maud::{Markup, html};

use super::bands::{daily, ending, moved, standing, verdict};
use super::cut::Cut;
use super::{name_of, spend, status, stood_out};
use crate::domain::alert::Subject;
use crate::domain::band::{BandJudgement, PeriodLabel};
use crate::domain::breakdown::Dimension;
use crate::domain::change::{Change, ChangeAlong};
use crate::domain::money::Money;
use crate::snapshot::Snapshot;
use crate::web::chart::band as chart;
use crate::web::page::{Shown, View, Visit};
use crate::web::reader::Reader;

/// So many values that moved most are named along a dimension.
const MOST_PARTS: usize = 6;

/// The view.
pub(in crate::web) async fn show(
    visit: Visit,
    Path(name): Path<String>,
) -> axum::response::Response {
    let label = match visit.place.asked("period") {
        Some("previous") => PeriodLabel::Previous,
        _ => PeriodLabel::Current,
    };
    visit.answer(View::Bands, |snapshot| {
        let mut judged = snapshot.bands.iter().filter(|band| band.band == name);
        match judged.find(|band| band.label == label) {
            Some(band) => Shown::one(name.clone(), body(band, snapshot, &visit)),
            None => Shown::missing(&visit, &name),
        }
    })
}

fn body(band: &BandJudgement, snapshot: &Snapshot, visit: &Visit) -> Markup {
    let (place, reader) = (&visit.place, &visit.reader);
    let periods = snapshot.bands.iter().filter(|other| other.band == band.band);
    html! {
        nav.crumbs aria-label=(reader.word("Where you are", "현재 위치")) {
            ol {
                li { a href=(place.to(&[], &[])) { (reader.word("Bands", "예산 범위")) } }
                li { bdi { (band.band) } }
            }
        }
        h1 { bdi { (band.band) } " · " (reader.month(band.period)) " " (verdict(band, reader)) }
        ul.choices {
            @for other in periods {
                li {
                    a href=(place.with("period", (other.label == PeriodLabel::Previous).then_some("previous")))
                        aria-current=[(other.label == band.label).then_some("true")]
                    { (reader.month(other.period)) @if other.is_final { " · " (reader.word("final", "확정")) } }
                }
            }
        }
        div.card {
            (standing(band, reader))
            (ending(band, reader))
            (daily(band, reader))
            @if band.days.is_empty() {
                p.empty { (reader.word("No day of this month is known yet.", "이번 달에 알려진 날이 아직 없습니다.")) }
            } @else {
                (chart::chart(band, reader))
                (chart::legend(band, reader))
                details #table {
                    summary { (reader.word("The same as a table", "표로 보기")) }
                    div.scroll tabindex="0" role="region" aria-label=(reader.word("Days", "날짜별")) { (chart::table(band, reader)) }
                }
                (before(band, snapshot, visit))
            }
        }
        (views(band, reader))
        (firing(band, snapshot, visit))
        @if band.label == PeriodLabel::Current {
            @if let Some(change) = moved(snapshot, &band.band, band) { (week(change, band, snapshot, visit)) }
        }
        (stood_out::section(band, snapshot, place, reader))
        (about(band, snapshot, visit))
    }
}

/// The way to what was forecast of the month before.
fn before(band: &BandJudgement, snapshot: &Snapshot, visit: &Visit) -> Markup {
    let mut records = snapshot.records.iter();
    let record = records.find(|held| held.band == band.band && held.period == band.period);
    let mut query = vec![("band", band.band.as_str())];
    query.extend((band.label == PeriodLabel::Previous).then_some(("period", "previous")));
    html! {
        @if record.is_some_and(|record| !record.forecasts.is_empty()) {
            p {
                a href={ (visit.place.to(&["record"], &query)) "#days" } {
                    (visit.reader.word("What was forecast day by day", "날짜별 예측 보기"))
                }
            }
        }
    }
}

fn views(band: &BandJudgement, reader: &Reader) -> Markup {
    html! {
        h2 { (reader.word("How it is judged", "판정")) }
        div.scroll tabindex="0" role="region" aria-label=(reader.word("How it is judged", "판정")) {
            table {
                thead { tr {
                    th scope="col" { (reader.word("What is held against the band", "예산 범위와 비교한 것")) }
                    th scope="col" { (reader.word("Status", "상태")) }
                    th scope="col" { (reader.word("Because", "이유")) }
                } }
                tbody {
                    @for view in &band.views {
                        tr {
                            th scope="row" { (reader.language.view(view.view)) }
                            td { (status(view.status, reader)) }
                            td.wide { (reader.reason(&view.reason)) }
                        }
                    }
                }
            }
        }
        (pace(band, reader))
    }
}

/// How fast the newest days burn the ceiling.
fn pace(band: &BandJudgement, reader: &Reader) -> Markup {
    let rates = [
        (band.burn.one_day, reader.word("newest complete day", "최근 완결일")),
        (band.burn.three_days, reader.word("newest 3 days", "최근 3일")),
        (band.burn.seven_days, reader.word("newest 7 days", "최근 7일")),
    ];
    let allowed = band.outlook.as_ref().and_then(|outlook| outlook.against.allowed_per_day);
    html! {
        @if rates.iter().any(|(rate, _)| rate.is_some()) {
            p {
                (reader.word("Pace against what a day may cost (100% ends the month at its ceiling): ",
                             "하루 허용액 대비 속도(100%면 월말에 상한 도달): "))
                @for (index, (rate, of)) in rates.iter().filter(|(rate, _)| rate.is_some()).enumerate() {
                    @if index > 0 { ", " }
                    (of) " " strong { (reader.percent(rate.unwrap_or_default(), 0)) }
                }
                "."
            }
        }
        @if let Some(allowed) = allowed {
            p {
                @if allowed.is_sign_negative() {
                    (reader.word("What is booked and due is past the ceiling already.",
                                 "청구된 금액과 예정 금액이 이미 상한을 넘었습니다."))
                } @else {
                    (reader.word("Each day that is left may cost ", "남은 날 하루 허용액 "))
                    strong { (reader.money(Money::new(allowed, band.ceiling.currency))) } "."
                }
            }
        }
    }
}

fn firing(band: &BandJudgement, snapshot: &Snapshot, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let of_band = snapshot.alerts.iter().filter(|alert| {
        alert.key.subject.get(Subject::Band).is_some_and(|name| name == band.band)
            && alert.key.period.is_none_or(|period| period == band.period)
    });
    let alerts: Vec<_> = of_band.collect();
    let cut = Cut::of(&alerts, "alerts", &visit.place);
    html! {
        @if !alerts.is_empty() {
            h2 { (reader.word("Alerts", "알림")) }
            ul.plain {
                @for alert in cut.shown {
                    li {
                        a href=(visit.place.to(&["alerts", &alert.key.id().to_string()], &[])) {
                            (reader.language.alert_rule(alert.key.rule))
                        }
                        " · " (reader.language.severity(alert.details.severity)) " · "
                        @if alert.fires() { (reader.word("firing", "발생 중")) } @else { (reader.word("pending", "대기")) }
                        " · " (reader.ago(alert.fired_at.unwrap_or(alert.since)))
                    }
                }
            }
            (cut.links(&visit.place, reader))
        }
    }
}

fn week(change: &Change, band: &BandJudgement, snapshot: &Snapshot, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let moved = change.after.checked_sub(change.before).unwrap_or_default();
    html! {
        h2 { (reader.word("What moved since last week", "지난주 대비 변화")) }
        p {
            (reader.money(Money::new(change.after, change.currency)))
            (reader.word(" in the 7 days to ", ", 7일 기준일 ")) (reader.day(change.to)) ", "
            strong { (reader.difference(Money::new(moved, change.currency))) }
            (reader.word(" against the 7 days before.", " (이전 7일 대비)."))
        }
        div.columns { @for along in &change.along { (parts(along, change, band, snapshot, visit)) } }
    }
}

/// A value of a dimension, which leads to its spend where the band has one source.
fn value(
    of: Dimension,
    key: &str,
    band: &BandJudgement,
    snapshot: &Snapshot,
    visit: &Visit,
) -> Markup {
    let name = name_of(snapshot, of, key, &visit.reader);
    html! {
        @match band.sources.as_slice() {
            [source] if spend::leads_down(of) => {
                a href=(visit.place.to(&["spend", source.as_str()], &[(of.as_str(), key)])) { bdi { (name) } }
            }
            _ => bdi { (name) },
        }
    }
}

fn parts(
    along: &ChangeAlong,
    change: &Change,
    band: &BandJudgement,
    snapshot: &Snapshot,
    visit: &Visit,
) -> Markup {
    let reader = &visit.reader;
    let moved: Vec<_> =
        along.parts.iter().filter(|part| !part.change.is_zero()).take(MOST_PARTS).collect();
    html! {
        @if !moved.is_empty() {
            div.scroll tabindex="0" role="region" aria-label=(reader.language.dimension(along.dimension)) { table {
                thead { tr {
                    th scope="col" { (reader.language.dimension(along.dimension)) }
                    th.number scope="col" { (reader.word("7 days", "7일")) }
                    th.number scope="col" { (reader.word("Change", "변화")) }
                } }
                tbody {
                    @for part in moved {
                        tr {
                            th scope="row" { (value(along.dimension, &part.key, band, snapshot, visit)) }
                            td.number { (reader.small_money(Money::new(part.after, change.currency))) }
                            td.number { (reader.difference(Money::new(part.change, change.currency))) }
                        }
                    }
                }
            } }
        }
    }
}

fn about(band: &BandJudgement, snapshot: &Snapshot, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let mut expected = snapshot.gpu.expected.iter();
    let expected = expected.find(|one| one.band == band.band && one.period == band.period);
    html! {
        h2 { (reader.word("About this band", "이 예산 범위에 대하여")) }
        dl.pairs {
            dt { (reader.word("Sources", "데이터 소스")) }
            dd {
                @for (index, source) in band.sources.iter().enumerate() {
                    @if index > 0 { ", " }
                    a href=(visit.place.to(&["spend", source.as_str()], &[])) { (source) }
                }
            }
            dt { (reader.word("Basis", "기준")) }
            dd { (reader.language.basis(band.basis)) }
            @if let Some(at) = band.as_of {
                dt { (reader.word("Read", "읽은 시각")) }
                dd { (reader.ago(at)) }
            }
            @if let Some(day) = band.newest_complete_day {
                dt { (reader.word("Complete days", "완결일")) }
                dd { (band.complete_days) ", " (reader.word("up to ", "최근 ")) (reader.day(day)) }
            }
            @if let Some(expected) = expected {
                dt { (reader.word("What the GPU nodes that run now cost in a month", "현재 GPU 노드의 한 달 비용")) }
                dd { (reader.money(expected.cost)) " " span.soft { (reader.expected(expected)) } }
            }
            @for rate in &band.exchange_rates {
                dt { (reader.word("Exchange rate", "환율")) }
                dd { bdi { (reader.used_rate(rate)) } }
            }
            @if let Some(owner) = &band.owner {
                dt { (reader.word("Owner", "담당")) }
                dd { bdi { (owner) } }
            }
            @if let Some(runbook) = &band.runbook_url {
                dt { (reader.word("What to do", "대응 방법")) }
                dd { a href=(runbook) rel="noreferrer" { (runbook) } }
            }
        }
    }
}
