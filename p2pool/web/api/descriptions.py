"""Gives each field of the answers a description: its own, or the one of its name in `field_words`."""

from __future__ import annotations

from typing import Any, Final

from p2pool.web.api.field_words import WORDS
from p2pool.web.api.schema import AMOUNT, DASH, HASH, HASH_RATE, PART, SECONDS, TIME, Schema

UNITS: Final = {
    TIME["description"]: ", in Unix seconds",
    SECONDS["description"]: ", in seconds",
    PART["description"]: ", from 0 to 1",
    HASH_RATE["description"]: ", in hashes per second",
    DASH["description"]: ", in DASH",
    HASH["description"]: ", 64 hexadecimal digits",
    AMOUNT["description"]: "",
    "hashes": ", in hashes",
    "percent": ", in percent",
    "submissions": "",
    "submissions (pseudoshares)": "",
    "connections": "",
    "height": "",
    "by reason": "",
}
"""Descriptions that name only a unit, and how that is said after other words."""


def described(schema: Schema, endpoint: str, names: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an endpoint's answer in which each field without a description has one, as far as WORDS
    has any."""
    copy: dict[str, Any] = dict(schema)
    for inner in ("items", "additionalProperties"):
        if isinstance(copy.get(inner), dict):
            copy[inner] = described(copy[inner], endpoint, names)
    if "anyOf" in copy:
        copy["anyOf"] = [described(each, endpoint, names) for each in copy["anyOf"]]
    if "properties" in copy and copy["properties"].keys() != AMOUNT["properties"].keys():
        copy["properties"] = {
            name: _field(described(field, endpoint, (*names, name)), endpoint, (*names, name))
            for name, field in copy["properties"].items()
        }
    return copy


def _field(schema: Schema, endpoint: str, names: tuple[str, ...]) -> Schema:
    given = schema.get("description", "")
    if not given and "anyOf" in schema:
        given = next((each["description"] for each in schema["anyOf"] if each.get("description")), "")
    unit = UNITS.get(given)
    if given and unit is None:
        return {**schema, "description": given}
    words = WORDS.get(f"{endpoint} {'.'.join(names)}")
    for start in range(len(names)):
        words = words or WORDS.get(".".join(names[start:]))
    if words is None:
        return schema
    said, mark, rest = words.partition(";")
    return {**schema, "description": f"{said}{unit or ''}{mark}{rest}"}
