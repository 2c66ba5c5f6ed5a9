//! The metrics page: its golden text, its promises about names, folding and unknown amounts, and
//! its two encodings.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use costband::domain::breakdown::Dimension;
use costband::export::metrics::{OTHER, Renderer};
use costband::telemetry::names;
use rust_decimal::Decimal;

use super::peers::{feed, golden, peer};
use super::series::{Sample, samples};
use super::world::{HOSTILE, LIMIT, Shown, decimal, self_metrics, snapshot};

fn rendered() -> String {
    Renderer::new(LIMIT).render(&snapshot())
}

fn of<'a>(all: &'a [Sample], name: &str, labels: &[(&str, &str)]) -> Vec<&'a Sample> {
    all.iter()
        .filter(|sample| sample.name == format!("costband_{name}"))
        .filter(|sample| {
            labels
                .iter()
                .all(|(label, value)| sample.labels.get(*label).is_some_and(|v| v == value))
        })
        .collect()
}

fn sum(samples: &[&Sample]) -> Decimal {
    samples.iter().map(|sample| decimal(&sample.value)).sum()
}

#[tokio::test]
async fn metrics_page_is_the_golden_one() {
    let text = rendered();
    golden("metrics.txt", &text);
    let shown = Shown::start().await;
    let answer = shown.get("/metrics", &[]).await;
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let body = answer.text().await.unwrap();
    assert!(body.starts_with(&text), "a scrape is the rendered page and what the agent adds");
}

#[test]
fn every_family_of_the_contract_is_told_once_and_no_other() {
    let whole = rendered() + &self_metrics().encode();
    let mut types: BTreeMap<&str, &str> = BTreeMap::new();
    for line in whole.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(types.insert(name, kind), None, "{name} stands in two places");
        }
    }
    let ours: BTreeMap<&str, &str> =
        names::ALL.iter().map(|family| (family.name, family.kind.as_str())).collect();
    let told: BTreeMap<&str, &str> = types
        .iter()
        .filter(|(name, _)| !name.starts_with("process_"))
        .map(|(name, kind)| (*name, *kind))
        .collect();
    let beside_gpus = [&names::GPU_INFO, &names::WORKLOAD_GPU_SECONDS_TOTAL];
    let mut all = told.clone();
    all.extend(beside_gpus.map(|family| (family.name, family.kind.as_str())));
    assert_eq!(all, ours);
    assert_eq!(told.len() + beside_gpus.len(), ours.len(), "a central agent tells another role's");
    for family in names::ALL.iter().filter(|family| !beside_gpus.contains(family)) {
        assert!(
            whole.contains(&format!("# HELP {} {}\n", family.name, family.help)),
            "the help of {}",
            family.name
        );
    }
    for sample in samples(&whole) {
        let plain = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| sample.name.strip_suffix(end).filter(|name| ours.contains_key(name)));
        let name = plain.unwrap_or(&sample.name);
        let Some(family) = names::ALL.iter().find(|family| family.name == name) else {
            assert!(name.starts_with("process_"), "{name}");
            continue;
        };
        let labels: BTreeSet<&str> =
            sample.labels.keys().map(String::as_str).filter(|label| *label != "le").collect();
        assert_eq!(labels, family.labels.iter().copied().collect(), "{name}");
    }
}

#[test]
fn folding_keeps_totals_and_counts_what_it_folded() {
    let text = rendered();
    let all = samples(&text);
    let aws = [("source", "aws-main"), ("period", "current")];
    for basis in ["billed", "effective"] {
        let total = sum(&of(&all, &format!("{basis}_cost"), &aws));
        for dimension in ["service", "sub_account", "region"] {
            let along = of(&all, &format!("{dimension}_{basis}_cost"), &aws);
            assert_eq!(sum(&along), total, "{dimension} {basis}");
            assert!(along.len() <= LIMIT + 1, "{dimension}: {} series", along.len());
        }
    }
    let other = of(&all, "service_effective_cost", &[("service_name", OTHER)]);
    assert_eq!(sum(&other), decimal("20.0000000001"));
    let folded = |dimension| {
        sum(&of(&all, "series_folded_total", &[("source", "aws-main"), ("dimension", dimension)]))
    };
    assert_eq!(folded("service_name"), Decimal::TWO);
    assert_eq!(folded("region_id"), Decimal::TWO);
    assert!(of(&all, "series_folded_total", &[("dimension", "sub_account_id")]).is_empty());
}

#[test]
fn a_workload_keeps_its_place_for_the_whole_period_and_folding_loses_nothing() {
    let with = |costs: &[(&str, &str)]| {
        let mut snapshot = snapshot();
        let periods = &mut Arc::make_mut(&mut snapshot.gpu).periods;
        let like = periods[0].workloads[0].clone();
        periods[0].workloads = costs
            .iter()
            .map(|(name, cost)| {
                let mut one = like.clone();
                (*name).clone_into(&mut one.of.name);
                (one.cost, one.idle_cost) = (decimal(cost), decimal("1"));
                one
            })
            .collect();
        snapshot
    };
    let mut renderer = Renderer::new(2);
    let told = |text: &str| {
        let all = samples(text);
        let folded = of(&all, "series_folded_total", &[("dimension", "workload")]);
        let costs: Vec<_> = of(&all, "workload_gpu_cost", &[])
            .into_iter()
            .map(|one| (one.labels["workload_name"].clone(), one.value.clone()))
            .collect();
        (costs, sum(&folded), sum(&of(&all, "workload_gpu_idle_cost", &[])))
    };
    let pairs = |costs: &[(&str, &str)]| {
        let pair = |(name, cost): &(&str, &str)| ((*name).to_owned(), (*cost).to_owned());
        costs.iter().map(pair).collect::<Vec<_>>()
    };
    let first = renderer.render(&with(&[("a", "9"), ("b", "5"), ("c", "2"), ("d", "1")]));
    let wanted = pairs(&[(OTHER, "3"), ("a", "9"), ("b", "5")]);
    assert_eq!(told(&first), (wanted, Decimal::TWO, decimal("4")));
    let later = renderer.render(&with(&[("a", "9"), ("b", "5"), ("c", "200"), ("d", "1")]));
    let wanted = pairs(&[(OTHER, "201"), ("a", "9"), ("b", "5")]);
    assert_eq!(told(&later), (wanted, Decimal::TWO, decimal("4")));
}

#[test]
fn a_value_keeps_its_place_for_the_whole_period() {
    let mut renderer = Renderer::new(LIMIT);
    renderer.render(&snapshot());
    let mut grown = snapshot();
    let spend = Arc::make_mut(&mut grown.spend);
    let by = spend[0].periods[0].by.get_mut(&Dimension::ServiceName).unwrap();
    for ((name, _), amounts) in by.iter_mut() {
        if name == "AWS Lambda" {
            amounts.effective = Some(decimal("99999"));
        }
    }
    let text = renderer.render(&grown);
    let all = samples(&text);
    assert!(of(&all, "service_effective_cost", &[("service_name", "AWS Lambda")]).is_empty());
    let other = of(&all, "service_effective_cost", &[("service_name", OTHER)]);
    assert_eq!(sum(&other), decimal("100019"));
    let folded = [("source", "aws-main"), ("dimension", "service_name")];
    assert_eq!(sum(&of(&all, "series_folded_total", &folded)), Decimal::TWO);
    assert_eq!(of(&all, "service_effective_cost", &[("service_name", HOSTILE)]).len(), 1);
}

#[test]
fn unknown_amounts_are_absent_and_never_zero() {
    let text = rendered();
    let all = samples(&text);
    let euro = [("source", "gcp-main"), ("currency", "EUR")];
    assert_eq!(of(&all, "billed_cost", &euro).len(), 1);
    assert!(of(&all, "effective_cost", &euro).is_empty());
    assert!(of(&all, "service_effective_cost", &euro).is_empty());
    assert!(of(&all, "excluded_cost", &euro).is_empty());
    let dark = [("band", HOSTILE)];
    assert!(of(&all, "band_spend", &dark).is_empty());
    assert!(of(&all, "band_ceiling_used_ratio", &dark).is_empty());
    assert_eq!(of(&all, "band_ceiling", &dark).len(), 1);
    let unknown = of(&all, "band_status", &[("band", HOSTILE), ("status", "unknown")]);
    assert_eq!(sum(&unknown), Decimal::from(3));
    for name in ["effective_cost_last_complete_day", "billing_data_through_timestamp_seconds"] {
        assert!(of(&all, name, &[("source", "gcp-main")]).is_empty(), "{name}");
    }
    let waiting = [("source", "azure-main")];
    assert!(of(&all, "source_up", &waiting).is_empty());
    assert!(of(&all, "source_last_success_timestamp_seconds", &waiting).is_empty());
    assert!(of(&all, "billed_cost", &waiting).is_empty());
    let cellar = [("provider", "none")];
    assert_eq!(of(&all, "gpus", &cellar).len(), 1);
    for name in ["gpu_utilization_ratio", "gpu_memory_used_bytes", "gpu_memory_total_bytes"] {
        assert!(of(&all, name, &cellar).is_empty(), "{name}");
    }
}

#[test]
fn a_month_without_paid_requests_costs_nothing_and_no_cap_is_no_series() {
    let mut snapshot = snapshot();
    let sources = Arc::make_mut(&mut snapshot.sources);
    sources[1].spent = Vec::new();
    sources[2].spent = vec!["0.5 EUR".parse().unwrap()];
    let text = Renderer::new(LIMIT).render(&snapshot);
    let all = samples(&text);
    let told = |name: &str, source: &str| -> Vec<(String, String)> {
        let of = of(&all, name, &[("source", source)]).into_iter();
        of.map(|one| (one.labels["currency"].clone(), one.value.clone())).collect()
    };
    let is = |currency: &str, amount: &str| vec![(currency.to_owned(), amount.to_owned())];
    assert_eq!(told("source_api_month_cost", "aws-main"), is("USD", "0.24"));
    assert_eq!(told("source_api_cost_cap", "aws-main"), is("USD", "30"));
    assert_eq!(told("source_api_month_cost", "gcp-main"), is("USD", "0"));
    assert_eq!(told("source_api_cost_cap", "gcp-main"), is("USD", "30"));
    assert_eq!(told("source_api_month_cost", "azure-main"), is("EUR", "0.5"));
    assert_eq!(told("source_api_cost_cap", "azure-main"), []);
}

#[test]
fn hostile_label_values_come_back_as_they_were() {
    let text = rendered();
    let all = samples(&text);
    for (name, label) in [
        ("service_billed_cost", "service_name"),
        ("sub_account_info", "sub_account_name"),
        ("band_floor", "band"),
    ] {
        assert_eq!(of(&all, name, &[(label, HOSTILE)]).len(), 1, "{name}");
    }
}

#[tokio::test]
async fn gzip_and_identity_are_the_same_page_in_one_member() {
    let shown = Shown::start().await;
    let plain = shown.text("/metrics").await;
    for encodings in ["gzip", "deflate, gzip;q=0.5", "zstd,GZIP"] {
        let answer = shown.get("/metrics", &[("accept-encoding", encodings)]).await;
        assert_eq!(answer.headers()["content-encoding"], "gzip", "{encodings}");
        assert_eq!(answer.headers()["vary"], "accept-encoding");
        let body = answer.bytes().await.unwrap();
        let mut member = flate2::bufread::GzDecoder::new(&body[..]);
        let mut text = String::new();
        member.read_to_string(&mut text).unwrap();
        assert!(member.into_inner().is_empty(), "the first member is not the whole answer");
        // The processor's time passes between two scrapes.
        let steady = |page: &str| -> Vec<String> {
            let lines = page.lines().filter(|line| !line.contains("process_"));
            lines.map(str::to_owned).collect()
        };
        assert_eq!(steady(&text), steady(&plain));
        let checked = feed(Path::new("gzip"), &["-t"], body.to_vec()).await;
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
    for encodings in ["identity", "gzip;q=0", "br"] {
        let answer = shown.get("/metrics", &[("accept-encoding", encodings)]).await;
        assert!(answer.headers().get("content-encoding").is_none(), "{encodings}");
    }
}

#[tokio::test]
async fn promtool_finds_nothing_to_say() {
    let Some(promtool) = peer("COSTBAND_PEERS_PROMTOOL") else { return };
    let shown = Shown::start().await;
    let page = shown.text("/metrics").await;
    let checked = feed(&promtool, &["check", "metrics"], page.into_bytes()).await;
    let said = String::from_utf8_lossy(&checked.stderr).into_owned()
        + &String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}");
    assert_eq!(said, "");
    let wrong = b"# TYPE costbandUp counter\ncostbandUp 1\n".to_vec();
    let refused = feed(&promtool, &["check", "metrics"], wrong).await;
    assert!(!refused.status.success(), "promtool takes anything");
}
