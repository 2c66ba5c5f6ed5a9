//! How receivers that speak HTTP are reached, and what their answers mean.

use std::sync::OnceLock;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use reqwest::header::{DATE, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};

use crate::config::secret::{Secret, SecretRef};
use crate::notify::DeliveryError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// More of an answer is not read.
const MOST_OF_AN_ANSWER: usize = 16 * 1024;

/// A client that is built when it is first needed. Proxies and `SSL_CERT_FILE` hold for it.
#[derive(Debug)]
pub struct Client {
    timeout: Duration,
    built: OnceLock<reqwest::Client>,
}

impl Client {
    /// One whose whole exchange takes so long at most.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, built: OnceLock::new() }
    }

    /// Begins a request.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn post(&self, url: &str) -> Result<RequestBuilder, DeliveryError> {
        let client = match self.built.get() {
            Some(client) => client,
            None => {
                let built = reqwest::Client::builder()
                    .user_agent(concat!("costband/", env!("CARGO_PKG_VERSION")))
                    .connect_timeout(CONNECT_TIMEOUT.min(self.timeout))
                    .timeout(self.timeout)
                    // A redirected POST loses its body, and one with a token goes to a host nobody
                    // configured.
                    .redirect(reqwest::redirect::Policy::none())
                    .build();
                let built = built.map_err(|_| {
                    DeliveryError::passing(
                        "failed to set up TLS; install `ca-certificates`, or name a bundle in \
                         `SSL_CERT_FILE`",
                    )
                })?;
                self.built.get_or_init(|| built)
            }
        };
        Ok(client.post(url))
    }
}

/// Sends a request and gives the body of a good answer.
///
/// # Errors
/// A [`DeliveryError`] that repeats nothing of the request.
pub async fn send(request: RequestBuilder) -> Result<Vec<u8>, DeliveryError> {
    send_judged(request, |status, _| is_temporary(status)).await
}

/// The same for a service whose bodies say whether a later attempt may do well.
///
/// # Errors
/// As [`send`].
pub async fn send_judged(
    request: RequestBuilder,
    may_do_well: impl Fn(StatusCode, &[u8]) -> bool,
) -> Result<Vec<u8>, DeliveryError> {
    let response = request.send().await.map_err(unreached)?;
    let status = response.status();
    let told = retry_after(&response);
    if status.is_success() {
        // It was taken, whatever becomes of the rest of the answer.
        return Ok(body(response).await.unwrap_or_default());
    }
    let body = match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_REQUEST => {
            body(response).await.unwrap_or_default()
        }
        _ => Vec::new(),
    };
    // The limit of some services is told in the body alone (Discord).
    let limit = || {
        let told: serde_json::Value = serde_json::from_slice(&body).ok()?;
        Duration::try_from_secs_f64(told.get("retry_after")?.as_f64()?).ok()
    };
    let in_body = if status == StatusCode::TOO_MANY_REQUESTS { limit() } else { None };
    Err(DeliveryError {
        reason: format!("failed to deliver: the receiver answers {status}"),
        is_temporary: may_do_well(status, &body),
        may_have_arrived: false,
        retry_after: told.max(in_body),
    })
}

fn unreached(error: reqwest::Error) -> DeliveryError {
    // Where no connection was made nothing was sent.
    let may_have_arrived = !error.is_connect() && !error.is_builder();
    let error = error.without_url();
    let reason = if error.is_timeout() {
        "failed to deliver: the receiver does not answer in time".to_owned()
    } else {
        let cause = crate::domain::report::innermost(&error);
        format!("failed to deliver: {cause}")
    };
    DeliveryError::passing(reason).perhaps_arrived(may_have_arrived)
}

async fn body(response: Response) -> Result<Vec<u8>, DeliveryError> {
    let mut body = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        body.extend_from_slice(&piece.map_err(unreached)?);
        if body.len() > MOST_OF_AN_ANSWER {
            body.truncate(MOST_OF_AN_ANSWER);
            break;
        }
    }
    Ok(body)
}

fn retry_after(response: &Response) -> Option<Duration> {
    let header = |name| Some(response.headers().get(name)?.to_str().ok()?.trim());
    let value = header(RETRY_AFTER)?;
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    // Held against the server's own clock where it tells it.
    let until = date(value)?;
    let now = header(DATE).and_then(date).unwrap_or_else(Timestamp::now);
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

/// A date of HTTP: `Fri, 20 Nov 2026 09:30:00 GMT`.
fn date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// A receiver that is gone or refuses the message will not take the same bytes later; one that
/// refuses the caller may, once somebody has mended the address or the key.
pub fn is_temporary(status: StatusCode) -> bool {
    !matches!(status.as_u16(), 400 | 410 | 413 | 422)
}

/// A secret, read now, so that a rotated one is picked up.
///
/// # Errors
/// Which one cannot be read.
pub fn secret(from: &SecretRef) -> Result<Secret, DeliveryError> {
    from.read().map_err(|error| DeliveryError::passing(error.to_string()))
}
