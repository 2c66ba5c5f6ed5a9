//! The HTTP client of sources that speak plain HTTP: proxy, private CA, limits, no redirects.

use std::time::Duration;

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
