//! The command line: one thin file for each command. Results go to stdout, everything else to
//! stderr. Exit codes: 0 well, 1 failed, 2 a breach under `--fail-on`, 64 usage or configuration.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app::setup::Setup;
use crate::config::file::LogFormat as ConfiguredFormat;
use crate::config::problems::Problems;
use crate::telemetry::log::{self, LogFormat};

mod backfill;
mod backtest;
mod check;
mod copy;
#[cfg(feature = "simulate")]
mod demo;
mod notify;
mod report;
mod run;
mod schema;
#[cfg(feature = "simulate")]
mod simulate;

/// Keeps the cloud spend of a GPU fleet inside its monthly band.
#[derive(Debug, Parser)]
#[command(
    name = "costband",
    version,
    about,
    after_help = "Examples:\n  costband demo                         see it work, without any credentials\n  costband check -c costband.yaml       what will be asked, how often, for how much\n  costband run -c costband.yaml         the agent\n\nExit codes: 0 well, 1 failed, 2 a breach under --fail-on, 64 usage or configuration.\nHTTPS_PROXY, NO_PROXY and SSL_CERT_FILE hold for every client."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the agent.
    Run(run::Run),
    /// Runs the agent over simulated clouds, without any credentials.
    #[cfg(feature = "simulate")]
    Demo(demo::Demo),
    /// Runs only the simulated clouds and GPU exporters, for trying a configuration.
    #[cfg(feature = "simulate")]
    Simulate(simulate::Simulate),
    /// Validates a configuration and prints what it will ask, how often, for how much.
    Check(check::Check),
    /// Prints where every band stands, from the ledger.
    Report(report::Report),
    /// Fills history into the ledger, after printing its price.
    Backfill(backfill::Backfill),
    /// Copies a ledger into the one that the configuration names.
    Copy(copy::Copy),
    /// Scores the forecasts on the stored history.
    Backtest(backtest::BacktestCommand),
    /// Tries the way to receivers.
    Notify(notify::Notify),
    /// Prints the configuration's JSON Schema.
    Schema(schema::Schema),
}

/// Where the configuration is.
#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(
        short,
        long = "config",
        value_name = "FILE",
        env = "COSTBAND_CONFIG",
        default_value = "costband.yaml"
    )]
    config: PathBuf,
}

/// Why a command did not do well.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The configuration is not valid; every problem, one a line.
    #[error("{0}")]
    Configuration(Problems),
    /// A band is where `--fail-on` does not want it.
    #[error("{0}")]
    Breach(String),
    /// Anything else.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Configuration(problems)
    }
}

const EXIT_BREACH: u8 = 2;
const EXIT_USAGE: u8 = 64;

/// Runs the program and gives its exit code.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are asked for and go to stdout; clap knows which is which.
            let _ = error.print();
            return if error.use_stderr() { EXIT_USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    // A second provider is refused, and the first one is the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match dispatch(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let code = match &failure {
                Failure::Configuration(_) => EXIT_USAGE,
                Failure::Breach(_) => EXIT_BREACH,
                Failure::Failed(_) => 1,
            };
            match failure {
                Failure::Configuration(problems) => eprintln!("{problems}"),
                other => eprintln!("costband: {other}"),
            }
            code.into()
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(run) => block_on(run.run()),
        #[cfg(feature = "simulate")]
        Command::Demo(demo) => block_on(demo.run()),
        #[cfg(feature = "simulate")]
        Command::Simulate(simulate) => block_on(simulate.run()),
        Command::Check(check) => block_on(check.run()),
        Command::Report(report) => block_on(report.run()),
        Command::Backfill(backfill) => block_on(backfill.run()),
        Command::Copy(copy) => copy.run(),
        Command::Backtest(backtest) => backtest.run(),
        Command::Notify(notify) => block_on(notify.run()),
        Command::Schema(schema) => schema.run(),
    }
}

/// Two workers carry the agent: it waits far more than it computes.
fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("costband")
        .enable_all()
        .build()
        .map_err(|error| anyhow::anyhow!("failed to start the runtime: {error}"))?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_background();
    outcome
}

/// Reads the configuration and starts logging as it says.
fn load(path: &Path) -> Result<Setup, Failure> {
    let setup = Setup::load(path)?;
    start_log(&setup);
    Ok(setup)
}

fn start_log(setup: &Setup) {
    let configured = &setup.config.log;
    let format = match configured.format {
        ConfiguredFormat::Auto => LogFormat::Auto,
        ConfiguredFormat::Text => LogFormat::Text,
        ConfiguredFormat::Json => LogFormat::Json,
    };
    log::start(format, configured.filter());
}

/// Writes to stdout; a reader that went away ends the program without noise.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::anyhow!("failed to write the result: {error}").into())
        }
        _ => Ok(()),
    }
}
