//! The Security Token Service: who is asking, and temporary credentials for a role.
//!
//! Query protocol, version 2011-06-15: a form in, XML out.

use axum::http::StatusCode;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};

use super::auth::{Issued, Request};
use super::error::AwsError;
use super::{Server, reply};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
const REQUEST_ID: &str = "c6104cbe-af31-11e0-8154-cbc7ccf896c7";

/// An error of the query protocol: its code, its words, its status.
struct Refusal(String, String, StatusCode);

impl From<AwsError> for Refusal {
    /// The query protocol drops `Exception` from the codes of signature errors and answers 403.
    fn from(error: AwsError) -> Self {
        let code = match error.kind {
            "UnrecognizedClientException" => "InvalidClientTokenId",
            "InvalidSignatureException" => "SignatureDoesNotMatch",
            other => other.trim_end_matches("Exception"),
        };
        Self(code.to_owned(), error.message, StatusCode::FORBIDDEN)
    }
}

pub(super) fn answer(server: &Server, request: &Request<'_>) -> Response {
    let form = form(request.body);
    let action = value(&form, "Action").unwrap_or_default().to_owned();
    server.options.requests.count(&action);
    let answered = match action.as_str() {
        "GetCallerIdentity" => caller_identity(server, request),
        "AssumeRole" => assume_role(server, request, &form),
        "AssumeRoleWithWebIdentity" => web_identity(server, &form),
        other => Err(Refusal(
            "InvalidAction".to_owned(),
            format!("Could not find operation {other} for version 2011-06-15"),
            StatusCode::BAD_REQUEST,
        )),
    };
    match answered {
        Ok(result) => reply(
            StatusCode::OK,
            "text/xml",
            format!(
                "<{action}Response xmlns=\"{NAMESPACE}\">\n  <{action}Result>\n{result}  \
                 </{action}Result>\n  <ResponseMetadata>\n    <RequestId>{REQUEST_ID}</RequestId>\n  \
                 </ResponseMetadata>\n</{action}Response>\n"
            ),
        ),
        Err(Refusal(code, message, status)) => reply(
            status,
            "text/xml",
            format!(
                "<ErrorResponse xmlns=\"{NAMESPACE}\">\n  <Error>\n    <Type>Sender</Type>\n    \
                 <Code>{}</Code>\n    <Message>{}</Message>\n  </Error>\n  \
                 <RequestId>{REQUEST_ID}</RequestId>\n</ErrorResponse>\n",
                escape(&code),
                escape(&message)
            ),
        ),
    }
}

fn caller_identity(server: &Server, request: &Request<'_>) -> Result<String, Refusal> {
    server.identities.check(request, "sts", Timestamp::now())?;
    let (arn, user, account) = match server.identities.session_of(request) {
        Some(Issued { account_id, role, session, .. }) => (
            format!("arn:aws:sts::{account_id}:assumed-role/{role}/{session}"),
            format!("AROASIMULATEDROLE:{session}"),
            account_id,
        ),
        None => {
            let account = server.options.account_id.clone();
            (format!("arn:aws:iam::{account}:user/costband"), "AIDASIMULATEDUSER".into(), account)
        }
    };
    Ok(format!(
        "    <Arn>{}</Arn>\n    <UserId>{}</UserId>\n    <Account>{}</Account>\n",
        escape(&arn),
        escape(&user),
        escape(&account)
    ))
}

fn assume_role(
    server: &Server,
    request: &Request<'_>,
    form: &[(String, String)],
) -> Result<String, Refusal> {
    server.identities.check(request, "sts", Timestamp::now())?;
    let arn = required(form, "RoleArn")?;
    let given = value(form, "ExternalId");
    if server.options.external_id.as_deref().is_some_and(|wanted| given != Some(wanted)) {
        return Err(Refusal(
            "AccessDenied".to_owned(),
            format!(
                "User: arn:aws:iam::{}:user/costband is not authorized to perform: sts:AssumeRole \
                 on resource: {arn}",
                server.options.account_id
            ),
            StatusCode::FORBIDDEN,
        ));
    }
    issue(server, form)
}

fn web_identity(server: &Server, form: &[(String, String)]) -> Result<String, Refusal> {
    let token = required(form, "WebIdentityToken")?;
    if token.split('.').count() != 3 {
        return Err(Refusal(
            "InvalidIdentityToken".to_owned(),
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an \
             Access Token)"
                .to_owned(),
            StatusCode::BAD_REQUEST,
        ));
    }
    let subject = "    <SubjectFromWebIdentityToken>system:serviceaccount:costband:costband\
                   </SubjectFromWebIdentityToken>\n    <Audience>sts.amazonaws.com</Audience>\n";
    Ok(format!("{subject}{}", issue(server, form)?))
}

/// Credentials of an hour for the role in the form.
fn issue(server: &Server, form: &[(String, String)]) -> Result<String, Refusal> {
    let arn = required(form, "RoleArn")?;
    let session = required(form, "RoleSessionName")?;
    let mut parts = arn.splitn(6, ':');
    let account = parts.nth(4).filter(|account| account.len() == 12);
    let role = parts.next().and_then(|resource| resource.strip_prefix("role/"));
    let (Some(account), Some(role)) = (account, role) else {
        return Err(Refusal(
            "ValidationError".to_owned(),
            format!("{arn} is invalid"),
            StatusCode::BAD_REQUEST,
        ));
    };
    let issued = Issued {
        secret: format!("simulated/secret/of/{session}/{role}"),
        session_token: format!("simulated-session-token-{account}-{session}"),
        account_id: account.to_owned(),
        role: role.rsplit('/').next().unwrap_or(role).to_owned(),
        session: session.to_owned(),
    };
    let key = server.identities.issue(issued.clone());
    let expiration = Timestamp::now() + SignedDuration::from_hours(1);
    Ok(format!(
        "    <Credentials>\n      <AccessKeyId>{key}</AccessKeyId>\n      \
         <SecretAccessKey>{}</SecretAccessKey>\n      <SessionToken>{}</SessionToken>\n      \
         <Expiration>{}</Expiration>\n    </Credentials>\n    <AssumedRoleUser>\n      \
         <AssumedRoleId>AROASIMULATEDROLE:{}</AssumedRoleId>\n      \
         <Arn>arn:aws:sts::{account}:assumed-role/{}/{}</Arn>\n    </AssumedRoleUser>\n",
        escape(&issued.secret),
        escape(&issued.session_token),
        expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
        escape(session),
        escape(&issued.role),
        escape(session),
    ))
}

fn required<'a>(form: &'a [(String, String)], name: &str) -> Result<&'a str, Refusal> {
    value(form, name).filter(|value| !value.is_empty()).ok_or_else(|| {
        Refusal(
            "ValidationError".to_owned(),
            format!(
                "1 validation error detected: Value null at '{name}' failed to satisfy \
                     constraint: Member must not be null"
            ),
            StatusCode::BAD_REQUEST,
        )
    })
}

fn value<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// The pairs of an `application/x-www-form-urlencoded` body.
fn form(body: &[u8]) -> Vec<(String, String)> {
    String::from_utf8_lossy(body)
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, tail @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let value = digit(high).zip(digit(low)).map(|(high, low)| high * 16 + low);
                match value.and_then(|value| u8::try_from(value).ok()) {
                    Some(value) => {
                        bytes.push(value);
                        rest = tail;
                    }
                    None => bytes.push(b'%'),
                }
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
