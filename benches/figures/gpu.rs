//! What reading the GPUs of a large fleet takes: exporters' pages, one for each node.

use std::fmt::Write;

use anyhow::ensure;
use costband::analyse::gpu_time::Accountant;
use costband::collect::gpu::page::Page;
use costband::domain::gpu::{DroppedSamples, GpuReport, GpuSample};
use costband::domain::gpu_time::StateRules;
use costband::domain::identity::{Provider, SourceId};
use costband::domain::node::NodeInventory;
use costband::domain::price::CapacityType;

use crate::measure::{cpu_of, median, milliseconds, quotient};
use crate::table::Table;

/// Nodes of the fleet.
pub const NODES: usize = 1_250;
/// GPUs of a node.
pub const GPUS: usize = 8;
const TIMES: usize = 5;
/// A body comes from the socket in pieces of about this size.
const PIECE: usize = 16 << 10;
/// Twelve of the exporter's default counters, with a value.
const SERIES: [(&str, &str); 12] = [
    ("DCGM_FI_DEV_SM_CLOCK", "1980"),
    ("DCGM_FI_DEV_GPU_TEMP", "61"),
    ("DCGM_FI_DEV_POWER_USAGE", "612.431"),
    ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "48210334117"),
    ("DCGM_FI_DEV_GPU_UTIL", "97"),
    ("DCGM_FI_DEV_XID_ERRORS", "0"),
    ("DCGM_FI_DEV_FB_FREE", "10113"),
    ("DCGM_FI_DEV_FB_USED", "70808"),
    ("DCGM_FI_DEV_FB_RESERVED", "638"),
    ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "0.934512"),
    ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "0.412218"),
    ("DCGM_FI_PROF_DRAM_ACTIVE", "0.338120"),
];

/// A node's page in the exporter's label order, every GPU held by a pod.
pub fn page(node: usize) -> String {
    let mut page = String::new();
    for (name, value) in SERIES {
        let _ = writeln!(page, "# HELP {name} What it is.\n# TYPE {name} gauge");
        for gpu in 0..GPUS {
            let _ = writeln!(
                page,
                "{name}{{gpu=\"{gpu}\",UUID=\"GPU-58e8f5ea-13cc-013a-d88f-{node:08x}{gpu:04x}\",\
                 pci_bus_id=\"00000000:{gpu:02X}:00.0\",device=\"nvidia{gpu}\",\
                 modelName=\"NVIDIA H100 80GB HBM3\",Hostname=\"ip-10-0-{node}.ec2.internal\",\
                 DCGM_FI_DRIVER_VERSION=\"550.127.05\",container=\"train\",namespace=\"video\",\
                 pod=\"diffusion-train-{node}-worker-{gpu}\"}} {value}"
            );
        }
    }
    page
}

fn report(gpus: Vec<GpuSample>, now: jiff::Timestamp) -> GpuReport {
    GpuReport {
        source: SourceId::new("fleet"),
        provider: Some(Provider::Aws),
        cluster: "video".to_owned(),
        capacity_type: CapacityType::OnDemand,
        gpus,
        dropped_samples: DroppedSamples::default(),
        observed_at: now,
    }
}

/// 10,000 GPUs with 12 series each.
pub fn measure(table: &mut Table) -> anyhow::Result<()> {
    let pages: Vec<String> = (0..NODES).map(page).collect();
    let bytes: usize = pages.iter().map(String::len).sum();
    let mut times = Vec::new();
    let mut accountant = Accountant::new(StateRules::default(), Vec::new());
    let nowhere = NodeInventory::default();
    let mut now = jiff::Timestamp::UNIX_EPOCH;
    for _ in 0..TIMES {
        now += jiff::SignedDuration::from_secs(15);
        let (gpus, took) = cpu_of(|| {
            let mut gpus = 0;
            for page in &pages {
                let mut read = Page::new();
                for piece in page.as_bytes().chunks(PIECE) {
                    read.feed(piece)?;
                }
                let (told, dropped) = read.finish()?;
                ensure!(dropped.total() == 0, "{dropped:?}: good values were dropped");
                ensure!(told.iter().all(|gpu| gpu.utilization.is_some()), "a GPU is unknown");
                gpus += told.len();
                accountant.observe(&report(told, now), &nowhere);
            }
            Ok(gpus)
        })?;
        ensure!(gpus == NODES * GPUS, "{gpus} GPUs were read of {}", NODES * GPUS);
        times.push(took);
    }
    let took = median(times);
    let rate = quotient(u64::try_from(bytes)?, 1_000_000) / took.as_secs_f64();
    table.row(
        "",
        &format!("CPU of reading and judging 10,000 GPUs x 12 series ({NODES} pages of {GPUS})"),
        format!("{:.0} ms, {rate:.0} MB/s", milliseconds(took)),
        "<= 150 ms",
    );
    Ok(())
}
