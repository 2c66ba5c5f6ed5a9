//! `costband notify test` and `costband check`, as programs.

use std::process::Output;

use super::servers::{Answer, Mail, http, mail};
use super::{SECRET, SIGNING, configuration, entry, kinds};
use crate::faces::peers::costband;

async fn run(arguments: &[&str], text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("costband.yaml");
    std::fs::write(&path, text).unwrap();
    let mut command = costband();
    command.args(arguments).arg("-c").arg(&path).env("RUST_LOG", "trace");
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn told(output: &Output) -> String {
    let told = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    let told = told.concat();
    for secret in [SECRET, SIGNING, "whsec_", "/hook"] {
        assert!(!told.contains(secret), "`{secret}` is told:\n{told}");
    }
    told
}

/// All receivers, whose servers answer so.
async fn all(answer: Answer, of_mail: Mail, folder: &std::path::Path) -> String {
    let (port, _) = http(answer).await;
    let (mail_port, _) = mail(of_mail).await;
    let port_of = |kind: &str| if kind == "email" { mail_port } else { port };
    let entries = kinds().map(|kind| entry(kind, "http", port_of(kind), folder, ""));
    configuration(&entries.collect::<String>(), "en")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_takes_the_way_of_alerts_and_tells_who_took_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = all(Answer::Status(200, "", "ok"), Mail::Takes, folder.path()).await;
    let output = run(&["notify", "test"], &text).await;
    let lines = told(&output);
    assert_eq!(output.status.code(), Some(0), "{lines}");
    for kind in kinds() {
        assert!(lines.contains(&format!("ok      to-{kind}: took the test\n")), "{lines}");
    }
    let output = run(&["notify", "test", "to-slack"], &text).await;
    assert_eq!(told(&output).lines().filter(|line| line.starts_with("ok")).count(), 1);
    let output = run(&["notify", "test", "nobody"], &text).await;
    assert_eq!(output.status.code(), Some(64));
    assert!(told(&output).contains("there is no receiver `nobody`: want one of `to-"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_fails_tells_why_without_any_secret() {
    let folder = tempfile::tempdir().unwrap();
    let text = all(Answer::Status(403, "", SECRET), Mail::RefusesLogin, folder.path()).await;
    let output = run(&["notify", "test"], &text).await;
    let lines = told(&output);
    assert_eq!(output.status.code(), Some(1), "{lines}");
    for kind in kinds() {
        assert!(lines.contains(&format!("FAILED  to-{kind}: failed to deliver: ")), "{lines}");
    }
    assert!(lines.contains("7 of 7 receivers did not take the test"), "{lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_lists_every_receiver_and_asks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let entries: String = kinds().map(|kind| entry(kind, "http", 9, folder.path(), "")).collect();
    let heart = "heartbeat: {receivers: [to-alertmanager, to-webhook]}\n";
    let output = run(&["check"], &(configuration(&entries, "en") + heart)).await;
    let lines = told(&output);
    assert_eq!(output.status.code(), Some(0), "{lines}");
    for kind in kinds() {
        let line = format!("  to-{kind} ({kind}): told of every alert, and when it is over");
        assert!(lines.contains(&line), "{lines}");
    }
    let heart = "heartbeat: {receivers: [to-slack]}\n";
    let output = run(&["check"], &(configuration(&entries, "en") + heart)).await;
    assert_eq!(output.status.code(), Some(64));
    assert!(told(&output).contains("`heartbeat.receivers[0]`: `to-slack` takes no heartbeat"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_of_a_receiver_is_told_with_its_path() {
    for (entries, wanted) in [
        ("  webhooks: []\n", "`notify.webhooks`: was renamed: write `webhook`"),
        ("  slak: []\n", "`notify.slak`: is not a known key: did you mean `slack`?"),
        (
            "  slack: [{name: s, url_from: 'https://hooks.slack.com/s3cr3t-9f81c2d7'}]\n",
            "`notify.slack[0].url_from`: a secret is never written",
        ),
        (
            "  email: [{name: m, host: mail.example.com, tls: none, from: a@example.com, to: [b@example.com]}]\n",
            "`notify.email[0].tls`: `none` is for a server on the same machine",
        ),
        (
            "  email: [{name: m, host: mail.example.com, from: a@example.com, to: [nobody]}]\n",
            "`notify.email[0].to[0]`: is not a mail address",
        ),
        (
            "  alertmanager: [{name: a, urls: ['http://u:s3cr3t-9f81c2d7@am:9093']}]\n",
            "`notify.alertmanager[0].urls[0]`: holds a user or a password",
        ),
        (
            "  slack: [{name: s, url_from: {env: A}}, {name: s, url_from: {env: A}}]\n",
            "`notify.slack[1].name`: `s` is already the name at `notify.slack[0].name`",
        ),
    ] {
        let output = run(&["check"], &configuration(entries, "en")).await;
        let lines = told(&output);
        assert_eq!(output.status.code(), Some(64), "{lines}");
        assert!(lines.contains(wanted), "{lines}");
    }
}
