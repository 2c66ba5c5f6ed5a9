//! Orders for faults over HTTP, for people and for tests in other languages.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use serde::Deserialize;

use crate::simulate::faults::{Fault, Faults};

/// An order: which fault, for how many answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    fault: Word,
    /// For `rate_limited`: how long the provider asks to wait.
    #[serde(default = "one")]
    retry_after_seconds: u64,
    /// For `slow`: how long the answer takes.
    #[serde(default = "one")]
    wait_seconds: u64,
    #[serde(default = "once")]
    times: usize,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Unauthorized,
    Forbidden,
    RateLimited,
    ServerError,
    Empty,
    WrongTotal,
    SkewedClock,
    Truncated,
    Slow,
    Malformed,
    ResetMidPage,
}

fn one() -> u64 {
    1
}

fn once() -> usize {
    1
}

/// `POST` and `DELETE` on `/_simulate/faults`.
pub(super) fn router(faults: Arc<Faults>) -> Router {
    Router::new().route("/_simulate/faults", post(order).delete(clear)).with_state(faults)
}

async fn order(State(faults): State<Arc<Faults>>, body: Bytes) -> Response {
    match serde_json::from_slice::<Order>(&body) {
        Ok(order) => {
            faults.order(order.fault(), order.times);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => {
            let message = format!(
                "failed to read the order for a fault: {error}; want \
                 {{\"fault\":\"rate_limited\",\"retry_after_seconds\":2,\"times\":3}}\n"
            );
            (StatusCode::BAD_REQUEST, message).into_response()
        }
    }
}

async fn clear(State(faults): State<Arc<Faults>>) -> StatusCode {
    faults.clear();
    StatusCode::NO_CONTENT
}

impl Order {
    fn fault(&self) -> Fault {
        match self.fault {
            Word::Unauthorized => Fault::Unauthorized,
            Word::Forbidden => Fault::Forbidden,
            Word::RateLimited => {
                Fault::RateLimited { retry_after: Duration::from_secs(self.retry_after_seconds) }
            }
            Word::ServerError => Fault::ServerError,
            Word::Empty => Fault::Empty,
            Word::WrongTotal => Fault::WrongTotal,
            Word::SkewedClock => Fault::SkewedClock,
            Word::Truncated => Fault::Truncated,
            Word::Slow => Fault::Slow(Duration::from_secs(self.wait_seconds)),
            Word::Malformed => Fault::Malformed,
            Word::ResetMidPage => Fault::ResetMidPage,
        }
    }
}
