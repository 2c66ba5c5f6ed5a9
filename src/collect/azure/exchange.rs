//! One request and its answer: quota, count, token, origin, classification.

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{Client, Method, Url};
use tokio::time::Instant;

use crate::config::secret::Secret;
use crate::domain::identity::SourceId;
use crate::domain::money::{Currency, Money};
use crate::domain::ports::{Meter, MeterError};
use crate::domain::report::{SourceError, SourceErrorKind};

use super::classify;
use super::config::Settings;
use super::credential::Credential;
use super::throttle::Throttle;

/// What a request got.
#[derive(Debug)]
pub(super) enum Answer {
    /// A body.
    Content(Bytes),
    /// 204, or a failure that says that there was no usage.
    Empty,
    /// A 400 that says that the agreement has no amortised costs, with its failure.
    NoAmortizedCost(SourceError),
}

/// What every request of one poll shares.
pub(super) struct Exchange<'a> {
    pub source: &'a SourceId,
    pub settings: &'a Settings,
    pub http: &'a Client,
    pub credential: &'a Credential,
    pub throttle: &'a Throttle,
    pub meter: &'a dyn Meter,
    /// The agent's present instant.
    pub now: Timestamp,
    /// When the poll has to have ended.
    pub deadline: Instant,
}

impl Exchange<'_> {
    /// Counts one request of an operation.
    ///
    /// # Errors
    /// RateLimited under a spent cap, Unavailable where the ledger cannot count.
    pub async fn count(&self, operation: &'static str) -> Result<(), SourceError> {
        count(self.source, operation, self.meter, self.now).await
    }

    /// The URL of a resource below the scope, `/providers/...`.
    pub fn url(&self, path: &str) -> Result<Url, SourceError> {
        self.settings.resource_manager.join(&format!("{}{path}", self.settings.scope)).map_err(
            |error| {
                SourceError::new(
                    SourceErrorKind::Config,
                    format!("failed to make a URL of `{}`: {error}", self.settings.scope),
                )
            },
        )
    }

    /// Sends a Query of so many QPU.
    pub async fn query(&self, url: Url, body: Bytes, qpu: u32) -> Result<Answer, SourceError> {
        self.throttle.acquire(qpu, self.deadline).await.map_err(|wait| {
            SourceError::new(
                SourceErrorKind::RateLimited,
                format!("the quota of Cost Management is spent for {} s", wait.as_secs()),
            )
            .hint("read fewer scopes of this tenant, or less often")
            .retry_after(Some(wait))
        })?;
        self.send("Query", Method::POST, url, Some(body)).await
    }

    /// Reads a page of usage details.
    pub async fn usage_details(&self, url: Url) -> Result<Answer, SourceError> {
        self.send("UsageDetails", Method::GET, url, None).await
    }

    async fn send(
        &self,
        operation: &'static str,
        method: Method,
        url: Url,
        body: Option<Bytes>,
    ) -> Result<Answer, SourceError> {
        let token = self.credential.token().await?;
        self.count(operation).await?;
        let mut request = self
            .http
            .request(method, url)
            .bearer_auth(token.secret.expose())
            .header("ClientType", &self.settings.client_type)
            .header("Accept", "application/json");
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body);
        }
        self.answer(request, &token.secret).await
    }

    async fn answer(
        &self,
        request: reqwest::RequestBuilder,
        token: &Secret,
    ) -> Result<Answer, SourceError> {
        let response = request.send().await.map_err(classify::transport)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        for remaining in self.throttle.told(&headers) {
            self.meter.quota(self.source, "qpu", remaining.window, f64::from(remaining.qpu));
        }
        if status == 204 {
            return Ok(Answer::Empty);
        }
        let body = response.bytes().await;
        if (200..300).contains(&status) {
            return body.map(Answer::Content).map_err(classify::transport);
        }
        let body = without_secret(&String::from_utf8_lossy(&body.unwrap_or_default()), token);
        let body = body.as_bytes();
        if classify::is_empty(body) {
            return Ok(Answer::Empty);
        }
        let error = classify::classify(status, &headers, body, &self.settings.scope);
        if classify::says_no_amortized_cost(status, body) {
            return Ok(Answer::NoAmortizedCost(error));
        }
        Err(error)
    }
}

/// The URL of the page after `from`.
///
/// # Errors
/// Malformed where it is on another host, since no token may leave, or where it is the page that was
/// just read.
pub(super) fn follow(link: &str, from: &Url) -> Result<Url, SourceError> {
    let malformed = |reason: &str| SourceError::new(SourceErrorKind::Malformed, reason.to_owned());
    let url = from.join(link).map_err(|_| malformed("the next page's link is not a URL"))?;
    if url.origin() != from.origin() {
        return Err(malformed(&format!(
            "the next page is on another host, `{}`: nothing is sent there",
            url.host_str().unwrap_or_default()
        )));
    }
    if url == *from {
        return Err(malformed("the next page's link leads to the same page"));
    }
    Ok(url)
}

/// Counts one request of an operation, as [`Exchange::count`].
pub(super) async fn count(
    source: &SourceId,
    operation: &'static str,
    meter: &dyn Meter,
    now: Timestamp,
) -> Result<(), SourceError> {
    let free = Money::zero(Currency::USD);
    meter.reserve(source, operation, free).await.map_err(|error| match &error {
        MeterError::CapReached { resets_at, .. } => {
            let wait = resets_at.duration_since(now);
            SourceError::new(SourceErrorKind::RateLimited, error.to_string())
                .retry_after(wait.try_into().ok())
        }
        MeterError::Ledger(_) => SourceError::new(SourceErrorKind::Unavailable, error.to_string()),
    })
}

/// A text of the other side without the secret that was sent, plain or as a form writes it, and
/// without anything that looks like a JWT. To be called before anything is cut off the text.
pub(super) fn without_secret(text: &str, secret: &Secret) -> String {
    let mut text = text.to_owned();
    let secret = secret.expose();
    if !secret.is_empty() {
        let mut form = Url::parse("http://form/").expect("the URL is a constant");
        form.query_pairs_mut().append_key_only(secret);
        text = text.replace(secret, "[secret]");
        text = text.replace(form.query().unwrap_or(secret), "[secret]");
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, token)) = rest.split_once("eyJ") {
        clean.push_str(before);
        clean.push_str("[token]");
        let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '=');
        rest = token.trim_start_matches(is_token);
    }
    clean + rest
}

/// The failure with what was tried before it.
pub(super) fn during(what: &str, mut error: SourceError) -> SourceError {
    error.message = format!("failed to read {what}: {}", error.message);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_in_every_form_in_which_they_are_sent() {
        let secret = Secret::new("a~b c/d");
        let said = "got a~b c/d, client_secret=a%7Eb+c%2Fd&x and (eyJhbGci.eyJ0aWQ.s-i_g) done";
        assert_eq!(
            without_secret(said, &secret),
            "got [secret], client_secret=[secret]&x and ([token]) done"
        );
        assert_eq!(without_secret("nothing here", &Secret::new("")), "nothing here");
    }
}
