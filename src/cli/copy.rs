//! `costband copy`: a whole ledger into the one that the configuration names.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use crate::app::setup::Setup;
use crate::cli::{ConfigFile, Failure, load, print};
use crate::store::{Copied, Ledger, Location};

#[derive(Debug, clap::Args)]
#[command(
    about = "Copy a ledger into the one that the configuration names",
    after_help = "Examples:\n  costband copy -c costband.yaml --from costband.db        a file into PostgreSQL\n  costband copy -c costband.yaml --from postgres.yaml      and back into a file\n\nThe configuration's `store` names the new ledger, which must be empty. No agent may run on either\nmeanwhile. Everything is copied or nothing; each row is read again and compared before it is kept.\nThe old ledger is only read, and stays."
)]
pub(super) struct Copy {
    #[command(flatten)]
    config: ConfigFile,
    /// The ledger to copy: a SQLite file, or a configuration (.yaml) whose `store` names it.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
}

impl Copy {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let setup = load(&self.config.config)?;
        let from = named(&self.from)?;
        from.refuse_in_use().map_err(anyhow::Error::from)?;
        let other = Ledger::open_read_only(&from).map_err(anyhow::Error::from)?;
        let mut ledger = Ledger::open(&setup.ledger).map_err(anyhow::Error::from)?;
        let on_terminal = std::io::stderr().is_terminal();
        let copied = ledger.copy_from(&other, |table, rows| {
            if on_terminal {
                eprint!("\r\x1b[2K{table}: {rows}");
                let _ = std::io::stderr().flush();
            }
        });
        if on_terminal {
            eprintln!("\r\x1b[2K");
        }
        let copied = copied.map_err(anyhow::Error::from)?;
        ledger.close().map_err(anyhow::Error::from)?;
        print(&told(&copied, &from, &setup.ledger))
    }
}

fn named(from: &Path) -> Result<Location, Failure> {
    match from.extension().and_then(|extension| extension.to_str()) {
        Some("yaml" | "yml") => Ok(Setup::load(from)?.ledger),
        _ => Ok(from.into()),
    }
}

fn told(copied: &Copied, from: &Location, to: &Location) -> String {
    let mut text = format!("{from} -> {to}\n\n");
    for (table, rows) in copied.rows.iter().filter(|(_, rows)| *rows > 0) {
        let _ = writeln!(text, "{table:<16} {rows:>10} rows");
    }
    for ((source, _), (billed, days)) in &copied.billed {
        let _ = writeln!(text, "{source}: {days} days, billed {billed}");
    }
    for ((source, _), reserved) in &copied.reserved {
        let _ = writeln!(text, "{source}: reserved for requests {reserved}");
    }
    text + "\nEvery row was read again and is the same.\n"
}
