//! Reads each GPU telemetry source on its own schedule. A source that fails is forgotten after a
//! while: its GPUs become unknown, never idle.

#[cfg(feature = "kubernetes")]
use std::collections::BTreeMap;
use std::sync::Arc;
#[cfg(feature = "nvml")]
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

#[cfg(feature = "kubernetes")]
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, watch};

#[cfg(feature = "kubernetes")]
use crate::app::gpu_pods::PodsReader;
use crate::app::gpu_time::Heard;
#[cfg(feature = "kubernetes")]
use crate::app::kubernetes;
use crate::app::publish::GpuReports;
#[cfg(feature = "nvml")]
use crate::collect::gpu::nvml::{NvmlReader, NvmlTarget};
use crate::collect::gpu::promql::{self, PodLabels, PromqlTarget};
use crate::collect::gpu::{GpuTarget, scrape};
use crate::config::file::PodLabelsWord;
use crate::config::{GpuFrom, GpuSource, PrometheusConfig};
use crate::domain::gpu::GpuReport;
use crate::domain::identity::SourceId;
use crate::domain::ports::Clock;
use crate::domain::report::{SourceError, SourceErrorKind};
#[cfg(feature = "kubernetes")]
use crate::{
    config::{self, PodsConfig},
    kubernetes::pods::{self, Discovery, PodPort},
};

/// How far back a Prometheus is asked for what was missed.
const LONGEST_HISTORY: SignedDuration = SignedDuration::from_hours(24);
/// How much of it at once.
const HISTORY_AT_ONCE: SignedDuration = SignedDuration::from_hours(1);
/// After so many missed scrapes the last report no longer tells the present.
const FORGOTTEN_AFTER: u32 = 3;

/// Reads one telemetry source.
enum Reader {
    Page(GpuTarget),
    #[cfg(feature = "kubernetes")]
    Pods(Box<PodsReader>),
    Prometheus {
        target: Box<PromqlTarget>,
        /// Up to when it was read.
        read_until: Option<Timestamp>,
    },
    #[cfg(feature = "nvml")]
    Nvml(Arc<Mutex<NvmlReader>>),
}

impl Reader {
    /// And the task that it needs beside it, for as long as it reads.
    fn new(
        source: &GpuSource,
        read_until: Option<Timestamp>,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<(Self, Option<BoxFuture<'static, ()>>)> {
        let page = |url: String| GpuTarget {
            id: source.name.clone(),
            url,
            provider: source.provider,
            cluster: source.cluster.clone(),
            capacity_type: source.capacity_type,
            every: source.every,
            timeout: source.timeout,
        };
        let reader = match &source.from {
            GpuFrom::Page(url) => Self::Page(page(url.to_string())),
            #[cfg(feature = "kubernetes")]
            GpuFrom::Pods(of) => {
                let (exporters, task) = pods::discover(discovery(of), clock.clone());
                let target = page(String::new());
                let reader = PodsReader { target, exporters, failing: BTreeMap::new() };
                return Ok((Self::Pods(Box::new(reader)), Some(task.boxed())));
            }
            #[cfg(not(feature = "kubernetes"))]
            GpuFrom::Pods(_) => {
                let _ = clock;
                anyhow::bail!("GPU telemetry `{}`: this build has no Kubernetes", source.name)
            }
            GpuFrom::Prometheus(of) => {
                Self::Prometheus { target: Box::new(promql(source, of)), read_until }
            }
            #[cfg(feature = "nvml")]
            GpuFrom::Nvml { library, hostname } => {
                let reader = NvmlReader::new(NvmlTarget {
                    id: source.name.clone(),
                    library: library.clone(),
                    provider: source.provider,
                    cluster: source.cluster.clone(),
                    hostname: hostname.clone(),
                    capacity_type: source.capacity_type,
                    every: source.every,
                });
                Self::Nvml(Arc::new(Mutex::new(reader)))
            }
            #[cfg(not(feature = "nvml"))]
            GpuFrom::Nvml { .. } => {
                anyhow::bail!("GPU telemetry `{}`: this build has no NVML", source.name)
            }
        };
        Ok((reader, None))
    }

    /// Up to when a source was read whose past can still be read.
    fn read_until(&self) -> Option<Timestamp> {
        match self {
            Self::Prometheus { read_until, .. } => *read_until,
            _ => None,
        }
    }

    /// The readings since the last time, in order.
    async fn read(
        &mut self,
        client: &reqwest::Client,
        now: Timestamp,
    ) -> Result<Vec<GpuReport>, SourceError> {
        match self {
            Self::Page(target) => Ok(vec![scrape(client, target, now).await?]),
            #[cfg(feature = "kubernetes")]
            Self::Pods(pods) => Ok(vec![pods.read(client, now).await?]),
            Self::Prometheus { target, read_until } => {
                let until = target.readable_until(now);
                let step = SignedDuration::try_from(target.step).unwrap_or_default();
                let from = read_until.unwrap_or(until - step).max(until - LONGEST_HISTORY);
                // A long gap is filled piece by piece, so that its reports are not all held.
                let until = until.min(from.saturating_add(HISTORY_AT_ONCE).unwrap_or(until));
                let reading = promql::read(client, target, from, until).await?;
                for warning in &reading.warnings {
                    tracing::warn!(source = %target.id, warning, "Prometheus warns");
                }
                *read_until = Some(until);
                Ok(reading.reports)
            }
            #[cfg(feature = "nvml")]
            Self::Nvml(reader) => {
                let reader = reader.clone();
                let read = tokio::task::spawn_blocking(move || {
                    let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
                    reader.read(now)
                });
                let report = read.await.map_err(|error| {
                    let message = format!("failed to read NVIDIA's driver library: {error}");
                    SourceError::new(SourceErrorKind::Unavailable, message)
                })??;
                Ok(vec![report])
            }
        }
    }
}

#[cfg(feature = "kubernetes")]
fn discovery(of: &PodsConfig) -> Discovery {
    Discovery {
        cluster: kubernetes::cluster(&of.kubernetes),
        namespace: of.namespace.clone(),
        selectors: of.selectors.clone(),
        port: match &of.port {
            config::PodPort::Number(number) => PodPort::Number(*number),
            config::PodPort::Named(name) => PodPort::Named(name.clone()),
        },
        tls: of.tls,
        path: of.path.clone(),
    }
}

fn promql(source: &GpuSource, of: &PrometheusConfig) -> PromqlTarget {
    PromqlTarget {
        id: source.name.clone(),
        url: of.url.clone(),
        bearer: of.bearer.clone(),
        basic: of.basic.clone(),
        headers: of
            .tenant
            .iter()
            .map(|tenant| ("X-Scope-OrgID".to_owned(), tenant.clone()))
            .collect(),
        selector: of.selector.clone(),
        provider: source.provider,
        cluster: source.cluster.clone(),
        cluster_label: of.cluster_label.clone(),
        node_label: of.node_label.clone(),
        pod_labels: match of.pod_labels {
            PodLabelsWord::Detect => PodLabels::Detect,
            PodLabelsWord::Plain => PodLabels::Plain,
            PodLabelsWord::Exported => PodLabels::Exported,
        },
        capacity_type: source.capacity_type,
        every: source.every,
        timeout: source.timeout,
        step: of.step,
        delay: of.delay,
    }
}

/// A telemetry source that is read again and again.
pub struct Reading {
    id: SourceId,
    every: Duration,
    reader: Reader,
    beside: Option<BoxFuture<'static, ()>>,
}

impl Reading {
    /// Of a configured source; `read_until` is up to when its time is counted already.
    ///
    /// # Errors
    /// A source that this build cannot read.
    pub fn new(
        source: &GpuSource,
        read_until: Option<Timestamp>,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let (reader, beside) = Reader::new(source, read_until, clock)?;
        Ok(Self { id: source.name.clone(), every: source.every, reader, beside })
    }

    /// Reads for ever.
    pub async fn run(
        mut self,
        client: reqwest::Client,
        clock: Arc<dyn Clock>,
        reports: watch::Sender<GpuReports>,
        heard: mpsc::Sender<Heard>,
    ) {
        let beside = self.beside.take();
        let reading = self.read_on(client, clock, reports, heard);
        match beside {
            None => reading.await,
            Some(beside) => tokio::select! {
                () = reading => {}
                () = beside => {}
            },
        }
    }

    async fn read_on(
        mut self,
        client: reqwest::Client,
        clock: Arc<dyn Clock>,
        reports: watch::Sender<GpuReports>,
        heard: mpsc::Sender<Heard>,
    ) {
        let mut ticks = tokio::time::interval(self.every.max(Duration::from_secs(1)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut missed = 0_u32;
        let mut last_error: Option<SourceErrorKind> = None;
        loop {
            ticks.tick().await;
            let said = match self.reader.read(&client, clock.now()).await {
                Ok(read) => {
                    if last_error.take().is_some() {
                        tracing::info!(source = %self.id, "GPU telemetry recovered");
                    }
                    // A Prometheus that tells of no GPU says no more than one that is silent.
                    missed = if read.is_empty() { missed.saturating_add(1) } else { 0 };
                    if let Some(newest) = read.last().map(|report| report.observed_at) {
                        reports.send_modify(|held| {
                            held.retain(|(source, _), _| *source != self.id);
                            let newest = read.iter().filter(|one| one.observed_at == newest);
                            held.extend(newest.map(|report| {
                                let report = Arc::new(report.clone());
                                ((self.id.clone(), report.cluster.clone()), report)
                            }));
                        });
                    }
                    let until = self.reader.read_until();
                    let until = until.map(|until| Heard::ReadUntil(self.id.clone(), until));
                    read.into_iter().map(Heard::Report).chain(until).collect()
                }
                Err(error) => {
                    missed = missed.saturating_add(1);
                    if last_error != Some(error.kind) {
                        tracing::warn!(source = %self.id, %error, "failed to read GPU telemetry");
                    }
                    last_error = Some(error.kind);
                    vec![Heard::Failed(self.id.clone())]
                }
            };
            if missed == FORGOTTEN_AFTER {
                reports.send_modify(|held| held.retain(|(source, _), _| *source != self.id));
            }
            for one in said {
                if heard.send(one).await.is_err() {
                    return;
                }
            }
        }
    }
}
