//! A real Prometheus scrapes the demo and answers PromQL.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::house::json;
use crate::dashboards::boards::{Filling, asked, board};
use crate::dashboards::history::EMPTY;
use crate::faces::peers::{Running, costband, free_port, peer, until};

/// Starts the demo and gives its address.
async fn demo() -> (Running, String) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut command = costband();
    command.args(["demo", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = Running(command.spawn().unwrap());
    let lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let address = tokio::task::spawn_blocking(move || {
        let mut lines = lines.map_while(Result::ok);
        let line = lines.find(|line| line.trim_start().starts_with("page")).expect("an address");
        // The rest is read so that the demo never waits for its reader.
        std::thread::spawn(move || lines.count());
        line.split_whitespace().nth(1).unwrap().trim_end_matches('/').to_owned()
    });
    (running, address.await.unwrap())
}

pub(super) struct Prometheus {
    pub(super) url: String,
    _process: Running,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    pub(super) fn start(program: &std::path::Path, target: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/dashboards/rules/*.yaml");
        let target = target.trim_start_matches("http://");
        std::fs::write(
            &config,
            format!(
                "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
                 rule_files: [\"{rules}\"]\n\
                 scrape_configs:\n  - job_name: costband\n    static_configs: [{{targets: [\"{target}\"]}}]\n"
            ),
        )
        .unwrap();
        let port = free_port();
        let process = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("http://127.0.0.1:{port}/api/v1");
        Self { url, _process: Running(process), _folder: folder }
    }

    /// The samples that answer an expression; panics on one that is none.
    pub(super) async fn query(&self, expression: &str) -> Vec<Value> {
        let client = reqwest::Client::new();
        let form = [("query", expression)];
        let answer = client.post(format!("{}/query", self.url)).form(&form).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        answer["data"]["result"].as_array().unwrap().clone()
    }
}

fn number(sample: &Value) -> f64 {
    sample["value"][1].as_str().unwrap().parse().unwrap()
}

fn amount(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

/// What the boards of bands and of the agent ask of now, and which it is that a demo of a minute has
/// an answer to: history is asked for by the tests of the boards.
fn expressions() -> Vec<String> {
    let filling = Filling { since: "5s", rate_interval: "5s", interval: "5s", range: "1m" };
    let mut all = Vec::new();
    for name in ["bands", "agent"] {
        let board = board("en", name);
        let now = asked(name, &board).into_iter().filter(|one| {
            let is_empty = EMPTY.iter().any(|(place, _)| *place == one.place);
            // A poll comes in hours: what is asked of a stretch is empty in a demo's first minute.
            let of_stretch = ["$since", "$__range"].iter().any(|of| one.expression.contains(of));
            one.instant && !is_empty && !of_stretch
        });
        all.extend(now.flat_map(|one| filling.fill(&board, &one.expression)));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_answers_with_the_figures_of_the_api() {
    let Some(program) = peer("COSTBAND_PEERS_PROMETHEUS") else { return };
    let (_demo, address) = demo().await;
    let prometheus = Prometheus::start(&program, &address);
    until("Prometheus", async || {
        reqwest::get(format!("{}/query?query=1", prometheus.url)).await.ok()
    })
    .await;

    let expressions = expressions();
    assert!(expressions.len() > 30, "{expressions:?}");
    for expression in &expressions {
        until(&format!("samples of {expression}"), async || {
            (!prometheus.query(expression).await.is_empty()).then_some(())
        })
        .await;
    }

    let spend = json(&format!("{address}/api/v1/spend")).await;
    for source in spend["sources"].as_array().unwrap() {
        let name = source["source"].as_str().unwrap();
        for period in source["periods"].as_array().unwrap() {
            let label = period["period_label"].as_str().unwrap();
            for basis in ["effective", "billed"] {
                let told = amount(&period["totals"][0][format!("{basis}_cost")]);
                let of = format!("{{source=\"{name}\",period=\"{label}\"}}");
                let total =
                    prometheus.query(&format!("sum by (source) (costband_{basis}_cost{of})")).await;
                assert_eq!((total.len(), number(&total[0])), (1, told), "{name} {label} {basis}");
                let services = format!("sum by (source) (costband_service_{basis}_cost{of})");
                let along = number(&prometheus.query(&services).await[0]);
                // Prometheus adds doubles.
                assert!((along - told).abs() < 1e-6, "{services}: {along}, not {told}");
            }
        }
    }
    let bands = json(&format!("{address}/api/v1/bands")).await;
    let bands = bands["bands"].as_array().unwrap();
    assert_eq!(bands.len(), 6);
    for band in bands {
        for (view, judged) in band["views"].as_object().unwrap() {
            let of = format!(
                "costband_band_status{{band={},period={},view=\"{view}\"}} == 1",
                band["band"], band["period_label"]
            );
            let holding = prometheus.query(&of).await;
            assert_eq!(holding.len(), 1, "{of}");
            assert_eq!(holding[0]["metric"]["status"], judged["status"], "{of}");
        }
    }

    let rules = until("the rules' first evaluation", async || {
        let rules = json(&format!("{}/rules", prometheus.url)).await;
        let groups = rules["data"]["groups"].as_array()?.clone();
        let rules: Vec<Value> = groups
            .iter()
            .filter_map(|group| group["rules"].as_array())
            .flatten()
            .cloned()
            .collect();
        let evaluated = rules.iter().all(|rule| rule["health"] != "unknown");
        (evaluated && !rules.is_empty()).then_some(rules)
    })
    .await;
    assert_eq!(rules.len(), 39);
    assert!(rules.iter().all(|rule| rule["health"] == "ok"), "{rules:#?}");
    for rule in rules.iter().filter(|rule| rule["type"] == "recording") {
        let name = rule["name"].as_str().unwrap();
        // Empty in the first days of a month.
        if name == "band:costband_band_ceiling:past_third_day" {
            continue;
        }
        until(&format!("samples of {name}"), async || {
            (!prometheus.query(name).await.is_empty()).then_some(())
        })
        .await;
    }
    until("the alert of last month's ceiling", async || {
        let firing = "ALERTS{alertname=\"CostbandCeilingExceeded\",band=\"aws\",period=\"previous\",alertstate=\"firing\"}";
        (prometheus.query(firing).await.len() == 1).then_some(())
    })
    .await;
}
