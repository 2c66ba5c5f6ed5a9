//! What every request and answer of Resource Manager shares: the read request, numbers, ids.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Query;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use bytes::Bytes;
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::simulate::azure::refusal::Refusal;

/// A request whose path and query are read.
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path's words, decoded, without empty ones: Resource Manager takes `//subscriptions`.
    pub path: Vec<String>,
    /// The whole body.
    pub body: Bytes,
    headers: HeaderMap,
    parameters: Vec<(String, String)>,
}

impl Call {
    /// Reads path and query.
    ///
    /// # Errors
    /// 400 for a query string that is not form-encoded.
    pub fn new(parts: &Parts, body: Bytes) -> Result<Self, Refusal> {
        let path = parts.uri.path().split('/').filter(|word| !word.is_empty());
        let parameters = pairs(&parts.uri)
            .ok_or_else(|| Refusal::bad_request("The request's query string could not be read."))?;
        Ok(Self {
            method: parts.method.clone(),
            path: path.map(percent_decoded).collect(),
            body,
            headers: parts.headers.clone(),
            parameters,
        })
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The first query parameter of a name, whatever its case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let named = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.parameters.iter().find(named).map(|(_, value)| value.as_str())
    }

    /// The scheme and host under which the client reached this server.
    pub fn origin(&self) -> String {
        format!("http://{}", self.header(HOST.as_str()).unwrap_or("management.azure.com"))
    }

    /// The form fields of the body.
    pub fn form(&self) -> Option<Vec<(String, String)>> {
        let text = std::str::from_utf8(&self.body).ok()?;
        pairs(&format!("/?{text}").parse().ok()?)
    }

    /// How many rows a page has: `$top` of the request, else `otherwise`; `largest` at most.
    pub fn page_size(&self, otherwise: usize, largest: usize) -> Result<usize, Refusal> {
        let asked = match self.parameter("$top") {
            None => otherwise,
            Some(text) => text
                .parse()
                .ok()
                .filter(|rows| *rows > 0)
                .ok_or_else(|| Refusal::bad_request(format!("Invalid $top value '{text}'.")))?,
        };
        Ok(asked.clamp(1, largest.max(1)))
    }

    /// This request's address with another `$skiptoken`, for `nextLink`.
    pub fn next_link(&self, skip_token: &str) -> String {
        self.with_parameter("$skiptoken", skip_token)
    }

    /// This request's address with another value of a parameter, which stands last.
    pub fn with_parameter(&self, name: &str, value: &str) -> String {
        let mut link = format!("{}/{}", self.origin(), self.path.join("/"));
        let kept = self.parameters.iter().filter(|(key, _)| !key.eq_ignore_ascii_case(name));
        for (index, (key, value)) in kept.enumerate() {
            link.push(if index == 0 { '?' } else { '&' });
            link.push_str(&format!("{key}={}", percent_encoded(value)));
        }
        link.push_str(if link.contains('?') { "&" } else { "?" });
        link + name + "=" + value
    }

    /// Checks that the request names an api-version that begins with a date; any date will do.
    ///
    /// # Errors
    /// 400 without one or with another text.
    pub fn check_api_version(&self) -> Result<(), Refusal> {
        let missing =
            "The api-version query parameter (?api-version=) is required for all requests.";
        let bad = |message: String| {
            Refusal::new(StatusCode::BAD_REQUEST, "MissingApiVersionParameter", message)
        };
        let version = self.parameter("api-version").ok_or_else(|| bad(missing.to_owned()))?;
        let date = version.get(..10).unwrap_or_default();
        if date.parse::<jiff::civil::Date>().is_err() {
            let message = format!("The api-version '{version}' is invalid.");
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "InvalidApiVersionParameter",
                message,
            ));
        }
        Ok(())
    }
}

fn pairs(uri: &Uri) -> Option<Vec<(String, String)>> {
    Query::<Vec<(String, String)>>::try_from_uri(uri).ok().map(|Query(pairs)| pairs)
}

fn percent_decoded(word: &str) -> String {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn percent_encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' | b'/' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// An exact amount as a JSON number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number(pub Decimal);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(number_text(self.0))
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

/// Writes every digit of an amount as .NET writes a double: plain from 1e-4 upward, else with an
/// exponent of two digits, `1.980949998E-06`.
pub fn number_text(amount: Decimal) -> String {
    let amount = amount.normalize();
    if amount.is_zero() || amount.abs() >= Decimal::new(1, 4) {
        return amount.to_string();
    }
    let sign = if amount.is_sign_negative() { "-" } else { "" };
    let digits = amount.mantissa().unsigned_abs().to_string();
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let behind_point = u32::try_from(rest.len()).unwrap_or(u32::MAX);
    format!("{sign}{first}{point}{rest}E-{:02}", amount.scale().saturating_sub(behind_point))
}

/// A GUID that no other answer of this process bears.
pub fn fresh_guid() -> String {
    static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let (high, low) = (SEED.hash_one(count), SEED.hash_one((count, "low")));
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff,
    )
}

/// Adds the ids and cache rules that every answer bears.
pub fn with_request_ids(mut response: Response) -> Response {
    let id = fresh_guid();
    let headers = response.headers_mut();
    for name in ["x-ms-request-id", "x-ms-correlation-request-id"] {
        set(headers, name, &id);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json") {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    }
    response
}

/// Sets a header whose value is made of visible characters.
pub fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_keep_every_digit() {
        for (amount, text) in [
            ("0", "0"),
            ("12.50", "12.5"),
            ("19.545363672276512", "19.545363672276512"),
            ("0.0001", "0.0001"),
            ("0.000001980949998", "1.980949998E-06"),
            ("-0.00002", "-2E-05"),
            ("0.000000000000000000012", "1.2E-20"),
        ] {
            assert_eq!(number_text(amount.parse().unwrap()), text);
        }
    }

    #[test]
    fn path_words_are_decoded_and_values_encoded() {
        assert_eq!(percent_decoded("1234%3A5678_2019-05-31"), "1234:5678_2019-05-31");
        assert_eq!(percent_decoded("100%"), "100%");
        assert_eq!(percent_encoded("a b'&"), "a%20b%27%26");
    }

    proptest! {
        #[test]
        fn written_amount_reads_back(mantissa in any::<i64>(), scale in 0u32..20) {
            let amount = Decimal::new(mantissa, scale);
            let text = number_text(amount);
            let value: &RawValue = serde_json::from_str(&text).unwrap();
            let read: Decimal =
                value.get().parse().or_else(|_| Decimal::from_scientific(value.get())).unwrap();
            prop_assert_eq!(read, amount);
        }
    }
}
