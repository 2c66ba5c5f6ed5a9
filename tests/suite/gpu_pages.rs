//! GPU exporters' pages over real sockets: good ones, and each way in which one can be bad.

mod leaks;
pub(crate) mod mutations;
pub(crate) mod property;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use costband::collect::gpu::exposition::LARGEST_PAGE;
use costband::collect::gpu::{GpuTarget, scrape};
use costband::collect::http;
use costband::domain::gpu::{GpuKey, GpuReport, UtilizationSignal};
use costband::domain::identity::{Provider, SourceId};
use costband::domain::ports::Clock;
use costband::domain::price::CapacityType;
use costband::domain::report::{SourceError, SourceErrorKind};
use costband::simulate::dcgm;
use costband::simulate::faults::{Fault, Faults};
use costband::simulate::scenario::Scenario;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const NOW: &str = "2026-11-16T10:00:00Z";
/// Long enough for a loaded machine; no good test waits for it.
const PATIENT: Duration = Duration::from_secs(60);

/// The pages under tests/fixtures/gpu with their file names.
fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gpu");
    let mut pages: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    pages.sort();
    assert!(pages.len() >= 12, "{} pages", pages.len());
    pages
}

fn fixture(name: &str) -> Vec<u8> {
    fixtures().into_iter().find(|(file, _)| file == name).unwrap().1
}

fn client(timeout: Duration) -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    http::builder(timeout).no_proxy().build().unwrap()
}

fn target(url: String, timeout: Duration) -> GpuTarget {
    GpuTarget {
        id: SourceId::new("gpus"),
        url: url.parse().unwrap(),
        provider: Some(Provider::Aws),
        cluster: "training".to_owned(),
        capacity_type: CapacityType::OnDemand,
        every: Duration::from_secs(15),
        timeout,
    }
}

async fn read(url: String, timeout: Duration) -> Result<GpuReport, SourceError> {
    scrape(&client(timeout), &target(url, timeout), NOW.parse().unwrap()).await
}

/// What a server does when everything is written.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Close,
    Hang,
}

/// Answers one request with these bytes. Gives the request's head and how many bytes of the answer
/// the reader let it write.
async fn answer(parts: Vec<Vec<u8>>, then: Then) -> (String, JoinHandle<(String, usize)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        let mut written = 0;
        for part in parts {
            if socket.write_all(&part).await.is_err() {
                break;
            }
            written += part.len();
        }
        if then == Then::Hang {
            // Until the reader goes away.
            let _ = socket.read_u8().await;
        }
        let _ = socket.shutdown().await;
        (String::from_utf8(head).unwrap(), written)
    });
    (format!("http://{address}/metrics"), task)
}

fn head(status: &str, headers: &[&str]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    (head + "\r\n").into_bytes()
}

async fn refused(parts: Vec<Vec<u8>>) -> SourceError {
    let (url, server) = answer(parts, Then::Close).await;
    let error = read(url.clone(), PATIENT).await.unwrap_err();
    assert!(error.message.contains(&url), "which page? {error}");
    server.await.unwrap();
    error
}

#[tokio::test]
async fn a_page_is_asked_for_as_plain_text_and_read() {
    let page = fixture("time_slicing.txt");
    let parts = page.chunks(100).map(<[u8]>::to_vec);
    let parts = std::iter::once(head("200 OK", &[])).chain(parts).collect();
    let (url, server) = answer(parts, Then::Close).await;
    let report = read(url, PATIENT).await.unwrap();
    assert_eq!((report.gpus.len(), report.dropped_samples.total()), (2, 1));
    assert_eq!(report.cluster, "training");
    assert_eq!(report.observed_at, NOW.parse::<Timestamp>().unwrap());
    let request = server.await.unwrap().0.to_ascii_lowercase();
    assert!(request.contains("accept: text/plain;version=0.0.4"), "{request}");
    assert!(request.contains("accept-encoding: identity\r\n"), "{request}");
}

#[tokio::test]
async fn a_page_shorter_than_it_was_announced_is_told() {
    let page = fixture("time_slicing.txt");
    let half = page[..page.len() / 2].to_vec();
    let length = format!("Content-Length: {}", page.len());
    let error = refused(vec![head("200 OK", &[&length]), half.clone()]).await;
    assert_eq!(error.kind, SourceErrorKind::Unavailable);
    assert!(error.message.contains("broke off before its end"), "{error}");

    let mut chunked = format!("{:x}\r\n", half.len()).into_bytes();
    chunked.extend_from_slice(&half);
    let error = refused(vec![head("200 OK", &["Transfer-Encoding: chunked"]), chunked]).await;
    assert!(error.message.contains("broke off before its end"), "{error}");
}

#[tokio::test]
async fn a_line_that_was_cut_is_told_where_no_length_was_announced() {
    let page = fixture("time_slicing.txt");
    let last = page.iter().filter(|b| **b == b'\n').count();
    let error = refused(vec![head("200 OK", &[]), page[..page.len() - 2].to_vec()]).await;
    assert_eq!(error.kind, SourceErrorKind::Malformed);
    assert!(error.message.contains(&format!("ends in the middle of line {last}")), "{error}");
}

#[tokio::test]
async fn html_instead_of_metrics_is_told_by_its_kind_and_by_its_look() {
    let page = b"<html><body>GPU Exporter <a href=\"/metrics\">Metrics</a></body></html>".to_vec();
    let kind = "Content-Type: text/html; charset=utf-8";
    for headers in [&[kind][..], &[]] {
        let error = refused(vec![head("200 OK", headers), page.clone()]).await;
        assert_eq!(error.kind, SourceErrorKind::Malformed);
        assert!(error.message.contains("HTML instead of metrics"), "{error}");
        assert!(error.message.contains("is its path the exporter's `/metrics`?"), "{error}");
    }
}

#[tokio::test]
async fn another_exporters_page_is_told_what_was_expected() {
    let error = refused(vec![head("200 OK", &[]), fixture("not_gpu.txt")]).await;
    assert_eq!(error.kind, SourceErrorKind::Malformed);
    assert!(error.message.contains("neither dcgm-exporter's"), "{error}");
}

#[tokio::test]
async fn fifty_megabytes_of_page_are_left_at_the_limit() {
    let line = b"DCGM_FI_DEV_SM_CLOCK{gpu=\"0\",UUID=\"GPU-a\"} 1980\n";
    let megabyte = line.repeat((1 << 20) / line.len());
    let mut parts = vec![head("200 OK", &[])];
    parts.extend(std::iter::repeat_n(megabyte, 50));
    let whole: usize = parts.iter().map(Vec::len).sum();
    let (url, server) = answer(parts, Then::Close).await;
    let error = read(url, PATIENT).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Malformed);
    assert!(error.message.contains("larger than 16 MiB"), "{error}");
    let (_, written) = server.await.unwrap();
    assert!(written < whole, "the reader took all of {whole} bytes");
}

#[tokio::test]
async fn a_page_that_announces_fifty_megabytes_is_not_read_at_all() {
    let parts = vec![head("200 OK", &["Content-Length: 52428800"])];
    let (url, server) = answer(parts, Then::Hang).await;
    let error = read(url, PATIENT).await.unwrap_err();
    assert!(error.message.contains("larger than 16 MiB"), "{error}");
    server.await.unwrap();
}

#[tokio::test]
async fn bytes_that_are_no_text_are_named_by_their_line() {
    let page = b"# HELP x y\nDCGM_FI_DEV_GPU_UTIL{UUID=\"\xff\xfe\"} 1\n".to_vec();
    let error = refused(vec![head("200 OK", &[]), page]).await;
    assert_eq!(error.kind, SourceErrorKind::Malformed);
    assert!(error.message.contains("line 2 is not UTF-8"), "{error}");
}

#[tokio::test]
async fn a_status_is_told_with_its_kind() {
    for (status, kind) in [
        ("401 Unauthorized", SourceErrorKind::Auth),
        ("403 Forbidden", SourceErrorKind::Forbidden),
        ("404 Not Found", SourceErrorKind::Config),
        ("429 Too Many Requests", SourceErrorKind::RateLimited),
        ("500 Internal Server Error", SourceErrorKind::Unavailable),
        ("503 Service Unavailable", SourceErrorKind::Unavailable),
        ("204 No Content", SourceErrorKind::Unavailable),
    ] {
        let error = refused(vec![head(status, &[])]).await;
        assert_eq!(error.kind, kind, "{status}");
        assert!(error.message.contains(&format!("it answers {status}")), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_is_named_and_not_followed() {
    let location = "Location: https://login.example.com/start?token=hidden";
    let error = refused(vec![head("302 Found", &[location])]).await;
    assert_eq!(error.kind, SourceErrorKind::Config);
    assert!(error.message.contains("points to `https://login.example.com/start`"), "{error}");
    assert!(!error.to_string().contains("hidden"), "{error}");
    assert!(error.hint.unwrap().contains("redirects are not followed"));
}

/// A page as a server sends it that packs whatever it is asked for.
fn packed(page: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(page).unwrap();
    gzip.finish().unwrap()
}

#[tokio::test]
async fn a_packed_page_is_unpacked_or_named() {
    let parts =
        vec![head("200 OK", &["Content-Encoding: gzip"]), packed(&fixture("l40s_unheld.txt"))];
    let (url, _server) = answer(parts.clone(), Then::Close).await;
    assert_eq!(read(url, PATIENT).await.unwrap().gpus.len(), 1);

    let (url, _server) = answer(parts, Then::Close).await;
    let plain = http::builder(PATIENT).no_proxy().no_gzip().build().unwrap();
    let error = scrape(&plain, &target(url, PATIENT), NOW.parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Malformed);
    assert!(error.message.contains("it comes as `gzip`"), "{error}");
}

#[tokio::test]
async fn a_page_that_unpacks_to_more_than_the_limit_is_left_there() {
    let bomb = packed(&b"# \n".repeat(LARGEST_PAGE / 2));
    assert!(bomb.len() < LARGEST_PAGE / 10);
    let error = refused(vec![head("200 OK", &["Content-Encoding: gzip"]), bomb]).await;
    assert!(error.message.contains("larger than 16 MiB"), "{error}");
}

#[tokio::test]
async fn a_hanging_exporter_is_a_timeout_before_and_within_its_page() {
    let short = Duration::from_millis(1500);
    for (parts, message) in [
        (vec![], "does not answer in time"),
        (
            vec![head("200 OK", &[]), b"DCGM_FI_DEV_GPU".to_vec()],
            "the page is not whole after 1.5s",
        ),
    ] {
        let (url, server) = answer(parts, Then::Hang).await;
        let error = read(url, short).await.unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Timeout);
        assert!(error.message.contains(message), "{error}");
        server.await.unwrap();
    }
}

#[tokio::test]
async fn an_exporter_that_is_gone_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    drop(listener);
    let error = read(url, PATIENT).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Unavailable);
    assert!(error.message.contains("Connection refused"), "{error}");
    assert!(error.hint.unwrap().contains("check that the exporter runs"));
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        NOW.parse().unwrap()
    }
}

#[tokio::test]
async fn the_simulated_exporters_fleet_is_read_as_it_is() {
    let world = Arc::new(Scenario::new(5, Arc::new(Fixed)));
    let faults = Arc::<Faults>::default();
    let router = dcgm::router(Arc::clone(&world), Arc::clone(&faults));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    for provider in Provider::ALL {
        let url = format!("http://{address}/{}/metrics", provider.as_str());
        let report = read(url, PATIENT).await.unwrap();
        let mut expected = 0;
        let nodes = world.fleet(provider, Fixed.now());
        for node in nodes.iter().filter(|node| node.exporter_is_up) {
            for device in &node.readings {
                expected += 1;
                let (profile, instance) = device.slice.unzip();
                let key = GpuKey {
                    uuid: device.uuid.clone(),
                    mig_instance: instance.map(|instance| instance.to_string()),
                };
                let gpu = report.gpus.iter().find(|gpu| gpu.key == key).unwrap();
                assert_eq!(gpu.mig_profile.as_deref(), profile);
                assert_eq!(gpu.model, device.model);
                assert_eq!(gpu.hostname.as_ref(), Some(&node.name));
                let told = gpu.utilization.unwrap().ratio();
                assert!((told - device.engine_active).abs() < 1e-6, "{gpu:?}");
                assert_eq!(gpu.signal, Some(UtilizationSignal::GrEngineActive));
                let (total, used) = device.memory_mib.map(|(t, u)| (t << 20, u << 20)).unzip();
                assert_eq!((gpu.memory_total_bytes, gpu.memory_used_bytes), (total, used));
                assert_eq!(gpu.xid, Some(device.xid));
                let mut pods: Vec<_> = device.pods.iter().map(|pod| pod.name.clone()).collect();
                pods.sort();
                let mut held: Vec<_> = gpu.holders.iter().map(|h| h.pod.name.clone()).collect();
                held.sort();
                assert_eq!(held, pods);
                let parts = gpu.holders.iter().all(|held| held.utilization.is_some());
                assert!(!device.is_shared || device.sentinel || parts, "{gpu:?}");
            }
        }
        assert_eq!(report.gpus.len(), expected, "{provider:?}");
    }
    for (fault, kind) in [
        (Fault::Truncated, SourceErrorKind::Unavailable),
        (Fault::ResetMidPage, SourceErrorKind::Unavailable),
        (Fault::Malformed, SourceErrorKind::Malformed),
        (Fault::Empty, SourceErrorKind::Malformed),
    ] {
        faults.order(fault.clone(), 1);
        let error = read(format!("http://{address}/aws/metrics"), PATIENT).await.unwrap_err();
        assert_eq!(error.kind, kind, "{fault:?}: {error}");
    }
    server.abort();
}
