//! Tokens for Azure Resource Manager from `azure_identity`, and whose they are.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::{
    AsyncRawResponse, ClientOptions, HttpClient, Request, RetryOptions, Transport,
};
use azure_identity::{
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
    DeveloperToolsCredential, ManagedIdentityCredential, ManagedIdentityCredentialOptions,
    UserAssignedId, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::config::secret::Secret;
use crate::domain::report::{SourceError, SourceErrorKind};

use super::classify::{quote, retry_after};
use super::config::{CredentialMethod, Settings};
use super::exchange::without_secret;

/// How long a machine may take to say that it has no managed identity.
const MANAGED_IDENTITY_PATIENCE: Duration = Duration::from_secs(5);

/// A token for Azure Resource Manager. Its `Debug` holds no secret.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub secret: Secret,
    /// The same, as the library gave it, with its expiry.
    pub access: AccessToken,
}

/// Gets tokens, and keeps the library's credential, which caches them until they expire.
pub(super) struct Credential {
    settings: Settings,
    http: reqwest::Client,
    held: Mutex<Option<Held>>,
}

#[derive(Clone)]
struct Held {
    credential: Arc<dyn TokenCredential>,
    secret: Secret,
}

impl Credential {
    /// A credential that has not asked for anything yet.
    pub fn new(settings: Settings, http: reqwest::Client) -> Self {
        Self { settings, http, held: Mutex::new(None) }
    }

    /// A token that is valid now and of the configured tenant.
    ///
    /// # Errors
    /// Auth where the identity is refused or another than configured, else what hindered it.
    pub async fn token(&self) -> Result<Token, SourceError> {
        let held = self.held()?;
        let access = held
            .credential
            .get_token(&[&self.settings.token_scope], None)
            .await
            .map_err(|error| token_error(&error, &held.secret))?;
        let secret = Secret::new(access.token.secret());
        if let Some(wanted) = &self.settings.tenant_id {
            check_tenant(wanted, &secret)?;
        }
        Ok(Token { secret, access })
    }

    /// Drops what is held, so that the next token is a new one and a rotated secret is read.
    pub fn forget(&self) {
        *self.held.lock().expect("no holder of the lock panics") = None;
    }

    fn held(&self) -> Result<Held, SourceError> {
        let mut held = self.held.lock().expect("no holder of the lock panics");
        if let Some(held) = &*held {
            return Ok(held.clone());
        }
        let made = self.make()?;
        *held = Some(made.clone());
        Ok(made)
    }

    fn make(&self) -> Result<Held, SourceError> {
        use CredentialMethod as Method;
        let has = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let method = match self.settings.credential_method {
            Method::Auto if self.settings.client_secret.is_some() => Method::ClientSecret,
            Method::Auto if has("AZURE_FEDERATED_TOKEN_FILE") => Method::WorkloadIdentity,
            Method::Auto if has("AZURE_CLIENT_SECRET") => Method::ClientSecret,
            method => method,
        };
        let mut secret = Secret::new("");
        let credential = match method {
            Method::ClientSecret => {
                secret = self.client_secret()?;
                self.with_secret(&secret)
            }
            Method::WorkloadIdentity => self.workload_identity(),
            Method::ManagedIdentity => self.managed_identity(),
            Method::DeveloperTools => developer_tools(),
            Method::Auto => self.managed_identity().and_then(|managed| {
                Ok(Arc::new(ManagedOrDeveloper { managed, developer: developer_tools()? }) as _)
            }),
        };
        let credential = credential.map_err(|error| token_error(&error, &secret))?;
        Ok(Held { credential, secret })
    }

    fn client_secret(&self) -> Result<Secret, SourceError> {
        match &self.settings.client_secret {
            Some(secret) => secret.read().map_err(|error| {
                SourceError::new(SourceErrorKind::Auth, error.to_string())
                    .hint("mend `credentials.client_secret`")
            }),
            None => from_environment("AZURE_CLIENT_SECRET").map(Secret::new),
        }
    }

    fn with_secret(&self, secret: &Secret) -> azure_core::Result<Arc<dyn TokenCredential>> {
        let named = |given: &Option<String>, variable| match given {
            Some(value) => Ok(value.clone()),
            None => from_environment(variable).map_err(|error| {
                azure_core::Error::with_message(ErrorKind::Credential, error.to_string())
            }),
        };
        let tenant = named(&self.settings.tenant_id, "AZURE_TENANT_ID")?;
        let client = named(&self.settings.client_id, "AZURE_CLIENT_ID")?;
        let options = ClientSecretCredentialOptions { client_options: self.client_options() };
        let secret = secret.expose().to_owned().into();
        Ok(ClientSecretCredential::new(&tenant, client, secret, Some(options))?)
    }

    fn workload_identity(&self) -> azure_core::Result<Arc<dyn TokenCredential>> {
        let options = WorkloadIdentityCredentialOptions {
            credential_options: ClientAssertionCredentialOptions {
                client_options: self.client_options(),
            },
            client_id: self.settings.client_id.clone(),
            tenant_id: self.settings.tenant_id.clone(),
            token_file_path: None,
        };
        Ok(WorkloadIdentityCredential::new(Some(options))?)
    }

    /// The machine's own endpoint: never through a proxy, and not of the authority.
    fn managed_identity(&self) -> azure_core::Result<Arc<dyn TokenCredential>> {
        let http = crate::collect::http::builder(MANAGED_IDENTITY_PATIENCE)
            .no_proxy()
            .build()
            .map_err(|error| azure_core::Error::new(ErrorKind::Other, error))?;
        let options = ManagedIdentityCredentialOptions {
            user_assigned_id: self.settings.client_id.clone().map(UserAssignedId::ClientId),
            client_options: ClientOptions {
                transport: Some(Transport::new(Arc::new(http))),
                retry: RetryOptions::none(),
                ..ClientOptions::default()
            },
        };
        Ok(ManagedIdentityCredential::new(Some(options))?)
    }

    /// The library takes an authority of https only. One of http, which the configuration allows
    /// on a loopback address, is named to it as https and reached as what it is.
    fn client_options(&self) -> ClientOptions {
        let authority = &self.settings.authority;
        let mut cloud = CustomConfiguration::default();
        let is_plain = authority.scheme() == "http";
        cloud.authority_host = if is_plain {
            authority.as_str().replacen("http://", "https://", 1)
        } else {
            authority.to_string()
        };
        let transport: Arc<dyn HttpClient> = if is_plain {
            Arc::new(PlainLoopback(self.http.clone()))
        } else {
            Arc::new(self.http.clone())
        };
        ClientOptions {
            transport: Some(Transport::new(transport)),
            retry: RetryOptions::none(),
            cloud: Some(Arc::new(CloudConfiguration::from(cloud))),
            ..ClientOptions::default()
        }
    }
}

fn developer_tools() -> azure_core::Result<Arc<dyn TokenCredential>> {
    Ok(DeveloperToolsCredential::new(None)?)
}

fn from_environment(name: &str) -> Result<String, SourceError> {
    std::env::var(name).map_err(|_| {
        SourceError::new(
            SourceErrorKind::Auth,
            format!("failed to read the environment variable `{name}`: it is not set"),
        )
    })
}

/// Sends what is named https to the same host by http.
#[derive(Debug)]
struct PlainLoopback(reqwest::Client);

#[async_trait]
impl HttpClient for PlainLoopback {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let plain = request.url().as_str().replacen("https://", "http://", 1);
        let mut request = request.clone();
        *request.url_mut() = plain.parse()?;
        self.0.execute_request(&request).await
    }
}

/// The machine's identity, else whoever is signed in.
#[derive(Debug)]
struct ManagedOrDeveloper {
    managed: Arc<dyn TokenCredential>,
    developer: Arc<dyn TokenCredential>,
}

#[async_trait]
impl TokenCredential for ManagedOrDeveloper {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let managed = self.managed.get_token(scopes, options.clone());
        if let Ok(Ok(token)) = tokio::time::timeout(MANAGED_IDENTITY_PATIENCE, managed).await {
            return Ok(token);
        }
        self.developer.get_token(scopes, options).await
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("method", &self.settings.credential_method)
            .finish_non_exhaustive()
    }
}

/// Makes a failure of what the library said, without the secret that was sent.
fn token_error(error: &azure_core::Error, secret: &Secret) -> SourceError {
    use SourceErrorKind as Kind;
    let text = without_secret(&error.to_string(), secret);
    let text = text.split("To troubleshoot").next().unwrap_or_default();
    let (kind, wait) = token_error_kind(error);
    SourceError::new(kind, format!("failed to get a token: {}", quote(text)))
        .retry_after(wait)
        .hint(match kind {
            Kind::Auth => auth_hint(text),
            Kind::Malformed => "check `endpoints.authority`: the answer is not a token's",
            _ => "check the way to `endpoints.authority`",
        })
}

fn token_error_kind(error: &azure_core::Error) -> (SourceErrorKind, Option<Duration>) {
    use SourceErrorKind as Kind;
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<azure_core::Error>() {
            match error.kind() {
                ErrorKind::HttpResponse { status, raw_response, .. } => {
                    let wait = raw_response.as_ref().and_then(|raw| {
                        let pairs = raw.headers().iter().filter_map(|(name, value)| {
                            Some((name.as_str().parse().ok()?, value.as_str().parse().ok()?))
                        });
                        retry_after(&pairs.collect())
                    });
                    return match u16::from(*status) {
                        429 => (Kind::RateLimited, wait),
                        500.. => (Kind::Unavailable, wait),
                        _ => (Kind::Auth, None),
                    };
                }
                ErrorKind::DataConversion => return (Kind::Malformed, None),
                _ => {}
            }
        }
        if let Some(error) = error.downcast_ref::<reqwest::Error>() {
            return match (error.is_timeout(), error.is_body() || error.is_decode()) {
                (true, _) => (Kind::Timeout, None),
                (false, true) => (Kind::Malformed, None),
                (false, false) => (Kind::Unavailable, None),
            };
        }
        next = error.source();
    }
    (Kind::Auth, None)
}

/// What to do about an error code of Microsoft Entra ID ("Authentication error codes").
fn auth_hint(text: &str) -> &'static str {
    for (code, hint) in [
        ("AADSTS7000215", "the client secret is wrong: give its value, not its id"),
        ("AADSTS7000222", "the client secret has expired: make a new one"),
        ("AADSTS700016", "the application does not exist in this tenant: check `client_id`"),
        ("AADSTS90002", "the tenant does not exist: check `tenant_id` and `cloud`"),
        ("AADSTS700024", "the federated token is not valid now: check this machine's clock"),
        ("AADSTS70021", "no federated credential matches the service account: add one"),
    ] {
        if text.contains(code) {
            return hint;
        }
    }
    "check `credentials`"
}

#[derive(Default, Deserialize)]
struct Claims {
    tid: Option<String>,
    oid: Option<String>,
    appid: Option<String>,
    upn: Option<String>,
}

/// Whose a token is, as far as it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// For people.
    pub told: String,
    /// Its object's id.
    pub object: Option<String>,
}

impl Identity {
    /// Whose a token is.
    pub fn of(token: &Token) -> Self {
        let claims = claims_of(&token.secret).unwrap_or_default();
        let named = |what: &str, name: &Option<String>| {
            name.as_ref().map(|name| format!("{what} {}", quote(name)))
        };
        let names = [
            named("user", &claims.upn).or_else(|| named("application", &claims.appid)),
            named("object", &claims.oid),
            named("tenant", &claims.tid),
        ];
        let told = names.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let told = if told.is_empty() { "a token that does not tell whose".into() } else { told };
        let is_id = |id: &String| id.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        Self { told, object: claims.oid.filter(is_id) }
    }
}

/// What a token says of itself, where it is a JWT.
fn claims_of(token: &Secret) -> Option<Claims> {
    let payload = token.expose().split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// A tenant configured as a domain is not compared, nor a token that cannot be read.
fn check_tenant(wanted: &str, token: &Secret) -> Result<(), SourceError> {
    match claims_of(token).and_then(|claims| claims.tid) {
        Some(tenant) if !wanted.contains('.') && !tenant.eq_ignore_ascii_case(wanted) => {
            Err(SourceError::new(
                SourceErrorKind::Auth,
                format!("the token is of tenant `{}`, not of `{wanted}`", quote(&tenant)),
            )
            .hint("sign in to the right tenant, or mend `credentials.tenant_id`"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> Secret {
        Secret::new(format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims)))
    }

    #[test]
    fn a_token_of_another_tenant_is_refused() {
        let token = jwt(r#"{"tid":"11111111-0000-0000-0000-000000000000","aud":"x"}"#);
        let error = check_tenant("22222222-0000-0000-0000-000000000000", &token).unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Auth);
        assert!(!error.to_string().contains(token.expose()));
        assert_eq!(check_tenant("11111111-0000-0000-0000-000000000000", &token), Ok(()));
        assert_eq!(check_tenant("contoso.onmicrosoft.com", &token), Ok(()));
    }

    #[test]
    fn an_opaque_token_is_taken() {
        for token in [Secret::new("opaque"), Secret::new("a.b.c"), jwt("{}"), jwt("no json")] {
            assert_eq!(check_tenant("22222222", &token), Ok(()));
        }
    }

    #[test]
    fn a_token_is_never_printed() {
        let access = AccessToken::new("t0k3n", azure_core::time::OffsetDateTime::now_utc());
        let token = Token { secret: Secret::new("t0k3n"), access };
        assert!(!format!("{token:?}").contains("t0k3n"));
    }
}
