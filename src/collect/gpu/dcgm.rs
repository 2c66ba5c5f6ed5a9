//! The words of NVIDIA's dcgm-exporter (releases 2 to 4, and the names of release 1).
//!
//! Facts about the outside: `Hostname` became `hostname` in 2026, so names are taken whatever
//! their case; the driver's "not supported" leaks as 9223372036854775794; there is no total of the
//! frame buffer by default, it is free + used + reserved; under time-slicing (`vgpu`) a device has
//! a series for each pod, with the device's value or, of `GPU_UTIL` and `FB_USED` since 2026, with
//! the pod's own; `DCGM_FI_DRIVER_VERSION` stands as a label on every series.

use crate::collect::gpu::exposition::Value;
use crate::collect::gpu::figures::Figure;
use crate::collect::gpu::series::{Series, first};

const PREFIX: &str = "DCGM_FI_";

/// Metrics behind [`PREFIX`].
const FIGURES: [(&str, Figure); 9] = [
    ("PROF_GR_ENGINE_ACTIVE", Figure::EngineActive),
    ("DEV_GPU_UTIL", Figure::Resident),
    ("DEV_FB_USED", Figure::MemoryUsed),
    ("DEV_FB_FREE", Figure::MemoryFree),
    ("DEV_FB_RESERVED", Figure::MemoryReserved),
    ("DEV_FB_TOTAL", Figure::MemoryTotal),
    ("DEV_XID_ERRORS", Figure::Xid),
    // Every device tells one of these, one in trouble too.
    ("DEV_GPU_TEMP", Figure::Presence),
    ("DEV_POWER_USAGE", Figure::Presence),
];

/// Metrics of `1.x-compatibility-metrics.csv`.
const OLD_FIGURES: [(&str, Figure); 6] = [
    ("dcgm_gpu_utilization", Figure::Resident),
    ("dcgm_fb_used", Figure::MemoryUsed),
    ("dcgm_fb_free", Figure::MemoryFree),
    ("dcgm_xid_errors", Figure::Xid),
    ("dcgm_gpu_temp", Figure::Presence),
    ("dcgm_power_usage", Figure::Presence),
];

/// Its own labels, as it writes them.
pub const LABELS: [&str; 5] = ["UUID", "uuid", "GPU_I_ID", "GPU_I_PROFILE", "modelName"];

/// The name of every metric that is read. The first release wrote some in lower case.
pub fn metrics() -> impl Iterator<Item = String> {
    let now = FIGURES.iter().map(|(name, _)| format!("{PREFIX}{name}"));
    let lower = now.clone().map(|name| name.to_ascii_lowercase());
    now.chain(lower).chain(OLD_FIGURES.iter().map(|(name, _)| (*name).to_owned()))
}

/// Whether a metric is one of the exporter's at all.
pub fn is_own(name: &str) -> bool {
    name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("dcgm_"))
}

/// What a metric says, if it is one that is read.
pub fn figure(name: &str) -> Option<Figure> {
    let find = |table: &[(&str, Figure)], name: &str| {
        let found = table.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, figure)| *figure)
    };
    match name.split_at_checked(PREFIX.len()) {
        Some((start, field)) if start.eq_ignore_ascii_case(PREFIX) => find(&FIGURES, field),
        _ => find(&OLD_FIGURES, name),
    }
}

/// Takes a label of one of the exporter's series. `name` is in lower case.
pub fn label<'a>(series: &mut Series<'a>, name: &[u8], value: Value<'a>) {
    match name {
        b"uuid" => first(&mut series.uuid, value.text()),
        b"gpu_i_id" => first(&mut series.instance, value.text()),
        b"gpu_i_profile" => first(&mut series.profile, value.text()),
        b"modelname" => first(&mut series.model, value.text()),
        b"vgpu" => series.shared |= !value.is_empty(),
        // On every series, and of no use: passed over before they are compared any further.
        b"gpu" | b"pci_bus_id" | b"device" | b"dcgm_fi_driver_version" => {}
        _ => series.common(name, value.text()),
    }
}

#[cfg(test)]
mod tests;
