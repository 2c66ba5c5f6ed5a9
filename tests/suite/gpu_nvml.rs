//! NVML through a stand-in for the driver's library that is built from NVIDIA's own header.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use costband::collect::gpu::nvml::{Driver, NvmlReader, NvmlTarget, NvmlWatch};
use costband::domain::gpu::{GpuReport, GpuSample, UtilizationSignal};
use costband::domain::identity::{Provider, SourceId};
use costband::domain::report::SourceErrorKind;
use jiff::Timestamp;

use crate::faces::peers::peer;

const NOW: &str = "2026-11-16T10:00:00Z";
const MIB: u64 = 1 << 20;

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn target(library: Option<PathBuf>) -> NvmlTarget {
    NvmlTarget {
        id: SourceId::new("node"),
        library,
        provider: Some(Provider::Aws),
        cluster: "train".to_owned(),
        hostname: Some("node-7".to_owned()),
        capacity_type: costband::domain::price::CapacityType::OnDemand,
        every: Duration::from_secs(15),
    }
}

/// A driver's library of the test's own, with what goes wrong in it.
struct StandIn {
    folder: tempfile::TempDir,
}

impl StandIn {
    fn build(include: &Path, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = Self { folder };
        made.order("");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/nvml/driver.c");
        let output = Command::new("cc")
            // Without a soname: a loaded library of the driver's name would stand for the driver.
            .args(["-shared", "-fPIC", "-Wall", "-Werror"])
            .arg(format!("-DORDERS=\"{}\"", made.orders().display()))
            .args(more)
            .arg("-I")
            .arg(include)
            .arg(source)
            .arg("-o")
            .arg(made.library())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        made
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("libnvidia-ml.so.1")
    }

    fn orders(&self) -> PathBuf {
        self.folder.path().join("orders")
    }

    fn order(&self, lines: &str) {
        std::fs::write(self.orders(), lines).unwrap();
    }

    /// How often the GPUs were counted.
    fn calls(&self) -> usize {
        let calls = std::fs::read_to_string(self.folder.path().join("orders.calls"));
        calls.unwrap_or_default().lines().count()
    }

    fn reader(&self) -> NvmlReader {
        NvmlReader::new(target(Some(self.library())))
    }
}

fn stand_in() -> Option<StandIn> {
    peer("COSTBAND_PEERS_NVML_INCLUDE").map(|include| StandIn::build(&include, &[]))
}

fn keys(report: &GpuReport) -> Vec<String> {
    report.gpus.iter().map(|gpu| gpu.key.to_string()).collect()
}

fn of<'r>(report: &'r GpuReport, key: &str) -> &'r GpuSample {
    report.gpus.iter().find(|gpu| gpu.key.to_string().starts_with(key)).unwrap()
}

#[test]
fn a_node_without_a_driver_has_no_gpu_and_no_error() {
    let mut reader = NvmlReader::new(target(Some(PathBuf::from("/nowhere/libnvidia-ml.so.1"))));
    assert_eq!(reader.driver(), &Driver::NotTried);
    let report = reader.read(now()).unwrap();
    assert_eq!(report.gpus, []);
    assert_eq!(report.cluster, "train");
    let Driver::Missing { reason } = reader.driver() else { panic!("{:?}", reader.driver()) };
    assert!(reason.contains("/nowhere/libnvidia-ml.so.1"), "{reason}");

    // Whatever this machine has.
    let mut reader = NvmlReader::new(target(None));
    reader.read(now()).unwrap();
    assert_ne!(reader.driver(), &Driver::NotTried);
}

#[test]
fn a_file_that_is_no_library_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libnvidia-ml.so.1");
    std::fs::write(&path, "not a library").unwrap();
    let error = NvmlReader::new(target(Some(path))).read(now()).unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Config, "{error}");
    assert!(error.message.contains("libnvidia-ml.so.1"), "{error}");
}

#[test]
fn a_driver_tells_each_gpu_and_each_slice_once() {
    let Some(driver) = stand_in() else { return };
    let mut reader = driver.reader();
    let report = reader.read(now()).unwrap();
    assert_eq!(reader.driver(), &Driver::Loaded { version: Some("550.127.05".to_owned()) });
    assert_eq!(
        keys(&report),
        [
            "GPU-00000000-0000-0000-0000-000000000000",
            "GPU-11111111-1111-1111-1111-111111111111/2",
            "GPU-11111111-1111-1111-1111-111111111111/MIG-c7384736-a75d-5afc-978f-d2f1294409fd",
            "GPU-22222222-2222-2222-2222-222222222222",
            "GPU-33333333-3333-3333-3333-333333333333",
        ]
    );
    assert!(report.gpus.iter().all(|gpu| gpu.hostname.as_deref() == Some("node-7")));
    assert_eq!((report.observed_at, report.dropped_samples.total()), (now(), 0));

    let busy = of(&report, "GPU-0");
    assert_eq!(busy.model, "NVIDIA H100 80GB HBM3");
    assert_eq!(busy.utilization.map(|share| share.ratio()), Some(0.37));
    assert_eq!(busy.signal, Some(UtilizationSignal::GpuUtil));
    assert_eq!(busy.memory_total_bytes, Some(81_559 * MIB));
    assert_eq!(busy.memory_used_bytes, Some(60_000 * MIB), "without the driver's own reserve");

    let slice = of(&report, "GPU-11111111-1111-1111-1111-111111111111/2");
    assert_eq!((slice.utilization, slice.signal), (None, None), "not told of slices");
    assert_eq!(slice.model, "NVIDIA A100-SXM4-40GB");
    assert_eq!(slice.mig_profile.as_deref(), Some("1c.3g.20gb"));
    assert_eq!(slice.memory_used_bytes, Some(10_000 * MIB));
    assert_eq!(slice.memory_total_bytes, Some(19_968 * MIB));
    let other = of(&report, "GPU-11111111-1111-1111-1111-111111111111/MIG");
    assert_eq!(other.mig_profile.as_deref(), Some("2g.10gb"));
    assert_eq!(other.memory_used_bytes, Some(0));
}

#[test]
fn what_a_gpu_does_not_support_is_unknown_and_the_rest_of_it_stands() {
    let Some(driver) = stand_in() else { return };
    let report = driver.reader().read(now()).unwrap();
    let old = of(&report, "GPU-2");
    assert_eq!((old.utilization, old.signal), (None, None));
    assert_eq!(old.model, "Tesla K80");
    assert_eq!((old.memory_used_bytes, old.memory_total_bytes), (Some(0), Some(11_441 * MIB)));
    assert_eq!(old.xid, None);
}

#[test]
fn a_lost_gpu_and_the_slices_of_one_are_unhealthy_not_forgotten() {
    let Some(driver) = stand_in() else { return };
    let mut reader = driver.reader();
    let before = reader.read(now()).unwrap();
    driver.order("lost 0\ngone 1\n");
    let after = reader.read(now()).unwrap();
    assert_eq!(keys(&after), keys(&before));
    for gpu in &after.gpus {
        let lost = gpu.key.uuid.starts_with("GPU-0") || gpu.key.uuid.starts_with("GPU-1");
        assert_eq!(gpu.xid, lost.then_some(79), "{}", gpu.key);
        assert!(!lost || gpu.memory_used_bytes.is_none(), "{}", gpu.key);
    }
    assert_eq!(of(&after, "GPU-0").model, "NVIDIA H100 80GB HBM3");
    assert_eq!(of(&after, "GPU-0").utilization, None);
    driver.order("");
    assert_eq!(reader.read(now()).unwrap(), before, "a reset brings them back");
}

#[test]
fn a_driver_that_comes_later_is_found() {
    let Some(driver) = stand_in() else { return };
    driver.order("no_driver\n");
    let mut reader = driver.reader();
    assert_eq!(reader.read(now()).unwrap().gpus, []);
    assert!(matches!(reader.driver(), Driver::Missing { .. }));
    driver.order("");
    assert_eq!(reader.read(now()).unwrap().gpus.len(), 5);
}

#[test]
fn a_driver_that_does_not_answer_is_an_error_with_what_to_do() {
    let Some(driver) = stand_in() else { return };
    driver.order("mismatch\n");
    let error = driver.reader().read(now()).unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Unavailable);
    assert!(error.message.contains("version mismatch"), "{error}");
    assert!(error.hint.is_some());
}

#[test]
fn compute_instances_of_a_current_driver_share_their_gpu_instance() {
    let Some(driver) = stand_in() else { return };
    driver.order("current\n");
    let report = driver.reader().read(now()).unwrap();
    let slice =
        |start: &str| of(&report, &format!("GPU-11111111-1111-1111-1111-111111111111/{start}"));
    let (one, two) = (slice("MIG-a"), slice("MIG-b"));
    assert!(one.key.is_compute_instance());
    assert_eq!(one.mig_profile.as_deref(), Some("1c.3g.20gb"));
    assert_eq!(one.memory_total_bytes, Some(19_968 * MIB / 3));
    assert_eq!(two.memory_total_bytes, Some(19_968 * MIB / 3 * 2));
    assert_eq!(slice("MIG-c").memory_total_bytes, Some(9_984 * MIB));

    // All their time is idle for a second: three, two and two of seven slices, none of it twice.
    use costband::analyse::gpu_time::Accountant;
    use costband::domain::gpu_time::{GpuState, StateRules};
    use costband::domain::node::NodeInventory;
    let mut accountant = Accountant::new(StateRules::default(), Vec::new());
    for second in [0, 1] {
        let mut report = report.clone();
        report.observed_at += jiff::SignedDuration::from_secs(second);
        report.gpus.retain(|gpu| gpu.key.mig_instance.is_some());
        accountant.observe(&report, &NodeInventory::default());
    }
    let counted = accountant.take();
    let of = |state| counted.times.iter().map(|time| time.time.milliseconds(state)).sum::<u64>();
    assert_eq!((of(GpuState::Unknown), of(GpuState::Unallocated)), (714, 286));
}

/// Lines of a log.
#[derive(Clone, Default)]
struct Lines(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_driver_before_r510_tells_all_but_memory_and_that_is_said_once() {
    let Some(include) = peer("COSTBAND_PEERS_NVML_INCLUDE") else { return };
    let driver = StandIn::build(&include, &["-DOLD_DRIVER"]);
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _log = tracing::subscriber::set_default(log);
    let mut reader = driver.reader();
    for _ in 0..2 {
        let report = reader.read(now()).unwrap();
        let busy = of(&report, "GPU-0");
        assert_eq!((busy.memory_used_bytes, busy.memory_total_bytes), (None, None));
        assert_eq!(busy.utilization.map(|share| share.ratio()), Some(0.37));
    }
    let told = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(told.matches("R510").count(), 1, "{told}");
}

#[tokio::test]
async fn a_driver_that_hangs_is_late_and_keeps_one_thread() {
    let Some(driver) = stand_in() else { return };
    let mut watch = NvmlWatch::new(target(Some(driver.library())));
    let patient = Duration::from_secs(60);
    assert_eq!(watch.read(now(), patient).await.unwrap().gpus.len(), 5);
    assert_eq!(driver.calls(), 1);
    driver.order("hang\n");
    for _ in 0..3 {
        let error = watch.read(now(), Duration::from_millis(300)).await.unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Timeout, "{error}");
        assert!(error.message.contains("does not answer in 300ms"), "{error}");
    }
    assert!(driver.calls() <= 2, "{} calls hang", driver.calls());
    driver.order("");
    let later = now() + jiff::SignedDuration::from_mins(1);
    let report = watch.read(later, patient).await.unwrap();
    assert_eq!((report.observed_at, report.gpus.len()), (later, 5), "what came late is no news");
    assert_eq!(driver.calls(), 3);
}
