//! Addresses that may hold a password or a token, and texts of others that may repeat it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use reqwest::Url;

use crate::config::secret::Secret;

/// How much of somebody else's text is repeated.
const LONGEST_TEXT: usize = 200;

/// An address that is shown as scheme, host, port and path. A user, a password, a query and a
/// fragment, which may open a door, are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

impl Address {
    /// The whole address, for the one place that puts it on the wire.
    pub fn expose(&self) -> &Url {
        &self.0
    }

    /// Every text of it that must not come back: user and password as they are written, as they
    /// are meant and as they are sent, and the values of the query.
    pub fn secrets(&self) -> Vec<Secret> {
        let url = &self.0;
        let mut texts = Vec::new();
        let (user, password) = (url.username(), url.password());
        if let Some(password) = password {
            texts.extend([password.to_owned(), decoded(password)]);
        }
        if !user.is_empty() {
            // A token may stand where the user does.
            texts.extend([user.to_owned(), decoded(user)]);
        }
        if !user.is_empty() || password.is_some() {
            let password = password.map(decoded).unwrap_or_default();
            texts.push(sent(&decoded(user), &password));
        }
        for pair in url.query().unwrap_or_default().split('&') {
            let value = pair.split_once('=').map_or(pair, |(_, value)| value);
            texts.push(value.to_owned());
        }
        texts.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
        texts.extend(url.fragment().map(str::to_owned));
        texts.into_iter().filter(|text| !text.is_empty()).map(Secret::new).collect()
    }
}

impl From<Url> for Address {
    fn from(url: Url) -> Self {
        Self(url)
    }
}

impl FromStr for Address {
    type Err = <Url as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(shown(&self.0).trim_end_matches('/'))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// Scheme, host, port and path.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// What basic authentication sends.
pub fn sent(user: &str, password: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
}

/// A text with its `%41`s replaced.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits
            .filter(|digits| *first == b'%' && digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Somebody else's text on one line, short, without what must stay here.
pub fn cleaned(text: &str, secrets: &[Secret]) -> String {
    let mut secrets: Vec<&str> = secrets.iter().map(Secret::expose).collect();
    // One may stand within another.
    secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    let mut text = text.to_owned();
    // A text this short would be found everywhere.
    for secret in secrets.into_iter().filter(|secret| secret.len() > 2) {
        text = text.replace(secret, "[secret]");
    }
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= LONGEST_TEXT {
        return line;
    }
    line.chars().take(LONGEST_TEXT).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_shown_as_scheme_host_port_and_path() {
        let address = address("http://me:open%20sesame@gpus:9400/metrics?token=abc#frag");
        assert_eq!(address.to_string(), "http://gpus:9400/metrics");
        assert_eq!(format!("{address:?}"), "`http://gpus:9400/metrics`");
    }

    #[test]
    fn every_form_of_what_opens_a_door_is_taken_out() {
        let address = address("http://me:open%21sesame@gpus/?token=t%2Fk&key=plain&bare");
        let secrets = address.secrets();
        for form in [
            "open%21sesame",
            "open!sesame",
            "bWU6b3BlbiFzZXNhbWU=", // me:open!sesame
            "t%2Fk",
            "t/k",
            "plain",
            "bare",
        ] {
            let told = cleaned(&format!("no entry for {form}."), &secrets);
            assert_eq!(told, "no entry for [secret].", "{form}");
        }
        assert!(address.to_string().ends_with("//gpus"), "{address}");
    }

    #[test]
    fn a_text_that_is_cut_or_broken_is_still_a_text() {
        assert_eq!(decoded("%4"), "%4");
        assert_eq!(decoded("%+1%41"), "%+1A");
        let long = cleaned(&"a\n".repeat(300), &[]);
        assert_eq!((long.chars().count(), long.contains('\n')), (201, false));
    }
}
