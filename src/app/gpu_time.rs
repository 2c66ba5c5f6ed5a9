//! Counts GPU time of every reading, keeps it in the ledger, and tells the publisher.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::analyse::gpu_picture::{FleetGauge, GpuBooks, GpuTimes};
use crate::analyse::gpu_time::{Accountant, Counted, DeviceView};
use crate::domain::band::PeriodLabel;
use crate::domain::gpu::{GpuReport, Pod};
use crate::domain::gpu_money::{NodeNow, zone_of};
use crate::domain::gpu_time::{GpuMark, GpuState, GpuTime, HeldBy, StateRules, StateTime};
use crate::domain::identity::{Provider, SourceId};
use crate::domain::node::{Fleet, NodeInventory};
use crate::domain::period::{BillingZone, Window};
use crate::domain::ports::Clock;
use crate::domain::role::Role;
use crate::runtime::supervisor::Shutdown;
use crate::store::{Ledger, LedgerError, LedgerHandle};
use crate::telemetry::self_metrics::SelfMetrics;

/// How often silent devices are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How often what was counted goes into the ledger: as much is unknown after `kill -9`, at most.
const KEEP_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// How long the first figures of a source wait for those of others.
const FIRST_AFTER: Duration = Duration::from_secs(2);
/// The zones of billing days.
const ZONES: [BillingZone; 2] = [BillingZone::Utc, BillingZone::Pacific];

/// What of a node's GPUs is the agent's: everything, but for a sidecar what its own pod holds.
///
/// All of them are counted, since a machine is guessed from all its GPUs and a shared GPU's time is
/// split among all who hold it.
struct OwnGpus {
    pod: Option<(Pod, HeldBy)>,
    /// The devices that the pod holds a part of, by source.
    held: BTreeMap<SourceId, BTreeSet<String>>,
}

impl OwnGpus {
    fn new(role: &Role) -> Self {
        let pod = role.own_pod().map(|pod| (pod.clone(), HeldBy::of_pod(pod)));
        Self { pod, held: BTreeMap::new() }
    }

    fn observe(&mut self, report: &GpuReport) {
        let Some((pod, _)) = &self.pod else { return };
        let held = report.gpus.iter().filter(|sample| sample.is_held_by(pod));
        let held = held.map(|sample| sample.key.uuid.clone()).collect();
        self.held.insert(report.source.clone(), held);
    }

    /// Whether time that was counted is the agent's.
    fn counts(&self, time: &GpuTime) -> bool {
        self.pod.as_ref().is_none_or(|(_, own)| time.held_by.as_ref() == Some(own))
    }

    /// Whether a device is shown.
    fn shows(&self, device: &DeviceView<'_>) -> bool {
        self.pod.is_none()
            || self.held.get(device.source).is_some_and(|held| held.contains(device.uuid))
    }
}

/// What a telemetry source has to say.
#[derive(Debug)]
pub enum Heard {
    /// A reading.
    Report(GpuReport),
    /// Its past was read up to an instant, and more of it can be read later.
    ReadUntil(SourceId, Timestamp),
    /// It could not be read.
    Failed(SourceId),
}

/// The task that counts.
pub struct GpuTimekeeper {
    /// The ledger.
    pub ledger: LedgerHandle,
    /// The agent's clock.
    pub clock: Arc<dyn Clock>,
    /// Up to when time is counted already.
    pub marks: Vec<GpuMark>,
    /// The sources whose past can be read, and up to when it was.
    pub read_until: BTreeMap<SourceId, Timestamp>,
    /// Readings.
    pub heard: mpsc::Receiver<Heard>,
    /// What is known of nodes.
    pub inventory: watch::Receiver<Arc<NodeInventory>>,
    /// When a GPU is in which state.
    pub rules: StateRules,
    /// What the agent is for: a sidecar counts what its own pod holds.
    pub role: Role,
    /// Where figures go.
    pub books: watch::Sender<Arc<GpuBooks>>,
    /// Counts what the ledger refuses.
    pub metrics: SelfMetrics,
}

impl GpuTimekeeper {
    /// Counts until the end is asked for, then keeps the rest.
    pub async fn run(mut self, mut shutdown: Shutdown) {
        let mut accountant = Accountant::new(self.rules, std::mem::take(&mut self.marks));
        let mut failing = BTreeSet::new();
        let mut kept_at = self.clock.now();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = BTreeSet::new();
        let mut own = OwnGpus::new(&self.role);
        let mut first = None;
        loop {
            let mut ending = false;
            let soon = first.unwrap_or_else(Instant::now);
            tokio::select! {
                () = tokio::time::sleep_until(soon), if first.is_some() => first = None,
                heard = self.heard.recv() => match heard {
                    Some(Heard::Report(report)) => {
                        failing.remove(&report.source);
                        let inventory = self.inventory.borrow().clone();
                        accountant.observe(&report, &inventory);
                        own.observe(&report);
                        if known.insert(report.source.clone()) {
                            first.get_or_insert(Instant::now() + FIRST_AFTER);
                        }
                        continue;
                    }
                    Some(Heard::ReadUntil(source, until)) => {
                        failing.remove(&source);
                        self.read_until.insert(source, until);
                        continue;
                    }
                    Some(Heard::Failed(source)) => { failing.insert(source); continue; }
                    None => ending = true,
                },
                _ = ticks.tick() => {
                    let inventory = self.inventory.borrow().clone();
                    accountant.pass(self.clock.now(), &failing, &self.read_until, &inventory);
                    let since = self.clock.now().duration_since(kept_at);
                    if since.abs() < KEEP_EVERY {
                        self.tell(&accountant, &own, None);
                        continue;
                    }
                }
                () = shutdown.requested() => ending = true,
            }
            kept_at = self.clock.now();
            if !self.keep(&mut accountant, &own).await || ending {
                return;
            }
        }
    }

    /// Keeps what was counted and tells the new figures; false where the ledger is gone.
    async fn keep(&mut self, accountant: &mut Accountant, own: &OwnGpus) -> bool {
        let mut counted = accountant.take();
        counted.times.retain(|time| own.counts(time));
        let now = self.clock.now();
        let before = self.books.borrow().times.clone();
        let work = move |ledger: &mut Ledger| {
            let Counted { times, marks, forgotten } = &counted;
            match ledger.keep_gpu_time(times, marks, forgotten) {
                Ok(()) => {
                    let days = times.iter().map(|time| time.day).collect();
                    (None, read(ledger, now, Some((&before, days))))
                }
                Err(error) => (Some(counted), Err(error)),
            }
        };
        match self.ledger.call(work).await {
            Ok((_, Ok(times))) => {
                self.tell(accountant, own, Some(times));
                true
            }
            Ok((counted, Err(error))) => {
                self.metrics.ledger_failed(error.operation().as_str());
                tracing::error!(%error, "failed to keep or read GPU time; what was counted is kept with the next");
                if let Some(counted) = counted {
                    accountant.put_back(counted);
                }
                true
            }
            Err(_) => false,
        }
    }

    /// Tells what GPUs do now, beside their time as it was read last.
    fn tell(&self, accountant: &Accountant, own: &OwnGpus, times: Option<GpuTimes>) {
        let inventory = self.inventory.borrow().clone();
        let times = times.map_or_else(|| self.books.borrow().times.clone(), Arc::new);
        let shows = |device: &DeviceView<'_>| own.shows(device);
        self.books.send_replace(Arc::new(books(times, accountant, shows, &inventory)));
    }
}

/// What the ledger knows of GPU time in the open period and the one before. `before` is what was
/// known, and the days on which time was added since: the sums of a period that has none of them
/// are as they were.
///
/// # Errors
/// When the ledger cannot be read.
pub fn read(
    ledger: &Ledger,
    now: Timestamp,
    before: Option<(&GpuTimes, BTreeSet<Date>)>,
) -> Result<GpuTimes, LedgerError> {
    let label = PeriodLabel::Previous;
    let first = ZONES.map(|zone| label.period(now, zone).first_day()).into_iter().min();
    let end = ZONES.map(|zone| PeriodLabel::Current.period(now, zone).end_day()).into_iter().max();
    let both = Window::new(first.unwrap_or(Date::MIN), end.unwrap_or(Date::MAX));
    let mut workloads = BTreeMap::new();
    for label in PeriodLabel::ALL {
        let same = before.as_ref().filter(|(times, days)| {
            let touched = |zone| days.iter().any(|day| label.period(now, zone).contains(*day));
            label == PeriodLabel::Previous
                && times.first_day == Some(both.start)
                && !ZONES.into_iter().any(touched)
        });
        let times = match same.and_then(|(times, _)| times.workloads.get(&label)) {
            Some(times) => times.clone(),
            None => Arc::new(of_period(label, now, |window| ledger.gpu_workloads(window))?),
        };
        workloads.insert(label, times);
    }
    let nodes = of_period(PeriodLabel::Current, now, |window| {
        let nodes = ledger.gpu_nodes(window)?;
        Ok(nodes.into_iter().map(|((node, fleet), time)| (node, fleet, time)).collect())
    })?;
    let nodes = nodes.into_iter().map(|(node, fleet, time)| ((node, fleet), time)).collect();
    Ok(GpuTimes {
        days: ledger.gpu_days(&both)?,
        workloads,
        nodes: Arc::new(nodes),
        totals: ledger.gpu_totals()?,
        first_day: Some(both.start),
    })
}

/// Reads a period of every fleet, each in the zone of its cloud: once where the zones agree on the
/// month.
fn of_period<T>(
    label: PeriodLabel,
    now: Timestamp,
    read: impl Fn(&Window) -> Result<Vec<(T, Fleet, StateTime)>, LedgerError>,
) -> Result<Vec<(T, Fleet, StateTime)>, LedgerError> {
    let periods = ZONES.map(|zone| (zone, label.period(now, zone)));
    if periods.iter().all(|(_, period)| *period == label.period(now, BillingZone::Utc)) {
        return read(&label.period(now, BillingZone::Utc).window());
    }
    let mut all = Vec::new();
    for (zone, period) in periods {
        let read = read(&period.window())?;
        all.extend(read.into_iter().filter(|(_, fleet, _)| zone_of(fleet.provider) == zone));
    }
    Ok(all)
}

/// What the ledger knows of GPU time beside the devices of now that are shown.
pub fn books(
    times: Arc<GpuTimes>,
    accountant: &Accountant,
    shows: impl Fn(&DeviceView<'_>) -> bool,
    inventory: &NodeInventory,
) -> GpuBooks {
    let mut nodes: BTreeMap<(&str, &Fleet), NodeNow> = BTreeMap::new();
    let mut seen: BTreeMap<(Option<Provider>, String), u32> = BTreeMap::new();
    let mut gauges: BTreeMap<Fleet, FleetGauge> = BTreeMap::new();
    for device in accountant.devices().filter(|device| shows(device)) {
        let node = nodes.entry((device.node, device.fleet)).or_insert_with(|| NodeNow {
            name: device.node.to_owned(),
            fleet: device.fleet.clone(),
            gpus: 0,
            guessed: device.guessed,
            states: BTreeMap::new(),
        });
        node.gpus += 1;
        for (state, share) in device.shares {
            *node.states.entry(*state).or_default() += share;
        }
        match gauges.get_mut(device.fleet) {
            Some(gauge) => gauge.add(&device.figures),
            None => gauges.entry(device.fleet.clone()).or_default().add(&device.figures),
        }
        let silent = device.shares.iter().all(|(state, _)| *state == GpuState::Unknown);
        if !silent {
            let key = (device.fleet.provider, device.fleet.cluster.clone());
            *seen.entry(key).or_default() += 1;
        }
    }
    GpuBooks {
        times,
        nodes: nodes.into_values().collect(),
        gauges,
        inventory: inventory.nodes().to_vec(),
        seen,
    }
}

#[cfg(test)]
mod tests;
