//! The AWS source against moto's server, the simulated Cost Explorer, and a server that
//! answers as a test orders.

mod environment;
mod fake;
pub(crate) mod moto;
mod prices;
mod simulated;

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use async_trait::async_trait;
use costband::collect::{PollRequest, Source, aws};
use costband::config::problems::Problems;
use costband::domain::breakdown::CostRow;
use costband::domain::identity::SourceId;
use costband::domain::money::Money;
use costband::domain::period::Window;
use costband::domain::ports::{Meter, MeterError};
use costband::domain::report::SourceReport;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// The secrets of the test entries. No error may repeat them.
pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY";
pub(crate) const SESSION_TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLETOKEN";

/// The account that moto and the fake server answer for.
pub(crate) const ACCOUNT: &str = "123456789012";

/// An entry under `sources.aws` whose endpoints are one test server.
pub(crate) fn entry(endpoint: &str) -> Value {
    json!({
        "name": "aws-test",
        "account": ACCOUNT,
        "credentials": {"static": {
            "access_key_id": "AKIAIOSFODNN7EXAMPLE",
            "secret_access_key": {"file": secret_file("key", SECRET_KEY)},
            "session_token": {"file": secret_file("token", SESSION_TOKEN)},
        }},
        "endpoints": {"cost_explorer": endpoint, "sts": endpoint},
        "gpu_families": ["p5", "p4d"],
    })
}

/// Makes a source of an entry as the configuration does.
pub(crate) fn build(entry: &Value) -> Box<dyn Source> {
    let mut problems = Problems::new();
    let source = (aws::KIND.build)(entry, "sources.aws[0]", &mut problems);
    source.unwrap_or_else(|| panic!("{problems}"))
}

fn secret_file(name: &str, value: &str) -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let path = FOLDER.get_or_init(|| tempfile::tempdir().unwrap()).path().join(name);
    std::fs::write(&path, format!("{value}\n")).unwrap();
    path
}

/// What a poll of October 2026, seen from the 20th, is asked.
pub(crate) fn october() -> PollRequest {
    PollRequest {
        window: Window::new("2026-10-01".parse().unwrap(), "2026-11-01".parse().unwrap()),
        now: "2026-10-20T09:30:00Z".parse().unwrap(),
        cursor: None,
    }
}

/// Counts reservations and allows paid ones up to a number.
pub(crate) struct CountingMeter {
    reserved: Mutex<Vec<(&'static str, Money)>>,
    allowed: usize,
}

impl CountingMeter {
    pub(crate) fn new() -> Self {
        Self::allowing(usize::MAX)
    }

    pub(crate) fn allowing(allowed: usize) -> Self {
        Self { reserved: Mutex::new(Vec::new()), allowed }
    }

    pub(crate) fn count(&self, operation: &str) -> usize {
        self.reserved.lock().unwrap().iter().filter(|(word, _)| *word == operation).count()
    }

    pub(crate) fn spent(&self) -> Decimal {
        self.reserved.lock().unwrap().iter().map(|(_, price)| price.amount).sum()
    }
}

#[async_trait]
impl Meter for CountingMeter {
    async fn reserve(
        &self,
        _: &SourceId,
        operation: &'static str,
        price: Money,
    ) -> Result<(), MeterError> {
        let mut reserved = self.reserved.lock().unwrap();
        let paid = reserved.iter().filter(|(_, price)| !price.amount.is_zero()).count();
        if !price.amount.is_zero() && paid >= self.allowed {
            return Err(MeterError::CapReached {
                spent: "30 USD".parse().unwrap(),
                cap: "30 USD".parse().unwrap(),
                price,
                resets_at: "2026-11-01T00:00:00Z".parse::<Timestamp>().unwrap(),
            });
        }
        reserved.push((operation, price));
        Ok(())
    }

    fn quota(&self, _: &SourceId, _: &'static str, _: &'static str, _: f64) {}
}

/// The rows of one breakdown of a report.
pub(crate) fn rows<'a>(report: &'a SourceReport, query: &str) -> &'a [CostRow] {
    let reading = report.breakdowns.iter().find(|reading| reading.breakdown.query == query);
    &reading.unwrap_or_else(|| panic!("no breakdown {query}")).rows
}

/// The sum of effective amounts.
pub(crate) fn effective<'a>(rows: impl IntoIterator<Item = &'a CostRow>) -> Decimal {
    rows.into_iter().map(|row| row.amounts.effective.unwrap()).sum()
}
