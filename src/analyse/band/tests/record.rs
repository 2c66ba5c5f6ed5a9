//! What was forecast of a month from day to day.

use super::*;
use crate::domain::record::{BandRecord, KeptForecast, PastForecast};

const READ: &str = "2026-11-20T00:00:00Z";
const NOW: &str = "2026-11-20T12:00:00Z";

/// September to the 16th of November at about 1,000 a day, and four times that from a day on.
fn autumn(dear_from: Option<Date>) -> World {
    let mut world = World::of(Provider::Aws);
    for at in 0..77_i64 {
        let day = date(2026, 9, 1).saturating_add(at.days());
        let is_dear = dear_from.is_some_and(|from| day >= from);
        let cost = if is_dear { "4000" } else { ["1000", "1010"][at as usize % 2] };
        world.day(day, cost, "2026-11-19T00:00:00Z", READ);
    }
    world
}

fn month() -> Band {
    band("20000", "40000")
}

fn record_of(world: &World, kept: &[KeptForecast], label: PeriodLabel) -> BandRecord {
    let (spend, series) = world.fold(NOW);
    let complete_days = spend.as_ref().expect("it was read").complete_days.clone();
    let source = BandSource {
        rules: &world.rules,
        spend: spend.as_ref(),
        series: &series,
        last_success: world.last_success,
        history: Some(SourceHistory { series: &series, complete_days: &complete_days }),
    };
    record(&month(), &[source], &rates(), kept, label, at(NOW)).expect("limits are in force")
}

fn on(record: &BandRecord, day: Date) -> &PastForecast {
    let mut forecasts = record.forecasts.iter();
    forecasts.find(|said| said.made_from == day).expect("a forecast of that day")
}

#[test]
fn days_of_which_nothing_was_kept_are_made_again_without_what_came_later() {
    let steady = record_of(&autumn(None), &[], PeriodLabel::Current);
    let dear = record_of(&autumn(Some(date(2026, 11, 11))), &[], PeriodLabel::Current);
    let days: Vec<Date> = dear.forecasts.iter().map(|said| said.made_from).collect();
    let eve = date(2026, 10, 31);
    assert_eq!(days, (0..17).map(|at| eve.saturating_add(at.days())).collect::<Vec<_>>());
    assert!(dear.forecasts.iter().all(|said| said.told_at.is_none()), "nothing was told");
    let tenth = date(2026, 11, 10);
    assert_eq!(on(&dear, tenth), on(&steady, tenth), "the 10th knows nothing of the 11th");
    assert!((on(&dear, tenth).expected - decimal("30150")).abs() < decimal("300"));
    assert!(on(&dear, date(2026, 11, 16)).expected > decimal("60000"), "the 16th does");
    assert!(on(&dear, date(2026, 11, 16)).above_ceiling > 0.9);
}

#[test]
fn what_was_told_stays_as_it_was_told() {
    let world = autumn(None);
    let told = PastForecast {
        made_from: date(2026, 11, 10),
        told_at: Some(at("2026-11-12T09:00:00Z")),
        currency: Currency::USD,
        expected: decimal("31000.123"),
        interval_80: [decimal("29000"), decimal("33000")],
        above_ceiling: 0.01,
        below_floor: 0.02,
    };
    let kept = |name: &str, period: &str, forecast: PastForecast| KeptForecast {
        band: name.to_owned(),
        period: period.parse().expect("a period"),
        forecast,
    };
    let euros = PastForecast {
        made_from: date(2026, 11, 12),
        currency: "EUR".parse().expect("a currency"),
        ..told.clone()
    };
    let held = [
        kept("month", "2026-11", told.clone()),
        kept("month", "2026-11", euros),
        kept("other", "2026-11", PastForecast { made_from: date(2026, 11, 11), ..told.clone() }),
        kept("month", "2026-10", PastForecast { made_from: date(2026, 10, 9), ..told.clone() }),
    ];
    let open = record_of(&world, &held, PeriodLabel::Current);
    assert_eq!(on(&open, date(2026, 11, 10)), &told);
    let is_told =
        |record: &BandRecord| record.forecasts.iter().filter(|said| said.told_at.is_some()).count();
    assert_eq!((open.forecasts.len(), is_told(&open)), (17, 1), "of this band, month and currency");
    let before = record_of(&world, &held, PeriodLabel::Previous);
    assert_eq!((before.forecasts.len(), is_told(&before)), (31, 1));
    assert_eq!(before.forecasts.last().expect("a forecast").made_from, date(2026, 10, 30));
}

#[test]
fn each_day_is_kept_once_and_a_month_that_is_over_no_more() {
    let world = autumn(None);
    let judged =
        |label| world.judge_after(Some(&world), &month(), label, NOW).expect("a judgement");
    let both = [judged(PeriodLabel::Current), judged(PeriodLabel::Previous)];
    let said = newly_said(&both, &[], at(NOW));
    let [kept] = said.as_slice() else { panic!("October is over: {said:?}") };
    assert_eq!((kept.band.as_str(), kept.period), ("month", both[0].period));
    assert_eq!(kept.forecast.made_from, date(2026, 11, 16));
    assert_eq!(kept.forecast.told_at, Some(at(NOW)));
    let outlook = both[0].outlook.as_ref().expect("a forecast");
    assert_eq!(Some(kept.forecast.expected), outlook.forecast.at(0.5));
    assert_eq!(newly_said(&both, &said, at(NOW)), []);
    let of_another_month = KeptForecast { period: both[1].period, ..kept.clone() };
    assert_eq!(newly_said(&both, &[of_another_month], at(NOW)), said);
}
