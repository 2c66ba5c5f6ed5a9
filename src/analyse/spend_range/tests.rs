//! Promises of answers about spend.

#![allow(clippy::unwrap_used)]

use jiff::civil::date;

use super::*;
use crate::domain::breakdown::ChargeCategory;
use crate::domain::identity::SourceId;
use crate::domain::period::Window;

fn breakdown(query: &str, dimensions: &[Dimension], role: BreakdownRole) -> Breakdown {
    Breakdown {
        source: SourceId::new("aws"),
        query: query.to_owned(),
        filter: String::new(),
        dimensions: dimensions.to_vec(),
        role,
    }
}

fn question(by: Option<Dimension>, filters: &[(Dimension, &str)]) -> SpendQuestion {
    SpendQuestion {
        source: SourceId::new("aws"),
        window: Window::new(date(2026, 11, 1), date(2026, 12, 1)),
        by,
        filters: filters.iter().map(|(of, value)| (*of, (*value).to_owned())).collect(),
    }
}

fn row(day: i8, service: &str, cost: Option<i64>, currency: Currency) -> CostRow {
    let cost = cost.map(Decimal::from);
    CostRow {
        day: date(2026, 11, day),
        keys: vec![service.to_owned(), "account".to_owned()],
        category: ChargeCategory::Usage,
        currency,
        amounts: Amounts { billed: Some(Decimal::ONE), effective: cost, list: None },
        usd: None,
        quantity: None,
        invoice_period: None,
        estimated: false,
    }
}

fn fold(
    question: &SpendQuestion,
    rows: &[CostRow],
    most: usize,
) -> (BTreeMap<Currency, Amounts>, Vec<SpendPart>, usize) {
    let primary = [Dimension::ServiceName, Dimension::SubAccountId];
    let primary = breakdown("primary", &primary, BreakdownRole::Primary);
    let cut = || Cut::of(&primary, question).unwrap();
    let mut sizes = Sizes::default();
    rows.iter().for_each(|row| sizes.row(&cut(), row));
    let mut fold = RangeFold::new(cut(), sizes.largest(most));
    rows.iter().for_each(|row| fold.row(row));
    fold.finish()
}

#[test]
fn a_question_is_told_by_one_breakdown_or_not_at_all() {
    use Dimension::{InstanceType, RegionId, ServiceName, SubAccountId};
    let breakdowns = [
        breakdown("types", &[InstanceType, RegionId], BreakdownRole::Secondary),
        breakdown("region", &[RegionId], BreakdownRole::Secondary),
        breakdown("primary", &[ServiceName, SubAccountId], BreakdownRole::Primary),
        breakdown("band:a", &[ServiceName, RegionId], BreakdownRole::Filtered),
        breakdown("kinds", &[Dimension::ChargeCategory], BreakdownRole::Categories),
    ];
    let told = |by, filters: &[(Dimension, &str)]| {
        telling(&breakdowns, &question(by, filters)).map(|(found, _)| found.query.as_str())
    };
    assert_eq!(told(None, &[]), Ok("primary"), "totals are the primary's");
    assert_eq!(told(Some(SubAccountId), &[(ServiceName, "a")]), Ok("primary"));
    assert_eq!(told(Some(RegionId), &[]), Ok("region"), "the one with the fewest dimensions");
    assert_eq!(told(None, &[(RegionId, "east")]), Ok("region"));
    // A band's own breakdown has both, of a part of the money only.
    let refused = told(Some(RegionId), &[(ServiceName, "a")]).unwrap_err();
    assert_eq!(
        refused.reason,
        "`aws` does not tell service_name x region_id together; it tells instance_type x region_id, \
         region_id, service_name x sub_account_id"
    );
    assert_eq!(refused.tells.len(), 3);
    let unread = telling(&[], &question(None, &[])).unwrap_err();
    assert_eq!(unread.reason, "`aws` was not read yet");
}

#[test]
fn what_is_past_the_limit_is_added_up_and_the_totals_stay() {
    let usd = Currency::USD;
    let rows = [
        row(1, "small", Some(1), usd),
        row(1, "credit", Some(-50), usd),
        row(2, "large", Some(90), usd),
        row(3, "large", Some(9), usd),
        row(3, "tiny", Some(2), usd),
    ];
    let by = question(Some(Dimension::ServiceName), &[]);
    let (totals, parts, folded) = fold(&by, &rows, 2);
    let keys: Vec<&PartKey> = parts.iter().map(|part| &part.key).collect();
    let value = |key: &str| PartKey::Value(key.to_owned());
    assert_eq!(keys, [&value("large"), &value("credit"), &PartKey::Others]);
    assert_eq!(folded, 2);
    let effective: Vec<_> = parts.iter().map(|part| part.total.effective.unwrap()).collect();
    assert_eq!(effective, [99, -50, 3].map(Decimal::from));
    assert_eq!(totals[&usd].effective, Some(Decimal::from(52)));
    let days: Vec<Date> = parts[2].days.keys().copied().collect();
    assert_eq!(days, [date(2026, 11, 1), date(2026, 11, 3)]);
    // The same without a dimension is one sum a day.
    let (_, parts, folded) = fold(&question(None, &[]), &rows, 2);
    assert_eq!((parts.len(), folded, &parts[0].key), (1, 0, &PartKey::Whole));
    assert_eq!(parts[0].days[&date(2026, 11, 1)].effective, Some(Decimal::from(-49)));
}

#[test]
fn an_unknown_amount_makes_its_sums_unknown_and_currencies_stay_apart() {
    let (usd, won): (Currency, Currency) = (Currency::USD, "KRW".parse().unwrap());
    let rows = [
        row(1, "a", Some(5), usd),
        row(1, "a", None, usd),
        row(2, "a", Some(7), usd),
        row(2, "a", Some(9_000), won),
        row(2, "b", Some(1), usd),
    ];
    let (totals, parts, _) = fold(&question(Some(Dimension::ServiceName), &[]), &rows, 200);
    assert_eq!((totals[&usd].effective, totals[&usd].billed), (None, Some(Decimal::from(4))));
    assert_eq!(totals[&won].effective, Some(Decimal::from(9_000)));
    let a = parts.iter().find(|part| part.currency == usd && part.key != PartKey::Others).unwrap();
    assert_eq!(a.days[&date(2026, 11, 1)].effective, None);
    assert_eq!(a.days[&date(2026, 11, 2)].effective, Some(Decimal::from(7)));
    let narrowed = question(None, &[(Dimension::ServiceName, "b")]);
    let (totals, ..) = fold(&narrowed, &rows, 200);
    assert_eq!(totals.len(), 1);
    assert_eq!(totals[&usd].effective, Some(Decimal::ONE));
    let nothing = question(None, &[(Dimension::ServiceName, "c")]);
    assert_eq!(fold(&nothing, &rows, 200), (BTreeMap::new(), Vec::new(), 0));
}
