//! Readings of one day, one after another.
#![allow(clippy::unwrap_used)]

use super::*;

const DAY: Date = jiff::civil::date(2026, 11, 10);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn billed(amount: &str) -> Amounts {
    Amounts { billed: Some(amount.parse().unwrap()), ..Amounts::default() }
}

fn read(amount: &str) -> ReadDay {
    ReadDay { breakdown: 1, primary: Some(billed(amount)), control: None, estimated: false }
}

/// Reads the day several times in UTC; tells the last state and how often it was restated.
fn readings(day: Date, readings: &[(&str, &str)]) -> (KnownDay, usize) {
    let mut known = None;
    let mut restated = 0;
    for (when, amount) in readings {
        let (next, moved) = join(known.as_ref(), read(amount), day, BillingZone::Utc, at(when));
        restated += usize::from(moved);
        known = Some(next);
    }
    (known.unwrap(), restated)
}

#[test]
fn half_a_percent_is_still_steady_and_a_hair_more_is_not() {
    let first = ("2026-11-11T00:00:00Z", "1000");
    let (known, _) = readings(DAY, &[first, ("2026-11-11T08:00:00Z", "1005")]);
    assert_eq!(known.steady_since, at(first.0));
    assert_eq!(known.changed_at, at("2026-11-11T08:00:00Z"));

    let (known, _) = readings(DAY, &[first, ("2026-11-11T08:00:00Z", "1005.0000001")]);
    assert_eq!(known.steady_since, at("2026-11-11T08:00:00Z"));
}

#[test]
fn a_slow_creep_is_not_steady() {
    let (known, _) = readings(
        DAY,
        &[
            ("2026-11-11T00:00:00Z", "1000"),
            ("2026-11-11T08:00:00Z", "1004"),
            ("2026-11-11T16:00:00Z", "1008"),
        ],
    );
    assert_eq!(known.steady_since, at("2026-11-11T16:00:00Z"));
}

#[test]
fn a_complete_day_that_moves_is_restated_by_the_smallest_amount() {
    let complete = [("2026-11-12T12:00:00Z", "1000"), ("2026-11-12T18:00:00Z", "1000")];
    let moved = ("2026-11-13T00:00:00Z", "1000.01");
    assert_eq!(readings(DAY, &[complete[0], complete[1], moved]).1, 1);
    // A second too early for the lag, or steady for a second too short.
    let early = ("2026-11-12T23:59:59Z", "1000.01");
    assert_eq!(readings(DAY, &[complete[0], complete[1], early]).1, 0);
    let short = ("2026-11-12T17:59:59Z", "1000");
    assert_eq!(readings(DAY, &[complete[0], short, moved]).1, 0);
    // Nothing moved.
    assert_eq!(
        readings(DAY, &[complete[0], complete[1], ("2026-11-14T00:00:00Z", "1000.00")]).1,
        0
    );
}

#[test]
fn a_whole_day_that_moves_in_a_period_that_is_over_is_restated() {
    let last = jiff::civil::date(2026, 11, 30);
    let first = ("2026-12-01T02:00:00Z", "1000");
    let late = ("2026-12-02T02:00:00Z", "1300");
    assert_eq!(readings(last, &[first, late]).1, 1);
    // The reading before saw a part of the day only.
    assert_eq!(readings(last, &[("2026-11-30T20:00:00Z", "800"), first]).1, 0);
    // The period is open.
    assert_eq!(readings(DAY, &[("2026-11-11T02:00:00Z", "1"), ("2026-11-11T10:00:00Z", "2")]).1, 0);
}

#[test]
fn the_day_ends_in_the_provider_s_zone() {
    let complete = [("2026-11-12T20:00:00Z", "10"), ("2026-11-13T02:00:00Z", "10")];
    let restated = |zone| {
        let mut known = None;
        let mut restated = false;
        for (when, amount) in complete.iter().chain(&[("2026-11-13T04:00:00Z", "11")]) {
            let (next, moved) = join(known.as_ref(), read(amount), DAY, zone, at(when));
            known = Some(next);
            restated = moved;
        }
        restated
    };
    assert!(restated(BillingZone::Utc));
    assert!(!restated(BillingZone::Pacific));
}

#[test]
fn a_day_that_vanished_is_zero_and_restated() {
    let (known, _) =
        readings(DAY, &[("2026-11-13T00:00:00Z", "1000"), ("2026-11-13T08:00:00Z", "1000")]);
    let gone = ReadDay { breakdown: 1, primary: None, control: None, estimated: false };
    let (known, restated) =
        join(Some(&known), gone, DAY, BillingZone::Utc, at("2026-11-13T16:00:00Z"));
    assert!(restated);
    assert_eq!(known.primary, billed("0"));
}

#[test]
fn a_basis_that_is_learned_is_not_a_restatement() {
    let (known, _) =
        readings(DAY, &[("2026-11-13T00:00:00Z", "1000"), ("2026-11-13T08:00:00Z", "1000")]);
    let mut more = read("1000");
    more.primary.as_mut().unwrap().effective = Some("900".parse().unwrap());
    let (known, restated) =
        join(Some(&known), more, DAY, BillingZone::Utc, at("2026-11-13T16:00:00Z"));
    assert!(!restated);
    assert_eq!(known.steady_since, at("2026-11-13T16:00:00Z"));
}

#[test]
fn another_primary_begins_anew() {
    let (known, _) =
        readings(DAY, &[("2026-11-13T00:00:00Z", "1000"), ("2026-11-13T08:00:00Z", "1000")]);
    let other = ReadDay { breakdown: 2, ..read("700") };
    let (known, restated) =
        join(Some(&known), other, DAY, BillingZone::Utc, at("2026-11-13T16:00:00Z"));
    assert!(!restated);
    assert_eq!(known.steady_since, at("2026-11-13T16:00:00Z"));
}

#[test]
fn an_empty_day_is_known_as_such_after_two_readings_or_one_that_is_settled() {
    let known = |since: &str, read_last: &str| {
        let empty = EmptyDay { day: DAY, since: at(since), observed_at: at(read_last) };
        known_empty(1, &empty, &read("10"), BillingZone::Utc)
    };
    assert_eq!(known("2026-12-31T23:59:59Z", "2026-12-31T23:59:59Z"), None);
    assert!(known("2026-12-20T00:00:00Z", "2026-12-20T06:00:00Z").is_some());
    let settled = known("2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z").unwrap();
    assert_eq!(settled.primary, billed("0"));
}
