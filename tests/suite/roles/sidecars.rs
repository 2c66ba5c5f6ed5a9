//! Two sidecars beside pods that come and go on one node: together they never claim more time than
//! its GPUs have had.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::Router;
use axum::routing::get;
use serde_json::json;

use super::{beside, free_address, run, sum};
use crate::contract::program::page_when;
use crate::dcgm;

const GPUS: f64 = 8.0;
/// How long the pods hold what they hold, in seconds.
const PHASE: u64 = 2;

/// Both pods share every GPU, then one of them alone has all, then the other one.
fn holders(seconds: u64) -> Vec<String> {
    let pods: &[&str] = match seconds / PHASE % 4 {
        0 | 1 => &["trainer-0", "trainer-1"],
        2 => &["trainer-0"],
        _ => &["trainer-1"],
    };
    pods.iter().map(|pod| (*pod).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sidecars_of_a_node_never_claim_the_same_gpu_time() {
    let begun: Arc<OnceLock<Instant>> = Arc::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let page = format!("http://{}/metrics", listener.local_addr().unwrap());
    let asked = begun.clone();
    let answer = get(async move || {
        let seconds = asked.get_or_init(Instant::now).elapsed().as_secs();
        dcgm::page(1, |_| holders(seconds))
    });
    let router = Router::new().route("/metrics", answer);
    tokio::spawn(async move { axum::serve(listener, router).await });

    let folder = tempfile::tempdir().unwrap();
    let sidecar = |pod: &str| {
        let of = json!({"role": "sidecar", "pod": {"namespace": "ml", "name": pod}});
        run(&beside(folder.path(), pod, &page, &free_address(), of))
    };
    let (_first, at_first) = sidecar("trainer-0");
    let (_second, at_second) = sidecar("trainer-1");
    let claimed = |page: &str| sum(page, "costband_workload_gpu_seconds_total");
    // Long enough for both to have held all alone more than once.
    let enough = PHASE as f64 * 4.0 * GPUS;
    let mut told = Vec::new();
    for address in [at_first, at_second] {
        let url = format!("http://{address}/metrics");
        told.push(claimed(&page_when(&url, |page| claimed(page) >= enough).await));
    }
    let had = GPUS * begun.get().unwrap().elapsed().as_secs_f64();
    let all: f64 = told.iter().sum();
    println!("{told:?} of {had:.0} GPU seconds are claimed");
    assert!(all <= had, "{told:?} are claimed of {had} GPU seconds");
}
