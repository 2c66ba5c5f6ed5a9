//! Azure: Cost Management Query for what was billed, the Consumption API for budgets and for
//! agreements that Query does not serve.
//!
//! `docs/sources/azure.md` says how the figure is made.

mod classify;
mod config;
mod consumption;
mod credential;
mod exchange;
mod normalise;
mod prove;
mod query;
mod question;
mod regions;
mod retail;
mod throttle;
mod usage_details;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use schemars::SchemaGenerator;
use tokio::time::Instant;

use crate::collect::prices::{self, ByMachine, Pages};
use crate::collect::proof::Proof;
use crate::collect::{Descriptor, PlannedRequest, PollRequest, Source, SourceKind, http};
use crate::config::problems::Problems;
use crate::config::values::Span;
use crate::domain::breakdown::{BreakdownRole, Dimension};
use crate::domain::identity::{Provider, SourceId};
use crate::domain::period::{BillingZone, Window, next_day};
use crate::domain::ports::Meter;
use crate::domain::price::{InUse, PriceReading, SkuPrice};
use crate::domain::report::{
    BreakdownReading, ControlTotal, EntityName, NativeBudget, SourceError, SourceErrorKind,
    SourceReport,
};

use config::{Entry, Method, Settings};
use credential::Credential;
use exchange::Exchange;
use question::Question;
use throttle::{QPU_AN_HOUR, Throttle};

/// Azure as a kind of source.
pub const KIND: SourceKind =
    SourceKind { name: "azure", permissions: prove::PERMISSIONS, schema, build };

const POLL_EVERY: Span = Span::hours(6);
const LAG: Span = Span::hours(48);
const MAXIMUM_AGE: Span = Span::hours(48);
const DEADLINE: Span = Span::seconds(600);

/// The longest that one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Query reads a year at most without daily figures.
const NAMED_MONTHS: usize = 12;

fn schema(generator: &mut SchemaGenerator) -> schemars::Schema {
    generator.subschema_for::<Entry>()
}

fn build(
    entry: &serde_json::Value,
    path: &str,
    problems: &mut Problems,
) -> Option<Box<dyn Source>> {
    let entry: Entry = match serde_json::from_value(entry.clone()) {
        Ok(entry) => entry,
        Err(error) => {
            problems.add(path, format!("failed to read the source: {error}"));
            return None;
        }
    };
    let settings = Settings::of(&entry, path, problems)?;
    match AzureSource::new(&entry, settings) {
        Ok(source) => Some(Box::new(source)),
        Err(error) => {
            problems.add(path, format!("failed to set up TLS: {error}; install `ca-certificates`, or name a bundle in `SSL_CERT_FILE`"));
            None
        }
    }
}

/// What one interface told of a window.
#[derive(Debug, Default)]
struct Reading {
    breakdowns: Vec<BreakdownReading>,
    control_totals: Vec<ControlTotal>,
    /// Whether the agreement has amortised costs.
    has_amortized: bool,
}

/// One configured scope.
#[derive(Debug)]
struct AzureSource {
    descriptor: Descriptor,
    settings: Settings,
    questions: Vec<Question>,
    http: reqwest::Client,
    credential: Credential,
    throttle: Throttle,
    warned: Warned,
}

/// What has been warned of: each once, not at every poll.
#[derive(Debug, Default)]
struct Warned {
    amortized: AtomicBool,
    budgets: AtomicBool,
    names: AtomicBool,
}

impl AzureSource {
    fn new(entry: &Entry, settings: Settings) -> reqwest::Result<Self> {
        let id = SourceId::new(entry.name.as_str());
        let cadence = &entry.cadence;
        let questions = Question::standard();
        let deadline = cadence.deadline.unwrap_or(DEADLINE).duration();
        let http = http::builder(ANSWER_TIMEOUT.min(deadline)).build()?;
        let signed = |span: Option<Span>, default: Span| -> SignedDuration {
            span.unwrap_or(default).signed()
        };
        Ok(Self {
            descriptor: Descriptor {
                provider: Provider::Azure,
                lag: signed(cadence.lag, LAG),
                final_after: cadence.final_after(),
                poll_every: cadence.poll_every.unwrap_or(POLL_EVERY).duration(),
                deadline,
                monthly_cap: cadence.monthly_cap.map(|amount| amount.0),
                maximum_age: signed(cadence.maximum_age, MAXIMUM_AGE),
                breakdowns: questions.iter().filter_map(|each| each.breakdown(&id)).collect(),
                list_prices: settings.retail_prices.is_some(),
                id,
            },
            questions,
            credential: Credential::new(settings.clone(), http.clone()),
            http,
            settings,
            throttle: Throttle::new(),
            warned: Warned::default(),
        })
    }

    async fn read(
        &self,
        request: &PollRequest,
        meter: &dyn Meter,
        deadline: Instant,
    ) -> Result<SourceReport, SourceError> {
        let today = BillingZone::Utc.day_of(request.now);
        let window = request.window;
        let begun = Window::new(window.start, window.end.min(next_day(today)));
        let months = begun.months();
        let exchange = Exchange {
            source: &self.descriptor.id,
            settings: &self.settings,
            http: &self.http,
            credential: &self.credential,
            throttle: &self.throttle,
            meter,
            now: request.now,
            deadline,
        };
        let reading = match self.settings.method {
            Method::Query => query::read(&exchange, &self.questions, &months).await?,
            Method::UsageDetails => {
                usage_details::read(&exchange, &self.questions, &months).await?
            }
        };
        if !reading.has_amortized && !self.warned.amortized.swap(true, Ordering::Relaxed) {
            tracing::warn!(source = %self.descriptor.id, "the agreement has no amortised costs: effective costs are unknown");
        }
        let newest = reading
            .breakdowns
            .iter()
            .filter(|each| each.breakdown.role == BreakdownRole::Primary)
            .flat_map(|each| &each.rows)
            .map(|row| row.day)
            .max();
        Ok(SourceReport {
            source: self.descriptor.id.clone(),
            provider: Provider::Azure,
            window,
            days: begun.days().collect(),
            names: self.names(&exchange, begun, &months).await,
            budgets: self.budgets(&exchange).await,
            breakdowns: reading.breakdowns,
            control_totals: reading.control_totals,
            data_through: newest.map(|day| BillingZone::Utc.end_of(day).min(request.now)),
            cursor: None,
            observed_at: request.now,
        })
    }

    /// Names are for people: without them the poll is still good.
    async fn names(
        &self,
        exchange: &Exchange<'_>,
        begun: Window,
        months: &[Window],
    ) -> Vec<EntityName> {
        let named = months.len().min(NAMED_MONTHS);
        let qpu = u32::try_from(named).unwrap_or(u32::MAX);
        let Some(first) = months.get(months.len() - named) else {
            return Vec::new();
        };
        if self.settings.method == Method::UsageDetails {
            return Vec::new();
        }
        let window = Window::new(first.start, begun.end);
        query::subscription_names(exchange, window, qpu).await.unwrap_or_else(|error| {
            self.warn_once(&self.warned.names, "subscription names", &error);
            Vec::new()
        })
    }

    /// So are budgets.
    async fn budgets(&self, exchange: &Exchange<'_>) -> Vec<NativeBudget> {
        consumption::budgets(exchange).await.unwrap_or_else(|not_read| {
            self.warn_once(&self.warned.budgets, "budgets", &not_read.error);
            Vec::new()
        })
    }

    fn warn_once(&self, warned: &AtomicBool, what: &str, error: &SourceError) {
        if warned.swap(true, Ordering::Relaxed) {
            tracing::debug!(source = %self.descriptor.id, what, error = %error, "failed to read what the poll can do without");
        } else {
            tracing::warn!(source = %self.descriptor.id, what, error = %error, "failed to read what the poll can do without");
        }
    }

    /// A page of the retail price list. No token goes there.
    async fn retail_page(&self, url: &reqwest::Url) -> Result<bytes::Bytes, SourceError> {
        let response = self.http.get(url.clone()).send().await.map_err(classify::transport)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await;
        if (200..300).contains(&status) {
            return body.map_err(classify::transport);
        }
        let mut error =
            classify::classify(status, &headers, &body.unwrap_or_default(), retail::OPERATION);
        if !error.kind.is_temporary() {
            error.hint =
                Some("check `endpoints.retail_prices`, or set `list_prices: false`".into());
        }
        Err(exchange::during("list prices", error))
    }

    /// What a size is listed at in a region, from all pages.
    async fn list_prices_of(
        &self,
        wanted: &retail::Wanted<'_>,
        origin: &reqwest::Url,
        pages: &Pages,
        meter: &dyn Meter,
    ) -> Result<Vec<SkuPrice>, SourceError> {
        let mut read = Vec::new();
        let mut next = Some(wanted.url(origin));
        for number in 0.. {
            let Some(url) = next else { break };
            pages.count(number)?;
            exchange::count(&self.descriptor.id, retail::OPERATION, meter, wanted.now).await?;
            let page = self.retail_page(&url).await?;
            next = retail::next_page(&page, &url)?;
            read.push(page);
        }
        wanted.prices(&read)
    }

    fn planned_queries(&self, months: u32) -> Vec<PlannedRequest> {
        let pages =
            |question: &Question| 2_u32.saturating_mul(months).saturating_mul(question.max_pages);
        let named = months.min(12);
        let in_all = self.questions.iter().map(pages).fold(named, u32::saturating_add);
        let mut planned: Vec<_> = self
            .questions
            .iter()
            .map(|question| PlannedRequest {
                operation: "Query",
                purpose: format!(
                    "{}, actual and amortised: {} QPU at least, {} at most (all: {in_all} at most of the {QPU_AN_HOUR} an hour)",
                    question.purpose(),
                    2 * months,
                    pages(question),
                ),
                at_most: pages(question),
                price: None,
            })
            .collect();
        planned.push(PlannedRequest {
            operation: "Query",
            purpose: format!("names of sub_account_id: {named} QPU"),
            at_most: 1,
            price: None,
        });
        planned
    }
}

#[async_trait]
impl Source for AzureSource {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn add_filtered(
        &mut self,
        query: &str,
        filters: &[(Dimension, Vec<String>)],
    ) -> Result<(), String> {
        if self.questions.iter().any(|question| question.query == query) {
            return Err(format!("there is a breakdown `{query}` already"));
        }
        let question = Question::filtered(query, filters)?;
        self.descriptor.breakdowns.extend(question.breakdown(&self.descriptor.id));
        self.questions.push(question);
        Ok(())
    }

    fn plan(&self, window: &Window) -> Vec<PlannedRequest> {
        let months = u32::try_from(window.months().len()).unwrap_or(u32::MAX);
        let once = |operation, purpose: &str, at_most| PlannedRequest {
            operation,
            purpose: purpose.to_owned(),
            at_most,
            price: None,
        };
        let mut planned = match self.settings.method {
            Method::Query => self.planned_queries(months),
            Method::UsageDetails => vec![once(
                "UsageDetails",
                "line items, actual and amortised",
                months.saturating_mul(2 * usage_details::MAX_PAGES),
            )],
        };
        planned.push(once("Budgets", "budgets of the scope", consumption::MAX_BUDGET_PAGES));
        if self.settings.enrollment().is_some() {
            planned.push(once("Balances", "prepayment of the enrolment", 1));
            planned.push(once("Charges", "charges of the enrolment", 1));
        }
        if self.settings.retail_prices.is_some() {
            let purpose = "list prices of the GPU machines in use, once a day";
            planned.push(once(retail::OPERATION, purpose, prices::MOST_REQUESTS));
        }
        planned
    }

    async fn poll(
        &self,
        request: &PollRequest,
        meter: &dyn Meter,
    ) -> Result<SourceReport, SourceError> {
        let limit = self.descriptor.deadline;
        let deadline = Instant::now() + limit;
        let read = Box::pin(self.read(request, meter, deadline));
        let result = tokio::time::timeout_at(deadline, read).await.unwrap_or_else(|_| {
            Err(SourceError::new(
                SourceErrorKind::Timeout,
                format!("failed to read {} within {} s", request.window, limit.as_secs_f64()),
            )
            .hint("raise `deadline`, or configure narrower scopes"))
        });
        if result.as_ref().is_err_and(|error| error.kind == SourceErrorKind::Auth) {
            self.credential.forget();
        }
        result
    }

    async fn list_prices(
        &self,
        in_use: &InUse,
        now: Timestamp,
        meter: &dyn Meter,
    ) -> Result<Option<PriceReading>, SourceError> {
        let (Some(origin), Some(currency)) = (&self.settings.retail_prices, in_use.currency())
        else {
            return Ok(None);
        };
        if in_use.machines.is_empty() {
            return Ok(None);
        }
        let mut read = ByMachine::until(Instant::now() + prices::PATIENCE);
        let pages = Pages::default();
        for machine in &in_use.machines {
            let (size, region) = machine;
            let wanted = retail::Wanted { size, region, currency, now };
            read.read(machine, self.list_prices_of(&wanted, origin, &pages, meter)).await;
        }
        read.finish().map(Some)
    }

    async fn prove(&self, now: Timestamp, meter: &dyn Meter) -> Vec<Proof> {
        Box::pin(self.prove_all(now, meter)).await
    }
}

#[cfg(test)]
mod tests;
