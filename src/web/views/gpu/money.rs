//! Where the money of GPUs went, by what they did and for whom, and how sure that is.

use std::collections::BTreeMap;

use maud::{Markup, html};
use rust_decimal::Decimal;

use super::{cloud, hours_told, percent_of, place_of, states, told, unknown};
use crate::domain::band::PeriodLabel;
use crate::domain::gpu_money::{
    FleetMoney, GpuPicture, NotGpu, PaidNotRunning, PeriodPicture, ProviderMoney, WorkloadMoney,
    hours,
};
use crate::domain::gpu_time::GpuState;
use crate::domain::identity::Provider;
use crate::domain::machine::model_name;
use crate::domain::money::{Currency, Money};
use crate::snapshot::Snapshot;
use crate::web::chart::float;
use crate::web::chart::shares::{share, swatch};
use crate::web::page::Visit;
use crate::web::reader::Reader;
use crate::web::views::Figure;
use crate::web::views::cut::Cut;

/// This month and the last one.
pub(super) fn section(picture: &GpuPicture, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let told: Vec<&PeriodPicture> =
        picture.periods.iter().filter(|period| !period.money.by_provider.is_empty()).collect();
    html! {
        h2 { (reader.word("Where the money of GPUs went", "GPU 비용의 쓰임")) }
        @if told.is_empty() {
            p.empty {
                (reader.word("No GPU time has a price yet. Prices come from complete days of the bill, from the provider's \
                              list, or from the configuration.",
                             "비용이 매겨진 GPU 시간이 아직 없습니다. 단가는 완결된 청구, 공급자 가격표 또는 설정에서 옵니다."))
            }
        }
        @for period in &told {
            h3 { (reader.month(period.period)) }
            div.cards {
                @for ((provider, currency), money) in &period.money.by_provider {
                    (card(period, (*provider, *currency), money, reader))
                }
            }
        }
        @for period in told.iter().take(1) { (by_fleet(period, visit)) }
    }
}

fn card(
    period: &PeriodPicture,
    (provider, currency): (Option<Provider>, Currency),
    money: &ProviderMoney,
    reader: &Reader,
) -> Markup {
    let of = provider.map_or("on_premises", Provider::as_str);
    let idle = Figure { name: "gpu_idle_cost", of, period: period.label };
    let total = money.total();
    let amount = |amount| told(amount, currency, reader);
    html! {
        article.card {
            h4 { (cloud(provider, reader)) }
            @if money.states.values().all(Decimal::is_zero) {
                p.soft {
                    (reader.word("No time of these GPUs is counted: what their money did is unknown.",
                                 "집계된 GPU 시간이 없어 비용의 쓰임을 알 수 없습니다."))
                }
            } @else {
                p.amount { (amount(total)) }
                p {
                    (reader.word("idle ", "유휴 "))
                    strong { (idle.shown(money.idle().normalize(), &amount(money.idle()))) }
                    @if total > Decimal::ZERO { " (" (percent_of(money.idle(), total, reader)) ")" }
                    @if !money.estimated.is_zero() {
                        ", " (reader.word("estimated, not billed yet: ", "추정(미청구) ")) (amount(money.estimated))
                    }
                }
                (states(&money.states, 1.0, 22, amount, reader))
            }
            div.scroll tabindex="0" role="region" aria-label=(reader.word("What the GPUs did", "GPU 상태")) { table {
                thead { tr {
                    th scope="col" { (reader.word("What the GPUs did", "GPU 상태")) }
                    th.number scope="col" { (reader.word("Cost", "비용")) }
                    th.number scope="col" { (reader.word("Share", "비중")) }
                } }
                tbody {
                    @for (state, cost) in money.states.iter().filter(|(_, cost)| !cost.is_zero()) {
                        tr {
                            th scope="row" { (swatch(*state)) (reader.language.gpu_state(*state)) }
                            td.number { (amount(*cost)) }
                            td.number { (percent_of(*cost, total, reader)) }
                        }
                    }
                    @for (kind, cost) in money.residuals.iter().filter(|(_, cost)| !cost.is_zero()) {
                        tr.rest {
                            th scope="row" { (reader.language.residual(*kind)) }
                            td.number { (amount(*cost)) }
                            td.number {}
                        }
                    }
                    (rest(period, (provider, currency), reader))
                }
            } }
        }
    }
}

/// What the cloud billed that is no GPU's.
fn rest(
    period: &PeriodPicture,
    (provider, currency): (Option<Provider>, Currency),
    reader: &Reader,
) -> Markup {
    let rest = period.not_gpu.iter();
    let rest = rest.filter(|((of, held, _), _)| Some(*of) == provider && *held == currency);
    html! {
        @for ((.., kind), cost) in rest {
            tr.rest {
                th scope="row" { (not_gpu(*kind, reader)) }
                td.number { (told(*cost, currency, reader)) }
                td.number {}
            }
        }
    }
}

fn not_gpu(kind: NotGpu, reader: &Reader) -> &'static str {
    match kind {
        NotGpu::Storage => reader.word("beside GPUs: storage", "GPU 외: 스토리지"),
        NotGpu::Network => reader.word("beside GPUs: network", "GPU 외: 네트워크"),
        NotGpu::Other => reader.word("beside GPUs: other", "GPU 외: 기타"),
    }
}

/// Money against what it did, by fleet: bars as long as their money.
fn by_fleet(period: &PeriodPicture, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    // The inner none is money that cannot be added up.
    let sum = |of: &FleetMoney| -> Option<(Currency, Option<Decimal>)> {
        of.money.as_ref().map(|(currency, states)| (*currency, checked_sum(states.values())))
    };
    let mut fleets: Vec<&FleetMoney> = period.money.fleets.iter().collect();
    fleets.sort_by_key(|of| std::cmp::Reverse(sum(of).map(|(_, sum)| sum)));
    let most = |currency: Currency| {
        let same = fleets.iter().filter_map(|of| sum(of)).filter(|(held, _)| *held == currency);
        same.filter_map(|(_, sum)| sum).max()
    };
    let rows = Cut::of(&fleets, "money", &visit.place);
    let title = reader.word("Utilization against money, by fleet", "GPU 그룹별 비용과 사용");
    html! {
        @if !fleets.is_empty() {
            h3 { (title) " · " (reader.month(period.period)) }
            div.scroll tabindex="0" role="region" aria-label=(title) {
                table.parts {
                    thead { tr {
                        th scope="col" { (reader.word("Fleet", "GPU 그룹")) }
                        th.number scope="col" { (reader.word("Cost", "비용")) }
                        th.number scope="col" { (reader.word("Idle", "유휴")) }
                        th.number scope="col" { (reader.word("GPU-hours", "GPU 시간")) }
                        th.number scope="col" { (reader.word("Busy", "작업 중")) }
                    } }
                    tbody {
                        @for of in rows.shown {
                            tr {
                                th scope="row" {
                                    bdi { (model_name(&of.fleet.model)) } " · " (place_of(&of.fleet, reader))
                                    @if let Some((currency, money)) = &of.money {
                                        @let length = sum(of).and_then(|(_, sum)| sum).zip(most(*currency)).and_then(|(sum, most)| sum.checked_div(most));
                                        (states(money, length.map_or(0.0, float), 14, |cost| told(cost, *currency, reader), reader))
                                    }
                                }
                                td.number {
                                    @match sum(of) {
                                        Some((currency, sum)) => (told_or_unknown(sum, currency, reader)),
                                        None => (reader.word("no price", "단가 없음")),
                                    }
                                }
                                td.number {
                                    @if let Some((currency, money)) = &of.money {
                                        @let idle = money.iter().filter(|(state, _)| state.is_idle()).map(|(_, cost)| cost);
                                        (told_or_unknown(checked_sum(idle), *currency, reader))
                                    }
                                }
                                td.number { (hours_told(hours(of.time.total()), reader)) }
                                td.number {
                                    (percent_of(of.time.milliseconds(GpuState::Busy).into(), of.time.total().into(), reader))
                                }
                            }
                        }
                    }
                }
            }
            (rows.links(&visit.place, reader))
        }
    }
}

/// Workloads, the most wasteful first.
pub(super) fn workloads(picture: &GpuPicture, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let Some(period) = picture.periods.iter().find(|of| of.label == PeriodLabel::Current) else {
        return html! {};
    };
    let rows = Cut::of(&period.workloads, "workloads", &visit.place);
    // Bars of one currency are as long as their money of it; those of two are not compared.
    let mut most: BTreeMap<Currency, Decimal> = BTreeMap::new();
    for one in &period.workloads {
        let most = most.entry(one.currency).or_insert(one.idle_cost);
        *most = one.idle_cost.max(*most);
    }
    let title = reader.word("Idle money by workload", "워크로드별 유휴 비용");
    html! {
        h2 { (title) }
        @if period.workloads.is_empty() {
            p.empty {
                (reader.word("No workload held a priced GPU this month. Telemetry tells pods where exporters run in Kubernetes.",
                             "이번 달에 단가가 있는 GPU를 사용한 워크로드가 없습니다. 익스포터가 Kubernetes에서 실행되면 파드를 알 수 있습니다."))
            }
        } @else {
            div.scroll tabindex="0" role="region" aria-label=(title) {
                table.parts {
                    thead { tr {
                        th scope="col" { (reader.word("Workload", "워크로드")) }
                        th.number scope="col" { (reader.word("Idle", "유휴")) }
                        th.number scope="col" { (reader.word("All", "전체")) }
                        th.number scope="col" { (reader.word("Idle share", "유휴 비중")) }
                    } }
                    tbody {
                        @for one in rows.shown { (workload(one, &most, visit)) }
                        @if !rows.rest.is_empty() { (others(&rows, reader)) }
                    }
                }
            }
            (rows.links(&visit.place, reader))
        }
    }
}

fn workload(one: &WorkloadMoney, most: &BTreeMap<Currency, Decimal>, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let link = visit.place.to(&["gpu", "workloads", &one.of.namespace, &one.of.name], &[]);
    html! {
        tr {
            th scope="row" {
                a href=(link) { bdi { (one.of.namespace) } "/" bdi { (one.of.name) } }
                @if let Some(of) = most.get(&one.currency).and_then(|most| one.idle_cost.checked_div(*most)) { (share(float(of))) }
            }
            td.number { (told(one.idle_cost, one.currency, reader)) }
            td.number { (told(one.cost, one.currency, reader)) }
            td.number { (percent_of(one.idle_cost, one.cost, reader)) }
        }
    }
}

/// The rest of the workloads, where they are all in one currency.
fn others(rows: &Cut<'_, WorkloadMoney>, reader: &Reader) -> Markup {
    let first = rows.rest.first().map(|one| one.currency);
    let same = first.filter(|first| rows.rest.iter().all(|one| one.currency == *first));
    let sum = |of: fn(&WorkloadMoney) -> &Decimal, currency| {
        told_or_unknown(checked_sum(rows.rest.iter().map(of)), currency, reader)
    };
    html! {
        tr.rest {
            th scope="row" { (rows.rest_name(reader)) }
            td.number { @if let Some(currency) = same { (sum(|one| &one.idle_cost, currency)) } }
            td.number { @if let Some(currency) = same { (sum(|one| &one.cost, currency)) } }
            td.number {}
        }
    }
}

/// A sum; none where it is more than can be told.
fn checked_sum<'a>(amounts: impl IntoIterator<Item = &'a Decimal>) -> Option<Decimal> {
    amounts.into_iter().try_fold(Decimal::ZERO, |sum, more| sum.checked_add(*more))
}

fn told_or_unknown(amount: Option<Decimal>, currency: Currency, reader: &Reader) -> String {
    amount.map_or_else(|| unknown(reader).to_owned(), |amount| told(amount, currency, reader))
}

/// What makes one trust these figures or look closer.
pub(super) fn checks(snapshot: &Snapshot, visit: &Visit) -> Markup {
    let picture = &snapshot.gpu;
    html! {
        @for period in &picture.periods { (paid_not_running(period, visit)) }
        (scores(picture, &visit.reader))
        (expected(snapshot, visit))
    }
}

fn paid_not_running(period: &PeriodPicture, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let list = match period.label {
        PeriodLabel::Current => "paid",
        PeriodLabel::Previous => "paid-before",
    };
    let rows = Cut::of(&period.money.paid_not_running, list, &visit.place);
    let title = reader.word("Paid and not seen running", "비용을 냈지만 실행이 보이지 않음");
    let row = |paid: &PaidNotRunning| {
        html! {
            tr {
                th scope="row" {
                    bdi { (paid.group.machine) }
                    @if paid.group.spot { " (" (reader.word("spot", "스팟")) ")" }
                }
                td { (cloud(Some(paid.group.provider), reader)) ", " bdi { (paid.group.region_id) } }
                td.number { (told(paid.cost, paid.currency, reader)) }
                td.number {
                    @match paid.gpu_hours {
                        Some(hours) => (reader.number(hours, 1)),
                        None => (reader.word("not told", "알려 주지 않음")),
                    }
                }
            }
        }
    };
    html! {
        @if !period.money.paid_not_running.is_empty() {
            h2 { (title) " · " (reader.month(period.period)) }
            div.scroll tabindex="0" role="region" aria-label=(title) {
                table {
                    thead { tr {
                        th scope="col" { (reader.word("Machine", "머신")) }
                        th scope="col" { (reader.word("Where", "위치")) }
                        th.number scope="col" { (reader.word("Cost", "비용")) }
                        th.number scope="col" { (reader.word("GPU-hours", "GPU 시간")) }
                    } }
                    tbody { @for paid in rows.shown { (row(paid)) } }
                }
            }
            (rows.links(&visit.place, reader))
        }
    }
}

/// How near estimates came to the bill.
fn scores(picture: &GpuPicture, reader: &Reader) -> Markup {
    html! {
        @if !picture.scores.is_empty() {
            h2 { (reader.word("How good estimates were", "추정의 정확도")) }
            p.note {
                (reader.word("What telemetry said that days would cost before their bill came, against that bill.",
                             "청구가 오기 전 텔레메트리로 추정한 비용을 실제 청구와 비교한 값입니다."))
            }
            ul.plain {
                @for score in &picture.scores {
                    li {
                        (score.provider.display_name()) ": "
                        strong { @if score.error_ratio > 0.0 { "+" } (reader.percent(score.error_ratio, 1)) }
                        " (" (reader.word("days: ", "일수 ")) (reader.count(score.days)) ")"
                    }
                }
            }
        }
    }
}

/// What the nodes of now cost in a month, beside each band.
fn expected(snapshot: &Snapshot, visit: &Visit) -> Markup {
    let reader = &visit.reader;
    let rows = Cut::of(&snapshot.gpu.expected, "expected", &visit.place);
    let title = reader.word(
        "What the GPU nodes that run now cost in a month, beside the bands",
        "현재 노드의 한 달 비용과 예산 범위",
    );
    html! {
        @if !snapshot.gpu.expected.is_empty() {
            h2 { (title) }
            div.scroll tabindex="0" role="region" aria-label=(title) {
                table {
                    thead { tr {
                        th scope="col" { (reader.word("Band", "예산 범위")) }
                        th.number scope="col" { (reader.word("GPU machines alone", "GPU 머신만")) }
                        th.number scope="col" { (reader.word("Floor", "하한")) }
                        th.number scope="col" { (reader.word("Ceiling", "상한")) }
                        th scope="col" { (reader.word("How", "산출")) }
                    } }
                    tbody {
                        @for of in rows.shown {
                            @let band = snapshot.bands.iter().find(|band| band.band == of.band && band.period == of.period);
                            @let limit = |amount: Option<Money>| amount.map_or_else(String::new, |of| reader.number(of.amount, 0));
                            tr {
                                th scope="row" { a href=(visit.place.to(&["bands", &of.band], &[])) { bdi { (of.band) } } }
                                td.number { (reader.money(of.cost)) }
                                td.number { (limit(band.map(|band| band.floor))) }
                                td.number { (limit(band.map(|band| band.ceiling))) }
                                td.wide { (reader.expected(of)) }
                            }
                        }
                    }
                }
            }
            (rows.links(&visit.place, reader))
        }
    }
}
