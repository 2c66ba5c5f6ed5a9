//! The document of what a source cost by day.

use std::collections::BTreeMap;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Serialize;

use super::{completeness, cost, text};
use crate::domain::breakdown::{Amounts, Dimension};
use crate::domain::spend_range::{NotTold, PartKey, SpendPart, SpendRange};
use crate::export::api::Cost;
use crate::export::metrics::OTHER;

/// `/api/v1/spend/days`: what a source cost by day. A cost counts on its usage day, whichever
/// month's invoice carries it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SpendDays {
    /// When the answer was made, RFC 3339.
    pub as_of: String,
    /// The source.
    pub source: String,
    /// `aws`, `gcp` or `azure`.
    pub provider: String,
    /// The first usage day, in the provider's billing zone.
    pub from: String,
    /// The day after the last.
    pub to: String,
    /// The dimension whose values are told apart; absent for one sum a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What the answer is narrowed to.
    pub filters: Vec<SpendFilterView>,
    /// The days on which the source has a cost or is complete. A day that a series leaves out cost
    /// nothing where it is complete; where it is not, or does not stand here, it is not known.
    pub days: Vec<SpendDayView>,
    /// The sums of all series, one for each currency.
    pub totals: Vec<Cost>,
    /// The largest values first, at most 200 in each currency; the others added up as `__other__`.
    pub series: Vec<SpendSeriesView>,
    /// How many values are in `__other__`.
    pub folded: usize,
    /// The dimensions that the source tells together: what can be asked.
    pub tells: Vec<Vec<String>>,
}

/// One value that an answer is narrowed to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SpendFilterView {
    /// The dimension.
    pub dimension: String,
    /// The value.
    pub key: String,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// How sure the figures of a day are.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SpendDayView {
    /// The usage day.
    pub day: String,
    /// `provisional` or `complete`.
    pub completeness: String,
}

/// The cost of one value in one currency.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SpendSeriesView {
    /// The value; empty for costs that name none, `__other__` for those that are not told apart,
    /// absent where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// ISO 4217.
    pub currency: String,
    /// The sum of FOCUS BilledCost; absent where a part of it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billed_cost: Option<String>,
    /// The sum of FOCUS EffectiveCost; absent where a part of it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_cost: Option<String>,
    /// What is booked, by day.
    pub days: Vec<SpendAmountView>,
}

/// What is booked on a day.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SpendAmountView {
    /// The usage day.
    pub day: String,
    /// FOCUS BilledCost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billed_cost: Option<String>,
    /// FOCUS EffectiveCost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_cost: Option<String>,
}

/// Why a question of spend has no answer.
#[derive(Debug, Clone, Serialize)]
pub struct SpendNotTold {
    /// The sentence.
    pub error: String,
    /// The dimensions that are told together.
    pub tells: Vec<Vec<String>>,
}

/// The document of an answer.
pub fn spend_days(range: &SpendRange) -> SpendDays {
    let question = &range.question;
    let filters = question.filters.iter().map(|(of, key)| SpendFilterView {
        dimension: of.as_str().to_owned(),
        key: key.clone(),
        name: range.filter_names.get(of).cloned(),
    });
    let days = range.days.iter().map(|held| SpendDayView {
        day: held.day.to_string(),
        completeness: completeness(held.completeness),
    });
    SpendDays {
        as_of: range.as_of.to_string(),
        source: question.source.to_string(),
        provider: range.provider.to_string(),
        from: question.window.start.to_string(),
        to: question.window.end.to_string(),
        by: question.by.map(|by| by.as_str().to_owned()),
        filters: filters.collect(),
        days: days.collect(),
        totals: range.totals.iter().map(|(of, sum)| cost("", *of, sum, None)).collect(),
        series: range.parts.iter().map(series).collect(),
        folded: range.folded,
        tells: words(&range.tells),
    }
}

/// The document of a question without an answer.
pub fn spend_not_told(not_told: &NotTold) -> SpendNotTold {
    SpendNotTold { error: not_told.reason.clone(), tells: words(&not_told.tells) }
}

fn words(tells: &[Vec<Dimension>]) -> Vec<Vec<String>> {
    let words = |told: &Vec<Dimension>| told.iter().map(|of| of.as_str().to_owned()).collect();
    tells.iter().map(words).collect()
}

fn series(part: &SpendPart) -> SpendSeriesView {
    SpendSeriesView {
        key: match &part.key {
            PartKey::Whole => None,
            PartKey::Value(key) => Some(key.clone()),
            PartKey::Others => Some(OTHER.to_owned()),
        },
        name: part.name.clone(),
        currency: part.currency.to_string(),
        billed_cost: part.total.billed.map(text),
        effective_cost: part.total.effective.map(text),
        days: amounts(&part.days),
    }
}

fn amounts(days: &BTreeMap<Date, Amounts>) -> Vec<SpendAmountView> {
    let view = |(day, amounts): (&Date, &Amounts)| SpendAmountView {
        day: day.to_string(),
        billed_cost: amounts.billed.map(text),
        effective_cost: amounts.effective.map(text),
    };
    days.iter().map(view).collect()
}
