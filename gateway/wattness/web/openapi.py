"""The OpenAPI 3.1 document, described from the routes."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from .answers import JsonObject, Problem
from .routes import JSON, Route

REFERENCE = "#/components/schemas/{name}"
PROBLEMS = {
    "400": "A bad parameter or body.",
    "401": "Log in first, or the token is wrong.",
    "403": "Asked from elsewhere, or by another host's name.",
    "404": "Nothing is there.",
    "409": "It is there already.",
    "413": "The body is too long.",
    "415": "The body is not JSON.",
    "429": "Too many wrong tokens; wait.",
    "503": "The disk or a file of the gateway's does not answer; the sentence says what to do.",
}
WITH_BODY = {"409", "413", "415"}
BEARER = {"type": "http", "scheme": "bearer", "description": "What `wattness token show` shows."}
COOKIE = "What a log-in sets; what changes something must then also carry the header `X-Wattness: 1`."


def describe(routes: Sequence[Route], version: str, public: Collection[str], cookie: str) -> JsonObject:
    """Return the document as plain values; `public` paths need no log-in."""
    forms = [form for route in routes for form in (route.answer, route.body) if form is not None]
    found, components = msgspec.json.schema_components([*forms, Problem], ref_template=REFERENCE)
    schemas = {id(form): schema for form, schema in zip([*forms, Problem], found, strict=True)}
    lock = {"type": "apiKey", "in": "cookie", "name": cookie, "description": COOKIE}
    paths: dict[str, JsonObject] = {}
    for route in routes:
        operation = _operation(route, schemas)
        if route.path in public:
            operation["security"] = []
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Wattness gateway",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"cookie": []}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"bearer": BEARER, "cookie": lock}},
    }


def _operation(route: Route, schemas: Mapping[int, Any]) -> JsonObject:
    responses: JsonObject = {
        status: {"description": text, "content": {JSON: {"schema": schemas[id(Problem)]}}}
        for status, text in PROBLEMS.items()
        if route.body is not None or status not in WITH_BODY
    }
    good: JsonObject = {"description": route.summary}
    if route.answer is not None:
        good["content"] = {route.media_type: {"schema": schemas[id(route.answer)]}}
    responses[str(route.status)] = good
    operation: JsonObject = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": _parameters(route),
        "responses": dict(sorted(responses.items())),
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schemas[id(route.body)]}}}
    return operation


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
