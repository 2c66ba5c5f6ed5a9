//! The official clients of other languages read what the `costband simulate` process serves.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use costband::domain::period::{BillingPeriod, BillingZone};
use costband::simulate::azure::AzureOptions;
use costband::simulate::gcp::GcpOptions;
use jiff::civil::Date;

use crate::faces::peers::{Running, costband, peer, script};

/// A subscription of the simulated world.
const TRAINING: &str = "6f1d2c3b-0a4e-4f5d-9c8b-7a6f5e4d3c2b";

/// Starts the process and reads the addresses that it prints.
async fn simulate() -> (Running, BTreeMap<String, String>) {
    let mut command = costband();
    command.args(["simulate", "--port", "0"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = Running(command.spawn().unwrap());
    let lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let printed = tokio::task::spawn_blocking(move || {
        lines
            .take(4)
            .map(|line| {
                let line = line.unwrap();
                let (cloud, url) = line.split_once(' ').unwrap();
                (cloud.to_owned(), url.trim().to_owned())
            })
            .collect::<BTreeMap<_, _>>()
    });
    (running, printed.await.unwrap())
}

/// The month before the present one: first day and the day after its last.
fn last_month() -> (Date, Date) {
    let present = BillingPeriod::at(jiff::Timestamp::now(), BillingZone::Utc);
    (present.previous().first_day(), present.first_day())
}

#[tokio::test(flavor = "multi_thread")]
async fn official_clients_read_the_process_of_simulated_clouds() {
    let Some(python) = peer("COSTBAND_PEERS_PYTHON") else { return };
    let (_running, urls) = simulate().await;
    let (start, end) = last_month();
    let (start, end) = (start.to_string(), end.to_string());
    let figure = |told: &str, name: &str| -> String {
        let line = told.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name}: {told}")).rsplit(' ').next().unwrap().to_owned()
    };

    let aws = script(&python, "simulate_aws.py", &[&urls["aws"], &start, &end, "--any-key"]).await;
    assert!(figure(&aws, "spend_effective").parse::<f64>().unwrap() > 1000.0, "{aws}");

    let gcp = GcpOptions::default();
    let table = gcp.standard_table();
    let told =
        script(&python, "billing_export.py", &[&urls["gcp"], &gcp.project, &table, &start]).await;
    assert!(figure(&told, "net").parse::<f64>().unwrap() > 1000.0, "{told}");
    assert_eq!(figure(&told, "net"), figure(&told, "net_by_project"));

    let azure = AzureOptions::default();
    let told = script(
        &python,
        "simulate_azure.py",
        &[
            &urls["azure"],
            "--tenant",
            &azure.tenant_id,
            "--client",
            &azure.client_id,
            "--secret",
            &azure.client_secret,
            "--subscription",
            TRAINING,
            "--billing-account",
            &azure.billing_account,
            "--start",
            &start,
            "--end",
            &end,
        ],
    )
    .await;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["total"], told["grouped_total"]);
    assert!(told["total"].as_str().unwrap().parse::<f64>().unwrap() > 1000.0, "{told}");
}
