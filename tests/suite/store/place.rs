//! Where the ledgers of tests are: files, and databases of a real PostgreSQL that the tests start.
//!
//! `COSTBAND_PEERS_POSTGRES` names the folder with `initdb` and `postgres`; see scripts/peers.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use costband::store::{Encryption, Location, Server};
use tempfile::TempDir;

use crate::faces::peers::peer;

/// The role of every ledger, and its password.
pub(crate) const USER: &str = "costband";
pub(crate) const PASSWORD: &str = "open sesame";
/// Who a server runs as where the tests run as root, which PostgreSQL refuses.
const NOBODY: u32 = 65534;

/// Runs the promises of a contract over both engines.
macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $name() {
                let place = $crate::store::place::Place::file();
                super::$name(&place.location);
            })*
        }
        mod postgres {
            $(#[test]
            fn $name() {
                if let Some(place) = $crate::store::place::Place::database() {
                    super::$name(&place.location);
                }
            })*
        }
    };
}
pub(crate) use contract;

/// A place for one ledger, which is gone when this is dropped.
pub(crate) struct Place {
    pub(crate) location: Location,
    _kept: (Option<TempDir>, Option<Arc<Postgres>>),
}

impl Place {
    pub(crate) fn file() -> Self {
        let folder = TempDir::new().unwrap();
        let location = folder.path().join("ledger.db").into();
        Self { location, _kept: (Some(folder), None) }
    }

    /// None without the peer, which was said then.
    pub(crate) fn database() -> Option<Self> {
        let server = Postgres::shared()?;
        let location = server.location(&server.new_database());
        Some(Self { location, _kept: (None, Some(server)) })
    }
}

/// A location in a variable of a child process.
pub(crate) fn written(location: &Location) -> String {
    match location {
        Location::File(path) => path.display().to_string(),
        Location::Memory => ":memory:".to_owned(),
        Location::Postgres(server) => format!("postgres:{}:{}", server.port, server.database),
    }
}

/// What [`written`] wrote.
pub(crate) fn named(text: &str) -> Location {
    let Some(rest) = text.strip_prefix("postgres:") else { return text.into() };
    let (port, database) = rest.split_once(':').unwrap();
    location(port.parse().unwrap(), database)
}

fn location(port: u16, database: &str) -> Location {
    let mut server = Server::new("127.0.0.1", port, database, USER);
    server.encryption = Encryption::Disable;
    server.password = Some(Arc::new(|| Ok(PASSWORD.to_owned())));
    Location::postgres(server)
}

/// A server with an own folder and port, which ends when this is dropped.
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: TempDir,
    pub(crate) port: u16,
    settings: Vec<String>,
    running: Mutex<Option<(Child, Receiver<String>)>>,
}

impl Postgres {
    /// The server that contract tests share as long as one of them runs.
    pub(crate) fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap();
        if let Some(server) = shared.upgrade() {
            return Some(server);
        }
        let server = Arc::new(Self::start(&["fsync=off", "max_connections=200"])?);
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    /// A server of the test's own.
    pub(crate) fn start(settings: &[&str]) -> Option<Self> {
        Self::start_with(settings, |_| {})
    }

    /// `prepare` may write files into the server's folder before it starts.
    pub(crate) fn start_with(settings: &[&str], prepare: impl FnOnce(&Path)) -> Option<Self> {
        let programs = peer("COSTBAND_PEERS_POSTGRES")?;
        let folder = TempDir::new().unwrap();
        let server = Self {
            programs,
            port: TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port(),
            settings: settings.iter().map(|&setting| setting.to_owned()).collect(),
            running: Mutex::new(None),
            folder,
        };
        prepare(server.folder.path());
        server.own(server.folder.path());
        for entry in std::fs::read_dir(server.folder.path()).unwrap() {
            server.own(&entry.unwrap().path());
        }
        let made = server
            .program("initdb")
            .args(["--no-sync", "--encoding=UTF8", "--locale=C", "--username=admin"])
            .args(["--auth-local=trust", "--auth-host=scram-sha-256", "--pgdata"])
            .arg(server.data())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.go();
        server.sql("postgres", &format!("CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'"));
        Some(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn own(&self, path: &Path) {
        if is_root() {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    /// A program of PostgreSQL, run as somebody who is not root.
    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args([
                format!("--reuid={NOBODY}"),
                format!("--regid={NOBODY}"),
                "--clear-groups".to_owned(),
            ]);
            command.arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn running(&self) -> MutexGuard<'_, Option<(Child, Receiver<String>)>> {
        self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Starts the server and waits until it takes connections.
    pub(crate) fn go(&self) {
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path());
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut told = String::new();
        loop {
            match lines.recv_timeout(Duration::from_secs(60)) {
                Ok(line) if line.contains("ready to accept connections") => break,
                Ok(line) => told += &format!("{line}\n"),
                Err(error) => panic!("the server does not start ({error}):\n{told}"),
            }
        }
        *self.running() = Some((child, lines));
    }

    /// Ends the server by a signal and waits until it is gone.
    pub(crate) fn end(&self, signal: &str) {
        let Some((mut child, _)) = self.running().take() else { return };
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        child.wait().unwrap();
    }

    /// Runs SQL as the administrator and gives what it prints.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let ran = self
            .program("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "admin", "-h"])
            .arg(self.folder.path())
            .args(["-p", &self.port.to_string(), "-d", database, "-c", sql])
            .stdout(Stdio::piped())
            .output()
            .unwrap();
        assert!(ran.status.success(), "{sql}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap().trim_end().to_owned()
    }

    /// An empty database that belongs to the ledger's role.
    pub(crate) fn new_database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("ledger_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} OWNER {USER}"));
        name
    }

    pub(crate) fn location(&self, database: &str) -> Location {
        location(self.port, database)
    }

    /// The folder of its Unix socket, and of what the test wrote for it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end("-QUIT");
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
