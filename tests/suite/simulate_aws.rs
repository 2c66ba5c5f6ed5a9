//! The simulated Cost Explorer, STS and GPU exporter, read by the official clients.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_costexplorer::config::retry::RetryConfig;
use aws_sdk_costexplorer::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_costexplorer::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_costexplorer::operation::get_cost_and_usage::GetCostAndUsageOutput;
use aws_sdk_costexplorer::types::{
    DateInterval, Dimension, DimensionValues, Expression, Granularity, GroupDefinition,
    GroupDefinitionType, Metric, MetricValue,
};
use aws_sdk_costexplorer::{Client, Config};
use costband::domain::identity::Provider;
use costband::domain::period::BillingPeriod;
use costband::domain::ports::Clock;
use costband::simulate::aws::{AwsOptions, Requests, router};
use costband::simulate::charge::World;
use costband::simulate::faults::{Fault, Faults};
use costband::simulate::scenario::{AWS_PAYER_ACCOUNT, Scenario, Spend, Truth};
use costband::simulate::{SimulateAddresses, serve};
use jiff::Timestamp;
use rust_decimal::Decimal;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const NOW: &str = "2026-11-16T10:00:00Z";

struct Fixed(Timestamp);

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        self.0
    }
}

fn world() -> Arc<Scenario> {
    Arc::new(Scenario::new(5, Arc::new(Fixed(NOW.parse().unwrap()))))
}

fn truth(world: &Scenario, period: &str) -> Truth {
    world.truth(Provider::Aws, period.parse().unwrap(), NOW.parse().unwrap())
}

struct Server {
    url: String,
    world: Arc<Scenario>,
    faults: Arc<Faults>,
    requests: Arc<Requests>,
    _task: JoinSet<()>,
}

async fn start(options: AwsOptions) -> Server {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (world, faults, requests) = (world(), Arc::<Faults>::default(), options.requests.clone());
    let router = router(Arc::clone(&world) as Arc<dyn World>, Arc::clone(&faults), options);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move { axum::serve(listener, router).await.unwrap() });
    Server { url: format!("http://{address}"), world, faults, requests, _task: task }
}

fn keys(key: &str, secret: &str, token: Option<String>) -> Credentials {
    Credentials::new(key, secret, token, None, "test")
}

fn client(server: &Server, credentials: Credentials) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(&server.url)
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

fn any_client(server: &Server) -> Client {
    client(server, keys("AKIAEXAMPLE", "secret", None))
}

fn group(key: &str) -> GroupDefinition {
    GroupDefinition::builder().r#type(GroupDefinitionType::Dimension).key(key).build()
}

fn interval(start: &str, end: &str) -> DateInterval {
    DateInterval::builder().start(start).end(end).build().unwrap()
}

fn month(period: &str) -> DateInterval {
    let period: BillingPeriod = period.parse().unwrap();
    interval(&period.first_day().to_string(), &period.end_day().to_string())
}

fn spend_only() -> Expression {
    let excluded = DimensionValues::builder()
        .key(Dimension::RecordType)
        .set_values(Some(["Tax", "Credit", "Refund"].map(str::to_owned).to_vec()))
        .build();
    Expression::builder().not(Expression::builder().dimensions(excluded).build()).build()
}

/// Every page of one request, and how many there were.
async fn all_pages(
    client: &Client,
    period: &str,
    groups: &[&str],
    filter: Option<Expression>,
) -> (Vec<GetCostAndUsageOutput>, usize) {
    let mut pages = Vec::new();
    let mut token = None;
    loop {
        let page = client
            .get_cost_and_usage()
            .time_period(month(period))
            .granularity(Granularity::Daily)
            .metrics("UnblendedCost")
            .metrics("AmortizedCost")
            .set_group_by(
                (!groups.is_empty()).then(|| groups.iter().map(|key| group(key)).collect()),
            )
            .set_filter(filter.clone())
            .set_next_page_token(token)
            .send()
            .await
            .unwrap();
        token = page.next_page_token().map(str::to_owned);
        pages.push(page);
        if token.is_none() {
            let count = pages.len();
            return (pages, count);
        }
    }
}

fn spend(metrics: &std::collections::HashMap<String, MetricValue>) -> Spend {
    let amount = |name: &str| -> Decimal {
        let value = metrics.get(name).unwrap();
        assert_eq!(value.unit(), Some("USD"));
        value.amount().unwrap().parse().unwrap()
    };
    Spend { billed: amount("UnblendedCost"), effective: amount("AmortizedCost") }
}

/// Sums by one of the keys, without the groups that cost nothing at all.
fn by_key(pages: &[GetCostAndUsageOutput], position: usize) -> BTreeMap<String, Spend> {
    let mut sums: BTreeMap<String, Spend> = BTreeMap::new();
    let groups = pages.iter().flat_map(|page| page.results_by_time()).flat_map(|day| day.groups());
    for group in groups {
        let key = group.keys()[position].replace("NoRegion", "");
        let sum = sums.entry(key).or_default();
        let one = spend(group.metrics().unwrap());
        sum.billed += one.billed;
        sum.effective += one.effective;
    }
    sums
}

fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> String {
    error.code().unwrap_or("none").to_owned()
}

#[tokio::test]
async fn every_page_of_every_breakdown_adds_up_to_the_truth() {
    let server = start(AwsOptions { page_size: 37, ..AwsOptions::default() }).await;
    let client = any_client(&server);
    for period in ["2026-10", "2026-11"] {
        let truth = truth(&server.world, period);
        let (pages, count) =
            all_pages(&client, period, &["SERVICE", "LINKED_ACCOUNT"], Some(spend_only())).await;
        assert!(count > 5, "{count}");
        assert_eq!(by_key(&pages, 0), truth.by_service);
        assert_eq!(by_key(&pages, 1), truth.by_sub_account);
        let total = by_key(&pages, 1).values().map(|one| one.effective).sum::<Decimal>();
        assert_eq!(total, truth.spend_effective);
        let names: BTreeMap<_, _> = pages
            .iter()
            .flat_map(|page| page.dimension_value_attributes())
            .map(|one| (one.value().unwrap(), one.attributes().unwrap()["description"].as_str()))
            .collect();
        assert_eq!(names["222233334444"], "training");

        let (pages, _) = all_pages(&client, period, &["REGION"], Some(spend_only())).await;
        assert_eq!(by_key(&pages, 0), truth.by_region);

        let (pages, _) = all_pages(&client, period, &["RECORD_TYPE"], None).await;
        let records = by_key(&pages, 0);
        assert_eq!(records["Tax"].billed, truth.tax);
        assert_eq!(records["Credit"].billed, truth.credit);
        assert_eq!(records["Refund"].billed, truth.refund);

        let (pages, _) = all_pages(&client, period, &[], Some(spend_only())).await;
        let days: Vec<_> = pages.iter().flat_map(|page| page.results_by_time()).collect();
        let month: BillingPeriod = period.parse().unwrap();
        assert_eq!(days.len(), usize::try_from(month.days()).unwrap());
        for day in days {
            assert!(day.groups().is_empty());
            let start = day.time_period().unwrap().start().parse().unwrap();
            let expected = truth.by_day.get(&start).copied().unwrap_or_default();
            assert_eq!(spend(day.total().unwrap()), expected, "{start}");
            assert_eq!(day.estimated(), period == "2026-11", "{start}");
        }
    }
    assert!(server.requests.paid() > 20);
    assert_eq!(server.requests.paid(), server.requests.of("GetCostAndUsage"));
}

#[tokio::test]
async fn monthly_total_is_the_sum_of_its_days() {
    let server = start(AwsOptions::default()).await;
    let page = any_client(&server)
        .get_cost_and_usage()
        .time_period(interval("2026-09-01", "2026-12-01"))
        .granularity(Granularity::Monthly)
        .metrics("UnblendedCost")
        .metrics("AmortizedCost")
        .filter(spend_only())
        .send()
        .await
        .unwrap();
    let months: Vec<_> =
        page.results_by_time().iter().map(|one| spend(one.total().unwrap())).collect();
    let expected: Vec<_> = ["2026-09", "2026-10", "2026-11"]
        .map(|period| truth(&server.world, period))
        .map(|truth| Spend { billed: truth.spend_billed, effective: truth.spend_effective })
        .to_vec();
    assert_eq!(months, expected);
}

#[tokio::test]
async fn filter_trees_split_the_money_without_a_rest() {
    let server = start(AwsOptions::default()).await;
    let client = any_client(&server);
    let is = |key: Dimension, value: &str| {
        let values = DimensionValues::builder().key(key).values(value).build();
        Expression::builder().dimensions(values).build()
    };
    let machine = is(Dimension::InstanceType, "p5.48xlarge");
    let region = is(Dimension::Region, "us-west-2");
    let both = Expression::builder().and(machine.clone()).and(region.clone()).build();
    let either = Expression::builder().or(machine.clone()).or(region.clone()).build();
    let neither = Expression::builder().not(either.clone()).build();
    let mut sums = Vec::new();
    for filter in [machine, region, both, either, neither] {
        let (pages, _) = all_pages(&client, "2026-11", &["SERVICE"], Some(filter)).await;
        sums.push(by_key(&pages, 0).values().map(|one| one.billed).sum::<Decimal>());
    }
    let (pages, _) = all_pages(&client, "2026-11", &["SERVICE"], None).await;
    let all = by_key(&pages, 0).values().map(|one| one.billed).sum::<Decimal>();
    let [machine, region, both, either, neither] = sums.try_into().unwrap();
    assert!(both > Decimal::ZERO, "the incident runs there");
    assert_eq!(machine + region - both, either);
    assert_eq!(either + neither, all);
}

#[tokio::test]
async fn tokens_are_bound_to_their_request() {
    let server = start(AwsOptions { page_size: 10, ..AwsOptions::default() }).await;
    let client = any_client(&server);
    let ask = |key: &str, token: Option<String>| {
        client
            .get_cost_and_usage()
            .time_period(month("2026-11"))
            .granularity(Granularity::Daily)
            .metrics("UnblendedCost")
            .group_by(group(key))
            .set_next_page_token(token)
            .send()
    };
    let token = ask("SERVICE", None).await.unwrap().next_page_token().map(str::to_owned);
    assert!(ask("SERVICE", token.clone()).await.is_ok());
    let changed = ask("REGION", token).await.unwrap_err();
    assert!(changed.as_service_error().unwrap().is_request_changed_exception());
    let garbage = ask("SERVICE", Some("Z2FyYmFnZQ==".to_owned())).await.unwrap_err();
    assert!(garbage.as_service_error().unwrap().is_invalid_next_token_exception());
}

#[tokio::test]
async fn what_the_service_refuses_is_refused() {
    let server = start(AwsOptions::default()).await;
    let client = any_client(&server);
    let ask = |start: &str, end: &str, groups: &[&str], metric: &str, filter| {
        client
            .get_cost_and_usage()
            .time_period(interval(start, end))
            .granularity(Granularity::Daily)
            .metrics(metric)
            .set_group_by(Some(groups.iter().map(|key| group(key)).collect()))
            .set_filter(filter)
            .send()
    };
    let usual = "UnblendedCost";
    let two_roots = Expression::builder()
        .not(spend_only())
        .dimensions(DimensionValues::builder().key(Dimension::Region).values("x").build())
        .build();
    let lonely = Expression::builder().and(spend_only()).build();
    for (answer, words) in [
        (ask("2026-11-02", "2026-11-02", &[], usual, None).await, "Start date (and hour)"),
        (ask("2025-08-01", "2026-11-02", &[], usual, None).await, "beyond 14 months"),
        (ask("2026-11-01", "2027-01-01", &[], usual, None).await, "beginning of next month"),
        (ask("2026-11-1", "2026-12-01", &[], usual, None).await, "format"),
        (
            ask("2026-11-01", "2026-12-01", &["SERVICE", "REGION", "USAGE_TYPE"], usual, None)
                .await,
            "length less than or equal to 2",
        ),
        (ask("2026-11-01", "2026-12-01", &["COLOUR"], usual, None).await, "invalid"),
        (ask("2026-11-01", "2026-12-01", &[], "Cost", None).await, "invalid"),
        (ask("2026-11-01", "2026-12-01", &[], usual, Some(two_roots)).await, "more than one roots"),
        (ask("2026-11-01", "2026-12-01", &[], usual, Some(lonely)).await, "at least 2 operands"),
    ] {
        let error = answer.unwrap_err();
        assert_eq!(code(&error), "ValidationException");
        assert!(error.message().unwrap().contains(words), "{:?}", error.message());
    }
}

#[tokio::test]
async fn each_fault_speaks_the_words_of_the_service() {
    let server = start(AwsOptions { page_size: 50, ..AwsOptions::default() }).await;
    let client = any_client(&server);
    let ask = || {
        client
            .get_cost_and_usage()
            .time_period(month("2026-11"))
            .granularity(Granularity::Daily)
            .metrics("UnblendedCost")
            .metrics("AmortizedCost")
    };
    let wait = Duration::from_secs(1);
    for (fault, expected) in [
        (Fault::Unauthorized, "ExpiredTokenException"),
        (Fault::Forbidden, "AccessDeniedException"),
        (Fault::RateLimited { retry_after: wait }, "ThrottlingException"),
        (Fault::RateLimited { retry_after: wait }, "LimitExceededException"),
        (Fault::ServerError, "InternalFailure"),
        (Fault::SkewedClock, "InvalidSignatureException"),
    ] {
        server.faults.order(fault, 1);
        let error = ask().send().await.unwrap_err();
        assert_eq!(code(&error), expected);
        let status = error.raw_response().unwrap().status().as_u16();
        assert_eq!(status, if expected == "InternalFailure" { 500 } else { 400 });
    }
    for fault in [Fault::Truncated, Fault::Malformed, Fault::ResetMidPage] {
        server.faults.order(fault.clone(), 1);
        assert_eq!(code(&ask().send().await.unwrap_err()), "none", "{fault:?}");
    }
    let right = ask().send().await.unwrap();
    server.faults.order(Fault::WrongTotal, 1);
    assert!(ask().group_by(group("SERVICE")).send().await.is_ok());
    let wrong = ask().send().await.unwrap();
    let first = |page: &GetCostAndUsageOutput| spend(page.results_by_time()[0].total().unwrap());
    assert_eq!(first(&wrong).billed, first(&right).billed * Decimal::new(11, 1));
    server.faults.order(Fault::Empty, 1);
    let empty = ask().group_by(group("SERVICE")).send().await.unwrap();
    assert_eq!(empty.results_by_time().len(), 30);
    assert!(empty.results_by_time().iter().all(|day| day.groups().is_empty()));
    assert!(server.faults.take().is_none());
}

#[tokio::test]
async fn reset_strikes_the_second_page_only() {
    let server = start(AwsOptions { page_size: 20, ..AwsOptions::default() }).await;
    let client = any_client(&server);
    server.faults.order(Fault::ResetMidPage, 1);
    let ask = |token: Option<String>| {
        client
            .get_cost_and_usage()
            .time_period(month("2026-11"))
            .granularity(Granularity::Daily)
            .metrics("UnblendedCost")
            .group_by(group("SERVICE"))
            .set_next_page_token(token)
            .send()
    };
    let token = ask(None).await.unwrap().next_page_token().map(str::to_owned);
    assert!(ask(token.clone()).await.is_err());
    assert!(ask(token).await.is_ok());
}

#[tokio::test]
async fn wrong_keys_and_wrong_signatures_are_refused() {
    let known = ("AKIAREAL".to_owned(), "right".to_owned());
    let server = start(AwsOptions { credentials: Some(known), ..AwsOptions::default() }).await;
    let ask = |key: &str, secret: &str| {
        client(&server, keys(key, secret, None))
            .get_cost_and_usage()
            .time_period(month("2026-11"))
            .granularity(Granularity::Monthly)
            .metrics("UnblendedCost")
            .send()
    };
    assert!(ask("AKIAREAL", "right").await.is_ok());
    let wrong = ask("AKIAREAL", "wrong").await.unwrap_err();
    assert_eq!(code(&wrong), "InvalidSignatureException");
    assert_eq!(code(&ask("AKIAOTHER", "right").await.unwrap_err()), "UnrecognizedClientException");
    assert_eq!(server.requests.paid(), 1);

    let http = reqwest::Client::new();
    let target = "AWSInsightsIndexService.GetCostAndUsage";
    let bare = http.post(&server.url).header("x-amz-target", target).body("{}");
    let answer = bare.send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(answer.text().await.unwrap().contains("MissingAuthenticationTokenException"));
    let late = http
        .post(&server.url)
        .header("x-amz-target", target)
        .header("x-amz-date", "20200101T000000Z")
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIAREAL/20200101/us-east-1/ce/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=00",
        );
    let answer = late.send().await.unwrap();
    assert!(answer.headers().contains_key("date"));
    let text = answer.text().await.unwrap();
    assert!(text.contains("Signature expired: 20200101T000000Z is now earlier than"), "{text}");
}

#[tokio::test]
async fn roles_are_assumed_and_their_keys_work() {
    let known = ("AKIAREAL".to_owned(), "right".to_owned());
    let options = AwsOptions {
        credentials: Some(known),
        external_id: Some("tenant-7".to_owned()),
        ..AwsOptions::default()
    };
    let server = start(options).await;
    let sts = |credentials| {
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&server.url)
            .region(Region::new("us-east-1"))
            .credentials_provider(credentials)
            .retry_config(RetryConfig::disabled())
            .build();
        aws_sdk_sts::Client::from_conf(config)
    };
    let base = sts(keys("AKIAREAL", "right", None));
    let identity = base.get_caller_identity().send().await.unwrap();
    assert_eq!(identity.account(), Some(AWS_PAYER_ACCOUNT));
    let role = "arn:aws:iam::999900001111:role/billing/reader";
    let ask = || base.assume_role().role_arn(role).role_session_name("costband");
    let denied = ask().send().await.unwrap_err();
    assert_eq!(code(&denied), "AccessDenied");
    let answer = ask().external_id("tenant-7").send().await.unwrap();
    let issued = answer.credentials().unwrap();
    let temporary = keys(
        issued.access_key_id(),
        issued.secret_access_key(),
        Some(issued.session_token().to_owned()),
    );
    let identity = sts(temporary.clone()).get_caller_identity().send().await.unwrap();
    assert_eq!(identity.account(), Some("999900001111"));
    assert_eq!(identity.arn(), Some("arn:aws:sts::999900001111:assumed-role/reader/costband"));
    let (pages, _) =
        all_pages(&client(&server, temporary), "2026-11", &["SERVICE"], Some(spend_only())).await;
    assert_eq!(by_key(&pages, 0), truth(&server.world, "2026-11").by_service);

    let web = base
        .assume_role_with_web_identity()
        .role_arn(role)
        .role_session_name("pod")
        .web_identity_token("header.claims.signature")
        .send()
        .await
        .unwrap();
    assert!(web.credentials().unwrap().access_key_id().starts_with("ASIA"));
    let wrong = sts(keys("AKIAREAL", "wrong", None)).get_caller_identity().send().await;
    assert_eq!(code(&wrong.unwrap_err()), "SignatureDoesNotMatch");
}

#[tokio::test]
async fn values_and_forecasts_are_served() {
    let server = start(AwsOptions::default()).await;
    let client = any_client(&server);
    let values = client
        .get_dimension_values()
        .time_period(month("2026-11"))
        .dimension(Dimension::LinkedAccount)
        .send()
        .await
        .unwrap();
    assert_eq!(values.total_size(), 5);
    let forecast = client
        .get_cost_forecast()
        .time_period(interval("2026-11-16", "2026-12-01"))
        .granularity(Granularity::Daily)
        .metric(Metric::AmortizedCost)
        .filter(spend_only())
        .send()
        .await
        .unwrap();
    assert_eq!(forecast.forecast_results_by_time().len(), 15);
    let total: Decimal = forecast.total().unwrap().amount().unwrap().parse().unwrap();
    let days = forecast.forecast_results_by_time();
    let sum: Decimal =
        days.iter().map(|day| day.mean_value().unwrap().parse::<Decimal>().unwrap()).sum();
    assert_eq!(total, sum);
    assert!(total > Decimal::from(50_000));
}

#[tokio::test]
async fn serve_takes_free_ports_and_orders_for_faults() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let world = world();
    let simulated = serve(world.clone(), SimulateAddresses::default()).await.unwrap();
    assert_ne!(simulated.aws.address, simulated.gpu.address);
    let http = reqwest::Client::new();
    let gpu = simulated.gpu.url();
    let fleet = world.fleet(Provider::Aws, NOW.parse().unwrap());
    let answering = fleet.iter().filter(|node| node.exporter_is_up).count();
    assert!(answering >= 3);
    for (path, nodes) in [("/metrics", 1), ("/aws/metrics", answering), ("/gcp/1/metrics", 1)] {
        let answer = http.get(format!("{gpu}{path}")).send().await.unwrap();
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
        let text = answer.text().await.unwrap();
        let hosts: std::collections::BTreeSet<_> = text
            .lines()
            .filter_map(|line| line.split("Hostname=\"").nth(1)?.split('"').next())
            .collect();
        assert_eq!(hosts.len(), nodes, "{path}");
    }
    let order = format!("{gpu}/_simulate/faults");
    let body = r#"{"fault":"rate_limited","retry_after_seconds":2,"times":2}"#;
    assert_eq!(http.post(&order).body(body).send().await.unwrap().status(), 204);
    let get = || http.get(format!("{gpu}/metrics")).send();
    assert_eq!(get().await.unwrap().status(), 429);
    assert_eq!(http.delete(&order).send().await.unwrap().status(), 204);
    assert_eq!(get().await.unwrap().status(), 200);
    let wrong = http.post(&order).body(r#"{"fault":"explosion"}"#).send().await.unwrap();
    assert_eq!(wrong.status(), 400);
    let expected = Fault::RateLimited { retry_after: Duration::from_secs(2) };
    let on_aws = format!("{}/_simulate/faults", simulated.aws.url());
    assert_eq!(http.post(&on_aws).body(body).send().await.unwrap().status(), 204);
    assert_eq!(simulated.aws.faults.take(), Some(expected));
    let address = simulated.aws.address;
    simulated.shutdown().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_reads_the_same_figures() {
    let Ok(python) = std::env::var("COSTBAND_PEERS_PYTHON") else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "COSTBAND_PEERS_PYTHON names no interpreter with tests/peers/requirements.txt"
        );
        eprintln!("skipped: COSTBAND_PEERS_PYTHON names no interpreter, boto3 was not asked");
        return;
    };
    let known = ("AKIAREAL".to_owned(), "right".to_owned());
    let options = AwsOptions {
        page_size: 41,
        price_page_size: 1,
        credentials: Some(known),
        ..AwsOptions::default()
    };
    let server = start(options).await;
    let truth = truth(&server.world, "2026-10");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/simulate_aws.py");
    let url = server.url.clone();
    let output = tokio::task::spawn_blocking(move || {
        Command::new(python)
            .args([script, &url, "2026-10-01", "2026-11-01"])
            .env("AWS_ACCESS_KEY_ID", "AKIAREAL")
            .env("AWS_SECRET_ACCESS_KEY", "right")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .output()
    })
    .await
    .unwrap()
    .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let figure = |name: &str| -> Decimal {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(figure("spend_billed"), truth.spend_billed);
    assert_eq!(figure("spend_effective"), truth.spend_effective);
    assert_eq!(figure("tax"), truth.tax);
    assert_eq!(figure("credit"), truth.credit);
    assert_eq!(figure("refund"), truth.refund);
    assert_eq!(figure("price"), "55.04".parse().unwrap());
    assert_eq!(figure("price_pages"), Decimal::TWO);
}
