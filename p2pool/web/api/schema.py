"""JSON Schema (2020-12, as OpenAPI 3.1 has it) in as few words as the endpoints' tables need.

Everything that a `record` names is always there but for what `with_optional` adds, and nothing else is: tests hold
the answers to it.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def _of(kind: str, description: str, **more: Any) -> Schema:
    schema: Schema = {"type": kind, **more}
    if description:
        schema["description"] = description
    return schema


def text(description: str = "", **more: Any) -> Schema:
    """Return the schema of a string."""
    return _of("string", description, **more)


def number(description: str = "", **more: Any) -> Schema:
    """Return the schema of any number."""
    return _of("number", description, **more)


def integer(description: str = "", **more: Any) -> Schema:
    """Return the schema of a whole number."""
    return _of("integer", description, **more)


def count(description: str = "") -> Schema:
    """Return the schema of a whole number that is not negative."""
    return _of("integer", description, minimum=0)


def boolean(description: str = "") -> Schema:
    """Return the schema of true or false."""
    return _of("boolean", description)


def words(*choices: str, description: str = "") -> Schema:
    """Return the schema of one of these strings."""
    return _of("string", description, enum=list(choices))


def array(items: Schema, description: str = "") -> Schema:
    """Return the schema of a list of items of one form."""
    return _of("array", description, items=items)


def row(items: Schema, length: int, description: str) -> Schema:
    """Return the schema of a list of fixed length, each of whose places has a meaning, given in the
    description."""
    # Not `prefixItems`: tools that read OpenAPI documents take it for what it meant in older drafts.
    return _of("array", description, items=items, minItems=length, maxItems=length)


def mapping(values: Schema, description: str = "") -> Schema:
    """Return the schema of an object with any names."""
    return _of("object", description, additionalProperties=values)


def record(description: str = "", /, **fields: Schema) -> Schema:
    """Return the schema of an object with exactly these names."""
    return _of("object", description, properties=fields, required=list(fields), additionalProperties=False)


def with_optional(schema: Schema, **fields: Schema) -> Schema:
    """Return a record's schema that allows these names as well."""
    return {**schema, "properties": {**schema["properties"], **fields}}


def either(*schemas: Schema) -> Schema:
    """Return the schema of any of these; the first is the usual one."""
    return {"anyOf": list(schemas)}


def nullable(schema: Schema) -> Schema:
    """Return a schema that also allows null."""
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


TIME = number("Unix seconds")
SECONDS = number("seconds")
PART = number("from 0 to 1")
HASH_RATE = number("hashes per second")
DEAD_HASH_RATE = number("the part of hash_rate that arrived too late to count, in hashes per second")
HASH = text("64 hexadecimal digits", pattern="^[0-9a-f]{64}$")
DASH = number("DASH")
AMOUNT = record(
    "an exact amount",
    dash=text("DASH with eight decimals", pattern=r"^-?[0-9]+\.[0-9]{8}$"),
    duffs=integer("the same amount in duffs"),
)
ERROR = record("", error=record("", code=text("for programs; it stays"), message=text("human-readable")))
