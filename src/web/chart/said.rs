//! What was forecast of a band's month from day to day: the expected end as a line of points, how
//! sure it was as a ribbon, and what the month came to.

use maud::{Markup, html};
use rust_decimal::Decimal;

use super::month::Month;
use super::{Size, drawn, meaning, path, place};
use crate::domain::band::BandJudgement;
use crate::domain::money::Money;
use crate::domain::record::{BandRecord, PastForecast};
use crate::web::reader::Reader;

/// The radius of a point.
const POINT: f64 = 3.2;

/// A record beside the judgement of its month.
pub(in crate::web) struct Said<'a> {
    /// The band in that month.
    pub band: &'a BandJudgement,
    /// What was forecast; of one day or more.
    pub record: &'a BandRecord,
    /// What the month came to; none while it is open or unknown.
    pub actual: Option<Decimal>,
}

impl Said<'_> {
    /// The drawing.
    pub(in crate::web) fn chart(&self, reader: &Reader) -> Markup {
        let said = self.record.forecasts.iter();
        let highest = said.flat_map(|one| [one.expected, one.interval_80[1]]).chain(self.actual);
        let month = Month::of(self.band, highest);
        drawn(&self.name(reader), &self.told(reader), |size| self.draw(&month, size, reader))
    }

    fn name(&self, reader: &Reader) -> String {
        let what = reader.word("Forecasts of", "예측 추이:");
        format!("{what} {}, {}", self.band.band, reader.month(self.band.period))
    }

    fn money(&self, amount: Decimal, reader: &Reader) -> String {
        reader.money(Money::new(amount, self.band.ceiling.currency))
    }

    fn told(&self, reader: &Reader) -> String {
        let ends = [self.record.forecasts.first(), self.record.forecasts.last()];
        let mut told: Vec<String> =
            ends.into_iter().flatten().map(|one| self.one(one, reader)).collect();
        told.dedup();
        if let Some(actual) = self.actual {
            told.push(format!(
                "{}: {}",
                reader.word("ended at", "결과"),
                self.money(actual, reader)
            ));
        }
        told.join("; ")
    }

    /// A forecast in words.
    fn one(&self, said: &PastForecast, reader: &Reader) -> String {
        let word = reader.word("expected", "예상");
        let [low, high] = said.interval_80.map(|amount| reader.number(amount, 0));
        let expected = self.money(said.expected, reader);
        format!("{}: {word} {expected} ({low} – {high})", reader.day(said.made_from))
    }

    fn draw(&self, month: &Month, size: &Size, reader: &Reader) -> Markup {
        let said = &self.record.forecasts;
        let along = |amount: fn(&PastForecast) -> Decimal| {
            said.iter().map(move |one| (month.x(size, one.made_from), month.y(size, amount(one))))
        };
        let back: Vec<_> = along(|one| one.interval_80[0]).collect();
        let ribbon = along(|one| one.interval_80[1]).chain(back.into_iter().rev());
        html! {
            (month.grid(size, reader))
            (month.limits(size, reader))
            @if said.len() > 1 {
                path.fan d={ (path(ribbon)) " Z" } {}
                path.expected d=(path(along(|one| one.expected))) {}
            }
            @if let Some(actual) = self.actual {
                @let (left, right, y) = (size.across(0.0), size.across(1.0), month.y(size, actual));
                line.ended x1=(place(left)) x2=(place(right)) y1=(place(y)) y2=(place(y)) {}
                @if size.is_wide() { text.strong x=(place(right + 8.0)) y=(place(y + 4.0)) { (reader.tick(actual.round())) } }
            }
            @for one in said {
                @let (x, y) = (month.x(size, one.made_from), month.y(size, one.expected));
                circle.point.again[one.told_at.is_none()] cx=(place(x)) cy=(place(y)) r=(POINT) {}
            }
            @for one in said {
                (month.hit(size, month.x(size, one.made_from) + month.slot(size) / 2.0, &self.one(one, reader)))
            }
        }
    }

    /// What the marks of the drawing mean; only those that it has.
    pub(in crate::web) fn legend(&self, reader: &Reader) -> Markup {
        let one = |mark, english, korean| meaning(&mark, reader.word(english, korean));
        let said = &self.record.forecasts;
        html! {
            ul.legend {
                @if said.iter().any(|one| one.told_at.is_some()) {
                    (one(html! { circle.point cx="12" cy="6" r="4" {} }, "expected end, as it was told", "당시 알린 월말 예상"))
                }
                @if said.iter().any(|one| one.told_at.is_none()) {
                    (one(html! { circle.point.again cx="12" cy="6" r="4" {} },
                         "expected end, recomputed from the days known then", "그때까지의 날로 다시 계산한 월말 예상"))
                }
                @if said.len() > 1 {
                    (one(html! { path.fan d="M1 12 L1 1 L23 4 V9 Z" {} }, "80% likely", "80% 확률 구간"))
                }
                @if self.actual.is_some() {
                    (one(html! { line.ended x1="1" x2="23" y1="6" y2="6" {} }, "what the month came to", "월 결과"))
                }
                (one(html! { rect.zone x="0" y="2" width="24" height="8" {} }, "band, floor to ceiling", "예산 범위(하한~상한)"))
            }
        }
    }

    /// The same figures as rows.
    pub(in crate::web) fn table(&self, reader: &Reader) -> Markup {
        html! {
            table {
                caption { bdi { (self.name(reader)) } ", " (self.band.ceiling.currency) }
                thead { tr {
                    th scope="col" { (reader.word("From complete days up to", "기준 완결일")) }
                    th scope="col" { (reader.word("Told", "알린 시각")) }
                    th.number scope="col" { (reader.word("Expected end", "월말 예상")) }
                    th.number scope="col" { (reader.word("80% likely from", "80% 구간 하단")) }
                    th.number scope="col" { (reader.word("to", "상단")) }
                    th.number scope="col" { (reader.word("Above the ceiling", "상한 초과 확률")) }
                    th.number scope="col" { (reader.word("Below the floor", "하한 미달 확률")) }
                    @if self.actual.is_some() { th.number scope="col" { (reader.word("Off by", "오차")) } }
                } }
                tbody { @for said in &self.record.forecasts { (self.row(said, reader)) } }
            }
        }
    }

    fn row(&self, said: &PastForecast, reader: &Reader) -> Markup {
        let currency = self.band.ceiling.currency;
        html! {
            tr {
                th scope="row" { (reader.day(said.made_from)) }
                td {
                    @match said.told_at {
                        Some(at) => (reader.time(at)),
                        None => span.soft { (reader.word("recomputed", "다시 계산")) },
                    }
                }
                td.number { (reader.number(said.expected, 0)) }
                @for bound in said.interval_80 { td.number { (reader.number(bound, 0)) } }
                @for chance in [said.above_ceiling, said.below_floor] { td.number { (reader.chance(chance)) } }
                @if let Some(actual) = self.actual {
                    td.number {
                        @if let Some(miss) = said.miss(actual) { (reader.difference(Money::new(miss, currency))) }
                    }
                }
            }
        }
    }
}
