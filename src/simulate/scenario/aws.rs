//! The AWS organisation of the simulated world: five linked accounts under one payer.
//!
//! On-demand list prices of us-east-1 and eu-west-1, Linux, as of July 2026. Record types and
//! service names are Cost Explorer's own.

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::line::{
    Account, Line, ON_DEMAND, Terms, Usage, decimal, hours_of, is_weekend, percent, record,
};
use super::publish::{ENTERPRISE_DISCOUNT, Known, Whole};
use super::roll::Roll;
use crate::domain::breakdown::ChargeCategory;
use crate::domain::identity::Provider;
use crate::domain::period::{BillingPeriod, Window};
use crate::simulate::charge::Charge;

/// The management account, which pays for the others.
pub(super) const PAYER: Account = Account { id: "111122223333", name: "management" };
const TRAINING: Account = Account { id: "222233334444", name: "training" };
const INFERENCE: Account = Account { id: "333344445555", name: "inference" };
const RESEARCH: Account = Account { id: "444455556666", name: "research" };
const DATA: Account = Account { id: "555566667777", name: "data" };

const EC2: &str = "Amazon Elastic Compute Cloud - Compute";
const SAVINGS_PLANS: &str = "Savings Plans for AWS Compute usage";
/// What a covered hour costs under the Savings Plan, of its list price.
const SAVINGS_PLAN_PERCENT: u32 = 62;
/// How much of the Savings Plan is paid ahead, on the month's first day.
const UPFRONT_PERCENT: u32 = 50;
const ENTERPRISE_DISCOUNT_PERCENT: u32 = 6;
const P5: &str = "p5.48xlarge";
const P5_PRICE: &str = "55.0400000000";

#[rustfmt::skip] // A table is read in rows.
pub(super) fn lines() -> Vec<Line> {
    let mut lines = vec![Line {
        terms: Terms::Committed,
        usage: Usage::AlwaysOn(1),
        ..machine(TRAINING, "us-east-1", "BoxUsage:p5.48xlarge", P5, P5_PRICE, "0", 100)
    }];
    lines.extend([
        machine(TRAINING, "us-east-1", "BoxUsage:p5.48xlarge", P5, P5_PRICE, "22.6", 86),
        machine(RESEARCH, "us-west-2", "USW2-BoxUsage:p4d.24xlarge", "p4d.24xlarge", "21.9576420000", "20", 60),
        machine(INFERENCE, "us-east-1", "BoxUsage:g6e.48xlarge", "g6e.48xlarge", "30.1311800000", "23.2", 76),
        machine(INFERENCE, "eu-west-1", "EU-BoxUsage:g5.48xlarge", "g5.48xlarge", "16.2880000000", "16", 72),
    ]);
    let service = |account, region, service, sku, unit, price, units| Line {
        account,
        region,
        service,
        service_id: "",
        sku,
        instance_type: None,
        unit,
        price: decimal(price),
        usage: Usage::PerDay { units: decimal(units), weekend_percent: 82, noise_per_mille: 60 },
        terms: ON_DEMAND,
    };
    let s3 = "Amazon Simple Storage Service";
    let other = "EC2 - Other";
    lines.extend([
        service(TRAINING, "us-east-1", s3, "TimedStorage-ByteHrs", "GB-Mo", "0.0210000000", "4100"),
        service(INFERENCE, "eu-west-1", s3, "EU-TimedStorage-ByteHrs", "GB-Mo", "0.0230000000", "900"),
        service(DATA, "us-east-1", s3, "Requests-Tier1", "Requests", "0.0000050000", "1800000"),
        service(TRAINING, "us-east-1", "Amazon FSx", "Lustre-SSD-Storage", "GB-Mo", "0.1450000000", "1500"),
        service(TRAINING, "us-east-1", other, "EBS:VolumeUsage.gp3", "GB-Mo", "0.0800000000", "1500"),
        service(RESEARCH, "us-west-2", other, "USW2-EBS:VolumeUsage.gp3", "GB-Mo", "0.0800000000", "310"),
        service(INFERENCE, "us-east-1", other, "DataTransfer-Out-Bytes", "GB", "0.0900000000", "780"),
        service(TRAINING, "us-east-1", other, "NatGateway-Bytes", "GB", "0.0450000000", "900"),
        service(INFERENCE, "global", "Amazon CloudFront", "US-DataTransfer-Out-Bytes", "GB", "0.0850000000", "910"),
        service(TRAINING, "us-east-1", "AmazonCloudWatch", "CW:MetricMonitorUsage", "Metrics", "0.3000000000", "96"),
        service(INFERENCE, "eu-west-1", "AmazonCloudWatch", "EU-DataProcessing-Bytes", "GB", "0.5700000000", "31"),
        service(INFERENCE, "us-east-1", "Amazon Elastic Container Service for Kubernetes", "AmazonEKS-Hours:perCluster", "Hours", "0.1000000000", "72"),
        service(INFERENCE, "us-east-1", "Amazon Elastic Load Balancing", "LCUUsage", "LCU-Hrs", "0.0080000000", "3100"),
        service(INFERENCE, "eu-west-1", "Amazon Elastic Load Balancing", "EU-LCUUsage", "LCU-Hrs", "0.0080000000", "640"),
        service(DATA, "us-east-1", "AWS Lambda", "Lambda-GB-Second", "Lambda-GB-Second", "0.0000166667", "910000"),
        service(DATA, "us-east-1", "Amazon DynamoDB", "WriteRequestUnits", "WriteRequestUnits", "0.0000012500", "19000000"),
        service(TRAINING, "us-east-1", "Amazon EC2 Container Registry (ECR)", "TimedStorage-ByteHrs-ECR", "GB-Mo", "0.1000000000", "240"),
        service(PAYER, "us-east-1", "AWS Key Management Service", "KMS-Requests", "Requests", "0.0000030000", "1900000"),
        service(PAYER, "global", "Amazon Route 53", "DNS-Queries", "Queries", "0.0000004000", "3100000"),
        service(INFERENCE, "us-east-1", "Amazon Virtual Private Cloud", "PublicIPv4:InUseAddress", "Hrs", "0.0050000000", "2400"),
        Line { instance_type: Some("db.r6g.2xlarge"), ..service(DATA, "us-east-1", "Amazon Relational Database Service", "InstanceUsage:db.r6g.2xlarge", "Hrs", "0.9000000000", "46") },
        Line { instance_type: Some("ml.g5.2xlarge"), ..service(RESEARCH, "us-west-2", "Amazon SageMaker", "USW2-Notebk:ml.g5.2xlarge", "Hrs", "1.5150000000", "41") },
    ]);
    lines
}

fn machine(
    account: Account,
    region: &'static str,
    sku: &'static str,
    instance_type: &'static str,
    price: &str,
    hours: &str,
    weekend_percent: u32,
) -> Line {
    Line {
        account,
        region,
        service: EC2,
        service_id: "",
        sku,
        instance_type: Some(instance_type),
        unit: "Hrs",
        price: decimal(price),
        usage: Usage::PerDay { units: decimal(hours), weekend_percent, noise_per_mille: 25 },
        terms: ON_DEMAND,
    }
}

pub(super) fn charges(lines: &[Line], seed: u64, day: Date) -> Vec<Whole> {
    let mut charges = Vec::new();
    for line in lines {
        let quantity = line.quantity(Provider::Aws, seed, day);
        match line.terms {
            Terms::Committed => charges.extend(covered(line, day, quantity)),
            _ => charges.extend(on_demand(line, day, quantity)),
        }
    }
    if incident(seed, BillingPeriod::containing(day)).contains(day) {
        let runaway =
            machine(RESEARCH, "us-west-2", "USW2-BoxUsage:p5.48xlarge", P5, P5_PRICE, "0", 100);
        charges.extend(on_demand(&runaway, day, Decimal::TWO * hours_of(Provider::Aws, day)));
    }
    charges.extend(records(lines, seed, day));
    charges
}

/// The days on which a cluster of two p5 nodes runs in the research account, and does nothing: three
/// or four days that begin on the 5th, 6th or 7th of every month.
pub(super) fn incident(seed: u64, period: BillingPeriod) -> Window {
    let roll = Roll::new(seed).word("incident").day(period.first_day());
    let first = 4 + i64::from(roll.word("first").below(3));
    let days = 3 + i64::from(roll.word("days").below(2));
    let start = period.first_day().saturating_add(jiff::Span::new().days(first));
    Window::new(start, start.saturating_add(jiff::Span::new().days(days)))
}

/// Whether machines of a type in an account are those of the incident.
pub(super) fn is_runaway(account: &str, instance_type: &str) -> bool {
    (account, instance_type) == (RESEARCH.id, P5)
}

/// Usage at list price and, for machines, the negotiated discount as its own record.
fn on_demand(line: &Line, day: Date, quantity: Decimal) -> Vec<Whole> {
    let usage = line.charge(Provider::Aws, "Usage", day, quantity);
    if line.instance_type.is_none() {
        return vec![in_steps(usage)];
    }
    let discount = (-usage.billed * percent(ENTERPRISE_DISCOUNT_PERCENT)).round_dp(10);
    let negotiated = Charge {
        record_type: ENTERPRISE_DISCOUNT.to_owned(),
        billed: discount,
        effective: discount,
        list: Decimal::ZERO,
        quantity: Decimal::ZERO,
        ..usage.clone()
    };
    vec![in_steps(usage), in_steps(negotiated)]
}

/// Usage under a Savings Plan: at list price, taken back in full, and the plan's own hourly fee;
/// amortised, only the usage costs something.
fn covered(line: &Line, day: Date, quantity: Decimal) -> Vec<Whole> {
    let usage = line.charge(Provider::Aws, "SavingsPlanCoveredUsage", day, quantity);
    let amortised = (usage.list * percent(SAVINGS_PLAN_PERCENT)).round_dp(10);
    let negation = Charge {
        record_type: "SavingsPlanNegation".to_owned(),
        billed: -usage.billed,
        effective: Decimal::ZERO,
        list: Decimal::ZERO,
        quantity: Decimal::ZERO,
        ..usage.clone()
    };
    let ahead = (amortised * percent(UPFRONT_PERCENT)).round_dp(10);
    let recurring = Charge {
        effective: Decimal::ZERO,
        ..record(
            Provider::Aws,
            PAYER,
            (SAVINGS_PLANS, "ComputeSP:1yrPartialUpfront"),
            ChargeCategory::Purchase,
            "SavingsPlanRecurringFee",
            day,
            amortised - ahead,
        )
    };
    vec![
        in_steps(Charge { effective: amortised, ..usage }),
        in_steps(negation),
        in_steps(recurring),
    ]
}

/// What no usage stands behind: the plan's upfront fee, tax, credits, a refund.
fn records(lines: &[Line], seed: u64, day: Date) -> Vec<Whole> {
    let roll = Roll::new(seed).word("aws records");
    let period = BillingPeriod::containing(day);
    let entry = |account, service, sku, category, record_type, amount| {
        record(Provider::Aws, account, (service, sku), category, record_type, day, amount)
    };
    let mut records = Vec::new();
    if day == period.first_day() {
        let hours = Decimal::from(24 * i64::from(period.days()));
        let ahead: Decimal = lines
            .iter()
            .filter(|line| line.terms == Terms::Committed)
            .filter_map(|line| Some(line.price * hours * line.always_on()?))
            .map(|list| list * percent(SAVINGS_PLAN_PERCENT) * percent(UPFRONT_PERCENT))
            .sum();
        let fee = entry(
            PAYER,
            SAVINGS_PLANS,
            "ComputeSP:1yrPartialUpfront",
            ChargeCategory::Purchase,
            "SavingsPlanUpfrontFee",
            ahead,
        );
        records.push(Whole {
            charge: Charge { effective: Decimal::ZERO, ..fee },
            known: Known::AfterHours(6),
        });
        for (account, amount) in [(TRAINING, "1912.4471930000"), (INFERENCE, "846.0938120000")] {
            let amount = decimal(amount) * roll.word(account.id).day(day).around_one(30);
            records.push(Whole {
                charge: entry(account, "Tax", "NoUsageType", ChargeCategory::Tax, "Tax", amount),
                known: Known::AfterHours(33),
            });
        }
    }
    let weekend = if is_weekend(day) { percent(60) } else { Decimal::ONE };
    let credit = decimal("-47.3310290000") * weekend * roll.word("credit").day(day).around_one(90);
    records.push(in_steps(Charge {
        region_id: "us-west-2".to_owned(),
        ..entry(
            RESEARCH,
            "Amazon SageMaker",
            "USW2-Notebk:ml.g5.2xlarge",
            ChargeCategory::Credit,
            "Credit",
            credit,
        )
    }));
    if i64::from(day.day()) == 3 + i64::from(roll.word("refund").day(period.first_day()).below(4)) {
        let amount = decimal("-231.8800410000") * roll.word("refund").day(day).around_one(200);
        records.push(Whole {
            charge: Charge {
                region_id: "us-east-1".to_owned(),
                ..entry(
                    TRAINING,
                    EC2,
                    "BoxUsage:p5.48xlarge",
                    ChargeCategory::Adjustment,
                    "Refund",
                    amount,
                )
            },
            known: Known::AfterHours(40),
        });
    }
    records
}

fn in_steps(charge: Charge) -> Whole {
    Whole { charge, known: Known::InSteps }
}
