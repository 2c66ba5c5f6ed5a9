//! What an address of the spend view asks for, and the addresses of its neighbours.

use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::domain::breakdown::Dimension;
use crate::domain::money::CostBasis;
use crate::domain::period::BillingPeriod;
use crate::web::link::Place;

/// The way down: from a source to its accounts, to their services, to their regions.
pub(super) const WAY: [Dimension; 3] =
    [Dimension::SubAccountId, Dimension::ServiceName, Dimension::RegionId];

/// The address of one page of a source.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    /// The source's name.
    pub source: String,
    /// The month; none for the open one.
    pub period: Option<Month>,
    /// The dimension whose values are listed; none for the usual one.
    pub by: Option<Dimension>,
    /// What the money is narrowed to. Empty text for what names no value.
    pub filters: BTreeMap<Dimension, String>,
    /// One day.
    pub day: Option<Date>,
    /// The basis; none for the usual one.
    pub basis: Option<CostBasis>,
}

/// A month of an address.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Month {
    /// The one before the open one.
    Previous,
    /// By its name.
    Named(BillingPeriod),
}

impl Asked {
    /// Reads an address.
    ///
    /// # Errors
    /// The word of the query that cannot be read.
    pub(super) fn of(source: &str, place: &Place) -> Result<Self, &'static str> {
        let period = match place.asked("period") {
            None | Some("current") => None,
            Some("previous") => Some(Month::Previous),
            Some(text) => Some(Month::Named(text.parse().map_err(|_| "period")?)),
        };
        let by = match place.asked("by") {
            None => None,
            Some(word) => Some(WAY.into_iter().find(|of| of.as_str() == word).ok_or("by")?),
        };
        let day = match place.asked("day") {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| "day")?),
        };
        let basis = match place.asked("basis") {
            None => None,
            Some("billed") => Some(CostBasis::Billed),
            Some("effective") => Some(CostBasis::Effective),
            Some(_) => return Err("basis"),
        };
        let filters = WAY
            .into_iter()
            .filter_map(|of| Some((of, place.asked(of.as_str())?.to_owned())))
            .collect();
        Ok(Self { source: source.to_owned(), period, by, filters, day, basis })
    }

    /// Its address.
    pub(super) fn link(&self, place: &Place) -> String {
        let mut query: Vec<(&str, String)> = Vec::new();
        match self.period {
            None => {}
            Some(Month::Previous) => query.push(("period", "previous".to_owned())),
            Some(Month::Named(period)) => query.push(("period", period.to_string())),
        }
        for of in WAY {
            if let Some(key) = self.filters.get(&of) {
                query.push((of.as_str(), key.clone()));
            }
        }
        query.extend(self.by.map(|by| ("by", by.as_str().to_owned())));
        query.extend(self.day.map(|day| ("day", day.to_string())));
        query.extend(self.basis.map(|basis| ("basis", basis.as_str().to_owned())));
        let query: Vec<(&str, &str)> =
            query.iter().map(|(key, value)| (*key, value.as_str())).collect();
        place.to(&["spend", &self.source], &query)
    }

    /// The same along another dimension.
    pub(super) fn along(&self, by: Dimension) -> Self {
        Self { by: Some(by), ..self.clone() }
    }

    /// The same narrowed to a value; what is listed next is left to that page.
    pub(super) fn narrowed(&self, by: Dimension, key: &str) -> Self {
        let mut filters = self.filters.clone();
        filters.insert(by, key.to_owned());
        Self { filters, by: None, ..self.clone() }
    }

    /// The same in another month.
    pub(super) fn within(&self, period: Option<Month>) -> Self {
        Self { period, day: None, ..self.clone() }
    }

    /// The same on a day, or in its whole month.
    pub(super) fn on(&self, day: Option<Date>) -> Self {
        Self { day, ..self.clone() }
    }

    /// The same on another basis.
    pub(super) fn based(&self, basis: CostBasis) -> Self {
        Self { basis: Some(basis), ..self.clone() }
    }

    /// The dimensions that are not narrowed yet, in the order in which they are looked for.
    pub(super) fn open(&self) -> Vec<Dimension> {
        let mut order = vec![Dimension::ServiceName, Dimension::SubAccountId, Dimension::RegionId];
        order.retain(|of| !self.filters.contains_key(of));
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(query: &[(&str, &str)]) -> Place {
        let word = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Place::new("/spend/aws", query.iter().map(word).collect())
    }

    #[test]
    fn an_address_is_read_as_it_is_written() {
        let query = [
            ("period", "2025-09"),
            ("service_name", "A & B"),
            ("region_id", ""),
            ("by", "sub_account_id"),
            ("day", "2025-09-14"),
            ("basis", "billed"),
        ];
        let here = place(&query);
        let asked = Asked::of("aws", &here).unwrap();
        assert_eq!(asked.filters[&Dimension::RegionId], "", "no region is a value too");
        assert_eq!(asked.open(), [Dimension::SubAccountId]);
        let link = asked.link(&here);
        assert_eq!(
            link,
            "../spend/aws?period=2025-09&service_name=A%20%26%20B&region_id=&by=sub_account_id\
             &day=2025-09-14&basis=billed"
        );
        let narrowed = asked.narrowed(Dimension::SubAccountId, "1").within(None);
        assert_eq!((narrowed.by, narrowed.day, narrowed.filters.len()), (None, None, 3));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (key, value) in
            [("period", "soon"), ("by", "sku"), ("day", "2025-09-31"), ("basis", "list")]
        {
            assert_eq!(Asked::of("aws", &place(&[(key, value)])), Err(key));
        }
    }
}
