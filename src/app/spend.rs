//! Reads the ledger and makes spend, statuses and judgements of it: the same for the agent and for
//! the one-shot report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};
use tokio::sync::watch;

use crate::analyse::band::{BandSource, SourceHistory, judge, record};
use crate::analyse::gpu_bill::{GpuBill, SourceBill};
use crate::analyse::gpu_picture::{GpuBooks, picture};
use crate::analyse::gpu_price::PriceBook;
use crate::analyse::restated::restated_periods;
use crate::analyse::spend::{
    DailySeries, KnownDays, Selection, SeriesFold, SourceRules, SpendFold, complete_days,
};
use crate::app::gpu_bill::Gatherer;
use crate::app::setup::Setup;
use crate::domain::band::{Band, BandJudgement, PeriodLabel};
use crate::domain::breakdown::{Breakdown, BreakdownRole};
use crate::domain::exchange::ExchangeRates;
use crate::domain::gpu_money::GpuPicture;
use crate::domain::identity::SourceId;
use crate::domain::money::{Currency, Money};
use crate::domain::node::NodeInventory;
use crate::domain::period::{BillingPeriod, BillingZone, Window, next_day};
use crate::domain::price::SkuPrice;
use crate::domain::record::{BandRecord, KeptForecast};
use crate::domain::spend::{RestatedPeriod, SourceSpend, SourceStatus};
use crate::store::{Ledger, LedgerError};

/// What reading needs of a setup, cheap to hand to the ledger's thread.
#[derive(Clone)]
pub struct SpendReader {
    sources: Arc<Vec<ReadSource>>,
    bands: Arc<Vec<Band>>,
    rates: Arc<ExchangeRates>,
    gpu_hour_prices: Arc<BTreeMap<String, Money>>,
    inventory: Option<watch::Receiver<Arc<NodeInventory>>>,
}

struct ReadSource {
    rules: SourceRules,
    monthly_cap: Option<Money>,
    bands: Vec<usize>,
    selections: Vec<Selection>,
}

/// How long what moved after it was complete is told.
const RESTATED_FOR: SignedDuration = SignedDuration::from_hours(14 * 24);

/// How far back forecasts look: a year and the month that it began in.
const HISTORY_DAYS: i32 = 400;

/// What bands cost in each source on all days that forecasts learn from.
#[derive(Debug, Default)]
pub struct History {
    /// In configured order.
    sources: Vec<Days>,
}

/// What bands cost in one source.
#[derive(Debug)]
struct Days {
    of: Read,
    /// One for each selection.
    series: Arc<Vec<DailySeries>>,
    complete_days: BTreeSet<Date>,
}

/// What says whether rows of earlier periods were read anew: until then their sums stay.
#[derive(Debug, PartialEq)]
struct Read {
    window: Window,
    breakdowns: Vec<Breakdown>,
    days: Vec<(Date, Option<Currency>, Timestamp)>,
}

/// What the ledger says of every source at one instant.
pub struct Reading {
    /// Each source's money, in configured order; none for one that was never read.
    pub spend: Vec<Option<SourceSpend>>,
    /// How each source's polling goes.
    pub sources: Vec<SourceStatus>,
    /// What was billed for GPUs, and for everything else.
    pub gpu_bill: GpuBill,
    series: Vec<Vec<DailySeries>>,
    /// For each source, whether the ledger holds the breakdown of each selection.
    held: Vec<Vec<bool>>,
}

impl SpendReader {
    /// A reader for a setup's sources and bands.
    pub fn new(setup: &Setup) -> Self {
        let sources = setup
            .sources
            .iter()
            .zip(setup.rules())
            .zip(&setup.selections)
            .map(|((source, rules), selections)| ReadSource {
                rules,
                monthly_cap: source.descriptor().monthly_cap,
                bands: selections.iter().map(|(band, _)| *band).collect(),
                selections: selections.iter().map(|(_, selection)| selection.clone()).collect(),
            })
            .collect();
        Self {
            sources: Arc::new(sources),
            bands: Arc::new(setup.config.bands.clone()),
            rates: Arc::new(setup.config.exchange_rates.clone()),
            gpu_hour_prices: Arc::new(setup.config.gpu_hour_prices.clone()),
            inventory: None,
        }
    }

    /// With prices that the central agent tells.
    #[must_use]
    pub fn with_inventory(self, inventory: watch::Receiver<Arc<NodeInventory>>) -> Self {
        Self { inventory: Some(inventory), ..self }
    }

    /// Reads the open and the previous period of every source.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn read(&self, ledger: &Ledger, now: Timestamp) -> Result<Reading, LedgerError> {
        let mut reading = Reading {
            spend: Vec::new(),
            sources: Vec::new(),
            gpu_bill: GpuBill::default(),
            series: Vec::new(),
            held: Vec::new(),
        };
        let mut bills = Vec::new();
        for source in self.sources.iter() {
            let Told { spend, bill, series, status } = read_source(ledger, source, now)?;
            bills.push(bill);
            reading.spend.push(spend);
            reading.series.push(series);
            let live = ledger.breakdowns(&source.rules.id)?;
            let held = source
                .selections
                .iter()
                .map(|selection| live.iter().any(|held| held.query == selection.query))
                .collect();
            reading.held.push(held);
            reading.sources.push(status);
        }
        reading.gpu_bill = GpuBill::of(bills);
        Ok(reading)
    }

    /// GPU time and money.
    pub fn gpu(&self, reading: &Reading, books: &GpuBooks, now: Timestamp) -> GpuPicture {
        let listed = reading.spend.iter().flatten().flat_map(|spend| spend.list_prices.clone());
        let prices = self.price_book(&reading.gpu_bill, listed.collect());
        picture(books, &reading.gpu_bill, &prices, &self.bands, now)
    }

    /// Reads what bands cost in all days that forecasts learn from; what has not changed since an
    /// earlier reading is taken from it.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn history(
        &self,
        ledger: &Ledger,
        before: Option<&History>,
        now: Timestamp,
    ) -> Result<History, LedgerError> {
        let today = BillingZone::Utc.day_of(now);
        let window = Window::new(today.saturating_sub(HISTORY_DAYS.days()), next_day(today));
        let mut sources = Vec::new();
        for (index, ReadSource { rules, selections, .. }) in self.sources.iter().enumerate() {
            let breakdowns = ledger.breakdowns(&rules.id)?;
            let known = known_days(ledger, rules, &window)?;
            let complete_days = complete_days(rules, &known, now);
            let of = Read::new(window, breakdowns, &known, periods(rules, now).first().copied());
            let held = before.and_then(|before| before.sources.get(index));
            let series = match held.filter(|held| held.of == of) {
                Some(held) => held.series.clone(),
                None => Arc::new(of.series(ledger, selections)?),
            };
            sources.push(Days { of, series, complete_days });
        }
        Ok(History { sources })
    }

    /// Judges every band against its open and its previous period.
    pub fn judge(
        &self,
        reading: &Reading,
        history: &History,
        gpu: &GpuPicture,
        now: Timestamp,
    ) -> Vec<BandJudgement> {
        self.of_each(reading, history, |band, sources, label| {
            judge(band, sources, &self.rates, gpu, label, now)
        })
    }

    /// What was said of bands' open and previous months.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn kept_forecasts(
        &self,
        ledger: &Ledger,
        now: Timestamp,
    ) -> Result<Vec<KeptForecast>, LedgerError> {
        // Pacific time is the last to begin a period.
        ledger.kept_forecasts(BillingPeriod::at(now, BillingZone::Pacific).previous())
    }

    /// The record of every band's open and previous month, of what was kept and what is read.
    pub fn records(
        &self,
        reading: &Reading,
        history: &History,
        kept: &[KeptForecast],
        now: Timestamp,
    ) -> Vec<BandRecord> {
        self.of_each(reading, history, |band, sources, label| {
            record(band, sources, &self.rates, kept, label, now)
        })
    }

    /// What there is of each band's open month, and then of each one's previous month.
    fn of_each<T>(
        &self,
        reading: &Reading,
        history: &History,
        of: impl Fn(&Band, &[BandSource<'_>], PeriodLabel) -> Option<T>,
    ) -> Vec<T> {
        let mut found = Vec::new();
        for label in PeriodLabel::ALL {
            for (index, band) in self.bands.iter().enumerate() {
                found.extend(of(band, &self.band_sources(reading, history, index), label));
            }
        }
        found
    }

    fn band_sources<'a>(
        &'a self,
        reading: &'a Reading,
        history: &'a History,
        band: usize,
    ) -> Vec<BandSource<'a>> {
        self.sources
            .iter()
            .enumerate()
            .filter_map(|(index, source)| {
                let place = source.bands.iter().position(|held| *held == band)?;
                Some(BandSource {
                    rules: &source.rules,
                    spend: reading.spend.get(index)?.as_ref(),
                    series: reading.series.get(index)?.get(place)?,
                    history: history.sources.get(index).and_then(|days| {
                        let Days { series, complete_days, .. } = days;
                        Some(SourceHistory { series: series.get(place)?, complete_days })
                    }),
                    // A query of the band's own that was not asked yet is not read yet.
                    last_success: if *reading.held.get(index)?.get(place)? {
                        reading.sources.get(index)?.last_success
                    } else {
                        None
                    },
                })
            })
            .collect()
    }

    /// The rules of every source, in configured order.
    pub fn rules(&self) -> impl Iterator<Item = &SourceRules> {
        self.sources.iter().map(|source| &source.rules)
    }

    /// The bands that hold a part of a source only, each with what it selects of it.
    pub fn narrower_bands(&self, source: &SourceId) -> impl Iterator<Item = (&str, &Selection)> {
        let read = self.sources.iter().find(|held| held.rules.id == *source);
        let selected = read.into_iter().flat_map(|read| read.bands.iter().zip(&read.selections));
        selected.filter_map(|(band, selection)| {
            let band = self.bands.get(*band)?;
            (!band.scope.filters.is_empty()).then_some((band.name.as_str(), selection))
        })
    }

    /// Prices of GPU-hours: of a bill, of lists, of the configuration and of the central agent.
    pub fn price_book(&self, bill: &GpuBill, listed: Vec<SkuPrice>) -> PriceBook {
        let told = self.inventory.as_ref().and_then(|known| known.borrow().told.clone());
        PriceBook::new(&bill.days, listed, self.gpu_hour_prices.as_ref().clone()).with_told(told)
    }

    /// Who is told of a band: its receiver, or none for all of them.
    pub fn receiver(&self, band: &str) -> Option<&str> {
        self.bands.iter().find(|held| held.name == band)?.receiver.as_deref()
    }
}

impl Read {
    fn new(
        window: Window,
        breakdowns: Vec<Breakdown>,
        known: &KnownDays,
        fresh: Option<BillingPeriod>,
    ) -> Self {
        let costs =
            known.readings.iter().map(|held| (held.day, Some(held.currency), held.observed_at));
        let empty = known.empty.iter().map(|held| (held.day, None, held.observed_at));
        let is_older = |day: Date| fresh.is_none_or(|fresh| day < fresh.first_day());
        let days = costs.chain(empty).filter(|(day, ..)| is_older(*day)).collect();
        Self { window, breakdowns, days }
    }

    fn series(
        &self,
        ledger: &Ledger,
        selections: &[Selection],
    ) -> Result<Vec<DailySeries>, LedgerError> {
        let mut fold = SeriesFold::new(&self.breakdowns, selections);
        for (index, breakdown) in self.breakdowns.iter().enumerate() {
            if selections.iter().any(|selection| selection.reads(breakdown)) {
                ledger.for_each_row_in_days(breakdown, &self.window, |row| fold.row(index, row))?;
            }
        }
        Ok(fold.finish())
    }
}

/// What the ledger knows of a source's days besides their rows.
///
/// # Errors
/// When the ledger cannot be read.
pub fn known_days(
    ledger: &Ledger,
    rules: &SourceRules,
    window: &Window,
) -> Result<KnownDays, LedgerError> {
    Ok(KnownDays {
        readings: ledger.day_readings(&rules.id, window)?,
        empty: ledger.empty_days(&rules.id, window)?,
        data_through: ledger.schedule(&rules.id)?.data_through,
    })
}

/// What the ledger says of one source.
struct Told {
    spend: Option<SourceSpend>,
    bill: SourceBill,
    series: Vec<DailySeries>,
    status: SourceStatus,
}

fn read_source(ledger: &Ledger, source: &ReadSource, now: Timestamp) -> Result<Told, LedgerError> {
    let (rules, id) = (&source.rules, &source.rules.id);
    let breakdowns = ledger.breakdowns(id)?;
    let periods = periods(rules, now);
    let mut gathered = Gatherer::new(rules.provider);
    let mut fold = SpendFold::new(rules, &breakdowns, &source.selections);
    for (index, breakdown) in breakdowns.iter().enumerate() {
        let (folds, gathers) = (is_read(breakdown, &source.selections), gathered.wants(breakdown));
        if folds || gathers {
            ledger.for_each_row(breakdown, &periods, |row| {
                if folds {
                    fold.row(index, row);
                }
                if gathers {
                    gathered.row(breakdown, row);
                }
            })?;
        }
    }
    let known = known_days(ledger, rules, &days(&periods))?;
    let schedule = ledger.schedule(id)?;
    let (spend, series) = fold.finish(&known, now);
    let bill = gathered.finish(spend.complete_days.clone());
    let names = ledger
        .names(id)?
        .into_iter()
        .map(|entity| ((entity.dimension, entity.key), entity.name))
        .collect::<BTreeMap<_, _>>();
    let spend = schedule
        .last_success
        .is_some()
        .then(|| {
            let spend = spend.into_source(
                rules,
                schedule.data_through,
                names,
                ledger.budgets(id)?,
                ledger.list_prices(id)?,
                ledger.restatements_total(id)?,
            );
            Ok::<_, LedgerError>(SourceSpend { restated: restated(ledger, rules, now)?, ..spend })
        })
        .transpose()?;
    let status = SourceStatus {
        source: id.clone(),
        provider: rules.provider,
        up: match (schedule.failures, schedule.last_success) {
            (0, None) => None,
            (0, Some(_)) => Some(true),
            _ => Some(false),
        },
        last_success: schedule.last_success,
        last_error: schedule.last_error,
        next_poll: schedule.next_poll,
        spent: ledger.spent(id, now)?,
        monthly_cap: source.monthly_cap,
        lag: rules.lag,
    };
    Ok(Told { spend, bill, series, status })
}

/// What moved of late, held against the months that it is of.
fn restated(
    ledger: &Ledger,
    rules: &SourceRules,
    now: Timestamp,
) -> Result<Vec<RestatedPeriod>, LedgerError> {
    let since = now.checked_sub(RESTATED_FOR).unwrap_or(Timestamp::MIN);
    let moved = ledger.restatements(&rules.id, since)?;
    let periods: BTreeSet<BillingPeriod> =
        moved.iter().map(|moved| BillingPeriod::containing(moved.day)).collect();
    let mut readings = Vec::new();
    for period in periods {
        readings.extend(ledger.day_readings(&rules.id, &period.window())?);
    }
    Ok(restated_periods(&moved, &readings, rules.provider.billing_zone()))
}

/// A breakdown that is neither told nor selected need not be read.
fn is_read(breakdown: &Breakdown, selections: &[Selection]) -> bool {
    breakdown.role != BreakdownRole::Filtered
        || selections.iter().any(|selection| selection.query == breakdown.query)
}

/// The open and the previous period in the provider's zone and in UTC, which bands of several
/// providers go by.
fn periods(rules: &SourceRules, now: Timestamp) -> Vec<BillingPeriod> {
    let periods: BTreeSet<BillingPeriod> = [rules.provider.billing_zone(), BillingZone::Utc]
        .into_iter()
        .map(|zone| BillingPeriod::at(now, zone))
        .flat_map(|current| [current, current.previous()])
        .collect();
    periods.into_iter().collect()
}

/// The usage days that can be on the bills of some periods.
fn days(periods: &[BillingPeriod]) -> Window {
    let first = periods.first().map_or(jiff::civil::Date::MIN, |period| period.first_day());
    let last = periods.last().map_or(jiff::civil::Date::MAX, |period| period.end_day());
    Window::new(first.saturating_sub(31.days()), last)
}
