//! A cost day by day as bars: what may still grow is hatched, the month before is a line.

use jiff::civil::Date;
use maud::{Markup, html};
use rust_decimal::Decimal;

use super::scale::Scale;
use super::{Size, drawn, float, meaning, path, place};
use crate::domain::money::{Currency, Money};
use crate::domain::report::Completeness;
use crate::web::reader::Reader;

/// Bars beside one another keep so much of their place free.
const GAP: f64 = 0.26;
/// The height of a small drawing, in pixels.
const SMALL: f64 = 56.0;
/// The margin on the right.
const RIGHT: f64 = 12.0;

/// One day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::web) struct Day {
    /// The usage day.
    pub day: Date,
    /// What it cost; none where that is not known.
    pub amount: Option<Decimal>,
    /// How sure that is; none where nothing is known.
    pub completeness: Option<Completeness>,
    /// What the same day of the month before cost.
    pub before: Option<Decimal>,
}

impl Day {
    fn may_grow(&self) -> bool {
        self.completeness == Some(Completeness::Provisional)
    }
}

/// Days, one after the other.
pub(in crate::web) struct Days {
    /// A word that tells this drawing's marks from those of others on the page.
    pub id: String,
    /// Of what.
    pub name: String,
    /// The currency of every amount.
    pub currency: Currency,
    /// The days of the drawing, none left out.
    pub days: Vec<Day>,
    /// Days of other months that the same invoice carries.
    pub others: Vec<Day>,
    /// The billing zone's present day.
    pub today: Date,
    /// The day that the page is of.
    pub marked: Option<Date>,
}

impl Days {
    fn scale(&self) -> Scale {
        let amounts = self.days.iter().flat_map(|day| [day.amount, day.before]);
        Scale::over(amounts.flatten().map(float), 4.0)
    }

    fn has_before(&self) -> bool {
        self.days.iter().any(|day| day.before.is_some())
    }

    /// Whether a day is so far only known in part.
    fn has_provisional(&self) -> bool {
        self.days.iter().any(|day| day.may_grow() && day.amount.is_some())
    }

    fn money(&self, amount: Decimal, reader: &Reader) -> String {
        reader.small_money(Money::new(amount, self.currency))
    }

    /// The drawing.
    pub(in crate::web) fn chart(&self, reader: &Reader) -> Markup {
        let scale = self.scale();
        drawn(&self.name, &self.said(reader), |size| self.draw(size, &scale, reader))
    }

    fn said(&self, reader: &Reader) -> String {
        let known = || self.days.iter().filter_map(|day| Some((day.day, day.amount?)));
        let Some((day, most)) = known().max_by_key(|(_, amount)| *amount) else {
            return reader.word("no day is known", "알려진 날이 없음").to_owned();
        };
        let dearest = reader.word("dearest day", "가장 큰 날");
        let days = reader.word("days with a cost", "비용이 있는 날");
        let count = reader.count(known().count());
        format!("{days}: {count}; {dearest} {}: {}", reader.day(day), self.money(most, reader))
    }

    fn draw(&self, size: &Size, scale: &Scale, reader: &Reader) -> Markup {
        let (left, right) = (size.left, size.width - RIGHT);
        let slot = (right - left) / self.days.len().max(1) as f64;
        let at = |index: usize| left + slot * index as f64;
        let y = |amount: f64| size.up(scale.share(amount));
        let step = self.days.len().div_ceil(if size.is_wide() { 6 } else { 3 }).max(1);
        let hatch = format!("hatch-{}-{}", self.id, size.class);
        let line = self
            .days
            .iter()
            .enumerate()
            .filter_map(|(index, day)| Some((at(index) + slot / 2.0, y(float(day.before?)))));
        html! {
            (pattern(&hatch))
            @for (amount, share) in scale.ticks() {
                line.grid x1=(place(left)) x2=(place(right)) y1=(place(size.up(share))) y2=(place(size.up(share))) {}
                text x=(place(left - 6.0)) y=(place(size.up(share) + 4.0)) text-anchor="end" { (reader.tick(amount)) }
            }
            line.axis x1=(place(left)) x2=(place(right)) y1=(place(y(0.0))) y2=(place(y(0.0))) {}
            @for (index, day) in self.days.iter().enumerate() {
                @if let Some(amount) = day.amount {
                    (self.bar(day, &hatch, (at(index) + slot * GAP / 2.0, slot * (1.0 - GAP)), (y(float(amount)), y(0.0))))
                }
                @if index % step == 0 {
                    text x=(place(at(index) + slot / 2.0)) y=(place(size.height - 8.0)) text-anchor="middle" {
                        (reader.short_day(day.day))
                    }
                }
                @if day.day == self.today {
                    @let middle = at(index) + slot / 2.0;
                    line.today x1=(place(middle)) x2=(place(middle)) y1=(place(size.up(1.0))) y2=(place(size.up(0.0))) {}
                    text x=(place(middle)) y="10" text-anchor=(anchor(middle, left, right)) { (reader.word("today", "오늘")) }
                }
            }
            @if self.has_before() { path.before d=(path(line)) {} }
            @for (index, day) in self.days.iter().enumerate() {
                rect.hit x=(place(at(index))) y=(place(size.up(1.0))) width=(place(slot))
                    height=(place(size.up(0.0) - size.up(1.0)))
                { title { (self.told(day, reader)) } }
            }
        }
    }

    /// A bar from nothing, at a place with a width and between two heights.
    fn bar(&self, day: &Day, hatch: &str, across: (f64, f64), (end, zero): (f64, f64)) -> Markup {
        let fill = day.may_grow().then(|| format!("url(#{hatch})"));
        let kind = match (day.may_grow(), end > zero) {
            (true, _) => "provisional",
            (false, true) => "negative",
            (false, false) => "known",
        };
        let marked = if self.marked == Some(day.day) { " marked" } else { "" };
        html! {
            rect class={ "day " (kind) (marked) } fill=[fill] x=(place(across.0)) width=(place(across.1))
                y=(place(end.min(zero))) height=(place((end - zero).abs().max(0.6))) {}
        }
    }

    /// A day in words.
    fn told(&self, day: &Day, reader: &Reader) -> String {
        let mut told = match day.amount {
            Some(amount) => format!("{}: {}", reader.day(day.day), self.money(amount, reader)),
            None => format!(
                "{}: {}",
                reader.day(day.day),
                reader.word("not known yet", "아직 알 수 없음")
            ),
        };
        if day.may_grow() {
            told.push_str(reader.word(" (may still grow)", " (잠정)"));
        }
        if let Some(before) = day.before {
            let word = reader.word("the month before", "전월 같은 날");
            told.push_str(&format!("; {word} {}", self.money(before, reader)));
        }
        told
    }

    /// What the marks of the drawing mean; only those that it has.
    pub(in crate::web) fn legend(&self, reader: &Reader) -> Markup {
        let hatch = format!("hatch-{}-legend", self.id);
        let one = |mark, english, korean| meaning(&mark, reader.word(english, korean));
        html! {
            ul.legend {
                (one(html! { rect.day.known x="4" y="1" width="16" height="11" {} }, "complete day", "완결일"))
                @if self.has_provisional() {
                    (one(html! {
                        (pattern(&hatch))
                        rect.day.provisional fill={ "url(#" (hatch) ")" } x="4" y="1" width="16" height="11" {}
                    }, "not complete: may still grow", "미완결: 잠정"))
                }
                @if self.has_before() {
                    (one(html! { path.before d="M1 9 L9 4 L15 7 L23 3" {} }, "same day of the month before", "전월 같은 날"))
                }
            }
        }
    }

    /// The same figures as rows, each day with a link where there is one.
    pub(in crate::web) fn table(
        &self,
        reader: &Reader,
        link: impl Fn(Date) -> Option<String>,
    ) -> Markup {
        let number = |amount: Option<Decimal>| {
            amount.map_or_else(String::new, |amount| reader.number(amount, 2))
        };
        let known = self.days.iter().filter(|day| day.day <= self.today || day.amount.is_some());
        html! {
            table {
                caption { bdi { (self.name) } ", " (self.currency) }
                thead { tr {
                    th scope="col" { (reader.word("Day", "날짜")) }
                    th.number scope="col" { (reader.word("Cost", "비용")) }
                    th scope="col" { (reader.word("State", "상태")) }
                    @if self.has_before() { th.number scope="col" { (reader.word("Month before", "전월")) } }
                } }
                tbody {
                    @for day in known.chain(&self.others) {
                        tr {
                            th scope="row" {
                                @match link(day.day) {
                                    Some(link) => a href=(link) { (reader.day(day.day)) },
                                    None => (reader.day(day.day)),
                                }
                            }
                            td.number {
                                @if day.amount.is_some() { (number(day.amount)) }
                                @else { (reader.word("not known yet", "아직 알 수 없음")) }
                            }
                            td {
                                @if let Some(completeness) = day.completeness { (reader.language.completeness(completeness)) }
                            }
                            @if self.has_before() { td.number { (number(day.before)) } }
                        }
                    }
                }
            }
        }
    }

    /// A small drawing without axes, as wide as what it stands in.
    pub(in crate::web) fn small(&self, reader: &Reader) -> Markup {
        let scale = Scale::over(self.days.iter().filter_map(|day| day.amount).map(float), 12.0);
        let hatch = format!("hatch-{}-small", self.id);
        let slot = 100.0 / self.days.len().max(1) as f64;
        let y = |amount: f64| (1.0 - scale.share(amount)) * (SMALL - 2.0) + 1.0;
        let percent = |of: f64| format!("{of:.2}%");
        let kind = |day: &Day| if day.may_grow() { "provisional" } else { "known" };
        html! {
            svg.small width="100%" height=(SMALL) role="img" aria-label={ (self.name) ". " (self.said(reader)) } {
                (pattern(&hatch))
                line.axis x1="0" x2="100%" y1=(place(y(0.0))) y2=(place(y(0.0))) {}
                @for (index, day) in self.days.iter().enumerate() {
                    @if let Some(amount) = day.amount.map(float) {
                        rect class={ "day " (kind(day)) } fill=[day.may_grow().then(|| format!("url(#{hatch})"))]
                            x=(percent(slot * (index as f64 + GAP / 2.0))) width=(percent(slot * (1.0 - GAP)))
                            y=(place(y(amount).min(y(0.0)))) height=(place((y(amount) - y(0.0)).abs().max(0.6)))
                        { title { (self.told(day, reader)) } }
                    }
                }
            }
        }
    }
}

/// Lines aslant. Each drawing has its own: one that is not shown gives its patterns to no other.
fn pattern(id: &str) -> Markup {
    html! {
        defs {
            pattern id=(id) width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                line.hatch x1="1" x2="1" y1="0" y2="6" {}
            }
        }
    }
}

fn anchor(at: f64, left: f64, right: f64) -> &'static str {
    match (at - left) / (right - left) {
        share if share > 0.95 => "end",
        share if share < 0.05 => "start",
        _ => "middle",
    }
}
