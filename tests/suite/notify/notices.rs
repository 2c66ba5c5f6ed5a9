//! Fixed messages.

use costband::domain::alert::{
    AlertCause, AlertDetails, AlertEnd, AlertKey, AlertPhase, AlertRule, Figure, FigureName,
    Figures, Severity, Subject,
};
use costband::domain::breakdown::Dimension;
use costband::domain::notice::{AlertNotice, Notice, NoticeKind};
use costband::notify::trial;
use jiff::Timestamp;

pub(super) fn now() -> Timestamp {
    "2026-11-20T09:30:00Z".parse().unwrap()
}

fn forecast(band: &str, severity: Severity) -> AlertNotice {
    let money = |text: &str| Figure::Money(text.parse().unwrap());
    let key = AlertKey::new(AlertRule::CeilingForecast)
        .of(Subject::Band, band)
        .within("2026-11".parse().unwrap());
    let mut details = AlertDetails::new(severity)
        .with(FigureName::Spend, money("61234.5 USD"))
        .with(FigureName::Ceiling, money("100000 USD"))
        .with(FigureName::MonthEnd, money("112345.678 USD"))
        .with(FigureName::Probability, Figure::Ratio(0.97))
        .with(FigureName::Crossing, Figure::Day("2026-11-27".parse().unwrap()))
        .with(FigureName::CrossingEarly, Figure::Day("2026-11-26".parse().unwrap()));
    let cause = |name: &str, amount: &str, share| AlertCause {
        dimension: Some(Dimension::ServiceName),
        name: name.to_owned(),
        amount: amount.parse().unwrap(),
        share,
    };
    details.causes = vec![
        cause("Amazon Elastic Compute Cloud", "8000 USD", Some(0.62)),
        cause("Amazon S3", "1234.5 USD", Some(0.1)),
        cause("AWS Data Transfer", "512 USD", None),
    ];
    details.owner = Some("ml-infra".to_owned());
    details.runbook_url = Some("https://wiki.example.com/runbook?a=1&b=2".to_owned());
    AlertNotice {
        id: key.id(),
        key,
        phase: AlertPhase::Firing,
        since: "2026-11-19T08:00:00Z".parse().unwrap(),
        fired_at: Some("2026-11-20T09:00:00Z".parse().unwrap()),
        ended_at: None,
        end: None,
        acknowledged: None,
        details,
    }
}

fn failing(source: &str) -> AlertNotice {
    let key = AlertKey::new(AlertRule::SourceFailing).of(Subject::Source, source);
    let at = "2026-11-19T08:00:00Z".parse().unwrap();
    let details = AlertDetails::new(Severity::Warning)
        .with(FigureName::LastSuccess, Figure::At(at))
        .with(FigureName::ErrorKind, Figure::Text("timeout".to_owned()));
    AlertNotice { id: key.id(), key, details, ..forecast("aws", Severity::Warning) }
}

fn ended(end: AlertEnd) -> AlertNotice {
    let ended_at = Some("2026-12-03T07:00:00Z".parse().unwrap());
    let alert = forecast("aws", Severity::Critical);
    AlertNotice { phase: AlertPhase::Resolved, ended_at, end: Some(end), ..alert }
}

/// An unusual cost of two days.
fn spike() -> AlertNotice {
    let key = AlertKey::new(AlertRule::SpendAnomaly)
        .of(Subject::Source, "aws-main")
        .of(Subject::FirstDay, "2026-11-16")
        .within("2026-11".parse().unwrap());
    let money = |text: &str| Figure::Money(text.parse().unwrap());
    let mut details = AlertDetails::new(Severity::Warning)
        .with(FigureName::ActualPerDay, money("350 USD"))
        .with(FigureName::ExpectedPerDay, money("100 USD"))
        .with(FigureName::Excess, money("500 USD"))
        .with(FigureName::Sigmas, Figure::Ratio(9.4))
        .with(FigureName::FirstDay, Figure::Day("2026-11-16".parse().unwrap()))
        .with(FigureName::LastSeen, Figure::Day("2026-11-17".parse().unwrap()));
    details.causes = forecast("aws", Severity::Warning).details.causes;
    details.causes.truncate(1);
    AlertNotice { id: key.id(), key, details, ..forecast("aws", Severity::Warning) }
}

/// A new level that stays and is told no more.
fn settled() -> AlertNotice {
    let of = spike();
    let key = AlertKey { rule: AlertRule::LevelShift, ..of.key };
    AlertNotice { id: key.id(), key, details: of.details, ..ended(AlertEnd::Settled) }
}

fn notice(kind: NoticeKind, alerts: Vec<AlertNotice>) -> Notice {
    Notice { kind, at: now(), alerts }
}

pub(super) fn one() -> Notice {
    notice(NoticeKind::Firing, vec![forecast("aws", Severity::Critical)])
}

/// Every message of the golden files, by its name.
pub(super) fn all() -> Vec<(&'static str, Notice)> {
    let many = (0..60).map(|index| forecast(&format!("team-{index:02}"), Severity::Warning));
    let mut hostile = forecast(
        "<!channel> *b* _i_ [x](https://evil.example) <script>alert(1)</script> @everyone",
        Severity::Warning,
    );
    hostile.details.causes[0].name = format!("a\r\nOwner: root\u{202e}\u{2028}{}", "x".repeat(300));
    hostile.details.owner = Some("\"quotes\" & <b>bold</b>\n\n.\r\nBcc: x@evil.example".to_owned());
    let mut info = forecast("gcp", Severity::Info);
    info.details.figures = Figures::default();
    info.details.causes.clear();
    let mixed = vec![forecast("aws", Severity::Critical), failing("azure-main"), info];
    vec![
        ("one", one()),
        ("three", notice(NoticeKind::Firing, mixed)),
        ("sixty", notice(NoticeKind::Reminder, many.collect())),
        ("resolved", notice(NoticeKind::Resolved, vec![ended(AlertEnd::Cleared)])),
        ("closed", notice(NoticeKind::Resolved, vec![ended(AlertEnd::PeriodFinal)])),
        ("settled", notice(NoticeKind::Resolved, vec![settled()])),
        ("spike", notice(NoticeKind::Firing, vec![spike()])),
        ("test", trial::notice(now())),
        ("hostile", notice(NoticeKind::Firing, vec![hostile])),
    ]
}
