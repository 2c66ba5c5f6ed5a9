//! A world in which every dimension differs and every sum of charges is told apart from every other
//! one: no figure counts money twice, and each band holds exactly its scope.

use std::collections::BTreeMap;
use std::sync::Arc;

use costband::domain::band::PeriodLabel;
use costband::domain::breakdown::{ChargeCategory, Dimension};
use costband::domain::identity::Provider;
use costband::domain::money::Currency;
use costband::domain::period::BillingPeriod;
use costband::domain::ports::Clock;
use costband::simulate::charge::Charge;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::harness::{Bench, Options, WrittenWorld, charge, decimal, id};
use super::program::output;
use super::truth::{assert_true, periods, spend_of};
use crate::clock::SetClock;

pub(super) const NOW: &str = "2026-11-11T12:30:00Z";

struct Words {
    services: [&'static str; 3],
    accounts: [&'static str; 2],
    regions: [&'static str; 2],
}

fn words(provider: Provider) -> Words {
    match provider {
        Provider::Aws => Words {
            services: ["Amazon Elastic Compute Cloud - Compute", "AWS Lambda", "Amazon FSx"],
            accounts: ["222233334444", "333344445555"],
            regions: ["us-east-1", "eu-west-1"],
        },
        Provider::Gcp => Words {
            services: ["Compute Engine", "Cloud Run", "Cloud Storage"],
            accounts: ["training", "serving"],
            regions: ["us-central1", "europe-west4"],
        },
        Provider::Azure => Words {
            services: ["Virtual Machines", "Storage", "Bandwidth"],
            accounts: [
                "0a7c2e58-91f4-4d36-8b0e-5d1f6a2c3b01",
                "1b8d3f69-a205-4e47-9c1f-6e2a7b3d4c02",
            ],
            regions: ["eastus", "westeurope"],
        },
    }
}

/// Powers of four: a sum in which one charge is counted up to three times is no sum in which each
/// is counted once.
fn weight(place: u32) -> Decimal {
    Decimal::from(4_u64.pow(place)) * decimal("0.000001")
}

fn charges_of_a_day(provider: Provider, day: Date) -> Vec<Charge> {
    let Words { services, accounts, regions } = words(provider);
    let mut charges = Vec::new();
    let mut place = 0;
    for (s, service) in services.into_iter().enumerate() {
        for (a, account) in accounts.into_iter().enumerate() {
            for (r, region) in regions.into_iter().enumerate() {
                let billed = weight(place);
                place += 1;
                let effective =
                    if provider == Provider::Gcp { billed } else { billed * decimal("2") };
                let mut one = charge(provider, day, [account, service, region], billed, effective);
                one.sku = format!("meter {s}{a}{r}");
                if s == 0 {
                    let machine = ["p5.48xlarge", "g6e.48xlarge"][(a + r) % 2];
                    one.instance_type = Some(machine.to_owned());
                }
                charges.push(one);
            }
        }
    }
    let [service, ..] = services;
    let [account, _] = accounts;
    let [region, _] = regions;
    let place_of = [account, service, region];
    for (category, aws, gcp, azure) in [
        (ChargeCategory::Tax, "Tax", "tax", "Tax"),
        (ChargeCategory::Adjustment, "Refund", "adjustment", "Refund"),
        (ChargeCategory::Credit, "Credit", "", "Credit"),
        (ChargeCategory::Purchase, "SavingsPlanRecurringFee", "", "Purchase"),
    ] {
        let record_type = match provider {
            Provider::Aws => aws,
            Provider::Gcp => gcp,
            Provider::Azure => azure,
        };
        let amount = weight(place);
        place += 1;
        if record_type.is_empty() {
            continue;
        }
        charges.push(Charge {
            category,
            record_type: record_type.to_owned(),
            ..charge(provider, day, place_of, amount, amount)
        });
    }
    if provider == Provider::Gcp {
        let credit = |kind: &str, place| (kind.to_owned(), kind.to_lowercase(), -weight(place));
        charges[5].credits =
            vec![credit("COMMITTED_USAGE_DISCOUNT", place), credit("PROMOTION", place + 1)];
    }
    charges
}

pub(super) fn world_of(clock: Arc<SetClock>) -> Arc<WrittenWorld> {
    let days = ["2026-09-30", "2026-10-01", "2026-10-31", "2026-11-01", "2026-11-09"];
    let mut charges = Vec::new();
    for (nth, day) in days.into_iter().enumerate() {
        for provider in Provider::ALL {
            for mut one in charges_of_a_day(provider, day.parse().unwrap()) {
                // No two days cost the same.
                let times = Decimal::from(u64::try_from(nth).unwrap() + 1);
                for amount in [&mut one.billed, &mut one.effective, &mut one.list] {
                    *amount *= times;
                }
                for (_, _, amount) in &mut one.credits {
                    *amount *= times;
                }
                charges.push(one);
            }
        }
    }
    WrittenWorld::new(clock, charges)
}

type Filter = Vec<(Dimension, Vec<&'static str>)>;

/// The scopes that each provider can answer, with the query that does.
fn scopes(provider: Provider) -> Vec<(&'static str, Filter, &'static str)> {
    let Words { services, accounts, regions } = words(provider);
    let by = |dimension, values: &[&'static str]| (dimension, values.to_vec());
    let machine = match provider {
        Provider::Aws => by(Dimension::InstanceType, &["p5.48xlarge"]),
        Provider::Gcp | Provider::Azure => by(Dimension::Sku, &["meter 001", "meter 011"]),
    };
    let service = by(Dimension::ServiceName, &[services[0]]);
    let region = by(Dimension::RegionId, &[regions[1]]);
    let account = by(Dimension::SubAccountId, &[accounts[1]]);
    vec![
        ("all", vec![], "service_sub_account"),
        ("service", vec![service.clone()], "service_sub_account"),
        ("two-services", vec![by(Dimension::ServiceName, &services[1..])], "service_sub_account"),
        ("account", vec![account.clone()], "service_sub_account"),
        ("both", vec![service.clone(), account.clone()], "service_sub_account"),
        ("region", vec![region.clone()], "region"),
        ("machine", vec![machine.clone()], "band:"),
        ("service-in-region", vec![service.clone(), region.clone()], "band:"),
        ("everything", vec![service, account, region, machine], "band:"),
    ]
}

fn holds(filter: &Filter, charge: &Charge) -> bool {
    filter.iter().all(|(dimension, values)| {
        let value = match dimension {
            Dimension::ServiceName => charge.service_name.as_str(),
            Dimension::SubAccountId => charge.sub_account_id.as_str(),
            Dimension::RegionId => charge.region_id.as_str(),
            Dimension::Sku => charge.sku.as_str(),
            Dimension::InstanceType => charge.instance_type.as_deref().unwrap_or_default(),
            Dimension::ChargeCategory => charge.category.as_str(),
        };
        values.contains(&value)
    })
}

fn bands() -> Value {
    let mut bands = Vec::new();
    for provider in Provider::ALL {
        for basis in ["effective", "billed"] {
            for (name, filter, _) in scopes(provider) {
                let scope: BTreeMap<&str, &Vec<&str>> =
                    filter.iter().map(|(d, values)| (d.as_str(), values)).collect();
                let mut band = json!({
                    "name": format!("{provider}-{name}-{basis}"),
                    "sources": [id(provider).as_str()],
                    "basis": basis,
                    "floor": 1,
                    "ceiling": 1_000_000_000,
                });
                if !scope.is_empty() {
                    band["scope"] = json!(scope);
                }
                bands.push(band);
            }
        }
    }
    json!(bands)
}

#[tokio::test]
async fn every_view_sums_to_the_total_and_every_band_is_exactly_its_scope() {
    let clock = SetClock::at(NOW);
    let world = world_of(clock.clone());
    let bench =
        Bench::start(&Provider::ALL, world.clone(), clock, Options::default(), bands()).await;
    for provider in Provider::ALL {
        bench.poll_well(provider).await;
    }
    let now = bench.clock.now();
    let judged = bench.judge().await;
    let mut held = 0;
    for provider in Provider::ALL {
        let spend = bench.spend(provider).await.unwrap();
        assert_true(&spend, &*world, now);
        for period in &spend.periods {
            let total = period.totals[&Currency::USD];
            let mut told: Vec<_> = period.by.keys().map(ToString::to_string).collect();
            told.sort();
            assert_eq!(told, ["region_id", "service_name", "sub_account_id"], "{provider}");
            for (dimension, view) in &period.by {
                let sum = |of: fn(&costband::domain::breakdown::Amounts) -> Option<Decimal>| {
                    view.values().map(|amounts| of(amounts).unwrap()).sum::<Decimal>()
                };
                assert_eq!(sum(|a| a.billed), total.billed.unwrap(), "{provider} {dimension}");
                assert_eq!(
                    sum(|a| a.effective),
                    total.effective.unwrap(),
                    "{provider} {dimension}"
                );
            }
            let differences: Vec<_> = period.reconciliation_difference.values().collect();
            assert_eq!(differences, [&Decimal::ZERO], "{provider}");
        }
        for (label, period) in periods(provider, now) {
            for (name, filter, query) in scopes(provider) {
                let truth = spend_of(&*world, provider, period, now, |c| holds(&filter, c));
                assert_ne!(truth.billed, Decimal::ZERO, "{provider} {name}");
                for (basis, truth) in [("effective", truth.effective), ("billed", truth.billed)] {
                    let band = format!("{provider}-{name}-{basis}");
                    let found = judged.iter().find(|j| j.band == band && j.label == label);
                    assert_eq!(found.unwrap().spend.unwrap().amount, truth, "{band} {period}");
                    held += 1;
                    assert_answered_by(&bench, provider, &band, query);
                }
            }
        }
    }
    assert_eq!(held, 3 * 2 * 2 * 9);
}

fn assert_answered_by(bench: &Bench, provider: Provider, band: &str, query: &str) {
    let index = bench.setup.config.bands.iter().position(|held| held.name == band).unwrap();
    let wanted = if query == "band:" { format!("band:{band}") } else { query.to_owned() };
    for (source, selections) in bench.setup.sources.iter().zip(&bench.setup.selections) {
        let of_band: Vec<_> = selections.iter().filter(|(held, _)| *held == index).collect();
        if source.descriptor().id == id(provider) {
            assert_eq!(of_band.len(), 1, "{band}");
            assert_eq!(of_band[0].1.query, wanted, "{band}");
        } else {
            assert!(of_band.is_empty(), "{band} holds another source");
        }
    }
}

#[tokio::test]
async fn a_band_over_all_three_clouds_counts_each_of_them_once() {
    let clock = SetClock::at(NOW);
    let world = world_of(clock.clone());
    let bands = json!([
        {"name": "all", "floor": 1, "ceiling": 1_000_000_000},
        {"name": "with-tax", "sources": ["aws-main"], "counts": ["tax"], "floor": 1, "ceiling": 1_000_000_000},
    ]);
    let bench = Bench::start(&Provider::ALL, world.clone(), clock, Options::default(), bands).await;
    for provider in Provider::ALL {
        bench.poll_well(provider).await;
    }
    let now = bench.clock.now();
    // Noon in UTC is the same month on the Pacific coast.
    let period: BillingPeriod = "2026-11".parse().unwrap();
    let spent = |provider| spend_of(&*world, provider, period, now, |_| true).effective;
    let whole: Decimal = Provider::ALL.into_iter().map(spent).sum();
    let judged = bench.judged("all", PeriodLabel::Current).await;
    assert_eq!(judged.spend.unwrap().amount, whole);
    let tax = super::truth::truth(&*world, Provider::Aws, period, now).tax;
    assert!(tax > Decimal::ZERO);
    let judged = bench.judged("with-tax", PeriodLabel::Current).await;
    assert_eq!(judged.spend.unwrap().amount, spent(Provider::Aws) + tax);
}

const UNANSWERABLE: &str = r#"
sources:
  aws: [{name: aws-main, account: "111122223333"}]
  gcp:
    - {name: gcp-main, billing_account: 012345-6789AB-CDEF01, project: billing, dataset: export}
  azure: [{name: azure-main, scope: /providers/Microsoft.Billing/billingAccounts/1234}]
bands:
  - {name: a, provider: aws, scope: {sku: [BoxUsage]}, floor: 1, ceiling: 2}
  - {name: g, provider: gcp, scope: {instance_type: [a3-highgpu-8g]}, floor: 1, ceiling: 2}
  - {name: z, provider: azure, scope: {instance_type: [Standard_ND96]}, floor: 1, ceiling: 2}
  - {name: t, provider: aws, counts: [tax], scope: {service_name: [AWS Lambda]}, floor: 1, ceiling: 2}
  - {name: w, scope: {instance_type: [p5.48xlarge]}, floor: 1, ceiling: 2}
  - {name: fine, provider: aws, scope: {instance_type: [p5.48xlarge]}, floor: 1, ceiling: 2}
"#;

const REASONS: &str = "\
`bands[0].scope`: the band `a` cannot be answered: `aws-main` Cost Explorer cannot filter on `sku`; use `service_name`, `sub_account_id`, `region_id` or `instance_type`
`bands[1].scope`: the band `g` cannot be answered: `gcp-main` the billing export of Google Cloud has no `instance_type`: cores, memory and GPUs of a machine are billed apart; use `sku`
`bands[2].scope`: the band `z` cannot be answered: `azure-main` Azure tells no machine type of a cost: filter on `sku`, the meter's name such as `ND96isr H100 v5`
`bands[3].scope`: the band `t` cannot be answered: `tax` cannot be counted within a scope: what spend leaves out is known for a whole source only; remove `counts` or `scope`
`bands[4].scope`: the band `w` cannot be answered: `azure-main` Azure tells no machine type of a cost: filter on `sku`, the meter's name such as `ND96isr H100 v5`
`bands[4].scope`: the band `w` cannot be answered: `gcp-main` the billing export of Google Cloud has no `instance_type`: cores, memory and GPUs of a machine are billed apart; use `sku`
";

#[test]
fn a_scope_that_cannot_be_answered_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("costband.yaml"), UNANSWERABLE).unwrap();
    let ended = output(&["check"], folder.path());
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), REASONS);
    assert_eq!(ended.status.code(), Some(64));
    assert!(ended.stdout.is_empty());
}

#[test]
fn a_scope_with_a_query_of_its_own_is_in_the_printed_plan() {
    let folder = tempfile::tempdir().unwrap();
    let fine: Vec<&str> = UNANSWERABLE
        .lines()
        .filter(|line| {
            !["a", "g", "z", "t", "w"].iter().any(|n| line.contains(&format!("{{name: {n},")))
        })
        .collect();
    std::fs::write(folder.path().join("costband.yaml"), fine.join("\n")).unwrap();
    let ended = output(&["check"], folder.path());
    let told = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(told.contains("from `aws-main`, breakdown `band:fine`"), "{told}");
    assert!(
        told.contains("GetCostAndUsage") && told.contains("band:fine (RECORD_TYPE not in"),
        "{told}"
    );
}
