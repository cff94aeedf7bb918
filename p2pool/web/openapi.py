"""The OpenAPI 3.1 document of the JSON interface, made of the one table: /api/openapi.json."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from p2pool.web.api.endpoint import Endpoint, EndpointParameter, ErrorResponse
from p2pool.web.api.miner_alerts import POSTS, PostEndpoint
from p2pool.web.api.schema import ERROR
from p2pool.web.api.table import TOPICS
from p2pool.web.resources import JSON_TYPE

_JSON: Final = "application/json"
OLD_MARK: Final = "old"
"""The tag of paths outside /api: those that p2pool's front ends and scripts know."""
_ABOUT: Final = """The figures of a p2pool-dash node. The API supports GET and HEAD, and is read-only but for
the paths with POST, by which miners set alerts for their own addresses.

`/api/v1/...` is the interface for new programs. Amounts are `{"dash": "1.23000000", "duffs": 123000000}`, times
are Unix seconds, hash rates are hashes per second, and hashes are 64 hexadecimal digits. Most responses are
rendered once a second. The other paths are those that p2pool's existing front ends and scripts request.

An error is `{"error": {"code": ..., "message": ...}}` with a matching status. Codes are stable; messages may
change."""


def document(version: str) -> dict[str, Any]:
    """Return the OpenAPI document for this version of the software."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "p2pool-dash", "version": version, "description": _ABOUT},
        # Relative to this document's own address: also below the path of a reverse proxy.
        "servers": [{"url": ".."}],
        "paths": {
            **{
                endpoint.path: {"get": _operation(endpoint, topic)}
                for topic, endpoints in TOPICS.items()
                for endpoint in endpoints
            },
            **{each.path: {"post": _post(each)} for each in POSTS},
        },
        "components": {"schemas": {"Error": ERROR}},
        "tags": [*({"name": topic} for topic in TOPICS), {"name": OLD_MARK}],
    }


def _operation(endpoint: Endpoint, topic: str) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.key.replace("/", "_").replace("{", "").replace("}", ""),
        "summary": endpoint.summary,
        "tags": [topic] if endpoint.path.startswith("/api/") else [topic, OLD_MARK],
        "responses": _responses(endpoint),
    }
    if endpoint.parameters:
        operation["parameters"] = [_parameter(each) for each in endpoint.parameters]
    return operation


def _parameter(parameter: EndpointParameter) -> dict[str, Any]:
    schema = {key: value for key, value in parameter.schema.items() if key != "description"}
    return {
        "name": parameter.name,
        "in": "path" if parameter.in_path else "query",
        "required": parameter.in_path,
        "description": parameter.schema.get("description", ""),
        "schema": schema,
    }


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    kind = _JSON if endpoint.content_type == JSON_TYPE else endpoint.content_type.decode().partition(";")[0]
    content = {kind: {"schema": endpoint.schema}}
    answers: dict[str, Any] = {"200": {"description": "the figures", "content": content}}
    if endpoint.status_of is not None:
        answers["503"] = {"description": "something is missing", "content": content}
    return answers | _errors(endpoint.every_error())


def _post(endpoint: PostEndpoint) -> dict[str, Any]:
    content = {_JSON: {"schema": endpoint.schema}}
    return {
        "operationId": endpoint.path[1:].replace("/", "_").replace("-", "_"),
        "summary": endpoint.summary,
        "tags": ["alerts"],
        "requestBody": {"required": True, "content": {_JSON: {"schema": endpoint.request}}},
        "responses": {"200": {"description": "done", "content": content}} | _errors(endpoint.refusals),
    }


def _errors(refusals: Iterable[ErrorResponse]) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    words: dict[str, list[str]] = {}
    for refusal in refusals:
        line = f"`{refusal.code}`: {refusal.text}"
        if line not in words.setdefault(str(refusal.status), []):
            words[str(refusal.status)].append(line)
    error = {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    for status, lines in sorted(words.items()):
        answers[status] = {"description": "\n\n".join(lines), "content": error}
    return answers
