//! The billing export: its tables, and how a charge becomes a row of each.
//!
//! Column names and types: the Cloud Billing documentation of the standard, detailed and FOCUS
//! exports, <https://docs.cloud.google.com/billing/docs/how-to/export-data-bigquery-tables>. The
//! export only grows: a correction is a row of its own with a later `export_time`.

mod focus;
mod usage;

pub(super) use self::usage::{base_unit, project_number};

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::GcpOptions;
use super::sql::time::truncate;
use super::sql::value::{Field, Type, Value};
use super::sql::{SqlError, Table, Tables};
use crate::domain::identity::Provider;
use crate::simulate::charge::{Charge, World};

/// One column: its field, and its value for a charge.
struct Column {
    field: Field,
    value: fn(&Charge, &Account) -> Value,
}

/// What every row has in common.
#[derive(Debug, Clone)]
struct Account {
    billing_account: String,
}

/// A table of the export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `gcp_billing_export_v1_X`.
    Standard,
    /// `gcp_billing_export_resource_v1_X`: besides, the resource.
    Detailed,
    /// `gcp_billing_export_focus_X`, in Google's own dataset.
    Focus,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Standard, Self::Detailed, Self::Focus];

    fn columns(self) -> Vec<Column> {
        let mut columns = match self {
            Self::Standard => usage::columns(false),
            Self::Detailed => usage::columns(true),
            Self::Focus => focus::columns(),
        };
        columns.push(column("_PARTITIONTIME", Type::Timestamp, |charge, _| partition(charge)));
        columns.push(column("_PARTITIONDATE", Type::Date, |charge, _| match partition(charge) {
            Value::Timestamp(at) => Value::Date(TimeZone::UTC.to_datetime(at).date()),
            other => other,
        }));
        columns
    }

    /// The columns as `tables.get` tells them.
    pub(super) fn fields(self) -> Vec<Field> {
        let mut fields: Vec<Field> =
            self.columns().into_iter().map(|column| column.field).collect();
        fields.truncate(fields.len() - PSEUDO_COLUMNS);
        fields
    }
}

const PSEUDO_COLUMNS: usize = 2;

fn column(name: &str, ty: Type, value: fn(&Charge, &Account) -> Value) -> Column {
    Column { field: Field::new(name, ty), value }
}

/// When the usage began: at some whole hour of its Pacific day, another one for each SKU, project and
/// region. The late hours lie in the next UTC day, so that a reader that forgets the zone is wrong.
fn usage_start(charge: &Charge) -> Timestamp {
    let words = [&charge.sku, &charge.sub_account_id, &charge.region_id];
    let bytes = words.iter().flat_map(|word| word.bytes());
    let hash = bytes.fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
    // The shortest day of a year has 23 hours.
    let hours = SignedDuration::from_hours(i64::from(hash % 23));
    Provider::Gcp
        .billing_zone()
        .start_of(charge.day)
        .saturating_add(hours)
        .unwrap_or(Timestamp::MAX)
}

/// The ingestion day: rows land in the partition of the UTC day on which they were published.
fn partition(charge: &Charge) -> Value {
    let day = truncate(TimeZone::UTC.to_datetime(charge.published_at), "DAY");
    let start = day.ok().and_then(|day| super::sql::time::instant(day, &TimeZone::UTC).ok());
    start.map_or(Value::Null, Value::Timestamp)
}

/// Whether and how far the export is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Export {
    /// In full: every published charge has its row.
    #[default]
    Ready,
    /// The dataset is there, its tables are not: the export is not enabled.
    NotEnabled,
    /// Newly enabled: the tables hold the oldest so many usage days (the backfill is
    /// chronological); with 0 they are empty.
    Filling {
        /// How many usage days.
        days: usize,
    },
}

/// The datasets and tables at one instant.
pub(super) struct Warehouse<'a> {
    options: &'a GcpOptions,
    charges: Arc<Vec<Charge>>,
    default_dataset: Option<(String, String)>,
}

impl<'a> Warehouse<'a> {
    /// What is there at an instant. A table named by itself is looked up in `default_dataset`
    /// (project and dataset), one with a dataset in that project or the export's.
    pub(super) fn new(
        options: &'a GcpOptions,
        world: &dyn World,
        at: Timestamp,
        default_dataset: Option<(String, String)>,
    ) -> Self {
        let mut charges = world.charges(Provider::Gcp, at);
        if let Export::Filling { days } = options.export {
            let mut all: Vec<_> = charges.iter().map(|charge| charge.day).collect();
            all.sort();
            all.dedup();
            all.truncate(days);
            let there = charges.iter().filter(|charge| all.contains(&charge.day));
            charges = Arc::new(there.cloned().collect());
        }
        Self { options, charges, default_dataset }
    }

    /// The dataset that Google keeps for the FOCUS table.
    pub(super) fn focus_dataset(options: &GcpOptions) -> String {
        format!(
            "gcp_billing_immutable_{}_{}",
            account_suffix(options),
            options.location.to_lowercase().replace('-', "_")
        )
    }

    /// The name of a table.
    pub(super) fn table_name(options: &GcpOptions, kind: Kind) -> String {
        let stem = match kind {
            Kind::Standard => "gcp_billing_export_v1",
            Kind::Detailed => "gcp_billing_export_resource_v1",
            Kind::Focus => "gcp_billing_export_focus",
        };
        format!("{stem}_{}", account_suffix(options))
    }

    /// Whether a dataset is there.
    pub(super) fn has_dataset(&self, project: &str, dataset: &str) -> bool {
        let enabled = self.options.export != Export::NotEnabled;
        project == self.options.project
            && (dataset == self.options.dataset
                || enabled && dataset == Self::focus_dataset(self.options))
    }

    /// The tables of a dataset.
    pub(super) fn kinds(&self, dataset: &str) -> Vec<Kind> {
        if self.options.export == Export::NotEnabled {
            return Vec::new();
        }
        let is_focus = dataset == Self::focus_dataset(self.options);
        Kind::ALL.into_iter().filter(|kind| (*kind == Kind::Focus) == is_focus).collect()
    }

    /// The table with a name in a dataset.
    pub(super) fn kind(&self, project: &str, dataset: &str, table: &str) -> Option<Kind> {
        if !self.has_dataset(project, dataset) {
            return None;
        }
        let mut kinds = self.kinds(dataset).into_iter();
        kinds.find(|kind| Self::table_name(self.options, *kind) == table)
    }

    /// How many rows a table has.
    pub(super) fn rows(&self) -> usize {
        self.charges.len()
    }

    /// When the newest row was published.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.charges.iter().map(|charge| charge.published_at).max()
    }
}

fn account_suffix(options: &GcpOptions) -> String {
    options.billing_account.replace('-', "_")
}

impl Tables for Warehouse<'_> {
    fn table(&self, path: &[&str]) -> Result<Table, SqlError> {
        let default = self.default_dataset.as_ref();
        let (project, dataset, table) = match path {
            [project, dataset, table] => (*project, *dataset, *table),
            [dataset, table] => {
                let project = default.map_or(self.options.project.as_str(), |(project, _)| project);
                (project, *dataset, *table)
            }
            [table] => match default {
                Some((project, dataset)) if !dataset.is_empty() => {
                    (project.as_str(), dataset.as_str(), *table)
                }
                _ => {
                    return Err(SqlError::invalid(format!(
                        "Table \"{table}\" must be qualified with a dataset (e.g. dataset.table)."
                    )));
                }
            },
            path => {
                return Err(SqlError::invalid(format!(
                    "Invalid table name: `{}` is not served by the simulated BigQuery",
                    path.join(".")
                )));
            }
        };
        let location = &self.options.location;
        if !self.has_dataset(project, dataset) {
            return Err(SqlError::not_found(format!(
                "Not found: Dataset {project}:{dataset} was not found in location {location}"
            )));
        }
        let Some(kind) = self.kind(project, dataset, table) else {
            let message = if table.ends_with('*') {
                return Err(SqlError::invalid(format!(
                    "the wildcard table `{table}` is not served by the simulated BigQuery"
                )));
            } else {
                format!(
                    "Not found: Table {project}:{dataset}.{table} was not found in location {location}"
                )
            };
            return Err(SqlError::not_found(message));
        };
        let columns = kind.columns();
        let fields: Vec<Field> = columns.iter().map(|column| column.field.clone()).collect();
        let charges = Arc::clone(&self.charges);
        let account = Account { billing_account: self.options.billing_account.clone() };
        Ok(Table {
            name: format!("{project}.{dataset}.{table}"),
            columns: fields.into(),
            pseudo_columns: PSEUDO_COLUMNS,
            rows: charges.len(),
            read: Box::new(move |row, index| match (charges.get(row), columns.get(index)) {
                (Some(charge), Some(column)) => (column.value)(charge, &account),
                _ => Value::Null,
            }),
        })
    }
}
