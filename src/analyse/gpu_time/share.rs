//! How a device's time is shared: between MIG slices, and between the pods on one of them.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::analyse::gpu_state::StateTrack;
use crate::domain::gpu::{GpuSample, MigSlices};
use crate::domain::gpu_time::{GpuState, HeldBy, StateRules};

/// The past of each part of a device, by MIG instance.
pub(super) type Tracks = HashMap<Option<String>, StateTrack>;

/// One part of a device: what it does, how much of the device it is, who holds it.
pub(super) struct Unit {
    pub(super) state: GpuState,
    pub(super) weight: f64,
    pub(super) holders: Vec<(HeldBy, f64)>,
}

impl Unit {
    /// A device that does one thing.
    pub(super) fn whole(state: GpuState) -> Self {
        Self { state, weight: 1.0, holders: Vec::new() }
    }
}

/// The parts of a device at a reading. Their weights add up to 1.
pub(super) fn units(
    tracks: &mut Tracks,
    parts: &[&GpuSample],
    at: Timestamp,
    rules: &StateRules,
) -> Vec<Unit> {
    let whole = parts.iter().all(|part| part.key.mig_instance.is_none());
    let covered: f64 = parts.iter().map(|part| weight(part, whole)).sum();
    let scale = covered.max(1.0);
    tracks.retain(|key, _| parts.iter().any(|part| part.key.mig_instance == *key));
    let mut units: Vec<Unit> = parts
        .iter()
        .map(|part| {
            let track = tracks.entry(part.key.mig_instance.clone()).or_default();
            Unit {
                state: track.judge(part, at, rules),
                weight: weight(part, whole) / scale,
                holders: holders(part),
            }
        })
        .collect();
    if covered < 1.0 {
        let rest = 1.0 - covered;
        units.push(Unit { state: GpuState::Unallocated, weight: rest, holders: Vec::new() });
    }
    units
}

fn weight(part: &GpuSample, whole: bool) -> f64 {
    if whole {
        return 1.0;
    }
    let all = if part.model.contains("A30") { 4.0 } else { 7.0 };
    // A slice whose profile nobody tells is the smallest one.
    let told = part.mig_profile.as_deref().and_then(|profile| profile_share(part, profile, all));
    told.unwrap_or(1.0 / all)
}

/// How much of its device, which has so many MIG slices, a part with this profile is.
///
/// Of `1c.3g.40gb` the `3g` counts, unless the part is told as a compute instance by itself. AMD's
/// partitions are equal; `spx` is a whole device. In `cpx` each die is one, which are eight but on
/// an MI300A (AMD's compute partitioning modes).
fn profile_share(part: &GpuSample, profile: &str, all: f64) -> Option<f64> {
    let partitions = match profile.to_ascii_lowercase().as_str() {
        "spx" => 1.0,
        "dpx" => 2.0,
        "tpx" => 3.0,
        "qpx" => 4.0,
        "cpx" if part.model.contains("MI300A") => 6.0,
        "cpx" => 8.0,
        _ => {
            let slices = MigSlices::of(profile)?;
            let own = slices.compute.filter(|_| part.key.is_compute_instance());
            return Some(f64::from(own.unwrap_or(slices.gpu)) / all);
        }
    };
    Some(1.0 / partitions)
}

fn holders(part: &GpuSample) -> Vec<(HeldBy, f64)> {
    let told: Option<Vec<f64>> =
        part.holders.iter().map(|holder| holder.utilization.map(|share| share.ratio())).collect();
    let sum: f64 = told.iter().flatten().sum();
    #[expect(clippy::cast_precision_loss, reason = "a GPU has few pods")]
    let equal = 1.0 / part.holders.len() as f64;
    let mut shares: Vec<(HeldBy, f64)> = Vec::new();
    for (index, holder) in part.holders.iter().enumerate() {
        let share = match &told {
            Some(told) if sum > 0.0 => told.get(index).map_or(equal, |own| own / sum),
            _ => equal,
        };
        let held_by = HeldBy::of_pod(&holder.pod);
        match shares.iter_mut().find(|(known, _)| *known == held_by) {
            Some((_, sum)) => *sum += share,
            None => shares.push((held_by, share)),
        }
    }
    shares
}

/// Shares of a device by state.
pub(super) fn shares(units: &[Unit]) -> Vec<(GpuState, f64)> {
    let mut shares: Vec<(GpuState, f64)> = Vec::new();
    for unit in units {
        match shares.iter_mut().find(|(state, _)| *state == unit.state) {
            Some((_, sum)) => *sum += unit.weight,
            None => shares.push((unit.state, unit.weight)),
        }
    }
    shares
}

/// Splits milliseconds over units and their holders: whole ones, that add up to all of them.
pub(super) fn split(units: &[Unit], length: u64) -> Vec<(GpuState, Option<&HeldBy>, u64)> {
    let parts = units.iter().flat_map(|unit| {
        let nobody = unit.holders.is_empty().then_some((unit.state, None, unit.weight));
        let held = unit
            .holders
            .iter()
            .map(|(held_by, share)| (unit.state, Some(held_by), unit.weight * share));
        nobody.into_iter().chain(held)
    });
    let mut split = Vec::new();
    let (mut share_so_far, mut told) = (0.0, 0_u64);
    for (state, held_by, share) in parts {
        share_so_far += share;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "an interval has fewer than 2^52 milliseconds and shares are positive"
        )]
        let reached = ((length as f64 * share_so_far).round() as u64).min(length);
        split.push((state, held_by, reached.saturating_sub(told)));
        told = told.max(reached);
    }
    if let Some((_, _, last)) = split.last_mut() {
        *last += length - told;
    }
    split
}
