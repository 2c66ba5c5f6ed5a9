//! Fleets: what they are and do now, what an hour of them costs, and where they stand against the
//! hardware guide.

use std::collections::BTreeMap;

use maud::{Markup, html};
use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;

use super::{cloud, percent_of, place_of, states, unknown};
use crate::domain::band::{BandStatus, PeriodLabel};
use crate::domain::gpu_money::{Coverage, FleetMoney, FleetNow, GpuPicture};
use crate::domain::gpu_time::GpuState;
use crate::domain::machine::model_name;
use crate::domain::money::{Currency, Money};
use crate::domain::node::Fleet;
use crate::snapshot::Snapshot;
use crate::web::chart::{float, shares};
use crate::web::page::Visit;
use crate::web::reader::Reader;
use crate::web::views::cut::Cut;
use crate::web::views::signed;

/// GPUs by what they do now; parts of one where it is split.
type StatesNow = BTreeMap<GpuState, Decimal>;

/// What GPUs do now, by fleet.
fn states_now(picture: &GpuPicture) -> BTreeMap<&Fleet, StatesNow> {
    let mut all: BTreeMap<&Fleet, StatesNow> = BTreeMap::new();
    for node in &picture.nodes {
        let sums = all.entry(&node.fleet).or_default();
        add(sums, &node.states);
    }
    all
}

/// Adds the states of a node.
fn add(sums: &mut StatesNow, states: &BTreeMap<GpuState, f64>) {
    for (state, gpus) in states {
        let sum = sums.entry(*state).or_default();
        *sum = sum.saturating_add(Decimal::from_f64(*gpus).unwrap_or_default());
    }
}

/// The fleets of now.
pub(super) fn now(snapshot: &Snapshot, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let picture = &snapshot.gpu;
    let states_of = states_now(picture);
    let mut all = StatesNow::new();
    for node in &picture.nodes {
        add(&mut all, &node.states);
    }
    let gpus: u32 = picture.fleets.iter().fold(0, |sum, now| sum.saturating_add(now.gpus));
    let rows = Cut::of(&picture.fleets, "fleets", &visit.place);
    let title = reader.word("The fleet now", "현재 GPU");
    html! {
        h2 { (title) }
        @if picture.fleets.is_empty() {
            p.empty { (reader.word("No telemetry tells of a GPU right now.", "지금 텔레메트리가 알려 주는 GPU가 없습니다.")) }
        } @else {
            p {
                strong { (reader.count(usize::try_from(gpus).unwrap_or(usize::MAX))) " GPU" }
                @for (state, gpus) in all.iter().filter(|(_, gpus)| !gpus.is_zero()) {
                    ", " (reader.language.gpu_state(*state)) " " (number(*gpus, reader))
                }
            }
            (states(&all, 1.0, 22, |gpus| number(gpus, reader), reader))
            (shares::legend(all.iter().filter(|(_, gpus)| !gpus.is_zero()).map(|(state, _)| *state), reader))
            div.scroll tabindex="0" role="region" aria-label=(title) {
                table {
                    thead { tr {
                        th scope="col" { (reader.word("Model", "모델")) }
                        th scope="col" { (reader.word("Where", "위치")) }
                        th.number scope="col" { "GPU" }
                        th scope="col" { (reader.word("Now", "현재")) }
                        th.number scope="col" { (reader.word("Utilization", "사용률")) }
                        th.number scope="col" { (reader.word("Memory in use", "메모리 사용")) }
                        th.number scope="col" { (reader.word("GPU-hour", "GPU 시간당")) }
                        th scope="col" { (reader.word("Tier", "등급")) }
                    } }
                    tbody { @for now in rows.shown { (fleet(now, states_of.get(&now.fleet), reader)) } }
                }
            }
            (rows.links(&visit.place, reader))
        }
        (coverage(picture, visit))
    }
}

fn number(gpus: Decimal, reader: &Reader) -> String {
    reader.number(gpus, u32::from(!gpus.fract().is_zero()))
}

fn fleet(now: &FleetNow, states_of: Option<&StatesNow>, reader: &Reader) -> Markup {
    let memory = now.memory_used_bytes.zip(now.memory_total_bytes);
    html! {
        tr {
            th scope="row" { bdi { (model_name(&now.fleet.model)) } }
            td.where { (place_of(&now.fleet, reader)) }
            td.number { (reader.number(now.gpus.into(), 0)) }
            td.some { @if let Some(of) = states_of { (states(of, 1.0, 14, |gpus| number(gpus, reader), reader)) } }
            td.number {
                @match now.utilization {
                    Some(ratio) => { (reader.percent(ratio, 0)) (shares::share(ratio)) },
                    None => (unknown(reader)),
                }
            }
            td.number {
                @match memory {
                    Some((used, total)) => {
                        (percent_of(used.into(), total.into(), reader)) br;
                        small { (gigabytes(used, reader)) " / " (gigabytes(total, reader)) " GB" }
                    }
                    None => (unknown(reader)),
                }
            }
            td.number {
                @if now.prices.is_empty() { (unknown(reader)) }
                @for (index, price) in now.prices.iter().enumerate() {
                    @if index > 0 { br; }
                    @let said = html! { (reader.money_to(price.price, 2)) " " (reader.language.price_source(price.source)) };
                    @if index == 0 { (said) } @else { small { (said) } }
                }
            }
            td.some { (now.tier.map_or(unknown(reader), |tier| reader.language.tier(tier))) }
        }
    }
}

fn gigabytes(bytes: u64, reader: &Reader) -> String {
    reader.number(Decimal::from(bytes) / Decimal::from(1_000_000_000), 0)
}

/// How many of the GPUs that should be there telemetry sees.
fn coverage(picture: &GpuPicture, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let row = |of: &Coverage| {
        let share = Decimal::from(of.seen).checked_div(of.expected.into());
        html! {
            tr {
                th scope="row" { (cloud(of.provider, reader)) " · " bdi { (of.cluster) } }
                td.number {
                    (reader.number(of.seen.into(), 0)) " / " (reader.number(of.expected.into(), 0))
                    @if let Some(share) = share.filter(|_| of.seen <= of.expected) { (shares::share(float(share))) }
                }
                td.some {
                    @if of.seen < of.expected {
                        (reader.word("GPUs without telemetry: ", "텔레메트리 없는 GPU: "))
                        (reader.number((of.expected - of.seen).into(), 0))
                    } @else if of.seen > of.expected {
                        (signed(BandStatus::Above, reader.word("more are seen than the known nodes have", "알려진 노드보다 많이 관측됨")))
                    } @else { (reader.word("none", "없음")) }
                }
            }
        }
    };
    let title = reader.word("What telemetry sees", "텔레메트리 범위");
    let rows = Cut::of(&picture.coverage, "coverage", &visit.place);
    html! {
        @if !picture.coverage.is_empty() {
            h3 { (title) }
            div.scroll tabindex="0" role="region" aria-label=(title) {
                table {
                    thead { tr {
                        th scope="col" { (reader.word("Cluster", "클러스터")) }
                        th.number scope="col" { (reader.word("GPUs seen / there", "관측 / 전체 GPU")) }
                        th scope="col" { (reader.word("Missing", "부족")) }
                    } }
                    tbody { @for of in rows.shown { (row(of)) } }
                }
            }
            (rows.links(&visit.place, reader))
        }
    }
}

/// What an hour of a GPU costs, and what an hour of a busy one: across clouds the only fair price.
pub(super) fn prices(picture: &GpuPicture, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let current = picture.periods.iter().find(|period| period.label == PeriodLabel::Current);
    let mut fleets: Vec<(&FleetMoney, Currency, Decimal)> = current
        .into_iter()
        .flat_map(|period| &period.money.fleets)
        .filter_map(|of| of.hour_price().map(|(currency, price)| (of, currency, price)))
        .collect();
    let busy = |of: &FleetMoney| of.busy_hour_price().map(|(_, price)| price);
    fleets.sort_by(|one, other| {
        let rank = |of: &(&FleetMoney, Currency, Decimal)| (of.1, busy(of.0).is_none(), busy(of.0));
        rank(one).cmp(&rank(other))
    });
    let rows = Cut::of(&fleets, "prices", &visit.place);
    let most = |currency: Currency| {
        let same = fleets.iter().filter(|of| of.1 == currency);
        same.map(|of| busy(of.0).unwrap_or(of.2)).max()
    };
    let share = |price: Decimal, currency| {
        most(currency).and_then(|most| price.checked_div(most)).map(float)
    };
    let title = reader.word("What a busy hour costs", "작업 시간당 비용");
    html! {
        @if !fleets.is_empty() {
            h2 { (title) }
            p.note {
                (reader.word("All the money of a fleet this month over its hours, and over those hours only in which its GPUs were busy.",
                             "이번 달 비용을 전체 시간으로 나눈 값과, 작업한 시간만으로 나눈 값입니다."))
            }
            div.scroll tabindex="0" role="region" aria-label=(title) {
                table {
                    thead { tr {
                        th scope="col" { (reader.word("Model", "모델")) }
                        th scope="col" { (reader.word("Where", "위치")) }
                        th.number scope="col" { (reader.word("A GPU-hour", "GPU 시간당")) }
                        th.number scope="col" { (reader.word("A busy GPU-hour", "작업 GPU 시간당")) }
                        th.number scope="col" { (reader.word("Busy", "작업 중")) }
                    } }
                    tbody {
                        @for (of, currency, price) in rows.shown {
                            tr {
                                th scope="row" { bdi { (model_name(&of.fleet.model)) } }
                                td.where { (place_of(&of.fleet, reader)) }
                                td.number {
                                    (reader.money_to(Money::new(*price, *currency), 2))
                                    @if let Some(share) = share(*price, *currency) { (shares::share(share)) }
                                }
                                td.number {
                                    @match busy(of) {
                                        Some(busy) => {
                                            (reader.money_to(Money::new(busy, *currency), 2))
                                            @if let Some(share) = share(busy, *currency) { (shares::share(share)) }
                                        }
                                        None => (reader.word("never busy", "작업한 적 없음")),
                                    }
                                }
                                td.number {
                                    (percent_of(of.time.milliseconds(GpuState::Busy).into(), of.time.total().into(), reader))
                                }
                            }
                        }
                    }
                }
            }
            (rows.links(&visit.place, reader))
        }
    }
}

/// Clusters against the hardware guide.
pub(super) fn tiers(picture: &GpuPicture, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let rows = Cut::of(&picture.clusters, "clusters", &visit.place);
    let title = reader.word("Against the hardware guide", "하드웨어 가이드 기준");
    let number = |count: u64| reader.number(count.into(), 0);
    html! {
        @if !picture.clusters.is_empty() {
            h2 { (title) }
            div.scroll tabindex="0" role="region" aria-label=(title) {
                table {
                    thead { tr {
                        th scope="col" { (reader.word("Cluster", "클러스터")) }
                        th scope="col" { (reader.word("Tier", "등급")) }
                        th.number scope="col" { "GPU" }
                        th.number scope="col" { (reader.word("Memory, GB", "메모리(GB)")) }
                        th.number scope="col" { (reader.word("Fast storage, GB", "고속 스토리지(GB)")) }
                        th scope="col" { (reader.word("Missing for the next tier", "다음 등급에 부족한 것")) }
                    } }
                    tbody {
                        @for of in rows.shown {
                            tr {
                                th scope="row" { (cloud(of.provider, reader)) " · " bdi { (of.cluster) } }
                                td.some { (reader.language.tier(of.tier)) }
                                td.number { (number(of.gpus.into())) }
                                td.number { (number(of.memory_gb)) }
                                td.number { (number(of.storage_gb)) }
                                td {
                                    @if of.missing.is_empty() { (reader.word("nothing", "없음")) }
                                    @else { (reader.lacking(&of.missing)) }
                                }
                            }
                        }
                    }
                }
            }
            (rows.links(&visit.place, reader))
        }
    }
}
