//! GPU telemetry in: one exporter's page becomes a [`GpuReport`].
//!
//! What is read here is the fleet as dcgm-exporter tells it: count, model, utilization, memory.

use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;

use crate::domain::gpu::GpuReport;
use crate::domain::identity::{Provider, SourceId};
use crate::domain::price::CapacityType;
use crate::domain::report::{SourceError, SourceErrorKind};

pub mod dcgm;
pub mod exposition;

/// A page larger than this is not a node's telemetry.
const LARGEST_PAGE: usize = 16 << 20;

/// One exporter to scrape.
#[derive(Debug, Clone)]
pub struct GpuTarget {
    /// Its configured name.
    pub id: SourceId,
    /// The page's URL.
    pub url: String,
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
/// A [`SourceError`]: unreachable, not 200, too large, or not the exposition format.
pub async fn scrape(
    client: &reqwest::Client,
    target: &GpuTarget,
    now: Timestamp,
) -> Result<GpuReport, SourceError> {
    let url = &target.url;
    let failed = |error: reqwest::Error| {
        let kind = if error.is_timeout() {
            SourceErrorKind::Timeout
        } else {
            SourceErrorKind::Unavailable
        };
        let reason = error.without_url();
        SourceError::new(kind, format!("failed to scrape `{url}`: {reason}"))
            .hint("check that the exporter runs and can be reached from here")
    };
    let response = client.get(url).timeout(target.timeout).send().await.map_err(failed)?;
    if !response.status().is_success() {
        let message = format!("failed to scrape `{url}`: it answers {}", response.status());
        return Err(SourceError::new(SourceErrorKind::Unavailable, message));
    }
    let mut page = Vec::new();
    let mut body = response.bytes_stream();
    while let Some(piece) = body.next().await {
        page.extend_from_slice(&piece.map_err(failed)?);
        if page.len() > LARGEST_PAGE {
            let message = format!("failed to read `{url}`: the page is larger than 16 MiB");
            return Err(SourceError::new(SourceErrorKind::Malformed, message));
        }
    }
    let malformed = |reason: String| {
        SourceError::new(SourceErrorKind::Malformed, format!("failed to read `{url}`: {reason}"))
    };
    let text = std::str::from_utf8(&page).map_err(|_| malformed("it is not UTF-8".to_owned()))?;
    let (gpus, dropped_samples) = dcgm::gpus(text).map_err(|error| malformed(error.to_string()))?;
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
