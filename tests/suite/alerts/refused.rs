//! A message that its receiver refuses, and a receiver that refuses all: who waits for whom.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use costband::app::ledger::OutboxPort;
use costband::domain::alert::{AlertDetails, AlertKey, AlertPhase, AlertRule, Severity, Subject};
use costband::domain::alerting::Alerting;
use costband::domain::notice::{AlertNotice, Message, Notice, NoticeKind};
use costband::domain::ports::Clock;
use costband::outbox::Outbox;
use costband::store::{Ledger, LedgerHandle};
use costband::telemetry::self_metrics::SelfMetrics;
use jiff::SignedDuration;
use tokio::sync::watch;

use crate::clock::SetClock;
use crate::faces::peers::until;
use crate::notify::receiver;

const BEGIN: &str = "2026-11-20T12:00:00Z";

/// A server that refuses every message with a word in it, and notes the identities of all.
#[derive(Default)]
struct Hook {
    refuses: Mutex<Option<(&'static str, StatusCode)>>,
    refused: Mutex<Vec<String>>,
    taken: Mutex<Vec<String>>,
}

impl Hook {
    fn refuse(&self, which: Option<(&'static str, StatusCode)>) {
        *self.refuses.lock().unwrap() = which;
    }

    fn heard(&self) -> (Vec<String>, Vec<String>) {
        (self.refused.lock().unwrap().clone(), self.taken.lock().unwrap().clone())
    }
}

async fn serve(hook: Arc<Hook>) -> u16 {
    async fn hear(
        State(hook): State<Arc<Hook>>,
        headers: axum::http::HeaderMap,
        body: String,
    ) -> StatusCode {
        let id = headers["webhook-id"].to_str().unwrap().to_owned();
        match *hook.refuses.lock().unwrap() {
            Some((word, status)) if body.contains(word) => {
                hook.refused.lock().unwrap().push(id);
                status
            }
            _ => {
                hook.taken.lock().unwrap().push(id);
                StatusCode::OK
            }
        }
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().fallback(post(hear)).with_state(hook);
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

/// A message about bands.
fn message(name: &str, bands: &[&str]) -> Message {
    let at = BEGIN.parse().unwrap();
    let alert = |band: &&str| {
        let key = AlertKey::new(AlertRule::PaceFast).of(Subject::Band, *band);
        AlertNotice {
            id: key.id(),
            key,
            phase: AlertPhase::Firing,
            since: at,
            fired_at: Some(at),
            ended_at: None,
            end: None,
            acknowledged: None,
            details: AlertDetails::new(Severity::Warning),
        }
    };
    let alerts = bands.iter().map(alert).collect();
    Message {
        receiver: "to-webhook".to_owned(),
        dedupe_key: name.to_owned(),
        notice: Notice { kind: NoticeKind::Firing, at, alerts },
    }
}

struct Desk {
    hook: Arc<Hook>,
    clock: Arc<SetClock>,
    bell: watch::Sender<u64>,
    outbox: Outbox,
    _folder: tempfile::TempDir,
}

async fn desk(messages: &[Message]) -> Desk {
    let hook = Arc::new(Hook::default());
    let port = serve(hook.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(folder.path().join("refused.db").as_path()).unwrap();
    let clock = SetClock::at(BEGIN);
    ledger.change_alerts(&[], messages, clock.now()).unwrap();
    let receiver = receiver("webhook", "http", port, folder.path(), "en");
    let (bell, rung) = watch::channel(0);
    let outbox = Outbox {
        ledger: Arc::new(OutboxPort {
            ledger: LedgerHandle::spawn(ledger).unwrap(),
            alerting: Alerting::Agent,
        }),
        receivers: [(receiver.name().to_owned(), receiver)].into_iter().collect(),
        clock: clock.clone() as Arc<dyn Clock>,
        metrics: SelfMetrics::new(),
        bell: rung,
    };
    Desk { hook, clock, bell, outbox, _folder: folder }
}

#[tokio::test]
async fn a_message_that_is_refused_keeps_only_those_of_the_same_alerts_waiting() {
    let messages = [
        message("first", &["poison"]),
        message("second", &["aws"]),
        message("third", &["poison", "gcp"]),
        message("fourth", &["gcp"]),
        message("fifth", &["azure"]),
    ];
    let desk = desk(&messages).await;
    desk.hook.refuse(Some(("poison", StatusCode::NOT_FOUND)));
    for round in 1..=2 {
        desk.outbox.deliver_due().await;
        // The first is not due any more and is in the way all the same.
        desk.outbox.deliver_due().await;
        let (refused, taken) = desk.hook.heard();
        assert_eq!(refused, vec!["first"; round], "the third waits behind it");
        assert_eq!(taken, ["second", "fifth"], "the fourth waits behind the third");
        desk.clock.advance(SignedDuration::from_mins(1));
    }
    desk.hook.refuse(None);
    desk.clock.advance(SignedDuration::from_hours(1));
    desk.outbox.deliver_due().await;
    assert_eq!(desk.hook.heard().1, ["second", "fifth", "first", "third", "fourth"]);
}

#[tokio::test]
async fn a_receiver_that_refuses_several_is_left_alone_and_then_asked_for_one() {
    let bands = ["one", "two", "three", "four", "five"];
    let messages: Vec<Message> = bands.iter().map(|band| message(band, &[band])).collect();
    let Desk { hook, clock, bell, outbox, _folder } = desk(&messages).await;
    hook.refuse(Some(("", StatusCode::INTERNAL_SERVER_ERROR)));
    let running = tokio::spawn(outbox.run_until(std::future::pending()));
    let refused = |wanted: usize| {
        let hook = hook.clone();
        async move {
            until("refusals", async || (hook.heard().0.len() >= wanted).then_some(())).await;
        }
    };
    refused(3).await;
    // What is due is not asked for; it would be heard of before what follows.
    bell.send_modify(|rung| *rung += 1);
    // Now one alone is: the first that was not tried. It is refused, and the rest is twice as long.
    until("the probe", async || {
        clock.advance(SignedDuration::from_secs(1));
        bell.send_modify(|rung| *rung += 1);
        (hook.heard().0.len() >= 4).then_some(())
    })
    .await;
    assert_eq!(hook.heard().0[..4], ["one", "two", "three", "four"]);
    hook.refuse(None);
    clock.advance(SignedDuration::from_hours(1));
    bell.send_modify(|rung| *rung += 1);
    until("the others", async || (hook.heard().1.len() == 5).then_some(())).await;
    assert_eq!(hook.heard().1, ["five", "one", "two", "three", "four"], "the least tried first");
    running.abort();
}
