//! One contract for every kind of source: what a good, a paged and an empty answer become, and
//! that no fault, at whichever answer of a poll it strikes, touches what is known.

use std::sync::Arc;
use std::time::Duration;

use costband::collect::poller::Poller;
use costband::domain::breakdown::BreakdownRole;
use costband::domain::identity::Provider;
use costband::domain::ports::Clock;
use costband::domain::report::SourceErrorKind as Kind;
use costband::simulate::aws::AwsOptions;
use costband::simulate::azure::AzureOptions;
use costband::simulate::faults::Fault;
use costband::simulate::gcp::GcpOptions;
use jiff::SignedDuration;
use serde_json::json;

use super::harness::{Bench, Options, WrittenWorld, around, at, billed_figures, fleet};
use super::truth::assert_true;
use crate::clock::SetClock;

/// Shortly before a month's end, so that a suite of two weeks passes over it.
const BEGIN: &str = "2026-10-20T12:30:00Z";
/// Longer than any wait that the agent would choose by itself.
const ASKED_WAIT: Duration = Duration::from_secs(2 * 3600);

/// A fault, and the kind of error that it is for AWS, Google Cloud and Azure.
struct Case {
    fault: Fault,
    kinds: [&'static [Kind]; 3],
}

fn cases() -> Vec<Case> {
    let same = |fault, kinds| Case { fault, kinds: [kinds; 3] };
    vec![
        same(Fault::Unauthorized, &[Kind::Auth]),
        same(Fault::Forbidden, &[Kind::Forbidden]),
        same(Fault::RateLimited { retry_after: ASKED_WAIT }, &[Kind::RateLimited]),
        same(Fault::ServerError, &[Kind::Unavailable]),
        same(Fault::Truncated, BROKEN),
        same(Fault::Slow(Duration::from_secs(3600)), &[Kind::Timeout]),
        same(Fault::Malformed, &[Kind::Malformed]),
        same(Fault::WrongTotal, &[Kind::Malformed]),
        same(Fault::SkewedClock, &[Kind::Auth]),
        same(Fault::ResetMidPage, BROKEN),
    ]
}

/// A connection that breaks in a body looks like a bad answer to some clients.
const BROKEN: &[Kind] = &[Kind::Malformed, Kind::Unavailable];

fn index(provider: Provider) -> usize {
    Provider::ALL.iter().position(|other| *other == provider).unwrap()
}

fn small_pages() -> Options {
    let wide = Options::default();
    Options {
        aws: AwsOptions { page_size: 37, ..wide.aws },
        gcp: GcpOptions { rows_per_page: 29, ..wide.gcp },
        azure: AzureOptions { page_size: 31, largest_page: 31, ..wide.azure },
    }
}

async fn assert_figures_are_true(bench: &Bench, provider: Provider, world: &WrittenWorld) {
    let now = bench.clock.now();
    let spend = bench.spend(provider).await.unwrap_or_else(|| panic!("{provider} has no figure"));
    assert_true(&spend, world, now);
}

async fn world_and_bench(provider: Provider, options: Options) -> (Arc<WrittenWorld>, Bench) {
    let clock = SetClock::at(BEGIN);
    let charges = fleet(around(at(BEGIN)), 1);
    let world = WrittenWorld::new(clock.clone(), charges);
    let bench = Bench::start(&[provider], world.clone(), clock, options, json!([])).await;
    (world, bench)
}

#[tokio::test]
async fn a_good_poll_is_the_truth_to_the_last_decimal() {
    for provider in Provider::ALL {
        let (world, bench) = world_and_bench(provider, Options::default()).await;
        bench.poll_well(provider).await;
        assert_figures_are_true(&bench, provider, &world).await;
        let status = bench.status(provider).await;
        assert_eq!((status.up, &status.last_error), (Some(true), &None), "{provider}");
        assert!(status.next_poll.unwrap() > bench.clock.now(), "{provider}");
        // New days, an old day that moved, another month: a second poll is as true.
        bench.advance(24 * 13);
        bench.poll_well(provider).await;
        assert_figures_are_true(&bench, provider, &world).await;
    }
}

#[tokio::test]
async fn many_small_pages_tell_the_same_as_few_large_ones() {
    for provider in Provider::ALL {
        let (world, bench) = world_and_bench(provider, small_pages()).await;
        let (_, whole) = world_and_bench(provider, Options::default()).await;
        bench.poll_well(provider).await;
        whole.poll_well(provider).await;
        assert_figures_are_true(&bench, provider, &world).await;
        let asked = |bench: &Bench| match provider {
            Provider::Aws => bench.clouds.options.aws.requests.of("GetCostAndUsage"),
            Provider::Gcp => bench.clouds.options.gcp.requests.count("jobs.getQueryResults"),
            Provider::Azure => bench.clouds.options.azure.requests.count("Query"),
        };
        let (many, few) = (asked(&bench), asked(&whole));
        assert!(
            many >= few + 6,
            "{provider}: {many} requests for small pages, {few} for large ones"
        );
    }
}

#[tokio::test]
async fn a_bill_without_a_row_is_no_figure_and_never_zero() {
    for provider in Provider::ALL {
        let clock = SetClock::at(BEGIN);
        let world = WrittenWorld::new(clock.clone(), Vec::new());
        let options = Options::default();
        let bench = Bench::start(&[provider], world, clock, options, json!([])).await;
        let outcome = bench.poll(provider).await;
        match provider {
            // An export without a row is one that Google has not filled yet.
            Provider::Gcp => {
                let error = outcome.unwrap_err();
                assert_eq!(error.kind, Kind::NotReady, "{error}");
                assert!(error.hint.unwrap().contains("bq query"));
            }
            Provider::Aws | Provider::Azure => outcome.unwrap(),
        }
        let page = bench.page().await;
        assert_eq!(billed_figures(&page).next(), None, "{provider}: {page}");
        let up = if provider == Provider::Gcp { 0 } else { 1 };
        let line = format!(
            "costband_source_up{{source=\"{provider}-main\",provider=\"{provider}\"}} {up}\n"
        );
        assert!(page.contains(&line), "{provider}: {page}");
    }
}

#[tokio::test]
async fn aws_keeps_its_contract_under_every_fault() {
    keeps_its_contract(Provider::Aws).await;
}

#[tokio::test]
async fn google_keeps_its_contract_under_every_fault() {
    keeps_its_contract(Provider::Gcp).await;
}

#[tokio::test]
async fn azure_keeps_its_contract_under_every_fault() {
    keeps_its_contract(Provider::Azure).await;
}

async fn keeps_its_contract(provider: Provider) {
    let (world, bench) = world_and_bench(provider, small_pages()).await;
    bench.poll_well(provider).await;
    for case in cases() {
        // A day later there is something new to read.
        bench.advance(24);
        let what = format!("{provider} under {:?}", case.fault);
        let (rows, spend) = (bench.kept(provider).await, bench.spend(provider).await);
        let before = bench.status(provider).await;
        assert_eq!(before.up, Some(true), "{what}");

        bench.clouds.of(provider).faults.order(case.fault.clone(), 200);
        let poller = poller_for(&bench, provider, &case.fault);
        let error = poller.poll_once().await.expect_err(&what);
        bench.clouds.of(provider).faults.clear();
        assert!(case.kinds[index(provider)].contains(&error.kind), "{what} is {error:?}");
        assert!(
            !error.message.is_empty() && !error.to_string().contains("secret-access"),
            "{what}"
        );

        let after = bench.status(provider).await;
        assert_eq!(after.up, Some(false), "{what}");
        assert_eq!(after.last_success, before.last_success, "{what}");
        assert_eq!(after.last_error.as_ref().map(|(kind, _)| *kind), Some(error.kind), "{what}");
        assert_eq!(bench.kept(provider).await, rows, "{what}: the ledger changed");
        assert_eq!(bench.spend(provider).await, spend, "{what}: the figures changed");
        let page = bench.page().await;
        let up =
            format!("costband_source_up{{source=\"{provider}-main\",provider=\"{provider}\"}}");
        assert!(page.contains(&format!("{up} 0\n")), "{what}: {page}");
        let wait = after.next_poll.unwrap().duration_since(bench.clock.now());
        assert!(wait > SignedDuration::from_secs(30), "{what}: the next poll is in {wait}");
        // Cost Explorer tells no wait with its throttle; the other two are waited for.
        if matches!(case.fault, Fault::RateLimited { .. }) && provider != Provider::Aws {
            assert_eq!(error.retry_after, Some(ASKED_WAIT), "{what}");
            assert!(wait > SignedDuration::from_secs(2 * 3600 - 60), "{what}: only {wait}");
        }

        bench.poll_well(provider).await;
        let well = bench.status(provider).await;
        assert_eq!((well.up, &well.last_error), (Some(true), &None), "{what}");
        assert!(well.last_success > before.last_success, "{what}");
        assert!(bench.page().await.contains(&format!("{up} 1\n")), "{what}");
        assert_eq!(bench.schedule(provider).await.failures, 0, "{what}");
        assert_figures_are_true(&bench, provider, &world).await;
        assert_ne!(bench.kept(provider).await, rows, "{what}: the day brought nothing new");
    }
}

/// The provider's poller; with a short deadline for an answer that never comes.
fn poller_for(bench: &Bench, provider: Provider, fault: &Fault) -> Poller {
    match fault {
        Fault::Slow(_) => bench.poller_with(provider, |entry| entry["deadline"] = json!("400ms")),
        _ => bench.poller(provider).clone(),
    }
}

/// How many answers a poll gets, at most.
const MOST_ANSWERS: usize = 80;

#[tokio::test]
async fn a_fault_at_any_answer_of_a_poll_leaves_nothing_half_written() {
    for provider in Provider::ALL {
        let (world, bench) = world_and_bench(provider, Options::default()).await;
        bench.poll_well(provider).await;
        bench.advance(24);
        let rows = bench.kept(provider).await;
        let faults = &bench.clouds.of(provider).faults;
        let mut failed = 0;
        for answer in 0..MOST_ANSWERS {
            faults.clear();
            faults.spare(answer);
            faults.order(Fault::Malformed, 1);
            let outcome = bench.poll(provider).await;
            if outcome.is_ok() {
                break;
            }
            failed += 1;
            assert_eq!(bench.kept(provider).await, rows, "{provider} at answer {answer}");
        }
        faults.clear();
        assert!((4..MOST_ANSWERS).contains(&failed), "{provider}: {failed} answers could fail");
        assert_figures_are_true(&bench, provider, &world).await;
        bench.poll_well(provider).await;
        assert_figures_are_true(&bench, provider, &world).await;
    }
}

#[tokio::test]
async fn failures_in_a_row_are_waited_longer_for_and_a_success_begins_anew() {
    let provider = Provider::Azure;
    let (_, bench) = world_and_bench(provider, Options::default()).await;
    bench.clouds.azure.faults.order(Fault::ServerError, 1000);
    let mut waits = Vec::new();
    for _ in 0..9 {
        bench.poll(provider).await.unwrap_err();
        let next = bench.schedule(provider).await.next_poll.unwrap();
        waits.push(next.duration_since(bench.clock.now()).as_secs());
    }
    // 60 s, doubled up to an hour, each up to a tenth longer.
    let least = [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600];
    for (wait, least) in waits.iter().zip(least) {
        assert!((least - 5..=least * 11 / 10 + 1).contains(wait), "{waits:?}");
    }
    bench.clouds.azure.faults.clear();
    bench.poll_well(provider).await;
    bench.clouds.azure.faults.order(Fault::ServerError, 1000);
    bench.poll(provider).await.unwrap_err();
    let next = bench.schedule(provider).await.next_poll.unwrap();
    assert!(next.duration_since(bench.clock.now()) < SignedDuration::from_secs(70));
}

#[test]
fn every_kind_of_source_has_one_primary_and_is_in_this_suite() {
    let kinds: Vec<&str> = costband::collect::SOURCES.iter().map(|kind| kind.name).collect();
    assert_eq!(kinds, Provider::ALL.map(Provider::as_str));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bench = Bench::fleet(&Provider::ALL, BEGIN, Options::default()).await;
        for source in &bench.setup.sources {
            let held = &source.descriptor().breakdowns;
            let primaries = held.iter().filter(|b| b.role == BreakdownRole::Primary).count();
            assert_eq!(primaries, 1, "{}", source.descriptor().id);
            assert!(held.iter().filter(|b| b.role == BreakdownRole::Categories).count() <= 1);
        }
    });
}
