//! The view of GPUs: the fleet, where its money went, nodes and workloads.

use std::sync::Arc;

use costband::domain::gpu_money::{GpuPicture, WorkloadMoney};
use reqwest::StatusCode;
use rust_decimal::Decimal;

use super::view_spend::{latin_words, row};
use super::world::{Shown, snapshot};

#[tokio::test]
async fn the_money_of_gpus_is_told_by_state_exactly() {
    let shown = Shown::start().await;
    let page = shown.text("/gpu").await;
    let idle = "<data value=\"344\" data-figure=\"gpu_idle_cost\" data-of=\"aws\" \
                data-period=\"current\">344\u{a0}USD</data>";
    assert_eq!(page.matches(idle).count(), 1, "{page}");
    assert!(page.contains("1,032\u{a0}USD") && page.contains("(33%)"), "{page}");
    assert!(page.contains("not billed yet: 55.04\u{a0}USD"), "{page}");
    assert!(row(&page, "billed, without telemetry").contains("12.50\u{a0}USD"));
    assert!(row(&page, "beside GPUs: storage").contains("99.00\u{a0}USD"));
    // All of the money over 150 hours, and over the 100 busy ones.
    let price = row(&page, "10.32\u{a0}USD");
    assert!(price.contains("6.88\u{a0}USD") && price.contains("H100 80GB"), "{price}");
}

#[tokio::test]
async fn states_are_told_apart_by_patterns_and_words() {
    let shown = Shown::start().await;
    let page = shown.text("/gpu").await;
    assert_eq!(page.matches("id=\"pattern-held_idle\"").count(), 1);
    assert!(page.contains("fill=\"url(#pattern-held_idle)\""), "{page}");
    assert!(page.contains("aria-label=\"busy 6 (75%), held idle 2 (25%)\""), "{page}");
}

#[tokio::test]
async fn the_fleet_tells_what_is_missing_and_what_nobody_knows() {
    let shown = Shown::start().await;
    let page = shown.text("/gpu").await;
    let cellar = row(&page, "Tesla K80");
    assert!(cellar.contains("on premises") && cellar.matches("unknown").count() == 5, "{cellar}");
    assert!(row(&page, "GPUs without telemetry: 2").contains("6 / 8"), "{page}");
    assert!(page.contains("href=\"./gpu/nodes/node-2\""), "a silent node is listed");
    let missing = "8 more A100-80GB-class GPUs";
    assert!(row(&page, missing).contains("minimum"), "{page}");
    assert!(page.contains("<strong>-1.3%</strong>"), "how good estimates were: {page}");
    assert!(row(&page, "38,494\u{a0}USD").contains("href=\"./bands/aws\""), "{page}");
    let paid = row(&page, "us-east-1</bdi></td><td class=\"number\">12.50");
    assert!(paid.contains("p5.48xlarge") && paid.contains("1.8"), "{paid}");
}

#[tokio::test]
async fn a_node_tells_its_gpus_its_month_and_its_price() {
    let shown = Shown::start().await;
    let page = shown.text("/gpu/nodes/node-1").await;
    assert!(page.contains("machine guessed from its GPUs"), "{page}");
    assert!(row(&page, "GPU-1<").contains("95%") && page.contains("GPU-3/7"), "{page}");
    assert!(row(&page, "GPU-3/7").contains("unknown"), "{page}");
    assert!(row(&page, "held idle</th>").contains("5.0") && page.contains("6.47\u{a0}USD"));
    assert!(page.contains("1.00\u{a0}USD"), "what it cost this month, by the ledger: {page}");

    let silent = shown.text("/gpu/nodes/node-2").await;
    assert!(silent.contains("unknown: no telemetry is read here"), "{silent}");
    let missing = shown.get("/gpu/nodes/%3Cb%3E", &[]).await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert!(missing.text().await.unwrap().contains("&lt;b&gt;"));
}

#[tokio::test]
async fn a_workload_tells_its_money_and_its_pods() {
    let shown = Shown::start().await;
    let page = shown.text("/gpu").await;
    let link = page.split("href=\"./gpu/workloads/ml/").find(|rest| rest.starts_with("%3Cscript"));
    let link = link.and_then(|rest| rest.split('"').next()).expect("a link to the workload");
    let one = shown.text(&format!("/gpu/workloads/ml/{link}")).await;
    assert!(one.contains("500\u{a0}USD") && one.contains("300\u{a0}USD"), "{one}");
    assert!(one.contains("&lt;script&gt;") && !one.contains("<script>"), "{one}");
    // 1 + ... + 977 are added up.
    assert!(row(&one, "977 more").contains("477,753\u{a0}USD"), "{one}");
    let all = shown.text(&format!("/gpu/workloads/ml/{link}?pods=21")).await;
    assert!(all.contains("1,001–1,002 / 1,002"), "{all}");
    let missing = shown.get("/gpu/workloads/ml/nobody", &[]).await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_only_the_past_could_know_is_not_said_to_be_missing() {
    let shown = Shown::start().await;
    for (month, status, why) in [
        ("2001-01", StatusCode::TOO_MANY_REQUESTS, "being read for somebody else"),
        ("2002-01", StatusCode::INTERNAL_SERVER_ERROR, "log says why"),
    ] {
        let mut snapshot = snapshot();
        Arc::make_mut(&mut snapshot.gpu).periods[0].period = month.parse().unwrap();
        shown.publish(snapshot);
        for path in ["/gpu/nodes/gone", "/gpu/workloads/ml/nobody"] {
            let page = shown.get(path, &[]).await;
            assert_eq!(page.status(), status, "{path}");
            let page = page.text().await.unwrap();
            assert!(page.contains(why) && !page.contains("/var/lib"), "{path}: {page}");
        }
        let known = shown.text("/gpu/nodes/node-1").await;
        assert!(known.contains(why) && known.contains("H100"), "{known}");
    }
}

#[tokio::test]
async fn fleets_are_named_with_their_month_and_too_much_money_is_unknown() {
    let shown = Shown::start().await;
    let mut snapshot = snapshot();
    let picture = Arc::make_mut(&mut snapshot.gpu);
    let period = &mut picture.periods[0];
    let states = &mut period.money.fleets[0].money.as_mut().unwrap().1;
    for cost in states.values_mut() {
        *cost = Decimal::MAX;
    }
    let one = period.workloads[0].clone();
    let much = WorkloadMoney { idle_cost: Decimal::MAX, cost: Decimal::MAX, ..one.clone() };
    let euros = WorkloadMoney {
        currency: "EUR".parse().unwrap(),
        idle_cost: Decimal::ONE,
        cost: Decimal::ONE,
        ..one
    };
    period.workloads = std::iter::once(euros).chain(std::iter::repeat_n(much, 30)).collect();
    shown.publish(snapshot);
    let page = shown.text("/gpu").await;
    assert!(page.contains("Utilization against money, by fleet · October 2025</h3>"), "{page}");
    let fleets = page.split("by fleet · ").nth(1).unwrap();
    assert!(row(fleets, "H100 80GB").contains("unknown"), "{fleets}");
    assert!(row(&page, "6 more").contains("unknown"), "{page}");
    let euros = row(&page, "1.00\u{a0}EUR");
    let dollars = row(page.split_once("Idle money by workload").unwrap().1, "\u{a0}USD");
    let bar = |row: &str| {
        row.split("<svg").nth(1).map(|bar| bar.split("</svg").next().unwrap().to_owned())
    };
    assert!(bar(euros).is_some(), "{euros}");
    assert_eq!(bar(euros), bar(dollars), "the most of each currency is as long");
}

#[tokio::test]
async fn money_without_time_says_nothing_of_states() {
    let shown = Shown::start().await;
    let mut snapshot = snapshot();
    let picture = Arc::make_mut(&mut snapshot.gpu);
    for money in picture.periods[0].money.by_provider.values_mut() {
        money.states.clear();
    }
    shown.publish(snapshot);
    let page = shown.text("/gpu").await;
    assert!(page.contains("what their money did is unknown"), "{page}");
    assert!(!page.contains("gpu_idle_cost"), "no 0 stands in for what is not known");

    let mut snapshot = super::world::snapshot();
    snapshot.gpu = Arc::new(GpuPicture::default());
    shown.publish(snapshot);
    assert!(shown.text("/gpu").await.contains("No GPU is known of"));
    let early = Shown::empty(None).await;
    for path in ["/gpu", "/gpu/nodes/node-1", "/gpu/workloads/ml/train"] {
        assert!(early.text(path).await.contains("first reading is under way"), "{path}");
    }
}

#[tokio::test]
async fn ten_thousand_nodes_fit_on_a_page() {
    let shown = Shown::start().await;
    let mut snapshot = snapshot();
    let picture = Arc::make_mut(&mut snapshot.gpu);
    let node = picture.nodes[0].clone();
    picture.nodes = (0..10_000)
        .map(|of| costband::domain::gpu_money::NodeNow {
            name: format!("node-{of}"),
            ..node.clone()
        })
        .collect();
    shown.publish(snapshot);
    let page = shown.text("/gpu").await;
    assert!(page.len() < 300_000, "{}", page.len());
    assert!(page.contains("Page through all 10,000"), "{page}");
}

#[tokio::test]
async fn korean_pages_of_gpus_hold_no_english_word() {
    let shown = Shown::start().await;
    for path in ["/gpu?lang=ko", "/gpu/nodes/node-1?lang=ko", "/gpu/workloads/ml/train?lang=ko"] {
        let words = latin_words(&shown.text(path).await);
        assert!(words.is_empty(), "{path}: {words:?}");
    }
}
