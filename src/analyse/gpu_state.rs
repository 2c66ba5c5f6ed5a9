//! What a GPU does, from its samples: thresholds with hysteresis over a short window.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;

use crate::domain::gpu::GpuSample;
use crate::domain::gpu_time::{GpuState, StateRules};

/// XID errors after which a GPU does no work until somebody mends it: double-bit ECC, page
/// retirement and row remapping failures, NVLink, fallen off the bus, contained and uncontained
/// memory errors, GSP timeouts ("XID Errors", NVIDIA's documentation). The others are the
/// application's.
const FATAL_XIDS: [u32; 12] = [46, 48, 62, 64, 74, 79, 92, 94, 95, 119, 120, 140];

/// One GPU's or slice's recent past.
#[derive(Debug, Clone, Default)]
pub struct StateTrack {
    state: Option<GpuState>,
    /// The fatal XID after which the engines have worked again: the driver goes on telling it.
    worked_after: Option<u32>,
    /// The XID of the sample before.
    told: Option<u32>,
    /// Who held it at the sample before, as a hash of the pods.
    held_by: Option<u64>,
    recent: VecDeque<(Timestamp, f64)>,
}

impl StateTrack {
    /// The state that a sample shows.
    ///
    /// A fatal XID makes a GPU unhealthy until its engines work again: the driver tells the newest
    /// error for as long as it runs. What one pod did says nothing of the next one, or of none.
    pub fn judge(&mut self, sample: &GpuSample, at: Timestamp, rules: &StateRules) -> GpuState {
        let held_by = Some(holders(sample));
        if self.held_by != held_by {
            self.recent.clear();
            self.state = None;
            self.held_by = held_by;
        }
        let share = sample.utilization.map(|share| self.mean(share.ratio(), at, rules));
        let state = self.of(sample, share, rules);
        // The mean holds work from before the error, and so may the sample that tells it first.
        let works = sample.utilization.is_some_and(|share| share.ratio() >= rules.idle_below);
        if works && self.told == sample.xid {
            self.worked_after = sample.xid;
        }
        self.told = sample.xid;
        self.state = Some(state);
        state
    }

    /// Forgets what was measured: after a silence it says nothing. An error that was worked off stays
    /// so.
    pub fn forget(&mut self) {
        let Self { worked_after, told, .. } = *self;
        *self = Self { worked_after, told, ..Self::default() };
    }

    fn mean(&mut self, share: f64, at: Timestamp, rules: &StateRules) -> f64 {
        let is_old = |then: Timestamp| at.duration_since(then) >= rules.window;
        while self.recent.front().is_some_and(|(then, _)| is_old(*then)) {
            self.recent.pop_front();
        }
        self.recent.push_back((at, share));
        #[expect(clippy::cast_precision_loss, reason = "a window holds few samples")]
        let count = self.recent.len() as f64;
        self.recent.iter().map(|(_, share)| share).sum::<f64>() / count
    }

    fn of(&self, sample: &GpuSample, share: Option<f64>, rules: &StateRules) -> GpuState {
        let fatal = sample
            .xid
            .is_some_and(|xid| FATAL_XIDS.contains(&xid) && self.worked_after != Some(xid));
        // What the exporter condemns gets no new work, and may still finish what it has.
        let condemned = sample.healthy == Some(false);
        let Some(share) = share else {
            let bad = fatal || condemned;
            return if bad { GpuState::Unhealthy } else { GpuState::Unknown };
        };
        let kept = |threshold: f64, held: bool| match held {
            true => threshold * (1.0 - rules.margin),
            false => threshold,
        };
        if share >= kept(rules.busy_from, self.state == Some(GpuState::Busy)) {
            return GpuState::Busy;
        }
        let working = matches!(self.state, Some(GpuState::Busy | GpuState::Low));
        if share >= kept(rules.idle_below, working) {
            return GpuState::Low;
        }
        if fatal || condemned {
            return GpuState::Unhealthy;
        }
        let held = !sample.holders.is_empty();
        match (loaded(sample, rules), held) {
            (Some(true), _) | (None, true) => GpuState::HeldIdle,
            (Some(false), true) => GpuState::Empty,
            (Some(false) | None, false) => GpuState::Unallocated,
        }
    }
}

fn holders(sample: &GpuSample) -> u64 {
    let mut hasher = DefaultHasher::new();
    for holder in &sample.holders {
        (&holder.pod.namespace, &holder.pod.name).hash(&mut hasher);
    }
    hasher.finish()
}

/// Whether something lies in the memory; none where the exporter tells none of it.
fn loaded(sample: &GpuSample, rules: &StateRules) -> Option<bool> {
    let (used, total) = (sample.memory_used_bytes?, sample.memory_total_bytes?);
    #[expect(clippy::cast_precision_loss, reason = "a share of memory is not money")]
    let share = used as f64 / total.max(1) as f64;
    Some(share >= rules.empty_below)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use jiff::SignedDuration;

    use super::*;
    use crate::domain::gpu::{GpuKey, Holder, Pod, Utilization};

    fn sample(share: f64, used: u64, held: bool) -> GpuSample {
        let pod = Pod { namespace: "a".to_owned(), name: "b".to_owned() };
        GpuSample {
            key: GpuKey { uuid: "GPU-1".to_owned(), mig_instance: None },
            model: String::new(),
            mig_profile: None,
            hostname: None,
            utilization: Utilization::from_ratio(share),
            signal: None,
            memory_used_bytes: Some(used),
            memory_total_bytes: Some(1000),
            holders: if held { vec![Holder { pod, utilization: None }] } else { vec![] },
            xid: Some(0),
            healthy: None,
        }
    }

    fn once(sample: &GpuSample) -> GpuState {
        StateTrack::default().judge(sample, Timestamp::UNIX_EPOCH, &StateRules::default())
    }

    #[test]
    fn each_state_has_its_sample() {
        assert_eq!(once(&sample(0.30, 500, true)), GpuState::Busy);
        assert_eq!(once(&sample(0.29, 500, true)), GpuState::Low);
        assert_eq!(once(&sample(0.049, 500, true)), GpuState::HeldIdle);
        assert_eq!(once(&sample(0.0, 500, false)), GpuState::HeldIdle, "held outside Kubernetes");
        assert_eq!(once(&sample(0.0, 19, true)), GpuState::Empty);
        assert_eq!(once(&sample(0.0, 19, false)), GpuState::Unallocated);
        let silent = GpuSample { utilization: None, ..sample(0.0, 500, true) };
        assert_eq!(once(&silent), GpuState::Unknown);
    }

    #[test]
    fn a_fatal_xid_is_unhealthy_until_the_engines_work_again() {
        let with = |xid, share| once(&GpuSample { xid: Some(xid), ..sample(share, 500, true) });
        assert_eq!(with(79, 0.0), GpuState::Unhealthy);
        assert_eq!(with(79, 0.5), GpuState::Busy);
        assert_eq!(with(31, 0.0), GpuState::HeldIdle, "an application's own fault");
        let rules = StateRules { window: SignedDuration::from_secs(1), ..StateRules::default() };
        let mut track = StateTrack::default();
        let mut at = Timestamp::UNIX_EPOCH;
        let mut states = Vec::new();
        for (xid, share) in [(94, 0.0), (94, 0.6), (94, 0.0), (79, 0.0)] {
            at += SignedDuration::from_secs(30);
            let sample = GpuSample { xid: Some(xid), ..sample(share, 500, true) };
            states.push(track.judge(&sample, at, &rules));
        }
        use GpuState::{Busy, HeldIdle, Unhealthy};
        assert_eq!(states, [Unhealthy, Busy, HeldIdle, Unhealthy]);
    }

    #[test]
    fn a_gpu_that_worked_until_its_error_is_unhealthy_for_as_long_as_it_stands_still() {
        let mut track = StateTrack::default();
        let mut at = Timestamp::UNIX_EPOCH;
        let mut read = |track: &mut StateTrack, xid, share| {
            at += SignedDuration::from_secs(30);
            let sample = GpuSample { xid: Some(xid), ..sample(share, 500, true) };
            track.judge(&sample, at, &StateRules::default())
        };
        use GpuState::{Busy, HeldIdle, Low, Unhealthy};
        // The first sample with the error may still tell of work before it.
        for (xid, share, state) in [
            (0, 0.9, Busy),
            (79, 0.4, Busy),
            (79, 0.0, Low),
            (79, 0.0, Unhealthy),
            (79, 0.0, Unhealthy),
        ] {
            assert_eq!(read(&mut track, xid, share), state, "{xid} {share}");
        }
        read(&mut track, 79, 0.9);
        track.forget();
        assert_eq!(read(&mut track, 79, 0.0), HeldIdle, "it has worked, whatever silence followed");
    }

    #[test]
    fn what_its_exporter_condemns_is_unhealthy_once_it_stands_still() {
        let with = |healthy, share| once(&GpuSample { healthy, ..sample(share, 500, true) });
        assert_eq!(with(Some(false), 0.0), GpuState::Unhealthy);
        assert_eq!(with(Some(false), 0.5), GpuState::Busy);
        assert_eq!(with(Some(true), 0.0), GpuState::HeldIdle);
        let silent = GpuSample { utilization: None, ..sample(0.0, 0, false) };
        assert_eq!(once(&GpuSample { healthy: Some(false), ..silent }), GpuState::Unhealthy);
    }

    #[test]
    fn a_state_is_left_a_margin_below_its_threshold() {
        let rules = StateRules { window: SignedDuration::from_secs(1), ..StateRules::default() };
        let mut track = StateTrack::default();
        let mut at = Timestamp::UNIX_EPOCH;
        let mut states = Vec::new();
        for share in [0.29, 0.31, 0.25, 0.23, 0.29, 0.045, 0.039, 0.045] {
            at += SignedDuration::from_secs(30);
            states.push(track.judge(&sample(share, 500, true), at, &rules));
        }
        use GpuState::{Busy, HeldIdle, Low};
        assert_eq!(states, [Low, Busy, Busy, Low, Low, Low, HeldIdle, HeldIdle]);
    }

    #[test]
    fn what_a_pod_did_is_not_the_next_ones_work() {
        let mut track = StateTrack::default();
        let rules = StateRules::default();
        let mut at = Timestamp::UNIX_EPOCH;
        let mut read = |share, held| {
            at += SignedDuration::from_secs(30);
            track.judge(&sample(share, 0, held), at, &rules)
        };
        use GpuState::{Busy, Low, Unallocated};
        assert_eq!(read(0.9, true), Busy);
        assert_eq!(read(0.0, false), Unallocated, "the pod is gone, and its work with it");
        assert_eq!(read(0.35, true), Busy, "no idleness of before is averaged in");
        assert_eq!(read(0.0, true), Low, "the same pod's is");
    }

    #[test]
    fn a_spike_within_the_window_is_averaged() {
        let mut track = StateTrack::default();
        let rules = StateRules { window: SignedDuration::from_secs(60), ..StateRules::default() };
        let second = |seconds| Timestamp::from_second(seconds).unwrap();
        track.judge(&sample(0.0, 500, true), second(0), &rules);
        track.judge(&sample(0.0, 500, true), second(20), &rules);
        assert_eq!(track.judge(&sample(0.5, 500, true), second(40), &rules), GpuState::Low);
        assert_eq!(track.judge(&sample(0.5, 500, true), second(90), &rules), GpuState::Busy);
    }
}
