//! The GCP source over real sockets: a hand-written server for the shapes of answers and errors,
//! and local-bigquery for the SQL.

mod answers;
pub(crate) mod local_bigquery;
#[cfg(feature = "simulate")]
mod simulated;

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use costband::collect::gcp::KIND;
use costband::collect::{PollRequest, Source};
use costband::config::problems::Problems;
use costband::domain::breakdown::{BreakdownRole, ChargeCategory, CostRow};
use costband::domain::identity::SourceId;
use costband::domain::money::Money;
use costband::domain::period::Window;
use costband::domain::ports::{Meter, MeterError};
use costband::domain::report::SourceReport;
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// Writes down what is reserved, up to a cap.
#[derive(Default)]
struct Purse {
    reserved: Mutex<Vec<(&'static str, Money)>>,
    cap: Option<Decimal>,
}

impl Purse {
    fn operations(&self) -> Vec<&'static str> {
        self.reserved.lock().unwrap().iter().map(|(operation, _)| *operation).collect()
    }

    fn paid(&self) -> Vec<Decimal> {
        let reserved = self.reserved.lock().unwrap();
        reserved.iter().map(|(_, price)| price.amount).filter(|price| !price.is_zero()).collect()
    }
}

#[async_trait]
impl Meter for Purse {
    async fn reserve(
        &self,
        _: &SourceId,
        operation: &'static str,
        price: Money,
    ) -> Result<(), MeterError> {
        let mut reserved = self.reserved.lock().unwrap();
        let spent: Decimal = reserved.iter().map(|(_, price)| price.amount).sum();
        if let Some(cap) = self.cap
            && !price.amount.is_zero()
            && spent + price.amount > cap
        {
            return Err(MeterError::CapReached {
                spent: Money::new(spent, price.currency),
                cap: Money::new(cap, price.currency),
                price,
                resets_at: at("2025-12-01T00:00:00Z"),
            });
        }
        reserved.push((operation, price));
        Ok(())
    }

    fn quota(&self, _: &SourceId, _: &'static str, _: &'static str, _: f64) {}
}

const ACCOUNT: &str = "01ABCD-2EF345-6789AB";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn decimal(text: &str) -> Option<Decimal> {
    Some(text.parse().unwrap())
}

/// An entry that points at a server, changed as a test wants it.
pub(crate) fn entry(url: &str, change: Value) -> Value {
    let mut entry = json!({
        "name": "google", "billing_account": ACCOUNT, "project": "billing-proj",
        "dataset": "billing", "credentials": {"anonymous": true}, "endpoints": {"bigquery": url},
    });
    for (key, value) in change.as_object().unwrap() {
        entry[key] = value.clone();
    }
    entry
}

fn source(entry: &Value) -> Box<dyn Source> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut problems = Problems::new();
    (KIND.build)(entry, "sources.gcp[0]", &mut problems).unwrap_or_else(|| panic!("{problems}"))
}

/// A poll of October and November 2025, in the early hours of the 6th (Pacific).
fn request(cursor: Option<String>) -> PollRequest {
    PollRequest {
        window: Window::new(day("2025-10-01"), day("2025-11-06")),
        now: at("2025-11-06T12:00:00Z"),
        cursor,
    }
}

fn rows<'a>(report: &'a SourceReport, query: &str) -> &'a [CostRow] {
    let found = report.breakdowns.iter().find(|reading| reading.breakdown.query == query);
    &found.unwrap().rows
}

fn billed(rows: &[CostRow], currency: &str) -> Decimal {
    rows.iter()
        .filter(|row| row.currency.as_str() == currency)
        .map(|row| row.amounts.billed.unwrap())
        .sum()
}
