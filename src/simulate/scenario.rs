//! The simulated world: three clouds' fleets, prices, discounts and incidents, made of a seed.
//!
//! A charge is a pure function of the seed and its day, so the clock may stand anywhere and a
//! restart tells the same history. What is known of a day at an instant follows from publication
//! times, which all fall on whole hours.

mod activity;
mod aws;
mod azure;
mod fleet;
mod gcp;
mod gpu_truth;
mod line;
mod machines;
mod publish;
mod roll;
mod truth;
mod workload;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use rust_decimal::Decimal;

pub use self::fleet::{GpuNode, GpuReading};
pub use self::gpu_truth::{GpuTruth, Times};
pub use self::machines::BilledMachines;
pub use self::truth::{Spend, Truth};
pub use self::workload::Pod;
use crate::domain::identity::Provider;
use crate::domain::money::Currency;
use crate::domain::node::Node;
use crate::domain::period::{BillingPeriod, Window};
use crate::domain::ports::Clock;
use crate::simulate::charge::{Charge, World};

/// The account number of the simulated AWS payer.
pub const AWS_PAYER_ACCOUNT: &str = aws::PAYER.id;

/// What may be chosen of a world.
#[derive(Debug, Clone, PartialEq)]
pub struct ScenarioOptions {
    /// Two worlds of one seed are the same.
    pub seed: u64,
    /// Whole months of history before the present one. At least 4 make the bands of the seed's
    /// presets meaningful from the first poll.
    pub history_months: u8,
    /// The billing currency of Azure, where it is not the US dollar, and how much of it one US
    /// dollar is.
    pub azure_currency: Option<(Currency, Decimal)>,
    /// How many times the GPU machines are there, on the bill and in the clusters; at least 1.
    /// The presets' bands fit 1. The runaway cluster of the incident stays as it is.
    pub gpu_scale: u32,
}

impl Default for ScenarioOptions {
    fn default() -> Self {
        Self { seed: 1, history_months: 5, azure_currency: None, gpu_scale: 1 }
    }
}

/// A seeded world of three clouds.
///
/// At the presets' bands AWS heads above its ceiling on pace, Google Cloud stays within, Azure
/// stays below its floor, in every month of every seed.
pub struct Scenario {
    options: ScenarioOptions,
    clock: Arc<dyn Clock>,
    lines: [Vec<line::Line>; 3],
    known: Mutex<VecDeque<Known>>,
}

/// What was known of a provider's bill in one hour.
struct Known {
    provider: Provider,
    hour: i64,
    charges: Arc<Vec<Charge>>,
}

/// How many hours of bills are kept: a poll of three providers asks for the same ones again.
const KEPT: usize = 9;

impl Scenario {
    /// A world in US dollars with five months of history before the clock's month.
    pub fn new(seed: u64, clock: Arc<dyn Clock>) -> Self {
        Self::with_options(ScenarioOptions { seed, ..ScenarioOptions::default() }, clock)
    }

    /// A world with its options.
    pub fn with_options(options: ScenarioOptions, clock: Arc<dyn Clock>) -> Self {
        let scaled = |lines: Vec<line::Line>| {
            lines.into_iter().map(|line| line.scaled(options.gpu_scale.max(1))).collect()
        };
        let lines = [aws::lines(), gcp::lines(), azure::lines()].map(scaled);
        Self { options, clock, lines, known: Mutex::default() }
    }

    /// The options of this world.
    pub fn options(&self) -> &ScenarioOptions {
        &self.options
    }

    /// The days that the world tells at an instant: whole months of history up to, and with, the
    /// billing day of the instant.
    pub fn window(&self, provider: Provider, at: Timestamp) -> Window {
        let zone = provider.billing_zone();
        let months = i32::from(self.options.history_months).months();
        let first = BillingPeriod::at(at, zone).first_day().saturating_sub(months);
        Window::new(first, zone.day_of(at).saturating_add(1.day()))
    }

    /// The days of a month on which a runaway GPU cluster burns money in the AWS account
    /// `research` (`444455556666`).
    pub fn incident(&self, period: BillingPeriod) -> Window {
        aws::incident(self.options.seed, period)
    }

    /// What a billing period cost as far as it is published at an instant, added up from the
    /// charges themselves: neither through a server nor a collector. The period is the invoice
    /// month.
    pub fn truth(&self, provider: Provider, period: BillingPeriod, at: Timestamp) -> Truth {
        let currency = match (provider, self.options.azure_currency) {
            (Provider::Azure, Some((currency, _))) => currency,
            _ => Currency::USD,
        };
        Truth::of(&self.charges(provider, at), period, currency)
    }

    /// The GPU machines that a billing day pays for, as the bill stands when it is settled.
    pub fn billed_machines(&self, provider: Provider, day: Date) -> Vec<BilledMachines> {
        machines::billed(&self.wholes(provider, day), self.options.seed)
    }

    /// The GPU nodes that run at an instant, incident nodes among them, in a fixed order.
    pub fn nodes(&self, provider: Provider, at: Timestamp) -> Vec<Node> {
        self.running(provider, at).iter().map(|machine| machine.node(provider)).collect()
    }

    /// What the exporters of a provider's cluster tell at an instant, and which of them are dead;
    /// a node for each of [`Scenario::nodes`].
    pub fn fleet(&self, provider: Provider, at: Timestamp) -> Vec<GpuNode> {
        self.fleet_of(provider, at, |_, _| true)
    }

    /// What the exporters of some nodes tell: those whose place among the running ones, and name,
    /// are wanted.
    pub(super) fn fleet_of(
        &self,
        provider: Provider,
        at: Timestamp,
        is_wanted: impl Fn(usize, &str) -> bool,
    ) -> Vec<GpuNode> {
        let running = self.running(provider, at);
        let wanted =
            running.iter().enumerate().filter(|(place, node)| is_wanted(*place, &node.name));
        wanted.map(|(_, machine)| machine.page(at.as_second())).collect()
    }

    /// What each GPU did on a billing day up to an instant, true and observable.
    pub fn gpu_truth(&self, provider: Provider, day: Date, at: Timestamp) -> Vec<GpuTruth> {
        let zone = provider.billing_zone();
        self.gpu_truth_between(provider, zone.start_of(day), zone.end_of(day).min(at))
    }

    /// What each GPU did in a span of time, true and observable. GPUs of nodes that ran in no part
    /// of it are left out.
    pub fn gpu_truth_between(
        &self,
        provider: Provider,
        from: Timestamp,
        until: Timestamp,
    ) -> Vec<GpuTruth> {
        let zone = provider.billing_zone();
        let days = Window::new(zone.day_of(from), zone.day_of(until).saturating_add(1.day()));
        let (from, until) = (from.as_millisecond(), until.as_millisecond());
        let mut truths: Vec<GpuTruth> = Vec::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for machine in days.days().flat_map(|day| self.machines(provider, day)) {
            for truth in gpu_truth::of_machine(&machine, from, until) {
                let place = *places.entry(truth.uuid.clone()).or_insert(truths.len());
                match truths.get_mut(place) {
                    Some(known) => gpu_truth::merge(known, truth),
                    None => truths.push(truth),
                }
            }
        }
        truths
    }

    fn machines(&self, provider: Provider, day: Date) -> Vec<fleet::Machine> {
        let billed = self.billed_machines(provider, day);
        fleet::machines(provider, self.options.seed, day, &billed)
    }

    fn running(&self, provider: Provider, at: Timestamp) -> Vec<fleet::Machine> {
        let mut machines = self.machines(provider, provider.billing_zone().day_of(at));
        machines.retain(|machine| machine.runs.contains(&at.as_second()));
        machines
    }

    fn compute(&self, provider: Provider, at: Timestamp) -> Vec<Charge> {
        let window = self.window(provider, at);
        // Days before the history whose late rows go on its first invoice.
        let earlier = Window::new(window.start.saturating_sub(10.days()), window.start);
        let first_invoice = BillingPeriod::containing(window.start);
        let mut known = Vec::new();
        for day in earlier.days() {
            self.publish_day(provider, day, at, &mut known);
        }
        known.retain(|charge| charge.invoice_period >= first_invoice);
        for day in window.days() {
            self.publish_day(provider, day, at, &mut known);
        }
        known
    }

    fn publish_day(&self, provider: Provider, day: Date, at: Timestamp, known: &mut Vec<Charge>) {
        for mut whole in self.wholes(provider, day) {
            if let (Provider::Azure, Some((currency, per_usd))) =
                (provider, self.options.azure_currency)
            {
                convert(&mut whole.charge, currency, per_usd);
            }
            publish::publish(&whole, self.options.seed, at, known);
        }
    }

    /// A day's charges in their whole form, in US dollars.
    fn wholes(&self, provider: Provider, day: Date) -> Vec<publish::Whole> {
        let seed = self.options.seed;
        let [aws_lines, gcp_lines, azure_lines] = &self.lines;
        match provider {
            Provider::Aws => aws::charges(aws_lines, seed, day),
            Provider::Gcp => gcp::charges(gcp_lines, seed, day),
            Provider::Azure => azure::charges(azure_lines, seed, day),
        }
    }
}

impl World for Scenario {
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    fn charges(&self, provider: Provider, at: Timestamp) -> Arc<Vec<Charge>> {
        let hour = at.as_second().div_euclid(3600);
        let mut kept = self.known.lock().expect("no holder of the lock panics");
        if let Some(found) = kept.iter().find(|one| (one.provider, one.hour) == (provider, hour)) {
            return Arc::clone(&found.charges);
        }
        let charges = Arc::new(self.compute(provider, at));
        kept.push_back(Known { provider, hour, charges: Arc::clone(&charges) });
        if kept.len() > KEPT {
            kept.pop_front();
        }
        charges
    }
}

fn convert(charge: &mut Charge, currency: Currency, per_usd: Decimal) {
    let decimals = line::amount_decimals(charge.provider);
    for amount in [&mut charge.billed, &mut charge.effective, &mut charge.list] {
        *amount = (*amount * per_usd).round_dp(decimals);
    }
    charge.currency = currency;
    charge.per_usd = Some(per_usd);
}

#[cfg(test)]
mod tests;
