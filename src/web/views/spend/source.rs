//! One source, or a part of it: its days as a chart, what it is made of, and the way further down.

use axum::http::StatusCode;
use jiff::ToSpan;
use maud::{Markup, html};

use super::ledger::Answer;
use super::told::Told;
use super::{
    Page, amounts, asked, excluded, freshness, month_against_month, parts, reconciliation,
};
use crate::domain::breakdown::Dimension;
use crate::domain::money::{CostBasis, Money};
use crate::domain::period::BillingPeriod;
use crate::domain::report::NativeBudget;
use crate::domain::spend::{RestatedPeriod, SourceSpend};
use crate::web::chart::days::Days;
use crate::web::page::{Shown, Visit};
use crate::web::reader::Reader;
use crate::web::views::cut::Cut;

/// So many months from the one that is shown on lead to each; the open one always does.
const MOST_LATER: usize = 4;

/// What a page has to show.
pub(super) struct Content {
    /// One entry for each currency.
    pub told: Vec<Told>,
    /// The dimension that is listed; none where none can be.
    pub by: Option<Dimension>,
    /// The dimensions that can be listed.
    pub tellable: Vec<Dimension>,
    /// Whether any of the days was read: on one that was, what has no row costs nothing.
    pub is_read: bool,
}

/// The page.
pub(super) fn show(page: &Page<'_>, answer: Option<&Answer>) -> Shown {
    let status = match answer {
        Some(Answer::Busy) => StatusCode::TOO_MANY_REQUESTS,
        Some(Answer::Failed) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::OK,
    };
    let told = match (page.held(), answer) {
        (Some(period), _) => page.told(period),
        (None, Some(Answer::Range(range))) => {
            Told::of_range(range, page.month, page.asked.day, page.asked.basis)
        }
        _ => Vec::new(),
    };
    let is_read = match answer {
        Some(Answer::Range(range)) => !range.days.is_empty(),
        _ => page.held().is_some(),
    };
    let body = html! {
        (crumbs(page, answer))
        h1 { (title(page, answer)) }
        (choices(page, &told, is_read))
        @match (page.held(), answer) {
            (Some(_), _) => {
                @let tellable = vec![Dimension::ServiceName, Dimension::SubAccountId, Dimension::RegionId];
                (content(page, &Content { told, by: Some(page.listed()), tellable, is_read }))
            }
            (None, Some(answer @ Answer::Range(range))) => {
                @let tellable = answer.tellable(page);
                @let content_of = Content { told, by: range.question.by, tellable, is_read };
                (instead(page, range.question.by, &range.tells))
                (content(page, &content_of))
                p.note {
                    (page.reader().word("Each cost counts on its day of use here, whichever month's invoice carries it.",
                                        "여기서는 어느 달의 청구서에 실리든 사용한 날짜를 기준으로 셉니다."))
                }
            }
            // Nothing of it is in the ledger yet.
            (None, Some(Answer::NotTold(tells))) if tells.is_empty() => {
                p.empty { (never_read(page)) }
            }
            (None, Some(Answer::NotTold(tells))) => {
                p.empty { (not_told(page, None, tells)) }
            }
            (None, Some(Answer::NoSource)) | (None, None) => p.empty { (never_read(page)) },
            (None, Some(Answer::Busy)) => {
                p.empty role="alert" {
                    (page.reader().word("Others are reading the ledger right now. Load this page again in a moment.",
                                        "지금 다른 요청이 원장을 읽고 있습니다. 잠시 후 다시 불러오세요."))
                }
            }
            (None, Some(Answer::Failed)) => {
                p.empty role="alert" {
                    (page.reader().word("The ledger cannot be read; the agent's log says why.",
                                        "원장을 읽을 수 없습니다. 원인은 에이전트 로그에 있습니다."))
                }
            }
        }
        @if page.asked.filters.is_empty() && page.asked.day.is_none() { (whole(page)) }
    };
    Shown { status, ..Shown::one(page.asked.source.clone(), body) }
}

fn never_read(page: &Page<'_>) -> &'static str {
    let reader = page.reader();
    if page.spend.is_some() {
        reader.word("Nothing is booked in this month.", "이 달의 청구가 없습니다.")
    } else {
        reader.word(
            "This source was never read: what it costs is unknown.",
            "이 소스를 읽은 적이 없어 비용을 알 수 없습니다.",
        )
    }
}

/// What a value is called, and that it is not its own name where it is not.
pub(super) fn called(page: &Page<'_>, of: Dimension, key: &str, answer: Option<&Answer>) -> String {
    let held = page.spend.and_then(|spend| spend.names.get(&(of, key.to_owned())));
    let told = match answer {
        Some(Answer::Range(range)) => range.filter_names.get(&of),
        _ => None,
    };
    match held.or(told) {
        Some(name) => name.clone(),
        None => unnamed(of, key, page.reader()),
    }
}

/// A value without a name of its own.
pub(in crate::web::views) fn unnamed(of: Dimension, key: &str, reader: &Reader) -> String {
    match (key, of) {
        ("", Dimension::RegionId) => reader.word("no region", "리전 없음").to_owned(),
        ("", Dimension::SubAccountId) => reader.word("no account", "계정 없음").to_owned(),
        ("", _) => reader.word("no service", "서비스 없음").to_owned(),
        (key, _) => key.to_owned(),
    }
}

fn crumbs(page: &Page<'_>, answer: Option<&Answer>) -> Markup {
    let (place, reader) = (&page.visit.place, page.reader());
    let mut way = page.asked.on(None);
    let all = way.filters.clone();
    way.filters.clear();
    way.by = None;
    let mut steps = vec![(way.link(place), html! { bdi { (page.asked.source) } })];
    for of in asked::WAY {
        if let Some(key) = all.get(&of) {
            way.filters.insert(of, key.clone());
            let name = called(page, of, key, answer);
            let word = reader.language.dimension(of);
            steps.push((way.link(place), html! { (word) " " bdi { (name) } }));
        }
    }
    if let Some(day) = page.asked.day {
        steps.push((page.asked.link(place), html! { (reader.day(day)) }));
    }
    let last = steps.len().saturating_sub(1);
    html! {
        nav.crumbs aria-label=(reader.word("Where you are", "현재 위치")) {
            ol {
                li { a href=(place.to(&["spend"], &[])) { (reader.word("Spend", "지출")) } }
                @for (index, (link, name)) in steps.iter().enumerate() {
                    li {
                        @if index < last { a href=(link) { (name) } }
                        @else { span aria-current="page" { (name) } }
                    }
                }
            }
        }
    }
}

fn title(page: &Page<'_>, answer: Option<&Answer>) -> Markup {
    let reader = page.reader();
    let narrowest = asked::WAY.into_iter().rev().find(|of| page.asked.filters.contains_key(of));
    html! {
        @match narrowest.and_then(|of| Some((of, page.asked.filters.get(&of)?))) {
            Some((of, key)) => bdi { (called(page, of, key, answer)) },
            None => { bdi { (page.asked.source) } " · " (page.provider.display_name()) }
        }
        " · "
        @match page.asked.day {
            Some(day) => (reader.day(day)),
            None => (reader.month(page.month)),
        }
    }
}

/// The basis that is shown; none where currencies are told on more than one.
fn shown_basis(page: &Page<'_>, told: &[Told]) -> Option<CostBasis> {
    match told.first() {
        Some(first) => told.iter().all(|of| of.basis == first.basis).then_some(first.basis),
        None => Some(page.asked.basis.unwrap_or(CostBasis::Effective)),
    }
}

/// Other months, or days beside the one that is shown, and the other basis.
fn choices(page: &Page<'_>, told: &[Told], is_read: bool) -> Markup {
    let (place, reader) = (&page.visit.place, page.reader());
    // Before a month of which nothing was read there is nothing.
    let mut months: Vec<BillingPeriod> =
        is_read.then(|| page.month.previous()).into_iter().collect();
    let later = std::iter::successors(Some(page.month), |month| Some(month.next()));
    months.extend(later.take_while(|month| *month <= page.open.max(page.month)).take(MOST_LATER));
    if months.last().is_some_and(|last| *last < page.open) {
        months.push(page.open);
    }
    let basis = shown_basis(page, told);
    let name = reader.word("What is shown", "표시 기준");
    html! {
        ul.choices aria-label=(name) {
            @match page.asked.day {
                Some(day) => {
                    li { a rel="prev" href=(page.asked.on(Some(day.saturating_sub(1.day()))).link(place)) {
                        (reader.short_day(day.saturating_sub(1.day())))
                    } }
                    li { a href=(page.asked.link(place)) aria-current="true" { (reader.short_day(day)) } }
                    @if day < page.provider.billing_zone().day_of(reader.now) {
                        li { a rel="next" href=(page.asked.on(Some(day.saturating_add(1.day()))).link(place)) {
                            (reader.short_day(day.saturating_add(1.day())))
                        } }
                    }
                    li {
                        a href=(page.asked.on(None).within(page.in_month(page.month)).link(place)) {
                            (reader.word("The whole month", "월 전체"))
                        }
                    }
                }
                None => {
                    @for month in months {
                        li {
                            a href=(page.asked.within(page.in_month(month)).link(place))
                                aria-current=[(month == page.month).then_some("true")] { (reader.month(month)) }
                        }
                    }
                }
            }
            @for one in [CostBasis::Effective, CostBasis::Billed] {
                li {
                    a href=(page.asked.based(one).link(place)) aria-current=[(Some(one) == basis).then_some("true")] {
                        (reader.language.basis(one))
                    }
                }
            }
        }
    }
}

fn content(page: &Page<'_>, content: &Content) -> Markup {
    html! {
        @if content.told.is_empty() {
            p.empty { (nothing(page, content.is_read)) }
        }
        @for (index, told) in content.told.iter().enumerate() {
            @if content.told.len() > 1 { h2 { (told.currency) } }
            (standing(page, told, index))
        }
        @let has_days = content.told.iter().any(|told| told.days.iter().any(|day| day.amount.is_some()));
        @if content.is_read && (has_days || content.by.is_some()) { (parts::show(page, content)) }
    }
}

/// Why there is no figure.
fn nothing(page: &Page<'_>, is_read: bool) -> &'static str {
    let reader = page.reader();
    let first = page.asked.day.unwrap_or_else(|| page.month.first_day());
    let newest = page.spend.and_then(|spend| spend.complete_days.last().copied());
    if is_read {
        reader.word(
            "Nothing is booked for this. On days that are complete that is a cost of nothing; later days \
             are not known yet.",
            "해당하는 청구가 없습니다. 완결된 날은 비용이 0이고, 이후 날짜는 아직 알 수 없습니다.",
        )
    } else if newest.is_none_or(|newest| newest < first) {
        reader.word(
            "No cost of it has arrived yet: what it is is unknown.",
            "아직 들어온 비용이 없어 금액을 알 수 없습니다.",
        )
    } else {
        reader.word(
            "No day of it was ever read, so that its cost is unknown. `costband backfill` reads older months.",
            "읽은 날이 없어 비용을 알 수 없습니다. 이전 달은 `costband backfill`로 읽을 수 있습니다.",
        )
    }
}

/// The sums of a currency with its days.
fn standing(page: &Page<'_>, told: &Told, index: usize) -> Markup {
    let reader = page.reader();
    let held = page.held();
    let is_usual = page.asked.basis.is_none_or(|basis| basis == CostBasis::Effective);
    let label = held.filter(|_| is_usual).map(|of| of.label);
    let days = Days {
        id: index.to_string(),
        name: format!("{}, {}", page.asked.source, told.currency),
        currency: told.currency,
        days: told.days.clone(),
        others: told.others.clone(),
        today: page.provider.billing_zone().day_of(reader.now),
        marked: page.asked.day,
    };
    let is_known = days.days.iter().chain(&days.others).any(|day| day.amount.is_some());
    let link = |day| Some(page.asked.on(Some(day)).link(&page.visit.place));
    html! {
        div.card {
            (amounts(told, label.map(|label| (page.asked.source.as_str(), label)), reader))
            @if let Some(period) = held { (excluded(period, told.currency, reader)) }
            (month_against_month(told, reader))
            @if is_known {
                (days.chart(reader))
                (days.legend(reader))
                // Where nothing is left to be told apart, days are the only way further down.
                details id={ "days-" (index) } {
                    summary { (reader.word("The days as a table, each with a page of its own", "날짜별 표 (날짜마다 상세 페이지)")) }
                    div.scroll tabindex="0" role="region" aria-label=(reader.word("Days", "날짜별")) {
                        (days.table(reader, link))
                    }
                }
            } @else {
                p.empty { (reader.word("No day is known yet.", "알려진 날이 아직 없습니다.")) }
            }
        }
    }
}

/// Where another dimension is listed than the one that was asked for.
fn instead(page: &Page<'_>, by: Option<Dimension>, tells: &[Vec<Dimension>]) -> Markup {
    let wanted = page.asked.by.filter(|wanted| Some(*wanted) != by);
    html! { @if wanted.is_some() { p.notice { (not_told(page, wanted, tells)) } } }
}

/// Why something cannot be told, and what can be.
fn not_told(page: &Page<'_>, wanted: Option<Dimension>, tells: &[Vec<Dimension>]) -> String {
    let language = page.reader().language;
    let joined = |of: &mut dyn Iterator<Item = Dimension>| {
        of.map(|of| language.dimension(of)).collect::<Vec<_>>().join(" × ")
    };
    let asked = joined(&mut page.asked.filters.keys().copied().chain(wanted));
    let told: Vec<String> = tells
        .iter()
        .filter(|told| !told.is_empty() && told.iter().all(|of| asked::WAY.contains(of)))
        .map(|told| joined(&mut told.iter().copied()))
        .collect();
    let told = told.join("; ");
    let why = match language {
        crate::config::file::Language::En => {
            format!(
                "What is read of the provider does not tell {asked} together, so this is not known."
            )
        }
        crate::config::file::Language::Ko => {
            format!("공급자에서 읽는 내용에는 {asked} 조합이 없어 알 수 없습니다.")
        }
    };
    match told.is_empty() {
        true => why,
        false => {
            format!("{why} {}{told}.", page.reader().word("What is told: ", "알 수 있는 조합: "))
        }
    }
}

/// What holds for the whole source.
fn whole(page: &Page<'_>) -> Markup {
    let reader = page.reader();
    let Some(spend) = page.spend else { return html! {} };
    let trends = page.snapshot.trends.iter().find(|of| of.source == spend.source);
    html! {
        @if page.month == page.open {
            @if let Some(trends) = trends { (super::moved::section(trends, page)) }
        }
        h2 { (reader.word("About these figures", "수치에 대하여")) }
        dl.pairs.close {
            (freshness(spend, page.status, reader))
            @if let Some(period) = page.held() {
                (reconciliation(period, reader))
                dt { (reader.word("Bill", "청구")) }
                dd {
                    @if period.is_final { (reader.word("final", "확정")) }
                    @else { (reader.word("may still move", "변경 가능")) }
                }
            }
            dt { (reader.word("Days that moved after they were complete", "완결 후 변경된 횟수")) }
            dd { (reader.number(spend.restatements_total.into(), 0)) }
            @for restated in spend.restated.iter().filter(|of| of.before != of.after) {
                dt { (reader.word("Closed bill that moved", "마감 후 변경된 청구")) }
                dd { (moved_bill(restated, reader)) }
            }
        }
        @if !spend.budgets.is_empty() {
            @let title = reader.word("Budgets kept at the provider", "공급자에 설정된 예산");
            h2 { (title) }
            (budgets(std::iter::once(spend), page.visit))
        }
    }
}

fn moved_bill(restated: &RestatedPeriod, reader: &Reader) -> Markup {
    let money = |amount| reader.small_money(Money::new(amount, restated.currency));
    html! {
        (reader.month(restated.period)) ": " (money(restated.before)) " → " (money(restated.after))
        @if let Some((at, _)) = restated.steps.last() { ", " (reader.ago(*at)) }
    }
}

/// Budgets of some sources.
pub(super) fn budgets<'a>(sources: impl Iterator<Item = &'a SourceSpend>, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let unknown = reader.word("not told", "알려 주지 않음");
    let money =
        |money: Option<Money>| money.map_or(unknown.to_owned(), |of| reader.small_money(of));
    let row = |spend: &SourceSpend, budget: &NativeBudget| {
        html! {
            tr {
                th scope="row" { bdi { (budget.name) } }
                td { a href=(visit.place.to(&["spend", spend.source.as_str()], &[])) { bdi { (spend.source) } } }
                td.number { (reader.small_money(budget.amount)) }
                td.number { (money(budget.current_spend)) }
                td.number { (money(budget.forecast_spend)) }
                td { (grain(&budget.time_grain, reader)) }
            }
        }
    };
    let kept = sources.flat_map(|spend| spend.budgets.iter().map(move |budget| (spend, budget)));
    let kept: Vec<(&SourceSpend, &NativeBudget)> = kept.collect();
    let rows = Cut::of(&kept, "budgets", &visit.place);
    html! {
        div.scroll tabindex="0" role="region" aria-label=(reader.word("Budgets", "예산")) {
            table {
                thead { tr {
                    th scope="col" { (reader.word("Budget", "예산")) }
                    th scope="col" { (reader.word("Source", "소스")) }
                    th.number scope="col" { (reader.word("Amount", "금액")) }
                    th.number scope="col" { (reader.word("Spent, by the provider", "지출 (공급자 기준)")) }
                    th.number scope="col" { (reader.word("Expected, by the provider", "예상 (공급자 기준)")) }
                    th scope="col" { (reader.word("For each", "주기")) }
                } }
                tbody { @for (spend, budget) in rows.shown { (row(spend, budget)) } }
            }
        }
        (rows.links(&visit.place, reader))
    }
}

/// How often a budget begins anew; the provider's own word where it is another one.
fn grain(word: &str, reader: &Reader) -> String {
    match word.to_ascii_lowercase().as_str() {
        "monthly" | "month" => reader.word("month", "월").to_owned(),
        "quarterly" | "quarter" => reader.word("quarter", "분기").to_owned(),
        "annually" | "annual" | "yearly" | "year" => reader.word("year", "연").to_owned(),
        "daily" => reader.word("day", "일").to_owned(),
        _ => word.to_owned(),
    }
}
