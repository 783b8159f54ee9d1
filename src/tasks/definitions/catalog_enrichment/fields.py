"""The details that products get: those of the agent's field schema, else any texts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from service.definitions.inlining import unrolled
from service.definitions.json_schema import JsonSchema
from service.definitions.problems import Problem, every_problem
from tasks.definitions.catalog_enrichment.models import ProductDetails

ANY_TEXTS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": {"type": "string", "maxLength": 200, "minLength": 1},
}
OF_ONE_FIELD = ("properties", "patternProperties", "additionalProperties", "propertyNames", "maxProperties")
"""Keywords that say the same of a part of the details as of the whole."""
KEPT = ("sku", "name", "description")
"""Fields of upsert_products beside the details of an agent that has a schema for them."""


def problems_of_whole(details: Mapping[str, Any], field_schema: Mapping[str, Any]) -> list[Problem]:
    """Where all that was written of a product is not what the agent's schema asks for."""
    return _problems(details, field_schema)


def problems_of_part(product: ProductDetails, field_schema: Mapping[str, Any] | None) -> list[Problem]:
    """Where the details that one call gives cannot be right, whatever other calls give; none of them is required."""
    if field_schema is None:
        return _problems(product.details, ANY_TEXTS)
    schema = details_schema(field_schema)
    part = {keyword: schema[keyword] for keyword in OF_ONE_FIELD if keyword in schema}
    return _problems(product.change().details, {"type": "object", **part})


def refusals(products: Iterable[ProductDetails], field_schema: Mapping[str, Any] | None) -> list[str]:
    """What is wrong with the details of products that are to be written, in words for the model."""
    return [
        f"{product.sku}: {problem.field('details')} {problem.message}"
        for product in products
        for problem in problems_of_part(product, field_schema)
    ]


def details_schema(field_schema: Mapping[str, Any]) -> dict[str, Any]:
    """The agent's schema as it can stand within another and before a model: without references."""
    return unrolled(dict(field_schema))


def failing_details(field_schema: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    """A schema for these fields alone, all of them required; for all details where one is none of its properties."""
    schema = details_schema(field_schema)
    properties = schema["properties"]
    held = {field: properties[field] for field in dict.fromkeys(fields) if field in properties}
    if not held or not set(fields) <= held.keys():
        return schema
    return {"type": "object", "properties": held, "required": list(held), "additionalProperties": False}


def own_fields(schema: Mapping[str, Any], field_schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """The schema of upsert_products with the details of the agent; where it has its own, ours are not on offer."""
    products = schema["properties"]["products"]
    fields = products["items"]["properties"]
    if field_schema is None:
        fields = {**fields, "details": {**ANY_TEXTS, "default": {}}}
    else:
        fields = {name: fields[name] for name in KEPT} | {"details": details_schema(field_schema)}
    items = {**products["items"], "properties": fields}
    return {**schema, "properties": {**schema["properties"], "products": {**products, "items": items}}}


def _problems(details: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Problem]:
    return every_problem(_type_of(json.dumps(schema)), dict(details))


@lru_cache(maxsize=64)
def _type_of(schema: str) -> JsonSchema[dict[str, Any]]:
    """One for each schema, so that its validator is made once."""
    return JsonSchema(json.loads(schema))
