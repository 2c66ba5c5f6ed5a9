//! Who may see the face, and who may change what it keeps of alerts: whoever bears the token for it.
//! Programs send it as a bearer token, browsers as a password, with any name.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Face, json};
use crate::config::secret::{SecretError, SecretRef};
use crate::domain::lease::Leadership;

/// Whoever bore the token, as the request's extension.
#[derive(Debug, Clone)]
pub(super) struct SignedIn {
    /// What they call themselves where they signed in with a browser.
    pub(super) name: Option<String>,
    /// Whether a browser will be asked for the other token where something is changed.
    pub(super) only_reads: bool,
}

/// Why nothing may be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Barred {
    /// No token is asked for, so that nobody can be told from anybody.
    NoToken,
    /// This replica follows; the address of the one that acts, where it is known.
    Follows(Option<String>),
}

/// Whether this face changes anything for those whom it let in.
pub(super) fn may_change(face: &Face) -> Result<(), Barred> {
    if face.bearer_token.is_none() && face.operator_token.is_none() {
        return Err(Barred::NoToken);
    }
    match (face.leadership)() {
        Leadership::Follower { holder } => {
            Err(Barred::Follows(holder.and_then(|holder| holder.address)))
        }
        Leadership::Alone | Leadership::Holder { .. } => Ok(()),
    }
}

/// Lets in whoever bears the token that a request wants, where it wants one: a change the operator's
/// where there is one, anything else either of them.
pub(super) async fn require_token(
    State(face): State<Face>,
    mut request: Request,
    next: Next,
) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let (bearer, operator) = (face.bearer_token.as_ref(), face.operator_token.as_ref());
    let wanted = if changes { [operator.or(bearer), None] } else { [bearer, bearer.and(operator)] };
    if wanted.iter().all(Option::is_none) {
        return next.run(request).await;
    }
    let sent = Credentials::of(request.headers());
    let lets_in = |wanted: &[Option<&SecretRef>]| sent.is_one_of(wanted.iter().copied().flatten());
    match lets_in(&wanted) {
        Ok(true) => {}
        // A browser is asked for the other password instead.
        Ok(false)
            if changes
                && !(sent.by_itself && is_page(request.uri().path()))
                && matches!(lets_in(&[bearer]), Ok(true)) =>
        {
            let error = "this token reads: a change must bear the one of `web.operator_token`";
            return json(StatusCode::FORBIDDEN, &serde_json::json!({"error": error}));
        }
        Ok(false) => return challenge(request.uri().path()),
        Err(error) => {
            tracing::error!(%error, "failed to read the bearer token");
            return (StatusCode::SERVICE_UNAVAILABLE, "the bearer token cannot be read\n")
                .into_response();
        }
    }
    if sent.by_itself && changes && !is_of_this_site(request.headers()) {
        let error = "a browser sends its password to this address whoever asks it to: a change \
                     must come from the agent's own page; programs send a bearer token";
        return json(StatusCode::FORBIDDEN, &serde_json::json!({"error": error}));
    }
    let operates = operator.is_none() || matches!(lets_in(&[operator]), Ok(true));
    let only_reads = sent.by_itself && !operates;
    request.extensions_mut().insert(SignedIn { name: sent.name, only_reads });
    next.run(request).await
}

/// What a request says of who sends it.
#[derive(Default)]
struct Credentials {
    token: String,
    name: Option<String>,
    /// Whether a browser adds them without being asked.
    by_itself: bool,
}

impl Credentials {
    /// Whether the token is one of those. One that cannot be read lets nobody in, and keeps nobody
    /// out who bears another.
    fn is_one_of<'a>(
        &self,
        wanted: impl Iterator<Item = &'a SecretRef>,
    ) -> Result<bool, SecretError> {
        let mut unread = None;
        for reference in wanted {
            match reference.read() {
                Ok(token) => {
                    let (sent, token) = (self.token.as_bytes(), token.expose().as_bytes());
                    let same = aws_lc_rs::constant_time::verify_slices_are_equal(sent, token);
                    if same.is_ok() {
                        return Ok(true);
                    }
                }
                Err(error) => unread = Some(error),
            }
        }
        unread.map_or(Ok(false), Err)
    }

    /// Those of an Authorization header: `Bearer` (RFC 6750) or `Basic` (RFC 7617) in UTF-8, the
    /// scheme in any case. None count as an empty token, which nobody has.
    fn of(headers: &HeaderMap) -> Self {
        let sent = headers.get(header::AUTHORIZATION);
        let sent = sent.and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
        let Some((scheme, value)) = sent.and_then(|sent| sent.split_once(' ')) else {
            return Self::default();
        };
        if scheme.eq_ignore_ascii_case("bearer") {
            return Self { token: value.to_owned(), ..Self::default() };
        }
        let decoded =
            STANDARD.decode(value.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"));
        let pair = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        match pair.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((name, password)) => Self {
                token: password.to_owned(),
                name: Some(name.trim().to_owned()).filter(|name| !name.is_empty()),
                by_itself: true,
            },
            None => Self::default(),
        }
    }
}

/// Whether a browser says that a request comes from a page of this very address. `Sec-Fetch-Site`
/// comes with every request over TLS or to the own machine; over plain HTTP there is `Origin` alone
/// (Fetch Metadata Request Headers, section 2.3; Fetch, section 3.2).
fn is_of_this_site(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let origin = text("origin").and_then(|origin| origin.split_once("://"));
    match (origin, text("host")) {
        (Some((_, origin)), Some(host)) => origin.eq_ignore_ascii_case(host),
        _ => false,
    }
}

/// Asks for the token. Browsers are asked for a password on pages and on what pages load, which they
/// send to no other place by themselves (RFC 7617, section 2.2); a program that reads figures is told
/// of the one way that it has.
fn challenge(path: &str) -> Response {
    const BASIC: &str = "Basic realm=\"costband\", charset=\"UTF-8\"";
    let mut answer = (StatusCode::UNAUTHORIZED, "want a bearer token\n").into_response();
    let headers = answer.headers_mut();
    headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    if !is_for_programs(path) {
        headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(BASIC));
        let said =
            "want the token: as the password of any name in a browser, or as a bearer token\n";
        *answer.body_mut() = said.into();
    }
    answer
}

/// Whether a path is one that people open.
pub(super) fn is_page(path: &str) -> bool {
    !is_for_programs(path) && !path.starts_with("/assets/")
}

fn is_for_programs(path: &str) -> bool {
    path.starts_with("/api/") || path == "/metrics"
}
