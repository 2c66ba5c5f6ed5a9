//! Rules of what sources cost from day to day: days that stand out, levels that moved, services and
//! regions that are new.
//!
//! The same money is told once: what stands out in a whole source stands for what its parts show on
//! the same days, and a service for the account and the region that it is billed in.

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::{Eye, limit, money, source_key, verdict};
use crate::domain::alert::{
    AlertCause, AlertDetails, AlertKey, AlertRule, Figure, FigureName, Subject, Verdict,
};
use crate::domain::alert_policy::AlertPolicies;
use crate::domain::anomaly::{Anomaly, AnomalyKind};
use crate::domain::breakdown::Dimension;
use crate::domain::identity::{Provider, SourceId};
use crate::domain::money::Money;
use crate::domain::period::BillingPeriod;
use crate::domain::trend::{SourceTrends, Trend};

/// The parts that are told, the first of which stands for the others.
const PARTS: [(Dimension, Subject); 3] = [
    (Dimension::ServiceName, Subject::ServiceName),
    (Dimension::SubAccountId, Subject::SubAccountId),
    (Dimension::RegionId, Subject::RegionId),
];

/// A whole that moved by less than this part of what a part of it did, 0.8, does not stand for it.
const EXPLAINS_FROM: Decimal = Decimal::from_parts(8, 0, 0, false, 1);

pub(super) fn look(eye: &mut Eye<'_>) {
    for of in eye.facts.trends.into_iter().flatten() {
        let provider = eye.facts.sources.iter().find(|status| status.source == of.source);
        let Some(provider) = provider.map(|status| status.provider) else { continue };
        let of = Of { trends: of, provider, source: &of.source };
        stands_out(eye, &of);
        new_values(eye, &of);
    }
}

struct Of<'a> {
    trends: &'a SourceTrends,
    source: &'a SourceId,
    provider: Provider,
}

impl<'a> Of<'a> {
    fn whole(&self) -> Option<&'a Trend> {
        self.trends.trends.iter().find(|trend| trend.of.is_none())
    }

    /// The series along a dimension.
    fn along(&self, wanted: Dimension) -> impl Iterator<Item = (&'a str, &'a Trend)> {
        self.trends.trends.iter().filter_map(move |trend| {
            let (dimension, key) = trend.of.as_ref()?;
            (*dimension == wanted && !key.is_empty()).then_some((key.as_str(), trend))
        })
    }
}

fn stands_out(eye: &mut Eye<'_>, of: &Of<'_>) {
    let mut explained: Vec<&Anomaly> = Vec::new();
    for trend in of.whole().into_iter() {
        for anomaly in &trend.anomalies {
            if tell(eye, of, None, trend, anomaly, &[]) {
                explained.push(anomaly);
            }
        }
    }
    for (dimension, subject) in PARTS {
        let mut own = Vec::new();
        for (value, trend) in of.along(dimension) {
            for anomaly in &trend.anomalies {
                let part = Some((dimension, subject, value));
                if tell(eye, of, part, trend, anomaly, &explained) {
                    own.push(anomaly);
                }
            }
        }
        explained.extend(own);
    }
}

/// Tells an anomaly; whether it is large enough to stand for its parts.
fn tell(
    eye: &mut Eye<'_>,
    of: &Of<'_>,
    part: Option<(Dimension, Subject, &str)>,
    trend: &Trend,
    anomaly: &Anomaly,
    explained: &[&Anomaly],
) -> bool {
    let rule = match anomaly.kind {
        AnomalyKind::Spike => AlertRule::SpendAnomaly,
        AnomalyKind::LevelShift => AlertRule::LevelShift,
    };
    let mut key = source_key(rule, of.source, of.provider)
        .of(Subject::FirstDay, anomaly.first.to_string())
        .within(BillingPeriod::containing(anomaly.first));
    if let Some((_, subject, value)) = part {
        key = key.of(subject, value);
    }
    let newest = trend.seen.and_then(|seen| seen.newest_complete);
    let (is_large, lasts) = match anomaly.kind {
        AnomalyKind::Spike => {
            let Some(policy) = eye.policies.spend_anomaly.on(&key) else { return false };
            let wanted = &policy.thresholds;
            // Several days often become complete together: a spike may be over when it is found.
            let lasts = anomaly.ended.is_none()
                || newest.is_none_or(|newest| days(anomaly.last, newest) <= wanted.days_told);
            (is_large(anomaly, wanted.least_excess, wanted.drops), lasts)
        }
        AnomalyKind::LevelShift => {
            let Some(policy) = eye.policies.level_shift.on(&key) else { return false };
            let wanted = &policy.thresholds;
            let large = is_large(anomaly, wanted.least_excess_per_day, wanted.drops);
            (large, anomaly.ended.is_none())
        }
    };
    if anomaly.is_settled() {
        // Its level stays: that it is told no more is told by what is absent.
        return is_large;
    }
    let is_told = explained.iter().any(|other| explains(other, anomaly));
    // A part that is told already goes on until it ends, and nothing of it begins.
    let verdict = verdict(is_large && lasts && !is_told, || !is_large || !lasts);
    let name = part.map(|(dimension, _, value)| eye.causes.name(of.source, dimension, value));
    match anomaly.kind {
        AnomalyKind::Spike => {
            let policy = eye.policies.spend_anomaly.of(&key);
            let floor = money(policy.thresholds.least_excess, anomaly.currency);
            let details = figures(eye, of, anomaly, name, AlertDetails::new(policy.severity));
            eye.tell(key, policy, verdict, newest, limit(details, floor));
        }
        AnomalyKind::LevelShift => {
            let policy = eye.policies.level_shift.of(&key);
            let floor = money(policy.thresholds.least_excess_per_day, anomaly.currency);
            let details = figures(eye, of, anomaly, name, AlertDetails::new(policy.severity));
            eye.tell(key, policy, verdict, newest, limit(details, floor));
        }
    }
    is_large
}

/// Whether an alert that is told no more is over because what it told of has become what is usual: a
/// level that held, a value that is not new any more.
pub(super) fn is_settled(key: &AlertKey, of: &SourceTrends, policies: &AlertPolicies) -> bool {
    let first = key.about(Subject::FirstDay).and_then(|day| day.parse::<Date>().ok());
    let Some(first) = first else { return false };
    let whole = || of.trends.iter().find(|trend| trend.of.is_none());
    let wanted = match key.rule {
        AlertRule::LevelShift => {
            let part = PARTS
                .iter()
                .find_map(|(dimension, subject)| Some((*dimension, key.about(*subject)?)));
            let is_own = |trend: &&Trend| {
                trend.of.as_ref().map(|(dimension, value)| (*dimension, value.as_str())) == part
            };
            let own = of.trends.iter().filter(is_own).flat_map(|trend| &trend.anomalies);
            return own.filter(|anomaly| anomaly.first == first).any(Anomaly::is_settled);
        }
        AlertRule::NewService => &policies.new_service,
        AlertRule::NewRegion => &policies.new_region,
        _ => return false,
    };
    let newest = whole().and_then(|trend| trend.seen).and_then(|seen| seen.newest_complete);
    newest.is_some_and(|newest| days(first, newest) >= wanted.of(key).thresholds.new_for_days)
}

fn is_large(anomaly: &Anomaly, least: Decimal, drops: bool) -> bool {
    anomaly.excess.abs() >= least && (drops || anomaly.excess.is_sign_positive())
}

/// How many days lie between two.
fn days(from: Date, to: Date) -> u32 {
    u32::try_from((to - from).get_days()).unwrap_or(0)
}

/// Whether an anomaly shows the movement of a part: the same way, on the same days, and no less of
/// it. A little is missing where other parts went the other way.
fn explains(whole: &Anomaly, part: &Anomaly) -> bool {
    let (first, last) = (whole.first.max(part.first), whole.last.min(part.last));
    let same_way = whole.excess.is_sign_positive() == part.excess.is_sign_positive();
    if first > last || !same_way {
        return false;
    }
    let shared = Decimal::from(days(first, last).saturating_add(1));
    let own = Decimal::from(days(part.first, part.last).saturating_add(1));
    // The excess of a spike is of all its days; that of a shift is of one.
    let of_whole = match whole.kind {
        AnomalyKind::Spike => whole.excess,
        AnomalyKind::LevelShift => whole.excess.saturating_mul(shared),
    };
    let of_part = match part.kind {
        AnomalyKind::Spike => part.excess.checked_div(own).unwrap_or(part.excess),
        AnomalyKind::LevelShift => part.excess,
    };
    of_whole.abs() >= of_part.saturating_mul(shared).saturating_mul(EXPLAINS_FROM).abs()
}

fn figures(
    eye: &Eye<'_>,
    of: &Of<'_>,
    anomaly: &Anomaly,
    name: Option<String>,
    details: AlertDetails,
) -> AlertDetails {
    use FigureName as Name;
    let in_currency = |amount| money(amount, anomaly.currency);
    let mut details = details
        .with(Name::ActualPerDay, in_currency(anomaly.actual_per_day))
        .with(Name::ExpectedPerDay, in_currency(anomaly.expected_per_day))
        .with(Name::Excess, in_currency(anomaly.excess))
        .with(Name::Sigmas, Figure::Ratio(anomaly.sigmas))
        .with(Name::FirstDay, Figure::Day(anomaly.first))
        .with(Name::LastSeen, Figure::Day(anomaly.last));
    let cause = anomaly.cause.as_ref().map(|cause| AlertCause {
        dimension: Some(cause.dimension),
        name: eye.causes.name(of.source, cause.dimension, &cause.key),
        amount: Money::new(cause.excess, anomaly.currency),
        share: Some(cause.share),
    });
    let own = name.map(|name| AlertCause {
        dimension: None,
        name,
        amount: Money::new(anomaly.excess, anomaly.currency),
        share: None,
    });
    details.causes.extend(cause.or(own));
    details
}

fn new_values(eye: &mut Eye<'_>, of: &Of<'_>) {
    let Some(begun) = of.whole().and_then(|whole| whole.seen).map(|seen| seen.first) else {
        return;
    };
    let of_rule = [
        (AlertRule::NewService, Dimension::ServiceName, Subject::ServiceName),
        (AlertRule::NewRegion, Dimension::RegionId, Subject::RegionId),
    ];
    for (rule, dimension, subject) in of_rule {
        for (value, trend) in of.along(dimension) {
            let Some(seen) = trend.seen else { continue };
            let key = AlertKey::within(
                source_key(rule, of.source, of.provider)
                    .of(subject, value)
                    .of(Subject::FirstDay, seen.first.to_string()),
                BillingPeriod::containing(seen.first),
            );
            let policies = match rule {
                AlertRule::NewRegion => &eye.policies.new_region,
                _ => &eye.policies.new_service,
            };
            let Some(policy) = policies.on(&key) else { continue };
            let wanted = &policy.thresholds;
            let has_history = days(begun, seen.first) >= wanted.minimum_history_days;
            let age = seen.newest_complete.map(|newest| days(seen.first, newest));
            let is_new = age.is_some_and(|age| age < wanted.new_for_days);
            if !has_history || !is_new {
                continue;
            }
            let met = seen.cost.amount >= wanted.least_cost;
            let verdict = if met { Verdict::Met } else { Verdict::Between };
            let details = AlertDetails::new(policy.severity)
                .with(FigureName::Cost, Figure::Money(seen.cost))
                .with(FigureName::FirstDay, Figure::Day(seen.first))
                .with(FigureName::Limit, money(wanted.least_cost, seen.cost.currency));
            eye.tell(key, policy, verdict, seen.newest_complete, details);
        }
    }
}
