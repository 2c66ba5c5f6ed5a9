//! The simulated Google Cloud: BigQuery over the billing export, the Cloud Billing catalogue,
//! project names, and the token endpoints that Google's clients ask first.
//!
//! Faithful to the documented wire, not to one client: any SELECT of the served subset of SQL is
//! really evaluated over the world's charges. Source: the REST references under
//! <https://cloud.google.com/bigquery/docs/reference/rest> and
//! <https://cloud.google.com/billing/docs/reference/rest>.

mod bigquery;
mod catalogue;
mod error;
mod export;
mod identity;
pub mod sql;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use self::bigquery::jobs::Jobs;
use self::error::{ApiError, Style};
pub use self::export::Export;
use crate::simulate::charge::World;
use crate::simulate::faults::{Fault, Faults};
use crate::simulate::spoil::spoil;

/// Where the simulated billing account lives and how its servers behave.
#[derive(Debug, Clone)]
pub struct GcpOptions {
    /// The billing account: `012345-6789AB-CDEF01`.
    pub billing_account: String,
    /// Its name for people.
    pub billing_account_name: String,
    /// The project that holds the export's dataset.
    pub project: String,
    /// The dataset.
    pub dataset: String,
    /// Where the dataset is: `US`, `EU`, a region.
    pub location: String,
    /// Whether the export is enabled, and how far it has come.
    pub export: Export,
    /// The access token that requests must bear; none to accept every request.
    pub bearer_token: Option<String>,
    /// The permissions that nobody has, of those that are checked: `serviceusage.services.use`,
    /// `bigquery.jobs.create`, `bigquery.tables.get`, `bigquery.tables.getData`,
    /// `billing.accounts.get`.
    pub denied: Vec<&'static str>,
    /// The most rows of one page, whatever a client asks for.
    pub rows_per_page: usize,
    /// How often a job says `jobComplete: false` before it is done.
    pub slow_polls: u32,
    /// Counts what is asked.
    pub requests: Arc<Requests>,
}

impl Default for GcpOptions {
    fn default() -> Self {
        Self {
            billing_account: "012345-6789AB-CDEF01".to_owned(),
            billing_account_name: "Example billing account".to_owned(),
            project: "billing-admin".to_owned(),
            dataset: "billing_export".to_owned(),
            location: "US".to_owned(),
            export: Export::Ready,
            bearer_token: None,
            denied: Vec::new(),
            rows_per_page: 10_000,
            slow_polls: 0,
            requests: Arc::default(),
        }
    }
}

impl GcpOptions {
    /// The standard usage cost table: `project.dataset.gcp_billing_export_v1_X`.
    pub fn standard_table(&self) -> String {
        self.path(&self.dataset, export::Kind::Standard)
    }

    /// The detailed usage cost table.
    pub fn detailed_table(&self) -> String {
        self.path(&self.dataset, export::Kind::Detailed)
    }

    /// The FOCUS table, in the dataset that Google keeps.
    pub fn focus_table(&self) -> String {
        self.path(&export::Warehouse::focus_dataset(self), export::Kind::Focus)
    }

    fn path(&self, dataset: &str, kind: export::Kind) -> String {
        format!("{}.{dataset}.{}", self.project, export::Warehouse::table_name(self, kind))
    }
}

/// What a server was asked, by method (`jobs.query`), and what its queries billed.
#[derive(Debug, Default)]
pub struct Requests(Mutex<(BTreeMap<&'static str, u64>, u64)>);

impl Requests {
    /// How often a method was asked.
    pub fn count(&self, method: &str) -> u64 {
        self.0.lock().expect("no holder of the lock panics").0.get(method).copied().unwrap_or(0)
    }

    /// The bytes that queries billed so far.
    pub fn bytes_billed(&self) -> u64 {
        self.0.lock().expect("no holder of the lock panics").1
    }

    fn note(&self, method: &'static str) {
        let mut counts = self.0.lock().expect("no holder of the lock panics");
        *counts.0.entry(method).or_default() += 1;
    }

    fn bill(&self, bytes: u64) {
        self.0.lock().expect("no holder of the lock panics").1 += bytes;
    }
}

/// What every handler shares.
struct Server {
    world: Arc<dyn World>,
    faults: Arc<Faults>,
    options: GcpOptions,
    jobs: Mutex<Jobs>,
}

impl Server {
    fn lacks(&self, permission: &str) -> bool {
        self.options.denied.contains(&permission)
    }
}

type Shared = State<Arc<Server>>;

/// Marks an answer that is the first of several pages.
#[derive(Debug, Clone, Copy)]
struct FirstOfMany;

/// Serves a world's Google Cloud.
///
/// BigQuery's methods are served with and without `/bigquery/v2`, the other APIs under `/v1` and
/// `/v3`, the metadata server under `/computeMetadata/v1`, OAuth at `/token`. Faults are taken by
/// the APIs, never by the token endpoints.
pub fn router(world: Arc<dyn World>, faults: Arc<Faults>, options: GcpOptions) -> Router {
    let server = Arc::new(Server { world, faults, options, jobs: Mutex::default() });
    let bigquery = bigquery::routes();
    Router::new()
        .nest("/bigquery/v2", bigquery.clone())
        .merge(bigquery)
        .merge(catalogue::routes())
        .fallback(unknown)
        .layer(middleware::from_fn_with_state(Arc::clone(&server), guard))
        .merge(identity::routes())
        .with_state(server)
}

fn style(path: &str) -> Style {
    if path.starts_with("/v1/") || path.starts_with("/v3/") { Style::Rpc } else { Style::BigQuery }
}

async fn unknown(request: Request) -> ApiError {
    let path = request.uri().path();
    let message = format!("Not found: {path} is not served by the simulated Google Cloud");
    match style(path) {
        Style::BigQuery => ApiError::bigquery("notFound", message),
        Style::Rpc => ApiError::rpc(axum::http::StatusCode::NOT_FOUND, message),
    }
}

/// Asks for the token before a method, and lays the ordered fault over its answer.
async fn guard(State(server): Shared, request: Request, next: Next) -> Response {
    let style = style(request.uri().path());
    if let Some(token) = &server.options.bearer_token {
        let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        if given.and_then(|given| given.strip_prefix("Bearer ")) != Some(token) {
            return ApiError::unauthorized(style).into_response();
        }
    }
    if server.lacks("serviceusage.services.use")
        && let Some(project) = request.headers().get("x-goog-user-project")
    {
        let project = project.to_str().unwrap_or_default();
        return ApiError::project_denied(style, project).into_response();
    }
    let response = next.run(request).await;
    let more_follow = response.extensions().get::<FirstOfMany>().is_some();
    match server.faults.take_for(more_follow) {
        None => response,
        Some(fault) => match ApiError::of_fault(&fault, style, &server.options.project) {
            Some(error) => error.into_response(),
            None if matches!(fault, Fault::Empty | Fault::WrongTotal) => {
                reshape(&fault, response).await
            }
            None => spoil(&fault, response).await,
        },
    }
}

/// Empties a good answer, or makes its total wrong.
async fn reshape(fault: &Fault, response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let Ok(Value::Object(mut body)) = serde_json::from_slice(&bytes) else {
        return Response::from_parts(head, Body::from(bytes));
    };
    if *fault == Fault::WrongTotal {
        let total = body.get("totalRows").and_then(Value::as_str);
        if let Some(total) = total.and_then(|total| total.parse::<u64>().ok()) {
            body.insert("totalRows".to_owned(), Value::from((total + 1).to_string()));
        }
    } else {
        for list in [
            "rows",
            "skus",
            "services",
            "projectBillingInfo",
            "billingAccounts",
            "projects",
            "tables",
        ] {
            if let Some(list) = body.get_mut(list) {
                *list = Value::Array(Vec::new());
            }
        }
        if let Some(total) = body.get_mut("totalRows") {
            *total = Value::from("0");
        }
        body.remove("pageToken");
        if let Some(token) = body.get_mut("nextPageToken") {
            *token = Value::from("");
        }
    }
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(Value::Object(body).to_string()))
}
