//! What each answer means: taken, tried again, or dropped. The same for every receiver.

use std::time::Duration;

use costband::domain::notice::Takes;
use costband::notify::{DeliveryError, RECEIVERS};

use super::notices::{now, one};
use super::servers::{Answer, Mail, http, mail};
use super::{SECRET, SIGNING, kinds, receiver};

fn holds_no_secret(error: &DeliveryError, port: u16) {
    let told = format!("{error} {error:?}");
    let port = port.to_string();
    for secret in [SECRET, SIGNING, "whsec_", "/hook", port.as_str()] {
        assert!(!told.contains(secret), "`{secret}` in `{told}`");
    }
}

fn http_kinds() -> impl Iterator<Item = &'static str> {
    kinds().filter(|kind| *kind != "email")
}

/// Whether it is tried again, and after how long at least.
async fn outcome(kind: &str, scheme: &str, answer: Answer) -> Result<(), (bool, Option<Duration>)> {
    let folder = tempfile::tempdir().unwrap();
    let (port, _) = http(answer).await;
    let receiver = receiver(kind, scheme, port, folder.path(), "en");
    let told = receiver.deliver("id-1", &one(), now()).await;
    told.map_err(|error| {
        holds_no_secret(&error, port);
        (error.is_temporary, error.retry_after)
    })
}

const IN_SEVEN_SECONDS: &str = "date: Fri, 20 Nov 2026 09:30:00 GMT\r\n\
                                retry-after: Fri, 20 Nov 2026 09:30:07 GMT\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_routing_key_waits_for_the_right_one_and_a_wrong_event_does_not() {
    for (body, is_temporary) in [
        (r#"{"status": "invalid event", "errors": ["Invalid routing key"]}"#, true),
        (r#"{"errors": ["'routing_key' is missing or blank"]}"#, true),
        (r#"{"errors": ["'payload.severity' is invalid"]}"#, false),
        (r#"{"errors": ["Invalid routing key", "'payload.severity' is invalid"]}"#, false),
        (r#"{"message": "no"}"#, true),
        ("<html>", true),
    ] {
        let told = outcome("pagerduty", "http", Answer::Status(400, "", body)).await;
        assert_eq!(told, Err((is_temporary, None)), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_refused_keeps_no_mail_from_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let (port, taken) = mail(Mail::RefusesOne).await;
    let receiver = receiver("email", "http", port, folder.path(), "en");
    receiver.deliver("id-1", &one(), now()).await.unwrap();
    let taken = taken.lock().unwrap();
    let [(heard, mail)] = taken.as_slice() else { panic!("{} mails", taken.len()) };
    assert!(heard.contains("RCPT TO:<team@example.com>") && !heard.contains("ops@"), "{heard}");
    assert!(mail.contains("To: ops@example.com"), "{mail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_every_receiver_mean_the_same() {
    const AGAIN: Result<(), (bool, Option<Duration>)> = Err((true, None));
    const DROPPED: Result<(), (bool, Option<Duration>)> = Err((false, None));
    let seven = Err((true, Some(Duration::from_secs(7))));
    for kind in http_kinds() {
        let status = |status| Answer::Status(status, "", "");
        for (answer, wanted) in [
            (status(200), Ok(())),
            (status(202), Ok(())),
            (status(204), Ok(())),
            // PagerDuty's says why in its body.
            (status(400), if kind == "pagerduty" { AGAIN } else { DROPPED }),
            (status(401), AGAIN),
            (status(403), AGAIN),
            (status(404), AGAIN),
            (status(410), DROPPED),
            (status(413), DROPPED),
            (status(429), AGAIN),
            (Answer::Status(429, "retry-after: 7\r\n", ""), seven),
            (Answer::Status(429, "", r#"{"retry_after": 7.0}"#), seven),
            (Answer::Status(503, IN_SEVEN_SECONDS, ""), seven),
            (Answer::Status(503, "retry-after: soon\r\n", ""), AGAIN),
            (status(500), AGAIN),
            (status(503), AGAIN),
            // A redirect is never followed: it would carry the message to another host.
            (Answer::Status(307, "location: http://127.0.0.1:9/\r\n", ""), AGAIN),
            (Answer::Reset, AGAIN),
            (Answer::Silence, AGAIN),
        ] {
            assert_eq!(outcome(kind, "http", answer).await, wanted, "{kind}: {answer:?}");
        }
        // A server that speaks no TLS.
        assert_eq!(outcome(kind, "https", status(200)).await, AGAIN, "{kind}: TLS");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_a_mail_server_mean_what_they_say() {
    for (answer, scheme, wanted) in [
        (Mail::Takes, "http", Ok(())),
        (Mail::Busy, "http", Err(true)),
        (Mail::RefusesLogin, "http", Err(true)),
        (Mail::RefusesRecipient, "http", Err(true)),
        (Mail::DefersRecipient, "http", Err(true)),
        (Mail::RefusesContent, "http", Err(true)),
        (Mail::DropsAfterData, "http", Err(true)),
        (Mail::Silence, "http", Err(true)),
        // No STARTTLS is offered, and nothing is told in the clear.
        (Mail::Takes, "https", Err(true)),
        (Mail::BreaksTls, "https", Err(true)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (port, taken) = mail(answer).await;
        let receiver = receiver("email", scheme, port, folder.path(), "en");
        let told = receiver.deliver("id-1", &one(), now()).await;
        let told = told.map_err(|error| {
            holds_no_secret(&error, port);
            error.is_temporary
        });
        assert_eq!(told, wanted, "{answer:?} {scheme}");
        if scheme == "https" {
            assert!(taken.lock().unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn secrets_are_read_at_each_delivery() {
    for kind in http_kinds().filter(|kind| *kind != "alertmanager" && *kind != "pagerduty") {
        let folder = tempfile::tempdir().unwrap();
        let (port, taken) = http(Answer::Status(200, "", "")).await;
        let receiver = receiver(kind, "http", port, folder.path(), "en");
        receiver.deliver("a", &one(), now()).await.unwrap();
        let url = folder.path().join(format!("{kind}-url"));
        std::fs::write(&url, format!("http://127.0.0.1:{port}/rotated\n")).unwrap();
        receiver.deliver("b", &one(), now()).await.unwrap();
        std::fs::remove_file(&url).unwrap();
        let error = receiver.deliver("c", &one(), now()).await.unwrap_err();
        assert!(error.is_temporary, "{error}");
        let taken = taken.lock().unwrap();
        let paths: Vec<&str> =
            taken.iter().map(|(head, _)| head.split(' ').nth(1).unwrap()).collect();
        assert_eq!(paths, [format!("/hook/{SECRET}").as_str(), "/rotated"], "{kind}");
    }
}

#[tokio::test]
async fn only_kinds_that_take_a_heartbeat_send_one() {
    for kind in RECEIVERS {
        if kind.name == "email" {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let (port, taken) = http(Answer::Status(200, "", "")).await;
        let receiver = receiver(kind.name, "http", port, folder.path(), "en");
        let beat = receiver.beat(Duration::from_secs(60), now()).await;
        assert_eq!((beat.is_ok(), taken.lock().unwrap().len()), (kind.beats, kind.beats.into()));
        let refreshes = receiver.refresh_every().is_some();
        assert_eq!(refreshes, kind.name == "alertmanager");
        assert_eq!(kind.takes == Takes::Alerts, ["alertmanager", "pagerduty"].contains(&kind.name));
    }
}
