//! Long lists: the first rows, and the way to all of them in pages, so that no page grows with a fleet.

use maud::{Markup, html};

use crate::web::link::Place;
use crate::web::reader::Reader;
use crate::web::views::rows::all_of_them;

/// So many rows stand in an overview.
const FIRST: usize = 25;
/// So many stand on a page of all of them.
const PAGE: usize = 50;

/// What is shown of a list.
pub(in crate::web) struct Cut<'a, T> {
    /// The rows.
    pub shown: &'a [T],
    /// The word of the query that pages through it.
    key: &'static str,
    /// The page of all of them, from 1; none for the first rows alone.
    page: Option<usize>,
    all: usize,
}

impl<'a, T> Cut<'a, T> {
    /// The part of a list that the address asks for.
    pub(in crate::web) fn of(list: &'a [T], key: &'static str, place: &Place) -> Self {
        let asked: Option<usize> = place.asked(key).and_then(|page| page.parse().ok());
        let page = asked.map(|page| page.clamp(1, list.len().div_ceil(PAGE).max(1)));
        let shown = match page {
            Some(page) => list.chunks(PAGE).nth(page - 1).unwrap_or_default(),
            None => list.get(..FIRST).unwrap_or(list),
        };
        Self { shown, key, page, all: list.len() }
    }

    /// Links to the rows that are not shown; nothing where all are.
    pub(in crate::web) fn links(&self, place: &Place, reader: &Reader) -> Markup {
        let pages = self.all.div_ceil(PAGE);
        let to = |page: usize| place.with(self.key, Some(&page.to_string()));
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
