//! Addresses of views. Every view has one that can be sent to somebody else.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::file::Language;

/// What stands for itself in a segment or a query (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The place that a page is shown at: links are relative to it, so that they hold behind a proxy that
/// serves the agent under a path of its own.
#[derive(Debug, Clone)]
pub struct Place {
    path: String,
    query: Vec<(String, String)>,
    /// The language that the reader chose.
    pub chosen: Option<Language>,
    /// Whether the page is loaded anew each minute without script.
    pub reloads: bool,
}

impl Place {
    /// The place of a request: its path and its query, decoded, without the words of the page itself.
    pub fn new(path: &str, query: Vec<(String, String)>) -> Self {
        let said = |key: &str| query.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        let chosen = said("lang").and_then(|tag| match tag.as_str() {
            "en" => Some(Language::En),
            "ko" => Some(Language::Ko),
            _ => None,
        });
        let reloads = said("reload").is_some();
        let own = |(key, _): &(String, String)| key != "lang" && key != "reload";
        Self {
            path: path.to_owned(),
            query: query.into_iter().filter(own).collect(),
            chosen,
            reloads,
        }
    }

    /// The way to the face's root.
    pub fn root(&self) -> String {
        match self.path.matches('/').count() {
            0 | 1 => "./".to_owned(),
            depth => "../".repeat(depth - 1),
        }
    }

    /// A link to a path of segments, with a query; language and reloading are carried on.
    pub fn to(&self, segments: &[&str], query: &[(&str, &str)]) -> String {
        let query = query.iter().map(|(key, value)| (*key, *value));
        self.write(&path(segments), query, self.chosen, self.reloads)
    }

    /// This very view.
    pub fn here(&self) -> String {
        self.write(&self.own_path(), self.own_query(), self.chosen, self.reloads)
    }

    /// This very view in a language.
    pub fn in_language(&self, language: Language) -> String {
        self.write(&self.own_path(), self.own_query(), Some(language), self.reloads)
    }

    /// This very view, loaded anew each minute or not.
    pub fn reloading(&self, reloads: bool) -> String {
        self.write(&self.own_path(), self.own_query(), self.chosen, reloads)
    }

    /// This very view with one word of its query changed; none takes it out.
    pub fn with(&self, key: &str, value: Option<&str>) -> String {
        self.with_each(&[(key, value)])
    }

    /// This very view with some words of its query changed; none takes a word out.
    pub fn with_each(&self, changes: &[(&str, Option<&str>)]) -> String {
        let is_changed = |name: &str| changes.iter().any(|(key, _)| *key == name);
        let others = self.own_query().filter(|(name, _)| !is_changed(name));
        let changed = changes.iter().filter_map(|(key, value)| Some((*key, (*value)?)));
        self.write(&self.own_path(), others.chain(changed), self.chosen, self.reloads)
    }

    /// A word of the query.
    pub fn asked(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str())
    }

    /// The words that say which view it is: what came of a form is told once.
    fn own_query(&self) -> impl Iterator<Item = (&str, &str)> {
        let told_once = |key: &str| key == "problem";
        let words = self.query.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        words.filter(move |(key, _)| !told_once(key))
    }

    fn own_path(&self) -> String {
        self.path.trim_start_matches('/').to_owned()
    }

    fn write<'a>(
        &self,
        path: &str,
        query: impl Iterator<Item = (&'a str, &'a str)>,
        language: Option<Language>,
        reloads: bool,
    ) -> String {
        let language = language.map(|language| ("lang", language.tag()));
        let all = query.chain(language).chain(reloads.then_some(("reload", "1")));
        let words: Vec<String> =
            all.map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
        let mark = if words.is_empty() { "" } else { "?" };
        format!("{}{path}{mark}{}", self.root(), words.join("&"))
    }
}

fn path(segments: &[&str]) -> String {
    segments.iter().map(|segment| encode(segment)).collect::<Vec<_>>().join("/")
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_relative_and_carry_what_the_reader_chose() {
        let word = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let place = Place::new("/spend/aws", vec![word("lang", "ko"), word("by", "region_id")]);
        assert_eq!(place.to(&["bands", "a/b ?"], &[]), "../bands/a%2Fb%20%3F?lang=ko");
        assert_eq!(place.to(&[], &[]), "../?lang=ko");
        assert_eq!(place.in_language(Language::En), "../spend/aws?by=region_id&lang=en");
        assert_eq!(place.with("by", None), "../spend/aws?lang=ko");
        assert_eq!(place.with("by", Some("x&y")), "../spend/aws?by=x%26y&lang=ko");
        assert_eq!(place.reloading(true), "../spend/aws?by=region_id&lang=ko&reload=1");
        assert_eq!(Place::new("/", Vec::new()).to(&["gpu"], &[]), "./gpu");
    }
}
