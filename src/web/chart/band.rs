//! A band's month: the band as a zone, what is booked as a line, the way to the month's end as a fan.

use jiff::civil::Date;
use maud::{Markup, html};
use rust_decimal::Decimal;

use super::month::{APART, Month};
use super::{Size, drawn, meaning, path, place};
use crate::domain::band::{BandDay, BandJudgement};
use crate::domain::forecast::PathDay;
use crate::domain::money::Money;
use crate::domain::period::next_day;
use crate::domain::report::Completeness;
use crate::web::reader::Reader;

/// Places of the 0.1, 0.25, 0.5, 0.75 and 0.9 quantiles among `PROBABILITIES`.
const LOW: usize = 1;
const LOWER: usize = 2;
pub(in crate::web) const MIDDLE: usize = 3;
const UPPER: usize = 4;
const HIGH: usize = 5;

/// The drawing.
pub(in crate::web) fn chart(band: &BandJudgement, reader: &Reader) -> Markup {
    let chart = Chart::of(band);
    drawn(&name(band, reader), &said(band, reader), |size| chart.draw(size, reader))
}

/// What the marks of the drawing mean: those that are there.
pub(in crate::web) fn legend(band: &BandJudgement, reader: &Reader) -> Markup {
    let one = |mark, english, korean| meaning(&mark, reader.word(english, korean));
    let may_grow = band.days.iter().any(|day| day.completeness == Completeness::Provisional);
    let crosses =
        band.outlook.as_ref().is_some_and(|outlook| outlook.against.crossing_p50.is_some());
    html! {
        ul.legend {
            (one(html! { path.actual d="M1 10 L23 2" {} }, "booked, complete days", "청구됨(완결일)"))
            @if may_grow {
                (one(html! { path.actual.provisional d="M1 10 L23 2" {} }, "booked, may still grow", "청구됨(잠정)"))
            }
            @if !path_of(band).is_empty() {
                (one(html! { path.median d="M1 10 L23 2" {} }, "expected", "예상"))
                (one(html! { path.fan d="M1 10 L23 0 V12 Z" {} path.fan.inner d="M1 10 L23 3 V9 Z" {} },
                     "80% and 50% likely", "80%, 50% 확률 구간"))
            }
            @if crosses {
                (one(html! { circle.cross cx="12" cy="6" r="4" {} }, "expected to cross the ceiling", "상한 도달 예상"))
            }
            (one(html! { rect.zone x="0" y="2" width="24" height="8" {} }, "band, floor to ceiling", "예산 범위(하한~상한)"))
        }
    }
}

fn name(band: &BandJudgement, reader: &Reader) -> String {
    format!("{}, {}", band.band, reader.month(band.period))
}

fn said(band: &BandJudgement, reader: &Reader) -> String {
    let mut said = Vec::new();
    if let (Some(last), Some(spend)) = (band.days.last(), band.spend) {
        let booked = reader.word("booked up to", "청구 누계");
        said.push(format!("{booked} {}: {}", reader.day(last.day), reader.money(spend)));
    }
    if let Some(end) = band.month_end() {
        said.push(format!("{}: {}", reader.word("expected end", "월말 예상"), reader.money(end)));
    }
    said.push(format!("{}: {}", reader.word("floor", "하한"), reader.money(band.floor)));
    said.push(format!("{}: {}", reader.word("ceiling", "상한"), reader.money(band.ceiling)));
    said.join("; ")
}

struct Chart<'a> {
    band: &'a BandJudgement,
    month: Month,
}

impl<'a> Chart<'a> {
    fn of(band: &'a BandJudgement) -> Self {
        let booked = band.days.iter().map(|day| day.total);
        let high = path_of(band).iter().filter_map(|day| day.quantiles.get(HIGH).copied());
        Self { band, month: Month::of(band, booked.chain(high)) }
    }

    fn draw(&self, size: &Size, reader: &Reader) -> Markup {
        html! {
            (self.month.grid(size, reader))
            (self.month.limits(size, reader))
            (self.today(size, reader))
            (self.fan(size))
            (self.booked(size))
            (self.crossing(size))
            @if size.is_wide() { (self.ends(size, reader)) }
            (self.hits(size, reader))
        }
    }

    /// Today, where it is a day of the month.
    fn today(&self, size: &Size, reader: &Reader) -> Markup {
        let today = self.band.zone.day_of(reader.now);
        // Over the day's name: lines stand at ends of days, and this one is not over.
        let x = self.month.x(size, today) - 0.5 * self.month.slot(size);
        html! {
            @if self.band.period.contains(today) {
                line.today x1=(place(x)) x2=(place(x)) y1=(place(size.up(1.0))) y2=(place(size.up(0.0))) {}
                text x=(place(x)) y="10" text-anchor=(if x > size.across(0.9) { "end" } else { "middle" }) {
                    (reader.word("today", "오늘"))
                }
            }
        }
    }

    /// Where the lines of what is known begin: nothing at the month's first instant.
    fn known(&self, size: &Size) -> Vec<(f64, f64, Completeness)> {
        let start = (size.across(0.0), self.month.y(size, Decimal::ZERO), Completeness::Complete);
        let points = self.band.days.iter().map(|day| {
            (self.month.x(size, day.day), self.month.y(size, day.total), day.completeness)
        });
        std::iter::once(start).chain(points).collect()
    }

    fn booked(&self, size: &Size) -> Markup {
        let points = self.known(size);
        let complete = |point: &(f64, f64, Completeness)| point.2 != Completeness::Provisional;
        let last = points.iter().rposition(complete).unwrap_or(0);
        let line = |from: usize, to: usize| {
            path(points.get(from..to).unwrap_or_default().iter().map(|(x, y, _)| (*x, *y)))
        };
        html! {
            @if !self.band.days.is_empty() {
                @if last > 0 { path.actual d=(line(0, last + 1)) {} }
                @if last + 1 < points.len() { path.actual.provisional d=(line(last, points.len())) {} }
            }
        }
    }

    fn fan(&self, size: &Size) -> Markup {
        let days = path_of(self.band);
        let complete =
            self.band.days.iter().rfind(|day| day.completeness != Completeness::Provisional);
        let from = match complete {
            Some(day) => (self.month.x(size, day.day), self.month.y(size, day.total)),
            None => (size.across(0.0), self.month.y(size, Decimal::ZERO)),
        };
        let along = |quantile: usize| {
            days.iter().filter_map(move |day| {
                Some((
                    self.month.x(size, day.day),
                    self.month.y(size, *day.quantiles.get(quantile)?),
                ))
            })
        };
        let area = |low: usize, high: usize| {
            let back: Vec<_> = along(low).collect();
            let points = std::iter::once(from).chain(along(high)).chain(back.into_iter().rev());
            format!("{} Z", path(points))
        };
        html! {
            @if !days.is_empty() {
                path.fan d=(area(LOW, HIGH)) {}
                path.fan.inner d=(area(LOWER, UPPER)) {}
                path.median d=(path(std::iter::once(from).chain(along(MIDDLE)))) {}
            }
        }
    }

    fn crossing(&self, size: &Size) -> Markup {
        let day = self.band.outlook.as_ref().and_then(|outlook| outlook.against.crossing_p50);
        html! {
            @if let Some(day) = day {
                // The line crosses within the day.
                @let x = self.month.x(size, day) - 0.5 * self.month.slot(size);
                circle.cross cx=(place(x)) cy=(place(self.month.y(size, self.band.ceiling.amount))) r="5" {}
            }
        }
    }

    /// What the month ends at, beside the ends of the fan.
    fn ends(&self, size: &Size, reader: &Reader) -> Markup {
        let last = path_of(self.band).last();
        let quantile = |at: usize| last.and_then(|day| day.quantiles.get(at).copied());
        let Some(middle) = quantile(MIDDLE) else { return html! {} };
        let x = place(size.across(1.0) + 8.0);
        let y = self.month.y(size, middle);
        let aside = |at: usize, away: f64| {
            let amount = quantile(at)?;
            Some((amount, (self.month.y(size, amount) - y).abs().max(APART) * away + y))
        };
        html! {
            text.strong x=(x) y=(place(y + 4.0)) { (reader.tick(middle.round())) }
            @for (amount, y) in [aside(HIGH, -1.0), aside(LOW, 1.0)].into_iter().flatten() {
                text x=(x) y=(place(y + 4.0)) { (reader.tick(amount.round())) }
            }
        }
    }

    /// A place for each day that tells its figures to a pointer.
    fn hits(&self, size: &Size, reader: &Reader) -> Markup {
        let money = |amount| reader.money(Money::new(amount, self.band.ceiling.currency));
        let hit = |day: Date, said: String| self.month.hit(size, self.month.x(size, day), &said);
        let booked = |day: &BandDay| {
            let sure = match day.completeness {
                Completeness::Provisional => reader.word(" (may still grow)", " (잠정)"),
                Completeness::Complete | Completeness::Final => "",
            };
            let so_far = reader.word("so far", "누계");
            let said = (reader.day(day.day), money(day.spend), money(day.total));
            format!("{}: {}, {so_far} {}{sure}", said.0, said.1, said.2)
        };
        let expected = |day: &PathDay| {
            let amount = |at: usize| day.quantiles.get(at).copied().unwrap_or_default();
            let word = reader.word("expected", "예상");
            let (low, high) = (reader.number(amount(LOW), 0), reader.number(amount(HIGH), 0));
            format!("{}: {word} {} ({low} – {high})", reader.day(day.day), money(amount(MIDDLE)))
        };
        let last = self.band.days.last().map(|day| day.day);
        html! {
            @for day in &self.band.days {
                @if self.band.period.contains(day.day) { (hit(day.day, booked(day))) }
            }
            @for day in path_of(self.band) { @if Some(day.day) > last { (hit(day.day, expected(day))) } }
        }
    }
}

pub(in crate::web) fn path_of(band: &BandJudgement) -> &[PathDay] {
    band.outlook.as_ref().map_or(&[], |outlook| outlook.path.as_slice())
}

/// The same figures as rows: each day of the month that is booked or expected.
pub(in crate::web) fn table(band: &BandJudgement, reader: &Reader) -> Markup {
    let window = band.period.window();
    let end = |day: Date| path_of(band).iter().find(|one| one.day == day);
    let booked = |day: Date| band.days.iter().find(|one| one.day == day);
    let number =
        |amount: Option<Decimal>| amount.map_or_else(String::new, |at| reader.number(at, 0));
    let mut days: Vec<Date> = window.days().collect();
    if let Some(last) = days.last().copied() {
        days.extend(band.days.iter().map(|day| day.day).filter(|day| *day >= next_day(last)));
    }
    html! {
        table {
            caption { (name(band, reader)) ", " (band.ceiling.currency) }
            thead { tr {
                th scope="col" { (reader.word("Day", "날짜")) }
                th.number scope="col" { (reader.word("Cost", "비용")) }
                th.number scope="col" { (reader.word("So far", "누계")) }
                th scope="col" { (reader.word("State", "상태")) }
                th.number scope="col" { (reader.word("Expected", "예상")) }
                th.number scope="col" { (reader.word("80% likely from", "80% 구간 하단")) }
                th.number scope="col" { (reader.word("to", "상단")) }
            } }
            tbody {
                @for day in days {
                    @let (known, ahead) = (booked(day), end(day));
                    @if known.is_some() || ahead.is_some() {
                        tr {
                            th scope="row" { (reader.day(day)) }
                            td.number { (number(known.map(|day| day.spend))) }
                            td.number { (number(known.map(|day| day.total))) }
                            td { @if let Some(day) = known { (reader.language.completeness(day.completeness)) } }
                            @for at in [MIDDLE, LOW, HIGH] {
                                td.number { (number(ahead.and_then(|day| day.quantiles.get(at).copied()))) }
                            }
                        }
                    }
                }
            }
        }
    }
}
