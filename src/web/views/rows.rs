//! Long lists: a page shows the first rows and what the rest sums to, and all of them page by page
//! where its reader asks for them.

use maud::{Markup, html};

use crate::config::file::Language;
use crate::web::link::Place;
use crate::web::reader::Reader;

/// So many rows are shown at first.
const FIRST: usize = 25;
/// So many at once of all.
const AT_ONCE: usize = 200;

/// The rows of a list that are shown.
pub(super) struct Rows<'a, T> {
    /// The name of the list in addresses.
    list: &'static str,
    all: &'a [T],
    /// The place of the first row that is shown.
    from: usize,
    /// Where all are asked for, page by page.
    opened: bool,
}

impl<'a, T> Rows<'a, T> {
    /// Chooses by the address: `all=list` and `page=2`.
    pub(super) fn of(list: &'static str, all: &'a [T], place: &Place) -> Self {
        let opened = place.asked("all") == Some(list) && all.len() > FIRST;
        let page = place.asked("page").and_then(|page| page.parse::<usize>().ok()).unwrap_or(1);
        let last = all.len().saturating_sub(1) / AT_ONCE;
        let from = if opened { page.saturating_sub(1).min(last) * AT_ONCE } else { 0 };
        Self { list, all, from, opened }
    }

    /// The rows.
    pub(super) fn shown(&self) -> &'a [T] {
        let most = if self.opened { AT_ONCE } else { FIRST };
        let until = self.from.saturating_add(most).min(self.all.len());
        self.all.get(self.from..until).unwrap_or_default()
    }

    /// The rows after the first ones, which one row stands for; none where all are asked for.
    pub(super) fn rest(&self) -> &'a [T] {
        if self.opened { &[] } else { self.all.get(FIRST..).unwrap_or_default() }
    }

    /// What the row of the rest is called.
    pub(super) fn rest_name(&self, reader: &Reader) -> String {
        let count = reader.count(self.rest().len());
        match reader.language {
            Language::En => format!("{count} more"),
            Language::Ko => format!("그 외 {count}개"),
        }
    }

    /// Links to all rows, to the next ones, and back.
    pub(super) fn links(&self, place: &Place, reader: &Reader) -> Markup {
        let count = self.all.len();
        let until = self.from + self.shown().len();
        let page = |from: usize| (from / AT_ONCE + 1).to_string();
        html! {
            @if count > FIRST {
                p.pages {
                    @if self.opened {
                        (reader.count(self.from + 1)) "–" (reader.count(until)) " / " (reader.count(count)) " "
                        @if self.from > 0 {
                            a rel="prev" href=(place.with("page", Some(&page(self.from - AT_ONCE)))) {
                                (reader.word("Previous", "이전"))
                            } " "
                        }
                        @if until < count {
                            a rel="next" href=(place.with("page", Some(&page(self.from + AT_ONCE)))) {
                                (reader.word("Next", "다음"))
                            } " "
                        }
                        a href=(place.with_each(&[("all", None), ("page", None)])) { (reader.word("Only the first ones", "처음 항목만")) }
                    } @else {
                        // The page of another list is none of this one.
                        a href=(place.with_each(&[("all", Some(self.list)), ("page", None)])) {
                            (all_of_them(count, count > AT_ONCE, reader))
                        }
                    }
                }
            }
        }
    }
}

/// What the link to all rows of a list says: whether they stand on one page or on several.
pub(super) fn all_of_them(count: usize, is_paged: bool, reader: &Reader) -> String {
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
        let all: Vec<usize> = (0..450).collect();
        let rows = |query: &[(&str, &str)]| {
            let word = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            let place = Place::new("/gpu", query.iter().map(word).collect());
            let rows = Rows::of("nodes", &all, &place);
            (rows.shown().first().copied(), rows.shown().len(), rows.rest().len())
        };
        assert_eq!(rows(&[]), (Some(0), 25, 425));
        assert_eq!(rows(&[("all", "workloads"), ("page", "2")]), (Some(0), 25, 425));
        assert_eq!(rows(&[("all", "nodes")]), (Some(0), 200, 0));
        assert_eq!(rows(&[("all", "nodes"), ("page", "3")]), (Some(400), 50, 0));
        assert_eq!(rows(&[("all", "nodes"), ("page", "99")]), (Some(400), 50, 0));
        let few = [1, 2];
        let few = Rows::of("nodes", &few, &Place::new("/gpu", Vec::new()));
        assert_eq!((few.shown().len(), few.rest().len()), (2, 0));
    }
}
