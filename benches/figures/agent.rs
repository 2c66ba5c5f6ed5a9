//! A `costband run` as a child process, and a plain HTTP client for its face.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};

use crate::PROGRAM;

/// How long an agent may take for what is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running agent, killed when it is dropped.
pub struct Agent {
    /// Its process.
    pub pid: u32,
    /// Where its face is.
    pub address: SocketAddr,
    child: Child,
    log: std::path::PathBuf,
}

impl Agent {
    /// Starts one in a folder with the text of its configuration, which `configure` makes of the
    /// address to listen on.
    pub fn start(
        folder: &Path,
        configure: impl FnOnce(SocketAddr) -> String,
    ) -> anyhow::Result<Self> {
        let address = free_address()?;
        let configuration = folder.join("costband.yaml");
        std::fs::write(&configuration, configure(address))
            .with_context(|| format!("failed to write `{}`", configuration.display()))?;
        let log = folder.join("log");
        let file = File::create(&log).context("failed to make the log")?;
        let child = Command::new(PROGRAM)
            .args(["run", "-c"])
            .arg(&configuration)
            .env("NO_PROXY", "127.0.0.1")
            .env_remove("COSTBAND_CONFIG")
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .with_context(|| format!("failed to start `{PROGRAM}`"))?;
        Ok(Self { pid: child.id(), address, child, log })
    }

    /// Waits until `/metrics` satisfies, and gives how long after `since` the address took a
    /// connection and how long after it the page was there, with the page.
    pub fn wait_for(
        &mut self,
        since: Instant,
        satisfies: impl Fn(&str) -> bool,
    ) -> anyhow::Result<(Duration, Duration, String)> {
        let mut listening = None;
        while since.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                bail!("the agent ended with {status}: {log}");
            }
            if let Ok(mut connection) = Connection::open(self.address) {
                let listened = *listening.get_or_insert_with(|| since.elapsed());
                let page = String::from_utf8(connection.get("/metrics", "identity")?)?;
                if satisfies(&page) {
                    return Ok((listened, since.elapsed(), page));
                }
            }
            // Short beside what is measured, long enough to leave the CPU to the agent.
            std::thread::sleep(Duration::from_micros(250));
        }
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        Err(anyhow!("the agent's page was not complete after {PATIENCE:?}: {log}"))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that was free a moment ago.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to listen")?;
    Ok(listener.local_addr()?)
}

/// A kept-alive HTTP/1.1 connection.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Gets a body as it is on the wire. Anything but a 200 is an error.
    pub fn get(&mut self, path: &str, encoding: &str) -> anyhow::Result<Vec<u8>> {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: costband\r\nAccept-Encoding: {encoding}\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 200 ") {
            bail!("`GET {path}` was answered `{}`", line.trim());
        }
        let mut length = None;
        loop {
            line.clear();
            self.0.read_line(&mut line)?;
            let header = line.trim();
            if header.is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok();
            }
        }
        let length = length.ok_or_else(|| anyhow!("`GET {path}` has no content length"))?;
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(body)
    }
}
