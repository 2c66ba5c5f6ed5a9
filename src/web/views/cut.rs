//! Long lists: the first rows, and the way to all of them in pages, so that no page grows with a fleet.

use maud::{Markup, html};

use crate::config::file::Language;
use crate::web::link::Place;
use crate::web::reader::Reader;

/// So many rows stand in an overview.
const FIRST: usize = 25;
/// So many stand on a page of all of them.
const PAGE: usize = 50;

/// The words of the query that page through lists. All of one list are shown at a time, so that a page
/// with many long ones stays small.
const LISTS: [&str; 26] = [
    "alerts",
    "bands",
    "budgets",
    "clusters",
    "coverage",
    "ended",
    "expected",
    "firing",
    "fleets",
    "gpus",
    "history",
    "money",
    "nodes",
    "parts",
    "paid",
    "paid-before",
    "pending",
    "pods",
    "prices",
    "said",
    "silences",
    "silent",
    "sources",
    "telemetry",
    "unread",
    "workloads",
];

/// What is shown of a list.
pub(in crate::web) struct Cut<'a, T> {
    /// The rows.
    pub shown: &'a [T],
    /// The rows after the first ones, which one row may stand for; none where all are asked for.
    pub rest: &'a [T],
    /// The word of the query that pages through it.
    key: &'static str,
    /// The page of all of them, from 1; none for the first rows alone.
    page: Option<usize>,
    all: usize,
}

impl<'a, T> Cut<'a, T> {
    /// The part of a list that the address asks for.
    pub(in crate::web) fn of(list: &'a [T], key: &'static str, place: &Place) -> Self {
        debug_assert!(LISTS.contains(&key), "`{key}` is a list of the page");
        let asked: Option<usize> = place.asked(key).and_then(|page| page.parse().ok());
        let page = asked.map(|page| page.clamp(1, list.len().div_ceil(PAGE).max(1)));
        let shown = match page {
            Some(page) => list.chunks(PAGE).nth(page - 1).unwrap_or_default(),
            None => list.get(..FIRST).unwrap_or(list),
        };
        let rest = match page {
            Some(_) => &[],
            None => list.get(shown.len()..).unwrap_or_default(),
        };
        Self { shown, rest, key, page, all: list.len() }
    }

    /// What the row of the rest is called.
    pub(in crate::web) fn rest_name(&self, reader: &Reader) -> String {
        let count = reader.count(self.rest.len());
        match reader.language {
            Language::En => format!("{count} more"),
            Language::Ko => format!("그 외 {count}개"),
        }
    }

    /// Links to the rows that are not shown; nothing where all are.
    pub(in crate::web) fn links(&self, place: &Place, reader: &Reader) -> Markup {
        let pages = self.all.div_ceil(PAGE);
        let to = |page: usize| {
            let page = page.to_string();
            let asked = |key: &'static str| (key, (key == self.key).then_some(page.as_str()));
            place.with_each(&LISTS.map(asked))
        };
        html! {
            @match self.page {
                None if self.all > self.shown.len() => {
                    p { a href=(to(1)) {
                        (all_of_them(self.all, pages > 1, reader))
                    } }
                }
                Some(page) => {
                    p {
                        (reader.count((page - 1) * PAGE + self.shown.len().min(1))) "–"
                        (reader.count((page - 1) * PAGE + self.shown.len()))
                        " / " (reader.count(self.all))
                        @if page > 1 { " · " a href=(to(page - 1)) rel="prev" { (reader.word("Previous", "이전")) } }
                        @if page < pages { " · " a href=(to(page + 1)) rel="next" { (reader.word("Next", "다음")) } }
                        " · " a href=(place.with(self.key, None)) { (reader.word("Fewer", "줄이기")) }
                    }
                }
                None => {}
            }
        }
    }
}

/// What the link to all rows of a list says: whether they stand on one page or on several.
fn all_of_them(count: usize, is_paged: bool, reader: &Reader) -> String {
    let count = reader.count(count);
    match (reader.language, is_paged) {
        (Language::En, true) => format!("Page through all {count}"),
        (Language::En, false) => format!("Show all {count}"),
        (Language::Ko, true) => format!("{count}개 모두 페이지별로 보기"),
        (Language::Ko, false) => format!("{count}개 모두 보기"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_never_shows_more_than_it_can_and_loses_no_row() {
        let all: Vec<usize> = (0..110).collect();
        let cut = |query: &[(&str, &str)]| {
            let word = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            let place = Place::new("/gpu", query.iter().map(word).collect());
            let cut = Cut::of(&all, "nodes", &place);
            (cut.shown.first().copied(), cut.shown.len(), cut.rest.len())
        };
        assert_eq!(cut(&[]), (Some(0), 25, 85));
        assert_eq!(cut(&[("pods", "2")]), (Some(0), 25, 85), "another list's page");
        assert_eq!(cut(&[("nodes", "1")]), (Some(0), 50, 0));
        assert_eq!(cut(&[("nodes", "3")]), (Some(100), 10, 0));
        assert_eq!(cut(&[("nodes", "99")]), (Some(100), 10, 0));
        assert_eq!(cut(&[("nodes", "0")]), (Some(0), 50, 0));
        let none: [usize; 0] = [];
        let none = Cut::of(&none, "nodes", &Place::new("/gpu", vec![("nodes".into(), "2".into())]));
        assert_eq!((none.shown.len(), none.rest.len()), (0, 0));
    }
}
