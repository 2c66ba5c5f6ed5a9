//! What a cost is made of: values of one dimension with their share, what moved, and their month's
//! end; each leads one step further down.

use maud::{Markup, html};
use rust_decimal::Decimal;

use super::source::{Content, unnamed};
use super::told::{Row, Told};
use super::{Page, against, percent};
use crate::domain::breakdown::Dimension;
use crate::domain::money::{CostBasis, Money};
use crate::web::chart::{float, shares};
use crate::web::reader::Reader;
use crate::web::views::Figure;
use crate::web::views::cut::Cut;

/// The section.
pub(super) fn show(page: &Page<'_>, content: &Content) -> Markup {
    let reader = page.reader();
    html! {
        h2 { (reader.word("What it is made of", "구성")) }
        @if content.tellable.len() > 1 {
            ul.choices aria-label=(reader.word("Told apart by", "구분 기준")) {
                @for of in &content.tellable {
                    li {
                        a href=(page.asked.along(*of).link(&page.visit.place))
                            aria-current=[(Some(*of) == content.by).then_some("true")]
                        { (along(*of, reader)) }
                    }
                }
            }
        }
        @match content.by {
            Some(by) => {
                @for told in &content.told {
                    @if told.rows.is_empty() { (nothing(page, by)) } @else { (table(page, told, by)) }
                }
            }
            None => p.empty {
                (reader.word("Nothing is read that this could be told apart by; its days are in the table above.",
                             "더 나누어 볼 수 있는 정보를 읽지 않습니다. 날짜별 금액은 위 표에 있습니다."))
            }
        }
    }
}

fn along(of: Dimension, reader: &Reader) -> &'static str {
    match of {
        Dimension::SubAccountId => reader.word("by account", "계정별"),
        Dimension::RegionId => reader.word("by region", "리전별"),
        _ => reader.word("by service", "서비스별"),
    }
}

fn nothing(page: &Page<'_>, by: Dimension) -> Markup {
    let reader = page.reader();
    html! {
        p.empty {
            (reader.word("Not told apart: ", "구분 정보 없음: ")) (along(by, reader)) "."
        }
    }
}

fn table(page: &Page<'_>, told: &Told, by: Dimension) -> Markup {
    let reader = page.reader();
    let rows = Cut::of(&told.rows, "parts", &page.visit.place);
    let total = told.totals.on(told.basis).filter(|total| *total > Decimal::ZERO);
    let has_end = told.rows.iter().any(|row| row.end.is_some());
    let has_moved = told.rows.iter().any(|row| row.moved.is_some());
    let shape = Shape { page, told, by, total, has_moved, has_end };
    let name = format!("{}, {}", along(by, reader), told.currency);
    html! {
        div.scroll tabindex="0" role="region" aria-label=(name) {
            table.parts {
                caption { (name) ", " (reader.language.basis(told.basis)) }
                thead { tr {
                    th scope="col" { (reader.language.dimension(by)) }
                    th.number scope="col" { (reader.word("Cost", "비용")) }
                    th.number scope="col" { (reader.word("Share", "비중")) }
                    @if has_moved {
                        th.number scope="col" {
                            @if page.asked.day.is_some() { (reader.word("Against the mean of 7 days before", "이전 7일 평균 대비")) }
                            @else { (reader.word("7 days against 7 before", "7일 변화(이전 7일 대비)")) }
                        }
                    }
                    @if has_end {
                        th.number scope="col" { (reader.word("Month end (80% likely)", "월말 예상(80% 구간)")) }
                    }
                } }
                tbody {
                    @for row in rows.shown { (shape.row(row)) }
                    @if !rows.rest.is_empty() { (shape.rest(&rows)) }
                }
            }
        }
        (rows.links(&page.visit.place, reader))
    }
}

/// What all rows of a table share.
struct Shape<'a> {
    page: &'a Page<'a>,
    told: &'a Told,
    by: Dimension,
    /// The sum that shares are of; none where it is not more than nothing.
    total: Option<Decimal>,
    has_moved: bool,
    has_end: bool,
}

impl Shape<'_> {
    fn row(&self, row: &Row) -> Markup {
        let reader = self.page.reader();
        html! {
            tr {
                th scope="row" {
                    @match &row.key {
                        Some(key) => {
                            a href=(self.page.asked.narrowed(self.by, key).link(&self.page.visit.place)) {
                                bdi { (row.name.clone().unwrap_or_else(|| unnamed(self.by, key, reader))) }
                            }
                            @if row.name.is_some() { " " small { bdi { (key) } } }
                        }
                        None => {
                            (row.name.as_deref().unwrap_or_default())
                            (reader.word(" more, not told apart", "개 더 (구분하지 않음)"))
                        }
                    }
                    (self.bar(row.cost))
                }
                td.number { (self.cost(row)) }
                td.number { (self.share(row.cost)) }
                @if self.has_moved {
                    td.number { @if let Some(moved) = row.moved { (against(moved, self.told.currency, reader)) } }
                }
                @if self.has_end {
                    td.number {
                        @if let Some(end) = row.end {
                            (reader.number(end.middle, 0)) br;
                            small { (reader.number(end.interval[0], 0)) " – " (reader.number(end.interval[1], 0)) }
                        }
                    }
                }
            }
        }
    }

    /// A cost; marked where other faces tell it too.
    fn cost(&self, row: &Row) -> Markup {
        let reader = self.page.reader();
        let is_usual = self.page.asked.basis.is_none_or(|basis| basis == CostBasis::Effective);
        let held = self.page.held().filter(|_| is_usual && self.by == Dimension::ServiceName);
        let Some(cost) = row.cost else {
            return html! { (reader.word("unknown", "알 수 없음")) };
        };
        let money = Money::new(cost, self.told.currency);
        match (held, &row.key) {
            (Some(period), Some(key)) => {
                let of = format!("{}/{key}", self.page.asked.source);
                let figure = Figure { name: "service_cost", of: &of, period: period.label };
                figure.shown(cost.normalize(), &reader.small_money(money))
            }
            _ => html! { (reader.small_money(money)) },
        }
    }

    fn share(&self, cost: Option<Decimal>) -> Markup {
        let share = cost.zip(self.total).and_then(|(cost, total)| cost.checked_div(total));
        html! { @if let Some(share) = share { (percent(share, self.page.reader())) } }
    }

    fn bar(&self, cost: Option<Decimal>) -> Markup {
        let share = cost
            .filter(|cost| *cost >= Decimal::ZERO)
            .zip(self.total)
            .and_then(|(cost, total)| cost.checked_div(total));
        html! { @if let Some(share) = share { (shares::share(float(share))) } }
    }

    /// One row for those that are not shown.
    fn rest(&self, rows: &Cut<'_, Row>) -> Markup {
        let reader = self.page.reader();
        let costs: Option<Vec<Decimal>> = rows.rest.iter().map(|row| row.cost).collect();
        let sum = costs.and_then(|costs| {
            costs.into_iter().try_fold(Decimal::ZERO, |sum, cost| sum.checked_add(cost))
        });
        html! {
            tr.rest {
                th scope="row" { (rows.rest_name(reader)) (self.bar(sum)) }
                td.number {
                    @match sum {
                        Some(sum) => (reader.small_money(Money::new(sum, self.told.currency))),
                        None => (reader.word("unknown", "알 수 없음")),
                    }
                }
                td.number { (self.share(sum)) }
                @if self.has_moved { td.number {} }
                @if self.has_end { td.number {} }
            }
        }
    }
}
