//! What every view of the page has around it: who visits, the frame with its navigation, the notices
//! that hold for all of it, and the answer's headers.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::access::SignedIn;
use super::link::Place;
use super::reader::Reader;
use super::{Face, Published, assets, notices, replica};
use crate::config::file::Language;
use crate::domain::lease::Leadership;
use crate::snapshot::Snapshot;

/// The views of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Where each band stands, and what else matters now.
    Bands,
    /// Bills, by provider, account, service, region and day.
    Spend,
    /// Fleets, nodes, workloads and their money.
    Gpu,
    /// What fires, what became of it, who has taken it.
    Alerts,
    /// How the reading of bills goes.
    Sources,
    /// What forecasts were worth.
    Record,
}

impl View {
    const ALL: [Self; 6] =
        [Self::Bands, Self::Spend, Self::Gpu, Self::Alerts, Self::Sources, Self::Record];

    fn segments(self) -> &'static [&'static str] {
        match self {
            Self::Bands => &[],
            Self::Spend => &["spend"],
            Self::Gpu => &["gpu"],
            Self::Alerts => &["alerts"],
            Self::Sources => &["sources"],
            Self::Record => &["record"],
        }
    }

    fn title(self, language: Language) -> &'static str {
        match self {
            Self::Bands => language.pick("Bands", "예산 범위"),
            Self::Spend => language.pick("Spend", "지출"),
            Self::Gpu => "GPU",
            Self::Alerts => language.pick("Alerts", "알림"),
            Self::Sources => language.pick("Sources", "데이터 소스"),
            Self::Record => language.pick("Forecast record", "예측 기록"),
        }
    }
}

/// A request for a view: who asks, where, and the newest picture.
pub struct Visit {
    /// What the face is made of.
    pub face: Face,
    /// Where.
    pub place: Place,
    /// Who.
    pub reader: Reader,
    /// What the visitor signed in as; none where no token is asked for.
    pub(super) signed_in: Option<SignedIn>,
    published: Option<Arc<Published>>,
}

/// What a view shows in the frame.
pub struct Shown {
    /// What is shown besides the view's own name, such as a band's.
    pub title: Option<String>,
    /// The answer's status.
    pub status: StatusCode,
    /// The content.
    pub body: Markup,
}

impl Shown {
    /// The view itself.
    pub fn view(body: Markup) -> Self {
        Self { title: None, status: StatusCode::OK, body }
    }

    /// One thing of a view.
    pub fn one(title: impl Into<String>, body: Markup) -> Self {
        Self { title: Some(title.into()), status: StatusCode::OK, body }
    }

    /// Nothing of that name is known.
    pub fn missing(visit: &Visit, what: &str) -> Self {
        let reader = &visit.reader;
        let title = reader.word("Not found", "찾을 수 없음");
        let body = html! {
            h1 { (title) }
            p { bdi { (what) } " "
                (reader.word("is not known here. It may have gone since, or the address is mistaken.",
                             "은(는) 알려져 있지 않습니다. 사라졌거나 주소가 잘못되었을 수 있습니다.")) }
            p { a href=(visit.place.to(&[], &[])) { (reader.word("To the bands", "예산 범위로")) } }
        };
        Self { title: Some(title.to_owned()), status: StatusCode::NOT_FOUND, body }
    }

    /// Something that is wanted for the view cannot be had now.
    pub fn failed(visit: &Visit, status: StatusCode, why: &str) -> Self {
        let title = visit.reader.word("Cannot be shown now", "지금은 표시할 수 없음");
        let body = html! {
            h1 { (title) }
            p role="alert" { (why) }
            p { a href=(visit.place.here()) { (visit.reader.word("Load again", "다시 불러오기")) } }
        };
        Self { title: Some(title.to_owned()), status, body }
    }
}

impl FromRequestParts<tokio::sync::watch::Receiver<Face>> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        faces: &tokio::sync::watch::Receiver<Face>,
    ) -> Result<Self, Infallible> {
        let face = Face::from_ref(faces);
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let query = query.map(|Query(query)| query).unwrap_or_default();
        let place = Place::new(parts.uri.path(), query);
        let published = face.published.borrow().clone();
        let now = face.alerts.now();
        let reader = Reader::of(&parts.headers, place.chosen, face.language, now);
        let signed_in = parts.extensions.get::<SignedIn>().cloned();
        Ok(Self { face, place, reader, signed_in, published })
    }
}

impl Visit {
    /// The newest picture; none before the first one.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.published.as_ref().map(|published| &published.snapshot)
    }

    /// Answers with a view, or with what there is to say before the first picture.
    pub fn answer(&self, view: View, show: impl FnOnce(&Snapshot) -> Shown) -> Response {
        let shown = match self.snapshot() {
            Some(snapshot) => show(snapshot),
            None => Shown::view(loading(view, &self.reader)),
        };
        let html = self.frame(view, &shown).into_string();
        (shown.status, page_headers(), html).into_response()
    }

    fn frame(&self, view: View, shown: &Shown) -> Markup {
        let (place, reader) = (&self.place, &self.reader);
        let language = reader.language;
        let other = match language {
            Language::En => Language::Ko,
            Language::Ko => Language::En,
        };
        let root = place.root();
        let title = shown.title.as_deref().unwrap_or(view.title(language));
        html! {
            (DOCTYPE)
            html lang=(language.tag()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    @if place.reloads { noscript { meta http-equiv="refresh" content="60"; } }
                    title { (title) " · costband" }
                    link rel="stylesheet" href={ (root) (assets::STYLE.path()) };
                    link rel="icon" type="image/svg+xml" href={ (root) (assets::ICON.path()) };
                    script src={ (root) (assets::SCRIPT.path()) } defer {}
                }
                body {
                    a.skip href="#main" { (reader.word("Skip to the content", "본문으로 건너뛰기")) }
                    header.top {
                        a.brand href=(place.to(&[], &[])) { (mark()) "costband" }
                        nav aria-label=(reader.word("Views", "보기")) {
                            ul {
                                @for one in View::ALL {
                                    li {
                                        a href=(place.to(one.segments(), &[]))
                                            aria-current=[(one == view).then_some("page")]
                                        { (one.title(language)) }
                                    }
                                }
                            }
                        }
                        div.tools {
                            a href=(place.in_language(other)) lang=(other.tag()) hreflang=(other.tag()) {
                                @match other { Language::En => "English", Language::Ko => "한국어" }
                            }
                            span.live
                                data-pause=(reader.word("Pause updates", "갱신 멈춤"))
                                data-resume=(reader.word("Resume updates", "갱신 재개"))
                                data-lost=(reader.word("The agent does not answer; the figures below are from before.",
                                                       "에이전트가 응답하지 않습니다. 아래 수치는 이전 값입니다."))
                            {
                                a href=(place.reloading(!place.reloads)) {
                                    @if place.reloads { (reader.word("Stop reloading", "새로고침 중지")) }
                                    @else { (reader.word("Reload each minute", "1분마다 새로고침")) }
                                }
                            }
                        }
                    }
                    div #notices { (self.notices()) }
                    main #main tabindex="-1" { (shown.body) }
                    footer { (self.footer()) }
                }
            }
        }
    }

    fn notices(&self) -> Markup {
        let follows = match (self.face.leadership)() {
            Leadership::Follower { holder } => {
                Some(replica::follows(holder.as_ref(), self.reader.language))
            }
            Leadership::Alone | Leadership::Holder { .. } => None,
        };
        html! {
            @if self.face.demo {
                p.notice {
                    (self.reader.word("Simulated clouds: none of these figures is a real bill.",
                                      "시뮬레이션된 클라우드입니다. 실제 청구 금액이 아닙니다."))
                }
            }
            @if let Some(follows) = follows { p.notice { (follows) } }
            @if let Some(snapshot) = self.snapshot() {
                (notices::of(snapshot, &self.place, &self.reader))
            }
        }
    }

    fn footer(&self) -> Markup {
        let reader = &self.reader;
        let root = self.place.root();
        html! {
            p {
                @if let Some(snapshot) = self.snapshot() {
                    (reader.word("As of ", "기준 시각 ")) (reader.time(snapshot.at)) " · "
                }
                a href={ (root) "api/v1/openapi.json" } { "API" } " · "
                a href={ (root) "metrics" } { (reader.word("Metrics", "메트릭")) } " · costband "
                (env!("CARGO_PKG_VERSION"))
            }
        }
    }
}

/// The name's sign: a line within a band.
fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 24 24" width="22" height="22" aria-hidden="true" {
            rect.zone x="1" y="7" width="22" height="10" rx="2" {}
            path.line d="M2 18 L8 14 L13 15 L22 6" {}
        }
    }
}

fn loading(view: View, reader: &Reader) -> Markup {
    html! {
        h1 { (view.title(reader.language)) }
        p.empty {
            (reader.word("The first reading is under way. Bills of two months are fetched at the first start, \
                          which takes minutes; the page shows each source as soon as it was read.",
                         "첫 읽기가 진행 중입니다. 처음 시작하면 두 달 치 청구 내역을 가져오며 몇 분이 걸립니다. \
                          읽은 소스부터 표시됩니다."))
        }
    }
}

/// Headers of a page: nothing but what the agent itself serves is loaded, and no other page frames it.
pub(super) fn page_headers() -> [(HeaderName, &'static str); 5] {
    const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
        connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With none at all a browser would not say either where a form comes from.
        (header::REFERRER_POLICY, "same-origin"),
    ]
}
