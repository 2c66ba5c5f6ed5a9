use super::*;

/// A node from its labels, its provider and its capacity, as they stand in manifests.
fn of(labels: &[(&str, &str)], provider_id: &str, capacity: &[(&str, &str)]) -> Node {
    let object = serde_json::json!({
        "metadata": {"name": "n", "labels": labels.iter().copied().collect::<BTreeMap<_, _>>()},
        "spec": {"providerID": provider_id, "podCIDR": "10.0.0.0/24"},
        "status": {"capacity": capacity.iter().copied().collect::<BTreeMap<_, _>>()},
    });
    node(serde_json::from_value(object).unwrap(), "train", None)
}

const EKS: &str = "aws:///us-east-1a/i-0123456789abcdef0";
const GKE: &str = "gce://project/us-central1-a/gke-train-h100-1";
const AKS: &str = "azure:///subscriptions/0/resourceGroups/MC_rg/providers/Microsoft.Compute/virtualMachineScaleSets/aks-h100/virtualMachines/0";

fn told(node: &Node) -> (Option<&str>, Option<&str>, Option<&str>, CapacityType, Option<u32>) {
    (
        node.instance_type.as_deref(),
        node.region_id.as_deref(),
        node.zone.as_deref(),
        node.capacity_type,
        node.gpus,
    )
}

#[test]
fn a_managed_node_of_eks_tells_its_machine_and_how_it_was_bought() {
    for (word, capacity_type) in [
        ("ON_DEMAND", CapacityType::OnDemand),
        ("SPOT", CapacityType::Spot),
        ("CAPACITY_BLOCK", CapacityType::Reserved),
        ("SOMETHING_NEW", CapacityType::Unknown),
    ] {
        let labels = [
            ("node.kubernetes.io/instance-type", "p5.48xlarge"),
            ("topology.kubernetes.io/region", "us-east-1"),
            ("topology.kubernetes.io/zone", "us-east-1a"),
            ("eks.amazonaws.com/capacityType", word),
            ("eks.amazonaws.com/nodegroup", "h100"),
        ];
        let node = of(&labels, EKS, &[("nvidia.com/gpu", "8"), ("vpc.amazonaws.com/efa", "32")]);
        assert_eq!(node.provider, Some(Provider::Aws));
        let wanted =
            (Some("p5.48xlarge"), Some("us-east-1"), Some("us-east-1a"), capacity_type, Some(8));
        assert_eq!(told(&node), wanted, "{word}");
    }
}

#[test]
fn a_node_of_karpenter_tells_how_it_was_bought() {
    for (word, capacity_type) in [
        ("on-demand", CapacityType::OnDemand),
        ("spot", CapacityType::Spot),
        ("reserved", CapacityType::Reserved),
    ] {
        let labels = [
            ("node.kubernetes.io/instance-type", "g6e.48xlarge"),
            ("karpenter.sh/capacity-type", word),
            ("karpenter.sh/nodepool", "gpu"),
            ("karpenter.k8s.aws/instance-gpu-count", "8"),
        ];
        let node = of(&labels, EKS, &[("nvidia.com/gpu", "8")]);
        assert_eq!((node.capacity_type, node.gpus), (capacity_type, Some(8)), "{word}");
    }
}

#[test]
fn a_node_of_gke_is_on_demand_unless_it_says_otherwise() {
    for (label, value, capacity_type) in [
        ("cloud.google.com/gke-nodepool", "h100", CapacityType::OnDemand),
        ("cloud.google.com/gke-provisioning", "standard", CapacityType::OnDemand),
        ("cloud.google.com/gke-provisioning", "spot", CapacityType::Spot),
        ("cloud.google.com/gke-provisioning", "preemptible", CapacityType::Spot),
        ("cloud.google.com/gke-spot", "true", CapacityType::Spot),
        ("cloud.google.com/gke-spot", "false", CapacityType::OnDemand),
        ("cloud.google.com/gke-preemptible", "true", CapacityType::Spot),
        ("cloud.google.com/reservation-name", "block-7", CapacityType::Reserved),
    ] {
        let labels = [
            ("cloud.google.com/gke-nodepool", "h100"),
            ("node.kubernetes.io/instance-type", "a3-highgpu-8g"),
            ("topology.kubernetes.io/region", "us-central1"),
            ("topology.kubernetes.io/zone", "us-central1-a"),
            ("cloud.google.com/gke-accelerator", "nvidia-h100-80gb"),
            (label, value),
        ];
        let node = of(&labels, GKE, &[("nvidia.com/gpu", "8")]);
        assert_eq!(node.provider, Some(Provider::Gcp));
        let wanted = (
            Some("a3-highgpu-8g"),
            Some("us-central1"),
            Some("us-central1-a"),
            capacity_type,
            Some(8),
        );
        assert_eq!(told(&node), wanted, "{label}={value}");
    }
    // Not of GKE: a kubeadm cluster on Google's machines says nothing of how they were bought.
    assert_eq!(of(&[], GKE, &[]).capacity_type, CapacityType::Unknown);
}

#[test]
fn a_node_of_aks_is_on_demand_unless_its_scale_set_is_spot() {
    for (value, capacity_type) in
        [("regular", CapacityType::OnDemand), ("spot", CapacityType::Spot)]
    {
        let labels = [
            ("kubernetes.azure.com/agentpool", "h100"),
            ("kubernetes.azure.com/scalesetpriority", value),
            ("node.kubernetes.io/instance-type", "Standard_ND96isr_H100_v5"),
            ("topology.kubernetes.io/region", "eastus"),
            ("topology.kubernetes.io/zone", "eastus-1"),
        ];
        let node = of(&labels, AKS, &[("nvidia.com/gpu", "8")]);
        assert_eq!(node.provider, Some(Provider::Azure));
        let wanted = (
            Some("Standard_ND96isr_H100_v5"),
            Some("eastus"),
            Some("eastus-1"),
            capacity_type,
            Some(8),
        );
        assert_eq!(told(&node), wanted, "{value}");
    }
}

#[test]
fn gpus_are_devices_however_they_are_cut_and_shared() {
    let product = |name| ("nvidia.com/gpu.product", name);
    let (single, mixed) =
        (("nvidia.com/mig.strategy", "single"), ("nvidia.com/mig.strategy", "mixed"));
    type Pairs<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(&str, Pairs<'_>, Pairs<'_>, Option<u32>)] = &[
        ("whole devices", &[], &[("nvidia.com/gpu", "4")], Some(4)),
        (
            "counted by feature discovery",
            &[("nvidia.com/gpu.count", "4")],
            &[("nvidia.com/gpu", "3")],
            Some(4),
        ),
        (
            "time-sliced by four",
            &[
                ("nvidia.com/gpu.replicas", "4"),
                ("nvidia.com/gpu.sharing-strategy", "time-slicing"),
            ],
            &[("nvidia.com/gpu", "32")],
            Some(8),
        ),
        (
            "time-sliced under another name",
            &[("nvidia.com/gpu.replicas", "2")],
            &[("nvidia.com/gpu", "0"), ("nvidia.com/gpu.shared", "8")],
            Some(4),
        ),
        (
            "slices as devices, counted",
            &[single, product("NVIDIA-A100-SXM4-40GB-MIG-1g.5gb"), ("nvidia.com/gpu.count", "56")],
            &[("nvidia.com/gpu", "56")],
            Some(8),
        ),
        (
            "three to a device",
            &[single, product("NVIDIA-H100-80GB-HBM3-MIG-2g.20gb")],
            &[("nvidia.com/gpu", "24")],
            Some(8),
        ),
        (
            "two to a device",
            &[single, product("NVIDIA-H100-80GB-HBM3-MIG-3g.40gb")],
            &[("nvidia.com/gpu", "2")],
            Some(1),
        ),
        (
            "slices beside whole devices",
            &[mixed],
            &[
                ("nvidia.com/gpu", "6"),
                ("nvidia.com/mig-1g.10gb", "7"),
                ("nvidia.com/mig-3g.40gb", "2"),
            ],
            Some(8),
        ),
        ("AMD", &[], &[("amd.com/gpu", "8")], Some(8)),
        ("none", &[], &[("cpu", "4"), ("nvidia.com/gpu", "0")], None),
        ("no driver yet", &[], &[("cpu", "192")], None),
        ("no number", &[], &[("nvidia.com/gpu", "many")], None),
    ];
    for (what, labels, capacity, wanted) in cases {
        assert_eq!(of(labels, "", capacity).gpus, *wanted, "{what}");
    }
}

#[test]
fn a_machine_type_s_gpus_are_known_while_one_is_lost_and_before_the_driver_is_there() {
    let labels = [("node.kubernetes.io/instance-type", "p5.48xlarge")];
    for capacity in [&[("nvidia.com/gpu", "7")][..], &[("nvidia.com/gpu", "0")], &[]] {
        assert_eq!(of(&labels, EKS, capacity).gpus, Some(8), "{capacity:?}");
    }
}

#[test]
fn a_node_of_no_cloud_is_in_the_configured_one() {
    let object = || serde_json::from_str(r#"{"metadata": {"name": "n"}, "spec": {}}"#).unwrap();
    assert_eq!(node(object(), "train", None).provider, None);
    assert_eq!(node(object(), "train", Some(Provider::Aws)).provider, Some(Provider::Aws));
    for (id, wanted) in
        [("kind://docker/kind/n", None), ("aws", None), (AKS, Some(Provider::Azure))]
    {
        assert_eq!(provider(id), wanted, "{id}");
    }
}

#[test]
fn old_labels_tell_where_new_ones_do_not() {
    let labels = [
        ("beta.kubernetes.io/instance-type", "p4d.24xlarge"),
        ("failure-domain.beta.kubernetes.io/region", "eu-west-1"),
        ("failure-domain.beta.kubernetes.io/zone", "eu-west-1b"),
        ("node.kubernetes.io/instance-type", ""),
    ];
    let node = of(&labels, EKS, &[]);
    assert_eq!(node.instance_type.as_deref(), Some("p4d.24xlarge"));
    assert_eq!(node.region_id.as_deref(), Some("eu-west-1"));
    assert_eq!(node.zone.as_deref(), Some("eu-west-1b"));
}

#[test]
fn an_object_without_anything_is_a_node_all_the_same() {
    let bare = r#"{"metadata": {"name": "n", "labels": null}, "status": {"capacity": null}}"#;
    let node = node(serde_json::from_str(bare).unwrap(), "train", None);
    assert_eq!(told(&node), (None, None, None, CapacityType::Unknown, None));
}
