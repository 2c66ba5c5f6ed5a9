//! Health, JSON and the bearer token, as clients meet them.

use costband::config::secret::SecretRef;
use reqwest::StatusCode;
use serde_json::Value;

use super::peers::{peer, script};
use super::world::{HOSTILE, Shown, snapshot};

const DOCUMENTS: [&str; 8] = [
    "/api/v1/bands",
    "/api/v1/forecast",
    "/api/v1/forecast/history",
    "/api/v1/anomalies",
    "/api/v1/spend",
    "/api/v1/sources",
    "/api/v1/gpu",
    "/api/v1/alerts",
];

#[tokio::test]
async fn readiness_follows_the_first_snapshot_and_never_the_age_of_a_bill() {
    let shown = Shown::empty(None).await;
    assert_eq!(shown.get("/healthz", &[]).await.status(), StatusCode::OK);
    let early = shown.get("/readyz", &[]).await;
    assert_eq!(early.status(), StatusCode::SERVICE_UNAVAILABLE);
    let reason = early.text().await.unwrap();
    assert_eq!(reason, "not ready: the first snapshot is not published yet\n");
    for path in DOCUMENTS {
        let early = shown.get(path, &[]).await;
        assert_eq!(early.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        let body: Value = early.json().await.unwrap();
        assert_eq!(body["error"], "the first snapshot is not published yet");
    }
    let early = shown.text("/metrics").await;
    assert!(early.contains("costband_build_info") && !early.contains("costband_billed_cost"));
    assert!(shown.text("/").await.contains("The first reading is under way."));

    // The sources of the snapshot fail, or were last read years ago.
    shown.publish(snapshot());
    let ready = shown.get("/readyz", &[]).await;
    assert_eq!((ready.status(), ready.text().await.unwrap().as_str()), (StatusCode::OK, "ready\n"));
    shown.readiness.stopping();
    let stopping = shown.get("/readyz", &[]).await;
    assert_eq!(stopping.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(shown.get("/healthz", &[]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn what_is_not_there_is_404_and_nothing_can_be_changed() {
    let shown = Shown::start().await;
    let lost = shown.get("/api/v2/bands", &[]).await;
    assert_eq!(lost.status(), StatusCode::NOT_FOUND);
    assert!(lost.text().await.unwrap().contains("/api/v1/openapi.json"));
    let client = reqwest::Client::new();
    for path in ["/", "/metrics", "/api/v1/bands"] {
        let answer = client.post(format!("{}{path}", shown.url)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
}

#[tokio::test]
async fn json_tells_exact_amounts_and_leaves_unknown_ones_out() {
    let shown = Shown::start().await;
    let get = async |path: &str| shown.get(path, &[]).await.json::<Value>().await.unwrap();
    let bands = get("/api/v1/bands").await;
    assert_eq!(bands["as_of"], "2025-10-16T12:00:00Z");
    let [aws, dark, previous] = [0, 1, 2].map(|index| &bands["bands"][index]);
    assert_eq!(aws["spend"], "41120.4750000001");
    assert_eq!(aws["run_rate"], "84143.41");
    let days = aws["days"].as_array().unwrap();
    assert_eq!(
        (days.len(), &days[0]["day"], &days[0]["total"]),
        (15, &"2025-10-01".into(), &"2700".into())
    );
    let last = serde_json::json!({"day": "2025-10-15", "spend": "3120.2250000001",
        "total": "41120.4750000001", "completeness": "provisional"});
    assert_eq!((&days[13]["completeness"], &days[14]), (&"complete".into(), &last));
    assert_eq!(dark["days"], serde_json::json!([]), "what is not known has no days");
    assert_eq!(aws["views"]["actual"]["status"], "below");
    assert_eq!(dark["band"], HOSTILE);
    for key in ["spend", "run_rate", "complete_spend", "ceiling_used_ratio", "data_as_of"] {
        assert!(dark.get(key).is_none(), "{key}: {dark}");
    }
    assert_eq!((&previous["period"], &previous["is_final"]), (&"2025-09".into(), &true.into()));

    let forecast = get("/api/v1/forecast").await;
    let told = forecast["bands"].as_array().unwrap();
    assert_eq!(told.len(), 1, "what is final or unknown has none");
    assert_eq!(told[0]["quantiles"][3]["amount"], "90000");
    assert_eq!(told[0]["crossing_p80"], "2025-10-30");
    assert!(told[0].get("crossing_p50").is_none(), "{forecast}");
    let path = told[0]["path"].as_array().unwrap();
    assert_eq!((path.len(), &path[0]["day"]), (17, &"2025-10-15".into()));
    assert_eq!(path[0]["amounts"][3], "41059.06");
    let end: Vec<&Value> =
        told[0]["quantiles"].as_array().unwrap().iter().map(|of| &of["amount"]).collect();
    assert_eq!(path[16]["amounts"].as_array().unwrap().iter().collect::<Vec<_>>(), end);

    let series = forecast["series"].as_array().unwrap();
    assert_eq!((series.len(), &series[0]["source"]), (4, &"aws-main".into()));
    assert!(series[0].get("dimension").is_none(), "the whole source first");
    assert_eq!(series[0]["quantiles"].as_array().unwrap().len(), 7);
    let new = series.iter().find(|of| of["key"] == "new").unwrap();
    assert!(new.get("quantiles").is_none() && new["reason"].is_string(), "{new}");

    let history = get("/api/v1/forecast/history").await;
    let of = |index: usize| &history["bands"][index];
    assert_eq!((&of(0)["band"], &of(0)["period_label"]), (&"aws".into(), &"current".into()));
    let open = serde_json::json!([
        {"made_from": "2025-10-12", "currency": "USD", "expected": "85000",
         "interval_80": ["81000", "89000"],
         "probability_above_ceiling": 0.25, "probability_below_floor": 0.0},
        {"made_from": "2025-10-14", "told_at": "2025-10-16T12:00:00Z", "currency": "USD",
         "expected": "86000.123456", "interval_80": ["82000.123456", "90000.123456"],
         "probability_above_ceiling": 0.25, "probability_below_floor": 0.0},
    ]);
    assert_eq!(of(0)["forecasts"], open);
    assert_eq!((&of(1)["band"], &of(1)["forecasts"]), (&HOSTILE.into(), &serde_json::json!([])));
    assert_eq!(
        (&of(2)["period"], of(2)["forecasts"].as_array().unwrap().len()),
        (&"2025-09".into(), 3)
    );

    let stood_out = get("/api/v1/anomalies").await;
    let told = stood_out["anomalies"].as_array().unwrap();
    let whole = told.iter().find(|of| of.get("dimension").is_none()).unwrap();
    assert_eq!((&whole["kind"], &whole["first"]), (&"spike".into(), &"2025-10-11".into()));
    assert_eq!((&whole["cause"]["key"], &whole["cause"]["share"]), (&HOSTILE.into(), &1.0.into()));
    assert!(told.iter().all(|of| of["key"] != "other"), "{stood_out}");
    let change = &stood_out["changes"][0];
    assert_eq!((&change["to"], &change["before"]), (&"2025-10-14".into(), &"708".into()));
    assert_eq!(change["along"][0]["parts"][0]["key"], HOSTILE);

    let spend = get("/api/v1/spend").await;
    let (aws, gcp) = (&spend["sources"][0], &spend["sources"][1]);
    let current = &aws["periods"][0];
    assert_eq!(current["totals"][0]["effective_cost"], "41120.4750000001");
    let accounts = current["by"]["sub_account_id"].as_array().unwrap();
    assert_eq!((accounts.len(), &accounts[1]["name"]), (2, &HOSTILE.into()));
    // The JSON folds nothing.
    assert_eq!(current["by"]["service_name"].as_array().unwrap().len(), 5);
    let euro = &gcp["periods"][0]["totals"];
    let euro = euro.as_array().unwrap().iter().find(|sum| sum["currency"] == "EUR").unwrap();
    assert_eq!(euro["billed_cost"], "182.225000001");
    assert!(euro.get("effective_cost").is_none(), "{euro}");

    let sources = get("/api/v1/sources").await;
    assert_eq!(sources["sources"][1]["error_kind"], "forbidden");
    assert!(sources["sources"][2].get("up").is_none(), "{sources}");
    let gpus = get("/api/v1/gpu").await;
    assert_eq!(gpus["sources"][0]["gpus"][0]["utilization_ratio"], 0.95);
    assert!(gpus["sources"][1]["gpus"][0].get("utilization_ratio").is_none(), "{gpus}");
}

#[tokio::test]
async fn a_range_of_days_tells_pods_and_folds_what_is_past_the_limit() {
    let shown = Shown::start().await;
    let told = shown.text("/api/v1/gpu/range?from=2025-10-01&to=2025-11-01").await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["from"], &told["to"]), (&"2025-10-01".into(), &"2025-11-01".into()));
    assert_eq!(told["clusters"][0]["states"]["held_idle"], "344");
    let pods = told["pods"].as_array().unwrap();
    assert_eq!(pods.len(), 1_001);
    assert_eq!(pods[0]["pod_name"], format!("{HOSTILE}-1002"));
    assert_eq!(
        (&pods[1_000]["pod_name"], &pods[1_000]["cost"]),
        (&"__other__".into(), &"3".into())
    );
    assert_eq!(pods[1_000]["gpu_hours"]["held_idle"], "2");

    for query in [
        "",
        "?from=2025-10-01",
        "?from=2025-10-32&to=2025-11-01",
        "?from=2025-11-01&to=2025-10-01",
        "?from=2025-11-01&to=2025-11-01",
        "?from=2020-01-01&to=2025-11-01",
        "?from=2025-10-01&to=2025-11-01&cluster=a",
    ] {
        let refused = shown.get(&format!("/api/v1/gpu/range{query}"), &[]).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{query}");
        let body: Value = refused.json().await.unwrap();
        assert!(body["error"].as_str().unwrap().contains("?from=2026-10-01"), "{query} {body}");
    }
}

#[tokio::test]
async fn spend_by_day_tells_its_series_and_refuses_what_it_cannot_answer() {
    let shown = Shown::start().await;
    let days = "&from=2025-10-01&to=2025-11-01";
    let get = async |query: &str| {
        let answer = shown.get(&format!("/api/v1/spend/days?{query}"), &[]).await;
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    let by = format!("source=aws-main{days}&by=sub_account_id&service_name=AmazonEC2");
    let (status, told) = get(&by).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&told["from"], &told["to"]), (&"2025-10-01".into(), &"2025-11-01".into()));
    assert_eq!((&told["by"], &told["folded"]), (&"sub_account_id".into(), &3.into()));
    let filter = serde_json::json!([{"dimension": "service_name", "key": "AmazonEC2"}]);
    assert_eq!(told["filters"], filter);
    assert_eq!(told["days"][1]["completeness"], "provisional");
    let series = told["series"].as_array().unwrap();
    let keys: Vec<&Value> = series.iter().map(|one| &one["key"]).collect();
    assert_eq!(keys, ["111122223333", "", "__other__"]);
    assert_eq!((&series[0]["name"], &series[0]["billed_cost"]), (&HOSTILE.into(), &"4.5".into()));
    assert!(series[0].get("effective_cost").is_none(), "a part of it is not known: {told}");
    let wanted = serde_json::json!([
        {"day": "2025-10-14", "billed_cost": "1.5", "effective_cost": "1.25"},
        {"day": "2025-10-15", "billed_cost": "3"},
    ]);
    assert_eq!(series[0]["days"], wanted);
    let (_, whole) = get(&format!("source=aws-main{days}")).await;
    assert!(whole["series"][0].get("key").is_none() && whole.get("by").is_none(), "{whole}");

    for (query, wanted, word) in [
        ("source=aws-main".to_owned(), StatusCode::BAD_REQUEST, "?source="),
        (days.to_owned(), StatusCode::BAD_REQUEST, "?source="),
        (format!("source=aws-main{days}&by=sku"), StatusCode::BAD_REQUEST, "`by` is"),
        (format!("source=aws-main{days}&account=1"), StatusCode::BAD_REQUEST, "?source="),
        (format!("source=aws-main{days}&region_id=a&region_id=b"), StatusCode::BAD_REQUEST, "want"),
        (
            "source=aws-main&from=2025-11-01&to=2025-11-01".to_owned(),
            StatusCode::BAD_REQUEST,
            "400",
        ),
        (
            "source=aws-main&from=2024-09-01&to=2025-11-01".to_owned(),
            StatusCode::BAD_REQUEST,
            "400",
        ),
        (format!("source=lost{days}"), StatusCode::NOT_FOUND, "`aws-main`"),
        (
            format!("source=aws-main{days}&by=region_id&service_name=a"),
            StatusCode::NOT_FOUND,
            "together",
        ),
        (format!("source=busy{days}"), StatusCode::TOO_MANY_REQUESTS, "again"),
        (format!("source=broken{days}"), StatusCode::INTERNAL_SERVER_ERROR, "see the log"),
    ] {
        let (status, body) = get(&query).await;
        assert_eq!(status, wanted, "{query} {body}");
        let error = body["error"].as_str().unwrap();
        assert!(error.contains(word) && !error.contains("/var/lib"), "{query} {body}");
        let tells = serde_json::json!([["service_name", "sub_account_id"], ["region_id"]]);
        assert!(word != "together" || body["tells"] == tells, "{body}");
    }
}

#[tokio::test]
async fn openapi_describes_every_answer() {
    let Some(python) = peer("COSTBAND_PEERS_PYTHON") else { return };
    let shown = Shown::start().await;
    let told = script(&python, "openapi.py", &[&shown.url]).await;
    for path in DOCUMENTS.into_iter().chain([
        "/api/v1/gpu/range",
        "/api/v1/spend/days",
        "/api/v1/nodes/{name}",
        "/api/v1/alerts/history",
        "/api/v1/silences",
    ]) {
        assert!(told.contains(&format!("{path} ok")), "{told}");
    }
}

#[tokio::test]
async fn without_the_token_nothing_but_health_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let secret = "t0ken-of-the-scraper";
    std::fs::write(&path, format!("{secret}\n")).unwrap();
    let shown = Shown::empty(Some(SecretRef { file: Some(path.clone()), env: None })).await;
    shown.publish(snapshot());
    let guarded = ["/", "/metrics", "/api/v1/openapi.json"];
    let mut answers = Vec::new();
    for path in guarded.iter().chain(&DOCUMENTS) {
        for wrong in
            [None, Some("Bearer wrong"), Some(secret), Some("Bearer "), Some("Basic dDprZW4=")]
        {
            let headers: Vec<(&str, &str)> =
                wrong.iter().map(|value| ("authorization", *value)).collect();
            let answer = shown.get(path, &headers).await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path} {wrong:?}");
            assert_eq!(answer.headers()["www-authenticate"], "Bearer");
            answers.push(format!("{:?}{}", answer.headers().clone(), answer.text().await.unwrap()));
        }
        let right = format!("Bearer {secret}");
        let answer = shown.get(path, &[("authorization", &right)]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answers.push(format!("{:?}{}", answer.headers().clone(), answer.text().await.unwrap()));
    }
    for path in ["/healthz", "/readyz"] {
        let answer = shown.get(path, &[]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answers.push(answer.text().await.unwrap());
    }
    assert!(answers.iter().all(|answer| !answer.contains(secret)));

    // A token that was rotated is taken at once; one that cannot be read lets nobody in.
    std::fs::write(&path, "another\n").unwrap();
    let answer = shown.get("/metrics", &[("authorization", "Bearer another")]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    std::fs::remove_file(&path).unwrap();
    let answer = shown.get("/metrics", &[("authorization", "Bearer another")]).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.text().await.unwrap(), "the bearer token cannot be read\n");
}
