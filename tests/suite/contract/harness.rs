//! A world that a test writes itself, the three simulated servers over it, and the agent's polling
//! over those, with a clock that the test sets forward.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use costband::analyse::gpu_picture::GpuBooks;
use costband::app::gpu_history::LedgerHistory;
use costband::app::gpu_time;
use costband::app::polling::Polling;
use costband::app::setup::Setup;
use costband::app::spend::{History, Reading, SpendReader};
use costband::collect::poller::Poller;
use costband::collect::{SOURCES, Source};
use costband::config::problems::Problems;
use costband::domain::band::{BandJudgement, BandStatus, BandView, PeriodLabel};
use costband::domain::breakdown::ChargeCategory;
use costband::domain::gpu_money::{GpuPicture, GpuRange};
use costband::domain::identity::{Provider, SourceId};
use costband::domain::money::Currency;
use costband::domain::period::{BillingPeriod, Window};
use costband::domain::ports::{Clock, GpuHistory};
use costband::domain::report::{ScheduleEntry, SourceError};
use costband::domain::spend::{SourceSpend, SourceStatus};
use costband::export::metrics::Renderer;
use costband::simulate::aws::{self, AwsOptions};
use costband::simulate::azure::{self, AzureOptions, Throttle};
use costband::simulate::charge::{Charge, World};
use costband::simulate::faults::Faults;
use costband::simulate::gcp::{self, GcpOptions};
use costband::snapshot::Snapshot;
use costband::store::Ledger;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::clock::SetClock;

pub fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A world of charges that a test wrote. A charge is there from its `published_at` on.
pub struct WrittenWorld {
    clock: Arc<dyn Clock>,
    charges: Mutex<Arc<Vec<Charge>>>,
}

impl WrittenWorld {
    pub fn new(clock: Arc<dyn Clock>, charges: Vec<Charge>) -> Arc<Self> {
        Arc::new(Self { clock, charges: Mutex::new(Arc::new(charges)) })
    }

    /// Writes the world anew.
    pub fn rewrite(&self, charges: Vec<Charge>) {
        *self.charges.lock().unwrap() = Arc::new(charges);
    }
}

impl World for WrittenWorld {
    fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    fn charges(&self, provider: Provider, at: Timestamp) -> Arc<Vec<Charge>> {
        let all = Arc::clone(&self.charges.lock().unwrap());
        let there = all.iter().filter(|c| c.provider == provider && c.published_at <= at);
        Arc::new(there.cloned().collect())
    }
}

/// A charge for use that was published when its day had ended.
pub fn charge(
    provider: Provider,
    day: Date,
    [account, service, region]: [&str; 3],
    billed: Decimal,
    effective: Decimal,
) -> Charge {
    Charge {
        provider,
        day,
        invoice_period: BillingPeriod::containing(day),
        sub_account_id: account.to_owned(),
        sub_account_name: format!("{account} by name"),
        service_name: service.to_owned(),
        service_id: String::new(),
        region_id: region.to_owned(),
        instance_type: None,
        sku: format!("{service} sku"),
        sku_id: "0A1B-2C3D-4E5F".to_owned(),
        category: ChargeCategory::Usage,
        record_type: match provider {
            Provider::Gcp => "regular".to_owned(),
            Provider::Aws | Provider::Azure => "Usage".to_owned(),
        },
        billed,
        effective,
        list: billed,
        currency: Currency::USD,
        per_usd: None,
        quantity: Decimal::ONE,
        unit: "Hrs".to_owned(),
        credits: Vec::new(),
        published_at: provider.billing_zone().end_of(day),
        estimated: false,
    }
}

const PLACES: [(Provider, [[&str; 3]; 4]); 3] = [
    (
        Provider::Aws,
        [
            ["222233334444", "Amazon Elastic Compute Cloud - Compute", "us-east-1"],
            ["222233334444", "Amazon Simple Storage Service", "us-east-1"],
            ["333344445555", "Amazon Elastic Compute Cloud - Compute", "eu-west-1"],
            ["333344445555", "AWS Lambda", "us-west-2"],
        ],
    ),
    (
        Provider::Gcp,
        [
            ["training", "Compute Engine", "us-central1"],
            ["training", "Cloud Storage", "us-central1"],
            ["serving", "Compute Engine", "europe-west4"],
            ["serving", "BigQuery", "us-east4"],
        ],
    ),
    (
        Provider::Azure,
        [
            ["0a7c2e58-91f4-4d36-8b0e-5d1f6a2c3b01", "Virtual Machines", "eastus"],
            ["0a7c2e58-91f4-4d36-8b0e-5d1f6a2c3b01", "Storage", "eastus"],
            ["1b8d3f69-a205-4e47-9c1f-6e2a7b3d4c02", "Virtual Machines", "westeurope"],
            ["1b8d3f69-a205-4e47-9c1f-6e2a7b3d4c02", "Bandwidth", "westus2"],
        ],
    ),
];

/// Four things in two accounts of each provider on every day of a window, with awkward decimals;
/// every third day moves a day after it was told. Amounts are multiplied by `scale`.
pub fn fleet(window: Window, scale: u32) -> Vec<Charge> {
    let mut charges = Vec::new();
    let mut seed: u64 = 20_261_123;
    for (provider, places) in PLACES {
        for day in window.days() {
            for place in places {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let units = i64::try_from(seed >> 33).unwrap() % 900_000_000 + 1_000_000;
                let billed = Decimal::new(units, 6) * Decimal::from(scale);
                // Google tells one basis only.
                let effective = match provider {
                    Provider::Gcp => billed,
                    Provider::Aws | Provider::Azure => billed + decimal("1.000003"),
                };
                let first = charge(provider, day, place, billed, effective);
                if day.day() % 3 == 0 {
                    let correction = decimal("-0.734501") * Decimal::from(scale);
                    charges.push(Charge {
                        published_at: first.published_at + SignedDuration::from_hours(24),
                        ..charge(provider, day, place, correction, correction)
                    });
                }
                charges.push(first);
            }
        }
    }
    charges
}

/// The days that a fleet needs around an instant: what a first start reads, and two weeks more.
pub fn around(now: Timestamp) -> Window {
    let utc = Provider::Aws.billing_zone();
    let first = BillingPeriod::at(now, utc).previous().previous().first_day();
    Window::new(first.saturating_sub(10.days()), utc.day_of(now).saturating_add(16.days()))
}

/// What may be chosen of the servers.
#[derive(Clone)]
pub struct Options {
    pub aws: AwsOptions,
    pub gcp: GcpOptions,
    pub azure: AzureOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            aws: AwsOptions::default(),
            gcp: GcpOptions::default(),
            azure: AzureOptions { throttle: Some(Throttle::wide()), ..AzureOptions::default() },
        }
    }
}

/// A server that ends with the value.
pub struct Server {
    pub url: String,
    pub faults: Arc<Faults>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub async fn start(router: Router, faults: Arc<Faults>) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, faults, task }
    }
}

/// The three clouds of a world.
pub struct Clouds {
    pub aws: Server,
    pub gcp: Server,
    pub azure: Server,
    pub options: Options,
}

impl Clouds {
    pub async fn start(world: Arc<dyn World>, options: Options) -> Self {
        let faults = || Arc::new(Faults::default());
        let (for_aws, for_gcp, for_azure) = (faults(), faults(), faults());
        let aws = aws::router(world.clone(), for_aws.clone(), options.aws.clone());
        let gcp = gcp::router(world.clone(), for_gcp.clone(), options.gcp.clone());
        let azure = azure::router(world, for_azure.clone(), options.azure.clone());
        Self {
            aws: Server::start(aws, for_aws).await,
            gcp: Server::start(gcp, for_gcp).await,
            azure: Server::start(azure, for_azure).await,
            options,
        }
    }

    pub fn of(&self, provider: Provider) -> &Server {
        match provider {
            Provider::Aws => &self.aws,
            Provider::Gcp => &self.gcp,
            Provider::Azure => &self.azure,
        }
    }

    /// The configuration's entry for a provider. Its secrets are files in a folder.
    pub fn entry(&self, provider: Provider, folder: &Path) -> Value {
        let url = &self.of(provider).url;
        let Options { aws, gcp, azure } = &self.options;
        let secret = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            json!({ "file": path })
        };
        match provider {
            Provider::Aws => json!({
                "name": "aws-main",
                "account": aws.account_id,
                "credentials": {"static": {
                    "access_key_id": "AKIAIOSFODNN7EXAMPLE",
                    "secret_access_key": secret("aws", "a-secret-access-key"),
                }},
                "endpoints": {"cost_explorer": url, "sts": url},
            }),
            Provider::Gcp => json!({
                "name": "gcp-main",
                "billing_account": gcp.billing_account,
                "project": gcp.project,
                "dataset": gcp.dataset,
                "credentials": {"anonymous": true},
                "endpoints": {"bigquery": url, "billing": url},
            }),
            Provider::Azure => json!({
                "name": "azure-main",
                "scope": format!(
                    "/providers/Microsoft.Billing/billingAccounts/{}", azure.billing_account
                ),
                "credentials": {
                    "method": "client_secret",
                    "tenant_id": azure.tenant_id,
                    "client_id": azure.client_id,
                    "client_secret": secret("azure", &azure.client_secret),
                },
                "endpoints": {"resource_manager": url, "authority": url},
            }),
        }
    }

    /// A whole configuration that reads these clouds, with the bands that are given.
    pub fn configuration(&self, providers: &[Provider], folder: &Path, bands: Value) -> Value {
        let mut configuration = json!({
            "listen": "127.0.0.1:0",
            "store": {"path": folder.join("costband.db")},
            "sources": {},
            "bands": bands,
        });
        for provider in providers {
            let entry = self.entry(*provider, folder);
            configuration["sources"][provider.as_str()] = json!([entry]);
        }
        configuration
    }
}

pub fn id(provider: Provider) -> SourceId {
    SourceId::new(format!("{provider}-main"))
}

/// A source as the table of kinds makes it of an entry.
pub fn build(provider: Provider, entry: &Value) -> Arc<dyn Source> {
    let mut problems = Problems::new();
    let kind = SOURCES.iter().find(|kind| kind.name == provider.as_str()).unwrap();
    let source = (kind.build)(entry, &format!("sources.{provider}[0]"), &mut problems);
    Arc::from(source.unwrap_or_else(|| panic!("{problems}")))
}

/// The agent's polling of simulated clouds, over a ledger in a folder of its own.
pub struct Bench {
    pub clock: Arc<SetClock>,
    pub clouds: Clouds,
    pub setup: Setup,
    pub polling: Polling,
    pub reader: SpendReader,
    pub folder: tempfile::TempDir,
    /// The history as it was read last.
    pub kept: Mutex<Arc<History>>,
}

impl Bench {
    /// Polls some providers of a world, judged by some bands.
    pub async fn start(
        providers: &[Provider],
        world: Arc<dyn World>,
        clock: Arc<SetClock>,
        options: Options,
        bands: Value,
    ) -> Self {
        let clouds = Clouds::start(world, options).await;
        let folder = tempfile::tempdir().unwrap();
        let text = clouds.configuration(providers, folder.path(), bands).to_string();
        let setup = Setup::from_text(&text, std::iter::empty()).unwrap_or_else(|p| panic!("{p}"));
        let ledger = Ledger::open(&setup.ledger).unwrap();
        let polling = Polling::new(&setup, ledger, clock.clone()).unwrap();
        let reader = SpendReader::new(&setup);
        let kept = Mutex::default();
        Self { clock, clouds, setup, polling, reader, folder, kept }
    }

    /// Polls a fleet from an instant on, without any band.
    pub async fn fleet(providers: &[Provider], now: &str, options: Options) -> Self {
        let clock = SetClock::at(now);
        let world = WrittenWorld::new(clock.clone(), fleet(around(at(now)), 1));
        Self::start(providers, world, clock, options, json!([])).await
    }

    pub fn poller(&self, provider: Provider) -> &Poller {
        let wanted = id(provider);
        let found = self.polling.pollers.iter().find(|p| p.source.descriptor().id == wanted);
        found.unwrap()
    }

    /// The poller of a provider with another source behind the same name.
    pub fn poller_with(&self, provider: Provider, change: impl FnOnce(&mut Value)) -> Poller {
        let mut entry = self.clouds.entry(provider, self.folder.path());
        change(&mut entry);
        Poller { source: build(provider, &entry), ..self.poller(provider).clone() }
    }

    pub async fn poll(&self, provider: Provider) -> Result<(), SourceError> {
        self.poller(provider).poll_once().await
    }

    pub async fn poll_well(&self, provider: Provider) {
        if let Err(error) = self.poll(provider).await {
            panic!("{provider} failed ({}): {error}", error.kind.as_str());
        }
    }

    pub fn advance(&self, hours: i64) {
        self.clock.advance(SignedDuration::from_hours(hours));
    }

    /// What the ledger says now.
    pub async fn read(&self) -> Reading {
        let (reader, now) = (self.reader.clone(), self.clock.now());
        self.polling.handle.call(move |ledger| reader.read(ledger, now)).await.unwrap().unwrap()
    }

    fn place(&self, provider: Provider) -> usize {
        let wanted = id(provider);
        let place = self.setup.sources.iter().position(|s| s.descriptor().id == wanted);
        place.unwrap()
    }

    pub async fn spend(&self, provider: Provider) -> Option<SourceSpend> {
        self.read().await.spend.swap_remove(self.place(provider))
    }

    pub async fn status(&self, provider: Provider) -> SourceStatus {
        self.read().await.sources.swap_remove(self.place(provider))
    }

    pub async fn schedule(&self, provider: Provider) -> ScheduleEntry {
        let source = id(provider);
        let read = self.polling.handle.call(move |ledger| ledger.schedule(&source)).await;
        read.unwrap().unwrap()
    }

    /// Every row of every breakdown, what is known of every day, and the cursor, as text.
    pub async fn kept(&self, provider: Provider) -> Vec<String> {
        let source = id(provider);
        let always = Window::new(Date::MIN, Date::MAX);
        let told = self.polling.handle.call(move |ledger| {
            let mut kept = vec![format!("{:?}", ledger.schedule(&source)?.cursor)];
            for breakdown in ledger.breakdowns(&source)? {
                kept.push(format!("{breakdown:?}"));
                ledger.for_each_row_in_days(&breakdown, &always, |row| {
                    kept.push(format!("{row:?}"));
                })?;
            }
            let readings = ledger.day_readings(&source, &always)?;
            kept.extend(readings.iter().map(|reading| format!("{reading:?}")));
            Ok::<_, costband::store::LedgerError>(kept)
        });
        told.await.unwrap().unwrap()
    }

    /// What the face tells of GPU money on a day.
    pub async fn gpu_day(&self, day: Date) -> GpuRange {
        let history = self.gpu_history(Arc::new(Semaphore::new(1)), Duration::from_secs(60));
        history.money(Window::new(day, day.tomorrow().unwrap())).await.unwrap()
    }

    /// Answers questions of GPU money, each in its turn.
    pub fn gpu_history(&self, turn: Arc<Semaphore>, patience: Duration) -> LedgerHistory {
        LedgerHistory {
            location: self.setup.ledger.clone(),
            reader: self.reader.clone(),
            clock: self.clock.clone(),
            turn,
            patience,
        }
    }

    pub async fn judge(&self) -> Vec<BandJudgement> {
        let (reading, history) = (self.read().await, self.history().await);
        let gpu = self.gpu(&reading).await;
        self.reader.judge(&reading, &history, &gpu, self.clock.now())
    }

    /// What the ledger's GPU time says beside the bill.
    pub async fn gpu(&self, reading: &Reading) -> GpuPicture {
        let now = self.clock.now();
        let times = self.polling.handle.call(move |ledger| gpu_time::read(ledger, now, None));
        let times = Arc::new(times.await.unwrap().unwrap());
        self.reader.gpu(reading, &GpuBooks { times, ..GpuBooks::default() }, now)
    }

    /// What forecasts learn from, of which only what has changed since the last time is read.
    pub async fn history(&self) -> Arc<History> {
        let before = self.kept.lock().unwrap().clone();
        let history = Arc::new(self.history_after(Some(before)).await);
        *self.kept.lock().unwrap() = history.clone();
        history
    }

    pub async fn history_after(&self, before: Option<Arc<History>>) -> History {
        let (reader, now) = (self.reader.clone(), self.clock.now());
        let read = move |ledger: &mut Ledger| reader.history(ledger, before.as_deref(), now);
        self.polling.handle.call(read).await.unwrap().unwrap()
    }

    pub async fn judged(&self, band: &str, label: PeriodLabel) -> BandJudgement {
        let judged = self.judge().await;
        let found = judged.into_iter().find(|held| held.band == band && held.label == label);
        found.unwrap_or_else(|| panic!("`{band}` is not judged for the {} period", label.as_str()))
    }

    pub async fn actual(&self, band: &str) -> BandStatus {
        self.judged(band, PeriodLabel::Current).await.status(BandView::Actual)
    }

    /// The business series as a scrape would get them now.
    pub async fn page(&self) -> String {
        let reading = self.read().await;
        let at = self.clock.now();
        let history = self.history().await;
        let gpu = self.gpu(&reading).await;
        let bands = self.reader.judge(&reading, &history, &gpu, at);
        let snapshot = Snapshot {
            at,
            alerts: Arc::default(),
            spend: Arc::new(reading.spend.into_iter().flatten().collect()),
            bands: Arc::new(bands),
            records: Arc::default(),
            gpus: Arc::new(Vec::new()),
            gpu_sources: Arc::default(),
            gpu: Arc::default(),
            trends: Arc::default(),
            sources: Arc::new(reading.sources),
        };
        Renderer::new(200).render(&snapshot)
    }
}

/// The lines of a page that tell what was billed: what requests for it cost is no part of a bill.
pub fn billed_figures(page: &str) -> impl Iterator<Item = &str> {
    let costs = page.lines().filter(|line| line.contains("_cost{"));
    costs.filter(|line| !line.starts_with("costband_source_api_"))
}
