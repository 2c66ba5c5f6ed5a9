//! What a replica answers that has nothing of its own to show: who holds the Lease, and where.

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::access::is_page;
use super::page::page_headers;
use super::reader::Reader;
use super::{Face, json};
use crate::config::file::Language;
use crate::domain::lease::{Leadership, LeaseHolder};

/// Lets a request pass unless it asks for figures that this replica does not have.
pub(super) async fn point_to_holder(
    State(face): State<Face>,
    request: Request,
    next: Next,
) -> Response {
    let Leadership::Follower { holder } = (face.leadership)() else {
        return next.run(request).await;
    };
    let path = request.uri().path();
    let is_page = is_page(path);
    let has_figures = path.starts_with("/api/") && path != "/api/v1/openapi.json";
    if face.shares_ledger || !(is_page || has_figures) {
        return next.run(request).await;
    }
    let status = StatusCode::SERVICE_UNAVAILABLE;
    if is_page {
        let now = face.alerts.now();
        let language = Reader::of(request.headers(), None, face.language, now).language;
        let html = elsewhere(holder.as_ref(), language).into_string();
        return (status, page_headers(), html).into_response();
    }
    let error = "this replica follows and keeps a ledger of its own: ask the holder of the Lease";
    let holder = holder
        .map(|holder| serde_json::json!({"identity": holder.identity, "address": holder.address}));
    let answer = json(status, &serde_json::json!({"error": error, "holder": holder}));
    ([(header::CACHE_CONTROL, "no-store")], answer).into_response()
}

fn elsewhere(holder: Option<&LeaseHolder>, language: Language) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(language.tag()) {
            head {
                meta charset="utf-8";
                meta http-equiv="refresh" content="10";
                title { "costband" }
            }
            body {
                h1 { "costband" }
                p { (follows(holder, language)) }
                p { (language.pick(
                    "It keeps a ledger of its own, which is not up to date while it follows.",
                    "별도의 원장을 사용하므로, 대기 중에는 최신 상태가 아닙니다.")) }
            }
        }
    }
}

/// A line that says that this replica follows, and whom.
pub(super) fn follows(holder: Option<&LeaseHolder>, language: Language) -> Markup {
    let word = |english, korean| language.pick(english, korean);
    html! {
        (word("This replica follows. ", "대기 중인 복제본입니다. "))
        @match holder {
            Some(holder) => {
                (word("The bills are read and people are told by ", "청구 내역 조회와 알림은 다음 복제본이 맡고 있습니다: "))
                @match &holder.address {
                    Some(address) => a href=(address) rel="noreferrer" { (holder.identity) },
                    None => (holder.identity),
                }
                "."
            }
            None => (word("Who holds the Lease is not known just now.",
                          "현재 Lease를 보유한 복제본을 알 수 없습니다.")),
        }
    }
}
