//! Every expression of every board, asked of a real Prometheus that holds days of a demo.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use costband::app::demo::mid_month;
use costband::domain::period::{BillingPeriod, BillingZone};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::boards::{Asked, BOARDS, Filling, asked, board, list, shown, text};
use super::recording::{Run, record};
use crate::faces::peers::{Running, free_port, output, peer, until};

/// What is rightly empty in a demo, and why.
pub(crate) const EMPTY: [(&str, &str); 7] = [
    ("spend: Values without a series of their own", "the demo has fewer values than the limit"),
    ("gpu: GPU-hours of sidecars' own pods", "only sidecars tell it"),
    ("gpu: GPUs of node agents and sidecars", "only they tell it"),
    ("agent: Ledger errors", "the ledger refuses nothing"),
    ("agent: Notifications", "the demo has no receiver"),
    ("agent: Notifications of the stretch that failed or were dropped", "the demo has no receiver"),
    ("agent: Nodes heard of", "the demo asks no Kubernetes"),
];

/// As a data source with a scrape interval of one hour would fill them.
const FILLING: Filling = Filling { since: "1d", rate_interval: "4h", interval: "1h", range: "2d" };
const STEP: i64 = 3600;

struct Prometheus {
    url: String,
    _process: Running,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Over a recording, whose samples are an hour apart.
    async fn over(program: &Path, promtool: &Path, recording: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [config, data, recorded] =
            ["prometheus.yml", "data", "recorded.om"].map(|name| folder.path().join(name));
        std::fs::write(&config, "global: {}\n").unwrap();
        std::fs::write(&recorded, recording).unwrap();
        let mut blocks = Command::new(promtool);
        blocks.args(["tsdb", "create-blocks-from", "openmetrics"]).args([&recorded, &data]);
        let made = output(blocks).await;
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let process = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .args(["--storage.tsdb.retention.time=100y", "--query.lookback-delta=3599s"])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("http://127.0.0.1:{port}/api/v1");
        let prometheus = Self { url, _process: Running(process), _folder: folder };
        until("Prometheus", async || {
            let asked = reqwest::get(format!("{}/query?query=1", prometheus.url)).await.ok()?;
            asked.status().is_success().then_some(())
        })
        .await;
        prometheus
    }

    async fn ask(&self, path: &str, form: &[(&str, String)]) -> Value {
        let client = reqwest::Client::new();
        let answer = client.post(format!("{}/{path}", self.url)).form(form).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["status"], "success", "{form:?}: {answer}");
        answer["data"].clone()
    }

    /// Series, as a panel asks for them.
    async fn series(&self, expression: &str, at: At) -> Vec<Value> {
        let query = ("query", expression.to_owned());
        let data = match at {
            At::Instant(now) => self.ask("query", &[query, ("time", now.to_string())]).await,
            At::Stretch(from, until) => {
                let stretch = [("start", from), ("end", until), ("step", STEP)];
                let stretch = stretch.map(|(name, at)| (name, at.to_string()));
                self.ask("query_range", &[vec![query], stretch.to_vec()].concat()).await
            }
        };
        list(&data, "result").to_vec()
    }
}

#[derive(Clone, Copy)]
enum At {
    Instant(i64),
    Stretch(i64, i64),
}

/// The last days of the month so far, with its demo's own clock.
fn days(days: i64) -> Run {
    let until = mid_month(Timestamp::now());
    Run {
        from: until.saturating_sub(SignedDuration::from_hours(24 * days)).unwrap(),
        until,
        poll_every: SignedDuration::from_hours(12),
        page_every: SignedDuration::from_secs(STEP),
        gpu_every: SignedDuration::from_secs(150),
    }
}

/// The whole month, whose last instant no provider's zone takes past its end.
fn month(now: i64) -> At {
    let zone = BillingZone::Utc;
    let month = BillingPeriod::at(Timestamp::from_second(now).unwrap(), zone);
    let from = zone.start_of(month.first_day()).as_second();
    At::Stretch(from, month.end(zone).as_second() - STEP)
}

fn names(series: &Value) -> BTreeSet<&str> {
    series["metric"].as_object().unwrap().keys().map(String::as_str).collect()
}

fn samples(series: &Value) -> Vec<f64> {
    let pairs =
        series["values"].as_array().cloned().unwrap_or_else(|| vec![series["value"].clone()]);
    pairs.iter().map(|pair| text_of(&pair[1])).collect()
}

fn text_of(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_expression_returns_what_its_panel_shows() {
    let (Some(program), Some(promtool)) =
        (peer("COSTBAND_PEERS_PROMETHEUS"), peer("COSTBAND_PEERS_PROMTOOL"))
    else {
        return;
    };
    let run = days(4);
    let now = run.until.as_second();
    let prometheus = Prometheus::over(&program, &promtool, record(&run).await).await;
    let mut problems = Vec::new();
    let mut found_empty = BTreeSet::new();
    for name in BOARDS {
        let board = board("en", name);
        let is_month = text(&board["time"], "to") == "now/M";
        let stretch = if is_month { month(now) } else { At::Stretch(run.from.as_second(), now) };
        let mut told: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for one in asked(name, &board) {
            let at = if one.instant { At::Instant(now) } else { stretch };
            for expression in FILLING.fill(&board, &one.expression) {
                let series = prometheus.series(&expression, at).await;
                if series.is_empty() {
                    found_empty.insert(one.place.clone());
                }
                let found = problem(&one, &series, is_of_table(&board, &one.expression));
                problems.extend(found.map(|what| format!("{}: {what}: {expression}", one.place)));
                told.insert(one.expression.clone(), series);
            }
        }
        for (title, columns, expressions) in shown(&board) {
            let rows = expressions.iter().filter_map(|expression| told.get(expression)).flatten();
            let labels: BTreeSet<&str> = rows.flat_map(names).collect();
            let missing = columns.iter().filter(|column| !labels.contains(column.as_str()));
            let place = format!("{name}: {title}");
            if !found_empty.contains(&place) {
                problems.extend(missing.map(|column| format!("{place}: no {column}")));
            }
        }
        variables(&prometheus, &board, now).await;
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    // Neither is anything else empty, nor is any of these not.
    let rightly: BTreeSet<String> = EMPTY.iter().map(|(place, _)| (*place).to_owned()).collect();
    assert_eq!(found_empty, rightly);
    fan(&prometheus, now).await;
}

/// What is wrong with the series that a question got.
fn problem(asked: &Asked, series: &[Value], is_table: bool) -> Option<String> {
    let mut told_apart = BTreeSet::new();
    for one in series {
        if let Some(label) = asked.labels.iter().find(|label| !names(one).contains(label.as_str()))
        {
            return Some(format!("no `{label}` in {one}"));
        }
        if !samples(one).iter().any(|sample| sample.is_finite()) {
            return Some(format!("nothing but NaN in {one}"));
        }
        let name = asked.labels.iter().map(|label| text(&one["metric"], label));
        told_apart.insert(name.collect::<Vec<_>>());
    }
    (!is_table && told_apart.len() < series.len()).then(|| "series share a name".to_owned())
}

fn is_of_table(board: &Value, expression: &str) -> bool {
    shown(board).iter().any(|(_, _, asked)| asked.iter().any(|one| one == expression))
}

/// Each variable of a label has values.
async fn variables(prometheus: &Prometheus, board: &Value, now: i64) {
    for variable in list(&board["templating"], "list") {
        if variable["type"] != "query" {
            continue;
        }
        let query = text(&variable["query"], "query");
        let inner =
            query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
        let (metric, label) = inner.rsplit_once(", ").unwrap();
        let filled = FILLING.fill(board, metric);
        let series = prometheus.series(&filled[0], At::Instant(now)).await;
        assert!(!series.is_empty(), "{query} has no values");
        assert!(series.iter().all(|one| names(one).contains(label)), "{query}");
    }
}

/// The fan begins at the spend of now, ends at the month's end at the quantiles that the agent
/// tells, and lies between.
async fn fan(prometheus: &Prometheus, now: i64) {
    let board = board("en", "bands");
    let all = asked("bands", &board);
    let fan = all.iter().find(|one| one.labels.iter().any(|label| label == "percent")).unwrap();
    let expression = &FILLING.fill(&board, &fan.expression)[0];
    let lines = prometheus.series(expression, month(now)).await;
    assert_eq!(lines.len(), 3 * 5, "of three bands");
    for line in &lines {
        let (band, probability) =
            (text(&line["metric"], "band"), text(&line["metric"], "probability"));
        let of = |name: &str, more: &str| {
            format!("costband_{name}{{band=\"{band}\",period=\"current\"{more}}}")
        };
        let spend = prometheus.series(&of("band_spend", ""), At::Instant(now)).await;
        let quantile = of("band_forecast", &format!(",probability=\"{probability}\""));
        let quantile = prometheus.series(&quantile, At::Instant(now)).await;
        let (spend, quantile) = (samples(&spend[0])[0], samples(&quantile[0])[0]);
        let values = samples(line);
        let first_at = line["values"][0][0].as_i64().unwrap();
        assert!((now - STEP..=now).contains(&first_at), "{band}: begins at {first_at}, not {now}");
        // A step before the end at the most, and some hours where months end apart.
        let hours = values.len() as f64;
        let allowed = (quantile - spend).abs() * 12.0 / hours;
        let (first, last) = (values[0], values[values.len() - 1]);
        assert!(
            (first - spend).abs() <= allowed,
            "{band} {probability}: begins at {first}, not {spend}"
        );
        assert!(
            (last - quantile).abs() <= allowed,
            "{band} {probability}: ends at {last}, not {quantile}"
        );
        assert!(values.is_sorted(), "{band} {probability}");
    }
}

/// Writes the month of a demo so far for `dashboards/pictures`: `COSTBAND_RECORDING` names the file.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; dashboards/draw/pictures runs it"]
async fn a_month_is_recorded() {
    let path = std::env::var_os("COSTBAND_RECORDING").map(PathBuf::from);
    let path = path.expect("COSTBAND_RECORDING names a file");
    let run = Run { poll_every: SignedDuration::from_hours(8), ..days(17) };
    std::fs::write(path, record(&run).await).unwrap();
}
