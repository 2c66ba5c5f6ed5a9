//! Answers become rows: exact decimals, and the two cost types of one identity side by side.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::domain::breakdown::{Amounts, ChargeCategory, CostRow, Quantity};
use crate::domain::money::Currency;
use crate::domain::report::{ControlTotal, SourceError, SourceErrorKind};

use super::question::{MACHINE_UNIT, Question};

/// Reads a JSON number exactly. Digits past the 28th decimal place are rounded away, as in
/// `2.7755575615628914E-17`, which the service sends for sums that cancel out.
pub(super) fn decimal(text: &str) -> Option<Decimal> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let mut value: Decimal = mantissa.parse().ok()?;
    for _ in 0..exponent.unsigned_abs().min(60) {
        value = if exponent < 0 {
            value.checked_div(Decimal::TEN)?
        } else {
            value.checked_mul(Decimal::TEN)?
        };
    }
    Some(value)
}

/// Reads `20260131`.
pub(super) fn usage_date(text: &str) -> Option<Date> {
    let number: i32 = text.parse().ok()?;
    let year = i16::try_from(number / 10_000).ok()?;
    let month = i8::try_from(number / 100 % 100).ok()?;
    let day = i8::try_from(number % 100).ok()?;
    Date::new(year, month, day).ok()
}

/// Which of Cost Management's two views of the same charges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CostType {
    /// What is invoiced: the billed basis.
    Actual,
    /// With commitments spread over their term: the effective basis.
    Amortized,
}

impl CostType {
    /// Both, the one that every agreement has first.
    pub const ALL: [Self; 2] = [Self::Actual, Self::Amortized];

    /// The word in requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Actual => "ActualCost",
            Self::Amortized => "AmortizedCost",
        }
    }
}

/// One row of an answer, whichever interface told it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub day: Date,
    /// The values of the question's `group_by`, in its order.
    pub keys: Vec<String>,
    pub category: ChargeCategory,
    pub currency: Currency,
    pub cost: Decimal,
    /// None where the provider does not tell it.
    pub cost_usd: Option<Decimal>,
    pub quantity: Option<Decimal>,
}

type Identity = (Date, Vec<String>, ChargeCategory, Currency);

#[derive(Debug, Clone, Copy)]
struct Side {
    cost: Decimal,
    usd: Option<Decimal>,
}

/// The side of an identity that no row told: nothing, since the whole answer was read.
const NOTHING: Side = Side { cost: Decimal::ZERO, usd: Some(Decimal::ZERO) };

impl Side {
    fn add(&mut self, line: &Line) -> Option<()> {
        self.cost = self.cost.checked_add(line.cost)?;
        self.usd = match (self.usd, line.cost_usd) {
            (Some(sum), Some(usd)) => Some(sum.checked_add(usd)?),
            _ => None,
        };
        Some(())
    }
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    billed: Side,
    effective: Side,
    quantity: Decimal,
}

/// The answers to one question, summed by identity.
#[derive(Debug, Default)]
pub(super) struct Fold(BTreeMap<Identity, Cell>);

impl Fold {
    /// Adds a row of an answer of one cost type. A quantity counts once: from the actual costs.
    ///
    /// # Errors
    /// Malformed where a sum has more digits than a decimal holds.
    pub fn add(&mut self, line: Line, cost_type: CostType) -> Result<(), SourceError> {
        let identity = (line.day, line.keys.clone(), line.category, line.currency);
        let cell = self.0.entry(identity).or_insert(Cell {
            billed: NOTHING,
            effective: NOTHING,
            quantity: Decimal::ZERO,
        });
        let added = match cost_type {
            CostType::Actual => {
                let used = line.quantity.unwrap_or_default();
                cell.billed.add(&line).zip(cell.quantity.checked_add(used)).map(|(_, sum)| {
                    cell.quantity = sum;
                })
            }
            CostType::Amortized => cell.effective.add(&line),
        };
        added.ok_or_else(|| {
            SourceError::new(
                SourceErrorKind::Malformed,
                format!("the costs of {} add up to more than 28 digits", line.day),
            )
        })
    }

    /// The rows. Without amortised costs the effective amounts are unknown.
    pub fn rows(self, question: &Question, has_amortized: bool) -> Vec<CostRow> {
        self.0
            .into_iter()
            .map(|((day, keys, category, currency), cell)| CostRow {
                day,
                keys,
                category,
                currency,
                amounts: amounts(cell, has_amortized),
                usd: (currency != Currency::USD && !question.with_quantity)
                    .then(|| Amounts {
                        billed: cell.billed.usd,
                        effective: cell.effective.usd.filter(|_| has_amortized),
                        list: None,
                    })
                    .filter(|usd| usd.billed.is_some() || usd.effective.is_some()),
                quantity: question
                    .with_quantity
                    .then(|| Quantity { amount: cell.quantity, unit: MACHINE_UNIT.to_owned() }),
                invoice_period: None,
                estimated: false,
            })
            .collect()
    }

    /// The same as totals of days, for the question without any grouping.
    pub fn totals(self, has_amortized: bool) -> Vec<ControlTotal> {
        self.0
            .into_iter()
            .map(|((day, _, _, currency), cell)| ControlTotal {
                day,
                currency,
                amounts: amounts(cell, has_amortized),
            })
            .collect()
    }
}

fn amounts(cell: Cell, has_amortized: bool) -> Amounts {
    Amounts {
        billed: Some(cell.billed.cost),
        effective: has_amortized.then_some(cell.effective.cost),
        list: None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn line(keys: &[&str], currency: &str, cost: &str, usd: Option<&str>) -> Line {
        Line {
            day: date(2026, 1, 2),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            category: ChargeCategory::Usage,
            currency: currency.parse().unwrap(),
            cost: cost.parse().unwrap(),
            cost_usd: usd.map(|usd| usd.parse().unwrap()),
            quantity: Some(Decimal::TWO),
        }
    }

    fn question(name: &str) -> Question {
        Question::standard().into_iter().find(|question| question.query == name).unwrap()
    }

    #[test]
    fn numbers_are_read_to_the_last_digit() {
        for (text, expected) in [
            ("173.41", "173.41"),
            ("0.1", "0.1"),
            ("-12.50000001", "-12.50000001"),
            ("12345678901234567.12345678", "12345678901234567.12345678"),
            ("1E-05", "0.00001"),
            ("1.5e+3", "1500.0"),
            ("2.7755575615628914E-17", "0.0000000000000000277555756156"),
            ("3e-200", "0"),
            ("0", "0"),
        ] {
            assert_eq!(decimal(text), Some(expected.parse().unwrap()), "{text}");
        }
        for text in ["null", "\"1\"", "1e400", "NaN", "", "1.2.3", "e5"] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }

    #[test]
    fn only_days_of_the_calendar_are_usage_dates() {
        assert_eq!(usage_date("20260131"), Some(date(2026, 1, 31)));
        for text in ["20260230", "202601", "-20260101", "20260101.0", "\"20260101\"", ""] {
            assert_eq!(usage_date(text), None, "{text}");
        }
    }

    #[test]
    fn a_side_that_no_row_told_is_nothing_once_its_answer_was_read() {
        let mut fold = Fold::default();
        fold.add(line(&["vm", "a"], "USD", "5", None), CostType::Actual).unwrap();
        fold.add(line(&["vm", "b"], "USD", "7", None), CostType::Amortized).unwrap();
        let rows = fold.rows(&question("service_sub_account"), true);
        let sides: Vec<_> =
            rows.iter().map(|row| (row.amounts.billed, row.amounts.effective)).collect();
        let zero = Some(Decimal::ZERO);
        assert_eq!(sides, [(Some(Decimal::from(5)), zero), (zero, Some(Decimal::from(7)))]);
    }

    #[test]
    fn without_amortised_costs_the_effective_amount_is_unknown() {
        let mut fold = Fold::default();
        fold.add(line(&["vm", "a"], "EUR", "5", Some("6")), CostType::Actual).unwrap();
        let rows = fold.rows(&question("service_sub_account"), false);
        assert_eq!(rows[0].amounts.effective, None);
        assert_eq!(rows[0].usd.unwrap().billed, Some(Decimal::from(6)));
        assert_eq!(rows[0].usd.unwrap().effective, None);
    }

    #[test]
    fn currencies_are_never_added_and_one_unknown_dollar_makes_the_sum_unknown() {
        let mut fold = Fold::default();
        fold.add(line(&["vm", "a"], "EUR", "5", Some("6")), CostType::Actual).unwrap();
        fold.add(line(&["vm", "a"], "EUR", "1", None), CostType::Actual).unwrap();
        fold.add(line(&["vm", "a"], "USD", "2", Some("2")), CostType::Actual).unwrap();
        let rows = fold.rows(&question("service_sub_account"), true);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].amounts.billed, Some(Decimal::from(6)));
        assert_eq!(rows[0].usd.unwrap().billed, None);
        assert_eq!((rows[1].amounts.billed, rows[1].usd), (Some(Decimal::TWO), None));
    }

    #[test]
    fn hours_count_once_though_both_cost_types_tell_them() {
        let mut fold = Fold::default();
        let gpu = || line(&["ND96isr H100 v5", "eastus"], "EUR", "5", None);
        fold.add(gpu(), CostType::Actual).unwrap();
        fold.add(gpu(), CostType::Amortized).unwrap();
        let rows = fold.rows(&question("gpu_meter"), true);
        let quantity = rows[0].quantity.clone().unwrap();
        assert_eq!((quantity.amount, quantity.unit.as_str()), (Decimal::TWO, "1 Hour"));
        assert_eq!(rows[0].usd, None);
    }

    #[test]
    fn a_sum_past_the_digits_of_a_decimal_is_an_error() {
        let mut fold = Fold::default();
        let huge = Line { cost: Decimal::MAX, ..line(&[], "USD", "0", None) };
        fold.add(huge.clone(), CostType::Actual).unwrap();
        let error = fold.add(huge, CostType::Actual).unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Malformed);
    }
}
