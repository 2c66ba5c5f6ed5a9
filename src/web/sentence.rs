//! Sentences about forecasts and fleets in the reader's words and numbers: why there is no forecast,
//! what a cluster lacks, how an expected cost is made.

use rust_decimal::Decimal;

use super::reader::Reader;
use crate::config::file::Language;
use crate::domain::forecast::ForecastError;
use crate::domain::gpu_money::{Beside, Expected, FleetCost, Lacking};

impl Reader {
    /// Why no forecast can be made.
    pub fn no_forecast(&self, why: &ForecastError) -> String {
        match (self.language, why) {
            (Language::En, ForecastError::TooShort(days)) => format!(
                "{} complete days are too few: it takes 3, or what the known fleet costs",
                self.count(*days)
            ),
            (Language::En, ForecastError::NothingBefore(period)) => {
                format!("no complete day lies in {} or before it", self.month(*period))
            }
            (Language::En, ForecastError::TooOld { newest, .. }) => {
                format!("the newest complete day is {}, which is too old", self.day(*newest))
            }
            (Language::En, ForecastError::Overflow(_)) => "the sum has more than 28 digits".into(),
            (Language::Ko, ForecastError::TooShort(days)) => format!(
                "완결일이 {}일뿐입니다. 완결일 3일 또는 보유 장비의 비용이 필요합니다",
                self.count(*days)
            ),
            (Language::Ko, ForecastError::NothingBefore(period)) => {
                format!("{} 또는 그 이전에 완결일이 없습니다", self.month(*period))
            }
            (Language::Ko, ForecastError::TooOld { newest, .. }) => {
                format!("가장 최근 완결일이 {}로 너무 오래되었습니다", self.day(*newest))
            }
            (Language::Ko, ForecastError::Overflow(_)) => "합계가 28자리를 넘습니다".into(),
        }
    }

    /// What a cluster lacks for the next tier.
    pub fn lacking(&self, missing: &[Lacking]) -> String {
        let number = |number: u64| self.number(Decimal::from(number), 0);
        let one = |lacking: &Lacking| match (self.language, lacking) {
            (Language::En, Lacking::Gpus { count, of }) => {
                format!("{} more {}-class GPUs", number((*count).into()), Lacking::class(*of))
            }
            (Language::En, Lacking::MemoryGb(lacking)) => {
                format!("{} GB more GPU memory", number(*lacking))
            }
            (Language::En, Lacking::StorageGb(lacking)) => {
                format!("{} GB more fast storage on the nodes or beside them", number(*lacking))
            }
            (Language::Ko, Lacking::Gpus { count, of }) => {
                format!("{}급 GPU {}개", Lacking::class(*of), number((*count).into()))
            }
            (Language::Ko, Lacking::MemoryGb(lacking)) => {
                format!("GPU 메모리 {}GB", number(*lacking))
            }
            (Language::Ko, Lacking::StorageGb(lacking)) => {
                format!("노드 안팎의 고속 스토리지 {}GB", number(*lacking))
            }
        };
        missing.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// How an expected cost is made, and where that is beside the band.
    pub fn expected(&self, expected: &Expected) -> String {
        let of = |FleetCost { gpus, model, source, cost }: &FleetCost| {
            let (source, cost) = (self.language.price_source(*source), self.money(*cost));
            match self.language {
                Language::En => format!("{gpus} x {model} at {source} price cost {cost}"),
                Language::Ko => format!("{model} {gpus}개({source} 단가) {cost}"),
            }
        };
        let fleets = expected.fleets.iter().map(of).collect::<Vec<_>>().join(", ");
        match (self.language, expected.beside) {
            (Language::En, Beside::Floor(floor)) => {
                format!("{fleets} a month; the band's floor is {}", self.money(floor))
            }
            (Language::En, Beside::Ceiling(ceiling)) => {
                format!("{fleets} a month; the band's ceiling is {}", self.money(ceiling))
            }
            (Language::En, Beside::Within([floor, ceiling])) => {
                let floor = self.number(floor.amount, 0);
                format!("{fleets} a month; the band is {floor} to {}", self.money(ceiling))
            }
            (Language::Ko, Beside::Floor(floor)) => {
                format!("한 달 기준 {fleets}. 예산 범위의 하한은 {}입니다", self.money(floor))
            }
            (Language::Ko, Beside::Ceiling(ceiling)) => {
                format!("한 달 기준 {fleets}. 예산 범위의 상한은 {}입니다", self.money(ceiling))
            }
            (Language::Ko, Beside::Within([floor, ceiling])) => {
                let floor = self.number(floor.amount, 0);
                format!("한 달 기준 {fleets}. 예산 범위는 {floor}~{}입니다", self.money(ceiling))
            }
        }
    }
}
