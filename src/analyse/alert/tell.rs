//! Who is told what: which alerts are held back, which belong into one message, and when one that
//! nobody has taken is told again.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::analyse::alert::state::{AlertStates, Move};
use crate::domain::alert::{
    AlertId, AlertKey, AlertRule, AlertState, Severity, Silence, Subject, Told,
};
use crate::domain::alert_policy::AlertPolicies;
use crate::domain::alerting::Alerting;
use crate::domain::notice::{AlertNotice, Message, Notice, NoticeKind, Recipient, Takes};
use crate::domain::period::{BillingPeriod, BillingZone};

/// What decides who is told.
#[derive(Debug, Clone, Copy)]
pub struct Telling<'a> {
    /// Everybody who may be told.
    pub recipients: &'a [Recipient],
    /// Who is told of which alert, and how often.
    pub policies: &'a AlertPolicies,
    /// Whether the agent tells of money.
    pub alerting: Alerting,
    /// What is not told for a while.
    pub silences: &'a [Silence],
    /// How long an alert waits for others that come up with it.
    pub group_wait: SignedDuration,
    /// The present instant.
    pub now: Timestamp,
}

/// Why an alert that fires is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mute {
    /// A silence holds.
    Silenced,
    /// A graver alert of the same thing fires.
    Inhibited,
}

impl Mute {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Silenced => "silenced",
            Self::Inhibited => "inhibited",
        }
    }
}

/// What is told now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tellings {
    /// The messages.
    pub messages: Vec<Message>,
    /// The alerts whose states note it.
    pub changed: BTreeSet<AlertKey>,
    /// Whether alerts wait for others that come up with them.
    pub waits: bool,
}

/// Decides what is told now, and notes it in the states.
pub fn tell(
    states: &mut AlertStates,
    moves: &BTreeMap<AlertKey, Move>,
    telling: &Telling<'_>,
) -> Tellings {
    let muting = OnceCell::new();
    let muted = || muting.get_or_init(|| Muting::new(states, telling.silences, telling.now));
    let mut due: Vec<Due> = telling.recipients.iter().map(|_| Due::default()).collect();
    for (key, state) in states.iter().filter(|(_, state)| state.fires()) {
        if !telling.alerting.tells(key.rule) || telling.is_done_with(state) {
            continue;
        }
        if muted().why(state).is_some() {
            continue;
        }
        let routing = telling.policies.routing(key);
        for (recipient, due) in telling.recipients.iter().zip(&mut due) {
            if !routing.names(recipient) || !takes(recipient, state) {
                continue;
            }
            match state.told.get(&recipient.name) {
                None => due.fires(key, state.fired_at.unwrap_or(telling.now)),
                Some(told) if state.details.severity < told.severity => {
                    due.fires(key, Timestamp::MIN);
                }
                Some(told) if was_dropped(told, telling.now) => due.fires(key, Timestamp::MIN),
                Some(told) if is_due_again(state, told, routing.repeat_after, telling.now) => {
                    due.again.push(key.clone());
                }
                Some(_) => {}
            }
        }
    }
    let over = moves.iter().filter(|(_, moved)| **moved == Move::Ended).map(|(key, _)| key);
    let ended_for = |recipient: &Recipient| -> Vec<AlertKey> {
        let was_told = |key: &&AlertKey| {
            states.get(*key).is_some_and(|state| state.told.contains_key(&recipient.name))
        };
        let goes_on = |key: &AlertKey| {
            recipient.takes == Takes::Groups
                && successor(key).and_then(|next| states.get(&next)).is_some_and(|next| {
                    next.fires() && muted().why(next).is_none() && telling.reaches(recipient, next)
                })
        };
        let ended = over.clone().filter(|_| recipient.resolved).filter(was_told);
        ended.filter(|key| !goes_on(key)).cloned().collect()
    };
    let ended: Vec<Vec<AlertKey>> = telling.recipients.iter().map(ended_for).collect();
    let Tellings { mut messages, mut changed, mut waits } = Tellings::default();
    for ((recipient, due), ended) in telling.recipients.iter().zip(due).zip(ended) {
        let waited = telling.now.duration_since(due.oldest) >= telling.group_wait;
        // What holds alerts by their key waits for no other, and reminds people itself.
        let (fired, again) = match recipient.takes {
            Takes::Alerts => (due.fired, Vec::new()),
            Takes::Groups if waited => (due.fired, due.again),
            Takes::Groups => {
                waits |= !due.fired.is_empty();
                (Vec::new(), due.again)
            }
        };
        for (kind, keys) in [
            (NoticeKind::Resolved, ended),
            (NoticeKind::Firing, fired),
            (NoticeKind::Reminder, again),
        ] {
            put(states, &mut messages, recipient, kind, &keys, telling.now);
            changed.extend(keys);
        }
    }
    for (key, _) in moves.iter().filter(|(_, moved)| **moved == Move::Ended) {
        if let Some(state) = states.get_mut(key) {
            state.told.clear();
        }
    }
    Tellings { messages, changed, waits }
}

impl Telling<'_> {
    /// Whether a recipient hears of an alert.
    fn reaches(&self, recipient: &Recipient, state: &AlertState) -> bool {
        self.alerting.tells(state.key.rule)
            && self.policies.routing(&state.key).names(recipient)
            && takes(recipient, state)
    }

    /// Whether everybody who may be told was told lately, and of no lesser matter: most alerts, most
    /// of the time.
    fn is_done_with(&self, state: &AlertState) -> bool {
        self.recipients.iter().all(|recipient| {
            !takes(recipient, state)
                || state.told.get(&recipient.name).is_some_and(|told| {
                    told.severity <= state.details.severity
                        && !told.dropped
                        && (recipient.takes == Takes::Alerts
                            || self.now.duration_since(told.at) < SHORTEST_REPEAT)
                })
        })
    }
}

/// What a receiver would not take is told it again after so long, while it fires.
const TELL_DROPPED_AFTER: SignedDuration = SignedDuration::from_hours(1);

fn was_dropped(told: &Told, now: Timestamp) -> bool {
    told.dropped && now.duration_since(told.at) >= TELL_DROPPED_AFTER
}

/// Nothing is told again sooner.
const SHORTEST_REPEAT: SignedDuration = SignedDuration::from_mins(1);

/// Whether a recipient hears of what matters so much; nobody learns from one who does not listen that
/// he does not.
fn takes(recipient: &Recipient, state: &AlertState) -> bool {
    state.details.severity <= recipient.minimum_severity
        && state.key.about(Subject::Receiver) != Some(&recipient.name)
}

/// The alert that goes on with what another one told: a spike that stays is a shift. People who hear
/// of the one do not hear that the other is over, which reads as all clear.
fn successor(key: &AlertKey) -> Option<AlertKey> {
    (key.rule == AlertRule::SpendAnomaly)
        .then(|| AlertKey { rule: AlertRule::LevelShift, ..key.clone() })
}

/// Why alerts that fire are not told.
pub struct Muting<'a> {
    graver: HashMap<Family<'a>, Severity>,
    silences: Vec<&'a Silence>,
}

impl<'a> Muting<'a> {
    /// By what fires and by the silences that hold.
    pub fn new(states: &'a AlertStates, silences: &'a [Silence], now: Timestamp) -> Self {
        let firing = states.values().filter(|state| state.fires());
        let graver = firing.filter(|state| INHIBITORS.contains(&state.key.rule));
        Self {
            graver: graver.map(|state| (Family::of(&state.key), state.details.severity)).collect(),
            silences: silences.iter().filter(|silence| silence.holds(now)).collect(),
        }
    }

    /// Why an alert that fires is not told; none where it is.
    pub fn why(&self, state: &AlertState) -> Option<Mute> {
        let key = &state.key;
        let own = Family::of(key);
        // Whoever hears of the one would hear of the other: a lesser alert holds back no graver one.
        let is_there = |rule: &AlertRule| {
            let held = self.graver.get(&Family { rule: *rule, ..own });
            held.is_some_and(|severity| *severity <= state.details.severity)
        };
        if inhibitors(key.rule).iter().any(is_there) {
            return Some(Mute::Inhibited);
        }
        let is_silent = self.silences.iter().any(|silence| silence.matches(key));
        is_silent.then_some(Mute::Silenced)
    }
}

/// The rules that hold others back.
const INHIBITORS: [AlertRule; 5] = [
    AlertRule::CeilingExceeded,
    AlertRule::CeilingForecast,
    AlertRule::PaceFast,
    AlertRule::SourceFailing,
    AlertRule::IdentityWrong,
];

/// The rules that say more of the same thing.
fn inhibitors(rule: AlertRule) -> &'static [AlertRule] {
    use AlertRule::{CeilingExceeded, CeilingForecast, IdentityWrong, PaceFast, SourceFailing};
    match rule {
        AlertRule::CeilingForecast | AlertRule::PaceFast => &[CeilingExceeded],
        AlertRule::PaceSlow => &[CeilingExceeded, CeilingForecast, PaceFast],
        AlertRule::SourceFailing => &[IdentityWrong],
        AlertRule::BillingDataLate => &[IdentityWrong, SourceFailing],
        _ => &[],
    }
}

/// Alerts that speak of the same thing in the same period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Family<'a> {
    rule: AlertRule,
    band: Option<&'a str>,
    source: Option<&'a str>,
    period: Option<BillingPeriod>,
}

impl<'a> Family<'a> {
    fn of(key: &'a AlertKey) -> Self {
        let band = key.about(Subject::Band);
        // What is said of a source's health is said of no period.
        let period = key.period.filter(|_| band.is_some());
        Self { rule: key.rule, band, source: key.about(Subject::Source), period }
    }
}

/// What is due to a recipient.
struct Due {
    fired: Vec<AlertKey>,
    /// When the first of them fired.
    oldest: Timestamp,
    again: Vec<AlertKey>,
}

impl Default for Due {
    fn default() -> Self {
        Self { fired: Vec::new(), oldest: Timestamp::MAX, again: Vec::new() }
    }
}

impl Due {
    fn fires(&mut self, key: &AlertKey, since: Timestamp) {
        self.fired.push(key.clone());
        self.oldest = self.oldest.min(since);
    }
}

fn is_due_again(
    state: &AlertState,
    told: &Told,
    repeat_after: SignedDuration,
    now: Timestamp,
) -> bool {
    // A band's month that is over cannot be changed: it was told, and is told when it is final.
    let is_past = state.key.about(Subject::Band).is_some()
        && state.key.period.is_some_and(|period| period.end(BillingZone::Utc) <= now);
    state.acknowledged.is_none()
        && !is_past
        && repeat_after > SignedDuration::ZERO
        && now.duration_since(told.at) >= repeat_after
}

/// Puts alerts into messages, and notes that they are told.
fn put(
    states: &mut AlertStates,
    messages: &mut Vec<Message>,
    recipient: &Recipient,
    kind: NoticeKind,
    keys: &[AlertKey],
    now: Timestamp,
) {
    let mut told: Vec<(Severity, AlertNotice, String)> = Vec::new();
    for key in keys {
        let Some(state) = states.get_mut(key) else { continue };
        let severity = state.details.severity;
        let before = state.told.get(&recipient.name).map_or(0, |told| told.times);
        let fired_at = state.fired_at.unwrap_or(state.since);
        let alert = AlertNotice::of(state);
        let mark = format!("{}\u{1f}{}\u{1f}{before}", alert.id, fired_at.as_nanosecond());
        told.push((severity, alert, mark));
        let times = before.saturating_add(1);
        let now_told = Told { at: now, times, severity, dropped: false };
        state.told.insert(recipient.name.clone(), now_told);
    }
    told.sort_by(|a, b| (a.0, &a.1.key).cmp(&(b.0, &b.1.key)));
    let together = match recipient.takes {
        Takes::Alerts => 1,
        Takes::Groups => told.len().max(1),
    };
    for group in told.chunks(together) {
        let marks: Vec<&str> = group.iter().map(|(_, _, mark)| mark.as_str()).collect();
        let text =
            format!("{}\u{1e}{}\u{1e}{}", recipient.name, kind.as_str(), marks.join("\u{1e}"));
        messages.push(Message {
            receiver: recipient.name.clone(),
            // Standard Webhooks signs `id.timestamp.body`: no full stop may be in an id.
            dedupe_key: format!("{}-{}", kind.as_str(), AlertId::digest(&text)),
            notice: Notice {
                kind,
                at: now,
                alerts: group.iter().map(|(_, alert, _)| alert.clone()).collect(),
            },
        });
    }
}

#[cfg(test)]
mod tests;
