//! Google Cloud: the billing export in BigQuery, standard, detailed or FOCUS.
//!
//! A poll asks which usage days have rows that were exported since the last one, then reads those
//! days whole: once ungrouped for the control total and once for each breakdown. How the figure
//! is made stands in `docs/sources/gcp.md`.

mod catalogue;
mod classify;
mod client;
mod config;
mod normalise;
mod prove;
mod query;

use async_trait::async_trait;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use self::catalogue::Wanted;
use self::client::{Client, Counter, Described, MOST_ROWS, PAGE_ROWS};
use self::config::{Entry, Settings};
use self::normalise::ChangedDays;
use self::query::{Cut, Reading};
use crate::collect::proof::Proof;
use crate::collect::{Descriptor, PlannedRequest, PollRequest, Source, SourceKind};
use crate::config::problems::Problems;
use crate::domain::breakdown::{Breakdown, BreakdownRole, ChargeCategory, Dimension};
use crate::domain::identity::Provider;
use crate::domain::period::{BillingZone, Window};
use crate::domain::ports::Meter;
use crate::domain::price::{InUse, PriceReading};
use crate::domain::report::{
    BreakdownReading, EntityName, SourceError, SourceErrorKind, SourceReport,
};

/// Sources of the kind `gcp`.
pub const KIND: SourceKind = SourceKind {
    name: "gcp",
    permissions: prove::PERMISSIONS,
    schema: |generator| generator.subschema_for::<Entry>(),
    build: |entry, path, problems| {
        let source = Gcp::build(entry, path, problems)?;
        Some(Box::new(source))
    },
};

/// The filter of every breakdown but the categories.
const SPEND: &str = "spend";
/// Google fills a new export with the days since the start of the previous month, oldest first,
/// within five days ("Frequency of data loads" in the export's documentation).
const FILLING: SignedDuration = SignedDuration::from_hours(5 * 24);
/// An export that brought nothing for so long has stopped: Google exports several times a day.
const STOPPED: SignedDuration = SignedDuration::from_hours(5 * 24);
const SWITCHED_ON: &str = "see in the console under Billing > Billing export > BigQuery export \
    whether it is switched on and goes to this dataset";

/// One billing account's export.
struct Gcp {
    settings: Settings,
    descriptor: Descriptor,
    cuts: Vec<Cut>,
}

impl Gcp {
    fn build(entry: &serde_json::Value, path: &str, problems: &mut Problems) -> Option<Self> {
        let entry: Entry = match serde_json::from_value(entry.clone()) {
            Ok(entry) => entry,
            Err(error) => {
                problems.add(path, error.to_string());
                return None;
            }
        };
        let settings = Settings::check(entry, path, problems)?;
        let cuts = standard_cuts(&settings);
        let descriptor = Descriptor {
            id: settings.source.clone(),
            provider: Provider::Gcp,
            lag: settings.lag.signed(),
            final_after: settings.final_after,
            poll_every: settings.poll_every,
            deadline: settings.deadline,
            monthly_cap: Some(settings.monthly_cap),
            maximum_age: settings.maximum_age.signed(),
            breakdowns: cuts.iter().map(|cut| cut.breakdown.clone()).collect(),
            list_prices: settings.list_prices && settings.may_ask_billing(),
        };
        Some(Self { settings, descriptor, cuts })
    }

    async fn read(
        &self,
        request: &PollRequest,
        meter: &dyn Meter,
    ) -> Result<SourceReport, SourceError> {
        let settings = &self.settings;
        let credentials = client::credentials(settings)?;
        let client = Client::new(settings, credentials.clone(), meter, request.now).await?;
        let described = client.describe().await?;
        let cursor = request.cursor.as_deref().and_then(Cursor::read);
        let since = cursor.map(|cursor| cursor.exported);
        let statement = query::changed_days(&described.table, request.window, since);
        let rows = client.read(&statement, &described.location, "which days changed").await?;
        let changed = normalise::changed_days(&rows)?;
        self.check_identity(&changed)?;
        let Some(through) = changed.exported.max(since) else {
            return Err(self.still_filling(request.window, &described));
        };
        match cursor {
            None => self.check_filled(request, &changed, &described)?,
            Some(_) => self.check_alive(request, through)?,
        }
        let mut report = SourceReport {
            source: settings.source.clone(),
            provider: Provider::Gcp,
            window: request.window,
            days: days_to_read(request.window, cursor, &changed.days),
            breakdowns: Vec::new(),
            control_totals: Vec::new(),
            names: Vec::new(),
            budgets: Vec::new(),
            data_through: Some(through),
            cursor: None,
            observed_at: request.now,
        };
        self.read_days(&client, &described, through, &mut report).await?;
        if !report.days.is_empty() && self.settings.may_ask_billing() {
            client.reserve("billingAccounts.get", client.free()).await?;
            let name = Box::pin(catalogue::billing_account_name(settings, credentials));
            let name = name.await.unwrap_or_else(|error| {
                tracing::debug!(source = %settings.source, %error, "billing account name not read");
                None
            });
            report.names.extend(name.map(|name| EntityName {
                dimension: Dimension::SubAccountId,
                key: settings.billing_account.clone(),
                name,
            }));
        }
        let cursor = Cursor { exported: through, window: request.window };
        report.cursor = Some(cursor.to_string());
        Ok(report)
    }

    /// Reads the report's days: the control total and every breakdown, each by its own query.
    async fn read_days(
        &self,
        client: &Client<'_>,
        described: &Described,
        through: Timestamp,
        report: &mut SourceReport,
    ) -> Result<(), SourceError> {
        let (table, location) = (&described.table, described.location.as_str());
        if report.days.is_empty() {
            let unread =
                |cut: &Cut| BreakdownReading { breakdown: cut.breakdown.clone(), rows: vec![] };
            report.breakdowns = self.cuts.iter().map(unread).collect();
            return Ok(());
        }
        let days = report.days.clone();
        let reading = Reading { days: &days, through };
        let rows =
            client.read(&query::control(table, reading), location, "the control total").await?;
        report.control_totals = normalise::control(&rows, &days)?;
        for cut in &self.cuts {
            let statement = query::breakdown(table, reading, cut);
            let purpose = format!("`{}`", cut.breakdown.query);
            let rows = client.read(&statement, location, &purpose).await?;
            if cut.breakdown.role == BreakdownRole::Primary {
                report.names.extend(normalise::project_names(&rows, cut)?);
            }
            report.breakdowns.push(BreakdownReading {
                breakdown: cut.breakdown.clone(),
                rows: normalise::breakdown(&rows, cut, &days)?,
            });
        }
        Ok(())
    }

    fn check_identity(&self, changed: &ChangedDays) -> Result<(), SourceError> {
        let configured = &self.settings.billing_account;
        let Some(other) = changed.accounts.iter().find(|account| *account != configured) else {
            return Ok(());
        };
        Err(SourceError::new(
            SourceErrorKind::Auth,
            format!(
                "identity: the export `{}` holds costs of billing account `{other}`, configured is `{configured}`",
                self.settings.table_path()
            ),
        )
        .hint("set `billing_account` or `table`; `gcloud billing accounts list` prints the accounts"))
    }

    fn still_filling(&self, window: Window, described: &Described) -> SourceError {
        let made = match described.created {
            Some(created) => format!("was made at {created} and "),
            None => String::new(),
        };
        SourceError::new(
            SourceErrorKind::NotReady,
            format!(
                "the billing export `{}` {made}has no cost for the days {window} yet",
                self.settings.table_path()
            ),
        )
        .hint(format!(
            "a new export is filled within five days; see how far it is with \
             `bq query --nouse_legacy_sql 'SELECT MAX(export_time), COUNT(*) FROM \u{60}{}\u{60}'`",
            self.settings.table_path()
        ))
    }

    /// A first reading waits until the export has caught up: days that are half exported would
    /// otherwise look complete.
    fn check_filled(
        &self,
        request: &PollRequest,
        changed: &ChangedDays,
        described: &Described,
    ) -> Result<(), SourceError> {
        let Some(newest) = changed.days.last() else { return Ok(()) };
        let zone = BillingZone::Pacific;
        let expected = zone.start_of(request.window.end).min(request.now);
        let behind = expected.duration_since(zone.end_of(*newest));
        let young = described.created.is_some_and(|created| {
            (SignedDuration::ZERO..FILLING).contains(&request.now.duration_since(created))
        });
        let reaches_now = request.window.end >= zone.day_of(request.now);
        let filling = young && behind > self.descriptor.lag;
        if !(filling || reaches_now && behind > STOPPED) {
            return Ok(());
        }
        let state = if filling { "is still filling" } else { "is still filling or has stopped" };
        Err(SourceError::new(
            SourceErrorKind::NotReady,
            format!(
                "the billing export `{}` {state}: its newest day is {newest}",
                self.settings.table_path()
            ),
        )
        .hint(format!(
            "google exports the past oldest first and needs up to five days; {SWITCHED_ON}"
        )))
    }

    fn check_alive(&self, request: &PollRequest, newest: Timestamp) -> Result<(), SourceError> {
        if request.now.duration_since(newest) <= STOPPED {
            return Ok(());
        }
        Err(SourceError::new(
            SourceErrorKind::NotReady,
            format!(
                "the billing export `{}` has brought nothing since {newest}",
                self.settings.table_path()
            ),
        )
        .hint(SWITCHED_ON))
    }
}

#[async_trait]
impl Source for Gcp {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn add_filtered(
        &mut self,
        query: &str,
        filters: &[(Dimension, Vec<String>)],
    ) -> Result<(), String> {
        for (dimension, values) in filters {
            if !query::can_ask(self.settings.table_kind, *dimension) {
                return Err(format!(
                    "the billing export of Google Cloud has no `{dimension}`: cores, memory and GPUs of a machine are billed apart; use `sku`"
                ));
            }
            if values.is_empty() {
                return Err(format!("`{dimension}` has no value"));
            }
            if *dimension == Dimension::ChargeCategory {
                for value in values {
                    if !value.parse::<ChargeCategory>().is_ok_and(ChargeCategory::in_spend) {
                        return Err(format!(
                            "`{value}` is not part of spend: want `usage` or `purchase`"
                        ));
                    }
                }
            }
        }
        let mut filters = filters.to_vec();
        for (_, values) in &mut filters {
            values.sort();
            values.dedup();
        }
        filters.sort();
        let breakdown = Breakdown {
            source: self.settings.source.clone(),
            query: query.to_owned(),
            filter: canonical(&filters),
            dimensions: Vec::new(),
            role: BreakdownRole::Filtered,
        };
        self.descriptor.breakdowns.push(breakdown.clone());
        self.cuts.push(Cut { breakdown, by_category: false, gpus: false, filters });
        Ok(())
    }

    fn plan(&self, _window: &Window) -> Vec<PlannedRequest> {
        let queries = u32::try_from(self.cuts.len()).unwrap_or(u32::MAX).saturating_add(2);
        let pages = u32::try_from(MOST_ROWS / u64::from(PAGE_ROWS)).unwrap_or(u32::MAX);
        let most = self.settings.price_of(None);
        let free = |operation, purpose: &str, at_most| PlannedRequest {
            operation,
            purpose: purpose.to_owned(),
            at_most,
            price: None,
        };
        let paid = |purpose: String| PlannedRequest {
            operation: "jobs.query",
            purpose,
            at_most: 1,
            price: Some(most),
        };
        let mut plan = vec![
            free("tables.get", "whether the export is there", 1),
            free("jobs.insert", "the size of each query, by a dry run", queries),
            paid("which days changed".to_owned()),
            paid("control total of the changed days".to_owned()),
        ];
        for cut in &self.cuts {
            let dimensions: Vec<&str> =
                cut.breakdown.dimensions.iter().map(|dimension| dimension.as_str()).collect();
            let by = if dimensions.is_empty() {
                String::new()
            } else {
                format!(" ({})", dimensions.join(" x "))
            };
            plan.push(paid(format!("`{}`{by}", cut.breakdown.query)));
        }
        plan.push(free("jobs.getQueryResults", "further pages", queries.saturating_mul(pages - 1)));
        if self.settings.may_ask_billing() {
            plan.push(free("billingAccounts.get", "the billing account's name", 1));
        }
        if self.descriptor.list_prices {
            let purpose = "list prices of GPU machines, once a day";
            plan.push(free("skus.list", purpose, catalogue::MOST_PAGES));
        }
        plan
    }

    async fn poll(
        &self,
        request: &PollRequest,
        meter: &dyn Meter,
    ) -> Result<SourceReport, SourceError> {
        let reading = Box::pin(self.read(request, meter));
        match tokio::time::timeout(self.settings.deadline, reading).await {
            Ok(report) => report,
            Err(_) => Err(SourceError::new(
                SourceErrorKind::Timeout,
                format!(
                    "failed to read `{}` within {:?}",
                    self.settings.table_path(),
                    self.settings.deadline
                ),
            )),
        }
    }

    async fn list_prices(
        &self,
        in_use: &InUse,
        now: Timestamp,
        meter: &dyn Meter,
    ) -> Result<Option<PriceReading>, SourceError> {
        let settings = &self.settings;
        let (Some(currency), true) = (in_use.currency(), self.descriptor.list_prices) else {
            return Ok(None);
        };
        if in_use.regions.is_empty() {
            return Ok(None);
        }
        let wanted = Wanted { regions: in_use.regions.clone(), currency, now };
        let counter = Counter { settings, meter, now };
        let credentials = client::credentials(settings)?;
        let asked = catalogue::list_prices(&counter, settings, credentials, &wanted);
        let prices = Box::pin(asked).await?;
        Ok(Some(PriceReading { prices, ..PriceReading::default() }))
    }

    async fn prove(&self, now: Timestamp, meter: &dyn Meter) -> Vec<Proof> {
        Box::pin(self.prove_all(now, meter)).await
    }
}

fn standard_cuts(settings: &Settings) -> Vec<Cut> {
    let cut = |query: &str, filter: &str, dimensions: &[Dimension], role| Cut {
        breakdown: Breakdown {
            source: settings.source.clone(),
            query: query.to_owned(),
            filter: filter.to_owned(),
            dimensions: dimensions.to_vec(),
            role,
        },
        by_category: role == BreakdownRole::Categories,
        gpus: false,
        filters: Vec::new(),
    };
    use Dimension::{ChargeCategory, RegionId, ServiceName, Sku, SubAccountId};
    vec![
        cut("service_sub_account", SPEND, &[ServiceName, SubAccountId], BreakdownRole::Primary),
        cut("charge_category", "", &[ChargeCategory], BreakdownRole::Categories),
        cut("region", SPEND, &[RegionId], BreakdownRole::Secondary),
        Cut {
            gpus: true,
            ..cut(
                "gpu_sku",
                "spend; sku of GPU machines, families A2 to G4",
                &[Sku, RegionId],
                BreakdownRole::Filtered,
            )
        },
    ]
}

/// Filters in one text that tells every value from every other: `spend; region_id=["us-east4"]`.
fn canonical(filters: &[(Dimension, Vec<String>)]) -> String {
    let mut text = SPEND.to_owned();
    for (dimension, values) in filters {
        text.push_str(&format!("; {dimension}={}", serde_json::Value::from(values.clone())));
    }
    text
}

/// The changed days of the window, and those that the last poll did not look at.
fn days_to_read(window: Window, cursor: Option<Cursor>, changed: &[Date]) -> Vec<Date> {
    let known = |day: Date| cursor.is_some_and(|cursor| cursor.window.contains(day));
    window.days().filter(|day| !known(*day) || changed.binary_search(day).is_ok()).collect()
}

/// Where the next poll goes on: `2026-11-20T08:15:00.123456Z 2026-10-01..2026-11-21`. Google's export
/// times only grow, so what was exported later is what was not read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    /// The newest export time that was read.
    exported: Timestamp,
    /// The days that were looked at.
    window: Window,
}

impl Cursor {
    /// Reads a cursor; none for a text that is none, so that the whole window is read again.
    fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let exported = words.next()?.parse().ok()?;
        let (start, end) = words.next()?.split_once("..")?;
        Some(Self { exported, window: Window::new(start.parse().ok()?, end.parse().ok()?) })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.6} {}", self.exported, self.window)
    }
}

#[cfg(test)]
mod tests;
