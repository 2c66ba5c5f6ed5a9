//! What is asked of Cost Explorer: the breakdowns with their groupings and filters, as one
//! canonical text for the ledger and as one expression for the wire.

use std::fmt;

use aws_sdk_costexplorer::error::BuildError;
use aws_sdk_costexplorer::types as wire;
use rust_decimal::Decimal;

use crate::collect::PlannedRequest;
use crate::collect::aws::config::is_account;
use crate::collect::aws::record_type;
use crate::domain::breakdown::{Breakdown, BreakdownRole, ChargeCategory, Dimension};
use crate::domain::identity::SourceId;
use crate::domain::money::{Currency, Money};
use crate::domain::period::Window;

/// The paid operation.
pub(crate) const OPERATION: &str = "GetCostAndUsage";

/// The service whose rows carry the machine types of virtual machines.
const EC2: &str = "Amazon Elastic Compute Cloud - Compute";

/// Groups that are taken for one page when pages are estimated. AWS names no page size.
const GROUPS_PER_PAGE: u32 = 1_000;

/// What one request (one page) costs: "Each paginated API request incurs a charge of $0.01"
/// (Cost Explorer pricing).
pub(crate) fn price() -> Money {
    Money::new(Decimal::new(1, 2), Currency::USD)
}

/// One of the values of a dimension, or none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    dimension: wire::Dimension,
    excluded: bool,
    values: Vec<String>,
}

impl Condition {
    fn new(dimension: wire::Dimension, excluded: bool, values: &[impl AsRef<str>]) -> Self {
        let mut values: Vec<String> =
            values.iter().map(|value| value.as_ref().to_owned()).collect();
        values.sort();
        values.dedup();
        Self { dimension, excluded, values }
    }

    fn expression(&self) -> wire::Expression {
        let values = wire::DimensionValues::builder()
            .key(self.dimension.clone())
            .set_values(Some(self.values.clone()))
            .build();
        let within = wire::Expression::builder().dimensions(values).build();
        if self.excluded { wire::Expression::builder().not(within).build() } else { within }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.excluded { "not in" } else { "in" };
        write!(f, "{} {word} {:?}", self.dimension.as_str(), self.values)
    }
}

/// One question: what it is for, how it is grouped, filtered and, for GPU types, sifted.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// The breakdown that the rows belong to. The control total's is never told to the ledger.
    pub(crate) breakdown: Breakdown,
    /// Whether it is the ungrouped control total.
    pub(crate) control: bool,
    /// Whether use is asked for.
    pub(crate) quantity: bool,
    /// Instance families whose rows are kept; none to keep every row.
    pub(crate) families: Option<Vec<String>>,
    conditions: Vec<Condition>,
    groups_per_day: u32,
}

impl Query {
    fn new(
        source: &SourceId,
        name: &str,
        role: BreakdownRole,
        dimensions: &[Dimension],
        conditions: Vec<Condition>,
        groups_per_day: u32,
    ) -> Self {
        let filter = conditions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        Self {
            breakdown: Breakdown {
                source: source.clone(),
                query: name.to_owned(),
                filter,
                dimensions: dimensions.to_vec(),
                role,
            },
            control: false,
            quantity: false,
            families: None,
            conditions,
            groups_per_day,
        }
    }

    /// Its name in errors: `service_sub_account`.
    pub(crate) fn name(&self) -> &str {
        &self.breakdown.query
    }

    /// Whether rows with these keys are kept.
    pub(crate) fn keeps(&self, keys: &[String]) -> bool {
        let Some(families) = &self.families else { return true };
        keys.first().is_some_and(|instance_type| is_of_family(instance_type, families))
    }

    /// The metrics that are asked for.
    pub(crate) fn metrics(&self) -> Vec<String> {
        let mut metrics = vec!["UnblendedCost".to_owned(), "AmortizedCost".to_owned()];
        if self.quantity {
            metrics.push("UsageQuantity".to_owned());
        }
        metrics
    }

    /// The grouping on the wire, none for a total.
    pub(crate) fn group_by(&self) -> Option<Vec<wire::GroupDefinition>> {
        let groups: Vec<_> = self
            .breakdown
            .dimensions
            .iter()
            .filter_map(|dimension| wire_dimension(*dimension))
            .map(|key| {
                wire::GroupDefinition::builder()
                    .r#type(wire::GroupDefinitionType::Dimension)
                    .key(key.as_str())
                    .build()
            })
            .collect();
        (!groups.is_empty()).then_some(groups)
    }

    /// The filter on the wire, none for the whole bill.
    pub(crate) fn filter(&self) -> Option<wire::Expression> {
        match self.conditions.as_slice() {
            [] => None,
            [only] => Some(only.expression()),
            several => {
                let all = several.iter().map(Condition::expression).collect();
                Some(wire::Expression::builder().set_and(Some(all)).build())
            }
        }
    }

    /// What the plan says of it. Cost Explorer names no page size and no number of groups, so the
    /// pages are estimated from above: the days of the window times the groups of a large
    /// organisation's day, a thousand groups to a page.
    pub(crate) fn planned(&self, window: &Window) -> PlannedRequest {
        let days = u32::try_from(window.days().count()).unwrap_or(u32::MAX);
        let groups = days.saturating_mul(self.groups_per_day);
        let dimensions: Vec<&str> =
            self.breakdown.dimensions.iter().map(|dimension| dimension.as_str()).collect();
        let purpose = match (self.control, dimensions.as_slice()) {
            (true, _) => "control total".to_owned(),
            (false, []) => format!("{} ({})", self.name(), self.breakdown.filter),
            (false, dimensions) if self.families.is_some() => {
                format!("{} of GPU families", dimensions.join(" x "))
            }
            (false, dimensions) => dimensions.join(" x "),
        };
        PlannedRequest {
            operation: OPERATION,
            purpose,
            at_most: groups.div_ceil(GROUPS_PER_PAGE).max(1),
            price: Some(price()),
        }
    }
}

/// The time period on the wire: the end is exclusive there too.
pub(crate) fn time_period(window: &Window) -> Result<wire::DateInterval, BuildError> {
    wire::DateInterval::builder()
        .start(window.start.to_string())
        .end(window.end.to_string())
        .build()
}

/// The standard questions, the primary first, then the control total so that both see the same
/// state of the bill.
pub(crate) fn standard(source: &SourceId, gpu_families: &[String]) -> Vec<Query> {
    let spend = || vec![Condition::new(wire::Dimension::RecordType, true, &record_type::EXCLUDED)];
    let primary = Query {
        quantity: true,
        ..Query::new(
            source,
            "service_sub_account",
            BreakdownRole::Primary,
            &[Dimension::ServiceName, Dimension::SubAccountId],
            spend(),
            200,
        )
    };
    let control = Query {
        control: true,
        ..Query::new(source, "control_total", BreakdownRole::Secondary, &[], spend(), 1)
    };
    let categories = Query::new(
        source,
        "record_type",
        BreakdownRole::Categories,
        &[Dimension::ChargeCategory],
        Vec::new(),
        12,
    );
    let region =
        Query::new(source, "region", BreakdownRole::Secondary, &[Dimension::RegionId], spend(), 25);
    let mut queries = vec![primary, control, categories, region];
    if !gpu_families.is_empty() {
        queries.push(gpu(source, spend(), gpu_families));
    }
    queries
}

/// Machine types are asked whole for EC2 and sifted here. A filter on INSTANCE_TYPE takes exact
/// names only (MatchOptions EQUALS): a list of types would miss the next size of a family in
/// silence, and the product of families and sizes would run into the limit on filters that the
/// API reference mentions. EC2 alone has some sixty types and regions a day, so the price is a
/// page or two more.
fn gpu(source: &SourceId, mut conditions: Vec<Condition>, families: &[String]) -> Query {
    conditions.push(Condition::new(wire::Dimension::Service, false, &[EC2]));
    let mut query = Query::new(
        source,
        "gpu_instance_type",
        BreakdownRole::Filtered,
        &[Dimension::InstanceType, Dimension::RegionId],
        conditions,
        60,
    );
    query.breakdown.filter.push_str(&format!(" and INSTANCE_TYPE family in {families:?}"));
    query.quantity = true;
    query.families = Some(families.to_vec());
    query
}

/// The question for a band's own scope.
///
/// # Errors
/// Why Cost Explorer cannot be asked so.
pub(crate) fn filtered(
    source: &SourceId,
    query: &str,
    filters: &[(Dimension, Vec<String>)],
) -> Result<Query, String> {
    if filters.is_empty() {
        return Err("the scope has no filter: the source's total already answers it".to_owned());
    }
    let mut conditions =
        vec![Condition::new(wire::Dimension::RecordType, true, &record_type::EXCLUDED)];
    for (dimension, values) in filters {
        if values.is_empty() {
            return Err(format!("`{dimension}` has no value to filter on"));
        }
        match dimension {
            Dimension::Sku => {
                return Err("Cost Explorer cannot filter on `sku`; use `service_name`, \
                            `sub_account_id`, `region_id` or `instance_type`"
                    .to_owned());
            }
            Dimension::ChargeCategory => conditions.extend(of_categories(values)?),
            Dimension::SubAccountId => {
                if let Some(wrong) = values.iter().find(|value| !is_account(value)) {
                    return Err(format!("`{wrong}` is not an AWS account: want 12 digits"));
                }
                conditions.push(Condition::new(wire::Dimension::LinkedAccount, false, values));
            }
            Dimension::ServiceName | Dimension::RegionId | Dimension::InstanceType => {
                let key = wire_dimension(*dimension).unwrap_or(wire::Dimension::Service);
                let named: Vec<String> =
                    values.iter().map(|value| to_wire(*dimension, value)).collect();
                conditions.push(Condition::new(key, false, &named));
            }
        }
    }
    Ok(Query::new(source, query, BreakdownRole::Filtered, &[], conditions, 1))
}

/// Charge categories as conditions on RECORD_TYPE, within spend.
fn of_categories(values: &[String]) -> Result<Option<Condition>, String> {
    let mut usage = false;
    let mut purchase = false;
    for value in values {
        match value.parse::<ChargeCategory>() {
            Ok(ChargeCategory::Usage) => usage = true,
            Ok(ChargeCategory::Purchase) => purchase = true,
            Ok(other) => {
                return Err(format!(
                    "`{}` is not part of spend; name it under `counts` of the band",
                    other.as_str()
                ));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    let purchases = record_type::PURCHASES;
    Ok(match (usage, purchase) {
        (true, false) => Some(Condition::new(wire::Dimension::RecordType, true, &purchases)),
        (false, true) => Some(Condition::new(wire::Dimension::RecordType, false, &purchases)),
        _ => None,
    })
}

fn wire_dimension(dimension: Dimension) -> Option<wire::Dimension> {
    match dimension {
        Dimension::ServiceName => Some(wire::Dimension::Service),
        Dimension::SubAccountId => Some(wire::Dimension::LinkedAccount),
        Dimension::RegionId => Some(wire::Dimension::Region),
        Dimension::InstanceType => Some(wire::Dimension::InstanceType),
        Dimension::ChargeCategory => Some(wire::Dimension::RecordType),
        Dimension::Sku => None,
    }
}

/// What Cost Explorer calls the group without a value.
fn no_value(dimension: Dimension) -> Option<&'static str> {
    match dimension {
        Dimension::ServiceName => Some("NoService"),
        Dimension::RegionId => Some("NoRegion"),
        Dimension::InstanceType => Some("NoInstanceType"),
        Dimension::SubAccountId | Dimension::ChargeCategory | Dimension::Sku => None,
    }
}

/// A key of a reply as it stands in rows: the empty text where there is no value.
pub(crate) fn from_wire(dimension: Dimension, key: &str) -> String {
    if no_value(dimension) == Some(key) { String::new() } else { key.to_owned() }
}

fn to_wire(dimension: Dimension, key: &str) -> String {
    match no_value(dimension) {
        Some(word) if key.is_empty() => word.to_owned(),
        _ => key.to_owned(),
    }
}

/// Whether `p5en.48xlarge` belongs to one of the families `p5en` or `p5*`.
fn is_of_family(instance_type: &str, families: &[String]) -> bool {
    let Some((family, _)) = instance_type.split_once('.') else { return false };
    families.iter().any(|wanted| match wanted.strip_suffix('*') {
        Some(beginning) => family.starts_with(beginning),
        None => family == wanted,
    })
}

#[cfg(test)]
mod tests;
