//! Spend: what each source costs, and the way down from a provider to a day.

use axum::extract::Path;
use axum::http::StatusCode;
use maud::{Markup, html};
use rust_decimal::Decimal;

use self::asked::{Asked, Month};
use self::told::{Moved, Told};
use super::Figure;
use crate::domain::band::PeriodLabel;
use crate::domain::breakdown::{ChargeCategory, Dimension};
use crate::domain::identity::Provider;
use crate::domain::money::{CostBasis, Currency, Money};
use crate::domain::period::BillingPeriod;
use crate::domain::spend::{PeriodSpend, SourceSpend, SourceStatus};
use crate::snapshot::Snapshot;
use crate::web::page::{Shown, View, Visit};
use crate::web::reader::Reader;

mod asked;
mod cards;
mod ledger;
mod moved;
mod parts;
mod source;
mod told;

pub(super) use source::unnamed;

/// Whether there is a page of what a dimension's value costs.
pub(super) fn leads_down(of: Dimension) -> bool {
    asked::WAY.contains(&of)
}

/// The view.
pub(in crate::web) async fn show(visit: Visit) -> axum::response::Response {
    visit.answer(View::Spend, |snapshot| Shown::view(cards::body(snapshot, &visit)))
}

/// One source, or a part of it.
pub(in crate::web) async fn one(
    visit: Visit,
    Path(name): Path<String>,
) -> axum::response::Response {
    let asked = match Asked::of(&name, &visit.place) {
        Ok(asked) => asked,
        Err(word) => {
            let why = visit.reader.word(
                "The address has a word that cannot be read: ",
                "주소에 읽을 수 없는 값이 있습니다: ",
            );
            let why = format!("{why}{word}");
            return visit
                .answer(View::Spend, |_| Shown::failed(&visit, StatusCode::BAD_REQUEST, &why));
        }
    };
    let Some(snapshot) = visit.snapshot() else {
        return visit.answer(View::Spend, |_| Shown::view(html! {}));
    };
    let Some(page) = Page::of(asked, snapshot, &visit) else {
        return visit.answer(View::Spend, |_| Shown::missing(&visit, &name));
    };
    let answer = match page.held() {
        Some(_) => None,
        None => Some(ledger::ask(&page).await),
    };
    visit.answer(View::Spend, |_| source::show(&page, answer.as_ref()))
}

/// A page of a source with what is known of the source.
struct Page<'a> {
    visit: &'a Visit,
    snapshot: &'a Snapshot,
    asked: Asked,
    provider: Provider,
    /// The month that is shown.
    month: BillingPeriod,
    /// The open month of the provider.
    open: BillingPeriod,
    /// What the newest picture tells; none for a source that was never read.
    spend: Option<&'a SourceSpend>,
    status: Option<&'a SourceStatus>,
}

impl<'a> Page<'a> {
    /// None where no such source is known.
    fn of(asked: Asked, snapshot: &'a Snapshot, visit: &'a Visit) -> Option<Self> {
        let is_it = |id: &crate::domain::identity::SourceId| id.as_str() == asked.source;
        let spend = snapshot.spend.iter().find(|of| is_it(&of.source));
        let status = snapshot.sources.iter().find(|of| is_it(&of.source));
        let provider = spend.map(|of| of.provider).or(status.map(|of| of.provider))?;
        let open = open_month(spend, provider, &visit.reader);
        let month = match (asked.day, asked.period) {
            (Some(day), _) => BillingPeriod::containing(day),
            (None, None) => open,
            (None, Some(Month::Previous)) => open.previous(),
            (None, Some(Month::Named(month))) => month,
        };
        Some(Self { visit, snapshot, asked, provider, month, open, spend, status })
    }

    fn reader(&self) -> &'a Reader {
        &self.visit.reader
    }

    /// The whole month, where the newest picture tells it.
    fn held(&self) -> Option<&'a PeriodSpend> {
        let whole = self.asked.filters.is_empty() && self.asked.day.is_none();
        let spend = self.spend.filter(|_| whole)?;
        spend.periods.iter().find(|of| of.period == self.month)
    }

    /// The dimension that the newest picture lists.
    fn listed(&self) -> Dimension {
        self.asked.by.unwrap_or(Dimension::ServiceName)
    }

    /// What the newest picture tells of a month.
    fn told(&self, period: &PeriodSpend) -> Vec<Told> {
        let Some(spend) = self.spend else { return Vec::new() };
        let trends = self.snapshot.trends.iter().find(|of| of.source == spend.source);
        Told::of_period(spend, period, trends, self.listed(), self.asked.basis)
    }

    /// The address of a month.
    fn in_month(&self, month: BillingPeriod) -> Option<Month> {
        (month != self.open).then_some(Month::Named(month))
    }
}

/// The month that a source's newest figures are of; by the clock before it was read.
fn open_month(spend: Option<&SourceSpend>, provider: Provider, reader: &Reader) -> BillingPeriod {
    let current =
        spend.and_then(|of| of.periods.iter().find(|period| period.label == PeriodLabel::Current));
    match current {
        Some(period) => period.period,
        None => BillingPeriod::at(reader.now, provider.billing_zone()),
    }
}

/// A source's sum on a basis; the mark is on the one that all faces tell first.
fn sum(source: &str, label: PeriodLabel, money: Money, reader: &Reader) -> Markup {
    Figure { name: "source_cost", of: source, period: label }.money(money, reader)
}

/// The sums of a currency: the usual basis large, the other one beside it.
fn amounts(told: &Told, marked: Option<(&str, PeriodLabel)>, reader: &Reader) -> Markup {
    let money = |amount| Money::new(amount, told.currency);
    let other = match told.basis {
        CostBasis::Billed => CostBasis::Effective,
        CostBasis::Effective | CostBasis::List => CostBasis::Billed,
    };
    html! {
        p.amount {
            @match (told.totals.on(told.basis), marked) {
                (Some(amount), Some((source, label))) => (sum(source, label, money(amount), reader)),
                (Some(amount), None) => (reader.small_money(money(amount))),
                (None, _) => (reader.word("unknown", "알 수 없음")),
            }
            small { " " (reader.language.basis(told.basis)) }
        }
        p.soft {
            (reader.language.basis(other)) ": "
            @match told.totals.on(other) {
                Some(amount) => (reader.small_money(money(amount))),
                None => (reader.word("unknown", "알 수 없음")),
            }
        }
    }
}

/// What spend leaves out, in one currency.
fn excluded(period: &PeriodSpend, currency: Currency, reader: &Reader) -> Markup {
    let left_out = period.excluded.iter().filter(|((of, _), _)| *of == currency);
    let known: Vec<(ChargeCategory, Option<Decimal>)> =
        left_out.map(|((_, category), amounts)| (*category, amounts.billed)).collect();
    html! {
        @if !known.is_empty() {
            p.soft {
                (reader.word("Not counted, ", "제외, ")) (reader.language.basis(CostBasis::Billed)) ": "
                @for (index, (category, amount)) in known.iter().enumerate() {
                    @if index > 0 { ", " }
                    (reader.language.category(*category)) " "
                    @match amount {
                        Some(amount) => (reader.small_money(Money::new(*amount, currency))),
                        None => (reader.word("unknown", "알 수 없음")),
                    }
                }
            }
        }
    }
}

/// This month against the last one to the same day, and all of the last one.
fn month_against_month(told: &Told, reader: &Reader) -> Markup {
    let money = |amount| reader.small_money(Money::new(amount, told.currency));
    html! {
        @if let Some((day, sums)) = told.to_day() {
            p {
                (reader.word("Complete days to ", "완결일 누계 ~ ")) (reader.short_day(day)) ": "
                strong { (money(sums.after)) } ", "
                (against(sums, told.currency, reader))
                (reader.word(" against the same days of the month before (", " (전월 같은 기간 "))
                (money(sums.before)) ")."
            }
        }
        @if let Some(whole) = told.month_before {
            p.soft { (reader.word("The whole month before: ", "전월 전체: ")) (money(whole)) }
        }
    }
}

/// A difference with its share: `+1,200 USD (+12%)`.
fn against(moved: Moved, currency: Currency, reader: &Reader) -> Markup {
    html! {
        (reader.difference(Money::new(moved.difference(), currency)))
        @if let Some(ratio) = moved.ratio() {
            " (" @if !ratio.is_sign_negative() { "+" } (percent(ratio, reader)) ")"
        }
    }
}

/// A ratio as a percentage; with a decimal where it is small.
fn percent(ratio: Decimal, reader: &Reader) -> String {
    let small = ratio.abs() < Decimal::new(1, 1) && !ratio.is_zero();
    reader.percent(crate::web::chart::float(ratio), u32::from(small))
}

/// How new a source's figures are.
fn freshness(spend: &SourceSpend, status: Option<&SourceStatus>, reader: &Reader) -> Markup {
    html! {
        @if let Some(at) = status.and_then(|of| of.last_success) {
            dt { (reader.word("Read", "읽은 시각")) }
            dd { (reader.ago(at)) }
        }
        dt { (reader.word("Data reaches to", "데이터 범위")) }
        dd {
            @match spend.data_through {
                Some(at) => (reader.time(at)),
                None => (reader.word("not told by the provider", "공급자가 알려 주지 않음")),
            }
        }
        dt { (reader.word("Complete days", "완결일")) }
        dd {
            @match spend.complete_days.last() {
                Some(day) => { (reader.word("up to ", "최근 ")) (reader.day(*day)) },
                None => (reader.word("none yet", "아직 없음")),
            }
        }
    }
}

/// The provider's own total against the sum of what it told.
fn reconciliation(period: &PeriodSpend, reader: &Reader) -> Markup {
    html! {
        dt { (reader.word("Against the provider's own total", "공급자 합계와의 차이")) }
        dd {
            @if period.reconciliation_difference.is_empty() { (reader.word("not held against it yet", "아직 대조하지 않음")) }
            @for (index, (currency, difference)) in period.reconciliation_difference.iter().enumerate() {
                @if index > 0 { ", " }
                @if difference.is_zero() { (reader.word("equal", "일치")) " (" (currency) ")" }
                @else {
                    (reader.word("differs by ", "차이 "))
                    strong { (reader.difference(Money::new(*difference, *currency))) }
                }
            }
        }
    }
}
