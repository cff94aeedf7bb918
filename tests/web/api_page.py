"""docs/api.md, written from the one table: `python -m tests.web.api_page > docs/api.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from p2pool.web.api.endpoint import Endpoint
from p2pool.web.api.table import TOPICS

HEAD = """# The JSON interface

Made from the table in `p2pool/web/api/` by `python -m tests.web.api_page`; a test holds it to the table. The same
table is served as an OpenAPI 3.1 document at `/api/openapi.json`.

- GET and HEAD only. `/api/v1/...` is the interface for new programs; the other paths are those that front ends and
  scripts of p2pool have always asked, with the fields that they know.
- In version 1 amounts are `{"dash": "1.23000000", "duffs": 123000000}`, times Unix seconds, durations seconds,
  hash rates hashes a second, hashes 64 hexadecimal digits. Old paths have amounts in DASH as numbers.
- Most answers are made once a second, however many ask. null is what is not known.
- An error is `{"error": {"code": "...", "message": "..."}}` with a fitting status. Codes stay, messages may
  change. Any path may answer 503 `starting` in the first seconds.
- The pool's figures are those of the share chain's last hour; its hash rate counts the whole chain's stale shares.
- A share's timestamp is part of the consensus and lags without end in a slow pool. Fields that rest on timestamps
  (`hash_rate`, `pool_hash_rate` and `/rate` of the pool, `time` and `ts` of shares) are for comparing with other
  nodes. Those for people rest on when shares were found (`observed_...`, `time_found`): when this node first saw
  a share that came as it was found, else the times in its and its neighbours' headers. So do graphs, history, and
  the expected times of luck.
"""


def page() -> str:
    """The page's text."""
    lines = [HEAD]
    for topic, endpoints in TOPICS.items():
        lines.append(f"## {topic.capitalize()}\n")
        for endpoint in endpoints:
            lines += _endpoint(endpoint)
    return "\n".join(lines).rstrip() + "\n"


def _endpoint(endpoint: Endpoint) -> Iterator[str]:
    yield f"### `{endpoint.path}`\n"
    yield endpoint.summary + (f". The same as `{endpoint.same_as}`.\n" if endpoint.same_as else ".\n")
    for parameter in endpoint.parameters:
        yield f"- `{parameter.name}`{_range(parameter.schema)}: {parameter.schema.get('description', '')}"
    if endpoint.parameters:
        yield ""
    if not endpoint.same_as:
        yield from _answer(endpoint.schema)
    refusals = [refusal for refusal in endpoint.every_error() if refusal.code != "starting"]
    if refusals:
        codes = dict.fromkeys(f"{refusal.status} `{refusal.code}`" for refusal in refusals)
        yield f"Refuses with {', '.join(codes)}.\n"


def _range(schema: dict[str, Any]) -> str:
    notes = []
    if "enum" in schema:
        notes.append(" \\| ".join(schema["enum"]))
    if "minimum" in schema and "maximum" in schema:
        notes.append(f"{schema['minimum']} to {schema['maximum']}")
    if schema.get("default") is not None:
        notes.append(f"default {schema['default']}")
    return f" ({'; '.join(notes)})" if notes else ""


def _answer(schema: dict[str, Any]) -> Iterator[str]:
    yield f"Answer: {_kind(schema)}{_said(schema)}\n"
    fields = list(_fields(schema, ""))
    if fields:
        yield "| field | type | |"
        yield "| --- | --- | --- |"
        yield from fields
        yield ""


def _fields(schema: dict[str, Any], prefix: str) -> Iterator[str]:
    schema = _inner(schema)
    for name, field in schema.get("properties", {}).items():
        description = field.get("description", "")
        yield f"| `{prefix}{name}` | {_kind(field)} | {description} |"
        if "dash" not in _inner(field).get("properties", {}):
            yield from _fields(field, f"{prefix}{name}{_mark(field)}.")


def _mark(schema: dict[str, Any]) -> str:
    if schema.get("type") == "array":
        return "[]"
    return ".*" if isinstance(schema.get("additionalProperties"), dict) else ""


def _inner(schema: dict[str, Any]) -> dict[str, Any]:
    """What a list, a map or a value that may be null is made of."""
    while True:
        if "anyOf" in schema:
            schema = schema["anyOf"][0]
        elif isinstance(schema.get("items"), dict):
            schema = schema["items"]
        elif isinstance(schema.get("additionalProperties"), dict):
            schema = schema["additionalProperties"]
        else:
            return schema


def _kind(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        return " or ".join(_kind({**schema, "type": each}) for each in kind)
    if "enum" in schema:
        return " \\| ".join(f"`{word}`" for word in schema["enum"])
    if kind == "array" and isinstance(schema.get("items"), dict):
        return f"list of {_kind(schema['items'])}"
    if "dash" in schema.get("properties", {}):
        return "amount"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_kind(schema['additionalProperties'])}"
    return str(kind)


def _said(schema: dict[str, Any]) -> str:
    return f": {schema['description']}" if schema.get("description") else ""


if __name__ == "__main__":
    sys.stdout.write(page())
