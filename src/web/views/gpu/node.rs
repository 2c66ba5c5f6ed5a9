//! One node: what it is, what each of its GPUs does and who holds it, what they did this month and
//! what that cost.

use maud::{Markup, html};
use rust_decimal::Decimal;

use super::nodes::now;
use super::{
    Past, crumbs, is_host_of, no_past, open_month, percent_of, place_of, time_table, told, unknown,
};
use crate::domain::gpu::{GpuSample, Pod};
use crate::domain::gpu_money::{GpuHourPrice, GpuRange, NodeNow, PartMoney};
use crate::domain::gpu_time::{StateTime, Workload};
use crate::domain::machine::{GpuModel, model_name};
use crate::domain::node::Fleet;
use crate::domain::price::PriceNote;
use crate::snapshot::Snapshot;
use crate::web::chart::shares::{patterns, share};
use crate::web::page::Visit;
use crate::web::reader::Reader;
use crate::web::views::cut::Cut;

/// The page; none where nothing is known of a node of that name.
pub(super) fn body(name: &str, snapshot: &Snapshot, past: &Past, visit: &Visit) -> Option<Markup> {
    let reader = &visit.reader;
    let picture = &snapshot.gpu;
    let known = picture.nodes.iter().chain(&picture.silent_nodes);
    let nodes: Vec<&NodeNow> = known.filter(|node| node.name == name).collect();
    let times: Vec<(&Fleet, &StateTime)> = picture
        .node_times
        .iter()
        .filter(|((node, _), _)| node == name)
        .map(|((_, fleet), time)| (fleet, time))
        .collect();
    let money: Vec<&PartMoney<(String, Fleet)>> = match past {
        Some(Ok(range)) => range.nodes.iter().filter(|part| part.of.0 == name).collect(),
        _ => Vec::new(),
    };
    if nodes.is_empty() && times.is_empty() && money.is_empty() {
        return None;
    }
    let title = html! { bdi { (name) } };
    Some(html! {
        (crumbs(visit, &title))
        h1 { (title) }
        (patterns())
        @for node in &nodes { (about(node, snapshot, reader)) }
        @if nodes.is_empty() {
            p.notice { (reader.word("It is not there any more: neither telemetry nor the inventory tells of it now.",
                                    "지금은 없습니다. 텔레메트리와 노드 목록 어디에도 나타나지 않습니다.")) }
        }
        (gpus(name, snapshot, visit))
        h2 { (reader.word("This month", "이번 달")) " · " (reader.month(open_month(snapshot, reader))) }
        (cost(past, &money, visit))
        @if times.is_empty() {
            p.empty { (reader.word("No time is counted of it this month: no telemetry of it was read. What it cost is unknown.",
                                       "이번 달에 집계된 시간이 없습니다. 읽은 텔레메트리가 없어 비용을 알 수 없습니다.")) }
        }
        @for (fleet, time) in &times {
            @if times.len() > 1 { h3 { bdi { (model_name(&fleet.model)) } " · " bdi { (fleet.cluster) } } }
            (time_table(time, reader))
        }
        p.note {
            (reader.word("Time is kept by node and by pod, not by both: who holds a GPU is told of now, and what a workload's \
                          pods cost in the month stands on its own page.",
                         "시간은 노드별, 파드별로 따로 기록됩니다. GPU를 누가 쓰는지는 현재만 알 수 있고, 워크로드의 월 비용은 \
                          워크로드 페이지에 있습니다."))
        }
    })
}

fn about(node: &NodeNow, snapshot: &Snapshot, reader: &Reader) -> Markup {
    let picture = &snapshot.gpu;
    let fleet = picture.fleets.iter().find(|now| now.fleet == node.fleet);
    let prices: &[GpuHourPrice] = match fleet {
        Some(now) => &now.prices,
        None => picture.silent_prices.get(&node.fleet).map_or(&[], Vec::as_slice),
    };
    let tier = GpuModel::of(&node.fleet.model).map(|model| model.tier);
    html! {
        div.card {
            dl.pairs {
                dt { "GPU" }
                dd { (reader.number(node.gpus.into(), 0)) " × " bdi { (model_name(&node.fleet.model)) } }
                dt { (reader.word("Where", "위치")) }
                dd {
                    (place_of(&node.fleet, reader))
                    @if node.guessed && node.fleet.instance_type.is_some() {
                        " " small { (reader.word("(machine guessed from its GPUs)", "(GPU로 추정한 머신)")) }
                    }
                }
                dt { (reader.word("Tier", "등급")) }
                dd { (tier.map_or(unknown(reader), |tier| reader.language.tier(tier))) }
                dt { (reader.word("A GPU-hour", "GPU 시간당")) }
                dd {
                    @if prices.is_empty() { (unknown(reader)) }
                    @for (index, price) in prices.iter().enumerate() {
                        @if index > 0 { br; }
                        (reader.money_to(price.price, 2)) " " (reader.language.price_source(price.source))
                        " " small { (price_note(&price.note, reader)) }
                    }
                }
                dt { (reader.word("Now", "현재")) }
                dd {
                    @if node.states.is_empty() {
                        (reader.word("unknown: no telemetry is read here", "알 수 없음: 읽는 텔레메트리 없음"))
                    } @else { (now(node, 18, reader)) }
                }
            }
        }
    }
}

/// The samples of a node.
fn samples<'a>(name: &str, snapshot: &'a Snapshot) -> Vec<&'a GpuSample> {
    let all = || snapshot.gpus.iter().flat_map(|report| &report.gpus);
    let exact: Vec<_> = all().filter(|gpu| gpu.hostname.as_deref() == Some(name)).collect();
    if exact.is_empty() {
        let is_it = |host: &str| is_host_of(name, host);
        return all().filter(|gpu| gpu.hostname.as_deref().is_some_and(is_it)).collect();
    }
    exact
}

fn gpus(name: &str, snapshot: &Snapshot, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let samples = samples(name, snapshot);
    let rows = Cut::of(&samples, "gpus", &visit.place);
    let title = reader.word("Its GPUs now", "현재 GPU");
    html! {
        @if !samples.is_empty() {
            h2 { (title) }
            div.scroll tabindex="0" role="region" aria-label=(title) {
                table {
                    thead { tr {
                        th scope="col" { "GPU" }
                        th.number scope="col" { (reader.word("Utilization", "사용률")) }
                        th.number scope="col" { (reader.word("Memory in use", "메모리 사용")) }
                        th scope="col" { (reader.word("Held by", "사용 주체")) }
                        th scope="col" { (reader.word("Health", "상태")) }
                    } }
                    tbody { @for gpu in rows.shown { (row(gpu, visit)) } }
                }
            }
            (rows.links(&visit.place, reader))
        }
    }
}

fn row(gpu: &GpuSample, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let memory = gpu.memory_used_bytes.zip(gpu.memory_total_bytes);
    html! {
        tr {
            th scope="row" {
                bdi { (gpu.key) } br;
                small { bdi { (model_name(&gpu.model)) } @if let Some(profile) = &gpu.mig_profile { " · MIG " bdi { (profile) } } }
            }
            td.number {
                @match gpu.utilization {
                    Some(of) => { (reader.percent(of.ratio(), 0)) (share(of.ratio())) }
                    None => (unknown(reader)),
                }
            }
            td.number {
                @match memory {
                    Some((used, total)) => (percent_of(used.into(), total.into(), reader)),
                    None => (unknown(reader)),
                }
            }
            td.where {
                @if gpu.holders.is_empty() { (reader.word("nobody", "없음")) }
                @for (index, holder) in gpu.holders.iter().enumerate() {
                    @if index > 0 { br; }
                    (pod(&holder.pod, visit))
                }
            }
            td {
                @match (gpu.healthy, gpu.xid.filter(|xid| *xid > 0)) {
                    (Some(false), _) => (reader.word("unhealthy", "고장")),
                    (_, Some(xid)) => { "XID " (xid) }
                    (Some(true), None) => (reader.word("healthy", "정상")),
                    (None, None) => (reader.word("not told", "알려 주지 않음")),
                }
            }
        }
    }
}

/// A pod that leads to its workload.
fn pod(pod: &Pod, visit: &Visit) -> Markup {
    let workload = Workload::of_pod(pod);
    let link = visit.place.to(&["gpu", "workloads", &workload.namespace, &workload.name], &[]);
    html! { a href=(link) { bdi { (pod.namespace) } "/" bdi { (pod.name) } } }
}

/// How a price was made; what the central agent says of it is its own English.
fn price_note(note: &PriceNote, reader: &Reader) -> Markup {
    let english = matches!(note, PriceNote::Told(_)).then_some("en");
    html! { bdi lang=[english] { (reader.price_note(note)) } }
}

fn cost(past: &Past, money: &[&PartMoney<(String, Fleet)>], visit: &Visit) -> Markup {
    let reader = &visit.reader;
    html! {
        @match past {
            Some(Err(error)) => (no_past(error, visit)),
            Some(Ok(GpuRange { .. })) if money.is_empty() => p.soft {
                (reader.word("What it cost is unknown: its time has no price.", "단가가 없어 비용을 알 수 없습니다."))
            },
            _ => @for part in money {
                p.amount { (told(part.cost, part.currency, reader)) }
                p {
                    (reader.word("idle ", "유휴 ")) strong { (told(part.idle_cost, part.currency, reader)) }
                    @if part.cost > Decimal::ZERO { " (" (percent_of(part.idle_cost, part.cost, reader)) ")" }
                }
            }
        }
    }
}
