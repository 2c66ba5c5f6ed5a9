//! Which one breakdown of a source answers a band: the same money is told several times, so a band
//! is never answered from two of them.

use crate::domain::band::Band;
use crate::domain::breakdown::{Breakdown, BreakdownRole, ChargeCategory, Dimension};

/// How a source can answer a band.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// From a breakdown that the source has. The band's filters select its rows; of a breakdown
    /// that was made for the band (`band:NAME`, role `filtered`) every row is in.
    Breakdown {
        /// Its name within the source.
        query: String,
    },
    /// By a filtered query of its own, named [`query_name`].
    NeedsQuery {
        /// The band's filters.
        filters: Vec<(Dimension, Vec<String>)>,
    },
    /// Not at all: why, and what to do.
    Refused(String),
}

/// The name of the filtered breakdown that is made for a band.
pub fn query_name(band: &Band) -> String {
    format!("band:{}", band.name)
}

/// Finds how one source, told by its breakdowns, answers a band.
///
/// In this order: the band's own filtered breakdown, the primary, the secondary breakdown with the
/// fewest dimensions (by name among equals), a query to be made. The order of `breakdowns` does not
/// matter.
pub fn answer(band: &Band, breakdowns: &[Breakdown]) -> Answer {
    if let Some(reason) = refusal(band, breakdowns) {
        return Answer::Refused(reason);
    }
    let filters = &band.scope.filters;
    let own = query_name(band);
    let is_own = |breakdown: &&Breakdown| {
        breakdown.role == BreakdownRole::Filtered && breakdown.query == own
    };
    if !filters.is_empty() && breakdowns.iter().any(|breakdown| is_own(&breakdown)) {
        return Answer::Breakdown { query: own };
    }
    let whole = breakdowns.iter().filter(|breakdown| {
        matches!(breakdown.role, BreakdownRole::Primary | BreakdownRole::Secondary)
            && filters.iter().all(|(dimension, _)| breakdown.dimensions.contains(dimension))
    });
    // A band without filters is the source's total, which the primary alone makes.
    let chosen = whole
        .filter(|breakdown| breakdown.role == BreakdownRole::Primary || !filters.is_empty())
        .min_by_key(|breakdown| (breakdown.role, breakdown.dimensions.len(), &breakdown.query));
    match chosen {
        Some(breakdown) => Answer::Breakdown { query: breakdown.query.clone() },
        None if filters.is_empty() => {
            Answer::Refused("the source has no primary breakdown, which makes totals".to_owned())
        }
        None => Answer::NeedsQuery { filters: filters.clone() },
    }
}

fn refusal(band: &Band, breakdowns: &[Breakdown]) -> Option<String> {
    let filters = &band.scope.filters;
    for (index, (dimension, values)) in filters.iter().enumerate() {
        if values.is_empty() {
            return Some(format!("`{dimension}` has no value, so no money is in it"));
        }
        if filters.iter().take(index).any(|(earlier, _)| earlier == dimension) {
            return Some(format!("`{dimension}` stands there twice: give its values in one list"));
        }
        if *dimension == Dimension::ChargeCategory
            && let Some(value) = values
                .iter()
                .find(|value| !value.parse::<ChargeCategory>().is_ok_and(ChargeCategory::in_spend))
        {
            return Some(format!(
                "`{value}` is not a charge category of spend, which is `usage` and `purchase`: name tax, credits and refunds in `counts`"
            ));
        }
    }
    let counts = band.counts.iter().filter(|category| !category.in_spend());
    let counts = counts.map(|category| format!("`{}`", category.as_str())).collect::<Vec<_>>();
    if counts.is_empty() {
        return None;
    }
    let counts = counts.join(", ");
    if !filters.is_empty() {
        return Some(format!(
            "{counts} cannot be counted within a scope: what spend leaves out is known for a whole source only; remove `counts` or `scope`"
        ));
    }
    let told = breakdowns.iter().any(|breakdown| breakdown.role == BreakdownRole::Categories);
    (!told).then(|| {
        format!("{counts} cannot be counted: the source does not tell its charge categories")
    })
}

#[cfg(test)]
mod tests;
