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

/// Before every day that the figures name.
fn now() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
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
                    let text = alert(kind, &of(*rule, is_full, end), &links, language, now());
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
fn telemetry_that_fails_is_told_in_words_of_its_own() {
    let links = Links::default();
    let told = |telemetry: bool, language| {
        let mut state = of(AlertRule::SourceFailing, false, None);
        state.key = AlertKey::new(AlertRule::SourceFailing).of(Subject::Source, "dcgm");
        if telemetry {
            state.key = state.key.of(Subject::Cluster, "video");
        }
        alert(NoticeKind::Firing, &state, &links, language, now()).plain(&Words::of(language))
    };
    for (language, its_own, of_bills) in [
        (Language::En, "What its GPUs do is unknown meanwhile", "check --online"),
        (Language::Ko, "이 GPU의 상태는 알 수 없으며", "check --online"),
    ] {
        let [telemetry, bill] = [true, false].map(|telemetry| told(telemetry, language));
        assert!(telemetry.contains(its_own) && !telemetry.contains(of_bills), "{telemetry}");
        assert!(telemetry.contains("video"), "{telemetry}");
        assert!(!bill.contains(its_own) && bill.contains(of_bills), "{bill}");
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
        for forecast in [
            "expected month end",
            "forecast crosses",
            "booked so far",
            "chance",
            "월말 예상",
            "확률",
        ] {
            assert!(!whole.contains(forecast), "`{forecast}`: {whole}");
        }
    }
}

#[test]
fn what_is_over_is_told_as_past() {
    for (rule, kind, end, language, text) in all() {
        if kind != NoticeKind::Resolved {
            continue;
        }
        let whole = text.plain(&Words::of(language));
        for present in [
            "refuses",
            "are booked",
            "Nothing was delivered",
            "should be",
            "cannot be",
            "Next step",
            "Missing",
            "error",
            "to be crossed",
            "from now on",
            "Taken by",
            "so far",
            "newest complete day",
            "있습니다",
            "거부하",
            "다음 조치",
            "부족한 것",
            "도달 예상일",
            "목표 등급 words",
            "현재까지",
        ] {
            let stays = end == Some(AlertEnd::Settled) && rule == AlertRule::LevelShift;
            assert!(!whole.contains(present) || stays, "`{present}`: {rule} {end:?}: {whole}");
        }
    }
}

#[test]
fn what_has_settled_is_never_called_gone() {
    for (rule, _, end, language, text) in all() {
        if end != Some(AlertEnd::Settled) {
            continue;
        }
        let whole = text.plain(&Words::of(language));
        for wrong in ["Resolved", "is gone", "해소", "사라졌"] {
            assert!(!whole.contains(wrong), "{whole}");
        }
        let said = ["cost stays", "비용은 그대로", "what they cost stays"];
        let said = said.iter().any(|said| text.summary.contains(said));
        assert!(said, "{rule}: {whole}");
        assert_eq!(text.tone, Tone::Plain);
    }
}

#[test]
fn only_what_is_gone_is_green() {
    for (_, kind, end, _, text) in all() {
        let is_good = text.tone == Tone::Good;
        assert_eq!(is_good, end == Some(AlertEnd::Cleared), "{kind:?} {end:?}");
        assert_eq!(text.tone == Tone::Warning, kind != NoticeKind::Resolved);
    }
}

#[test]
fn a_test_tells_nothing_that_did_not_happen() {
    for (rule, kind, _, language, text) in all() {
        if kind == NoticeKind::Test {
            assert!(text.lines.is_empty(), "{rule} {language:?}: {text:?}");
        }
    }
}

#[test]
fn days_that_are_past_and_amounts_that_are_used_up_are_left_out() {
    let mut alert = of(AlertRule::CeilingForecast, true, None);
    let text = |alert: &AlertNotice, now: Timestamp| {
        let text = super::alert(NoticeKind::Firing, alert, &Links::default(), Language::En, now);
        text.lines.join("\n")
    };
    let later = "2026-11-28T00:00:00Z".parse().unwrap();
    assert!(text(&alert, now()).contains("crossed on 27 November 2026"));
    assert!(text(&alert, now()).contains("A day may cost 12,345.68 USD"));
    assert!(!text(&alert, later).contains("crossed"));
    for used_up in ["0 USD", "-1234 USD"] {
        let figure = Figure::Money(money(used_up));
        alert.details = alert.details.with(FigureName::AllowedPerDay, figure);
        assert!(!text(&alert, now()).contains("A day may cost"), "{used_up}");
    }
    for other in [AlertRule::CeilingExceeded, AlertRule::FloorForecast, AlertRule::ForecastOff] {
        let told = text(&of(other, true, None), now());
        assert!(!told.contains("crossed") && !told.contains("A day may cost"), "{told}");
    }
}

#[test]
fn one_is_one_and_none_is_not_told() {
    let waiting = |count: i64| {
        let mut alert = of(AlertRule::ReceiverFailing, true, None);
        alert.details = alert.details.with(FigureName::Count, Figure::Count(count));
        super::alert(NoticeKind::Firing, &alert, &Links::default(), Language::En, now()).summary
    };
    assert!(waiting(1).ends_with("; 1 message waits."), "{}", waiting(1));
    assert!(waiting(2).ends_with("; 2 messages wait."), "{}", waiting(2));
    assert!(waiting(0).ends_with("14:05 UTC."), "{}", waiting(0));
}

#[test]
fn a_spike_says_on_which_days_and_a_difference_which_sum_is_whose() {
    let texts = |rule, pairs: &[(FigureName, &str)]| {
        let mut alert = of(rule, true, None);
        for (name, amount) in pairs {
            alert.details = alert.details.with(*name, Figure::Money(money(amount)));
        }
        let first = Figure::Day("2026-11-25".parse().unwrap());
        alert.details = alert.details.with(FigureName::FirstDay, first);
        LANGUAGES.map(|language| {
            super::alert(NoticeKind::Firing, &alert, &Links::default(), language, now()).summary
        })
    };
    let [english, korean] = texts(AlertRule::SpendAnomaly, &[]);
    assert!(english.starts_with("From 25 November 2026 to 27 November 2026 a day"), "{english}");
    assert!(english.contains("the difference of all its days is"), "{english}");
    assert!(korean.starts_with("2026년 11월 25일부터 2026년 11월 27일까지"), "{korean}");
    let sums = [(FigureName::Before, "1 USD"), (FigureName::After, "2 USD")];
    let [english, korean] = texts(AlertRule::ReconciliationDifference, &sums);
    let wanted = "The sum of the rows is 1.00 USD, the provider's own total 2.00 USD";
    assert!(english.starts_with(wanted), "{english}");
    assert!(korean.starts_with("항목 합계 1.00 USD, 공급자 합계 2.00 USD"), "{korean}");
}

#[test]
fn money_is_grouped_and_days_are_readable() {
    let links = Links::default();
    let alert = of(AlertRule::CeilingForecast, true, None);
    let text = super::alert(NoticeKind::Firing, &alert, &links, Language::En, now());
    assert!(text.summary.contains("12,345.68 USD") && text.summary.contains("97%"), "{text:?}");
    assert!(text.lines.iter().any(|line| line.contains("27 November 2026")), "{text:?}");
    assert_eq!(text.causes, ["train: 10.00 USD (50%)"]);
    let text = super::alert(NoticeKind::Firing, &alert, &links, Language::Ko, now());
    assert!(text.lines.iter().any(|line| line.contains("2026년 11월 27일")), "{text:?}");
}

#[test]
fn a_name_cannot_fake_a_line_or_turn_the_reading_direction() {
    let mut alert = of(AlertRule::CeilingForecast, true, None);
    let hostile = format!("a\nOwner: me\r\u{202e}\u{2028}{}", "x".repeat(300));
    alert.key.subject.insert(Subject::Band, hostile.clone());
    alert.details.owner = Some(hostile);
    for language in LANGUAGES {
        let text = super::alert(NoticeKind::Firing, &alert, &Links::default(), language, now());
        let whole = text.plain(&Words::of(language));
        assert!(whole.lines().all(|line| !line.starts_with("Owner: me")), "{whole}");
        assert!(!whole.contains(['\u{202e}', '\u{2028}', '\r']), "{whole}");
        assert!(!whole.contains(&"x".repeat(121)), "{whole}");
    }
}
