"""The OpenAPI 3.1 document, described from the routes."""

from collections.abc import Sequence
from typing import Any

import msgspec

from .answers import JsonObject, Problem
from .routes import Route

REFERENCE = "#/components/schemas/{name}"
PROBLEMS = {"400": "A bad parameter.", "404": "Nothing is there.", "503": "The disk does not answer; try again."}


def describe(routes: Sequence[Route], version: str) -> JsonObject:
    """Return the document as plain values."""
    answers, components = msgspec.json.schema_components(
        [route.answer for route in routes] + [Problem], ref_template=REFERENCE
    )
    paths: dict[str, JsonObject] = {}
    for route, answer in zip(routes, answers, strict=False):
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, answer, answers[-1])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Wattness gateway",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [],
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(route: Route, answer: Any, trouble: Any) -> JsonObject:
    responses = {
        status: {"description": text, "content": {"application/json": {"schema": trouble}}}
        for status, text in PROBLEMS.items()
    }
    responses["200"] = {"description": route.summary, "content": {route.media_type: {"schema": answer}}}
    return {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": _parameters(route),
        "responses": dict(sorted(responses.items())),
    }


def _parameters(route: Route) -> list[JsonObject]:
    (_,), components = msgspec.json.schema_components([route.parameters], ref_template=REFERENCE)
    schema = components[route.parameters.__name__]
    in_path = route.in_path
    return [
        {
            "name": name,
            "in": "path" if name in in_path else "query",
            "required": name in schema.get("required", ()),
            "schema": properties,
        }
        for name, properties in schema["properties"].items()
    ]
