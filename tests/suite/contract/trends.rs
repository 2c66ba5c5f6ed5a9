//! What stood out in a bill that was read through real sockets, and what caused it.

use costband::app::trends;
use costband::domain::anomaly::AnomalyKind;
use costband::domain::breakdown::Dimension;
use costband::domain::change::Change;
use costband::domain::identity::Provider;
use costband::domain::ports::Clock;
use costband::domain::trend::SourceTrends;
use costband::simulate::charge::Charge;
use costband::store::Ledger;
use jiff::ToSpan;
use jiff::civil::{Date, date};
use serde_json::json;

use super::harness::{Bench, Options, WrittenWorld, charge, decimal};
use crate::clock::SetClock;

const FIRST: Date = date(2026, 9, 1);
const SPIKE: Date = date(2026, 11, 5);
const SHIFT: Date = date(2026, 11, 12);

/// Two services in two accounts and regions. One of them costs 9,000 more on the fifth, the other
/// doubles on the twelfth.
fn charges(provider: Provider) -> Vec<Charge> {
    let days = FIRST.series(1.day()).take_while(|day| *day <= date(2026, 11, 22));
    let mut charges = Vec::new();
    for day in days {
        let wobble = i64::from(day.day() % 3) * 10;
        let lambda = 1_000 + wobble + if day == SPIKE { 9_000 } else { 0 };
        let compute = (2_000 + wobble) * if day >= SHIFT { 2 } else { 1 };
        for (place, amount) in [
            (["222233334444", "AWS Lambda", "us-east-1"], lambda),
            (["111122223333", "AmazonCloudWatch", "eu-west-1"], compute),
        ] {
            let amount = decimal(&amount.to_string());
            charges.push(charge(provider, day, place, amount, amount));
        }
    }
    charges
}

async fn read(bench: &Bench) -> Vec<SourceTrends> {
    let ledger = Ledger::open_read_only(&bench.setup.ledger).unwrap();
    trends::read(&bench.reader, &ledger, bench.clock.now()).unwrap()
}

#[tokio::test]
async fn a_spike_and_a_shift_are_told_once_with_their_service() {
    let clock = SetClock::at("2026-11-20T00:30:00Z");
    let world = WrittenWorld::new(clock.clone(), charges(Provider::Aws));
    let lambda = json!({"service_name": ["AWS Lambda"]});
    let narrow = json!({"name": "lambda", "scope": lambda, "floor": 0, "ceiling": 100_000});
    let bands = json!([{"preset": "aws"}, narrow]);
    let bench = Bench::start(&[Provider::Aws], world, clock, Options::default(), bands).await;
    assert_eq!(read(&bench).await, [], "nothing was read");
    for _ in 0..2 {
        bench.poll_well(Provider::Aws).await;
        bench.advance(7);
    }
    let told = read(&bench).await;
    let [of] = told.as_slice() else { panic!("{told:?}") };
    let whole = of.trends.iter().find(|trend| trend.of.is_none()).unwrap();
    let found: Vec<_> = whole.anomalies.iter().map(|one| (one.kind, one.first)).collect();
    assert_eq!(found, [(AnomalyKind::Spike, SPIKE), (AnomalyKind::LevelShift, SHIFT)]);
    let cause = |at: usize| whole.anomalies[at].cause.clone().unwrap();
    assert!(["AWS Lambda", "222233334444", "us-east-1"].contains(&cause(0).key.as_str()));
    assert!(["AmazonCloudWatch", "111122223333", "eu-west-1"].contains(&cause(1).key.as_str()));
    assert!(cause(1).share > 0.9, "{:?}", cause(1));
    // The same of the service alone, and nothing of the other one.
    let of_service = |key: &str| {
        let wanted = Some((Dimension::ServiceName, key.to_owned()));
        let trend = of.trends.iter().find(|trend| trend.of == wanted).unwrap();
        trend.anomalies.iter().map(|one| one.first).collect::<Vec<_>>()
    };
    assert_eq!(of_service("AWS Lambda"), [SPIKE]);
    assert_eq!(of_service("AmazonCloudWatch"), [SHIFT]);
    // Every dimension tells the whole change again.
    let change = of.change.as_ref().unwrap();
    assert_eq!(change.along.len(), 3, "services, accounts, regions: {change:?}");
    for along in &change.along {
        let moved: rust_decimal::Decimal = along.parts.iter().map(|part| part.change).sum();
        assert_eq!(moved, change.after - change.before, "{along:?}");
    }
    // A band of the whole source has the source's; a narrower one its own, of its service alone.
    let [narrow] = of.bands.as_slice() else { panic!("{:?}", of.bands) };
    assert_eq!(narrow.band, "lambda");
    let of_lambda = |change: &Change| {
        let services = change.along.iter().find(|along| along.dimension == Dimension::ServiceName);
        services.unwrap().parts.iter().find(|part| part.key == "AWS Lambda").cloned().unwrap()
    };
    let told = of_lambda(change);
    assert_eq!((narrow.change.before, narrow.change.after), (told.before, told.after));
    let along = |dimension| narrow.change.along.iter().find(|along| along.dimension == dimension);
    let accounts = &along(Dimension::SubAccountId).unwrap().parts;
    let keys: Vec<&str> = accounts.iter().map(|part| part.key.as_str()).collect();
    assert_eq!(keys, ["222233334444"], "the other account is not the band's");
    assert_eq!(of_lambda(&narrow.change), told);
}

#[tokio::test]
async fn days_in_another_currency_are_gaps_and_never_zero() {
    let clock = SetClock::at("2026-11-20T00:30:00Z");
    let euro = "EUR".parse().unwrap();
    let mut charges = charges(Provider::Azure);
    let dollars = date(2026, 9, 15)..date(2026, 11, 1);
    for charge in charges.iter_mut().filter(|charge| !dollars.contains(&charge.day)) {
        charge.currency = euro;
    }
    let world = WrittenWorld::new(clock.clone(), charges);
    let bench = Bench::start(&[Provider::Azure], world, clock, Options::default(), json!([])).await;
    for _ in 0..2 {
        bench.poll_well(Provider::Azure).await;
        bench.advance(7);
    }
    let told = read(&bench).await;
    let [of] = told.as_slice() else { panic!("{told:?}") };
    for trend in &of.trends {
        let forecast = trend.forecast.as_ref().unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!(forecast.currency, euro, "what is billed of late");
        assert!(trend.anomalies.iter().all(|one| one.first >= SPIKE), "{:?}", trend.anomalies);
        assert!(forecast.at(0.5).unwrap() > decimal("30000"), "{forecast:?}");
    }
}
