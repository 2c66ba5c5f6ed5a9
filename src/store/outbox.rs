//! Where bands stand, and the messages about it that wait to be delivered: changed together.

use jiff::Timestamp;

use crate::domain::band::BandView;
use crate::domain::notice::{BandState, BandStateChange, OutboxEntry, QueuedNotice};
use crate::domain::period::BillingPeriod;
use crate::store::engine::{Connection, Parameter, params};
use crate::store::error::{Fault, LedgerError, Operation};
use crate::store::ledger::Ledger;
use crate::store::sql::{all, band_status, band_view, count, parsed, run, stamp};

impl Ledger {
    /// Where the views of a band stand in a period, in the order of [`BandView::ALL`]. A view that
    /// was never told is missing.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn band_states(
        &self,
        band: &str,
        period: BillingPeriod,
    ) -> Result<Vec<(BandView, BandState)>, LedgerError> {
        self.read(|connection| {
            let mut states = states(connection, band, period)?;
            states.sort_by_key(|&(view, _)| BandView::ALL.iter().position(|&other| other == view));
            Ok(states)
        })
    }

    /// Where one view of a band stands in a period.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn band_state(
        &self,
        band: &str,
        period: BillingPeriod,
        view: BandView,
    ) -> Result<Option<BandState>, LedgerError> {
        let states = self.band_states(band, period)?;
        Ok(states.into_iter().find(|&(other, _)| other == view).map(|(_, state)| state))
    }

    /// Keeps changes of status together with the messages about them, and tells how many messages
    /// were queued. A message whose dedupe key the outbox holds already is not queued again.
    ///
    /// # Errors
    /// [`LedgerError::StateMoved`] when the ledger holds another status than a change starts from;
    /// nothing is changed and nothing queued then.
    pub fn change_band_state(
        &mut self,
        changes: &[BandStateChange],
        outbox: &[OutboxEntry],
        at: Timestamp,
    ) -> Result<usize, LedgerError> {
        self.write(Operation::BandState, |connection| {
            for change in changes {
                let kept = states(connection, &change.band, change.period)?
                    .into_iter()
                    .find(|&(view, _)| view == change.view)
                    .map(|(_, state)| state.status);
                if kept != change.before {
                    let band = change.band.clone();
                    let expected = change.before;
                    return Err(LedgerError::StateMoved { band, kept, expected }.into());
                }
                run(
                    connection,
                    "INSERT INTO band_state (band, period, view, status, reason, since)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT (band, period, view) DO UPDATE SET
                        status = excluded.status, reason = excluded.reason, since = excluded.since",
                    params![
                        &change.band,
                        change.period.to_string(),
                        change.view.as_str(),
                        change.after.as_str(),
                        &change.reason,
                        stamp(change.at)
                    ],
                )?;
            }
            let mut queued = 0;
            for entry in outbox {
                queued += run(
                    connection,
                    "INSERT INTO outbox (dedupe_key, receiver, payload, queued_at, next_attempt)
                     VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT (dedupe_key) DO NOTHING",
                    params![&entry.dedupe_key, &entry.receiver, &entry.payload, stamp(at)],
                )?;
            }
            Ok(queued)
        })
    }

    /// The messages whose next attempt is due, oldest first.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn outbox_due(&self, now: Timestamp) -> Result<Vec<QueuedNotice>, LedgerError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT id, dedupe_key, receiver, payload, attempts, queued_at, last_error
                 FROM outbox
                 WHERE sent_at IS NULL AND dropped_at IS NULL AND next_attempt <= ?1
                   AND NOT EXISTS (SELECT 1 FROM outbox AS older
                                   WHERE older.receiver = outbox.receiver AND older.id < outbox.id
                                     AND older.sent_at IS NULL AND older.dropped_at IS NULL
                                     AND older.next_attempt > ?1)
                 ORDER BY id",
                params![stamp(now)],
                |row| {
                    Ok(QueuedNotice {
                        id: row.get(0)?,
                        entry: OutboxEntry {
                            dedupe_key: row.get(1)?,
                            receiver: row.get(2)?,
                            payload: row.get(3)?,
                        },
                        attempts: count(row, 4)?,
                        queued_at: parsed(row, 5)?,
                        last_error: row.get(6)?,
                    })
                },
            )
        })
    }

    /// When the earliest waiting message is due, so that nobody needs to ask in vain.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn outbox_next(&self) -> Result<Option<Timestamp>, LedgerError> {
        self.read(|connection| {
            let next = all(
                connection,
                "SELECT next_attempt FROM outbox WHERE sent_at IS NULL AND dropped_at IS NULL
                 ORDER BY next_attempt LIMIT 1",
                params![],
                |row| parsed(row, 0),
            )?;
            Ok(next.into_iter().next())
        })
    }

    /// Notes that a receiver acknowledged a message.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot keep it.
    pub fn outbox_sent(&mut self, id: i64, at: Timestamp) -> Result<(), LedgerError> {
        self.outcome(
            "UPDATE outbox SET sent_at = ?2 WHERE id = ?1 AND dropped_at IS NULL",
            params![id, stamp(at)],
        )
    }

    /// Notes that an attempt failed and when the next one is due.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot keep it.
    pub fn outbox_failed(
        &mut self,
        id: i64,
        next_attempt: Timestamp,
        reason: &str,
    ) -> Result<(), LedgerError> {
        self.outcome(
            "UPDATE outbox SET attempts = attempts + 1, next_attempt = ?2, last_error = ?3
             WHERE id = ?1",
            params![id, stamp(next_attempt), reason],
        )
    }

    /// Notes that a message is given up.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot keep it.
    pub fn outbox_dropped(
        &mut self,
        id: i64,
        at: Timestamp,
        reason: &str,
    ) -> Result<(), LedgerError> {
        self.outcome(
            "UPDATE outbox SET dropped_at = ?2, last_error = ?3 WHERE id = ?1 AND sent_at IS NULL",
            params![id, stamp(at), reason],
        )
    }

    fn outcome<'a>(
        &mut self,
        statement: &str,
        parameters: impl AsRef<[Parameter<'a>]>,
    ) -> Result<(), LedgerError> {
        self.write(Operation::Outbox, |connection| {
            run(connection, statement, parameters)?;
            Ok(())
        })
    }
}

fn states(
    connection: &Connection,
    band: &str,
    period: BillingPeriod,
) -> Result<Vec<(BandView, BandState)>, Fault> {
    all(
        connection,
        "SELECT view, status, reason, since FROM band_state WHERE band = ?1 AND period = ?2",
        params![band, period.to_string()],
        |row| {
            let view: String = row.get(0)?;
            let status: String = row.get(1)?;
            let state = BandState {
                status: band_status(&status)?,
                reason: row.get(2)?,
                since: parsed(row, 3)?,
            };
            Ok((band_view(&view)?, state))
        },
    )
}
