//! Any bytes as a page of GPU telemetry, whole and in pieces.
#![no_main]

#[path = "../../tests/suite/gpu_pages/property.rs"]
#[allow(dead_code)]
mod property;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|page: &[u8]| {
    // The page's own first bytes say how it is cut, so that a fixture is a seed as it stands.
    let _ = property::check(page, page.get(..8).unwrap_or(&[1]));
});
