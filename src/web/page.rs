//! The page at `/`: the bands first, then what they are made of. Plain HTML without scripts.

use maud::{DOCTYPE, Markup, html};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::config::file::Language;
use crate::domain::band::{BandJudgement, BandStatus, PeriodLabel};
use crate::domain::breakdown::Dimension;
use crate::domain::money::{CostBasis, Money};
use crate::domain::spend::{PeriodSpend, SourceSpend};
use crate::snapshot::Snapshot;
use crate::web::{firing, gpu, trends};

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --below: #2b7de0; --within: #2a9d5c; --above: #d64545; --unknown: #888; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, 'Noto Sans CJK KR', sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; } h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
header p, .note { color: #777; margin: .2rem 0; font-size: .9rem; }
.band { border: 1px solid var(--line); border-radius: .6rem; padding: .9rem 1.1rem; margin: .7rem 0; }
.band h3 { margin: 0; display: flex; gap: .6rem; align-items: baseline; flex-wrap: wrap; }
.amount { font-size: 1.5rem; font-weight: 650; font-variant-numeric: tabular-nums; margin: .3rem 0; }
.amount small { font-size: .9rem; font-weight: 400; color: #777; }
.tag { font-size: .8rem; padding: .05rem .55rem; border-radius: 1rem; color: #fff; background: var(--unknown); font-weight: 500; }
.below { background: var(--below); } .within { background: var(--within); } .above { background: var(--above); }
.track { position: relative; height: .8rem; background: var(--soft); border-radius: .4rem; margin: .5rem 0 1.3rem; }
.fill { position: absolute; inset: 0 auto 0 0; border-radius: .4rem; max-width: 100%; }
.mark { position: absolute; top: -.2rem; bottom: -.2rem; width: 2px; background: currentColor; }
.mark span { position: absolute; top: 1.2rem; font-size: .75rem; color: #777; white-space: nowrap; transform: translateX(-50%); }
table { border-collapse: collapse; width: 100%; font-size: .92rem; } .scroll { overflow-x: auto; }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; padding-left: .6rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem .8rem; margin: .4rem 0 0; font-size: .9rem; } dd { margin: 0; }
.stack { display: flex; height: .8rem; border-radius: .4rem; overflow: hidden; background: var(--soft); margin: .5rem 0; }
.dot { display: inline-block; width: .7rem; height: .7rem; border-radius: .2rem; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: 0 2rem; align-items: start; margin-top: .8rem; }
";

/// How many rows a list of services, accounts or regions shows.
const TOP: usize = 8;

/// Renders the page, with a line of its own where there is one.
pub fn render(
    snapshot: Option<&Snapshot>,
    language: Language,
    demo: bool,
    note: Option<Markup>,
) -> Markup {
    let word = |english, korean| language.pick(english, korean);
    html! {
        (DOCTYPE)
        html lang=(language.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="refresh" content="60";
                title { "costband" }
                style { (maud::PreEscaped(STYLE)) (maud::PreEscaped(gpu::style())) }
            }
            body {
                header {
                    h1 { "costband" }
                    @if let Some(snapshot) = snapshot {
                        p { (word("As of", "기준 시각")) " " (minute(snapshot.at)) }
                    }
                    @if let Some(note) = note { p { (note) } }
                    @if demo {
                        p { (word("Simulated clouds: none of these figures is a real bill.",
                                  "시뮬레이션된 클라우드입니다. 실제 청구 금액이 아닙니다.")) }
                    }
                }
                @match snapshot {
                    Some(snapshot) => (body(snapshot, language)),
                    None => p { (word("Nothing was read yet.", "아직 읽은 데이터가 없습니다.")) }
                }
            }
        }
    }
}

pub(super) fn minute(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn body(snapshot: &Snapshot, language: Language) -> Markup {
    let word = |english, korean| language.pick(english, korean);
    let of = |label| snapshot.bands.iter().filter(move |band| band.label == label);
    html! {
        h2 { (word("This month's bands", "이번 달 예산 범위")) }
        @for band in of(PeriodLabel::Current) { (band_card(band, language)) }
        @if of(PeriodLabel::Current).next().is_none() {
            p.note { (word("No band is configured for what is read.", "설정된 예산 범위가 없습니다.")) }
        }
        @if of(PeriodLabel::Previous).next().is_some() {
            h2 { (word("Last month", "지난달")) }
            @for band in of(PeriodLabel::Previous) { (band_card(band, language)) }
        }
        (firing::section(snapshot, language))
        (trends::section(snapshot, language))
        h2 { (word("Spend", "지출")) }
        @for spend in snapshot.spend.iter() { (spend_section(spend, language)) }
        (gpu::section(&snapshot.gpu, language))
        (source_table(snapshot, language))
    }
}

/// An amount for people: whole units with thousands separators.
pub fn amount(money: Money) -> String {
    money.grouped(0)
}

/// A share of a scale that ends a quarter past the ceiling, in percent.
fn share(of: Decimal, ceiling: Decimal) -> String {
    let end = ceiling * Decimal::new(125, 2);
    let percent = of.checked_div(end).and_then(|share| share.to_f64()).unwrap_or(0.0) * 100.0;
    format!("{:.2}%", percent.clamp(0.0, 100.0))
}

fn status_class(status: BandStatus) -> &'static str {
    status.as_str()
}

fn band_card(band: &BandJudgement, language: Language) -> Markup {
    let word = |english, korean| language.pick(english, korean);
    let actual = band.views.first().map_or(BandStatus::Unknown, |view| view.status);
    let width = |amount: Money| format!("left:{}", share(amount.amount, band.ceiling.amount));
    html! {
        section.band {
            h3 {
                (band.band)
                span.note { (band.period) @if band.is_final { " · " (word("final", "확정")) } }
                @for view in &band.views {
                    span.tag.(status_class(view.status)) title=(view.reason) {
                        (language.view(view.view)) ": " (language.status(view.status))
                    }
                }
            }
            @match band.spend {
                Some(spend) => {
                    p.amount {
                        (amount(spend))
                        small { " " (word("of", "/ 상한")) " " (amount(band.ceiling)) }
                    }
                    div.track {
                        div.fill.(status_class(actual))
                            style={ "width:" (share(spend.amount, band.ceiling.amount)) } {}
                        div.mark style=(width(band.floor)) { span { (amount(band.floor)) } }
                        div.mark style=(width(band.ceiling)) { span { (amount(band.ceiling)) } }
                    }
                },
                None => p.amount { (word("unknown", "알 수 없음")) },
            }
            dl {
                @for view in &band.views {
                    dt { (language.view(view.view)) }
                    dd { (view.reason) }
                }
                @for rate in &band.exchange_rates {
                    dt { (word("Exchange rate", "환율")) }
                    dd { (rate) }
                }
                @if let Some(owner) = &band.owner {
                    dt { (word("Owner", "담당")) }
                    dd { (owner) }
                }
                @if let Some(runbook) = &band.runbook_url {
                    dt { (word("What to do", "대응 방법")) }
                    dd { a href=(runbook) rel="noreferrer" { (runbook) } }
                }
            }
        }
    }
}

fn spend_section(spend: &SourceSpend, language: Language) -> Markup {
    let word = |english, korean| language.pick(english, korean);
    html! {
        @for period in spend.periods.iter().filter(|p| p.label == PeriodLabel::Current) {
            h3 { (spend.source) " · " (spend.provider.display_name()) " · " (period.period) }
            div.scroll {
                table {
                    tr {
                        th { (word("Basis", "기준")) }
                        th.number { (word("Cost", "비용")) }
                    }
                    @for (currency, amounts) in &period.totals {
                        @for basis in [CostBasis::Effective, CostBasis::Billed] {
                            @if let Some(sum) = amounts.on(basis) {
                                tr {
                                    td { (language.basis(basis)) }
                                    td.number { (amount(Money::new(sum, *currency))) }
                                }
                            }
                        }
                    }
                    @for ((currency, category), amounts) in &period.excluded {
                        @if let Some(sum) = amounts.billed {
                            tr {
                                td { (word("not counted", "제외")) ": " (language.category(*category)) }
                                td.number { (amount(Money::new(sum, *currency))) }
                            }
                        }
                    }
                }
            }
            div.columns {
                @for (dimension, title) in [
                    (Dimension::ServiceName, word("Service", "서비스")),
                    (Dimension::SubAccountId, word("Account", "계정")),
                    (Dimension::RegionId, word("Region", "리전")),
                ] {
                    (top_table(spend, period, dimension, title))
                }
            }
        }
    }
}

fn top_table(
    spend: &SourceSpend,
    period: &PeriodSpend,
    dimension: Dimension,
    title: &str,
) -> Markup {
    let mut rows: Vec<(&str, Money)> = period
        .by
        .get(&dimension)
        .into_iter()
        .flatten()
        .filter_map(|((key, currency), amounts)| {
            let sum = amounts.effective.or(amounts.billed)?;
            let name = spend.names.get(&(dimension, key.clone())).unwrap_or(key);
            Some((name.as_str(), Money::new(sum, *currency)))
        })
        .collect();
    rows.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.amount));
    html! {
        @if !rows.is_empty() {
            table {
                tr { th { (title) } th.number {} }
                @for (name, sum) in rows.iter().take(TOP) {
                    tr {
                        td { @if name.is_empty() { "–" } @else { (name) } }
                        td.number { (amount(*sum)) }
                    }
                }
                @if rows.len() > TOP { tr { td.note colspan="2" { "+ " (rows.len() - TOP) } } }
            }
        }
    }
}

fn source_table(snapshot: &Snapshot, language: Language) -> Markup {
    let word = |english, korean| language.pick(english, korean);
    html! {
        h2 { (word("Sources", "데이터 소스")) }
        div.scroll {
            table {
                tr {
                    th { (word("Source", "소스")) }
                    th { (word("State", "상태")) }
                    th { (word("Last read", "마지막 읽기")) }
                    th { (word("Next", "다음")) }
                    th.number { (word("Spent on requests", "요청 비용")) }
                }
                @for source in snapshot.sources.iter() {
                    tr {
                        td { (source.source) }
                        td {
                            @match (source.up, &source.last_error) {
                                (Some(true), _) => (word("well", "정상")),
                                (_, Some((kind, text))) => { (kind.as_str()) ": " (text) },
                                _ => (word("waiting for the first reading", "첫 읽기 대기 중")),
                            }
                        }
                        td { (source.last_success.map(minute).unwrap_or_default()) }
                        td { (source.next_poll.map(minute).unwrap_or_default()) }
                        td.number {
                            @for spent in &source.spent { (spent) " " }
                            @if let Some(cap) = source.monthly_cap { "/ " (cap) }
                        }
                    }
                }
            }
        }
    }
}
