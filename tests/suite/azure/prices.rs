//! List prices of sizes in use, read from the simulated Retail Prices API and from answers that no
//! good server gives.

use costband::domain::price::{CapacityType, InUse, PriceReading, SkuPrice};

use super::*;

fn in_use(machines: &[(&str, &str)], currencies: &[&str]) -> InUse {
    let pair = |(name, region): &(&str, &str)| ((*name).to_owned(), (*region).to_owned());
    InUse {
        machines: machines.iter().map(pair).collect(),
        currencies: currencies.iter().map(|text| text.parse().unwrap()).collect(),
        ..InUse::default()
    }
}

fn h100() -> InUse {
    in_use(&[("Standard_ND96isr_H100_v5", "eastus")], &["USD"])
}

/// A machine that the world bills: 8 hours at 100 dollars, in a currency.
fn billed(currency: &str, per_usd: Option<&str>) -> Charge {
    let rate: Decimal = per_usd.unwrap_or("1").parse().unwrap();
    let machine = "Virtual Machines";
    let charge =
        charge(date(2026, 2, 3), "sub-1", machine, "ND96isr H100 v5", "Usage", ["800", "800"]);
    Charge {
        instance_type: Some("Standard_ND96isr_H100_v5".to_owned()),
        list: Decimal::from(800) * rate,
        currency: currency.parse().unwrap(),
        per_usd: per_usd.map(|rate| rate.parse().unwrap()),
        quantity: Decimal::from(8),
        ..charge
    }
}

async fn read(
    charges: Vec<Charge>,
    options: AzureOptions,
    in_use: &InUse,
) -> (Result<Option<PriceReading>, SourceError>, u32, u64) {
    let requests = Arc::clone(&options.requests);
    let world = Arc::new(SmallWorld(Arc::new(charges)));
    let address = serve(router(world, Arc::default(), options)).await;
    let url = format!("http://{address}");
    let endpoints = json!({"resource_manager": url, "authority": url, "retail_prices": url});
    let peer = Peer::new(address, json!({"endpoints": endpoints}));
    let told = peer.source.list_prices(in_use, now(), &peer.meter).await;
    let counted = peer.meter.operations.lock().unwrap().get("RetailPrices").copied();
    assert_eq!(requests.count("Token"), 0, "the price list is sent no token");
    (told, counted.unwrap_or(0), requests.count("RetailPrices"))
}

fn figures(prices: &[SkuPrice]) -> Vec<(&str, CapacityType, String)> {
    let name = |price: &'_ SkuPrice| price.price.to_string();
    prices
        .iter()
        .map(|price| (price.region_id.as_str(), price.capacity_type, name(price)))
        .collect()
}

#[tokio::test]
async fn each_size_in_use_has_its_two_prices_among_its_look_alikes() {
    use CapacityType::{OnDemand, Spot};
    for page in [1, 3, 100] {
        let options = AzureOptions { retail_page_size: page, ..options() };
        let machines = in_use(
            &[("Standard_ND96isr_H100_v5", "eastus"), ("Standard_NC24ads_A100_v4", "westeurope")],
            &["USD"],
        );
        let (told, counted, asked) = read(vec![billed("USD", None)], options, &machines).await;
        let told = told.unwrap().unwrap();
        let usd = |amount: &str| format!("{amount} USD");
        assert_eq!(
            figures(&told.prices),
            [
                ("westeurope", OnDemand, usd("3.673")),
                ("westeurope", Spot, usd("0.80806")),
                ("eastus", OnDemand, usd("100")),
                ("eastus", Spot, usd("22")),
            ]
        );
        assert_eq!((u64::from(counted), asked > 2), (asked, page < 100), "{page}");
    }
}

#[tokio::test]
async fn prices_are_told_in_the_currency_of_the_bill_or_not_at_all() {
    let world = || vec![billed("EUR", Some("0.8"))];
    let one =
        |currencies: &[&str]| InUse { currencies: in_use(&[], currencies).currencies, ..h100() };
    let (euro, ..) = read(world(), options(), &one(&["EUR"])).await;
    assert_eq!(figures(&euro.unwrap().unwrap().prices)[0].2, "80 EUR");
    for unknown in [one(&[]), one(&["EUR", "USD"]), in_use(&[], &["EUR"])] {
        assert_eq!(read(world(), options(), &unknown).await, (Ok(None), 0, 0));
    }
    let (refused, ..) = read(world(), options(), &one(&["KRW"])).await;
    assert_eq!(refused.unwrap_err().kind, SourceErrorKind::Config);
}

#[tokio::test]
async fn answers_that_cannot_be_trusted_are_named_and_give_no_price() {
    let page = |link: &str| json!({"Items": [], "NextPageLink": link}).to_string();
    for (status, body, kind, words) in [
        (429, "{}".to_owned(), SourceErrorKind::RateLimited, "429"),
        (503, String::new(), SourceErrorKind::Unavailable, "503"),
        (403, String::new(), SourceErrorKind::Forbidden, "retail_prices"),
        (200, "<html>".to_owned(), SourceErrorKind::Malformed, "not as documented"),
        (
            200,
            page("https://prices.example.com/api/retail/prices?$skip=100"),
            SourceErrorKind::Malformed,
            "another host",
        ),
        (200, page("/api/retail/prices?$skip=7"), SourceErrorKind::Malformed, "same page"),
    ] {
        let app = Router::new().fallback(move |request: Request| {
            let body = body.clone();
            async move {
                assert_eq!(request.headers().get("authorization"), None);
                let status = StatusCode::from_u16(status).unwrap();
                (status, [("retry-after", "7")], body).into_response()
            }
        });
        let address = serve(app).await;
        let url = format!("http://{address}");
        let endpoints = json!({"resource_manager": url, "authority": url, "retail_prices": url});
        let peer = Peer::new(address, json!({"endpoints": endpoints}));
        let error = peer.source.list_prices(&h100(), now(), &peer.meter).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        if status == 429 {
            assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        }
    }
}

#[tokio::test]
async fn what_was_read_whole_is_told_beside_what_was_not() {
    let row = json!({
        "currencyCode": "USD", "retailPrice": 3.673, "armRegionName": "westeurope",
        "armSkuName": "Standard_NC24ads_A100_v4", "meterName": "NC24ads A100 v4",
        "productName": "Virtual Machines NCads A100 v4 Series", "skuName": "NC24ads A100 v4",
        "skuId": "s", "unitOfMeasure": "1 Hour", "type": "Consumption",
    });
    // A list without an end for one size, a throttle for another.
    let app = Router::new().fallback(move |request: Request| {
        let row = row.clone();
        async move {
            let asked = request.uri().query().unwrap_or_default().to_owned();
            let page = |link: &str| json!({"Items": [row], "NextPageLink": link}).to_string();
            if asked.contains("Standard_NC48ads_A100_v4") {
                let number = asked.len();
                page(&format!("/api/retail/prices?{asked}&n={number}")).into_response()
            } else if asked.contains("Standard_ND96") {
                StatusCode::TOO_MANY_REQUESTS.into_response()
            } else {
                page("").into_response()
            }
        }
    });
    let address = serve(app).await;
    let url = format!("http://{address}");
    let endpoints = json!({"resource_manager": url, "authority": url, "retail_prices": url});
    let peer = Peer::new(address, json!({"endpoints": endpoints}));
    let west = |size| (size, "westeurope");
    let sizes = [
        west("Standard_NC24ads_A100_v4"),
        west("Standard_NC48ads_A100_v4"),
        west("Standard_ND96asr_v4"),
        west("Standard_ND96isr_H100_v5"),
    ];
    let told = peer.source.list_prices(&in_use(&sizes, &["USD"]), now(), &peer.meter).await;
    let told = told.unwrap().unwrap();
    assert_eq!(figures(&told.prices), [("westeurope", CapacityType::OnDemand, "3.673 USD".into())]);
    let unread: Vec<_> = told.unread.iter().map(|(size, _)| size.as_str()).collect();
    assert_eq!(unread, [sizes[1].0, sizes[2].0, sizes[3].0]);
    let error = told.missing().unwrap().to_string();
    let wanted = "`Standard_NC48ads_A100_v4` in `westeurope` and 2 more were not read: ";
    assert!(error.starts_with(wanted) && error.contains("20 pages"), "{error}");
    let counted = peer.meter.operations.lock().unwrap()["RetailPrices"];
    assert_eq!(counted, 1 + 20 + 1, "nothing is asked after a throttle");
}

#[tokio::test]
async fn only_the_public_cloud_has_a_price_list_and_it_can_be_left_out() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let planned = |changes: Value| {
        let address = "127.0.0.1:9".parse().unwrap();
        let plan = Peer::new(address, changes).source.plan(&window());
        plan.iter().filter(|request| request.operation == "RetailPrices").count()
    };
    assert_eq!(planned(json!({"endpoints": {}})), 1);
    assert_eq!(planned(json!({"endpoints": {}, "list_prices": false})), 0);
    assert_eq!(planned(json!({"endpoints": {}, "cloud": "china"})), 0);
    assert_eq!(planned(json!({})), 0, "another address of Resource Manager has no price list");
}
