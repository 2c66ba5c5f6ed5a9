//! The Azure source against the simulated Azure, and against answers that no good server gives.

mod prices;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use costband::collect::{PollRequest, Source, azure};
use costband::config::problems::Problems;
use costband::domain::breakdown::{BreakdownRole, ChargeCategory, CostRow, Dimension};
use costband::domain::identity::{Provider, SourceId};
use costband::domain::money::{Currency, Money};
use costband::domain::period::{BillingPeriod, Window};
use costband::domain::ports::{Clock, Meter, MeterError};
use costband::domain::report::{SourceError, SourceErrorKind, SourceReport};
use costband::simulate::azure::{AzureOptions, Throttle, UsageDetailsKind, router};
use costband::simulate::charge::{Charge, World};
use costband::simulate::faults::{Fault, Faults};
use jiff::civil::{Date, date};
use jiff::{Timestamp, ToSpan};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

const SECRET: &str = "s3cr3t~of.the-application";
const TENANT: &str = "7d1d4d4c-3f0a-4d55-9d0a-0c8a1d5f1c01";

fn now() -> Timestamp {
    "2026-02-17T12:00:00Z".parse().unwrap()
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        now()
    }
}

struct SmallWorld(Arc<Vec<Charge>>);

impl World for SmallWorld {
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(Still)
    }

    fn charges(&self, _: Provider, _: Timestamp) -> Arc<Vec<Charge>> {
        self.0.clone()
    }
}

fn charge(
    day: Date,
    account: &str,
    service: &str,
    sku: &str,
    kind: &str,
    cost: [&str; 2],
) -> Charge {
    let category = match kind {
        "Purchase" => ChargeCategory::Purchase,
        "Refund" => ChargeCategory::Adjustment,
        "Tax" => ChargeCategory::Tax,
        "Credit" => ChargeCategory::Credit,
        _ => ChargeCategory::Usage,
    };
    Charge {
        provider: Provider::Azure,
        day,
        invoice_period: BillingPeriod::containing(day),
        sub_account_id: account.to_owned(),
        sub_account_name: format!("{account} by name"),
        service_name: service.to_owned(),
        service_id: String::new(),
        region_id: if service == "Storage" { "westeurope" } else { "eastus" }.to_owned(),
        instance_type: None,
        sku: sku.to_owned(),
        sku_id: String::new(),
        category,
        record_type: kind.to_owned(),
        billed: cost[0].parse().unwrap(),
        effective: cost[1].parse().unwrap(),
        list: cost[0].parse().unwrap(),
        currency: Currency::USD,
        per_usd: None,
        quantity: Decimal::from(24),
        unit: "1 Hour".to_owned(),
        credits: Vec::new(),
        published_at: now(),
        estimated: false,
    }
}

/// Seven weeks in which every dimension tells another split of the money.
fn fleet() -> Vec<Charge> {
    let mut charges = Vec::new();
    for day in window().days().take_while(|day| *day <= date(2026, 2, 17)) {
        let part = format!("0.00000{}", day.day());
        let add = |cost: &str| {
            (cost.parse::<Decimal>().unwrap() + part.parse::<Decimal>().unwrap()).to_string()
        };
        let machine = "Virtual Machines";
        charges.extend([
            charge(
                day,
                "sub-1",
                machine,
                "ND96isr H100 v5",
                "Usage",
                [&add("2354.4"), &add("2354.4")],
            ),
            charge(day, "sub-1", machine, "NC24ads A100 v4", "Usage", ["0", &add("88.1")]),
            charge(day, "sub-2", machine, "D4s v5", "Usage", [&add("4.608"), &add("4.608")]),
            charge(day, "sub-2", machine, "NC24ads A100 v4", "UnusedReservation", ["0", "3.25"]),
            charge(day, "sub-2", "Storage", "P30 LRS Disk", "Usage", ["95.0000001", "95.0000001"]),
            charge(day, "sub-1", "Bandwidth", "Egress", "RoundingAdjustment", ["-0.004", "-0.004"]),
        ]);
        if day.day() == 1 {
            charges.extend([
                charge(day, "sub-1", machine, "NC24ads A100 v4", "Purchase", ["2700", "0"]),
                charge(day, "sub-1", "Support", "Plan", "Tax", ["500", "500"]),
                charge(day, "sub-1", "Support", "Grant", "Credit", ["-300", "-300"]),
            ]);
        }
        if day.day() == 9 {
            charges.push(charge(day, "sub-2", "Storage", "P30", "Refund", ["-40.5", "-40.5"]));
        }
    }
    charges
}

fn window() -> Window {
    Window::new(date(2026, 1, 1), date(2026, 3, 1))
}

#[derive(Default)]
struct Counting {
    operations: Mutex<BTreeMap<&'static str, u32>>,
    quotas: Mutex<Vec<(&'static str, &'static str, f64)>>,
}

#[async_trait]
impl Meter for Counting {
    async fn reserve(
        &self,
        _: &SourceId,
        operation: &'static str,
        price: Money,
    ) -> Result<(), MeterError> {
        assert!(price.amount.is_zero());
        *self.operations.lock().unwrap().entry(operation).or_default() += 1;
        Ok(())
    }

    fn quota(&self, _: &SourceId, quota: &'static str, window: &'static str, remaining: f64) {
        self.quotas.lock().unwrap().push((quota, window, remaining));
    }
}

async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A source with its secret's file, and what it is asked through.
struct Peer {
    source: Box<dyn Source>,
    meter: Counting,
    _secret: NamedTempFile,
}

impl Peer {
    fn new(address: SocketAddr, changes: Value) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let secret = NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), format!("{SECRET}\n")).unwrap();
        let mut entry = json!({
            "name": "azure",
            "scope": "/providers/Microsoft.Billing/billingAccounts/70664866",
            "credentials": {
                "method": "client_secret",
                "tenant_id": TENANT,
                "client_id": "2b5f6a1e-8a44-4d0e-b3c5-6f3e9f7a2d02",
                "client_secret": {"file": secret.path()},
            },
            "endpoints": {
                "resource_manager": format!("http://{address}"),
                "authority": format!("http://{address}"),
            },
        });
        entry.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let mut problems = Problems::new();
        let source = (azure::KIND.build)(&entry, "sources.azure[0]", &mut problems);
        assert!(problems.is_empty(), "{problems}");
        Self { source: source.unwrap(), meter: Counting::default(), _secret: secret }
    }

    async fn poll(&self) -> Result<SourceReport, SourceError> {
        let request = PollRequest { window: window(), now: now(), cursor: None };
        let result = self.source.poll(&request, &self.meter).await;
        if let Err(error) = &result {
            let text = format!("{error} {error:?}");
            assert!(!text.contains(SECRET) && !text.contains("eyJ"), "a secret is in `{text}`");
        }
        result
    }
}

fn options() -> AzureOptions {
    let plenty = 1_000_000;
    AzureOptions {
        client_secret: SECRET.to_owned(),
        throttle: Some(Throttle {
            qpu_per_10_seconds: plenty,
            qpu_per_minute: plenty,
            qpu_per_hour: plenty,
            entity_per_minute: plenty,
            tenant_per_minute: plenty,
            ..Throttle::default()
        }),
        ..AzureOptions::default()
    }
}

async fn simulated(
    charges: Vec<Charge>,
    options: AzureOptions,
    changes: Value,
) -> (Peer, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let world = Arc::new(SmallWorld(Arc::new(charges)));
    let address = serve(router(world, faults.clone(), options)).await;
    (Peer::new(address, changes), faults)
}

fn rows<'a>(report: &'a SourceReport, query: &str) -> &'a [CostRow] {
    let mut all = report.breakdowns.iter();
    &all.find(|reading| reading.breakdown.query == query).unwrap().rows
}

type Sums = (Decimal, Decimal);

fn sums<'a>(rows: impl IntoIterator<Item = &'a CostRow>) -> Sums {
    rows.into_iter().fold((Decimal::ZERO, Decimal::ZERO), |(billed, effective), row| {
        (billed + row.amounts.billed.unwrap(), effective + row.amounts.effective.unwrap())
    })
}

fn truth(charges: &[Charge], counts: impl Fn(&Charge) -> bool) -> Sums {
    charges
        .iter()
        .filter(|charge| counts(charge))
        .fold((Decimal::ZERO, Decimal::ZERO), |sum, charge| {
            (sum.0 + charge.billed, sum.1 + charge.effective)
        })
}

fn is_spend(charge: &Charge) -> bool {
    charge.category.in_spend()
}

#[tokio::test]
async fn every_breakdown_and_the_control_total_equal_the_charges() {
    let charges = fleet();
    let (mut peer, _) = simulated(charges.clone(), options(), json!({})).await;
    let filter = [
        (Dimension::SubAccountId, vec!["sub-2".to_owned()]),
        (Dimension::ServiceName, vec!["Virtual Machines".to_owned(), "Bandwidth".to_owned()]),
    ];
    peer.source.add_filtered("band:training", &filter).unwrap();
    let report = peer.poll().await.unwrap();

    let spend = truth(&charges, is_spend);
    assert_eq!(sums(rows(&report, "service_sub_account")), spend);
    assert_eq!(sums(rows(&report, "region")), spend);
    let control =
        report.control_totals.iter().fold((Decimal::ZERO, Decimal::ZERO), |sum, total| {
            (sum.0 + total.amounts.billed.unwrap(), sum.1 + total.amounts.effective.unwrap())
        });
    assert_eq!(control, spend);
    let own = truth(&charges, |charge| {
        is_spend(charge)
            && charge.sub_account_id == "sub-2"
            && charge.service_name == "Virtual Machines"
    });
    assert_eq!(sums(rows(&report, "band:training")), own);

    for category in ChargeCategory::ALL {
        let told = rows(&report, "charge_type").iter().filter(|row| row.category == category);
        let expected = match category {
            ChargeCategory::Tax | ChargeCategory::Credit => (Decimal::ZERO, Decimal::ZERO),
            _ => truth(&charges, |charge| charge.category == category),
        };
        assert_eq!(sums(told), expected, "{category:?}");
    }

    let gpu = rows(&report, "gpu_meter");
    let is_gpu =
        |charge: &Charge| charge.category == ChargeCategory::Usage && charge.sku.starts_with('N');
    assert_eq!(sums(gpu), truth(&charges, is_gpu));
    let first = gpu.iter().find(|row| row.keys == ["ND96isr H100 v5", "eastus"]).unwrap();
    assert_eq!(first.quantity.clone().unwrap().amount, Decimal::from(24));

    assert_eq!(report.days.last(), Some(&date(2026, 2, 17)));
    assert_eq!(report.data_through, Some(now()));
    let names: Vec<_> = report.names.iter().map(|each| (&*each.key, &*each.name)).collect();
    assert_eq!(names, [("sub-1", "sub-1 by name"), ("sub-2", "sub-2 by name")]);
    assert_eq!(report.budgets[0].amount, "95000 USD".parse().unwrap());
}

#[tokio::test]
async fn no_row_of_a_report_is_told_twice_and_the_plan_holds() {
    let (peer, _) = simulated(fleet(), options(), json!({})).await;
    let report = peer.poll().await.unwrap();
    for reading in &report.breakdowns {
        let mut seen: Vec<_> = reading
            .rows
            .iter()
            .map(|row| (row.day, row.keys.clone(), row.category, row.currency))
            .collect();
        let before = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), before, "{}", reading.breakdown.query);
        let dimensions = reading.breakdown.dimensions.len();
        assert!(reading.rows.iter().all(|row| row.keys.len() == dimensions));
    }
    let mut planned: BTreeMap<&str, u32> = BTreeMap::new();
    for request in peer.source.plan(&window()) {
        *planned.entry(request.operation).or_default() += request.at_most;
    }
    let asked = peer.meter.operations.lock().unwrap().clone();
    assert_eq!(asked.get("Query"), Some(&21));
    for (operation, count) in asked {
        assert!(planned[operation] >= count, "{operation}: {count} of {planned:?}");
    }
    assert!(peer.meter.quotas.lock().unwrap().iter().any(|told| told.0 == "qpu" && told.1 == "1h"));
}

#[tokio::test]
async fn all_pages_are_read_with_the_body_of_the_first() {
    let days = Window::new(date(2026, 1, 1), date(2026, 2, 1)).days();
    let charges: Vec<_> = days
        .flat_map(|day| {
            (0..400).map(move |service| {
                charge(day, "sub-1", &format!("service {service}"), "x", "Usage", ["0.125", "0.25"])
            })
        })
        .collect();
    let (peer, _) = simulated(charges.clone(), options(), json!({})).await;
    let report = peer.poll().await.unwrap();
    assert_eq!(rows(&report, "service_sub_account").len(), 12_400);
    assert_eq!(sums(rows(&report, "service_sub_account")), truth(&charges, is_spend));
    assert_eq!(peer.meter.operations.lock().unwrap()["Query"], 21 + 2 * 2);
}

#[tokio::test]
async fn a_scope_without_costs_is_an_empty_report() {
    let (peer, _) = simulated(Vec::new(), options(), json!({})).await;
    let report = peer.poll().await.unwrap();
    assert!(report.breakdowns.iter().all(|reading| reading.rows.is_empty()));
    assert_eq!(report.breakdowns.len(), 4);
    assert!(report.control_totals.is_empty());
    assert_eq!((report.days.len(), report.data_through), (48, None));
}

#[tokio::test]
async fn dollars_of_another_currency_come_from_azure_itself() {
    let charges: Vec<_> = fleet()
        .into_iter()
        .map(|charge| Charge {
            currency: "EUR".parse().unwrap(),
            per_usd: Some("0.8".parse().unwrap()),
            ..charge
        })
        .collect();
    let (peer, _) = simulated(charges.clone(), options(), json!({})).await;
    let report = peer.poll().await.unwrap();
    let primary = rows(&report, "service_sub_account");
    assert_eq!(sums(primary), truth(&charges, is_spend));
    let usd: Decimal = primary.iter().map(|row| row.usd.unwrap().effective.unwrap()).sum();
    let euro = truth(&charges, is_spend).1;
    assert_eq!(usd.round_dp(6), (euro / "0.8".parse::<Decimal>().unwrap()).round_dp(6));
    assert!(rows(&report, "gpu_meter").iter().all(|row| row.usd.is_none()));
}

#[tokio::test]
async fn each_fault_is_a_named_error_and_the_next_poll_is_good() {
    use SourceErrorKind as Kind;
    let wait = Duration::from_secs(37);
    let (peer, faults) = simulated(fleet(), options(), json!({})).await;
    for (fault, kind) in [
        (Fault::Unauthorized, Kind::Auth),
        (Fault::SkewedClock, Kind::Auth),
        (Fault::Forbidden, Kind::Forbidden),
        (Fault::RateLimited { retry_after: wait }, Kind::RateLimited),
        (Fault::RateLimited { retry_after: wait }, Kind::RateLimited),
        (Fault::RateLimited { retry_after: wait }, Kind::RateLimited),
        (Fault::ServerError, Kind::Unavailable),
        (Fault::Truncated, Kind::Malformed),
        (Fault::Malformed, Kind::Malformed),
    ] {
        faults.order(fault.clone(), 1);
        let error = peer.poll().await.unwrap_err();
        assert_eq!(error.kind, kind, "{fault:?}: {error}");
        if kind == Kind::RateLimited {
            assert_eq!(error.retry_after, Some(wait));
        }
        if kind == Kind::Forbidden {
            assert!(
                error.to_string().contains("`Cost Management Reader` on `/providers/"),
                "{error}"
            );
        }
        assert!(peer.poll().await.is_ok(), "after {fault:?}");
    }
}

#[tokio::test]
async fn an_answer_past_the_deadline_is_a_timeout() {
    let (peer, faults) = simulated(fleet(), options(), json!({"deadline": "500ms"})).await;
    faults.order(Fault::Slow(Duration::from_secs(3600)), 50);
    assert_eq!(peer.poll().await.unwrap_err().kind, SourceErrorKind::Timeout);
}

#[tokio::test]
async fn a_page_that_breaks_off_fails_the_whole_poll() {
    let (peer, faults) = simulated(fleet(), options(), json!({})).await;
    faults.order(Fault::ResetMidPage, 1);
    let error = peer.poll().await.unwrap_err();
    assert!(
        matches!(error.kind, SourceErrorKind::Malformed | SourceErrorKind::Unavailable),
        "{error}"
    );
}

#[tokio::test]
async fn an_expired_token_is_dropped_and_a_new_one_got() {
    let options = options();
    let requests = options.requests.clone();
    let (peer, faults) = simulated(fleet(), options, json!({})).await;
    peer.poll().await.unwrap();
    peer.poll().await.unwrap();
    assert_eq!(requests.count("Token"), 1, "a good token is kept");
    faults.order(Fault::Unauthorized, 1);
    assert_eq!(peer.poll().await.unwrap_err().kind, SourceErrorKind::Auth);
    peer.poll().await.unwrap();
    assert_eq!(requests.count("Token"), 2);
    assert_eq!(requests.client_types(), ["costband"]);
}

#[tokio::test]
async fn a_wrong_secret_is_an_auth_error_that_says_which_mistake() {
    let options = AzureOptions { client_secret: "another".to_owned(), ..options() };
    let (peer, _) = simulated(fleet(), options, json!({})).await;
    let error = peer.poll().await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Auth);
    assert!(error.hint.unwrap().contains("the client secret is wrong"));
}

#[tokio::test]
async fn a_scope_that_is_not_there_says_so() {
    let scope = json!({"scope": "/subscriptions/nobody"});
    let (peer, _) = simulated(fleet(), options(), scope).await;
    let error = peer.poll().await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Config);
    assert!(error.to_string().contains("/subscriptions/nobody"), "{error}");
}

#[tokio::test]
async fn usage_details_tell_the_same_money_as_query() {
    let charges = fleet();
    for (kind, scope) in [
        (UsageDetailsKind::Legacy, "/providers/Microsoft.Billing/billingAccounts/70664866"),
        (UsageDetailsKind::Modern, "/providers/Microsoft.Management/managementGroups/gpu-fleet"),
    ] {
        let options = AzureOptions { usage_details: kind, page_size: 100, ..options() };
        let changes = json!({"method": "usage_details", "scope": scope});
        let (peer, _) = simulated(charges.clone(), options, changes).await;
        let report = peer.poll().await.unwrap();
        let primary = rows(&report, "service_sub_account");
        assert_eq!(sums(primary), truth(&charges, is_spend));
        assert_eq!(sums(rows(&report, "region")), truth(&charges, is_spend));
        let refunds = rows(&report, "charge_type")
            .iter()
            .filter(|row| row.category == ChargeCategory::Adjustment);
        assert_eq!(
            sums(refunds),
            truth(&charges, |charge| charge.category == ChargeCategory::Adjustment)
        );
        assert!(report.control_totals.is_empty());
        let asked = peer.meter.operations.lock().unwrap().clone();
        assert!(!asked.contains_key("Query") && asked["UsageDetails"] > 4, "{asked:?}");
    }
}

/// What a hand-written server was asked: path with query, authorization, body.
type Asked = Arc<Mutex<Vec<(String, String, Value)>>>;

/// A server that gives the token `eyJ-opaque` and answers everything else as told.
async fn scripted(
    answer: impl Fn(&str, &Value) -> Response + Clone + Send + Sync + 'static,
) -> (SocketAddr, Asked) {
    let asked = Asked::default();
    let seen = asked.clone();
    let router = Router::new().fallback(move |request: Request| {
        let (answer, seen) = (answer.clone(), seen.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, 1 << 20).await.unwrap();
            let path = parts.uri.to_string();
            if path.ends_with("/oauth2/v2.0/token") {
                return axum::Json(json!({
                    "token_type": "Bearer", "expires_in": 3599, "access_token": "eyJ-opaque",
                }))
                .into_response();
            }
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let bearer = parts.headers.get("authorization").map(|value| value.to_str().unwrap());
            let answer = answer(&path, &body);
            seen.lock().unwrap().push((path, bearer.unwrap_or_default().to_owned(), body));
            answer
        }
    });
    (serve(router).await, asked)
}

fn page(next_link: Option<&str>) -> Response {
    axum::Json(json!({"properties": {
        "nextLink": next_link,
        "columns": [{"name": "Cost"}, {"name": "CostUSD"}, {"name": "UsageQuantity"}, {"name": "UsageDate"},
            {"name": "ServiceName"}, {"name": "SubscriptionId"}, {"name": "SubscriptionName"},
            {"name": "ChargeType"}, {"name": "ResourceLocation"}, {"name": "Meter"}, {"name": "Currency"}],
        "rows": [[10.5, 10.5, 24, 20260101, "Virtual Machines", "s", "n", "Usage", "eastus", "ND96", "USD"]],
    }}))
    .into_response()
}

fn refusal(status: u16, code: &str, message: &str) -> Response {
    let body = axum::Json(json!({"error": {"code": code, "message": message}}));
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

#[tokio::test]
async fn the_token_never_follows_a_link_to_another_host() {
    let (other, asked_there) = scripted(|_, _| page(None)).await;
    let link = format!("http://{other}/next?$skiptoken=2");
    let (address, _) = scripted(move |_, _| page(Some(&link))).await;
    let error = Peer::new(address, json!({})).poll().await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Malformed);
    assert!(error.message.contains("another host"), "{error}");
    assert!(asked_there.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_token_never_follows_budgets_or_a_redirect_to_another_host() {
    let (other, asked_there) = scripted(|_, _| page(None)).await;
    let link = format!("http://{other}/next");
    let (address, _) = scripted(move |path, _| {
        if path.contains("/budgets") {
            axum::Json(json!({"value": [], "nextLink": link})).into_response()
        } else {
            page(None)
        }
    })
    .await;
    let window = Window::new(date(2026, 1, 1), date(2026, 1, 31));
    let request = PollRequest { window, now: now(), cursor: None };
    let peer = Peer::new(address, json!({}));
    let report = peer.source.poll(&request, &peer.meter).await.unwrap();
    assert!(report.budgets.is_empty(), "the poll is good without budgets");
    assert!(asked_there.lock().unwrap().is_empty());

    let target = format!("http://{other}/");
    let (address, _) =
        scripted(move |_, _| axum::response::Redirect::temporary(&target).into_response()).await;
    assert_eq!(
        Peer::new(address, json!({})).poll().await.unwrap_err().kind,
        SourceErrorKind::Malformed
    );
    assert!(asked_there.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_link_to_the_same_page_is_refused() {
    let (address, asked) = scripted(|path, _| page(Some(path))).await;
    let error = Peer::new(address, json!({})).poll().await.unwrap_err();
    assert!(error.message.contains("same page"), "{error}");
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_agreement_without_amortised_costs_has_no_effective_costs() {
    let (address, asked) = scripted(|_, body| match body["type"].as_str() {
        Some("AmortizedCost") => refusal(
            400,
            "BadRequest",
            "Request properties validation failed: Invalid definition type 'AmortizedCost'; valid values: 'Usage'.",
        ),
        _ => page(None),
    })
    .await;
    let window = Window::new(date(2026, 1, 1), date(2026, 2, 1));
    let request = PollRequest { window, now: now(), cursor: None };
    let peer = Peer::new(address, json!({}));
    let report = peer.source.poll(&request, &peer.meter).await.unwrap();
    for row in report.breakdowns.iter().flat_map(|reading| &reading.rows) {
        assert_eq!((row.amounts.billed, row.amounts.effective), ("10.5".parse().ok(), None));
    }
    assert_eq!(report.control_totals[0].amounts.effective, None);
    let asked = asked.lock().unwrap();
    let amortised = asked.iter().filter(|(_, _, body)| body["type"] == "AmortizedCost");
    assert_eq!(amortised.count(), 1, "asked once, not again for each breakdown");
}

#[tokio::test]
async fn no_day_that_has_not_begun_is_asked_for() {
    let (address, asked) = scripted(|_, _| StatusCode::NO_CONTENT.into_response()).await;
    let peer = Peer::new(address, json!({}));
    let window = Window::new(date(2026, 2, 1), date(2026, 5, 1));
    let request = PollRequest { window, now: now(), cursor: None };
    let report = peer.source.poll(&request, &peer.meter).await.unwrap();
    assert_eq!(report.days.len(), 17);
    let asked = asked.lock().unwrap();
    let queries: Vec<_> = asked.iter().filter(|(path, ..)| path.contains("/query?")).collect();
    assert_eq!(queries.len(), 11);
    for (_, bearer, body) in queries {
        assert_eq!(body["timePeriod"]["from"], "2026-02-01T00:00:00Z");
        assert_eq!(body["timePeriod"]["to"], "2026-02-17T23:59:59Z");
        assert_eq!(bearer, "Bearer eyJ-opaque");
    }
}

#[tokio::test]
async fn days_that_were_not_asked_for_are_malformed() {
    let (address, _) = scripted(|_, _| page(None)).await;
    let tomorrow = date(2026, 2, 1).saturating_add(1.day());
    let window = Window::new(date(2026, 2, 1), tomorrow);
    let request = PollRequest { window, now: now(), cursor: None };
    let peer = Peer::new(address, json!({}));
    let error = peer.source.poll(&request, &peer.meter).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Malformed);
    assert!(error.message.contains("2026-01-01"), "{error}");
}

#[tokio::test]
async fn a_secret_that_the_server_repeats_is_not_in_the_error() {
    for status in [400, 401, 403, 404, 429, 500] {
        let (address, _) = scripted(move |_, _| {
            refusal(status, "Echo", &format!("{} Bearer eyJ-opaque", "x".repeat(280)))
        })
        .await;
        let peer = Peer::new(address, json!({}));
        let request = PollRequest { window: window(), now: now(), cursor: None };
        let text = format!("{:?}", peer.source.poll(&request, &peer.meter).await.unwrap_err());
        assert!(!text.contains("eyJ") && !text.contains(SECRET), "{text}");
    }
    let router = Router::new().fallback(async |body: String| {
        let body = axum::Json(json!({"error": "invalid_client", "error_codes": [7_000_215],
            "error_description": format!("AADSTS7000215: {body} {SECRET}")}));
        (StatusCode::UNAUTHORIZED, body).into_response()
    });
    let error = Peer::new(serve(router).await, json!({})).poll().await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Auth);
}

#[tokio::test]
async fn an_authority_that_fails_is_not_an_auth_error() {
    use SourceErrorKind as Kind;
    for (status, body, kind) in [
        (
            503,
            json!({"error": "temporarily_unavailable", "error_description": "AADSTS90033"}),
            Kind::Unavailable,
        ),
        (429, json!({"error": "too_many", "error_description": "slow down"}), Kind::RateLimited),
        (200, json!("<html>"), Kind::Malformed),
    ] {
        let router = Router::new().fallback(async move || {
            (StatusCode::from_u16(status).unwrap(), [("retry-after", "7")], axum::Json(body))
                .into_response()
        });
        let error = Peer::new(serve(router).await, json!({})).poll().await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        if status == 429 {
            assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        }
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let error = Peer::new(closed, json!({})).poll().await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable, "{error}");
}

#[tokio::test]
async fn one_breakdown_is_primary_in_every_report() {
    let (peer, _) = simulated(fleet(), options(), json!({})).await;
    let report = peer.poll().await.unwrap();
    let told: Vec<_> = report.breakdowns.iter().map(|reading| reading.breakdown.clone()).collect();
    assert_eq!(told, peer.source.descriptor().breakdowns);
    let primary = told.iter().filter(|each| each.role == BreakdownRole::Primary);
    assert_eq!(primary.count(), 1);
}

/// Polls once as the parent test's environment says. The environment of this process cannot be
/// changed while other tests run in it.
#[tokio::test]
#[ignore = "run by identities_of_the_platform_get_tokens in a process of its own"]
async fn poll_with_the_identity_of_the_environment() {
    let Ok(address) = std::env::var("COSTBAND_TEST_ADDRESS") else { return };
    let address = address.parse().unwrap();
    let credentials: Value =
        serde_json::from_str(&std::env::var("COSTBAND_TEST_CREDENTIALS").unwrap()).unwrap();
    let report = Peer::new(address, json!({"credentials": credentials})).poll().await.unwrap();
    assert_eq!(sums(rows(&report, "service_sub_account")), truth(&fleet(), is_spend));
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_of_the_platform_get_tokens() {
    let token = NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "federated-token").unwrap();
    let options = AzureOptions { federated_token: Some("federated-token".to_owned()), ..options() };
    let (client_id, header) = (options.client_id.clone(), options.identity_header.clone());
    let world = Arc::new(SmallWorld(Arc::new(fleet())));
    let address = serve(router(world, Arc::default(), options)).await;
    let workload = vec![
        ("AZURE_FEDERATED_TOKEN_FILE", token.path().to_str().unwrap().to_owned()),
        ("AZURE_CLIENT_ID", client_id.clone()),
        ("AZURE_TENANT_ID", TENANT.to_owned()),
    ];
    let managed = vec![
        ("IDENTITY_ENDPOINT", format!("http://{address}/msi/token")),
        ("IDENTITY_HEADER", header),
    ];
    let secret = vec![
        ("AZURE_CLIENT_SECRET", SECRET.to_owned()),
        ("AZURE_CLIENT_ID", client_id),
        ("AZURE_TENANT_ID", TENANT.to_owned()),
    ];
    for (credentials, environment) in [
        (json!({}), workload.clone()),
        (json!({"method": "workload_identity", "tenant_id": TENANT}), workload),
        (json!({}), managed.clone()),
        (json!({"method": "managed_identity"}), managed),
        (json!({}), secret),
    ] {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child
            .args(["--ignored", "--exact", "azure::poll_with_the_identity_of_the_environment"])
            .env_remove("AZURE_FEDERATED_TOKEN_FILE")
            .env_remove("AZURE_CLIENT_SECRET")
            .env("COSTBAND_TEST_ADDRESS", address.to_string())
            .env("COSTBAND_TEST_CREDENTIALS", credentials.to_string())
            .envs(environment);
        let output = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{credentials}: {said}");
    }
}

#[tokio::test]
async fn a_token_of_another_tenant_is_refused_before_it_is_used() {
    use base64::Engine;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"tid":"another"}"#);
    let token = format!("eyJhbGciOiJub25lIn0.{claims}.sig");
    let asked = Arc::new(Mutex::new(0));
    let seen = asked.clone();
    let router = Router::new().fallback(move |request: Request| {
        let token = token.clone();
        if !request.uri().path().ends_with("/token") {
            *seen.lock().unwrap() += 1;
        }
        async move {
            axum::Json(json!({"token_type": "Bearer", "expires_in": 3599, "access_token": token}))
        }
    });
    let error = Peer::new(serve(router).await, json!({})).poll().await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Auth);
    assert!(error.message.contains("`another`, not of"), "{error}");
    assert_eq!(*asked.lock().unwrap(), 0);
}
