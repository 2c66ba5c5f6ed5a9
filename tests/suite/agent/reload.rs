//! The real binary goes over to another configuration while it runs: nobody who asks notices, no
//! cloud is asked twice, and what is not valid changes nothing.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use costband::domain::identity::Provider;
use costband::runtime::clock::SystemClock;
use costband::simulate::aws;
use costband::simulate::faults::Faults;
use costband::store::Ledger;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::contract::harness::{Clouds, Options, Server, WrittenWorld, around, fleet, id};
use crate::contract::program::{Program, page_when};
use crate::faces::series::value;

const RELOADED: &str = "configuration reloaded";
const REFUSED: &str = "the configuration is not taken";

/// A configuration as kubelet mounts it, the clouds that it reads, and the agent's own folder.
struct House {
    clouds: Clouds,
    world: Arc<WrittenWorld>,
    folder: tempfile::TempDir,
    configuration: Value,
    mounts: usize,
}

impl House {
    async fn new() -> Self {
        let world = WrittenWorld::new(Arc::new(SystemClock), fleet(around(Timestamp::now()), 1));
        let clouds = Clouds::start(world.clone(), Options::default()).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("etc")).unwrap();
        let bands = json!([{"preset": "aws"}]);
        let mut configuration = clouds.configuration(&Provider::ALL, folder.path(), bands);
        configuration["log"] = json!({"format": "json"});
        Self { clouds, world, folder, configuration, mounts: 0 }
    }

    fn etc(&self) -> PathBuf {
        self.folder.path().join("etc")
    }

    /// Mounts a text: a new folder beside the old one, and one rename of `..data` onto it.
    fn mount_text(&mut self, text: &str) {
        let etc = self.etc();
        let before = std::fs::read_link(etc.join("..data")).ok();
        self.mounts += 1;
        let new = format!("..2026_{}", self.mounts);
        std::fs::create_dir(etc.join(&new)).unwrap();
        std::fs::write(etc.join(&new).join("costband.yaml"), text).unwrap();
        symlink(&new, etc.join("..data_tmp")).unwrap();
        std::fs::rename(etc.join("..data_tmp"), etc.join("..data")).unwrap();
        match before {
            Some(before) => std::fs::remove_dir_all(etc.join(before)).unwrap(),
            None => symlink("..data/costband.yaml", etc.join("costband.yaml")).unwrap(),
        }
    }

    fn mount(&mut self) {
        self.mount_text(&self.configuration.to_string());
    }

    async fn run(&mut self) -> (Program, String) {
        self.mount();
        let mut program = Program::start(&["run", "-c", path(&self.etc().join("costband.yaml"))]);
        let address = program.address();
        (program, address)
    }

    /// Starts, and waits until every source was read.
    async fn read(&mut self) -> (Program, String) {
        let (program, address) = self.run().await;
        page_when(&format!("http://{address}/metrics"), all_up).await;
        (program, address)
    }

    fn asked(&self) -> [u64; 4] {
        let Options { aws, gcp, azure } = &self.clouds.options;
        [
            aws.requests.paid(),
            gcp.requests.count("jobs.query"),
            gcp.requests.bytes_billed(),
            azure.requests.count("Query"),
        ]
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn all_up(page: &str) -> bool {
    Provider::ALL.iter().all(|p| {
        page.contains(&format!("costband_source_up{{source=\"{p}-main\",provider=\"{p}\"}} 1\n"))
    })
}

fn one(page: &str, name: &str) -> String {
    value(page, name, &[]).unwrap_or_else(|| panic!("no {name}:\n{page}"))
}

fn polls(page: &str) -> Vec<&str> {
    page.lines().filter(|line| line.starts_with("costband_source_polls_total{")).collect()
}

async fn get(url: &str) -> String {
    page_when(url, |page| !page.is_empty()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mounted_file_that_is_swapped_is_taken_and_no_cloud_is_asked_again() {
    let mut house = House::new().await;
    let (mut program, address) = house.read().await;
    let url = format!("http://{address}/metrics");
    let (before, asked) = (get(&url).await, house.asked());
    assert_eq!(one(&before, "costband_config_last_reload_successful"), "1");

    let first = &house.configuration["bands"][0];
    house.configuration["bands"] = json!([first, {"preset": "gcp", "name": "new-band"}]);
    house.configuration["log"]["filter"] = json!("error");
    house.mount();
    let taken = "costband_config_last_reload_success_timestamp_seconds";
    let after = page_when(&url, |page| {
        page.contains("band=\"new-band\"") && one(page, taken) != one(&before, taken)
    })
    .await;
    assert_eq!(one(&after, "costband_config_last_reload_successful"), "1");

    // The same process, and what it has counted.
    assert_eq!(
        one(&after, "process_start_time_seconds"),
        one(&before, "process_start_time_seconds")
    );
    assert_eq!(polls(&after), polls(&before));
    assert_eq!(polls(&after).len(), 3, "{after}");
    assert_eq!(house.asked(), asked, "a cloud was asked again");

    // A source that is gone takes its series with it.
    house.configuration["log"]["filter"] = json!("info");
    house.configuration["sources"].as_object_mut().unwrap().remove("azure");
    house.mount();
    program.line(RELOADED);
    let without = page_when(&url, |page| !page.contains("azure-main")).await;
    assert_eq!(polls(&without), [polls(&after)[0], polls(&after)[2]]);
    assert_eq!(house.asked(), asked, "a cloud was asked again");
    assert_eq!(program.terminate(), Some(0));
    assert_eq!(program.count(RELOADED), 1, "the log's filter of before held on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_not_valid_is_told_once_and_the_one_of_before_runs_on() {
    let mut house = House::new().await;
    let (mut program, address) = house.read().await;
    let url = format!("http://{address}/metrics");
    let taken = |page: &str| one(page, "costband_config_last_reload_successful") == "1";
    let asked = house.asked();

    let mut broken = house.configuration.clone();
    broken["bands"][0]["ceiling"] = json!("-3 USD");
    broken["sources"]["aws"][0]["pole_every"] = json!("8h");
    house.mount_text(&broken.to_string());
    let told = program.line(REFUSED);
    assert!(told.contains("\"level\":\"ERROR\""), "{told}");
    assert!(told.contains("`bands[0]") && told.contains("sources.aws[0].pole_every"), "{told}");
    let page = page_when(&url, |page| !taken(page)).await;
    assert!(page.contains("costband_band_ceiling{band=\"aws\"") && all_up(&page), "{page}");

    // What it runs is what it ran, and that is mended by the same text.
    house.mount();
    page_when(&url, taken).await;
    program.line("the configuration file holds what runs again");
    assert_eq!(program.count(REFUSED), 1);

    // A file that is away is no configuration either.
    std::fs::rename(house.etc().join("costband.yaml"), house.etc().join("away")).unwrap();
    let told = program.line(REFUSED);
    assert!(told.contains("failed to read"), "{told}");
    std::fs::rename(house.etc().join("away"), house.etc().join("costband.yaml")).unwrap();
    page_when(&url, taken).await;

    // Nor is one whose ledger or address cannot be had.
    let elsewhere = house.folder.path().join("nowhere").join("costband.db");
    std::fs::write(house.folder.path().join("nowhere"), "no folder").unwrap();
    let mut unusable = house.configuration.clone();
    unusable["store"]["path"] = json!(elsewhere);
    house.mount_text(&unusable.to_string());
    let told = program.line(REFUSED);
    assert!(told.contains("`store.path`"), "{told}");
    page_when(&url, |page| !taken(page) && all_up(page)).await;
    let mut unusable = house.configuration.clone();
    unusable["listen"] = json!(house.clouds.aws.url.strip_prefix("http://").unwrap());
    house.mount_text(&unusable.to_string());
    let told = program.line(REFUSED);
    assert!(told.contains("`listen`"), "{told}");
    assert_eq!(house.asked(), asked, "a cloud was asked again");
    assert_eq!(program.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_connects_while_it_reloads_is_answered() {
    let mut house = House::new().await;
    let (mut program, address) = house.read().await;
    page_when(&format!("http://{address}/readyz"), |page| page == "ready\n").await;
    let over = Arc::new(AtomicBool::new(false));
    let asking = ["/healthz", "/readyz", "/metrics", "/api/v1/bands", "/"].map(|path| {
        let (url, over) = (format!("http://{address}{path}"), over.clone());
        tokio::spawn(async move {
            let mut answers = 0;
            while !over.load(Ordering::SeqCst) {
                // A connection for each question.
                let client = reqwest::Client::builder().no_proxy().build().unwrap();
                let answer = client.get(&url).send().await.unwrap_or_else(|e| panic!("{url}: {e}"));
                assert_eq!(answer.status(), 200, "{url}");
                assert!(!answer.text().await.unwrap().is_empty(), "{url}");
                answers += 1;
            }
            answers
        })
    });
    for _ in 0..5 {
        program.signal("-HUP");
        program.line(RELOADED);
    }
    over.store(true, Ordering::SeqCst);
    for asking in asking {
        assert!(asking.await.unwrap() > 0);
    }
    assert_eq!(program.terminate(), Some(0));
}

/// A cloud that answers nobody until it is opened.
async fn gated(house: &mut House) -> (watch::Sender<bool>, watch::Receiver<usize>) {
    let (open, opened) = watch::channel(false);
    let (arrived, arrivals) = watch::channel(0);
    let gate = move |request: Request, next: Next| {
        let (mut opened, arrived) = (opened.clone(), arrived.clone());
        async move {
            arrived.send_modify(|count| *count += 1);
            opened.wait_for(|open| *open).await.unwrap();
            next.run(request).await
        }
    };
    let faults = Arc::new(Faults::default());
    let options = house.clouds.options.aws.clone();
    let router = aws::router(house.world.clone(), faults.clone(), options).layer(from_fn(gate));
    house.clouds.aws = Server::start(router, faults).await;
    let entry = house.clouds.entry(Provider::Aws, house.folder.path());
    house.configuration["sources"]["aws"] = json!([entry]);
    (open, arrivals)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_that_is_under_way_ends_and_is_not_made_again() {
    let paid_for_one_poll = {
        let mut house = House::new().await;
        let _program = house.read().await;
        house.asked()[0]
    };
    let mut house = House::new().await;
    let (open, mut arrivals) = gated(&mut house).await;
    let (mut program, address) = house.run().await;
    arrivals.wait_for(|count| *count == 1).await.unwrap();
    for band in ["one", "two"] {
        house.configuration["bands"] = json!([{"preset": "aws", "name": band}]);
        house.mount();
        program.line(RELOADED);
    }
    assert_eq!(*arrivals.borrow(), 1, "another poll began beside the one of before");
    open.send_replace(true);
    let url = format!("http://{address}/metrics");
    let page =
        page_when(&url, |page| all_up(page) && page.contains("costband_band_ceiling{band=\"two\""))
            .await;
    assert_eq!(house.asked()[0], paid_for_one_poll, "the poll was made again");
    assert!(
        page.contains("costband_source_polls_total{outcome=\"success\",source=\"aws-main\"} 1")
    );
    assert_eq!(program.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_what_earlier_configurations_left() {
    let mut house = House::new().await;
    let (_closed, mut arrivals) = gated(&mut house).await;
    let (mut program, _) = house.run().await;
    arrivals.wait_for(|count| *count == 1).await.unwrap();
    program.signal("-HUP");
    program.line(RELOADED);
    assert_eq!(program.terminate(), Some(0));
    // The poll was dropped: one that is waited for ends as a failure in the ledger.
    let ledger = Ledger::open(house.folder.path().join("costband.db")).unwrap();
    assert_eq!(ledger.schedule(&id(Provider::Aws)).unwrap().last_error, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn address_ledger_and_token_may_be_others() {
    let mut house = House::new().await;
    let (mut program, before) = house.read().await;
    let elsewhere = house.folder.path().join("elsewhere.db");
    let token = house.folder.path().join("token");
    std::fs::write(&token, "open-sesame").unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    house.configuration["listen"] = json!(free.to_string());
    house.configuration["store"]["path"] = json!(elsewhere);
    house.configuration["web"] = json!({"bearer_token": {"file": token}});
    house.mount();
    program.line(RELOADED);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{free}/metrics");
    assert_eq!(client.get(&url).send().await.unwrap().status(), 401);
    let answer = client.get(&url).bearer_auth("open-sesame").send().await.unwrap();
    let page = answer.text().await.unwrap();
    assert_eq!(one(&page, "costband_config_last_reload_successful"), "1");
    assert!(elsewhere.exists());
    let refused = client.get(format!("http://{before}/healthz")).send().await;
    assert!(refused.is_err(), "the address of before is answered still");
    // The ledger of before is closed: another agent may have it.
    Ledger::open(house.folder.path().join("costband.db")).unwrap();
    assert_eq!(program.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_it_reloads_loses_nothing() {
    let mut house = House::new().await;
    let (mut program, _) = house.read().await;
    let asked = house.asked();
    for kill in 0..5 {
        house.configuration["bands"] = json!([{"preset": "aws", "name": format!("band-{kill}")}]);
        house.mount();
        program.signal("-HUP");
        if kill % 2 == 0 {
            program.line("source planned");
        }
        program.kill();
        let address;
        (program, address) = house.run().await;
        page_when(&format!("http://{address}/metrics"), all_up).await;
    }
    assert_eq!(program.terminate(), Some(0));
    assert_eq!(house.asked(), asked, "a cloud was asked again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_from_a_pipe_is_read_once() {
    let house = House::new().await;
    let text = house.configuration.to_string();
    let mut program = Program::with_input(&["run", "-c", "/dev/stdin"], &text);
    program.line("the configuration is no file and is not watched");
    assert_eq!(program.terminate(), Some(0));
}
