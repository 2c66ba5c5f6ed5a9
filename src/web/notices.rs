//! What holds for every figure of the page: sources that cannot be read, data that is late, and the
//! first days, when little is known yet.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use maud::{Markup, html};

use super::link::Place;
use super::reader::Reader;
use crate::domain::band::PeriodLabel;
use crate::domain::gpu::GpuSourceStatus;
use crate::domain::identity::SourceId;
use crate::domain::spend::SourceStatus;
use crate::snapshot::Snapshot;

/// How long after its lag a source's data may be behind before the page says so.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);

/// So many sources of GPU telemetry are named.
const MOST_NAMED: usize = 3;

/// The notices, those that need somebody first.
pub(super) fn of(snapshot: &Snapshot, place: &Place, reader: &Reader) -> Markup {
    let failing = snapshot.sources.iter().filter(|source| source.up == Some(false));
    // After a start, what was read before has its figures, and waits for no first reading.
    let never_read = |source: &&SourceStatus| source.up.is_none() && source.last_success.is_none();
    let waiting = snapshot.sources.iter().filter(never_read);
    let waiting: Vec<&str> = waiting.map(|source| source.source.as_str()).collect();
    html! {
        @for source in failing { (failed(source, place, reader)) }
        @for source in snapshot.sources.iter().filter(|source| source.up == Some(true)) {
            @if let Some(through) = behind(snapshot, source, reader) {
                p.notice.problem {
                    strong { (source.source) } ": "
                    (reader.word("the provider's data reaches only up to ", "공급자의 데이터가 다음 시각까지만 있습니다: "))
                    (reader.time(through)) ". "
                    (reader.word("Later days are not known yet.", "이후 날짜는 아직 알 수 없습니다."))
                }
            }
        }
        @if !waiting.is_empty() {
            p.notice {
                (reader.word("Being read for the first time: ", "처음으로 읽는 중: ")) (waiting.join(", ")) ". "
                (reader.word("What they cost is unknown until then.", "그때까지 비용은 알 수 없습니다."))
            }
        }
        (telemetry(snapshot, place, reader))
        @if is_first_day(snapshot) {
            p.notice {
                (reader.word("No day is complete yet: pace and month end are told from the first complete day on, \
                              which is about two days old.",
                             "아직 완결된 날이 없습니다. 진행 속도와 월말 예상은 첫 완결일(약 이틀 뒤)부터 표시됩니다."))
            }
        }
    }
}

fn failed(source: &SourceStatus, place: &Place, reader: &Reader) -> Markup {
    html! {
        p.notice.problem {
            strong { (source.source) } " "
            (reader.word("cannot be read", "을(를) 읽을 수 없습니다"))
            @if let Some((kind, _)) = &source.last_error { " (" (kind.as_str()) ")" }
            ". "
            @match source.last_success {
                Some(at) => {
                    (reader.word("Its figures are from ", "수치 기준: ")) (reader.ago(at)) ". "
                }
                None => (reader.word("It was never read: its cost is unknown. ",
                                     "읽은 적이 없어 비용을 알 수 없습니다. ")),
            }
            a href=(place.to(&["sources"], &[])) { (reader.word("Why", "원인")) }
        }
    }
}

/// Sources of GPU telemetry that have failed for so long that what they told last is forgotten. There
/// may be as many as nodes.
fn telemetry(snapshot: &Snapshot, place: &Place, reader: &Reader) -> Markup {
    let known: BTreeSet<&SourceId> = snapshot.gpus.iter().map(|report| &report.source).collect();
    let is_gone = |status: &&Arc<GpuSourceStatus>| {
        status.up == Some(false) && !known.contains(&status.source)
    };
    let gone: Vec<&Arc<GpuSourceStatus>> = snapshot.gpu_sources.iter().filter(is_gone).collect();
    html! {
        @if !gone.is_empty() {
            p.notice.problem {
                strong { (reader.word("GPU telemetry", "GPU 텔레메트리")) } " "
                (reader.word("cannot be read", "읽기 실패")) ": "
                @for (index, status) in gone.iter().take(MOST_NAMED).enumerate() {
                    @if index > 0 { ", " }
                    bdi { (status.source) }
                    @if let Some(failure) = &status.failure { " (" (failure.kind.as_str()) ")" }
                }
                @if gone.len() > MOST_NAMED {
                    (reader.word(" and ", " 외 ")) (reader.count(gone.len() - MOST_NAMED))
                    (reader.word(" more", "개"))
                }
                ". "
                (reader.word("What these GPUs do is unknown, not idle. ",
                             "이 GPU의 상태는 유휴가 아니라 알 수 없음입니다. "))
                a href=(place.to(&["sources"], &[])) { (reader.word("Why", "원인")) }
            }
        }
    }
}

/// Up to when a source's data reaches where that is too long ago.
fn behind(snapshot: &Snapshot, source: &SourceStatus, reader: &Reader) -> Option<jiff::Timestamp> {
    let spend = snapshot.spend.iter().find(|spend| spend.source == source.source)?;
    let through = spend.data_through?;
    (reader.now.duration_since(through) > source.lag + PATIENCE).then_some(through)
}

/// Whether sources were read and no band has a complete day, neither in this month nor in the last.
fn is_first_day(snapshot: &Snapshot) -> bool {
    let told = |label| snapshot.bands.iter().filter(move |band| band.label == label);
    let known = told(PeriodLabel::Current).any(|band| band.spend.is_some());
    known && snapshot.bands.iter().all(|band| band.newest_complete_day.is_none())
}
