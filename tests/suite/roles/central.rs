//! The central agent as somebody who may be ill: every answer that is none is a named error, and
//! the token stays where it belongs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use costband::collect::central::{CentralTarget, NodeFacts, ask};
use costband::config::secret::SecretRef;
use costband::domain::gpu_money::PriceSource;
use costband::domain::report::{SourceError, SourceErrorKind};
use serde_json::{Value, json};

use crate::contract::program::page_when;

use super::{TOKEN, beside, exporter, run, written};

#[derive(Clone, Default)]
struct Ill {
    status: u16,
    body: String,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Repeats the token wherever it can.
async fn answer(State(ill): State<Ill>, headers: HeaderMap, request: Request) -> Response {
    let sent = headers["authorization"].to_str().unwrap().to_owned();
    ill.asked.lock().unwrap().push(format!("{} {sent}", request.uri()));
    let status = StatusCode::from_u16(ill.status).unwrap();
    let body = ill.body.replace("{token}", &sent);
    (status, [("location", format!("http://elsewhere/?{sent}"))], body).into_response()
}

async fn serve(ill: Ill) -> String {
    let router = Router::new().fallback(answer).with_state(ill);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn asked(status: u16, body: &str) -> (Result<NodeFacts, SourceError>, Vec<String>) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let ill = Ill { status, body: body.to_owned(), asked: Arc::default() };
    let address = serve(ill.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, TOKEN).unwrap();
    let target = CentralTarget {
        url: format!("http://{address}/base/").parse().unwrap(),
        bearer: Some(SecretRef { file: Some(file), env: None }),
        timeout: Duration::from_secs(60),
    };
    let client = costband::collect::http::builder(Duration::from_secs(60));
    let client = client.no_proxy().build().unwrap();
    let told = ask(&client, &target, "gpu 1/../x").await;
    let asked = ill.asked.lock().unwrap().clone();
    (told, asked)
}

fn node() -> Value {
    json!({
        "as_of": "2026-11-23T00:00:00Z", "name": "gpu-1", "provider": "aws", "cluster": "train",
        "instance_type": "p5.48xlarge", "region_id": "us-east-1", "capacity_type": "spot",
        "model": "H100 80GB", "gpus": 7, "instance_type_is_guessed": false, "states": {},
        "gpu_hours": {}, "tier": "optimal",
        "prices": [{"price_source": "billed", "price": "3.5", "currency": "USD", "note": "7 days"}],
    })
}

#[tokio::test]
async fn a_node_s_document_is_read_and_its_name_stays_one_part_of_the_path() {
    let (told, asked) = asked(200, &node().to_string()).await;
    let told = told.unwrap();
    assert_eq!(asked, [format!("/base/api/v1/nodes/gpu%201%2F..%2Fx Bearer {TOKEN}")]);
    assert_eq!(told.node.instance_type.as_deref(), Some("p5.48xlarge"));
    assert_eq!(told.node.gpus, Some(8), "its machine's, not those that are seen");
    let [price] = &told.prices[..] else { panic!("{told:?}") };
    assert_eq!((price.source, price.price.to_string().as_str()), (PriceSource::Billed, "3.5 USD"));
    assert_eq!(price.note.to_string(), "told by the central agent: 7 days");

    let mut guessed = node();
    guessed["instance_type_is_guessed"] = json!(true);
    let (told, _) = self::asked(200, &guessed.to_string()).await;
    assert_eq!(told.unwrap().node.instance_type, None, "a guess of others is none of ours");
}

#[tokio::test]
async fn an_answer_that_is_none_is_named_without_the_token() {
    let broken = |key: &str, value: Value| {
        let mut node = node();
        node[key] = value;
        node.to_string()
    };
    let price = |price: &str, currency: &str| {
        let price = json!({
            "price_source": "list", "price": price, "currency": currency, "note": "{token}",
        });
        broken("prices", json!([price]))
    };
    for (status, body, kind, words) in [
        (200, "{token}".to_owned(), SourceErrorKind::Malformed, "not a node's document"),
        (200, broken("provider", json!("{token}")), SourceErrorKind::Malformed, "the cloud"),
        (200, broken("cluster", json!("x".repeat(300))), SourceErrorKind::Malformed, "too long"),
        (200, price("0", "USD"), SourceErrorKind::Malformed, "its price `0` is none"),
        (200, price("{token}", "USD"), SourceErrorKind::Malformed, "is none"),
        (200, price("1", "{token}"), SourceErrorKind::Malformed, "the currency"),
        (200, " ".repeat(300 << 10), SourceErrorKind::Malformed, "has no end"),
        (302, "{token}".to_owned(), SourceErrorKind::Config, "redirects are not followed"),
        (401, "{token}".to_owned(), SourceErrorKind::Auth, "`central.bearer_token`"),
        (403, "{token}".to_owned(), SourceErrorKind::Forbidden, "403"),
        (404, "{token}".to_owned(), SourceErrorKind::NotReady, "knows no node"),
        (503, "{token}".to_owned(), SourceErrorKind::Unavailable, "503"),
    ] {
        let (told, asked) = asked(status, &body).await;
        let error = told.unwrap_err();
        assert_eq!(asked.len(), 1, "{status}");
        assert_eq!(error.kind, kind, "{status}: {error}");
        let text = format!("{error} {error:?}");
        assert!(text.contains("http://127.0.0.1:") && text.contains(words), "{status}: {text}");
        assert!(!text.contains(TOKEN), "{status}: {text}");
    }
    let (told, _) = asked(200, &price("1", "USD")).await;
    assert!(!format!("{told:?}").contains(TOKEN), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_and_no_page_of_an_agent_tells_the_token() {
    let page = exporter().await;
    for status in [200, 302, 401, 500] {
        let ill = Ill { status, body: "{token}".to_owned(), asked: Arc::default() };
        let (central, folder) = (serve(ill).await, tempfile::tempdir().unwrap());
        let more = json!({"role": "node"});
        let path = beside(folder.path(), "node", &page, &central, more);
        let mut configuration: Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        configuration["log"]["filter"] = json!("debug");
        let path = written(folder.path(), "node", configuration);
        let (mut program, address) = run(&path);
        program.ever("failed to ask the central agent");
        let pages = ["metrics", "api/v1/gpu", "", "api/v1/nodes/gpu-1"];
        for page in pages {
            let url = format!("http://{address}/{page}");
            let text = page_when(&url, |text| text.contains("GPU") || text.contains("gpu")).await;
            assert!(!text.contains(TOKEN), "/{page}: {text}");
        }
        assert_eq!(program.terminate(), Some(0));
        assert_eq!(program.count(TOKEN), 0, "the log tells the token");
    }
}
