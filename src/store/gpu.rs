//! GPU time in the ledger: added in one transaction with the marks up to which it is counted, so
//! that neither a restart nor `kill -9` counts an instant twice.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::domain::gpu_time::{FleetDay, GpuMark, GpuState, GpuTime, HeldBy, StateTime, Workload};
use crate::domain::node::Fleet;
use crate::domain::period::Window;
use crate::store::engine::{Connection, Parameter, Row, params};
use crate::store::error::{Fault, LedgerError, Operation};
use crate::store::ledger::Ledger;
use crate::store::sql::{all, count, from_json, json, numbered, one, parsed};

const STATES: &str = "busy, low, held_idle, empty, unallocated, unhealthy, unknown";
const SUMS: &str = "CAST(sum(t.busy) AS BIGINT), CAST(sum(t.low) AS BIGINT),
     CAST(sum(t.held_idle) AS BIGINT), CAST(sum(t.empty) AS BIGINT),
     CAST(sum(t.unallocated) AS BIGINT), CAST(sum(t.unhealthy) AS BIGINT),
     CAST(sum(t.unknown) AS BIGINT)";

impl Ledger {
    /// Adds GPU time, and keeps the marks up to which it is counted. After an error the same time
    /// is handed over again, with what came since: where it was kept after all, which a lost answer
    /// can hide, it is not added twice.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot keep it; nothing was kept, or it is in doubt.
    pub fn keep_gpu_time(
        &mut self,
        times: &[GpuTime],
        marks: &[GpuMark],
        forgotten: &[String],
    ) -> Result<(), LedgerError> {
        let mut told_twice = self.told_twice.take();
        let kept = self.write(Operation::GpuTime, |connection| {
            keep(connection, &told_twice.without(connection, times))?;
            // A device that was forgotten and came back has its new mark.
            connection.run_all(
                "DELETE FROM gpu_mark WHERE uuid = ?1",
                forgotten.iter().map(|uuid| Ok(params![uuid])),
            )?;
            connection.run_all(
                "INSERT INTO gpu_mark (uuid, mark) VALUES (?1, ?2)
                 ON CONFLICT (uuid) DO UPDATE SET mark = excluded.mark",
                marks.iter().map(|mark| Ok(params![&mark.uuid, json(mark)?])),
            )
        });
        match &kept {
            Ok(()) => {}
            Err(LedgerError::InDoubt { revision, .. }) => {
                told_twice.in_doubt = Some((*revision, times.to_vec()));
                self.told_twice.replace(told_twice);
            }
            Err(_) => drop(self.told_twice.replace(told_twice)),
        }
        kept
    }

    /// Up to when each device's time is counted. Who asks counts on from there: time that failed to
    /// be kept before is not handed over again.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn gpu_marks(&self) -> Result<Vec<GpuMark>, LedgerError> {
        self.read(|connection| {
            connection.settle_doubt()?;
            self.told_twice.take();
            all(connection, "SELECT mark FROM gpu_mark ORDER BY uuid", params![], |row| {
                from_json(row, 0)
            })
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
            all(connection, &query, params![from, until], |row| {
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
                 WHERE t.day >= ?1 AND t.day < ?2 GROUP BY t.node, f.id"
            );
            let times = all(connection, &query, params![from, until], |row| {
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
                 GROUP BY t.namespace, t.name, f.id ORDER BY t.namespace, t.name, f.id"
            );
            all(connection, &query, params![from, until], |row| {
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
                 GROUP BY t.namespace, t.name, t.pod, f.id
                 ORDER BY t.namespace, t.name, t.pod, f.id"
            );
            all(connection, &query, params![from, until], |row| {
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
            all(connection, &query, params![], |row| Ok((from_json(row, 0)?, states(row, 1)?)))
        })
    }
}

/// GPU time that is handed over again because it was told as failed.
#[derive(Debug, Default)]
pub(super) struct ToldTwice {
    /// It was kept all the same.
    kept: Vec<GpuTime>,
    /// It may have been, in the write of this number.
    in_doubt: Option<(i64, Vec<GpuTime>)>,
}

impl ToldTwice {
    /// What of some time is still to be added.
    fn without<'a>(&mut self, connection: &Connection, times: &'a [GpuTime]) -> Cow<'a, [GpuTime]> {
        if let Some((revision, times)) = self.in_doubt.take()
            && connection.kept_after_all(revision)
        {
            self.kept = times;
        }
        if self.kept.is_empty() {
            return Cow::Borrowed(times);
        }
        let key = |time: &GpuTime| {
            (time.day, time.fleet.clone(), time.node.clone(), time.held_by.clone())
        };
        let mut kept: BTreeMap<_, StateTime> = BTreeMap::new();
        for time in &self.kept {
            kept.entry(key(time)).or_default().merge(&time.time);
        }
        let mut times = times.to_vec();
        for time in &mut times {
            let whole = time.time;
            if let Some(kept) = kept.get_mut(&key(time)) {
                time.time = whole.without(kept);
                *kept = kept.without(&whole);
            }
        }
        Cow::Owned(times)
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
    add(
        connection,
        ("gpu_fleet_total", "fleet", "?8"),
        totals.iter().map(|(fleet, time)| (time, [(*fleet).into()])),
    )?;
    add(
        connection,
        ("gpu_fleet_day", "day, fleet", "?8, ?9"),
        days.iter().map(|((day, fleet), time)| (time, params![day.to_string(), *fleet])),
    )?;
    add(
        connection,
        ("gpu_node_day", "day, fleet, node", "?8, ?9, ?10"),
        nodes
            .iter()
            .map(|((day, fleet, node), time)| (time, params![day.to_string(), *fleet, *node])),
    )?;
    add(
        connection,
        ("gpu_pod_day", "day, fleet, namespace, name, pod", "?8, ?9, ?10, ?11, ?12"),
        pods.iter().map(|((day, fleet, HeldBy { workload, pod }), time)| {
            let Workload { namespace, name } = workload;
            (time, params![day.to_string(), *fleet, namespace, name, pod])
        }),
    )
}

/// Adds time to the rows of a table with these keys, each with the place of its parameter.
fn add<'a, const KEYS: usize>(
    connection: &Connection,
    (table, keys, places): (&str, &str, &str),
    times: impl Iterator<Item = (&'a StateTime, [Parameter<'a>; KEYS])>,
) -> Result<(), Fault> {
    let added: Vec<String> = STATES
        .split(", ")
        .map(|state| format!("{state} = {table}.{state} + excluded.{state}"))
        .collect();
    let statement = format!(
        "INSERT INTO {table} ({keys}, {STATES}) VALUES ({places}, ?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT ({keys}) DO UPDATE SET {}",
        added.join(", ")
    );
    connection.run_all(
        &statement,
        times.map(|(time, keys)| {
            Ok(columns(time)?.into_iter().map(Parameter::from).chain(keys).collect::<Vec<_>>())
        }),
    )
}

fn noted_fleet(connection: &Connection, fleet: &Fleet) -> Result<i64, Fault> {
    let text = json(fleet)?;
    let known = one(connection, "SELECT id FROM gpu_fleet WHERE fleet = ?1", params![&text])?;
    if let Some(number) = known {
        return Ok(number);
    }
    let insert = "INSERT INTO gpu_fleet (fleet) VALUES (?1) RETURNING id";
    numbered(connection, insert, params![&text])
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
