//! The real binary, started again and again: it pays for one poll, and no `kill -9` leaves half of
//! one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use costband::app::setup::Setup;
use costband::app::spend::SpendReader;
use costband::domain::identity::Provider;
use costband::domain::period::BillingPeriod;
use costband::domain::ports::Clock;
use costband::domain::spend::SourceSpend;
use costband::runtime::clock::SystemClock;
use costband::simulate::charge::Charge;
use costband::store::{Ledger, Location};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde_json::json;

use super::harness::{Clouds, Options, WrittenWorld, around, fleet};
use super::program::{Program, page_when};
use super::truth::{assert_true, spend_of};

/// Simulated clouds on the system's clock, and a configuration on disk that reads them.
struct House {
    world: Arc<WrittenWorld>,
    clouds: Clouds,
    folder: tempfile::TempDir,
}

impl House {
    async fn start() -> Self {
        let world = WrittenWorld::new(Arc::new(SystemClock), fleet(around(Timestamp::now()), 1));
        let clouds = Clouds::start(world.clone(), Options::default()).await;
        let folder = tempfile::tempdir().unwrap();
        let text = clouds.configuration(&Provider::ALL, folder.path(), json!([])).to_string();
        std::fs::write(folder.path().join("costband.yaml"), text).unwrap();
        Self { world, clouds, folder }
    }

    fn configuration(&self) -> PathBuf {
        self.folder.path().join("costband.yaml")
    }

    fn run(&self) -> Program {
        Program::start(&["run", "-c", self.configuration().to_str().unwrap()])
    }

    fn setup(&self) -> Setup {
        let text = std::fs::read_to_string(self.configuration()).unwrap();
        Setup::from_text(&text, std::iter::empty()).unwrap_or_else(|p| panic!("{p}"))
    }

    /// What each provider was asked so far, and what of it costs money.
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

fn all_up(page: &str) -> bool {
    Provider::ALL.iter().all(|p| {
        page.contains(&format!("costband_source_up{{source=\"{p}-main\",provider=\"{p}\"}} 1\n"))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_starts_in_a_row_pay_for_one_poll() {
    let house = House::start().await;
    let mut after_first = None;
    for start in 1..=10 {
        let mut program = house.run();
        let address = program.address();
        page_when(&format!("http://{address}/readyz"), |page| page.contains("ready")).await;
        page_when(&format!("http://{address}/metrics"), all_up).await;
        assert_eq!(program.terminate(), Some(0), "start {start}");
        let asked = house.asked();
        assert!(asked.iter().all(|count| *count > 0), "{asked:?}");
        assert_eq!(asked, *after_first.get_or_insert(asked), "start {start} asked again");
    }
    // What was paid is what the ledger says, after ten starts too.
    let ledger = Ledger::open(house.folder.path().join("costband.db")).unwrap();
    let source = super::harness::id(Provider::Aws);
    let paid = house.clouds.options.aws.requests.paid();
    let spent = ledger.spent(&source, Timestamp::now()).unwrap();
    assert_eq!(spent.len(), 1);
    assert_eq!(spent[0].amount, Decimal::new(i64::try_from(paid).unwrap(), 2));
    assert!((4..=20).contains(&paid), "one poll is {paid} requests");
}

const KILLS: u32 = 20;

/// One step of a linear congruential generator, as a share of one.
fn random(seed: &mut u64) -> f64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    f64::from(u32::try_from(*seed >> 32).unwrap()) / f64::from(u32::MAX)
}

/// Writes the open month anew, every charge multiplied and newly told. An older month is final and
/// is not read again.
fn retell(house: &House, scale: u32) {
    // An export's timestamps have microseconds.
    let now = Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap();
    let is_open = |charge: &Charge| {
        let zone = charge.provider.billing_zone();
        let first = BillingPeriod::at(now, zone).first_day();
        (first..=zone.day_of(now)).contains(&charge.day)
    };
    let mut charges = fleet(around(now), 1);
    charges.retain(|charge| !is_open(charge));
    let mut newly = fleet(around(now), scale);
    newly.retain(is_open);
    for charge in &mut newly {
        charge.published_at = now;
    }
    charges.extend(newly);
    house.world.rewrite(charges);
}

/// What the ledger of a stopped agent says; makes every source due again.
fn look(house: &House) -> Vec<Option<SourceSpend>> {
    let setup = house.setup();
    let mut ledger = Ledger::open(&setup.ledger).unwrap();
    let reading = SpendReader::new(&setup).read(&ledger, SystemClock.now()).unwrap();
    let due = SystemClock.now() - SignedDuration::from_secs(1);
    for source in &setup.sources {
        ledger.reschedule(&source.descriptor().id, due).unwrap();
    }
    assert_whole(&setup.ledger);
    reading.spend
}

fn assert_whole(ledger: &Location) {
    let Location::File(path) = ledger else { panic!("{ledger} is no file") };
    let connection = rusqlite::Connection::open(path).unwrap();
    let told: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(told, "ok");
}

/// Which telling of the world a source's figures are: every one of them the same.
fn telling_of(spend: &SourceSpend, house: &House, newest: u32) -> u32 {
    let provider = spend.provider;
    let told = &spend.periods[0];
    let total = told.totals.values().next().unwrap().billed.unwrap();
    for scale in (1..=newest).rev() {
        retell(house, scale);
        let now = Timestamp::now();
        let truth = spend_of(&*house.world, provider, told.period, now, |_| true).billed;
        if truth == total {
            assert_true(spend, &*house.world, now);
            return scale;
        }
    }
    panic!("{provider} tells {total}, which was never true");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_in_the_middle_of_a_poll_leaves_half_of_it() {
    let house = House::start().await;
    retell(&house, 1);
    let mut seed = 20_261_123;
    // How long a start with a whole poll takes here.
    let began = Instant::now();
    let mut program = house.run();
    let address = program.address();
    let listening = began.elapsed();
    page_when(&format!("http://{address}/metrics"), all_up).await;
    let whole = began.elapsed();
    program.kill();
    assert!(look(&house).iter().all(Option::is_some));
    let (mut kept, mut lost) = (0, 0);
    for kill in 1..=KILLS {
        let newest = kill + 1;
        retell(&house, newest);
        let mut program = house.run();
        let _ = program.address();
        let rest = whole.saturating_sub(listening);
        tokio::time::sleep(rest.mul_f64(random(&mut seed)).min(Duration::from_secs(2))).await;
        program.kill();
        for spend in look(&house).iter().map(|spend| spend.as_ref().unwrap()) {
            if telling_of(spend, &house, newest) == newest { kept += 1 } else { lost += 1 }
        }
    }
    println!("{KILLS} kills: {kept} polls were kept whole, {lost} not at all");
    assert!(kept > 0 && lost > 0, "the kills fell beside the polls: {kept} kept, {lost} lost");
    // Whatever was killed, the next run is as if nothing had been.
    retell(&house, KILLS + 2);
    let mut program = house.run();
    let address = program.address();
    page_when(&format!("http://{address}/metrics"), |page| {
        let polled = |line: &&str| {
            line.starts_with("costband_source_polls_total{")
                && line.contains("outcome=\"success\"")
                && line.ends_with(" 1")
        };
        all_up(page) && page.lines().filter(polled).count() == 3
    })
    .await;
    assert_eq!(program.terminate(), Some(0));
    for spend in look(&house).iter().map(|spend| spend.as_ref().unwrap()) {
        assert_eq!(telling_of(spend, &house, KILLS + 2), KILLS + 2, "{}", spend.source);
    }
}
