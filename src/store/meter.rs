//! The port through which collectors reserve money, over the ledger's thread.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::domain::identity::SourceId;
use crate::domain::money::Money;
use crate::domain::ports::{Clock, Meter, MeterError};
use crate::store::handle::LedgerHandle;

/// What a quota had left when it was last told.
#[derive(Debug, Clone, PartialEq)]
pub struct QuotaReading {
    /// The source.
    pub source: SourceId,
    /// Which quota: `qpu`.
    pub quota: &'static str,
    /// In which window: `1h`.
    pub window: &'static str,
    /// How much is left.
    pub remaining: f64,
}

/// Reserves in the ledger, and remembers quotas for the self metrics.
pub struct LedgerMeter {
    ledger: LedgerHandle,
    caps: HashMap<SourceId, Option<Money>>,
    clock: Arc<dyn Clock>,
    quotas: Mutex<BTreeMap<(SourceId, &'static str, &'static str), f64>>,
}

impl LedgerMeter {
    /// A meter with the monthly caps of the sources; a source without one may spend freely.
    pub fn new(
        ledger: LedgerHandle,
        caps: HashMap<SourceId, Option<Money>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { ledger, caps, clock, quotas: Mutex::default() }
    }

    /// Every quota that was told since the start, by source, quota and window.
    pub fn quotas(&self) -> Vec<QuotaReading> {
        let quotas = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        quotas
            .iter()
            .map(|((source, quota, window), &remaining)| QuotaReading {
                source: source.clone(),
                quota,
                window,
                remaining,
            })
            .collect()
    }
}

#[async_trait]
impl Meter for LedgerMeter {
    async fn reserve(
        &self,
        source: &SourceId,
        operation: &'static str,
        price: Money,
    ) -> Result<(), MeterError> {
        let cap = self.caps.get(source).copied().flatten();
        let now = self.clock.now();
        let source = source.clone();
        self.ledger
            .call(move |ledger| ledger.reserve(&source, operation, price, cap, now))
            .await
            .map_err(|gone| MeterError::Ledger(gone.to_string()))?
    }

    fn quota(&self, source: &SourceId, quota: &'static str, window: &'static str, remaining: f64) {
        let mut quotas = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        quotas.insert((source.clone(), quota, window), remaining);
    }
}
