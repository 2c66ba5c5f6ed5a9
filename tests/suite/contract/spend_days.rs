//! Spend by day for drilling down, held against the charges of a world that was read through real
//! sockets: whatever is told is exact, and what no breakdown tells is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use costband::app::spend_history::LedgerSpendHistory;
use costband::domain::breakdown::Dimension;
use costband::domain::identity::{Provider, SourceId};
use costband::domain::period::Window;
use costband::domain::ports::{Clock, GpuHistory, HistoryError, SpendHistory, SpendHistoryError};
use costband::domain::report::Completeness;
use costband::domain::spend_range::{PartKey, SpendQuestion, SpendRange};
use costband::simulate::charge::{Charge, World};
use jiff::civil::{Date, date};
use rust_decimal::Decimal;
use serde_json::json;
use tokio::sync::Semaphore;

use super::breakdowns::{NOW, world_of};
use super::harness::{Bench, Options, id};
use super::truth::net;
use crate::clock::SetClock;

const DIMENSIONS: [Dimension; 3] =
    [Dimension::ServiceName, Dimension::SubAccountId, Dimension::RegionId];

fn value(charge: &Charge, of: Dimension) -> &str {
    match of {
        Dimension::ServiceName => &charge.service_name,
        Dimension::SubAccountId => &charge.sub_account_id,
        _ => &charge.region_id,
    }
}

fn history(bench: &Bench, turns: usize) -> LedgerSpendHistory {
    LedgerSpendHistory {
        location: bench.setup.ledger.clone(),
        reader: bench.reader.clone(),
        clock: bench.clock.clone(),
        turns: Arc::new(Semaphore::new(turns)),
        patience: Duration::from_millis(if turns == 0 { 1 } else { 60_000 }),
    }
}

/// Every dimension or none, narrowed to every set of values of one charge.
fn questions(provider: Provider, of: &Charge) -> Vec<SpendQuestion> {
    let window = Window::new(date(2026, 10, 1), date(2026, 11, 9));
    let mut questions = Vec::new();
    for by in DIMENSIONS.map(Some).into_iter().chain([None]) {
        for set in 0..8 {
            let held = DIMENSIONS.into_iter().enumerate().filter(|(at, _)| set & (1 << at) != 0);
            let filters = held.map(|(_, one)| (one, value(of, one).to_owned())).collect();
            questions.push(SpendQuestion { source: id(provider), window, by, filters });
        }
    }
    questions
}

/// Effective and billed cost by value and day, added up from charges.
type Sums = BTreeMap<(String, Date), (Decimal, Decimal)>;

fn truth(world: &dyn World, provider: Provider, bench: &Bench, question: &SpendQuestion) -> Sums {
    let mut sums = Sums::new();
    for charge in world.charges(provider, bench.clock.now()).iter() {
        let is_in = question.filters.iter().all(|(of, wanted)| value(charge, *of) == wanted);
        if is_in && charge.category.in_spend() && question.window.contains(charge.day) {
            let key = question.by.map_or("", |by| value(charge, by)).to_owned();
            let (spend, _) = net(charge);
            let sum = sums.entry((key, charge.day)).or_default();
            *sum = (sum.0 + spend.effective, sum.1 + spend.billed);
        }
    }
    sums
}

fn told(range: &SpendRange) -> Sums {
    let mut sums = Sums::new();
    for part in &range.parts {
        let key = match &part.key {
            PartKey::Whole => String::new(),
            PartKey::Value(key) => key.clone(),
            PartKey::Others => panic!("nothing is folded: {range:?}"),
        };
        for (day, amounts) in &part.days {
            let both = (amounts.effective.unwrap(), amounts.billed.unwrap());
            assert!(sums.insert((key.clone(), *day), both).is_none(), "{key} {day} stands twice");
        }
    }
    sums
}

#[tokio::test]
async fn what_is_told_by_day_is_what_the_charges_add_up_to_and_the_rest_is_refused() {
    let clock = SetClock::at(NOW);
    let world = world_of(clock.clone());
    let bands = json!([{"preset": "aws"}]);
    let bench = Bench::start(&Provider::ALL, world.clone(), clock, Options::default(), bands).await;
    let history = history(&bench, 1);
    let unread =
        questions(Provider::Aws, &world.charges(Provider::Aws, bench.clock.now())[0]).remove(0);
    let unread = history.spend(unread).await.unwrap_err();
    assert_eq!(unread.to_string(), format!("`{}` was not read yet", id(Provider::Aws)));
    for provider in Provider::ALL {
        bench.poll_well(provider).await;
    }
    for provider in Provider::ALL {
        let one = world.charges(provider, bench.clock.now())[0].clone();
        let mut answered = 0;
        for question in questions(provider, &one) {
            let asked: BTreeSet<Dimension> =
                question.filters.keys().copied().chain(question.by).collect();
            let answer = history.spend(question.clone()).await;
            if asked.contains(&Dimension::RegionId) && asked.len() > 1 {
                let Err(SpendHistoryError::NotTold(refused)) = answer else { panic!("{answer:?}") };
                assert!(refused.reason.contains("service_name x sub_account_id"), "{refused}");
                continue;
            }
            let range = answer.unwrap();
            let wanted = truth(&*world, provider, &bench, &question);
            assert!(!wanted.is_empty(), "{question:?}");
            assert_eq!(told(&range), wanted, "{provider} {question:?}");
            let total: Decimal = wanted.values().map(|(effective, _)| effective).sum();
            let totals: Vec<_> = range.totals.values().map(|sum| sum.effective).collect();
            assert_eq!(totals, [Some(total)], "{provider} {question:?}");
            let named = range.parts.iter().all(|part| part.name.is_some());
            let accounts = question.by == Some(Dimension::SubAccountId);
            assert!(!accounts || named, "accounts have names: {range:?}");
            answered += 1;
        }
        assert_eq!(answered, 15, "12 of services and accounts, 3 of regions alone");
    }
}

#[tokio::test]
async fn a_day_is_told_as_sure_as_it_is() {
    let clock = SetClock::at(NOW);
    let world = world_of(clock.clone());
    let bands = json!([{"preset": "aws"}]);
    let bench = Bench::start(&[Provider::Aws], world, clock, Options::default(), bands).await;
    bench.poll_well(Provider::Aws).await;
    bench.advance(7);
    bench.poll_well(Provider::Aws).await;
    let window = Window::new(date(2026, 11, 1), date(2026, 11, 12));
    let question =
        SpendQuestion { source: id(Provider::Aws), window, by: None, filters: BTreeMap::new() };
    let range = history(&bench, 1).spend(question).await.unwrap();
    let complete = bench.spend(Provider::Aws).await.unwrap().complete_days;
    let told: Vec<Date> = range
        .days
        .iter()
        .filter(|day| day.completeness == Completeness::Complete)
        .map(|day| day.day)
        .collect();
    let wanted: Vec<Date> = complete.into_iter().filter(|day| window.contains(*day)).collect();
    assert!(wanted.len() > 3, "{wanted:?}");
    assert_eq!(told, wanted);
    let booked = |day: Date| range.parts[0].days.contains_key(&day);
    assert!(booked(date(2026, 11, 1)) && !booked(date(2026, 11, 2)), "{range:?}");
}

#[tokio::test]
async fn who_finds_no_source_or_no_turn_is_told_so() {
    let clock = SetClock::at(NOW);
    let world = world_of(clock.clone());
    let bands = json!([{"preset": "aws"}]);
    let bench = Bench::start(&[Provider::Aws], world, clock, Options::default(), bands).await;
    let window = Window::new(date(2026, 11, 1), date(2026, 11, 12));
    let question = |source| SpendQuestion { source, window, by: None, filters: BTreeMap::new() };
    let lost = history(&bench, 1).spend(question(SourceId::new("lost"))).await.unwrap_err();
    let wanted = format!("no source is named `lost`; there are `{}`", id(Provider::Aws));
    assert_eq!(lost.to_string(), wanted);
    let busy = history(&bench, 0).spend(question(id(Provider::Aws))).await.unwrap_err();
    assert_eq!(busy, SpendHistoryError::History(HistoryError::Busy));

    // GPU money: who has patience gets the turn of the one before.
    let turn = Arc::new(Semaphore::new(0));
    let hasty = bench.gpu_history(turn.clone(), Duration::from_millis(1));
    assert_eq!(hasty.money(window).await.unwrap_err(), HistoryError::Busy);
    let patient = bench.gpu_history(turn.clone(), Duration::from_secs(60));
    let (answer, ()) = tokio::join!(patient.money(window), async { turn.add_permits(1) });
    assert_eq!(answer.unwrap().window, window);
}
