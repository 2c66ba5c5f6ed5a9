//! Watches the configuration file, as a mounted ConfigMap or Secret swaps it and as an editor writes
//! it, and validates what it comes to hold.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::app::setup::{Setup, environment};
use crate::config::problems::Problems;
use crate::domain::ports::Clock;
use crate::telemetry::self_metrics::SelfMetrics;

/// How often the file is looked at. A change is taken when two looks in a row find the same: an
/// editor that writes in place is not read half way.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A valid configuration to go over to.
pub struct Reload {
    /// What it means.
    pub setup: Setup,
    /// Its text, for [`ConfigWatch::settle`].
    pub text: String,
}

/// Why the agent does not go over to a configuration.
#[derive(Debug)]
pub enum Refusal {
    /// It cannot be taken as it is.
    ForGood(Problems),
    /// What it needs does not answer: it is tried again until it does.
    ForNow(Problems),
}

/// The configuration file of a running agent.
pub struct ConfigWatch {
    path: PathBuf,
    metrics: SelfMetrics,
    clock: Arc<dyn Clock>,
    /// The text that runs.
    running: String,
    /// What was found last, and what was last judged.
    found: Found,
    judged: Found,
    /// What is tried again at each look.
    again: Option<String>,
    looks: Interval,
    hangups: Signal,
}

/// The file's text, or why there is none.
type Found = Result<String, String>;

impl ConfigWatch {
    /// Watches a file whose text runs already. A file that can be read once only, such as a pipe,
    /// is not watched.
    ///
    /// # Errors
    /// When the system gives no signals.
    pub fn new(
        path: &Path,
        text: String,
        metrics: SelfMetrics,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Option<Self>> {
        if !is_file(path) {
            tracing::info!(path = %path.display(), "the configuration is no file and is not watched");
            return Ok(None);
        }
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Some(Self {
            path: path.to_owned(),
            metrics,
            clock,
            found: Ok(text.clone()),
            judged: Ok(text.clone()),
            again: None,
            running: text,
            looks,
            hangups: signal(SignalKind::hangup())?,
        }))
    }

    /// Waits for another valid configuration. One that is not valid is told, once.
    pub async fn changed(&mut self) -> Reload {
        loop {
            let asked = tokio::select! {
                _ = self.looks.tick() => false,
                _ = self.hangups.recv() => true,
            };
            let path = self.path.clone();
            let found = tokio::task::spawn_blocking(move || read(&path));
            let found = found.await.unwrap_or_else(|error| Err(error.to_string()));
            let is_settled = self.found == found;
            self.found = found;
            let again = self.again.is_some() && self.again.as_ref() == self.found.as_ref().ok();
            if !asked && (!is_settled || (self.found == self.judged && !again)) {
                continue;
            }
            if !again {
                self.again = None;
            }
            self.judged = self.found.clone();
            if let Some(reload) = self.judge(asked || again) {
                return reload;
            }
        }
    }

    fn judge(&self, asked: bool) -> Option<Reload> {
        let text = match &self.found {
            Ok(text) if *text == self.running && !asked => {
                tracing::info!("the configuration file holds what runs again");
                self.metrics.configuration_taken(self.clock.now());
                return None;
            }
            Ok(text) => text.clone(),
            Err(reason) => {
                let mut problems = Problems::new();
                problems.add("", reason);
                self.refuse(&problems);
                return None;
            }
        };
        match Setup::from_text(&text, environment()) {
            Ok(setup) => Some(Reload { setup, text }),
            Err(problems) => {
                self.refuse(&problems);
                None
            }
        }
    }

    /// Notes whether the agent went over to a configuration.
    pub fn settle(&mut self, text: String, taken: Result<(), Refusal>) {
        let tried_before = self.again.take().is_some();
        match taken {
            Ok(()) => {
                self.running = text;
                self.metrics.configuration_taken(self.clock.now());
                tracing::info!(path = %self.path.display(), "configuration reloaded");
            }
            Err(Refusal::ForGood(problems)) => self.refuse(&problems),
            Err(Refusal::ForNow(problems)) => {
                if !tried_before {
                    self.refuse(&problems);
                }
                self.again = Some(text);
            }
        }
    }

    fn refuse(&self, problems: &Problems) {
        self.metrics.configuration_refused();
        tracing::error!(path = %self.path.display(), %problems,
            "the configuration is not taken: the one of before runs on");
    }
}

fn is_file(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

fn read(path: &Path) -> Found {
    // Opening a pipe would wait for whoever writes into it.
    if path.exists() && !is_file(path) {
        return Err(format!("`{}` is no file any more", path.display()));
    }
    std::fs::read_to_string(path)
        .map_err(|error| format!("failed to read `{}`: {error}", path.display()))
}
