//! The real binary as a child process: its address, its pages, its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Longer than anything takes on a machine that is shared by many.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// The binary, without what the surroundings would change of it.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_costband"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_uppercase();
        if text.starts_with("COSTBAND") || text.ends_with("_PROXY") || text.starts_with("AWS_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command to its end.
pub fn output(arguments: &[&str], folder: &Path) -> Output {
    command().args(arguments).current_dir(folder).output().unwrap()
}

/// A child that is killed when a test ends early.
pub struct Program {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// Starts the binary; its lines on stdout and stderr can be waited for.
    pub fn start(arguments: &[&str]) -> Self {
        Self::with_input(arguments, "")
    }

    /// The same, with a text on stdin.
    pub fn with_input(arguments: &[&str], text: &str) -> Self {
        let mut child = command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that does not read it may be gone already.
        let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
        let (sender, lines) = channel();
        let outs: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for out in outs {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Self { child, lines, seen: Vec::new() }
    }

    /// The first line that has `words` in it.
    pub fn line(&mut self, words: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(words) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("no line with `{words}` came:\n{}", self.seen.join("\n"));
                }
            }
        }
    }

    /// The address that `costband run` says it listens on.
    pub fn address(&mut self) -> String {
        let line = self.line("costband is listening");
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        line["address"].as_str().unwrap().to_owned()
    }

    /// The first line that has `words` in it, among those that came already too.
    pub fn ever(&mut self, words: &str) -> String {
        let seen = self.seen.iter().find(|line| line.contains(words)).cloned();
        seen.unwrap_or_else(|| self.line(words))
    }

    /// How many of the lines so far have `words` in them.
    pub fn count(&mut self, words: &str) -> usize {
        self.seen.extend(self.lines.try_iter());
        self.seen.iter().filter(|line| line.contains(words)).count()
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Asks it to end and gives the exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.signal("-TERM");
        let code = self.child.wait().unwrap().code();
        self.seen.extend(self.lines.iter());
        code
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The page at a URL, once it passes a test.
pub async fn page_when(url: &str, passes: impl Fn(&str) -> bool) -> String {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let end = Instant::now() + PATIENCE;
    let mut last = String::new();
    while Instant::now() < end {
        if let Ok(answer) = client.get(url).send().await {
            last = answer.text().await.unwrap();
            if passes(&last) {
                return last;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{url} never showed what was wanted; at last:\n{last}");
}
