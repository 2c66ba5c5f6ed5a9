//! Holds the money of a band against its floor and ceiling, for one billing period.
//!
//! *Unknown* is a status of its own: it is taken only when the newest reading is too old, and only
//! where the money already booked does not decide. An amount that was never known stays absent.

mod booked;
mod burn;
mod outlook;
mod record;

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use self::booked::{Booked, Complete};
pub use self::record::{newly_said, record};
use crate::analyse::spend::{DailySeries, DayMoney, SeriesKey, SourceRules};
use crate::domain::band::{
    Band, BandJudgement, BandLimits, BandStatus, BandView, PeriodLabel, ViewJudgement,
};
use crate::domain::exchange::ExchangeRates;
use crate::domain::forecast::{BandOutlook, ForecastMethod};
use crate::domain::gpu_money::GpuPicture;
use crate::domain::money::Money;
use crate::domain::period::{BillingPeriod, BillingZone};
use crate::domain::reason::BandReason;
use crate::domain::spend::{PeriodSpend, SourceSpend};

/// One source of a band's scope: its rules, its spend, and the band's part of it.
#[derive(Debug, Clone, Copy)]
pub struct BandSource<'a> {
    /// The source's rules.
    pub rules: &'a SourceRules,
    /// Its spend; none before the first reading.
    pub spend: Option<&'a SourceSpend>,
    /// The band's money in it.
    pub series: &'a DailySeries,
    /// The newest committed poll.
    pub last_success: Option<Timestamp>,
    /// The band's money in it of earlier months; none where it was not read.
    pub history: Option<SourceHistory<'a>>,
}

/// A band's money in a source over all days that the ledger holds.
#[derive(Debug, Clone, Copy)]
pub struct SourceHistory<'a> {
    /// The money.
    pub series: &'a DailySeries,
    /// The days that are complete.
    pub complete_days: &'a BTreeSet<Date>,
}

/// Judges a band for its open or its previous period. None where no limits are in force for it, or
/// where the band has no source. What telemetry says of GPUs goes into the forecast.
pub fn judge(
    band: &Band,
    sources: &[BandSource<'_>],
    rates: &ExchangeRates,
    gpu: &GpuPicture,
    label: PeriodLabel,
    now: Timestamp,
) -> Option<BandJudgement> {
    let zone = common_zone(sources)?;
    let period = label.period(now, zone);
    let limits = band.limits_in(period)?;
    let booked = Booked::read(band, sources, rates, period);
    let facts = Facts {
        band,
        limits,
        period,
        zone,
        is_final: sources.iter().all(|source| source.is_final(period)),
        stale: stale_reason(sources, period, now),
        now,
    };
    let (spend, complete) = (booked.spend(), booked.complete(sources, period, zone));
    let least = booked.sum();
    let run_rate = facts.run_rate(spend.as_ref().ok().copied(), complete);
    let looks = !facts.is_final && facts.stale.is_none() && spend.is_ok();
    let known =
        outlook::Known { band, sources, rates, fresh: PeriodLabel::Previous.period(now, zone) };
    let series = looks.then(|| known.series(period)).flatten();
    let outlook = series.as_ref().and_then(|series| known.outlook(series, limits, period, gpu));
    let newest = complete.map(|complete| complete.newest);
    let burnt = series
        .as_ref()
        .map_or_else(burn::Burnt::default, |series| burn::read(series, limits.ceiling, period));
    let views = vec![
        facts.actual(&spend, least),
        facts.pace(&spend, complete),
        facts.forecast(&spend, least, complete, run_rate, outlook.as_ref()),
    ];
    let money = |amount| Money::new(amount, band.currency);
    let spend = spend.ok();
    let days = spend.map_or_else(Vec::new, |_| booked.days(sources, period));
    Some(BandJudgement {
        band: band.name.clone(),
        period,
        label,
        zone,
        is_final: facts.is_final,
        sources: sources.iter().map(|source| source.rules.id.clone()).collect(),
        basis: band.basis,
        floor: money(limits.floor),
        ceiling: money(limits.ceiling),
        spend: spend.map(money),
        days,
        complete_spend: spend.and(complete).map(|complete| money(complete.sum)),
        complete_days: complete.map_or(0, |complete| complete.days),
        newest_complete_day: newest,
        last_day: burnt.last_day.map(money),
        burn: burnt.rates,
        run_rate: run_rate.map(money),
        outlook: outlook.map(|(outlook, _)| outlook),
        ceiling_used_ratio: spend.and_then(|spend| ratio(spend, limits.ceiling)),
        views,
        as_of: sources.iter().map(|source| source.last_success).min().flatten(),
        exchange_rates: booked.used_rates.into_iter().collect(),
        owner: band.owner.clone(),
        runbook_url: band.runbook_url.clone(),
    })
}

impl<'a> BandSource<'a> {
    fn period(&self, wanted: BillingPeriod) -> Option<&PeriodSpend> {
        self.spend?.periods.iter().find(|spend| spend.period == wanted)
    }

    fn is_final(&self, wanted: BillingPeriod) -> bool {
        self.period(wanted).is_some_and(|spend| spend.is_final)
    }

    /// Whether a day's figures will hardly change. A day is complete for the whole source, by its
    /// primary breakdown: a scope that costs nothing on a day waits for no row of its own.
    fn is_complete(&self, day: Date) -> bool {
        self.spend.is_some_and(|spend| spend.complete_days.contains(&day))
    }

    /// The same of any day that the ledger holds, of which those before `fresh` are history.
    fn is_known_complete(&self, day: Date, fresh: BillingPeriod) -> bool {
        if day < fresh.first_day() {
            self.history.is_some_and(|history| history.complete_days.contains(&day))
        } else {
            self.is_complete(day)
        }
    }

    /// The days of which that is so.
    fn known_complete(&self, fresh: BillingPeriod) -> impl Iterator<Item = Date> {
        let older = self.history.into_iter().flat_map(|history| history.complete_days);
        let newer = self.spend.into_iter().flat_map(|spend| &spend.complete_days);
        older.chain(newer).copied().filter(move |day| self.is_known_complete(*day, fresh))
    }

    /// The band's money of every day that the ledger holds: earlier months by the history, the
    /// others, from `fresh` on, as they were read now.
    fn all_days(
        &self,
        fresh: BillingPeriod,
    ) -> impl Iterator<Item = (&'a SeriesKey, &'a DayMoney)> {
        let older = self.history.into_iter().flat_map(|history| &history.series.0);
        let older = older.filter(move |(key, _)| key.period < fresh);
        older.chain(self.series.0.iter().filter(move |(key, _)| key.period >= fresh))
    }
}

/// The zone of a band's months: Pacific when all of its sources bill so, else UTC.
fn common_zone(sources: &[BandSource<'_>]) -> Option<BillingZone> {
    let zone = |source: &BandSource<'_>| source.rules.provider.billing_zone();
    let first = zone(sources.first()?);
    Some(if sources.iter().all(|source| zone(source) == first) { first } else { BillingZone::Utc })
}

fn stale_reason(
    sources: &[BandSource<'_>],
    period: BillingPeriod,
    now: Timestamp,
) -> Option<BandReason> {
    sources.iter().filter(|source| !source.is_final(period)).find_map(|source| {
        let id = &source.rules.id;
        let Some(last) = source.last_success else {
            return Some(BandReason::NeverRead(id.clone()));
        };
        let age = now.duration_since(last);
        (age > source.rules.maximum_age).then(|| BandReason::TooOld {
            source: id.clone(),
            hours: age.as_hours(),
            most: source.rules.maximum_age.as_hours(),
        })
    })
}

struct Facts<'a> {
    band: &'a Band,
    limits: &'a BandLimits,
    period: BillingPeriod,
    zone: BillingZone,
    is_final: bool,
    stale: Option<BandReason>,
    now: Timestamp,
}

impl Facts<'_> {
    fn is_over(&self) -> bool {
        self.now >= self.period.end(self.zone)
    }

    fn money(&self, amount: Decimal) -> Money {
        Money::new(amount, self.band.currency)
    }

    fn view(&self, view: BandView, status: BandStatus, reason: BandReason) -> ViewJudgement {
        ViewJudgement { view, status, reason }
    }

    fn place(&self, amount: Decimal, floor: Decimal, ceiling: Decimal) -> BandStatus {
        if amount > ceiling {
            BandStatus::Above
        } else if amount < floor {
            BandStatus::Below
        } else {
            BandStatus::Within
        }
    }

    /// The booked money against the whole month's band. Money over the ceiling stays `above`
    /// however old the reading is; `below` and `within` can still change and become unknown.
    fn actual(&self, spend: &Result<Decimal, BandReason>, least: Option<Decimal>) -> ViewJudgement {
        let view = BandView::Actual;
        let spend = match spend {
            Ok(spend) => *spend,
            Err(problem) => return self.partly_known(view, problem, least),
        };
        let status = self.place(spend, self.limits.floor, self.limits.ceiling);
        match &self.stale {
            Some(stale) if status != BandStatus::Above => {
                self.view(view, BandStatus::Unknown, stale.clone())
            }
            _ => {
                let limits =
                    [self.limits.floor, self.limits.ceiling].map(|limit| self.money(limit));
                let so_far = !self.is_over();
                let reason = BandReason::Booked { spend: self.money(spend), limits, so_far };
                self.view(view, status, reason)
            }
        }
    }

    /// Money over the ceiling is over it whatever is not known besides; less decides nothing.
    fn partly_known(
        &self,
        view: BandView,
        problem: &BandReason,
        least: Option<Decimal>,
    ) -> ViewJudgement {
        match least.filter(|least| *least > self.limits.ceiling) {
            Some(least) => {
                let (least, problem) = (self.money(least), Box::new(problem.clone()));
                let reason = BandReason::AtLeast { least, problem };
                self.view(view, BandStatus::Above, reason)
            }
            None => self.view(view, BandStatus::Unknown, problem.clone()),
        }
    }

    /// The complete days against the same share of the band.
    fn pace(
        &self,
        spend: &Result<Decimal, BandReason>,
        complete: Option<Complete>,
    ) -> ViewJudgement {
        let view = BandView::Pace;
        let complete = match self.judgeable(spend, complete) {
            Ok(complete) => complete,
            Err(reason) => return self.view(view, BandStatus::Unknown, reason),
        };
        let whole = Decimal::from(self.period.seconds(self.zone));
        let part = Decimal::from(complete.seconds);
        let share = |limit: Decimal| limit * part / whole;
        let (floor, ceiling) = (share(self.limits.floor), share(self.limits.ceiling));
        let reason = BandReason::Pace {
            spend: self.money(complete.sum),
            days: complete.days,
            limits: [self.money(floor), self.money(ceiling)],
        };
        self.view(view, self.place(complete.sum, floor, ceiling), reason)
    }

    /// The expected month end: the median of the forecast. Where nothing can be forecast, a run-rate
    /// that says so.
    fn forecast(
        &self,
        spend: &Result<Decimal, BandReason>,
        least: Option<Decimal>,
        complete: Option<Complete>,
        run_rate: Option<Decimal>,
        outlook: Option<&(BandOutlook, BandStatus)>,
    ) -> ViewJudgement {
        let view = BandView::Forecast;
        if let Err(problem) = spend {
            return self.partly_known(view, problem, least);
        }
        if let Ok(spend) = spend
            && *spend > self.limits.ceiling
        {
            let reason = BandReason::BookedAlready(self.money(*spend));
            return self.view(view, BandStatus::Above, reason);
        }
        if let (true, Ok(spend)) = (self.is_final, spend) {
            let status = self.place(*spend, self.limits.floor, self.limits.ceiling);
            let reason = BandReason::Final(self.money(*spend));
            return self.view(view, status, reason);
        }
        if let Some((outlook, status)) = outlook
            && let Some(median) = outlook.forecast.at(0.5)
        {
            let [low, high] = outlook.forecast.interval_80;
            if outlook.forecast.method == ForecastMethod::Actual {
                let reason = BandReason::AllComplete(self.money(median));
                return self.view(view, *status, reason);
            }
            let used = &outlook.forecast.used;
            let reason = BandReason::Expected {
                median: self.money(median),
                likely: [self.money(low), self.money(high)],
                days: used.days,
                made_from: outlook.forecast.made_from,
                prior: used.prior,
                nowcast_days: used.nowcast_days,
            };
            return self.view(view, *status, reason);
        }
        match (self.judgeable(spend, complete), run_rate) {
            (Ok(complete), Some(run_rate)) => {
                let (end, days) = (self.money(run_rate), complete.days);
                let reason = BandReason::RunRate { end, days };
                let status = self.place(run_rate, self.limits.floor, self.limits.ceiling);
                self.view(view, status, reason)
            }
            (Ok(_), None) => self.view(view, BandStatus::Unknown, BandReason::RunRateTooLarge),
            (Err(reason), _) => self.view(view, BandStatus::Unknown, reason),
        }
    }

    fn judgeable(
        &self,
        spend: &Result<Decimal, BandReason>,
        complete: Option<Complete>,
    ) -> Result<Complete, BandReason> {
        if let Err(problem) = spend {
            return Err(problem.clone());
        }
        if let Some(stale) = &self.stale {
            return Err(stale.clone());
        }
        complete.ok_or(BandReason::NoCompleteDay)
    }

    /// The complete days' sum scaled to the period's length; the whole sum once it is final.
    fn run_rate(&self, spend: Option<Decimal>, complete: Option<Complete>) -> Option<Decimal> {
        let spend = spend?;
        if self.is_final {
            return Some(spend);
        }
        let complete = complete?;
        let whole = Decimal::from(self.period.seconds(self.zone));
        let at_pace = complete.sum.checked_mul(whole)?.checked_div(complete.seconds.into())?;
        at_pace.checked_add(complete.carried)
    }
}

fn ratio(amount: Decimal, of: Decimal) -> Option<f64> {
    amount.checked_div(of)?.to_f64()
}

#[cfg(test)]
mod tests;
