//! Days that cost more or less than they should have, in words: of a source where its spend is shown,
//! of a band's sources where the band is.

use jiff::civil::Date;
use maud::{Markup, html};

use super::name_of;
use crate::domain::anomaly::{Anomaly, AnomalyKind, Cause};
use crate::domain::band::BandJudgement;
use crate::domain::identity::SourceId;
use crate::domain::money::Money;
use crate::snapshot::Snapshot;
use crate::web::link::Place;
use crate::web::reader::Reader;

/// So many of a band are told.
const MOST: usize = 10;

/// One anomaly; `day` and `cause` lead to more.
pub(super) fn told(
    anomaly: &Anomaly,
    day: impl Fn(Date) -> Markup,
    cause: impl Fn(&Cause) -> Markup,
    reader: &Reader,
) -> Markup {
    let excess = reader.difference(Money::new(anomaly.excess, anomaly.currency));
    let is_shift = anomaly.kind == AnomalyKind::LevelShift;
    let lasts = anomaly.ended.is_none() || anomaly.is_settled();
    html! {
        @if is_shift && lasts {
            (reader.word("since ", "")) (day(anomaly.first)) (reader.word(": ", "부터: "))
        } @else {
            (day(anomaly.first))
            @if anomaly.last != anomaly.first { " – " (day(anomaly.last)) }
            ": "
        }
        @if is_shift {
            (reader.word("", "예상 대비 하루 ")) strong { (excess) }
            (reader.word(" a day against what was expected", ""))
        } @else {
            (reader.word("", "예상 대비 ")) strong { (excess) } (reader.word(" against what was expected", ""))
        }
        @if let Some(of) = &anomaly.cause {
            " (" (reader.language.dimension(of.dimension)) " " (cause(of)) " "
            (reader.difference(Money::new(of.excess, anomaly.currency))) ")"
        }
        @if anomaly.is_settled() {
            " · " (reader.word("the level since then", "이후 새 수준"))
        } @else if anomaly.ended.is_none() {
            " · " (reader.word("lasts", "지속 중"))
        } @else {
            " · " (reader.word("over", "종료됨"))
        }
    }
}

/// What stood out in the whole cost of a band's sources in its month, the newest first.
fn of_band<'a>(band: &BandJudgement, snapshot: &'a Snapshot) -> Vec<(&'a SourceId, &'a Anomaly)> {
    let of_sources = snapshot.trends.iter().filter(|trends| band.sources.contains(&trends.source));
    let whole = of_sources.flat_map(|trends| {
        let whole = trends.trends.iter().filter(|trend| trend.of.is_none());
        whole.flat_map(|trend| &trend.anomalies).map(|anomaly| (&trends.source, anomaly))
    });
    let mut found: Vec<_> = whole.filter(|(_, of)| band.period.contains(of.last)).collect();
    found.sort_by_key(|(_, of)| std::cmp::Reverse(of.last));
    found
}

fn line(
    source: &SourceId,
    of: &Anomaly,
    snapshot: &Snapshot,
    place: &Place,
    reader: &Reader,
) -> Markup {
    let to = |query: &[(&str, &str)]| place.to(&["spend", source.as_str()], query);
    let day =
        |day: Date| html! { a href=(to(&[("day", &day.to_string())])) { (reader.short_day(day)) } };
    let cause = |cause: &Cause| {
        html! {
            a href=(to(&[(cause.dimension.as_str(), &cause.key)])) {
                bdi { (name_of(snapshot, cause.dimension, &cause.key, reader)) }
            }
        }
    };
    told(of, day, cause, reader)
}

/// The newest of them, in one line.
pub(super) fn newest(
    band: &BandJudgement,
    snapshot: &Snapshot,
    place: &Place,
    reader: &Reader,
) -> Markup {
    let found = of_band(band, snapshot);
    html! {
        @if let Some((source, of)) = found.first() {
            p.note {
                (reader.word("Stood out in ", "이상 징후, ")) bdi { (source) } ": " (line(source, of, snapshot, place, reader))
                @if found.len() > 1 { (reader.word("; more on its page", ", 나머지는 상세 페이지에 있음")) }
                "."
            }
        }
    }
}

/// All of them, as a section.
pub(super) fn section(
    band: &BandJudgement,
    snapshot: &Snapshot,
    place: &Place,
    reader: &Reader,
) -> Markup {
    let found = of_band(band, snapshot);
    html! {
        @if !found.is_empty() {
            h2 { (reader.word("What stood out in the whole cost of its sources", "소스 전체 비용의 이상 징후")) }
            ul.plain {
                @for (source, of) in found.iter().take(MOST) {
                    li {
                        @if band.sources.len() > 1 { bdi { (source) } " · " }
                        (line(source, of, snapshot, place, reader))
                    }
                }
            }
        }
    }
}
