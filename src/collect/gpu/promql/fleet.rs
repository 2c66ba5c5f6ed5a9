//! Series become GPUs at steps, by the same rules as a page's: series come one after another and
//! reports are told by time, so that each step and cluster gathers what one page would say.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::collect::gpu::devices::Devices;
use crate::collect::gpu::exposition::Value;
use crate::collect::gpu::words::{self, Labels, Metric};
use crate::domain::gpu::{DroppedSamples, GpuSample};
use crate::domain::pods::PodLabels;

/// So many readings of a GPU are held of an answer of several steps, at about 1.5 kB each. A single
/// step cannot be asked for in parts: it is held whole.
pub const MOST_READINGS: usize = 50_000;

/// What the configuration says of labels.
#[derive(Debug, Clone, Default)]
pub struct Naming {
    /// The cluster's name, where no label tells it.
    pub cluster: String,
    /// The label that tells a series' cluster.
    pub cluster_label: Option<String>,
    /// The label that tells a series' node.
    pub node_label: Option<String>,
    /// Which labels name the pod that holds a GPU.
    pub pod_labels: PodLabels,
}

/// What a step says of a cluster's GPUs.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// The cluster.
    pub cluster: String,
    /// The GPUs, each device once.
    pub gpus: Vec<GpuSample>,
    /// Values that were not a measurement.
    pub dropped: DroppedSamples,
}

/// The GPUs of one answer.
#[derive(Debug)]
pub struct Fleet {
    naming: Naming,
    range: (i64, i64),
    series: usize,
    readings: usize,
    too_many: bool,
    clusters: Vec<String>,
    /// By time, then by the cluster's place.
    steps: BTreeMap<(i64, usize), Devices>,
}

impl Fleet {
    /// A fleet that has not been told of, and the milliseconds that may be.
    pub fn new(naming: Naming, range: (i64, i64)) -> Self {
        Self {
            naming,
            range,
            series: 0,
            readings: 0,
            too_many: false,
            clusters: Vec::new(),
            steps: BTreeMap::new(),
        }
    }

    /// How many series there were.
    pub fn series(&self) -> usize {
        self.series
    }

    /// How many readings of a GPU there were: GPUs times steps.
    pub fn readings(&self) -> usize {
        self.readings
    }

    /// Whether an answer was refused since it tells of more than [`MOST_READINGS`].
    pub fn is_too_large(&self) -> bool {
        self.too_many
    }

    /// Takes a series in: its labels, its name among them, and its points in seconds since 1970.
    /// One of another name, or that names no device, is passed over.
    ///
    /// # Errors
    /// A point of a time that was not asked for, or more readings than are held.
    pub fn add(
        &mut self,
        labels: &[(Cow<'_, str>, Cow<'_, str>)],
        points: impl Iterator<Item = (f64, f64)>,
    ) -> Result<(), &'static str> {
        self.series += 1;
        let find = |name: &str| {
            let mut found =
                labels.iter().filter(|(label, value)| *label == name && !value.is_empty());
            found.next().map(|(_, value)| value.as_ref())
        };
        let metric = find("__name__").map_or(Metric::Foreign, words::metric);
        let Metric::Read(exporter, figure) = metric else { return Ok(()) };
        let mut read = Labels::new(exporter);
        for (name, value) in labels {
            read.take(name, Value::plain(value));
        }
        let mut series = read.finish();
        series.pod_labels = self.naming.pod_labels;
        series.named_node = self.naming.node_label.as_deref().and_then(find).map(Cow::Borrowed);
        if series.uuid.is_none() {
            return Ok(());
        }
        let told = self.naming.cluster_label.as_deref().and_then(find);
        let cluster = told.unwrap_or(&self.naming.cluster);
        let cluster = match self.clusters.iter().position(|known| known == cluster) {
            Some(known) => known,
            None => {
                self.clusters.push(cluster.to_owned());
                self.clusters.len() - 1
            }
        };
        for (seconds, value) in points {
            let at = milliseconds(seconds).ok_or("a point has no time")?;
            if at < self.range.0 || at > self.range.1 {
                return Err("a point lies outside of the time that was asked for");
            }
            let devices = self.steps.entry((at, cluster)).or_default();
            let before = devices.len();
            let subject = devices.subject(&series);
            self.readings += devices.len() - before;
            if self.readings > MOST_READINGS && self.range.0 < self.range.1 {
                self.too_many = true;
                return Err("it tells of more GPUs and steps than are read at once");
            }
            devices.add(subject, figure, value);
        }
        Ok(())
    }

    /// The steps, by time and then by cluster.
    pub fn steps(self) -> Vec<Step> {
        // Whether a Prometheus writes the exporter's own pod into `pod` is a matter of how it
        // scrapes, and not of who holds a GPU at a step.
        let mut exported = vec![false; self.clusters.len()];
        for ((_, cluster), devices) in &self.steps {
            if let Some(exported) = exported.get_mut(*cluster) {
                *exported |= devices.is_exported();
            }
        }
        let mut steps: Vec<Step> = self
            .steps
            .into_iter()
            .filter_map(|((at, cluster), mut devices)| {
                if exported.get(cluster) == Some(&true) {
                    devices.set_exported();
                }
                let (gpus, dropped) = devices.finish();
                let cluster = self.clusters.get(cluster)?.clone();
                Some(Step { at, cluster, gpus, dropped })
            })
            .collect();
        steps.sort_by(|one, other| (one.at, &one.cluster).cmp(&(other.at, &other.cluster)));
        steps
    }
}

/// Seconds with a fraction as whole milliseconds.
fn milliseconds(seconds: f64) -> Option<i64> {
    let milliseconds = (seconds * 1000.0).round();
    #[expect(clippy::cast_possible_truncation, reason = "what is out of range is not kept")]
    (0.0..1e15).contains(&milliseconds).then_some(milliseconds as i64)
}
