//! Cost Explorer and the Price List query API (awsJson 1.1) and the Security Token Service (query
//! protocol) on one address.
//!
//! Requests are told apart as AWS does: `x-amz-target` names a Cost Explorer or Price List operation,
//! a form body with `Action` an STS one. Faults strike Cost Explorer only, so that an identity check
//! before a poll takes none of them.

mod answer;
mod auth;
mod error;
mod forecast;
mod price_list;
mod request;
mod select;
mod sts;
mod token;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, DATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use bytes::Bytes;
use jiff::Timestamp;

use self::auth::Identities;
use self::error::AwsError;
use crate::simulate::charge::World;
use crate::simulate::faults::{Fault, Faults};
use crate::simulate::spoil::spoil;

const JSON: &str = "application/x-amz-json-1.1";
const TARGET_PREFIX: &str = "AWSInsightsIndexService.";

/// What may be chosen of the server.
#[derive(Clone)]
pub struct AwsOptions {
    /// The account of a caller whose key was not issued by `AssumeRole`.
    pub account_id: String,
    /// How many groups (or ungrouped time periods) one page holds. A day may be split between two
    /// pages.
    pub page_size: usize,
    /// The only access key id and secret access key that are accepted, besides the ones that the
    /// server issues itself; none accepts every key of the right shape and checks no signature.
    pub credentials: Option<(String, String)>,
    /// The external id without which `AssumeRole` is denied.
    pub external_id: Option<String>,
    /// How many products one page of the price list holds, 100 at most.
    pub price_page_size: usize,
    /// Whether `pricing:GetProducts` is not allowed.
    pub prices_denied: bool,
    /// Whether `ce:*` is not allowed.
    pub costs_denied: bool,
    /// Counts what was asked.
    pub requests: Arc<Requests>,
}

impl Default for AwsOptions {
    fn default() -> Self {
        Self {
            account_id: "111122223333".to_owned(),
            page_size: 400,
            credentials: None,
            external_id: None,
            price_page_size: 100,
            prices_denied: false,
            costs_denied: false,
            requests: Arc::default(),
        }
    }
}

/// How often each operation was asked. Every Cost Explorer request that was let in costs $0.01 at
/// the real service, whatever came of it.
#[derive(Debug, Default)]
pub struct Requests(Mutex<BTreeMap<String, u64>>);

impl Requests {
    /// Requests of an operation: `GetCostAndUsage`, `GetCallerIdentity`.
    pub fn of(&self, operation: &str) -> u64 {
        let counts = self.0.lock().expect("no holder of the lock panics");
        counts.get(operation).copied().unwrap_or(0)
    }

    /// Requests of every paid operation.
    pub fn paid(&self) -> u64 {
        ["GetCostAndUsage", "GetCostForecast", "GetDimensionValues"]
            .into_iter()
            .map(|operation| self.of(operation))
            .sum()
    }

    fn count(&self, operation: &str) {
        let mut counts = self.0.lock().expect("no holder of the lock panics");
        *counts.entry(operation.to_owned()).or_default() += 1;
    }
}

struct Server {
    world: Arc<dyn World>,
    faults: Arc<Faults>,
    options: AwsOptions,
    identities: Identities,
}

/// The server's routes: everything is a POST to `/`.
pub fn router(world: Arc<dyn World>, faults: Arc<Faults>, options: AwsOptions) -> Router {
    let identities = Identities::new(&options);
    let server = Arc::new(Server { world, faults, options, identities });
    Router::new().fallback(handle).with_state(server)
}

async fn handle(
    State(server): State<Arc<Server>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = auth::Request { method: &method, uri: &uri, headers: &headers, body: &body };
    match header(&headers, "x-amz-target") {
        Some(target) if target.starts_with(price_list::TARGET_PREFIX) => {
            price_list(&server, target, &request)
        }
        Some(target) => cost_explorer(&server, target, &request).await,
        None if body.starts_with(b"Action=") || has_action(&body) => sts::answer(&server, &request),
        None => AwsError::new("UnknownOperationException", "").response(),
    }
}

fn price_list(server: &Server, target: &str, request: &auth::Request<'_>) -> Response {
    let operation = target.strip_prefix(price_list::TARGET_PREFIX).unwrap_or_default();
    if let Err(error) = server.identities.check(request, "pricing", Timestamp::now()) {
        return error.response();
    }
    server.options.requests.count(operation);
    if server.options.prices_denied {
        return price_list::denied(&server.identities.account_of(request)).response();
    }
    match price_list::answer(server, operation, request.body) {
        Ok(body) => json(StatusCode::OK, body),
        Err(error) => error.response(),
    }
}

fn has_action(body: &[u8]) -> bool {
    body.windows(8).any(|part| part == b"&Action=")
}

/// What a fault makes of a good answer's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Twist {
    None,
    /// No row at all.
    Empty,
    /// An ungrouped total that is a tenth too high.
    WrongTotal,
}

/// A good answer.
pub(crate) struct Answer {
    /// The JSON text.
    body: String,
    /// Whether this is the first of several pages.
    more_follow: bool,
    /// Whether it is a total without groups.
    is_total: bool,
}

async fn cost_explorer(server: &Server, target: &str, request: &auth::Request<'_>) -> Response {
    let Some(operation) = target.strip_prefix(TARGET_PREFIX) else {
        return AwsError::new("UnknownOperationException", "").response();
    };
    if let Err(error) = server.identities.check(request, "ce", Timestamp::now()) {
        return error.response();
    }
    server.options.requests.count(operation);
    if server.options.costs_denied {
        return denied(server, operation, request).response();
    }
    let body = request.body;
    let answered = perform(server, operation, body, Twist::None);
    let more_follow = answered.as_ref().is_ok_and(|answer| answer.more_follow);
    let is_total = answered.as_ref().is_ok_and(|answer| answer.is_total);
    let Some(fault) = server.faults.take_for(more_follow) else {
        return finish(answered);
    };
    if let Some(refusal) = refusal(server, operation, request, &fault) {
        return refusal;
    }
    match fault {
        Fault::Empty => finish(perform(server, operation, body, Twist::Empty)),
        Fault::WrongTotal if is_total => {
            finish(perform(server, operation, body, Twist::WrongTotal))
        }
        // Only an ungrouped answer can be wrong about its total: the fault waits for one.
        Fault::WrongTotal => {
            server.faults.order(Fault::WrongTotal, 1);
            finish(answered)
        }
        other => spoil(&other, finish(answered)).await,
    }
}

fn perform(
    server: &Server,
    operation: &str,
    body: &[u8],
    twist: Twist,
) -> Result<Answer, AwsError> {
    match operation {
        "GetCostAndUsage" => answer::cost_and_usage(server, body, twist),
        "GetDimensionValues" => answer::dimension_values(server, body, twist),
        "GetCostForecast" => forecast::cost_forecast(server, body),
        _ => Err(AwsError::new("UnknownOperationException", "")),
    }
}

fn finish(answered: Result<Answer, AwsError>) -> Response {
    match answered {
        Ok(answer) => json(StatusCode::OK, answer.body),
        Err(error) => error.response(),
    }
}

fn denied(server: &Server, operation: &str, request: &auth::Request<'_>) -> AwsError {
    let account = server.identities.account_of(request);
    let user = format!("arn:aws:iam::{account}:user/costband");
    AwsError::new(
        "AccessDeniedException",
        format!(
            "User: {user} is not authorized to perform: ce:{operation} on resource: \
             arn:aws:ce:us-east-1:{account}:/{operation} because no identity-based policy \
             allows the ce:{operation} action"
        ),
    )
}

/// The service's own words for a fault that it has words for.
fn refusal(
    server: &Server,
    operation: &str,
    request: &auth::Request<'_>,
    fault: &Fault,
) -> Option<Response> {
    let error = match fault {
        Fault::Unauthorized => AwsError::new(
            "ExpiredTokenException",
            "The security token included in the request is expired",
        ),
        Fault::Forbidden => denied(server, operation, request),
        // Both are throttles of this service; it sends no retry-after header with either.
        Fault::RateLimited { .. } if server.options.requests.of(operation).is_multiple_of(2) => {
            AwsError::modelled(
                "LimitExceededException",
                "You made too many calls in a short period of time. Try again later.",
            )
        }
        Fault::RateLimited { .. } => AwsError::new("ThrottlingException", "Rate exceeded"),
        Fault::ServerError => {
            AwsError::new("InternalFailure", "").with_status(StatusCode::INTERNAL_SERVER_ERROR)
        }
        Fault::SkewedClock => return Some(skewed_clock(server, request)),
        _ => return None,
    };
    Some(error.response())
}

/// The refusal of a client that is behind, dated by the pretended clock.
fn skewed_clock(server: &Server, request: &auth::Request<'_>) -> Response {
    let (pretended, error) = server.identities.refuse_skewed(request, Timestamp::now());
    let mut response = error.response();
    let date = pretended.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers_mut().insert(DATE, date);
    }
    response
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

pub(crate) fn json(status: StatusCode, body: String) -> Response {
    reply(status, JSON, body)
}

pub(crate) fn reply(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
        .headers_mut()
        .insert(REQUEST_ID, HeaderValue::from_static("6f1c2a54-8d0b-4e7a-9c35-2b7d90e1f4a8"));
    response
}
