//! The truth of the simulated world: what each thing cost on each day, and when that was known.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::domain::breakdown::ChargeCategory;
use crate::domain::identity::Provider;
use crate::domain::money::Currency;
use crate::domain::period::BillingPeriod;
use crate::domain::ports::Clock;

/// One thing's cost on one day, as it is known at the instant that was asked for. Words are the
/// provider's own: `Amazon Elastic Compute Cloud - Compute`, `us-east-1`, `Compute Engine`.
#[derive(Debug, Clone, PartialEq)]
pub struct Charge {
    /// The provider.
    pub provider: Provider,
    /// The usage day in the provider's billing zone.
    pub day: Date,
    /// The invoice month that carries it.
    pub invoice_period: BillingPeriod,
    /// AWS linked account number, GCP project id, Azure subscription id.
    pub sub_account_id: String,
    /// Its name for people.
    pub sub_account_name: String,
    /// The service's name.
    pub service_name: String,
    /// GCP service id; the empty text elsewhere.
    pub service_id: String,
    /// The region; empty where the provider names none.
    pub region_id: String,
    /// The machine type for virtual machines.
    pub instance_type: Option<String>,
    /// GCP SKU description or Azure meter name; AWS usage type.
    pub sku: String,
    /// GCP SKU id or Azure meter id.
    pub sku_id: String,
    /// What kind of charge.
    pub category: ChargeCategory,
    /// AWS RECORD_TYPE, Azure ChargeType, GCP cost_type.
    pub record_type: String,
    /// Billed, before GCP's credits.
    pub billed: Decimal,
    /// Amortised, before GCP's credits.
    pub effective: Decimal,
    /// At list price.
    pub list: Decimal,
    /// The currency of the amounts.
    pub currency: Currency,
    /// How many of `currency` one US dollar is, where it is not the US dollar.
    pub per_usd: Option<Decimal>,
    /// How much was used.
    pub quantity: Decimal,
    /// In which unit: `Hrs`, `hour`, `1 Hour`, `GB-Mo`.
    pub unit: String,
    /// GCP credits: type (`COMMITTED_USAGE_DISCOUNT`, `PROMOTION`, ...), name and negative amount.
    pub credits: Vec<(String, String, Decimal)>,
    /// When the figure in its present form was published (GCP export_time).
    pub published_at: Timestamp,
    /// Whether the provider still calls it an estimate.
    pub estimated: bool,
}

/// What the servers need of a world. The scenario implements it; tests bring small worlds of their
/// own.
pub trait World: Send + Sync {
    /// The world's clock.
    fn clock(&self) -> Arc<dyn Clock>;

    /// Every charge of a provider that is published at an instant, in its form of that instant.
    fn charges(&self, provider: Provider, at: Timestamp) -> Arc<Vec<Charge>>;
}
