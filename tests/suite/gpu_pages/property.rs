//! What holds of every page and of every answer of bytes, shared by the seeded mutations and the fuzz
//! targets.

use costband::collect::gpu::page::{NoTelemetry, Page, read};
use costband::collect::gpu::promql::answer;
use costband::collect::gpu::promql::fleet::{Fleet, Naming, Step};
use costband::domain::gpu::{DroppedSamples, GpuSample};

/// Reads bytes as a page and checks what is promised of any page.
///
/// `cuts` says where the second reading is cut into pieces: each byte is the length of a piece.
pub fn check(page: &[u8], cuts: &[u8]) -> Result<usize, NoTelemetry> {
    let whole = read(page);
    let pieces = in_pieces(page, cuts);
    // An error tells the same line either way. As text, since no number equals NaN.
    assert_eq!(format!("{whole:?}"), format!("{pieces:?}"), "the page was cut by {cuts:?}");
    let (gpus, _) = whole?;
    sane(&gpus);
    Ok(gpus.len())
}

/// Reads bytes as a Prometheus' answer and checks what is promised of any answer.
pub fn check_answer(body: &[u8]) -> Result<usize, String> {
    let steps = steps(body);
    // Maps must not decide what is told. As text, since no number equals NaN.
    assert_eq!(format!("{steps:?}"), format!("{:?}", self::steps(body)));
    let steps = steps?;
    assert!(steps.is_sorted_by(|a, b| (a.at, &a.cluster) < (b.at, &b.cluster)), "a step twice");
    steps.iter().for_each(|step| sane(&step.gpus));
    Ok(steps.iter().map(|step| step.gpus.len()).sum())
}

fn steps(body: &[u8]) -> Result<Vec<Step>, String> {
    let naming = Naming {
        cluster: "home".to_owned(),
        cluster_label: Some("cluster".to_owned()),
        node_label: Some("node".to_owned()),
        ..Naming::default()
    };
    let mut fleet = Fleet::new(naming, (0, i64::MAX));
    answer::parse(body, |series| fleet.add(series.labels(), series.points()))?;
    Ok(fleet.steps())
}

fn in_pieces(
    mut page: &[u8],
    cuts: &[u8],
) -> Result<(Vec<GpuSample>, DroppedSamples), NoTelemetry> {
    let mut read = Page::new();
    let mut cuts = cuts.iter().cycle();
    while !page.is_empty() {
        let length = cuts.next().map_or(page.len(), |cut| usize::from(*cut).max(1));
        let (piece, rest) = page.split_at(length.min(page.len()));
        read.feed(piece)?;
        page = rest;
    }
    read.finish()
}

/// Each device once, in order, and no figure that cannot be.
fn sane(gpus: &[GpuSample]) {
    assert!(gpus.is_sorted_by(|a, b| a.key < b.key), "a device is counted twice");
    gpus.iter().for_each(possible);
}

fn possible(gpu: &GpuSample) {
    assert!(!gpu.key.uuid.is_empty());
    let parts = gpu.holders.iter().filter_map(|held| held.utilization);
    for utilization in gpu.utilization.into_iter().chain(parts) {
        assert!((0.0..=1.0).contains(&utilization.ratio()), "{gpu:?}");
    }
    assert_eq!(gpu.utilization.is_some(), gpu.signal.is_some(), "{gpu:?}");
    if let (Some(used), Some(total)) = (gpu.memory_used_bytes, gpu.memory_total_bytes) {
        assert!(used <= total, "{gpu:?}");
    }
    assert!(gpu.holders.is_sorted_by(|a, b| a.pod < b.pod), "a pod holds it twice: {gpu:?}");
    assert!(gpu.holders.iter().all(|held| !held.pod.name.is_empty()));
}
