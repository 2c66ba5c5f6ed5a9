"""Reads the simulated billing export with google-cloud-bigquery.

Usage: billing_export.py URL PROJECT TABLE START
TABLE is `project.dataset.table`; START is the first day of a month. Prints one figure a line.
Exits 1 with a sentence when something does not add up.
"""

import datetime
import sys
from decimal import Decimal

from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import BadRequest, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

# Net cost as Google documents it: cost plus the sum of its credits, without a join.
NET = """
SELECT {key}
  SUM(CAST(cost AS NUMERIC)
    + IFNULL((SELECT SUM(CAST(c.amount AS NUMERIC)) FROM UNNEST(credits) AS c), 0)) AS net
FROM `{table}`
WHERE invoice.month = @month
{group}
"""


def check(holds, sentence):
    if not holds:
        sys.exit(f"failed: {sentence}")


def main(url, project, table, start):
    client = bigquery.Client(
        project=project,
        credentials=AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=url),
    )
    month = datetime.date.fromisoformat(start).strftime("%Y%m")
    parameters = [bigquery.ScalarQueryParameter("month", "STRING", month)]

    def query(key="", group="", **options):
        config = bigquery.QueryJobConfig(query_parameters=parameters, **options)
        job = client.query(NET.format(key=key, table=table, group=group), job_config=config)
        return list(job.result(page_size=2, retry=None))

    [whole] = query()
    check(isinstance(whole.net, Decimal), f"net is a {type(whole.net)}")
    print("net", whole.net.normalize())
    projects = query("project.id AS project,", "GROUP BY project")
    check(len(projects) > 2, f"{len(projects)} projects")
    print("net_by_project", sum(row.net for row in projects).normalize())

    found = client.get_table(table)
    fields = {field.name: field for field in found.schema}
    check(fields["credits"].mode == "REPEATED", "credits is no array")
    check(fields["cost"].field_type in ("FLOAT", "FLOAT64"), fields["cost"].field_type)

    for call, expected in (
        (lambda: client.get_table(table + "_lost"), NotFound),
        (lambda: list(client.query("SELECT nothing FROM `" + table + "`").result(retry=None)), BadRequest),
    ):
        try:
            call()
            sys.exit(f"failed: no {expected.__name__}")
        except expected:
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
