//! The page's section of alerts: what fires, what waits, and who has taken it. Links in messages lead
//! here.

use maud::{Markup, html};

use super::page::minute;
use crate::config::file::Language;
use crate::domain::alert::{AlertRule, AlertState, Severity};
use crate::snapshot::Snapshot;

pub(super) fn section(snapshot: &Snapshot, language: Language) -> Markup {
    let word = |english, korean| language.pick(english, korean);
    let mut alerts: Vec<&AlertState> = snapshot.alerts.iter().collect();
    alerts.sort_by(|a, b| {
        let rank = |state: &AlertState| (!state.fires(), state.details.severity);
        (rank(a), &a.key).cmp(&(rank(b), &b.key))
    });
    html! {
        h2 id="alerts" { (word("Alerts", "알림")) }
        @if alerts.is_empty() {
            p.note { (word("Nothing fires.", "발생한 알림이 없습니다.")) }
        } @else {
            div.scroll { table {
                tr {
                    th { (word("What", "내용")) }
                    th { (word("Of what", "대상")) }
                    th { (word("Period", "청구 월")) }
                    th { (word("Severity", "심각도")) }
                    th { (word("State", "상태")) }
                    th { (word("Since", "시작")) }
                }
                @for alert in alerts { (row(alert, language)) }
            } }
            p.note { (word("How much and why: /api/v1/alerts; how to take one: docs/alerts.md.",
                           "금액과 원인은 /api/v1/alerts, 확인 처리는 docs/alerts.md에 있습니다.")) }
        }
    }
}

fn row(alert: &AlertState, language: Language) -> Markup {
    let about: Vec<&str> = alert.key.subject.values().map(String::as_str).collect();
    html! {
        tr id={ "alert-" (alert.key.id()) } {
            td { (rule(alert.key.rule, language)) }
            td { (about.join(" · ")) }
            td { @if let Some(period) = alert.key.period { (period) } }
            td { (severity(alert.details.severity, language)) }
            td {
                @if !alert.fires() { (language.pick("pending", "대기")) }
                @else if let Some(taken) = &alert.acknowledged {
                    (language.pick("taken by ", "확인: ")) (taken.by)
                } @else { (language.pick("firing", "발생 중")) }
            }
            td { (minute(alert.fired_at.unwrap_or(alert.since))) }
        }
    }
}

fn severity(severity: Severity, language: Language) -> &'static str {
    match severity {
        Severity::Critical => language.pick("critical", "긴급"),
        Severity::Warning => language.pick("warning", "경고"),
        Severity::Info => language.pick("info", "정보"),
    }
}

fn rule(rule: AlertRule, language: Language) -> &'static str {
    use AlertRule as Rule;
    let (english, korean) = match rule {
        Rule::CeilingExceeded => ("spend above the ceiling", "상한 초과"),
        Rule::CeilingForecast => ("month end expected above the ceiling", "상한 초과 예상"),
        Rule::PaceFast => ("spend burns very fast", "지출 속도 매우 빠름"),
        Rule::PaceSlow => ("spend burns too fast", "지출 속도 빠름"),
        Rule::FloorForecast => ("month end expected below the floor", "하한 미달 예상"),
        Rule::SpendAnomaly => ("unusual spend", "이상 지출"),
        Rule::LevelShift => ("spend at a new level", "지출 수준 변화"),
        Rule::NewService => ("new service", "새 서비스"),
        Rule::NewRegion => ("new region", "새 리전"),
        Rule::GpuIdleMoney => ("GPU money that does nothing", "유휴 GPU 비용"),
        Rule::GpuUnderFed => ("GPUs that wait for work", "작업을 기다리는 GPU"),
        Rule::ClusterBelowTier => ("cluster below its tier", "목표 등급 미달 클러스터"),
        Rule::ReservationNotRunning => ("paid for and not running", "가동되지 않는 유료 장비"),
        Rule::BillingDataLate => ("billing data late", "청구 데이터 지연"),
        Rule::SourceFailing => ("source cannot be read", "소스 읽기 실패"),
        Rule::IdentityWrong => ("credentials refused", "자격 증명 거부"),
        Rule::Restatement => ("closed bill has moved", "마감된 청구 변경"),
        Rule::ReconciliationDifference => ("totals do not agree", "합계 불일치"),
        Rule::CapNearlySpent => ("request cap nearly spent", "요청 한도 임박"),
        Rule::ForecastOff => ("forecast was badly off", "예측 오차 큼"),
        Rule::ReceiverFailing => ("receiver takes no messages", "알림 수신처 실패"),
        Rule::LedgerFailing => ("ledger keeps nothing", "원장 기록 실패"),
    };
    language.pick(english, korean)
}
