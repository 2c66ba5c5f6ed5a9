//! The ledger's file: how it is opened, locked, read and written, and the schedule in it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use crate::domain::breakdown::Breakdown;
use crate::domain::identity::SourceId;
use crate::domain::report::{ScheduleEntry, SourceErrorKind};
use crate::store::error::{Fault, LedgerError, Operation};
use crate::store::fence::{Duty, enter};
use crate::store::schema;
use crate::store::sql::{count, error_kind, noted_source, parsed_option, run, stamp};

/// How long a reader or a checkpoint may hold the writer up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The path of a ledger that is kept in memory (SQLite's own word for it).
const IN_MEMORY: &str = ":memory:";

/// To how much the write-ahead log is cut after a checkpoint, in bytes.
const LOG_LIMIT: i64 = 4 << 20;

/// The ledger. Synchronous; `store::handle` gives it a thread of its own.
///
/// Every method that changes something does it in one transaction, which is on disk when the
/// method returns: the write-ahead log is synced at every commit (`synchronous=FULL`), so neither
/// `kill -9` nor a lost power supply forgets what was acknowledged. There are a few commits an
/// hour and one for each paid request, so the price is some milliseconds an hour.
#[derive(Debug)]
pub struct Ledger {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) duty: Duty,
    /// Held until after the connection is closed.
    _lock: Option<File>,
}

impl Ledger {
    /// Opens a ledger for reading and writing, and makes or migrates it where needed. A new file
    /// belongs to its user alone (0600). `:memory:` is no file: that ledger ends with the process.
    ///
    /// # Errors
    /// [`LedgerError::InUse`] while another process writes to it, [`LedgerError::NewerSchema`] and
    /// [`LedgerError::NotALedger`] for a file that is not this build's,
    /// [`LedgerError::Io`] and [`LedgerError::Database`] for what the disk refuses.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        let path = path.as_ref();
        let is_file = path != Path::new(IN_MEMORY);
        let lock = if is_file { Some(lock(path)?) } else { None };
        if is_file {
            create(path)?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = (|| {
            let mut connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            schema::found(&connection, path)?;
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "foreign_keys", true)?;
            connection.pragma_update_and_check(
                None,
                "journal_size_limit",
                LOG_LIMIT,
                |_| Ok(()),
            )?;
            connection.set_prepared_statement_cache_capacity(64);
            schema::migrate(&mut connection, path)?;
            Ok(connection)
        })()
        .map_err(|fault: Fault| fault.during(Operation::Open, path))?;
        Ok(Self { connection, path: path.to_path_buf(), duty: Duty::Alone, _lock: lock })
    }

    /// Opens a ledger for reading, also while another process writes to it. All that is read
    /// belongs to one instant: the state that the ledger had when this returned.
    ///
    /// # Errors
    /// [`LedgerError::Missing`], [`LedgerError::OlderSchema`], and as [`Ledger::open`].
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        let path = path.as_ref();
        if !path.exists() {
            return Err(LedgerError::Missing { path: path.to_path_buf() });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = (|| {
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.execute_batch("BEGIN")?;
            let found = schema::found(&connection, path)?;
            if found < schema::known() {
                return Err(Fault::Refused(LedgerError::OlderSchema {
                    path: path.to_path_buf(),
                    found,
                    known: schema::known(),
                }));
            }
            Ok(connection)
        })()
        .map_err(|fault: Fault| fault.during(Operation::Open, path))?;
        Ok(Self { connection, path: path.to_path_buf(), duty: Duty::Reader, _lock: None })
    }

    /// Where the ledger is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the write-ahead log into the file and closes it. A ledger that is only dropped loses
    /// nothing either; the next start reads the log.
    ///
    /// # Errors
    /// [`LedgerError::Database`] when the disk refuses.
    pub fn close(self) -> Result<(), LedgerError> {
        let Self { connection, path, duty, _lock: lock } = self;
        let closed = (|| {
            if duty != Duty::Reader {
                connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            }
            connection.close().map_err(|(_, error)| error)
        })();
        drop(lock);
        closed.map_err(|source| Fault::Database(source).during(Operation::Close, &path))
    }

    /// Reads something.
    pub(super) fn read<R>(
        &self,
        work: impl FnOnce(&Connection) -> Result<R, Fault>,
    ) -> Result<R, LedgerError> {
        work(&self.connection).map_err(|fault| fault.during(Operation::Read, &self.path))
    }

    /// Changes something in one transaction, which is rolled back on an error or a panic.
    pub(super) fn write<R>(
        &mut self,
        operation: Operation,
        work: impl FnOnce(&Connection) -> Result<R, Fault>,
    ) -> Result<R, LedgerError> {
        self.may_write(operation)?;
        let Self { connection, path, duty, .. } = self;
        (|| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            enter(&transaction, duty, operation, path)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })()
        .map_err(|fault: Fault| fault.during(operation, path))
    }
}

impl Ledger {
    /// The state of a source's polling; the default for a source that was never polled.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn schedule(&self, source: &SourceId) -> Result<ScheduleEntry, LedgerError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT next_poll, failures, last_success, error_kind, error_message, cursor,
                        data_through
                 FROM source WHERE name = ?1",
            )?;
            let mut rows = statement.query([source.as_str()])?;
            let Some(row) = rows.next()? else { return Ok(ScheduleEntry::default()) };
            let kind: Option<String> = row.get(3)?;
            let message: Option<String> = row.get(4)?;
            let last_error = match kind {
                Some(kind) => Some((error_kind(&kind)?, message.unwrap_or_default())),
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

    /// Notes that a poll failed. The rows of the last good one stay as they are.
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
        self.write(Operation::Schedule, |connection| {
            let number = noted_source(connection, source)?;
            run(
                connection,
                "UPDATE source SET failures = failures + 1, failed_at = ?2, error_kind = ?3,
                        error_message = ?4, next_poll = ?5
                 WHERE id = ?1",
                params![number, stamp(at), kind.as_str(), message, stamp(next_poll)],
            )?;
            Ok(())
        })
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

/// Opens a file that only its user may read, for writing.
pub(super) fn private_file(
    path: &Path,
    how: impl FnOnce(&mut OpenOptions) -> &mut OpenOptions,
) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    how(&mut options);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes the file where there is none. A file that is there is not even opened: closing it again
/// would free the locks that other connections of this process hold on it (POSIX).
fn create(path: &Path) -> Result<(), LedgerError> {
    match private_file(path, |options| options.create_new(true)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(LedgerError::Io {
            operation: Operation::Open,
            tried: "create ledger",
            path: path.to_path_buf(),
            source,
        }),
    }
}

/// Takes the lock that lets one process write. The system frees it when the process ends, however
/// it ends. The lock file stays, since its removal would let two processes lock two files.
fn lock(path: &Path) -> Result<File, LedgerError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let io = |tried| {
        let path = lock_path.clone();
        move |source| LedgerError::Io { operation: Operation::Open, tried, path, source }
    };
    let mut file = private_file(&lock_path, |options| options.create(true))
        .map_err(io("create the ledger's lock file"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(LedgerError::InUse { path: path.to_path_buf(), pid });
        }
        Err(TryLockError::Error(source)) => return Err(io("lock")(source)),
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(io("write the ledger's lock file"))?;
    Ok(file)
}
