//! The ledger: how it is opened, read and written, and the schedule in it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::breakdown::Breakdown;
use crate::domain::identity::SourceId;
use crate::domain::report::{ScheduleEntry, SourceErrorKind};
use crate::store::engine::{Company, Connection, params};
use crate::store::error::{Fault, LedgerError, Operation};
use crate::store::fence::{Duty, enter};
use crate::store::gpu::ToldTwice;
use crate::store::location::Location;
use crate::store::sql::{all, count, error_kind, noted_source, parsed_option, run, stamp};

/// The ledger. Synchronous; `store::handle` gives it a thread of its own.
///
/// Every method that changes something does it in one transaction, which is on disk when the
/// method returns.
#[derive(Debug)]
pub struct Ledger {
    pub(super) connection: Connection,
    pub(super) location: Location,
    pub(super) duty: Duty,
    /// A write was refused because another one leads in a newer term.
    pub(super) is_ousted: bool,
    pub(super) told_twice: RefCell<ToldTwice>,
    /// The sources whose last report was told as in doubt, and the number of the write.
    pub(super) in_doubt: BTreeMap<SourceId, i64>,
}

impl Ledger {
    /// Opens a ledger for reading and writing, alone, and makes or migrates it where needed. A new
    /// file belongs to its user alone (0600). `:memory:` is no file: that ledger ends with the
    /// process.
    ///
    /// # Errors
    /// [`LedgerError::InUse`] while another process may write to it, [`LedgerError::NewerSchema`]
    /// and [`LedgerError::NotALedger`] for what is not this build's, [`LedgerError::Io`] and
    /// [`LedgerError::Database`] for what the disk or the server refuses.
    pub fn open(location: impl Into<Location>) -> Result<Self, LedgerError> {
        Self::opened(location.into(), Company::Alone, Duty::Alone)
    }

    /// Opens a ledger that several processes share, which take turns by a Lease: this one follows
    /// until [`Ledger::lead`]. Only PostgreSQL can be shared; a file has one process all the same.
    ///
    /// # Errors
    /// As [`Ledger::open`]; [`LedgerError::InUse`] only for a process that opened it alone.
    pub fn open_shared(location: impl Into<Location>) -> Result<Self, LedgerError> {
        Self::opened(location.into(), Company::Shared, Duty::Follower)
    }

    fn opened(location: Location, company: Company, duty: Duty) -> Result<Self, LedgerError> {
        let connection = Connection::open(&location, company)?;
        Ok(Self::over(connection, location, duty))
    }

    /// Opens a ledger for reading, also while another process writes to it. All that is read
    /// belongs to one instant: the state that the ledger had when this returned.
    ///
    /// # Errors
    /// [`LedgerError::Missing`], [`LedgerError::OlderSchema`], and as [`Ledger::open`].
    pub fn open_read_only(location: impl Into<Location>) -> Result<Self, LedgerError> {
        let location = location.into();
        let connection = Connection::open_read_only(&location)?;
        Ok(Self::over(connection, location, Duty::Reader))
    }

    fn over(connection: Connection, location: Location, duty: Duty) -> Self {
        Self {
            connection,
            location,
            duty,
            is_ousted: false,
            told_twice: RefCell::default(),
            in_doubt: BTreeMap::new(),
        }
    }

    /// Where the ledger is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Moves the write-ahead log of a file into it and closes it. A ledger that is only dropped
    /// loses nothing either; the next start reads the log.
    ///
    /// # Errors
    /// [`LedgerError::Database`] when the disk refuses.
    pub fn close(self) -> Result<(), LedgerError> {
        let Self { connection, location, duty, .. } = self;
        connection
            .close(duty != Duty::Reader)
            .map_err(|fault| fault.during(Operation::Close, &location))
    }

    /// Reads several things that belong to one instant, while another process may write.
    ///
    /// # Errors
    /// What `work` fails with, or [`LedgerError`] when the ledger cannot be read.
    pub fn at_one_instant<R>(
        &self,
        work: impl FnOnce(&Self) -> Result<R, LedgerError>,
    ) -> Result<R, LedgerError> {
        if self.duty == Duty::Reader {
            return work(self);
        }
        let _open = self
            .connection
            .begin_instant()
            .map_err(|fault| fault.during(Operation::Read, &self.location))?;
        work(self)
    }

    /// Reads something.
    pub(super) fn read<R>(
        &self,
        work: impl FnOnce(&Connection) -> Result<R, Fault>,
    ) -> Result<R, LedgerError> {
        work(&self.connection).map_err(|fault| fault.during(Operation::Read, &self.location))
    }

    /// Changes something in one transaction, which is rolled back on an error or a panic.
    pub(super) fn write<R>(
        &mut self,
        operation: Operation,
        work: impl FnOnce(&Connection) -> Result<R, Fault>,
    ) -> Result<R, LedgerError> {
        self.may_write(operation)?;
        let Self { connection, location, duty, is_ousted, .. } = self;
        (|| {
            let open = connection.begin()?;
            let revision = enter(connection, duty, operation, location)?;
            let result = work(connection)?;
            open.commit(revision)?;
            Ok(result)
        })()
        .map_err(|fault: Fault| fault.during(operation, location))
        .inspect_err(|error| *is_ousted |= matches!(error, LedgerError::Fenced { .. }))
    }
}

impl Ledger {
    /// The state of a source's polling; the default for a source that was never polled.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn schedule(&self, source: &SourceId) -> Result<ScheduleEntry, LedgerError> {
        self.read(|connection| {
            let entries = all(
                connection,
                "SELECT next_poll, failures, last_success, error_kind, error_message, cursor,
                        data_through
                 FROM source WHERE name = ?1",
                params![source.as_str()],
                |row| {
                    let message: Option<String> = row.get(4)?;
                    let last_error = match row.text_option(3)? {
                        Some(kind) => Some((error_kind(kind)?, message.unwrap_or_default())),
                        None => None,
                    };
                    Ok(ScheduleEntry {
                        next_poll: parsed_option(row, 0)?,
                        failures: count(row, 1)?,
                        last_success: parsed_option(row, 2)?,
                        last_error,
                        cursor: row.get(5)?,
                        data_through: parsed_option(row, 6)?,
                    })
                },
            )?;
            Ok(entries.into_iter().next().unwrap_or_default())
        })
    }

    /// The cursor for the next poll of a source with these breakdowns: none, so that the whole
    /// window is read again, unless the ledger holds every one of them.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn cursor_for(
        &self,
        source: &SourceId,
        breakdowns: &[Breakdown],
    ) -> Result<Option<String>, LedgerError> {
        let held = self.breakdowns(source)?;
        if breakdowns.iter().all(|breakdown| held.contains(breakdown)) {
            Ok(self.schedule(source)?.cursor)
        } else {
            Ok(None)
        }
    }

    /// Notes that a poll failed. The rows of the last good one stay as they are. Where only the
    /// commit of its report was in doubt, and it was kept after all, no poll failed: the schedule
    /// that came with the report stands, so that what was paid for is not asked again.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot keep it.
    pub fn record_failure(
        &mut self,
        source: &SourceId,
        at: Timestamp,
        kind: SourceErrorKind,
        message: &str,
        next_poll: Timestamp,
    ) -> Result<(), LedgerError> {
        let doubted = self.in_doubt.get(source).copied();
        self.write(Operation::Schedule, |connection| {
            let number = noted_source(connection, source)?;
            let kept = doubted.is_some_and(|revision| connection.kept_after_all(revision));
            if kept && is_due_after(connection, number, at)? {
                return Ok(());
            }
            run(
                connection,
                "UPDATE source SET failures = failures + 1, failed_at = ?2, error_kind = ?3,
                        error_message = ?4, next_poll = ?5
                 WHERE id = ?1",
                params![number, stamp(at), kind.as_str(), message, stamp(next_poll)],
            )?;
            Ok(())
        })?;
        self.in_doubt.remove(source);
        Ok(())
    }

    /// Moves a source's next poll without any poll.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot keep it.
    pub fn reschedule(
        &mut self,
        source: &SourceId,
        next_poll: Timestamp,
    ) -> Result<(), LedgerError> {
        self.write(Operation::Schedule, |connection| {
            let number = noted_source(connection, source)?;
            run(
                connection,
                "UPDATE source SET next_poll = ?2 WHERE id = ?1",
                params![number, stamp(next_poll)],
            )?;
            Ok(())
        })
    }
}

/// Whether a source's next poll is later than an instant: one that failed then is not the next.
fn is_due_after(connection: &Connection, source: i64, at: Timestamp) -> Result<bool, Fault> {
    let due =
        all(connection, "SELECT next_poll FROM source WHERE id = ?1", params![source], |row| {
            parsed_option::<Timestamp>(row, 0)
        })?;
    Ok(due.into_iter().flatten().any(|due| due > at))
}
