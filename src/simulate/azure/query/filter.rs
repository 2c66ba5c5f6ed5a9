//! The filter tree of a query: `and`, `or`, `not`, `dimensions`, `tags`.

use serde_json::Value as Json;

use crate::simulate::azure::query::definition::{member, text};
use crate::simulate::azure::query::dimension;
use crate::simulate::azure::refusal::Refusal;
use crate::simulate::charge::Charge;

/// Which charges a query tells.
pub enum Filter {
    /// Every one of several.
    And(Vec<Filter>),
    /// Any one of several.
    Or(Vec<Filter>),
    /// The opposite.
    Not(Box<Filter>),
    /// A dimension's value is one of these, whatever their case.
    In { value: dimension::Value, among: Vec<String> },
    /// The charges of a simulated world bear no tags.
    Tag,
}

impl Filter {
    /// Reads one level of the tree.
    ///
    /// # Errors
    /// 400 for a level that is not exactly one expression, for another operator than `In`, for an
    /// unknown dimension.
    pub fn read(filter: &Json, tells_resources: bool) -> Result<Self, Refusal> {
        let [only] = &*filter.as_object().into_iter().flatten().collect::<Vec<_>>() else {
            return Err(Refusal::bad_query("Invalid dataset filter; it must have one expression"));
        };
        let (name, inner) = *only;
        let several = || {
            let inner = inner.as_array().map(Vec::as_slice).unwrap_or_default();
            if inner.len() < 2 {
                let what = format!("Invalid dataset filter; '{name}' must have at least 2 items");
                return Err(Refusal::bad_query(what));
            }
            inner.iter().map(|filter| Self::read(filter, tells_resources)).collect()
        };
        match name.to_ascii_lowercase().as_str() {
            "and" => Ok(Self::And(several()?)),
            "or" => Ok(Self::Or(several()?)),
            "not" => Ok(Self::Not(Box::new(Self::read(inner, tells_resources)?))),
            "dimensions" | "dimension" => {
                let (name, among) = comparison(inner)?;
                let value = dimension::find(&name, tells_resources).map_err(|valid| {
                    Refusal::bad_query(format!(
                        "Invalid dataset filter dimension: '{name}'; valid values: {valid}"
                    ))
                })?;
                Ok(Self::In { value, among })
            }
            "tags" | "tag" => comparison(inner).map(|_| Self::Tag),
            _ => Err(Refusal::bad_query(format!("Invalid dataset filter: '{name}'"))),
        }
    }

    /// Whether a charge passes.
    pub fn matches(&self, charge: &Charge) -> bool {
        match self {
            Self::And(all) => all.iter().all(|filter| filter.matches(charge)),
            Self::Or(any) => any.iter().any(|filter| filter.matches(charge)),
            Self::Not(inner) => !inner.matches(charge),
            Self::In { value, among } => {
                let value = value(charge);
                among.iter().any(|known| known.eq_ignore_ascii_case(&value))
            }
            Self::Tag => false,
        }
    }
}

fn comparison(expression: &Json) -> Result<(String, Vec<String>), Refusal> {
    let operator = text(expression, "operator").unwrap_or_default();
    if !operator.eq_ignore_ascii_case("In") {
        let what = format!("Invalid dataset filter operator: '{operator}'; valid values: 'In'");
        return Err(Refusal::bad_query(what));
    }
    let values = member(expression, "values").and_then(Json::as_array);
    let values: Option<Vec<String>> = values
        .filter(|values| !values.is_empty())
        .and_then(|values| values.iter().map(|value| value.as_str().map(str::to_owned)).collect());
    match (text(expression, "name"), values) {
        (Some(name), Some(values)) => Ok((name.to_owned(), values)),
        _ => Err(Refusal::bad_query("Invalid dataset filter; name and values must be supplied")),
    }
}
