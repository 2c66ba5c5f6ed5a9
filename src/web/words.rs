//! The words of the page in English and Korean.

use crate::config::file::Language;
use crate::domain::alert::{AlertRule, Severity};
use crate::domain::band::{BandStatus, BandView};
use crate::domain::breakdown::{ChargeCategory, Dimension};
use crate::domain::gpu_money::{PriceSource, Residual};
use crate::domain::gpu_time::GpuState;
use crate::domain::machine::Tier;
use crate::domain::money::CostBasis;
use crate::domain::report::Completeness;

mod reading;
mod telling;

impl Language {
    /// The BCP 47 tag.
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ko => "ko",
        }
    }

    /// Chooses a word.
    pub fn pick(self, english: &'static str, korean: &'static str) -> &'static str {
        match self {
            Self::En => english,
            Self::Ko => korean,
        }
    }

    /// A status.
    pub fn status(self, status: BandStatus) -> &'static str {
        match status {
            BandStatus::Below => self.pick("below", "미달"),
            BandStatus::Within => self.pick("within", "범위 안"),
            BandStatus::Above => self.pick("above", "초과"),
            BandStatus::Unknown => self.pick("unknown", "알 수 없음"),
        }
    }

    /// A basis. Korean keeps the English word beside it, which labels and JSON use.
    pub fn basis(self, basis: CostBasis) -> &'static str {
        match basis {
            CostBasis::Billed => self.pick("billed", "청구 (billed)"),
            CostBasis::Effective => self.pick("effective", "상각 (effective)"),
            CostBasis::List => self.pick("list", "정가 (list)"),
        }
    }

    /// A dimension.
    pub fn dimension(self, dimension: Dimension) -> &'static str {
        match dimension {
            Dimension::ServiceName => self.pick("service", "서비스"),
            Dimension::SubAccountId => self.pick("account", "계정"),
            Dimension::RegionId => self.pick("region", "리전"),
            other => other.as_str(),
        }
    }

    /// A charge category.
    pub fn category(self, category: ChargeCategory) -> &'static str {
        match category {
            ChargeCategory::Usage => self.pick("usage", "사용"),
            ChargeCategory::Purchase => self.pick("purchase", "구매"),
            ChargeCategory::Tax => self.pick("tax", "세금"),
            ChargeCategory::Credit => self.pick("credit", "크레딧"),
            ChargeCategory::Adjustment => self.pick("adjustment", "조정"),
        }
    }

    /// What a GPU does.
    pub fn gpu_state(self, state: GpuState) -> &'static str {
        match state {
            GpuState::Busy => self.pick("busy", "작업 중"),
            GpuState::Low => self.pick("low", "저사용"),
            GpuState::HeldIdle => self.pick("held idle", "점유 유휴"),
            GpuState::Empty => self.pick("empty", "할당 후 비어 있음"),
            GpuState::Unallocated => self.pick("unallocated", "미할당"),
            GpuState::Unhealthy => self.pick("unhealthy", "고장"),
            GpuState::Unknown => self.pick("unknown", "알 수 없음"),
        }
    }

    /// What is billed and is no state's.
    pub fn residual(self, residual: Residual) -> &'static str {
        match residual {
            Residual::WithoutTelemetry => {
                self.pick("billed, without telemetry", "청구됨, 텔레메트리 없음")
            }
            Residual::UnobservedDay => {
                self.pick("billed on days without telemetry", "텔레메트리가 없는 날의 청구")
            }
            Residual::MoreThanBilled => self.pick("seen beyond the bill", "청구보다 많이 관측됨"),
        }
    }

    /// Where a price comes from.
    pub fn price_source(self, source: PriceSource) -> &'static str {
        match source {
            PriceSource::Billed => self.pick("billed", "청구"),
            PriceSource::List => self.pick("list", "정가"),
            PriceSource::Configured => self.pick("configured", "설정"),
        }
    }

    /// A tier of the hardware guide.
    pub fn tier(self, tier: Tier) -> &'static str {
        match tier {
            Tier::BelowMinimum => self.pick("below minimum", "최소 미만"),
            Tier::Minimum => self.pick("minimum", "최소"),
            Tier::Recommended => self.pick("recommended", "권장"),
            Tier::Optimal => self.pick("optimal", "최적"),
        }
    }

    /// A view.
    pub fn view(self, view: BandView) -> &'static str {
        match view {
            BandView::Actual => self.pick("Booked so far", "현재까지 청구"),
            BandView::Pace => self.pick("Pace", "진행 속도"),
            BandView::Forecast => self.pick("Month end", "월말 예상"),
        }
    }

    /// How sure a day's cost is.
    pub fn completeness(self, completeness: Completeness) -> &'static str {
        match completeness {
            Completeness::Provisional => self.pick("may still grow", "잠정"),
            Completeness::Complete => self.pick("complete", "완결"),
            Completeness::Final => self.pick("final", "확정"),
        }
    }

    /// How grave an alert is.
    pub fn severity(self, severity: Severity) -> &'static str {
        match severity {
            Severity::Critical => self.pick("critical", "긴급"),
            Severity::Warning => self.pick("warning", "경고"),
            Severity::Info => self.pick("info", "정보"),
        }
    }

    /// What an alert is about, in few words.
    pub fn alert_rule(self, rule: AlertRule) -> &'static str {
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
            Rule::ReservationNotRunning => ("paid for and not running", "가동되지 않는 유료 머신"),
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
        self.pick(english, korean)
    }
}
