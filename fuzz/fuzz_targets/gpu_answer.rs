//! Any bytes as a Prometheus' answer.
#![no_main]

#[path = "../../tests/suite/gpu_pages/property.rs"]
#[allow(dead_code)]
mod property;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let _ = property::check_answer(body);
});
