"""Holds the answers of the API against its own description.

Usage: openapi.py URL
Prints one line for each document. Exits 1 with a sentence when the description is not valid
OpenAPI, an answer does not fit it, or an answer has a key that it does not describe.
"""

import json
import sys
import urllib.request

import jsonschema
from openapi_spec_validator import validate


def get(url):
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


def resolve(spec, schema):
    while "$ref" in schema:
        found = spec
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    # What may be absent is one schema or null.
    choices = [each for each in schema.get("anyOf", []) if each.get("type") != "null"]
    return resolve(spec, choices[0]) if len(choices) == 1 else schema


def undescribed(spec, schema, value, path):
    """Keys of an answer that its schema does not name."""
    schema = resolve(spec, schema)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from undescribed(spec, schema.get("items", {}), item, f"{path}[{index}]")
    elif isinstance(value, dict):
        named = schema.get("properties", {})
        rest = schema.get("additionalProperties")
        for key, item in value.items():
            inner = named.get(key, rest)
            if isinstance(inner, dict):
                yield from undescribed(spec, inner, item, f"{path}.{key}")
            else:
                yield f"{path}.{key}"


def main(url):
    spec = get(url + "/api/v1/openapi.json")
    validate(spec)
    if not spec["paths"]:
        sys.exit("failed: the description names no path")
    for path, operations in spec["paths"].items():
        if "get" not in operations:
            continue
        name = get(url + "/api/v1/gpu")["nodes"][0]["name"]
        days = "?from=2025-10-01&to=2025-11-01"
        queries = {
            "/api/v1/gpu/range": days,
            "/api/v1/spend/days": f"{days}&source=aws-main&by=sub_account_id&service_name=a",
        }
        query = queries.get(path, "")
        answer = get(url + path.replace("{name}", name) + query)
        schema = operations["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        whole = {**schema, "components": spec["components"]}
        jsonschema.Draft202012Validator(whole).validate(answer)
        surplus = list(undescribed(spec, schema, answer, path))
        if surplus:
            sys.exit(f"failed: not described: {', '.join(surplus[:5])}")
        broken = {key: value for key, value in answer.items() if key != "as_of"}
        if jsonschema.Draft202012Validator(whole).is_valid(broken):
            sys.exit(f"failed: {path} is valid without `as_of`: the schema holds nothing")
        print(path, "ok")


if __name__ == "__main__":
    main(*sys.argv[1:])
