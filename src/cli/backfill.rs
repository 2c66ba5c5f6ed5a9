//! `costband backfill`: fills history into the ledger, after printing its price.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use jiff::civil::Date;

use crate::app::backfill::{fill, plan};
use crate::app::plan::at_most;
use crate::app::polling::Polling;
use crate::cli::{ConfigFile, Failure, load, print};
use crate::domain::ports::Clock;
use crate::runtime::clock::SystemClock;
use crate::store::Ledger;

#[derive(Debug, clap::Args)]
#[command(
    about = "Fill history into the ledger, after printing its price",
    after_help = "Examples:\n  costband backfill -c costband.yaml --from 2026-01-01 --dry-run\n  costband backfill -c costband.yaml --from 2026-01-01 --source aws-main\n\nThe agent must not run on the same ledger meanwhile. The monthly cap holds here too;\nwhat was filled before it was reached stays."
)]
pub(super) struct Backfill {
    #[command(flatten)]
    config: ConfigFile,
    /// The first day to fill.
    #[arg(long, value_name = "DATE")]
    from: Date,
    /// Only this source; all of them by default.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Prints what it would ask and its price, and ends.
    #[arg(long)]
    dry_run: bool,
    /// Asks no question on a terminal.
    #[arg(long)]
    yes: bool,
}

impl Backfill {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let setup = load(&self.config.config)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let now = clock.now();
        let chosen: Vec<usize> = setup
            .sources
            .iter()
            .enumerate()
            .filter(|(_, source)| {
                self.source.as_ref().is_none_or(|name| name == source.descriptor().id.as_str())
            })
            .map(|(index, _)| index)
            .collect();
        if chosen.is_empty() {
            let wanted = self.source.unwrap_or_default();
            return Err(anyhow::anyhow!("no source is called `{wanted}`; see `sources`").into());
        }
        let mut asks = false;
        for source in chosen.iter().filter_map(|index| setup.sources.get(*index)) {
            let filling = plan(source.as_ref(), self.from, now);
            asks |= !filling.months.is_empty();
            print(&format!(
                "{}: months: {}, requests: at most {}, {}\n",
                source.descriptor().id,
                filling.months.len(),
                filling.requests,
                at_most(filling.price)
            ))?;
        }
        if self.dry_run || !asks || !(self.yes || agreed()?) {
            return Ok(());
        }
        let ledger = Ledger::open(&setup.ledger).map_err(anyhow::Error::from)?;
        let polling = Polling::new(&setup, ledger, clock)?;
        let outcome = self.fill(&polling, &chosen, now).await;
        polling.handle.close().await.map_err(anyhow::Error::from)?;
        outcome
    }

    async fn fill(
        &self,
        polling: &Polling,
        chosen: &[usize],
        now: jiff::Timestamp,
    ) -> Result<(), Failure> {
        let mut failed = 0;
        for poller in chosen.iter().filter_map(|index| polling.pollers.get(*index)) {
            let id = &poller.source.descriptor().id;
            for month in plan(poller.source.as_ref(), self.from, now).months {
                match fill(polling, poller, month).await {
                    Ok(rows) => eprintln!("{id}: {month} filled, {rows} rows"),
                    Err(error) => {
                        eprintln!("{id}: {month} failed ({}): {error}", error.kind.as_str());
                        failed += 1;
                        break;
                    }
                }
            }
        }
        if failed > 0 {
            return Err(anyhow::anyhow!("{failed} sources were not filled to the end").into());
        }
        Ok(())
    }
}

/// Asks on a terminal; a script has agreed by calling.
fn agreed() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Ok(true);
    }
    eprint!("Go on? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| anyhow::anyhow!("failed to read the answer: {error}"))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
