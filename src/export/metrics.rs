//! The business series of a snapshot in the Prometheus text format (exposition format 0.0.4).
//!
//! An amount that was never known is an absent series. Amounts are written as exact decimals.

mod gpu;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;

use rust_decimal::Decimal;

use crate::domain::alert::{AlertPhase, AlertRule, AlertState};
use crate::domain::band::{BandStatus, BurnRates};
use crate::domain::breakdown::{Amounts, Dimension};
use crate::domain::forecast::BandOutlook;
use crate::domain::identity::SourceId;
use crate::domain::money::Currency;
use crate::domain::period::{BillingPeriod, BillingZone};
use crate::domain::role::Role;
use crate::domain::spend::{PeriodSpend, SourceSpend, SourceStatus};
use crate::snapshot::Snapshot;
use crate::telemetry::names::{self, Family};

/// The value that stands for all that are past the limit.
pub const OTHER: &str = "__other__";

/// Which values of a dimension have a series of their own in a period.
type Members = HashMap<(SourceId, Dimension, BillingPeriod), BTreeSet<String>>;

/// Renders pages. Remembers which dimension values have a series of their own, so that membership
/// is fixed for a period.
#[derive(Debug)]
pub struct Renderer {
    limit: usize,
    members: Members,
    folded: BTreeMap<(SourceId, Dimension), BTreeSet<(BillingPeriod, String)>>,
    workloads: gpu::Workloads,
    role: Role,
}

impl Renderer {
    /// With at most so many values of one dimension of one source.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            members: HashMap::new(),
            folded: BTreeMap::new(),
            workloads: gpu::Workloads::default(),
            role: Role::Central,
        }
    }

    /// For an agent of a role, which tells what its role exports and nothing else.
    #[must_use]
    pub fn of_role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// Renders the business series of a snapshot.
    pub fn render(&mut self, snapshot: &Snapshot) -> String {
        let mut page = Series::default();
        match &self.role {
            Role::Central => {}
            Role::Node => {
                gpu::gpu(&mut page, &snapshot.gpu, &mut self.workloads, self.limit);
                gpu::info(&mut page, &snapshot.gpus, None);
                gpu::sources(&mut page, &snapshot.gpu_sources);
                return page.finish();
            }
            Role::Sidecar(pod) => {
                gpu::own_workload(&mut page, &snapshot.gpu, pod);
                gpu::info(&mut page, &snapshot.gpus, Some(pod));
                return page.finish();
            }
        }
        for spend in snapshot.spend.iter() {
            self.spend(&mut page, spend);
        }
        bands(&mut page, snapshot);
        gpu::gpu(&mut page, &snapshot.gpu, &mut self.workloads, self.limit);
        gpu::clusters(&mut page, &snapshot.gpu);
        gpu::sources(&mut page, &snapshot.gpu_sources);
        alerts(&mut page, snapshot);
        for status in snapshot.sources.iter() {
            let labels = [status.source.as_str(), status.provider.as_str()];
            if let Some(up) = status.up {
                page.add(&names::SOURCE_UP, &labels, if up { "1" } else { "0" });
            }
            if let Some(at) = status.last_success {
                page.add(&names::SOURCE_LAST_SUCCESS, &labels, at.as_second());
            }
            requests(&mut page, status);
        }
        for ((source, dimension), values) in &self.folded {
            let labels = [source.as_str(), dimension.as_str()];
            page.add(&names::SERIES_FOLDED_TOTAL, &labels, values.len());
        }
        page.finish()
    }

    fn spend(&mut self, page: &mut Series, spend: &SourceSpend) {
        let (source, provider) = (spend.source.as_str(), spend.provider.as_str());
        for period in &spend.periods {
            self.period(page, spend, period);
        }
        for ((dimension, key), name) in &spend.names {
            let shown = spend.periods.iter().any(|period| {
                let held = (spend.source.clone(), *dimension, period.period);
                self.members.get(&held).is_some_and(|members| members.contains(key))
            });
            if *dimension == Dimension::SubAccountId && shown {
                page.add(&names::SUB_ACCOUNT_INFO, &[source, provider, key, name], 1);
            }
        }
        if let Some((_, amounts)) = &spend.last_complete_day {
            for (currency, amounts) in amounts {
                let labels = [source, provider, currency.as_str()];
                page.known(&names::EFFECTIVE_COST_LAST_COMPLETE_DAY, &labels, amounts.effective);
            }
        }
        if let Some(through) = spend.data_through {
            page.add(&names::BILLING_DATA_THROUGH, &[source, provider], through.as_second());
        }
        if let Some(newest) = spend.complete_days.last() {
            let end = spend.provider.billing_zone().end_of(*newest);
            page.add(&names::BILLING_COMPLETE_THROUGH, &[source, provider], end.as_second());
        }
        page.add(&names::RESTATEMENTS_TOTAL, &[source, provider], spend.restatements_total);
    }

    fn period(&mut self, page: &mut Series, spend: &SourceSpend, period: &PeriodSpend) {
        let (source, provider) = (spend.source.as_str(), spend.provider.as_str());
        let label = period.label.as_str();
        for (currency, amounts) in &period.totals {
            let labels = [source, provider, currency.as_str(), label];
            page.known(&names::BILLED_COST, &labels, amounts.billed);
            page.known(&names::EFFECTIVE_COST, &labels, amounts.effective);
        }
        for ((currency, category), amounts) in &period.excluded {
            if let Some(kind) = category.excluded_kind() {
                let labels = [source, provider, currency.as_str(), label, kind];
                page.known(&names::EXCLUDED_COST, &labels, amounts.billed);
            }
        }
        for (currency, difference) in &period.reconciliation_difference {
            let labels = [source, provider, currency.as_str(), label];
            page.known(&names::BILLING_RECONCILIATION_DIFFERENCE, &labels, Some(*difference));
        }
        let labels = [source, provider, label];
        page.add(&names::BILLING_PERIOD_START, &labels, period.start.as_second());
        page.add(&names::BILLING_PERIOD_FINAL, &labels, u8::from(period.is_final));
        for (dimension, billed, effective) in [
            (Dimension::ServiceName, &names::SERVICE_BILLED_COST, &names::SERVICE_EFFECTIVE_COST),
            (
                Dimension::SubAccountId,
                &names::SUB_ACCOUNT_BILLED_COST,
                &names::SUB_ACCOUNT_EFFECTIVE_COST,
            ),
            (Dimension::RegionId, &names::REGION_BILLED_COST, &names::REGION_EFFECTIVE_COST),
        ] {
            for ((key, currency), amounts) in self.fold(spend, period, dimension) {
                let labels = [source, provider, currency.as_str(), label, key.as_str()];
                page.known(billed, &labels, amounts.billed);
                page.known(effective, &labels, amounts.effective);
            }
        }
    }

    /// The amounts along a dimension, with what has no series of its own summed up.
    fn fold(
        &mut self,
        spend: &SourceSpend,
        period: &PeriodSpend,
        dimension: Dimension,
    ) -> BTreeMap<(String, Currency), Amounts> {
        let Some(all) = period.by.get(&dimension) else { return BTreeMap::new() };
        let held = (spend.source.clone(), dimension, period.period);
        let members = self.members.entry(held).or_default();
        let mut by_size: Vec<(&String, Decimal)> = all
            .iter()
            .map(|((key, _), amounts)| {
                (key, amounts.effective.or(amounts.billed).unwrap_or_default().abs())
            })
            .collect();
        by_size.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        for (key, _) in by_size {
            if members.len() >= self.limit {
                break;
            }
            members.insert(key.clone());
        }
        let mut shown: BTreeMap<(String, Currency), Amounts> = BTreeMap::new();
        for ((key, currency), amounts) in all {
            if members.contains(key) {
                shown.insert((key.clone(), *currency), *amounts);
                continue;
            }
            self.folded
                .entry((spend.source.clone(), dimension))
                .or_default()
                .insert((period.period, key.clone()));
            shown
                .entry((OTHER.to_owned(), *currency))
                .and_modify(|sum| *sum = add(sum, amounts))
                .or_insert(*amounts);
        }
        shown
    }
}

fn add(left: &Amounts, right: &Amounts) -> Amounts {
    let sum = |a: Option<Decimal>, b: Option<Decimal>| a?.checked_add(b?);
    Amounts {
        billed: sum(left.billed, right.billed),
        effective: sum(left.effective, right.effective),
        list: sum(left.list, right.list),
    }
}

fn bands(page: &mut Series, snapshot: &Snapshot) {
    for judged in snapshot.bands.iter() {
        let (band, currency) = (judged.band.as_str(), judged.ceiling.currency);
        let labels = [band, currency.as_str(), judged.label.as_str()];
        page.known(&names::BAND_FLOOR, &labels, Some(judged.floor.amount));
        page.known(&names::BAND_CEILING, &labels, Some(judged.ceiling.amount));
        page.known(&names::BAND_SPEND, &labels, judged.spend.map(|spend| spend.amount));
        if let Some(ratio) = judged.ceiling_used_ratio {
            page.add(&names::BAND_CEILING_USED_RATIO, &labels, ratio);
        }
        if let Some(outlook) = &judged.outlook {
            forecast(page, labels, outlook, judged.zone);
        }
        let BurnRates { one_day, three_days, seven_days } = judged.burn;
        for (days, rate) in [("1", one_day), ("3", three_days), ("7", seven_days)] {
            if let Some(rate) = rate {
                let [band, currency, period] = labels;
                page.add(&names::BAND_BURN_RATE, &[band, currency, period, days], rate);
            }
        }
        for view in &judged.views {
            for status in BandStatus::ALL {
                let [band, currency, period] = labels;
                let labels = [band, currency, period, view.view.as_str(), status.as_str()];
                page.add(&names::BAND_STATUS, &labels, u8::from(view.status == status));
            }
        }
    }
}

/// How many alerts of each rule there are: 0 is none, and absent is nobody who judges.
fn alerts(page: &mut Series, snapshot: &Snapshot) {
    for rule in AlertRule::ALL {
        for phase in [AlertPhase::Pending, AlertPhase::Firing] {
            let is_one = |alert: &&AlertState| alert.key.rule == *rule && alert.phase == phase;
            let count = snapshot.alerts.iter().filter(is_one).count();
            page.add(&names::ALERTS, &[rule.as_str(), phase.as_str()], count);
        }
    }
}

/// What requests cost in the month, and the most that they may. A month without paid requests is
/// known to cost nothing.
fn requests(page: &mut Series, status: &SourceStatus) {
    let source = status.source.as_str();
    for spent in &status.spent {
        let labels = [source, spent.currency.as_str()];
        page.known(&names::SOURCE_API_MONTH_COST, &labels, Some(spent.amount));
    }
    let Some(cap) = status.monthly_cap else { return };
    let labels = [source, cap.currency.as_str()];
    if !status.spent.iter().any(|spent| spent.currency == cap.currency) {
        page.known(&names::SOURCE_API_MONTH_COST, &labels, Some(Decimal::ZERO));
    }
    page.known(&names::SOURCE_API_COST_CAP, &labels, Some(cap.amount));
}

fn forecast(page: &mut Series, labels: [&str; 3], outlook: &BandOutlook, zone: BillingZone) {
    let [band, currency, period] = labels;
    let BandOutlook { forecast, against, .. } = outlook;
    for quantile in &forecast.quantiles {
        let probability = quantile.probability.to_string();
        let labels = [band, currency, period, &probability];
        page.known(&names::BAND_FORECAST, &labels, Some(quantile.amount));
    }
    for (side, probability) in [("above", against.above_ceiling), ("below", against.below_floor)] {
        page.add(&names::BAND_BREACH_PROBABILITY, &[band, currency, period, side], probability);
    }
    for (probability, day) in [("0.5", against.crossing_p50), ("0.8", against.crossing_p80)] {
        if let Some(day) = day {
            let labels = [band, currency, period, probability];
            page.add(&names::BAND_CROSSING, &labels, zone.end_of(day).as_second());
        }
    }
}

/// Lines of a page, gathered by family so that each family stands together.
#[derive(Default)]
struct Series(HashMap<&'static str, String>);

impl Series {
    fn add(&mut self, family: &Family, values: &[&str], value: impl std::fmt::Display) {
        debug_assert_eq!(family.labels.len(), values.len(), "{}", family.name);
        let lines = self.0.entry(family.name).or_default();
        lines.push_str(family.name);
        let mut separator = '{';
        for (label, value) in family.labels.iter().zip(values) {
            lines.push(separator);
            separator = ',';
            lines.push_str(label);
            lines.push_str("=\"");
            escape(lines, value);
            lines.push('"');
        }
        if !family.labels.is_empty() {
            lines.push('}');
        }
        let _ = writeln!(lines, " {value}");
    }

    fn known(&mut self, family: &Family, values: &[&str], amount: Option<Decimal>) {
        if let Some(amount) = amount {
            self.add(family, values, amount.normalize());
        }
    }

    fn finish(self) -> String {
        let mut page = String::new();
        for family in names::ALL {
            if let Some(lines) = self.0.get(family.name) {
                let (name, kind) = (family.name, family.kind.as_str());
                let _ = writeln!(page, "# HELP {name} {}", family.help);
                let _ = writeln!(page, "# TYPE {name} {kind}");
                page.push_str(lines);
            }
        }
        page
    }
}

/// Escapes a label value: backslash, quote and line feed (exposition format 0.0.4).
fn escape(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            _ => out.push(c),
        }
    }
}
