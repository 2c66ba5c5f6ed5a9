//! What the source takes from its environment: each test polls in a process of its own, since the
//! environment belongs to a whole process.

use std::process::Command;

use serde_json::json;

use super::fake::{Answer, Fake, good};
use super::{ACCOUNT, CountingMeter, build, october};

/// The part of these tests that runs in the child: polls the entry that it is given and prints what
/// came of it.
#[tokio::test]
#[ignore = "runs in a process that another test starts"]
async fn child() {
    let Ok(entry) = std::env::var("COSTBAND_TEST_ENTRY") else { return };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let source = build(&serde_json::from_str(&entry).unwrap());
    match source.poll(&october(), &CountingMeter::new()).await {
        Ok(report) => println!("outcome: read {}", report.breakdowns.len()),
        Err(error) => println!("outcome: {} {error}", error.kind.as_str()),
    }
}

async fn poll_in_a_child(entry: serde_json::Value, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["aws::environment::child", "--exact", "--ignored", "--nocapture"])
        .env_clear()
        .env("COSTBAND_TEST_ENTRY", entry.to_string())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/nonexistent/config")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")
        .envs(environment.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let outcome = printed.lines().find_map(|line| line.split("outcome: ").nth(1));
    outcome
        .map(str::to_owned)
        .unwrap_or_else(|| panic!("{printed}\n{}", String::from_utf8_lossy(&output.stderr)))
}

const KEYS: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "from-environment")];

#[tokio::test]
async fn proxy_of_the_environment_carries_every_request() {
    let proxy = Fake::start(|request, _| good(request)).await;
    let entry = json!({
        "name": "aws", "account": ACCOUNT,
        "endpoints": {"cost_explorer": "http://ce.test.invalid", "sts": "http://sts.test.invalid"},
    });
    let through = [("HTTP_PROXY", proxy.endpoint.as_str()), KEYS[0], KEYS[1]];
    assert_eq!(poll_in_a_child(entry.clone(), &through).await, "read 4");
    let hosts = |operation: &str| -> Vec<String> {
        proxy.seen(operation).into_iter().map(|request| request.host).collect()
    };
    assert_eq!(hosts("GetCallerIdentity"), ["sts.test.invalid"]);
    assert_eq!(hosts("GetCostAndUsage"), ["ce.test.invalid"; 5]);

    let around = [through[0], through[1], through[2], ("NO_PROXY", "test.invalid")];
    let outcome = poll_in_a_child(entry, &around).await;
    assert!(outcome.starts_with("unavailable "), "{outcome}");
}

#[tokio::test]
async fn machine_without_certificates_is_a_named_error() {
    let fake = Fake::start(|request, _| good(request)).await;
    let entry = json!({
        "name": "aws", "account": ACCOUNT,
        "endpoints": {"cost_explorer": fake.endpoint, "sts": fake.endpoint},
    });
    let none = [("SSL_CERT_FILE", "/nonexistent/ca.pem"), KEYS[0], KEYS[1]];
    let outcome = poll_in_a_child(entry, &none).await;
    assert!(outcome.starts_with("config ") && outcome.contains("`SSL_CERT_FILE`"), "{outcome}");
}

#[tokio::test]
async fn no_credentials_at_all_is_an_auth_error() {
    let fake = Fake::start(|request, _| good(request)).await;
    let entry = json!({
        "name": "aws", "account": ACCOUNT,
        "endpoints": {"cost_explorer": fake.endpoint, "sts": fake.endpoint},
    });
    let outcome = poll_in_a_child(entry, &[]).await;
    assert!(outcome.starts_with("auth failed to load credentials"), "{outcome}");
}

#[tokio::test]
async fn line_break_in_the_pod_identity_token_is_pointed_out() {
    let fake = Fake::start(|_, _| Answer::Never).await;
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "pod-identity-token\n").unwrap();
    let entry = json!({
        "name": "aws", "account": ACCOUNT,
        "endpoints": {"cost_explorer": fake.endpoint, "sts": fake.endpoint},
    });
    let address = format!("{}/v1/credentials", fake.endpoint);
    let environment = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", address.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.path().to_str().unwrap()),
    ];
    let outcome = poll_in_a_child(entry, &environment).await;
    assert!(outcome.starts_with("auth ") && outcome.contains("line break"), "{outcome}");
    assert!(!outcome.contains("pod-identity-token"), "{outcome}");
}

#[tokio::test]
async fn configured_profile_wins_over_keys_of_the_environment() {
    let fake = Fake::start(|request, _| good(request)).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let profile = "[billing]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = secret\n";
    std::fs::write(file.path(), profile).unwrap();
    let entry = json!({
        "name": "aws", "account": ACCOUNT,
        "credentials": {"profile": "billing"},
        "endpoints": {"cost_explorer": fake.endpoint, "sts": fake.endpoint},
    });
    let file = file.path().to_str().unwrap();
    let environment = [("AWS_SHARED_CREDENTIALS_FILE", file), KEYS[0], KEYS[1]];
    assert_eq!(poll_in_a_child(entry, &environment).await, "read 4");
    for request in fake.seen("GetCostAndUsage") {
        assert!(request.authorization.contains("Credential=AKIAPROFILE/"), "{request:?}");
    }
}
