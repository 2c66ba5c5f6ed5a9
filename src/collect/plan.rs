//! What polling a source will cost, and how far its monthly cap stretches the cadence.

use std::time::Duration;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::Serialize;

use crate::collect::{Descriptor, PlannedRequest};
use crate::domain::money::Money;

/// A day: however tight the cap, the bill is read once a day until the cap itself is reached.
pub const DAY: Duration = Duration::from_secs(86_400);
/// The longest calendar month, so that a cap holds in every one of them.
const MONTH_SECONDS: u64 = 31 * 86_400;

/// The plan of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// What one poll asks.
    pub requests: Vec<PlannedRequest>,
    /// The most that one poll costs; none where all is free.
    pub price_of_a_poll: Option<Money>,
    /// How often the source is polled at least, if every poll costs the most: the configured
    /// cadence, or what the cap allows.
    pub every: Duration,
    /// The most that a month of 31 days costs at that cadence.
    pub price_of_a_month: Option<Money>,
    /// The configured cadence, where the cap may allow less.
    pub stretched_from: Option<Duration>,
}

impl Plan {
    /// Whether the cap leaves less than one poll a day.
    pub fn is_less_than_daily(&self) -> bool {
        self.every > DAY
    }
}

/// Plans a source's polls at the most that each can cost.
pub fn plan(descriptor: &Descriptor, requests: Vec<PlannedRequest>) -> Plan {
    let price_of_a_poll = requests
        .iter()
        .filter_map(|request| {
            let price = request.price?;
            Some(Money::new(price.amount * Decimal::from(request.at_most), price.currency))
        })
        .reduce(|sum, price| sum.checked_add(price).unwrap_or(sum));
    let wanted = descriptor.poll_every;
    let every = cadence(descriptor, price_of_a_poll);
    let price_of_a_month = price_of_a_poll.map(|poll| {
        let polls = Decimal::from(MONTH_SECONDS) / Decimal::from(every.as_secs().max(1));
        Money::new((poll.amount * polls).round_dp(2), poll.currency)
    });
    Plan {
        requests,
        price_of_a_poll,
        every,
        price_of_a_month,
        stretched_from: (every > wanted).then_some(wanted),
    }
}

/// How often a source is polled whose polls cost so much: as configured, or as seldom as the cap
/// wants it. So the cap stretches the cadence instead of ending the month's readings half way. A
/// price in another currency than the cap's does not count against it.
pub fn cadence(descriptor: &Descriptor, price_of_a_poll: Option<Money>) -> Duration {
    descriptor.poll_every.max(within_cap(descriptor, price_of_a_poll))
}

/// The shortest interval at which polls that cost so much stay within the cap, whatever the
/// configured cadence.
pub fn within_cap(descriptor: &Descriptor, price_of_a_poll: Option<Money>) -> Duration {
    match (price_of_a_poll, descriptor.monthly_cap) {
        (Some(poll), Some(cap)) if poll.currency == cap.currency => {
            shortest_within(cap.amount, poll.amount).unwrap_or_default()
        }
        _ => Duration::ZERO,
    }
}

/// The shortest interval at which polls of a price stay within a cap. None for a free poll.
fn shortest_within(cap: Decimal, price: Decimal) -> Option<Duration> {
    if price <= Decimal::ZERO {
        return None;
    }
    if cap <= Decimal::ZERO {
        return Some(Duration::from_secs(MONTH_SECONDS));
    }
    let seconds = (Decimal::from(MONTH_SECONDS) * price).checked_div(cap)?.ceil();
    Some(Duration::from_secs(seconds.to_u64().unwrap_or(MONTH_SECONDS).min(MONTH_SECONDS)))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::domain::identity::{Provider, SourceId};

    fn descriptor(cap: &str) -> Descriptor {
        Descriptor {
            id: SourceId::new("aws"),
            provider: Provider::Aws,
            lag: SignedDuration::from_hours(48),
            final_after: SignedDuration::from_hours(120),
            poll_every: Duration::from_secs(8 * 3600),
            deadline: Duration::from_secs(600),
            monthly_cap: Some(cap.parse().expect("an amount")),
            maximum_age: SignedDuration::from_hours(48),
            breakdowns: Vec::new(),
            list_prices: false,
        }
    }

    fn requests(at_most: u32) -> Vec<PlannedRequest> {
        vec![PlannedRequest {
            operation: "GetCostAndUsage",
            purpose: "service_name".to_owned(),
            at_most,
            price: Some("0.01 USD".parse().expect("an amount")),
        }]
    }

    #[test]
    fn a_wide_cap_leaves_the_cadence_alone() {
        let plan = plan(&descriptor("30 USD"), requests(10));
        assert_eq!(plan.every, Duration::from_secs(8 * 3600));
        assert_eq!(plan.stretched_from, None);
        assert_eq!(plan.price_of_a_month, Some("9.30 USD".parse().expect("an amount")));
    }

    #[test]
    fn a_tight_cap_stretches_the_cadence_and_says_so() {
        let plan = plan(&descriptor("1 USD"), requests(10));
        assert_eq!(plan.every, Duration::from_secs(267_840));
        assert_eq!(plan.stretched_from, Some(Duration::from_secs(8 * 3600)));
        assert!(plan.is_less_than_daily());
        assert_eq!(plan.price_of_a_month, Some("1 USD".parse().expect("an amount")));
    }

    #[test]
    fn the_interval_of_a_cap_does_not_know_the_configured_cadence() {
        let price = |text: &str| Some(text.parse().expect("an amount"));
        let seconds = |cap: &str, poll| within_cap(&descriptor(cap), poll).as_secs();
        // 300 polls of 31 days; the cadence of eight hours is longer.
        assert_eq!(seconds("30 USD", price("0.10 USD")), 8928);
        assert_eq!(seconds("30 USD", price("0.40 USD")), 35_712);
        assert_eq!(seconds("30 USD", price("0.0001 USD")), 9, "rounded up");
        assert_eq!(seconds("0 USD", price("0.01 USD")), MONTH_SECONDS);
        for free in [None, price("0 USD"), price("0.10 EUR")] {
            assert_eq!(seconds("30 USD", free), 0, "{free:?}");
        }
        let uncapped = Descriptor { monthly_cap: None, ..descriptor("30 USD") };
        assert_eq!(within_cap(&uncapped, price("0.10 USD")), Duration::ZERO);
        assert_eq!(
            cadence(&descriptor("30 USD"), price("0.10 USD")),
            Duration::from_secs(8 * 3600)
        );
    }
}
