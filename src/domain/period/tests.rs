//! Every day of four centuries (the Gregorian calendar's whole cycle), in each billing zone.

use std::collections::BTreeMap;

use jiff::civil::date;
use proptest::prelude::*;

use super::*;

const ZONES: [BillingZone; 2] = [BillingZone::Utc, BillingZone::Pacific];

fn four_centuries() -> Window {
    Window::new(date(1900, 1, 1), date(2300, 1, 1))
}

#[test]
fn every_day_begins_where_the_day_before_ends_and_holds_its_own_instants() {
    for zone in ZONES {
        let mut lengths = BTreeMap::new();
        let mut end_before = None;
        for day in four_centuries().days() {
            let (start, end) = (zone.start_of(day), zone.end_of(day));
            assert_eq!(*end_before.get_or_insert(start), start, "{zone:?} {day}");
            let last = Timestamp::from_second(end.as_second() - 1).expect("in range");
            assert_eq!((zone.day_of(start), zone.day_of(last)), (day, day), "{zone:?} {day}");
            *lengths.entry(end.as_second() - start.as_second()).or_insert(0) += 1;
            end_before = Some(end);
        }
        let hours: Vec<i64> = lengths.keys().map(|seconds| seconds / 3600).collect();
        match zone {
            BillingZone::Utc => assert_eq!(lengths, BTreeMap::from([(86_400, 146_097)])),
            BillingZone::Pacific => assert_eq!(hours, [23, 24, 25]),
        }
    }
}

#[test]
fn every_period_is_the_sum_of_its_days_and_periods_follow_one_another() {
    for zone in ZONES {
        let mut period = BillingPeriod::new(1900, 1).expect("a month");
        let (mut days, mut leap_days) = (0, 0);
        while period < BillingPeriod::new(2300, 1).expect("a month") {
            let window = period.window();
            let seconds: i64 = window
                .days()
                .map(|day| zone.end_of(day).as_second() - zone.start_of(day).as_second())
                .sum();
            assert_eq!(period.seconds(zone), seconds, "{zone:?} {period}");
            assert_eq!(window.days().count(), usize::try_from(period.days()).expect("positive"));
            assert!(window.days().all(|day| period.contains(day)));
            assert!(!period.contains(period.end_day()));
            assert_eq!(period.next().previous(), period);
            assert_eq!(period.end(zone), period.next().start(zone));
            let last = Timestamp::from_second(period.end(zone).as_second() - 1).expect("in range");
            assert_eq!(BillingPeriod::at(last, zone), period);
            assert_eq!(BillingPeriod::at(period.end(zone), zone), period.next());
            days += i32::from(period.days());
            leap_days += i32::from(window.days().any(|day| (day.month(), day.day()) == (2, 29)));
            period = period.next();
        }
        assert_eq!((days, leap_days), (146_097, 97));
    }
}

#[test]
fn pacific_months_lose_and_gain_an_hour_where_the_clocks_change() {
    let hours = |text: &str| {
        let period: BillingPeriod = text.parse().expect("a month");
        period.seconds(BillingZone::Pacific) / 3600
    };
    assert_eq!([hours("2026-03"), hours("2026-11"), hours("2026-12")], [743, 721, 744]);
    assert_eq!([hours("2024-02"), hours("2026-02")], [696, 672]);
}

#[test]
fn the_pacific_day_is_still_yesterday_on_a_utc_morning() {
    let morning: Timestamp = "2026-11-01T06:30:00Z".parse().expect("an instant");
    assert_eq!(BillingZone::Pacific.day_of(morning), date(2026, 10, 31));
    assert_eq!(BillingPeriod::at(morning, BillingZone::Pacific).to_string(), "2026-10");
    assert_eq!(BillingPeriod::at(morning, BillingZone::Utc).to_string(), "2026-11");
}

#[test]
fn a_text_that_is_no_month_is_refused() {
    for wrong in ["", "2026", "2026-13", "2026-00", "26-11", "2026-1", "0000-01", "2026/11"] {
        assert!(wrong.parse::<BillingPeriod>().is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn a_period_is_read_as_it_is_written(year in 1i16..=9998, month in 1i8..=12) {
        let period = BillingPeriod::new(year, month).expect("in range");
        prop_assert_eq!(period.to_string().parse(), Ok(period));
        prop_assert_eq!(period.to_string().replace('-', "").parse(), Ok(period));
    }

    #[test]
    fn a_window_cut_at_month_ends_loses_and_doubles_no_day(
        start in 0i32..146_000,
        length in 0i32..500,
    ) {
        let start = date(1900, 1, 1).saturating_add(i64::from(start).days());
        let window = Window::new(start, start.saturating_add(i64::from(length).days()));
        let parts = window.months();
        let days: Vec<Date> = parts.iter().flat_map(Window::days).collect();
        prop_assert_eq!(days, window.days().collect::<Vec<_>>());
        prop_assert!(parts.iter().all(|part| part.days().count() <= 31 && !part.is_empty()));
    }
}
