//! The page of a simulated dcgm-exporter.

/// A node with eight GPUs and the pods that hold each; an empty name is nobody. The page calls the
/// node by its exporter's pod, as it does where nobody tells it better.
pub fn page(node: u32, holders: impl Fn(usize) -> Vec<String>) -> String {
    let mut page = String::new();
    for (name, value) in [
        ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "0.900000"),
        ("DCGM_FI_DEV_FB_USED", "70000"),
        ("DCGM_FI_DEV_FB_FREE", "11559"),
    ] {
        page.push_str(&format!("# HELP {name} Test.\n# TYPE {name} gauge\n"));
        for gpu in 0..8 {
            for pod in holders(gpu) {
                page.push_str(&format!(
                    "{name}{{gpu=\"{gpu}\",UUID=\"GPU-{node}-{gpu}\",device=\"nvidia{gpu}\",\
                     modelName=\"NVIDIA H100 80GB HBM3\",Hostname=\"nvidia-dcgm-exporter-x{node}\",\
                     container=\"main\",namespace=\"ml\",pod=\"{pod}\"}} {value}\n"
                ));
            }
        }
    }
    page
}
