//! Where the ledger is, and how long it keeps what.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use reqwest::Url;

use super::gpu::replaced;
use crate::config::address::decoded;
use crate::config::file::StoreFile;
use crate::config::structure::Findings;
use crate::config::values::Span;
use crate::config::{PostgresConfig, SslMode, StoreConfig, StorePlace};

/// The shortest retention: the previous period is judged until it is final, and the pace of the
/// month before that explains it.
const LEAST_RETENTION: Span = Span::hours(93 * 24);
const USUAL_PORT: u16 = 5432;

pub(super) fn store(
    file: StoreFile,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings,
) -> StoreConfig {
    let retention = file.retention.unwrap_or(Span::hours(800 * 24));
    if retention < LEAST_RETENTION {
        findings.add(
            "store.retention",
            "is too short to judge the previous period and to compare it: want at least `93d`",
        );
    }
    let place = match (&file.url, &file.path) {
        (Some(_), Some(_)) => {
            findings.add("store.url", "stands beside `path`: want one of the two");
            None
        }
        (Some(url), None) => postgres(url, &file, environment, findings).map(StorePlace::Postgres),
        (None, _) => {
            for (key, is_there) in [
                ("password", file.password.is_some()),
                ("root_certificate", file.root_certificate.is_some()),
            ] {
                if is_there {
                    findings
                        .add(&format!("store.{key}"), "is for a database: want `url` beside it");
                }
            }
            None
        }
    };
    let place = place.unwrap_or_else(|| {
        let path = file.path.unwrap_or_else(|| PathBuf::from("costband.db"));
        if path.as_os_str().is_empty() {
            findings.add("store.path", "is empty: want the ledger's file");
        }
        StorePlace::Path(path)
    });
    StoreConfig { place, retention: retention.signed() }
}

/// Takes a database's address apart. The address is not repeated: it may hold a password.
fn postgres(
    text: &str,
    file: &StoreFile,
    environment: &BTreeMap<String, String>,
    findings: &mut Findings,
) -> Option<PostgresConfig> {
    let path = "store.url";
    let text = replaced(text, path, environment, findings)?;
    let url =
        Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "postgres" | "postgresql"));
    let Some(url) = url else {
        findings.add(
            path,
            "is not the address of a database: want such as `postgres://costband@db:5432/costband`",
        );
        return None;
    };
    if url.password().is_some() {
        findings.add(
            path,
            "holds a password: take it out, and name its file or variable in `store.password`",
        );
        return None;
    }
    let mut host = url.host_str().map(|host| decoded(host.trim_matches(['[', ']'])));
    let mut user = Some(decoded(url.username())).filter(|user| !user.is_empty());
    let mut ssl_mode = None;
    for (key, value) in url.query_pairs() {
        match key.as_ref() {
            "host" => host = Some(value.into_owned()),
            "user" => user = Some(value.into_owned()),
            "sslmode" => ssl_mode = Some(mode(&value, findings)?),
            "password" => {
                findings.add(
                    path,
                    "holds a password: take it out, and name its file or variable in `store.password`",
                );
                return None;
            }
            "sslrootcert" => {
                findings.add(path, "has `sslrootcert`: want the file in `store.root_certificate`");
                return None;
            }
            other => {
                findings.add(
                    path,
                    format!("has `{other}`: want no parameters but `sslmode`, `host` and `user`"),
                );
                return None;
            }
        }
    }
    let database = decoded(url.path().trim_start_matches('/'));
    let host = host.filter(|host| !host.is_empty());
    let (Some(host), Some(user), false) = (host, user, database.is_empty()) else {
        findings.add(
            path,
            "lacks its user, host or database: want such as `postgres://costband@db:5432/costband`",
        );
        return None;
    };
    let is_near = is_near(&host) && file.root_certificate.is_none();
    let usual = if is_near { SslMode::Prefer } else { SslMode::VerifyFull };
    let ssl_mode = ssl_mode.unwrap_or(usual);
    if file.root_certificate.is_some()
        && let Some(reason) = unused(&host, ssl_mode)
    {
        findings.add("store.root_certificate", reason);
        return None;
    }
    Some(PostgresConfig {
        host,
        port: url.port().unwrap_or(USUAL_PORT),
        database,
        user,
        password: file.password.clone(),
        ssl_mode,
        root_certificate: file.root_certificate.clone(),
    })
}

fn mode(word: &str, findings: &mut Findings) -> Option<SslMode> {
    Some(match word {
        "disable" => SslMode::Disable,
        "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        other => {
            findings.add(
                "store.url",
                format!(
                    "`sslmode={other}` is not known: want `disable`, `prefer`, `require`, \
                     `verify-ca` or `verify-full`"
                ),
            );
            return None;
        }
    })
}

/// Why a root certificate would verify nothing, where it would not.
fn unused(host: &str, mode: SslMode) -> Option<&'static str> {
    match mode {
        _ if host.starts_with('/') => {
            Some("verifies nothing over a Unix socket, which has no TLS: take it out")
        }
        SslMode::Disable => Some(
            "verifies nothing with `sslmode=disable`: want `verify-full` there, or take it out",
        ),
        SslMode::Prefer => {
            Some("verifies nothing with `sslmode=prefer`: want `verify-full` there, or take it out")
        }
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => None,
    }
}

/// Whether a server is on this machine, so that nobody stands between.
fn is_near(host: &str) -> bool {
    host.starts_with('/')
        || host == "localhost"
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
