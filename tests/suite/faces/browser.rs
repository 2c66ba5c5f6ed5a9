//! Every view in a real browser: at three widths, light and dark, in two languages, with and without
//! script. axe finds nothing, nothing scrolls sideways, nothing is inline or from elsewhere.

use std::process::{Command, Stdio};

use costband::config::secret::SecretRef;
use serde_json::{Value, json};

use super::hostile;
use super::peers::{Running, costband, free_port, output, peer, until};
use super::world::{Shown, snapshot};

/// Runs the browser over a task; none where there is no browser.
async fn browse(task: Value) -> Option<String> {
    let chromium = peer("COSTBAND_PEERS_CHROMIUM")?;
    let modules = peer("COSTBAND_PEERS_NODE_MODULES")?;
    let mut command = Command::new("node");
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/page.mjs"))
        .arg(task.to_string())
        .env("COSTBAND_PEERS_CHROMIUM", chromium)
        .env("COSTBAND_PEERS_NODE_MODULES", modules);
    let output = output(command).await;
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    Some(out.into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_view_of_the_demo_is_sound_in_a_browser() {
    if peer("COSTBAND_PEERS_CHROMIUM").is_none() {
        return;
    }
    let port = free_port();
    let mut command = costband();
    command.args(["demo", "--listen", &format!("127.0.0.1:{port}")]);
    let _demo = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let url = format!("http://127.0.0.1:{port}");
    until("a page with every cloud's bill", async || {
        let page = reqwest::get(format!("{url}/metrics")).await.ok()?.text().await.ok()?;
        (page.matches("\ncostband_band_month_end{").count() >= 3
            || page.matches("\ncostband_band_forecast{").count() >= 3)
            .then_some(())
    })
    .await;
    let sites = json!([{"name": "demo", "url": url, "thorough": true}]);
    let Some(told) = browse(json!({"sites": sites})).await else { return };
    eprintln!("{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_view_of_a_world_of_corners_and_of_a_hostile_one_is_sound_in_a_browser() {
    let corners = Shown::start().await;
    let hostile = Shown::start().await;
    hostile.publish(hostile::world());
    let early = Shown::empty(None).await;
    let sites = json!([
        {"name": "corners", "url": corners.url, "thorough": true},
        {"name": "hostile", "url": hostile.url, "thorough": false},
        {"name": "early", "url": early.url, "thorough": false},
    ]);
    let Some(told) = browse(json!({"sites": sites})).await else { return };
    eprintln!("{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_and_takes_an_alert_and_no_other_site_does() {
    const TOKEN: &str = "t0ken-of-the-browser";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, TOKEN).unwrap();
    let shown = Shown::empty(Some(SecretRef { file: Some(path), env: None })).await;
    shown.publish(snapshot());
    let desk = json!({"url": shown.url, "token": TOKEN});
    let Some(told) = browse(json!({"sites": [], "desk": desk})).await else { return };
    assert!(told.contains("taken and given back"), "{told}");
}
