//! Where GPU telemetry comes from: every configured source with its state, and one of them with why it
//! fails and what of its GPUs is known meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use maud::{Markup, html};

use super::cut::Cut;
use super::sources::sign_of;
use crate::domain::gpu::{GpuReport, GpuSourceStatus};
use crate::domain::lease::Leadership;
use crate::snapshot::Snapshot;
use crate::web::page::Visit;
use crate::web::reader::Reader;

/// A source and what it told last of each of its clusters.
struct Told<'a> {
    status: &'a GpuSourceStatus,
    reports: Vec<&'a Arc<GpuReport>>,
}

/// Every source, those that fail first.
fn told(snapshot: &Snapshot) -> Vec<Told<'_>> {
    let mut reports: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for report in snapshot.gpus.iter() {
        reports.entry(&report.source).or_default().push(report);
    }
    let of = |status| {
        let status: &Arc<GpuSourceStatus> = status;
        Told { status, reports: reports.remove(&status.source).unwrap_or_default() }
    };
    let mut all: Vec<Told<'_>> = snapshot.gpu_sources.iter().map(of).collect();
    all.sort_by_key(|told| told.status.up != Some(false));
    all
}

/// All of them.
pub(super) fn section(snapshot: &Snapshot, visit: &Visit) -> Markup {
    let (place, reader) = (&visit.place, &visit.reader);
    let all = told(snapshot);
    let cut = Cut::of(&all, "telemetry", place);
    let label = reader.word("GPU telemetry", "GPU 텔레메트리");
    html! {
        h2 { (label) " · " (reader.count(all.len())) }
        @if all.is_empty() {
            p.empty {
                (reader.word("No GPU telemetry is configured. Exporters, a Prometheus or the driver's library are named under `gpu`; docs/gpu.md says how.",
                             "설정된 GPU 텔레메트리가 없습니다. 설정의 `gpu`에 익스포터, 프로메테우스 또는 드라이버 라이브러리를 지정하며, 방법은 docs/gpu.md에 있습니다."))
            }
        } @else {
            div.scroll tabindex="0" role="region" aria-label=(label) {
                table {
                    thead { tr {
                        th scope="col" { (reader.word("Source", "소스")) }
                        th scope="col" { (reader.word("State", "상태")) }
                        th scope="col" { (reader.word("Cloud", "클라우드")) }
                        th scope="col" { (reader.word("Cluster", "클러스터")) }
                        th.number scope="col" { "GPU" }
                        th scope="col" { (reader.word("Read", "읽은 시각")) }
                        th.number scope="col" { (reader.word("Values left out", "제외한 값")) }
                    } }
                    tbody { @for told in cut.shown { (row(told, visit)) } }
                }
            }
            (cut.links(place, reader))
            p.note {
                (reader.word("Values that are no measurement (the driver's way to say that it does not know) are left out and never counted as idle.",
                             "측정값이 아닌 값(드라이버가 모른다는 표시)은 제외하며 유휴로 세지 않습니다."))
            }
        }
    }
}

fn row(told: &Told<'_>, visit: &Visit) -> Markup {
    let Told { status, reports } = told;
    let (place, reader) = (&visit.place, &visit.reader);
    let clusters: Vec<&str> = match reports.as_slice() {
        [] => vec![&status.cluster],
        reports => reports.iter().map(|report| report.cluster.as_str()).collect(),
    };
    let dropped: u64 = reports.iter().map(|report| report.dropped_samples.total()).sum();
    html! {
        tr {
            th scope="row" { a href=(place.to(&["sources", status.source.as_str()], &[])) { bdi { (status.source) } } }
            td {
                (state(status, visit))
                @if let Some(failure) = &status.failure { br; small { (reader.language.error_kind(failure.kind)) } }
            }
            td { (reader.language.provider(status.provider)) }
            td {
                @for (index, cluster) in clusters.iter().enumerate() {
                    @if index > 0 { ", " }
                    bdi { (cluster) }
                }
            }
            td.number { (gpus(status, reports, reader)) }
            td {
                @match status.last_success {
                    Some(at) => (reader.ago(at)),
                    None => (reader.word("not yet", "아직 없음")),
                }
            }
            td.number { @if !reports.is_empty() { (reader.number(dropped.into(), 0)) } }
        }
    }
}

/// How many GPUs it tells of, each device once; unknown where it was not read lately.
fn gpus(status: &GpuSourceStatus, reports: &[&Arc<GpuReport>], reader: &Reader) -> String {
    match reports {
        [] if status.up != Some(true) => reader.word("unknown", "알 수 없음").to_owned(),
        reports => reader.count(devices(reports)),
    }
}

fn devices(reports: &[&Arc<GpuReport>]) -> usize {
    let samples = reports.iter().flat_map(|report| &report.gpus);
    samples.map(|sample| &sample.key.uuid).collect::<BTreeSet<_>>().len()
}

/// Whether it can be read, with a sign of its own.
fn state(status: &GpuSourceStatus, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let follows = matches!((visit.face.leadership)(), Leadership::Follower { .. });
    let elsewhere = reader.word("read by another replica", "다른 복제본이 읽음");
    sign_of(status.up, follows.then_some(elsewhere), reader)
}

/// One of them.
pub(super) fn body(status: &GpuSourceStatus, snapshot: &Snapshot, visit: &Visit) -> Markup {
    let (place, reader) = (&visit.place, &visit.reader);
    let of = |report: &&Arc<GpuReport>| report.source == status.source;
    let reports: Vec<&Arc<GpuReport>> = snapshot.gpus.iter().filter(of).collect();
    html! {
        nav.crumbs aria-label=(reader.word("Where you are", "현재 위치")) {
            ol {
                li { a href=(place.to(&["sources"], &[])) { (reader.word("Sources", "데이터 소스")) } }
                li { bdi { (status.source) } }
            }
        }
        h1 { bdi { (status.source) } " · " (reader.word("GPU telemetry", "GPU 텔레메트리")) " " (state(status, visit)) }
        (failure(status, reports.is_empty(), reader))
        div.card {
            dl.pairs {
                dt { (reader.word("Cloud", "클라우드")) }
                dd { (reader.language.provider(status.provider)) }
                dt { (reader.word("Cluster", "클러스터")) }
                dd { bdi { (status.cluster) } }
                dt { (reader.word("Read", "읽은 시각")) }
                dd { @match status.last_success { Some(at) => (reader.ago(at)), None => (reader.word("not yet", "아직 없음")) } }
                dt { "GPU" }
                dd { (gpus(status, &reports, reader)) }
            }
            p { a href=(place.to(&["gpu"], &[])) { (reader.word("What the GPUs do", "GPU 상태 보기")) } }
        }
        @if status.up == Some(true) && devices(&reports) == 0 {
            p.empty {
                (reader.word("It answers and tells of no GPU.", "응답하지만 알려 주는 GPU가 없습니다."))
            }
        }
    }
}

fn failure(status: &GpuSourceStatus, is_forgotten: bool, reader: &Reader) -> Markup {
    html! {
        @if let Some(failure) = &status.failure {
            div.notice.problem[status.up == Some(false)] {
                h2 { (reader.language.error_kind(failure.kind)) }
                p { bdi lang="en" { (failure.text) } }
                p {
                    (reader.word("It is tried again by itself. docs/gpu.md says what each kind of source is read by.",
                                 "자동으로 다시 시도합니다. 소스 종류별로 읽는 방법은 docs/gpu.md에 있습니다."))
                }
                p.note {
                    @if status.up == Some(false) { (reader.word("It has failed since ", "실패 시작: ")) }
                    @else { (reader.word("So since ", "시작: ")) }
                    (reader.time(failure.since)) ". "
                    @if is_forgotten {
                        (reader.word("What its GPUs do is unknown meanwhile, never idle.",
                                     "그동안 이 GPU의 상태는 유휴가 아니라 알 수 없음입니다."))
                    } @else {
                        (reader.word("What it told last stands for a few readings more.",
                                     "마지막으로 읽은 값을 몇 번의 읽기 동안 유지합니다."))
                    }
                }
            }
        }
    }
}
