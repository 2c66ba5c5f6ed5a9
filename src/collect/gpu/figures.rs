//! What metrics say of a device, and which values can be a measurement.

use crate::domain::gpu::DropReason;

/// More than any GPU has, in MiB; sentinels are far beyond it.
const MOST_MEBIBYTES: f64 = 16_777_216.0;
/// More than any XID that NVIDIA documents.
const GREATEST_XID: f64 = 65_535.0;
/// "Not supported" of drivers that say it with the greatest number of 16 and of 32 bits.
const SENTINELS: [f64; 2] = [65_535.0, 4_294_967_295.0];
/// The same of 64 bits, and NVIDIA's 2^63 less a few: no measurement is as great.
const LEAST_GREAT_SENTINEL: f64 = 1e15;

/// What a metric says of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Share of time in which the graphics engine was active, 0 to 1.
    EngineActive,
    /// Share of time in which a kernel was resident, in percent.
    Resident,
    /// AMD's share of time in which the graphics engine was active, in percent.
    GfxActivity,
    /// Memory in use, MiB.
    MemoryUsed,
    /// Memory not in use, MiB.
    MemoryFree,
    /// Memory that the driver keeps, MiB.
    MemoryReserved,
    /// Memory in all, MiB.
    MemoryTotal,
    /// The newest XID error.
    Xid,
    /// Whether the exporter takes the device for healthy: 1 or 0.
    Healthy,
    /// Nothing but that the device is there.
    Presence,
}

impl Figure {
    const COUNT: usize = 10;

    /// Whether a value can be a measurement, or why it is none.
    pub(super) fn admit(self, value: f64) -> Result<(), DropReason> {
        let admitted = match self {
            Self::EngineActive => (0.0..=1.0).contains(&value),
            Self::Resident | Self::GfxActivity => (0.0..=100.0).contains(&value),
            Self::MemoryUsed | Self::MemoryFree | Self::MemoryReserved | Self::MemoryTotal => {
                (0.0..=MOST_MEBIBYTES).contains(&value)
            }
            Self::Xid => (0.0..=GREATEST_XID).contains(&value) && value.fract() == 0.0,
            Self::Healthy => value == 0.0 || value == 1.0,
            Self::Presence => true,
        };
        match admitted {
            true => Ok(()),
            false if !value.is_finite() => Err(DropReason::NotANumber),
            false if SENTINELS.contains(&value) || value.abs() >= LEAST_GREAT_SENTINEL => {
                Err(DropReason::Sentinel)
            }
            false => Err(DropReason::OutOfRange),
        }
    }
}

/// The greatest value of each figure; of health the least.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Figures([Option<f64>; Figure::COUNT]);

impl Figures {
    pub(super) fn get(&self, figure: Figure) -> Option<f64> {
        self.0.get(figure as usize).copied().flatten()
    }

    pub(super) fn add(&mut self, figure: Figure, value: f64) {
        if let Some(slot) = self.0.get_mut(figure as usize) {
            let choose = if figure == Figure::Healthy { f64::min } else { f64::max };
            *slot = Some(slot.map_or(value, |held| choose(held, value)));
        }
    }
}
