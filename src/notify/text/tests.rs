//! Every rule, kind and end in both languages.

use super::*;
use crate::domain::alert::{
    AlertCause, AlertDetails, AlertKey, AlertPhase, AlertRule, Figure, FigureName,
};
use crate::domain::money::Money;

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

fn details(is_full: bool) -> AlertDetails {
    let mut details = AlertDetails::new(Severity::Warning);
    if !is_full {
        return details;
    }
    for name in FigureName::ALL {
        let figure = match name {
            FigureName::Probability | FigureName::Share => Figure::Ratio(0.97),
            FigureName::BurnOneDay | FigureName::BurnThreeDays | FigureName::BurnSevenDays => {
                Figure::Ratio(2.04)
            }
            FigureName::Sigmas => Figure::Ratio(5.5),
            FigureName::Gpus | FigureName::GpuHours | FigureName::Count => Figure::Count(12_345),
            FigureName::Age => Figure::Hours(49.2),
            FigureName::Crossing
            | FigureName::CrossingEarly
            | FigureName::FirstDay
            | FigureName::NewestDay
            | FigureName::LastSeen => Figure::Day("2026-11-27".parse().unwrap()),
            FigureName::Since | FigureName::LastSuccess => {
                Figure::At("2026-11-27T14:05:00Z".parse().unwrap())
            }
            FigureName::Tier
            | FigureName::Limit
            | FigureName::Missing
            | FigureName::Error
            | FigureName::ErrorKind => Figure::Text("words".to_owned()),
            _ => Figure::Money(money("12345.678 USD")),
        };
        details = details.with(*name, figure);
    }
    details.owner = Some("ml-infra".to_owned());
    details.causes = vec![AlertCause {
        dimension: None,
        name: "train".to_owned(),
        amount: money("10 USD"),
        share: Some(0.5),
    }];
    details
}

fn of(rule: AlertRule, is_full: bool, end: Option<AlertEnd>) -> AlertNotice {
    let period = "2026-11".parse().unwrap();
    let key = AlertKey::new(rule).of(Subject::Band, "aws").within(period);
    AlertNotice {
        id: key.id(),
        key,
        phase: AlertPhase::Firing,
        since: "2026-11-20T10:00:00Z".parse().unwrap(),
        fired_at: None,
        ended_at: end.map(|_| "2026-12-03T10:00:00Z".parse().unwrap()),
        end,
        acknowledged: None,
        details: details(is_full),
    }
}

const LANGUAGES: [Language; 2] = [Language::En, Language::Ko];

/// Every text that there is.
fn all() -> Vec<(AlertRule, NoticeKind, Option<AlertEnd>, Language, AlertText)> {
    let mut texts = Vec::new();
    for rule in AlertRule::ALL {
        for language in LANGUAGES {
            for is_full in [true, false] {
                let mut tell = |kind, end| {
                    let links = Links { page: Some("https://c".to_owned()), ..Links::default() };
                    let text = alert(kind, &of(*rule, is_full, end), &links, language);
                    texts.push((*rule, kind, end, language, text));
                };
                tell(NoticeKind::Firing, None);
                tell(NoticeKind::Reminder, None);
                tell(NoticeKind::Test, None);
                for end in AlertEnd::ALL {
                    tell(NoticeKind::Resolved, Some(*end));
                }
            }
        }
    }
    texts
}

#[test]
fn every_rule_is_told_in_every_language_without_gaps() {
    for (rule, kind, end, language, text) in all() {
        let whole = text.plain(&Words::of(language));
        let what = format!("{rule} {kind:?} {end:?} {language:?}:\n{whole}");
        for gap in ["none", "undefined", "{{", "{%", "  ", " .", "()", rule.as_str()] {
            assert!(!whole.contains(gap), "`{gap}`: {what}");
        }
        assert!(text.title.contains("aws") && text.summary != text.title, "{what}");
        let korean = whole.chars().any(|c| ('가'..='힣').contains(&c));
        assert_eq!(korean, language == Language::Ko, "{what}");
    }
}

#[test]
fn what_happened_once_is_never_called_gone() {
    for (rule, kind, end, language, text) in all() {
        let happened = [
            AlertRule::SpendAnomaly,
            AlertRule::LevelShift,
            AlertRule::NewService,
            AlertRule::NewRegion,
            AlertRule::Restatement,
        ];
        if kind == NoticeKind::Resolved
            && end == Some(AlertEnd::Cleared)
            && happened.contains(&rule)
        {
            let gone = ["is gone", "정상 상태"].iter().any(|word| text.summary.contains(word));
            assert!(!gone, "{rule} {language:?}: {}", text.summary);
        }
    }
}

#[test]
fn a_closed_month_is_never_called_resolved() {
    for (_, _, end, language, text) in all() {
        if end != Some(AlertEnd::PeriodFinal) {
            continue;
        }
        let whole = text.plain(&Words::of(language)).to_lowercase();
        for wrong in ["resolved", "is gone", "해소", "정상 상태"] {
            assert!(!whole.contains(wrong), "{whole}");
        }
        assert!(whole.contains("closed") || whole.contains("마감"), "{whole}");
    }
}

#[test]
fn money_is_grouped_and_days_are_readable() {
    let links = Links::default();
    let alert = of(AlertRule::CeilingForecast, true, None);
    let text = super::alert(NoticeKind::Firing, &alert, &links, Language::En);
    assert!(text.summary.contains("12,345.68 USD") && text.summary.contains("97%"), "{text:?}");
    assert!(text.lines.iter().any(|line| line.contains("27 November 2026")), "{text:?}");
    assert_eq!(text.causes, ["train: 10.00 USD (50%)"]);
    let text = super::alert(NoticeKind::Firing, &alert, &links, Language::Ko);
    assert!(text.lines.iter().any(|line| line.contains("2026년 11월 27일")), "{text:?}");
}

#[test]
fn a_name_cannot_fake_a_line_or_turn_the_reading_direction() {
    let mut alert = of(AlertRule::CeilingForecast, true, None);
    let hostile = format!("a\nOwner: me\r\u{202e}\u{2028}{}", "x".repeat(300));
    alert.key.subject.insert(Subject::Band, hostile.clone());
    alert.details.owner = Some(hostile);
    for language in LANGUAGES {
        let text = super::alert(NoticeKind::Firing, &alert, &Links::default(), language);
        let whole = text.plain(&Words::of(language));
        assert!(whole.lines().all(|line| !line.starts_with("Owner: me")), "{whole}");
        assert!(!whole.contains(['\u{202e}', '\u{2028}', '\r']), "{whole}");
        assert!(!whole.contains(&"x".repeat(121)), "{whole}");
    }
}
