//! Who asks an API server, and through which proxy.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use costband::domain::report::SourceErrorKind;
use costband::kubernetes::client::Connection;
use costband::kubernetes::{Cluster, Resource};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::server::{ApiServer, TOKEN};
use super::{Watching, cluster, node, until, watching_of};

/// A cluster whose user's token is brought by a command of a shell.
fn with_command(server: &ApiServer, folder: &TempDir, script: &str) -> Cluster {
    let cluster = cluster(server, folder);
    let exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "/bin/sh",
        "args": ["-c", script, "argument-sesame"],
        "env": [{"name": "SECRET", "value": "variable-sesame"}],
        "interactiveMode": "Never",
    });
    change(&cluster, &format!("{{token: {TOKEN}}}"), &format!("{{exec: {exec}}}"));
    cluster
}

fn change(cluster: &Cluster, from: &str, to: &str) {
    let path = cluster.kubeconfig.as_ref().unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

/// A script that notes that it runs and brings the token.
fn noting(file: &Path, ends: &str) -> String {
    let answer = json!({"status": {"token": TOKEN, "expirationTimestamp": ends}});
    format!("echo run >> {}; echo '{answer}'", file.display())
}

fn runs(file: &Path) -> usize {
    std::fs::read_to_string(file).unwrap_or_default().lines().count()
}

fn watching(server: &ApiServer, script: impl FnOnce(&Path) -> String) -> (Watching, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs");
    let cluster = with_command(server, &folder, &script(&file));
    (watching_of(cluster, folder), file)
}

#[tokio::test]
async fn a_command_that_brings_a_token_is_run_once_however_often_the_server_fails() {
    let server = ApiServer::start().await;
    server.put("nodes", node("a", "p5.48xlarge"));
    server.forbid("list", "nodes", true);
    let (mut watching, file) = watching(&server, |file| noting(file, "2100-01-01T00:00:00Z"));
    until("four refusals", || server.asked("list") >= 4).await;
    server.forbid("list", "nodes", false);
    watching.names(&["a"]).await;
    assert_eq!(runs(&file), 1);
}

#[tokio::test]
async fn a_token_that_ends_is_brought_anew() {
    let server = ApiServer::start().await;
    server.put("nodes", node("a", "p5.48xlarge"));
    let (mut watching, file) = watching(&server, |file| noting(file, "2026-11-16T10:00:00Z"));
    watching.names(&["a"]).await;
    until("a watch", || server.asked("watch") == 1).await;
    assert_eq!(runs(&file), 1);
    server.cut();
    until("another watch", || server.asked("watch") == 2).await;
    assert_eq!(runs(&file), 2);
}

#[tokio::test]
async fn a_command_that_fails_is_told_without_its_arguments_and_its_environment() {
    let server = ApiServer::start().await;
    let script = |_: &Path| "echo out-sesame; echo error-sesame >&2; exit 7".to_owned();
    let (mut watching, _) = watching(&server, script);
    let error = watching.when("the failure", |seen| seen.error.is_some()).await.error.unwrap();
    assert_eq!(error.kind, SourceErrorKind::Auth);
    let told = format!("{error} {error:?}");
    assert!(told.contains("the command `sh`") && told.contains("exit status: 7"), "{told}");
    assert!(!told.contains("sesame"), "{told}");
}

/// The command waits for what this thread does meanwhile.
#[tokio::test(flavor = "current_thread")]
async fn a_command_that_takes_its_time_holds_nobody_up() {
    let server = ApiServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (began, go) = (folder.path().join("began"), folder.path().join("go"));
    let answer = json!({"status": {"token": TOKEN}});
    let script = format!(
        "echo > {}; for i in $(seq 100); do [ -e {go} ] && echo '{answer}' && exit; sleep 0.1; done; exit 1",
        began.display(),
        go = go.display(),
    );
    let cluster = with_command(&server, &folder, &script);
    let meanwhile = async {
        until("the command", || began.exists()).await;
        std::fs::write(&go, "").unwrap();
    };
    let (connection, ()) = tokio::join!(Connection::new(&cluster), meanwhile);
    assert_eq!(connection.unwrap().may(&Resource::Nodes, "list").await, Ok(true));
}

#[tokio::test]
async fn a_proxy_is_told_its_user_and_password() {
    let server = ApiServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let cluster = cluster(&server, &folder);
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = proxy.local_addr().unwrap();
    let url = format!("http://me:p%40ss%2Fword@{address}");
    let named = format!("server: \"{}\"", server.url);
    change(&cluster, &named, &format!("{named}, proxy-url: \"{url}\""));
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = heard.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = proxy.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut lines = Vec::new();
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                if line.trim().is_empty() {
                    break;
                }
                lines.push(line.trim().to_owned());
            }
            let target = lines[0].split(' ').nth(1).unwrap().to_owned();
            told.lock().unwrap().extend(lines);
            let mut server = tokio::net::TcpStream::connect(target).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            tokio::spawn(
                async move { tokio::io::copy_bidirectional(&mut stream, &mut server).await },
            );
        }
    });
    let connection = Connection::new(&cluster).await.unwrap();
    let asked = connection.may(&Resource::Nodes, "list");
    assert_eq!(tokio::time::timeout(Duration::from_secs(60), asked).await, Ok(Ok(true)));
    let heard = heard.lock().unwrap().join("\n").to_ascii_lowercase();
    let user = BASE64_STANDARD.encode("me:p@ss/word").to_ascii_lowercase();
    assert!(heard.contains(&format!("proxy-authorization: basic {user}")), "{heard}");

    change(&cluster, &url, "socks5://me:sesame@127.0.0.1:1");
    let error = Connection::new(&cluster).await.err().unwrap();
    assert_eq!(error.kind, SourceErrorKind::Config);
    assert!(error.message.contains("neither http nor https"), "{error}");
    assert!(!error.to_string().contains("sesame"), "{error}");
}
