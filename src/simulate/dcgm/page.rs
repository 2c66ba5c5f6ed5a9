//! The text of a page. Shapes, help texts and label order are those of the exporter's default
//! counters (release 4.5).

use std::fmt::Write;

use crate::simulate::scenario::{GpuNode, GpuReading, Pod};

const DRIVER: &str = "550.127.05";
/// DCGM's `DCGM_INT64_NOT_SUPPORTED`, which leaks into pages as a value.
pub(super) const NOT_SUPPORTED: u64 = 9_223_372_036_854_775_794;

/// A default counter: name, type, help.
struct Counter(&'static str, &'static str, &'static str, Field);

/// What a counter tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    SmClock,
    MemoryClock,
    MemoryTemperature,
    Temperature,
    Power,
    Energy,
    Utilization,
    CopyUtilization,
    Xid,
    MemoryFree,
    MemoryUsed,
    MemoryReserved,
    EngineActive,
    TensorActive,
    DramActive,
    Sent,
    Received,
    /// Nothing of it happens here.
    Zero,
}

#[rustfmt::skip] // A table is read in rows.
const COUNTERS: [Counter; 24] = [
    Counter("DCGM_FI_DEV_SM_CLOCK", "gauge", "SM clock frequency (in MHz).", Field::SmClock),
    Counter("DCGM_FI_DEV_MEM_CLOCK", "gauge", "Memory clock frequency (in MHz).", Field::MemoryClock),
    Counter("DCGM_FI_DEV_MEMORY_TEMP", "gauge", "Memory temperature (in C).", Field::MemoryTemperature),
    Counter("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (in C).", Field::Temperature),
    Counter("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W).", Field::Power),
    Counter("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter", "Total energy consumption since boot (in mJ).", Field::Energy),
    Counter("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "Total number of PCIe retries.", Field::Zero),
    Counter("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %).", Field::Utilization),
    Counter("DCGM_FI_DEV_MEM_COPY_UTIL", "gauge", "Memory utilization (in %).", Field::CopyUtilization),
    Counter("DCGM_FI_DEV_ENC_UTIL", "gauge", "Encoder utilization (in %).", Field::Zero),
    Counter("DCGM_FI_DEV_DEC_UTIL", "gauge", "Decoder utilization (in %).", Field::Zero),
    Counter("DCGM_FI_DEV_XID_ERRORS", "gauge", "Value of the last XID error encountered.", Field::Xid),
    Counter("DCGM_FI_DEV_FB_FREE", "gauge", "Framebuffer memory free (in MiB).", Field::MemoryFree),
    Counter("DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB).", Field::MemoryUsed),
    Counter("DCGM_FI_DEV_FB_RESERVED", "gauge", "Framebuffer memory reserved (in MiB).", Field::MemoryReserved),
    Counter("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "counter", "Total number of NVLink bandwidth counters for all lanes.", Field::Zero),
    Counter("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "counter", "Number of remapped rows for uncorrectable errors", Field::Zero),
    Counter("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "counter", "Number of remapped rows for correctable errors", Field::Zero),
    Counter("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "Whether remapping of rows has failed", Field::Zero),
    Counter("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "gauge", "Ratio of time the graphics engine is active.", Field::EngineActive),
    Counter("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "gauge", "Ratio of cycles the tensor (HMMA) pipe is active.", Field::TensorActive),
    Counter("DCGM_FI_PROF_DRAM_ACTIVE", "gauge", "Ratio of cycles the device memory interface is active sending or receiving data.", Field::DramActive),
    Counter("DCGM_FI_PROF_PCIE_TX_BYTES", "gauge", "The rate of data transmitted over the PCIe bus - including both protocol headers and data payloads - in bytes per second.", Field::Sent),
    Counter("DCGM_FI_PROF_PCIE_RX_BYTES", "gauge", "The rate of data received over the PCIe bus - including both protocol headers and data payloads - in bytes per second.", Field::Received),
];

/// The labels of a GPU or a slice, written once for all its counters.
struct Series<'a> {
    reading: &'a GpuReading,
    /// Up to the driver's version.
    labels: String,
    /// The pod's, for every counter but XID errors.
    holder: String,
    /// The pod's with the error's words among them, in the exporter's order.
    holder_and_error: String,
    /// Of each pod that shares the GPU.
    sharers: Vec<String>,
}

/// The page of some nodes.
pub(super) fn page(nodes: &[GpuNode]) -> String {
    let series: Vec<Series<'_>> = nodes
        .iter()
        .flat_map(|node| node.readings.iter().map(move |reading| Series::new(node, reading)))
        .collect();
    let mut page = String::with_capacity(series.len() * COUNTERS.len() * 384);
    for Counter(name, kind, help, field) in &COUNTERS {
        let start = page.len();
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
        let head = page.len();
        for one in &series {
            one.write(&mut page, name, *field);
        }
        if page.len() == head {
            page.truncate(start);
        }
    }
    page
}

impl<'a> Series<'a> {
    fn new(node: &GpuNode, reading: &'a GpuReading) -> Self {
        let GpuReading { index, uuid, pci_bus_id, model, slice, pods, xid, .. } = reading;
        let mut labels = String::with_capacity(320);
        let _ = write!(
            labels,
            "gpu=\"{index}\",UUID=\"{uuid}\",pci_bus_id=\"{pci_bus_id}\",\
             device=\"nvidia{index}\",modelName=\"{model}\""
        );
        if let Some((profile, instance)) = slice {
            let _ = write!(labels, ",GPU_I_PROFILE=\"{profile}\",GPU_I_ID=\"{instance}\"");
        }
        let name = &node.name;
        let _ = write!(labels, ",Hostname=\"{name}\",DCGM_FI_DRIVER_VERSION=\"{DRIVER}\"");
        let error = format!(",err_code=\"{xid}\",err_msg=\"{}\"", xid_message(*xid));
        let holds = |pod: &Pod, error: &str| {
            let Pod { namespace, name, container, .. } = pod;
            format!(",container=\"{container}\"{error},namespace=\"{namespace}\",pod=\"{name}\"")
        };
        let mut one = Self {
            reading,
            labels,
            holder: String::new(),
            holder_and_error: error.clone(),
            sharers: Vec::new(),
        };
        if reading.is_shared {
            let shares = (0..).zip(pods);
            one.sharers = shares
                .map(|(at, pod): (u32, _)| holds(pod, "") + &format!(",vgpu=\"{at}\""))
                .collect();
        } else if let Some(pod) = pods.first() {
            one.holder = holds(pod, "");
            one.holder_and_error = holds(pod, &error);
        }
        one
    }

    fn write(&self, page: &mut String, name: &str, field: Field) {
        let Some(value) = value(field, self.reading) else { return };
        let holder = if field == Field::Xid { &self.holder_and_error } else { &self.holder };
        self.line(page, name, holder, value);
        let of_each = match (field, value) {
            // Each sees most of the device as its own: together they may exceed it.
            (Field::Utilization, Value::Whole(device)) if !self.reading.sentinel => {
                Value::Whole(device * 8 / 10)
            }
            (Field::MemoryUsed, Value::Whole(device)) => {
                Value::Whole(device / self.sharers.len().max(1) as u64)
            }
            _ => return,
        };
        for sharer in &self.sharers {
            self.line(page, name, sharer, of_each);
        }
    }

    fn line(&self, page: &mut String, name: &str, holder: &str, value: Value) {
        for part in [name, "{", &self.labels, holder, "} "] {
            page.push_str(part);
        }
        let _ = match value {
            Value::Whole(whole) => writeln!(page, "{whole}"),
            Value::Ratio(ratio) => writeln!(page, "{ratio:.6}"),
            Value::Watts(watts) => writeln!(page, "{watts:.3}"),
        };
    }
}

/// The words that the exporter has for an XID error.
fn xid_message(xid: u32) -> &'static str {
    match xid {
        0 => "No Error",
        13 => "Graphics Engine Exception",
        31 => "GPU memory page fault",
        43 => "GPU stopped processing",
        48 => "Double Bit ECC Error",
        74 => "NVLINK Error",
        79 => "GPU has fallen off the bus",
        _ => "Unknown Error",
    }
}

#[derive(Clone, Copy)]
enum Value {
    Whole(u64),
    Ratio(f64),
    Watts(f64),
}

/// A counter's value, where the device has the counter at all.
fn value(field: Field, reading: &GpuReading) -> Option<Value> {
    let active = reading.engine_active;
    let is_large = reading.memory_mib.is_some_and(|(total, _)| total > 50_000);
    let whole = |amount: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the amounts below lie between 0 and 2^30"
        )]
        let amount = amount.round() as u64;
        Some(Value::Whole(amount))
    };
    let memory = |part: fn(u64, u64) -> u64| {
        let (total, used) = reading.memory_mib?;
        Some(Value::Whole(part(total, used)))
    };
    match field {
        // A split device has no utilisation of its own.
        Field::Utilization | Field::CopyUtilization if reading.slice.is_some() => None,
        Field::Utilization | Field::MemoryTemperature if reading.sentinel => {
            Some(Value::Whole(NOT_SUPPORTED))
        }
        // A resident kernel saturates this one before the engine is busy.
        Field::Utilization => whole((active * 130.0).min(100.0)),
        Field::CopyUtilization => whole(active * 45.0),
        Field::SmClock => whole(if active > 0.0 { 1_980.0 } else { 345.0 }),
        Field::MemoryClock => whole(if is_large { 2_619.0 } else { 1_215.0 }),
        Field::MemoryTemperature => whole(38.0 + active * 30.0),
        Field::Temperature => whole(31.0 + active * 28.0),
        Field::Power => Some(Value::Watts(reading.power)),
        Field::Energy => Some(Value::Whole(u64::try_from(reading.energy).ok()?)),
        Field::Xid => Some(Value::Whole(reading.xid.into())),
        Field::MemoryUsed => memory(|_, used| used),
        Field::MemoryReserved => memory(|total, _| total / 128),
        Field::MemoryFree => memory(|total, used| total.saturating_sub(used + total / 128)),
        Field::EngineActive => Some(Value::Ratio(active)),
        Field::TensorActive => Some(Value::Ratio(active * 0.52)),
        Field::DramActive => Some(Value::Ratio(active * 0.41)),
        Field::Sent => whole(active * 410_000_000.0),
        Field::Received => whole(active * 730_000_000.0),
        Field::Zero => Some(Value::Whole(0)),
    }
}
