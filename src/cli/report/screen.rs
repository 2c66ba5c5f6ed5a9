//! What a report may be drawn with: how wide the terminal is, whether it shows colours, and which
//! letters it knows. Bars and lines of small columns are made here; no colour says what no sign says.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::cli::report::text;
use crate::domain::band::BandStatus;

/// Where nothing tells how wide it is.
const USUAL_WIDTH: usize = 80;

/// Where a report is shown.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// How many columns a line has.
    pub width: usize,
    /// Whether colours are shown.
    pub colour: bool,
    /// The letters that are drawn with.
    pub glyphs: &'static Glyphs,
}

/// The letters that charts are drawn with, each one column wide.
#[derive(Debug)]
pub struct Glyphs {
    /// From the least to the most.
    pub levels: [char; 8],
    /// A day that gave money back.
    pub below_zero: char,
    /// What is there,
    pub full: char,
    /// what is expected,
    pub part: char,
    /// and what is left.
    pub rest: char,
    /// The floor and the ceiling.
    pub mark: char,
    /// Under a day that may still grow.
    pub provisional: char,
    /// Where a text was cut.
    pub cut: &'static str,
    /// Whether texts may have other letters than ASCII.
    pub unicode: bool,
}

static UNICODE: Glyphs = Glyphs {
    levels: ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
    below_zero: '-',
    full: '█',
    part: '▒',
    rest: '·',
    mark: '│',
    provisional: '~',
    cut: "…",
    unicode: true,
};

static ASCII: Glyphs = Glyphs {
    levels: ['_', '.', ':', ';', '+', '*', '%', '#'],
    below_zero: '-',
    full: '#',
    part: '=',
    rest: '.',
    mark: '|',
    provisional: '~',
    cut: "..",
    unicode: false,
};

/// What a colour says besides its sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// A status.
    Status(BandStatus),
    /// Less important.
    Dim,
    /// A heading.
    Bold,
}

impl Screen {
    /// Reads the environment: `COLUMNS`, then the terminal's own size; `NO_COLOR` and `TERM=dumb`
    /// turn colours off; the first of `LC_ALL`, `LC_CTYPE` and `LANG` that is set says whether
    /// letters are UTF-8.
    pub fn new(
        is_terminal: bool,
        size: Option<usize>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let columns = set("COLUMNS").and_then(|text| text.parse().ok()).filter(|width| *width > 0);
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        let unicode = locale.contains("utf-8") || locale.contains("utf8");
        Self {
            width: columns.or(size).unwrap_or(USUAL_WIDTH).clamp(40, 240),
            colour: is_terminal
                && set("NO_COLOR").is_none()
                && set("TERM").is_none_or(|kind| kind != "dumb"),
            glyphs: if unicode { &UNICODE } else { &ASCII },
        }
    }

    /// A text of somebody else on one line, cut to so many columns.
    pub fn name(&self, name: &str, most: usize) -> String {
        let shown = if self.glyphs.unicode { text::plain(name) } else { text::ascii(name) };
        text::cut(&shown, most, self.glyphs.cut)
    }

    /// A text in a colour, where there are colours.
    pub fn paint(&self, paint: Paint, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Status(BandStatus::Within) => "32",
            Paint::Status(BandStatus::Above) => "31",
            Paint::Status(BandStatus::Below) => "36",
            Paint::Status(BandStatus::Unknown) => "33",
            Paint::Dim => "2",
            Paint::Bold => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// One column for each amount, as high as its share of the largest; a space for none.
    pub fn columns(&self, amounts: &[Option<Decimal>]) -> Vec<char> {
        let most = amounts.iter().flatten().copied().max().unwrap_or_default();
        let column = |amount: &Option<Decimal>| match amount {
            None => ' ',
            Some(amount) if *amount < Decimal::ZERO => self.glyphs.below_zero,
            Some(amount) => {
                let level =
                    portion(*amount, most).map_or(0, |share| (share * 7.0).round() as usize);
                self.glyphs.levels.get(level).copied().unwrap_or(' ')
            }
        };
        amounts.iter().map(column).collect()
    }

    /// A bar of so many columns: what is there, what is expected beyond it, and marks, each as a
    /// share of the whole.
    pub fn bar(&self, columns: usize, there: f64, expected: f64, marks: &[f64]) -> Vec<char> {
        let place = |share: f64| (share.clamp(0.0, 1.0) * columns as f64).round() as usize;
        // What is more than nothing is seen.
        let there_ends = if there > 0.0 { place(there).max(1) } else { 0 };
        let (there_ends, expected_ends) = (there_ends, place(expected));
        let letter = |at: usize| {
            if at < there_ends {
                self.glyphs.full
            } else if at < expected_ends {
                self.glyphs.part
            } else {
                self.glyphs.rest
            }
        };
        let mut bar: Vec<char> = (0..columns).map(letter).collect();
        for mark in marks {
            if let Some(held) = bar.get_mut(place(*mark).min(columns.saturating_sub(1))) {
                *held = self.glyphs.mark;
            }
        }
        bar
    }
}

/// A part of a whole, 0 to 1 and beyond; none of a whole that is not above zero.
pub fn portion(part: Decimal, whole: Decimal) -> Option<f64> {
    if whole <= Decimal::ZERO {
        return None;
    }
    part.checked_div(whole)?.to_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(terminal: bool, size: Option<usize>, variables: &[(&str, &str)]) -> Screen {
        let held = |name: &str| {
            variables.iter().find(|(held, _)| *held == name).map(|(_, value)| (*value).to_owned())
        };
        Screen::new(terminal, size, held)
    }

    fn amounts(amounts: &[i64]) -> Vec<Option<Decimal>> {
        amounts.iter().map(|amount| Some(Decimal::from(*amount))).collect()
    }

    #[test]
    fn the_environment_says_what_may_be_drawn() {
        let utf8 = ("LANG", "ko_KR.UTF-8");
        let plain = screen(false, None, &[utf8]);
        assert_eq!((plain.width, plain.colour, plain.glyphs.unicode), (80, false, true));
        assert!(screen(true, None, &[utf8]).colour);
        assert!(!screen(true, None, &[utf8, ("NO_COLOR", "1")]).colour);
        assert!(screen(true, None, &[utf8, ("NO_COLOR", "")]).colour, "empty is not set");
        assert!(!screen(true, None, &[utf8, ("TERM", "dumb")]).colour);
        assert!(!screen(true, None, &[utf8, ("LC_ALL", "C")]).glyphs.unicode);
        assert!(!screen(true, None, &[]).glyphs.unicode);
        assert_eq!(screen(true, Some(100), &[]).width, 100);
        assert_eq!(screen(true, Some(100), &[("COLUMNS", "120")]).width, 120);
        assert_eq!(screen(true, Some(3), &[("COLUMNS", "no")]).width, 40);
    }

    #[test]
    fn columns_are_as_high_as_their_day() {
        let screen = screen(false, None, &[("LANG", "C.UTF-8")]);
        let mut days = amounts(&[0, 1, 50, 100, -3]);
        days.insert(1, None);
        assert_eq!(String::from_iter(screen.columns(&days)), "▁ ▁▅█-");
        assert_eq!(String::from_iter(screen.columns(&amounts(&[0, 0]))), "▁▁");
        assert_eq!(String::from_iter(screen.columns(&[None, None])), "  ");
    }

    #[test]
    fn a_bar_has_its_marks_where_they_are() {
        let screen = screen(false, None, &[("LANG", "C.UTF-8")]);
        let drawn = |there, expected, marks: &[f64]| {
            String::from_iter(screen.bar(10, there, expected, marks))
        };
        assert_eq!(drawn(0.3, 0.6, &[0.4, 0.8]), "███▒│▒··│·");
        assert_eq!(drawn(0.001, 0.0, &[]), "█·········", "a little is not nothing");
        assert_eq!(drawn(0.0, 0.0, &[0.0, 1.0]), "│········│");
        assert_eq!(drawn(9.0, 9.0, &[0.5]), "█████│████");
    }
}
