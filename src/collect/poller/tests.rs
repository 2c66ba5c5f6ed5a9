//! When a poll is asked again: what the cadence, the cap and the provider say together.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex;

use async_trait::async_trait;
use jiff::SignedDuration;
use jiff::civil::{Date, date};
use rust_decimal::Decimal;

use super::*;
use crate::collect::proof::Proof;
use crate::collect::{Descriptor, PlannedRequest};
use crate::domain::breakdown::{Breakdown, Dimension};
use crate::domain::identity::{Provider, SourceId};
use crate::domain::money::Currency;
use crate::domain::period::Window;
use crate::domain::ports::MeterError;
use crate::domain::price::{CapacityType, InUse, PriceReading, SkuPrice};
use crate::domain::report::ScheduleEntry;

const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// A bill of which each poll costs so many cents and ends in one way.
struct Bill {
    descriptor: Descriptor,
    cents: u32,
    error: Option<SourceError>,
    /// What the price list answers.
    prices: Mutex<Result<Option<PriceReading>, SourceError>>,
    asked_prices: Mutex<Vec<InUse>>,
}

#[async_trait]
impl Source for Bill {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn add_filtered(&mut self, _: &str, _: &[(Dimension, Vec<String>)]) -> Result<(), String> {
        Err("has no queries".to_owned())
    }

    fn plan(&self, _: &Window) -> Vec<PlannedRequest> {
        Vec::new()
    }

    async fn poll(
        &self,
        request: &PollRequest,
        meter: &dyn Meter,
    ) -> Result<SourceReport, SourceError> {
        for _ in 0..self.cents {
            let cent = Money::new(Decimal::new(1, 2), Currency::USD);
            meter.reserve(&self.descriptor.id, "Query", cent).await.unwrap();
        }
        match &self.error {
            Some(error) => Err(error.clone()),
            None => Ok(SourceReport {
                source: self.descriptor.id.clone(),
                provider: self.descriptor.provider,
                window: request.window,
                days: Vec::new(),
                breakdowns: vec![BreakdownReading {
                    breakdown: Breakdown {
                        source: self.descriptor.id.clone(),
                        query: "service".to_owned(),
                        filter: String::new(),
                        dimensions: vec![Dimension::ServiceName],
                        role: BreakdownRole::Primary,
                    },
                    rows: Vec::new(),
                }],
                control_totals: Vec::new(),
                names: Vec::new(),
                budgets: Vec::new(),
                data_through: None,
                cursor: None,
                observed_at: request.now,
            }),
        }
    }

    async fn list_prices(
        &self,
        in_use: &InUse,
        _: Timestamp,
        _: &dyn Meter,
    ) -> Result<Option<PriceReading>, SourceError> {
        self.asked_prices.lock().unwrap().push(in_use.clone());
        self.prices.lock().unwrap().clone()
    }

    async fn prove(&self, _: Timestamp, _: &dyn Meter) -> Vec<Proof> {
        Vec::new()
    }
}

/// A ledger, a meter without any cap, and a clock that stands until it is set.
struct Desk {
    now: Mutex<Timestamp>,
    schedule: Mutex<ScheduleEntry>,
    spent: Mutex<Decimal>,
    /// How often it was asked what is in use.
    asked_in_use: Mutex<u32>,
    prices: Mutex<Vec<PriceReading>>,
    prices_read_at: Mutex<Option<Timestamp>>,
}

impl Clock for Desk {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }
}

#[async_trait]
impl Meter for Desk {
    async fn reserve(&self, _: &SourceId, _: &'static str, price: Money) -> Result<(), MeterError> {
        *self.spent.lock().unwrap() += price.amount;
        Ok(())
    }

    fn quota(&self, _: &SourceId, _: &'static str, _: &'static str, _: f64) {}
}

#[async_trait]
impl PollLedger for Desk {
    async fn schedule(&self, _: &SourceId) -> Result<ScheduleEntry, String> {
        Ok(self.schedule.lock().unwrap().clone())
    }

    async fn window(&self, _: &SourceId, _: Timestamp) -> Result<Window, String> {
        Ok(Window::new(date(2026, 10, 1), date(2026, 11, 12)))
    }

    async fn holds_money(&self, _: &SourceId, _: &[Date]) -> Result<bool, String> {
        Ok(false)
    }

    async fn in_use(&self, _: &SourceId, _: Timestamp) -> Result<InUse, String> {
        *self.asked_in_use.lock().unwrap() += 1;
        Ok(InUse::default())
    }

    async fn prices_read_at(&self, _: &SourceId) -> Result<Option<Timestamp>, String> {
        Ok(*self.prices_read_at.lock().unwrap())
    }

    async fn keep_list_prices(
        &self,
        _: &SourceId,
        reading: PriceReading,
        read_at: Timestamp,
    ) -> Result<(), String> {
        if reading.error.is_none() {
            *self.prices_read_at.lock().unwrap() = Some(read_at);
        }
        self.prices.lock().unwrap().push(reading);
        Ok(())
    }

    async fn forget_list_prices(&self, _: &SourceId) -> Result<(), String> {
        *self.prices_read_at.lock().unwrap() = None;
        self.prices.lock().unwrap().clear();
        Ok(())
    }

    async fn commit(&self, _: SourceReport, next_poll: Timestamp) -> Result<(), String> {
        let next_poll = Some(next_poll);
        *self.schedule.lock().unwrap() = ScheduleEntry { next_poll, ..ScheduleEntry::default() };
        Ok(())
    }

    async fn record_failure(
        &self,
        _: &SourceId,
        _: Timestamp,
        _: &SourceError,
        next_poll: Timestamp,
    ) -> Result<(), String> {
        let mut schedule = self.schedule.lock().unwrap();
        schedule.failures += 1;
        schedule.next_poll = Some(next_poll);
        Ok(())
    }
}

impl PollObserver for Desk {
    fn poll_ended(&self, _: &SourceId, _: Result<(), SourceErrorKind>, _: Duration) {}
}

/// A source that is polled whenever it is due, on a clock that jumps there.
struct Life {
    poller: Poller,
    desk: Arc<Desk>,
    error: Option<SourceError>,
}

impl Life {
    fn new(poll_every: Duration, cap: &str, cents: u32, error: Option<SourceError>) -> Self {
        let descriptor = Descriptor {
            id: SourceId::new("bill"),
            provider: Provider::Aws,
            lag: SignedDuration::from_hours(48),
            final_after: SignedDuration::from_hours(120),
            poll_every,
            deadline: Duration::from_secs(600),
            monthly_cap: Some(cap.parse().unwrap()),
            maximum_age: SignedDuration::from_hours(48),
            breakdowns: Vec::new(),
            list_prices: true,
        };
        let desk = Arc::new(Desk {
            now: Mutex::new("2026-10-01T00:00:00Z".parse().unwrap()),
            schedule: Mutex::default(),
            spent: Mutex::default(),
            asked_in_use: Mutex::default(),
            prices: Mutex::default(),
            prices_read_at: Mutex::default(),
        });
        let poller = Poller {
            source: Arc::new(Bill {
                descriptor,
                cents,
                error: error.clone(),
                prices: Mutex::new(Ok(None)),
                asked_prices: Mutex::default(),
            }),
            ledger: desk.clone(),
            meter: desk.clone(),
            observer: desk.clone(),
            clock: desk.clone(),
        };
        Self { poller, desk, error }
    }

    /// Polls now, sets the clock to the next poll, and tells how far that is.
    async fn wait(&self) -> Duration {
        assert_eq!(self.poller.poll_once().await.err(), self.error);
        let next = self.desk.schedule.lock().unwrap().next_poll.unwrap();
        let wait = next.duration_since(self.desk.now()).try_into().unwrap();
        *self.desk.now.lock().unwrap() = next;
        wait
    }

    /// Every wait until a month of 31 days is over.
    async fn month(&self) -> Vec<Duration> {
        let end = "2026-11-01T00:00:00Z".parse().unwrap();
        let mut waits = Vec::new();
        while self.desk.now() < end {
            waits.push(self.wait().await);
        }
        waits
    }

    fn spent(&self) -> Decimal {
        *self.desk.spent.lock().unwrap()
    }
}

fn failing(kind: SourceErrorKind) -> Option<SourceError> {
    Some(SourceError::new(kind, "failed to read"))
}

/// Whether a wait is as long as it should be, or up to a tenth longer.
fn is_about(wait: Duration, wanted: Duration) -> bool {
    (wanted..=wanted * 11 / 10).contains(&wait)
}

const EVERY_KIND: [SourceErrorKind; 8] = [
    SourceErrorKind::Auth,
    SourceErrorKind::Forbidden,
    SourceErrorKind::RateLimited,
    SourceErrorKind::Timeout,
    SourceErrorKind::Unavailable,
    SourceErrorKind::Malformed,
    SourceErrorKind::NotReady,
    SourceErrorKind::Config,
];

#[tokio::test]
async fn a_month_of_failures_costs_no_more_than_the_cap() {
    for kind in EVERY_KIND {
        let life = Life::new(8 * HOUR, "30 USD", 10, failing(kind));
        let waits = life.month().await;
        // The first repetition is early, whatever it costs.
        let most = Decimal::new(3010, 2);
        assert!(life.spent() <= most, "{}: {} USD", kind.as_str(), life.spent());
        assert_eq!(life.spent(), Decimal::new(i64::try_from(waits.len()).unwrap(), 1));
        let longest = waits.iter().max().unwrap();
        assert!(*longest <= 8 * HOUR * 11 / 10, "{}: {longest:?}", kind.as_str());
    }
}

#[tokio::test]
async fn the_first_repetition_is_early_and_the_second_follows_the_cap_for_a_day_at_most() {
    for kind in EVERY_KIND {
        let first = Duration::from_secs(if kind.is_temporary() { 60 } else { 300 });
        // A poll of 10 cents under this cap is worth more than three days.
        let life = Life::new(8 * HOUR, "1 USD", 10, failing(kind));
        assert!(is_about(life.wait().await, first), "{}", kind.as_str());
        for wait in [life.wait().await, life.wait().await] {
            assert!(is_about(wait, plan::DAY), "{}: {wait:?}", kind.as_str());
        }
        // What costs nothing is repeated without regard to it.
        let life = Life::new(8 * HOUR, "1 USD", 0, failing(kind));
        assert!(is_about(life.wait().await, first), "{}", kind.as_str());
        assert!(is_about(life.wait().await, 2 * first), "{}", kind.as_str());
    }
}

#[tokio::test]
async fn a_source_that_is_told_to_wait_looks_again_within_its_cadence() {
    let told = |kind, wait| Some(SourceError::new(kind, "asks to wait").retry_after(Some(wait)));
    let minutes = |count: u64| Duration::from_secs(60 * count);
    for kind in EVERY_KIND {
        for (cadence, asked, wanted) in [
            (8 * HOUR, WEEK, 8 * HOUR),
            (8 * HOUR, 2 * HOUR, 2 * HOUR),
            (48 * HOUR, WEEK, 48 * HOUR),
            (minutes(10), WEEK, minutes(10)),
        ] {
            let life = Life::new(cadence, "30 USD", 0, told(kind, asked));
            let wait = life.wait().await;
            assert_eq!(wait, wanted, "{} that asks for {asked:?}", kind.as_str());
            // However often it is told, and not a minute later than the cadence.
            for _ in 0..20 {
                let wait = life.wait().await;
                assert!(wait >= wanted && wait <= cadence * 11 / 10, "{}: {wait:?}", kind.as_str());
            }
        }
    }
}

#[tokio::test]
async fn a_cadence_that_the_cap_stretches_ends_at_a_day() {
    for (cadence, cap, cents, wanted) in [
        (8 * HOUR, "30 USD", 10, 8 * HOUR),
        (8 * HOUR, "30 USD", 40, Duration::from_secs(35_712)),
        (8 * HOUR, "1 USD", 10, plan::DAY),
        (8 * HOUR, "0.01 USD", 1, plan::DAY),
        (8 * HOUR, "0.01 USD", 0, 8 * HOUR),
        // Who wants less than one reading a day gets what was configured.
        (48 * HOUR, "1 USD", 10, 48 * HOUR),
    ] {
        let wait = Life::new(cadence, cap, cents, None).wait().await;
        assert!(is_about(wait, wanted), "{cents} cents under {cap}: {wait:?} and not {wanted:?}");
    }
}

/// A poller whose price list answers as it is told.
fn priced() -> (Poller, Arc<Desk>, Arc<Bill>) {
    let life = Life::new(8 * HOUR, "30 USD", 0, None);
    let bill = Arc::new(Bill {
        descriptor: life.poller.source.descriptor().clone(),
        cents: 0,
        error: None,
        prices: Mutex::new(Ok(None)),
        asked_prices: Mutex::default(),
    });
    (Poller { source: bill.clone(), ..life.poller.clone() }, life.desk, bill)
}

fn whole(prices: Vec<SkuPrice>) -> Result<Option<PriceReading>, SourceError> {
    Ok(Some(PriceReading { prices, ..PriceReading::default() }))
}

fn listed(at: &str) -> SkuPrice {
    SkuPrice {
        sku_id: "sku".to_owned(),
        description: "p5.48xlarge Linux on demand".to_owned(),
        region_id: "us-east-1".to_owned(),
        capacity_type: CapacityType::OnDemand,
        instance_type: Some("p5.48xlarge".to_owned()),
        unit: "h".to_owned(),
        price: "55.04 USD".parse().unwrap(),
        effective_at: None,
        read_at: Some(at.parse().unwrap()),
    }
}

#[tokio::test]
async fn list_prices_are_read_once_a_day_after_the_bill_whether_there_are_any_or_none() {
    for is_empty in [false, true] {
        let (poller, desk, bill) = priced();
        let mut kept = 0;
        for (now, wanted) in [
            ("2026-10-01T00:00:00Z", 1),
            ("2026-10-01T08:00:00Z", 1),
            ("2026-10-01T23:59:59Z", 1),
            ("2026-10-02T00:00:00Z", 2),
            ("2026-10-02T08:00:00Z", 2),
            // The clock was set back.
            ("2026-09-30T00:00:00Z", 3),
        ] {
            *desk.now.lock().unwrap() = now.parse().unwrap();
            let prices = if is_empty { Vec::new() } else { vec![listed(now)] };
            *bill.prices.lock().unwrap() = whole(prices);
            poller.poll_once().await.unwrap();
            kept = desk.prices.lock().unwrap().len();
            assert_eq!(kept, wanted, "{now}");
        }
        assert_eq!(bill.asked_prices.lock().unwrap().len(), kept);
        assert_eq!(*desk.asked_in_use.lock().unwrap(), 3, "only where prices are due");
    }
}

#[tokio::test]
async fn a_reading_that_is_not_whole_is_kept_told_of_and_asked_for_again() {
    let (poller, desk, bill) = priced();
    let partial = PriceReading {
        prices: vec![listed("2026-10-01T00:00:00Z")],
        unread: [("g4dn.metal".to_owned(), "us-west-2".to_owned())].into(),
        error: failing(SourceErrorKind::Timeout),
    };
    *bill.prices.lock().unwrap() = Ok(Some(partial.clone()));
    let error = poller.read_prices().await.unwrap_err();
    assert_eq!(error.to_string(), "`g4dn.metal` in `us-west-2` was not read: failed to read");
    assert_eq!(*desk.prices.lock().unwrap(), [partial]);
    poller.poll_once().await.unwrap();
    assert_eq!(bill.asked_prices.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn prices_of_a_list_that_is_switched_off_are_forgotten_and_not_asked_for() {
    let (poller, desk, bill) = priced();
    *bill.prices.lock().unwrap() = whole(vec![listed("2026-10-01T00:00:00Z")]);
    poller.poll_once().await.unwrap();
    assert_eq!(desk.prices.lock().unwrap().len(), 1);
    let off = Bill {
        descriptor: Descriptor { list_prices: false, ..bill.descriptor.clone() },
        cents: 0,
        error: None,
        prices: Mutex::new(Ok(None)),
        asked_prices: Mutex::default(),
    };
    let off = Arc::new(off);
    let poller = Poller { source: off.clone(), ..poller };
    // Before anything is polled: the next poll is hours away.
    let running = tokio::spawn(poller.run());
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    running.abort();
    assert!(desk.prices.lock().unwrap().is_empty());
    assert!(off.asked_prices.lock().unwrap().is_empty());
    assert_eq!(*desk.asked_in_use.lock().unwrap(), 1, "only while it was on");
}

#[tokio::test]
async fn a_price_list_that_fails_spoils_no_poll_and_keeps_the_prices_of_before() {
    let (poller, desk, bill) = priced();
    *bill.prices.lock().unwrap() =
        Err(SourceError::new(SourceErrorKind::Forbidden, "no `pricing:GetProducts`"));
    poller.poll_once().await.unwrap();
    assert!(desk.schedule.lock().unwrap().next_poll.is_some(), "the bill was kept");
    assert_eq!(desk.schedule.lock().unwrap().failures, 0);
    assert!(desk.prices.lock().unwrap().is_empty());
    // The next poll asks again.
    *bill.prices.lock().unwrap() = whole(vec![listed("2026-10-01T00:00:00Z")]);
    poller.poll_once().await.unwrap();
    assert_eq!(desk.prices.lock().unwrap().len(), 1);
    // Nothing is asked for where the bill failed.
    let failing = Bill {
        descriptor: bill.descriptor.clone(),
        cents: 0,
        error: Some(SourceError::new(SourceErrorKind::Timeout, "slow")),
        prices: Mutex::new(Ok(None)),
        asked_prices: Mutex::default(),
    };
    let failing = Arc::new(failing);
    let poller = Poller { source: failing.clone(), ..poller };
    poller.poll_once().await.unwrap_err();
    assert!(failing.asked_prices.lock().unwrap().is_empty());
}
