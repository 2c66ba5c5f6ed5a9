#!/usr/bin/env python3
"""Reads the simulated BigQuery with Google's own client for Python.

Takes the server's URL, the project, the export's table and the first day; prints sums of the net
cost query; exits with 1 where an answer is not what the service's documentation says.
"""

import argparse
import datetime
import sys
from decimal import Decimal

from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

NET_COST = """
SELECT DATE(usage_start_time, 'America/Los_Angeles') AS day, project.id AS project,
  service.description AS service, invoice.month,
  SUM(CAST(cost AS NUMERIC)) AS gross,
  SUM(IFNULL((SELECT SUM(CAST(c.amount AS NUMERIC)) FROM UNNEST(credits) AS c), 0)) AS credits,
  SUM(IFNULL((SELECT SUM(CAST(c.amount AS NUMERIC)) FROM UNNEST(credits) AS c
    WHERE c.type IN UNNEST(@promotions)), 0)) AS promotions,
  MAX(export_time) AS fresh
FROM `{table}`
WHERE _PARTITIONTIME >= @partition
  AND usage_start_time >= TIMESTAMP(@since, 'America/Los_Angeles')
GROUP BY day, project, service, month
"""


def expect(holds, what):
    if not holds:
        sys.exit(f"failed: {what}")


def refusal(kind, call):
    """The error that a call raises."""
    try:
        call()
    except kind as error:
        return error
    sys.exit(f"failed: {kind.__name__} was expected")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    for name in ("url", "project", "table", "since"):
        arguments.add_argument(name)
    given = arguments.parse_args()
    since = datetime.date.fromisoformat(given.since)
    midnight = datetime.datetime.combine(since, datetime.time(), datetime.timezone.utc)
    client = bigquery.Client(
        project=given.project,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": given.url},
    )
    parameters = [
        bigquery.ScalarQueryParameter("partition", "TIMESTAMP", midnight),
        bigquery.ScalarQueryParameter("since", "DATE", since),
        bigquery.ArrayQueryParameter("promotions", "STRING", ["PROMOTION", "FREE_TIER"]),
    ]
    sql = NET_COST.format(table=given.table)
    config = bigquery.QueryJobConfig(
        query_parameters=parameters,
        maximum_bytes_billed=10 * 1024 * 1024,
        labels={"app": "costband"},
    )

    job = client.query(sql, job_config=config)
    pages = list(job.result(page_size=30).pages)
    rows = [row for page in pages for row in page]
    expect(len(pages) == 3, f"three pages of 30 rows, got {len(pages)} of {len(rows)} rows")
    expect(job.total_bytes_billed == 10 * 1024 * 1024, "the least that a query bills")
    expect(isinstance(rows[0]["gross"], Decimal), "NUMERIC as a decimal")
    expect(isinstance(rows[0]["day"], datetime.date), "DATE as a date")
    expect(rows[0]["fresh"].tzinfo is not None, "TIMESTAMP as an instant")

    at_once = list(client.query_and_wait(sql, job_config=config, page_size=50))
    expect(sorted(map(repr, at_once)) == sorted(map(repr, rows)), "jobs.query and jobs.insert agree")

    dry = client.query(sql, job_config=bigquery.QueryJobConfig(query_parameters=parameters, dry_run=True))
    expect(dry.total_bytes_processed == job.total_bytes_processed > 0, "a dry run tells the bytes")

    table = client.get_table(given.table)
    expect(table.time_partitioning.type_ == "DAY" and table.time_partitioning.field is None, "ingestion time")
    expect(table.num_rows > 0 and table.schema[0].name == "billing_account_id", "the table's schema")
    first = next(iter(client.list_rows(table, max_results=1)))
    expect(first["billing_account_id"] == "012345-6789AB-CDEF01", "the first row")

    missing = refusal(exceptions.NotFound, lambda: client.get_table(given.table + "_none"))
    expect(missing.errors[0]["reason"] == "notFound", "the reason of a missing table")
    missing = refusal(
        exceptions.NotFound, lambda: client.query(f"SELECT 1 FROM `{given.table}_none`").result()
    )
    expect("was not found in location US" in missing.message, missing.message)
    wrong = refusal(exceptions.BadRequest, lambda: client.query("SELECT x").result())
    expect("Unrecognized name: x at [1:8]" in wrong.message, wrong.message)

    print("rows", len(rows))
    for name in ("gross", "credits", "promotions"):
        print(name, sum((row[name] for row in rows), Decimal(0)))


if __name__ == "__main__":
    main()
