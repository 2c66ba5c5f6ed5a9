//! The thresholds of each rule: what is written over the defaults, within sense.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::{Common, Entry};
use crate::config::file::{
    BillingDataLateFile, CapFile, CeilingExceededFile, CeilingForecastFile, ClusterTierFile,
    FloorForecastFile, ForecastOffFile, GpuIdleMoneyFile, GpuUnderFedFile, LevelShiftFile,
    NewValueFile, PaceFastFile, PaceSlowFile, ReconciliationFile, ReservationFile, RestatementFile,
    SourceHealthFile, SpikeFile, TierWord, TimeFile,
};
use crate::config::structure::Findings;
use crate::config::values::{Figure, Span};
use crate::domain::alert_policy::AlertScope;
use crate::domain::alert_policy::thresholds::{
    BillingDataLate, CapNearlySpent, CeilingForecast, ClusterBelowTier, FloorForecast, ForecastOff,
    GpuIdleMoney, GpuUnderFed, Health, LevelShift, NewValue, PaceFast, PaceSlow,
    ReconciliationDifference, ReservationNotRunning, Restated, Spike,
};
use crate::domain::machine::Tier;

/// The most days of a month or of a memory that a rule may ask for.
const MOST_DAYS: u32 = 400;
/// The longest that a restatement is remembered.
const RESTATED_FOR: Span = Span::hours(14 * 24);

/// Reads thresholds of one entry and notes those without sense.
pub(super) struct Reader<'a> {
    pub(super) path: &'a str,
    pub(super) findings: &'a mut Findings,
}

impl Reader<'_> {
    fn refuse(&mut self, key: &str, message: &str) {
        self.findings.add(&format!("{}.{key}", self.path), message);
    }

    /// A number of a range.
    fn number(&mut self, key: &str, written: Option<Figure>, range: [f64; 2], usual: f64) -> f64 {
        let Some(number) = written.and_then(|figure| figure.0.to_f64()) else { return usual };
        let [least, most] = range;
        if number < least || number > most {
            self.refuse(key, &format!("is out of range: want a number from {least} to {most}"));
        }
        number
    }

    /// A share above zero.
    fn share(&mut self, key: &str, written: Option<Figure>, usual: f64) -> f64 {
        if written.is_some_and(|figure| figure.0.is_zero()) {
            self.refuse(key, "is zero: everything would alert; `enabled: false` turns a rule off");
        }
        self.number(key, written, [0.0, 1.0], usual)
    }

    fn amount(&mut self, key: &str, written: Option<Figure>, usual: Decimal) -> Decimal {
        let Some(Figure(amount)) = written else { return usual };
        if amount < Decimal::ZERO {
            self.refuse(key, "is below zero");
        }
        amount
    }

    fn days(&mut self, key: &str, written: Option<u32>, usual: u32) -> u32 {
        let Some(days) = written else { return usual };
        if days > MOST_DAYS {
            self.refuse(key, "is out of range: want a number from 0 to 400");
        }
        days
    }
}

macro_rules! entry {
    ($file:ident => $of:ty, |$entry:ident, $usual:ident, $reader:ident| $made:expr) => {
        impl Entry for $file {
            type Of = $of;

            fn common(&self) -> Common<'_> {
                self.common.common()
            }

            fn scope(&self) -> AlertScope {
                self.scope.scope()
            }

            fn thresholds(&self, $usual: $of, $reader: &mut Reader<'_>) -> $of {
                let $entry = self;
                $made
            }
        }
    };
}

entry!(CeilingExceededFile => Health, |_entry, usual, _reader| usual);
entry!(SourceHealthFile => Health, |_entry, usual, _reader| usual);

impl Entry for TimeFile {
    type Of = Health;

    fn common(&self) -> Common<'_> {
        TimeFile::common(self)
    }

    fn scope(&self) -> AlertScope {
        AlertScope::default()
    }

    fn thresholds(&self, usual: Health, _: &mut Reader<'_>) -> Health {
        usual
    }
}

entry!(CeilingForecastFile => CeilingForecast, |entry, usual, reader| CeilingForecast {
    probability: reader.number("probability", entry.probability, [0.05, 0.95], usual.probability),
    clear_at: reader.number("clear_at", entry.clear_at, [0.5, 1.0], usual.clear_at),
    minimum_complete_days: reader.days(
        "minimum_complete_days",
        entry.minimum_complete_days,
        usual.minimum_complete_days,
    ),
    minimum_history_days: reader.days(
        "minimum_history_days",
        entry.minimum_history_days,
        usual.minimum_history_days,
    ),
});

entry!(PaceFastFile => PaceFast, |entry, usual, reader| {
    let of = PaceFast {
        one_day: reader.number("one_day", entry.one_day, [1.0, 1000.0], usual.one_day),
        three_days: reader.number("three_days", entry.three_days, [0.0, 1000.0], usual.three_days),
        clear_below: reader.number(
            "clear_below",
            entry.clear_below,
            [0.0, 1000.0],
            usual.clear_below.min(entry.one_day.and_then(|one| one.0.to_f64()).unwrap_or(f64::MAX)),
        ),
    };
    if of.clear_below > of.one_day {
        reader.refuse("clear_below", "is above `one_day`: what is met would be over");
    }
    of
});

entry!(PaceSlowFile => PaceSlow, |entry, usual, reader| {
    let of = PaceSlow {
        seven_days: reader.number("seven_days", entry.seven_days, [0.5, 1000.0], usual.seven_days),
        clear_below: reader.number(
            "clear_below",
            entry.clear_below,
            [0.0, 1000.0],
            usual
                .clear_below
                .min(entry.seven_days.and_then(|seven| seven.0.to_f64()).unwrap_or(f64::MAX)),
        ),
        clear_at: reader.number("clear_at", entry.clear_at, [0.5, 1.0], usual.clear_at),
    };
    if of.clear_below > of.seven_days {
        reader.refuse("clear_below", "is above `seven_days`: what is met would be over");
    }
    of
});

entry!(FloorForecastFile => FloorForecast, |entry, usual, reader| FloorForecast {
    probability: reader.number("probability", entry.probability, [0.05, 0.95], usual.probability),
    clear_at: reader.number("clear_at", entry.clear_at, [1.0, 2.0], usual.clear_at),
    minimum_complete_days: reader.days(
        "minimum_complete_days",
        entry.minimum_complete_days,
        usual.minimum_complete_days,
    ),
});

entry!(ForecastOffFile => ForecastOff, |entry, usual, reader| ForecastOff {
    error: reader.number("error", entry.error, [0.01, 10.0], usual.error),
    minimum_forecasts: reader.days(
        "minimum_forecasts",
        entry.minimum_forecasts,
        usual.minimum_forecasts,
    ),
});

entry!(SpikeFile => Spike, |entry, usual, reader| Spike {
    least_excess: reader.amount("least_excess", entry.least_excess, usual.least_excess),
    drops: entry.drops.unwrap_or(usual.drops),
    days_told: reader.days("days_told", entry.days_told, usual.days_told),
});

entry!(LevelShiftFile => LevelShift, |entry, usual, reader| LevelShift {
    least_excess_per_day: reader.amount(
        "least_excess_per_day",
        entry.least_excess_per_day,
        usual.least_excess_per_day,
    ),
    drops: entry.drops.unwrap_or(usual.drops),
});

entry!(NewValueFile => NewValue, |entry, usual, reader| NewValue {
    least_cost: reader.amount("least_cost", entry.least_cost, usual.least_cost),
    new_for_days: reader.days("new_for_days", entry.new_for_days, usual.new_for_days),
    minimum_history_days: reader.days(
        "minimum_history_days",
        entry.minimum_history_days,
        usual.minimum_history_days,
    ),
});

entry!(ReconciliationFile => ReconciliationDifference, |entry, usual, reader| {
    ReconciliationDifference {
        relative: reader.number("relative", entry.relative, [0.0, 1.0], usual.relative),
        absolute: reader.amount("absolute", entry.absolute, usual.absolute),
    }
});

entry!(BillingDataLateFile => BillingDataLate, |entry, usual, reader| {
    let of = BillingDataLate {
        late_after: entry.late_after.map_or(usual.late_after, Span::signed),
        critical_after: entry.critical_after.map_or(usual.critical_after, Span::signed),
    };
    if of.critical_after < of.late_after {
        reader.refuse("critical_after", "is shorter than `late_after`");
    }
    of
});

entry!(RestatementFile => Restated, |entry, usual, reader| {
    if entry.told_for.is_some_and(|told| told > RESTATED_FOR) {
        reader.refuse("told_for", "is longer than 14 days");
    }
    Restated {
        month_share: reader.number("month_share", entry.month_share, [0.0, 10.0], usual.month_share),
        day_fall: reader.share("day_fall", entry.day_fall, usual.day_fall),
        least_amount: reader.amount("least_amount", entry.least_amount, usual.least_amount),
        told_for: entry.told_for.map_or(usual.told_for, Span::signed),
    }
});

entry!(CapFile => CapNearlySpent, |entry, usual, reader| CapNearlySpent {
    share: reader.share("share", entry.share, usual.share),
});

entry!(GpuIdleMoneyFile => GpuIdleMoney, |entry, usual, reader| GpuIdleMoney {
    share: reader.share("share", entry.share, usual.share),
    least_cost: reader.amount("least_cost", entry.least_cost, usual.least_cost),
});

entry!(ReservationFile => ReservationNotRunning, |entry, usual, reader| ReservationNotRunning {
    least_cost: reader.amount("least_cost", entry.least_cost, usual.least_cost),
});

entry!(ClusterTierFile => ClusterBelowTier, |entry, usual, _reader| ClusterBelowTier {
    tier: entry.tier.map_or(usual.tier, |word| match word {
        TierWord::Minimum => Tier::Minimum,
        TierWord::Recommended => Tier::Recommended,
        TierWord::Optimal => Tier::Optimal,
    }),
});

impl Entry for GpuUnderFedFile {
    type Of = GpuUnderFed;

    fn common(&self) -> Common<'_> {
        self.common.common()
    }

    fn scope(&self) -> AlertScope {
        AlertScope { workloads: self.workloads.clone().unwrap_or_default(), ..self.scope.scope() }
    }

    fn thresholds(&self, usual: GpuUnderFed, reader: &mut Reader<'_>) -> GpuUnderFed {
        let placed = self.scope.providers.is_some() || self.scope.clusters.is_some();
        if self.workloads.is_some() && placed {
            // A workload's money is known over all clusters.
            reader.refuse("workloads", "stand beside `providers` or `clusters`: want one of them");
        }
        GpuUnderFed {
            share: reader.share("share", self.share, usual.share),
            least_cost: reader.amount("least_cost", self.least_cost, usual.least_cost),
        }
    }
}
