//! `costband notify test`: sends a message that is marked as a test, on the same way as alerts.

use std::sync::Arc;

use jiff::Timestamp;

use crate::cli::{ConfigFile, Failure, load, print};
use crate::config::problems::Problems;
use crate::notify::{Receiver, trial};

#[derive(Debug, clap::Args)]
#[command(
    about = "Try the way to receivers",
    after_help = "Example:\n  costband notify test -c costband.yaml\n\nThe exit code is 1 where a receiver does not take the test, 64 for an unknown name."
)]
pub(super) struct Notify {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Sends a test to one receiver or to all of them.
    Test(Test),
}

#[derive(Debug, clap::Args)]
#[command(
    about = "Send a test to one receiver or to all of them",
    after_help = "Examples:\n  costband notify test -c costband.yaml\n  costband notify test oncall -c costband.yaml\n\nOne line for each receiver. The exit code is 1 where one does not take it, 64 for an unknown name.\nPagerDuty opens an incident of the severity `info` and resolves it at once."
)]
struct Test {
    /// The receiver; all of them by default.
    receiver: Option<String>,
    #[command(flatten)]
    config: ConfigFile,
}

impl Notify {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Command::Test(test) = self.command;
        test.run().await
    }
}

impl Test {
    async fn run(self) -> Result<(), Failure> {
        let setup = load(&self.config.config)?;
        let wanted = |one: &&Arc<dyn Receiver>| {
            self.receiver.as_deref().is_none_or(|name| name == one.name())
        };
        let receivers: Vec<&Arc<dyn Receiver>> = setup.receivers.iter().filter(wanted).collect();
        if receivers.is_empty() {
            return Err(nobody(self.receiver.as_deref(), &setup.receivers).into());
        }
        let mut failed = 0;
        for receiver in &receivers {
            // Receivers hold signatures and ends against the calendar's clock.
            let now = Timestamp::now();
            let name = receiver.name();
            let id = format!("test-{}-{}", now.as_millisecond(), name.replace('.', "~"));
            let line = match receiver.deliver(&id, &trial::notice(now), now).await {
                Ok(()) => format!("ok      {name}: took the test\n"),
                Err(error) => {
                    failed += 1;
                    format!("FAILED  {name}: {error}\n")
                }
            };
            print(&line)?;
        }
        if failed > 0 {
            let of = receivers.len();
            return Err(anyhow::anyhow!("{failed} of {of} receivers did not take the test").into());
        }
        Ok(())
    }
}

fn nobody(name: Option<&str>, known: &[Arc<dyn Receiver>]) -> Problems {
    let mut problems = Problems::new();
    let known: Vec<String> = known.iter().map(|one| format!("`{}`", one.name())).collect();
    let message = match name {
        _ if known.is_empty() => "no receiver is configured: want one under `notify`".to_owned(),
        Some(name) => format!("there is no receiver `{name}`: want one of {}", known.join(", ")),
        None => "there is nobody to tell".to_owned(),
    };
    problems.add("notify", message);
    problems
}
