//! Takes part in an election for as long as the process lives: asks the API what the elector wants
//! to know, and tells at once what the process may do.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::elector::{Elector, Next, Now, Outcome};
use super::record::{Answer, LeaseName, Question};
use crate::domain::lease::{Leadership, LeaseHolder, LeaseRules};
use crate::domain::ports::LeaseTerms;
use crate::domain::report::{SourceError, SourceErrorKind};
use crate::kubernetes::client::Connection;
use crate::kubernetes::{Cluster, Resource};

/// For how long a process that ends tries to release the Lease; without that, the others wait it out.
const RELEASE_WITHIN: Duration = Duration::from_secs(3);
/// How soon a release is tried again.
const RELEASE_AGAIN: Duration = Duration::from_millis(250);

/// Which Lease, and who wants it.
#[derive(Debug, Clone)]
pub struct Candidacy {
    /// How the API is reached.
    pub cluster: Cluster,
    /// The Lease's name.
    pub name: String,
    /// Its namespace; by default the pod's own, else the kubeconfig's.
    pub namespace: Option<String>,
    /// Its times.
    pub rules: LeaseRules,
    /// Who wants it.
    pub own: LeaseHolder,
}

/// What the election tells the process, and the process the election.
#[derive(Debug, Clone)]
pub struct Post {
    leadership: watch::Sender<Leadership>,
    step_down: Arc<Notify>,
    let_lapse: Arc<Notify>,
    deadline: Arc<Deadline>,
}

/// Until when the Lease is held. It is looked at where a late word would cost money: a process that
/// stood still learns from its own clock that it holds no more, before anything tells it so.
#[derive(Debug)]
struct Deadline {
    start: Instant,
    /// In milliseconds since the start.
    until: AtomicU64,
}

impl Default for Post {
    fn default() -> Self {
        let leadership = watch::Sender::new(Leadership::Follower { holder: None });
        let deadline = Deadline { start: Instant::now(), until: AtomicU64::new(0) };
        Self {
            leadership,
            step_down: Arc::default(),
            let_lapse: Arc::default(),
            deadline: Arc::new(deadline),
        }
    }
}

impl Post {
    /// What the process may do, as it changes.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    /// What the process may do at this instant, by its own clock.
    pub fn now(&self) -> Leadership {
        let told = self.leadership.borrow().clone();
        let now = self.deadline.start.elapsed().as_millis();
        let is_held = now < u128::from(self.deadline.until.load(Ordering::Acquire));
        match told {
            Leadership::Holder { .. } if !is_held => Leadership::Follower { holder: None },
            told => told,
        }
    }

    /// Gives the Lease up: the ledger knows of a newer term, or cannot be led.
    pub fn step_down(&self) {
        self.step_down.notify_one();
    }

    /// Holds the Lease no more and lets it run out: what it was held for is yet to end.
    pub fn let_lapse(&self) {
        self.let_lapse.notify_one();
    }
}

/// The task.
pub struct Keeper {
    link: Link,
    elector: Elector,
    rules: LeaseRules,
    terms: Arc<dyn LeaseTerms>,
    post: Post,
    /// What failed last, told once.
    failing: Option<SourceErrorKind>,
}

/// The way to the Lease.
struct Link {
    cluster: Cluster,
    name: String,
    namespace: Option<String>,
    connection: Option<Connection>,
}

impl Keeper {
    /// Holds nothing yet. `random` tells replicas apart that start together.
    pub fn new(candidacy: Candidacy, terms: Arc<dyn LeaseTerms>, post: Post, random: u64) -> Self {
        let Candidacy { cluster, name, namespace, rules, own } = candidacy;
        Self {
            link: Link { cluster, name, namespace, connection: None },
            elector: Elector::new(rules, own, random),
            rules,
            terms,
            post,
            failing: None,
        }
    }

    /// Takes part until `stop`, then releases the Lease where it holds it. Whatever needs the Lease
    /// has ended by then.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let (step_down, let_lapse) = (self.post.step_down.clone(), self.post.let_lapse.clone());
        loop {
            self.tell();
            let next = self.elector.next(self.now());
            tokio::select! {
                () = &mut stop => break,
                () = step_down.notified() => {
                    let now = self.now();
                    if self.elector.term(now.since_start).is_some() {
                        tracing::warn!("gave the Lease up");
                        let released = self.elector.resign(now);
                        self.tell();
                        if let Some(question) = released {
                            self.ask(question).await;
                        }
                    }
                }
                () = let_lapse.notified() => {
                    let now = self.now();
                    if self.elector.term(now.since_start).is_some() {
                        tracing::warn!("lets the Lease run out");
                        let _ = self.elector.resign(now);
                    }
                }
                () = self.follow(next) => {}
            }
        }
        // The others take it sooner when it is released; nobody waits for that longer than this.
        let _ = timeout(RELEASE_WITHIN, self.release()).await;
    }

    async fn follow(&mut self, next: Next) {
        match next {
            Next::Rest(until) => sleep_until(self.post.deadline.start + until).await,
            Next::Ask(question) => {
                self.ask(question).await;
            }
            Next::Take => match self.terms.newest().await {
                Ok(term) => {
                    if let Some(question) = self.elector.take(term, self.now()) {
                        self.ask(question).await;
                    }
                }
                Err(error) => {
                    self.failed(SourceErrorKind::Unavailable, &error);
                    self.elector.pass(self.now().since_start);
                }
            },
        }
    }

    async fn release(&mut self) {
        while let Some(question) = self.elector.resign(self.now()) {
            self.tell();
            let mut answered = self.ask(question).await;
            if answered && let Next::Ask(question) = self.elector.next(self.now()) {
                answered = self.ask(question).await;
            }
            if !answered {
                sleep(RELEASE_AGAIN).await;
            }
        }
    }

    /// Asks, and stops to hold in time while it waits. Gives whether there was an answer.
    async fn ask(&mut self, question: Question) -> bool {
        let sent = self.now().since_start;
        let deadline = self.elector.deadline(sent);
        let asked = {
            let asking = timeout(self.rules.renew_deadline / 2, self.link.ask(&question));
            let mut asking = pin!(asking);
            let ends_at = self.post.deadline.start + deadline.unwrap_or(sent);
            tokio::select! {
                asked = &mut asking => asked,
                () = sleep_until(ends_at), if deadline.is_some() => {
                    tell(&self.elector, &self.post);
                    asking.await
                }
            }
        };
        let asked = asked.unwrap_or_else(|_| {
            let late = "failed to ask the Kubernetes API for the Lease: it does not answer in time";
            Err(SourceError::new(SourceErrorKind::Timeout, late))
        });
        let outcome = match asked {
            Ok(answer) => {
                if self.failing.take().is_some() {
                    tracing::info!("the Kubernetes API tells of the Lease again");
                }
                Outcome::Answered(answer)
            }
            Err(error) => {
                self.link.connection = self.link.connection.take().filter(|connection| {
                    error.kind != SourceErrorKind::Timeout && !connection.is_to_blame(&error)
                });
                self.failed(error.kind, &error.to_string());
                Outcome::Failed
            }
        };
        let answered = outcome != Outcome::Failed;
        self.elector.heard(&question, sent, outcome, self.now().since_start);
        answered
    }

    fn failed(&mut self, kind: SourceErrorKind, error: &str) {
        if self.failing.replace(kind) != Some(kind) {
            tracing::warn!(
                error,
                "failed to take part in the election of the poller; a holder stops at its renew deadline"
            );
        }
    }

    fn now(&self) -> Now {
        Now { since_start: self.post.deadline.start.elapsed(), calendar: Timestamp::now() }
    }

    fn tell(&self) {
        tell(&self.elector, &self.post);
    }
}

/// Tells what the process may do, where that has changed.
fn tell(elector: &Elector, post: &Post) {
    let now = post.deadline.start.elapsed();
    let until = elector.deadline(now).unwrap_or_default();
    let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
    post.deadline.until.store(until, Ordering::Release);
    let leadership = match elector.term(now) {
        Some(term) => Leadership::Holder { term },
        None => Leadership::Follower { holder: elector.other().cloned() },
    };
    post.leadership.send_if_modified(|known| {
        let changed = *known != leadership;
        if changed {
            match &leadership {
                Leadership::Holder { term } => tracing::info!(term, "holds the Lease"),
                Leadership::Follower { holder: Some(holder) } => {
                    tracing::info!(holder = holder.identity, "follows the holder of the Lease");
                }
                Leadership::Follower { holder: None } => {
                    tracing::info!("holds the Lease no more, and knows of nobody who does");
                }
                Leadership::Alone => {}
            }
            *known = leadership;
        }
        changed
    });
}

impl Link {
    async fn ask(&mut self, question: &Question) -> Result<Answer, SourceError> {
        let good = self.connection.take().filter(|one| one.is_good(Timestamp::now()));
        let connection = match good {
            Some(connection) => connection,
            None => Connection::new(&self.cluster).await?,
        };
        let connection = self.connection.insert(connection);
        let namespace = self.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| connection.namespace().to_owned());
        let name = LeaseName { namespace, name: self.name.clone() };
        let (method, path, body) = question.request(&name);
        let resource = Resource::Lease { namespace: name.namespace, name: name.name };
        let response = connection.send(method, &path, body.as_ref()).await?;
        let status = response.status();
        // Where nothing can be made there is no namespace.
        let is_nowhere = status == StatusCode::NOT_FOUND && matches!(question, Question::Create(_));
        let is_answer = || Answer::of(status, b"").is_ok_and(|answer| answer.is_some());
        if !status.is_success() && (is_nowhere || !is_answer()) {
            return Err(connection.refusal(&resource, response).await);
        }
        let body = connection.whole(response).await?;
        match Answer::of(status, &body).map_err(|error| connection.malformed(&error))? {
            Some(answer) => Ok(answer),
            None => Err(connection.error(SourceErrorKind::Malformed, "it says nothing of use")),
        }
    }
}
