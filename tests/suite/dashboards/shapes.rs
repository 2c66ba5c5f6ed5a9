//! What holds of boards without any Prometheus: names, places, links, languages, metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use costband::telemetry::names::{self, Kind};
use serde_json::Value;

use super::boards::{BOARDS, Filling, asked, board, list, metrics, panels, text};

/// Metrics that no board asks for, and why.
const UNUSED: [(&str, &str); 0] = [];

const FILLING: Filling = Filling { since: "1d", rate_interval: "4h", interval: "1h", range: "1d" };

/// What the process tells of itself.
const PROCESS: [&str; 7] = [
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_threads",
    "process_virtual_memory_bytes",
];
const PROCESS_UNUSED: [(&str, &str); 2] = [
    ("process_threads", "it is fixed at the start"),
    ("process_virtual_memory_bytes", "what is mapped and not used costs nothing"),
];

/// The names under which a family is asked for.
fn asked_as(family: &names::Family) -> Vec<String> {
    match family.kind {
        Kind::Histogram => {
            ["_bucket", "_sum", "_count"].map(|part| format!("{}{part}", family.name)).to_vec()
        }
        Kind::Gauge | Kind::Counter => vec![family.name.to_owned()],
    }
}

#[test]
fn every_metric_is_on_a_board_or_left_out_on_purpose() {
    let mut used = BTreeSet::new();
    for name in BOARDS {
        let board = board("en", name);
        for one in asked(name, &board) {
            for expression in FILLING.fill(&board, &one.expression) {
                used.extend(metrics(&expression));
            }
        }
    }
    let mut known: BTreeSet<String> = names::ALL.iter().flat_map(asked_as).collect();
    known.extend(PROCESS.map(str::to_owned));
    let unknown: Vec<_> = used.difference(&known).collect();
    assert!(unknown.is_empty(), "the boards ask for what is not exported: {unknown:?}");
    let purpose: BTreeMap<&str, &str> = UNUSED.into_iter().chain(PROCESS_UNUSED).collect();
    for name in &known {
        let (on_a_board, left_out) = (used.contains(name), purpose.get(name.as_str()));
        assert!(on_a_board || left_out.is_some(), "no board shows {name}");
        assert!(!(on_a_board && left_out.is_some()), "{name} is shown and said to be left out");
    }
}

/// A board without what people read.
fn wordless(mut board: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(entries) => {
                for key in [
                    "title",
                    "description",
                    "legendFormat",
                    "noValue",
                    "titleFormat",
                    "textFormat",
                    "displayName",
                    "alias",
                    "label",
                ] {
                    entries.remove(key);
                }
                for key in [
                    "fillBelowTo",
                    "indexByName",
                    "renameByName",
                    "matcher",
                    "text",
                    "query",
                    "left",
                    "right",
                ] {
                    entries.remove(key);
                }
                entries.values_mut().for_each(strip);
            }
            Value::Array(entries) => entries.iter_mut().for_each(strip),
            _ => {}
        }
    }
    for annotation in board["annotations"]["list"].as_array_mut().unwrap() {
        annotation.as_object_mut().unwrap().remove("name");
    }
    for panel in board["panels"].as_array_mut().unwrap() {
        // Links tell the language in their addresses, and names of columns are words.
        let panel = panel.as_object_mut().unwrap();
        panel.remove("links");
        if let Some(overrides) = panel.get_mut("fieldConfig").and_then(|of| of.get_mut("overrides"))
        {
            for property in overrides
                .as_array_mut()
                .unwrap()
                .iter_mut()
                .flat_map(|one| one["properties"].as_array_mut().unwrap())
            {
                if property["id"] == "custom.fillBelowTo" || property["id"] == "displayName" {
                    *property = Value::Null;
                }
            }
        }
    }
    for key in ["uid", "tags", "links"] {
        board.as_object_mut().unwrap().remove(key);
    }
    strip(&mut board);
    board
}

#[test]
fn both_languages_ask_and_show_the_same() {
    for name in BOARDS {
        let [english, korean] = ["en", "ko"].map(|language| board(language, name));
        let ask = |board: &Value| {
            let asked = asked(name, board).into_iter();
            asked.map(|one| (one.expression, one.instant, one.labels)).collect::<Vec<_>>()
        };
        assert_eq!(ask(&english), ask(&korean), "{name}");
        assert_eq!(list(&english, "panels").len(), list(&korean, "panels").len(), "{name}");
        for (one, other) in list(&english, "panels").iter().zip(list(&korean, "panels")) {
            assert_eq!(one["gridPos"], other["gridPos"], "{name}: {}", one["title"]);
            assert_eq!(one["id"], other["id"], "{name}: {}", one["title"]);
            let is_korean = |text: &str| text.chars().any(|c| ('가'..='힣').contains(&c));
            if let Some(description) = other["description"].as_str() {
                assert!(is_korean(description), "{name}: not Korean: {description}");
                assert!(!is_korean(text(one, "description")), "{name}: {}", one["title"]);
            }
        }
        assert_eq!(wordless(english), wordless(korean), "{name}");
    }
}

#[test]
fn every_panel_says_what_it_shows_and_stands_free() {
    for (language, name) in ["en", "ko"].into_iter().flat_map(|one| BOARDS.map(|name| (one, name)))
    {
        let board = board(language, name);
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in list(&board, "panels") {
            let title = text(panel, "title");
            assert!(
                !title.is_empty() && ids.insert(panel["id"].as_u64().unwrap()),
                "{name}: {title}"
            );
            let [x, y, w, h] =
                ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
            assert!(w > 0 && h > 0 && x + w <= 24, "{name}: {title} does not fit");
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{name}: {title} covers another panel");
            }
        }
        for panel in panels(&board) {
            let title = text(panel, "title");
            assert!(text(panel, "description").len() > 10, "{name}: {title}");
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(!text(defaults, "noValue").is_empty(), "{name}: {title}");
            let unit = defaults["unit"].as_str().unwrap_or_default();
            assert!(panel["type"] == "table" || !unit.is_empty(), "{name}: {title} has no unit");
            // Amounts are in whatever currency a series names.
            let whole = panel.to_string();
            assert!(
                !whole.contains("currencyUSD") && !whole.contains("\"prefix:$"),
                "{name}: {title}"
            );
            assert!(panel["datasource"]["uid"] == "${datasource}", "{name}: {title}");
            // At the end of a month that is not over there are no figures of now, and the stretch in
            // which they are asked for is not the one that is shown.
            let asks = panel["targets"].to_string();
            let in_the_future = board["time"]["to"] != "now" && !asks.contains("\"instant\":false");
            assert_eq!(panel["timeFrom"].is_string(), in_the_future, "{name}: {title}");
            assert!(!(in_the_future && asks.contains("$__range")), "{name}: {title}");
        }
    }
}

/// Values from which on a colour holds, where they are amounts of money.
fn amounts(panel: &Value) -> Vec<&Value> {
    let config = &panel["fieldConfig"];
    let mut of = vec![(&config["defaults"]["unit"], &config["defaults"]["thresholds"])];
    for one in list(config, "overrides") {
        let property = |id: &str| {
            let found = list(one, "properties").iter().find(|property| property["id"] == id);
            found.map_or(&Value::Null, |property| &property["value"])
        };
        of.push((property("unit"), property("thresholds")));
    }
    let money = of.into_iter().filter(|(unit, _)| **unit == "locale");
    let steps = money.filter_map(|(_, thresholds)| thresholds["steps"].as_array()).flatten();
    steps.map(|step| &step["value"]).collect()
}

#[test]
fn no_amount_of_money_is_written_into_a_board() {
    for name in BOARDS {
        let board = board("en", name);
        for panel in panels(&board) {
            let free = amounts(panel).into_iter().all(|value| value.is_null() || *value == 0);
            assert!(free, "{name}: {} has a threshold of money", panel["title"]);
        }
    }
}

#[test]
fn the_readme_shows_each_board_in_a_small_picture() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards");
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let mut shown = BTreeSet::new();
    for (link, _) in links {
        assert!(folder.join(link).exists(), "the README links to {link}");
        shown.extend(link.strip_prefix("pictures/").map(str::to_owned));
    }
    let mut bytes = 0;
    let pictures = std::fs::read_dir(folder.join("pictures")).unwrap().map(|entry| entry.unwrap());
    let pictures: BTreeSet<String> = pictures
        .map(|entry| {
            bytes += entry.metadata().unwrap().len();
            entry.file_name().into_string().unwrap()
        })
        .collect();
    assert_eq!(shown, pictures, "each picture is shown");
    for name in BOARDS {
        assert!(shown.contains(&format!("{name}.png")), "no picture of {name}");
        for language in ["en", "ko"] {
            assert!(
                readme.contains(&format!("({language}/{name}.json)")),
                "no link to {language}/{name}"
            );
        }
    }
    assert!(bytes < 1_500_000, "{bytes} bytes of pictures");
}

#[test]
fn links_lead_to_boards_that_know_their_variables() {
    for language in ["en", "ko"] {
        let boards: BTreeMap<String, Value> = BOARDS
            .map(|name| board(language, name))
            .into_iter()
            .map(|board| (text(&board, "uid").to_owned(), board))
            .collect();
        assert_eq!(boards.len(), BOARDS.len());
        for (uid, board) in &boards {
            assert!(uid.len() <= 40, "{uid}");
            let tag = format!("costband-{language}");
            assert!(list(board, "tags").contains(&tag.clone().into()), "{uid}");
            assert_eq!(list(&board["links"][0], "tags"), [Value::from(tag)], "{uid}");
            let variables = |board: &Value| -> BTreeSet<String> {
                let all = list(&board["templating"], "list").iter();
                all.map(|variable| text(variable, "name").to_owned()).collect()
            };
            let links = panels(board).filter_map(|panel| panel["links"].as_array()).flatten();
            let mut count = 0;
            for link in links {
                let (path, query) = text(link, "url").split_once('?').unwrap();
                let target = path.strip_prefix("/d/").unwrap();
                let target =
                    boards.get(target).unwrap_or_else(|| panic!("{uid}: no board at {path}"));
                for part in query.split('&') {
                    let name = part.trim_start_matches("${").trim_end_matches(":queryparam}");
                    assert!(
                        variables(board).contains(name) && variables(target).contains(name),
                        "{uid}: {part}"
                    );
                }
                count += 1;
            }
            assert!(count > 0, "{uid} has no link to another board");
        }
    }
}
