//! What a source cost over some days, for drilling down: as a whole or by the values of a dimension,
//! of all of its money or of the part that other dimensions narrow it to.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::breakdown::{Amounts, Dimension};
use crate::domain::identity::{Provider, SourceId};
use crate::domain::money::Currency;
use crate::domain::period::Window;
use crate::domain::report::Completeness;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpendQuestion {
    /// The source.
    pub source: SourceId,
    /// The usage days, in the provider's billing zone.
    pub window: Window,
    /// The dimension whose values are told apart; none for one sum a day.
    pub by: Option<Dimension>,
    /// What it is narrowed to: one value of each dimension. Empty text for the costs that name none.
    pub filters: BTreeMap<Dimension, String>,
}

/// The answer. A row counts on its usage day, whichever month's invoice carries it.
#[derive(Debug, Clone, PartialEq)]
pub struct SpendRange {
    /// When it was made.
    pub as_of: Timestamp,
    /// The question.
    pub question: SpendQuestion,
    /// The source's provider.
    pub provider: Provider,
    /// What people call the values of the filters, where the provider tells it.
    pub filter_names: BTreeMap<Dimension, String>,
    /// The days on which the source has a cost or is complete, ascending.
    pub days: Vec<SpendDay>,
    /// The sums of all parts.
    pub totals: BTreeMap<Currency, Amounts>,
    /// In each currency the largest values first, what is not told apart last.
    pub parts: Vec<SpendPart>,
    /// How many values are added up as [`PartKey::Others`].
    pub folded: usize,
    /// The dimensions that the source tells together, one list for each of its breakdowns.
    pub tells: Vec<Vec<Dimension>>,
}

/// How sure the figures of a day are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpendDay {
    /// The day.
    pub day: Date,
    /// [`Completeness::Complete`] or [`Completeness::Provisional`], for the whole source.
    pub completeness: Completeness,
}

/// The cost of one value, in one currency.
#[derive(Debug, Clone, PartialEq)]
pub struct SpendPart {
    /// Which.
    pub key: PartKey,
    /// What people call it.
    pub name: Option<String>,
    /// The currency.
    pub currency: Currency,
    /// The sum over the days.
    pub total: Amounts,
    /// What is booked on each day. A day that is missing here cost nothing where the range calls it
    /// complete; on any other day it is not known.
    pub days: BTreeMap<Date, Amounts>,
}

/// What a part is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartKey {
    /// Everything that was asked for.
    Whole,
    /// A value of the dimension; empty text for the costs that name none.
    Value(String),
    /// The values that are not told apart.
    Others,
}

/// Why a question has no answer: no breakdown of the source tells these dimensions together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NotTold {
    /// What is missing, and what is told.
    pub reason: String,
    /// The dimensions that are told together, one list for each breakdown.
    pub tells: Vec<Vec<Dimension>>,
}
