//! Dimensions of a charge in Cost Explorer's words, and filters over them.

use std::borrow::Cow;

use super::error::AwsError;
use super::request::{Expression, GroupBy, Values};
use crate::simulate::charge::Charge;

/// A dimension that the simulated bill can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    Service,
    LinkedAccount,
    LinkedAccountName,
    Region,
    RecordType,
    InstanceType,
    InstanceTypeFamily,
    UsageType,
    PurchaseType,
    BillingEntity,
    LegalEntityName,
    /// A tag or a cost category that no charge bears: `team$`.
    Absent(String),
}

/// The values of a dimension for the valid keys of the service that the world says nothing about.
const SILENT: [(&str, &str); 6] = [
    ("AZ", "NoAZ"),
    ("OPERATION", "NoOperation"),
    ("PLATFORM", "NoPlatform"),
    ("TENANCY", "NoTenancy"),
    ("OPERATING_SYSTEM", "NoOperatingSystem"),
    ("DATABASE_ENGINE", "NoDatabaseEngine"),
];

impl Key {
    pub(crate) fn dimension(name: &str) -> Option<Self> {
        Some(match name {
            "SERVICE" => Self::Service,
            "LINKED_ACCOUNT" => Self::LinkedAccount,
            "LINKED_ACCOUNT_NAME" => Self::LinkedAccountName,
            "REGION" => Self::Region,
            "RECORD_TYPE" => Self::RecordType,
            "INSTANCE_TYPE" => Self::InstanceType,
            "INSTANCE_TYPE_FAMILY" => Self::InstanceTypeFamily,
            "USAGE_TYPE" => Self::UsageType,
            "PURCHASE_TYPE" => Self::PurchaseType,
            "BILLING_ENTITY" => Self::BillingEntity,
            "LEGAL_ENTITY_NAME" => Self::LegalEntityName,
            other => {
                let (_, none) = SILENT.iter().find(|(name, _)| *name == other)?;
                Self::Absent((*none).to_owned())
            }
        })
    }

    pub(crate) fn group(group: &GroupBy) -> Result<Self, AwsError> {
        match group.kind.as_str() {
            "DIMENSION" => Self::dimension(&group.key).ok_or_else(|| {
                AwsError::validation(format!(
                    "Group Definition dimension is invalid: {}",
                    group.key
                ))
            }),
            "TAG" | "COST_CATEGORY" => Ok(Self::Absent(format!("{}$", group.key))),
            other => Err(AwsError::validation(format!(
                "1 validation error detected: Value '{other}' at 'groupBy.1.member.type' failed to \
                 satisfy constraint: Member must satisfy enum value set: [DIMENSION, TAG, \
                 COST_CATEGORY]"
            ))),
        }
    }

    /// The value as the service writes it; `NoRegion` and the like for none.
    pub(crate) fn of<'a>(&'a self, charge: &'a Charge) -> Cow<'a, str> {
        let or = |value: &'a str, none: &'a str| {
            Cow::Borrowed(if value.is_empty() { none } else { value })
        };
        let instance_type = charge.instance_type.as_deref().unwrap_or_default();
        match self {
            Self::Service => or(&charge.service_name, "NoService"),
            Self::LinkedAccount => or(&charge.sub_account_id, "NoLinkedAccount"),
            Self::LinkedAccountName => or(&charge.sub_account_name, "NoLinkedAccountName"),
            Self::Region => or(&charge.region_id, "NoRegion"),
            Self::RecordType => or(&charge.record_type, "NoRecordType"),
            Self::UsageType => or(&charge.sku, "NoUsageType"),
            Self::InstanceType => or(instance_type, "NoInstanceType"),
            Self::InstanceTypeFamily => {
                let family = instance_type.rsplit_once('.').map_or("", |(family, _)| family);
                or(
                    family.trim_start_matches("db.").trim_start_matches("ml."),
                    "NoInstanceTypeFamily",
                )
            }
            Self::PurchaseType => Cow::Borrowed(match charge.record_type.as_str() {
                "SavingsPlanCoveredUsage" => "Savings Plans",
                _ if instance_type.is_empty() => "NoPurchaseType",
                _ => "On Demand Instances",
            }),
            Self::BillingEntity => Cow::Borrowed("AWS"),
            Self::LegalEntityName => Cow::Borrowed("Amazon Web Services, Inc."),
            Self::Absent(value) => Cow::Borrowed(value),
        }
    }
}

/// A checked filter.
#[derive(Debug)]
pub(crate) enum Filter {
    All,
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Values { key: Key, values: Vec<String>, matching: Matching },
}

/// How values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Matching {
    rule: Rule,
    any_case: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Equals,
    StartsWith,
    EndsWith,
    Contains,
    Absent,
}

impl Filter {
    pub(crate) fn new(expression: Option<&Expression>) -> Result<Self, AwsError> {
        expression.map_or(Ok(Self::All), Self::of)
    }

    fn of(expression: &Expression) -> Result<Self, AwsError> {
        let Expression { and, or, not, dimensions, tags, cost_categories } = expression;
        let roots = [
            and.is_some(),
            or.is_some(),
            not.is_some(),
            dimensions.is_some(),
            tags.is_some(),
            cost_categories.is_some(),
        ];
        if roots.into_iter().filter(|root| *root).count() != 1 {
            return Err(AwsError::validation(
                "Expression has zero or more than one roots. Only one root operator is allowed for \
                 each expression: \"and\", \"or\", \"not\", \"tag\" or \"dimensionValue\"",
            ));
        }
        if let Some(operands) = and {
            return Ok(Self::And(Self::operands("And", operands)?));
        }
        if let Some(operands) = or {
            return Ok(Self::Or(Self::operands("Or", operands)?));
        }
        if let Some(operand) = not {
            return Ok(Self::Not(Box::new(Self::of(operand)?)));
        }
        if let Some(values) = dimensions {
            let name = values.key.as_deref().unwrap_or_default();
            let key = Key::dimension(name).ok_or_else(|| {
                AwsError::validation(format!("Dimension {name} is not supported by this operation"))
            })?;
            return Self::values(key, values);
        }
        match tags.as_ref().or(cost_categories.as_ref()) {
            Some(values) => Self::values(Key::Absent(String::new()), values),
            None => Ok(Self::All),
        }
    }

    fn operands(name: &str, operands: &[Expression]) -> Result<Vec<Self>, AwsError> {
        if operands.len() < 2 {
            return Err(AwsError::validation(format!(
                "{name} expression must have at least 2 operands"
            )));
        }
        operands.iter().map(Self::of).collect()
    }

    fn values(key: Key, values: &Values) -> Result<Self, AwsError> {
        let mut matching = Matching { rule: Rule::Equals, any_case: false };
        for option in &values.match_options {
            match option.as_str() {
                "EQUALS" => matching.rule = Rule::Equals,
                "STARTS_WITH" => matching.rule = Rule::StartsWith,
                "ENDS_WITH" => matching.rule = Rule::EndsWith,
                "CONTAINS" => matching.rule = Rule::Contains,
                "ABSENT" => matching.rule = Rule::Absent,
                "CASE_SENSITIVE" => matching.any_case = false,
                "CASE_INSENSITIVE" => matching.any_case = true,
                other => {
                    return Err(AwsError::validation(format!("Match option {other} is not valid")));
                }
            }
        }
        if values.values.is_empty() && matching.rule != Rule::Absent {
            return Err(AwsError::validation("Dimension values must not be empty"));
        }
        Ok(Self::Values { key, values: values.values.clone(), matching })
    }

    pub(crate) fn admits(&self, charge: &Charge) -> bool {
        match self {
            Self::All => true,
            Self::And(operands) => operands.iter().all(|operand| operand.admits(charge)),
            Self::Or(operands) => operands.iter().any(|operand| operand.admits(charge)),
            Self::Not(operand) => !operand.admits(charge),
            Self::Values { key, values, matching } => {
                let value = key.of(charge);
                match matching.rule {
                    Rule::Absent => value.is_empty() || value.starts_with("No"),
                    _ => values.iter().any(|wanted| matching.matches(&value, wanted)),
                }
            }
        }
    }
}

impl Matching {
    fn matches(self, value: &str, wanted: &str) -> bool {
        let fold = |text: &str| if self.any_case { text.to_lowercase() } else { text.to_owned() };
        let (value, wanted) = (fold(value), fold(wanted));
        match self.rule {
            Rule::Equals => value == wanted,
            Rule::StartsWith => value.starts_with(&wanted),
            Rule::EndsWith => value.ends_with(&wanted),
            Rule::Contains => value.contains(&wanted),
            Rule::Absent => false,
        }
    }
}
