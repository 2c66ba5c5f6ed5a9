//! The agent's own metrics, kept by the `prometheus` crate and encoded at each scrape.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use prometheus::core::{Collector, GenericCounterVec, MetricVec, MetricVecBuilder};
use prometheus::proto::LabelPair;
use prometheus::{
    CounterVec, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry,
    TextEncoder,
};

use rust_decimal::prelude::ToPrimitive;

use crate::domain::gpu::DroppedSamples;
use crate::domain::identity::SourceId;
use crate::domain::money::Money;
use crate::domain::ports::PollObserver;
use crate::domain::report::SourceErrorKind;
use crate::telemetry::names::{self, Family};

/// The registry and its metrics.
#[derive(Debug, Clone)]
pub struct SelfMetrics {
    registry: Registry,
    polls: IntCounterVec,
    poll_duration: HistogramVec,
    api_requests: IntCounterVec,
    api_cost: CounterVec,
    quota: GaugeVec,
    gpu_samples_dropped: IntCounterVec,
    nodes_heard: GaugeVec,
    notifications: IntCounterVec,
    ledger_errors: IntCounterVec,
    reload_successful: Gauge,
    reload_success: Gauge,
    leader: Gauge,
}

impl Default for SelfMetrics {
    fn default() -> Self {
        Self::new()
    }
}

fn options(family: &Family) -> Opts {
    Opts::new(family.name, family.help)
}

fn gauge(family: &Family) -> Gauge {
    Gauge::with_opts(options(family)).expect("the table holds valid names")
}

fn counters<P: prometheus::core::Atomic>(family: &Family) -> GenericCounterVec<P> {
    GenericCounterVec::new(options(family), family.labels).expect("the table holds valid names")
}

impl SelfMetrics {
    /// Registers every self metric, and the process's own (`process_*`) on Linux.
    pub fn new() -> Self {
        let registry = Registry::new();
        let register = |collector: Box<dyn Collector>| {
            registry.register(collector).expect("each name stands in the table once");
        };
        let duration = &names::SOURCE_POLL_DURATION;
        let buckets = vec![0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 600.0];
        let metrics = Self {
            polls: counters(&names::SOURCE_POLLS_TOTAL),
            poll_duration: HistogramVec::new(
                HistogramOpts::from(options(duration)).buckets(buckets),
                duration.labels,
            )
            .expect("the table holds valid names"),
            api_requests: counters(&names::SOURCE_API_REQUESTS_TOTAL),
            api_cost: counters(&names::SOURCE_API_COST_TOTAL),
            quota: GaugeVec::new(
                options(&names::SOURCE_QUOTA_REMAINING),
                names::SOURCE_QUOTA_REMAINING.labels,
            )
            .expect("the table holds valid names"),
            gpu_samples_dropped: counters(&names::GPU_SAMPLES_DROPPED_TOTAL),
            nodes_heard: GaugeVec::new(options(&names::NODES_HEARD), names::NODES_HEARD.labels)
                .expect("the table holds valid names"),
            notifications: counters(&names::NOTIFICATIONS_TOTAL),
            ledger_errors: counters(&names::LEDGER_ERRORS_TOTAL),
            reload_successful: gauge(&names::CONFIG_LAST_RELOAD_SUCCESSFUL),
            reload_success: gauge(&names::CONFIG_LAST_RELOAD_SUCCESS),
            leader: gauge(&names::LEADER),
            registry: registry.clone(),
        };
        register(Box::new(metrics.polls.clone()));
        register(Box::new(metrics.poll_duration.clone()));
        register(Box::new(metrics.api_requests.clone()));
        register(Box::new(metrics.api_cost.clone()));
        register(Box::new(metrics.quota.clone()));
        register(Box::new(metrics.gpu_samples_dropped.clone()));
        register(Box::new(metrics.nodes_heard.clone()));
        register(Box::new(metrics.notifications.clone()));
        register(Box::new(metrics.ledger_errors.clone()));
        register(Box::new(metrics.reload_successful.clone()));
        register(Box::new(metrics.reload_success.clone()));
        metrics.leads(true);
        register(Box::new(metrics.leader.clone()));
        let build = GaugeVec::new(options(&names::BUILD_INFO), names::BUILD_INFO.labels)
            .expect("the table holds valid names");
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        register(Box::new(build));
        #[cfg(target_os = "linux")]
        register(Box::new(prometheus::process_collector::ProcessCollector::for_self()));
        metrics
    }

    /// Counts a request that was reserved, and its price.
    pub fn request_reserved(&self, source: &SourceId, operation: &str, price: Money) {
        self.api_requests.with_label_values(&[source.as_str(), operation]).inc();
        if let Some(amount) = price.amount.to_f64().filter(|amount| *amount > 0.0) {
            let labels = [source.as_str(), price.currency.as_str()];
            self.api_cost.with_label_values(&labels).inc_by(amount);
        }
    }

    /// Sets what a quota has left.
    pub fn quota_remaining(&self, source: &SourceId, quota: &str, window: &str, remaining: f64) {
        self.quota.with_label_values(&[source.as_str(), quota, window]).set(remaining);
    }

    /// Counts values of a GPU telemetry source that were not taken. A source that has dropped none
    /// has a series too, so that the first one is an increase.
    pub fn gpu_samples_dropped(&self, source: &SourceId, dropped: &DroppedSamples) {
        for (reason, count) in dropped.by_reason() {
            let labels = [source.as_str(), reason.as_str()];
            self.gpu_samples_dropped.with_label_values(&labels).inc_by(count);
        }
    }

    /// Tells when the Kubernetes API last spoke of a cluster's nodes.
    pub fn nodes_heard(&self, cluster: &str, at: Timestamp) {
        self.nodes_heard.with_label_values(&[cluster]).set(at.as_duration().as_secs_f64());
    }

    /// Counts a notification by outcome: `sent`, `failed` or `dropped`.
    pub fn notified(&self, receiver: &str, outcome: &str) {
        self.notifications.with_label_values(&[receiver, outcome]).inc();
    }

    /// Sets whether this process polls and notifies.
    pub fn leads(&self, leads: bool) {
        self.leader.set(if leads { 1.0 } else { 0.0 });
    }

    /// Counts a ledger operation that failed.
    pub fn ledger_failed(&self, operation: &str) {
        self.ledger_errors.with_label_values(&[operation]).inc();
    }

    /// How many operations the ledger refused so far.
    pub fn ledger_failures(&self) -> u64 {
        let families = prometheus::core::Collector::collect(&self.ledger_errors);
        let counted = families.iter().flat_map(|family| family.get_metric());
        // Whole numbers that are far from what a float can hold.
        counted.map(|metric| metric.get_counter().get_value() as u64).sum()
    }

    /// Notes that the configuration as it was found is what runs.
    pub fn configuration_taken(&self, at: Timestamp) {
        self.reload_successful.set(1.0);
        self.reload_success.set(at.as_duration().as_secs_f64());
    }

    /// Notes that the configuration as it was found does not run.
    pub fn configuration_refused(&self) {
        self.reload_successful.set(0.0);
    }

    /// Drops the series of sources and clusters that are not configured any more: their last values
    /// would stand for ever.
    pub fn keep_only(&self, is_source: impl Fn(&str) -> bool, is_cluster: impl Fn(&str) -> bool) {
        keep(&self.polls, "source", &is_source);
        keep(&self.poll_duration, "source", &is_source);
        keep(&self.api_requests, "source", &is_source);
        keep(&self.api_cost, "source", &is_source);
        keep(&self.quota, "source", &is_source);
        keep(&self.gpu_samples_dropped, "source", &is_source);
        keep(&self.nodes_heard, "cluster", &is_cluster);
    }

    /// The metrics in the Prometheus text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "failed to encode the self metrics");
        }
        text
    }
}

/// Drops the series whose label has a value that is not wanted.
fn keep<B: MetricVecBuilder>(series: &MetricVec<B>, label: &str, wanted: impl Fn(&str) -> bool) {
    for family in series.collect() {
        for metric in family.get_metric() {
            let labels = metric.get_label();
            let is_other = |pair: &LabelPair| pair.name() == label && !wanted(pair.value());
            if labels.iter().any(is_other) {
                let labels: HashMap<_, _> =
                    labels.iter().map(|pair| (pair.name(), pair.value())).collect();
                // Nobody else drops series.
                let _ = series.remove(&labels);
            }
        }
    }
}

impl PollObserver for SelfMetrics {
    fn poll_ended(&self, source: &SourceId, outcome: Result<(), SourceErrorKind>, took: Duration) {
        let outcome = match outcome {
            Ok(()) => "success",
            Err(kind) => kind.as_str(),
        };
        self.polls.with_label_values(&[source.as_str(), outcome]).inc();
        self.poll_duration.with_label_values(&[source.as_str()]).observe(took.as_secs_f64());
    }
}
