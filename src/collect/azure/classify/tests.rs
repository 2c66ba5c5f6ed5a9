#![allow(clippy::unwrap_used)]

use reqwest::header::{HeaderName, HeaderValue};

use super::*;

const SCOPE: &str = "/subscriptions/0000";

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

fn error(status: u16, body: &str) -> SourceError {
    classify(status, &HeaderMap::new(), body.as_bytes(), SCOPE)
}

#[test]
fn captured_answers_become_their_kinds() {
    use SourceErrorKind as Kind;
    for (status, body, kind) in [
        (
            401,
            r#"{"error":{"code":"ExpiredAuthenticationToken","message":"The access token expiry UTC time '1/1/2026 1:00:00 AM' is earlier than current UTC time."}}"#,
            Kind::Auth,
        ),
        (
            401,
            r#"{"error":{"code":"InvalidAuthenticationToken","message":"The access token is invalid."}}"#,
            Kind::Auth,
        ),
        (
            401,
            r#"{"error":{"code":"InvalidAuthenticationTokenTenant","message":"The access token is from the wrong issuer."}}"#,
            Kind::Auth,
        ),
        (
            403,
            r#"{"error":{"code":"RBACAccessDenied","message":"The client does not have authorization to perform action."}}"#,
            Kind::Forbidden,
        ),
        (
            403,
            r#"{"error":{"code":"AuthorizationFailed","message":"The client 'x' does not have authorization."}}"#,
            Kind::Forbidden,
        ),
        (
            400,
            r#"{"error":{"code":"IndirectCostDisabled","message":"The pricing is not published."}}"#,
            Kind::Forbidden,
        ),
        (
            400,
            r#"{"error":{"code":"AccountCostDisabled","message":"Access to cost data has been disabled."}}"#,
            Kind::Forbidden,
        ),
        (
            404,
            r#"{"error":{"code":"SubscriptionNotFound","message":"The subscription '0000' could not be found."}}"#,
            Kind::Config,
        ),
        (
            404,
            r#"{"error":{"code":"NotFound","message":"Cost management data is not supported for subscription(s) 0000"}}"#,
            Kind::Config,
        ),
        (
            429,
            r#"{"error":{"code":"429","message":"Too many requests. Please retry."}}"#,
            Kind::RateLimited,
        ),
        (
            503,
            r#"{"error":{"code":"ResourceRequestsThrottled","message":"Too many requests."}}"#,
            Kind::RateLimited,
        ),
        (500, r#"{"error":{"code":"InternalServerError","message":"x"}}"#, Kind::Unavailable),
        (503, "<html>busy</html>", Kind::Unavailable),
        (
            504,
            r#"{"error":{"code":"GatewayTimeout","message":"The gateway did not receive a response"}}"#,
            Kind::Unavailable,
        ),
        (
            400,
            r#"{"error":{"code":"BadRequest","message":"Invalid query definition: Invalid dataset grouping: 'X'."}}"#,
            Kind::Config,
        ),
        (424, r#"{"error":{"code":"FailedDependency","message":"x"}}"#, Kind::NotReady),
        (
            400,
            r#"{"error":{"code":"BadRequest","message":"The cost data is not ready yet. Try again later."}}"#,
            Kind::NotReady,
        ),
        (408, "", Kind::Timeout),
        (307, "", Kind::Malformed),
        (405, "", Kind::Config),
    ] {
        assert_eq!(error(status, body).kind, kind, "{status} {body}");
    }
}

#[test]
fn a_refused_identity_is_told_which_role_on_which_scope() {
    let error = error(403, r#"{"error":{"code":"RBACAccessDenied","message":"no"}}"#);
    assert_eq!(
        error.to_string(),
        "azure answered 403 `RBACAccessDenied`: no; assign the role `Cost Management Reader` on `/subscriptions/0000`"
    );
}

#[test]
fn a_wrong_clock_is_named() {
    let error = error(
        401,
        r#"{"error":{"code":"InvalidAuthenticationToken","message":"The access token is not yet valid."}}"#,
    );
    assert!(error.hint.unwrap().contains("clock"));
}

#[test]
fn the_longest_wait_of_all_headers_is_kept() {
    let headers = headers(&[
        ("retry-after", "3"),
        ("x-ms-ratelimit-microsoft.costmanagement-qpu-retry-after", "11"),
        ("x-ms-ratelimit-microsoft.costmanagement-entity-retry-after", "42"),
        ("x-ms-ratelimit-microsoft.costmanagement-tenant-retry-after", "5"),
        ("x-ms-ratelimit-microsoft.costmanagement-clienttype-retry-after", "soon"),
        ("x-ms-ratelimit-remaining-microsoft.costmanagement-tenant-requests", "99"),
    ]);
    let error = classify(429, &headers, b"", SCOPE);
    assert_eq!(error.retry_after, Some(Duration::from_secs(42)));
    let unavailable = classify(503, &headers, b"", SCOPE);
    assert_eq!(unavailable.retry_after, Some(Duration::from_secs(42)));
}

#[test]
fn no_usage_is_an_empty_answer() {
    assert!(is_empty(br#"{"error":{"code":"SubscriptionHasNoUsages","message":"x"}}"#));
    assert!(!is_empty(br#"{"error":{"code":"NotFound","message":"x"}}"#));
    assert!(!is_empty(b"<html>"));
}

#[test]
fn only_a_400_that_says_so_means_no_amortised_cost() {
    let captured = br#"{"error":{"code":"400","message":"Request properties validation failed: Invalid definition type 'AmortizedCost'; valid values: 'Usage'."}}"#;
    assert!(says_no_amortized_cost(400, captured));
    assert!(!says_no_amortized_cost(500, captured));
    let other = br#"{"error":{"code":"BadRequest","message":"Invalid dataset grouping for AmortizedCost"}}"#;
    assert!(!says_no_amortized_cost(400, other));
}

#[test]
fn long_and_broken_texts_are_cut_to_one_line() {
    let error =
        error(500, &format!(r#"{{"error":{{"code":"X","message":"a\nb {}"}}}}"#, "é".repeat(900)));
    assert!(error.message.contains("a b é"));
    assert!(error.message.chars().count() < 350);
    assert!(!error.message.contains('\n'));
}
