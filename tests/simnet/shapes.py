"""Whether two JSON answers have the same shape: the same keys in the same order and the same types."""

from __future__ import annotations

from typing import Any

KEYS_ARE_DATA = frozenset(
    {
        # transactions, kinds of messages, deployments, masternodes, heights, governance objects
        *("getrawmempool", "bytessent_per_msg", "bytesrecv_per_msg", "vbavailable"),
        *("masternode list", "masternode winners", "gobject list"),
    }
)
"""Objects, by the last part of their path, whose keys are no fields: their values are compared as a list's."""


def json_type(value: object) -> str:
    """What JSON calls it."""
    for name, types in (("bool", bool), ("number", (int, float)), ("string", str), ("object", dict)):
        if isinstance(value, types):  # type: ignore[arg-type]
            return name
    return "null" if value is None else "array"


def differences(ours: Any, theirs: Any, path: str) -> list[str]:
    """What is different in shape, in words. `path` names what is compared.

    The items of arrays can be of several shapes: each of ours must be one of theirs, and each of theirs one of
    ours. An array that is empty there says nothing about its items; one that is not empty there must not be empty
    here.
    """
    if json_type(ours) != json_type(theirs):
        return [f"{path}: {json_type(ours)} instead of {json_type(theirs)}"]
    if isinstance(ours, dict):
        if path.rsplit("/", 1)[-1] in KEYS_ARE_DATA:
            return differences(list(ours.values()), list(theirs.values()), path)
        if list(ours) != list(theirs):
            return [f"{path}: keys {list(ours)} instead of {list(theirs)}"]
        return [d for key in ours for d in differences(ours[key], theirs[key], f"{path}/{key}")]
    if not isinstance(ours, list) or not theirs:
        return []
    if not ours:
        return [f"{path}: nothing instead of {len(theirs)} items"]
    found = []
    for index, item in enumerate(ours):
        found += min((differences(item, other, f"{path}[{index}]") for other in theirs), key=len)
    for index, other in enumerate(theirs):
        found += min((differences(item, other, f"{path}(their {index})") for item in ours), key=len)
    return found
