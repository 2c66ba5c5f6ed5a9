//! Sentences about forecasts and fleets in the reader's words and numbers: why there is no forecast,
//! what a cluster lacks, how an expected cost is made.

use rust_decimal::Decimal;

use super::reader::Reader;
use crate::config::file::Language;
use crate::domain::exchange::UsedRate;
use crate::domain::forecast::ForecastError;
use crate::domain::gpu_money::{Beside, Expected, FleetCost, Lacking};
use crate::domain::price::{ListedParts, PriceNote};

impl Reader {
    /// Why no forecast can be made.
    pub fn no_forecast(&self, why: &ForecastError) -> String {
        match (self.language, why) {
            (Language::En, ForecastError::TooShort(days)) => format!(
                "of 3 complete days that it takes there are {}, and no known fleet's cost",
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

    /// An exchange rate, and who says it.
    pub fn used_rate(&self, rate: &UsedRate) -> String {
        match (self.language, rate) {
            (Language::En, UsedRate::Told { .. }) => rate.to_string(),
            (Language::Ko, UsedRate::Told { from, source }) => {
                format!("{from} → USD, `{source}`이(가) 알려 준 달러 금액 사용")
            }
            (language, UsedRate::Configured { from, to, rate, date }) => {
                let digits = rate.normalize().scale();
                let (rate, date) = (self.number(*rate, digits), self.day(*date));
                match language {
                    Language::En => format!("1 {from} = {rate} {to}, configured from {date} on"),
                    Language::Ko => format!("1 {from} = {rate} {to} ({date}부터 적용하도록 설정)"),
                }
            }
        }
    }

    /// How the price of a GPU's hour was made.
    pub fn price_note(&self, note: &PriceNote) -> String {
        if self.language == Language::En {
            return note.to_string();
        }
        match note {
            PriceNote::Billed { days } => {
                format!("완결일 {}일의 상각 비용 ÷ GPU 시간", self.count(*days))
            }
            PriceNote::Listed { spot, read_on, parts } => {
                let bought = if *spot { "스팟" } else { "온디맨드" };
                let day = read_on.map_or_else(String::new, |day| format!(" {}", self.day(day)));
                let parts = match parts {
                    None => "",
                    Some(ListedParts::Whole) => ": 머신 몫이 포함된 GPU",
                    Some(ListedParts::WithCoresAndMemory) => ": GPU, 코어, 메모리",
                };
                format!("{bought}, 가격표{day}{parts}")
            }
            PriceNote::Embedded { listed_on, own_region } => {
                let region = if *own_region { "" } else { ", 기본 리전 기준" };
                let day = listed_on.map_or_else(String::new, |day| format!(" {}", self.day(day)));
                format!("온디맨드, 내장 가격표{day}{region}")
            }
            PriceNote::Configured => "설정한 값".to_owned(),
            PriceNote::Told(_) => note.to_string(),
            PriceNote::Untold(note) => {
                format!("{}, 중앙 에이전트는 제공하지 않음", self.price_note(note))
            }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::gpu_money::PriceSource;
    use crate::domain::machine::Tier;

    fn readers() -> [Reader; 2] {
        let now = "2026-11-16T12:00:00Z".parse().unwrap();
        [(Language::En, "en-US"), (Language::Ko, "ko-KR")]
            .map(|(language, tag)| Reader::new(language, tag, now))
    }

    #[test]
    fn what_is_lacking_is_told_in_the_readers_words_and_numbers() {
        let missing = [
            Lacking::Gpus { count: 8, of: Tier::Recommended },
            Lacking::MemoryGb(1_640),
            Lacking::StorageGb(2_000),
        ];
        let told = readers().map(|reader| reader.lacking(&missing));
        assert_eq!(
            told,
            [
                "8 more A100-80GB-class GPUs, 1,640 GB more GPU memory, 2,000 GB more fast storage on \
                 the nodes or beside them",
                "A100-80GB급 GPU 8개, GPU 메모리 1,640GB, 노드 안팎의 고속 스토리지 2,000GB",
            ]
        );
    }

    #[test]
    fn an_exchange_rate_keeps_every_digit() {
        let [dollars, euros] = ["USD", "EUR"].map(|code| code.parse().unwrap());
        let rate = UsedRate::Configured {
            from: euros,
            to: dollars,
            rate: "1.08450".parse().unwrap(),
            date: "2025-10-01".parse().unwrap(),
        };
        assert_eq!(
            readers().map(|reader| reader.used_rate(&rate)),
            [
                "1 EUR = 1.0845 USD, configured from Oct 1, 2025 on",
                "1 EUR = 1.0845 USD (2025년 10월 1일부터 적용하도록 설정)",
            ]
        );
    }

    #[test]
    fn how_a_price_was_made_is_told_in_the_readers_language() {
        let told = |note: PriceNote| readers().map(|reader| reader.price_note(&note));
        let parts = Some(ListedParts::WithCoresAndMemory);
        let read_on = Some("2026-11-23".parse().unwrap());
        assert_eq!(
            told(PriceNote::Listed { spot: false, read_on, parts }),
            [
                "on demand, price list 2026-11-23: GPU, cores and memory",
                "온디맨드, 가격표 2026년 11월 23일: GPU, 코어, 메모리",
            ]
        );
        assert_eq!(
            told(PriceNote::Untold(Box::new(PriceNote::Billed { days: 14 }))),
            [
                "effective cost over GPU-hours of 14 complete days; told by no central agent",
                "완결일 14일의 상각 비용 ÷ GPU 시간, 중앙 에이전트는 제공하지 않음",
            ]
        );
    }

    #[test]
    fn an_expected_cost_is_told_with_its_fleets_and_its_place() {
        let money = |text: &str| text.parse().unwrap();
        let mut expected = Expected {
            band: "aws".to_owned(),
            period: "2026-11".parse().unwrap(),
            cost: money("38493.8 USD"),
            fleets: vec![FleetCost {
                gpus: 8,
                model: "H100 80GB".to_owned(),
                source: PriceSource::Billed,
                cost: money("38494 USD"),
            }],
            beside: Beside::Floor(money("50000 USD")),
        };
        let told = readers().map(|reader| reader.expected(&expected));
        assert_eq!(
            told,
            [
                "8 x H100 80GB at billed price cost 38,494 USD a month; the band's floor is 50,000 USD",
                "한 달 기준 H100 80GB 8개(청구 단가) 38,494 USD. 예산 범위의 하한은 50,000 USD입니다",
            ]
            .map(|text| text.replace(" USD", "\u{a0}USD"))
        );
        assert_eq!(expected.to_string(), told[0].replace('\u{a0}', " "));
        expected.beside = Beside::Within(["20000 USD", "50000 USD"].map(money));
        let [_, korean] = readers().map(|reader| reader.expected(&expected));
        assert!(korean.ends_with("예산 범위는 20,000~50,000\u{a0}USD입니다"), "{korean}");
    }

    #[test]
    fn why_there_is_no_forecast_is_told_with_the_readers_dates() {
        let period = "2026-11".parse().unwrap();
        let newest = "2026-09-30".parse().unwrap();
        let [english, korean] =
            readers().map(|reader| reader.no_forecast(&ForecastError::TooOld { period, newest }));
        assert_eq!(english, "the newest complete day is Sep 30, 2026, which is too old");
        assert_eq!(korean, "가장 최근 완결일이 2026년 9월 30일로 너무 오래되었습니다");
        let [_, korean] = readers().map(|reader| reader.no_forecast(&ForecastError::TooShort(1)));
        assert!(korean.starts_with("완결일이 1일뿐입니다"), "{korean}");
    }
}
