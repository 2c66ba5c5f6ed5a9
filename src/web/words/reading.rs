//! The words of reading bills and of forecasts: clouds, kinds of errors with what to do, methods.

use crate::config::file::Language;
use crate::domain::forecast::ForecastMethod;
use crate::domain::identity::Provider;
use crate::domain::report::SourceErrorKind;

impl Language {
    /// A cloud; none for on premises.
    pub fn provider(self, provider: Option<Provider>) -> &'static str {
        match provider {
            Some(Provider::Aws) => "AWS",
            Some(Provider::Gcp) => "Google Cloud",
            Some(Provider::Azure) => "Azure",
            None => self.pick("on premises", "온프레미스"),
        }
    }

    /// A kind of error.
    pub fn error_kind(self, kind: SourceErrorKind) -> &'static str {
        match kind {
            SourceErrorKind::Auth => self.pick("credentials", "자격 증명 (auth)"),
            SourceErrorKind::Forbidden => self.pick("not allowed", "권한 없음 (forbidden)"),
            SourceErrorKind::RateLimited => {
                self.pick("asked too often", "요청 제한 (rate_limited)")
            }
            SourceErrorKind::Timeout => self.pick("no answer in time", "시간 초과 (timeout)"),
            SourceErrorKind::Unavailable => self.pick("not reachable", "연결 불가 (unavailable)"),
            SourceErrorKind::Malformed => {
                self.pick("answer not as documented", "형식 오류 (malformed)")
            }
            SourceErrorKind::NotReady => self.pick("no data yet", "데이터 준비 중 (not_ready)"),
            SourceErrorKind::Config => self.pick("configuration", "설정 오류 (config)"),
        }
    }

    /// What to do about a kind of error.
    pub fn remedy(self, kind: SourceErrorKind) -> &'static str {
        match kind {
            SourceErrorKind::Auth => self.pick(
                "Renew the credentials, or correct the identity that the configuration names. The command below says which one was seen.",
                "자격 증명을 갱신하거나 설정의 계정을 바로잡으세요. 아래 명령이 실제 계정을 알려 줍니다."),
            SourceErrorKind::Forbidden => self.pick(
                "The identity is known and lacks a permission. The command below names it and prints what grants it.",
                "계정은 확인되었으나 권한이 없습니다. 아래 명령이 필요한 권한과 부여 방법을 보여 줍니다."),
            SourceErrorKind::RateLimited => self.pick(
                "The provider throttles, or the monthly cap is spent. It is tried again by itself; where it is the cap, raise `monthly_cap` or read less often.",
                "공급자의 제한 또는 월 한도 소진입니다. 자동으로 다시 시도하며, 한도가 원인이면 `monthly_cap`을 올리거나 조회 주기를 늘리세요."),
            SourceErrorKind::Timeout | SourceErrorKind::Unavailable => self.pick(
                "It is tried again by itself. Where it lasts, see the proxy, the firewall and the provider's status page.",
                "자동으로 다시 시도합니다. 계속되면 프록시, 방화벽, 공급자 상태 페이지를 확인하세요."),
            SourceErrorKind::Malformed => self.pick(
                "The provider, or something on the way to it, answered otherwise than documented. Nothing of the answer was kept.",
                "공급자나 중간 장비가 문서와 다르게 응답했습니다. 응답은 저장하지 않았습니다."),
            SourceErrorKind::NotReady => self.pick(
                "Nothing is wrong: the provider is still filling the export. It is read again by itself.",
                "문제가 아닙니다. 공급자가 내보내기를 채우는 중이며 자동으로 다시 읽습니다."),
            SourceErrorKind::Config => self.pick(
                "What the configuration names does not exist or cannot be asked for. The command below says what there is.",
                "설정에 적힌 대상이 없거나 조회할 수 없습니다. 아래 명령이 확인해 줍니다."),
        }
    }

    /// How a forecast was made.
    pub fn method(self, method: ForecastMethod) -> &'static str {
        match method {
            ForecastMethod::WeekdayLevel => {
                self.pick("last week by weekday", "최근 1주 요일별 수준 (weekday_level)")
            }
            ForecastMethod::LongWeekdayLevel => {
                self.pick("last four weeks by weekday", "최근 4주 요일별 수준 (long_weekday_level)")
            }
            ForecastMethod::SlowSmoothing => {
                self.pick("slow smoothing", "완만한 평활 (slow_smoothing)")
            }
            ForecastMethod::QuickSmoothing => {
                self.pick("quick smoothing", "빠른 평활 (quick_smoothing)")
            }
            ForecastMethod::LastDay => self.pick("newest day", "최근 하루 (last_day)"),
            ForecastMethod::Theta => {
                self.pick("smoothing with half the slope", "기울기 절반 평활 (theta)")
            }
            ForecastMethod::SeasonalNaive => {
                self.pick("last seven days again", "최근 7일 반복 (seasonal_naive)")
            }
            ForecastMethod::Combination => {
                self.pick("several, weighed by their past", "과거 성적 가중 조합 (combination)")
            }
            ForecastMethod::ShortHistory => {
                self.pick("too little history to choose", "이력 부족 (short_history)")
            }
            ForecastMethod::Prior => {
                self.pick("few days beside the known fleet", "보유 장비 기준 (prior)")
            }
            ForecastMethod::Actual => {
                self.pick("the month is over: its actual", "실제 금액 (actual)")
            }
        }
    }
}
