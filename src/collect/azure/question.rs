//! What a poll asks: each breakdown as columns of Cost Management and a filter on them.

use crate::domain::breakdown::{Breakdown, BreakdownRole, ChargeCategory, Dimension};
use crate::domain::identity::SourceId;

use super::regions::spellings;

/// Charge types that make spend: usage and purchases after discounts, with the unused rest of
/// commitments and the rounding of the bill ("Cost details fields", `ChargeType`).
const SPEND: [&str; 5] =
    ["Purchase", "RoundingAdjustment", "UnusedReservation", "UnusedSavingsPlan", "Usage"];

/// Charge types whose quantity is hours of a machine: a purchase counts commitments instead.
const MACHINE_USE: [&str; 3] = ["UnusedReservation", "UnusedSavingsPlan", "Usage"];

/// ServiceName of every virtual machine's meters.
const VIRTUAL_MACHINES: &str = "Virtual Machines";

/// UnitOfMeasure of every virtual machine's meters.
pub(super) const MACHINE_UNIT: &str = "1 Hour";

/// A dimension of Cost Management by which costs are grouped or filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    ChargeType,
    Meter,
    ResourceLocation,
    ServiceName,
    SubscriptionId,
}

impl Column {
    /// The dimension's name in Query.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChargeType => "ChargeType",
            Self::Meter => "Meter",
            Self::ResourceLocation => "ResourceLocation",
            Self::ServiceName => "ServiceName",
            Self::SubscriptionId => "SubscriptionId",
        }
    }

    fn dimension(self) -> Dimension {
        match self {
            Self::ChargeType => Dimension::ChargeCategory,
            Self::Meter => Dimension::Sku,
            Self::ResourceLocation => Dimension::RegionId,
            Self::ServiceName => Dimension::ServiceName,
            Self::SubscriptionId => Dimension::SubAccountId,
        }
    }
}

/// A column and the values that are in. All filters of a question must match.
pub(super) type Filter = (Column, Vec<String>);

/// One way in which the costs of a window are asked.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// The short name, unique within the source.
    pub query: String,
    /// What it is for; none for the control total.
    pub role: Option<BreakdownRole>,
    /// At most two, as Query allows.
    pub group_by: Vec<Column>,
    /// Sorted by column.
    pub filters: Vec<Filter>,
    /// Whether hours of use are asked, in place of US dollars: Query aggregates two columns at most.
    pub with_quantity: bool,
    /// Whether only the meters of GPU machines are kept of the answer.
    pub gpu_only: bool,
    /// Pages of one month at most.
    pub max_pages: u32,
}

impl Question {
    /// The standard questions: the control total first, then the primary and its companions.
    pub fn standard() -> Vec<Self> {
        let spend = || vec![(Column::ChargeType, texts(&SPEND))];
        let question = |query: &str, role, group_by: &[Column], filters, max_pages| Self {
            query: query.to_owned(),
            role,
            group_by: group_by.to_vec(),
            filters,
            with_quantity: false,
            gpu_only: false,
            max_pages,
        };
        use BreakdownRole::{Categories, Filtered, Primary, Secondary};
        let primary = [Column::ServiceName, Column::SubscriptionId];
        let gpu = question(
            "gpu_meter",
            Some(Filtered),
            &[Column::Meter, Column::ResourceLocation],
            vec![
                (Column::ChargeType, texts(&MACHINE_USE)),
                (Column::ServiceName, texts(&[VIRTUAL_MACHINES])),
            ],
            30,
        );
        vec![
            question("control", None, &[], spend(), 1),
            question("service_sub_account", Some(Primary), &primary, spend(), 80),
            question("charge_type", Some(Categories), &[Column::ChargeType], Vec::new(), 1),
            question("region", Some(Secondary), &[Column::ResourceLocation], spend(), 5),
            Self { with_quantity: true, gpu_only: true, ..gpu },
        ]
    }

    /// A question for the scope of one band: spend only, no grouping.
    ///
    /// # Errors
    /// Why Azure cannot be asked so.
    pub fn filtered(query: &str, filters: &[(Dimension, Vec<String>)]) -> Result<Self, String> {
        let mut asked: Vec<Filter> = Vec::new();
        for (dimension, values) in filters {
            if values.is_empty() {
                return Err(format!("`{dimension}` is filtered on no value"));
            }
            let (column, values) = match dimension {
                Dimension::ServiceName => (Column::ServiceName, values.clone()),
                Dimension::SubAccountId => (Column::SubscriptionId, values.clone()),
                Dimension::RegionId => {
                    let written = values.iter().flat_map(|value| spellings(value));
                    (Column::ResourceLocation, written.collect())
                }
                Dimension::Sku => (Column::Meter, values.clone()),
                Dimension::ChargeCategory => (Column::ChargeType, charge_types(values)?),
                Dimension::InstanceType => {
                    return Err(
                        "Azure tells no machine type of a cost: filter on `sku`, the meter's name such as `ND96isr H100 v5`"
                            .to_owned(),
                    );
                }
            };
            if asked.iter().any(|(other, _)| *other == column) {
                return Err(format!("`{dimension}` is filtered on twice"));
            }
            asked.push((column, values));
        }
        if asked.iter().all(|(column, _)| *column != Column::ChargeType) {
            asked.push((Column::ChargeType, texts(&SPEND)));
        }
        for (_, values) in &mut asked {
            values.sort();
            values.dedup();
        }
        asked.sort();
        Ok(Self {
            query: query.to_owned(),
            role: Some(BreakdownRole::Filtered),
            group_by: Vec::new(),
            filters: asked,
            with_quantity: false,
            gpu_only: false,
            max_pages: 1,
        })
    }

    /// The breakdown that the answer is; none for the control total.
    pub fn breakdown(&self, source: &SourceId) -> Option<Breakdown> {
        Some(Breakdown {
            source: source.clone(),
            query: self.query.clone(),
            filter: self.filter_text(),
            dimensions: self.group_by.iter().map(|column| column.dimension()).collect(),
            role: self.role?,
        })
    }

    /// What it is for, in the words of the plan.
    pub fn purpose(&self) -> String {
        let grouping: Vec<_> =
            self.group_by.iter().map(|column| column.dimension().as_str()).collect();
        match (self.role, grouping.is_empty()) {
            (None, _) => "control total".to_owned(),
            (Some(_), true) => self.query.clone(),
            (Some(_), false) => grouping.join(" x "),
        }
    }

    fn filter_text(&self) -> String {
        let mut parts: Vec<String> = self
            .filters
            .iter()
            .map(|(column, values)| format!("{} in ({})", column.as_str(), values.join(", ")))
            .collect();
        if self.gpu_only {
            parts.push("Meter of the NC and ND families".to_owned());
        }
        parts.join("; ")
    }

    /// Whether a row with these values of `group_by` belongs to the answer.
    pub fn keeps(&self, keys: &[String]) -> bool {
        !self.gpu_only
            || self
                .group_by
                .iter()
                .zip(keys)
                .any(|(column, key)| *column == Column::Meter && is_gpu_meter(key))
    }
}

/// Meters of GPU machines for computing begin with their family: `NC24ads A100 v4`,
/// `ND96isr H100 v5 Spot` ("GPU accelerated virtual machine sizes"). The NV and NG families are for
/// display.
fn is_gpu_meter(meter: &str) -> bool {
    let name = meter.trim();
    let name = name.strip_prefix("Standard_").unwrap_or(name).as_bytes();
    matches!(name, [b'N' | b'n', b'C' | b'D' | b'c' | b'd', digit, ..] if digit.is_ascii_digit())
}

/// The FOCUS category of a charge type. Query has no tax and no credits; usage details may. A type
/// that is not known is no spend, as the filter on spend would not hold it either.
pub(super) fn category(charge_type: &str) -> ChargeCategory {
    let is = |name: &str| charge_type.eq_ignore_ascii_case(name);
    if is("Purchase") {
        ChargeCategory::Purchase
    } else if SPEND.iter().any(|name| is(name)) {
        ChargeCategory::Usage
    } else if is("Tax") {
        ChargeCategory::Tax
    } else if is("Credit") {
        ChargeCategory::Credit
    } else {
        ChargeCategory::Adjustment
    }
}

fn charge_types(categories: &[String]) -> Result<Vec<String>, String> {
    let mut types = Vec::new();
    for text in categories {
        let category: ChargeCategory = text.parse().map_err(|error| format!("{error}"))?;
        if !category.in_spend() {
            return Err(format!(
                "`{text}` is no spend: a band's own query holds `usage` and `purchase` only"
            ));
        }
        types.extend(SPEND.into_iter().filter(|name| self::category(name) == category));
    }
    Ok(texts(&types))
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_question_is_primary_and_the_control_total_has_its_filter() {
        let questions = Question::standard();
        let primaries: Vec<_> = questions
            .iter()
            .filter(|question| question.role == Some(BreakdownRole::Primary))
            .collect();
        let control: Vec<_> = questions.iter().filter(|question| question.role.is_none()).collect();
        assert_eq!((primaries.len(), control.len()), (1, 1));
        assert_eq!(primaries[0].filters, control[0].filters);
        assert!(questions.iter().all(|question| question.group_by.len() <= 2));
    }

    #[test]
    fn what_the_primary_holds_is_spend_and_nothing_else_is() {
        for name in SPEND {
            assert!(category(name).in_spend(), "{name}");
            assert!(category(&name.to_lowercase()).in_spend(), "{name}");
        }
        for (name, expected) in [
            ("Refund", ChargeCategory::Adjustment),
            ("Tax", ChargeCategory::Tax),
            ("Credit", ChargeCategory::Credit),
            ("SomethingNew", ChargeCategory::Adjustment),
            ("", ChargeCategory::Adjustment),
        ] {
            assert_eq!(category(name), expected, "{name}");
        }
    }

    #[test]
    fn gpu_meters_are_told_from_the_rest() {
        for meter in [
            "ND96isr H100 v5",
            "NC24ads A100 v4 Spot",
            "ND96asr v4",
            "NC6s v3",
            "Standard_ND40rs_v2",
        ] {
            assert!(is_gpu_meter(meter), "{meter}");
        }
        for meter in ["D4s v5", "NV36ads A10 v5", "NCSomething", "P30 LRS Disk", "", "ND"] {
            assert!(!is_gpu_meter(meter), "{meter}");
        }
    }

    #[test]
    fn a_band_of_its_own_is_spend_unless_it_names_a_part_of_it() {
        let question = Question::filtered(
            "band:training",
            &[
                (Dimension::SubAccountId, vec!["b".into(), "a".into(), "b".into()]),
                (Dimension::ServiceName, vec!["Virtual Machines".into()]),
            ],
        )
        .unwrap();
        assert_eq!(
            question.filter_text(),
            "ChargeType in (Purchase, RoundingAdjustment, UnusedReservation, UnusedSavingsPlan, Usage); ServiceName in (Virtual Machines); SubscriptionId in (a, b)"
        );
        let usage =
            Question::filtered("q", &[(Dimension::ChargeCategory, vec!["purchase".into()])]);
        assert_eq!(usage.unwrap().filter_text(), "ChargeType in (Purchase)");
    }

    #[test]
    fn a_region_is_asked_by_every_name_that_the_bill_may_have_for_it() {
        let region = |name: &str| {
            Question::filtered("q", &[(Dimension::RegionId, vec![name.to_owned()])]).unwrap()
        };
        let of_location = |question: Question| {
            let mut filters = question.filters.into_iter();
            filters.find(|(column, _)| *column == Column::ResourceLocation).unwrap().1
        };
        let names = of_location(region("eastus2"));
        assert_eq!(names, ["East US 2", "US East 2", "USEast2", "eastus2"]);
        assert_eq!(of_location(region("US East 2")), names);
        assert_eq!(of_location(region("mars")), ["mars"]);
    }

    #[test]
    fn what_azure_cannot_be_asked_is_refused_with_the_reason() {
        for (dimension, values, reason) in [
            (Dimension::InstanceType, vec!["x".to_owned()], "sku"),
            (Dimension::ChargeCategory, vec!["tax".to_owned()], "no spend"),
            (Dimension::ChargeCategory, vec!["adjustment".to_owned()], "no spend"),
            (Dimension::ChargeCategory, vec!["Usage".to_owned()], "not a known word"),
            (Dimension::ServiceName, vec![], "no value"),
        ] {
            let error = Question::filtered("q", &[(dimension, values)]).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
