//! What the agent costs to run, measured on the real program and beside its goals. Asserts no
//! figure: it fails only when it cannot measure. `benches/run` builds and runs it.

#![allow(clippy::disallowed_methods, reason = "a measurement waits for a process to settle")]

mod agent;
mod alerts;
mod gpu;
mod measure;
mod poll;
mod publish;
mod requests;
mod roles;
mod scrape;
mod start;
mod table;
mod views;
mod world;

use std::process::ExitCode;

use anyhow::Context;

use crate::measure::mebibytes;
use crate::table::Table;

/// Where the program under measurement is.
const PROGRAM: &str = env!("CARGO_BIN_EXE_costband");

fn main() -> ExitCode {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut table = Table::default();
    let outcome = measure_all(&mut table);
    print!("{table}");
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benches/figures: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Everything, or with the argument `roles` what stands beside GPUs alone.
fn measure_all(table: &mut Table) -> anyhow::Result<()> {
    if std::env::args().any(|argument| argument == "roles") {
        return roles::measure(table);
    }
    let folder = tempfile::tempdir().context("failed to make a folder")?;
    let program =
        std::fs::metadata(PROGRAM).with_context(|| format!("failed to look at `{PROGRAM}`"))?;
    let megabytes = measure::millionths(program.len());
    table.row("7", "stripped binary, every feature", format!("{megabytes:.1} MB"), "<= 20 MB");
    alerts::measure(table).context("failed to measure alerts")?;
    gpu::measure(table).context("failed to measure the reading of GPUs")?;
    roles::measure(table).context("failed to measure the roles")?;
    start::measure(table, folder.path()).context("failed to measure the start")?;
    poll::measure(table, folder.path()).context("failed to measure a poll")?;
    scrape::measure(table, folder.path()).context("failed to measure scrapes")?;
    views::measure(table, folder.path()).context("failed to measure the page's views")?;
    requests::measure(table, folder.path()).context("failed to count requests")?;
    let own = measure::memory(std::process::id())?;
    eprintln!("(the benchmark itself peaked at {:.0} MiB)", mebibytes(own.peak));
    Ok(())
}
