//! Named tasks: one that ends before it is asked to, ends the process with its name.

use std::collections::HashMap;
use std::future::Future;

use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

/// Tells tasks that they are to end.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// Waits until the task is asked to end.
    pub async fn requested(&mut self) {
        // A sender that is gone asks for the end too.
        let _ = self.0.wait_for(|requested| *requested).await;
    }
}

/// Tasks that live and end together.
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

    /// Waits for the first task that ends by itself; for ever where there is none.
    pub async fn died(&mut self) -> TaskDied {
        let Some(ended) = self.tasks.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let (id, how) = match ended {
            Ok((id, ())) => (id, "ended"),
            Err(error) => (error.id(), "panicked"),
        };
        TaskDied { name: self.names.remove(&id).unwrap_or_default(), how }
    }

    /// Asks every task to end, and waits for none.
    pub fn ask(&self) {
        self.stop.send_replace(true);
    }

    /// Whether every task has ended, those that were asked to among them.
    pub fn is_done(&mut self) -> bool {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.is_empty()
    }

    /// Asks every task to end and waits for them.
    pub async fn end(mut self) {
        self.ask();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Drops every task, whatever it was about, and waits until they are gone.
    pub async fn abort(mut self) {
        self.tasks.shutdown().await;
    }
}

/// What waits for SIGTERM or SIGINT. Both are heard from now on, not from the first wait.
pub fn signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let hear = |kind| signal(kind).expect("the runtime's signal driver is on");
    let (mut interrupt, mut terminate) =
        (hear(SignalKind::interrupt()), hear(SignalKind::terminate()));
    async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_told_by_its_name() {
        let mut supervisor = Supervisor::new();
        let mut shutdown = supervisor.shutdown();
        supervisor.spawn("steady", async move { shutdown.requested().await });
        supervisor.spawn("fragile", async { panic!("on purpose") });
        let died = supervisor.died().await;
        assert_eq!(died, TaskDied { name: "fragile".to_owned(), how: "panicked" });
        supervisor.end().await;
    }

    #[tokio::test]
    async fn tasks_that_are_asked_to_end_may_finish_first() {
        let mut supervisor = Supervisor::new();
        let mut shutdown = supervisor.shutdown();
        let (finish, finished) = tokio::sync::oneshot::channel::<()>();
        supervisor.spawn("steady", async move {
            shutdown.requested().await;
            let _ = finished.await;
        });
        supervisor.ask();
        assert!(!supervisor.is_done());
        finish.send(()).expect("the task waits for it");
        supervisor.end().await;
    }

    #[tokio::test]
    async fn a_supervisor_without_tasks_tells_of_no_death() {
        let mut supervisor = Supervisor::new();
        tokio::select! {
            biased;
            died = supervisor.died() => panic!("{died}"),
            () = tokio::task::yield_now() => {}
        }
    }
}
