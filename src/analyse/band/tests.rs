//! Rows in, judgement out: each test is a sentence of the meanings in the product's contract.

mod burn;
mod days;
mod outlook;
mod record;
mod sources;

use std::collections::BTreeMap;

use jiff::civil::date;
use jiff::{SignedDuration, ToSpan};

use super::*;
use crate::analyse::spend::{KnownDays, Selection, SpendFold};
use crate::domain::band::Scope;
use crate::domain::breakdown::{
    Amounts, Breakdown, BreakdownRole, ChargeCategory, CostRow, Dimension,
};
use crate::domain::gpu_money::GpuPicture;
use crate::domain::identity::{Provider, SourceId};
use crate::domain::money::{CostBasis, Currency};
use crate::domain::report::{DayReading, EmptyDay};

fn decimal(text: &str) -> Decimal {
    text.parse().expect("a decimal")
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

/// A source with one service, whose days cost what the test says.
struct World {
    rules: SourceRules,
    breakdowns: Vec<Breakdown>,
    selections: Vec<Selection>,
    rows: Vec<(usize, CostRow)>,
    readings: Vec<DayReading>,
    empty: Vec<EmptyDay>,
    data_through: Option<Timestamp>,
    last_success: Option<Timestamp>,
}

impl World {
    fn of(provider: Provider) -> Self {
        let source = SourceId::new(provider.as_str());
        let breakdown = |query: &str, dimensions, role| Breakdown {
            source: source.clone(),
            query: query.to_owned(),
            filter: String::new(),
            dimensions,
            role,
        };
        Self {
            rules: SourceRules {
                id: source.clone(),
                provider,
                lag: SignedDuration::from_hours(48),
                quiet: SignedDuration::from_hours(120),
                maximum_age: SignedDuration::from_hours(48),
            },
            breakdowns: vec![
                breakdown("primary", vec![Dimension::ServiceName], BreakdownRole::Primary),
                breakdown("region", vec![Dimension::RegionId], BreakdownRole::Secondary),
                breakdown("kinds", vec![Dimension::ChargeCategory], BreakdownRole::Categories),
            ],
            selections: vec![Selection {
                query: "primary".to_owned(),
                filters: Vec::new(),
                counts: Vec::new(),
            }],
            rows: Vec::new(),
            readings: Vec::new(),
            empty: Vec::new(),
            data_through: None,
            last_success: None,
        }
    }

    fn row(&mut self, breakdown: usize, day: Date, key: &str, amount: &str) -> &mut CostRow {
        self.rows.push((
            breakdown,
            CostRow {
                day,
                keys: vec![key.to_owned()],
                category: ChargeCategory::Usage,
                currency: Currency::USD,
                amounts: Amounts {
                    billed: Some(decimal(amount)),
                    effective: Some(decimal(amount)),
                    list: None,
                },
                usd: None,
                quantity: None,
                invoice_period: None,
                estimated: false,
            },
        ));
        &mut self.rows.last_mut().expect("it was pushed").1
    }

    /// A day that cost an amount, first and last read at two instants.
    fn day(&mut self, day: Date, amount: &str, first_read: &str, read: &str) {
        self.row(0, day, "compute", amount);
        self.row(1, day, "east", amount);
        let amounts =
            Amounts { billed: Some(decimal(amount)), effective: Some(decimal(amount)), list: None };
        self.readings.push(DayReading {
            day,
            currency: Currency::USD,
            primary: amounts,
            control: Some(amounts),
            steady_since: at(first_read),
            observed_at: at(read),
            changed_at: at(first_read),
            estimated: false,
        });
        self.last_success = Some(at(read));
    }

    /// A day without any cost, first and last read at two instants.
    fn empty_day(&mut self, day: Date, first_read: &str, read: &str) {
        self.empty.push(EmptyDay { day, since: at(first_read), observed_at: at(read) });
        self.last_success = Some(at(read));
    }

    /// Ten days of November at 1,000 each, all complete on the 14th.
    fn steady(provider: Provider) -> Self {
        let mut world = Self::of(provider);
        for day in Window::days(&window(10)) {
            world.day(day, "1000", "2026-11-13T00:00:00Z", "2026-11-14T00:00:00Z");
        }
        world
    }

    fn judge(&self, band: &Band, label: PeriodLabel, now: &str) -> BandJudgement {
        self.try_judge(band, label, now).expect("limits are in force")
    }

    fn try_judge(&self, band: &Band, label: PeriodLabel, now: &str) -> Option<BandJudgement> {
        self.judge_after(None, band, label, now)
    }

    /// Judges with what was known of earlier months in another world.
    fn judge_after(
        &self,
        history: Option<&World>,
        band: &Band,
        label: PeriodLabel,
        now: &str,
    ) -> Option<BandJudgement> {
        let (spend, series) = self.fold(now);
        let before = history.map(|world| {
            let (before, series) = world.fold(now);
            (before.map(|before| before.complete_days).unwrap_or_default(), series)
        });
        let source = BandSource {
            rules: &self.rules,
            spend: spend.as_ref(),
            series: &series,
            last_success: self.last_success,
            history: before
                .as_ref()
                .map(|(complete_days, series)| SourceHistory { series, complete_days }),
        };
        judge(band, &[source], &rates(), &GpuPicture::default(), label, at(now))
    }

    fn fold(&self, now: &str) -> (Option<SourceSpend>, DailySeries) {
        let mut fold = SpendFold::new(&self.rules, &self.breakdowns, &self.selections);
        for (breakdown, row) in &self.rows {
            fold.row(*breakdown, row);
        }
        let known = KnownDays {
            readings: self.readings.clone(),
            empty: self.empty.clone(),
            data_through: self.data_through,
        };
        let (spend, mut series) = fold.finish(&known, at(now));
        let source = spend.into_source(&self.rules, None, BTreeMap::new(), vec![], vec![], 0);
        (self.last_success.map(|_| source), series.remove(0))
    }
}

use crate::domain::period::Window;

fn window(days: i64) -> Window {
    Window::new(date(2026, 11, 1), date(2026, 11, 1).saturating_add(days.days()))
}

fn rates() -> ExchangeRates {
    let mut rates = ExchangeRates::new();
    let eur = "EUR".parse().expect("a currency");
    rates.insert(eur, Currency::USD, date(2026, 1, 1), decimal("1.5"));
    rates
}

fn band(floor: &str, ceiling: &str) -> Band {
    Band {
        name: "month".to_owned(),
        scope: Scope::default(),
        basis: CostBasis::Effective,
        counts: Vec::new(),
        currency: Currency::USD,
        limits: vec![BandLimits {
            effective_from: None,
            floor: decimal(floor),
            ceiling: decimal(ceiling),
        }],
        owner: None,
        runbook_url: None,
        receiver: None,
    }
}

const NOON: &str = "2026-11-14T12:00:00Z";

#[test]
fn the_month_is_below_so_far_while_its_pace_is_within() {
    let judged =
        World::steady(Provider::Aws).judge(&band("20000", "40000"), PeriodLabel::Current, NOON);
    assert_eq!(judged.spend, Some("10000 USD".parse().expect("money")));
    assert_eq!(judged.complete_days, 10);
    assert_eq!(judged.run_rate, Some("30000 USD".parse().expect("money")));
    assert_eq!(judged.status(BandView::Actual), BandStatus::Below);
    assert_eq!(judged.status(BandView::Pace), BandStatus::Within);
    assert_eq!(judged.status(BandView::Forecast), BandStatus::Within);
}

#[test]
fn the_limits_themselves_are_within() {
    let world = World::steady(Provider::Aws);
    for (floor, ceiling) in [("10000", "20000"), ("5000", "10000")] {
        let judged = world.judge(&band(floor, ceiling), PeriodLabel::Current, NOON);
        assert_eq!(judged.status(BandView::Actual), BandStatus::Within, "{floor} {ceiling}");
    }
    let above = world.judge(&band("5000", "9999.99"), PeriodLabel::Current, NOON);
    assert_eq!(above.status(BandView::Actual), BandStatus::Above);
}

#[test]
fn a_stale_source_makes_the_band_unknown() {
    let world = World::steady(Provider::Aws);
    let judged = world.judge(&band("5000", "40000"), PeriodLabel::Current, "2026-11-16T00:00:01Z");
    for view in BandView::ALL {
        assert_eq!(judged.status(view), BandStatus::Unknown, "{view:?}");
    }
    assert_eq!(
        judged.spend,
        Some("10000 USD".parse().expect("money")),
        "the last good amount stays"
    );
}

#[test]
fn money_over_the_ceiling_stays_above_however_old_the_reading() {
    let world = World::steady(Provider::Aws);
    let judged = world.judge(&band("5000", "9000"), PeriodLabel::Current, "2026-11-29T00:00:00Z");
    assert_eq!(judged.status(BandView::Actual), BandStatus::Above);
    assert_eq!(judged.status(BandView::Forecast), BandStatus::Above);
    assert_eq!(judged.status(BandView::Pace), BandStatus::Unknown);
}

#[test]
fn an_amount_that_was_never_known_is_absent_and_not_zero() {
    let world = World::of(Provider::Aws);
    let judged = world.judge(&band("5000", "9000"), PeriodLabel::Current, NOON);
    assert_eq!((judged.spend, judged.run_rate, judged.ceiling_used_ratio), (None, None, None));
    assert_eq!(judged.status(BandView::Actual), BandStatus::Unknown);
}

#[test]
fn only_days_that_are_old_and_steady_feed_the_pace() {
    let mut world = World::of(Provider::Aws);
    let read = "2026-11-14T00:00:00Z";
    world.day(date(2026, 11, 9), "1000", "2026-11-13T00:00:00Z", read);
    world.day(date(2026, 11, 10), "1000", "2026-11-13T19:00:00Z", read);
    world.day(date(2026, 11, 13), "500", "2026-11-13T00:00:00Z", read);
    let judged = world.judge(&band("20000", "40000"), PeriodLabel::Current, NOON);
    assert_eq!(judged.complete_days, 1, "the 10th is not steady for 6 h, the 13th is too young");
    assert_eq!(judged.complete_spend, Some("1000 USD".parse().expect("money")));
    assert_eq!(judged.spend, Some("2500 USD".parse().expect("money")));
}

#[test]
fn a_month_that_was_read_once_is_complete_where_the_one_after_it_was_over_too() {
    for provider in [Provider::Gcp, Provider::Azure] {
        let mut world = World::of(provider);
        let read = "2026-11-16T12:00:00Z";
        for (day, cost) in [(date(2026, 9, 30), "1000"), (date(2026, 10, 1), "1000")] {
            world.day(day, cost, read, read);
        }
        world.empty_day(date(2026, 9, 29), read, read);
        world.empty_day(date(2026, 10, 2), read, read);
        let (spend, _) = world.fold(read);
        let complete = spend.expect("it was read").complete_days;
        assert_eq!(complete, [date(2026, 9, 29), date(2026, 9, 30)].into(), "{provider}");
        // In October a second reading was still wanted.
        let early = "2026-10-31T12:00:00Z";
        let mut world = World::of(provider);
        world.day(date(2026, 9, 30), "1000", early, early);
        let (spend, _) = world.fold(early);
        assert_eq!(spend.expect("it was read").complete_days, [].into(), "{provider}");
    }
}

#[test]
fn costs_of_the_last_days_that_arrive_on_the_second_change_the_old_period() {
    let mut world = World::of(Provider::Aws);
    for day in window(29).days() {
        world.day(day, "1000", "2026-11-29T00:00:00Z", "2026-12-01T01:00:00Z");
    }
    let band = band("5000", "30000");
    let before = world.judge(&band, PeriodLabel::Previous, "2026-12-01T02:00:00Z");
    assert_eq!(before.status(BandView::Actual), BandStatus::Within);
    world.day(date(2026, 11, 30), "1500", "2026-12-02T01:00:00Z", "2026-12-02T01:00:00Z");
    let after = world.judge(&band, PeriodLabel::Previous, "2026-12-02T02:00:00Z");
    assert_eq!(after.period.to_string(), "2026-11");
    assert_eq!(after.status(BandView::Actual), BandStatus::Above);
    let new = world.judge(&band, PeriodLabel::Current, "2026-12-02T02:00:00Z");
    assert_eq!((new.period.to_string(), new.spend), ("2026-12".to_owned(), None));
}

#[test]
fn aws_is_final_once_no_day_is_an_estimate_in_a_reading_after_the_end() {
    let mut world = World::of(Provider::Aws);
    for day in window(30).days() {
        world.day(day, "1000", "2026-12-03T00:00:00Z", "2026-12-05T00:00:00Z");
    }
    let is_final =
        |world: &World, now| world.judge(&band("1", "2"), PeriodLabel::Previous, now).is_final;
    assert!(is_final(&world, "2026-12-05T01:00:00Z"));
    world.readings[7].estimated = true;
    assert!(!is_final(&world, "2026-12-05T01:00:00Z"));
}

#[test]
fn gcp_is_final_by_invoice_month_once_nothing_new_comes() {
    let mut world = World::of(Provider::Gcp);
    for day in window(30).days() {
        world.day(day, "1000", "2026-12-02T12:00:00Z", "2026-12-07T11:59:59Z");
    }
    let judge = |world: &World| {
        world.judge(&band("1", "90000"), PeriodLabel::Previous, "2026-12-07T13:00:00Z")
    };
    assert!(!judge(&world).is_final);
    for reading in &mut world.readings {
        reading.observed_at = at("2026-12-07T12:00:00Z");
    }
    assert!(judge(&world).is_final);
    let late = world.row(0, date(2026, 12, 1), "compute", "250");
    late.invoice_period = Some("202611".parse().expect("a period"));
    assert_eq!(judge(&world).spend, Some("30250 USD".parse().expect("money")));
}

#[test]
fn a_foreign_bill_takes_the_providers_own_figure_before_the_configured_rate() {
    let mut world = World::of(Provider::Azure);
    let eur = "EUR".parse().expect("a currency");
    world.day(date(2026, 11, 3), "100", "2026-11-13T00:00:00Z", "2026-11-14T00:00:00Z");
    for (_, row) in &mut world.rows {
        row.currency = eur;
    }
    let configured = world.judge(&band("1", "900"), PeriodLabel::Current, NOON);
    assert_eq!(configured.spend, Some("150 USD".parse().expect("money")));
    let rates: Vec<String> = configured.exchange_rates.iter().map(ToString::to_string).collect();
    assert_eq!(rates, ["1 EUR = 1.5 USD (configured for 2026-01-01)"]);
    for (_, row) in &mut world.rows {
        row.usd = Some(Amounts { effective: Some(decimal("110")), ..Amounts::default() });
    }
    let told = world.judge(&band("1", "900"), PeriodLabel::Current, NOON);
    assert_eq!(told.spend, Some("110 USD".parse().expect("money")));
    let mut in_won = band("1", "900");
    in_won.currency = "KRW".parse().expect("a currency");
    let unknown = world.judge(&in_won, PeriodLabel::Current, NOON);
    assert_eq!(unknown.spend, None);
    assert!(
        unknown.views[0].reason.to_string().contains("no rate from EUR to KRW"),
        "{:?}",
        unknown.views
    );
}

#[test]
fn two_currencies_of_one_band_are_never_added_unconverted() {
    let mut world = World::steady(Provider::Azure);
    let won = "KRW".parse().expect("a currency");
    world.row(0, date(2026, 11, 3), "compute", "1000000").currency = won;
    let judged = world.judge(&band("1", "90000"), PeriodLabel::Current, NOON);
    assert_eq!(judged.spend, None);
    let (spend, _) = world.fold(NOON);
    let totals = &spend.expect("it was read").periods[0].totals;
    assert_eq!(totals[&Currency::USD].effective, Some(decimal("10000")));
    assert_eq!(totals[&won].effective, Some(decimal("1000000")));
}

#[test]
fn tax_counts_only_where_the_band_says_so() {
    let mut world = World::steady(Provider::Aws);
    world.row(2, date(2026, 11, 1), "Usage", "1000");
    let tax = world.row(2, date(2026, 11, 1), "Tax", "70");
    tax.category = ChargeCategory::Tax;
    let plain = world.judge(&band("1", "90000"), PeriodLabel::Current, NOON);
    assert_eq!(plain.spend, Some("10000 USD".parse().expect("money")));
    world.selections[0].counts = vec![ChargeCategory::Tax];
    let taxed = world.judge(&band("1", "90000"), PeriodLabel::Current, NOON);
    assert_eq!(taxed.spend, Some("10070 USD".parse().expect("money")));
}

#[test]
fn each_view_of_the_money_sums_to_the_same_total_and_is_never_added_to_it() {
    let (spend, _) = World::steady(Provider::Aws).fold(NOON);
    let period = spend.expect("it was read").periods.remove(0);
    let total = period.totals[&Currency::USD].effective;
    assert_eq!(total, Some(decimal("10000")));
    for dimension in [Dimension::ServiceName, Dimension::RegionId] {
        let sum: Decimal = period.by[&dimension].values().filter_map(|sum| sum.effective).sum();
        assert_eq!(Some(sum), total, "{dimension}");
    }
    assert_eq!(period.reconciliation_difference[&Currency::USD], Decimal::ZERO);
}

#[test]
fn one_unknown_amount_makes_the_sum_of_that_basis_unknown() {
    let mut world = World::steady(Provider::Azure);
    world.rows[0].1.amounts.effective = None;
    let judged = world.judge(&band("1", "90000"), PeriodLabel::Current, NOON);
    assert_eq!(judged.spend, None);
    let mut billed = band("1", "90000");
    billed.basis = CostBasis::Billed;
    let judged = world.judge(&billed, PeriodLabel::Current, NOON);
    assert_eq!(judged.spend, Some("10000 USD".parse().expect("money")));
}

#[test]
fn limits_hold_from_their_first_day() {
    let mut dated = band("1", "2");
    dated.limits = vec![
        BandLimits {
            effective_from: Some(date(2026, 10, 1)),
            floor: decimal("1"),
            ceiling: decimal("9000"),
        },
        BandLimits {
            effective_from: Some(date(2026, 12, 1)),
            floor: decimal("1"),
            ceiling: decimal("90000"),
        },
    ];
    let world = World::steady(Provider::Aws);
    let november = world.judge(&dated, PeriodLabel::Current, NOON);
    assert_eq!(november.status(BandView::Actual), BandStatus::Above);
    dated.limits.remove(0);
    assert_eq!(world.try_judge(&dated, PeriodLabel::Current, NOON), None);
}

#[test]
fn money_of_earlier_days_on_this_invoice_is_not_multiplied_by_the_pace() {
    let mut world = World::of(Provider::Gcp);
    world.day(date(2026, 11, 1), "2500", "2026-11-04T08:00:00Z", "2026-11-04T15:00:00Z");
    let carried = world.row(0, date(2026, 10, 31), "compute", "3000");
    carried.invoice_period = Some("202611".parse().expect("a period"));
    let judged = world.judge(&band("45000", "90000"), PeriodLabel::Current, "2026-11-04T16:00:00Z");
    // November has 721 Pacific hours, its first day 25 of them.
    let day = decimal("2500") * decimal("721") / decimal("25");
    assert_eq!(
        judged.run_rate.map(|rate| rate.amount.round_dp(2)),
        Some((day + decimal("3000")).round_dp(2))
    );
    assert_eq!(judged.spend, Some("5500 USD".parse().expect("money")));
}

#[test]
fn a_band_without_a_row_is_known_to_be_zero_from_the_first_complete_day_on() {
    let mut world = World::steady(Provider::Aws);
    let filters = vec![(Dimension::ServiceName, vec!["deleted".to_owned()])];
    world.selections[0].filters = filters;
    let judged = world.judge(&band("100", "900"), PeriodLabel::Current, NOON);
    assert_eq!(judged.spend, Some("0 USD".parse().expect("money")));
    assert_eq!(judged.status(BandView::Pace), BandStatus::Below);
    for reading in &mut world.readings {
        reading.observed_at = at("2026-11-11T00:00:00Z");
        reading.steady_since = reading.observed_at;
        reading.changed_at = reading.observed_at;
    }
    let judged = world.judge(&band("100", "900"), PeriodLabel::Current, NOON);
    assert_eq!((judged.complete_days, judged.spend), (0, None));
    assert_eq!(judged.status(BandView::Actual), BandStatus::Unknown);
}

#[test]
fn a_day_without_any_cost_is_complete_by_two_late_readings_and_not_before() {
    let mut world = World::steady(Provider::Aws);
    let eleventh = date(2026, 11, 11);
    let band = band("1", "90000");
    for (first_read, read, wanted) in [
        ("2026-11-13T18:00:00Z", "2026-11-14T00:00:00Z", 11),
        ("2026-11-13T18:00:01Z", "2026-11-14T00:00:00Z", 10),
        ("2026-11-12T01:00:00Z", "2026-11-14T00:00:00Z", 11),
        // Costs may still have been on their way at the newest reading, whatever time it is now.
        ("2026-11-12T01:00:00Z", "2026-11-13T23:59:59Z", 10),
    ] {
        world.empty.clear();
        world.empty_day(eleventh, first_read, read);
        let judged = world.judge(&band, PeriodLabel::Current, "2026-11-15T00:00:00Z");
        assert_eq!(judged.complete_days, wanted, "{first_read} {read}");
        assert_eq!(judged.complete_spend, Some("10000 USD".parse().expect("money")));
    }
}

#[test]
fn a_day_that_an_export_does_not_reach_to_its_end_is_not_complete() {
    let mut world = World::steady(Provider::Gcp);
    let complete_days =
        |world: &World| world.judge(&band("1", "90000"), PeriodLabel::Current, NOON).complete_days;
    for (through, wanted) in [
        (Some("2026-11-11T08:00:00Z"), 10),
        // The 10th ends at eight in UTC.
        (Some("2026-11-11T07:59:59Z"), 9),
        (Some("2026-11-04T12:00:00Z"), 3),
        (None, 10),
    ] {
        world.data_through = through.map(at);
        assert_eq!(complete_days(&world), wanted, "{through:?}");
    }
    // Elsewhere it is the newest day with a cost, which does not bound what was read.
    let mut aws = World::steady(Provider::Aws);
    aws.data_through = Some(at("2026-11-04T00:00:00Z"));
    assert_eq!(complete_days(&aws), 10);
}
