//! A poll never holds up a scrape, and a scrape never asks a cloud.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use costband::simulate::aws::{self, AwsOptions};
use costband::simulate::azure::{self, AzureOptions};
use costband::simulate::charge::World;
use costband::simulate::faults::Faults;
use costband::simulate::gcp::{self, GcpOptions};
use futures_util::future::join_all;
use tokio::sync::watch;

use super::house::{House, RunningAgent};
use crate::clock::SetClock;
use crate::faces::peers::until;
use crate::faces::series::{samples, value};

const SCRAPES: usize = 200;

/// A cloud that counts what it is asked and answers only while its gate is open.
struct Cloud {
    url: String,
    asked: Arc<AtomicU64>,
}

async fn cloud(router: Router, gate: watch::Receiver<bool>) -> Cloud {
    let asked = Arc::new(AtomicU64::new(0));
    let count = asked.clone();
    let router = router.layer(from_fn(move |request: Request, next: Next| {
        count.fetch_add(1, Ordering::SeqCst);
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await.unwrap();
            next.run(request).await
        }
    }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Cloud { url, asked }
}

async fn scrape_often(agent: &RunningAgent) {
    for _ in 0..SCRAPES / 20 {
        for page in join_all((0..20).map(|_| agent.text("/metrics"))).await {
            let told = samples(&page);
            assert_eq!(value(&page, "costband_leader", &[]).as_deref(), Some("1"));
            assert!(page.contains("\ncostband_build_info{"), "the self metrics are missing");
            let last = &told.last().unwrap().name;
            assert!(last.starts_with("process_"), "the page ends with `{last}`");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clouds_hold_up_no_scrape_and_no_scrape_asks_a_cloud() {
    let mut house = House::at(SetClock::at("2025-10-16T12:00:00Z")).await;
    let (open, gate) = watch::channel(false);
    let (world, faults) =
        (house.world.scenario.clone() as Arc<dyn World>, Arc::<Faults>::default());
    let unthrottled = AzureOptions { throttle: None, ..AzureOptions::default() };
    let clouds = [
        cloud(aws::router(world.clone(), faults.clone(), AwsOptions::default()), gate.clone())
            .await,
        cloud(gcp::router(world.clone(), faults.clone(), GcpOptions::default()), gate.clone())
            .await,
        cloud(azure::router(world, faults, unthrottled), gate).await,
    ];
    let servers = &house.world.servers;
    for (served, cloud) in [&servers.aws, &servers.gcp, &servers.azure].into_iter().zip(&clouds) {
        house.text = house.text.replace(&served.url(), &cloud.url);
    }
    let asked = || clouds.each_ref().map(|cloud| cloud.asked.load(Ordering::SeqCst));

    let mut agent = house.start().await;
    until("a request to each cloud", async || asked().iter().all(|n| *n > 0).then_some(())).await;
    agent.when("the first snapshot", |_| true).await;
    let before = asked();
    scrape_often(&agent).await;
    assert_eq!(asked(), before, "a scrape asked a cloud");
    let now = agent.published.borrow().clone().unwrap();
    assert!(now.snapshot.sources.iter().all(|source| source.up.is_none()), "a poll ended");

    open.send_replace(true);
    agent.when_read().await;
    // List prices are asked for after the bill.
    agent
        .when("list prices", |told| {
            told.snapshot.spend.iter().all(|one| !one.list_prices.is_empty())
        })
        .await;
    let before = asked();
    scrape_often(&agent).await;
    for path in ["/", "/api/v1/bands", "/api/v1/spend", "/api/v1/sources", "/api/v1/gpu"] {
        agent.text(path).await;
    }
    assert_eq!(asked(), before, "a reader asked a cloud");
    let page = agent.text("/metrics").await;
    assert!(
        value(&page, "costband_effective_cost", &[("source", "aws-main"), ("period", "current")])
            .is_some()
    );
    agent.end().await;
}
