#![allow(clippy::unwrap_used)]

use jiff::{SignedDuration, ToSpan};

use super::*;
use crate::domain::alert::{AlertDetails, AlertRule, Severity, Subject};
use crate::domain::period::BillingPeriod;

fn at(day: i8, hour: i8) -> Timestamp {
    format!("2026-11-{day:02}T{hour:02}:00:00Z").parse().unwrap()
}

fn key(period: &str) -> AlertKey {
    let period: BillingPeriod = period.parse().unwrap();
    AlertKey::new(AlertRule::CeilingForecast).of(Subject::Band, "aws").within(period)
}

fn observed(verdict: Verdict, day: i8) -> Observation {
    Observation {
        key: key("2026-11"),
        verdict,
        day: Some(Date::new(2026, 11, day).unwrap()),
        fires_after: Patience::Days(2),
        clears_after: Patience::Days(2),
        details: AlertDetails::new(Severity::Warning),
    }
}

fn by_clock(verdict: Verdict) -> Observation {
    let hours = |hours| Patience::Time(SignedDuration::from_hours(hours));
    let key = AlertKey::new(AlertRule::SourceFailing).of(Subject::Source, "payer");
    let (fires_after, clears_after) = (hours(2), hours(0));
    Observation { key, day: None, fires_after, clears_after, ..observed(verdict, 1) }
}

fn nothing_known(_: &AlertKey) -> (Verdict, AlertEnd) {
    (Verdict::Unknown, AlertEnd::Cleared)
}

/// What one alert does when it is observed so.
fn step(states: &mut AlertStates, observation: Observation, now: Timestamp) -> Option<Move> {
    let key = observation.key.clone();
    fold(states, vec![observation], nothing_known, now).remove(&key)
}

#[test]
fn money_fires_on_new_complete_days_and_not_on_repeated_looks() {
    let mut states = AlertStates::new();
    assert_eq!(step(&mut states, observed(Verdict::Met, 8), at(10, 0)), Some(Move::Began));
    for hour in 1..20 {
        assert_eq!(step(&mut states, observed(Verdict::Met, 8), at(10, hour)), None);
    }
    // Days of an outage bring no day of data.
    assert_eq!(step(&mut states, observed(Verdict::Met, 8), at(14, 0)), None);
    assert_eq!(step(&mut states, observed(Verdict::Met, 9), at(14, 1)), Some(Move::Fired));
    let state = states.values().next().unwrap();
    assert_eq!((state.since, state.fired_at), (at(10, 0), Some(at(14, 1))));
}

#[test]
fn one_look_that_is_not_met_begins_the_count_anew() {
    for not_met in [Verdict::Clear, Verdict::Between] {
        let mut states = AlertStates::new();
        step(&mut states, observed(Verdict::Met, 8), at(10, 0));
        assert_eq!(step(&mut states, observed(not_met, 9), at(11, 0)), Some(Move::Passed));
        assert!(states.is_empty());
        assert_eq!(step(&mut states, observed(Verdict::Met, 10), at(12, 0)), Some(Move::Began));
        assert_eq!(step(&mut states, observed(Verdict::Met, 11), at(13, 0)), Some(Move::Fired));
    }
}

#[test]
fn what_fires_ends_after_two_clear_days_and_a_day_between_takes_them_back() {
    let mut states = AlertStates::new();
    step(&mut states, observed(Verdict::Met, 8), at(10, 0));
    step(&mut states, observed(Verdict::Met, 9), at(11, 0));
    assert_eq!(step(&mut states, observed(Verdict::Clear, 10), at(12, 0)), None);
    assert_eq!(step(&mut states, observed(Verdict::Clear, 10), at(12, 6)), None);
    assert_eq!(step(&mut states, observed(Verdict::Between, 11), at(13, 0)), None);
    assert_eq!(step(&mut states, observed(Verdict::Clear, 12), at(14, 0)), None);
    assert_eq!(step(&mut states, observed(Verdict::Clear, 13), at(15, 0)), Some(Move::Ended));
    let state = states.values().next().unwrap();
    let end = (state.phase, state.end, state.ended_at);
    assert_eq!(end, (AlertPhase::Resolved, Some(AlertEnd::Cleared), Some(at(15, 0))));
}

#[test]
fn what_cannot_be_told_neither_begins_nor_ends_anything() {
    let mut states = AlertStates::new();
    assert_eq!(step(&mut states, observed(Verdict::Unknown, 8), at(10, 0)), None);
    assert!(states.is_empty());
    step(&mut states, observed(Verdict::Met, 8), at(10, 0));
    step(&mut states, observed(Verdict::Met, 9), at(11, 0));
    let fired = states.clone();
    for day in 10..20 {
        assert_eq!(step(&mut states, observed(Verdict::Unknown, day), at(day, 0)), None);
    }
    assert_eq!(states, fired);
}

#[test]
fn health_goes_by_the_clock() {
    let mut states = AlertStates::new();
    assert_eq!(step(&mut states, by_clock(Verdict::Met), at(10, 0)), Some(Move::Began));
    assert_eq!(step(&mut states, by_clock(Verdict::Met), at(10, 1)), None);
    assert_eq!(step(&mut states, by_clock(Verdict::Met), at(10, 2)), Some(Move::Fired));
    assert_eq!(step(&mut states, by_clock(Verdict::Clear), at(10, 3)), Some(Move::Ended));
    assert_eq!(step(&mut states, by_clock(Verdict::Clear), at(10, 4)), None);
    assert_eq!(step(&mut states, by_clock(Verdict::Met), at(10, 5)), Some(Move::Began));
    let state = states.values().next().unwrap();
    assert_eq!((state.since, state.fired_at), (at(10, 5), None), "it is another time");
}

#[test]
fn a_new_period_is_another_alert_and_ends_none() {
    let mut states = AlertStates::new();
    step(&mut states, observed(Verdict::Met, 8), at(10, 0));
    step(&mut states, observed(Verdict::Met, 9), at(11, 0));
    let december = Observation { key: key("2026-12"), ..observed(Verdict::Clear, 9) };
    assert_eq!(step(&mut states, december, at(12, 0)), None);
    assert!(states.get(&key("2026-11")).unwrap().fires());

    let is_final = |_: &AlertKey| (Verdict::Clear, AlertEnd::PeriodFinal);
    let moves = fold(&mut states, Vec::new(), is_final, at(13, 0));
    assert_eq!(moves.into_values().collect::<Vec<_>>(), [Move::Ended]);
    assert_eq!(states.values().next().unwrap().end, Some(AlertEnd::PeriodFinal));
    let moves = fold(&mut states, Vec::new(), is_final, at(14, 0));
    assert!(moves.is_empty(), "an end is told once");

    // A correction that comes late makes the month open again for a reading or two.
    assert_eq!(step(&mut states, observed(Verdict::Met, 14), at(15, 0)), None);
    assert_eq!(step(&mut states, observed(Verdict::Met, 15), at(16, 0)), None);
    assert_eq!(states.get(&key("2026-11")).unwrap().end, Some(AlertEnd::PeriodFinal));
}

proptest::proptest! {
    /// Whatever is observed: what fires was met on as many days as are wanted, and never fires twice
    /// without an end between.
    #[test]
    fn firing_and_ending_take_turns(verdicts in proptest::collection::vec(0..4_u8, 1..60)) {
        let mut states = AlertStates::new();
        let (mut day, mut met, mut fires) = (Date::new(2026, 1, 1).unwrap(), 0, false);
        for verdict in verdicts {
            day = day.saturating_add(1.day());
            let verdict = match verdict {
                0 => Verdict::Met,
                1 => Verdict::Between,
                2 => Verdict::Clear,
                _ => Verdict::Unknown,
            };
            let now = crate::domain::period::BillingZone::Utc.start_of(day);
            let observation = Observation { day: Some(day), ..observed(verdict, 1) };
            // A day that cannot be told is no day that was met; those around it follow on.
            met = match verdict { Verdict::Met => met + 1, Verdict::Unknown => met, _ => 0 };
            match step(&mut states, observation, now) {
                Some(Move::Fired) => {
                    proptest::prop_assert!(!fires && met >= 2);
                    fires = true;
                }
                Some(Move::Ended) => {
                    proptest::prop_assert!(fires);
                    (fires, met) = (false, 0);
                }
                _ => {}
            }
            let state_fires = states.values().any(AlertState::fires);
            proptest::prop_assert_eq!(state_fires, fires);
        }
    }
}
