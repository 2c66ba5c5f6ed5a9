//! The page's frame and its views of bands, as a browser asks for them.

use costband::domain::forecast::PathDay;
use reqwest::StatusCode;
use rust_decimal::Decimal;

use super::world::{Shown, snapshot};

#[tokio::test]
async fn the_page_speaks_the_language_that_the_browser_asks_for_or_the_address_says() {
    let shown = Shown::start().await;
    for (path, asked, tag, word, other) in [
        ("/", "", "en", "Where the month stands", "이번 달"),
        ("/", "en-GB,en;q=0.9", "en", "Last month", "지난달"),
        ("/", "ko-KR,ko;q=0.9,en;q=0.8", "ko", "이번 달 현황", "Where the month"),
        ("/", "fr", "en", "Last month", "지난달"),
        ("/?lang=ko", "en-US", "ko", "지난달", "Last month"),
        ("/bands/aws?lang=en", "ko", "en", "How it is judged", "판정"),
        ("/bands/aws", "ko", "ko", "예산 범위", "How it is judged"),
    ] {
        let answer = shown.get(path, &[("accept-language", asked)]).await;
        assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
        let page = answer.text().await.unwrap();
        assert!(page.contains(&format!("<html lang=\"{tag}\">")), "{path} {asked}");
        assert!(page.contains(word), "{path} {asked}");
        assert!(!page.contains(other), "{path} {asked}");
    }
}

#[tokio::test]
async fn links_keep_the_language_that_was_chosen_and_lead_within_the_face() {
    let shown = Shown::start().await;
    let page = shown.text("/bands/aws?lang=ko&period=previous").await;
    assert!(page.contains("href=\"../alerts?lang=ko\""), "{page}");
    assert!(page.contains("href=\"../bands/aws?period=previous&amp;lang=en\""), "{page}");
    assert!(!page.contains("href=\"/"), "a link from the root breaks behind a proxy's path");
}

#[tokio::test]
async fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
    let shown = Shown::start().await;
    for path in ["/", "/bands/aws", "/spend/aws-main", "/gpu"] {
        let answer = shown.get(path, &[]).await;
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        let page = answer.text().await.unwrap();
        for inline in [" style=", "<style", " onclick=", " onload=", "javascript:"] {
            assert!(!page.contains(inline), "{path}: {inline}");
        }
        assert_eq!(page.matches("<script").count(), 1, "{path}: only the page's own");
        for address in
            page.split("src=\"").skip(1).chain(page.split("stylesheet\" href=\"").skip(1))
        {
            let asset = address.split('"').next().unwrap();
            let base = reqwest::Url::parse(&format!("http://agent{path}")).unwrap();
            let answer = shown.get(base.join(asset).unwrap().path(), &[]).await;
            assert_eq!(answer.status(), StatusCode::OK, "{asset}");
            assert!(answer.headers()["cache-control"].to_str().unwrap().contains("immutable"));
        }
    }
    let gone = shown.get("/assets/page-00000000.css", &[]).await;
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn hostile_names_are_text() {
    let shown = Shown::start().await;
    let page = shown.text("/").await;
    assert!(page.matches("&lt;script&gt;").count() >= 2, "{page}");
    let link = page.split("href=\"./bands/").find(|rest| rest.starts_with("%3Cscript"));
    let link = link.and_then(|rest| rest.split('"').next()).expect("a link to the band");
    let one = shown.get(&format!("/bands/{link}"), &[]).await;
    assert_eq!(one.status(), StatusCode::OK);
    let one = one.text().await.unwrap();
    assert!(one.contains("&lt;script&gt;") && one.contains("was never read"), "{one}");
    assert!(shown.text("/bands/aws").await.contains("?band=aws&amp;view=all"));
    let missing = shown.get("/bands/%3Cb%3Eno%20such%3C%2Fb%3E", &[]).await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert!(missing.text().await.unwrap().contains("&lt;b&gt;no such&lt;/b&gt;"));
}

#[tokio::test]
async fn a_band_tells_exactly_what_other_faces_tell_in_the_readers_numbers() {
    let shown = Shown::start().await;
    let page = shown.text("/").await;
    let exact = "<data value=\"41120.4750000001\" data-figure=\"band_spend\" data-of=\"aws\" \
                 data-period=\"current\">41,120\u{a0}USD</data>";
    assert!(page.contains(exact), "{page}");
    let german = shown.get("/", &[("accept-language", "de-DE")]).await.text().await.unwrap();
    assert!(german.contains(">41.120\u{a0}USD</data>"), "{german}");
    assert!(page.contains("unknown"), "what is not known is said, and no 0 stands in for it");
}

#[tokio::test]
async fn a_chart_has_a_table_of_the_same_figures() {
    let shown = Shown::start().await;
    let page = shown.text("/bands/aws").await;
    assert_eq!(page.matches("role=\"img\" aria-label=\"aws, October 2025").count(), 3);
    let table = page.split("<table>").find(|table| table.contains("<caption>aws, October 2025"));
    let table = table.expect("the chart's table");
    for (day, state) in [("Oct 14, 2025", "complete"), ("Oct 15, 2025", "may still grow")] {
        let row = table.split("<tr>").find(|row| row.contains(day)).expect(day);
        assert!(row.contains(state), "{row}");
    }
    assert!(table.contains("Oct 31, 2025"), "the way to the month's end");
}

#[tokio::test]
async fn before_the_first_snapshot_the_page_says_what_goes_on() {
    let shown = Shown::empty(None).await;
    let answer = shown.get("/", &[]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.text().await.unwrap().contains("first reading is under way"));
}

#[tokio::test]
async fn a_source_that_was_read_before_the_start_is_not_being_read_for_the_first_time() {
    let shown = Shown::empty(None).await;
    let mut snapshot = snapshot();
    let sources = std::sync::Arc::make_mut(&mut snapshot.sources);
    sources[0].up = None;
    sources[0].last_success = None;
    shown.publish(snapshot.clone());
    let first = "Being read for the first time";
    assert!(shown.text("/").await.contains(first));
    let sources = std::sync::Arc::make_mut(&mut snapshot.sources);
    for source in sources.iter_mut() {
        source.up = None;
        source.last_success = Some("2025-10-16T06:00:00Z".parse().unwrap());
    }
    shown.publish(snapshot);
    assert!(!shown.text("/").await.contains(first));
}

#[tokio::test]
async fn a_band_that_heads_below_its_floor_says_how_likely_that_is() {
    let shown = Shown::start().await;
    for (below_floor, wanted) in [(0.97, true), (0.004, false)] {
        let mut world = snapshot();
        let band = &mut std::sync::Arc::make_mut(&mut world.bands)[0];
        band.outlook.as_mut().unwrap().against.below_floor = below_floor;
        shown.publish(world);
        for (language, said) in [("en", " Below the floor: "), ("ko", " 하한 미달 확률 ")] {
            for path in ["/", "/bands/aws"] {
                let page = shown.text(&format!("{path}?lang={language}")).await;
                assert_eq!(page.contains(said), wanted, "{path} {language} {below_floor}");
                assert_eq!(page.contains("data-figure=\"band_below_floor\""), wanted, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn a_band_says_what_a_day_costs_and_what_it_may_cost() {
    let shown = Shown::start().await;
    let mut world = snapshot();
    let band = &mut std::sync::Arc::make_mut(&mut world.bands)[0];
    let outlook = band.outlook.as_mut().unwrap();
    let day = |day: &str, amount: i64| PathDay {
        day: day.parse().unwrap(),
        quantiles: vec![Decimal::from(amount); 7],
    };
    outlook.path =
        vec![day("2025-10-29", 90_000), day("2025-10-30", 94_000), day("2025-10-31", 99_000)];
    outlook.against.allowed_per_day = Some(Decimal::from(2_500));
    shown.publish(world.clone());
    let says = "Expected from here: about <strong>4,500\u{a0}USD</strong> a day; the ceiling allows \
                <strong>2,500\u{a0}USD</strong>.";
    for path in ["/", "/bands/aws"] {
        let page = shown.text(path).await;
        assert!(page.contains(says), "{path}: {page}");
    }
    let band = &mut std::sync::Arc::make_mut(&mut world.bands)[0];
    band.outlook.as_mut().unwrap().against.allowed_per_day = Some(Decimal::from(-1));
    shown.publish(world);
    assert!(shown.text("/").await.contains("nothing is left up to the ceiling"));
}
