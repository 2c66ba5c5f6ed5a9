//! `costband run`: the agent.

use std::sync::Arc;

use crate::app::agent::Agent;
use crate::app::polling::Polling;
use crate::app::reload::ConfigWatch;
use crate::app::setup::{Setup, environment};
use crate::cli::{ConfigFile, Failure, start_log};
use crate::domain::ports::Clock;
use crate::runtime::clock::SystemClock;
use crate::runtime::supervisor::signal;

#[derive(Debug, clap::Args)]
#[command(
    about = "Run the agent",
    after_help = "Examples:\n  costband run -c costband.yaml\n  COSTBAND__LISTEN=0.0.0.0:9750 costband run -c costband.yaml\n\nThe page, the metrics and the JSON are at http://127.0.0.1:9750/ where `listen` says nothing\nelse. `costband check` prints beforehand what will be asked of whom, and for how much.\nA changed file is taken while it runs, at once on SIGHUP. It ends well on SIGTERM and SIGINT."
)]
pub(super) struct Run {
    #[command(flatten)]
    config: ConfigFile,
}

impl Run {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let path = &self.config.config;
        let text = Setup::read(path)?;
        let setup = Setup::from_text(&text, environment())?;
        start_log(&setup);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ledger = setup.open_ledger().map_err(anyhow::Error::from)?;
        let polling = Polling::new(&setup, ledger, clock.clone())?;
        let metrics = polling.metrics.clone();
        let stop = signal();
        let agent = Agent::start(setup, polling, clock.clone(), false).await?;
        let file = ConfigWatch::new(path, text, metrics, clock).map_err(anyhow::Error::from)?;
        tracing::info!(address = %agent.address, "costband is listening");
        agent.run_with(file, stop).await?;
        tracing::info!("costband ended");
        Ok(())
    }
}
