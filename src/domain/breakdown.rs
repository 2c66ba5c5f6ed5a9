//! Breakdowns: the same money told along different dimensions, and the rows they are made of.
//!
//! Exactly one breakdown of a source is primary and makes totals. The others reconcile to it and
//! are never added to it.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::identity::SourceId;
use crate::domain::money::{CostBasis, Currency};
use crate::domain::period::BillingPeriod;

/// What a cost can be grouped by or filtered on (FOCUS ServiceName, SubAccountId, RegionId, ...).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// FOCUS ServiceName.
    ServiceName,
    /// FOCUS SubAccountId: AWS linked account, GCP project, Azure subscription.
    SubAccountId,
    /// FOCUS RegionId.
    RegionId,
    /// The machine type of a virtual machine, where the provider tells it (AWS).
    InstanceType,
    /// FOCUS SkuId or meter: the priced thing (GCP SKU description, Azure meter).
    Sku,
    /// FOCUS ChargeCategory.
    ChargeCategory,
}

impl Dimension {
    /// Every dimension.
    pub const ALL: [Self; 6] = [
        Self::ServiceName,
        Self::SubAccountId,
        Self::RegionId,
        Self::InstanceType,
        Self::Sku,
        Self::ChargeCategory,
    ];

    /// The word in labels, JSON, configuration and the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceName => "service_name",
            Self::SubAccountId => "sub_account_id",
            Self::RegionId => "region_id",
            Self::InstanceType => "instance_type",
            Self::Sku => "sku",
            Self::ChargeCategory => "charge_category",
        }
    }
}

impl FromStr for Dimension {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|dimension| dimension.as_str() == text)
            .ok_or_else(|| UnknownWord(text.to_owned()))
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is not in a closed list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a known word")]
pub struct UnknownWord(pub String);

/// FOCUS ChargeCategory: what kind of charge a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChargeCategory {
    /// Consumption, after negotiated and commitment discounts.
    Usage,
    /// Commitments, subscriptions, prepaid blocks.
    Purchase,
    /// Tax.
    Tax,
    /// Promotional credits and free tiers: money given, not a discount on a price.
    Credit,
    /// Refunds and corrections of earlier periods.
    Adjustment,
}

impl ChargeCategory {
    /// Every category.
    pub const ALL: [Self; 5] =
        [Self::Usage, Self::Purchase, Self::Tax, Self::Credit, Self::Adjustment];

    /// The categories that make *spend*: usage and purchases.
    pub fn in_spend(self) -> bool {
        matches!(self, Self::Usage | Self::Purchase)
    }

    /// The word in JSON, configuration and the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Purchase => "purchase",
            Self::Tax => "tax",
            Self::Credit => "credit",
            Self::Adjustment => "adjustment",
        }
    }

    /// The `kind` label of `excluded_cost`; none for what makes spend.
    pub fn excluded_kind(self) -> Option<&'static str> {
        match self {
            Self::Usage | Self::Purchase => None,
            Self::Tax => Some("tax"),
            Self::Credit => Some("credit"),
            Self::Adjustment => Some("refund"),
        }
    }
}

impl FromStr for ChargeCategory {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|category| category.as_str() == text)
            .ok_or_else(|| UnknownWord(text.to_owned()))
    }
}

/// What a breakdown is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BreakdownRole {
    /// Makes the source's totals. Holds spend only (usage and purchases). One for each source.
    Primary,
    /// Tells the whole of the primary's money again along other dimensions.
    Secondary,
    /// Tells the whole unfiltered money by charge category: its spend categories reconcile to the
    /// primary, its other categories are what the primary leaves out. One at most for each source.
    Categories,
    /// Tells a part of the primary's money: GPU machine types, or the scope of one band.
    Filtered,
}

impl BreakdownRole {
    /// The word in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::Categories => "categories",
            Self::Filtered => "filtered",
        }
    }
}

impl FromStr for BreakdownRole {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Primary, Self::Secondary, Self::Categories, Self::Filtered]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| UnknownWord(text.to_owned()))
    }
}

/// One way in which a source's money is told. Two breakdowns are the same one when every field is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Breakdown {
    /// The source.
    pub source: SourceId,
    /// A stable short name, unique within the source: `service_sub_account`, `band:training`.
    pub query: String,
    /// The filter in canonical text, empty for none. A changed filter is another breakdown.
    pub filter: String,
    /// What each row's keys are, in order.
    pub dimensions: Vec<Dimension>,
    /// What it is for.
    pub role: BreakdownRole,
}

/// A measured amount of use with its unit: `12.5 Hrs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantity {
    /// How much.
    pub amount: Decimal,
    /// The provider's own unit, as it is written.
    pub unit: String,
}

/// Amounts on several bases in one currency. `None` is unknown, never zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// FOCUS BilledCost.
    pub billed: Option<Decimal>,
    /// FOCUS EffectiveCost.
    pub effective: Option<Decimal>,
    /// FOCUS ListCost.
    pub list: Option<Decimal>,
}

impl Amounts {
    /// The amount on a basis.
    pub fn on(&self, basis: CostBasis) -> Option<Decimal> {
        match basis {
            CostBasis::Billed => self.billed,
            CostBasis::Effective => self.effective,
            CostBasis::List => self.list,
        }
    }
}

/// One day's cost of one group. Identified within its breakdown by day, keys, category, currency
/// and invoice period; a report holds each identity once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostRow {
    /// The usage day in the provider's billing zone (FOCUS ChargePeriod of one day).
    pub day: Date,
    /// One value for each dimension of the breakdown, in its order. Empty text where the provider
    /// names none (tax without a service, cost without a region).
    pub keys: Vec<String>,
    /// What kind of charge. In a primary breakdown that is not grouped by category: `Usage`.
    pub category: ChargeCategory,
    /// The billing currency.
    pub currency: Currency,
    /// The amounts in the billing currency.
    pub amounts: Amounts,
    /// The provider's own figures in US dollars where the billing currency is another one
    /// (Azure `CostUSD`, GCP `currency_conversion_rate`).
    pub usd: Option<Amounts>,
    /// Use, where the breakdown asks for it.
    pub quantity: Option<Quantity>,
    /// The invoice that carries the row, where the provider tells it apart from the day (GCP).
    pub invoice_period: Option<BillingPeriod>,
    /// The provider itself calls the figure an estimate (AWS `Estimated`).
    pub estimated: bool,
}

impl CostRow {
    /// The billing period whose bill the row is on: the invoice's, else the day's.
    pub fn period(&self) -> BillingPeriod {
        self.invoice_period.unwrap_or_else(|| BillingPeriod::containing(self.day))
    }
}
