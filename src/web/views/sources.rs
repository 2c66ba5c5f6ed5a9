//! How the reading of bills goes: each source's state, age, next reading and what asking has cost;
//! and where GPU telemetry comes from.

use maud::{Markup, html};
use rust_decimal::prelude::ToPrimitive;

use super::alert::bar;
use super::cut::Cut;
use crate::domain::gpu::GpuReport;
use crate::domain::money::Money;
use crate::domain::spend::{SourceSpend, SourceStatus};
use crate::snapshot::Snapshot;
use crate::web::link::Place;
use crate::web::page::{Shown, View, Visit};
use crate::web::reader::Reader;

/// The view.
pub(in crate::web) async fn show(visit: Visit) -> axum::response::Response {
    visit.answer(View::Sources, |snapshot| Shown::view(body(snapshot, &visit.place, &visit.reader)))
}

fn body(snapshot: &Snapshot, place: &Place, reader: &Reader) -> Markup {
    // What fails stands first, the others as they are configured.
    let mut sources: Vec<&SourceStatus> = snapshot.sources.iter().collect();
    sources.sort_by_key(|status| status.up != Some(false));
    let cut = Cut::of(&sources, "sources", place);
    html! {
        h1 { (reader.word("Where the figures come from", "데이터 소스")) }
        h2 { (reader.word("Bills", "청구")) " · " (reader.count(sources.len())) }
        @if sources.is_empty() {
            p.empty {
                (reader.word("No bill is configured: sources are named under `sources`. `costband check` says what each would ask, and for how much.",
                             "설정된 청구 소스가 없습니다. 설정의 `sources`에 지정하며, `costband check`가 조회 내용과 비용을 보여 줍니다."))
            }
        }
        div.cards {
            @for status in cut.shown {
                article.card {
                    h3 {
                        a href=(place.to(&["sources", status.source.as_str()], &[])) { bdi { (status.source) } }
                        (state(status, reader))
                    }
                    p.note { (reader.language.provider(Some(status.provider))) }
                    @if let Some((kind, _)) = &status.last_error { p { (reader.language.error_kind(*kind)) } }
                    (readings(status, spend_of(snapshot, status), reader))
                    (requests(status, reader))
                }
            }
        }
        (cut.links(place, reader))
        h2 { (reader.word("GPU telemetry", "GPU 텔레메트리")) " · " (reader.count(snapshot.gpus.len())) }
        (telemetry(&snapshot.gpus, place, reader))
    }
}

/// The money of a source; none where it was never read.
pub(super) fn spend_of<'a>(
    snapshot: &'a Snapshot,
    status: &SourceStatus,
) -> Option<&'a SourceSpend> {
    snapshot.spend.iter().find(|spend| spend.source == status.source)
}

/// Whether it can be read, with a sign of its own.
pub(super) fn state(status: &SourceStatus, reader: &Reader) -> Markup {
    let (class, sign, word) = match status.up {
        Some(true) => ("within", "M1 6 L4.5 10 L11 2", reader.word("read well", "정상")),
        Some(false) => {
            ("above", "M2 2 L10 10 M10 2 L2 10", reader.word("cannot be read", "읽기 실패"))
        }
        None => ("unknown", "M1 6 H11", reader.word("not read yet", "아직 읽지 않음")),
    };
    html! {
        span.status.(class) {
            svg.stroked viewBox="0 0 12 12" aria-hidden="true" { path d=(sign) {} }
            (word)
        }
    }
}

/// When it was read, when it will be, and how far its data reaches.
pub(super) fn readings(
    status: &SourceStatus,
    spend: Option<&SourceSpend>,
    reader: &Reader,
) -> Markup {
    let complete = spend.and_then(|spend| spend.complete_days.last());
    html! {
        dl.pairs {
            dt { (reader.word("Read", "읽은 시각")) }
            dd { @match status.last_success { Some(at) => (reader.ago(at)), None => (reader.word("never", "없음")) } }
            dt { (reader.word("Next reading", "다음 읽기")) }
            dd {
                @match status.next_poll {
                    Some(at) if at <= reader.now => (reader.word("due now", "곧")),
                    Some(at) => (reader.time(at)),
                    None => (reader.word("not planned yet", "미정")),
                }
            }
            dt { (reader.word("Data reaches to", "데이터 범위")) }
            dd {
                @match spend.and_then(|spend| spend.data_through) {
                    Some(at) => (reader.time(at)),
                    None => (reader.word("unknown", "알 수 없음")),
                }
            }
            dt { (reader.word("Complete up to", "완결일")) }
            dd {
                @match complete {
                    Some(day) => (reader.day(*day)),
                    None => (reader.word("no day yet", "아직 없음")),
                }
            }
        }
    }
}

/// What requests have cost this month, against the cap.
pub(super) fn requests(status: &SourceStatus, reader: &Reader) -> Markup {
    let share = |spent: &Money| {
        let cap = status.monthly_cap.filter(|cap| cap.currency == spent.currency)?;
        spent.amount.checked_div(cap.amount)?.to_f64()
    };
    html! {
        p {
            (reader.word("Requests this month: ", "이번 달 요청 비용: "))
            @if status.spent.is_empty() { (reader.word("nothing spent", "없음")) }
            @for (index, spent) in status.spent.iter().enumerate() {
                @if index > 0 { ", " }
                (reader.small_money(*spent))
            }
            @match status.monthly_cap {
                Some(cap) => { (reader.word(" of a cap of ", " / 한도 ")) (reader.small_money(cap)) }
                None => (reader.word(", no cap", " (한도 없음)")),
            }
        }
        @if let Some(share) = status.spent.iter().find_map(share) { (bar(share)) }
    }
}

fn telemetry(reports: &[std::sync::Arc<GpuReport>], place: &Place, reader: &Reader) -> Markup {
    let cut = Cut::of(reports, "telemetry", place);
    html! {
        @if reports.is_empty() {
            p.empty {
                (reader.word("No GPU telemetry was read lately. Exporters, a Prometheus or the driver's library are named under `gpu`; docs/gpu.md says how.",
                             "최근 읽은 GPU 텔레메트리가 없습니다. 설정의 `gpu`에 익스포터, 프로메테우스 또는 드라이버 라이브러리를 지정하며, 방법은 docs/gpu.md에 있습니다."))
            }
        } @else {
            p.note {
                (reader.word("What was read lately. One that is configured and missing here did not answer; the log and costband_source_up say why.",
                             "최근 읽은 소스입니다. 설정했지만 여기 없는 소스는 응답하지 않은 것이며, 원인은 로그와 costband_source_up에 있습니다."))
            }
            div.scroll tabindex="0" role="region" aria-label=(reader.word("GPU telemetry", "GPU 텔레메트리")) {
                table {
                    thead { tr {
                        th scope="col" { (reader.word("Source", "소스")) }
                        th scope="col" { (reader.word("Cloud", "클라우드")) }
                        th scope="col" { (reader.word("Cluster", "클러스터")) }
                        th.number scope="col" { "GPU" }
                        th scope="col" { (reader.word("Read", "읽은 시각")) }
                        th.number scope="col" { (reader.word("Values not taken", "제외한 값")) }
                    } }
                    tbody {
                        @for report in cut.shown {
                            tr {
                                th scope="row" { bdi { (report.source) } }
                                td { (reader.language.provider(report.provider)) }
                                td { bdi { (report.cluster) } }
                                td.number { (reader.count(report.gpus.len())) }
                                td { (reader.ago(report.observed_at)) }
                                td.number { (reader.number(report.dropped_samples.total().into(), 0)) }
                            }
                        }
                    }
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
