//! Two real agents and one Lease, over a simulated API server and a simulated cloud that knows who
//! asks it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::routing::post;
use costband::domain::identity::Provider;
use costband::runtime::clock::SystemClock;
use costband::simulate::aws::{self, AwsOptions};
use costband::simulate::faults::Faults;
use costband::store::Location;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::contract::harness::{Clouds, Options, Server, WrittenWorld, around, fleet};
use crate::contract::program::{Program, output};
use crate::faces::series::{samples, value};
use crate::kubernetes::server::ApiServer;
use crate::kubernetes::until;
use crate::store::place::{PASSWORD, Place, USER};

/// What the promise allows for a handover, and for each of the other things more than they take on a
/// machine that is shared by many.
const HANDOVER: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(120);
/// What the promise adds to the Lease's duration, where nobody released it.
const TAKEOVER: Duration = Duration::from_secs(3 + 5);
const SHORT: [&str; 3] = ["3s", "2s", "300ms"];
const USUAL: [&str; 3] = ["15s", "10s", "2s"];

/// Which requests a cloud is answering, by the access key of who asks.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<Answering>>>);

#[derive(Debug)]
struct Answering {
    who: String,
    began: Instant,
    ended: Option<Instant>,
}

impl Asked {
    fn by(&self, key: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|one| one.who == key).count()
    }

    /// Fails if two replicas were ever answered at once.
    fn never_at_once(&self) {
        let all = self.0.lock().unwrap();
        for one in all.iter() {
            let meanwhile = |other: &&Answering| {
                let is_later = other.began >= one.began;
                other.who != one.who && is_later && one.ended.is_none_or(|end| other.began < end)
            };
            let other = all.iter().find(meanwhile);
            assert!(other.is_none(), "{one:?} and {other:?} at once");
        }
    }
}

/// A receiver that takes messages once it is told to.
#[derive(Clone, Default)]
struct Hook {
    takes: Arc<AtomicBool>,
    heard: Arc<Mutex<Vec<(String, bool)>>>,
}

impl Hook {
    async fn listen(&self) -> String {
        let hook = self.clone();
        let answer = async move |headers: HeaderMap| {
            let id = headers["webhook-id"].to_str().unwrap().to_owned();
            let takes = hook.takes.load(Ordering::SeqCst);
            hook.heard.lock().unwrap().push((id, takes));
            if takes { StatusCode::NO_CONTENT } else { StatusCode::SERVICE_UNAVAILABLE }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn heard(&self, taken: bool) -> Vec<String> {
        let all = self.heard.lock().unwrap();
        all.iter().filter(|(_, was)| *was == taken).map(|(id, _)| id.clone()).collect()
    }
}

struct House {
    api: ApiServer,
    clouds: Clouds,
    aws: Server,
    asked: Asked,
    folder: tempfile::TempDir,
    rules: [&'static str; 3],
    shared: Option<Place>,
    hook: Option<String>,
}

impl House {
    async fn start(rules: [&'static str; 3]) -> Self {
        let world = WrittenWorld::new(Arc::new(SystemClock), fleet(around(Timestamp::now()), 1));
        let clouds = Clouds::start(world.clone(), Options::default()).await;
        let (asked, faults) = (Asked::default(), Arc::new(Faults::default()));
        let list = asked.clone();
        let router = aws::router(world, faults.clone(), AwsOptions::default()).layer(from_fn(
            move |request: Request, next: Next| {
                let list = list.clone();
                let header = request.headers().get("authorization");
                let header = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
                let key = header.split("Credential=").nth(1).unwrap_or_default();
                let key = key.split('/').next().unwrap_or_default().to_owned();
                async move {
                    let place = {
                        let mut all = list.0.lock().unwrap();
                        all.push(Answering { who: key, began: Instant::now(), ended: None });
                        all.len() - 1
                    };
                    let answer = next.run(request).await;
                    list.0.lock().unwrap()[place].ended = Some(Instant::now());
                    answer
                }
            },
        ));
        let aws = Server::start(router, faults).await;
        let folder = tempfile::tempdir().unwrap();
        let api = ApiServer::start().await;
        Self { api, clouds, aws, asked, folder, rules, shared: None, hook: None }
    }

    fn configuration(&self, name: &str) -> PathBuf {
        let folder = self.folder.path();
        let mut text = self.clouds.configuration(
            &[Provider::Aws],
            folder,
            json!([{"preset": "aws", "floor": 1, "ceiling": 2}]),
        );
        let source = &mut text["sources"]["aws"][0];
        source["credentials"]["static"]["access_key_id"] = key(name).into();
        source["endpoints"] = json!({"cost_explorer": self.aws.url, "sts": self.aws.url});
        text["store"] = match self.shared.as_ref().map(|place| &place.location) {
            Some(Location::Postgres(server)) => {
                let password = folder.join("password");
                std::fs::write(&password, PASSWORD).unwrap();
                let (port, database) = (server.port, &server.database);
                let url = format!("postgres://{USER}@127.0.0.1:{port}/{database}?sslmode=disable");
                json!({"url": url, "password": {"file": password}})
            }
            _ => json!({"path": folder.join(format!("{name}.db"))}),
        };
        if let Some(url) = &self.hook {
            let secret = folder.join("hook");
            std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
            let webhook = json!({"name": "hook", "url": url, "secret": {"file": secret}});
            text["notify"] = json!({"webhook": [webhook]});
        }
        text["log"] = json!({"format": "json"});
        let [duration, renew_deadline, retry_period] = self.rules;
        text["lease"] = json!({
            "namespace": "finops", "kubeconfig": self.api.kubeconfig(folder), "identity": name,
            "address": format!("http://{name}.example:9750"),
            "duration": duration, "renew_deadline": renew_deadline, "retry_period": retry_period,
        });
        let path = folder.join(format!("{name}.yaml"));
        std::fs::write(&path, text.to_string()).unwrap();
        path
    }

    fn run(&self, name: &str) -> Replica {
        let path = self.configuration(name);
        let mut program = Program::start(&["run", "-c", path.to_str().unwrap()]);
        let url = format!("http://{}", program.address());
        Replica { program, url, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    fn transitions(&self) -> u64 {
        self.api.lease().unwrap()["leaseTransitions"].as_u64().unwrap()
    }
}

/// The access key of a replica.
fn key(name: &str) -> String {
    format!("AKIAIOSFODNN7{}", name.to_uppercase())
}

struct Replica {
    program: Program,
    url: String,
    client: reqwest::Client,
}

impl Replica {
    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The page at a path once it passes, and how long that took.
    async fn when(
        &self,
        path: &str,
        within: Duration,
        passes: impl Fn(u16, &str) -> bool,
    ) -> (String, Duration) {
        let begun = Instant::now();
        loop {
            let (status, text) = self.get(path).await;
            if passes(status, &text) {
                return (text, begun.elapsed());
            }
            assert!(begun.elapsed() < within, "{path} was for {within:?}: {status} {text}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn leads(&self, within: Duration) -> Duration {
        self.when("/metrics", within, |_, page| leader(page) == "1").await.1
    }

    async fn has_polled(&self) -> String {
        let up = |page: &str| value(page, "costband_source_up", &[]).as_deref() == Some("1");
        self.when("/metrics", PATIENCE, |_, page| up(page)).await.0
    }

    /// A page of a replica that follows: nothing on it is anybody's money.
    async fn follows(&self) {
        self.when("/readyz", PATIENCE, |status, _| status == 200).await;
        let (page, _) = self.when("/metrics", PATIENCE, |_, page| leader(page) == "0").await;
        assert_eq!(business(&page), Vec::<String>::new());
    }
}

fn leader(page: &str) -> String {
    value(page, "costband_leader", &[]).unwrap_or_default()
}

/// The families of a page that tell of money, bands or fleets.
fn business(page: &str) -> Vec<String> {
    let own = [
        "process_",
        "costband_leader",
        "costband_build_info",
        "costband_config_",
        "costband_source_polls_total",
        "costband_source_poll_duration_seconds",
        "costband_source_api_requests_total",
        "costband_source_api_cost_total",
        "costband_ledger_errors_total",
        "costband_notifications_total",
    ];
    let names = samples(page).into_iter().map(|sample| sample.name);
    names.filter(|name| !own.iter().any(|own| name.starts_with(own))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_stop_hands_over_in_time_and_a_follower_points_to_the_holder() {
    let house = House::start(USUAL).await;
    let mut first = house.run("a");
    first.leads(PATIENCE).await;
    let page = first.has_polled().await;
    assert!(business(&page).contains(&"costband_effective_cost".to_owned()));
    let mut second = house.run("b");
    second.follows().await;
    second.program.ever("follows the holder of the Lease");
    for path in ["/api/v1/spend", "/api/v1/gpu/range?from=2026-10-01&to=2026-10-02"] {
        let (status, text) = second.get(path).await;
        let told: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &told["holder"]["address"]), (503, &json!("http://a.example:9750")));
        assert!(told["holder"]["identity"].as_str().unwrap().starts_with("a_"), "{told}");
    }
    let korean = second.client.get(&second.url).header("accept-language", "ko");
    let korean = korean.send().await.unwrap().text().await.unwrap();
    for (text, words) in [(second.get("/").await.1, "This replica follows"), (korean, "대기 중인")]
    {
        assert!(text.contains(words) && text.contains("http://a.example:9750"), "{text}");
    }
    assert_eq!(second.get("/api/v1/openapi.json").await.0, 200);
    assert_eq!(second.get("/healthz").await.0, 200);
    assert_eq!(house.asked.by(&key("b")), 0, "a follower asked the cloud");

    let begun = Instant::now();
    assert_eq!(first.program.terminate(), Some(0));
    let ended = begun.elapsed();
    second.leads(HANDOVER.saturating_sub(ended)).await;
    println!("handover after a clean stop: {:?}, of which {ended:?} for the end", begun.elapsed());
    second.has_polled().await;
    assert_eq!(house.transitions(), 2);
    house.asked.never_at_once();
    assert_eq!(second.program.terminate(), Some(0));
    let released = house.api.lease().unwrap();
    assert_eq!(
        (&released["holderIdentity"], &released["leaseDurationSeconds"]),
        (&json!(""), &json!(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_holder_is_followed_once_its_lease_has_run_out() {
    let house = House::start(SHORT).await;
    let mut first = house.run("a");
    first.leads(PATIENCE).await;
    let second = house.run("b");
    second.follows().await;
    first.program.kill();
    let killed = Instant::now();
    second.leads(TAKEOVER).await;
    println!("takeover after kill -9: {:?} with a Lease of 3 s", killed.elapsed());
    second.has_polled().await;
    house.asked.never_at_once();
    assert_eq!(house.transitions(), 2);
    // Its ghost comes back under its name, and is another one.
    let third = house.run("a");
    third.follows().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_api_ends_the_polling_and_its_end_begins_it_again() {
    let house = House::start(SHORT).await;
    let mut first = house.run("a");
    first.leads(PATIENCE).await;
    let second = house.run("b");
    second.follows().await;
    house.api.down(true);
    let begun = Instant::now();
    first.follows().await;
    println!(
        "a holder without the API stopped after {:?}, at its deadline of 2 s",
        begun.elapsed()
    );
    first.program.ever("failed to take part in the election");
    assert_eq!(first.program.count("failed to take part in the election"), 1, "told once");
    second.follows().await;
    house.api.down(false);
    let begun = Instant::now();
    loop {
        let pages = [first.get("/metrics").await.1, second.get("/metrics").await.1];
        let leaders = pages.iter().filter(|page| leader(page) == "1").count();
        assert!(leaders <= 1, "two lead");
        if leaders == 1 {
            break;
        }
        assert!(begun.elapsed() < TAKEOVER, "nobody leads");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("somebody leads {:?} after the outage", begun.elapsed());
    house.asked.never_at_once();
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_share_a_ledger_show_the_same_and_poll_once() {
    let Some(place) = Place::database() else { return };
    let mut house = House::start(SHORT).await;
    house.shared = Some(place);
    let hook = Hook::default();
    house.hook = Some(hook.listen().await);
    let mut first = house.run("a");
    first.leads(PATIENCE).await;
    first.has_polled().await;
    let second = house.run("b");
    second.follows().await;
    let figures =
        |text: &str| serde_json::from_str::<Value>(text).ok().map(|told| told["sources"].clone());
    let spend = first.get("/api/v1/spend").await.1;
    let same = |_, text: &str| figures(text) == figures(&spend);
    let (_, took) = second.when("/api/v1/spend", PATIENCE, same).await;
    println!("a follower shows what the holder keeps; at its start after {took:?}");
    let (status, page) = second.get("/").await;
    assert!(status == 200 && page.contains("This replica follows"), "{page}");
    second.follows().await;

    // What was polled is not polled again, and what was not delivered is delivered once, whoever
    // holds the Lease.
    until("a message that is not taken", || !hook.heard(false).is_empty()).await;
    let paid = house.asked.by(&key("a"));
    first.program.kill();
    hook.takes.store(true, Ordering::SeqCst);
    second.leads(PATIENCE).await;
    let up = second.has_polled().await;
    assert!(business(&up).contains(&"costband_band_spend".to_owned()));
    assert_eq!((house.asked.by(&key("a")), house.asked.by(&key("b"))), (paid, 0));
    let first_of_all = hook.heard(false).swap_remove(0);
    until("the message", || hook.heard(true).contains(&first_of_all)).await;
    let mut taken = hook.heard(true);
    taken.sort();
    let twice = taken.windows(2).any(|two| two[0] == two[1]);
    assert!(!twice, "told twice: {taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_what_a_lease_means_and_proves_each_verb() {
    let house = House::start(USUAL).await;
    let path = house.configuration("a").display().to_string();
    let check = async || {
        let (path, folder) = (path.clone(), house.folder.path().to_owned());
        let check = move || output(&["check", "-c", &path, "--online"], &folder);
        let done = tokio::task::spawn_blocking(check).await.unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    };
    let (_, told) = check().await;
    for wanted in [
        "Lease `finops/costband`: of all replicas its holder polls and notifies",
        "stops after 10 s; another one takes over after 15 s",
        "each replica has a ledger of its own",
        "may get, create and update the Lease `costband` in `finops`",
    ] {
        assert!(told.contains(wanted), "no `{wanted}` in:\n{told}");
    }
    for verb in ["get", "create", "update"] {
        house.api.forbid(verb, "leases", true);
        let (code, told) = check().await;
        assert_eq!(code, Some(1), "{told}");
        for wanted in [
            &*format!("may not {verb} the Lease `costband` in `finops`"),
            "resources: [leases], resourceNames: [costband], verbs: [get, update]",
        ] {
            assert!(told.contains(wanted), "no `{wanted}` in:\n{told}");
        }
        house.api.forbid(verb, "leases", false);
    }
    // Every replica of one that may not hold it follows, and says why.
    house.api.forbid("create", "leases", true);
    let mut replica = house.run("a");
    let line = replica.program.line("failed to take part in the election");
    assert!(line.contains("central.lease.enabled"), "{line}");
    replica.follows().await;
    house.api.forbid("create", "leases", false);
    replica.leads(PATIENCE).await;
}
