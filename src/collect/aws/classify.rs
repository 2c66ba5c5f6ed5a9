//! From what AWS or the way to it answered to a [`SourceError`].

use std::error::Error;
use std::time::Duration;

use aws_sdk_costexplorer::config::http::HttpResponse;
use aws_sdk_costexplorer::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;

use crate::collect::aws::price_list::PRICES;
use crate::domain::report::{SourceError, SourceErrorKind};

/// What an operation answered instead of a result.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal<'a> {
    /// `GetCostAndUsage`, `GetCallerIdentity`, `AssumeRole`.
    pub(crate) operation: &'a str,
    /// The HTTP status.
    pub(crate) status: u16,
    /// The error's code: the `__type` of the JSON protocol, the `Code` of the query protocol.
    pub(crate) code: Option<&'a str>,
    /// Its text.
    pub(crate) message: Option<&'a str>,
    /// The standard header.
    pub(crate) retry_after: Option<Duration>,
}

const CLOCK: &str = "check this machine's clock: AWS accepts five minutes of difference";

/// Names a refusal.
pub(crate) fn classify(refusal: &Refusal<'_>) -> SourceError {
    let code = refusal.code.unwrap_or_default();
    let short = code.strip_suffix("Exception").unwrap_or(code);
    let text = refusal.message.unwrap_or_default();
    let (kind, hint) = by_code(short, text, refusal.operation)
        .unwrap_or_else(|| (by_status(refusal.status), None));

    let named = if code.is_empty() { "no error code".to_owned() } else { quote(code) };
    let mut message =
        format!("{} was answered with HTTP {} and {named}", refusal.operation, refusal.status);
    let said = first_line(text);
    if !said.is_empty() {
        message.push_str(": ");
        message.push_str(&said);
    }
    let mut error = SourceError::new(kind, message).retry_after(refusal.retry_after);
    error.hint = hint;
    error
}

/// Codes of the Cost Explorer and STS references and of the AWS common errors, without their
/// `Exception`.
fn by_code(code: &str, text: &str, operation: &str) -> Option<(SourceErrorKind, Option<String>)> {
    use SourceErrorKind as Kind;
    let clock_is_wrong = ["Signature expired", "Signature not yet current", "is now earlier than"]
        .iter()
        .any(|words| text.contains(words));
    let known = match code {
        "AccessDenied" | "UnauthorizedOperation" | "OptInRequired" | "SubscriptionRequired" => {
            (Kind::Forbidden, Some(permission_hint(operation, text)))
        }
        "RequestExpired" | "RequestTimeTooSkewed" | "RequestInTheFuture" => {
            (Kind::Auth, Some(CLOCK.to_owned()))
        }
        "InvalidSignature" | "SignatureDoesNotMatch" => {
            let hint = if clock_is_wrong {
                CLOCK
            } else {
                "check the secret access key: the signature was made with another one"
            };
            (Kind::Auth, Some(hint.to_owned()))
        }
        "ExpiredToken" => (
            Kind::Auth,
            Some("renew the session: the temporary credentials have expired".to_owned()),
        ),
        "InvalidClientTokenId" | "UnrecognizedClient" | "InvalidAccessKeyId" => (
            Kind::Auth,
            Some("check the access key and that it is of the region's partition".to_owned()),
        ),
        "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "InvalidIdentityToken"
        | "IDPRejectedClaim"
        | "AuthFailure"
        | "NotAuthorized" => (Kind::Auth, None),
        "Throttling"
        | "Throttled"
        | "RequestThrottled"
        | "LimitExceeded"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "SlowDown" => (Kind::RateLimited, None),
        "DataUnavailable" => (
            Kind::NotReady,
            Some(
                "wait up to 24 hours: Cost Explorer prepares its data after it is first enabled"
                    .to_owned(),
            ),
        ),
        "Validation"
        | "ValidationError"
        | "ResourceNotFound"
        | "InvalidParameter"
        | "NotFound"
        | "UnknownOperation"
        | "InvalidAction"
        | "InvalidParameterValue"
        | "Serialization"
        | "RegionDisabled" => (Kind::Config, None),
        "BillExpiration" => (
            Kind::Unavailable,
            Some("the bill was renewed while it was read; the next poll reads it anew".to_owned()),
        ),
        "RequestChanged" | "InvalidNextToken" | "ExpiredNextToken" => (
            Kind::Unavailable,
            Some("the pages no longer belong together; the next poll begins anew".to_owned()),
        ),
        "RequestTimeout" => (Kind::Timeout, None),
        "InternalServer"
        | "InternalFailure"
        | "InternalError"
        | "ServiceUnavailable"
        | "BillingViewHealthStatus"
        | "IDPCommunicationError" => (Kind::Unavailable, None),
        _ if clock_is_wrong => (Kind::Auth, Some(CLOCK.to_owned())),
        _ => return None,
    };
    Some(known)
}

fn by_status(status: u16) -> SourceErrorKind {
    match status {
        401 => SourceErrorKind::Auth,
        403 => SourceErrorKind::Forbidden,
        408 => SourceErrorKind::Timeout,
        429 => SourceErrorKind::RateLimited,
        404 => SourceErrorKind::Config,
        407 | 500.. => SourceErrorKind::Unavailable,
        _ => SourceErrorKind::Malformed,
    }
}

fn permission_hint(operation: &str, text: &str) -> String {
    match operation {
        "AssumeRole" | "AssumeRoleWithWebIdentity" => {
            "let the role's trust policy name this identity and the external id".to_owned()
        }
        _ if text.contains("not enabled for cost explorer") => {
            "enable Cost Explorer and IAM access to billing in the management account".to_owned()
        }
        PRICES => format!(
            "allow `pricing:{operation}` on `*` to this identity, or set `list_prices: false`"
        ),
        _ => format!("allow `ce:{operation}` on `*` to this identity"),
    }
}

/// Names what became of a request that the SDK sent.
pub(crate) fn sdk_error<E>(operation: &str, error: &SdkError<E, HttpResponse>) -> SourceError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(context) => {
            let code = context.err().code();
            let status = context.raw().status().as_u16();
            if code.is_none() && (200..300).contains(&status) {
                return malformed(operation, context.err());
            }
            classify(&Refusal {
                operation,
                status,
                code,
                message: context.err().message(),
                retry_after: retry_after(context.raw()),
            })
        }
        SdkError::TimeoutError(_) => timed_out(operation),
        SdkError::ResponseError(context) => {
            let status = context.raw().status().as_u16();
            if reset(error) {
                broken_connection(operation, error)
            } else if status >= 400 {
                classify(&Refusal {
                    operation,
                    status,
                    code: None,
                    message: None,
                    retry_after: retry_after(context.raw()),
                })
            } else {
                malformed(operation, error)
            }
        }
        SdkError::DispatchFailure(failure) if failure.is_timeout() => timed_out(operation),
        SdkError::DispatchFailure(_) => broken_connection(operation, error),
        _ => SourceError::new(
            SourceErrorKind::Config,
            format!("failed to make the request {operation}: {}", chain(error)),
        ),
    }
}

/// Names why no credentials were found. `error` is the provider's own, with its causes; a role that
/// STS refused is named by its answer.
pub(crate) fn credentials_error(error: &(dyn Error + 'static)) -> SourceError {
    for cause in causes(error) {
        if let Some(refused) = cause.downcast_ref::<SdkError<AssumeRoleError, HttpResponse>>() {
            return sdk_error("AssumeRole", refused);
        }
        if let Some(refused) =
            cause.downcast_ref::<SdkError<AssumeRoleWithWebIdentityError, HttpResponse>>()
        {
            return sdk_error("AssumeRoleWithWebIdentity", refused);
        }
    }
    let text = chain(error);
    let connector = causes(error).find_map(|cause| cause.downcast_ref::<ConnectorError>());
    let kind = match connector {
        Some(connector) if connector.is_timeout() => SourceErrorKind::Timeout,
        Some(connector) if connector.is_io() => SourceErrorKind::Unavailable,
        _ if text.contains("timed out") => SourceErrorKind::Timeout,
        _ => SourceErrorKind::Auth,
    };
    let hint = if text.contains("HTTP header value") {
        "remove the line break at the end of the pod identity token \
         (`AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE` or `AWS_CONTAINER_AUTHORIZATION_TOKEN`)"
    } else {
        "check `credentials`, the environment and the profile files of this process"
    };
    SourceError::new(kind, format!("failed to load credentials: {text}")).hint(hint)
}

fn timed_out(operation: &str) -> SourceError {
    SourceError::new(
        SourceErrorKind::Timeout,
        format!("{operation} was not answered within the request's time"),
    )
}

fn broken_connection(operation: &str, error: &(dyn Error + 'static)) -> SourceError {
    SourceError::new(
        SourceErrorKind::Unavailable,
        format!("failed to reach AWS for {operation}: {}", chain(error)),
    )
    .hint("check the network, `HTTPS_PROXY`, `SSL_CERT_FILE` and `endpoints`")
}

fn malformed(operation: &str, error: &(dyn Error + 'static)) -> SourceError {
    SourceError::new(
        SourceErrorKind::Malformed,
        format!("{operation} was answered with something that is not a reply: {}", chain(error)),
    )
}

fn retry_after(response: &HttpResponse) -> Option<Duration> {
    response.headers().get("retry-after")?.trim().parse().ok().map(Duration::from_secs)
}

/// The error and its causes, from the outside in.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

fn reset(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionReset)
    })
}

/// The texts of an error and its causes in one line, none of them twice.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut told: Vec<String> = Vec::new();
    for cause in causes(error) {
        let text = first_line(&cause.to_string());
        if !text.is_empty() && !told.iter().any(|before| before.contains(&text)) {
            told.push(text);
        }
    }
    told.join(": ")
}

/// The first line of outside text, at most 300 characters. What follows it in an AWS signature
/// error is the canonical request with the session token in it.
fn first_line(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default().trim_end();
    let mut short: String = line.chars().filter(|c| !c.is_control()).take(300).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short.strip_suffix('.').map(str::to_owned).unwrap_or(short)
}

/// Outside text as a quoted value: one line, at most 80 characters.
pub(crate) fn quote(text: &str) -> String {
    let short: String = text.chars().filter(|c| !c.is_control() && *c != '`').take(80).collect();
    format!("`{short}`")
}

#[cfg(test)]
mod tests;
