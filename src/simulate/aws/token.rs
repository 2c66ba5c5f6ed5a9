//! Page tokens: bound to the request that they continue and to the instant that it was asked at.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::auth::sha256;
use super::error::AwsError;

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The instant of the first page: all pages tell the bill of that instant.
    pub(crate) at: Timestamp,
    /// How many entries the pages before held.
    pub(crate) offset: usize,
}

/// The token of the page that begins at a place.
pub(crate) fn write(body: &[u8], place: Place) -> String {
    let text = format!("{}:{}:{}", print(body), place.at.as_second(), place.offset);
    STANDARD.encode(format!("{text}:{}", seal(&text)))
}

/// Where the page of a token begins; the first page begins now.
///
/// # Errors
/// `InvalidNextTokenException` for a token that this server did not write, and
/// `RequestChangedException` for one of another request.
pub(crate) fn read(token: Option<&str>, body: &[u8], now: Timestamp) -> Result<Place, AwsError> {
    let Some(token) = token else { return Ok(Place { at: now, offset: 0 }) };
    let invalid = || AwsError::modelled("InvalidNextTokenException", "Invalid next token.");
    let text = STANDARD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(invalid)?;
    let (content, sealed) = text.rsplit_once(':').ok_or_else(invalid)?;
    if seal(content) != sealed {
        return Err(invalid());
    }
    let mut parts = content.split(':');
    let (Some(request), Some(at), Some(offset)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(invalid());
    };
    if request != print(body) {
        return Err(AwsError::modelled(
            "RequestChangedException",
            "Your request parameters changed between pages. Try again with the old parameters or \
             without a pagination token.",
        ));
    }
    let at = at.parse().ok().and_then(|second| Timestamp::from_second(second).ok());
    Ok(Place { at: at.ok_or_else(invalid)?, offset: offset.parse().map_err(|_| invalid())? })
}

/// What is the same on every page of a request: its body without the token.
fn print(body: &[u8]) -> String {
    let mut value: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(members) = value.as_object_mut() {
        members.remove("NextPageToken");
        members.remove("NextToken");
    }
    sha256(value.to_string().as_bytes())
}

fn seal(text: &str) -> String {
    sha256(format!("simulated cost explorer {text}").as_bytes())
}
