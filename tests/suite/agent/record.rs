//! What the agent forecasts each day is kept as it was told, across restarts.

use costband::app::demo::FIRST_READING_BEFORE;
use costband::domain::band::PeriodLabel;
use costband::domain::record::PastForecast;
use costband::web::Published;
use jiff::{SignedDuration, Timestamp};

use super::house::House;
use crate::clock::SetClock;

/// What was told of the first band's open month.
fn told(published: &Published) -> Vec<PastForecast> {
    let records = published.snapshot.records.iter();
    let open = records.filter(|record| record.label == PeriodLabel::Current);
    let first = open.take(1).flat_map(|record| record.forecasts.clone());
    first.filter(|said| said.told_at.is_some()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_forecast_each_day_stays_as_it_was_told() {
    let noon: Timestamp = "2026-03-16T12:30:00Z".parse().unwrap();
    let clock = SetClock::standing_at(noon - FIRST_READING_BEFORE);
    let house = House::at(clock.clone()).await;
    house.poll().await;
    clock.set(noon);
    house.poll().await;

    let mut agent = house.start().await;
    let is_judged = |now: &Published| {
        let up = now.snapshot.sources.iter().all(|source| source.up == Some(true));
        up && told(now).last().is_some_and(|said| said.made_from.month() == 3)
    };
    let published = agent.when("a forecast from a day of March", is_judged).await;
    let first = told(&published);
    assert!(first.iter().all(|said| said.told_at == Some(noon)), "{first:?}");
    let band = &published.snapshot.bands[0];
    let forecast = &band.outlook.as_ref().unwrap().forecast;
    assert_eq!(first.last().unwrap().made_from, forecast.made_from);
    let record = &published.snapshot.records[0];
    assert_eq!((&record.band, record.period), (&band.band, band.period));
    assert!(record.forecasts.len() > 10, "the days before were made again: {record:?}");
    agent.end().await;

    clock.advance(SignedDuration::from_hours(48));
    let mut agent = house.start().await;
    let later = |now: &Published| told(now).len() > first.len();
    let published = agent.when("a forecast from a later day", later).await;
    let said = told(&published);
    assert!(said.starts_with(&first), "what was told stays, whatever is known since: {said:?}");
    let since = said.iter().skip(first.len());
    assert!(since.into_iter().all(|said| said.told_at > Some(noon)), "{said:?}");
    let days: Vec<_> = published.snapshot.records[0].forecasts.iter().collect();
    assert!(days.windows(2).all(|pair| pair[0].made_from < pair[1].made_from), "{days:?}");
    agent.end().await;
}
