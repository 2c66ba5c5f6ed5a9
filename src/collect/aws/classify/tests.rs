#![allow(clippy::unwrap_used)]

use super::*;
use SourceErrorKind as Kind;

fn refusal<'a>(status: u16, code: &'a str, message: &'a str) -> Refusal<'a> {
    Refusal {
        operation: "GetCostAndUsage",
        status,
        code: (!code.is_empty()).then_some(code),
        message: (!message.is_empty()).then_some(message),
        retry_after: None,
    }
}

#[test]
fn every_documented_code_has_its_kind() {
    for (status, code, message, kind) in [
        (
            400,
            "AccessDeniedException",
            "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: ce:GetCostAndUsage",
            Kind::Forbidden,
        ),
        (403, "AccessDenied", "", Kind::Forbidden),
        (
            400,
            "ExpiredTokenException",
            "The security token included in the request is expired",
            Kind::Auth,
        ),
        (403, "ExpiredToken", "", Kind::Auth),
        (
            403,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
            Kind::Auth,
        ),
        (
            400,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            Kind::Auth,
        ),
        (
            400,
            "InvalidSignatureException",
            "The request signature we calculated does not match",
            Kind::Auth,
        ),
        (403, "SignatureDoesNotMatch", "", Kind::Auth),
        (400, "RequestExpired", "", Kind::Auth),
        (400, "MissingAuthenticationTokenException", "", Kind::Auth),
        (400, "ThrottlingException", "Rate exceeded", Kind::RateLimited),
        (400, "Throttling", "Rate exceeded", Kind::RateLimited),
        (
            400,
            "LimitExceededException",
            "You made too many calls in a short period of time.",
            Kind::RateLimited,
        ),
        (400, "DataUnavailableException", "The requested data is unavailable.", Kind::NotReady),
        (
            400,
            "ValidationException",
            "Start date (and hour) should be before end date (and hour)",
            Kind::Config,
        ),
        (400, "ResourceNotFoundException", "", Kind::Config),
        (400, "BillExpirationException", "The requested report expired.", Kind::Unavailable),
        (
            400,
            "RequestChangedException",
            "Your request parameters changed between pages.",
            Kind::Unavailable,
        ),
        (400, "InvalidNextTokenException", "The pagination token is invalid.", Kind::Unavailable),
        (500, "InternalServerException", "", Kind::Unavailable),
        (503, "ServiceUnavailable", "", Kind::Unavailable),
        (401, "", "", Kind::Auth),
        (403, "", "", Kind::Forbidden),
        (408, "", "", Kind::Timeout),
        (429, "", "", Kind::RateLimited),
        (502, "", "", Kind::Unavailable),
        (400, "", "", Kind::Malformed),
        (500, "SomethingNew", "", Kind::Unavailable),
    ] {
        let error = classify(&refusal(status, code, message));
        assert_eq!(error.kind, kind, "{status} {code}: {error}");
        assert!(error.message.contains("GetCostAndUsage"), "{error}");
        assert!(code.is_empty() || error.message.contains(code), "{error}");
    }
}

#[test]
fn forbidden_names_the_permission_that_is_missing() {
    let error = classify(&refusal(400, "AccessDeniedException", "User is not authorized"));
    assert!(error.hint.unwrap().contains("`ce:GetCostAndUsage`"));
    let error = classify(&refusal(
        400,
        "AccessDeniedException",
        "User not enabled for cost explorer access",
    ));
    assert!(error.hint.unwrap().contains("enable Cost Explorer"));
}

#[test]
fn wrong_clock_is_named_as_such() {
    let expired = "Signature expired: 20261101T000000Z is now earlier than 20261101T010000Z \
                   (20261101T011500Z - 15 min.)";
    for (code, message) in [
        ("InvalidSignatureException", expired),
        ("SignatureDoesNotMatch", expired),
        ("InvalidSignatureException", "Signature not yet current: 20261101T020000Z is still later"),
        ("RequestExpired", "Request has expired."),
    ] {
        let error = classify(&refusal(403, code, message));
        assert_eq!(error.kind, Kind::Auth);
        assert!(error.hint.unwrap().contains("clock"), "{code}: {message}");
    }
    let wrong_key =
        classify(&refusal(403, "SignatureDoesNotMatch", "The request signature does not match"));
    assert!(wrong_key.hint.unwrap().contains("secret access key"));
}

#[test]
fn session_token_in_a_canonical_request_never_reaches_the_text() {
    let message = "The request signature we calculated does not match the signature you provided. \
                   Check your AWS Secret Access Key and signing method.\n\nThe Canonical String for \
                   this request should have been\n'POST\n/\n\nx-amz-security-token:IQoJb3JpZ2lu";
    let error = classify(&refusal(403, "SignatureDoesNotMatch", message));
    let told = format!("{error} {error:?}");
    assert!(!told.contains("IQoJb3JpZ2lu"), "{told}");
    assert!(told.contains("does not match the signature"), "{told}");
}

#[test]
fn outside_text_is_kept_short() {
    let error = classify(&refusal(500, &"A".repeat(5_000), &"b".repeat(5_000)));
    assert!(error.message.len() < 600, "{}", error.message.len());
}

#[test]
fn retry_after_of_the_provider_is_passed_on() {
    let asked = Refusal {
        retry_after: Some(Duration::from_secs(7)),
        ..refusal(429, "ThrottlingException", "")
    };
    assert_eq!(classify(&asked).retry_after, Some(Duration::from_secs(7)));
}
