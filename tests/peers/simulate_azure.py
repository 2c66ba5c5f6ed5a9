#!/usr/bin/env python3
"""Reads the simulated Azure with Microsoft's own SDK for Python.

Takes the server's URL; prints the figures as one JSON object; exits with 1 when the grouped rows
do not add up to the ungrouped total.
"""

import argparse
import json
import sys
import urllib.parse
import urllib.request
from decimal import Decimal

from azure.core.credentials import AccessToken
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.rest import HttpRequest
from azure.mgmt.consumption import ConsumptionManagementClient
from azure.mgmt.costmanagement import CostManagementClient
from azure.mgmt.costmanagement import models


class StaticCredential:
    """Always gives the token that it was made with."""

    def __init__(self, token):
        self.token = AccessToken(token, 4_000_000_000)

    def get_token(self, *scopes, **options):
        return self.token


class BearerInTheClear(SansIOHTTPPolicy):
    """The SDK's own bearer policy takes no plain HTTP."""

    def __init__(self, credential):
        self.credential = credential

    def on_request(self, request):
        token = self.credential.get_token().token
        request.http_request.headers["Authorization"] = "Bearer " + token


def buy_token(arguments):
    form = urllib.parse.urlencode(
        {
            "grant_type": "client_credentials",
            "client_id": arguments.client,
            "client_secret": arguments.secret,
            "scope": "https://management.azure.com/.default",
        }
    )
    url = f"{arguments.url}/{arguments.tenant}/oauth2/v2.0/token"
    with urllib.request.urlopen(url, form.encode()) as reply:
        return json.load(reply)["access_token"]


def definition(arguments, granularity, *dimensions):
    return models.QueryDefinition(
        type=models.ExportType.ACTUAL_COST,
        timeframe=models.TimeframeType.CUSTOM,
        time_period=models.QueryTimePeriod(
            from_property=arguments.start + "T00:00:00Z", to=arguments.end + "T23:59:59Z"
        ),
        dataset=models.QueryDataset(
            granularity=granularity,
            aggregation={
                "totalCost": models.QueryAggregation(
                    name="Cost", function=models.FunctionType.SUM
                )
            },
            grouping=[
                models.QueryGrouping(type="Dimension", name=name) for name in dimensions
            ],
        ),
    )


def read_query(client, scope, query):
    """Every row of every page; amounts as decimals, read from the bytes of the replies."""
    replies = []
    result = client.query.usage(
        scope=scope,
        parameters=query,
        headers={"ClientType": "peer"},
        raw_response_hook=replies.append,
    )
    names = [column.name for column in result.columns]
    seen = len(result.rows)
    body = replies[0].http_request.content
    texts = [replies[0].http_response.text()]
    next_link = result.next_link
    while next_link:
        request = HttpRequest(
            "POST",
            next_link,
            content=body,
            headers={"Content-Type": "application/json", "ClientType": "peer"},
        )
        reply = client._client.send_request(request)
        reply.raise_for_status()
        texts.append(reply.text())
        next_link = json.loads(texts[-1])["properties"]["nextLink"]
    rows = []
    for text in texts:
        rows += json.loads(text, parse_float=Decimal, parse_int=Decimal)["properties"]["rows"]
    assert len(rows) >= seen
    return names, rows, len(texts)


def retail_prices(url, size, region):
    """Items of a size in the retail price list, by what they are, and how many pages they came on.

    There is no official client: pages are read as the documentation's own Python sample does.
    """
    asked = {
        "api-version": "2023-01-01-preview",
        "currencyCode": "'USD'",
        "$filter": f"armRegionName eq '{region}' and armSkuName eq '{size}' and serviceName eq 'Virtual Machines'",
    }
    link = f"{url}/api/retail/prices?{urllib.parse.urlencode(asked)}"
    items, pages = [], 0
    while link:
        with urllib.request.urlopen(link) as answer:
            page = json.load(answer, parse_float=Decimal, parse_int=Decimal)
        assert page["Count"] == len(page["Items"]), page["Count"]
        items += page["Items"]
        pages += 1
        link = page["NextPageLink"]
    assert all(item["armSkuName"] == size and item["unitOfMeasure"] == "1 Hour" for item in items)
    now = "2026-11"
    on_demand = [
        item["retailPrice"]
        for item in items
        if item["type"] == "Consumption"
        and not item["productName"].endswith(" Windows")
        and not item["meterName"].endswith((" Low Priority", " Spot"))
        and item.get("effectiveEndDate", "9999") > now
        and item["retailPrice"] > 0
    ]
    return {
        "retail_items": len(items),
        "retail_pages": pages,
        "retail_price": [f"{price.normalize():f}" for price in on_demand],
        "retail_kinds": sorted({item["type"] for item in items}),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    for name in ("tenant", "client", "secret", "subscription", "billing-account"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--start", default="2026-10-01")
    parser.add_argument("--end", default="2026-11-30")
    arguments = parser.parse_args()
    credential = StaticCredential(buy_token(arguments))
    options = {
        "base_url": arguments.url,
        "authentication_policy": BearerInTheClear(credential),
        "retry_total": 0,
    }
    costs = CostManagementClient(credential, **options)
    consumption = ConsumptionManagementClient(credential, arguments.subscription, **options)

    account = "/providers/Microsoft.Billing/billingAccounts/" + arguments.billing_account
    names, rows, pages = read_query(
        costs, account, definition(arguments, "Daily", "ServiceName", "SubscriptionId")
    )
    assert names == ["Cost", "UsageDate", "ServiceName", "SubscriptionId", "Currency"], names
    grouped = sum(row[names.index("Cost")] for row in rows)
    _, total_rows, _ = read_query(costs, account, definition(arguments, "None"))
    total = sum(row[0] for row in total_rows)

    subscription = "/subscriptions/" + arguments.subscription
    budgets = list(consumption.budgets.list(scope=subscription))
    details = list(consumption.usage_details.list(scope=subscription))
    listed = {
        "total": f"{total.normalize():f}",
        "grouped_total": f"{grouped.normalize():f}",
        "rows": len(rows),
        "pages": pages,
        "budgets": [budget.name for budget in budgets],
        "current_spend": [budget.current_spend.amount for budget in budgets],
        "usage_details": len(details),
        "usage_details_cost": sum(detail.cost for detail in details),
        **retail_prices(arguments.url, "Standard_ND96asr_v4", "eastus"),
    }
    print(json.dumps(listed, default=str))
    return 0 if grouped == total else 1


if __name__ == "__main__":
    sys.exit(main())
