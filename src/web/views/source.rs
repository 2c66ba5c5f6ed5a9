//! One source: of a bill, why it fails and what to do, what its readings found, what moved.

use axum::extract::Path;
use maud::{Markup, html};
use rust_decimal::Decimal;

use super::sources::{readings, requests, spend_of, state};
use super::telemetry;
use crate::domain::band::PeriodLabel;
use crate::domain::money::Money;
use crate::domain::spend::{SourceSpend, SourceStatus};
use crate::snapshot::Snapshot;
use crate::web::link::Place;
use crate::web::page::{Shown, View, Visit};
use crate::web::reader::Reader;

/// So many restatements and falls are shown.
const MOST: usize = 50;

/// The view.
pub(in crate::web) async fn show(visit: Visit, Path(id): Path<String>) -> axum::response::Response {
    visit.answer(View::Sources, |snapshot| {
        match snapshot.sources.iter().find(|status| status.source.as_str() == id) {
            Some(status) => Shown::one(id.clone(), body(status, snapshot, &visit)),
            None => telemetry_of(snapshot, &id, &visit),
        }
    })
}

/// A source of GPU telemetry: no two sources have one name.
fn telemetry_of(snapshot: &Snapshot, id: &str, visit: &Visit) -> Shown {
    match snapshot.gpu_sources.iter().find(|status| status.source.as_str() == id) {
        Some(status) => Shown::one(id.to_owned(), telemetry::body(status, snapshot, visit)),
        None => Shown::missing(visit, id),
    }
}

fn body(status: &SourceStatus, snapshot: &Snapshot, visit: &Visit) -> Markup {
    let (place, reader) = (&visit.place, &visit.reader);
    let spend = spend_of(snapshot, status);
    html! {
        nav.crumbs aria-label=(reader.word("Where you are", "현재 위치")) {
            ol {
                li { a href=(place.to(&["sources"], &[])) { (reader.word("Sources", "데이터 소스")) } }
                li { bdi { (status.source) } }
            }
        }
        h1 { bdi { (status.source) } " · " (reader.language.provider(Some(status.provider))) " " (state(status, reader)) }
        (failure(status, reader))
        div.card {
            (readings(status, spend, reader))
            p {
                (reader.word("Costs of a day may arrive until ", "하루의 비용은 그날이 끝난 뒤 "))
                (reader.number(Decimal::from(status.lag.as_hours()), 0))
                (reader.word(" h after its end; until then the day is provisional.",
                             "시간까지 들어올 수 있으며, 그때까지는 잠정치입니다."))
            }
            (requests(status, reader))
            @if spend.is_some() {
                p { a href=(place.to(&["spend", status.source.as_str()], &[])) { (reader.word("What it has billed", "청구 내역 보기")) } }
            }
        }
        @match spend {
            Some(spend) => {
                (periods(spend, reader))
                (restatements(spend, reader))
                (budgets(spend, reader))
                (prices(spend, place, reader))
            }
            None => p.empty { (reader.word("It was never read: what it costs is unknown.", "아직 읽은 적이 없어 비용을 알 수 없습니다.")) },
        }
    }
}

fn failure(status: &SourceStatus, reader: &Reader) -> Markup {
    html! {
        @if let Some((kind, text)) = &status.last_error {
            div.notice.problem {
                h2 { (reader.language.error_kind(*kind)) }
                p { bdi lang="en" { (text) } }
                p { (reader.language.remedy(*kind)) }
                p { code { "costband check -c costband.yaml --online" } }
                p.note {
                    @match status.last_success {
                        Some(at) => {
                            (reader.word("The figures of the last good reading stay: ", "마지막 정상 읽기의 수치를 유지합니다: ")) (reader.ago(at)) "."
                        }
                        None => (reader.word("It was never read well: its figures are unknown, not zero.", "정상적으로 읽은 적이 없습니다. 수치는 0이 아니라 알 수 없음입니다.")),
                    }
                }
            }
        }
    }
}

/// What each month's rows and the provider's own total say.
fn periods(spend: &SourceSpend, reader: &Reader) -> Markup {
    let label = reader.word("Do the rows add up?", "합계 대조");
    html! {
        h2 { (label) }
        p.note {
            (reader.word("Each reading asks for the provider's own total without any grouping and holds the sum of the rows against it.",
                         "읽을 때마다 공급자의 전체 합계를 따로 조회해 항목 합계와 대조합니다."))
        }
        div.scroll tabindex="0" role="region" aria-label=(label) {
            table {
                thead { tr {
                    th scope="col" { (reader.word("Month", "청구 월")) }
                    th scope="col" { (reader.word("Currency", "통화")) }
                    th.number scope="col" { (reader.word("Billed", "청구 (billed)")) }
                    th.number scope="col" { (reader.word("Effective", "상각 (effective)")) }
                    th.number scope="col" { (reader.word("Difference", "차액")) }
                    th scope="col" { (reader.word("Bill", "청구 상태")) }
                } }
                tbody {
                    @for period in &spend.periods {
                        @for (currency, amounts) in &period.totals {
                            tr {
                                th scope="row" {
                                    (reader.month(period.period))
                                    @if period.label == PeriodLabel::Current { " " small { (reader.word("so far", "현재까지")) } }
                                }
                                td { (currency) }
                                @for amount in [amounts.billed, amounts.effective] {
                                    td.number {
                                        @match amount {
                                            Some(amount) => (reader.number(amount, 2)),
                                            None => (reader.word("unknown", "알 수 없음")),
                                        }
                                    }
                                }
                                td.number {
                                    @match period.reconciliation_difference.get(currency) {
                                        Some(difference) if difference.is_zero() => (reader.word("none", "없음")),
                                        Some(difference) => (reader.difference(Money::new(*difference, *currency))),
                                        None => (reader.word("not held against it yet", "아직 대조하지 않음")),
                                    }
                                }
                                td { @if period.is_final { (reader.word("final", "확정")) } @else { (reader.word("may still move", "변경 가능")) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn restatements(spend: &SourceSpend, reader: &Reader) -> Markup {
    let label = reader.word("What moved after it was complete", "완결 후 변경");
    let moved = spend.restated.iter().flat_map(|period| {
        let is_moved = period.before != period.after;
        let whole = is_moved.then_some((None, period.before, period.after, None));
        let falls = period.falls.iter();
        let falls =
            falls.map(|fall| (Some(fall.day), fall.before, fall.after, Some(fall.observed_at)));
        whole.into_iter().chain(falls).map(move |row| (period, row))
    });
    let rows: Vec<_> = moved.take(MOST).collect();
    html! {
        h2 { (label) }
        p {
            (reader.word("Days that moved after they had been complete, since the ledger began: ", "완결 후 변경된 날(원장 시작 이후): "))
            (reader.number(spend.restatements_total.into(), 0)) "."
        }
        @if !rows.is_empty() {
            div.scroll tabindex="0" role="region" aria-label=(label) {
                table {
                    thead { tr {
                        th scope="col" { (reader.word("What", "대상")) }
                        th.number scope="col" { (reader.word("Before", "이전")) }
                        th.number scope="col" { (reader.word("After", "이후")) }
                        th scope="col" { (reader.word("Seen", "확인 시각")) }
                    } }
                    tbody {
                        @for (period, (day, before, after, seen)) in rows {
                            tr {
                                th scope="row" {
                                    @match day { Some(day) => (reader.day(day)), None => (reader.month(period.period)) }
                                }
                                td.number { (reader.money_to(Money::new(before, period.currency), 2)) }
                                td.number { (reader.money_to(Money::new(after, period.currency), 2)) }
                                td {
                                    @match seen.or(period.steps.last().map(|(at, _)| *at)) {
                                        Some(at) => (reader.time(at)),
                                        None => {}
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn budgets(spend: &SourceSpend, reader: &Reader) -> Markup {
    let label = reader.word("Budgets at the provider", "공급자 예산");
    html! {
        @if !spend.budgets.is_empty() {
            h2 { (label) }
            div.scroll tabindex="0" role="region" aria-label=(label) {
                table {
                    thead { tr {
                        th scope="col" { (reader.word("Budget", "예산")) }
                        th.number scope="col" { (reader.word("Amount", "금액")) }
                        th.number scope="col" { (reader.word("Spent of it", "사용액")) }
                        th.number scope="col" { (reader.word("The provider expects", "공급자 예측")) }
                        th scope="col" { (reader.word("For each", "주기")) }
                    } }
                    tbody {
                        @for budget in spend.budgets.iter().take(MOST) {
                            tr {
                                th scope="row" { bdi { (budget.name) } }
                                td.number { (reader.money(budget.amount)) }
                                @for amount in [budget.current_spend, budget.forecast_spend] {
                                    td.number {
                                        @match amount {
                                            Some(amount) => (reader.money(amount)),
                                            None => (reader.word("not told", "알려지지 않음")),
                                        }
                                    }
                                }
                                td { bdi { (budget.time_grain) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn prices(spend: &SourceSpend, place: &Place, reader: &Reader) -> Markup {
    let newest = spend.list_prices.iter().filter_map(|price| price.read_at).max();
    html! {
        @if !spend.list_prices.is_empty() {
            h2 { (reader.word("List prices", "정가")) }
            p {
                (reader.count(spend.list_prices.len()))
                (reader.word(" list prices of GPU machines are known", "개의 GPU 머신 정가를 알고 있습니다"))
                @if let Some(at) = newest { (reader.word(", read ", ", 읽은 시각 ")) (reader.ago(at)) }
                ". "
                a href=(place.to(&["gpu"], &[])) { (reader.word("What GPUs cost", "GPU 비용 보기")) }
            }
        }
    }
}
