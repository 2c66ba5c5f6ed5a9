//! GPU time in the ledger: added in one transaction with the marks up to which it is counted, so
//! that neither a restart nor `kill -9` counts an instant twice.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rusqlite::{Connection, Row, params};

use crate::domain::gpu_time::{FleetDay, GpuMark, GpuState, GpuTime, HeldBy, StateTime, Workload};
use crate::domain::node::Fleet;
use crate::domain::period::Window;
use crate::store::error::{Fault, LedgerError, Operation};
use crate::store::ledger::Ledger;
use crate::store::sql::{all, count, from_json, json, one, parsed, run};

const STATES: &str = "busy, low, held_idle, empty, unallocated, unhealthy, unknown";
const SUMS: &str = "sum(t.busy), sum(t.low), sum(t.held_idle), sum(t.empty), sum(t.unallocated), \
                    sum(t.unhealthy), sum(t.unknown)";
const ADDED: &str = "busy = busy + excluded.busy, low = low + excluded.low,
     held_idle = held_idle + excluded.held_idle, empty = empty + excluded.empty,
     unallocated = unallocated + excluded.unallocated,
     unhealthy = unhealthy + excluded.unhealthy, unknown = unknown + excluded.unknown";

impl Ledger {
    /// Adds GPU time, and keeps the marks up to which it is counted.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot keep it; nothing was kept.
    pub fn keep_gpu_time(
        &mut self,
        times: &[GpuTime],
        marks: &[GpuMark],
        forgotten: &[String],
    ) -> Result<(), LedgerError> {
        self.write(Operation::GpuTime, |connection| {
            keep(connection, times)?;
            // A device that was forgotten and came back has its new mark.
            for uuid in forgotten {
                run(connection, "DELETE FROM gpu_mark WHERE uuid = ?1", [uuid])?;
            }
            for mark in marks {
                run(
                    connection,
                    "INSERT OR REPLACE INTO gpu_mark (uuid, mark) VALUES (?1, ?2)",
                    params![mark.uuid, json(mark)?],
                )?;
            }
            Ok(())
        })
    }

    /// Up to when each device's time is counted.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn gpu_marks(&self) -> Result<Vec<GpuMark>, LedgerError> {
        self.read(|connection| {
            all(connection, "SELECT mark FROM gpu_mark ORDER BY uuid", [], |row| from_json(row, 0))
        })
    }

    /// The time of each fleet on each day of a window, by day.
    ///
    /// # Errors
    /// As [`Ledger::gpu_marks`].
    pub fn gpu_days(&self, window: &Window) -> Result<Vec<FleetDay>, LedgerError> {
        let (from, until) = (window.start.to_string(), window.end.to_string());
        self.read(|connection| {
            let query = format!(
                "SELECT f.fleet, t.day, {STATES} FROM gpu_fleet_day t JOIN gpu_fleet f ON f.id = t.fleet
                 WHERE t.day >= ?1 AND t.day < ?2 ORDER BY t.day, t.fleet"
            );
            all(connection, &query, [from, until], |row| {
                Ok(FleetDay { fleet: from_json(row, 0)?, day: parsed(row, 1)?, time: states(row, 2)? })
            })
        })
    }

    /// The time of each node over a window.
    ///
    /// # Errors
    /// As [`Ledger::gpu_marks`].
    pub fn gpu_nodes(
        &self,
        window: &Window,
    ) -> Result<BTreeMap<(String, Fleet), StateTime>, LedgerError> {
        let (from, until) = (window.start.to_string(), window.end.to_string());
        self.read(|connection| {
            let query = format!(
                "SELECT f.fleet, t.node, {SUMS} FROM gpu_node_day t JOIN gpu_fleet f ON f.id = t.fleet
                 WHERE t.day >= ?1 AND t.day < ?2 GROUP BY t.node, t.fleet"
            );
            let times = all(connection, &query, [from, until], |row| {
                Ok(((row.get(1)?, from_json(row, 0)?), states(row, 2)?))
            })?;
            Ok(times.into_iter().collect())
        })
    }

    /// The time of each workload over a window, by the fleets that it held.
    ///
    /// # Errors
    /// As [`Ledger::gpu_marks`].
    pub fn gpu_workloads(
        &self,
        window: &Window,
    ) -> Result<Vec<(Workload, Fleet, StateTime)>, LedgerError> {
        let (from, until) = (window.start.to_string(), window.end.to_string());
        self.read(|connection| {
            let query = format!(
                "SELECT f.fleet, t.namespace, t.name, {SUMS}
                 FROM gpu_pod_day t JOIN gpu_fleet f ON f.id = t.fleet
                 WHERE t.day >= ?1 AND t.day < ?2
                 GROUP BY t.namespace, t.name, t.fleet ORDER BY t.namespace, t.name, t.fleet"
            );
            all(connection, &query, [from, until], |row| {
                let workload = Workload { namespace: row.get(1)?, name: row.get(2)? };
                Ok((workload, from_json(row, 0)?, states(row, 3)?))
            })
        })
    }

    /// The time of each pod over a window, by the fleets that it held.
    ///
    /// # Errors
    /// As [`Ledger::gpu_marks`].
    pub fn gpu_pods(
        &self,
        window: &Window,
    ) -> Result<Vec<(HeldBy, Fleet, StateTime)>, LedgerError> {
        let (from, until) = (window.start.to_string(), window.end.to_string());
        self.read(|connection| {
            let query = format!(
                "SELECT f.fleet, t.namespace, t.name, t.pod, {SUMS}
                 FROM gpu_pod_day t JOIN gpu_fleet f ON f.id = t.fleet
                 WHERE t.day >= ?1 AND t.day < ?2
                 GROUP BY t.namespace, t.name, t.pod, t.fleet
                 ORDER BY t.namespace, t.name, t.pod, t.fleet"
            );
            all(connection, &query, [from, until], |row| {
                let workload = Workload { namespace: row.get(1)?, name: row.get(2)? };
                let held_by = HeldBy { workload, pod: row.get(3)? };
                Ok((held_by, from_json(row, 0)?, states(row, 4)?))
            })
        })
    }

    /// The time of each fleet since the ledger began.
    ///
    /// # Errors
    /// As [`Ledger::gpu_marks`].
    pub fn gpu_totals(&self) -> Result<Vec<(Fleet, StateTime)>, LedgerError> {
        self.read(|connection| {
            let query = format!(
                "SELECT f.fleet, {STATES} FROM gpu_fleet_total t JOIN gpu_fleet f ON f.id = t.fleet
                 ORDER BY t.fleet"
            );
            all(connection, &query, [], |row| Ok((from_json(row, 0)?, states(row, 1)?)))
        })
    }
}

/// Adds up what belongs to one row before it is written: many nodes and workloads share a fleet.
fn keep(connection: &Connection, times: &[GpuTime]) -> Result<(), Fault> {
    let mut fleets: BTreeMap<&Fleet, i64> = BTreeMap::new();
    let mut totals: BTreeMap<i64, StateTime> = BTreeMap::new();
    let mut days: BTreeMap<(Date, i64), StateTime> = BTreeMap::new();
    let mut nodes: BTreeMap<(Date, i64, &str), StateTime> = BTreeMap::new();
    let mut pods: BTreeMap<(Date, i64, &HeldBy), StateTime> = BTreeMap::new();
    for GpuTime { day, fleet, node, held_by, time } in times {
        let fleet = match fleets.get(fleet) {
            Some(number) => *number,
            None => *fleets.entry(fleet).or_insert(noted_fleet(connection, fleet)?),
        };
        totals.entry(fleet).or_default().merge(time);
        days.entry((*day, fleet)).or_default().merge(time);
        nodes.entry((*day, fleet, node)).or_default().merge(time);
        if let Some(held_by) = held_by {
            pods.entry((*day, fleet, held_by)).or_default().merge(time);
        }
    }
    let add = |table: &str, keys: &str, places: &str| {
        format!(
            "INSERT INTO {table} ({keys}, {STATES}) VALUES ({places}, ?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT ({keys}) DO UPDATE SET {ADDED}"
        )
    };
    let statement = add("gpu_fleet_total", "fleet", "?8");
    for (fleet, time) in totals {
        let [a, b, c, d, e, f, g] = columns(&time)?;
        run(connection, &statement, params![a, b, c, d, e, f, g, fleet])?;
    }
    let statement = add("gpu_fleet_day", "day, fleet", "?8, ?9");
    for ((day, fleet), time) in days {
        let [a, b, c, d, e, f, g] = columns(&time)?;
        run(connection, &statement, params![a, b, c, d, e, f, g, day.to_string(), fleet])?;
    }
    let statement = add("gpu_node_day", "day, fleet, node", "?8, ?9, ?10");
    for ((day, fleet, node), time) in nodes {
        let [a, b, c, d, e, f, g] = columns(&time)?;
        run(connection, &statement, params![a, b, c, d, e, f, g, day.to_string(), fleet, node])?;
    }
    let statement = add("gpu_pod_day", "day, fleet, namespace, name, pod", "?8, ?9, ?10, ?11, ?12");
    for ((day, fleet, HeldBy { workload, pod }), time) in pods {
        let [a, b, c, d, e, f, g] = columns(&time)?;
        let (day, Workload { namespace, name }) = (day.to_string(), workload);
        run(
            connection,
            &statement,
            params![a, b, c, d, e, f, g, day, fleet, namespace, name, pod],
        )?;
    }
    Ok(())
}

fn noted_fleet(connection: &Connection, fleet: &Fleet) -> Result<i64, Fault> {
    let text = json(fleet)?;
    let known = one(connection, "SELECT id FROM gpu_fleet WHERE fleet = ?1", [&text])?;
    if let Some(number) = known {
        return Ok(number);
    }
    run(connection, "INSERT INTO gpu_fleet (fleet) VALUES (?1)", [&text])?;
    Ok(connection.last_insert_rowid())
}

fn columns(time: &StateTime) -> Result<[i64; 7], Fault> {
    let mut columns = [0; 7];
    for (column, milliseconds) in columns.iter_mut().zip(time.to_milliseconds()) {
        *column = i64::try_from(milliseconds)
            .map_err(|_| Fault::Damaged(format!("{milliseconds} ms of GPU time")))?;
    }
    Ok(columns)
}

fn states(row: &Row<'_>, first: usize) -> Result<StateTime, Fault> {
    let mut time = StateTime::default();
    for (index, state) in GpuState::ALL.into_iter().enumerate() {
        time.add(state, count(row, first + index)?);
    }
    Ok(time)
}
