//! What only a test with the connection in its hands can see.
#![allow(clippy::unwrap_used)]

use jiff::civil::date;
use proptest::prelude::*;
use rust_decimal::Decimal;
use tempfile::TempDir;

use crate::domain::breakdown::{
    Amounts, Breakdown, BreakdownRole, ChargeCategory, CostRow, Dimension, Quantity,
};
use crate::domain::identity::{Provider, SourceId};
use crate::domain::period::{BillingPeriod, Window};
use crate::domain::report::{BreakdownReading, SourceReport};
use crate::store::engine::Connection;
use crate::store::{Ledger, LedgerError};

fn breakdown(role: BreakdownRole) -> Breakdown {
    Breakdown {
        source: SourceId::new("one"),
        query: role.as_str().to_owned(),
        filter: String::new(),
        dimensions: vec![Dimension::ServiceName, Dimension::SubAccountId],
        role,
    }
}

/// A report of November 2026 whose filtered breakdown holds the rows; the primary is empty.
fn report(rows: Vec<CostRow>) -> SourceReport {
    let window = BillingPeriod::new(2026, 11).unwrap().window();
    SourceReport {
        source: SourceId::new("one"),
        provider: Provider::Gcp,
        window,
        days: window.days().collect(),
        breakdowns: vec![
            BreakdownReading { breakdown: breakdown(BreakdownRole::Primary), rows: Vec::new() },
            BreakdownReading { breakdown: breakdown(BreakdownRole::Filtered), rows },
        ],
        control_totals: Vec::new(),
        names: Vec::new(),
        budgets: Vec::new(),
        data_through: None,
        cursor: None,
        observed_at: "2026-11-23T12:00:00Z".parse().unwrap(),
    }
}

fn row(day: i8, service: &str, billed: &str) -> CostRow {
    CostRow {
        day: date(2026, 11, day),
        keys: vec![service.to_owned(), "1234".to_owned()],
        category: ChargeCategory::Usage,
        currency: "USD".parse().unwrap(),
        amounts: Amounts { billed: Some(billed.parse().unwrap()), ..Amounts::default() },
        usd: None,
        quantity: None,
        invoice_period: None,
        estimated: false,
    }
}

fn all_rows(ledger: &Ledger, window: &Window) -> Vec<CostRow> {
    let mut rows = Vec::new();
    ledger
        .for_each_row_in_days(&breakdown(BreakdownRole::Filtered), window, |row| {
            rows.push(row.clone());
        })
        .unwrap();
    rows
}

fn raw(ledger: &Ledger) -> &rusqlite::Connection {
    match &ledger.connection {
        Connection::Sqlite(database) => &database.connection,
        #[cfg(feature = "postgres")]
        Connection::Postgres(_) => unreachable!("these ledgers are files"),
    }
}

fn order(rows: &mut [CostRow]) {
    rows.sort_by_cached_key(|row| format!("{row:?}"));
}

fn decimals() -> impl Strategy<Value = Decimal> {
    (-10_i128.pow(28)..10_i128.pow(28), 0_u32..=28)
        .prop_map(|(digits, scale)| Decimal::from_i128_with_scale(digits, scale))
}

fn some_amounts() -> impl Strategy<Value = Amounts> {
    let one = || proptest::option::of(decimals());
    (one(), one(), one()).prop_map(|(billed, effective, list)| Amounts { billed, effective, list })
}

prop_compose! {
    fn rows()(
        day in 1_i8..=30,
        keys in (".{0,8}", prop_oneof![Just(String::new()), Just("서울\u{0}\"',".to_owned()), "\\PC{0,4}".boxed()]),
        category in proptest::sample::select(&ChargeCategory::ALL[..]),
        currency in proptest::sample::select(&["USD", "KRW", "EUR"][..]),
        amounts in some_amounts(),
        usd in proptest::option::of(some_amounts()),
        quantity in proptest::option::of((decimals(), "\\PC{0,6}")),
        invoice in proptest::option::of(10_i8..=12),
        estimated in any::<bool>(),
    ) -> CostRow {
        CostRow {
            day: date(2026, 11, day),
            keys: vec![keys.0, keys.1],
            category,
            currency: currency.parse().unwrap(),
            amounts,
            usd,
            quantity: quantity.map(|(amount, unit)| Quantity { amount, unit }),
            invoice_period: invoice.map(|month| BillingPeriod::new(2026, month).unwrap()),
            estimated,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn rows_come_back_as_they_were_committed(rows in proptest::collection::vec(rows(), 0..60)) {
        let mut wanted = rows;
        let identity = |row: &CostRow| {
            (row.day, row.keys.clone(), row.category, row.currency, row.invoice_period)
        };
        wanted.sort_by_key(identity);
        wanted.dedup_by_key(|row| identity(row));

        let folder = TempDir::new().unwrap();
        let mut ledger = Ledger::open(folder.path().join("ledger.db")).unwrap();
        ledger.commit(&report(wanted.clone()), None).unwrap();
        order(&mut wanted);

        // The text shows the scale too: `1.50` is not `1.5`.
        let mut restored = all_rows(&ledger, &report(Vec::new()).window);
        order(&mut restored);
        prop_assert_eq!(format!("{restored:?}"), format!("{wanted:?}"));

        for month in 10..=12 {
            let period = BillingPeriod::new(2026, month).unwrap();
            let mut on_bill = Vec::new();
            ledger
                .for_each_row(&breakdown(BreakdownRole::Filtered), &[period], |row| {
                    on_bill.push(row.clone());
                })
                .unwrap();
            order(&mut on_bill);
            let wanted: Vec<&CostRow> =
                wanted.iter().filter(|row| row.period() == period).collect();
            prop_assert_eq!(on_bill.iter().collect::<Vec<_>>(), wanted);
        }
    }
}

#[test]
fn a_full_disk_is_named_and_loses_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    let mut ledger = Ledger::open(&path).unwrap();
    let first = report(vec![row(1, "Compute", "5")]);
    ledger.commit(&first, None).unwrap();

    let raw = raw(&ledger);
    let pages: i64 = raw.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    raw.pragma_update_and_check(None, "max_page_count", pages + 2, |_| Ok(())).unwrap();
    let many = (0..5000).map(|n| row(1, &format!("service {n}"), "5.5")).collect();
    let error = ledger.commit(&report(many), None).unwrap_err();

    let text = error.to_string();
    assert!(text.contains("keep a report"), "{text}");
    assert!(text.contains(path.to_str().unwrap()), "{text}");
    assert!(text.contains("full") && text.contains("free space"), "{text}");
    assert_eq!(all_rows(&ledger, &first.window), vec![row(1, "Compute", "5")]);
}

#[test]
fn rows_that_cannot_be_unpacked_are_an_error_and_not_nothing() {
    let folder = TempDir::new().unwrap();
    let mut ledger = Ledger::open(folder.path().join("ledger.db")).unwrap();
    let report = report(vec![row(1, "Compute", "5"), row(1, "Storage", "6")]);
    ledger.commit(&report, None).unwrap();
    raw(&ledger).execute("DELETE FROM series WHERE ordinal = 1", []).unwrap();

    let filtered = breakdown(BreakdownRole::Filtered);
    let error = ledger.for_each_row_in_days(&filtered, &report.window, |_| {}).unwrap_err();
    assert!(matches!(error, LedgerError::Damaged { .. }), "{error}");
}

#[test]
fn pruning_forgets_the_names_that_no_row_uses() {
    let folder = TempDir::new().unwrap();
    let mut ledger = Ledger::open(folder.path().join("ledger.db")).unwrap();
    let mut old = report(vec![row(1, "Compute", "5"), row(1, "Gone", "6")]);
    old.window = BillingPeriod::new(2026, 1).unwrap().window();
    old.days = old.window.days().collect();
    for row in old.breakdowns.iter_mut().flat_map(|reading| &mut reading.rows) {
        row.day = date(2026, 1, 5);
    }
    ledger.commit(&old, None).unwrap();
    let mut new = report(vec![row(1, "Compute", "5")]);
    new.breakdowns[0].rows = new.breakdowns[1].rows.clone();
    ledger.commit(&new, None).unwrap();

    let keep = jiff::SignedDuration::from_hours(24 * 90);
    assert_eq!(ledger.prune(new.observed_at, keep).unwrap().days, 1);
    let series: i64 =
        raw(&ledger).query_row("SELECT count(*) FROM series", [], |row| row.get(0)).unwrap();
    assert_eq!(series, 2, "`Compute` of the primary and of the filtered breakdown");
    assert_eq!(all_rows(&ledger, &new.window), vec![row(1, "Compute", "5")]);
}
