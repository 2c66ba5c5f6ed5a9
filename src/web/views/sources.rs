//! How the reading of bills goes: each source's state, age, next reading and what asking has cost;
//! and where GPU telemetry comes from.

use maud::{Markup, html};
use rust_decimal::prelude::ToPrimitive;

use super::alert::bar;
use super::cut::Cut;
use super::telemetry;
use crate::domain::money::Money;
use crate::domain::spend::{SourceSpend, SourceStatus};
use crate::snapshot::Snapshot;
use crate::web::page::{Shown, View, Visit};
use crate::web::reader::Reader;

/// The view.
pub(in crate::web) async fn show(visit: Visit) -> axum::response::Response {
    visit.answer(View::Sources, |snapshot| Shown::view(body(snapshot, &visit)))
}

fn body(snapshot: &Snapshot, visit: &Visit) -> Markup {
    let (place, reader) = (&visit.place, &visit.reader);
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
        (telemetry::section(snapshot, visit))
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
    sign_of(status.up, None, reader)
}

/// Whether a source can be read. Where nobody has tried, `unread` says more than that it is so.
pub(super) fn sign_of(up: Option<bool>, unread: Option<&str>, reader: &Reader) -> Markup {
    let (class, sign, word) = match up {
        Some(true) => ("within", "M1 6 L4.5 10 L11 2", reader.word("read well", "정상")),
        Some(false) => {
            ("above", "M2 2 L10 10 M10 2 L2 10", reader.word("cannot be read", "읽기 실패"))
        }
        None => {
            let word = reader.word("not read yet", "아직 읽지 않음");
            ("unknown", "M1 6 H11", unread.unwrap_or(word))
        }
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
