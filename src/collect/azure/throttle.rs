//! Cost Management's quotas, kept before a request leaves so that none is refused.
//!
//! A query costs one QPU for each month that it reads: 12 in 10 seconds, 60 a minute, 600 an hour
//! for a tenant ("Data latency and rate limits"). Besides, a scope takes a few requests a minute,
//! which only its headers tell. The service's word is taken over our own count, in both directions.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::Instant;

/// What the hour's window of a tenant allows, in QPU.
pub(super) const QPU_AN_HOUR: u32 = 600;

const REMAINING_QPU: &str = "x-ms-ratelimit-microsoft.costmanagement-qpu-remaining";
const REMAINING_REQUESTS: &str = "x-ms-ratelimit-remaining-microsoft.costmanagement-";
const MINUTE: Duration = Duration::from_secs(60);

/// What one of the quota's windows has left, as the service told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remaining {
    /// `10s`, `1m`, `1h`.
    pub window: &'static str,
    /// In QPU.
    pub qpu: u32,
}

/// The quotas of one source. Cheap to share; holds no lock while it waits.
#[derive(Debug)]
pub(super) struct Throttle(Mutex<State>);

impl Throttle {
    /// Full quotas.
    pub fn new() -> Self {
        Self(Mutex::new(State::new()))
    }

    /// Waits until a request of so many QPU may leave, and counts it.
    ///
    /// # Errors
    /// How long the wait would be, where it would not end before `deadline`.
    pub async fn acquire(&self, qpu: u32, deadline: Instant) -> Result<(), Duration> {
        loop {
            let now = Instant::now();
            let wait = self.0.lock().expect("no holder of the lock panics").take(now, qpu);
            match wait {
                None => return Ok(()),
                Some(wait) if now + wait >= deadline => return Err(wait),
                Some(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    /// Takes what the headers of the newest request's answer tell, and returns it. The request
    /// counts from now on: the service counted it at an instant between its sending and this one.
    pub fn told(&self, headers: &HeaderMap) -> Vec<Remaining> {
        let told = remaining_qpu(headers);
        let spent = requests_are_spent(headers);
        self.0.lock().expect("no holder of the lock panics").told(Instant::now(), &told, spent);
        told
    }
}

#[derive(Debug)]
struct State {
    windows: [QuotaWindow; 3],
    /// Requests of the last minute, oldest first.
    requests: VecDeque<Instant>,
    /// No request leaves before, since the scope's or tenant's requests are spent.
    held_until: Option<Instant>,
}

impl State {
    fn new() -> Self {
        Self {
            windows: [
                QuotaWindow::new("10s", Duration::from_secs(10), 12),
                QuotaWindow::new("1m", MINUTE, 60),
                QuotaWindow::new("1h", Duration::from_secs(3600), QPU_AN_HOUR),
            ],
            requests: VecDeque::new(),
            held_until: None,
        }
    }

    /// Counts a request and returns none, or returns how long it has to wait.
    fn take(&mut self, now: Instant, qpu: u32) -> Option<Duration> {
        while self.requests.front().is_some_and(|at| now.duration_since(*at) >= MINUTE) {
            self.requests.pop_front();
        }
        let held = self.held_until.and_then(|until| until.checked_duration_since(now));
        let wait = self
            .windows
            .iter_mut()
            .filter_map(|window| window.wait(now, qpu))
            .chain(held.filter(|wait| !wait.is_zero()))
            .max();
        if wait.is_none() {
            self.held_until = None;
            self.requests.push_back(now);
            for window in &mut self.windows {
                window.spent.push_back((now, qpu));
            }
        }
        wait
    }

    fn told(&mut self, now: Instant, remaining: &[Remaining], requests_are_spent: bool) {
        let newest = self.windows.iter_mut().filter_map(|window| window.spent.back_mut());
        for at in newest.map(|(at, _)| at).chain(self.requests.back_mut()) {
            *at = now;
        }
        for told in remaining {
            if let Some(window) = self.windows.iter_mut().find(|own| own.name == told.window) {
                window.told(now, told.qpu);
            }
        }
        if requests_are_spent {
            let oldest = self.requests.front().copied().unwrap_or(now);
            self.held_until = Some(oldest + MINUTE);
        }
    }
}

#[derive(Debug)]
struct QuotaWindow {
    name: &'static str,
    length: Duration,
    limit: u32,
    spent: VecDeque<(Instant, u32)>,
}

impl QuotaWindow {
    fn new(name: &'static str, length: Duration, limit: u32) -> Self {
        Self { name, length, limit, spent: VecDeque::new() }
    }

    fn used(&self) -> u32 {
        self.spent.iter().map(|(_, qpu)| *qpu).fold(0, u32::saturating_add)
    }

    fn forget_old(&mut self, now: Instant) {
        while self.spent.front().is_some_and(|(at, _)| now.duration_since(*at) >= self.length) {
            self.spent.pop_front();
        }
    }

    /// How long until `qpu` more fit; none for now. What is larger than the window waits until the
    /// window is empty.
    fn wait(&mut self, now: Instant, qpu: u32) -> Option<Duration> {
        self.forget_old(now);
        let room = self.limit.saturating_sub(qpu.min(self.limit));
        let mut used = self.used();
        for (at, spent) in &self.spent {
            if used <= room {
                return None;
            }
            used = used.saturating_sub(*spent);
            if used <= room {
                return Some((*at + self.length).duration_since(now));
            }
        }
        None
    }

    fn told(&mut self, now: Instant, remaining: u32) {
        self.forget_old(now);
        let own = self.limit.saturating_sub(self.used());
        if remaining < own {
            self.spent.push_back((now, own - remaining));
            return;
        }
        let mut surplus = remaining - own;
        while surplus > 0
            && let Some((_, oldest)) = self.spent.front_mut()
        {
            let given_back = surplus.min(*oldest);
            *oldest -= given_back;
            surplus -= given_back;
            if *oldest == 0 {
                self.spent.pop_front();
            }
        }
        self.limit = self.limit.saturating_add(surplus);
    }
}

/// Reads `QueriesPerHour:597,QueriesPerMin:57,QueriesPer10Sec:9`; windows may be missing.
fn remaining_qpu(headers: &HeaderMap) -> Vec<Remaining> {
    let Some(text) = headers.get(REMAINING_QPU).and_then(|value| value.to_str().ok()) else {
        return Vec::new();
    };
    text.split(',')
        .filter_map(|part| {
            let (name, count) = part.split_once(':')?;
            let window = match name.trim() {
                "QueriesPer10Sec" => "10s",
                "QueriesPerMin" => "1m",
                "QueriesPerHour" => "1h",
                _ => return None,
            };
            let whole = count.trim().split('.').next()?;
            Some(Remaining { window, qpu: whole.parse().ok()? })
        })
        .collect()
}

/// Whether `-entity-requests`, `-tenant-requests` or the like tell `DefaultQuota:0`.
fn requests_are_spent(headers: &HeaderMap) -> bool {
    headers.iter().any(|(name, value)| {
        let name = name.as_str();
        name.starts_with(REMAINING_REQUESTS)
            && name.ends_with("-requests")
            && value.to_str().is_ok_and(|text| {
                text.split(',').any(|part| {
                    part.rsplit(':').next().is_some_and(|count| count.trim().parse() == Ok(0_u32))
                })
            })
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn the_thirteenth_unit_waits_for_the_first_to_leave_ten_seconds() {
        let (mut state, start) = (State::new(), Instant::now());
        for second in 0..12 {
            assert_eq!(state.take(start + Duration::from_millis(second * 100), 1), None);
        }
        let late = start + Duration::from_millis(1_500);
        assert_eq!(state.take(late, 1), Some(Duration::from_millis(8_500)));
        assert_eq!(state.take(after(start, 10), 1), None);
    }

    #[test]
    fn no_minute_and_no_hour_passes_its_limit() {
        let (mut state, start) = (State::new(), Instant::now());
        let (mut now, mut sent) = (start, Vec::new());
        for _ in 0..800 {
            while let Some(wait) = state.take(now, 2) {
                now += wait;
            }
            sent.push(now);
        }
        for (length, limit) in [(10, 12), (60, 60), (3600, 600)] {
            for first in &sent {
                let within = sent.iter().filter(|at| {
                    *at >= first && at.duration_since(*first) < Duration::from_secs(length)
                });
                assert!(within.count() * 2 <= limit, "{length} s");
            }
        }
    }

    #[test]
    fn a_request_larger_than_a_window_waits_for_an_empty_one() {
        let (mut state, start) = (State::new(), Instant::now());
        assert_eq!(state.take(start, 20), None);
        assert_eq!(state.take(after(start, 1), 20), Some(Duration::from_secs(9)));
    }

    #[test]
    fn what_others_spent_is_waited_for() {
        let (mut state, start) = (State::new(), Instant::now());
        assert_eq!(state.take(start, 1), None);
        state.told(after(start, 1), &[Remaining { window: "10s", qpu: 0 }], false);
        assert_eq!(state.take(after(start, 2), 1), Some(Duration::from_secs(9)));
        assert_eq!(state.take(after(start, 11), 1), None);
    }

    #[test]
    fn a_request_counts_from_its_answer_since_the_service_may_count_it_that_late() {
        let (mut state, start) = (State::new(), Instant::now());
        assert_eq!(state.take(start, 12), None);
        state.told(after(start, 2), &[], false);
        assert_eq!(state.take(after(start, 10), 1), Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_larger_quota_of_the_service_is_used() {
        let (mut state, start) = (State::new(), Instant::now());
        assert_eq!(state.take(start, 12), None);
        assert!(state.take(start, 1).is_some());
        state.told(start, &[Remaining { window: "10s", qpu: 30 }], false);
        assert_eq!(state.take(start, 30), None);
        assert!(state.take(start, 1).is_some());
    }

    #[test]
    fn spent_requests_of_a_scope_hold_until_the_oldest_is_a_minute_old() {
        let (mut state, start) = (State::new(), Instant::now());
        for second in 0..4 {
            assert_eq!(state.take(after(start, second), 1), None);
        }
        state.told(after(start, 3), &[], true);
        assert_eq!(state.take(after(start, 5), 1), Some(Duration::from_secs(55)));
        assert_eq!(state.take(after(start, 60), 1), None);
    }

    #[test]
    fn headers_are_read_as_they_were_captured() {
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: &'static str| {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        };
        set(REMAINING_QPU, "QueriesPerHour:577,QueriesPerMin:59,Other:x");
        set("x-ms-ratelimit-remaining-microsoft.costmanagement-tenant-requests", "DefaultQuota:19");
        assert_eq!(
            remaining_qpu(&headers),
            [Remaining { window: "1h", qpu: 577 }, Remaining { window: "1m", qpu: 59 }]
        );
        assert!(!requests_are_spent(&headers));
        headers.insert(
            "x-ms-ratelimit-remaining-microsoft.costmanagement-entity-requests",
            HeaderValue::from_static("DefaultQuota:0"),
        );
        assert!(requests_are_spent(&headers));
    }

    #[tokio::test]
    async fn a_wait_past_the_deadline_is_told_instead_of_slept() {
        let throttle = Throttle::new();
        let deadline = Instant::now() + Duration::from_secs(5);
        assert_eq!(throttle.acquire(12, deadline).await, Ok(()));
        let wait = throttle.acquire(1, deadline).await.unwrap_err();
        assert!(wait > Duration::from_secs(5) && wait <= Duration::from_secs(10), "{wait:?}");
    }
}
