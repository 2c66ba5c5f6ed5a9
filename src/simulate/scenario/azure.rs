//! The Azure billing account of the simulated world: three subscriptions.
//!
//! Pay-as-you-go prices of eastus and westeurope, Linux, as of June 2026. A reservation is a
//! purchase on the month's first day in the actual costs; amortised, its hours cost and the unused
//! ones show as `UnusedReservation`. Tax and credits are no part of Cost Management's answers.

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::line::{Account, Line, Terms, Usage, decimal, percent, record};
use super::publish::{Known, Whole};
use super::roll::Roll;
use crate::domain::breakdown::ChargeCategory;
use crate::domain::identity::Provider;
use crate::domain::period::BillingPeriod;
use crate::simulate::charge::Charge;

const TRAINING: Account =
    Account { id: "6f1d2c3b-0a4e-4f5d-9c8b-7a6f5e4d3c2b", name: "ML training" };
const INFERENCE: Account =
    Account { id: "7a2e3d4c-1b5f-4a6e-8d9c-8b7a6f5e4d3c", name: "ML inference" };
const PLATFORM: Account = Account { id: "8b3f4e5d-2c6a-4b7f-9ead-9c8b7a6f5e4d", name: "Platform" };

const MACHINES: &str = "Virtual Machines";
/// What a reserved hour costs of its pay-as-you-go price.
const RESERVATION_PERCENT: u32 = 60;
/// How much of the reservation is used.
const RESERVATION_USED_PERCENT: u32 = 94;
/// The negotiated discount of the agreement.
const NEGOTIATED_PERCENT: u32 = 4;

#[rustfmt::skip] // A table is read in rows.
pub(super) fn lines() -> Vec<Line> {
    let machine = |account, region, sku, size, price, usage, terms| Line {
        account,
        region,
        service: MACHINES,
        service_id: "",
        sku,
        instance_type: Some(size),
        unit: "1 Hour",
        price: decimal(price),
        usage,
        terms,
    };
    let hours = |units, weekend_percent| Usage::PerDay {
        units: decimal(units),
        weekend_percent,
        noise_per_mille: 25,
    };
    let list = Terms::OnDemand { negotiated_percent: 0 };
    let mut lines = vec![
        machine(TRAINING, "eastus", "ND96isr H100 v5", "Standard_ND96isr_H100_v5", "98.32", hours("8.3", 45), list),
        machine(TRAINING, "eastus", "ND96asr A100 v4", "Standard_ND96asr_v4", "27.197", Usage::AlwaysOn(1), Terms::Committed),
        machine(INFERENCE, "westeurope", "NC24ads A100 v4", "Standard_NC24ads_A100_v4", "3.673", hours("22", 80), list),
        machine(INFERENCE, "eastus", "NC40ads H100 v5", "Standard_NC40ads_H100_v5", "6.98", hours("6", 50), list),
    ];
    let service = |account, region, service, sku, unit, price, units| Line {
        account,
        region,
        service,
        service_id: "",
        sku,
        instance_type: None,
        unit,
        price: decimal(price),
        usage: Usage::PerDay { units: decimal(units), weekend_percent: 80, noise_per_mille: 60 },
        terms: Terms::OnDemand { negotiated_percent: NEGOTIATED_PERCENT },
    };
    lines.extend([
        service(TRAINING, "eastus", "Storage", "Premium LRS Provisioned", "1 GiB/Month", "0.16", "260"),
        service(INFERENCE, "westeurope", "Storage", "Hot LRS Data Stored", "1 GB/Month", "0.0196", "900"),
        service(INFERENCE, "westeurope", "Bandwidth", "Standard Data Transfer Out", "1 GB", "0.087", "240"),
        service(INFERENCE, "eastus", "Bandwidth", "Inter-Region Data Transfer", "1 GB", "0.02", "310"),
        service(INFERENCE, "eastus", "Azure Kubernetes Service", "Standard Uptime SLA", "1 Hour", "0.10", "72"),
        service(PLATFORM, "eastus", "Azure Monitor", "Metrics Ingestion", "10M", "0.16", "44"),
        service(PLATFORM, "eastus", "Log Analytics", "Analytics Logs Data Ingestion", "1 GB", "2.30", "8.1"),
        service(PLATFORM, "eastus", "Key Vault", "Operations", "10K", "0.03", "61"),
        service(INFERENCE, "eastus", "Load Balancer", "Standard Data Processed", "1 GB", "0.005", "900"),
        service(PLATFORM, "eastus", "Container Registry", "Premium Registry Unit", "1/Day", "1.6667", "3"),
        service(PLATFORM, "eastus", "Azure Database for PostgreSQL", "vCore", "1 Hour", "0.1085", "192"),
        service(PLATFORM, "westeurope", "Azure Cosmos DB", "100 RU/s", "1/Hour", "0.008", "1700"),
        service(INFERENCE, "westeurope", "Content Delivery Network", "Standard Data Transfer", "1 GB", "0.081", "160"),
        service(PLATFORM, "eastus", "Virtual Network", "Standard IPv4 Static Public IP", "1 Hour", "0.005", "720"),
    ]);
    lines
}

pub(super) fn charges(lines: &[Line], seed: u64, day: Date) -> Vec<Whole> {
    let mut charges = Vec::new();
    for line in lines {
        let quantity = line.quantity(Provider::Azure, seed, day);
        let charge = line.charge(Provider::Azure, "Usage", day, quantity);
        match line.terms {
            Terms::Committed => charges.extend(reserved(charge, line, day)),
            Terms::OnDemand { negotiated_percent } => {
                let cost = (charge.list * percent(100 - negotiated_percent)).round_dp(8);
                charges.push(in_steps(Charge { billed: cost, effective: cost, ..charge }));
            }
            Terms::CommitmentFee | Terms::Credited { .. } => charges.push(in_steps(charge)),
        }
    }
    if day.day() == 4 {
        let roll = Roll::new(seed).word("azure refund").day(day);
        let amount = decimal("-142.70613") * roll.around_one(200);
        let refund = record(
            Provider::Azure,
            TRAINING,
            (MACHINES, "ND96isr H100 v5"),
            ChargeCategory::Adjustment,
            "Refund",
            day,
            amount,
        );
        charges.push(Whole {
            charge: Charge { region_id: "eastus".to_owned(), ..refund },
            known: Known::AfterHours(40),
        });
    }
    charges
}

/// A reserved machine: its used hours, its unused hours, and on the month's first day the purchase
/// of the whole month.
fn reserved(usage: Charge, line: &Line, day: Date) -> Vec<Whole> {
    let reserved_hours = usage.quantity;
    let amortised = (usage.list * percent(RESERVATION_PERCENT)).round_dp(8);
    let used = (amortised * percent(RESERVATION_USED_PERCENT)).round_dp(8);
    let used_hours = reserved_hours * percent(RESERVATION_USED_PERCENT);
    let unused = Charge {
        record_type: "UnusedReservation".to_owned(),
        billed: Decimal::ZERO,
        effective: amortised - used,
        list: Decimal::ZERO,
        quantity: reserved_hours - used_hours,
        ..usage.clone()
    };
    let period = BillingPeriod::containing(day);
    let mut charges = Vec::new();
    if day == period.first_day() {
        let month = Decimal::from(24 * i64::from(period.days()));
        let hours = month * line.always_on().unwrap_or(Decimal::ONE);
        charges.push(Whole {
            charge: Charge {
                category: ChargeCategory::Purchase,
                record_type: "Purchase".to_owned(),
                sku: format!("{} Reservation", line.sku),
                billed: (line.price * hours * percent(RESERVATION_PERCENT)).round_dp(8),
                effective: Decimal::ZERO,
                list: Decimal::ZERO,
                quantity: Decimal::ONE,
                unit: "1".to_owned(),
                ..usage.clone()
            },
            known: Known::AfterHours(7),
        });
    }
    charges.push(in_steps(Charge {
        billed: Decimal::ZERO,
        effective: used,
        quantity: used_hours,
        ..usage
    }));
    charges.push(in_steps(unused));
    charges
}

fn in_steps(charge: Charge) -> Whole {
    Whole { charge, known: Known::InSteps }
}
