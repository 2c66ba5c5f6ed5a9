//! `costband backtest`: scores the forecasts on the stored history.

use std::fmt::Write;

use clap::ValueEnum;

use crate::app::backtest::score;
use crate::app::spend::SpendReader;
use crate::cli::{ConfigFile, Failure, load, print};
use crate::domain::backtest::{Backtest, ScoredMethod, Scores};
use crate::domain::ports::Clock;
use crate::runtime::clock::SystemClock;
use crate::store::Ledger;

#[derive(Debug, clap::Args)]
#[command(
    about = "Score the forecasts on the stored history",
    after_help = "Examples:\n  costband backtest -c costband.yaml\n  costband backtest -c costband.yaml --source aws-main --format json\n\nEvery month of the ledger that is complete is forecast again, as on its days 3, 7, 15 and 22\nwith what was complete by the source's lag. WAPE is the sum of the errors of month totals over the\nsum of the totals; coverage is how often the month ended within the told interval.\n`costband backfill` fills older months. Reading the ledger is free."
)]
pub(super) struct BacktestCommand {
    #[command(flatten)]
    config: ConfigFile,
    /// Only this source; all of them by default.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people on a terminal.
    Table,
    /// Every figure.
    Json,
}

impl BacktestCommand {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let setup = load(&self.config.config)?;
        if let Some(wanted) = &self.source
            && !setup.sources.iter().any(|source| source.descriptor().id.as_str() == wanted)
        {
            return Err(anyhow::anyhow!("no source is called `{wanted}`; see `sources`").into());
        }
        let ledger = Ledger::open_read_only(&setup.ledger).map_err(anyhow::Error::from)?;
        let reader = SpendReader::new(&setup);
        let now = SystemClock.now();
        let scores =
            score(&reader, &ledger, self.source.as_deref(), now).map_err(anyhow::Error::from)?;
        if scores.overall.months == 0 {
            eprintln!(
                "costband: no month can be scored: want four weeks of history and a complete month \
                 after them; see `costband backfill`"
            );
        }
        match self.format {
            Format::Json => {
                let text = serde_json::to_string_pretty(&scores).map_err(anyhow::Error::from)?;
                print(&format!("{text}\n"))
            }
            Format::Table => print(&table(&scores)),
        }
    }
}

fn table(scores: &Backtest) -> String {
    let mut out = String::new();
    let scored = scores.series.iter().filter(|series| series.months > 0);
    for series in scored.chain(std::iter::once(&scores.overall)) {
        section(&mut out, series);
    }
    out
}

fn section(out: &mut String, of: &Scores) {
    let name = of.series.as_deref().unwrap_or("all series");
    let lag = of.lag_days.map_or_else(String::new, |days| format!(", bills {days} d late"));
    let _ = writeln!(out, "{name}, complete months: {}{lag}", of.months);
    let _ = writeln!(
        out,
        "  {:<15} {:>4} {:>9} {:>9} {:>12} {:>12}",
        "method", "day", "WAPE", "pinball", "within 80 %", "within 95 %"
    );
    let percent = |share: Option<f64>| {
        share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
    };
    for method in ScoredMethod::ALL {
        for score in of.scores.iter().filter(|score| score.method == method) {
            let _ = writeln!(
                out,
                "  {:<15} {:>4} {:>9} {:>9} {:>12} {:>12}",
                method.as_str(),
                score.day,
                percent(score.wape),
                percent(score.pinball),
                percent(score.coverage_80),
                percent(score.coverage_95)
            );
        }
    }
    out.push('\n');
}
