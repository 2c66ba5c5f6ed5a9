//! What Google's export schemas call the things that are asked for.

use crate::collect::gcp::config::TableKind;
use crate::collect::gcp::query::Partition;
use crate::domain::breakdown::Dimension;

/// Credits that are money given and not a discount on a price. Google's own reports put the
/// unspecified ones beside promotions. Every other type, also one that Google adds later, is a
/// discount and lowers spend.
pub const GIVEN_CREDITS: [&str; 3] = ["PROMOTION", "FREE_TIER", "CREDIT_TYPE_UNSPECIFIED"];

/// The names of one schema.
pub struct Words {
    /// When use began: decides the day.
    pub usage_start: &'static str,
    /// When the row was exported.
    pub export_time: &'static str,
    /// The billing account.
    pub account: &'static str,
    /// The service.
    pub service: &'static str,
    /// The project's id.
    pub project: &'static str,
    /// The project's name.
    pub project_name: &'static str,
    /// The region.
    pub region: &'static str,
    /// The SKU's description.
    pub sku: &'static str,
    /// The billing currency.
    pub currency: &'static str,
    /// The invoice's month, `YYYYMM`.
    pub invoice_month: &'static str,
    /// What the provider calls the kind of charge.
    pub cost_type: &'static str,
    /// The charge category, in the domain's words.
    pub category: &'static str,
    /// Whether a row is usage or a purchase.
    pub in_spend: &'static str,
    /// The billed cost.
    pub cost: &'static str,
    /// The amortised cost, where the schema has one.
    pub effective: Option<&'static str>,
    /// Whether `cost` has every credit in it already.
    pub net: bool,
    /// The cost at list prices.
    pub list: &'static str,
    /// How many of the currency a US dollar is.
    pub rate: &'static str,
    /// The credits, repeated.
    pub credits: &'static str,
    /// A credit's type.
    pub credit_type: &'static str,
    /// A credit's amount, below zero.
    pub credit_amount: &'static str,
    /// How much was used, in pricing units.
    pub quantity: &'static str,
    /// The pricing unit.
    pub unit: &'static str,
}

const EXPORT: Words = Words {
    usage_start: "usage_start_time",
    export_time: "export_time",
    account: "billing_account_id",
    service: "service.description",
    project: "project.id",
    project_name: "project.name",
    // `region` is null for what is global or in a multi-region; `location` names that.
    region: "IFNULL(location.region, location.location)",
    sku: "sku.description",
    currency: "currency",
    invoice_month: "invoice.month",
    cost_type: "cost_type",
    category: "CASE WHEN cost_type = 'tax' THEN 'tax' \
               WHEN cost_type = 'adjustment' THEN 'adjustment' \
               WHEN sku.description LIKE 'Commitment%' THEN 'purchase' ELSE 'usage' END",
    in_spend: "IFNULL(cost_type, 'regular') NOT IN ('tax', 'adjustment')",
    cost: "cost",
    effective: None,
    net: false,
    list: "cost_at_list",
    rate: "currency_conversion_rate",
    credits: "credits",
    credit_type: "type",
    credit_amount: "amount",
    quantity: "usage.amount_in_pricing_units",
    unit: "usage.pricing_unit",
};

const FOCUS: Words = Words {
    usage_start: "ChargePeriodStart",
    export_time: "x_ExportTime",
    account: "BillingAccountId",
    service: "ServiceName",
    project: "SubAccountId",
    project_name: "SubAccountName",
    region: "RegionId",
    sku: "ChargeDescription",
    currency: "BillingCurrency",
    // The period starts at midnight UTC or Pacific of the 1st: the same month in UTC.
    invoice_month: "FORMAT_TIMESTAMP('%Y%m', BillingPeriodStart)",
    cost_type: "x_CostType",
    category: "CASE WHEN ChargeCategory = 'Tax' THEN 'tax' \
               WHEN ChargeCategory = 'Credit' THEN 'credit' \
               WHEN ChargeCategory = 'Adjustment' THEN 'adjustment' \
               WHEN ChargeCategory = 'Purchase' THEN 'purchase' ELSE 'usage' END",
    in_spend: "IFNULL(ChargeCategory, 'Usage') NOT IN ('Tax', 'Credit', 'Adjustment')",
    cost: "BilledCost",
    effective: Some("EffectiveCost"),
    net: true,
    list: "ListCost",
    rate: "x_CurrencyConversionRate",
    credits: "x_Credits",
    credit_type: "Type",
    credit_amount: "Amount",
    quantity: "PricingQuantity",
    unit: "PricingUnit",
};

/// The names of an export's schema.
pub fn words(kind: TableKind) -> &'static Words {
    match kind {
        TableKind::Standard | TableKind::Detailed => &EXPORT,
        TableKind::Focus => &FOCUS,
    }
}

impl Words {
    /// The usage day in Google's billing zone.
    pub fn day(&self) -> String {
        format!("DATE({}, 'America/Los_Angeles')", self.usage_start)
    }

    /// What a dimension is called; none for what the export does not tell.
    pub fn dimension(&self, dimension: Dimension) -> Option<&'static str> {
        match dimension {
            Dimension::ServiceName => Some(self.service),
            Dimension::SubAccountId => Some(self.project),
            Dimension::RegionId => Some(self.region),
            Dimension::Sku => Some(self.sku),
            Dimension::ChargeCategory => Some(self.cost_type),
            Dimension::InstanceType => None,
        }
    }

    /// The sum of a row's credits whose type is, or is not, in the list.
    pub fn credit(&self, types: &[&str], within: bool) -> String {
        let list = types.iter().map(|t| format!("'{t}'")).collect::<Vec<_>>().join(", ");
        format!(
            "IFNULL((SELECT SUM(CAST(c.{amount} AS NUMERIC)) FROM UNNEST({credits}) AS c \
             WHERE IFNULL(c.{kind}, ''){not} IN ({list})), 0)",
            amount = self.credit_amount,
            credits = self.credits,
            kind = self.credit_type,
            not = if within { "" } else { " NOT" },
        )
    }

    /// A cost column with the credits that lower spend, and without those that are given.
    pub fn spend(&self, cost: &str) -> String {
        if self.net {
            format!("CAST({cost} AS NUMERIC) - {}", self.credit(&GIVEN_CREDITS, true))
        } else {
            format!("CAST({cost} AS NUMERIC) + {}", self.credit(&GIVEN_CREDITS, false))
        }
    }
}

/// The top-level columns without which a table is not the export that it is said to be.
pub fn needed_columns(kind: TableKind) -> &'static [&'static str] {
    match kind {
        TableKind::Standard | TableKind::Detailed => &[
            "billing_account_id",
            "service",
            "sku",
            "usage_start_time",
            "project",
            "location",
            "cost",
            "currency",
            "credits",
            "invoice",
            "cost_type",
            "export_time",
        ],
        TableKind::Focus => &[
            "BillingAccountId",
            "ServiceName",
            "ChargeDescription",
            "ChargePeriodStart",
            "SubAccountId",
            "SubAccountName",
            "RegionId",
            "BilledCost",
            "EffectiveCost",
            "BillingCurrency",
            "x_Credits",
            "BillingPeriodStart",
            "ChargeCategory",
            "x_CostType",
            "x_ExportTime",
        ],
    }
}

/// The top-level columns that old tables and the preview may lack: of list cost, of the rate to
/// the US dollar, and of use.
pub fn optional_columns(kind: TableKind) -> (&'static str, &'static str, &'static [&'static str]) {
    let words = words(kind);
    let used: &[&str] = match kind {
        TableKind::Standard | TableKind::Detailed => &["usage"],
        TableKind::Focus => &["PricingQuantity", "PricingUnit"],
    };
    (words.list, words.rate, used)
}

/// How a table that is partitioned by a column, or by none (`_PARTITIONTIME`), serves.
pub fn partition_by(kind: TableKind, column: Option<&str>) -> Partition {
    match column {
        None => Partition::LoadDay,
        Some(column) if column == words(kind).export_time => Partition::ExportTime,
        Some(_) => Partition::Other,
    }
}

/// Whether a dimension can be asked for.
pub fn can_ask(kind: TableKind, dimension: Dimension) -> bool {
    words(kind).dimension(dimension).is_some()
}
