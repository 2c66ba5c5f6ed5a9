//! Log lines on stderr: text on a terminal, JSON elsewhere.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// For machines: one object a line.
    Json,
}

/// Starts logging. `filter` is a `tracing` directive such as `info,costband=debug`; one that cannot
/// be read falls back to `info`. A second call changes nothing.
pub fn start(format: LogFormat, filter: &str) {
    // The Kubernetes client calls each failed request an error; the watches tell a failure once.
    let quiet = if filter.contains("kube_client") { "" } else { ",kube_client=off" };
    let filter = EnvFilter::try_new(format!("{filter}{quiet}"))
        .unwrap_or_else(|_| EnvFilter::new(format!("info{quiet}")));
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let json = format == LogFormat::Json || (format == LogFormat::Auto && !terminal);
    // Only a second subscriber is refused, and the first one is as good.
    let _ = if json {
        builder.json().flatten_event(true).with_current_span(false).try_init()
    } else {
        builder.with_ansi(terminal).with_target(false).try_init()
    };
}
