//! The simulated world: three clouds' fleets, prices, discounts and incidents, made of a seed.
//!
//! A charge is a pure function of the seed and its day, so the clock may stand anywhere and a
//! restart tells the same history. What is known of a day at an instant follows from publication
//! times, which all fall on whole hours.

mod aws;
mod azure;
mod fleet;
mod gcp;
mod line;
mod publish;
mod roll;
mod truth;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use rust_decimal::Decimal;

pub use self::fleet::{GpuDevice, GpuNode, MigSlice, Pod};
pub use self::truth::{Spend, Truth};
use crate::domain::identity::Provider;
use crate::domain::money::Currency;
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
}

impl Default for ScenarioOptions {
    fn default() -> Self {
        Self { seed: 1, history_months: 5, azure_currency: None }
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
        let lines = [aws::lines(), gcp::lines(), azure::lines()];
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

    /// The GPU nodes of a provider's cluster at an instant, incident nodes among them.
    pub fn fleet(&self, provider: Provider, at: Timestamp) -> Vec<GpuNode> {
        fleet::nodes(provider, self.options.seed, at)
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
        let seed = self.options.seed;
        let [aws_lines, gcp_lines, azure_lines] = &self.lines;
        let wholes = match provider {
            Provider::Aws => aws::charges(aws_lines, seed, day),
            Provider::Gcp => gcp::charges(gcp_lines, seed, day),
            Provider::Azure => azure::charges(azure_lines, seed, day),
        };
        for mut whole in wholes {
            if let (Provider::Azure, Some((currency, per_usd))) =
                (provider, self.options.azure_currency)
            {
                convert(&mut whole.charge, currency, per_usd);
            }
            publish::publish(&whole, seed, at, known);
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
