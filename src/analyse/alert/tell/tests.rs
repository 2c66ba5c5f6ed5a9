#![allow(clippy::unwrap_used)]

use super::*;
use crate::domain::alert::{
    Acknowledgement, AlertDetails, AlertEnd, AlertPhase, Counted, SilenceMatchers,
};

fn at(hour: i64) -> Timestamp {
    let first: Timestamp = "2026-11-10T00:00:00Z".parse().unwrap();
    first + SignedDuration::from_hours(hour)
}

fn state(rule: AlertRule, band: &str, severity: Severity) -> AlertState {
    let key = AlertKey::new(rule).of(Subject::Band, band).within("2026-11".parse().unwrap());
    AlertState {
        key,
        phase: AlertPhase::Firing,
        since: at(0),
        fired_at: Some(at(0)),
        ended_at: None,
        end: None,
        counted: Counted::default(),
        details: AlertDetails::new(severity),
        told: BTreeMap::new(),
        acknowledged: None,
    }
}

fn states(all: Vec<AlertState>) -> AlertStates {
    all.into_iter().map(|state| (state.key.clone(), state)).collect()
}

fn recipient(name: &str, takes: Takes) -> Recipient {
    Recipient { name: name.to_owned(), takes, minimum_severity: Severity::Info, resolved: true }
}

struct World {
    recipients: Vec<Recipient>,
    silences: Vec<Silence>,
    states: AlertStates,
    alerting: Alerting,
}

impl World {
    fn of(recipients: Vec<Recipient>, all: Vec<AlertState>) -> Self {
        let alerting = Alerting::Agent;
        Self { recipients, silences: Vec::new(), states: states(all), alerting }
    }

    fn tell(&mut self, hour: i64) -> Vec<Message> {
        self.tell_after(hour, BTreeMap::new())
    }

    fn tell_after(&mut self, hour: i64, moves: BTreeMap<AlertKey, Move>) -> Vec<Message> {
        let policies = AlertPolicies::default();
        let telling = Telling {
            recipients: &self.recipients,
            policies: &policies,
            alerting: self.alerting,
            silences: &self.silences,
            group_wait: SignedDuration::ZERO,
            now: at(hour),
        };
        let before = self.states.clone();
        let Tellings { messages, changed, .. } = tell(&mut self.states, &moves, &telling);
        for (key, state) in &self.states {
            let differs = before.get(key) != Some(state);
            assert_eq!(differs, changed.contains(key) || moves.contains_key(key), "{key:?}");
        }
        messages
    }

    fn end(&mut self, rule: AlertRule) -> BTreeMap<AlertKey, Move> {
        let (key, state) = self.states.iter_mut().find(|(key, _)| key.rule == rule).unwrap();
        state.phase = AlertPhase::Resolved;
        state.end = Some(AlertEnd::Cleared);
        BTreeMap::from([(key.clone(), Move::Ended)])
    }
}

fn told(messages: &[Message]) -> Vec<(&str, NoticeKind, Vec<AlertRule>)> {
    messages
        .iter()
        .map(|message| {
            let rules = message.notice.alerts.iter().map(|alert| alert.key.rule).collect();
            (message.receiver.as_str(), message.notice.kind, rules)
        })
        .collect()
}

use AlertRule::{CeilingExceeded, CeilingForecast, NewService};

#[test]
fn people_get_one_message_and_what_keeps_keys_gets_one_for_each() {
    let all = vec![
        state(NewService, "aws", Severity::Info),
        state(CeilingExceeded, "gcp", Severity::Critical),
    ];
    let recipients = vec![recipient("chat", Takes::Groups), recipient("pager", Takes::Alerts)];
    let mut world = World::of(recipients, all);
    let first = world.tell(0);
    let firing = NoticeKind::Firing;
    assert_eq!(
        told(&first),
        [
            ("chat", firing, vec![CeilingExceeded, NewService]),
            ("pager", firing, vec![CeilingExceeded]),
            ("pager", firing, vec![NewService]),
        ],
        "the gravest first"
    );
    let keys: BTreeSet<&str> = first.iter().map(|message| message.dedupe_key.as_str()).collect();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| !key.contains('.')));
    assert!(world.tell(1).is_empty(), "once");
}

#[test]
fn alerts_that_come_up_together_wait_for_one_another() {
    let mut later = state(NewService, "aws", Severity::Info);
    later.fired_at = Some(at(1));
    let all = vec![state(CeilingExceeded, "gcp", Severity::Critical), later];
    let recipients = vec![recipient("chat", Takes::Groups), recipient("pager", Takes::Alerts)];
    let mut world = World::of(recipients, all);
    let policies = AlertPolicies::default();
    let mut telling = Telling {
        recipients: &world.recipients,
        policies: &policies,
        alerting: Alerting::Agent,
        silences: &[],
        group_wait: SignedDuration::from_hours(2),
        now: at(1),
    };
    let Tellings { messages, waits, .. } = tell(&mut world.states, &BTreeMap::new(), &telling);
    let to: Vec<&str> = messages.iter().map(|message| message.receiver.as_str()).collect();
    assert_eq!(to, ["pager", "pager"]);
    assert!(waits);
    telling.now = at(2);
    let Tellings { messages, .. } = tell(&mut world.states, &BTreeMap::new(), &telling);
    assert_eq!(told(&messages), [("chat", NoticeKind::Firing, vec![CeilingExceeded, NewService])]);
}

#[test]
fn a_reminder_comes_once_a_day_until_somebody_takes_the_alert() {
    let all = vec![state(CeilingExceeded, "aws", Severity::Critical)];
    let recipients = vec![recipient("chat", Takes::Groups), recipient("pager", Takes::Alerts)];
    let mut world = World::of(recipients, all);
    let first = world.tell(0);
    assert!(world.tell(23).is_empty());
    let second = world.tell(24);
    assert_eq!(told(&second), [("chat", NoticeKind::Reminder, vec![CeilingExceeded])]);
    assert_ne!(first[0].dedupe_key, second[0].dedupe_key);
    assert!(world.tell(47).is_empty());
    let third = world.tell(48);
    assert_ne!(second[0].dedupe_key, third[0].dedupe_key);
    let taken = Acknowledgement { by: "jin".to_owned(), comment: None, at: at(50) };
    world.states.values_mut().next().unwrap().acknowledged = Some(taken);
    assert!(world.tell(200).is_empty());
}

#[test]
fn a_warning_comes_again_after_three_days_and_what_happened_once_never() {
    let of = |rule| {
        World::of(
            vec![recipient("chat", Takes::Groups)],
            vec![state(rule, "aws", Severity::Warning)],
        )
    };
    let mut world = of(CeilingForecast);
    assert_eq!(world.tell(0).len(), 1);
    assert!(world.tell(71).is_empty());
    assert_eq!(told(&world.tell(72)), [("chat", NoticeKind::Reminder, vec![CeilingForecast])]);
    let december = 21 * 24;
    assert_eq!(world.tell(december - 1).len(), 1);
    assert!(world.tell(december + 100).is_empty(), "November is over");
    for rule in [NewService, AlertRule::ForecastOff] {
        let mut world = of(rule);
        assert_eq!(world.tell(0).len(), 1);
        assert!(world.tell(1000).is_empty(), "{rule}");
    }
}

#[test]
fn a_spike_that_becomes_a_shift_is_not_called_over() {
    use AlertRule::{LevelShift, SpendAnomaly};
    let recipients = vec![recipient("chat", Takes::Groups), recipient("pager", Takes::Alerts)];
    let of = |rule| {
        let mut state = state(rule, "aws", Severity::Warning);
        state.key = state.key.of(Subject::FirstDay, "2026-11-08");
        state
    };
    let resolved = |next: Option<AlertState>, silences: Vec<Silence>| {
        let mut world = World::of(recipients.clone(), vec![of(SpendAnomaly)]);
        assert_eq!(world.tell(0).len(), 2);
        let moves = world.end(SpendAnomaly);
        world.states.extend(next.map(|next| (next.key.clone(), next)));
        world.silences = silences;
        let messages = world.tell_after(1, moves);
        let resolved = messages.iter().filter(|told| told.notice.kind == NoticeKind::Resolved);
        resolved.map(|told| told.receiver.clone()).collect::<Vec<_>>()
    };
    // What holds alerts by their key must hear of each end.
    assert_eq!(resolved(Some(of(LevelShift)), vec![]), ["pager"]);
    assert_eq!(resolved(None, vec![]), ["chat", "pager"]);
    let mut later = of(LevelShift);
    later.key = later.key.of(Subject::FirstDay, "2026-11-09");
    assert_eq!(resolved(Some(later), vec![]), ["chat", "pager"], "another movement");
    let silence = Silence {
        id: "1".to_owned(),
        matchers: SilenceMatchers { rule: Some(LevelShift), ..SilenceMatchers::default() },
        starts_at: at(0),
        ends_at: at(9),
        created_by: "jin".to_owned(),
        comment: String::new(),
    };
    assert_eq!(resolved(Some(of(LevelShift)), vec![silence]), ["chat", "pager"], "nobody hears it");
}

#[test]
fn what_becomes_graver_is_told_again_at_once() {
    let all = vec![state(NewService, "aws", Severity::Warning)];
    let mut world = World::of(vec![recipient("chat", Takes::Groups)], all);
    world.tell(0);
    world.states.values_mut().next().unwrap().details.severity = Severity::Critical;
    assert_eq!(told(&world.tell(1)), [("chat", NoticeKind::Firing, vec![NewService])]);
    world.states.values_mut().next().unwrap().details.severity = Severity::Warning;
    assert!(world.tell(2).is_empty());
}

#[test]
fn an_end_is_told_to_those_who_were_told_the_beginning() {
    let all = vec![state(CeilingExceeded, "aws", Severity::Warning)];
    let mut grave = recipient("grave", Takes::Groups);
    grave.minimum_severity = Severity::Critical;
    let mut quiet = recipient("quiet", Takes::Groups);
    quiet.resolved = false;
    let recipients = vec![recipient("chat", Takes::Groups), grave, quiet];
    let mut world = World::of(recipients, all);
    assert_eq!(world.tell(0).len(), 2);
    let moves = world.end(CeilingExceeded);
    let messages = world.tell_after(1, moves);
    assert_eq!(told(&messages), [("chat", NoticeKind::Resolved, vec![CeilingExceeded])]);
    assert!(world.tell(2).is_empty());
}

#[test]
fn a_graver_alert_of_the_same_band_and_period_silences_the_lesser() {
    let lesser = state(CeilingForecast, "aws", Severity::Warning);
    let mut other_period = lesser.clone();
    other_period.key.period = Some("2026-10".parse().unwrap());
    let elsewhere = state(CeilingForecast, "gcp", Severity::Warning);
    let graver = state(CeilingExceeded, "aws", Severity::Critical);
    let mut world = World::of(
        vec![recipient("pager", Takes::Alerts)],
        vec![lesser.clone(), other_period, elsewhere, graver],
    );
    let messages = world.tell(0);
    assert_eq!(messages.len(), 3);
    assert!(messages.iter().all(|message| message.notice.alerts[0].key != lesser.key));
    // It fires on when the graver one is over.
    let moves = world.end(CeilingExceeded);
    let messages = world.tell_after(1, moves);
    let kinds: Vec<NoticeKind> = messages.iter().map(|message| message.notice.kind).collect();
    assert_eq!(kinds, [NoticeKind::Resolved, NoticeKind::Firing]);
    assert_eq!(messages[1].notice.alerts[0].key, lesser.key);
}

#[test]
fn a_silence_holds_back_what_it_matches_until_it_ends() {
    let all = vec![
        state(CeilingExceeded, "aws", Severity::Critical),
        state(CeilingExceeded, "gcp", Severity::Critical),
    ];
    let mut world = World::of(vec![recipient("chat", Takes::Groups)], all);
    world.silences.push(Silence {
        id: "one".to_owned(),
        matchers: SilenceMatchers {
            alert: None,
            rule: Some(CeilingExceeded),
            subject: BTreeMap::from([(Subject::Band, "aws".to_owned())]),
        },
        starts_at: at(0),
        ends_at: at(5),
        created_by: "jin".to_owned(),
        comment: "a move that was planned".to_owned(),
    });
    let bands = |messages: &[Message]| -> Vec<String> {
        let alerts = messages.iter().flat_map(|message| &message.notice.alerts);
        alerts.map(|alert| alert.key.about(Subject::Band).unwrap().to_owned()).collect()
    };
    assert_eq!(bands(&world.tell(0)), ["gcp"]);
    assert!(world.tell(4).is_empty());
    assert_eq!(bands(&world.tell(5)), ["aws"]);
}

#[test]
fn beside_a_prometheus_the_agent_tells_of_itself_alone() {
    let mut failing = state(AlertRule::SourceFailing, "aws", Severity::Warning);
    failing.key = AlertKey::new(AlertRule::SourceFailing).of(Subject::Source, "payer");
    let all = vec![state(CeilingExceeded, "aws", Severity::Critical), failing];
    let mut world = World::of(vec![recipient("chat", Takes::Groups)], all);
    world.alerting = Alerting::Prometheus;
    let messages = world.tell(0);
    assert_eq!(told(&messages), [("chat", NoticeKind::Firing, vec![AlertRule::SourceFailing])]);
}

#[test]
fn a_receiver_that_fails_is_told_of_through_the_others() {
    let mut failing = state(AlertRule::ReceiverFailing, "aws", Severity::Warning);
    failing.key = AlertKey::new(AlertRule::ReceiverFailing).of(Subject::Receiver, "chat");
    let recipients = vec![recipient("chat", Takes::Groups), recipient("mail", Takes::Groups)];
    let mut world = World::of(recipients, vec![failing]);
    let firing = NoticeKind::Firing;
    assert_eq!(told(&world.tell(0)), [("mail", firing, vec![AlertRule::ReceiverFailing])]);
}

#[test]
fn a_lesser_alert_holds_back_no_graver_one() {
    let of_source = |rule, severity| {
        let mut state = state(rule, "aws", severity);
        state.key = AlertKey::new(rule).of(Subject::Source, "payer");
        state
    };
    let failing = of_source(AlertRule::SourceFailing, Severity::Warning);
    let late = of_source(AlertRule::BillingDataLate, Severity::Critical);
    let mut pager = recipient("pager", Takes::Alerts);
    pager.minimum_severity = Severity::Critical;
    let mut world = World::of(vec![pager], vec![failing, late]);
    let firing = NoticeKind::Firing;
    assert_eq!(told(&world.tell(0)), [("pager", firing, vec![AlertRule::BillingDataLate])]);
}

#[test]
fn what_was_dropped_is_told_again_after_an_hour_under_another_key() {
    let all = vec![state(CeilingExceeded, "aws", Severity::Critical)];
    let mut world = World::of(vec![recipient("pager", Takes::Alerts)], all);
    let first = world.tell(0);
    for told in world.states.values_mut().flat_map(|state| state.told.values_mut()) {
        *told = Told { at: at(2), dropped: true, ..*told };
    }
    assert!(world.tell(2).is_empty());
    let second = world.tell(3);
    assert_eq!(told(&second), [("pager", NoticeKind::Firing, vec![CeilingExceeded])]);
    assert_ne!(first[0].dedupe_key, second[0].dedupe_key);
    assert!(world.tell(30).is_empty());
}
