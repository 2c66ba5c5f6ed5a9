//! How a connection is made, and how one waits for its answers.

use std::pin::pin;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake};
use std::thread::Thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config};

use crate::store::engine::postgres::{late, lost, tls};
use crate::store::error::{Fault, PostgresError};
use crate::store::location::{Encryption, Server};

/// How long a server may take to take a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long one answer may take; the server gives up before.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(75);
/// What holds for every session: nothing waits for ever, and a peer that is gone is noticed by
/// either side. The texts that the ledger compares are in UTC and ASCII, whatever the server's
/// settings are.
pub(super) const SETTINGS: &str = "SET statement_timeout = '60s';
    SET lock_timeout = '15s';
    SET idle_in_transaction_session_timeout = '10min';
    SET tcp_keepalives_idle = 15;
    SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 3;
    SET client_encoding = 'UTF8'";

/// The one thread that carries the sockets of all sessions, for as long as the process lives.
fn carrier() -> Result<&'static Runtime, Fault> {
    static CARRIER: OnceLock<Runtime> = OnceLock::new();
    static MAKING: Mutex<()> = Mutex::new(());
    if let Some(carrier) = CARRIER.get() {
        return Ok(carrier);
    }
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(carrier) = CARRIER.get() {
        return Ok(carrier);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("postgres")
        .enable_all()
        .build()
        .map_err(|error| lost(&format!("the system gives no thread: {error}")))?;
    Ok(CARRIER.get_or_init(|| runtime))
}

/// Connects to a server; for a writer to none that takes no writes, whichever of its addresses that is.
pub(super) fn connect(server: &Server, is_writer: bool) -> Result<Client, Fault> {
    let mut config = Config::new();
    config
        .port(server.port)
        .dbname(&server.database)
        .user(&server.user)
        .application_name(name())
        .connect_timeout(CONNECT_LIMIT)
        .keepalives_idle(Duration::from_secs(15))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(30))
        .ssl_mode(match server.encryption_used() {
            Encryption::Disable => SslMode::Disable,
            Encryption::Prefer => SslMode::Prefer,
            Encryption::Require | Encryption::VerifyCa | Encryption::VerifyFull => SslMode::Require,
        });
    if is_writer {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    // A text that begins with a slash is the folder of a socket.
    config.host(&server.host);
    if let Some(password) = &server.password {
        config.password(password().map_err(|reason| lost(&reason))?);
    }
    let tls = tls::Connector::new(server).map_err(|reason| lost(&reason))?;
    let carrier = carrier()?;
    let (told, connected) = sync_channel(1);
    carrier.spawn(async move {
        match config.connect(tls).await {
            Ok((client, connection)) => {
                let _ = told.send(Ok(client));
                // What ends it is told to whoever waits for an answer then.
                let _ = connection.await;
            }
            Err(error) => {
                let _ = told.send(Err(error));
            }
        }
    });
    // The name of a host may have several addresses, each with a limit of its own.
    match connected.recv_timeout(CONNECT_LIMIT * 3) {
        Ok(connected) => Ok(connected.map_err(PostgresError::from)?),
        Err(_) => Err(lost(&format!("no answer within {} s", (CONNECT_LIMIT * 3).as_secs()))),
    }
}

/// How the server calls this process in its lists.
fn name() -> String {
    std::env::var("HOSTNAME")
        .map_or_else(|_| "costband".to_owned(), |host| format!("costband {host}"))
}

/// Waits for an answer on this thread, whatever it is otherwise for.
pub(super) fn answer<T>(question: impl Future<Output = T>) -> Result<T, Fault> {
    struct Bell(Thread);
    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let bell = Arc::new(Bell(std::thread::current())).into();
    let mut context = Context::from_waker(&bell);
    let mut question = pin!(question);
    let until = Instant::now() + ANSWER_LIMIT;
    loop {
        if let Poll::Ready(answer) = question.as_mut().poll(&mut context) {
            return Ok(answer);
        }
        match until.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => std::thread::park_timeout(left),
            _ => return Err(late()),
        }
    }
}
