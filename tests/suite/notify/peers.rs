//! A real Alertmanager, and a real mail server over STARTTLS.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;
use costband::domain::alert::AlertEnd;
use costband::domain::notice::{Notice, NoticeKind};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::net::TcpListener;

use super::notices::all;
use super::{SECRET, configuration, entry, receiver};
use crate::faces::peers::{Running, costband, free_port, output, peer, until};

/// Alerts of the golden messages as if they fired now, one a message.
fn firing(now: Timestamp) -> Vec<Notice> {
    let (_, three) = all().into_iter().find(|(case, _)| *case == "three").unwrap();
    let of = |mut alert: costband::domain::notice::AlertNotice| {
        alert.since = now - SignedDuration::from_mins(5);
        alert.fired_at = Some(now - SignedDuration::from_mins(1));
        Notice { kind: NoticeKind::Firing, at: now, alerts: vec![alert] }
    };
    three.alerts.into_iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_alertmanager_groups_resolves_and_hands_on() {
    let Some(program) = peer("COSTBAND_PEERS_ALERTMANAGER") else { return };
    let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = heard.clone();
    let sink = Router::new().route(
        "/sink",
        post(move |body: String| {
            kept.lock().unwrap().push(serde_json::from_str(&body).unwrap());
            async {}
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, sink).await });

    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "route: {{receiver: sink, group_by: [alertname], group_wait: 1s, group_interval: 1s}}\n\
         receivers: [{{name: sink, webhook_configs: [{{url: 'http://{address}/sink'}}]}}]\n"
    );
    let path = folder.path().join("alertmanager.yml");
    std::fs::write(&path, config).unwrap();
    let port = free_port();
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", path.display()))
        .arg(format!("--storage.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--cluster.listen-address=")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _running = Running(command.spawn().unwrap());

    let receiver = receiver("alertmanager", "http", port, folder.path(), "en");
    let now = Timestamp::now();
    let notices = firing(now);
    until("the first alert to be taken", async || {
        receiver.deliver("a", &notices[0], now).await.ok()
    })
    .await;
    for notice in &notices[1..] {
        receiver.deliver("b", notice, now).await.unwrap();
    }
    let alerts: Vec<_> = notices.iter().flat_map(|notice| notice.alerts.clone()).collect();
    receiver.refresh(&alerts, now).await.unwrap();
    let found = |status: &str, name: &str, count: usize| {
        let heard = heard.lock().unwrap();
        let group = heard.iter().find(|group| {
            let alerts = group["alerts"].as_array().unwrap();
            group["groupLabels"]["alertname"] == name
                && group["status"] == status
                && alerts.len() == count
                && alerts.iter().all(|alert| alert["status"] == status)
        });
        group.cloned()
    };
    // Both forecasts in one group, the failing source in another.
    let group = until("both forecasts in one message", async || {
        found("firing", "CostbandCeilingForecast", 2)
    })
    .await;
    until("the failing source", async || found("firing", "CostbandSourceFailing", 1)).await;
    let alert = &group["alerts"][0];
    assert_eq!(alert["labels"]["billing_period"], "2026-11");
    assert!(alert["annotations"]["summary"].as_str().unwrap().contains("ceiling"), "{alert}");
    let link = alert["generatorURL"].as_str().unwrap();
    assert!(link.starts_with("https://costband.example.com/alerts/"), "{link}");

    for mut notice in notices {
        let ended = Timestamp::now();
        notice.kind = NoticeKind::Resolved;
        notice.alerts[0].ended_at = Some(ended);
        notice.alerts[0].end = Some(AlertEnd::Cleared);
        receiver.deliver("c", &notice, ended).await.unwrap();
    }
    until("the forecasts' end", async || found("resolved", "CostbandCeilingForecast", 2)).await;
    until("the source's end", async || found("resolved", "CostbandSourceFailing", 1)).await;
    // A sign of life is an alert as well.
    receiver.beat(std::time::Duration::from_secs(60), Timestamp::now()).await.unwrap();
    until("the heartbeat", async || found("firing", "CostbandHeartbeat", 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_mail_server_takes_text_and_html_over_starttls_with_a_login() {
    let Some(python) = peer("COSTBAND_PEERS_PYTHON") else { return };
    let folder = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let port = free_port();
    let mut command = Command::new(python);
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/smtp_sink.py"))
        .args([&certificate, &key])
        .arg(SECRET)
        .arg(folder.path())
        .env("SMTP_PORT", port.to_string())
        .stdin(Stdio::piped());
    let _running = Running(command.spawn().unwrap());
    until("the mail server", async || std::fs::read(folder.path().join("port")).ok()).await;

    let entry = entry("email", "https", port, folder.path(), "")
        .replace("host: 127.0.0.1", "host: localhost");
    let config = folder.path().join("costband.yaml");
    std::fs::write(&config, configuration(&entry, "ko")).unwrap();
    let run = async |trust: &std::path::Path| {
        let mut command = costband();
        command.args(["notify", "test", "-c"]).arg(&config).env("SSL_CERT_FILE", trust);
        let told = output(command).await;
        let text = String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned();
        assert!(!text.contains(SECRET), "{text}");
        (told.status.code(), text)
    };
    // Another certificate is not trusted.
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let stranger = folder.path().join("stranger.pem");
    std::fs::write(&stranger, other.cert.pem()).unwrap();
    let (code, text) = run(&stranger).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(!folder.path().join("mails").exists());

    let (code, text) = run(&certificate).await;
    assert_eq!(code, Some(0), "{text}");
    let mails = std::fs::read_to_string(folder.path().join("mails")).unwrap();
    let mails: Vec<Value> = mails.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [mail, other] = mails.as_slice() else { panic!("{mails:#?}") };
    assert_eq!((&mail["encrypted"], &mail["user"]), (&true.into(), &"me".into()));
    assert_eq!(mail["to"], serde_json::json!(["ops@example.com"]));
    assert_eq!(other["to"], serde_json::json!(["team@example.com"]));
    assert_eq!((&mail["headers"], &mail["parts"]), (&other["headers"], &other["parts"]));
    let header = |name: &str| mail["headers"][name].as_str().unwrap();
    assert!(header("subject").contains("[테스트]"), "{mail}");
    assert!(header("message-id").ends_with("@example.com>"), "{mail}");
    assert!(header("references").starts_with("<alert-"), "{mail}");
    for part in ["text/plain", "text/html"] {
        let text = mail["parts"][part].as_str().unwrap();
        assert!(text.contains("테스트입니다"), "{part}: {text}");
    }
}
