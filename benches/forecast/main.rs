//! Forecasts on every origin that `table.py` wrote, as CSV for it to score; and what forecasting
//! costs. Asserts no figure.
//!
//! ```text
//! forecast score ORIGINS.csv OURS.csv
//! forecast anomalies WORLDS.csv FOUND.csv
//! forecast speed [SERIES.csv]
//! ```

mod anomalies;
mod score;
mod speed;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["score", origins, ours] => score::write(origins, ours),
        ["anomalies", worlds, found] => anomalies::write(worlds, found),
        ["speed"] | [] => speed::measure(None),
        ["speed", path] => speed::measure(Some(path)),
        _ => Err(anyhow::anyhow!("want `score ORIGINS.csv OURS.csv` or `speed`")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benches/forecast: {error:#}");
            ExitCode::FAILURE
        }
    }
}
