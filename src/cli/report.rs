//! `costband report`: where every band stands, from the ledger, for people and for CI.

mod drawing;
mod gpu;
mod screen;
mod text;
mod trends;

use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::Arc;

use clap::ValueEnum;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::analyse::gpu_picture::GpuBooks;
use crate::app::alerts;
use crate::app::gpu_time;
use crate::app::polling::Polling;
use crate::app::setup::Setup;
use crate::app::spend::SpendReader;
use crate::app::trends::read as read_trends;
use crate::cli::report::screen::Screen;
use crate::cli::report::text::amount;
use crate::cli::report::text::{left, plain, right, width};
use crate::cli::{ConfigFile, Failure, load, print};
use crate::config::file::Language;
use crate::domain::band::{BandJudgement, BandStatus, BandView, PeriodLabel};
use crate::domain::money::Money;
use crate::domain::period::BillingZone;
use crate::domain::ports::Clock;
use crate::export::api;
use crate::runtime::clock::SystemClock;
use crate::snapshot::Snapshot;
use crate::store::Ledger;

#[derive(Debug, clap::Args)]
#[command(
    about = "Print where every band stands, from the ledger",
    after_help = "Examples:\n  costband report -c costband.yaml\n  costband report -c costband.yaml --format markdown --as-of 2026-10-31\n  costband report -c costband.yaml --refresh --fail-on above\n\nReading the ledger is free and may go on beside a running agent. --refresh polls the\nproviders first, within their caps, and wants the ledger for itself."
)]
pub(super) struct Report {
    #[command(flatten)]
    config: ConfigFile,
    /// How it is printed; a chart on a terminal, else a table.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Judges as at the end of this day (UTC), by what is known today.
    #[arg(long, value_name = "DATE")]
    as_of: Option<Date>,
    /// Asks every provider first, which may cost money.
    #[arg(long)]
    refresh: bool,
    /// Ends with exit code 2 when a band of the current month is in this state.
    #[arg(long, value_enum, value_name = "STATE")]
    fail_on: Option<FailOn>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Drawn for a terminal: as wide as it is (`COLUMNS`), in the configured language, with colours
    /// (not with `NO_COLOR`), in plain letters where the locale is not UTF-8.
    Chart,
    /// One line for each band and period, in columns.
    Table,
    /// As `/api/v1/bands`.
    Json,
    /// One line for each band and period.
    Csv,
    /// For an issue or a chat.
    Markdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Spend so far is above the ceiling.
    Above,
    /// The expected month end is below the floor.
    Below,
    /// Spend so far or the expected month end is above the ceiling.
    ForecastAbove,
}

impl FailOn {
    /// Whether the view that decides is unknown.
    fn cannot_judge(self, band: &BandJudgement) -> bool {
        let view = match self {
            Self::Above => BandView::Actual,
            Self::Below | Self::ForecastAbove => BandView::Forecast,
        };
        !self.is_breached_by(band) && band.status(view) == BandStatus::Unknown
    }

    fn is_breached_by(self, band: &BandJudgement) -> bool {
        let is = |view, status| band.status(view) == status;
        match self {
            Self::Above => is(BandView::Actual, BandStatus::Above),
            Self::Below => is(BandView::Forecast, BandStatus::Below),
            Self::ForecastAbove => {
                is(BandView::Actual, BandStatus::Above) || is(BandView::Forecast, BandStatus::Above)
            }
        }
    }
}

impl Report {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let setup = load(&self.config.config)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        if self.refresh {
            refresh(&setup, clock.clone()).await?;
        }
        let now = self.instant(clock.now());
        if self.as_of.is_some_and(|day| day > BillingZone::Utc.day_of(clock.now())) {
            eprintln!("costband: --as-of lies in the future; this is the report of today");
        }
        let ledger = Ledger::open_read_only(&setup.ledger).map_err(anyhow::Error::from)?;
        let reader = SpendReader::new(&setup);
        let reading = reader.read(&ledger, now).map_err(anyhow::Error::from)?;
        let history = reader.history(&ledger, None, now).map_err(anyhow::Error::from)?;
        let times = gpu_time::read(&ledger, now, None).map_err(anyhow::Error::from)?;
        let books = GpuBooks { times: Arc::new(times), ..GpuBooks::default() };
        let gpu = Arc::new(reader.gpu(&reading, &books, now));
        let moved = read_trends(&reader, &ledger, now).map_err(anyhow::Error::from)?;
        let alerts = alerts::open(&ledger).map_err(anyhow::Error::from)?;
        let snapshot = Snapshot {
            at: now,
            alerts: Arc::new(alerts),
            bands: Arc::new(reader.judge(&reading, &history, &gpu, now)),
            spend: Arc::new(reading.spend.into_iter().flatten().collect()),
            records: Arc::default(),
            gpus: Arc::new(Vec::new()),
            gpu_sources: Arc::default(),
            gpu,
            trends: Arc::new(moved),
            sources: Arc::new(reading.sources),
        };
        print(&self.render(&snapshot, setup.config.language)?)?;
        let open = || snapshot.bands.iter().filter(|band| band.label == PeriodLabel::Current);
        if let Some(fail_on) = self.fail_on {
            for band in open().filter(|band| fail_on.cannot_judge(band)) {
                eprintln!("costband: {}: not known, so --fail-on says nothing of it", band.band);
            }
        }
        let breached: Vec<&str> = open()
            .filter(|band| self.fail_on.is_some_and(|fail_on| fail_on.is_breached_by(band)))
            .map(|band| band.band.as_str())
            .collect();
        if breached.is_empty() {
            return Ok(());
        }
        let wanted = self.fail_on.and_then(|fail_on| fail_on.to_possible_value());
        let wanted = wanted.map_or_else(String::new, |value| value.get_name().to_owned());
        Err(Failure::Breach(format!("{wanted}: {}", breached.join(", "))))
    }

    /// The end of the day that `--as-of` names, or now where that has not come yet.
    fn instant(&self, now: Timestamp) -> Timestamp {
        let end = self.as_of.map(|day| BillingZone::Utc.end_of(day));
        end.map_or(now, |end| {
            end.saturating_sub(jiff::SignedDuration::from_secs(1)).unwrap_or(end).min(now)
        })
    }

    fn render(&self, snapshot: &Snapshot, language: Language) -> Result<String, Failure> {
        let is_terminal = std::io::stdout().is_terminal();
        let usual = if is_terminal { Format::Chart } else { Format::Table };
        Ok(match self.format.unwrap_or(usual) {
            Format::Chart => {
                let size = terminal_size::terminal_size_of(std::io::stdout());
                let size = size.map(|(width, _)| usize::from(width.0));
                let screen = Screen::new(is_terminal, size, |name| std::env::var(name).ok());
                drawing::draw(snapshot, language, screen)
            }
            Format::Table => table(snapshot),
            Format::Markdown => markdown(snapshot),
            Format::Csv => csv(snapshot),
            Format::Json => {
                let text = serde_json::to_string_pretty(&api::report(snapshot))
                    .map_err(anyhow::Error::from)?;
                format!("{text}\n")
            }
        })
    }
}

async fn refresh(setup: &Setup, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let ledger = Ledger::open(&setup.ledger).map_err(anyhow::Error::from)?;
    let polling = Polling::new(setup, ledger, clock)?;
    for poller in &polling.pollers {
        let id = &poller.source.descriptor().id;
        match poller.poll_once().await {
            Ok(()) => eprintln!("{id}: read"),
            Err(error) => eprintln!("{id}: failed ({}): {error}", error.kind.as_str()),
        }
    }
    Ok(polling.handle.close().await.map_err(anyhow::Error::from)?)
}

const HEADINGS: [&str; 8] =
    ["band", "period", "spend", "floor", "ceiling", "so far", "pace", "month end"];

fn cells(band: &BandJudgement) -> [String; 8] {
    let unknown = || "unknown".to_owned();
    let status = |view| band.status(view).as_str().to_owned();
    let month_end = band.month_end().map(|end| format!(" ({})", amount(end))).unwrap_or_default();
    [
        plain(&band.band),
        format!("{}{}", band.period, if band.is_final { " final" } else { "" }),
        band.spend.map_or_else(unknown, amount),
        amount(band.floor),
        amount(band.ceiling),
        status(BandView::Actual),
        status(BandView::Pace),
        format!("{}{month_end}", status(BandView::Forecast)),
    ]
}

fn table(snapshot: &Snapshot) -> String {
    let rows: Vec<[String; 8]> = snapshot.bands.iter().map(cells).collect();
    let mut widths = HEADINGS.map(width);
    for row in &rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let mut out = format!("as of {}\n\n", snapshot.at.strftime("%Y-%m-%d %H:%M UTC"));
    let mut line = |cells: &[String; 8]| {
        let mut text = String::new();
        for (place, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let is_amount = (2..=4).contains(&place);
            let cell = if is_amount { right(cell, width) } else { left(cell, width) };
            let _ = write!(text, "{cell}  ");
        }
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(&HEADINGS.map(str::to_owned));
    rows.iter().for_each(&mut line);
    out.push_str(&reasons(snapshot));
    out.push_str(&trends::section(snapshot, gpu::Style::Text));
    out.push_str(&gpu::section(&snapshot.gpu, gpu::Style::Text));
    out
}

/// Why a status is unknown, and which source fails.
fn reasons(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    for band in snapshot.bands.iter().filter(|band| band.label == PeriodLabel::Current) {
        for view in band.views.iter().filter(|view| view.status == BandStatus::Unknown) {
            let reason = format!("{}, {}: {}", band.band, view.view.as_str(), view.reason);
            let _ = writeln!(out, "{}", plain(&reason));
        }
    }
    for source in snapshot.sources.iter() {
        if let Some((kind, text)) = &source.last_error {
            let failure = format!("{}: {}: {text}", source.source, kind.as_str());
            let _ = writeln!(out, "{}", plain(&failure));
        }
    }
    if out.is_empty() { out } else { format!("\n{out}") }
}

fn markdown(snapshot: &Snapshot) -> String {
    let line = |cells: &[String; 8]| {
        let cells = cells.each_ref().map(|cell| cell.replace('|', "\\|"));
        format!("| {} |\n", cells.join(" | "))
    };
    let mut out = format!("As of {}\n\n", snapshot.at.strftime("%Y-%m-%d %H:%M UTC"));
    out.push_str(&line(&HEADINGS.map(str::to_owned)));
    out.push_str("|---|---|--:|--:|--:|---|---|---|\n");
    for band in snapshot.bands.iter() {
        out.push_str(&line(&cells(band)));
    }
    out.push_str(&trends::section(snapshot, gpu::Style::Markdown));
    out.push_str(&gpu::section(&snapshot.gpu, gpu::Style::Markdown));
    out
}

/// Exact amounts for spreadsheets (RFC 4180). An unknown amount is an empty field.
fn csv(snapshot: &Snapshot) -> String {
    let mut out = String::from(
        "band,period,is_final,basis,currency,floor,ceiling,spend,complete_days,run_rate,actual,pace,forecast,month_end,probability_above\r\n",
    );
    for band in snapshot.bands.iter() {
        let exact = |money: Option<Money>| {
            money.map(|money| money.amount.normalize().to_string()).unwrap_or_default()
        };
        let fields = [
            quoted(&band.band),
            band.period.to_string(),
            band.is_final.to_string(),
            band.basis.as_str().to_owned(),
            band.ceiling.currency.to_string(),
            exact(Some(band.floor)),
            exact(Some(band.ceiling)),
            exact(band.spend),
            band.complete_days.to_string(),
            // An estimate has no more digits than money.
            exact(band.run_rate.map(|rate| Money::new(rate.amount.round_dp(2), rate.currency))),
            band.status(BandView::Actual).as_str().to_owned(),
            band.status(BandView::Pace).as_str().to_owned(),
            band.status(BandView::Forecast).as_str().to_owned(),
            exact(band.month_end().map(|end| Money::new(end.amount.round_dp(2), end.currency))),
            band.outlook.as_ref().map_or_else(String::new, |outlook| {
                format!("{:.3}", outlook.against.above_ceiling)
            }),
        ];
        out.push_str(&fields.join(","));
        out.push_str("\r\n");
    }
    out
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
