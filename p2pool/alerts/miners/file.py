"""The file of alerts of miners: subscriptions, the node's key for links, messages that wait, reported blocks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from p2pool.alerts.channel import OutboxEntry
from p2pool.alerts.miners.proof import KEY_BYTES
from p2pool.base.errors import ParseError
from p2pool.base.state_file import StateFormat

MINERS_FILE: Final = StateFormat("miner_alerts.json", "alerts that miners have set", 32 * 1024 * 1024)
MAX_ENTRIES: Final = 10_000
_KEY = re.compile(f"[0-9a-f]{{{2 * KEY_BYTES}}}")


@dataclass(frozen=True, slots=True)
class Stored:
    """What is in the file; `key` is None without one. The parts are checked by those whose they are."""

    key: bytes | None = field(default=None, repr=False)
    subscriptions: object = None
    blocks: object = None
    waiting: tuple[OutboxEntry, ...] = ()


def parse_stored(document: Any) -> Stored:
    """Return what is in a document. Raises ParseError."""
    if not isinstance(document, dict):
        raise ParseError("it is not an object")
    key = document.get("key")
    if not isinstance(key, str) or _KEY.fullmatch(key) is None:
        raise ParseError("it has no key")
    rows = document.get("waiting")
    entries = [_entry(row) for row in rows[:MAX_ENTRIES]] if isinstance(rows, list) else []
    return Stored(
        bytes.fromhex(key),
        document.get("subscriptions"),
        document.get("blocks"),
        tuple(each for each in entries if each is not None),
    )


def plain_entry(entry: OutboxEntry) -> list[Any]:
    """Return an entry for the file."""
    return [
        *(entry.id, entry.destination, dict(entry.content)),
        *(entry.created, entry.attempts, entry.next_attempt),
    ]


def _entry(row: object) -> OutboxEntry | None:
    match row:
        case [
            str(name),
            str(destination),
            dict(content),
            int() | float() as created,
            int(attempts),
            int() | float() as next_attempt,
        ]:
            plain: Mapping[str, Any] = content
            return OutboxEntry(name, destination, plain, float(created), attempts, float(next_attempt))
    return None
