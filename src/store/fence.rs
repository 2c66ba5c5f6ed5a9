//! Who may write: one process alone, or the holder of the newest term of a Lease.
//!
//! A term belongs to one holder: the first that led the ledger in it. Every write of a leader
//! checks, in its own transaction, that the ledger has seen no newer term, so that what an old
//! leader sends late is refused and not only unlikely.

use jiff::Timestamp;

use crate::store::engine::{Connection, params};
use crate::store::error::{Fault, LedgerError, Operation};
use crate::store::ledger::Ledger;
use crate::store::location::Location;
use crate::store::sql::{all, count, one, run, stamp};

/// What a process that has the ledger open may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Duty {
    /// Read.
    Reader,
    /// Write: no other process does.
    Alone,
    /// Read, and wait to lead.
    Follower,
    /// Write as long as its term is the newest.
    Leader {
        /// Its term.
        term: i64,
        /// Its name.
        holder: String,
    },
}

impl Ledger {
    /// The newest term that the ledger was led in; 0 where it never was.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn term(&self) -> Result<i64, LedgerError> {
        self.read(|connection| Ok(led(connection)?.0))
    }

    /// A number that grows with every write that was kept, so that one cheap question tells
    /// whether something changed.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn revision(&self) -> Result<u64, LedgerError> {
        self.read(|connection| {
            let revisions =
                all(connection, "SELECT revision FROM ledger_state", params![], |row| {
                    count(row, 0)
                })?;
            revisions
                .into_iter()
                .next()
                .ok_or_else(|| Fault::Damaged("`ledger_state` is empty".to_owned()))
        })
    }

    /// Leads from now on: writes are those of `holder` in `term`. A term that the ledger has seen
    /// belongs to whoever led it first; the same holder may lead in it again, as after a restart.
    ///
    /// # Errors
    /// [`LedgerError::Fenced`] where the ledger has seen a newer term, or this one with another
    /// holder; this process follows then.
    pub fn lead(&mut self, term: i64, holder: &str, at: Timestamp) -> Result<(), LedgerError> {
        if self.duty == Duty::Reader {
            return Err(LedgerError::ReadOnly {
                operation: Operation::Lead,
                ledger: self.location.to_string(),
            });
        }
        let ledger = self.location.to_string();
        let before = std::mem::replace(&mut self.duty, Duty::Alone);
        let led = self.write(Operation::Lead, |connection| {
            let (held, by) = led(connection)?;
            if held > term || (held == term && by != holder) {
                let operation = Operation::Lead;
                return Err(
                    LedgerError::Fenced { operation, ledger, own: term, held, holder: by }.into()
                );
            }
            run(
                connection,
                "UPDATE ledger_state SET term = ?1, holder = ?2, led_at = ?3",
                params![term, holder, stamp(at)],
            )?;
            Ok(())
        });
        self.duty = match &led {
            Ok(()) => Duty::Leader { term, holder: holder.to_owned() },
            Err(LedgerError::Fenced { .. }) => Duty::Follower,
            Err(_) => before,
        };
        led
    }

    /// Follows from now on: every write is refused with [`LedgerError::NotLeader`] until it leads.
    pub fn follow(&mut self) {
        if self.duty != Duty::Reader {
            self.duty = Duty::Follower;
        }
    }

    /// Whether a write was refused since the last time because another one leads in a newer term.
    pub(super) fn take_ousted(&mut self) -> bool {
        std::mem::take(&mut self.is_ousted)
    }

    pub(super) fn may_write(&self, operation: Operation) -> Result<(), LedgerError> {
        let ledger = || self.location.to_string();
        match self.duty {
            Duty::Reader => Err(LedgerError::ReadOnly { operation, ledger: ledger() }),
            Duty::Follower => Err(LedgerError::NotLeader { operation, ledger: ledger() }),
            Duty::Alone | Duty::Leader { .. } => Ok(()),
        }
    }
}

/// The newest term and its holder.
fn led(connection: &Connection) -> Result<(i64, String), Fault> {
    let terms = all(connection, "SELECT term, holder FROM ledger_state", params![], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    terms.into_iter().next().ok_or_else(|| Fault::Damaged("`ledger_state` is empty".to_owned()))
}

/// Begins a write: counts it, and holds the term of a leader against the ledger's. The row stays
/// locked until the transaction ends, so that a new leader waits for it.
pub(super) fn enter(
    connection: &Connection,
    duty: &Duty,
    operation: Operation,
    location: &Location,
) -> Result<i64, Fault> {
    let (own, by) = match duty {
        Duty::Leader { term, holder } => (Some(*term), Some(holder.as_str())),
        Duty::Alone | Duty::Reader | Duty::Follower => (None, None),
    };
    let counted = one(
        connection,
        "UPDATE ledger_state SET revision = revision + 1, writer = ?3
         WHERE CAST(?1 AS BIGINT) IS NULL OR (term = ?1 AND holder = ?2) RETURNING revision",
        params![own, by, connection.mark()],
    )?;
    if let Some(revision) = counted {
        return Ok(revision);
    }
    let (held, holder) = led(connection)?;
    let ledger = location.to_string();
    Err(LedgerError::Fenced { operation, ledger, own: own.unwrap_or(0), held, holder }.into())
}
