//! The configuration of one GCP source: what a user writes becomes checked settings.
//!
//! Names that go into SQL between backticks are held against a strict pattern here, so that the
//! SQL writer can trust them.

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::collect::Cadence;
use crate::config::problems::Problems;
use crate::config::values::{Amount, ByteSize, Span};
use crate::domain::identity::SourceId;
use crate::domain::money::{Currency, Money};

/// One Google Cloud billing account, read from its export to BigQuery.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Entry {
    /// A name for this source, unique in the configuration: the `source` label.
    pub name: String,
    /// The billing account that the export must belong to: `01ABCD-2EF345-6789AB`.
    pub billing_account: String,
    /// The project that runs the queries and pays for them.
    pub project: String,
    /// Where the export is: `project.dataset`, or `dataset` in the project that runs the queries.
    pub dataset: String,
    /// The export's table. By default the one that Google names after the billing account.
    #[serde(default)]
    pub table: Option<String>,
    /// Which of Google's exports the table is. By default told from the table's name.
    #[serde(default)]
    pub table_kind: Option<TableKind>,
    /// The dataset's location, such as `US` or `europe-west1`. By default the table's own.
    #[serde(default)]
    pub location: Option<String>,
    /// The most that one query may read; BigQuery refuses a larger one without charge. `10GB` by
    /// default.
    #[serde(default)]
    pub maximum_bytes_billed: Option<ByteSize>,
    /// What BigQuery charges for a TiB read on demand, `6.25 USD` by default. `0 USD` where the
    /// project has reserved slots.
    #[serde(default)]
    pub price_per_tib: Option<Amount>,
    /// Who asks. By default the application default credentials: `GOOGLE_APPLICATION_CREDENTIALS`,
    /// the gcloud file, workload identity on GKE, the metadata server.
    #[serde(default)]
    pub credentials: Credentials,
    /// Other addresses than Google's public ones.
    #[serde(default)]
    pub endpoints: Endpoints,
    /// How often, how long, how much.
    #[serde(flatten)]
    pub cadence: Cadence,
}

/// Which of Google's billing exports a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TableKind {
    /// `gcp_billing_export_v1_...`: standard usage cost.
    Standard,
    /// `gcp_billing_export_resource_v1_...`: detailed usage cost.
    Detailed,
    /// `gcp_billing_export_focus_...`: Google's FOCUS export (preview).
    Focus,
}

impl TableKind {
    /// How Google's name of such a table begins.
    fn prefix(self) -> &'static str {
        match self {
            Self::Standard => "gcp_billing_export_v1_",
            Self::Detailed => "gcp_billing_export_resource_v1_",
            Self::Focus => "gcp_billing_export_focus_",
        }
    }

    fn of_name(table: &str) -> Option<Self> {
        [Self::Standard, Self::Detailed, Self::Focus]
            .into_iter()
            .find(|kind| table.starts_with(kind.prefix()))
    }
}

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// A JSON file: a workload identity federation configuration, a service account key, an
    /// impersonation or a user's credentials. Read again at each poll.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// No credentials at all: for emulators only, so `endpoints.bigquery` must be given too.
    #[serde(default)]
    pub anonymous: bool,
}

/// Other addresses than Google's public ones, such as `https://bigquery.p.googleapis.com`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoints {
    /// The BigQuery API, `https://bigquery.googleapis.com` by default.
    #[serde(default)]
    pub bigquery: Option<String>,
    /// The Cloud Billing API, `https://cloudbilling.googleapis.com` by default.
    #[serde(default)]
    pub billing: Option<String>,
}

/// A checked entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The configured name.
    pub source: SourceId,
    /// `XXXXXX-XXXXXX-XXXXXX`.
    pub billing_account: String,
    /// The project that runs the queries.
    pub project: String,
    /// The project that holds the dataset.
    pub dataset_project: String,
    /// The dataset's own name.
    pub dataset: String,
    /// The table's own name.
    pub table: String,
    /// What it holds.
    pub table_kind: TableKind,
    /// The dataset's location, where it was configured.
    pub location: Option<String>,
    /// The most that one query may read, in bytes.
    pub maximum_bytes_billed: i64,
    /// What a TiB read costs.
    pub price_per_tib: Money,
    /// Who asks.
    pub credentials: Credentials,
    /// Other addresses.
    pub endpoints: Endpoints,
    /// How often it is polled.
    pub poll_every: Duration,
    /// How long one poll may take.
    pub deadline: Duration,
    /// How long after a day's end its costs may arrive.
    pub lag: Span,
    /// How old the newest good reading may grow.
    pub maximum_age: Span,
    /// How long nothing new must come for a past invoice month before it is final.
    pub final_after: SignedDuration,
    /// Whether list prices are read.
    pub list_prices: bool,
    /// The most that the queries may cost in a calendar month.
    pub monthly_cap: Money,
}

const DEFAULT_MAXIMUM_BYTES: i64 = 10_000_000_000;
const TEBIBYTE: i64 = 1 << 40;
/// The least that BigQuery bills for one query over one table.
const LEAST_BYTES_BILLED: i64 = 10 * 1024 * 1024;

impl Settings {
    /// An emulator's user has no Cloud Billing API unless one is named.
    pub fn may_ask_billing(&self) -> bool {
        !self.credentials.anonymous || self.endpoints.billing.is_some()
    }

    /// Checks an entry; notes what is wrong under `path` and returns none then.
    pub fn check(entry: Entry, path: &str, problems: &mut Problems) -> Option<Self> {
        let before = problems.len();
        let mut check = |field: &str, value: &str, valid: bool, want: &str| {
            if !valid {
                problems.add(format!("{path}.{field}"), format!("`{value}` is not {want}"));
            }
        };
        check("name", &entry.name, !entry.name.trim().is_empty(), "a name: it is empty");
        check(
            "billing_account",
            &entry.billing_account,
            is_billing_account(&entry.billing_account),
            "a billing account: want `XXXXXX-XXXXXX-XXXXXX`, as `gcloud billing accounts list` prints it",
        );
        check(
            "project",
            &entry.project,
            is_project(&entry.project),
            "a project id such as `my-project-123`",
        );
        let (dataset_project, dataset) = match entry.dataset.rsplit_once('.') {
            Some((project, dataset)) => (project.to_owned(), dataset.to_owned()),
            None => (entry.project.clone(), entry.dataset.clone()),
        };
        check(
            "dataset",
            &entry.dataset,
            is_project(&dataset_project) && is_identifier(&dataset, false),
            "a dataset: want `project.dataset` of letters, digits and underscores",
        );
        let table = entry.table.clone().unwrap_or_else(|| {
            let kind = entry.table_kind.unwrap_or(TableKind::Standard);
            format!("{}{}", kind.prefix(), entry.billing_account.replace('-', "_"))
        });
        check(
            "table",
            &table,
            is_identifier(&table, true),
            "a table's name: want letters, digits, underscores and hyphens",
        );
        if let Some(location) = &entry.location {
            check("location", location, is_location(location), "a location such as `US`");
        }
        let table_kind = entry.table_kind.or_else(|| TableKind::of_name(&table));
        if table_kind.is_none() {
            problems.add(
                format!("{path}.table_kind"),
                format!(
                    "the name `{table}` does not tell which export it is: want `standard`, `detailed` or `focus`"
                ),
            );
        }
        check_access(&entry, path, problems);
        let (price_per_tib, monthly_cap) = check_money(&entry, path, problems);
        let maximum = entry.maximum_bytes_billed.map_or(Ok(DEFAULT_MAXIMUM_BYTES), |size| {
            i64::try_from(size.get()).map_err(|_| size.get())
        });
        let maximum_bytes_billed = maximum.unwrap_or(i64::MAX);
        if maximum_bytes_billed < LEAST_BYTES_BILLED {
            problems.add(
                format!("{path}.maximum_bytes_billed"),
                format!("{maximum_bytes_billed} bytes is below the 10 MiB that BigQuery bills at least for a query"),
            );
        }
        if problems.len() > before {
            return None;
        }
        let cadence = &entry.cadence;
        Some(Self {
            source: SourceId::new(entry.name),
            billing_account: entry.billing_account,
            project: entry.project,
            dataset_project,
            dataset,
            table,
            table_kind: table_kind?,
            location: entry.location,
            maximum_bytes_billed,
            price_per_tib,
            credentials: entry.credentials,
            endpoints: entry.endpoints,
            poll_every: cadence.poll_every.unwrap_or(Span::hours(4)).duration(),
            deadline: cadence.deadline.unwrap_or(Span::seconds(600)).duration(),
            lag: cadence.lag.unwrap_or(Span::hours(48)),
            final_after: cadence.final_after(),
            list_prices: cadence.list_prices(),
            maximum_age: cadence.maximum_age.unwrap_or(Span::hours(48)),
            monthly_cap,
        })
    }

    /// `project.dataset.table`.
    pub fn table_path(&self) -> String {
        format!("{}.{}.{}", self.dataset_project, self.dataset, self.table)
    }

    /// `project:dataset`, as the `bq` command wants it.
    pub fn dataset_for_bq(&self) -> String {
        format!("{}:{}", self.dataset_project, self.dataset)
    }

    /// What a query that reads so many bytes is reserved at: at least the 10 MiB that BigQuery
    /// bills for any query, at most `maximum_bytes_billed`, which is also the price of an unknown
    /// size. A tenth is added, since the table may grow between estimate and query.
    pub fn price_of(&self, bytes: Option<i64>) -> Money {
        let bytes = bytes.map_or(self.maximum_bytes_billed, |bytes| {
            bytes
                .saturating_add(bytes / 10)
                .clamp(LEAST_BYTES_BILLED.min(self.maximum_bytes_billed), self.maximum_bytes_billed)
        });
        let amount = self.price_per_tib.amount * Decimal::from(bytes) / Decimal::from(TEBIBYTE);
        Money::new(amount.round_dp(12), self.price_per_tib.currency)
    }
}

fn check_access(entry: &Entry, path: &str, problems: &mut Problems) {
    if entry.credentials.anonymous && entry.endpoints.bigquery.is_none() {
        problems.add(
            format!("{path}.credentials.anonymous"),
            "`true` is for emulators only: give `endpoints.bigquery` too",
        );
    }
    if entry.credentials.anonymous && entry.credentials.file.is_some() {
        problems.add(format!("{path}.credentials"), "want at most one of `file` and `anonymous`");
    }
    for (field, url) in
        [("bigquery", &entry.endpoints.bigquery), ("billing", &entry.endpoints.billing)]
    {
        if let Some(url) = url
            && !(url.parse::<reqwest::Url>().is_ok_and(|parsed| {
                matches!(parsed.scheme(), "http" | "https") && parsed.has_host()
            }))
        {
            problems.add(
                format!("{path}.endpoints.{field}"),
                format!("`{url}` is not an address such as `https://bigquery.googleapis.com`"),
            );
        }
    }
}

fn check_money(entry: &Entry, path: &str, problems: &mut Problems) -> (Money, Money) {
    let price = entry
        .price_per_tib
        .map_or_else(|| Money::new(Decimal::new(625, 2), Currency::USD), |amount| amount.0);
    let cap = entry
        .cadence
        .monthly_cap
        .map_or_else(|| Money::new(Decimal::from(30), price.currency), |amount| amount.0);
    if price.amount.is_sign_negative() && !price.amount.is_zero() {
        problems.add(format!("{path}.price_per_tib"), format!("`{price}` is below zero"));
    }
    if price.currency != cap.currency {
        problems.add(
            format!("{path}.monthly_cap"),
            format!("`{cap}` is in another currency than `price_per_tib`, `{price}`"),
        );
    }
    (price, cap)
}

fn is_billing_account(text: &str) -> bool {
    let mut parts = 0;
    text.split('-').all(|part| {
        parts += 1;
        part.len() == 6 && part.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
    }) && parts == 3
}

/// A project id, with the domain that old ones carry: `example.com:my-project`.
fn is_project(text: &str) -> bool {
    let (domain, id) = text.split_once(':').unwrap_or(("a", text));
    let plain = |part: &str, more: &[u8]| {
        part.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
            && part.len() <= 63
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || more.contains(&b))
    };
    plain(domain, b"-.") && plain(id, b"-")
}

fn is_identifier(text: &str, hyphens: bool) -> bool {
    (1..=1024).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || (hyphens && b == b'-'))
}

fn is_location(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> Result<Settings, Vec<String>> {
        let mut problems = Problems::new();
        let entry = serde_json::from_value(value).unwrap();
        Settings::check(entry, "sources.gcp[0]", &mut problems)
            .ok_or_else(|| problems.iter().map(|problem| problem.to_string()).collect())
    }

    fn least() -> serde_json::Value {
        json!({
            "name": "google", "billing_account": "01ABCD-2EF345-6789AB",
            "project": "billing-proj", "dataset": "billing",
        })
    }

    #[test]
    fn table_is_named_after_the_billing_account() {
        let settings = read(least()).unwrap();
        assert_eq!(
            settings.table_path(),
            "billing-proj.billing.gcp_billing_export_v1_01ABCD_2EF345_6789AB"
        );
        let mut entry = least();
        entry["table_kind"] = json!("detailed");
        entry["dataset"] = json!("example.com:finance.exports");
        let settings = read(entry).unwrap();
        assert_eq!(
            settings.table_path(),
            "example.com:finance.exports.gcp_billing_export_resource_v1_01ABCD_2EF345_6789AB"
        );
    }

    #[test]
    fn table_kind_is_told_from_the_name_or_asked_for() {
        for (table, kind) in [
            ("gcp_billing_export_v1_X", TableKind::Standard),
            ("gcp_billing_export_resource_v1_X", TableKind::Detailed),
            ("gcp_billing_export_focus_X", TableKind::Focus),
        ] {
            let mut entry = least();
            entry["table"] = json!(table);
            assert_eq!(read(entry).unwrap().table_kind, kind);
        }
        let mut entry = least();
        entry["table"] = json!("my_view");
        assert!(read(entry.clone()).unwrap_err()[0].contains("table_kind"));
        entry["table_kind"] = json!("standard");
        assert_eq!(read(entry).unwrap().table_kind, TableKind::Standard);
    }

    #[test]
    fn names_that_could_leave_their_backticks_are_refused() {
        for (field, value) in [
            ("project", "a`b"),
            ("project", "Upper"),
            ("dataset", "billing-proj.bad`; DROP"),
            ("dataset", "billing-proj.has-hyphen"),
            ("table", "t` WHERE 1=1 --"),
            ("table", ""),
            ("location", "US?x=1"),
            ("billing_account", "01abcd-2ef345-6789ab"),
            ("billing_account", "01ABCD-2EF345"),
        ] {
            let mut entry = least();
            entry[field] = json!(value);
            entry["table_kind"] = json!("standard");
            let problems = read(entry).unwrap_err();
            let path = format!("`sources.gcp[0].{field}`");
            assert!(problems.iter().any(|text| text.starts_with(&path)), "{field}: {problems:?}");
        }
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let problems = read(json!({
            "name": " ", "billing_account": "x", "project": "1", "dataset": "a.b.c",
            "table": "other", "maximum_bytes_billed": "1MB", "price_per_tib": "6 EUR",
            "monthly_cap": "3 USD", "credentials": {"anonymous": true},
            "endpoints": {"billing": "nowhere"},
        }))
        .unwrap_err();
        assert_eq!(problems.len(), 9, "{problems:#?}");
    }

    #[test]
    fn query_is_priced_between_the_least_and_the_most() {
        let settings = read(least()).unwrap();
        let price = |bytes| settings.price_of(bytes).amount;
        assert_eq!(price(Some(0)), Decimal::new(59_604_645, 12));
        assert_eq!(price(Some(1 << 30)), "0.006713867185".parse().unwrap());
        assert_eq!(price(None), price(Some(i64::MAX)));
        assert_eq!(price(None), "0.056843418861".parse().unwrap());
    }
}
