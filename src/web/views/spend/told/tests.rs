use super::*;
use crate::domain::identity::{Provider, SourceId};
use crate::domain::spend_range::{SpendDay, SpendQuestion};

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

fn amounts(effective: i64) -> Amounts {
    Amounts { billed: Some(Decimal::ONE), effective: Some(effective.into()), list: None }
}

/// A part that costs the same from a day to a day.
fn part(key: PartKey, from: &str, to: &str, cost: i64) -> SpendPart {
    let days = Window::new(date(from), date(to).saturating_add(1.day()));
    let days: BTreeMap<Date, Amounts> = days.days().map(|day| (day, amounts(cost))).collect();
    SpendPart { key, name: None, currency: Currency::USD, total: sum(days.values()), days }
}

/// A range of parts whose days are complete up to one.
fn range(parts: Vec<SpendPart>, from: &str, complete: &str, known: &str) -> SpendRange {
    let window = Window::new(date(from), date(known).saturating_add(1.day()));
    let completeness = |day| match day <= date(complete) {
        true => Completeness::Complete,
        false => Completeness::Provisional,
    };
    SpendRange {
        as_of: "2026-04-01T00:00:00Z".parse().unwrap(),
        question: SpendQuestion {
            source: SourceId::new("aws"),
            window,
            by: Some(Dimension::ServiceName),
            filters: BTreeMap::new(),
        },
        provider: Provider::Aws,
        filter_names: BTreeMap::new(),
        days: window.days().map(|day| SpendDay { day, completeness: completeness(day) }).collect(),
        totals: BTreeMap::new(),
        parts,
        folded: 4,
        tells: Vec::new(),
    }
}

fn value(key: &str) -> PartKey {
    PartKey::Value(key.to_owned())
}

fn march(range: &SpendRange) -> Told {
    let mut told = Told::of_range(range, "2026-03".parse().unwrap(), None, None);
    assert_eq!(told.len(), 1);
    told.remove(0)
}

#[test]
fn a_month_is_held_against_the_same_days_of_a_shorter_one() {
    let parts = vec![part(value("a"), "2026-02-01", "2026-03-31", 10)];
    let told = march(&range(parts, "2026-02-01", "2026-03-30", "2026-03-31"));
    let sums = Moved { before: 280.into(), after: 280.into() };
    assert_eq!(told.to_day(), Some((date("2026-03-28"), sums)), "February has 28 days");
    assert_eq!(told.month_before, Some(280.into()));
    assert_eq!(told.totals.effective, Some(310.into()));
    assert_eq!(told.basis, CostBasis::Effective);
}

#[test]
fn a_day_that_nobody_knows_makes_no_comparison_and_no_zero() {
    let mut of = part(value("a"), "2026-02-01", "2026-03-20", 10);
    of.days.remove(&date("2026-03-19"));
    of.days.remove(&date("2026-02-10"));
    let told = march(&range(vec![of.clone()], "2026-02-01", "2026-03-18", "2026-03-20"));
    let day = |day: usize| (told.days[day - 1].amount, told.days[day - 1].completeness);
    assert_eq!(day(19), (None, Some(Completeness::Provisional)));
    assert_eq!(day(21), (None, None));
    let sums = told.to_day().expect("every day up to the newest complete one is known").1;
    // A complete day without a row cost nothing.
    assert_eq!((sums.before, sums.after), (170.into(), 180.into()));

    let mut late = range(vec![of], "2026-02-01", "2026-03-18", "2026-03-20");
    late.days.retain(|known| known.day != date("2026-02-10"));
    let told = march(&late);
    assert_eq!((told.to_day(), told.month_before), (None, None));
}

#[test]
fn parts_are_sorted_by_cost_and_held_against_their_week_before() {
    let small = part(value("small"), "2026-02-01", "2026-03-20", 1);
    let mut large = part(value("large"), "2026-02-01", "2026-03-11", 5);
    large.days.extend(part(value("large"), "2026-03-12", "2026-03-20", 8).days);
    let others = part(PartKey::Others, "2026-02-01", "2026-03-20", 100);
    let old = part(value("old"), "2026-02-01", "2026-02-28", 9);
    let told =
        march(&range(vec![small, others, large, old], "2026-02-01", "2026-03-18", "2026-03-20"));
    let keys: Vec<Option<&str>> = told.rows.iter().map(|row| row.key.as_deref()).collect();
    assert_eq!(keys, [Some("large"), Some("small"), None], "what is not told apart comes last");
    assert_eq!(told.rows[2].name.as_deref(), Some("4"));
    let week = Moved { before: 35.into(), after: 56.into() };
    assert_eq!(told.rows[0].moved, Some(week), "of the complete days only");
    assert_eq!(week.ratio(), Some(Decimal::new(6, 1)));
    assert_eq!(Moved { before: Decimal::ZERO, after: Decimal::ONE }.ratio(), None);
}

#[test]
fn a_day_is_held_against_the_mean_of_the_week_before() {
    let mut of = part(value("a"), "2026-03-01", "2026-03-10", 7);
    of.days.insert(date("2026-03-10"), amounts(21));
    let day = Some(date("2026-03-10"));
    for (complete, moved) in [
        ("2026-03-10", Some(Moved { before: 7.into(), after: 21.into() })),
        // A day that may still grow is held against nothing.
        ("2026-03-09", None),
    ] {
        let range = range(vec![of.clone()], "2026-03-01", complete, "2026-03-10");
        let told = Told::of_range(&range, "2026-03".parse().unwrap(), day, None);
        let told = told.first().unwrap();
        assert_eq!((told.days.len(), told.totals.effective), (8, Some(21.into())));
        assert_eq!((told.rows[0].moved, told.month_before), (moved, None), "{complete}");
    }
}

#[test]
fn money_that_nobody_knows_yet_is_no_zero() {
    let of = part(value("a"), "2026-02-01", "2026-03-08", 7);
    let range = range(vec![of], "2026-02-01", "2026-03-10", "2026-03-11");
    let on = |month: &str, day: Option<&str>| {
        let told = Told::of_range(&range, month.parse().unwrap(), day.map(date), None);
        (told[0].totals, told[0].basis)
    };
    let (nothing, basis) = on("2026-03", Some("2026-03-10"));
    assert_eq!(nothing.effective, Some(Decimal::ZERO), "the day is complete");
    assert_eq!(basis, CostBasis::Effective);
    for (month, day) in
        [("2026-03", Some("2026-03-11")), ("2026-03", Some("2026-03-12")), ("2026-04", None)]
    {
        let unknown = (Amounts::default(), CostBasis::Effective);
        assert_eq!(on(month, day), unknown, "{month} {day:?}");
    }
}

#[test]
fn a_basis_that_one_amount_does_not_tell_is_unknown() {
    let mut of = part(value("a"), "2026-02-01", "2026-03-10", 7);
    of.days
        .insert(date("2026-03-10"), Amounts { billed: Some(Decimal::ONE), ..Amounts::default() });
    let range = range(vec![of], "2026-02-01", "2026-03-09", "2026-03-10");
    let told = march(&range);
    assert_eq!((told.totals.effective, told.totals.billed), (None, Some(10.into())));
    assert_eq!(told.basis, CostBasis::Billed, "the basis that is told");
    let wanted = Some(CostBasis::Effective);
    let told = Told::of_range(&range, "2026-03".parse().unwrap(), None, wanted);
    assert_eq!((told[0].days[9].amount, told[0].rows[0].cost), (None, None));
}
