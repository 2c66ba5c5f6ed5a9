//! BigQuery's REST methods: queries, jobs, and the tables behind them.

pub(super) mod jobs;
mod tables;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use self::jobs::{Finished, Job, JobKey, Page};
use self::wire::TimestampFormat;
use super::error::ApiError;
use super::export::Warehouse;
use super::{FirstOfMany, Server, Shared, sql};
use crate::domain::identity::Provider;

type Parameters = Query<BTreeMap<String, String>>;

pub(super) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route("/projects/{project}/queries", post(query))
        .route("/projects/{project}/queries/{job}", get(query_results))
        .route("/projects/{project}/jobs", post(insert_job))
        .route("/projects/{project}/jobs/{job}", get(get_job))
        .route("/projects/{project}/jobs/{job}/cancel", post(cancel_job))
        .merge(tables::routes())
}

/// An answer, marked where more pages follow it.
struct Answer {
    body: Value,
    first_of_many: bool,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        if self.first_of_many {
            response.extensions_mut().insert(FirstOfMany);
        }
        response
    }
}

impl From<Value> for Answer {
    fn from(body: Value) -> Self {
        Self { body, first_of_many: false }
    }
}

fn read(body: &Bytes) -> Result<Value, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        ApiError::bigquery("parseError", format!("Invalid JSON payload received. {error}"))
    })
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// A whole number, which Google's JSON writes as a number or a string.
fn number(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    }
}

fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// A page size or place in a query string; empty text is none.
fn number_parameter(
    parameters: &BTreeMap<String, String>,
    key: &str,
) -> Result<Option<usize>, ApiError> {
    match parameters.get(key).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|_| ApiError::bigquery("invalid", format!("Invalid value for {key}: {text}"))),
    }
}

fn timestamps(parameters: &BTreeMap<String, String>) -> TimestampFormat {
    TimestampFormat::of(|key| parameters.get(&format!("formatOptions.{key}")).cloned())
}

impl Server {
    fn may_run_in(&self, project: &str) -> Result<(), ApiError> {
        let now = self.world.clock().now();
        let known = project == self.options.project
            || self
                .world
                .charges(Provider::Gcp, now)
                .iter()
                .any(|charge| charge.sub_account_id == project);
        if known && !self.lacks("bigquery.jobs.create") {
            return Ok(());
        }
        Err(ApiError::bigquery(
            "accessDenied",
            format!(
                "Access Denied: Project {project}: User does not have bigquery.jobs.create permission in project {project}."
            ),
        ))
    }

    /// Runs a query configuration: the body of `jobs.query` or `configuration.query` of a job.
    async fn execute(
        self: &Arc<Self>,
        project: &str,
        configuration: &Value,
        location: Option<&str>,
        dry_run: bool,
    ) -> Result<Finished, ApiError> {
        let server = Arc::clone(self);
        let (project, configuration) = (project.to_owned(), configuration.clone());
        let location = location.map(str::to_owned);
        let run = tokio::task::spawn_blocking(move || {
            server.execute_now(&project, &configuration, location.as_deref(), dry_run)
        });
        run.await.unwrap_or_else(|_| {
            Err(ApiError::bigquery("internalError", "the simulated query ended without an answer"))
        })
    }

    fn execute_now(
        &self,
        project: &str,
        configuration: &Value,
        location: Option<&str>,
        dry_run: bool,
    ) -> Result<Finished, ApiError> {
        let Some(query) = text(configuration, "query") else {
            return Err(ApiError::bigquery("required", "Required parameter is missing: query"));
        };
        if configuration.get("useLegacySql").and_then(Value::as_bool).unwrap_or(true) {
            return Err(ApiError::bigquery(
                "invalidQuery",
                "legacy SQL is not served by the simulated BigQuery: set useLegacySql to false",
            ));
        }
        let parameters = wire::parameters(configuration)?;
        let default = configuration.get("defaultDataset");
        let default = (
            default.and_then(|default| text(default, "projectId")).unwrap_or(project).to_owned(),
            default.and_then(|default| text(default, "datasetId")).unwrap_or_default().to_owned(),
        );
        if self.lacks("bigquery.tables.getData") && query.contains(&self.options.dataset) {
            let table = self.options.standard_table().replacen('.', ":", 1);
            return Err(ApiError::bigquery(
                "accessDenied",
                format!(
                    "Access Denied: Table {table}: User does not have permission to query table \
                     {table}, or perhaps it does not exist."
                ),
            ));
        }
        let now = self.world.clock().now();
        if let Some(location) = location
            && !location.eq_ignore_ascii_case(&self.options.location)
        {
            return Err(ApiError::bigquery(
                "notFound",
                format!(
                    "Not found: Dataset {}:{} was not found in location {location}",
                    self.options.project, self.options.dataset
                ),
            ));
        }
        let warehouse = Warehouse::new(&self.options, self.world.as_ref(), now, Some(default));
        let output = sql::run(query, &parameters, &warehouse, now)?;
        let finished = Finished::new(output);
        let limit = number(configuration.get("maximumBytesBilled"));
        if let Some(limit) = limit.filter(|limit| *limit < finished.billed && !dry_run) {
            return Err(ApiError::bigquery(
                "bytesBilledLimitExceeded",
                format!(
                    "Query exceeded limit for bytes billed: {limit}. {} or higher required.",
                    finished.billed
                ),
            ));
        }
        if !dry_run {
            self.options.requests.bill(finished.billed);
        }
        Ok(finished)
    }

    fn jobs(&self) -> std::sync::MutexGuard<'_, jobs::Jobs> {
        self.jobs.lock().expect("no holder of the lock panics")
    }

    fn job(&self, project: &str, id: &str, location: Option<&String>) -> Result<Job, ApiError> {
        let found = self.jobs().find(&JobKey::new(project, id));
        let here = location
            .filter(|location| !location.is_empty())
            .is_none_or(|location| location.eq_ignore_ascii_case(&self.options.location));
        found
            .filter(|_| here)
            .ok_or_else(|| ApiError::bigquery("notFound", format!("Not found: Job {project}:{id}")))
    }

    fn reference(&self, key: &JobKey) -> Value {
        json!({"projectId": key.project, "jobId": key.id, "location": self.options.location})
    }

    fn page_size(&self, asked: Option<usize>) -> usize {
        asked.map_or(self.options.rows_per_page, |asked| asked.min(self.options.rows_per_page))
    }
}

/// `jobs.query`.
async fn query(
    State(server): Shared,
    Path(project): Path<String>,
    body: Bytes,
) -> Result<Answer, ApiError> {
    server.options.requests.note("jobs.query");
    server.may_run_in(&project)?;
    let request = read(&body)?;
    let dry_run = flag(&request, "dryRun");
    let request_id = text(&request, "requestId");
    let known = request_id.and_then(|id| server.jobs().of_request(&project, id));
    let job = match known {
        Some(job) => job,
        None => {
            let location = text(&request, "location");
            let finished = server.execute(&project, &request, location, dry_run).await?;
            if dry_run {
                return Ok(Answer::from(json!({
                    "kind": "bigquery#queryResponse",
                    "schema": wire::schema(&finished.columns),
                    "jobReference": {"projectId": project, "location": server.options.location},
                    "totalBytesProcessed": finished.processed.to_string(),
                    "jobComplete": true,
                    "cacheHit": false,
                })));
            }
            let now = server.world.clock().now();
            let configuration = json!({"query": request.clone(), "jobType": "QUERY"});
            let job = Job::new(configuration, Ok(finished), server.options.slow_polls, now);
            server.jobs().add(&project, None, request_id, job)
        }
    };
    let finished = job.outcome.clone()?;
    let is_optional = matches!(
        request.get("jobCreationMode"),
        Some(mode) if mode == "JOB_CREATION_OPTIONAL" || mode == 2
    );
    let mut answer = json!({
        "kind": "bigquery#queryResponse",
        "queryId": job.key.id,
        "location": server.options.location,
        "jobComplete": job.slow_polls == 0,
        "cacheHit": false,
    });
    let mut more = false;
    if job.slow_polls == 0 {
        let asked = number(request.get("maxResults")).and_then(|rows| usize::try_from(rows).ok());
        let options = request.get("formatOptions");
        let format = TimestampFormat::of(|key| match options?.get(key)? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        });
        let page = Page::new(&finished, &job.key, 0, server.page_size(asked));
        more = page.next.is_some();
        fill(&mut answer, &finished, &page, format);
        put(&mut answer, "totalBytesBilled", Value::from(finished.billed.to_string()));
        put(&mut answer, "totalSlotMs", Value::from("120"));
    }
    // A query that is answered at once makes no job where none is required.
    if !is_optional || more || job.slow_polls > 0 {
        put(&mut answer, "jobReference", server.reference(&job.key));
        let reason = match (is_optional, more) {
            (false, _) => "REQUESTED",
            (true, true) => "LARGE_RESULTS",
            (true, false) => "LONG_RUNNING",
        };
        put(&mut answer, "jobCreationReason", json!({"code": reason}));
    }
    Ok(Answer { body: answer, first_of_many: more })
}

fn put(answer: &mut Value, key: &str, value: Value) {
    if let Some(answer) = answer.as_object_mut() {
        answer.insert(key.to_owned(), value);
    }
}

/// Adds schema, totals and the rows of a page.
fn fill(answer: &mut Value, finished: &Finished, page: &Page, format: TimestampFormat) {
    put(answer, "schema", wire::schema(&finished.columns));
    put(answer, "totalRows", Value::from(finished.rows.len().to_string()));
    put(answer, "totalBytesProcessed", Value::from(finished.processed.to_string()));
    let rows = finished.rows.iter().skip(page.start).take(page.end - page.start);
    let rows: Vec<Value> = rows.map(|row| wire::row(row, format)).collect();
    if !rows.is_empty() {
        put(answer, "rows", Value::from(rows));
    }
    if let Some(token) = &page.next {
        put(answer, "pageToken", Value::from(token.clone()));
    }
}

/// `jobs.getQueryResults`.
async fn query_results(
    State(server): Shared,
    Path((project, id)): Path<(String, String)>,
    Query(parameters): Parameters,
) -> Result<Answer, ApiError> {
    server.options.requests.note("jobs.getQueryResults");
    let job = server.job(&project, &id, parameters.get("location"))?;
    let mut answer = json!({
        "kind": "bigquery#getQueryResultsResponse",
        "etag": format!("{id}-results"),
        "jobReference": server.reference(&job.key),
        "jobComplete": job.slow_polls == 0,
    });
    if job.slow_polls > 0 {
        server.jobs().poll(&job.key);
        return Ok(Answer::from(answer));
    }
    let finished = job.outcome.clone()?;
    let token = parameters.get("pageToken").filter(|token| !token.is_empty());
    let start = match token {
        Some(token) => Page::start_of(token, &job.key)?,
        None => number_parameter(&parameters, "startIndex")?.unwrap_or(0),
    };
    let asked = number_parameter(&parameters, "maxResults")?;
    let page = Page::new(&finished, &job.key, start, server.page_size(asked));
    fill(&mut answer, &finished, &page, timestamps(&parameters));
    put(&mut answer, "cacheHit", Value::from(false));
    Ok(Answer { body: answer, first_of_many: token.is_none() && page.next.is_some() })
}

/// `jobs.insert`, for query jobs.
async fn insert_job(
    State(server): Shared,
    Path(project): Path<String>,
    body: Bytes,
) -> Result<Answer, ApiError> {
    server.options.requests.note("jobs.insert");
    server.may_run_in(&project)?;
    let request = read(&body)?;
    let mut configuration = request.get("configuration").cloned().unwrap_or_default();
    let Some(query) = configuration.get("query").cloned() else {
        return Err(ApiError::bigquery(
            "invalid",
            "only query jobs are served by the simulated BigQuery",
        ));
    };
    let dry_run = flag(&configuration, "dryRun");
    let reference = request.get("jobReference");
    let id = reference.and_then(|reference| text(reference, "jobId"));
    let location = reference.and_then(|reference| text(reference, "location"));
    if let Some(id) = id
        && server.jobs().find(&JobKey::new(&project, id)).is_some()
    {
        let location = &server.options.location;
        return Err(ApiError::bigquery(
            "duplicate",
            format!("Already Exists: Job {project}:{location}.{id}"),
        ));
    }
    let outcome = server.execute(&project, &query, location, dry_run).await;
    put(&mut configuration, "jobType", Value::from("QUERY"));
    let now = server.world.clock().now();
    if dry_run {
        let mut job = Job::new(configuration, Ok(outcome?), 0, now);
        job.key = JobKey::new(&project, "");
        return Ok(Answer::from(job.resource(&server.options.location)));
    }
    let job = Job::new(configuration, outcome, server.options.slow_polls, now);
    let job = server.jobs().add(&project, id, None, job);
    Ok(Answer::from(job.resource(&server.options.location)))
}

/// `jobs.get`.
async fn get_job(
    State(server): Shared,
    Path((project, id)): Path<(String, String)>,
    Query(parameters): Parameters,
) -> Result<Answer, ApiError> {
    server.options.requests.note("jobs.get");
    let job = server.job(&project, &id, parameters.get("location"))?;
    server.jobs().poll(&job.key);
    Ok(Answer::from(job.resource(&server.options.location)))
}

/// `jobs.cancel`: best effort; a query that is done stays done.
async fn cancel_job(
    State(server): Shared,
    Path((project, id)): Path<(String, String)>,
    Query(parameters): Parameters,
) -> Result<Answer, ApiError> {
    server.options.requests.note("jobs.cancel");
    let job = server.job(&project, &id, parameters.get("location"))?;
    let resource = job.resource(&server.options.location);
    Ok(Answer::from(json!({"kind": "bigquery#jobCancelResponse", "job": resource})))
}
