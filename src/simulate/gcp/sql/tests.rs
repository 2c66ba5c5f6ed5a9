#![allow(clippy::unwrap_used)]

use super::*;
use crate::simulate::gcp::sql::value::Float;
use rust_decimal::Decimal;

struct OneTable;

fn timestamp(text: &str) -> Value {
    Value::Timestamp(text.parse().unwrap())
}

fn credit(kind: &str, amount: &str) -> Value {
    let values = [Value::text(kind), Value::exact_float(amount.parse().unwrap())];
    Value::Struct(values.into_iter().collect())
}

/// Four rows: two of one service with credits, one in March before the change to summer time, one
/// without a project.
fn rows() -> Vec<Vec<Value>> {
    let project = |id: Option<&str>| {
        Value::Struct([id.map_or(Value::Null, Value::text), Value::Null].into_iter().collect())
    };
    let cost = |text: &str| Value::exact_float(text.parse().unwrap());
    let row = |service: &str, id, start: &str, amount: &str, credits: Vec<Value>, day: &str| {
        vec![
            Value::text(service),
            project(id),
            timestamp(start),
            cost(amount),
            Value::Array(credits.into()),
            Value::Int(1),
            timestamp(day),
        ]
    };
    vec![
        row("Compute", Some("a"), "2026-11-02T07:59:59Z", "0.1", vec![], "2026-11-02T00:00:00Z"),
        row(
            "Compute",
            Some("b"),
            "2026-11-02T08:00:00Z",
            "0.2000000004",
            vec![credit("PROMOTION", "-0.05"), credit("DISCOUNT", "-0.01")],
            "2026-11-03T00:00:00Z",
        ),
        row(
            "Storage",
            Some("a"),
            "2026-11-03T20:00:00Z",
            "-3",
            vec![credit("DISCOUNT", "-1")],
            "2026-11-04T00:00:00Z",
        ),
        row(
            "Invoice",
            None,
            "2026-11-03T20:00:00Z",
            "12345678.123456789",
            vec![],
            "2026-11-05T00:00:00Z",
        ),
    ]
}

impl Tables for OneTable {
    fn table(&self, path: &[&str]) -> Result<Table, SqlError> {
        if path != ["p", "d", "bill"] {
            return Err(SqlError::not_found(format!("Not found: Table {}", path.join("."))));
        }
        let rows = rows();
        Ok(Table {
            name: "p.d.bill".to_owned(),
            columns: vec![
                Field::new("service", Type::String),
                Field::new(
                    "project",
                    Type::record(vec![
                        Field::new("id", Type::String),
                        Field::new("name", Type::String),
                    ]),
                ),
                Field::new("usage_start_time", Type::Timestamp),
                Field::new("cost", Type::Float64),
                Field::new(
                    "credits",
                    Type::records(vec![
                        Field::new("type", Type::String),
                        Field::new("amount", Type::Float64),
                    ]),
                ),
                Field::new("n", Type::Int64),
                Field::new("_PARTITIONTIME", Type::Timestamp),
            ]
            .into(),
            pseudo_columns: 1,
            rows: rows.len(),
            read: Box::new(move |row, column| rows[row][column].clone()),
        })
    }
}

fn parameters() -> Parameters {
    let mut parameters = Parameters::default();
    let mut add = |name: &str, ty: Type, value: Value| {
        parameters.named.insert(name.to_owned(), Parameter { ty, value });
    };
    add("since", Type::String, Value::text("2026-11-02"));
    add("day", Type::Date, Value::Date("2026-11-02".parse().unwrap()));
    add(
        "names",
        Type::Array(Arc::new(Type::String)),
        Value::Array([Value::text("Storage")].into_iter().collect()),
    );
    add("most", Type::Int64, Value::Int(2));
    parameters.positional.push(Parameter { ty: Type::Int64, value: Value::Int(41) });
    parameters
}

fn output(text: &str) -> Result<Output, SqlError> {
    run(text, &parameters(), &OneTable, "2026-11-14T04:00:00Z".parse().unwrap())
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Array(values) => {
            format!("[{}]", values.iter().map(shown).collect::<Vec<_>>().join(" "))
        }
        Value::Struct(values) => {
            format!("({})", values.iter().map(shown).collect::<Vec<_>>().join(" "))
        }
        value => cast::text(value),
    }
}

/// Rows as lines, values separated by `|`.
fn answer(text: &str) -> String {
    let output = output(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let rows = output.rows.iter();
    rows.map(|row| row.iter().map(shown).collect::<Vec<_>>().join("|"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn refusal(text: &str) -> String {
    output(text).map(|output| format!("{output:?}")).unwrap_err().message
}

#[test]
fn net_cost_is_exact_to_the_last_numeric_digit() {
    let net = "SELECT SUM(CAST(cost AS NUMERIC)) + SUM(IFNULL((SELECT SUM(CAST(c.amount AS NUMERIC)) \
               FROM UNNEST(credits) c), 0)) AS net FROM p.d.bill";
    // 0.1 + 0.2 (rounded at nine places) - 3 + 12345678.123456789 - 0.06 - 1
    assert_eq!(answer(net), "12345674.363456789");
    assert_eq!(output(net).unwrap().columns, [Field::new("net", Type::Numeric)]);
    // In FLOAT64 the ninth digit is lost.
    assert_ne!(answer("SELECT CAST(SUM(cost) AS NUMERIC) FROM p.d.bill"), "12345675.423456789");
    assert_eq!(
        answer(
            "SELECT SUM((SELECT SUM(CAST(amount AS NUMERIC)) FROM UNNEST(credits) WHERE type = 'DISCOUNT')) FROM p.d.bill"
        ),
        "-1.01"
    );
}

#[test]
fn numeric_rounds_half_away_from_zero_at_nine_places() {
    assert_eq!(
        answer(
            "SELECT CAST('0.0000000005' AS NUMERIC), CAST('-0.0000000005' AS NUMERIC), CAST(1 AS NUMERIC) / 3, CAST(2 AS NUMERIC) / 3, CAST(2.5 AS INT64), CAST(-2.5 AS INT64)"
        ),
        "0.000000001|-0.000000001|0.333333333|0.666666667|3|-3"
    );
}

#[test]
fn pacific_day_is_not_the_utc_day() {
    assert_eq!(
        answer(
            "SELECT DATE(usage_start_time, 'America/Los_Angeles') d, DATE(usage_start_time) u, COUNT(*) FROM p.d.bill GROUP BY 1, u ORDER BY d, 2"
        ),
        "2026-11-01|2026-11-02|1\n2026-11-02|2026-11-02|1\n2026-11-03|2026-11-03|2"
    );
    assert_eq!(
        answer(
            "SELECT COUNT(*) FROM `p.d.bill` WHERE usage_start_time >= TIMESTAMP(@since, 'America/Los_Angeles') AND usage_start_time < TIMESTAMP(DATE_ADD(@day, INTERVAL 1 DAY), 'America/Los_Angeles')"
        ),
        "1"
    );
    assert_eq!(
        answer(
            "SELECT CURRENT_DATE('America/Los_Angeles'), CURRENT_DATE(), CURRENT_TIMESTAMP(), EXTRACT(DATE FROM TIMESTAMP '2026-03-08 10:30:00+00' AT TIME ZONE 'America/Los_Angeles')"
        ),
        "2026-11-13|2026-11-14|2026-11-14 04:00:00+00|2026-03-08"
    );
}

#[test]
fn joined_array_multiplies_the_cost_as_it_really_does() {
    assert_eq!(
        answer(
            "SELECT service, COUNT(*), MAX(c.type) FROM p.d.bill t, t.credits AS c GROUP BY service ORDER BY service"
        ),
        "Compute|2|PROMOTION\nStorage|1|DISCOUNT"
    );
    assert_eq!(answer("SELECT COUNT(*) FROM p.d.bill LEFT JOIN UNNEST(credits) c"), "5");
    assert_eq!(
        answer(
            "SELECT project.id, a.n FROM p.d.bill b LEFT JOIN (SELECT 'a' AS k, 7 AS n) a ON a.k = b.project.id ORDER BY b.cost LIMIT 2"
        ),
        "a|7\na|7"
    );
}

#[test]
fn grouping_sets_tell_totals_beside_parts() {
    assert_eq!(
        answer(
            "SELECT service, project.id AS p, SUM(n) s, GROUPING(service) FROM p.d.bill GROUP BY GROUPING SETS ((service, p), (service), ()) ORDER BY 4, 1, 2, 3"
        ),
        "Compute|-|2|0\nCompute|a|1|0\nCompute|b|1|0\nInvoice|-|1|0\nInvoice|-|1|0\nStorage|-|1|0\nStorage|a|1|0\n-|-|4|1"
    );
    assert_eq!(
        answer("SELECT service, SUM(n) FROM p.d.bill WHERE FALSE GROUP BY ROLLUP(service)"),
        "-|-"
    );
    assert_eq!(answer("SELECT SUM(n), COUNT(*) FROM p.d.bill WHERE FALSE"), "-|0");
    assert_eq!(answer("SELECT service FROM p.d.bill WHERE FALSE GROUP BY 1"), "");
}

#[test]
fn names_of_all_kinds_are_found() {
    assert_eq!(
        answer(
            "WITH w AS (SELECT service AS s, cost FROM p.d.bill), x AS (SELECT * FROM w) SELECT DISTINCT x.s FROM x WHERE s LIKE 'C%' OR s IN UNNEST(@names) ORDER BY S DESC"
        ),
        "Storage\nCompute"
    );
    assert_eq!(
        answer(
            "SELECT UPPER(service) AS service, COUNT(DISTINCT project.id) c FROM p.d.bill GROUP BY service HAVING c > 1"
        ),
        "COMPUTE|2"
    );
    assert_eq!(
        answer(
            "SELECT COUNT(*) FROM (SELECT * EXCEPT (credits) FROM p.d.bill) b WHERE b.project.id IS NULL"
        ),
        "1"
    );
    assert_eq!(
        answer(
            "SELECT service FROM p.d.bill b WHERE EXISTS (SELECT 1 FROM UNNEST(b.credits) WHERE type = 'PROMOTION')"
        ),
        "Compute"
    );
    assert_eq!(answer("SELECT ? + 1, @most"), "42|2");
    assert_eq!(
        answer("SELECT 1 AS a UNION ALL SELECT 2.5 UNION ALL SELECT 1 ORDER BY a DESC LIMIT @most"),
        "2.5\n1"
    );
    assert_eq!(answer("SELECT 1 AS a UNION DISTINCT SELECT 1"), "1");
}

#[test]
fn null_logic_has_three_values() {
    assert_eq!(
        answer(
            "SELECT NULL AND FALSE, NULL AND TRUE, NULL OR TRUE, NOT NULL, NULL = 1, 1 IN (2, NULL), 1 NOT IN (2, 3), NULL IS NULL, (1 = 1) IS TRUE"
        ),
        "false|-|true|-|-|-|true|true|true"
    );
    assert_eq!(
        answer(
            "SELECT IFNULL(NULL, 2), COALESCE(NULL, NULL, 'x'), NULLIF(3, 3), IF(1 > 2, 'a', 'b'), CASE 2 WHEN 1 THEN 'one' WHEN 2 THEN 'two' END, CASE WHEN FALSE THEN 1 END"
        ),
        "2|x|-|b|two|-"
    );
}

#[test]
fn functions_give_what_the_reference_says() {
    assert_eq!(
        answer(
            "SELECT FORMAT_DATE('%Y%m', DATE '2026-11-03'), PARSE_DATE('%Y%m', '202611'), DATE_TRUNC(DATE '2026-11-18', MONTH), DATE_SUB(DATE '2026-03-31', INTERVAL 1 MONTH), DATE_DIFF(DATE '2026-11-03', DATE '2026-10-31', DAY), LAST_DAY(DATE '2028-02-03')"
        ),
        "202611|2026-11-01|2026-11-01|2026-02-28|3|2028-02-29"
    );
    assert_eq!(
        answer(
            "SELECT TIMESTAMP_TRUNC(TIMESTAMP '2026-11-02 07:30:00', DAY, 'America/Los_Angeles'), TIMESTAMP_SUB(TIMESTAMP '2026-11-02', INTERVAL 36 HOUR), TIMESTAMP('2026-11-02T00:00:00.5-08:00'), UNIX_SECONDS(TIMESTAMP '1970-01-02')"
        ),
        "2026-11-01 07:00:00+00|2026-10-31 12:00:00+00|2026-11-02 08:00:00.500+00|86400"
    );
    assert_eq!(
        answer(
            "SELECT CONCAT('a', 'b', 'c'), 'x' || 'y', SUBSTR('hello', 2, 3), SUBSTR('hello', -3), STARTS_WITH('abc', 'ab'), LENGTH('äb'), REPLACE('aa', 'a', 'b'), TRIM('  x ')"
        ),
        "abc|xy|ell|llo|true|2|bb|x"
    );
    assert_eq!(
        answer(
            "SELECT ABS(-3), ROUND(CAST('2.345' AS NUMERIC), 2), SAFE_DIVIDE(1, 0), 7 / 2, MOD(7, 4), GREATEST(1, 2.5), SAFE_CAST('x' AS INT64), -(-4)"
        ),
        "3|2.35|-|3.5|3|2.5|-|4"
    );
    assert_eq!(
        answer(
            "SELECT ARRAY_LENGTH([1, 2]), ARRAY(SELECT type FROM UNNEST(credits) ORDER BY 1), (SELECT AS STRUCT 1 AS x, 'y' AS z).z FROM p.d.bill WHERE service = 'Compute' AND project.id = 'b'"
        ),
        "2|[DISCOUNT PROMOTION]|y"
    );
    assert_eq!(
        answer(
            "SELECT COUNTIF(cost > 0), AVG(n), MIN(service), ANY_VALUE(n), LOGICAL_OR(cost < 0), STRING_AGG(DISTINCT service), SUM(DISTINCT n) FROM p.d.bill"
        ),
        "3|1|Compute|1|true|Compute,Storage,Invoice|1"
    );
}

#[test]
fn wrong_queries_are_refused_in_the_services_words() {
    for (text, message) in [
        ("SELECT x", "Unrecognized name: x at [1:8]"),
        (
            "SELECT\n  servise FROM p.d.bill",
            "Unrecognized name: servise; Did you mean service? at [2:3]",
        ),
        (
            "SELECT project.nam FROM p.d.bill",
            "Field name nam does not exist in STRUCT<id STRING, name STRING> at [1:16]",
        ),
        (
            "SELECT credits.amount FROM p.d.bill",
            "Cannot access field amount on a value with type ARRAY<STRUCT<type STRING, amount FLOAT64>> at [1:16]",
        ),
        (
            "SELECT service, SUM(n) FROM p.d.bill",
            "SELECT list expression references column service which is neither grouped nor aggregated at [1:8]",
        ),
        (
            "SELECT n FROM p.d.bill WHERE SUM(n) > 1",
            "Aggregate function SUM not allowed in WHERE clause at [1:30]",
        ),
        (
            "SELECT SUM(COUNT(*)) FROM p.d.bill",
            "Aggregations of aggregations are not allowed at [1:8]",
        ),
        (
            "SELECT service + 1 FROM p.d.bill",
            "No matching signature for operator + for argument types: STRING, INT64 at [1:8]",
        ),
        (
            "SELECT n FROM p.d.bill WHERE usage_start_time > DATE '2026-01-01'",
            "No matching signature for operator > for argument types: TIMESTAMP, DATE at [1:30]",
        ),
        ("SELECT n FROM p.d.other", "Not found: Table p.d.other"),
        ("SELECT @nothing", "Query parameter 'nothing' not found at [1:8]"),
        ("SELECT NOSUCH(1)", "Function not found: NOSUCH at [1:8]"),
        ("SELECT 1 / 0", "division by zero: 1 / 0"),
        (
            "SELECT DATE('2026-02-30')",
            "Could not cast literal \"2026-02-30\" to type DATE at [1:8]",
        ),
        ("SELECT (SELECT n FROM p.d.bill)", "Scalar subquery produced more than one element"),
        (
            "SELECT 1 a, 2 A",
            "Duplicate column names in the result are not supported. Found duplicate(s): A",
        ),
        ("SELEC 1", "Syntax error: Expected: an SQL statement, found: SELEC at [1:1]"),
        ("SELECT 1 FROM", "Syntax error: Expected: identifier, found: EOF"),
    ] {
        assert_eq!(refusal(text), message, "{text}");
    }
}

#[test]
fn what_is_not_served_is_named() {
    for (text, what) in [
        ("SELECT SUM(n) OVER () FROM p.d.bill", "SUM(n) OVER ()"),
        ("SELECT n FROM p.d.bill QUALIFY n = 1", "QUALIFY"),
        ("SELECT credits[OFFSET(0)] FROM p.d.bill", "array subscript"),
        ("SELECT CAST(n AS BIGNUMERIC) FROM p.d.bill", "BIGNUMERIC"),
        ("SELECT a.n FROM p.d.bill a JOIN p.d.bill b USING (n)", "USING"),
        ("SELECT ARRAY_AGG(n LIMIT 1) FROM p.d.bill", "LIMIT 1"),
        ("FROM p.d.bill |> SELECT n", "pipe syntax"),
        ("DELETE FROM p.d.bill WHERE TRUE", "only a SELECT"),
        ("SELECT 1; SELECT 2", "several statements"),
        ("SELECT FORMAT_DATE('%Q', DATE '2026-01-01')", "%Q"),
        ("SELECT SAFE.SUBSTR('a', 1)", "SAFE.SUBSTR"),
        ("SELECT x FROM p.d.bill FOR SYSTEM_TIME AS OF CURRENT_TIMESTAMP()", "in FROM"),
    ] {
        let message = refusal(text);
        assert!(message.contains(what), "{text}: {message}");
    }
}

#[test]
fn partition_condition_prunes_what_is_read() {
    let scanned = |text: &str| output(text).unwrap().scanned;
    assert_eq!(scanned("SELECT service, cost FROM p.d.bill"), [800]);
    assert_eq!(
        scanned(
            "SELECT service FROM p.d.bill WHERE _PARTITIONTIME >= TIMESTAMP('2026-11-04') AND n = 1"
        ),
        [400]
    );
    assert_eq!(
        scanned("SELECT service FROM p.d.bill WHERE _PARTITIONTIME >= usage_start_time"),
        [800]
    );
    assert_eq!(scanned("SELECT 1"), Vec::<u64>::new());
    assert_eq!(answer("SELECT COUNT(*) FROM (SELECT * FROM p.d.bill)"), "4");
    assert!(
        refusal("SELECT _PARTITIONTIME FROM (SELECT * FROM p.d.bill)")
            .starts_with("Unrecognized name: _PARTITIONTIME")
    );
}

#[test]
fn float_without_a_decimal_behind_it_casts_by_its_binary_value() {
    let value = Value::Float(Float::computed(0.1 + 0.2));
    assert_eq!(cast::cast(&value, &Type::Numeric), Ok(Value::Numeric(Decimal::new(3, 1))));
    let endless = Value::Float(Float::computed(f64::NAN));
    assert!(cast::cast(&endless, &Type::Numeric).is_err());
}
