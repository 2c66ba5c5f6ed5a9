//! E-mail by SMTP: text and HTML of the same words. Mails about one alert hang together by a
//! reference that is made of its identity.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jiff::Timestamp;
use lettre::address::Envelope;
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use maud::{DOCTYPE, html};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::config::problems::Problems;
use crate::config::secret::SecretRef;
use crate::domain::alert::AlertId;
use crate::domain::notice::{Notice, Takes};
use crate::notify::http::secret;
use crate::notify::text::NoticeText;
use crate::notify::{Common, DeliveryError, Links, Receiver, ReceiverKind, read, text, values};

/// E-mail.
pub const KIND: ReceiverKind = ReceiverKind {
    name: "email",
    schema: |generator| generator.subschema_for::<EmailEntry>(),
    takes: Takes::Groups,
    beats: false,
    build: |entry, path, links, problems| {
        Some(Arc::new(Email::build(entry, path, links, problems)?))
    },
};

/// A mail of more alerts is not read.
const MOST_ALERTS: usize = 50;
const LONGEST_SUBJECT: usize = 200;
/// A header of more references is not kept by every server.
const MOST_REFERENCES: usize = 10;

/// People who read e-mail.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
struct EmailEntry {
    #[serde(flatten)]
    common: Common,
    /// The mail server's name or address.
    host: String,
    /// Its port; `587` by default, `465` with `tls: implicit`, `25` with `tls: none`.
    #[serde(default)]
    port: Option<u16>,
    /// How the connection is encrypted; `starttls` by default.
    #[serde(default)]
    tls: Encryption,
    /// The user, where the server wants one.
    #[serde(default)]
    user: Option<String>,
    /// The user's password.
    #[serde(default)]
    password: Option<SecretRef>,
    /// Whom mails are from: `costband <costband@example.com>`.
    from: String,
    /// Whom they go to.
    #[schemars(length(min = 1))]
    to: Vec<String>,
}

/// How a connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Encryption {
    /// It begins in the clear and must be encrypted before anything is told.
    #[default]
    Starttls,
    /// From the first byte on.
    Implicit,
    /// Not at all: for a server on the same machine alone.
    None,
}

struct Email {
    entry: EmailEntry,
    from: Mailbox,
    to: Vec<Mailbox>,
    timeout: Duration,
    links: Links,
}

impl Email {
    fn build(entry: &Value, path: &str, links: &Links, problems: &mut Problems) -> Option<Self> {
        let entry: EmailEntry = read(entry, path, problems)?;
        let is_near = entry.host.eq_ignore_ascii_case("localhost")
            || entry.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if entry.tls == Encryption::None && !is_near {
            let message =
                "`none` is for a server on the same machine: want `starttls` or `implicit`";
            problems.add(format!("{path}.tls"), message);
        }
        if entry.user.is_some() != entry.password.is_some() {
            problems.add(format!("{path}.user"), "and `password` stand together: want both");
        }
        let mut mailbox = |text: &str, key: String| {
            let mailbox = text.parse::<Mailbox>().ok();
            if mailbox.is_none() {
                let message = "is not a mail address: want such as `ops@example.com`";
                problems.add(format!("{path}.{key}"), message);
            }
            mailbox
        };
        let from = mailbox(&entry.from, "from".to_owned());
        let to = entry.to.iter().enumerate();
        let to: Vec<Mailbox> =
            to.filter_map(|(index, text)| mailbox(text, format!("to[{index}]"))).collect();
        let timeout = entry.common.timeout();
        Some(Self { from: from?, to, timeout, links: links.clone(), entry })
    }

    fn message(&self, id: &str, notice: &Notice, now: Timestamp) -> Result<Message, DeliveryError> {
        let language = self.entry.common.language(&self.links);
        let words = text::notice(notice, &self.links, language, now);
        let domain = self.from.email.domain();
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(subject(&words, language))
            .date(SystemTime::try_from(now).unwrap_or(SystemTime::UNIX_EPOCH))
            .message_id(Some(format!("<{}@{domain}>", AlertId::digest(id))));
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        let about: Vec<String> = notice
            .alerts
            .iter()
            .take(MOST_REFERENCES)
            .map(|alert| format!("<alert-{}@{domain}>", alert.id))
            .collect();
        if let Some(first) = about.first() {
            builder = builder.in_reply_to(first.clone()).references(about.join(" "));
        }
        builder
            .multipart(MultiPart::alternative_plain_html(plain(&words), rich(&words)))
            .map_err(|error| DeliveryError::lasting(format!("failed to write the mail: {error}")))
    }

    /// To one address: servers refuse a mail to several for one of them.
    async fn send(
        &self,
        transport: &AsyncSmtpTransport<Tokio1Executor>,
        to: &Mailbox,
        mail: &[u8],
    ) -> Result<(), Failure> {
        let envelope = Envelope::new(Some(self.from.email.clone()), vec![to.email.clone()]);
        let envelope = envelope.map_err(|error| {
            let reason = format!("failed to address the mail: {error}");
            Failure::Refused(DeliveryError::lasting(reason))
        })?;
        match tokio::time::timeout(self.timeout, transport.send_raw(&envelope, mail)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.status().is_some() => Err(Failure::Refused(refused(&error))),
            Ok(Err(error)) => Err(Failure::NoAnswer(refused(&error))),
            Err(_) => Err(Failure::NoAnswer(
                DeliveryError::passing(
                    "failed to deliver: the mail server does not answer in time",
                )
                .perhaps_arrived(true),
            )),
        }
    }

    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, DeliveryError> {
        let host = &self.entry.host;
        let parameters = || {
            TlsParameters::new_rustls(host.clone()).map_err(|_| {
                DeliveryError::passing(
                    "failed to set up TLS; install `ca-certificates`, or name a bundle in \
                     `SSL_CERT_FILE`",
                )
            })
        };
        let (usual, tls) = match self.entry.tls {
            Encryption::Starttls => (587, Tls::Required(parameters()?)),
            Encryption::Implicit => (465, Tls::Wrapper(parameters()?)),
            Encryption::None => (25, Tls::None),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.as_str())
            .port(self.entry.port.unwrap_or(usual))
            .tls(tls)
            .timeout(Some(self.timeout));
        if let (Some(user), Some(password)) = (&self.entry.user, &self.entry.password) {
            let password = secret(password)?.expose().to_owned();
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        Ok(builder.build())
    }
}

#[async_trait]
impl Receiver for Email {
    fn name(&self) -> &str {
        &self.entry.common.name
    }

    async fn deliver(
        &self,
        id: &str,
        notice: &Notice,
        now: Timestamp,
    ) -> Result<(), DeliveryError> {
        let mail = self.message(id, notice, now)?.formatted();
        let transport = self.transport()?;
        let mut taken = 0_usize;
        let mut first_refusal = None;
        for to in &self.to {
            match self.send(&transport, to, &mail).await {
                Ok(()) => taken += 1,
                // Without an answer the next one would wait as long.
                Err(Failure::NoAnswer(error)) if taken == 0 && first_refusal.is_none() => {
                    return Err(error);
                }
                Err(Failure::NoAnswer(error) | Failure::Refused(error)) => {
                    first_refusal.get_or_insert(error);
                }
            }
        }
        let Some(error) = first_refusal else { return Ok(()) };
        if taken == 0 {
            return Err(error);
        }
        // Again and again to all of them would be worse for those who have it.
        tracing::warn!(
            receiver = self.entry.common.name,
            taken,
            refused = self.to.len() - taken,
            reason = error.reason,
            "a mail was not taken for some of its addresses"
        );
        Ok(())
    }
}

/// Why a mail was not taken for one address.
enum Failure {
    /// The server said so.
    Refused(DeliveryError),
    /// It said nothing.
    NoAnswer(DeliveryError),
}

/// What went wrong, by its code alone: the server's own words may repeat what it was told. Every code
/// can be mended (a mailbox, a right to relay, a policy for senders) while the message waits.
fn refused(error: &lettre::transport::smtp::Error) -> DeliveryError {
    if let Some(code) = error.status() {
        return DeliveryError::passing(format!(
            "failed to deliver: the mail server answers {code}"
        ));
    }
    // The answer to the mail may be what was lost.
    let may_have_arrived = !error.is_tls() && !error.is_client();
    DeliveryError::passing(if error.is_timeout() {
        "failed to deliver: the mail server does not answer in time".to_owned()
    } else if error.is_tls() {
        "failed to deliver: the mail server's TLS cannot be trusted".to_owned()
    } else if error.is_client() {
        "failed to deliver: the mail server does not offer what is wanted (STARTTLS, a way to log \
         in)"
        .to_owned()
    } else {
        format!("failed to deliver: {}", crate::domain::report::innermost(error))
    })
    .perhaps_arrived(may_have_arrived)
}

fn subject(words: &NoticeText, language: crate::config::file::Language) -> String {
    let title = values::shorten(&words.title, LONGEST_SUBJECT);
    match words.severity {
        Some(severity) => format!("[{}] {title}", values::severity(severity, language)),
        None => title,
    }
}

fn plain(words: &NoticeText) -> String {
    let alerts = words.alerts.iter().take(MOST_ALERTS);
    let mut parts: Vec<String> = alerts.map(|alert| alert.plain(&words.words)).collect();
    let left_out = words.alerts.len().saturating_sub(MOST_ALERTS);
    if left_out > 0 {
        parts.push(words.words.left_out(left_out));
    }
    parts.extend(words.dashboard.iter().map(|url| format!("{}: {url}", words.words.dashboard)));
    parts.join("\n\n") + "\n"
}

fn rich(words: &NoticeText) -> String {
    let left_out = words.alerts.len().saturating_sub(MOST_ALERTS);
    html! {
        (DOCTYPE)
        html {
            head { meta charset="utf-8"; title { (words.title) } }
            body style="font-family: sans-serif; max-width: 44em" {
                @for alert in words.alerts.iter().take(MOST_ALERTS) {
                    h2 style="font-size: 1.1em" { bdi { (alert.title) } }
                    p { bdi { (alert.summary) } }
                    @for line in &alert.lines { p style="margin: 0.2em 0" { bdi { (line) } } }
                    @if !alert.causes.is_empty() {
                        p { (words.words.causes) }
                        ul { @for cause in &alert.causes { li { bdi { (cause) } } } }
                    }
                    p {
                        @for (word, url) in alert.links(&words.words) { a href=(url) { (word) } " " }
                    }
                }
                @if left_out > 0 { p { (words.words.left_out(left_out)) } }
                @if let Some(url) = &words.dashboard {
                    p { a href=(url) { (words.words.dashboard) } }
                }
            }
        }
    }
    .into_string()
}
