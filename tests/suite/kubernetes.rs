//! Nodes and pods as a Kubernetes API tells them, over real sockets against a simulated server.

mod agent;
mod identity;
mod lease;
mod pods;
mod server;

use std::sync::Arc;
use std::time::Duration;

use costband::domain::identity::Provider;
use costband::domain::node::Node;
use costband::domain::ports::Clock;
use costband::domain::report::SourceErrorKind;
use costband::kubernetes::client::Connection;
use costband::kubernetes::watch::Seen;
use costband::kubernetes::{Cluster, Resource, nodes};
use costband::runtime::clock::SystemClock;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::server::ApiServer;

/// Longer than anything takes on a machine that is shared by many.
const PATIENCE: Duration = Duration::from_secs(120);

fn cluster(server: &ApiServer, folder: &tempfile::TempDir) -> Cluster {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let kubeconfig = Some(server.kubeconfig(folder.path()));
    Cluster { name: "train".to_owned(), kubeconfig, context: None }
}

/// A node of EKS as its kubelet, the cloud's controller and NVIDIA's device plugin leave it, with
/// much that nobody asks for.
fn node(name: &str, instance_type: &str) -> Value {
    let images: Vec<Value> = (0..8)
        .map(|image| json!({"names": [format!("registry.example.com/image@sha256:{image:064}")], "sizeBytes": 123_456_789}))
        .collect();
    json!({
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "node.kubernetes.io/instance-type": instance_type,
                "topology.kubernetes.io/region": "us-east-1",
                "topology.kubernetes.io/zone": "us-east-1a",
                "eks.amazonaws.com/capacityType": "ON_DEMAND",
            },
            "annotations": {"node.alpha.kubernetes.io/ttl": "0"},
        },
        "spec": {"providerID": format!("aws:///us-east-1a/i-{name}")},
        "status": {
            "capacity": {"cpu": "192", "memory": "2097152Ki", "nvidia.com/gpu": "8"},
            "allocatable": {"cpu": "191", "memory": "2090000Ki", "nvidia.com/gpu": "8"},
            "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-11-16T10:00:00Z"}],
            "images": images,
        },
    })
}

/// A watch of nodes that runs.
struct Watching {
    seen: watch::Receiver<Seen<Node>>,
    task: JoinHandle<()>,
    /// The kubeconfig lies here.
    _folder: tempfile::TempDir,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn watching(server: &ApiServer) -> Watching {
    let folder = tempfile::tempdir().unwrap();
    watching_of(cluster(server, &folder), folder)
}

fn watching_of(cluster: Cluster, folder: tempfile::TempDir) -> Watching {
    let (sender, seen) = watch::channel(Seen::default());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let task = nodes::watch(cluster, None, clock, sender);
    Watching { seen, task: tokio::spawn(task), _folder: folder }
}

impl Watching {
    async fn when(&mut self, what: &str, holds: impl FnMut(&Seen<Node>) -> bool) -> Seen<Node> {
        let found = tokio::time::timeout(PATIENCE, self.seen.wait_for(holds)).await;
        found.unwrap_or_else(|_| panic!("waited in vain for {what}")).unwrap().clone()
    }

    async fn names(&mut self, wanted: &[&str]) -> Seen<Node> {
        let what = format!("{wanted:?}");
        self.when(&what, |seen| seen.objects.keys().eq(wanted.iter().copied())).await
    }

    fn heard_at(&self) -> Timestamp {
        self.seen.borrow().heard_at.unwrap()
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

#[tokio::test]
async fn five_thousand_nodes_are_listed_once_in_pages_and_then_watched() {
    let server = ApiServer::start().await;
    for number in 0..5_000 {
        server.put("nodes", node(&format!("gpu-{number:04}"), "p5.48xlarge"));
    }
    let mut watching = watching(&server);
    let seen = watching.when("all nodes", |seen| seen.objects.len() == 5_000).await;
    assert!(seen.is_listed && seen.is_current);
    let one = &seen.objects["gpu-4999"];
    assert_eq!(one.instance_type.as_deref(), Some("p5.48xlarge"));
    assert_eq!((one.provider, one.gpus), (Some(Provider::Aws), Some(8)));
    assert_eq!(server.asked("list nodes"), 20, "pages of 250");
    server.put("nodes", node("gpu-5000", "p5.48xlarge"));
    server.delete("nodes", "gpu-0000");
    watching
        .when("the change", |seen| {
            seen.objects.len() == 5_000 && seen.objects.contains_key("gpu-5000")
        })
        .await;
    assert_eq!(server.asked("list nodes"), 20, "a change lists nothing anew");
}

#[tokio::test]
async fn a_watch_that_is_cut_goes_on_where_it_stood() {
    let server = ApiServer::start().await;
    server.put("nodes", node("a", "p5.48xlarge"));
    let mut watching = watching(&server);
    watching.names(&["a"]).await;
    until("a watch", || server.asked("watch") == 1).await;
    server.put("nodes", node("b", "p5.48xlarge"));
    watching.names(&["a", "b"]).await;
    let at = server.version();
    server.cut();
    until("another watch", || server.asked("watch") == 2).await;
    server.put("nodes", node("c", "p5.48xlarge"));
    watching.names(&["a", "b", "c"]).await;
    assert_eq!(
        server.requests()[2..],
        [format!("watch nodes from {at}")],
        "{:?}",
        server.requests()
    );

    // Pods come and go, nodes do not: only a bookmark tells how far the watch is.
    server.put("pods", json!({"metadata": {"name": "p", "namespace": "n"}}));
    let heard = watching.heard_at();
    server.bookmark();
    until("a bookmark", || watching.heard_at() > heard).await;
    server.cut();
    until("a third watch", || server.asked("watch") == 3).await;
    let at = server.version();
    assert_eq!(
        server.requests()[3..],
        [format!("watch nodes from {at}")],
        "{:?}",
        server.requests()
    );
}

#[tokio::test]
async fn what_the_server_has_forgotten_is_listed_anew() {
    for by_status in [true, false] {
        let server = ApiServer::start().await;
        for name in ["a", "b"] {
            server.put("nodes", node(name, "p5.48xlarge"));
        }
        let mut watching = watching(&server);
        watching.names(&["a", "b"]).await;
        until("a watch", || server.asked("watch") == 1).await;
        server.down(true);
        watching.when("the outage", |seen| !seen.is_current).await;
        server.delete("nodes", "a");
        server.put("nodes", node("c", "p5.48xlarge"));
        server.compact(by_status);
        server.down(false);
        let seen = watching.names(&["b", "c"]).await;
        assert!(seen.is_current);
        assert_eq!(server.asked("list"), 2, "{:?}", server.requests());
        server.put("nodes", node("d", "p5.48xlarge"));
        watching.names(&["b", "c", "d"]).await;
        assert_eq!(server.asked("list"), 2, "{:?}", server.requests());
    }
}

#[tokio::test]
async fn a_node_that_comes_back_as_another_machine_is_that_machine() {
    let server = ApiServer::start().await;
    server.put("nodes", node("gpu-1", "p5.48xlarge"));
    let mut watching = watching(&server);
    watching.names(&["gpu-1"]).await;
    server.delete("nodes", "gpu-1");
    watching.names(&[]).await;
    server.put("nodes", node("gpu-1", "g6.48xlarge"));
    let seen = watching.names(&["gpu-1"]).await;
    assert_eq!(seen.objects["gpu-1"].instance_type.as_deref(), Some("g6.48xlarge"));

    // And where nobody saw it go.
    server.down(true);
    watching.when("the outage", |seen| !seen.is_current).await;
    server.delete("nodes", "gpu-1");
    server.put("nodes", node("gpu-1", "p4d.24xlarge"));
    server.compact(false);
    server.down(false);
    let is =
        |seen: &Seen<Node>| seen.objects["gpu-1"].instance_type.as_deref() == Some("p4d.24xlarge");
    watching.when("the third machine", is).await;
}

#[tokio::test]
async fn a_heartbeat_that_says_nothing_new_wakes_nobody() {
    let server = ApiServer::start().await;
    server.put("nodes", node("a", "p5.48xlarge"));
    let mut watching = watching(&server);
    watching.names(&["a"]).await;
    until("a watch", || server.asked("watch") == 1).await;
    watching.seen.mark_unchanged();
    let heard = watching.heard_at();
    let mut beat = node("a", "p5.48xlarge");
    beat["status"]["conditions"][0]["lastHeartbeatTime"] = "2026-11-16T10:05:00Z".into();
    server.put("nodes", beat);
    until("the heartbeat", || watching.heard_at() > heard).await;
    assert!(!watching.seen.has_changed().unwrap(), "the inventory is as it was");
}

#[tokio::test]
async fn a_refusal_names_the_permission_and_the_rule_that_mends_it() {
    for verb in ["list", "watch"] {
        let server = ApiServer::start().await;
        server.put("nodes", node("a", "p5.48xlarge"));
        server.forbid(verb, "nodes", true);
        let mut watching = watching(&server);
        let seen = watching.when("the refusal", |seen| seen.error.is_some()).await;
        let error = seen.error.unwrap();
        assert_eq!(error.kind, SourceErrorKind::Forbidden);
        let told = error.to_string();
        for wanted in [
            "the Kubernetes API of the cluster `train`",
            &format!("cannot {verb} resource \"nodes\""),
            "a ClusterRole with the rule `{apiGroups: [\"\"], resources: [nodes], verbs: [list, watch]}`",
            "chart: `rbac.nodes: true`",
        ] {
            assert!(told.contains(wanted), "no `{wanted}` in: {told}");
        }
        assert!(!told.contains(server::TOKEN), "{told}");
        assert!(!seen.is_current, "what may not be watched is not known as a whole");
        server.forbid(verb, "nodes", false);
        let seen = watching.when("the grant", |seen| seen.is_current).await;
        assert_eq!((seen.objects.len(), seen.error), (1, None));
    }
}

#[tokio::test]
async fn an_outage_keeps_what_was_told_last_and_lets_it_age() {
    let server = ApiServer::start().await;
    server.put("nodes", node("a", "p5.48xlarge"));
    let mut watching = watching(&server);
    watching.names(&["a"]).await;
    until("a watch", || server.asked("watch") == 1).await;
    server.down(true);
    let seen = watching.when("the outage", |seen| !seen.is_current).await;
    assert_eq!(seen.objects.len(), 1, "what was told stands");
    assert_eq!(seen.error.unwrap().kind, SourceErrorKind::Unavailable);
    let heard = seen.heard_at;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(watching.seen.borrow().heard_at, heard, "a failure is no news");
    server.down(false);
    let seen = watching.when("the recovery", |seen| seen.is_current).await;
    assert!(seen.heard_at > heard);
    assert_eq!(server.asked("list"), 1, "nothing was forgotten: {:?}", server.requests());
}

#[tokio::test]
async fn an_identity_that_is_not_known_and_a_server_that_is_not_there_are_told_apart() {
    let server = ApiServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = cluster(&server, &folder);
    let path = server.kubeconfig(folder.path());
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace(server::TOKEN, "not-the-token")).unwrap();
    let connection = Connection::new(&cluster).await.unwrap();
    let error = connection.may(&Resource::Nodes, "list").await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Auth);
    assert!(!error.to_string().contains("not-the-token"), "{error}");

    std::fs::write(&path, text.replace(&server.url, "http://127.0.0.1:1")).unwrap();
    let connection = Connection::new(&cluster).await.unwrap();
    let error = connection.may(&Resource::Nodes, "list").await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Unavailable);

    cluster.context = Some("another".to_owned());
    let told = |error: Option<costband::domain::report::SourceError>| error.unwrap().to_string();
    let error = told(Connection::new(&cluster).await.err());
    assert!(error.contains("has no context `another`"), "{error}");
    std::fs::write(&path, "users: [{name: me, user: {token: sesame, token: sesame}").unwrap();
    let error = told(Connection::new(&cluster).await.err());
    assert!(error.contains("is not YAML") && !error.contains("sesame"), "{error}");
}

#[tokio::test]
async fn an_identity_is_told_what_it_may_without_trying() {
    let server = ApiServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection::new(&cluster(&server, &folder)).await.unwrap();
    let pods = Resource::Pods { namespace: "gpu-operator".to_owned() };
    server.forbid("watch", "pods", true);
    for (resource, verb, allowed) in
        [(&Resource::Nodes, "watch", true), (&pods, "list", true), (&pods, "watch", false)]
    {
        assert_eq!(connection.may(resource, verb).await, Ok(allowed), "{verb} {resource:?}");
    }
    assert!(server.requests().is_empty(), "nothing was read");
}
