//! Prices that a provider lists, before any discount.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::money::{Currency, Money};
use crate::domain::report::SourceError;

/// How a machine is bought.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum CapacityType {
    /// By the hour, for as long as it is wanted.
    OnDemand,
    /// Cheaper, and taken away when the provider wants it back.
    Spot,
    /// Promised or prepaid: reservations, capacity blocks, commitments.
    Reserved,
    /// Nobody said.
    #[default]
    Unknown,
}

impl CapacityType {
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnDemand => "on_demand",
            Self::Spot => "spot",
            Self::Reserved => "reserved",
            Self::Unknown => "unknown",
        }
    }
}

/// The list price of one SKU in one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkuPrice {
    /// The provider's number of the SKU.
    pub sku_id: String,
    /// What it is: `Nvidia H100 80GB GPU running in Americas`.
    pub description: String,
    /// The region.
    pub region_id: String,
    /// How it is bought: on demand or spot.
    pub capacity_type: CapacityType,
    /// The machine type, where it is the price of whole machines (AWS, Azure).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// What the price is for, in UCUM: `h`, `GiBy.h`.
    pub unit: String,
    /// The price of one unit; always more than zero.
    pub price: Money,
    /// Since when it holds.
    pub effective_at: Option<Timestamp>,
    /// When it was read; none for one that an earlier version kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Timestamp>,
}

/// What one reading of a price list told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PriceReading {
    /// The prices of all that was read to its end.
    pub prices: Vec<SkuPrice>,
    /// Machine types and their regions that were not read: their prices of before stand.
    pub unread: BTreeSet<(String, String)>,
    /// Why the first of them was not; none where the reading is whole.
    pub error: Option<SourceError>,
}

impl PriceReading {
    /// The failure, with what is missing for it.
    pub fn missing(&self) -> Option<SourceError> {
        let mut error = self.error.clone()?;
        let what = match self.unread.first() {
            Some((machine, region)) => format!("`{machine}` in `{region}`"),
            None => "prices".to_owned(),
        };
        let more = match self.unread.len() {
            0 | 1 => " was not read".to_owned(),
            several => format!(" and {} more were not read", several - 1),
        };
        error.message = format!("{what}{more}: {}", error.message);
        Some(error)
    }
}

/// What of a provider is in use, by its bill and by its nodes, so that prices of it are worth
/// knowing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InUse {
    /// Machine types with GPUs and the regions that they are in, as the bill or the nodes write
    /// them.
    pub machines: BTreeSet<(String, String)>,
    /// Regions with GPUs.
    pub regions: BTreeSet<String>,
    /// The currencies of the bill; empty before the first.
    pub currencies: BTreeSet<Currency>,
}

impl InUse {
    /// The currency of the bill; none where there is no bill yet or several.
    pub fn currency(&self) -> Option<Currency> {
        let mut currencies = self.currencies.iter();
        currencies.next().copied().filter(|_| currencies.next().is_none())
    }
}

/// How the price of a GPU's hour was made, for people. Its display is the API's English.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PriceNote {
    /// Effective cost over GPU-hours of so many complete days.
    Billed {
        /// How many.
        days: usize,
    },
    /// The provider's list as it was read.
    Listed {
        /// Whether it is that of spot capacity.
        spot: bool,
        /// The day on which it was read, in UTC.
        read_on: Option<Date>,
        /// What was added up; none where whole machines are listed.
        parts: Option<ListedParts>,
    },
    /// The program's own table.
    Embedded {
        /// The day of the table.
        listed_on: Option<Date>,
        /// Whether it is the price of the very region.
        own_region: bool,
    },
    /// As configured.
    Configured,
    /// The central agent's, in its words.
    Told(String),
    /// The same, made here while the central agent tells nothing.
    Untold(Box<Self>),
}

/// What the list price of a GPU's hour was added up of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListedParts {
    /// The GPU's own, which has its share of the machine in it.
    Whole,
    /// The GPU's, and its share of cores and memory.
    WithCoresAndMemory,
}

impl fmt::Display for PriceNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Billed { days } => {
                write!(f, "effective cost over GPU-hours of {days} complete days")
            }
            Self::Listed { spot, read_on, parts } => {
                f.write_str(if *spot { "spot, price list" } else { "on demand, price list" })?;
                if let Some(day) = read_on {
                    write!(f, " {day}")?;
                }
                match parts {
                    None => Ok(()),
                    Some(ListedParts::Whole) => f.write_str(": GPU with its share of the machine"),
                    Some(ListedParts::WithCoresAndMemory) => f.write_str(": GPU, cores and memory"),
                }
            }
            Self::Embedded { listed_on, own_region } => {
                f.write_str("on demand, embedded")?;
                if let Some(day) = listed_on {
                    write!(f, " {day}")?;
                }
                f.write_str(if *own_region { "" } else { ", of its usual region" })
            }
            Self::Configured => f.write_str("as configured"),
            Self::Told(note) => write!(f, "told by the central agent: {note}"),
            Self::Untold(note) => write!(f, "{note}; told by no central agent"),
        }
    }
}
