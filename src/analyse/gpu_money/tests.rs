#![allow(clippy::unwrap_used)]

use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::analyse::gpu_bill::{Bill, GpuBill, SourceBill};
use crate::domain::band::PeriodLabel;
use crate::domain::breakdown::{Amounts, ChargeCategory, CostRow, Dimension, Quantity};
use crate::domain::gpu_time::{GpuState, Workload};
use crate::domain::machine::GpuModel;
use crate::domain::money::Money;
use crate::domain::price::CapacityType;

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn fleet(provider: Provider, instance_type: &str, model: &str, region: Option<&str>) -> Fleet {
    Fleet {
        provider: Some(provider),
        cluster: "video".to_owned(),
        instance_type: Some(instance_type.to_owned()),
        region_id: region.map(str::to_owned),
        capacity_type: CapacityType::OnDemand,
        model: model.to_owned(),
    }
}

fn p5() -> Fleet {
    fleet(Provider::Aws, "p5.48xlarge", "NVIDIA H100 80GB HBM3", Some("us-east-1"))
}

fn fleet_day(fleet: &Fleet, day: i8, states: &[(GpuState, i64)]) -> FleetDay {
    let mut time = StateTime::default();
    for (state, hours) in states {
        time.add(*state, u64::try_from(*hours).unwrap() * 3_600_000);
    }
    FleetDay { day: date(2026, 11, day), fleet: fleet.clone(), time }
}

fn billed(fleet: &Fleet, day: i8, cost: &str, gpu_hours: i64) -> BilledDay {
    BilledDay {
        group: group_of(fleet),
        day: date(2026, 11, day),
        currency: Currency::USD,
        cost: decimal(cost),
        gpu_hours: Some(Decimal::from(gpu_hours)),
        is_complete: true,
    }
}

/// The group that a fleet is billed under.
fn group_of(fleet: &Fleet) -> PriceGroup {
    let provider = fleet.provider.unwrap();
    let machine = match provider {
        Provider::Gcp => GpuModel::of(&fleet.model).unwrap().name.to_owned(),
        Provider::Aws | Provider::Azure => fleet.instance_type.clone().unwrap(),
    };
    let spot = provider != Provider::Aws && fleet.capacity_type == CapacityType::Spot;
    PriceGroup { provider, region_id: fleet.region_id.clone().unwrap(), machine, spot }
}

fn money(days: &[FleetDay], bills: &[BilledDay]) -> GpuMoney {
    let book = PriceBook::new(bills, Vec::new(), BTreeMap::new());
    let now = "2026-11-20T12:00:00Z".parse().unwrap();
    gpu_money(days, bills, &book, now, |provider, day| {
        PeriodLabel::Current.period(now, zone_of(provider)).contains(day)
    })
}

#[test]
fn states_and_residual_are_the_bill() {
    let days = [fleet_day(&p5(), 3, &[(GpuState::Busy, 100), (GpuState::HeldIdle, 50)])];
    let money = money(&days, &[billed(&p5(), 3, "1000", 200)]);
    let aws = &money.by_provider[&(Some(Provider::Aws), Currency::USD)];
    assert_eq!(aws.states[&GpuState::Busy], decimal("500"));
    assert_eq!((aws.idle(), aws.estimated), (decimal("250"), Decimal::ZERO));
    assert_eq!(aws.residuals, [(Residual::WithoutTelemetry, decimal("250"))].into());
    let paid = &money.paid_not_running[0];
    assert_eq!((paid.cost, paid.gpu_hours), (decimal("250"), Some(decimal("50"))));
    assert_eq!(money.fleets[0].busy_hour_price(), Some((Currency::USD, decimal("7.5"))));
}

#[test]
fn a_day_without_a_complete_bill_is_an_estimate_at_the_billed_price() {
    let days = [
        fleet_day(&p5(), 3, &[(GpuState::Busy, 100)]),
        fleet_day(&p5(), 19, &[(GpuState::Busy, 10)]),
    ];
    let mut late = billed(&p5(), 19, "9", 100);
    late.is_complete = false;
    let money = money(&days, &[billed(&p5(), 10, "500", 100), late]);
    let aws = &money.by_provider[&(Some(Provider::Aws), Currency::USD)];
    // The 3rd has no bill at all: 110 hours at 5 dollars.
    assert_eq!((aws.estimated, aws.total()), (decimal("550"), decimal("550")));
    assert_eq!(aws.residuals[&Residual::UnobservedDay], decimal("500"));
    assert!(money.paid_not_running.is_empty(), "nobody looked on the 10th");
}

#[test]
fn a_past_day_without_a_bill_costs_what_it_cost_then() {
    let days = [fleet_day(&p5(), 3, &[(GpuState::Busy, 10)])];
    let bills = [billed(&p5(), 2, "500", 100), billed(&p5(), 15, "900", 100)];
    let aws = &money(&days, &bills).by_provider[&(Some(Provider::Aws), Currency::USD)];
    assert_eq!(aws.estimated, decimal("50"));
}

#[test]
fn a_restated_bill_restates_the_money_and_not_the_time() {
    let days = [fleet_day(&p5(), 3, &[(GpuState::Busy, 100)])];
    let before = money(&days, &[billed(&p5(), 3, "500", 100)]);
    let after = money(&days, &[billed(&p5(), 3, "650", 100)]);
    assert_eq!(before.fleets[0].time, after.fleets[0].time);
    let total = |money: &GpuMoney| money.by_provider.values().next().unwrap().total();
    assert_eq!((total(&before), total(&after)), (decimal("500"), decimal("650")));
}

#[test]
fn more_hours_than_were_billed_are_told_as_less_than_nothing() {
    let days = [fleet_day(&p5(), 3, &[(GpuState::Busy, 110)])];
    let money = money(&days, &[billed(&p5(), 3, "500", 100)]);
    let aws = money.by_provider.values().next().unwrap();
    assert_eq!(aws.residuals, [(Residual::MoreThanBilled, decimal("-50"))].into());
    assert!(money.paid_not_running.is_empty());
}

#[test]
fn time_without_a_price_is_time_and_never_zero_money() {
    let p5e = fleet(Provider::Aws, "p5e.48xlarge", "NVIDIA H200", Some("us-east-1"));
    let money = money(&[fleet_day(&p5e, 3, &[(GpuState::Busy, 2)])], &[]);
    assert!(money.by_provider.is_empty());
    assert_eq!(money.fleets[0].money, None);
    assert_eq!(money.fleets[0].time.total(), 7_200_000);
}

#[test]
fn prices_come_from_the_bill_then_the_list_then_the_configuration() {
    let configured: BTreeMap<String, Money> = [
        ("p5.48xlarge".to_owned(), Money::new(decimal("3"), Currency::USD)),
        ("own".to_owned(), Money::new(decimal("1.67"), Currency::USD)),
    ]
    .into();
    let bills = [billed(&p5(), 3, "500", 100), billed(&p5(), 5, "0", 100)];
    let book = PriceBook::new(&bills, Vec::new(), configured);
    let told = |fleet: &Fleet, day| {
        let prices = book.prices(fleet, date(2026, 11, day)).into_iter();
        prices.map(|price| (price.source, price.price.to_string())).collect::<Vec<_>>()
    };
    use PriceSource::{Billed, Configured, List};
    let usd = |price: &str| format!("{price} USD");
    assert_eq!(told(&p5(), 4), [(Billed, usd("5")), (List, usd("6.88")), (Configured, usd("3"))]);
    assert_eq!(told(&p5(), 3)[0].0, List, "its own day is not before it");
    assert_eq!(told(&p5(), 6)[0], (Billed, usd("2.5")));
    let own = Fleet {
        provider: None,
        cluster: "own".to_owned(),
        instance_type: None,
        region_id: None,
        ..p5()
    };
    assert_eq!(told(&own, 4), [(Configured, usd("1.67"))]);
}

#[test]
fn two_currencies_of_one_fleet_are_never_added() {
    let euro: Currency = "EUR".parse().unwrap();
    let days = [
        fleet_day(&p5(), 3, &[(GpuState::Busy, 100)]),
        fleet_day(&p5(), 4, &[(GpuState::Busy, 100)]),
    ];
    let in_euros = BilledDay { currency: euro, ..billed(&p5(), 4, "400", 100) };
    let money = money(&days, &[billed(&p5(), 3, "500", 100), in_euros]);
    let told: Vec<_> = money.fleets.iter().map(|fleet| fleet.hour_price().unwrap()).collect();
    assert_eq!(told.len(), 2);
    assert!(told.contains(&(Currency::USD, decimal("5"))), "{told:?}");
    assert!(told.contains(&(euro, decimal("4"))), "{told:?}");
}

#[test]
fn a_machine_whose_region_nobody_tells_is_paid_once() {
    let nowhere = Fleet { region_id: None, ..p5() };
    let west = Fleet { region_id: Some("us-west-2".to_owned()), ..p5() };
    // 30 GPU-hours of the west are known to be there; 60 may be in either region.
    let days = [
        fleet_day(&nowhere, 3, &[(GpuState::Busy, 40), (GpuState::Empty, 20)]),
        fleet_day(&west, 3, &[(GpuState::Busy, 30)]),
    ];
    let money = money(&days, &[billed(&p5(), 3, "450", 45), billed(&west, 3, "900", 45)]);
    let aws = &money.by_provider[&(Some(Provider::Aws), Currency::USD)];
    assert_eq!((aws.estimated, aws.billed), (Decimal::ZERO, decimal("1350")));
    // 45 hours are left in the east and 15 in the west: all is paid for, and nothing twice.
    assert_eq!(aws.total(), decimal("1350"));
    assert!(aws.residuals.is_empty(), "{:?}", aws.residuals);
    assert!(money.paid_not_running.is_empty());
    assert_eq!(aws.states[&GpuState::Empty], decimal("250"));
}

#[test]
fn a_machine_that_may_be_spot_or_not_is_paid_by_what_the_bill_knows() {
    let azure = |capacity_type| Fleet {
        capacity_type,
        ..fleet(Provider::Azure, "Standard_ND96asr_v4", "NVIDIA A100-SXM4-40GB", Some("eastus"))
    };
    let spot = billed(&azure(CapacityType::Spot), 3, "100", 100);
    for bought in [CapacityType::Unknown, CapacityType::Spot, CapacityType::OnDemand] {
        let days = [fleet_day(&azure(bought), 3, &[(GpuState::Busy, 100)])];
        let money = money(&days, std::slice::from_ref(&spot));
        let sums = &money.by_provider[&(Some(Provider::Azure), Currency::USD)];
        assert_eq!((sums.total(), sums.estimated), (decimal("100"), Decimal::ZERO), "{bought:?}");
        assert!(sums.residuals.is_empty(), "{bought:?} {:?}", sums.residuals);
    }
    let both = [spot, billed(&azure(CapacityType::OnDemand), 3, "300", 100)];
    let seen = [(CapacityType::Spot, 100), (CapacityType::OnDemand, 100)]
        .map(|(bought, hours)| fleet_day(&azure(bought), 3, &[(GpuState::Busy, hours)]));
    let money = money(&seen, &both);
    let prices: Vec<_> = money.fleets.iter().filter_map(FleetMoney::hour_price).collect();
    assert_eq!(prices, [(Currency::USD, decimal("3")), (Currency::USD, decimal("1"))]);
}

#[test]
fn machines_that_a_complete_bill_does_not_know_are_more_than_was_billed() {
    let p5en = fleet(Provider::Aws, "p5en.48xlarge", "NVIDIA H200", Some("us-east-1"));
    let days = [
        fleet_day(&p5(), 3, &[(GpuState::Busy, 100)]),
        fleet_day(&p5en, 3, &[(GpuState::Busy, 8)]),
    ];
    let money = money(&days, &[billed(&p5(), 3, "500", 100)]);
    let aws = &money.by_provider[&(Some(Provider::Aws), Currency::USD)];
    // 8 GPU-hours of a machine that lists at 63.296 dollars and has 8 GPUs.
    assert_eq!(aws.residuals, [(Residual::MoreThanBilled, decimal("-63.296"))].into());
    assert_eq!((aws.total(), aws.estimated), (decimal("563.296"), Decimal::ZERO));
}

#[test]
fn hours_that_the_bill_does_not_tell_make_no_price() {
    let days = [fleet_day(&p5(), 3, &[(GpuState::Busy, 100)])];
    let told = BilledDay { gpu_hours: None, ..billed(&p5(), 3, "1000", 0) };
    let money = money(&days, &[told]);
    let aws = &money.by_provider[&(Some(Provider::Aws), Currency::USD)];
    // 100 GPU-hours at the list price, and the rest of the bill.
    assert_eq!((aws.total(), aws.estimated), (decimal("688"), Decimal::ZERO));
    assert_eq!(aws.residuals, [(Residual::WithoutTelemetry, decimal("312"))].into());
    assert_eq!(money.paid_not_running[0].gpu_hours, None);
}

#[test]
fn a_quantity_in_another_unit_is_no_hours_and_a_cost_of_one_basis_is_never_another() {
    let mut bill = Bill::new(Provider::Aws);
    let dimensions = [Dimension::InstanceType, Dimension::RegionId];
    let of = |region, unit: &str, amounts| {
        let mut row = row(["p5.48xlarge", region], "100", "24");
        row.quantity = Some(Quantity { amount: decimal("24"), unit: unit.to_owned() });
        row.amounts = amounts;
        row
    };
    let basis = |billed: Option<&str>, effective: Option<&str>| Amounts {
        billed: billed.map(decimal),
        effective: effective.map(decimal),
        list: None,
    };
    bill.add(&dimensions, &of("us-east-1", "Hrs", basis(Some("90"), Some("100"))));
    bill.add(&dimensions, &of("us-east-1", "GB", basis(Some("9"), Some("10"))));
    bill.add(&dimensions, &of("us-west-2", "Hrs", basis(Some("50"), None)));
    bill.add(&dimensions, &of("us-west-2", "Hrs", basis(Some("50"), Some("60"))));
    bill.add(&dimensions, &of("eu-west-1", "Hrs", basis(None, Some("60"))));
    bill.add(&dimensions, &of("eu-west-1", "Hrs", basis(Some("50"), None)));
    let source = SourceBill {
        provider: Provider::Aws,
        machines: bill,
        services: Default::default(),
        complete_days: [date(2026, 11, 3)].into(),
    };
    let days = GpuBill::of(vec![source]).days;
    let told: Vec<_> =
        days.iter().map(|day| (day.group.region_id.as_str(), day.cost, day.gpu_hours)).collect();
    assert_eq!(
        told,
        [("us-east-1", decimal("110"), None), ("us-west-2", decimal("100"), Some(decimal("384"))),]
    );
}

#[test]
fn a_day_is_complete_where_it_is_in_every_account_of_its_cloud() {
    let source = |provider, complete: &[i8]| {
        let mut machines = Bill::new(provider);
        machines.add(
            &[Dimension::InstanceType, Dimension::RegionId],
            &row(["p5.48xlarge", "us-east-1"], "100", "24"),
        );
        SourceBill {
            provider,
            machines,
            services: Default::default(),
            complete_days: complete.iter().map(|day| date(2026, 11, *day)).collect(),
        }
    };
    let complete = |sources| GpuBill::of(sources).days[0].is_complete;
    assert!(complete(vec![source(Provider::Aws, &[3])]));
    assert!(complete(vec![source(Provider::Aws, &[3]), source(Provider::Aws, &[3, 4])]));
    assert!(!complete(vec![source(Provider::Aws, &[3]), source(Provider::Aws, &[4])]));
    assert!(complete(vec![source(Provider::Aws, &[3]), source(Provider::Gcp, &[])]));
}

#[test]
fn a_cloud_whose_month_ends_later_is_in_its_own() {
    let gcp = fleet(Provider::Gcp, "a3-highgpu-8g", "NVIDIA H100 80GB HBM3", Some("us-central1"));
    let days = [
        fleet_day(&gcp, 30, &[(GpuState::Busy, 10)]),
        fleet_day(&p5(), 30, &[(GpuState::Busy, 10)]),
    ];
    let bills = [billed(&gcp, 30, "100", 10), billed(&p5(), 30, "50", 10)];
    let book = PriceBook::new(&bills, Vec::new(), BTreeMap::new());
    // In California it is still November.
    let now = "2026-12-01T05:00:00Z".parse().unwrap();
    let clouds = |label| {
        let within =
            |provider, day| PeriodLabel::period(label, now, zone_of(provider)).contains(day);
        let money = gpu_money(&days, &bills, &book, now, within);
        money.by_provider.into_keys().map(|(cloud, _)| cloud.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(clouds(PeriodLabel::Current), [Provider::Gcp]);
    assert_eq!(clouds(PeriodLabel::Previous), [Provider::Aws]);
}

#[test]
fn estimates_are_held_against_the_bill_that_came() {
    let days: Vec<FleetDay> =
        (1..=4).map(|day| fleet_day(&p5(), day, &[(GpuState::Busy, 100)])).collect();
    let bills: Vec<BilledDay> = [(1, "500"), (2, "500"), (3, "500"), (4, "400")]
        .into_iter()
        .map(|(day, cost)| billed(&p5(), day, cost, 100))
        .collect();
    let book = PriceBook::new(&bills, Vec::new(), BTreeMap::new());
    let scores = nowcast_scores(&days[1..], &bills, &book);
    assert_eq!(scores.len(), 1);
    assert_eq!((scores[0].provider, scores[0].days), (Provider::Aws, 3));
    // 1,500 were estimated and 1,400 billed.
    assert!((scores[0].error_ratio - 100.0 / 1400.0).abs() < 1e-12);
}

#[test]
fn workloads_pay_what_their_fleet_cost() {
    let days = [fleet_day(&p5(), 3, &[(GpuState::Busy, 60), (GpuState::HeldIdle, 40)])];
    let money = money(&days, &[billed(&p5(), 3, "500", 100)]);
    let workload = |name: &str| Workload { namespace: "ml".to_owned(), name: name.to_owned() };
    let time = |state, hours: u64| {
        let mut time = StateTime::default();
        time.add(state, hours * 3_600_000);
        time
    };
    let times = [
        (workload("train"), p5(), time(GpuState::Busy, 60)),
        (workload("notebook"), p5(), time(GpuState::HeldIdle, 40)),
    ];
    let told = part_money(&times, &money);
    let figures: Vec<_> =
        told.iter().map(|one| (one.of.name.as_str(), one.cost, one.idle_cost)).collect();
    assert_eq!(
        figures,
        [("notebook", decimal("200"), decimal("200")), ("train", decimal("300"), Decimal::ZERO)]
    );
}

fn row(keys: [&str; 2], cost: &str, quantity: &str) -> CostRow {
    CostRow {
        day: date(2026, 11, 3),
        keys: keys.map(str::to_owned).to_vec(),
        category: ChargeCategory::Usage,
        currency: Currency::USD,
        amounts: Amounts { effective: Some(decimal(cost)), ..Amounts::default() },
        usd: None,
        quantity: Some(Quantity { amount: decimal(quantity), unit: "Hrs".to_owned() }),
        invoice_period: None,
        estimated: false,
    }
}

fn bill(provider: Provider, rows: &[([&str; 2], &str, &str)]) -> Vec<BilledDay> {
    let first = if provider == Provider::Aws { Dimension::InstanceType } else { Dimension::Sku };
    let mut bill = Bill::new(provider);
    for (keys, cost, quantity) in rows {
        bill.add(&[first, Dimension::RegionId], &row(*keys, cost, quantity));
    }
    let complete_days = [date(2026, 11, 3)].into();
    let source =
        SourceBill { provider, machines: bill, services: Default::default(), complete_days };
    GpuBill::of(vec![source]).days
}

#[test]
fn instance_hours_are_gpu_hours_times_the_gpus_of_the_type() {
    let aws = bill(
        Provider::Aws,
        &[
            (["p5.48xlarge", "us-east-1"], "1320.96", "24"),
            (["inf2.48xlarge", "us-east-1"], "10", "24"),
        ],
    );
    assert_eq!(aws.len(), 1, "a type without known GPUs has no GPU-hours");
    assert_eq!((aws[0].cost, aws[0].gpu_hours), (decimal("1320.96"), Some(decimal("192"))));
    let azure = bill(
        Provider::Azure,
        &[
            (["ND96asr A100 v4", "eastus"], "652", "24"),
            (["ND96asr A100 v4 Spot", "eastus"], "100", "24"),
        ],
    );
    assert_eq!(azure.len(), 2);
    assert_eq!(azure[0].group.machine, "Standard_ND96asr_v4");
    assert_eq!((azure[0].group.spot, azure[1].group.spot), (false, true));
}

#[test]
fn google_cores_and_memory_are_shared_by_gpu_hours_and_nothing_is_lost() {
    let days = bill(
        Provider::Gcp,
        &[
            (["Nvidia Tesla A100 GPU running in Americas", "us-central1"], "100", "30"),
            (["Nvidia Tesla A100 80GB GPU running in Americas", "us-central1"], "200", "10"),
            (["Commitment v1: Nvidia Tesla A100 GPU in Americas", "us-central1"], "50", "30"),
            (["A2 Instance Core running in Americas", "us-central1"], "10", "480"),
            (["A2 Instance Ram running in Americas", "us-central1"], "3", "3400"),
            (["A2 Instance Core running in Americas", "us-east4"], "7", "480"),
        ],
    );
    let told: Vec<_> = days
        .iter()
        .map(|day| (day.group.machine.as_str(), day.cost, day.gpu_hours.unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("A100 40GB", decimal("159.75"), decimal("30")),
            ("A100 80GB", decimal("203.25"), decimal("10")),
        ]
    );
}

proptest! {
    /// Over any fleets, days and bills: what states cost, the estimates left out, and the residuals
    /// add up to what complete days were billed.
    #[test]
    fn money_is_conserved(
        seen in proptest::collection::vec((0_usize..6, 1_i8..29, 0_usize..7, 0_i64..400), 0..60),
        bills in proptest::collection::vec((0_usize..6, 1_i8..29, 0_i64..1_000_000, 0_i64..400), 0..40),
    ) {
        let fleets = [
            p5(),
            fleet(Provider::Azure, "Standard_ND96asr_v4", "NVIDIA A100-SXM4-40GB", Some("eastus")),
            fleet(Provider::Gcp, "a3-highgpu-8g", "NVIDIA H100 80GB HBM3", Some("us-central1")),
            Fleet { region_id: Some("us-west-2".to_owned()), ..p5() },
            Fleet { region_id: None, ..p5() },
            Fleet {
                capacity_type: CapacityType::Unknown,
                ..fleet(Provider::Azure, "Standard_ND96asr_v4", "NVIDIA A100-SXM4-40GB", None)
            },
        ];
        let groups = [
            fleets[0].clone(),
            fleets[1].clone(),
            fleets[2].clone(),
            fleets[3].clone(),
            Fleet { capacity_type: CapacityType::Spot, ..fleets[1].clone() },
            Fleet { region_id: Some("westeurope".to_owned()), ..fleets[1].clone() },
        ];
        let mut times: BTreeMap<(usize, i8), StateTime> = BTreeMap::new();
        for (fleet, day, state, hours) in seen {
            times.entry((fleet, day)).or_default()
                .add(GpuState::ALL[state], u64::try_from(hours).unwrap() * 3_600_000);
        }
        let days: Vec<FleetDay> = times.iter()
            .map(|((fleet, day), time)| FleetDay {
                day: date(2026, 11, *day), fleet: fleets[*fleet].clone(), time: *time,
            })
            .collect();
        let mut known = BTreeMap::new();
        for (fleet, day, cents, hours) in bills {
            known.insert((fleet, day), (Decimal::new(cents, 2), hours));
        }
        let bills: Vec<BilledDay> = known.iter()
            .map(|((fleet, day), (cost, hours))| {
                billed(&groups[*fleet], *day, &cost.to_string(), *hours)
            })
            .collect();
        let money = money(&days, &bills);
        let mut priced = 0;
        for sums in money.by_provider.values() {
            let residual: Decimal = sums.residuals.values().sum();
            let difference = sums.total() - sums.estimated + residual - sums.billed;
            prop_assert!(difference.abs() < Decimal::new(1, 12), "{difference}");
        }
        for fleet in &money.fleets {
            priced += fleet.time.total();
        }
        prop_assert_eq!(priced, times.values().map(StateTime::total).sum::<u64>());
        let billed: Decimal = bills.iter().map(|bill| bill.cost).sum();
        prop_assert_eq!(billed, money.by_provider.values().map(|sums| sums.billed).sum::<Decimal>());
    }
}
