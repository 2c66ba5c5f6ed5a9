//! A simulated Kubernetes API server for nodes and pods, written to its documented wire format
//! ("API concepts"; `meta/v1` Status, ListMeta, WatchEvent): lists in pages of one snapshot, watches
//! from a resourceVersion with bookmarks, selectors, `410 Gone` for what was compacted, refusals as
//! Status objects.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::kubernetes::lease::store::{Leases, place};

/// The token that the kubeconfig holds.
pub const TOKEN: &str = "token-of-a-test";

type Place = (&'static str, String);
type Asked = HashMap<String, String>;

/// What happened to one object.
struct Change {
    version: u64,
    resource: &'static str,
    before: Option<Value>,
    after: Option<Value>,
}

/// How a watch hears of what it should do.
#[derive(Clone, Copy, Default)]
struct Bell {
    version: u64,
    bookmarks: u64,
    cuts: u64,
}

#[derive(Default)]
struct World {
    version: u64,
    objects: BTreeMap<Place, Value>,
    changes: Vec<Change>,
    /// Versions before this one are forgotten.
    oldest: u64,
    /// What is left of lists, by their `continue` token.
    lists: HashMap<String, (u64, Vec<Value>)>,
    forbidden: BTreeSet<(&'static str, &'static str)>,
    is_down: bool,
    /// Requests that came while it was down.
    refused: usize,
    gone_by_status: bool,
    pub(super) leases: Leases,
    requests: Vec<String>,
}

/// A server with its world.
#[derive(Clone)]
pub struct ApiServer {
    pub url: String,
    world: Arc<Mutex<World>>,
    bell: watch::Sender<Bell>,
}

impl ApiServer {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { url, world: Arc::default(), bell: watch::Sender::default() };
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Writes a kubeconfig as `kubectl` has it.
    pub fn kubeconfig(&self, folder: &Path) -> PathBuf {
        let path = folder.join("kubeconfig.yaml");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             clusters:\n- name: there\n  cluster: {{server: \"{}\"}}\n\
             users:\n- name: me\n  user: {{token: {TOKEN}}}\n\
             contexts:\n- name: test\n  context: {{cluster: there, user: me}}\n",
            self.url
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Creates or replaces an object.
    pub fn put(&self, resource: &'static str, mut object: Value) {
        let mut world = self.world();
        world.version += 1;
        let version = world.version;
        object["metadata"]["resourceVersion"] = version.to_string().into();
        let place = (resource, key(&object));
        let before = world.objects.insert(place.clone(), object.clone());
        if before.is_none() {
            let uid = format!("00000000-0000-4000-8000-{version:012}");
            world.objects.get_mut(&place).unwrap()["metadata"]["uid"] = uid.into();
        }
        let after = world.objects.get(&place).cloned();
        world.changes.push(Change { version, resource, before, after });
        drop(world);
        self.bell.send_modify(|bell| bell.version = version);
    }

    /// Deletes an object: of a namespace by `namespace/name`.
    pub fn delete(&self, resource: &'static str, name: &str) {
        let mut world = self.world();
        world.version += 1;
        let version = world.version;
        let before = world.objects.remove(&(resource, name.to_owned()));
        assert!(before.is_some(), "there is no {resource} `{name}`");
        world.changes.push(Change { version, resource, before, after: None });
        drop(world);
        self.bell.send_modify(|bell| bell.version = version);
    }

    /// Sends a bookmark into every watch.
    pub fn bookmark(&self) {
        self.bell.send_modify(|bell| bell.bookmarks += 1);
    }

    /// Cuts every watch in the middle of an event.
    pub fn cut(&self) {
        self.bell.send_modify(|bell| bell.cuts += 1);
    }

    /// Forgets every change so far, as etcd's compaction does. Later requests for what is forgotten
    /// are told so by a status or in an event.
    pub fn compact(&self, by_status: bool) {
        let mut world = self.world();
        world.changes.clear();
        world.lists.clear();
        world.oldest = world.version;
        world.gone_by_status = by_status;
    }

    /// Refuses a verb, or no longer.
    pub fn forbid(&self, verb: &'static str, resource: &'static str, forbidden: bool) {
        let mut world = self.world();
        if forbidden {
            world.forbidden.insert((verb, resource));
        } else {
            world.forbidden.remove(&(verb, resource));
        }
    }

    /// Answers nothing but 503, or works again.
    pub fn down(&self, is_down: bool) {
        self.world().is_down = is_down;
        if is_down {
            self.cut();
        }
    }

    /// How many requests came while it was down.
    pub fn refused(&self) -> usize {
        self.world().refused
    }

    /// Every request so far: verb, resource and what of the query tells them apart.
    pub fn requests(&self) -> Vec<String> {
        self.world().requests.clone()
    }

    /// How many requests so far begin so.
    pub fn asked(&self, start: &str) -> usize {
        self.requests().iter().filter(|request| request.starts_with(start)).count()
    }

    /// What the only Lease says.
    pub fn lease(&self) -> Option<Value> {
        self.world().leases.spec()
    }

    /// The newest version.
    pub fn version(&self) -> u64 {
        self.world().version
    }
}

fn key(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap();
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

pub(super) fn status(code: StatusCode, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    })
}

fn refuse(code: StatusCode, reason: &str, message: &str) -> Response {
    (code, [(CONTENT_TYPE, "application/json")], status(code, reason, message).to_string())
        .into_response()
}

fn gone(version: u64, oldest: u64) -> Value {
    let message = format!("too old resource version: {version} ({oldest})");
    status(StatusCode::GONE, "Expired", &message)
}

async fn answer(
    State(server): State<ApiServer>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let is_down = {
        let mut world = server.world();
        world.refused += usize::from(world.is_down);
        world.is_down
    };
    if is_down {
        let message = "the server is currently unable to handle the request";
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message);
    }
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if bearer != Some(&format!("Bearer {TOKEN}")) {
        return refuse(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized");
    }
    let path = request.uri().path().to_owned();
    if path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" {
        return review(&server, request).await;
    }
    if let Some((namespace, _)) = place(&path) {
        return lease(&server, &namespace, request).await;
    }
    let (resource, namespace) = match path.strip_prefix("/api/v1/").unwrap_or_default() {
        "nodes" => ("nodes", None),
        rest => {
            let namespace =
                rest.strip_prefix("namespaces/").and_then(|rest| rest.strip_suffix("/pods"));
            match namespace {
                Some(namespace) => ("pods", Some(namespace.to_owned())),
                None => {
                    let message = "the server could not find the requested resource";
                    return refuse(StatusCode::NOT_FOUND, "NotFound", message);
                }
            }
        }
    };
    let watches = asked.get("watch").is_some_and(|value| value == "1" || value == "true");
    let verb = if watches { "watch" } else { "list" };
    {
        let mut world = server.world();
        let from = asked.get("resourceVersion").map(|at| format!(" from {at}")).unwrap_or_default();
        world.requests.push(format!("{verb} {resource}{from}"));
        if world.forbidden.contains(&(verb, resource)) {
            let scope = match &namespace {
                Some(namespace) => format!("in the namespace \"{namespace}\""),
                None => "at the cluster scope".to_owned(),
            };
            let message = format!(
                "{resource} is forbidden: User \"system:serviceaccount:finops:costband\" cannot \
                 {verb} resource \"{resource}\" in API group \"\" {scope}"
            );
            return refuse(StatusCode::FORBIDDEN, "Forbidden", &message);
        }
    }
    if watches {
        return follow(&server, resource, namespace, &asked);
    }
    list(&server, resource, namespace.as_deref(), &asked)
}

async fn lease(server: &ApiServer, namespace: &str, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let body = (!body.is_empty()).then(|| serde_json::from_slice(&body).unwrap());
    let verb = match parts.method.as_str() {
        "GET" => "get",
        "POST" => "create",
        _ => "update",
    };
    let mut world = server.world();
    world.requests.push(format!("{verb} leases"));
    if world.forbidden.contains(&(verb, "leases")) {
        let message = format!(
            "leases.coordination.k8s.io \"costband\" is forbidden: User \
             \"system:serviceaccount:{namespace}:costband\" cannot {verb} resource \"leases\" in \
             API group \"coordination.k8s.io\" in the namespace \"{namespace}\""
        );
        return refuse(StatusCode::FORBIDDEN, "Forbidden", &message);
    }
    let (code, body) = world.leases.answer(&parts.method, parts.uri.path(), body);
    (code, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

async fn review(server: &ApiServer, request: Request) -> Response {
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let mut review: Value = serde_json::from_slice(&body).unwrap();
    let asked = review["spec"]["resourceAttributes"].clone();
    let forbidden = server.world().forbidden.iter().any(|(verb, resource)| {
        let group = if *resource == "leases" { "coordination.k8s.io" } else { "" };
        asked["verb"] == *verb && asked["resource"] == *resource && asked["group"] == group
    });
    review["status"] = json!({"allowed": !forbidden});
    (StatusCode::CREATED, [(CONTENT_TYPE, "application/json")], review.to_string()).into_response()
}

fn list(
    server: &ApiServer,
    resource: &'static str,
    namespace: Option<&str>,
    asked: &Asked,
) -> Response {
    let mut world = server.world();
    let (version, mut rest) = match asked.get("continue") {
        Some(token) => match world.lists.remove(token) {
            Some(left) => left,
            None => {
                let message = "The provided continue parameter is too old to display a consistent list result.";
                return refuse(StatusCode::GONE, "Expired", message);
            }
        },
        None => {
            let wanted = |object: &&Value| selected(object, namespace, asked);
            let all = world.objects.iter().filter(|((of, _), _)| *of == resource);
            let all = all.map(|(_, object)| object).filter(wanted).cloned().collect();
            (world.version, all)
        }
    };
    let limit = asked.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
    let left = rest.split_off(limit.min(rest.len()));
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if !left.is_empty() {
        let token = format!("token-{}-{}", version, left.len());
        metadata["continue"] = token.clone().into();
        metadata["remainingItemCount"] = left.len().into();
        world.lists.insert(token, (version, left));
    }
    let kind = if resource == "nodes" { "NodeList" } else { "PodList" };
    let body = json!({"kind": kind, "apiVersion": "v1", "metadata": metadata, "items": rest});
    ([(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// A watch while it lives.
struct Watcher {
    server: ApiServer,
    bell: watch::Receiver<Bell>,
    told: Bell,
    resource: &'static str,
    namespace: Option<String>,
    asked: Asked,
    ended: bool,
}

fn follow(
    server: &ApiServer,
    resource: &'static str,
    namespace: Option<String>,
    asked: &Asked,
) -> Response {
    let from: u64 = asked.get("resourceVersion").and_then(|at| at.parse().ok()).unwrap_or(0);
    let bell = server.bell.subscribe();
    let told = Bell { version: from, ..*bell.borrow() };
    let mut watcher = Watcher {
        server: server.clone(),
        bell,
        told,
        resource,
        namespace,
        asked: asked.clone(),
        ended: false,
    };
    let (oldest, by_status) = {
        let world = server.world();
        (world.oldest, world.gone_by_status)
    };
    if from < oldest {
        let status = gone(from, oldest);
        if by_status {
            return (StatusCode::GONE, [(CONTENT_TYPE, "application/json")], status.to_string())
                .into_response();
        }
        watcher.ended = true;
        let line = format!("{}\n", json!({"type": "ERROR", "object": status}));
        return ([(CONTENT_TYPE, "application/json")], line).into_response();
    }
    let lines = stream::unfold(watcher, |mut watcher| async move {
        let piece = watcher.next().await?;
        Some((piece, watcher))
    });
    ([(CONTENT_TYPE, "application/json")], Body::from_stream(lines)).into_response()
}

impl Watcher {
    async fn next(&mut self) -> Option<Result<Bytes, std::io::Error>> {
        loop {
            if self.ended {
                return Some(Err(std::io::Error::other("cut")));
            }
            let now = *self.bell.borrow_and_update();
            if now.version > self.told.version {
                let lines = self.changes();
                self.told.version = now.version;
                if !lines.is_empty() {
                    return Some(Ok(lines.into()));
                }
            }
            if now.bookmarks > self.told.bookmarks {
                self.told.bookmarks = now.bookmarks;
                if self.asked.get("allowWatchBookmarks").is_some_and(|allowed| allowed == "true") {
                    let kind = if self.resource == "nodes" { "Node" } else { "Pod" };
                    let version = self.told.version.to_string();
                    let object = json!({"kind": kind, "apiVersion": "v1", "metadata": {
                        "resourceVersion": version, "creationTimestamp": null}});
                    let line = json!({"type": "BOOKMARK", "object": object});
                    return Some(Ok(format!("{line}\n").into()));
                }
            }
            if now.cuts > self.told.cuts {
                self.ended = true;
                return Some(Ok(Bytes::from_static(
                    b"{\"type\":\"MODIFIED\",\"object\":{\"kind\":",
                )));
            }
            self.bell.changed().await.ok()?;
        }
    }

    /// The events since the last time. What enters or leaves a selection is added or deleted.
    fn changes(&self) -> String {
        let world = self.server.world();
        let mut lines = String::new();
        for change in &world.changes {
            if change.version <= self.told.version || change.resource != self.resource {
                continue;
            }
            let wanted = |object: &Option<Value>| {
                let object = object.as_ref()?;
                selected(object, self.namespace.as_deref(), &self.asked).then(|| object.clone())
            };
            let (kind, object) = match (wanted(&change.before), wanted(&change.after)) {
                (None, Some(after)) => ("ADDED", after),
                (Some(_), Some(after)) => ("MODIFIED", after),
                (Some(before), None) => ("DELETED", before),
                (None, None) => continue,
            };
            let mut object = object;
            object["apiVersion"] = "v1".into();
            object["kind"] = if self.resource == "nodes" { "Node" } else { "Pod" }.into();
            object["metadata"]["resourceVersion"] = change.version.to_string().into();
            lines.push_str(&json!({"type": kind, "object": object}).to_string());
            lines.push('\n');
        }
        lines
    }
}

fn selected(object: &Value, namespace: Option<&str>, asked: &Asked) -> bool {
    let own = object["metadata"]["namespace"].as_str();
    let by_label = |selector: &String| labels_match(&object["metadata"]["labels"], selector);
    let by_field = |selector: &String| {
        selector.split(',').all(|part| {
            let (path, wanted) = part.split_once('=').unwrap();
            let pointer = format!("/{}", path.replace('.', "/"));
            object.pointer(&pointer).and_then(Value::as_str).unwrap_or_default() == wanted
        })
    };
    own == namespace
        && asked.get("labelSelector").is_none_or(by_label)
        && asked.get("fieldSelector").is_none_or(by_field)
}

/// Equality-based and set-based requirements, all of which must hold.
fn labels_match(labels: &Value, selector: &str) -> bool {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for c in selector.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(c);
        }
    }
    let value = |name: &str| labels.get(name.trim()).and_then(Value::as_str);
    let of = |set: &str| -> Vec<String> {
        let set = set.trim().trim_start_matches('(').trim_end_matches(')');
        set.split(',').map(|one| one.trim().to_owned()).collect()
    };
    parts.iter().all(|part| {
        if let Some((name, set)) = part.split_once(" notin ") {
            value(name).is_none_or(|own| !of(set).iter().any(|one| one == own))
        } else if let Some((name, set)) = part.split_once(" in ") {
            value(name).is_some_and(|own| of(set).iter().any(|one| one == own))
        } else if let Some((name, wanted)) = part.split_once("!=") {
            value(name) != Some(wanted.trim())
        } else if let Some((name, wanted)) = part.split_once('=') {
            value(name) == Some(wanted.trim_start_matches('=').trim())
        } else if let Some(name) = part.trim().strip_prefix('!') {
            value(name).is_none()
        } else {
            value(part).is_some()
        }
    })
}

#[test]
fn selectors_select_as_the_api_documents_them() {
    let labels = json!({"app": "dcgm", "tier": "gpu"});
    for (selector, matches) in [
        ("app=dcgm", true),
        ("app==dcgm,tier=gpu", true),
        ("app=dcgm,tier=cpu", false),
        ("app in (amd, dcgm),tier", true),
        ("app in (amd)", false),
        ("app notin (amd)", true),
        ("app!=dcgm", false),
        ("!zone", true),
        ("zone", false),
        ("zone notin (a)", true),
    ] {
        assert_eq!(labels_match(&labels, selector), matches, "{selector}");
    }
}
