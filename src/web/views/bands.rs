//! The first ten seconds: where each band stands, where it will end, when it crosses and why; what
//! fires, how much money is idle, how old the data is.

use std::collections::BTreeMap;

use maud::{Markup, html};
use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;

use super::cut::Cut;
use super::{Figure, name_of, signed, status, stood_out};
use crate::domain::alert::{AlertState, Severity};
use crate::domain::band::{BandJudgement, BandStatus, BandView, PeriodLabel};
use crate::domain::change::Change;
use crate::domain::forecast::ForecastMethod;
use crate::domain::gpu_money::{GpuPicture, Residual};
use crate::domain::money::{Currency, Money};
use crate::domain::node::Fleet;
use crate::domain::period::BillingPeriod;
use crate::snapshot::Snapshot;
use crate::web::chart::float;
use crate::web::chart::track::track;
use crate::web::link::Place;
use crate::web::page::{Shown, View, Visit};
use crate::web::reader::Reader;

/// So many alerts are named.
const MOST_NAMED: usize = 3;

/// A probability of ending below the floor is told from here on.
const WORTH_TELLING: f64 = 0.01;

/// The view.
pub(in crate::web) async fn show(visit: Visit) -> axum::response::Response {
    visit.answer(View::Bands, |snapshot| Shown::view(body(snapshot, &visit.place, &visit.reader)))
}

fn body(snapshot: &Snapshot, place: &Place, reader: &Reader) -> Markup {
    let of = |label| snapshot.bands.iter().filter(move |band| band.label == label);
    let current: Vec<&BandJudgement> = of(PeriodLabel::Current).collect();
    let cut = Cut::of(&current, "bands", place);
    html! {
        h1 {
            (reader.word("Where the month stands", "이번 달 현황"))
            @if let Some(band) = current.first() { " · " (reader.month(band.period)) }
        }
        (tiles(snapshot, place, reader))
        @if current.is_empty() {
            p.empty {
                (reader.word("No band holds what is read. Bands are set under `bands` in the configuration; \
                              `costband check` says which sources each holds.",
                             "읽은 소스를 담는 예산 범위가 없습니다. 설정의 `bands`에서 정하며, \
                              `costband check`가 각 범위의 소스를 보여 줍니다."))
            }
        } @else {
            // Providers' months begin hours apart.
            @let shown = current.first().map(|band| band.period);
            div.cards { @for band in cut.shown { (card(band, shown, snapshot, place, reader)) } }
            (cut.links(place, reader))
            p.note {
                (reader.word("The shaded zone is the band from floor to ceiling; the bar is what was spent so far, blue below \
                              the floor, green within, red above. The circle is the expected month end, the line through it \
                              where it falls with 80% probability.",
                             "음영은 하한부터 상한까지의 예산 범위이고, 막대는 현재까지의 지출입니다(하한 미만 파란색, 범위 안 \
                              초록색, 상한 초과 빨간색). 원은 예상 월말 금액, 선은 80% 확률 구간입니다."))
            }
        }
        (last_month(&of(PeriodLabel::Previous).collect::<Vec<_>>(), place, reader))
    }
}

fn tiles(snapshot: &Snapshot, place: &Place, reader: &Reader) -> Markup {
    html! {
        ul.tiles {
            li.tile { (firing(snapshot, place, reader)) }
            li.tile { (idle(snapshot, place, reader)) }
            li.tile { (age(snapshot, place, reader)) }
        }
    }
}

fn firing(snapshot: &Snapshot, place: &Place, reader: &Reader) -> Markup {
    let mut sorted: Vec<&AlertState> =
        snapshot.alerts.iter().filter(|alert| alert.fires()).collect();
    sorted.sort_by_key(|alert| (alert.details.severity, alert.fired_at));
    let firing = || sorted.iter().copied();
    let grave = firing().filter(|alert| alert.details.severity == Severity::Critical).count();
    let taken = firing().filter(|alert| alert.acknowledged.is_some()).count();
    let pending = snapshot.alerts.len() - firing().count();
    html! {
        h2 { a href=(place.to(&["alerts"], &[])) { (reader.word("Alerts firing", "발생 중인 알림")) } }
        strong { (reader.count(firing().count())) }
        p {
            @if firing().next().is_none() { (reader.word("Nothing fires.", "발생한 알림이 없습니다.")) }
            @else {
                (reader.word("", "긴급 ")) (reader.count(grave)) (reader.word(" critical, ", "건, 확인 "))
                (reader.count(taken)) (reader.word(" taken.", "건."))
            }
            @for alert in firing().take(MOST_NAMED) {
                br; a href=(place.to(&["alerts", &alert.key.id().to_string()], &[])) {
                    (reader.language.alert_rule(alert.key.rule))
                }
                @for about in alert.key.subject.values() { " · " bdi { (about) } }
            }
            @if pending > 0 {
                br; (reader.count(pending))
                (reader.word(" pending: firing if it lasts.", "건 대기 중: 지속되면 발생합니다."))
            }
        }
    }
}

fn idle(snapshot: &Snapshot, place: &Place, reader: &Reader) -> Markup {
    let current = snapshot.gpu.periods.iter().find(|period| period.label == PeriodLabel::Current);
    // What was idle, what was watched, and what was billed besides while nobody watched.
    let mut sums: BTreeMap<Currency, [Decimal; 3]> = BTreeMap::new();
    for ((_, currency), money) in current.into_iter().flat_map(|period| &period.money.by_provider) {
        let unseen = [Residual::UnobservedDay, Residual::WithoutTelemetry];
        let unseen = unseen.iter().filter_map(|of| money.residuals.get(of));
        let unseen = unseen.fold(Decimal::ZERO, |sum, more| sum.saturating_add(*more));
        let held = sums.entry(*currency).or_default();
        for (sum, more) in held.iter_mut().zip([money.idle(), money.total(), unseen]) {
            *sum = sum.saturating_add(more);
        }
    }
    let is_counted = sums.values().any(|[_, all, _]| !all.is_zero());
    html! {
        h2 { a href=(place.to(&["gpu"], &[])) { (reader.word("GPU money that did nothing this month", "이번 달 유휴 GPU 비용")) } }
        @if !is_counted {
            strong { (reader.word("unknown", "알 수 없음")) }
            p {
                @if snapshot.gpu_sources.is_empty() && snapshot.gpu.fleets.is_empty() {
                    (reader.word("No GPU telemetry is configured; see `gpu` in the configuration.",
                                 "설정된 GPU 텔레메트리가 없습니다. 설정의 `gpu`를 확인하세요."))
                } @else if snapshot.gpu.fleets.is_empty() {
                    (reader.word("No GPU telemetry was read yet.", "아직 읽은 GPU 텔레메트리가 없습니다."))
                } @else if snapshot.gpu.fleets.iter().all(|now| now.prices.is_empty()) {
                    (reader.word("GPU time has no price this month yet.", "이번 달 GPU 시간에 아직 단가가 없습니다."))
                } @else {
                    (reader.word("GPU time is counted since a moment ago; its money follows.",
                                 "방금 GPU 시간 집계를 시작했으며, 비용은 곧 표시됩니다."))
                }
            }
        }
        @for (currency, [idle, all, unseen]) in sums {
            @if !all.is_zero() {
                strong { (reader.small_money(Money::new(idle, currency))) }
                p {
                    @if let Some(share) = idle.checked_div(all) {
                        (reader.percent(float(share), 0)) (reader.word(" of ", " / 관측한 "))
                        (reader.small_money(Money::new(all, currency)))
                        (reader.word(" that telemetry watched", ""))
                    }
                }
            }
            @if unseen > Decimal::ZERO {
                p.note {
                    (reader.word("", "관측하지 못한 GPU 청구액: ")) (reader.money(Money::new(unseen, currency)))
                    (reader.word(" more were billed for GPUs that nobody watched", ""))
                }
            }
        }
        @for (currency, [gpus, cost]) in idle_now(&snapshot.gpu) {
            p.note {
                (reader.word("Idle now: ", "현재 유휴: ")) (reader.number(gpus, u32::from(!gpus.fract().is_zero())))
                (reader.word(" GPUs, about ", "개 GPU, 하루 약 "))
                (reader.money(Money::new(cost, currency))) (reader.word(" a day", ""))
            }
        }
    }
}

/// How many GPUs are idle now and what they cost in a day, at the price that is used first. One without
/// a price is in neither.
fn idle_now(picture: &GpuPicture) -> BTreeMap<Currency, [Decimal; 2]> {
    let price = |of: &Fleet| {
        let now = picture.fleets.iter().find(|now| now.fleet == *of)?;
        now.prices.first().map(|price| price.price)
    };
    let mut sums: BTreeMap<Currency, [Decimal; 2]> = BTreeMap::new();
    for node in &picture.nodes {
        let idle = node.states.iter().filter(|(state, _)| state.is_idle());
        let gpus = Decimal::from_f64(idle.map(|(_, gpus)| gpus).sum()).unwrap_or_default();
        let Some(price) = price(&node.fleet).filter(|_| gpus > Decimal::ZERO) else { continue };
        let [count, cost] = sums.entry(price.currency).or_default();
        let more = price.amount.saturating_mul(gpus).saturating_mul(Decimal::from(24));
        (*count, *cost) = (count.saturating_add(gpus), cost.saturating_add(more));
    }
    sums
}

fn age(snapshot: &Snapshot, place: &Place, reader: &Reader) -> Markup {
    let oldest = snapshot.sources.iter().map(|source| source.last_success).min().flatten();
    let never = snapshot.sources.iter().any(|source| source.last_success.is_none());
    let complete = snapshot.spend.iter().filter_map(|spend| spend.complete_days.last()).min();
    html! {
        h2 { a href=(place.to(&["sources"], &[])) { (reader.word("Bills are complete up to", "청구 데이터 완결일")) } }
        @if snapshot.sources.is_empty() {
            strong { (reader.word("none", "없음")) }
            p { (reader.word("no bill is configured", "설정된 청구 소스가 없음")) }
        } @else {
            strong {
                @match complete {
                    Some(day) => (reader.day(*day)),
                    None => (reader.word("no day yet", "아직 없음")),
                }
            }
            p {
                @match oldest.filter(|_| !never) {
                    Some(at) => { (reader.word("oldest reading: ", "가장 오래된 읽기: ")) (reader.ago(at)) },
                    None => (reader.word("not every bill was read yet", "아직 읽지 않은 청구가 있음")),
                }
            }
        }
    }
}

/// A band, with its month where that is not the one that the page is headed by.
fn card(
    band: &BandJudgement,
    shown: Option<BillingPeriod>,
    snapshot: &Snapshot,
    place: &Place,
    reader: &Reader,
) -> Markup {
    html! {
        article.card {
            h2 {
                a href=(place.to(&["bands", &band.band], &[])) { bdi { (band.band) } }
                (verdict(band, reader))
            }
            @if shown != Some(band.period) { p.note { (reader.month(band.period)) } }
            (standing(band, reader))
            (track(band, reader))
            (ending(band, reader))
            (daily(band, reader))
            @if let Some(change) = moved(snapshot, &band.band, band) { (why(change, snapshot, reader)) }
            (stood_out::newest(band, snapshot, place, reader))
        }
    }
}

/// What people must know of a band: the booked money where it decides, else where the month goes.
pub(super) fn verdict(band: &BandJudgement, reader: &Reader) -> Markup {
    let actual = band.status(BandView::Actual);
    match (actual, band.status(BandView::Forecast)) {
        (BandStatus::Above, _) | (_, BandStatus::Unknown) => status(actual, reader),
        _ if band.is_final => status(actual, reader),
        (_, forecast) => {
            let words = match forecast {
                BandStatus::Above => reader.word("heading above", "초과 예상"),
                BandStatus::Below => reader.word("heading below", "미달 예상"),
                BandStatus::Within | BandStatus::Unknown => {
                    reader.word("on course", "범위 안 예상")
                }
            };
            signed(forecast, words)
        }
    }
}

fn figure<'a>(name: &'static str, band: &'a BandJudgement) -> Figure<'a> {
    Figure { name, of: &band.band, period: band.label }
}

pub(super) fn standing(band: &BandJudgement, reader: &Reader) -> Markup {
    html! {
        p.amount {
            @match band.spend {
                Some(spend) => (figure("band_spend", band).money(spend, reader)),
                None => (reader.word("unknown", "알 수 없음")),
            }
            small {
                (reader.word("of ", "예산 범위 "))
                (figure("band_floor", band).shown(band.floor.amount.normalize(), &reader.number(band.floor.amount, 0)))
                " – " (figure("band_ceiling", band).money(band.ceiling, reader))
            }
        }
        @if band.spend.is_none() {
            @for view in band.views.iter().take(1) { p.note { (reader.reason(&view.reason)) } }
        }
    }
}

/// Where the month will end and when it crosses.
pub(super) fn ending(band: &BandJudgement, reader: &Reader) -> Markup {
    let Some(end) = band.month_end() else {
        let reason = band.views.iter().find(|view| view.view == BandView::Forecast);
        return html! { @if let Some(view) = reason { p.note { (reader.reason(&view.reason)) } } };
    };
    let outlook = band.outlook.as_ref();
    let is_over = band.is_final
        || outlook.is_some_and(|outlook| outlook.forecast.method == ForecastMethod::Actual);
    if is_over {
        return html! {
            p {
                (reader.word("Ended at ", "월말 금액 "))
                strong { (figure("band_month_end", band).money(end, reader)) }
                @if !band.is_final { (reader.word("; the provider may still restate it", " (공급자가 정정할 수 있음)")) }
                "."
            }
        };
    }
    let chance = |p: f64, name| figure(name, band).shown(p, &reader.chance(p));
    html! {
        p {
            (reader.word("Will end at about ", "월말 예상 "))
            strong { (figure("band_month_end", band).money(end, reader)) }
            @if let Some(outlook) = outlook {
                @if let (Some(low), Some(high)) = (outlook.forecast.at(0.1), outlook.forecast.at(0.9)) {
                    " (80%: " (reader.number(low, 0)) " – " (reader.number(high, 0)) ")"
                }
            }
            "."
        }
        @if let Some(outlook) = outlook {
            p {
                (reader.word("Above the ceiling: ", "상한 초과 확률 "))
                strong { (chance(outlook.against.above_ceiling, "band_above_ceiling")) }
                @if let Some(day) = outlook.against.crossing_p50 {
                    (reader.word(", crossing about ", ", 도달 예상 ")) strong { (reader.short_day(day)) }
                }
                @match (outlook.against.crossing_p80, outlook.against.crossing_p50) {
                    (Some(early), day) if Some(early) != day => {
                        (reader.word(", perhaps on ", ", 이르면 ")) (reader.short_day(early))
                        @if day.is_some() { (reader.word(" already", "")) }
                    }
                    _ => {}
                }
                "."
                @if outlook.against.below_floor >= WORTH_TELLING {
                    (reader.word(" Below the floor: ", " 하한 미달 확률 "))
                    strong { (chance(outlook.against.below_floor, "band_below_floor")) } "."
                }
            }
        }
    }
}

/// What moved a band's money since last week: its own where it holds a part of a source, else that of
/// its only source, where the band holds all of it on the same basis.
pub(super) fn moved<'a>(
    snapshot: &'a Snapshot,
    name: &str,
    band: &BandJudgement,
) -> Option<&'a Change> {
    let own = snapshot.trends.iter().flat_map(|of| &of.bands).find(|held| held.band == name);
    let whole = || match band.sources.as_slice() {
        [only] => {
            let of = snapshot.trends.iter().find(|of| of.source == *only)?;
            let basis = of.trends.iter().find(|trend| trend.of.is_none())?.basis;
            let spend = snapshot.spend.iter().find(|of| of.source == *only)?;
            let open = spend.periods.iter().find(|held| held.period == band.period)?;
            let total = open.totals.get(&band.ceiling.currency)?.on(band.basis)?;
            let is_whole = band.spend.is_some_and(|spend| spend.amount == total);
            (is_whole && basis == band.basis).then_some(of.change.as_ref()).flatten()
        }
        _ => None,
    };
    own.map(|held| &held.change).or_else(whole)
}

/// What a day is expected to cost against what a day may cost, or should: why the month ends where it
/// does.
pub(super) fn daily(band: &BandJudgement, reader: &Reader) -> Markup {
    let Some(outlook) = band.outlook.as_ref().filter(|_| !band.is_final) else { return html! {} };
    let [first, .., last] = outlook.path.as_slice() else { return html! {} };
    let Some((from, to)) = first.at(0.5).zip(last.at(0.5)) else { return html! {} };
    let days = Decimal::from(outlook.path.len() - 1);
    let a_day = |amount: Decimal| amount.checked_sub(from)?.checked_div(days);
    let Some(expected) = a_day(to) else { return html! {} };
    let money = |amount| reader.money(Money::new(amount, band.ceiling.currency));
    html! {
        p.note {
            (reader.word("Expected from here: about ", "앞으로 예상 하루 약 ")) strong { (money(expected)) }
            (reader.word(" a day", ""))
            @match band.status(BandView::Forecast) {
                BandStatus::Below => @if let Some(wanted) = a_day(band.floor.amount) {
                    (reader.word("; the floor wants ", ", 하한까지 필요한 하루 금액 ")) strong { (money(wanted)) }
                },
                _ => @match outlook.against.allowed_per_day {
                    Some(allowed) if allowed.is_sign_negative() => {
                        (reader.word("; nothing is left up to the ceiling", ", 상한까지 남은 금액 없음"))
                    }
                    Some(allowed) => {
                        (reader.word("; the ceiling allows ", ", 상한까지 하루 허용액 ")) strong { (money(allowed)) }
                    }
                    None => {}
                },
            }
            "."
        }
    }
}

fn why(change: &Change, snapshot: &Snapshot, reader: &Reader) -> Markup {
    let moved = change.after.checked_sub(change.before).unwrap_or_default();
    let first = change.along.first();
    let part = first.and_then(|along| along.parts.iter().find(|part| !part.change.is_zero()));
    html! {
        p.note {
            (reader.word("Last 7 days: ", "최근 7일 "))
            (reader.difference(Money::new(moved, change.currency)))
            (reader.word(" against the 7 before", " (이전 7일 대비)"))
            @if let (Some(along), Some(part)) = (first, part) {
                ", " (reader.word("most from ", "주로 ")) bdi { (name_of(snapshot, along.dimension, &part.key, reader)) }
                " (" (reader.difference(Money::new(part.change, change.currency))) ")"
            }
            "."
        }
    }
}

fn last_month(bands: &[&BandJudgement], place: &Place, reader: &Reader) -> Markup {
    let cut = Cut::of(bands, "ended", place);
    html! {
        @if !bands.is_empty() {
            h2 { (reader.word("Last month", "지난달")) @if let Some(band) = bands.first() { " · " (reader.month(band.period)) } }
            div.scroll tabindex="0" role="region" aria-label=(reader.word("Last month", "지난달")) {
                table {
                    thead { tr {
                        th scope="col" { (reader.word("Band", "예산 범위")) }
                        th.number scope="col" { (reader.word("Spent", "지출")) }
                        th.number scope="col" { (reader.word("Floor", "하한")) }
                        th.number scope="col" { (reader.word("Ceiling", "상한")) }
                        th scope="col" { (reader.word("Status", "상태")) }
                        th scope="col" { (reader.word("Bill", "청구")) }
                    } }
                    tbody {
                        @for band in cut.shown {
                            tr {
                                th scope="row" { a href=(place.to(&["bands", &band.band], &[("period", "previous")])) { bdi { (band.band) } } }
                                td.number {
                                    @match band.spend {
                                        Some(spend) => (figure("band_spend", band).money(spend, reader)),
                                        None => (reader.word("unknown", "알 수 없음")),
                                    }
                                }
                                td.number { (reader.number(band.floor.amount, 0)) }
                                td.number { (reader.number(band.ceiling.amount, 0)) }
                                td { (status(band.status(BandView::Actual), reader)) }
                                td { @if band.is_final { (reader.word("final", "확정")) } @else { (reader.word("may still move", "변경 가능")) } }
                            }
                        }
                    }
                }
            }
            (cut.links(place, reader))
        }
    }
}
