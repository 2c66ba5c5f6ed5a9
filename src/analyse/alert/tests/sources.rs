//! Rules of bills, their totals, and receivers.

use super::*;
use crate::domain::breakdown::Amounts;
use crate::domain::gpu::{GpuSourceFailure, GpuSourceStatus};
use crate::domain::report::SourceErrorKind;
use crate::domain::spend::{FallenDay, PeriodSpend, RestatedPeriod};

#[test]
fn a_bill_is_late_from_two_days_beyond_its_lag_on_and_critical_from_three() {
    let at = |now: &str| {
        let world = World { now: now.parse().unwrap(), ..World::new() };
        let told = world.one(AlertRule::BillingDataLate);
        (told.verdict, told.details.severity)
    };
    // The 12th ends as the 13th begins; 48 h of lag and 48 h beyond it.
    assert_eq!(at("2026-11-16T23:59:59Z"), (Verdict::Clear, Severity::Warning));
    assert_eq!(at("2026-11-17T00:00:00Z"), (Verdict::Met, Severity::Warning));
    assert_eq!(at("2026-11-17T23:59:59Z"), (Verdict::Met, Severity::Warning));
    assert_eq!(at("2026-11-18T00:00:00Z"), (Verdict::Met, Severity::Critical));
    let mut world = World::new();
    world.spend[0].complete_days.clear();
    let told = world.one(AlertRule::BillingDataLate);
    assert_eq!(told.verdict, Verdict::Met, "it is read well and brings no day");
    let usual = match world.policies.billing_data_late.usual.fires_after {
        Patience::Time(time) => time,
        Patience::Days(days) => panic!("{days}"),
    };
    let patience = usual + jiff::SignedDuration::from_hours(48 + 48);
    assert_eq!(told.fires_after, Patience::Time(patience), "its lag and what makes it late");
    world.sources[0].up = Some(false);
    assert_eq!(world.verdict(AlertRule::BillingDataLate), Verdict::Unknown);
}

fn failing(kind: Option<SourceErrorKind>, up: Option<bool>) -> World {
    let last_error = kind.map(|kind| (kind, "no answer".to_owned()));
    World { sources: vec![SourceStatus { up, last_error, ..status() }], ..World::new() }
}

#[test]
fn a_source_that_fails_and_one_that_refuses_are_two_alerts() {
    let verdicts = |kind, up| {
        let world = failing(kind, up);
        (world.verdict(AlertRule::SourceFailing), world.verdict(AlertRule::IdentityWrong))
    };
    use SourceErrorKind as Kind;
    assert_eq!(verdicts(None, Some(true)), (Verdict::Clear, Verdict::Clear));
    assert_eq!(verdicts(None, None), (Verdict::Unknown, Verdict::Unknown));
    for kind in [Kind::Timeout, Kind::Malformed] {
        assert_eq!(verdicts(Some(kind), Some(false)), (Verdict::Met, Verdict::Unknown));
    }
    for kind in [Kind::Auth, Kind::Forbidden] {
        assert_eq!(verdicts(Some(kind), Some(false)), (Verdict::Met, Verdict::Met));
    }
    let mut world = failing(Some(Kind::Auth), Some(false));
    world.policies.identity_wrong.usual.enabled = false;
    assert_eq!(world.verdict(AlertRule::SourceFailing), Verdict::Met, "nobody else tells it");
    let told = world.one(AlertRule::SourceFailing);
    let two_hours = jiff::SignedDuration::from_hours(2);
    assert_eq!(told.fires_after, Patience::Time(two_hours));
    assert_eq!(
        *told.details.figures.get(FigureName::ErrorKind).unwrap(),
        Figure::Text("auth".to_owned())
    );
}

fn telemetry(up: Option<bool>) -> GpuSourceStatus {
    GpuSourceStatus {
        source: SourceId::new("dcgm"),
        provider: None,
        cluster: "video".to_owned(),
        up,
        last_success: None,
        failure: (up == Some(false)).then(|| GpuSourceFailure {
            kind: SourceErrorKind::Timeout,
            text: "no answer within 10s".to_owned(),
            since: "2026-11-15T10:00:00Z".parse().unwrap(),
        }),
    }
}

#[test]
fn one_reading_that_fails_says_nothing_of_telemetry() {
    let since: jiff::Timestamp = "2026-11-15T10:00:00Z".parse().unwrap();
    let after = |minutes| {
        let mut world =
            World { gpu_sources: vec![Arc::new(telemetry(Some(false)))], ..World::new() };
        world.sources.clear();
        world.now = since + jiff::SignedDuration::from_mins(minutes);
        world.verdict(AlertRule::SourceFailing)
    };
    assert_eq!([after(0), after(4), after(5)], [Verdict::Unknown, Verdict::Unknown, Verdict::Met]);
}

#[test]
fn telemetry_that_cannot_be_read_is_a_failing_source_of_its_cluster() {
    let world = |up| World {
        sources: Vec::new(),
        gpu_sources: vec![Arc::new(telemetry(up))],
        ..World::new()
    };
    for (up, verdict) in
        [(None, Verdict::Unknown), (Some(true), Verdict::Clear), (Some(false), Verdict::Met)]
    {
        assert_eq!(world(up).verdict(AlertRule::SourceFailing), verdict);
    }
    let mut failing = world(Some(false));
    let told = failing.one(AlertRule::SourceFailing);
    let key = AlertKey::new(AlertRule::SourceFailing)
        .of(Subject::Source, "dcgm")
        .of(Subject::Cluster, "video");
    assert_eq!(told.key, key);
    let text = Figure::Text("no answer within 10s".to_owned());
    assert_eq!(*told.details.figures.get(FigureName::Error).unwrap(), text);
    assert_eq!(failing.absent(&key).0, Verdict::Unknown);
    let gone = (Verdict::Clear, AlertEnd::NotConfigured);
    Arc::make_mut(&mut failing.gpu_sources[0]).cluster = "renders".to_owned();
    assert_eq!(failing.absent(&key), gone, "what is configured of another cluster is another");
    failing.gpu_sources.clear();
    assert_eq!(failing.absent(&key), gone);
}

#[test]
fn a_source_that_refuses_and_is_silent_by_turns_is_told() {
    let mut states = state::AlertStates::new();
    for minutes in (0..=120).step_by(10) {
        let kind = if minutes % 20 == 0 { SourceErrorKind::Auth } else { SourceErrorKind::Timeout };
        let world = failing(Some(kind), Some(false));
        let told = observe(&world.facts(), &world.policies);
        let now = world.now + jiff::SignedDuration::from_mins(minutes);
        state::fold(&mut states, told, |key| world.absent(key), now);
    }
    for rule in [AlertRule::IdentityWrong, AlertRule::SourceFailing] {
        assert!(states.values().any(|state| state.key.rule == rule && state.fires()), "{rule}");
    }
}

#[test]
fn a_bill_that_cannot_be_read_is_not_late_unless_nobody_else_tells_it() {
    let mut world = failing(Some(SourceErrorKind::Timeout), Some(false));
    world.now = "2026-11-20T00:00:00Z".parse().unwrap();
    assert_eq!(world.verdict(AlertRule::BillingDataLate), Verdict::Unknown);
    world.policies.source_failing.usual.enabled = false;
    assert_eq!(world.verdict(AlertRule::BillingDataLate), Verdict::Met);
    // What an outage held back is complete with the second reading after it, not with the first.
    let patience = jiff::SignedDuration::from_hours(12);
    assert_eq!(world.one(AlertRule::BillingDataLate).fires_after, Patience::Time(patience));
}

#[test]
fn a_cap_is_nearly_spent_from_eight_tenths_on() {
    let verdict = |spent: i64| {
        let status = SourceStatus {
            spent: vec![dollars(spent)],
            monthly_cap: Some(dollars(30)),
            ..status()
        };
        let told = World { sources: vec![status], ..World::new() }.one(AlertRule::CapNearlySpent);
        assert_eq!(told.key.period, Some(period("2026-11")));
        told.verdict
    };
    assert_eq!((verdict(24), verdict(23)), (Verdict::Met, Verdict::Clear));
    assert_eq!(World::new().all(AlertRule::CapNearlySpent), [], "without a cap nothing is told");
}

#[test]
fn a_closed_month_that_moved_is_told_for_three_days() {
    let world = |before: i64, after: i64, newest: &str| {
        let mut world = World::new();
        world.spend[0].restated = vec![RestatedPeriod {
            period: period("2026-09"),
            currency: Currency::USD,
            before: Decimal::from(before),
            after: Decimal::from(after),
            steps: vec![(newest.parse().unwrap(), Decimal::from(after - before))],
            falls: Vec::new(),
        }];
        world
    };
    let verdict =
        |before, after, newest| world(before, after, newest).verdict(AlertRule::Restatement);
    assert_eq!(verdict(10_000, 10_101, NOW), Verdict::Met);
    assert_eq!(verdict(10_000, 9_899, NOW), Verdict::Met);
    assert_eq!(verdict(10_000, 10_100, NOW), Verdict::Clear, "no more than 1 %");
    assert_eq!(verdict(100, 109, NOW), Verdict::Clear, "too little money");
    assert_eq!(verdict(10_000, 12_000, "2026-11-12T12:00:01Z"), Verdict::Met);
    let mut over = world(10_000, 12_000, "2026-11-12T12:00:00Z");
    let key = verdict_key();
    assert_eq!(over.all(AlertRule::Restatement), []);
    assert_eq!(over.absent(&key), (Verdict::Clear, AlertEnd::Settled), "it did not move back");
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let cent = Decimal::new(1, 2);
    over.spend[0].restated[0].steps.push((at(NOW), cent));
    assert_eq!(over.all(AlertRule::Restatement), [], "a cent makes it no newer");
    let small = Decimal::from(60);
    over.spend[0].restated[0].steps.extend([(at(NOW), small), (at(NOW), small)]);
    assert_eq!(over.verdict(AlertRule::Restatement), Verdict::Met, "small ones add up");
}

fn verdict_key() -> AlertKey {
    source_key(AlertRule::Restatement, &SourceId::new("aws"), Provider::Aws)
        .of(Subject::Currency, "USD")
        .within(period("2026-09"))
}

#[test]
fn a_day_that_fell_by_more_than_a_fifth_is_told_in_the_open_month_too() {
    let fall = |of: &str, after: i64, at: &str| FallenDay {
        day: day(of),
        before: Decimal::from(1000),
        after: Decimal::from(after),
        observed_at: at.parse().unwrap(),
    };
    let told = |after: i64| {
        let mut world = World::new();
        world.spend[0].restated = vec![RestatedPeriod {
            period: period("2026-11"),
            currency: Currency::USD,
            before: Decimal::from(10_000),
            after: Decimal::from(10_000),
            steps: Vec::new(),
            falls: vec![
                fall("2026-11-09", after, "2026-11-12T12:00:01Z"),
                fall("2026-11-10", 999, NOW),
            ],
        }];
        world
    };
    let rule = AlertRule::Restatement;
    assert_eq!((told(799).verdict(rule), told(800).verdict(rule)), (Verdict::Met, Verdict::Clear));
    let mut over = told(799);
    over.now += jiff::SignedDuration::from_secs(1);
    assert_eq!(over.all(rule), [], "a small fall makes it no newer");
}

#[test]
fn totals_that_differ_are_told_by_share_and_by_money() {
    let verdict = |total: i64, difference: &str, known: bool| {
        let mut world = World::new();
        let amount = Some(Decimal::from(total));
        world.spend[0].periods = vec![PeriodSpend {
            label: PeriodLabel::Current,
            period: period("2026-11"),
            is_final: false,
            start: "2026-11-01T00:00:00Z".parse().unwrap(),
            totals: BTreeMap::from([(
                Currency::USD,
                Amounts { billed: amount, effective: amount, list: None },
            )]),
            excluded: BTreeMap::new(),
            by: BTreeMap::new(),
            days: Vec::new(),
            reconciliation_difference: BTreeMap::from([(
                Currency::USD,
                difference.parse().unwrap(),
            )]),
        }];
        if !known {
            world.spend[0].complete_days.clear();
        }
        world.verdict(AlertRule::ReconciliationDifference)
    };
    assert_eq!(verdict(10_000, "10.01", true), Verdict::Met);
    assert_eq!(verdict(10_000, "-10.01", true), Verdict::Met);
    assert_eq!(verdict(10_000, "10", true), Verdict::Clear);
    assert_eq!(verdict(100, "1", true), Verdict::Clear);
    assert_eq!(verdict(0, "1.01", true), Verdict::Met, "all of it is missing");
    assert_eq!(verdict(10_000, "5000", false), Verdict::Unknown);
}

#[test]
fn a_receiver_that_takes_nothing_is_told() {
    let verdict = |since: Option<&str>| {
        let receiver = ReceiverHealth {
            name: "chat".to_owned(),
            failing_since: since.map(|since| since.parse().unwrap()),
            error: None,
            waiting: 3,
        };
        World { receivers: vec![receiver], ..World::new() }.verdict(AlertRule::ReceiverFailing)
    };
    assert_eq!((verdict(Some(NOW)), verdict(None)), (Verdict::Met, Verdict::Clear));
}
