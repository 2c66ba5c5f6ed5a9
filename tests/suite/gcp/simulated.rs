//! The source against the simulated Google Cloud, with a token from its token endpoint.

use std::sync::Arc;
use std::time::Duration;

use costband::domain::identity::Provider;
use costband::domain::money::Currency;
use costband::domain::ports::Clock;
use costband::domain::price::{InUse, PriceReading};
use costband::domain::report::{SourceError, SourceErrorKind};
use costband::simulate::charge::{Charge, World};
use costband::simulate::faults::{Fault, Faults};
use costband::simulate::gcp::{Export, GcpOptions, router};

use super::*;
use crate::clock::SetClock;

/// A world whose charges are given and whose clock is set.
struct Small {
    charges: Vec<Charge>,
    now: Arc<SetClock>,
}

impl World for Small {
    fn clock(&self) -> Arc<dyn Clock> {
        self.now.clone()
    }

    fn charges(&self, provider: Provider, at: Timestamp) -> Arc<Vec<Charge>> {
        let published = |charge: &&Charge| charge.provider == provider && charge.published_at <= at;
        Arc::new(self.charges.iter().filter(published).cloned().collect())
    }
}

fn charge(day: &str, project: &str, billed: &str, category: ChargeCategory) -> Charge {
    let day: Date = day.parse().unwrap();
    let record_type = match category {
        ChargeCategory::Tax => "tax",
        ChargeCategory::Adjustment => "adjustment",
        _ => "regular",
    };
    Charge {
        provider: Provider::Gcp,
        day,
        invoice_period: "2025-11".parse().unwrap(),
        sub_account_id: project.to_owned(),
        sub_account_name: format!("The {project}"),
        service_name: "Compute Engine".to_owned(),
        service_id: "6F81-5844-456A".to_owned(),
        region_id: "us-central1".to_owned(),
        instance_type: Some("a3-highgpu-8g".to_owned()),
        sku: "Nvidia H100 80GB GPU running in Iowa".to_owned(),
        sku_id: "0000-0000-0001".to_owned(),
        category,
        record_type: record_type.to_owned(),
        billed: billed.parse().unwrap(),
        effective: billed.parse().unwrap(),
        list: billed.parse().unwrap(),
        currency: "EUR".parse().unwrap(),
        per_usd: decimal("0.8"),
        quantity: Decimal::from(8),
        unit: "hour".to_owned(),
        credits: vec![
            ("PROMOTION".to_owned(), "Startup".to_owned(), "-0.5".parse().unwrap()),
            ("DISCOUNT".to_owned(), "Contract".to_owned(), "-0.25".parse().unwrap()),
        ],
        published_at: at("2025-11-05T00:00:00.123456Z"),
        estimated: false,
    }
}

fn charges() -> Vec<Charge> {
    let mut charges: Vec<Charge> = (0..20)
        .map(|number| {
            let day = format!("2025-11-0{}", 1 + number % 5);
            charge(&day, &format!("project-{number}"), "10.01", ChargeCategory::Usage)
        })
        .collect();
    charges.push(charge("2025-11-03", "", "19.99", ChargeCategory::Tax));
    charges.push(charge("2025-11-03", "project-1", "-3", ChargeCategory::Adjustment));
    charges
}

struct Cloud {
    url: String,
    faults: Arc<Faults>,
    now: Arc<SetClock>,
    options: GcpOptions,
    key: tempfile::NamedTempFile,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cloud {
    async fn start(charges: Vec<Charge>, options: GcpOptions) -> Self {
        let now = SetClock::at("2025-11-06T12:00:00Z");
        let world = Arc::new(Small { charges, now: now.clone() });
        let faults = Arc::new(Faults::default());
        let options = GcpOptions { bearer_token: Some("a-token".to_owned()), ..options };
        // Google's client sends its refresh token as JSON.
        let token = async |axum::Json(asked): axum::Json<Value>| {
            assert_eq!(asked["refresh_token"], "refresh");
            axum::Json(
                json!({"access_token": "a-token", "expires_in": 3599, "token_type": "Bearer"}),
            )
        };
        let app = router(world, faults.clone(), options.clone())
            .route("/refresh", axum::routing::post(token));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let key = tempfile::NamedTempFile::new().unwrap();
        let user = json!({
            "type": "authorized_user", "client_id": "id", "client_secret": "hidden",
            "refresh_token": "refresh", "token_uri": format!("{url}/refresh"),
        });
        std::fs::write(key.path(), user.to_string()).unwrap();
        Self { url, faults, now, options, key, task }
    }

    fn entry(&self, change: Value) -> Value {
        let mut own = json!({
            "billing_account": self.options.billing_account, "project": self.options.project,
            "dataset": self.options.dataset, "credentials": {"file": self.key.path()},
            "endpoints": {"bigquery": self.url, "billing": self.url},
        });
        for (key, value) in change.as_object().unwrap() {
            own[key] = value.clone();
        }
        entry(&self.url, own)
    }

    async fn poll(
        &self,
        change: Value,
        cursor: Option<String>,
    ) -> Result<SourceReport, SourceError> {
        let request = PollRequest { now: self.now.now(), ..request(cursor) };
        source(&self.entry(change)).poll(&request, &Purse::default()).await
    }
}

#[tokio::test]
async fn simulated_bill_is_read_whole_in_pages_and_from_slow_jobs() {
    let options = GcpOptions { rows_per_page: 7, slow_polls: 1, ..GcpOptions::default() };
    let cloud = Cloud::start(charges(), options).await;
    for (kind, table) in
        [("standard", cloud.options.standard_table()), ("detailed", cloud.options.detailed_table())]
    {
        let table = table.rsplit_once('.').unwrap().1.to_owned();
        let report = cloud.poll(json!({"table": table, "table_kind": kind}), None).await.unwrap();
        let primary = rows(&report, "service_sub_account");
        assert_eq!(primary.len(), 20);
        assert_eq!(billed(primary, "EUR"), "195.2".parse().unwrap());
        let dollars: Decimal = primary.iter().map(|row| row.usd.unwrap().billed.unwrap()).sum();
        assert_eq!(dollars, "244".parse().unwrap());
        let controls: Decimal =
            report.control_totals.iter().map(|total| total.amounts.billed.unwrap()).sum();
        assert_eq!(controls, billed(primary, "EUR"));
        assert_eq!(billed(rows(&report, "region"), "EUR"), billed(primary, "EUR"));
        assert_eq!(billed(rows(&report, "gpu_sku"), "EUR"), billed(primary, "EUR"));
        let category = |wanted| -> Decimal {
            let rows = rows(&report, "charge_category");
            rows.iter()
                .filter(|row| row.category == wanted)
                .map(|row| row.amounts.billed.unwrap())
                .sum()
        };
        assert_eq!(category(ChargeCategory::Usage), billed(primary, "EUR"));
        assert_eq!(category(ChargeCategory::Tax), "19.74".parse().unwrap());
        assert_eq!(category(ChargeCategory::Adjustment), "-3.25".parse().unwrap());
        assert_eq!(category(ChargeCategory::Credit), "-11".parse().unwrap());
        let own = report.names.iter().find(|name| name.key == cloud.options.billing_account);
        assert_eq!(own.unwrap().name, cloud.options.billing_account_name);
        assert!(report.names.iter().any(|name| name.name == "The project-7"));
    }
}

#[tokio::test]
async fn simulated_parts_of_every_gpu_family_are_on_the_bill_of_gpus() {
    let gpus = [
        "A4 Nvidia B200 (1 gpu slice) running in Iowa",
        "H200 141GB GPU running in Iowa",
        "RTX 6000 96GB running in Iowa",
        "A3Plus Instance Core running in Iowa",
        "Spot Preemptible A3Ultra Instance Ram running in Iowa",
        "A4X Instance Core running in Iowa",
        "G4 Instance Ram running in Iowa",
        "A2 Instance Core running in Iowa",
        "Commitment v1: A3Plus Cpu in Iowa for 1 Year",
        "Commitment v1: G4 Ram in Iowa for 1 Year",
    ];
    let others =
        ["N2 Instance Core running in Iowa", "A2000 something", "Commitment v1: N2 Cpu in Iowa"];
    let charges = gpus.iter().chain(&others).map(|sku| Charge {
        sku: (*sku).to_owned(),
        sku_id: (*sku).to_owned(),
        credits: Vec::new(),
        ..charge("2025-11-03", "project-1", "10", ChargeCategory::Usage)
    });
    let cloud = Cloud::start(charges.collect(), GcpOptions::default()).await;
    let report = cloud.poll(json!({}), None).await.unwrap();
    let mut told: Vec<_> =
        rows(&report, "gpu_sku").iter().map(|row| row.keys[0].as_str()).collect();
    told.sort_unstable();
    let mut wanted = gpus.to_vec();
    wanted.sort_unstable();
    assert_eq!(told, wanted);
}

#[tokio::test]
async fn simulated_price_list_is_read_for_the_regions_in_use_in_the_bills_currency() {
    let cloud = Cloud::start(charges(), GcpOptions::default()).await;
    let euro: Currency = "EUR".parse().unwrap();
    let in_use = |regions: &[&str], currencies: &[Currency]| InUse {
        regions: regions.iter().map(|region| (*region).to_owned()).collect(),
        currencies: currencies.iter().copied().collect(),
        ..InUse::default()
    };
    let read = async |change: Value, in_use: InUse| {
        let (source, purse) = (source(&cloud.entry(change)), Purse::default());
        let now = cloud.now.now();
        (source.list_prices(&in_use, now, &purse).await, purse.operations())
    };
    let (listed, requests) = read(json!({}), in_use(&["us-central1"], &[euro])).await;
    let listed = listed.unwrap().unwrap().prices;
    assert_eq!(requests, ["skus.list"]);
    // 10.01 euros for 8 hours.
    let h100 = listed.iter().find(|price| price.sku_id == "0000-0000-0001").unwrap();
    assert_eq!(h100.price.to_string(), "1.25125 EUR");
    assert_eq!((h100.unit.as_str(), h100.region_id.as_str()), ("h", "us-central1"));
    assert_eq!(h100.read_at, Some(cloud.now.now()));
    for part in
        ["A3 Instance Ram", "A3Plus Instance Core", "A3Ultra Instance Ram", "A4 Nvidia B200"]
    {
        assert!(listed.iter().any(|price| price.description.starts_with(part)), "{part}");
    }
    let (elsewhere, _) = read(json!({}), in_use(&["europe-west4"], &[euro])).await;
    assert_eq!(elsewhere.unwrap(), Some(PriceReading::default()));
    for (change, in_use) in [
        (json!({}), in_use(&["us-central1"], &[])),
        (json!({}), in_use(&["us-central1"], &[euro, Currency::USD])),
        (json!({}), in_use(&[], &[euro])),
        (json!({"list_prices": false}), in_use(&["us-central1"], &[euro])),
    ] {
        assert_eq!(read(change, in_use).await, (Ok(None), Vec::new()), "it was asked for");
    }
}

#[tokio::test]
async fn simulated_focus_export_gives_the_same_spend() {
    let cloud = Cloud::start(charges(), GcpOptions::default()).await;
    let path = cloud.options.focus_table();
    let (dataset, table) = path.rsplit_once('.').unwrap();
    let report = cloud.poll(json!({"dataset": dataset, "table": table}), None).await.unwrap();
    assert_eq!(billed(rows(&report, "service_sub_account"), "EUR"), "195.2".parse().unwrap());
}

#[tokio::test]
async fn simulated_late_charge_brings_its_day_again() {
    let mut all = charges();
    let mut late = charge("2025-11-02", "project-1", "1.5", ChargeCategory::Usage);
    late.published_at = at("2025-11-06T18:00:00Z");
    late.credits.clear();
    all.push(late);
    let cloud = Cloud::start(all, GcpOptions::default()).await;
    let first = cloud.poll(json!({}), None).await.unwrap();
    let quiet = cloud.poll(json!({}), first.cursor.clone()).await.unwrap();
    assert!(quiet.days.is_empty());
    assert_eq!(quiet.cursor, first.cursor);
    cloud.now.set(at("2025-11-06T19:00:00Z"));
    let news = cloud.poll(json!({}), quiet.cursor).await.unwrap();
    assert_eq!(news.days, [day("2025-11-02")]);
    assert_eq!(billed(rows(&news, "service_sub_account"), "EUR"), "40.54".parse().unwrap());
}

#[tokio::test]
async fn simulated_faults_have_their_kinds() {
    use SourceErrorKind::*;
    for (fault, kind) in [
        (Fault::Unauthorized, Auth),
        (Fault::Forbidden, Forbidden),
        (Fault::RateLimited { retry_after: Duration::from_secs(7) }, RateLimited),
        (Fault::ServerError, Unavailable),
        (Fault::Empty, NotReady),
        (Fault::WrongTotal, Malformed),
        (Fault::SkewedClock, Auth),
        (Fault::Truncated, Unavailable),
        (Fault::Slow(Duration::from_secs(3600)), Timeout),
        (Fault::Malformed, Malformed),
        (Fault::ResetMidPage, Unavailable),
    ] {
        let options = GcpOptions { rows_per_page: 3, ..GcpOptions::default() };
        let cloud = Cloud::start(charges(), options).await;
        let deadline = if kind == Timeout { "500ms" } else { "10m" };
        if fault == Fault::ResetMidPage {
            // The table's description and the first dry run, then the first query's second page.
            cloud.faults.order(Fault::Slow(Duration::ZERO), 2);
        }
        cloud.faults.order(fault.clone(), 99);
        let error = cloud.poll(json!({"deadline": deadline}), None).await.unwrap_err();
        assert_eq!(error.kind, kind, "{fault:?}: {error}");
        assert!(!format!("{error:?}").contains("a-token"), "{error:?}");
        cloud.faults.clear();
        assert!(cloud.poll(json!({}), None).await.is_ok(), "{fault:?}");
    }
}

#[tokio::test]
async fn simulated_export_that_is_not_there_yet_is_a_state() {
    use SourceErrorKind::{Config, NotReady};
    for (export, kind) in [
        (Export::NotEnabled, Config),
        (Export::Filling { days: 0 }, NotReady),
        (Export::Ready, Config),
    ] {
        let cloud = Cloud::start(charges(), GcpOptions { export, ..GcpOptions::default() }).await;
        let change = if export == Export::Ready {
            json!({"table": "gcp_billing_export_v1_OTHER"})
        } else {
            json!({})
        };
        let error = cloud.poll(change, None).await.unwrap_err();
        assert_eq!(error.kind, kind, "{export:?}: {error}");
        assert!(error.hint.is_some(), "{error}");
    }
}
