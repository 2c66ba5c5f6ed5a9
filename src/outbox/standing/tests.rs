use super::*;
use crate::domain::alert::{AlertDetails, AlertKey, AlertPhase, AlertRule, Severity, Subject};
use crate::domain::notice::{AlertNotice, NoticeKind, OutboxEntry};

fn message(id: i64, attempts: u32, bands: &[&str]) -> (QueuedNotice, Notice) {
    let at = Timestamp::UNIX_EPOCH;
    let alert = |band: &&str| {
        let key = AlertKey::new(AlertRule::PaceFast).of(Subject::Band, *band);
        AlertNotice {
            id: key.id(),
            key,
            phase: AlertPhase::Firing,
            since: at,
            fired_at: Some(at),
            ended_at: None,
            end: None,
            acknowledged: None,
            details: AlertDetails::new(Severity::Warning),
        }
    };
    let entry = OutboxEntry {
        dedupe_key: id.to_string(),
        receiver: "chat".to_owned(),
        payload: String::new(),
    };
    let queued =
        QueuedNotice { id, entry, attempts, queued_at: at, last_error: None, handed_at: None };
    let alerts = bands.iter().map(alert).collect();
    (queued, Notice { kind: NoticeKind::Firing, at, alerts })
}

#[test]
fn a_receiver_rests_when_several_messages_failed_and_longer_each_time() {
    let mut standing = Standing::default();
    assert_eq!(standing.failed(1, false), None);
    assert_eq!(standing.failed(2, false), None);
    standing.took();
    let failed: Vec<Option<u32>> = (0..5).map(|id| standing.failed(id, false)).collect();
    assert_eq!(failed, [None, None, Some(0), Some(1), Some(2)]);
    standing.took();
    let again: Vec<Option<u32>> = (0..5).map(|_| standing.failed(7, false)).collect();
    assert_eq!(again, [None; 5], "one message that is always refused speaks for itself alone");
    standing.took();
    assert_eq!(standing.failed(1, true), Some(0), "it asks for rest by itself");
    standing.rest(Timestamp::UNIX_EPOCH);
    assert!(standing.is_in_doubt() && !standing.rests(Timestamp::UNIX_EPOCH));
    assert_eq!(standing.failed(1, false), Some(1), "one that is in doubt has no second try");
    standing.took();
    assert!(!standing.is_in_doubt());
}

#[test]
fn a_receiver_in_doubt_is_asked_for_what_was_tried_least_and_waits_for_nothing() {
    let due = vec![
        message(1, 7, &["aws"]),
        message(2, 0, &["aws", "gcp"]),
        message(3, 0, &["gcp"]),
        message(4, 2, &["azure"]),
        message(5, 3, &["team"]),
    ];
    assert_eq!(probe(due).unwrap().0.id, 4);
    assert!(probe(Vec::new()).is_none());
}
