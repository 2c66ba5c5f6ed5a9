//! What can go wrong with the ledger, and in which operation.

mod database;

use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use crate::domain::identity::Provider;
pub use database::DatabaseError;
#[cfg(feature = "postgres")]
pub use database::PostgresError;

/// What was being done. Closed: the `operation` label of `ledger_errors_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Opening and migrating.
    Open,
    /// Keeping a report.
    Commit,
    /// Keeping when a source is polled next, or why a poll failed.
    Schedule,
    /// Reserving the price of a request.
    Reserve,
    /// Reading anything.
    Read,
    /// Keeping alerts with their messages.
    Alerts,
    /// Keeping what became of a message.
    Outbox,
    /// Keeping GPU time.
    GpuTime,
    /// Keeping what was said of bands' months.
    Forecasts,
    /// Removing what is too old.
    Prune,
    /// Copying the ledger.
    Backup,
    /// Copying another ledger into it.
    Copy,
    /// Taking a term of a Lease.
    Lead,
    /// Closing.
    Close,
}

impl Operation {
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Commit => "commit",
            Self::Schedule => "schedule",
            Self::Reserve => "reserve",
            Self::Read => "read",
            Self::Alerts => "alerts",
            Self::Outbox => "outbox",
            Self::GpuTime => "gpu_time",
            Self::Forecasts => "forecasts",
            Self::Prune => "prune",
            Self::Backup => "backup",
            Self::Copy => "copy",
            Self::Lead => "lead",
            Self::Close => "close",
        }
    }

    fn phrase(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Commit => "keep a report in",
            Self::Schedule => "keep the schedule in",
            Self::Reserve => "keep a reservation in",
            Self::Read => "read",
            Self::Alerts => "keep alerts in",
            Self::Outbox => "keep the outcome of a message in",
            Self::GpuTime => "keep GPU time in",
            Self::Forecasts => "keep forecasts in",
            Self::Prune => "remove old days from",
            Self::Backup => "back up",
            Self::Copy => "copy into",
            Self::Lead => "lead",
            Self::Close => "close",
        }
    }
}

/// Why the ledger did not do what it was asked. Nothing of the operation was kept, unless the error
/// says that this is in doubt.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database said no: a full disk, a file that may not be written, a server out of reach.
    #[error("failed to {} ledger `{ledger}`: {reason}{}", operation.phrase(), reason.hint())]
    Database {
        /// What was being done.
        operation: Operation,
        /// The ledger.
        ledger: String,
        /// What the database said.
        reason: DatabaseError,
    },
    /// The connection was lost within a commit, and was not found again in time.
    #[error(
        "failed to {} ledger `{ledger}`: {reason}; whether it was kept is told once the server is \
         back", operation.phrase()
    )]
    InDoubt {
        /// What was being done.
        operation: Operation,
        /// The ledger.
        ledger: String,
        /// What the ledger counts with it, if it was kept.
        revision: i64,
        /// What was said of the connection.
        reason: DatabaseError,
    },
    /// The operating system said no.
    #[error("failed to {tried} `{}`: {source}; check the folder and who may write to it", path.display())]
    Io {
        /// What was being done.
        operation: Operation,
        /// What was tried with the file.
        tried: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process writes to the ledger.
    #[error(
        "failed to open ledger `{ledger}`: {} holds it; stop that process or give this one another \
         ledger", holder.as_deref().unwrap_or("another process")
    )]
    InUse {
        /// The ledger.
        ledger: String,
        /// The other process, where the ledger tells.
        holder: Option<String>,
    },
    /// There is no ledger to read.
    #[error(
        "failed to read ledger `{ledger}`: there is none; `costband run` or `costband report --refresh` \
         makes it"
    )]
    Missing {
        /// Where it was looked for.
        ledger: String,
    },
    /// A file of something else.
    #[error(
        "failed to open ledger `{ledger}`: it is not a ledger of costband; give another path or an empty database"
    )]
    NotALedger {
        /// The file or the database.
        ledger: String,
    },
    /// A newer costband wrote it.
    #[error(
        "failed to open ledger `{ledger}`: it has schema {found} and this costband knows up to {known}; \
         run the newer costband again, or restore the backup from before the upgrade"
    )]
    NewerSchema {
        /// The ledger.
        ledger: String,
        /// Its schema.
        found: i64,
        /// The newest schema that this build knows.
        known: i64,
    },
    /// An older costband wrote it and nobody migrated it yet.
    #[error(
        "failed to read ledger `{ledger}`: it has schema {found} and this costband reads {known}; start \
         `costband run` once, which migrates it"
    )]
    OlderSchema {
        /// The ledger.
        ledger: String,
        /// Its schema.
        found: i64,
        /// The schema that this build reads.
        known: i64,
    },
    /// The ledger was opened for reading.
    #[error("failed to {} ledger `{ledger}`: it was opened for reading only", operation.phrase())]
    ReadOnly {
        /// What was asked.
        operation: Operation,
        /// The ledger.
        ledger: String,
    },
    /// This build has no PostgreSQL.
    #[error(
        "failed to open ledger `{ledger}`: this build has no PostgreSQL; build it with the feature `postgres`"
    )]
    NoPostgres {
        /// The ledger.
        ledger: String,
    },
    /// A database of PostgreSQL that cannot hold every text.
    #[error(
        "failed to open ledger `{ledger}`: its encoding is {encoding}; make the database with \
         `ENCODING 'UTF8'`"
    )]
    Encoding {
        /// The ledger.
        ledger: String,
        /// Its encoding.
        encoding: String,
    },
    /// A ledger that is copied into holds something.
    #[error(
        "failed to copy into ledger `{ledger}`: its table `{table}` is not empty; give an empty one"
    )]
    NotEmpty {
        /// The ledger.
        ledger: String,
        /// The table.
        table: &'static str,
    },
    /// Something else arrived than was sent.
    #[error(
        "failed to copy into ledger `{ledger}`: what arrived in its table `{table}` is not what was \
         sent; nothing was kept"
    )]
    CopyDiffers {
        /// The ledger.
        ledger: String,
        /// The table.
        table: &'static str,
    },
    /// What only a file can do.
    #[error("failed to {} ledger `{ledger}`: it is no file; use `pg_dump`", operation.phrase())]
    NotAFile {
        /// What was asked.
        operation: Operation,
        /// The ledger.
        ledger: String,
    },
    /// Another process leads and writes.
    #[error(
        "failed to {} ledger `{ledger}`: this process follows; the leader writes",
        operation.phrase()
    )]
    NotLeader {
        /// What was asked.
        operation: Operation,
        /// The ledger.
        ledger: String,
    },
    /// The ledger has seen another holder of this term, or a newer term.
    #[error(
        "failed to {} ledger `{ledger}`: this process holds term {own} and the ledger is led in term \
         {held} by `{holder}`; the newest leader writes", operation.phrase()
    )]
    Fenced {
        /// What was asked.
        operation: Operation,
        /// The ledger.
        ledger: String,
        /// The term of this process.
        own: i64,
        /// The newest term that the ledger has seen.
        held: i64,
        /// Who leads in it.
        holder: String,
    },
    /// What stands in the ledger cannot be understood.
    #[error("failed to {} ledger `{ledger}`: {what}; restore a backup", operation.phrase())]
    Damaged {
        /// What was being done.
        operation: Operation,
        /// The ledger.
        ledger: String,
        /// What was found.
        what: String,
    },
    /// A report holds one row identity twice.
    #[error("failed to keep a report of source `{origin}`: `{query}` holds {row} twice")]
    DuplicateRow {
        /// The reporting source.
        origin: String,
        /// The breakdown's name.
        query: String,
        /// Day, keys, category, currency and invoice.
        row: String,
    },
    /// A report contradicts itself.
    #[error("failed to keep a report of source `{origin}`: {reason}")]
    MalformedReport {
        /// The reporting source.
        origin: String,
        /// What does not fit.
        reason: String,
    },
    /// A source's name was used for another provider.
    #[error(
        "failed to keep a report of source `{origin}`: the ledger holds it as a source of {was}, \
         the report is of {is}; give the new source another name"
    )]
    ProviderChanged {
        /// The reporting source.
        origin: String,
        /// The provider in the ledger.
        was: Provider,
        /// The provider of the report.
        is: Provider,
    },
}

impl LedgerError {
    /// What was being done.
    pub fn operation(&self) -> Operation {
        match self {
            Self::Database { operation, .. }
            | Self::InDoubt { operation, .. }
            | Self::Io { operation, .. }
            | Self::ReadOnly { operation, .. }
            | Self::NotAFile { operation, .. }
            | Self::NotLeader { operation, .. }
            | Self::Fenced { operation, .. }
            | Self::Damaged { operation, .. } => *operation,
            Self::InUse { .. }
            | Self::Missing { .. }
            | Self::NotALedger { .. }
            | Self::NoPostgres { .. }
            | Self::Encoding { .. }
            | Self::NewerSchema { .. }
            | Self::OlderSchema { .. } => Operation::Open,
            Self::DuplicateRow { .. }
            | Self::MalformedReport { .. }
            | Self::ProviderChanged { .. } => Operation::Commit,
            Self::NotEmpty { .. } | Self::CopyDiffers { .. } => Operation::Copy,
        }
    }
}

/// What fails within an operation, before it is known in which one and on which file.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database said no.
    Database(DatabaseError),
    /// The answer to a commit is lost.
    #[cfg(feature = "postgres")]
    InDoubt(i64, DatabaseError),
    /// What stands there cannot be understood.
    Damaged(String),
    /// An error that is complete already.
    Refused(LedgerError),
}

impl Fault {
    pub(super) fn during(self, operation: Operation, ledger: &impl Display) -> LedgerError {
        let ledger = ledger.to_string();
        match self {
            Self::Database(reason) => LedgerError::Database { operation, ledger, reason },
            #[cfg(feature = "postgres")]
            Self::InDoubt(revision, reason) => {
                LedgerError::InDoubt { operation, ledger, revision, reason }
            }
            Self::Damaged(what) => LedgerError::Damaged { operation, ledger, what },
            Self::Refused(error) => error,
        }
    }

    /// Whether the connection to the server is lost, and with it the answer.
    #[cfg(feature = "postgres")]
    pub(super) fn is_lost(&self) -> bool {
        matches!(self, Self::Database(DatabaseError::Postgres(error)) if error.is_lost())
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(DatabaseError::Sqlite(error))
    }
}

impl From<DatabaseError> for Fault {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl From<LedgerError> for Fault {
    fn from(error: LedgerError) -> Self {
        Self::Refused(error)
    }
}
