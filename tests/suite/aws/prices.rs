//! List prices of machines in use, read from the simulated Price List query API.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use costband::domain::identity::Provider;

use costband::domain::ports::Clock;
use costband::domain::price::{CapacityType, InUse};
use costband::domain::report::SourceErrorKind as Kind;
use costband::simulate::aws::{AwsOptions, router};
use costband::simulate::charge::{Charge, World};
use costband::simulate::scenario::{AWS_PAYER_ACCOUNT, Scenario};

use super::*;

const NOW: &str = "2026-11-16T10:00:00Z";

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        NOW.parse().unwrap()
    }
}

/// A world in which what others have of p4d is bare metal.
struct Metal(Scenario);

impl World for Metal {
    fn clock(&self) -> Arc<dyn Clock> {
        self.0.clock()
    }

    fn charges(&self, provider: Provider, now: Timestamp) -> Arc<Vec<Charge>> {
        let mut charges = Vec::clone(&self.0.charges(provider, now));
        for charge in &mut charges {
            if charge.instance_type.as_deref() == Some("p4d.24xlarge") {
                charge.instance_type = Some("g4dn.metal".to_owned());
            }
        }
        Arc::new(charges)
    }
}

/// An entry that reads a simulated cloud, prices too.
async fn start(options: AwsOptions) -> Value {
    start_throttled(options, None).await
}

/// The same, where a question with this word in it is throttled.
async fn start_throttled(options: AwsOptions, word: Option<&'static str>) -> Value {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let world = Arc::new(Scenario::new(5, Arc::new(Fixed))) as Arc<dyn World>;
    let throttled = move |request: Request, next: Next| async move {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        if word.is_some_and(|word| String::from_utf8_lossy(&body).contains(word)) {
            let refused = json!({"__type": "ThrottlingException", "message": "Rate exceeded"});
            return (StatusCode::BAD_REQUEST, refused.to_string()).into_response();
        }
        next.run(Request::from_parts(parts, body.into())).await
    };
    let router = router(world, Arc::default(), options).layer(from_fn(throttled));
    entry_of(router).await
}

async fn entry_of(router: Router) -> Value {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut entry = entry(&url);
    entry["account"] = json!(AWS_PAYER_ACCOUNT);
    entry["credentials"]["static"]["session_token"] = Value::Null;
    entry["endpoints"]["price_list"] = json!(url);
    entry
}

fn in_use(machines: &[(&str, &str)]) -> InUse {
    let pair = |(name, region): &(&str, &str)| ((*name).to_owned(), (*region).to_owned());
    InUse { machines: machines.iter().map(pair).collect(), ..InUse::default() }
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

#[tokio::test]
async fn each_machine_in_use_has_the_one_price_among_its_look_alikes() {
    for page in [1, 100] {
        let options = AwsOptions { price_page_size: page, ..AwsOptions::default() };
        let requests = Arc::clone(&options.requests);
        let entry = start(options).await;
        let (source, meter) = (build(&entry), CountingMeter::new());
        let machines = [
            ("p5.48xlarge", "us-west-2"),
            ("p4d.24xlarge", "us-west-2"),
            ("g5.48xlarge", "eu-west-1"),
            ("p5e.48xlarge", "us-east-1"),
        ];
        let read = source.list_prices(&in_use(&machines), now(), &meter).await.unwrap().unwrap();
        assert_eq!((read.error, read.unread.len()), (None, 0));
        let prices = read.prices;
        let told: Vec<_> = prices
            .iter()
            .map(|price| (price.instance_type.as_deref().unwrap(), price.price.to_string()))
            .collect();
        // p5 costs in this world's Oregon what it costs in Virginia, which the embedded table does
        // not say; p5e is not sold by the hour.
        let usd = |amount: &str| format!("{amount} USD");
        assert_eq!(
            told,
            [
                ("g5.48xlarge", usd("16.288")),
                ("p4d.24xlarge", usd("21.957642")),
                ("p5.48xlarge", usd("55.04")),
            ]
        );
        for price in &prices {
            assert_eq!(price.capacity_type, CapacityType::OnDemand);
            assert_eq!((price.unit.as_str(), price.read_at), ("h", Some(now())));
        }
        // A row at zero passes the filters too, so a page of one takes two requests.
        let wanted = if page == 1 { 7 } else { 4 };
        assert_eq!(requests.of("GetProducts"), wanted);
        let counted = meter.reserved.lock().unwrap().clone();
        let prices: Vec<_> = counted.iter().filter(|(name, _)| *name == "GetProducts").collect();
        assert_eq!(prices.len(), usize::try_from(wanted).unwrap());
        assert!(prices.iter().all(|(_, price)| price.amount.is_zero()));
        assert_eq!(requests.paid(), 0, "list prices are free");
    }
}

#[tokio::test]
async fn what_was_read_before_a_throttle_is_told_with_what_is_missing() {
    let entry = start_throttled(AwsOptions::default(), Some("p4d.24xlarge")).await;
    let (source, meter) = (build(&entry), CountingMeter::new());
    let machines = in_use(&[
        ("g5.48xlarge", "eu-west-1"),
        ("p4d.24xlarge", "us-west-2"),
        ("p5.48xlarge", "us-west-2"),
    ]);
    let read = source.list_prices(&machines, now(), &meter).await.unwrap().unwrap();
    let told: Vec<_> = read.prices.iter().map(|price| price.price.to_string()).collect();
    assert_eq!(told, ["16.288 USD"]);
    let error = read.missing().unwrap();
    assert_eq!(error.kind, Kind::RateLimited);
    let wanted = "`p4d.24xlarge` in `us-west-2` and 1 more were not read: ";
    assert!(error.message.starts_with(wanted), "{error}");
}

#[tokio::test]
async fn bare_metal_is_listed_in_its_own_family() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let world = Arc::new(Metal(Scenario::new(5, Arc::new(Fixed))));
    let entry = entry_of(router(world, Arc::default(), AwsOptions::default())).await;
    let (source, meter) = (build(&entry), CountingMeter::new());
    let machines = in_use(&[("g4dn.metal", "us-west-2")]);
    let read = source.list_prices(&machines, now(), &meter).await.unwrap().unwrap();
    let told: Vec<_> = read.prices.iter().map(|price| price.price.to_string()).collect();
    assert_eq!(told, ["21.957642 USD"]);
}

#[tokio::test]
async fn a_missing_permission_names_itself_and_what_to_do() {
    let options = AwsOptions { prices_denied: true, ..AwsOptions::default() };
    let entry = start(options).await;
    let (source, meter) = (build(&entry), CountingMeter::new());
    let machines = in_use(&[("p5.48xlarge", "us-east-1")]);
    let error = source.list_prices(&machines, now(), &meter).await.unwrap_err();
    assert_eq!(error.kind, Kind::Forbidden);
    let text = error.to_string();
    assert!(text.contains("allow `pricing:GetProducts` on `*`"), "{text}");
    assert!(text.contains("list_prices: false") && !text.contains(SECRET_KEY), "{text}");
    let window = Window::new("2026-11-01".parse().unwrap(), "2026-11-16".parse().unwrap());
    let request = PollRequest { window, now: now(), cursor: None };
    source.poll(&request, &meter).await.expect("the bill is read without it");
}

#[tokio::test]
async fn nothing_is_asked_where_nothing_is_in_use_or_wanted() {
    let options = AwsOptions::default();
    let requests = Arc::clone(&options.requests);
    let own = start(options).await;
    let mut off = own.clone();
    off["list_prices"] = json!(false);
    let mut elsewhere = own.clone();
    elsewhere["endpoints"].as_object_mut().unwrap().remove("price_list");
    let p5 = in_use(&[("p5.48xlarge", "us-east-1")]);
    for (entry, in_use, is_planned) in
        [(&own, InUse::default(), true), (&off, p5.clone(), false), (&elsewhere, p5, false)]
    {
        let (source, meter) = (build(entry), CountingMeter::new());
        assert_eq!(source.list_prices(&in_use, now(), &meter).await, Ok(None));
        let plan = source.plan(&october().window);
        let planned: Vec<_> =
            plan.iter().filter(|request| request.operation == "GetProducts").collect();
        assert_eq!(planned.len(), usize::from(is_planned));
        assert!(planned.iter().all(|request| request.price.is_none()));
    }
    assert_eq!((requests.of("GetProducts"), requests.of("GetCallerIdentity")), (0, 0));
}
