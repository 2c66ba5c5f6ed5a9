//! Promises of days that another measure tells.

#![allow(clippy::unwrap_used)]

use jiff::civil::date;

use super::*;
use crate::analyse::forecast::{Aid, MonthEnd, estimated, month_end};
use crate::domain::forecast::{CostDay, CostSeries};
use crate::domain::money::Currency;
use crate::domain::period::BillingPeriod;

/// 2026-05-01 is day 120.
const FIRST: Date = date(2026, 1, 1);

/// A small generator of numbers from 0 to 1 (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// GPUs of 100 a day, a fifth less at weekends, a twentieth of noise, times a level of each day.
fn gpus(days: usize, dice: &mut Dice, level: impl Fn(usize) -> f64) -> Vec<f64> {
    let day = |at: usize| {
        let weekend = day_after(FIRST, at).weekday().to_monday_zero_offset() >= 5;
        let rhythm = if weekend { 80.0 } else { 100.0 };
        rhythm * level(at)
    };
    (0..days).map(|at| day(at) * (0.975 + 0.05 * dice.roll())).collect()
}

fn bill(amounts: &[f64]) -> CostSeries {
    let day = |amount: &f64| CostDay { amount: estimated(*amount), quantity: None, complete: true };
    let days = amounts.iter().map(day).collect();
    CostSeries { currency: Currency::USD, first: FIRST, days, charges: Vec::new() }
}

/// Telemetry of the days from an index on.
fn told(gpus: &[f64], from: usize) -> Aid {
    let days = gpus.iter().enumerate().skip(from);
    let gpu_days = days.map(|(at, cost)| (day_after(FIRST, at), estimated(*cost).unwrap()));
    Aid { fleet_per_day: None, gpu_days: gpu_days.collect() }
}

fn end<'a>(series: &'a CostSeries, aid: &Aid) -> MonthEnd<'a> {
    month_end(series, BillingPeriod::new(2026, 5).unwrap(), aid).unwrap()
}

fn median(end: &MonthEnd<'_>) -> f64 {
    end.forecast().unwrap().at(0.5).unwrap().to_f64().unwrap()
}

/// Days to the 10th of May are billed and telemetry tells those to the 13th, on whose 11th the
/// fleet doubles; a bill is 0.7 of the GPUs and 40 of other things.
fn doubled() -> (Vec<f64>, CostSeries) {
    let gpus = gpus(133, &mut Dice(7), |at| if at < 130 { 1.0 } else { 2.0 });
    let billed: Vec<f64> = gpus[..130].iter().map(|cost| 40.0 + 0.7 * cost).collect();
    (gpus, bill(&billed))
}

#[test]
fn a_fleet_that_doubles_is_told_before_its_bill_comes() {
    let (gpus, series) = doubled();
    let plain = median(&end(&series, &Aid::default()));
    let told_end = end(&series, &told(&gpus, 90));
    // 21 days of 100 more, 80 on 6 of them; the bill's share of 0.7 is half learned from quiet days.
    let more = 15.0 * 100.0 + 6.0 * 80.0;
    let moved = median(&told_end) - plain;
    assert!((0.7..0.95).contains(&(moved / more)), "{moved} of {more}");
    assert_eq!(told_end.forecast().unwrap().used.nowcast_days, 3);
    // One day of it is no new level yet, and counts as what it is.
    let moved = median(&end(&series, &told(&gpus[..131], 90))) - plain;
    assert!((0.03..0.2).contains(&(moved / more)), "{moved} of {more}");
}

#[test]
fn a_crossing_is_dated_with_it() {
    let (gpus, series) = doubled();
    let plain = end(&series, &Aid::default());
    let told = end(&series, &told(&gpus, 90));
    let ceiling = estimated(median(&plain) + 300.0).unwrap();
    assert_eq!(plain.outlook(Decimal::ZERO, ceiling).unwrap().against.crossing_p50, None);
    let crossing = told.outlook(Decimal::ZERO, ceiling).unwrap().against.crossing_p50.unwrap();
    assert!((date(2026, 5, 22)..=date(2026, 5, 27)).contains(&crossing), "{crossing}");
}

#[test]
fn what_never_moved_the_bill_does_not_move_the_forecast() {
    // A reservation: the same bill whatever runs.
    let mut gpus = gpus(133, &mut Dice(7), |at| if at % 9 < 4 { 0.6 } else { 1.0 });
    let billed: Vec<f64> = (0..130).map(|at| 100.0 + f64::from(at % 3)).collect();
    gpus[130..].iter_mut().for_each(|cost| *cost *= 3.0);
    let series = bill(&billed);
    let plain = median(&end(&series, &Aid::default()));
    let moved = median(&end(&series, &told(&gpus, 90))) - plain;
    assert!((moved / plain).abs() < 0.05, "{moved} of {plain}");
}

#[test]
fn too_little_telemetry_says_nothing() {
    let (gpus, series) = doubled();
    let days = |aid: &Aid| end(&series, aid).forecast().unwrap().used.nowcast_days;
    assert_eq!(days(&told(&gpus, 124)), 0, "six days before");
    assert_eq!(days(&told(&gpus, 123)), 3, "seven");
    assert_eq!(days(&told(&gpus[..130], 90)), 0, "none after");
    let mut holes = told(&gpus, 90);
    for day in [day_after(FIRST, 125), day_after(FIRST, 127), day_after(FIRST, 129)] {
        holes.gpu_days.remove(&day);
    }
    assert_eq!(days(&holes), 0, "three of the last week are missing");
    let mut hole = told(&gpus, 90);
    hole.gpu_days.remove(&day_after(FIRST, 131));
    assert_eq!(days(&hole), 1, "up to the first day that is missing");
    assert_eq!(days(&told(&gpus[131..], 0)), 0, "all of it is older than the series");
}

#[test]
fn a_month_that_is_over_needs_no_telemetry() {
    let gpus = gpus(160, &mut Dice(3), |_| 1.0);
    let series = bill(&gpus[..155]);
    let [plain, told] = [&Aid::default(), &told(&gpus, 90)].map(|aid| end(&series, aid));
    assert_eq!(plain.forecast().unwrap(), told.forecast().unwrap());
}

#[test]
fn months_are_told_better_in_the_week_after_a_change() {
    let (mut without, mut with) = (0.0, 0.0);
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let (change, factor) = (122 + (18.0 * dice.roll()) as usize, 0.4 + 1.6 * dice.roll());
        let gpus = gpus(151, &mut dice, |at| if at < change { 1.0 } else { factor });
        let all: Vec<f64> = gpus.iter().map(|cost| 35.0 + 0.8 * cost + 6.0 * dice.roll()).collect();
        let actual: f64 = all[120..].iter().sum();
        // Bills come three days after telemetry.
        for day in change + 1..=change + 7 {
            let series = bill(&all[..day - 3]);
            without += (median(&end(&series, &Aid::default())) - actual).abs();
            with += (median(&end(&series, &told(&gpus[..day], 90))) - actual).abs();
        }
    }
    assert!(with < 0.5 * without, "{with} against {without}");
}
