//! GPU telemetry of the own node from NVIDIA's driver library (NVML), where no exporter runs.
//!
//! The library is loaded at run time: no driver is no GPU, not an error. Calls block; a caller
//! runs [`NvmlReader::read`] where blocking is allowed.
//!
//! Facts about the outside (NVML API reference): utilization is that of the last 1/6 to 1 second;
//! it is not told under MIG; it is high for a moment while the driver initialises and scrubs ECC
//! memory, which happens at the first load where persistence mode is off. An open library keeps
//! the driver's modules in use.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use crate::domain::gpu::{GpuKey, GpuReport, GpuSample, Utilization, UtilizationSignal};
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
}

/// What one device's calls gave away besides figures.
#[derive(Default)]
struct Telling {
    lost: bool,
    dropped: u64,
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
        Self { target, library: None, driver: Driver::NotTried, known: BTreeMap::new() }
    }

    /// What it reads.
    pub fn target(&self) -> &NvmlTarget {
        &self.target
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
            dropped_samples: 0,
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
        // Several compute instances of one GPU instance are one slice.
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
        }
    };
    // Devices that cannot be split say "not supported".
    let split = telling.of(device.mig_mode()).is_some_and(|mode| mode.current == 1);
    if !split {
        let mut gpu = whole(telling);
        let percent = telling.of(device.utilization_rates()).map(|rates| f64::from(rates.gpu));
        gpu.utilization = percent.and_then(Utilization::from_percent);
        gpu.signal = gpu.utilization.map(|_| UtilizationSignal::GpuUtil);
        telling.dropped += u64::from(percent.is_some() && gpu.utilization.is_none());
        return vec![gpu];
    }
    let most = telling.of(device.mig_device_count()).unwrap_or(0);
    let mut slices = Vec::new();
    for index in 0..most {
        // An index without a slice is "not found".
        let Some(slice) = telling.of(device.mig_device_by_index(index)) else { continue };
        let Some(own) = telling.of(slice.uuid()) else { continue };
        let (used, total) = memory(&slice, telling);
        slices.push(GpuSample {
            key: GpuKey { uuid: uuid.clone(), mig_instance: Some(instance(&own)) },
            mig_profile: telling.of(slice.name()).and_then(|name| profile(&name)),
            memory_used_bytes: used,
            memory_total_bytes: total,
            model: model.clone(),
            hostname: hostname.cloned(),
            utilization: None,
            signal: None,
            holders: Vec::new(),
            xid: None,
        });
    }
    // Split and nothing cut out of it yet: nobody can use it, and it is paid for.
    if slices.is_empty() { vec![whole(telling)] } else { slices }
}

/// Memory that was allocated, and all of it, bytes. Drivers differ in whether their own reserve
/// counts as used, so that what is used follows from the rest, as dcgm-exporter tells it.
fn memory(device: &Device<'_>, telling: &mut Telling) -> (Option<u64>, Option<u64>) {
    let Some(memory) = telling.of(device.memory_info()) else { return (None, None) };
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

/// The GPU instance's profile in a slice's name: `NVIDIA A100-SXM4-40GB MIG 3g.20gb`, or
/// `1c.3g.20gb` where it is shared by compute instances.
fn profile(name: &str) -> Option<String> {
    let (_, profile) = name.rsplit_once(" MIG ")?;
    let whole = profile.split_once('.').filter(|(first, _)| first.ends_with('c'));
    Some(whole.map_or(profile, |(_, whole)| whole).to_owned())
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
        assert_eq!(profile("NVIDIA A100-SXM4-40GB MIG 1c.3g.20gb").as_deref(), Some("3g.20gb"));
        assert_eq!(profile("NVIDIA A100-SXM4-40GB"), None);
    }
}
