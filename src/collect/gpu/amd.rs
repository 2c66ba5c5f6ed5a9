//! The words of AMD's device-metrics-exporter (releases 1.0 to 1.5).
//!
//! Facts about the outside: names and labels are written in upper case in its documents and come
//! in lower case, with a configured prefix such as `amd_`; "MB" of VRAM are MiB; used and free VRAM
//! are not told inside a virtual machine; a value that the driver does not have leaks as the
//! greatest of its width; `gpu_health` is 1 for healthy and 0 for not, by the exporter's own
//! thresholds of uncorrectable ECC errors; `gpu_gfx_activity` is told of unpartitioned GPUs only;
//! serial number and host name are on every series, a UUID only where it is configured.

use std::borrow::Cow;

use crate::collect::gpu::exposition::Value;
use crate::collect::gpu::figures::Figure;
use crate::collect::gpu::series::{Series, first};

const PREFIX: &str = "amd_";

const FIGURES: [(&str, Figure); 8] = [
    ("gpu_gfx_activity", Figure::GfxActivity),
    ("gpu_used_vram", Figure::MemoryUsed),
    ("gpu_free_vram", Figure::MemoryFree),
    ("gpu_total_vram", Figure::MemoryTotal),
    ("gpu_health", Figure::Healthy),
    // Every device tells one of these, inside a virtual machine too.
    ("gpu_umc_activity", Figure::Presence),
    ("gpu_power_usage", Figure::Presence),
    ("gpu_package_power", Figure::Presence),
];

/// Its own labels, as it writes them.
pub const LABELS: [&str; 6] = [
    "gpu_uuid",
    "serial_number",
    "gpu_id",
    "gpu_compute_partition_type",
    "card_series",
    "card_model",
];

/// The name of every metric that is read, without and with the usual prefix.
pub fn metrics() -> impl Iterator<Item = String> {
    let bare = FIGURES.iter().map(|(name, _)| (*name).to_owned());
    bare.chain(FIGURES.iter().map(|(name, _)| format!("{PREFIX}{name}")))
}

/// What the labels of an AMD series say of its device, before it is clear which of them name it.
#[derive(Debug, Default)]
pub struct Card<'a> {
    uuid: Option<Cow<'a, str>>,
    serial: Option<Cow<'a, str>>,
    gpu: Option<Cow<'a, str>>,
    partition: Option<Cow<'a, str>>,
    series: Option<Cow<'a, str>>,
    model: Option<Cow<'a, str>>,
}

/// What a metric says, if it is one that is read.
pub fn figure(name: &str) -> Option<Figure> {
    let bare = match name.split_at_checked(PREFIX.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(PREFIX) => rest,
        _ => name,
    };
    let found = FIGURES.iter().find(|(known, _)| known.eq_ignore_ascii_case(bare));
    found.map(|(_, figure)| *figure)
}

/// Takes a label of one of the exporter's series. `name` is in lower case.
pub fn label<'a>(series: &mut Series<'a>, card: &mut Card<'a>, name: &[u8], value: Value<'a>) {
    let slot = match name {
        b"gpu_uuid" => &mut card.uuid,
        b"serial_number" => &mut card.serial,
        b"gpu_id" => &mut card.gpu,
        b"gpu_compute_partition_type" => &mut card.partition,
        b"card_series" => &mut card.series,
        b"card_model" => &mut card.model,
        _ => return series.common(name, value.text()),
    };
    let known = !value.raw_is(&["", "N/A", "n/a"]);
    if known {
        first(slot, value.text());
    }
}

impl<'a> Card<'a> {
    /// Names the device of a series.
    ///
    /// A whole GPU is its UUID, else its serial number, else its place on its node. A partition is
    /// a slice of the card with its serial number, told apart by its number on the node.
    pub fn name(self, series: &mut Series<'a>) {
        series.model = self.series.or(self.model);
        let partition = self.partition.filter(|kind| !kind.eq_ignore_ascii_case("spx"));
        let place = || match (&series.hostname, &self.gpu) {
            (Some(host), Some(gpu)) => Some(Cow::Owned(format!("{host}/gpu{gpu}"))),
            _ => None,
        };
        if partition.is_some() && self.gpu.is_some() {
            series.uuid = self.serial.or(self.uuid).or_else(place);
            series.instance = self.gpu;
            series.profile = partition;
        } else {
            series.uuid = self.uuid.or(self.serial).or_else(place);
        }
    }
}

#[cfg(test)]
mod tests;
