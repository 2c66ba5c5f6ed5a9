//! What forecasting and judging cost on one core: series of 400 days, method choice, intervals, band
//! and anomalies; then one new day. With a path, the series are written for the peer to read.

use std::io::{BufWriter, Write};
use std::time::Duration;

use costband::analyse::anomaly;
use costband::analyse::forecast::learned::Learned;
use costband::analyse::forecast::{Aid, figures, month_end_of};
use costband::domain::anomaly::AnomalyFloors;
use costband::domain::forecast::{CostDay, CostSeries, day_after};
use costband::domain::money::Currency;
use costband::domain::period::BillingPeriod;
use jiff::civil::{Date, date};
use rust_decimal::Decimal;

const DAYS: usize = 400;
const FIRST: Date = date(2025, 1, 1);
/// How many series are kept for the new day.
const KEPT: usize = 10_000;

/// What this thread has run so far: a machine that others use too does not count.
fn cpu() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = text.split_whitespace().next().unwrap_or_default();
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

/// Noise that needs no crate (Marsaglia 2003, xorshift64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn series(number: u64, days: usize) -> CostSeries {
    static FIRSTS: std::sync::LazyLock<Vec<bool>> = std::sync::LazyLock::new(|| {
        (0..2 * DAYS).map(|at| day_after(FIRST, at).day() == 1).collect()
    });
    let first_of_month = &*FIRSTS;
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15 ^ (number + 1).wrapping_mul(0x2545_f491_4f6c_dd1d));
    let level = 100.0 + 20_000.0 * noise.next();
    let (dip, sigma) = (0.4 * noise.next(), 0.06 * noise.next());
    let lump = if number.is_multiple_of(4) { level * 3.0 } else { 0.0 };
    let days = (0..days)
        .map(|at| {
            let weekend = if at % 7 < 2 { 1.0 - dip } else { 1.0 };
            let spread = noise.next() + noise.next() + noise.next() - 1.5;
            let lump = if first_of_month[at] { lump } else { 0.0 };
            let amount = level * weekend * (1.0 + 2.0 * sigma * spread) + lump;
            CostDay {
                amount: Some(Decimal::new((amount * 100.0) as i64, 2)),
                quantity: None,
                complete: true,
            }
        })
        .collect();
    CostSeries { currency: Currency::USD, first: FIRST, days, charges: Vec::new() }
}

/// Forecasts and judges a series; what came of it, so that nothing is optimised away.
fn judge(series: &CostSeries, learned: &Learned) -> anyhow::Result<f64> {
    let period = BillingPeriod::containing(series.date(series.days.len()));
    let end = month_end_of(series, learned, period, &Aid::default())?;
    let forecast = end.forecast()?;
    let limit = forecast.booked + Decimal::from(50_000);
    let found = anomaly::find_in(learned, series.currency, &AnomalyFloors::default());
    Ok(end.probability_above(limit) + found.len() as f64)
}

/// Measures and prints one line for each figure.
pub fn measure(path: Option<&str>) -> anyhow::Result<()> {
    if let Some(path) = path {
        return write(path);
    }
    for count in [10_000_u64, 100_000] {
        let mut sum = 0.0;
        let mut spent = Duration::ZERO;
        for batch in 0..count / 1_000 {
            let batch: Vec<CostSeries> =
                (batch * 1_000..(batch + 1) * 1_000).map(|number| series(number, DAYS)).collect();
            let began = cpu()?;
            for series in &batch {
                let newest = series.newest_complete().unwrap_or(0);
                let learned = Learned::read(series.first, &figures(series, newest));
                sum += judge(series, &learned)?;
            }
            spent += cpu()? - began;
        }
        println!(
            "{count} series x {DAYS} days, forecast with choice and band, and judged: {:.2} s ({:.0} us a series; checksum {sum:.1})",
            spent.as_secs_f64(),
            spent.as_secs_f64() * 1e6 / count as f64
        );
    }
    new_day()
}

/// One new day of series that are kept: read it, forecast, judge.
fn new_day() -> anyhow::Result<()> {
    let mut kept = Vec::new();
    for number in 0..KEPT as u64 {
        let series = series(number, DAYS + 31);
        let newest = DAYS - 1;
        let learned = Learned::read(series.first, &figures(&series, newest));
        kept.push((series, learned));
    }
    for step in 0..30 {
        let mut sum = 0.0;
        let values: Vec<f64> = kept
            .iter()
            .map(|(series, _)| figures(series, DAYS + step).last().copied().unwrap_or(f64::NAN))
            .collect();
        let began = cpu()?;
        for ((_, learned), value) in kept.iter_mut().zip(&values) {
            learned.push(*value);
        }
        let read = cpu()? - began;
        let day = kept[0].0.date(DAYS + step);
        let period = BillingPeriod::containing(day);
        for (series, _) in &mut kept {
            // Later days are not known yet.
            for day in series.days.iter_mut().skip(DAYS + step + 1) {
                day.complete = false;
            }
            series.days[DAYS + step].complete = true;
        }
        let began = cpu()?;
        for (series, learned) in &kept {
            let end = month_end_of(series, learned, period, &Aid::default())?;
            sum += end.forecast()?.quantiles.len() as f64;
        }
        let told = cpu()? - began;
        println!(
            "one new day of {KEPT} kept series, {}: read {:.1} ms, forecast with choice {:.1} ms (checksum {sum:.0})",
            day,
            read.as_secs_f64() * 1e3,
            told.as_secs_f64() * 1e3
        );
    }
    Ok(())
}

/// The first thousand series, one a line.
fn write(path: &str) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::fs::File::create(path)?);
    for number in 0..1_000 {
        let text: Vec<String> = series(number, DAYS)
            .days
            .iter()
            .map(|day| day.amount.unwrap_or_default().to_string())
            .collect();
        writeln!(out, "{}", text.join(","))?;
    }
    Ok(())
}
