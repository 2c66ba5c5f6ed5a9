//! The report as it is drawn on a terminal: bands with their days, shares of sources, states of GPUs,
//! in the configured language.

use std::collections::BTreeMap;
use std::fmt::Write;

use rust_decimal::Decimal;

use crate::cli::report::screen::{Paint, Screen, portion};
use crate::cli::report::text::amount;
use crate::cli::report::text::{left, right, width, wrapped};
use crate::cli::report::{gpu, trends};
use crate::config::file::Language;
use crate::domain::band::{BandJudgement, BandStatus, BandView, PeriodLabel};
use crate::domain::breakdown::{Amounts, Dimension};
use crate::domain::gpu_money::ProviderMoney;
use crate::domain::gpu_time::GpuState;
use crate::domain::identity::Provider;
use crate::domain::money::{CostBasis, Currency, Money};
use crate::domain::report::Completeness;
use crate::domain::spend::{PeriodSpend, SourceSpend};
use crate::snapshot::Snapshot;
use crate::web::reader::Reader;

/// So many values of a dimension are drawn; the others are one.
const MOST_VALUES: usize = 5;

/// A report that is being drawn.
pub struct Drawing<'a> {
    screen: Screen,
    language: Language,
    reader: Reader,
    snapshot: &'a Snapshot,
    out: String,
}

/// Draws a snapshot. A screen without the language's letters gets English.
pub fn draw(snapshot: &Snapshot, language: Language, screen: Screen) -> String {
    let language = if screen.glyphs.unicode { language } else { Language::En };
    let reader = Reader::new(language, language.tag(), snapshot.at);
    let mut drawing = Drawing { screen, language, reader, snapshot, out: String::new() };
    drawing.head();
    for band in snapshot.bands.iter() {
        drawing.band(band);
    }
    drawing.failures();
    for source in snapshot.spend.iter() {
        drawing.source(source);
    }
    drawing.gpus();
    drawing.moved();
    drawing.out
}

impl Drawing<'_> {
    fn word(&self, english: &'static str, korean: &'static str) -> &'static str {
        self.language.pick(english, korean)
    }

    fn line(&mut self, line: &str) {
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    fn heading(&mut self, text: &str) {
        let heading = self.screen.paint(Paint::Bold, text);
        self.line("");
        self.line(&heading);
    }

    fn head(&mut self) {
        let at = self.snapshot.at.strftime("%Y-%m-%d %H:%M UTC");
        let head = match self.language {
            Language::En => format!("as of {at}"),
            Language::Ko => format!("{at} 기준"),
        };
        self.line(&head);
        let glyphs = self.screen.glyphs;
        let legend = format!(
            "{} {}  {} {}  {} {}  {} {}",
            glyphs.full,
            self.language.view(BandView::Actual),
            glyphs.part,
            self.language.view(BandView::Forecast),
            glyphs.mark,
            self.word("floor, ceiling", "하한, 상한"),
            glyphs.provisional,
            self.language.completeness(Completeness::Provisional),
        );
        let legend = self.screen.paint(Paint::Dim, &self.fitted(&legend));
        self.line(&legend);
    }

    /// A line of the report's own words, cut to the screen.
    fn fitted(&self, line: &str) -> String {
        self.screen.name(line, self.screen.width)
    }

    fn band(&mut self, band: &BandJudgement) {
        let closed = if band.is_final { self.word(" final", " 확정") } else { "" };
        let period = format!("{}{closed}", band.period);
        let name = self.screen.name(&band.band, self.screen.width - width(&period) - 2);
        self.heading(&format!("{name}  {period}"));
        let views = BandView::ALL.map(|view| self.language.view(view));
        let labels = views.iter().map(|view| width(view)).max().unwrap_or(0);
        let language = self.language;
        let status = |status: BandStatus| language.status(status);
        let statuses = BandStatus::ALL.map(|of| width(status(of))).into_iter().max().unwrap_or(0);
        for view in BandView::ALL {
            let of = band.status(view);
            let label = left(self.language.view(view), labels);
            let word = self.screen.paint(Paint::Status(of), &left(status(of), statuses));
            let indent = labels + statuses + 6;
            let told = " ".repeat(indent) + &self.told(band, view);
            let told = self.wrapped(&told, indent);
            self.line(&format!("  {label}  {word}  {}", told.trim_start()));
        }
        let mut unknown = Vec::new();
        for judged in &band.views {
            let why = self.reader.reason(&judged.reason);
            if judged.status == BandStatus::Unknown && !unknown.contains(&why) {
                unknown.push(why);
            }
        }
        for why in unknown {
            let why = self.wrapped(&format!("  {}: {why}", status(BandStatus::Unknown)), 4);
            self.line(&why);
        }
        self.place(band);
        self.days(band);
    }

    /// The amount that a view is of, as far as one is known.
    fn told(&self, band: &BandJudgement, view: BandView) -> String {
        match view {
            BandView::Actual => band.spend.map_or_else(String::new, amount),
            BandView::Pace => band.complete_spend.map_or_else(String::new, |spend| {
                let days = band.complete_days;
                match self.language {
                    Language::En => format!("{} on {days} complete days", amount(spend)),
                    Language::Ko => format!("완결일 {days}일 동안 {}", amount(spend)),
                }
            }),
            BandView::Forecast => {
                let end = band.month_end().map_or_else(String::new, amount);
                let Some(outlook) = &band.outlook else { return end };
                let [low, high] = outlook.forecast.interval_80;
                let whole = |of: Decimal| Money::new(of, outlook.forecast.currency).grouped(0);
                let (low, high) = (whole(low), whole(high));
                let above = self.reader.chance(outlook.against.above_ceiling);
                match self.language {
                    Language::En => {
                        format!("{end}, {above} above the ceiling; 80 %: {low} to {high}")
                    }
                    Language::Ko => format!("{end}, 상한 초과 확률 {above}, 80 %: {low} ~ {high}"),
                }
            }
        }
    }

    /// Somebody's text, broken where the screen ends.
    fn wrapped(&self, text: &str, indent: usize) -> String {
        let shown = self.screen.name(text, usize::MAX);
        wrapped(&shown, self.screen.width, indent, self.screen.glyphs.cut)
    }

    /// The bar from nothing to a quarter past the ceiling.
    fn place(&mut self, band: &BandJudgement) {
        let end = band.ceiling.amount * Decimal::new(125, 2);
        let of = |money: Option<Money>| money.and_then(|money| portion(money.amount, end));
        let marks: Vec<f64> =
            [of(Some(band.floor)), of(Some(band.ceiling))].into_iter().flatten().collect();
        let open = band.outlook.as_ref().and_then(|_| of(band.month_end()));
        if let Some(there) = of(band.spend) {
            let columns = self.screen.width - 4;
            let bar = self.screen.bar(columns, there, open.unwrap_or(0.0), &marks);
            let bar = self
                .screen
                .paint(Paint::Status(band.status(BandView::Actual)), &String::from_iter(bar));
            self.line(&format!("  {bar}"));
        }
        let limits = format!(
            "  {} {}  {} {}",
            self.word("floor", "하한"),
            amount(band.floor),
            self.word("ceiling", "상한"),
            amount(band.ceiling)
        );
        let limits = self.screen.paint(Paint::Dim, &self.fitted(&limits));
        self.line(&limits);
    }

    /// One column for each day, those that may still grow marked below.
    fn days(&mut self, band: &BandJudgement) {
        let (Some(first), Some(last)) = (band.days.first(), band.days.last()) else { return };
        let held = |day| band.days.iter().find(|held| held.day == day);
        let until = band.period.window().days().take_while(|day| *day <= last.day);
        let days: Vec<_> = until.map(held).collect();
        let amounts: Vec<Option<Decimal>> =
            days.iter().map(|day| Some(day.as_ref()?.spend)).collect();
        let grows: Vec<bool> = days
            .iter()
            .map(|day| day.is_some_and(|day| day.completeness == Completeness::Provisional))
            .collect();
        let mut row = String::new();
        for (column, grows) in self.screen.columns(&amounts).into_iter().zip(&grows) {
            let column = column.to_string();
            row.push_str(&if *grows { self.screen.paint(Paint::Dim, &column) } else { column });
        }
        let most = amounts.iter().flatten().copied().max().unwrap_or(first.spend);
        let most = amount(Money::new(most, band.ceiling.currency));
        let room = self.screen.width.saturating_sub(amounts.len() + 4);
        let words = match self.language {
            Language::En => format!("by day to {}, most {most}", last.day),
            Language::Ko => format!("{}까지 일별, 최대 {most}", last.day),
        };
        self.line(&format!("  {row}  {}", self.screen.name(&words, room)));
        if grows.contains(&true) {
            let mark = |grows: &bool| if *grows { self.screen.glyphs.provisional } else { ' ' };
            let marks: String = grows.iter().map(mark).collect();
            let words = self.language.completeness(Completeness::Provisional);
            let marks = self.screen.paint(Paint::Dim, &format!("{marks}  {words}"));
            self.line(&format!("  {marks}"));
        }
    }

    fn failures(&mut self) {
        let failed: Vec<String> = self
            .snapshot
            .sources
            .iter()
            .filter_map(|source| {
                let (kind, text) = source.last_error.as_ref()?;
                Some(format!("{}: {}: {text}", source.source, kind.as_str()))
            })
            .collect();
        if !failed.is_empty() {
            self.line("");
        }
        for failure in failed {
            let shown = self.wrapped(&failure, 2);
            self.line(&shown);
        }
    }

    fn source(&mut self, source: &SourceSpend) {
        let open = source.periods.iter().find(|period| period.label == PeriodLabel::Current);
        let told = open.filter(|open| {
            let mut totals = open.totals.values();
            totals.any(|total| total.effective.or(total.billed).is_some())
        });
        let Some(open) = told else {
            let unknown = self.word("unknown", "알 수 없음");
            let room = self.screen.width.saturating_sub(width(unknown) + 2);
            let name = self.screen.name(source.source.as_str(), room);
            self.heading(&format!("{name}  {unknown}"));
            return;
        };
        for (currency, total) in &open.totals {
            let known = [CostBasis::Effective, CostBasis::Billed];
            let known = known.into_iter().find_map(|basis| Some((basis, total.on(basis)?)));
            let Some((basis, total)) = known else { continue };
            let words = format!(
                "{}  {}  {}",
                open.period,
                amount(Money::new(total, *currency)),
                self.language.basis(basis)
            );
            let name = self
                .screen
                .name(source.source.as_str(), self.screen.width.saturating_sub(width(&words) + 2));
            self.heading(&format!("{name}  {words}"));
            for of in [Dimension::ServiceName, Dimension::SubAccountId, Dimension::RegionId] {
                self.shares(source, open, of, (*currency, basis, total));
            }
        }
    }

    fn shares(
        &mut self,
        source: &SourceSpend,
        open: &PeriodSpend,
        of: Dimension,
        (currency, basis, total): (Currency, CostBasis, Decimal),
    ) {
        let Some(values) = open.by.get(&of) else { return };
        let mut sums: Vec<(&str, Decimal)> = values
            .iter()
            .filter(|((_, held), _)| *held == currency)
            .filter_map(|((key, _), sum): (_, &Amounts)| Some((key.as_str(), sum.on(basis)?)))
            .collect();
        sums.sort_by(|(a, one), (b, other)| other.cmp(one).then_with(|| a.cmp(b)));
        let shown = if sums.len() > MOST_VALUES + 1 { MOST_VALUES } else { sums.len() };
        let mut rows: Vec<(String, Decimal)> = sums
            .iter()
            .take(shown)
            .map(|(key, sum)| {
                let name = source.names.get(&(of, (*key).to_owned())).map_or(*key, String::as_str);
                (if name.is_empty() { "-".to_owned() } else { name.to_owned() }, *sum)
            })
            .collect();
        let rest = sums.iter().skip(shown).map(|(_, sum)| *sum);
        let others = rest.fold(Decimal::ZERO, Decimal::saturating_add);
        if sums.len() > shown {
            let count = sums.len() - shown;
            let words = match self.language {
                Language::En => format!("{count} others"),
                Language::Ko => format!("그 밖의 {count}개"),
            };
            rows.push((words, others));
        }
        let title = self.screen.paint(Paint::Dim, self.language.dimension(of));
        self.line(&format!("  {title}"));
        self.bars(&rows, total, currency);
    }

    /// One bar for each amount, with its share of a total.
    fn bars(&mut self, rows: &[(String, Decimal)], total: Decimal, currency: Currency) {
        let names = (self.screen.width / 3).min(40);
        let money = |sum: Decimal| amount(Money::new(sum, currency));
        let sums = rows.iter().map(|(_, sum)| width(&money(*sum))).max().unwrap_or(0);
        let columns = self.screen.width.saturating_sub(names + sums + 12).min(60);
        for (name, sum) in rows {
            let share = portion(*sum, total);
            let bar = self.screen.bar(columns, share.unwrap_or(0.0), 0.0, &[]);
            self.line(&format!(
                "    {} {} {} {}",
                left(&self.screen.name(name, names), names),
                String::from_iter(bar),
                right(&percent(share), 5),
                right(&money(*sum), sums)
            ));
        }
    }

    fn gpus(&mut self) {
        let periods = self.snapshot.gpu.periods.iter();
        let Some(open) = periods.clone().find(|period| period.label == PeriodLabel::Current) else {
            return;
        };
        let clouds: BTreeMap<&(Option<Provider>, Currency), &ProviderMoney> =
            open.money.by_provider.iter().filter(|(_, money)| !money.states.is_empty()).collect();
        for ((cloud, currency), money) in clouds {
            let cloud =
                cloud.map_or(self.word("own hardware", "자체 장비"), Provider::display_name);
            let total = money.total();
            let words = match self.language {
                Language::En => "for GPUs",
                Language::Ko => "GPU 비용",
            };
            let sum = amount(Money::new(total, *currency));
            self.heading(&format!("{cloud}  {}  {sum}  {words}", open.period));
            let rows: Vec<(String, Decimal)> = GpuState::ALL
                .into_iter()
                .filter_map(|state| Some((state, *money.states.get(&state)?)))
                .map(|(state, sum)| (self.language.gpu_state(state).to_owned(), sum))
                .collect();
            self.bars(&rows, total, *currency);
        }
    }

    /// What the table says below its bands too.
    fn moved(&mut self) {
        let section = trends::section(self.snapshot, gpu::Style::Text);
        for line in section.lines() {
            let line = self.wrapped(line, 2);
            let _ = writeln!(self.out, "{line}");
        }
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", share * 100.0))
}
