//! Nodes: what the GPUs of each do now and did this month, and those that tell nothing.

use maud::{Markup, html};
use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;

use super::{hours_of, hours_told, percent_of, place_of, states};
use crate::domain::gpu_money::{GpuPicture, NodeNow, hours};
use crate::domain::gpu_time::{GpuState, StateTime};
use crate::domain::machine::model_name;
use crate::web::page::Visit;
use crate::web::reader::Reader;
use crate::web::views::cut::Cut;

/// The section.
pub(super) fn section(picture: &GpuPicture, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let mut nodes: Vec<(&NodeNow, f64)> =
        picture.nodes.iter().map(|node| (node, idle(node))).collect();
    nodes.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.name.cmp(&other.0.name)));
    let rows = Cut::of(&nodes, "nodes", &visit.place);
    let title = reader.word("Nodes", "노드");
    html! {
        @if !nodes.is_empty() {
            h2 { (title) }
            p.note { (reader.word("Those with the most idle GPUs first.", "유휴 GPU가 많은 노드부터 표시합니다.")) }
            div.scroll tabindex="0" role="region" aria-label=(title) {
                table {
                    thead { tr {
                        th scope="col" { (reader.word("Node", "노드")) }
                        th scope="col" { (reader.word("Where", "위치")) }
                        th.number scope="col" { "GPU" }
                        th scope="col" { (reader.word("Now", "현재")) }
                        th scope="col" { (reader.word("This month", "이번 달")) }
                        th.number scope="col" { (reader.word("Busy this month", "이번 달 작업 비중")) }
                    } }
                    tbody { @for (node, _) in rows.shown { (row(node, picture, visit)) } }
                }
            }
            (rows.links(&visit.place, reader))
        }
        (silent(picture, visit))
    }
}

/// How many GPUs of a node do nothing now.
fn idle(node: &NodeNow) -> f64 {
    node.states.iter().filter(|(state, _)| state.is_idle()).map(|(_, gpus)| gpus).sum()
}

/// GPUs by what they do now, in words.
pub(super) fn now(node: &NodeNow, height: u32, reader: &Reader) -> Markup {
    let gpus: Vec<(GpuState, Decimal)> = node
        .states
        .iter()
        .filter_map(|(state, gpus)| Some((*state, Decimal::from_f64(*gpus)?)))
        .collect();
    let number = |gpus: Decimal| reader.number(gpus, u32::from(!gpus.fract().is_zero()));
    let told: Vec<String> = gpus
        .iter()
        .filter(|(_, gpus)| !gpus.is_zero())
        .map(|(state, gpus)| format!("{} {}", reader.language.gpu_state(*state), number(*gpus)))
        .collect();
    html! {
        (states(gpus.iter().map(|(state, gpus)| (state, gpus)), 1.0, height, number, reader))
        small { (told.join(", ")) }
    }
}

fn row(node: &NodeNow, picture: &GpuPicture, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let time: Option<&StateTime> = picture.node_times.get(&(node.name.clone(), node.fleet.clone()));
    html! {
        tr {
            th scope="row" {
                a href=(visit.place.to(&["gpu", "nodes", &node.name], &[])) { bdi { (node.name) } }
                br; small { bdi { (model_name(&node.fleet.model)) } }
            }
            td.where { (place_of(&node.fleet, reader)) }
            td.number { (reader.number(node.gpus.into(), 0)) }
            td.some { (now(node, 14, reader)) }
            td {
                @if let Some(time) = time {
                    (states(&hours_of(time), 1.0, 14, |hours| format!("{} h", reader.number(hours, 1)), reader))
                    small { (hours_told(hours(time.total()), reader)) " " (reader.word("GPU-hours", "GPU 시간")) }
                } @else { (reader.word("nothing counted yet", "아직 집계 없음")) }
            }
            td.number {
                @if let Some(time) = time {
                    (percent_of(time.milliseconds(GpuState::Busy).into(), time.total().into(), reader))
                }
            }
        }
    }
}

/// Nodes that are known of and of which no telemetry is read here.
fn silent(picture: &GpuPicture, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let rows = Cut::of(&picture.silent_nodes, "silent", &visit.place);
    let title = reader.word("Nodes without telemetry", "텔레메트리가 없는 노드");
    html! {
        @if !picture.silent_nodes.is_empty() {
            h3 { (title) }
            p.note {
                (reader.word("They are known of, and nothing is read of them here: an exporter is missing, or an agent on the node reads it.",
                             "존재는 알려져 있지만 여기서 읽는 텔레메트리가 없습니다. 익스포터가 없거나 노드의 에이전트가 읽고 있습니다."))
            }
            div.scroll tabindex="0" role="region" aria-label=(title) {
                table {
                    thead { tr {
                        th scope="col" { (reader.word("Node", "노드")) }
                        th scope="col" { (reader.word("Where", "위치")) }
                        th.number scope="col" { (reader.word("GPUs it should have", "있어야 할 GPU")) }
                    } }
                    tbody {
                        @for node in rows.shown {
                            tr {
                                th scope="row" { a href=(visit.place.to(&["gpu", "nodes", &node.name], &[])) { bdi { (node.name) } } }
                                td.where { (place_of(&node.fleet, reader)) }
                                td.number { (reader.number(node.gpus.into(), 0)) }
                            }
                        }
                    }
                }
            }
            (rows.links(&visit.place, reader))
        }
    }
}
