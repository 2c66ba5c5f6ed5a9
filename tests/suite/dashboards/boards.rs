//! The boards as they are shipped, and what they ask of Prometheus.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

pub(crate) const BOARDS: [&str; 4] = ["bands", "spend", "gpu", "agent"];

/// A question of a panel, of an annotation or of a variable.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Where it stands: the board, and what Grafana calls the place.
    pub(crate) place: String,
    /// PromQL with Grafana's variables.
    pub(crate) expression: String,
    /// Whether it is asked of one instant.
    pub(crate) instant: bool,
    /// The labels that its series are named by.
    pub(crate) labels: Vec<String>,
}

pub(crate) fn board(language: &str, name: &str) -> Value {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("dashboards/{language}/{name}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("no list of {key} in {value}"))
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text of {key} in {value}"))
}

/// Panels, but for rows.
pub(crate) fn panels(board: &Value) -> impl Iterator<Item = &Value> {
    list(board, "panels").iter().filter(|panel| panel["type"] != "row")
}

/// Labels in double braces.
fn labels(format: &str) -> Vec<String> {
    let parts = format.split("{{").skip(1).filter_map(|rest| rest.split_once("}}"));
    parts.map(|(label, _)| label.trim().to_owned()).collect()
}

/// What a table shows of labels.
fn columns(panel: &Value) -> Vec<String> {
    let transformations = panel["transformations"].as_array().into_iter().flatten();
    let kept = transformations.filter(|one| one["id"] == "filterFieldsByName");
    let names = kept.flat_map(|one| list(&one["options"]["include"], "names"));
    let names = names.filter_map(Value::as_str).filter(|name| !name.starts_with("Value"));
    names.map(str::to_owned).collect()
}

/// Everything that a board asks of panels and annotations.
pub(crate) fn asked(name: &str, board: &Value) -> Vec<Asked> {
    let mut all = Vec::new();
    for panel in panels(board) {
        for target in list(panel, "targets") {
            let legend = target["legendFormat"].as_str().unwrap_or_default();
            // A panel for each value of a variable shows the series of that value alone.
            let repeat = panel["repeat"].as_str().map(str::to_owned);
            all.push(Asked {
                place: format!("{name}: {}", text(panel, "title")),
                expression: text(target, "expr").to_owned(),
                instant: target["instant"] == true,
                labels: labels(legend).into_iter().chain(repeat).collect(),
            });
        }
    }
    for annotation in list(&board["annotations"], "list") {
        all.push(Asked {
            place: format!("{name}: {}", text(annotation, "name")),
            expression: text(&annotation["target"], "expr").to_owned(),
            instant: false,
            labels: labels(text(annotation, "textFormat")),
        });
    }
    all
}

/// For each panel the labels that its columns show, which some of its questions have to tell.
pub(crate) fn shown(board: &Value) -> Vec<(String, Vec<String>, Vec<String>)> {
    let tables = panels(board).filter(|panel| panel["type"] == "table");
    let of = |panel: &Value| {
        let asked = list(panel, "targets").iter().map(|target| text(target, "expr").to_owned());
        (text(panel, "title").to_owned(), columns(panel), asked.collect())
    };
    tables.map(of).collect()
}

/// What Grafana puts in for variables. Choices of many are all of them, as a regular expression.
pub(crate) struct Filling {
    pub(crate) since: &'static str,
    pub(crate) rate_interval: &'static str,
    pub(crate) interval: &'static str,
    pub(crate) range: &'static str,
}

impl Filling {
    /// The expression with each choice of `basis`, where it is asked for.
    pub(crate) fn fill(&self, board: &Value, expression: &str) -> Vec<String> {
        let mut held: BTreeMap<&str, &str> = BTreeMap::from([
            ("__rate_interval", self.rate_interval),
            ("__interval", self.interval),
            ("__range", self.range),
        ]);
        for variable in list(&board["templating"], "list") {
            let value = match text(variable, "type") {
                "query" => text(variable, "allValue"),
                "custom" => text(&variable["current"], "value"),
                _ => continue,
            };
            held.insert(text(variable, "name"), value);
        }
        held.insert("since", self.since);
        let mut filled = vec![expression.to_owned()];
        if expression.contains("${basis}") {
            let of = |basis: &str| expression.replace("${basis}", basis);
            filled = vec![of("effective"), of("billed")];
        }
        for one in &mut filled {
            // The longest first: `$__range` begins as no other, `$__interval` ends as one does.
            for (name, value) in held.iter().rev() {
                *one = one.replace(&format!("${name}"), value);
            }
            let left = one.replace("\"$1\"", "");
            assert!(!left.contains('$'), "a variable is left in {one}");
        }
        filled
    }
}

/// Names of metrics in an expression: what is followed by a selector or stands as a whole word.
pub(crate) fn metrics(expression: &str) -> Vec<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let own = words.filter(|word| word.starts_with("costband_") || word.starts_with("process_"));
    own.map(str::to_owned).collect()
}
