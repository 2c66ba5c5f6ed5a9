//! `costband copy`: the demo's ledger into PostgreSQL and back, by the program itself.

use std::process::Output;

use costband::app::demo::{FIRST_READING_BEFORE, World};
use costband::app::polling::Polling;
use costband::app::setup::Setup;
use costband::simulate::SimulateAddresses;
use costband::store::Ledger;

use super::place::{PASSWORD, Postgres, USER};
use super::*;
use crate::clock::SetClock;

fn costband(arguments: &[&str]) -> Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_costband"))
        .args(arguments)
        .env("COSTBAND_TEST_PASSWORD", PASSWORD)
        .env("RUST_LOG", "off")
        .output()
        .unwrap()
}

/// What the program prints where it does well.
fn told(arguments: &[&str]) -> String {
    let ran = costband(arguments);
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(ran.stdout).unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let ran = costband(arguments);
    assert_eq!(ran.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(ran.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_s_ledger_is_the_same_in_postgresql_and_back_in_a_file() {
    let Some(server) = Postgres::shared() else { return };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let noon = at("2026-03-16T12:30:00Z");
    let clock = SetClock::standing_at(noon - FIRST_READING_BEFORE);
    let world = World::start(7, clock.clone(), SimulateAddresses::default()).await.unwrap();
    let folder = TempDir::new().unwrap();
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
    // While an agent has it, it is not copied.
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let file = format!("path: \"{}\"", path("costband.db"));
    assert!(text.contains(&file));
    let url = format!(
        "url: postgres://{USER}@127.0.0.1:{}/{}\n  password: {{env: COSTBAND_TEST_PASSWORD}}",
        server.port,
        server.new_database()
    );
    let back = format!("path: \"{}\"", path("back.db"));
    let configurations =
        [("file", &file), ("postgres", &url), ("back", &back)].map(|(name, place)| {
            let configuration = path(&format!("{name}.yaml"));
            std::fs::write(&configuration, text.replace(&file, place)).unwrap();
            configuration
        });
    let [of_file, of_postgres, of_back] = configurations.each_ref().map(String::as_str);
    let copy = ["copy", "-c", of_postgres, "--from", &path("costband.db")];
    let error = refused(&copy);
    assert!(error.contains("holds it"), "{error}");
    polling.handle.close().await.unwrap();

    let rows = |path: &str| {
        let ledger = Ledger::open_read_only(path).unwrap();
        let mut rows = Vec::new();
        for (source, _) in ledger.sources().unwrap() {
            for breakdown in ledger.breakdowns(&source).unwrap() {
                let ever = Window::new(date(2025, 1, 1), date(2027, 1, 1));
                ledger
                    .for_each_row_in_days(&breakdown, &ever, |row| rows.push(format!("{row:?}")))
                    .unwrap();
            }
        }
        rows
    };
    let held = std::fs::read(path("costband.db")).unwrap();
    let printed = told(&copy);
    assert!(printed.contains("aws-main:") && printed.contains("billed"), "{printed}");
    assert!(printed.contains("Every row was read again and is the same"), "{printed}");
    assert_eq!(std::fs::read(path("costband.db")).unwrap(), held, "the old ledger stays");
    let report = |configuration: &str, format: &str| {
        told(&["report", "-c", configuration, "--as-of", "2026-03-15", "--format", format])
    };
    for format in ["table", "json"] {
        let of_file = report(of_file, format);
        assert!(of_file.contains("aws"), "{of_file}");
        assert_eq!(report(of_postgres, format), of_file);
    }
    let error = refused(&copy);
    assert!(error.contains("is not empty"), "{error}");
    assert!(!error.contains(PASSWORD), "{error}");

    told(&["copy", "-c", of_back, "--from", of_postgres]);
    assert_eq!(rows(&path("back.db")), rows(&path("costband.db")));
    assert_eq!(report(of_back, "json"), report(of_file, "json"));
}

#[test]
fn what_is_added_after_a_copy_is_numbered_on() {
    let (_folder, path) = folder();
    let mut old = Ledger::open(&path).unwrap();
    commit(&mut old, &report(&[1], &[(1, "EC2", "10")], "2026-11-02T08:00:00Z"));
    let entries = [message("first"), message("second")];
    old.change_alerts(&[], &entries, at(NEXT)).unwrap();
    let Some(place) = place::Place::database() else { return };
    let mut new = Ledger::open(&place.location).unwrap();
    new.copy_from(&old, |_, _| {}).unwrap();
    new.change_alerts(&[], &[message("third")], at(NEXT)).unwrap();
    let ids: Vec<i64> = new.outbox_due(at(NEXT)).unwrap().iter().map(|queued| queued.id).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    commit(&mut new, &report(&[2], &[(2, "S3", "5")], "2026-11-03T08:00:00Z"));
    assert_eq!(rows(&new, &by_service()), [line(1, "EC2", "10"), line(2, "S3", "5")]);
}
