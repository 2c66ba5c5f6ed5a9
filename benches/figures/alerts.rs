//! What judging ten thousand alerts takes: rules over bands, and what they observed held against
//! what was and against who is told.

use std::time::Duration;

use costband::analyse::alert::state::{AlertStates, fold};
use costband::analyse::alert::tell::{Telling, tell};
use costband::analyse::alert::{Absence, AlertFacts, observe};
use costband::domain::alert::Severity;
use costband::domain::alert_policy::AlertPolicies;
use costband::domain::alerting::Alerting;
use costband::domain::band::{
    BandJudgement, BandStatus, BandView, BurnRates, PeriodLabel, ViewJudgement,
};
use costband::domain::forecast::{
    BandForecast, BandOutlook, Forecast, ForecastInputs, ForecastMethod, PROBABILITIES, Quantile,
};
use costband::domain::gpu_money::GpuPicture;
use costband::domain::money::{CostBasis, Currency, Money};
use costband::domain::notice::{Recipient, Takes};
use costband::domain::period::BillingZone;
use costband::domain::reason::BandReason;
use jiff::civil::date;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use crate::measure::{cpu_of, milliseconds};
use crate::table::Table;

/// Each is above its ceiling, is expected to be, and burns fast and slowly: four alerts.
const BANDS: usize = 2_500;
/// The kernel tells a thread's time in steps of up to 4 ms: many times are told together.
const TIMES: u32 = 50;

fn usd(amount: u32) -> Money {
    Money::new(Decimal::from(amount), Currency::USD)
}

fn outlook() -> BandOutlook {
    let amount = Decimal::from(140_000);
    let day = date(2026, 11, 20);
    BandOutlook {
        forecast: Forecast {
            period: "2026-11".parse().expect("it is a month"),
            currency: Currency::USD,
            method: ForecastMethod::Combination,
            booked: Decimal::from(101_000),
            made_from: day,
            days_left: 10,
            quantiles: PROBABILITIES.map(|probability| Quantile { probability, amount }).to_vec(),
            interval_80: [amount; 2],
            interval_95: [amount; 2],
            used: ForecastInputs {
                days: 200,
                past_forecasts: 20,
                past_error: Some(0.05),
                ..ForecastInputs::default()
            },
        },
        against: BandForecast {
            above_ceiling: 0.99,
            below_floor: 0.0,
            crossing_p50: Some(day),
            crossing_p80: Some(day),
            allowed_per_day: None,
        },
        path: Vec::new(),
    }
}

fn band(number: usize) -> BandJudgement {
    BandJudgement {
        band: format!("team-{number:04}"),
        period: "2026-11".parse().expect("it is a month"),
        label: PeriodLabel::Current,
        zone: BillingZone::Utc,
        is_final: false,
        sources: Vec::new(),
        basis: CostBasis::Effective,
        floor: usd(50_000),
        ceiling: usd(100_000),
        spend: Some(usd(101_000)),
        days: Vec::new(),
        complete_spend: Some(usd(99_000)),
        complete_days: 20,
        newest_complete_day: Some(date(2026, 11, 20)),
        last_day: Some(usd(9_000)),
        burn: BurnRates { one_day: Some(2.7), three_days: Some(2.0), seven_days: Some(1.6) },
        run_rate: Some(usd(148_000)),
        outlook: Some(outlook()),
        ceiling_used_ratio: Some(1.01),
        views: BandView::ALL
            .map(|view| ViewJudgement {
                view,
                status: BandStatus::Above,
                reason: BandReason::NoCompleteDay,
            })
            .to_vec(),
        as_of: None,
        exchange_rates: Vec::new(),
        owner: Some("ml@example.com".to_owned()),
        runbook_url: None,
    }
}

/// Judges all alerts again and again, and tells the mean of each part; the first time, when all of
/// them begin and are told, is left out.
pub fn measure(table: &mut Table) -> anyhow::Result<()> {
    let bands: Vec<BandJudgement> = (0..BANDS).map(band).collect();
    let (policies, gpu) = (AlertPolicies::default(), GpuPicture::default());
    let recipients = [("chat", Takes::Groups), ("pager", Takes::Alerts)].map(|(name, takes)| {
        let minimum_severity = Severity::Info;
        Recipient { name: name.to_owned(), takes, minimum_severity, resolved: true }
    });
    let mut now: Timestamp = "2026-11-22T00:00:00Z".parse()?;
    let mut states = AlertStates::new();
    let mut took = [Duration::ZERO; 3];
    let mut messages = 0;
    for time in 0..=TIMES {
        now += SignedDuration::from_mins(1);
        let facts = AlertFacts {
            now,
            bands: &bands,
            spend: &[],
            sources: &[],
            gpu_sources: &[],
            gpu: &gpu,
            gpu_window: None,
            trends: None,
            receivers: &[],
        };
        let (observed, rules) = cpu_of(|| Ok(observe(&facts, &policies)))?;
        let absence = Absence::new(&facts, &policies);
        let (moves, folded) =
            cpu_of(|| Ok(fold(&mut states, observed, |key| absence.of(key), now)))?;
        let telling = Telling {
            recipients: &recipients,
            policies: &policies,
            alerting: Alerting::Agent,
            silences: &[],
            group_wait: SignedDuration::ZERO,
            now,
        };
        let (told, told_in) = cpu_of(|| Ok(tell(&mut states, &moves, &telling)))?;
        messages += told.messages.len();
        for (all, one) in took.iter_mut().zip([rules, folded, told_in]).filter(|_| time > 0) {
            *all += one;
        }
    }
    anyhow::ensure!(messages > 0, "nothing was told");
    let [rules, folded, told] = took.map(|all| milliseconds(all / TIMES));
    let measured = format!(
        "{:.1} ms CPU for {} states: rules {rules:.1}, fold {folded:.1}, who is told {told:.1}",
        rules + folded + told,
        states.len(),
    );
    table.row("", "10,000 alert states judged, mean of 50", measured, "< 20 ms");
    Ok(())
}
