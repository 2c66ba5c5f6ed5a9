//! What a band's forecast is made from.

use super::*;
use crate::domain::forecast::Forecast;

const FIRST_READ: &str = "2026-11-19T00:00:00Z";
const READ: &str = "2026-11-20T00:00:00Z";
const NOW: &str = "2026-11-20T12:00:00Z";

/// September to the 16th of November at about 1,000 a day; the newest days cost nothing.
fn autumn(idle: i64) -> World {
    let mut world = World::of(Provider::Aws);
    for at in 0..77_i64 {
        let day = date(2026, 9, 1).saturating_add(at.days());
        if at >= 77 - idle {
            world.empty_day(day, FIRST_READ, READ);
        } else {
            let cost = if at % 2 == 0 { "1000" } else { "1010" };
            world.day(day, cost, FIRST_READ, READ);
        }
    }
    world
}

fn forecast(world: &World, history: &World) -> Forecast {
    let band = band("20000", "40000");
    let judged = world.judge_after(Some(history), &band, PeriodLabel::Current, NOW);
    judged.and_then(|judged| judged.outlook).expect("a forecast").forecast
}

fn ends_near(forecast: &Forecast, amount: &str) {
    let median = forecast.at(0.5).expect("a median");
    assert!((median - decimal(amount)).abs() < decimal("300"), "{forecast:?}");
}

#[test]
fn a_band_that_stopped_is_not_forecast_as_running() {
    let running = autumn(0);
    ends_near(&forecast(&running, &running), "30150");
    let stopped = autumn(10);
    let said = forecast(&stopped, &stopped);
    assert_eq!(said.made_from, date(2026, 11, 16), "days without a cost are known too");
    ends_near(&said, "6030");
}

#[test]
fn an_older_day_in_another_currency_is_a_gap_and_not_the_end_of_forecasts() {
    let mut world = autumn(0);
    for (_, row) in &mut world.rows {
        if row.day == date(2026, 9, 20) {
            row.currency = "CHF".parse().expect("a currency");
        }
    }
    let said = forecast(&world, &world);
    assert_eq!(said.used.gaps, 1, "{said:?}");
    ends_near(&said, "30150");
}

#[test]
fn a_restated_day_is_judged_as_it_was_read_now_and_not_as_it_was() {
    let before = autumn(0);
    let mut world = autumn(0);
    for reading in world.readings.iter_mut().filter(|held| held.day >= date(2026, 11, 10)) {
        reading.steady_since = at(READ);
    }
    assert_eq!(forecast(&world, &before).made_from, date(2026, 11, 9));
}

#[test]
fn a_purchase_is_no_daily_use() {
    let mut world = autumn(0);
    let row = world.row(0, date(2026, 11, 12), "compute", "9000");
    row.category = ChargeCategory::Purchase;
    let said = forecast(&world, &world);
    ends_near(&said, "39150");
    let [low, high] = said.interval_80;
    assert!(high - low < decimal("1000"), "one purchase widens nothing: {said:?}");
}
