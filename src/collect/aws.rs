//! AWS: the bill of a payer account, read day by day from Cost Explorer.
//!
//! One poll checks whose credentials it holds, then asks the same money along several dimensions
//! and once without any. Every page costs a cent and is reserved before it is asked for. What
//! machines in use are listed at comes from the Price List query API, once a day and free.

mod classify;
mod client;
mod config;
mod normalise;
mod price_list;
mod prove;
mod record_type;
mod request;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::collect::aws::classify::quote;
use crate::collect::aws::client::{Candidate, Session};
use crate::collect::aws::config::Settings;
pub use crate::collect::aws::config::{
    AwsAssumeRole, AwsCredentials, AwsEndpoints, AwsEntry, AwsExternalId, AwsStaticCredentials,
};
use crate::collect::aws::normalise::{Reading, control_totals};
use crate::collect::aws::request::{OPERATION, Query, price};
use crate::collect::prices::{self, ByMachine, Pages};
use crate::collect::proof::Proof;
use crate::collect::{Descriptor, PlannedRequest, PollRequest, Source, SourceKind};
use crate::domain::breakdown::{BreakdownRole, Dimension};
use crate::domain::identity::Provider;
use crate::domain::money::{Currency, Money};
use crate::domain::period::{BillingZone, Window, next_day};
use crate::domain::ports::{Meter, MeterError};
use crate::domain::price::{InUse, PriceReading, SkuPrice};
use crate::domain::report::{BreakdownReading, SourceError, SourceErrorKind, SourceReport};

/// How an entry under `sources.aws` is described and made into a source.
pub const KIND: SourceKind = SourceKind {
    name: "aws",
    permissions: prove::PERMISSIONS,
    schema: AwsEntry::json_schema,
    build: |entry, path, problems| {
        let settings = config::parse(entry, path, problems)?;
        Some(Box::new(AwsSource::new(settings)))
    },
};

/// The free operation that tells whose credentials they are.
const IDENTITY: &str = "GetCallerIdentity";

/// The waits before a request is sent again within one poll. Further patience is the poller's.
const QUICK_RETRIES: [Duration; 2] = [Duration::from_millis(500), Duration::from_millis(1500)];

/// One payer account's bill.
struct AwsSource {
    descriptor: Descriptor,
    settings: Settings,
    queries: Vec<Query>,
    session: Mutex<Option<Arc<Session>>>,
}

impl AwsSource {
    fn new(settings: Settings) -> Self {
        let queries = request::standard(&settings.id, &settings.gpu_families);
        let descriptor = Descriptor {
            id: settings.id.clone(),
            provider: Provider::Aws,
            lag: settings.lag.signed(),
            final_after: settings.final_after,
            poll_every: settings.poll_every.duration(),
            deadline: settings.deadline.duration(),
            monthly_cap: Some(settings.monthly_cap),
            maximum_age: settings.maximum_age.signed(),
            breakdowns: queries
                .iter()
                .filter(|query| !query.control)
                .map(|query| query.breakdown.clone())
                .collect(),
            list_prices: settings.price_list_region().is_some(),
        };
        Self { descriptor, settings, queries, session: Mutex::new(None) }
    }

    async fn read(
        &self,
        request: &PollRequest,
        meter: &dyn Meter,
    ) -> Result<SourceReport, SourceError> {
        let window = clipped(request.window, request.now);
        let mut report = SourceReport {
            source: self.descriptor.id.clone(),
            provider: Provider::Aws,
            window,
            days: window.days().collect(),
            breakdowns: Vec::with_capacity(self.queries.len()),
            control_totals: Vec::new(),
            names: Vec::new(),
            budgets: Vec::new(),
            data_through: None,
            cursor: None,
            observed_at: request.now,
        };
        if window.is_empty() {
            return Ok(report);
        }
        let meter = Reserving { meter, source: self, now: request.now };
        let session = self.session(request.now, &meter).await?;
        let mut retries = QUICK_RETRIES.into_iter();
        for query in &self.queries {
            let reading = pages(&session, query, window, &meter, &mut retries).await?;
            report.names.extend(reading.names());
            let rows = reading.rows();
            if query.control {
                report.control_totals = control_totals(rows);
            } else {
                let breakdown = query.breakdown.clone();
                report.breakdowns.push(BreakdownReading { breakdown, rows });
            }
        }
        report.data_through = data_through(&report);
        Ok(report)
    }

    async fn session(
        &self,
        now: Timestamp,
        meter: &Reserving<'_>,
    ) -> Result<Arc<Session>, SourceError> {
        let mut held = self.session.lock().await;
        if let Some(session) = held.as_ref().filter(|session| session.is_trusted(now)) {
            return Ok(Arc::clone(session));
        }
        *held = None;
        let candidate = Candidate::find(&self.settings).await?;
        meter.reserve(IDENTITY, Money::zero(Currency::USD)).await?;
        let session = Arc::new(candidate.identify(now).await?);
        *held = Some(Arc::clone(&session));
        Ok(session)
    }
}

#[async_trait]
impl Source for AwsSource {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn add_filtered(
        &mut self,
        query: &str,
        filters: &[(Dimension, Vec<String>)],
    ) -> Result<(), String> {
        if self.queries.iter().any(|asked| asked.name() == query) {
            return Err(format!("the query `{query}` exists already"));
        }
        let added = request::filtered(&self.descriptor.id, query, filters)?;
        self.descriptor.breakdowns.push(added.breakdown.clone());
        self.queries.push(added);
        Ok(())
    }

    fn plan(&self, window: &Window) -> Vec<PlannedRequest> {
        let mut plan = vec![PlannedRequest {
            operation: IDENTITY,
            purpose: "identity check".to_owned(),
            at_most: 1,
            price: None,
        }];
        plan.extend(self.queries.iter().map(|query| query.planned(window)));
        plan.push(PlannedRequest {
            operation: OPERATION,
            purpose: "repeats after a throttle".to_owned(),
            at_most: u32::try_from(QUICK_RETRIES.len()).unwrap_or(u32::MAX),
            price: Some(price()),
        });
        if self.descriptor.list_prices {
            plan.push(PlannedRequest {
                operation: price_list::PRICES,
                purpose: "list prices of the GPU machines in use, once a day".to_owned(),
                at_most: prices::MOST_REQUESTS,
                price: None,
            });
        }
        plan
    }

    async fn poll(
        &self,
        request: &PollRequest,
        meter: &dyn Meter,
    ) -> Result<SourceReport, SourceError> {
        let deadline = self.descriptor.deadline;
        let result =
            tokio::time::timeout(deadline, self.read(request, meter)).await.unwrap_or_else(|_| {
                Err(SourceError::new(
                    SourceErrorKind::Timeout,
                    format!(
                        "failed to read {} within the deadline of {} s",
                        request.window,
                        deadline.as_secs_f32()
                    ),
                ))
            });
        let refused = |error: &SourceError| {
            matches!(error.kind, SourceErrorKind::Auth | SourceErrorKind::Forbidden)
        };
        if result.as_ref().is_err_and(refused) {
            *self.session.lock().await = None;
        }
        result
    }

    async fn list_prices(
        &self,
        in_use: &InUse,
        now: Timestamp,
        meter: &dyn Meter,
    ) -> Result<Option<PriceReading>, SourceError> {
        if in_use.machines.is_empty() || !self.descriptor.list_prices {
            return Ok(None);
        }
        let meter = Reserving { meter, source: self, now };
        let session = self.session(now, &meter).await?;
        let mut read = ByMachine::until(Instant::now() + prices::PATIENCE);
        let pages = Pages::default();
        for machine in &in_use.machines {
            let (instance_type, region) = machine;
            let wanted = price_list::Wanted { instance_type, region, now };
            read.read(machine, list_prices_of(&session, &wanted, &pages, &meter)).await;
        }
        read.finish().map(Some)
    }

    fn paid_proof(&self) -> Vec<PlannedRequest> {
        vec![PlannedRequest {
            operation: OPERATION,
            purpose: "yesterday's total".to_owned(),
            at_most: 1,
            price: Some(price()),
        }]
    }

    async fn prove(&self, now: Timestamp, meter: &dyn Meter) -> Vec<Proof> {
        Box::pin(self.prove_all(now, meter)).await
    }
}

/// The meter as one poll uses it.
struct Reserving<'a> {
    meter: &'a dyn Meter,
    source: &'a AwsSource,
    now: Timestamp,
}

impl Reserving<'_> {
    async fn reserve(&self, operation: &'static str, price: Money) -> Result<(), SourceError> {
        let id = &self.source.descriptor.id;
        self.meter.reserve(id, operation, price).await.map_err(|error| match &error {
            MeterError::CapReached { resets_at, .. } => {
                let wait = Duration::try_from(resets_at.duration_since(self.now)).ok();
                SourceError::new(
                    SourceErrorKind::RateLimited,
                    format!("{operation} was not sent: {error}"),
                )
                .hint(format!("raise `monthly_cap`, or wait until {resets_at}"))
                .retry_after(wait)
            }
            MeterError::Ledger(_) => SourceError::new(
                SourceErrorKind::Unavailable,
                format!("{operation} was not sent: {error}"),
            ),
        })
    }
}

/// Every page of one question, each reserved before it is asked for, the repeated ones too.
async fn pages<'a>(
    session: &Session,
    query: &'a Query,
    window: Window,
    meter: &Reserving<'_>,
    retries: &mut impl Iterator<Item = Duration>,
) -> Result<Reading<'a>, SourceError> {
    let mut reading = Reading::new(query, window);
    let mut tokens = HashSet::new();
    let mut token: Option<String> = None;
    loop {
        meter.reserve(OPERATION, price()).await?;
        let page = match session.page(query, &window, token.as_deref()).await {
            Ok(page) => page,
            Err(error) => match quick_retry(&error, retries) {
                Some(wait) => {
                    tracing::debug!(source = %meter.source.descriptor.id, query = query.name(),
                        kind = error.kind.as_str(), "asking again");
                    tokio::time::sleep(wait).await;
                    continue;
                }
                None => return Err(error),
            },
        };
        reading.page(&page).map_err(|error| session.redacted(error))?;
        match page.next_page_token().filter(|next| !next.is_empty()) {
            None => return Ok(reading),
            Some(next) if tokens.insert(next.to_owned()) => token = Some(next.to_owned()),
            Some(next) => {
                return Err(session.redacted(SourceError::new(
                    SourceErrorKind::Malformed,
                    format!(
                        "{OPERATION} answered `{}` with the page token {} for the second time",
                        query.name(),
                        quote(next)
                    ),
                )));
            }
        }
    }
}

/// What a machine type is listed at in a region, from all pages.
async fn list_prices_of(
    session: &Session,
    wanted: &price_list::Wanted<'_>,
    pages: &Pages,
    meter: &Reserving<'_>,
) -> Result<Vec<SkuPrice>, SourceError> {
    let mut products = Vec::new();
    let mut token: Option<String> = None;
    for number in 0.. {
        pages.count(number)?;
        meter.reserve(price_list::PRICES, Money::zero(Currency::USD)).await?;
        let page = session.products(&wanted.filters(), token.as_deref()).await?;
        products.extend_from_slice(page.price_list());
        match page.next_token().filter(|next| !next.is_empty()) {
            Some(next) => token = Some(next.to_owned()),
            None => break,
        }
    }
    price_list::prices(&products, wanted).map_err(|error| session.redacted(error))
}

/// How long to wait before the same request is sent again, if it is worth it.
fn quick_retry(
    error: &SourceError,
    waits: &mut impl Iterator<Item = Duration>,
) -> Option<Duration> {
    let passing = matches!(error.kind, SourceErrorKind::RateLimited | SourceErrorKind::Unavailable);
    if !passing {
        return None;
    }
    match error.retry_after {
        Some(asked) => waits.next().filter(|wait| asked <= *wait),
        None => waits.next(),
    }
}

/// The part of a window that Cost Explorer answers for: it ends with today.
fn clipped(window: Window, now: Timestamp) -> Window {
    let tomorrow = next_day(BillingZone::Utc.day_of(now));
    Window::new(window.start, window.end.min(tomorrow))
}

/// Cost Explorer does not tell how far its data reaches: the end of the newest day that has a cost,
/// and no later than the poll.
fn data_through(report: &SourceReport) -> Option<Timestamp> {
    let primary = report
        .breakdowns
        .iter()
        .find(|reading| reading.breakdown.role == BreakdownRole::Primary)?;
    let newest = primary.rows.iter().map(|row| row.day).max()?;
    Some(BillingZone::Utc.end_of(newest).min(report.observed_at))
}
