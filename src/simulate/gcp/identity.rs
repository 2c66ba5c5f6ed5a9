//! Where Google's clients get a token and learn who they are: the metadata server and OAuth.
//!
//! Source: <https://cloud.google.com/compute/docs/metadata/overview> and
//! <https://developers.google.com/identity/protocols/oauth2/service-account>.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

use super::export::project_number;
use super::{Server, Shared};

const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
const GOOGLE: HeaderValue = HeaderValue::from_static("Google");
const EMAIL: &str = "costband@simulated.iam.gserviceaccount.com";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// What is given out where no token is asked for.
const ANY_TOKEN: &str = "simulated-access-token";
const ACCOUNT: &str = "/computeMetadata/v1/instance/service-accounts/default";

pub(super) fn routes() -> Router<Arc<Server>> {
    let metadata = Router::new()
        .route("/", get(|| async { "computeMetadata/\n" }))
        .route(&format!("{ACCOUNT}/token"), get(token))
        .route(&format!("{ACCOUNT}/email"), get(|| async { EMAIL }))
        .route(&format!("{ACCOUNT}/scopes"), get(|| async { SCOPE }))
        .route(&format!("{ACCOUNT}/"), get(account))
        .route("/computeMetadata/v1/project/project-id", get(project))
        .route("/computeMetadata/v1/project/numeric-project-id", get(number))
        .route("/computeMetadata/v1/universe/universe-domain", get(|| async { "googleapis.com" }))
        .layer(middleware::from_fn(flavored));
    metadata.route("/token", post(oauth))
}

/// The header without which the metadata server refuses, and which it sends itself.
async fn flavored(request: Request, next: Next) -> Response {
    let is_probe = request.uri().path() == "/";
    let mut response = if is_probe || request.headers().get(FLAVOR) == Some(&GOOGLE) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "Missing Metadata-Flavor:Google header.").into_response()
    };
    response.headers_mut().insert(FLAVOR, GOOGLE);
    response
}

fn access_token(server: &Server) -> Response {
    let token = server.options.bearer_token.as_deref().unwrap_or(ANY_TOKEN);
    Json(json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"})).into_response()
}

async fn token(State(server): Shared) -> Response {
    server.options.requests.note("metadata.token");
    access_token(&server)
}

async fn account() -> Response {
    Json(json!({"aliases": ["default"], "email": EMAIL, "scopes": [SCOPE]})).into_response()
}

async fn project(State(server): Shared) -> String {
    server.options.project.clone()
}

async fn number(State(server): Shared) -> String {
    project_number(&server.options.project)
}

/// The OAuth token endpoint: service account assertions and refresh tokens. Signatures are not
/// checked, the form is.
async fn oauth(State(server): Shared, body: Bytes) -> Response {
    server.options.requests.note("oauth.token");
    let form = String::from_utf8_lossy(&body);
    let has = |key: &str| form.split('&').any(|pair| pair.starts_with(&format!("{key}=")));
    let refused = |error: &str, description: &str| {
        let body = json!({"error": error, "error_description": description});
        (StatusCode::BAD_REQUEST, Json(body)).into_response()
    };
    if !has("grant_type") {
        refused("invalid_request", "Required parameter is missing: grant_type")
    } else if has("assertion") || has("refresh_token") {
        access_token(&server)
    } else {
        refused("unsupported_grant_type", "Invalid grant_type")
    }
}
