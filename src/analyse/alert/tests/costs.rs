//! Rules of days that stand out, levels that moved, and what is new.

use super::*;
use crate::domain::anomaly::{Anomaly, AnomalyKind, Cause};
use crate::domain::breakdown::Dimension;
use crate::domain::change::{Change, ChangeAlong, ChangeEffects, ChangePart};
use crate::domain::forecast::ForecastError;
use crate::domain::trend::{Seen, Trend};

fn anomaly(kind: AnomalyKind, first: &str, excess: i64) -> Anomaly {
    Anomaly {
        kind,
        first: day(first),
        last: day(first),
        found: day(first),
        ended: None,
        currency: Currency::USD,
        actual_per_day: Decimal::from(1000 + excess),
        expected_per_day: Decimal::from(1000),
        excess: Decimal::from(excess),
        sigmas: 9.0,
        cause: None,
    }
}

fn trend(of: Option<(Dimension, &str)>, anomalies: Vec<Anomaly>) -> Trend {
    Trend {
        of: of.map(|(dimension, key)| (dimension, key.to_owned())),
        basis: CostBasis::Effective,
        forecast: Err(ForecastError::TooShort(0)),
        anomalies,
        seen: seen("2026-01-01", "2026-11-12", 100_000),
    }
}

fn seen(first: &str, newest: &str, cost: i64) -> Option<Seen> {
    let newest_complete = Some(day(newest));
    Some(Seen { first: day(first), newest_complete, cost: dollars(cost) })
}

fn world(trends: Vec<Trend>) -> World {
    let of = SourceTrends {
        source: SourceId::new("aws"),
        period: period("2026-11"),
        trends,
        change: None,
        bands: Vec::new(),
    };
    World { trends: Some(vec![of]), ..World::new() }
}

const SPIKE: AlertRule = AlertRule::SpendAnomaly;
const SERVICE: Option<(Dimension, &str)> = Some((Dimension::ServiceName, "Amazon EC2"));

#[test]
fn a_spike_is_told_from_its_money_floor_on() {
    let verdict = |excess| {
        world(vec![trend(None, vec![anomaly(AnomalyKind::Spike, "2026-11-12", excess)])])
            .verdict(SPIKE)
    };
    assert_eq!(verdict(100), Verdict::Met);
    assert_eq!(verdict(99), Verdict::Clear);
    assert_eq!(verdict(-5000), Verdict::Clear, "drops are not told by default");
}

#[test]
fn a_spike_that_was_over_when_its_days_became_complete_is_told_still() {
    let verdict = |first: &str| {
        let mut spike = anomaly(AnomalyKind::Spike, first, 5000);
        spike.ended = Some(day("2026-11-12"));
        world(vec![trend(None, vec![spike])]).verdict(SPIKE)
    };
    assert_eq!(verdict("2026-11-09"), Verdict::Met);
    assert_eq!(verdict("2026-11-08"), Verdict::Clear);
}

#[test]
fn a_shift_ends_when_its_level_has_settled_or_came_back() {
    let mut shift = anomaly(AnomalyKind::LevelShift, "2026-11-05", 50);
    let with =
        |shift: &Anomaly| world(vec![trend(None, vec![shift.clone()])]).one(AlertRule::LevelShift);
    let told = with(&shift);
    assert_eq!((told.verdict, told.day), (Verdict::Met, Some(day("2026-11-12"))));
    assert_eq!(told.key.about(Subject::FirstDay), Some("2026-11-05"));
    shift.ended = Some(day("2026-11-06"));
    assert_eq!(with(&shift).verdict, Verdict::Clear, "the old level is back");
    shift.ended = Some(day("2026-11-12"));
    let settled = world(vec![trend(None, vec![shift.clone()])]);
    assert_eq!(settled.all(AlertRule::LevelShift), []);
    let over = (Verdict::Clear, AlertEnd::Settled);
    assert_eq!(settled.absent(&told.key), over, "the new level stays");
    let part = told.key.of(Subject::ServiceName, "Amazon EC2");
    assert_eq!(settled.absent(&part), (Verdict::Clear, AlertEnd::Cleared), "another series");
    let part_alone = world(vec![trend(SERVICE, vec![shift])]);
    assert_eq!(part_alone.absent(&part), over);
}

#[test]
fn a_smaller_movement_of_the_whole_bill_does_not_hide_a_larger_one_of_a_part() {
    let long = |excess: i64| {
        let shift = anomaly(AnomalyKind::LevelShift, "2026-11-01", excess);
        Anomaly { last: day("2026-11-12"), ..shift }
    };
    let verdict = |whole: i64| {
        let spike = anomaly(AnomalyKind::Spike, "2026-11-10", 5000);
        world(vec![trend(None, vec![long(whole)]), trend(SERVICE, vec![spike])]).verdict(SPIKE)
    };
    assert_eq!(verdict(60), Verdict::Met, "60 a day is not the 5,000 of the one day");
    assert_eq!(verdict(3999), Verdict::Met);
    assert_eq!(verdict(4000), Verdict::Between, "others fell by the rest");
}

#[test]
fn the_whole_bill_stands_for_its_parts_on_the_same_days() {
    let spike = |first, excess| vec![anomaly(AnomalyKind::Spike, first, excess)];
    let parts = |whole: Vec<Anomaly>| {
        let account = Some((Dimension::SubAccountId, "111122223333"));
        let all = vec![
            trend(None, whole),
            trend(SERVICE, spike("2026-11-12", 5000)),
            trend(account, spike("2026-11-12", 5000)),
        ];
        let met = world(all).all(SPIKE).into_iter().filter(|told| told.verdict == Verdict::Met);
        met.map(|told| told.key.subject.iter().map(|(of, _)| of).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    let whole = vec![Subject::Source, Subject::Provider, Subject::FirstDay];
    assert_eq!(parts(spike("2026-11-12", 5000)), [whole]);
    let service = vec![Subject::Source, Subject::Provider, Subject::ServiceName, Subject::FirstDay];
    assert_eq!(
        parts(Vec::new()),
        std::slice::from_ref(&service),
        "a service goes before its account"
    );
    assert_eq!(
        parts(spike("2026-11-12", 5)),
        std::slice::from_ref(&service),
        "too small to stand for them"
    );
    assert_eq!(parts(spike("2026-11-12", -5000)), [service], "it fell, they rose");
    assert_eq!(parts(spike("2026-11-10", 5000)).len(), 2, "other days");
}

#[test]
fn a_cause_is_told_by_the_name_that_people_know() {
    let mut spike = anomaly(AnomalyKind::Spike, "2026-11-12", 5000);
    spike.cause = Some(Cause {
        dimension: Dimension::SubAccountId,
        key: "111122223333".to_owned(),
        excess: Decimal::from(4900),
        share: 0.98,
    });
    let mut world = world(vec![trend(None, vec![spike])]);
    let name = (Dimension::SubAccountId, "111122223333".to_owned());
    world.spend[0].names.insert(name, "training".to_owned());
    let causes = world.one(SPIKE).details.causes;
    assert_eq!(causes.len(), 1);
    assert_eq!((causes[0].name.as_str(), causes[0].amount), ("training", dollars(4900)));
}

#[test]
fn a_service_is_new_where_the_bill_knows_four_weeks_before_it() {
    let verdicts = |first: &str, cost: i64, begun: &str| {
        let whole = Trend { seen: seen(begun, "2026-11-12", 90_000), ..trend(None, Vec::new()) };
        let service = Trend { seen: seen(first, "2026-11-12", cost), ..trend(SERVICE, Vec::new()) };
        let told = world(vec![whole, service]).all(AlertRule::NewService);
        told.into_iter().map(|told| told.verdict).collect::<Vec<_>>()
    };
    assert_eq!(verdicts("2026-11-10", 100, "2026-10-13"), [Verdict::Met]);
    assert_eq!(verdicts("2026-11-10", 99, "2026-10-13"), [Verdict::Between]);
    assert_eq!(verdicts("2026-11-10", 100, "2026-10-14"), [], "27 days of history");
    assert_eq!(verdicts("2026-11-10", 100, "2026-11-10"), [], "the bill itself begins then");
    assert_eq!(verdicts("2026-10-30", 100, "2026-01-01"), [Verdict::Met]);
    assert_eq!(verdicts("2026-10-29", 100, "2026-01-01"), [], "14 days old");
    let world = world(vec![trend(None, Vec::new())]);
    let end = |first: &str| {
        let key = source_key(AlertRule::NewService, &SourceId::new("aws"), Provider::Aws)
            .of(Subject::ServiceName, "Amazon EC2")
            .of(Subject::FirstDay, first)
            .within(BillingPeriod::containing(day(first)));
        world.absent(&key)
    };
    assert_eq!(end("2026-10-29"), (Verdict::Clear, AlertEnd::Settled), "it may cost still");
    assert_eq!(end("2026-10-30"), (Verdict::Clear, AlertEnd::Cleared), "it was taken back");
}

#[test]
fn a_band_names_the_parts_that_grew_most() {
    let part = |key: &str, change: i64| ChangePart {
        key: key.to_owned(),
        before: Decimal::ZERO,
        after: Decimal::from(change),
        change: Decimal::from(change),
        price: None,
        quantity: None,
    };
    let along = ChangeAlong {
        dimension: Dimension::ServiceName,
        parts: vec![part("d", -900), part("a", 600), part("b", 200), part("c", 150), part("e", 50)],
        effects: ChangeEffects::default(),
    };
    let change = Change {
        from: day("2026-11-06"),
        to: day("2026-11-12"),
        days: 7,
        currency: Currency::USD,
        before: Decimal::from(7000),
        after: Decimal::from(7100),
        along: vec![along],
    };
    let mut world = world(Vec::new());
    world.bands = vec![band()];
    for of in world.trends.iter_mut().flatten() {
        of.change = Some(change.clone());
    }
    let causes = world.one(AlertRule::CeilingForecast).details.causes;
    let told: Vec<_> = causes.iter().map(|cause| (cause.name.as_str(), cause.share)).collect();
    assert_eq!(told, [("a", Some(0.6)), ("b", Some(0.2)), ("c", Some(0.15))]);
    world.bands[0].ceiling.currency = "EUR".parse().unwrap();
    assert_eq!(world.one(AlertRule::CeilingForecast).details.causes, [], "another currency");
}
