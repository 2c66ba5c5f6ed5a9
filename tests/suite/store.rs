//! The ledger's promises, through files, threads and processes that are killed.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use costband::domain::alert::{
    Acknowledgement, AlertDetails, AlertEnd, AlertId, AlertKey, AlertPhase, AlertRule, AlertState,
    Counted, Severity, Silence, SilenceMatchers, Subject, Told,
};
use costband::domain::breakdown::{
    Amounts, Breakdown, BreakdownRole, ChargeCategory, CostRow, Dimension,
};
use costband::domain::identity::{Provider, SourceId};
use costband::domain::money::{Currency, Money};
use costband::domain::notice::{
    AlertChange, AlertEventKind, AlertNotice, Message, Notice, NoticeKind, OutboxEntry,
};
use costband::domain::period::{BillingPeriod, BillingZone, Window};
use costband::domain::ports::{Clock, Meter, MeterError};
use costband::domain::price::{CapacityType, PriceReading, SkuPrice};
use costband::domain::record::{KeptForecast, PastForecast};
use costband::domain::report::{
    BreakdownReading, ControlTotal, EntityName, NativeBudget, ScheduleEntry, SourceError,
    SourceErrorKind, SourceReport,
};
use costband::store::{
    CloseError, Ledger, LedgerError, LedgerGone, LedgerHandle, LedgerMeter, Location,
};
use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp, ToSpan};
use rust_decimal::Decimal;
use tempfile::TempDir;

use crate::store::place::contract;

mod copy;
mod crash;
mod fence;
mod outage;
pub(crate) mod place;
mod postgres_server;
mod proxy;

contract! {
    a_report_replaces_the_days_it_read_and_no_others,
    rows_are_found_by_the_bill_that_carries_them,
    a_failed_poll_keeps_the_rows_and_counts,
    a_source_that_only_failed_was_never_read,
    ten_restarts_find_the_same_schedule,
    a_backfill_leaves_the_schedule_alone,
    a_row_identity_twice_keeps_nothing_of_the_report,
    a_report_that_contradicts_itself_is_refused,
    a_changed_filter_is_another_breakdown_and_the_old_rows_are_not_served,
    a_cursor_is_only_given_for_breakdowns_that_are_held,
    days_that_were_found_unchanged_are_observed_and_keep_everything,
    a_day_that_was_read_to_its_end_and_cost_nothing_is_kept_as_such,
    an_export_says_nothing_of_days_that_it_has_not_reached,
    empty_days_are_pruned_with_the_rest_of_an_idle_source,
    a_complete_day_that_moves_is_kept_as_a_restatement_for_ever_counted,
    control_totals_names_budgets_and_prices_stand_beside_the_rows,
    prices_of_machines_that_were_not_read_stand_and_the_reading_is_not_done,
    reservations_survive_hold_the_cap_and_never_mix_currencies,
    alerts_and_their_messages_are_kept_across_a_restart,
    an_alert_that_fires_can_be_taken_and_given_back,
    a_silence_is_kept_until_it_ends,
    a_message_that_was_handed_over_is_known_until_its_outcome_is,
    a_receiver_that_takes_nothing_is_known_by_its_backlog,
    a_dropped_message_is_noted_in_its_alerts,
    an_alert_of_a_final_period_is_known_for_good,
    a_message_waits_behind_an_older_one_of_its_alert_and_receiver_and_of_no_other,
    a_message_waits_for_its_next_attempt_until_it_is_sent_or_dropped,
    what_was_forecast_first_stays_until_its_month_is_old,
    pruning_keeps_the_two_newest_periods_and_every_counter,
    a_reader_sees_one_instant_while_the_writer_goes_on,
}

fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    (folder, path)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

fn payer() -> SourceId {
    SourceId::new("payer")
}

fn november() -> Window {
    BillingPeriod::new(2026, 11).unwrap().window()
}

fn billed(amount: &str) -> Amounts {
    Amounts { billed: Some(decimal(amount)), ..Amounts::default() }
}

fn breakdown(query: &str, role: BreakdownRole, dimension: Dimension) -> Breakdown {
    Breakdown {
        source: payer(),
        query: query.to_owned(),
        filter: String::new(),
        dimensions: vec![dimension],
        role,
    }
}

fn by_service() -> Breakdown {
    breakdown("service", BreakdownRole::Primary, Dimension::ServiceName)
}

fn by_region() -> Breakdown {
    breakdown("region", BreakdownRole::Secondary, Dimension::RegionId)
}

fn row(day: Date, key: &str, amount: &str) -> CostRow {
    CostRow {
        day,
        keys: vec![key.to_owned()],
        category: ChargeCategory::Usage,
        currency: Currency::USD,
        amounts: billed(amount),
        usd: None,
        quantity: None,
        invoice_period: None,
        estimated: false,
    }
}

fn day(number: i8) -> Date {
    date(2026, 11, number)
}

/// A report over November 2026 that read the given days, with the same rows by service and region.
fn report(days: &[i8], rows: &[(i8, &str, &str)], observed_at: &str) -> SourceReport {
    let rows: Vec<CostRow> =
        rows.iter().map(|(number, key, amount)| row(day(*number), key, amount)).collect();
    SourceReport {
        source: payer(),
        provider: Provider::Aws,
        window: november(),
        days: days.iter().map(|&number| day(number)).collect(),
        breakdowns: vec![
            BreakdownReading { breakdown: by_service(), rows: rows.clone() },
            BreakdownReading { breakdown: by_region(), rows },
        ],
        control_totals: Vec::new(),
        names: Vec::new(),
        budgets: Vec::new(),
        data_through: None,
        cursor: Some("cursor".to_owned()),
        observed_at: at(observed_at),
    }
}

const NEXT: &str = "2026-11-12T08:00:00.000000001Z";

fn commit(ledger: &mut Ledger, report: &SourceReport) -> usize {
    ledger.commit(report, Some(at(NEXT))).unwrap().restatements.len()
}

fn rows(ledger: &Ledger, breakdown: &Breakdown) -> Vec<(Date, String, Decimal)> {
    let mut rows = Vec::new();
    ledger
        .for_each_row_in_days(breakdown, &november(), |row| {
            rows.push((row.day, row.keys[0].clone(), row.amounts.billed.unwrap()));
        })
        .unwrap();
    rows
}

fn line(number: i8, key: &str, amount: &str) -> (Date, String, Decimal) {
    (day(number), key.to_owned(), decimal(amount))
}

fn a_report_replaces_the_days_it_read_and_no_others(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let first = [(1, "EC2", "10"), (1, "S3", "1"), (2, "EC2", "20"), (3, "EC2", "30")];
    commit(&mut ledger, &report(&[1, 2, 3], &first, "2026-11-04T00:00:00Z"));
    commit(&mut ledger, &report(&[1, 2], &[(1, "EC2", "11")], "2026-11-04T08:00:00Z"));

    for breakdown in [by_service(), by_region()] {
        assert_eq!(rows(&ledger, &breakdown), [line(1, "EC2", "11"), line(3, "EC2", "30")]);
    }
    let readings = ledger.day_readings(&payer(), &november()).unwrap();
    let sums: Vec<_> = readings.iter().map(|r| (r.day, r.primary.billed.unwrap())).collect();
    assert_eq!(sums, [(day(1), decimal("11")), (day(2), decimal("0")), (day(3), decimal("30"))]);
    assert!(readings.iter().all(|reading| reading.observed_at == at("2026-11-04T08:00:00Z")));
    assert_eq!(readings[2].changed_at, at("2026-11-04T00:00:00Z"));
    assert_eq!(ledger.first_day(&payer()).unwrap(), Some(day(1)));
    assert_eq!(ledger.sources().unwrap(), [(payer(), Provider::Aws)]);
}

fn rows_are_found_by_the_bill_that_carries_them(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let october = BillingPeriod::new(2026, 10).unwrap();
    let mut report = report(&[1], &[(1, "EC2", "10"), (1, "S3", "1")], "2026-11-02T00:00:00Z");
    report.breakdowns[0].rows[1].invoice_period = Some(october);
    commit(&mut ledger, &report);

    let keys = |period: BillingPeriod| {
        let mut keys = Vec::new();
        ledger
            .for_each_row(&by_service(), &[period], |row| keys.push(row.keys[0].clone()))
            .unwrap();
        keys
    };
    assert_eq!(keys(october), ["S3"]);
    assert_eq!(keys(october.next()), ["EC2"]);
    assert_eq!(rows(&ledger, &by_service()).len(), 2);
}

fn a_failed_poll_keeps_the_rows_and_counts(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    commit(&mut ledger, &report(&[1], &[(1, "EC2", "10")], "2026-11-02T00:00:00Z"));
    let later = at("2026-11-02T09:00:00Z");
    for _ in 0..2 {
        ledger
            .record_failure(&payer(), later, SourceErrorKind::Auth, "the token expired", at(NEXT))
            .unwrap();
    }
    assert_eq!(rows(&ledger, &by_service()), [line(1, "EC2", "10")]);
    let entry = ledger.schedule(&payer()).unwrap();
    assert_eq!(entry.failures, 2);
    assert_eq!(entry.last_error, Some((SourceErrorKind::Auth, "the token expired".to_owned())));
    assert_eq!(entry.last_success, Some(at("2026-11-02T00:00:00Z")));

    commit(&mut ledger, &report(&[1], &[(1, "EC2", "10")], "2026-11-02T10:00:00Z"));
    let entry = ledger.schedule(&payer()).unwrap();
    assert_eq!((entry.failures, entry.last_error), (0, None));
}

fn a_source_that_only_failed_was_never_read(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let kind = SourceErrorKind::NotReady;
    ledger.record_failure(&payer(), at(NEXT), kind, "still filling", at(NEXT)).unwrap();
    assert_eq!(ledger.sources().unwrap(), []);
    assert_eq!(ledger.schedule(&payer()).unwrap().failures, 1);
    assert_eq!(ledger.schedule(&SourceId::new("other")).unwrap(), ScheduleEntry::default());
}

fn ten_restarts_find_the_same_schedule(path: &Location) {
    let mut first = report(&[1, 2], &[(2, "EC2", "10")], "2026-11-03T00:00:00Z");
    first.window.end = day(3);
    commit(&mut Ledger::open(path).unwrap(), &first);
    for restart in 0..10 {
        let ledger = Ledger::open(path).unwrap();
        let entry = ledger.schedule(&payer()).unwrap();
        assert_eq!(entry.next_poll, Some(at(NEXT)));
        assert_eq!(entry.cursor.as_deref(), Some("cursor"));
        assert_eq!(entry.data_through, Some(at("2026-11-03T00:00:00Z")));
        if restart % 2 == 0 {
            ledger.close().unwrap();
        }
    }
    let mut ledger = Ledger::open(path).unwrap();
    ledger.reschedule(&payer(), at("2026-11-20T00:00:00Z")).unwrap();
    assert_eq!(ledger.schedule(&payer()).unwrap().next_poll, Some(at("2026-11-20T00:00:00Z")));
}

fn a_backfill_leaves_the_schedule_alone(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    commit(&mut ledger, &report(&[1], &[(1, "EC2", "10")], "2026-11-02T00:00:00Z"));
    let before = ledger.schedule(&payer()).unwrap();
    let mut older = report(&[], &[], "2026-11-02T01:00:00Z");
    older.window = BillingPeriod::new(2026, 9).unwrap().window();
    older.days = older.window.days().collect();
    older.cursor = Some("another".to_owned());
    older.breakdowns[0].rows = vec![row(date(2026, 9, 5), "EC2", "7")];
    ledger.commit(&older, None).unwrap();

    assert_eq!(ledger.schedule(&payer()).unwrap(), before);
    assert_eq!(ledger.first_day(&payer()).unwrap(), Some(date(2026, 9, 5)));
    assert_eq!(rows(&ledger, &by_service()), [line(1, "EC2", "10")]);
}

fn a_row_identity_twice_keeps_nothing_of_the_report(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    commit(&mut ledger, &report(&[1], &[(1, "EC2", "10")], "2026-11-02T00:00:00Z"));
    let twice = report(&[1], &[(1, "S3", "1"), (1, "EC2", "2"), (1, "S3", "3")], NEXT);
    let error = ledger.commit(&twice, Some(at(NEXT))).unwrap_err();
    assert!(matches!(error, LedgerError::DuplicateRow { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("`service`") && text.contains(r#"2026-11-01 ["S3"] usage USD"#),
        "{text}"
    );
    assert_eq!(rows(&ledger, &by_service()), [line(1, "EC2", "10")]);
    let entry = ledger.schedule(&payer()).unwrap();
    assert_eq!(entry.last_success, Some(at("2026-11-02T00:00:00Z")));

    // Another invoice, category or currency is another row.
    let mut apart = report(&[1], &[(1, "S3", "1"), (1, "S3", "2"), (1, "S3", "3")], NEXT);
    for reading in &mut apart.breakdowns {
        reading.rows[1].category = ChargeCategory::Purchase;
        reading.rows[2].invoice_period = Some(BillingPeriod::new(2026, 10).unwrap());
    }
    ledger.commit(&apart, Some(at(NEXT))).unwrap();
    assert_eq!(rows(&ledger, &by_service()).len(), 3);
}

fn a_report_that_contradicts_itself_is_refused(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let good = report(&[1], &[(1, "EC2", "10")], "2026-11-02T00:00:00Z");
    let spoil = |change: &dyn Fn(&mut SourceReport)| {
        let mut report = good.clone();
        change(&mut report);
        report
    };
    let cases = [
        (spoil(&|r| r.days = vec![date(2026, 12, 1)]), "is not in its window"),
        (spoil(&|r| r.breakdowns[0].rows[0].day = day(2)), "a day it did not read"),
        (spoil(&|r| r.breakdowns[0].rows[0].keys.clear()), "0 keys for 1 dimensions"),
        (spoil(&|r| r.breakdowns.clear()), "0 primary breakdowns"),
        (spoil(&|r| r.breakdowns[1].breakdown.role = BreakdownRole::Primary), "2 primary"),
        (spoil(&|r| r.breakdowns[1].breakdown.query = "service".to_owned()), "`service` twice"),
        (spoil(&|r| r.breakdowns[1].breakdown.source = SourceId::new("x")), "of source `x`"),
    ];
    for (bad, wanted) in cases {
        let error = ledger.commit(&bad, Some(at(NEXT))).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
        assert_eq!(ledger.sources().unwrap(), []);
    }
    commit(&mut ledger, &good);
    let moved = spoil(&|r| r.provider = Provider::Azure);
    let error = ledger.commit(&moved, None).unwrap_err().to_string();
    assert!(error.contains("another name"), "{error}");
}

fn a_changed_filter_is_another_breakdown_and_the_old_rows_are_not_served(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let both = [(1, "EC2", "10"), (2, "EC2", "20")];
    commit(&mut ledger, &report(&[1, 2], &both, "2026-11-03T00:00:00Z"));

    let mut filtered = report(&[2], &[(2, "EC2", "15")], "2026-11-03T08:00:00Z");
    filtered.breakdowns[1].breakdown.filter = "region_id=eu".to_owned();
    let new = filtered.breakdowns[1].breakdown.clone();
    commit(&mut ledger, &filtered);

    assert_eq!(ledger.breakdowns(&payer()).unwrap(), [by_service(), new.clone()]);
    assert_eq!(rows(&ledger, &by_region()), []);
    assert_eq!(rows(&ledger, &new), [line(2, "EC2", "15")]);
    // Day 1 was never read with the new filter, so the next poll must read the whole window.
    assert_eq!(ledger.schedule(&payer()).unwrap().cursor, None);

    // Back to the old one: what was read anew meanwhile is not served from before.
    commit(&mut ledger, &report(&[3], &[(3, "EC2", "30")], "2026-11-04T00:00:00Z"));
    assert_eq!(rows(&ledger, &by_region()), [line(1, "EC2", "10"), line(3, "EC2", "30")]);
}

fn a_cursor_is_only_given_for_breakdowns_that_are_held(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let mut whole = report(&[], &[], "2026-11-04T00:00:00Z");
    whole.days = whole.window.days().collect();
    commit(&mut ledger, &whole);
    let held = [by_service(), by_region()];
    assert_eq!(ledger.cursor_for(&payer(), &held).unwrap().as_deref(), Some("cursor"));
    let more = [by_service(), breakdown("band:x", BreakdownRole::Filtered, Dimension::Sku)];
    assert_eq!(ledger.cursor_for(&payer(), &more).unwrap(), None);
}

fn days_that_were_found_unchanged_are_observed_and_keep_everything(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    commit(&mut ledger, &report(&[1], &[(1, "EC2", "10")], "2026-11-02T00:00:00Z"));
    let mut unchanged = report(&[], &[], "2026-11-02T08:00:00Z");
    unchanged.breakdowns.clear();
    commit(&mut ledger, &unchanged);

    let [reading] = ledger.day_readings(&payer(), &november()).unwrap().try_into().unwrap();
    assert_eq!(reading.observed_at, at("2026-11-02T08:00:00Z"));
    assert_eq!(reading.steady_since, at("2026-11-02T00:00:00Z"));
    assert_eq!(rows(&ledger, &by_service()), [line(1, "EC2", "10")]);
    assert_eq!(ledger.breakdowns(&payer()).unwrap().len(), 2);
}

/// The days without any cost as the ledger tells them: day, since when, last read when.
fn empty_days(ledger: &Ledger) -> Vec<(Date, Timestamp, Timestamp)> {
    let days = ledger.empty_days(&payer(), &november()).unwrap();
    days.into_iter().map(|empty| (empty.day, empty.since, empty.observed_at)).collect()
}

fn a_day_that_was_read_to_its_end_and_cost_nothing_is_kept_as_such(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let [first, second, third] =
        ["2026-11-03T12:00:00Z", "2026-11-03T20:00:00Z", "2026-11-04T00:00:00Z"];
    let of_three = |rows: &[(i8, &str, &str)], when: &str| SourceReport {
        window: Window::new(day(1), day(5)),
        ..report(&[1, 2, 3, 4], rows, when)
    };
    // The 3rd has not ended, the 4th has not begun.
    commit(&mut ledger, &of_three(&[(2, "EC2", "20")], first));
    assert_eq!(empty_days(&ledger), [(day(1), at(first), at(first))]);
    // A day that was found unchanged is as empty as it was.
    let mut unchanged = of_three(&[], second);
    unchanged.days.clear();
    unchanged.breakdowns.clear();
    commit(&mut ledger, &unchanged);
    assert_eq!(empty_days(&ledger), [(day(1), at(first), at(second))]);
    drop(ledger);
    let mut ledger = Ledger::open(path).unwrap();
    commit(&mut ledger, &of_three(&[(2, "EC2", "20")], third));
    let third_of_november = (day(3), at(third), at(third));
    assert_eq!(empty_days(&ledger), [(day(1), at(first), at(third)), third_of_november]);
    // A day that gets a cost, or had one, is told by its reading.
    commit(&mut ledger, &of_three(&[(1, "EC2", "10")], third));
    assert_eq!(empty_days(&ledger), [third_of_november]);
    // What another primary found says nothing of this one.
    let [fourth, later] = ["2026-11-04T08:00:00Z", "2026-11-04T16:00:00Z"];
    let mut filtered = of_three(&[], fourth);
    filtered.breakdowns[0].breakdown.filter = "no tax".to_owned();
    commit(&mut ledger, &filtered);
    assert_eq!(empty_days(&ledger), [(day(3), at(fourth), at(fourth))]);
    // A failed poll finds nothing, and finds nothing out.
    ledger.record_failure(&payer(), at(later), SourceErrorKind::Timeout, "slow", at(NEXT)).unwrap();
    assert_eq!(empty_days(&ledger), [(day(3), at(fourth), at(fourth))]);
    ledger.prune(at("2028-01-01T00:00:00Z"), SignedDuration::from_hours(24)).unwrap();
    assert_eq!(empty_days(&ledger).len(), 1, "the two newest periods stay");
}

fn an_export_says_nothing_of_days_that_it_has_not_reached(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let through = |end: &str| SourceReport {
        provider: Provider::Gcp,
        data_through: Some(at(end)),
        ..report(&[1, 2, 3], &[], "2026-11-05T00:00:00Z")
    };
    commit(&mut ledger, &through("2026-11-03T07:59:59Z"));
    let days = |ledger: &Ledger| empty_days(ledger).into_iter().map(|(day, ..)| day).collect();
    let reached: Vec<Date> = days(&ledger);
    assert_eq!(reached, [day(1)], "the 2nd ends at eight in UTC");
    commit(&mut ledger, &through("2026-11-03T08:00:00Z"));
    let reached: Vec<Date> = days(&ledger);
    assert_eq!(reached, [day(1), day(2)]);
}

fn empty_days_are_pruned_with_the_rest_of_an_idle_source(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let idle = |window: Window, when: &str| SourceReport {
        days: window.days().collect(),
        window,
        ..report(&[], &[], when)
    };
    let december = BillingPeriod::new(2026, 12).unwrap().window();
    let january = BillingPeriod::new(2027, 1).unwrap().window();
    for window in [november(), december, january] {
        let end = BillingZone::Utc.start_of(window.end).to_string();
        commit(&mut ledger, &idle(window, &end));
    }
    assert_eq!(empty_days(&ledger).len(), 30);
    ledger.prune(at("2028-01-01T00:00:00Z"), SignedDuration::from_hours(24)).unwrap();
    assert_eq!(empty_days(&ledger), []);
    assert_eq!(ledger.empty_days(&payer(), &december).unwrap().len(), 31);
}

fn a_complete_day_that_moves_is_kept_as_a_restatement_for_ever_counted(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let read = |amount, when| report(&[1], &[(1, "EC2", amount)], when);
    assert_eq!(commit(&mut ledger, &read("10", "2026-11-02T00:00:00Z")), 0);
    assert_eq!(commit(&mut ledger, &read("12", "2026-11-03T00:00:00Z")), 0, "not complete yet");
    assert_eq!(commit(&mut ledger, &read("12", "2026-11-04T00:00:00Z")), 0, "unchanged");
    assert_eq!(commit(&mut ledger, &read("11.99", "2026-11-05T00:00:00Z")), 1);
    assert_eq!(commit(&mut ledger, &report(&[1], &[], "2026-11-06T00:00:00Z")), 1, "vanished");
    assert_eq!(commit(&mut ledger, &report(&[1], &[], "2026-11-07T00:00:00Z")), 0, "still gone");

    let kept = ledger.restatements(&payer(), at("2026-11-05T00:00:00Z")).unwrap();
    let moves: Vec<_> = kept.iter().map(|r| (r.day, r.before, r.after, r.observed_at)).collect();
    assert_eq!(
        moves,
        [
            (day(1), billed("12"), billed("11.99"), at("2026-11-05T00:00:00Z")),
            (day(1), billed("11.99"), billed("0"), at("2026-11-06T00:00:00Z")),
        ]
    );
    assert_eq!(ledger.restatements(&payer(), at("2026-11-06T00:00:00Z")).unwrap().len(), 1);
    ledger.prune(at("2028-01-01T00:00:00Z"), SignedDuration::from_hours(24)).unwrap();
    assert_eq!(ledger.restatements(&payer(), Timestamp::MIN).unwrap(), []);
    assert_eq!(ledger.restatements_total(&payer()).unwrap(), 2);
}

fn what_was_forecast_first_stays_until_its_month_is_old(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let said = |band: &str, period: &str, number: i8, expected: &str| KeptForecast {
        band: band.to_owned(),
        period: period.parse().unwrap(),
        forecast: PastForecast {
            made_from: day(number),
            told_at: Some(at("2026-11-20T08:00:00Z")),
            currency: Currency::USD,
            expected: decimal(expected),
            interval_80: ["0.0000000001", "79228162514264337593543950335"].map(decimal),
            above_ceiling: 0.123_456_789,
            below_floor: 0.0,
        },
    };
    let first = said("운영 'a'", "2026-11", 3, "31000.000000000000000001");
    let others = [said("운영 'a'", "2026-11", 2, "1"), said("b", "2026-10", 3, "2")];
    ledger.keep_forecasts(std::slice::from_ref(&first)).unwrap();
    let again = said("운영 'a'", "2026-11", 3, "99");
    ledger.keep_forecasts(&[others[0].clone(), again, others[1].clone()]).unwrap();
    drop(ledger);

    let mut ledger = Ledger::open(path).unwrap();
    let october = || BillingPeriod::new(2026, 10).unwrap();
    let kept = ledger.kept_forecasts(october()).unwrap();
    assert_eq!(kept, [others[1].clone(), others[0].clone(), first.clone()]);
    assert_eq!(ledger.kept_forecasts(october().next()).unwrap(), kept[1..]);
    let now = at("2026-12-15T00:00:00Z");
    ledger.prune(now, SignedDuration::from_hours(24)).unwrap();
    assert_eq!(ledger.kept_forecasts(october()).unwrap(), kept[1..], "November is the one before");
}

fn control_totals_names_budgets_and_prices_stand_beside_the_rows(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let mut first = report(&[1, 2], &[(1, "EC2", "10")], "2026-11-03T00:00:00Z");
    let total = |number, amount| ControlTotal {
        day: day(number),
        currency: Currency::USD,
        amounts: billed(amount),
    };
    first.control_totals = vec![total(1, "10.50"), total(2, "3")];
    first.names = vec![EntityName {
        dimension: Dimension::SubAccountId,
        key: "1234".to_owned(),
        name: "운영".to_owned(),
    }];
    first.budgets = vec![NativeBudget {
        name: "monthly".to_owned(),
        amount: money("1000.50 EUR"),
        current_spend: Some(money("-0.10 EUR")),
        forecast_spend: None,
        time_grain: "Monthly".to_owned(),
    }];
    let prices = vec![SkuPrice {
        sku_id: "A001-0001-0001".to_owned(),
        description: "Nvidia H100 80GB GPU running in Americas".to_owned(),
        region_id: "us-central1".to_owned(),
        capacity_type: CapacityType::OnDemand,
        instance_type: None,
        unit: "h".to_owned(),
        price: money("9.796550569 USD"),
        effective_at: Some(at("2026-08-01T00:00:00Z")),
        read_at: Some(at("2026-11-02T08:00:00Z")),
    }];
    assert_eq!(ledger.prices_read_at(&payer()).unwrap(), None);
    let whole =
        |prices: &[SkuPrice]| PriceReading { prices: prices.to_vec(), ..PriceReading::default() };
    ledger.keep_list_prices(&payer(), &whole(&prices), at("2026-11-02T08:00:00Z")).unwrap();
    commit(&mut ledger, &first);
    assert_eq!(ledger.names(&payer()).unwrap(), first.names);
    assert_eq!(ledger.budgets(&payer()).unwrap(), first.budgets);
    assert_eq!(ledger.list_prices(&payer()).unwrap(), prices);
    let readings = ledger.day_readings(&payer(), &november()).unwrap();
    let pairs: Vec<_> = readings.iter().map(|r| (r.primary, r.control)).collect();
    assert_eq!(pairs, [(billed("10"), Some(billed("10.50"))), (billed("0"), Some(billed("3")))]);

    // A budget that is gone is gone; names and prices that were not told again stay.
    let second = report(&[1], &[(1, "EC2", "10")], "2026-11-03T08:00:00Z");
    commit(&mut ledger, &second);
    assert_eq!(ledger.budgets(&payer()).unwrap(), []);
    assert_eq!(ledger.names(&payer()).unwrap(), first.names);
    assert_eq!(ledger.list_prices(&payer()).unwrap(), prices);
    // An empty list was read too.
    ledger.keep_list_prices(&payer(), &whole(&[]), at("2026-11-03T08:00:00Z")).unwrap();
    assert_eq!(ledger.list_prices(&payer()).unwrap(), []);
    drop(ledger);
    let mut ledger = Ledger::open(path).unwrap();
    assert_eq!(ledger.prices_read_at(&payer()).unwrap(), Some(at("2026-11-03T08:00:00Z")));
    ledger.keep_list_prices(&payer(), &whole(&prices), at("2026-11-04T08:00:00Z")).unwrap();
    assert!(ledger.forget_list_prices(&payer()).unwrap());
    assert_eq!(ledger.list_prices(&payer()).unwrap(), []);
    assert_eq!(ledger.prices_read_at(&payer()).unwrap(), None);
    assert!(!ledger.forget_list_prices(&payer()).unwrap(), "there is nothing to forget");
}

fn prices_of_machines_that_were_not_read_stand_and_the_reading_is_not_done(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let price = |machine: &str, region: &str, price: &str| SkuPrice {
        sku_id: "sku".to_owned(),
        description: "a machine".to_owned(),
        region_id: region.to_owned(),
        capacity_type: CapacityType::OnDemand,
        instance_type: Some(machine.to_owned()),
        unit: "h".to_owned(),
        price: money(price),
        effective_at: None,
        read_at: None,
    };
    let before = vec![
        price("p5.48xlarge", "us-east-1", "98 USD"),
        price("p5.48xlarge", "us-west-2", "99 USD"),
        price("g5.48xlarge", "us-east-1", "16 USD"),
    ];
    let whole = PriceReading { prices: before, ..PriceReading::default() };
    ledger.keep_list_prices(&payer(), &whole, at("2026-11-02T08:00:00Z")).unwrap();
    let partial = PriceReading {
        prices: vec![price("p5.48xlarge", "us-east-1", "55 USD")],
        unread: [("p5.48xlarge".to_owned(), "us-west-2".to_owned())].into(),
        error: Some(SourceError::new(SourceErrorKind::Timeout, "slow")),
    };
    ledger.keep_list_prices(&payer(), &partial, at("2026-11-03T08:00:00Z")).unwrap();
    let told: Vec<_> = ledger.list_prices(&payer()).unwrap();
    assert_eq!(
        told,
        [price("p5.48xlarge", "us-west-2", "99 USD"), price("p5.48xlarge", "us-east-1", "55 USD")],
        "what is not in use any more is gone"
    );
    assert_eq!(ledger.prices_read_at(&payer()).unwrap(), Some(at("2026-11-02T08:00:00Z")));
}

fn reservations_survive_hold_the_cap_and_never_mix_currencies(path: &Location) {
    let november = at("2026-11-30T23:59:59Z");
    let cap = Some(money("0.03 USD"));
    let paid = money("0.01 USD");
    let open = || Ledger::open(path).unwrap();
    for _ in 0..3 {
        open().reserve(&payer(), "GetCostAndUsage", paid, cap, november).unwrap();
    }
    let mut ledger = open();
    let error = ledger.reserve(&payer(), "GetCostAndUsage", paid, cap, november).unwrap_err();
    assert_eq!(
        error,
        MeterError::CapReached {
            spent: money("0.03 USD"),
            cap: money("0.03 USD"),
            price: paid,
            resets_at: at("2026-12-01T00:00:00Z"),
        }
    );
    assert_eq!(ledger.requests_total(&payer()).unwrap()["GetCostAndUsage"], 3, "it did not leave");
    ledger.reserve(&payer(), "ListTables", money("0 USD"), cap, november).unwrap();
    ledger.reserve(&payer(), "Query", money("2 EUR"), None, november).unwrap();
    assert_eq!(ledger.spent(&payer(), november).unwrap(), [money("2 EUR"), money("0.03 USD")]);
    let mixed = ledger.reserve(&payer(), "Query", money("1 KRW"), cap, november).unwrap_err();
    assert!(mixed.to_string().contains("never added"), "{mixed}");
    ledger.reserve(&payer(), "Query", money("-1 USD"), cap, november).unwrap_err();

    let december = at("2026-12-01T00:00:00Z");
    ledger.reserve(&payer(), "GetCostAndUsage", paid, cap, december).unwrap();
    assert_eq!(ledger.spent(&payer(), december).unwrap(), [paid]);
    assert_eq!(ledger.spent_total(&payer()).unwrap(), [money("2 EUR"), money("0.04 USD")]);
    let counts = BTreeMap::from([("GetCostAndUsage", 4), ("ListTables", 1), ("Query", 1)]);
    let total = ledger.requests_total(&payer()).unwrap();
    assert_eq!(total, counts.into_iter().map(|(word, n)| (word.to_owned(), n)).collect());
    assert_eq!(ledger.spent(&SourceId::new("other"), december).unwrap(), []);
}

fn alert(phase: AlertPhase) -> AlertState {
    let key = AlertKey::new(AlertRule::CeilingExceeded).of(Subject::Band, "training");
    AlertState {
        key: key.within(BillingPeriod::new(2026, 11).unwrap()),
        phase,
        since: at(NEXT),
        fired_at: None,
        ended_at: None,
        end: None,
        counted: Counted { day: Some(date(2026, 11, 1)), met_days: 1, ..Counted::default() },
        details: AlertDetails::new(Severity::Critical),
        told: BTreeMap::new(),
        acknowledged: None,
    }
}

fn kept(state: &AlertState, event: Option<AlertEventKind>) -> AlertChange {
    AlertChange::Kept { state: Box::new(state.clone()), event }
}

fn message(key: &str) -> Message {
    let alert = AlertNotice::of(&alert(AlertPhase::Firing));
    Message {
        dedupe_key: key.to_owned(),
        receiver: "webhook".to_owned(),
        notice: Notice { kind: NoticeKind::Firing, at: at(NEXT), alerts: vec![alert] },
    }
}

/// As the outbox holds it.
fn entry(message: Message) -> OutboxEntry {
    let payload = serde_json::to_string(&message.notice).unwrap();
    OutboxEntry { dedupe_key: message.dedupe_key, receiver: message.receiver, payload }
}

fn alerts_and_their_messages_are_kept_across_a_restart(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let now = at(NEXT);
    let firing = alert(AlertPhase::Firing);
    let mut pending = alert(AlertPhase::Pending);
    pending.key.rule = AlertRule::PaceSlow;
    let changes = [kept(&firing, Some(AlertEventKind::Fired)), kept(&pending, None)];
    assert_eq!(ledger.change_alerts(&changes, &[message("a"), message("b")], now).unwrap(), 2);
    drop(ledger);

    let mut ledger = Ledger::open(path).unwrap();
    let held = ledger.alerts().unwrap();
    assert_eq!(held.len(), 2);
    assert!(held.contains(&firing) && held.contains(&pending));
    let due = ledger.outbox_due(now).unwrap();
    let keys: Vec<_> = due.iter().map(|notice| notice.entry.dedupe_key.as_str()).collect();
    assert_eq!(keys, ["a", "b"]);

    // The same key again is not another message, also after it was sent.
    ledger.outbox_sent(due[0].id, now).unwrap();
    let mut over = firing.clone();
    (over.phase, over.end) = (AlertPhase::Resolved, Some(AlertEnd::Cleared));
    let changes = [kept(&over, Some(AlertEventKind::Ended)), AlertChange::Passed(pending.key.id())];
    assert_eq!(ledger.change_alerts(&changes, &[message("a")], now).unwrap(), 0);
    assert_eq!(ledger.outbox_due(now).unwrap().len(), 1);
    assert_eq!(ledger.alerts().unwrap(), []);
    let history = ledger.alert_events(Some(&over.key.id()), 10).unwrap();
    let told: Vec<_> = history.iter().map(|event| (event.kind, &event.state)).collect();
    assert_eq!(told, [(AlertEventKind::Ended, &over), (AlertEventKind::Fired, &firing)]);
    assert_eq!(ledger.alert_events(None, 1).unwrap().len(), 1);
    assert_eq!(ledger.alert_events(Some(&pending.key.id()), 10).unwrap(), []);

    let keep = SignedDuration::from_hours(93 * 24);
    ledger.prune(now + SignedDuration::from_hours(400 * 24), keep).unwrap();
    assert_eq!(ledger.alert_events(None, 10).unwrap(), []);
}

fn an_alert_that_fires_can_be_taken_and_given_back(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let now = at(NEXT);
    let firing = alert(AlertPhase::Firing);
    let id = firing.key.id();
    let taken = Acknowledgement { by: "jin".to_owned(), comment: Some("mine".to_owned()), at: now };
    assert_eq!(ledger.acknowledge_alert(&id, Some(&taken), now).unwrap(), None, "there is none");
    ledger.change_alerts(&[kept(&firing, Some(AlertEventKind::Fired))], &[], now).unwrap();
    let state = ledger.acknowledge_alert(&id, Some(&taken), now).unwrap().unwrap();
    assert_eq!(state.acknowledged.as_ref(), Some(&taken));
    assert_eq!(ledger.alerts().unwrap(), [state]);
    let state = ledger.acknowledge_alert(&id, None, now).unwrap().unwrap();
    assert_eq!(state, firing);
    let kinds: Vec<_> = ledger.alert_events(None, 10).unwrap().iter().map(|e| e.kind).collect();
    use AlertEventKind::{Acknowledged, Fired, Unacknowledged};
    assert_eq!(kinds, [Unacknowledged, Acknowledged, Fired]);
}

fn a_silence_is_kept_until_it_ends(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let now = at("2026-11-12T08:00:00Z");
    let silence = Silence {
        id: "quiet".to_owned(),
        matchers: SilenceMatchers {
            rule: Some(AlertRule::PaceSlow),
            subject: BTreeMap::from([(Subject::Band, "it's \"quoted\"".to_owned())]),
            alert: None,
        },
        starts_at: now,
        ends_at: now + 2.hours(),
        created_by: "jin".to_owned(),
        comment: "a planned move".to_owned(),
    };
    ledger.add_silence(&silence).unwrap();
    assert_eq!(ledger.silences(now).unwrap(), std::slice::from_ref(&silence));
    assert_eq!(ledger.silences(silence.ends_at).unwrap(), []);
    assert!(!ledger.end_silence("other", now).unwrap());
    assert!(ledger.end_silence("quiet", now + 1.hour()).unwrap());
    assert_eq!(ledger.silences(now + 1.hour()).unwrap(), []);
    assert!(!ledger.end_silence("quiet", now + 1.hour()).unwrap(), "it is over already");
}

fn a_message_that_was_handed_over_is_known_until_its_outcome_is(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let now = at("2026-11-12T08:00:00Z");
    ledger.change_alerts(&[], &[message("a")], now).unwrap();
    let handed = |ledger: &Ledger| {
        let [due] = ledger.outbox_due(now + 1.hour()).unwrap().try_into().unwrap();
        (due.id, due.handed_at)
    };
    let (id, before) = handed(&ledger);
    assert_eq!(before, None);
    ledger.outbox_handed(id, now).unwrap();
    drop(ledger);
    let mut ledger = Ledger::open(path).unwrap();
    assert_eq!(handed(&ledger).1, Some(now), "nobody lived to note the outcome");
    ledger.outbox_failed(id, now, "the answer was lost", true).unwrap();
    assert_eq!(handed(&ledger).1, Some(now), "it may have arrived");
    ledger.outbox_failed(id, now, "503", false).unwrap();
    assert_eq!(handed(&ledger).1, None, "it did not");
}

fn a_receiver_that_takes_nothing_is_known_by_its_backlog(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let now = at("2026-11-12T08:00:00Z");
    let chat = |key: &str| Message { receiver: "chat".to_owned(), ..message(key) };
    ledger.change_alerts(&[], &[message("a"), message("b"), chat("c")], now).unwrap();
    let backlog = |ledger: &Ledger| -> Vec<(String, u64, Option<Timestamp>)> {
        let held = ledger.outbox_backlogs(now).unwrap();
        held.into_iter().map(|one| (one.receiver, one.waiting, one.failing_since)).collect()
    };
    let of = |name: &str, waiting, since| (name.to_owned(), waiting, since);
    assert_eq!(backlog(&ledger), [of("chat", 1, None), of("webhook", 2, None)]);
    let due = ledger.outbox_due(now).unwrap();
    ledger.outbox_failed(due[0].id, now + 1.minute(), "503", false).unwrap();
    ledger.outbox_dropped(due[2].id, now + 2.minutes(), "410").unwrap();
    let failing = [of("chat", 0, Some(now + 2.minutes())), of("webhook", 2, Some(now))];
    assert_eq!(backlog(&ledger), failing);
    // What is taken next ends both.
    ledger.outbox_sent(due[0].id, now + 3.minutes()).unwrap();
    ledger.change_alerts(&[], &[chat("d")], now).unwrap();
    let newest =
        ledger.outbox_due(now).unwrap().into_iter().find(|one| one.entry == entry(chat("d")));
    ledger.outbox_sent(newest.unwrap().id, now + 3.minutes()).unwrap();
    assert_eq!(backlog(&ledger), [of("webhook", 1, None)]);
}

fn a_message_waits_behind_an_older_one_of_its_alert_and_receiver_and_of_no_other(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let (now, later) = (at("2026-11-03T12:00:00Z"), at("2026-11-03T12:10:00Z"));
    let chat = Message { receiver: "chat".to_owned(), ..message("c") };
    let mut other = message("d");
    other.notice.alerts[0].id = AlertId::known_as("another");
    let mut both = message("e");
    both.notice.alerts.extend(other.notice.alerts.clone());
    let after = Message { dedupe_key: "f".to_owned(), ..other.clone() };
    let messages = [message("a"), message("b"), chat, other, both, after];
    ledger.change_alerts(&[], &messages, now).unwrap();
    let keys = |ledger: &Ledger, at| -> Vec<String> {
        ledger.outbox_due(at).unwrap().into_iter().map(|due| due.entry.dedupe_key).collect()
    };
    assert_eq!(keys(&ledger, now), ["a", "b", "c", "d", "e", "f"]);
    let first = ledger.outbox_due(now).unwrap()[0].id;
    ledger.outbox_failed(first, later, "503", false).unwrap();
    assert_eq!(keys(&ledger, now), ["c", "d"], "the last waits behind what tells of both");
    assert_eq!(keys(&ledger, later), ["a", "b", "c", "d", "e", "f"]);
    ledger.outbox_sent(first, later).unwrap();
    assert_eq!(keys(&ledger, now), ["b", "c", "d", "e", "f"]);
}

fn a_message_waits_for_its_next_attempt_until_it_is_sent_or_dropped(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let now = at("2026-11-12T08:00:00Z");
    let later = now + 1.minute();
    ledger.change_alerts(&[], &[message("a")], now).unwrap();
    assert_eq!(ledger.outbox_due(now - 1.nanosecond()).unwrap(), []);
    let id = ledger.outbox_due(now).unwrap()[0].id;
    ledger.outbox_failed(id, later, "503", false).unwrap();
    assert_eq!(ledger.outbox_due(later - 1.nanosecond()).unwrap(), []);
    let [waiting] = ledger.outbox_due(later).unwrap().try_into().unwrap();
    assert_eq!((waiting.attempts, waiting.last_error.as_deref()), (1, Some("503")));
    assert_eq!((waiting.entry, waiting.queued_at), (entry(message("a")), now));

    ledger.outbox_dropped(id, later, "410").unwrap();
    assert_eq!(ledger.outbox_due(later).unwrap(), []);
    assert!(ledger.outbox_receivers().unwrap().is_empty());
}

fn a_dropped_message_is_noted_in_its_alerts(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let (now, later) = (at("2026-11-12T08:00:00Z"), at("2026-11-15T08:00:00Z"));
    let mut firing = alert(AlertPhase::Firing);
    let told = Told { at: now, times: 1, severity: Severity::Critical, dropped: false };
    firing.told = ["webhook", "chat"].into_iter().map(|name| (name.to_owned(), told)).collect();
    let fired = kept(&firing, Some(AlertEventKind::Fired));
    ledger.change_alerts(&[fired], &[message("a")], now).unwrap();
    let id = ledger.outbox_due(now).unwrap()[0].id;
    ledger.outbox_dropped(id, later, "410").unwrap();
    let [held] = ledger.alerts().unwrap().try_into().unwrap();
    assert_eq!(held.told["webhook"], Told { at: later, dropped: true, ..told });
    assert_eq!(held.told["chat"], told);
}

fn an_alert_of_a_final_period_is_known_for_good(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let mut over = alert(AlertPhase::Resolved);
    over.end = Some(AlertEnd::PeriodFinal);
    let mut cleared = alert(AlertPhase::Resolved);
    cleared.key.rule = AlertRule::PaceSlow;
    cleared.end = Some(AlertEnd::Cleared);
    let changes = [kept(&over, Some(AlertEventKind::Ended)), kept(&cleared, None)];
    ledger.change_alerts(&changes, &[], at(NEXT)).unwrap();
    assert_eq!(ledger.alerts().unwrap(), [over]);
}

fn pruning_keeps_the_two_newest_periods_and_every_counter(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    for month in 6..=11 {
        let first = date(2026, month, 1);
        let mut report = report(&[], &[], "2026-11-02T00:00:00Z");
        report.window = Window::new(first, first.tomorrow().unwrap());
        report.days = vec![first];
        for reading in &mut report.breakdowns {
            reading.rows = vec![row(first, "EC2", "1")];
        }
        commit(&mut ledger, &report);
    }
    let price = money("1 USD");
    ledger.reserve(&payer(), "Query", price, None, at("2026-06-01T00:00:00Z")).unwrap();
    let months = |ledger: &Ledger| -> Vec<i8> {
        let mut months = Vec::new();
        let year = Window::new(date(2026, 1, 1), date(2027, 1, 1));
        ledger
            .for_each_row_in_days(&by_service(), &year, |row| months.push(row.day.month()))
            .unwrap();
        months
    };
    // The first of August is exactly as old as the limit.
    let keep = at("2026-11-05T00:00:00Z").duration_since(at("2026-08-02T00:00:00Z"));
    let pruned = ledger.prune(at("2026-11-05T00:00:00Z"), keep).unwrap();
    assert_eq!((pruned.days, pruned.readings), (4, 2));
    assert_eq!(months(&ledger), [8, 9, 10, 11]);
    ledger.prune(at("2030-01-01T00:00:00Z"), SignedDuration::ZERO).unwrap();
    assert_eq!(months(&ledger), [10, 11]);
    assert_eq!(ledger.first_day(&payer()).unwrap(), Some(date(2026, 10, 1)));
    assert_eq!(ledger.spent_total(&payer()).unwrap(), [price]);
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path).unwrap()) & 0o777
}

#[cfg(unix)]
#[test]
fn every_file_of_the_ledger_belongs_to_its_user_alone() {
    let (folder, path) = folder();
    let mut ledger = Ledger::open(&path).unwrap();
    commit(&mut ledger, &report(&[1], &[(1, "EC2", "10")], "2026-11-02T00:00:00Z"));
    ledger.backup_to(folder.path().join("copy.db")).unwrap();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        names.push(entry.file_name().into_string().unwrap());
        assert_eq!(mode(&entry.path()), 0o600, "{entry:?}");
    }
    names.sort();
    assert_eq!(names, ["copy.db", "ledger.db", "ledger.db-shm", "ledger.db-wal", "ledger.db.lock"]);
}

#[test]
fn a_backup_is_a_ledger_like_any_other_and_overwrites_nothing() {
    let (folder, path) = folder();
    let copy = folder.path().join("copy.db");
    let mut ledger = Ledger::open(&path).unwrap();
    commit(&mut ledger, &report(&[1], &[(1, "EC2", "10")], "2026-11-02T00:00:00Z"));
    ledger.backup_to(&copy).unwrap();
    let error = ledger.backup_to(&copy).unwrap_err().to_string();
    assert!(error.contains("create the backup") && error.contains("copy.db"), "{error}");
    commit(&mut ledger, &report(&[1], &[(1, "EC2", "99")], "2026-11-02T08:00:00Z"));

    assert_eq!(
        rows(&Ledger::open_read_only(&copy).unwrap(), &by_service()),
        [line(1, "EC2", "10")]
    );
    let restored = Ledger::open(&copy).unwrap();
    assert_eq!(rows(&restored, &by_service()), [line(1, "EC2", "10")]);
}

fn a_reader_sees_one_instant_while_the_writer_goes_on(path: &Location) {
    let error = Ledger::open_read_only(path).unwrap_err();
    assert!(matches!(error, LedgerError::Missing { .. }), "{error}");

    let mut writer = Ledger::open(path).unwrap();
    commit(&mut writer, &report(&[1], &[(1, "EC2", "10")], "2026-11-02T00:00:00Z"));
    let mut reader = Ledger::open_read_only(path).unwrap();
    commit(&mut writer, &report(&[1], &[(1, "EC2", "11")], "2026-11-02T08:00:00Z"));

    assert_eq!(rows(&reader, &by_service()), [line(1, "EC2", "10")]);
    let later = Ledger::open_read_only(path).unwrap();
    assert_eq!(rows(&later, &by_service()), [line(1, "EC2", "11")]);
    let error = reader.reschedule(&payer(), at(NEXT)).unwrap_err();
    assert!(matches!(error, LedgerError::ReadOnly { .. }), "{error}");
    writer.close().unwrap();
    assert_eq!(rows(&reader, &by_service()), [line(1, "EC2", "10")]);
    drop((reader, later));
    assert_eq!(rows(&Ledger::open_read_only(path).unwrap(), &by_service()), [line(1, "EC2", "11")]);
}

#[test]
fn a_newer_schema_and_a_foreign_file_are_refused_untouched() {
    let (folder, path) = folder();
    Ledger::open(&path).unwrap().close().unwrap();
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    raw.close().unwrap();
    for error in [Ledger::open(&path).unwrap_err(), Ledger::open_read_only(&path).unwrap_err()] {
        let text = error.to_string();
        assert!(matches!(error, LedgerError::NewerSchema { found: 99, .. }), "{text}");
        assert!(text.contains("schema 99") && text.contains("restore the backup"), "{text}");
    }

    let foreign = folder.path().join("foreign.db");
    let raw = rusqlite::Connection::open(&foreign).unwrap();
    raw.execute_batch("CREATE TABLE theirs (a)").unwrap();
    raw.close().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database at all, but long enough to be read as one ".repeat(40))
        .unwrap();
    for path in [foreign, text] {
        let before = std::fs::read(&path).unwrap();
        let error = Ledger::open(&path).unwrap_err();
        assert!(matches!(error, LedgerError::NotALedger { .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
    let empty = folder.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    let error = Ledger::open_read_only(&empty).unwrap_err();
    assert!(matches!(error, LedgerError::OlderSchema { found: 0, .. }), "{error}");
    Ledger::open(&empty).unwrap();
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    for path in [file.join("ledger.db"), folder.path().join("missing/ledger.db")] {
        let error = Ledger::open(&path).unwrap_err();
        assert!(matches!(error, LedgerError::Io { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains(path.to_str().unwrap()) && text.contains("check the folder"),
            "{text}"
        );
    }
    // The path is taken by a folder.
    let error = Ledger::open(folder.path()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(folder.path().to_str().unwrap()), "{text}");
}

fn handle(path: &Path) -> LedgerHandle {
    LedgerHandle::spawn(Ledger::open(path).unwrap()).unwrap()
}

#[tokio::test]
async fn calls_go_one_after_another_to_a_thread_named_ledger() {
    let (_folder, path) = folder();
    let ledger = handle(&path);
    let name = ledger.call(|_| std::thread::current().name().map(str::to_owned)).await.unwrap();
    assert_eq!(name.as_deref(), Some("ledger"));
    let price = money("0.01 USD");
    let calls = (0..200).map(|_| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            let now = at(NEXT);
            ledger.call(move |l| l.reserve(&payer(), "Query", price, None, now)).await
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap().unwrap();
    }
    ledger.close().await.unwrap();
    assert_eq!(ledger.call(|_| ()).await, Err(LedgerGone));
    assert!(matches!(ledger.close().await, Err(CloseError::Gone(_))));
    ledger.ended().await;
    // Closed and checkpointed: the lock is free and the log is gone.
    let again = Ledger::open(&path).unwrap();
    assert_eq!(again.spent(&payer(), at(NEXT)).unwrap(), [money("2 USD")]);
}

#[tokio::test]
async fn a_call_that_panics_ends_the_thread_and_frees_the_ledger() {
    let (_folder, path) = folder();
    let ledger = handle(&path);
    let now = at(NEXT);
    ledger.call(move |l| l.reschedule(&payer(), now)).await.unwrap().unwrap();
    let gone = ledger.call(|_| panic!("a call panics on purpose")).await;
    assert_eq!(gone, Err(LedgerGone));
    ledger.ended().await;
    assert_eq!(ledger.call(|_| ()).await, Err(LedgerGone));
    // The thread frees the lock while it unwinds, a moment after its channel is closed.
    let again = loop {
        match Ledger::open(&path) {
            Err(LedgerError::InUse { .. }) => tokio::task::yield_now().await,
            other => break other.unwrap(),
        }
    };
    assert_eq!(again.schedule(&payer()).unwrap().next_poll, Some(now));
}

struct Standing(Mutex<Timestamp>);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

#[tokio::test]
async fn the_meter_holds_each_source_to_its_own_cap_by_the_agent_s_clock() {
    let (_folder, path) = folder();
    let ledger = handle(&path);
    let clock = Arc::new(Standing(Mutex::new(at("2026-11-15T00:00:00Z"))));
    let free = SourceId::new("free");
    let caps = HashMap::from([(payer(), Some(money("0.01 USD"))), (free.clone(), None)]);
    let meter = LedgerMeter::new(ledger.clone(), caps, clock.clone());
    let price = money("0.01 USD");
    meter.reserve(&payer(), "Query", price).await.unwrap();
    meter.reserve(&payer(), "Query", price).await.unwrap_err();
    meter.reserve(&free, "Query", price).await.unwrap();
    meter.reserve(&free, "Query", price).await.unwrap();
    *clock.0.lock().unwrap() = at("2026-12-01T00:00:00Z");
    meter.reserve(&payer(), "Query", price).await.unwrap();

    meter.quota(&payer(), "qpu", "1h", 600.0);
    meter.quota(&payer(), "qpu", "1h", 597.0);
    meter.quota(&payer(), "qpu", "1m", 57.0);
    let left: Vec<_> = meter.quotas().iter().map(|q| (q.quota, q.window, q.remaining)).collect();
    assert_eq!(left, [("qpu", "1h", 597.0), ("qpu", "1m", 57.0)]);

    ledger.close().await.unwrap();
    let error = meter.reserve(&free, "Query", price).await.unwrap_err();
    assert!(matches!(error, MeterError::Ledger(_)), "{error}");
}

/// A small seeded generator (xorshift), so that a failing run can be run again.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
