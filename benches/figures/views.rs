//! What a view of the page takes of the agent where the bill has ten thousand accounts.

use std::path::Path;
use std::time::{Duration, Instant};

use costband::store::Ledger;

use crate::agent::{Agent, Connection};
use crate::measure::{milliseconds, process_cpu, quotient};
use crate::table::Table;
use crate::world::{self, Size};

/// Openings of each view.
const TIMES: u32 = 20;
/// One service in each of the accounts, of each of three sources.
const SIZE: Size = Size { days: 10, services: 1, accounts: 10_000 };
const VIEWS: [&str; 6] = ["/", "/spend", "/spend/aws-main", "/alerts", "/sources", "/record"];

/// The agent's CPU for one opening of each view.
pub fn measure(table: &mut Table, folder: &Path) -> anyhow::Result<()> {
    let folder = folder.join("views");
    std::fs::create_dir_all(&folder)?;
    let setup = world::setup(&folder, None)?;
    let mut ledger = Ledger::open(folder.join("costband.db"))?;
    world::fill(&mut ledger, &setup, SIZE)?;
    ledger.close()?;
    let since = Instant::now();
    let mut agent = Agent::start(&folder, |listen| world::configuration(&folder, listen, None))?;
    let complete = |page: &str| {
        ["aws", "gcp", "azure"].iter().all(|cloud| {
            page.contains(&format!("costband_effective_cost{{source=\"{cloud}-main\""))
        })
    };
    agent.wait_for(since, complete)?;
    for view in VIEWS {
        let (took, bytes) = openings(&agent, view)?;
        table.row(
            "",
            &format!(
                "CPU of the view `{view}`, 10,000 accounts ({:.0} KiB)",
                quotient(bytes, 1024)
            ),
            format!("{:.1} ms", milliseconds(took)),
            "<= 100 ms",
        );
    }
    Ok(())
}

/// The agent's CPU for one answer, and its bytes.
fn openings(agent: &Agent, view: &str) -> anyhow::Result<(Duration, u64)> {
    let mut connection = Connection::open(agent.address)?;
    let bytes = connection.get(view, "identity")?.len();
    let before = process_cpu(agent.pid)?;
    for _ in 0..TIMES {
        connection.get(view, "identity")?;
    }
    let spent = process_cpu(agent.pid)?.saturating_sub(before);
    Ok((spent / TIMES, u64::try_from(bytes)?))
}
