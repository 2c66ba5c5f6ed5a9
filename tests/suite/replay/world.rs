//! What everything costs, and when the bill says so.

use std::sync::Arc;

use costband::domain::identity::Provider;
use costband::domain::period::{BillingPeriod, Window};
use costband::domain::ports::Clock;
use costband::simulate::charge::{Charge, World};
use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use crate::contract::harness::{at, charge};

/// The bill cannot be read in between.
pub(super) const OUTAGE: [&str; 2] = ["2026-10-12T00:00:00Z", "2026-10-17T00:00:00Z"];
/// A closed month moves. The agent looks at the month before until the tenth.
const RESTATED_AT: &str = "2026-10-08T00:00:00Z";
/// So long after its end a month is an estimate: bills of AWS are final some days later.
const ESTIMATED_FOR: SignedDuration = SignedDuration::from_hours(4 * 24);
const PLACE: [&str; 3] = ["222233334444", "Amazon Elastic Compute Cloud - Compute", "us-east-1"];

/// What a day costs: a steady fleet, two runaway days in August that are mended, and growth in the
/// middle of September that nobody mends before the month is over.
fn cost(day: Date) -> Decimal {
    let wave = i64::from(day.day() % 5) * 10;
    let more = if (date(2026, 8, 8)..=date(2026, 8, 9)).contains(&day) {
        3_000
    } else if (date(2026, 9, 12)..=date(2026, 9, 30)).contains(&day) {
        1_000
    } else {
        0
    };
    Decimal::from(2_000 + wave + more)
}

/// A bill whose months are estimates until some days after their end.
pub(super) struct Bill {
    clock: Arc<dyn Clock>,
    charges: Vec<Charge>,
}

impl Bill {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let days = Window::new(date(2026, 5, 1), date(2026, 11, 5));
        let of = |day, cost| charge(Provider::Aws, day, PLACE, cost, cost);
        let mut charges: Vec<Charge> = days.days().map(|day| of(day, cost(day))).collect();
        let moved = of(date(2026, 9, 15), Decimal::from(4_000));
        charges.push(Charge { published_at: at(RESTATED_AT), ..moved });
        Arc::new(Self { clock, charges })
    }
}

impl World for Bill {
    fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    fn charges(&self, provider: Provider, at: Timestamp) -> Arc<Vec<Charge>> {
        let zone = provider.billing_zone();
        let estimated = |of: BillingPeriod| at < of.end(zone) + ESTIMATED_FOR;
        let there = self.charges.iter().filter(|c| c.provider == provider && c.published_at <= at);
        let told = |c: &Charge| Charge { estimated: estimated(c.invoice_period), ..c.clone() };
        Arc::new(there.map(told).collect())
    }
}
