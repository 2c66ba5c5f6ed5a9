//! Scopes: whose charges a request sees, and the subscriptions and tenants that can be listed.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::domain::breakdown::ChargeCategory;
use crate::domain::identity::Provider;
use crate::simulate::azure::refusal::{self, Refusal};
use crate::simulate::azure::wire::Call;
use crate::simulate::azure::{Azure, query};
use crate::simulate::charge::Charge;

/// A scope that exists, with its path as the client wrote it, without leading slash.
pub struct Scope {
    /// `subscriptions/{id}`.
    pub path: String,
    kind: Kind,
}

enum Kind {
    Subscription(String),
    ResourceGroup { subscription: String, group: String },
    ManagementGroup,
    BillingAccount,
}

impl Scope {
    /// Finds the scope of a path in lower case.
    ///
    /// # Errors
    /// 404 for a subscription that does not exist; 403 for other scopes, as for one without a role.
    pub fn find(azure: &Azure, words: &[&str], path: String, call: &Call) -> Result<Self, Refusal> {
        let options = &azure.options;
        let kind = match words {
            ["subscriptions", id] => Kind::Subscription(known_subscription(azure, id)?),
            ["subscriptions", id, "resourcegroups", group] => Kind::ResourceGroup {
                subscription: known_subscription(azure, id)?,
                group: (*group).to_owned(),
            },
            ["providers", "microsoft.management", "managementgroups", id] => {
                if !options.management_group.eq_ignore_ascii_case(id) {
                    return Err(refusal::access_denied());
                }
                Kind::ManagementGroup
            }
            ["providers", "microsoft.billing", "billingaccounts", id] => {
                if !options.billing_account.eq_ignore_ascii_case(id) {
                    return Err(refusal::access_denied());
                }
                Kind::BillingAccount
            }
            _ => return Err(refusal::no_such_path(call)),
        };
        Ok(Self { path, kind })
    }

    /// The bucket of requests that the scope has.
    pub fn entity(&self) -> String {
        self.path.to_ascii_lowercase()
    }

    /// Whether single resources may be told apart: only within a subscription.
    pub fn tells_resources(&self) -> bool {
        matches!(self.kind, Kind::Subscription(_) | Kind::ResourceGroup { .. })
    }

    /// Whether the scope is a billing account, the only one with charges and balances.
    pub fn is_billing_account(&self) -> bool {
        matches!(self.kind, Kind::BillingAccount)
    }

    /// Whether a charge belongs to the scope and to the cost dataset, which has neither tax nor
    /// credits.
    pub fn tells(&self, charge: &Charge) -> bool {
        let dataset = !matches!(charge.category, ChargeCategory::Tax | ChargeCategory::Credit);
        dataset && self.holds(charge)
    }

    /// Whether a charge belongs to the scope.
    pub fn holds(&self, charge: &Charge) -> bool {
        match &self.kind {
            Kind::Subscription(id) => charge.sub_account_id.eq_ignore_ascii_case(id),
            Kind::ResourceGroup { subscription, group } => {
                charge.sub_account_id.eq_ignore_ascii_case(subscription)
                    && query::resource_group(charge).eq_ignore_ascii_case(group)
            }
            Kind::ManagementGroup | Kind::BillingAccount => true,
        }
    }
}

/// Every charge of the world that is published at an instant.
pub fn charges(azure: &Azure, at: Timestamp) -> Arc<Vec<Charge>> {
    azure.world.charges(Provider::Azure, at)
}

fn subscriptions(azure: &Azure) -> BTreeMap<String, String> {
    let mut known: BTreeMap<String, String> =
        azure.options.empty_subscriptions.iter().cloned().collect();
    for charge in charges(azure, azure.world.clock().now()).iter() {
        if !known.contains_key(&charge.sub_account_id) {
            known.insert(charge.sub_account_id.clone(), charge.sub_account_name.clone());
        }
    }
    known
}

fn not_found(id: &str) -> Refusal {
    let message = format!("The subscription '{id}' could not be found.");
    Refusal::new(StatusCode::NOT_FOUND, "SubscriptionNotFound", message)
}

/// The id as the world writes it.
fn known_subscription(azure: &Azure, id: &str) -> Result<String, Refusal> {
    let charges = charges(azure, azure.world.clock().now());
    let billed = charges.iter().map(|charge| &charge.sub_account_id);
    let empty = azure.options.empty_subscriptions.iter().map(|(id, _)| id);
    let known = billed.chain(empty).find(|known| known.eq_ignore_ascii_case(id));
    known.cloned().ok_or_else(|| not_found(id))
}

fn told(azure: &Azure, id: &str, name: &str) -> Value {
    json!({
        "id": format!("/subscriptions/{id}"),
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": id,
        "tenantId": azure.options.tenant_id,
        "displayName": name,
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "EnterpriseAgreement_2014-09-01",
            "spendingLimit": "Off",
        },
    })
}

/// `GET /subscriptions`.
pub fn list_subscriptions(azure: &Azure) -> Response {
    let value: Vec<Value> =
        subscriptions(azure).iter().map(|(id, name)| told(azure, id, name)).collect();
    let count = value.len();
    Json(json!({"value": value, "count": {"type": "Total", "value": count}})).into_response()
}

/// `GET /subscriptions/{id}`.
pub fn one_subscription(azure: &Azure, id: &str) -> Result<Response, Refusal> {
    let known = subscriptions(azure);
    let found = known.iter().find(|(known, _)| known.eq_ignore_ascii_case(id));
    let (id, name) = found.ok_or_else(|| not_found(id))?;
    Ok(Json(told(azure, id, name)).into_response())
}

/// `GET /tenants`.
pub fn tenants(azure: &Azure) -> Response {
    let id = &azure.options.tenant_id;
    Json(json!({"value": [{
        "id": format!("/tenants/{id}"),
        "tenantId": id,
        "countryCode": "US",
        "displayName": "GPU fleet",
        "domains": ["gpufleet.onmicrosoft.com"],
        "tenantCategory": "Home",
        "defaultDomain": "gpufleet.onmicrosoft.com",
        "tenantType": "AAD",
    }]}))
    .into_response()
}
