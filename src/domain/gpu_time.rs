//! GPU time: how long which GPUs were in which state. Time is counted once and in whole
//! milliseconds; money is made of it later, so that a late bill changes no time.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::gpu::GpuKey;
use crate::domain::identity::SourceId;
use crate::domain::node::Fleet;

/// What a GPU does for its money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GpuState {
    /// Its engines work.
    Busy,
    /// Its engines work now and then.
    Low,
    /// Its memory is held and its engines are idle.
    HeldIdle,
    /// Somebody holds it and has loaded nothing.
    Empty,
    /// Nobody asked for it.
    Unallocated,
    /// It reports an error that stops work, or its node has lost it.
    Unhealthy,
    /// Nobody can tell: samples are missing.
    Unknown,
}

impl GpuState {
    /// Every state, in the order in which they are shown and kept.
    pub const ALL: [Self; 7] = [
        Self::Busy,
        Self::Low,
        Self::HeldIdle,
        Self::Empty,
        Self::Unallocated,
        Self::Unhealthy,
        Self::Unknown,
    ];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Low => "low",
            Self::HeldIdle => "held_idle",
            Self::Empty => "empty",
            Self::Unallocated => "unallocated",
            Self::Unhealthy => "unhealthy",
            Self::Unknown => "unknown",
        }
    }

    /// Whether money is paid for it and no work is done: what could be given back.
    pub fn is_idle(self) -> bool {
        matches!(self, Self::HeldIdle | Self::Empty | Self::Unallocated | Self::Unhealthy)
    }
}

/// Milliseconds of GPU time by state, in the order of [`GpuState::ALL`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateTime([u64; 7]);

impl StateTime {
    /// From milliseconds in the order of [`GpuState::ALL`].
    pub fn from_milliseconds(milliseconds: [u64; 7]) -> Self {
        Self(milliseconds)
    }

    /// Adds time in a state.
    pub fn add(&mut self, state: GpuState, milliseconds: u64) {
        let slot = &mut self.0[state as usize];
        *slot = slot.saturating_add(milliseconds);
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        for (slot, more) in self.0.iter_mut().zip(other.0) {
            *slot = slot.saturating_add(more);
        }
    }

    /// Milliseconds in a state.
    pub fn milliseconds(&self, state: GpuState) -> u64 {
        self.0[state as usize]
    }

    /// Milliseconds in all.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, more| sum.saturating_add(*more))
    }

    /// States with their milliseconds.
    pub fn iter(&self) -> impl Iterator<Item = (GpuState, u64)> {
        GpuState::ALL.into_iter().zip(self.0)
    }

    /// The milliseconds in the order of [`GpuState::ALL`].
    pub fn to_milliseconds(self) -> [u64; 7] {
        self.0
    }
}

/// A workload: the pods of one owner. The suffixes that Kubernetes gives to pods are left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Workload {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Time that was counted: so long were GPUs of a fleet, on a node, held by a workload, in states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuTime {
    /// The day in the provider's billing zone; in UTC on premises.
    pub day: Date,
    /// Which GPUs.
    pub fleet: Fleet,
    /// On which node.
    pub node: String,
    /// Held by whom; none for nobody.
    pub workload: Option<Workload>,
    /// How long in which state.
    pub time: StateTime,
}

/// Up to when a GPU's time was counted: what a restart must know so that nothing is counted twice
/// and nothing is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuMark {
    /// Which device or MIG slice.
    pub key: GpuKey,
    /// The telemetry source that counts it.
    pub source: SourceId,
    /// Its node.
    pub node: String,
    /// Its fleet.
    pub fleet: Fleet,
    /// Its MIG profile, where it is a slice.
    pub mig_profile: Option<String>,
    /// Its state when it was counted last.
    pub state: GpuState,
    /// Time before this instant is counted.
    pub counted_until: Timestamp,
}
