//! The Google Cloud billing account of the simulated world: four projects.
//!
//! Machines are billed as their SKUs: cores, memory, GPUs, local SSD, at us-central1 list prices of
//! August 2026. Commitments are fees by the hour and credits on the covered usage, sustained use
//! and promotions are credits. Tax and adjustments name no project (Cloud Billing export schema).

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::line::{Account, Line, ON_DEMAND, Terms, Usage, decimal, percent, record};
use super::publish::{Known, Whole};
use super::roll::Roll;
use crate::domain::breakdown::ChargeCategory;
use crate::domain::identity::Provider;
use crate::domain::period::BillingPeriod;
use crate::simulate::charge::Charge;

const TRAINING: Account = Account { id: "vision-training", name: "Vision training" };
const SERVING: Account = Account { id: "vision-serving", name: "Vision serving" };
const DATA: Account = Account { id: "data-platform", name: "Data platform" };
const SHARED: Account = Account { id: "shared-services", name: "Shared services" };
const NONE: Account = Account { id: "", name: "" };

const COMPUTE: (&str, &str) = ("Compute Engine", "6F81-5844-456A");
const A3: &str = "a3-highgpu-8g";
const A2: &str = "a2-highgpu-8g";
/// What a committed hour costs of its list price.
const COMMITMENT_PERCENT: u32 = 63;
/// What one hour of an a3-highgpu-8g is made of: SKU, commitment SKU, unit, price, units.
#[rustfmt::skip] // A table is read in rows.
const A3_PARTS: [(&str, &str, &str, &str, u32); 4] = [
    ("A3 Instance Core running in Americas", "Commitment v1: A3 Cpu in Americas for 1 Year", "hour", "0.027510000", 208),
    ("A3 Instance Ram running in Americas", "Commitment v1: A3 Ram in Americas for 1 Year", "gibibyte hour", "0.001995468", 1872),
    ("Nvidia H100 80GB GPU running in Americas", "Commitment v1: Nvidia H100 80GB GPU in Americas for 1 Year", "hour", "9.796550569", 8),
    ("SSD backed Local Storage attached to A3 in Americas", "Commitment v1: Local SSD in Americas for 1 Year", "gibibyte hour", "0.000110000", 6000),
];
/// What one hour of an a2-highgpu-8g is made of: SKU, unit, price, units.
const A2_PARTS: [(&str, &str, &str, u32); 3] = [
    ("A2 Instance Core running in Americas", "hour", "0.031611", 96),
    ("A2 Instance Ram running in Americas", "gibibyte hour", "0.004237", 680),
    ("Nvidia Tesla A100 GPU running in Americas", "hour", "2.933908", 8),
];
const A2_HOURS_PER_DAY: &str = "13.2";

#[rustfmt::skip] // A table is read in rows.
pub(super) fn lines() -> Vec<Line> {
    let compute = |account, sku, machine, unit, price: Decimal, usage, terms| Line {
        account,
        region: "us-central1",
        service: COMPUTE.0,
        service_id: COMPUTE.1,
        sku,
        instance_type: machine,
        unit,
        price,
        usage,
        terms,
    };
    let mut lines = Vec::new();
    for (sku, commitment, unit, price, units) in A3_PARTS {
        let price = decimal(price);
        let fee = (price * percent(COMMITMENT_PERCENT)).round_dp(9);
        let usage = Usage::AlwaysOn(units);
        lines.push(compute(TRAINING, sku, Some(A3), unit, price, usage, Terms::Committed));
        lines.push(compute(TRAINING, commitment, None, unit, fee, usage, Terms::CommitmentFee));
    }
    for (sku, unit, price, units) in A2_PARTS {
        let usage = Usage::PerDay {
            units: decimal(A2_HOURS_PER_DAY) * Decimal::from(units),
            weekend_percent: 55,
            noise_per_mille: 25,
        };
        lines.push(compute(SERVING, sku, Some(A2), unit, decimal(price), usage, ON_DEMAND));
    }
    let sustained = Terms::Credited {
        kind: "SUSTAINED_USAGE_DISCOUNT",
        name: "Sustained Usage Discount",
        percent: 20,
    };
    let n2 = Some("n2-standard-32");
    for (sku, unit, price, units) in [
        ("N2 Instance Core running in Americas", "hour", "0.031611", 32),
        ("N2 Instance Ram running in Americas", "gibibyte hour", "0.004237", 128),
    ] {
        lines.push(compute(
            SHARED,
            sku,
            n2,
            unit,
            decimal(price),
            Usage::AlwaysOn(units),
            sustained,
        ));
    }
    lines.extend(services());
    lines
}

#[rustfmt::skip] // A table is read in rows.
fn services() -> Vec<Line> {
    let service = |account, region, (service, service_id), sku, unit, price, units| Line {
        account,
        region,
        service,
        service_id,
        sku,
        instance_type: None,
        unit,
        price: decimal(price),
        usage: Usage::PerDay { units: decimal(units), weekend_percent: 80, noise_per_mille: 60 },
        terms: ON_DEMAND,
    };
    let negotiated = Terms::OnDemand { negotiated_percent: 5 };
    let promotion =
        Terms::Credited { kind: "PROMOTION", name: "Startup program credit", percent: 40 };
    let free = Terms::Credited { kind: "FREE_TIER", name: "Free tier", percent: 33 };
    let storage = ("Cloud Storage", "95FF-2EF5-5EA1");
    let network = ("Networking", "E505-1604-58F8");
    vec![
        Line { terms: negotiated, ..service(TRAINING, "us", storage, "Standard Storage US Multi-region", "gibibyte month", "0.026", "2600") },
        Line { terms: negotiated, ..service(SERVING, "europe-west4", storage, "Standard Storage Netherlands", "gibibyte month", "0.020", "700") },
        Line { terms: promotion, ..service(DATA, "us", ("BigQuery", "24E6-581D-38E5"), "Analysis", "tebibyte", "6.25", "6.4") },
        service(SERVING, "us-central1", network, "Network Internet Data Transfer Out from Americas to Americas", "gibibyte", "0.12", "510"),
        service(SERVING, "europe-west4", network, "Network Internet Data Transfer Out from EMEA to EMEA", "gibibyte", "0.12", "130"),
        service(SERVING, "global", network, "Cloud CDN Cache Data Transfer Out to North America", "gibibyte", "0.08", "310"),
        Line { terms: free, ..service(SERVING, "us-central1", ("Kubernetes Engine", "CCD8-9BF1-090E"), "Regional Kubernetes Clusters", "hour", "0.10", "72") },
        service(DATA, "us-central1", ("Vertex AI", "C7E2-9256-1C43"), "Vertex AI: Online/Batch Prediction N1 Predefined Instance Core", "hour", "0.0410000", "820"),
        service(SHARED, "global", ("Cloud Logging", "5490-F7B7-8DF6"), "Log Storage cost", "gibibyte", "0.50", "41"),
        service(SHARED, "global", ("Cloud Monitoring", "58CD-E7C3-72CA"), "Prometheus Samples Ingested", "million samples", "0.06", "140"),
        service(DATA, "us-central1", ("Cloud SQL", "9662-B51E-5089"), "Cloud SQL for PostgreSQL: Regional - vCPU in Americas", "hour", "0.0826", "290"),
        Line { terms: promotion, ..service(SERVING, "us-central1", ("Cloud Run", "152E-C115-5142"), "CPU Allocation Time", "second", "0.000024", "310000") },
        service(DATA, "global", ("Cloud Pub/Sub", "A1E8-BE35-7EBC"), "Message Delivery Basic", "tebibyte", "40", "0.14"),
        service(SHARED, "us", ("Artifact Registry", "149C-F9EC-3994"), "Artifact Registry Storage", "gibibyte month", "0.10", "72"),
        service(TRAINING, "us-central1", ("Cloud Filestore", "D97E-AB26-5D95"), "Filestore Capacity Zonal Iowa", "gibibyte month", "0.25", "190"),
    ]
}

pub(super) fn charges(lines: &[Line], seed: u64, day: Date) -> Vec<Whole> {
    let mut charges: Vec<Whole> = lines
        .iter()
        .map(|line| {
            let quantity = line.quantity(Provider::Gcp, seed, day);
            let charge = line.charge(Provider::Gcp, "regular", day, quantity);
            Whole { charge: on_terms(line, charge), known: Known::InSteps }
        })
        .collect();
    charges.extend(records(seed, day));
    charges
}

fn on_terms(line: &Line, charge: Charge) -> Charge {
    let credit = |kind: &str, name: &str, amount: Decimal| {
        vec![(kind.to_owned(), name.to_owned(), amount.round_dp(6))]
    };
    match line.terms {
        Terms::OnDemand { negotiated_percent } => {
            let cost = (charge.list * percent(100 - negotiated_percent)).round_dp(6);
            Charge { billed: cost, effective: cost, ..charge }
        }
        Terms::Committed => {
            let credits = credit(
                "COMMITTED_USAGE_DISCOUNT",
                "Committed Usage Discount: A3 in Americas",
                -charge.billed,
            );
            Charge { credits, ..charge }
        }
        Terms::CommitmentFee => Charge { category: ChargeCategory::Purchase, ..charge },
        Terms::Credited { kind, name, percent: share } => {
            let credits = credit(kind, name, -charge.billed * percent(share));
            Charge { credits, ..charge }
        }
    }
}

/// The month's support fee and tax, and now and then an adjustment.
fn records(seed: u64, day: Date) -> Vec<Whole> {
    let roll = Roll::new(seed).word("gcp records").day(day);
    let entry = |account, service, sku, category, cost_type, amount: Decimal, hours| Whole {
        charge: record(Provider::Gcp, account, (service, sku), category, cost_type, day, amount),
        known: Known::AfterHours(hours),
    };
    let mut records = Vec::new();
    if day == BillingPeriod::containing(day).first_day() {
        let fee = decimal("500");
        let mut support = entry(
            NONE,
            "Support",
            "Enhanced Support Subscription",
            ChargeCategory::Purchase,
            "regular",
            fee,
            30,
        );
        support.charge.service_id = "2062-016F-44A2".to_owned();
        records.push(support);
        let tax = decimal("1184.27") * roll.word("tax").around_one(30);
        records.push(entry(NONE, "Invoice", "Tax", ChargeCategory::Tax, "tax", tax, 36));
    }
    if day.day() == 4 {
        let amount = decimal("-83.115") * roll.word("adjustment").around_one(200);
        records.push(entry(
            NONE,
            "Invoice",
            "Billing correction",
            ChargeCategory::Adjustment,
            "adjustment",
            amount,
            44,
        ));
    }
    records
}
