//! When a charge becomes known: first a part, then more, then the whole, and sometimes a late
//! correction.
//!
//! Every publication falls on a whole hour (UTC), so that the world changes only then.

use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use super::line::{amount_decimals, percent};
use super::roll::Roll;
use crate::domain::identity::Provider;
use crate::domain::period::BillingPeriod;
use crate::simulate::charge::Charge;

/// A charge in its whole form with the way in which it becomes known.
#[derive(Debug, Clone)]
pub(super) struct Whole {
    pub(super) charge: Charge,
    pub(super) known: Known,
}

/// How a charge becomes known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// As usage does: a part in the afternoon, most of it next morning, the whole a day later, and
    /// on some days a correction within nine days.
    InSteps,
    /// At once, so many hours after its day began.
    AfterHours(i64),
}

/// How long after a month's end a late GCP row still goes on that month's invoice.
const INVOICE_CLOSES_AFTER: SignedDuration = SignedDuration::from_hours(28);
/// How long after a month's end AWS and Azure call it an estimate.
const ESTIMATED_FOR: SignedDuration = SignedDuration::from_hours(5 * 24 + 8);

/// Adds what is known of a charge at an instant: nothing, its newest form (AWS, Azure), or every
/// increment so far (GCP, whose export only grows).
pub(super) fn publish(whole: &Whole, seed: u64, at: Timestamp, known: &mut Vec<Charge>) {
    let steps = steps(whole, seed);
    let visible = steps.iter().take_while(|(time, _)| *time <= at);
    if whole.charge.provider == Provider::Gcp {
        let mut before = Decimal::ZERO;
        for (time, share) in visible {
            known.push(form(&whole.charge, before, *share, *time, at));
            before = *share;
        }
    } else if let Some((time, share)) = visible.last() {
        known.push(form(&whole.charge, Decimal::ZERO, *share, *time, at));
    }
}

/// How much was used, as it stands on the bill when every correction is known.
pub(super) fn settled_quantity(whole: &Whole, seed: u64) -> Decimal {
    let share = steps(whole, seed).last().map_or(Decimal::ZERO, |(_, share)| *share);
    (whole.charge.quantity * share).round_dp(amount_decimals(whole.charge.provider))
}

/// Instants, ascending, with the share of the whole that is known from then on.
fn steps(whole: &Whole, seed: u64) -> Vec<(Timestamp, Decimal)> {
    let charge = &whole.charge;
    let zone = charge.provider.billing_zone();
    let (start, end) = (zone.start_of(charge.day), zone.end_of(charge.day));
    let hours = |from: Timestamp, hours: i64| from + SignedDuration::from_hours(hours);
    let whole_share = Decimal::ONE;
    if let Known::AfterHours(wait) = whole.known {
        return vec![(hours(start, wait), whole_share)];
    }
    let roll = Roll::new(seed).word(charge.provider.as_str()).day(charge.day);
    let service = roll.word(&charge.service_name);
    let late = |name: &str, limit: u32| i64::from(service.word(name).below(limit));
    let mut steps = vec![
        (hours(start, 15 + late("first", 4)), percent(35 + service.word("part").below(15))),
        (hours(end, 8 + late("second", 5)), percent(80 + service.word("most").below(15))),
        (hours(end, 25 + late("whole", 7)), whole_share),
    ];
    let corrected = roll.word("corrected").below(8) == 0
        && charge.instance_type.is_some()
        // What a commitment covers costs what it costs.
        && charge.billed == charge.effective
        && matches!(charge.record_type.as_str(), "Usage" | "regular" | ENTERPRISE_DISCOUNT);
    if corrected {
        let days = 4 + i64::from(roll.word("delay").below(5));
        let share = match roll.word("direction").below(3) {
            0 => percent(103 + roll.word("more").below(5)),
            _ => percent(86 + roll.word("less").below(9)),
        };
        steps.push((hours(end, 24 * days + 6), share));
    }
    steps
}

/// The AWS record type of a negotiated discount.
pub(super) const ENTERPRISE_DISCOUNT: &str = "Enterprise Discount Program Discount";

fn form(
    whole: &Charge,
    from: Decimal,
    to: Decimal,
    published_at: Timestamp,
    at: Timestamp,
) -> Charge {
    let decimals = amount_decimals(whole.provider);
    // The difference of two rounded amounts, so that increments add up to the rounded whole.
    let part =
        |amount: Decimal| (amount * to).round_dp(decimals) - (amount * from).round_dp(decimals);
    let zone = whole.provider.billing_zone();
    let own_period = BillingPeriod::containing(whole.day);
    let invoice_period = if whole.provider == Provider::Gcp
        && published_at > own_period.end(zone) + INVOICE_CLOSES_AFTER
    {
        BillingPeriod::at(published_at, zone)
    } else {
        own_period
    };
    Charge {
        invoice_period,
        billed: part(whole.billed),
        effective: part(whole.effective),
        list: part(whole.list),
        quantity: part(whole.quantity),
        credits: whole
            .credits
            .iter()
            .map(|(kind, name, amount)| (kind.clone(), name.clone(), part(*amount)))
            .collect(),
        published_at,
        estimated: at < invoice_period.end(zone) + ESTIMATED_FOR,
        ..whole.clone()
    }
}
