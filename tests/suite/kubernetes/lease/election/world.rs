//! Three replicas, an API server, a network between them, and a ledger that knows of terms. Time is
//! in microseconds and passes from event to event.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use axum::http::StatusCode;
use costband::domain::lease::{LeaseHolder, LeaseRules};
use costband::kubernetes::lease::elector::{Elector, Next, Now, Outcome};
use costband::kubernetes::lease::ledger_watch::Reach;
use costband::kubernetes::lease::record::{Answer, LeaseName, Question};
use jiff::{SignedDuration, Timestamp};

use crate::kubernetes::lease::store::Leases;

const SECOND: u64 = 1_000_000;
/// Clocks run at most so much apart from true time, in percent.
const SKEW: u64 = 10;
/// The longest that tasks take to end.
const STOPPING: u64 = SECOND;
/// The longest that the network or the server holds a request back.
const LATEST: u64 = 7 * SECOND;
/// The longest without a poller while somebody reaches the API: lease duration and 5 s by the slowest
/// clock, and what a late request of the last holder adds.
const LONGEST_GAP: u64 = 20 * SECOND * 100 / (100 - SKEW) + LATEST;
/// How much longer it is when the holder does not reach the ledger: until it gives the Lease up, by the
/// slowest clock.
const LONGEST_CUT_OFF: u64 = 30 * SECOND * 100 / (100 - SKEW);
const LONGEST_HANDOVER: u64 = 15 * SECOND;

/// What goes wrong in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    HolderKilled,
    AnyKilled,
    HolderStopped,
    HolderPaused,
    HolderCutOff,
    AnyCutOff,
    AllCutOff,
    Outage,
    SlowServer,
    ForeignWrites,
    Deleted,
    LedgerCutOff,
}

impl Trouble {
    pub(super) const ALL: [Self; 12] = [
        Self::HolderKilled,
        Self::AnyKilled,
        Self::HolderStopped,
        Self::HolderPaused,
        Self::HolderCutOff,
        Self::AnyCutOff,
        Self::AllCutOff,
        Self::Outage,
        Self::SlowServer,
        Self::ForeignWrites,
        Self::Deleted,
        Self::LedgerCutOff,
    ];
}

/// Splitmix64.
pub(super) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from).max(1)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A replica looks at its clock.
    Wake {
        who: usize,
        life: u64,
    },
    /// A request reaches the server, an answer the replica, or the wait for it ends.
    Arrives(u64),
    Answered(u64),
    Late(u64),
    /// A paid request begins or ends.
    Pays {
        who: usize,
        life: u64,
        term: u64,
    },
    Paid(u64),
    /// A replica's tasks have ended.
    Stopped {
        who: usize,
        life: u64,
    },
    /// A replica is there again.
    Starts {
        who: usize,
    },
}

/// One replica, as long as its process lives.
struct Replica {
    life: u64,
    identity: String,
    elector: Elector,
    /// Microseconds of its clock in a hundred true ones.
    rate: u64,
    started: u64,
    calendar_off: i64,
    asked: Option<u64>,
    /// The term in which its tasks run, or end.
    term: Option<u64>,
    is_stopping: bool,
    /// How the ledger answers while it holds.
    reach: Option<Reach>,
    /// It was asked to end: what is to do is to release the Lease, until this instant.
    ends: Option<u64>,
    paused_until: u64,
    was_paused: bool,
}

struct Request {
    who: usize,
    life: u64,
    question: Question,
    sent: Duration,
    outcome: Option<Outcome>,
}

/// A paid request that a cloud has received.
struct Payment {
    who: usize,
    life: u64,
    term: u64,
    overlaps: bool,
}

pub(super) struct World {
    pub(super) random: Random,
    now: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    sequence: u64,
    leases: Leases,
    replicas: Vec<Option<Replica>>,
    cut_off: [bool; 3],
    /// Who does not reach the ledger.
    ledgerless: [bool; 3],
    is_down: bool,
    is_slow: bool,
    requests: BTreeMap<u64, Request>,
    payments: BTreeMap<u64, Payment>,
    /// The ledger: the newest term and whose it is.
    ledger: (u64, String),
    /// Who led and who wrote in a term.
    leaders: BTreeMap<u64, String>,
    writers: BTreeMap<u64, String>,
    was_deleted: bool,
    /// Since when nobody polls, and since when each replica could.
    nobody_since: Option<u64>,
    /// Whether somebody did not reach the ledger since then.
    was_ledgerless: bool,
    sound_since: [Option<u64>; 3],
    released_at: Option<u64>,
    overlaps_of_term: BTreeMap<u64, usize>,
    pub(super) changes: usize,
    pub(super) overlaps: usize,
    pub(super) fenced: usize,
    pub(super) longest_gap: f64,
    pub(super) longest_cut_off: f64,
    pub(super) given_up: usize,
    pub(super) longest_handover: f64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut world = Self {
            random: Random(seed),
            now: 0,
            queue: BinaryHeap::new(),
            sequence: 0,
            leases: Leases::default(),
            replicas: vec![None, None, None],
            cut_off: [false; 3],
            ledgerless: [false; 3],
            is_down: false,
            is_slow: false,
            requests: BTreeMap::new(),
            payments: BTreeMap::new(),
            ledger: (0, String::new()),
            leaders: BTreeMap::new(),
            writers: BTreeMap::new(),
            was_deleted: false,
            nobody_since: Some(0),
            was_ledgerless: false,
            sound_since: [None; 3],
            released_at: None,
            overlaps_of_term: BTreeMap::new(),
            changes: 0,
            overlaps: 0,
            fenced: 0,
            longest_gap: 0.0,
            longest_cut_off: 0.0,
            given_up: 0,
            longest_handover: 0.0,
        };
        for who in 0..3 {
            world.at(0, Event::Starts { who });
        }
        world.run_until(30 * SECOND);
        assert!(world.poller().is_some(), "nobody polls after half a minute");
        world
    }

    /// One trouble, and the time after it.
    pub(super) fn round(&mut self, trouble: Trouble) {
        // Every other trouble meets a server that answers late.
        self.is_slow = self.random.below(2) == 0;
        self.look();
        let before = self.random.between(SECOND, 6 * SECOND);
        self.run_until(self.now + before);
        let holder = self.poller().unwrap_or_else(|| self.random.below(3));
        let any = self.random.below(3);
        let longest = if trouble == Trouble::LedgerCutOff { 120 } else { 40 };
        let long = self.random.between(SECOND, longest * SECOND);
        match trouble {
            Trouble::HolderKilled => self.kill(holder, long),
            Trouble::AnyKilled => self.kill(any, long),
            Trouble::HolderStopped => self.stop(holder),
            Trouble::HolderPaused => self.pause(holder, self.now + long),
            Trouble::HolderCutOff => self.cut_off[holder] = true,
            Trouble::AnyCutOff => self.cut_off[any] = true,
            Trouble::AllCutOff => self.cut_off = [true; 3],
            Trouble::Outage => self.is_down = true,
            Trouble::SlowServer => self.is_slow = true,
            Trouble::ForeignWrites => self.leases.touch(),
            Trouble::Deleted => {
                self.leases.delete();
                self.was_deleted = true;
            }
            Trouble::LedgerCutOff => self.ledgerless[holder] = true,
        }
        self.look();
        if trouble == Trouble::ForeignWrites {
            for _ in 0..8 {
                let soon = self.now + self.random.between(1, 3 * SECOND);
                self.run_until(soon);
                self.leases.touch();
            }
        } else {
            self.run_until(self.now + long);
        }
        self.cut_off = [false; 3];
        self.ledgerless = [false; 3];
        self.is_down = false;
        self.is_slow = false;
        self.look();
        let rest = self.random.between(SECOND, 30 * SECOND);
        self.run_until(self.now + rest);
    }

    fn at(&mut self, when: u64, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse((when.max(self.now), self.sequence, event)));
    }

    fn run_until(&mut self, end: u64) {
        while let Some(Reverse((when, _, _))) = self.queue.peek()
            && *when <= end
        {
            let Some(Reverse((when, _, event))) = self.queue.pop() else { break };
            self.now = when;
            self.happens(event);
            self.look();
        }
        self.now = end;
        self.look();
    }

    /// The replica whose tasks run.
    fn poller(&self) -> Option<usize> {
        let polls = |one: &Replica| one.term.is_some() && !one.is_stopping;
        self.replicas.iter().position(|one| one.as_ref().is_some_and(polls))
    }

    /// Whether somebody polls: whoever stands still or does not reach the ledger does not.
    fn is_polled(&self) -> bool {
        let polls =
            |one: &Replica| one.term.is_some() && !one.is_stopping && self.now >= one.paused_until;
        let mut all = self.replicas.iter().zip(self.ledgerless);
        all.any(|(one, ledgerless)| !ledgerless && one.as_ref().is_some_and(polls))
    }

    /// Holds what is there against what was promised.
    fn look(&mut self) {
        for who in 0..3 {
            let lives = self.replicas[who]
                .as_ref()
                .is_some_and(|one| one.ends.is_none() && self.now >= one.paused_until);
            let is_sound = lives
                && !self.cut_off[who]
                && !self.ledgerless[who]
                && !self.is_down
                && !self.is_slow;
            let since = is_sound.then(|| self.sound_since[who].unwrap_or(self.now));
            self.sound_since[who] = since;
        }
        match (self.is_polled(), self.nobody_since) {
            (true, _) => {
                self.nobody_since = None;
                self.released_at = None;
                self.was_ledgerless = false;
            }
            (false, None) => self.nobody_since = Some(self.now),
            (false, Some(since)) => {
                let Some(could) = self.sound_since.iter().flatten().min().copied() else { return };
                let gap = self.now - since.max(could);
                self.was_ledgerless |= self.ledgerless != [false; 3];
                let allowed = if self.was_ledgerless {
                    self.longest_cut_off = self.longest_cut_off.max(seconds(gap));
                    LONGEST_GAP + LONGEST_CUT_OFF
                } else {
                    self.longest_gap = self.longest_gap.max(seconds(gap));
                    LONGEST_GAP
                };
                assert!(gap <= allowed, "nobody polled for {} s", seconds(gap));
                if let Some(released) = self.released_at
                    && could <= released
                {
                    let gap = self.now - released;
                    self.longest_handover = self.longest_handover.max(seconds(gap));
                    assert!(gap < LONGEST_HANDOVER, "a handover took {} s", seconds(gap));
                }
            }
        }
    }

    fn start(&mut self, who: usize) {
        self.sequence += 1;
        let life = self.sequence;
        let identity = format!("costband-{who}_{life}");
        let own = LeaseHolder { identity: identity.clone(), address: None };
        let rate = self.random.between(100 - SKEW, 100 + SKEW + 1);
        let day = self.random.between(0, 2 * 86_400 * SECOND);
        self.replicas[who] = Some(Replica {
            life,
            identity,
            elector: Elector::new(LeaseRules::default(), own, life),
            rate,
            started: self.now,
            calendar_off: i64::try_from(day).unwrap() - 86_400_000_000,
            asked: None,
            term: None,
            is_stopping: false,
            reach: None,
            ends: None,
            paused_until: 0,
            was_paused: false,
        });
        self.at(self.now, Event::Wake { who, life });
    }

    /// Ends a process as `kill -9` does. Another one comes in its place.
    fn kill(&mut self, who: usize, back_after: u64) {
        let Some(gone) = self.replicas[who].take() else { return };
        self.payments.retain(|_, payment| payment.life != gone.life);
        self.at(self.now + back_after, Event::Starts { who });
    }

    /// Asks a process to end: its tasks end first, then it releases the Lease.
    fn stop(&mut self, who: usize) {
        let now = self.now;
        let Some(one) = &mut self.replicas[who] else { return };
        if one.ends.is_some() {
            return;
        }
        one.ends = Some(now + 5 * SECOND);
        let life = one.life;
        if one.term.is_some() {
            self.released_at = Some(now);
        }
        self.end_tasks(who);
        self.at(now, Event::Wake { who, life });
        self.at(now + 5 * SECOND, Event::Wake { who, life });
    }

    fn pause(&mut self, who: usize, until: u64) {
        if let Some(one) = &mut self.replicas[who] {
            one.paused_until = until;
            one.was_paused = true;
        }
    }

    fn end_tasks(&mut self, who: usize) {
        let Some(one) = &mut self.replicas[who] else { return };
        if one.term.is_none() || one.is_stopping {
            return;
        }
        one.is_stopping = true;
        let (life, term, identity) = (one.life, one.term.unwrap_or(0), one.identity.clone());
        // Requests under way are dropped; what the ledger was handed before is written yet.
        self.payments.retain(|_, payment| payment.life != life);
        if !self.ledgerless[who] {
            self.write(term, &identity);
        }
        let took = self.random.between(1, STOPPING);
        self.at(self.now + took, Event::Stopped { who, life });
    }

    /// The ledger takes a write of its newest term, and no other.
    fn write(&mut self, term: u64, identity: &str) {
        if self.ledger == (term, identity.to_owned()) {
            let first = self.writers.entry(term).or_insert_with(|| identity.to_owned());
            assert_eq!(first, identity, "two writers in term {term}");
        } else {
            self.fenced += 1;
        }
    }

    fn lead(&mut self, term: u64, identity: &str) -> bool {
        let is_newer = term > self.ledger.0 || self.ledger == (term, identity.to_owned());
        if is_newer {
            self.ledger = (term, identity.to_owned());
        } else {
            self.fenced += 1;
        }
        let first = self.leaders.entry(term).or_insert_with(|| identity.to_owned());
        // Of a Lease that was never deleted every term has one holder, whatever the ledger says.
        assert!(self.was_deleted || first == identity, "term {term}: {first} and {identity}");
        is_newer
    }

    fn happens(&mut self, event: Event) {
        let (who, life) = match event {
            Event::Starts { who } => {
                return if self.replicas[who].is_none() {
                    self.start(who)
                };
            }
            Event::Paid(number) => {
                self.payments.remove(&number);
                return;
            }
            Event::Arrives(number) => return self.arrives(number),
            Event::Answered(number) | Event::Late(number) => match self.requests.get(&number) {
                Some(request) => (request.who, request.life),
                None => return,
            },
            Event::Wake { who, life }
            | Event::Pays { who, life, .. }
            | Event::Stopped { who, life } => (who, life),
        };
        let Some(one) = self.replicas[who].as_ref().filter(|one| one.life == life) else { return };
        // A process that stands still hears later.
        if self.now < one.paused_until {
            let until = one.paused_until;
            return self.at(until, event);
        }
        match event {
            Event::Answered(number) if !self.cut_off[who] => self.hears(who, number, false),
            Event::Late(number) => self.hears(who, number, true),
            Event::Pays { term, .. } => self.pays(who, term),
            Event::Stopped { .. } => {
                if let Some(one) = &mut self.replicas[who] {
                    one.term = None;
                    one.is_stopping = false;
                }
                self.step(who);
            }
            _ => self.step(who),
        }
    }

    fn arrives(&mut self, number: u64) {
        let Some(request) = self.requests.get_mut(&number) else { return };
        if self.cut_off[request.who] {
            return;
        }
        let name = LeaseName { namespace: "finops".to_owned(), name: "costband".to_owned() };
        let (method, path, body) = request.question.request(&name);
        let (code, body) = if self.is_down {
            (StatusCode::SERVICE_UNAVAILABLE, serde_json::Value::Null)
        } else {
            self.leases.answer(&method, &path, body)
        };
        assert_ne!(code, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        let answer = Answer::of(code, body.to_string().as_bytes()).unwrap();
        request.outcome = Some(answer.map_or(Outcome::Failed, Outcome::Answered));
        let late = self.delay();
        self.at(self.now + late, Event::Answered(number));
    }

    fn delay(&mut self) -> u64 {
        let longest = if self.is_slow { LATEST / 2 } else { SECOND / 10 };
        self.random.between(500, longest)
    }

    fn hears(&mut self, who: usize, number: u64, is_late: bool) {
        let now = self.now;
        let Some(one) = &mut self.replicas[who] else { return };
        if one.asked != Some(number) {
            return;
        }
        one.asked = None;
        let Some(request) = self.requests.get(&number) else { return };
        let outcome = request.outcome.clone().filter(|_| !is_late).unwrap_or(Outcome::Failed);
        let at = one.clock(now).since_start;
        one.elector.heard(&request.question, request.sent, outcome, at);
        if is_late {
            // It may still arrive.
        } else {
            self.requests.remove(&number);
        }
        self.step(who);
    }

    /// What the agent does whenever something happened: tasks follow the term, and the API is asked.
    fn step(&mut self, who: usize) {
        let now = self.now;
        let Some(one) = &mut self.replicas[who] else { return };
        let clock = one.clock(now);
        let term = one.elector.term(clock.since_start);
        if let Some(ends) = one.ends {
            return self.leave(who, ends);
        }
        let term = match term {
            Some(_) if self.has_lost_its_ledger(who) => None,
            Some(term) => Some(term),
            None => {
                self.forget_reach(who);
                None
            }
        };
        let Some(one) = &mut self.replicas[who] else { return };
        match (one.term, term) {
            (Some(running), term) if term != Some(running) => self.end_tasks(who),
            (None, Some(term)) => {
                let (identity, life) = (one.identity.clone(), one.life);
                let others: Vec<(usize, bool)> = self.others(who);
                if !self.ledgerless[who] && self.lead(term, &identity) {
                    for (other, was_paused) in others {
                        assert!(was_paused, "{identity} polls while {other} does");
                    }
                    self.changes += 1;
                    if let Some(one) = &mut self.replicas[who] {
                        one.term = Some(term);
                        one.was_paused = false;
                    }
                    self.at(now, Event::Pays { who, life, term });
                } else if let Some(one) = &mut self.replicas[who] {
                    let question = one.elector.resign(clock);
                    if let (Some(question), None) = (question, one.asked) {
                        return self.ask(who, question);
                    }
                }
            }
            _ => {}
        }
        let Some(one) = &mut self.replicas[who] else { return };
        let life = one.life;
        if one.asked.is_some() {
            if let Some(deadline) = one.elector.deadline(clock.since_start) {
                let when = one.when(deadline);
                self.at(when, Event::Wake { who, life });
            }
            return;
        }
        match one.elector.next(clock) {
            Next::Rest(until) => {
                let when = one.when(until).max(now + 1);
                self.at(when, Event::Wake { who, life });
            }
            Next::Ask(question) => self.ask(who, question),
            Next::Take => {
                if self.ledgerless[who] {
                    one.elector.pass(clock.since_start);
                    return self.step(who);
                }
                match one.elector.take(self.ledger.0, clock) {
                    Some(question) => self.ask(who, question),
                    None => self.step(who),
                }
            }
        }
    }

    fn forget_reach(&mut self, who: usize) {
        if let Some(one) = &mut self.replicas[who] {
            one.reach = None;
        }
    }

    /// What the watch of the ledger does, at whatever instant the replica looks at its clock. Gives
    /// whether it gave the Lease up.
    fn has_lost_its_ledger(&mut self, who: usize) -> bool {
        let now = self.now;
        let Some(one) = &mut self.replicas[who] else { return false };
        let (clock, life) = (one.clock(now), one.life);
        let at = clock.since_start;
        let reach = one.reach.get_or_insert_with(|| Reach::new(&LeaseRules::default(), at));
        if !self.ledgerless[who] {
            reach.answered(at);
            return false;
        }
        let deadline = reach.deadline();
        if at < deadline {
            let when = one.when(deadline);
            self.at(when, Event::Wake { who, life });
            return false;
        }
        one.reach = None;
        // It is not released, since its tasks are yet to end.
        let _ = one.elector.resign(clock);
        self.given_up += 1;
        self.end_tasks(who);
        if let Some(one) = &mut self.replicas[who] {
            // What was under way is dropped; it may arrive all the same.
            one.asked = None;
        }
        true
    }

    /// The others whose tasks run or end, and whether their process stood still.
    fn others(&self, who: usize) -> Vec<(usize, bool)> {
        let all = self.replicas.iter().enumerate().filter(|(other, _)| *other != who);
        let with_tasks = all.filter_map(|(other, one)| Some((other, one.as_ref()?)));
        with_tasks
            .filter(|(_, one)| one.term.is_some())
            .map(|(other, one)| (other, one.was_paused))
            .collect()
    }

    /// A process that was asked to end releases the Lease once its tasks have ended.
    fn leave(&mut self, who: usize, ends: u64) {
        let now = self.now;
        let Some(one) = &mut self.replicas[who] else { return };
        if one.asked.is_some() || one.is_stopping {
            return;
        }
        let clock = one.clock(now);
        match one.elector.resign(clock) {
            Some(question) if now < ends => self.ask(who, question),
            _ => self.kill(who, 10 * SECOND),
        }
    }

    fn ask(&mut self, who: usize, question: Question) {
        let now = self.now;
        self.sequence += 1;
        let number = self.sequence;
        let late = self.delay();
        let Some(one) = &mut self.replicas[who] else { return };
        let (life, sent) = (one.life, one.clock(now).since_start);
        one.asked = Some(number);
        let patience = one.when(sent + LeaseRules::default().renew_deadline / 2);
        let deadline = one.elector.deadline(sent).map(|deadline| one.when(deadline));
        self.requests.insert(number, Request { who, life, question, sent, outcome: None });
        self.at(now + late, Event::Arrives(number));
        self.at(patience, Event::Late(number));
        if let Some(deadline) = deadline {
            self.at(deadline, Event::Wake { who, life });
        }
    }

    /// One paid request after another while the term holds. The deadline is looked at before each.
    fn pays(&mut self, who: usize, term: u64) {
        let now = self.now;
        let Some(one) = &self.replicas[who] else { return };
        let holds = one.elector.term(one.clock(now).since_start) == Some(term);
        if one.term != Some(term) || one.is_stopping || !holds {
            return self.step(who);
        }
        let (life, identity) = (one.life, one.identity.clone());
        if self.ledgerless[who] {
            // Nothing can be reserved.
            return self.at(now + SECOND, Event::Pays { who, life, term });
        }
        self.write(term, &identity);
        let mut overlaps = 0;
        for payment in self.payments.values_mut().filter(|payment| payment.life != life) {
            assert_ne!(payment.who, who, "one process pays twice");
            assert!(payment.term < term, "an older term pays after a newer one");
            if !std::mem::replace(&mut payment.overlaps, true) {
                overlaps += 1;
            }
        }
        self.overlaps += overlaps;
        let of_term = self.overlaps_of_term.entry(term).or_default();
        *of_term += overlaps;
        assert!(*of_term <= 1, "{of_term} paid requests overlap at the change to term {term}");
        let longest = if self.random.below(10) == 0 { 60 * SECOND } else { 2 * SECOND };
        let took = self.random.between(SECOND / 20, longest);
        self.sequence += 1;
        let number = self.sequence;
        self.payments.insert(number, Payment { who, life, term, overlaps: false });
        self.at(now + took, Event::Paid(number));
        self.at(now + took + 1, Event::Pays { who, life, term });
    }
}

impl Replica {
    /// What its clocks show.
    fn clock(&self, now: u64) -> Now {
        let own = (now - self.started) * self.rate / 100;
        let start: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let calendar = i64::try_from(self.started + own).unwrap() + self.calendar_off;
        Now {
            since_start: Duration::from_micros(own),
            calendar: start + SignedDuration::from_micros(calendar),
        }
    }

    /// When its clock shows an instant.
    fn when(&self, own: Duration) -> u64 {
        let own = u64::try_from(own.as_micros()).unwrap();
        self.started + (own * 100).div_ceil(self.rate)
    }
}

fn seconds(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds).as_secs_f64()
}
