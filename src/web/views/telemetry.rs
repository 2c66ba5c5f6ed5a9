//! Where GPU telemetry comes from: every configured source with its state, and one of them with why it
//! fails and what of its GPUs is known meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use maud::{Markup, html};

use super::cut::Cut;
use super::sources::sign_of;
use crate::domain::gpu::{GpuReport, GpuSourceStatus};
use crate::domain::lease::Leadership;
use crate::domain::report::SourceErrorKind;
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
        let status: &GpuSourceStatus = status;
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
                        th.number scope="col" { (reader.word("Values not taken", "제외한 값")) }
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
            td.number { (gpus(reports, reader)) }
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

/// How many GPUs it tells of; unknown where it was not read lately.
fn gpus(reports: &[&Arc<GpuReport>], reader: &Reader) -> String {
    match reports {
        [] => reader.word("unknown", "알 수 없음").to_owned(),
        reports => reader.count(reports.iter().map(|report| report.gpus.len()).sum()),
    }
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
                dd { (gpus(&reports, reader)) }
            }
            p { a href=(place.to(&["gpu"], &[])) { (reader.word("What the GPUs do", "GPU 상태 보기")) } }
        }
        @if status.up == Some(true) && reports.is_empty() {
            p.empty {
                (reader.word("It answers and tells of no GPU.", "응답하지만 알려 주는 GPU가 없습니다."))
            }
        }
    }
}

fn failure(status: &GpuSourceStatus, is_forgotten: bool, reader: &Reader) -> Markup {
    html! {
        @if let Some(failure) = &status.failure {
            div.notice.problem {
                h2 { (reader.language.error_kind(failure.kind)) }
                p { bdi lang="en" { (failure.text) } }
                p { (remedy(failure.kind, reader)) }
                p.note {
                    (reader.word("It has failed since ", "실패 시작: ")) (reader.time(failure.since)) ". "
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

/// What to do about an exporter or a Prometheus that cannot be read.
fn remedy(kind: SourceErrorKind, reader: &Reader) -> &'static str {
    match kind {
        SourceErrorKind::Auth | SourceErrorKind::Forbidden => reader.word(
            "Correct what is configured of it under `gpu`: the token, the password or the tenant.",
            "설정의 `gpu`에서 토큰, 비밀번호 또는 테넌트를 바로잡으세요.",
        ),
        SourceErrorKind::Malformed | SourceErrorKind::Config => reader.word(
            "See whether the address under `gpu` is that of an exporter's metrics or of a Prometheus; docs/gpu.md says what is read there.",
            "설정의 `gpu` 주소가 익스포터의 메트릭 또는 프로메테우스인지 확인하세요. 읽는 내용은 docs/gpu.md에 있습니다.",
        ),
        SourceErrorKind::RateLimited
        | SourceErrorKind::Timeout
        | SourceErrorKind::Unavailable
        | SourceErrorKind::NotReady => reader.word(
            "It is tried again by itself. Where it lasts, see whether the exporter runs and can be reached from here.",
            "자동으로 다시 시도합니다. 계속되면 익스포터가 실행 중이며 여기서 접속할 수 있는지 확인하세요.",
        ),
    }
}
