//! Two replicas with one ledger that take turns as holders of the Lease at any instant, and die
//! between any two steps.

use std::sync::Arc;

use async_trait::async_trait;
use costband::domain::notice::{AlertNotice, QueuedNotice};
use costband::domain::ports::{Clock, OutboxLedger};
use costband::store::LedgerError;
use jiff::Timestamp;
use tokio::sync::Notify;

use super::agent::Agent;
use super::sink::Sink;
use super::{Act, Drawn, WEEKS, live, weeks};
use crate::clock::SetClock;
use crate::store::place::Place;

/// The messages of a process that dies once the first of them was taken and before it keeps that.
struct Dying {
    messages: Arc<dyn OutboxLedger>,
    died: Arc<Notify>,
}

#[async_trait]
impl OutboxLedger for Dying {
    async fn due(&self, receiver: &str, now: Timestamp) -> Result<Vec<QueuedNotice>, String> {
        self.messages.due(receiver, now).await
    }

    async fn receivers(&self) -> Result<Vec<String>, String> {
        self.messages.receivers().await
    }

    async fn handed(&self, id: i64, at: Timestamp) -> Result<(), String> {
        self.messages.handed(id, at).await
    }

    async fn firing(&self, receiver: &str) -> Result<Vec<AlertNotice>, String> {
        self.messages.firing(receiver).await
    }

    async fn sent(&self, _: i64, _: Timestamp) -> Result<(), String> {
        self.died.notify_one();
        std::future::pending().await
    }

    async fn failed(&self, id: i64, at: Timestamp, why: &str, may: bool) -> Result<(), String> {
        self.messages.failed(id, at, why, may).await
    }

    async fn dropped(&self, id: i64, at: Timestamp, why: &str) -> Result<(), String> {
        self.messages.dropped(id, at, why).await
    }
}

/// What happened to the replicas.
#[derive(Debug, Default)]
struct Fates {
    turns: u32,
    /// Evaluations of a holder whose term was over that were refused.
    refused: u32,
    died_before_sending: u32,
    died_after_sending: u32,
}

struct Replicas {
    agents: [Agent; 2],
    holder: usize,
    term: i64,
    fates: Fates,
}

impl Replicas {
    fn holder(&self) -> &Agent {
        &self.agents[self.holder]
    }

    /// The other one leads from now on; the one before does not know.
    async fn turn(&mut self) {
        self.holder = 1 - self.holder;
        self.term += 1;
        self.fates.turns += 1;
        let (term, name, at) = (self.term, format!("replica-{}", self.holder), self.now());
        let handle = &self.holder().bench.polling.handle;
        handle.call(move |ledger| ledger.lead(term, &name, at)).await.unwrap().unwrap();
    }

    fn now(&self) -> Timestamp {
        self.agents[0].bench.clock.now()
    }

    /// The holder dies and comes back as one that follows; the other one leads.
    async fn die(&mut self) {
        self.agents[self.holder].restart().await;
        self.turn().await;
    }

    /// What one does that held the Lease until a moment ago. Nothing of it is kept or told.
    async fn linger(&mut self, act: Act, sink: &Sink) {
        let stale = &self.agents[1 - self.holder];
        match act {
            // A poll that is under way is dropped with the term.
            Act::Poll => {}
            Act::Judge => match stale.judge().await {
                Ok(queued) => assert_eq!(queued, 0, "it had nothing to keep"),
                Err(LedgerError::Fenced { own, held, .. }) => {
                    assert!(own < held, "{own} {held}");
                    self.fates.refused += 1;
                }
                Err(error) => panic!("{error}"),
            },
            Act::Deliver => {
                let before = sink.messages();
                stale.act(Act::Deliver).await;
                assert_eq!(sink.messages(), before, "a stale holder told something");
            }
        }
    }

    async fn deliver(&mut self, drawn: &mut Drawn, sink: &Sink) {
        let messages = self.holder().messages();
        let mut is_due = false;
        for receiver in messages.receivers().await.unwrap() {
            is_due |= !messages.due(&receiver, self.now()).await.unwrap().is_empty();
        }
        if is_due && drawn.once_in(3) {
            self.fates.died_before_sending += 1;
            self.die().await;
        }
        if is_due && drawn.once_in(3) {
            let (before, died) = (sink.messages(), Arc::new(Notify::new()));
            let messages = self.holder().messages();
            let outbox = self.holder().outbox(Arc::new(Dying { messages, died: died.clone() }));
            tokio::select! {
                () = outbox.deliver_due() => panic!("it did not die"),
                () = died.notified() => {}
            }
            assert_eq!(sink.messages(), before + 1);
            self.fates.died_after_sending += 1;
            self.die().await;
        }
        self.holder().act(Act::Deliver).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_is_told_by_two_replicas_that_take_turns_and_die() {
    let Some(place) = Place::database() else { return };
    let clock = SetClock::at(WEEKS.begins);
    let sink = Sink::listen(clock.clone()).await;
    let start = async || Agent::start(clock.clone(), &sink.url, Some(place.location.clone())).await;
    let agents = [start().await, start().await];
    let mut replicas = Replicas { agents, holder: 1, term: 0, fates: Fates::default() };
    replicas.turn().await;
    let mut drawn = Drawn(20_261_129);
    live(&clock, WEEKS, 1, async |act| {
        if drawn.once_in(4) {
            replicas.turn().await;
            replicas.linger(act, &sink).await;
        }
        match act {
            Act::Poll | Act::Judge => replicas.holder().act(act).await,
            Act::Deliver => replicas.deliver(&mut drawn, &sink).await,
        }
    })
    .await;
    let fates = &replicas.fates;
    let counted: u64 = replicas.agents.iter().map(Agent::repeated).sum();
    println!("{fates:?}, {} messages, {} repeated", sink.messages(), sink.repeats());
    assert_eq!(sink.repeats(), u64::from(fates.died_after_sending));
    assert_eq!(counted, sink.repeats(), "each real repeat is counted, and nothing else");
    let least = [fates.turns, fates.refused, fates.died_before_sending, fates.died_after_sending];
    assert!(least.iter().all(|count| *count > 0), "{fates:?}");
    assert_eq!(sink.told(), weeks());
    for agent in &replicas.agents {
        agent.bench.polling.handle.close().await.unwrap();
    }
}
