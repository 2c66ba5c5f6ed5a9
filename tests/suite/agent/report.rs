//! `costband report` as the built program, against a ledger that polls filled.

use std::path::Path;
use std::sync::Arc;

use costband::domain::identity::Provider;
use costband::domain::period::BillingPeriod;
use costband::domain::ports::Clock;
use costband::runtime::clock::SystemClock;
use jiff::SignedDuration;
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::house::House;
use crate::clock::SetClock;
use crate::faces::peers::{costband, golden, output, peer, script};

/// Exit code, stdout, stderr.
async fn report(config: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = costband();
    command.args(["report", "-c"]).arg(config).args(arguments);
    let output = output(command).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn report_is_the_golden_one_and_its_exit_code_follows_fail_on() {
    let clock = SetClock::at("2025-10-16T04:00:00Z");
    let mut house = House::at(clock.clone()).await;
    let path = house.configure(
        "bands:\n  - {preset: aws, owner: platform@example.com}\n  - preset: gcp\n  - preset: azure\n  \
         - {name: all, floor: 100000, ceiling: 250000.50}\n",
    );
    house.poll().await;
    clock.advance(SignedDuration::from_hours(8));
    house.poll().await;

    let as_of = ["--as-of", "2025-10-16"];
    for (format, file) in [
        ("table", "report.txt"),
        ("json", "report.json"),
        ("csv", "report.csv"),
        ("markdown", "report.md"),
    ] {
        let (code, out, err) = report(&path, &[&as_of[..], &["--format", format]].concat()).await;
        assert_eq!((code, err.as_str()), (0, ""), "{format}");
        golden(file, &out);
    }

    for (arguments, wanted, words) in [
        (["--as-of", "2025-10-16", "--fail-on", "above"], 0, ""),
        (["--as-of", "2025-09-30", "--fail-on", "above"], 2, "costband: above: aws\n"),
        (["--as-of", "2025-10-16", "--fail-on", "below"], 2, "costband: below: azure\n"),
        (
            ["--as-of", "2025-10-16", "--fail-on", "forecast-above"],
            2,
            "costband: forecast-above: aws\n",
        ),
    ] {
        let (code, out, err) = report(&path, &arguments).await;
        assert_eq!((code, err.as_str()), (wanted, words), "{arguments:?}\n{out}");
        assert!(out.starts_with("as of "), "the report is printed all the same");
    }
    let (code, _, err) = report(&path, &["--fail-on", "sideways"]).await;
    assert_eq!(code, 64);
    assert!(err.contains("forecast-above"), "{err}");
}

/// As wide as a terminal shows it, colours left out.
fn columns(line: &str) -> usize {
    regex_lite::Regex::new("\u{1b}\\[[0-9]+m").unwrap().replace_all(line, "").width()
}

/// The chart as it comes out of a pipe.
async fn chart(config: &Path, variables: &[(&str, &str)]) -> String {
    let mut command = costband();
    command.args(["report", "--as-of", "2025-10-16", "--format", "chart", "-c"]).arg(config);
    for name in ["LC_ALL", "LC_CTYPE", "COLUMNS", "NO_COLOR"] {
        command.env_remove(name);
    }
    command.env("LANG", "C.UTF-8").envs(variables.iter().copied());
    String::from_utf8(output(command).await.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_is_the_golden_one_and_fits_its_terminal() {
    let clock = SetClock::at("2025-10-16T04:00:00Z");
    let mut house = House::at(clock.clone()).await;
    let path = house.configure("bands: [{preset: aws}, {preset: azure}]\n");
    house.poll().await;
    clock.advance(SignedDuration::from_hours(8));
    house.poll().await;
    golden("report.chart.txt", &chart(&path, &[]).await);
    for (wide, variables) in [
        (80, vec![]),
        (40, vec![("COLUMNS", "40")]),
        (132, vec![("COLUMNS", "132"), ("LANG", "C")]),
    ] {
        let drawn = chart(&path, &variables).await;
        assert!(drawn.lines().count() > 40, "{drawn}");
        for line in drawn.lines() {
            assert!(columns(line) <= wide, "{wide} columns: {line}");
        }
        assert!(!variables.contains(&("LANG", "C")) || drawn.is_ascii(), "{drawn}");
        assert!(!drawn.contains('\u{1b}'), "no terminal, no colours");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_gets_the_chart_in_its_language_and_colours_where_they_are_wanted() {
    let Some(python) = peer("COSTBAND_PEERS_PYTHON") else { return };
    let clock = SetClock::at("2025-10-16T04:00:00Z");
    let mut house = House::at(clock.clone()).await;
    let path = house.configure("bands: [{preset: aws}]\nlanguage: ko\n");
    house.poll().await;
    let path = path.display().to_string();
    let program = env!("CARGO_BIN_EXE_costband");
    let on_terminal = async |columns: &str, variables: &[&str]| {
        let mut arguments = vec![columns];
        arguments.extend(variables);
        arguments.extend(["--", program, "report", "--as-of", "2025-10-16", "-c", &path]);
        script(&python, "terminal.py", &arguments).await
    };
    let coloured = on_terminal("66", &["LANG=ko_KR.UTF-8"]).await;
    let widest = coloured.lines().map(columns).max();
    assert!(
        widest > Some(60) && widest <= Some(66),
        "as wide as the terminal is: {widest:?} {coloured}"
    );
    for words in ["현재까지 청구", "월말 예상", "\u{1b}[1maws  2025-10", "일별"] {
        assert!(coloured.contains(words), "{words}: {coloured}");
    }
    let plain = on_terminal("66", &["LANG=ko_KR.UTF-8", "NO_COLOR=1"]).await;
    assert!(plain.contains("월말 예상") && !plain.contains('\u{1b}'), "{plain}");
    let without = regex_lite::Regex::new("\u{1b}\\[[0-9]+m").unwrap();
    assert_eq!(without.replace_all(&coloured, ""), plain, "a colour says nothing of its own");
    let ascii = on_terminal("66", &["LANG=C", "TERM=dumb"]).await;
    assert!(ascii.is_ascii() && ascii.contains("Month end"), "{ascii}");
}

#[tokio::test(flavor = "multi_thread")]
async fn report_without_a_ledger_says_what_to_do() {
    let house = House::at(SetClock::at("2025-10-16T04:00:00Z")).await;
    let (code, out, err) = report(&house.folder.path().join("costband.yaml"), &[]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    for words in ["costband.db", "costband run", "--refresh"] {
        assert!(err.contains(words), "`{words}` is not in: {err}");
    }
    let (code, _, err) = report(Path::new("/nowhere/costband.yaml"), &[]).await;
    assert_eq!(code, 64);
    assert!(err.contains("/nowhere/costband.yaml"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refreshed_report_tells_the_bill_of_this_hour() {
    let house = House::at(Arc::new(SystemClock)).await;
    let path = house.folder.path().join("costband.yaml");
    // What is published changes on whole hours: a run that one of them parts is done again.
    for _ in 0..2 {
        let truth = |provider: Provider| {
            let now = SystemClock.now();
            let period = BillingPeriod::at(now, provider.billing_zone());
            house.world.scenario.truth(provider, period, now).spend_effective
        };
        let before = Provider::ALL.map(truth);
        let (code, out, err) = report(&path, &["--refresh", "--format", "json"]).await;
        assert_eq!(code, 0, "{err}");
        for source in ["aws-main", "gcp-main", "azure-main"] {
            assert!(err.contains(&format!("{source}: read\n")), "{err}");
        }
        if before != Provider::ALL.map(truth) {
            continue;
        }
        let told: Value = serde_json::from_str(&out).unwrap();
        for (provider, truth) in Provider::ALL.into_iter().zip(before) {
            let mut bands = told["bands"].as_array().unwrap().iter();
            let band = bands
                .find(|band| band["band"] == provider.as_str() && band["period_label"] == "current")
                .unwrap();
            assert_eq!(band["spend"], truth.normalize().to_string(), "{provider}");
        }
        return;
    }
    panic!("an hour ended twice within two runs");
}
