//! The GPU machines that a bill pays for: of which type, and for how long on a billing day.
//!
//! Everything follows from the bill's settled rows, so that the hours that nodes run are the hours
//! that are billed in the end, late corrections among them.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::activity::Work::{self, Notebook, Serving, Shared, Split, Training};
use super::publish::{Whole, settled_quantity};
use crate::domain::breakdown::ChargeCategory;
use crate::domain::price::CapacityType;
use crate::simulate::charge::Charge;

/// A machine type with GPUs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MachineType {
    pub(super) name: &'static str,
    /// A short word for names of nodes and workloads.
    pub(super) short: &'static str,
    /// The model as its driver tells it.
    pub(super) model: &'static str,
    /// Frame buffer of one GPU, MiB, reserved memory among it.
    pub(super) memory_mib: u64,
    /// What an idle GPU draws, in watts; a busy one draws nine times that.
    pub(super) idle_watts: u32,
    /// What each GPU is for.
    pub(super) gpus: &'static [Work],
}

const H100: (&str, u64, u32) = ("NVIDIA H100 80GB HBM3", 81_559, 70);
const A100: (&str, u64, u32) = ("NVIDIA A100-SXM4-40GB", 40_960, 48);

#[rustfmt::skip] // A table is read in rows.
static TYPES: [MachineType; 10] = [
    machine("p5.48xlarge", "p5", H100, &[Training; 8]),
    machine("p4d.24xlarge", "p4d", A100, &[Notebook, Notebook, Notebook, Notebook, Shared, Shared, Split, Split]),
    machine("g6e.48xlarge", "g6e", ("NVIDIA L40S", 46_068, 35), &[Serving; 8]),
    machine("g5.48xlarge", "g5", ("NVIDIA A10G", 23_028, 30), &[Serving, Serving, Serving, Serving, Serving, Serving, Shared, Shared]),
    machine("a3-highgpu-8g", "a3", H100, &[Training; 8]),
    machine("a2-highgpu-8g", "a2", A100, &[Serving, Serving, Serving, Serving, Serving, Serving, Shared, Split]),
    machine("Standard_ND96isr_H100_v5", "ndh100", H100, &[Training; 8]),
    machine("Standard_ND96asr_v4", "nda100", A100, &[Notebook, Notebook, Notebook, Notebook, Serving, Serving, Split, Split]),
    machine("Standard_NC24ads_A100_v4", "nca100", ("NVIDIA A100 80GB PCIe", 81_920, 45), &[Serving]),
    machine("Standard_NC40ads_H100_v5", "nch100", ("NVIDIA H100 NVL", 95_830, 60), &[Notebook]),
];

const fn machine(
    name: &'static str,
    short: &'static str,
    (model, memory_mib, idle_watts): (&'static str, u64, u32),
    gpus: &'static [Work],
) -> MachineType {
    MachineType { name, short, model, memory_mib, idle_watts, gpus }
}

/// The machine type of a name; none where it has no GPU.
pub(super) fn machine_type(name: &str) -> Option<&'static MachineType> {
    TYPES.iter().find(|kind| kind.name == name)
}

/// Machines that were bought together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pool {
    pub(super) sub_account_id: String,
    pub(super) region_id: String,
    pub(super) instance_type: &'static str,
    pub(super) capacity_type: CapacityType,
}

/// GPU machines of one account, region, type and way of buying, as one billing day pays for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BilledMachines {
    /// AWS linked account number, GCP project id, Azure subscription id.
    pub sub_account_id: String,
    /// The region.
    pub region_id: String,
    /// The machine type: `p5.48xlarge`.
    pub instance_type: &'static str,
    /// How they were bought.
    pub capacity_type: CapacityType,
    /// GPUs of one machine.
    pub gpus: u32,
    /// For how long machines ran, summed over the machines, in seconds.
    pub run_seconds: u64,
    /// Paid ahead and run by no machine, in seconds.
    pub unused_seconds: u64,
}

/// The GPU machines behind a day's charges, as they are billed when everything is known.
pub(super) fn billed(wholes: &[Whole], seed: u64) -> Vec<BilledMachines> {
    let mut pools: BTreeMap<Pool, (Decimal, Decimal)> = BTreeMap::new();
    for whole in wholes {
        let charge = &whole.charge;
        let Some((kind, use_of)) = use_of(charge) else { continue };
        let pool = Pool {
            sub_account_id: charge.sub_account_id.clone(),
            region_id: charge.region_id.clone(),
            instance_type: kind.name,
            capacity_type: capacity_type(charge),
        };
        let quantity = settled_quantity(whole, seed);
        let (run, unused) = pools.entry(pool).or_default();
        match use_of {
            Use::Machines => *run += quantity,
            Use::Gpus => *run += quantity / Decimal::from(kind.gpus.len()),
            Use::Nothing => *unused += quantity,
        }
    }
    let seconds = |hours: Decimal| (hours * Decimal::from(3600)).round().to_u64().unwrap_or(0);
    pools
        .into_iter()
        .filter_map(|(pool, (run, unused))| {
            let kind = machine_type(pool.instance_type)?;
            Some(BilledMachines {
                sub_account_id: pool.sub_account_id,
                region_id: pool.region_id,
                instance_type: kind.name,
                capacity_type: pool.capacity_type,
                gpus: u32::try_from(kind.gpus.len()).unwrap_or(u32::MAX),
                run_seconds: seconds(run),
                unused_seconds: seconds(unused),
            })
        })
        .collect()
}

/// What a row's quantity counts.
enum Use {
    /// Hours of machines.
    Machines,
    /// Hours of GPUs: Google bills a machine by its parts.
    Gpus,
    /// Reserved hours that nothing used.
    Nothing,
}

fn use_of(charge: &Charge) -> Option<(&'static MachineType, Use)> {
    let kind = machine_type(charge.instance_type.as_deref()?)?;
    if charge.category != ChargeCategory::Usage {
        return None;
    }
    let what = match charge.record_type.as_str() {
        "Usage" | "SavingsPlanCoveredUsage" => Use::Machines,
        "regular" if charge.sku.starts_with("Nvidia ") => Use::Gpus,
        "UnusedReservation" => Use::Nothing,
        _ => return None,
    };
    Some((kind, what))
}

/// A covered machine costs nothing on its own: AWS names it so, Azure bills zero, Google gives a
/// credit for it.
fn capacity_type(charge: &Charge) -> CapacityType {
    let is_committed = charge.record_type == "SavingsPlanCoveredUsage"
        || charge.billed.is_zero()
        || charge.credits.iter().any(|(kind, _, _)| kind == "COMMITTED_USAGE_DISCOUNT");
    if is_committed { CapacityType::Reserved } else { CapacityType::OnDemand }
}
