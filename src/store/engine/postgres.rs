//! PostgreSQL: one session of a server, spoken to without async.
//!
//! - One thread carries the sockets of all sessions; whoever asks waits on its own thread, with a
//!   limit.
//! - A lost connection is made again at the next call, not sooner than its back-off allows.
//! - A commit whose answer is lost is looked up: the ledger counts its writes, and each says who
//!   wrote it.

mod connect;
pub(in crate::store) mod pool;
mod schema;
mod tls;
mod values;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, future};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use crate::store::engine::postgres::connect::{ANSWER_LIMIT, SETTINGS, answer, connect};
use crate::store::engine::postgres::pool::Place;
pub(super) use crate::store::engine::postgres::values::value;
use crate::store::engine::{Company, Parameter, Row};
use crate::store::error::{DatabaseError, Fault, LedgerError, Operation, PostgresError};
use crate::store::location::Server;

/// How many statements are on their way at once.
const AHEAD: usize = 256;
/// The wait before the second attempt to connect; it doubles,
const FIRST_BACK_OFF: Duration = Duration::from_millis(250);
/// up to this.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(15);
/// How long a lost answer to a commit is looked for.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);
/// How long the server may take to notice that the process before is gone.
const LOCKED_WITHIN: Duration = Duration::from_secs(3);

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Read,
    Write(Company),
}

/// A session, which connects again where it must.
pub(in crate::store) struct Session {
    server: Arc<Server>,
    purpose: Purpose,
    mark: String,
    link: RefCell<Link>,
    /// The number of a write of which nobody knows yet whether it was kept.
    in_doubt: Cell<Option<i64>>,
    /// Those that were.
    kept_after_all: RefCell<BTreeSet<i64>>,
    /// A reader's place in the pool.
    place: Option<Place>,
}

#[derive(Default)]
struct Link {
    client: Option<Arc<Client>>,
    statements: HashMap<String, Statement>,
    in_transaction: bool,
    failures: u32,
    /// When the next attempt to connect may be, and why the last one failed.
    refused: Option<(Instant, String)>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session of `{}`", self.server)
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.server.fmt(f)
    }
}

impl Session {
    /// Opens a ledger for writing, and makes or migrates it where needed.
    pub(super) fn open(server: &Arc<Server>, company: Company) -> Result<Self, LedgerError> {
        let session = Self::new(server, Purpose::Write(company), None);
        session
            .client()
            .and_then(|_| schema::migrate(&session))
            .map_err(|fault| fault.during(Operation::Open, server))?;
        Ok(session)
    }

    /// Opens a ledger for reading, at the instant that it has now.
    pub(super) fn open_read_only(server: &Arc<Server>) -> Result<Self, LedgerError> {
        let ledger = || server.to_string();
        let opened = (|| {
            let place = server.pool.place()?;
            let session = Self::new(server, Purpose::Read, Some(place));
            session.begin_instant()?;
            match schema::found(&session)? {
                0 => Err(LedgerError::Missing { ledger: ledger() }.into()),
                found if found < schema::known() => {
                    let known = schema::known();
                    Err(LedgerError::OlderSchema { ledger: ledger(), found, known }.into())
                }
                _ => Ok(session),
            }
        })();
        opened.map_err(|fault: Fault| fault.during(Operation::Open, server))
    }

    fn new(server: &Arc<Server>, purpose: Purpose, place: Option<Place>) -> Self {
        let random = RandomState::new().build_hasher().finish();
        let link = Link { client: place.as_ref().and_then(Place::client), ..Link::default() };
        Self {
            server: server.clone(),
            purpose,
            mark: format!("{}-{random:016x}", std::process::id()),
            link: RefCell::new(link),
            in_doubt: Cell::new(None),
            kept_after_all: RefCell::default(),
            place,
        }
    }

    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    /// The connection; a new one where it was lost between two transactions.
    fn client(&self) -> Result<Arc<Client>, Fault> {
        let mut link = self.link.borrow_mut();
        if let Some(client) = link.client.as_ref().filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        if link.in_transaction {
            return Err(lost("the connection was lost within a transaction"));
        }
        let (failures, refused) = (link.failures, link.refused.take());
        *link = Link { failures, refused, ..Link::default() };
        if let Some((at, reason)) = &link.refused
            && let Some(wait) = at.checked_duration_since(Instant::now())
        {
            let seconds = wait.as_secs() + 1;
            return Err(lost(&format!("{reason}; the next attempt is in {seconds} s")));
        }
        match self.connected() {
            Ok(client) => {
                let client = Arc::new(client);
                link.client = Some(client.clone());
                link.failures = 0;
                link.refused = None;
                Ok(client)
            }
            Err(fault) => {
                let back_off = FIRST_BACK_OFF.saturating_mul(1 << link.failures.min(8));
                link.failures = link.failures.saturating_add(1);
                let reason = match &fault {
                    Fault::Database(error) | Fault::InDoubt(_, error) => error.to_string(),
                    Fault::Damaged(reason) => reason.clone(),
                    Fault::Refused(error) => error.to_string(),
                };
                link.refused = Some((Instant::now() + back_off.min(LONGEST_BACK_OFF), reason));
                Err(fault)
            }
        }
    }

    fn connected(&self) -> Result<Client, Fault> {
        let client = connect(&self.server, self.purpose != Purpose::Read)?;
        answer(client.batch_execute(SETTINGS))??;
        if let Purpose::Write(company) = self.purpose {
            // A writer that is stuck within a transaction keeps the next one out.
            answer(client.batch_execute("SET idle_in_transaction_session_timeout = '30s'"))??;
            self.lock(&client, company)?;
        }
        Ok(client)
    }

    /// Takes the lock of the ledger, which the session holds until it ends.
    fn lock(&self, client: &Client, company: Company) -> Result<(), Fault> {
        let shared = if company == Company::Shared { "_shared" } else { "" };
        let take = format!("SELECT pg_try_advisory_lock{shared}({})", schema::LOCK);
        let until = Instant::now() + LOCKED_WITHIN;
        loop {
            let row = answer(client.query_one(&take, &[]))??;
            if row.try_get::<_, bool>(0).map_err(PostgresError::from)? {
                return Ok(());
            }
            if Instant::now() >= until {
                let holder = schema::holder(client).ok().flatten();
                return Err(LedgerError::InUse { ledger: self.to_string(), holder }.into());
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// Drops a connection of which nobody knows what it still does.
    fn forget(&self) {
        self.link.borrow_mut().client = None;
    }

    fn statement(&self, client: &Client, sql: &str) -> Result<Statement, Fault> {
        if let Some(statement) = self.link.borrow().statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.asked(client.prepare(&values::numbered(sql)))?;
        self.link.borrow_mut().statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Waits for an answer. A connection that owes one too long is given up.
    fn asked<T>(
        &self,
        question: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Fault> {
        match answer(question) {
            Ok(answer) => answer.map_err(|error| {
                let error = PostgresError::from(error);
                if error.takes_no_writes() {
                    // It has become a standby: the next connection is to whoever is the primary.
                    self.forget();
                }
                error.into()
            }),
            Err(fault) => {
                self.forget();
                Err(fault)
            }
        }
    }

    /// Runs statements that take no parameters.
    fn batch(&self, sql: &str) -> Result<(), Fault> {
        let client = self.client()?;
        self.asked(client.batch_execute(sql))
    }

    pub(super) fn begin(&self) -> Result<(), Fault> {
        self.settle_doubt()?;
        self.begun("BEGIN")
    }

    /// Looks up what became of a write that was told as in doubt.
    pub(super) fn settle_doubt(&self) -> Result<(), Fault> {
        if let Some(revision) = self.in_doubt.get() {
            if self.was_kept(revision)? {
                self.kept_after_all.borrow_mut().insert(revision);
            }
            self.in_doubt.set(None);
        }
        Ok(())
    }

    pub(super) fn begin_instant(&self) -> Result<(), Fault> {
        self.begun("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    }

    /// A connection that went away unseen is made again: nothing was done on it yet.
    fn begun(&self, sql: &str) -> Result<(), Fault> {
        let was_connected = self.link.borrow().client.is_some();
        let begun = match self.batch(sql) {
            Err(fault) if fault.is_lost() && was_connected => {
                self.forget();
                self.batch(sql)
            }
            other => other,
        };
        self.link.borrow_mut().in_transaction = begun.is_ok();
        begun
    }

    pub(super) fn end(&self, how: &str) -> Result<(), Fault> {
        let ended = self.batch(how);
        self.link.borrow_mut().in_transaction = false;
        ended
    }

    /// Commits a write that the ledger counts as `revision`.
    pub(super) fn commit(&self, revision: i64) -> Result<(), Fault> {
        match self.end("COMMIT") {
            Err(fault) if fault.is_lost() => self.settle(revision, fault),
            other => other,
        }
    }

    /// Looks for a while whether a write was kept whose commit was not answered.
    fn settle(&self, revision: i64, fault: Fault) -> Result<(), Fault> {
        let until = Instant::now() + SETTLED_WITHIN;
        self.forget();
        while Instant::now() < until {
            match self.was_kept(revision) {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(fault),
                Err(_) => std::thread::park_timeout(Duration::from_millis(100)),
            }
        }
        self.in_doubt.set(Some(revision));
        Err(match fault {
            Fault::Database(error) => Fault::InDoubt(revision, error),
            other => other,
        })
    }

    /// Whether the newest write is this process' and has this number. The row is locked for it, so
    /// that the old connection's transaction has ended, one way or the other. What another leader
    /// wrote over counts as not kept: it is nothing to build upon.
    fn was_kept(&self, revision: i64) -> Result<bool, Fault> {
        let mut kept = false;
        let asked = self.begun("BEGIN").and_then(|()| {
            self.each("SELECT revision, writer FROM ledger_state FOR UPDATE", &[], |row| {
                let is_own = row.text_option(1)? == Some(self.mark.as_str());
                kept = is_own && row.get::<i64>(0)? == revision;
                Ok(())
            })
        });
        let _ = self.end("ROLLBACK");
        asked.map(|()| kept)
    }

    /// Whether a write that was told as in doubt turned out to be kept since.
    pub(super) fn kept_after_all(&self, revision: i64) -> bool {
        self.kept_after_all.borrow().contains(&revision)
    }

    pub(super) fn run(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<usize, Fault> {
        let client = self.client()?;
        let statement = self.statement(&client, sql)?;
        let changed = self.asked(client.execute(&statement, &references(parameters)))?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    /// Many statements are on their way at once: a server that is far away costs its distance once
    /// in so many.
    pub(super) fn run_all<'a, P: AsRef<[Parameter<'a>]>>(
        &self,
        sql: &str,
        sets: impl IntoIterator<Item = Result<P, Fault>>,
    ) -> Result<(), Fault> {
        let mut sets = sets.into_iter();
        let mut client = None;
        loop {
            let batch = sets.by_ref().take(AHEAD).collect::<Result<Vec<_>, _>>()?;
            if batch.is_empty() {
                return Ok(());
            }
            let client = match &client {
                Some(client) => client,
                None => client.insert(self.client()?),
            };
            let statement = self.statement(client, sql)?;
            let references: Vec<_> = batch.iter().map(|set| references(set.as_ref())).collect();
            let asked = references.iter().map(|set| client.execute(&statement, set));
            self.asked(future::try_join_all(asked))?;
        }
    }

    /// Lets the open transaction take as long as it takes.
    pub(super) fn unhurried(&self) -> Result<(), Fault> {
        self.batch(
            "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0",
        )
    }

    pub(super) fn number_on(&self, table: &str) -> Result<(), Fault> {
        self.batch(&format!(
            "SELECT setval(pg_get_serial_sequence('{table}', 'id'), coalesce(max(id), 0) + 1, false)
             FROM {table}"
        ))
    }

    pub(super) fn each(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let client = self.client()?;
        let statement = self.statement(&client, sql)?;
        let asked = client.query_raw(&statement, references(parameters));
        let mut rows = pin!(self.asked(asked)?);
        while let Some(row) = self.asked(async { rows.next().await.transpose() })? {
            read(&Row::Postgres(&row))?;
        }
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Link { client, in_transaction, .. } = self.link.take();
        if let (Some(place), Some(client)) = (self.place.take(), client)
            && (!in_transaction || matches!(answer(client.batch_execute("ROLLBACK")), Ok(Ok(()))))
        {
            place.give_back(client);
        }
    }
}

fn references<'a>(parameters: &'a [Parameter<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    parameters.iter().map(|parameter| parameter as &(dyn ToSql + Sync)).collect()
}

fn lost(message: &str) -> Fault {
    DatabaseError::Postgres(PostgresError::lost(message)).into()
}

fn late() -> Fault {
    lost(&format!("no answer within {} s", ANSWER_LIMIT.as_secs()))
}
