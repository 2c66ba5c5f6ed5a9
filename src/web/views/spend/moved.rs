//! What moved a source's cost since last week, where its month ends, and what stood out.

use maud::{Markup, html};

use super::source::unnamed;
use super::told::{End, Moved};
use super::{Page, against};
use crate::domain::anomaly::{Anomaly, Cause};
use crate::domain::breakdown::Dimension;
use crate::domain::change::Change;
use crate::domain::money::Money;
use crate::domain::trend::SourceTrends;
use crate::web::reader::Reader;
use crate::web::views::stood_out;

/// So many values that moved most are named.
const MOST_PARTS: usize = 3;
/// So many things that stood out are told at once.
const MOST_TOLD: usize = 20;

/// The section.
pub(super) fn section(trends: &SourceTrends, page: &Page<'_>) -> Markup {
    let reader = page.reader();
    let whole = trends.trends.iter().find(|trend| trend.of.is_none());
    let basis = trends.trends.first().map(|trend| trend.basis);
    let stood_out: Vec<&Anomaly> =
        whole.into_iter().flat_map(|trend| trend.anomalies.iter().rev()).collect();
    let within = parts(trends);
    html! {
        h2 {
            (reader.word("Where the month ends, and what moved", "월말 예상과 변화"))
            @if let Some(basis) = basis { small { " " (reader.language.basis(basis)) } }
        }
        @if let Some(basis) = basis.filter(|basis| page.asked.basis.is_some_and(|asked| asked != *basis)) {
            p.notice {
                (reader.word("This section is told on one basis only, whichever is chosen above: ",
                             "이 구역은 위의 선택과 관계없이 한 가지 기준으로만 표시합니다: "))
                (reader.language.basis(basis)) "."
            }
        }
        @match whole.map(|trend| &trend.forecast) {
            Some(Ok(forecast)) => {
                @if let Some(end) = End::of(forecast) {
                    p {
                        (reader.word("The month will end at about ", "월말 예상 "))
                        strong { (reader.money(Money::new(end.middle, forecast.currency))) }
                        " (" (reader.word("80% likely ", "80% 구간 ")) (reader.number(end.interval[0], 0)) " – "
                        (reader.number(end.interval[1], 0)) ")"
                        (reader.word(", made from days up to ", ", 기준일 ")) (reader.day(forecast.made_from)) "."
                    }
                }
            }
            Some(Err(why)) => p.soft {
                (reader.word("Its end is not told yet: ", "월말은 아직 예상할 수 없습니다: ")) (reader.no_forecast(why))
            },
            None => {}
        }
        @if let Some(change) = &trends.change { (week(change, page)) }
        @else {
            p.soft {
                (reader.word("Two whole weeks are needed to tell what moved; they are not complete yet.",
                             "변화를 보려면 완결된 2주가 필요합니다. 아직 완결되지 않았습니다."))
            }
        }
        @for held in &trends.bands {
            p {
                (reader.word("In the band ", "예산 범위 "))
                a href=(page.visit.place.to(&["bands", &held.band], &[])) { bdi { (held.band) } } ": "
                (sentence(&held.change, reader))
            }
        }
        h3 { (reader.word("What stood out", "이상 징후")) }
        @if stood_out.is_empty() && within.is_empty() {
            p.soft { (reader.word("Nothing of late.", "최근에는 없습니다.")) }
        }
        @if !stood_out.is_empty() {
            ul.plain { @for anomaly in stood_out { li { (told(anomaly, page)) } } }
        }
        @if !within.is_empty() {
            details #stood-out {
                summary {
                    (reader.word("In single services, accounts and regions: ", "개별 서비스, 계정, 리전: "))
                    (reader.count(within.len()))
                }
                ul.plain {
                    @for (of, key, anomaly) in within.iter().take(MOST_TOLD) {
                        li { (reader.language.dimension(*of)) " " (link(*of, key, page)) ": " (told(anomaly, page)) }
                    }
                    @if within.len() > MOST_TOLD {
                        li.soft {
                            (reader.word("and more: ", "그 외: ")) (reader.count(within.len() - MOST_TOLD))
                            " (" code { "/api/v1/anomalies" } ")"
                        }
                    }
                }
            }
        }
    }
}

/// What stood out in single values, the newest first.
fn parts(trends: &SourceTrends) -> Vec<(Dimension, &str, &Anomaly)> {
    let of_values = trends.trends.iter().filter_map(|trend| Some((trend.of.as_ref()?, trend)));
    let mut all: Vec<_> = of_values
        .flat_map(|((of, key), trend)| {
            trend.anomalies.iter().map(move |anomaly| (*of, key.as_str(), anomaly))
        })
        .collect();
    all.sort_by(|one, other| (other.2.last, one.0, one.1).cmp(&(one.2.last, other.0, other.1)));
    all
}

/// A value that leads to its own page.
fn link(of: Dimension, key: &str, page: &Page<'_>) -> Markup {
    let name = page.spend.and_then(|spend| spend.names.get(&(of, key.to_owned())));
    let name = name.cloned().unwrap_or_else(|| unnamed(of, key, page.reader()));
    html! { a href=(page.asked.narrowed(of, key).link(&page.visit.place)) { bdi { (name) } } }
}

fn sentence(change: &Change, reader: &Reader) -> Markup {
    let after = reader.money(Money::new(change.after, change.currency));
    let moved = Moved { before: change.before, after: change.after };
    html! {
        (after) (reader.word(" in the 7 days to ", ", 7일 기준일 ")) (reader.day(change.to)) ", "
        strong { (against(moved, change.currency, reader)) }
        (reader.word(" against the 7 days before.", " (이전 7일 대비)."))
    }
}

fn week(change: &Change, page: &Page<'_>) -> Markup {
    let reader = page.reader();
    html! {
        p { (sentence(change, reader)) }
        @for along in &change.along {
            @let moved = || along.parts.iter().filter(|part| !part.change.is_zero());
            @if moved().next().is_some() {
                p.note {
                    (reader.language.dimension(along.dimension)) ": "
                    @for (index, part) in moved().take(MOST_PARTS).enumerate() {
                        @if index > 0 { ", " }
                        (link(along.dimension, &part.key, page)) " "
                        (reader.difference(Money::new(part.change, change.currency)))
                    }
                }
            }
        }
    }
}

fn told(anomaly: &Anomaly, page: &Page<'_>) -> Markup {
    let reader = page.reader();
    let day = |of| {
        html! { a href=(page.asked.on(Some(of)).link(&page.visit.place)) { (reader.day(of)) } }
    };
    let cause = |cause: &Cause| link(cause.dimension, &cause.key, page);
    stood_out::told(anomaly, day, cause, reader)
}
