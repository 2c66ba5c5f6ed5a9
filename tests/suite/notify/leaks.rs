//! An agent whose receivers refuse every message, with all of its log: nothing that it shows holds
//! what opens a receiver's door.

use std::process::Stdio;
use std::sync::Arc;

use costband::runtime::clock::SystemClock;
use serde_json::Value;

use super::servers::{Answer, Mail, http, mail};
use super::{SECRET, SIGNING, entry, kinds};
use crate::agent::house::{House, get};
use crate::faces::peers::{Running, costband, until};
use crate::faces::series::value;

const BANDS: &str = "bands:\n  - {name: hot, provider: aws, floor: 0, ceiling: 1}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_shows_no_secret_of_any_receiver() {
    let mut house = House::at(Arc::new(SystemClock)).await;
    // One cloud is enough.
    let from = house.text.find("  gcp:").unwrap();
    house.text.truncate(from);
    let (port, heard) = http(Answer::Status(403, "", SECRET)).await;
    let (mail_port, _) = mail(Mail::RefusesLogin).await;
    let entries: String = kinds()
        .map(|kind| {
            let port = if kind == "email" { mail_port } else { port };
            entry(kind, "http", port, house.folder.path(), "")
        })
        .collect();
    let path = house.configure(&format!("{BANDS}notify:\n{entries}"));
    let log = house.folder.path().join("log");
    let file = std::fs::File::create(&log).unwrap();
    let mut command = costband();
    command.args(["run", "-c"]).arg(&path).env("RUST_LOG", "trace");
    command.stdout(Stdio::from(file.try_clone().unwrap())).stderr(file);
    let running = Running(command.spawn().unwrap());

    let url = until("the address", async || {
        let text = std::fs::read_to_string(&log).unwrap();
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let line = lines.find(|line| line["message"] == "costband is listening")?;
        Some(format!("http://{}", line["address"].as_str()?))
    })
    .await;
    until("a message that each receiver refuses", async || {
        let page = get(&format!("{url}/metrics")).await;
        let failed = |kind: &str| {
            let receiver = format!("to-{kind}");
            let labels = [("receiver", receiver.as_str()), ("outcome", "failed")];
            value(&page, "costband_notifications_total", &labels).is_some_and(|count| count != "0")
        };
        kinds().all(failed).then_some(())
    })
    .await;
    // The secrets were used, so they could have been told.
    let heads: String = heard.lock().unwrap().iter().map(|(head, _)| head.clone()).collect();
    assert!(heads.contains(SECRET), "{heads}");

    let secrets = [SECRET, SIGNING, "whsec_", "/hook/"];
    for path in [
        "/",
        "/metrics",
        "/api/v1/alerts",
        "/api/v1/alerts/history",
        "/api/v1/silences",
        "/api/v1/bands",
        "/api/v1/spend",
        "/api/v1/sources",
        "/api/v1/openapi.json",
        "/healthz",
        "/readyz",
    ] {
        let text = get(&format!("{url}{path}")).await;
        for secret in secrets {
            assert!(!text.contains(secret), "`{secret}` is shown by {path}");
        }
    }
    drop(running);
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("to-slack"), "{log}");
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "`{secret}` is logged");
    }
}
