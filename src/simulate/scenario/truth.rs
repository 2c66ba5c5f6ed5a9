//! What a month cost, added up from the charges of the world.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::domain::breakdown::ChargeCategory;
use crate::domain::money::Currency;
use crate::domain::period::BillingPeriod;
use crate::simulate::charge::Charge;

/// Spend on both bases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spend {
    /// As invoiced.
    pub billed: Decimal,
    /// Amortised.
    pub effective: Decimal,
}

/// The exact totals of one provider's billing period in one currency.
///
/// Spend is usage and purchases after negotiated and commitment discounts, before tax, refunds and
/// promotional credits. The breakdowns hold spend only, keyed by the provider's own words; the
/// empty text stands for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    /// The currency of every amount.
    pub currency: Currency,
    /// Spend as invoiced.
    pub spend_billed: Decimal,
    /// Spend, amortised.
    pub spend_effective: Decimal,
    /// Tax.
    pub tax: Decimal,
    /// Promotional credits and free tiers, negative.
    pub credit: Decimal,
    /// Refunds and adjustments, negative.
    pub refund: Decimal,
    /// Spend by service name.
    pub by_service: BTreeMap<String, Spend>,
    /// Spend by linked account, project or subscription id.
    pub by_sub_account: BTreeMap<String, Spend>,
    /// Spend by region.
    pub by_region: BTreeMap<String, Spend>,
    /// Spend by usage day.
    pub by_day: BTreeMap<Date, Spend>,
}

impl Truth {
    pub(super) fn of(charges: &[Charge], period: BillingPeriod, currency: Currency) -> Self {
        let mut truth = Self {
            currency,
            spend_billed: Decimal::ZERO,
            spend_effective: Decimal::ZERO,
            tax: Decimal::ZERO,
            credit: Decimal::ZERO,
            refund: Decimal::ZERO,
            by_service: BTreeMap::new(),
            by_sub_account: BTreeMap::new(),
            by_region: BTreeMap::new(),
            by_day: BTreeMap::new(),
        };
        for charge in charges.iter().filter(|charge| charge.invoice_period == period) {
            truth.add(charge);
        }
        truth
    }

    fn add(&mut self, charge: &Charge) {
        let (mut discounts, mut promotions) = (Decimal::ZERO, Decimal::ZERO);
        for (kind, _, amount) in &charge.credits {
            match kind.as_str() {
                "PROMOTION" | "FREE_TIER" => promotions += amount,
                _ => discounts += amount,
            }
        }
        self.credit += promotions;
        let spend =
            Spend { billed: charge.billed + discounts, effective: charge.effective + discounts };
        match charge.category {
            ChargeCategory::Usage | ChargeCategory::Purchase => self.add_spend(charge, spend),
            ChargeCategory::Tax => self.tax += spend.billed,
            ChargeCategory::Credit => self.credit += spend.billed,
            ChargeCategory::Adjustment => self.refund += spend.billed,
        }
    }

    fn add_spend(&mut self, charge: &Charge, spend: Spend) {
        self.spend_billed += spend.billed;
        self.spend_effective += spend.effective;
        for entry in [
            self.by_service.entry(charge.service_name.clone()).or_default(),
            self.by_sub_account.entry(charge.sub_account_id.clone()).or_default(),
            self.by_region.entry(charge.region_id.clone()).or_default(),
            self.by_day.entry(charge.day).or_default(),
        ] {
            entry.billed += spend.billed;
            entry.effective += spend.effective;
        }
    }
}
