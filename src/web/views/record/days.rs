//! What was forecast of one band from day to day, and what it was worth where the month is over.

use maud::{Markup, html};
use rust_decimal::Decimal;

use super::super::cut::Cut;
use crate::domain::band::{BandJudgement, PeriodLabel};
use crate::domain::money::Money;
use crate::domain::record::{BandRecord, RecordScore};
use crate::snapshot::Snapshot;
use crate::web::chart::said::Said;
use crate::web::link::Place;
use crate::web::reader::Reader;

/// The part of the view; of the band and the month that the address names, or of the first band.
pub(super) fn days(snapshot: &Snapshot, place: &Place, reader: &Reader) -> Markup {
    let of = |label| snapshot.records.iter().filter(move |record| record.label == label);
    let bands: Vec<&BandRecord> = of(PeriodLabel::Current).collect();
    let asked = place.asked("band");
    let chosen = bands.iter().find(|record| asked.is_none_or(|name| name == record.band));
    let label = match place.asked("period") {
        Some("previous") => PeriodLabel::Previous,
        _ => PeriodLabel::Current,
    };
    let shown = chosen.and_then(|chosen| of(label).find(|record| record.band == chosen.band));
    let cut = Cut::of(&bands, "said", place);
    html! {
        @if !bands.is_empty() {
            h2 #days { (reader.word("Day by day", "날짜별 예측")) }
            ul.choices {
                @for record in cut.shown {
                    li {
                        a href={ (place.with("band", Some(&record.band))) "#days" }
                            aria-current=[is_same(record, shown).then_some("true")]
                        { bdi { (record.band) } }
                    }
                }
            }
            (cut.links(place, reader))
            @match shown {
                Some(record) => (one(record, snapshot, place, reader)),
                None => p.empty { (reader.word("No band of that name has a record.", "그 이름의 예산 범위에는 예측 기록이 없습니다.")) },
            }
        }
    }
}

fn is_same(record: &BandRecord, shown: Option<&BandRecord>) -> bool {
    shown.is_some_and(|shown| shown.band == record.band)
}

fn one(record: &BandRecord, snapshot: &Snapshot, place: &Place, reader: &Reader) -> Markup {
    let months = snapshot.records.iter().filter(|other| other.band == record.band);
    let band = judged(record, snapshot);
    html! {
        ul.choices {
            @for month in months {
                li {
                    a href={ (place.with("period", (month.label == PeriodLabel::Previous).then_some("previous"))) "#days" }
                        aria-current=[(month.label == record.label).then_some("true")]
                    { (reader.month(month.period)) }
                }
            }
        }
        @match band {
            Some(band) if !record.forecasts.is_empty() => (drawn(record, band, reader)),
            _ => p.empty {
                (reader.word("No day of this month has a forecast yet: the first one needs three complete days.",
                             "아직 이 달의 예측이 없습니다. 첫 예측에는 완결일이 3일 이상 필요합니다."))
            }
        }
    }
}

/// The judgement of a record's month.
fn judged<'a>(record: &BandRecord, snapshot: &'a Snapshot) -> Option<&'a BandJudgement> {
    let mut bands = snapshot.bands.iter();
    bands.find(|band| band.band == record.band && band.period == record.period)
}

/// What a month came to; none while it is open or unknown.
pub(super) fn actual(band: &BandJudgement) -> Option<Decimal> {
    band.spend.filter(|_| band.label == PeriodLabel::Previous).map(|spend| spend.amount)
}

/// What a month's forecasts were worth; none while it is open, or without one.
pub(super) fn score(band: &BandJudgement, snapshot: &Snapshot) -> Option<RecordScore> {
    let mut records = snapshot.records.iter();
    let record = records.find(|held| held.band == band.band && held.period == band.period)?;
    record.score(actual(band)?)
}

fn drawn(record: &BandRecord, band: &BandJudgement, reader: &Reader) -> Markup {
    let said = Said { band, record, actual: actual(band) };
    html! {
        div.card {
            p {
                (reader.word("Each point says where the month was expected to end, from the days that were complete then.",
                             "각 점은 그때까지의 완결일로 예상한 월말 금액입니다."))
                @if let Some(score) = score_of(&said) { " " (told(&score, band, reader)) }
            }
            (said.chart(reader))
            (said.legend(reader))
            details #table {
                summary { (reader.word("The same as a table", "표로 보기")) }
                div.scroll tabindex="0" role="region" aria-label=(reader.word("Forecasts", "예측")) { (said.table(reader)) }
            }
        }
    }
}

fn score_of(said: &Said<'_>) -> Option<RecordScore> {
    said.record.score(said.actual?)
}

/// A score in a sentence.
fn told(score: &RecordScore, band: &BandJudgement, reader: &Reader) -> Markup {
    let miss = reader.money(Money::new(score.mean_error, band.ceiling.currency));
    let (inside, all) = (reader.count(score.inside_80), reader.count(score.forecasts));
    html! {
        (reader.word("In the mean they were off by ", "평균 오차는 ")) strong { (miss) }
        (reader.word("; the 80% interval held the end in ", "이며, 80% 구간에 결과가 들어온 예측은 "))
        (inside) (reader.word(" of ", "/")) (all) (reader.word(".", "건입니다."))
    }
}
