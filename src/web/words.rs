//! The words of the page in English and Korean.

use crate::config::file::Language;
use crate::domain::band::{BandStatus, BandView};
use crate::domain::breakdown::{ChargeCategory, Dimension};
use crate::domain::gpu_money::{PriceSource, Residual};
use crate::domain::gpu_time::GpuState;
use crate::domain::machine::Tier;
use crate::domain::money::CostBasis;

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
}
