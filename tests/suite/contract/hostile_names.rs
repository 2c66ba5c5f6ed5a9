//! Names that a provider's users wrote, on the way to a person's terminal.

use std::os::unix::fs::PermissionsExt;

use costband::domain::identity::Provider;
use jiff::ToSpan;
use jiff::civil::date;
use serde_json::json;
use unicode_width::UnicodeWidthStr;

use super::harness::{Bench, Options, WrittenWorld, charge, decimal};
use super::program::command;
use crate::clock::SetClock;

#[tokio::test(flavor = "multi_thread")]
async fn a_name_neither_steers_the_terminal_nor_breaks_its_lines() {
    let clock = SetClock::at("2026-11-11T12:30:00Z");
    let wide = format!("{} wide", "한".repeat(300));
    let names = [
        &wide,
        "two\r\nlines\u{2028}more | column",
        "turned \u{202e}live\u{2066} \u{200f}",
        "red \u{1b}[31m\u{1b}]0;title\u{7} \u{9b}2J",
    ];
    let mut charges = Vec::new();
    for day in date(2026, 9, 1).series(1.day()).take_while(|day| *day <= date(2026, 11, 9)) {
        for (place, name) in (1_i64..).zip(names) {
            // The last week is dearer, so that names stand among what moved too.
            let times = if day >= date(2026, 11, 3) { 3 } else { 1 };
            let amount = decimal(&(place * 10 * times).to_string());
            charges.push(charge(
                Provider::Gcp,
                day,
                ["training", name, "us-central1"],
                amount,
                amount,
            ));
        }
    }
    let world = WrittenWorld::new(clock.clone(), charges);
    let bands = json!([{"preset": "gcp"}]);
    let bench =
        Bench::start(&[Provider::Gcp], world, clock, Options::default(), bands.clone()).await;
    for _ in 0..2 {
        bench.poll_well(Provider::Gcp).await;
        bench.advance(7);
    }
    let path = bench.folder.path().join("costband.yaml");
    let text = bench.clouds.configuration(&[Provider::Gcp], bench.folder.path(), bands).to_string();
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    for (format, locale) in
        [("chart", "C.UTF-8"), ("chart", "C"), ("table", "C.UTF-8"), ("markdown", "C.UTF-8")]
    {
        let mut report = command();
        report.args(["report", "--as-of", "2026-11-11", "--format", format, "-c"]).arg(&path);
        report.env_remove("LC_ALL").env_remove("LC_CTYPE").env_remove("COLUMNS");
        let ended = tokio::task::spawn_blocking(move || report.env("LANG", locale).output());
        let ended = ended.await.unwrap().unwrap();
        let out = String::from_utf8(ended.stdout).unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        for shown in ["red ?", "turned ?live?", "two??lines?more"] {
            assert!(out.contains(shown), "`{shown}` is not in {out}");
        }
        for line in out.lines() {
            let steers = |letter: char| {
                letter.is_control()
                    || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            };
            assert!(!line.contains(steers), "{format}: {line:?}");
            assert!(format != "chart" || line.width() <= 80, "{format} {locale}: {line}");
        }
    }
}
