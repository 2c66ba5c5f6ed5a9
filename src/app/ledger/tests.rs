//! Which days the next poll looks at, by what the ledger knows.
#![allow(clippy::unwrap_used)]

use jiff::civil::date;

use super::*;
use crate::domain::breakdown::{BreakdownRole, ChargeCategory, CostRow, Dimension};
use crate::domain::money::Currency;
use crate::domain::report::{BreakdownReading, SourceErrorKind};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn rules(provider: Provider) -> SourceRules {
    SourceRules {
        id: SourceId::new("bill"),
        provider,
        lag: SignedDuration::from_hours(48),
        quiet: SignedDuration::from_hours(120),
        maximum_age: SignedDuration::from_hours(48),
    }
}

fn primary() -> Breakdown {
    Breakdown {
        source: SourceId::new("bill"),
        query: "service".to_owned(),
        filter: String::new(),
        dimensions: vec![Dimension::ServiceName],
        role: BreakdownRole::Primary,
    }
}

/// A ledger and the days of a source that it was read for.
struct Book {
    ledger: Ledger,
    rules: SourceRules,
    _folder: tempfile::TempDir,
}

impl Book {
    fn new(provider: Provider) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path().join("ledger.db")).unwrap();
        Self { ledger, rules: rules(provider), _folder: folder }
    }

    /// A good reading of every day from one to the present one.
    fn read(&mut self, first: Date, now: &str) {
        let now = at(now);
        let today = self.rules.provider.billing_zone().day_of(now);
        let window = Window::new(first, next_day(today));
        let row = |day| CostRow {
            day,
            keys: vec!["Compute".to_owned()],
            category: ChargeCategory::Usage,
            currency: Currency::USD,
            amounts: Amounts { billed: Some("1.25".parse().unwrap()), ..Amounts::default() },
            usd: None,
            quantity: None,
            invoice_period: None,
            estimated: false,
        };
        let rows = window.days().map(row).collect();
        let report = SourceReport {
            source: self.rules.id.clone(),
            provider: self.rules.provider,
            window,
            days: window.days().collect(),
            breakdowns: vec![BreakdownReading { breakdown: primary(), rows }],
            control_totals: Vec::new(),
            names: Vec::new(),
            budgets: Vec::new(),
            data_through: None,
            cursor: None,
            observed_at: now,
        };
        self.ledger.commit(&report, Some(now)).unwrap();
    }

    fn fail(&mut self, now: &str) {
        let (id, now) = (&self.rules.id, at(now));
        self.ledger.record_failure(id, now, SourceErrorKind::Auth, "refused", now).unwrap();
    }

    fn window(&self, now: &str) -> Window {
        open_window(&self.ledger, &self.rules, &[primary()], at(now)).unwrap()
    }

    fn begins(&self, now: &str) -> Date {
        self.window(now).start
    }
}

/// A reading of one day of a breakdown of machines.
fn of_machines(
    book: &mut Book,
    day: Date,
    dimensions: &[Dimension],
    keys: &[[&str; 2]],
    now: &str,
) {
    let row = |keys: [&str; 2]| CostRow {
        day,
        keys: keys.map(str::to_owned).to_vec(),
        category: ChargeCategory::Usage,
        currency: "EUR".parse().unwrap(),
        amounts: Amounts { billed: Some("1.25".parse().unwrap()), ..Amounts::default() },
        usd: None,
        quantity: None,
        invoice_period: None,
        estimated: false,
    };
    let of = |query: &str, dimensions: &[Dimension], role, rows| BreakdownReading {
        breakdown: Breakdown {
            source: SourceId::new("bill"),
            query: query.to_owned(),
            filter: String::new(),
            dimensions: dimensions.to_vec(),
            role,
        },
        rows,
    };
    let whole = CostRow { keys: vec!["Compute".to_owned()], ..row(["", ""]) };
    let provider = book.rules.provider;
    let report = SourceReport {
        source: book.rules.id.clone(),
        provider,
        window: Window::new(day, next_day(day)),
        days: vec![day],
        breakdowns: vec![
            of("service", &[Dimension::ServiceName], BreakdownRole::Primary, vec![whole]),
            of(
                crate::analyse::gpu_bill::query_of(provider),
                dimensions,
                BreakdownRole::Filtered,
                keys.iter().map(|keys| row(*keys)).collect(),
            ),
        ],
        control_totals: Vec::new(),
        names: Vec::new(),
        budgets: Vec::new(),
        data_through: None,
        cursor: None,
        observed_at: at(now),
    };
    book.ledger.commit(&report, Some(at(now))).unwrap();
}

fn texts(pairs: &[(&str, &str)]) -> std::collections::BTreeSet<(String, String)> {
    pairs.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
}

#[test]
fn a_poll_of_one_day_forgets_no_region_that_is_in_use() {
    let mut book = Book::new(Provider::Gcp);
    let dimensions = [Dimension::Sku, Dimension::RegionId];
    let h100 = "Nvidia H100 80GB GPU running in Americas";
    let first = [[h100, "us-central1"], [h100, "europe-west4"]];
    of_machines(&mut book, date(2026, 11, 3), &dimensions, &first, "2026-11-05T08:00:00Z");
    let late = [[h100, "us-central1"]];
    of_machines(&mut book, date(2026, 11, 4), &dimensions, &late, "2026-11-06T08:00:00Z");
    let used = in_use::in_use(&book.ledger, &book.rules, at("2026-11-06T08:00:00Z")).unwrap();
    let regions: Vec<_> = used.regions.iter().map(String::as_str).collect();
    assert_eq!(regions, ["europe-west4", "us-central1"]);
    assert_eq!(used.currency(), Some("EUR".parse().unwrap()));
    assert!(used.machines.is_empty(), "parts are listed by region");
}

#[test]
fn machines_in_use_are_those_of_the_bill_and_of_the_nodes() {
    use crate::domain::gpu_time::{GpuTime, StateTime};
    use crate::domain::node::Fleet;
    use crate::domain::price::CapacityType;

    let mut book = Book::new(Provider::Azure);
    let now = at("2026-11-06T08:00:00Z");
    let empty = in_use::in_use(&book.ledger, &book.rules, now).unwrap();
    assert_eq!((empty.currency(), empty.machines.len()), (None, 0));

    let dimensions = [Dimension::Sku, Dimension::RegionId];
    let keys = [["ND96isr H100 v5", "eastus"], ["NC6s v3", "eastus"], ["ND96asr v4", ""]];
    of_machines(&mut book, date(2026, 11, 3), &dimensions, &keys, "2026-11-05T08:00:00Z");
    let fleet = |provider, name: &str, region: Option<&str>| GpuTime {
        fleet: Fleet {
            provider: Some(provider),
            cluster: "video".to_owned(),
            instance_type: Some(name.to_owned()),
            region_id: region.map(str::to_owned),
            capacity_type: CapacityType::OnDemand,
            model: "NVIDIA A100 80GB PCIe".to_owned(),
        },
        node: name.to_owned(),
        day: date(2026, 11, 5),
        held_by: None,
        time: StateTime::default(),
    };
    let times = [
        fleet(Provider::Azure, "standard_nc24ads_a100_v4", Some("westeurope")),
        fleet(Provider::Azure, "Standard_NC48ads_A100_v4", None),
        fleet(Provider::Aws, "p5.48xlarge", Some("us-east-1")),
    ];
    book.ledger.keep_gpu_time(&times, &[], &[]).unwrap();
    let used = in_use::in_use(&book.ledger, &book.rules, now).unwrap();
    assert_eq!(
        used.machines,
        texts(&[
            ("Standard_NC24ads_A100_v4", "westeurope"),
            ("Standard_ND96isr_H100_v5", "eastus"),
        ])
    );
}

#[test]
fn a_source_that_was_never_read_begins_two_months_back_whatever_failed() {
    let mut book = Book::new(Provider::Aws);
    let wanted = Window::new(date(2026, 7, 1), date(2026, 9, 16));
    assert_eq!(book.window("2026-09-15T12:00:00Z"), wanted);
    book.fail("2026-06-20T12:00:00Z");
    assert_eq!(book.window("2026-09-15T12:00:00Z"), wanted);
}

#[test]
fn after_an_outage_the_window_begins_with_the_month_of_the_last_good_reading() {
    for (provider, wanted) in [
        (Provider::Aws, date(2026, 6, 1)),
        (Provider::Azure, date(2026, 6, 1)),
        (Provider::Gcp, date(2026, 5, 27)),
    ] {
        let mut book = Book::new(provider);
        book.read(date(2026, 5, 1), "2026-06-20T12:00:00Z");
        assert_eq!(book.begins("2026-09-15T12:00:00Z"), wanted, "{provider}");
        // What failed since then read nothing.
        book.fail("2026-07-11T12:00:00Z");
        book.fail("2026-09-15T04:00:00Z");
        assert_eq!(
            book.window("2026-09-15T12:00:00Z"),
            Window::new(wanted, date(2026, 9, 16)),
            "{provider}"
        );
        // Once all of it was read, the outage is over.
        book.read(wanted, "2026-09-15T12:00:00Z");
        let late = if provider == Provider::Gcp { 5 } else { 0 };
        let august = date(2026, 8, 1).saturating_sub(late.days());
        assert!(book.begins("2026-09-15T20:00:00Z") >= august, "{provider}");
    }
}

#[test]
fn an_outage_over_the_new_year_begins_in_the_old_one() {
    let mut book = Book::new(Provider::Aws);
    book.read(date(2026, 11, 1), "2026-12-30T12:00:00Z");
    assert_eq!(book.begins("2027-02-02T12:00:00Z"), date(2026, 12, 1));
}

#[test]
fn the_month_of_the_last_good_reading_is_the_month_of_the_billing_zone() {
    // Ten in the evening of the 30th of June in California.
    let mut book = Book::new(Provider::Gcp);
    book.read(date(2026, 5, 1), "2026-07-01T05:00:00Z");
    assert_eq!(book.begins("2026-09-15T12:00:00Z"), date(2026, 5, 27));
    let mut book = Book::new(Provider::Aws);
    book.read(date(2026, 5, 1), "2026-07-01T05:00:00Z");
    assert_eq!(book.begins("2026-09-15T12:00:00Z"), date(2026, 7, 1));
}

#[test]
fn without_an_outage_the_window_is_the_open_month_and_the_one_before_until_that_is_settled() {
    let mut book = Book::new(Provider::Aws);
    book.read(date(2026, 7, 1), "2026-08-31T20:00:00Z");
    // August ended after the reading.
    assert_eq!(book.begins("2026-09-01T04:00:00Z"), date(2026, 8, 1));
    book.read(date(2026, 8, 1), "2026-09-15T04:00:00Z");
    assert_eq!(book.begins("2026-09-15T12:00:00Z"), date(2026, 9, 1));
}

#[test]
fn an_outage_of_years_begins_a_year_back_where_every_provider_still_answers() {
    for (now, wanted) in [
        ("2026-09-30T12:00:00Z", date(2025, 9, 1)),
        ("2026-01-01T12:00:00Z", date(2025, 1, 1)),
        ("2025-12-31T12:00:00Z", date(2024, 12, 1)),
        ("2025-11-30T12:00:00Z", date(2024, 11, 1)),
        ("2025-10-31T12:00:00Z", date(2024, 10, 1)),
        ("2025-09-30T12:00:00Z", date(2024, 10, 1)),
    ] {
        let mut book = Book::new(Provider::Aws);
        book.read(date(2024, 9, 1), "2024-10-12T12:00:00Z");
        assert_eq!(book.begins(now), wanted, "at {now}");
    }
}
