//! Exact money: a decimal amount with its currency, and the bases on which a cost can be told.

use std::fmt;
use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

/// An ISO 4217 currency code, upper case: `USD`, `KRW`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// The currency in which all three providers can tell a cost.
    pub const USD: Self = Self(*b"USD");

    /// The three letters of the code.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a currency is made of ASCII letters only")
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        match text.trim().as_bytes() {
            [a, b, c] if [a, b, c].iter().all(|letter| letter.is_ascii_alphabetic()) => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase(), c.to_ascii_uppercase()]))
            }
            _ => Err(MoneyError::NotACurrency(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;

    fn try_from(text: String) -> Result<Self, MoneyError> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An exact amount in one currency. Written `30 USD` or `-12.5 EUR`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// The exact decimal amount.
    pub amount: Decimal,
    /// Its currency.
    pub currency: Currency,
}

impl Money {
    /// An amount in a currency.
    pub fn new(amount: Decimal, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// Nothing, in a currency. A known zero, not an unknown amount.
    pub fn zero(currency: Currency) -> Self {
        Self::new(Decimal::ZERO, currency)
    }

    /// Adds two amounts of one currency.
    ///
    /// # Errors
    /// [`MoneyError::CurrencyMismatch`] for two currencies, [`MoneyError::Overflow`] past 28 digits.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch {
                left: self.currency,
                right: other.currency,
            });
        }
        let amount = self.amount.checked_add(other.amount).ok_or(MoneyError::Overflow)?;
        Ok(Self::new(amount, self.currency))
    }

    /// Subtracts an amount of the same currency. Errors as in [`Money::checked_add`].
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.checked_add(Self::new(-other.amount, other.currency))
    }

    /// The amount for people: rounded to so many decimals, thousands parted by commas.
    /// `-1234.5 USD` with two decimals is `-1,234.50 USD`.
    pub fn grouped(self, decimals: u32) -> String {
        let rounding = RoundingStrategy::MidpointAwayFromZero;
        let mut amount = self.amount.round_dp_with_strategy(decimals, rounding);
        amount.rescale(decimals);
        let sign = if amount.is_sign_negative() && !amount.is_zero() { "-" } else { "" };
        let text = amount.abs().to_string();
        let (whole, fraction) = match text.find('.') {
            Some(point) => text.split_at(point),
            None => (text.as_str(), ""),
        };
        let mut grouped = String::with_capacity(text.len() + text.len() / 3);
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        format!("{sign}{grouped}{fraction} {}", self.currency)
    }
}

impl FromStr for Money {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let wrong = || MoneyError::NotMoney(text.to_owned());
        let (amount, currency) = text.trim().rsplit_once(char::is_whitespace).ok_or_else(wrong)?;
        let digits: String = amount.trim().chars().filter(|c| !matches!(c, '_' | ',')).collect();
        Ok(Self::new(digits.parse().map_err(|_| wrong())?, currency.parse()?))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount.normalize(), self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What can go wrong with an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Two currencies were about to be added.
    #[error("failed to add {right} to {left}: two currencies are never added")]
    CurrencyMismatch {
        /// The currency of the sum so far.
        left: Currency,
        /// The currency of what was to be added.
        right: Currency,
    },
    /// The sum has more than 28 significant digits.
    #[error("failed to add two amounts: the sum has more than 28 digits")]
    Overflow,
    /// The text is not three letters.
    #[error("failed to read currency `{0}`: want three letters such as `USD`")]
    NotACurrency(String),
    /// The text is not an amount and a currency.
    #[error("failed to read amount `{0}`: want a number and a currency such as `30 USD`")]
    NotMoney(String),
}

/// The basis on which a cost is told (FOCUS BilledCost, EffectiveCost, ListCost).
/// Amounts on two bases are never added together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CostBasis {
    /// What is invoiced: AWS UnblendedCost, Azure ActualCost, GCP cost plus credits.
    Billed,
    /// Amortised: AWS AmortizedCost, Azure AmortizedCost, GCP cost plus credits.
    Effective,
    /// At list price.
    List,
}

impl CostBasis {
    /// The word in labels, JSON and configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Billed => "billed",
            Self::Effective => "effective",
            Self::List => "list",
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn amounts_for_people_have_separators_and_fixed_decimals() {
        for (money, decimals, wanted) in [
            ("0 USD", 2, "0.00 USD"),
            ("0.005 USD", 2, "0.01 USD"),
            ("-0.004 USD", 2, "0.00 USD"),
            ("999.995 EUR", 2, "1,000.00 EUR"),
            ("104250.5 USD", 2, "104,250.50 USD"),
            ("-1234567.891 KRW", 0, "-1,234,568 KRW"),
            ("123 USD", 0, "123 USD"),
        ] {
            let money: Money = money.parse().unwrap();
            assert_eq!(money.grouped(decimals), wanted);
        }
    }
}
