//! Rules of a band's month and of its pace.

use super::*;

#[test]
fn booked_money_above_the_ceiling_is_told_at_once_however_old_the_reading() {
    let rule = AlertRule::CeilingExceeded;
    let over = BandJudgement {
        spend: Some(dollars(30_001)),
        ..judged(band(), BandView::Actual, BandStatus::Above)
    };
    let told = World::with(over).one(rule);
    assert_eq!((told.verdict, told.fires_after), (Verdict::Met, Patience::Days(1)));
    assert_eq!(told.details.severity, Severity::Critical);
    assert_eq!(*told.details.figures.get(FigureName::Excess).unwrap(), Figure::Money(dollars(1)));
    assert_eq!(told.details.owner.as_deref(), Some("team"));
    assert_eq!(told.key.about(Subject::Band), Some("main"));
    assert_eq!(told.key.period, Some(period("2026-11")));
    assert_eq!(World::with(band()).verdict(rule), Verdict::Clear);
    let stale = judged(band(), BandView::Actual, BandStatus::Unknown);
    assert_eq!(World::with(stale).verdict(rule), Verdict::Unknown);
}

#[test]
fn a_month_that_is_over_wakes_nobody() {
    let over = judged(band(), BandView::Actual, BandStatus::Above);
    let over = BandJudgement { label: PeriodLabel::Previous, ..over };
    let told = World::with(over).one(AlertRule::CeilingExceeded);
    assert_eq!((told.verdict, told.details.severity), (Verdict::Met, Severity::Warning));
}

#[test]
fn a_final_period_is_judged_no_more() {
    let last = BandJudgement { is_final: true, label: PeriodLabel::Previous, ..band() };
    let world = World::with(last);
    assert!(
        observe(&world.facts(), &world.policies).iter().all(|told| told
            .key
            .rule
            .as_str()
            .contains("source")
            || told.key.about(Subject::Band).is_none())
    );
    let key = bands_key(AlertRule::CeilingExceeded, "2026-11");
    assert_eq!(world.absent(&key), (Verdict::Clear, AlertEnd::PeriodFinal));
}

fn bands_key(rule: AlertRule, month: &str) -> AlertKey {
    AlertKey::new(rule).of(Subject::Band, "main").within(period(month))
}

#[test]
fn a_month_that_will_end_above_the_ceiling_is_told_from_half_a_chance_on() {
    let rule = AlertRule::CeilingForecast;
    let with = |above: f64, median: i64| {
        let mut band = band();
        let mut told = outlook([28_000, 28_500, 29_000, median, 31_000, 31_500, 32_000]);
        told.against.above_ceiling = above;
        band.outlook = Some(told);
        World::with(band)
    };
    let told = with(0.5, 30_000).one(rule);
    assert_eq!((told.verdict, told.day), (Verdict::Met, Some(day("2026-11-12"))));
    assert_eq!(told.fires_after, Patience::Days(2));
    let figures = &told.details.figures;
    assert_eq!(*figures.get(FigureName::Crossing).unwrap(), Figure::Day(day("2026-11-30")));
    assert_eq!(*figures.get(FigureName::CrossingEarly).unwrap(), Figure::Day(day("2026-11-28")));
    assert_eq!(*figures.get(FigureName::Probability).unwrap(), Figure::Ratio(0.5));
    assert_eq!(with(0.49, 29_900).verdict(rule), Verdict::Between);
    assert_eq!(with(0.3, 29_101).verdict(rule), Verdict::Between, "above 0.97 of the ceiling");
    assert_eq!(with(0.3, 29_100).verdict(rule), Verdict::Clear);
}

#[test]
fn a_cautious_probability_ends_by_its_own_quantile_and_not_by_the_median() {
    let mut world = World::with(band());
    let policy = &mut world.policies.ceiling_forecast.usual;
    policy.thresholds.probability = 0.25;
    let rule = AlertRule::CeilingForecast;
    let mut with = |above: f64, upper: i64| {
        let mut told = outlook([20_000, 20_500, 21_000, 22_000, upper, 31_500, 32_000]);
        told.against.above_ceiling = above;
        world.bands[0].outlook = Some(told);
        world.verdict(rule)
    };
    assert_eq!(with(0.25, 30_000), Verdict::Met);
    assert_eq!(with(0.24, 29_500), Verdict::Between, "though the median is far below");
    assert_eq!(with(0.2, 29_100), Verdict::Clear);
}

#[test]
fn a_forecast_of_few_days_and_little_history_tells_nothing_unless_the_ceiling_is_passed() {
    let with = |days: i64, history: usize, spend: i64| {
        let mut band = BandJudgement { complete_days: days, spend: Some(dollars(spend)), ..band() };
        if let Some(outlook) = &mut band.outlook {
            outlook.forecast.used.days = history;
        }
        World::with(band).verdict(AlertRule::CeilingForecast)
    };
    assert_eq!(with(4, 27, 14_000), Verdict::Unknown);
    assert_eq!(with(5, 27, 14_000), Verdict::Met);
    assert_eq!(with(4, 28, 14_000), Verdict::Met);
    assert_eq!(with(4, 27, 30_001), Verdict::Met);
    let stale = judged(band(), BandView::Forecast, BandStatus::Unknown);
    assert_eq!(World::with(stale).verdict(AlertRule::CeilingForecast), Verdict::Unknown);
    let untold = BandJudgement { outlook: None, ..band() };
    assert_eq!(World::with(untold).verdict(AlertRule::CeilingForecast), Verdict::Unknown);
}

fn burning(one: f64, three: f64, seven: f64) -> BandJudgement {
    let rates = BurnRates { one_day: Some(one), three_days: Some(three), seven_days: Some(seven) };
    BandJudgement { burn: rates, ..band() }
}

#[test]
fn a_fast_pace_wants_both_rates_and_is_over_after_a_calm_day() {
    let verdict = |one, three| World::with(burning(one, three, 1.0)).verdict(AlertRule::PaceFast);
    assert_eq!(verdict(2.0, 1.5), Verdict::Met);
    assert_eq!(verdict(1.99, 1.5), Verdict::Between);
    assert_eq!(verdict(2.0, 1.49), Verdict::Between);
    assert_eq!(verdict(1.5, 1.6), Verdict::Between);
    assert_eq!(verdict(1.49, 1.6), Verdict::Clear);
    let few =
        BandJudgement { burn: BurnRates { one_day: Some(9.0), ..BurnRates::default() }, ..band() };
    assert_eq!(World::with(few).verdict(AlertRule::PaceFast), Verdict::Unknown);
}

#[test]
fn the_pace_of_a_month_that_is_over_begins_nothing() {
    let over = BandJudgement { label: PeriodLabel::Previous, ..burning(3.0, 3.0, 3.0) };
    let world = World::with(over);
    for rule in [AlertRule::PaceFast, AlertRule::PaceSlow] {
        assert_eq!(world.all(rule), []);
        assert_eq!(
            world.absent(&bands_key(rule, "2026-11")),
            (Verdict::Clear, AlertEnd::Settled),
            "nor does it last until the bill is final"
        );
    }
    let stays = bands_key(AlertRule::CeilingExceeded, "2026-11");
    assert_eq!(world.absent(&stays).0, Verdict::Unknown);
}

#[test]
fn a_credit_that_comes_and_goes_around_the_ceiling_ends_nothing_at_once() {
    let clears = |spend: i64, days: u32| {
        let mut world = World::with(BandJudgement { spend: Some(dollars(spend)), ..band() });
        world.policies.ceiling_exceeded.usual.clears_after = Patience::Days(days);
        let told = world.one(AlertRule::CeilingExceeded);
        (told.verdict, told.clears_after)
    };
    assert_eq!(clears(29_700, 1), (Verdict::Clear, Patience::Days(1)), "0.99 of the ceiling");
    assert_eq!(clears(29_701, 1), (Verdict::Clear, Patience::Days(2)));
    assert_eq!(clears(29_701, 3), (Verdict::Clear, Patience::Days(3)));
}

#[test]
fn a_slow_pace_speaks_unless_a_forecast_ends_below_the_ceiling() {
    let verdict = |seven: f64, median: i64| {
        let mut band = burning(1.0, 1.0, seven);
        band.outlook = Some(outlook([28_000, 28_000, 28_000, median, 32_000, 32_000, 32_000]));
        World::with(band).verdict(AlertRule::PaceSlow)
    };
    assert_eq!(verdict(1.1, 30_001), Verdict::Met);
    assert_eq!(verdict(1.1, 30_000), Verdict::Between);
    assert_eq!(verdict(1.09, 30_001), Verdict::Between);
    assert_eq!(verdict(0.99, 30_001), Verdict::Clear);
    assert_eq!(verdict(1.2, 29_100), Verdict::Clear);
    let alone = |seven| {
        let band = BandJudgement { outlook: None, ..burning(1.0, 1.0, seven) };
        World::with(band).verdict(AlertRule::PaceSlow)
    };
    assert_eq!([1.1, 1.09, 0.99].map(alone), [Verdict::Met, Verdict::Between, Verdict::Clear]);
}

#[test]
fn a_month_below_its_floor_is_told_only_where_somebody_wants_it() {
    let mut low = band();
    let mut told = outlook([8000, 8200, 8500, 9000, 9500, 9900, 9950]);
    told.against.below_floor = 0.8;
    low.outlook = Some(told);
    let mut world = World::with(low);
    assert_eq!(world.all(AlertRule::FloorForecast), []);
    world.policies.floor_forecast.usual.enabled = true;
    assert_eq!(world.verdict(AlertRule::FloorForecast), Verdict::Met);
    world.bands[0].complete_days = 6;
    assert_eq!(world.verdict(AlertRule::FloorForecast), Verdict::Unknown);
    world.bands[0].complete_days = 7;
    let mut with = |chance: f64, upper: i64| {
        let mut told = outlook([8000, 8200, 8500, 9000, upper, upper, upper]);
        told.against.below_floor = chance;
        world.bands[0].outlook = Some(told);
        world.verdict(AlertRule::FloorForecast)
    };
    assert_eq!(with(0.79, 10_299), Verdict::Between);
    assert_eq!(with(0.7, 10_300), Verdict::Clear);
}

#[test]
fn a_forecast_that_was_off_is_told_once_enough_of_them_are_known() {
    let verdict = |error: Option<f64>, count: usize| {
        let mut band = band();
        if let Some(outlook) = &mut band.outlook {
            outlook.forecast.used.past_error = error;
            outlook.forecast.used.past_forecasts = count;
        }
        World::with(band).verdict(AlertRule::ForecastOff)
    };
    assert_eq!(verdict(Some(0.26), 6), Verdict::Met);
    assert_eq!(verdict(Some(0.25), 6), Verdict::Between);
    assert_eq!(verdict(Some(0.2), 6), Verdict::Clear);
    assert_eq!(verdict(Some(0.26), 5), Verdict::Unknown);
    assert_eq!(verdict(None, 9), Verdict::Unknown);
}

#[test]
fn between_two_quantiles_lies_a_straight_line() {
    let forecast = outlook([10, 20, 30, 40, 50, 80, 90]).forecast;
    let at = |probability| super::super::band::quantile(&forecast, probability).unwrap();
    assert_eq!(at(0.8).round_dp(6), Decimal::from(60));
    assert_eq!((at(0.5), at(0.01), at(0.99)), (40.into(), 10.into(), 90.into()));
}
