//! Bad input is a named error, and nothing that was known is lost: a faulty configuration, an
//! identity that is another one's, a token that expired, a table or a column that is not there.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use costband::domain::band::{BandStatus, BandView, PeriodLabel};
use costband::domain::identity::Provider;
use costband::domain::ports::Clock;
use costband::domain::report::{SourceError, SourceErrorKind as Kind};
use costband::simulate::faults::{Fault, Faults};
use costband::simulate::gcp::GcpOptions;
use costband::simulate::{azure, gcp};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::harness::{Bench, Options, Server, WrittenWorld, around, at, billed_figures, fleet};
use super::program::output;
use super::truth::{periods, spend_of};
use crate::clock::SetClock;

const NOW: &str = "2026-11-11T12:30:00Z";

const TEN_FAULTS: &str = r#"listen: localhost
languge: ko
store:
  retention: 30
sources:
  aws:
    - name: main
      account: 123456789012
      credentials:
        static: {access_key_id: AKIAIOSFODNN7EXAMPLE, secret_access_key: hunter2}
  azure:
    - name: azure
      scope: /subscriptions/0a7c2e58-91f4-4d36-8b0e-5d1f6a2c3b01
      monthly_cap: 30
gpu:
  - name: main
    url: ftp://node:9400/metrics
bands:
  - name: training
    provider: gpc
    floor: 45000
    ceiling: 40000
"#;

const TEN_LINES: &str = "\
`bands[0].ceiling`: 40000 is below the floor 45000
`bands[0].provider`: `gpc` is not one of `aws`, `gcp`, `azure`: did you mean `gcp`?
`gpu[0].name`: `main` is already the name at `sources.aws[0].name`
`gpu[0].url`: is not an address: want one that begins with `http://` or `https://`
`languge`: is not a known key: did you mean `language`?
`listen`: `localhost` is not an address and a port: want such as `127.0.0.1:9750` or `[::]:9750`
`sources.aws[0].account`: want text, found the number `123456789012`; put it in quotes
`sources.aws[0].credentials.static.secret_access_key`: a secret is never written in the configuration: want `file: PATH` or `env: VARIABLE`
`sources.azure[0].monthly_cap`: `30` is not an amount: want a number and a currency such as `30 USD`
`store.retention`: `30` is not a span of time: want a whole number with a unit, such as `30s`, `15m`, `8h` or `2d`
";

#[test]
fn ten_faults_print_ten_lines_with_their_paths_and_exit_64() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.yaml"), TEN_FAULTS).unwrap();
    for command in ["check", "run", "report"] {
        let ended = output(&[command, "-c", "bad.yaml"], folder.path());
        let told = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(told, TEN_LINES, "{command}");
        assert_eq!(told.lines().count(), 10);
        assert!(!told.contains("hunter2"));
        assert_eq!(ended.status.code(), Some(64), "{command}");
        assert!(ended.stdout.is_empty(), "{command}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing is made before the configuration is valid: {left:?}");
}

/// A poll that fails must leave everything as it was, with its age; a good one mends it.
async fn fails_and_keeps(
    bench: &Bench,
    provider: Provider,
    poller: &costband::collect::poller::Poller,
) -> SourceError {
    let (rows, spend) = (bench.kept(provider).await, bench.spend(provider).await);
    let before = bench.status(provider).await;
    let error = poller.poll_once().await.unwrap_err();
    let after = bench.status(provider).await;
    assert_eq!(bench.kept(provider).await, rows, "{error}");
    assert_eq!(bench.spend(provider).await, spend, "{error}");
    assert!(spend.is_some_and(|spend| !spend.periods.is_empty()), "{error}");
    assert_eq!((after.up, after.last_success), (Some(false), before.last_success), "{error}");
    assert_eq!(after.last_error, Some((error.kind, error.to_string())));
    let page = bench.page().await;
    let labels = format!("{{source=\"{provider}-main\",provider=\"{provider}\"}}");
    assert!(page.contains(&format!("costband_source_up{labels} 0\n")), "{page}");
    let age = before.last_success.unwrap().as_second();
    let age = format!("costband_source_last_success_timestamp_seconds{labels} {age}\n");
    assert!(page.contains(&age), "{page}");
    bench.poll_well(provider).await;
    assert_eq!(bench.status(provider).await.up, Some(true));
    error
}

async fn read_bench(provider: Provider) -> Bench {
    let bench = Bench::fleet(&[provider], NOW, Options::default()).await;
    bench.poll_well(provider).await;
    bench.advance(26);
    bench
}

#[tokio::test]
async fn an_identity_of_another_account_is_refused_before_any_paid_request() {
    let bench = read_bench(Provider::Aws).await;
    let paid = bench.clouds.options.aws.requests.paid();
    let other = bench.poller_with(Provider::Aws, |entry| entry["account"] = json!("999988887777"));
    let rows = bench.kept(Provider::Aws).await;
    let error = other.poll_once().await.unwrap_err();
    assert_eq!(error.kind, Kind::Auth);
    for words in ["111122223333", "999988887777"] {
        assert!(error.message.contains(words), "{error}");
    }
    assert_eq!(bench.clouds.options.aws.requests.paid(), paid, "it was asked for money's worth");
    assert_eq!(bench.kept(Provider::Aws).await, rows);
    fails_and_keeps(&bench, Provider::Aws, &other).await;

    // Google: the export in the named table is another billing account's.
    let bench = read_bench(Provider::Gcp).await;
    let table = bench.clouds.options.gcp.standard_table();
    let table = table.rsplit('.').next().unwrap().to_owned();
    let other = bench.poller_with(Provider::Gcp, |entry| {
        entry["billing_account"] = json!("0A0A0A-0B0B0B-0C0C0C");
        entry["table"] = json!(table);
    });
    let error = fails_and_keeps(&bench, Provider::Gcp, &other).await;
    assert_eq!(error.kind, Kind::Auth, "{error}");
    assert!(error.message.contains("012345-6789AB-CDEF01"), "{error}");
}

#[tokio::test]
async fn a_bill_that_is_empty_all_at_once_does_not_wipe_what_was_read() {
    for provider in [Provider::Aws, Provider::Azure] {
        let bench = read_bench(provider).await;
        let (rows, spend) = (bench.kept(provider).await, bench.spend(provider).await);
        bench.clouds.of(provider).faults.order(Fault::Empty, 1_000);
        let error = bench.poll(provider).await.unwrap_err();
        assert_eq!(error.kind, Kind::Malformed, "{error}");
        assert!(error.message.contains("no cost at all"), "{error}");
        assert_eq!(bench.kept(provider).await, rows);
        assert_eq!(bench.spend(provider).await, spend);
        bench.clouds.of(provider).faults.clear();
        bench.poll_well(provider).await;
    }
}

#[tokio::test]
async fn an_expired_token_is_an_auth_error_and_keeps_the_figures() {
    for provider in Provider::ALL {
        let bench = read_bench(provider).await;
        let world = WrittenWorld::new(bench.clock.clone(), fleet(around(at(NOW)), 1));
        let faults = Arc::new(Faults::default());
        let strict = match provider {
            Provider::Aws => None,
            Provider::Gcp => {
                let token = Some("a-token-that-nobody-has".to_owned());
                let options = GcpOptions { bearer_token: token, ..GcpOptions::default() };
                Some(gcp::router(world, faults.clone(), options))
            }
            Provider::Azure => {
                let options = azure::AzureOptions {
                    token_lifetime: Duration::ZERO,
                    ..Options::default().azure
                };
                Some(azure::router(world, faults.clone(), options))
            }
        };
        let poller;
        let server;
        match strict {
            None => {
                bench.clouds.aws.faults.order(Fault::Unauthorized, 1);
                poller = bench.poller(provider).clone();
            }
            Some(router) => {
                server = Server::start(router, faults).await;
                poller = bench.poller_with(provider, |entry| {
                    for (_, url) in entry["endpoints"].as_object_mut().unwrap() {
                        *url = json!(server.url);
                    }
                });
            }
        }
        let error = fails_and_keeps(&bench, provider, &poller).await;
        assert_eq!(error.kind, Kind::Auth, "{provider}: {error}");
        assert!(error.hint.is_some(), "{provider}: {error}");
    }
}

#[tokio::test]
async fn a_table_that_is_not_there_is_named_with_the_command_to_run() {
    let bench = read_bench(Provider::Gcp).await;
    let poller = bench.poller_with(Provider::Gcp, |entry| {
        entry["table"] = json!("gcp_billing_export_v1_NOBODYS");
    });
    let error = fails_and_keeps(&bench, Provider::Gcp, &poller).await;
    assert_eq!(error.kind, Kind::Config, "{error}");
    assert!(error.message.contains("gcp_billing_export_v1_NOBODYS"), "{error}");
    assert!(error.hint.unwrap().contains("bq ls"));
}

type Change = fn(String) -> String;

/// A server between: requests go on to another one, and both ways may be changed.
async fn between(target: &str, asked: Change, answered: Change) -> Server {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let target = target.to_owned();
    let pass = async move |request: Request| {
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let url = format!("{target}{}", head.uri);
        let mut onward = client.request(head.method, url);
        for name in ["authorization", "content-type", "clienttype", "accept"] {
            if let Some(value) = head.headers.get(name) {
                onward = onward.header(name, value.clone());
            }
        }
        let body = asked(String::from_utf8(body.to_vec()).unwrap());
        let answer = onward.body(body).send().await.unwrap();
        let mut response = Response::builder().status(answer.status());
        if let Some(kind) = answer.headers().get("content-type") {
            response = response.header("content-type", kind.clone());
        }
        let text = answered(answer.text().await.unwrap());
        response.body(Body::from(text)).unwrap()
    };
    let router = Router::new().fallback(move |request: Request| {
        let pass = pass.clone();
        async move { pass(request).await }
    });
    Server::start(router, Arc::default()).await
}

#[tokio::test]
async fn an_answer_without_a_column_is_named() {
    let bench = read_bench(Provider::Azure).await;
    let poor = between(
        &bench.clouds.azure.url,
        |asked| asked,
        |answer| answer.replace("\"UsageDate\"", "\"UsageDay\""),
    )
    .await;
    let poller = bench.poller_with(Provider::Azure, |entry| {
        entry["endpoints"]["resource_manager"] = json!(poor.url);
    });
    let error = fails_and_keeps(&bench, Provider::Azure, &poller).await;
    assert_eq!(error.kind, Kind::Malformed, "{error}");
    assert!(error.message.contains("`UsageDate`"), "{error}");
}

#[tokio::test]
async fn a_column_that_the_export_lacks_is_named() {
    // The table's description tells it.
    let bench = read_bench(Provider::Gcp).await;
    let poor = between(
        &bench.clouds.gcp.url,
        |asked| asked,
        |answer| answer.replace("\"cost_type\"", "\"kind_of_cost\""),
    )
    .await;
    let with = |url: &str| {
        let url = url.to_owned();
        bench.poller_with(Provider::Gcp, |entry| entry["endpoints"]["bigquery"] = json!(url))
    };
    let error = fails_and_keeps(&bench, Provider::Gcp, &with(&poor.url)).await;
    assert_eq!(error.kind, Kind::Config, "{error}");
    assert!(error.message.contains("`cost_type`"), "{error}");
    // The query's own refusal tells it.
    bench.advance(24);
    let blind = between(
        &bench.clouds.gcp.url,
        |asked| asked.replace("cost_type", "cost_kind"),
        |answer| answer,
    )
    .await;
    let error = fails_and_keeps(&bench, Provider::Gcp, &with(&blind.url)).await;
    assert_eq!(error.kind, Kind::Config, "{error}");
    assert!(error.to_string().contains("no column `cost_kind`"), "{error}");
}

/// Three bands around what a period has cost so far.
fn bands_around(spent: Decimal) -> Value {
    let band = |name: &str, floor: Decimal, ceiling: Decimal| {
        let text = |limit: Decimal| limit.round_dp(2).to_string();
        json!({"name": name, "sources": ["aws-main"], "floor": text(floor), "ceiling": text(ceiling)})
    };
    let two = Decimal::TWO;
    json!([
        band("low", spent * two, spent * two * two),
        band("middle", spent / two, spent * two),
        band("high", spent / two / two, spent / two),
    ])
}

#[tokio::test]
async fn past_its_age_a_status_is_unknown_unless_the_booked_money_decides_it() {
    let provider = Provider::Aws;
    let clock = SetClock::at(NOW);
    let world = WrittenWorld::new(clock.clone(), fleet(around(at(NOW)), 1));
    let [(_, current), (_, previous)] = periods(provider, at(NOW));
    let spent = |period| spend_of(&*world, provider, period, at(NOW), |_| true).effective;
    let bands = bands_around(spent(current));
    let options = Options::default();
    let bench = Bench::start(&[provider], world.clone(), clock, options, bands).await;
    bench.poll_well(provider).await;
    bench.clouds.aws.faults.order(Fault::Forbidden, 1000);
    let known = [BandStatus::Below, BandStatus::Within, BandStatus::Above];
    let names = ["low", "middle", "high"];
    let page_before = bench.page().await;
    for (hours, wanted) in [
        (0, known),
        (47, known),
        // 48 h is the default maximum age.
        (2, [BandStatus::Unknown, BandStatus::Unknown, BandStatus::Above]),
        (24, [BandStatus::Unknown, BandStatus::Unknown, BandStatus::Above]),
    ] {
        bench.advance(hours);
        bench.poll(provider).await.unwrap_err();
        for (name, wanted) in names.iter().zip(wanted) {
            let judged = bench.judged(name, PeriodLabel::Current).await;
            assert_eq!(judged.status(BandView::Actual), wanted, "{name} after {hours} h more");
            // The last good amount stays, whatever its age.
            assert_eq!(judged.spend.unwrap().amount, spent(current), "{name}");
            if wanted == BandStatus::Unknown {
                assert_eq!(judged.status(BandView::Pace), BandStatus::Unknown, "{name}");
                let actual = judged.views.iter().find(|view| view.view == BandView::Actual);
                assert!(actual.unwrap().reason.to_string().contains("maximum age"), "{judged:?}");
            }
            // The month before is final and does not age.
            let before = bench.judged(name, PeriodLabel::Previous).await;
            assert!(before.is_final);
            assert_eq!(before.spend.unwrap().amount, spent(previous));
            assert_ne!(before.status(BandView::Actual), BandStatus::Unknown, "{name}");
        }
    }
    let money = |page: &str| billed_figures(page).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(money(&bench.page().await), money(&page_before));
    let unknown = "costband_band_status{band=\"middle\",currency=\"USD\",period=\"current\",view=\"actual\",status=\"unknown\"} 1\n";
    assert!(bench.page().await.contains(unknown));
    bench.clouds.aws.faults.clear();
    bench.poll_well(provider).await;
    for name in names {
        assert_ne!(bench.actual(name).await, BandStatus::Unknown, "{name}");
    }
    let now = bench.clock.now();
    let newest = spend_of(&*world, provider, current, now, |_| true).effective;
    let judged = bench.judged("middle", PeriodLabel::Current).await;
    assert_eq!(judged.spend.unwrap().amount, newest);
    assert_ne!(newest, spent(current));
}
