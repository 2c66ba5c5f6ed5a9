//! Exchange rates as a person configured them: a dated table, exact, nothing between its lines.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::domain::identity::SourceId;
use crate::domain::money::Currency;

/// A dated table of exchange rates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExchangeRates(BTreeMap<(Currency, Currency), BTreeMap<Date, Decimal>>);

impl ExchangeRates {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes how much of `to` one unit of `from` is worth from a day on. Returns what stood there
    /// for the same day before.
    pub fn insert(
        &mut self,
        from: Currency,
        to: Currency,
        date: Date,
        rate: Decimal,
    ) -> Option<Decimal> {
        self.0.entry((from, to)).or_default().insert(date, rate)
    }

    /// How much of `to` one unit of `from` is worth on a day, with the date of the line that says
    /// so: the newest one that is not after the day. One for the same currency. None where the
    /// table has no such line; it is never read backwards.
    pub fn rate(&self, from: Currency, to: Currency, day: Date) -> Option<(Decimal, Date)> {
        if from == to {
            return Some((Decimal::ONE, day));
        }
        let (date, rate) = self.0.get(&(from, to))?.range(..=day).next_back()?;
        Some((*rate, *date))
    }

    /// Whether the table has no line.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A rate that a band's money was made with. Its display is the API's English.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum UsedRate {
    /// The provider's own: it tells its cost in US dollars too.
    Told {
        /// The billing currency.
        from: Currency,
        /// The source that tells it.
        source: SourceId,
    },
    /// A line of the table.
    Configured {
        /// The billing currency.
        from: Currency,
        /// The band's currency.
        to: Currency,
        /// How much of `to` one unit of `from` is worth.
        rate: Decimal,
        /// From when on.
        date: Date,
    },
}

impl fmt::Display for UsedRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told { from, source } => write!(f, "{from} to USD as `{source}` tells it"),
            Self::Configured { from, to, rate, date } => {
                write!(f, "1 {from} = {} {to} (configured for {date})", rate.normalize())
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn currency(text: &str) -> Currency {
        text.parse().unwrap()
    }

    fn table() -> ExchangeRates {
        let mut table = ExchangeRates::new();
        table.insert(currency("EUR"), Currency::USD, date(2026, 10, 1), "1.07".parse().unwrap());
        table.insert(currency("EUR"), Currency::USD, date(2026, 11, 1), "1.08".parse().unwrap());
        table
    }

    #[test]
    fn the_newest_line_that_is_not_after_the_day_counts() {
        let at = |day| table().rate(currency("EUR"), Currency::USD, day);
        assert_eq!(at(date(2026, 10, 31)), Some(("1.07".parse().unwrap(), date(2026, 10, 1))));
        assert_eq!(at(date(2026, 11, 1)), Some(("1.08".parse().unwrap(), date(2026, 11, 1))));
        assert_eq!(at(date(2027, 2, 3)), Some(("1.08".parse().unwrap(), date(2026, 11, 1))));
        assert_eq!(at(date(2026, 9, 30)), None);
    }

    #[test]
    fn a_table_is_never_read_backwards() {
        assert_eq!(table().rate(Currency::USD, currency("EUR"), date(2026, 11, 5)), None);
    }

    #[test]
    fn a_currency_is_worth_itself_on_any_day() {
        let day = date(2000, 1, 1);
        assert_eq!(
            ExchangeRates::new().rate(Currency::USD, Currency::USD, day),
            Some((Decimal::ONE, day))
        );
    }
}
