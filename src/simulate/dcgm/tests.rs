#![allow(clippy::unwrap_used)]

use jiff::{SignedDuration, Timestamp};

use super::page::NOT_SUPPORTED;
use super::*;
use crate::domain::ports::Clock;
use crate::simulate::scenario::ScenarioOptions;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        "2026-11-16T10:00:00Z".parse().unwrap()
    }
}

fn world(gpu_scale: u32) -> Scenario {
    Scenario::with_options(
        ScenarioOptions { gpu_scale, ..ScenarioOptions::default() },
        Arc::new(Fixed),
    )
}

/// The page of a cluster in mid-month; of one that a page with a wanted line is found for, within
/// two days.
fn text(provider: Provider, is_wanted: impl Fn(&str) -> bool) -> String {
    let world = world(4);
    (0..192)
        .map(|quarter| Fixed.now() + SignedDuration::from_mins(15 * quarter))
        .map(|at| page(&world.fleet(provider, at)))
        .find(|page| page.lines().any(&is_wanted))
        .expect("it happens within two days")
}

fn names(line: &str) -> Vec<&str> {
    let labels = line.split_once('{').unwrap().1.split_once('}').unwrap().0;
    labels.split("\",").filter_map(|part| part.split('=').next()).collect()
}

const DEVICE: [&str; 7] =
    ["gpu", "UUID", "pci_bus_id", "device", "modelName", "Hostname", "DCGM_FI_DRIVER_VERSION"];

#[test]
fn page_holds_the_real_line_shape() {
    let is_held = |line: &str| {
        line.starts_with("DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu=\"0\"") && line.contains("pod=")
    };
    let text = text(Provider::Aws, is_held);
    let line = text.lines().find(|line| is_held(line)).unwrap();
    assert_eq!(names(line), [&DEVICE[..], &["container", "namespace", "pod"]].concat());
    assert!(text.contains("# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION counter\n"));
    assert!(!text.contains("FB_TOTAL"), "the default counters hold no total");
    assert!(text.contains(&NOT_SUPPORTED.to_string()));
}

#[test]
fn xid_errors_bring_their_words_among_the_pods_labels() {
    let is_error = |line: &str| {
        line.starts_with("DCGM_FI_DEV_XID_ERRORS{")
            && line.contains("pod=")
            && !line.ends_with(" 0")
    };
    let text = text(Provider::Aws, is_error);
    let line = text.lines().find(|line| is_error(line)).unwrap();
    let holder = ["container", "err_code", "err_msg", "namespace", "pod"];
    assert_eq!(names(line), [&DEVICE[..], &holder].concat());
    let code = line.rsplit(' ').next().unwrap();
    assert!(line.contains(&format!("err_code=\"{code}\",err_msg=\"")), "{line}");
    assert!(!line.contains("Unknown Error"), "{line}");
    let quiet = text.lines().find(|line| line.ends_with("err_msg=\"No Error\"} 0"));
    assert!(quiet.is_some_and(|line| line.contains("err_code=\"0\"")));
}

#[test]
fn split_device_tells_slices_without_utilisation() {
    let is_slice = |line: &str| line.contains("GPU_I_ID");
    let text = text(Provider::Gcp, is_slice);
    let of =
        |name: &str| text.lines().filter(|line| line.starts_with(name) && is_slice(line)).count();
    let slices = of("DCGM_FI_PROF_GR_ENGINE_ACTIVE{");
    assert!(slices >= 3 && slices.is_multiple_of(3), "{slices}");
    assert_eq!(of("DCGM_FI_DEV_FB_USED{"), slices / 3 * 2);
    assert_eq!(of("DCGM_FI_DEV_GPU_UTIL{"), 0);
    let line = text.lines().find(|line| is_slice(line)).unwrap();
    let sliced = [&DEVICE[..5], &["GPU_I_PROFILE", "GPU_I_ID"], &DEVICE[5..]].concat();
    assert_eq!(names(line)[..9], sliced);
}

#[test]
fn shared_device_has_a_series_of_its_own_and_one_for_each_pod() {
    let is_busy = |line: &str| {
        let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap_or(0.0);
        line.starts_with("DCGM_FI_DEV_GPU_UTIL{") && line.contains("vgpu=\"1\"") && value > 40.0
    };
    let text = text(Provider::Aws, is_busy);
    let line = text.lines().find(|line| is_busy(line)).unwrap();
    assert_eq!(names(line)[7..], ["container", "namespace", "pod", "vgpu"]);
    let uuid = line.split("UUID=\"").nth(1).unwrap().split('"').next().unwrap();
    let of = |name: &str| -> Vec<(bool, u64)> {
        text.lines()
            .filter(|line| line.starts_with(name) && line.contains(uuid))
            .map(|line| (line.contains("vgpu="), line.rsplit(' ').next().unwrap().parse().unwrap()))
            .collect()
    };
    let sum = |series: &[(bool, u64)], of_pods: bool| -> u64 {
        series.iter().filter(|one| one.0 == of_pods).map(|one| one.1).sum()
    };
    let utilisation = of("DCGM_FI_DEV_GPU_UTIL{");
    assert!((3..=4).contains(&utilisation.len()), "{utilisation:?}");
    assert!(sum(&utilisation, true) > sum(&utilisation, false), "{utilisation:?}");
    let memory = of("DCGM_FI_DEV_FB_USED{");
    assert!(sum(&memory, true) <= sum(&memory, false), "{memory:?}");
    let engines = text
        .lines()
        .filter(|line| line.starts_with("DCGM_FI_PROF_GR_ENGINE_ACTIVE{") && line.contains(uuid));
    assert_eq!(engines.count(), 1);
}

#[test]
fn device_memory_adds_up_to_the_model() {
    let text = text(Provider::Gcp, |line| line.contains("H100"));
    let of = |name: &str| -> u64 {
        let line =
            text.lines().find(|line| line.starts_with(name) && line.contains("H100")).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let parts = ["FREE", "USED", "RESERVED"].map(|part| of(&format!("DCGM_FI_DEV_FB_{part}{{")));
    assert_eq!(parts.iter().sum::<u64>(), 81_559);
}
