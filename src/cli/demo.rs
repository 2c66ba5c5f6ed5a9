//! `costband demo`: the agent over simulated clouds, in one process, without any credentials.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::join_all;
use jiff::Timestamp;

use crate::app::agent::Agent;
use crate::app::demo::{FIRST_READING_BEFORE, World, mid_month};
use crate::app::polling::Polling;
use crate::app::setup::{Setup, environment};
use crate::cli::{Failure, print};
use crate::domain::ports::Clock;
use crate::runtime::clock::ShiftedClock;
use crate::runtime::supervisor::signal;
use crate::simulate::SimulateAddresses;
use crate::store::Ledger;
use crate::telemetry::log::{self, LogFormat};
use crate::web;

#[derive(Debug, clap::Args)]
#[command(
    about = "Run the agent over simulated clouds, without any credentials",
    after_help = "Examples:\n  costband demo\n  costband demo --listen 127.0.0.1:0 --seed 7\n\nThe simulated Cost Explorer, BigQuery, Azure Resource Manager and dcgm-exporter listen on free\nports of the loopback and speak the real wire protocols. The world's clock stands in the middle\nof the present month."
)]
pub(super) struct Demo {
    /// The address of the page, the metrics and the JSON.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9750")]
    listen: String,
    /// Which world: two worlds of one seed are the same.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Which log lines, in the words of `RUST_LOG`.
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    log: String,
}

/// The demo's day does not end: what is told after two more complete days is told at once.
const AT_ONCE: &str = "
alerts:
  ceiling_forecast:
    - fires_after_days: 1
  pace_slow:
    - fires_after_days: 1
";

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is small and lies where the system cleans up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Demo {
    pub(super) async fn run(self) -> Result<(), Failure> {
        log::start(LogFormat::Auto, &self.log);
        let noon = mid_month(Timestamp::now());
        let start = noon
            .saturating_sub(FIRST_READING_BEFORE)
            .map_err(|error| anyhow::anyhow!("the clock cannot stand there: {error}"))?;
        let clock = Arc::new(ShiftedClock::starting_at(start));
        let shared: Arc<dyn Clock> = clock.clone();
        let world = World::start(self.seed, shared.clone(), SimulateAddresses::default()).await?;
        let folder =
            Folder(std::env::temp_dir().join(format!("costband-demo-{}", std::process::id())));
        let text = world.write_configuration(&folder.0, &self.listen)? + AT_ONCE;
        // What was asked for on the command line stands before a variable.
        let variables = environment().filter(|(name, _)| name != "COSTBAND__LISTEN");
        let setup = Setup::from_text(&text, variables)?;
        // An address that is taken is told now, not after the clouds were read.
        drop(web::bind(setup.config.listen).await.map_err(anyhow::Error::from)?);
        let ledger = Ledger::open(&setup.ledger).map_err(anyhow::Error::from)?;
        let polling = Polling::new(&setup, ledger, shared.clone())?;
        eprintln!("reading three simulated clouds twice, eight hours apart on their clock ...");
        read(&polling).await;
        clock.advance(FIRST_READING_BEFORE);
        read(&polling).await;
        let agent = Agent::start(setup, polling, shared.clone(), true).await?;
        print(&welcome(&agent, &world, shared.now()))?;
        agent.run(signal()).await?;
        world.servers.shutdown().await;
        Ok(())
    }
}

async fn read(polling: &Polling) {
    let polls = polling.pollers.iter().map(|poller| async {
        if let Err(error) = poller.poll_once().await {
            let id = &poller.source.descriptor().id;
            eprintln!("{id}: failed ({}): {error}", error.kind.as_str());
        }
    });
    join_all(polls).await;
}

fn welcome(agent: &Agent, world: &World, now: Timestamp) -> String {
    let (address, servers) = (agent.address, &world.servers);
    format!(
        "\ncostband demo: none of these figures is a real bill\n\
         \n  page      http://{address}/\
         \n  metrics   http://{address}/metrics\
         \n  JSON      http://{address}/api/v1/bands\
         \n  clock     {}\
         \n\
         \n  simulated Cost Explorer            {}\
         \n  simulated BigQuery                 {}\
         \n  simulated Azure Resource Manager   {}\
         \n  simulated dcgm-exporter            {}/metrics\
         \n\nEnd it with Ctrl-C.\n",
        now.strftime("%Y-%m-%d %H:%M UTC"),
        servers.aws.url(),
        servers.gcp.url(),
        servers.azure.url(),
        servers.gpu.url(),
    )
}
