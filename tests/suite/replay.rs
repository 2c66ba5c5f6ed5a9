//! Simulated months with an incident that is mended, one that breaks the ceiling, an outage, a
//! restatement of a closed month and month ends: what people are told, in order, and that they are
//! told the same however the agent lives through it.

mod agent;
mod replicas;
mod sink;
mod world;

use std::collections::BTreeMap;

use costband::domain::ports::Clock;
use jiff::SignedDuration;

use crate::clock::SetClock;
use crate::contract::harness::at;
use crate::faces::peers::golden;

use agent::Agent;
use sink::Sink;

/// From where to where a world is lived through.
#[derive(Clone, Copy)]
struct Span {
    begins: &'static str,
    ends: &'static str,
}

/// An incident that is mended, and everything of [`WEEKS`].
const MONTHS: Span = Span { begins: "2026-08-01T00:00:00Z", ends: "2026-11-04T00:00:00Z" };
/// The incident that breaks the ceiling, a month end, the restatement and the outage.
const WEEKS: Span = Span { begins: "2026-09-08T00:00:00Z", ends: "2026-10-20T00:00:00Z" };

const POLLS_EVERY: SignedDuration = SignedDuration::from_hours(12);
/// The second look, for what waits for others that come up with it.
const SECOND_LOOK: SignedDuration = SignedDuration::from_mins(1);

/// What an agent does, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Poll,
    Judge,
    Deliver,
}

/// Lives through a span, with so many evaluations after each poll.
async fn live(clock: &SetClock, span: Span, times: i32, mut act: impl AsyncFnMut(Act)) {
    let step = POLLS_EVERY / times;
    clock.set(at(span.begins));
    while clock.now() < at(span.ends) {
        act(Act::Poll).await;
        for _ in 0..times {
            act(Act::Judge).await;
            clock.advance(SECOND_LOOK);
            act(Act::Judge).await;
            act(Act::Deliver).await;
            clock.advance(step - SECOND_LOOK);
        }
    }
}

/// Numbers that are the same in every run and look like none.
struct Drawn(u64);

impl Drawn {
    /// True once in so many times.
    fn once_in(&mut self, times: u64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.is_multiple_of(times)
    }
}

/// How often each alert was told, by kind of message, rule, subject and period: a golden file
/// without its times and figures.
fn content(told: &str) -> BTreeMap<String, u32> {
    let mut content = BTreeMap::new();
    for line in told.lines() {
        let (head, _) = line.split_once(": ").unwrap();
        let (_, alert) = head.split_once(' ').unwrap();
        *content.entry(alert.trim_start().to_owned()).or_default() += 1;
    }
    content
}

fn weeks() -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(root.join("tests/golden/replay/weeks.txt")).unwrap()
}

/// An agent that nobody disturbs.
async fn quiet(span: Span, times: i32) -> (Sink, Agent) {
    let clock = SetClock::at(span.begins);
    let sink = Sink::listen(clock.clone()).await;
    let agent = Agent::start(clock.clone(), &sink.url, None).await;
    live(&clock, span, times, async |act| agent.act(act).await).await;
    (sink, agent)
}

#[tokio::test(flavor = "multi_thread")]
async fn three_months_are_told_in_the_expected_order() {
    let (sink, agent) = quiet(MONTHS, 1).await;
    assert_eq!((sink.repeats(), agent.repeated()), (0, 0));
    golden("replay/months.txt", &sink.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn six_weeks_are_told_in_the_expected_order() {
    let (sink, agent) = quiet(WEEKS, 1).await;
    assert_eq!((sink.repeats(), agent.repeated()), (0, 0));
    golden("replay/weeks.txt", &sink.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_is_told_when_it_is_judged_ten_times_as_often() {
    let (sink, agent) = quiet(WEEKS, 10).await;
    assert_eq!((sink.repeats(), agent.repeated()), (0, 0));
    assert_eq!(content(&sink.told()), content(&weeks()), "{}", sink.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_is_told_by_an_agent_that_starts_anew_at_any_instant() {
    let clock = SetClock::at(WEEKS.begins);
    let sink = Sink::listen(clock.clone()).await;
    let mut agent = Agent::start(clock.clone(), &sink.url, None).await;
    let (mut drawn, mut restarts) = (Drawn(20_261_128), 0);
    live(&clock, WEEKS, 1, async |act| {
        if drawn.once_in(5) {
            agent.restart().await;
            restarts += 1;
        }
        agent.act(act).await;
    })
    .await;
    assert!(restarts > 30, "{restarts}");
    assert_eq!((sink.repeats(), agent.repeated()), (0, 0));
    println!("{restarts} restarts, {} messages", sink.messages());
    assert_eq!(sink.told(), weeks());
}
