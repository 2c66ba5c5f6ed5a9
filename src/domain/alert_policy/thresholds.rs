//! What rules look for, with their defaults. Money is in the currency of what is looked at.

use jiff::SignedDuration;
use rust_decimal::Decimal;

use crate::domain::alert::{AlertRule, Severity};
use crate::domain::machine::Tier;

/// What a rule looks for.
pub trait Thresholds {
    /// The defaults of a rule.
    fn usual(rule: AlertRule) -> Self;
}

macro_rules! thresholds {
    ($(#[$meta:meta])* $name:ident {
        $($(#[$doc:meta])* $field:ident: $kind:ty = $usual:expr),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name { $($(#[$doc])* pub $field: $kind,)* }

        impl Thresholds for $name {
            fn usual(_: AlertRule) -> Self {
                Self { $($field: $usual),* }
            }
        }
    };
}

const fn money(amount: u32) -> Decimal {
    Decimal::from_parts(amount, 0, 0, false, 0)
}

thresholds! {
    /// A rule that has nothing to set but its time.
    Health {}
}

thresholds! {
    /// A month that is expected to end above its ceiling.
    CeilingForecast {
        /// From this probability on.
        probability: f64 = 0.5,
        /// It is over once what the month's end stays under, with the probability of not ending
        /// above, is at most so much of the ceiling.
        clear_at: f64 = 0.97,
        /// A month with fewer complete days says little,
        minimum_complete_days: u32 = 5,
        /// unless so many days of history stand behind its forecast.
        minimum_history_days: u32 = 28,
    }
}

thresholds! {
    /// The last days burn the ceiling.
    PaceFast {
        /// Burn rate over one complete day, from which on it is met.
        one_day: f64 = 2.0,
        /// Burn rate over three complete days, which must be met too.
        three_days: f64 = 1.5,
        /// It is over below this burn rate over one day.
        clear_below: f64 = 1.5,
    }
}

thresholds! {
    /// The last week burns more than the ceiling allows.
    PaceSlow {
        /// Burn rate over seven complete days, from which on it is met.
        seven_days: f64 = 1.1,
        /// It is over below this burn rate over seven days,
        clear_below: f64 = 1.0,
        /// or once the median of the month's end is at most so much of the ceiling.
        clear_at: f64 = 0.97,
    }
}

thresholds! {
    /// A month that is expected to end below its floor.
    FloorForecast {
        /// From this probability on.
        probability: f64 = 0.8,
        /// It is over once what the month's end stays under with this probability is at least so
        /// much of the floor.
        clear_at: f64 = 1.03,
        /// A month with fewer complete days says nothing.
        minimum_complete_days: u32 = 7,
    }
}

thresholds! {
    /// Days that stand out.
    Spike {
        /// The least difference over all their days.
        least_excess: Decimal = money(100),
        /// Whether days that cost too little are told too.
        drops: bool = false,
        /// So many complete days after its last one it is over.
        days_told: u32 = 3,
    }
}

thresholds! {
    /// A level that moved.
    LevelShift {
        /// The least difference of a day.
        least_excess_per_day: Decimal = money(50),
        /// Whether levels that fell are told too.
        drops: bool = false,
    }
}

thresholds! {
    /// A service or a region that never cost anything.
    NewValue {
        /// The least cost on complete days since its first.
        least_cost: Decimal = money(100),
        /// So many days after its first it is not new any more.
        new_for_days: u32 = 14,
        /// A source that knows fewer days before it cannot tell what is new.
        minimum_history_days: u32 = 28,
    }
}

thresholds! {
    /// GPU money that does nothing.
    GpuIdleMoney {
        /// The least share of the GPU money,
        share: f64 = 0.3,
        /// and the least cost of it.
        least_cost: Decimal = money(500),
    }
}

thresholds! {
    /// GPUs whose engines wait.
    GpuUnderFed {
        /// The least share of GPU time that is held idle or low,
        share: f64 = 0.6,
        /// and the least cost of that time.
        least_cost: Decimal = money(500),
    }
}

thresholds! {
    /// A cluster that is smaller than it should be.
    ClusterBelowTier {
        /// The least tier.
        tier: Tier = Tier::Minimum,
    }
}

thresholds! {
    /// Machines that are paid for while no GPU of them is seen.
    ReservationNotRunning {
        /// The least cost.
        least_cost: Decimal = money(100),
    }
}

thresholds! {
    /// A bill whose newest complete day is too old.
    BillingDataLate {
        /// From so long beyond the expected lag on.
        late_after: SignedDuration = SignedDuration::from_hours(48),
        /// From so long beyond it on it is critical.
        critical_after: SignedDuration = SignedDuration::from_hours(72),
    }
}

thresholds! {
    /// What moved after it was complete.
    Restated {
        /// The least part of a closed month's total, up or down.
        month_share: f64 = 0.01,
        /// The least part by which the total of a single day fell.
        day_fall: f64 = 0.2,
        /// The least money of either.
        least_amount: Decimal = money(10),
        /// It is over so long after the newest restatement.
        told_for: SignedDuration = SignedDuration::from_hours(72),
    }
}

thresholds! {
    /// The sum of the rows and the provider's own total differ.
    ReconciliationDifference {
        /// By more than this part of the total,
        relative: f64 = 0.001,
        /// and by more than so much.
        absolute: Decimal = money(1),
    }
}

thresholds! {
    /// Requests have spent much of their monthly cap.
    CapNearlySpent {
        /// From this part on.
        share: f64 = 0.8,
    }
}

thresholds! {
    /// Past forecasts were wrong.
    ForecastOff {
        /// Their mean absolute error is more than this part.
        error: f64 = 0.25,
        /// Fewer past forecasts say nothing.
        minimum_forecasts: u32 = 6,
    }
}

impl BillingDataLate {
    /// How much it matters that a bill is so late.
    pub fn severity(&self, late: SignedDuration, usual: Severity) -> Severity {
        if late >= self.critical_after { Severity::Critical } else { usual }
    }
}
