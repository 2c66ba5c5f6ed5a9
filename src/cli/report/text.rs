//! Text that a terminal shows as what it is: other people's names steer nothing and fit their column.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::domain::money::Money;

/// So many marks without a width of their own are kept on one letter.
const MOST_MARKS: usize = 2;

/// An amount: whole units with thousands separators.
pub fn amount(money: Money) -> String {
    money.grouped(0)
}

/// One line without anything that steers a terminal or turns text around: controls, escapes, line
/// and paragraph ends, marks of writing direction and other invisible letters become `?`. Piles of
/// combining marks are cut.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut marks = 0;
    for letter in text.chars() {
        if is_invisible(letter) {
            out.push('?');
            marks = 0;
        } else if letter.width() == Some(0) {
            marks += 1;
            if marks <= MOST_MARKS {
                out.push(letter);
            }
        } else {
            out.push(letter);
            marks = 0;
        }
    }
    out
}

/// The same of ASCII alone.
pub fn ascii(text: &str) -> String {
    let letter = |letter: char| if letter.is_ascii() { letter } else { '?' };
    plain(text).chars().map(letter).collect()
}

fn is_invisible(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// How many columns a text takes on a terminal.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The beginning of a text that fits so many columns, with `end` where something is cut off.
pub fn cut(text: &str, most: usize, end: &str) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let room = most.saturating_sub(width(end));
    let mut out = String::new();
    let mut taken = 0;
    for letter in text.chars() {
        taken += letter.width().unwrap_or(0);
        if taken > room {
            break;
        }
        out.push(letter);
    }
    if most >= width(end) {
        out.push_str(end);
    }
    out
}

/// A text with spaces up to so many columns after it.
pub fn left(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// The same with the spaces before it.
pub fn right(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(width(text))))
}

/// Breaks a line between words so that each part fits, those after the first set in by `indent`
/// columns. A word that is wider than that is cut.
pub fn wrapped(line: &str, most: usize, indent: usize, end: &str) -> String {
    let mut out = String::new();
    let mut taken = 0;
    for (place, word) in line.split(' ').enumerate() {
        let word = cut(word, most.saturating_sub(indent), end);
        let wide = width(&word);
        if place > 0 && taken + 1 + wide > most {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            taken = indent;
        } else if place > 0 {
            out.push(' ');
            taken += 1;
        }
        out.push_str(&word);
        taken += wide;
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOSTILE: &str =
        "a\u{1b}[31mred\u{1b}]0;title\u{7}\r\n\u{202e}evil\u{2066}\u{200b}\u{9b}2J 한국어";

    #[test]
    fn nothing_of_a_name_steers_the_terminal() {
        assert_eq!(plain(HOSTILE), "a?[31mred?]0;title????evil???2J 한국어");
        assert_eq!(ascii("한 é\u{1b}"), "? ??");
        assert_eq!(plain("z\u{301}\u{301}\u{301}\u{301}"), "z\u{301}\u{301}");
    }

    #[test]
    fn a_column_is_as_wide_as_what_is_shown() {
        assert_eq!(
            (cut("abcdef", 6, "…"), cut("abcdef", 5, "…")),
            ("abcdef".into(), "abcd…".into())
        );
        // A letter of two columns is not halved.
        assert_eq!((cut("한국어", 4, "…"), width("한국어")), ("한…".to_owned(), 6));
        assert_eq!((left("한", 4), right("한", 4)), ("한  ".to_owned(), "  한".to_owned()));
        assert_eq!(wrapped("one two three", 9, 2, "…"), "one two\n  three");
        assert_eq!(wrapped("    one two", 9, 4, "…"), "    one\n    two", "set in from the start");
        assert_eq!(wrapped("one abcdefghijk", 9, 2, "…"), "one\n  abcdef…");
    }

    proptest! {
        #[test]
        fn every_name_fits_and_is_one_line(name in "\\PC{0,40}|[\\s\\S]{0,300}", most in 1_usize..60) {
            let shown = cut(&plain(&name), most, "…");
            prop_assert!(width(&shown) <= most, "{shown:?}");
            prop_assert!(!shown.chars().any(char::is_control), "{shown:?}");
            prop_assert!(ascii(&name).is_ascii());
        }
    }
}
