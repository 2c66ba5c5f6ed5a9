//! An address with a password and a token: neither comes out again, whatever the server says.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use costband::app::gpu::Reading;
use costband::app::gpu_now::GpuNow;
use costband::app::gpu_time::Heard;
use costband::app::setup::Setup;
use costband::domain::ports::Clock;
use costband::telemetry::self_metrics::SelfMetrics;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::{Fixed, PATIENT, client, read};

/// Whatever must not come out: as it is written, as it is meant, as it is sent.
const SECRETS: [&str; 6] =
    ["open%21sesame", "open!sesame", "bWU6b3BlbiFzZXNhbWU", "t0k%2Fen", "t0k/en", "hidden"];

/// What the server was sent, and how it fails: it repeats all of it.
#[derive(Clone)]
struct Echo {
    status: StatusCode,
    asked: Arc<Mutex<Vec<String>>>,
}

async fn echo(State(echo): State<Echo>, request: Request) -> Response {
    let sent = |headers: &HeaderMap| {
        let sent = headers.get("authorization").and_then(|value| value.to_str().ok());
        sent.unwrap_or_default().to_owned()
    };
    let told = format!("{} {}", request.uri(), sent(request.headers()));
    echo.asked.lock().unwrap().push(told.clone());
    let location = "http://me:open%21sesame@elsewhere/?token=t0k%2Fen#hidden";
    let error = format!(r#"{{"status":"error","errorType":"x","error":"open!sesame {told}"}}"#);
    (echo.status, [("location", location), ("content-encoding", "t0k/en")], error).into_response()
}

async fn failing(status: u16) -> (String, Echo) {
    let echo_ = Echo { status: StatusCode::from_u16(status).unwrap(), asked: Arc::default() };
    let router = Router::new().fallback(echo).with_state(echo_.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (format!("http://me:open%21sesame@{address}/metrics?token=t0k%2Fen#hidden"), echo_)
}

/// Lines of a log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn assert_sealed(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "`{secret}` came out:\n{text}");
    }
}

#[tokio::test]
async fn a_page_that_fails_is_named_without_what_opens_it() {
    for status in [200, 204, 302, 401, 404, 500] {
        let (url, echo) = failing(status).await;
        let error = read(url, PATIENT).await.unwrap_err();
        assert!(error.message.contains("`http://127.0.0.1:"), "{error}");
        assert_sealed(&format!("{error} {error:?}"));
        let asked = echo.asked.lock().unwrap().concat();
        assert_eq!(asked, "/metrics?token=t0k%2Fen Basic bWU6b3BlbiFzZXNhbWU=");
    }
    let (url, _) = failing(500).await;
    let nobody = url.replace("127.0.0.1", "127.0.0.2");
    let error = read(nobody, PATIENT).await.unwrap_err();
    assert_sealed(&format!("{error} {error:?}"));
}

#[tokio::test]
async fn a_source_that_fails_tells_its_secrets_to_no_log_and_no_reader() {
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt()
        .with_env_filter("costband=trace")
        .with_writer(move || writer.clone())
        .finish();
    let _log = tracing::subscriber::set_default(log);
    for status in [302, 403, 500] {
        let (url, _) = failing(status).await;
        let text = format!(
            "gpu:\n- name: page\n  url: {url}\n- name: fleet\n  prometheus:\n    url: {url}\n"
        );
        let setup = Setup::from_text(&text, std::iter::empty()).unwrap();
        assert_sealed(&format!("{:?}", setup.config));
        for source in &setup.config.gpu {
            let (now, told) = watch::channel(GpuNow::new(&setup.config.gpu));
            let (heard, mut hearing) = mpsc::channel(10);
            let clock: Arc<dyn Clock> = Arc::new(Fixed);
            let (reading, _) = Reading::new(source, None, &clock).unwrap();
            let metrics = SelfMetrics::new();
            let reading = reading.run(client(PATIENT), clock, now, heard, metrics.clone());
            let task = tokio::spawn(reading);
            assert!(matches!(hearing.recv().await, Some(Heard::Failed(_))));
            task.abort();
            let status = told.borrow().sources().find(|one| one.source == source.name).cloned();
            let failure = status.unwrap().failure.clone().expect("it says why it fails");
            assert!(failure.text.contains("`http://127.0.0.1:"), "{failure:?}");
            assert_sealed(&format!("{failure:?}"));
            let page = metrics.encode();
            assert!(page.contains("costband_gpu_samples_dropped_total{"), "{page}");
            assert_sealed(&page);
        }
    }
    let told = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(told.matches("failed to read GPU telemetry").count(), 6, "{told}");
    assert_sealed(&told);
}
