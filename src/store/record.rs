//! What was said of bands' months from day to day.

use crate::domain::period::BillingPeriod;
use crate::domain::record::KeptForecast;
use crate::store::engine::params;
use crate::store::error::{LedgerError, Operation};
use crate::store::ledger::Ledger;
use crate::store::sql::{all, from_json, json, parsed, run};

impl Ledger {
    /// Keeps what was said of bands' months. What was said before of the same month from the same
    /// day stays as it is.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot keep it; nothing of it is kept then.
    pub fn keep_forecasts(&mut self, said: &[KeptForecast]) -> Result<(), LedgerError> {
        self.write(Operation::Forecasts, |connection| {
            for kept in said {
                run(
                    connection,
                    "INSERT INTO band_forecast (band, period, made_from, forecast)
                     VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                    params![
                        &kept.band,
                        kept.period.to_string(),
                        kept.forecast.made_from.to_string(),
                        json(&kept.forecast)?
                    ],
                )?;
            }
            Ok(())
        })
    }

    /// What was said of bands' months, from a month on; by band, month and day.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn kept_forecasts(&self, from: BillingPeriod) -> Result<Vec<KeptForecast>, LedgerError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT band, period, forecast FROM band_forecast WHERE period >= ?1
                 ORDER BY band, period, made_from",
                params![from.to_string()],
                |row| {
                    Ok(KeptForecast {
                        band: row.get(0)?,
                        period: parsed(row, 1)?,
                        forecast: from_json(row, 2)?,
                    })
                },
            )
        })
    }
}
