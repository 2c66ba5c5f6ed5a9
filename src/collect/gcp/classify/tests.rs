#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use google_cloud_gax::error::rpc::Status;
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::json;

use super::*;
use crate::collect::gcp::config::Entry;
use crate::config::problems::Problems;

fn settings() -> Settings {
    let entry: Entry = serde_json::from_value(json!({
        "name": "google", "billing_account": "01ABCD-2EF345-6789AB",
        "project": "billing-proj", "dataset": "finance-proj.billing",
    }))
    .unwrap();
    Settings::check(entry, "sources.gcp[0]", &mut Problems::new()).unwrap()
}

/// Classifies a body as BigQuery sends it.
fn body(
    status: u16,
    body: serde_json::Value,
    headers: &[(&'static str, &'static str)],
) -> SourceError {
    let bytes = Bytes::from(body.to_string());
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
        .collect();
    let error = match Status::try_from(&bytes) {
        Ok(parsed) => CallError::service_with_http_metadata(parsed, Some(status), Some(headers)),
        Err(_) => CallError::http(status, headers, bytes),
    };
    classify(&Failure::from(&error), &settings(), "read the bill")
}

fn answered(status: u16, reason: &str, code: &str, message: &str) -> SourceError {
    body(
        status,
        json!({"error": {
            "code": status, "message": message, "status": code,
            "errors": [{"message": message, "domain": "global", "reason": reason}],
        }}),
        &[],
    )
}

#[test]
fn reasons_of_bigquery_have_their_kinds_and_their_commands() {
    use SourceErrorKind::*;
    let cases = [
        (
            401,
            "authError",
            "UNAUTHENTICATED",
            "Request had invalid authentication credentials.",
            Auth,
            "gcloud auth application-default login",
        ),
        (
            403,
            "accessDenied",
            "PERMISSION_DENIED",
            "Access Denied: Project billing-proj: User does not have bigquery.jobs.create permission",
            Forbidden,
            "roles/bigquery.jobUser",
        ),
        (
            403,
            "accessDenied",
            "PERMISSION_DENIED",
            "Access Denied: Table finance-proj:billing.x",
            Forbidden,
            "roles/bigquery.dataViewer",
        ),
        (
            403,
            "quotaExceeded",
            "PERMISSION_DENIED",
            "Quota exceeded: Your project exceeded quota for free query bytes scanned.",
            RateLimited,
            "midnight Pacific",
        ),
        (403, "rateLimitExceeded", "PERMISSION_DENIED", "Exceeded rate limits", RateLimited, ""),
        (
            403,
            "accessNotConfigured",
            "PERMISSION_DENIED",
            "BigQuery API has not been used in project 1 before",
            Config,
            "gcloud services enable bigquery.googleapis.com",
        ),
        (
            404,
            "notFound",
            "NOT_FOUND",
            "Not found: Dataset finance-proj:billing",
            Config,
            "bq ls finance-proj:billing",
        ),
        (
            404,
            "notFound",
            "NOT_FOUND",
            "Not found: Table finance-proj:billing.x",
            Config,
            "Billing export",
        ),
        (
            404,
            "notFound",
            "NOT_FOUND",
            "Not found: Table finance-proj:billing.x was not found in location EU",
            Config,
            "set `location`",
        ),
        (
            404,
            "notFound",
            "NOT_FOUND",
            "Not found: Project nowhere",
            Config,
            "gcloud projects list",
        ),
        (
            400,
            "invalidQuery",
            "INVALID_ARGUMENT",
            "Unrecognized name: cost_at_list at [7:9]",
            Config,
            "no column `cost_at_list`",
        ),
        (
            400,
            "invalidQuery",
            "INVALID_ARGUMENT",
            "Field name region does not exist in STRUCT<location STRING> at [3:4]",
            Config,
            "no column `region`",
        ),
        (
            400,
            "bytesBilledLimitExceeded",
            "INVALID_ARGUMENT",
            "Query exceeded limit for bytes billed: 10000000000. 20971520000 or higher required.",
            Config,
            "raise `maximum_bytes_billed`",
        ),
        (
            400,
            "stopped",
            "INVALID_ARGUMENT",
            "Job execution was cancelled: Job timed out",
            Timeout,
            "",
        ),
        (500, "internalError", "INTERNAL", "An internal error occurred", Unavailable, ""),
        (
            503,
            "backendError",
            "UNAVAILABLE",
            "Error encountered during execution. Retrying may solve the problem.",
            Unavailable,
            "",
        ),
    ];
    for (status, reason, code, message, kind, hint) in cases {
        let error = answered(status, reason, code, message);
        assert_eq!(error.kind, kind, "{reason}: {error}");
        assert!(error.message.contains(message), "{error}");
        assert!(error.to_string().contains(hint), "{reason}: {error}");
    }
}

#[test]
fn status_decides_where_the_body_tells_no_reason() {
    use SourceErrorKind::*;
    for (status, kind) in [
        (401, Auth),
        (403, Forbidden),
        (404, Config),
        (408, Timeout),
        (429, RateLimited),
        (502, Unavailable),
        (504, Timeout),
        (400, Malformed),
        (418, Malformed),
    ] {
        assert_eq!(body(status, json!("<html>"), &[]).kind, kind, "{status}");
    }
}

#[test]
fn retry_after_is_kept() {
    let error = body(429, json!({}), &[("retry-after", "17")]);
    assert_eq!(error.retry_after, Some(Duration::from_secs(17)));
    assert_eq!(body(429, json!({}), &[("retry-after", "soon")]).retry_after, None);
}

#[test]
fn failed_job_is_named_by_its_first_error() {
    let failure = Failure::Answer {
        status: None,
        reason: "bytesBilledLimitExceeded".into(),
        message: "Query exceeded limit".into(),
        retry_after: None,
    };
    let error = classify(&failure, &settings(), "read the bill");
    assert_eq!(error.kind, SourceErrorKind::Config);
    assert_eq!(
        error.message,
        "failed to read the bill: google answered bytesBilledLimitExceeded: `Query exceeded limit`"
    );
}

#[test]
fn token_that_cannot_be_had_is_an_identity_problem_unless_it_may_come_later() {
    for (temporary, kind) in [(false, SourceErrorKind::Auth), (true, SourceErrorKind::Unavailable)]
    {
        let error = CallError::authentication(CredentialsError::new(
            temporary,
            "cannot sign",
            std::io::Error::other("private key SECRET"),
        ));
        let error = classify(&Failure::from(&error), &settings(), "read the bill");
        assert_eq!(error.kind, kind);
        assert!(error.message.contains("cannot sign"), "{error}");
        assert!(!error.to_string().contains("SECRET"), "{error}");
    }
}

#[test]
fn long_answers_are_cut() {
    let error = answered(400, "invalid", "INVALID_ARGUMENT", &"x".repeat(5_000));
    assert!(error.message.len() < 500);
}
