//! Proves whose the credentials are and what they may, without a query that costs anything.

use std::path::{Path, PathBuf};

use jiff::{Timestamp, ToSpan};
use serde_json::Value;

use crate::collect::gcp::client::{Client, Counter, Described};
use crate::collect::gcp::config::Settings;
use crate::collect::gcp::query::{self, Statement};
use crate::collect::gcp::{Gcp, catalogue, client};
use crate::collect::proof::Proof;
use crate::domain::period::{BillingZone, Window, next_day};
use crate::domain::ports::Meter;
use crate::domain::report::{SourceError, SourceErrorKind};

const USE_PROJECT: &str = "serviceusage.services.use";
const GET_TABLE: &str = "bigquery.tables.get";
const CREATE_JOB: &str = "bigquery.jobs.create";
const GET_DATA: &str = "bigquery.tables.getData";
/// What a poll can do without: the account's name is for people.
const ACCOUNT_NAME: &str = "billing.accounts.get";
const NO_NAME: &str = "the billing account is told without its name";
/// The price list asks for no permission, but for its API.
const PRICE_LIST: &str = "cloudbilling.googleapis.com";

/// What an identity needs.
pub(super) const PERMISSIONS: &[&str] = &[USE_PROJECT, GET_TABLE, CREATE_JOB, GET_DATA];

impl Gcp {
    pub(super) async fn prove_all(&self, now: Timestamp, meter: &dyn Meter) -> Vec<Proof> {
        let settings = &self.settings;
        let mut proofs = Vec::new();
        let credentials = match client::credentials(settings) {
            Ok(credentials) => credentials,
            Err(error) => return nobody(&error),
        };
        let client = match Client::new(settings, credentials.clone(), meter, now).await {
            Ok(client) => client,
            Err(error) => return nobody(&error),
        };
        let who = Identity::of(settings);
        let described = client.describe().await;
        if let Err(error) = &described
            && error.kind == SourceErrorKind::Auth
        {
            return nobody(error);
        }
        proofs.push(Proof::holds(format!("identity {}", who.told)));
        let mut may_ask = self.tell_table(&described, &who, &mut proofs);
        if may_ask {
            let statement = Statement { sql: "SELECT 1".to_owned(), parameters: Vec::new() };
            // A query of no table runs anywhere.
            let location = described.as_ref().map_or("US", |described| &described.location);
            let answer = client.estimate(&statement, location, "make a query").await.map(drop);
            may_ask = answer.is_ok();
            let role = on_project(settings, &who, "roles/bigquery.jobUser");
            proofs.push(Proof::of(CREATE_JOB, &who.told, answer, &role));
        } else {
            proofs.push(Proof::unproved(CREATE_JOB));
        }
        match &described {
            Ok(described) if may_ask => {
                let answer = self.ask_data(&client, described, now).await;
                proofs.push(Proof::of(GET_DATA, &who.told, answer, &on_dataset(settings, &who)));
                proofs.extend(self.is_empty(described, now));
            }
            Err(error) if is_missing(error) => {
                proofs.push(Proof::noted(format!("`{GET_DATA}` has nothing to prove yet")));
            }
            _ => proofs.push(Proof::unproved(GET_DATA)),
        }
        if settings.may_ask_billing() {
            let name = Box::pin(catalogue::billing_account_name(settings, credentials.clone()));
            let role = format!(
                "run `gcloud billing accounts add-iam-policy-binding {} \
                 --role=roles/billing.viewer --member={}`",
                settings.billing_account, who.member
            );
            let answer = name.await.map(drop);
            proofs.push(Proof::of_extra(ACCOUNT_NAME, NO_NAME, answer, &role));
        }
        if self.descriptor.list_prices {
            let counter = Counter { settings, meter, now };
            let listed = catalogue::is_reachable(&counter, settings, credentials).await;
            proofs.push(match listed {
                Ok(()) => Proof::holds(format!("may read list prices (`{PRICE_LIST}`)")),
                Err(error) => Proof::fails(format!(
                    "`{PRICE_LIST}` is not proved: {error}; or set `list_prices: false`"
                )),
            });
        }
        proofs
    }

    /// What the answer for the export's table says of two permissions; whether the project may be
    /// used.
    fn tell_table(
        &self,
        described: &Result<Described, SourceError>,
        who: &Identity,
        proofs: &mut Vec<Proof>,
    ) -> bool {
        let settings = &self.settings;
        let may_use = || Proof::holds(format!("may `{USE_PROJECT}` in `{}`", settings.project));
        let error = match described {
            Ok(_) => {
                proofs.push(may_use());
                proofs.push(Proof::holds(format!("may `{GET_TABLE}` `{}`", settings.table_path())));
                return true;
            }
            Err(error) => error,
        };
        let is_forbidden = error.kind == SourceErrorKind::Forbidden;
        let is_of_project = ["serviceusage", "USER_PROJECT_DENIED", "to use project"]
            .iter()
            .any(|words| error.message.contains(words));
        let failed = Err(error.clone());
        if is_forbidden && is_of_project {
            let role = on_project(settings, who, "roles/serviceusage.serviceUsageConsumer");
            proofs.push(Proof::of(USE_PROJECT, &who.told, failed, &role));
            proofs.push(Proof::unproved(GET_TABLE));
            return false;
        }
        if is_missing(error) {
            proofs.push(may_use());
            proofs.push(Proof::noted(format!("`{GET_TABLE}` has nothing to prove yet: {error}")));
            return true;
        }
        if is_forbidden {
            proofs.push(may_use());
            let role = on_dataset(settings, who);
            proofs.push(Proof::of(GET_TABLE, &who.told, failed, &role));
            return true;
        }
        proofs.push(Proof::unproved(USE_PROJECT));
        proofs.push(Proof::of(GET_TABLE, &who.told, failed, ""));
        false
    }

    /// A dry run of what a poll asks first: free, and refused as the query would be.
    async fn ask_data(
        &self,
        client: &Client<'_>,
        described: &Described,
        now: Timestamp,
    ) -> Result<(), SourceError> {
        let today = BillingZone::Pacific.day_of(now);
        let window = Window::new(today.saturating_sub(1.day()), next_day(today));
        let statement = query::changed_days(&described.table, window, None);
        let tried = format!("read `{}`", self.settings.table_path());
        client.estimate(&statement, &described.location, &tried).await.map(drop)
    }

    fn is_empty(&self, described: &Described, now: Timestamp) -> Option<Proof> {
        if described.rows != Some(0) {
            return None;
        }
        let today = BillingZone::Pacific.day_of(now);
        let window = Window::new(today.saturating_sub(1.day()), next_day(today));
        Some(Proof::noted(self.still_filling(window, described).to_string()))
    }
}

/// Whether the export is not switched on yet, or goes elsewhere: a state.
fn is_missing(error: &SourceError) -> bool {
    error.kind == SourceErrorKind::Config && error.message.contains("notFound")
}

fn nobody(error: &SourceError) -> Vec<Proof> {
    let mut proofs = vec![Proof::fails(format!("no identity: {error}"))];
    proofs.extend(PERMISSIONS.iter().map(|permission| Proof::unproved(permission)));
    proofs
}

/// The principal, as far as its credentials file tells.
struct Identity {
    /// For people.
    told: String,
    /// As a policy names it.
    member: String,
}

impl Identity {
    fn of(settings: &Settings) -> Self {
        if settings.credentials.anonymous {
            return Self::unnamed("nobody (`credentials.anonymous`)");
        }
        let Some(path) = settings.credentials.file.clone().or_else(default_file) else {
            return Self::unnamed("the machine's own service account");
        };
        let Some(file) = std::fs::read_to_string(&path)
            .ok()
            .and_then(|text| serde_json::from_str::<Value>(&text).ok())
        else {
            return Self::unnamed(format!("that of `{}`", path.display()));
        };
        let text = |key: &str| file.get(key).and_then(Value::as_str);
        // `.../serviceAccounts/EMAIL:generateAccessToken`
        let impersonated = text("service_account_impersonation_url")
            .and_then(|url| url.rsplit_once("/serviceAccounts/")?.1.split(':').next());
        let is_email = |email: &&str| {
            email.contains('@')
                && email.chars().all(|c| c.is_ascii_alphanumeric() || "@._-".contains(c))
        };
        match impersonated.or_else(|| text("client_email")).filter(is_email) {
            Some(email) => {
                Self { told: format!("`{email}`"), member: format!("serviceAccount:{email}") }
            }
            None => Self::unnamed(of_kind(text("type").unwrap_or_default(), &path)),
        }
    }

    fn unnamed(told: impl Into<String>) -> Self {
        Self { told: told.into(), member: "MEMBER".to_owned() }
    }
}

fn of_kind(kind: &str, path: &Path) -> String {
    let path = path.display();
    match kind {
        "authorized_user" => format!("the user who signed in, of `{path}`"),
        "external_account" => format!("that of the federation in `{path}`"),
        _ => format!("that of `{path}`"),
    }
}

/// Where the application default credentials are, where they are a file.
fn default_file() -> Option<PathBuf> {
    let named = std::env::var_os("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from);
    let usual = || {
        let home = std::env::var_os("HOME").map(PathBuf::from)?;
        Some(home.join(".config/gcloud/application_default_credentials.json"))
    };
    named.or_else(usual).filter(|path| path.is_file())
}

fn on_project(settings: &Settings, who: &Identity, role: &str) -> String {
    format!(
        "run `gcloud projects add-iam-policy-binding {} --role={role} --member={}`",
        settings.project, who.member
    )
}

fn on_dataset(settings: &Settings, who: &Identity) -> String {
    format!(
        "run `bq query --nouse_legacy_sql 'GRANT \u{60}roles/bigquery.dataViewer\u{60} ON SCHEMA \
         \u{60}{}.{}\u{60} TO \"{}\"'`",
        settings.dataset_project, settings.dataset, who.member
    )
}
