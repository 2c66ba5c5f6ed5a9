//! The GPU section of the report: what the money of the open month does.

use std::fmt::Write;

use rust_decimal::Decimal;

use crate::cli::report::text::{self, left, plain};
use crate::domain::band::PeriodLabel;
use crate::domain::gpu_money::{FleetMoney, GpuPicture, PeriodPicture, hours};
use crate::domain::gpu_time::GpuState;
use crate::domain::machine::GpuModel;
use crate::domain::money::{Currency, Money};

/// So many workloads are told.
const MOST_WORKLOADS: usize = 10;

/// How tables look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Columns of text.
    Text,
    /// Pipes.
    Markdown,
}

/// The section; empty where no GPU time was counted and none was billed.
pub fn section(picture: &GpuPicture, style: Style) -> String {
    let open = picture.periods.iter().find(|period| period.label == PeriodLabel::Current);
    let Some(open) = open.filter(|open| !open.money.fleets.is_empty()) else {
        return String::new();
    };
    let mut out = format!("\n{}\n\n", title(style, &format!("GPUs in {}", open.period)));
    let rows: Vec<Vec<String>> = open.money.fleets.iter().map(fleet).collect();
    let headings = [
        "GPUs",
        "machine",
        "GPU-hours",
        "busy",
        "low",
        "idle",
        "cost",
        "per GPU-hour",
        "per busy GPU-hour",
    ];
    table(&mut out, style, &headings, &rows);
    money(&mut out, open);
    workloads(&mut out, style, open);
    for expected in &picture.expected {
        let sentence = format!("{}: {expected}", expected.band);
        let _ = writeln!(out, "{}", plain(&sentence));
    }
    out
}

/// A section's heading.
pub(super) fn title(style: Style, text: &str) -> String {
    match style {
        Style::Text => text.to_owned(),
        Style::Markdown => format!("## {text}"),
    }
}

fn share(part: u64, whole: u64) -> String {
    let percent = Decimal::from(part) * Decimal::ONE_HUNDRED;
    percent
        .checked_div(Decimal::from(whole))
        .map_or_else(|| "-".to_owned(), |percent| format!("{} %", percent.round()))
}

fn told(currency: Currency, amount: Decimal) -> String {
    Money::new(amount.round_dp(2), currency).grouped(2)
}

fn fleet(of: &FleetMoney) -> Vec<String> {
    let total = of.time.total();
    let idle: u64 = of.time.iter().filter(|(state, _)| state.is_idle()).map(|(_, ms)| ms).sum();
    let price = |price: Option<(Currency, Decimal)>| {
        price.map_or_else(|| "not known".to_owned(), |(currency, price)| told(currency, price))
    };
    let cost = of.money.as_ref().map_or_else(
        || "not known".to_owned(),
        |(currency, states)| told(*currency, states.values().sum()),
    );
    let model = GpuModel::of(&of.fleet.model).map_or(of.fleet.model.as_str(), |model| model.name);
    vec![
        model.to_owned(),
        of.fleet.instance_type.clone().unwrap_or_else(|| of.fleet.cluster.clone()),
        hours(total).round().to_string(),
        share(of.time.milliseconds(GpuState::Busy), total),
        share(of.time.milliseconds(GpuState::Low), total),
        share(idle, total),
        cost,
        price(of.hour_price()),
        price(of.busy_hour_price()),
    ]
}

fn money(out: &mut String, open: &PeriodPicture) {
    for ((cloud, currency), money) in &open.money.by_provider {
        let cloud = cloud.map_or("own hardware", |cloud| cloud.display_name());
        let reasons: Vec<String> = money
            .states
            .iter()
            .filter(|(state, _)| state.is_idle() || **state == GpuState::Unknown)
            .map(|(state, sum)| {
                format!("{} {}", state.as_str().replace('_', " "), told(*currency, *sum))
            })
            .collect();
        let idle = money.idle();
        let _ = writeln!(
            out,
            "\n{cloud}: {} for GPUs, {} of it idle ({}); {} is an estimate",
            told(*currency, money.total()),
            told(*currency, idle),
            reasons.join(", "),
            told(*currency, money.estimated),
        );
        let residuals: Vec<String> = money
            .residuals
            .iter()
            .map(|(kind, sum)| {
                format!("{} {}", kind.as_str().replace('_', " "), told(*currency, *sum))
            })
            .collect();
        if !residuals.is_empty() {
            let _ = writeln!(out, "{cloud}, billed beside that: {}", residuals.join(", "));
        }
        let _ = writeln!(
            out,
            "{cloud}, with half of the idle GPUs given back: {} for GPUs",
            told(*currency, money.total() - idle / Decimal::TWO),
        );
    }
}

fn workloads(out: &mut String, style: Style, open: &PeriodPicture) {
    let wasteful: Vec<Vec<String>> = open
        .workloads
        .iter()
        .filter(|one| one.idle_cost > Decimal::ZERO)
        .take(MOST_WORKLOADS)
        .map(|one| {
            vec![
                format!("{}/{}", one.of.namespace, one.of.name),
                told(one.currency, one.cost),
                told(one.currency, one.idle_cost),
                hours(one.time.total()).round().to_string(),
            ]
        })
        .collect();
    if wasteful.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}\n", title(style, "The most wasteful workloads"));
    table(out, style, &["workload", "cost", "idle", "GPU-hours"], &wasteful);
    out.push('\n');
}

fn table(out: &mut String, style: Style, headings: &[&str], rows: &[Vec<String>]) {
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let shown = |row: &Vec<String>| row.iter().map(|cell| plain(cell)).collect();
    let rows: &[Vec<String>] = &rows.iter().map(shown).collect::<Vec<_>>();
    if style == Style::Markdown {
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        out.push_str(&line(&headings));
        out.push_str(&format!("|{}\n", "---|".repeat(headings.len())));
        rows.iter().for_each(|row| out.push_str(&line(row)));
        return;
    }
    let all: Vec<&Vec<String>> = std::iter::once(&headings).chain(rows).collect();
    let width = |place: usize| {
        let cells = all.iter().filter_map(|row| row.get(place));
        cells.map(|cell| text::width(cell)).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    for row in all {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{}  ", left(cell, *width));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}
