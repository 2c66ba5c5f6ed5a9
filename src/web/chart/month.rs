//! The frame of a band's month: days along, money up, the band as a zone between its limits.

use jiff::civil::Date;
use maud::{Markup, html};
use rust_decimal::Decimal;

use super::scale::Scale;
use super::{Size, float, place};
use crate::domain::band::BandJudgement;
use crate::domain::forecast::days_between;
use crate::domain::period::BillingPeriod;
use crate::web::reader::Reader;

/// Ends of lines nearer to one another than this share one label.
pub(super) const APART: f64 = 14.0;

/// Where days and amounts of a band's month stand.
pub(super) struct Month {
    period: BillingPeriod,
    first: Date,
    length: f64,
    floor: Decimal,
    ceiling: Decimal,
    scale: Scale,
}

impl Month {
    /// A frame that holds amounts and the ceiling.
    pub(super) fn of(band: &BandJudgement, amounts: impl Iterator<Item = Decimal>) -> Self {
        let window = band.period.window();
        let length = days_between(window.start, window.end).unwrap_or(31) as f64;
        let (floor, ceiling) = (band.floor.amount, band.ceiling.amount);
        let amounts = amounts.map(float).chain([float(ceiling) * 1.04]);
        let scale = Scale::over(amounts, 4.0);
        Self { period: band.period, first: window.start, length, floor, ceiling, scale }
    }

    /// The place of a day's end; of a day before the month, that of its first instant.
    pub(super) fn x(&self, size: &Size, day: Date) -> f64 {
        let days = days_between(self.first, day).map_or(0.0, |days| days as f64 + 1.0);
        size.across((days / self.length).min(1.0))
    }

    /// The place of an amount.
    pub(super) fn y(&self, size: &Size, amount: Decimal) -> f64 {
        size.up(self.scale.share(float(amount)))
    }

    /// How wide a day is.
    pub(super) fn slot(&self, size: &Size) -> f64 {
        (size.across(1.0) - size.across(0.0)) / self.length
    }

    /// Lines of round amounts, and the days' names.
    pub(super) fn grid(&self, size: &Size, reader: &Reader) -> Markup {
        let (left, right) = (place(size.across(0.0)), place(size.across(1.0)));
        let step = if size.is_wide() { 7 } else { 14 };
        html! {
            @for (amount, share) in self.scale.ticks() {
                line.grid x1=(left) x2=(right) y1=(place(size.up(share))) y2=(place(size.up(share))) {}
                text x=(place(size.left - 6.0)) y=(place(size.up(share) + 4.0)) text-anchor="end" {
                    (reader.tick(amount))
                }
            }
            @for day in self.period.window().days().step_by(step) {
                @let middle = self.x(size, day) - 0.5 * self.slot(size);
                text x=(place(middle)) y=(place(size.height - 8.0)) text-anchor="middle" {
                    (reader.short_day(day))
                }
            }
        }
    }

    /// The band between its floor and its ceiling.
    pub(super) fn limits(&self, size: &Size, reader: &Reader) -> Markup {
        let (top, bottom) = (self.y(size, self.ceiling), self.y(size, self.floor));
        let (left, right) = (size.across(0.0), size.across(1.0));
        let label = |y: f64, word: &str, amount: Decimal| {
            html! {
                text.strong x=(place(left + 6.0)) y=(place(y - 5.0)) { (word) " " (reader.number(amount, 0)) }
            }
        };
        html! {
            rect.zone x=(place(left)) y=(place(top)) width=(place(right - left))
                height=(place((bottom - top).max(0.0))) {}
            line.limit.ceiling x1=(place(left)) x2=(place(right)) y1=(place(top)) y2=(place(top)) {}
            line.limit.floor x1=(place(left)) x2=(place(right)) y1=(place(bottom)) y2=(place(bottom)) {}
            (label(top, reader.word("Ceiling", "상한"), self.ceiling))
            @if bottom - top > APART { (label(bottom, reader.word("Floor", "하한"), self.floor)) }
        }
    }

    /// A place as wide as a day that tells a pointer what stands there; it ends at `right`.
    pub(super) fn hit(&self, size: &Size, right: f64, said: &str) -> Markup {
        let width = self.slot(size);
        html! {
            rect.hit x=(place(right - width)) y=(place(size.up(1.0)))
                width=(place(width)) height=(place(size.up(0.0) - size.up(1.0)))
            { title { (said) } }
        }
    }
}
