//! SQLite: a file, or memory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, MAIN_DB, OpenFlags, ToSql, params_from_iter};

use crate::store::engine::{Parameter, Row, Value};
use crate::store::error::{Fault, LedgerError, Operation};
use crate::store::location::IN_MEMORY;
use crate::store::schema;

/// How long a reader or a checkpoint may hold the writer up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// To how much the write-ahead log is cut after a checkpoint, in bytes.
const LOG_LIMIT: i64 = 4 << 20;

/// An open file.
///
/// What was committed is on disk: the write-ahead log is synced at every commit
/// (`synchronous=FULL`), so neither `kill -9` nor a lost power supply forgets what was
/// acknowledged. There are a few commits an hour and one for each paid request, so the price is
/// some milliseconds an hour.
#[derive(Debug)]
pub(in crate::store) struct Database {
    pub(in crate::store) connection: Connection,
    /// Held until after the connection is closed.
    lock: Option<File>,
}

impl Database {
    /// Opens a file for reading and writing, makes it where there is none, and migrates it.
    pub(super) fn open(path: &Path) -> Result<Self, LedgerError> {
        let lock = lock(path)?;
        create(path)?;
        Self::opened(path, Some(lock))
    }

    pub(super) fn in_memory() -> Result<Self, LedgerError> {
        Self::opened(Path::new(IN_MEMORY), None)
    }

    fn opened(path: &Path, lock: Option<File>) -> Result<Self, LedgerError> {
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
        .map_err(|fault: Fault| fault.during(Operation::Open, &path.display()))?;
        Ok(Self { connection, lock })
    }

    /// Opens a file for reading, at the instant that it has now.
    pub(super) fn open_read_only(path: &Path) -> Result<Self, LedgerError> {
        let ledger = || path.display().to_string();
        if !path.exists() {
            return Err(LedgerError::Missing { ledger: ledger() });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = (|| {
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.execute_batch("BEGIN")?;
            let found = schema::found(&connection, path)?;
            let known = schema::known();
            if found < known {
                return Err(LedgerError::OlderSchema { ledger: ledger(), found, known }.into());
            }
            Ok(connection)
        })()
        .map_err(|fault: Fault| fault.during(Operation::Open, &path.display()))?;
        Ok(Self { connection, lock: None })
    }

    /// Moves the write-ahead log into the file and closes it.
    pub(super) fn close(self, wrote: bool) -> Result<(), Fault> {
        let Self { connection, lock } = self;
        let closed = (|| {
            if wrote {
                connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            }
            connection.close().map_err(|(_, error)| error)
        })();
        drop(lock);
        Ok(closed?)
    }

    pub(super) fn begin(&self) -> Result<(), Fault> {
        self.end("BEGIN IMMEDIATE")
    }

    pub(super) fn begin_instant(&self) -> Result<(), Fault> {
        self.end("BEGIN")
    }

    pub(super) fn end(&self, how: &str) -> Result<(), Fault> {
        self.connection.prepare_cached(how)?.execute([])?;
        Ok(())
    }

    pub(super) fn run(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<usize, Fault> {
        Ok(self.connection.prepare_cached(sql)?.execute(params_from_iter(parameters))?)
    }

    pub(super) fn each(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(parameters))?;
        while let Some(row) = rows.next()? {
            read(&Row::Sqlite(row))?;
        }
        Ok(())
    }

    pub(super) fn copy_into(&self, path: &Path) -> Result<(), Fault> {
        Ok(self.connection.backup(MAIN_DB, path, None::<fn(_)>)?)
    }
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// What stands in a column.
pub(super) fn value<'a>(row: &'a rusqlite::Row<'_>, column: usize) -> Result<Value<'a>, Fault> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Text(bytes) => Value::Text(
            std::str::from_utf8(bytes)
                .map_err(|error| Fault::Damaged(format!("a text is not UTF-8: {error}")))?,
        ),
        ValueRef::Blob(bytes) => Value::Blob(bytes),
        ValueRef::Real(value) => {
            return Err(Fault::Damaged(format!("{value} stands where no fraction is kept")));
        }
    })
}

/// Opens a file that only its user may read, for writing.
pub(in crate::store) fn private_file(
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

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// Who holds a lock stands in its file.
fn in_use(path: &Path, lock: &mut File) -> LedgerError {
    let mut text = String::new();
    let pid = lock.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
    let holder = pid.map(|pid: u32| format!("process {pid}"));
    LedgerError::InUse { ledger: path.display().to_string(), holder }
}

/// Refuses a ledger that another process has open for writing, and changes nothing.
pub(in crate::store) fn refuse_in_use(path: &Path) -> Result<(), LedgerError> {
    match File::open(lock_path(path)) {
        Ok(mut lock) if matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)) => {
            Err(in_use(path, &mut lock))
        }
        // Without a lock file nobody has written yet, or it is a copy.
        _ => Ok(()),
    }
}

/// Takes the lock that lets one process write. The system frees it when the process ends, however
/// it ends. The lock file stays, since its removal would let two processes lock two files.
fn lock(path: &Path) -> Result<File, LedgerError> {
    let lock_path = lock_path(path);
    let io = |tried| {
        let path = lock_path.clone();
        move |source| LedgerError::Io { operation: Operation::Open, tried, path, source }
    };
    let mut file = private_file(&lock_path, |options| options.create(true))
        .map_err(io("create the ledger's lock file"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(path, &mut file)),
        Err(TryLockError::Error(source)) => return Err(io("lock")(source)),
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(io("write the ledger's lock file"))?;
    Ok(file)
}
