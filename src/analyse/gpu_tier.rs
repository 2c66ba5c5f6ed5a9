//! Clusters against the guide for Sora-class models: a minimum of 8 A100-class GPUs with 320 GB of
//! memory and 1 TB of fast storage; recommended 16 with 640 GB and 2 TB. Decimal gigabytes.

use std::collections::BTreeMap;

use crate::domain::gpu_money::{ClusterTier, Lacking, NodeNow};
use crate::domain::identity::Provider;
use crate::domain::machine::{GpuModel, Machine, Tier};

struct Wanted {
    tier: Tier,
    gpus: u32,
    memory_gb: u64,
    storage_gb: u64,
}

const WANTED: [Wanted; 3] = [
    Wanted { tier: Tier::Minimum, gpus: 8, memory_gb: 320, storage_gb: 1_000 },
    Wanted { tier: Tier::Recommended, gpus: 16, memory_gb: 640, storage_gb: 2_000 },
    // The guide names a GPU for its optimum, and no larger cluster.
    Wanted { tier: Tier::Optimal, gpus: 16, memory_gb: 640, storage_gb: 2_000 },
];

#[derive(Default)]
struct Sums {
    /// GPUs and memory by the tier of their kind.
    by_tier: BTreeMap<Tier, (u32, u64)>,
    storage_gb: u64,
    storage_is_known: bool,
}

/// The tier of every cluster that has GPUs.
pub fn clusters(nodes: &[NodeNow]) -> Vec<ClusterTier> {
    let mut clusters: BTreeMap<(Option<Provider>, &str), Sums> = BTreeMap::new();
    for node in nodes {
        let fleet = &node.fleet;
        let sums = clusters
            .entry((fleet.provider, fleet.cluster.as_str()))
            .or_insert_with(|| Sums { storage_is_known: true, ..Sums::default() });
        if let Some(model) = GpuModel::of(&fleet.model) {
            let sum = sums.by_tier.entry(model.tier).or_default();
            sum.0 += node.gpus;
            sum.1 += u64::from(node.gpus) * u64::from(model.memory_gb);
        }
        let machine = fleet
            .provider
            .and_then(|provider| Machine::of(provider, fleet.instance_type.as_deref()?));
        match machine.and_then(|machine| machine.storage_gb) {
            Some(storage) => sums.storage_gb += u64::from(storage),
            None => sums.storage_is_known = false,
        }
    }
    clusters
        .into_iter()
        .map(|((provider, cluster), sums)| judge(provider, cluster, &sums))
        .collect()
}

fn judge(provider: Option<Provider>, cluster: &str, sums: &Sums) -> ClusterTier {
    // GPUs of a better kind count for every tier below.
    let at_least = |tier: Tier| {
        let better = sums.by_tier.range(tier..);
        better.fold((0, 0), |(gpus, memory), (_, sum)| (gpus + sum.0, memory + sum.1))
    };
    let mut reached = Tier::BelowMinimum;
    let mut missing = Vec::new();
    for wanted in &WANTED {
        let (gpus, memory_gb) = at_least(wanted.tier);
        missing = lacks(wanted, gpus, memory_gb, sums);
        if !missing.is_empty() {
            break;
        }
        reached = wanted.tier;
    }
    let (gpus, memory_gb) = at_least(Tier::Minimum);
    ClusterTier {
        provider,
        cluster: cluster.to_owned(),
        tier: reached,
        gpus,
        memory_gb,
        storage_gb: sums.storage_gb,
        missing,
    }
}

fn lacks(wanted: &Wanted, gpus: u32, memory_gb: u64, sums: &Sums) -> Vec<Lacking> {
    let mut missing = Vec::new();
    if gpus < wanted.gpus {
        missing.push(Lacking::Gpus { count: wanted.gpus - gpus, of: wanted.tier });
    }
    if memory_gb < wanted.memory_gb {
        missing.push(Lacking::MemoryGb(wanted.memory_gb - memory_gb));
    }
    // Network storage is as good, and no machine type tells of it.
    if sums.storage_is_known && sums.storage_gb < wanted.storage_gb {
        missing.push(Lacking::StorageGb(wanted.storage_gb - sums.storage_gb));
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::node::Fleet;
    use crate::domain::price::CapacityType;

    fn node(instance_type: Option<&str>, model: &str, gpus: u32) -> NodeNow {
        NodeNow {
            name: String::new(),
            fleet: Fleet {
                provider: Some(Provider::Aws),
                cluster: "video".to_owned(),
                instance_type: instance_type.map(str::to_owned),
                region_id: None,
                capacity_type: CapacityType::OnDemand,
                model: model.to_owned(),
            },
            gpus,
            guessed: false,
            states: BTreeMap::new(),
        }
    }

    fn of(nodes: &[NodeNow]) -> (Tier, Vec<String>) {
        let judged = clusters(nodes).remove(0);
        (judged.tier, judged.missing.iter().map(ToString::to_string).collect())
    }

    const H100: &str = "NVIDIA H100 80GB HBM3";
    const A100: &str = "NVIDIA A100-SXM4-40GB";

    #[test]
    fn the_guides_clusters_reach_their_tiers() {
        let p4d = || node(Some("p4d.24xlarge"), A100, 8);
        let p4de = || node(Some("p4de.24xlarge"), "NVIDIA A100-SXM4-80GB", 8);
        let p5 = || node(Some("p5.48xlarge"), H100, 8);
        assert_eq!(of(&[p4d()]).0, Tier::Minimum);
        assert_eq!(of(&[p4de(), p4de()]).0, Tier::Recommended);
        assert_eq!(of(&[p5(), p5()]), (Tier::Optimal, vec![]));
        // 8 x 80 GB are 640 decimal gigabytes, though no more than 637 GiB.
        assert_eq!(of(&[p5()]), (Tier::Minimum, vec!["8 more A100-80GB-class GPUs".to_owned()]));
        assert_eq!(of(&[p4d(), p5()]).0, Tier::Minimum);
    }

    #[test]
    fn what_is_missing_is_said() {
        let (tier, missing) = of(&[node(None, A100, 4)]);
        assert_eq!(tier, Tier::BelowMinimum);
        assert_eq!(missing, ["4 more A100-class GPUs", "160 GB more GPU memory"]);
        let (tier, missing) = of(&[node(None, "NVIDIA L4", 16)]);
        assert_eq!((tier, missing.len()), (Tier::BelowMinimum, 2));
        assert_eq!(missing[0], "8 more A100-class GPUs");
    }
}
