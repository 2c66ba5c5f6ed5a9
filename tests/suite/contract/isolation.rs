//! One provider's failure is invisible to the others, on the page that a scrape gets.

use std::sync::Arc;

use costband::app::agent::Agent;
use costband::domain::identity::Provider;
use costband::simulate::faults::Fault;

use super::harness::{Bench, Options};

/// The lines of a page that tell of a source.
fn lines_of(page: &str, provider: Provider) -> Vec<&str> {
    let label = format!("source=\"{provider}-main\"");
    let business = |line: &&str| {
        // What the agent did is told of every source by counters of their own.
        line.contains(&label) && !line.starts_with("costband_source_api_")
    };
    page.lines().filter(business).collect()
}

#[tokio::test]
async fn a_fault_in_one_provider_leaves_the_lines_of_the_others_untouched() {
    let bench = Bench::fleet(&Provider::ALL, "2026-11-11T12:30:00Z", Options::default()).await;
    for provider in Provider::ALL {
        bench.poll_well(provider).await;
    }
    let agent =
        Agent::start(bench.setup.clone(), bench.polling.clone(), bench.clock.clone(), false)
            .await
            .unwrap();
    let url = format!("http://{}/metrics", agent.address);
    let mut published = agent.published.clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(agent.run(async move {
        let _ = stopped.await;
    }));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let scrape = async || client.get(&url).send().await.unwrap().text().await.unwrap();
    let shows = |page: &str, provider: Provider, up: u8| {
        page.contains(&format!(
            "costband_source_up{{source=\"{provider}-main\",provider=\"{provider}\"}} {up}\n"
        ))
    };
    published.wait_for(Option::is_some).await.unwrap();
    for failing in Provider::ALL {
        let before = scrape().await;
        for provider in Provider::ALL {
            assert!(shows(&before, provider, 1), "{before}");
            assert!(lines_of(&before, provider).len() > 20, "{before}");
        }
        let faults = &bench.clouds.of(failing).faults;
        for fault in [Fault::Malformed, Fault::Forbidden] {
            faults.order(fault, 100);
            bench.poll(failing).await.unwrap_err();
            faults.clear();
            // A page of a snapshot that knows of the failure.
            let told = |snapshot: &Option<Arc<costband::web::Published>>| {
                snapshot.as_ref().is_some_and(|published| {
                    published
                        .snapshot
                        .sources
                        .iter()
                        .any(|status| status.provider == failing && status.up == Some(false))
                })
            };
            published.wait_for(told).await.unwrap();
            let after = scrape().await;
            assert!(shows(&after, failing, 0), "{after}");
            for other in Provider::ALL.into_iter().filter(|other| *other != failing) {
                assert_eq!(lines_of(&after, other), lines_of(&before, other), "{failing} failed");
            }
            let money = |page: &str| {
                let lines =
                    lines_of(page, failing).into_iter().filter(|line| line.contains("cost{"));
                lines.map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(money(&after), money(&before), "the last good figures of {failing} stay");
        }
        bench.poll_well(failing).await;
        let well = |snapshot: &Option<Arc<costband::web::Published>>| {
            snapshot.as_ref().is_some_and(|published| {
                published.snapshot.sources.iter().all(|status| status.up == Some(true))
            })
        };
        published.wait_for(well).await.unwrap();
    }
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
}
