//! Makes a snapshot whenever something was kept, a GPU page was read, or time alone changed a
//! judgement; renders its page once and hands both to the face.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::analyse::band::newly_said;
use crate::analyse::gpu_picture::GpuBooks;
use crate::app::alerts::{self, AlertInput, AlertRoom, JudgedAlerts};
use crate::app::gpu_now::GpuNow;
use crate::app::spend::{History, Reading, SpendReader};
use crate::app::trends::{GpuWindow, Trends};
use crate::domain::alert::AlertState;
use crate::domain::band::BandJudgement;
use crate::domain::gpu::{GpuReport, GpuSourceStatus};
use crate::domain::gpu_money::GpuPicture;
use crate::domain::period::BillingZone;
use crate::domain::ports::Clock;
use crate::domain::record::{BandRecord, KeptForecast};
use crate::domain::spend::{SourceSpend, SourceStatus};
use crate::export::metrics::Renderer;
use crate::export::page::Page;
use crate::outbox::alarm::Trouble;
use crate::runtime::readiness::Readiness;
use crate::snapshot::Snapshot;
use crate::store::{LedgerError, LedgerHandle};
use crate::telemetry::self_metrics::SelfMetrics;
use crate::web::Published;

/// How often ages are looked at when nothing else happens.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// So many times as long as publishing took, what a thousand sources of GPU samples tell is gathered
/// before it is published again.
const REST: u32 = 50;
/// How long a ledger that cannot be read is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// A ledger that refused nothing for so long keeps things again: what fails is tried each minute.
const WELL_AFTER: Duration = Duration::from_secs(150);
/// How long a judgement stands where only GPUs were read since.
const JUDGE_EVERY: SignedDuration = SignedDuration::from_secs(30);
/// How long a reading of the ledger is judged again before days may have become complete.
const READ_EVERY: SignedDuration = SignedDuration::from_mins(15);

/// What publishing needs.
pub struct Publisher {
    /// The ledger.
    pub ledger: LedgerHandle,
    /// Reads and judges.
    pub reader: SpendReader,
    /// The agent's clock.
    pub clock: Arc<dyn Clock>,
    /// Counts commits and failures that were kept.
    pub changed: watch::Receiver<u64>,
    /// What GPU telemetry tells now.
    pub gpus: watch::Receiver<GpuNow>,
    /// GPU time as the ledger has it, and nodes as they are.
    pub gpu_books: watch::Receiver<Arc<GpuBooks>>,
    /// What sources cost from day to day.
    pub trends: watch::Receiver<Trends>,
    /// GPU time and money of the newest whole days.
    pub gpu_window: watch::Receiver<GpuWindow>,
    /// Judges alerts and tells of them; none for a replica that follows, which shows what the holder
    /// keeps of them.
    pub alerts: Option<AlertRoom>,
    /// Changes when a message was queued.
    pub bell: watch::Sender<u64>,
    /// When alerts were judged and kept last.
    pub judged: watch::Sender<Option<Instant>>,
    /// Where snapshots go.
    pub published: watch::Sender<Option<Arc<Published>>>,
    /// Told of the first snapshot.
    pub readiness: Arc<Readiness>,
    /// Counts what the ledger refuses.
    pub metrics: SelfMetrics,
    /// Renders pages.
    pub renderer: Renderer,
    /// Alerts as they were judged last; none at first.
    pub known_alerts: Arc<Vec<AlertState>>,
    /// Since when, and why, the ledger keeps nothing.
    pub trouble: watch::Sender<Option<Trouble>>,
    /// How many operations the ledger has refused, and when it was seen to last.
    pub known_failures: (u64, Option<Instant>),
}

struct Read {
    reading: Reading,
    at: Timestamp,
    /// What was judged of it, and when.
    judged: Option<(Judged, Timestamp)>,
    /// What snapshots show of it, shared by all of them.
    spend: Arc<Vec<SourceSpend>>,
    sources: Arc<Vec<SourceStatus>>,
    /// What forecasts learn from.
    history: Arc<History>,
    /// What was said of bands' months before.
    kept: Vec<KeptForecast>,
    /// The records that are made of it; none where they are to be made anew.
    records: Option<Arc<Vec<BandRecord>>>,
    /// What was made of it and of which books, on which days of the billing zones.
    gpu: Option<(Arc<GpuBooks>, [Date; 2], Arc<GpuPicture>)>,
}

/// What is read of the ledger at one instant.
type Found = (Reading, History, Vec<KeptForecast>);

/// Bands and alerts.
#[derive(Clone)]
struct Judged {
    bands: Arc<Vec<BandJudgement>>,
    alerts: Arc<Vec<AlertState>>,
    /// How long it stands.
    stands: SignedDuration,
}

impl Read {
    fn new((reading, history, kept): Found, at: Timestamp) -> Self {
        Self {
            at,
            judged: None,
            history: Arc::new(history),
            kept,
            records: None,
            spend: Arc::new(reading.spend.iter().flatten().cloned().collect()),
            sources: Arc::new(reading.sources.clone()),
            reading,
            gpu: None,
        }
    }

    /// What was judged just now: GPUs are read often and say nothing of a bill.
    fn judged(&self, now: Timestamp) -> Option<Judged> {
        let (judged, at) = self.judged.as_ref()?;
        let age = now.duration_since(*at);
        (!age.is_negative() && age < judged.stands).then(|| judged.clone())
    }

    /// What was forecast of each band from day to day.
    fn records(&mut self, reader: &SpendReader, now: Timestamp) -> Arc<Vec<BandRecord>> {
        let made = || reader.records(&self.reading, &self.history, &self.kept, now);
        self.records.get_or_insert_with(|| Arc::new(made())).clone()
    }

    /// GPU time and money; the same as before where nothing that it is made of has changed.
    fn gpu(
        &mut self,
        reader: &SpendReader,
        books: Arc<GpuBooks>,
        now: Timestamp,
    ) -> Arc<GpuPicture> {
        let days = [BillingZone::Utc, BillingZone::Pacific].map(|zone| zone.day_of(now));
        if let Some((of, on, picture)) = &self.gpu
            && Arc::ptr_eq(of, &books)
            && *on == days
        {
            return picture.clone();
        }
        let picture = Arc::new(reader.gpu(&self.reading, &books, now));
        self.gpu = Some((books, days, picture.clone()));
        picture
    }
}

/// How long nothing but time changes anything: alerts that wait for others do not wait longer.
fn rest(read: Option<&Read>) -> Duration {
    let judged = read.and_then(|read| read.judged.as_ref());
    let stands = judged.and_then(|(judged, _)| Duration::try_from(judged.stands).ok());
    stands.unwrap_or(LOOK_EVERY).clamp(Duration::from_millis(100), LOOK_EVERY)
}

impl Publisher {
    /// Publishes for ever.
    pub async fn run(mut self) {
        let mut read: Option<Read> = None;
        loop {
            let now = self.clock.now();
            let old = read.as_ref().is_none_or(|read| {
                let age = now.duration_since(read.at);
                age >= READ_EVERY || age.is_negative()
            });
            if self.changed.has_changed().unwrap_or(false) || old {
                self.changed.mark_unchanged();
                match self.read(read.as_ref(), now).await {
                    Ok(found) => read = Some(Read::new(found, now)),
                    Err(error) => {
                        // What changed is still to be read, though not at once again.
                        tokio::time::sleep(RETRY_AFTER).await;
                        self.changed.mark_changed();
                        self.metrics.ledger_failed("read");
                        tracing::error!(%error, "failed to read the ledger");
                        self.watch_ledger(Some(error), now);
                    }
                }
            }
            let begun = Instant::now();
            if let Some(read) = &mut read {
                self.publish(read, now).await;
            }
            let rested = Instant::now() + begun.elapsed() * REST;
            let look = rest(read.as_ref());
            tokio::select! {
                changed = self.changed.changed() => {
                    if changed.is_err() { return; }
                    // The loop reads the mark; keep it.
                    self.changed.mark_changed();
                }
                changed = async {
                    tokio::time::sleep_until(rested).await;
                    tokio::select! {
                        changed = self.gpus.changed() => changed,
                        changed = self.gpu_books.changed() => changed,
                        changed = self.trends.changed() => changed,
                    }
                } => { if changed.is_err() { return; } }
                () = tokio::time::sleep(look) => {}
            }
        }
    }

    /// Reads the ledger, and of the history that forecasts learn from what has changed.
    async fn read(&self, before: Option<&Read>, now: Timestamp) -> Result<Found, String> {
        let reader = self.reader.clone();
        let before = before.map(|before| before.history.clone());
        let read = self.ledger.call(move |ledger| {
            // A leader may write meanwhile where replicas share the ledger.
            ledger.at_one_instant(|ledger| {
                let reading = reader.read(ledger, now)?;
                let history = reader.history(ledger, before.as_deref(), now)?;
                let kept = reader.kept_forecasts(ledger, now)?;
                Ok::<_, LedgerError>((reading, history, kept))
            })
        });
        match read.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(error.to_string()),
            Err(gone) => Err(gone.to_string()),
        }
    }

    /// The newest reports, and how the reading of each source goes.
    fn gpus_now(&mut self) -> (Vec<Arc<GpuReport>>, Arc<Vec<Arc<GpuSourceStatus>>>) {
        let now = self.gpus.borrow_and_update();
        (now.reports().cloned().collect(), Arc::new(now.sources().cloned().collect()))
    }

    async fn publish(&mut self, read: &mut Read, now: Timestamp) {
        let (gpus, gpu_sources) = self.gpus_now();
        let books = self.gpu_books.borrow_and_update().clone();
        let gpu = read.gpu(&self.reader, books, now);
        let judged = match read.judged(now) {
            Some(judged) => judged,
            None => {
                let bands = self.reader.judge(&read.reading, &read.history, &gpu, now);
                let bands = Arc::new(bands);
                self.keep_forecasts(read, &bands, now).await;
                let input = AlertInput {
                    bands: bands.clone(),
                    spend: read.spend.clone(),
                    sources: read.sources.clone(),
                    gpu_sources: gpu_sources.clone(),
                    gpu: gpu.clone(),
                    gpu_window: self.gpu_window.borrow().clone(),
                    trends: Some(self.trends.borrow().clone()).filter(|told| !told.is_empty()),
                };
                let mut stands = JUDGE_EVERY;
                if let Some(judged) = self.judge_alerts(input, now).await {
                    self.known_alerts = Arc::new(judged.alerts);
                    let wait = self.alerts.as_ref().map(|room| room.group_wait);
                    if let Some(wait) = wait.filter(|_| judged.waits) {
                        stands = stands.min(wait);
                    }
                }
                let judged = Judged { bands, alerts: self.known_alerts.clone(), stands };
                read.judged = Some((judged.clone(), now));
                judged
            }
        };
        let snapshot = Snapshot {
            at: now,
            spend: read.spend.clone(),
            bands: judged.bands,
            alerts: judged.alerts,
            records: read.records(&self.reader, now),
            gpus: Arc::new(gpus),
            gpu_sources,
            gpu,
            trends: self.trends.borrow_and_update().clone(),
            sources: read.sources.clone(),
        };
        let text = self.renderer.render(&snapshot);
        let before = self.published.borrow().as_ref().map(|published| published.page.clone());
        let page = match before {
            // Most snapshots differ in nothing but their time.
            Some(page) if page.is_of(&text) => page,
            _ => Page::new(text),
        };
        self.published.send_replace(Some(Arc::new(Published { snapshot, page })));
        self.readiness.snapshot_published();
    }

    /// Keeps what is said of bands' months for the first time. A replica that follows keeps nothing.
    async fn keep_forecasts(&self, read: &mut Read, bands: &[BandJudgement], now: Timestamp) {
        let said = newly_said(bands, &read.kept, now);
        if self.alerts.is_none() || said.is_empty() {
            return;
        }
        let keep = said.clone();
        let kept = self.ledger.call(move |ledger| ledger.keep_forecasts(&keep)).await;
        let error = match kept {
            Ok(Ok(())) => {
                read.kept.extend(said);
                read.records = None;
                return;
            }
            Ok(Err(error)) => {
                self.metrics.ledger_failed(error.operation().as_str());
                error.to_string()
            }
            Err(gone) => gone.to_string(),
        };
        tracing::error!(%error, "failed to keep what was forecast; it is tried again");
    }

    /// Every alert that is pending or fires, once what became of them is kept; none where the ledger
    /// cannot keep it.
    async fn judge_alerts(&mut self, input: AlertInput, now: Timestamp) -> Option<JudgedAlerts> {
        let room = self.alerts.clone();
        let judged = self.ledger.call(move |ledger| match room {
            Some(room) => alerts::judge(ledger, &room, &input, now),
            None => Ok(JudgedAlerts { alerts: alerts::open(ledger)?, queued: 0, waits: false }),
        });
        let (judged, error) = match judged.await {
            Ok(Ok(judged)) => (Some(judged), None),
            Ok(Err(error)) => {
                self.metrics.ledger_failed(error.operation().as_str());
                (None, Some(error.to_string()))
            }
            Err(gone) => (None, Some(gone.to_string())),
        };
        if let Some(error) = &error {
            tracing::error!(%error, "failed to judge alerts; nothing is told of what changed");
        }
        if judged.as_ref().is_some_and(|judged| judged.queued > 0) {
            self.bell.send_modify(|rung| *rung += 1);
        }
        self.watch_ledger(error, now);
        judged
    }

    /// Notes whether the ledger keeps things. An evaluation in which nothing changed writes nothing,
    /// so what is refused elsewhere counts too.
    fn watch_ledger(&mut self, error: Option<String>, now: Timestamp) {
        let failures = self.metrics.ledger_failures();
        if std::mem::replace(&mut self.known_failures.0, failures) < failures || error.is_some() {
            self.known_failures.1 = Some(Instant::now());
        }
        let fails = self.known_failures.1.is_some_and(|at| at.elapsed() < WELL_AFTER);
        if fails {
            let because = "its operations fail; see the log";
            self.trouble.send_if_modified(|trouble| {
                let is_new = trouble.is_none();
                let error = error.unwrap_or_else(|| because.to_owned());
                trouble.get_or_insert(Trouble { since: now, error });
                is_new
            });
        } else {
            self.judged.send_replace(Some(Instant::now()));
            self.trouble.send_if_modified(|trouble| trouble.take().is_some());
        }
    }
}
