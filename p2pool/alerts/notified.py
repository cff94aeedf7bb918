"""Remembers the events that are notified only once, such as that a block was found, across restarts. Pure.

A node that was killed may meet the same event again. `service` asks `NotifiedOnce` before it notifies anybody, and
keeps the list in the outbox's file, in the same transaction as the entries. For the time between a delivery and
that transaction, the id of the entry follows from the event, so that receivers can drop a duplicate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from p2pool.alerts.message import NodeIdentity
from p2pool.base.bounded import BoundedDict
from p2pool.pool_stats import EventKind, EventRecord

MAX_NOTIFIED: Final = 500
"""Events that are remembered: of the newest couple of hundred blocks. One has 80 bytes in the file."""
ONCE: Final = frozenset({EventKind.BLOCK_FOUND, EventKind.BLOCK_CONFIRMED, EventKind.BLOCK_REFUSED})
"""A block can be orphaned more than once: it may come back in between."""
_KEY: Final = re.compile("[a-z_]{1,40}:[0-9a-f]{64}")


class NotifiedOnce:
    """The events of ONCE that were notified. Bound: MAX_NOTIFIED."""

    def __init__(self) -> None:
        self._keys: BoundedDict[str, None] = BoundedDict(MAX_NOTIFIED)
        self.is_restored = False
        """Whether an earlier run left its list."""

    def knows(self, event: EventRecord) -> bool:
        """Return whether an event was notified."""
        return _key(event) in self._keys

    def take(self, event: EventRecord) -> bool:
        """Return whether this event must still be notified; it counts as notified from now on."""
        if event.kind not in ONCE:
            return True
        key = _key(event)
        if key in self._keys:
            return False
        self._keys[key] = None
        return True

    def to_json(self) -> list[str]:
        """Return the list for the file."""
        return list(self._keys)

    def restore(self, document: object) -> None:
        """Load the list that an earlier run left; malformed parts are ignored."""
        match document:
            case {"told": list() as keys}:
                self.is_restored = True
                for key in keys[-MAX_NOTIFIED:]:
                    if isinstance(key, str) and _KEY.fullmatch(key):
                        self._keys[key] = None


def entry_id(event: EventRecord, destination: str, identity: NodeIdentity) -> str | None:
    """Return the id of the outbox entry for an event that happens once, the same in every run of the node; None
    for other events. It differs by destination and by node: several nodes may notify one receiver of the same
    block."""
    if event.kind not in ONCE:
        return None
    parts = (identity.node, identity.network, destination, _key(event))
    return sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def with_notified(state: Mapping[str, Any], notified: NotifiedOnce) -> dict[str, Any]:
    """Return the state for the file: the grouper's, and the list."""
    return {**state, "told": notified.to_json()}


def _key(event: EventRecord) -> str:
    return f"{event.kind.value}:{event.subject}"
