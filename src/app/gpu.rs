//! Reads each GPU telemetry source on its own schedule. A source that fails is forgotten after a
//! while: its GPUs become unknown, never idle.

#[cfg(feature = "kubernetes")]
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval_at};

use crate::app::gpu_now::GpuNow;
#[cfg(feature = "kubernetes")]
use crate::app::gpu_pods::PodsReader;
use crate::app::gpu_time::Heard;
#[cfg(feature = "kubernetes")]
use crate::app::kubernetes::cluster;
#[cfg(feature = "nvml")]
use crate::collect::gpu::nvml::{NvmlTarget, NvmlWatch};
use crate::collect::gpu::promql::{self, Pace, PromqlTarget};
use crate::collect::gpu::{GpuTarget, scrape};
use crate::config::address::Address;
use crate::config::{GpuFrom, GpuSource, PrometheusConfig};
use crate::domain::gpu::{DroppedSamples, GpuReport};
use crate::domain::identity::SourceId;
use crate::domain::ports::Clock;
use crate::domain::report::{SourceError, SourceErrorKind};
#[cfg(feature = "kubernetes")]
use crate::kubernetes::pods;
use crate::telemetry::self_metrics::SelfMetrics;

/// How far back a Prometheus is asked for what was missed.
const LONGEST_HISTORY: SignedDuration = SignedDuration::from_hours(24);
/// The longest time from one source's first reading to the next one's.
const LARGEST_GAP: Duration = Duration::from_millis(10);
/// After so many missed scrapes the last report no longer tells the present.
const FORGOTTEN_AFTER: u32 = 3;

/// What a source needs beside its reader, for as long as that reads.
pub type Beside = BoxFuture<'static, ()>;

/// Reads one telemetry source.
enum Reader {
    Page(GpuTarget),
    #[cfg(feature = "kubernetes")]
    Pods(Box<PodsReader>),
    Prometheus {
        target: Box<PromqlTarget>,
        /// Up to when it was read.
        read_until: Option<Timestamp>,
        pace: Pace,
        /// Whether there is more to read than was handed out at once.
        is_behind: bool,
    },
    #[cfg(feature = "nvml")]
    Nvml {
        watch: Box<NvmlWatch>,
        patience: Duration,
    },
}

impl Reader {
    fn new(
        source: &GpuSource,
        read_until: Option<Timestamp>,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<(Self, Option<Beside>)> {
        let reader = match &source.from {
            GpuFrom::Page(url) => Self::Page(page(source, url.clone())),
            #[cfg(feature = "kubernetes")]
            GpuFrom::Pods(of) => {
                let (cluster, pages) = (cluster(&of.kubernetes), of.pages.clone());
                let (exporters, task) = pods::discover(&cluster, pages, clock.clone());
                let (source, failing) = (source.clone(), BTreeMap::new());
                let reader = PodsReader { source, exporters, failing };
                return Ok((Self::Pods(Box::new(reader)), Some(Box::pin(task))));
            }
            #[cfg(not(feature = "kubernetes"))]
            GpuFrom::Pods(_) => {
                let _ = clock;
                anyhow::bail!("GPU telemetry `{}`: this build has no Kubernetes", source.name)
            }
            GpuFrom::Prometheus(of) => {
                let (target, pace) = (Box::new(promql(source, of)), Pace::default());
                Self::Prometheus { target, read_until, pace, is_behind: false }
            }
            #[cfg(feature = "nvml")]
            GpuFrom::Nvml { library, hostname } => {
                let watch = NvmlWatch::new(NvmlTarget {
                    id: source.name.clone(),
                    library: library.clone(),
                    provider: source.provider,
                    cluster: source.cluster.clone(),
                    hostname: hostname.clone(),
                    capacity_type: source.capacity_type,
                    every: source.every,
                });
                Self::Nvml { watch: Box::new(watch), patience: source.timeout }
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

    /// Whether more of the past waits to be read.
    fn is_behind(&self) -> bool {
        matches!(self, Self::Prometheus { is_behind: true, .. })
    }

    /// The readings since the last time, in order; none where there was nothing to ask for yet.
    async fn read(
        &mut self,
        client: &reqwest::Client,
        now: Timestamp,
    ) -> Result<Option<Vec<GpuReport>>, SourceError> {
        match self {
            Self::Page(target) => Ok(Some(vec![scrape(client, target, now).await?])),
            #[cfg(feature = "kubernetes")]
            Self::Pods(pods) => Ok(Some(vec![pods.read(client, now).await?])),
            Self::Prometheus { target, read_until, pace, is_behind } => {
                *is_behind = false;
                let until = target.readable_until(now);
                let step = SignedDuration::try_from(target.step).unwrap_or_default();
                let from = read_until.unwrap_or(until - step).max(until - LONGEST_HISTORY);
                let reading = promql::read(client, target, pace, from, until).await?;
                for warning in &reading.warnings {
                    tracing::warn!(source = %target.id, warning, "Prometheus warns");
                }
                *read_until = Some(reading.until);
                *is_behind = reading.until < until;
                if !*is_behind {
                    pace.forget_refusals();
                }
                Ok(reading.is_asked.then_some(reading.reports))
            }
            #[cfg(feature = "nvml")]
            Self::Nvml { watch, patience } => Ok(Some(vec![watch.read(now, *patience).await?])),
        }
    }
}

/// A page of a source.
pub fn page(source: &GpuSource, url: Address) -> GpuTarget {
    GpuTarget {
        id: source.name.clone(),
        url,
        provider: source.provider,
        cluster: source.cluster.clone(),
        capacity_type: source.capacity_type,
        every: source.every,
        timeout: source.timeout,
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
        pod_labels: of.pod_labels,
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
    /// The node of all GPUs that are read, whatever the page calls it.
    node: Option<String>,
    /// How long the first reading waits.
    begin_after: Duration,
}

impl Reading {
    /// Of a configured source, and what must run beside it; `read_until` is up to when its time is
    /// counted already.
    ///
    /// # Errors
    /// A source that this build cannot read.
    pub fn new(
        source: &GpuSource,
        read_until: Option<Timestamp>,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<(Self, Option<Beside>)> {
        let (reader, beside) = Reader::new(source, read_until, clock)?;
        Ok((
            Self {
                id: source.name.clone(),
                every: source.every,
                reader,
                node: None,
                begin_after: Duration::ZERO,
            },
            beside,
        ))
    }

    /// As the `place`th of so many sources, which are not all read in the same moment: their pages
    /// would all be in memory together.
    #[must_use]
    pub fn in_turn(self, place: u32, of: u32) -> Self {
        let apart = LARGEST_GAP.min(self.every / of.max(1));
        Self { begin_after: apart * place, ..self }
    }

    /// Of the GPUs of one node, whose name is known: a page may tell its exporter's instead.
    #[must_use]
    pub fn of_node(self, node: Option<String>) -> Self {
        Self { node, ..self }
    }

    fn read_until(&self) -> Option<Heard> {
        let until = self.reader.read_until()?;
        Some(Heard::ReadUntil(self.id.clone(), until))
    }

    /// Reads for ever.
    pub async fn run(
        mut self,
        client: reqwest::Client,
        clock: Arc<dyn Clock>,
        now: watch::Sender<GpuNow>,
        heard: mpsc::Sender<Heard>,
        metrics: SelfMetrics,
    ) {
        metrics.gpu_samples_dropped(&self.id, &DroppedSamples::default());
        let first = Instant::now() + self.begin_after;
        let mut ticks = interval_at(first, self.every.max(Duration::from_secs(1)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut missed = 0_u32;
        let mut last_error: Option<SourceErrorKind> = None;
        loop {
            if !self.reader.is_behind() {
                ticks.tick().await;
            }
            let at = clock.now();
            // On the heap, so that thousands of sources at rest hold no room for reading.
            let reading = Box::pin(self.reader.read(&client, at));
            let said: Vec<Heard> = match reading.await {
                // A step of a Prometheus may be longer than the time between two looks.
                Ok(None) => self.read_until().into_iter().collect(),
                Ok(Some(mut read)) => {
                    if let Some(node) = &self.node {
                        let samples = read.iter_mut().flat_map(|report| &mut report.gpus);
                        samples.for_each(|sample| sample.hostname = Some(node.clone()));
                    }
                    if last_error.take().is_some() {
                        tracing::info!(source = %self.id, "GPU telemetry recovered");
                    }
                    for report in &read {
                        metrics.gpu_samples_dropped(&self.id, &report.dropped_samples);
                    }
                    // A Prometheus that tells of no GPU says no more than one that is silent.
                    missed = if read.is_empty() { missed.saturating_add(1) } else { 0 };
                    now.send_modify(|held| held.read(&self.id, &read, at));
                    read.into_iter().map(Heard::Report).chain(self.read_until()).collect()
                }
                Err(error) => {
                    missed = missed.saturating_add(1);
                    if last_error != Some(error.kind) {
                        tracing::warn!(source = %self.id, %error, "failed to read GPU telemetry");
                    }
                    last_error = Some(error.kind);
                    now.send_modify(|held| held.failed(&self.id, &error, at));
                    vec![Heard::Failed(self.id.clone())]
                }
            };
            if missed == FORGOTTEN_AFTER {
                now.send_modify(|held| held.forget(&self.id));
            }
            for one in said {
                if heard.send(one).await.is_err() {
                    return;
                }
            }
        }
    }
}
