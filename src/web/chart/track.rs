//! A band's position in one line: the band as a zone, the money as a bar, the month's end as a
//! whisker.

use maud::{Markup, html};

use super::float;
use crate::domain::band::{BandJudgement, BandStatus, BandView};
use crate::web::reader::Reader;

/// How wide a digit of a label is, in percent of a phone's drawing.
const DIGIT: f64 = 2.7;
/// The scale ends so far past the largest of its amounts.
const ROOM: f64 = 1.06;

/// The drawing; as wide as what it stands in.
pub(in crate::web) fn track(band: &BandJudgement, reader: &Reader) -> Markup {
    let (floor, ceiling) = (float(band.floor.amount), float(band.ceiling.amount));
    let spend = band.spend.map(|spend| float(spend.amount));
    let quantile = |p| Some(float(band.outlook.as_ref()?.forecast.at(p)?));
    let (low, middle, high) = (quantile(0.1), quantile(0.5), quantile(0.9));
    let end = [Some(ceiling), spend, high].into_iter().flatten().fold(0.0, f64::max) * ROOM;
    let share =
        |amount: f64| if end > 0.0 { (amount / end * 100.0).clamp(0.0, 100.0) } else { 0.0 };
    let at = |amount: f64| format!("{:.2}%", share(amount));
    let wide = |from: f64, to: f64| format!("{:.2}%", (share(to) - share(from)).max(0.0));
    let status = band.status(BandView::Actual);
    // The two labels must not touch, on a phone neither.
    let wide_of = |amount| reader.number(amount, 0).chars().count() as f64 * DIGIT;
    let [low_label, high_label] = [band.floor.amount, band.ceiling.amount].map(wide_of);
    let at_end = share(ceiling) > 85.0;
    let aside = if at_end { high_label } else { high_label / 2.0 };
    let close = share(ceiling) - share(floor) < low_label / 2.0 + aside + DIGIT;
    html! {
        svg.track width="100%" height="52" role="img" aria-label=(said(band, reader)) {
            rect.rail x="0" y="16" width="100%" height="12" rx="3" {}
            rect.zone x=(at(floor)) y="10" width=(wide(floor, ceiling)) height="24" {}
            @if let Some(spend) = spend {
                rect.spend.(status.as_str()) x="0" y="16" width=(at(spend)) height="12" rx="3" {}
            }
            @if let (Some(low), Some(high)) = (low, high) {
                line.whisker x1=(at(low)) x2=(at(high)) y1="22" y2="22" {}
                line.whisker x1=(at(low)) x2=(at(low)) y1="17" y2="27" {}
                line.whisker x1=(at(high)) x2=(at(high)) y1="17" y2="27" {}
            }
            @if let Some(middle) = middle { circle.middle cx=(at(middle)) cy="22" r="5" {} }
            @for limit in [floor, ceiling] { line.limit x1=(at(limit)) x2=(at(limit)) y1="8" y2="36" {} }
            @if !close {
                text.label x=(at(floor)) y="49" text-anchor="middle" { (reader.number(band.floor.amount, 0)) }
            }
            text.label x=(at(ceiling)) y="49" text-anchor=(if at_end { "end" } else { "middle" }) {
                @if close { (reader.number(band.floor.amount, 0)) " – " }
                (reader.number(band.ceiling.amount, 0))
            }
        }
    }
}

fn said(band: &BandJudgement, reader: &Reader) -> String {
    let spend = match band.spend {
        Some(spend) => reader.money(spend),
        None => reader.language.status(BandStatus::Unknown).to_owned(),
    };
    let limits =
        format!("{} – {}", reader.number(band.floor.amount, 0), reader.money(band.ceiling));
    let so_far = reader.word("So far", "현재까지");
    let within = reader.word("band", "예산 범위");
    let mut said = format!("{so_far} {spend}, {within} {limits}");
    if let Some(end) = band.month_end() {
        said.push_str(&format!(
            ", {} {}",
            reader.word("month end", "월말 예상"),
            reader.money(end)
        ));
    }
    said
}
