//! Promises of anomalies.

#![allow(clippy::unwrap_used)]

use jiff::civil::{Date, date};
use rust_decimal::Decimal;

use super::*;
use crate::domain::forecast::{CostDay, day_after};

const FIRST: Date = date(2026, 1, 1);

/// So many days of 1,000 with weekends at 700 and noise of about 2 %.
fn fleet(days: usize) -> CostSeries {
    let day = |at: usize| {
        let weekend = day_after(FIRST, at).weekday().to_monday_zero_offset() >= 5;
        let noise = [3, -21, 14, 8, -16, 27, -9, 1, -25, 19, -4, 12, -12][at * 5 % 13];
        let amount = Decimal::from(if weekend { 700 } else { 1000 } + noise);
        CostDay { amount: Some(amount), quantity: None, complete: true }
    };
    let days = (0..days).map(day).collect();
    CostSeries { currency: Currency::USD, first: FIRST, days, charges: Vec::new() }
}

fn scale(series: &mut CostSeries, days: std::ops::Range<usize>, percent: i64) {
    for day in &mut series.days[days] {
        day.amount = day.amount.map(|amount| amount * Decimal::new(percent, 2));
    }
}

fn found(series: &CostSeries) -> Vec<Anomaly> {
    find(series, &AnomalyFloors::default())
}

#[test]
fn quiet_days_are_no_anomalies() {
    assert_eq!(found(&fleet(300)), []);
    assert_eq!(found(&fleet(1)), []);
    assert_eq!(found(&fleet(0)), []);
}

#[test]
fn an_incident_among_the_first_days_hides_no_later_one() {
    let mut series = fleet(100);
    scale(&mut series, 4..8, 160);
    scale(&mut series, 70..71, 145);
    let found = found(&series);
    assert!(found.iter().any(|one| one.first == day_after(FIRST, 70)), "{found:?}");
}

#[test]
fn an_incident_is_no_charge_of_its_days_of_the_month() {
    // In February and April, and not in March.
    let mut series = fleet(120);
    let from = |month, day| series.index(date(2026, month, day)).unwrap();
    let (once, again) = (from(2, 7), from(4, 7));
    scale(&mut series, once..once + 3, 160);
    scale(&mut series, again..again + 3, 160);
    let found = found(&series);
    assert!(found.iter().any(|one| one.first == date(2026, 4, 7)), "{found:?}");
}

#[test]
fn two_months_incidents_are_no_charge_of_the_days_that_they_share() {
    let mut series = fleet(120);
    let from = |month, day| series.index(date(2026, month, day)).unwrap();
    let (once, again) = (from(3, 5), from(4, 6));
    scale(&mut series, once..once + 4, 160);
    scale(&mut series, again..again + 4, 160);
    let found = found(&series);
    let is_of_april = |one: &&Anomaly| one.first >= date(2026, 4, 1);
    let april: Vec<_> = found.iter().filter(is_of_april).map(|one| (one.kind, one.first)).collect();
    assert_eq!(april, [(AnomalyKind::LevelShift, date(2026, 4, 6))], "the way back is no news");
    let shift = found.last().unwrap();
    assert_eq!((shift.last, shift.ended), (date(2026, 4, 9), Some(date(2026, 4, 10))));
    assert!(!shift.is_settled());
}

#[test]
fn a_spike_is_told_once_with_its_size_and_ends_by_itself() {
    let mut series = fleet(150);
    scale(&mut series, 120..121, 150);
    series.days.truncate(121);
    let open = found(&series);
    let [spike] = open.as_slice() else { panic!("{open:?}") };
    assert_eq!((spike.kind, spike.ended), (AnomalyKind::Spike, None));
    let mut series = fleet(150);
    scale(&mut series, 120..121, 150);
    let closed = found(&series);
    let [spike] = closed.as_slice() else { panic!("{closed:?}") };
    assert_eq!(spike.first, day_after(FIRST, 120));
    assert_eq!(spike.ended, Some(day_after(FIRST, 121)));
    let size = spike.excess.to_f64().unwrap();
    assert!((size - 500.0).abs() < 60.0, "{spike:?}");
}

#[test]
fn a_level_that_moves_is_one_shift_and_then_the_level() {
    let mut series = fleet(200);
    scale(&mut series, 120..200, 140);
    let told = found(&series);
    let [shift] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(shift.kind, AnomalyKind::LevelShift);
    assert_eq!(shift.first, day_after(FIRST, 120));
    assert_eq!(shift.found, day_after(FIRST, 120), "its first day was told and is the same one");
    assert!(shift.ended.unwrap() <= day_after(FIRST, 132), "{shift:?}");
    let size = shift.excess.to_f64().unwrap();
    assert!(size > 250.0 && size < 450.0, "{shift:?}");
}

#[test]
fn a_level_that_falls_and_comes_back_is_two_shifts() {
    let mut series = fleet(220);
    scale(&mut series, 120..160, 60);
    let told = found(&series);
    let kinds: Vec<_> = told.iter().map(|held| (held.kind, held.excess > Decimal::ZERO)).collect();
    assert_eq!(kinds, [(AnomalyKind::LevelShift, false), (AnomalyKind::LevelShift, true)]);
}

#[test]
fn a_charge_of_its_day_of_the_month_is_no_anomaly() {
    let mut series = fleet(180);
    for at in (0..180).filter(|at| day_after(FIRST, *at).day() == 1) {
        scale(&mut series, at..at + 1, 400);
    }
    assert_eq!(found(&series), []);
}

#[test]
fn a_day_that_is_not_complete_is_never_judged() {
    let mut series = fleet(130);
    scale(&mut series, 128..130, 5);
    series.days[128].complete = false;
    series.days[129].complete = false;
    assert_eq!(found(&series), []);
    series.days[129].complete = true;
    assert_eq!(found(&series).len(), 1);
}

#[test]
fn what_is_too_small_in_money_or_share_is_not_told() {
    let mut series = fleet(150);
    scale(&mut series, 120..121, 150);
    let few = |amount: i64, share| AnomalyFloors { amount: Decimal::from(amount), share };
    assert_eq!(find(&series, &few(700, 0.05)), []);
    assert_eq!(find(&series, &few(10, 0.8)), []);
    assert_eq!(find(&series, &few(10, 0.3)).len(), 1);
}

#[test]
fn the_service_that_moved_is_the_cause() {
    let (mut gpu, storage) = (fleet(150), fleet(150));
    scale(&mut gpu, 120..121, 150);
    let mut whole = fleet(150);
    for (at, day) in whole.days.iter_mut().enumerate() {
        day.amount = Some(gpu.days[at].amount.unwrap() + storage.days[at].amount.unwrap());
    }
    let told = found(&whole);
    let part = |key, series| Part { dimension: Dimension::ServiceName, key, series };
    let cause = likely_cause(&told[0], &[part("storage", &storage), part("gpu", &gpu)]).unwrap();
    assert_eq!(cause.key, "gpu");
    assert!(cause.share > 0.9, "{cause:?}");
    assert!((cause.excess.to_f64().unwrap() - 500.0).abs() < 60.0, "{cause:?}");
    let mut half = fleet(150);
    scale(&mut half, 120..121, 125);
    let cause = likely_cause(&told[0], &[part("half", &half), part("gpu", &gpu)]).unwrap();
    assert!((cause.share - 2.0 / 3.0).abs() < 0.1, "{cause:?}");
    assert_eq!(likely_cause(&told[0], &[]), None);
}

#[test]
fn a_spike_within_its_first_week_does_not_keep_a_shift_open() {
    let mut series = fleet(200);
    scale(&mut series, 120..200, 140);
    // Days 122 on tell the shift; five days later something else comes for a day.
    scale(&mut series, 127..128, 250);
    let told = found(&series);
    let open: Vec<_> = told.iter().filter(|one| one.ended.is_none()).collect();
    assert!(open.is_empty(), "{told:?}");
    assert!(told.iter().any(|one| one.kind == AnomalyKind::Spike), "{told:?}");
}

#[test]
fn an_incident_on_the_day_of_a_fee_is_seen() {
    let mut series = fleet(180);
    for at in (0..180).filter(|at| day_after(FIRST, *at).day() == 1) {
        scale(&mut series, at..at + 1, 200);
    }
    let june = series.index(date(2026, 6, 1)).unwrap();
    scale(&mut series, june..june + 1, 1_000);
    let told = found(&series);
    let [spike] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(spike.first, date(2026, 6, 1));
    assert!(spike.excess > Decimal::from(15_000), "the fee is no part of it: {spike:?}");
}

#[test]
fn a_service_that_came_within_a_shift_is_its_cause() {
    let mut whole = fleet(140);
    scale(&mut whole, 120..140, 160);
    let told = found(&whole);
    let shift = told.last().unwrap();
    let mut new = fleet(140);
    new.days.drain(..121);
    new.first = day_after(FIRST, 121);
    let old = fleet(140);
    let part = |key, series| Part { dimension: Dimension::ServiceName, key, series };
    let cause = likely_cause(shift, &[part("old", &old), part("new", &new)]).unwrap();
    assert_eq!(cause.key, "new", "{cause:?}");
}
