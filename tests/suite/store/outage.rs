//! The agent over a ledger in PostgreSQL whose server goes away and comes back.

use costband::app::agent::Agent;
use costband::app::demo::{FIRST_READING_BEFORE, World};
use costband::app::polling::Polling;
use costband::app::reload::ConfigWatch;
use costband::app::setup::Setup;
use costband::simulate::SimulateAddresses;

use super::place::{PASSWORD, Postgres, USER};
use super::*;
use crate::clock::SetClock;
use crate::contract::program::page_when;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_outlives_its_server_and_reads_on_when_it_is_back() {
    let Some(server) = Postgres::start(&["fsync=off"]) else { return };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let noon = at("2026-03-16T12:30:00Z");
    let clock = SetClock::standing_at(noon - FIRST_READING_BEFORE);
    let world = World::start(7, clock.clone(), SimulateAddresses::default()).await.unwrap();
    let folder = TempDir::new().unwrap();
    let text = world.write_configuration(folder.path(), "127.0.0.1:0").unwrap();
    let secret = folder.path().join("password");
    std::fs::write(&secret, format!("{PASSWORD}\n")).unwrap();
    let place = format!(
        "url: postgres://{USER}@127.0.0.1:{}/{}\n  password: {{file: \"{}\"}}",
        server.port,
        server.new_database(),
        secret.display()
    );
    let file = format!("path: \"{}/costband.db\"", folder.path().display());
    let text = text.replace(&file, &place);
    let path = folder.path().join("costband.yaml");
    std::fs::write(&path, &text).unwrap();
    let setup = Setup::from_text(&text, std::iter::empty()).unwrap_or_else(|p| panic!("{p}"));
    let ledger = Ledger::open(&setup.ledger).unwrap();
    let polling = Polling::new(&setup, ledger, clock.clone()).unwrap();
    let watch =
        ConfigWatch::new(&path, text.clone(), polling.metrics.clone(), clock.clone()).unwrap();
    let (pollers, handle) = (polling.pollers.clone(), polling.handle.clone());
    for advance in [FIRST_READING_BEFORE, SignedDuration::ZERO] {
        for poller in &pollers {
            poller.poll_once().await.unwrap();
        }
        clock.advance(advance);
    }
    let place = setup.ledger.clone();
    let agent = Agent::start(setup, polling, clock.clone(), true).await.unwrap();
    let url = format!("http://{}/metrics", agent.address);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(agent.run_with(watch, async move {
        let _ = stopped.await;
    }));
    let figure = "costband_effective_cost{source=\"aws-main\"";
    page_when(&url, |page| page.contains(figure)).await;

    server.end("-QUIT");
    // A poll that can keep nothing rests for a minute, so that the ledger is asked instead.
    let error = handle.call(|ledger| ledger.revision()).await.unwrap().unwrap_err();
    assert!(!error.to_string().contains(PASSWORD), "{error}");
    // Nor is another configuration taken, and the one of before runs on.
    std::fs::write(&path, format!("{text}# another one\n")).unwrap();
    let refused = "costband_config_last_reload_successful 0\n";
    page_when(&url, |page| page.contains(refused) && page.contains(figure)).await;
    assert!(!running.is_finished());

    server.go();
    let mut tries = 0;
    while let Err(error) = handle.call(|ledger| ledger.revision()).await.unwrap() {
        tries += 1;
        assert!(tries < 1_000, "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // What could not be taken is, without another change.
    let taken = "costband_config_last_reload_successful 1\n";
    page_when(&url, |page| page.contains(taken) && page.contains(figure)).await;
    pollers[0].poll_once().await.unwrap();
    assert!(!running.is_finished());
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    let ledger = Ledger::open_read_only(&place).unwrap();
    assert_eq!(ledger.sources().unwrap().len(), 3);
}
