//! The agent's forecasts on given origins.

use std::io::{BufWriter, Write};

use anyhow::Context;
use costband::analyse::forecast::{Aid, month_end};
use costband::domain::forecast::{CostDay, CostSeries};
use costband::domain::money::Currency;
use costband::domain::period::BillingPeriod;
use jiff::civil::Date;
use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;

/// Reads origins and writes a forecast for each.
pub fn write(origins: &str, ours: &str) -> anyhow::Result<()> {
    let text =
        std::fs::read_to_string(origins).with_context(|| format!("failed to read `{origins}`"))?;
    let mut out = BufWriter::new(std::fs::File::create(ours)?);
    writeln!(
        out,
        "set,series,start,day,method,total,q025,q050,q100,q250,q500,q750,q900,q950,q975"
    )?;
    for line in text.lines() {
        let fields: Vec<&str> = line.trim_end().split(',').collect();
        let [set, name, first, start, _length, day, _newest, amounts @ ..] = fields.as_slice()
        else {
            anyhow::bail!("failed to read the line `{line}`");
        };
        let start: Date = start.parse()?;
        let series = series(first.parse()?, amounts);
        let end = month_end(&series, BillingPeriod::containing(start), &Aid::default())?;
        let forecast = end.forecast()?;
        let q: Vec<Decimal> = forecast.quantiles.iter().map(|held| held.amount).collect();
        let [low, high] = forecast.interval_95;
        let total = forecast.at(0.5).context("a median")?;
        write!(out, "{set},{name},{start},{day},costband,{total},{low}")?;
        for amount in q {
            write!(out, ",{amount}")?;
        }
        writeln!(out, ",{high}")?;
    }
    Ok(())
}

/// A series of amounts as they are written, empty for a gap.
pub fn series(first: Date, amounts: &[&str]) -> CostSeries {
    let days = amounts
        .iter()
        .map(|text| CostDay {
            amount: text.parse().ok().and_then(Decimal::from_f64),
            quantity: None,
            complete: !text.is_empty(),
        })
        .collect();
    CostSeries { currency: Currency::USD, first, days, charges: Vec::new() }
}
