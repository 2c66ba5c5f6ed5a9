"""Reads the simulated Cost Explorer, Price List and STS with boto3 and holds their figures against each other.

Usage: simulate_aws.py URL START END [--any-key]
With --any-key the server takes every key of the right shape, and a whole answer on one page.
Prints one figure a line. Exits 1 with a sentence when something does not add up.
"""

import json
import sys
from decimal import Decimal

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

EXCLUDED = {"Tax", "Credit", "Refund"}
SPEND = {"Not": {"Dimensions": {"Key": "RECORD_TYPE", "Values": sorted(EXCLUDED)}}}


def check(holds, sentence):
    if not holds:
        sys.exit(f"failed: {sentence}")


def client(name, url, **options):
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client(name, endpoint_url=url, region_name="us-east-1", config=config, **options)


def pages(explorer, **request):
    """Every page of one GetCostAndUsage request."""
    while True:
        page = explorer.get_cost_and_usage(**request)
        yield page
        if "NextPageToken" not in page:
            return
        request["NextPageToken"] = page["NextPageToken"]


# As the pricing guide has it for shared Linux machines on demand.
ON_DEMAND = {
    "productFamily": "Compute Instance",
    "operatingSystem": "Linux",
    "preInstalledSw": "NA",
    "tenancy": "Shared",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
}


def products(pricing, attributes):
    """Every product with these attributes, and on how many pages they came."""
    filters = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in attributes.items()]
    pages = list(
        pricing.get_paginator("get_products").paginate(ServiceCode="AmazonEC2", Filters=filters)
    )
    return [json.loads(text) for page in pages for text in page["PriceList"]], len(pages)


def hourly(product):
    """The price of an hour on demand."""
    (term,) = product["terms"]["OnDemand"].values()
    (rate,) = term["priceDimensions"].values()
    check(rate["unit"] == "Hrs", f"the unit is {rate['unit']}")
    return Decimal(rate["pricePerUnit"]["USD"])


def prices(url):
    """List prices: one above zero among the look-alikes of a machine."""
    pricing = client("pricing", url)
    machine = {"instanceType": "p5.48xlarge", "regionCode": "us-east-1"}
    found, count = products(pricing, {**machine, **ON_DEMAND})
    above = [hourly(product) for product in found if hourly(product) > 0]
    check(len(above) == 1, f"p5.48xlarge has the prices {above}")
    print("price_pages", count)
    print("price", above[0])
    alike, _ = products(pricing, machine)
    statuses = {product["product"]["attributes"]["capacitystatus"] for product in alike}
    check("UnusedCapacityReservation" in statuses, f"capacity is {statuses}")
    check(len(alike) > len(found), "the filters leave nothing out")
    try:
        pricing.get_products(ServiceCode="AmazonS33", Filters=[])
        sys.exit("failed: no InvalidParameterException")
    except ClientError as error:
        check(error.response["Error"]["Code"] == "InvalidParameterException", str(error))


def amount(metrics, name):
    check(metrics[name]["Unit"] == "USD", f"{name} is in {metrics[name]['Unit']}")
    return Decimal(metrics[name]["Amount"])


def main(url, start, end, any_key=None):
    identity = client("sts", url).get_caller_identity()
    print("account", identity["Account"])
    check(identity["Arn"].startswith("arn:aws:iam::"), identity["Arn"])

    explorer = client("ce", url)
    base = {
        "TimePeriod": {"Start": start, "End": end},
        "Granularity": "DAILY",
        "Metrics": ["UnblendedCost", "AmortizedCost"],
    }

    total = {"UnblendedCost": Decimal(0), "AmortizedCost": Decimal(0)}
    for page in pages(explorer, **base, Filter=SPEND):
        for day in page["ResultsByTime"]:
            check(day["Groups"] == [], "an ungrouped answer has groups")
            for name in total:
                total[name] += amount(day["Total"], name)
    print("spend_billed", total["UnblendedCost"])
    print("spend_effective", total["AmortizedCost"])

    for keys in (["SERVICE", "LINKED_ACCOUNT"], ["REGION"], ["INSTANCE_TYPE", "REGION"], ["USAGE_TYPE"]):
        groups = [{"Type": "DIMENSION", "Key": key} for key in keys]
        grouped = {name: Decimal(0) for name in total}
        count = 0
        for page in pages(explorer, **base, GroupBy=groups, Filter=SPEND):
            count += 1
            check([g["Key"] for g in page["GroupDefinitions"]] == keys, "group definitions differ")
            for day in page["ResultsByTime"]:
                for group in day["Groups"]:
                    check(len(group["Keys"]) == len(keys), f"keys {group['Keys']}")
                    for name in grouped:
                        grouped[name] += amount(group["Metrics"], name)
        check(count > 1 or any_key, f"{keys} came in one page")
        check(grouped == total, f"{keys}: grouped {grouped}, ungrouped {total}")
        print("pages", "x".join(keys), count)

    records = {}
    by_record = [{"Type": "DIMENSION", "Key": "RECORD_TYPE"}]
    for page in pages(explorer, **base, GroupBy=by_record):
        for day in page["ResultsByTime"]:
            for group in day["Groups"]:
                key = group["Keys"][0]
                records[key] = records.get(key, Decimal(0)) + amount(group["Metrics"], "UnblendedCost")
    for kind in ("Tax", "Credit", "Refund"):
        print(kind.lower(), records[kind])
    spend = sum(value for key, value in records.items() if key not in EXCLUDED)
    check(spend == total["UnblendedCost"], f"records add up to {spend}, not to {total}")

    prices(url)

    role = client("sts", url).assume_role(
        RoleArn="arn:aws:iam::999900001111:role/reader", RoleSessionName="peer"
    )["Credentials"]
    temporary = {
        "aws_access_key_id": role["AccessKeyId"],
        "aws_secret_access_key": role["SecretAccessKey"],
        "aws_session_token": role["SessionToken"],
    }
    assumed = client("sts", url, **temporary).get_caller_identity()
    check(assumed["Account"] == "999900001111", assumed["Account"])

    wrong = client("ce", url, aws_access_key_id="AKIAREAL", aws_secret_access_key="wrong")
    for call, expected in (
        (lambda: wrong.get_cost_and_usage(**base), "InvalidSignatureException"),
        (lambda: explorer.get_cost_and_usage(**base, GroupBy=by_record * 3), "ValidationException"),
        (lambda: explorer.get_cost_and_usage(**base, NextPageToken="x"), "InvalidNextTokenException"),
        (lambda: explorer.get_anomalies(DateInterval={"StartDate": start}), "UnknownOperationException"),
    ):
        if any_key and expected == "InvalidSignatureException":
            continue
        try:
            call()
            sys.exit(f"failed: no {expected}")
        except ClientError as error:
            check(error.response["Error"]["Code"] == expected, f"{error}, not {expected}")


if __name__ == "__main__":
    main(*sys.argv[1:])
