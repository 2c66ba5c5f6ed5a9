//! Who reads a page: the language, and how numbers, amounts, dates and ages are written for them.

use axum::http::{HeaderMap, header};
use icu_calendar::{Date as CalendarDate, Gregorian};
use icu_datetime::FixedCalendarDateTimeFormatter;
use icu_datetime::fieldsets::{MD, YM, YMD, YMDT};
use icu_datetime::input::{DateTime, Time};
use icu_datetime::options::TimePrecision;
use icu_decimal::{DecimalFormatter, DecimalFormatterPreferences};
use icu_locale_core::Locale;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::config::file::Language;
use crate::domain::money::Money;
use crate::domain::period::BillingPeriod;

/// A person at a browser, at an instant.
pub struct Reader {
    /// The language of words.
    pub language: Language,
    /// The instant that ages are told from, by the agent's clock.
    pub now: Timestamp,
    numbers: DecimalFormatter,
    dates: Option<Dates>,
}

/// Dates in words of the page's language. A reader of another language gets ISO 8601, so that no
/// month's name stands in a third language.
struct Dates {
    day: FixedCalendarDateTimeFormatter<Gregorian, YMD>,
    short: FixedCalendarDateTimeFormatter<Gregorian, MD>,
    month: FixedCalendarDateTimeFormatter<Gregorian, YM>,
    minute: FixedCalendarDateTimeFormatter<Gregorian, YMDT>,
}

impl Reader {
    /// The reader that request headers tell of; `chosen` is the language of the page's own switch.
    ///
    /// Numbers are written as in the most wanted locale of Accept-Language; with a chosen language,
    /// as in the most wanted one of that language.
    pub fn of(
        headers: &HeaderMap,
        chosen: Option<Language>,
        usual: Language,
        now: Timestamp,
    ) -> Self {
        let asked = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let tags = wanted(asked.unwrap_or_default());
        let language = chosen.or_else(|| tags.iter().find_map(|tag| known(tag))).unwrap_or(usual);
        let is_its = |tag: &&String| known(tag) == Some(language);
        let tag = match chosen {
            Some(_) => tags.iter().find(is_its),
            None => tags.first(),
        };
        Self::new(language, tag.map_or(language.tag(), String::as_str), now)
    }

    /// A reader of a language with a locale; one that nobody knows counts as the language's own.
    pub fn new(language: Language, tag: &str, now: Timestamp) -> Self {
        let own = known(tag) == Some(language);
        // Digits other than these would stand amid Latin text.
        let digits = if own { tag.to_owned() } else { format!("{tag}-u-nu-latn") };
        let locale = Locale::try_from_str(&digits).unwrap_or(Locale::UNKNOWN);
        let preferences = DecimalFormatterPreferences::from(&locale);
        let numbers = DecimalFormatter::try_new(preferences, Default::default())
            .or_else(|_| DecimalFormatter::try_new(Default::default(), Default::default()))
            .expect("the root locale's numbers are compiled in");
        let dates = if own { Dates::new(language, &locale) } else { None };
        Self { language, now, numbers, dates }
    }

    /// Chooses a word.
    pub fn word(&self, english: &'static str, korean: &'static str) -> &'static str {
        self.language.pick(english, korean)
    }

    /// A number with so many decimals, midpoints away from zero.
    pub fn number(&self, number: Decimal, decimals: u32) -> String {
        let strategy = RoundingStrategy::MidpointAwayFromZero;
        let mut rounded = number.round_dp_with_strategy(decimals, strategy);
        rounded.rescale(decimals);
        if rounded.is_zero() {
            rounded.set_sign_positive(true);
        }
        let text = rounded.to_string();
        match text.parse::<fixed_decimal::Decimal>() {
            Ok(number) => self.numbers.format(&number).to_string(),
            Err(_) => text,
        }
    }

    /// A count.
    pub fn count(&self, count: usize) -> String {
        self.number(Decimal::from(count), 0)
    }

    /// An amount in whole units, with its currency.
    pub fn money(&self, money: Money) -> String {
        self.money_to(money, 0)
    }

    /// An amount with so many decimals.
    pub fn money_to(&self, money: Money, decimals: u32) -> String {
        format!("{}\u{a0}{}", self.number(money.amount, decimals), money.currency)
    }

    /// An amount in whole units, with hundredths where it is less than a hundred.
    pub fn small_money(&self, money: Money) -> String {
        let is_small = money.amount.abs() < Decimal::ONE_HUNDRED && !money.amount.is_zero();
        self.money_to(money, if is_small { 2 } else { 0 })
    }

    /// A difference: an amount with its sign.
    pub fn difference(&self, money: Money) -> String {
        let sign = if money.amount.is_sign_negative() { "" } else { "+" };
        format!("{sign}{}", self.small_money(money))
    }

    /// A number beside an axis: large ones in millions and more, with three digits.
    pub fn tick(&self, number: Decimal) -> String {
        let units = [
            (1_000_000_000_000_u64, "T", "조"),
            (1_000_000_000, "B", "십억"),
            (1_000_000, "M", "백만"),
        ];
        let large = units.into_iter().find(|(unit, ..)| number.abs() >= Decimal::from(*unit));
        let (number, unit) = match large {
            Some((unit, english, korean)) => {
                (number / Decimal::from(unit), self.word(english, korean))
            }
            None => (number, ""),
        };
        let number =
            number.round_sf(if unit.is_empty() { 6 } else { 3 }).unwrap_or(number).normalize();
        format!("{}{unit}", self.number(number, number.scale().min(3)))
    }

    /// A ratio as a percentage: 0.123 is `12.3%` with one decimal.
    pub fn percent(&self, ratio: f64, decimals: u32) -> String {
        match Decimal::from_f64_retain(ratio * 100.0) {
            Some(percent) => format!("{}%", self.number(percent, decimals)),
            None => self.word("unknown", "알 수 없음").to_owned(),
        }
    }

    /// A chance, which is never told as certain unless it is.
    pub fn chance(&self, probability: f64) -> String {
        match probability {
            p if p <= 0.0 => self.percent(0.0, 0),
            p if p < 0.01 => format!("<\u{a0}{}", self.percent(0.01, 0)),
            p if p >= 1.0 => self.percent(1.0, 0),
            p if p > 0.99 => format!(">\u{a0}{}", self.percent(0.99, 0)),
            p => self.percent(p, 0),
        }
    }

    /// A day.
    pub fn day(&self, day: Date) -> String {
        match (&self.dates, calendar(day)) {
            (Some(dates), Some(day)) => dates.day.format(&day).to_string(),
            _ => day.to_string(),
        }
    }

    /// A day without its year.
    pub fn short_day(&self, day: Date) -> String {
        match (&self.dates, calendar(day)) {
            (Some(dates), Some(day)) => dates.short.format(&day).to_string(),
            _ => format!("{:02}-{:02}", day.month(), day.day()),
        }
    }

    /// A billing period: its month.
    pub fn month(&self, period: BillingPeriod) -> String {
        match (&self.dates, calendar(period.first_day())) {
            (Some(dates), Some(day)) => dates.month.format(&day).to_string(),
            _ => period.to_string(),
        }
    }

    /// An instant to the minute, in UTC.
    pub fn minute(&self, at: Timestamp) -> String {
        let civil = TimeZone::UTC.to_datetime(at);
        let part = |number: i8| u8::try_from(number).unwrap_or_default();
        let time = Time::try_new(part(civil.hour()), part(civil.minute()), 0, 0);
        match (&self.dates, calendar(civil.date()), time) {
            (Some(dates), Some(date), Ok(time)) => {
                format!("{} UTC", dates.minute.format(&DateTime { date, time }))
            }
            _ => at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        }
    }

    /// An instant as an element that a program can read too.
    pub fn time(&self, at: Timestamp) -> Markup {
        html! { time datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ")) { (self.minute(at)) } }
    }

    /// How long ago an instant was, with the instant itself for those who want it.
    pub fn ago(&self, at: Timestamp) -> Markup {
        html! {
            time datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ")) title=(self.minute(at)) {
                (self.age(self.now.duration_since(at)))
            }
        }
    }

    /// An age in the largest unit of which it has two.
    pub fn age(&self, age: SignedDuration) -> String {
        let minutes = age.as_mins();
        let (count, english, korean) = match minutes {
            ..=0 => return self.word("just now", "방금").to_owned(),
            1..120 => (minutes, "min ago", "분 전"),
            120..2_880 => (minutes / 60, "h ago", "시간 전"),
            _ => (minutes / 1_440, "days ago", "일 전"),
        };
        let count = self.number(Decimal::from(count), 0);
        match self.language {
            Language::En => format!("{count}\u{a0}{english}"),
            Language::Ko => format!("{count}{korean}"),
        }
    }
}

impl Dates {
    /// Months by name, in Korean by their word.
    fn new(language: Language, locale: &Locale) -> Option<Self> {
        let (day, short, minute) = match language {
            Language::En => (YMD::medium(), MD::medium(), YMDT::medium()),
            Language::Ko => (YMD::long(), MD::long(), YMDT::long()),
        };
        let minute = minute.with_time_precision(TimePrecision::Minute);
        Some(Self {
            day: FixedCalendarDateTimeFormatter::try_new(locale.into(), day).ok()?,
            short: FixedCalendarDateTimeFormatter::try_new(locale.into(), short).ok()?,
            month: FixedCalendarDateTimeFormatter::try_new(locale.into(), YM::long()).ok()?,
            minute: FixedCalendarDateTimeFormatter::try_new(locale.into(), minute).ok()?,
        })
    }
}

fn calendar(day: Date) -> Option<CalendarDate<Gregorian>> {
    let part = |number: i8| u8::try_from(number).ok();
    CalendarDate::try_new_gregorian(day.year().into(), part(day.month())?, part(day.day())?).ok()
}

/// The language of a tag, where the page has it.
fn known(tag: &str) -> Option<Language> {
    match tag.split('-').next()?.to_ascii_lowercase().as_str() {
        "en" => Some(Language::En),
        "ko" => Some(Language::Ko),
        _ => None,
    }
}

/// The tags of an Accept-Language header, the most wanted first (RFC 9110, section 12.5.4).
fn wanted(accept_language: &str) -> Vec<String> {
    let mut tags: Vec<(f32, String)> = accept_language
        .split(',')
        .filter_map(|item| {
            let mut parts = item.split(';').map(str::trim);
            let tag = parts.next().filter(|tag| !tag.is_empty() && *tag != "*")?;
            let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
            let quality = quality.unwrap_or(1.0);
            (quality > 0.0).then(|| (quality, tag.to_owned()))
        })
        .collect();
    tags.sort_by(|a, b| b.0.total_cmp(&a.0));
    tags.into_iter().map(|(_, tag)| tag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(accept: &str, chosen: Option<Language>) -> Reader {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, accept.parse().unwrap());
        let now = "2026-11-28T12:00:00Z".parse().unwrap();
        Reader::of(&headers, chosen, Language::En, now)
    }

    #[test]
    fn the_most_wanted_language_that_the_page_has_is_taken() {
        assert_eq!(reader("fr-FR,en;q=0.8,ko;q=0.9", None).language, Language::Ko);
        assert_eq!(reader("de,*", None).language, Language::En);
        assert_eq!(reader("ko;q=0,en", None).language, Language::En);
        assert_eq!(reader("en", Some(Language::Ko)).language, Language::Ko);
    }

    #[test]
    fn numbers_and_dates_are_written_as_the_reader_writes_them() {
        let day = jiff::civil::date(2026, 11, 28);
        let told = |accept, chosen| {
            let reader = reader(accept, chosen);
            let amount = reader.money_to("1234567.891 USD".parse().unwrap(), 2);
            (amount.replace('\u{a0}', " "), reader.day(day))
        };
        let both = |amount: &str, day: &str| (amount.to_owned(), day.to_owned());
        assert_eq!(told("en-US", None), both("1,234,567.89 USD", "Nov 28, 2026"));
        assert_eq!(told("en-GB", None), both("1,234,567.89 USD", "28 Nov 2026"));
        assert_eq!(told("ko-KR", None), both("1,234,567.89 USD", "2026년 11월 28일"));
        assert_eq!(told("de-DE", None), both("1.234.567,89 USD", "2026-11-28"));
        assert_eq!(told("en-IN", None), both("12,34,567.89 USD", "28 Nov 2026"));
        assert_eq!(told("ar-EG", None).1, "2026-11-28");
        let korean = Some(Language::Ko);
        assert_eq!(told("de-DE,ko;q=0.5", korean), both("1,234,567.89 USD", "2026년 11월 28일"));
        assert_eq!(told("not a tag", None), both("1,234,567.89 USD", "2026-11-28"));
    }

    #[test]
    fn a_chance_is_certain_only_where_it_is() {
        let reader = reader("en", None);
        let told = |p| reader.chance(p).replace('\u{a0}', " ");
        assert_eq!(told(0.0), "0%");
        assert_eq!(told(0.001), "< 1%");
        assert_eq!(told(0.125), "13%");
        assert_eq!(told(0.999), "> 99%");
        assert_eq!(told(1.0), "100%");
    }

    #[test]
    fn amounts_keep_every_digit() {
        let reader = reader("en", None);
        let huge: Money = "79228162514264337593543950335 USD".parse().unwrap();
        assert_eq!(
            reader.money(huge).replace([',', '\u{a0}'], ""),
            "79228162514264337593543950335USD"
        );
        assert_eq!(reader.number("-0.4".parse().unwrap(), 0), "0");
        assert_eq!(reader.number("-1234.5".parse().unwrap(), 0), "-1,235");
    }
}
