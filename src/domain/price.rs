//! Prices that a provider lists, before any discount.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::money::Money;

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
    /// What the price is for, in UCUM as the provider writes it: `h`, `GiBy.h`.
    pub unit: String,
    /// The price of one unit; always more than zero.
    pub price: Money,
    /// Since when it holds.
    pub effective_at: Option<Timestamp>,
}
