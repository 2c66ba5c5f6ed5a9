//! GPU telemetry that fails is told with its reason by the API, the page and the metrics, and so is its
//! return.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use axum::Router;
use axum::http::StatusCode;
use costband::domain::gpu::GpuSourceStatus;
use costband::domain::ports::Clock;
use costband::runtime::clock::SystemClock;
use costband::web::Published;
use tokio::net::TcpListener;

use super::house::{RunningAgent, start};

/// Five GPUs.
const PAGE: &str = include_str!("../../fixtures/gpu/h100_mig_pod.txt");

/// An exporter that answers with a status that can be set.
async fn exporter() -> (String, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(200));
    let answers = status.clone();
    let answer = move || async move {
        (StatusCode::from_u16(answers.load(Ordering::SeqCst)).unwrap(), PAGE)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, status)
}

fn is_up(now: &Published, up: bool) -> bool {
    let of = |status: &GpuSourceStatus| status.source.as_str() == "dcgm" && status.up == Some(up);
    now.snapshot.gpu_sources.iter().any(|status| of(status))
}

async fn told(agent: &RunningAgent) -> serde_json::Value {
    let sources: serde_json::Value =
        serde_json::from_str(&agent.text("/api/v1/sources").await).unwrap();
    sources["gpu_sources"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_that_fails_is_told_with_its_reason_until_it_is_back() {
    let (url, status) = exporter().await;
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "listen: 127.0.0.1:0\nstore:\n  path: {}\ngpu:\n- name: dcgm\n  url: {url}\n  \
         provider: aws\n  cluster: video\n  every: 1s\n",
        folder.path().join("ledger.db").display(),
    );
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut agent = start(&text, clock).await;
    let lost = "What these GPUs do is unknown, not idle.";
    let series = r#"costband_gpu_source_up{source="dcgm",provider="aws",cluster="video"}"#;

    agent.when("a good reading", |now| is_up(now, true) && !now.snapshot.gpus.is_empty()).await;
    let well = told(&agent).await;
    assert_eq!(well["up"], true);
    assert!(well["last_success"].is_string() && well["error"].is_null(), "{well}");
    assert!(agent.text("/metrics").await.contains(&format!("{series} 1\n")));
    assert!(!agent.text("/").await.contains(lost));

    status.store(503, Ordering::SeqCst);
    agent.when("a failed reading", |now| is_up(now, false)).await;
    let failing = told(&agent).await;
    assert_eq!(failing["error_kind"], "unavailable", "{failing}");
    assert!(failing["error"].as_str().unwrap().contains("503"), "{failing}");
    let since = failing["failing_since"].clone();
    assert!(agent.text("/metrics").await.contains(&format!("{series} 0\n")));
    agent.when("nothing of what was told", |now| now.snapshot.gpus.is_empty()).await;
    assert_eq!(told(&agent).await["failing_since"], since, "it fails for as long as it did");
    for path in ["/", "/gpu", "/sources"] {
        assert!(agent.text(path).await.contains(lost), "{path}");
    }
    let page = agent.text("/sources/dcgm").await;
    assert!(page.contains("503") && page.contains("It has failed since"), "{page}");

    status.store(200, Ordering::SeqCst);
    agent.when("its return", |now| is_up(now, true) && !now.snapshot.gpus.is_empty()).await;
    let back = told(&agent).await;
    assert!(back["error"].is_null() && back["failing_since"].is_null(), "{back}");
    assert!(agent.text("/metrics").await.contains(&format!("{series} 1\n")));
    assert!(!agent.text("/").await.contains(lost));
    agent.end().await;
}
