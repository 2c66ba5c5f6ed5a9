//! Rules of the way that figures come and go: bills that are late, sources that fail, months that
//! moved, totals that differ, caps that are nearly spent, receivers that take nothing.

use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use super::{Eye, either, limit, money, ratio, source_key};
use crate::domain::alert::{
    AlertDetails, AlertKey, AlertRule, Figure, FigureName, Patience, Subject, Verdict,
};
use crate::domain::gpu::{GpuSourceFailure, GpuSourceStatus};
use crate::domain::money::{CostBasis, Currency};
use crate::domain::period::{BillingPeriod, BillingZone};
use crate::domain::report::SourceErrorKind;
use crate::domain::spend::{FallenDay, PeriodSpend, RestatedPeriod, SourceSpend, SourceStatus};

pub(super) fn look(eye: &mut Eye<'_>) {
    for status in eye.facts.sources {
        identity_wrong(eye, status);
        source_failing(eye, status);
        cap_nearly_spent(eye, status);
        let Some(spend) = eye.spend.get(&status.source).copied() else { continue };
        billing_data_late(eye, status, spend);
        for of in &spend.restated {
            restatement(eye, spend, of);
        }
        for period in spend.periods.iter().filter(|period| !period.is_final) {
            reconciliation_difference(eye, spend, period);
        }
    }
    for status in eye.facts.gpu_sources {
        telemetry_failing(eye, status);
    }
    receiver_failing(eye);
}

fn hours_of(time: SignedDuration) -> Figure {
    Figure::Hours(time.as_secs_f64() / 3600.0)
}

fn billing_data_late(eye: &mut Eye<'_>, status: &SourceStatus, spend: &SourceSpend) {
    let key = source_key(AlertRule::BillingDataLate, &status.source, status.provider);
    let Some(policy) = eye.policies.billing_data_late.on(&key) else { return };
    let of = &policy.thresholds;
    let newest = spend.complete_days.last().copied();
    let age =
        newest.map(|day| eye.facts.now.duration_since(status.provider.billing_zone().end_of(day)));
    let late = age.map(|age| age.saturating_sub(status.lag));
    let waits = newest.is_none() && status.up == Some(true);
    // A source that cannot be read does not say how late its bill is, and another alert says that.
    let failing = source_key(AlertRule::SourceFailing, &status.source, status.provider);
    let is_told = status.up == Some(false) && eye.policies.source_failing.on(&failing).is_some();
    let verdict = match late.filter(|_| !is_told) {
        Some(late) => either(late >= of.late_after),
        // It is read well and brings no complete day: that counts from the first such reading on.
        None if waits => Verdict::Met,
        None => Verdict::Unknown,
    };
    let fires_after = match policy.fires_after {
        Patience::Time(time) if waits => {
            Patience::Time(time.saturating_add(status.lag).saturating_add(of.late_after))
        }
        patience => patience,
    };
    let severity = late.map_or(policy.severity, |late| of.severity(late, policy.severity));
    let details = AlertDetails::new(severity)
        .with(FigureName::Limit, hours_of(status.lag.saturating_add(of.late_after)))
        .with_known(FigureName::Age, age.map(hours_of))
        .with_known(FigureName::NewestDay, newest.map(Figure::Day))
        .with_known(FigureName::LastSuccess, status.last_success.map(Figure::At));
    let patience = (fires_after, policy.clears_after);
    eye.tell_after(key, patience, verdict, None, details);
}

fn failure(details: AlertDetails, status: &SourceStatus) -> AlertDetails {
    let error = status.last_error.as_ref();
    details
        .with_known(FigureName::LastSuccess, status.last_success.map(Figure::At))
        .with_known(
            FigureName::ErrorKind,
            error.map(|(kind, _)| Figure::Text(kind.as_str().to_owned())),
        )
        .with_known(FigureName::Error, error.map(|(_, text)| Figure::Text(text.clone())))
}

fn identity_wrong(eye: &mut Eye<'_>, status: &SourceStatus) {
    let key = source_key(AlertRule::IdentityWrong, &status.source, status.provider);
    let Some(policy) = eye.policies.identity_wrong.on(&key) else { return };
    let refused = status.last_error.as_ref().is_some_and(|(kind, _)| {
        matches!(kind, SourceErrorKind::Auth | SourceErrorKind::Forbidden)
    });
    let verdict = match status.up {
        None => Verdict::Unknown,
        Some(true) => Verdict::Clear,
        Some(false) if refused => Verdict::Met,
        // A source that is down does not say whether it would know who asks, and takes nothing back.
        Some(false) => Verdict::Unknown,
    };
    let details = failure(AlertDetails::new(policy.severity), status);
    eye.tell(key, policy, verdict, None, details);
}

/// A source that refuses who asks fails too: were that no failure, one that refuses and is silent by
/// turns would be told by nobody. Where the other rule tells it, this one is held back.
fn source_failing(eye: &mut Eye<'_>, status: &SourceStatus) {
    let key = source_key(AlertRule::SourceFailing, &status.source, status.provider);
    let Some(policy) = eye.policies.source_failing.on(&key) else { return };
    let details = failure(AlertDetails::new(policy.severity), status);
    eye.tell(key, policy, unreadable(status.up), None, details);
}

/// How long telemetry fails before that counts: it is read several times a minute, and one reading that
/// fails says little.
const TELEMETRY_SETTLES: SignedDuration = SignedDuration::from_mins(5);

/// An alert of GPU telemetry.
pub(super) fn telemetry_key(status: &GpuSourceStatus) -> AlertKey {
    let key = AlertKey::new(AlertRule::SourceFailing)
        .of(Subject::Source, status.source.as_str())
        .of(Subject::Cluster, status.cluster.as_str());
    match status.provider {
        Some(provider) => key.of(Subject::Provider, provider.as_str()),
        None => key,
    }
}

fn telemetry_failing(eye: &mut Eye<'_>, status: &GpuSourceStatus) {
    let key = telemetry_key(status);
    let Some(policy) = eye.policies.source_failing.on(&key) else { return };
    let failure = status.failure.as_ref();
    let kind = |failure: &GpuSourceFailure| Figure::Text(failure.kind.as_str().to_owned());
    let details = AlertDetails::new(policy.severity)
        .with_known(FigureName::LastSuccess, status.last_success.map(Figure::At))
        .with_known(FigureName::ErrorKind, failure.map(kind))
        .with_known(FigureName::Error, failure.map(|failure| Figure::Text(failure.text.clone())));
    let lasts = |failure: &GpuSourceFailure| {
        eye.facts.now.duration_since(failure.since) >= TELEMETRY_SETTLES
    };
    let verdict = match unreadable(status.up) {
        Verdict::Met if !failure.is_some_and(lasts) => Verdict::Unknown,
        verdict => verdict,
    };
    eye.tell(key, policy, verdict, None, details);
}

/// Whether a source that was read so cannot be read.
fn unreadable(up: Option<bool>) -> Verdict {
    match up {
        None => Verdict::Unknown,
        Some(true) => Verdict::Clear,
        Some(false) => Verdict::Met,
    }
}

fn cap_nearly_spent(eye: &mut Eye<'_>, status: &SourceStatus) {
    let Some(cap) = status.monthly_cap else { return };
    let key = source_key(AlertRule::CapNearlySpent, &status.source, status.provider)
        .within(BillingPeriod::at(eye.facts.now, BillingZone::Utc));
    let Some(policy) = eye.policies.cap_nearly_spent.on(&key) else { return };
    let spent = status
        .spent
        .iter()
        .filter(|spent| spent.currency == cap.currency)
        .try_fold(Decimal::ZERO, |sum, spent| sum.checked_add(spent.amount));
    let share = spent.and_then(|spent| ratio(spent, cap.amount));
    let of = policy.thresholds.share;
    let verdict = share.map_or(Verdict::Unknown, |share| either(share >= of));
    let details = limit(AlertDetails::new(policy.severity), Figure::Ratio(of))
        .with(FigureName::Cap, Figure::Money(cap))
        .with_known(FigureName::Spent, spent.map(|spent| money(spent, cap.currency)))
        .with_known(FigureName::Share, share.map(Figure::Ratio));
    eye.tell(key, policy, verdict, None, details);
}

fn restatement(eye: &mut Eye<'_>, spend: &SourceSpend, of: &RestatedPeriod) {
    let key = source_key(AlertRule::Restatement, &spend.source, spend.provider)
        .of(Subject::Currency, of.currency.as_str())
        .within(of.period);
    let Some(policy) = eye.policies.restatement.on(&key) else { return };
    let wanted = &policy.thresholds;
    let lasts = |at: Timestamp| eye.facts.now.duration_since(at) < wanted.told_for;
    let moved = |before: Decimal, after: Decimal, least: f64| {
        let change = after.saturating_sub(before).abs();
        change >= wanted.least_amount
            && ratio(change, before.abs()).is_none_or(|share| share > least)
    };
    let is_large = |by: Decimal| moved(of.before, of.before.saturating_add(by), wanted.month_share);
    let month =
        last_large(&of.steps, is_large).filter(|_| moved(of.before, of.after, wanted.month_share));
    let days = || of.falls.iter().filter(|of| moved(of.before, of.after, wanted.day_fall));
    let is_month = month.is_some_and(lasts);
    let day = days().filter(|of| lasts(of.observed_at)).min_by_key(|of| of.left());
    let met = is_month || day.is_some();
    if !met && (month.is_some() || days().next().is_some()) {
        // What moved stays so; that its time is over is told by what is absent.
        return;
    }
    let newest = days().map(|of| of.observed_at).chain(month).max();
    let mut details =
        AlertDetails::new(policy.severity).with_known(FigureName::Since, newest.map(Figure::At));
    details = match day.filter(|_| !is_month) {
        Some(FallenDay { day, before, after, .. }) => details
            .with(FigureName::FirstDay, Figure::Day(*day))
            .with(FigureName::Before, money(*before, of.currency))
            .with(FigureName::After, money(*after, of.currency))
            .with(FigureName::Limit, Figure::Ratio(wanted.day_fall)),
        None => details
            .with(FigureName::Before, money(of.before, of.currency))
            .with(FigureName::After, money(of.after, of.currency))
            .with(FigureName::Limit, Figure::Ratio(wanted.month_share)),
    };
    eye.tell(key, policy, either(met), None, details);
}

/// When a sum of steps was large last. A large one begins a new sum: what is small after it does not
/// make it newer, and many small ones are as large as one.
fn last_large(
    steps: &[(Timestamp, Decimal)],
    is_large: impl Fn(Decimal) -> bool,
) -> Option<Timestamp> {
    let (mut sum, mut last) = (Decimal::ZERO, None);
    for (at, by) in steps {
        sum = sum.saturating_add(*by);
        if is_large(sum) {
            (sum, last) = (Decimal::ZERO, Some(*at));
        }
    }
    last
}

/// The period's total on the basis that differences are told on.
fn total(period: &PeriodSpend, currency: Currency) -> Option<Decimal> {
    let amounts = period.totals.get(&currency)?;
    amounts.on(CostBasis::Effective).or_else(|| amounts.on(CostBasis::Billed))
}

fn reconciliation_difference(eye: &mut Eye<'_>, spend: &SourceSpend, period: &PeriodSpend) {
    let newest = spend.complete_days.iter().rev().find(|day| period.period.contains(**day));
    for (currency, difference) in &period.reconciliation_difference {
        let key = source_key(AlertRule::ReconciliationDifference, &spend.source, spend.provider)
            .of(Subject::Currency, currency.as_str())
            .within(period.period);
        let Some(policy) = eye.policies.reconciliation_difference.on(&key) else { continue };
        let of = &policy.thresholds;
        let total = total(period, *currency);
        let verdict = match (newest, total) {
            (Some(_), Some(total)) => {
                let share = ratio(difference.abs(), total.abs()).unwrap_or(f64::INFINITY);
                let met = share > of.relative && difference.abs() > of.absolute;
                either(met)
            }
            _ => Verdict::Unknown,
        };
        let after = total.and_then(|total| total.checked_add(*difference));
        let details = limit(AlertDetails::new(policy.severity), Figure::Ratio(of.relative))
            .with(FigureName::Excess, money(*difference, *currency))
            .with_known(FigureName::Before, total.map(|total| money(total, *currency)))
            .with_known(FigureName::After, after.map(|after| money(after, *currency)));
        eye.tell(key, policy, verdict, newest.copied(), details);
    }
}

fn receiver_failing(eye: &mut Eye<'_>) {
    for of in eye.facts.receivers {
        let key = AlertKey::new(AlertRule::ReceiverFailing).of(Subject::Receiver, of.name.as_str());
        let Some(policy) = eye.policies.receiver_failing.on(&key) else { continue };
        let fails = of.failing_since.is_some();
        let details = AlertDetails::new(policy.severity)
            .with_known(FigureName::Since, of.failing_since.map(Figure::At))
            .with_known(FigureName::Error, of.error.clone().map(Figure::Text))
            .with(FigureName::Count, Figure::Count(of.waiting.try_into().unwrap_or(i64::MAX)));
        eye.tell(key, policy, either(fails), None, details);
    }
}
