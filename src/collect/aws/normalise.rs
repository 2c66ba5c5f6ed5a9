//! From the pages of one question to the rows of its breakdown, or to the reason why they are not
//! what Cost Explorer documents.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::str::FromStr;

use aws_sdk_costexplorer::operation::get_cost_and_usage::GetCostAndUsageOutput;
use aws_sdk_costexplorer::types as wire;
use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::collect::aws::classify::quote;
use crate::collect::aws::record_type;
use crate::collect::aws::request::{OPERATION, Query, from_wire};
use crate::domain::breakdown::{
    Amounts, BreakdownRole, ChargeCategory, CostRow, Dimension, Quantity,
};
use crate::domain::money::Currency;
use crate::domain::period::{Window, next_day};
use crate::domain::report::{ControlTotal, EntityName, SourceError, SourceErrorKind};

/// What the pages of one question held so far.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    query: &'a Query,
    window: Window,
    seen: HashSet<(Date, Vec<String>)>,
    rows: Vec<CostRow>,
    names: BTreeMap<String, String>,
}

/// One group's figures of one day.
struct Figures {
    amounts: Amounts,
    currency: Option<Currency>,
    quantity: Option<Quantity>,
}

impl Figures {
    fn is_zero(&self) -> bool {
        let zero = |amount: Option<Decimal>| amount.is_none_or(|amount| amount.is_zero());
        zero(self.amounts.billed)
            && zero(self.amounts.effective)
            && zero(self.quantity.as_ref().map(|quantity| quantity.amount))
    }
}

impl<'a> Reading<'a> {
    /// Nothing read yet.
    pub(crate) fn new(query: &'a Query, window: Window) -> Self {
        Self { query, window, seen: HashSet::new(), rows: Vec::new(), names: BTreeMap::new() }
    }

    /// Takes a page in.
    ///
    /// # Errors
    /// `Malformed`, with the day and the value, for anything that is not as documented.
    pub(crate) fn page(&mut self, page: &GetCostAndUsageOutput) -> Result<(), SourceError> {
        for result in page.results_by_time() {
            let day = self.day(result)?;
            if self.query.breakdown.dimensions.is_empty() {
                if let Some(group) = result.groups().first() {
                    return Err(self.wrong(
                        Some(day),
                        format!("a group {:?} that was not asked for", group.keys()),
                    ));
                }
                if let Some(total) = result.total().filter(|total| !total.is_empty()) {
                    self.group(day, Vec::new(), Some(total), result.estimated())?;
                }
            }
            for group in result.groups() {
                let keys = group.keys().to_vec();
                self.group(day, keys, group.metrics(), result.estimated())?;
            }
        }
        self.names_of(page);
        Ok(())
    }

    /// The rows, ordered by day and keys.
    pub(crate) fn rows(self) -> Vec<CostRow> {
        let mut rows = self.rows;
        rows.sort_by(|a, b| (a.day, &a.keys).cmp(&(b.day, &b.keys)));
        rows
    }

    /// What people call the sub-accounts.
    pub(crate) fn names(&self) -> Vec<EntityName> {
        self.names
            .iter()
            .map(|(key, name)| EntityName {
                dimension: Dimension::SubAccountId,
                key: key.clone(),
                name: name.clone(),
            })
            .collect()
    }

    fn day(&self, result: &wire::ResultByTime) -> Result<Date, SourceError> {
        let Some(period) = result.time_period() else {
            return Err(self.wrong(None, "a result without a time period".to_owned()));
        };
        let read = |text: &str| {
            Date::from_str(text)
                .map_err(|_| self.wrong(None, format!("{} where a day belongs", quote(text))))
        };
        let (start, end) = (read(period.start())?, read(period.end())?);
        if !self.window.contains(start) {
            return Err(self.wrong(Some(start), format!("a day outside of {}", self.window)));
        }
        if end != next_day(start) {
            return Err(self.wrong(Some(start), format!("a period until {end}, not of one day")));
        }
        Ok(start)
    }

    fn group(
        &mut self,
        day: Date,
        keys: Vec<String>,
        metrics: Option<&HashMap<String, wire::MetricValue>>,
        estimated: bool,
    ) -> Result<(), SourceError> {
        let dimensions = &self.query.breakdown.dimensions;
        if keys.len() != dimensions.len() {
            let problem =
                format!("a group of {} keys where {} belong", keys.len(), dimensions.len());
            return Err(self.wrong(Some(day), problem));
        }
        let keys: Vec<String> = dimensions
            .iter()
            .zip(&keys)
            .map(|(dimension, key)| from_wire(*dimension, key))
            .collect();
        let metrics = metrics.ok_or_else(|| self.wrong(Some(day), "no metrics".to_owned()))?;
        let figures = self.figures(day, metrics)?;
        if !self.seen.insert((day, keys.clone())) {
            return Err(self.wrong(Some(day), format!("the group {keys:?} twice")));
        }
        if figures.is_zero() || !self.query.keeps(&keys) {
            return Ok(());
        }
        let Some(currency) = figures.currency else {
            return Err(self.wrong(Some(day), format!("the group {keys:?} without a currency")));
        };
        self.rows.push(CostRow {
            day,
            category: self.category(&keys),
            keys,
            currency,
            amounts: figures.amounts,
            usd: None,
            quantity: figures.quantity,
            invoice_period: None,
            estimated,
        });
        Ok(())
    }

    fn category(&self, keys: &[String]) -> ChargeCategory {
        match (self.query.breakdown.role, keys.first()) {
            (BreakdownRole::Categories, Some(record_type)) => record_type::category(record_type),
            _ => ChargeCategory::Usage,
        }
    }

    fn figures(
        &self,
        day: Date,
        metrics: &HashMap<String, wire::MetricValue>,
    ) -> Result<Figures, SourceError> {
        let (billed, billed_unit) = self.cost(day, metrics, "UnblendedCost")?;
        let (effective, effective_unit) = self.cost(day, metrics, "AmortizedCost")?;
        if billed_unit != effective_unit {
            return Err(self.wrong(
                Some(day),
                format!("{} and {} in one row", quote(billed_unit), quote(effective_unit)),
            ));
        }
        let quantity = match metrics.get("UsageQuantity").filter(|_| self.query.quantity) {
            Some(metric) => Some(Quantity {
                amount: self.decimal(day, "UsageQuantity", metric)?,
                unit: metric.unit().unwrap_or_default().to_owned(),
            }),
            None => None,
        };
        let currency = match Currency::from_str(billed_unit) {
            Ok(currency) => Some(currency),
            Err(_) if billed.is_zero() && effective.is_zero() => None,
            Err(_) => {
                let problem = format!("{} where a currency belongs", quote(billed_unit));
                return Err(self.wrong(Some(day), problem));
            }
        };
        let amounts = Amounts { billed: Some(billed), effective: Some(effective), list: None };
        Ok(Figures { amounts, currency, quantity })
    }

    fn cost<'m>(
        &self,
        day: Date,
        metrics: &'m HashMap<String, wire::MetricValue>,
        name: &str,
    ) -> Result<(Decimal, &'m str), SourceError> {
        let metric = metrics
            .get(name)
            .ok_or_else(|| self.wrong(Some(day), format!("no {}", quote(name))))?;
        Ok((self.decimal(day, name, metric)?, metric.unit().unwrap_or_default()))
    }

    fn decimal(
        &self,
        day: Date,
        name: &str,
        metric: &wire::MetricValue,
    ) -> Result<Decimal, SourceError> {
        let text = metric.amount().unwrap_or_default();
        decimal(text).ok_or_else(|| {
            self.wrong(Some(day), format!("{name} {} where a decimal belongs", quote(text)))
        })
    }

    fn names_of(&mut self, page: &GetCostAndUsageOutput) {
        if !self.query.breakdown.dimensions.contains(&Dimension::SubAccountId) {
            return;
        }
        for described in page.dimension_value_attributes() {
            let name = described
                .attributes()
                .and_then(|attributes| attributes.get("description"))
                .filter(|name| !name.trim().is_empty());
            if let (Some(key), Some(name)) = (described.value(), name) {
                self.names.insert(key.to_owned(), name.clone());
            }
        }
    }

    fn wrong(&self, day: Option<Date>, problem: String) -> SourceError {
        let on = day.map(|day| format!(" on {day}")).unwrap_or_default();
        SourceError::new(
            SourceErrorKind::Malformed,
            format!("{OPERATION} answered `{}` with {problem}{on}", self.query.name()),
        )
    }
}

/// The control totals of ungrouped rows.
pub(crate) fn control_totals(rows: Vec<CostRow>) -> Vec<ControlTotal> {
    rows.into_iter()
        .map(|row| ControlTotal { day: row.day, currency: row.currency, amounts: row.amounts })
        .collect()
}

/// An amount as AWS writes it: `12.3400000001`, `-0.5`, `4.2E-10`. None for anything else, the
/// separators that the decimal type would also take among it.
pub(crate) fn decimal(text: &str) -> Option<Decimal> {
    let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.');
    if text.bytes().all(plain) {
        Decimal::from_str(text).ok()
    } else if text.bytes().all(|byte| plain(byte) || matches!(byte, b'e' | b'E')) {
        Decimal::from_scientific(text).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
