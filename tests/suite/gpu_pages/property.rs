//! What holds of every page of bytes, shared by the seeded mutations here and the fuzz target.

use costband::collect::gpu::page::{NoTelemetry, Page, read};
use costband::domain::gpu::GpuSample;

/// Reads bytes as a page and checks what is promised of any page.
///
/// `cuts` says where the second reading is cut into pieces: each byte is the length of a piece.
pub fn check(page: &[u8], cuts: &[u8]) -> Result<usize, NoTelemetry> {
    let whole = read(page);
    let pieces = in_pieces(page, cuts);
    // An error tells the same line either way. As text, since no number equals NaN.
    assert_eq!(format!("{whole:?}"), format!("{pieces:?}"), "the page was cut by {cuts:?}");
    let (gpus, _) = whole?;
    for gpu in &gpus {
        sane(gpu);
    }
    let mut keys: Vec<_> = gpus.iter().map(|gpu| &gpu.key).collect();
    keys.dedup();
    assert_eq!(keys.len(), gpus.len(), "a device is counted twice");
    assert!(gpus.is_sorted_by(|a, b| a.key < b.key));
    Ok(gpus.len())
}

fn in_pieces(mut page: &[u8], cuts: &[u8]) -> Result<(Vec<GpuSample>, u64), NoTelemetry> {
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

fn sane(gpu: &GpuSample) {
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
