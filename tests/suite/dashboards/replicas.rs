//! What boards make of replicas, of restarts and of a month's turn, by promtool's own Prometheus over
//! series of known values.

use std::process::Command;

use serde_json::{Value, json};

use super::boards::{Filling, asked, board};
use crate::faces::peers::{output, peer};

const FILLING: Filling = Filling { since: "1d", rate_interval: "1h", interval: "1h", range: "1d" };

/// The only question of a panel that has a text in it, filled.
fn question(name: &str, panel: &str, part: &str) -> String {
    let board = board("en", name);
    let place = format!("{name}: {panel}");
    let found = asked(name, &board).into_iter().filter(|one| one.place == place);
    let mut found: Vec<String> =
        found.map(|one| one.expression).filter(|expression| expression.contains(part)).collect();
    // The same question may be drawn twice.
    found.dedup();
    assert_eq!(found.len(), 1, "{place}: {found:?}");
    FILLING.fill(&board, &found[0]).remove(0)
}

fn series(of: &[(&str, &str)]) -> Vec<Value> {
    of.iter().map(|(series, values)| json!({ "series": series, "values": values })).collect()
}

/// Wants values of a question at an instant over series.
async fn hold(
    interval: &str,
    input: &[(&str, &str)],
    at: &str,
    question: &str,
    want: &[(&str, f64)],
) {
    let Some(promtool) = peer("COSTBAND_PEERS_PROMTOOL") else { return };
    let want: Vec<Value> =
        want.iter().map(|(labels, value)| json!({ "labels": labels, "value": value })).collect();
    // What increases within a stretch is extrapolated to its ends.
    let expression = format!("round({question}, 0.01)");
    let test = json!({
        "evaluation_interval": "1h",
        "tests": [{
            "interval": interval,
            "input_series": series(input),
            "promql_expr_test": [{ "expr": expression, "eval_time": at, "exp_samples": want }],
        }],
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("test.yaml");
    std::fs::write(&file, test.to_string()).unwrap();
    let mut command = Command::new(promtool);
    command.args(["test", "rules"]).arg(file);
    let told = output(command).await;
    let said = [told.stdout, told.stderr].concat();
    assert!(told.status.success(), "{question}\n{}", String::from_utf8_lossy(&said));
}

#[tokio::test]
async fn what_a_pod_that_is_gone_told_is_not_the_newest() {
    let input = [
        (
            r#"costband_band_ceiling{job="c",instance="a",band="all",currency="USD",period="current"}"#,
            "95000x287 stale",
        ),
        (
            r#"costband_band_ceiling{job="c",instance="b",band="all",currency="USD",period="current"}"#,
            "_x288 3000x287",
        ),
        // A band that nobody tells of any more was told of last by the one that is gone.
        (
            r#"costband_band_ceiling{job="c",instance="a",band="old",currency="USD",period="current"}"#,
            "70x287 stale",
        ),
    ];
    let ceiling = question("bands", "How the forecast has moved", "band_ceiling");
    let (now, old) = (r#"{band="all",currency="USD"}"#, r#"{band="old",currency="USD"}"#);
    hold("5m", &input, "47h", &ceiling, &[(now, 3000.0), (old, 70.0)]).await;
}

#[tokio::test]
async fn replicas_are_one_and_node_agents_add_up() {
    let fleet = r#"provider="aws",cluster="a",model="H100",capacity_type="on_demand""#;
    let money = r#"provider="aws",currency="USD",period="current",state="held_idle""#;
    let workload = r#"workload_namespace="ml",workload_name="w",currency="USD",period="current""#;
    let mut input = Vec::new();
    for (job, instance) in [("c", "a"), ("c", "b"), ("n", "node-1"), ("n", "node-2")] {
        let of = format!(r#"job="{job}",instance="{instance}""#);
        if job == "c" {
            input.push((format!(r#"costband_alerts{{{of},alert="x",state="firing"}}"#), "0x9"));
        }
        input.push((format!("costband_gpus{{{of},{fleet}}}"), "8x9"));
        let utilization = if job == "c" { "0.25x9" } else { "0.75x9" };
        input.push((format!("costband_gpu_utilization_ratio{{{of},{fleet}}}"), utilization));
        input.push((format!("costband_gpu_cost{{{of},{money}}}"), "100x9"));
        input.push((format!("costband_workload_gpu_idle_cost{{{of},{workload}}}"), "5x9"));
    }
    let input: Vec<(&str, &str)> =
        input.iter().map(|(of, values)| (of.as_str(), *values)).collect();
    let gpus = question("gpu", "GPUs", "costband_gpus");
    hold("1m", &input, "5m", &gpus, &[("{}", 24.0)]).await;
    let utilization = question("gpu", "Mean utilization", "costband_gpus");
    // Eight at a quarter, sixteen at three quarters.
    hold("1m", &input, "5m", &utilization, &[("{}", 0.58)]).await;
    let idle = question("gpu", "Idle money of the period", "gpu_cost");
    hold("1m", &input, "5m", &idle, &[(r#"{currency="USD"}"#, 300.0)]).await;
    let held = question("gpu", "Workloads, and what they held idle", "workload_gpu_idle_cost");
    let w = r#"{workload_namespace="ml",workload_name="w",currency="USD"}"#;
    hold("1m", &input, "5m", &held, &[(w, 15.0)]).await;
}

#[tokio::test]
async fn gpu_time_of_replicas_that_follow_each_other_is_counted_once() {
    let of = r#"job="c",provider="aws",cluster="a",model="H100",capacity_type="spot",state="busy""#;
    let [a, b] =
        ["a", "b"].map(|one| format!(r#"costband_gpu_seconds_total{{instance="{one}",{of}}}"#));
    // One GPU; the counter goes on in the ledger that both share.
    let input = [(a.as_str(), "0+300x143 stale"), (b.as_str(), "_x144 43200+300x168")];
    let hours = question("gpu", "GPU time by state", "gpu_seconds_total");
    hold("5m", &input, "25h", &hours, &[(r#"{state="busy"}"#, 24.0)]).await;
}

#[tokio::test]
async fn a_refund_is_no_months_turn() {
    let change = question("bands", "Bands: change of what was added", "band_spend");
    let band = r#"job="c",instance="a",band="all",currency="USD""#;
    let current = format!(r#"costband_band_spend{{{band},period="current"}}"#);
    let previous = format!(r#"costband_band_spend{{{band},period="previous"}}"#);
    let start = |source: &str| {
        format!(
            r#"costband_billing_period_start_timestamp_seconds{{job="c",instance="a",source="{source}",period="current"}}"#
        )
    };
    let (aws, gcp) = (start("aws"), start("gcp"));
    let want = r#"{band="all",currency="USD"}"#;
    // Ten an hour, and 300 given back within the newest day.
    let input = [
        (aws.as_str(), "100000x96"),
        (gcp.as_str(), "128800x96"),
        (&current, "0+10x79 500+10x16"),
        (&previous, "9000x96"),
    ];
    hold("1h", &input, "96h", &change, &[(want, -300.0)]).await;
    // Ten an hour over the turn of the month.
    let input = [
        (aws.as_str(), "100000x79 400000x16"),
        (gcp.as_str(), "128800x86 428800x9"),
        (&current, "0+10x79 0+10x16"),
        (&previous, "9000x79 800x16"),
    ];
    hold("1h", &input, "96h", &change, &[(want, 0.0)]).await;
    // While one source's month has turned and another one's has not.
    hold("1h", &input, "84h", &change, &[(want, 0.0)]).await;
}

#[tokio::test]
async fn work_of_fleets_without_a_price_makes_no_other_work_cheap() {
    let fleet = |capacity: &str| {
        format!(
            r#"job="c",instance="a",provider="aws",cluster="a",model="H100",capacity_type="{capacity}""#
        )
    };
    let seconds = |capacity: &str, state: &str| {
        format!(r#"costband_gpu_seconds_total{{{},state="{state}"}}"#, fleet(capacity))
    };
    let priced =
        format!(r#"{},region_id="r",instance_type="p5",price_source="list""#, fleet("on_demand"));
    let input = [
        (seconds("on_demand", "busy"), "0+600x312"),
        (seconds("on_demand", "held_idle"), "0+600x312"),
        (seconds("spot", "busy"), "0+600x312"),
        (format!(r#"costband_gpu_hour_price{{{priced},currency="USD"}}"#), "2x312"),
        (format!("costband_gpu_hour_price_selected{{{priced}}}"), "1x312"),
    ];
    let input: Vec<(&str, &str)> =
        input.iter().map(|(of, values)| (of.as_str(), *values)).collect();
    let price = question("gpu", "Effective price of a busy GPU-hour", "gpu_hour_price");
    let want = r#"{provider="aws",model="H100",currency="USD"}"#;
    hold("5m", &input, "26h", &price, &[(want, 4.0)]).await;
}

#[tokio::test]
async fn polls_are_those_of_the_stretch() {
    let of = r#"job="c",instance="a",source="aws""#;
    let [success, failed] = ["success", "auth"]
        .map(|outcome| format!(r#"costband_source_polls_total{{{of},outcome="{outcome}"}}"#));
    let up = format!("costband_source_up{{{of}}}");
    let [sum, count] = ["sum", "count"]
        .map(|part| format!("costband_source_poll_duration_seconds_{part}{{{of}}}"));
    let [fast, slow] = ["1", "+Inf"]
        .map(|le| format!(r#"costband_source_poll_duration_seconds_bucket{{{of},le="{le}"}}"#));
    // Before the stretch polls failed and were slow.
    let input = [
        (success.as_str(), "500+1x30"),
        (&failed, "40x30"),
        (&up, "1x30"),
        (&sum, "90000+0.5x30"),
        (&count, "540+1x30"),
        (&fast, "10+1x30"),
        (&slow, "540+1x30"),
    ];
    let aws = r#"{source="aws"}"#;
    let polls = [
        ("Sources", "source_polls_total{job=~\"$job\", source=~\"$source\"}", 24.0),
        ("Sources", "outcome!=\"success\"", 0.0),
        ("Sources", "duration_seconds_sum", 0.5),
        ("Nine of ten polls took less than", "bucket", 0.9),
    ];
    for (panel, part, want) in polls {
        hold("1h", &input, "26h", &question("agent", panel, part), &[(aws, want)]).await;
    }
}
