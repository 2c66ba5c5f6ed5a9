//! Who is told what: which alerts are held back, which belong into one message, and when one that
//! nobody has taken is told again.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::analyse::alert::state::{AlertStates, Move};
use crate::domain::alert::{
    AlertId, AlertKey, AlertRule, AlertState, Severity, Silence, Subject, Told,
};
use crate::domain::alert_policy::AlertPolicies;
use crate::domain::alerting::Alerting;
use crate::domain::notice::{AlertNotice, Message, Notice, NoticeKind, Recipient, Takes};
use crate::domain::period::BillingPeriod;

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

/// Decides what is told now, notes it in the states, and tells which of them that changed.
pub fn tell(
    states: &mut AlertStates,
    moves: &BTreeMap<AlertId, Move>,
    telling: &Telling<'_>,
) -> (Vec<Message>, BTreeSet<AlertId>) {
    let muted = mutes(states, telling.silences, telling.now);
    let (mut messages, mut changed) = (Vec::new(), BTreeSet::new());
    let routes: BTreeMap<AlertId, _> = states
        .iter()
        .filter(|(id, state)| state.fires() && !muted.contains_key(*id))
        .filter(|(_, state)| telling.alerting.tells(state.key.rule))
        .map(|(id, state)| (id.clone(), telling.policies.routing(&state.key)))
        .collect();
    for recipient in telling.recipients {
        let mut firing = Batch::default();
        let mut repeated = Vec::new();
        for (id, routing) in &routes {
            let Some(state) = states.get(id) else { continue };
            let is_wanted = routing
                .receivers
                .as_ref()
                .is_none_or(|names| names.iter().any(|name| *name == recipient.name));
            // Nobody learns from the one who does not listen that he does not.
            let is_itself = state.key.about(Subject::Receiver) == Some(&recipient.name);
            if !is_wanted || is_itself || state.details.severity > recipient.minimum_severity {
                continue;
            }
            match state.told.get(&recipient.name) {
                None => firing.add(id, state.fired_at.unwrap_or(telling.now)),
                Some(told) if state.details.severity < told.severity => {
                    firing.add(id, Timestamp::MIN);
                }
                Some(told) if is_due_again(state, told, routing.repeat_after, telling.now) => {
                    repeated.push(id.clone());
                }
                Some(_) => {}
            }
        }
        let ended = moves
            .iter()
            .filter(|(id, moved)| {
                **moved == Move::Ended
                    && states.get(*id).is_some_and(|state| state.told.contains_key(&recipient.name))
            })
            .map(|(id, _)| id.clone())
            .filter(|_| recipient.resolved)
            .collect();
        let waited = telling.now.duration_since(firing.oldest) >= telling.group_wait;
        let ripe = if waited || recipient.takes == Takes::Alerts { firing.ids } else { Vec::new() };
        if recipient.takes == Takes::Alerts {
            // What holds alerts by their key reminds people itself.
            repeated.clear();
        }
        for (kind, ids) in [
            (NoticeKind::Resolved, ended),
            (NoticeKind::Firing, ripe),
            (NoticeKind::Reminder, repeated),
        ] {
            put(states, &mut messages, recipient, kind, &ids, telling.now);
            changed.extend(ids);
        }
    }
    for (id, _) in moves.iter().filter(|(_, moved)| **moved == Move::Ended) {
        if let Some(state) = states.get_mut(id) {
            state.told.clear();
        }
    }
    (messages, changed)
}

/// Which alerts that fire are not told, and why.
pub fn mutes(
    states: &AlertStates,
    silences: &[Silence],
    now: Timestamp,
) -> BTreeMap<AlertId, Mute> {
    let graver: BTreeSet<Family<'_>> =
        states.values().filter(|state| state.fires()).map(|state| Family::of(&state.key)).collect();
    let holding: Vec<&Silence> = silences.iter().filter(|silence| silence.holds(now)).collect();
    let why = |key: &AlertKey| {
        let own = Family::of(key);
        if inhibitors(key.rule).iter().any(|rule| graver.contains(&Family { rule: *rule, ..own })) {
            Some(Mute::Inhibited)
        } else {
            holding.iter().any(|silence| silence.matches(key)).then_some(Mute::Silenced)
        }
    };
    let firing = states.iter().filter(|(_, state)| state.fires());
    firing.filter_map(|(id, state)| Some((id.clone(), why(&state.key)?))).collect()
}

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

/// Alerts for one message, and how long the first of them has waited.
struct Batch {
    ids: Vec<AlertId>,
    oldest: Timestamp,
}

impl Default for Batch {
    fn default() -> Self {
        Self { ids: Vec::new(), oldest: Timestamp::MAX }
    }
}

impl Batch {
    fn add(&mut self, id: &AlertId, since: Timestamp) {
        self.ids.push(id.clone());
        self.oldest = self.oldest.min(since);
    }
}

fn is_due_again(
    state: &AlertState,
    told: &Told,
    repeat_after: SignedDuration,
    now: Timestamp,
) -> bool {
    state.acknowledged.is_none()
        && repeat_after > SignedDuration::ZERO
        && now.duration_since(told.at) >= repeat_after
}

/// Puts alerts into messages, and notes that they are told.
fn put(
    states: &mut AlertStates,
    messages: &mut Vec<Message>,
    recipient: &Recipient,
    kind: NoticeKind,
    ids: &[AlertId],
    now: Timestamp,
) {
    let mut told: Vec<(Severity, AlertNotice, String)> = Vec::new();
    for id in ids {
        let Some(state) = states.get_mut(id) else { continue };
        let severity = state.details.severity;
        let before = state.told.get(&recipient.name).map_or(0, |told| told.times);
        let fired_at = state.fired_at.unwrap_or(state.since);
        let mark = format!("{id}\u{1f}{}\u{1f}{before}", fired_at.as_nanosecond());
        told.push((severity, AlertNotice::of(state), mark));
        let now_told = Told { at: now, times: before.saturating_add(1), severity };
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
