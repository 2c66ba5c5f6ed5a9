//! Holds what was observed against what was: pending, firing, resolved.
//!
//! What is met long enough fires, what is clear long enough is over, and what cannot be told changes
//! nothing. Money is counted in new complete days of data, so that a day of outage is no day of
//! patience; health is counted by the clock.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::alert::{
    AlertEnd, AlertKey, AlertPhase, AlertState, Counted, Observation, Patience, Verdict,
};
use crate::domain::forecast::days_between;

/// Alerts by what identifies them.
pub type AlertStates = HashMap<AlertKey, AlertState>;

/// What became of an alert in one evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Move {
    /// It is met, and waits.
    Began,
    /// It was met, and is not any more before it fired.
    Passed,
    /// It fires.
    Fired,
    /// It is over.
    Ended,
}

/// Brings alerts from what was to what is, and tells what moved. An alert that passed is taken out.
/// `absent` says what is so of an alert that nothing was observed of.
pub fn fold(
    states: &mut AlertStates,
    observations: Vec<Observation>,
    absent: impl Fn(&AlertKey) -> (Verdict, AlertEnd),
    now: Timestamp,
) -> BTreeMap<AlertKey, Move> {
    let mut moves = BTreeMap::new();
    let were_active = active(states).count();
    let (mut looked_at, mut observed) = (0, Vec::with_capacity(observations.len()));
    for observation in observations {
        observed.push(observation.key.clone());
        match states.get_mut(&observation.key) {
            // What was when the period became final, was.
            Some(held) if held.end == Some(AlertEnd::PeriodFinal) => {}
            Some(state) if is_active(state) => {
                looked_at += 1;
                let moved = advance(state, &observation, now);
                if observation.verdict != Verdict::Unknown {
                    state.details = observation.details;
                }
                let Some(moved) = moved else { continue };
                if moved == Move::Passed {
                    states.remove(&observation.key);
                }
                moves.insert(observation.key, moved);
            }
            Some(_) | None => {
                let Some(state) = begin(observation, now) else { continue };
                let moved = if state.fires() { Move::Fired } else { Move::Began };
                moves.insert(state.key.clone(), moved);
                states.insert(state.key.clone(), state);
            }
        }
    }
    // Most of the time everything is observed: a rule that looked last time looks again.
    let silent = if looked_at == were_active { Vec::new() } else { silent(states, &observed) };
    for key in silent {
        let (Verdict::Clear, end) = absent(&key) else { continue };
        let Some(state) = states.get_mut(&key) else { continue };
        let moved = if state.fires() {
            over(state, end, now);
            Move::Ended
        } else {
            states.remove(&key);
            Move::Passed
        };
        moves.insert(key, moved);
    }
    moves
}

fn is_active(state: &AlertState) -> bool {
    state.phase != AlertPhase::Resolved
}

/// The alerts that are pending or fire.
fn active(states: &AlertStates) -> impl Iterator<Item = &AlertState> {
    states.values().filter(|state| is_active(state))
}

/// Those of which nothing was observed.
fn silent(states: &AlertStates, observed: &[AlertKey]) -> Vec<AlertKey> {
    let observed: HashSet<&AlertKey> = observed.iter().collect();
    let silent = active(states).filter(|state| !observed.contains(&state.key));
    silent.map(|state| state.key.clone()).collect()
}

/// A new alert, where it is met.
fn begin(observation: Observation, now: Timestamp) -> Option<AlertState> {
    let Observation { key, verdict, day, fires_after, details, .. } = observation;
    if verdict != Verdict::Met {
        return None;
    }
    let met_days = u32::from(day.is_some());
    let mut state = AlertState {
        key,
        phase: AlertPhase::Pending,
        since: now,
        fired_at: None,
        ended_at: None,
        end: None,
        counted: Counted { day, met_days, ..Counted::default() },
        details,
        told: BTreeMap::new(),
        acknowledged: None,
    };
    fire_when_due(&mut state, fires_after, now);
    Some(state)
}

fn advance(state: &mut AlertState, observation: &Observation, now: Timestamp) -> Option<Move> {
    let Observation { verdict, day, fires_after, clears_after, .. } = *observation;
    if verdict == Verdict::Unknown {
        return None;
    }
    let (fires, new_days) = (state.fires(), new_days(state.counted.day, day));
    let counted = &mut state.counted;
    counted.day = counted.day.max(day);
    match verdict {
        Verdict::Clear | Verdict::Between if !fires => return Some(Move::Passed),
        Verdict::Clear => {
            let is_first = counted.clear_since.is_none();
            counted.clear_days += if is_first { 1 } else { new_days };
            let since = *counted.clear_since.get_or_insert(now);
            if is_enough(clears_after, state.counted.clear_days, since, now) {
                over(state, AlertEnd::Cleared, now);
                return Some(Move::Ended);
            }
        }
        Verdict::Met | Verdict::Between | Verdict::Unknown => {
            (counted.clear_days, counted.clear_since) = (0, None);
            counted.met_days = counted.met_days.saturating_add(new_days);
            if !fires && fire_when_due(state, fires_after, now) {
                return Some(Move::Fired);
            }
        }
    }
    None
}

fn fire_when_due(state: &mut AlertState, patience: Patience, now: Timestamp) -> bool {
    let is_due = is_enough(patience, state.counted.met_days, state.since, now);
    if is_due {
        state.phase = AlertPhase::Firing;
        state.fired_at = Some(now);
    }
    is_due
}

fn over(state: &mut AlertState, end: AlertEnd, now: Timestamp) {
    state.phase = AlertPhase::Resolved;
    state.ended_at = Some(now);
    state.end = Some(end);
}

fn is_enough(patience: Patience, days: u32, since: Timestamp, now: Timestamp) -> bool {
    match patience {
        Patience::Days(wanted) => wanted <= 1 || days >= wanted,
        Patience::Time(wanted) => now.duration_since(since) >= wanted,
    }
}

/// How many complete days came since the one that was counted last.
fn new_days(counted: Option<Date>, day: Option<Date>) -> u32 {
    match (counted, day) {
        (Some(counted), Some(day)) => {
            days_between(counted, day).and_then(|days| u32::try_from(days).ok()).unwrap_or(0)
        }
        (None, Some(_)) => 1,
        (_, None) => 0,
    }
}

#[cfg(test)]
mod tests;
