//! What went wrong, in the closed words of the domain, with the command that mends it.
//!
//! BigQuery's reasons: `cloud.google.com/bigquery/docs/error-messages`.

use std::time::Duration;

use google_cloud_bigquery::error::{QueryError, RowError};
use google_cloud_gax::error::rpc::StatusDetails;
use google_cloud_gax::error::{CredentialsError, Error as CallError};

use crate::collect::gcp::config::Settings;
use crate::domain::report::{SourceError, SourceErrorKind};

/// A failed call, as far as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The service answered with an error.
    Answer {
        /// The HTTP status; none for a job that was accepted and failed.
        status: Option<u16>,
        /// `errors[].reason`: `accessDenied`, `notFound`, `quotaExceeded`, ...
        reason: String,
        /// The service's text.
        message: String,
        /// The `Retry-After` header.
        retry_after: Option<Duration>,
    },
    /// No access token could be had.
    Credentials {
        /// The text of the credentials' own library, without its causes.
        message: String,
        /// Whether the library thinks that it may work later.
        temporary: bool,
    },
    /// The call took too long.
    Timeout,
    /// No connection, or it broke.
    Connection,
    /// An answer that is not JSON of the documented shape.
    Malformed(String),
}

impl From<&CallError> for Failure {
    fn from(error: &CallError) -> Self {
        if error.is_authentication() {
            let credentials = std::error::Error::source(error)
                .and_then(|source| source.downcast_ref::<CredentialsError>());
            return Self::Credentials {
                message: credentials.map(ToString::to_string).unwrap_or_default(),
                temporary: credentials.is_some_and(CredentialsError::is_transient),
            };
        }
        if error.is_timeout() || error.is_exhausted() {
            return Self::Timeout;
        }
        if error.is_deserialization() {
            return Self::Malformed(error.to_string());
        }
        if error.status().is_none() && error.http_status_code().is_none() {
            return Self::Connection;
        }
        let status = error.status();
        let reason = status.and_then(|status| {
            status.details.iter().find_map(|detail| match detail {
                StatusDetails::ErrorInfo(info) => Some(info.reason.clone()),
                _ => None,
            })
        });
        Self::Answer {
            status: error.http_status_code(),
            reason: reason.unwrap_or_default(),
            message: status.map(|status| status.message.clone()).unwrap_or_default(),
            retry_after: error
                .http_headers()
                .and_then(|headers| headers.get("retry-after"))
                .and_then(|value| value.to_str().ok())
                .and_then(|text| text.trim().parse().ok())
                .map(Duration::from_secs),
        }
    }
}

impl From<&QueryError> for Failure {
    fn from(error: &QueryError) -> Self {
        match error {
            QueryError::Rpc { source, .. } => Self::from(source),
            QueryError::JobFailed { errors, .. } => {
                let first = errors.first();
                Self::Answer {
                    status: None,
                    reason: first.map(|error| error.reason.clone()).unwrap_or_default(),
                    message: first.map(|error| error.message.clone()).unwrap_or_default(),
                    retry_after: None,
                }
            }
            other => Self::Malformed(other.to_string()),
        }
    }
}

impl From<&RowError> for Failure {
    fn from(error: &RowError) -> Self {
        match error {
            RowError::Rpc { source, .. } => Self::from(source),
            other => Self::Malformed(other.to_string()),
        }
    }
}

/// Names a failure. `tried` completes "failed to".
pub fn classify(failure: &Failure, settings: &Settings, tried: &str) -> SourceError {
    use SourceErrorKind::{Auth, Malformed, Timeout, Unavailable};
    match failure {
        Failure::Answer { status, reason, message, retry_after } => {
            let (kind, hint) = answer(*status, reason, message, settings);
            let told = match (status, reason.is_empty()) {
                (Some(status), true) => format!("{status}"),
                (Some(status), false) => format!("{status} {reason}"),
                (None, _) => reason.clone(),
            };
            let error = SourceError::new(
                kind,
                format!("failed to {tried}: google answered {told}: `{}`", first_line(message)),
            );
            let error = error.retry_after(*retry_after);
            match hint {
                Some(hint) => error.hint(hint),
                None => error,
            }
        }
        Failure::Credentials { message, temporary } => SourceError::new(
            if *temporary { Unavailable } else { Auth },
            format!(
                "failed to {tried}: no access token from {}: `{}`",
                credentials_of(settings),
                first_line(message)
            ),
        )
        .hint(credentials_hint(settings)),
        Failure::Timeout => {
            SourceError::new(Timeout, format!("failed to {tried}: no answer in time"))
        }
        Failure::Connection => SourceError::new(
            Unavailable,
            format!("failed to {tried}: no connection, or it broke before the whole answer came"),
        )
        .hint("check the network, `HTTPS_PROXY` and `NO_PROXY`"),
        Failure::Malformed(what) => SourceError::new(
            Malformed,
            format!("failed to {tried}: the answer is not what it should be: {}", first_line(what)),
        ),
    }
}

/// The kind of an error answer and what to do about it.
fn answer(
    status: Option<u16>,
    reason: &str,
    message: &str,
    settings: &Settings,
) -> (SourceErrorKind, Option<String>) {
    use SourceErrorKind::{Auth, Config, Forbidden, Malformed, RateLimited, Timeout, Unavailable};
    match reason {
        "bytesBilledLimitExceeded" => return (Config, Some(raise_maximum(settings))),
        "rateLimitExceeded" | "jobRateLimitExceeded" | "userRateLimitExceeded" => {
            return (RateLimited, None);
        }
        "quotaExceeded" => {
            let hint = format!(
                "a BigQuery quota of project `{}` is used up; daily ones begin anew at midnight Pacific time",
                settings.project
            );
            return (RateLimited, Some(hint));
        }
        "authError" | "unauthorized" | "invalidToken" => {
            return (Auth, Some(credentials_hint(settings)));
        }
        "accessDenied" | "forbidden" => return (Forbidden, Some(roles(settings))),
        "notFound" => return (Config, Some(missing(message, settings))),
        "accessNotConfigured" | "SERVICE_DISABLED" => {
            let hint = format!(
                "run `gcloud services enable bigquery.googleapis.com --project={}`",
                settings.project
            );
            return (Config, Some(hint));
        }
        "stopped" | "timeout" => return (Timeout, None),
        "backendError" | "jobBackendError" | "internalError" | "jobInternalError" => {
            return (Unavailable, None);
        }
        _ => {}
    }
    match status {
        Some(401) => (Auth, Some(credentials_hint(settings))),
        Some(403) => (Forbidden, Some(roles(settings))),
        Some(404) => (Config, Some(missing(message, settings))),
        Some(429) => (RateLimited, None),
        Some(408 | 504) => (Timeout, None),
        Some(409 | 500..=599) => (Unavailable, None),
        Some(400) | None if !message.is_empty() => (Config, refused(message, settings)),
        _ => (Malformed, None),
    }
}

/// What to do about a query that BigQuery does not understand.
fn refused(message: &str, settings: &Settings) -> Option<String> {
    let column = ["Unrecognized name: ", "Field name ", "Name "].into_iter().find_map(|lead| {
        let rest = message.split_once(lead)?.1;
        rest.split([' ', ';', ',']).next().filter(|name| !name.is_empty())
    });
    column.map(|column| {
        format!(
            "the table has no column `{column}`: compare `table` and `table_kind` with `bq show --schema {}.{}`",
            settings.dataset_for_bq(),
            settings.table
        )
    })
}

/// What to do where project, dataset or table is not there.
fn missing(message: &str, settings: &Settings) -> String {
    let console = "the export is switched on in the console under Billing > Billing export > BigQuery export, \
                   never by a command; its first rows come within hours";
    if message.contains("in location") {
        return format!(
            "set `location` to what `bq show --format=prettyjson {}` prints; {console}",
            settings.dataset_for_bq()
        );
    }
    if message.contains("Project") {
        return "compare `project` and `dataset` with `gcloud projects list`".to_owned();
    }
    format!(
        "run `bq ls {}` to see what is there, and `gcloud billing accounts list` for the account; {console}",
        settings.dataset_for_bq()
    )
}

/// The least roles, with the commands that give them.
pub fn roles(settings: &Settings) -> String {
    format!(
        "give the identity `roles/bigquery.jobUser` and `roles/serviceusage.serviceUsageConsumer` on project `{project}` \
         and `roles/bigquery.dataViewer` on dataset `{dataset}`: \
         `gcloud projects add-iam-policy-binding {project} --role=roles/bigquery.jobUser --member=...`",
        project = settings.project,
        dataset = settings.dataset_for_bq(),
    )
}

/// What to do about a query that reads too much.
pub fn raise_maximum(settings: &Settings) -> String {
    format!(
        "raise `maximum_bytes_billed`, now {} bytes, or let the agent read a shorter window",
        settings.maximum_bytes_billed
    )
}

fn credentials_of(settings: &Settings) -> String {
    match &settings.credentials.file {
        Some(file) => format!("`{}`", file.display()),
        None => "the application default credentials".to_owned(),
    }
}

/// What to do about credentials that do not serve.
pub fn credentials_hint(settings: &Settings) -> String {
    match &settings.credentials.file {
        Some(file) => format!(
            "check that `{}` is a current credentials file and that this machine's clock is right",
            file.display()
        ),
        None => "run `gcloud auth application-default login`, or set `credentials.file`; \
                 check this machine's clock"
            .to_owned(),
    }
}

/// The first line of a service's text, at most 300 characters.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}

#[cfg(test)]
mod tests;
