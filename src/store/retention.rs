//! How long the ledger keeps what, and how it is copied.

use std::collections::HashSet;
use std::path::Path;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::domain::period::{BillingPeriod, BillingZone};
use crate::store::engine::sqlite::private_file;
use crate::store::engine::{Connection, params};
use crate::store::error::{Fault, LedgerError, Operation};
use crate::store::ledger::Ledger;
use crate::store::rows::unpack;
use crate::store::sql::{all, count, parsed_option, run, stamp};

/// What a pruning removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Days of breakdowns.
    pub days: usize,
    /// Readings of days.
    pub readings: usize,
    /// Delivered or dropped messages.
    pub messages: usize,
}

impl Ledger {
    /// Removes what is older than `keep`: rows and readings by their day, restatements and
    /// delivered messages by their instant, forecasts of bands by their period. The two newest
    /// billing periods of a source, and what was told of the open and the previous period, stay
    /// whatever their age; what is counted stays for ever.
    ///
    /// # Errors
    /// [`LedgerError::Database`] when the disk refuses.
    pub fn prune(&mut self, now: Timestamp, keep: SignedDuration) -> Result<Pruned, LedgerError> {
        let limit = now.checked_sub(keep).unwrap_or(Timestamp::MIN);
        // Pacific time is the last to begin a period, so no source calls an older one its previous.
        let told = BillingPeriod::at(now, BillingZone::Pacific).previous();
        let told = told.min(BillingPeriod::at(limit, BillingZone::Pacific));
        self.write(Operation::Prune, |connection| {
            let mut pruned = Pruned::default();
            let sources = all(connection, "SELECT id FROM source", params![], |row| row.get(0))?;
            for source in sources {
                prune_source(connection, source, limit, &mut pruned)?;
            }
            pruned.messages = run(
                connection,
                "DELETE FROM outbox WHERE coalesce(sent_at, dropped_at) < ?1",
                params![stamp(limit.min(told.start(BillingZone::Utc)))],
            )?;
            let first = told.first_day().to_string();
            for table in ["gpu_fleet_day", "gpu_node_day", "gpu_pod_day"] {
                let remove = format!("DELETE FROM {table} WHERE day < ?1");
                run(connection, &remove, params![&first])?;
            }
            let remove = "DELETE FROM band_forecast WHERE period < ?1";
            run(connection, remove, params![told.to_string()])?;
            let told = stamp(limit.min(told.start(BillingZone::Utc)));
            for remove in [
                "DELETE FROM alert_event WHERE at < ?1",
                "DELETE FROM alert WHERE phase = 'resolved' AND changed_at < ?1",
                "DELETE FROM silence WHERE ends_at < ?1",
            ] {
                run(connection, remove, params![&told])?;
            }
            Ok(pruned)
        })
    }

    /// Copies the ledger, as it stands, into a new file that belongs to its user alone. The copy
    /// is a ledger like any other.
    ///
    /// # Errors
    /// [`LedgerError::Io`] when the file exists already or cannot be made.
    pub fn backup_to(&self, path: impl AsRef<Path>) -> Result<(), LedgerError> {
        let path = path.as_ref();
        let io = |tried| {
            move |source| LedgerError::Io {
                operation: Operation::Backup,
                tried,
                path: path.to_path_buf(),
                source,
            }
        };
        let file = private_file(path, |options| options.create_new(true))
            .map_err(io("create the backup"))?;
        let copied = self
            .connection
            .copy_into(path)
            .map_err(|fault| fault.during(Operation::Backup, &path.display()))
            .and_then(|()| file.sync_all().map_err(io("sync the backup")));
        if copied.is_err() {
            let _ = std::fs::remove_file(path);
        }
        copied
    }
}

/// The newest day that a source was read for, with or without a cost.
const NEWEST_DAY: &str = "SELECT max(day) FROM (
    SELECT day FROM day_reading WHERE source = ?1
    UNION ALL SELECT day FROM empty_day WHERE source = ?1) AS days";

fn prune_source(
    connection: &Connection,
    source: i64,
    limit: Timestamp,
    pruned: &mut Pruned,
) -> Result<(), Fault> {
    // The day before is the oldest that can have begun at the limit in any billing zone.
    let day = BillingZone::Pacific.day_of(limit).min(BillingZone::Utc.day_of(limit)).to_string();
    let newest = all(connection, NEWEST_DAY, params![source], |row| parsed_option::<Date>(row, 0))?;
    let Some(newest) = newest.into_iter().next().flatten() else { return Ok(()) };
    let kept = BillingPeriod::containing(newest).previous();

    let breakdowns = all(
        connection,
        "SELECT id, retired_at IS NOT NULL FROM breakdown WHERE source = ?1",
        params![source],
        |row| Ok((row.get::<i64>(0)?, row.get::<bool>(1)?)),
    )?;
    for (breakdown, retired) in breakdowns {
        let removed = run(
            connection,
            "DELETE FROM chunk WHERE breakdown = ?1 AND day < ?2 AND period < ?3",
            params![breakdown, &day, kept.to_string()],
        )?;
        pruned.days += removed;
        if removed > 0 || retired {
            prune_dictionary(connection, breakdown)?;
        }
    }
    pruned.readings += run(
        connection,
        "DELETE FROM day_reading WHERE source = ?1 AND day < ?2 AND day < ?3",
        params![source, &day, kept.first_day().to_string()],
    )?;
    run(
        connection,
        "DELETE FROM empty_day WHERE source = ?1 AND day < ?2 AND day < ?3",
        params![source, day, kept.first_day().to_string()],
    )?;
    run(
        connection,
        "DELETE FROM restatement WHERE source = ?1 AND observed_at < ?2",
        params![source, stamp(limit)],
    )?;
    run(
        connection,
        "DELETE FROM breakdown WHERE source = ?1 AND retired_at IS NOT NULL
           AND id NOT IN (SELECT breakdown FROM chunk)
           AND id NOT IN (SELECT breakdown FROM series)
           AND id NOT IN (SELECT breakdown FROM day_reading)
           AND id NOT IN (SELECT breakdown FROM empty_day)",
        params![source],
    )?;
    Ok(())
}

/// Removes the series that no row of a breakdown uses any more.
fn prune_dictionary(connection: &Connection, breakdown: i64) -> Result<(), Fault> {
    let mut used: HashSet<u32> = HashSet::new();
    let chunks = "SELECT packed FROM chunk WHERE breakdown = ?1";
    connection.each(chunks, &params![breakdown], |chunk| {
        unpack(chunk.blob(0)?, |cell| {
            used.insert(cell.series);
            Ok(())
        })
    })?;
    let series = "SELECT ordinal FROM series WHERE breakdown = ?1";
    let held = all(connection, series, params![breakdown], |row| count::<u32>(row, 0))?;
    connection.run_all(
        "DELETE FROM series WHERE breakdown = ?1 AND ordinal = ?2",
        held.into_iter()
            .filter(|ordinal| !used.contains(ordinal))
            .map(|ordinal| Ok(params![breakdown, ordinal])),
    )
}
