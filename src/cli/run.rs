//! `costband run`: the agent.

use std::sync::Arc;

use crate::app::agent::{Agent, Polling};
use crate::app::ledger::open_window;
use crate::app::setup::Setup;
use crate::cli::check::{price, span};
use crate::cli::{ConfigFile, Failure, load};
use crate::domain::ports::Clock;
use crate::runtime::clock::SystemClock;
use crate::runtime::supervisor::signal;
use crate::store::Ledger;

#[derive(Debug, clap::Args)]
#[command(
    about = "Run the agent",
    after_help = "Examples:\n  costband run -c costband.yaml\n  COSTBAND__LISTEN=0.0.0.0:9750 costband run -c costband.yaml\n\nThe page, the metrics and the JSON are at http://127.0.0.1:9750/ where `listen` says nothing\nelse. `costband check` prints beforehand what will be asked of whom, and for how much.\nIt ends well on SIGTERM and SIGINT."
)]
pub(super) struct Run {
    #[command(flatten)]
    config: ConfigFile,
}

impl Run {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let setup = load(&self.config.config)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ledger = Ledger::open(&setup.ledger).map_err(anyhow::Error::from)?;
        tell_plan(&setup, &ledger, &*clock)?;
        let polling = Polling::new(&setup, ledger, clock.clone())?;
        let agent = Agent::start(&setup, polling, clock, false).await?;
        tracing::info!(address = %agent.address, "costband is listening");
        agent.run(signal()).await?;
        tracing::info!("costband ended");
        Ok(())
    }
}

/// Says what each source will be asked and for how much, before anything is asked.
fn tell_plan(setup: &Setup, ledger: &Ledger, clock: &dyn Clock) -> Result<(), Failure> {
    for (source, rules) in setup.sources.iter().zip(setup.rules()) {
        let window = open_window(ledger, &rules, &source.descriptor().breakdowns, clock.now())
            .map_err(anyhow::Error::from)?;
        let first = ledger.first_day(&rules.id).map_err(anyhow::Error::from)?.is_none();
        let plan = Setup::plan(source.as_ref(), &window);
        tracing::info!(
            source = %rules.id,
            first_reading = first,
            window = %window,
            price_at_most = price(plan.price_of_a_poll),
            every = span(plan.every),
            price_of_a_month_at_most = price(plan.price_of_a_month),
            "source planned"
        );
        if plan.is_less_than_daily() {
            tracing::warn!(source = %rules.id, every = span(plan.every),
                "the monthly cap may allow less than one reading a day; raise `monthly_cap`");
        }
    }
    Ok(())
}
