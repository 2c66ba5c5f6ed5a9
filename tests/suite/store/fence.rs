//! Terms of a Lease: who may write, and what an old leader is told.

use super::*;

contract! {
    a_term_belongs_to_one_holder_and_an_older_one_is_refused,
    a_follower_writes_nothing_until_it_leads,
    the_revision_grows_with_every_write_and_with_nothing_else,
}

fn now() -> Timestamp {
    at(NEXT)
}

fn next_poll(ledger: &Ledger) -> Option<Timestamp> {
    ledger.schedule(&payer()).unwrap().next_poll
}

fn a_term_belongs_to_one_holder_and_an_older_one_is_refused(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    assert_eq!(ledger.term().unwrap(), 0);
    ledger.lead(3, "first", now()).unwrap();
    ledger.lead(3, "first", now()).unwrap();
    assert_eq!(ledger.term().unwrap(), 3);
    for (term, holder) in [(3, "second"), (2, "first"), (2, "second")] {
        let error = ledger.lead(term, holder, now()).unwrap_err();
        assert!(
            matches!(&error, LedgerError::Fenced { own, held: 3, holder, .. }
                if *own == term && holder == "first"),
            "{error}"
        );
    }
    drop(ledger);
    let mut ledger = Ledger::open(path).unwrap();
    assert_eq!(ledger.term().unwrap(), 3);
    ledger.lead(4, "second", now()).unwrap();
    assert_eq!(ledger.term().unwrap(), 4);
    assert_eq!(Ledger::open_read_only(path).unwrap().term().unwrap(), 4);
}

fn a_follower_writes_nothing_until_it_leads(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    ledger.reschedule(&payer(), now()).unwrap();
    ledger.follow();
    let error = ledger.reschedule(&payer(), at("2027-01-01T00:00:00Z")).unwrap_err();
    assert!(matches!(error, LedgerError::NotLeader { .. }), "{error}");
    assert_eq!(next_poll(&ledger), Some(now()));
    // Who is refused a term follows.
    ledger.lead(1, "own", now()).unwrap();
    ledger.lead(0, "own", now()).unwrap_err();
    let error = ledger.reschedule(&payer(), at("2027-01-01T00:00:00Z")).unwrap_err();
    assert!(matches!(error, LedgerError::NotLeader { .. }), "{error}");
    ledger.lead(2, "own", now()).unwrap();
    ledger.reschedule(&payer(), at("2027-01-01T00:00:00Z")).unwrap();
    assert_eq!(next_poll(&ledger), Some(at("2027-01-01T00:00:00Z")));
}

fn the_revision_grows_with_every_write_and_with_nothing_else(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let first = ledger.revision().unwrap();
    assert_eq!(ledger.revision().unwrap(), first);
    ledger.reschedule(&payer(), now()).unwrap();
    let second = ledger.revision().unwrap();
    assert!(second > first);
    commit(&mut ledger, &report(&[1], &[(1, "EC2", "10")], "2026-11-02T08:00:00Z"));
    assert!(ledger.revision().unwrap() > second);
    let third = ledger.revision().unwrap();
    // A write that is refused is none.
    let twice = report(&[1], &[(1, "EC2", "10"), (1, "EC2", "10")], "2026-11-02T08:00:00Z");
    ledger.commit(&twice, None).unwrap_err();
    assert_eq!(ledger.revision().unwrap(), third);
    assert_eq!(Ledger::open_read_only(path).unwrap().revision().unwrap(), third);
}
