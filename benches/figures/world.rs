//! A bill of any size: rows for the ledger, charges for the simulated clouds, a configuration that
//! reads them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use costband::app::setup::Setup;
use costband::collect::Source;
use costband::domain::breakdown::{
    Amounts, Breakdown, BreakdownRole, ChargeCategory, CostRow, Dimension, Quantity,
};
use costband::domain::identity::Provider;
use costband::domain::money::Currency;
use costband::domain::period::{BillingPeriod, Window, next_day};
use costband::domain::ports::Clock;
use costband::domain::report::{BreakdownReading, ControlTotal, EntityName, SourceReport};
use costband::runtime::clock::SystemClock;
use costband::simulate::charge::{Charge, World};
use costband::store::Ledger;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};
use rust_decimal::Decimal;

/// The account that the simulated Cost Explorer belongs to.
const PAYER: &str = "111122223333";

/// How large a bill is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Days up to and with today.
    pub days: i64,
    /// Services, each in every account.
    pub services: u32,
    /// Linked accounts, projects, subscriptions.
    pub accounts: u32,
}

impl Size {
    fn window(self, provider: Provider, now: Timestamp) -> Window {
        let end = next_day(provider.billing_zone().day_of(now));
        Window::new(end.saturating_sub(self.days.days()), end)
    }
}

/// The text of a configuration: AWS alone at an address, or all three where nobody answers.
pub fn configuration(folder: &Path, listen: SocketAddr, aws: Option<SocketAddr>) -> String {
    let folder = folder.display();
    let nobody = "http://127.0.0.1:9";
    let aws_url = aws.map_or(nobody.to_owned(), |address| format!("http://{address}"));
    let head = format!(
        r#"listen: {listen}
log: {{filter: warn}}
store: {{path: "{folder}/costband.db"}}
series: {{limit_per_dimension: 10000}}
sources:
  aws:
    - name: aws-main
      account: "{PAYER}"
      credentials:
        static:
          access_key_id: AKIASIMULATED0000000
          secret_access_key: {{file: "{folder}/secret"}}
      endpoints: {{cost_explorer: {aws_url}, sts: {aws_url}}}
"#
    );
    if aws.is_some() {
        return head;
    }
    format!(
        r#"{head}  gcp:
    - name: gcp-main
      billing_account: 01ABCD-2EF345-6789AB
      project: finops
      dataset: billing
      credentials: {{anonymous: true}}
      endpoints: {{bigquery: {nobody}, billing: {nobody}}}
  azure:
    - name: azure-main
      scope: /providers/Microsoft.Billing/billingAccounts/70664866
      credentials:
        method: client_secret
        tenant_id: 7d1d4d4c-3f0a-4d55-9d0a-0c8a1d5f1c01
        client_id: 2b5f6a1e-8a44-4d0e-b3c5-6f3e9f7a2d02
        client_secret: {{file: "{folder}/secret"}}
      endpoints: {{resource_manager: {nobody}, authority: {nobody}}}
"#
    )
}

/// Reads a configuration as the agent does.
pub fn setup(folder: &Path, aws: Option<SocketAddr>) -> anyhow::Result<Setup> {
    std::fs::write(folder.join("secret"), "simulated").context("failed to write the secret")?;
    let text = configuration(folder, SocketAddr::from(([127, 0, 0, 1], 0)), aws);
    Setup::from_text(&text, std::iter::empty())
        .map_err(|problems| anyhow::anyhow!("the configuration is not valid: {problems}"))
}

/// Fills a ledger as two good polls of every source would, eight hours apart, the newest one now.
/// Gives the number of rows in it.
pub fn fill(ledger: &mut Ledger, setup: &Setup, size: Size) -> anyhow::Result<u64> {
    let now = Timestamp::now();
    let mut rows = 0;
    for source in &setup.sources {
        for hours in [8, 0] {
            let at = now.saturating_sub(SignedDuration::from_hours(hours))?;
            let report = report(source.as_ref(), size, at, now);
            let next = now.saturating_add(SignedDuration::from_hours(24))?;
            let committed = ledger.commit(&report, Some(next))?;
            if hours == 0 {
                rows += u64::try_from(committed.rows)?;
            }
        }
    }
    Ok(rows)
}

fn report(source: &dyn Source, size: Size, observed_at: Timestamp, now: Timestamp) -> SourceReport {
    let descriptor = source.descriptor();
    let provider = descriptor.provider;
    let window = size.window(provider, now);
    let breakdowns: Vec<BreakdownReading> = descriptor
        .breakdowns
        .iter()
        .map(|breakdown| BreakdownReading {
            breakdown: breakdown.clone(),
            rows: window.days().flat_map(|day| rows(breakdown, provider, day, size)).collect(),
        })
        .collect();
    let mut totals: BTreeMap<Date, Amounts> = BTreeMap::new();
    let primary = breakdowns.iter().filter(|r| r.breakdown.role == BreakdownRole::Primary);
    for row in primary.flat_map(|reading| &reading.rows) {
        let sum = totals.entry(row.day).or_default();
        let add = |a: Option<Decimal>, b: Option<Decimal>| Some(a.unwrap_or_default() + b?);
        sum.billed = add(sum.billed, row.amounts.billed);
        sum.effective = add(sum.effective, row.amounts.effective);
    }
    SourceReport {
        source: descriptor.id.clone(),
        provider,
        window,
        days: window.days().collect(),
        breakdowns,
        control_totals: totals
            .into_iter()
            .map(|(day, amounts)| ControlTotal { day, currency: Currency::USD, amounts })
            .collect(),
        names: (0..size.accounts)
            .map(|number| EntityName {
                dimension: Dimension::SubAccountId,
                key: account(number),
                name: format!("team-{number}"),
            })
            .collect(),
        budgets: Vec::new(),
        data_through: None,
        cursor: None,
        observed_at,
    }
}

fn rows(breakdown: &Breakdown, provider: Provider, day: Date, size: Size) -> Vec<CostRow> {
    let mut groups: Vec<Vec<String>> = vec![Vec::new()];
    for dimension in &breakdown.dimensions {
        let values = values(*dimension, size);
        groups = groups
            .iter()
            .flat_map(|group| {
                values
                    .iter()
                    .map(move |value| [group.as_slice(), std::slice::from_ref(value)].concat())
            })
            .collect();
    }
    groups
        .into_iter()
        .enumerate()
        .map(|(number, keys)| {
            let (billed, effective) = amounts(provider, day, number);
            let category = keys
                .iter()
                .find_map(|key| key.to_lowercase().parse::<ChargeCategory>().ok())
                .filter(|_| breakdown.role == BreakdownRole::Categories);
            CostRow {
                day,
                keys,
                category: category.unwrap_or(ChargeCategory::Usage),
                currency: Currency::USD,
                amounts: Amounts {
                    billed: Some(billed),
                    effective: Some(effective),
                    list: (provider == Provider::Gcp).then_some(billed),
                },
                usd: None,
                quantity: (provider == Provider::Aws)
                    .then(|| Quantity { amount: billed.round_dp(4), unit: "Hrs".to_owned() }),
                invoice_period: (provider == Provider::Gcp).then(|| BillingPeriod::containing(day)),
                estimated: false,
            }
        })
        .collect()
}

fn values(dimension: Dimension, size: Size) -> Vec<String> {
    match dimension {
        Dimension::ServiceName => (0..size.services).map(service).collect(),
        Dimension::SubAccountId => (0..size.accounts).map(account).collect(),
        Dimension::RegionId => (0..10).map(region).collect(),
        Dimension::InstanceType | Dimension::Sku => {
            (0..5).map(|number| format!("p5.{number}xlarge")).collect()
        }
        Dimension::ChargeCategory => ["Usage", "Tax", "Credit"].map(str::to_owned).to_vec(),
    }
}

fn service(number: u32) -> String {
    match number {
        0 => "Amazon Elastic Compute Cloud - Compute".to_owned(),
        _ => format!("Service Number {number:04}"),
    }
}

fn account(number: u32) -> String {
    format!("{:012}", 100_000_000_000_u64 + u64::from(number) * 7_919)
}

fn region(number: u32) -> String {
    format!("us-east-{number}")
}

/// Billed and effective cost of a group on a day, always the same one, with as many decimals as
/// the provider writes. Every fifth effective cost differs from the billed one.
fn amounts(provider: Provider, day: Date, group: usize) -> (Decimal, Decimal) {
    let decimals = match provider {
        Provider::Aws => 10,
        Provider::Gcp => 6,
        Provider::Azure => 12,
    };
    let day = u64::try_from(day.day_of_year()).unwrap_or(0);
    let seed = day.wrapping_mul(1_000_003).wrapping_add(u64::try_from(group).unwrap_or(0));
    let draw = scrambled(seed);
    // From a cent to a few hundred dollars.
    let scale = 10_i64.saturating_pow(decimals - 2);
    let below = i64::try_from(draw % 1_000_000).unwrap_or(0);
    let cents = i64::try_from((draw >> 20) % 30_000).unwrap_or(0) + 1;
    let billed = Decimal::new(cents * scale + below, decimals);
    let effective = if draw.is_multiple_of(5) {
        (billed * Decimal::new(9, 1)).round_dp(decimals)
    } else {
        billed
    };
    (billed, effective)
}

/// A number that looks like chance (the finaliser of splitmix64).
fn scrambled(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A world whose AWS bill has a size.
pub struct Bill(Arc<Vec<Charge>>);

impl Bill {
    /// The bill as of now.
    pub fn new(size: Size) -> Self {
        let now = Timestamp::now();
        let mut charges = Vec::new();
        for day in size.window(Provider::Aws, now).days() {
            let groups = (0..size.services).flat_map(|s| (0..size.accounts).map(move |a| (s, a)));
            for (number, (service_number, account_number)) in groups.enumerate() {
                charges.push(charge(day, number, service_number, account_number, now));
            }
        }
        Self(Arc::new(charges))
    }
}

fn charge(
    day: Date,
    number: usize,
    service_number: u32,
    account_number: u32,
    now: Timestamp,
) -> Charge {
    let (billed, effective) = amounts(Provider::Aws, day, number);
    Charge {
        provider: Provider::Aws,
        day,
        invoice_period: BillingPeriod::containing(day),
        sub_account_id: account(account_number),
        sub_account_name: format!("team-{account_number}"),
        service_name: service(service_number),
        service_id: String::new(),
        region_id: region(service_number % 10),
        instance_type: (service_number == 0).then(|| "p5.48xlarge".to_owned()),
        sku: "BoxUsage:p5.48xlarge".to_owned(),
        sku_id: String::new(),
        category: ChargeCategory::Usage,
        record_type: "Usage".to_owned(),
        billed,
        effective,
        list: billed,
        currency: Currency::USD,
        per_usd: None,
        quantity: billed.round_dp(4),
        unit: "Hrs".to_owned(),
        credits: Vec::new(),
        published_at: now,
        estimated: false,
    }
}

impl World for Bill {
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    fn charges(&self, provider: Provider, _at: Timestamp) -> Arc<Vec<Charge>> {
        if provider == Provider::Aws { Arc::clone(&self.0) } else { Arc::default() }
    }
}
