//! Counts query processing units and requests over sliding windows, as Cost Management does.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;

use crate::simulate::azure::wire::set;

/// How much may be asked. One query processing unit (QPU) is one month queried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// QPU of the tenant in 10 seconds.
    pub qpu_per_10_seconds: u32,
    /// QPU of the tenant in a minute.
    pub qpu_per_minute: u32,
    /// QPU of the tenant in an hour.
    pub qpu_per_hour: u32,
    /// Queries on one scope in a minute.
    pub entity_per_minute: u32,
    /// Queries of the tenant in a minute.
    pub tenant_per_minute: u32,
    /// Queries of one `ClientType` in a minute.
    pub client_type_per_minute: u32,
    /// Queries without a `ClientType` in a minute, all callers of the tenant together.
    pub unnamed_per_minute: u32,
}

impl Default for Throttle {
    /// What Microsoft documents for QPU, scopes and tenants. The shared bucket's size is not
    /// documented; users find it empty most of the time.
    fn default() -> Self {
        Self {
            qpu_per_10_seconds: 12,
            qpu_per_minute: 60,
            qpu_per_hour: 600,
            entity_per_minute: 30,
            tenant_per_minute: 200,
            client_type_per_minute: 2000,
            unnamed_per_minute: 4,
        }
    }
}

impl Throttle {
    /// So wide that nobody waits: for a world that is to be read within seconds.
    pub fn wide() -> Self {
        const MANY: u32 = 1_000_000;
        Self {
            qpu_per_10_seconds: MANY,
            qpu_per_minute: MANY,
            qpu_per_hour: MANY,
            entity_per_minute: MANY,
            tenant_per_minute: MANY,
            client_type_per_minute: MANY,
            unnamed_per_minute: MANY,
        }
    }
}

/// How long each empty bucket needs; none for one that has enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wait {
    /// The tenant's processing units, over the longest of the three windows.
    pub qpu: Option<Duration>,
    /// The scope's requests.
    pub entity: Option<Duration>,
    /// The tenant's requests.
    pub tenant: Option<Duration>,
    /// The requests of the `ClientType`, or of all callers without one.
    pub client_type: Option<Duration>,
}

/// What the buckets have left after a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    hour: u32,
    minute: u32,
    ten_seconds: u32,
    entity: u32,
    tenant: u32,
}

impl Allowance {
    /// Writes the headers of a good answer.
    pub fn write(&self, headers: &mut HeaderMap, spent: u32) {
        let left = format!(
            "QueriesPerHour:{},QueriesPerMin:{},QueriesPer10Sec:{}",
            self.hour, self.minute, self.ten_seconds
        );
        let entity = format!("DefaultQuota:{}", self.entity);
        let tenant = format!("DefaultQuota:{}", self.tenant);
        for (name, value) in [
            ("x-ms-ratelimit-microsoft.costmanagement-qpu-consumed", &spent.to_string()),
            ("x-ms-ratelimit-microsoft.costmanagement-qpu-remaining", &left),
            ("x-ms-ratelimit-remaining-microsoft.costmanagement-entity-requests", &entity),
            ("x-ms-ratelimit-remaining-microsoft.costmanagement-tenant-requests", &tenant),
        ] {
            set(headers, name, value);
        }
    }
}

/// The buckets of one tenant.
pub struct Buckets {
    limits: Throttle,
    refuses: bool,
    state: Mutex<Windows>,
}

struct Windows {
    ten_seconds: Window,
    minute: Window,
    hour: Window,
    tenant: Window,
    entities: HashMap<String, Window>,
    client_types: HashMap<Option<String>, Window>,
}

impl Buckets {
    /// Buckets that refuse past the limits; without limits they count against the documented ones
    /// and refuse nothing.
    pub fn new(throttle: Option<Throttle>) -> Self {
        let limits = throttle.unwrap_or_default();
        let minute = Duration::from_secs(60);
        let state = Windows {
            ten_seconds: Window::new(Duration::from_secs(10), limits.qpu_per_10_seconds),
            minute: Window::new(minute, limits.qpu_per_minute),
            hour: Window::new(Duration::from_secs(3600), limits.qpu_per_hour),
            tenant: Window::new(minute, limits.tenant_per_minute),
            entities: HashMap::new(),
            client_types: HashMap::new(),
        };
        Self { limits, refuses: throttle.is_some(), state: Mutex::new(state) }
    }

    /// Spends a query on a scope, or tells how long to wait. A refused query spends nothing.
    pub fn spend(
        &self,
        now: Instant,
        entity: &str,
        client_type: Option<&str>,
        units: u32,
    ) -> Result<Allowance, Wait> {
        let minute = Duration::from_secs(60);
        let mut state = self.state.lock().expect("no holder of the lock panics");
        let Windows { ten_seconds, minute: per_minute, hour, tenant, entities, client_types } =
            &mut *state;
        let entity = entities
            .entry(entity.to_owned())
            .or_insert_with(|| Window::new(minute, self.limits.entity_per_minute));
        let per_client = match client_type {
            Some(_) => self.limits.client_type_per_minute,
            None => self.limits.unnamed_per_minute,
        };
        let client = client_types
            .entry(client_type.map(str::to_owned))
            .or_insert_with(|| Window::new(minute, per_client));
        let wait = Wait {
            qpu: [&mut *ten_seconds, &mut *per_minute, &mut *hour]
                .into_iter()
                .filter_map(|window| window.wait(now, units))
                .max(),
            entity: entity.wait(now, 1),
            tenant: tenant.wait(now, 1),
            client_type: client.wait(now, 1),
        };
        if self.refuses && wait != Wait::default() {
            return Err(wait);
        }
        for window in [&mut *ten_seconds, &mut *per_minute, &mut *hour] {
            window.spend(now, units);
        }
        for window in [&mut *tenant, &mut *entity, client] {
            window.spend(now, 1);
        }
        Ok(Allowance {
            hour: hour.left(),
            minute: per_minute.left(),
            ten_seconds: ten_seconds.left(),
            entity: entity.left(),
            tenant: tenant.left(),
        })
    }
}

/// What was spent within a span of time.
struct Window {
    span: Duration,
    limit: u32,
    spent: VecDeque<(Instant, u32)>,
}

impl Window {
    fn new(span: Duration, limit: u32) -> Self {
        Self { span, limit, spent: VecDeque::new() }
    }

    fn left(&self) -> u32 {
        self.limit.saturating_sub(self.spent.iter().map(|(_, units)| units).sum())
    }

    /// How long until `units` fit; none when they do now. What never fits counts as the limit.
    fn wait(&mut self, now: Instant, units: u32) -> Option<Duration> {
        while self.spent.front().is_some_and(|(at, _)| now.duration_since(*at) >= self.span) {
            self.spent.pop_front();
        }
        let mut missing = units.min(self.limit).saturating_sub(self.left());
        if missing == 0 {
            return None;
        }
        for (at, units) in &self.spent {
            missing = missing.saturating_sub(*units);
            if missing == 0 {
                return Some(self.span.saturating_sub(now.duration_since(*at)));
            }
        }
        Some(self.span)
    }

    fn spend(&mut self, now: Instant, units: u32) {
        self.spent.push_back((now, units));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirteenth_unit_waits_for_the_first_to_leave_the_window() {
        let buckets = Buckets::new(Some(Throttle::default()));
        let start = Instant::now();
        let first = buckets.spend(start, "/s", Some("costband"), 3).expect("within the limits");
        assert_eq!((first.ten_seconds, first.minute, first.hour), (9, 57, 597));
        let later = start + Duration::from_secs(4);
        buckets.spend(later, "/s", Some("costband"), 9).expect("within the limits");
        let wait = buckets.spend(later, "/s", Some("costband"), 1).expect_err("nothing is left");
        assert_eq!(wait.qpu, Some(Duration::from_secs(6)));
        assert_eq!((wait.entity, wait.tenant, wait.client_type), (None, None, None));
        let freed = start + Duration::from_secs(10);
        assert!(buckets.spend(freed, "/s", Some("costband"), 3).is_ok());
    }

    #[test]
    fn callers_without_a_client_type_share_a_small_bucket() {
        let buckets = Buckets::new(Some(Throttle::default()));
        let now = Instant::now();
        for scope in ["/a", "/b", "/c", "/d"] {
            assert!(buckets.spend(now, scope, None, 1).is_ok());
        }
        let wait = buckets.spend(now, "/e", None, 1).expect_err("the shared bucket is empty");
        assert_eq!(wait.client_type, Some(Duration::from_secs(60)));
        assert_eq!(wait.qpu, None);
        assert!(buckets.spend(now, "/e", Some("costband"), 1).is_ok());
    }

    #[test]
    fn without_limits_nothing_is_refused() {
        let buckets = Buckets::new(None);
        let now = Instant::now();
        for _ in 0..1000 {
            assert!(buckets.spend(now, "/a", None, 12).is_ok());
        }
    }
}
