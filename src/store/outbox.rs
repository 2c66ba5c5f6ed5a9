//! The messages that wait to be delivered, and what became of them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;

use crate::domain::alert::AlertId;
use crate::domain::notice::{Message, OutboxEntry, QueuedNotice};
use crate::store::alerts::unheard;
use crate::store::engine::{Connection, Parameter, Row, params};
use crate::store::error::{Fault, LedgerError, Operation};
use crate::store::ledger::Ledger;
use crate::store::sql::{all, count, json, parsed, parsed_option, run, stamp};

/// So many messages of a receiver are looked at together.
const AT_ONCE: usize = 100;

/// How deliveries to a receiver go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// The receiver's name.
    pub receiver: String,
    /// How many messages wait.
    pub waiting: u64,
    /// Since when it takes one of them not: the oldest that was tried in vain, or the first that was
    /// dropped since one was taken.
    pub failing_since: Option<Timestamp>,
    /// What it said.
    pub last_error: Option<String>,
}

/// Queues messages, and tells how many. One whose dedupe key the outbox holds already is not queued
/// again.
pub(super) fn queue(
    connection: &Connection,
    messages: &[Message],
    at: Timestamp,
) -> Result<usize, Fault> {
    let mut queued = 0;
    for message in messages {
        queued += run(
            connection,
            "INSERT INTO outbox (dedupe_key, receiver, payload, queued_at, next_attempt)
             VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT (dedupe_key) DO NOTHING",
            params![&message.dedupe_key, &message.receiver, json(&message.notice)?, stamp(at)],
        )?;
    }
    Ok(queued)
}

fn queued(row: &Row<'_>) -> Result<QueuedNotice, Fault> {
    Ok(QueuedNotice {
        id: row.get(0)?,
        entry: OutboxEntry { dedupe_key: row.get(1)?, receiver: row.get(2)?, payload: row.get(3)? },
        attempts: count(row, 4)?,
        queued_at: parsed(row, 5)?,
        last_error: row.get(6)?,
        handed_at: parsed_option(row, 7)?,
    })
}

/// What a message tells of, to whom; nothing where it cannot be read, which its delivery finds.
fn alerts_of(entry: &OutboxEntry) -> Vec<(String, AlertId)> {
    #[derive(Deserialize)]
    struct Told {
        alerts: Vec<Identity>,
    }
    #[derive(Deserialize)]
    struct Identity {
        id: AlertId,
    }
    let told = serde_json::from_str(&entry.payload).unwrap_or(Told { alerts: Vec::new() });
    told.alerts.into_iter().map(|alert| (entry.receiver.clone(), alert.id)).collect()
}

impl Ledger {
    /// The messages whose next attempt is due, oldest first. One that tells of an alert of which an
    /// older message to the same receiver still waits, waits behind it.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn outbox_due(&self, now: Timestamp) -> Result<Vec<QueuedNotice>, LedgerError> {
        self.due("1 = 1", params![], now)
    }

    /// The first of them that are for one receiver.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn outbox_due_to(
        &self,
        receiver: &str,
        now: Timestamp,
    ) -> Result<Vec<QueuedNotice>, LedgerError> {
        let mut due = self.due("receiver = ?1", params![receiver], now)?;
        due.truncate(AT_ONCE);
        Ok(due)
    }

    fn due<'a>(
        &self,
        which: &str,
        parameters: impl AsRef<[Parameter<'a>]>,
        now: Timestamp,
    ) -> Result<Vec<QueuedNotice>, LedgerError> {
        let select = format!(
            "SELECT id, dedupe_key, receiver, payload, attempts, queued_at, last_error, handed_at,
                next_attempt
             FROM outbox WHERE {which} AND sent_at IS NULL AND dropped_at IS NULL ORDER BY id"
        );
        let mut due = Vec::new();
        // The alerts of what waits, with who is told.
        let mut waiting: BTreeSet<(String, AlertId)> = BTreeSet::new();
        self.read(|connection| {
            connection.each(&select, parameters.as_ref(), &mut |row: &Row<'_>| {
                let queued = queued(row)?;
                let waits = parsed::<Timestamp>(row, 8)? > now;
                if !waits && waiting.is_empty() {
                    due.push(queued);
                    return Ok(());
                }
                let of = alerts_of(&queued.entry);
                if waits || of.iter().any(|alert| waiting.contains(alert)) {
                    waiting.extend(of);
                } else {
                    due.push(queued);
                }
                Ok(())
            })
        })?;
        Ok(due)
    }

    /// Notes that a message is about to be handed over: until its outcome is noted, the receiver may
    /// have it.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot keep it.
    pub fn outbox_handed(&mut self, id: i64, at: Timestamp) -> Result<(), LedgerError> {
        self.outcome("UPDATE outbox SET handed_at = ?2 WHERE id = ?1", params![id, stamp(at)])
    }

    /// How deliveries to each receiver go that has messages waiting, or of which one was dropped
    /// since an instant and none was taken after it.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn outbox_backlogs(&self, since: Timestamp) -> Result<Vec<Backlog>, LedgerError> {
        let select = "SELECT receiver, CASE WHEN dropped_at IS NULL THEN 1 ELSE 0 END,
                CASE WHEN dropped_at IS NOT NULL THEN dropped_at
                     WHEN attempts > 0 THEN queued_at END,
                last_error
             FROM outbox";
        let waiting = "sent_at IS NULL AND dropped_at IS NULL";
        let dropped = "dropped_at IS NOT NULL AND dropped_at >= ?1
             AND NOT EXISTS (SELECT 1 FROM outbox AS newer
                             WHERE newer.receiver = outbox.receiver AND newer.id > outbox.id
                               AND newer.sent_at IS NOT NULL)";
        let mut backlogs: BTreeMap<String, Backlog> = BTreeMap::new();
        self.read(|connection| {
            let mut read = |row: &Row<'_>| {
                let receiver: String = row.get(0)?;
                let backlog = backlogs.entry(receiver.clone()).or_insert(Backlog {
                    receiver,
                    waiting: 0,
                    failing_since: None,
                    last_error: None,
                });
                let waits: u64 = count(row, 1)?;
                backlog.waiting += waits;
                if let Some(since) = parsed_option(row, 2)? {
                    let known = backlog.failing_since.get_or_insert(since);
                    *known = since.min(*known);
                }
                let error: Option<String> = row.get(3)?;
                backlog.last_error = error.or(backlog.last_error.take());
                Ok(())
            };
            let ask = |which: &str| format!("{select} WHERE {which} ORDER BY id");
            connection.each(&ask(waiting), &[], &mut read)?;
            connection.each(&ask(dropped), &params![stamp(since)], &mut read)
        })?;
        Ok(backlogs.into_values().collect())
    }

    /// The receivers that messages wait for.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn outbox_receivers(&self) -> Result<Vec<String>, LedgerError> {
        self.read(|connection| {
            let select = "SELECT DISTINCT receiver FROM outbox
                WHERE sent_at IS NULL AND dropped_at IS NULL ORDER BY receiver";
            all(connection, select, params![], |row| row.get(0))
        })
    }

    /// Notes that a receiver acknowledged a message.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot keep it.
    pub fn outbox_sent(&mut self, id: i64, at: Timestamp) -> Result<(), LedgerError> {
        self.outcome(
            // What was told is in the history of its alerts.
            "UPDATE outbox SET sent_at = ?2, payload = '' WHERE id = ?1 AND dropped_at IS NULL",
            params![id, stamp(at)],
        )
    }

    /// Notes that an attempt failed, when the next one is due, and whether the message may have
    /// arrived all the same.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot keep it.
    pub fn outbox_failed(
        &mut self,
        id: i64,
        next_attempt: Timestamp,
        reason: &str,
        may_have_arrived: bool,
    ) -> Result<(), LedgerError> {
        self.outcome(
            "UPDATE outbox SET attempts = attempts + 1, next_attempt = ?2, last_error = ?3,
                handed_at = CASE WHEN ?4 = 1 THEN handed_at END WHERE id = ?1",
            params![id, stamp(next_attempt), reason, i64::from(may_have_arrived)],
        )
    }

    /// Notes that a message is given up, and in its alerts that the receiver did not hear of them.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot keep it.
    pub fn outbox_dropped(
        &mut self,
        id: i64,
        at: Timestamp,
        reason: &str,
    ) -> Result<(), LedgerError> {
        self.write(Operation::Outbox, |connection| {
            let held = all(
                connection,
                "SELECT receiver, payload FROM outbox
                 WHERE id = ?1 AND sent_at IS NULL AND dropped_at IS NULL",
                params![id],
                |row| Ok((row.get::<String>(0)?, row.get::<String>(1)?)),
            )?;
            for (receiver, payload) in held {
                // One that cannot be read is dropped for that.
                if let Ok(notice) = serde_json::from_str(&payload) {
                    unheard(connection, &receiver, &notice, at)?;
                }
            }
            run(
                connection,
                "UPDATE outbox SET dropped_at = ?2, last_error = ?3, payload = ''
                 WHERE id = ?1 AND sent_at IS NULL AND dropped_at IS NULL",
                params![id, stamp(at), reason],
            )?;
            Ok(())
        })
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
