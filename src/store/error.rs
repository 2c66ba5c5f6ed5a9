//! What can go wrong with the ledger, and in which operation.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::domain::band::BandStatus;
use crate::domain::identity::Provider;

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
    /// Keeping a band's status with its messages.
    BandState,
    /// Keeping what became of a message.
    Outbox,
    /// Keeping GPU time.
    GpuTime,
    /// Removing what is too old.
    Prune,
    /// Copying the ledger.
    Backup,
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
            Self::BandState => "band_state",
            Self::Outbox => "outbox",
            Self::GpuTime => "gpu_time",
            Self::Prune => "prune",
            Self::Backup => "backup",
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
            Self::BandState => "keep a band's status in",
            Self::Outbox => "keep the outcome of a message in",
            Self::GpuTime => "keep GPU time in",
            Self::Prune => "remove old days from",
            Self::Backup => "back up",
            Self::Lead => "lead",
            Self::Close => "close",
        }
    }
}

/// Why the ledger did not do what it was asked. Nothing of the operation was kept.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// SQLite said no: a full disk, a file that may not be written, a damaged page.
    #[error("failed to {} ledger `{}`: {source}{}", operation.phrase(), path.display(), hint(source))]
    Database {
        /// What was being done.
        operation: Operation,
        /// The ledger.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
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
        "failed to open ledger `{}`: {} holds it; stop that process or give this one another \
         ledger", path.display(), holder(*pid)
    )]
    InUse {
        /// The ledger.
        path: PathBuf,
        /// The other process, where its lock file tells.
        pid: Option<u32>,
    },
    /// There is no ledger to read.
    #[error("failed to read ledger `{}`: there is none; `costband run` or `costband report --refresh` \
         makes it", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file of something else.
    #[error("failed to open ledger `{}`: it is not a ledger of costband; give another path", path.display())]
    NotALedger {
        /// The file.
        path: PathBuf,
    },
    /// A newer costband wrote it.
    #[error(
        "failed to open ledger `{}`: it has schema {found} and this costband knows up to {known}; \
         run the newer costband again, or restore the backup from before the upgrade", path.display()
    )]
    NewerSchema {
        /// The ledger.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that this build knows.
        known: i64,
    },
    /// An older costband wrote it and nobody migrated it yet.
    #[error(
        "failed to read ledger `{}`: it has schema {found} and this costband reads {known}; start \
         `costband run` once, which migrates it", path.display()
    )]
    OlderSchema {
        /// The ledger.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The schema that this build reads.
        known: i64,
    },
    /// The ledger was opened for reading.
    #[error("failed to {} ledger `{}`: it was opened for reading only", operation.phrase(), path.display())]
    ReadOnly {
        /// What was asked.
        operation: Operation,
        /// The ledger.
        path: PathBuf,
    },
    /// Another process leads and writes.
    #[error(
        "failed to {} ledger `{}`: this process follows; the leader writes",
        operation.phrase(), path.display()
    )]
    NotLeader {
        /// What was asked.
        operation: Operation,
        /// The ledger.
        path: PathBuf,
    },
    /// The ledger has seen another holder of this term, or a newer term.
    #[error(
        "failed to {} ledger `{}`: this process holds term {own} and the ledger is led in term \
         {held} by `{holder}`; the newest leader writes", operation.phrase(), path.display()
    )]
    Fenced {
        /// What was asked.
        operation: Operation,
        /// The ledger.
        path: PathBuf,
        /// The term of this process.
        own: i64,
        /// The newest term that the ledger has seen.
        held: i64,
        /// Who leads in it.
        holder: String,
    },
    /// What stands in the ledger cannot be understood.
    #[error("failed to {} ledger `{}`: {what}; restore a backup", operation.phrase(), path.display())]
    Damaged {
        /// What was being done.
        operation: Operation,
        /// The ledger.
        path: PathBuf,
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
    /// A band's status is not what the change starts from.
    #[error(
        "failed to change the status of band `{band}`: the ledger holds {}, the change starts from \
         {}; judge again", status(*kept), status(*expected)
    )]
    StateMoved {
        /// The band.
        band: String,
        /// The status in the ledger.
        kept: Option<BandStatus>,
        /// The status that the change starts from.
        expected: Option<BandStatus>,
    },
}

impl LedgerError {
    /// What was being done.
    pub fn operation(&self) -> Operation {
        match self {
            Self::Database { operation, .. }
            | Self::Io { operation, .. }
            | Self::ReadOnly { operation, .. }
            | Self::NotLeader { operation, .. }
            | Self::Fenced { operation, .. }
            | Self::Damaged { operation, .. } => *operation,
            Self::InUse { .. }
            | Self::Missing { .. }
            | Self::NotALedger { .. }
            | Self::NewerSchema { .. }
            | Self::OlderSchema { .. } => Operation::Open,
            Self::DuplicateRow { .. }
            | Self::MalformedReport { .. }
            | Self::ProviderChanged { .. } => Operation::Commit,
            Self::StateMoved { .. } => Operation::BandState,
        }
    }
}

fn hint(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "; free space there",
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "; the file and its folder must be writable"
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => "; restore a backup",
        _ => "",
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

fn status(status: Option<BandStatus>) -> String {
    status.map_or_else(|| "none".to_owned(), |status| format!("`{}`", status.as_str()))
}

/// What fails within an operation, before it is known in which one and on which file.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite said no.
    Database(rusqlite::Error),
    /// What stands there cannot be understood.
    Damaged(String),
    /// An error that is complete already.
    Refused(LedgerError),
}

impl Fault {
    pub(super) fn during(self, operation: Operation, path: &Path) -> LedgerError {
        let path = path.to_path_buf();
        match self {
            Self::Database(source) => LedgerError::Database { operation, path, source },
            Self::Damaged(what) => LedgerError::Damaged { operation, path, what },
            Self::Refused(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<LedgerError> for Fault {
    fn from(error: LedgerError) -> Self {
        Self::Refused(error)
    }
}
