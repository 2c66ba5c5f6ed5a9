//! GPUs: what the fleet is and does now, where its money went, and which node or workload wastes it.

use axum::extract::Path;
use axum::http::StatusCode;
use maud::{Markup, html};
use rust_decimal::Decimal;

use crate::domain::gpu_money::{GpuRange, StateMoney, hours};
use crate::domain::gpu_time::{GpuState, StateTime};
use crate::domain::identity::Provider;
use crate::domain::money::{Currency, Money};
use crate::domain::node::Fleet;
use crate::domain::period::{BillingPeriod, BillingZone};
use crate::domain::ports::HistoryError;
use crate::domain::price::CapacityType;
use crate::snapshot::Snapshot;
use crate::web::chart::float;
use crate::web::chart::shares::{StatePart, patterns, stack, swatch};
use crate::web::page::{Shown, View, Visit};
use crate::web::reader::Reader;

mod fleets;
mod money;
mod node;
mod nodes;
mod workload;

/// The view.
pub(in crate::web) async fn show(visit: Visit) -> axum::response::Response {
    visit.answer(View::Gpu, |snapshot| Shown::view(body(snapshot, &visit)))
}

/// One node.
pub(in crate::web) async fn node(
    visit: Visit,
    Path(name): Path<String>,
) -> axum::response::Response {
    let past = past(&visit).await;
    visit.answer(View::Gpu, |snapshot| match node::body(&name, snapshot, &past, &visit) {
        Some(body) => Shown::one(name.clone(), body),
        None => absent(&name, &past, &visit),
    })
}

/// One workload.
pub(in crate::web) async fn workload(
    visit: Visit,
    Path((namespace, name)): Path<(String, String)>,
) -> axum::response::Response {
    let past = past(&visit).await;
    let full = format!("{namespace}/{name}");
    visit.answer(View::Gpu, |snapshot| {
        match workload::body(&namespace, &name, snapshot, &past, &visit) {
            Some(body) => Shown::one(full.clone(), body),
            None => absent(&full, &past, &visit),
        }
    })
}

/// What nothing is known of: it may be known of in the past where that cannot be read now.
fn absent(name: &str, past: &Past, visit: &Visit) -> Shown {
    let Some(Err(error)) = past else { return Shown::missing(visit, name) };
    let status = match error {
        HistoryError::Busy => StatusCode::TOO_MANY_REQUESTS,
        HistoryError::Ledger(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Shown::failed(visit, status, why_no_past(error, &visit.reader))
}

/// What the ledger tells of this month; none where it cannot be asked.
type Past = Option<Result<GpuRange, HistoryError>>;

async fn past(visit: &Visit) -> Past {
    let snapshot = visit.snapshot()?;
    let answer = visit.face.gpu_history.money(open_month(snapshot, &visit.reader).window()).await;
    if let Err(error @ HistoryError::Ledger(_)) = &answer {
        tracing::error!(%error, "failed to read GPU money of the past");
    }
    Some(answer)
}

/// The open month, by the newest picture.
fn open_month(snapshot: &Snapshot, reader: &Reader) -> BillingPeriod {
    let open = snapshot.gpu.periods.first().map(|period| period.period);
    open.unwrap_or_else(|| BillingPeriod::at(reader.now, BillingZone::Utc))
}

fn body(snapshot: &Snapshot, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let picture = &snapshot.gpu;
    let has_money = picture.periods.iter().any(|period| !period.money.by_provider.is_empty());
    let has_nodes = !picture.nodes.is_empty() || !picture.silent_nodes.is_empty();
    html! {
        h1 { "GPU · " (reader.month(open_month(snapshot, reader))) }
        (patterns())
        @if picture.fleets.is_empty() && !has_money && !has_nodes {
            p.empty {
                (reader.word("No GPU is known of: no telemetry was read and no node is told. Sources of telemetry are \
                              set under `gpu` in the configuration.",
                             "알려진 GPU가 없습니다. 읽은 텔레메트리도, 알려진 노드도 없습니다. 텔레메트리 소스는 설정의 \
                              `gpu`에서 정합니다."))
            }
        } @else {
            (fleets::now(snapshot, visit))
            (money::section(picture, visit))
            (money::workloads(picture, visit))
            (nodes::section(picture, visit))
            (fleets::prices(picture, visit))
            (fleets::tiers(picture, visit))
            (money::checks(snapshot, visit))
        }
    }
}

/// The states of some GPUs as a stack of a length (0 to 1), by any amounts that are not less than
/// nothing.
fn states<'a>(
    amounts: impl IntoIterator<Item = (&'a GpuState, &'a Decimal)>,
    length: f64,
    height: u32,
    told: impl Fn(Decimal) -> String,
    reader: &Reader,
) -> Markup {
    let amounts: Vec<(GpuState, Decimal)> = amounts
        .into_iter()
        .filter(|(_, amount)| **amount > Decimal::ZERO)
        .map(|(state, amount)| (*state, *amount))
        .collect();
    let total = amounts.iter().fold(Decimal::ZERO, |sum, (_, more)| sum.saturating_add(*more));
    let part = |(state, amount): &(GpuState, Decimal)| {
        let share = amount.checked_div(total).unwrap_or_default();
        let percent = reader.percent(float(share), 0);
        let said = format!("{} {} ({percent})", reader.language.gpu_state(*state), told(*amount));
        StatePart { state: *state, share: float(share), said }
    };
    let parts: Vec<StatePart> = amounts.iter().map(part).collect();
    html! { @if !parts.is_empty() { (stack(&parts, length, height)) } }
}

/// Hours in each state.
fn hours_of(time: &StateTime) -> StateMoney {
    time.iter().filter(|(_, time)| *time > 0).map(|(state, time)| (state, hours(time))).collect()
}

/// Hours in whole ones, with a decimal where they are few.
fn hours_told(hours: Decimal, reader: &Reader) -> String {
    reader.number(hours, u32::from(hours < Decimal::ONE_HUNDRED))
}

/// Hours in each state as a stack with its figures.
fn time_table(time: &StateTime, reader: &Reader) -> Markup {
    let hours = hours_of(time);
    let total: Decimal = hours.values().sum();
    let told = |hours: Decimal| format!("{} h", reader.number(hours, 1));
    html! {
        (states(&hours, 1.0, 18, told, reader))
        div.scroll tabindex="0" role="region" aria-label=(reader.word("What the GPUs did", "GPU 상태")) { table {
            thead { tr {
                th scope="col" { (reader.word("What the GPUs did", "GPU 상태")) }
                th.number scope="col" { (reader.word("GPU-hours", "GPU 시간")) }
                th.number scope="col" { (reader.word("Share", "비중")) }
            } }
            tbody {
                @for (state, hours) in &hours {
                    tr {
                        th scope="row" { (swatch(*state)) (reader.language.gpu_state(*state)) }
                        td.number { (reader.number(*hours, 1)) }
                        td.number { (percent_of(*hours, total, reader)) }
                    }
                }
            }
        } }
    }
}

/// A part of a whole as a percentage; empty where the whole is not more than nothing.
fn percent_of(part: Decimal, whole: Decimal, reader: &Reader) -> String {
    let share = (whole > Decimal::ZERO).then(|| part.checked_div(whole)).flatten();
    share.map_or_else(String::new, |share| {
        let small = share.abs() < Decimal::new(1, 1) && !share.is_zero();
        reader.percent(float(share), u32::from(small))
    })
}

/// A cloud's name; none is one's own hardware.
fn cloud(provider: Option<Provider>, reader: &Reader) -> &'static str {
    provider.map_or(reader.word("on premises", "온프레미스"), Provider::display_name)
}

fn capacity(capacity: CapacityType, reader: &Reader) -> &'static str {
    match capacity {
        CapacityType::OnDemand => reader.word("on demand", "온디맨드"),
        CapacityType::Spot => reader.word("spot", "스팟"),
        CapacityType::Reserved => reader.word("reserved", "예약"),
        CapacityType::Unknown => reader.word("unknown", "알 수 없음"),
    }
}

/// What is known of where GPUs are: cluster, machine, region, how they were bought.
fn place_of(fleet: &Fleet, reader: &Reader) -> Markup {
    html! {
        (cloud(fleet.provider, reader)) " · " bdi { (fleet.cluster) }
        br;
        small {
            bdi { (fleet.instance_type.as_deref().unwrap_or(reader.word("machine unknown", "머신 알 수 없음"))) }
            @if let Some(region) = &fleet.region_id { ", " bdi { (region) } }
            @if fleet.capacity_type != CapacityType::Unknown { ", " (capacity(fleet.capacity_type, reader)) }
        }
    }
}

/// Whether a host name that telemetry tells is a node's: the same text, or the same up to the first
/// dot.
fn is_host_of(node: &str, hostname: &str) -> bool {
    let short = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
    node == hostname || short(node) == short(hostname)
}

/// An amount that may be little.
fn told(amount: Decimal, currency: Currency, reader: &Reader) -> String {
    reader.small_money(Money::new(amount, currency))
}

fn unknown(reader: &Reader) -> &'static str {
    reader.word("unknown", "알 수 없음")
}

/// Why the past is not shown.
fn no_past(error: &HistoryError, visit: &Visit) -> Markup {
    html! {
        p.empty role="alert" {
            (why_no_past(error, &visit.reader)) " "
            a href=(visit.place.here()) { (visit.reader.word("Load again", "다시 불러오기")) }
        }
    }
}

fn why_no_past(error: &HistoryError, reader: &Reader) -> &'static str {
    match error {
        HistoryError::Busy => reader.word(
            "The month is being read for somebody else; it is there in a moment.",
            "다른 요청이 이번 달을 읽고 있으며, 잠시 후 표시할 수 있습니다.",
        ),
        HistoryError::Ledger(_) => reader.word(
            "The ledger cannot be read; the agent's log says why.",
            "원장을 읽을 수 없습니다. 원인은 에이전트 로그에 있습니다.",
        ),
    }
}

fn crumbs(visit: &Visit, name: &Markup) -> Markup {
    let reader = &visit.reader;
    html! {
        nav.crumbs aria-label=(reader.word("Where you are", "현재 위치")) {
            ol {
                li { a href=(visit.place.to(&["gpu"], &[])) { "GPU" } }
                li { span aria-current="page" { (name) } }
            }
        }
    }
}
