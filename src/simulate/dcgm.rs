//! Pages of NVIDIA's dcgm-exporter for the GPU nodes of the simulated world.
//!
//! Shapes, help texts and label order are those of its default counters (release 4.5). One page of
//! a real exporter holds one node; `/aws/metrics` and its like hold a whole cluster, as a proxy
//! before several exporters would show it.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::domain::identity::Provider;
use crate::simulate::charge::World;
use crate::simulate::faults::{Fault, Faults};
use crate::simulate::scenario::{GpuDevice, GpuNode, MigSlice, Scenario};
use crate::simulate::spoil::spoil;

const DRIVER: &str = "550.127.05";
/// DCGM's `DCGM_INT64_NOT_SUPPORTED`, which leaks into pages as a value.
const NOT_SUPPORTED: &str = "9223372036854775794";

struct Exporter {
    world: Arc<Scenario>,
    faults: Arc<Faults>,
}

/// The exporter's routes: `/metrics` and `/{provider}/{node}/metrics` for one node (the first AWS
/// node, and any node by its index), `/{provider}/metrics` for a provider's cluster, `/health`.
pub fn router(world: Arc<Scenario>, faults: Arc<Faults>) -> Router {
    Router::new()
        .route("/metrics", get(first))
        .route("/health", get(async || "OK"))
        .route("/{provider}/metrics", get(cluster))
        .route("/{provider}/{node}/metrics", get(node))
        .with_state(Arc::new(Exporter { world, faults }))
}

async fn first(State(exporter): State<Arc<Exporter>>) -> Response {
    exporter.answer(Provider::Aws, Some(0)).await
}

async fn cluster(State(exporter): State<Arc<Exporter>>, Path(provider): Path<String>) -> Response {
    match provider_of(&provider) {
        Some(provider) => exporter.answer(provider, None).await,
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn node(
    State(exporter): State<Arc<Exporter>>,
    Path((provider, node)): Path<(String, usize)>,
) -> Response {
    match provider_of(&provider) {
        Some(provider) => exporter.answer(provider, Some(node)).await,
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn provider_of(word: &str) -> Option<Provider> {
    Provider::ALL.into_iter().find(|provider| provider.as_str() == word)
}

impl Exporter {
    async fn answer(&self, provider: Provider, node: Option<usize>) -> Response {
        let fault = self.faults.take();
        let status = match &fault {
            Some(Fault::Unauthorized) => StatusCode::UNAUTHORIZED,
            Some(Fault::Forbidden) => StatusCode::FORBIDDEN,
            Some(Fault::RateLimited { .. }) => StatusCode::TOO_MANY_REQUESTS,
            Some(Fault::ServerError) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::OK,
        };
        if status != StatusCode::OK {
            return status.into_response();
        }
        let mut nodes = self.world.fleet(provider, self.world.clock().now());
        if let Some(index) = node {
            if index >= nodes.len() {
                return StatusCode::NOT_FOUND.into_response();
            }
            nodes = nodes.split_off(index);
            nodes.truncate(1);
        }
        if fault == Some(Fault::Empty) {
            nodes.clear();
        }
        let mut response = page(&nodes).into_response();
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        match fault {
            Some(fault) => spoil(&fault, response).await,
            None => response,
        }
    }
}

/// A default counter: name, type, help.
struct Counter(&'static str, &'static str, &'static str);

#[rustfmt::skip] // A table is read in rows.
const COUNTERS: [Counter; 24] = [
    Counter("DCGM_FI_DEV_SM_CLOCK", "gauge", "SM clock frequency (in MHz)."),
    Counter("DCGM_FI_DEV_MEM_CLOCK", "gauge", "Memory clock frequency (in MHz)."),
    Counter("DCGM_FI_DEV_MEMORY_TEMP", "gauge", "Memory temperature (in C)."),
    Counter("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (in C)."),
    Counter("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W)."),
    Counter("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter", "Total energy consumption since boot (in mJ)."),
    Counter("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "Total number of PCIe retries."),
    Counter("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %)."),
    Counter("DCGM_FI_DEV_MEM_COPY_UTIL", "gauge", "Memory utilization (in %)."),
    Counter("DCGM_FI_DEV_ENC_UTIL", "gauge", "Encoder utilization (in %)."),
    Counter("DCGM_FI_DEV_DEC_UTIL", "gauge", "Decoder utilization (in %)."),
    Counter("DCGM_FI_DEV_XID_ERRORS", "gauge", "Value of the last XID error encountered."),
    Counter("DCGM_FI_DEV_FB_FREE", "gauge", "Framebuffer memory free (in MiB)."),
    Counter("DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB)."),
    Counter("DCGM_FI_DEV_FB_RESERVED", "gauge", "Framebuffer memory reserved (in MiB)."),
    Counter("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "counter", "Total number of NVLink bandwidth counters for all lanes."),
    Counter("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "counter", "Number of remapped rows for uncorrectable errors"),
    Counter("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "counter", "Number of remapped rows for correctable errors"),
    Counter("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "Whether remapping of rows has failed"),
    Counter("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "gauge", "Ratio of time the graphics engine is active."),
    Counter("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "gauge", "Ratio of cycles the tensor (HMMA) pipe is active."),
    Counter("DCGM_FI_PROF_DRAM_ACTIVE", "gauge", "Ratio of cycles the device memory interface is active sending or receiving data."),
    Counter("DCGM_FI_PROF_PCIE_TX_BYTES", "gauge", "The rate of data transmitted over the PCIe bus - including both protocol headers and data payloads - in bytes per second."),
    Counter("DCGM_FI_PROF_PCIE_RX_BYTES", "gauge", "The rate of data received over the PCIe bus - including both protocol headers and data payloads - in bytes per second."),
];

fn page(nodes: &[GpuNode]) -> String {
    let mut page = String::new();
    for Counter(name, kind, help) in COUNTERS {
        let mut lines = String::new();
        for node in nodes {
            for gpu in &node.gpus {
                if gpu.slices.is_empty() {
                    line(&mut lines, name, node, gpu, None);
                }
                for slice in &gpu.slices {
                    line(&mut lines, name, node, gpu, Some(slice));
                }
            }
        }
        if !lines.is_empty() {
            page.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{lines}"));
        }
    }
    page
}

/// One series in the exporter's label order, where the device has the counter at all.
fn line(page: &mut String, name: &str, node: &GpuNode, gpu: &GpuDevice, slice: Option<&MigSlice>) {
    let Some(value) = value(name, gpu, slice) else { return };
    let mut labels = format!(
        "gpu=\"{index}\",UUID=\"{}\",pci_bus_id=\"{}\",device=\"nvidia{index}\",modelName=\"{}\"",
        gpu.uuid,
        gpu.pci_bus_id,
        gpu.model,
        index = gpu.index,
    );
    if let Some(MigSlice { profile, instance, .. }) = slice {
        let _ = write!(labels, ",GPU_I_PROFILE=\"{profile}\",GPU_I_ID=\"{instance}\"");
    }
    let _ = write!(labels, ",Hostname=\"{}\",DCGM_FI_DRIVER_VERSION=\"{DRIVER}\"", node.hostname);
    if let Some(pod) = slice.map_or(gpu.pod.as_ref(), |slice| slice.pod.as_ref()) {
        let _ = write!(
            labels,
            ",container=\"{}\",namespace=\"{}\",pod=\"{}\"",
            pod.container, pod.namespace, pod.name
        );
    }
    let _ = writeln!(page, "{name}{{{labels}}} {value}");
}

/// Frame buffer of the slices; the smallest tells none, as some drivers do.
fn slice_memory(slice: &MigSlice) -> Option<u64> {
    match slice.profile {
        "3g.20gb" => Some(19_968),
        "2g.10gb" => Some(9_984),
        _ => None,
    }
}

fn value(name: &str, gpu: &GpuDevice, slice: Option<&MigSlice>) -> Option<String> {
    let active = slice.map_or(gpu.engine_active, |slice| slice.engine_active);
    let total = slice.map_or(Some(gpu.memory_total_mib), slice_memory);
    let reserved = total.map(|total| total / 128);
    let used = slice.map_or(Some(gpu.memory_used_mib), |_| total.map(|total| total * 7 / 10));
    let ratio = |share: f64| Some(format!("{share:.6}"));
    let whole = |amount: f64| Some(format!("{amount:.0}"));
    let idle_watts = if gpu.memory_total_mib > 50_000 { 70.0 } else { 52.0 };
    let watts = idle_watts + active * 8.0 * idle_watts;
    match name {
        // A split device has no utilisation of its own.
        "DCGM_FI_DEV_GPU_UTIL" | "DCGM_FI_DEV_MEM_COPY_UTIL" if slice.is_some() => None,
        "DCGM_FI_DEV_GPU_UTIL" if gpu.sentinel => Some(NOT_SUPPORTED.to_owned()),
        "DCGM_FI_DEV_MEMORY_TEMP" if gpu.sentinel => Some(NOT_SUPPORTED.to_owned()),
        // A resident kernel saturates this one long before the engine is busy.
        "DCGM_FI_DEV_GPU_UTIL" => whole((active * 130.0).min(100.0)),
        "DCGM_FI_DEV_MEM_COPY_UTIL" => whole(active * 45.0),
        "DCGM_FI_DEV_SM_CLOCK" => whole(if active > 0.0 { 1_980.0 } else { 345.0 }),
        "DCGM_FI_DEV_MEM_CLOCK" => {
            whole(if gpu.memory_total_mib > 50_000 { 2_619.0 } else { 1_215.0 })
        }
        "DCGM_FI_DEV_MEMORY_TEMP" => whole(38.0 + active * 30.0),
        "DCGM_FI_DEV_GPU_TEMP" => whole(31.0 + active * 28.0),
        "DCGM_FI_DEV_POWER_USAGE" => Some(format!("{watts:.3}")),
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION" => Some(format!("{}", 48_210_334_117_u64)),
        "DCGM_FI_DEV_FB_USED" => used.map(|mib| mib.to_string()),
        "DCGM_FI_DEV_FB_RESERVED" => reserved.map(|mib| mib.to_string()),
        "DCGM_FI_DEV_FB_FREE" => {
            Some(total?.saturating_sub(used?).saturating_sub(reserved?).to_string())
        }
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE" => ratio(active),
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE" => ratio(active * 0.52),
        "DCGM_FI_PROF_DRAM_ACTIVE" => ratio(active * 0.41),
        "DCGM_FI_PROF_PCIE_TX_BYTES" => whole(active * 410_000_000.0),
        "DCGM_FI_PROF_PCIE_RX_BYTES" => whole(active * 730_000_000.0),
        _ => Some("0".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use jiff::Timestamp;

    use super::*;
    use crate::domain::ports::Clock;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            "2026-11-16T10:00:00Z".parse().unwrap()
        }
    }

    fn text(provider: Provider) -> String {
        page(&Scenario::new(1, Arc::new(Fixed)).fleet(provider, Fixed.now()))
    }

    #[test]
    fn page_holds_the_real_line_shape() {
        let text = text(Provider::Aws);
        let line = text
            .lines()
            .find(|line| line.starts_with("DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu=\"0\""))
            .unwrap();
        let names: Vec<&str> =
            line.split(['{', ',']).skip(1).filter_map(|part| part.split('=').next()).collect();
        assert_eq!(
            names,
            [
                "gpu",
                "UUID",
                "pci_bus_id",
                "device",
                "modelName",
                "Hostname",
                "DCGM_FI_DRIVER_VERSION",
                "container",
                "namespace",
                "pod"
            ]
        );
        assert!(text.contains("# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION counter\n"));
        assert!(!text.contains("FB_TOTAL"), "the default counters hold no total");
    }

    #[test]
    fn split_device_tells_slices_without_utilisation() {
        let text = text(Provider::Gcp);
        let of = |name: &str| {
            text.lines().filter(|line| line.starts_with(name) && line.contains("GPU_I_ID")).count()
        };
        assert_eq!(of("DCGM_FI_PROF_GR_ENGINE_ACTIVE{"), 3);
        assert_eq!(of("DCGM_FI_DEV_FB_USED{"), 2);
        assert_eq!(of("DCGM_FI_DEV_GPU_UTIL{"), 0);
    }

    #[test]
    fn device_memory_adds_up_to_the_model() {
        let text = text(Provider::Azure);
        let of = |name: &str| -> u64 {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        let parts =
            ["FREE", "USED", "RESERVED"].map(|part| of(&format!("DCGM_FI_DEV_FB_{part}{{")));
        assert_eq!(parts.iter().sum::<u64>(), 81_559);
        assert!(text.contains(NOT_SUPPORTED));
    }
}
