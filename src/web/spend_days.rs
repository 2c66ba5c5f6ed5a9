//! `/api/v1/spend/days`: what a source cost by day, narrowed and told apart as the query asks.

use std::collections::BTreeMap;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::ToSpan;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::json;

use super::{Face, LONGEST_RANGE, json};
use crate::domain::breakdown::Dimension;
use crate::domain::identity::SourceId;
use crate::domain::period::Window;
use crate::domain::ports::{HistoryError, SpendHistoryError};
use crate::domain::spend_range::SpendQuestion;
use crate::export::api;

const WANTED: &str = "want `?source=aws&from=2026-10-01&to=2026-11-01`, the second day excluded, with \
                      `by` and what it is narrowed to where that is wanted: `&by=service_name&region_id=us-east-1`";

/// What is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DaysQuery {
    source: String,
    from: Date,
    to: Date,
    by: Option<String>,
    service_name: Option<String>,
    sub_account_id: Option<String>,
    region_id: Option<String>,
}

impl DaysQuery {
    /// The question, or what is wrong with it.
    fn question(self) -> Result<SpendQuestion, String> {
        let Self { source, from, to, .. } = self;
        if from >= to || from.saturating_add(LONGEST_RANGE.days()) < to {
            let order = "the first day before the second and at most";
            return Err(format!("{WANTED}; {order} {LONGEST_RANGE} days"));
        }
        let by = match self.by.as_deref() {
            None => None,
            Some("service_name") => Some(Dimension::ServiceName),
            Some("sub_account_id") => Some(Dimension::SubAccountId),
            Some("region_id") => Some(Dimension::RegionId),
            Some(_) => {
                return Err(format!(
                    "{WANTED}; `by` is `service_name`, `sub_account_id` or `region_id`"
                ));
            }
        };
        let filters = BTreeMap::from([
            (Dimension::ServiceName, self.service_name),
            (Dimension::SubAccountId, self.sub_account_id),
            (Dimension::RegionId, self.region_id),
        ]);
        let filters = filters.into_iter().filter_map(|(of, value)| Some((of, value?))).collect();
        Ok(SpendQuestion {
            source: SourceId::new(source),
            window: Window::new(from, to),
            by,
            filters,
        })
    }
}

/// Answers the query.
pub(super) async fn days(
    State(face): State<Face>,
    query: Result<Query<DaysQuery>, QueryRejection>,
) -> Response {
    let refused = |status, error: String| json(status, &json!({"error": error}));
    let question = match query {
        Ok(Query(query)) => query.question(),
        Err(_) => Err(WANTED.to_owned()),
    };
    let question = match question {
        Ok(question) => question,
        Err(error) => return refused(StatusCode::BAD_REQUEST, error),
    };
    match face.spend_history.spend(question).await {
        Ok(range) => json(StatusCode::OK, &api::spend_days(&range)),
        Err(error @ SpendHistoryError::NoSource { .. }) => {
            refused(StatusCode::NOT_FOUND, error.to_string())
        }
        Err(SpendHistoryError::NotTold(not_told)) => {
            json(StatusCode::NOT_FOUND, &api::spend_not_told(&not_told))
        }
        Err(error @ SpendHistoryError::History(HistoryError::Busy)) => {
            refused(StatusCode::TOO_MANY_REQUESTS, error.to_string())
        }
        Err(error @ SpendHistoryError::History(HistoryError::Ledger(_))) => {
            tracing::error!(%error, "failed to read spend of the past");
            let error = "the ledger cannot be read; see the log".to_owned();
            refused(StatusCode::INTERNAL_SERVER_ERROR, error)
        }
    }
}
