//! Fills history, a month at a time, within the cap. What was filled stays when a later month
//! fails.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::app::polling::Polling;
use crate::collect::poller::Poller;
use crate::collect::reconcile::reconcile;
use crate::collect::{PollRequest, Source};
use crate::domain::money::Money;
use crate::domain::period::{BillingPeriod, Window};
use crate::domain::report::{SourceError, SourceErrorKind};

/// What filling from a day on asks of one source: the months, oldest last, and the most that they
/// cost.
pub struct Filling {
    /// One window for each month, newest first.
    pub months: Vec<Window>,
    /// The most that all requests cost together; none where they are free.
    pub price: Option<Money>,
    /// The most requests.
    pub requests: u32,
}

/// Plans the closed months from a day on.
pub fn plan(source: &dyn Source, from: Date, now: Timestamp) -> Filling {
    let zone = source.descriptor().provider.billing_zone();
    let until = BillingPeriod::at(now, zone).first_day();
    let mut months = Window::new(from, until).months();
    months.reverse();
    let (mut price, mut requests): (Option<Money>, u32) = (None, 0);
    for month in &months {
        for request in source.plan(month) {
            requests = requests.saturating_add(request.at_most);
            if let Some(each) = request.price {
                let cost = Money::new(
                    each.amount * rust_decimal::Decimal::from(request.at_most),
                    each.currency,
                );
                price = Some(price.map_or(cost, |sum| sum.checked_add(cost).unwrap_or(sum)));
            }
        }
    }
    Filling { months, price, requests }
}

/// Reads and keeps one month of one source, outside its schedule.
///
/// # Errors
/// The source's error, or the ledger's as [`SourceErrorKind::Unavailable`].
pub async fn fill(polling: &Polling, poller: &Poller, month: Window) -> Result<usize, SourceError> {
    let descriptor = poller.source.descriptor();
    let request = PollRequest { window: month, now: poller.clock.now(), cursor: None };
    let report =
        tokio::time::timeout(descriptor.deadline, poller.source.poll(&request, &*poller.meter))
            .await
            .map_err(|_| {
                SourceError::new(
                    SourceErrorKind::Timeout,
                    format!("failed to read {month} in time"),
                )
            })??;
    reconcile(&report)?;
    let kept = |reason: String| {
        SourceError::new(SourceErrorKind::Unavailable, format!("failed to keep {month}: {reason}"))
    };
    let committed = polling
        .handle
        .call(move |ledger| ledger.commit(&report, None))
        .await
        .map_err(|gone| kept(gone.to_string()))?
        .map_err(|error| kept(error.to_string()))?;
    Ok(committed.rows)
}
