//! The way to BigQuery: credentials, the table's description, and queries under the cap.
//!
//! The client's own retries are off, since the poller backs off; what is left in it is that a
//! *refused* `jobs.query` is sent up to three times, which costs nothing. A job that was accepted
//! is attached to and waited for, never started again.

use google_cloud_auth::credentials::{
    Builder as DefaultCredentials, Credentials, anonymous, external_account, impersonated,
    service_account, user_account,
};
use google_cloud_bigquery::builder::bigquery::Query;
use google_cloud_bigquery::client::BigQuery;
use google_cloud_bigquery::query::{CompleteQuery, Row};
use google_cloud_bigquery_v2::client::TableService;
use google_cloud_bigquery_v2::model::query_request::JobCreationMode;
use google_cloud_bigquery_v2::model::{
    QueryParameter, QueryParameterType, QueryParameterValue, Table as TableAnswer,
};
use google_cloud_gax::options::RequestOptionsBuilder;
use google_cloud_gax::retry_policy::NeverRetry;
use jiff::Timestamp;

use crate::collect::gcp::classify::{Failure, classify, credentials_hint, raise_maximum};
use crate::collect::gcp::config::Settings;
use crate::collect::gcp::query::{
    Parameter, Partition, Statement, Table, needed_columns, optional_columns, partition_by,
};
use crate::domain::money::Money;
use crate::domain::ports::{Meter, MeterError};
use crate::domain::report::{SourceError, SourceErrorKind};

/// Rows of one page at most.
pub const PAGE_ROWS: u32 = 10_000;
/// Rows of one answer at most: what a poll may hold in memory.
pub const MOST_ROWS: u64 = 1_000_000;

/// The clients of one poll. Made anew for each, so that a rotated credentials file is picked up.
pub struct Client<'a> {
    settings: &'a Settings,
    bigquery: BigQuery,
    tables: TableService,
    counter: Counter<'a>,
}

/// Counts requests before they leave.
#[derive(Clone, Copy)]
pub struct Counter<'a> {
    /// The source that asks.
    pub settings: &'a Settings,
    /// Who counts.
    pub meter: &'a dyn Meter,
    /// The agent's present instant.
    pub now: Timestamp,
}

/// What `tables.get` says of the export's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// What the SQL needs to know.
    pub table: Table,
    /// When the table was made, where it is told.
    pub created: Option<Timestamp>,
    /// Where it is.
    pub location: String,
    /// How many rows it has, where it is told.
    pub rows: Option<u64>,
}

impl<'a> Client<'a> {
    /// Makes the clients; dials nothing but what the credentials need.
    ///
    /// # Errors
    /// Config for an address or a trust store that does not serve.
    pub async fn new(
        settings: &'a Settings,
        credentials: Credentials,
        meter: &'a dyn Meter,
        now: Timestamp,
    ) -> Result<Self, SourceError> {
        let mut bigquery = BigQuery::builder()
            .with_project_id(&settings.project)
            .with_credentials(credentials.clone())
            .with_retry_policy(NeverRetry);
        let mut tables =
            TableService::builder().with_credentials(credentials).with_retry_policy(NeverRetry);
        if let Some(endpoint) = &settings.endpoints.bigquery {
            bigquery = bigquery.with_endpoint(endpoint);
            tables = tables.with_endpoint(endpoint);
        }
        let unbuilt = |error: google_cloud_gax::client_builder::Error| {
            SourceError::new(
                SourceErrorKind::Config,
                format!("failed to make a BigQuery client: {error}"),
            )
            .hint("check `endpoints`, and `SSL_CERT_FILE` or the system's CA certificates")
        };
        Ok(Self {
            settings,
            bigquery: bigquery.build().await.map_err(unbuilt)?,
            tables: tables.build().await.map_err(unbuilt)?,
            counter: Counter { settings, meter, now },
        })
    }

    /// Asks for the export's table: whether it is there, what columns it has, how it is
    /// partitioned. Free.
    ///
    /// # Errors
    /// Config where project, dataset, table or a column is missing.
    pub async fn describe(&self) -> Result<Described, SourceError> {
        self.reserve("tables.get", self.free()).await?;
        let settings = self.settings;
        let mut request = self
            .tables
            .get_table()
            .set_project_id(&settings.dataset_project)
            .set_dataset_id(&settings.dataset)
            .set_table_id(&settings.table);
        request = request.with_quota_project(&settings.project);
        let answer = request.send().await.map_err(|error| {
            let tried = format!("find the billing export `{}`", settings.table_path());
            classify(&Failure::from(&error), settings, &tried)
        })?;
        described(settings, &answer)
    }

    /// Runs a statement: estimates its size for free, reserves its price, reads every page and
    /// holds their rows against the answer's own count. `purpose` completes "failed to read".
    ///
    /// # Errors
    /// Any kind; nothing of the answer is kept then.
    pub async fn read(
        &self,
        statement: &Statement,
        location: &str,
        purpose: &str,
    ) -> Result<Vec<Row>, SourceError> {
        let tried = format!("read {purpose} from `{}`", self.settings.table_path());
        let price = self.estimate(statement, location, &tried).await?;
        self.reserve("jobs.query", price).await?;
        let complete = Box::pin(self.run(statement, location, &tried)).await?;
        self.pages(complete, &tried).await
    }

    /// The price of a statement by a dry run, which is free.
    ///
    /// # Errors
    /// Any kind.
    pub async fn estimate(
        &self,
        statement: &Statement,
        location: &str,
        tried: &str,
    ) -> Result<Money, SourceError> {
        self.reserve("jobs.insert", self.free()).await?;
        let dry = Box::pin(self.job(statement, location).set_dry_run(true).send());
        let job = dry.await.map_err(|error| self.failed(&Failure::from(&error), tried))?;
        let bytes = job.metadata().total_bytes_processed.filter(|bytes| *bytes >= 0);
        if let Some(bytes) = bytes
            && bytes > self.settings.maximum_bytes_billed
        {
            return Err(SourceError::new(
                SourceErrorKind::Config,
                format!("failed to {tried}: the query would read {bytes} bytes"),
            )
            .hint(raise_maximum(self.settings)));
        }
        Ok(self.settings.price_of(bytes))
    }

    async fn run(
        &self,
        statement: &Statement,
        location: &str,
        tried: &str,
    ) -> Result<CompleteQuery, SourceError> {
        let failed = |error| self.failed(&Failure::from(&error), tried);
        let job = self.job(statement, location).send().await.map_err(failed)?;
        if job.metadata().job_complete == Some(true) {
            return Box::pin(job.until_done()).await.map_err(failed);
        }
        let Some(reference) = job.metadata().job_reference.clone() else {
            let what = "it names no job and is not complete".to_owned();
            return Err(self.failed(&Failure::Malformed(what), tried));
        };
        let attached = self.bigquery.attach_job(reference).await.map_err(failed)?;
        Box::pin(attached.until_done()).await.map_err(failed)
    }

    async fn pages(&self, complete: CompleteQuery, tried: &str) -> Result<Vec<Row>, SourceError> {
        let wrong = |what: String| self.failed(&Failure::Malformed(what), tried);
        let metadata = complete.metadata();
        let Some(total) = metadata.total_rows else {
            return Err(wrong("it has no `totalRows`".to_owned()));
        };
        if total > MOST_ROWS {
            return Err(SourceError::new(
                SourceErrorKind::Config,
                format!("failed to {tried}: {total} rows are more than the {MOST_ROWS} that a poll may hold"),
            )
            .hint("read a shorter window"));
        }
        if metadata.job_reference.is_none() && !metadata.page_token.is_empty() {
            return Err(wrong("it has a next page and names no job".to_owned()));
        }
        let further = total.saturating_sub(1) / u64::from(PAGE_ROWS);
        for _ in 0..further {
            self.reserve("jobs.getQueryResults", self.free()).await?;
        }
        let mut rows = Vec::new();
        let mut pages = complete.read().set_page_size(PAGE_ROWS);
        while let Some(row) = pages.next().await {
            rows.push(row.map_err(|error| self.failed(&Failure::from(&error), tried))?);
            if u64::try_from(rows.len()).is_ok_and(|got| got > total) {
                return Err(wrong(format!("it says {total} rows and brings more")));
            }
        }
        if u64::try_from(rows.len()) != Ok(total) {
            return Err(wrong(format!("it says {total} rows and brings {}", rows.len())));
        }
        Ok(rows)
    }

    fn job(&self, statement: &Statement, location: &str) -> Query {
        let settings = self.settings;
        let deadline = i64::try_from(settings.deadline.as_millis()).unwrap_or(i64::MAX);
        self.bigquery
            .query(&statement.sql)
            .set_parameter_mode("NAMED")
            .set_query_parameters(
                statement.parameters.iter().map(|(name, value)| wire(name, value)),
            )
            .set_labels([("app", "costband")])
            .set_location(settings.location.as_deref().unwrap_or(location))
            .set_maximum_bytes_billed(settings.maximum_bytes_billed)
            .set_job_timeout_ms(deadline)
            .set_page_size(PAGE_ROWS)
            // With a job there is a reference that pages and a slow query can be asked by.
            .set_job_creation_mode(JobCreationMode::JobCreationRequired)
    }

    fn failed(&self, failure: &Failure, tried: &str) -> SourceError {
        classify(failure, self.settings, tried)
    }

    /// The price of a request that Google does not charge for.
    pub fn free(&self) -> Money {
        self.counter.free()
    }

    /// Reserves the price of a request, as [`Counter::reserve`].
    ///
    /// # Errors
    /// As there.
    pub async fn reserve(&self, operation: &'static str, price: Money) -> Result<(), SourceError> {
        self.counter.reserve(operation, price).await
    }
}

impl Counter<'_> {
    /// The price of a request that Google does not charge for.
    pub fn free(&self) -> Money {
        Money::zero(self.settings.price_per_tib.currency)
    }

    /// Reserves the price of a request before it leaves.
    ///
    /// # Errors
    /// Rate limited where the month's cap does not allow it, with the wait for the next month.
    pub async fn reserve(&self, operation: &'static str, price: Money) -> Result<(), SourceError> {
        let reserved = self.meter.reserve(&self.settings.source, operation, price).await;
        reserved.map_err(|error| match &error {
            MeterError::CapReached { resets_at, .. } => {
                let wait = resets_at.duration_since(self.now);
                SourceError::new(
                    SourceErrorKind::RateLimited,
                    format!("failed to ask for `{operation}`: {error}"),
                )
                .hint("raise `monthly_cap` or lengthen `poll_every`")
                .retry_after(wait.try_into().ok())
            }
            MeterError::Ledger(_) => SourceError::new(
                SourceErrorKind::Unavailable,
                format!("failed to ask for `{operation}`: {error}"),
            ),
        })
    }
}

/// The credentials that are configured.
///
/// # Errors
/// Auth, naming the file and never its content.
pub fn credentials(settings: &Settings) -> Result<Credentials, SourceError> {
    let unread = |what: &str| {
        SourceError::new(SourceErrorKind::Auth, format!("failed to load credentials: {what}"))
            .hint(credentials_hint(settings))
    };
    if settings.credentials.anonymous {
        return Ok(anonymous::Builder::new().build());
    }
    let Some(path) = &settings.credentials.file else {
        return DefaultCredentials::default()
            .build()
            .map_err(|_| unread("the application default credentials cannot be used"));
    };
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| unread(&format!("file `{shown}`: {}", error.kind())))?;
    let json: serde_json::Value =
        serde_json::from_str(&text).map_err(|_| unread(&format!("file `{shown}` is not JSON")))?;
    let kind = json.get("type").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let built = match kind.as_str() {
        "service_account" => service_account::Builder::new(json).build(),
        "external_account" => external_account::Builder::new(json).build(),
        "impersonated_service_account" => impersonated::Builder::new(json).build(),
        "authorized_user" => user_account::Builder::new(json).build(),
        _ => {
            return Err(unread(&format!(
                "file `{shown}` has no `type` of `service_account`, `external_account`, `impersonated_service_account` or `authorized_user`"
            )));
        }
    };
    // The library's own text may quote the file.
    built.map_err(|_| unread(&format!("file `{shown}` is not a valid `{kind}` file")))
}

fn described(settings: &Settings, answer: &TableAnswer) -> Result<Described, SourceError> {
    let kind = settings.table_kind;
    let columns: Vec<&str> = answer
        .schema
        .iter()
        .flat_map(|schema| schema.fields.iter().map(|field| field.name.as_str()))
        .collect();
    let has = |column: &str| columns.is_empty() || columns.contains(&column);
    let lacking: Vec<&str> =
        needed_columns(kind).iter().copied().filter(|column| !has(column)).collect();
    if !lacking.is_empty() {
        return Err(SourceError::new(
            SourceErrorKind::Config,
            format!(
                "failed to use `{}` as a billing export: it has no column `{}`",
                settings.table_path(),
                lacking.join("`, `")
            ),
        )
        .hint(format!(
            "compare `table` and `table_kind` with `bq show --schema {}.{}`",
            settings.dataset_for_bq(),
            settings.table
        )));
    }
    let (list, rate, used) = optional_columns(kind);
    let partition = match &answer.time_partitioning {
        None => Partition::Other,
        Some(partitioning) => partition_by(kind, partitioning.field.as_deref()),
    };
    Ok(Described {
        table: Table {
            path: settings.table_path(),
            kind,
            partition,
            has_list: has(list),
            has_rate: has(rate),
            has_use: used.iter().all(|column| has(column)),
        },
        created: Some(answer.creation_time)
            .filter(|milliseconds| *milliseconds > 0)
            .and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok()),
        location: answer.location.clone(),
        rows: answer.num_rows,
    })
}

fn wire(name: &str, value: &Parameter) -> QueryParameter {
    let one = |text: String| QueryParameterValue::new().set_value(text);
    let scalar = |kind: &str| QueryParameterType::new().set_type(kind);
    let array = |kind: &str| scalar("ARRAY").set_array_type(scalar(kind));
    let (kind, value) = match value {
        Parameter::Instant(instant) => (scalar("TIMESTAMP"), one(instant.to_string())),
        Parameter::Days(days) => (
            array("DATE"),
            QueryParameterValue::new()
                .set_array_values(days.iter().map(|day| one(day.to_string()))),
        ),
        Parameter::Texts(texts) => (
            array("STRING"),
            QueryParameterValue::new().set_array_values(texts.iter().map(|text| one(text.clone()))),
        ),
    };
    QueryParameter::new().set_name(name).set_parameter_type(kind).set_parameter_value(value)
}
