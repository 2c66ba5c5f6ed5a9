//! Alerts over HTTP: what is told, and what whoever bears the token may change.

use costband::config::secret::SecretRef;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::world::{HOSTILE, Shown, snapshot};

const TOKEN: &str = "t0ken-of-the-desk";

/// A face that asks for a token.
async fn guarded() -> (tempfile::TempDir, Shown) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, TOKEN).unwrap();
    let shown = Shown::empty(Some(SecretRef { file: Some(path), env: None })).await;
    shown.publish(snapshot());
    (folder, shown)
}

async fn ask(
    shown: &Shown,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> (StatusCode, Value) {
    let client = reqwest::Client::new();
    let mut request = client.request(method, format!("{}{path}", shown.url)).bearer_auth(TOKEN);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status();
    (status, answer.json().await.unwrap_or(Value::Null))
}

#[tokio::test]
async fn the_gravest_alert_that_fires_stands_first_with_its_figures() {
    let (_folder, shown) = guarded().await;
    let (status, told) = ask(&shown, Method::GET, "/api/v1/alerts", None).await;
    assert_eq!(status, StatusCode::OK);
    let rules: Vec<_> = told["alerts"].as_array().unwrap().iter().map(|one| &one["rule"]).collect();
    assert_eq!(rules, ["ceiling_forecast", "new_service"]);
    let first = &told["alerts"][0];
    assert_eq!(
        first["figures"],
        json!({
            "month_end": {"kind": "money", "value": "104200.5", "currency": "USD"},
            "probability": {"kind": "ratio", "value": "0.81"},
        })
    );
    assert_eq!((&first["period"], &first["subject"]), (&json!("2025-10"), &json!({"band": "aws"})));
    assert_eq!(told["alerts"][1]["causes"][0]["name"], HOSTILE);
}

#[tokio::test]
async fn an_alert_is_taken_and_given_back() {
    let (_folder, shown) = guarded().await;
    let (_, told) = ask(&shown, Method::GET, "/api/v1/alerts", None).await;
    let id = told["alerts"][0]["id"].as_str().unwrap();
    let path = format!("/api/v1/alerts/{id}/acknowledgement");
    let taken = json!({"by": " Jin Park ", "comment": "the new training run; ends on Friday"});
    let (status, answer) = ask(&shown, Method::POST, &path, Some(taken)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["acknowledged"]["by"], "Jin Park");
    let (status, answer) = ask(&shown, Method::DELETE, &path, None).await;
    assert_eq!((status, &answer["acknowledged"]), (StatusCode::OK, &Value::Null));
    let (_, history) = ask(&shown, Method::GET, "/api/v1/alerts/history?limit=1", None).await;
    assert_eq!(history["events"].as_array().unwrap().len(), 1);

    let nobody = "/api/v1/alerts/0123/acknowledgement";
    let by = json!({"by": "jin"});
    let (status, answer) = ask(&shown, Method::POST, nobody, Some(by.clone())).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(answer["error"].as_str().unwrap().contains("/api/v1/alerts"), "{answer}");
    for wrong in [
        json!({}),
        json!({"by": " "}),
        json!({"by": "a".repeat(101)}),
        json!({"by": "two\nlines"}),
        json!({"by": "jin", "until": "never"}),
    ] {
        let (status, answer) = ask(&shown, Method::POST, &path, Some(wrong.clone())).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
        assert!(answer["error"].is_string(), "{wrong}");
    }
}

#[tokio::test]
async fn a_silence_is_made_shown_and_ended() {
    let (_folder, shown) = guarded().await;
    let silence = json!({
        "matchers": {"rule": "ceiling_forecast", "subject": {"band": "aws"}},
        "duration": "2h",
        "created_by": "jin",
        "comment": "a move that was planned",
    });
    let (status, made) = ask(&shown, Method::POST, "/api/v1/silences", Some(silence.clone())).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(made["ends_at"], "2025-10-16T14:00:00Z");
    let (_, told) = ask(&shown, Method::GET, "/api/v1/alerts", None).await;
    assert_eq!(told["alerts"][0]["muted"], "silenced");
    assert_eq!(told["alerts"][1]["muted"], Value::Null);
    let (_, held) = ask(&shown, Method::GET, "/api/v1/silences", None).await;
    assert_eq!(held["silences"], json!([made]));
    let path = format!("/api/v1/silences/{}", made["id"].as_str().unwrap());
    let (status, _) = ask(&shown, Method::DELETE, &path, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, _) = ask(&shown, Method::DELETE, &path, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);

    let wrong = |key: &str, value: Value| {
        let mut wrong = silence.clone();
        wrong[key] = value;
        wrong
    };
    for (wrong, word) in [
        (wrong("matchers", json!({})), "without matchers"),
        (wrong("matchers", json!({"rule": "ceiling"})), "`ceiling` is no rule"),
        (wrong("matchers", json!({"subject": {"colour": "red"}})), "`colour`"),
        (wrong("duration", json!("soon")), "`duration`"),
        (wrong("duration", json!("400d")), "366 days"),
        (wrong("ends_at", json!("2025-10-17T00:00:00Z")), "one of"),
        (wrong("starts_at", json!("yesterday")), "`starts_at`"),
        (wrong("starts_at", json!("2025-10-16T01:00:00Z")), "after now"),
        (wrong("comment", json!("")), "`comment`"),
        (wrong("created_by", json!(7)), "the body"),
    ] {
        let (status, answer) =
            ask(&shown, Method::POST, "/api/v1/silences", Some(wrong.clone())).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
        assert!(answer["error"].as_str().unwrap().contains(word), "{answer}");
    }
}

#[tokio::test]
async fn without_a_token_nobody_changes_anything() {
    let open = Shown::start().await;
    let by = Some(json!({"by": "jin"}));
    let (status, answer) =
        ask(&open, Method::POST, "/api/v1/alerts/1/acknowledgement", by.clone()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(answer["error"].as_str().unwrap().contains("web.bearer_token"), "{answer}");
    for (method, path) in [
        (Method::POST, "/api/v1/silences"),
        (Method::DELETE, "/api/v1/silences/1"),
        (Method::DELETE, "/api/v1/alerts/1/acknowledgement"),
    ] {
        let (status, _) = ask(&open, method, path, Some(json!({}))).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
    }

    let (_folder, guarded) = guarded().await;
    let client = reqwest::Client::new();
    let url = format!("{}/api/v1/silences", guarded.url);
    let answer = client.post(url).bearer_auth("wrong").json(&json!({})).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}
