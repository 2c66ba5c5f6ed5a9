//! Rules of a band's month: booked above the ceiling, expected to end above it or below the floor,
//! and forecasts that were wrong.

use std::ops::Deref;

use rust_decimal::Decimal;
use rust_decimal::prelude::{FromPrimitive, ToPrimitive};

use super::{Eye, limit, money, pace, verdict};
use crate::domain::alert::{
    AlertDetails, AlertKey, AlertRule, Figure, FigureName, Patience, Severity, Subject, Subjects,
    Verdict,
};
use crate::domain::band::{BandJudgement, BandStatus, BandView, PeriodLabel};
use crate::domain::forecast::Forecast;
use crate::domain::period::BillingPeriod;

/// A lower error than this part of the one that alerts ends the alert.
const ERROR_CLEARS_AT: f64 = 0.8;

/// Booked money at or below this part of the ceiling ends the alert at once: a credit that comes and
/// goes around the ceiling does not. 0.99.
const EXCEEDED_CLEARS_AT: Decimal = Decimal::from_parts(99, 0, 0, false, 2);
/// Above that part it must hold so many complete days.
const NEAR_CEILING: u32 = 2;

pub(super) fn look(eye: &mut Eye<'_>) {
    // What was final stays; the end of its alerts is told by what is absent.
    for band in eye.facts.bands.iter().filter(|band| !band.is_final) {
        let band = &Told::of(band);
        exceeded(eye, band);
        ceiling(eye, band);
        pace::look(eye, band);
        floor(eye, band);
        forecast_off(eye, band);
    }
}

/// A band with what every rule tells of it.
pub(super) struct Told<'a> {
    judged: &'a BandJudgement,
    /// What every alert of it is about, in its period.
    about: (Subjects, BillingPeriod),
    details: AlertDetails,
}

impl<'a> Told<'a> {
    fn of(judged: &'a BandJudgement) -> Self {
        let mut subject = Subjects::default();
        subject.insert(Subject::Band, judged.band.clone());
        Self { judged, about: (subject, judged.period), details: usual(judged) }
    }
}

impl Deref for Told<'_> {
    type Target = BandJudgement;

    fn deref(&self) -> &BandJudgement {
        self.judged
    }
}

/// An alert of a band in a period.
pub(super) fn key(rule: AlertRule, band: &Told<'_>) -> AlertKey {
    let (subject, period) = &band.about;
    AlertKey { rule, subject: subject.clone(), period: Some(*period) }
}

/// What a rule tells of a band.
pub(super) fn details(
    eye: &Eye<'_>,
    band: &Told<'_>,
    severity: Severity,
    verdict: Verdict,
) -> AlertDetails {
    let mut details = AlertDetails { severity, ..band.details.clone() };
    if verdict == Verdict::Met {
        details.causes = eye.causes.of_band(band);
    }
    details
}

/// What is told of every band.
fn usual(band: &BandJudgement) -> AlertDetails {
    use FigureName as Name;
    let at = |day| Figure::Day(day);
    let mut details = AlertDetails::new(Severity::Info)
        .with(Name::Ceiling, Figure::Money(band.ceiling))
        .with(Name::Floor, Figure::Money(band.floor))
        .with_known(Name::Spend, band.spend.map(Figure::Money))
        .with_known(Name::MonthEnd, band.month_end().map(Figure::Money))
        .with_known(Name::LastDay, band.last_day.map(Figure::Money))
        .with_known(Name::NewestDay, band.newest_complete_day.map(at));
    if let Some(outlook) = &band.outlook {
        let currency = outlook.forecast.currency;
        let high = quantile(&outlook.forecast, 0.8);
        let against = &outlook.against;
        let allowed = against.allowed_per_day;
        details = details
            .with_known(Name::MonthEndHigh, high.map(|amount| money(amount, currency)))
            .with_known(Name::Crossing, against.crossing_p50.map(at))
            .with_known(Name::CrossingEarly, against.crossing_p80.map(at))
            .with_known(Name::AllowedPerDay, allowed.map(|amount| money(amount, currency)));
    }
    AlertDetails { owner: band.owner.clone(), runbook_url: band.runbook_url.clone(), ..details }
}

/// The amount that the month's end stays under with a probability: between those that are told by
/// a straight line, beyond them the outermost one.
pub(super) fn quantile(forecast: &Forecast, probability: f64) -> Option<Decimal> {
    let told = &forecast.quantiles;
    let above = told.iter().position(|of| of.probability >= probability);
    let Some(at) = above else { return told.last().map(|of| of.amount) };
    let high = told.get(at)?;
    if high.probability <= probability {
        return Some(high.amount);
    }
    let Some(low) = at.checked_sub(1).and_then(|before| told.get(before)) else {
        return Some(high.amount);
    };
    let part = (probability - low.probability) / (high.probability - low.probability);
    let part = Decimal::from_f64(part)?;
    let step = high.amount.checked_sub(low.amount)?.checked_mul(part)?;
    low.amount.checked_add(step)
}

/// A part of a limit.
pub(super) fn part(limit: Decimal, share: f64) -> Option<Decimal> {
    limit.checked_mul(Decimal::from_f64(share)?)
}

/// Booked money is above the ceiling, however old the reading; less is known only while it is new.
fn exceeded(eye: &mut Eye<'_>, band: &Told<'_>) {
    let key = key(AlertRule::CeilingExceeded, band);
    let Some(policy) = eye.policies.ceiling_exceeded.on(&key) else { return };
    let verdict = match band.status(BandView::Actual) {
        BandStatus::Above => Verdict::Met,
        BandStatus::Within | BandStatus::Below => Verdict::Clear,
        BandStatus::Unknown => Verdict::Unknown,
    };
    let over = band.spend.and_then(|spend| spend.checked_sub(band.ceiling).ok());
    let over = over.filter(|over| over.amount > Decimal::ZERO);
    // A month that is over can be saved by nobody, so nobody is woken.
    let severity = match band.label {
        PeriodLabel::Current => policy.severity,
        PeriodLabel::Previous => policy.severity.max(Severity::Warning),
    };
    let details = details(eye, band, severity, verdict)
        .with_known(FigureName::Excess, over.map(Figure::Money));
    let is_low = band
        .spend
        .zip(band.ceiling.amount.checked_mul(EXCEEDED_CLEARS_AT))
        .is_some_and(|(spend, limit)| spend.amount <= limit);
    let clears_after = match policy.clears_after {
        Patience::Days(days) if !is_low => Patience::Days(days.max(NEAR_CEILING)),
        patience => patience,
    };
    let patience = (policy.fires_after, clears_after);
    eye.tell_after(key, patience, verdict, band.newest_complete_day, details);
}

fn ceiling(eye: &mut Eye<'_>, band: &Told<'_>) {
    let key = key(AlertRule::CeilingForecast, band);
    let Some(policy) = eye.policies.ceiling_forecast.on(&key) else { return };
    let of = &policy.thresholds;
    let known = band.outlook.as_ref().filter(|outlook| {
        let is_over = band.spend.is_some_and(|spend| spend.amount > band.ceiling.amount);
        let days = usize::try_from(of.minimum_history_days).unwrap_or(usize::MAX);
        is_over
            || band.complete_days >= i64::from(of.minimum_complete_days)
            || outlook.forecast.used.days >= days
    });
    let judged = band.status(BandView::Forecast) != BandStatus::Unknown;
    let verdict = match known.filter(|_| judged) {
        None => Verdict::Unknown,
        Some(outlook) => {
            let is_clear = || {
                let bound = quantile(&outlook.forecast, 1.0 - of.probability);
                bound
                    .zip(part(band.ceiling.amount, of.clear_at))
                    .is_some_and(|(bound, limit)| bound <= limit)
            };
            verdict(outlook.against.above_ceiling >= of.probability, is_clear)
        }
    };
    let chance = band.outlook.as_ref().map(|outlook| outlook.against.above_ceiling);
    let details =
        limit(details(eye, band, policy.severity, verdict), Figure::Ratio(of.probability))
            .with_known(FigureName::Probability, chance.map(Figure::Ratio));
    eye.tell(key, policy, verdict, band.newest_complete_day, details);
}

fn floor(eye: &mut Eye<'_>, band: &Told<'_>) {
    let key = key(AlertRule::FloorForecast, band);
    let Some(policy) = eye.policies.floor_forecast.on(&key) else { return };
    let of = &policy.thresholds;
    let enough = band.complete_days >= i64::from(of.minimum_complete_days);
    let judged = enough && band.status(BandView::Forecast) != BandStatus::Unknown;
    let verdict = match band.outlook.as_ref().filter(|_| judged) {
        None => Verdict::Unknown,
        Some(outlook) => {
            let is_clear = || {
                let bound = quantile(&outlook.forecast, of.probability);
                bound
                    .zip(part(band.floor.amount, of.clear_at))
                    .is_some_and(|(bound, limit)| bound >= limit)
            };
            verdict(outlook.against.below_floor >= of.probability, is_clear)
        }
    };
    let chance = band.outlook.as_ref().map(|outlook| outlook.against.below_floor);
    let mut details =
        limit(details(eye, band, policy.severity, verdict), Figure::Ratio(of.probability))
            .with_known(FigureName::Probability, chance.map(Figure::Ratio));
    // What grew does not say why so little was spent.
    details.causes.clear();
    eye.tell(key, policy, verdict, band.newest_complete_day, details);
}

fn forecast_off(eye: &mut Eye<'_>, band: &Told<'_>) {
    if band.label != PeriodLabel::Current {
        return;
    }
    let key = key(AlertRule::ForecastOff, band);
    let Some(policy) = eye.policies.forecast_off.on(&key) else { return };
    let of = &policy.thresholds;
    let used = band.outlook.as_ref().map(|outlook| outlook.forecast.used.clone());
    let least = usize::try_from(of.minimum_forecasts).unwrap_or(usize::MAX);
    let scored = used.filter(|used| used.past_forecasts >= least);
    let error = scored.as_ref().and_then(|used| used.past_error);
    let verdict = error.map_or(Verdict::Unknown, |error| {
        verdict(error > of.error, || error <= of.error * ERROR_CLEARS_AT)
    });
    let count = scored.and_then(|used| used.past_forecasts.to_i64());
    let mut details = limit(details(eye, band, policy.severity, verdict), Figure::Ratio(of.error))
        .with_known(FigureName::Share, error.map(Figure::Ratio))
        .with_known(FigureName::Count, count.map(Figure::Count));
    details.causes.clear();
    eye.tell(key, policy, verdict, band.newest_complete_day, details);
}
