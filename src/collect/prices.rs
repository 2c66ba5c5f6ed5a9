//! One reading of list prices, machine by machine: what was read to its end is kept, whatever
//! fails beside it.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::price::{PriceReading, SkuPrice};
use crate::domain::report::{SourceError, SourceErrorKind};

/// The longest that one reading takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
/// Requests of one reading at most: one for each machine type and region, and pages.
pub(super) const MOST_REQUESTS: u32 = 200;
/// Pages of one machine type in one region at most; a hundred of its rows are one.
const MOST_PAGES: u32 = 20;

/// What was read so far.
pub(super) struct ByMachine {
    deadline: Instant,
    reading: PriceReading,
    is_any_whole: bool,
    is_over: bool,
}

impl ByMachine {
    /// Nothing yet, and nothing after the deadline.
    pub(super) fn until(deadline: Instant) -> Self {
        Self { deadline, reading: PriceReading::default(), is_any_whole: false, is_over: false }
    }

    /// Reads the prices of a machine type in a region. An answer that is wrong concerns this
    /// machine alone; after any other failure no further one is asked for.
    pub(super) async fn read(
        &mut self,
        machine: &(String, String),
        prices: impl Future<Output = Result<Vec<SkuPrice>, SourceError>> + Send,
    ) {
        if self.is_over {
            self.reading.unread.insert(machine.clone());
            return;
        }
        let late = |_| {
            let text = format!("the price list did not end within {} s", PATIENCE.as_secs());
            Err(SourceError::new(SourceErrorKind::Timeout, text))
        };
        match tokio::time::timeout_at(self.deadline, prices).await.unwrap_or_else(late) {
            Ok(prices) => {
                self.is_any_whole = true;
                self.reading.prices.extend(prices);
            }
            Err(error) => {
                self.is_over =
                    !matches!(error.kind, SourceErrorKind::Malformed | SourceErrorKind::Config);
                self.reading.unread.insert(machine.clone());
                self.reading.error.get_or_insert(error);
            }
        }
    }

    /// What was read.
    ///
    /// # Errors
    /// The first failure, where nothing at all was read to its end.
    pub(super) fn finish(self) -> Result<PriceReading, SourceError> {
        match self.reading.error {
            Some(error) if !self.is_any_whole => Err(error),
            error => Ok(PriceReading { error, ..self.reading }),
        }
    }
}

/// Counts the pages of a reading.
#[derive(Default)]
pub(super) struct Pages(AtomicU32);

impl Pages {
    /// Counts the page of that number, from 0, of one machine.
    ///
    /// # Errors
    /// Malformed for more than one machine has, RateLimited for more than a reading may ask.
    pub(super) fn count(&self, number: u32) -> Result<(), SourceError> {
        if number >= MOST_PAGES {
            let text = format!("the price list has more than {MOST_PAGES} pages of one machine");
            return Err(SourceError::new(SourceErrorKind::Malformed, text));
        }
        if self.0.fetch_add(1, Ordering::Relaxed) >= MOST_REQUESTS {
            let text = format!("the {MOST_REQUESTS} requests of one reading are spent");
            return Err(SourceError::new(SourceErrorKind::RateLimited, text));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::price::CapacityType;

    fn machine(name: &str) -> (String, String) {
        (name.to_owned(), "us-east-1".to_owned())
    }

    fn price(name: &str) -> SkuPrice {
        SkuPrice {
            sku_id: "sku".to_owned(),
            description: name.to_owned(),
            region_id: "us-east-1".to_owned(),
            capacity_type: CapacityType::OnDemand,
            instance_type: Some(name.to_owned()),
            unit: "h".to_owned(),
            price: "1 USD".parse().unwrap(),
            effective_at: None,
            read_at: None,
        }
    }

    async fn reading(
        outcomes: Vec<(&str, Result<(), SourceErrorKind>)>,
    ) -> Result<PriceReading, SourceError> {
        let mut by_machine = ByMachine::until(Instant::now() + PATIENCE);
        for (name, outcome) in outcomes {
            let outcome = outcome.map(|()| vec![price(name)]);
            let outcome = outcome.map_err(|kind| SourceError::new(kind, format!("no {name}")));
            by_machine.read(&machine(name), async { outcome }).await;
        }
        by_machine.finish()
    }

    fn names(reading: &PriceReading) -> (Vec<&str>, Vec<&str>) {
        let read = reading.prices.iter().map(|price| price.description.as_str());
        (read.collect(), reading.unread.iter().map(|(name, _)| name.as_str()).collect())
    }

    #[tokio::test]
    async fn one_wrong_answer_costs_its_own_machine_and_a_refusal_those_after_it() {
        let one = vec![("a", Ok(())), ("b", Err(SourceErrorKind::Malformed)), ("c", Ok(()))];
        let told = reading(one).await.unwrap();
        assert_eq!(names(&told), (vec!["a", "c"], vec!["b"]));
        assert_eq!(told.error.unwrap().message, "no b");
        let limited = vec![
            ("a", Ok(())),
            ("b", Err(SourceErrorKind::RateLimited)),
            ("c", Ok(())),
            ("d", Ok(())),
        ];
        let told = reading(limited).await.unwrap();
        assert_eq!(names(&told), (vec!["a"], vec!["b", "c", "d"]));
        let none = vec![("a", Err(SourceErrorKind::Malformed)), ("b", Err(SourceErrorKind::Auth))];
        assert_eq!(reading(none).await.unwrap_err().message, "no a");
        let whole = reading(vec![("a", Ok(()))]).await.unwrap();
        assert_eq!((whole.error, whole.unread.len()), (None, 0));
    }

    #[tokio::test]
    async fn what_was_read_before_the_deadline_is_kept() {
        let mut by_machine = ByMachine::until(Instant::now());
        by_machine.read(&machine("a"), async { Ok(vec![price("a")]) }).await;
        by_machine.read(&machine("b"), std::future::pending()).await;
        by_machine.read(&machine("c"), async { Ok(vec![price("c")]) }).await;
        let told = by_machine.finish().unwrap();
        assert_eq!(names(&told), (vec!["a"], vec!["b", "c"]));
        let error = told.missing().unwrap();
        assert_eq!(error.kind, SourceErrorKind::Timeout);
        let wanted = "`b` in `us-east-1` and 1 more were not read: the price list did not end";
        assert!(error.message.starts_with(wanted), "{error}");
    }

    #[test]
    fn pages_end_for_one_machine_and_for_all() {
        let pages = Pages::default();
        assert_eq!(pages.count(MOST_PAGES).unwrap_err().kind, SourceErrorKind::Malformed);
        for number in 0..MOST_REQUESTS {
            pages.count(number % MOST_PAGES).unwrap();
        }
        assert_eq!(pages.count(0).unwrap_err().kind, SourceErrorKind::RateLimited);
    }
}
