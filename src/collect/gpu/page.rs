//! A page of GPU telemetry, whichever exporter wrote it: pieces of a body in, GPUs out.

use crate::collect::gpu::devices::{Devices, Subject};
use crate::collect::gpu::exposition::{Line, NotAPage, Reader};
use crate::collect::gpu::series::Series;
use crate::collect::gpu::words::{self, Exporter, Labels, Metric};
use crate::domain::gpu::{DroppedSamples, GpuSample};

/// Why a page tells no GPU.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTelemetry {
    /// It is not the format.
    #[error(transparent)]
    NotAPage(#[from] NotAPage),
    /// It is well formed and somebody else's.
    #[error(
        "it has no GPU metric: neither dcgm-exporter's (`DCGM_FI_DEV_GPU_UTIL`, ...) nor AMD \
         device-metrics-exporter's (`gpu_gfx_activity`, ...)"
    )]
    NoGpuMetric,
    /// It is an exporter's, and no series of it says which device it is of.
    #[error(
        "no series that is read names its GPU: they need a label `UUID` (dcgm-exporter) or \
         `gpu_uuid`, `serial_number` (AMD device-metrics-exporter)"
    )]
    NoDevice,
    /// It tells of more devices than one exporter can see.
    #[error("it names more than {MOST_DEVICES} GPUs and slices")]
    TooMany,
}

/// More GPUs and slices than the exporters of any node see; a page may gather some nodes.
pub const MOST_DEVICES: usize = 16_384;

/// How much text of labels is remembered in all: a node's and more.
const MOST_REMEMBERED: usize = 256 << 10;

/// A page while it is read.
#[derive(Debug, Default)]
pub struct Page {
    reader: Reader,
    telemetry: Telemetry,
}

#[derive(Debug, Default)]
struct Telemetry {
    devices: Devices,
    recognised: bool,
    too_many: bool,
    remembered: Remembered,
}

/// Labels that were read before with what they are of. A page tells one metric after the other,
/// each of the same devices in the same order: after the first metric labels need not be read.
#[derive(Debug, Default)]
struct Remembered {
    labels: Vec<(Exporter, Box<str>, Subject)>,
    bytes: usize,
    next: usize,
}

impl Remembered {
    /// The subject and the value of a line whose labels are those that are due, or the first.
    fn find(
        &mut self,
        line: &Line<'_>,
        exporter: Exporter,
    ) -> Option<Result<(Subject, f64), &'static str>> {
        for place in [self.next, 0] {
            let known = self.labels.get(place).filter(|(of, ..)| *of == exporter);
            if let Some((_, labels, subject)) = known
                && let Some(value) = line.value_after(labels)
            {
                self.next = place + 1;
                return Some(value.map(|value| (*subject, value)));
            }
        }
        None
    }

    fn keep(&mut self, exporter: Exporter, labels: &str, subject: Subject) {
        if labels.is_empty() || self.bytes + labels.len() > MOST_REMEMBERED {
            return;
        }
        self.bytes += labels.len();
        self.labels.push((exporter, labels.into(), subject));
        self.next = self.labels.len();
    }
}

impl Page {
    /// A page of which nothing was read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece of the body, however it was cut.
    ///
    /// # Errors
    /// [`NotAPage`]; the page is then of no use.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), NotAPage> {
        let telemetry = &mut self.telemetry;
        self.reader.feed(piece, |line| telemetry.take(line))
    }

    /// Ends the page: its GPUs in the order of their keys, each device once, and which values were
    /// not a measurement.
    ///
    /// # Errors
    /// [`NoTelemetry`]: a page that was cut, that tells no GPU, or too many.
    pub fn finish(self) -> Result<(Vec<GpuSample>, DroppedSamples), NoTelemetry> {
        self.reader.finish()?;
        if self.telemetry.too_many {
            return Err(NoTelemetry::TooMany);
        }
        if !self.telemetry.recognised {
            return Err(NoTelemetry::NoGpuMetric);
        }
        if self.telemetry.devices.is_empty() {
            return Err(NoTelemetry::NoDevice);
        }
        Ok(self.telemetry.devices.finish())
    }
}

/// Reads a page that is whole in memory.
///
/// # Errors
/// [`NoTelemetry`]: it is not the format, or it tells no GPU, or too many.
pub fn read(page: &[u8]) -> Result<(Vec<GpuSample>, DroppedSamples), NoTelemetry> {
    let mut whole = Page::new();
    whole.feed(page)?;
    whole.finish()
}

impl Telemetry {
    fn take(&mut self, line: Line<'_>) -> Result<(), &'static str> {
        let metric = words::metric(line.name);
        self.recognised |= metric != Metric::Foreign;
        let Metric::Read(exporter, figure) = metric else { return Ok(()) };
        let (subject, value) = match self.remembered.find(&line, exporter) {
            Some(found) => found?,
            None => {
                let (series, labels, value) = read_series(&line, exporter)?;
                let subject = self.devices.subject(&series);
                if self.devices.len() > MOST_DEVICES {
                    // The rest is still held against the format, and kept nowhere.
                    self.too_many = true;
                    self.devices = Devices::new();
                    self.remembered = Remembered::default();
                    return Ok(());
                }
                self.remembered.keep(exporter, labels, subject);
                (subject, value)
            }
        };
        self.devices.add(subject, figure, value);
        Ok(())
    }
}

fn read_series<'a>(
    line: &Line<'a>,
    exporter: Exporter,
) -> Result<(Series<'a>, &'a str, f64), &'static str> {
    let mut read = Labels::new(exporter);
    let (labels, value) = line.read(|name, value| read.take(name, value))?;
    Ok((read.finish(), labels, value))
}
