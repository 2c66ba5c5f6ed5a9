//! What the kernel says of a process: CPU from schedstat (nanoseconds), memory from status.

use std::fs;
use std::time::Duration;

use anyhow::{Context, anyhow};

/// A process's memory in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// VmRSS: what is resident now.
    pub resident: u64,
    /// RssAnon: the part of it that is not the program's own file.
    pub anonymous: u64,
    /// VmHWM: the most that ever was resident.
    pub peak: u64,
}

/// Reads a process's memory (proc_pid_status(5)).
pub fn memory(pid: u32) -> anyhow::Result<Memory> {
    let text = read(&format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        text.lines()
            .find_map(|line| {
                line.strip_prefix(name)?.trim().strip_suffix("kB")?.trim().parse().ok()
            })
            .map(|kibibytes: u64| kibibytes * 1024)
            .ok_or_else(|| anyhow!("`/proc/{pid}/status` has no `{name}`"))
    };
    Ok(Memory { resident: field("VmRSS:")?, anonymous: field("RssAnon:")?, peak: field("VmHWM:")? })
}

/// The CPU that the calling thread has used.
pub fn thread_cpu() -> anyhow::Result<Duration> {
    on_cpu("/proc/thread-self/schedstat")
}

/// The CPU that the threads of a process have used which live now.
pub fn process_cpu(pid: u32) -> anyhow::Result<Duration> {
    let tasks = format!("/proc/{pid}/task");
    let mut sum = Duration::ZERO;
    for task in fs::read_dir(&tasks).with_context(|| format!("failed to list `{tasks}`"))? {
        let schedstat = task?.path().join("schedstat");
        sum += on_cpu(&schedstat.to_string_lossy())?;
    }
    Ok(sum)
}

fn on_cpu(path: &str) -> anyhow::Result<Duration> {
    let text = read(path)?;
    let nanoseconds = text.split_whitespace().next().and_then(|first| first.parse().ok());
    nanoseconds
        .map(Duration::from_nanos)
        .ok_or_else(|| anyhow!("`{path}` does not tell time on the CPU: `{text}`"))
}

fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("failed to read `{path}`"))
}

/// Does something and gives the CPU that it took on this thread.
pub fn cpu_of<R>(work: impl FnOnce() -> anyhow::Result<R>) -> anyhow::Result<(R, Duration)> {
    let before = thread_cpu()?;
    let done = work()?;
    Ok((done, thread_cpu()? - before))
}

/// The middle one of some durations.
pub fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort();
    durations.get(durations.len() / 2).copied().unwrap_or_default()
}

/// In milliseconds.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// In MiB.
pub fn mebibytes(bytes: u64) -> f64 {
    quotient(bytes, 1 << 20)
}

/// In units of a million.
pub fn millionths(bytes: u64) -> f64 {
    quotient(bytes, 1_000_000)
}

/// A quotient of counts.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub fn quotient(dividend: u64, divisor: u64) -> f64 {
    dividend as f64 / divisor as f64
}
