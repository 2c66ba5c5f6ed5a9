//! What went wrong with a query, named. Nothing that a server says can carry a secret out.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use crate::collect::http::cause;
use crate::config::address::cleaned;
use crate::config::secret::Secret;
use crate::domain::report::{SourceError, SourceErrorKind};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// It would be too large; fewer steps may do.
    TooLarge(SourceError),
    /// Anything else.
    Failed(SourceError),
}

/// Makes named errors of one target's failures.
pub(super) struct Refusal {
    /// The address as it may be shown.
    pub address: String,
    /// What is taken out of every text.
    pub secrets: Vec<Secret>,
}

/// The API's error envelope.
#[derive(Deserialize)]
struct Told {
    #[serde(rename = "errorType", default)]
    kind: String,
    #[serde(default)]
    error: String,
}

/// How long a server asks to wait: whole seconds.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

impl Refusal {
    /// Of an exchange that broke or never began.
    pub(super) fn transport(&self, error: reqwest::Error) -> Refused {
        if error.is_builder() {
            let hint = "check its address and headers";
            return self.failed(SourceErrorKind::Config, "the request cannot be made", Some(hint));
        }
        let kind = if error.is_timeout() {
            SourceErrorKind::Timeout
        } else {
            SourceErrorKind::Unavailable
        };
        let reason = cause(error);
        self.failed(kind, &reason, Some("check that it runs and can be reached from here"))
    }

    /// Of an answer that is not what the API's documentation says.
    pub(super) fn malformed(&self, reason: &str) -> Refused {
        let hint = "check that the address is the base of a Prometheus API, before `/api/v1`";
        self.failed(SourceErrorKind::Malformed, reason, Some(hint))
    }

    /// Of a status that is no success.
    pub(super) fn classify(
        &self,
        status: StatusCode,
        wait: Option<Duration>,
        body: &[u8],
    ) -> Refused {
        use SourceErrorKind as Kind;
        let told: Option<Told> = serde_json::from_slice(body).ok();
        let (kind, text) = told.map(|told| (told.kind, told.error)).unwrap_or_default();
        let reason = match text.as_str() {
            "" => format!("it answers {status}"),
            text => format!("it answers {status}: {text}"),
        };
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        // A deadline is exceeded too, and what is asked may be named like a limit.
        let late = kind == "timeout" || says(&["deadline", "timed out"]);
        let limit = !late && !says(&["parse error"]) && says(&["too many", "exceed", "limit"]);
        let (named, hint) = match status.as_u16() {
            401 => (Kind::Auth, Some("check the token or the password")),
            403 => (Kind::Forbidden, Some("check the tenant and what the identity may query")),
            413 => return self.large(&reason),
            400 | 422 if limit => return self.large(&reason),
            400 => (Kind::Config, Some("check `selector`")),
            404 | 405 => {
                (Kind::Config, Some("check the address: the API's base, before `/api/v1`"))
            }
            300..=399 => (Kind::Config, Some("redirects are not followed; give the last address")),
            429 => (Kind::RateLimited, None),
            408 | 504 => (Kind::Timeout, None),
            503 if late || kind == "canceled" => (Kind::Timeout, None),
            422 if late => (Kind::Timeout, None),
            500.. => (Kind::Unavailable, None),
            _ => (Kind::Malformed, None),
        };
        match self.failed(named, &reason, hint) {
            Refused::Failed(error) => Refused::Failed(error.retry_after(wait)),
            large @ Refused::TooLarge(_) => large,
        }
    }

    /// Of an answer that is too large, for us or for the server.
    pub(super) fn large(&self, reason: &str) -> Refused {
        let hint = "narrow `selector`, or raise the server's limits of a query";
        Refused::TooLarge(self.error(SourceErrorKind::Config, reason, Some(hint)))
    }

    fn failed(&self, kind: SourceErrorKind, reason: &str, hint: Option<&str>) -> Refused {
        Refused::Failed(self.error(kind, reason, hint))
    }

    fn error(&self, kind: SourceErrorKind, reason: &str, hint: Option<&str>) -> SourceError {
        let reason = cleaned(reason, &self.secrets);
        let error = SourceError::new(kind, format!("failed to query `{}`: {reason}", self.address));
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
