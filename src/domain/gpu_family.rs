//! Google Cloud's families of GPU machines, as the names of its SKUs tell them.
//!
//! One table for everybody who sorts SKUs: what is asked of the billing export, what is read of the
//! price list, how the bill is shared. Names as the Cloud Billing catalogue writes them:
//! `A3Plus Instance Core running in Americas`, `Commitment v1: A2 Cpu in Americas for 1 Year`.

use crate::domain::machine::{GpuModel, Machine};

/// A family of machines that only come with GPUs.
#[derive(Debug, PartialEq, Eq)]
pub struct GpuFamily {
    /// Its word in the names of SKUs of cores and memory: `A3Plus`.
    pub name: &'static str,
    /// How the names of its machine types begin: `a3-megagpu`.
    machines: &'static [&'static str],
    /// The kinds of GPU in it ([`GpuModel::name`]).
    pub gpus: &'static [&'static str],
    /// Words one of which is in its GPU's SKU, where another family has the same GPU.
    own: &'static [&'static str],
    /// Whether the GPU's SKU is the price of the whole machine by GPU: there is no core or memory
    /// to add.
    pub is_whole: bool,
}

const fn family(
    name: &'static str,
    machines: &'static [&'static str],
    gpus: &'static [&'static str],
) -> GpuFamily {
    GpuFamily { name, machines, gpus, own: &[], is_whole: false }
}

/// What begins the word of every family. A variant that is not in the table yet begins so too.
pub const STEMS: [&str; 5] = ["A2", "A3", "A4", "G2", "G4"];

/// The longest names first: `A3Plus` is looked for before `A3`.
static FAMILIES: [GpuFamily; 8] = [
    GpuFamily {
        own: &["80GB Plus GPU", "80GB Mega GPU"],
        ..family("A3Plus", &["a3-megagpu"], &["H100 80GB"])
    },
    family("A3Ultra", &["a3-ultragpu"], &["H200 141GB"]),
    GpuFamily { is_whole: true, ..family("A4X", &["a4x-"], &["GB200", "GB300"]) },
    family("A2", &["a2-"], &["A100 40GB", "A100 80GB"]),
    family("A3", &["a3-highgpu", "a3-edgegpu"], &["H100 80GB"]),
    GpuFamily { is_whole: true, ..family("A4", &["a4-"], &["B200"]) },
    family("G2", &["g2-"], &["L4"]),
    family("G4", &["g4-"], &["RTX PRO 6000"]),
];

/// Whether a SKU is the fee of a commitment.
pub fn is_commitment(sku: &str) -> bool {
    sku.starts_with("Commitment")
}

/// Whether a SKU is of machines that may be taken away.
pub fn is_spot(sku: &str) -> bool {
    sku.contains("Preemptible")
}

impl GpuFamily {
    /// The family to whose cores or memory a SKU belongs; none for any other SKU. A variant that is
    /// not in the table counts as the family whose name its own begins with.
    pub fn of_sku(sku: &str) -> Option<&'static Self> {
        let name = sku
            .trim_start_matches("Commitment v1: ")
            .trim_start_matches("Spot ")
            .trim_start_matches("Preemptible ");
        let is_part = name.contains(" Instance ") || is_commitment(sku);
        FAMILIES.iter().find(|family| is_part && name.starts_with(family.name))
    }

    /// The family of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FAMILIES.iter().find(|family| family.name == name)
    }

    /// The family of a machine type.
    pub fn of_machine(instance_type: &str) -> Option<&'static Self> {
        let of = |family: &&GpuFamily| {
            family.machines.iter().any(|beginning| instance_type.starts_with(beginning))
        };
        FAMILIES.iter().find(of)
    }

    /// Whether a SKU is what an hour of a GPU in one of the family's machines costs on demand.
    /// Calendar mode and flex-start machines (`Reserved`, `attached to DWS`) have SKUs of their
    /// own at about half the price, and of the same use type.
    pub fn is_gpu_on_demand(&self, machine: &Machine, sku: &str) -> bool {
        let is_other = ["Reserved ", "Calendar Mode", "DWS", "Commitment", "Preemptible", "Spot "]
            .iter()
            .any(|word| sku.contains(word));
        let is_own = if self.own.is_empty() {
            !FAMILIES.iter().flat_map(|family| family.own).any(|words| sku.contains(words))
        } else {
            self.own.iter().any(|words| sku.contains(words))
        };
        !is_other
            && is_own
            && sku.contains(" running in ")
            && GpuModel::of(sku).is_some_and(|model| std::ptr::eq(model, machine.gpu))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::identity::Provider;

    #[test]
    fn every_family_is_known_by_its_skus_its_machines_and_its_gpus() {
        for family in &FAMILIES {
            for sku in [
                format!("{} Instance Core running in Americas", family.name),
                format!("Spot Preemptible {} Instance Ram running in Iowa", family.name),
                format!("Commitment v1: {} Cpu in Americas for 1 Year", family.name),
            ] {
                assert_eq!(GpuFamily::of_sku(&sku), Some(family), "{sku}");
            }
            assert!(STEMS.iter().any(|stem| family.name.starts_with(stem)), "{}", family.name);
            for beginning in family.machines {
                assert_eq!(GpuFamily::of_machine(beginning), Some(family), "{beginning}");
            }
            for gpu in family.gpus {
                assert_eq!(GpuModel::of(gpu).map(|model| model.name), Some(*gpu));
            }
        }
        let a3 = GpuFamily::named("A3");
        assert_eq!(GpuFamily::of_sku("A3Mini Instance Core running in Americas"), a3);
        for sku in ["N2 Instance Core running in Americas", "A2 something else", ""] {
            assert_eq!(GpuFamily::of_sku(sku), None, "{sku}");
        }
    }

    #[test]
    fn the_gpu_of_a_family_is_told_from_the_same_gpu_of_another() {
        let is_of = |instance_type: &str, sku: &str| {
            let machine = Machine::of(Provider::Gcp, instance_type).expect("it is in the table");
            let family = GpuFamily::of_machine(instance_type).expect("it has a family");
            family.is_gpu_on_demand(machine, sku)
        };
        let (high, mega) = ("a3-highgpu-8g", "a3-megagpu-8g");
        let plain = "Nvidia H100 80GB GPU running in Americas";
        let plus = "Nvidia H100 80GB Plus GPU running in Americas";
        assert_eq!((is_of(high, plain), is_of(high, plus)), (true, false));
        assert_eq!((is_of(mega, plain), is_of(mega, plus)), (false, true));
        assert!(is_of("a3-ultragpu-8g", "H200 141GB GPU running in Americas"));
        assert!(is_of("a4-highgpu-8g", "A4 Nvidia B200 (1 gpu slice) running in Americas"));
        assert!(is_of("a2-highgpu-8g", "Nvidia Tesla A100 GPU running in Americas"));
        assert!(!is_of("a2-highgpu-8g", "Nvidia Tesla A100 80GB GPU running in Americas"));
        for other in [
            "Reserved Nvidia H100 80GB GPU in Americas in Calendar Mode",
            "Nvidia H100 80GB GPU attached to DWS Defined Duration VMs running in Americas",
            "Nvidia H100 80GB GPU attached to Spot Preemptible VMs running in Americas",
            "Commitment v1: Nvidia H100 80GB GPU running in Americas for 1 Year",
        ] {
            assert!(!is_of(high, other), "{other}");
        }
    }
}
