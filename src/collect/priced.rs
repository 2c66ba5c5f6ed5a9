//! A meter that also adds up what one poll reserved, so that the cadence follows real prices.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::domain::identity::SourceId;
use crate::domain::money::Money;
use crate::domain::ports::{Meter, MeterError};

/// Reserves through another meter and remembers the sum.
pub struct Priced<'a> {
    meter: &'a dyn Meter,
    sum: Mutex<Option<Money>>,
}

impl<'a> Priced<'a> {
    /// Nothing reserved yet.
    pub fn new(meter: &'a dyn Meter) -> Self {
        Self { meter, sum: Mutex::new(None) }
    }

    /// What was reserved, in the currency of the first reservation that was not free.
    pub fn sum(&self) -> Option<Money> {
        *self.sum.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Meter for Priced<'_> {
    async fn reserve(
        &self,
        source: &SourceId,
        operation: &'static str,
        price: Money,
    ) -> Result<(), MeterError> {
        self.meter.reserve(source, operation, price).await?;
        if !price.amount.is_zero() {
            let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
            *sum = Some(sum.map_or(price, |so_far| so_far.checked_add(price).unwrap_or(so_far)));
        }
        Ok(())
    }

    fn quota(&self, source: &SourceId, quota: &'static str, window: &'static str, remaining: f64) {
        self.meter.quota(source, quota, window, remaining);
    }
}
