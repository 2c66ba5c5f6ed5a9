//! A simulated world, a ledger in a folder, and the agent over both.

use std::path::PathBuf;
use std::sync::Arc;

use costband::app::agent::Agent;
use costband::app::demo::World;
use costband::app::polling::Polling;
use costband::app::setup::Setup;
use costband::domain::ports::Clock;
use costband::simulate::SimulateAddresses;
use costband::store::Ledger;
use costband::web::Published;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::faces::peers::until;

/// A world with the configuration that reads it.
pub(crate) struct House {
    pub(crate) world: World,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) folder: tempfile::TempDir,
    /// The configuration's text; tests append to it.
    pub(crate) text: String,
}

impl House {
    pub(crate) async fn at(clock: Arc<dyn Clock>) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let world = World::start(1, clock.clone(), SimulateAddresses::default()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let text = world.write_configuration(folder.path(), "127.0.0.1:0").unwrap();
        Self { world, clock, folder, text }
    }

    /// Adds to the configuration and writes it.
    pub(crate) fn configure(&mut self, more: &str) -> PathBuf {
        self.text.push_str(more);
        let path = self.folder.path().join("costband.yaml");
        std::fs::write(&path, &self.text).unwrap();
        path
    }

    /// Writes a file into the folder.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) async fn start(&self) -> RunningAgent {
        start(&self.text, self.clock.clone()).await
    }

    /// Polls every source once without an agent around.
    pub(crate) async fn poll(&self) {
        let (_, polling) = wire(&self.text, self.clock.clone());
        for poller in &polling.pollers {
            poller.poll_once().await.unwrap();
        }
        polling.handle.close().await.unwrap();
    }
}

fn wire(text: &str, clock: Arc<dyn Clock>) -> (Setup, Polling) {
    let setup =
        Setup::from_text(text, std::iter::empty()).unwrap_or_else(|error| panic!("{error}"));
    let ledger = Ledger::open(&setup.ledger).unwrap();
    let polling = Polling::new(&setup, ledger, clock).unwrap();
    (setup, polling)
}

/// Starts the agent that a configuration describes.
pub(crate) async fn start(text: &str, clock: Arc<dyn Clock>) -> RunningAgent {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (setup, polling) = wire(text, clock.clone());
    let agent = Agent::start(setup, polling, clock, false).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    RunningAgent {
        client: reqwest::Client::new(),
        url: format!("http://{}", agent.address),
        published: agent.published.clone(),
        stop,
        task: tokio::spawn(agent.run(async move {
            let _ = stopped.await;
        })),
    }
}

/// An agent that runs in this process.
pub(crate) struct RunningAgent {
    pub(crate) url: String,
    pub(crate) published: watch::Receiver<Option<Arc<Published>>>,
    client: reqwest::Client,
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl RunningAgent {
    /// Waits for a snapshot of which something holds.
    pub(crate) async fn when(
        &mut self,
        what: &str,
        holds: impl Fn(&Published) -> bool,
    ) -> Arc<Published> {
        let waiting = self.published.wait_for(|held| held.as_ref().is_some_and(|now| holds(now)));
        let found = tokio::time::timeout(std::time::Duration::from_secs(240), waiting).await;
        let found = found.unwrap_or_else(|_| panic!("four minutes passed without {what}"));
        found.unwrap().clone().unwrap()
    }

    /// Waits until every source was read well.
    pub(crate) async fn when_read(&mut self) -> Arc<Published> {
        self.when("a good reading of every source", |now| {
            now.snapshot.sources.iter().all(|source| source.up == Some(true))
        })
        .await
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.text().await.unwrap()
    }

    /// Ends the agent and hands back when its ledger is closed.
    pub(crate) async fn end(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

pub(crate) async fn get(url: &str) -> String {
    let answer = reqwest::get(url).await.unwrap();
    assert!(answer.status().is_success(), "{url}: {}", answer.status());
    answer.text().await.unwrap()
}

/// Reads the JSON at a URL as soon as somebody answers there.
pub(crate) async fn json(url: &str) -> serde_json::Value {
    until(url, async || reqwest::get(url).await.ok()?.json().await.ok()).await
}
