//! Refusals in Resource Manager's words: bad requests, tokens, roles, throttles, outages.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::simulate::azure::Azure;
use crate::simulate::azure::throttle::Wait;
use crate::simulate::azure::wire::{Call, fresh_guid, set};
use crate::simulate::faults::Fault;

/// An error answer in Resource Manager's shape.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    headers: Vec<(&'static str, String)>,
}

impl Refusal {
    /// A refusal with a code and a message for people.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), headers: Vec::new() }
    }

    /// 400 `BadRequest`.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// A refused query: *Invalid query definition: what.*
    pub fn bad_query(what: impl std::fmt::Display) -> Self {
        Self::bad_request(format!(
            "Invalid query definition: {what}.\r\n\r\n (Request ID: {})",
            fresh_guid()
        ))
    }

    /// 401 with the challenge that Resource Manager sends.
    pub fn unauthorized(tenant: &str, code: &'static str, message: String) -> Self {
        let mut refusal = Self::new(StatusCode::UNAUTHORIZED, code, message);
        let challenge = format!(
            "Bearer authorization_uri=\"https://login.windows.net/{tenant}\", \
             error=\"invalid_token\", error_description=\"{}\"",
            refusal.message.replace(['"', '\r', '\n'], " "),
        );
        refusal.headers.push(("www-authenticate", challenge));
        refusal
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": self.code, "message": self.message}});
        let mut response = (self.status, Json(body)).into_response();
        for (name, value) in &self.headers {
            set(response.headers_mut(), name, value);
        }
        response
    }
}

/// 404 for a path that this server does not know.
pub fn no_such_path(call: &Call) -> Refusal {
    let message = format!("The resource '/{}' was not found.", call.path.join("/"));
    Refusal::new(StatusCode::NOT_FOUND, "NotFound", message)
}

/// 405 for a path that is asked by another method.
pub fn wrong_method(call: &Call) -> Refusal {
    let message = format!("The requested resource does not support http method '{}'.", call.method);
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
}

const RETRY_HEADERS: [&str; 5] = [
    "x-ms-ratelimit-microsoft.costmanagement-entity-retry-after",
    "x-ms-ratelimit-microsoft.costmanagement-qpu-retry-after",
    "x-ms-ratelimit-microsoft.costmanagement-tenant-retry-after",
    "x-ms-ratelimit-microsoft.costmanagement-clienttype-retry-after",
    "x-ms-ratelimit-microsoft.costmanagement-client-retry-after",
];

fn throttled() -> Refusal {
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, "429", "Too many requests. Please retry.")
}

/// 429 for buckets that have nothing left: each tells its own wait, a full one nothing.
pub fn too_many_requests(wait: &Wait) -> Refusal {
    let [entity, qpu, tenant, client_type, _] = RETRY_HEADERS;
    let waits = [(entity, wait.entity), (qpu, wait.qpu), (tenant, wait.tenant)];
    let mut refusal = throttled().with(client_type, &seconds(wait.client_type.unwrap_or_default()));
    for (name, wait) in waits {
        if let Some(wait) = wait {
            refusal = refusal.with(name, &seconds(wait));
        }
    }
    refusal
}

/// 429 on order: three headers with three waits. Which one carries the longest, the ordered one,
/// turns with each answer.
fn ordered_throttle(retry_after: Duration, family: &str) -> Refusal {
    static TURN: AtomicU64 = AtomicU64::new(0);
    let whole = seconds(retry_after);
    if family == "consumption" {
        return throttled().with("x-ms-ratelimit-microsoft.consumption-retry-after", &whole).with(
            "x-ms-ratelimit-microsoft.consumption-tenant-retry-after",
            &seconds(retry_after / 2),
        );
    }
    let turn = usize::try_from(TURN.fetch_add(1, Ordering::Relaxed) % 5).unwrap_or_default();
    let mut refusal = throttled();
    let parts = [whole, seconds(retry_after / 2), seconds(retry_after / 4)];
    for (name, wait) in RETRY_HEADERS.iter().cycle().skip(turn).zip(parts) {
        refusal = refusal.with(name, &wait);
    }
    refusal
}

fn seconds(wait: Duration) -> String {
    let more = u64::from(wait.subsec_nanos() > 0);
    (wait.as_secs() + more).to_string()
}

/// The refusal that a fault is in Azure's words; none for faults that are not refusals.
pub fn shaped(fault: &Fault, azure: &Azure, family: &str) -> Option<Refusal> {
    let tenant = &azure.options.tenant_id;
    let now = Timestamp::now();
    match fault {
        Fault::Unauthorized => Some(Refusal::unauthorized(
            tenant,
            "ExpiredAuthenticationToken",
            format!(
                "The access token expiry UTC time '{now:.0}' is earlier than current UTC time '{now:.0}'."
            ),
        )),
        Fault::SkewedClock => Some(Refusal::unauthorized(
            tenant,
            "InvalidAuthenticationToken",
            format!(
                "The access token is not yet valid (nbf). IDX10222: Lifetime validation failed. \
                 The token is not yet valid. ValidFrom (UTC): '{:.0}', Current time (UTC): '{now:.0}'.",
                now + SignedDuration::from_mins(30),
            ),
        )),
        Fault::Forbidden => Some(access_denied()),
        Fault::RateLimited { retry_after } => Some(ordered_throttle(*retry_after, family)),
        Fault::ServerError if family == "consumption" => {
            let message = "The service is temporarily unavailable. Please retry.";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let refusal = Refusal::new(status, "ServiceUnavailable", message);
            Some(refusal.with("retry-after", "1"))
        }
        Fault::ServerError => Some(Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServerError",
            format!(
                "Cost Management request failed. Please try again. (Request ID: {})",
                fresh_guid()
            ),
        )),
        _ => None,
    }
}

/// 403 as a role assignment that is missing gives it.
pub fn access_denied() -> Refusal {
    let message = format!(
        "The client does not have authorization to perform action. Request ID: {}",
        fresh_guid()
    );
    Refusal::new(StatusCode::FORBIDDEN, "RBACAccessDenied", message)
}
