//! The view of spend: sources, the way down to a day, and what is said where it ends.

use std::sync::Arc;

use costband::domain::band::PeriodLabel;
use costband::domain::breakdown::{Amounts, Dimension};
use costband::domain::identity::SourceId;
use costband::domain::money::Currency;
use reqwest::StatusCode;
use rust_decimal::Decimal;

use super::world::{HOSTILE, Shown, snapshot};

/// The row of a table that holds a text.
pub(super) fn row<'a>(page: &'a str, text: &str) -> &'a str {
    let mut rows = page.split("<tr").map(|row| row.split("</tr>").next().unwrap_or_default());
    rows.find(|row| row.contains(text)).unwrap_or_else(|| panic!("{text}: {page}"))
}

/// Latin words of a Korean page that are neither names nor told to be English.
pub(super) fn latin_words(page: &str) -> Vec<String> {
    let main = page.split("<main").nth(1).unwrap().split("</main>").next().unwrap();
    let mut text = String::new();
    let mut skipped: Vec<&str> = Vec::new();
    for part in main.split('<').skip(1) {
        let (tag, said) = part.split_once('>').unwrap_or((part, ""));
        let name = tag.split([' ', '/']).next().unwrap_or_default();
        if let Some(closed) = tag.strip_prefix('/') {
            if skipped.last() == Some(&closed) {
                skipped.pop();
            }
        } else if !skipped.is_empty() && Some(&name) == skipped.last()
            || name == "bdi"
            || name == "code"
            || tag.contains("lang=\"en\"")
        {
            skipped.push(name);
        }
        // A chart's name begins with what it is of.
        let label = tag.split("aria-label=\"").nth(1).and_then(|rest| rest.split('"').next());
        if skipped.is_empty() {
            text.push_str(said);
            text.push(' ');
            text.push_str(label.unwrap_or_default());
            text.push(' ');
        }
    }
    let known = [
        "USD",
        "EUR",
        "GPU",
        "UTC",
        "AWS",
        "Google",
        "Cloud",
        "Azure",
        "effective",
        "billed",
        "main",
        "aws",
        "gcp",
        "azure",
        "Kubernetes",
        "XID",
        "MIG",
        "amp",
        "quot",
        "lt",
        "gt",
    ];
    let words = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| word.len() > 2);
    words.filter(|word| !known.contains(word)).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_source_is_told_on_both_bases_with_what_is_left_out() {
    let shown = Shown::start().await;
    let page = shown.text("/spend").await;
    let exact = "<data value=\"41120.4750000001\" data-figure=\"source_cost\" \
                 data-of=\"aws-main\" data-period=\"current\">41,120\u{a0}USD</data>";
    assert!(page.contains(exact), "{page}");
    assert!(page.contains("billed: 42,188\u{a0}USD"));
    let left_out =
        "Not counted, billed: tax 4,219\u{a0}USD, credit -500\u{a0}USD, adjustment -7.50\u{a0}USD";
    assert!(page.contains(left_out), "{page}");
    assert!(page.contains("<strong>-0.01\u{a0}USD</strong>"), "the totals do not agree");
    assert!(page.contains("182\u{a0}EUR"), "{page}");
    assert!(page.contains("effective: unknown"), "no 0 stands in for what is not told");
    assert!(page.contains("Never read so far."), "{page}");
    let budget = row(&page, ">fleet<");
    assert!(budget.contains("90,000\u{a0}USD") && budget.contains("not told"), "{budget}");
}

#[tokio::test]
async fn a_source_is_told_apart_and_each_part_leads_further_down() {
    let shown = Shown::start().await;
    let page = shown.text("/spend/aws-main").await;
    let compute = row(&page, "Amazon Elastic Compute Cloud - Compute");
    let exact = "<data value=\"40000.25\" data-figure=\"service_cost\" \
                 data-of=\"aws-main/Amazon Elastic Compute Cloud - Compute\" \
                 data-period=\"current\">40,000\u{a0}USD</data>";
    assert!(compute.contains(exact) && compute.contains(">97%<"), "{compute}");
    let link = "../spend/aws-main?service_name=Amazon%20Elastic%20Compute%20Cloud%20-%20Compute";
    assert!(compute.contains(&format!("href=\"{link}\"")), "{compute}");
    let hostile = row(&page, "&lt;script&gt;");
    assert!(hostile.contains("?service_name=%3Cscript"), "{hostile}");
    // Its own week and the end of its month come from its series.
    assert!(hostile.contains("+338\u{a0}USD (+79%)") && hostile.contains(" – "), "{hostile}");
    assert!(!page.contains("<script>"), "a name became markup");

    let regions = shown.text("/spend/aws-main?by=region_id").await;
    assert!(row(&regions, "region_id=\"").contains("no region"), "{regions}");
    assert!(regions.contains("href=\"../spend/aws-main?by=sub_account_id\""));
    let accounts = shown.text("/spend/aws-main?by=sub_account_id").await;
    let account = row(&accounts, "sub_account_id=111122223333");
    assert!(account.contains("training") && account.contains("29,000\u{a0}USD"), "{account}");
    let billed = shown.text("/spend/aws-main?by=sub_account_id&basis=billed").await;
    assert!(row(&billed, "sub_account_id=111122223333").contains("30,000\u{a0}USD"));
}

#[tokio::test]
async fn what_moved_and_stood_out_is_told_in_words() {
    let shown = Shown::start().await;
    let page = shown.text("/spend/aws-main").await;
    for told in [
        "The month will end at about ",
        "In the band ",
        "against what was expected",
        "href=\"../spend/aws-main?day=2025-10-11\"",
        "In single services, accounts and regions: ",
        "Days that moved after they were complete",
        "and what moved<small> effective</small>",
    ] {
        assert!(page.contains(told), "{told}: {page}");
    }
    let one_basis = "told on one basis only, whichever is chosen above: effective.";
    assert!(!page.contains(one_basis), "{page}");
    let billed = shown.text("/spend/aws-main?basis=billed").await;
    assert!(billed.contains(one_basis), "{billed}");
    let korean = shown.text("/spend/aws-main?lang=ko").await;
    assert!(
        korean.contains("이전 7일 대비")
            && korean.contains("지속 중") | korean.contains("예상 대비")
    );
}

#[tokio::test]
async fn days_are_bars_with_a_table_and_what_may_grow_is_hatched() {
    let shown = Shown::start().await;
    let page = shown.text("/spend/aws-main").await;
    assert_eq!(page.matches("<svg class=\"chart").count(), 3);
    let complete = row(&page, "day=2025-10-14");
    assert!(complete.contains("2,650.50") && complete.contains("complete"), "{complete}");
    let early = row(&page, "day=2025-10-02");
    assert!(early.contains("not known yet"), "a day without a figure is no 0: {early}");
    let nothing = row(&page, "day=2025-10-13");
    assert!(nothing.contains("0.00"), "a complete day without a cost cost nothing: {nothing}");

    let part = shown.text("/spend/aws-main?service_name=x").await;
    let provisional = row(&part, "day=2025-10-15");
    assert!(provisional.contains("may still grow"), "{provisional}");
    for hatch in ["wide", "middle", "narrow", "legend"] {
        let id = format!("id=\"hatch-0-{hatch}\"");
        assert_eq!(part.matches(&id).count(), 1, "each drawing has its own pattern: {hatch}");
        assert!(part.contains(&format!("fill=\"url(#hatch-0-{hatch})\"")), "{hatch}");
    }
}

#[tokio::test]
async fn the_way_down_asks_the_ledger_and_says_where_it_ends() {
    let shown = Shown::start().await;
    let part = shown.text("/spend/aws-main?service_name=x").await;
    assert!(part.contains("9.00\u{a0}USD") && part.contains("effective: unknown"), "{part}");
    let account = row(&part, "sub_account_id=111122223333");
    assert!(account.contains("&lt;script&gt;") && account.contains("4.50\u{a0}USD"), "{account}");
    assert!(row(&part, "sub_account_id=&amp;").contains("no account"), "{part}");
    let others = row(&part, "3 more, not told apart");
    assert!(others.contains("3.00\u{a0}USD") && !others.contains("href"), "{others}");
    assert!(!part.contains("data-figure"), "no other face tells parts of services");
    assert!(part.contains("aria-current=\"true\">billed</a>"), "the basis that is told: {part}");
    assert!(!part.contains("aria-current=\"true\">effective</a>"), "{part}");
    let early = shown.text("/spend/aws-main?service_name=x&day=2025-10-16").await;
    assert!(early.contains("<p class=\"amount\">unknown"), "no 0 for what nobody knows: {early}");

    let ended = shown.text("/spend/aws-main?service_name=x&sub_account_id=y").await;
    assert!(ended.contains("Nothing is read that this could be told apart by"), "{ended}");
    let untold = shown.text("/spend/aws-main?service_name=x&by=region_id").await;
    let why = "does not tell service × region together, so this is not known. \
               What is told: service × account; region.";
    assert!(untold.contains(why), "{untold}");
    assert!(untold.contains("sub_account_id=111122223333"), "what can be told is shown");

    let day = shown.text("/spend/aws-main?service_name=x&day=2025-10-15").await;
    assert!(day.contains("Oct 15, 2025") && day.contains("6.00\u{a0}USD"), "{day}");
    assert!(day.contains("service_name=x&amp;day=2025-10-14"), "the day before");
    let older = shown.get("/spend/aws-main?period=2025-06", &[]).await;
    assert_eq!(older.status(), StatusCode::OK);
    assert!(older.text().await.unwrap().contains("June 2025"));
}

#[tokio::test]
async fn what_cannot_be_shown_says_why_and_leaks_nothing() {
    let shown = Shown::start().await;
    let status = async |path: &str| shown.get(path, &[]).await.status();
    assert_eq!(status("/spend/nobody").await, StatusCode::NOT_FOUND);
    for query in ["period=soon", "by=sku", "day=2025-02-30", "basis=list"] {
        assert_eq!(status(&format!("/spend/aws-main?{query}")).await, StatusCode::BAD_REQUEST);
    }
    for path in ["/spend/azure-main", "/spend/azure-main?service_name=x&day=2025-10-15"] {
        let waiting = shown.text(path).await;
        assert!(waiting.contains("This source was never read"), "{waiting}");
        assert!(!waiting.contains("What is told"), "{waiting}");
    }

    let mut snapshot = snapshot();
    let named = |name: &str, from: usize, snapshot: &mut costband::snapshot::Snapshot| {
        Arc::make_mut(&mut snapshot.sources)[from].source = SourceId::new(name);
    };
    named("busy", 1, &mut snapshot);
    named("broken", 2, &mut snapshot);
    shown.publish(snapshot);
    let busy = shown.get("/spend/busy", &[]).await;
    assert_eq!(busy.status(), StatusCode::TOO_MANY_REQUESTS);
    let broken = shown.get("/spend/broken", &[]).await;
    assert_eq!(broken.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let broken = broken.text().await.unwrap();
    assert!(broken.contains("log says why") && !broken.contains("/var/lib"), "{broken}");

    let early = Shown::empty(None).await;
    for path in ["/spend", "/spend/aws-main"] {
        assert!(early.text(path).await.contains("first reading is under way"), "{path}");
    }
}

#[tokio::test]
async fn korean_pages_hold_no_english_word() {
    let shown = Shown::start().await;
    for path in [
        "/spend?lang=ko",
        "/spend/aws-main?lang=ko",
        "/spend/azure-main?lang=ko",
        "/spend/aws-main?lang=ko&service_name=&by=region_id",
        "/spend/aws-main?lang=ko&region_id=&day=2025-10-15",
    ] {
        let words = latin_words(&shown.text(path).await);
        assert!(words.is_empty(), "{path}: {words:?}");
    }
}

#[tokio::test]
async fn ten_thousand_accounts_fit_on_pages() {
    let shown = Shown::start().await;
    let mut snapshot = snapshot();
    let spend = Arc::make_mut(&mut snapshot.spend);
    let period = spend[0].periods.iter_mut().find(|of| of.label == PeriodLabel::Current).unwrap();
    let cost = |cost: usize| Some(Decimal::from(cost));
    let accounts = (1..=10_000).map(|of| {
        let key = (format!("{of:012}"), Currency::USD);
        (key, Amounts { billed: cost(of), effective: cost(of), list: None })
    });
    period.by.insert(Dimension::SubAccountId, accounts.collect());
    for of in 1..=10_000 {
        let name = format!("{HOSTILE} {}", "n".repeat(300 - HOSTILE.len()));
        spend[0].names.insert((Dimension::SubAccountId, format!("{of:012}")), name);
    }
    shown.publish(snapshot);
    let page = shown.text("/spend/aws-main?by=sub_account_id").await;
    assert!(page.len() < 300_000, "{}", page.len());
    // 1 + ... + 9975.
    assert!(row(&page, "9,975 more").contains("49,755,300\u{a0}USD"), "{page}");
    let all = shown.text("/spend/aws-main?by=sub_account_id&parts=200").await;
    assert!(all.len() < 300_000, "{}", all.len());
    assert!(all.contains("9,951–10,000 / 10,000") && all.contains("rel=\"prev\""), "{all}");
    assert!(all.contains("000000000001") && !all.contains("rel=\"next\""));
    assert!(page.contains(">Page through all 10,000</a>"), "{page}");
    let first = "<a href=\"../spend/aws-main?by=sub_account_id\">Fewer</a>";
    assert!(all.contains(first), "{all}");
}

#[tokio::test]
async fn a_month_that_was_never_read_is_unknown_and_not_free() {
    let shown = Shown::start().await;
    for (language, said) in [("en", "No day of it was ever read"), ("ko", "읽은 날이 없어")] {
        let page = shown.text(&format!("/spend/aws-main?period=2019-03&lang={language}")).await;
        assert!(page.contains(said), "{page}");
        assert!(!page.contains("a cost of nothing") && !page.contains("비용이 0"), "{page}");
        assert!(!page.contains("period=2019-02"), "nothing is before it");
        assert!(page.contains("period=2019-04"), "the way forward");
    }
    let ahead = shown.text("/spend/aws-main?day=2025-10-16").await;
    assert!(!ahead.contains("was ever read"), "{ahead}");
    // Every month up to the open one has its link.
    let june = shown.text("/spend/aws-main?period=2025-06").await;
    for month in ["2025-05", "2025-07", "2025-08", "2025-09"] {
        assert!(june.contains(&format!("period={month}")), "{month}");
    }
}
