//! Reads the telemetry pages of all pods of a source as one report. A page that fails leaves its
//! node's GPUs unknown and the others as they are.

use std::collections::{BTreeMap, HashSet};

use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use crate::app::gpu::page;
use crate::collect::gpu::scrape;
use crate::config::GpuSource;
use crate::domain::gpu::{DroppedSamples, GpuReport};
use crate::domain::report::{SourceError, SourceErrorKind};
use crate::kubernetes::pods::Exporters;

/// How many pages are read at once.
const AT_ONCE: usize = 128;

/// The pods of a source.
pub struct PodsReader {
    /// The source.
    pub source: GpuSource,
    /// The pods.
    pub exporters: Exporters,
    /// What is wrong with which pod, as it was told.
    pub failing: BTreeMap<String, SourceErrorKind>,
}

impl PodsReader {
    /// Reads every page. The node of its GPUs is the pod's, whatever the page says. A GPU that two
    /// pages tell of is the first pod's, by name.
    ///
    /// # Errors
    /// [`SourceError`] where there is no pod, or none of them could be read.
    pub async fn read(
        &mut self,
        client: &reqwest::Client,
        now: Timestamp,
    ) -> Result<GpuReport, SourceError> {
        let pods = self.exporters.ready()?;
        let wanted = pods.len();
        let mut pages: BTreeMap<String, GpuReport> = BTreeMap::new();
        let mut failing = BTreeMap::new();
        let mut first_error = None;
        let mut read = stream::iter(pods)
            .map(|(pod, exporter)| {
                let target = page(&self.source, exporter.url.into());
                async move { (pod, exporter.node, scrape(client, &target, now).await) }
            })
            .buffer_unordered(AT_ONCE);
        while let Some((pod, node, page)) = read.next().await {
            match page {
                Ok(mut report) => {
                    for gpu in &mut report.gpus {
                        gpu.hostname = Some(node.clone());
                    }
                    pages.insert(pod, report);
                }
                Err(error) => {
                    if self.failing.get(&pod) != Some(&error.kind) {
                        let source = &self.source.name;
                        tracing::warn!(%source, pod, node, %error, "failed to read the page of a pod");
                    }
                    failing.insert(pod, error.kind);
                    first_error.get_or_insert(error);
                }
            }
        }
        drop(read);
        for pod in self.failing.keys().filter(|pod| pages.contains_key(*pod)) {
            tracing::info!(source = %self.source.name, pod, "the page of a pod is read again");
        }
        self.failing = failing;
        if let (true, Some(error)) = (pages.is_empty(), first_error) {
            let message = format!("none of {wanted} pods could be read; of one: {}", error.message);
            return Err(SourceError { message, ..error });
        }
        let mut known = HashSet::new();
        let mut whole = GpuReport {
            source: self.source.name.clone(),
            provider: self.source.provider,
            cluster: self.source.cluster.clone(),
            capacity_type: self.source.capacity_type,
            gpus: Vec::new(),
            dropped_samples: DroppedSamples::default(),
            observed_at: now,
        };
        for page in pages.into_values() {
            whole.dropped_samples.merge(&page.dropped_samples);
            whole.gpus.extend(page.gpus.into_iter().filter(|gpu| known.insert(gpu.key.clone())));
        }
        Ok(whole)
    }
}
