//! Rules of a band's pace: how fast the last complete days burn the ceiling of their month.

use super::band::{Told, details, key, part};
use super::{Eye, limit, verdict};
use crate::domain::alert::{AlertDetails, AlertRule, Figure, FigureName, Verdict};
use crate::domain::band::{BandJudgement, BandStatus, BandView, PeriodLabel};

pub(super) fn look(eye: &mut Eye<'_>, band: &Told<'_>) {
    // The days of a month that is over can be slowed no more; the end is told by what is absent.
    if band.label == PeriodLabel::Previous {
        return;
    }
    fast(eye, band);
    slow(eye, band);
}

fn with_burn(details: AlertDetails, band: &BandJudgement) -> AlertDetails {
    details
        .with_known(FigureName::BurnOneDay, band.burn.one_day.map(Figure::Ratio))
        .with_known(FigureName::BurnThreeDays, band.burn.three_days.map(Figure::Ratio))
        .with_known(FigureName::BurnSevenDays, band.burn.seven_days.map(Figure::Ratio))
}

fn is_known(band: &BandJudgement) -> bool {
    band.status(BandView::Pace) != BandStatus::Unknown
}

fn fast(eye: &mut Eye<'_>, band: &Told<'_>) {
    let key = key(AlertRule::PaceFast, band);
    let Some(policy) = eye.policies.pace_fast.on(&key) else { return };
    let of = &policy.thresholds;
    let rates = band.burn.one_day.zip(band.burn.three_days).filter(|_| is_known(band));
    let verdict = rates.map_or(Verdict::Unknown, |(one, three)| {
        verdict(one >= of.one_day && three >= of.three_days, || one < of.clear_below)
    });
    let details = with_burn(details(eye, band, policy.severity, verdict), band);
    let details = limit(details, Figure::Ratio(of.one_day));
    eye.tell(key, policy, verdict, band.newest_complete_day, details);
}

fn slow(eye: &mut Eye<'_>, band: &Told<'_>) {
    let key = key(AlertRule::PaceSlow, band);
    let Some(policy) = eye.policies.pace_slow.on(&key) else { return };
    let of = &policy.thresholds;
    let median = band.outlook.as_ref().and_then(|outlook| outlook.forecast.at(0.5));
    let known = band.burn.seven_days.filter(|_| is_known(band));
    let verdict = known.map_or(Verdict::Unknown, |seven| {
        // Where nobody can tell the month's end yet, the week speaks alone.
        let is_over = median.is_none_or(|median| median > band.ceiling.amount);
        let is_low = || {
            let low = median.zip(part(band.ceiling.amount, of.clear_at));
            low.is_some_and(|(median, limit)| median <= limit)
        };
        verdict(seven >= of.seven_days && is_over, || seven < of.clear_below || is_low())
    });
    let details = with_burn(details(eye, band, policy.severity, verdict), band);
    let details = limit(details, Figure::Ratio(of.seven_days));
    eye.tell(key, policy, verdict, band.newest_complete_day, details);
}
