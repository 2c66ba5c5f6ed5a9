//! GPU money of any days that the ledger holds, for the face.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{Timestamp, ToSpan};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::analyse::gpu_bill::GpuBill;
use crate::analyse::gpu_money::{gpu_money, part_money};
use crate::analyse::spend::complete_days;
use crate::app::gpu_bill::Gatherer;
use crate::app::spend::{SpendReader, known_days};
use crate::domain::gpu_money::GpuRange;
use crate::domain::period::Window;
use crate::domain::ports::{Clock, GpuHistory, HistoryError};
use crate::store::{Ledger, LedgerError, Location};

/// Prices of the days before are averaged over so many days.
const DAYS_BEFORE: i32 = 14;

/// Reads GPU money from the ledger: one question at a time, since each may read a year of
/// it, and beside the ledger's own thread, which polls wait for.
pub struct LedgerHistory {
    /// Where the ledger is.
    pub location: Location,
    /// Which sources there are.
    pub reader: SpendReader,
    /// The agent's clock.
    pub clock: Arc<dyn Clock>,
    /// Held while a question is answered.
    pub turn: Arc<Semaphore>,
    /// How long a question waits for it.
    pub patience: Duration,
}

#[async_trait]
impl GpuHistory for LedgerHistory {
    async fn money(&self, window: Window) -> Result<GpuRange, HistoryError> {
        let turn = timeout(self.patience, self.turn.clone().acquire_owned());
        let turn = turn.await.map_err(|_| HistoryError::Busy)?.map_err(|_| HistoryError::Busy)?;
        let (location, reader, now) =
            (self.location.clone(), self.reader.clone(), self.clock.now());
        let answer = tokio::task::spawn_blocking(move || {
            // Who asked may be gone by now; the next one waits for the end all the same.
            let _turn = turn;
            read(&reader, &Ledger::open_read_only(location)?, window, now)
        });
        match answer.await {
            Ok(Ok(range)) => Ok(range),
            Ok(Err(error)) => Err(HistoryError::Ledger(error.to_string())),
            Err(gone) => Err(HistoryError::Ledger(gone.to_string())),
        }
    }
}

/// GPU time and money of some days.
///
/// # Errors
/// When the ledger cannot be read.
pub fn read(
    reader: &SpendReader,
    ledger: &Ledger,
    window: Window,
    now: Timestamp,
) -> Result<GpuRange, LedgerError> {
    let with_before = Window::new(window.start.saturating_sub(DAYS_BEFORE.days()), window.end);
    let mut bills = Vec::new();
    let mut listed = Vec::new();
    for rules in reader.rules() {
        let mut gathered = Gatherer::new(rules.provider);
        for breakdown in ledger.breakdowns(&rules.id)? {
            if gathered.is_of_machines(&breakdown) {
                ledger.for_each_row_in_days(&breakdown, &with_before, |row| {
                    gathered.row(&breakdown, row);
                })?;
            }
        }
        let known = known_days(ledger, rules, &with_before)?;
        bills.push(gathered.finish(complete_days(rules, &known, now)));
        listed.extend(ledger.list_prices(&rules.id)?);
    }
    let bill = GpuBill::of(bills);
    let book = reader.price_book(&bill, listed);
    let days = ledger.gpu_days(&window)?;
    let money = gpu_money(&days, &bill.days, &book, now, |_, day| window.contains(day));
    let nodes: Vec<_> = ledger
        .gpu_nodes(&window)?
        .into_iter()
        .map(|((name, fleet), time)| ((name, fleet.clone()), fleet, time))
        .collect();
    Ok(GpuRange {
        as_of: now,
        workloads: part_money(&ledger.gpu_workloads(&window)?, &money),
        pods: part_money(&ledger.gpu_pods(&window)?, &money),
        nodes: part_money(&nodes, &money),
        window,
        money,
    })
}
