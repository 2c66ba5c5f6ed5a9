//! Log lines on stderr: text on a terminal, JSON elsewhere.

use std::io::IsTerminal;
use std::sync::OnceLock;

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

/// Changes the filter of the subscriber that was started.
type Refilter = Box<dyn Fn(EnvFilter) + Send + Sync>;

static REFILTER: OnceLock<Refilter> = OnceLock::new();

/// Starts logging. `filter` is a `tracing` directive such as `info,costband=debug`; one that cannot
/// be read falls back to `info`. A second call changes nothing.
pub fn start(format: LogFormat, filter: &str) {
    let terminal = std::io::stderr().is_terminal();
    let filter = filter_of(filter);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let json = format == LogFormat::Json || (format == LogFormat::Auto && !terminal);
    // Only a second subscriber is refused, and the first one is as good.
    let (started, refilter): (_, Refilter) = if json {
        let builder = builder.json().flatten_event(true).with_current_span(false);
        let builder = builder.with_filter_reloading();
        let handle = builder.reload_handle();
        (builder.try_init(), Box::new(move |filter| drop(handle.reload(filter))))
    } else {
        let builder = builder.with_ansi(terminal).with_target(false).with_filter_reloading();
        let handle = builder.reload_handle();
        (builder.try_init(), Box::new(move |filter| drop(handle.reload(filter))))
    };
    if started.is_ok() {
        let _ = REFILTER.set(refilter);
    }
}

/// Takes another filter from now on.
pub fn refilter(filter: &str) {
    if let Some(refilter) = REFILTER.get() {
        refilter(filter_of(filter));
    }
}

fn filter_of(filter: &str) -> EnvFilter {
    // The Kubernetes client calls each failed request an error; the watches tell a failure once.
    let quiet = if filter.contains("kube_client") { "" } else { ",kube_client=off" };
    EnvFilter::try_new(format!("{filter}{quiet}"))
        .unwrap_or_else(|_| EnvFilter::new(format!("info{quiet}")))
}
