//! Decides who holds a Lease, without a clock and without a socket: it says what to ask next, is
//! told what was answered and when, and knows at any instant whether it holds.
//!
//! Rules:
//! - Another one's Lease is taken only when its record was seen unchanged for as long as it says
//!   itself, by one's own clock. Times that others wrote are never compared with anything.
//! - The holder holds until its deadline, which is counted from before its last good renewal was
//!   sent: whoever saw that renewal saw it later, and waits longer.
//! - A write whose answer is lost changes nothing for the writer. If it was done all the same, the
//!   others wait for it, and the writer takes the Lease anew.
//! - A Lease that is gone may still have a holder, which makes it anew when it renews: the others
//!   wait for what they saw last, and for two renewals at least. Who never saw one, of a ledger that was
//!   led, waits for a Lease's duration: its holder may be out of reach and act until its deadline.
//! - Who takes the Lease takes it with a term above its own and above the ledger's, so that a Lease
//!   that was deleted never lowers it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::record::{Answer, Lease, Question, Record};
use crate::domain::lease::{LeaseHolder, LeaseRules};

/// The smallest difference that a Lease's times show. An update that changes nothing is none for
/// the API server, and no renewal for whoever watches.
const TICK: SignedDuration = SignedDuration::from_micros(1);
/// Of the period between two looks, how much is added by chance at most, in percent, so that
/// replicas that started together do not ask together.
const JITTER: u32 = 20;

/// An instant by one's own clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since any instant that stays the same, by a clock that nobody sets.
    pub since_start: Duration,
    /// By the calendar, for people who read the Lease.
    pub calendar: Timestamp,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Nothing, until this instant.
    Rest(Duration),
    /// The API is asked.
    Ask(Question),
    /// The Lease may be taken: the ledger's term is wanted for [`Elector::take`].
    Take,
}

/// What happened to a question.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was answered.
    Answered(Answer),
    /// It failed or was not answered in time; whether it was done is not known.
    Failed,
}

/// A replica's part in the election.
#[derive(Debug, Clone)]
pub struct Elector {
    rules: LeaseRules,
    own: LeaseHolder,
    /// The newest Lease that was seen, and since when it says what it says.
    seen: Option<(Lease, Duration)>,
    /// Since when there is none.
    missing_since: Option<Duration>,
    held: Option<Held>,
    /// When the API is asked next.
    ask_at: Duration,
    wants: Wants,
    /// Whether what is asked takes the Lease, and does not renew it.
    is_taking: bool,
    random: u64,
}

#[derive(Debug, Clone)]
struct Held {
    term: u64,
    acquired_at: Timestamp,
    /// The deadline.
    until: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wants {
    /// To read; the holder, to renew.
    Usual,
    /// To read first, although it holds: somebody wrote in between.
    ToRead,
    /// To take what it saw to be free.
    ToTake,
}

impl Elector {
    /// Holds nothing and has seen nothing. `random` tells replicas apart that start together.
    pub fn new(rules: LeaseRules, own: LeaseHolder, random: u64) -> Self {
        Self {
            rules,
            own,
            seen: None,
            missing_since: None,
            held: None,
            ask_at: Duration::ZERO,
            wants: Wants::Usual,
            is_taking: false,
            random,
        }
    }

    /// The term in which it holds the Lease at an instant; none where it does not.
    pub fn term(&self, now: Duration) -> Option<u64> {
        self.held.as_ref().filter(|held| now < held.until).map(|held| held.term)
    }

    /// Until when it holds the Lease unless it renews it; none where it does not hold it.
    pub fn deadline(&self, now: Duration) -> Option<Duration> {
        self.held.as_ref().map(|held| held.until).filter(|until| now < *until)
    }

    /// Who else held the Lease when that was last seen.
    pub fn other(&self) -> Option<&LeaseHolder> {
        let holder = self.seen.as_ref().and_then(|(lease, _)| lease.record.holder.as_ref());
        holder.filter(|holder| holder.identity != self.own.identity)
    }

    /// What comes next.
    pub fn next(&mut self, now: Now) -> Next {
        let at = now.since_start;
        self.expire(at);
        if at < self.ask_at {
            let deadline = self.deadline(at).unwrap_or(self.ask_at);
            return Next::Rest(self.ask_at.min(deadline));
        }
        match (self.wants, &self.held) {
            (Wants::ToTake, _) => Next::Take,
            (Wants::Usual, Some(held)) => {
                let (term, acquired_at) = (held.term, held.acquired_at);
                Next::Ask(self.write(term, acquired_at, now.calendar))
            }
            (Wants::Usual | Wants::ToRead, _) => Next::Ask(Question::Read),
        }
    }

    /// Takes the Lease that was seen to be free, in a term above all that are known; none where the
    /// ledger's term tells of a holder that was never seen and may act still.
    pub fn take(&mut self, ledger_term: u64, now: Now) -> Option<Question> {
        let at = now.since_start;
        let unseen = self.missing_since.filter(|_| self.seen.is_none() && ledger_term > 0);
        if let Some(free_at) = unseen.map(|since| since + self.rules.duration)
            && at < free_at
        {
            self.wants = Wants::Usual;
            self.ask_again(at, at);
            self.ask_at = self.ask_at.min(free_at);
            return None;
        }
        let seen = self.seen.as_ref().map_or(0, |(lease, _)| lease.record.transitions);
        self.wants = Wants::Usual;
        self.is_taking = true;
        let term = seen.max(ledger_term).saturating_add(1);
        Some(self.write(term, now.calendar, now.calendar))
    }

    /// Leaves the Lease to others for this time: the ledger's term cannot be read.
    pub fn pass(&mut self, now: Duration) {
        self.wants = Wants::Usual;
        self.ask_again(now, now);
    }

    /// Stops to hold, whatever the Lease says: the ledger knows of a newer term, or the own part
    /// ends. Gives what tells the others, where the Lease is known to be the own one.
    pub fn resign(&mut self, now: Now) -> Option<Question> {
        self.held = None;
        self.wants = Wants::Usual;
        self.is_taking = false;
        self.ask_again(now.since_start, now.since_start);
        let (lease, _) = self.seen.as_ref().filter(|_| self.missing_since.is_none())?;
        let renewed_at = after(now.calendar, lease.record.renewed_at);
        let record = Record {
            holder: None,
            duration_seconds: Some(1),
            acquired_at: Some(renewed_at),
            renewed_at: Some(renewed_at),
            transitions: lease.record.transitions,
        };
        self.is_own(&lease.record).then(|| Question::Update(lease.with(record)))
    }

    /// Hears what happened to a question that was sent at an instant.
    pub fn heard(&mut self, asked: &Question, sent: Duration, outcome: Outcome, now: Duration) {
        self.expire(now);
        let takes = std::mem::take(&mut self.is_taking);
        match outcome {
            Outcome::Failed => self.ask_again(sent, now),
            Outcome::Answered(Answer::Conflict) => {
                self.wants = Wants::ToRead;
                self.ask_at = now;
            }
            Outcome::Answered(Answer::Missing) => self.is_missing(asked, sent, now),
            Outcome::Answered(Answer::Is(lease)) => {
                self.missing_since = None;
                self.see(lease, now);
                match asked {
                    Question::Read => self.has_read(sent, now),
                    Question::Create(written) | Question::Update(written) => {
                        self.has_written(&written.record, takes, sent, now);
                    }
                }
            }
        }
    }

    fn is_missing(&mut self, asked: &Question, sent: Duration, now: Duration) {
        self.missing_since.get_or_insert(now);
        self.wants = Wants::Usual;
        match (asked, &self.held) {
            // There is no namespace to make it in.
            (Question::Create(_), _) => self.ask_again(sent, now),
            (_, Some(_)) => self.ask_at = now,
            (_, None) if self.is_free(now) => {
                self.wants = Wants::ToTake;
                self.ask_at = now;
            }
            (_, None) => self.look_again(sent, now),
        }
    }

    fn has_read(&mut self, sent: Duration, now: Duration) {
        self.wants = Wants::Usual;
        let record = self.seen.as_ref().map(|(lease, _)| lease.record.clone()).unwrap_or_default();
        if let Some(held) = &self.held {
            if self.is_own(&record) && record.transitions == held.term {
                self.ask_at = now;
                return;
            }
            self.held = None;
        }
        if self.is_free(now) {
            self.wants = Wants::ToTake;
            self.ask_at = now;
        } else {
            self.look_again(sent, now);
        }
    }

    fn has_written(&mut self, written: &Record, takes: bool, sent: Duration, now: Duration) {
        self.wants = Wants::Usual;
        // A deadline that passed meanwhile has ended the term: no renewal brings it back.
        let counts = takes || self.held.is_some();
        let until = sent + self.rules.renew_deadline;
        if self.is_own(written) && counts && now < until {
            let acquired_at = written.acquired_at.unwrap_or_default();
            self.held = Some(Held { term: written.transitions, acquired_at, until });
            self.ask_at = (sent + self.rules.retry_period).max(now);
        } else {
            self.ask_again(sent, now);
        }
    }

    /// Whether the Lease may be taken.
    fn is_free(&self, now: Duration) -> bool {
        let stands = |(lease, since): &(Lease, Duration)| {
            let own = self.is_own(&lease.record);
            !own && lease.record.holder.is_some() && now < self.end(&lease.record, *since)
        };
        let may_be_made_anew =
            self.missing_since.is_some_and(|since| now < since + 2 * self.rules.retry_period);
        !may_be_made_anew && !self.seen.as_ref().is_some_and(stands)
    }

    /// Until when a record stands that is unchanged since an instant.
    fn end(&self, record: &Record, since: Duration) -> Duration {
        let told = record.duration_seconds.map(Duration::from_secs);
        since.saturating_add(told.unwrap_or(self.rules.duration))
    }

    fn is_own(&self, record: &Record) -> bool {
        record.holder.as_ref().is_some_and(|holder| holder.identity == self.own.identity)
    }

    fn see(&mut self, lease: Lease, now: Duration) {
        let since = match &self.seen {
            Some((known, since)) if known.record == lease.record => *since,
            _ => now,
        };
        self.seen = Some((lease, since));
    }

    /// What makes the Lease the own one, or keeps it so.
    fn write(&self, term: u64, acquired_at: Timestamp, calendar: Timestamp) -> Question {
        let seen = self.seen.as_ref().map(|(lease, _)| lease);
        let renewed_at = after(calendar, seen.and_then(|lease| lease.record.renewed_at));
        let takes = self.held.is_none();
        let record = Record {
            holder: Some(self.own.clone()),
            duration_seconds: Some(self.rules.duration.as_secs()),
            transitions: term,
            acquired_at: Some(if takes { renewed_at } else { acquired_at }),
            renewed_at: Some(renewed_at),
        };
        match seen.filter(|_| self.missing_since.is_none()) {
            Some(lease) => Question::Update(lease.with(record)),
            None => Question::Create(Lease::new(record)),
        }
    }

    fn expire(&mut self, now: Duration) {
        if self.held.as_ref().is_some_and(|held| now >= held.until) {
            self.held = None;
            self.wants = Wants::Usual;
        }
    }

    /// The next look at a Lease that another one holds: when it may be free, if that is sooner.
    fn look_again(&mut self, sent: Duration, now: Duration) {
        self.ask_again(sent, now);
        let missing = self.missing_since.map(|since| since + 2 * self.rules.retry_period);
        let seen = self.seen.as_ref().map(|(lease, since)| self.end(&lease.record, *since));
        let free_at = missing.max(seen);
        self.ask_at = self.ask_at.min(free_at.unwrap_or(self.ask_at).max(now));
    }

    fn ask_again(&mut self, sent: Duration, now: Duration) {
        // The multiplier and increment of Knuth's MMIX.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let percent = u32::try_from(self.random >> 33).unwrap_or(0) % (JITTER + 1);
        let period = self.rules.retry_period;
        self.ask_at = (sent + period + period * percent / 100).max(now);
    }
}

/// A time that is not the one that stands there.
fn after(calendar: Timestamp, there: Option<Timestamp>) -> Timestamp {
    match there {
        Some(there) if there == calendar => calendar.saturating_add(TICK).unwrap_or(calendar),
        _ => calendar,
    }
}

#[cfg(test)]
mod tests;
