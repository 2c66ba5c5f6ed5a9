//! The demo's figures are the scenario's, to the last decimal: through the wire of three providers,
//! the ledger, the judgement and the page.

use std::sync::Arc;

use costband::app::agent::Agent;
use costband::app::demo::{FIRST_READING_BEFORE, World};
use costband::app::polling::Polling;
use costband::app::setup::Setup;
use costband::domain::identity::Provider;
use costband::domain::ports::Clock;
use costband::simulate::SimulateAddresses;
use costband::simulate::scenario::Scenario;
use costband::store::Ledger;
use jiff::{SignedDuration, Timestamp};

use super::harness::at;
use super::program::{Program, page_when};
use super::truth::assert_page_is_true;
use crate::clock::SetClock;

struct Standing(Timestamp);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        self.0
    }
}

fn is_complete(page: &str) -> bool {
    Provider::ALL.iter().all(|provider| {
        page.contains(&format!(
            "costband_source_up{{source=\"{provider}-main\",provider=\"{provider}\"}} 1\n"
        ))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_binary_shows_the_scenario_to_the_last_decimal() {
    let mut program = Program::start(&["demo", "--listen", "127.0.0.1:0", "--seed", "3"]);
    let url = program.line("  metrics   http://");
    let url = url.split_whitespace().last().unwrap().to_owned();
    let clock = program.line("  clock     ");
    let clock = clock.trim().trim_start_matches("clock").trim().trim_end_matches(" UTC");
    // What is published changes on whole hours only, and the demo has just begun one.
    let now = at(&format!("{}:00Z", clock.replace(' ', "T")));
    let page = page_when(&url, is_complete).await;
    let scenario = Scenario::new(3, Arc::new(Standing(now)));
    assert_page_is_true(&page, now, |provider, period| scenario.truth(provider, period, now));
    assert_eq!(program.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_world_read_in_process_shows_the_scenario_to_the_last_decimal() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // The Pacific clock was set in the night of the 8th of March.
    let noon = at("2026-03-16T12:30:00Z");
    let clock = SetClock::standing_at(noon - FIRST_READING_BEFORE);
    let world = World::start(7, clock.clone(), SimulateAddresses::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let text = world.write_configuration(folder.path(), "127.0.0.1:0").unwrap();
    let setup = Setup::from_text(&text, std::iter::empty()).unwrap_or_else(|p| panic!("{p}"));
    let ledger = Ledger::open(&setup.ledger).unwrap();
    let polling = Polling::new(&setup, ledger, clock.clone()).unwrap();
    for advance in [FIRST_READING_BEFORE, SignedDuration::ZERO] {
        for poller in &polling.pollers {
            poller.poll_once().await.unwrap();
        }
        clock.advance(advance);
    }
    let agent = Agent::start(setup, polling, clock.clone(), true).await.unwrap();
    let url = format!("http://{}/metrics", agent.address);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(agent.run(async move {
        let _ = stopped.await;
    }));
    let page = page_when(&url, is_complete).await;
    let now = clock.now();
    assert_page_is_true(&page, now, |provider, period| world.scenario.truth(provider, period, now));
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
}
