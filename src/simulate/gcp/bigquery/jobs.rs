//! Jobs: what was asked, what came of it, and the pages of its rows.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::{put, wire};
use crate::simulate::gcp::error::ApiError;
use crate::simulate::gcp::sql::Output;
use crate::simulate::gcp::sql::value::{Field, Value};

/// What a query gave, with the bytes that it counts.
#[derive(Debug, Clone)]
pub(in crate::simulate::gcp) struct Finished {
    pub(super) columns: Arc<[Field]>,
    pub(super) rows: Arc<Vec<Vec<Value>>>,
    pub(super) processed: u64,
    pub(super) billed: u64,
}

const MEBIBYTE: u64 = 1 << 20;
/// What a scanned table costs at least (BigQuery pricing: on-demand).
const LEAST_BILLED: u64 = 10 * MEBIBYTE;

impl Finished {
    pub(super) fn new(output: Output) -> Self {
        // Rounded up to a whole megabyte for each table, ten at least.
        let billed = |bytes: &u64| (bytes.div_ceil(MEBIBYTE) * MEBIBYTE).max(LEAST_BILLED);
        Self {
            columns: output.columns.into(),
            rows: Arc::new(output.rows),
            processed: output.scanned.iter().sum(),
            billed: output.scanned.iter().map(billed).sum(),
        }
    }
}

/// A job's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::simulate::gcp) struct JobKey {
    pub(super) project: String,
    pub(super) id: String,
}

impl JobKey {
    pub(super) fn new(project: &str, id: &str) -> Self {
        Self { project: project.to_owned(), id: id.to_owned() }
    }
}

/// A job.
#[derive(Debug, Clone)]
pub(in crate::simulate::gcp) struct Job {
    pub(super) key: JobKey,
    request_id: Option<String>,
    configuration: Json,
    pub(super) outcome: Result<Finished, ApiError>,
    /// How often it still says that it is running.
    pub(super) slow_polls: u32,
    created: Timestamp,
}

impl Job {
    pub(super) fn new(
        configuration: Json,
        outcome: Result<Finished, ApiError>,
        slow_polls: u32,
        created: Timestamp,
    ) -> Self {
        Self {
            key: JobKey::default(),
            request_id: None,
            configuration,
            outcome,
            slow_polls,
            created,
        }
    }

    /// The Job resource.
    pub(super) fn resource(&self, location: &str) -> Json {
        let JobKey { project, id } = &self.key;
        let mut reference = json!({"projectId": project, "location": location});
        if !id.is_empty() {
            put(&mut reference, "jobId", Json::from(id.as_str()));
        }
        let done = self.slow_polls == 0;
        let created = self.created.as_millisecond().to_string();
        let mut statistics = json!({"creationTime": created, "startTime": created});
        let mut status = json!({"state": if done { "DONE" } else { "RUNNING" }});
        let mut configuration = self.configuration.clone();
        if done {
            put(&mut statistics, "endTime", Json::from(created));
            match &self.outcome {
                Ok(finished) => {
                    let dry_run = super::flag(&configuration, "dryRun");
                    let processed = finished.processed.to_string();
                    let billed = if dry_run { 0 } else { finished.billed };
                    let mut query = json!({
                        "statementType": "SELECT",
                        "totalBytesProcessed": processed,
                        "totalBytesBilled": billed.to_string(),
                        "totalSlotMs": "120",
                        "cacheHit": false,
                    });
                    if dry_run {
                        put(&mut query, "schema", wire::schema(&finished.columns));
                        put(&mut query, "totalBytesProcessedAccuracy", Json::from("PRECISE"));
                    }
                    put(&mut statistics, "totalBytesProcessed", Json::from(processed));
                    put(&mut statistics, "query", query);
                }
                Err(error) => {
                    put(&mut status, "errorResult", error.proto());
                    put(&mut status, "errors", json!([error.proto()]));
                }
            }
        }
        if let Some(query) = configuration.get_mut("query") {
            // Results of a query without a destination lie in an anonymous table.
            let table = format!("anon{}", id.replace(|c: char| !c.is_ascii_alphanumeric(), ""));
            put(
                query,
                "destinationTable",
                json!({
                    "projectId": project, "datasetId": "_simulated", "tableId": table,
                }),
            );
        }
        json!({
            "kind": "bigquery#job",
            "etag": format!("{id}-{}", self.slow_polls),
            "id": format!("{project}:{location}.{id}"),
            "selfLink": format!("https://www.googleapis.com/bigquery/v2/projects/{project}/jobs/{id}?location={location}"),
            "user_email": "costband@simulated.iam.gserviceaccount.com",
            "configuration": configuration,
            "jobReference": reference,
            "statistics": statistics,
            "status": status,
        })
    }
}

/// The newest jobs. Old results are forgotten, as the service forgets them after a day.
#[derive(Debug, Default)]
pub(in crate::simulate::gcp) struct Jobs {
    jobs: VecDeque<Job>,
    made: u64,
}

const MOST_JOBS: usize = 64;

impl Jobs {
    /// Keeps a job under its id, or under one that is made for it.
    pub(super) fn add(
        &mut self,
        project: &str,
        id: Option<&str>,
        request_id: Option<&str>,
        job: Job,
    ) -> Job {
        self.made += 1;
        let id = id.map_or_else(|| format!("job_simulated_{:014}", self.made), str::to_owned);
        let job = Job {
            key: JobKey::new(project, &id),
            request_id: request_id.map(str::to_owned),
            ..job
        };
        if self.jobs.len() == MOST_JOBS {
            self.jobs.pop_front();
        }
        self.jobs.push_back(job.clone());
        job
    }

    pub(super) fn find(&self, key: &JobKey) -> Option<Job> {
        self.jobs.iter().find(|job| job.key == *key).cloned()
    }

    /// The job of an earlier attempt of the same request.
    pub(super) fn of_request(&self, project: &str, request_id: &str) -> Option<Job> {
        let same = |job: &&Job| {
            job.key.project == project && job.request_id.as_deref() == Some(request_id)
        };
        self.jobs.iter().find(same).cloned()
    }

    /// Notes that a client asked whether a job is done.
    pub(super) fn poll(&mut self, key: &JobKey) {
        if let Some(job) = self.jobs.iter_mut().find(|job| job.key == *key) {
            job.slow_polls = job.slow_polls.saturating_sub(1);
        }
    }
}

/// Which rows a page has, and what leads to the next one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) next: Option<String>,
}

impl Page {
    pub(super) fn new(finished: &Finished, key: &JobKey, start: usize, size: usize) -> Self {
        let rows = finished.rows.len();
        let start = start.min(rows);
        let end = start.saturating_add(size).min(rows);
        Self { start, end, next: (end < rows).then(|| format!("{}.{end}", key.id)) }
    }

    /// The place that a page token leads to.
    pub(super) fn start_of(token: &str, key: &JobKey) -> Result<usize, ApiError> {
        let place = token.strip_prefix(key.id.as_str()).and_then(|rest| rest.strip_prefix('.'));
        place
            .and_then(|place| place.parse().ok())
            .ok_or_else(|| ApiError::bigquery("invalid", format!("Invalid page token: {token}")))
    }
}
