//! The days that were read and cost nothing: a reading of zero, which is not the lack of one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use crate::domain::identity::{Provider, SourceId};
use crate::domain::period::{BillingZone, Window};
use crate::domain::report::{EmptyDay, SourceReport};
use crate::store::days::{KnownDay, ReadDay, known_empty};
use crate::store::engine::{Connection, params};
use crate::store::error::{Fault, LedgerError};
use crate::store::ledger::Ledger;
use crate::store::sql::{all, parsed, run, source_number, stamp};

impl Ledger {
    /// The days of a window that a source was read for and that cost nothing, by day.
    ///
    /// # Errors
    /// As [`Ledger::sources`].
    pub fn empty_days(
        &self,
        source: &SourceId,
        window: &Window,
    ) -> Result<Vec<EmptyDay>, LedgerError> {
        self.read(|connection| {
            let Some(number) = source_number(connection, source)? else { return Ok(Vec::new()) };
            let days = EmptyDays::load(connection, number, window)?;
            Ok(days.0.into_values().map(|(_, empty)| empty).collect())
        })
    }
}

/// The empty days of a window, each with the number of the primary breakdown that found it so.
pub(super) struct EmptyDays(BTreeMap<Date, (i64, EmptyDay)>);

impl EmptyDays {
    pub(super) fn load(
        connection: &Connection,
        source: i64,
        window: &Window,
    ) -> Result<Self, Fault> {
        let days = all(
            connection,
            "SELECT day, breakdown, empty_since, observed_at FROM empty_day
             WHERE source = ?1 AND day >= ?2 AND day < ?3 ORDER BY day",
            params![source, window.start.to_string(), window.end.to_string()],
            |row| {
                let day = parsed(row, 0)?;
                let (since, observed_at) = (parsed(row, 2)?, parsed(row, 3)?);
                Ok((day, (row.get(1)?, EmptyDay { day, since, observed_at })))
            },
        )?;
        Ok(Self(days.into_iter().collect()))
    }

    /// What was known of a day that was complete and empty.
    pub(super) fn known(&self, day: Date, zone: BillingZone, read: &ReadDay) -> Option<KnownDay> {
        let (breakdown, empty) = self.0.get(&day)?;
        known_empty(*breakdown, empty, read, zone)
    }
}

/// Notes which days of the report's window cost nothing. A day is empty where no reading of it in
/// any currency is kept, and only where the report tells the whole of it. `read` are the days that
/// were read again; the others were found unchanged, which says nothing where `is_new`: then the
/// primary was not asked for them before.
pub(super) fn observe_empty(
    connection: &Connection,
    source: i64,
    report: &SourceReport,
    read: &BTreeSet<Date>,
    is_new: bool,
) -> Result<(), Fault> {
    run(
        connection,
        "DELETE FROM empty_day WHERE source = ?1
           AND day IN (SELECT day FROM day_reading WHERE source = ?1)",
        params![source],
    )?;
    let told = report
        .window
        .days()
        .filter(|day| (read.contains(day) || !is_new) && tells_whole(report, *day));
    connection.run_all(
        "INSERT INTO empty_day (source, day, breakdown, empty_since, observed_at)
             SELECT CAST(?1 AS BIGINT), CAST(?2 AS TEXT), id, CAST(?3 AS TEXT), CAST(?3 AS TEXT)
               FROM breakdown
              WHERE source = ?1 AND role = 'primary' AND retired_at IS NULL
                AND NOT EXISTS (SELECT 1 FROM day_reading WHERE source = ?1 AND day = ?2)
             ON CONFLICT (source, day) DO UPDATE SET
                observed_at = excluded.observed_at,
                empty_since = CASE WHEN empty_day.breakdown = excluded.breakdown
                                   THEN empty_day.empty_since ELSE excluded.empty_since END,
                breakdown = excluded.breakdown",
        told.map(|day| Ok(params![source, day.to_string(), stamp(report.observed_at)])),
    )
}

/// Whether a report tells a day to its end. An answer of AWS or Azure tells every day that is over;
/// an export of Google Cloud tells no more than it has brought.
fn tells_whole(report: &SourceReport, day: Date) -> bool {
    let end = report.provider.billing_zone().end_of(day);
    let reaches = match report.provider {
        Provider::Aws | Provider::Azure => true,
        Provider::Gcp => report.data_through.is_some_and(|through| through >= end),
    };
    reaches && report.observed_at >= end
}
