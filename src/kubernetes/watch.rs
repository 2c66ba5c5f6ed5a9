//! Lists a resource once and watches it from there: an interrupted watch goes on where it stood,
//! and only what the server has forgotten is listed anew.
//!
//! Facts about the API (Kubernetes documentation, "API concepts"): a list comes in pages of `limit`
//! objects with a `continue` token; a watch from a `resourceVersion` is one JSON object a line;
//! `BOOKMARK` moves the version without an object; what is too old is `410 Gone`, as a status or
//! as an `ERROR` event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Response};
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::client::Body;
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::domain::ports::Clock;
use crate::domain::report::{SourceError, SourceErrorKind};
use crate::kubernetes::client::{Connection, Failure, Status};
use crate::kubernetes::{Cluster, Resource};

/// Objects in a page of a list.
const PAGE: &str = "250";
/// After how long the server ends a watch by itself.
const WATCH_SECONDS: &str = "240";
/// After how much silence a watch is taken to be dead, longer than the server lets it live.
const LONGEST_SILENCE: Duration = Duration::from_secs(270);
/// No object is larger: etcd takes 1.5 MiB.
const LONGEST_LINE: usize = 8 << 20;
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A server that asks for a longer wait is asked all the same.
const LONGEST_ASKED: Duration = Duration::from_secs(300);
/// A watch that lived so long was sound.
const SOUND_AFTER: Duration = Duration::from_secs(5);

/// What is known of a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen<K> {
    /// The objects, by name, those of a namespace by `namespace/name`.
    pub objects: BTreeMap<String, K>,
    /// Whether they were listed to their end at least once.
    pub is_listed: bool,
    /// Whether the API tells of every change: an object that is not here is not there.
    pub is_current: bool,
    /// When the API last said anything.
    pub heard_at: Option<Timestamp>,
    /// Why it is not current.
    pub error: Option<SourceError>,
}

impl<K> Default for Seen<K> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            is_listed: false,
            is_current: false,
            heard_at: None,
            error: None,
        }
    }
}

/// `meta/v1` ObjectMeta, what is needed of it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta {
    #[serde(default)]
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    resource_version: Option<String>,
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) deletion_timestamp: Option<String>,
}

impl Meta {
    fn key(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// An object as it comes.
pub(super) trait Object: DeserializeOwned + Send {
    fn meta(&self) -> &Meta;
}

#[derive(Deserialize)]
struct List<W> {
    #[serde(default)]
    metadata: ListMeta,
    items: Option<Vec<W>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: Option<String>,
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Bookmark {
    metadata: Meta,
}

/// What an object is kept as; none where nothing of it is wanted.
pub(super) type Keep<W, K> = Box<dyn Fn(W) -> Option<K> + Send + Sync>;

/// A resource that is watched.
pub(super) struct Watch<W, K> {
    pub(super) cluster: Cluster,
    pub(super) resource: Resource,
    pub(super) label_selector: Option<String>,
    pub(super) field_selector: Option<&'static str>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) keep: Keep<W, K>,
}

/// Where a watch stands between two rounds.
#[derive(Default)]
struct Standing {
    connection: Option<Connection>,
    /// From which version it goes on; none to list.
    version: Option<String>,
    /// Since when the server tells of changes in this round.
    watched_since: Option<Instant>,
}

/// How long to wait between two rounds.
#[derive(Default)]
struct Pause {
    /// Rounds that ended early, one after another.
    short: u32,
}

impl Pause {
    /// After a round that watched for so long, if it came to that. A list that took its time and
    /// failed is the more reason to wait.
    fn after(&mut self, watched: Option<Duration>, asked: Option<Duration>) -> Duration {
        let is_sound = watched.is_some_and(|watched| watched >= SOUND_AFTER);
        self.short = if is_sound { 0 } else { self.short.saturating_add(1) };
        let wait = FIRST_WAIT.saturating_mul(1 << self.short.saturating_sub(1).min(7));
        wait.min(LONGEST_WAIT).max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }
}

impl<W: Object, K: PartialEq + Send + Sync> Watch<W, K> {
    /// Watches for ever. While the API is out of reach, what was seen last stays.
    pub(super) async fn run(self, seen: watch::Sender<Seen<K>>) {
        let mut standing = Standing::default();
        let mut pause = Pause::default();
        loop {
            standing.watched_since = None;
            let outcome = self.round(&mut standing, &seen).await;
            let mut asked = None;
            match outcome {
                Ok(()) => {}
                Err(Failure::Gone) => standing.version = None,
                Err(Failure::Failed(error)) => {
                    standing.connection =
                        standing.connection.filter(|one| !one.is_to_blame(&error));
                    asked = error.retry_after;
                    self.failed(error, &seen);
                }
            }
            let watched = standing.watched_since.map(|since| since.elapsed());
            tokio::time::sleep(pause.after(watched, asked)).await;
        }
    }

    fn failed(&self, error: SourceError, seen: &watch::Sender<Seen<K>>) {
        let (cluster, resource) = (&self.cluster.name, self.resource.name());
        seen.send_if_modified(|seen| {
            let changed = seen.error.as_ref().is_none_or(|known| known.kind != error.kind);
            if changed {
                tracing::warn!(cluster, resource, %error, "failed to watch the Kubernetes API; what it told last stands");
            }
            seen.is_current = false;
            seen.error = Some(error);
            changed
        });
    }

    /// Lists where nothing is known yet, then watches until the watch ends.
    async fn round(
        &self,
        standing: &mut Standing,
        seen: &watch::Sender<Seen<K>>,
    ) -> Result<(), Failure> {
        let now = self.clock.now();
        let connection = match standing.connection.take().filter(|one| one.is_good(now)) {
            Some(connection) => connection,
            None => Connection::new(&self.cluster).await?,
        };
        let connection = &*standing.connection.insert(connection);
        let from = match &standing.version {
            Some(from) => from.clone(),
            None => {
                let (objects, from) = self.list(connection).await?;
                standing.version = Some(from.clone());
                self.current(seen, |seen| {
                    let changed = seen.objects != objects || !seen.is_listed;
                    seen.objects = objects;
                    seen.is_listed = true;
                    changed
                });
                from
            }
        };
        let answer = self.ask(connection, &from).await?;
        standing.watched_since = Some(Instant::now());
        self.current(seen, |_| false);
        self.follow(connection, answer, &mut standing.version, seen).await
    }

    async fn list(
        &self,
        connection: &Connection,
    ) -> Result<(BTreeMap<String, K>, String), Failure> {
        let mut objects = BTreeMap::new();
        let mut next: Option<String> = None;
        loop {
            let more = next.as_deref().map(|next| ("continue", next));
            let path = self.path([("limit", PAGE)].into_iter().chain(more));
            let answer = connection.ask(&self.resource, Method::GET, &path, None).await?;
            let page = connection.whole(answer).await?;
            let page: List<W> =
                serde_json::from_slice(&page).map_err(|error| connection.malformed(&error))?;
            for object in page.items.into_iter().flatten() {
                let key = object.meta().key();
                if let Some(kept) = (self.keep)(object) {
                    objects.insert(key, kept);
                }
            }
            next = page.metadata.next.filter(|next| !next.is_empty());
            if next.is_none() {
                let version = page.metadata.resource_version.ok_or_else(|| {
                    let reason = "a list has no `resourceVersion`";
                    connection.error(SourceErrorKind::Malformed, reason)
                })?;
                return Ok((objects, version));
            }
        }
    }

    /// Asks to be told of what changes.
    async fn ask(&self, connection: &Connection, from: &str) -> Result<Response<Body>, Failure> {
        let path = self.path([
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", from),
            ("timeoutSeconds", WATCH_SECONDS),
        ]);
        connection.ask(&self.resource, Method::GET, &path, None).await
    }

    async fn follow(
        &self,
        connection: &Connection,
        answer: Response<Body>,
        version: &mut Option<String>,
        seen: &watch::Sender<Seen<K>>,
    ) -> Result<(), Failure> {
        let mut body = answer.into_body();
        let mut held: Vec<u8> = Vec::new();
        loop {
            // A watch that was cut has told all that it told: the next one goes on from there.
            let Ok(frame) = timeout(LONGEST_SILENCE, body.frame()).await else { return Ok(()) };
            let Some(Ok(frame)) = frame else { return Ok(()) };
            let Ok(piece) = frame.into_data() else { continue };
            let mut rest = &*piece;
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let (line, behind) = rest.split_at(end);
                held.extend_from_slice(line);
                rest = behind.get(1..).unwrap_or_default();
                let line = std::mem::take(&mut held);
                if let Some(newer) = self.event(connection, &line, seen)? {
                    *version = Some(newer);
                }
            }
            held.extend_from_slice(rest);
            if held.len() > LONGEST_LINE {
                let reason = format!("an event is longer than {} MiB", LONGEST_LINE >> 20);
                return Err(connection.error(SourceErrorKind::Malformed, &reason).into());
            }
        }
    }

    /// Takes an event; the version from which the next watch goes on.
    fn event(
        &self,
        connection: &Connection,
        line: &[u8],
        seen: &watch::Sender<Seen<K>>,
    ) -> Result<Option<String>, Failure> {
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let malformed = |error| Failure::Failed(connection.malformed(&error));
        let event: Event<'_> = serde_json::from_slice(line).map_err(malformed)?;
        let object = event.object.get();
        match event.kind {
            "ADDED" | "MODIFIED" | "DELETED" => {
                let object: W = serde_json::from_str(object).map_err(malformed)?;
                let version = object.meta().resource_version.clone();
                let key = object.meta().key();
                let kept = if event.kind == "DELETED" { None } else { (self.keep)(object) };
                self.current(seen, |seen| match kept {
                    Some(kept) if seen.objects.get(&key) == Some(&kept) => false,
                    Some(kept) => {
                        seen.objects.insert(key, kept);
                        true
                    }
                    None => seen.objects.remove(&key).is_some(),
                });
                Ok(version)
            }
            "BOOKMARK" => {
                let bookmark: Bookmark = serde_json::from_str(object).map_err(malformed)?;
                self.current(seen, |_| false);
                Ok(bookmark.metadata.resource_version)
            }
            "ERROR" => {
                let status: Status = serde_json::from_str(object).map_err(malformed)?;
                Err(connection.refused(&self.resource, &status))
            }
            // A kind of event that is newer than this program.
            _ => Ok(None),
        }
    }

    /// Notes that the API has spoken, and what it said; `change` tells whether that is news.
    fn current(&self, seen: &watch::Sender<Seen<K>>, change: impl FnOnce(&mut Seen<K>) -> bool) {
        let now = self.clock.now();
        seen.send_if_modified(|seen| {
            let changed = change(seen);
            seen.heard_at = Some(now);
            let recovered = !seen.is_current;
            seen.is_current = true;
            if seen.error.take().is_some() {
                let (cluster, resource) = (&self.cluster.name, self.resource.name());
                tracing::info!(cluster, resource, "the Kubernetes API is watched again");
            }
            changed || recovered
        });
    }

    fn path<'a>(&'a self, asked: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let labels = self.label_selector.as_deref().map(|text| ("labelSelector", text));
        let fields = self.field_selector.map(|text| ("fieldSelector", text));
        let asked = asked.into_iter().chain(labels).chain(fields);
        let path = self.resource.path();
        // Only the query is of interest; the client puts the server before it.
        match Url::parse_with_params("http://api", asked) {
            Ok(url) => format!("{path}?{}", url.query().unwrap_or_default()),
            Err(_) => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_that_never_come_to_a_sound_watch_wait_ever_longer() {
        let mut pause = Pause::default();
        let mut waits = Vec::new();
        for round in 0..10 {
            // A slow list that fails, and a watch that breaks at once.
            let watched = (round % 2 == 1).then_some(Duration::from_millis(10));
            waits.push(pause.after(watched, None));
        }
        assert_eq!(waits.first(), Some(&FIRST_WAIT));
        assert!(waits.is_sorted() && waits.last() == Some(&LONGEST_WAIT), "{waits:?}");
        assert_eq!(pause.after(Some(Duration::from_secs(240)), None), FIRST_WAIT);
    }

    #[test]
    fn a_server_is_given_the_wait_that_it_asks_for_within_reason() {
        let mut pause = Pause::default();
        let asked = Duration::from_secs(20);
        assert_eq!(pause.after(None, Some(asked)), asked);
        assert_eq!(pause.after(None, Some(Duration::from_secs(86_400))), LONGEST_ASKED);
    }
}
