//! What a scrape takes from the agent, beside a registry of the `prometheus` crate that encodes and
//! compresses as many series at each scrape, in the same run.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use costband::store::Ledger;
use flate2::Compression;
use flate2::write::GzEncoder;
use prometheus::{Encoder, GaugeVec, Opts, Registry, TextEncoder};

use crate::agent::{Agent, Connection};
use crate::measure::{cpu_of, mebibytes, memory, milliseconds, process_cpu, quotient};
use crate::table::Table;
use crate::world::{self, Size};

/// Scrapes of each kind.
const SCRAPES: u32 = 500;
const PEER_SCRAPES: u32 = 50;
/// Services of each of three sources: each makes four series, billed and effective cost of two
/// periods. Days reach into the period before, whatever the day of the month is.
const SIZES: [(&str, Size); 2] = [
    ("1k", Size { days: 40, services: 70, accounts: 1 }),
    ("10k", Size { days: 40, services: 820, accounts: 1 }),
];

/// Scrape CPU at 1k and 10k series.
pub fn measure(table: &mut Table, folder: &Path) -> anyhow::Result<()> {
    for (name, size) in SIZES {
        let folder = folder.join(format!("scrape-{name}"));
        std::fs::create_dir_all(&folder)?;
        let setup = world::setup(&folder, None)?;
        let mut ledger = Ledger::open(folder.join("costband.db"))?;
        world::fill(&mut ledger, &setup, size)?;
        ledger.close()?;
        let since = Instant::now();
        let mut agent =
            Agent::start(&folder, |listen| world::configuration(&folder, listen, None))?;
        let complete = |page: &str| {
            ["aws", "gcp", "azure"].iter().all(|cloud| {
                page.contains(&format!("costband_effective_cost{{source=\"{cloud}-main\""))
            })
        };
        let (_, _, page) = agent.wait_for(since, complete)?;
        let series = page.lines().filter(|line| !line.starts_with('#')).count();
        let (gzip, compressed) = scrapes(&agent, "gzip")?;
        let (identity, plain) = scrapes(&agent, "identity")?;
        let peer = peer(series)?;
        let ratio = peer.as_secs_f64() / gzip.as_secs_f64();
        let kibibytes = |bytes: u64| quotient(bytes, 1024);
        table.row(
            "1",
            &format!("scrape CPU at {series} series, gzip ({:.0} KiB)", kibibytes(compressed)),
            format!("{:.3} ms, 1/{ratio:.0} of the peer", milliseconds(gzip)),
            if name == "1k" { "(peers: 1.85-21.6 ms)" } else { "" },
        );
        table.row(
            "",
            &format!("scrape CPU at {series} series, identity ({:.0} KiB)", kibibytes(plain)),
            format!("{:.3} ms", milliseconds(identity)),
            "",
        );
        table.row(
            "",
            &format!("peer: `prometheus` crate, encode and gzip of {series} series a scrape"),
            format!("{:.2} ms", milliseconds(peer)),
            "",
        );
        let held = memory(agent.pid)?;
        table.row(
            "6",
            &format!("RSS after those scrapes at {series} series"),
            format!("{:.1} MiB", mebibytes(held.resident)),
            "<= 25 MiB",
        );
    }
    Ok(())
}

/// The agent's CPU for one scrape, and the bytes of a body.
fn scrapes(agent: &Agent, encoding: &str) -> anyhow::Result<(Duration, u64)> {
    let mut connection = Connection::open(agent.address)?;
    let mut bytes = 0;
    for _ in 0..20 {
        bytes = connection.get("/metrics", encoding)?.len();
    }
    let before = process_cpu(agent.pid)?;
    for _ in 0..SCRAPES {
        connection.get("/metrics", encoding)?;
    }
    let spent = process_cpu(agent.pid)?.saturating_sub(before);
    Ok((spent / SCRAPES, u64::try_from(bytes)?))
}

/// The CPU of gathering, encoding and compressing that many gauges, without any HTTP.
fn peer(series: usize) -> anyhow::Result<Duration> {
    let registry = Registry::new();
    let labels = ["source", "provider", "currency", "period", "service_name"];
    let gauges = GaugeVec::new(Opts::new("service_effective_cost", "Cost."), &labels)?;
    registry.register(Box::new(gauges.clone()))?;
    for number in 0..series {
        let service = format!("Service Number {number:05}");
        let labels = ["aws-main", "aws", "USD", "current", service.as_str()];
        gauges.with_label_values(&labels).set(12_345.678_9);
    }
    // The kernel counts a thread's CPU in ticks: only many scrapes together can be told.
    let ((), spent) = cpu_of(|| {
        for _ in 0..PEER_SCRAPES {
            let mut text = Vec::new();
            TextEncoder::new().encode(&registry.gather(), &mut text)?;
            let mut gzip = GzEncoder::new(Vec::new(), Compression::new(6));
            gzip.write_all(&text)?;
            std::hint::black_box(gzip.finish()?);
        }
        Ok(())
    })?;
    Ok(spent / PEER_SCRAPES)
}
