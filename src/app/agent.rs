//! The agent: its address, its face, and the tasks of one configuration after another, until it is
//! asked to end.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::app::lease::Replica;
use crate::app::plan;
use crate::app::polling::Polling;
use crate::app::reload::{ConfigWatch, Reload};
use crate::app::setup::Setup;
use crate::app::tasks::{Lasting, Tasks};
use crate::config::problems::Problems;
use crate::config::{Config, StorePlace};
use crate::domain::ports::Clock;
use crate::runtime::supervisor::{Supervisor, TaskDied};
use crate::store::{Ledger, LedgerHandle};
use crate::telemetry::log;
use crate::web::{self, Face, Published};

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
                Event::Stop => return self.end().await,
                Event::Died(died) => {
                    self.web.ask();
                    self.end_tasks().await;
                    self.lasting.replica.end().await;
                    self.web.end().await;
                    return Err(died).context("the agent ended");
                }
                Event::Duty => Box::pin(self.take_duty()).await?,
                Event::Reload(reload) => {
                    let Reload { setup, text } = *reload;
                    let taken = Box::pin(self.reload(setup)).await?;
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
        self.tasks = begin(&self.setup, &self.polling, &mut self.lasting).await?;
        self.faces.send_replace(self.tasks.face.clone());
        Ok(())
    }

    async fn end(mut self) -> anyhow::Result<()> {
        self.lasting.readiness.stopping();
        self.web.ask();
        self.end_tasks().await;
        // What was handed to the ledger is kept or refused before another replica may begin.
        let closed = self.polling.handle.close().await.context("failed to close the ledger");
        self.lasting.replica.end().await;
        self.web.end().await;
        closed
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
    async fn reload(&mut self, next: Setup) -> anyhow::Result<Result<(), Problems>> {
        self.leaving.retain_mut(|leaving| !leaving.is_done());
        // Whatever can be refused is asked for while the tasks of before run still.
        let (listener, ledger) = match self.prepare(&next).await {
            Ok(prepared) => prepared,
            Err(problems) => return Ok(Err(problems)),
        };
        if ledger.is_some() {
            // What is under way is for a ledger that is left behind.
            self.end_tasks().await;
        } else {
            self.leaving.push(self.tasks.leave().await);
        }
        let handle = ledger.clone().unwrap_or_else(|| self.polling.handle.clone());
        let Polling { metrics, changed, .. } = self.polling.clone();
        let polling = Polling::over(&next, handle, metrics, changed, self.lasting.clock.clone());
        match begin(&next, &polling, &mut self.lasting).await {
            Ok(tasks) => self.tasks = tasks,
            Err(error) => {
                if let Some(ledger) = ledger {
                    ledger.close().await.context("failed to close the new ledger")?;
                }
                self.tasks = Tasks::start(&self.setup, &self.polling, &mut self.lasting)
                    .await
                    .context("failed to go back to the configuration of before")?;
                return Ok(Err(problem("", format!("{error:#}"))));
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
    ) -> Result<(Option<TcpListener>, Option<LedgerHandle>), Problems> {
        let (now, then) = (&self.setup.config, &next.config);
        let listener = if then.listen == now.listen {
            None
        } else if then.listen.port() == now.listen.port() && then.listen.port() != 0 {
            let told = format!(
                "`{}` takes the port of `{}`, which needs a restart; or take another port",
                then.listen, now.listen
            );
            return Err(problem("listen", told));
        } else {
            let bound = web::bind(then.listen).await;
            Some(bound.map_err(|error| problem("listen", error.to_string()))?)
        };
        if then.lease != now.lease {
            return Err(problem("lease", "changes with a restart".to_owned()));
        }
        let ledger = if then.store.place == now.store.place {
            None
        } else if then.lease.is_some() {
            let told = "replicas that share a Lease change their ledger with a restart";
            return Err(problem(place(then), told.to_owned()));
        } else {
            let location = next.ledger.clone();
            let opened = tokio::task::spawn_blocking(move || {
                anyhow::Ok(LedgerHandle::spawn(Ledger::open(location)?)?)
            });
            let opened = opened.await.map_err(anyhow::Error::from).flatten();
            Some(opened.map_err(|error| problem(place(then), format!("{error:#}")))?)
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
    if lasting.replica.duty.acts() {
        plan::tell(setup, &polling.handle, &*lasting.clock).await?;
    }
    Tasks::start(setup, polling, lasting).await
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
