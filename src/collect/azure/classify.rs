//! Azure Resource Manager's answers as kinds of failure.
//!
//! Codes and their meanings: "Troubleshoot common Cost Management errors" and the Query
//! operation's reference.

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde::Deserialize;

use crate::domain::report::{SourceError, SourceErrorKind, innermost};

/// The longest piece of an answer that is repeated in a message, in characters.
const LONGEST_QUOTE: usize = 300;

#[derive(Debug, Default, Deserialize)]
struct ErrorBody {
    #[serde(default)]
    error: ErrorDetail,
}

#[derive(Debug, Default, Deserialize)]
struct ErrorDetail {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

fn detail(body: &[u8]) -> ErrorDetail {
    serde_json::from_slice::<ErrorBody>(body).unwrap_or_default().error
}

/// Makes a failure of an answer whose status is not a success. Pure. The message repeats the
/// answer's own code and text, cut; the caller removes secrets from it.
pub(super) fn classify(status: u16, headers: &HeaderMap, body: &[u8], scope: &str) -> SourceError {
    use SourceErrorKind as Kind;
    let detail = detail(body);
    let (code, text) = (detail.code.as_str(), detail.message.to_ascii_lowercase());
    let said = match (code, detail.message.as_str()) {
        ("", "") => String::new(),
        (code, message) => format!(" `{code}`: {}", quote(message)),
    };
    let error = |kind| SourceError::new(kind, format!("azure answered {status}{said}"));
    let wait = retry_after(headers);
    match (status, code) {
        (429, _) | (_, "TooManyRequests" | "ResourceRequestsThrottled") => {
            error(Kind::RateLimited).retry_after(wait)
        }
        (_, "IndirectCostDisabled") => error(Kind::Forbidden)
            .hint("ask the partner to publish prices for the enrolment, which cost data needs"),
        (_, "AccountCostDisabled" | "DepartmentCostDisabled") => error(Kind::Forbidden).hint(
            "ask the enrolment's administrator to turn on `AO view charges` or `DA view charges`",
        ),
        // A role that is missing is told under either status.
        (403, _) | (401, "RBACAccessDenied" | "AuthorizationFailed") => error(Kind::Forbidden)
            .hint(format!("assign the role `Cost Management Reader` on `{scope}`")),
        (401, _) => error(Kind::Auth).hint(auth_hint(code, &text)),
        (424, _) | (_, "FailedDependency") => error(Kind::NotReady).retry_after(wait),
        (400..=499, _) if says_not_ready(&text) => error(Kind::NotReady).retry_after(wait),
        (404, "SubscriptionNotFound") => error(Kind::Config).hint(format!(
            "check that `{scope}` is right; the costs of a new subscription appear after 48 hours"
        )),
        (400 | 404, _) if says_not_served(code, &text) => error(Kind::Config).hint(format!(
            "the agreement of `{scope}` is not served by Query: try `method: usage_details`"
        )),
        (404, _) => error(Kind::Config).hint(format!("check that `{scope}` exists")),
        (408, _) => error(Kind::Timeout).retry_after(wait),
        (300..=399, _) => error(Kind::Malformed)
            .hint("a redirect is not followed: check `endpoints.resource_manager`"),
        (400..=499, _) => error(Kind::Config),
        (500..=599, _) => error(Kind::Unavailable).retry_after(wait),
        _ => error(Kind::Malformed),
    }
}

fn auth_hint(code: &str, text: &str) -> &'static str {
    if text.contains("not yet valid") || text.contains("lifetime validation") {
        "check this machine's clock against the time"
    } else if code.contains("Expired") || text.contains("expired") {
        "the token has expired; a new one is got at the next poll"
    } else if code == "InvalidAuthenticationTokenTenant" {
        "the scope belongs to another tenant: check `credentials.tenant_id`"
    } else {
        "check `credentials`, and for an enterprise agreement that its charges may be viewed"
    }
}

fn says_not_ready(text: &str) -> bool {
    ["not ready", "being built", "still being processed", "data is being prepared"]
        .iter()
        .any(|words| text.contains(words))
}

fn says_not_served(code: &str, text: &str) -> bool {
    matches!(
        code,
        "SubscriptionTypeNotSupported" | "UnsupportedSubscriptionType" | "DisallowedOperation"
    ) || text.contains("cost management data is not supported")
        || text.contains("webdirect/airs offer type")
        || (text.contains("offer") && text.contains("is not supported"))
}

/// Whether a failure says that the scope has had no usage at all, which is an empty answer.
pub(super) fn is_empty(body: &[u8]) -> bool {
    matches!(detail(body).code.as_str(), "SubscriptionHasNoUsages" | "SubscriptionHasNoUsage")
}

/// Whether a failure says that the agreement has no amortised costs: a 400 such as
/// `Invalid definition type 'AmortizedCost'; valid values: 'Usage'`.
pub(super) fn says_no_amortized_cost(status: u16, body: &[u8]) -> bool {
    let text = detail(body).message.to_ascii_lowercase();
    status == 400
        && (text.contains("amortizedcost") || text.contains("amortized cost"))
        && ["invalid definition type", "not supported", "unsupported", "not available"]
            .iter()
            .any(|words| text.contains(words))
}

/// The longest wait that any of the headers asks for: `Retry-After`, and Cost Management's
/// `x-ms-ratelimit-microsoft.costmanagement-{qpu,entity,tenant,client,clienttype}-retry-after`,
/// all in seconds.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers
        .iter()
        .filter(|(name, _)| {
            let name = name.as_str();
            name == "retry-after"
                || (name.starts_with("x-ms-ratelimit-") && name.ends_with("-retry-after"))
        })
        .filter_map(|(_, value)| value.to_str().ok()?.trim().parse().ok())
        .max()
        .map(Duration::from_secs)
}

/// The beginning of an answer's text on one line.
pub(super) fn quote(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None => line.trim_end_matches('.').to_owned(),
    }
}

/// Makes a failure of an exchange that did not end: no connection, no answer in time, a body that
/// breaks off.
pub(super) fn transport(error: reqwest::Error) -> SourceError {
    use SourceErrorKind as Kind;
    let host = error.url().and_then(|url| url.host_str()).unwrap_or("azure").to_owned();
    let error = error.without_url();
    let reason = quote(&innermost(&error));
    if error.is_timeout() {
        return SourceError::new(Kind::Timeout, format!("`{host}` did not answer in time"));
    }
    let reset = source_of::<std::io::Error>(&error).is_some_and(|io| {
        use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        matches!(io.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
    });
    if (error.is_body() || error.is_decode()) && !reset {
        return SourceError::new(
            Kind::Malformed,
            format!("the answer of `{host}` broke off: {reason}"),
        );
    }
    SourceError::new(Kind::Unavailable, format!("failed to reach `{host}`: {reason}"))
        .hint("check the network, `HTTPS_PROXY`, `NO_PROXY` and `SSL_CERT_FILE`")
}

fn source_of<'a, T: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests;
