//! A band by day.

use proptest::prelude::*;

use super::*;
use crate::domain::band::BandDay;
use crate::domain::report::Completeness;

fn days(world: &World, label: PeriodLabel, now: &str) -> Vec<BandDay> {
    world.judge(&band("20000", "40000"), label, now).days
}

fn day(day: i8, spend: &str, total: &str, completeness: Completeness) -> BandDay {
    BandDay { day: date(2026, 11, day), spend: decimal(spend), total: decimal(total), completeness }
}

#[test]
fn a_band_tells_its_days_up_to_its_spend() {
    let mut world = World::of(Provider::Aws);
    let read = "2026-11-14T00:00:00Z";
    world.day(date(2026, 11, 2), "1000.25", "2026-11-13T00:00:00Z", read);
    world.empty_day(date(2026, 11, 3), "2026-11-13T00:00:00Z", read);
    world.day(date(2026, 11, 12), "200", "2026-11-13T00:00:00Z", read);
    world.day(date(2026, 11, 13), "-30", "2026-11-13T00:00:00Z", read);
    // The 1st and the 4th to the 11th were not read: they are absent, not zero.
    let wanted = [
        day(2, "1000.25", "1000.25", Completeness::Complete),
        day(3, "0", "1000.25", Completeness::Complete),
        day(12, "200", "1200.25", Completeness::Provisional),
        day(13, "-30", "1170.25", Completeness::Provisional),
    ];
    assert_eq!(days(&world, PeriodLabel::Current, NOON), wanted);
    // The same when it is the previous period.
    let previous = days(&world, PeriodLabel::Previous, "2026-12-02T12:00:00Z");
    assert_eq!(previous.last().map(|last| last.total), Some(decimal("1170.25")));
    assert!(days(&world, PeriodLabel::Previous, NOON).is_empty());
}

#[test]
fn a_spend_that_is_not_known_has_no_days() {
    let mut world = World::steady(Provider::Aws);
    world.rows[4].1.currency = "CHF".parse().expect("a currency");
    let judged = world.judge(&band("1", "2"), PeriodLabel::Current, NOON);
    assert_eq!((judged.spend, judged.days), (None, Vec::new()));
    assert_eq!(days(&World::of(Provider::Aws), PeriodLabel::Current, NOON), []);
}

#[test]
fn what_an_invoice_carries_counts_from_the_first_day() {
    let mut world = World::steady(Provider::Gcp);
    let carried = world.row(0, date(2026, 10, 31), "compute", "3000");
    carried.invoice_period = Some("202611".parse().expect("a period"));
    let told = days(&world, PeriodLabel::Current, NOON);
    assert_eq!(told.len(), 10);
    assert_eq!(told.first(), Some(&day(1, "1000", "4000", Completeness::Complete)));
    assert_eq!(told.last(), Some(&day(10, "1000", "13000", Completeness::Complete)));
}

proptest! {
    #[test]
    fn the_last_day_is_the_spend_and_days_add_up_to_it(
        rows in prop::collection::vec((0_i64..40, -9_000_000_000_i64..90_000_000_000, 0_u32..9), 1..60),
    ) {
        let mut world = World::steady(Provider::Gcp);
        world.rows.clear();
        for (after, amount, scale) in rows {
            let day = date(2026, 10, 25).saturating_add(after.days());
            let amount = Decimal::new(amount, scale).to_string();
            let row = world.row(0, day, "compute", &amount);
            row.invoice_period = Some("202611".parse().expect("a period"));
        }
        let judged = world.judge(&band("1", "2"), PeriodLabel::Current, "2026-11-30T12:00:00Z");
        let spend = judged.spend.expect("it is known").amount;
        let mut before = None;
        for held in &judged.days {
            prop_assert!(judged.period.contains(held.day));
            prop_assert!(before.is_none_or(|(day, _)| day < held.day));
            prop_assert!(before.is_none_or(|(_, total)| total + held.spend == held.total));
            before = Some((held.day, held.total));
        }
        prop_assert_eq!(before.map(|(_, total)| total), Some(spend));
    }
}
