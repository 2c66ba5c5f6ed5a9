//! What is found in the worlds that `anomalies.py` wrote.

use std::io::{BufWriter, Write};

use anyhow::Context;
use costband::analyse::anomaly;
use costband::domain::anomaly::AnomalyFloors;
use costband::domain::forecast::days_between;

use crate::score::series;

/// Reads worlds and writes every anomaly with the index of its first day and of the day on which it
/// was found.
pub fn write(worlds: &str, found: &str) -> anyhow::Result<()> {
    let text =
        std::fs::read_to_string(worlds).with_context(|| format!("failed to read `{worlds}`"))?;
    let mut out = BufWriter::new(std::fs::File::create(found)?);
    writeln!(out, "world,kind,first,found")?;
    for line in text.lines() {
        let fields: Vec<&str> = line.trim_end().split(',').collect();
        let [name, first, amounts @ ..] = fields.as_slice() else {
            anyhow::bail!("failed to read the line `{line}`");
        };
        let series = series(first.parse()?, amounts);
        for anomaly in anomaly::find(&series, &AnomalyFloors::default()) {
            let at = |day| days_between(series.first, day).unwrap_or(0);
            let (first, found) = (at(anomaly.first), at(anomaly.found));
            writeln!(out, "{name},{},{first},{found}", anomaly.kind.as_str())?;
        }
    }
    Ok(())
}
