//! Where a ledger is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::store::engine::sqlite::refuse_in_use;
use crate::store::error::LedgerError;

/// The path of a ledger that is kept in memory (SQLite's own word for it).
pub(super) const IN_MEMORY: &str = ":memory:";

/// Where a ledger is. It is shown without any secret.
#[derive(Debug, Clone)]
pub enum Location {
    /// A SQLite file.
    File(PathBuf),
    /// The process' own memory: that ledger ends with it.
    Memory,
    /// A PostgreSQL database. Clones share the connections of readers.
    Postgres(Arc<Server>),
}

impl Location {
    /// Refuses a file that another process has open for writing. A database tells that when it is
    /// opened.
    ///
    /// # Errors
    /// [`LedgerError::InUse`].
    pub fn refuse_in_use(&self) -> Result<(), LedgerError> {
        match self {
            Self::File(path) => refuse_in_use(path),
            Self::Memory | Self::Postgres(_) => Ok(()),
        }
    }

    /// A ledger in PostgreSQL.
    pub fn postgres(server: Server) -> Self {
        Self::Postgres(Arc::new(server))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Memory => f.write_str(IN_MEMORY),
            Self::Postgres(server) => server.fmt(f),
        }
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        path.to_path_buf().into()
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        if path == Path::new(IN_MEMORY) { Self::Memory } else { Self::File(path) }
    }
}

impl From<&PathBuf> for Location {
    fn from(path: &PathBuf) -> Self {
        path.clone().into()
    }
}

impl From<&str> for Location {
    fn from(path: &str) -> Self {
        PathBuf::from(path).into()
    }
}

impl From<&Location> for Location {
    fn from(location: &Location) -> Self {
        location.clone()
    }
}

/// How far a server is trusted: the words of libpq's `sslmode`, with their meaning there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// No TLS.
    Disable,
    /// TLS where the server has it, whoever the server is.
    Prefer,
    /// TLS, whoever the server is; with a root certificate as [`Encryption::VerifyCa`].
    Require,
    /// TLS with a certificate that a root has signed.
    VerifyCa,
    /// TLS with a certificate that a root has signed for the server's name.
    VerifyFull,
}

/// Reads a password at each use, so that a rotated one is picked up.
pub type Password = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// A database of a PostgreSQL server.
pub struct Server {
    /// The host's name or address; a path is the folder of its Unix socket.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role.
    pub user: String,
    /// Its password, where one is asked.
    pub password: Option<Password>,
    /// How far the server is trusted.
    pub encryption: Encryption,
    /// The file of the roots that sign its certificate; the system's by default.
    pub root_certificate: Option<PathBuf>,
    /// Connections that readers left.
    #[cfg(feature = "postgres")]
    pub(super) pool: crate::store::engine::postgres::pool::Pool,
}

impl Server {
    /// A server whose certificate is verified in full.
    pub fn new(host: &str, port: u16, database: &str, user: &str) -> Self {
        Self {
            host: host.to_owned(),
            port,
            database: database.to_owned(),
            user: user.to_owned(),
            password: None,
            encryption: Encryption::VerifyFull,
            root_certificate: None,
            #[cfg(feature = "postgres")]
            pool: Default::default(),
        }
    }

    /// How far the server is trusted on the way to it: a Unix socket knows no TLS.
    #[cfg(feature = "postgres")]
    pub(super) fn encryption_used(&self) -> Encryption {
        if self.host.starts_with('/') { Encryption::Disable } else { self.encryption }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, database, user, .. } = self;
        if host.contains(':') {
            write!(f, "postgres://{user}@[{host}]:{port}/{database}")
        } else {
            write!(f, "postgres://{user}@{host}:{port}/{database}")
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}
