//! The words of alerts: what they are about, what they tell, what became of them.

use crate::config::file::Language;
use crate::domain::alert::{AlertEnd, FigureName, Subject};
use crate::domain::notice::AlertEventKind;

impl Language {
    /// What an alert is about.
    pub fn subject(self, subject: Subject) -> &'static str {
        match subject {
            Subject::Band => self.pick("band", "예산 범위"),
            Subject::Source => self.pick("source", "데이터 소스"),
            Subject::Provider => self.pick("cloud", "클라우드"),
            Subject::Cluster => self.pick("cluster", "클러스터"),
            Subject::Model => self.pick("GPU model", "GPU 모델"),
            Subject::CapacityType => self.pick("how it was bought", "구매 방식"),
            Subject::Machine => self.pick("machine type", "머신 유형"),
            Subject::ServiceName => self.pick("service", "서비스"),
            Subject::SubAccountId => self.pick("account", "계정"),
            Subject::RegionId => self.pick("region", "리전"),
            Subject::WorkloadNamespace => self.pick("namespace", "네임스페이스"),
            Subject::WorkloadName => self.pick("workload", "워크로드"),
            Subject::Currency => self.pick("currency", "통화"),
            Subject::FirstDay => self.pick("first day", "첫날"),
            Subject::Receiver => self.pick("receiver", "알림 수신처"),
        }
    }

    /// What became of an alert.
    pub fn alert_event(self, kind: AlertEventKind) -> &'static str {
        match kind {
            AlertEventKind::Fired => self.pick("fired", "발생"),
            AlertEventKind::Ended => self.pick("ended", "종료"),
            AlertEventKind::Acknowledged => self.pick("taken", "확인"),
            AlertEventKind::Unacknowledged => self.pick("given back", "확인 해제"),
        }
    }

    /// Why an alert is over.
    pub fn alert_end(self, end: AlertEnd) -> &'static str {
        match end {
            AlertEnd::Cleared => self.pick("what it told of is gone", "원인 해소"),
            AlertEnd::Settled => self.pick("it has become usual", "평소 상태가 됨"),
            AlertEnd::PeriodFinal => self.pick("its month is closed", "해당 월 마감"),
            AlertEnd::NotConfigured => {
                self.pick("it is not configured any more", "설정에서 제외됨")
            }
        }
    }

    /// Why nobody is told of an alert that fires: the word of the JSON.
    pub fn mute(self, reason: &'static str) -> &'static str {
        match reason {
            "silenced" => self.pick("silenced", "알림 중지됨"),
            "inhibited" => {
                self.pick("held back: another alert says it", "다른 알림으로 알려져 보류됨")
            }
            other => other,
        }
    }

    /// What a figure of an alert tells.
    pub fn figure(self, name: FigureName) -> &'static str {
        use FigureName as Name;
        let (english, korean) = match name {
            Name::Spend => ("booked so far", "현재까지 청구"),
            Name::Ceiling => ("ceiling", "상한"),
            Name::Floor => ("floor", "하한"),
            Name::MonthEnd => ("expected month end", "월말 예상"),
            Name::MonthEndHigh => ("cautious month end", "신중한 월말 예상"),
            Name::Probability => ("chance", "확률"),
            Name::Crossing => ("crosses on", "상한 도달 예상일"),
            Name::CrossingEarly => ("crosses as early as", "이르면 도달하는 날"),
            Name::AllowedPerDay => ("a day may cost", "하루 허용액"),
            Name::LastDay => ("newest day", "최근 하루"),
            Name::BurnOneDay => ("burn over one day", "1일 소진 배율"),
            Name::BurnThreeDays => ("burn over three days", "3일 소진 배율"),
            Name::BurnSevenDays => ("burn over seven days", "7일 소진 배율"),
            Name::ActualPerDay => ("a day cost", "하루 비용"),
            Name::ExpectedPerDay => ("a day was expected to cost", "하루 예상 비용"),
            Name::Excess => ("difference", "차액"),
            Name::Sigmas => ("sigmas", "시그마"),
            Name::FirstDay => ("first day", "첫날"),
            Name::LastSeen => ("last day", "마지막 날"),
            Name::Cost => ("cost", "비용"),
            Name::Share => ("share", "비율"),
            Name::Limit => ("limit", "기준"),
            Name::Gpus => ("GPUs", "GPU 수"),
            Name::GpuHours => ("GPU time", "GPU 시간"),
            Name::Tier => ("tier", "등급"),
            Name::Missing => ("missing", "부족한 것"),
            Name::Age => ("age", "경과"),
            Name::NewestDay => ("newest complete day", "최근 완결일"),
            Name::Since => ("since", "시작"),
            Name::LastSuccess => ("last good reading", "마지막 정상 읽기"),
            Name::ErrorKind => ("kind of error", "오류 종류"),
            Name::Error => ("error", "오류"),
            Name::Before => ("before", "이전"),
            Name::After => ("after", "이후"),
            Name::Count => ("count", "건수"),
            Name::Cap => ("cap", "한도"),
            Name::Spent => ("spent of it", "사용액"),
        };
        self.pick(english, korean)
    }
}
