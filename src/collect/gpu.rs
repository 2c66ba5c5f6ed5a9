//! GPU telemetry in: one exporter's page becomes a [`GpuReport`].
//!
//! The page is read while it comes: of its at most 16 MiB a piece, a line and 256 KiB of labels are
//! held, besides the at most 16,384 GPUs and slices that it tells of.

use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, LOCATION,
};
use reqwest::{Response, StatusCode};

use crate::collect::gpu::exposition::{LARGEST_PAGE, NotAPage};
use crate::collect::gpu::page::Page;
use crate::collect::http::cause;
use crate::config::address::{Address, cleaned};
use crate::domain::gpu::GpuReport;
use crate::domain::identity::{Provider, SourceId};
use crate::domain::price::CapacityType;
use crate::domain::report::{SourceError, SourceErrorKind};

pub mod amd;
pub mod dcgm;
pub mod devices;
pub mod exposition;
pub mod figures;
#[cfg(feature = "nvml")]
pub mod nvml;
pub mod page;
pub mod promql;
pub mod series;
pub mod words;

/// What is asked for: the text format, not protobuf. An exporter may answer OpenMetrics all the
/// same.
const TEXT: &str = "text/plain;version=0.0.4;q=1,*/*;q=0.1";

/// One exporter to scrape.
#[derive(Debug, Clone)]
pub struct GpuTarget {
    /// Its configured name.
    pub id: SourceId,
    /// The page's address.
    pub url: Address,
    /// The cloud that its GPUs are in; none on premises.
    pub provider: Option<Provider>,
    /// The cluster's name.
    pub cluster: String,
    /// How they were bought, where it is known.
    pub capacity_type: CapacityType,
    /// How often it is scraped.
    pub every: Duration,
    /// How long a scrape may take.
    pub timeout: Duration,
}

/// Scrapes a page.
///
/// # Errors
/// A [`SourceError`] that names the address as it may be shown: unreachable, late, not 200, a
/// redirect, cut, compressed, larger than 16 MiB, of too many GPUs, or not an exporter's page.
pub async fn scrape(
    client: &reqwest::Client,
    target: &GpuTarget,
    now: Timestamp,
) -> Result<GpuReport, SourceError> {
    let url = &target.url;
    let request = client
        .get(url.expose().clone())
        .timeout(target.timeout)
        .header(ACCEPT, TEXT)
        // A kept connection keeps the largest buffer that it ever needed, one for each node.
        .header(CONNECTION, "close")
        // A node's page is small and near; packing it would cost the node more than the way.
        .header(ACCEPT_ENCODING, "identity");
    let response = request.send().await.map_err(|error| unreachable(url, error))?;
    check(url, &response)?;
    let malformed = |reason: &dyn std::fmt::Display| {
        let message = format!("failed to read `{url}`: {reason}");
        SourceError::new(SourceErrorKind::Malformed, message)
    };
    let mut page = Page::new();
    let mut body = response.bytes_stream();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| broken_off(url, target.timeout, error))?;
        page.feed(&piece).map_err(|error| malformed(&error))?;
    }
    let (gpus, dropped_samples) = page.finish().map_err(|error| malformed(&error))?;
    Ok(GpuReport {
        source: target.id.clone(),
        provider: target.provider,
        cluster: target.cluster.clone(),
        capacity_type: target.capacity_type,
        gpus,
        dropped_samples,
        observed_at: now,
    })
}

/// Looks at what stands before the body.
fn check(url: &Address, response: &Response) -> Result<(), SourceError> {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let status = response.status();
    if status.is_redirection() {
        let to = header(LOCATION).and_then(|to| url.expose().join(to).ok());
        let to = to.map_or("nowhere".to_owned(), |to| {
            cleaned(&Address::from(to).to_string(), &url.secrets())
        });
        let message = format!("failed to scrape `{url}`: it answers {status} and points to `{to}`");
        return Err(SourceError::new(SourceErrorKind::Config, message)
            .hint("redirects are not followed; configure the address of the page itself"));
    }
    if status != StatusCode::OK {
        let kind = match status.as_u16() {
            401 => SourceErrorKind::Auth,
            403 => SourceErrorKind::Forbidden,
            429 => SourceErrorKind::RateLimited,
            404 | 405 | 410 => SourceErrorKind::Config,
            _ => SourceErrorKind::Unavailable,
        };
        let error =
            SourceError::new(kind, format!("failed to scrape `{url}`: it answers {status}"));
        return Err(match kind {
            SourceErrorKind::Config => error.hint("is its path the exporter's `/metrics`?"),
            _ => error,
        });
    }
    let malformed = |reason: String| {
        let message = format!("failed to read `{url}`: {reason}");
        Err(SourceError::new(SourceErrorKind::Malformed, message))
    };
    if header(CONTENT_TYPE).is_some_and(|kind| kind.trim_start().starts_with("text/html")) {
        return malformed(NotAPage::Html.to_string());
    }
    if let Some(packing) = header(CONTENT_ENCODING).filter(|packing| *packing != "identity") {
        let packing = cleaned(packing, &url.secrets());
        return malformed(format!("it comes as `{packing}`, and only `identity` was asked for"));
    }
    if response.content_length().is_some_and(|length| length > LARGEST_PAGE as u64) {
        return malformed(NotAPage::TooLarge.to_string());
    }
    Ok(())
}

fn unreachable(url: &Address, error: reqwest::Error) -> SourceError {
    let (kind, reason) = if error.is_timeout() {
        (SourceErrorKind::Timeout, "it does not answer in time".to_owned())
    } else {
        (SourceErrorKind::Unavailable, cause(error))
    };
    SourceError::new(kind, format!("failed to scrape `{url}`: {reason}"))
        .hint("check that the exporter runs and can be reached from here")
}

fn broken_off(url: &Address, timeout: Duration, error: reqwest::Error) -> SourceError {
    if error.is_timeout() {
        let message = format!("failed to read `{url}`: the page is not whole after {timeout:?}");
        return SourceError::new(SourceErrorKind::Timeout, message);
    }
    let reason = cause(error);
    let message = format!("failed to read `{url}`: it broke off before its end: {reason}");
    SourceError::new(SourceErrorKind::Unavailable, message)
}
