#![allow(clippy::unwrap_used)]

use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::collect::aws::request::standard;
use crate::domain::identity::SourceId;

/// A group: its keys, then billed, effective and quantity as amount and unit.
type Group<'a> = (&'a [&'a str], [(&'a str, &'a str); 3]);

fn metrics(values: [(&str, &str); 3]) -> HashMap<String, wire::MetricValue> {
    ["UnblendedCost", "AmortizedCost", "UsageQuantity"]
        .into_iter()
        .zip(values)
        .map(|(name, (amount, unit))| {
            (name.to_owned(), wire::MetricValue::builder().amount(amount).unit(unit).build())
        })
        .collect()
}

fn result(day: (&str, &str), groups: &[Group<'_>]) -> wire::ResultByTime {
    let period = wire::DateInterval::builder().start(day.0).end(day.1).build().unwrap();
    let mut result = wire::ResultByTime::builder().time_period(period).estimated(true);
    for (keys, values) in groups {
        result = result.groups(
            wire::Group::builder()
                .set_keys(Some(keys.iter().map(|key| (*key).to_owned()).collect()))
                .set_metrics(Some(metrics(*values)))
                .build(),
        );
    }
    result.build()
}

fn page(day: (&str, &str), groups: &[Group<'_>]) -> GetCostAndUsageOutput {
    GetCostAndUsageOutput::builder().results_by_time(result(day, groups)).build()
}

fn query(name: &str) -> Query {
    let queries = standard(&SourceId::new("main"), &["p5".to_owned()]);
    queries.into_iter().find(|query| query.name() == name).unwrap()
}

fn read(name: &str, pages: &[GetCostAndUsageOutput]) -> Result<Vec<CostRow>, SourceError> {
    let query = query(name);
    let window = Window::new(date(2026, 10, 1), date(2026, 11, 1));
    let mut reading = Reading::new(&query, window);
    for page in pages {
        reading.page(page)?;
    }
    Ok(reading.rows())
}

const FIRST: (&str, &str) = ("2026-10-01", "2026-10-02");
const USD: [(&str, &str); 3] = [("12.3400000001", "USD"), ("10.0000000002", "USD"), ("4.5", "N/A")];

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[test]
fn row_keeps_every_digit_of_its_amounts() {
    let rows = read("service_sub_account", &[page(FIRST, &[(&["S3", "1"], USD)])]).unwrap();
    let row = rows.first().unwrap();
    assert_eq!(row.day, date(2026, 10, 1));
    assert_eq!(row.keys, ["S3", "1"]);
    assert_eq!(row.amounts.billed, Some(dec("12.3400000001")));
    assert_eq!(row.amounts.effective, Some(dec("10.0000000002")));
    assert_eq!(row.amounts.list, None);
    let quantity = row.quantity.as_ref().unwrap();
    assert_eq!((quantity.amount, quantity.unit.as_str()), (dec("4.5"), "N/A"));
    assert!(row.estimated);
    assert_eq!(row.category, ChargeCategory::Usage);
}

#[test]
fn record_type_stays_the_key_beside_its_category() {
    let groups: [Group<'_>; 3] =
        [(&["Tax"], USD), (&["SavingsPlanNegation"], USD), (&["RIFee"], USD)];
    let rows = read("record_type", &[page(FIRST, &groups)]).unwrap();
    let told: Vec<_> = rows.iter().map(|row| (row.keys[0].as_str(), row.category)).collect();
    assert_eq!(
        told,
        [
            ("RIFee", ChargeCategory::Purchase),
            ("SavingsPlanNegation", ChargeCategory::Usage),
            ("Tax", ChargeCategory::Tax),
        ]
    );
}

#[test]
fn only_gpu_families_are_kept_of_the_machine_types() {
    let groups: [Group<'_>; 3] = [
        (&["m5.large", "us-east-1"], USD),
        (&["NoInstanceType", "us-east-1"], USD),
        (&["p5.48xlarge", "us-east-1"], USD),
    ];
    let rows = read("gpu_instance_type", &[page(FIRST, &groups)]).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].keys, ["p5.48xlarge", "us-east-1"]);
}

#[test]
fn cost_without_a_region_has_the_empty_key() {
    let rows = read("region", &[page(FIRST, &[(&["NoRegion"], USD)])]).unwrap();
    assert_eq!(rows[0].keys, [""]);
}

#[test]
fn row_of_zeros_is_dropped_and_free_use_is_kept() {
    let groups: [Group<'_>; 2] = [
        (&["Free", "1"], [("0", "USD"), ("0.0", "USD"), ("0", "")]),
        (&["Used", "1"], [("0", "USD"), ("0", "USD"), ("3", "Hrs")]),
    ];
    let rows = read("service_sub_account", &[page(FIRST, &groups)]).unwrap();
    assert_eq!(rows.iter().map(|row| row.keys[0].as_str()).collect::<Vec<_>>(), ["Used"]);
}

#[test]
fn anything_undocumented_is_malformed_and_named() {
    let usd = |amount| [(amount, "USD"), ("1", "USD"), ("1", "Hrs")];
    for (groups, day, named) in [
        (vec![(["S3"].as_slice(), USD)], FIRST, "1 keys where 2"),
        (vec![(["S3", "1", "2"].as_slice(), USD)], FIRST, "3 keys where 2"),
        (vec![(["S3", "1"].as_slice(), usd("twelve"))], FIRST, "UnblendedCost `twelve`"),
        (vec![(["S3", "1"].as_slice(), usd("1_000"))], FIRST, "`1_000`"),
        (vec![(["S3", "1"].as_slice(), usd(""))], FIRST, "``"),
        (
            vec![(["S3", "1"].as_slice(), [("1", "USD"), ("1", "EUR"), ("1", "Hrs")])],
            FIRST,
            "`USD` and `EUR`",
        ),
        (
            vec![(["S3", "1"].as_slice(), [("1", "N/A"), ("1", "N/A"), ("1", "Hrs")])],
            FIRST,
            "`N/A` where a currency",
        ),
        (vec![], ("2026-11-01", "2026-11-02"), "outside of 2026-10-01..2026-11-01"),
        (vec![], ("2026-10-01", "2026-11-01"), "not of one day"),
        (vec![], ("October", "2026-10-02"), "`October`"),
        (
            vec![(["S3", "1"].as_slice(), USD), (["S3", "1"].as_slice(), USD)],
            FIRST,
            r#"["S3", "1"] twice"#,
        ),
    ] {
        let error = read("service_sub_account", &[page(day, &groups)]).unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Malformed, "{error}");
        assert!(error.message.contains(named), "{error} does not name {named}");
        assert!(error.message.contains("`service_sub_account`"), "{error}");
    }
}

#[test]
fn group_on_two_pages_is_malformed() {
    let one = page(FIRST, &[(&["S3", "1"], USD)]);
    assert!(read("service_sub_account", &[one.clone(), one]).is_err());
}

#[test]
fn day_may_go_on_over_the_next_page() {
    let pages = [page(FIRST, &[(&["S3", "1"], USD)]), page(FIRST, &[(&["EC2", "1"], USD)])];
    let rows = read("service_sub_account", &pages).unwrap();
    assert_eq!(rows.iter().map(|row| row.keys[0].as_str()).collect::<Vec<_>>(), ["EC2", "S3"]);
}

#[test]
fn control_total_is_read_of_the_total_alone() {
    let period = wire::DateInterval::builder().start(FIRST.0).end(FIRST.1).build().unwrap();
    let total = wire::ResultByTime::builder().time_period(period).set_total(Some(metrics(USD)));
    let page = GetCostAndUsageOutput::builder().results_by_time(total.build()).build();
    let totals = control_totals(read("control_total", &[page]).unwrap());
    assert_eq!(totals[0].amounts.effective, Some(dec("10.0000000002")));

    let grouped = [super::tests::page(FIRST, &[(&["S3"], USD)])];
    assert!(read("control_total", &grouped).unwrap_err().message.contains("not asked for"));
}

proptest! {
    #[test]
    fn printed_amount_is_read_back_exactly(digits in any::<i64>(), scale in 0_u32..20) {
        let amount = Decimal::new(digits, scale);
        prop_assert_eq!(decimal(&amount.to_string()), Some(amount));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,40}") {
        let _ = decimal(&text);
    }
}
