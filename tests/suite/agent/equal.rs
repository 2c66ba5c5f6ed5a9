//! Every face tells the same figures: the JSON of a running agent, `costband report` over the same
//! ledger at the same instant, PromQL of a real Prometheus that scraped it, and the page.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use costband::domain::gpu_time::{GpuState, GpuTime, HeldBy, StateTime, Workload};
use costband::domain::identity::Provider;
use costband::domain::node::Fleet;
use costband::domain::price::CapacityType;
use costband::store::{Ledger, Location};
use jiff::SignedDuration;
use rust_decimal::Decimal;
use serde_json::Value;

use super::house::{House, RunningAgent};
use super::prometheus::Prometheus;
use crate::clock::SetClock;
use crate::faces::peers::{costband, output, peer, until};

/// The last second of a day, at which `--as-of` judges.
const NOW: &str = "2025-10-15T23:59:59Z";
const AS_OF: &str = "2025-10-15";

/// The figures that every face tells.
const FIGURES: [&str; 9] = [
    "band_spend",
    "band_floor",
    "band_ceiling",
    "band_month_end",
    "band_above_ceiling",
    "band_below_floor",
    "gpu_idle_cost",
    "source_cost",
    "service_cost",
];

/// What a figure is, what it is of, and `current` or `previous`.
type Key = (&'static str, String, String);
/// Figures, exact as a face tells them.
type Figures = BTreeMap<Key, Decimal>;
/// Statuses by band, period and view.
type Statuses = BTreeMap<(String, String, String), String>;

fn decimal(text: &str) -> Decimal {
    text.parse().or_else(|_| Decimal::from_scientific(text)).unwrap_or_else(|_| panic!("`{text}`"))
}

fn text(of: &Value) -> String {
    of.as_str().unwrap_or_else(|| panic!("{of} is no text")).to_owned()
}

fn list(of: &Value) -> &[Value] {
    of.as_array().unwrap_or_else(|| panic!("{of} is no list"))
}

/// Keeps a figure that is told.
fn keep(into: &mut Figures, key: (&'static str, &Value, &Value), told: Option<&Value>) {
    if let Some(Value::String(amount)) = told {
        into.insert((key.0, text(key.1), text(key.2)), decimal(amount));
    }
}

/// What the documents of bands, of the API and of the report alike, say.
fn of_bands(document: &Value, figures: &mut Figures) -> Statuses {
    let mut statuses = Statuses::new();
    for band in list(&document["bands"]) {
        let (name, period) = (&band["band"], &band["period_label"]);
        for (figure, field) in
            [("band_spend", "spend"), ("band_floor", "floor"), ("band_ceiling", "ceiling")]
        {
            keep(figures, (figure, name, period), band.get(field));
        }
        let day = list(&band["days"]).last();
        keep(figures, ("band_last_total", name, period), day.map(|day| &day["total"]));
        for (view, judged) in band["views"].as_object().unwrap() {
            let key = (text(name), text(period), view.clone());
            statuses.insert(key, text(&judged["status"]));
        }
    }
    statuses
}

/// What GPUs that did nothing cost.
fn of_gpus(periods: &Value, figures: &mut Figures) {
    for period in list(periods) {
        for cost in list(&period["costs"]) {
            let of = cost.get("provider").map_or_else(|| "on_premises".to_owned(), text);
            let idle = GpuState::ALL.into_iter().filter(|state| state.is_idle());
            let idle: Vec<&Value> =
                idle.filter_map(|state| cost["states"].get(state.as_str())).collect();
            // What did not run was not idle, and no face tells it.
            if !idle.is_empty() {
                let sum = idle.iter().map(|amount| decimal(amount.as_str().unwrap())).sum();
                figures.insert(("gpu_idle_cost", of, text(&period["period_label"])), sum);
            }
        }
    }
}

async fn api(agent: &RunningAgent) -> (Figures, Statuses) {
    let get =
        async |path: &str| -> Value { serde_json::from_str(&agent.text(path).await).unwrap() };
    let mut figures = Figures::new();
    let statuses = of_bands(&get("/api/v1/bands").await, &mut figures);
    for band in list(&get("/api/v1/forecast").await["bands"]) {
        let (name, period) = (&band["band"], &band["period_label"]);
        let median = list(&band["quantiles"]).iter().find(|one| one["probability"] == 0.5).unwrap();
        keep(&mut figures, ("band_month_end", name, period), median.get("amount"));
        let above = decimal(&band["probability_above_ceiling"].to_string());
        figures.insert(("band_above_ceiling", text(name), text(period)), above);
        let below = decimal(&band["probability_below_floor"].to_string());
        figures.insert(("band_below_floor", text(name), text(period)), below);
        let last = list(&band["path"]).last().map(|on| &on["amounts"][3]);
        keep(&mut figures, ("band_path_end", name, period), last);
    }
    of_gpus(&get("/api/v1/gpu").await["periods"], &mut figures);
    for source in list(&get("/api/v1/spend").await["sources"]) {
        for period in list(&source["periods"]) {
            let (name, label) = (&source["source"], &period["period_label"]);
            let total = list(&period["totals"]).first().unwrap();
            keep(&mut figures, ("source_cost", name, label), total.get("effective_cost"));
            for service in list(&period["by"]["service_name"]) {
                // What names no service has no key.
                let key = service.get("key").map_or_else(String::new, text);
                let of = Value::String(format!("{}/{key}", text(name)));
                keep(&mut figures, ("service_cost", &of, label), service.get("effective_cost"));
            }
        }
    }
    (figures, statuses)
}

async fn report(config: &Path, format: &str) -> String {
    let mut command = costband();
    command.args(["report", "--as-of", AS_OF, "--format", format, "-c"]).arg(config);
    let output = output(command).await;
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{format}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The rows of a CSV without quotes in it, by its headings.
fn rows(csv: &str) -> Vec<BTreeMap<&str, &str>> {
    let mut lines = csv.lines();
    let headings: Vec<&str> = lines.next().unwrap().split(',').collect();
    lines.map(|line| headings.iter().copied().zip(line.split(',')).collect()).collect()
}

/// The agent with a ledger of two readings and of GPUs that did little.
async fn house() -> (House, std::path::PathBuf) {
    let clock = SetClock::at(NOW);
    clock.advance(-SignedDuration::from_hours(8));
    let mut house = House::at(clock.clone()).await;
    let path = house.configure(
        "bands: [{preset: aws}, {preset: gcp}, {preset: azure}, {name: all, floor: 100000, ceiling: 250000.50}]\n",
    );
    house.poll().await;
    clock.advance(SignedDuration::from_hours(8));
    house.poll().await;
    let mut time = StateTime::default();
    time.add(GpuState::Busy, 7_200_000);
    time.add(GpuState::HeldIdle, 3_600_000);
    time.add(GpuState::Unallocated, 1_234_567);
    let workload = Workload { namespace: "ml".to_owned(), name: "train".to_owned() };
    let of_day = |day: &str| GpuTime {
        day: day.parse().unwrap(),
        fleet: Fleet {
            provider: Some(Provider::Aws),
            cluster: "video".to_owned(),
            instance_type: Some("p5.48xlarge".to_owned()),
            region_id: Some("us-east-1".to_owned()),
            capacity_type: CapacityType::OnDemand,
            model: "NVIDIA H100 80GB HBM3".to_owned(),
        },
        node: "node-1".to_owned(),
        held_by: Some(HeldBy { workload: workload.clone(), pod: "train-0".to_owned() }),
        time,
    };
    let times = [of_day("2025-10-09"), of_day("2025-09-09")];
    let location = Location::File(house.folder.path().join("costband.db"));
    Ledger::open(&location).unwrap().keep_gpu_time(&times, &[], &[]).unwrap();
    (house, path)
}

/// Holds what a face tells against the API, to a millionth: Prometheus has doubles.
fn assert_equal(face: &str, told: &Figures, wanted: &Figures, figures: &[&str]) {
    let of = |all: &Figures| -> Figures {
        let kept = all.iter().filter(|((figure, ..), _)| figures.contains(figure));
        kept.map(|(key, value)| (key.clone(), *value)).collect()
    };
    let (told, wanted) = (of(told), of(wanted));
    let keys = |all: &Figures| all.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(&told), keys(&wanted), "{face}");
    for (key, wanted) in &wanted {
        assert!(
            (told[key] - wanted).abs() <= decimal("0.000001"),
            "{face}: {key:?} {} {wanted}",
            told[key]
        );
    }
    for figure in figures {
        assert!(wanted.keys().any(|(held, ..)| held == figure), "nothing tells {figure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_face_tells_the_same_figures() {
    let (house, config) = house().await;
    let mut agent = house.start().await;
    agent.when_read().await;
    let (wanted, statuses) = api(&agent).await;
    assert_eq!(statuses.len(), 4 * 2 * 3);
    // A band's days end at its spend, and the way ahead at its month's end.
    for (figure, other, least) in
        [("band_last_total", "band_spend", 8), ("band_path_end", "band_month_end", 4)]
    {
        let ends: Vec<_> = wanted.iter().filter(|((held, ..), _)| *held == figure).collect();
        assert!(ends.len() >= least, "{figure}: {ends:?}");
        for ((_, band, period), end) in ends {
            assert_eq!(
                wanted[&(other, band.clone(), period.clone())],
                *end,
                "{figure} {band} {period}"
            );
        }
    }

    let told: Value = serde_json::from_str(&report(&config, "json").await).unwrap();
    let mut figures = Figures::new();
    assert_eq!(of_bands(&told, &mut figures), statuses, "report");
    of_gpus(&told["gpu_periods"], &mut figures);
    let of_report =
        ["band_spend", "band_floor", "band_ceiling", "band_last_total", "gpu_idle_cost"];
    assert_equal("report --format json", &figures, &wanted, &of_report);

    let (csv, table) = (report(&config, "csv").await, report(&config, "table").await);
    let months: BTreeMap<&str, &str> = rows(&csv)
        .iter()
        .map(|row| (row["period"], if row["period"] == "2025-10" { "current" } else { "previous" }))
        .collect();
    for row in rows(&csv) {
        let key = |figure| (figure, row["band"].to_owned(), months[row["period"]].to_owned());
        for (figure, column, decimals) in
            [("band_month_end", "month_end", 2), ("band_above_ceiling", "probability_above", 3)]
        {
            if let Some(wanted) = wanted.get(&key(figure)) {
                assert_eq!(
                    decimal(row[column]).normalize(),
                    wanted.round_dp(decimals).normalize(),
                    "{figure} {row:?}"
                );
            }
        }
        // The table rounds to whole units, midpoints away from zero.
        let shown = |figure| {
            let amount = wanted[&key(figure)].to_string();
            format!("{amount} USD").parse::<costband::domain::money::Money>().unwrap().grouped(0)
        };
        let mut lines = table.lines();
        let line = lines.find(|line| {
            let mut words = line.split_whitespace();
            (words.next(), words.next()) == (Some(row["band"]), Some(row["period"]))
        });
        let line = line.unwrap_or_else(|| panic!("{row:?} is not in {table}"));
        for figure in ["band_spend", "band_floor", "band_ceiling"] {
            assert!(line.contains(&shown(figure)), "{figure} {} {line}", shown(figure));
        }
    }
    promql(&agent, &wanted, &statuses).await;
    let bands =
        ["band_spend", "band_floor", "band_ceiling", "band_month_end", "band_above_ceiling"];
    assert_page(&page(&agent, "/").await, &wanted, &bands);
    assert_page(&page(&agent, "/spend").await, &wanted, &["source_cost"]);
    let sources: BTreeSet<&String> =
        wanted.keys().filter(|key| key.0 == "source_cost").map(|key| &key.1).collect();
    for source in sources {
        let page = page(&agent, &format!("/spend/{source}")).await;
        assert_page(&page, &wanted, &["source_cost", "service_cost"]);
    }
    assert_page(&page(&agent, "/gpu").await, &wanted, &["gpu_idle_cost"]);
    agent.end().await;
}

/// A figure that a page marks: which, what it is exactly, and what is shown.
struct Marked {
    key: Key,
    value: Decimal,
    shown: String,
}

/// What a page marks with `<data value=EXACT data-figure=… data-of=… data-period=…>`.
async fn page(agent: &RunningAgent, path: &str) -> Vec<Marked> {
    let html = agent.text(path).await;
    let plain = |text: &str| {
        let entities =
            [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
        entities.into_iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    };
    let marked = html.split("<data ").skip(1).filter_map(|rest| {
        let (attributes, rest) = rest.split_once('>')?;
        let of = |name: &str| {
            let (_, value) = attributes.split_once(&format!("{name}=\""))?;
            Some(plain(value.split_once('"')?.0))
        };
        let figure = of("data-figure")?;
        let figure = FIGURES.into_iter().find(|known| *known == figure)?;
        Some(Marked {
            key: (figure, of("data-of")?, of("data-period")?),
            value: decimal(&of("value")?),
            shown: plain(rest.split_once("</data>")?.0),
        })
    });
    marked.collect()
}

/// Holds what a page marks against the API, and what it shows against what it marks.
fn assert_page(marked: &[Marked], wanted: &Figures, figures: &[&str]) {
    for figure in figures {
        let told =
            marked.iter().filter(|one| one.key.0 == *figure && wanted.contains_key(&one.key));
        assert!(told.count() > 0, "the page marks no {figure}");
    }
    for Marked { key, value, shown } in marked {
        // A month's end that no forecast tells is a pace, which the API rounds.
        if let Some(wanted) = wanted.get(key) {
            assert!((value - wanted).abs() <= decimal("0.000001"), "{key:?}: {value} {wanted}");
        }
        if ["band_above_ceiling", "band_below_floor"].contains(&key.0) {
            continue;
        }
        let digits: String = shown
            .chars()
            .filter(|letter| letter.is_ascii_digit() || ".-".contains(*letter))
            .collect();
        let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let rounding = rust_decimal::RoundingStrategy::MidpointAwayFromZero;
        let rounded = value.round_dp_with_strategy(u32::try_from(decimals).unwrap(), rounding);
        assert_eq!(decimal(&digits), rounded, "{key:?} shows `{shown}`");
    }
}

/// What a real Prometheus that scraped the agent answers.
async fn promql(agent: &RunningAgent, wanted: &Figures, statuses: &Statuses) {
    let Some(program) = peer("COSTBAND_PEERS_PROMETHEUS") else { return };
    let prometheus = Prometheus::start(&program, &agent.url);
    until("Prometheus", async || {
        reqwest::get(format!("{}/query?query=1", prometheus.url)).await.ok()
    })
    .await;
    until("a scrape", async || {
        (!prometheus.query("costband_band_spend").await.is_empty()).then_some(())
    })
    .await;
    let idle: Vec<&str> =
        GpuState::ALL.into_iter().filter(|state| state.is_idle()).map(GpuState::as_str).collect();
    let idle =
        format!("sum by (provider, period) (costband_gpu_cost{{state=~\"{}\"}})", idle.join("|"));
    let mut figures = Figures::new();
    for (figure, expression, of) in [
        ("band_spend", "costband_band_spend", "band"),
        ("band_floor", "costband_band_floor", "band"),
        ("band_ceiling", "costband_band_ceiling", "band"),
        ("band_month_end", "costband_band_forecast{probability=\"0.5\"}", "band"),
        ("band_above_ceiling", "costband_band_breach_probability{side=\"above\"}", "band"),
        ("band_below_floor", "costband_band_breach_probability{side=\"below\"}", "band"),
        ("gpu_idle_cost", &idle, "provider"),
        ("source_cost", "costband_effective_cost", "source"),
        ("service_cost", "costband_service_effective_cost", "service_name"),
    ] {
        for sample in prometheus.query(expression).await {
            let labels = &sample["metric"];
            let label = |name: &str| labels.get(name).map_or_else(String::new, text);
            let of = match of {
                "service_name" => format!("{}/{}", label("source"), label("service_name")),
                "provider" if label("provider").is_empty() => "on_premises".to_owned(),
                of => label(of),
            };
            let value = decimal(sample["value"][1].as_str().unwrap());
            figures.insert((figure, of, label("period")), value);
        }
    }
    assert_equal("PromQL", &figures, wanted, &FIGURES);
    let mut told = Statuses::new();
    for sample in prometheus.query("costband_band_status == 1").await {
        let label = |name: &str| text(&sample["metric"][name]);
        told.insert((label("band"), label("period"), label("view")), label("status"));
    }
    assert_eq!(&told, statuses, "PromQL");
}
