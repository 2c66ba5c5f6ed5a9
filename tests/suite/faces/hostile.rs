//! A snapshot that means harm: names with markup, of three hundred letters, from right to left; ten
//! thousand of everything; money below nothing and past all bounds; nothing known at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use costband::domain::alert::{AlertCause, FigureName, Subject};
use costband::domain::band::PeriodLabel;
use costband::domain::breakdown::{Amounts, Dimension};
use costband::domain::gpu_time::Workload;
use costband::domain::identity::SourceId;
use costband::domain::money::{Currency, Money};
use costband::snapshot::Snapshot;
use reqwest::StatusCode;
use rust_decimal::Decimal;

use super::world::{Shown, snapshot};

const MANY: usize = 10_000;
/// No page is larger, whatever it is of.
const MOST_BYTES: usize = 300_000;

/// Names that break layouts and parsers, by turns.
fn name(index: usize) -> String {
    match index % 5 {
        0 => format!("<img src=x onerror=alert({index})><script>alert(1)</script>"),
        1 => format!("{}{index}", "w".repeat(300)),
        2 => format!("\u{202e}مجموعة الحوسبة {index} \u{202d}{{{{ x }}}}"),
        3 => format!("\"'><svg onload=alert({index})>&amp;\u{0}\n\tend"),
        _ => format!("{}/../?lang=ko&#{index}", "긴 이름 ".repeat(60)),
    }
}

fn amount(index: usize) -> Decimal {
    match index % 4 {
        0 => Decimal::MAX / Decimal::from(1_000_000_000),
        1 => -Decimal::from(987_654_321_012_345_i64),
        2 => Decimal::new(1, 28),
        _ => Decimal::from(index),
    }
}

/// The snapshot.
pub(super) fn world() -> Snapshot {
    let mut world = snapshot();
    let sums = || {
        (0..MANY).map(|index| {
            let amounts = Amounts {
                billed: Some(amount(index)),
                effective: (index % 3 > 0).then(|| amount(index + 1)),
                list: None,
            };
            ((name(index), Currency::USD), amounts)
        })
    };
    let spend = Arc::make_mut(&mut world.spend);
    for source in spend.iter_mut() {
        source.names = (0..MANY)
            .map(|index| ((Dimension::SubAccountId, name(index)), name(index + 1)))
            .collect();
        for period in &mut source.periods {
            for dimension in [Dimension::SubAccountId, Dimension::ServiceName, Dimension::RegionId]
            {
                period.by.insert(dimension, sums().collect());
            }
        }
    }
    let pattern = spend[0].clone();
    let sources = Arc::make_mut(&mut world.sources);
    let statuses = sources.clone();
    for index in 0..300 {
        let mut status = statuses[index % 3].clone();
        status.source = SourceId::new(name(index));
        status.spent = vec![Money::new(amount(index), Currency::USD)];
        let mut of = pattern.clone();
        of.source = status.source.clone();
        of.names.clear();
        for period in &mut of.periods {
            period.by.clear();
            period.totals = BTreeMap::from([(
                Currency::USD,
                Amounts { billed: Some(amount(index)), effective: None, list: None },
            )]);
        }
        spend.push(of);
        sources.push(status);
    }
    let telemetry = Arc::make_mut(&mut world.gpu_sources);
    let lost = telemetry[2].clone();
    for index in 0..MANY {
        let mut one = lost.as_ref().clone();
        one.source = SourceId::new(name(index));
        one.cluster = name(index + 1);
        one.failure.as_mut().unwrap().text = name(index).repeat(9);
        telemetry.push(Arc::new(one));
    }
    let bands = Arc::make_mut(&mut world.bands);
    let judged = bands.clone();
    for index in 0..100 {
        let mut band = judged[index % 3].clone();
        band.band = name(index);
        band.owner = Some(name(index + 1));
        if band.label == PeriodLabel::Current {
            band.spend = band.spend.map(|_| Money::new(amount(index), Currency::USD));
        }
        bands.push(band);
    }
    let alerts = Arc::make_mut(&mut world.alerts);
    let states = alerts.clone();
    for index in 0..MANY {
        let mut state = states[index % 2].clone();
        state.key = state.key.of(Subject::SubAccountId, name(index));
        state.details = state.details.with(
            FigureName::Error,
            costband::domain::alert::Figure::Text(name(index + 1).repeat(9)),
        );
        state.details.causes = vec![AlertCause {
            dimension: Some(Dimension::SubAccountId),
            name: name(index),
            amount: Money::new(amount(index), Currency::USD),
            share: Some(if index % 2 == 0 { f64::NAN } else { 1e30 }),
        }];
        alerts.push(state);
    }
    let gpu = Arc::make_mut(&mut world.gpu);
    let (node, silent) = (gpu.nodes[0].clone(), gpu.silent_nodes[0].clone());
    let workload = gpu.periods[0].workloads[0].clone();
    for index in 0..MANY {
        let mut one = if index % 2 == 0 { node.clone() } else { silent.clone() };
        one.name = name(index);
        one.fleet.cluster = name(index % 50);
        let held = if index % 2 == 0 { &mut gpu.nodes } else { &mut gpu.silent_nodes };
        held.push(one);
        let mut of = workload.clone();
        of.of = Workload { namespace: name(index), name: name(index + 1) };
        of.cost = amount(index);
        gpu.periods[0].workloads.push(of);
    }
    for index in 0..60 {
        let mut fleet = gpu.fleets[index % 2].clone();
        fleet.fleet.cluster = name(index);
        gpu.fleets.push(fleet);
        let mut cluster = gpu.clusters[0].clone();
        cluster.cluster = name(index);
        gpu.clusters.push(cluster);
        let mut covered = gpu.coverage[0].clone();
        covered.cluster = name(index);
        gpu.coverage.push(covered);
    }
    world
}

/// The addresses of the frame's views, and of one thing of each that has things.
pub(super) async fn views(shown: &Shown) -> Vec<String> {
    let mut found = vec!["/".to_owned()];
    let mut at = 0;
    while let Some(path) = found.get(at).cloned() {
        at += 1;
        let base = reqwest::Url::parse(&format!("{}{path}", shown.url)).unwrap();
        let page = shown.text(&path).await;
        for link in page.split("href=\"").skip(1) {
            let link = link.split('"').next().unwrap().replace("&amp;", "&");
            let Ok(url) = base.join(&link) else { continue };
            let words: Vec<&str> = url.path().split('/').collect();
            let shape = |path: &str| {
                let words: Vec<&str> = path.split('/').collect();
                (words.len(), words.get(1).copied().unwrap_or_default().to_owned())
            };
            let is_view = url.as_str().starts_with(&shown.url)
                && url.query().is_none()
                && !["api", "metrics", "assets"].contains(&words[1]);
            let alike = found.iter().filter(|held| shape(held) == shape(url.path())).count();
            if is_view && alike < 5 && !found.contains(&url.path().to_owned()) {
                found.push(url.path().to_owned());
            }
        }
    }
    found
}

#[tokio::test]
async fn ten_thousand_hostile_names_make_no_markup_and_no_large_page() {
    let shown = Shown::start().await;
    shown.publish(world());
    let views = views(&shown).await;
    assert!(views.len() > 20, "{views:?}");
    for path in &views {
        for asked in ["en", "ko"] {
            let answer = shown.get(path, &[("accept-language", asked)]).await;
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            let page = answer.text().await.unwrap();
            assert!(page.len() < MOST_BYTES, "{path}: {} bytes", page.len());
            for harm in ["<img", "<svg onload", "<script>", " onerror="] {
                let quoted = page.replace("&lt;", "").replace("onerror=alert", "");
                let has =
                    if harm == " onerror=" { quoted.contains(harm) } else { page.contains(harm) };
                assert!(!has, "{path}: {harm}");
            }
        }
    }
}
