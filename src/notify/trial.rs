//! A message that tries the way to a receiver.

use jiff::Timestamp;

use crate::domain::alert::{
    AlertDetails, AlertId, AlertKey, AlertPhase, AlertRule, Severity, Subject,
};
use crate::domain::notice::{AlertNotice, Notice, NoticeKind};

/// A test, marked as one: an alert of nothing, which holds no figures.
pub fn notice(now: Timestamp) -> Notice {
    let key = AlertKey::new(AlertRule::CeilingForecast).of(Subject::Band, "test");
    let alert = AlertNotice {
        id: AlertId::digest("costband test"),
        key,
        phase: AlertPhase::Firing,
        since: now,
        fired_at: Some(now),
        ended_at: None,
        end: None,
        acknowledged: None,
        details: AlertDetails::new(Severity::Info),
    };
    Notice { kind: NoticeKind::Test, at: now, alerts: vec![alert] }
}
