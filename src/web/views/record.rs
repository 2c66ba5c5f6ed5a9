//! What forecasts were worth: how far those of the past were off, what the present ones rest on, and
//! how near telemetry's estimates came to the bill.

mod days;

use jiff::civil::Date;
use maud::{Markup, html};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::cut::Cut;
use super::status;
use crate::config::file::Language;
use crate::domain::band::{BandJudgement, BandView, PeriodLabel};
use crate::domain::forecast::Forecast;
use crate::domain::gpu_money::NowcastScore;
use crate::domain::money::Money;
use crate::snapshot::Snapshot;
use crate::web::link::Place;
use crate::web::page::{Shown, View, Visit};
use crate::web::reader::Reader;

/// The view.
pub(in crate::web) async fn show(visit: Visit) -> axum::response::Response {
    visit.answer(View::Record, |snapshot| Shown::view(body(snapshot, &visit.place, &visit.reader)))
}

/// A forecast, or why there is none.
struct Row<'a> {
    name: &'a str,
    address: String,
    forecast: Result<&'a Forecast, Markup>,
}

fn body(snapshot: &Snapshot, place: &Place, reader: &Reader) -> Markup {
    let of = |label| snapshot.bands.iter().filter(move |band| band.label == label);
    let bands: Vec<Row> =
        of(PeriodLabel::Current).map(|band| of_band(band, place, reader)).collect();
    let sources: Vec<Row> = snapshot
        .trends
        .iter()
        .filter_map(|of| {
            let whole = of.trends.iter().find(|trend| trend.of.is_none())?;
            Some(Row {
                name: of.source.as_str(),
                address: place.to(&["spend", of.source.as_str()], &[]),
                forecast: whole
                    .forecast
                    .as_ref()
                    .map_err(|reason| html! { (reader.no_forecast(reason)) }),
            })
        })
        .collect();
    let ended: Vec<&BandJudgement> = of(PeriodLabel::Previous).collect();
    html! {
        h1 { (reader.word("What forecasts were worth", "예측 기록")) }
        p {
            (reader.word("The mean error says by how much past forecasts over as many days as are left now missed, whichever way: \
                          at 5% an expected 100,000 ended between 95,000 and 105,000 in the mean. \
                          The interval says where the month ends with 80% probability; it is narrow where errors were small.",
                         "평균 오차는 남은 일수만큼 앞을 내다본 과거 예측이 평균적으로 얼마나 빗나갔는지를 뜻합니다. \
                          5%라면 100,000으로 예측했을 때 평균 95,000~105,000에서 끝났습니다. \
                          구간은 월말 금액이 80% 확률로 들어갈 범위이며, 오차가 작을수록 좁습니다."))
        }
        h2 { (reader.word("Bands", "예산 범위")) }
        @if bands.is_empty() { p.empty { (reader.word("No band is judged yet.", "아직 판정한 예산 범위가 없습니다.")) } }
        @else { (table(&bands, "bands", reader.word("Forecasts of bands", "예산 범위 예측"), place, reader)) }
        h2 { (reader.word("Sources", "데이터 소스")) }
        @if sources.is_empty() {
            p.empty { (reader.word("No source has enough days yet.", "아직 일수가 충분한 소스가 없습니다.")) }
        } @else { (table(&sources, "sources", reader.word("Forecasts of sources", "소스 예측"), place, reader)) }
        (days::days(snapshot, place, reader))
        @if !ended.is_empty() { (last_month(&ended, snapshot, place, reader)) }
        (nowcasts(&snapshot.gpu.scores, reader))
        h2 { (reader.word("All of the past", "과거 전체")) }
        p {
            (reader.word("This command replays every stored month from its 3rd, 7th, 15th and 22nd day, and scores the result \
                          beside the run rate:",
                         "다음 명령은 저장된 모든 달을 3일, 7일, 15일, 22일 시점에서 다시 예측해 단순 추정과 비교합니다:"))
        }
        p { code { "costband backtest -c costband.yaml" } }
    }
}

fn of_band<'a>(band: &'a BandJudgement, place: &Place, reader: &Reader) -> Row<'a> {
    let reason = band.views.iter().find(|view| view.view == BandView::Forecast);
    Row {
        name: &band.band,
        address: place.to(&["bands", &band.band], &[]),
        forecast: band.outlook.as_ref().map(|outlook| &outlook.forecast).ok_or_else(|| {
            html! { @if let Some(view) = reason { (reader.reason(&view.reason)) } }
        }),
    }
}

fn table(
    rows: &[Row<'_>],
    key: &'static str,
    label: &str,
    place: &Place,
    reader: &Reader,
) -> Markup {
    let cut = Cut::of(rows, key, place);
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) {
            table {
                thead { tr {
                    th scope="col" { (reader.word("Of what", "대상")) }
                    th.number scope="col" { (reader.word("Expected month end", "월말 예상")) }
                    th.number scope="col" { (reader.word("Mean error", "평균 오차")) }
                    th.number scope="col" { (reader.word("80% interval", "80% 구간")) }
                    th scope="col" { (reader.word("How it is made", "방법")) }
                    th scope="col" { (reader.word("Remarks", "비고")) }
                } }
                tbody { @for row in cut.shown { (told(row, reader)) } }
            }
        }
        (cut.links(place, reader))
    }
}

fn told(row: &Row<'_>, reader: &Reader) -> Markup {
    html! {
        tr {
            th scope="row" { a href=(row.address) { bdi { (row.name) } } }
            @match &row.forecast {
                Err(reason) => td colspan="5" {
                    (reader.word("No forecast: ", "예측 없음: ")) (reason)
                },
                Ok(forecast) => {
                    @let used = &forecast.used;
                    td.number {
                        @match forecast.at(0.5) {
                            Some(end) => (reader.money(Money::new(end, forecast.currency))),
                            None => (reader.word("unknown", "알 수 없음")),
                        }
                    }
                    td.number {
                        @match used.past_error {
                            Some(error) => {
                                strong { (reader.percent(error, 1)) }
                                br;
                                small { (scored(used.past_forecasts, reader)) }
                            }
                            None => (reader.word("none scored yet", "아직 없음")),
                        }
                    }
                    td.number { (interval(forecast, reader)) }
                    td { (reader.language.method(forecast.method)) }
                    td.wide { (remarks(forecast, reader)) }
                }
            }
        }
    }
}

/// The interval and how wide it is beside the median.
fn interval(forecast: &Forecast, reader: &Reader) -> Markup {
    let [low, high] = forecast.interval_80;
    let median = forecast.at(0.5).filter(|median| *median > Decimal::ZERO);
    let wide =
        high.checked_sub(low).zip(median).and_then(|(wide, median)| wide.checked_div(median));
    html! {
        (reader.number(low, 0)) " – " (reader.number(high, 0))
        @if let Some(wide) = wide.and_then(|wide| wide.to_f64()) {
            br; small { (reader.percent(wide, 0)) (reader.word(" of the middle", " (중앙값 대비 폭)")) }
        }
    }
}

/// How many past forecasts an error is the mean of.
fn scored(count: usize, reader: &Reader) -> String {
    let count = reader.count(count);
    match reader.language {
        Language::En => format!("of {count} forecasts"),
        Language::Ko => format!("예측 {count}건"),
    }
}

/// How many days a forecast was made from, and up to which.
fn made_from(days: usize, newest: Date, reader: &Reader) -> String {
    let (days, newest) = (reader.count(days), reader.short_day(newest));
    match reader.language {
        Language::En => format!("from {days} days up to {newest}"),
        Language::Ko => format!("{newest}까지 {days}일의 완결일 사용"),
    }
}

/// What a reader should know besides.
fn remarks(forecast: &Forecast, reader: &Reader) -> Markup {
    let used = &forecast.used;
    html! {
        ul.plain.short {
            li { (made_from(used.days, forecast.made_from, reader)) }
            @if used.gaps > 0 {
                li { (reader.count(used.gaps)) (reader.word(" days without a figure were filled", "일의 빈 날을 채움")) }
            }
            @if let Some(day) = used.shifted_on {
                li { (reader.word("the level shifted on ", "수준 변화일 ")) (reader.day(day)) }
            }
            @if used.nowcast_days > 0 {
                li { (reader.count(used.nowcast_days)) (reader.word(" days told by GPU telemetry", "일은 GPU 텔레메트리로 추정")) }
            }
            @if used.prior { li { (reader.word("the cost of the known fleet entered", "보유 장비의 비용을 반영")) } }
            @if !used.expected_charges.is_empty() {
                li { (reader.count(used.expected_charges.len())) (reader.word(" charges still to come", "건의 예정 청구 포함")) }
            }
        }
    }
}

fn last_month(
    bands: &[&BandJudgement],
    snapshot: &Snapshot,
    place: &Place,
    reader: &Reader,
) -> Markup {
    let label = reader.word("How last month ended", "지난달 결과");
    let cut = Cut::of(bands, "ended", place);
    html! {
        h2 { (label) @if let Some(band) = bands.first() { " · " (reader.month(band.period)) } }
        div.scroll tabindex="0" role="region" aria-label=(label) {
            table {
                thead { tr {
                    th scope="col" { (reader.word("Band", "예산 범위")) }
                    th.number scope="col" { (reader.word("Ended at", "결과")) }
                    th scope="col" { (reader.word("Status", "상태")) }
                    th scope="col" { (reader.word("Bill", "청구")) }
                    th.number scope="col" { (reader.word("Forecasts", "예측")) }
                    th.number scope="col" { (reader.word("Mean error", "평균 오차")) }
                    th.number scope="col" { (reader.word("80% interval held", "80% 구간 적중")) }
                } }
                tbody {
                    @for band in cut.shown {
                        @let score = days::score(band, snapshot);
                        tr {
                            th scope="row" { a href=(place.to(&["bands", &band.band], &[("period", "previous")])) { bdi { (band.band) } } }
                            td.number {
                                @match band.spend {
                                    Some(spend) => (reader.money(spend)),
                                    None => (reader.word("unknown", "알 수 없음")),
                                }
                            }
                            td { (status(band.status(BandView::Actual), reader)) }
                            td { @if band.is_final { (reader.word("final", "확정")) } @else { (reader.word("may still move", "변경 가능")) } }
                            @match score {
                                Some(score) => {
                                    td.number {
                                        a href={ (place.to(&["record"], &[("band", band.band.as_str()), ("period", "previous")])) "#days" } {
                                            (reader.count(score.forecasts))
                                        }
                                    }
                                    td.number { (reader.money(Money::new(score.mean_error, band.ceiling.currency))) }
                                    td.number { (reader.count(score.inside_80)) " / " (reader.count(score.forecasts)) }
                                }
                                None => td colspan="3" { (reader.word("no forecast to score", "평가할 예측 없음")) },
                            }
                        }
                    }
                }
            }
        }
        (cut.links(place, reader))
    }
}

fn nowcasts(scores: &[NowcastScore], reader: &Reader) -> Markup {
    let label =
        reader.word("Telemetry's estimates against the bill", "텔레메트리 추정과 청구 비교");
    html! {
        @if !scores.is_empty() {
            h2 { (label) }
            p.note {
                (reader.word("What GPU telemetry said that days cost, over what was billed for them later: +2% is 2% too high. \
                              Estimates that come near enough stand in for days that are not billed yet.",
                             "GPU 텔레메트리로 추정한 비용을 나중에 청구된 금액과 비교한 것입니다. +2%는 2% 높게 추정했음을 뜻합니다. \
                              충분히 가까우면 아직 청구되지 않은 날에 사용합니다."))
            }
            div.scroll tabindex="0" role="region" aria-label=(label) {
                table {
                    thead { tr {
                        th scope="col" { (reader.word("Cloud", "클라우드")) }
                        th.number scope="col" { (reader.word("Days", "일수")) }
                        th.number scope="col" { (reader.word("Off by", "오차")) }
                    } }
                    tbody {
                        @for score in scores {
                            tr {
                                th scope="row" { (reader.language.provider(Some(score.provider))) }
                                td.number { (reader.count(score.days)) }
                                td.number { @if score.error_ratio > 0.0 { "+" } (reader.percent(score.error_ratio, 1)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
