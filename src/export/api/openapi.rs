//! The description of the API (OpenAPI 3.1): every operation with what it takes and answers.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{
    AcknowledgementRequest, AlertHistory, AlertView, Alerts, Anomalies, Bands, ForecastHistory,
    Forecasts, GpuRangeDocument, Gpus, NodeDocument, SilenceRequest, SilenceView, Silences,
    Sources, Spend, SpendDays,
};

/// One operation.
struct Operation {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    parameters: Vec<Value>,
    takes: Option<Value>,
    answers: (&'static str, Option<Value>),
}

impl Operation {
    fn get<T: JsonSchema>(
        generator: &mut SchemaGenerator,
        path: &'static str,
        summary: &'static str,
    ) -> Self {
        let schema = generator.subschema_for::<T>().to_value();
        let answers = ("200", Some(schema));
        Self { method: "get", path, summary, parameters: Vec::new(), takes: None, answers }
    }

    fn with(mut self, parameter: Value) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// Changes something instead, and takes a body.
    fn post<T: JsonSchema>(
        mut self,
        generator: &mut SchemaGenerator,
        status: &'static str,
    ) -> Self {
        self.method = "post";
        self.takes = Some(generator.subschema_for::<T>().to_value());
        self.answers.0 = status;
        self
    }

    fn delete(mut self) -> Self {
        self.method = "delete";
        self
    }

    fn describe(self) -> Value {
        let (status, schema) = self.answers;
        let mut answer = json!({"description": "The answer"});
        if let Some(schema) = schema {
            answer["content"] = json!({"application/json": {"schema": schema}});
        }
        let mut responses = json!({
            "400": {"description": "Something that was sent is missing or wrong; the answer says what"},
            "401": {"description": "A bearer token is configured and was not sent"},
            "404": {"description": "There is nothing of that name, or the source does not tell it"},
            "429": {"description": "Another range is being read"},
            "503": {"description": "The first snapshot is not published yet, or another replica acts"},
        });
        responses[status] = answer;
        let mut operation =
            json!({"summary": self.summary, "parameters": self.parameters, "responses": {}});
        if self.method != "get" {
            responses["403"] =
                json!({"description": "Nothing can be changed: no bearer token is configured"});
            // Whoever changes something bears the token.
            operation["security"] = json!([{"bearer": []}]);
        }
        operation["responses"] = responses;
        if let Some(schema) = self.takes {
            operation["requestBody"] = json!({
                "required": true,
                "content": {"application/json": {"schema": schema}},
            });
        }
        operation
    }
}

fn in_path(name: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
}

fn day(name: &str, description: &str) -> Value {
    json!({"name": name, "in": "query", "required": true, "description": description,
           "schema": {"type": "string", "format": "date"}})
}

fn required(name: &str, description: &str, schema: Value) -> Value {
    json!({"name": name, "in": "query", "required": true, "description": description,
           "schema": schema})
}

fn optional(name: &str, description: &str, schema: Value) -> Value {
    json!({"name": name, "in": "query", "required": false, "description": description,
           "schema": schema})
}

fn operations(of: &mut SchemaGenerator) -> Vec<Operation> {
    let bands = "Every band against its open and its previous billing period";
    let forecast = "Where every band's month will end, and that of what it is made of";
    let history = "What was forecast of every band's open and previous month from day to day";
    let anomalies = "What stood out in the cost by day, and what moved since last week";
    let range = "GPU time and money of some days: by cloud, cluster, fleet, node, workload and pod";
    let node = "One node with GPUs: machine type, prices, tier, states";
    let drill = "What a source cost by day, as a whole or along a dimension, and narrowed to values of \
                 others where one breakdown of the source tells them together";
    let narrowed = "Only costs of this value; empty for those that name none";
    let taking = "/api/v1/alerts/{id}/acknowledgement";
    let mut ended = Operation::get::<Silences>(of, "/api/v1/silences/{id}", "Ends a silence");
    ended.answers = ("204", None);
    vec![
        Operation::get::<Bands>(of, "/api/v1/bands", bands),
        Operation::get::<Forecasts>(of, "/api/v1/forecast", forecast),
        Operation::get::<ForecastHistory>(of, "/api/v1/forecast/history", history),
        Operation::get::<Anomalies>(of, "/api/v1/anomalies", anomalies),
        Operation::get::<Spend>(of, "/api/v1/spend", "What every source has billed"),
        Operation::get::<SpendDays>(of, "/api/v1/spend/days", drill)
            .with(required("source", "The source's name", json!({"type": "string"})))
            .with(day("from", "The first usage day"))
            .with(day("to", "The day after the last, at most 400 days later"))
            .with(optional(
                "by",
                "The dimension whose values are told apart",
                json!({"enum": ["service_name", "sub_account_id", "region_id"]}),
            ))
            .with(optional("service_name", narrowed, json!({"type": "string"})))
            .with(optional("sub_account_id", narrowed, json!({"type": "string"})))
            .with(optional("region_id", narrowed, json!({"type": "string"}))),
        Operation::get::<Sources>(
            of,
            "/api/v1/sources",
            "How the reading of bills and of GPU telemetry goes",
        ),
        Operation::get::<Gpus>(
            of,
            "/api/v1/gpu",
            "GPUs: what they are, what they do and what they cost",
        ),
        Operation::get::<GpuRangeDocument>(of, "/api/v1/gpu/range", range)
            .with(day("from", "The first billing day"))
            .with(day("to", "The day after the last")),
        Operation::get::<NodeDocument>(of, "/api/v1/nodes/{name}", node).with(in_path("name")),
        Operation::get::<Alerts>(of, "/api/v1/alerts", "Every alert that is pending or fires"),
        Operation::get::<AlertHistory>(
            of,
            "/api/v1/alerts/history",
            "What became of alerts, the newest first",
        )
        .with(optional("alert", "Of one alert alone, by its id", json!({"type": "string"})))
        .with(optional(
            "limit",
            "How many events, 100 by default",
            json!({"type": "integer", "minimum": 0, "maximum": 1000}),
        )),
        Operation::get::<AlertView>(of, taking, "Takes an alert: it is not told again")
            .with(in_path("id"))
            .post::<AcknowledgementRequest>(of, "200"),
        Operation::get::<AlertView>(of, taking, "Gives an alert back").with(in_path("id")).delete(),
        Operation::get::<Silences>(of, "/api/v1/silences", "Silences that hold or are to come"),
        Operation::get::<SilenceView>(
            of,
            "/api/v1/silences",
            "Silences alerts for a while; they go on being judged",
        )
        .post::<SilenceRequest>(of, "201"),
        ended.with(in_path("id")).delete(),
    ]
}

/// The description of the API (OpenAPI 3.1).
pub fn openapi() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.contract = schemars::generate::Contract::Serialize;
    });
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations(&mut generator) {
        let (path, method) = (operation.path, operation.method);
        let at = paths.entry(path).or_insert_with(|| json!({}));
        at[method] = operation.describe();
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "costband",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Cloud spend of a GPU fleet, held against its monthly bands.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        // Either is enough: a token is asked only where one is configured.
        "security": [{}, {"bearer": []}],
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    })
}
