//! The Cloud Billing API (services, SKUs with list prices, billing accounts) and project names of
//! Resource Manager.
//!
//! Source: <https://cloud.google.com/billing/docs/reference/rest>,
//! <https://cloud.google.com/resource-manager/reference/rest>. A SKU's price is told in units (a
//! string) and nanos.

mod skus;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::error::ApiError;
use super::export::project_number;
use super::{FirstOfMany, Server, Shared};
use crate::domain::identity::Provider;
use crate::simulate::charge::Charge;

type Parameters = Query<BTreeMap<String, String>>;

pub(super) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route("/v1/services", get(services))
        .route("/v1/services/{service}/skus", get(skus))
        .route("/v1/billingAccounts", get(accounts))
        .route("/v1/billingAccounts/{account}", get(account))
        .route("/v1/billingAccounts/{account}/projects", get(account_projects))
        .route("/v1/projects/{project}/billingInfo", get(billing_info))
        .route("/v1/projects/{project}", get(project_v1))
        .route("/v3/projects/{project}", get(project))
        .route("/v3/projects:search", get(search_projects))
}

impl Server {
    fn charges(&self) -> Arc<Vec<Charge>> {
        self.world.charges(Provider::Gcp, self.world.clock().now())
    }

    /// Project ids with names: those that are billed, and the export's own.
    fn projects(&self) -> BTreeMap<String, String> {
        let mut projects: BTreeMap<String, String> = self
            .charges()
            .iter()
            .filter(|charge| !charge.sub_account_id.is_empty())
            .map(|charge| (charge.sub_account_id.clone(), charge.sub_account_name.clone()))
            .collect();
        let own = &self.options.project;
        projects.entry(own.clone()).or_insert_with(|| own.clone());
        projects
    }

    fn known_project(&self, id: &str) -> Result<String, ApiError> {
        let projects = self.projects();
        let by_number =
            || projects.iter().find(|(known, _)| project_number(known) == id).map(|(_, name)| name);
        projects.get(id).or_else(by_number).cloned().ok_or_else(|| {
            ApiError::rpc(
                StatusCode::FORBIDDEN,
                format!(
                    "The caller does not have permission on project {id}, or it does not exist"
                ),
            )
        })
    }

    fn known_account(&self, id: &str) -> Result<(), ApiError> {
        if id == self.options.billing_account {
            return Ok(());
        }
        Err(ApiError::rpc(StatusCode::NOT_FOUND, "Requested entity was not found."))
    }

    fn account_resource(&self) -> Value {
        let currency =
            self.charges().first().map_or("USD".to_owned(), |charge| charge.currency.to_string());
        json!({
            "name": format!("billingAccounts/{}", self.options.billing_account),
            "open": true,
            "displayName": self.options.billing_account_name,
            "masterBillingAccount": "",
            "parent": "organizations/402190045217",
            "currencyCode": currency,
        })
    }

    fn billing_info(&self, project: &str) -> Value {
        json!({
            "name": format!("projects/{project}/billingInfo"),
            "projectId": project,
            "billingAccountName": format!("billingAccounts/{}", self.options.billing_account),
            "billingEnabled": true,
        })
    }
}

/// Cuts one page out of a list: `pageSize` 0 or none is the greatest, an empty token the start.
fn page(
    key: &str,
    items: Vec<Value>,
    parameters: &BTreeMap<String, String>,
    greatest: usize,
) -> Result<Response, ApiError> {
    let number = |key: &str| match parameters.get(key).filter(|text| !text.is_empty()) {
        None => Ok(0),
        Some(text) => text.parse::<usize>().map_err(|_| {
            ApiError::rpc(StatusCode::BAD_REQUEST, format!("Invalid value at '{key}': {text}"))
        }),
    };
    let start = number("pageToken")?;
    let size = Some(number("pageSize")?).filter(|size| *size > 0).unwrap_or(greatest).min(greatest);
    let end = start.saturating_add(size).min(items.len());
    let token = if end < items.len() { end.to_string() } else { String::new() };
    let first_of_many = start == 0 && !token.is_empty();
    let items: Vec<Value> = items.into_iter().take(end).skip(start).collect();
    let mut response = Json(json!({key: items, "nextPageToken": token})).into_response();
    if first_of_many {
        response.extensions_mut().insert(FirstOfMany);
    }
    Ok(response)
}

/// `services.list`.
async fn services(
    State(server): Shared,
    Query(parameters): Parameters,
) -> Result<Response, ApiError> {
    server.options.requests.note("services.list");
    let charges = server.charges();
    let mut services: BTreeSet<(&str, &str)> = charges
        .iter()
        .filter(|charge| !charge.service_id.is_empty())
        .map(|charge| (charge.service_id.as_str(), charge.service_name.as_str()))
        .collect();
    services.insert(skus::COMPUTE_ENGINE);
    let services = services.into_iter().map(|(id, name)| {
        json!({
            "name": format!("services/{id}"),
            "serviceId": id,
            "displayName": name,
            "businessEntityName": "businessEntities/GCP",
        })
    });
    page("services", services.collect(), &parameters, 5_000)
}

/// `services.skus.list`.
async fn skus(
    State(server): Shared,
    Path(service): Path<String>,
    Query(parameters): Parameters,
) -> Result<Response, ApiError> {
    server.options.requests.note("skus.list");
    let currency = parameters.get("currencyCode").filter(|code| !code.is_empty());
    let skus = skus::list(&server.charges(), &service, currency.map_or("USD", String::as_str))?;
    page("skus", skus, &parameters, 5_000)
}

/// `billingAccounts.list`.
async fn accounts(
    State(server): Shared,
    Query(parameters): Parameters,
) -> Result<Response, ApiError> {
    server.options.requests.note("billingAccounts.list");
    page("billingAccounts", vec![server.account_resource()], &parameters, 100)
}

/// `billingAccounts.get`.
async fn account(
    State(server): Shared,
    Path(account): Path<String>,
) -> Result<Json<Value>, ApiError> {
    server.options.requests.note("billingAccounts.get");
    if server.lacks("billing.accounts.get") {
        return Err(ApiError::rpc(StatusCode::FORBIDDEN, "The caller does not have permission"));
    }
    server.known_account(&account)?;
    Ok(Json(server.account_resource()))
}

/// `billingAccounts.projects.list`.
async fn account_projects(
    State(server): Shared,
    Path(account): Path<String>,
    Query(parameters): Parameters,
) -> Result<Response, ApiError> {
    server.options.requests.note("billingAccounts.projects.list");
    server.known_account(&account)?;
    let projects = server.projects();
    let infos = projects.keys().map(|project| server.billing_info(project)).collect();
    page("projectBillingInfo", infos, &parameters, 100)
}

/// `projects.getBillingInfo`.
async fn billing_info(
    State(server): Shared,
    Path(project): Path<String>,
) -> Result<Json<Value>, ApiError> {
    server.options.requests.note("projects.getBillingInfo");
    server.known_project(&project)?;
    Ok(Json(server.billing_info(&project)))
}

fn project_resource(id: &str, name: &str) -> Value {
    json!({
        "name": format!("projects/{}", project_number(id)),
        "parent": "organizations/402190045217",
        "projectId": id,
        "state": "ACTIVE",
        "displayName": name,
        "createTime": "2024-01-01T00:00:00Z",
    })
}

/// Resource Manager v3 `projects.get`.
async fn project(
    State(server): Shared,
    Path(project): Path<String>,
) -> Result<Json<Value>, ApiError> {
    server.options.requests.note("projects.get");
    let name = server.known_project(&project)?;
    Ok(Json(project_resource(&project, &name)))
}

/// Resource Manager v1 `projects.get`.
async fn project_v1(
    State(server): Shared,
    Path(project): Path<String>,
) -> Result<Json<Value>, ApiError> {
    server.options.requests.note("projects.get");
    let name = server.known_project(&project)?;
    Ok(Json(json!({
        "projectNumber": project_number(&project),
        "projectId": project,
        "lifecycleState": "ACTIVE",
        "name": name,
        "createTime": "2024-01-01T00:00:00Z",
    })))
}

/// Resource Manager v3 `projects.search`; the query is not looked at.
async fn search_projects(
    State(server): Shared,
    Query(parameters): Parameters,
) -> Result<Response, ApiError> {
    server.options.requests.note("projects.search");
    let projects = server.projects();
    let projects = projects.iter().map(|(id, name)| project_resource(id, name)).collect();
    page("projects", projects, &parameters, 500)
}
