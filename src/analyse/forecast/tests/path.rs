//! Promises of the way to a month's end.

use super::*;
use crate::domain::forecast::{BandOutlook, PathDay};

/// Complete days up to the 5th of May, three provisional ones after them.
fn early_may() -> CostSeries {
    let mut series = complete(fleet(128));
    for day in &mut series.days[125..] {
        day.complete = false;
    }
    series
}

fn outlook(series: &CostSeries, aid: &Aid, ceiling: Decimal) -> BandOutlook {
    let period = BillingPeriod::containing(series.date(series.days.len() - 1));
    month_end(series, period, aid).unwrap().outlook(Decimal::ZERO, ceiling).unwrap()
}

fn days(path: &[PathDay]) -> Vec<Date> {
    path.iter().map(|on| on.day).collect()
}

/// The first day on which one of the probabilities has reached an amount.
fn reached(path: &[PathDay], place: usize, amount: Decimal) -> Option<Date> {
    path.iter().find(|on| on.quantiles[place] >= amount).map(|on| on.day)
}

#[test]
fn the_way_begins_after_the_newest_complete_day_and_ends_at_the_forecast() {
    let said = outlook(&early_may(), &Aid::default(), dec!(5000));
    let wanted: Vec<Date> = (6..=31).map(|day| date(2026, 5, day)).collect();
    assert_eq!(days(&said.path), wanted);
    let told: Vec<Decimal> = said.forecast.quantiles.iter().map(|held| held.amount).collect();
    assert_eq!(said.path.last().unwrap().quantiles, told);
    // Before the month's first day is complete, its first day is the first of the way.
    let series = complete(fleet(118));
    let end = month_end(&series, month("2026-05"), &Aid::default()).unwrap();
    let path = end.outlook(dec!(0), dec!(5000)).unwrap().path;
    assert_eq!((path.len(), path[0].day), (31, date(2026, 5, 1)));
    assert!(near(path[0].quantiles[3], dec!(100), dec!(0.05)), "{:?}", path[0]);
    // And a month that is complete has none.
    let whole = complete(fleet(151));
    assert_eq!(outlook(&whole, &Aid::default(), dec!(5000)).path, []);
}

#[test]
fn a_fee_is_in_the_way_from_its_day_on() {
    let mut series = complete(fleet(128));
    series.charges = [2, 3, 4]
        .map(|month| KnownCharge {
            day: date(2026, month, 15),
            amount: dec!(5000),
            category: ChargeCategory::Purchase,
        })
        .to_vec();
    let said = outlook(&series, &Aid::default(), dec!(6000));
    let median = |day: i8| {
        let on = said.path.iter().find(|on| on.day == date(2026, 5, day)).unwrap();
        on.quantiles[3]
    };
    let steps = [median(14) - median(13), median(15) - median(14), median(16) - median(15)];
    assert!(steps[0] < dec!(200) && steps[1] > dec!(4900) && steps[2] < dec!(200), "{steps:?}");
    assert_eq!(said.against.crossing_p50, Some(date(2026, 5, 15)));
}

#[test]
fn what_is_booked_of_a_day_that_is_not_complete_is_the_least_of_it() {
    let mut series = early_may();
    series.days[126].amount = Some(dec!(90000));
    let said = outlook(&series, &Aid::default(), dec!(50000));
    let booked = |at: usize| series.days[120..=at].iter().filter_map(|day| day.amount).sum();
    for (on, at) in said.path.iter().zip(125..) {
        let least: Decimal = booked(at.min(127));
        assert!(on.quantiles.iter().all(|amount| *amount >= least), "{on:?} {least}");
    }
    assert!(said.path[0].quantiles[6] < dec!(5000), "{:?}", said.path[0]);
    assert_eq!(said.against.crossing_p50, Some(date(2026, 5, 7)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_way_agrees_with_the_forecast_and_the_crossing_days(
        amounts in amounts(),
        gifts in any::<bool>(),
        provisional in 0_usize..5,
        gap in 0_usize..170,
        charge in prop_oneof![2 => Just(0_i64), 1 => -90_000_i64..90_000],
        told in 0_usize..6,
        fleet in prop::option::of(0_i64..5_000),
        share in 0_u32..130,
    ) {
        let taken = |amount: i64| if gifts { amount } else { amount.abs() };
        let mut series = cents(&amounts.into_iter().map(taken).collect::<Vec<_>>());
        let count = series.days.len();
        let provisional = provisional.min(count - 3);
        for day in &mut series.days[count - provisional..] {
            day.complete = false;
        }
        if gap + provisional + 4 < count {
            series.days[gap] = CostDay::default();
        }
        let period = open_month(&series);
        if charge != 0 {
            let day = period.first_day();
            let (amount, category) = (Decimal::new(charge, 2), ChargeCategory::Adjustment);
            series.charges.push(KnownCharge { day, amount, category });
        }
        let gpus = |at: usize| (series.date(at), Decimal::from(700 + at as i64 % 5 * 40));
        let aid = Aid {
            fleet_per_day: fleet.map(Decimal::from),
            gpu_days: (0..count - provisional + told).map(gpus).collect(),
        };
        let Ok(end) = month_end(&series, period, &aid) else { return Ok(()) };
        let most = end.forecast().unwrap().quantiles[6].amount;
        let ceiling = (most * Decimal::from(share) / dec!(100)).round_dp(2);
        let BandOutlook { forecast, against, path } = end.outlook(dec!(0), ceiling).unwrap();

        prop_assert_eq!(path.len(), forecast.days_left);
        let falls = series.days.iter().filter_map(|day| day.amount).any(|day| day < dec!(0))
            || charge < 0
            || forecast.used.expected_charges.iter().any(|charge| charge.amount < dec!(0));
        for (at, on) in path.iter().enumerate() {
            prop_assert!(on.quantiles.is_sorted(), "{on:?}");
            prop_assert_eq!(on.day, day_after(path[0].day, at));
            if let (false, Some(next)) = (falls, path.get(at + 1)) {
                let rises = on.quantiles.iter().zip(&next.quantiles).all(|(now, then)| now <= then);
                prop_assert!(rises, "{on:?} {next:?}");
            }
        }
        if let Some(last) = path.last() {
            prop_assert_eq!(last.day, day_after(period.first_day(), usize::try_from(period.days()).unwrap() - 1));
            let told: Vec<Decimal> = forecast.quantiles.iter().map(|held| held.amount).collect();
            prop_assert_eq!(&last.quantiles, &told);
        }
        let is_ahead = |crossing: Option<Date>| crossing.is_none_or(|day| day > forecast.made_from);
        if is_ahead(against.crossing_p50) && is_ahead(against.crossing_p80) {
            prop_assert_eq!(against.crossing_p50, reached(&path, 3, ceiling));
            let (late, early) = (reached(&path, 4, ceiling), reached(&path, 5, ceiling));
            let or_never = |day: Option<Date>| day.unwrap_or(Date::MAX);
            let between = or_never(early)..=or_never(late);
            prop_assert!(between.contains(&or_never(against.crossing_p80)), "{against:?} {path:?}");
        }
    }
}
