//! Figures and names as people of a language read them, and texts of others made harmless.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::config::file::Language;
use crate::domain::alert::{AlertRule, Figure, FigureName, Severity};
use crate::domain::money::Money;
use crate::domain::period::BillingPeriod;

/// How much of somebody else's name is repeated.
const LONGEST_NAME: usize = 120;
/// How much of somebody else's sentence is repeated.
const LONGEST_TEXT: usize = 300;

/// A name on one line, without what turns the reading direction or cannot be seen.
pub(super) fn name(text: &str) -> String {
    one_line(text, LONGEST_NAME)
}

/// A text on one line, at most so many characters of it.
pub(super) fn one_line(text: &str, most: usize) -> String {
    let mut line = String::new();
    for c in text.chars().filter(|c| !is_hidden(*c)) {
        let c = if c.is_control() || c.is_whitespace() { ' ' } else { c };
        if !(c == ' ' && line.ends_with(' ')) {
            line.push(c);
        }
    }
    shorten(line.trim(), most)
}

/// At most so many characters, the last of which tells that some are missing.
pub(super) fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Marks of direction, joiners without width and the like: with them a name shows as another one.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}' | '\u{00ad}')
}

/// A figure as people read it.
pub(super) fn figure(name: FigureName, figure: &Figure, language: Language) -> String {
    let is_factor = matches!(
        name,
        FigureName::BurnOneDay | FigureName::BurnThreeDays | FigureName::BurnSevenDays
    );
    match figure {
        Figure::Money(amount) => money(*amount),
        Figure::Ratio(factor) if is_factor => format!("{factor:.1}"),
        Figure::Ratio(sigmas) if name == FigureName::Sigmas => format!("{sigmas:.1}"),
        Figure::Ratio(share) => percent(*share),
        Figure::Count(count) => grouped(*count),
        Figure::Hours(hours) => match language {
            Language::En if format!("{hours:.0}") == "1" => "1 hour".to_owned(),
            Language::En => format!("{hours:.0} hours"),
            Language::Ko => format!("{hours:.0}시간"),
        },
        Figure::Day(date) => day(*date, language),
        Figure::At(at) => instant(*at, language),
        Figure::Text(text) => one_line(text, LONGEST_TEXT),
    }
}

/// An amount with its currency, thousands apart.
pub(super) fn money(amount: Money) -> String {
    // These have no smaller unit.
    let whole = matches!(amount.currency.as_str(), "JPY" | "KRW" | "VND" | "CLP" | "ISK");
    amount.grouped(if whole { 0 } else { 2 })
}

/// A share of one as a percentage.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent != 0.0 && percent.abs() < 10.0 {
        format!("{percent:.1}%")
    } else {
        format!("{percent:.0}%")
    }
}

fn grouped(count: i64) -> String {
    let text = Money::new(Decimal::from(count), crate::domain::money::Currency::USD).grouped(0);
    text.trim_end_matches(" USD").to_owned()
}

/// A day.
pub(super) fn day(day: Date, language: Language) -> String {
    match language {
        Language::En => day.strftime("%-d %B %Y").to_string(),
        Language::Ko => format!("{}년 {}월 {}일", day.year(), day.month(), day.day()),
    }
}

/// An instant, in UTC.
pub(super) fn instant(at: Timestamp, language: Language) -> String {
    let at = jiff::tz::TimeZone::UTC.to_datetime(at);
    format!("{} {} UTC", day(at.date(), language), at.strftime("%H:%M"))
}

/// A billing month.
pub(super) fn month(period: BillingPeriod, language: Language) -> String {
    let first = period.first_day();
    match language {
        Language::En => first.strftime("%B %Y").to_string(),
        Language::Ko => format!("{}년 {}월", first.year(), first.month()),
    }
}

/// How much it matters.
pub(super) fn severity(severity: Severity, language: Language) -> &'static str {
    match (severity, language) {
        (Severity::Critical, Language::En) => "critical",
        (Severity::Warning, Language::En) => "warning",
        (Severity::Info, Language::En) => "info",
        (Severity::Critical, Language::Ko) => "긴급",
        (Severity::Warning, Language::Ko) => "경고",
        (Severity::Info, Language::Ko) => "정보",
    }
}

/// A rule's name for Alertmanager: `CostbandCeilingForecast`.
pub(super) fn alert_name(rule: AlertRule) -> String {
    let mut name = "Costband".to_owned();
    for part in rule.as_str().split('_') {
        let mut letters = part.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}
