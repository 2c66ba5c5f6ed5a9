//! All sources: what each costs this month, against the last one, and how new that is.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use rust_decimal::Decimal;

use super::told::Told;
use super::{amounts, excluded, freshness, month_against_month, reconciliation};
use crate::domain::band::PeriodLabel;
use crate::domain::breakdown::Dimension;
use crate::domain::money::{CostBasis, Currency, Money};
use crate::domain::spend::{PeriodSpend, SourceSpend, SourceStatus};
use crate::snapshot::Snapshot;
use crate::web::chart::days::Days;
use crate::web::page::Visit;
use crate::web::reader::Reader;
use crate::web::views::cut::Cut;

pub(super) fn body(snapshot: &Snapshot, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let read: BTreeSet<&str> = snapshot.spend.iter().map(|of| of.source.as_str()).collect();
    let unread: Vec<&SourceStatus> =
        snapshot.sources.iter().filter(|of| !read.contains(of.source.as_str())).collect();
    let read_cut = Cut::of(&snapshot.spend, "sources", &visit.place);
    let unread_cut = Cut::of(&unread, "unread", &visit.place);
    html! {
        h1 { (reader.word("Spend", "지출")) }
        @if snapshot.spend.is_empty() && unread.is_empty() {
            p.empty {
                (reader.word("No bill is read. Sources are set under `sources` in the configuration.",
                             "읽는 청구가 없습니다. 설정의 `sources`에서 정합니다."))
            }
        }
        (sums(snapshot, &unread, reader))
        div.cards {
            @for (index, spend) in read_cut.shown.iter().enumerate() {
                @let status = snapshot.sources.iter().find(|of| of.source == spend.source);
                (card(index, spend, status, visit))
            }
            @for status in unread_cut.shown { (waiting(status, visit)) }
        }
        (read_cut.links(&visit.place, reader))
        (unread_cut.links(&visit.place, reader))
        (budgets(snapshot, visit))
    }
}

/// What the sources cost together, by currency and basis: neither is ever added to another.
fn sums(snapshot: &Snapshot, unread: &[&SourceStatus], reader: &Reader) -> Markup {
    let mut sums: BTreeMap<(Currency, usize), (CostBasis, Option<Decimal>, usize)> =
        BTreeMap::new();
    for period in snapshot.spend.iter().filter_map(current) {
        for (currency, amounts) in &period.totals {
            for (rank, basis) in [CostBasis::Effective, CostBasis::Billed].into_iter().enumerate() {
                let sum = sums.entry((*currency, rank)).or_insert((basis, Some(Decimal::ZERO), 0));
                let more = amounts.on(basis);
                sum.1 = sum.1.zip(more).and_then(|(sum, more)| sum.checked_add(more));
                sum.2 += 1;
            }
        }
    }
    html! {
        @if snapshot.spend.len() > 1 {
            ul.tiles {
                @for ((currency, _), (basis, sum, count)) in sums {
                    li.tile {
                        h2 {
                            (reader.word("This month, all sources in ", "이번 달 전체 소스, "))
                            (currency) ", " (reader.language.basis(basis))
                        }
                        strong {
                            @match sum {
                                Some(sum) => (reader.small_money(Money::new(sum, currency))),
                                None => (reader.word("unknown", "알 수 없음")),
                            }
                        }
                        p {
                            @if sum.is_none() {
                                (reader.word("A source does not tell it on this basis.",
                                             "이 기준으로 알려 주지 않는 소스가 있습니다."))
                            } @else {
                                (reader.word("sources: ", "소스 ")) (reader.count(count))
                            }
                            @if !unread.is_empty() {
                                ", " (reader.word("not read yet: ", "아직 읽지 않음: ")) (reader.count(unread.len()))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn current(spend: &SourceSpend) -> Option<&PeriodSpend> {
    spend.periods.iter().find(|of| of.label == PeriodLabel::Current)
}

fn card(
    place_of: usize,
    spend: &SourceSpend,
    status: Option<&SourceStatus>,
    visit: &Visit,
) -> Markup {
    let (place, reader) = (&visit.place, &visit.reader);
    let link = place.to(&["spend", spend.source.as_str()], &[]);
    let period = current(spend);
    let told = period.map(|of| Told::of_period(spend, of, None, Dimension::ServiceName, None));
    html! {
        article.card {
            h2 {
                a href=(link) { bdi { (spend.source) } }
                small { (spend.provider.display_name()) @if let Some(of) = period { " · " (reader.month(of.period)) } }
            }
            @for (index, told) in told.iter().flatten().enumerate() {
                (amounts(told, Some((spend.source.as_str(), PeriodLabel::Current)), reader))
                @if let Some(of) = period { (excluded(of, told.currency, reader)) }
                (month_against_month(told, reader))
                (drawing(told, spend, format!("{place_of}-{index}"), reader))
            }
            @if told.as_ref().is_none_or(Vec::is_empty) {
                p.empty {
                    (reader.word("Nothing is booked this month yet.", "이번 달 청구가 아직 없습니다."))
                    @if spend.periods.iter().any(|of| of.label == PeriodLabel::Previous) {
                        " " a href=(place.to(&["spend", spend.source.as_str()], &[("period", "previous")])) {
                            (reader.word("Last month", "지난달"))
                        }
                    }
                }
            }
            dl.pairs.close {
                (freshness(spend, status, reader))
                @if let Some(of) = period { (reconciliation(of, reader)) }
            }
        }
    }
}

fn drawing(told: &Told, spend: &SourceSpend, id: String, reader: &Reader) -> Markup {
    let is_known = told.days.iter().any(|day| day.amount.is_some());
    let of = &spend.source;
    let days = Days {
        id,
        name: format!("{of}, {}", told.currency),
        currency: told.currency,
        days: told.days.clone(),
        others: Vec::new(),
        today: spend.provider.billing_zone().day_of(reader.now),
        marked: None,
    };
    html! { @if is_known { (days.small(reader)) } }
}

fn waiting(status: &SourceStatus, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    html! {
        article.card {
            h2 {
                a href=(visit.place.to(&["spend", status.source.as_str()], &[])) { bdi { (status.source) } }
                small { (status.provider.display_name()) }
            }
            p.amount { (reader.word("unknown", "알 수 없음")) }
            p.soft { (reader.word("Never read so far.", "아직 읽은 적이 없습니다.")) }
        }
    }
}

/// Budgets that are kept at the providers.
fn budgets(snapshot: &Snapshot, visit: &Visit) -> Markup {
    let kept = || snapshot.spend.iter().filter(|of| !of.budgets.is_empty());
    let title = visit.reader.word("Budgets kept at the providers", "공급자에 설정된 예산");
    html! {
        @if kept().next().is_some() {
            h2 { (title) }
            (super::source::budgets(kept(), visit))
        }
    }
}
