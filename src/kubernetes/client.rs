//! One connection to an API server: whose identity, through which proxy, and what its refusals mean.

use std::time::Duration;

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::client::Body;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use crate::domain::report::{SourceError, SourceErrorKind, innermost};
use crate::kubernetes::{Cluster, Resource, kubeconfig};

/// No answer but a page of a list is larger, and no page of 250 nodes is.
const LARGEST_ANSWER: usize = 64 << 20;
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// How long before their end credentials are no longer used.
const RENEW_BEFORE: Duration = Duration::from_secs(60);
/// After how long a failure of any kind makes a new connection worth its while: a certificate or
/// the kubeconfig may have been exchanged.
const OLD_AFTER: Duration = Duration::from_secs(600);

/// So many characters of a server's own words are repeated: pages and messages show them.
const LONGEST_WORDS: usize = 500;

/// A connection to a cluster's API server.
#[derive(Clone)]
pub struct Connection {
    cluster: String,
    client: kube::Client,
    /// Until when its credentials are good, where that is known.
    until: Option<Timestamp>,
    made: Instant,
}

/// Why an answer is of no use.
#[derive(Debug)]
pub(super) enum Failure {
    /// What was asked from is older than the server remembers (`410 Gone`): ask anew.
    Gone,
    /// Everything else.
    Failed(SourceError),
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::Failed(error)
    }
}

/// `meta/v1` Status: what the API server says of a failure.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Status {
    #[serde(default)]
    pub(super) code: Option<u16>,
    #[serde(default)]
    pub(super) message: Option<String>,
}

impl Connection {
    /// Reads the identity, which may run a command, and sets up TLS; the server is not asked yet.
    ///
    /// # Errors
    /// [`SourceErrorKind::Config`] with the file, context or proxy that is of no use, and what a
    /// failure of the command means.
    pub async fn new(cluster: &Cluster) -> Result<Self, SourceError> {
        let (client, until) = kubeconfig::client(cluster).await?;
        Ok(Self { cluster: cluster.name.clone(), client, until, made: Instant::now() })
    }

    /// Whether its credentials are good for a while.
    pub(super) fn is_good(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now + RENEW_BEFORE < until)
    }

    /// Whether a new connection may mend a failure of this one. Making one may run a command.
    pub(super) fn is_to_blame(&self, error: &SourceError) -> bool {
        matches!(error.kind, SourceErrorKind::Auth | SourceErrorKind::Config)
            || self.made.elapsed() >= OLD_AFTER
    }

    /// The namespace of the pod that this runs in, else the one of the kubeconfig's context.
    pub fn namespace(&self) -> &str {
        self.client.default_namespace()
    }

    /// Asks, and takes any answer that is a success.
    pub(super) async fn ask(
        &self,
        resource: &Resource,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Response<Body>, Failure> {
        let response = self.send(method, path, body).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.failure(resource, response).await)
    }

    /// Asks, and takes any answer.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Response<Body>, SourceError> {
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let mut request = Request::new(Body::from(bytes));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|error| {
            self.error(SourceErrorKind::Config, &format!("`{path}` is not an address: {error}"))
        })?;
        if body.is_some() {
            let json = header::HeaderValue::from_static("application/json");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        let answer = tokio::time::timeout(ANSWER_WITHIN, self.client.send(request)).await;
        match answer {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error @ kube::Error::Auth(_))) => {
                let error = self.error(SourceErrorKind::Auth, &explained(&error));
                Err(error.hint("check the user of the kubeconfig"))
            }
            Ok(Err(error)) => Err(self.error(SourceErrorKind::Unavailable, &explained(&error))),
            Err(_) => Err(self.late()),
        }
    }

    /// What an answer means that is no success.
    async fn failure(&self, resource: &Resource, response: Response<Body>) -> Failure {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|wait| wait.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let said = self.whole(response).await.unwrap_or_default();
        let said: Status = serde_json::from_slice(&said).unwrap_or_default();
        let said = Status { code: Some(status.as_u16()), ..said };
        match self.refused(resource, &said) {
            Failure::Failed(error) => Failure::Failed(error.retry_after(retry_after)),
            gone @ Failure::Gone => gone,
        }
    }

    /// What an answer means that is no success, where nothing can be forgotten.
    pub(super) async fn refusal(
        &self,
        resource: &Resource,
        response: Response<Body>,
    ) -> SourceError {
        self.meant(self.failure(resource, response).await)
    }

    fn meant(&self, failure: Failure) -> SourceError {
        match failure {
            Failure::Failed(error) => error,
            Failure::Gone => self.error(SourceErrorKind::Unavailable, "it answers 410 Gone"),
        }
    }

    /// What a refusal means.
    pub(super) fn refused(&self, resource: &Resource, status: &Status) -> Failure {
        let code = status.code.and_then(|code| StatusCode::from_u16(code).ok());
        let code = code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if code == StatusCode::GONE {
            return Failure::Gone;
        }
        let kind = match code.as_u16() {
            401 => SourceErrorKind::Auth,
            403 => SourceErrorKind::Forbidden,
            429 => SourceErrorKind::RateLimited,
            408 | 504 => SourceErrorKind::Timeout,
            500.. => SourceErrorKind::Unavailable,
            _ => SourceErrorKind::Config,
        };
        let name = resource.name();
        let said = status.message.as_deref().map(on_one_line).filter(|text| !text.is_empty());
        let reason = match said {
            Some(message) => format!("it answers {code} for `{name}`: {message}"),
            None => format!("it answers {code} for `{name}`"),
        };
        let error = self.error(kind, &reason);
        Failure::Failed(match kind {
            SourceErrorKind::Forbidden => error.hint(resource.rule()),
            SourceErrorKind::Auth => error.hint(
                "the token or certificate is not accepted: check the kubeconfig's user, or that the pod gets its service account's token (chart: `serviceAccount.automountServiceAccountToken`)",
            ),
            _ => error,
        })
    }

    /// The whole of an answer.
    pub(super) async fn whole(&self, response: Response<Body>) -> Result<Vec<u8>, SourceError> {
        let mut body = response.into_body();
        let mut whole = Vec::new();
        let read = async {
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| self.broken_off(&error))?;
                let Ok(piece) = frame.into_data() else { continue };
                if whole.len() + piece.len() > LARGEST_ANSWER {
                    let reason = format!("an answer is longer than {} MiB", LARGEST_ANSWER >> 20);
                    return Err(self.error(SourceErrorKind::Malformed, &reason));
                }
                whole.extend_from_slice(&piece);
            }
            Ok(())
        };
        tokio::time::timeout(ANSWER_WITHIN, read).await.map_err(|_| self.late())??;
        Ok(whole)
    }

    /// Whether the agent's identity may do something, as the API server judges it itself
    /// (`authorization.k8s.io/v1` SelfSubjectAccessReview, which every identity may create).
    ///
    /// # Errors
    /// [`SourceError`] where the server is not reached, does not know the identity, or does not
    /// answer such questions.
    pub async fn may(&self, resource: &Resource, verb: &str) -> Result<bool, SourceError> {
        let mut attributes =
            json!({"verb": verb, "group": resource.group(), "resource": resource.name()});
        for (key, value) in [("namespace", resource.namespace()), ("name", resource.object(verb))] {
            if let (Some(value), Some(of)) = (value, attributes.as_object_mut()) {
                of.insert(key.to_owned(), value.into());
            }
        }
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let failure = match self.ask(resource, Method::POST, path, Some(&review)).await {
            Ok(answer) => {
                #[derive(Deserialize)]
                struct Judged {
                    status: Judgement,
                }
                #[derive(Deserialize)]
                struct Judgement {
                    allowed: bool,
                }
                let answer = self.whole(answer).await?;
                let judged: Judged =
                    serde_json::from_slice(&answer).map_err(|error| self.malformed(&error))?;
                return Ok(judged.status.allowed);
            }
            Err(failure) => failure,
        };
        Err(self.meant(failure))
    }

    pub(super) fn malformed(&self, error: &serde_json::Error) -> SourceError {
        let reason = format!("an answer is not what its API says: {error}");
        self.error(SourceErrorKind::Malformed, &reason)
    }

    pub(super) fn broken_off(&self, error: &dyn std::error::Error) -> SourceError {
        let reason = format!("an answer broke off: {}", innermost(error));
        self.error(SourceErrorKind::Unavailable, &reason)
    }

    pub(super) fn late(&self) -> SourceError {
        self.error(SourceErrorKind::Timeout, "it does not answer in time")
    }

    pub(super) fn error(&self, kind: SourceErrorKind, reason: &str) -> SourceError {
        told(&self.cluster, kind, reason)
    }
}

/// A server's words on one line, short.
fn on_one_line(text: &str) -> String {
    let short = text.trim().chars().take(LONGEST_WORDS);
    short.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

pub(super) fn failed(cluster: &Cluster, kind: SourceErrorKind, reason: &str) -> SourceError {
    told(&cluster.name, kind, reason)
}

fn told(cluster: &str, kind: SourceErrorKind, reason: &str) -> SourceError {
    let message = format!("failed to ask the Kubernetes API of the cluster `{cluster}`: {reason}");
    SourceError::new(kind, message)
}

/// What went wrong. Nothing that a library tells of an identity or a proxy is repeated but a file.
pub(super) fn explained(error: &kube::Error) -> String {
    use kube::client::AuthError;
    match error {
        kube::Error::Auth(AuthError::ReadTokenFile(error, path)) => {
            format!("failed to read its token from `{}`: {error}", path.display())
        }
        kube::Error::Auth(_) => "failed to get a token for it".to_owned(),
        kube::Error::ProxyProtocolUnsupported { .. }
        | kube::Error::ProxyProtocolDisabled { .. } => {
            "its proxy is neither http nor https".to_owned()
        }
        other => innermost(other),
    }
}
