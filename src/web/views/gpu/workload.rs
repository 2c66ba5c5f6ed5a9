//! One workload: what its GPUs cost and did, in which pods, and which it holds now.

use maud::{Markup, html};
use rust_decimal::Decimal;

use super::{Past, crumbs, is_host_of, no_past, open_month, percent_of, time_table, told, unknown};
use crate::domain::band::PeriodLabel;
use crate::domain::gpu::GpuSample;
use crate::domain::gpu_money::{PartMoney, PeriodPicture, WorkloadMoney, hours};
use crate::domain::gpu_time::{HeldBy, Workload};
use crate::domain::machine::model_name;
use crate::snapshot::Snapshot;
use crate::web::chart::shares::{patterns, share};
use crate::web::page::Visit;
use crate::web::reader::Reader;
use crate::web::views::cut::Cut;

/// The page; none where nothing is known of such a workload.
pub(super) fn body(
    namespace: &str,
    name: &str,
    snapshot: &Snapshot,
    past: &Past,
    visit: &Visit,
) -> Option<Markup> {
    let reader = &visit.reader;
    let workload = Workload { namespace: namespace.to_owned(), name: name.to_owned() };
    let periods: Vec<(&PeriodPicture, Vec<&WorkloadMoney>)> = snapshot
        .gpu
        .periods
        .iter()
        .map(|period| (period, period.workloads.iter().filter(|one| one.of == workload).collect()))
        .filter(|(_, money): &(_, Vec<_>)| !money.is_empty())
        .collect();
    let pods: Vec<&PartMoney<HeldBy>> = match past {
        Some(Ok(range)) => range.pods.iter().filter(|pod| pod.of.workload == workload).collect(),
        _ => Vec::new(),
    };
    let held = held(&workload, snapshot);
    if periods.is_empty() && pods.is_empty() && held.is_empty() {
        return None;
    }
    let title = html! { bdi { (namespace) } "/" bdi { (name) } };
    Some(html! {
        (crumbs(visit, &title))
        h1 { (title) }
        (patterns())
        @if periods.is_empty() {
            p.empty { (reader.word("What it cost is unknown: its time has no price.", "단가가 없어 비용을 알 수 없습니다.")) }
        }
        div.cards { @for (period, money) in &periods { @for one in money { (card(period, one, reader)) } } }
        h2 { (reader.word("Its pods", "파드")) " · " (reader.month(open_month(snapshot, reader))) }
        @match past {
            Some(Err(error)) => (no_past(error, visit)),
            _ => (table(&pods, visit)),
        }
        (now(&held, snapshot, visit))
    })
}

fn card(period: &PeriodPicture, one: &WorkloadMoney, reader: &Reader) -> Markup {
    html! {
        article.card {
            h2 {
                (reader.month(period.period))
                @if period.label == PeriodLabel::Current { small { (reader.word("so far", "현재까지")) } }
            }
            p.amount { (told(one.cost, one.currency, reader)) }
            p {
                (reader.word("idle ", "유휴 ")) strong { (told(one.idle_cost, one.currency, reader)) }
                @if one.cost > Decimal::ZERO { " (" (percent_of(one.idle_cost, one.cost, reader)) ")" }
            }
            (time_table(&one.time, reader))
        }
    }
}

fn table(pods: &[&PartMoney<HeldBy>], visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let rows = Cut::of(pods, "pods", &visit.place);
    let title = reader.word("Pods, the most wasteful first", "파드 (유휴 비용 순)");
    let first = rows.rest.first().map(|pod| pod.currency);
    let same = first.filter(|first| rows.rest.iter().all(|pod| pod.currency == *first));
    let sum = |of: fn(&PartMoney<HeldBy>) -> Decimal| {
        rows.rest.iter().map(|pod| of(pod)).fold(Decimal::ZERO, Decimal::saturating_add)
    };
    let milliseconds =
        rows.rest.iter().fold(0_u64, |sum, pod| sum.saturating_add(pod.time.total()));
    html! {
        @if pods.is_empty() {
            p.empty { (reader.word("No priced time of a pod is kept this month.", "이번 달에 단가가 있는 파드 시간이 없습니다.")) }
        } @else {
            div.scroll tabindex="0" role="region" aria-label=(title) {
                table {
                    caption { (title) }
                    thead { tr {
                        th scope="col" { (reader.word("Pod", "파드")) }
                        th.number scope="col" { (reader.word("Idle", "유휴")) }
                        th.number scope="col" { (reader.word("All", "전체")) }
                        th.number scope="col" { (reader.word("GPU-hours", "GPU 시간")) }
                    } }
                    tbody {
                        @for pod in rows.shown {
                            tr {
                                th scope="row" { bdi { (pod.of.pod) } }
                                td.number { (told(pod.idle_cost, pod.currency, reader)) }
                                td.number { (told(pod.cost, pod.currency, reader)) }
                                td.number { (reader.number(hours(pod.time.total()), 1)) }
                            }
                        }
                        @if !rows.rest.is_empty() {
                            tr.rest {
                                th scope="row" { (rows.rest_name(reader)) }
                                td.number { @if let Some(currency) = same { (told(sum(|pod| pod.idle_cost), currency, reader)) } }
                                td.number { @if let Some(currency) = same { (told(sum(|pod| pod.cost), currency, reader)) } }
                                td.number { (reader.number(hours(milliseconds), 1)) }
                            }
                        }
                    }
                }
            }
            (rows.links(&visit.place, reader))
        }
    }
}

/// The GPUs that a workload holds now.
fn held<'a>(workload: &Workload, snapshot: &'a Snapshot) -> Vec<&'a GpuSample> {
    let all = snapshot.gpus.iter().flat_map(|report| &report.gpus);
    let is_held =
        |gpu: &&GpuSample| gpu.holders.iter().any(|of| Workload::of_pod(&of.pod) == *workload);
    all.filter(is_held).collect()
}

fn now(held: &[&GpuSample], snapshot: &Snapshot, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let rows = Cut::of(held, "gpus", &visit.place);
    // A host name may be longer than the node's.
    let node = |host: &str| {
        let nodes = || snapshot.gpu.nodes.iter().map(|node| node.name.as_str());
        let found = nodes().find(|node| *node == host);
        found.or_else(|| nodes().find(|node| is_host_of(node, host))).map(str::to_owned)
    };
    let title = reader.word("GPUs that it holds now", "현재 사용 중인 GPU");
    html! {
        h2 { (title) }
        @if held.is_empty() {
            p.soft { (reader.word("None that telemetry tells of.", "텔레메트리에 나타난 GPU가 없습니다.")) }
        } @else {
            div.scroll tabindex="0" role="region" aria-label=(title) {
                table {
                    thead { tr {
                        th scope="col" { "GPU" }
                        th scope="col" { (reader.word("Node", "노드")) }
                        th.number scope="col" { (reader.word("Utilization", "사용률")) }
                    } }
                    tbody {
                        @for gpu in rows.shown {
                            tr {
                                th scope="row" { bdi { (gpu.key) } br; small { bdi { (model_name(&gpu.model)) } } }
                                td {
                                    @match &gpu.hostname {
                                        Some(host) => @match node(host) {
                                            Some(node) => a href=(visit.place.to(&["gpu", "nodes", &node], &[])) { bdi { (node) } },
                                            None => bdi { (host) },
                                        },
                                        None => (unknown(reader)),
                                    }
                                }
                                td.number {
                                    @match gpu.utilization {
                                        Some(of) => { (reader.percent(of.ratio(), 0)) (share(of.ratio())) }
                                        None => (unknown(reader)),
                                    }
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
