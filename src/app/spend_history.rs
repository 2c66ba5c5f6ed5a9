//! What a source cost over any days that the ledger holds, for the face.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::analyse::spend::complete_days;
use crate::analyse::spend_range::{MOST_PARTS, RangeFold, Sizes, telling, tells};
use crate::app::spend::{SpendReader, known_days};
use crate::domain::period::{BillingPeriod, Window};
use crate::domain::ports::{Clock, HistoryError, SpendHistory, SpendHistoryError};
use crate::domain::report::Completeness;
use crate::domain::spend_range::{PartKey, SpendDay, SpendQuestion, SpendRange};
use crate::store::{Ledger, LedgerError, Location};

/// Reads spend from the ledger beside the ledger's own thread, which polls wait for: as many
/// questions at a time as there are turns, since each may read a year of rows.
pub struct LedgerSpendHistory {
    /// Where the ledger is.
    pub location: Location,
    /// Which sources there are.
    pub reader: SpendReader,
    /// The agent's clock.
    pub clock: Arc<dyn Clock>,
    /// One is held while a question is answered.
    pub turns: Arc<Semaphore>,
    /// How long a question waits for one.
    pub patience: Duration,
}

#[async_trait]
impl SpendHistory for LedgerSpendHistory {
    async fn spend(&self, question: SpendQuestion) -> Result<SpendRange, SpendHistoryError> {
        let busy = || SpendHistoryError::History(HistoryError::Busy);
        let turn = timeout(self.patience, self.turns.clone().acquire_owned());
        let turn = turn.await.map_err(|_| busy())?.map_err(|_| busy())?;
        let (location, reader, now) =
            (self.location.clone(), self.reader.clone(), self.clock.now());
        let answer = tokio::task::spawn_blocking(move || {
            // Who asked may be gone by now; the next one waits for the end all the same.
            let _turn = turn;
            read(&reader, &Ledger::open_read_only(location)?, question, now)
        });
        let failed = |error: String| SpendHistoryError::History(HistoryError::Ledger(error));
        match answer.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(gone) => Err(failed(gone.to_string())),
        }
    }
}

/// Answers a question; the inner error says why it has no answer.
///
/// # Errors
/// When the ledger cannot be read.
pub fn read(
    reader: &SpendReader,
    ledger: &Ledger,
    question: SpendQuestion,
    now: Timestamp,
) -> Result<Result<SpendRange, SpendHistoryError>, LedgerError> {
    let Some(rules) = reader.rules().find(|rules| rules.id == question.source) else {
        let known = reader.rules().map(|rules| rules.id.clone()).collect();
        return Ok(Err(SpendHistoryError::NoSource { wanted: question.source, known }));
    };
    let breakdowns = ledger.breakdowns(&rules.id)?;
    let (breakdown, cut) = match telling(&breakdowns, &question) {
        Ok(found) => found,
        Err(not_told) => return Ok(Err(not_told.into())),
    };
    let window = question.window;
    let mut sizes = Sizes::default();
    ledger.for_each_row_in_days(breakdown, &window, |row| sizes.row(&cut, row))?;
    let mut fold = RangeFold::new(cut, sizes.largest(MOST_PARTS));
    ledger.for_each_row_in_days(breakdown, &window, |row| fold.row(row))?;
    let (totals, mut parts, folded) = fold.finish();

    // Whether a day is final is known from all days of its month.
    let known = known_days(ledger, rules, &whole_months(window))?;
    let complete = complete_days(rules, &known, now);
    let booked = known.readings.iter().map(|reading| reading.day);
    let days: BTreeSet<Date> = booked.chain(complete.iter().copied()).collect();
    let days = days.into_iter().filter(|day| window.contains(*day)).map(|day| {
        let is_complete = complete.contains(&day);
        let completeness =
            if is_complete { Completeness::Complete } else { Completeness::Provisional };
        SpendDay { day, completeness }
    });
    let days = days.collect();

    let names: BTreeMap<_, _> = ledger
        .names(&rules.id)?
        .into_iter()
        .map(|entity| ((entity.dimension, entity.key), entity.name))
        .collect();
    let filters = question.filters.iter();
    let filter_names = filters
        .filter_map(|(of, key)| Some((*of, names.get(&(*of, key.clone()))?.clone())))
        .collect();
    for part in &mut parts {
        if let (Some(by), PartKey::Value(key)) = (question.by, &part.key) {
            part.name = names.get(&(by, key.clone())).cloned();
        }
    }
    let provider = rules.provider;
    let tells = tells(&breakdowns);
    let as_of = now;
    Ok(Ok(SpendRange {
        as_of,
        question,
        provider,
        filter_names,
        days,
        totals,
        parts,
        folded,
        tells,
    }))
}

fn whole_months(window: Window) -> Window {
    let last = window.end.yesterday().unwrap_or(window.end);
    let end = BillingPeriod::containing(last).end_day();
    Window::new(BillingPeriod::containing(window.start).first_day(), end)
}
