//! A simulated Azure: Resource Manager's cost APIs and the endpoints that give tokens for it.
//!
//! # What each answer follows
//!
//! | answer | the documented example |
//! |---|---|
//! | `POST {scope}/providers/Microsoft.CostManagement/query` | the REST reference's *Query - Usage* examples for a subscription, a management group and a billing account (api-version 2023-11-01 and 2025-03-01): a resource named by a GUID, `properties.columns` of name and type, `properties.rows` as arrays, `nextLink` with a `$skiptoken`. A column bears the `name` of its aggregation, not its alias. The example for a daily query writes `UsageDate` as the number yyyymmdd; a monthly one `BillingMonth` as the first instant of the month |
//! | its refusals | *Invalid query definition: Invalid dataset grouping: 'x'; valid values: ...* and *The time period for pulling the data cannot exceed 1 year(s)*, as users quote them in public issues |
//! | its throttle | *Data latency and rate limits* in *Automate Cost Management*: query processing units over 10 seconds, a minute and an hour, the `qpu`, `entity`, `tenant` and `client` waiting times in headers, never `Retry-After`; the header values of a good answer as users quote them |
//! | `GET .../Microsoft.Consumption/budgets`, `usageDetails`, `charges`, `balances`, `marketplaces` | the specification's `BudgetsList`, `UsageDetailsList`, `UsageDetailsListByMCABillingAccount`, `ChargesListByModernBillingAccount`, `BalancesByBillingAccount` and `MarketplacesList` examples of 2024-08-01 |
//! | `GET /subscriptions`, `/tenants` | the *Subscriptions - List* and *Tenants - List* examples of 2022-12-01 |
//! | `GET /api/retail/prices` of `prices.azure.com`, without a token | the sample responses of *Azure Retail Prices overview*, api-version 2023-01-01-preview |
//! | `POST /{tenant}/oauth2/v2.0/token` | *OAuth 2.0 client credentials flow*: the shared secret and the federated credential case; errors with `error_codes` |
//! | `GET /metadata/identity/oauth2/token` | *How to use managed identities on a virtual machine* (header `Metadata`) |
//! | `GET /msi/token` | *App Service managed identity, REST endpoint reference* (header `X-IDENTITY-HEADER`) |
//!
//! Tax and credits are in no Query answer. Refunds and adjustments are there with `ChargeType`
//! `Refund`. Amounts are whole decimals, written as .NET writes doubles: below 1e-4 as `9.5E-05`.
//! Tokens and throttles live on the machine's clock, since their clients do; what is billed lives on
//! the world's.

mod consumption;
mod query;
mod refusal;
mod retail;
mod scope;
mod throttle;
mod token;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use rust_decimal::Decimal;

use crate::domain::money::Currency;
use crate::simulate::azure::refusal::Refusal;
use crate::simulate::azure::scope::Scope;
use crate::simulate::azure::throttle::Buckets;
use crate::simulate::azure::token::Tokens;
use crate::simulate::azure::wire::Call;
use crate::simulate::charge::World;
use crate::simulate::faults::{Fault, Faults};
use crate::simulate::spoil::spoil;

pub use crate::simulate::azure::throttle::Throttle;

/// The most bytes of a request's body that are read.
const LARGEST_BODY: usize = 1 << 20;

/// The shape in which usage details are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageDetailsKind {
    /// Pay-as-you-go and Enterprise Agreement.
    Legacy,
    /// Microsoft Customer Agreement.
    Modern,
}

/// A native budget that every scope of the world has.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Its name.
    pub name: String,
    /// The monthly amount in the options' currency.
    pub amount: Decimal,
}

/// What a simulated Azure is like. Nothing in it is a real secret.
#[derive(Clone)]
pub struct AzureOptions {
    /// The directory that gives tokens.
    pub tenant_id: String,
    /// The application, also the managed identity.
    pub client_id: String,
    /// The secret that the token endpoint expects.
    pub client_secret: String,
    /// The federated token that a client assertion must be; none takes any that is not empty.
    pub federated_token: Option<String>,
    /// What `X-IDENTITY-HEADER` must be.
    pub identity_header: String,
    /// How long a token is good. Zero makes every token expired from its birth.
    pub token_lifetime: Duration,
    /// The billing account that holds all subscriptions.
    pub billing_account: String,
    /// The management group that holds all subscriptions.
    pub management_group: String,
    /// Subscriptions besides those of the world's charges, by id and name.
    pub empty_subscriptions: Vec<(String, String)>,
    /// How many rows a page has when the request does not say: 1,000 at the real service.
    pub page_size: usize,
    /// How many items a page of the retail price list has: 1,000 at the real service, 100 in older
    /// versions.
    pub retail_page_size: usize,
    /// How many rows a request may ask for: 5,000 at the real service.
    pub largest_page: usize,
    /// The limits past which queries are refused; none refuses nothing and still counts.
    pub throttle: Option<Throttle>,
    /// Counts what was asked.
    pub requests: Arc<Requests>,
    /// The currency of budgets and balances.
    pub currency: Currency,
    /// The shape of usage details.
    pub usage_details: UsageDetailsKind,
    /// The operations that nobody may, of `Query`, `Budgets` and `UsageDetails`.
    pub denied: Vec<&'static str>,
    /// The budgets that each scope has.
    pub budgets: Vec<Budget>,
}

impl Default for AzureOptions {
    fn default() -> Self {
        Self {
            tenant_id: "7d1d4d4c-3f0a-4d55-9d0a-0c8a1d5f1c01".to_owned(),
            client_id: "2b5f6a1e-8a44-4d0e-b3c5-6f3e9f7a2d02".to_owned(),
            client_secret: "simulated-client-secret".to_owned(),
            federated_token: None,
            identity_header: "simulated-identity-header".to_owned(),
            token_lifetime: Duration::from_secs(3599),
            billing_account: "70664866".to_owned(),
            management_group: "gpu-fleet".to_owned(),
            empty_subscriptions: Vec::new(),
            page_size: 1000,
            retail_page_size: 100,
            largest_page: 5000,
            throttle: None,
            requests: Arc::default(),
            currency: Currency::USD,
            usage_details: UsageDetailsKind::Legacy,
            denied: Vec::new(),
            budgets: vec![Budget {
                name: "gpu-fleet-monthly".to_owned(),
                amount: Decimal::from(95_000),
            }],
        }
    }
}

/// What a simulated Azure was asked so far.
#[derive(Debug, Default)]
pub struct Requests {
    counts: Mutex<BTreeMap<&'static str, u64>>,
    client_types: Mutex<BTreeSet<String>>,
}

impl Requests {
    /// How often an operation was asked: `Token`, `Query`, `UsageDetails`, `Budgets`, `Charges`,
    /// `Balances`, `Marketplaces`, `Subscriptions`, `Tenants`, `RetailPrices`. Refused requests count.
    pub fn count(&self, operation: &str) -> u64 {
        let counts = self.counts.lock().expect("no holder of the lock panics");
        counts.get(operation).copied().unwrap_or(0)
    }

    /// The `ClientType` headers that queries bore.
    pub fn client_types(&self) -> Vec<String> {
        let names = self.client_types.lock().expect("no holder of the lock panics");
        names.iter().cloned().collect()
    }

    fn note(&self, operation: &'static str) {
        let mut counts = self.counts.lock().expect("no holder of the lock panics");
        *counts.entry(operation).or_insert(0) += 1;
    }

    fn note_client_type(&self, name: &str) {
        let mut names = self.client_types.lock().expect("no holder of the lock panics");
        if names.len() < 1000 {
            names.insert(name.to_owned());
        }
    }
}

/// Serves a world as Azure. It answers at the root of its own host: `nextLink` repeats the `Host`
/// header. Faults spoil the answers of the cost and consumption operations only, after the bearer
/// and the request were found good; tokens and subscription names are always told.
pub fn router(world: Arc<dyn World>, faults: Arc<Faults>, options: AzureOptions) -> Router {
    let buckets = Buckets::new(options.throttle);
    let azure = Azure { world, faults, options, tokens: Tokens::default(), buckets };
    Router::new().fallback(answer).with_state(Arc::new(azure))
}

/// The state that all answers share.
struct Azure {
    world: Arc<dyn World>,
    faults: Arc<Faults>,
    options: AzureOptions,
    tokens: Tokens,
    buckets: Buckets,
}

async fn answer(State(azure): State<Arc<Azure>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match to_bytes(body, LARGEST_BODY).await {
        Ok(body) => body,
        Err(_) => {
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Refusal::new(status, "RequestTooLarge", "The request is too large.")
                .into_response();
        }
    };
    let response = match route(&azure, &parts, body).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    };
    wire::with_request_ids(response)
}

async fn route(azure: &Azure, parts: &Parts, body: Bytes) -> Result<Response, Refusal> {
    let call = Call::new(parts, body)?;
    let words: Vec<String> = call.path.iter().map(|word| word.to_ascii_lowercase()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let get = call.method == Method::GET;
    match words.as_slice() {
        ["metadata", "identity", "oauth2", "token"] if get => {
            azure.options.requests.note("Token");
            Ok(token::instance_metadata(azure, &call))
        }
        ["msi", "token"] if get => {
            azure.options.requests.note("Token");
            Ok(token::app_service(azure, &call))
        }
        [tenant, "oauth2", "v2.0", "token"] if call.method == Method::POST => {
            azure.options.requests.note("Token");
            Ok(token::client_credentials(azure, tenant, &call))
        }
        [_, "v2.0", ".well-known", "openid-configuration"] if get => {
            Ok(token::openid_configuration(azure, &call))
        }
        ["api", "retail", "prices"] if get => {
            azure.options.requests.note("RetailPrices");
            retail::answer(azure, &call)
        }
        ["common", "discovery", "instance"] if get => Ok(token::instance_discovery(azure, &call)),
        _ => resource_manager(azure, &call, &words).await,
    }
}

async fn resource_manager(azure: &Azure, call: &Call, words: &[&str]) -> Result<Response, Refusal> {
    token::check_bearer(azure, call)?;
    call.check_api_version()?;
    let get = call.method == Method::GET;
    match words {
        ["tenants"] if get => {
            azure.options.requests.note("Tenants");
            return Ok(scope::tenants(azure));
        }
        ["subscriptions"] if get => {
            azure.options.requests.note("Subscriptions");
            return Ok(scope::list_subscriptions(azure));
        }
        ["subscriptions", id] if get => {
            azure.options.requests.note("Subscriptions");
            return scope::one_subscription(azure, id);
        }
        _ => {}
    }
    let provider = words.windows(2).rposition(|pair| {
        matches!(pair, ["providers", "microsoft.costmanagement" | "microsoft.consumption"])
    });
    let Some(at) = provider else { return Err(refusal::no_such_path(call)) };
    let (before, after) = words.split_at(at);
    let shown = call.path.get(..at).unwrap_or_default().join("/");
    let scope = Scope::find(azure, before, shown, call)?;
    match after.get(1..).unwrap_or_default() {
        ["microsoft.costmanagement", "query"] => query_operation(azure, call, &scope).await,
        ["microsoft.consumption", operation @ ..] => {
            consumption_operation(azure, call, &scope, operation).await
        }
        _ => Err(refusal::no_such_path(call)),
    }
}

async fn query_operation(azure: &Azure, call: &Call, scope: &Scope) -> Result<Response, Refusal> {
    azure.options.requests.note("Query");
    if azure.options.denied.contains(&"Query") {
        return Err(refusal::access_denied());
    }
    if call.method != Method::POST {
        return Err(refusal::wrong_method(call));
    }
    let client_type = call.header("clienttype");
    if let Some(name) = client_type {
        azure.options.requests.note_client_type(name);
    }
    let definition = query::Definition::read(call, scope, &azure.world.clock())?;
    let spent = definition.processing_units();
    let allowance = azure
        .buckets
        .spend(Instant::now(), &scope.entity(), client_type, spent)
        .map_err(|wait| refusal::too_many_requests(&wait))?;
    let mut page = query::run(azure, call, scope, &definition)?;
    let fault = azure.faults.take_if(|fault| match fault {
        Fault::ResetMidPage => page.continues || !page.more_follow(),
        Fault::WrongTotal => !definition.is_grouped(),
        _ => true,
    });
    if let Some(refusal) =
        fault.as_ref().and_then(|fault| refusal::shaped(fault, azure, "costmanagement"))
    {
        return Err(refusal);
    }
    match fault {
        Some(Fault::Empty) => page.empty(),
        Some(Fault::WrongTotal) => page.inflate(),
        _ => {}
    }
    let mut response = page.into_response();
    allowance.write(response.headers_mut(), spent);
    Ok(spoiled(fault, response).await)
}

async fn consumption_operation(
    azure: &Azure,
    call: &Call,
    scope: &Scope,
    operation: &[&str],
) -> Result<Response, Refusal> {
    let (name, answer) = match operation {
        ["budgets"] => ("Budgets", consumption::budgets as consumption::Operation),
        ["budgets", _] => ("Budgets", consumption::one_budget as consumption::Operation),
        ["usagedetails"] => ("UsageDetails", consumption::usage_details as consumption::Operation),
        ["marketplaces"] => ("Marketplaces", consumption::marketplaces as consumption::Operation),
        ["charges"] => ("Charges", consumption::charges as consumption::Operation),
        ["balances"] => ("Balances", consumption::balances as consumption::Operation),
        _ => return Err(refusal::no_such_path(call)),
    };
    azure.options.requests.note(name);
    if azure.options.denied.contains(&name) {
        return Err(refusal::access_denied());
    }
    if call.method != Method::GET {
        return Err(refusal::wrong_method(call));
    }
    let answer = answer(azure, call, scope)?;
    let fault = azure.faults.take_if(|fault| match fault {
        Fault::ResetMidPage => answer.continues || !answer.more_follow,
        Fault::WrongTotal => false,
        _ => true,
    });
    if let Some(refusal) =
        fault.as_ref().and_then(|fault| refusal::shaped(fault, azure, "consumption"))
    {
        return Err(refusal);
    }
    let response = match fault {
        Some(Fault::Empty) => answer.empty,
        _ => answer.full,
    };
    Ok(spoiled(fault, response).await)
}

async fn spoiled(fault: Option<Fault>, response: Response) -> Response {
    match fault {
        Some(fault) => spoil(&fault, response).await,
        None => response,
    }
}

/// A body without a byte.
fn no_content() -> Response {
    (StatusCode::NO_CONTENT, Body::empty()).into_response()
}
