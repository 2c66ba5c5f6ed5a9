//! The house as `src/lib.rs` draws it: which room may import which, and how large a file may grow.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each room and the rooms that it may import besides itself.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("snapshot", &["domain"]),
    ("analyse", &["domain"]),
    ("config", &["domain"]),
    ("telemetry", &["domain"]),
    ("runtime", &["domain"]),
    ("store", &["domain"]),
    ("kubernetes", &["domain"]),
    ("simulate", &["domain"]),
    ("collect", &["config", "domain"]),
    ("export", &["domain", "snapshot", "telemetry"]),
    ("notify", &["config", "domain"]),
    ("outbox", &["domain", "notify", "telemetry"]),
    ("web", &["config", "domain", "export", "runtime", "snapshot", "telemetry"]),
];
/// The rooms that put the others together.
const COMPOSERS: &[&str] = &["app", "cli", "main", "lib"];
const MOST_LINES: usize = 500;

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    assert!(found.len() > 50, "the house has more files than {}", found.len());
    found
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path.strip_prefix(&root).unwrap().to_path_buf(), text)
        })
        .collect()
}

fn room(path: &Path) -> String {
    let first = path.iter().next().unwrap().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms that a file names with `crate::`.
fn imports(text: &str) -> BTreeSet<String> {
    text.match_indices("crate::")
        .filter(|(at, _)| !text[..*at].ends_with('$'))
        .map(|(at, prefix)| {
            let rest = &text[at + prefix.len()..];
            rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect()
        })
        .filter(|room: &String| !room.is_empty())
        .collect()
}

#[test]
fn every_import_follows_an_arrow_of_the_drawing() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let from = room(&path);
        if COMPOSERS.contains(&from.as_str()) {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == from) else {
            wrong.push(format!("{}: the room `{from}` is not drawn", path.display()));
            continue;
        };
        for to in imports(&text) {
            if to != from && !allowed.contains(&to.as_str()) {
                wrong.push(format!("{}: {from} -> {to}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that nobody drew:\n{}", wrong.join("\n"));
}

#[test]
fn the_pure_rooms_have_no_clock_no_runtime_and_no_socket() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if !matches!(room(&path).as_str(), "domain" | "analyse") {
            continue;
        }
        for banned in ["tokio::", "reqwest", "axum", "std::fs", "std::net", "::now()", "rusqlite"] {
            if text.contains(banned) {
                wrong.push(format!("{}: {banned}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "not pure:\n{}", wrong.join("\n"));
}

#[test]
fn no_file_outgrows_its_room() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if path.ends_with("tests.rs") {
            continue;
        }
        let lines = text.split("\n#[cfg(test)]").next().unwrap_or_default().lines().count();
        if lines > MOST_LINES {
            wrong.push(format!("{}: {lines} lines", path.display()));
        }
        assert!(!path.ends_with("mod.rs"), "{}: foo.rs stands beside foo/", path.display());
        assert!(text.starts_with("//!"), "{}: a file says first what it is for", path.display());
    }
    assert!(wrong.is_empty(), "more than {MOST_LINES} lines of code:\n{}", wrong.join("\n"));
}
