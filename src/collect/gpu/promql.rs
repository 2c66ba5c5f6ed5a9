//! GPU telemetry from the Prometheus that already scrapes the fleet: one range query for a fleet
//! of any size, one [`GpuReport`] for each step, so that history fills the gap of a restart.
//!
//! Prometheus, Thanos, Mimir and VictoriaMetrics answer it (Prometheus HTTP API,
//! `/api/v1/query_range`). What a step tells was scraped within that step.

mod answer;
mod fleet;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use reqwest::{RequestBuilder, Url};

use self::fleet::Fleet;
use self::refusal::{Refusal, Refused};
use crate::config::address::{Address, cleaned, sent};
use crate::config::secret::{Secret, SecretRef};
use crate::domain::gpu::GpuReport;
use crate::domain::identity::{Provider, SourceId};
use crate::domain::price::CapacityType;
use crate::domain::report::{SourceError, SourceErrorKind};

/// The metrics that are asked for: dcgm-exporter's names, all among its default counters.
const METRICS: [&str; 6] = [
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_FB_FREE",
    "DCGM_FI_DEV_FB_RESERVED",
    "DCGM_FI_DEV_XID_ERRORS",
];
/// The labels that are kept. Series that differ in no other are one: two replicas of Prometheus,
/// two jobs or two exporters that tell of one GPU.
const LABELS: [&str; 16] = [
    "__name__",
    "UUID",
    "uuid",
    "GPU_I_ID",
    "GPU_I_PROFILE",
    "modelName",
    "Hostname",
    "hostname",
    "container",
    "namespace",
    "pod",
    "exported_namespace",
    "exported_pod",
    // The exporter's old namespace.
    "container_name",
    "pod_namespace",
    "pod_name",
];
/// The most points of a series that Prometheus answers at once.
const MOST_STEPS: usize = 11_000;
/// The points of all series that one answer should have, so that memory has a bound.
const POINTS: usize = 400_000;
/// The steps of a first query, when nobody knows yet how many series there are.
const FIRST_STEPS: usize = 8;
/// An answer larger than this is cut off: 10,000 GPUs take about 20 MB for a step.
const LARGEST_ANSWER: usize = 128 << 20;
/// How many warnings of one answer are kept.
const MOST_WARNINGS: usize = 10;

/// Which labels name the pod that holds a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PodLabels {
    /// `exported_pod` where there is one, else `pod`, unless it is the exporter's own.
    #[default]
    Detect,
    /// Prometheus scrapes with `honor_labels: true`: `pod` is the holder.
    Plain,
    /// It scrapes with `honor_labels: false`, the default: only `exported_pod` is the holder, and
    /// `pod` is the exporter's own.
    Exported,
}

/// A Prometheus to ask.
#[derive(Clone, PartialEq, Eq)]
pub struct PromqlTarget {
    /// Its configured name.
    pub id: SourceId,
    /// The API's base, before `/api/v1`; may have a path such as `/prometheus`.
    pub url: Address,
    /// A bearer token.
    pub bearer: Option<SecretRef>,
    /// A user and a password. A bearer token goes before it.
    pub basic: Option<(String, SecretRef)>,
    /// Further headers, such as Mimir's tenant `X-Scope-OrgID`. They are no secrets, and yet their
    /// values are never shown.
    pub headers: Vec<(String, String)>,
    /// Further label matchers in PromQL's words, such as `cluster="train",env=~"prod.*"`; may be
    /// empty.
    pub selector: String,
    /// The cloud that the GPUs are in; none on premises.
    pub provider: Option<Provider>,
    /// The cluster's name, where no label tells it.
    pub cluster: String,
    /// The label that tells a series' cluster, for a Prometheus of several clusters.
    pub cluster_label: Option<String>,
    /// The label that tells a series' node, where it is not the exporter's `Hostname`.
    pub node_label: Option<String>,
    /// Which labels name the pod that holds a GPU.
    pub pod_labels: PodLabels,
    /// `on_demand`, `spot`, `reserved` or `unknown`.
    pub capacity_type: CapacityType,
    /// How often it is asked.
    pub every: Duration,
    /// How long one query may take.
    pub timeout: Duration,
    /// The time between two readings of a GPU. Not shorter than Prometheus' scrape interval, or
    /// steps without a sample are unknown.
    pub step: Duration,
    /// How old an instant is before it is asked for: samples of a remote-written or federated
    /// store come late (VictoriaMetrics holds back 30 s), and what is missing then stays unknown.
    pub delay: Duration,
}

impl PromqlTarget {
    /// The newest instant that can be asked for.
    pub fn readable_until(&self, now: Timestamp) -> Timestamp {
        now.saturating_sub(jiff::SignedDuration::try_from(self.delay).unwrap_or_default())
            .unwrap_or(now)
    }

    fn endpoint(&self) -> Url {
        let mut url = self.url.expose().clone();
        let path = format!("{}/api/v1/query_range", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.set_fragment(None);
        url
    }

    fn step_milliseconds(&self) -> i64 {
        i64::try_from(self.step.as_millis()).unwrap_or(i64::MAX).max(1)
    }
}

impl fmt::Debug for PromqlTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("PromqlTarget")
            .field("id", &self.id)
            .field("url", &self.url)
            .field("headers", &headers)
            .field("selector", &self.selector)
            .field("provider", &self.provider)
            .field("cluster", &self.cluster)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

/// What a Prometheus told of a stretch of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PromqlReading {
    /// A report for each step that has samples, and for each cluster: by time, then by cluster.
    pub reports: Vec<GpuReport>,
    /// What the server warned of, each text once, such as a store that did not answer (Thanos).
    /// Its GPUs are missing and so unknown.
    pub warnings: Vec<String>,
}

/// Reads the steps after `from` up to and with `to`. Steps stand on whole multiples of the
/// target's step, so that readings which follow on one another neither overlap nor leave a gap.
///
/// It is one query where the stretch is short, as at each poll; a long one is asked in pieces.
/// All its reports are held at once: a caller who fills hours of a large fleet asks for them in
/// stretches of his own.
///
/// # Errors
/// A [`SourceError`]: the whole stretch or nothing.
pub async fn read(
    client: &reqwest::Client,
    target: &PromqlTarget,
    from: Timestamp,
    to: Timestamp,
) -> Result<PromqlReading, SourceError> {
    let step = target.step_milliseconds();
    let mut next = from.as_millisecond().div_euclid(step).saturating_add(1).saturating_mul(step);
    let last = to.as_millisecond().div_euclid(step).saturating_mul(step);
    let credentials = Credentials::read(target)?;
    let mut reading = PromqlReading::default();
    let mut warnings = BTreeSet::new();
    let mut steps = FIRST_STEPS;
    while next <= last {
        let span = i64::try_from(steps - 1).unwrap_or(i64::MAX).saturating_mul(step);
        let end = next.saturating_add(span).min(last);
        match ask(client, target, &credentials, (next, end)).await {
            Ok(fleet) => {
                steps = (POINTS / fleet.series().max(1)).clamp(1, MOST_STEPS);
                warnings.extend(fleet.warnings().iter().cloned());
                reading.reports.extend(fleet.reports(target)?);
                next = end.saturating_add(step);
            }
            // Fewer steps are a smaller answer.
            Err(Refused::TooLarge(_)) if end > next => {
                let asked = usize::try_from((end - next) / step).unwrap_or(0) + 1;
                steps = (asked / 2).max(1);
            }
            Err(Refused::TooLarge(error) | Refused::Failed(error)) => return Err(error),
        }
    }
    reading.warnings = warnings.into_iter().collect();
    Ok(reading)
}

/// Asks for the steps of a stretch, in milliseconds, both ends among them.
async fn ask(
    client: &reqwest::Client,
    target: &PromqlTarget,
    credentials: &Credentials,
    (start, end): (i64, i64),
) -> Result<Fleet, Refused> {
    let refusal = Refusal { address: target.url.to_string(), secrets: credentials.secrets(target) };
    let form = [
        ("query", question(target)),
        ("start", seconds(start)),
        ("end", seconds(end)),
        ("step", seconds(target.step_milliseconds())),
    ];
    let request = client.post(target.endpoint()).timeout(target.timeout).form(&form);
    let request = credentials.put(target, request);
    let response = request.send().await.map_err(|error| refusal.transport(error))?;
    let status = response.status();
    let wait = refusal::retry_after(response.headers());
    let mut body = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        body.extend_from_slice(&piece.map_err(|error| refusal.transport(error))?);
        if body.len() > LARGEST_ANSWER {
            return Err(refusal.too_large(LARGEST_ANSWER));
        }
    }
    if !status.is_success() {
        return Err(refusal.classify(status, wait, &body));
    }
    let mut fleet = Fleet::new(target, (start, end));
    // Tens of megabytes take long enough to hold up what else runs here.
    let parsed =
        tokio::task::spawn_blocking(move || answer::parse(&body, &mut fleet).map(|()| fleet)).await;
    let mut fleet = parsed
        .map_err(|_| refusal.malformed("its reader ended early"))?
        .map_err(|reason| refusal.malformed(&reason))?;
    let warnings = fleet.warnings().iter().take(MOST_WARNINGS);
    fleet.warn(warnings.map(|text| cleaned(text, &refusal.secrets)).collect());
    Ok(fleet)
}

/// The expression.
///
/// A plain selector repeats a series' last sample for five minutes when nobody marked its end: a
/// Prometheus that was down, a federated or timestamped series. `last_over_time` over one step
/// takes each sample into one step only, so that what is missing is missing. It in turn does not
/// see the mark that a failed scrape or a changed pod label leaves, which the plain selector
/// does: hence both. `and` compares all labels but the name.
fn question(target: &PromqlTarget) -> String {
    let names = METRICS.join("|");
    let more = match target.selector.trim().trim_end_matches(',') {
        "" => String::new(),
        matchers => format!(",{matchers}"),
    };
    let series = format!("{{__name__=~\"{names}\"{more}}}");
    let own = [&target.cluster_label, &target.node_label].into_iter().flatten();
    let labels: Vec<&str> = LABELS.into_iter().chain(own.map(String::as_str)).collect();
    let step = target.step_milliseconds();
    format!("max by ({}) (last_over_time({series}[{step}ms]) and {series})", labels.join(","))
}

/// Seconds since 1970 in the API's words.
fn seconds(milliseconds: i64) -> String {
    format!("{}.{:03}", milliseconds.div_euclid(1000), milliseconds.rem_euclid(1000))
}

/// What opens the door, read anew for each reading so that a rotated secret is picked up.
enum Credentials {
    None,
    Bearer(Secret),
    Basic(String, Secret),
}

impl Credentials {
    fn read(target: &PromqlTarget) -> Result<Self, SourceError> {
        let secret = |of: &SecretRef| {
            of.read().map_err(|error| SourceError::new(SourceErrorKind::Auth, error.to_string()))
        };
        Ok(match (&target.bearer, &target.basic) {
            (Some(token), _) => Self::Bearer(secret(token)?),
            (None, Some((user, password))) => Self::Basic(user.clone(), secret(password)?),
            (None, None) => Self::None,
        })
    }

    fn put(&self, target: &PromqlTarget, request: RequestBuilder) -> RequestBuilder {
        let request = match self {
            Self::None => request,
            Self::Bearer(token) => request.bearer_auth(token.expose()),
            Self::Basic(user, password) => request.basic_auth(user, Some(password.expose())),
        };
        let headers = &target.headers;
        headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// Every text that must not come back in an error, though a proxy may repeat it.
    fn secrets(&self, target: &PromqlTarget) -> Vec<Secret> {
        let mut secrets = match self {
            Self::None => Vec::new(),
            Self::Bearer(token) => vec![token.clone()],
            Self::Basic(user, password) => {
                let sent = sent(user, password.expose());
                vec![password.clone(), Secret::new(sent)]
            }
        };
        secrets.extend(target.headers.iter().map(|(_, value)| Secret::new(value.as_str())));
        secrets.extend(target.url.secrets());
        secrets
    }
}
