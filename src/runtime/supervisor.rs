//! Named tasks: one that ends before it is asked to, ends the process with its name.

use std::collections::HashMap;
use std::future::Future;

use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

/// Tells tasks that the process is going to end.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// Waits until the process is asked to end.
    pub async fn requested(&mut self) {
        // A sender that is gone asks for the end too.
        let _ = self.0.wait_for(|requested| *requested).await;
    }
}

/// The process's tasks.
#[derive(Debug)]
pub struct Supervisor {
    tasks: JoinSet<()>,
    names: HashMap<Id, String>,
    stop: watch::Sender<bool>,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self { tasks: JoinSet::new(), names: HashMap::new(), stop: watch::Sender::new(false) }
    }
}

/// A task that ended by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the task `{name}` {how}")]
pub struct TaskDied {
    /// Its name.
    pub name: String,
    /// `ended` or `panicked`.
    pub how: &'static str,
}

impl Supervisor {
    /// No task yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What tasks listen to for the end.
    pub fn shutdown(&self) -> Shutdown {
        Shutdown(self.stop.subscribe())
    }

    /// Starts a task. It ends only after [`Shutdown::requested`].
    pub fn spawn(
        &mut self,
        name: impl Into<String>,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let handle = self.tasks.spawn(task);
        self.names.insert(handle.id(), name.into());
    }

    /// Waits for `stop`, or for the first task that ends by itself; then asks every task to end
    /// and waits for them.
    ///
    /// # Errors
    /// [`TaskDied`] with the name of the task that ended first.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), TaskDied> {
        let died = tokio::select! {
            () = stop => None,
            Some(ended) = self.tasks.join_next_with_id() => {
                let (id, how) = match ended {
                    Ok((id, ())) => (id, "ended"),
                    Err(error) => (error.id(), "panicked"),
                };
                let name = self.names.get(&id).cloned().unwrap_or_default();
                Some(TaskDied { name, how })
            }
        };
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        died.map_or(Ok(()), Err)
    }
}

/// Waits for SIGTERM or SIGINT.
pub async fn signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
                .expect("the runtime's signal driver is on");
        tokio::select! {
            _ = interrupt => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    let _ = interrupt.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_ends_the_process_with_its_name() {
        let mut supervisor = Supervisor::new();
        let mut shutdown = supervisor.shutdown();
        supervisor.spawn("steady", async move { shutdown.requested().await });
        supervisor.spawn("fragile", async { panic!("on purpose") });
        let died = supervisor.run(std::future::pending()).await.expect_err("it died");
        assert_eq!(died, TaskDied { name: "fragile".to_owned(), how: "panicked" });
    }

    #[tokio::test]
    async fn a_stop_ends_every_task_and_is_no_failure() {
        let mut supervisor = Supervisor::new();
        let mut shutdown = supervisor.shutdown();
        supervisor.spawn("steady", async move { shutdown.requested().await });
        assert_eq!(supervisor.run(async {}).await, Ok(()));
    }
}
