//! The HTTP client of sources that speak plain HTTP: proxy, private CA, limits, no redirects.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Response;

use crate::domain::report::innermost;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
const USER_AGENT: &str = concat!("costband/", env!("CARGO_PKG_VERSION"));

/// A client's builder with the limits that every source shares.
///
/// `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` name the way out, `SSL_CERT_FILE` and `SSL_CERT_DIR`
/// a private CA. A redirect is never followed, since it could carry a token to another host.
/// `timeout` bounds one whole exchange: connect, headers and body.
pub fn builder(timeout: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT.min(timeout))
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
}

/// The body of an answer; none where it is larger than so many bytes.
///
/// # Errors
/// An answer that broke off or came too late.
pub async fn body(response: Response, most: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        if body.len().saturating_add(piece.len()) > most {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body))
}

/// Why an exchange broke or never began, without its address, which may hold a secret.
pub fn cause(error: reqwest::Error) -> String {
    innermost(&error.without_url())
}
