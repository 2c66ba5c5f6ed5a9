//! Promises of forecasts.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::analyse::forecast::learned::Learned;
use crate::domain::band::BandStatus;
use crate::domain::forecast::{BandForecast, SeriesError, SeriesRow, day_after};
use crate::domain::money::{Currency, Money, MoneyError};
use crate::domain::period::Window;

macro_rules! dec {
    ($amount:literal) => {
        stringify!($amount).parse::<Decimal>().unwrap()
    };
}

mod path;

const FIRST: Date = date(2026, 1, 1);

fn complete(amounts: impl IntoIterator<Item = Decimal>) -> CostSeries {
    let day = |amount| CostDay { amount: Some(amount), quantity: None, complete: true };
    let days = amounts.into_iter().map(day).collect();
    CostSeries { currency: Currency::USD, first: FIRST, days, charges: Vec::new() }
}

/// So many days of 100 a day, 40 less at weekends, and a little noise that repeats every 11 days.
fn fleet(days: usize) -> Vec<Decimal> {
    (0..days)
        .map(|at| {
            let weekend = day_after(FIRST, at).weekday().to_monday_zero_offset() >= 5;
            let noise = Decimal::from((at * 7 % 11) as i64) / dec!(10);
            if weekend { dec!(60) + noise } else { dec!(100) + noise }
        })
        .collect()
}

fn month(text: &str) -> BillingPeriod {
    text.parse().unwrap()
}

fn forecast(series: &CostSeries, period: &str) -> Forecast {
    month_end(series, month(period), &Aid::default()).unwrap().forecast().unwrap()
}

fn against(end: &MonthEnd<'_>, floor: Decimal, ceiling: Decimal) -> BandForecast {
    end.outlook(floor, ceiling).unwrap().against
}

fn near(amount: Decimal, wanted: Decimal, share: Decimal) -> bool {
    (amount - wanted).abs() <= share * wanted.abs()
}

#[test]
fn a_weekly_rhythm_is_followed_to_the_month_end() {
    let all = fleet(151);
    let actual: Decimal = all[120..151].iter().sum();
    let said = forecast(&complete(all[..125].to_vec()), "2026-05");
    assert!(near(said.at(0.5).unwrap(), actual, dec!(0.01)), "{said:?} for {actual}");
    assert_eq!(said.days_left, 26);
    assert_eq!(said.made_from, date(2026, 5, 5));
    assert!(said.used.past_forecasts > 8 && said.used.past_error.unwrap() < 0.02, "{said:?}");
}

#[test]
fn the_forecast_of_a_finished_month_is_its_actual_to_the_last_digit() {
    let mut series = complete(fleet(120));
    series.days[119].amount = Some(dec!(61.123456789012345678));
    series.charges.push(KnownCharge {
        day: date(2026, 4, 2),
        amount: dec!(-7.000000000000000001),
        category: ChargeCategory::Credit,
    });
    let actual: Decimal = series.days[90..120].iter().map(|day| day.amount.unwrap()).sum();
    let said = forecast(&series, "2026-04");
    assert_eq!(said.method, ForecastMethod::Actual);
    for quantile in &said.quantiles {
        assert_eq!(quantile.amount, actual - dec!(7.000000000000000001));
    }
}

#[test]
fn a_fee_on_the_first_is_expected_where_it_comes_and_not_again() {
    let with_fee = |days: usize| {
        let fee = |(at, amount)| {
            if day_after(FIRST, at).day() == 1 { amount + dec!(900) } else { amount }
        };
        complete(fleet(days).into_iter().enumerate().map(fee))
    };
    let actual: Decimal = with_fee(151).days[120..].iter().map(|day| day.amount.unwrap()).sum();
    // After the fee of May is booked: once.
    let said = forecast(&with_fee(122), "2026-05");
    assert!(near(said.at(0.5).unwrap(), actual, dec!(0.02)), "{said:?} for {actual}");
    // On the last of April: expected, and told as such.
    let said = forecast(&with_fee(120), "2026-05");
    assert!(near(said.at(0.5).unwrap(), actual, dec!(0.02)), "{said:?} for {actual}");
    let [charge] = said.used.expected_charges.as_slice() else { panic!("{said:?}") };
    assert_eq!(charge.day, date(2026, 5, 1));
    assert!(near(charge.amount, dec!(900), dec!(0.02)), "{charge:?}");
    // On the 5th, while the 1st is still restated: its fee is not forgotten.
    let mut late = with_fee(125);
    late.days[120].complete = false;
    let said = forecast(&late, "2026-05");
    assert!(near(said.at(0.5).unwrap(), actual, dec!(0.02)), "{said:?} for {actual}");
}

#[test]
fn a_fee_of_the_30th_is_due_where_that_is_the_last_day_and_one_of_the_last_on_any() {
    let fees = |is_due: &dyn Fn(Date) -> bool, days: usize| {
        let fee = |(at, amount)| {
            if is_due(day_after(FIRST, at)) { amount + dec!(900) } else { amount }
        };
        complete(fleet(days).into_iter().enumerate().map(fee))
    };
    let thirtieth = |day: Date| day.day() == 30;
    let last = |day: Date| day.day() == day.days_in_month();
    for (is_due, day) in [(&thirtieth as &dyn Fn(Date) -> bool, 30), (&last, 30)] {
        let said = forecast(&fees(is_due, 161), "2026-06");
        let [charge] = said.used.expected_charges.as_slice() else { panic!("{said:?}") };
        assert_eq!((charge.day, charge.amount.round()), (date(2026, 6, day), dec!(900)));
    }
    let said = forecast(&fees(&last, 140), "2026-05");
    let [charge] = said.used.expected_charges.as_slice() else { panic!("{said:?}") };
    assert_eq!(charge.day, date(2026, 5, 31), "once");
}

#[test]
fn a_known_purchase_that_comes_each_month_is_expected_until_it_is_booked() {
    let mut series = complete(fleet(130));
    let fee = |month| KnownCharge {
        day: date(2026, month, 15),
        amount: dec!(500),
        category: ChargeCategory::Purchase,
    };
    series.charges = vec![fee(2), fee(3), fee(4)];
    let said = forecast(&series, "2026-05");
    assert_eq!(said.used.expected_charges.len(), 1);
    assert_eq!(said.used.expected_charges[0].category, Some(ChargeCategory::Purchase));
    let before = said.at(0.5).unwrap();
    // Another purchase is not this one.
    series.charges.push(KnownCharge { day: date(2026, 5, 2), amount: dec!(3), ..fee(5) });
    assert_eq!(forecast(&series, "2026-05").used.expected_charges.len(), 1);
    series.charges.pop();
    series.charges.push(fee(5));
    let said = forecast(&series, "2026-05");
    assert!(said.used.expected_charges.is_empty(), "{said:?}");
    assert!(near(said.at(0.5).unwrap(), before, dec!(0.001)), "{before} {said:?}");
    // Of two alike ones in a month the first stands for itself.
    let second = |month| KnownCharge { day: date(2026, month, 3), ..fee(month) };
    series.charges = vec![fee(2), second(2), fee(3), second(3), fee(4), second(4), second(5)];
    let said = forecast(&series, "2026-05");
    let days: Vec<Date> = said.used.expected_charges.iter().map(|charge| charge.day).collect();
    assert_eq!(days, [date(2026, 5, 15)]);
}

#[test]
fn a_cluster_that_comes_is_the_level_after_three_days() {
    let mut amounts = fleet(123);
    for amount in &mut amounts[120..] {
        *amount *= dec!(3);
    }
    let said = forecast(&complete(amounts), "2026-05");
    let calm: Decimal = fleet(151)[120..].iter().sum();
    assert!(near(said.at(0.5).unwrap(), calm * dec!(3), dec!(0.03)), "{said:?}");
    assert_eq!(said.used.shifted_on, Some(date(2026, 5, 3)));
}

#[test]
fn provisional_days_are_booked_and_are_no_reading_of_the_level() {
    let mut series = complete(fleet(125));
    let before = forecast(&series, "2026-05");
    series.days.push(CostDay { amount: Some(dec!(3)), quantity: None, complete: false });
    let after = forecast(&series, "2026-05");
    assert_eq!(after.quantiles, before.quantiles);
    assert_eq!(after.booked, before.booked + dec!(3));
    // And no quantile is below what is booked.
    series.days[125].amount = Some(dec!(90000));
    let after = forecast(&series, "2026-05");
    assert!(after.quantiles.iter().all(|held| held.amount >= after.booked), "{after:?}");
    // And the day on which that crosses a ceiling is told.
    let end = month_end(&series, month("2026-05"), &Aid::default()).unwrap();
    assert_eq!(against(&end, dec!(0), dec!(50000)).crossing_p50, Some(date(2026, 5, 6)));
}

#[test]
fn missing_days_are_filled_and_said() {
    let whole = forecast(&complete(fleet(130)), "2026-05");
    let mut series = complete(fleet(130));
    for at in [40, 41, 122, 123] {
        series.days[at] = CostDay::default();
    }
    let said = forecast(&series, "2026-05");
    assert_eq!(said.used.gaps, 4);
    assert!(near(said.at(0.5).unwrap(), whole.at(0.5).unwrap(), dec!(0.02)), "{said:?}");
    // A day that is still provisional among complete ones is missing, whatever it says so far.
    series.days[123].amount = Some(dec!(1));
    assert_eq!(forecast(&series, "2026-05").quantiles, said.quantiles);
}

#[test]
fn three_days_are_enough_and_two_are_refused() {
    let series = complete(fleet(3));
    let said = forecast(&series, "2026-01");
    assert_eq!(said.method, ForecastMethod::ShortHistory);
    assert!(said.at(0.95).unwrap() > said.at(0.5).unwrap());
    let two = complete(fleet(2));
    let error = month_end(&two, month("2026-01"), &Aid::default()).unwrap_err();
    assert_eq!(error, ForecastError::TooShort(2));
    let mut fleet_cost = Aid { fleet_per_day: Some(dec!(100)), ..Aid::default() };
    let told = |aid: &Aid| month_end(&two, month("2026-01"), aid).unwrap().forecast().unwrap();
    let said = told(&fleet_cost);
    assert_eq!(said.method, ForecastMethod::Prior);
    assert!(near(said.at(0.5).unwrap(), dec!(3100), dec!(0.05)), "{said:?}");
    // What the days cost beyond the fleet stays where nothing tells their GPUs.
    let small = Aid { fleet_per_day: Some(dec!(10)), ..Aid::default() };
    assert!(near(told(&small).at(0.5).unwrap(), dec!(3100), dec!(0.05)), "{small:?}");
    // Where half of the days was for GPUs, the other half comes on top of those of now.
    fleet_cost.gpu_days = [(FIRST, dec!(50)), (day_after(FIRST, 1), dec!(50))].into();
    let more = told(&fleet_cost).at(0.5).unwrap() - said.at(0.5).unwrap();
    assert!(near(more, dec!(29) * dec!(50) * dec!(0.6), dec!(0.05)), "{more}");
}

#[test]
fn a_series_far_from_the_month_is_refused_by_name() {
    let series = complete(fleet(30));
    let far = |period| month_end(&series, month(period), &Aid::default()).unwrap_err();
    assert!(matches!(far("2026-09"), ForecastError::TooOld { .. }));
    let january = complete(fleet(31));
    let of = |period| month_end(&january, month(period), &Aid::default()).err();
    let newest = january.date(30);
    assert_eq!(of("2026-02"), None);
    let march = ForecastError::TooOld { period: month("2026-03"), newest };
    assert_eq!(of("2026-03"), Some(march), "nothing is known of February");
    assert_eq!(far("2025-11"), ForecastError::NothingBefore(month("2025-11")));
    let mut empty = series.clone();
    empty.days.clear();
    let error = month_end(&empty, month("2026-01"), &Aid::default()).unwrap_err();
    assert_eq!(error, ForecastError::NothingBefore(month("2026-01")));
}

#[test]
fn a_band_is_told_its_chance_its_day_and_what_is_left_a_day() {
    let series = complete(fleet(130));
    let end = month_end(&series, month("2026-05"), &Aid::default()).unwrap();
    let median = end.forecast().unwrap().at(0.5).unwrap();
    let tight = against(&end, dec!(0), median - dec!(300));
    assert!(tight.above_ceiling > 0.95 && tight.below_floor <= 0.001, "{tight:?}");
    let crossing = tight.crossing_p50.unwrap();
    assert!(tight.crossing_p80.unwrap() <= crossing);
    assert!(crossing >= date(2026, 5, 27) && crossing <= date(2026, 5, 29), "{tight:?}");
    let left = median - dec!(300) - end.forecast().unwrap().booked;
    assert!(near(tight.allowed_per_day.unwrap(), left / dec!(21), dec!(0.001)), "{tight:?}");
    assert_eq!(end.status(dec!(0), median - dec!(300)), BandStatus::Above);
    let wide = against(&end, median * dec!(2), median * dec!(3));
    assert!(wide.above_ceiling < 0.0011 && wide.below_floor > 0.9985, "{wide:?}");
    assert_eq!((wide.crossing_p50, wide.crossing_p80), (None, None));
    let over = against(&end, dec!(0), dec!(150));
    assert_eq!((over.above_ceiling, over.crossing_p50), (1.0, Some(date(2026, 5, 2))));
    assert!(over.allowed_per_day.unwrap() < Decimal::ZERO);
}

#[test]
fn even_odds_are_at_the_median() {
    let series = complete(fleet(130));
    let end = month_end(&series, month("2026-05"), &Aid::default()).unwrap();
    let said = end.forecast().unwrap();
    for quantile in &said.quantiles {
        let above = end.probability_above(quantile.amount + dec!(0.0001));
        let wanted = 1.0 - quantile.probability;
        assert!((above - wanted).abs() < 0.06, "{above} at {quantile:?}");
    }
}

#[test]
fn ten_years_and_years_of_nothing_are_read() {
    let series = complete(fleet(3650));
    let last = BillingPeriod::containing(series.date(3649));
    let end = month_end(&series, last.next(), &Aid::default()).unwrap();
    assert!(near(end.forecast().unwrap().at(0.5).unwrap(), dec!(2800), dec!(0.05)));
    let nothing = complete(std::iter::repeat_n(Decimal::ZERO, 400));
    let period = BillingPeriod::containing(nothing.date(399));
    let said = month_end(&nothing, period, &Aid::default()).unwrap().forecast().unwrap();
    assert!(said.quantiles.iter().all(|held| held.amount.is_zero()), "{said:?}");
}

#[test]
fn a_currency_that_changes_in_the_series_is_refused() {
    let row = |day: i8, currency| SeriesRow {
        day: date(2026, 1, day),
        cost: Money::new(dec!(5), currency),
        category: ChargeCategory::Usage,
        quantity: None,
    };
    let rows = [row(1, Currency::USD), row(2, "EUR".parse().unwrap())];
    let window = Window::new(FIRST, date(2026, 1, 5));
    let error = CostSeries::gather(window, Currency::USD, &rows, &BTreeSet::new()).unwrap_err();
    let SeriesError::Money { day, problem } = error else { panic!("{error}") };
    assert_eq!(day, date(2026, 1, 2));
    assert!(matches!(problem, MoneyError::CurrencyMismatch { .. }));
    let empty = Window::new(FIRST, FIRST);
    let error = CostSeries::gather(empty, Currency::USD, &[], &BTreeSet::new()).unwrap_err();
    assert!(matches!(error, SeriesError::Empty(_)));
}

#[test]
fn rare_charges_are_told_apart_and_daily_ones_are_use() {
    let row = |day: i8, category| SeriesRow {
        day: date(2026, 1, day),
        cost: Money::new(dec!(5), Currency::USD),
        category,
        quantity: Some(dec!(2)),
    };
    let mut rows: Vec<SeriesRow> = (1..=28).map(|day| row(day, ChargeCategory::Usage)).collect();
    rows.extend((1..=28).map(|day| row(day, ChargeCategory::Purchase)));
    rows.push(row(3, ChargeCategory::Credit));
    let window = Window::new(FIRST, date(2026, 1, 30));
    let all: BTreeSet<Date> = window.days().collect();
    let series = CostSeries::gather(window, Currency::USD, &rows, &all).unwrap();
    assert_eq!(series.days[0].amount, Some(dec!(10)));
    assert_eq!(series.days[0].quantity, Some(dec!(4)));
    assert_eq!(
        series.days[28].amount,
        Some(dec!(0)),
        "complete and without a row: it cost nothing"
    );
    let [credit] = series.charges.as_slice() else { panic!("{:?}", series.charges) };
    assert_eq!(credit.category, ChargeCategory::Credit);
}

#[test]
fn a_day_pushed_is_as_a_day_read() {
    let mut values: Vec<f64> = fleet(260).iter().map(|amount| amount.to_f64().unwrap()).collect();
    for (at, value) in values.iter_mut().enumerate() {
        let day = day_after(FIRST, at).day();
        *value += if day == 1 { 700.0 } else { 0.0 };
        *value *= if at > 200 { 1.7 } else { 1.0 };
    }
    values[90] = f64::NAN;
    let mut pushed = Learned::read(FIRST, &values[..20]);
    for at in 20..values.len() {
        pushed.push(values[at]);
        let read = Learned::read(FIRST, &values[..=at]);
        for horizon in [1, 9, 28] {
            assert_eq!(pushed.ahead(horizon), read.ahead(horizon), "day {at}");
            let (one, other) = (Choice::of(&pushed, horizon), Choice::of(&read, horizon));
            assert_eq!(one, other, "day {at}");
            let (one, other) =
                (Outlook::ahead(&pushed, &one, horizon), Outlook::ahead(&read, &other, horizon));
            assert_eq!(one, other, "day {at}");
        }
    }
}

fn amounts() -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(
        prop_oneof![8 => 0_i64..200_000, 1 => -50_000_i64..0, 1 => 1_000_000_i64..90_000_000],
        3..170,
    )
}

fn cents(amounts: &[i64]) -> CostSeries {
    complete(amounts.iter().map(|amount| Decimal::new(*amount, 2)))
}

fn open_month(series: &CostSeries) -> BillingPeriod {
    BillingPeriod::containing(series.date(series.days.len() - 1))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn quantiles_never_cross(amounts in amounts()) {
        let series = cents(&amounts);
        let end = month_end(&series, open_month(&series), &Aid::default()).unwrap();
        let said = end.forecast().unwrap();
        let told: Vec<Decimal> = said.quantiles.iter().map(|held| held.amount).collect();
        prop_assert!(told.is_sorted(), "{told:?}");
        prop_assert!(said.interval_95[0] <= said.interval_80[0]);
        prop_assert!(said.interval_95[1] >= said.interval_80[1]);
        let sure = |limit| end.probability_above(limit);
        prop_assert!(sure(dec!(100)) >= sure(dec!(100000)));
    }

    #[test]
    fn another_currency_scales_everything(amounts in amounts(), rate in 1_u32..5_000) {
        let series = cents(&amounts);
        let rate = Decimal::from(rate);
        let mut other = series.clone();
        for day in &mut other.days {
            day.amount = day.amount.map(|amount| amount * rate);
        }
        let (one, other) = (
            month_end(&series, open_month(&series), &Aid::default()).unwrap().forecast().unwrap(),
            month_end(&other, open_month(&series), &Aid::default()).unwrap().forecast().unwrap(),
        );
        let size: Decimal = one.quantiles.iter().map(|held| held.amount.abs()).max().unwrap();
        for (one, other) in one.quantiles.iter().zip(&other.quantiles) {
            let off = (one.amount * rate - other.amount).abs();
            prop_assert!(off <= dec!(0.0001) * size * rate, "{one:?} {other:?} {rate}");
        }
    }

    #[test]
    fn a_known_credit_moves_the_total_by_itself(amounts in amounts(), credit in 1_i64..1_000_000) {
        let mut amounts = amounts;
        // Money was given before, so that the total may fall.
        amounts[0] = -1;
        let mut series = cents(&amounts);
        let period = open_month(&series);
        let before = month_end(&series, period, &Aid::default()).unwrap().forecast().unwrap();
        series.charges.push(KnownCharge {
            day: period.first_day(),
            amount: Decimal::new(-credit, 2),
            category: ChargeCategory::Credit,
        });
        let after = month_end(&series, period, &Aid::default()).unwrap().forecast().unwrap();
        for (before, after) in before.quantiles.iter().zip(&after.quantiles) {
            prop_assert_eq!(before.amount - Decimal::new(credit, 2), after.amount);
        }
    }

    #[test]
    fn services_in_another_order_change_nothing(
        amounts in prop::collection::vec((0_u8..60, 0_i64..100_000), 20..200),
    ) {
        let row = |(day, amount): &(u8, i64)| SeriesRow {
            day: day_after(FIRST, usize::from(*day)),
            cost: Money::new(Decimal::new(*amount, 3), Currency::USD),
            category: ChargeCategory::Usage,
            quantity: None,
        };
        let rows: Vec<SeriesRow> = amounts.iter().map(row).collect();
        let turned: Vec<SeriesRow> = rows.iter().rev().cloned().collect();
        let window = Window::new(FIRST, day_after(FIRST, 60));
        let all: BTreeSet<Date> = window.days().collect();
        let said = |rows: &[SeriesRow]| {
            let series = CostSeries::gather(window, Currency::USD, rows, &all).unwrap();
            forecast(&series, "2026-03")
        };
        prop_assert_eq!(said(&rows), said(&turned));
    }

    #[test]
    fn nothing_that_a_series_holds_makes_it_panic(
        values in prop::collection::vec(
            prop_oneof![
                6 => -1e6_f64..1e9,
                1 => Just(f64::NAN),
                1 => Just(0.0),
                1 => Just(f64::INFINITY),
                1 => Just(1e300),
                1 => Just(-1e-300),
            ],
            0..500,
        ),
        horizon in 0_usize..70,
    ) {
        let learned = Learned::read(FIRST, &values);
        let choice = Choice::of(&learned, horizon);
        let outlook = Outlook::ahead(&learned, &choice, horizon);
        prop_assert!(choice.weights.iter().all(|weight| !weight.is_nan()), "{choice:?}");
        let _ = (outlook.quantile(0.0), outlook.quantile(0.95), outlook.quantile(1.0));
    }
}
