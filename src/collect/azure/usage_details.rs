//! Consumption usage details: line items, for agreements that Query does not serve.
//!
//! Amounts are read from the text of the page, since the generated model keeps them as binary
//! floating point and fails a whole page on a kind that it does not know.

use jiff::ToSpan;
use jiff::civil::Date;
use reqwest::Url;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::breakdown::{BreakdownRole, ChargeCategory};
use crate::domain::money::Currency;
use crate::domain::period::Window;
use crate::domain::report::{BreakdownReading, SourceError, SourceErrorKind};

use super::Reading;
use super::exchange::{Answer, Exchange, during, follow};
use super::normalise::{CostType, Fold, Line, decimal};
use super::question::{Column, Question, category};
use super::regions::region_id;

const PATH: &str = "/providers/Microsoft.Consumption/usageDetails";
const API_VERSION: &str = "2024-08-01";

/// Pages of one month and cost type at most, of 1,000 line items each.
pub(super) const MAX_PAGES: u32 = 500;

/// Reads every month once for each cost type and folds the line items to all questions. There is no
/// control total: the provider tells none apart from these items.
pub(super) async fn read(
    exchange: &Exchange<'_>,
    questions: &[Question],
    months: &[Window],
) -> Result<Reading, SourceError> {
    let told: Vec<&Question> =
        questions.iter().filter(|question| question.role.is_some()).collect();
    let mut folds: Vec<Fold> = told.iter().map(|_| Fold::default()).collect();
    let mut has_amortized = true;
    let mut is_first = true;
    for month in months {
        for cost_type in CostType::ALL {
            if cost_type == CostType::Amortized && !has_amortized {
                continue;
            }
            let what = format!("usage details of {month} as {}", cost_type.as_str());
            let refusal = pages(exchange, *month, cost_type, |item| {
                for (question, fold) in told.iter().zip(&mut folds) {
                    if let Some(line) = item.line(question) {
                        fold.add(line, cost_type)?;
                    }
                }
                Ok(())
            })
            .await
            .map_err(|error| during(&what, error))?;
            match refusal {
                None => {}
                Some(_) if cost_type == CostType::Amortized && is_first => has_amortized = false,
                Some(error) => return Err(during(&what, error)),
            }
            is_first &= cost_type == CostType::Actual;
        }
    }
    let breakdowns = told
        .iter()
        .zip(folds)
        .filter_map(|(question, fold)| {
            let rows = fold.rows(question, has_amortized);
            Some(BreakdownReading { breakdown: question.breakdown(exchange.source)?, rows })
        })
        .collect();
    Ok(Reading { breakdowns, control_totals: Vec::new(), has_amortized })
}

/// How the days are named in a request ("Usage Details - List").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DaysBy {
    /// `startDate` and `endDate`: customer agreements.
    Parameters,
    /// `$filter`: the older agreements.
    Filter,
}

/// Asks for a first page, for the proof that it may be asked.
pub(super) async fn prove(exchange: &Exchange<'_>, window: Window) -> Result<(), SourceError> {
    first_page(exchange, window, CostType::Actual).await?.1.map(drop)
}

/// The first page and its address. A subscription's agreement is not in its name: where its filter
/// is refused, the other way is tried.
async fn first_page(
    exchange: &Exchange<'_>,
    month: Window,
    cost_type: CostType,
) -> Result<(Url, Result<Answer, SourceError>), SourceError> {
    let is_modern = exchange.settings.is_modern_agreement();
    let days_by = if is_modern { DaysBy::Parameters } else { DaysBy::Filter };
    let url = first_url(exchange, month, cost_type, days_by)?;
    let answer = exchange.usage_details(url.clone()).await;
    let is_refused = answer.as_ref().is_err_and(|error| error.kind == SourceErrorKind::Config);
    if days_by == DaysBy::Parameters || !is_refused {
        return Ok((url, answer));
    }
    let url = first_url(exchange, month, cost_type, DaysBy::Parameters)?;
    let answer = exchange.usage_details(url.clone()).await;
    Ok((url, answer))
}

/// Reads all pages of one month and cost type; returns the refusal where the agreement has no such
/// costs.
async fn pages(
    exchange: &Exchange<'_>,
    month: Window,
    cost_type: CostType,
    mut take: impl FnMut(Item) -> Result<(), SourceError>,
) -> Result<Option<SourceError>, SourceError> {
    let (mut url, mut answer) = first_page(exchange, month, cost_type).await?;
    for _ in 0..MAX_PAGES {
        let content = match answer? {
            Answer::Content(content) => content,
            Answer::Empty => return Ok(None),
            Answer::NoAmortizedCost(error) => return Ok(Some(error)),
        };
        match page(&content, month, &mut take)? {
            Some(link) => url = follow(&link, &url)?,
            None => return Ok(None),
        }
        answer = exchange.usage_details(url.clone()).await;
    }
    Err(SourceError::new(SourceErrorKind::Config, format!("there are more than {MAX_PAGES} pages"))
        .hint("configure narrower scopes, such as one source for each subscription"))
}

fn page(
    content: &[u8],
    month: Window,
    take: &mut impl FnMut(Item) -> Result<(), SourceError>,
) -> Result<Option<String>, SourceError> {
    let page: Page<'_> = serde_json::from_slice(content).map_err(|error| {
        malformed(format!(
            "the answer is not a page of usage details at line {}, column {}",
            error.line(),
            error.column()
        ))
    })?;
    for detail in page.value {
        let item = Item::of(detail.properties)?;
        if !month.contains(item.day) {
            return Err(malformed(format!(
                "a line item is of {}, which was not asked for",
                item.day
            )));
        }
        take(item)?;
    }
    Ok(page.next_link.filter(|link| !link.is_empty()))
}

fn first_url(
    exchange: &Exchange<'_>,
    month: Window,
    cost_type: CostType,
    days_by: DaysBy,
) -> Result<Url, SourceError> {
    let mut url = exchange.url(PATH)?;
    let (start, last) = (month.start, month.end.saturating_sub(1.day()));
    url.query_pairs_mut()
        .append_pair("api-version", API_VERSION)
        .append_pair("$expand", "properties/meterDetails")
        .append_pair("metric", &cost_type.as_str().to_ascii_lowercase());
    match days_by {
        DaysBy::Parameters => url
            .query_pairs_mut()
            .append_pair("startDate", &start.to_string())
            .append_pair("endDate", &last.to_string()),
        DaysBy::Filter => url.query_pairs_mut().append_pair(
            "$filter",
            &format!("properties/usageStart ge '{start}' and properties/usageEnd le '{last}'"),
        ),
    };
    Ok(url)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    #[serde(borrow)]
    value: Vec<Detail<'a>>,
    #[serde(default)]
    next_link: Option<String>,
}

#[derive(Deserialize)]
struct Detail<'a> {
    #[serde(borrow)]
    properties: Properties<'a>,
}

/// The fields of both kinds, `legacy` (enterprise and pay-as-you-go) and `modern` (customer
/// agreement), that make a figure.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties<'a> {
    date: String,
    #[serde(borrow, default)]
    cost: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cost_in_billing_currency: Option<&'a RawValue>,
    #[serde(borrow, rename = "costInUSD", default)]
    cost_in_usd: Option<&'a RawValue>,
    #[serde(borrow, default)]
    quantity: Option<&'a RawValue>,
    #[serde(default)]
    billing_currency: Option<String>,
    #[serde(default)]
    billing_currency_code: Option<String>,
    #[serde(default)]
    subscription_id: Option<String>,
    #[serde(default)]
    subscription_guid: Option<String>,
    #[serde(default)]
    resource_location: Option<String>,
    #[serde(default)]
    charge_type: Option<String>,
    #[serde(default)]
    meter_name: Option<String>,
    #[serde(default)]
    meter_category: Option<String>,
    #[serde(default)]
    meter_details: Option<MeterDetails>,
    #[serde(default)]
    consumed_service: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MeterDetails {
    #[serde(default)]
    meter_name: Option<String>,
    #[serde(default)]
    meter_category: Option<String>,
}

/// A line item.
#[derive(Debug, Clone)]
struct Item {
    day: Date,
    cost: Decimal,
    cost_usd: Option<Decimal>,
    quantity: Option<Decimal>,
    currency: Currency,
    charge_type: String,
    meter: String,
    region: String,
    service: String,
    subscription: String,
}

impl Item {
    fn of(properties: Properties<'_>) -> Result<Self, SourceError> {
        let meter = properties.meter_details.unwrap_or_default();
        let day = properties.date.get(..10).and_then(|day| day.parse().ok());
        let currency = properties.billing_currency.or(properties.billing_currency_code);
        let cost = number("cost", properties.cost.or(properties.cost_in_billing_currency))?;
        Ok(Self {
            day: day.ok_or_else(|| malformed("a line item has no `date`".to_owned()))?,
            cost: cost.ok_or_else(|| malformed("a line item has no cost".to_owned()))?,
            cost_usd: number("costInUSD", properties.cost_in_usd)?,
            quantity: number("quantity", properties.quantity)?,
            currency: currency
                .and_then(|currency| currency.parse().ok())
                .ok_or_else(|| malformed("a line item has no billing currency".to_owned()))?,
            charge_type: properties.charge_type.unwrap_or_default(),
            meter: properties.meter_name.or(meter.meter_name).unwrap_or_default(),
            region: region_id(&properties.resource_location.unwrap_or_default()).to_owned(),
            service: properties
                .meter_category
                .or(meter.meter_category)
                .or(properties.consumed_service)
                .unwrap_or_default(),
            subscription: properties
                .subscription_id
                .or(properties.subscription_guid)
                .unwrap_or_default(),
        })
    }

    fn value(&self, column: Column) -> &str {
        match column {
            Column::ChargeType => &self.charge_type,
            Column::Meter => &self.meter,
            Column::ResourceLocation => &self.region,
            Column::ServiceName => &self.service,
            Column::SubscriptionId => &self.subscription,
        }
    }

    /// The item as a row of a question's answer; none where the filters leave it out.
    fn line(&self, question: &Question) -> Option<Line> {
        let is_in = |column: Column, values: &[String]| {
            values.iter().any(|value| value.eq_ignore_ascii_case(self.value(column)))
        };
        if !question.filters.iter().all(|(column, values)| is_in(*column, values)) {
            return None;
        }
        let kind = category(&self.charge_type);
        let keys: Vec<String> = question
            .group_by
            .iter()
            .map(|column| match column {
                Column::ChargeType => kind.as_str().to_owned(),
                column => self.value(*column).to_owned(),
            })
            .collect();
        let is_categories = question.role == Some(BreakdownRole::Categories);
        question.keeps(&keys).then(|| Line {
            day: self.day,
            keys,
            category: if is_categories { kind } else { ChargeCategory::Usage },
            currency: self.currency,
            cost: self.cost,
            cost_usd: self.cost_usd,
            quantity: self.quantity.filter(|_| question.with_quantity),
        })
    }
}

fn number(field: &str, raw: Option<&RawValue>) -> Result<Option<Decimal>, SourceError> {
    match raw.map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some(text) => decimal(text).map(Some).ok_or_else(|| {
            malformed(format!("`{}` is not a `{field}`", super::classify::quote(text)))
        }),
    }
}

fn malformed(message: String) -> SourceError {
    SourceError::new(SourceErrorKind::Malformed, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::civil::date;

    use super::*;

    /// The examples of the API's reference, with the fields that make a figure.
    const PAGE: &str = r#"{"value":[
        {"kind":"legacy","properties":{"subscriptionId":"s-1","date":"2026-01-02T00:00:00.0000000Z",
         "quantity":0.7329,"cost":0.001099349999999999,"billingCurrency":"EUR","resourceLocation":"USEast",
         "chargeType":"Usage","meterDetails":{"meterName":"ND96isr H100 v5","meterCategory":"Virtual Machines"}}},
        {"kind":"modern","properties":{"subscriptionGuid":"s-2","date":"2026-01-03T00:00:00Z","quantity":1,
         "costInBillingCurrency":1e-7,"costInUSD":2E-7,"billingCurrencyCode":"EUR","resourceLocation":null,
         "chargeType":"Refund","meterName":"Compute Hours","meterCategory":"Logic Apps"}},
        {"kind":"odd","properties":{"date":"2026-01-04","cost":1,"billingCurrency":"USD"}}]}"#;

    fn items(text: &str) -> Result<Vec<Item>, SourceError> {
        let page: Page<'_> = serde_json::from_str(text).unwrap();
        page.value.into_iter().map(|detail| Item::of(detail.properties)).collect()
    }

    fn question(name: &str) -> Question {
        Question::standard().into_iter().find(|question| question.query == name).unwrap()
    }

    #[test]
    fn both_kinds_are_read_exactly_and_an_unknown_kind_does_no_harm() {
        let items = items(PAGE).unwrap();
        assert_eq!(items[0].cost.to_string(), "0.001099349999999999");
        assert_eq!(items[1].cost, Decimal::new(1, 7));
        assert_eq!(items[1].cost_usd, Some(Decimal::new(2, 7)));
        assert_eq!(items[2].day, date(2026, 1, 4));
    }

    #[test]
    fn line_items_answer_each_question_as_its_filter_says() {
        let items = items(PAGE).unwrap();
        let keys = |name: &str| -> Vec<Option<Vec<String>>> {
            items.iter().map(|item| item.line(&question(name)).map(|line| line.keys)).collect()
        };
        let texts = |keys: &[&str]| Some(keys.iter().map(|key| (*key).to_owned()).collect());
        assert_eq!(keys("service_sub_account"), [texts(&["Virtual Machines", "s-1"]), None, None]);
        assert_eq!(
            keys("charge_type"),
            [texts(&["usage"]), texts(&["adjustment"]), texts(&["adjustment"])]
        );
        assert_eq!(keys("gpu_meter"), [texts(&["ND96isr H100 v5", "eastus"]), None, None]);
    }

    #[test]
    fn a_line_item_without_its_money_is_malformed() {
        for (properties, reason) in [
            (r#"{"date":"2026-01-04","billingCurrency":"USD"}"#, "no cost"),
            (r#"{"date":"2026-01-04","cost":1}"#, "no billing currency"),
            (r#"{"date":"x","cost":1,"billingCurrency":"USD"}"#, "no `date`"),
            (r#"{"date":"2026-01-04","cost":"1","billingCurrency":"USD"}"#, "not a `cost`"),
        ] {
            let error =
                items(&format!(r#"{{"value":[{{"properties":{properties}}}]}}"#)).unwrap_err();
            assert!(error.message.contains(reason), "{}", error.message);
        }
    }
}
