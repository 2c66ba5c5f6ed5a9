//! A streaming reader of the Prometheus text format (exposition format 0.0.4, and OpenMetrics as
//! far as it is the same): chunks of a body in, one borrowed line at a time out.
//!
//! Kept crates (`prometheus-parse`, `openmetrics-parser`) want the whole page as one text and make
//! a map of owned labels for each sample; here a chunk and one line are held, and labels are read
//! only of metrics that somebody wants.

use std::borrow::Cow;

/// A page larger than this is not a node's telemetry.
pub const LARGEST_PAGE: usize = 16 << 20;
/// A line longer than this is not a sample.
pub const LONGEST_LINE: usize = 64 << 10;

/// Why a page cannot be read. Lines are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAPage {
    /// A line is not the format.
    #[error("line {line} is not a metric sample: {reason}")]
    Line {
        /// Its number.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A line has no end within [`LONGEST_LINE`].
    #[error("line {line} is longer than 64 KiB")]
    LongLine {
        /// Its number.
        line: usize,
    },
    /// The last line has no line feed, which the format asks for.
    #[error("it ends in the middle of line {line}: it was cut on its way here")]
    Cut {
        /// The line that was cut.
        line: usize,
    },
    /// Bytes that are no text.
    #[error("line {line} is not UTF-8")]
    NotUtf8 {
        /// The line that holds them.
        line: usize,
    },
    /// A page for people.
    #[error("it is HTML instead of metrics; is its path the exporter's `/metrics`?")]
    Html,
    /// More than [`LARGEST_PAGE`].
    #[error("the page is larger than 16 MiB")]
    TooLarge,
}

/// A label's value as it stands on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Value<'a> {
    /// A text as it is meant, with nothing escaped in it.
    pub fn plain(text: &'a str) -> Self {
        Self { raw: text, escaped: false }
    }

    /// Whether nothing stands between the quotes.
    pub fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    /// Whether it stands on the page as one of these.
    pub fn raw_is(self, any: &[&str]) -> bool {
        any.contains(&self.raw)
    }

    /// The text; copied only where it holds a backslash.
    pub fn text(self) -> Cow<'a, str> {
        if !self.escaped {
            return Cow::Borrowed(self.raw);
        }
        let mut text = String::with_capacity(self.raw.len());
        let mut characters = self.raw.chars();
        while let Some(c) = characters.next() {
            if c != '\\' {
                text.push(c);
                continue;
            }
            match characters.next() {
                Some('n') => text.push('\n'),
                Some(escaped @ ('\\' | '"')) => text.push(escaped),
                Some(other) => text.extend(['\\', other]),
                None => text.push('\\'),
            }
        }
        Cow::Owned(text)
    }
}

/// A line that begins like a sample. Labels and value are not looked at before [`Line::read`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The metric's name.
    pub name: &'a str,
    rest: &'a str,
}

impl<'a> Line<'a> {
    fn new(line: &'a str) -> Result<Self, &'static str> {
        let bytes = line.as_bytes();
        let end = bytes
            .iter()
            .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b':')))
            .unwrap_or(bytes.len());
        if end == 0 || bytes.first().is_some_and(u8::is_ascii_digit) {
            return Err("there is no metric name");
        }
        let (name, rest) = line.split_at(end);
        match rest.as_bytes().first() {
            Some(b'{' | b' ' | b'\t') => Ok(Self { name, rest: rest.trim_ascii_start() }),
            Some(_) => Err("the metric name is not well formed"),
            None => Err("there is no value"),
        }
    }

    /// Hands out the labels in their order; gives their text from brace to brace, empty for none,
    /// and the value.
    ///
    /// # Errors
    /// What is wrong with the line; labels before it were handed out.
    pub fn read(
        &self,
        mut label: impl FnMut(&'a str, Value<'a>),
    ) -> Result<(&'a str, f64), &'static str> {
        let mut rest = self.rest;
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside.trim_ascii_start();
            loop {
                if let Some(after) = rest.strip_prefix('}') {
                    rest = after;
                    break;
                }
                let end = rest
                    .bytes()
                    .position(|b| !(b.is_ascii_alphanumeric() || b == b'_'))
                    .ok_or("a label has no value")?;
                if end == 0 {
                    return Err("a label's name is not well formed");
                }
                let (name, after) = rest.split_at(end);
                let after =
                    after.trim_ascii_start().strip_prefix('=').ok_or("a label has no value")?;
                let after =
                    after.trim_ascii_start().strip_prefix('"').ok_or("a label is not quoted")?;
                let (value, after) = quoted(after).ok_or("a label's value has no end")?;
                label(name, value);
                rest = after.trim_ascii_start();
                match rest.strip_prefix(',') {
                    Some(after) => rest = after.trim_ascii_start(),
                    None if rest.starts_with('}') => {}
                    None => return Err("labels are not separated by commas"),
                }
            }
        }
        let labels = self.rest.get(..self.rest.len() - rest.len()).unwrap_or_default();
        Ok((labels, number(rest)?))
    }

    /// The value, where the labels have this text, as an earlier line told it.
    pub fn value_after(&self, labels: &str) -> Option<Result<f64, &'static str>> {
        self.rest.strip_prefix(labels).map(number)
    }
}

/// The value behind the labels, which may be infinite or not a number. A timestamp and an exemplar
/// are passed over.
fn number(rest: &str) -> Result<f64, &'static str> {
    let mut fields = rest.split_ascii_whitespace();
    let value = fields.next().ok_or("there is no value")?;
    let value = value.parse().map_err(|_| "the value is not a number")?;
    match fields.next() {
        None => return Ok(value),
        Some(exemplar) if exemplar.starts_with('#') => return Ok(value),
        Some(timestamp) if timestamp.parse::<f64>().is_ok() => {}
        Some(_) => return Err("there is more behind the value than a timestamp"),
    }
    match fields.next() {
        Some(more) if !more.starts_with('#') => {
            Err("there is more behind the value than a timestamp")
        }
        _ => Ok(value),
    }
}

/// The value up to the closing quote, and what follows it.
fn quoted(text: &str) -> Option<(Value<'_>, &str)> {
    let bytes = text.as_bytes();
    let mut escaped = false;
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            b'"' => {
                let raw = text.get(..at)?;
                return Some((Value { raw, escaped }, text.get(at + 1..)?));
            }
            b'\\' => {
                escaped = true;
                at += 2;
            }
            _ => at += 1,
        }
    }
}

/// Reads a page that comes in pieces, however it was cut into them. Holds the line that a piece
/// left unfinished and nothing else.
#[derive(Debug, Default)]
pub struct Reader {
    unfinished: Vec<u8>,
    lines: usize,
    bytes: usize,
    begun: bool,
    ended: bool,
}

impl Reader {
    /// A reader at the beginning of a page.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece and hands out every sample line that it completes. Comments and blank
    /// lines are passed over.
    ///
    /// # Errors
    /// [`NotAPage`]; the page is then of no use.
    pub fn feed(
        &mut self,
        mut piece: &[u8],
        mut visit: impl FnMut(Line<'_>) -> Result<(), &'static str>,
    ) -> Result<(), NotAPage> {
        self.bytes = self.bytes.saturating_add(piece.len());
        if self.bytes > LARGEST_PAGE {
            return Err(NotAPage::TooLarge);
        }
        if !self.unfinished.is_empty() {
            let Some(end) = piece.iter().position(|b| *b == b'\n') else {
                return self.keep(piece);
            };
            let (first, rest) = piece.split_at(end + 1);
            self.keep(first)?;
            let mut line = std::mem::take(&mut self.unfinished);
            self.lines_of(&line, &mut visit)?;
            line.clear();
            self.unfinished = line;
            piece = rest;
        }
        let whole = piece.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        let (whole, rest) = piece.split_at(whole);
        self.lines_of(whole, &mut visit)?;
        self.keep(rest)
    }

    /// Ends the page.
    ///
    /// # Errors
    /// [`NotAPage::Cut`] where the last line is unfinished. `# EOF` needs no line feed.
    pub fn finish(mut self) -> Result<(), NotAPage> {
        let rest = std::mem::take(&mut self.unfinished);
        if rest.trim_ascii().is_empty() || rest.trim_ascii() == b"# EOF" {
            return Ok(());
        }
        if !self.begun && rest.trim_ascii().starts_with(b"<") {
            return Err(NotAPage::Html);
        }
        Err(NotAPage::Cut { line: self.lines + 1 })
    }

    /// Keeps the beginning of a line, or adds to it.
    fn keep(&mut self, piece: &[u8]) -> Result<(), NotAPage> {
        if self.unfinished.len() + piece.len() > LONGEST_LINE {
            return Err(NotAPage::LongLine { line: self.lines + 1 });
        }
        self.unfinished.extend_from_slice(piece);
        Ok(())
    }

    /// Reads lines that all have their line feed.
    fn lines_of(
        &mut self,
        whole: &[u8],
        visit: &mut impl FnMut(Line<'_>) -> Result<(), &'static str>,
    ) -> Result<(), NotAPage> {
        let (text, broken) = match std::str::from_utf8(whole) {
            Ok(text) => (text, false),
            Err(error) => {
                let good = whole.get(..error.valid_up_to()).unwrap_or_default();
                let end = good.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
                let good = good.get(..end).unwrap_or_default();
                (std::str::from_utf8(good).unwrap_or_default(), true)
            }
        };
        for line in text.split_terminator('\n') {
            if line.len() >= LONGEST_LINE {
                return Err(NotAPage::LongLine { line: self.lines + 1 });
            }
            self.lines += 1;
            self.line(line.trim_ascii(), visit)?;
        }
        if broken { Err(NotAPage::NotUtf8 { line: self.lines + 1 }) } else { Ok(()) }
    }

    fn line(
        &mut self,
        line: &str,
        visit: &mut impl FnMut(Line<'_>) -> Result<(), &'static str>,
    ) -> Result<(), NotAPage> {
        if line.is_empty() {
            return Ok(());
        }
        if !self.begun {
            self.begun = true;
            if line.starts_with('<') {
                return Err(NotAPage::Html);
            }
        }
        let wrong = |reason| NotAPage::Line { line: self.lines, reason };
        if self.ended {
            return Err(wrong("there is more behind `# EOF`"));
        }
        if line.starts_with('#') {
            self.ended = line == "# EOF";
            return Ok(());
        }
        Line::new(line).and_then(visit).map_err(wrong)
    }
}

#[cfg(test)]
mod tests;
