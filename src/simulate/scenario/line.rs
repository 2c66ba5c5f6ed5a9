//! Lines of a cloud's bill: what runs where, at which price, how much of it on which day.

use jiff::civil::{Date, Weekday};
use rust_decimal::Decimal;

use super::machines::machine_type;
use super::roll::Roll;
use crate::domain::breakdown::ChargeCategory;
use crate::domain::identity::Provider;
use crate::domain::money::Currency;
use crate::domain::period::BillingPeriod;
use crate::simulate::charge::Charge;

/// A linked account, project or subscription.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
}

/// One priced thing that somebody uses every day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) account: Account,
    pub(super) region: &'static str,
    pub(super) service: &'static str,
    pub(super) service_id: &'static str,
    pub(super) sku: &'static str,
    pub(super) instance_type: Option<&'static str>,
    pub(super) unit: &'static str,
    /// List price of one unit in US dollars.
    pub(super) price: Decimal,
    pub(super) usage: Usage,
    pub(super) terms: Terms,
}

/// How much of a thing is used.
#[derive(Debug, Clone, Copy)]
pub(super) enum Usage {
    /// So many units in every hour, day and night.
    AlwaysOn(u32),
    /// So many units on a working day and a percentage of that at the weekend, with noise.
    PerDay { units: Decimal, weekend_percent: u32, noise_per_mille: u32 },
}

/// On what terms a thing is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Terms {
    /// At list price, less a negotiated percentage.
    OnDemand { negotiated_percent: u32 },
    /// Covered by a commitment that was bought ahead: Savings Plan, reservation, committed use.
    Committed,
    /// The fee of a committed use discount, billed by the hour.
    CommitmentFee,
    /// With a credit of a type on top: a percentage of the cost.
    Credited { kind: &'static str, name: &'static str, percent: u32 },
}

/// On demand without a negotiated discount.
pub(super) const ON_DEMAND: Terms = Terms::OnDemand { negotiated_percent: 0 };

/// A decimal of the tables.
pub(super) fn decimal(text: &str) -> Decimal {
    text.parse().expect("the tables hold decimals")
}

/// A percentage as a factor.
pub(super) fn percent(value: u32) -> Decimal {
    Decimal::new(i64::from(value), 2)
}

/// How many decimals a provider tells of an amount.
pub(super) fn amount_decimals(provider: Provider) -> u32 {
    match provider {
        Provider::Aws => 10,
        Provider::Gcp => 6,
        Provider::Azure => 8,
    }
}

impl Line {
    /// The line with so many times the GPU machines, or the commitment that pays for them.
    pub(super) fn scaled(self, scale: u32) -> Self {
        let has_gpus = self.instance_type.and_then(machine_type).is_some();
        if !has_gpus && self.terms != Terms::CommitmentFee {
            return self;
        }
        let usage = match self.usage {
            Usage::AlwaysOn(units) => Usage::AlwaysOn(units.saturating_mul(scale)),
            Usage::PerDay { units, weekend_percent, noise_per_mille } => Usage::PerDay {
                units: units * Decimal::from(scale),
                weekend_percent,
                noise_per_mille,
            },
        };
        Self { usage, ..self }
    }

    /// How many units are used in every hour; none where that changes.
    pub(super) fn always_on(&self) -> Option<Decimal> {
        match self.usage {
            Usage::AlwaysOn(units) => Some(Decimal::from(units)),
            Usage::PerDay { .. } => None,
        }
    }

    /// How much is used on a billing day.
    pub(super) fn quantity(&self, provider: Provider, seed: u64, day: Date) -> Decimal {
        match self.usage {
            Usage::AlwaysOn(units) => Decimal::from(units) * hours_of(provider, day),
            Usage::PerDay { units, weekend_percent, noise_per_mille } => {
                // The parts of one machine are used together.
                let what = self.instance_type.unwrap_or(self.sku);
                let roll = Roll::new(seed).word(provider.as_str()).word(self.service).word(what);
                let month = BillingPeriod::containing(day).first_day();
                let level = roll.word("level").day(month).around_one(20);
                let noise = roll.word(self.account.id).day(day).around_one(noise_per_mille);
                let week = if is_weekend(day) { percent(weekend_percent) } else { Decimal::ONE };
                (units * week * level * noise).round_dp(6)
            }
        }
    }

    /// The charge of a quantity at list price, in the form of its day's end.
    pub(super) fn charge(
        &self,
        provider: Provider,
        record_type: &str,
        day: Date,
        quantity: Decimal,
    ) -> Charge {
        let cost = (self.price * quantity).round_dp(amount_decimals(provider));
        Charge {
            provider,
            day,
            invoice_period: BillingPeriod::containing(day),
            sub_account_id: self.account.id.to_owned(),
            sub_account_name: self.account.name.to_owned(),
            service_name: self.service.to_owned(),
            service_id: self.service_id.to_owned(),
            region_id: self.region.to_owned(),
            instance_type: self.instance_type.map(str::to_owned),
            sku: self.sku.to_owned(),
            sku_id: sku_id(provider, self.service, self.sku),
            category: ChargeCategory::Usage,
            record_type: record_type.to_owned(),
            billed: cost,
            effective: cost,
            list: cost,
            currency: Currency::USD,
            per_usd: None,
            quantity,
            unit: self.unit.to_owned(),
            credits: Vec::new(),
            published_at: provider.billing_zone().end_of(day),
            estimated: true,
        }
    }
}

/// A charge that no usage stands behind: tax, a credit, a refund, a fee.
pub(super) fn record(
    provider: Provider,
    account: Account,
    (service, sku): (&str, &str),
    category: ChargeCategory,
    record_type: &str,
    day: Date,
    amount: Decimal,
) -> Charge {
    let amount = amount.round_dp(amount_decimals(provider));
    Charge {
        provider,
        day,
        invoice_period: BillingPeriod::containing(day),
        sub_account_id: account.id.to_owned(),
        sub_account_name: account.name.to_owned(),
        service_name: service.to_owned(),
        service_id: String::new(),
        region_id: String::new(),
        instance_type: None,
        sku: sku.to_owned(),
        sku_id: sku_id(provider, service, sku),
        category,
        record_type: record_type.to_owned(),
        billed: amount,
        effective: amount,
        list: amount,
        currency: Currency::USD,
        per_usd: None,
        quantity: Decimal::ZERO,
        unit: String::new(),
        credits: Vec::new(),
        published_at: provider.billing_zone().end_of(day),
        estimated: true,
    }
}

/// An identifier in the provider's own shape, the same for every seed.
fn sku_id(provider: Provider, service: &str, sku: &str) -> String {
    let roll = Roll::new(0).word(provider.as_str()).word(service).word(sku);
    let hex = roll.hex().to_uppercase();
    match provider {
        Provider::Aws => hex.chars().take(16).collect(),
        Provider::Gcp => {
            let part = |from: usize| hex.chars().skip(from).take(4).collect::<String>();
            format!("{}-{}-{}", part(0), part(4), part(8))
        }
        Provider::Azure => roll.uuid(),
    }
}

/// Whether a day is a Saturday or a Sunday.
pub(super) fn is_weekend(day: Date) -> bool {
    matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
}

/// The length of a billing day: 23 or 25 hours where a Pacific clock is set.
pub(super) fn hours_of(provider: Provider, day: Date) -> Decimal {
    let zone = provider.billing_zone();
    let seconds = zone.end_of(day).as_second() - zone.start_of(day).as_second();
    Decimal::from(seconds) / Decimal::from(3600)
}
