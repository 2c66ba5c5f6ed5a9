//! The rules one by one; `tests/suite/kubernetes/lease` has them all at once, with faults.
#![allow(clippy::unwrap_used)]

use super::*;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn now(at: f64) -> Now {
    let start: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
    let since_start = seconds(at);
    Now { since_start, calendar: start + SignedDuration::try_from(since_start).unwrap() }
}

fn elector(identity: &str) -> Elector {
    let own = LeaseHolder { identity: identity.to_owned(), address: None };
    Elector::new(LeaseRules::default(), own, 1)
}

/// The Lease of another one.
fn theirs(transitions: u64, renewed: i64) -> Lease {
    let holder = LeaseHolder { identity: "other".to_owned(), address: None };
    Lease::new(Record {
        holder: Some(holder),
        duration_seconds: Some(15),
        transitions,
        acquired_at: Some(now(0.0).calendar),
        renewed_at: Some(now(0.0).calendar + SignedDuration::from_secs(renewed)),
    })
}

impl Elector {
    /// Asks what it wants to ask at an instant, and hears the answer at another.
    fn answers(&mut self, at: f64, answer: Answer, heard: f64) -> Question {
        let Next::Ask(question) = self.next(now(at)) else { panic!("nothing is asked at {at}") };
        self.heard(&question, seconds(at), Outcome::Answered(answer), seconds(heard));
        question
    }

    /// Takes the Lease and hears that it is its own.
    fn takes(&mut self, ledger_term: u64, at: f64, heard: f64) -> Lease {
        assert_eq!(self.next(now(at)), Next::Take);
        let question = self.take(ledger_term, now(at)).unwrap();
        let (Question::Create(lease) | Question::Update(lease)) = question.clone() else {
            panic!("nothing is written")
        };
        let answer = Outcome::Answered(Answer::Is(lease.clone()));
        self.heard(&question, seconds(at), answer, seconds(heard));
        lease
    }

    /// When it asks next.
    fn rests(&mut self, at: f64) -> f64 {
        match self.next(now(at)) {
            Next::Rest(until) => until.as_secs_f64(),
            other => panic!("no rest: {other:?}"),
        }
    }
}

#[test]
fn another_one_s_lease_is_taken_when_it_stood_unchanged_for_its_own_time() {
    let mut elector = elector("me");
    // An old calendar's time says nothing.
    elector.answers(0.0, Answer::Is(theirs(7, -3600)), 0.5);
    assert_eq!(elector.other().unwrap().identity, "other");
    let mut at = elector.rests(0.5);
    while at < 15.5 {
        elector.answers(at, Answer::Is(theirs(7, -3600)), at);
        if at + 2.4 < 15.5 {
            assert!((2.0..=2.41).contains(&(elector.rests(at) - at)));
        }
        at = elector.rests(at);
    }
    assert!((at - 15.5).abs() < 1e-6, "it looks just when it may be free, not at {at}");
    elector.answers(15.5, Answer::Is(theirs(7, -3600)), 15.6);
    let taken = elector.takes(3, 15.6, 15.7);
    assert_eq!(taken.record.transitions, 8);
    assert_eq!(elector.term(seconds(15.7)), Some(8));
    assert_eq!(elector.other(), None);
}

#[test]
fn a_renewal_seen_in_between_starts_the_wait_anew() {
    let mut elector = elector("me");
    elector.answers(0.0, Answer::Is(theirs(7, 0)), 0.0);
    elector.answers(14.0, Answer::Is(theirs(7, 12)), 14.0);
    elector.answers(28.0, Answer::Is(theirs(7, 12)), 28.0);
    assert_eq!(elector.rests(28.0), 29.0);
}

#[test]
fn the_holder_counts_its_deadline_from_before_it_asked() {
    let mut elector = elector("me");
    let free = Record { transitions: 1, ..Record::default() };
    elector.answers(0.0, Answer::Is(Lease::new(free)), 0.0);
    let lease = elector.takes(0, 1.0, 4.0);
    assert_eq!(elector.deadline(seconds(4.0)), Some(seconds(11.0)));
    let renewed = elector.answers(5.0, Answer::Is(lease), 9.0);
    assert!(matches!(renewed, Question::Update(_)), "{renewed:?}");
    assert_eq!(elector.deadline(seconds(9.0)), Some(seconds(15.0)));
    assert_eq!(elector.term(seconds(14.999)), Some(2));
    assert_eq!(elector.term(seconds(15.0)), None);
    assert_eq!(elector.next(now(15.0)), Next::Ask(Question::Read));
}

#[test]
fn an_answer_after_the_deadline_brings_no_term_back() {
    let mut elector = elector("me");
    elector.answers(0.0, Answer::Is(Lease::new(Record::default())), 0.0);
    let lease = elector.takes(0, 0.0, 0.0);
    let Next::Ask(question) = elector.next(now(9.0)) else { panic!("no renewal") };
    let answer = Outcome::Answered(Answer::Is(lease.clone()));
    elector.heard(&question, seconds(9.0), answer, seconds(12.0));
    assert_eq!(elector.term(seconds(12.0)), None, "it had stopped at 10");
    // What it wrote itself it takes anew, in another term.
    elector.answers(12.0, Answer::Is(lease), 12.0);
    assert_eq!(elector.takes(0, 12.0, 12.0).record.transitions, 2);
}

#[test]
fn a_lost_answer_of_a_taking_gives_no_term() {
    let mut elector = elector("me");
    elector.answers(0.0, Answer::Is(Lease::new(Record::default())), 0.0);
    assert_eq!(elector.next(now(0.0)), Next::Take);
    let question = elector.take(0, now(0.0)).unwrap();
    elector.heard(&question, seconds(0.0), Outcome::Failed, seconds(5.0));
    assert_eq!(elector.term(seconds(5.0)), None);
    let Question::Update(done) = question else { panic!("{question:?}") };
    elector.answers(5.0, Answer::Is(done), 5.0);
    assert_eq!(elector.takes(0, 5.0, 5.0).record.transitions, 2);
}

#[test]
fn a_write_in_between_is_read_and_renewed_over_if_the_lease_is_still_the_own_one() {
    let mut elector = elector("me");
    elector.answers(0.0, Answer::Is(Lease::new(Record::default())), 0.0);
    let lease = elector.takes(0, 0.0, 0.0);
    elector.answers(2.0, Answer::Conflict, 2.1);
    assert_eq!(elector.answers(2.1, Answer::Is(lease), 2.2), Question::Read);
    assert!(matches!(elector.next(now(2.2)), Next::Ask(Question::Update(_))));
    elector.answers(2.2, Answer::Conflict, 2.3);
    elector.answers(2.3, Answer::Is(theirs(2, 2)), 2.4);
    assert_eq!(elector.term(seconds(2.4)), None, "it is another one's");
    assert_eq!(elector.other().unwrap().identity, "other");
}

#[test]
fn a_lease_that_is_gone_is_waited_for_as_if_it_were_there() {
    let mut seen_before = elector("me");
    seen_before.answers(0.0, Answer::Is(theirs(7, 0)), 0.0);
    seen_before.answers(3.0, Answer::Missing, 3.0);
    seen_before.answers(14.0, Answer::Missing, 14.0);
    assert_eq!(seen_before.rests(14.0), 15.0);
    seen_before.answers(15.0, Answer::Missing, 15.0);
    assert_eq!(seen_before.takes(0, 15.0, 15.0).record.transitions, 8);

    // Who never saw one leaves its holder the time to make it anew.
    let mut newcomer = elector("me");
    newcomer.answers(0.0, Answer::Missing, 0.0);
    newcomer.answers(3.0, Answer::Missing, 3.0);
    assert_eq!(newcomer.rests(3.0), 4.0);
    newcomer.answers(4.0, Answer::Missing, 4.0);
    let mut first_of_all = newcomer.clone();
    assert_eq!(first_of_all.takes(0, 4.0, 4.0).record.transitions, 1, "nobody ever led");

    // One that led the ledger may be out of reach, and acts until its deadline.
    let mut at = 4.0;
    while at < 15.0 {
        assert_eq!(newcomer.next(now(at)), Next::Take);
        assert_eq!(newcomer.take(41, now(at)), None, "at {at}");
        at = newcomer.rests(at);
        newcomer.answers(at, Answer::Missing, at);
    }
    assert_eq!(at, 15.0);
    let taken = newcomer.takes(41, 15.0, 15.0).record.transitions;
    assert_eq!(taken, 42, "above the ledger's term");

    // And the holder makes it anew in its own term.
    let Next::Ask(question) = newcomer.next(now(17.0)) else { panic!("no renewal") };
    let missing = Outcome::Answered(Answer::Missing);
    newcomer.heard(&question, seconds(6.0), missing, seconds(6.0));
    let made = newcomer.next(now(6.0));
    let Next::Ask(Question::Create(made)) = made else { panic!("{made:?}") };
    assert_eq!((made.record.transitions, newcomer.term(seconds(6.0))), (42, Some(42)));
}

#[test]
fn a_calendar_that_stands_renews_all_the_same() {
    let mut elector = elector("me");
    elector.answers(0.0, Answer::Is(Lease::new(Record::default())), 0.0);
    let mut last = elector.takes(0, 0.0, 0.0).record;
    for round in 1..5 {
        let at = Now { since_start: seconds(2.0 * f64::from(round)), ..now(0.0) };
        let Next::Ask(Question::Update(lease)) = elector.next(at) else { panic!("no renewal") };
        assert_ne!(lease.record.renewed_at, last.renewed_at);
        assert_eq!(lease.record.acquired_at, last.acquired_at);
        last = lease.record.clone();
        let answer = Outcome::Answered(Answer::Is(lease.clone()));
        elector.heard(&Question::Update(lease), at.since_start, answer, at.since_start);
    }
}

#[test]
fn who_resigns_tells_the_others_only_of_its_own_lease() {
    let mut elector = elector("me");
    assert_eq!(elector.resign(now(0.0)), None);
    let mut elector = super::tests::elector("me");
    elector.answers(0.0, Answer::Is(Lease::new(Record::default())), 0.0);
    elector.takes(0, 0.0, 0.0);
    let released = elector.resign(now(1.0)).unwrap();
    assert_eq!(elector.term(seconds(1.0)), None);
    let Question::Update(lease) = &released else { panic!("{released:?}") };
    assert_eq!((&lease.record.holder, lease.record.duration_seconds), (&None, Some(1)));
    assert_eq!(lease.record.transitions, 1, "the next term is above it all the same");
    let mut other = super::tests::elector("other");
    other.answers(1.0, Answer::Is(lease.clone()), 1.0);
    assert_eq!(other.takes(0, 1.0, 1.0).record.transitions, 2);
    assert_eq!(other.resign(now(2.0)).map(|one| one.is_write()), Some(true));

    let mut follower = super::tests::elector("me");
    follower.answers(0.0, Answer::Is(theirs(1, 0)), 0.0);
    assert_eq!(follower.resign(now(1.0)), None);
}
