//! The GPU part of the page: what the fleet is, and what its money does.

use maud::{Markup, html};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::config::file::Language;
use crate::domain::gpu_money::{
    ClusterTier, FleetNow, GpuPicture, PeriodPicture, ProviderMoney, WorkloadMoney,
};
use crate::domain::gpu_time::GpuState;
use crate::domain::identity::Provider;
use crate::domain::money::{Currency, Money};

/// How many workloads are shown.
const TOP: usize = 10;

/// The section; nothing where no GPU is known of.
pub(super) fn section(picture: &GpuPicture, language: Language) -> Markup {
    let word = |english, korean| language.pick(english, korean);
    let periods = || picture.periods.iter().filter(|period| !period.money.by_provider.is_empty());
    html! {
        @if !picture.fleets.is_empty() || periods().next().is_some() {
            h2 { "GPU" }
            @if !picture.fleets.is_empty() { (fleets(picture, language)) }
            @for cluster in &picture.clusters { (tier(cluster, language)) }
            @for period in periods() {
                h3 { (word("Where the money of GPUs went", "GPU 비용의 쓰임")) " · " (period.period) }
                @for ((cloud, currency), money) in &period.money.by_provider {
                    (states(*cloud, *currency, money, language))
                }
                (workloads(period, language))
                (paid_not_running(period, language))
            }
            @for expected in &picture.expected {
                p.note { (expected.band) ": " (expected.sentence) }
            }
        }
    }
}

fn fleets(picture: &GpuPicture, language: Language) -> Markup {
    let word = |english, korean| language.pick(english, korean);
    html! {
        div.scroll {
            table {
                tr {
                    th { (word("Cluster", "클러스터")) }
                    th { (word("Model", "모델")) }
                    th { (word("Machine", "머신")) }
                    th.number { "GPU" }
                    th.number { (word("Utilization", "사용률")) }
                    th.number { (word("GPU-hour", "GPU 시간당")) }
                    th { (word("Tier", "등급")) }
                }
                @for now in &picture.fleets { (fleet(now, language)) }
            }
        }
    }
}

fn fleet(now: &FleetNow, language: Language) -> Markup {
    let unknown = language.pick("unknown", "알 수 없음");
    html! {
        tr {
            td { (now.fleet.cluster) }
            td { (now.fleet.model) }
            td { (now.fleet.instance_type.as_deref().unwrap_or(unknown)) }
            td.number { (now.gpus) }
            td.number {
                @match now.utilization {
                    Some(ratio) => (format!("{:.0} %", ratio * 100.0)),
                    None => (unknown),
                }
            }
            td.number {
                @match now.prices.first() {
                    Some(best) => {
                        (best.price.grouped(2)) " " small { (language.price_source(best.source)) }
                    }
                    None => (unknown),
                }
            }
            td { (now.tier.map_or(unknown, |tier| language.tier(tier))) }
        }
    }
}

fn tier(cluster: &ClusterTier, language: Language) -> Markup {
    html! {
        p.note {
            (cluster.cluster) ": " (language.tier(cluster.tier))
            @if !cluster.missing.is_empty() {
                " · " (language.pick("missing for the next tier", "다음 등급에 부족한 것")) ": "
                (cluster.missing.join(", "))
            }
        }
    }
}

/// Whole units, and hundredths of what is little.
fn amount_of(amount: Decimal, currency: Currency) -> String {
    let digits = if amount.abs() < Decimal::ONE_HUNDRED { 2 } else { 0 };
    Money::new(amount, currency).grouped(digits)
}

fn percent(part: Decimal, whole: Decimal) -> f64 {
    let share = part.checked_div(whole).and_then(|share| share.to_f64()).unwrap_or(0.0);
    (share * 100.0).clamp(0.0, 100.0)
}

fn states(
    cloud: Option<Provider>,
    currency: Currency,
    money: &ProviderMoney,
    language: Language,
) -> Markup {
    let word = |english, korean| language.pick(english, korean);
    let total = money.total();
    let told = |amount| amount_of(amount, currency);
    let spent = || money.states.iter().filter(|(_, amount)| !amount.is_zero());
    html! {
        section.band {
            h3 {
                (cloud.map_or(word("on premises", "온프레미스"), Provider::as_str))
                @if spent().next().is_some() {
                    " " (told(total))
                    small.note {
                        (word("idle", "유휴")) " " (told(money.idle()))
                        (format!(" ({:.0} %)", percent(money.idle(), total)))
                        @if !money.estimated.is_zero() {
                            " · " (word("estimated", "추정")) " " (told(money.estimated))
                        }
                    }
                }
            }
            @if spent().next().is_some() {
                div.stack {
                    @for (state, amount) in spent() {
                        span class=(state.as_str()) title=(language.gpu_state(*state))
                            style=(format!("width:{:.2}%", percent(*amount, total))) {}
                    }
                }
            }
            dl {
                @for (state, amount) in spent() {
                    dt { span.dot.(state.as_str()) {} " " (language.gpu_state(*state)) }
                    dd { (told(*amount)) (format!(" · {:.1} %", percent(*amount, total))) }
                }
                @for (kind, amount) in &money.residuals {
                    dt { (language.residual(*kind)) }
                    dd { (told(*amount)) }
                }
            }
        }
    }
}

fn workloads(period: &PeriodPicture, language: Language) -> Markup {
    let word = |english, korean| language.pick(english, korean);
    let wasteful: Vec<&WorkloadMoney> =
        period.workloads.iter().filter(|one| !one.idle_cost.is_zero()).take(TOP).collect();
    html! {
        @if !wasteful.is_empty() {
            div.scroll {
                table {
                    tr {
                        th { (word("Workload with the most idle money", "유휴 비용이 큰 워크로드")) }
                        th.number { (word("Idle", "유휴")) }
                        th.number { (word("All", "전체")) }
                    }
                    @for one in wasteful {
                        tr {
                            td { (one.of.namespace) "/" (one.of.name) }
                            td.number { (amount_of(one.idle_cost, one.currency)) }
                            td.number { (amount_of(one.cost, one.currency)) }
                        }
                    }
                }
            }
        }
    }
}

fn paid_not_running(period: &PeriodPicture, language: Language) -> Markup {
    html! {
        @for paid in period.money.paid_not_running.iter().take(TOP) {
            p.note {
                (language.pick("Paid and not seen running", "비용을 냈지만 실행이 보이지 않음")) ": "
                (paid.group.machine) " (" (paid.group.region_id) "), "
                (amount_of(paid.cost, paid.currency))
            }
        }
    }
}

/// The colours of states, for the page's style.
pub(super) fn style() -> String {
    let colours = GpuState::ALL.map(|state| {
        let colour = match state {
            GpuState::Busy => "#2a9d5c",
            GpuState::Low => "#8cc152",
            GpuState::HeldIdle => "#e9b44c",
            GpuState::Empty => "#e08e45",
            GpuState::Unallocated => "#d9663d",
            GpuState::Unhealthy => "#c0392b",
            GpuState::Unknown => "#9aa0a6",
        };
        format!(".stack .{0}, .dot.{0} {{ background: {colour}; }}\n", state.as_str())
    });
    colours.concat()
}
