//! What the nodes of now cost in a whole month, beside a band.

use std::fmt;

use crate::domain::gpu_money::PriceSource;
use crate::domain::money::Money;
use crate::domain::period::BillingPeriod;

/// What one fleet costs in a whole month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetCost {
    /// How many GPUs.
    pub gpus: u32,
    /// Their model, short.
    pub model: String,
    /// Where their price comes from.
    pub source: PriceSource,
    /// GPUs x price x hours of the period.
    pub cost: Money,
}

/// Where an expected cost lies beside a band.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Below this floor.
    Floor(Money),
    /// Above this ceiling.
    Ceiling(Money),
    /// Between the two.
    Within([Money; 2]),
}

/// What the nodes of now cost in a whole month, beside a band. Its text is the English sentence of
/// how that is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The band.
    pub band: String,
    /// The open period.
    pub period: BillingPeriod,
    /// Nodes x price x hours of the period.
    pub cost: Money,
    /// The fleets that it is made of; one or more.
    pub fleets: Vec<FleetCost>,
    /// Where that is beside the band.
    pub beside: Beside,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, FleetCost { gpus, model, source, cost }) in self.fleets.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            let (source, cost) = (source.as_str(), cost.grouped(0));
            write!(f, "{comma}{gpus} x {model} at {source} price cost {cost}")?;
        }
        match self.beside {
            Beside::Floor(floor) => write!(f, " a month; the band's floor is {}", floor.grouped(0)),
            Beside::Ceiling(ceiling) => {
                write!(f, " a month; the band's ceiling is {}", ceiling.grouped(0))
            }
            Beside::Within([floor, ceiling]) => {
                let (floor, ceiling) = (floor.grouped(0), ceiling.grouped(0));
                write!(f, " a month; the band is {floor} to {ceiling}")
            }
        }
    }
}
