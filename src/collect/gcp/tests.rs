#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use jiff::civil::date;
use rust_decimal::Decimal;
use serde_json::json;

use super::config::TableKind;
use super::normalise::Cells;
use super::query::{Parameter, Partition, Table};
use super::*;
use crate::domain::breakdown::Amounts;
use crate::domain::money::Currency;

fn source() -> Gcp {
    let entry = json!({
        "name": "google", "billing_account": "01ABCD-2EF345-6789AB",
        "project": "billing-proj", "dataset": "billing",
    });
    Gcp::build(&entry, "sources.gcp[0]", &mut Problems::new()).unwrap()
}

fn table(kind: TableKind, partition: Partition) -> Table {
    Table { path: "p.d.t".into(), kind, partition, has_list: true, has_rate: true, has_use: true }
}

fn days() -> Vec<Date> {
    vec![date(2025, 11, 1), date(2025, 11, 3)]
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn statement(kind: TableKind, partition: Partition, cut: &Cut) -> query::Statement {
    let days = days();
    let reading = Reading { days: &days, through: at("2025-11-04T10:00:00.123456Z") };
    query::breakdown(&table(kind, partition), reading, cut)
}

fn parameter<'a>(statement: &'a query::Statement, name: &str) -> &'a Parameter {
    &statement.parameters.iter().find(|(known, _)| known == name).unwrap().1
}

#[test]
fn days_are_whole_pacific_days() {
    let cuts = source().cuts;
    let statement = statement(TableKind::Standard, Partition::LoadDay, &cuts[0]);
    assert_eq!(*parameter(&statement, "from"), Parameter::Instant(at("2025-11-01T07:00:00Z")));
    // The clocks went back on the 2nd: the 3rd ends at 08:00 UTC.
    assert_eq!(*parameter(&statement, "until"), Parameter::Instant(at("2025-11-04T08:00:00Z")));
    assert_eq!(*parameter(&statement, "days"), Parameter::Days(days()));
    assert_eq!(
        *parameter(&statement, "partition_from"),
        Parameter::Instant(at("2025-10-30T00:00:00Z"))
    );
}

#[test]
fn every_parameter_is_named_in_its_statement_and_every_name_is_given() {
    let mut source = source();
    source
        .add_filtered(
            "band:x",
            &[
                (Dimension::ServiceName, vec!["Compute Engine".into()]),
                (Dimension::ChargeCategory, vec!["usage".into()]),
            ],
        )
        .unwrap();
    for kind in [TableKind::Standard, TableKind::Detailed, TableKind::Focus] {
        for partition in [Partition::LoadDay, Partition::ExportTime, Partition::Other] {
            let table = table(kind, partition);
            let days = days();
            let reading = Reading { days: &days, through: at("2025-11-04T10:00:00Z") };
            let window = Window::new(date(2025, 10, 1), date(2025, 12, 1));
            let mut statements: Vec<_> =
                source.cuts.iter().map(|cut| query::breakdown(&table, reading, cut)).collect();
            statements.push(query::control(&table, reading));
            statements.push(query::changed_days(&table, window, None));
            statements.push(query::changed_days(&table, window, Some(at("2025-11-04T10:00:00Z"))));
            for statement in statements {
                let mut given: Vec<&str> =
                    statement.parameters.iter().map(|(name, _)| name.as_str()).collect();
                given.sort_unstable();
                let mut named: Vec<&str> = statement
                    .sql
                    .split('@')
                    .skip(1)
                    .filter_map(|rest| {
                        rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()
                    })
                    .collect();
                named.sort_unstable();
                named.dedup();
                assert_eq!(given, named, "{}", statement.sql);
                assert!(!statement.sql.contains("JOIN"), "{}", statement.sql);
            }
        }
    }
}

#[test]
fn partitions_are_pruned_by_what_the_table_has() {
    let cuts = source().cuts;
    let sql = |kind, partition| statement(kind, partition, &cuts[0]).sql;
    assert!(
        sql(TableKind::Standard, Partition::LoadDay).contains("_PARTITIONTIME >= @partition_from")
    );
    assert!(
        sql(TableKind::Detailed, Partition::ExportTime).contains("export_time >= @partition_from")
    );
    assert!(
        sql(TableKind::Focus, Partition::ExportTime).contains("x_ExportTime >= @partition_from")
    );
    assert!(!sql(TableKind::Detailed, Partition::Other).contains("partition_from"));
    assert_eq!(query::partition_by(TableKind::Detailed, None), Partition::LoadDay);
    assert_eq!(
        query::partition_by(TableKind::Detailed, Some("usage_start_time")),
        Partition::Other
    );
    assert_eq!(
        query::partition_by(TableKind::Detailed, Some("export_time")),
        Partition::ExportTime
    );
}

#[test]
fn outside_text_reaches_sql_as_a_parameter_only() {
    let mut source = source();
    let hostile = "x' OR 1=1 -- `".to_owned();
    source.add_filtered("band:x", &[(Dimension::SubAccountId, vec![hostile.clone()])]).unwrap();
    let cut = source.cuts.last().unwrap();
    let statement = statement(TableKind::Standard, Partition::LoadDay, cut);
    assert!(!statement.sql.contains("OR 1=1"), "{}", statement.sql);
    assert_eq!(*parameter(&statement, "filter0"), Parameter::Texts(vec![hostile]));
}

#[test]
fn days_are_read_again_when_they_changed_or_were_never_looked_at() {
    let window = Window::new(date(2025, 11, 1), date(2025, 11, 5));
    let cursor = Cursor {
        exported: at("2025-11-03T00:00:00Z"),
        window: Window::new(date(2025, 10, 1), date(2025, 11, 4)),
    };
    let changed = [date(2025, 11, 2)];
    assert_eq!(days_to_read(window, None, &changed).len(), 4);
    assert_eq!(
        days_to_read(window, Some(cursor), &changed),
        [date(2025, 11, 2), date(2025, 11, 4)]
    );
    let same = Cursor { window, ..cursor };
    assert!(days_to_read(window, Some(same), &[]).is_empty());
}

#[test]
fn cursor_is_read_as_it_was_written() {
    let cursor = Cursor {
        exported: at("2025-11-03T01:02:03.000009Z"),
        window: Window::new(date(2025, 10, 1), date(2025, 11, 4)),
    };
    assert_eq!(cursor.to_string(), "2025-11-03T01:02:03.000009Z 2025-10-01..2025-11-04");
    assert_eq!(Cursor::read(&cursor.to_string()), Some(cursor));
    let of_before = format!("{cursor} 2025-11-03T04:05:06Z");
    assert_eq!(Cursor::read(&of_before), Some(cursor), "what an earlier version wrote");
    for text in
        ["", "2025-11-03T01:02:03Z", "x 2025-10-01..2025-11-04", "2025-11-03T01:02:03Z a..b"]
    {
        assert_eq!(Cursor::read(text), None, "{text}");
    }
}

#[test]
fn scope_that_the_export_cannot_answer_is_refused_with_the_reason() {
    let mut source = source();
    let refused = |source: &mut Gcp, dimension, value: &str| {
        source.add_filtered("band:x", &[(dimension, vec![value.to_owned()])]).unwrap_err()
    };
    assert!(refused(&mut source, Dimension::InstanceType, "a3-highgpu-8g").contains("`sku`"));
    assert!(refused(&mut source, Dimension::ChargeCategory, "tax").contains("not part of spend"));
    assert_eq!(source.descriptor.breakdowns.len(), 4);
    source
        .add_filtered(
            "band:training",
            &[
                (Dimension::RegionId, vec!["us-east4".into(), "us-central1".into()]),
                (Dimension::ServiceName, vec!["Compute Engine".into()]),
            ],
        )
        .unwrap();
    let breakdown = source.descriptor.breakdowns.last().unwrap();
    assert_eq!(
        breakdown.filter,
        r#"spend; service_name=["Compute Engine"]; region_id=["us-central1","us-east4"]"#
    );
    assert!(breakdown.dimensions.is_empty());
}

#[test]
fn plan_prices_every_query_at_the_most_that_it_may_cost() {
    let source = source();
    let window = Window::new(date(2025, 10, 1), date(2025, 12, 1));
    let plan = source.plan(&window);
    let paid: Vec<_> = plan.iter().filter(|request| request.price.is_some()).collect();
    assert_eq!(paid.len(), 6);
    assert!(paid.iter().all(|request| request.operation == "jobs.query" && request.at_most == 1));
    assert!(paid.iter().all(|request| request.price == Some(source.settings.price_of(None))));
    assert!(plan.iter().any(|request| request.purpose == "`gpu_sku` (sku x region_id)"));
}

struct Given(BTreeMap<&'static str, Option<&'static str>>);

impl Cells for Given {
    fn text(&self, column: &str) -> Result<Option<String>, SourceError> {
        Ok(self.0.get(column).copied().flatten().map(str::to_owned))
    }
}

fn row(cells: &[(&'static str, &'static str)]) -> Given {
    let mut row = BTreeMap::from([
        ("day", Some("2025-11-01")),
        ("currency", Some("EUR")),
        ("invoice_month", Some("202512")),
        ("billed", Some("1.5")),
    ]);
    row.extend(cells.iter().map(|(name, value)| (*name, Some(*value))));
    Given(row)
}

fn decimal(text: &str) -> Option<Decimal> {
    Some(text.parse().unwrap())
}

#[test]
fn row_without_a_list_price_or_a_rate_makes_the_sum_unknown() {
    let cut = &source().cuts[0];
    let full = [
        ("list", "2"),
        ("unlisted", "0"),
        ("billed_usd", "1.6"),
        ("list_usd", "2.1"),
        ("unrated", "0"),
    ];
    let rows = normalise::breakdown(&[row(&full)], cut, &days()).unwrap();
    assert_eq!(
        rows[0].amounts,
        Amounts { billed: decimal("1.5"), effective: decimal("1.5"), list: decimal("2") }
    );
    assert_eq!(
        rows[0].usd,
        Some(Amounts { billed: decimal("1.6"), effective: decimal("1.6"), list: decimal("2.1") })
    );
    assert_eq!(rows[0].invoice_period, Some("2025-12".parse().unwrap()));
    let mut lacking = full;
    lacking[1].1 = "1";
    let rows = normalise::breakdown(&[row(&lacking)], cut, &days()).unwrap();
    assert_eq!((rows[0].amounts.list, rows[0].usd.unwrap().list), (None, None));
    let mut lacking = full;
    lacking[4].1 = "1";
    assert_eq!(normalise::breakdown(&[row(&lacking)], cut, &days()).unwrap()[0].usd, None);
    let mut dollars = row(&full);
    dollars.0.insert("currency", Some("USD"));
    assert_eq!(normalise::breakdown(&[dollars], cut, &days()).unwrap()[0].usd, None);
}

#[test]
fn given_credits_are_gathered_from_every_cost_that_they_were_taken_from() {
    let cut = &source().cuts[1];
    let none = [("credit0", "0"), ("credit1", "0"), ("credit2", "0")];
    let cost = |kind, category, credit| {
        let mut cost = row(&none);
        cost.0.extend([
            ("key0", Some(kind)),
            ("category", Some(category)),
            ("credit0", Some(credit)),
            ("credit0_usd", Some(credit)),
            ("billed_usd", Some("1.5")),
            ("unrated", Some("0")),
        ]);
        cost
    };
    let rows = [
        cost("regular", "usage", "-0.25"),
        cost("regular", "purchase", "-0.5"),
        cost("tax", "tax", "0"),
    ];
    let rows = normalise::breakdown(&rows, cut, &days()).unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            (row.keys[0].as_str(), row.category, row.amounts.billed, row.usd.unwrap().billed)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("PROMOTION", ChargeCategory::Credit, decimal("-0.75"), decimal("-0.75")),
            ("regular", ChargeCategory::Usage, decimal("1.5"), decimal("1.5")),
            ("regular", ChargeCategory::Purchase, decimal("1.5"), decimal("1.5")),
            ("tax", ChargeCategory::Tax, decimal("1.5"), decimal("1.5")),
        ]
    );
}

#[test]
fn answers_that_do_not_add_up_are_malformed() {
    let cuts = source().cuts;
    let kind = |rows: &[Given]| normalise::breakdown(rows, &cuts[0], &days()).unwrap_err().kind;
    for wrong in [
        vec![row(&[("day", "2025-11-02")])],
        vec![row(&[("day", "yesterday")])],
        vec![row(&[("currency", "euros")])],
        vec![row(&[("billed", "NaN")])],
        vec![row(&[("invoice_month", "November")])],
        vec![row(&[("category", "gift")])],
        vec![row(&[("key0", "a")]), row(&[("key0", "a")])],
    ] {
        assert_eq!(kind(&wrong), SourceErrorKind::Malformed);
    }
    let twice = [row(&[]), row(&[])];
    assert_eq!(normalise::control(&twice, &days()).unwrap_err().kind, SourceErrorKind::Malformed);
}

#[test]
fn small_amounts_in_scientific_notation_are_exact() {
    let rows = [row(&[("billed", "1E-9")])];
    let totals = normalise::control(&rows, &days()).unwrap();
    assert_eq!(totals[0].amounts.billed, decimal("0.000000001"));
    assert_eq!(totals[0].currency, "EUR".parse::<Currency>().unwrap());
}

#[test]
fn quantity_in_two_units_is_unknown() {
    let cut = &source().cuts[3];
    let hours = [("quantity", "8"), ("unit", "hour"), ("other_unit", "hour")];
    let rows = normalise::breakdown(&[row(&hours)], cut, &days()).unwrap();
    assert_eq!(rows[0].quantity.as_ref().unwrap().unit, "hour");
    let mut mixed = hours;
    mixed[2].1 = "month";
    assert_eq!(normalise::breakdown(&[row(&mixed)], cut, &days()).unwrap()[0].quantity, None);
}

#[test]
fn schema_names_every_setting_once() {
    let mut generator = schemars::SchemaGenerator::default();
    let _ = (KIND.schema)(&mut generator);
    let schema = generator.into_root_schema_for::<Entry>();
    let mut settings: Vec<_> =
        schema.get("properties").unwrap().as_object().unwrap().keys().cloned().collect();
    settings.sort_unstable();
    assert_eq!(
        settings,
        [
            "billing_account",
            "credentials",
            "dataset",
            "deadline",
            "endpoints",
            "final_after",
            "lag",
            "list_prices",
            "location",
            "maximum_age",
            "maximum_bytes_billed",
            "monthly_cap",
            "name",
            "poll_every",
            "price_per_tib",
            "project",
            "table",
            "table_kind"
        ]
    );
    let wrong = json!({"name": "google"});
    let mut problems = Problems::new();
    assert!((KIND.build)(&wrong, "sources.gcp[0]", &mut problems).is_none());
    assert_eq!(problems.iter().next().unwrap().path, "sources.gcp[0]");
}
