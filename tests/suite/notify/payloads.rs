//! What goes over the wire, held against golden files and each service's limits.
//! `UPDATE_GOLDEN=1` writes the files anew.

use std::path::Path;

use costband::domain::alert::{AlertEnd, Severity};
use costband::domain::notice::NoticeKind;
use serde_json::Value;

use super::notices::{all, now};
use super::servers::{Answer, Mail, http, mail};
use super::{SECRET, kinds, receiver};

/// What a receiver sends for a message.
async fn sent(
    kind: &str,
    language: &str,
    notice: &costband::domain::notice::Notice,
) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let (port, taken) = match kind {
        "email" => mail(Mail::Takes).await,
        _ => http(Answer::Status(200, "", "ok")).await,
    };
    let receiver = receiver(kind, "http", port, folder.path(), language);
    receiver.deliver("fixed-id", notice, now()).await.unwrap();
    let taken = taken.lock().unwrap();
    let mut bodies: Vec<String> = taken.iter().map(|(_, body)| body.clone()).collect();
    if kind == "email" {
        // One for each address, all of them the same.
        assert_eq!(bodies.len(), 2);
        bodies.dedup();
        assert_eq!(bodies.len(), 1);
    }
    bodies
}

fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/notify").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{name} differs; UPDATE_GOLDEN=1 writes it anew:\n{text}");
}

/// A mail without the word that parts it, which is made anew each time.
fn without_boundary(mail: &str) -> String {
    let start = mail.find("boundary=\"").unwrap() + "boundary=\"".len();
    let boundary = mail[start..].split('"').next().unwrap();
    mail.replace(boundary, "BOUNDARY").replace("\r\n", "\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_the_golden_ones() {
    for kind in kinds() {
        for language in ["en", "ko"] {
            for (case, notice) in all() {
                let bodies = sent(kind, language, &notice).await;
                let bodies: Vec<String> = match kind {
                    "email" => bodies.iter().map(|mail| without_boundary(mail)).collect(),
                    _ => bodies
                        .iter()
                        .map(|body| {
                            let value: Value = serde_json::from_str(body).unwrap();
                            serde_json::to_string_pretty(&value).unwrap() + "\n"
                        })
                        .collect(),
                };
                let end = if kind == "email" { "txt" } else { "json" };
                let text = bodies.concat().replace(SECRET, "SECRET");
                golden(&format!("{kind}-{language}-{case}.{end}"), &text);
            }
        }
    }
}

/// Whether each alert of a request fires, by its severity; and why it is over.
fn told(body: &str) -> Vec<(String, bool, Option<String>)> {
    let body: Value = serde_json::from_str(body).unwrap();
    let alerts = body.as_array().unwrap().iter().map(|alert| {
        let ends: jiff::Timestamp = alert["endsAt"].as_str().unwrap().parse().unwrap();
        let end = alert["annotations"]["end"].as_str().map(str::to_owned);
        (alert["labels"]["severity"].as_str().unwrap().to_owned(), ends > now(), end)
    });
    alerts.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_becomes_graver_ends_under_the_severity_of_before() {
    let folder = tempfile::tempdir().unwrap();
    let (port, taken) = http(Answer::Status(200, "", "")).await;
    let receiver = receiver("alertmanager", "http", port, folder.path(), "en");
    let mut notice = super::notices::one();
    let fires = |word: &str| (word.to_owned(), true, None);
    let changed = |word: &str| (word.to_owned(), false, Some("severity_changed".to_owned()));
    let mut seen = 0;
    let mut newest = || {
        let taken = taken.lock().unwrap();
        seen += 1;
        assert_eq!(taken.len(), seen);
        told(&taken.last().unwrap().1)
    };

    notice.alerts[0].details.severity = Severity::Warning;
    receiver.deliver("a", &notice, now()).await.unwrap();
    assert_eq!(newest(), [fires("warning")]);
    // Told again without a message, as a receiver is that forgets.
    notice.alerts[0].details.severity = Severity::Critical;
    receiver.refresh(&notice.alerts, now()).await.unwrap();
    assert_eq!(newest(), [changed("warning"), fires("critical")]);
    receiver.refresh(&notice.alerts, now()).await.unwrap();
    assert_eq!(newest(), [fires("critical")]);
    // It ends as what it was told as, whatever it has become.
    notice.alerts[0].details.severity = Severity::Info;
    notice.alerts[0].end = Some(AlertEnd::Cleared);
    notice.alerts[0].ended_at = Some(now());
    notice.kind = NoticeKind::Resolved;
    receiver.deliver("b", &notice, now()).await.unwrap();
    assert_eq!(newest(), [("critical".to_owned(), false, Some("cleared".to_owned()))]);
}

/// Every text of a value.
fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(parts) => parts.iter().for_each(|part| texts(part, found)),
        Value::Object(parts) => parts.values().for_each(|part| texts(part, found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_keep_to_each_services_limits_and_say_what_is_left_out() {
    let count = |text: &Value| text.as_str().unwrap().chars().count();
    for language in ["en", "ko"] {
        for (case, notice) in all() {
            let what = format!("{language} {case}");
            let one = async |kind: &str| {
                let bodies = sent(kind, language, &notice).await;
                (bodies[0].len(), serde_json::from_str::<Value>(&bodies[0]).unwrap())
            };
            let left_out = |value: &Value, shown: usize| {
                let mut found = Vec::new();
                texts(value, &mut found);
                let missing = notice.alerts.len() - shown;
                let said = found.iter().any(|text| {
                    let has = |word: &str| text.contains(word);
                    has(&missing.to_string()) && (has("not shown") || has("표시하지 않은"))
                });
                assert_eq!(said, missing > 0, "{what}: {shown} of {}", notice.alerts.len());
            };

            let (length, slack) = one("slack").await;
            assert!(length < 30_000 && slack.to_string().chars().count() <= 13_000, "{what}");
            assert!(count(&slack["blocks"][0]["text"]["text"]) <= 150, "{what}");
            let shown = slack["attachments"].as_array().unwrap();
            let blocks = |one: &Value| one["blocks"].as_array().unwrap().len();
            assert!(blocks(&slack) + shown.iter().map(blocks).sum::<usize>() <= 50, "{what}");
            for one in shown {
                assert!(count(&one["blocks"][0]["text"]["text"]) <= 3_000, "{what}");
            }
            left_out(&slack, shown.len());

            let (length, teams) = one("teams").await;
            assert!(length <= 28_000, "{what}: {length} bytes for Teams");
            let body = teams["attachments"][0]["content"]["body"].as_array().unwrap();
            left_out(&teams, body.iter().filter(|part| part["type"] == "Container").count());

            let (_, discord) = one("discord").await;
            let embeds = discord["embeds"].as_array().unwrap();
            assert!(embeds.len() <= 10 && count(&discord["content"]) <= 2_000, "{what}");
            assert_eq!(discord["allowed_mentions"]["parse"], serde_json::json!([]));
            let sizes = embeds.iter().map(|one| count(&one["title"]) + count(&one["description"]));
            assert!(sizes.sum::<usize>() <= 6_000, "{what}");
            left_out(&discord, embeds.len());

            let (length, pagerduty) = one("pagerduty").await;
            assert!(length <= 512 * 1024, "{what}");
            assert!(count(&pagerduty["payload"]["summary"]) <= 1_024, "{what}");
            assert!(count(&pagerduty["dedup_key"]) <= 255, "{what}");

            let (_, alertmanager) = one("alertmanager").await;
            for alert in alertmanager.as_array().unwrap() {
                let at =
                    |key: &str| alert[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
                assert!(at("startsAt") <= at("endsAt"), "{what}");
                for (name, value) in alert["labels"].as_object().unwrap() {
                    let number = value.as_str().unwrap().replace([',', ' '], "").parse::<f64>();
                    assert!(number.is_err(), "{what}: a number is the label {name}");
                }
            }
        }
    }
}
