//! Datasets, tables and their rows.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use serde_json::{Value, json};

use super::{Answer, Parameters, number_parameter, put, timestamps, wire};
use crate::simulate::gcp::error::ApiError;
use crate::simulate::gcp::export::{Kind, Warehouse};
use crate::simulate::gcp::sql::Tables;
use crate::simulate::gcp::{Server, Shared};

pub(super) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route("/projects/{project}/datasets", get(list_datasets))
        .route("/projects/{project}/datasets/{dataset}", get(get_dataset))
        .route("/projects/{project}/datasets/{dataset}/tables", get(list_tables))
        .route("/projects/{project}/datasets/{dataset}/tables/{table}", get(get_table))
        .route("/projects/{project}/datasets/{dataset}/tables/{table}/data", get(list_rows))
}

impl Server {
    fn warehouse(&self) -> Warehouse<'_> {
        let now = self.world.clock().now();
        Warehouse::new(&self.options, self.world.as_ref(), now, None)
    }

    fn dataset_resource(&self, dataset: &str, kind: &str) -> Value {
        let project = &self.options.project;
        json!({
            "kind": kind,
            "id": format!("{project}:{dataset}"),
            "datasetReference": {"projectId": project, "datasetId": dataset},
            "location": self.options.location,
        })
    }

    fn find_table(
        &self,
        project: &str,
        dataset: &str,
        table: &str,
    ) -> Result<(Warehouse<'_>, Kind), ApiError> {
        let warehouse = self.warehouse();
        if !warehouse.has_dataset(project, dataset) {
            return Err(no_dataset(project, dataset));
        }
        if self.lacks("bigquery.tables.get") {
            let table = format!("{project}:{dataset}.{table}");
            return Err(ApiError::bigquery(
                "accessDenied",
                format!(
                    "Access Denied: Table {table}: Permission bigquery.tables.get denied on table \
                     {table} (or it may not exist)."
                ),
            ));
        }
        match warehouse.kind(project, dataset, table) {
            Some(kind) => Ok((warehouse, kind)),
            None => Err(ApiError::bigquery(
                "notFound",
                format!("Not found: Table {project}:{dataset}.{table}"),
            )),
        }
    }
}

fn no_dataset(project: &str, dataset: &str) -> ApiError {
    ApiError::bigquery("notFound", format!("Not found: Dataset {project}:{dataset}"))
}

/// `datasets.list`.
async fn list_datasets(State(server): Shared, Path(project): Path<String>) -> Answer {
    server.options.requests.note("datasets.list");
    let warehouse = server.warehouse();
    let names = [server.options.dataset.clone(), Warehouse::focus_dataset(&server.options)];
    let datasets: Vec<Value> = names
        .iter()
        .filter(|name| warehouse.has_dataset(&project, name))
        .map(|name| server.dataset_resource(name, "bigquery#dataset"))
        .collect();
    Answer::from(json!({"kind": "bigquery#datasetList", "datasets": datasets}))
}

/// `datasets.get`.
async fn get_dataset(
    State(server): Shared,
    Path((project, dataset)): Path<(String, String)>,
) -> Result<Answer, ApiError> {
    server.options.requests.note("datasets.get");
    if !server.warehouse().has_dataset(&project, &dataset) {
        return Err(no_dataset(&project, &dataset));
    }
    let mut resource = server.dataset_resource(&dataset, "bigquery#dataset");
    put(&mut resource, "type", Value::from("DEFAULT"));
    put(&mut resource, "creationTime", Value::from("1704067200000"));
    Ok(Answer::from(resource))
}

/// `tables.list`.
async fn list_tables(
    State(server): Shared,
    Path((project, dataset)): Path<(String, String)>,
) -> Result<Answer, ApiError> {
    server.options.requests.note("tables.list");
    let warehouse = server.warehouse();
    if !warehouse.has_dataset(&project, &dataset) {
        return Err(no_dataset(&project, &dataset));
    }
    let tables: Vec<Value> = warehouse
        .kinds(&dataset)
        .into_iter()
        .map(|kind| {
            let name = Warehouse::table_name(&server.options, kind);
            json!({
                "kind": "bigquery#table",
                "id": format!("{project}:{dataset}.{name}"),
                "tableReference": {"projectId": project, "datasetId": dataset, "tableId": name},
                "type": "TABLE",
                "timePartitioning": {"type": "DAY"},
            })
        })
        .collect();
    let total = tables.len();
    Ok(Answer::from(json!({
        "kind": "bigquery#tableList",
        "tables": tables,
        "totalItems": total,
    })))
}

/// `tables.get`.
async fn get_table(
    State(server): Shared,
    Path((project, dataset, table)): Path<(String, String, String)>,
) -> Result<Answer, ApiError> {
    server.options.requests.note("tables.get");
    let (warehouse, kind) = server.find_table(&project, &dataset, &table)?;
    let fields = kind.fields();
    let bytes = warehouse.rows() * fields.len() * 100;
    let modified = warehouse.newest().map_or(0, |at| at.as_millisecond());
    Ok(Answer::from(json!({
        "kind": "bigquery#table",
        "id": format!("{project}:{dataset}.{table}"),
        "selfLink": format!("https://www.googleapis.com/bigquery/v2/projects/{project}/datasets/{dataset}/tables/{table}"),
        "tableReference": {"projectId": project, "datasetId": dataset, "tableId": table},
        "schema": wire::schema(&fields),
        "timePartitioning": {"type": "DAY"},
        "numRows": warehouse.rows().to_string(),
        "numBytes": bytes.to_string(),
        "creationTime": "1704067200000",
        "lastModifiedTime": modified.to_string(),
        "type": "TABLE",
        "location": server.options.location,
    })))
}

/// `tabledata.list`.
async fn list_rows(
    State(server): Shared,
    Path((project, dataset, table)): Path<(String, String, String)>,
    Query(parameters): Parameters,
) -> Result<Answer, ApiError> {
    server.options.requests.note("tabledata.list");
    let (warehouse, _) = server.find_table(&project, &dataset, &table)?;
    let source = warehouse.table(&[&project, &dataset, &table])?;
    let selected = parameters.get("selectedFields").filter(|names| !names.is_empty());
    let selected: Option<Vec<&str>> = selected.map(|names| names.split(',').collect());
    let columns: Vec<usize> = source
        .columns
        .iter()
        .take(source.columns.len() - source.pseudo_columns)
        .enumerate()
        .filter(|(_, field)| selected.as_ref().is_none_or(|names| names.contains(&&*field.name)))
        .map(|(index, _)| index)
        .collect();
    let token = parameters.get("pageToken").filter(|token| !token.is_empty());
    let start = match token {
        Some(token) => token
            .parse()
            .map_err(|_| ApiError::bigquery("invalid", format!("Invalid page token: {token}")))?,
        None => number_parameter(&parameters, "startIndex")?.unwrap_or(0),
    };
    let start = start.min(source.rows);
    let size = server.page_size(number_parameter(&parameters, "maxResults")?);
    let end = start.saturating_add(size).min(source.rows);
    let format = timestamps(&parameters);
    let rows: Vec<Value> = (start..end)
        .map(|row| {
            let values: Vec<_> = columns.iter().map(|column| (source.read)(row, *column)).collect();
            wire::row(&values, format)
        })
        .collect();
    let mut body = json!({
        "kind": "bigquery#tableDataList",
        "etag": format!("{table}-{start}"),
        "totalRows": source.rows.to_string(),
        "rows": rows,
    });
    let more = end < source.rows;
    if more {
        put(&mut body, "pageToken", Value::from(end.to_string()));
    }
    Ok(Answer { body, first_of_many: more && token.is_none() })
}
