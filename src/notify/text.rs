//! A message in words: the templates of a language over the figures of an alert. Plain text without
//! any markup; each receiver escapes it for its own format.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use minijinja::{Environment, Value, context};

use crate::config::file::Language;
use crate::domain::alert::{AlertEnd, Figure, FigureName, Severity, Subject};
use crate::domain::notice::{AlertNotice, Notice, NoticeKind};
use crate::notify::{Links, values};

/// One alert in words. Every text is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertText {
    /// What happened, of what, in which month.
    pub title: String,
    /// How much, in one sentence.
    pub summary: String,
    /// Since when, by when, what to do, who is asked.
    pub lines: Vec<String>,
    /// What moved it, the largest first.
    pub causes: Vec<String>,
    /// Where it is on the page.
    pub link: Option<String>,
    /// What to do: a link.
    pub runbook: Option<String>,
    /// How much it matters.
    pub severity: Severity,
    /// How it looks.
    pub tone: Tone,
}

/// How an alert looks: the services' colours follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// It fires and is critical.
    Critical,
    /// It fires and is a warning.
    Warning,
    /// It fires and nobody need do anything.
    Info,
    /// What it told of is gone.
    Good,
    /// It is over for another reason: what it told of may be as it was.
    Plain,
}

impl Tone {
    fn of(kind: NoticeKind, alert: &AlertNotice) -> Self {
        match (kind, alert.end, alert.details.severity) {
            (NoticeKind::Resolved, Some(AlertEnd::Cleared), _) => Self::Good,
            (NoticeKind::Resolved, _, _) => Self::Plain,
            (_, _, Severity::Critical) => Self::Critical,
            (_, _, Severity::Warning) => Self::Warning,
            (_, _, Severity::Info) => Self::Info,
        }
    }
}

/// A message in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeText {
    /// What it is about, in one line.
    pub title: String,
    /// The alerts, as many as there are.
    pub alerts: Vec<AlertText>,
    /// The dashboard.
    pub dashboard: Option<String>,
    /// The gravest of its alerts; none where all are over.
    pub severity: Option<Severity>,
    /// The words around it.
    pub words: Words,
}

/// Words around an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// Above the causes.
    pub causes: &'static str,
    /// Of the link to the page.
    pub open: &'static str,
    /// Of the link to what to do.
    pub runbook: &'static str,
    /// Of the link to the dashboard.
    pub dashboard: &'static str,
    language: Language,
}

impl Words {
    /// Those of a language.
    pub fn of(language: Language) -> Self {
        let [causes, open, runbook, dashboard] = match language {
            Language::En => ["Top causes", "Open in costband", "Runbook", "Dashboard"],
            Language::Ko => ["주요 원인", "costband에서 보기", "대응 절차", "대시보드"],
        };
        Self { causes, open, runbook, dashboard, language }
    }

    /// That so many alerts were left out.
    pub fn left_out(&self, count: usize) -> String {
        match self.language {
            Language::En if count == 1 => "1 more alert is not shown here.".to_owned(),
            Language::En => format!("{count} more alerts are not shown here."),
            Language::Ko => format!("여기에 표시하지 않은 알림이 {count}건 더 있습니다."),
        }
    }
}

impl AlertText {
    /// Title, summary, lines, causes and links, one a line.
    pub fn plain(&self, words: &Words) -> String {
        let mut lines = vec![self.title.clone(), self.summary.clone()];
        lines.extend(self.lines.iter().cloned());
        lines.extend(self.cause_lines(words));
        lines.extend(self.links(words).map(|(word, url)| format!("{word}: {url}")));
        lines.join("\n")
    }

    /// The causes with the words above them; nothing where there are none.
    pub fn cause_lines(&self, words: &Words) -> Vec<String> {
        if self.causes.is_empty() {
            return Vec::new();
        }
        let causes = self.causes.iter().map(|cause| format!("• {cause}"));
        [format!("{}:", words.causes)].into_iter().chain(causes).collect()
    }

    /// The links with their words.
    pub fn links<'a>(&'a self, words: &'a Words) -> impl Iterator<Item = (&'a str, &'a str)> {
        let link = self.link.iter().map(|url| (words.open, url.as_str()));
        link.chain(self.runbook.iter().map(|url| (words.runbook, url.as_str())))
    }
}

/// A message in the words of a language, as it is read at an instant.
pub fn notice(notice: &Notice, links: &Links, language: Language, now: Timestamp) -> NoticeText {
    let alerts: Vec<AlertText> =
        notice.alerts.iter().map(|one| alert(notice.kind, one, links, language, now)).collect();
    let is_over = notice.kind == NoticeKind::Resolved;
    let severity = notice.alerts.iter().map(|alert| alert.details.severity).min();
    NoticeText {
        title: title(notice, &alerts, language),
        dashboard: links.dashboard.clone(),
        severity: severity.filter(|_| !is_over),
        words: Words::of(language),
        alerts,
    }
}

/// How many alerts fit, the gravest first: at most so many, and their sizes within a budget. At
/// least one is shown.
pub fn fitting<T>(parts: &[T], most: usize, budget: usize, size: impl Fn(&T) -> usize) -> usize {
    let mut used = 0_usize;
    let fit = parts.iter().take(most).take_while(|part| {
        used = used.saturating_add(size(part));
        used <= budget
    });
    fit.count().max(1).min(parts.len())
}

fn title(notice: &Notice, alerts: &[AlertText], language: Language) -> String {
    if let [one] = alerts {
        return one.title.clone();
    }
    let of = |wanted: Severity| {
        let alerts = notice.alerts.iter();
        let count = alerts.filter(|alert| alert.details.severity == wanted).count();
        let word = values::severity(wanted, language);
        (count > 0).then(|| match language {
            Language::En => format!("{count} {word}"),
            Language::Ko => format!("{word} {count}건"),
        })
    };
    let counts: Vec<String> = Severity::ALL.iter().filter_map(|one| of(*one)).collect();
    let (count, counts) = (alerts.len(), counts.join(", "));
    match (language, notice.kind) {
        (Language::En, NoticeKind::Firing) => format!("{count} alerts: {counts}"),
        (Language::En, NoticeKind::Reminder) => format!("{count} alerts still fire: {counts}"),
        (Language::En, NoticeKind::Resolved) => format!("{count} alerts ended"),
        (Language::En, NoticeKind::Test) => format!("Test: {count} alerts"),
        (Language::Ko, NoticeKind::Firing) => format!("알림 {count}건: {counts}"),
        (Language::Ko, NoticeKind::Reminder) => format!("계속되는 알림 {count}건: {counts}"),
        (Language::Ko, NoticeKind::Resolved) => format!("종료된 알림 {count}건"),
        (Language::Ko, NoticeKind::Test) => format!("테스트: 알림 {count}건"),
    }
}

/// An alert in the words of a language, as it is read at an instant.
pub fn alert(
    kind: NoticeKind,
    alert: &AlertNotice,
    links: &Links,
    language: Language,
    now: Timestamp,
) -> AlertText {
    let causes = alert.details.causes.iter().map(|cause| {
        let (name, amount) = (values::name(&cause.name), values::money(cause.amount));
        match cause.share {
            Some(share) => format!("{name}: {amount} ({})", values::percent(share)),
            None => format!("{name}: {amount}"),
        }
    });
    let rendered = templates(language)
        .get_template("alert")
        .and_then(|template| template.render(words_of(kind, alert, language, now)));
    // The templates are part of the program and are tested over every rule.
    let text = rendered.unwrap_or_else(|_| alert.key.rule.to_string());
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let title = lines.next().unwrap_or_default().to_owned();
    let runbook = alert.details.runbook_url.as_deref();
    AlertText {
        summary: lines.next().map_or_else(|| title.clone(), str::to_owned),
        lines: lines.map(str::to_owned).collect(),
        title,
        causes: causes.take(3).collect(),
        link: links.alert(alert),
        runbook: runbook.map(|url| url.chars().filter(|c| !c.is_control()).collect()),
        severity: alert.details.severity,
        tone: Tone::of(kind, alert),
    }
}

/// Whether a figure says something: no day that is past is expected, and from now on no day may
/// cost nothing or less.
fn is_news(name: FigureName, figure: &Figure, now: Timestamp) -> bool {
    let today = TimeZone::UTC.to_datetime(now).date();
    match (name, figure) {
        (FigureName::AllowedPerDay, Figure::Money(amount)) => {
            amount.amount.is_sign_positive() && !amount.amount.is_zero()
        }
        (FigureName::Crossing | FigureName::CrossingEarly, Figure::Day(day)) => *day >= today,
        (FigureName::Count, Figure::Count(count)) => *count > 0,
        _ => true,
    }
}

/// What a template may name. What is not known is not there.
fn words_of(kind: NoticeKind, alert: &AlertNotice, language: Language, now: Timestamp) -> Value {
    let details = &alert.details;
    let figures: BTreeMap<&str, String> = details
        .figures
        .iter()
        .filter(|(name, figure)| is_news(*name, figure, now))
        .map(|(name, figure)| (name.as_str(), values::figure(name, figure, language)))
        .collect();
    let subject: BTreeMap<&str, String> = alert
        .key
        .subject
        .iter()
        .map(|(subject, value)| (subject.as_str(), values::name(value)))
        .collect();
    let told = |subject: &Subject| !matches!(subject, Subject::Currency | Subject::FirstDay);
    let about: Vec<String> = alert
        .key
        .subject
        .iter()
        .filter(|(subject, _)| told(subject))
        .map(|(_, value)| values::name(value))
        .collect();
    let lasted = alert.ended_at.map(|ended| ended.duration_since(alert.since));
    context! {
        kind => kind.as_str(),
        rule => alert.key.rule.as_str(),
        end => alert.end.map(AlertEnd::as_str),
        severity => values::severity(details.severity, language),
        f => figures,
        s => subject,
        about => about.join(" / "),
        period => alert.key.period.map(|period| values::month(period, language)),
        since => values::instant(alert.since, language),
        ended => alert.ended_at.map(|at| values::instant(at, language)),
        lasted_hours => lasted.map(|lasted: SignedDuration| lasted.as_hours()),
        owner => details.owner.as_deref().map(values::name),
        taken_by => alert.acknowledged.as_ref().map(|taken| values::name(&taken.by)),
    }
}

fn templates(language: Language) -> &'static Environment<'static> {
    static BUILT: [OnceLock<Environment<'static>>; 2] = [OnceLock::new(), OnceLock::new()];
    let [english, korean] = &BUILT;
    let (built, text) = match language {
        Language::En => (english, include_str!("templates/en.jinja")),
        Language::Ko => (korean, include_str!("templates/ko.jinja")),
    };
    built.get_or_init(|| {
        let mut environment = Environment::new();
        // Each receiver escapes for its own format.
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.add_template("alert", text).expect("the templates are tested");
        environment
    })
}

#[cfg(test)]
mod tests;
