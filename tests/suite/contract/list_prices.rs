//! List prices of the machines in use: read after the bill, kept in the ledger, told with their day.

use std::collections::BTreeMap;
use std::sync::Arc;

use costband::analyse::gpu_price::PriceBook;
use costband::domain::gpu_money::PriceSource;
use costband::domain::identity::Provider;
use costband::domain::node::Fleet;
use costband::domain::ports::Clock;
use costband::domain::price::CapacityType;
use costband::simulate::aws::AwsOptions;
use costband::simulate::scenario::{Scenario, ScenarioOptions};
use jiff::civil::date;
use serde_json::json;

use super::harness::*;
use crate::clock::SetClock;

async fn bench(options: Options) -> Bench {
    let clock = SetClock::at("2026-11-16T12:00:00Z");
    let world = Arc::new(Scenario::with_options(ScenarioOptions::default(), clock.clone()));
    Bench::start(&Provider::ALL, world, clock, options, json!([])).await
}

/// Polls a provider with its price list at the same server as its bill.
async fn poll(bench: &Bench, provider: Provider) {
    let url = bench.clouds.of(provider).url.clone();
    let poller = bench.poller_with(provider, |entry| match provider {
        Provider::Aws => entry["endpoints"]["price_list"] = json!(url),
        Provider::Azure => entry["endpoints"]["retail_prices"] = json!(url),
        Provider::Gcp => (),
    });
    poller.poll_once().await.unwrap();
}

/// What the list says of an hour of a machine's GPU.
async fn listed(bench: &Bench, provider: Provider, name: &str, region: &str) -> (String, String) {
    let spend = bench.spend(provider).await.unwrap();
    let book = PriceBook::new(&[], spend.list_prices, BTreeMap::new());
    let fleet = Fleet {
        provider: Some(provider),
        cluster: "video".to_owned(),
        instance_type: Some(name.to_owned()),
        region_id: Some(region.to_owned()),
        capacity_type: CapacityType::OnDemand,
        model: "NVIDIA H100 80GB HBM3".to_owned(),
    };
    let price = book.selected(&fleet, date(2026, 11, 16)).unwrap();
    assert_eq!(price.source, PriceSource::List);
    (price.price.to_string(), price.note.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_of_what_is_in_use_are_read_once_a_day_and_say_their_day() {
    let bench = bench(Options::default()).await;
    // The runaway cluster of the world: Oregon at Virginia's price.
    let p5 = ("p5.48xlarge", "us-west-2");
    for provider in Provider::ALL {
        poll(&bench, provider).await;
    }
    let note = "on demand, price list 2026-11-16";
    assert_eq!(
        listed(&bench, Provider::Aws, p5.0, p5.1).await,
        ("6.88 USD".to_owned(), note.to_owned())
    );
    assert_eq!(
        listed(&bench, Provider::Azure, "Standard_NC24ads_A100_v4", "westeurope").await,
        ("3.673 USD".to_owned(), note.to_owned())
    );
    // The bill says `US East`, the node `eastus`.
    assert_eq!(
        listed(&bench, Provider::Azure, "Standard_ND96isr_H100_v5", "eastus").await,
        ("12.29 USD".to_owned(), note.to_owned())
    );
    let (price, of_parts) = listed(&bench, Provider::Gcp, "a3-highgpu-8g", "us-central1").await;
    assert!(price.starts_with("10.97875"), "{price}");
    assert_eq!(of_parts, format!("{note}: GPU, cores and memory"));
    let (aws, azure) = (&bench.clouds.options.aws, &bench.clouds.options.azure);
    let asked = || [aws.requests.of("GetProducts"), azure.requests.count("RetailPrices")];
    let first = asked();
    assert!(first.iter().all(|count| (1..20).contains(count)), "{first:?}");

    bench.advance(8);
    for provider in Provider::ALL {
        poll(&bench, provider).await;
    }
    assert_eq!(asked(), first, "they are eight hours old");
    bench.advance(17);
    for provider in Provider::ALL {
        poll(&bench, provider).await;
    }
    assert_eq!(asked(), first.map(|count| 2 * count), "they are a day old");
    let (_, note) = listed(&bench, Provider::Aws, p5.0, p5.1).await;
    assert_eq!(note, "on demand, price list 2026-11-17");
    let (_, note) = listed(&bench, Provider::Gcp, "a3-highgpu-8g", "us-central1").await;
    assert!(note.contains("2026-11-17"), "{note}");
    assert!(bench.clock.now() > at("2026-11-17T12:00:00Z"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_permission_the_bill_is_read_and_the_embedded_table_stands() {
    let aws = AwsOptions { prices_denied: true, ..AwsOptions::default() };
    let bench = bench(Options { aws, ..Options::default() }).await;
    poll(&bench, Provider::Aws).await;
    assert!(bench.clouds.options.aws.requests.of("GetProducts") > 0, "it was asked");
    let (price, note) = listed(&bench, Provider::Aws, "p5.48xlarge", "us-west-2").await;
    assert_eq!((price.as_str(), note.as_str()), ("8.6 USD", "on demand, embedded 2026-07-20"));
    assert_eq!(bench.status(Provider::Aws).await.up, Some(true));
}
