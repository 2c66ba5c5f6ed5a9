//! What holds a source back, and for how long: failures do not eat a monthly cap, a raised cap is
//! noticed soon, and so is a provider that asked for too long a wait.

use std::time::Duration;

use costband::app::polling::Polling;
use costband::app::setup::Setup;
use costband::app::spend::SpendReader;
use costband::domain::identity::Provider;
use costband::domain::money::Money;
use costband::domain::ports::Clock;
use costband::domain::report::SourceErrorKind;
use costband::simulate::faults::Fault;
use costband::store::Ledger;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde_json::json;

use super::harness::{Bench, Options, at, id};
use crate::faces::peers::until;

const AWS: Provider = Provider::Aws;
/// The cadence of Amazon's bill where none is configured.
const CADENCE: SignedDuration = SignedDuration::from_hours(8);

/// Ends the polling and starts it again over the same ledger, with a cap.
async fn restart(bench: &mut Bench, cap: &str) {
    bench.polling.handle.close().await.unwrap();
    let mut configuration = bench.clouds.configuration(&[AWS], bench.folder.path(), json!([]));
    configuration["sources"]["aws"][0]["monthly_cap"] = cap.into();
    let text = configuration.to_string();
    bench.setup = Setup::from_text(&text, std::iter::empty()).unwrap_or_else(|p| panic!("{p}"));
    let ledger = Ledger::open(&bench.setup.ledger).unwrap();
    bench.polling = Polling::new(&bench.setup, ledger, bench.clock.clone()).unwrap();
    bench.reader = SpendReader::new(&bench.setup);
}

/// What Amazon counted, a cent each.
fn billed(bench: &Bench) -> Decimal {
    let requests = bench.clouds.options.aws.requests.paid();
    Decimal::new(i64::try_from(requests).unwrap(), 2)
}

/// What the ledger reserved in the present month.
async fn reserved(bench: &Bench) -> Vec<Money> {
    let (source, now) = (id(AWS), bench.clock.now());
    bench.polling.handle.call(move |ledger| ledger.spent(&source, now)).await.unwrap().unwrap()
}

/// How far the next poll is.
async fn wait(bench: &Bench, provider: Provider) -> SignedDuration {
    let next = bench.schedule(provider).await.next_poll.unwrap();
    next.duration_since(bench.clock.now())
}

/// Sets the clock to the next poll.
async fn advance(bench: &Bench, provider: Provider) {
    let wait = wait(bench, provider).await;
    bench.clock.advance(wait + SignedDuration::from_secs(1));
}

#[tokio::test]
async fn a_month_of_failures_stays_under_the_cap_and_is_asked_to_its_end() {
    let mut bench = Bench::fleet(&[AWS], "2026-11-01T00:00:30Z", Options::default()).await;
    restart(&mut bench, "1 USD").await;
    bench.clouds.aws.faults.order(Fault::Forbidden, 100_000);
    let end = at("2026-12-01T00:00:00Z");
    let (mut asked, mut polls) = (Vec::<Timestamp>::new(), 0);
    while bench.clock.now() < end {
        let (before, now) = (billed(&bench), bench.clock.now());
        bench.poll(AWS).await.unwrap_err();
        if billed(&bench) > before {
            asked.push(now);
        }
        polls += 1;
        let spent = reserved(&bench).await;
        assert_eq!(spent.iter().map(|money| money.amount).sum::<Decimal>(), billed(&bench));
        assert!(billed(&bench) <= Decimal::ONE, "{spent:?} at {now}");
        let wait = wait(&bench, AWS).await;
        assert!(wait <= SignedDuration::from_hours(27), "{wait} after {now}");
        advance(&bench, AWS).await;
    }
    println!("{polls} polls, {} USD", billed(&bench));
    assert!(asked.len() > 60, "only {} of {polls} polls were sent", asked.len());
    let last = asked.last().unwrap();
    assert!(*last > at("2026-11-30T00:00:00Z"), "nothing was sent after {last}");
}

#[tokio::test]
async fn a_cap_that_was_reached_and_is_raised_is_noticed_within_the_cadence() {
    let mut bench = Bench::fleet(&[AWS], "2026-11-11T12:30:00Z", Options::default()).await;
    bench.poll_well(AWS).await;
    let paid = billed(&bench);
    // All of this cap is spent.
    restart(&mut bench, &format!("{paid} USD")).await;
    advance(&bench, AWS).await;
    for look in 1..=5 {
        let error = bench.poll(AWS).await.unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::RateLimited, "{error}");
        assert!(error.retry_after.unwrap() > Duration::from_secs(14 * 86_400), "{error:?}");
        assert_eq!(billed(&bench), paid, "look {look} was sent");
        let wait = wait(&bench, AWS).await;
        assert!(wait > SignedDuration::ZERO && wait <= CADENCE, "look {look}: {wait}");
        advance(&bench, AWS).await;
    }
    bench.poll(AWS).await.unwrap_err();
    let due = bench.schedule(AWS).await.next_poll;
    restart(&mut bench, "30 USD").await;
    assert_eq!(bench.schedule(AWS).await.next_poll, due, "a restart moved the next look");
    bench.clock.advance(CADENCE + SignedDuration::from_secs(1));
    let looking = tokio::spawn(bench.poller(AWS).clone().run());
    until("a good reading", async || (bench.schedule(AWS).await.failures == 0).then_some(())).await;
    looking.abort();
    assert!(billed(&bench) > paid);
    assert_eq!(bench.status(AWS).await.up, Some(true));
    assert_eq!(reserved(&bench).await[0].amount, billed(&bench));
}

#[tokio::test]
async fn a_provider_that_asks_for_a_week_is_asked_again_within_the_cadence() {
    const WEEK: Duration = Duration::from_secs(7 * 86_400);
    let providers = [Provider::Gcp, Provider::Azure];
    let bench = Bench::fleet(&providers, "2026-11-11T12:30:00Z", Options::default()).await;
    for provider in providers {
        let faults = &bench.clouds.of(provider).faults;
        let cadence = bench.poller(provider).source.descriptor().poll_every;
        let cadence = SignedDuration::try_from(cadence).unwrap();
        for look in 1..=3 {
            faults.order(Fault::RateLimited { retry_after: WEEK }, 100);
            let error = bench.poll(provider).await.unwrap_err();
            faults.clear();
            assert_eq!(error.retry_after, Some(WEEK), "{provider}: {error}");
            let wait = wait(&bench, provider).await;
            let told = format!("{provider}, look {look}: {wait} of a cadence of {cadence}");
            // As long as it may be, since it was asked for.
            assert!(wait <= cadence && wait > cadence / 2, "{told}");
            advance(&bench, provider).await;
        }
        bench.poll_well(provider).await;
        assert_eq!(bench.status(provider).await.up, Some(true), "{provider}");
    }
}
