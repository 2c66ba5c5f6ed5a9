//! Machine types with GPUs: what is in them, and what an hour of them is listed at.
//!
//! A dated table, so that a price stands even where no list can be read. List prices: AWS Linux on
//! demand, Google Cloud on demand, Azure pay-as-you-go Linux, in US dollars an hour.

use rust_decimal::Decimal;

use crate::domain::identity::Provider;

/// When a provider's prices in the table were true.
pub fn listed_on(provider: Provider) -> &'static str {
    match provider {
        Provider::Aws => "2026-07-20",
        Provider::Gcp => "2026-08-03",
        Provider::Azure => "2026-06-18",
    }
}

/// A kind of GPU.
#[derive(Debug, PartialEq, Eq)]
pub struct GpuModel {
    /// Its name for people: `H100 80GB`.
    pub name: &'static str,
    /// Words that all stand in the driver's name of it, in capitals.
    words: &'static [&'static str],
    /// Memory of one in decimal gigabytes, as it is sold.
    pub memory_gb: u32,
    /// Its rank among the tiers.
    pub tier: Tier,
}

/// Where a GPU stands against the guide for Sora-class models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Less than the guide's minimum.
    BelowMinimum,
    /// A100 40GB.
    Minimum,
    /// A100 80GB.
    Recommended,
    /// H100 80GB, and anything newer and larger.
    Optimal,
}

impl Tier {
    /// Every tier, rising.
    pub const ALL: [Self; 4] =
        [Self::BelowMinimum, Self::Minimum, Self::Recommended, Self::Optimal];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BelowMinimum => "below_minimum",
            Self::Minimum => "minimum",
            Self::Recommended => "recommended",
            Self::Optimal => "optimal",
        }
    }
}

const fn model(
    name: &'static str,
    words: &'static [&'static str],
    memory_gb: u32,
    tier: Tier,
) -> GpuModel {
    GpuModel { name, words, memory_gb, tier }
}

static GB300: GpuModel = model("GB300", &["GB300"], 288, Tier::Optimal);
static GB200: GpuModel = model("GB200", &["GB200"], 186, Tier::Optimal);
static B300: GpuModel = model("B300", &["B300"], 288, Tier::Optimal);
static B200: GpuModel = model("B200", &["B200"], 180, Tier::Optimal);
static GH200: GpuModel = model("GH200", &["GH200"], 96, Tier::Optimal);
static H200: GpuModel = model("H200 141GB", &["H200"], 141, Tier::Optimal);
static H100_NVL: GpuModel = model("H100 NVL 94GB", &["H100", "NVL"], 94, Tier::Optimal);
static H100: GpuModel = model("H100 80GB", &["H100"], 80, Tier::Optimal);
static MI355: GpuModel = model("MI355X", &["MI355"], 288, Tier::Optimal);
static MI325: GpuModel = model("MI325X", &["MI325"], 256, Tier::Optimal);
static MI300: GpuModel = model("MI300X", &["MI300"], 192, Tier::Optimal);
static A100_80: GpuModel = model("A100 80GB", &["A100", "80GB"], 80, Tier::Recommended);
static MI250: GpuModel = model("MI250X", &["MI250"], 128, Tier::Minimum);
static A100_40: GpuModel = model("A100 40GB", &["A100"], 40, Tier::Minimum);
static RTX_PRO: GpuModel = model("RTX PRO 6000", &["RTX PRO 6000"], 96, Tier::BelowMinimum);
static L40S: GpuModel = model("L40S", &["L40S"], 48, Tier::BelowMinimum);
static A10G: GpuModel = model("A10G", &["A10G"], 24, Tier::BelowMinimum);
static L4: GpuModel = model("L4", &["L4"], 24, Tier::BelowMinimum);
static V100_32: GpuModel = model("V100 32GB", &["V100", "32GB"], 32, Tier::BelowMinimum);
static V100: GpuModel = model("V100", &["V100"], 16, Tier::BelowMinimum);
static T4: GpuModel = model("T4", &["T4"], 16, Tier::BelowMinimum);

/// The longest names first: `A100 80GB` is looked for before `A100`.
static MODELS: [&GpuModel; 21] = [
    &GB300, &GB200, &B300, &B200, &GH200, &H200, &H100_NVL, &H100, &MI355, &MI325, &MI300,
    &A100_80, &MI250, &A100_40, &RTX_PRO, &L40S, &A10G, &L4, &V100_32, &V100, &T4,
];

impl GpuModel {
    /// The kind of a GPU by the name that its driver or a price list gives it:
    /// `NVIDIA H100 80GB HBM3`, `Nvidia Tesla A100 GPU running in Americas`.
    pub fn of(name: &str) -> Option<&'static Self> {
        // Google's price list calls the RTX PRO 6000 `RTX 6000 96GB`.
        let name = name.to_uppercase().replace("RTX 6000 96GB", RTX_PRO.name);
        // A word ends where no digit goes on: `L4` is in neither `L40` nor `L40S`.
        let holds = |word: &str| {
            name.match_indices(word).any(|(at, _)| {
                let next = name.get(at + word.len()..).and_then(|rest| rest.chars().next());
                !next.is_some_and(|c| c.is_ascii_digit())
            })
        };
        MODELS.iter().copied().find(|model| model.words.iter().all(|word| holds(word)))
    }
}

/// What a model is called wherever it is shown: its short name, or the driver's where it is not
/// known.
pub fn model_name(driver: &str) -> &str {
    GpuModel::of(driver).map_or(driver, |model| model.name)
}

/// A machine type with GPUs.
#[derive(Debug)]
pub struct Machine {
    /// The cloud.
    pub provider: Provider,
    /// Its name: `p5.48xlarge`.
    pub instance_type: &'static str,
    /// How many GPUs it has.
    pub gpus: u32,
    /// Which.
    pub gpu: &'static GpuModel,
    /// Fast local storage in decimal gigabytes; 0 for none, none where it is not known.
    pub storage_gb: Option<u32>,
    /// Cores and memory, where they are priced apart (Google Cloud).
    pub shape: Option<Shape>,
    /// List prices of an hour on demand, by region; the first region's is the usual one.
    listed: &'static [(&'static str, &'static str)],
}

/// Cores and memory of a machine ("Accelerator-optimized machine family", Compute Engine).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Virtual cores.
    pub cores: u32,
    /// Memory in GiB.
    pub memory_gib: u32,
}

const fn machine(
    provider: Provider,
    instance_type: &'static str,
    gpus: u32,
    gpu: &'static GpuModel,
    storage_gb: Option<u32>,
    listed: &'static [(&'static str, &'static str)],
) -> Machine {
    Machine { provider, instance_type, gpus, gpu, storage_gb, shape: None, listed }
}

impl Machine {
    const fn with(mut self, cores: u32, memory_gib: u32) -> Self {
        self.shape = Some(Shape { cores, memory_gib });
        self
    }
}

#[rustfmt::skip] // A table is read in rows.
static MACHINES: [Machine; 89] = {
    use Provider::{Aws, Azure, Gcp};
    [
        machine(Aws, "p4d.24xlarge", 8, &A100_40, Some(8_000), &[("us-east-1", "21.957642"), ("us-west-2", "21.957642"), ("eu-west-1", "23.716"), ("ap-northeast-1", "30.098")]),
        machine(Aws, "p4de.24xlarge", 8, &A100_80, Some(8_000), &[("us-east-1", "27.447050"), ("us-west-2", "27.447050")]),
        machine(Aws, "p5.48xlarge", 8, &H100, Some(30_400), &[("us-east-1", "55.040"), ("us-west-2", "68.80"), ("eu-west-2", "71.552")]),
        machine(Aws, "p5.4xlarge", 1, &H100, Some(3_800), &[("us-east-1", "6.880")]),
        machine(Aws, "p5e.48xlarge", 8, &H200, Some(30_400), &[]),
        machine(Aws, "p5en.48xlarge", 8, &H200, None, &[("us-east-1", "63.296")]),
        machine(Aws, "p6-b200.48xlarge", 8, &B200, None, &[("us-east-1", "113.9328")]),
        machine(Aws, "p6-b300.48xlarge", 8, &B300, None, &[("us-east-1", "142.416")]),
        machine(Aws, "g5.48xlarge", 8, &A10G, Some(7_600), &[("us-east-1", "16.288"), ("eu-west-1", "16.288")]),
        machine(Aws, "g6.48xlarge", 8, &L4, Some(7_520), &[("us-east-1", "13.3504")]),
        machine(Aws, "g6e.48xlarge", 8, &L40S, Some(7_600), &[("us-east-1", "30.13118")]),
        machine(Aws, "g7e.48xlarge", 8, &RTX_PRO, None, &[("us-east-1", "33.14432")]),
        machine(Aws, "g4dn.xlarge", 1, &T4, None, &[]),
        machine(Aws, "g4dn.2xlarge", 1, &T4, None, &[]),
        machine(Aws, "g4dn.4xlarge", 1, &T4, None, &[]),
        machine(Aws, "g4dn.8xlarge", 1, &T4, None, &[]),
        machine(Aws, "g4dn.16xlarge", 1, &T4, None, &[]),
        machine(Aws, "g4dn.12xlarge", 4, &T4, None, &[]),
        machine(Aws, "g4dn.metal", 8, &T4, None, &[]),
        machine(Aws, "g5.xlarge", 1, &A10G, None, &[]),
        machine(Aws, "g5.2xlarge", 1, &A10G, None, &[]),
        machine(Aws, "g5.4xlarge", 1, &A10G, None, &[]),
        machine(Aws, "g5.8xlarge", 1, &A10G, None, &[]),
        machine(Aws, "g5.16xlarge", 1, &A10G, None, &[]),
        machine(Aws, "g5.12xlarge", 4, &A10G, None, &[]),
        machine(Aws, "g5.24xlarge", 4, &A10G, None, &[]),
        machine(Aws, "g6.xlarge", 1, &L4, None, &[]),
        machine(Aws, "g6.2xlarge", 1, &L4, None, &[]),
        machine(Aws, "g6.4xlarge", 1, &L4, None, &[]),
        machine(Aws, "g6.8xlarge", 1, &L4, None, &[]),
        machine(Aws, "g6.16xlarge", 1, &L4, None, &[]),
        machine(Aws, "g6.12xlarge", 4, &L4, None, &[]),
        machine(Aws, "g6.24xlarge", 4, &L4, None, &[]),
        machine(Aws, "gr6.4xlarge", 1, &L4, None, &[]),
        machine(Aws, "gr6.8xlarge", 1, &L4, None, &[]),
        machine(Aws, "g6e.xlarge", 1, &L40S, None, &[]),
        machine(Aws, "g6e.2xlarge", 1, &L40S, None, &[]),
        machine(Aws, "g6e.4xlarge", 1, &L40S, None, &[]),
        machine(Aws, "g6e.8xlarge", 1, &L40S, None, &[]),
        machine(Aws, "g6e.16xlarge", 1, &L40S, None, &[]),
        machine(Aws, "g6e.12xlarge", 4, &L40S, None, &[]),
        machine(Aws, "g6e.24xlarge", 4, &L40S, None, &[]),
        machine(Aws, "p3.2xlarge", 1, &V100, None, &[]),
        machine(Aws, "p3.8xlarge", 4, &V100, None, &[]),
        machine(Aws, "p3.16xlarge", 8, &V100, None, &[]),
        machine(Aws, "p3dn.24xlarge", 8, &V100_32, Some(1_800), &[]),
        machine(Gcp, "a2-highgpu-1g", 1, &A100_40, Some(0), &[("us-central1", "3.673385")]).with(12, 85),
        machine(Gcp, "a2-highgpu-2g", 2, &A100_40, Some(0), &[("us-central1", "7.34677")]).with(24, 170),
        machine(Gcp, "a2-highgpu-4g", 4, &A100_40, Some(0), &[("us-central1", "14.69354")]).with(48, 340),
        machine(Gcp, "a2-highgpu-8g", 8, &A100_40, Some(0), &[("us-central1", "29.38708"), ("europe-west4", "29.984")]).with(96, 680),
        machine(Gcp, "a2-megagpu-16g", 16, &A100_40, Some(0), &[("us-central1", "55.740")]).with(96, 1360),
        machine(Gcp, "a2-ultragpu-1g", 1, &A100_80, Some(375), &[]).with(12, 170),
        machine(Gcp, "a2-ultragpu-2g", 2, &A100_80, Some(750), &[]).with(24, 340),
        machine(Gcp, "a2-ultragpu-4g", 4, &A100_80, Some(1_500), &[]).with(48, 680),
        machine(Gcp, "a2-ultragpu-8g", 8, &A100_80, Some(3_000), &[("us-central1", "40.55038"), ("us-east4", "45.662")]).with(96, 1360),
        machine(Gcp, "a3-highgpu-1g", 1, &H100, Some(750), &[]).with(26, 234),
        machine(Gcp, "a3-highgpu-2g", 2, &H100, Some(1_500), &[]).with(52, 468),
        machine(Gcp, "a3-highgpu-4g", 4, &H100, Some(3_000), &[]).with(104, 936),
        machine(Gcp, "a3-highgpu-8g", 8, &H100, Some(6_000), &[("us-central1", "88.490"), ("us-east5", "99.583"), ("asia-northeast1", "126.64")]).with(208, 1872),
        machine(Gcp, "a3-megagpu-8g", 8, &H100, Some(6_000), &[("us-east4", "92.938"), ("us-east5", "94.067")]).with(208, 1872),
        machine(Gcp, "a3-edgegpu-8g", 8, &H100, Some(6_000), &[]).with(208, 1872),
        machine(Gcp, "a3-ultragpu-8g", 8, &H200, Some(12_000), &[]).with(224, 2952),
        machine(Gcp, "a4-highgpu-8g", 8, &B200, Some(12_000), &[]).with(224, 3968),
        machine(Gcp, "a4x-highgpu-4g", 4, &GB200, Some(12_000), &[]).with(140, 884),
        machine(Gcp, "a4x-maxgpu-4g-metal", 4, &GB300, Some(12_000), &[]).with(144, 960),
        machine(Gcp, "g2-standard-4", 1, &L4, None, &[]).with(4, 16),
        machine(Gcp, "g2-standard-8", 1, &L4, None, &[]).with(8, 32),
        machine(Gcp, "g2-standard-12", 1, &L4, None, &[]).with(12, 48),
        machine(Gcp, "g2-standard-16", 1, &L4, None, &[]).with(16, 64),
        machine(Gcp, "g2-standard-32", 1, &L4, None, &[]).with(32, 128),
        machine(Gcp, "g2-standard-24", 2, &L4, None, &[]).with(24, 96),
        machine(Gcp, "g2-standard-48", 4, &L4, None, &[]).with(48, 192),
        machine(Gcp, "g2-standard-96", 8, &L4, None, &[]).with(96, 384),
        machine(Gcp, "g4-standard-48", 1, &RTX_PRO, None, &[]).with(48, 180),
        machine(Gcp, "g4-standard-96", 2, &RTX_PRO, None, &[]).with(96, 360),
        machine(Gcp, "g4-standard-192", 4, &RTX_PRO, None, &[]).with(192, 720),
        machine(Gcp, "g4-standard-384", 8, &RTX_PRO, None, &[]).with(384, 1440),
        machine(Azure, "Standard_ND96asr_v4", 8, &A100_40, Some(6_000), &[("eastus", "27.197")]),
        machine(Azure, "Standard_ND96amsr_A100_v4", 8, &A100_80, Some(6_872), &[("eastus", "32.770"), ("brazilsouth", "65.54")]),
        machine(Azure, "Standard_ND96isr_H100_v5", 8, &H100, Some(30_065), &[("eastus", "98.320")]),
        machine(Azure, "Standard_ND96is_H100_v5", 8, &H100, None, &[("eastus", "88.488")]),
        machine(Azure, "Standard_ND96isr_H200_v5", 8, &H200, None, &[("eastus2", "84.800")]),
        machine(Azure, "Standard_NC24ads_A100_v4", 1, &A100_80, None, &[("eastus", "3.673"), ("westeurope", "3.673")]),
        machine(Azure, "Standard_NC48ads_A100_v4", 2, &A100_80, None, &[("eastus", "7.346")]),
        machine(Azure, "Standard_NC96ads_A100_v4", 4, &A100_80, None, &[("eastus", "14.692")]),
        machine(Azure, "Standard_NC40ads_H100_v5", 1, &H100_NVL, None, &[("eastus", "6.980")]),
        machine(Azure, "Standard_NC80adis_H100_v5", 2, &H100_NVL, None, &[("eastus", "13.960")]),
        machine(Azure, "Standard_ND128isr_NDR_GB200_v6", 4, &GB200, None, &[("eastus", "108.16")]),
        machine(Azure, "Standard_ND96isr_MI300X_v5", 8, &MI300, None, &[]),
    ]
};

impl Machine {
    /// The machine type of that name, whatever its case.
    pub fn of(provider: Provider, instance_type: &str) -> Option<&'static Self> {
        MACHINES.iter().find(|machine| {
            machine.provider == provider
                && machine.instance_type.eq_ignore_ascii_case(instance_type)
        })
    }

    /// Every machine type.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        MACHINES.iter()
    }

    /// The regions of which the table has a price.
    pub fn listed_regions(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.listed.iter().map(|(region, _)| *region)
    }

    /// The machine type of an Azure meter, `ND96isr H100 v5 Spot`: Azure bills under the size's
    /// name with blanks, and writes the older A100 size with its GPU.
    pub fn of_azure_meter(meter: &str) -> Option<&'static Self> {
        let name = meter.trim_end_matches(" Spot").trim_end_matches(" Low Priority");
        let size = format!("Standard_{}", name.replace(' ', "_"));
        Self::of(Provider::Azure, &size)
            .or_else(|| Self::of(Provider::Azure, &size.replace("_A100_v4", "_v4")))
    }

    /// The only machine type of a cloud with so many GPUs of a kind; none where there are several.
    pub fn guess(provider: Provider, model: &str, gpus: u32) -> Option<&'static Self> {
        let gpu = GpuModel::of(model)?;
        let mut same = MACHINES.iter().filter(|machine| {
            machine.provider == provider && machine.gpus == gpus && std::ptr::eq(machine.gpu, gpu)
        });
        same.next().filter(|_| same.next().is_none())
    }

    /// The list price of an hour in a region, and whether it is that region's own; the usual
    /// region's where the table has no other.
    pub fn list_price(&self, region_id: Option<&str>) -> Option<(Decimal, bool)> {
        let read = |text: &str| text.parse::<Decimal>().ok().filter(|price| *price > Decimal::ZERO);
        let own = self.listed.iter().find(|(region, _)| Some(*region) == region_id);
        match own {
            Some((_, price)) => read(price).map(|price| (price, true)),
            None => self.listed.first().and_then(|(_, price)| read(price)).map(|p| (p, false)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_every_name_that_it_is_given() {
        for (name, wanted) in [
            ("NVIDIA H100 80GB HBM3", "H100 80GB"),
            ("NVIDIA H100 NVL", "H100 NVL 94GB"),
            ("NVIDIA A100-SXM4-40GB", "A100 40GB"),
            ("NVIDIA A100-SXM4-80GB", "A100 80GB"),
            ("NVIDIA A100 80GB PCIe", "A100 80GB"),
            ("Nvidia Tesla A100 GPU running in Americas", "A100 40GB"),
            ("Nvidia Tesla A100 80GB GPU running in Americas", "A100 80GB"),
            ("NVIDIA L40S", "L40S"),
            ("Tesla V100-SXM2-16GB", "V100"),
            ("Tesla V100-SXM2-32GB", "V100 32GB"),
            ("NVIDIA L4", "L4"),
            ("NVIDIA A10G", "A10G"),
            ("NVIDIA GB200", "GB200"),
            ("RTX 6000 96GB running in Iowa", "RTX PRO 6000"),
            ("NVIDIA B200", "B200"),
            ("AMD Instinct MI300X", "MI300X"),
        ] {
            assert_eq!(GpuModel::of(name).map(|model| model.name), Some(wanted), "{name}");
        }
        for name in ["Tesla K80", "", "NVIDIA L400", "NVIDIA A10", "NVIDIA L40"] {
            assert_eq!(GpuModel::of(name), None, "{name}");
        }
    }

    #[test]
    fn the_smaller_sizes_of_a_family_have_their_gpus() {
        let gpus = |name| Machine::of(Provider::Aws, name).map(|machine| machine.gpus);
        for (name, wanted) in [
            ("g5.xlarge", 1),
            ("g5.16xlarge", 1),
            ("g5.12xlarge", 4),
            ("g6e.24xlarge", 4),
            ("g4dn.metal", 8),
            ("p3.8xlarge", 4),
            ("p3dn.24xlarge", 8),
        ] {
            assert_eq!(gpus(name), Some(wanted), "{name}");
        }
        assert_eq!(gpus("g5g.xlarge"), None, "a family that is not known is not guessed");
    }

    #[test]
    fn every_machine_of_google_has_a_family_and_a_shape_to_price_its_parts_by() {
        use crate::domain::gpu_family::GpuFamily;

        for machine in MACHINES.iter().filter(|machine| machine.provider == Provider::Gcp) {
            let name = machine.instance_type;
            let family = GpuFamily::of_machine(name).expect(name);
            assert!(family.gpus.contains(&machine.gpu.name), "{name}");
            assert!(machine.shape.is_some(), "{name}");
        }
    }

    #[test]
    fn every_listed_price_is_a_price() {
        for machine in &MACHINES {
            for (region, _) in machine.listed {
                let price = machine.list_price(Some(region));
                assert!(price.is_some_and(|(_, own)| own), "{} {region}", machine.instance_type);
            }
            assert!(machine.gpus > 0 && machine.gpu.memory_gb > 0);
        }
        let p5 = Machine::of(Provider::Aws, "p5.48xlarge").expect("it is in the table");
        assert_eq!(p5.list_price(Some("mars-1")), Some((Decimal::new(55_040, 3), false)));
        let p5e = Machine::of(Provider::Aws, "p5e.48xlarge").expect("it is in the table");
        assert_eq!(p5e.list_price(Some("us-east-1")), None, "it is not sold by the hour");
    }

    #[test]
    fn azure_meters_and_guesses_name_one_machine() {
        for (meter, size) in [
            ("ND96isr H100 v5", "Standard_ND96isr_H100_v5"),
            ("ND96asr A100 v4", "Standard_ND96asr_v4"),
            ("NC24ads A100 v4 Spot", "Standard_NC24ads_A100_v4"),
        ] {
            let found = Machine::of_azure_meter(meter).map(|machine| machine.instance_type);
            assert_eq!(found, Some(size), "{meter}");
        }
        assert!(Machine::of_azure_meter("D4s v5").is_none());
        let guess = |provider, model, gpus| {
            Machine::guess(provider, model, gpus).map(|machine| machine.instance_type)
        };
        assert_eq!(guess(Provider::Aws, "NVIDIA H100 80GB HBM3", 8), Some("p5.48xlarge"));
        assert_eq!(guess(Provider::Gcp, "NVIDIA H100 80GB HBM3", 8), None, "two types have them");
        assert_eq!(guess(Provider::Aws, "Tesla K80", 8), None);
        assert_eq!(guess(Provider::Aws, "Tesla V100-SXM2-16GB", 8), Some("p3.16xlarge"));
        assert_eq!(guess(Provider::Aws, "Tesla V100-SXM2-32GB", 8), Some("p3dn.24xlarge"));
        assert_eq!(guess(Provider::Gcp, "NVIDIA L4", 1), None, "five types have it");
        assert_eq!(guess(Provider::Gcp, "NVIDIA L4", 2), Some("g2-standard-24"));
    }
}
