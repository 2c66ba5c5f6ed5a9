//! The way to a month's end: what its sum will be at the end of each day that is left.

use std::borrow::Cow;

use jiff::civil::Date;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::analyse::forecast::outlook::Outlook;
use crate::analyse::forecast::{MonthEnd, estimated, exact_sum};
use crate::domain::forecast::{PROBABILITIES, PathDay};
use crate::domain::period::next_day;

/// The month's sum at the end of one day after the newest complete one.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) day: Date,
    /// The complete days and the known charges up to then, exact.
    exact: Decimal,
    /// The same and the provisional days.
    booked: Decimal,
    /// The days from the newest complete one up to then.
    outlook: Cow<'a, Outlook>,
    /// What is estimated besides those.
    besides: f64,
    may_fall: bool,
}

impl Stage<'_> {
    /// The part of the sum that is estimated, at a probability.
    pub(super) fn rest(&self, probability: f64) -> f64 {
        self.outlook.quantile(probability) + self.besides
    }

    /// The sum at a probability; never below what is booked, unless it may fall.
    pub(super) fn quantile(&self, probability: f64) -> Option<Decimal> {
        let rest = self.rest(probability);
        let provisional = (self.booked - self.exact).to_f64().unwrap_or(0.0);
        if !self.may_fall && rest <= provisional {
            return Some(self.booked);
        }
        let sum = self.exact.checked_add(estimated(rest)?)?;
        Some(if self.may_fall { sum } else { sum.max(self.booked) })
    }
}

impl MonthEnd<'_> {
    /// The end of the month itself.
    pub(super) fn end(&self) -> Stage<'_> {
        let outlook = Cow::Borrowed(&self.outlook);
        self.stage(self.ahead, self.period.end_day(), (self.exact, self.booked), outlook)
    }

    /// The ends of the days of the month that are left, each with an interval from past sums of so
    /// many days; none where a sum has more than 28 digits.
    pub(super) fn stages(&self) -> Option<Vec<Stage<'_>>> {
        let mut stages = Vec::with_capacity(self.ahead - self.between);
        for steps in self.between + 1..self.ahead {
            let before = next_day(self.series.date(self.newest + steps));
            let mut outlook = Outlook::ahead(&self.learned, &self.choice, steps);
            if self.prior {
                let share = steps as f64 / self.ahead as f64;
                outlook.recentre(self.outlook.middle * share);
            }
            outlook.further_sigma = self.further_sigma(before);
            let sum =
                |counts: fn(bool) -> bool| exact_sum(self.series, self.period, before, counts);
            let sums = (sum(|complete| complete)?, sum(|_| true)?);
            stages.push(self.stage(steps, before, sums, Cow::Owned(outlook)));
        }
        if self.ahead > self.between {
            stages.push(self.end());
        }
        Some(stages)
    }

    fn stage<'a>(
        &'a self,
        steps: usize,
        before: Date,
        (exact, booked): (Decimal, Decimal),
        outlook: Cow<'a, Outlook>,
    ) -> Stage<'a> {
        let due = self.expected_sum(before) + self.gaps + self.moved_by_nowcast(steps);
        Stage {
            day: self.series.date(self.newest + steps),
            exact,
            booked,
            outlook,
            besides: due - self.before(),
            may_fall: self.may_fall,
        }
    }

    /// The sums at a probability, one for each stage. A sum that cannot fall is never told as
    /// larger on a day than on a later one.
    pub(super) fn sums(&self, stages: &[Stage<'_>], probability: f64) -> Option<Vec<Decimal>> {
        let mut sums: Vec<Decimal> =
            stages.iter().map(|stage| stage.quantile(probability)).collect::<Option<_>>()?;
        if !self.may_fall {
            let mut most = sums.last().copied().unwrap_or_default();
            for sum in sums.iter_mut().rev() {
                most = most.min(*sum);
                *sum = most;
            }
        }
        Some(sums)
    }

    /// The stages at each of [`PROBABILITIES`].
    pub(super) fn path(&self, stages: &[Stage<'_>]) -> Option<Vec<PathDay>> {
        let mut path: Vec<PathDay> = stages
            .iter()
            .map(|stage| PathDay {
                day: stage.day,
                quantiles: Vec::with_capacity(PROBABILITIES.len()),
            })
            .collect();
        for probability in PROBABILITIES {
            for (day, sum) in path.iter_mut().zip(self.sums(stages, probability)?) {
                day.quantiles.push(sum);
            }
        }
        Some(path)
    }
}
