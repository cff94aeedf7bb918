"""docs/api.md, written from the one table: `python -m tests.web.api_page > docs/api.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from p2pool.web.api.endpoint import Endpoint
from p2pool.web.api.miner_alerts import POSTS, PostEndpoint
from p2pool.web.api.table import TOPICS

HEAD = """# JSON API

This page is generated from the table in `p2pool/web/api/` by `python -m tests.web.api_page`; a test keeps the
two in step. The node also serves the same table as an OpenAPI 3.1 document at `/api/openapi.json`.

- The API supports GET and HEAD only, except for the paths with POST under [Alerts](#alerts). New programs should
  use `/api/v1/...`. The other paths are those that p2pool's existing front ends and scripts request, with the
  fields that they expect.
- In version 1, amounts are `{"dash": "1.23000000", "duffs": 123000000}`, times are Unix seconds, durations are
  seconds, hash rates are hashes per second, and hashes are 64 hexadecimal digits. On legacy paths, amounts are
  numbers in DASH.
- The node renders most responses once a second, however many clients request them. A value that is not known is
  null.
- An error is `{"error": {"code": "...", "message": "..."}}` with a matching HTTP status. Codes are stable;
  messages may change. Any path may return 503 `starting` during the first seconds.
- Pool figures cover the share chain's last hour. The pool's hash rate counts the stale shares of the whole
  chain.
- A share's timestamp is part of the consensus, and lags further and further in a slow pool. Fields that use
  timestamps (`hash_rate`, `pool_hash_rate` and `/rate` of the pool, `timestamp` and `ts` of shares) are for
  comparison with other nodes. Fields for display (`observed_...`, `time_found`) use the time when a share was
  found: when this node first received it if that was live, or else an estimate from the times in its header and
  in those of its neighbours. Graphs, history and the expected times of luck use it as well.
"""
HEADINGS = {"dashd": "Dash Core"}
"""Headings of topics whose name is no heading."""


def page() -> str:
    """The page's text."""
    lines = [HEAD]
    for topic, endpoints in TOPICS.items():
        lines.append(f"## {HEADINGS.get(topic, topic.capitalize())}\n")
        for endpoint in endpoints:
            lines += _endpoint(endpoint)
        if topic == "alerts":
            for post in POSTS:
                lines += _post(post)
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
        yield f"Errors: {', '.join(codes)}.\n"


def _post(endpoint: PostEndpoint) -> Iterator[str]:
    yield f"### POST `{endpoint.path}`\n"
    yield endpoint.summary + ".\n"
    required = endpoint.request["required"]
    for name, field in endpoint.request["properties"].items():
        kind = _kind(field).replace(" \\| ", ", ")
        yield f"- `{name}`{'' if name in required else ' (optional)'}: {kind}; {field['description']}"
    yield ""
    yield from _answer(endpoint.schema)
    codes = dict.fromkeys(f"{refusal.status} `{refusal.code}`" for refusal in endpoint.refusals)
    yield f"Errors: {', '.join(codes)}.\n"


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
    yield f"Response: {_kind(schema)}{_said(schema)}\n"
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
