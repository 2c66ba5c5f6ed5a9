//! Each rule at its threshold, on both sides of it, and where nothing can be told.

mod absence;
mod bands;
mod costs;
mod gpus;
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::domain::alert::AlertEnd;
use crate::domain::alert::{Patience, Severity};
use crate::domain::band::{BandStatus, BandView, BurnRates, PeriodLabel, ViewJudgement};
use crate::domain::forecast::{
    BandForecast, BandOutlook, Forecast, ForecastInputs, ForecastMethod, PROBABILITIES, Quantile,
};
use crate::domain::gpu::GpuSourceStatus;
use crate::domain::money::CostBasis;
use crate::domain::period::{BillingPeriod, BillingZone};
use crate::domain::reason::BandReason;

const NOW: &str = "2026-11-15T12:00:00Z";

fn dollars(amount: i64) -> Money {
    Money::new(Decimal::from(amount), Currency::USD)
}

fn period(text: &str) -> BillingPeriod {
    text.parse().unwrap()
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

/// Everything that rules look at.
struct World {
    now: Timestamp,
    bands: Vec<BandJudgement>,
    spend: Vec<SourceSpend>,
    sources: Vec<SourceStatus>,
    gpu_sources: Vec<Arc<GpuSourceStatus>>,
    gpu: GpuPicture,
    window: Option<GpuRange>,
    trends: Option<Vec<SourceTrends>>,
    receivers: Vec<ReceiverHealth>,
    policies: AlertPolicies,
}

impl World {
    fn new() -> Self {
        Self {
            now: NOW.parse().unwrap(),
            bands: Vec::new(),
            spend: vec![spend()],
            sources: vec![status()],
            gpu_sources: Vec::new(),
            gpu: GpuPicture::default(),
            window: None,
            trends: None,
            receivers: Vec::new(),
            policies: AlertPolicies {
                bands: BTreeSet::from(["main".to_owned()]),
                ..AlertPolicies::default()
            },
        }
    }

    fn with(band: BandJudgement) -> Self {
        Self { bands: vec![band], ..Self::new() }
    }

    fn facts(&self) -> AlertFacts<'_> {
        AlertFacts {
            now: self.now,
            bands: &self.bands,
            spend: &self.spend,
            sources: &self.sources,
            gpu_sources: &self.gpu_sources,
            gpu: &self.gpu,
            gpu_window: self.window.as_ref(),
            trends: self.trends.as_deref(),
            receivers: &self.receivers,
        }
    }

    fn all(&self, rule: AlertRule) -> Vec<Observation> {
        let told = observe(&self.facts(), &self.policies);
        told.into_iter().filter(|told| told.key.rule == rule).collect()
    }

    fn one(&self, rule: AlertRule) -> Observation {
        let mut told = self.all(rule);
        assert_eq!(told.len(), 1, "{told:?}");
        told.remove(0)
    }

    fn verdict(&self, rule: AlertRule) -> Verdict {
        self.one(rule).verdict
    }

    fn range(&mut self) -> &mut GpuRange {
        self.window.as_mut().unwrap()
    }

    fn absent(&self, key: &AlertKey) -> (Verdict, AlertEnd) {
        Absence::new(&self.facts(), &self.policies).of(key)
    }
}

fn status() -> SourceStatus {
    SourceStatus {
        source: SourceId::new("aws"),
        provider: Provider::Aws,
        up: Some(true),
        last_success: Some("2026-11-15T10:00:00Z".parse().unwrap()),
        last_error: None,
        next_poll: None,
        spent: vec![dollars(1)],
        monthly_cap: None,
        lag: jiff::SignedDuration::from_hours(48),
    }
}

fn spend() -> SourceSpend {
    SourceSpend {
        source: SourceId::new("aws"),
        provider: Provider::Aws,
        periods: Vec::new(),
        data_through: None,
        complete_days: BTreeSet::from([day("2026-11-11"), day("2026-11-12")]),
        last_complete_day: None,
        names: BTreeMap::new(),
        budgets: Vec::new(),
        list_prices: Vec::new(),
        restatements_total: 0,
        restated: Vec::new(),
    }
}

/// Half of the month at 1,000 a day under a ceiling of 30,000; its end is told from 28,000 to
/// 32,000.
fn band() -> BandJudgement {
    let view = |view, status| ViewJudgement { view, status, reason: BandReason::NoCompleteDay };
    BandJudgement {
        band: "main".to_owned(),
        period: period("2026-11"),
        label: PeriodLabel::Current,
        zone: BillingZone::Utc,
        is_final: false,
        sources: vec![SourceId::new("aws")],
        basis: CostBasis::Effective,
        floor: dollars(10_000),
        ceiling: dollars(30_000),
        spend: Some(dollars(14_000)),
        days: Vec::new(),
        complete_spend: Some(dollars(12_000)),
        complete_days: 12,
        newest_complete_day: Some(day("2026-11-12")),
        last_day: Some(dollars(1000)),
        burn: BurnRates { one_day: Some(1.0), three_days: Some(1.0), seven_days: Some(1.0) },
        run_rate: Some(dollars(30_000)),
        outlook: Some(outlook([28_000, 28_500, 29_000, 30_000, 31_000, 31_500, 32_000])),
        ceiling_used_ratio: None,
        views: vec![
            view(BandView::Actual, BandStatus::Within),
            view(BandView::Pace, BandStatus::Within),
            view(BandView::Forecast, BandStatus::Within),
        ],
        as_of: None,
        exchange_rates: Vec::new(),
        owner: Some("team".to_owned()),
        runbook_url: Some("https://wiki.example.com/band".to_owned()),
    }
}

fn outlook(amounts: [i64; 7]) -> BandOutlook {
    let quantiles: Vec<Quantile> = PROBABILITIES
        .into_iter()
        .zip(amounts)
        .map(|(probability, amount)| Quantile { probability, amount: Decimal::from(amount) })
        .collect();
    let bounds = [Decimal::from(amounts[1]), Decimal::from(amounts[5])];
    BandOutlook {
        forecast: Forecast {
            period: period("2026-11"),
            currency: Currency::USD,
            method: ForecastMethod::Combination,
            booked: Decimal::from(14_000),
            made_from: day("2026-11-12"),
            days_left: 18,
            quantiles,
            interval_80: bounds,
            interval_95: bounds,
            used: ForecastInputs { days: 200, past_forecasts: 8, ..ForecastInputs::default() },
        },
        against: BandForecast {
            above_ceiling: 0.5,
            below_floor: 0.0,
            crossing_p50: Some(day("2026-11-30")),
            crossing_p80: Some(day("2026-11-28")),
            allowed_per_day: Some(Decimal::from(1000)),
        },
        path: Vec::new(),
    }
}

fn judged(mut band: BandJudgement, view: BandView, status: BandStatus) -> BandJudgement {
    for judged in band.views.iter_mut().filter(|judged| judged.view == view) {
        judged.status = status;
    }
    band
}

#[test]
fn what_ten_thousand_alerts_look_at_is_looked_up_and_not_searched() {
    let many = |count: usize| {
        let bands = (0..count).map(|at| BandJudgement { band: format!("b{at}"), ..band() });
        World { bands: bands.collect(), ..World::new() }
    };
    let world = many(2000);
    let told = observe(&world.facts(), &world.policies);
    // Every band is looked at by five rules, and the source by three.
    assert_eq!(told.len(), 2000 * 5 + 3);
    let facts = world.facts();
    let absence = Absence::new(&facts, &world.policies);
    assert!(told.iter().all(|told| absence.of(&told.key).0 != Verdict::Met));
}
