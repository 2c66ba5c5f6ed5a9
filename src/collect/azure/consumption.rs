//! The Consumption API through `azure_mgmt_consumption`: budgets, and what an enterprise
//! enrolment's balance and charges say.
//!
//! The library keeps amounts as binary floating point. They are turned back by their shortest
//! text, which is exact to 15 digits: enough for budgets, and never used for spend.

use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core_legacy as legacy;
use azure_mgmt_consumption::package_2024_08 as consumption;
use consumption::models;
use futures_util::StreamExt;
use legacy::headers::{HeaderName, HeaderValue, Headers};
use rust_decimal::Decimal;

use crate::domain::money::{Currency, Money};
use crate::domain::report::{NativeBudget, SourceError, SourceErrorKind};

use super::classify;
use super::credential::Token;
use super::exchange::{Exchange, without_secret};

/// Pages of budgets at most.
pub(super) const MAX_BUDGET_PAGES: u32 = 10;

/// What reads the scope's budgets.
pub(super) const BUDGETS: &str = "Microsoft.Consumption/budgets/read";
/// What reads an enrolment's balance.
const BALANCES: &str = "Microsoft.Consumption/balances/read";
/// What reads an enrolment's charges.
const CHARGES: &str = "Microsoft.Consumption/charges/read";

/// What was not read.
pub(super) struct NotRead {
    /// What was asked for.
    pub permission: &'static str,
    /// Why it was not read.
    pub error: SourceError,
}

/// Reads the budgets of the scope and, for an enterprise enrolment, its prepayment as a budget.
pub(super) async fn budgets(exchange: &Exchange<'_>) -> Result<Vec<NativeBudget>, NotRead> {
    let of = |permission| move |error| NotRead { permission, error };
    let token = exchange.credential.token().await.map_err(of(BUDGETS))?;
    let scope = &exchange.settings.scope;
    let client = client(exchange, &token).map_err(|error| failed(&error, &token, scope));
    let client = client.map_err(of(BUDGETS))?;
    let mut budgets = list(exchange, &client, &token).await.map_err(of(BUDGETS))?;
    if let Some(enrollment) = exchange.settings.enrollment() {
        exchange.count("Balances").await.map_err(of(BALANCES))?;
        match client.balances_client().get_by_billing_account(enrollment).await {
            Ok(balance) => budgets.extend(prepayment(balance)),
            Err(error) if is_no_content(&error) => {}
            Err(error) => return Err(of(BALANCES)(failed(&error, &token, scope))),
        }
        exchange.count("Charges").await.map_err(of(CHARGES))?;
        match client.charges_client().list(scope.trim_start_matches('/')).await {
            Ok(charges) => tell_charges(exchange, charges),
            Err(error) if is_no_content(&error) => {}
            Err(error) => return Err(of(CHARGES)(failed(&error, &token, scope))),
        }
    }
    Ok(budgets)
}

async fn list(
    exchange: &Exchange<'_>,
    client: &consumption::Client,
    token: &Token,
) -> Result<Vec<NativeBudget>, SourceError> {
    // The library puts a slash of its own before the scope.
    let scope = exchange.settings.scope.trim_start_matches('/');
    let mut budgets = Vec::new();
    let mut pages = client.budgets_client().list(scope).into_stream();
    for _ in 0..MAX_BUDGET_PAGES {
        exchange.count("Budgets").await?;
        let page = match pages.next().await {
            Some(Ok(page)) => page,
            Some(Err(error)) if is_no_content(&error) => break,
            Some(Err(error)) => return Err(failed(&error, token, &exchange.settings.scope)),
            None => break,
        };
        budgets.extend(page.value.into_iter().filter_map(budget));
        if page.next_link.is_none_or(|link| link.is_empty()) {
            break;
        }
    }
    Ok(budgets)
}

/// A budget of costs. Without a current spend Azure tells no currency, and the budget is left out.
fn budget(budget: models::Budget) -> Option<NativeBudget> {
    let properties = budget.properties?;
    if properties.category != models::budget_properties::Category::Cost {
        return None;
    }
    let money = |amount: Option<f64>, unit: Option<&String>| {
        Some(Money::new(exact(amount?)?, unit?.parse::<Currency>().ok()?))
    };
    let current = properties.current_spend.as_ref();
    let forecast = properties.forecast_spend.as_ref();
    let current_spend = current.and_then(|spend| money(spend.amount, spend.unit.as_ref()));
    let forecast_spend = forecast.and_then(|spend| money(spend.amount, spend.unit.as_ref()));
    let currency = current_spend.or(forecast_spend)?.currency;
    Some(NativeBudget {
        name: budget.proxy_resource.name?,
        amount: Money::new(exact(properties.amount)?, currency),
        current_spend,
        forecast_spend,
        time_grain: serde_json::to_value(&properties.time_grain).ok()?.as_str()?.to_owned(),
    })
}

/// An enrolment's prepayment: what was there and what was bought, with what of it was used.
fn prepayment(balance: models::Balance) -> Option<NativeBudget> {
    let balance = balance.properties?;
    let currency: Currency = balance.currency?.parse().ok()?;
    let parts = [balance.beginning_balance, balance.new_purchases, balance.adjustments];
    let amount = parts
        .into_iter()
        .flatten()
        .try_fold(Decimal::ZERO, |sum, part| sum.checked_add(exact(part)?))?;
    Some(NativeBudget {
        name: "Azure Prepayment".to_owned(),
        amount: Money::new(amount, currency),
        current_spend: balance.utilized.and_then(exact).map(|used| Money::new(used, currency)),
        forecast_spend: None,
        time_grain: "BillingMonth".to_owned(),
    })
}

/// Charges are sums of a billing period without tax or credits, so they make no figure here; they
/// stand in the log for whoever compares the bill.
fn tell_charges(exchange: &Exchange<'_>, charges: models::ChargesListResult) {
    for charge in charges.value {
        if let models::ChargeSummaryUnion::Legacy(charge) = charge {
            let charge = charge.properties;
            tracing::debug!(
                source = %exchange.source,
                billing_period = charge.billing_period_id.as_deref().unwrap_or_default(),
                azure = charge.azure_charges,
                billed_separately = charge.charges_billed_separately,
                marketplace = charge.azure_marketplace_charges,
                currency = charge.currency.as_deref().unwrap_or_default(),
                "read charges of the enrolment"
            );
        }
    }
}

fn exact(amount: f64) -> Option<Decimal> {
    Decimal::from_str(&amount.to_string()).ok()
}

fn client(exchange: &Exchange<'_>, token: &Token) -> legacy::Result<consumption::Client> {
    let transport = Transport {
        http: exchange.http.clone(),
        endpoint: exchange.settings.resource_manager.clone(),
        client_type: exchange.settings.client_type.clone(),
    };
    consumption::Client::builder(Arc::new(OneToken(token.clone())))
        .endpoint(exchange.settings.resource_manager.clone())
        .scopes(&[&exchange.settings.token_scope])
        .retry(legacy::RetryOptions::none())
        .transport(legacy::TransportOptions::new(Arc::new(transport)))
        .build()
}

/// The library keeps the status, the code and the text of a refusal.
fn failed(error: &legacy::Error, token: &Token, scope: &str) -> SourceError {
    if let Some(refusal) = error.as_http_error() {
        let told = |text: Option<&str>| without_secret(text.unwrap_or_default(), &token.secret);
        let body = serde_json::json!({"error": {
            "code": told(refusal.error_code()), "message": told(refusal.error_message()),
        }});
        let (status, headers) = (u16::from(refusal.status()), reqwest::header::HeaderMap::new());
        return classify::classify(status, &headers, body.to_string().as_bytes(), scope);
    }
    let kind = match error.downcast_ref::<reqwest::Error>() {
        Some(error) if error.is_timeout() => SourceErrorKind::Timeout,
        _ => SourceErrorKind::Unavailable,
    };
    let text = without_secret(&error.to_string(), &token.secret);
    SourceError::new(kind, format!("failed to read budgets: {}", classify::quote(&text)))
}

/// The library reads the body of a 204 as JSON.
fn is_no_content(error: &legacy::Error) -> bool {
    matches!(
        error.kind(),
        legacy::error::ErrorKind::HttpResponse { status: legacy::StatusCode::NoContent, .. }
    ) || error.to_string().contains("EOF while parsing a value at line 1 column 0")
}

/// This poll's token as the library's credential.
#[derive(Debug)]
struct OneToken(Token);

#[async_trait]
impl legacy::auth::TokenCredential for OneToken {
    async fn get_token(&self, _: &[&str]) -> legacy::Result<legacy::auth::AccessToken> {
        let token = self.0.secret.expose().to_owned();
        Ok(legacy::auth::AccessToken::new(token, self.0.access.expires_on))
    }

    async fn clear_cache(&self) -> legacy::Result<()> {
        Ok(())
    }
}

/// The library's requests over the source's own client. A next page on another host is refused,
/// since the token goes with it.
#[derive(Debug)]
struct Transport {
    http: reqwest::Client,
    endpoint: reqwest::Url,
    client_type: String,
}

#[async_trait]
impl legacy::HttpClient for Transport {
    async fn execute_request(&self, request: &legacy::Request) -> legacy::Result<legacy::Response> {
        let io = |error: reqwest::Error| {
            legacy::Error::new(legacy::error::ErrorKind::Io, error.without_url())
        };
        let is_own = request.url().origin() == self.endpoint.origin();
        if *request.method() != legacy::Method::Get || !is_own {
            return Err(legacy::Error::message(
                legacy::error::ErrorKind::Other,
                "the next page is on another host: the token is not sent there",
            ));
        }
        let mut sent = self.http.get(request.url().clone()).header("ClientType", &self.client_type);
        for (name, value) in request.headers().iter() {
            sent = sent.header(name.as_str(), value.as_str());
        }
        let response = sent.send().await.map_err(io)?;
        let status = legacy::StatusCode::try_from(response.status().as_u16()).map_err(|_| {
            legacy::Error::message(legacy::error::ErrorKind::Other, "an unknown status")
        })?;
        let mut headers = Headers::new();
        for (name, value) in response.headers() {
            if let Ok(value) = value.to_str() {
                headers.insert(
                    HeaderName::from(name.as_str().to_owned()),
                    HeaderValue::from(value.to_owned()),
                );
            }
        }
        let body = response.bytes().await.map_err(io)?;
        let body = futures_util::stream::iter([Ok(body)]);
        Ok(legacy::Response::new(status, headers, Box::pin(body)))
    }
}
