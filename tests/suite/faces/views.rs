//! Views of alerts, sources and the forecast record: what each says, in both languages, of names that
//! mean harm and of what is not known.

use costband::domain::identity::SourceId;
use costband::domain::lease::Leadership;
use reqwest::StatusCode;

use super::world::{HOSTILE, Shown, snapshot};

/// [`HOSTILE`] in an address.
const ENCODED: &str = "%3Cscript%3Ealert%28%271%27%29%3C%2Fscript%3E%20%22q%22%20%5C%20back%0Anext%20%ED%95%9C%EA%B5%AD%EC%96%B4%20%C3%BC";

/// The text of a page without its markup.
fn words(page: &str) -> String {
    let mut text = String::new();
    let mut within = false;
    for c in page.chars() {
        match c {
            '<' => within = true,
            '>' => {
                within = false;
                text.push(' ');
            }
            _ if !within => text.push(if c == '\u{a0}' { ' ' } else { c }),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn alert_ids(shown: &Shown) -> Vec<String> {
    let told: serde_json::Value =
        serde_json::from_str(&shown.text("/api/v1/alerts").await).unwrap();
    let alerts = told["alerts"].as_array().unwrap().iter();
    alerts.map(|alert| alert["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn alerts_tell_what_fires_what_waits_and_why() {
    let shown = Shown::start().await;
    let ids = alert_ids(&shown).await;
    let list = shown.text("/alerts").await;
    for id in &ids {
        assert!(list.contains(&format!("id=\"alert-{id}\"")), "links in messages lead here");
        assert!(list.contains(&format!("./alerts/{id}")));
    }
    let said = words(&list);
    for part in [
        "Firing · 1",
        "The month is expected to end above its ceiling: aws (October 2025)",
        "Pending · 1",
        "new service",
        "Nothing is silenced",
        "nobody has taken it",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }

    let page = words(&shown.text(&format!("/alerts/{}", ids[0])).await);
    for part in [
        "The chance of crossing the ceiling is 81%.",
        "Next step: look at the top causes",
        "expected month end 104,201 USD",
        "ops Oct 15, 2025, 6:00",
        "band aws",
        "October 2025",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let pending = words(&shown.text(&format!("/alerts/{}", ids[1])).await);
    for part in ["Top causes", "310 USD 100%", "Nobody: it does not fire yet"] {
        assert!(pending.contains(part), "{part}: {pending}");
    }
    let korean = shown.get(&format!("/alerts/{}", ids[0]), &[("accept-language", "ko")]).await;
    let korean = words(&korean.text().await.unwrap());
    for part in ["상한", "다음 조치", "알림을 받은 곳", "월말 예상 104,201 USD"] {
        assert!(korean.contains(part), "{part}: {korean}");
    }
    let lost = shown.get("/alerts/0123", &[]).await;
    assert_eq!(lost.status(), StatusCode::NOT_FOUND);
    assert!(lost.text().await.unwrap().contains("Not found"));
}

#[tokio::test]
async fn sources_tell_what_fails_and_what_to_do() {
    let shown = Shown::start().await;
    let list = words(&shown.text("/sources").await);
    for part in [
        "aws-main read well",
        "gcp-main cannot be read",
        "azure-main not read yet",
        "0.24 USD of a cap of 30.00 USD",
        "nothing spent , no cap",
        "gpu-cellar read well on premises video 1",
        "gpu-lost cannot be read no answer in time Google Cloud video unknown not yet",
        "gpu-new not read yet Azure video unknown not yet",
    ] {
        assert!(list.contains(part) || list.contains(&part.replace(" ,", ",")), "{part}: {list}");
    }
    assert!(list.find("gcp-main").unwrap() < list.rfind("aws-main").unwrap());

    let failing = shown.text("/sources/gcp-main").await;
    let said = words(&failing);
    for part in [
        "not allowed",
        "The identity is known and lacks a permission",
        "costband check -c costband.yaml --online",
        "failed to read &lt;script&gt;",
        "not held against it yet",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let well = words(&shown.text("/sources/aws-main").await);
    for part in [
        "may arrive until 48 h after its end",
        "September 2025 USD 104,250.50 104,000.00 none final",
        "-0.01 USD",
        "since the ledger began: 2",
        "fleet 90,000 USD 42,188 USD not told Monthly",
    ] {
        assert!(well.contains(part), "{part}: {well}");
    }
    let never = words(&shown.text("/sources/azure-main").await);
    assert!(never.contains("It was never read: what it costs is unknown."), "{never}");
    assert!(!never.contains(" 0 USD"), "unknown is not zero: {never}");
    assert_eq!(shown.get("/sources/nothing", &[]).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn telemetry_tells_why_it_fails_and_that_its_gpus_are_unknown() {
    let shown = Shown::start().await;
    let lost = words(&shown.text("/sources/gpu-lost").await);
    for part in [
        "GPU telemetry cannot be read",
        "failed to read &lt;script&gt;",
        "It is tried again by itself.",
        "It has failed since Oct 16, 2025, 9:30 AM UTC",
        "What its GPUs do is unknown meanwhile, never idle.",
        "GPU unknown",
    ] {
        assert!(lost.contains(part), "{part}: {lost}");
    }
    let well = words(&shown.text("/sources/gpu-aws").await);
    assert!(well.contains("GPU telemetry read well") && well.contains("GPU 3"), "{well}");
    let notice = "GPU telemetry cannot be read: gpu-lost (timeout).";
    assert!(words(&shown.text("/gpu").await).contains(notice));

    let mut world = snapshot();
    let telemetry = std::sync::Arc::make_mut(&mut world.gpu_sources);
    std::sync::Arc::make_mut(&mut telemetry[1]).source = SourceId::new("gpu-empty");
    shown.publish(world.clone());
    let empty = words(&shown.text("/sources/gpu-empty").await);
    assert!(empty.contains("It answers and tells of no GPU."), "{empty}");

    std::sync::Arc::make_mut(&mut world.gpu_sources).clear();
    shown.publish(world);
    let none = words(&shown.text("/sources").await);
    assert!(none.contains("No GPU telemetry is configured."), "{none}");
}

#[tokio::test]
async fn a_replica_that_follows_says_that_another_one_reads() {
    let shown = Shown::made(|face| {
        face.shares_ledger = true;
        face.leadership = std::sync::Arc::new(|| Leadership::Follower { holder: None });
    })
    .await;
    shown.publish(snapshot());
    let list = words(&shown.text("/sources").await);
    assert!(list.contains("gpu-new read by another replica"), "{list}");
    assert!(!list.contains("gpu-new not read yet"), "{list}");
}

#[tokio::test]
async fn the_record_tells_errors_and_reasons_and_invents_nothing() {
    let shown = Shown::start().await;
    let said = words(&shown.text("/record").await);
    for part in [
        "aws 90,000 USD 5.0% of 12 forecasts 75,001 – 110,000 39% of the middle several, weighed by their past from 100 days up to Oct 14",
        "No forecast: `azure-main` was never read",
        "aws 104,000 USD above final 3 3,166 USD 2 / 3",
        "AWS 7 -1.3%",
        "costband backtest",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test]
async fn the_record_shows_what_was_told_and_what_was_made_again_day_by_day() {
    let shown = Shown::start().await;
    let open = shown.text("/record").await;
    let said = words(&open);
    for part in [
        "Oct 12, 2025 recomputed 85,000 81,000 89,000 25% 0%",
        "Oct 14, 2025 Oct 16, 2025, 12:00 PM UTC 86,000 82,000 90,000 25% 0%",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("Off by In"), "an open month has no errors: {said}");
    assert!(!open.contains("class=\"ended\""), "nor an end");
    let over = shown.text("/record?band=aws&period=previous").await;
    let said = words(&over);
    for part in [
        "In the mean they were off by 3,166 USD ; the 80% interval held the end in 2 of 3.",
        "Aug 31, 2025 recomputed 98,000 94,000 102,000 25% 0% -6,000 USD",
        "Sep 29, 2025 Oct 1, 2025, 9:30 AM UTC 103,500 99,500 107,500 25% 0% -500 USD",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(over.contains("class=\"ended\""), "the end is drawn");
    let points = over.matches("class=\"point\"").count();
    let again = over.matches("class=\"point again\"").count();
    assert_eq!((points, again), (3 * 2 + 1, 3 + 1), "three sizes and a legend");
    let empty = words(&shown.text(&format!("/record?band={}", ENCODED)).await);
    assert!(empty.contains("No day of this month has a forecast yet"), "{empty}");
    let unknown = words(&shown.text("/record?band=nobody").await);
    assert!(unknown.contains("No band of that name has a record."), "{unknown}");
    let band = shown.text("/bands/aws?period=previous").await;
    assert!(band.contains("href=\"../record?band=aws&amp;period=previous#days\""), "{band}");
}

#[tokio::test]
async fn no_view_takes_a_name_for_markup_or_shows_english_to_a_korean() {
    let shown = Shown::start().await;
    let mut hostile = snapshot();
    let sources = std::sync::Arc::make_mut(&mut hostile.sources);
    sources[1].source = costband::domain::identity::SourceId::new(HOSTILE);
    shown.publish(hostile);
    let ids = alert_ids(&shown).await;
    let named = format!("/sources/{ENCODED}");
    let mut paths = vec!["/alerts".to_owned(), "/sources".to_owned(), "/record".to_owned()];
    paths.extend(ids.iter().map(|id| format!("/alerts/{id}")));
    paths.push(named);
    for path in &paths {
        let answer = shown.get(path, &[]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let page = answer.text().await.unwrap();
        assert!(!page.contains("<script>alert"), "{path}: a name became markup");
        let korean = shown.get(path, &[("accept-language", "ko")]).await.text().await.unwrap();
        for word in ["Where ", "Since", "never", "Next", "unknown", "forecast", "Nobody", "Read "] {
            let main = korean.split_once("<main").unwrap().1.split_once("</main>").unwrap().0;
            let own: String = main
                .split("lang=\"en\"")
                .enumerate()
                .map(|(index, part)| match index {
                    0 => part,
                    // What a provider or an engine says stays as it is, and is marked as English.
                    _ => part.split_once("</").map_or("", |(_, rest)| rest),
                })
                .collect();
            assert!(!words(&own).contains(word), "{path}: {word}");
        }
    }
}
