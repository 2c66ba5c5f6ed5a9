//! What each source will be asked and for how much, told before anything is asked.

use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::RoundingStrategy;

use crate::app::ledger::open_window;
use crate::app::setup::Setup;
use crate::domain::identity::Provider;
use crate::domain::money::Money;
use crate::domain::period::{BillingPeriod, Window, next_day};
use crate::domain::ports::Clock;
use crate::store::{LedgerError, LedgerHandle};

/// Tells the log the plan of every source.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn tell(setup: &Setup, ledger: &LedgerHandle, clock: &dyn Clock) -> anyhow::Result<()> {
    for (source, rules) in setup.sources.iter().zip(setup.rules()) {
        let (now, breakdowns) = (clock.now(), source.descriptor().breakdowns.clone());
        let (id, provider) = (rules.id.clone(), rules.provider);
        let read = ledger.call(move |ledger| {
            let window = open_window(ledger, &rules, &breakdowns, now)?;
            Ok::<_, LedgerError>((window, ledger.first_day(&rules.id)?.is_none()))
        });
        let (window, first) = read.await??;
        let plan = Setup::plan(source.as_ref(), &window);
        // The first reading is longer than those that a month is made of.
        let usual = Setup::plan(source.as_ref(), &usual_window(provider, now));
        tracing::info!(
            source = %id,
            first_reading = first,
            window = %window,
            price_at_most = price(plan.price_of_a_poll),
            every = span(usual.every),
            price_of_a_month_at_most = price(usual.price_of_a_month),
            "source planned"
        );
        if usual.is_less_than_daily() {
            tracing::warn!(source = %id, every = span(usual.every),
                "the monthly cap may allow less than one reading a day; raise `monthly_cap`");
        }
    }
    Ok(())
}

/// The days of a reading after the first: the previous period and the open one up to today.
pub fn usual_window(provider: Provider, now: Timestamp) -> Window {
    let today = provider.billing_zone().day_of(now);
    let current = BillingPeriod::containing(today);
    Window::new(current.previous().first_day(), next_day(today))
}

/// A price for people, rounded up to a hundredth of a cent; `free` where there is none.
pub fn price(price: Option<Money>) -> String {
    match price {
        Some(price) if !price.amount.is_zero() => {
            let amount = price.amount.round_dp_with_strategy(4, RoundingStrategy::AwayFromZero);
            Money::new(amount, price.currency).to_string()
        }
        _ => "free".to_owned(),
    }
}

/// The most that something costs, for people.
pub fn at_most(most: Option<Money>) -> String {
    match price(most).as_str() {
        "free" => "free".to_owned(),
        price => format!("at most {price}"),
    }
}

/// A span in its largest whole unit, to a tenth.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (unit, name) = match seconds {
        172_800.. => (86_400, "d"),
        3_600.. => (3_600, "h"),
        60.. => (60, "min"),
        _ => (1, "s"),
    };
    let tenths = seconds * 10 / unit;
    if tenths.is_multiple_of(10) {
        format!("{} {name}", tenths / 10)
    } else {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}
