//! What an agent beside its GPUs costs, and a central agent with the pages of a large fleet: the
//! real program, reading served pages.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::agent::Agent;
use crate::gpu::{GPUS, NODES, page};
use crate::measure::{mebibytes, memory, process_cpu};
use crate::table::Table;

/// How often a node agent reads its page.
const CYCLE: Duration = Duration::from_secs(15);
/// Over how many of its cycles CPU is measured: longer than between two writes of the ledger.
const CYCLES: u32 = 5;

/// Answers every connection with the page whose number its path is, for as long as the process
/// lives.
fn serve(pages: Vec<String>) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to listen")?;
    let address = listener.local_addr()?;
    let pages = Arc::new(pages);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let pages = Arc::clone(&pages);
            std::thread::spawn(move || answer(stream, &pages));
        }
    });
    Ok(address)
}

fn answer(stream: TcpStream, pages: &[String]) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let page = pages.get(line.split(['/', ' ']).nth(2)?.parse::<usize>().ok()?)?;
        while line.trim() != "" {
            line.clear();
            stream.read_line(&mut line).ok()?;
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", page.len());
        stream.get_mut().write_all(format!("{head}{page}").as_bytes()).ok()?;
    }
}

fn configuration(folder: &Path, listen: SocketAddr, role: &str, gpu: &str) -> String {
    let folder = folder.display();
    format!(
        "listen: {listen}\nlog: {{filter: warn}}\nrole: {role}\nstore: {{path: \"{folder}/gpu.db\"}}\ngpu:\n{gpu}"
    )
}

fn source(number: usize, pages: SocketAddr, every: u64) -> String {
    format!(
        "- {{name: node-{number}, cluster: video, provider: aws, every: {every}s, url: \"http://{pages}/{number}\"}}\n"
    )
}

/// An agent that reads the page of its own node, in one of the roles of such agents.
fn beside(table: &mut Table, folder: &Path, role: &str, more: &str) -> anyhow::Result<()> {
    let pages = serve(vec![page(0)])?;
    let started = Instant::now();
    let gpu = format!("{}{more}", source(0, pages, CYCLE.as_secs()));
    let mut agent = Agent::start(folder, |listen| configuration(folder, listen, role, &gpu))?;
    agent.wait_for(started, |page| page.contains("costband_gpu_info"))?;
    // Its first figures and the ledger's first write lie behind it.
    std::thread::sleep(CYCLE);
    let (from, before) = (Instant::now(), process_cpu(agent.pid)?);
    std::thread::sleep(CYCLE * CYCLES);
    let used = process_cpu(agent.pid)?.saturating_sub(before);
    let share = 100.0 * used.as_secs_f64() / from.elapsed().as_secs_f64();
    let now = memory(agent.pid)?;
    table.row(
        "6",
        &format!("RSS of a {role} agent of 8 GPUs (of it anonymous; peak)"),
        format!(
            "{:.1} MiB ({:.1}; {:.1})",
            mebibytes(now.resident),
            mebibytes(now.anonymous),
            mebibytes(now.peak)
        ),
        "<= 25 MiB",
    );
    table.row(
        "",
        &format!("CPU of a {role} agent of 8 GPUs, {CYCLES} cycles of {} s", CYCLE.as_secs()),
        format!("{share:.3} % of a core"),
        "<= 0.2 % of a core",
    );
    Ok(())
}

fn fleet(table: &mut Table, folder: &Path) -> anyhow::Result<()> {
    let pages = serve((0..NODES).map(page).collect())?;
    let gpu: String = (0..NODES).map(|number| source(number, pages, 15)).collect();
    let started = Instant::now();
    let mut agent = Agent::start(folder, |listen| configuration(folder, listen, "central", &gpu))?;
    let all = format!("}} {}", NODES * GPUS);
    agent.wait_for(started, |page| {
        page.lines().any(|line| line.starts_with("costband_gpus{") && line.ends_with(&all))
    })?;
    // Two readings more of every page, and a write of the ledger.
    std::thread::sleep(Duration::from_secs(75));
    let now = memory(agent.pid)?;
    table.row(
        "",
        &format!(
            "RSS of a central agent with 10,000 GPUs x 12 series ({NODES} pages; anonymous; peak)"
        ),
        format!(
            "{:.1} MiB ({:.1}; {:.1})",
            mebibytes(now.resident),
            mebibytes(now.anonymous),
            mebibytes(now.peak)
        ),
        "<= 64 MiB",
    );
    Ok(())
}

/// A node agent and a sidecar over one node, then a central agent over a fleet, each in a folder of its
/// own.
pub fn measure(table: &mut Table) -> anyhow::Result<()> {
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?];
    beside(table, folders[0].path(), "node", "").context("failed to measure a node agent")?;
    let pod = "node: gpu-1\npod: {namespace: video, name: diffusion-train-0-worker-0}\n";
    beside(table, folders[1].path(), "sidecar", pod).context("failed to measure a sidecar")?;
    fleet(table, folders[2].path()).context("failed to measure a central agent of a fleet")
}
