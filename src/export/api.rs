//! The JSON of `/api/v1`: what its documents look like, made from a snapshot, and their
//! description as OpenAPI. Amounts are exact decimals in text.

use rust_decimal::Decimal;

use crate::domain::band::BandJudgement;
use crate::domain::breakdown::Amounts;
use crate::domain::gpu::{GpuReport, GpuSourceStatus};
use crate::domain::identity::SourceId;
use crate::domain::money::{Currency, Money};
use crate::domain::price::SkuPrice;
use crate::domain::report::Completeness;
use crate::domain::spend::{PeriodSpend, SourceSpend, SourceStatus};
use crate::snapshot::Snapshot;

mod alerts;
mod anomalies;
mod documents;
mod forecast;
mod gpu;
mod gpu_range;
mod openapi;
mod spend_days;

pub use alerts::{
    AcknowledgementRequest, AlertHistory, AlertView, Alerts, MatchersView, SilenceRequest,
    SilenceView, Silences, alert, alert_history, alerts, silence, silences,
};
pub use anomalies::{Anomalies, anomalies};
pub use forecast::{ForecastHistory, Forecasts, forecast_history, forecasts};
pub use gpu::{NodeDocument, node_named};
pub use gpu_range::{GpuRangeDocument, gpu_range};
pub use openapi::openapi;
pub use spend_days::{SpendDays, spend_days, spend_not_told};

pub use documents::{
    Band, BandDayView, Bands, BudgetView, Cost, DayCost, Difference, GpuSourceStatusView,
    GpuSourceView, GpuView, Gpus, ListPriceView, PeriodSpendView, Report, SourceSpendView,
    SourceView, Sources, Spend, View,
};

/// The bands of a snapshot.
pub fn bands(snapshot: &Snapshot) -> Bands {
    Bands { as_of: snapshot.at.to_string(), bands: snapshot.bands.iter().map(band).collect() }
}

fn text(amount: Decimal) -> String {
    amount.normalize().to_string()
}

fn completeness(of: Completeness) -> String {
    format!("{of:?}").to_lowercase()
}

fn amount(money: &Option<Money>) -> Option<String> {
    money.map(|money| text(money.amount))
}

fn band(judged: &BandJudgement) -> Band {
    Band {
        band: judged.band.clone(),
        period: judged.period.to_string(),
        period_label: judged.label.as_str().to_owned(),
        is_final: judged.is_final,
        basis: judged.basis.as_str().to_owned(),
        currency: judged.ceiling.currency.to_string(),
        floor: text(judged.floor.amount),
        ceiling: text(judged.ceiling.amount),
        spend: amount(&judged.spend),
        days: judged
            .days
            .iter()
            .map(|held| BandDayView {
                day: held.day.to_string(),
                spend: text(held.spend),
                total: text(held.total),
                completeness: completeness(held.completeness),
            })
            .collect(),
        complete_spend: amount(&judged.complete_spend),
        complete_days: judged.complete_days,
        run_rate: judged.run_rate.map(|rate| text(rate.amount.round_dp(2))),
        ceiling_used_ratio: judged.ceiling_used_ratio,
        views: judged
            .views
            .iter()
            .map(|view| {
                let status = view.status.as_str().to_owned();
                let reason = view.reason.to_string();
                (view.view.as_str().to_owned(), View { status, reason })
            })
            .collect(),
        data_as_of: judged.as_of.map(|at| at.to_string()),
        exchange_rates: judged.exchange_rates.iter().map(ToString::to_string).collect(),
        owner: judged.owner.clone(),
        runbook_url: judged.runbook_url.clone(),
    }
}

fn cost(key: &str, currency: Currency, amounts: &Amounts, name: Option<&String>) -> Cost {
    Cost {
        key: key.to_owned(),
        name: name.cloned(),
        currency: currency.to_string(),
        billed_cost: amounts.billed.map(text),
        effective_cost: amounts.effective.map(text),
        list_cost: amounts.list.map(text),
    }
}

/// The spend of a snapshot.
pub fn spend(snapshot: &Snapshot) -> Spend {
    Spend {
        as_of: snapshot.at.to_string(),
        sources: snapshot.spend.iter().map(source_spend).collect(),
    }
}

fn source_spend(spend: &SourceSpend) -> SourceSpendView {
    SourceSpendView {
        source: spend.source.to_string(),
        provider: spend.provider.to_string(),
        periods: spend.periods.iter().map(|period| period_spend(spend, period)).collect(),
        data_through: spend.data_through.map(|at| at.to_string()),
        last_complete_day: spend.last_complete_day.as_ref().map(|(day, _)| day.to_string()),
        restatements_total: spend.restatements_total,
        budgets: spend
            .budgets
            .iter()
            .map(|budget| BudgetView {
                name: budget.name.clone(),
                amount: budget.amount.to_string(),
                current_spend: budget.current_spend.map(|spend| spend.to_string()),
                time_grain: budget.time_grain.clone(),
            })
            .collect(),
    }
}

fn period_spend(spend: &SourceSpend, period: &PeriodSpend) -> PeriodSpendView {
    PeriodSpendView {
        period: period.period.to_string(),
        period_label: period.label.as_str().to_owned(),
        is_final: period.is_final,
        totals: period.totals.iter().map(|(key, sum)| cost("", *key, sum, None)).collect(),
        excluded: period
            .excluded
            .iter()
            .map(|((currency, category), sum)| cost(category.as_str(), *currency, sum, None))
            .collect(),
        by: period
            .by
            .iter()
            .map(|(dimension, sums)| {
                let costs = sums
                    .iter()
                    .map(|((key, currency), sum)| {
                        let name = spend.names.get(&(*dimension, key.clone()));
                        cost(key, *currency, sum, name)
                    })
                    .collect();
                (dimension.as_str().to_owned(), costs)
            })
            .collect(),
        days: period
            .days
            .iter()
            .map(|day| DayCost {
                day: day.day.to_string(),
                completeness: completeness(day.completeness),
                cost: cost("", day.currency, &day.amounts, None),
            })
            .collect(),
        reconciliation_difference: period
            .reconciliation_difference
            .iter()
            .map(|(currency, amount)| Difference {
                currency: currency.to_string(),
                amount: text(*amount),
            })
            .collect(),
    }
}

/// The sources of a snapshot.
pub fn sources(snapshot: &Snapshot) -> Sources {
    Sources {
        as_of: snapshot.at.to_string(),
        sources: snapshot.sources.iter().map(source).collect(),
        gpu_sources: snapshot.gpu_sources.iter().map(|status| gpu_source_status(status)).collect(),
    }
}

fn gpu_source_status(status: &GpuSourceStatus) -> GpuSourceStatusView {
    let failure = status.failure.as_ref();
    GpuSourceStatusView {
        source: status.source.to_string(),
        provider: status.provider.map(|provider| provider.to_string()),
        cluster: status.cluster.clone(),
        up: status.up,
        last_success: status.last_success.map(|at| at.to_string()),
        error_kind: failure.map(|failure| failure.kind.as_str().to_owned()),
        error: failure.map(|failure| failure.text.clone()),
        failing_since: failure.map(|failure| failure.since.to_string()),
    }
}

fn source(status: &SourceStatus) -> SourceView {
    let error = status.last_error.as_ref();
    SourceView {
        source: status.source.to_string(),
        provider: status.provider.to_string(),
        up: status.up,
        last_success: status.last_success.map(|at| at.to_string()),
        error_kind: error.map(|(kind, _)| kind.as_str().to_owned()),
        error: error.map(|(_, text)| text.clone()),
        next_poll: status.next_poll.map(|at| at.to_string()),
        spent_on_requests: status.spent.iter().map(ToString::to_string).collect(),
        monthly_cap: status.monthly_cap.map(|cap| cap.to_string()),
    }
}

/// The bands of a snapshot with what moved and what GPUs cost, for the report.
pub fn report(snapshot: &Snapshot) -> Report {
    let moved = anomalies(snapshot);
    Report {
        bands: bands(snapshot),
        gpu_periods: gpu::periods(&snapshot.gpu),
        gpu_expected: gpu::expected(&snapshot.gpu),
        anomalies: moved.anomalies,
        changes: moved.changes,
    }
}

/// The GPUs of a snapshot.
pub fn gpus(snapshot: &Snapshot) -> Gpus {
    let prices = |spend: &SourceSpend| -> Vec<ListPriceView> {
        spend.list_prices.iter().map(|price| list_price(&spend.source, price)).collect()
    };
    Gpus {
        as_of: snapshot.at.to_string(),
        sources: snapshot.gpus.iter().map(|report| gpu_source(report)).collect(),
        fleets: gpu::fleets(&snapshot.gpu),
        nodes: gpu::nodes(&snapshot.gpu),
        clusters: gpu::clusters(&snapshot.gpu),
        periods: gpu::periods(&snapshot.gpu),
        expected: gpu::expected(&snapshot.gpu),
        list_prices: snapshot.spend.iter().flat_map(prices).collect(),
    }
}

fn list_price(source: &SourceId, price: &SkuPrice) -> ListPriceView {
    ListPriceView {
        source: source.to_string(),
        sku_id: price.sku_id.clone(),
        description: price.description.clone(),
        region_id: price.region_id.clone(),
        capacity_type: price.capacity_type.as_str().to_owned(),
        unit: price.unit.clone(),
        price: text(price.price.amount),
        currency: price.price.currency.to_string(),
        effective_at: price.effective_at.map(|at| at.to_string()),
        instance_type: price.instance_type.clone(),
        read_at: price.read_at.map(|at| at.to_string()),
    }
}

fn gpu_source(report: &GpuReport) -> GpuSourceView {
    GpuSourceView {
        source: report.source.to_string(),
        provider: report.provider.map(|provider| provider.to_string()),
        cluster: report.cluster.clone(),
        observed_at: report.observed_at.to_string(),
        dropped_samples: report.dropped_samples.total(),
        gpus: report
            .gpus
            .iter()
            .map(|gpu| GpuView {
                uuid: gpu.key.uuid.clone(),
                mig_instance: gpu.key.mig_instance.clone(),
                model: gpu.model.clone(),
                hostname: gpu.hostname.clone(),
                utilization_ratio: gpu.utilization.map(|utilization| utilization.ratio()),
                memory_used_bytes: gpu.memory_used_bytes,
                memory_total_bytes: gpu.memory_total_bytes,
                healthy: gpu.healthy,
                xid: gpu.xid,
            })
            .collect(),
    }
}
