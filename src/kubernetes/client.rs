//! One connection to an API server: whose identity, through which proxy, and what its refusals mean.

use std::time::Duration;

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper_util::client::proxy::matcher::Matcher;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use serde::Deserialize;
use serde_json::json;

use crate::domain::report::{SourceError, SourceErrorKind};
use crate::kubernetes::{Cluster, Resource};

/// No answer but a page of a list is larger, and no page of 250 nodes is.
const LARGEST_ANSWER: usize = 64 << 20;
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// A connection to a cluster's API server.
#[derive(Clone)]
pub struct Connection {
    cluster: String,
    client: kube::Client,
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
    /// Reads the identity and sets up TLS; nothing is asked yet.
    ///
    /// # Errors
    /// [`SourceErrorKind::Config`] with the file or context that is of no use.
    pub async fn new(cluster: &Cluster) -> Result<Self, SourceError> {
        let mut config = configuration(cluster).await?;
        // The watches have a back-off of their own, and say what they wait for.
        config.default_retry = false;
        let client = kube::Client::try_from(config).map_err(|error| {
            failed(cluster, SourceErrorKind::Config, &explained(&error))
                .hint("check the certificates and the proxy of the kubeconfig")
        })?;
        Ok(Self { cluster: cluster.name.clone(), client })
    }

    /// Asks, and takes any answer that is a success.
    pub(super) async fn ask(
        &self,
        resource: &Resource,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Response<Body>, Failure> {
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
        let response = match answer {
            Ok(Ok(response)) => response,
            Ok(Err(error @ kube::Error::Auth(_))) => {
                let error = self.error(SourceErrorKind::Auth, &explained(&error));
                return Err(error.hint("check the user of the kubeconfig").into());
            }
            Ok(Err(error)) => {
                return Err(self.error(SourceErrorKind::Unavailable, &explained(&error)).into());
            }
            Err(_) => return Err(self.late().into()),
        };
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|wait| wait.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let said = self.whole(response).await.unwrap_or_default();
        let said: Status = serde_json::from_slice(&said).unwrap_or_default();
        let said = Status { code: Some(status.as_u16()), ..said };
        Err(match self.refused(resource, &said) {
            Failure::Failed(error) => Failure::Failed(error.retry_after(retry_after)),
            gone @ Failure::Gone => gone,
        })
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
        let reason = match status.message.as_deref().map(str::trim).filter(|text| !text.is_empty())
        {
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
        let mut attributes = json!({"verb": verb, "group": "", "resource": resource.name()});
        if let (Some(namespace), Some(of)) = (resource.namespace(), attributes.as_object_mut()) {
            of.insert("namespace".to_owned(), namespace.into());
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
        Err(match failure {
            Failure::Failed(error) => error,
            Failure::Gone => self.error(SourceErrorKind::Unavailable, "it answers 410 Gone"),
        })
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

async fn configuration(cluster: &Cluster) -> Result<kube::Config, SourceError> {
    let context = cluster.context.clone();
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let in_cluster = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let kubeconfig = match &cluster.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        // The server's address is the cluster's own, which no proxy outside of it reaches.
        None if in_cluster => {
            return kube::Config::incluster().map_err(|error| {
                failed(cluster, SourceErrorKind::Config, &innermost(&error)).hint(
                    "the pod has no service account's token: mount it (chart: `serviceAccount.automountServiceAccountToken`), or name a `kubeconfig`",
                )
            });
        }
        None => Kubeconfig::read(),
    };
    let wrong = |error: &KubeconfigError| {
        let file = cluster.kubeconfig.as_ref().map_or_else(
            || "kubeconfig".to_owned(),
            |path| format!("kubeconfig `{}`", path.display()),
        );
        let reason = format!("the {file} is of no use: {}", unsound(error));
        failed(cluster, SourceErrorKind::Config, &reason)
    };
    let kubeconfig = kubeconfig.map_err(|error| wrong(&error))?;
    let own_proxy = has_proxy(&kubeconfig, cluster.context.as_deref());
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| wrong(&error))?;
    if !own_proxy {
        config.proxy_url = proxy(&config.cluster_url);
    }
    Ok(config)
}

/// Whether the kubeconfig's cluster names a proxy of its own, which goes before the environment's.
fn has_proxy(kubeconfig: &Kubeconfig, context: Option<&str>) -> bool {
    let context = context.or(kubeconfig.current_context.as_deref());
    let chosen = kubeconfig.contexts.iter().find(|one| Some(one.name.as_str()) == context);
    let name = chosen.and_then(|one| Some(one.context.as_ref()?.cluster.as_str()));
    let cluster = kubeconfig.clusters.iter().find(|one| Some(one.name.as_str()) == name);
    let proxy = cluster.and_then(|one| one.cluster.as_ref()?.proxy_url.as_deref());
    proxy.is_some_and(|proxy| !proxy.is_empty())
}

/// The proxy that the environment names for an address, as every other client of the agent has it.
fn proxy(address: &http::Uri) -> Option<http::Uri> {
    let intercept = Matcher::from_env().intercept(address)?;
    let uri = intercept.uri();
    let user = match intercept.raw_auth() {
        Some((user, password)) => format!("{user}:{password}@"),
        None => String::new(),
    };
    let host = uri.authority()?;
    format!("{}://{user}{host}", uri.scheme_str().unwrap_or("http")).parse().ok()
}

fn failed(cluster: &Cluster, kind: SourceErrorKind, reason: &str) -> SourceError {
    told(&cluster.name, kind, reason)
}

fn told(cluster: &str, kind: SourceErrorKind, reason: &str) -> SourceError {
    let message = format!("failed to ask the Kubernetes API of the cluster `{cluster}`: {reason}");
    SourceError::new(kind, message)
}

/// What is wrong with a kubeconfig, without what stands in it.
fn unsound(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(error, _) => error.to_string(),
        KubeconfigError::CurrentContextNotSet => "it has no current context".to_owned(),
        KubeconfigError::LoadContext(name) => format!("it has no context `{name}`"),
        KubeconfigError::LoadClusterOfContext(name) => format!("it has no cluster `{name}`"),
        KubeconfigError::FindPath => "there is none, and this is not a pod".to_owned(),
        KubeconfigError::Parse(_) => "it is not YAML of a kubeconfig".to_owned(),
        KubeconfigError::MissingClusterUrl => "its cluster has no `server`".to_owned(),
        KubeconfigError::ParseClusterUrl(error) => format!("its `server`: {error}"),
        KubeconfigError::ParseProxyUrl(_) => "its `proxy-url` is not an address".to_owned(),
        KubeconfigError::LoadCertificateAuthority(_) | KubeconfigError::ParseCertificates(_) => {
            "its certificate authority cannot be read".to_owned()
        }
        KubeconfigError::LoadClientCertificate(_) => {
            "its client certificate cannot be read".to_owned()
        }
        KubeconfigError::LoadClientKey(_) => "its client key cannot be read".to_owned(),
        _ => "it does not fit together".to_owned(),
    }
}

/// What went wrong, without the output of a command that prints tokens.
fn explained(error: &kube::Error) -> String {
    use kube::client::AuthError;
    match error {
        kube::Error::Auth(AuthError::AuthExecRun { cmd, status, .. }) => {
            format!("the command `{cmd}` that brings its token ended with {status}")
        }
        kube::Error::Auth(AuthError::AuthExecStart(error)) => {
            format!("failed to start the command that brings its token: {error}")
        }
        kube::Error::Auth(AuthError::ReadTokenFile(error, path)) => {
            format!("failed to read its token from `{}`: {error}", path.display())
        }
        kube::Error::Auth(_) => "failed to get a token for it".to_owned(),
        kube::Error::ProxyProtocolUnsupported { .. } => {
            "its proxy is neither http nor https".to_owned()
        }
        other => innermost(other),
    }
}

/// An error's innermost cause; the outer ones repeat what was tried.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
