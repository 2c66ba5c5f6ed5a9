//! The section of what moved: each source against last week, and what stood out in it.

use std::fmt::Write;

use rust_decimal::Decimal;

use crate::cli::report::gpu::{Style, title};
use crate::cli::report::text::amount;
use crate::cli::report::text::plain;
use crate::config::file::Language;
use crate::domain::anomaly::{Anomaly, AnomalyKind};
use crate::domain::breakdown::Dimension;
use crate::domain::change::Change;
use crate::domain::money::{Currency, Money};
use crate::domain::trend::{SourceTrends, Trend};
use crate::snapshot::Snapshot;

/// So many values that moved most are named.
const MOST_PARTS: usize = 3;

/// The section; empty where nothing moved and nothing stood out.
pub fn section(snapshot: &Snapshot, style: Style) -> String {
    let mut out = String::new();
    for of in snapshot.trends.iter() {
        let mut lines = Vec::new();
        let name = |dimension: Dimension, key: &str| name(snapshot, of, dimension, key);
        if let Some(change) = &of.change {
            lines.extend(week(change, &name));
        }
        for held in &of.bands {
            let band = |line| format!("band {}: {line}", plain(&held.band));
            lines.extend(week(&held.change, &name).into_iter().map(band));
        }
        lines.extend(stood_out(of).map(|anomaly| told(anomaly, &name)));
        for line in lines {
            let _ = match style {
                Style::Text => writeln!(out, "{}: {line}", of.source),
                Style::Markdown => writeln!(out, "- {}: {}", of.source, escaped(&line)),
            };
        }
    }
    if out.is_empty() { out } else { format!("\n{}\n\n{out}", title(style, "What moved")) }
}

/// What stood out in the whole source, the newest first.
fn stood_out(of: &SourceTrends) -> impl Iterator<Item = &Anomaly> {
    let whole: Option<&Trend> = of.trends.iter().find(|trend| trend.of.is_none());
    whole.into_iter().flat_map(|trend| trend.anomalies.iter().rev())
}

/// The provider's own name of a value, where it tells one.
fn name(snapshot: &Snapshot, of: &SourceTrends, dimension: Dimension, key: &str) -> String {
    let spend = snapshot.spend.iter().find(|spend| spend.source == of.source);
    let known = spend.and_then(|spend| spend.names.get(&(dimension, key.to_owned())));
    let name = known.map_or(if key.is_empty() { "-" } else { key }, String::as_str);
    // What a provider's users wrote must not steer a terminal.
    plain(name)
}

fn signed(of: Decimal, currency: Currency) -> String {
    let sign = if of.is_sign_negative() { "" } else { "+" };
    format!("{sign}{}", amount(Money::new(of, currency)))
}

fn week(change: &Change, name: &impl Fn(Dimension, &str) -> String) -> Vec<String> {
    let currency = change.currency;
    let mut lines = vec![format!(
        "{} in the 7 days to {}, {} against the 7 days before",
        amount(Money::new(change.after, currency)),
        change.to,
        signed(change.after - change.before, currency)
    )];
    for along in &change.along {
        let moved = along.parts.iter().filter(|part| !part.change.is_zero()).take(MOST_PARTS);
        let parts: Vec<String> = moved
            .map(|part| {
                let name = name(along.dimension, &part.key);
                format!("{name} {}", signed(part.change, currency))
            })
            .collect();
        if !parts.is_empty() {
            let dimension = Language::En.dimension(along.dimension);
            lines.push(format!("by {dimension}: {}", parts.join(", ")));
        }
    }
    lines
}

fn told(anomaly: &Anomaly, name: &impl Fn(Dimension, &str) -> String) -> String {
    let excess = signed(anomaly.excess, anomaly.currency);
    let (first, last) = (anomaly.first, anomaly.last);
    let a_day = if anomaly.kind == AnomalyKind::LevelShift { " a day" } else { "" };
    let lasts = anomaly.ended.is_none() || anomaly.is_settled();
    let mut line = match anomaly.kind {
        AnomalyKind::LevelShift if lasts => format!("since {first}: {excess}{a_day}"),
        _ if first == last => format!("{first}: {excess}{a_day}"),
        _ => format!("{first} to {last}: {excess}{a_day}"),
    };
    line.push_str(" against what was expected");
    if let Some(cause) = &anomaly.cause {
        let _ = write!(
            line,
            " ({} {} {})",
            Language::En.dimension(cause.dimension),
            name(cause.dimension, &cause.key),
            signed(cause.excess, anomaly.currency)
        );
    }
    if anomaly.is_settled() {
        line.push_str(", the level since then");
    } else if anomaly.ended.is_none() {
        line.push_str(", lasts");
    }
    line
}

/// A name is a provider's: it must not become markup.
fn escaped(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for letter in line.chars() {
        if matches!(letter, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}
