//! Cost Management Query: a POST for each question, month and cost type, and for each next page.

use bytes::Bytes;
use jiff::ToSpan;
use reqwest::Url;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::domain::breakdown::{BreakdownRole, ChargeCategory, Dimension};
use crate::domain::money::Currency;
use crate::domain::period::Window;
use crate::domain::report::{BreakdownReading, EntityName, SourceError, SourceErrorKind};

use super::Reading;
use super::exchange::{Answer, Exchange, during, follow};
use super::normalise::{CostType, Fold, Line, decimal, usage_date};
use super::question::{Column, Question, category};
use super::regions::region_id;

const PATH: &str = "/providers/Microsoft.CostManagement/query?api-version=2025-03-01&$top=5000";

/// Reads every question over every month. The control total comes first: where the agreement has
/// no amortised costs its first answer says so, and none are asked after it.
pub(super) async fn read(
    exchange: &Exchange<'_>,
    questions: &[Question],
    months: &[Window],
) -> Result<Reading, SourceError> {
    let mut reading = Reading { has_amortized: true, ..Reading::default() };
    let mut is_first = true;
    for question in questions {
        let mut fold = Fold::default();
        for month in months {
            for cost_type in CostType::ALL {
                if cost_type == CostType::Amortized && !reading.has_amortized {
                    continue;
                }
                let refusal = pages(exchange, question, *month, cost_type, &mut fold)
                    .await
                    .map_err(|error| during(&what(question, *month, cost_type), error))?;
                match refusal {
                    None => {}
                    Some(_) if cost_type == CostType::Amortized && is_first => {
                        reading.has_amortized = false;
                    }
                    Some(error) => return Err(during(&what(question, *month, cost_type), error)),
                }
                is_first &= cost_type == CostType::Actual;
            }
        }
        match question.breakdown(exchange.source) {
            Some(breakdown) => {
                let rows = fold.rows(question, reading.has_amortized);
                reading.breakdowns.push(BreakdownReading { breakdown, rows });
            }
            None => reading.control_totals = fold.totals(reading.has_amortized),
        }
    }
    Ok(reading)
}

/// Reads the names of the subscriptions that had costs in the window: one more Query.
pub(super) async fn subscription_names(
    exchange: &Exchange<'_>,
    window: Window,
    qpu: u32,
) -> Result<Vec<EntityName>, SourceError> {
    let body = json!({
        "type": CostType::Actual.as_str(),
        "timeframe": "Custom",
        "timePeriod": time_period(window),
        "dataset": {
            "granularity": "None",
            "aggregation": {"totalCost": {"name": "Cost", "function": "Sum"}},
            "grouping": [
                {"type": "Dimension", "name": "SubscriptionId"},
                {"type": "Dimension", "name": "SubscriptionName"},
            ],
        },
    });
    let url = exchange.url(PATH)?;
    let Answer::Content(body) = exchange.query(url, body.to_string().into(), qpu).await? else {
        return Ok(Vec::new());
    };
    let page = Page::parse(&body)?;
    let (id, name) = (page.column("SubscriptionId")?, page.column("SubscriptionName")?);
    page.properties
        .rows
        .iter()
        .map(|row| {
            Ok(EntityName {
                dimension: Dimension::SubAccountId,
                key: text(row, id)?,
                name: text(row, name)?,
            })
        })
        .filter(|named| !named.as_ref().is_ok_and(|named| named.name.is_empty()))
        .collect()
}

/// Asks for the total of a few days: one QPU, for the proof that it may be asked.
pub(super) async fn total(exchange: &Exchange<'_>, window: Window) -> Result<(), SourceError> {
    let body = json!({
        "type": CostType::Actual.as_str(),
        "timeframe": "Custom",
        "timePeriod": time_period(window),
        "dataset": {
            "granularity": "None",
            "aggregation": {"totalCost": {"name": "Cost", "function": "Sum"}},
        },
    });
    let url = exchange.url(PATH)?;
    match exchange.query(url, body.to_string().into(), 1).await? {
        Answer::Content(body) => Page::parse(&body).map(drop),
        Answer::Empty => Ok(()),
        Answer::NoAmortizedCost(error) => Err(error),
    }
}

fn what(question: &Question, month: Window, cost_type: CostType) -> String {
    format!("`{}` of {month} as {}", question.query, cost_type.as_str())
}

/// Reads all pages of one question, month and cost type into the fold; returns the refusal where
/// the agreement has no such costs.
async fn pages(
    exchange: &Exchange<'_>,
    question: &Question,
    month: Window,
    cost_type: CostType,
    fold: &mut Fold,
) -> Result<Option<SourceError>, SourceError> {
    let body = body(question, month, cost_type);
    let mut url = exchange.url(PATH)?;
    for _ in 0..question.max_pages {
        let content = match exchange.query(url.clone(), body.clone(), 1).await? {
            Answer::Content(content) => content,
            Answer::Empty => return Ok(None),
            Answer::NoAmortizedCost(error) => return Ok(Some(error)),
        };
        match page(question, month, cost_type, &content, &url, fold)? {
            Some(next) => url = next,
            None => return Ok(None),
        }
    }
    Err(SourceError::new(
        SourceErrorKind::Config,
        format!("there are more than {} pages", question.max_pages),
    )
    .hint("configure narrower scopes, such as one source for each subscription"))
}

fn page(
    question: &Question,
    month: Window,
    cost_type: CostType,
    content: &Bytes,
    url: &Url,
    fold: &mut Fold,
) -> Result<Option<Url>, SourceError> {
    let page = Page::parse(content)?;
    let columns = Columns::of(&page, question)?;
    for row in &page.properties.rows {
        let line = columns.line(row, question)?;
        if !month.contains(line.day) {
            return Err(malformed(format!("a row is of {}, which was not asked for", line.day)));
        }
        if question.keeps(&line.keys) {
            fold.add(line, cost_type)?;
        }
    }
    page.properties
        .next_link
        .filter(|link| !link.is_empty())
        .map(|link| follow(&link, url))
        .transpose()
}

fn body(question: &Question, month: Window, cost_type: CostType) -> Bytes {
    let second = if question.with_quantity { "UsageQuantity" } else { "CostUSD" };
    let grouping: Vec<_> = question
        .group_by
        .iter()
        .map(|column| json!({"type": "Dimension", "name": column.as_str()}))
        .collect();
    let mut dataset = json!({
        "granularity": "Daily",
        "aggregation": {
            "totalCost": {"name": "Cost", "function": "Sum"},
            "second": {"name": second, "function": "Sum"},
        },
        "grouping": grouping,
    });
    let mut filters: Vec<_> = question
        .filters
        .iter()
        .map(|(column, values)| {
            json!({"dimensions": {"name": column.as_str(), "operator": "In", "values": values}})
        })
        .collect();
    match (filters.len(), filters.pop()) {
        (_, None) => {}
        (1, Some(only)) => dataset["filter"] = only,
        (_, Some(last)) => {
            filters.push(last);
            dataset["filter"] = json!({"and": filters});
        }
    }
    let body = json!({
        "type": cost_type.as_str(),
        "timeframe": "Custom",
        "timePeriod": time_period(month),
        "dataset": dataset,
    });
    body.to_string().into()
}

/// Both ends are inclusive. The caller asks for no day that has not begun: the service moves a
/// period of the future into the past.
fn time_period(window: Window) -> serde_json::Value {
    let last = window.end.saturating_sub(1.day());
    json!({"from": format!("{}T00:00:00Z", window.start), "to": format!("{last}T23:59:59Z")})
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    properties: Properties<'a>,
}

#[derive(Deserialize)]
struct Properties<'a> {
    #[serde(rename = "nextLink", default)]
    next_link: Option<String>,
    columns: Vec<NamedColumn>,
    #[serde(borrow)]
    rows: Vec<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct NamedColumn {
    name: String,
}

impl<'a> Page<'a> {
    fn parse(content: &'a [u8]) -> Result<Self, SourceError> {
        serde_json::from_slice(content).map_err(|error| {
            malformed(format!(
                "the answer is not a page of Query: {} at line {}, column {}",
                match error.classify() {
                    serde_json::error::Category::Eof => "it ends too early",
                    serde_json::error::Category::Data => "a part is missing or of another type",
                    _ => "it is not JSON",
                },
                error.line(),
                error.column()
            ))
        })
    }

    fn column(&self, name: &str) -> Result<usize, SourceError> {
        self.properties
            .columns
            .iter()
            .position(|column| column.name.eq_ignore_ascii_case(name))
            .ok_or_else(|| malformed(format!("the answer has no column `{name}`")))
    }
}

/// Where the columns of a question stand in a page.
struct Columns {
    day: usize,
    currency: usize,
    cost: usize,
    second: usize,
    keys: Vec<(Column, usize)>,
}

impl Columns {
    fn of(page: &Page<'_>, question: &Question) -> Result<Self, SourceError> {
        let second = if question.with_quantity { "UsageQuantity" } else { "CostUSD" };
        Ok(Self {
            day: page.column("UsageDate")?,
            currency: page.column("Currency")?,
            cost: page.column("Cost")?,
            second: page.column(second)?,
            keys: question
                .group_by
                .iter()
                .map(|column| Ok((*column, page.column(column.as_str())?)))
                .collect::<Result<_, SourceError>>()?,
        })
    }

    fn line(&self, row: &[&RawValue], question: &Question) -> Result<Line, SourceError> {
        let day = raw(row, self.day)?;
        let cost = raw(row, self.cost)?;
        let second = match raw(row, self.second)? {
            "null" => None,
            number => Some(decimal(number).ok_or_else(|| unreadable("number", number))?),
        };
        let currency = text(row, self.currency)?;
        let mut row_category = ChargeCategory::Usage;
        let mut keys = Vec::with_capacity(self.keys.len());
        for (column, index) in &self.keys {
            let key = text(row, *index)?;
            if *column == Column::ChargeType {
                let category = category(&key);
                if question.role == Some(BreakdownRole::Categories) {
                    row_category = category;
                }
                keys.push(category.as_str().to_owned());
            } else if *column == Column::ResourceLocation {
                keys.push(region_id(&key).to_owned());
            } else {
                keys.push(key);
            }
        }
        Ok(Line {
            day: usage_date(day).ok_or_else(|| unreadable("UsageDate", day))?,
            keys,
            category: row_category,
            currency: currency
                .parse::<Currency>()
                .map_err(|_| unreadable("Currency", &currency))?,
            cost: decimal(cost).ok_or_else(|| unreadable("Cost", cost))?,
            cost_usd: second.filter(|_| !question.with_quantity),
            quantity: second.filter(|_| question.with_quantity),
        })
    }
}

fn raw<'a>(row: &[&'a RawValue], index: usize) -> Result<&'a str, SourceError> {
    row.get(index)
        .map(|value| value.get())
        .ok_or_else(|| malformed("a row is shorter than the columns".to_owned()))
}

/// A text; the empty text for null.
fn text(row: &[&RawValue], index: usize) -> Result<String, SourceError> {
    let value = raw(row, index)?;
    serde_json::from_str::<Option<String>>(value)
        .map(Option::unwrap_or_default)
        .map_err(|_| unreadable("text", value))
}

fn unreadable(column: &str, value: &str) -> SourceError {
    malformed(format!("`{}` is not a `{column}`", super::classify::quote(value)))
}

fn malformed(message: String) -> SourceError {
    SourceError::new(SourceErrorKind::Malformed, message)
}

#[cfg(test)]
mod tests;
