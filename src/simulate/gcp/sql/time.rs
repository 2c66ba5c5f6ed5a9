//! Dates and instants as GoogleSQL reads, writes, cuts and moves them.

use std::sync::Arc;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp, ToSpan, Unit};

use super::SqlError;
use super::value::Value;

/// A time zone by IANA name or offset (`+09:00`).
///
/// # Errors
/// `Invalid time zone: x`.
pub fn zone(name: &str) -> Result<TimeZone, SqlError> {
    let wrong = || SqlError::invalid(format!("Invalid time zone: {name}"));
    if let Some(sign) = name.chars().next().filter(|c| matches!(c, '+' | '-')) {
        let (hours, minutes) = name[1..].split_once(':').unwrap_or((&name[1..], "0"));
        let hours: i32 = hours.parse().map_err(|_| wrong())?;
        let minutes: i32 = minutes.parse().map_err(|_| wrong())?;
        let seconds = (hours * 60 + minutes) * 60 * if sign == '-' { -1 } else { 1 };
        return Offset::from_seconds(seconds).map(TimeZone::fixed).map_err(|_| wrong());
    }
    if name.eq_ignore_ascii_case("UTC") {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| wrong())
}

/// The instant of a civil time in a zone: the later offset in a gap, the earlier in a fold.
///
/// # Errors
/// Outside the years that BigQuery knows.
pub fn instant(civil: DateTime, zone: &TimeZone) -> Result<Timestamp, SqlError> {
    zone.to_ambiguous_zoned_datetime(civil)
        .compatible()
        .map(|zoned| zoned.timestamp())
        .map_err(|_| SqlError::invalid(format!("Cannot convert {civil} to TIMESTAMP")))
}

/// The civil time of an instant in a zone.
pub fn civil(at: Timestamp, zone: &TimeZone) -> DateTime {
    zone.to_datetime(at)
}

/// Reads `2026-11-01`.
///
/// # Errors
/// `Invalid date: 'x'`.
pub fn parse_date(text: &str) -> Result<Date, SqlError> {
    date_of(text.trim()).ok_or_else(|| SqlError::invalid(format!("Invalid date: '{text}'")))
}

fn date_of(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '-');
    let year = parts.next().filter(|year| year.len() == 4)?.parse().ok()?;
    let month = parts.next()?.parse().ok()?;
    let day = parts.next()?.parse().ok()?;
    Date::new(year, month, day).ok()
}

fn time_of(text: &str) -> Option<Time> {
    let mut parts = text.splitn(3, ':');
    let hour = parts.next()?.parse().ok()?;
    let minute = parts.next()?.parse().ok()?;
    let (second, fraction) = match parts.next() {
        Some(second) => second.split_once('.').unwrap_or((second, "")),
        None => ("0", ""),
    };
    if fraction.len() > 6 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let nanoseconds = format!("{fraction:0<9}").parse().ok()?;
    Time::new(hour, minute, second.parse().ok()?, nanoseconds).ok()
}

/// Splits a civil time from a zone that follows it.
fn split(text: &str) -> Option<(DateTime, &str)> {
    let text = text.trim();
    let end = text.find([' ', 'T', 't']).unwrap_or(text.len());
    let date = date_of(text.get(..end)?)?;
    let rest = text.get(end..)?.trim_start_matches([' ', 'T', 't']);
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == ':' || c == '.'));
    let (time, zone) = rest.split_at(end.unwrap_or(rest.len()));
    let time = if time.is_empty() { Time::midnight() } else { time_of(time)? };
    Some((date.to_datetime(time), zone.trim()))
}

/// Reads `2026-11-01 00:00:00[.ffffff][ zone]`; a bare date is midnight.
///
/// # Errors
/// `Invalid timestamp: 'x'`, or a wrong zone.
pub fn parse_timestamp(text: &str, default: &TimeZone) -> Result<Timestamp, SqlError> {
    let (civil, name) =
        split(text).ok_or_else(|| SqlError::invalid(format!("Invalid timestamp: '{text}'")))?;
    match name {
        "" => instant(civil, default),
        "Z" | "z" => instant(civil, &TimeZone::UTC),
        name => instant(civil, &zone(name)?),
    }
}

/// Reads a civil time.
///
/// # Errors
/// `Invalid datetime string "x"`.
pub fn parse_datetime(text: &str) -> Result<DateTime, SqlError> {
    match split(text) {
        Some((civil, "")) => Ok(civil),
        _ => Err(SqlError::invalid(format!("Invalid datetime string \"{text}\""))),
    }
}

fn fraction(nanosecond: i32) -> String {
    let microseconds = nanosecond / 1_000;
    if microseconds == 0 {
        String::new()
    } else if microseconds % 1_000 == 0 {
        format!(".{:03}", microseconds / 1_000)
    } else {
        format!(".{microseconds:06}")
    }
}

/// Writes an instant as CAST does: `2026-11-01 00:00:00+00`.
pub fn timestamp_text(at: Timestamp, zone: &TimeZone) -> String {
    let civil = zone.to_datetime(at);
    let seconds = zone.to_offset(at).seconds();
    let (sign, seconds) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let minutes = if minutes == 0 { String::new() } else { format!(":{minutes:02}") };
    format!(
        "{}{}{sign}{hours:02}{minutes}",
        civil.strftime("%Y-%m-%d %H:%M:%S"),
        fraction(civil.subsec_nanosecond())
    )
}

/// Writes a civil time as the wire does (`T` between) or as CAST does (a space).
pub fn datetime_text(civil: DateTime, between: char) -> String {
    format!(
        "{}{between}{}{}",
        civil.strftime("%Y-%m-%d"),
        civil.strftime("%H:%M:%S"),
        fraction(civil.subsec_nanosecond())
    )
}

/// The first day of the part that holds a date.
///
/// # Errors
/// A part that is not served.
pub fn truncate_date(date: Date, part: &str) -> Result<Date, SqlError> {
    let back = |days: i8| date.checked_sub(i64::from(days).days());
    let first = match part {
        "DAY" => Ok(date),
        "WEEK" => back(date.weekday().to_sunday_zero_offset()),
        "WEEK(MONDAY)" | "ISOWEEK" => back(date.weekday().to_monday_zero_offset()),
        "MONTH" => Ok(date.first_of_month()),
        "QUARTER" => Date::new(date.year(), (date.month() - 1) / 3 * 3 + 1, 1),
        "YEAR" => Ok(date.first_of_year()),
        _ => return Err(part_error(part)),
    };
    first.map_err(|_| SqlError::invalid(format!("date {date} is out of range")))
}

/// The start of the part that holds a civil time.
///
/// # Errors
/// A part that is not served.
pub fn truncate(civil: DateTime, part: &str) -> Result<DateTime, SqlError> {
    let unit = match part {
        "MICROSECOND" => Unit::Microsecond,
        "MILLISECOND" => Unit::Millisecond,
        "SECOND" => Unit::Second,
        "MINUTE" => Unit::Minute,
        "HOUR" => Unit::Hour,
        _ => {
            return truncate_date(civil.date(), part)
                .map(|date| date.to_datetime(Time::midnight()));
        }
    };
    civil
        .round(jiff::civil::DateTimeRound::new().smallest(unit).mode(jiff::RoundMode::Trunc))
        .map_err(|_| SqlError::invalid(format!("{civil} is out of range")))
}

fn part_error(part: &str) -> SqlError {
    SqlError::invalid(format!("the date part {part} is not served by the simulated BigQuery here"))
}

/// A span of so many parts.
///
/// # Errors
/// A part that is not served, or a number out of range.
pub fn span(amount: i64, part: &str) -> Result<Span, SqlError> {
    let span = match part {
        "MICROSECOND" => Span::new().try_microseconds(amount),
        "MILLISECOND" => Span::new().try_milliseconds(amount),
        "SECOND" => Span::new().try_seconds(amount),
        "MINUTE" => Span::new().try_minutes(amount),
        "HOUR" => Span::new().try_hours(amount),
        "DAY" => Span::new().try_days(amount),
        "WEEK" => Span::new().try_weeks(amount),
        "MONTH" => Span::new().try_months(amount),
        "QUARTER" => Span::new().try_months(amount.saturating_mul(3)),
        "YEAR" => Span::new().try_years(amount),
        _ => return Err(part_error(part)),
    };
    span.map_err(|_| SqlError::invalid(format!("INTERVAL {amount} {part} is out of range")))
}

/// One part of a civil time, as EXTRACT tells it.
///
/// # Errors
/// A part that is not served.
pub fn extract(civil: DateTime, part: &str) -> Result<Value, SqlError> {
    let date = civil.date();
    Ok(Value::Int(match part {
        "YEAR" => date.year().into(),
        "QUARTER" => i64::from((date.month() - 1) / 3 + 1),
        "MONTH" => date.month().into(),
        "DAY" => date.day().into(),
        "DAYOFWEEK" => i64::from(date.weekday().to_sunday_one_offset()),
        "DAYOFYEAR" => date.day_of_year().into(),
        "ISOWEEK" => date.iso_week_date().week().into(),
        "ISOYEAR" => date.iso_week_date().year().into(),
        "HOUR" => civil.hour().into(),
        "MINUTE" => civil.minute().into(),
        "SECOND" => civil.second().into(),
        "DATE" => return Ok(Value::Date(date)),
        "DATETIME" => return Ok(Value::Datetime(civil)),
        _ => return Err(part_error(part)),
    }))
}

/// How many part boundaries lie between two dates (first less second).
///
/// # Errors
/// A part that is not served.
pub fn date_difference(first: Date, second: Date, part: &str) -> Result<i64, SqlError> {
    let days = |a: Date, b: Date| a.duration_since(b).as_hours() / 24;
    let months = |date: Date| i64::from(date.year()) * 12 + i64::from(date.month());
    Ok(match part {
        "DAY" => days(first, second),
        "WEEK" | "ISOWEEK" | "WEEK(MONDAY)" => {
            days(truncate_date(first, part)?, truncate_date(second, part)?) / 7
        }
        "MONTH" => months(first) - months(second),
        "QUARTER" => (months(first) - 1) / 3 - (months(second) - 1) / 3,
        "YEAR" => i64::from(first.year()) - i64::from(second.year()),
        _ => return Err(part_error(part)),
    })
}

/// Directives whose meaning is the same here and in BigQuery.
const DIRECTIVES: &str = "YmdHMSFTbBaAjyeIpuw%";

/// Refuses a format with a directive that is not surely the same as BigQuery's.
///
/// # Errors
/// The directive's name.
pub fn check_format(format: &str) -> Result<(), SqlError> {
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            continue;
        }
        match letters.next() {
            Some(directive) if DIRECTIVES.contains(directive) => {}
            directive => {
                return Err(SqlError::invalid(format!(
                    "the format element %{} is not served by the simulated BigQuery",
                    directive.map(String::from).unwrap_or_default()
                )));
            }
        }
    }
    Ok(())
}

/// Writes a civil time in a format.
///
/// # Errors
/// As [`check_format`].
pub fn format(civil: DateTime, format: &str) -> Result<Arc<str>, SqlError> {
    check_format(format)?;
    Ok(civil.strftime(format).to_string().into())
}

/// Reads a date in a format; a missing day or month is the first.
///
/// # Errors
/// As [`check_format`], or a text that does not fit.
pub fn parse_date_as(format: &str, text: &str) -> Result<Date, SqlError> {
    check_format(format)?;
    let lacks = |directives: [&str; 3]| !directives.iter().any(|d| format.contains(d));
    let (mut format, mut padded) = (format.to_owned(), text.to_owned());
    if lacks(["%d", "%e", "%F"]) {
        format.push_str("~%d");
        padded.push_str("~01");
    }
    if lacks(["%m", "%b", "%F"]) && lacks(["%B", "%j", "%F"]) {
        format.push_str("~%m");
        padded.push_str("~01");
    }
    Date::strptime(format.as_str(), padded.as_str())
        .map_err(|_| SqlError::invalid(format!("Failed to parse input string \"{text}\"")))
}
