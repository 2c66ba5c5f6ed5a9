//! Answers of BigQuery become rows of the domain. Money goes from the wire's text to a decimal.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use google_cloud_bigquery::query::Row;
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::collect::gcp::query::{Cut, GIVEN_CREDITS};
use crate::domain::breakdown::{Amounts, ChargeCategory, CostRow, Dimension, Quantity};
use crate::domain::money::Currency;
use crate::domain::period::BillingPeriod;
use crate::domain::report::{ControlTotal, EntityName, SourceError, SourceErrorKind};

/// A row of an answer, by column.
pub trait Cells {
    /// A cell's text; none where it is null or the column was not asked for.
    ///
    /// # Errors
    /// A cell that is not what its column's type says.
    fn text(&self, column: &str) -> Result<Option<String>, SourceError>;
}

impl Cells for Row {
    fn text(&self, column: &str) -> Result<Option<String>, SourceError> {
        use google_cloud_bigquery::error::RowError;
        match self.get::<Option<String>>(column) {
            Ok(text) => Ok(text),
            Err(RowError::ColumnNotFound(_)) => Ok(None),
            // Integers are numbers in the client's memory.
            Err(_) => match self.get::<Option<i64>>(column) {
                Ok(number) => Ok(number.map(|number| number.to_string())),
                Err(error) => Err(malformed(format!("column `{column}` is unreadable: {error}"))),
            },
        }
    }
}

/// What the days' question said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangedDays {
    /// Usage days, ascending.
    pub days: Vec<Date>,
    /// The newest export time among them.
    pub exported: Option<Timestamp>,
    /// The billing accounts of their rows, each once.
    pub accounts: Vec<String>,
}

/// Reads the answer to which days changed.
///
/// # Errors
/// Malformed.
pub fn changed_days(rows: &[impl Cells]) -> Result<ChangedDays, SourceError> {
    let mut changed = ChangedDays::default();
    for row in rows {
        changed.days.push(day(row)?);
        let account = row.text("account")?.unwrap_or_default();
        // The FOCUS export may write the resource name.
        changed.accounts.push(account.trim_start_matches("billingAccounts/").to_owned());
        changed.exported = changed.exported.max(Some(instant(row, "exported")?));
    }
    changed.days.sort_unstable();
    changed.days.dedup();
    changed.accounts.sort_unstable();
    changed.accounts.dedup();
    Ok(changed)
}

/// Reads control totals.
///
/// # Errors
/// Malformed: also a day that was not asked for or that is told twice.
pub fn control(rows: &[impl Cells], days: &[Date]) -> Result<Vec<ControlTotal>, SourceError> {
    let mut totals = BTreeMap::new();
    for row in rows {
        let (day, currency) = (asked_day(row, days)?, currency(row)?);
        let total = ControlTotal { day, currency, amounts: amounts(row)? };
        if totals.insert((day, currency), total).is_some() {
            return Err(malformed(format!("the total of `{day}` in `{currency}` came twice")));
        }
    }
    Ok(totals.into_values().collect())
}

type Identity = (Date, Vec<String>, ChargeCategory, Currency, Option<BillingPeriod>);

/// Reads a breakdown's rows, each identity once, in order.
///
/// # Errors
/// Malformed: also a day that was not asked for or a group that is told twice.
pub fn breakdown(
    rows: &[impl Cells],
    cut: &Cut,
    days: &[Date],
) -> Result<Vec<CostRow>, SourceError> {
    let mut found: BTreeMap<Identity, CostRow> = BTreeMap::new();
    for row in rows {
        let cost = cost_row(row, cut, days)?;
        if cut.by_category {
            for given in given_credits(row, &cost)? {
                gather(&mut found, given)?;
            }
            gather(&mut found, cost)?;
        } else {
            match found.entry(identity(&cost)) {
                Entry::Vacant(free) => free.insert(cost),
                Entry::Occupied(taken) => {
                    return Err(malformed(format!("the group {:?} came twice", taken.key())));
                }
            };
        }
    }
    Ok(found.into_values().collect())
}

/// The names of projects, each once; the alphabetically last one where a project was renamed.
///
/// # Errors
/// Malformed.
pub fn project_names(rows: &[impl Cells], cut: &Cut) -> Result<Vec<EntityName>, SourceError> {
    let place = cut.breakdown.dimensions.iter().position(|d| *d == Dimension::SubAccountId);
    let Some(place) = place else { return Ok(Vec::new()) };
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for row in rows {
        let key = row.text(&format!("key{place}"))?.unwrap_or_default();
        let name = row.text("sub_account_name")?.unwrap_or_default();
        if !key.is_empty() && !name.is_empty() {
            let known = names.entry(key).or_default();
            if *known < name {
                *known = name;
            }
        }
    }
    Ok(names
        .into_iter()
        .map(|(key, name)| EntityName { dimension: Dimension::SubAccountId, key, name })
        .collect())
}

fn cost_row(row: &impl Cells, cut: &Cut, days: &[Date]) -> Result<CostRow, SourceError> {
    let currency = currency(row)?;
    let keys = (0..cut.breakdown.dimensions.len())
        .map(|index| Ok(row.text(&format!("key{index}"))?.unwrap_or_default()))
        .collect::<Result<_, SourceError>>()?;
    let category = match row.text("category")? {
        Some(text) => {
            text.parse().map_err(|error| malformed(format!("column `category`: {error}")))?
        }
        None => ChargeCategory::Usage,
    };
    let invoice_period = match row.text("invoice_month")?.as_deref() {
        None | Some("") => None,
        Some(month) => Some(
            month.parse().map_err(|error| malformed(format!("column `invoice_month`: {error}")))?,
        ),
    };
    Ok(CostRow {
        day: asked_day(row, days)?,
        keys,
        category,
        currency,
        amounts: amounts(row)?,
        usd: usd(row, currency)?,
        quantity: if cut.gpus { quantity(row)? } else { None },
        invoice_period,
        estimated: false,
    })
}

/// The credits that are given, as rows of their own beside the cost that they were taken from.
fn given_credits(row: &impl Cells, cost: &CostRow) -> Result<Vec<CostRow>, SourceError> {
    let mut rows = Vec::new();
    for (index, kind) in GIVEN_CREDITS.iter().enumerate() {
        let amount = needed(row, &format!("credit{index}"))?;
        if amount.is_zero() {
            continue;
        }
        let dollars = match &cost.usd {
            Some(_) => decimal(row, &format!("credit{index}_usd"))?,
            None => None,
        };
        rows.push(CostRow {
            keys: vec![(*kind).to_owned()],
            category: ChargeCategory::Credit,
            amounts: given(amount),
            usd: dollars.map(given),
            ..cost.clone()
        });
    }
    Ok(rows)
}

/// A credit is money on the bill and none at list prices.
fn given(amount: Decimal) -> Amounts {
    Amounts { billed: Some(amount), effective: Some(amount), list: None }
}

fn identity(row: &CostRow) -> Identity {
    (row.day, row.keys.clone(), row.category, row.currency, row.invoice_period)
}

/// Adds a row to the one of the same identity. What is unknown in one is unknown in the sum.
fn gather(found: &mut BTreeMap<Identity, CostRow>, row: CostRow) -> Result<(), SourceError> {
    match found.entry(identity(&row)) {
        Entry::Vacant(free) => {
            free.insert(row);
        }
        Entry::Occupied(mut taken) => {
            let sum = taken.get_mut();
            sum.amounts = add(sum.amounts, row.amounts)?;
            sum.usd = match (sum.usd, row.usd) {
                (Some(left), Some(right)) => Some(add(left, right)?),
                _ => None,
            };
        }
    }
    Ok(())
}

fn add(left: Amounts, right: Amounts) -> Result<Amounts, SourceError> {
    let sum = |left: Option<Decimal>, right: Option<Decimal>| match (left, right) {
        (Some(left), Some(right)) => left
            .checked_add(right)
            .map(Some)
            .ok_or_else(|| malformed("a sum has more than 28 digits".to_owned())),
        _ => Ok(None),
    };
    Ok(Amounts {
        billed: sum(left.billed, right.billed)?,
        effective: sum(left.effective, right.effective)?,
        list: sum(left.list, right.list)?,
    })
}

/// A sum of a column that some rows lack is not their cost: it is unknown.
fn amounts(row: &impl Cells) -> Result<Amounts, SourceError> {
    let billed = needed(row, "billed")?;
    Ok(Amounts {
        billed: Some(billed),
        effective: Some(decimal(row, "effective")?.unwrap_or(billed)),
        list: complete(row, "unlisted", decimal(row, "list")?)?,
    })
}

fn usd(row: &impl Cells, currency: Currency) -> Result<Option<Amounts>, SourceError> {
    if currency == Currency::USD {
        return Ok(None);
    }
    let Some(billed) = complete(row, "unrated", decimal(row, "billed_usd")?)? else {
        return Ok(None);
    };
    Ok(Some(Amounts {
        billed: Some(billed),
        effective: Some(decimal(row, "effective_usd")?.unwrap_or(billed)),
        list: complete(row, "unlisted", decimal(row, "list_usd")?)?,
    }))
}

/// The amount, where no row lacked what it is made of.
fn complete(
    row: &impl Cells,
    lacking: &str,
    amount: Option<Decimal>,
) -> Result<Option<Decimal>, SourceError> {
    let lacking = decimal(row, lacking)?.unwrap_or_default();
    Ok(amount.filter(|_| lacking.is_zero()))
}

fn quantity(row: &impl Cells) -> Result<Option<Quantity>, SourceError> {
    let (amount, unit) = (decimal(row, "quantity")?, row.text("unit")?);
    let one_unit = unit == row.text("other_unit")?;
    Ok(match (amount, unit) {
        (Some(amount), Some(unit)) if one_unit => Some(Quantity { amount, unit }),
        _ => None,
    })
}

fn asked_day(row: &impl Cells, days: &[Date]) -> Result<Date, SourceError> {
    let day = day(row)?;
    if days.binary_search(&day).is_err() {
        return Err(malformed(format!("day `{day}` came without being asked for")));
    }
    Ok(day)
}

fn day(row: &impl Cells) -> Result<Date, SourceError> {
    let text = row.text("day")?.unwrap_or_default();
    text.parse().map_err(|_| malformed(format!("`{text}` in column `day` is not a date")))
}

fn currency(row: &impl Cells) -> Result<Currency, SourceError> {
    let text = row.text("currency")?.unwrap_or_default();
    text.parse().map_err(|_| malformed(format!("`{text}` in column `currency` is not a currency")))
}

/// Timestamps are asked for as microseconds since the epoch.
fn instant(row: &impl Cells, column: &str) -> Result<Timestamp, SourceError> {
    let text = row.text(column)?.unwrap_or_default();
    text.parse::<i64>()
        .ok()
        .and_then(|microseconds| Timestamp::from_microsecond(microseconds).ok())
        .ok_or_else(|| malformed(format!("`{text}` in column `{column}` is not a timestamp")))
}

fn needed(row: &impl Cells, column: &str) -> Result<Decimal, SourceError> {
    decimal(row, column)?.ok_or_else(|| malformed(format!("column `{column}` is null")))
}

fn decimal(row: &impl Cells, column: &str) -> Result<Option<Decimal>, SourceError> {
    let Some(text) = row.text(column)? else { return Ok(None) };
    text.parse()
        .or_else(|_| Decimal::from_scientific(&text))
        .map(Some)
        .map_err(|_| malformed(format!("`{text}` in column `{column}` is not a number")))
}

fn malformed(what: String) -> SourceError {
    SourceError::new(
        SourceErrorKind::Malformed,
        format!("failed to read an answer of BigQuery: {what}"),
    )
}
