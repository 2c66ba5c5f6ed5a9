//! Errors on Google's wire, and the faults that have a shape of their own there.
//!
//! Source: BigQuery's error table, <https://cloud.google.com/bigquery/docs/error-messages>, and the
//! error model of Google APIs, <https://google.aip.dev/193>.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::sql::SqlError;
use crate::simulate::faults::Fault;

/// Which of Google's two ways an API tells an error in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// BigQuery: `errors[].reason`.
    BigQuery,
    /// Cloud Billing, Resource Manager: `status` and typed `details`.
    Rpc,
}

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    status: StatusCode,
    reason: &'static str,
    message: String,
    retry_after: Option<Duration>,
    style: Style,
}

impl ApiError {
    /// An error of BigQuery with one of its reasons; the reason decides the HTTP status.
    pub(super) fn bigquery(reason: &'static str, message: impl Into<String>) -> Self {
        let status = match reason {
            "notFound" => StatusCode::NOT_FOUND,
            "accessDenied" | "quotaExceeded" | "rateLimitExceeded" | "responseTooLarge" => {
                StatusCode::FORBIDDEN
            }
            "authError" => StatusCode::UNAUTHORIZED,
            "duplicate" => StatusCode::CONFLICT,
            "backendError" => StatusCode::SERVICE_UNAVAILABLE,
            "internalError" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        Self { status, reason, message: message.into(), retry_after: None, style: Style::BigQuery }
    }

    /// An error of the other APIs.
    pub(super) fn rpc(status: StatusCode, message: impl Into<String>) -> Self {
        let reason = match status {
            StatusCode::NOT_FOUND => "notFound",
            _ => "badRequest",
        };
        Self { status, reason, message: message.into(), retry_after: None, style: Style::Rpc }
    }

    /// A token that is missing or not accepted.
    pub(super) fn unauthorized(style: Style) -> Self {
        Self {
            style,
            ..Self::bigquery(
                "authError",
                "Request had invalid authentication credentials. Expected OAuth 2 access token, \
                 login cookie or other valid authentication credential. See \
                 https://developers.google.com/identity/sign-in/web/devconsole-project.",
            )
        }
    }

    /// The refusal of whoever may not let a project pay for requests.
    pub(super) fn project_denied(style: Style, project: &str) -> Self {
        let message = format!(
            "Caller does not have required permission to use project {project}. Grant the caller \
             the roles/serviceusage.serviceUsageConsumer role, or a custom role with the \
             serviceusage.services.use permission, by visiting \
             https://console.developers.google.com/iam-admin/iam/project?project={project} and \
             then retry. Propagation of the new permission may take a few minutes."
        );
        let status = StatusCode::FORBIDDEN;
        Self { status, reason: "forbidden", message, retry_after: None, style }
    }

    /// The error of a fault that Google has words of its own for; none for the others.
    pub(super) fn of_fault(fault: &Fault, style: Style, project: &str) -> Option<Self> {
        let error = match fault {
            // A token signed by a wrong clock is refused like any other that is not valid.
            Fault::Unauthorized | Fault::SkewedClock => return Some(Self::unauthorized(style)),
            Fault::Forbidden => Self::bigquery(
                "accessDenied",
                match style {
                    Style::BigQuery => format!(
                        "Access Denied: Project {project}: User does not have bigquery.jobs.create \
                         permission in project {project}."
                    ),
                    Style::Rpc => "The caller does not have permission".to_owned(),
                },
            ),
            Fault::RateLimited { retry_after } => Self {
                retry_after: Some(*retry_after),
                status: match style {
                    Style::BigQuery => StatusCode::FORBIDDEN,
                    Style::Rpc => StatusCode::TOO_MANY_REQUESTS,
                },
                ..Self::bigquery(
                    "rateLimitExceeded",
                    "Exceeded rate limits: too many api requests per user per method for this \
                     user_method. For more information, see \
                     https://cloud.google.com/bigquery/docs/troubleshoot-quotas",
                )
            },
            Fault::ServerError => Self {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                ..Self::bigquery(
                    "backendError",
                    "An internal error occurred and the request could not be completed. This is \
                     usually caused by a transient issue. Retrying the job with back-off as \
                     described in the BigQuery SLA should solve the problem.",
                )
            },
            _ => return None,
        };
        Some(Self { style, ..error })
    }

    /// One entry of a job's `errors`.
    pub(super) fn proto(&self) -> Value {
        let mut proto = json!({"reason": self.reason, "message": self.message});
        if self.reason == "invalidQuery" {
            set(&mut proto, "location", "query");
        }
        proto
    }

    fn rpc_status(&self) -> &'static str {
        match self.status.as_u16() {
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            409 => "ALREADY_EXISTS",
            429 => "RESOURCE_EXHAUSTED",
            503 => "UNAVAILABLE",
            _ => "INTERNAL",
        }
    }

    fn body(&self) -> Value {
        let mut error = json!({
            "code": self.status.as_u16(),
            "message": self.message,
            "status": self.rpc_status(),
        });
        let unauthorized = self.status == StatusCode::UNAUTHORIZED;
        if self.style == Style::BigQuery {
            let mut entry =
                json!({"message": self.message, "domain": "global", "reason": self.reason});
            match self.reason {
                "invalidQuery" => {
                    set(&mut entry, "location", "q");
                    set(&mut entry, "locationType", "parameter");
                }
                "authError" => {
                    set(&mut entry, "message", "Invalid Credentials");
                    set(&mut entry, "location", "Authorization");
                    set(&mut entry, "locationType", "header");
                }
                "rateLimitExceeded" | "quotaExceeded" => set(&mut entry, "domain", "usageLimits"),
                _ => {}
            }
            if let Some(error) = error.as_object_mut() {
                error.insert("errors".to_owned(), json!([entry]));
            }
        }
        if (self.style == Style::Rpc || unauthorized)
            && let Some(error) = error.as_object_mut()
        {
            let reason = if unauthorized { "ACCESS_TOKEN_EXPIRED" } else { self.rpc_reason() };
            let info = json!([{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": reason,
                "domain": "googleapis.com",
            }]);
            error.insert("details".to_owned(), info);
        }
        json!({"error": error})
    }

    fn rpc_reason(&self) -> &'static str {
        match self.status.as_u16() {
            403 => "IAM_PERMISSION_DENIED",
            404 => "RESOURCE_NOT_FOUND",
            429 => "RATE_LIMIT_EXCEEDED",
            _ => "INVALID_REQUEST",
        }
    }
}

fn set(object: &mut Value, key: &str, text: &str) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), Value::from(text));
    }
}

impl From<SqlError> for ApiError {
    fn from(error: SqlError) -> Self {
        Self::bigquery(error.reason, error.message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            let value = HeaderValue::from_static(
                "Bearer realm=\"https://accounts.google.com/\", error=\"invalid_token\"",
            );
            headers.insert(WWW_AUTHENTICATE, value);
        }
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        response
    }
}
