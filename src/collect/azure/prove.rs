//! Proves whose token a source gets and what it may, with one query of one QPU.

use jiff::{Timestamp, ToSpan};
use tokio::time::Instant;

use crate::collect::proof::Proof;
use crate::domain::money::Currency;
use crate::domain::period::{BillingZone, Window, next_day};
use crate::domain::ports::Meter;
use crate::domain::report::{SourceError, SourceErrorKind};

use super::config::{Method, Settings};
use super::consumption::{BUDGETS, NotRead};
use super::credential::Identity;
use super::exchange::{self, Exchange};
use super::{AzureSource, consumption, query, retail, usage_details};

/// A Query is sent by POST and needs both, as its operation and as cost data.
const QUERY: &str = "Microsoft.CostManagement/query/action";
const QUERY_DATA: &str = "Microsoft.CostManagement/query/read";
const USAGE_DETAILS: &str = "Microsoft.Consumption/usageDetails/read";

/// Budgets are extras: a poll is good without them.
const NO_BUDGETS: &str = "budgets are not shown";

/// What an identity needs; usage details with `method: usage_details` instead of Query.
pub(super) const PERMISSIONS: &[&str] = &[QUERY, QUERY_DATA, USAGE_DETAILS, BUDGETS];

/// A size that is listed everywhere.
const LISTED: &str = "Standard_ND96asr_v4";

impl AzureSource {
    pub(super) async fn prove_all(&self, now: Timestamp, meter: &dyn Meter) -> Vec<Proof> {
        let mut proofs = Vec::new();
        let exchange = Exchange {
            source: &self.descriptor.id,
            settings: &self.settings,
            http: &self.http,
            credential: &self.credential,
            throttle: &self.throttle,
            meter,
            now,
            deadline: Instant::now() + self.descriptor.deadline,
        };
        let today = BillingZone::Utc.day_of(now);
        let days = Window::new(today.saturating_sub(1.day()), next_day(today));
        let costs = match self.settings.method {
            Method::Query => QUERY,
            Method::UsageDetails => USAGE_DETAILS,
        };
        match self.credential.token().await {
            Ok(token) => {
                let who = Identity::of(&token);
                proofs.push(Proof::holds(format!("identity {}", who.told)));
                let answer = match self.settings.method {
                    Method::Query => query::total(&exchange, days).await,
                    Method::UsageDetails => usage_details::prove(&exchange, days).await,
                };
                proofs.push(cost_proof(costs, &who, &self.settings, answer));
                let (permission, answer) = match consumption::budgets(&exchange).await {
                    Ok(_) => (BUDGETS, Ok(())),
                    Err(NotRead { permission, error }) => (permission, Err(error)),
                };
                let mend = mend(&who, &self.settings);
                proofs.push(Proof::of_extra(permission, NO_BUDGETS, answer, &mend));
            }
            Err(error) => {
                proofs.push(Proof::fails(format!("no identity: {error}")));
                proofs.push(Proof::unproved(costs));
            }
        }
        if let Some(origin) = &self.settings.retail_prices {
            proofs.push(match self.ask_prices(origin, now, meter).await {
                Ok(()) => Proof::holds("may read list prices, which need no permission"),
                Err(error) => Proof::fails(format!("list prices are not read: {error}")),
            });
        }
        proofs
    }

    async fn ask_prices(
        &self,
        origin: &reqwest::Url,
        now: Timestamp,
        meter: &dyn Meter,
    ) -> Result<(), SourceError> {
        let wanted =
            retail::Wanted { size: LISTED, region: "eastus", currency: Currency::USD, now };
        exchange::count(&self.descriptor.id, retail::OPERATION, meter, now).await?;
        let page = self.retail_page(&wanted.url(origin)).await?;
        wanted.prices(&[page]).map(drop)
    }
}

/// What the answer says of the costs: charges that may not be viewed are the agreement's to mend,
/// not a role's.
fn cost_proof(
    permission: &str,
    who: &Identity,
    settings: &Settings,
    answer: Result<(), SourceError>,
) -> Proof {
    match answer {
        Err(error)
            if error.kind == SourceErrorKind::Forbidden
                && error.message.contains("CostDisabled") =>
        {
            Proof::fails(format!("{} may not see costs: {error}", who.told))
        }
        answer => Proof::of(permission, &who.told, answer, &mend(who, settings)),
    }
}

/// The command that gives the role.
fn mend(who: &Identity, settings: &Settings) -> String {
    let scope = &settings.scope;
    if scope.to_ascii_lowercase().starts_with("/providers/microsoft.billing/") {
        return format!(
            "give it a billing role on `{scope}`: `EnrollmentReader` of an Enterprise Agreement, \
             `Billing account reader` of a Customer Agreement (docs/sources/azure.md#permissions \
             has the commands)"
        );
    }
    let assignee = match &who.object {
        Some(object) => {
            format!("--assignee-object-id {object} --assignee-principal-type ServicePrincipal")
        }
        None => "--assignee CLIENT_ID".to_owned(),
    };
    format!(
        "run `az role assignment create {assignee} --role \"Cost Management Reader\" \
         --scope {scope}`"
    )
}
