//! GPU telemetry of the own node from NVIDIA's driver library (NVML), where no exporter runs.
//!
//! The library is loaded at run time: no driver is no GPU, not an error. Calls block, and a driver
//! in trouble may never come back: [`NvmlWatch`] waits for them no longer than it may.
//!
//! Facts about the outside (NVML API reference): utilization is that of the last 1/6 to 1 second;
//! it is not told under MIG; it is high for a moment while the driver initialises and scrubs ECC
//! memory, which happens at the first load where persistence mode is off. An open library keeps
//! the driver's modules in use. Memory and what the driver keeps of it are told since R510. A MIG
//! device is a compute instance; its memory is its GPU instance's.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::domain::gpu::{
    DropReason, DroppedSamples, GpuKey, GpuReport, GpuSample, MigSlices, Utilization,
    UtilizationSignal,
};
use crate::domain::identity::{Provider, SourceId};
use crate::domain::price::CapacityType;
use crate::domain::report::{SourceError, SourceErrorKind};

/// The driver's own name of its library; one without the `1` comes only with development files.
const LIBRARY: &str = "libnvidia-ml.so.1";
/// XID 79, "GPU has fallen off the bus" (NVIDIA's XID errors): what NVML calls a lost GPU. NVML
/// tells other XIDs only to those who wait for them.
const FALLEN_OFF_THE_BUS: u32 = 79;

/// The GPUs of the own node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NvmlTarget {
    /// Its configured name.
    pub id: SourceId,
    /// The library's file, where it is not found by its name.
    pub library: Option<PathBuf>,
    /// The cloud that the node is in; none on premises.
    pub provider: Option<Provider>,
    /// The cluster's name.
    pub cluster: String,
    /// The node's name, as Kubernetes tells it.
    pub hostname: Option<String>,
    /// `on_demand`, `spot`, `reserved` or `unknown`.
    pub capacity_type: CapacityType,
    /// How often it is read.
    pub every: Duration,
}

/// Whether there is a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// Nobody has looked yet.
    NotTried,
    /// There is none: the node has no NVIDIA GPU, or it is not shown to this process.
    Missing {
        /// What the loader or the library said.
        reason: String,
    },
    /// It answers.
    Loaded {
        /// Its version: `550.127.05`.
        version: Option<String>,
    },
}

/// Reads the GPUs of the own node again and again.
#[derive(Debug)]
pub struct NvmlReader {
    target: NvmlTarget,
    library: Option<Nvml>,
    driver: Driver,
    /// The newest GPUs of each index: a lost device tells its own name no more.
    known: BTreeMap<u32, Vec<GpuSample>>,
    /// Whether it was said that the driver is too old to tell memory.
    is_old: bool,
}

/// What a thread that read gives back.
type Done = (NvmlReader, Result<GpuReport, SourceError>);

/// Reads again and again and waits no longer than it may. A call that hangs keeps its one thread;
/// no other is begun until it is back.
#[derive(Debug)]
pub struct NvmlWatch {
    target: NvmlTarget,
    reader: Option<NvmlReader>,
    running: Option<oneshot::Receiver<Done>>,
}

impl NvmlWatch {
    /// A watch that has read nothing yet.
    pub fn new(target: NvmlTarget) -> Self {
        Self { target, reader: None, running: None }
    }

    /// Reads every GPU, see [`NvmlReader::read`].
    ///
    /// # Errors
    /// A [`SourceError`]: what the reader says, or that it is not back in time.
    pub async fn read(
        &mut self,
        now: Timestamp,
        patience: Duration,
    ) -> Result<GpuReport, SourceError> {
        let end = Instant::now() + patience;
        // What comes late tells of the past.
        let mut is_late = self.running.is_some();
        loop {
            let mut running = match self.running.take() {
                Some(running) => running,
                None => self.begin(now)?,
            };
            let Ok(done) = timeout_at(end, &mut running).await else {
                self.running = Some(running);
                let message = format!("NVIDIA's driver library does not answer in {patience:?}");
                return Err(SourceError::new(SourceErrorKind::Timeout, message)
                    .hint("see whether `nvidia-smi` answers on the node"));
            };
            let (reader, report) = done.map_err(|_| {
                let message = "the reader of NVIDIA's driver library ended early";
                SourceError::new(SourceErrorKind::Unavailable, message)
            })?;
            self.reader = Some(reader);
            if !std::mem::take(&mut is_late) {
                return report;
            }
        }
    }

    /// Begins a reading on a thread of its own, which ends with the process where it hangs.
    fn begin(&mut self, now: Timestamp) -> Result<oneshot::Receiver<Done>, SourceError> {
        let (back, running) = oneshot::channel();
        let reader = self.reader.take();
        let mut reader = reader.unwrap_or_else(|| NvmlReader::new(self.target.clone()));
        let read = move || {
            let report = reader.read(now);
            // Nobody listens where the agent has ended.
            let _ = back.send((reader, report));
        };
        let begun = std::thread::Builder::new().name("nvml".to_owned()).spawn(read);
        begun.map_err(|error| {
            let message = format!("failed to begin a thread for NVIDIA's driver library: {error}");
            SourceError::new(SourceErrorKind::Unavailable, message)
        })?;
        Ok(running)
    }
}

/// What one device's calls gave away besides figures.
#[derive(Default)]
struct Telling {
    lost: bool,
    /// A call is not in the library.
    is_old: bool,
    dropped: DroppedSamples,
}

impl Telling {
    /// A call's figure; none where the device cannot tell it, so that the others stand.
    fn of<T>(&mut self, told: Result<T, NvmlError>) -> Option<T> {
        match told {
            Ok(figure) => Some(figure),
            Err(NvmlError::GpuLost) => {
                self.lost = true;
                None
            }
            Err(_) => None,
        }
    }
}

impl NvmlReader {
    /// A reader that has loaded nothing yet.
    pub fn new(target: NvmlTarget) -> Self {
        let known = BTreeMap::new();
        Self { target, library: None, driver: Driver::NotTried, known, is_old: false }
    }

    /// Whether there was a driver at the last reading.
    pub fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Reads every GPU, the slices of a split one instead of it. Without a driver the report has
    /// no GPU, and the next reading looks for one again. Blocks.
    ///
    /// # Errors
    /// A [`SourceError`]: a driver that is there and does not answer.
    pub fn read(&mut self, now: Timestamp) -> Result<GpuReport, SourceError> {
        let mut report = GpuReport {
            source: self.target.id.clone(),
            provider: self.target.provider,
            cluster: self.target.cluster.clone(),
            capacity_type: self.target.capacity_type,
            gpus: Vec::new(),
            dropped_samples: DroppedSamples::default(),
            observed_at: now,
        };
        if self.library.is_none() {
            self.library = self.load()?;
        }
        let Some(nvml) = &self.library else { return Ok(report) };
        let count = match nvml.device_count() {
            Ok(count) => count,
            Err(error) => {
                // It may have been unloaded under us: a fresh start finds out.
                self.library = None;
                return Err(refused("count the GPUs", &error));
            }
        };
        let mut telling = Telling::default();
        for index in 0..count {
            telling.lost = false;
            let hostname = self.target.hostname.as_ref();
            let told = telling
                .of(nvml.device_by_index(index))
                .map(|device| gpus(&device, hostname, &mut telling))
                .unwrap_or_default();
            if telling.lost {
                // What a lost device still tells of itself is less than what it told before.
                let known = self.known.get(&index).filter(|known| !known.is_empty());
                report.gpus.extend(known.unwrap_or(&told).iter().map(lost_gpu));
            } else {
                self.known.insert(index, told.clone());
                report.gpus.extend(told);
            }
        }
        if telling.is_old && !self.is_old {
            self.is_old = true;
            let message = "NVIDIA's driver is too old to tell memory, which one of R510 does";
            tracing::warn!(source = %self.target.id, "{message}");
        }
        // Drivers that tell GPU instances tell one for each of its compute instances.
        report.gpus.sort_by(|one, other| one.key.cmp(&other.key));
        report.gpus.dedup_by(|one, other| one.key == other.key);
        report.dropped_samples = telling.dropped;
        Ok(report)
    }

    fn load(&mut self) -> Result<Option<Nvml>, SourceError> {
        let path = self.target.library.as_deref();
        // A file that is not there is a node without a driver, even where its name was configured.
        let given = path.filter(|path| path.exists());
        let name = path.map_or(OsStr::new(LIBRARY), |path| path.as_os_str());
        match Nvml::builder().lib_path(name).init() {
            Ok(nvml) => {
                let version = nvml.sys_driver_version().ok();
                tracing::info!(source = %self.target.id, version, "NVIDIA driver loaded");
                self.driver = Driver::Loaded { version };
                Ok(Some(nvml))
            }
            Err(NvmlError::LibloadingError(error)) if given.is_some() => {
                let message = format!("failed to load `{}`: {error}", name.display());
                let hint = "name the `libnvidia-ml.so.1` of the NVIDIA driver";
                Err(SourceError::new(SourceErrorKind::Config, message).hint(hint))
            }
            Err(
                error @ (NvmlError::LibloadingError(_)
                | NvmlError::LibraryNotFound
                | NvmlError::DriverNotLoaded),
            ) => {
                let missing = Driver::Missing { reason: error.to_string() };
                if self.driver != missing {
                    let reason = error.to_string();
                    tracing::info!(source = %self.target.id, reason, "no NVIDIA driver, no GPU");
                }
                self.driver = missing;
                Ok(None)
            }
            Err(error) => Err(refused("start NVML", &error)),
        }
    }
}

/// A failure of the library as a whole.
fn refused(tried: &str, error: &NvmlError) -> SourceError {
    let (kind, hint) = match error {
        NvmlError::NoPermission => (
            SourceErrorKind::Forbidden,
            "let this process open `/dev/nvidiactl` and `/dev/nvidia*`",
        ),
        NvmlError::LibRmVersionMismatch => (
            SourceErrorKind::Unavailable,
            "library and kernel module differ: restart the node or reload the module",
        ),
        NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound => {
            (SourceErrorKind::Config, "name the `libnvidia-ml.so.1` of the NVIDIA driver")
        }
        _ => (SourceErrorKind::Unavailable, "see whether `nvidia-smi` answers on the node"),
    };
    SourceError::new(kind, format!("failed to {tried}: {error}")).hint(hint)
}

/// A device, or the slices of a split one. Without its UUID it cannot be told apart.
fn gpus(device: &Device<'_>, hostname: Option<&String>, telling: &mut Telling) -> Vec<GpuSample> {
    let Some(uuid) = telling.of(device.uuid()) else { return Vec::new() };
    let model = telling.of(device.name()).unwrap_or_default();
    let whole = |telling: &mut Telling| {
        let (used, total) = memory(device, telling);
        GpuSample {
            key: GpuKey { uuid: uuid.clone(), mig_instance: None },
            model: model.clone(),
            mig_profile: None,
            hostname: hostname.cloned(),
            utilization: None,
            signal: None,
            memory_used_bytes: used,
            memory_total_bytes: total,
            holders: Vec::new(),
            xid: None,
            healthy: None,
        }
    };
    // Devices that cannot be split say "not supported".
    let split = telling.of(device.mig_mode()).is_some_and(|mode| mode.current == 1);
    if !split {
        let mut gpu = whole(telling);
        let percent = telling.of(device.utilization_rates()).map(|rates| f64::from(rates.gpu));
        gpu.utilization = percent.and_then(Utilization::from_percent);
        gpu.signal = gpu.utilization.map(|_| UtilizationSignal::GpuUtil);
        if percent.is_some() && gpu.utilization.is_none() {
            telling.dropped.add(DropReason::OutOfRange);
        }
        return vec![gpu];
    }
    let most = telling.of(device.mig_device_count()).unwrap_or(0);
    let mut slices = Vec::new();
    for index in 0..most {
        // An index without a slice is "not found".
        let Some(slice) = telling.of(device.mig_device_by_index(index)) else { continue };
        let Some(own) = telling.of(slice.uuid()) else { continue };
        let (used, total) = memory(&slice, telling);
        let key = GpuKey { uuid: uuid.clone(), mig_instance: Some(instance(&own)) };
        let mig_profile = telling.of(slice.name()).and_then(|name| profile(&name));
        let slices_of = mig_profile.as_deref().and_then(MigSlices::of);
        let part = |memory: Option<u64>| match slices_of {
            Some(MigSlices { compute: Some(own), gpu }) if key.is_compute_instance() => {
                memory.map(|bytes| bytes / u64::from(gpu) * u64::from(own))
            }
            _ => memory,
        };
        let (used, total) = (part(used), part(total));
        slices.push(GpuSample {
            key,
            mig_profile,
            memory_used_bytes: used,
            memory_total_bytes: total,
            model: model.clone(),
            hostname: hostname.cloned(),
            utilization: None,
            signal: None,
            holders: Vec::new(),
            xid: None,
            healthy: None,
        });
    }
    // Split and nothing cut out of it yet: nobody can use it, and it is paid for.
    if slices.is_empty() { vec![whole(telling)] } else { slices }
}

/// Memory that was allocated, and all of it, bytes. Drivers differ in whether their own reserve
/// counts as used, so that what is used follows from the rest, as dcgm-exporter tells it.
fn memory(device: &Device<'_>, telling: &mut Telling) -> (Option<u64>, Option<u64>) {
    let told = device.memory_info();
    telling.is_old |= matches!(told, Err(NvmlError::FailedToLoadSymbol(_)));
    let Some(memory) = telling.of(told) else { return (None, None) };
    let used =
        memory.total.checked_sub(memory.free).and_then(|left| left.checked_sub(memory.reserved));
    (used, Some(memory.total))
}

/// What tells a slice apart on its device. Drivers before R470 name slices
/// `MIG-GPU-<device>/<GPU instance>/<compute instance>`; later ones give a UUID that holds no
/// instance.
fn instance(uuid: &str) -> String {
    let mut parts = uuid.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(instance), Some(_)) => instance.to_owned(),
        _ => uuid.to_owned(),
    }
}

/// The profile in a slice's name: `NVIDIA A100-SXM4-40GB MIG 3g.20gb`, or `1c.3g.20gb` of a compute
/// instance that shares its GPU instance.
fn profile(name: &str) -> Option<String> {
    name.rsplit_once(" MIG ").map(|(_, profile)| profile.to_owned())
}

fn lost_gpu(gpu: &GpuSample) -> GpuSample {
    GpuSample {
        utilization: None,
        signal: None,
        memory_used_bytes: None,
        xid: Some(FALLEN_OFF_THE_BUS),
        ..gpu.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_told_by_its_gpu_instance_where_its_name_holds_it() {
        assert_eq!(instance("MIG-GPU-5d5ba0d6-d33d-2b2c/7/0"), "7");
        let newer = "MIG-c7384736-a75d-5afc-978f-d2f1294409fd";
        assert_eq!(instance(newer), newer);
        assert_eq!(profile("NVIDIA A100-SXM4-40GB MIG 3g.20gb").as_deref(), Some("3g.20gb"));
        assert_eq!(profile("NVIDIA A100-SXM4-40GB MIG 1c.3g.20gb").as_deref(), Some("1c.3g.20gb"));
        assert_eq!(profile("NVIDIA A100-SXM4-40GB"), None);
    }
}
