//! Signature Version 4 as a service checks it: the shape always, the signature where a key is known.
//!
//! See "Create a signed AWS API request" in the IAM user guide.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use axum::http::{HeaderMap, Method, Uri};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::error::AwsError;
use super::{AwsOptions, header};

/// What a signature covers.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

/// Who may sign, and as whom.
pub(crate) struct Identities {
    account_id: String,
    known: Option<(String, String)>,
    issued: Mutex<BTreeMap<String, Issued>>,
    /// Whether a client was told that its clock is behind: it may sign by the clock it was told.
    told_ahead: AtomicBool,
}

/// Temporary credentials that this server gave out.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) secret: String,
    pub(crate) session_token: String,
    pub(crate) account_id: String,
    pub(crate) role: String,
    pub(crate) session: String,
}

/// The parts of an `Authorization` header.
struct Authorization<'a> {
    access_key: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

const AMZ_DATE: &str = "%Y%m%dT%H%M%SZ";
const TOLERANCE: Duration = Duration::from_secs(15 * 60);
/// How far ahead of its own clock the server pretends to be when it tells a client of its skew.
const AHEAD: Duration = Duration::from_secs(20 * 60);

impl Identities {
    pub(crate) fn new(options: &AwsOptions) -> Self {
        Self {
            account_id: options.account_id.clone(),
            known: options.credentials.clone(),
            issued: Mutex::default(),
            told_ahead: AtomicBool::new(false),
        }
    }

    /// Checks a request's signature.
    ///
    /// # Errors
    /// The service's own error for a missing, incomplete, late, foreign or wrong signature.
    pub(crate) fn check(
        &self,
        request: &Request<'_>,
        service: &str,
        now: Timestamp,
    ) -> Result<(), AwsError> {
        let text = header(request.headers, "authorization").ok_or_else(|| {
            AwsError::new("MissingAuthenticationTokenException", "Missing Authentication Token")
        })?;
        let authorization = Authorization::parse(text)?;
        let sent = header(request.headers, "x-amz-date").unwrap_or_default();
        let at = authorization.check_scope(service, sent)?;
        if at < now - TOLERANCE {
            return Err(signature_expired(sent, now - TOLERANCE, now));
        }
        let told = self.told_ahead.load(Ordering::Relaxed);
        let latest = now + TOLERANCE + if told { AHEAD } else { Duration::ZERO };
        if at > latest {
            return Err(signature_early(sent, latest, now));
        }
        let unknown = || {
            AwsError::new(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        };
        let secret = match (self.issued(authorization.access_key), &self.known) {
            (Some(issued), _) => {
                let token = header(request.headers, "x-amz-security-token");
                if token != Some(issued.session_token.as_str()) {
                    return Err(unknown());
                }
                issued.secret
            }
            (None, Some((key, secret))) if key == authorization.access_key => secret.clone(),
            (None, Some(_)) => return Err(unknown()),
            (None, None) => return Ok(()),
        };
        if authorization.sign(request, sent, &secret)? == authorization.signature {
            Ok(())
        } else {
            Err(AwsError::new(
                "InvalidSignatureException",
                "The request signature we calculated does not match the signature you provided. \
                 Check your AWS Secret Access Key and signing method. Consult the service \
                 documentation for details.",
            ))
        }
    }

    /// Refuses a request as that of a client twenty minutes behind; returns the pretended time with
    /// the error. Official clients correct their clock by it, so signatures of that time count from
    /// then on.
    pub(crate) fn refuse_skewed(
        &self,
        request: &Request<'_>,
        now: Timestamp,
    ) -> (Timestamp, AwsError) {
        self.told_ahead.store(true, Ordering::Relaxed);
        let pretended = now + AHEAD;
        let sent = header(request.headers, "x-amz-date").unwrap_or_default();
        (pretended, signature_expired(sent, pretended - TOLERANCE, pretended))
    }

    /// The account of whoever signed a request.
    pub(crate) fn account_of(&self, request: &Request<'_>) -> String {
        self.session_of(request).map_or_else(|| self.account_id.clone(), |one| one.account_id)
    }

    /// The role session that signed a request; none for a key of its own.
    pub(crate) fn session_of(&self, request: &Request<'_>) -> Option<Issued> {
        let text = header(request.headers, "authorization")?;
        self.issued(Authorization::parse(text).ok()?.access_key)
    }

    /// Gives out credentials under a new access key id.
    pub(crate) fn issue(&self, issued: Issued) -> String {
        let mut keys = self.issued.lock().expect("no holder of the lock panics");
        let key = format!("ASIASIMULATED{:07}", keys.len() + 1);
        keys.insert(key.clone(), issued);
        key
    }

    fn issued(&self, access_key: &str) -> Option<Issued> {
        self.issued.lock().expect("no holder of the lock panics").get(access_key).cloned()
    }
}

impl<'a> Authorization<'a> {
    fn parse(text: &'a str) -> Result<Self, AwsError> {
        let incomplete = || {
            AwsError::new(
                "IncompleteSignatureException",
                "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' \
                 parameters and the 'AWS4-HMAC-SHA256' algorithm.",
            )
        };
        let parameters = text.strip_prefix("AWS4-HMAC-SHA256 ").ok_or_else(incomplete)?;
        let value = |name: &str| {
            parameters
                .split(',')
                .filter_map(|part| part.trim().split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
                .ok_or_else(incomplete)
        };
        let scope: Vec<&str> = value("Credential")?.split('/').collect();
        let [access_key, date, region, service, "aws4_request"] = scope.as_slice() else {
            return Err(incomplete());
        };
        Ok(Self {
            access_key,
            date,
            region,
            service,
            signed_headers: value("SignedHeaders")?,
            signature: value("Signature")?,
        })
    }

    /// Checks the credential scope and what is signed; returns the instant of the signature.
    fn check_scope(&self, service: &str, sent: &str) -> Result<Timestamp, AwsError> {
        let wrong = |message: String| AwsError::new("InvalidSignatureException", message);
        if self.service != service {
            return Err(wrong(format!(
                "Credential should be scoped to correct service: '{service}'. "
            )));
        }
        let at = DateTime::strptime(AMZ_DATE, sent)
            .ok()
            .and_then(|at| TimeZone::UTC.to_timestamp(at).ok())
            .ok_or_else(|| {
                AwsError::new(
                    "IncompleteSignatureException",
                    format!(
                        "Date must be in ISO-8601 'basic format'. Got '{sent}'. See \
                         http://en.wikipedia.org/wiki/ISO_8601"
                    ),
                )
            })?;
        if !sent.starts_with(self.date) {
            return Err(wrong(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
                 from HTTP: '{}' != '{}', from '{sent}'.",
                self.date,
                sent.get(..8).unwrap_or_default(),
            )));
        }
        let signed: Vec<&str> = self.signed_headers.split(';').collect();
        if !signed.contains(&"host") || !signed.contains(&"x-amz-date") {
            return Err(wrong(
                "'Host' and 'X-Amz-Date' must be 'SignedHeaders' in the AWS Authorization.".into(),
            ));
        }
        Ok(at)
    }

    fn sign(&self, request: &Request<'_>, sent: &str, secret: &str) -> Result<String, AwsError> {
        let mut canonical =
            format!("{}\n{}\n{}\n", request.method, request.uri.path(), query(request.uri));
        for name in self.signed_headers.split(';') {
            let value = header(request.headers, name).ok_or_else(|| {
                AwsError::new(
                    "InvalidSignatureException",
                    format!("The signed header `{name}` is not in the request."),
                )
            })?;
            let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            canonical.push_str(&format!("{name}:{value}\n"));
        }
        canonical.push_str(&format!("\n{}\n{}", self.signed_headers, sha256(request.body)));
        let scope = format!("{}/{}/{}/aws4_request", self.date, self.region, self.service);
        let text = format!("AWS4-HMAC-SHA256\n{sent}\n{scope}\n{}", sha256(canonical.as_bytes()));
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in [self.date, self.region, self.service, "aws4_request"] {
            key = keyed(&key, part.as_bytes());
        }
        Ok(hex(&keyed(&key, text.as_bytes())))
    }
}

fn query(uri: &Uri) -> String {
    let mut parts: Vec<&str> = uri.query().unwrap_or_default().split('&').collect();
    parts.sort_unstable();
    parts.join("&")
}

fn signature_expired(sent: &str, earliest: Timestamp, now: Timestamp) -> AwsError {
    let (earliest, now) = (earliest.strftime(AMZ_DATE), now.strftime(AMZ_DATE));
    AwsError::new(
        "InvalidSignatureException",
        format!("Signature expired: {sent} is now earlier than {earliest} ({now} - 15 min.)"),
    )
}

fn signature_early(sent: &str, latest: Timestamp, now: Timestamp) -> AwsError {
    let (latest, now) = (latest.strftime(AMZ_DATE), now.strftime(AMZ_DATE));
    AwsError::new(
        "InvalidSignatureException",
        format!("Signature not yet current: {sent} is still later than {latest} ({now} + 15 min.)"),
    )
}

fn keyed(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref().to_vec()
}

pub(crate) fn sha256(data: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, data).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
