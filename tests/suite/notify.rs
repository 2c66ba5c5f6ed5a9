//! Every receiver against servers that answer as the real ones do: what is sent, what is tried
//! again, and that no secret is told.

mod answers;
mod leaks;
mod notices;
mod payloads;
mod peers;
mod program;
mod servers;

use std::path::Path;
use std::sync::Arc;

use costband::app::setup::Setup;
use costband::notify::{RECEIVERS, Receiver};

/// What must never be told. It is no part of any other word.
pub(super) const SECRET: &str = "s3cr3t-9f81c2d7";
/// A signing key: `whsec_` and the base64 of 24 bytes and more.
pub(super) const SIGNING: &str = "whsec_czNjcjN0LTlmODFjMmQ3LXMzY3IzdC05Zjgx";

/// The text of a configuration that names one receiver of a kind, whose server is at an address.
pub(super) fn entry(kind: &str, scheme: &str, port: u16, folder: &Path, more: &str) -> String {
    let file = |name: &str, text: &str| {
        let path = folder.join(format!("{kind}-{name}"));
        std::fs::write(&path, format!("{text}\n")).unwrap();
        format!("{{file: \"{}\"}}", path.display())
    };
    let base = format!("{scheme}://127.0.0.1:{port}");
    let hook = || file("url", &format!("{base}/hook/{SECRET}"));
    let own = match kind {
        "alertmanager" => {
            format!("urls: [\"{base}\"], bearer_token: {}", file("token", SECRET))
        }
        "pagerduty" => format!("url: \"{base}/v2/enqueue\", routing_key: {}", file("key", SECRET)),
        "webhook" => format!("url_from: {}, secret: {}", hook(), file("key", SIGNING)),
        "email" => format!(
            "host: 127.0.0.1, port: {port}, tls: {}, user: me, password: {}, from: 'costband \
             <costband@example.com>', to: [ops@example.com, 'Team <team@example.com>']",
            if scheme == "https" { "starttls" } else { "none" },
            file("password", SECRET)
        ),
        _ => format!("url_from: {}", hook()),
    };
    format!("  {kind}:\n    - {{name: to-{kind}, timeout: 2s, {own}{more}}}\n")
}

/// A configuration around entries.
pub(super) fn configuration(entries: &str, language: &str) -> String {
    format!(
        "sources: {{aws: [{{name: aws, account: '111122223333'}}]}}\nbands: []\n\
         language: {language}\nexternal_url: https://costband.example.com/\n\
         dashboard_url: https://grafana.example.com/d/costband\nnotify:\n{entries}"
    )
}

/// One receiver of a kind.
pub(super) fn receiver(
    kind: &str,
    scheme: &str,
    port: u16,
    folder: &Path,
    language: &str,
) -> Arc<dyn Receiver> {
    let text = configuration(&entry(kind, scheme, port, folder, ""), language);
    let setup = Setup::from_text(&text, std::iter::empty()).unwrap();
    assert_eq!((setup.receivers.len(), setup.recipients.len()), (1, 1));
    setup.receivers[0].clone()
}

/// Every kind's name.
pub(super) fn kinds() -> impl Iterator<Item = &'static str> {
    RECEIVERS.iter().map(|kind| kind.name)
}
