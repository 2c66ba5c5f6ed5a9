//! Conservation over random worlds: fleets, outages, restarts, crashes and late bills drawn from a
//! seed, run through exporters' pages, the accountant, a real ledger and real bills. Every state is
//! what the world's own truth says, and what is left of the bill is what no GPU was seen for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use costband::analyse::gpu_bill::BilledDay;
use costband::analyse::gpu_time::Accountant;
use costband::collect::gpu::scrape;
use costband::domain::gpu_money::GpuRange;
use costband::domain::gpu_time::{GpuState, StateRules, StateTime};
use costband::domain::identity::Provider;
use costband::domain::money::Currency;
use costband::domain::node::NodeInventory;
use costband::domain::ports::Clock;
use costband::simulate::dcgm;
use costband::simulate::scenario::{GpuTruth, Scenario, ScenarioOptions};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde_json::json;

use super::gpu_money::{group, hours, target};
use super::harness::*;
use crate::clock::SetClock;

/// How an agent watches.
#[derive(Clone, Copy)]
struct Watch {
    /// How often exporters are read.
    step: SignedDuration,
    /// Silences up to this are filled with what is read after them.
    gap: SignedDuration,
    /// How many times the world's machines are there.
    scale: u32,
}

/// As often as the agent does by default.
const BY_DEFAULT: Watch =
    Watch { step: SignedDuration::from_secs(30), gap: SignedDuration::from_secs(180), scale: 1 };
/// Hundreds of nodes, every four minutes.
const HUNDREDS: Watch =
    Watch { step: SignedDuration::from_mins(4), gap: SignedDuration::from_mins(12), scale: 40 };

/// What happens to the agent at a step.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Reads,
    /// The network is gone: nothing is read.
    Silent,
    /// It is stopped in order and started again.
    Restarts,
    /// It is killed: what was counted since the ledger was written last is lost.
    Crashes,
}

struct Draw(u64);

impl Draw {
    /// SplitMix64.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn fates(&mut self, steps: usize) -> Vec<Fate> {
        let mut fates = vec![Fate::Reads; steps];
        for _ in 0..3 + self.below(3) {
            let from = self.below(steps as u64) as usize;
            let length = steps / 288 + self.below(steps as u64 / 16) as usize;
            fates.iter_mut().skip(from).take(length).for_each(|fate| *fate = Fate::Silent);
        }
        for fate in [Fate::Restarts, Fate::Crashes] {
            for _ in 0..3 {
                let place = self.below(steps as u64) as usize;
                fates[place] = fate;
            }
        }
        fates
    }
}

/// A day of a cloud, watched by an agent that has a hard life.
struct Life {
    provider: Provider,
    day: Date,
    watch: Watch,
    world: Arc<Scenario>,
    clock: Arc<SetClock>,
    bench: Bench,
    /// Spans in which the agent cannot know what GPUs did.
    dark: Vec<(Timestamp, Timestamp)>,
}

impl Life {
    async fn lived(provider: Provider, seed: u64, watch: Watch) -> Self {
        let mut draw = Draw(seed);
        let day: Date = "2026-10-01".parse().unwrap();
        let day =
            day.saturating_add(jiff::Span::new().days(i64::try_from(draw.below(20)).unwrap()));
        let zone = provider.billing_zone();
        let begin = zone.start_of(day) - watch.step * 3;
        let clock = SetClock::standing_at(begin);
        let options =
            ScenarioOptions { seed, gpu_scale: watch.scale, ..ScenarioOptions::default() };
        let world = Arc::new(Scenario::with_options(options, clock.clone()));
        let bench =
            Bench::start(&[provider], world.clone(), clock.clone(), Options::default(), json!([]))
                .await;
        let mut life = Self { provider, day, watch, world, clock, bench, dark: Vec::new() };
        life.live(&mut draw).await;
        life
    }

    fn inventory(&self, now: Timestamp) -> NodeInventory {
        let whole = [(Some(self.provider), target(self.provider, "http://a").cluster)];
        NodeInventory::new(self.world.nodes(self.provider, now), whole.into(), BTreeMap::new())
    }

    async fn keep(&self, counter: &mut Accountant) {
        let counted = counter.take();
        let kept = self.bench.polling.handle.call(move |ledger| {
            ledger.keep_gpu_time(&counted.times, &counted.marks, &counted.forgotten)
        });
        kept.await.unwrap().unwrap();
    }

    async fn begun(&self) -> Accountant {
        let marks = self.bench.polling.handle.call(|ledger| ledger.gpu_marks());
        let rules = StateRules { gap: self.watch.gap, ..StateRules::default() };
        Accountant::new(rules, marks.await.unwrap().unwrap())
    }

    async fn live(&mut self, draw: &mut Draw) {
        let faults = Arc::default();
        let exporters =
            Server::start(dcgm::router(self.world.clone(), Arc::clone(&faults)), faults).await;
        let client = reqwest::Client::new();
        let target = target(self.provider, &exporters.url);
        let fates = draw.fates(24 * 3_600 / usize::try_from(self.watch.step.as_secs()).unwrap());
        let mut counter = self.begun().await;
        let (mut read_at, mut kept_at) = (self.clock.now(), self.clock.now());
        let end = self.provider.billing_zone().end_of(self.day) + self.watch.step * 2;
        let mut fates = [Fate::Reads; 4].into_iter().chain(fates);
        while self.clock.now() < end {
            let now = self.clock.now();
            let inventory = self.inventory(now);
            let fate = fates.next().unwrap_or(Fate::Reads);
            match fate {
                Fate::Reads | Fate::Silent => {}
                Fate::Restarts => {
                    self.keep(&mut counter).await;
                    kept_at = now;
                    counter = self.begun().await;
                }
                Fate::Crashes => {
                    self.dark.push((kept_at, now));
                    counter = self.begun().await;
                }
            }
            let mut failing = BTreeSet::new();
            if fate == Fate::Silent {
                failing.insert(target.id.clone());
            } else {
                match scrape(&client, &target, now).await {
                    Ok(report) => counter.observe(&report, &inventory),
                    Err(error) => {
                        let nodes = self.world.nodes(self.provider, now);
                        assert!(nodes.is_empty(), "{error}");
                    }
                }
                if now.duration_since(read_at) > self.watch.gap {
                    self.dark.push((read_at, now));
                }
                read_at = now;
            }
            counter.pass(now, &failing, &BTreeMap::new(), &inventory);
            if now.duration_since(kept_at) >= SignedDuration::from_mins(10) {
                self.keep(&mut counter).await;
                kept_at = now;
            }
            self.clock.advance(self.watch.step);
        }
        self.keep(&mut counter).await;
    }

    /// The spans that are dark, each instant once.
    fn dark(&self) -> Vec<(Timestamp, Timestamp)> {
        let zone = self.provider.billing_zone();
        let mut spans: Vec<_> = self
            .dark
            .iter()
            .filter(|(from, until)| until.duration_since(*from) > self.watch.gap)
            .map(|(from, until)| {
                ((*from).max(zone.start_of(self.day)), (*until).min(zone.end_of(self.day)))
            })
            .filter(|(from, until)| from < until)
            .collect();
        spans.sort_unstable();
        let mut merged: Vec<(Timestamp, Timestamp)> = Vec::new();
        for (from, until) in spans {
            match merged.last_mut() {
                Some(last) if last.1 >= from => last.1 = last.1.max(until),
                _ => merged.push((from, until)),
            }
        }
        merged
    }

    /// What each state cost, and what was billed for GPUs that nobody could see.
    fn truth(&self, bills: &[BilledDay]) -> (BTreeMap<GpuState, Decimal>, Decimal) {
        let price = |truth: &GpuTruth| {
            let group = group(self.provider, truth);
            let bill = bills.iter().find(|bill| bill.group == group).unwrap();
            bill.cost / bill.gpu_hours.unwrap()
        };
        let mut states: BTreeMap<GpuState, Decimal> = BTreeMap::new();
        let mut unseen = Decimal::ZERO;
        let mut add = |time: &StateTime, price: Decimal, sign: Decimal| {
            for (state, milliseconds) in time.iter() {
                *states.entry(state).or_default() += hours(milliseconds) * price * sign;
            }
        };
        let end = self.provider.billing_zone().end_of(self.day);
        for gpu in self.world.gpu_truth(self.provider, self.day, end) {
            add(&gpu.times.observable, price(&gpu), Decimal::ONE);
        }
        for (from, until) in self.dark() {
            let before =
                self.world.gpu_truth_between(self.provider, from - self.watch.step * 2, from);
            let known: BTreeSet<String> = before.into_iter().map(|gpu| gpu.uuid).collect();
            for gpu in self.world.gpu_truth_between(self.provider, from, until) {
                let price = price(&gpu);
                add(&gpu.times.observable, price, Decimal::NEGATIVE_ONE);
                let total = gpu.times.observable.total();
                if known.contains(&gpu.uuid) {
                    let mut dark = StateTime::default();
                    dark.add(GpuState::Unknown, total);
                    add(&dark, price, Decimal::ONE);
                } else {
                    // A node that came while nobody looked is billed and was not seen.
                    unseen += hours(total) * price;
                }
            }
        }
        (states, unseen)
    }

    async fn told(&self) -> GpuRange {
        self.bench.gpu_day(self.day).await
    }
}

async fn conserves(provider: Provider, seed: u64, watch: Watch) {
    let life = Life::lived(provider, seed, watch).await;
    let key = (Some(provider), Currency::USD);
    let what = format!("{provider}, seed {seed}, {}", life.day);
    // The bill of a day comes late: until then all of it is an estimate, or has no price.
    life.bench.advance(20);
    life.bench.poll_well(provider).await;
    let early = life.told().await;
    for sums in early.money.by_provider.values() {
        let off = (sums.estimated - sums.total()).abs();
        assert!(off < Decimal::new(1, 9), "{what}: {off} with no complete bill behind it");
        assert!(sums.residuals.is_empty(), "{what}: {:?}", sums.residuals);
    }
    life.bench.advance(24 * 6);
    life.bench.poll_well(provider).await;
    life.bench.advance(7);
    life.bench.poll_well(provider).await;
    let late = life.told().await;
    let time = |range: &GpuRange| -> u64 {
        range.money.fleets.iter().map(|fleet| fleet.time.total()).sum()
    };
    assert_eq!(time(&early), time(&late), "{what}: a bill changes no time");

    let reading = life.bench.read().await;
    let bills: Vec<BilledDay> =
        reading.gpu_bill.days.iter().filter(|bill| bill.day == life.day).cloned().collect();
    let billed: Decimal = bills.iter().map(|bill| bill.cost).sum();
    let (truth, unseen) = life.truth(&bills);
    let whole: Decimal = truth.values().sum();
    let told = &late.money.by_provider[&key];
    assert_eq!(told.estimated, Decimal::ZERO, "{what}");
    assert!(!life.dark().is_empty(), "{what}: nothing went wrong, so nothing is proved");
    for state in GpuState::ALL {
        let truth = truth.get(&state).copied().unwrap_or_default();
        let told = told.states.get(&state).copied().unwrap_or_default();
        // Every change of state is told up to a step late.
        let allowed = (truth / Decimal::ONE_HUNDRED).max(whole / Decimal::from(2_000));
        let off = (told - truth).abs();
        assert!(off <= allowed, "{what} {}: {told} for {truth} of {whole}", state.as_str());
    }
    let residual: Decimal = told.residuals.values().sum();
    let nowhere = (told.total() + residual - billed).abs();
    assert!(nowhere < Decimal::new(1, 9), "{what}: {nowhere} are nowhere");
    let off = (residual - (billed - whole)).abs();
    assert!(
        off <= billed / Decimal::from(500),
        "{what}: {residual} is left, {} was not seen, {unseen} of it in the dark",
        billed - whole
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn amazon_days_add_up_whatever_happens_to_the_agent() {
    for seed in [3, 4] {
        conserves(Provider::Aws, seed, BY_DEFAULT).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn google_days_add_up_whatever_happens_to_the_agent() {
    for seed in [5, 6] {
        conserves(Provider::Gcp, seed, BY_DEFAULT).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_days_add_up_whatever_happens_to_the_agent() {
    for seed in [7, 8] {
        conserves(Provider::Azure, seed, BY_DEFAULT).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_hundreds_of_nodes_adds_up() {
    conserves(Provider::Aws, 9, HUNDREDS).await;
}
