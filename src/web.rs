//! The HTTP face: metrics, health, JSON and the page. It reads the newest snapshot and can change
//! nothing but what is said of alerts, and that only where a token is asked for.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRef, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::file::Language;
use crate::config::secret::SecretRef;
use crate::domain::alert::AlertState;
use crate::domain::lease::LeadershipNow;
use crate::domain::period::Window;
use crate::domain::ports::{AlertLedger, GpuHistory, HistoryError, SpendHistory};
use crate::export::api;
use crate::export::page::Page;
use crate::runtime::readiness::Readiness;
use crate::runtime::supervisor::Shutdown;
use crate::snapshot::Snapshot;
use crate::telemetry::self_metrics::SelfMetrics;

mod access;
mod alerts;
mod assets;
mod chart;
mod forms;
mod link;
mod notices;
mod page;
pub mod reader;
mod reason;
mod replica;
mod sentence;
mod spend_days;
mod views;
mod words;

/// So many days are told at once.
const LONGEST_RANGE: i32 = 400;

/// A snapshot with its rendered metrics page.
#[derive(Debug)]
pub struct Published {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Its business series.
    pub page: Page,
}

/// An alert in words: plain text, each of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertWords {
    /// What happened, of what, in which month.
    pub title: String,
    /// How much, in one sentence.
    pub summary: String,
    /// Since when, by when, what to do, who is asked.
    pub lines: Vec<String>,
}

/// Puts an alert in the words of a language as it is read at an instant, the same as in messages.
pub type Wording = fn(&AlertState, Language, Timestamp) -> AlertWords;

/// What the face needs.
#[derive(Clone)]
pub struct Face {
    /// The newest published snapshot.
    pub published: watch::Receiver<Option<Arc<Published>>>,
    /// What `/readyz` says.
    pub readiness: Arc<Readiness>,
    /// The agent's own metrics.
    pub self_metrics: SelfMetrics,
    /// Where the bearer token comes from; none for no token.
    pub bearer_token: Option<SecretRef>,
    /// Where the token that a change must bear comes from; none for the bearer token.
    pub operator_token: Option<SecretRef>,
    /// The language of the page where the browser asks for none that it has.
    pub language: Language,
    /// What became of alerts, and who may change what of them.
    pub alerts: Arc<dyn AlertLedger>,
    /// Puts alerts in the words that messages have.
    pub wording: Wording,
    /// What GPUs cost in the past.
    pub gpu_history: Arc<dyn GpuHistory>,
    /// What sources cost in the past.
    pub spend_history: Arc<dyn SpendHistory>,
    /// Whether the clouds are simulated: the page says so.
    pub demo: bool,
    /// What the process may do among its replicas.
    pub leadership: LeadershipNow,
    /// Whether the ledger is the holder's too: a replica that follows shows what it says.
    pub shares_ledger: bool,
}

/// A request sees the face as it is when it arrives.
impl FromRef<watch::Receiver<Face>> for Face {
    fn from_ref(faces: &watch::Receiver<Face>) -> Self {
        faces.borrow().clone()
    }
}

/// Every route of the face, which may be another one with each configuration.
pub fn router(faces: watch::Receiver<Face>) -> Router {
    let guarded = Router::new()
        .route("/", get(views::bands::show))
        .route("/bands/{name}", get(views::band::show))
        .route("/alerts", get(views::alerts::show))
        .route("/alerts/{id}", get(views::alert::show))
        .route("/alerts/{id}/acknowledgement", post(forms::acknowledge))
        .route("/alerts/{id}/give-back", post(forms::give_back))
        .route("/alerts/{id}/silence", post(forms::silence))
        .route("/silences/{id}/end", post(forms::end_silence))
        .route("/sources", get(views::sources::show))
        .route("/sources/{id}", get(views::source::show))
        .route("/record", get(views::record::show))
        .route("/spend", get(views::spend::show))
        .route("/spend/{source}", get(views::spend::one))
        .route("/gpu", get(views::gpu::show))
        .route("/gpu/nodes/{name}", get(views::gpu::node))
        .route("/gpu/workloads/{namespace}/{name}", get(views::gpu::workload))
        .route("/assets/{file}", get(assets::serve))
        .route("/metrics", get(metrics))
        .route("/api/v1/bands", get(|face: State<Face>| document(face, api::bands)))
        .route("/api/v1/forecast", get(|face: State<Face>| document(face, api::forecasts)))
        .route(
            "/api/v1/forecast/history",
            get(|face: State<Face>| document(face, api::forecast_history)),
        )
        .route("/api/v1/anomalies", get(|face: State<Face>| document(face, api::anomalies)))
        .route("/api/v1/spend", get(|face: State<Face>| document(face, api::spend)))
        .route("/api/v1/spend/days", get(spend_days::days))
        .route("/api/v1/sources", get(|face: State<Face>| document(face, api::sources)))
        .route("/api/v1/gpu", get(gpu))
        .route("/api/v1/gpu/range", get(gpu_range))
        .route("/api/v1/nodes/{name}", get(node))
        .route("/api/v1/alerts", get(alerts::alerts))
        .route("/api/v1/alerts/history", get(alerts::history))
        .route(
            "/api/v1/alerts/{id}/acknowledgement",
            post(alerts::acknowledge).delete(alerts::give_back),
        )
        .route("/api/v1/silences", get(alerts::silences).post(alerts::add_silence))
        .route("/api/v1/silences/{id}", delete(alerts::end_silence))
        .route("/api/v1/openapi.json", get(|| async { json(StatusCode::OK, &api::openapi()) }))
        .layer(middleware::from_fn_with_state(faces.clone(), replica::point_to_holder))
        .layer(middleware::from_fn_with_state(faces.clone(), access::require_token));
    Router::new()
        .merge(guarded)
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .fallback(|| async {
            (StatusCode::NOT_FOUND, "not found; see /, /metrics and /api/v1/openapi.json\n")
        })
        .with_state(faces)
}

/// Serves the newest face until shutdown.
///
/// # Errors
/// The socket's error.
pub async fn serve(
    listener: TcpListener,
    faces: watch::Receiver<Face>,
    mut shutdown: Shutdown,
) -> std::io::Result<()> {
    axum::serve(listener, router(faces))
        .with_graceful_shutdown(async move { shutdown.requested().await })
        .await
}

/// Binds the address.
///
/// # Errors
/// The system's error, with the address and what to do.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        std::io::Error::new(
            error.kind(),
            format!(
                "failed to listen on `{address}`: {error}; end what listens there, or choose \
                 another address with `listen` (`costband demo` has `--listen`)"
            ),
        )
    })
}

async fn ready(State(face): State<Face>) -> Response {
    match face.readiness.check() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response()
        }
    }
}

async fn metrics(State(face): State<Face>, headers: HeaderMap) -> Response {
    let acts = (face.leadership)().acts();
    face.self_metrics.leads(acts);
    let own = face.self_metrics.encode();
    // Two replicas would tell the same money twice.
    let published = face.published.borrow().clone().filter(|_| acts);
    let gzip = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(accepts_gzip);
    let mut response = Response::new(Body::empty());
    let body = match published {
        Some(published) if gzip => {
            response
                .headers_mut()
                .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            published.page.gzip_with_text(&own)
        }
        Some(published) => published.page.with_text(&own),
        None => own.into(),
    };
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    *response.body_mut() = body.into();
    response
}

/// Whether one item of an Accept-Encoding header takes gzip (RFC 9110, section 12.5.3).
fn accepts_gzip(item: &str) -> bool {
    let mut parts = item.split(';').map(str::trim);
    let coding = parts.next().unwrap_or_default();
    let refused = parts.any(|part| {
        part.strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q == 0.0))
    });
    coding.eq_ignore_ascii_case("gzip") && !refused
}

async fn document<T: Serialize>(
    State(face): State<Face>,
    make: impl FnOnce(&Snapshot) -> T,
) -> Response {
    let published = face.published.borrow().clone();
    match published {
        Some(published) => json(StatusCode::OK, &make(&published.snapshot)),
        None => {
            let error = serde_json::json!({"error": "the first snapshot is not published yet"});
            json(StatusCode::SERVICE_UNAVAILABLE, &error)
        }
    }
}

async fn gpu(face: State<Face>) -> Response {
    document(face, api::gpus).await
}

/// The days that are asked for, in each cloud's own billing zone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RangeQuery {
    from: Date,
    to: Date,
}

async fn gpu_range(
    State(face): State<Face>,
    query: Result<Query<RangeQuery>, QueryRejection>,
) -> Response {
    let refused = |status, error: &dyn std::fmt::Display| {
        json(status, &serde_json::json!({"error": error.to_string()}))
    };
    let wanted = "want `?from=2026-10-01&to=2026-11-01`: two days, the second one excluded";
    let Ok(Query(RangeQuery { from, to })) = query else {
        return refused(StatusCode::BAD_REQUEST, &wanted);
    };
    if from >= to || from.saturating_add(LONGEST_RANGE.days()) < to {
        let why = format!("{wanted}, the first before it and at most {LONGEST_RANGE} days");
        return refused(StatusCode::BAD_REQUEST, &why);
    }
    match face.gpu_history.money(Window::new(from, to)).await {
        Ok(range) => json(StatusCode::OK, &api::gpu_range(&range)),
        Err(error @ HistoryError::Busy) => refused(StatusCode::TOO_MANY_REQUESTS, &error),
        Err(error @ HistoryError::Ledger(_)) => {
            tracing::error!(%error, "failed to read GPU money of the past");
            refused(StatusCode::INTERNAL_SERVER_ERROR, &"the ledger cannot be read; see the log")
        }
    }
}

/// One node, for agents beside its workloads.
async fn node(State(face): State<Face>, Path(name): Path<String>) -> Response {
    let published = face.published.borrow().clone();
    let Some(published) = published else {
        return document(State(face), |_| ()).await;
    };
    match api::node_named(&published.snapshot, &name) {
        Some(node) => json(StatusCode::OK, &node),
        None => {
            let error = serde_json::json!({"error": "neither telemetry nor the inventory of nodes tells of a node of that name"});
            json(StatusCode::NOT_FOUND, &error)
        }
    }
}

fn json(status: StatusCode, document: &impl Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "failed to write a document");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
