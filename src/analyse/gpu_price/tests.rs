#![allow(clippy::unwrap_used)]

use jiff::civil::date;

use super::*;

fn fleet(instance_type: &str, provider: Provider, region: &str, spot: bool) -> Fleet {
    Fleet {
        provider: Some(provider),
        cluster: "video".to_owned(),
        instance_type: Some(instance_type.to_owned()),
        region_id: Some(region.to_owned()),
        capacity_type: if spot { CapacityType::Spot } else { CapacityType::OnDemand },
        model: "NVIDIA H100 80GB HBM3".to_owned(),
    }
}

fn sku(description: &str, region: &str, unit: &str, price: &str) -> SkuPrice {
    SkuPrice {
        sku_id: "sku".to_owned(),
        description: description.to_owned(),
        region_id: region.to_owned(),
        capacity_type: CapacityType::OnDemand,
        instance_type: None,
        unit: unit.to_owned(),
        price: price.parse().unwrap(),
        effective_at: None,
        read_at: Some("2026-11-23T07:00:00Z".parse().unwrap()),
    }
}

fn machine(name: &str, region: &str, spot: bool, price: &str) -> SkuPrice {
    SkuPrice {
        instance_type: Some(name.to_owned()),
        capacity_type: if spot { CapacityType::Spot } else { CapacityType::OnDemand },
        ..sku("a machine", region, "h", price)
    }
}

/// The list price that a book of these SKUs tells, with its note.
fn told(listed: &[SkuPrice], fleet: &Fleet) -> Option<(String, String)> {
    let book = PriceBook::new(&[], listed.to_vec(), BTreeMap::new());
    let price = book.selected(fleet, date(2026, 11, 23))?;
    assert_eq!(price.source, PriceSource::List);
    Some((price.price.to_string(), price.note.to_string()))
}

fn text(price: &str, note: &str) -> Option<(String, String)> {
    Some((price.to_owned(), note.to_owned()))
}

#[test]
fn a_list_that_was_read_goes_before_the_embedded_table_and_each_says_its_day() {
    let listed = [
        machine("p5.48xlarge", "us-east-1", false, "48 USD"),
        machine("standard_nd96isr_h100_v5", "eastus", false, "80 EUR"),
        machine("Standard_ND96isr_H100_v5", "eastus", true, "16 EUR"),
    ];
    let p5 = |region| fleet("p5.48xlarge", Provider::Aws, region, false);
    assert_eq!(told(&listed, &p5("us-east-1")), text("6 USD", "on demand, price list 2026-11-23"));
    assert_eq!(told(&listed, &p5("us-west-2")), text("8.6 USD", "on demand, embedded 2026-07-20"));
    assert_eq!(
        told(&listed, &p5("mars-1")),
        text("6.88 USD", "on demand, embedded 2026-07-20, of its usual region")
    );
    let azure = |spot| fleet("Standard_ND96isr_H100_v5", Provider::Azure, "eastus", spot);
    assert_eq!(told(&listed, &azure(false)), text("10 EUR", "on demand, price list 2026-11-23"));
    assert_eq!(told(&listed, &azure(true)), text("2 EUR", "spot, price list 2026-11-23"));
    assert_eq!(told(&[], &azure(true)), None, "the table has no spot price");
}

/// The same price as it was read at another time.
fn at(read_at: Option<&str>, price: SkuPrice) -> SkuPrice {
    SkuPrice { read_at: read_at.map(|at| at.parse().unwrap()), ..price }
}

#[test]
fn of_two_lists_the_one_that_was_read_last_stands() {
    let azure = fleet("Standard_ND96isr_H100_v5", Provider::Azure, "eastus", false);
    let of = |day: &str, price: &str| {
        at(Some(day), machine("Standard_ND96isr_H100_v5", "eastus", false, price))
    };
    let old = of("2026-11-20T07:00:00Z", "96 USD");
    let new = of("2026-11-22T07:00:00Z", "80 EUR");
    for listed in [[old.clone(), new.clone()], [new, old]] {
        let wanted = text("10 EUR", "on demand, price list 2026-11-22");
        assert_eq!(told(&listed, &azure), wanted);
    }
}

#[test]
fn the_youngest_of_a_list_and_the_embedded_table_stands() {
    let p5 = |region| fleet("p5.48xlarge", Provider::Aws, region, false);
    let of = |read_at, region| at(read_at, machine("p5.48xlarge", region, false, "48 USD"));
    let (before, same) = (Some("2026-07-19T23:59:59Z"), Some("2026-07-20T00:00:00Z"));
    for (read_at, note) in [
        (before, "on demand, embedded 2026-07-20"),
        (None, "on demand, embedded 2026-07-20"),
        (same, "on demand, price list 2026-07-20"),
    ] {
        let (_, told) = told(&[of(read_at, "us-east-1")], &p5("us-east-1")).unwrap();
        assert_eq!(told, note);
    }
    // What the table knows of another region only, or in another currency, says less.
    let read = told(&[of(before, "eu-north-1")], &p5("eu-north-1"));
    assert_eq!(read, text("6 USD", "on demand, price list 2026-07-19"));
    let euro = at(before, machine("p5.48xlarge", "us-east-1", false, "40 EUR"));
    assert_eq!(told(&[euro], &p5("us-east-1")), text("5 EUR", "on demand, price list 2026-07-19"));
}

#[test]
fn parts_of_a_machine_are_of_one_currency_and_of_the_last_reading() {
    let parts = |day: &str, currency: &str, gpu: &str, core: &str| {
        let of = |name: &str, unit: &str, price: &str| {
            at(Some(day), sku(name, "us-central1", unit, &format!("{price} {currency}")))
        };
        [
            of("Nvidia H100 80GB GPU running in Americas", "h", gpu),
            of("A3 Instance Core running in Americas", "h", core),
            of("A3 Instance Ram running in Americas", "GiBy.h", "0"),
        ]
    };
    let old = parts("2026-11-20T07:00:00Z", "USD", "10", "0.02");
    let new = parts("2026-11-22T07:00:00Z", "EUR", "9", "0.01");
    let high = fleet("a3-highgpu-8g", Provider::Gcp, "us-central1", false);
    let price = |listed: &[SkuPrice]| told(listed, &high).map(|(price, _)| price);
    for listed in [[old.clone(), new.clone()].concat(), [new.clone(), old.clone()].concat()] {
        assert_eq!(price(&listed).as_deref(), Some("9.26 EUR"));
    }
    // A reading that is not whole in its currency is no price, and its parts join no other.
    let [gpu, _, ram] = new;
    assert_eq!(price(&[&[gpu, ram], &old[..]].concat()).as_deref(), Some("10.52 USD"));
}

#[test]
fn a_fleet_without_a_region_is_listed_where_its_machines_are_billed() {
    let mut lost = fleet("p5.48xlarge", Provider::Aws, "eu-west-2", false);
    let day = BilledDay {
        group: PriceGroup {
            provider: Provider::Aws,
            region_id: "eu-west-2".to_owned(),
            machine: "p5.48xlarge".to_owned(),
            spot: false,
        },
        day: date(2026, 11, 3),
        currency: Currency::USD,
        cost: Decimal::ZERO,
        gpu_hours: Some(Decimal::TEN),
        is_complete: true,
    };
    lost.region_id = None;
    let book = PriceBook::new(&[day], Vec::new(), BTreeMap::new());
    let price = book.selected(&lost, date(2026, 11, 23)).unwrap();
    assert_eq!(price.price.to_string(), "8.944 USD");
}

#[test]
fn a_google_machine_is_its_own_familys_gpu_cores_and_memory() {
    let (h, gib) = ("h", "GiBy.h");
    let at = |description: &str, unit: &str, price: &str| {
        sku(description, "us-central1", unit, &format!("{price} USD"))
    };
    let listed = [
        at("Reserved Nvidia H100 80GB Mega GPU in Americas in Calendar Mode", h, "4.841121"),
        at(
            "Nvidia H100 80GB GPU attached to DWS Defined Duration VMs running in Americas",
            h,
            "4.4",
        ),
        at("Nvidia H100 80GB Plus GPU running in Americas", h, "10.344276"),
        at("Nvidia H100 80GB GPU running in Americas", h, "9.796550569"),
        at("A3 Instance Core running in Americas", h, "0.02751"),
        at("A3 Instance Ram running in Americas", gib, "0.001995468"),
        at("A3Plus Instance Core running in Americas", h, "0.026924"),
        at("A3Plus Instance Ram running in Americas", gib, "0.002344"),
        at("A4 Nvidia B200 (1 gpu slice) running in Americas", h, "16.11"),
    ];
    let price = |name: &str| {
        let fleet = fleet(name, Provider::Gcp, "us-central1", false);
        told(&listed, &fleet).map(|(price, _)| price)
    };
    // 8 x 9.796550569 + 208 x 0.02751 + 1872 x 0.001995468, and so on, by GPU.
    assert_eq!(price("a3-highgpu-8g").as_deref(), Some("10.978750081 USD"));
    assert_eq!(price("a3-megagpu-8g").as_deref(), Some("11.592796 USD"));
    assert_eq!(price("a4-highgpu-8g").as_deref(), Some("16.11 USD"));
    assert_eq!(price("a3-ultragpu-8g"), None, "it is neither in the list nor in the table");
    assert_eq!(price("a3-highgpu-1g").as_deref(), Some("10.978750081 USD"));
    let high = fleet("a3-highgpu-8g", Provider::Gcp, "us-central1", false);
    let (_, note) = told(&listed, &high).unwrap();
    assert_eq!(note, "on demand, price list 2026-11-23: GPU, cores and memory");
}

#[test]
fn cores_and_memory_of_a_family_are_billed_to_its_own_gpus() {
    use std::collections::{BTreeSet, HashMap};

    use crate::analyse::gpu_bill::{Bill, GpuBill, SourceBill};
    use crate::domain::breakdown::{Amounts, ChargeCategory, CostRow, Dimension, Quantity};

    let mut bill = Bill::new(Provider::Gcp);
    let mut add = |sku: &str, cost: &str| {
        let cost: Decimal = cost.parse().unwrap();
        let row = CostRow {
            day: date(2026, 11, 3),
            keys: vec![sku.to_owned(), "us-east4".to_owned()],
            category: ChargeCategory::Usage,
            currency: Currency::USD,
            amounts: Amounts { billed: Some(cost), effective: Some(cost), list: None },
            usd: None,
            quantity: Some(Quantity { amount: Decimal::TEN, unit: "hour".to_owned() }),
            invoice_period: None,
            estimated: false,
        };
        bill.add(&[Dimension::Sku, Dimension::RegionId], &row);
    };
    add("Nvidia H100 80GB Plus GPU running in Virginia", "100");
    add("H200 141GB GPU running in Virginia", "200");
    add("RTX 6000 96GB running in Virginia", "30");
    add("A3Plus Instance Core running in Virginia", "1");
    add("A3Ultra Instance Core running in Virginia", "2");
    add("G4 Instance Ram running in Virginia", "4");
    let (services, complete_days) = (HashMap::new(), BTreeSet::new());
    let source = SourceBill { provider: Provider::Gcp, machines: bill, services, complete_days };
    let billed = GpuBill::of(vec![source]).days;
    let told: Vec<_> = billed.iter().map(|day| (day.group.machine.as_str(), day.cost)).collect();
    let decimal = |text: &str| -> Decimal { text.parse().unwrap() };
    assert_eq!(
        told,
        [
            ("H100 80GB", decimal("101")),
            ("H200 141GB", decimal("202")),
            ("RTX PRO 6000", decimal("34"))
        ]
    );
}
