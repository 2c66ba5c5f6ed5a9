//! How fast the last complete days burn a ceiling.

use super::*;
use crate::domain::band::BurnRates;

fn rates(world: &World, now: &str) -> BurnRates {
    world.judge(&band("5000", "30000"), PeriodLabel::Current, now).burn
}

#[test]
fn a_burn_rate_of_one_ends_the_month_at_its_ceiling() {
    let world = World::steady(Provider::Aws);
    let all = BurnRates { one_day: Some(1.0), three_days: Some(1.0), seven_days: Some(1.0) };
    assert_eq!(rates(&world, NOON), all);
    let judged = world.judge(&band("5000", "30000"), PeriodLabel::Current, NOON);
    assert_eq!(judged.newest_complete_day, Some(date(2026, 11, 10)));
    assert_eq!(judged.last_day, Some("1000 USD".parse().expect("money")));
}

#[test]
fn the_newest_days_are_told_apart_from_the_week() {
    let mut world = World::of(Provider::Aws);
    for (index, day) in Window::days(&window(10)).enumerate() {
        let amount = if index == 9 { "4000" } else { "1000" };
        world.day(day, amount, "2026-11-13T00:00:00Z", "2026-11-14T00:00:00Z");
    }
    let burn = rates(&world, NOON);
    assert_eq!((burn.one_day, burn.three_days), (Some(4.0), Some(2.0)));
    assert!((burn.seven_days.expect("seven days") - 10.0 / 7.0).abs() < 1e-9);
}

#[test]
fn fewer_complete_days_than_a_rate_is_over_tell_none() {
    let mut world = World::of(Provider::Aws);
    for day in Window::days(&window(3)) {
        world.day(day, "1000", "2026-11-06T00:00:00Z", "2026-11-07T00:00:00Z");
    }
    let burn = rates(&world, "2026-11-07T12:00:00Z");
    assert_eq!((burn.three_days, burn.seven_days), (Some(1.0), None));
}

#[test]
fn a_reading_that_is_too_old_tells_no_rate() {
    let world = World::steady(Provider::Aws);
    assert_eq!(rates(&world, "2026-11-16T00:00:01Z"), BurnRates::default());
}
