//! What GPU telemetry tells now, and how its reading goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::config::GpuSource;
use crate::domain::gpu::{GpuReport, GpuSourceFailure, GpuSourceStatus};
use crate::domain::identity::SourceId;
use crate::domain::report::{SourceError, SourceErrorKind};

/// The present, by source.
#[derive(Debug)]
pub struct GpuNow {
    /// The newest report of each source and cluster that was read lately.
    reports: BTreeMap<(SourceId, String), Arc<GpuReport>>,
    /// Every configured source.
    sources: BTreeMap<SourceId, Arc<GpuSourceStatus>>,
}

impl GpuNow {
    /// Before anything was read.
    pub fn new(configured: &[GpuSource]) -> Self {
        let unread = |source: &GpuSource| {
            let status = GpuSourceStatus {
                source: source.name.clone(),
                provider: source.provider,
                cluster: source.cluster.clone(),
                up: None,
                last_success: None,
                failure: None,
            };
            (source.name.clone(), Arc::new(status))
        };
        Self { reports: BTreeMap::new(), sources: configured.iter().map(unread).collect() }
    }

    /// The newest reports.
    pub fn reports(&self) -> impl Iterator<Item = &Arc<GpuReport>> {
        self.reports.values()
    }

    /// How each source's reading goes, by name.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<GpuSourceStatus>> {
        self.sources.values()
    }

    /// Takes what a source told at `now`: of its reports the newest of each cluster stay, or those of
    /// before where there are none.
    pub fn read(&mut self, id: &SourceId, reports: &[GpuReport], now: Timestamp) {
        if let Some(status) = self.sources.get_mut(id) {
            let status = Arc::make_mut(status);
            (status.up, status.last_success, status.failure) = (Some(true), Some(now), None);
        }
        let Some(newest) = reports.last().map(|report| report.observed_at) else { return };
        self.forget(id);
        let newest = reports.iter().filter(|report| report.observed_at == newest);
        self.reports.extend(newest.map(|report| {
            let report = Arc::new(report.clone());
            ((id.clone(), report.cluster.clone()), report)
        }));
    }

    /// Notes that a source could not be read, or had nothing to read.
    pub fn failed(&mut self, id: &SourceId, error: &SourceError, now: Timestamp) {
        let Some(status) = self.sources.get_mut(id) else { return };
        let status = Arc::make_mut(status);
        let since = status.failure.as_ref().map_or(now, |failure| failure.since);
        status.up = (error.kind != SourceErrorKind::NotReady).then_some(false);
        status.failure =
            Some(GpuSourceFailure { kind: error.kind, text: error.to_string(), since });
    }

    /// Takes out what a source told, without a look at thousands of others.
    pub fn forget(&mut self, id: &SourceId) {
        let from = self.reports.range((id.clone(), String::new())..);
        let of = from.map(|(key, _)| key).take_while(|(source, _)| source == id);
        for key in of.cloned().collect::<Vec<_>>() {
            self.reports.remove(&key);
        }
    }
}
