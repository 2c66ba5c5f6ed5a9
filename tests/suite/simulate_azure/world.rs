//! A small world of Azure charges, the server over it and a plain client of that server.

use std::sync::Arc;

use costband::domain::breakdown::ChargeCategory;
use costband::domain::identity::Provider;
use costband::domain::money::Currency;
use costband::domain::period::BillingPeriod;
use costband::domain::ports::Clock;
use costband::simulate::azure::{self, AzureOptions};
use costband::simulate::charge::{Charge, World};
use costband::simulate::faults::Faults;
use jiff::civil::{Date, date};
use jiff::{Timestamp, ToSpan};
use reqwest::{Client, RequestBuilder, Response};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

pub const TRAINING: &str = "0a7c2e58-91f4-4d36-8b0e-5d1f6a2c3b01";
pub const SERVING: &str = "1b8d3f69-a205-4e47-9c1f-6e2a7b3d4c02";
pub const IDLE: &str = "2c9e407a-b316-4f58-8d20-7f3b8c4e5d03";
/// The first day of the world.
pub const FIRST: Date = date(2026, 10, 1);

pub struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        "2026-11-15T09:00:00Z".parse().unwrap()
    }
}

pub struct SmallWorld(pub Arc<Vec<Charge>>);

impl World for SmallWorld {
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(StandingClock)
    }

    fn charges(&self, provider: Provider, _at: Timestamp) -> Arc<Vec<Charge>> {
        assert_eq!(provider, Provider::Azure);
        Arc::clone(&self.0)
    }
}

pub fn decimal(text: &str) -> Decimal {
    text.parse().or_else(|_| Decimal::from_scientific(text)).unwrap()
}

/// A charge of a day; the other words follow from the service.
pub fn charge(day: Date, subscription: &str, service: &str, billed: Decimal) -> Charge {
    Charge {
        provider: Provider::Azure,
        day,
        invoice_period: BillingPeriod::containing(day),
        sub_account_id: subscription.to_owned(),
        sub_account_name: if subscription == TRAINING { "training" } else { "serving" }.to_owned(),
        service_name: service.to_owned(),
        service_id: String::new(),
        region_id: if service == "Bandwidth" { "" } else { "eastus" }.to_owned(),
        instance_type: (service == "Virtual Machines")
            .then(|| "Standard_ND96isr_H100_v5".to_owned()),
        sku: format!("{service} meter"),
        sku_id: "d2a1e9c4".to_owned(),
        category: ChargeCategory::Usage,
        record_type: "Usage".to_owned(),
        billed,
        effective: billed * decimal("1.07"),
        list: billed * decimal("1.5"),
        currency: Currency::USD,
        per_usd: None,
        quantity: decimal("24.5"),
        unit: "1 Hour".to_owned(),
        credits: Vec::new(),
        published_at: "2026-11-15T00:00:00Z".parse().unwrap(),
        estimated: false,
    }
}

/// 45 days of four services in two subscriptions, with awkward decimals, and a tax, a credit, a
/// refund and a prepaid purchase on the first of November.
pub fn charges() -> Vec<Charge> {
    let mut charges = Vec::new();
    let mut seed: u64 = 7;
    let services = ["Virtual Machines", "Storage", "Bandwidth", "Azure Kubernetes Service"];
    for offset in 0..45 {
        let day = FIRST.checked_add(offset.days()).unwrap();
        for subscription in [TRAINING, SERVING] {
            for service in services {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let scale = if service == "Bandwidth" { 15 } else { 9 };
                let billed =
                    Decimal::new(i64::try_from(seed >> 24).unwrap() % 9_876_543_211, scale);
                charges.push(charge(day, subscription, service, billed));
            }
        }
    }
    let first = date(2026, 11, 1);
    let mut special = |category, record_type: &str, billed: &str, effective: &str| {
        let mut charge = charge(first, TRAINING, "Virtual Machines", decimal(billed));
        charge.category = category;
        charge.record_type = record_type.to_owned();
        charge.effective = decimal(effective);
        charges.push(charge);
    };
    special(ChargeCategory::Tax, "Tax", "812.5", "812.5");
    special(ChargeCategory::Credit, "Credit", "-1000", "-1000");
    special(ChargeCategory::Adjustment, "", "-33.333333333333", "-33.333333333333");
    special(ChargeCategory::Purchase, "Purchase", "40000", "0");
    charges
}

/// What Query tells of the world: neither tax nor credits.
pub fn told(charges: &[Charge]) -> Vec<&Charge> {
    let out = [ChargeCategory::Tax, ChargeCategory::Credit];
    charges.iter().filter(|charge| !out.contains(&charge.category)).collect()
}

/// A server with a token for it; it ends with the value.
pub struct Server {
    pub base: String,
    pub token: String,
    pub faults: Arc<Faults>,
    pub options: AzureOptions,
    pub charges: Arc<Vec<Charge>>,
    pub client: Client,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub async fn start(options: AzureOptions) -> Self {
        Self::over(charges(), options).await
    }

    pub async fn over(charges: Vec<Charge>, options: AzureOptions) -> Self {
        let charges = Arc::new(charges);
        let world = Arc::new(SmallWorld(Arc::clone(&charges)));
        Self::of(world, charges, options).await
    }

    pub async fn of(
        world: Arc<dyn World>,
        charges: Arc<Vec<Charge>>,
        options: AzureOptions,
    ) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let faults = Arc::new(Faults::default());
        let router = azure::router(world, Arc::clone(&faults), options.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let client = Client::builder().no_proxy().build().unwrap();
        let mut server =
            Self { base, token: String::new(), faults, options, charges, client, task };
        let reply: Value = server.ask_token(&[]).send().await.unwrap().json().await.unwrap();
        server.token = reply["access_token"].as_str().unwrap().to_owned();
        server
    }

    /// A good token request, some fields replaced.
    pub fn ask_token(&self, replaced: &[(&str, &str)]) -> RequestBuilder {
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", &self.options.client_id),
            ("client_secret", &self.options.client_secret),
            ("scope", "https://management.azure.com/.default"),
        ];
        form.retain(|(name, _)| !replaced.iter().any(|(other, _)| other == name));
        form.extend(replaced);
        let url = format!("{}/{}/oauth2/v2.0/token", self.base, self.options.tenant_id);
        self.client.post(url).form(&form)
    }

    pub fn query_url(&self, scope: &str) -> String {
        format!(
            "{}/{scope}/providers/Microsoft.CostManagement/query?api-version=2025-03-01",
            self.base
        )
    }

    pub fn account(&self) -> String {
        format!("providers/Microsoft.Billing/billingAccounts/{}", self.options.billing_account)
    }

    pub fn post(&self, url: &str, body: &Value) -> RequestBuilder {
        let request = self.client.post(url).bearer_auth(&self.token);
        request.header("ClientType", "costband-test").json(body)
    }

    pub async fn query(&self, scope: &str, body: &Value) -> Response {
        self.post(&self.query_url(scope), body).send().await.unwrap()
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    /// Every row of a query, page by page, each as texts; and how many pages it took.
    pub async fn rows(&self, scope: &str, body: &Value) -> (Vec<String>, Vec<Vec<String>>, usize) {
        let mut url = self.query_url(scope);
        let (mut rows, mut pages) = (Vec::new(), 0);
        loop {
            let response = self.post(&url, body).send().await.unwrap();
            assert_eq!(response.status(), 200);
            let reply: Reply = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            pages += 1;
            rows.extend(reply.properties.rows.iter().map(|row| {
                row.iter().map(|cell| cell.get().trim_matches('"').to_owned()).collect()
            }));
            match reply.properties.next_link {
                Some(next) => url = next,
                None => {
                    let columns = reply.properties.columns;
                    return (columns.into_iter().map(|column| column.name).collect(), rows, pages);
                }
            }
        }
    }
}

#[derive(Deserialize)]
struct Reply {
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    next_link: Option<String>,
    columns: Vec<Column>,
    rows: Vec<Vec<Box<RawValue>>>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
}

/// A custom query of actual cost.
pub fn body(granularity: &str, groups: &[&str]) -> Value {
    let grouping: Vec<Value> =
        groups.iter().map(|name| json!({"type": "Dimension", "name": name})).collect();
    json!({
        "type": "ActualCost",
        "timeframe": "Custom",
        "timePeriod": {"from": "2026-10-01T00:00:00Z", "to": "2026-11-30T00:00:00Z"},
        "dataset": {
            "granularity": granularity,
            "aggregation": {"totalCost": {"name": "Cost", "function": "Sum"}},
            "grouping": grouping,
        },
    })
}
