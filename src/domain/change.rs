//! What moved a cost from one week to the next.

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::domain::breakdown::Dimension;
use crate::domain::money::Currency;

/// A cost held against the same number of days before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The first of the later days.
    pub from: Date,
    /// The last of the later days.
    pub to: Date,
    /// How many days each side has.
    pub days: usize,
    /// The currency.
    pub currency: Currency,
    /// The earlier days' cost.
    pub before: Decimal,
    /// The later days' cost.
    pub after: Decimal,
    /// One entry for each dimension that was given.
    pub along: Vec<ChangeAlong>,
}

/// A change told along one dimension. Dimensions tell the same change again; they are never added.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangeAlong {
    /// The dimension.
    pub dimension: Dimension,
    /// The values, the largest change first, then by value.
    pub parts: Vec<ChangePart>,
    /// Price against quantity against mix, of the values whose quantity is known on both sides.
    pub effects: ChangeEffects,
}

/// One value's change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangePart {
    /// The value.
    pub key: String,
    /// The earlier days' cost.
    pub before: Decimal,
    /// The later days' cost.
    pub after: Decimal,
    /// The later cost less the earlier one.
    pub change: Decimal,
    /// The part of it that a moved unit price explains; none without quantities.
    pub price: Option<Decimal>,
    /// The part that a moved quantity explains, at the earlier unit price.
    pub quantity: Option<Decimal>,
}

/// What a change is made of. The four sum to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ChangeEffects {
    /// Unit prices moved.
    pub price: Decimal,
    /// More or less was used, all values alike.
    pub quantity: Decimal,
    /// Use moved between values of different price.
    pub mix: Decimal,
    /// Values without quantities, those that are new and those that ended.
    pub untold: Decimal,
}
