//! GPU telemetry from the Prometheus that already scrapes the fleet: one range query for a fleet
//! of any size, one [`GpuReport`] for each step, so that history fills the gap of a restart.
//!
//! Prometheus, Thanos, Mimir and VictoriaMetrics answer it (Prometheus HTTP API,
//! `/api/v1/query_range`). What a step tells was scraped within that step.

pub mod answer;
pub mod fleet;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{RequestBuilder, Url};

use self::fleet::{Fleet, Naming};
use self::refusal::{Refusal, Refused};
use crate::collect::gpu::words;
use crate::collect::http;
use crate::config::address::{Address, cleaned, sent};
use crate::config::secret::{Secret, SecretRef};
use crate::domain::gpu::GpuReport;
use crate::domain::identity::{Provider, SourceId};
use crate::domain::pods::PodLabels;
use crate::domain::price::CapacityType;
use crate::domain::report::{SourceError, SourceErrorKind};

/// The most points of a series that Prometheus answers at once.
const MOST_STEPS: usize = 11_000;
/// The points of all series that one answer should have, so that memory has a bound.
const POINTS: usize = 400_000;
/// The steps of a first query, when nobody knows yet how many series there are.
const FIRST_STEPS: usize = 1;
/// An answer larger than this is cut off: 10,000 GPUs take about 20 MB for a step.
const LARGEST_ANSWER: usize = 128 << 20;
/// The readings of a GPU that are handed out at once, unless a single step has more.
const READINGS: usize = fleet::MOST_READINGS;
/// How many warnings of one answer are kept.
const MOST_WARNINGS: usize = 10;

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

    fn naming(&self) -> Naming {
        Naming {
            cluster: self.cluster.clone(),
            cluster_label: self.cluster_label.clone(),
            node_label: self.node_label.clone(),
            pod_labels: self.pod_labels,
        }
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
#[derive(Debug, Clone, PartialEq)]
pub struct PromqlReading {
    /// A report for each step that has samples, and for each cluster: by time, then by cluster.
    pub reports: Vec<GpuReport>,
    /// What the server warned of, each text once, such as a store that did not answer (Thanos).
    /// Its GPUs are missing and so unknown.
    pub warnings: Vec<String>,
    /// Up to when it was read: the end of the stretch, or an earlier step where the fleet is so
    /// large, or the server so slow, that the rest is read next time.
    pub until: Timestamp,
    /// Whether anything was asked: no step may stand in a short stretch.
    pub is_asked: bool,
}

/// How much is asked for at once, as earlier answers taught. A caller keeps it from one reading to
/// the next.
#[derive(Debug, Clone)]
pub struct Pace {
    /// The steps of the next query.
    steps: usize,
    /// More steps were refused as too large.
    most: usize,
    /// More steps are not expected to be answered in time.
    in_time: usize,
    /// The readings of a step.
    gpus: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { steps: FIRST_STEPS, most: MOST_STEPS, in_time: MOST_STEPS, gpus: 0 }
    }
}

impl Pace {
    /// Asks for as much as ever again: what a server refused in a long stretch says nothing of the
    /// next poll.
    pub fn forget_refusals(&mut self) {
        self.most = MOST_STEPS;
    }

    /// How many steps to ask for while so many readings are held; none to hand them out first.
    fn next(&self, held: usize) -> Option<usize> {
        let room = READINGS.saturating_sub(held) / self.gpus.max(1);
        let steps = self.steps.min(self.most).min(self.in_time).min(room);
        match steps {
            0 if held > 0 => None,
            steps => Some(steps.max(1)),
        }
    }

    fn answered(&mut self, asked: usize, fleet: &Fleet) {
        self.steps = (POINTS / fleet.series().max(1)).max(1);
        self.gpus = fleet.readings().div_ceil(asked.max(1));
        // A server that was busy for a while may answer more again.
        if asked >= self.in_time {
            self.in_time = asked.saturating_mul(2).min(MOST_STEPS);
        }
    }

    fn refused(&mut self, asked: usize) {
        self.most = (asked / 2).max(1);
    }

    fn late(&mut self, asked: usize) {
        self.in_time = (asked / 2).max(1);
    }
}

/// Reads the steps after `from` up to and with `to`. Steps stand on whole multiples of the
/// target's step, so that readings which follow on one another neither overlap nor leave a gap.
///
/// It is one query where the stretch is short, as at each poll; a long one is asked in pieces, and
/// ends where enough readings are held, or where the server is late with a further piece: see
/// [`PromqlReading::until`].
///
/// # Errors
/// A [`SourceError`]: nothing was read. After one that is late the next reading asks for less.
pub async fn read(
    client: &reqwest::Client,
    target: &PromqlTarget,
    pace: &mut Pace,
    from: Timestamp,
    to: Timestamp,
) -> Result<PromqlReading, SourceError> {
    let step = target.step_milliseconds();
    let mut next = from.as_millisecond().div_euclid(step).saturating_add(1).saturating_mul(step);
    let last = to.as_millisecond().div_euclid(step).saturating_mul(step);
    let credentials = Credentials::read(target)?;
    let mut reports: Vec<GpuReport> = Vec::new();
    let mut warnings = BTreeSet::new();
    let (mut readings, mut until) = (0, to);
    let mut is_asked = false;
    while next <= last {
        let Some(steps) = pace.next(readings) else {
            until = instant(next.saturating_sub(step))?;
            break;
        };
        let span = i64::try_from(steps - 1).unwrap_or(i64::MAX).saturating_mul(step);
        let end = next.saturating_add(span).min(last);
        let asked = usize::try_from((end - next) / step).unwrap_or(0) + 1;
        match ask(client, target, &credentials, (next, end)).await {
            Ok((fleet, warned)) => {
                pace.answered(asked, &fleet);
                is_asked = true;
                warnings.extend(warned);
                for step in fleet.steps() {
                    readings += step.gpus.len();
                    reports.push(GpuReport {
                        source: target.id.clone(),
                        provider: target.provider,
                        cluster: step.cluster,
                        capacity_type: target.capacity_type,
                        gpus: step.gpus,
                        dropped_samples: step.dropped,
                        observed_at: instant(step.at)?,
                    });
                }
                next = end.saturating_add(step);
            }
            // Fewer steps are a smaller answer.
            Err(Refused::TooLarge(_)) if asked > 1 => pace.refused(asked),
            Err(Refused::Failed(error)) if error.kind == SourceErrorKind::Timeout => {
                pace.late(asked);
                if !is_asked {
                    return Err(error);
                }
                until = instant(next.saturating_sub(step))?;
                break;
            }
            Err(Refused::TooLarge(error) | Refused::Failed(error)) => return Err(error),
        }
    }
    Ok(PromqlReading { reports, warnings: warnings.into_iter().collect(), until, is_asked })
}

fn instant(milliseconds: i64) -> Result<Timestamp, SourceError> {
    Timestamp::from_millisecond(milliseconds)
        .map_err(|error| SourceError::new(SourceErrorKind::Malformed, error.to_string()))
}

/// Asks for the steps of a stretch, in milliseconds, both ends among them.
async fn ask(
    client: &reqwest::Client,
    target: &PromqlTarget,
    credentials: &Credentials,
    (start, end): (i64, i64),
) -> Result<(Fleet, Vec<String>), Refused> {
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
    let body = http::body(response, LARGEST_ANSWER).await;
    let Some(body) = body.map_err(|error| refusal.transport(error))? else {
        let most = LARGEST_ANSWER >> 20;
        return Err(refusal.large(&format!("the answer is larger than {most} MiB")));
    };
    if !status.is_success() {
        return Err(refusal.classify(status, wait, &body));
    }
    let mut fleet = Fleet::new(target.naming(), (start, end));
    // Tens of megabytes take long enough to hold up what else runs here.
    let parsed = tokio::task::spawn_blocking(move || {
        let told = answer::parse(&body, |series| fleet.add(series.labels(), series.points()));
        (fleet, told)
    });
    let (fleet, told) = parsed.await.map_err(|_| refusal.malformed("its reader ended early"))?;
    if fleet.is_too_large() {
        let reason = format!("it tells more than {READINGS} readings of GPUs");
        return Err(refusal.large(&reason));
    }
    let warnings = told.map_err(|reason| refusal.malformed(&reason))?;
    let warnings = warnings.iter().take(MOST_WARNINGS);
    Ok((fleet, warnings.map(|text| cleaned(text, &refusal.secrets)).collect()))
}

/// The expression.
///
/// A plain selector repeats a series' last sample for five minutes when nobody marked its end: a
/// Prometheus that was down, a federated or timestamped series. `last_over_time` over one step
/// takes each sample into one step only, so that what is missing is missing. It in turn does not
/// see the mark that a failed scrape or a changed pod label leaves, which the plain selector
/// does: hence both. `and` compares all labels but the name.
fn question(target: &PromqlTarget) -> String {
    let names = words::metrics().join("|");
    let more = match target.selector.trim().trim_end_matches(',') {
        "" => String::new(),
        matchers => format!(",{matchers}"),
    };
    let series = format!("{{__name__=~\"{names}\"{more}}}");
    let own = [&target.cluster_label, &target.node_label].into_iter().flatten();
    let mut labels: Vec<&str> = words::labels().collect();
    labels.insert(0, "__name__");
    labels.extend(own.map(String::as_str));
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
