//! Query's wire by plain HTTP: sums, pages, scopes, filters, refusals, throttles, faults.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use costband::domain::breakdown::ChargeCategory;
use costband::domain::identity::Provider;
use costband::domain::money::Currency;
use costband::domain::ports::Clock;
use costband::simulate::azure::{AzureOptions, Throttle};
use costband::simulate::faults::Fault;
use costband::simulate::scenario::Scenario;
use jiff::civil::date;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::world::{IDLE, SERVING, Server, StandingClock, TRAINING, body, charge, decimal, told};

const MANAGEMENT_GROUP: &str = "providers/Microsoft.Management/managementGroups/gpu-fleet";

async fn small_pages() -> Server {
    Server::start(AzureOptions { page_size: 7, ..AzureOptions::default() }).await
}

fn sum(rows: &[Vec<String>]) -> Decimal {
    rows.iter().map(|row| decimal(&row[0])).sum()
}

#[tokio::test]
async fn every_page_of_a_daily_query_adds_up_to_the_charges() {
    let server = small_pages().await;
    let body = body("Daily", &["ServiceName", "SubscriptionId"]);
    let (columns, rows, pages) = server.rows(&server.account(), &body).await;
    assert_eq!(columns, ["Cost", "UsageDate", "ServiceName", "SubscriptionId", "Currency"]);
    assert_eq!(rows.len(), 45 * 8);
    assert_eq!(pages, rows.len().div_ceil(7));
    let mut expected: BTreeMap<Vec<String>, Decimal> = BTreeMap::new();
    for charge in told(&server.charges) {
        let key = vec![
            charge.day.strftime("%Y%m%d").to_string(),
            charge.service_name.clone(),
            charge.sub_account_id.clone(),
            "USD".to_owned(),
        ];
        *expected.entry(key).or_default() += charge.billed;
    }
    let found: BTreeMap<Vec<String>, Decimal> =
        rows.iter().map(|row| (row[1..].to_vec(), decimal(&row[0]))).collect();
    assert_eq!(found, expected);
    assert!(rows.iter().any(|row| row[0].contains("E-")), "a small amount has an exponent");
}

#[tokio::test]
async fn ungrouped_total_equals_every_grouping_of_it() {
    let server = small_pages().await;
    let account = server.account();
    let (columns, rows, _) = server.rows(&account, &body("None", &[])).await;
    assert_eq!(columns, ["Cost", "Currency"]);
    let total: Decimal = told(&server.charges).iter().map(|charge| charge.billed).sum();
    assert_eq!(rows, [[total.to_string(), "USD".to_owned()]]);
    for groups in [
        &["ServiceName", "ResourceLocation"][..],
        &["ChargeType", "PublisherType"],
        &["Meter", "MeterSubCategory"],
        &["MeterCategory", "ResourceGroupName"],
        &["SubscriptionName"],
    ] {
        let (_, rows, _) = server.rows(&account, &body("Monthly", groups)).await;
        assert_eq!(sum(&rows), total, "{groups:?}");
    }
}

#[tokio::test]
async fn scenarios_month_is_told_to_the_last_decimal() {
    let scenario = Arc::new(Scenario::new(7, Arc::new(StandingClock)));
    let now = StandingClock.now();
    let truth = scenario.truth(Provider::Azure, "2026-10".parse().unwrap(), now);
    let server = Server::of(scenario, Arc::default(), AzureOptions::default()).await;
    let mut body = body("None", &[]);
    body["timeframe"] = json!("TheLastMonth");
    body["dataset"]["filter"] = json!({"dimensions":
        {"name": "ChargeType", "operator": "In", "values": ["Usage", "UnusedReservation", "Purchase"]}});
    let (_, rows, _) = server.rows(&server.account(), &body).await;
    assert_eq!(sum(&rows), truth.spend_billed);
    body["type"] = json!("AmortizedCost");
    let (_, rows, _) = server.rows(&server.account(), &body).await;
    assert_eq!(sum(&rows), truth.spend_effective);
}

#[tokio::test]
async fn amortized_cost_quantity_and_months_are_told() {
    let server = small_pages().await;
    let mut body = body("Monthly", &[]);
    body["type"] = json!("AmortizedCost");
    body["dataset"]["aggregation"] = json!({
        "a": {"name": "PreTaxCost", "function": "Sum"},
        "b": {"name": "UsageQuantity", "function": "Sum"},
    });
    let (columns, rows, _) = server.rows(MANAGEMENT_GROUP, &body).await;
    assert_eq!(columns, ["PreTaxCost", "UsageQuantity", "BillingMonth", "Currency"]);
    let of = |month: i8| -> Decimal {
        let told = told(&server.charges);
        let month = told.iter().filter(|charge| charge.day.month() == month);
        month.map(|charge| charge.effective).sum()
    };
    let (october, november) = (&rows[0], &rows[1]);
    assert_eq!((decimal(&october[0]), &*october[2]), (of(10), "2026-10-01T00:00:00"));
    assert_eq!((decimal(&november[0]), &*november[2]), (of(11), "2026-11-01T00:00:00"));
    assert_eq!(decimal(&october[1]), decimal("24.5") * Decimal::from(31 * 8));
}

#[tokio::test]
async fn cost_in_dollars_is_converted_and_currencies_stay_apart() {
    let day = date(2026, 11, 3);
    let mut euros = charge(day, TRAINING, "Storage", decimal("92"));
    euros.currency = "EUR".parse::<Currency>().unwrap();
    euros.per_usd = Some(decimal("0.92"));
    let dollars = charge(day, TRAINING, "Storage", decimal("7.5"));
    let server = Server::over(vec![euros, dollars], AzureOptions::default()).await;
    let mut body = body("Daily", &[]);
    body["dataset"]["aggregation"]["usd"] = json!({"name": "CostUSD", "function": "Sum"});
    let (columns, rows, _) = server.rows(&format!("subscriptions/{TRAINING}"), &body).await;
    assert_eq!(columns, ["Cost", "CostUSD", "UsageDate", "Currency"]);
    assert_eq!(rows, [["92", "100", "20261103", "EUR"], ["7.5", "7.5", "20261103", "USD"]]);
}

#[tokio::test]
async fn scope_sees_its_own_charges_only() {
    let server = small_pages().await;
    for id in [TRAINING, SERVING] {
        // The doubled slash is what Microsoft's Python SDK sends.
        let (_, rows, _) = server.rows(&format!("/subscriptions/{id}"), &body("None", &[])).await;
        let own = |charge: &&&costband::simulate::charge::Charge| charge.sub_account_id == id;
        let expected: Decimal =
            told(&server.charges).iter().filter(own).map(|charge| charge.billed).sum();
        assert_eq!(sum(&rows), expected);
    }
    let group = format!("subscriptions/{TRAINING}/resourceGroups/rg-storage");
    let (_, rows, _) = server.rows(&group, &body("None", &["ResourceId"])).await;
    assert_eq!(rows.len(), 1);
    assert!(
        rows[0][1].starts_with(&format!("/subscriptions/{TRAINING}/resourcegroups/rg-storage/"))
    );
}

#[tokio::test]
async fn query_has_neither_tax_nor_credits_and_calls_corrections_refunds() {
    let server = small_pages().await;
    let (_, rows, _) = server.rows(&server.account(), &body("None", &["ChargeType"])).await;
    let kinds: Vec<&str> = rows.iter().map(|row| &*row[1]).collect();
    assert_eq!(kinds, ["Purchase", "Refund", "Usage"]);
    assert_eq!(decimal(&rows[1][0]), decimal("-33.333333333333"));
    assert!(server.charges.iter().any(|charge| charge.category == ChargeCategory::Tax));
}

#[tokio::test]
async fn filter_tree_narrows_the_query() {
    let server = small_pages().await;
    let mut body = body("None", &["ServiceName", "SubscriptionId"]);
    body["dataset"]["filter"] = json!({"and": [
        {"dimensions": {"name": "ChargeType", "operator": "In", "values": ["Usage"]}},
        {"or": [
            {"dimensions": {"name": "ServiceName", "operator": "In", "values": ["storage"]}},
            {"tags": {"name": "team", "operator": "In", "values": ["a"]}},
        ]},
        {"not": {"dimensions": {"name": "SubscriptionId", "operator": "In", "values": [SERVING]}}},
    ]});
    let (_, rows, _) = server.rows(&server.account(), &body).await;
    assert_eq!(rows.len(), 1);
    let told = told(&server.charges);
    let wanted = told
        .iter()
        .filter(|charge| charge.service_name == "Storage" && charge.sub_account_id == TRAINING);
    assert_eq!(decimal(&rows[0][0]), wanted.map(|charge| charge.billed).sum());
}

#[tokio::test]
async fn timeframes_and_inclusive_end_follow_the_worlds_clock() {
    let server = small_pages().await;
    let days = async |timeframe: &str| {
        let mut body = body("Daily", &[]);
        body["timeframe"] = json!(timeframe);
        let (_, rows, _) = server.rows(&server.account(), &body).await;
        (rows.first().unwrap()[1].clone(), rows.last().unwrap()[1].clone(), rows.len())
    };
    let expect = |first: &str, last: &str, count| (first.to_owned(), last.to_owned(), count);
    assert_eq!(days("MonthToDate").await, expect("20261101", "20261114", 14));
    assert_eq!(days("BillingMonthToDate").await, expect("20261101", "20261114", 14));
    assert_eq!(days("TheLastMonth").await, expect("20261001", "20261031", 31));
    assert_eq!(days("TheLastBillingMonth").await, expect("20261001", "20261031", 31));
    // The world's day is a Sunday, on which a week begins and nothing is billed yet.
    let mut week = body("Daily", &[]);
    week["timeframe"] = json!("WeekToDate");
    assert!(server.rows(&server.account(), &week).await.1.is_empty());
    let mut custom = body("Daily", &[]);
    custom["timePeriod"] =
        json!({"from": "2026-10-05T00:00:00+00:00", "to": "2026-10-07T00:00:00"});
    let (_, rows, _) = server.rows(&server.account(), &custom).await;
    let days: Vec<&str> = rows.iter().map(|row| &*row[1]).collect();
    assert_eq!(days, ["20261005", "20261006", "20261007"]);
}

#[tokio::test]
async fn next_link_wants_the_same_body_by_post() {
    let server = small_pages().await;
    let scope = server.account();
    let good = body("Daily", &["ServiceName"]);
    let first: Value = server.query(&scope, &good).await.json().await.unwrap();
    let next = first["properties"]["nextLink"].as_str().unwrap();
    assert!(next.starts_with(&server.base) && next.contains("$skiptoken="), "{next}");
    let get = server.client.get(next).bearer_auth(&server.token).send().await.unwrap();
    assert_eq!(get.status(), 405);
    let other = server.post(next, &body("Daily", &["ChargeType"])).send().await.unwrap();
    assert_eq!(other.status(), 400);
    let same = server.post(next, &good).send().await.unwrap();
    assert_eq!(same.status(), 200);
    let second: Value = same.json().await.unwrap();
    assert_ne!(second["properties"]["rows"], first["properties"]["rows"]);
    let top = server.query_url(&scope) + "&$top=5000";
    let whole: Value = server.post(&top, &good).send().await.unwrap().json().await.unwrap();
    assert!(whole["properties"]["nextLink"].is_null());
    assert_eq!(whole["properties"]["rows"].as_array().unwrap().len(), 45 * 4);
}

#[tokio::test]
async fn what_the_service_refuses_is_a_bad_request() {
    let server = small_pages().await;
    let refused = async |change: &dyn Fn(&mut Value)| {
        let mut body = body("None", &["ServiceName"]);
        change(&mut body);
        let response = server.query(MANAGEMENT_GROUP, &body).await;
        assert_eq!(response.status(), 400);
        let reply: Value = response.json().await.unwrap();
        assert_eq!(reply["error"]["code"], "BadRequest");
        reply["error"]["message"].as_str().unwrap().to_owned()
    };
    let group = |name: &str| json!([{"type": "Dimension", "name": name}]);
    let message = refused(&|body| body["dataset"]["grouping"] = group("Colour")).await;
    assert!(message.starts_with(
        "Invalid query definition: Invalid dataset grouping: 'Colour'; valid values: 'ResourceGroup',"
    ));
    let message = refused(&|body| body["dataset"]["grouping"] = group("ResourceId")).await;
    assert!(message.contains("Invalid dataset grouping: 'ResourceId'"), "{message}");
    let three = json!([{"type": "Dimension", "name": "Meter"}, {"type": "Dimension", "name": "MeterId"},
        {"type": "Dimension", "name": "ServiceName"}]);
    let message = refused(&|body| body["dataset"]["grouping"] = three.clone()).await;
    assert!(message.contains("at most 2 grouping"), "{message}");
    let sum = |name: &str| json!({"name": name, "function": "Sum"});
    let three = json!({"a": sum("Cost"), "b": sum("CostUSD"), "c": sum("UsageQuantity")});
    let message = refused(&|body| body["dataset"]["aggregation"] = three.clone()).await;
    assert!(message.contains("at most 2 aggregation"), "{message}");
    let message = refused(&|body| body["timePeriod"]["from"] = json!("2023-09-01T00:00:00Z")).await;
    assert!(message.contains("cannot exceed 1 year(s)"), "{message}");
    let message = refused(&|body| body["dataset"] = Value::Null).await;
    assert!(message.contains("Dataset is invalid or not supplied"), "{message}");
    let message = refused(&|body| body["timePeriod"] = Value::Null).await;
    assert!(message.contains("timePeriod must be supplied"), "{message}");
    let message = refused(&|body| body["type"] = json!("ListCost")).await;
    assert!(message.contains("Invalid type: 'ListCost'"), "{message}");
    let filter = json!({"dimensions": {"name": "Meter", "operator": "Contains", "values": ["x"]}});
    let message = refused(&|body| body["dataset"]["filter"] = filter.clone()).await;
    assert!(message.contains("filter operator: 'Contains'"), "{message}");
}

#[tokio::test]
async fn scope_without_charges_has_no_content_and_a_strange_one_is_refused() {
    let options = AzureOptions {
        empty_subscriptions: vec![(IDLE.to_owned(), "idle".to_owned())],
        ..AzureOptions::default()
    };
    let server = Server::start(options).await;
    let good = body("Daily", &[]);
    let empty = server.query(&format!("subscriptions/{IDLE}"), &good).await;
    assert_eq!((empty.status().as_u16(), empty.text().await.unwrap().len()), (204, 0));
    let mut future = good.clone();
    future["timePeriod"] = json!({"from": "2026-12-01", "to": "2026-12-02"});
    let reply: Value = server.query(&server.account(), &future).await.json().await.unwrap();
    assert_eq!(reply["properties"]["rows"], json!([]));
    for (scope, status, code) in [
        ("subscriptions/3d0f518b-c427-4069-9e31-804c9d5f6e04", 404, "SubscriptionNotFound"),
        ("providers/Microsoft.Management/managementGroups/other", 403, "RBACAccessDenied"),
        ("providers/Microsoft.Billing/billingAccounts/1", 403, "RBACAccessDenied"),
    ] {
        let response = server.query(scope, &good).await;
        assert_eq!(response.status(), status);
        let reply: Value = response.json().await.unwrap();
        assert_eq!(reply["error"]["code"], code);
    }
    let listed: Value = server
        .get("/subscriptions?api-version=2022-12-01")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let names: Vec<&str> = listed["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|told| told["displayName"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["training", "serving", "idle"]);
    let versionless = server.get("/subscriptions").send().await.unwrap();
    assert_eq!(versionless.status(), 400);
}

#[tokio::test]
async fn good_answers_carry_what_is_left_and_refusals_how_long_to_wait() {
    let options = AzureOptions { throttle: Some(Throttle::default()), ..AzureOptions::default() };
    let server = Server::start(options).await;
    let scope = server.account();
    // 61 days are two units.
    let response = server.query(&scope, &body("None", &[])).await;
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("x-ms-ratelimit-microsoft.costmanagement-qpu-consumed"), "2");
    assert_eq!(
        header("x-ms-ratelimit-microsoft.costmanagement-qpu-remaining"),
        "QueriesPerHour:598,QueriesPerMin:58,QueriesPer10Sec:10"
    );
    assert_eq!(
        header("x-ms-ratelimit-remaining-microsoft.costmanagement-entity-requests"),
        "DefaultQuota:29"
    );
    assert!(!header("x-ms-request-id").is_empty());
    for _ in 0..5 {
        assert_eq!(server.query(&scope, &body("None", &[])).await.status(), 200);
    }
    let refused = server.query(&scope, &body("None", &[])).await;
    assert_eq!(refused.status(), 429);
    let wait = &refused.headers()["x-ms-ratelimit-microsoft.costmanagement-qpu-retry-after"];
    assert!((1..=10).contains(&wait.to_str().unwrap().parse::<u64>().unwrap()));
    assert!(!refused.headers().contains_key("retry-after"));
    let reply: Value = refused.json().await.unwrap();
    assert_eq!(
        reply,
        json!({"error": {"code": "429", "message": "Too many requests. Please retry."}})
    );
    assert_eq!(server.options.requests.count("Query"), 7);
    assert_eq!(server.options.requests.client_types(), ["costband-test"]);
}

#[tokio::test]
async fn faults_come_in_azures_own_shapes() {
    let server = small_pages().await;
    let scope = server.account();
    let plain = body("None", &[]);
    for (fault, status, code) in [
        (Fault::Unauthorized, 401, "ExpiredAuthenticationToken"),
        (Fault::SkewedClock, 401, "InvalidAuthenticationToken"),
        (Fault::Forbidden, 403, "RBACAccessDenied"),
        (Fault::ServerError, 500, "InternalServerError"),
    ] {
        server.faults.order(fault, 1);
        let response = server.query(&scope, &plain).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers().contains_key("www-authenticate"), status == 401);
        let reply: Value = response.json().await.unwrap();
        assert_eq!(reply["error"]["code"], code);
    }
    server.faults.order(Fault::Empty, 1);
    assert_eq!(server.query(&scope, &plain).await.status(), 204);
    server.faults.order(Fault::Malformed, 1);
    let text = server.query(&scope, &plain).await.bytes().await.unwrap();
    assert!(serde_json::from_slice::<Value>(&text).is_err());
    server.faults.order(Fault::Truncated, 1);
    assert!(server.query(&scope, &plain).await.bytes().await.is_err());
    assert_eq!(server.query(&scope, &plain).await.status(), 200);
}

#[tokio::test]
async fn ordered_throttle_tells_its_wait_as_the_longest_of_several_headers() {
    let server = small_pages().await;
    let retry_after = Duration::from_secs(40);
    server.faults.order(Fault::RateLimited { retry_after }, 5);
    let mut longest = Vec::new();
    for _ in 0..5 {
        let response = server.query(&server.account(), &body("None", &[])).await;
        assert_eq!(response.status(), 429);
        let waits: BTreeMap<String, u64> = response
            .headers()
            .iter()
            .filter(|(name, _)| name.as_str().ends_with("-retry-after"))
            .map(|(name, wait)| (name.to_string(), wait.to_str().unwrap().parse().unwrap()))
            .collect();
        assert_eq!(waits.len(), 3);
        let (name, wait) = waits.into_iter().max_by_key(|(_, wait)| *wait).unwrap();
        assert_eq!(wait, 40);
        longest.push(name);
    }
    longest.sort();
    longest.dedup();
    assert!(longest.len() > 1, "{longest:?}");
}

#[tokio::test]
async fn wrong_total_waits_for_the_ungrouped_query() {
    let server = small_pages().await;
    let scope = server.account();
    let total: Decimal = told(&server.charges).iter().map(|charge| charge.billed).sum();
    server.faults.order(Fault::WrongTotal, 1);
    let (_, rows, _) = server.rows(&scope, &body("None", &["ServiceName"])).await;
    assert_eq!(sum(&rows), total);
    let (_, rows, _) = server.rows(&scope, &body("None", &[])).await;
    assert_eq!(sum(&rows), total * decimal("1.1"));
    let (_, rows, _) = server.rows(&scope, &body("None", &[])).await;
    assert_eq!(sum(&rows), total);
}

#[tokio::test]
async fn reset_waits_for_the_second_page() {
    let server = small_pages().await;
    let body = body("Daily", &["ServiceName"]);
    server.faults.order(Fault::ResetMidPage, 1);
    let first: Value = server.query(&server.account(), &body).await.json().await.unwrap();
    let next = first["properties"]["nextLink"].as_str().unwrap();
    let second = server.post(next, &body).send().await.unwrap();
    assert!(second.bytes().await.is_err());
    assert_eq!(server.post(next, &body).send().await.unwrap().status(), 200);
}
