//! What a database says when it says no, and what a person can do about it.

use rusqlite::ErrorCode;

/// What the database said.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// SQLite.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Postgres(#[from] PostgresError),
}

impl DatabaseError {
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => "; free space there",
                Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                    "; the file and its folder must be writable"
                }
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => "; restore a backup",
                _ => "",
            },
            #[cfg(feature = "postgres")]
            Self::Postgres(error) => error.hint(),
        }
    }
}

/// The server's code for a write that it does not take.
#[cfg(feature = "postgres")]
const READ_ONLY: &str = "25006";

/// What PostgreSQL said, or the way to it.
#[cfg(feature = "postgres")]
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct PostgresError {
    message: String,
    /// The server's own code (SQLSTATE).
    code: Option<String>,
    lost: bool,
}

#[cfg(feature = "postgres")]
impl PostgresError {
    /// There is no connection, or none that answers.
    pub(in crate::store) fn lost(message: &str) -> Self {
        Self { message: message.to_owned(), code: None, lost: true }
    }

    /// Whether the connection is lost, and with it the answer.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Whether the server is a standby, or takes no writes for another reason.
    pub(in crate::store) fn takes_no_writes(&self) -> bool {
        self.code.as_deref() == Some(READ_ONLY)
    }

    fn hint(&self) -> &'static str {
        match self.code.as_deref() {
            Some("28P01" | "28000") => "; check the user, `store.password` and `pg_hba.conf`",
            Some("3D000") => "; make the database, owned by the user of `store.url`",
            Some("42501") => "; the user of `store.url` must own the database",
            Some("53100") => "; free space on the server",
            Some("53300") => "; the server takes no more connections",
            Some(READ_ONLY) => "; a standby takes no writes: give the primary's address",
            _ => "",
        }
    }
}

#[cfg(feature = "postgres")]
impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        use std::error::Error;
        if let Some(told) = error.as_db_error() {
            let code = told.code().code();
            // Classes 08 and 57P: the connection, and a server that ends or just begins.
            let lost = code.starts_with("08") || code.starts_with("57P");
            let message = told.message().to_owned();
            return Self { message, code: Some(code.to_owned()), lost };
        }
        let mut message = error.to_string();
        let mut source = error.source();
        let mut code = None;
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            // No answer of the system: the client's own for a server that takes no writes.
            if let Some(refusal) = cause.downcast_ref::<std::io::Error>()
                && refusal.kind() == std::io::ErrorKind::PermissionDenied
                && refusal.raw_os_error().is_none()
            {
                code = Some(READ_ONLY.to_owned());
            }
            source = cause.source();
        }
        // What is left is the way to the server, but for a value that does not fit.
        let fits = !message.starts_with("error serializing")
            && !message.starts_with("error deserializing");
        Self { message, code, lost: fits }
    }
}

#[cfg(feature = "postgres")]
impl From<tokio_postgres::Error> for super::Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(DatabaseError::Postgres(error.into()))
    }
}

#[cfg(feature = "postgres")]
impl From<PostgresError> for super::Fault {
    fn from(error: PostgresError) -> Self {
        Self::Database(DatabaseError::Postgres(error))
    }
}
