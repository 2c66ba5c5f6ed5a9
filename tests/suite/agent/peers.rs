//! The agent against independent servers: moto for Cost Explorer, local-bigquery for the export.

use std::sync::Arc;

use costband::domain::ports::Clock;
use serde_json::json;

use super::house::start;
use crate::clock::SetClock;
use crate::faces::series::value;
use crate::{aws, gcp};

fn configuration(folder: &tempfile::TempDir, sources: &serde_json::Value) -> String {
    // JSON is YAML.
    format!(
        "listen: 127.0.0.1:0\nstore: {{path: \"{}\"}}\nbands: []\nsources: {sources}\n",
        folder.path().join("costband.db").display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_tells_what_moto_was_seeded_with_to_the_last_digit() {
    let Some(moto) = aws::moto::Moto::start().await else { return };
    moto.seed(aws::ACCOUNT, aws::moto::replies()).await;
    let folder = tempfile::tempdir().unwrap();
    let text = configuration(&folder, &json!({"aws": [aws::entry(&moto.endpoint)]}));
    let clock: Arc<dyn Clock> = SetClock::at("2026-10-20T09:30:00Z");
    let mut agent = start(&text, clock).await;
    agent.when_read().await;
    let page = agent.text("/metrics").await;
    let told = |name: &str, more: &[(&str, &str)]| {
        let labels = [&[("source", "aws-test"), ("period", "current")][..], more].concat();
        value(&page, &format!("costband_{name}"), &labels)
    };
    let is = |amount: &str| Some(amount.to_owned());
    assert_eq!(told("billed_cost", &[]), is("1500.7234567892"));
    assert_eq!(told("effective_cost", &[]), is("1350.4500000002"));
    let ec2 = [("service_name", "Amazon Elastic Compute Cloud - Compute")];
    assert_eq!(told("service_billed_cost", &ec2), is("1500.7234567891"));
    let s3 = [("service_name", "Amazon Simple Storage Service")];
    assert_eq!(told("service_effective_cost", &s3), is("0.0000000001"));
    let training = [("sub_account_id", "111111111111")];
    assert_eq!(told("sub_account_effective_cost", &training), is("900.0000000002"));
    assert_eq!(told("region_effective_cost", &[("region_id", "us-east-1")]), is("1350.2500000002"));
    for (kind, amount) in [("tax", "150.06"), ("credit", "-25"), ("refund", "-5")] {
        assert_eq!(told("excluded_cost", &[("kind", kind)]), is(amount), "{kind}");
    }
    assert_eq!(told("billing_reconciliation_difference", &[]), is("0"));
    let named = [("sub_account_id", "222222222222"), ("sub_account_name", "serving")];
    assert_eq!(value(&page, "costband_sub_account_info", &named), is("1"));
    let asked = [("operation", "GetCostAndUsage")];
    assert_eq!(value(&page, "costband_source_api_requests_total", &asked), is("6"));
    let spent: f64 = value(&page, "costband_source_api_cost_total", &[]).unwrap().parse().unwrap();
    // The crate that keeps counters adds doubles.
    assert!((spent - 0.06).abs() < 1e-9, "{spent}");
    assert_eq!(value(&page, "costband_source_api_month_cost", &[("currency", "USD")]), is("0.06"));
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_tells_what_the_bigquery_emulator_holds_to_the_last_digit() {
    let Some(peer) = gcp::local_bigquery::start().await else { return };
    peer.make(gcp::local_bigquery::STANDARD_TABLE, gcp::local_bigquery::STANDARD, "").await;
    let mut bill = gcp::local_bigquery::bill();
    // A usage day of September that the seeded bill puts on November's invoice.
    bill.pop();
    peer.insert(gcp::local_bigquery::STANDARD_TABLE, &bill).await;
    let folder = tempfile::tempdir().unwrap();
    let text = configuration(&folder, &json!({"gcp": [gcp::entry(&peer.url, json!({}))]}));
    let clock: Arc<dyn Clock> = SetClock::at("2025-11-06T12:00:00Z");
    let mut agent = start(&text, clock).await;
    agent.when_read().await;
    let page = agent.text("/metrics").await;
    let told = |name: &str, period: &str, currency: &str, more: &[(&str, &str)]| {
        let labels =
            [&[("source", "google"), ("period", period), ("currency", currency)][..], more];
        value(&page, &format!("costband_{name}"), &labels.concat())
    };
    let is = |amount: &str| Some(amount.to_owned());
    // 186.225000001 on both invoices, of which October's carries 4.
    for name in ["billed_cost", "effective_cost"] {
        assert_eq!(told(name, "current", "EUR", &[]), is("182.225000001"));
        assert_eq!(told(name, "current", "USD", &[]), is("3"));
        assert_eq!(told(name, "previous", "EUR", &[]), is("4"));
    }
    let serving = [("sub_account_id", "serve")];
    assert_eq!(told("sub_account_billed_cost", "current", "EUR", &serving), is("0.3"));
    for (kind, amount) in [("tax", "19.99"), ("credit", "-6.25"), ("refund", "-7")] {
        assert_eq!(
            told("excluded_cost", "current", "EUR", &[("kind", kind)]),
            is(amount),
            "{kind}"
        );
    }
    for currency in ["EUR", "USD"] {
        let difference = told("billing_reconciliation_difference", "current", currency, &[]);
        assert_eq!(difference, is("0"), "{currency}");
    }
    agent.end().await;
}
