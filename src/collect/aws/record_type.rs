//! Cost Explorer's RECORD_TYPE, the kind of a line of the bill, as FOCUS ChargeCategory.

use crate::domain::breakdown::ChargeCategory;

/// The record types that spend leaves out. The filter of the primary breakdown names exactly
/// these, so whatever else a bill holds, discounts of a contract among it, is in spend.
pub(crate) const EXCLUDED: [&str; 3] = ["Credit", "Refund", "Tax"];

/// The record types that are purchases, as the API and as the console spell them (Billing user
/// guide, "Term comparisons"; Cost Management user guide, "Charge type").
pub(crate) const PURCHASES: [&str; 15] = [
    "Fee",
    "FlatRateSubscription",
    "Other out-of-cycle charges",
    "RIFee",
    "Recurring reservation fee",
    "Savings Plan Recurring Fee",
    "Savings Plan Upfront Fee",
    "SavingsPlanRecurringFee",
    "SavingsPlanUpfrontFee",
    "Subscription",
    "Support",
    "Support fee",
    "Upfront",
    "Upfront reservation fee",
    "UpfrontReservationFee",
];

/// The category of a record type. What is in no list is usage: `Usage`, `DiscountedUsage`,
/// `SavingsPlanCoveredUsage` and its `SavingsPlanNegation`, and the discounts that make its price
/// (`Enterprise Discount Program Discount`, `Private Rate Card Discount`, `Bundled Discount`,
/// `Solution Provider Program Discount`, `Distributor Discount`, ...).
pub(crate) fn category(record_type: &str) -> ChargeCategory {
    match record_type {
        "Credit" => ChargeCategory::Credit,
        "Refund" => ChargeCategory::Adjustment,
        "Tax" => ChargeCategory::Tax,
        purchase if PURCHASES.contains(&purchase) => ChargeCategory::Purchase,
        _ => ChargeCategory::Usage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spend_leaves_out_exactly_what_the_filter_names() {
        for record_type in EXCLUDED {
            assert!(!category(record_type).in_spend(), "{record_type}");
        }
        for record_type in PURCHASES.into_iter().chain([
            "Usage",
            "DiscountedUsage",
            "SavingsPlanCoveredUsage",
            "SavingsPlanNegation",
            "Enterprise Discount Program Discount",
            "Private Rate Card Discount",
            "Distributor Discount",
            "A type of next year",
        ]) {
            assert!(category(record_type).in_spend(), "{record_type}");
        }
    }

    #[test]
    fn fees_are_purchases_and_covered_usage_is_usage() {
        assert_eq!(category("SavingsPlanUpfrontFee"), ChargeCategory::Purchase);
        assert_eq!(category("RIFee"), ChargeCategory::Purchase);
        assert_eq!(category("SavingsPlanNegation"), ChargeCategory::Usage);
        assert_eq!(category("Refund"), ChargeCategory::Adjustment);
    }
}
