//! Tokens: the directory's token endpoint, the two managed identity endpoints, and the check of the
//! bearer that every Resource Manager request passes.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::json;

use crate::simulate::azure::Azure;
use crate::simulate::azure::refusal::Refusal;
use crate::simulate::azure::wire::{Call, fresh_guid};

/// The type of a client assertion (RFC 7523).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How many tokens are remembered.
const REMEMBERED: usize = 10_000;

/// The tokens that were given, with the end of each.
#[derive(Default)]
pub struct Tokens(Mutex<HashMap<String, Instant>>);

impl Tokens {
    /// Gives a token in the form of a JWT. Its signature is no signature.
    fn give(&self, azure: &Azure, audience: &str) -> String {
        let options = &azure.options;
        let now = Timestamp::now().as_second();
        let head = json!({"typ": "JWT", "alg": "RS256", "kid": "simulated"});
        let claims = json!({
            "aud": audience,
            "iss": format!("https://sts.windows.net/{}/", options.tenant_id),
            "iat": now,
            "nbf": now,
            "exp": now + seconds(options.token_lifetime),
            "appid": options.client_id,
            "oid": options.client_id,
            "tid": options.tenant_id,
            "uti": fresh_guid(),
            "ver": "1.0",
        });
        let parts = [head.to_string(), claims.to_string(), fresh_guid()];
        let token = parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        let mut given = self.0.lock().expect("no holder of the lock panics");
        if given.len() >= REMEMBERED {
            let now = Instant::now();
            given.retain(|_, end| *end > now);
        }
        given.insert(token.clone(), Instant::now() + options.token_lifetime);
        token
    }

    fn end(&self, token: &str) -> Option<Instant> {
        self.0.lock().expect("no holder of the lock panics").get(token).copied()
    }
}

fn seconds(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

/// Checks the bearer of a Resource Manager request.
///
/// # Errors
/// 401: `AuthenticationFailed` without one, `InvalidAuthenticationToken` for one that was never
/// given, `ExpiredAuthenticationToken` past its end.
pub fn check_bearer(azure: &Azure, call: &Call) -> Result<(), Refusal> {
    let tenant = &azure.options.tenant_id;
    let refused = |code, message: String| Err(Refusal::unauthorized(tenant, code, message));
    let Some(header) = call.header("authorization") else {
        let message = "Authentication failed. The 'Authorization' header is missing.";
        return refused("AuthenticationFailed", message.to_owned());
    };
    let bearer = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let end = bearer.and_then(|(_, token)| azure.tokens.end(token.trim()));
    match end {
        None => {
            let message = "The access token is invalid.";
            refused("InvalidAuthenticationToken", message.to_owned())
        }
        Some(end) if end <= Instant::now() => {
            let now = Timestamp::now();
            let message = format!(
                "The access token expiry UTC time '{now:.0}' is earlier than current UTC time \
                 '{now:.0}'."
            );
            refused("ExpiredAuthenticationToken", message)
        }
        Some(_) => Ok(()),
    }
}

/// `POST /{tenant}/oauth2/v2.0/token` of the client credentials flow.
pub fn client_credentials(azure: &Azure, tenant: &str, call: &Call) -> Response {
    let options = &azure.options;
    if !tenant.eq_ignore_ascii_case(&options.tenant_id) {
        let what = format!(
            "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."
        );
        return refused(StatusCode::BAD_REQUEST, "invalid_request", 90002, &what);
    }
    let form = call.form().unwrap_or_default();
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| &**value);
    for name in ["grant_type", "client_id", "scope"] {
        if field(name).is_none_or(str::is_empty) {
            let what = format!("The request body must contain the following parameter: '{name}'.");
            return refused(StatusCode::BAD_REQUEST, "invalid_request", 900_144, &what);
        }
    }
    if field("grant_type") != Some("client_credentials") {
        let what = "The app requested an unsupported grant type.";
        return refused(StatusCode::BAD_REQUEST, "unsupported_grant_type", 70003, what);
    }
    let client = field("client_id").unwrap_or_default();
    if !client.eq_ignore_ascii_case(&options.client_id) {
        let what = format!(
            "Application with identifier '{client}' was not found in the directory '{tenant}'."
        );
        return refused(StatusCode::BAD_REQUEST, "unauthorized_client", 700_016, &what);
    }
    let scope = field("scope").unwrap_or_default();
    let Some(audience) = scope.strip_suffix("/.default") else {
        let what = format!(
            "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."
        );
        return refused(StatusCode::BAD_REQUEST, "invalid_scope", 1_002_012, &what);
    };
    match (field("client_secret"), field("client_assertion")) {
        (Some(secret), _) if secret == options.client_secret => {}
        (Some(_), _) => {
            let what = format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client}'."
            );
            return refused(StatusCode::UNAUTHORIZED, "invalid_client", 7_000_215, &what);
        }
        (None, Some(assertion)) => {
            let expected = options.federated_token.as_deref().unwrap_or(assertion);
            let wrong_type = field("client_assertion_type") != Some(JWT_BEARER);
            if wrong_type || assertion.is_empty() || assertion != expected {
                let what = "No matching federated identity record found for presented assertion. Check your federated identity credential Subject, Audience and Issuer against the presented assertion.";
                return refused(StatusCode::UNAUTHORIZED, "invalid_client", 700_213, what);
            }
        }
        (None, None) => {
            let what = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
            return refused(StatusCode::UNAUTHORIZED, "invalid_client", 7_000_218, what);
        }
    }
    let life = seconds(options.token_lifetime);
    Json(json!({
        "token_type": "Bearer",
        "expires_in": life,
        "ext_expires_in": life,
        "access_token": azure.tokens.give(azure, audience),
    }))
    .into_response()
}

fn refused(status: StatusCode, error: &str, code: u32, what: &str) -> Response {
    let (trace, correlation) = (fresh_guid(), fresh_guid());
    let now = Timestamp::now().strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    let body = json!({
        "error": error,
        "error_description": format!(
            "AADSTS{code}: {what} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}"
        ),
        "error_codes": [code],
        "timestamp": now,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    });
    (status, Json(body)).into_response()
}

/// `GET /metadata/identity/oauth2/token`, the virtual machine's managed identity.
pub fn instance_metadata(azure: &Azure, call: &Call) -> Response {
    if !call.header("metadata").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return no_identity("Required metadata header not specified");
    }
    managed_identity(azure, call)
}

/// `GET /msi/token`, the endpoint that `IDENTITY_ENDPOINT` names in App Service.
pub fn app_service(azure: &Azure, call: &Call) -> Response {
    if call.header("x-identity-header") != Some(&azure.options.identity_header) {
        let body =
            json!({"statusCode": 401, "message": "The identity header is missing or wrong."});
        return (StatusCode::UNAUTHORIZED, Json(body)).into_response();
    }
    managed_identity(azure, call)
}

fn managed_identity(azure: &Azure, call: &Call) -> Response {
    let options = &azure.options;
    if call.parameter("api-version").is_none() {
        return no_identity("api-version query parameter is missing");
    }
    let Some(resource) = call.parameter("resource").filter(|resource| !resource.is_empty()) else {
        return no_identity("resource query parameter is missing");
    };
    if call.parameter("client_id").is_some_and(|id| !id.eq_ignore_ascii_case(&options.client_id)) {
        return no_identity("Identity not found");
    }
    let now = Timestamp::now().as_second();
    let life = seconds(options.token_lifetime);
    Json(json!({
        "access_token": azure.tokens.give(azure, resource),
        "client_id": options.client_id,
        "expires_in": life.to_string(),
        "expires_on": now.saturating_add(life).to_string(),
        "ext_expires_in": life.to_string(),
        "not_before": now.to_string(),
        "resource": resource,
        "token_type": "Bearer",
    }))
    .into_response()
}

fn no_identity(what: &str) -> Response {
    let body = json!({"error": "invalid_request", "error_description": what});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

/// `GET /{tenant}/v2.0/.well-known/openid-configuration`.
pub fn openid_configuration(azure: &Azure, call: &Call) -> Response {
    let here = format!("{}/{}", call.origin(), azure.options.tenant_id);
    Json(json!({
        "issuer": format!("{here}/v2.0"),
        "authorization_endpoint": format!("{here}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{here}/oauth2/v2.0/token"),
        "device_authorization_endpoint": format!("{here}/oauth2/v2.0/devicecode"),
        "jwks_uri": format!("{here}/discovery/v2.0/keys"),
        "token_endpoint_auth_methods_supported":
            ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "msgraph_host": "graph.microsoft.com",
        "cloud_instance_name": "microsoftonline.com",
    }))
    .into_response()
}

/// `GET /common/discovery/instance`, by which Microsoft's libraries check an authority.
pub fn instance_discovery(azure: &Azure, call: &Call) -> Response {
    let host = call.header("host").unwrap_or("login.microsoftonline.com");
    let tenant = &azure.options.tenant_id;
    let document = format!("{}/{tenant}/v2.0/.well-known/openid-configuration", call.origin());
    Json(json!({
        "tenant_discovery_endpoint": document,
        "api-version": "1.1",
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    }))
    .into_response()
}
