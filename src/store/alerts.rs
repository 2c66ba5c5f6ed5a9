//! Alerts, what became of them, and silences: changed together with the messages about them.

use jiff::Timestamp;

use crate::domain::alert::{
    Acknowledgement, AlertEnd, AlertId, AlertPhase, AlertState, Silence, Told,
};
use crate::domain::notice::{AlertChange, AlertEvent, AlertEventKind, Message, Notice};
use crate::store::engine::{Connection, Row, params};
use crate::store::error::{Fault, LedgerError, Operation};
use crate::store::ledger::Ledger;
use crate::store::outbox::queue;
use crate::store::sql::{all, from_json, json, parsed, run, stamp};

impl Ledger {
    /// Every alert that is pending or fires, and those that are over with their billing period, by
    /// identity.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn alerts(&self) -> Result<Vec<AlertState>, LedgerError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT state FROM alert WHERE phase <> ?1 OR is_final = 1 ORDER BY identity",
                params![AlertPhase::Resolved.as_str()],
                |row| from_json(row, 0),
            )
        })
    }

    /// What became of alerts, the newest first; of one of them, or of all.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn alert_events(
        &self,
        of: Option<&AlertId>,
        most: u32,
    ) -> Result<Vec<AlertEvent>, LedgerError> {
        let event = |row: &Row<'_>| {
            let (kind, state) = (from_json(row, 1)?, from_json(row, 2)?);
            Ok(AlertEvent { at: parsed(row, 0)?, kind, state })
        };
        let (newest, most) = ("ORDER BY id DESC LIMIT ?1", i64::from(most));
        self.read(|connection| match of {
            Some(id) => {
                let select = "SELECT at, kind, state FROM alert_event WHERE alert = ?2";
                all(connection, &format!("{select} {newest}"), params![most, id.as_str()], event)
            }
            None => {
                let select = "SELECT at, kind, state FROM alert_event";
                all(connection, &format!("{select} {newest}"), params![most], event)
            }
        })
    }

    /// Keeps what became of alerts together with the messages about it, and tells how many messages
    /// were queued.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot keep it; nothing is changed and nothing queued then.
    pub fn change_alerts(
        &mut self,
        changes: &[AlertChange],
        messages: &[Message],
        at: Timestamp,
    ) -> Result<usize, LedgerError> {
        self.write(Operation::Alerts, |connection| {
            for change in changes {
                match change {
                    AlertChange::Passed(id) => {
                        let remove = "DELETE FROM alert WHERE identity = ?1";
                        run(connection, remove, params![id.as_str()])?;
                    }
                    AlertChange::Kept { state, event } => {
                        keep(connection, state, at)?;
                        if let Some(kind) = event {
                            note(connection, *kind, state, at)?;
                        }
                    }
                }
            }
            queue(connection, messages, at)
        })
    }

    /// Notes that somebody has taken an alert, or that nobody has any more. None where no alert of
    /// that identity is pending or fires.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot keep it.
    pub fn acknowledge_alert(
        &mut self,
        id: &AlertId,
        taken: Option<&Acknowledgement>,
        at: Timestamp,
    ) -> Result<Option<AlertState>, LedgerError> {
        self.write(Operation::Alerts, |connection| {
            let held = one_alert(connection, id)?;
            let Some(mut state) = held.filter(|held| held.phase != AlertPhase::Resolved) else {
                return Ok(None);
            };
            state.acknowledged = taken.cloned();
            keep(connection, &state, at)?;
            let kind = match taken {
                Some(_) => AlertEventKind::Acknowledged,
                None => AlertEventKind::Unacknowledged,
            };
            note(connection, kind, &state, at)?;
            Ok(Some(state))
        })
    }

    /// Silences that hold or are to come, the first to end first.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn silences(&self, now: Timestamp) -> Result<Vec<Silence>, LedgerError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT silence FROM silence WHERE ends_at > ?1 ORDER BY ends_at, name",
                params![stamp(now)],
                |row| from_json(row, 0),
            )
        })
    }

    /// Keeps a silence.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot keep it.
    pub fn add_silence(&mut self, silence: &Silence) -> Result<(), LedgerError> {
        self.write(Operation::Alerts, |connection| keep_silence(connection, silence))
    }

    /// Ends a silence now; false where none of that name holds or is to come.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot keep it.
    pub fn end_silence(&mut self, id: &str, now: Timestamp) -> Result<bool, LedgerError> {
        self.write(Operation::Alerts, |connection| {
            let held: Vec<Silence> = all(
                connection,
                "SELECT silence FROM silence WHERE name = ?1 AND ends_at > ?2",
                params![id, stamp(now)],
                |row| from_json(row, 0),
            )?;
            let Some(mut silence) = held.into_iter().next() else { return Ok(false) };
            silence.ends_at = now;
            keep_silence(connection, &silence)?;
            Ok(true)
        })
    }
}

fn one_alert(connection: &Connection, id: &AlertId) -> Result<Option<AlertState>, Fault> {
    let select = "SELECT state FROM alert WHERE identity = ?1";
    let held = all(connection, select, params![id.as_str()], |row| from_json(row, 0))?;
    Ok(held.into_iter().next())
}

fn keep(connection: &Connection, state: &AlertState, at: Timestamp) -> Result<(), Fault> {
    run(
        connection,
        "INSERT INTO alert (identity, phase, state, changed_at, is_final)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (identity) DO UPDATE SET
            phase = excluded.phase, state = excluded.state, changed_at = excluded.changed_at,
            is_final = excluded.is_final",
        params![
            state.key.id().as_str(),
            state.phase.as_str(),
            json(state)?,
            stamp(at),
            i64::from(state.end == Some(AlertEnd::PeriodFinal))
        ],
    )?;
    Ok(())
}

/// Notes in the alerts of a message that their receiver did not get it after all.
pub(super) fn unheard(
    connection: &Connection,
    receiver: &str,
    notice: &Notice,
    at: Timestamp,
) -> Result<(), Fault> {
    for alert in &notice.alerts {
        let Some(mut state) = one_alert(connection, &alert.id)? else { continue };
        if let Some(told) = state.told.get_mut(receiver) {
            *told = Told { at, dropped: true, ..*told };
            keep(connection, &state, at)?;
        }
    }
    Ok(())
}

fn note(
    connection: &Connection,
    kind: AlertEventKind,
    state: &AlertState,
    at: Timestamp,
) -> Result<(), Fault> {
    run(
        connection,
        "INSERT INTO alert_event (alert, at, kind, state) VALUES (?1, ?2, ?3, ?4)",
        params![state.key.id().as_str(), stamp(at), json(&kind)?, json(state)?],
    )?;
    Ok(())
}

fn keep_silence(connection: &Connection, silence: &Silence) -> Result<(), Fault> {
    run(
        connection,
        "INSERT INTO silence (name, ends_at, silence) VALUES (?1, ?2, ?3)
         ON CONFLICT (name) DO UPDATE SET ends_at = excluded.ends_at, silence = excluded.silence",
        params![&silence.id, stamp(silence.ends_at), json(silence)?],
    )?;
    Ok(())
}
