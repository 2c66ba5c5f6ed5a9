//! What people read, held against the program: commands, flags, metrics, keys, links, versions.
//! `UPDATE_GOLDEN=1 cargo test --test suite docs::` rewrites the generated tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use costband::app::setup::{Setup, receiver_schemas, schemas};
use costband::export::api;
use costband::telemetry::names::{self, Kind};
use serde_json::Value;

mod keys;
mod rules;

const READMES: [&str; 2] = ["README.md", "README.ko.md"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file of the tree below a folder, as paths from the root; build output left out.
fn files(folder: &str) -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if ["target", ".git", "__pycache__"].contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    let mut names: Vec<String> = found
        .iter()
        .map(|path| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Every document that people read.
fn documents() -> Vec<(String, String)> {
    let mut paths: Vec<String> =
        ["CHANGELOG.md", "CONTRIBUTING.md"].into_iter().chain(READMES).map(str::to_owned).collect();
    paths.extend(files("docs").into_iter().filter(|path| path.ends_with(".md")));
    paths.into_iter().map(|path| (path.clone(), read(&path))).collect()
}

fn costband(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_costband")).args(arguments).output().unwrap()
}

fn help(arguments: &[&str]) -> String {
    let output = costband(&[arguments, &["--help"]].concat());
    assert!(output.status.success(), "{arguments:?} --help: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Each command with its help.
fn commands() -> BTreeMap<String, String> {
    let listed = help(&[]);
    let section = listed.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    section
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(|name| {
            let own = help(&[name]);
            // What a command has below it is called in one breath with it.
            let below: Option<String> = own.split("Commands:\n").nth(1).map(|section| {
                let lines = section.split("\n\n").next().unwrap().lines();
                let names = lines.filter_map(|line| line.split_whitespace().next());
                names.filter(|below| *below != "help").map(|below| help(&[name, below])).collect()
            });
            (name.to_owned(), own + &below.unwrap_or_default())
        })
        .collect()
}

/// The flags that a help text lists.
fn flags(help: &str) -> BTreeSet<String> {
    help.lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-'))
        .flat_map(|line| line.split(|c: char| c.is_whitespace() || c == ','))
        .filter(|word| word.starts_with('-'))
        .map(str::to_owned)
        .collect()
}

/// Fenced blocks of a Markdown text with the word behind their fence.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => open = Some((language.trim().to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, body)), None) => {
                body.push_str(line);
                body.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// Lines of Markdown outside of fenced blocks.
fn prose(text: &str) -> String {
    let mut inside = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// What stands between single backticks.
fn spans(text: &str) -> Vec<String> {
    prose(text)
        .split("\n\n")
        .flat_map(|paragraph| {
            let parts: Vec<String> = paragraph.split('`').map(str::to_owned).collect();
            parts.into_iter().skip(1).step_by(2)
        })
        .collect()
}

/// Lines of code: of shell blocks with their continuations joined and comments cut, and spans.
fn code(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = spans(text);
    for (language, body) in blocks(text) {
        if ["", "sh", "text"].contains(&language.as_str()) {
            let body = body.replace("\\\n", " ");
            lines.extend(body.lines().map(|line| line.split(" #").next().unwrap().to_owned()));
        }
    }
    lines
}

/// The command and the words behind it, for each call of costband in a line of code.
fn calls(line: &str) -> Vec<(String, Vec<String>)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut calls = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let rest = match *word {
            "costband" => words.get(at + 1..),
            "--" if words.get(at.wrapping_sub(1)) == Some(&"run") => words.get(at + 1..),
            _ => None,
        };
        let Some([command, rest @ ..]) = rest else { continue };
        if command.chars().all(|c| c.is_ascii_lowercase()) {
            let ends = |word: &&str| ["|", ">", "&&", ";", "&"].contains(word);
            let end = rest.iter().position(ends).unwrap_or(rest.len());
            let rest = rest.iter().take(end).map(|word| (*word).to_owned()).collect();
            calls.push(((*command).to_owned(), rest));
        }
    }
    calls
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let commands = commands();
    assert!(commands.len() >= 7, "{:?}", commands.keys());
    for (command, help) in &commands {
        assert!(
            help.contains("Example:\n") || help.contains("Examples:\n"),
            "`costband {command} --help` has no example"
        );
        assert!(help.contains(&format!("  costband {command}")), "`{command}` shows another call");
    }
}

#[test]
fn every_command_and_flag_that_a_document_names_exists() {
    let commands = commands();
    let mut texts = documents();
    for path in files("examples") {
        let comments: String = read(&path)
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix('#'))
            // A command is indented, prose is not.
            .filter(|line| line.starts_with("  "))
            .map(|line| format!("    {}\n", line.trim()))
            .collect();
        texts.push((path, format!("```sh\n{comments}```\n")));
    }
    let helps = commands.iter().map(|(name, help)| (name.clone(), help.clone()));
    texts.extend(helps.map(|(name, help)| {
        let examples = help.split("Example").nth(1).unwrap_or_default().to_owned();
        (format!("{name} --help"), format!("```sh\nExample{examples}```\n"))
    }));
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (path, text) in &texts {
        for line in code(text) {
            for (command, rest) in calls(&line) {
                seen += 1;
                let Some(help) = commands.get(&command) else {
                    wrong.push(format!("{path}: there is no command `{command}`"));
                    continue;
                };
                let known = flags(help);
                for flag in rest.iter().filter(|word| word.starts_with('-')) {
                    let flag = flag.split('=').next().unwrap();
                    if !known.contains(flag) {
                        wrong.push(format!("{path}: `costband {command}` has no `{flag}`"));
                    }
                }
            }
        }
        // A flag by itself is one of costband's, or of the test script.
        let test_script = read("scripts/test");
        for span in spans(text).iter().filter(|span| span.starts_with("--")) {
            let flag = span.split([' ', '=']).next().unwrap();
            let of_costband = commands.values().any(|help| flags(help).contains(flag));
            if !of_costband && !test_script.contains(flag) {
                wrong.push(format!("{path}: nothing has the flag `{flag}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 30, "only {seen} calls were found");
}

#[test]
fn every_readme_tells_of_every_command() {
    for readme in READMES {
        let told: BTreeSet<String> = code(&read(readme))
            .iter()
            .flat_map(|line| calls(line))
            .map(|(command, _)| command)
            .collect();
        let all: BTreeSet<String> = commands().into_keys().collect();
        assert_eq!(told, all, "{readme}");
    }
}

/// Words of a text that begin as the project's metrics do.
fn metrics(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("costband_") && !word.ends_with('_'))
        .map(str::to_owned)
        .collect()
}

fn is_exported(name: &str) -> bool {
    names::ALL.iter().any(|family| {
        let parts: &[&str] =
            if family.kind == Kind::Histogram { &["_bucket", "_sum", "_count"] } else { &[] };
        family.name == name || parts.iter().any(|part| name.strip_suffix(part) == Some(family.name))
    })
}

#[test]
fn every_metric_that_is_named_is_exported() {
    let mut texts = documents();
    for folder in ["dashboards", "helm"] {
        if root().join(folder).is_dir() {
            let written = files(folder).into_iter().filter(|path| !path.ends_with(".png"));
            texts.extend(written.map(|path| (path.clone(), read(&path))));
        }
    }
    let mut seen = BTreeSet::new();
    for (path, text) in &texts {
        for name in metrics(text) {
            assert!(is_exported(&name), "{path} names `{name}`, which is not exported");
            seen.insert(name);
        }
    }
    assert!(seen.len() >= names::ALL.len(), "only {} are named", seen.len());
}

/// A text with what stands between two markers replaced.
fn with_part(path: &str, marker: &str, part: &str) -> String {
    let text = read(path);
    let (begin, end) = (format!("<!-- {marker} -->\n"), format!("<!-- end of {marker} -->"));
    let start = text.find(&begin).unwrap_or_else(|| panic!("{path} has no `{begin}`"));
    let start = start + begin.len();
    let stop = text.find(&end).unwrap_or_else(|| panic!("{path} has no `{end}`"));
    format!("{}\n{part}\n{}", &text[..start], &text[stop..])
}

fn hold(path: &str, marker: &str, part: &str) {
    let wanted = with_part(path, marker, part);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(root().join(path), &wanted).unwrap();
    }
    assert_eq!(read(path), wanted, "{path} is old: UPDATE_GOLDEN=1 cargo test --test suite docs::");
}

#[test]
fn the_table_of_metrics_is_what_the_program_exports() {
    let mut table = String::from("| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for family in names::ALL {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        table.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            family.name,
            family.kind.as_str(),
            labels.join(", "),
            family.help
        ));
    }
    hold("docs/metrics.md", "metrics", &table);
}

#[test]
fn the_table_of_keys_is_what_the_program_reads() {
    let output = costband(&["schema"]);
    assert!(output.status.success());
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (sources, receivers) = (schemas(), receiver_schemas());
    let kinds = costband::config::Kinds { sources: &sources, receivers: &receivers };
    assert_eq!(printed, costband::config::schema(kinds));
    hold("docs/configuration.md", "keys", &keys::tables(&printed));
}

#[test]
fn every_configuration_in_a_document_loads() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut seen = 0;
    for (path, text) in documents() {
        for (language, body) in blocks(&text) {
            if language == "yaml" && (body.contains("sources:\n") || body.contains("gpu:\n")) {
                seen += 1;
                let told = ["HOST_IP", "NODE_NAME", "POD_NAMESPACE", "POD_NAME"];
                let told = told.map(|name| (name.to_owned(), "127.0.0.1".to_owned()));
                if let Err(problems) = Setup::from_text(&body, told.into_iter()) {
                    panic!("{path}:\n{body}\n{problems}");
                }
            }
        }
    }
    assert!(seen >= 5, "only {seen} were found");
}

/// The targets of a Markdown text's links and pictures.
fn links(text: &str) -> Vec<String> {
    prose(text)
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .map(str::to_owned)
        .collect()
}

/// The anchors of a Markdown text's headings, as common renderers make them.
fn anchors(text: &str) -> BTreeSet<String> {
    headings(text)
        .iter()
        .map(|(_, heading)| {
            heading
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

fn headings(text: &str) -> Vec<(usize, String)> {
    prose(text)
        .lines()
        .filter_map(|line| {
            let level = line.chars().take_while(|c| *c == '#').count();
            let heading = line.get(level..)?.strip_prefix(' ')?;
            (level > 0).then(|| (level, heading.to_owned()))
        })
        .collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut seen = 0;
    for (path, text) in documents() {
        for link in links(&text) {
            if link.starts_with("https://") {
                continue;
            }
            seen += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => root().join(&path),
                file => root().join(&path).parent().unwrap().join(file),
            };
            assert!(target.exists(), "{path} links to `{link}`, which is not there");
            if !anchor.is_empty() {
                let there = anchors(&fs::read_to_string(&target).unwrap());
                assert!(there.contains(anchor), "{path} links to `{link}`: {there:?}");
            }
        }
    }
    assert!(seen > 20, "only {seen} links were found");
}

#[test]
fn both_readmes_say_the_same() {
    let [english, korean] = READMES.map(read);
    let levels =
        |text: &str| -> Vec<usize> { headings(text).into_iter().map(|(level, _)| level).collect() };
    assert_eq!(levels(&english), levels(&korean));
    let shown = |text: &str| -> Vec<(String, Vec<String>)> {
        let strip = |line: &str| line.split(" #").next().unwrap().trim_end().to_owned();
        let kept = |line: &String| !line.trim_start().starts_with('#') && !line.is_empty();
        blocks(text)
            .into_iter()
            .map(|(language, body)| (language, body.lines().map(strip).filter(kept).collect()))
            .collect()
    };
    assert_eq!(shown(&english), shown(&korean));
    let targets = |text: &str| -> BTreeSet<String> {
        // A picture of the page is in the reader's language.
        let plain = |link: String| link.split('#').next().unwrap().replace("-ko.png", ".png");
        links(text)
            .into_iter()
            .map(plain)
            .filter(|link| !READMES.contains(&link.as_str()))
            .collect()
    };
    assert_eq!(targets(&english), targets(&korean));
    let rows = |text: &str| prose(text).lines().filter(|line| line.starts_with('|')).count();
    assert_eq!(rows(&english), rows(&korean));
    let named = |text: &str| -> BTreeSet<String> { spans(text).into_iter().collect() };
    assert_eq!(named(&english), named(&korean));
}

#[test]
fn the_readme_names_the_paths_that_the_face_has() {
    let described = api::openapi();
    let paths: BTreeSet<&str> =
        described["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let text = read("README.md");
    let told: BTreeSet<String> = spans(&text)
        .into_iter()
        .filter(|span| span.starts_with("/api/v1/") && !span.ends_with("openapi.json"))
        .collect();
    assert!(!told.is_empty());
    for path in &told {
        assert!(paths.contains(path.as_str()), "the face has no `{path}`: {paths:?}");
    }
    for path in paths.iter().filter(|path| path.starts_with("/api/")) {
        let is_description = path.ends_with("openapi.json");
        assert!(is_description || told.contains(*path), "the README does not name `{path}`");
    }
}

#[test]
fn pictures_are_small_and_each_readme_shows_its_own() {
    let pictures: Vec<String> =
        files("docs/pictures").into_iter().filter(|path| path.ends_with(".png")).collect();
    for path in &pictures {
        let picture = fs::read(root().join(path)).unwrap();
        assert!(picture.starts_with(b"\x89PNG"), "{path}");
        assert!(picture.len() < 150_000, "{path}: {} bytes; see scripts/pictures", picture.len());
    }
    let shown: Vec<String> = READMES.iter().flat_map(|readme| links(&read(readme))).collect();
    for path in &pictures {
        assert!(shown.contains(path), "no README shows {path}");
    }
    for (readme, own) in
        READMES.into_iter().zip(["docs/pictures/bands.png", "docs/pictures/bands-ko.png"])
    {
        assert!(pictures.contains(&own.to_owned()), "{own}");
        assert!(links(&read(readme)).contains(&own.to_owned()), "{readme}");
    }
}

#[test]
fn pages_of_sources_are_alike() {
    for kind in costband::collect::SOURCES {
        let text = read(&format!("docs/sources/{}.md", kind.name));
        let second: Vec<String> = headings(&text)
            .into_iter()
            .filter(|(level, _)| *level == 2)
            .map(|(_, heading)| heading)
            .collect();
        let wanted = [
            "How the figure is made",
            "Permissions",
            "What is asked, and what it costs",
            "Endpoints",
            "When it fails",
        ];
        assert_eq!(second, wanted, "{}", kind.name);
        assert_eq!(blocks(&text).first().unwrap().0, "yaml", "{}", kind.name);
        assert!(read("README.md").contains(&format!("docs/sources/{}.md", kind.name)));
    }
}

#[test]
fn versions_agree() {
    let version = env!("CARGO_PKG_VERSION");
    assert!(read("CHANGELOG.md").contains(&format!("## [{version}]")), "CHANGELOG.md");

    let manifest = read("Cargo.toml");
    let wanted = manifest.split("rust-version = \"").nth(1).unwrap().split('"').next().unwrap();
    let numbers =
        |text: &str| -> Vec<u32> { text.split('.').map(|part| part.parse().unwrap()).collect() };
    let dockerfile = read("Dockerfile");
    let image = dockerfile.split(" rust:").nth(1).unwrap().split('-').next().unwrap();
    assert!(numbers(image) >= numbers(wanted), "rust:{image} is older than {wanted}");
    for readme in READMES {
        assert!(read(readme).contains(&format!("Rust {wanted}")), "{readme}");
    }
}

#[test]
fn nothing_names_a_machine_or_a_private_registry() {
    let homes = ["work", "root", "home"].map(|name| format!("/{name}/"));
    for path in files("") {
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        for (line, text) in text.lines().enumerate() {
            for home in &homes {
                let found = text.match_indices(home.as_str()).any(|(at, _)| {
                    let before = text[..at].chars().next_back();
                    before.is_none_or(|c| !c.is_alphanumeric() && !"-_.}/*>".contains(c))
                });
                assert!(!found, "{path}:{}: a path of one machine: {text}", line + 1);
            }
        }
    }
    // Where programs and packages come from.
    let index = "https://github.com/rust-lang/crates.io-index";
    let mut places =
        vec!["Cargo.lock".to_owned(), "Cargo.toml".to_owned(), "Dockerfile".to_owned()];
    for folder in ["scripts", ".ci", "tests/peers"] {
        places.extend(files(folder));
    }
    for path in places {
        let text = read(&path);
        for word in ["index-url", "extra-index", "--registry", "[registries", "replace-with"] {
            assert!(!text.contains(word), "{path} names a registry: {word}");
        }
        for (at, _) in text.match_indices("registry+") {
            let source = &text[at + "registry+".len()..];
            assert!(source.starts_with(index), "{path}: {}", source.lines().next().unwrap());
        }
    }
    assert!(!root().join(".cargo/config.toml").exists());
}
