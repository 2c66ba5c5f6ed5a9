//! What stood out in the sources' costs, and what moved since last week.

use maud::{Markup, html};
use rust_decimal::Decimal;

use crate::config::file::Language;
use crate::domain::anomaly::{Anomaly, AnomalyKind};
use crate::domain::breakdown::Dimension;
use crate::domain::change::Change;
use crate::domain::money::{Currency, Money};
use crate::domain::trend::{SourceTrends, Trend};
use crate::snapshot::Snapshot;
use crate::web::page::amount;

/// So many values that moved most are named.
const MOST_PARTS: usize = 3;

pub(super) fn section(snapshot: &Snapshot, language: Language) -> Markup {
    let word = |english, korean| language.pick(english, korean);
    let trends = snapshot.trends.iter();
    let told: Vec<(&SourceTrends, Markup)> = trends
        .filter(|of| of.change.is_some() || stood_out(of).next().is_some())
        .map(|of| (of, source(snapshot, of, language)))
        .collect();
    html! {
        @if !told.is_empty() {
            h2 { (word("What moved", "비용 변화")) }
            @for (of, told) in told {
                h3 { (of.source) }
                (told)
            }
        }
    }
}

/// What stood out in the whole source, the newest first.
fn stood_out(of: &SourceTrends) -> impl Iterator<Item = &Anomaly> {
    let whole: Option<&Trend> = of.trends.iter().find(|trend| trend.of.is_none());
    whole.into_iter().flat_map(|trend| trend.anomalies.iter().rev())
}

fn source(snapshot: &Snapshot, of: &SourceTrends, language: Language) -> Markup {
    let spend = snapshot.spend.iter().find(|spend| spend.source == of.source);
    let name = |dimension: Dimension, key: &str| {
        let known = spend.and_then(|spend| spend.names.get(&(dimension, key.to_owned())));
        let key = if key.is_empty() { "–" } else { key };
        known.cloned().unwrap_or_else(|| key.to_owned())
    };
    html! {
        @if let Some(change) = &of.change { p { (week(change, &name, language)) } }
        @for held in &of.bands {
            p {
                (language.pick("In the band ", "밴드 ")) strong { (held.band) } ": "
                (week(&held.change, &name, language))
            }
        }
        @if stood_out(of).next().is_some() {
            ul { @for anomaly in stood_out(of) { li { (told(anomaly, &name, language)) } } }
        }
    }
}

fn signed(of: Decimal, currency: Currency) -> String {
    let sign = if of.is_sign_negative() { "" } else { "+" };
    format!("{sign}{}", amount(Money::new(of, currency)))
}

fn week(change: &Change, name: &impl Fn(Dimension, &str) -> String, language: Language) -> Markup {
    let after = amount(Money::new(change.after, change.currency));
    let moved = signed(change.after - change.before, change.currency);
    html! {
        @match language {
            Language::En => {
                (after) " in the 7 days to " (change.to) ", " (moved) " against the 7 days before"
            }
            Language::Ko => { (change.to) "까지 7일 " (after) ", 이전 7일 대비 " (moved) }
        }
        @for along in &change.along {
            @let moved = || along.parts.iter().filter(|part| !part.change.is_zero());
            @if moved().next().is_some() {
                br;
                span.note {
                    (language.dimension(along.dimension)) ": "
                    @for (index, part) in moved().take(MOST_PARTS).enumerate() {
                        @if index > 0 { ", " }
                        (name(along.dimension, &part.key)) " " (signed(part.change, change.currency))
                    }
                }
            }
        }
    }
}

fn told(
    anomaly: &Anomaly,
    name: &impl Fn(Dimension, &str) -> String,
    language: Language,
) -> Markup {
    let excess = signed(anomaly.excess, anomaly.currency);
    let days = match anomaly.last {
        last if last == anomaly.first => anomaly.first.to_string(),
        last => format!("{} – {last}", anomaly.first),
    };
    let first = anomaly.first;
    let is_shift = anomaly.kind == AnomalyKind::LevelShift;
    let lasts = anomaly.ended.is_none() || anomaly.is_settled();
    html! {
        @match (is_shift && lasts, language) {
            (false, _) => { (days) ": " }
            (true, Language::En) => { "since " (first) ": " }
            (true, Language::Ko) => { (first) "부터: " }
        }
        @match (is_shift, language) {
            (false, Language::En) => { (excess) " against what was expected" }
            (false, Language::Ko) => { "예상 대비 " (excess) }
            (true, Language::En) => { (excess) " a day against what was expected" }
            (true, Language::Ko) => { "예상 대비 하루 " (excess) }
        }
        @if let Some(cause) = &anomaly.cause {
            " (" (language.dimension(cause.dimension)) " "
            (name(cause.dimension, &cause.key)) " " (signed(cause.excess, anomaly.currency)) ")"
        }
        @if anomaly.is_settled() {
            " · " (language.pick("the level since then", "이후 새 수준"))
        } @else if anomaly.ended.is_none() {
            " · " (language.pick("lasts", "지속 중"))
        }
    }
}
