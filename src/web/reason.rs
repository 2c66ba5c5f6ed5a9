//! Why a band is judged as it is, in the reader's words and numbers.

use super::reader::Reader;
use crate::config::file::Language;
use crate::domain::money::Money;
use crate::domain::reason::BandReason as Reason;

impl Reader {
    /// The sentence of a reason.
    pub fn reason(&self, reason: &Reason) -> String {
        let cents = |money: &Money| self.money_to(*money, 2);
        let words = |english: String, korean: String| match self.language {
            Language::En => english,
            Language::Ko => korean,
        };
        match reason {
            Reason::Booked { spend, limits: [floor, ceiling], so_far } => {
                let (spend, floor, ceiling) = (cents(spend), cents(floor), cents(ceiling));
                let so_far = if *so_far { self.word(" so far", "현재까지 ") } else { "" };
                words(
                    format!("{spend}{so_far} against {floor} to {ceiling}"),
                    format!("{so_far}{spend}, 예산 범위 {floor} ~ {ceiling}"),
                )
            }
            Reason::AtLeast { least, problem } => {
                let (least, problem) = (cents(least), self.reason(problem));
                words(
                    format!("at least {least} are booked; {problem}"),
                    format!("최소 {least} 청구됨. {problem}"),
                )
            }
            Reason::Pace { spend, days, limits: [floor, ceiling] } => {
                let (spend, floor, ceiling) = (cents(spend), cents(floor), cents(ceiling));
                words(
                    format!("{spend} on {days} complete days against {floor} to {ceiling} for so many"),
                    format!("완결일 {days}일 동안 {spend}, 같은 기간의 예산 범위 {floor} ~ {ceiling}"),
                )
            }
            Reason::BookedAlready(spend) => {
                let spend = cents(spend);
                words(format!("{spend} are booked already"), format!("이미 {spend} 청구됨"))
            }
            Reason::Final(spend) => {
                let spend = cents(spend);
                words(format!("the month is final at {spend}"), format!("{spend}(으)로 확정됨"))
            }
            Reason::AllComplete(spend) => {
                let spend = cents(spend);
                words(
                    format!("{spend}: every day is complete, and may still be restated"),
                    format!("{spend}: 모든 날이 완결되었으나 정정될 수 있음"),
                )
            }
            Reason::Expected { median, likely: [low, high], days, made_from, prior, nowcast_days } => {
                let (median, low, high) = (cents(median), cents(low), cents(high));
                let made_from = self.day(*made_from);
                let (english, korean) = match (*prior, *nowcast_days) {
                    (true, _) => (
                        ", with what the GPUs that run now cost".to_owned(),
                        ", 현재 가동 중인 GPU 비용 반영".to_owned(),
                    ),
                    (false, 0) => (String::new(), String::new()),
                    (false, many) => (
                        format!(", and from GPU telemetry of days that are not complete ({many})"),
                        format!(", 미완결일 {many}일은 GPU 텔레메트리 기준"),
                    ),
                };
                words(
                    format!(
                        "{median} expected, {low} to {high} with a probability of 80%, from {days} \
                         complete days up to {made_from}{english}"
                    ),
                    format!(
                        "예상 {median}, 80% 확률 구간 {low} ~ {high}, {made_from}까지의 완결일 {days}일 \
                         기준{korean}"
                    ),
                )
            }
            Reason::RunRate { end, days } => {
                let end = cents(end);
                words(
                    format!("{end} at the run-rate of {days} complete days, which stands in for a forecast"),
                    format!("완결일 {days}일의 속도로 계산하면 {end}(예측을 대신함)"),
                )
            }
            Reason::NoCompleteDay => words(
                reason.to_string(),
                "아직 완결된 날이 없음. 공급자의 지연 시간이 지나고 6시간 이상 간격의 두 번 읽기가 일치해야 완결됨"
                    .to_owned(),
            ),
            Reason::NeverRead(source) => {
                words(reason.to_string(), format!("`{source}`은(는) 읽은 적이 없음"))
            }
            Reason::NotReadYet(source) => {
                words(reason.to_string(), format!("`{source}`을(를) 아직 읽지 않음"))
            }
            Reason::TooOld { source, hours, most } => words(
                reason.to_string(),
                format!("`{source}`의 최근 읽기가 {hours}시간 전이며, 허용 최대는 {most}시간"),
            ),
            Reason::NothingKnown(period) => words(
                format!("no cost of {} is known yet", self.month(*period)),
                format!("{} 비용을 아직 알 수 없음", self.month(*period)),
            ),
            Reason::NoBasis { source, basis, other } => words(
                reason.to_string(),
                format!(
                    "`{source}`은(는) {} 비용을 알려 주지 않음. `basis: {}`은(는) 가능할 수 있음",
                    basis.as_str(),
                    other.as_str()
                ),
            ),
            Reason::NoRate { from, to, day } => words(
                reason.to_string(),
                format!(
                    "{}의 {from} → {to} 환율이 없음. `exchange_rates`에 추가 필요",
                    self.day(*day)
                ),
            ),
            Reason::RunRateTooLarge => words(reason.to_string(), "진행 속도 금액이 너무 큼".to_owned()),
            Reason::TooLarge => words(reason.to_string(), "합계가 28자리를 넘음".to_owned()),
        }
    }
}
