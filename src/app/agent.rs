//! The agent: its address, its face, and the tasks of one configuration after another, until it is
//! asked to end.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::app::lease::Replica;
use crate::app::plan;
use crate::app::polling::Polling;
use crate::app::reload::{ConfigWatch, Refusal, Reload};
use crate::app::setup::Setup;
use crate::app::tasks::{Known, Lasting, Tasks};
use crate::config::problems::Problems;
use crate::config::{Config, StorePlace};
use crate::domain::ports::Clock;
use crate::runtime::supervisor::{Supervisor, TaskDied};
use crate::store::{Ledger, LedgerHandle};
use crate::telemetry::log;
use crate::web::{self, Face, Published};

/// For how long an end that releases a Lease waits for the ledger: what is written later than that is
/// refused once another replica leads.
const RELEASE_AFTER: Duration = Duration::from_secs(10);
/// How soon a ledger that fails is read again while no task runs.
const READ_AGAIN: Duration = Duration::from_secs(2);

/// An agent whose address is bound and whose tasks run.
pub struct Agent {
    /// Where the face listens.
    pub address: SocketAddr,
    /// The newest snapshot, for tests and for the demo.
    pub published: watch::Receiver<Option<Arc<Published>>>,
    lasting: Lasting,
    faces: watch::Sender<Face>,
    web: Supervisor,
    setup: Setup,
    polling: Polling,
    tasks: Tasks,
    /// What earlier configurations left to be finished.
    leaving: Vec<Supervisor>,
}

enum Event {
    Stop,
    Died(TaskDied),
    Duty,
    Reload(Box<Reload>),
}

impl Agent {
    /// Binds the address, tells the plan and starts every task.
    ///
    /// # Errors
    /// When the address cannot be bound, the ledger cannot be read or a client cannot be built.
    pub async fn start(
        setup: Setup,
        polling: Polling,
        clock: Arc<dyn Clock>,
        demo: bool,
    ) -> anyhow::Result<Self> {
        let listener = web::bind(setup.config.listen).await?;
        let replica = Replica::of(&setup, &polling).await?;
        let mut lasting = Lasting::new(clock, demo, replica);
        let tasks = begin(&setup, &polling, &mut lasting).await?;
        let faces = watch::Sender::new(tasks.face.clone());
        let (web, address) = serve(listener, &faces)?;
        polling.metrics.configuration_taken(lasting.clock.now());
        let published = lasting.published.subscribe();
        let leaving = Vec::new();
        Ok(Self { address, published, lasting, faces, web, setup, polling, tasks, leaving })
    }

    /// Runs until `stop`, then ends in order: readiness, intake, ledger.
    ///
    /// # Errors
    /// The name of a task that ended by itself, or what the ledger refused at its close.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        self.run_with(None, stop).await
    }

    /// Runs until `stop` and takes each valid configuration that the watched file comes to hold.
    ///
    /// # Errors
    /// As [`Agent::run`]; and when neither a new configuration nor the one before can be started.
    pub async fn run_with(
        mut self,
        file: Option<ConfigWatch>,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        match self.run_until(file, stop).await {
            Ok(()) => self.end().await,
            Err(error) => {
                self.web.ask();
                self.end_tasks().await;
                self.lasting.replica.end().await;
                self.web.end().await;
                Err(error)
            }
        }
    }

    async fn run_until(
        &mut self,
        mut file: Option<ConfigWatch>,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let mut stop = pin!(stop);
        loop {
            let changed = async {
                match &mut file {
                    Some(file) => file.changed().await,
                    None => std::future::pending().await,
                }
            };
            let event = tokio::select! {
                () = &mut stop => Event::Stop,
                happened = self.happened() => happened,
                reload = changed => Event::Reload(Box::new(reload)),
            };
            match event {
                Event::Stop => return Ok(()),
                Event::Died(died) => return Err(died).context("the agent ended"),
                // A ledger that does not answer holds up either, and no end.
                Event::Duty => tokio::select! {
                    () = &mut stop => return Ok(()),
                    taken = Box::pin(self.take_duty()) => taken?,
                },
                Event::Reload(reload) => {
                    let Reload { setup, text } = *reload;
                    let taken = tokio::select! {
                        () = &mut stop => return Ok(()),
                        taken = Box::pin(self.reload(setup)) => taken?,
                    };
                    if let Some(file) = &mut file {
                        file.settle(text, taken);
                    }
                }
            }
        }
    }

    async fn happened(&mut self) -> Event {
        tokio::select! {
            died = self.web.died() => Event::Died(died),
            died = self.tasks.died() => Event::Died(died),
            changed = self.lasting.replica.changed() => match changed {
                Ok(()) => Event::Duty,
                Err(died) => Event::Died(died),
            },
        }
    }

    /// Goes over to what the agent may do among its replicas now.
    async fn take_duty(&mut self) -> anyhow::Result<()> {
        self.end_tasks().await;
        let Lasting { replica, clock, .. } = &mut self.lasting;
        replica.take_duty(&self.polling.handle, &**clock).await?;
        self.tasks = match begin(&self.setup, &self.polling, &mut self.lasting).await {
            Ok(tasks) => tasks,
            Err(error) if self.lasting.replica.duty.acts() => {
                let error = format!("{error:#}");
                tracing::error!(error, "failed to begin to act; gives the Lease up");
                let replica = &mut self.lasting.replica;
                replica.give_up(replica.duty.clone(), &self.polling.handle).await?;
                Tasks::start(&self.setup, &self.polling, &mut self.lasting, None)?
            }
            Err(error) => return Err(error),
        };
        self.faces.send_replace(self.tasks.face.clone());
        Ok(())
    }

    async fn end(mut self) -> anyhow::Result<()> {
        self.lasting.readiness.stopping();
        self.web.ask();
        self.end_tasks().await;
        // What was handed to the ledger is kept or refused before another replica may begin.
        let mut closing = pin!(self.polling.handle.close());
        let closed = timeout(RELEASE_AFTER, &mut closing).await;
        self.lasting.replica.end().await;
        let closed = match closed {
            Ok(closed) => closed,
            Err(_) => closing.await,
        };
        self.web.end().await;
        closed.context("failed to close the ledger")
    }

    /// Ends every task; a poll or a delivery that is under way is made again later.
    async fn end_tasks(&mut self) {
        self.leaving.push(self.tasks.leave().await);
        for leaving in self.leaving.drain(..) {
            leaving.abort().await;
        }
    }

    /// Goes over to another configuration. The inner error says why it is not taken: the one of
    /// before runs then.
    async fn reload(&mut self, mut next: Setup) -> anyhow::Result<Result<(), Refusal>> {
        self.leaving.retain_mut(|leaving| !leaving.is_done());
        // Whatever can be refused is asked for while the tasks of before run still.
        let (listener, ledger) = match self.prepare(&next).await {
            Ok(prepared) => prepared,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let handle = ledger.clone().unwrap_or_else(|| self.polling.handle.clone());
        if let Err(error) = read(&next, &handle, &self.lasting).await {
            if let Some(ledger) = ledger {
                ledger.close().await.context("failed to close the new ledger")?;
            }
            let path = place(&next.config);
            return Ok(Err(Refusal::ForNow(problem(path, format!("{error:#}")))));
        }
        if ledger.is_some() {
            // What is under way is for a ledger that is left behind.
            self.end_tasks().await;
        } else {
            // Readers share the connections that they have.
            next.ledger = self.setup.ledger.clone();
            self.leaving.push(self.tasks.leave().await);
        }
        // What the tasks of before counted until their end is part of it.
        let known = self.known(&handle).await;
        let Polling { metrics, changed, .. } = self.polling.clone();
        let polling = Polling::over(&next, handle, metrics, changed, self.lasting.clock.clone());
        match Tasks::start(&next, &polling, &mut self.lasting, known) {
            Ok(tasks) => self.tasks = tasks,
            Err(error) => {
                if let Some(ledger) = ledger {
                    ledger.close().await.context("failed to close the new ledger")?;
                }
                let known = self.known(&self.polling.handle).await;
                self.tasks = Tasks::start(&self.setup, &self.polling, &mut self.lasting, known)
                    .context("failed to go back to the configuration of before")?;
                return Ok(Err(Refusal::ForGood(problem("", format!("{error:#}")))));
            }
        }
        self.faces.send_replace(self.tasks.face.clone());
        if let Some(listener) = listener {
            let (web, address) = serve(listener, &self.faces)?;
            let before = std::mem::replace(&mut self.web, web);
            before.ask();
            self.leaving.push(before);
            self.address = address;
            tracing::info!(%address, "costband is listening");
        }
        self.tell(&next);
        let before = std::mem::replace(&mut self.polling, polling);
        self.setup = next;
        if ledger.is_some()
            && let Err(error) = before.handle.close().await
        {
            tracing::error!(%error, "failed to close the ledger of before");
        }
        Ok(Ok(()))
    }

    /// What tasks begin with, for as long as the ledger takes to tell it: none of before runs any more.
    async fn known(&self, ledger: &LedgerHandle) -> Option<Known> {
        if !self.lasting.replica.duty.acts() {
            return None;
        }
        loop {
            match Known::read(ledger, self.lasting.clock.now()).await {
                Ok(known) => return Some(known),
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::error!(
                        error,
                        "failed to read the ledger; nothing runs until it answers"
                    );
                }
            }
            sleep(READ_AGAIN).await;
        }
    }

    /// Lets the log and the agent's own metrics follow a configuration that runs now.
    fn tell(&self, next: &Setup) {
        let (before, config) = (&self.setup.config.log, &next.config);
        if before.filter != config.log.filter {
            log::refilter(config.log.filter());
        }
        if before.format != config.log.format {
            tracing::warn!("`log.format` holds from the next start");
        }
        let mut sources: Vec<_> = config.sources.iter().map(|source| &source.name).collect();
        sources.extend(config.gpu.iter().map(|source| &source.name));
        self.polling.metrics.keep_only(
            |name| sources.iter().any(|source| source.as_str() == name),
            |name| config.kubernetes.iter().any(|cluster| cluster.cluster == name),
        );
    }

    /// A socket and a ledger, where the next configuration wants others than those of now.
    async fn prepare(
        &self,
        next: &Setup,
    ) -> Result<(Option<TcpListener>, Option<LedgerHandle>), Refusal> {
        let (now, then) = (&self.setup.config, &next.config);
        let listener = if then.listen == now.listen {
            None
        } else if then.listen.port() == now.listen.port() && then.listen.port() != 0 {
            let told = format!(
                "`{}` takes the port of `{}`, which needs a restart; or take another port",
                then.listen, now.listen
            );
            return Err(Refusal::ForGood(problem("listen", told)));
        } else {
            let bound = web::bind(then.listen).await;
            Some(bound.map_err(|error| Refusal::ForNow(problem("listen", error.to_string())))?)
        };
        if then.lease != now.lease {
            let told = "changes with a restart";
            return Err(Refusal::ForGood(problem("lease", told.to_owned())));
        }
        let ledger = if then.store.place == now.store.place {
            None
        } else if then.lease.is_some() {
            let told = "replicas that share a Lease change their ledger with a restart";
            return Err(Refusal::ForGood(problem(place(then), told.to_owned())));
        } else {
            let location = next.ledger.clone();
            let opened = tokio::task::spawn_blocking(move || {
                anyhow::Ok(LedgerHandle::spawn(Ledger::open(location)?)?)
            });
            let opened = opened.await.map_err(anyhow::Error::from).flatten();
            let refusal = |error| Refusal::ForNow(problem(place(then), format!("{error:#}")));
            Some(opened.map_err(refusal)?)
        };
        Ok((listener, ledger))
    }
}

/// Where the ledger's place is configured.
fn place(config: &Config) -> &'static str {
    match config.store.place {
        StorePlace::Path(_) => "store.path",
        StorePlace::Postgres(_) => "store.url",
    }
}

fn problem(path: &str, message: String) -> Problems {
    let mut problems = Problems::new();
    problems.add(path, message);
    problems
}

/// Tells what will be asked for how much, then starts every task.
async fn begin(setup: &Setup, polling: &Polling, lasting: &mut Lasting) -> anyhow::Result<Tasks> {
    let known = read(setup, &polling.handle, lasting).await?;
    Tasks::start(setup, polling, lasting, known)
}

/// Reads all that tasks begin with, where they act, and tells the plan.
async fn read(
    setup: &Setup,
    ledger: &LedgerHandle,
    lasting: &Lasting,
) -> anyhow::Result<Option<Known>> {
    if !lasting.replica.duty.acts() {
        return Ok(None);
    }
    plan::tell(setup, ledger, &*lasting.clock).await?;
    Ok(Some(Known::read(ledger, lasting.clock.now()).await?))
}

fn serve(
    listener: TcpListener,
    faces: &watch::Sender<Face>,
) -> anyhow::Result<(Supervisor, SocketAddr)> {
    let address = listener.local_addr().context("failed to read the bound address")?;
    let mut web = Supervisor::new();
    let (shutdown, faces) = (web.shutdown(), faces.subscribe());
    web.spawn("web", async move {
        if let Err(error) = web::serve(listener, faces, shutdown).await {
            tracing::error!(%error, "the HTTP face failed");
        }
    });
    Ok((web, address))
}
