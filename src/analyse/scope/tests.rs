//! Every way in which a band is answered, and that it is never two.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;
use crate::domain::band::{BandLimits, Scope};
use crate::domain::identity::SourceId;
use crate::domain::money::{CostBasis, Currency};

use BreakdownRole::{Categories, Filtered, Primary, Secondary};
use Dimension::{InstanceType, RegionId, ServiceName, Sku, SubAccountId};

fn band(filters: &[(Dimension, &[&str])], counts: &[ChargeCategory]) -> Band {
    Band {
        name: "training".to_owned(),
        scope: Scope {
            filters: filters
                .iter()
                .map(|(dimension, values)| {
                    (*dimension, values.iter().map(|value| (*value).to_owned()).collect())
                })
                .collect(),
            ..Scope::default()
        },
        basis: CostBasis::Effective,
        counts: counts.to_vec(),
        currency: Currency::USD,
        limits: vec![BandLimits { effective_from: None, floor: 1.into(), ceiling: 2.into() }],
        owner: None,
        runbook_url: None,
        receiver: None,
    }
}

fn breakdown(query: &str, dimensions: &[Dimension], role: BreakdownRole) -> Breakdown {
    Breakdown {
        source: SourceId::new("aws"),
        query: query.to_owned(),
        filter: String::new(),
        dimensions: dimensions.to_vec(),
        role,
    }
}

/// What Cost Explorer is asked: two dimensions at most.
fn aws() -> Vec<Breakdown> {
    vec![
        breakdown("record_type", &[], Categories),
        breakdown("region", &[RegionId], Secondary),
        breakdown("service_sub_account", &[ServiceName, SubAccountId], Primary),
        breakdown("gpu", &[InstanceType, RegionId], Filtered),
    ]
}

fn from(query: &str) -> Answer {
    Answer::Breakdown { query: query.to_owned() }
}

#[test]
fn a_band_without_filters_is_the_primarys_total() {
    assert_eq!(answer(&band(&[], &[]), &aws()), from("service_sub_account"));
}

#[test]
fn filters_that_the_primary_holds_are_answered_from_it() {
    for filters in [
        &[(ServiceName, &["EC2"][..])][..],
        &[(SubAccountId, &["1", "2"])],
        &[(ServiceName, &["EC2"]), (SubAccountId, &["1"])],
    ] {
        assert_eq!(answer(&band(filters, &[]), &aws()), from("service_sub_account"));
    }
}

#[test]
fn filters_that_a_secondary_holds_are_answered_from_it() {
    assert_eq!(answer(&band(&[(RegionId, &["us-east-1"])], &[]), &aws()), from("region"));
}

#[test]
fn filters_over_two_breakdowns_need_a_query_of_their_own() {
    let filters = [(ServiceName, &["EC2"][..]), (RegionId, &["us-east-1"])];
    let band = band(&filters, &[]);
    let wanted = Answer::NeedsQuery { filters: band.scope.filters.clone() };
    assert_eq!(answer(&band, &aws()), wanted);
}

#[test]
fn a_breakdown_of_a_part_never_answers_another_part() {
    let band = band(&[(InstanceType, &["p5.48xlarge"])], &[]);
    let wanted = Answer::NeedsQuery { filters: band.scope.filters.clone() };
    assert_eq!(answer(&band, &aws()), wanted);
}

#[test]
fn the_bands_own_query_answers_it_once_it_is_there() {
    let mut breakdowns = aws();
    breakdowns.push(breakdown("band:inference", &[], Filtered));
    let band = band(&[(InstanceType, &["p5.48xlarge"])], &[]);
    assert!(matches!(answer(&band, &breakdowns), Answer::NeedsQuery { .. }));
    breakdowns.push(breakdown(&query_name(&band), &[], Filtered));
    assert_eq!(answer(&band, &breakdowns), from("band:training"));
}

#[test]
fn the_secondary_with_the_fewest_dimensions_is_taken() {
    let mut breakdowns = aws();
    breakdowns.insert(0, breakdown("a", &[RegionId, Sku], Secondary));
    let by_region = band(&[(RegionId, &["us-east-1"])], &[]);
    assert_eq!(answer(&by_region, &breakdowns), from("region"));
    breakdowns.push(breakdown("also_region", &[RegionId], Secondary));
    assert_eq!(answer(&by_region, &breakdowns), from("also_region"));
}

fn reason(band: &Band, breakdowns: &[Breakdown]) -> String {
    match answer(band, breakdowns) {
        Answer::Refused(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn excluded_money_cannot_be_counted_within_a_scope() {
    let band = band(&[(ServiceName, &["EC2"])], &[ChargeCategory::Tax]);
    let reason = reason(&band, &aws());
    assert!(reason.starts_with("`tax` cannot be counted within a scope"), "{reason}");
}

#[test]
fn excluded_money_is_counted_only_where_the_source_tells_it() {
    let band = band(&[], &[ChargeCategory::Tax, ChargeCategory::Credit]);
    assert_eq!(answer(&band, &aws()), from("service_sub_account"));
    let reason = reason(&band, &aws()[1..]);
    assert!(reason.starts_with("`tax`, `credit` cannot be counted: the source"), "{reason}");
}

#[test]
fn categories_of_spend_may_be_counted_anywhere_since_they_are_in_it() {
    let band = band(&[(ServiceName, &["EC2"])], &[ChargeCategory::Usage]);
    assert_eq!(answer(&band, &aws()), from("service_sub_account"));
}

#[test]
fn a_filter_on_a_category_outside_spend_is_refused() {
    let tax = band(&[(Dimension::ChargeCategory, &["usage", "tax"])], &[]);
    assert!(reason(&tax, &aws()).contains("name tax, credits and refunds in `counts`"));
    let usage = band(&[(Dimension::ChargeCategory, &["usage"])], &[]);
    assert!(matches!(answer(&usage, &aws()), Answer::NeedsQuery { .. }));
}

#[test]
fn a_scope_that_holds_nothing_or_contradicts_itself_is_refused() {
    assert!(reason(&band(&[(Sku, &[])], &[]), &aws()).contains("no money is in it"));
    let twice = band(&[(Sku, &["a"]), (Sku, &["b"])], &[]);
    assert!(reason(&twice, &aws()).contains("twice"));
}

#[test]
fn a_source_without_a_primary_has_no_total() {
    assert!(reason(&band(&[], &[]), &aws()[1..2]).contains("no primary breakdown"));
}

fn filters() -> impl Strategy<Value = Vec<Dimension>> {
    subsequence(Dimension::ALL.to_vec(), 0..=3)
}

fn breakdowns() -> impl Strategy<Value = Vec<Breakdown>> {
    let role = prop::sample::select(vec![Secondary, Categories, Filtered]);
    let other = (subsequence(Dimension::ALL.to_vec(), 0..=3), role, any::<bool>());
    let primary = subsequence(Dimension::ALL.to_vec(), 0..=2);
    (primary, prop::collection::vec(other, 0..8)).prop_flat_map(|(primary, others)| {
        let mut all = vec![breakdown("primary", &primary, Primary)];
        for (index, (dimensions, role, own)) in others.into_iter().enumerate() {
            let own = own && role == Filtered && all.iter().all(|one| one.query != "band:training");
            let query = if own { "band:training".to_owned() } else { format!("q{index}") };
            all.push(breakdown(&query, &dimensions, role));
        }
        Just(all).prop_shuffle()
    })
}

proptest! {
    #[test]
    fn no_two_breakdowns_are_ever_chosen_for_one_band(
        dimensions in filters(),
        breakdowns in breakdowns(),
        turn in 0_usize..8,
    ) {
        let values: &[&str] = &["usage"];
        let filters: Vec<_> = dimensions.iter().map(|dimension| (*dimension, values)).collect();
        let band = band(&filters, &[]);
        let chosen = answer(&band, &breakdowns);
        let mut turned = breakdowns.clone();
        turned.rotate_left(turn % breakdowns.len());
        prop_assert_eq!(&chosen, &answer(&band, &turned), "the order decided");
        match chosen {
            Answer::Breakdown { query } => {
                let named: Vec<&Breakdown> =
                    breakdowns.iter().filter(|breakdown| breakdown.query == query).collect();
                prop_assert_eq!(named.len(), 1);
                let breakdown = named[0];
                if query == query_name(&band) {
                    prop_assert_eq!(breakdown.role, Filtered);
                } else {
                    prop_assert!(matches!(breakdown.role, Primary | Secondary));
                    prop_assert!(dimensions.iter().all(|wanted| breakdown.dimensions.contains(wanted)));
                    prop_assert!(breakdown.role == Primary || !dimensions.is_empty());
                }
            }
            Answer::NeedsQuery { filters } => {
                prop_assert_eq!(filters, band.scope.filters);
                prop_assert!(!dimensions.is_empty());
                let answers = |breakdown: &Breakdown| {
                    let holds = |wanted| breakdown.dimensions.contains(wanted);
                    breakdown.query == "band:training"
                        || (matches!(breakdown.role, Primary | Secondary)
                            && dimensions.iter().all(holds))
                };
                prop_assert!(!breakdowns.iter().any(answers));
            }
            Answer::Refused(reason) => prop_assert!(false, "{}", reason),
        }
    }
}
