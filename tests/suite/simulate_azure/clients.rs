//! Clients that Microsoft made: `azure_mgmt_consumption`, `azure_identity` and the Python SDK.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::TokenCredential as _;
use azure_core::http::{
    AsyncRawResponse, ClientOptions, HttpClient, Request, Transport, new_http_client,
};
use azure_core::time::OffsetDateTime;
use azure_core_legacy as legacy;
use azure_identity::{ClientSecretCredential, ClientSecretCredentialOptions};
use azure_mgmt_consumption::package_2024_08::models::UsageDetailUnion;
use azure_mgmt_consumption::package_2024_08::{Client, ClientBuilder};
use costband::simulate::azure::{AzureOptions, UsageDetailsKind};
use costband::simulate::faults::Fault;
use futures_util::StreamExt;
use futures_util::stream::once;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::Value;

use super::world::{Server, TRAINING, decimal, told as charges_told};

/// The transport of the legacy SDK over the reqwest of this build.
#[derive(Debug)]
struct Bridge(reqwest::Client);

#[async_trait]
impl legacy::HttpClient for Bridge {
    async fn execute_request(&self, request: &legacy::Request) -> legacy::Result<legacy::Response> {
        let io = |error| legacy::Error::new(legacy::error::ErrorKind::Io, error);
        assert_eq!(*request.method(), legacy::Method::Get);
        let mut sent = self.0.get(request.url().as_str());
        for (name, value) in request.headers().iter() {
            sent = sent.header(name.as_str(), value.as_str());
        }
        let response = sent.send().await.map_err(io)?;
        let status = legacy::StatusCode::try_from(response.status().as_u16()).unwrap();
        let body = response.bytes().await.map_err(io)?;
        let body = Box::pin(once(std::future::ready(Ok(body))));
        Ok(legacy::Response::new(status, legacy::headers::Headers::new(), body))
    }
}

#[derive(Debug)]
struct Static(String);

#[async_trait]
impl legacy::auth::TokenCredential for Static {
    async fn get_token(&self, _scopes: &[&str]) -> legacy::Result<legacy::auth::AccessToken> {
        let end = OffsetDateTime::from_unix_timestamp(4_000_000_000).unwrap();
        Ok(legacy::auth::AccessToken::new(self.0.clone(), end))
    }

    async fn clear_cache(&self) -> legacy::Result<()> {
        Ok(())
    }
}

fn consumption(server: &Server) -> Client {
    ClientBuilder::new(Arc::new(Static(server.token.clone())))
        .endpoint(legacy::Url::parse(&server.base).unwrap())
        .retry(legacy::RetryOptions::none())
        .transport(legacy::TransportOptions::new(Arc::new(Bridge(server.client.clone()))))
        .build()
        .unwrap()
}

fn of_november(server: &Server, subscription: Option<&str>) -> (usize, Decimal) {
    let told = charges_told(&server.charges);
    let wanted: Vec<Decimal> = told
        .iter()
        .filter(|charge| charge.day.month() == 11)
        .filter(|charge| subscription.is_none_or(|id| charge.sub_account_id == id))
        .map(|charge| charge.billed)
        .collect();
    (wanted.len(), wanted.iter().sum())
}

#[tokio::test]
async fn legacy_rust_client_pages_through_usage_details() {
    for (kind, scope, of) in [
        (UsageDetailsKind::Legacy, format!("subscriptions/{TRAINING}"), Some(TRAINING)),
        (
            UsageDetailsKind::Modern,
            "providers/Microsoft.Billing/billingAccounts/70664866".to_owned(),
            None,
        ),
    ] {
        let options =
            AzureOptions { page_size: 10, usage_details: kind, ..AzureOptions::default() };
        let server = Server::start(options).await;
        let mut pages = consumption(&server).usage_details_client().list(scope).into_stream();
        let (mut count, mut cost) = (0, 0.0);
        while let Some(page) = pages.next().await {
            for detail in page.unwrap().value {
                count += 1;
                cost += match detail {
                    UsageDetailUnion::Legacy(legacy) => {
                        assert_eq!(kind, UsageDetailsKind::Legacy);
                        assert_eq!(legacy.properties.billing_currency.as_deref(), Some("USD"));
                        legacy.properties.cost.unwrap()
                    }
                    UsageDetailUnion::Modern(modern) => {
                        assert_eq!(kind, UsageDetailsKind::Modern);
                        modern.properties.cost_in_billing_currency.unwrap()
                    }
                };
            }
        }
        let (expected, total) = of_november(&server, of);
        assert_eq!(count, expected);
        // The client itself reads amounts as doubles.
        assert!((cost - total.to_f64().unwrap()).abs() < 1e-6, "{cost} is not {total}");
        assert!(server.options.requests.count("UsageDetails") > 5);
    }
}

#[tokio::test]
async fn legacy_rust_client_lists_budgets_charges_balances_and_marketplaces() {
    let server = Server::start(AzureOptions::default()).await;
    let client = consumption(&server);
    let account = server.account();
    let mut budgets = client.budgets_client().list(account.clone()).into_stream();
    let budget = budgets.next().await.unwrap().unwrap().value.remove(0).properties.unwrap();
    let (_, total) = of_november(&server, None);
    let total = total.to_f64().unwrap();
    assert_eq!((budget.amount, budget.current_spend.unwrap().amount.unwrap()), (95_000.0, total));
    assert!(budget.forecast_spend.unwrap().amount.unwrap() > total);
    assert!(budgets.next().await.is_none());

    let charges = client.charges_client().list(account.clone()).await.unwrap();
    assert_eq!(charges.value.len(), 2);
    let balance = client
        .balances_client()
        .get_by_billing_account(server.options.billing_account.clone())
        .await
        .unwrap()
        .properties
        .unwrap();
    assert_eq!((balance.total_usage, balance.adjustments), (Some(total), Some(1000.0)));
    let mut bought = client.marketplaces_client().list(account).into_stream();
    assert!(bought.next().await.unwrap().unwrap().value.is_empty());
}

#[tokio::test]
async fn consumption_faults_have_their_own_headers() {
    let server = Server::start(AzureOptions::default()).await;
    let path = format!(
        "/subscriptions/{TRAINING}/providers/Microsoft.Consumption/usageDetails?api-version=2024-08-01"
    );
    server.faults.order(Fault::RateLimited { retry_after: std::time::Duration::from_secs(9) }, 1);
    let refused = server.get(&path).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["x-ms-ratelimit-microsoft.consumption-retry-after"], "9");
    server.faults.order(Fault::ServerError, 1);
    let refused = server.get(&path).send().await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    server.faults.order(Fault::Empty, 1);
    assert_eq!(server.get(&path).send().await.unwrap().status(), 204);
    let filter =
        "&$filter=properties/usageStart ge '2026-10-01' and properties/usageEnd le '2026-10-02'";
    let reply: Value =
        server.get(&format!("{path}{filter}")).send().await.unwrap().json().await.unwrap();
    assert_eq!(reply["value"].as_array().unwrap().len(), 8);
}

/// Sends what the credential would send over TLS in the clear; it takes no other authority.
#[derive(Debug)]
struct InTheClear(Arc<dyn HttpClient>);

#[async_trait]
impl HttpClient for InTheClear {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut request = request.clone();
        request.url_mut().set_scheme("http").unwrap();
        self.0.execute_request(&request).await
    }
}

#[tokio::test]
async fn azure_identity_gets_a_token_that_resource_manager_takes() {
    let server = Server::start(AzureOptions::default()).await;
    let ask = async |secret: &str| {
        let mut custom = CustomConfiguration::default();
        custom.authority_host = server.base.replace("http:", "https:");
        let client_options = ClientOptions {
            transport: Some(Transport::new(Arc::new(InTheClear(new_http_client(None))))),
            cloud: Some(Arc::new(CloudConfiguration::Custom(custom))),
            ..ClientOptions::default()
        };
        let credential = ClientSecretCredential::new(
            &server.options.tenant_id,
            server.options.client_id.clone(),
            secret.to_owned().into(),
            Some(ClientSecretCredentialOptions { client_options }),
        )
        .unwrap();
        credential.get_token(&["https://management.azure.com/.default"], None).await
    };
    let token = ask(&server.options.client_secret).await.unwrap();
    let url = format!("{}/subscriptions?api-version=2022-12-01", server.base);
    let bearer = token.token.secret();
    assert_eq!(server.client.get(url).bearer_auth(bearer).send().await.unwrap().status(), 200);
    let refused = ask("guess").await.unwrap_err().to_string();
    assert!(refused.contains("AADSTS7000215"), "{refused}");
}

/// `tests/peers/simulate_azure.py` with the interpreter of `COSTBAND_PEERS_PYTHON`.
#[tokio::test]
async fn official_python_sdk_reads_costs_budgets_and_usage_details() {
    let Some(python) = std::env::var_os("COSTBAND_PEERS_PYTHON") else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "COSTBAND_PEERS_PYTHON is not set; name a Python with tests/peers/requirements.txt"
        );
        eprintln!("skipped: COSTBAND_PEERS_PYTHON names no Python with azure-mgmt-costmanagement");
        return;
    };
    let options = AzureOptions { page_size: 50, retail_page_size: 3, ..AzureOptions::default() };
    let server = Server::start(options).await;
    let output = tokio::task::spawn_blocking({
        let base = server.base.clone();
        let options = server.options.clone();
        move || {
            std::process::Command::new(python)
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/simulate_azure.py"))
                .arg(base)
                .args(["--tenant", &options.tenant_id, "--client", &options.client_id])
                .args(["--secret", &options.client_secret, "--subscription", TRAINING])
                .args(["--billing-account", &options.billing_account])
                .output()
                .unwrap()
        }
    })
    .await
    .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let total: Decimal = charges_told(&server.charges).iter().map(|charge| charge.billed).sum();
    assert_eq!(told["total"], total.normalize().to_string());
    assert_eq!(told["grouped_total"], told["total"]);
    assert_eq!(told["rows"], 45 * 8);
    assert!(told["pages"].as_u64().unwrap() > 1);
    let (records, cost) = of_november(&server, Some(TRAINING));
    assert_eq!(told["usage_details"], records);
    // The SDK itself reads amounts through doubles.
    for read in [&told["usage_details_cost"], &told["current_spend"][0]] {
        assert_eq!(decimal(read.as_str().unwrap()).round_dp(6), cost.round_dp(6));
    }
    assert_eq!(told["budgets"], serde_json::json!(["gpu-fleet-monthly"]));
    assert_eq!((&told["retail_items"], &told["retail_pages"]), (&10.into(), &4.into()));
    assert_eq!(told["retail_price"], serde_json::json!(["27.197"]));
    let kinds = ["Consumption", "DevTestConsumption", "Reservation"];
    assert_eq!(told["retail_kinds"], serde_json::json!(kinds));
}
