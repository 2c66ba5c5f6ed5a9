//! The words of every exporter that is read, in one table for pages and for PromQL.

use crate::collect::gpu::exposition::Value;
use crate::collect::gpu::figures::Figure;
use crate::collect::gpu::series::{self, Series};
use crate::collect::gpu::{amd, dcgm};

/// The longest name of a label that is read, `gpu_compute_partition_type`.
const LONGEST_LABEL: usize = 26;

/// Whose words a series is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exporter {
    /// NVIDIA's dcgm-exporter.
    Dcgm,
    /// AMD's device-metrics-exporter.
    Amd,
}

/// What a metric's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// A figure of a device.
    Read(Exporter, Figure),
    /// An exporter's, and nothing that is read.
    Unread,
    /// Somebody else's.
    Foreign,
}

/// What a metric's name says.
pub fn metric(name: &str) -> Metric {
    if dcgm::is_own(name) {
        return dcgm::figure(name)
            .map_or(Metric::Unread, |figure| Metric::Read(Exporter::Dcgm, figure));
    }
    amd::figure(name).map_or(Metric::Foreign, |figure| Metric::Read(Exporter::Amd, figure))
}

/// The name of every metric that is read, as exporters write it.
pub fn metrics() -> Vec<String> {
    dcgm::metrics().chain(amd::metrics()).collect()
}

/// The name of every label that is read, as exporters write it.
pub fn labels() -> impl Iterator<Item = &'static str> {
    dcgm::LABELS.into_iter().chain(amd::LABELS).chain(series::LABELS)
}

/// The labels of one series while they are read.
#[derive(Debug)]
pub struct Labels<'a> {
    exporter: Exporter,
    series: Series<'a>,
    card: amd::Card<'a>,
}

impl<'a> Labels<'a> {
    /// None yet.
    pub fn new(exporter: Exporter) -> Self {
        Self { exporter, series: Series::default(), card: amd::Card::default() }
    }

    /// Takes one; its name in any case.
    pub fn take(&mut self, name: &str, value: Value<'a>) {
        let mut lower = [0; LONGEST_LABEL];
        let Some(lower) = lower.get_mut(..name.len()) else { return };
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        match self.exporter {
            Exporter::Dcgm => dcgm::label(&mut self.series, lower, value),
            Exporter::Amd => amd::label(&mut self.series, &mut self.card, lower, value),
        }
    }

    /// What they say together.
    pub fn finish(mut self) -> Series<'a> {
        if self.exporter == Exporter::Amd {
            self.card.name(&mut self.series);
        }
        self.series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_that_is_asked_for_is_read() {
        let names = metrics();
        for name in &names {
            assert!(matches!(metric(name), Metric::Read(..)), "{name}");
        }
        for name in ["DCGM_FI_PROF_GR_ENGINE_ACTIVE", "dcgm_gpu_utilization", "amd_gpu_health"] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
    }

    #[test]
    fn every_label_that_is_kept_says_something() {
        for name in labels() {
            let says = |exporter| {
                let told = |value| {
                    let mut labels = Labels::new(exporter);
                    labels.take(name, Value::plain(value));
                    format!("{labels:?}")
                };
                told("x") != told("")
            };
            assert!(says(Exporter::Dcgm) || says(Exporter::Amd), "{name}");
        }
    }
}
