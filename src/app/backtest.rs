//! Scores forecasts on what the ledger holds: each source, its services, its accounts, its regions.

use jiff::{Timestamp, ToSpan};

use crate::analyse::backtest::{Scored, backtest};
use crate::app::series;
use crate::app::spend::SpendReader;
use crate::domain::backtest::Backtest;
use crate::domain::period::{BillingZone, Window, next_day};
use crate::store::{Ledger, LedgerError};

/// How many days are looked at.
const DAYS: i32 = 800;

/// Scores every series of the sources that `wanted` names, or of all of them.
///
/// # Errors
/// When the ledger cannot be read.
pub fn score(
    reader: &SpendReader,
    ledger: &Ledger,
    wanted: Option<&str>,
    now: Timestamp,
) -> Result<Backtest, LedgerError> {
    let today = BillingZone::Utc.day_of(now);
    let window = Window::new(today.saturating_sub(DAYS.days()), next_day(today));
    let mut all = Vec::new();
    for rules in reader.rules() {
        if wanted.is_none_or(|wanted| wanted == rules.id.as_str()) {
            let lag_days = usize::try_from((rules.lag.as_hours() + 23) / 24).unwrap_or(0);
            let found = series::read(ledger, rules, None, &window, usize::MAX, now)?;
            all.extend(found.into_iter().map(|named| Scored {
                name: match &named.of {
                    None => rules.id.to_string(),
                    Some((dimension, key)) => format!("{} {} {key}", rules.id, dimension.as_str()),
                },
                series: named.series,
                lag_days,
            }));
        }
    }
    Ok(backtest(&all))
}
