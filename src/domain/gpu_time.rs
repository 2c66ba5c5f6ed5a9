//! GPU time: how long which GPUs were in which state. Time is counted once and in whole
//! milliseconds; money is made of it later, so that a late bill changes no time.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::gpu::Pod;
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

/// When a GPU is in which state. A share is 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StateRules {
    /// From this share of engine time on a GPU is busy.
    pub busy_from: f64,
    /// Below this share its engines are idle.
    pub idle_below: f64,
    /// Below this share of its memory nothing is loaded.
    pub empty_below: f64,
    /// A state is entered at its threshold and left so far below it, as a share of the threshold.
    pub margin: f64,
    /// Over how long engine time is averaged.
    pub window: SignedDuration,
    /// A longer silence between two samples is unknown.
    pub gap: SignedDuration,
}

impl Default for StateRules {
    fn default() -> Self {
        Self {
            busy_from: 0.30,
            idle_below: 0.05,
            empty_below: 0.02,
            margin: 0.2,
            window: SignedDuration::from_secs(60),
            gap: SignedDuration::from_secs(180),
        }
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

    /// Takes a part out: `part` of `whole`, rounded down to whole milliseconds.
    pub fn part(&self, part: u64, whole: u64) -> Self {
        let of = |milliseconds: u64| {
            let product = u128::from(milliseconds) * u128::from(part.min(whole));
            u64::try_from(product.checked_div(u128::from(whole)).unwrap_or(0)).unwrap_or(u64::MAX)
        };
        Self(self.0.map(of))
    }

    /// What is left without another.
    pub fn without(&self, other: &Self) -> Self {
        let mut left = *self;
        for (slot, less) in left.0.iter_mut().zip(other.0) {
            *slot = slot.saturating_sub(less);
        }
        left
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

impl Workload {
    /// The workload of a pod, by the names that Kubernetes gives: a Deployment's pods end in a
    /// template hash and five letters, a Job's in an index and five letters, a StatefulSet's in an
    /// ordinal. Letters that Kubernetes draws are neither vowels nor look-alikes
    /// (`k8s.io/apimachinery/pkg/util/rand`), so that most words of a name are told from them.
    pub fn of_pod(pod: &Pod) -> Self {
        let drawn =
            |text: &str| text.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte));
        let ordinal = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let mut name = pod.name.as_str();
        if let Some((owner, last)) = name.rsplit_once('-') {
            if last.len() == 5 && drawn(last) {
                name = owner;
                if let Some((owner, hash)) = name.rsplit_once('-') {
                    let template = (8..=10).contains(&hash.len()) && drawn(hash);
                    if template || ordinal(hash) {
                        name = owner;
                    }
                }
            } else if ordinal(last) {
                name = owner;
            }
        }
        Self { namespace: pod.namespace.clone(), name: name.to_owned() }
    }
}

/// Who holds a GPU: a pod of a workload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeldBy {
    /// The workload, with its namespace.
    pub workload: Workload,
    /// The pod's name.
    pub pod: String,
}

impl HeldBy {
    /// By a pod.
    pub fn of_pod(pod: &Pod) -> Self {
        Self { workload: Workload::of_pod(pod), pod: pod.name.clone() }
    }
}

/// Time that was counted: so long were GPUs of a fleet, on a node, held by a pod, in states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuTime {
    /// The day in the provider's billing zone; in UTC on premises.
    pub day: Date,
    /// Which GPUs.
    pub fleet: Fleet,
    /// On which node.
    pub node: String,
    /// Held by whom; none for nobody.
    pub held_by: Option<HeldBy>,
    /// How long in which state.
    pub time: StateTime,
}

/// Time of one fleet on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetDay {
    /// The day in the provider's billing zone.
    pub day: Date,
    /// Which GPUs.
    pub fleet: Fleet,
    /// How long in which state.
    pub time: StateTime,
}

/// Up to when a GPU's time was counted: what a restart must know so that nothing is counted twice
/// and nothing is left out. MIG slices are counted with their device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuMark {
    /// The device's UUID.
    pub uuid: String,
    /// The telemetry source that counts it.
    pub source: SourceId,
    /// Its node.
    pub node: String,
    /// The cluster that its source names, which tells nodes of one name apart; the fleet's where an
    /// earlier version kept it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_cluster: Option<String>,
    /// Its fleet.
    pub fleet: Fleet,
    /// Time before this instant is counted.
    pub counted_until: Timestamp,
    /// When it told something of itself last.
    pub last_seen: Timestamp,
    /// Since when its node tells of others and not of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_since: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_what_kubernetes_named_its_pods_after() {
        for (pod, workload) in [
            ("text-to-video-6d8f9c7b5-x2v7k", "text-to-video"),
            ("trainer-0", "trainer"),
            ("sweep-17-bq4zt", "sweep"),
            ("import-data", "import-data"),
            ("render-frames-h264k", "render-frames"),
            ("notebook", "notebook"),
        ] {
            let pod = Pod { namespace: "a".to_owned(), name: pod.to_owned() };
            assert_eq!(Workload::of_pod(&pod).name, workload, "{}", pod.name);
        }
    }

    #[test]
    fn states_add_up() {
        let mut time = StateTime::default();
        time.add(GpuState::Busy, 5);
        time.add(GpuState::Unknown, 7);
        let mut sum = StateTime::from_milliseconds([1; 7]);
        sum.merge(&time);
        assert_eq!((sum.total(), sum.milliseconds(GpuState::Unknown)), (19, 8));
    }
}
