//! What is true of a world, added up from its charges, and what a metrics page tells: both as exact
//! decimals.

use std::collections::BTreeMap;

use costband::domain::band::PeriodLabel;
use costband::domain::breakdown::{ChargeCategory, Dimension};
use costband::domain::identity::Provider;
use costband::domain::period::BillingPeriod;
use costband::domain::spend::SourceSpend;
use costband::simulate::charge::{Charge, World};
use costband::simulate::scenario::{Spend, Truth};
use jiff::Timestamp;
use rust_decimal::Decimal;

/// What a charge costs on both bases after the discounts, and what promotions give back.
pub fn net(charge: &Charge) -> (Spend, Decimal) {
    let mut spend = Spend { billed: charge.billed, effective: charge.effective };
    let mut given = Decimal::ZERO;
    for (kind, _, amount) in &charge.credits {
        if matches!(kind.as_str(), "PROMOTION" | "FREE_TIER") {
            given += amount;
        } else {
            spend.billed += amount;
            spend.effective += amount;
        }
    }
    (spend, given)
}

/// The spend of a period that is published at an instant and passes a filter.
pub fn spend_of(
    world: &dyn World,
    provider: Provider,
    period: BillingPeriod,
    at: Timestamp,
    passes: impl Fn(&Charge) -> bool,
) -> Spend {
    let mut sum = Spend::default();
    for charge in world.charges(provider, at).iter() {
        if charge.invoice_period == period && charge.category.in_spend() && passes(charge) {
            let (spend, _) = net(charge);
            sum.billed += spend.billed;
            sum.effective += spend.effective;
        }
    }
    sum
}

/// Everything that is true of a period: an independent sum, beside the scenario's own.
pub fn truth(world: &dyn World, provider: Provider, period: BillingPeriod, at: Timestamp) -> Truth {
    let mut truth = Truth {
        currency: costband::domain::money::Currency::USD,
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
    for charge in world.charges(provider, at).iter() {
        if charge.invoice_period != period {
            continue;
        }
        let (spend, given) = net(charge);
        truth.credit += given;
        match charge.category {
            ChargeCategory::Tax => truth.tax += spend.billed,
            ChargeCategory::Credit => truth.credit += spend.billed,
            ChargeCategory::Adjustment => truth.refund += spend.billed,
            ChargeCategory::Usage | ChargeCategory::Purchase => {
                truth.spend_billed += spend.billed;
                truth.spend_effective += spend.effective;
                for entry in [
                    truth.by_service.entry(charge.service_name.clone()).or_default(),
                    truth.by_sub_account.entry(charge.sub_account_id.clone()).or_default(),
                    truth.by_region.entry(charge.region_id.clone()).or_default(),
                    truth.by_day.entry(charge.day).or_default(),
                ] {
                    entry.billed += spend.billed;
                    entry.effective += spend.effective;
                }
            }
        }
    }
    truth
}

/// The open and the previous period of a provider at an instant.
pub fn periods(provider: Provider, at: Timestamp) -> [(PeriodLabel, BillingPeriod); 2] {
    let current = BillingPeriod::at(at, provider.billing_zone());
    [(PeriodLabel::Current, current), (PeriodLabel::Previous, current.previous())]
}

fn spend_of_amounts(amounts: &costband::domain::breakdown::Amounts) -> Spend {
    Spend { billed: amounts.billed.unwrap(), effective: amounts.effective.unwrap() }
}

/// Holds a source's spend in both periods against the truth: totals, days, every view, and what is
/// excluded.
pub fn assert_true(spend: &SourceSpend, world: &dyn World, at: Timestamp) {
    let provider = spend.provider;
    for (label, period) in periods(provider, at) {
        let truth = truth(world, provider, period, at);
        let told = spend.periods.iter().find(|told| told.label == label);
        let told = told.unwrap_or_else(|| panic!("{provider} has no {} period", label.as_str()));
        let place = format!("{provider} {period} at {at}");
        assert_eq!(told.period, period, "{place}");
        let currencies: Vec<_> = told.totals.keys().copied().collect();
        assert_eq!(currencies, [truth.currency], "{place}");
        let total = spend_of_amounts(&told.totals[&truth.currency]);
        let wanted = Spend { billed: truth.spend_billed, effective: truth.spend_effective };
        assert_eq!(total, wanted, "{place}: the total");
        let days: BTreeMap<_, _> =
            told.days.iter().map(|day| (day.day, spend_of_amounts(&day.amounts))).collect();
        assert_eq!(days, truth.by_day, "{place}: the days");
        for (dimension, wanted) in [
            (Dimension::ServiceName, &truth.by_service),
            (Dimension::SubAccountId, &truth.by_sub_account),
            (Dimension::RegionId, &truth.by_region),
        ] {
            let view: BTreeMap<String, Spend> = told.by[&dimension]
                .iter()
                .map(|((key, _), amounts)| (key.clone(), spend_of_amounts(amounts)))
                .collect();
            assert_eq!(&view, wanted, "{place}: by {dimension}");
        }
        for (category, wanted) in [
            (ChargeCategory::Tax, truth.tax),
            (ChargeCategory::Credit, truth.credit),
            (ChargeCategory::Adjustment, truth.refund),
        ] {
            // Cost Management Query tells neither tax nor credits.
            let untold = provider == Provider::Azure && category != ChargeCategory::Adjustment;
            let wanted = if untold { Decimal::ZERO } else { wanted };
            let excluded = told.excluded.get(&(truth.currency, category));
            let excluded = excluded.map_or(Decimal::ZERO, |amounts| amounts.billed.unwrap());
            assert_eq!(excluded, wanted, "{place}: excluded {}", category.as_str());
        }
    }
}

/// One series of a page: its name and its labels, in their order.
pub type Series = (String, Vec<(String, String)>);

/// Reads a page in the text exposition format. A value stays text, as it was written.
pub fn exposition(page: &str) -> BTreeMap<Series, String> {
    let mut found = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (series, value) = series(line);
        let before = found.insert(series, value.to_owned());
        assert_eq!(before, None, "the page tells a series twice: {line}");
    }
    found
}

fn series(line: &str) -> (Series, &str) {
    let Some((name, mut rest)) = line.split_once('{') else {
        let (name, value) = line.split_once(' ').unwrap();
        return ((name.to_owned(), Vec::new()), value);
    };
    let mut labels = Vec::new();
    loop {
        let (label, quoted) = rest.split_once("=\"").unwrap();
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        let end = loop {
            match chars.next().unwrap() {
                (at, '"') => break at + 1,
                (_, '\\') => match chars.next().unwrap().1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, c) => value.push(c),
            }
        };
        labels.push((label.to_owned(), value));
        rest = &quoted[end..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => break,
        }
    }
    let value = rest.strip_prefix("} ").unwrap();
    ((name.to_owned(), labels), value)
}

/// The figures of a page that tell money of a source, as exact decimals.
pub fn money(page: &str) -> BTreeMap<Series, Decimal> {
    let is_money = |name: &str| {
        name.starts_with("costband_")
            && (name.ends_with("billed_cost") || name.ends_with("effective_cost"))
            || name == "costband_excluded_cost"
    };
    exposition(page)
        .into_iter()
        .filter(|((name, _), _)| is_money(name))
        .map(|(series, value)| {
            let amount = value.parse().unwrap_or_else(|_| panic!("{series:?} is `{value}`"));
            (series, amount)
        })
        .collect()
}

/// The figures that a page should tell of a provider, made of the truth of both periods. What is
/// excluded and nothing may be missing, since it was never told.
pub fn expected(
    truth_of: impl Fn(BillingPeriod) -> Truth,
    provider: Provider,
    at: Timestamp,
) -> BTreeMap<Series, Decimal> {
    let mut expected = BTreeMap::new();
    let source = format!("{provider}-main");
    for (label, period) in periods(provider, at) {
        let truth = truth_of(period);
        let mut add = |name: &str, more: Option<(&str, &str)>, amount: Decimal| {
            let mut labels = vec![
                ("source".to_owned(), source.clone()),
                ("provider".to_owned(), provider.to_string()),
                ("currency".to_owned(), truth.currency.to_string()),
                ("period".to_owned(), label.as_str().to_owned()),
            ];
            labels.extend(more.map(|(label, value)| (label.to_owned(), value.to_owned())));
            expected.insert((format!("costband_{name}"), labels), amount);
        };
        add("billed_cost", None, truth.spend_billed);
        add("effective_cost", None, truth.spend_effective);
        for (kind, amount) in
            [("tax", truth.tax), ("credit", truth.credit), ("refund", truth.refund)]
        {
            if !amount.is_zero() {
                add("excluded_cost", Some(("kind", kind)), amount);
            }
        }
        for (prefix, label, view) in [
            ("service", "service_name", &truth.by_service),
            ("sub_account", "sub_account_id", &truth.by_sub_account),
            ("region", "region_id", &truth.by_region),
        ] {
            for (key, spend) in view {
                add(&format!("{prefix}_billed_cost"), Some((label, key)), spend.billed);
                add(&format!("{prefix}_effective_cost"), Some((label, key)), spend.effective);
            }
        }
    }
    expected
}

/// Holds every money series of a page against the truth of all three providers: no series is
/// missing, none is there too much, and each is exact.
pub fn assert_page_is_true(
    page: &str,
    at: Timestamp,
    truth_of: impl Fn(Provider, BillingPeriod) -> Truth,
) {
    let told = money(page);
    let mut wanted = BTreeMap::new();
    for provider in Provider::ALL {
        wanted.extend(expected(|period| truth_of(provider, period), provider, at));
    }
    for (series, amount) in &wanted {
        assert_eq!(told.get(series), Some(amount), "{series:?} at {at}");
    }
    for (series, amount) in &told {
        let nothing = series.0 == "costband_excluded_cost" && amount.is_zero();
        assert!(wanted.contains_key(series) || nothing, "{series:?} is {amount} and should not be");
    }
    assert!(wanted.len() > 60, "the truth has only {} series", wanted.len());
}
